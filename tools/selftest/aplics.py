# SPDX-License-Identifier: GPL-2.0
"""APLICs that nobody uses, whose probes may fail: QEMU makes one for each
socket, and one more for M-mode, of which firmware is not told here."""

from changed import boots
from machine import Machine
from malformed import APLIC, disable, regions

SIZE = 0x8000
SOCKETS = 4

# The one that has to work in the end.
LAST = "interrupt-controller@d008000"


def spare(first):
    """Makes spare ones of those of the last two sockets. Without `first`, the
    first one of all gets no device either."""
    def change(tree):
        nodes = tree["/soc"].children
        for socket in (2, 3):
            unit = f"{0xc000000 + socket * SIZE:x}"
            machine = nodes.pop(f"interrupt-controller@{unit}")
            node = nodes[f"interrupt-controller@{0xd000000 + socket * SIZE:x}"]
            other = node.copy(machine.name)
            regions((int(unit, 16), SIZE))(other)
            other.set("phandle", *machine.get("phandle"))
            nodes[other.name] = other
            for path in (node.name, other.name):
                disable(f"/soc/{path}")(tree)
        for name in (LAST, *(() if first else (APLIC,))):
            disable(f"/soc/{name}")(tree)

    return change


def rows(_make_row, make_debug_row):
    """The rows for the table of machines."""
    for name, aia in (("", "aplic-imsic"), ("-direct", "aplic")):
        is_direct = aia == "aplic"
        yield make_debug_row(
            f"probe-faults{name}",
            Machine(smp=SOCKETS, sockets=SOCKETS, aia=aia), ["aplic_probe"],
            args={"aplic_probe": "faults"}, timeout=1800,
            # The console waits for the first one.
            boot=boots(spare(first=not is_direct), in_log=is_direct),
            warns="^riscv-aplic|^riscv-imsic|^irq: ")
