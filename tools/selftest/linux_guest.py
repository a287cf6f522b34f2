# SPDX-License-Identifier: GPL-2.0
"""Machines in which our own VMM boots Linux, with 2047 interrupt identities or
to move it from one machine to another while it works.

The guest has the kernel and the initramfs of the machine. The machine has both
as files too, in a second archive after its initramfs.
"""

import os
import pathlib
import shutil

import image
from boot import Boot, append_line
from machine import Machine
from tap import Console

# KVM's guests have all identities where the host has no IMSIC.
SSAIA = "rv64,h=true,ssaia=true,smaia=true"

def initramfs(kernel, initrd):
    """The machine's initramfs, with both as files."""
    def make(path):
        extra = image.Cpio(f"{path}.extra")
        extra.directory("guest")
        extra.regular("guest/Image", kernel, 0o644)
        extra.regular("guest/initramfs.cpio", initrd, 0o644)
        extra.close()
        with open(path, "wb") as whole:
            for part in initrd, f"{path}.extra":
                with open(part, "rb") as file:
                    shutil.copyfileobj(file, whole)
                whole.write(b"\0" * (-whole.tell() % 4))
        os.remove(f"{path}.extra")

    path = pathlib.Path(initrd)
    return image.make_once(path.with_name("linux-guest-" + path.name), make)


def boot(row, kernel, initrd, log):
    """Boots a row with this module's initramfs; returns the results."""
    console = Console(row)
    append = append_line(row.tests, row.args, row.kunit, row.append)
    command = row.machine.command(
        "-kernel", kernel, "-initrd", initramfs(kernel, initrd),
        "-append", append)
    why = Boot(command, console, log, row.timeout, row.silence).run()
    return console.finish(why)


def rows(make_row):
    """The rows for the table of machines."""
    return [
        make_row("linux-2047", Machine(smp=2, aia="aplic", cpu=SSAIA),
                 ["vmm-linux"], append="nosoftlockup", timeout=900,
                 silence=300, boot=boot),
        make_row("linux-moves", Machine(smp=2, mem="2G"), ["vmm-linux"],
                 args={"vmm_migrations": 100}, append="nosoftlockup",
                 impl=("rust",), long=True, timeout=1800, silence=300,
                 boot=boot),
    ]
