# SPDX-License-Identifier: GPL-2.0
"""Machines that are described by ACPI tables, which EDK2 hands over."""

import dataclasses
import os
import shutil
import tempfile

from boot import Boot, append_line
from machine import Machine, Unavailable
from tap import Console

# Of the package qemu-efi-riscv64.
EDK2 = "/usr/share/qemu-efi-riscv64"
CODE, VARIABLES = "RISCV_VIRT_CODE.fd", "RISCV_VIRT_VARS.fd"


def boot(row, kernel, initrd, log):
    """Boots a row by EDK2; returns the results."""
    if not os.path.exists(f"{EDK2}/{CODE}"):
        raise Unavailable("no EDK2 for riscv64 (package qemu-efi-riscv64)")
    console = Console(row)
    append = append_line(row.tests, row.args, row.kunit, row.append)
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
    for name, machine, tests in (
            ("imsic", Machine(smp=2),
             ["show", "topology", "trigger", "ids", "hotplug", "ipi",
              "kvm-guestfile"]),
            ("imsic-s2", Machine(smp=4, sockets=2),
             ["topology", "trigger", "wired"]),
            ("direct", Machine(smp=2, aia="aplic"),
             ["show", "topology", "wired"]),
            ("direct-s2", Machine(smp=4, sockets=2, aia="aplic"),
             ["topology", "wired"])):
        yield make_row(f"acpi-{name}", machine, tests, boot=boot, timeout=600)
