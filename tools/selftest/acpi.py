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


def command(machine, directory, *arguments):
    """The arguments of QEMU for a boot by EDK2, whose variables are in the
    directory."""
    if not os.path.exists(f"{EDK2}/{CODE}"):
        raise Unavailable("no EDK2 for riscv64 (package qemu-efi-riscv64)")
    variables = shutil.copy(f"{EDK2}/{VARIABLES}", directory)
    machine = dataclasses.replace(
        machine, virt="acpi=on,pflash0=code,pflash1=variables",
        extra=("-blockdev", "driver=file,node-name=code,read-only=on,"
               f"filename={EDK2}/{CODE}",
               "-blockdev", "driver=file,node-name=variables,"
               f"filename={variables}"))
    return machine.command(*arguments)


def boot(row, kernel, initrd, log):
    """Boots a row by EDK2; returns the results."""
    console = Console(row)
    append = append_line(row.tests, row.args, row.kunit, row.append)
    with tempfile.TemporaryDirectory(prefix="aia-") as directory:
        qemu = command(row.machine, directory, "-kernel", kernel,
                       "-initrd", initrd, "-append", append)
        why = Boot(qemu, console, log, row.timeout, row.silence).run()
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
