# SPDX-License-Identifier: GPL-2.0
"""Machines whose interrupt files have few identities, so that all can be used.

QEMU's have 255; its device tree is changed, for the firmware as well.
"""

import tempfile

from boot import Boot, append_line
from fdt import Tree
from machine import Machine
from malformed import DUMPS, IDS, both_imsics, put, write
from tap import Console


def blob(machine, ids):
    """The device tree of a machine whose files have so many identities."""
    tree = Tree(DUMPS.get(machine))
    both_imsics(put(IDS, ids))(tree)
    return tree.blob()


def boot(row, kernel, initrd, log):
    """Boots a row on a machine with 63 identities; returns the results."""
    console = Console(row)
    append = append_line(row.tests, row.args, row.kunit, row.append)
    with tempfile.TemporaryDirectory(prefix="aia-") as directory:
        command = row.machine.command(
            "-kernel", kernel, "-initrd", initrd, "-append", append,
            "-dtb", write(directory, "dtb", blob(row.machine, 63)))
        why = Boot(command, console, log, row.timeout, row.silence).run()
    return console.finish(why)


def rows(make_row, make_debug_row):
    """The rows for the table of machines."""
    return [
        make_row("few-ids-h2", Machine(smp=2),
                 ["topology", "away", "crowded", "ids"],
                 args={"ids": "rounds=100"}, timeout=600, boot=boot),
        make_row("few-ids-h4", Machine(smp=4), ["away"], timeout=600,
                 boot=boot),
        make_debug_row("few-ids", Machine(smp=2), ["away", "crowded"],
                       timeout=1800, boot=boot),
    ]
