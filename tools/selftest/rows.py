# SPDX-License-Identifier: GPL-2.0
"""The table of machines, and the tests that each of them runs."""

import dataclasses
import typing

import malformed
from machine import Machine

# Programs that tests and the show script use, not tests themselves.
TOOLS = {"rtc-ticks", "vmm-demo"}

# Tests of the MSI side, on any machine with an IMSIC.
MSI = ["topology", "trigger", "ids", "moves", "stale", "hotplug", "ipi",
       "unmask_latency", "storm"]


@dataclasses.dataclass
class Row:
    """One boot: a machine, the tests it runs, the kernels it is for."""

    name: str
    machine: Machine
    tests: list
    impl: tuple = ("rust", "c")
    # Also part of a plain "make test", as a reference, on the C drivers.
    reference: bool = False
    kunit: bool = False
    args: dict = dataclasses.field(default_factory=dict)
    append: str = ""
    timeout: int = 300
    # Boots it in another way: takes the row, kernel, initrd and log.
    boot: typing.Optional[typing.Callable] = None


def matrix():
    """Guest files x harts x sockets: the tests that depend on these."""
    for guests in (0, 1, 3, 7):
        for smp, sockets in ((1, 1), (2, 1), (8, 1), (2, 2), (8, 2)):
            yield Row(
                f"matrix-g{guests}-h{smp}-s{sockets}",
                Machine(guest_files=guests, smp=smp, sockets=sockets),
                ["topology", "trigger", "kvm-guestfile"],
                args={"topology": f"guests={guests}",
                      "kvm_guestfile": guests})


def table():
    """All rows."""
    ssaia = "rv64,h=true,ssaia=true,smaia=true"
    rows = [
        Row("kunit", Machine(smp=4), [], kunit=True, reference=True),
        Row("show-imsic", Machine(smp=4), ["show"], reference=True),
        Row("show-direct", Machine(aia="aplic"), ["show"], reference=True),
        Row("show-plic", Machine(aia="none"), ["show"], reference=True),
        # Harts with the AIA's CSRs, but no IMSIC.
        Row("show-ssaia", Machine(aia="aplic", cpu=ssaia), ["show"]),
        *matrix(),
        Row("msi-h1", Machine(smp=1), MSI, timeout=600),
        Row("msi-h2", Machine(smp=2), MSI, timeout=600),
        Row("msi-h8-s2", Machine(smp=8, sockets=2, guest_files=7), MSI,
            timeout=900),
        Row("storm", Machine(smp=4), ["storm"],
            args={"storm": "count=100000"}, timeout=900),
        # Wires: QEMU before 11.1 is not exact about levels.
        Row("wired-msi", Machine(smp=4), ["wired"]),
        Row("wired-msi-new", Machine(smp=4, qemu="bpo"), ["wired"],
            args={"wired": "exact=1"}),
        Row("wired-direct", Machine(smp=4, aia="aplic"), ["wired"]),
        Row("wired-direct-new", Machine(smp=4, aia="aplic", qemu="bpo"),
            ["wired"], args={"wired": "exact=1"}),
        # Two APLICs, each for the harts of its socket.
        Row("direct-s2", Machine(smp=4, sockets=2, aia="aplic"),
            ["topology", "trigger", "hotplug", "wired"]),
        Row("plic", Machine(smp=2, aia="none"), ["topology"]),
        *malformed.rows(Row),
    ]
    names = [row.name for row in rows]
    assert len(names) == len(set(names)), "two rows of one name"
    return rows
