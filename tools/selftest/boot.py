# SPDX-License-Identifier: GPL-2.0
"""Boots a machine once and collects what it reports."""

import codecs
import os
import selectors
import struct
import subprocess
import tempfile
import time

from fdt import Node, Tree
from host import Host, HostError
from tap import Console, Lines

# The serial port's buffer in the guest, and how fast a machine can fill a log.
LOG_LIMIT = 64 << 20


def append_line(tests, args=None, kunit=False, extra="", tell=True):
    """The kernel command line."""
    words = ["console=ttyS0", "earlycon=sbi", "panic=-1"]
    if tell:
        # The whole log, for /init to look through.
        words += ["log_buf_len=2M", "aia.tell"]
    # Both are on by default in a kernel with KUnit.
    flag = "1" if kunit else "0"
    words += [f"kunit.enable={flag}", f"kunit.autorun={flag}"]
    if tests:
        words.append("aia.run=" + ",".join(tests))
    # Built in, and off unless it is wanted: it takes time and memory.
    if "kmemleak" in tests:
        words.append("kmemleak=on")
    for name, value in (args or {}).items():
        words.append(f"aia.arg.{name}={value}")
    if extra:
        words.append(extra)
    return " ".join(words)


class Boot:
    """One run of a machine, its console going to a log and to the parser."""

    def __init__(self, command, console, log, timeout, silence=150):
        self.command = command
        self.console = console
        self.log = log
        self.timeout = timeout
        # A test that works says something more often than that.
        self.silence = silence
        self.done_actions = 0

    def run(self):
        """Returns what went wrong with the machine itself, or None."""
        with tempfile.TemporaryDirectory(prefix="aia-") as tmp:
            qmp = os.path.join(tmp, "qmp")
            qtest = os.path.join(tmp, "qtest")
            command = self.command + [
                "-serial", "stdio", "-monitor", "none",
                "-qmp", f"unix:{qmp},server=on,wait=off",
                "-qtest", f"unix:{qtest},server=on,wait=off",
                "-qtest-log", "/dev/null",
            ]
            host = Host(qmp, qtest)
            with open(self.log, "wb") as log:
                log.write((" ".join(command) + "\n").encode())
                log.flush()
                # pylint: disable=consider-using-with
                qemu = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT)
                try:
                    return self._follow(qemu, host, log)
                finally:
                    host.close()
                    if qemu.poll() is None:
                        qemu.kill()
                    qemu.wait()
                    qemu.stdin.close()
                    qemu.stdout.close()

    def _follow(self, qemu, host, log):
        end = time.monotonic() + self.timeout
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        size = 0
        with selectors.DefaultSelector() as selector:
            selector.register(qemu.stdout, selectors.EVENT_READ)
            while True:
                left = end - time.monotonic()
                if left <= 0:
                    return f"timeout after {self.timeout} s"
                if not selector.select(min(left, self.silence)):
                    if left > self.silence:
                        return f"nothing said for {self.silence} s"
                    continue
                data = os.read(qemu.stdout.fileno(), 65536)
                if not data:
                    break
                log.write(data)
                log.flush()
                size += len(data)
                if size > LOG_LIMIT:
                    return "the console does not stop writing"
                self.console.feed(decoder.decode(data))
                self._act(qemu, host)
        try:
            code = qemu.wait(timeout=10)
        except subprocess.TimeoutExpired:
            return "QEMU closed its console but did not end"
        return None if code == 0 else f"QEMU ended with code {code}"

    def _act(self, qemu, host):
        while self.done_actions < len(self.console.actions):
            words = self.console.actions[self.done_actions]
            self.done_actions += 1
            try:
                host.do(words)
                answer = b"host-done\n"
            except HostError as e:
                self.console.host_failed(str(e))
                answer = f"host-failed {e}\n".encode()
            if words[:1] == ["quit"]:
                continue
            try:
                qemu.stdin.write(answer)
                qemu.stdin.flush()
            except BrokenPipeError:
                return


def interrupts_shape(log):
    """What the show script printed of /proc/interrupts, without counts."""
    lines = Lines()
    shape = None
    with open(log, encoding="utf-8", errors="replace") as f:
        for is_kernel, line in lines.feed(f.read()):
            if is_kernel:
                continue
            if line == "# /proc/interrupts:":
                shape = []
            elif shape is not None:
                if not line.startswith("#  "):
                    break
                words = line[3:].split()
                if words and words[0].endswith(":"):
                    number = words.pop(0)
                    while words and words[0].isdigit():
                        words.pop(0)
                    # Names of IPIs are numbers too, those of lines are not.
                    if not number[0].isdigit():
                        words.insert(0, number)
                    shape.append(" ".join(words))
    return sorted(shape) if shape else shape


def run_row(row, kernel, initrd, log):
    """Boots a row of the table; returns its results."""
    console = Console(row)
    if row.boot:
        return row.boot(row, kernel, initrd, log)
    append = append_line(row.tests, row.args, row.kunit, row.append)
    command = row.machine.command("-kernel", kernel, "-initrd", initrd,
                                  "-append", append)
    why = Boot(command, console, log, row.timeout, row.silence).run()
    return console.finish(why)


# Where a malformed tree and what belongs to it go in the machine's memory.
# The first is where the firmware jumps to.
START, KERNEL, TREE, INITRD = 0x80200000, 0x80400000, 0x8F000000, 0x90000000
# The firmware's own memory, which it would have reserved in its tree.
FIRMWARE = (0x80000000, 0x200000)


def _load(register, value):
    """lui; addiw: a register gets 32 bits, sign-extended."""
    return ((value + 0x800) & 0xFFFFF000 | register << 7 | 0x37,
            (value & 0xFFF) << 20 | register << 15 | register << 7 | 0x1B)


def store(address, value):
    """Instructions for hand_over(): a word goes to a device below 2 GiB."""
    # li t0, address; li t1, value; sw t1, (t0)
    return (*_load(5, address), *_load(6, value), 0x0062A023)


def csrw(number, value):
    """Instructions for hand_over(): a CSR of hart 0 gets a value."""
    # li t0, value; csrw number, t0
    return (*_load(5, value), number << 20 | 5 << 15 | 0x1073)


def hand_over(before=()):
    """A program for START: hart 0 gives the kernel at KERNEL the tree at TREE.
    Instructions that are to come before leave devices as another kernel may.

    The firmware starts whichever hart came first, and a tree may say that the
    kernel has only hart 0.
    """
    code = [
        0x02050663,                     # start: beqz a0, first
        0x004858B7, 0x34D8889B,         # li a7, 0x48534d, the SBI's HSM
        0x00000813,                     # li a6, 0, sbi_hart_start
        0x00000513,                     # li a0, 0
        0x00000597, 0xFEC58593,         # la a1, start
        0x00000073,                     # ecall
        0xFE0510E3,                     # bnez a0, start
        0x00100813,                     # li a6, 1, sbi_hart_stop
        0x00000073,                     # ecall
        *before,                        # first:
    ]
    here = 4 * len(code)
    assert here + 8 <= 0x800, "too many instructions for one auipc"
    code += [
        # auipc a1, TREE - START; addi a1, a1, start - here
        0x597 | TREE - START, (-here & 0xFFF) << 20 | 0x58593,
        # auipc t0, KERNEL - START; jr start - .(t0)
        0x297 | KERNEL - START, (-(here + 8) & 0xFFF) << 20 | 0x28067,
    ]
    return struct.pack(f"<{len(code)}I", *code)


def prepare_tree(blob, append, initrd_size):
    """QEMU's tree as the firmware and the boot loader would pass it on."""
    tree = Tree(blob)
    chosen = tree["/chosen"]
    chosen.props["bootargs"] = append.encode() + b"\0"
    chosen.set("linux,initrd-start", 0, INITRD)
    chosen.set("linux,initrd-end", 0, INITRD + initrd_size)
    reserved = Node("reserved-memory")
    reserved.set("#address-cells", 2)
    reserved.set("#size-cells", 2)
    reserved.props["ranges"] = b""
    firmware = Node(f"firmware@{FIRMWARE[0]:x}")
    firmware.set("reg", 0, FIRMWARE[0], 0, FIRMWARE[1])
    firmware.props["no-map"] = b""
    reserved.children[firmware.name] = firmware
    tree.root.children[reserved.name] = reserved
    # What M-mode keeps for itself.
    for node in tree["/soc"].children.values():
        parents = node.props.get("interrupts-extended", b"")
        if (b"riscv,imsics" in node.props.get("compatible", b"")
                and parents[4:8] == b"\0\0\0\x0b"
                or b"riscv,aplic" in node.props.get("compatible", b"")
                and "riscv,children" in node.props):
            node.props["status"] = b"disabled\0"
    return tree
