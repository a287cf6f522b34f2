# SPDX-License-Identifier: GPL-2.0
"""The initramfs: busybox, /init, the test programs and the test modules."""

import json
import os
import pathlib
import shutil
import stat
import subprocess
import threading

REPO = pathlib.Path(__file__).resolve().parents[2]
BUILD = REPO / "build"
# Programs for guests, as flat images.
GUESTS = BUILD / "guests"
# Where each test is: what build_programs() has built, and scripts.
PROGRAMS = BUILD / "programs"
# What a test calls, or has in the initramfs that its guest gets too.
USES = {
    "show": ("rtc-ticks", "vmm-demo"),
    "kvm-module": ("vmm-demo",),
    "vmm-linux": ("disk", "topology", "trigger", "ids"),
}
TARGET = "riscv64gc-unknown-linux-gnu"


def build_programs(log):
    """Builds the cargo workspace; PROGRAMS then has the paths of all tests.

    Flat images that build scripts made go to GUESTS.
    """
    selftests = REPO / "selftests"
    command = ["cargo", "build", "--release", "--target", TARGET,
               "--message-format=json-render-diagnostics"]
    env = dict(os.environ, CARGO_TARGET_DIR=str(BUILD / "cargo"))
    # In the workspace's directory: that is where cargo looks for its
    # .cargo/config.toml.
    with open(log, "w", encoding="utf-8") as errors:
        done = subprocess.run(command, cwd=selftests, env=env, stderr=errors,
                              stdout=subprocess.PIPE, check=False)
    if done.returncode:
        text = pathlib.Path(log).read_text(encoding="utf-8")
        raise SystemExit("".join(text.splitlines(True)[-40:])
                         + f"error: cargo build failed, the whole log: {log}")
    programs = {}
    for line in done.stdout.decode().splitlines():
        message = json.loads(line)
        if (message.get("reason") == "compiler-artifact"
                and message.get("executable")
                and "bin" in message["target"]["kind"]):
            programs[message["target"]["name"]] = message["executable"]
        elif message.get("reason") == "build-script-executed":
            for file in pathlib.Path(message["out_dir"]).glob("*.bin"):
                GUESTS.mkdir(exist_ok=True)
                shutil.copy(file, GUESTS)
    programs.update(scripts())
    PROGRAMS.write_text("".join(f"{name} {path}\n" for name, path
                                in sorted(programs.items())),
                        encoding="utf-8")


class Cpio:
    """Writes the "newc" format, everything owned by root."""

    def __init__(self, path):
        self.file = open(path, "wb")  # pylint: disable=consider-using-with
        self.inode = 0

    def _entry(self, name, mode, data):
        self.inode += 1
        raw = name.encode() + b"\0"
        fields = [self.inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0,
                  len(raw), 0]
        self.file.write(b"070701" + b"".join(b"%08X" % f for f in fields))
        self.file.write(raw)
        self._pad()
        self.file.write(data)
        self._pad()

    def _pad(self):
        self.file.write(b"\0" * (-self.file.tell() % 4))

    def directory(self, name):
        self._entry(name, stat.S_IFDIR | 0o755, b"")

    def regular(self, name, path, mode=0o755):
        self._entry(name, stat.S_IFREG | mode,
                    pathlib.Path(path).read_bytes())

    def symlink(self, name, target):
        self._entry(name, stat.S_IFLNK | 0o777, target.encode())

    def close(self):
        self.inode = 0
        self._entry("TRAILER!!!", 0, b"")
        self.file.close()


def scripts():
    """Tests that are shell scripts: selftests/NAME/NAME."""
    found = {}
    for path in sorted((REPO / "selftests").glob("*/*")):
        if (path.is_file() and os.access(path, os.X_OK)
                and path.name == path.parent.name and path.name != "init"):
            found[path.name] = path
    return found


def modules(out):
    """The test modules and the kernel's own, as far as they are built."""
    return sorted(out.rglob("*.ko"))


def programs():
    """The path of each test that is built."""
    if not PROGRAMS.exists():
        raise SystemExit(f"error: there is no {PROGRAMS}; "
                         "tools/selftest programs makes it")
    return dict(line.split(" ", 1) for line in
                PROGRAMS.read_text(encoding="utf-8").splitlines())


def busybox():
    """A static one for riscv64."""
    path = subprocess.run(
        [str(REPO / "tools/toolchain.d/busybox")], stdout=subprocess.PIPE,
        check=False).stdout.decode().strip()
    if not path:
        raise SystemExit("error: no static riscv64 busybox, name one with "
                         "AIA_BUSYBOX=FILE")
    return path


def write(path, kernel, tests):
    """Writes an initramfs with the modules of that kernel and these tests."""
    files = programs()
    cpio = Cpio(f"{path}.new")
    for name in ("bin", "dev", "proc", "sys", "tmp", "tests"):
        cpio.directory(name)
    cpio.regular("bin/busybox", busybox())
    cpio.symlink("bin/sh", "busybox")
    cpio.symlink("bin/poweroff", "busybox")
    cpio.regular("init", REPO / "selftests/init/init")
    # A test that is not there is found missing by the machine.
    for name in sorted(set(tests) & set(files)):
        cpio.regular(f"tests/{name}", files[name])
    for module in modules(BUILD / f"kernel-{kernel}"):
        cpio.regular(f"tests/{module.name}", module, 0o644)
    cpio.close()
    os.replace(f"{path}.new", path)


def make(kernel):
    """Makes build/initramfs-KERNEL.cpio with all tests; returns its path."""
    path = BUILD / f"initramfs-{kernel}.cpio"
    write(path, kernel, programs())
    return path


_MADE = {}
_LOCK = threading.Lock()


def make_once(path, maker):
    """What maker(path) makes, in this run of the tests: made once."""
    with _LOCK:
        if path not in _MADE:
            path.parent.mkdir(parents=True, exist_ok=True)
            maker(path)
            _MADE[path] = True
    return str(path)


def for_tests(kernel, tests):
    """The initramfs with no more than these tests need: a machine unpacks a
    few MiB faster than all of them. Returns its path."""
    needed = sorted({*tests, *(used for name in tests
                               for used in USES.get(name, ()))})
    path = BUILD / "initramfs" / f"{kernel}-{'+'.join(needed)}.cpio"
    return make_once(path, lambda path: write(path, kernel, needed))
