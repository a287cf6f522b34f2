# SPDX-License-Identifier: GPL-2.0
"""Where the program of guest_trace.py may see something else bare on QEMU than
as a guest of KVM, and why. Sections are those of the AIA specification, 1.0.

Each has to come just as often as it says, so that none hides another one.
"""

import dataclasses
import re

ANYWHERE = ("emul", "hwaccel", "auto")
# Interrupt files are QEMU's own in the other modes.
IN_MEMORY = ("emul",)
GUEST_FILE = ("hwaccel", "auto")


@dataclasses.dataclass(frozen=True)
class Difference:
    """Steps of which the results differ, and why they may."""

    name: str
    # Patterns for the whole of each.
    scenario: str
    operation: str
    bare: str
    guest: str
    # How often, or in which steps of the scenario.
    often: int = 0
    steps: tuple = ()
    modes: tuple = ANYWHERE
    # The QEMU that does not have it any more.
    until: tuple = ()

    @property
    def times(self):
        """How often it has to come."""
        return len(self.steps) or self.often

    def applies(self, mode, qemu):
        """Whether it is to be expected."""
        return mode in self.modes and not (self.until and qemu >= self.until)

    def matches(self, bare, guest):
        """Whether it is this step."""
        return bool(re.fullmatch(self.scenario, bare.scenario)
                    and (not self.steps or bare.number in self.steps)
                    and re.fullmatch(self.operation, bare.operation)
                    and re.fullmatch(self.bare, bare.result)
                    and re.fullmatch(self.guest, guest.result))


def _load(offset):
    return rf"load32 aplic\+{offset:#x}"


SETIP, IN_CLRIP, GENMSI = 0x1C00, 0x1D00, 0x3000

# QEMU is wrong.
QEMU = [
    # 4.5.2: SM is WARL; 2 and 3 are no legal values to read.
    Difference("reserved source mode reads back", "reserved-modes", "load.*",
               "0x[23]", "0x0", often=4),
    # 4.5.16.2: bit 11 is reserved and reads as zero.
    Difference("bit 11 of target", "target", "load.*", "0x800", "0x0",
               often=2),
    # 4.5.16.2: without the H extension Guest Index is read-only zero.
    Difference("guest index of harts without guests", "target", "load.*",
               "0x1000|0x3f000", "0x0", often=4),
    # 4.5.15: bits that are neither Hart Index nor Busy nor EIID read as zeros.
    Difference("bit 11 of genmsi", "genmsi", _load(GENMSI), "0x806", "0x6",
               often=2),
    # 4.5.2: the rectified input of a detached source is zero.
    Difference("input of a detached source", "wire-detached|mode-change",
               _load(IN_CLRIP), "0x400", "0x0", often=27),
    Difference("input of a detached source, pending",
               "mode-change-pending", _load(IN_CLRIP), "0x400", "0x0",
               steps=(11,)),
    # 4.5.2, 4.7: so no wire makes it pending, and sourcecfg does not.
    Difference("detached source pending by its wire", "mode-change",
               _load(SETIP), "0x400", "0x0", steps=(12, 48, 84, 120)),
    # 4.7: in MSI mode a level-sensitive source is never pending while its
    # rectified input is low.
    Difference("pending without a level: new mode", "mode-change-pending",
               _load(SETIP), "0x400", "0x0", steps=(36, 66)),
    Difference("pending without a level: pending bit", "wire-level[01]",
               _load(SETIP), "0x400", "0x0", often=4, until=(11, 1)),
    Difference("pending without a level: MSI", "wire-level[01]", "claims",
               "45", "", often=4, until=(11, 1)),
    # 3.8.3, 3.8.4: bits of identities that the file does not have are
    # read-only zeros; only odd numbers do not exist.
    Difference("eip and eie beyond the last identity", "eip|eie",
               "sireg 0x(8[8ace]|[9ab][02468ace]|c[8ace]|[def][02468ace])"
               " [a-z]+.*", "trap 2", "0x0|ok", often=136),
    # 3.7: reads return zero, and writes are ignored.
    Difference("reserved numbers of an interrupt file", "reserved-selects",
               "sireg .*", "trap 2", "0x0|ok", often=28),
    # 3.9: any write claims, and csrrs and csrrc of another register than x0
    # write, whatever it holds (Zicsr).
    Difference("claim by setting or clearing no bits", "topei-no-bits",
               "stopei .*|claims", "0x50005|5 40 63",
               "0x280028|0x3f003f|63", often=4, modes=IN_MEMORY),
    # 5.4.2: not zero only for what is enabled in sie. That is QEMU's vstopi,
    # where KVM tells it of an interrupt by hvictl; 6.3.3 says the same.
    Difference("stopi while sie.SEIE is 0", "topei|threshold|delivery",
               "stopi", "0x0", "0x900[0-9a-f]{2}", often=18,
               modes=IN_MEMORY),
    # 5.4.2: IPRIO is the priority number 1 of identity 1.
    Difference("priority in stopi", "taken", "stopi then", "0x90000",
               "0x90001", often=1),
]

# The specification leaves it open.
OPEN = [
    # 4.5.2: sourcecfg might or might not make a source pending whose rectified
    # input is high in the new mode. A level does so for KVM, an edge does not.
    Difference("edge-sensitive source pending by its mode: low wire",
               "reactivated|pending-edge0", r"load32 aplic\+0x1c0[048c]",
               "0x1|0x80000000", "0x0", often=4),
    Difference("edge-sensitive source pending by its mode: either",
               "mode-change", _load(SETIP), "0x400", "0x0",
               steps=(18, 54, 90, 126, 168, 204, 240, 276)),
    # 4.5: an access of another size should fault, and otherwise is ignored.
    # KVM leaves it to user space, where this VMM ignores it.
    Difference("other sizes: store", "aplic-sizes", "store(8|16|64) .*",
               "trap 7", "ok", often=9),
    Difference("other sizes: load", "aplic-sizes", "load(8|16|64) .*",
               "trap 5", "0x0", often=9),
    # 3.5: a system without big-endian harts may ignore seteipnum_be.
    Difference("seteipnum_be", "page-big-endian", "claims", "", "5|255",
               often=2, modes=IN_MEMORY),
    # 5.4.1, 6.3.1: bytes of iprio may be read-only zeros; for VS level all are
    # but those of interrupts that the guest has in sie.
    Difference("priorities of major interrupts", "iprio", "sireg .* read",
               "0xffffffffffffffff|0xffffffffffff00ff",
               "0xff000000ff00|0x0", often=8),
]

DIFFERENCES = QEMU + OPEN
