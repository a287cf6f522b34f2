# SPDX-License-Identifier: GPL-2.0
"""A machine in which what the APLIC sends to one of the harts does not arrive.

The device tree has another number for that hart than QEMU, where nobody has
it; the kernel does not use the hart before the test wants to. Firmware lets
the kernel begin on any hart that it comes up on first, if it is not told to.
"""

from changed import boots
from fdt import Node
from machine import Machine
from malformed import numbered


def change(tree):
    """The third hart has a wrong number, and the first one boots."""
    numbered(0, 1, 9)(tree)
    firmware = Node("opensbi-config")
    firmware.props["compatible"] = b"opensbi,config\0"
    firmware.set("cold-boot-harts", *tree["/cpus/cpu@0"].get("phandle"))
    tree["/chosen"].children[firmware.name] = firmware


def rows(make_row, make_debug_row):
    """The rows for the table of machines: for drivers that ask the APLIC."""
    fields = {"append": "maxcpus=2", "boot": boots(change),
              "warns": "does not send extempore MSIs|an MSI to itself does"}
    return [make_row("fence", Machine(smp=3), ["fence"], impl=("rust",),
                     **fields),
            make_debug_row("fence", Machine(smp=3), ["fence"], timeout=900,
                           **fields)]
