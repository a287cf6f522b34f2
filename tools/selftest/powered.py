# SPDX-License-Identifier: GPL-2.0
"""An APLIC in a power domain, which the test module has: QEMU has none."""

from changed import boots
from fdt import Node
from machine import Machine
from malformed import disable

SECOND = "interrupt-controller@d008000"
# None of QEMU's own.
PHANDLE = 0x7001


def in_domain(tree):
    """The second APLIC has a power domain, and no device before the test makes
    it."""
    domain = Node("power-controller")
    domain.props["compatible"] = b"aia-test,power\0"
    domain.set("#power-domain-cells", 0)
    domain.set("phandle", PHANDLE)
    tree.root.children[domain.name] = domain
    tree["/soc/" + SECOND].set("power-domains", PHANDLE)
    disable("/soc/" + SECOND)(tree)


def rows(make_row):
    """The rows for the table of machines."""
    for name, aia in (("imsic", "aplic-imsic"), ("direct", "aplic")):
        # C switches it off while its interrupts are requested.
        yield make_row(
            f"power-domain-{name}", Machine(smp=4, sockets=2, aia=aia),
            ["aplic_probe"], impl=("rust",), args={"aplic_probe": "power"},
            boot=boots(in_domain), timeout=600)
