# SPDX-License-Identifier: GPL-2.0
"""Machines in which QEMU is a client of KVM and boots Linux guests.

These have an initramfs of their own, with QEMU for riscv64, its libraries and
the kernel for the guests. selftests/client/host says what the variants are.
"""

import pathlib
import subprocess

import image
from boot import Boot, append_line
from machine import Machine, Unavailable
from tap import Console

QEMU = "usr/bin/qemu-system-riscv64"
# Where packages have their libraries, and what programs find in /lib itself.
LIBRARIES = "usr/lib/riscv64-linux-gnu"
LOADER = "ld-linux-riscv64-lp64d.so.1"
SOURCES = image.REPO / "selftests/client"

SSAIA = "rv64,h=true,ssaia=true,smaia=true"


def _output(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, check=True,
                          stdin=subprocess.DEVNULL).stdout.decode()


def _root():
    """The folder with the unpacked packages."""
    path = _output(str(image.REPO / "tools/guest-root"), "--root").strip()
    if not path:
        raise Unavailable("no QEMU for riscv64, tools/guest-root fetches it")
    return pathlib.Path(path)


def _libraries(root, program):
    """The libraries that a program needs, and those that these need."""
    todo, found = [program], {}
    while todo:
        for line in _output("llvm-readelf", "--needed-libs",
                            str(todo.pop())).splitlines():
            name = line.strip()
            if ".so" not in name or name in found:
                continue
            path = (root / LIBRARIES / name).resolve()
            if not path.exists():
                raise Unavailable(f"{root} has no {name}")
            found[name] = path
            todo.append(path)
    return found


def _write_guest(path):
    """The guest's own initramfs."""
    cpio = image.Cpio(path)
    for name in ("bin", "dev", "proc", "sys"):
        cpio.directory(name)
    cpio.regular("bin/busybox", image.busybox())
    cpio.regular("init", SOURCES / "guest")
    cpio.close()


def _write_host(path, guest, kernel):
    """The machine's: the program of the row is /tests/client."""
    root = _root()
    cpio = image.Cpio(path)
    for name in ("bin", "dev", "proc", "sys", "tmp", "tests", "guest", "lib",
                 "lib/riscv64-linux-gnu"):
        cpio.directory(name)
    cpio.regular("bin/busybox", image.busybox())
    cpio.symlink("bin/sh", "busybox")
    cpio.regular("bin/qemu-system-riscv64", root / QEMU)
    for name, file in sorted(_libraries(root, root / QEMU).items()):
        where = "lib" if name == LOADER else "lib/riscv64-linux-gnu"
        cpio.regular(f"{where}/{name}", file)
    cpio.regular("init", image.REPO / "selftests/init/init")
    cpio.regular("tests/client", SOURCES / "host")
    cpio.regular("guest/Image", kernel, 0o644)
    cpio.regular("guest/initramfs.cpio", guest, 0o644)
    cpio.close()


def initramfs(kernel):
    """The machine's initramfs with that kernel for its guests."""
    # build/kernel-NAME/arch/riscv/boot/Image
    name = pathlib.Path(kernel).parents[3].name.removeprefix("kernel-")

    def make(path):
        guest = image.BUILD / f"client-{name}-guest.cpio"
        _write_guest(guest)
        _write_host(path, guest, kernel)

    return image.make_once(image.BUILD / f"client-{name}.cpio", make)


def boot(row, kernel, _initrd, log):
    """Boots a row with this module's initramfs; returns the results."""
    initrd = initramfs(kernel)
    console = Console(row)
    append = append_line(row.tests, row.args, row.kunit, row.append)
    command = row.machine.command("-kernel", kernel, "-initrd", initrd,
                                  "-append", append)
    why = Boot(command, console, log, row.timeout).run()
    return console.finish(why)


def rows(make_row):
    """The rows for the table of machines."""
    def row(name, variants, **machine):
        machine = Machine(smp=2, **machine)
        files = machine.guest_files if machine.aia == "aplic-imsic" else 0
        return make_row(
            f"client-{name}", machine, ["client"],
            args={"client": f"files={files};run={','.join(variants)}"},
            rust_args={"client": "overcommit=1"}, append="nosoftlockup",
            timeout=900, boot=boot)

    return [
        row("g0", ["hwaccel-2", "auto-4"], guest_files=0),
        row("g1", ["hwaccel-1", "nofile-2", "auto-4", "emul-2"],
            guest_files=1),
        row("g3", ["auto-2", "hwaccel-2", "emul-2", "auto-4", "emul-4",
                   "split-1", "files-2", "sockets-2", "aplic-2", "none-2"]),
        row("g7", ["auto-4", "hwaccel-4"], guest_files=7),
        row("ssaia", ["auto-4", "emul-2", "split-1"], aia="aplic", cpu=SSAIA),
    ]
