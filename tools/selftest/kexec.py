# SPDX-License-Identifier: GPL-2.0
"""A kernel that starts the same one once more, by kexec or because it dies,
and leaves the interrupt controllers in a state: selftests/irqchip, "kexec"."""

import dataclasses
import os
import re
import shutil
import tempfile

from boot import Boot, append_line
from image import Cpio
from machine import Machine
from tap import Console

PROGRAM = "kexec"

# What a kernel says first of all.
BEGIN = re.compile(r"\[ *0\.0+\] Linux version ")


class Left(Console):
    """Of a kernel that another one follows: it does not switch itself off."""

    def _end_of_linux(self):
        self.is_off = True
        super()._end_of_linux()


class TwoKernels:
    """The console of a kernel, and then of another one."""

    def __init__(self, first, second):
        self.consoles = [first, second]
        self.begun = 0
        self.partial = ""

    def _now(self):
        return self.consoles[self.begun > 1]

    def feed(self, text):
        """Takes console output."""
        *lines, self.partial = (self.partial + text).split("\n")
        for line in lines:
            self.begun += bool(BEGIN.search(line))
            self._now().feed(line + "\n")

    @property
    def actions(self):
        """What the host was asked for so far."""
        first, second = self.consoles
        return first.actions + second.actions

    def host_failed(self, why):
        """An action could not be done."""
        self._now().host_failed(why)

    def finish(self, why):
        """The machine is gone; returns all results."""
        if self.partial:
            self.feed("\n")
        first, second = self.consoles
        return first.finish(None) + second.finish(
            why or (f"{self.begun} kernels instead of 2"
                    if self.begun != 2 else None))


def write_initrd(path, kernel, initrd, append):
    """The initramfs, with the kernel, itself, and a command line in /boot."""
    boot = f"{path}.boot"
    with open(f"{path}.cmdline", "w", encoding="utf-8") as cmdline:
        cmdline.write(append)
    cpio = Cpio(boot)
    cpio.directory("boot")
    cpio.regular("boot/Image", kernel)
    cpio.regular("boot/initrd", initrd)
    cpio.regular("boot/cmdline", cmdline.name)
    cpio.close()
    with open(path, "wb") as both:
        for name in (initrd, boot):
            with open(name, "rb") as part:
                shutil.copyfileobj(part, both)


def boots(leave, extra="", bears=""):
    """A way to boot a row twice: the first kernel only leaves, as these
    arguments say; the row's tests are those of the second one."""
    def boot(row, kernel, initrd, log):
        first = dataclasses.replace(row, tests=[PROGRAM], warns="")
        console = TwoKernels(Left(first, bears=bears), Console(row))
        append = append_line([], {PROGRAM: leave},
                             extra=f"aia.last={PROGRAM} {extra}".strip())
        with tempfile.TemporaryDirectory(prefix="aia-") as directory:
            both = os.path.join(directory, "initrd")
            write_initrd(both, kernel, initrd, append_line(
                row.tests, row.args, row.kunit, row.append))
            command = row.machine.command("-kernel", kernel, "-initrd", both,
                                          "-append", append)
            why = Boot(command, console, log, row.timeout, row.silence).run()
        return console.finish(why)

    return boot


def rows(make_row):
    """The rows for the table of machines.

    Not for C: what is left pending comes to new owners of MSIs, and an APLIC
    that is asserted before it is probed is a NULL dereference. Of a crash in
    direct mode it survives what is judged here, but never "wired".
    """
    two = Machine(smp=4, sockets=2)
    direct = Machine(smp=4, sockets=2, aia="aplic")
    for name, machine, more in (("imsic", two, ["trigger", "show"]),
                                ("direct-s2", direct, ["wired"])):
        yield make_row(
            f"kexec-{name}", machine, [PROGRAM, "topology", *more],
            impl=("rust",), args={PROGRAM: f"hart=2;cpus={machine.smp}"},
            boot=boots("leave;hart=2"))
    # The kernel of a crash usually has one CPU. In direct mode that has to be
    # one of the console's APLIC, which needs another one for the console until
    # then, and one that is offline; PCI has the other APLIC. Any hart may be
    # CPU 0 before.
    for name, machine, hart, more, dies in (
            ("imsic", two, 2, ["show"], "crash"),
            ("wired", two, 2, [], "crash;wired"),
            ("direct-s2", dataclasses.replace(direct, smp=6), 1, [],
             "crash")):
        is_direct = machine is not two
        guests = 0 if is_direct else machine.guest_files
        yield make_row(
            f"kdump-{name}", machine, [PROGRAM, "topology", "wired", *more],
            impl=("rust",), append="nr_cpus=1",
            args={PROGRAM: dies.replace("crash", f"hart={hart};cpus=1"),
                  "topology": f"guests={guests};cpus=1"},
            warns="no hart that the kernel runs" if is_direct else "",
            boot=boots(f"leave;{dies};hart={hart}", "crashkernel=256M",
                       bears="Kernel panic - not syncing: aia_test: told to "))
