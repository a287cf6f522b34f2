# SPDX-License-Identifier: GPL-2.0
"""Machines that are described by ACPI tables, which EDK2 hands over."""

import dataclasses
import os
import shutil
import tempfile

from boot import Boot, append_line
from machine import Machine, Unavailable
from malformed import LogConsole

# Of the package qemu-efi-riscv64.
EDK2 = "/usr/share/qemu-efi-riscv64"
CODE, VARIABLES = "RISCV_VIRT_CODE.fd", "RISCV_VIRT_VARS.fd"

# Until these drivers know ACPI, they say what the machine will be without.
WITHOUT_MSIS = r"riscv-imsic: MADT: IMSIC not driven.*: no MSIs"
WITHOUT_WIRES = r"riscv-aplic: MADT: APLIC 0 not driven.*: no wired interrupts"


def boot(row, kernel, initrd, log, says):
    """Boots a row by EDK2; returns the results."""
    if not os.path.exists(f"{EDK2}/{CODE}"):
        raise Unavailable("no EDK2 for riscv64 (package qemu-efi-riscv64)")
    # Its console may be without interrupts.
    append = append_line(row.tests, row.args, row.kunit,
                         row.append + " aia.log printk.devkmsg=on")
    expect = {f"says {what}": what for what in says}
    expect["switches itself off"] = "reboot: Power down"
    console = LogConsole(row, expect)
    with tempfile.TemporaryDirectory(prefix="aia-") as directory:
        variables = shutil.copy(f"{EDK2}/{VARIABLES}", directory)
        machine = dataclasses.replace(
            row.machine, virt="acpi=on,pflash0=code,pflash1=variables",
            extra=("-blockdev", "driver=file,node-name=code,read-only=on,"
                   f"filename={EDK2}/{CODE}",
                   "-blockdev", "driver=file,node-name=variables,"
                   f"filename={variables}"))
        command = machine.command("-kernel", kernel, "-initrd", initrd,
                                  "-append", append)
        why = Boot(command, console, log, row.timeout, row.silence).run()
    return console.finish(why)


def rows(make_row):
    """The rows for the table of machines."""
    for name, aia, says in (("imsic", "aplic-imsic",
                             (WITHOUT_MSIS, WITHOUT_WIRES)),
                            ("direct", "aplic", (WITHOUT_WIRES,))):
        def how(row, kernel, initrd, log, says=says):
            return boot(row, kernel, initrd, log, says)

        yield make_row(f"acpi-{name}", Machine(aia=aia), [], impl=("rust",),
                       warns="|".join(says), boot=how)
