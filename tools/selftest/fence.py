# SPDX-License-Identifier: GPL-2.0
"""A machine in which what the APLIC sends to one of the harts does not arrive.

The device tree has another number for that hart than QEMU, where nobody has
it; the kernel does not use the hart before the test wants to.
"""

import tempfile

from boot import Boot, append_line
from fdt import Tree
from machine import Machine
from malformed import DUMPS, numbered, write
from tap import Console


def boot(row, kernel, initrd, log):
    """Boots a row on a machine with three harts; returns the results."""
    console = Console(row)
    tree = Tree(DUMPS.get(row.machine))
    numbered(0, 1, 9)(tree)
    append = append_line(row.tests, row.args, row.kunit, row.append)
    with tempfile.TemporaryDirectory(prefix="aia-") as directory:
        command = row.machine.command(
            "-kernel", kernel, "-initrd", initrd, "-append", append,
            "-dtb", write(directory, "dtb", tree.blob()))
        why = Boot(command, console, log, row.timeout, row.silence).run()
    return console.finish(why)


def rows(make_row, make_debug_row):
    """The rows for the table of machines: for drivers that ask the APLIC."""
    fields = {"append": "maxcpus=2", "boot": boot,
              "warns": "does not send extempore MSIs|an MSI to itself does"}
    return [make_row("fence", Machine(smp=3), ["fence"], impl=("rust",),
                     **fields),
            make_debug_row("fence", Machine(smp=3), ["fence"], timeout=900,
                           **fields)]
