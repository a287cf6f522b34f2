# SPDX-License-Identifier: GPL-2.0
"""Boots with QEMU's own device tree, changed: firmware and kernel get it."""

import tempfile

from boot import Boot, append_line
from fdt import Tree
from malformed import DUMPS, LogConsole, write
from tap import Console


def boots(change, in_log=False):
    """A way to boot a row whose tree `change` changes, for Row.boot. in_log:
    there is no console, and what tests say is in the kernel's log."""
    def boot(row, kernel, initrd, log):
        console = LogConsole(row) if in_log else Console(row)
        tree = Tree(DUMPS.get(row.machine))
        change(tree)
        extra = "printk.devkmsg=on aia.log" if in_log else ""
        append = append_line(row.tests, row.args, row.kunit,
                             f"{row.append} {extra}".strip())
        with tempfile.TemporaryDirectory(prefix="aia-") as directory:
            command = row.machine.command(
                "-kernel", kernel, "-initrd", initrd, "-append", append,
                "-dtb", write(directory, "dtb", tree.blob()))
            why = Boot(command, console, log, row.timeout, row.silence).run()
        return console.finish(why)

    return boot
