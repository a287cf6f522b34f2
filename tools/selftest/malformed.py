# SPDX-License-Identifier: GPL-2.0
"""Device trees that are wrong, or right but unusual: QEMU's own, changed.

A wrong tree is wrong in one way. The driver must name the node and the
property, the kernel must come to user space and to power-off without what was
refused, and nothing may be left of it: selftests/malformed looks for that. A
tree that is right must boot fully.
"""

import dataclasses
import os
import re
import subprocess
import tempfile
import threading
import typing

from boot import (INITRD, KERNEL, TREE, Boot, append_line, csrw, hand_over,
                  prepare_tree, store)
from fdt import Node, Tree, cells
from machine import Machine
from tap import Console

IMSIC = "interrupt-controller@28000000"
M_IMSIC = "interrupt-controller@24000000"
APLIC = "interrupt-controller@d000000"
M_APLIC = "interrupt-controller@c000000"

PARENTS = "interrupts-extended"
INDEXES = "riscv,hart-indexes"
SOURCES = "riscv,num-sources"
IDS = "riscv,num-ids"
GUEST_IDS = "riscv,num-guest-ids"
GUEST_BITS = "riscv,guest-index-bits"
HART_BITS = "riscv,hart-index-bits"
GROUP_BITS = "riscv,group-index-bits"
GROUP_SHIFT = "riscv,group-index-shift"

# Interrupts of a hart: the external ones of S-mode and of M-mode.
S_EXT, M_EXT = 9, 11
# A phandle that no node has.
NOBODY = 0x7FFF

# Which controllers are left, as selftests/malformed wants it.
WHOLE = "imsic@28000000:there,aplic@d000000:there"
NO_APLIC = "imsic@28000000:there,aplic@d000000:gone"
NOTHING = "imsic@28000000:gone,aplic@d000000:gone"
DIRECT = "aplic@d000000:there"
NO_DIRECT = "aplic@d000000:gone"

# What may be said of a wrong tree: of a node, or of a CPU that it has not.
OF_A_NODE = (r"interrupt-controller@[0-9a-f]+: |\.interrupt-controller: "
             r"|:interrupt-controller@|CPU \d+ has no interrupt file")

# Refused early and late, with much to give back: also on the debug kernel.
DEBUG = ("dt-imsic-reg-second-endless", "dt-imsic-second",
         "dt-aplic-low-groups", "dt-aplic-reg-shared",
         "dt-direct-indexes-twice", "dt-right-left-first")


@dataclasses.dataclass
class Case:
    """One tree or table: what to do to QEMU's, and what is to be seen then."""

    name: str
    # Takes the tree, or the table (madt.py).
    change: typing.Callable
    # A message to come for each pattern.
    says: tuple
    left: str
    cpus: str = "0-1"
    machine: Machine = dataclasses.field(default_factory=Machine)
    # What else to run, in a tree that is right.
    tests: tuple = ()
    # Arguments of these, by program.
    args: dict = dataclasses.field(default_factory=dict)
    # Maybe there is no console: what tests say goes to the kernel's log.
    log: bool = False
    # A complaint of the kernel that belongs to it, and one of the drivers. Of
    # a wrong tree they may say more than they must, but of its nodes only.
    bears: str = ""
    warns: str = ""
    # Guest files of each hart, if not as many as QEMU has.
    files: typing.Optional[int] = None
    # Whether the firmware gets the tree too.
    firmware: bool = False
    # What another kernel has left: instructions, see boot.hand_over().
    before: tuple = ()
    timeout: int = 90


class LogConsole(Console):
    """The console of a machine whose tests write to the kernel's log."""

    def _kernel(self, line):
        super()._kernel(line)
        if line.startswith("aia: "):
            self._program(line.removeprefix("aia: "))


# Ways to change a node.

def at(node, *changes):
    """Changes one node of the SoC."""
    def change(tree):
        for one in changes:
            one(tree["/soc/" + node])
    return change


def put(prop, *values):
    """A property gets these cells."""
    return lambda node: node.set(prop, *values)


def raw(prop, data):
    """A property gets these bytes."""
    return lambda node: node.props.__setitem__(prop, data)


def more(prop, data):
    """Bytes are added to a property."""
    return lambda node: node.props.__setitem__(prop, node.props[prop] + data)


def without(prop):
    """A property is missing."""
    return lambda node: node.remove(prop)


def regions(*wanted):
    """The regions, as (start, size)."""
    return put("reg", *[cell for pair in wanted for number in pair
                        for cell in (number >> 32, number & 0xFFFFFFFF)])


def parents(edit):
    """Rewrites interrupts-extended, a list of (phandle, interrupt)."""
    def change(node):
        old = node.get(PARENTS)
        pairs = edit(list(zip(old[::2], old[1::2])))
        node.set(PARENTS, *[cell for pair in pairs for cell in pair])
    return change


def all_of(*changes):
    """Several changes of the tree."""
    def change(tree):
        for one in changes:
            one(tree)
    return change


def both_imsics(*changes):
    """Changes the IMSICs of M-mode and of S-mode: firmware sets the APLIC up
    by the former."""
    return all_of(at(IMSIC, *changes), at(M_IMSIC, *changes))


def phandle(tree, node):
    """The phandle of a node of the SoC."""
    return tree["/soc/" + node].get("phandle")[0]


def disable(path):
    """A node is there, but disabled."""
    return lambda tree: tree[path].props.__setitem__("status", b"disabled\0")


def second_imsic(tree):
    """The same IMSIC once more, somewhere else."""
    name = "interrupt-controller@2a000000"
    other = tree["/soc/" + IMSIC].copy(name)
    regions((0x2A000000, 0x8000))(other)
    other.set("phandle", NOBODY)
    tree["/soc"].children[name] = other


def second_aplic(tree):
    """A second APLIC in the memory of the first one."""
    name = "interrupt-controller@d001000"
    other = tree["/soc/" + APLIC].copy(name)
    regions((0xD001000, 0x6000))(other)
    other.set("phandle", NOBODY)
    tree["/soc"].children[name] = other


def many_cells(name):
    """The registers are on a bus whose addresses and sizes take more cells
    than C's int can count."""
    def change(tree):
        bus = Node("odd-bus")
        bus.props["compatible"] = b"simple-bus\0"
        bus.set("#address-cells", 0x7FFFFFFF)
        bus.set("#size-cells", 0x7FFFFFFF)
        bus.props["ranges"] = b""
        bus.children[name] = tree["/soc"].children.pop(name)
        tree["/soc"].children[bus.name] = bus
    return change


def numbered(*indexes):
    """An APLIC that sends MSIs has these numbers for the harts."""
    def change(tree):
        tree["/soc/" + APLIC].set(PARENTS, *tree["/soc/" + IMSIC].get(PARENTS))
        tree["/soc/" + APLIC].set(INDEXES, *indexes)
    return change


def some_numbered(tree):
    """It says the number of one hart, which is not the number that it has, and
    nothing of the other one."""
    tree["/soc/" + APLIC].set(PARENTS, *tree["/soc/" + IMSIC].get(PARENTS)[2:])
    tree["/soc/" + APLIC].set(INDEXES, 0)


def foreign_parent(node):
    """The second parent is not a hart, but a controller that takes the same
    specifiers."""
    def change(tree):
        first = tree["/soc/" + node].get(PARENTS)[:2]
        fan = tree["/soc/rtc@101000"].copy("fan")
        # Nobody waits for a driver of a disabled node.
        fan.props = {"interrupt-controller": b"", "status": b"disabled\0"}
        fan.set("#interrupt-cells", 1)
        fan.set("phandle", NOBODY)
        tree["/soc"].children["fan"] = fan
        tree["/soc/" + node].set(PARENTS, *first, NOBODY, S_EXT)
    return change


def parent_without_cells(node):
    """The second parent has no interrupts to choose from."""
    def change(tree):
        first = tree["/soc/" + node].get(PARENTS)[:2]
        tree["/soc/" + node].set(PARENTS, *first, phandle(tree, M_IMSIC))
    return change


def without_ssaia(tree):
    """The second hart has no AIA."""
    hart = tree["/cpus/cpu@1"]
    isa = hart.props["riscv,isa"].rstrip(b"\0").split(b"_")
    extensions = hart.props["riscv,isa-extensions"].split(b"\0")
    isa.remove(b"ssaia")
    extensions.remove(b"ssaia")
    hart.props["riscv,isa"] = b"_".join(isa) + b"\0"
    hart.props["riscv,isa-extensions"] = b"\0".join(extensions)


# Wrong numbers of cells, for each property that is one cell.
SHAPES = (
    ("empty", b""), ("short", b"\0\x3F"), ("two-cells", cells(63, 63)),
)


def wrong_parents(node):
    """What can be wrong with the parents: name, change, message."""
    yield "missing", at(node, without(PARENTS)), "no parent interrupts"
    yield "empty", at(node, raw(PARENTS, b"")), "no parent interrupts"
    yield "one-cell", at(node, lambda n: n.set(PARENTS, n.get(PARENTS)[0])), (
        "entry 0 is malformed")
    yield "truncated", at(node, lambda n: n.set(
        PARENTS, *n.get(PARENTS)[:-1])), "entry 1 is malformed"
    yield "bytes", at(node, lambda n: raw(
        PARENTS, n.props[PARENTS][:-1])(n)), "entry 1 is malformed"
    yield "level", at(node, parents(
        lambda p: [p[0], (p[1][0], M_EXT)])), "entry 1 is interrupt 11"
    yield "local", at(node, parents(
        lambda p: [p[0], (p[1][0], 5)])), "entry 1 is interrupt 5"
    yield "unknown", at(node, parents(
        lambda p: [p[0], (NOBODY, S_EXT)])), "entry 1 is malformed"
    yield "foreign", foreign_parent(node), "entry 1 belongs to no hart"
    yield "twice", at(node, parents(
        lambda p: [p[0], p[0]])), "entry 1 names hart 0 again"
    yield "disabled", all_of(
        at(node, parents(lambda p: [p[1]])), disable("/cpus/cpu@1")
    ), "no hart that the kernel runs"


def imsic():
    """What can be wrong with an IMSIC: name, change, property, message."""
    for name, change, what in wrong_parents(IMSIC):
        yield "parents-" + name, change, PARENTS, what
    yield "parents-no-cells", parent_without_cells(IMSIC), PARENTS, (
        "entry 1 is malformed")

    for prop in (IDS, GUEST_IDS):
        name = prop.split("-", 1)[1]
        for n in (0, 62, 64, 256, 2048, 2111):
            yield f"{name}-{n}", at(IMSIC, put(prop, n)), prop, (
                f"{n} is not a multiple of 64 minus one")
    yield "ids-missing", at(IMSIC, without(IDS)), IDS, "missing"
    for prop in (IDS, GUEST_IDS, GUEST_BITS, HART_BITS, GROUP_BITS,
                 GROUP_SHIFT):
        name = prop.split(",", 1)[1].replace("num-", "").replace("-index", "")
        for shape, data in SHAPES:
            yield f"{name}-{shape}", at(IMSIC, raw(prop, data)), prop, (
                "not one 32-bit cell")

    for n in (8, 64, 0xFFFFFFFF):
        yield f"guest-bits-{n}", at(IMSIC, put(GUEST_BITS, n)), GUEST_BITS, (
            "guest index bits too big")
    for n in (16, 63, 0xFFFFFFFF):
        yield f"hart-bits-{n}", at(IMSIC, put(HART_BITS, n)), HART_BITS, (
            "hart index bits too big")
    yield "hart-bits-0", at(IMSIC, put(HART_BITS, 0)), HART_BITS, (
        "too few for hart 1, number 1")
    for n in (8, 0xFFFFFFFF):
        yield f"group-bits-{n}", at(IMSIC, put(GROUP_BITS, n)), GROUP_BITS, (
            "group index bits too big")
    for n in (0, 12, 13, 14):
        yield f"group-shift-{n}", at(
            IMSIC, put(GROUP_BITS, 1), put(GROUP_SHIFT, n)
        ), GROUP_SHIFT, "group index overlaps"
    for n in (63, 64, 0xFFFFFFFF):
        yield f"group-shift-{n}", at(
            IMSIC, put(GROUP_BITS, 2), put(GROUP_SHIFT, n)
        ), GROUP_SHIFT, "group index shift too big"

    base = 0x28000000
    yield "reg-missing", at(IMSIC, without("reg")), "reg", "no memory region"
    yield "reg-empty", at(IMSIC, raw("reg", b"")), "reg", "no memory region"
    yield "reg-truncated", at(IMSIC, put("reg", 0, base)), "reg", (
        "region 0 is malformed")
    yield "reg-stray-cells", at(IMSIC, more("reg", cells(0, 1))), "reg", (
        "region 1 is malformed")
    # The first hart's files, and the second one's first page is missing.
    yield "reg-few-pages", at(IMSIC, regions((base, 0x4000))), "reg", (
        "no page for hart 1, number 1")
    yield "reg-empty-region", at(IMSIC, regions((base, 0))), "reg", (
        "region 0: region smaller than a page")
    yield "reg-half-page", at(IMSIC, regions((base, 0x800))), "reg", (
        "region 0: region smaller than a page")
    yield "reg-odd-size", at(IMSIC, regions((base, 0x7800))), "reg", (
        "region 0: region size not a multiple of the page size")
    yield "reg-unaligned-page", at(IMSIC, regions((base + 0x800, 0x8000))), (
        "reg"), "address is not aligned to a page"
    yield "reg-unaligned-hart", at(IMSIC, regions((base + 0x1000, 0x8000))), (
        "reg"), "region 0: region not aligned to a hart's interrupt files"
    yield "reg-overlap", at(IMSIC, regions(
        (base, 0x8000), (base + 0x4000, 0x4000))), "reg", (
            "region 1: region overlaps another one")
    yield "reg-same", at(IMSIC, regions((base, 0x4000), (base, 0x4000))), (
        "reg"), "region 1: region overlaps another one"
    yield "reg-other-base", at(IMSIC, regions(
        (base, 0x4000), (0x2A000000, 0x4000))), "reg", (
            "region 1: region address does not match the first region's")
    top = (1 << 64) - 0x1000
    yield "reg-wraps", at(IMSIC, regions((top, 0x2000))), "reg", (
        "region 0 is malformed")
    yield "reg-second-empty", at(IMSIC, regions(
        (base, 0x8000), (base + 0x8000, 0))), "reg", (
            "region 1: region smaller than a page")
    yield "reg-second-wraps", at(IMSIC, regions(
        (base, 0x8000), (top, 0x2000))), "reg", "region 1 is malformed"
    endless = "region 1: more than any number of harts takes"
    # The first one can be mapped, the second one cannot.
    yield "reg-second-endless", at(IMSIC, regions(
        (base, 0x4000), (base + 0x4000, 1 << 60))), "reg", endless
    # More than there is memory for the page tables of.
    yield "reg-second-huge", at(IMSIC, regions(
        (base, 0x4000), (base + 0x4000, 1 << 40))), "reg", endless
    yield "reg-many-cells", many_cells(IMSIC), "reg", "region 0 is malformed"
    # Memory of the kernel, which MSIs would overwrite.
    yield "reg-memory", at(IMSIC, regions((0xA0000000, 0x8000))), "reg", (
        "cannot be mapped")
    # Beyond the 56 bits of a physical address.
    yield "reg-too-high", at(IMSIC, regions((1 << 60 | base, 0x8000))), (
        "reg"), "cannot be mapped"


def aplic():
    """What can be wrong with any APLIC: name, change, property, message."""
    base = 0xD000000
    yield "sources-missing", at(APLIC, without(SOURCES)), SOURCES, "missing"
    for n in (0, 1024, 0xFFFFFFFF):
        yield f"sources-{n}", at(APLIC, put(SOURCES, n)), SOURCES, (
            f"{n} is not from 1 to 1023")
    for shape, data in SHAPES:
        yield f"sources-{shape}", at(APLIC, raw(SOURCES, data)), SOURCES, (
            "not one 32-bit cell")
    yield "reg-missing", at(APLIC, without("reg")), "reg", "no memory region"
    yield "reg-empty", at(APLIC, raw("reg", b"")), "reg", "no memory region"
    yield "reg-empty-region", at(APLIC, regions((base, 0))), "reg", (
        "0x0 bytes, but the registers take 0x40")
    yield "reg-small", at(APLIC, regions((base, 0x3000))), "reg", (
        "0x3000 bytes, but the registers take 0x40")
    yield "reg-wraps", at(APLIC, regions(((1 << 64) - 0x1000, 0x8000))), (
        "reg"), "region 0 is malformed"
    yield "reg-many-cells", many_cells(APLIC), "reg", "region 0 is malformed"
    yield "reg-unaligned", at(APLIC, regions((base + 2, 0x7000))), "reg", (
        "0xd000002 is not aligned to 4 KiB")
    yield "reg-too-high", at(APLIC, regions((1 << 60 | base, 0x8000))), (
        "reg"), "0x100000000d000000 cannot be mapped"


def msi():
    """What can be wrong with an APLIC that sends MSIs."""
    yield "msi-parent-missing", at(APLIC, without("msi-parent")), PARENTS, (
        "no parent interrupts")
    yield "indexes-twice", numbered(1, 1), INDEXES, "1 comes twice"
    yield "indexes-parents-missing", at(APLIC, put(INDEXES, 0, 1)), PARENTS, (
        "no parent interrupts")
    # Files that the registers of an APLIC cannot describe.
    yield "low-groups", at(IMSIC, put(GROUP_BITS, 1), put(GROUP_SHIFT, 23)), (
        "msi-parent"), f"{GROUP_SHIFT} of the IMSIC"


def direct():
    """What can be wrong with an APLIC that interrupts harts itself."""
    for name, change, what in wrong_parents(APLIC):
        yield "parents-" + name, change, PARENTS, what
    yield "indexes-few", at(APLIC, put(INDEXES, 0)), INDEXES, (
        "1 indexes for 2 harts")
    yield "indexes-many", at(APLIC, put(INDEXES, 0, 1, 2)), INDEXES, (
        "3 indexes for 2 harts")
    yield "indexes-empty", at(APLIC, raw(INDEXES, b"")), INDEXES, (
        "0 indexes for 2 harts")
    yield "indexes-bytes", at(APLIC, raw(INDEXES, b"\0" * 7)), INDEXES, (
        "not 32-bit cells")
    yield "indexes-twice", at(APLIC, put(INDEXES, 1, 1)), INDEXES, (
        "1 comes twice")
    for n in (16384, 0xFFFFFFFF):
        yield f"indexes-{n}", at(APLIC, put(INDEXES, 0, n)), INDEXES, (
            f"{n} is above 16383")
    yield "indexes-beyond-reg", at(APLIC, put(INDEXES, 0, 16383)), "reg", (
        "0x8000 bytes, but the registers take 0x84000")
    yield "reg-no-idc", at(APLIC, regions((0xD000000, 0x4000))), "reg", (
        "0x4000 bytes, but the registers take 0x4040")
    yield "reg-one-idc", at(APLIC, regions((0xD000000, 0x4020))), "reg", (
        "0x4020 bytes, but the registers take 0x4040")


def refused(kind, node, prop, what):
    """The pattern of a refusal: it names the node, or the node's device."""
    _, _, address = node.partition("@")
    return (rf"^riscv-{kind}[: ].*({node}|\b{address}\.interrupt-controller): "
            rf"{prop}: .*{re.escape(what)}")


def cpus_of(change_name):
    """Which CPUs run."""
    return "0" if change_name.endswith("parents-disabled") else "0-1"


def wrong():
    """All trees that are wrong."""
    wires = Machine(aia="aplic")
    # The APLIC waits for an MSI controller that never comes.
    waits = "^aia: # deferred: d000000.interrupt-controller"

    for name, change, prop, what in imsic():
        yield Case(f"imsic-{name}", change,
                   (refused("imsic", IMSIC, prop, what), waits),
                   NOTHING, cpus_of(name))
    for name, change, prop, what in (*aplic(), *msi()):
        yield Case(f"aplic-{name}", change,
                   (refused("aplic", APLIC, prop, what),), NO_APLIC)
    for name, change, prop, what in (*aplic(), *direct()):
        yield Case(f"direct-{name}", change,
                   (refused("aplic", APLIC, prop, what),), NO_DIRECT,
                   cpus_of(name), wires)

    yield Case("imsic-second", second_imsic, (refused(
        "imsic", "interrupt-controller@2a000000", "compatible",
        "there is an IMSIC already"),), WHOLE + ",imsic@2a000000:gone")
    # The harts' external interrupt belongs to the IMSIC.
    yield Case("direct-beside-imsic", no_msi_parent, (refused(
        "aplic", "interrupt-controller@d008000", PARENTS, "IMSIC"),),
        WHOLE + ",aplic@d008000:gone", "0-3", Machine(smp=4, sockets=2))
    # Its CSRs would be illegal instructions on one of the harts.
    yield Case("imsic-hart-without-ssaia", without_ssaia, (
        rf"^riscv-imsic: .*{IMSIC}: not all harts have the AIA", waits),
        NOTHING)
    # A CPU that firmware gives no interrupt file cannot run.
    yield Case("imsic-parents-one", at(IMSIC, parents(lambda p: p[:1])),
               ("CPU 1 has no interrupt file",), WHOLE, "0")

    for name, change in (
            ("unknown", at(APLIC, put("msi-parent", NOBODY))),
            ("empty", at(APLIC, raw("msi-parent", b""))),
            ("none", lambda tree: tree["/soc/" + APLIC].set(
                "msi-parent", phandle(tree, "test@100000"))),
            ("disabled", lambda tree: tree["/soc/" + APLIC].set(
                "msi-parent", phandle(tree, M_IMSIC)))):
        yield Case(f"aplic-msi-parent-{name}", change, (waits,), NO_APLIC)

    for name, machine, left in (("aplic", Machine(), WHOLE),
                                ("direct", wires, DIRECT)):
        yield Case(f"{name}-reg-shared", second_aplic, (refused(
            "aplic", "interrupt-controller@d001000", "reg",
            "0xd001000 cannot be mapped"),),
            left + ",aplic@d001000:gone", machine=machine)
        # What devices say of their interrupts.
        none = (r"101000\.rtc: error -6: IRQ index 0 not found",)
        for number, source in (("0", 0), ("97", 97), ("1023", 1023),
                               ("max", 0xFFFFFFFF)):
            yield Case(f"{name}-child-source-{number}", at(
                "rtc@101000", put("interrupts", source, 4)), none, left,
                machine=machine)
        for trigger in (0, 3):
            yield Case(f"{name}-child-trigger-{trigger}", at(
                "rtc@101000", put("interrupts", 11, trigger)), (
                    rf"^riscv-aplic: .*{APLIC}: source 11: .*"
                    rf"trigger {trigger:#x}$", *none), left, machine=machine)
        yield Case(f"{name}-child-one-cell", at(
            "rtc@101000", put("interrupts", 11)), none, left, machine=machine)
        yield Case(f"{name}-one-cell-specifiers", at(
            APLIC, put("#interrupt-cells", 1)), none, left, machine=machine)


# Offsets of an APLIC's registers.
DOMAINCFG, SOURCECFG, SETIPNUM, SETIENUM, TARGET, IDC = (
    0, 0, 0x1CDC, 0x1EDC, 0x3000, 0x4000)
FIRST, SECOND = 0xD000000, 0xD008000


def left(base, sources, target, msi=False, idc=(1, 0, 0)):
    """An APLIC as a kernel may leave it that died: (source, mode) are enabled
    and, if edge-sensitive, pending; Level0 is pending as long as nobody has a
    wire. Delivery is on. idc: idelivery, iforce, ithreshold of two harts."""
    code = []
    for source, mode in sources:
        code += [*store(base + SOURCECFG + 4 * source, mode),
                 *store(base + TARGET + 4 * source, target),
                 *store(base + SETIENUM, source),
                 *store(base + SETIPNUM, source)]
    for hart in range(0 if msi else 2):
        for number, value in enumerate(idc):
            code += store(base + IDC + 32 * hart + 4 * number, value)
    return (*code, *store(base + DOMAINCFG, 0x104 if msi else 0x100))


def left_file():
    """The interrupt file of hart 0 as a kernel may leave it: all identities
    enabled and pending, those of the upper half masked by the threshold."""
    code = []
    # eip and eie; a 64-bit hart has the even ones only.
    for register in (*range(0x80, 0x88, 2), *range(0xC0, 0xC8, 2)):
        code += [*csrw(0x150, register), *csrw(0x151, -1)]
    for register, value in ((0x72, 128), (0x70, 1)):
        code += [*csrw(0x150, register), *csrw(0x151, value)]
    return tuple(code)


def lines(tree):
    """A node with a line of the APLIC for each number that a trigger can be,
    with and without upper bits."""
    node = Node("lines")
    node.props["compatible"] = b"aia-test,lines\0"
    node.set("interrupt-parent", phandle(tree, APLIC))
    triggers = [*range(16), 0x103, 0x104, 0xFFFFFFF0, 0xFFFFFFF8]
    node.set("interrupts", *[
        cell for n, trigger in enumerate(triggers)
        for cell in (40 + n, trigger)])
    tree["/soc"].children[node.name] = node


def powerless(tree):
    """The second APLIC is in a power domain that nobody has."""
    domain = Node("power-controller")
    domain.props["compatible"] = b"aia-test,no-power\0"
    domain.set("#power-domain-cells", 0)
    domain.set("phandle", NOBODY)
    tree.root.children[domain.name] = domain
    tree["/soc/interrupt-controller@d008000"].set("power-domains", NOBODY)


def no_msi_parent(tree):
    """The second APLIC interrupts harts itself, which have an IMSIC."""
    node = tree["/soc/interrupt-controller@d008000"]
    node.remove("msi-parent")
    parents = tree["/soc/" + IMSIC].get(PARENTS)
    node.set(PARENTS, *parents[len(parents) // 2:])


def unusual():
    """APLICs that come late, or have been left in a state: right trees."""
    direct = Machine(aia="aplic", smp=4, sockets=2)
    msi = Machine(smp=4, sockets=2)
    second = disable("/soc/interrupt-controller@d008000")
    both = DIRECT + ",aplic@d008000:there"
    asserted = left(SECOND, ((3, 7), (5, 4)), 1)

    def case(name, change, what, state, machine, **others):
        return Case(name, change, (), state, "0-3", machine, ("aplic_probe",),
                    {"aplic_probe": what}, **others)

    yield case("late", all_of(disable("/soc/" + APLIC), second), "late",
               "aplic@d000000:gone,aplic@d008000:gone", direct, log=True,
               warns="probe with driver riscv-aplic failed with error -28",
               # There are no states left.
               bears="__cpuhp_setup_state_cpuslocked")
    yield case("late-msi", second, "msi", WHOLE, msi,
               warns="@d008000: cannot create the domain|d008000.*: probe "
               "with driver riscv-aplic failed with error -12",
               before=left(SECOND, ((3, 7), (5, 4)), 0x00040005, msi=True))
    # The second one asserts the external interrupt of CPU 2: it is found in
    # the tree; nobody knows of it; it belongs to harts that do not run.
    yield case("left-second", lambda tree: None, "left", both, direct,
               before=asserted)
    unknown = "^riscv-aplic: CPU 2: .*external interrupt"
    yield dataclasses.replace(
        case("left-unknown", second, "unknown", DIRECT, direct,
             before=asserted, warns=unknown), says=(unknown,))
    # It has nothing for the kernel's harts, or maybe no power: it is left
    # alone.
    foreign = refused("aplic", "interrupt-controller@d008000", PARENTS,
                      "no hart that the kernel runs")
    yield dataclasses.replace(
        case("left-foreign", all_of(disable("/cpus/cpu@2"),
                                    disable("/cpus/cpu@3")),
             "foreign", DIRECT + ",aplic@d008000:gone", direct,
             before=asserted, warns=foreign), says=(foreign,), cpus="0-1")
    yield case("left-powerless", powerless, "powerless",
               DIRECT + ",aplic@d008000:gone", direct,
               before=left(SECOND, (), 0))
    # The APLIC that is set up first, in both modes, and an interrupt file.
    yield case("left-first", lambda tree: None, "left", both, direct,
               before=left(FIRST, ((3, 7), (5, 4), (9, 1), (95, 5)), 1,
                           idc=(1, 1, 1)))
    yield case("left-msi", lambda tree: None, "left", WHOLE +
               ",aplic@d008000:there", msi, before=(
                   *left(FIRST, ((3, 7), (5, 4), (9, 1), (95, 5)), 0x00040005,
                         msi=True), *left_file()))
    # QEMU has other numbers, so that no wire interrupts anybody.
    some = f"{APLIC}|d000000.*: {INDEXES}: those of 1 of 2 harts are ignored"
    yield Case("indexes-some", some_numbered, (some,), WHOLE, "0-1",
               Machine(), ("topology", "wired"), warns=some)
    yield Case("indexes", numbered(5, 9), (), WHOLE, "0-1", Machine(),
               ("aplic_probe",), {"aplic_probe": "numbers"}, log=True,
               warns="does not send extempore MSIs|an MSI to itself does not")
    for name, machine, state in (("lines", Machine(), WHOLE),
                                 ("direct-lines", Machine(aia="aplic"),
                                  DIRECT)):
        yield Case(name, lines, (), state, "0-1", machine, ("aplic_probe",),
                   {"aplic_probe": "lines"}, warns="there is no trigger 0x")


def shared_harts(tree):
    """The APLIC that comes last interrupts the harts of the other one too, by
    IDCs that are beyond its own ones: nothing goes there by itself."""
    first, other = (tree["/soc/interrupt-controller@" + unit]
                    for unit in ("d000000", "d008000"))
    first.set(PARENTS, *first.get(PARENTS), *other.get(PARENTS))
    first.set(INDEXES, 0, 1, 2, 3)
    nodes = tree["/soc"].children
    nodes[first.name] = nodes.pop(first.name)


def kvm():
    """Guest files that are not as QEMU has them: the tree knows of fewer, or
    of fewer identities than the host's own files have."""
    base = 0x28000000

    def case(name, change, smp, files=3):
        return Case("kvm-" + name, change, (), WHOLE, f"0-{smp - 1}",
                    Machine(smp=smp), ("kvm-guestfile", "kvm-aia-hwaccel"),
                    files=files, timeout=900, args={"kvm_rounds": 4})

    yield case("guest-ids-63", at(IMSIC, put(GUEST_IDS, 63)), 2)
    # Harts with 2, 3, 1 and 3 files.
    yield case("unequal-harts", at(IMSIC, regions(
        (base, 0x3000), (base + 0x4000, 0x6000), (base + 0xC000, 0x4000)
    )), 4, 1)
    # One hart has none, so that KVM has none.
    yield case("hart-without-files", at(IMSIC, regions(
        (base, 0x5000), (base + 0x8000, 0x4000))), 3, 0)


def right():
    """Trees that are unusual, but right."""
    tests = ("topology", "trigger")
    base = 0x28000000
    two_sockets = Machine(smp=4, sockets=2)
    both = WHOLE + ",aplic@d008000:there"

    def says(*texts):
        return tuple(f"^riscv-imsic.*: .*{text}" for text in texts)

    usual = says("per-CPU IDs 255 at base address 0x0*28000000",
                 "3 to 3 guest files")
    unequal = says("1 to 3 guest files")

    def case(name, change, what, left=WHOLE, cpus="0-1", **others):
        return Case(name, change, what, left, cpus, tests=tests, **others)

    yield case("usual", lambda tree: None, usual)
    for n in (63, 127):
        yield case(f"ids-{n}", at(IMSIC, put(IDS, n)),
                   says(f"per-CPU IDs {n} at base"))
    yield case("guest-ids-63", at(IMSIC, put(GUEST_IDS, 63)), usual)
    for n in (1, 3):
        yield case(f"hart-bits-{n}", both_imsics(put(HART_BITS, n)),
                   says(f"hart-index-bits: {n}"), firmware=True)
    # The position of no group means nothing.
    yield case("group-shift-unused", at(IMSIC, put(GROUP_SHIFT, 0xFFFFFFFF)),
               usual)
    yield case("reg-two-regions", at(IMSIC, regions(
        (base, 0x4000), (base + 0x4000, 0x4000))), usual)
    yield case("reg-hole", at(IMSIC, regions(
        (base, 0x2000), (base + 0x4000, 0x4000))), unequal)
    yield case("reg-last-hart-short", at(IMSIC, regions((base, 0x6000))),
               unequal)
    yield case("reg-no-guest-files", at(IMSIC, regions(
        (base, 0x1000), (base + 0x4000, 0x1000))), says("0 to 0 guest files"))
    yield case("harts-reversed", at(IMSIC, parents(lambda p: p[::-1]), regions(
        (base + 0x4000, 0x4000), (base, 0x4000))), usual)
    yield case("hart-disabled", disable("/cpus/cpu@1"),
               says("the kernel does not run 1 of 2 harts"), cpus="0",
               warns="the kernel does not run 1 of 2 harts")
    # As for a crash kernel with one CPU, whose devices are anywhere.
    yield case("indexes-others", all_of(disable("/cpus/cpu@1"), some_numbered),
               says("the kernel does not run 1 of 2 harts"), cpus="0",
               warns="the kernel does not run 1 of 2 harts")
    # Two APLICs, and two groups of harts.
    yield case("sockets", lambda tree: None,
               says("group-index-bits: 1, +group-index-shift: 24"), both,
               "0-3", machine=two_sockets)
    # As many bits as the harts of all groups together need.
    yield case("sockets-no-hart-bits", both_imsics(without(HART_BITS)),
               says("hart-index-bits: 2"), both, "0-3", machine=two_sockets,
               firmware=True)

    def wires(number):
        return (r"^riscv-aplic.*: 96 interrupts directly connected to "
                f"{number} CPUs",)

    def direct_case(name, change, number, cpus="0-1"):
        return Case(f"direct-{name}", change, wires(number), DIRECT, cpus,
                    Machine(aia="aplic"), ("topology",))

    yield direct_case("usual", lambda tree: None, 2)
    yield direct_case("indexes", at(APLIC, put(INDEXES, 0, 1)), 2)
    yield direct_case("harts-reversed", at(
        APLIC, parents(lambda p: p[::-1]), put(INDEXES, 1, 0)), 2)
    yield direct_case("hart-disabled", disable("/cpus/cpu@1"), 1, "0")
    # Two APLICs that interrupt the same harts, each by wires of its own: the
    # second one must not take the first one's interrupts away (candidate 14).
    yield Case("direct-shared-harts", shared_harts, wires(4), DIRECT +
               ",aplic@d008000:there", "0-3",
               Machine(smp=4, sockets=2, aia="aplic"),
               ("topology",))
    yield from kvm()
    yield from unusual()


class Dumps:
    """QEMU's own device trees, each made once."""

    def __init__(self):
        self.lock = threading.Lock()
        self.blobs = {}

    def get(self, machine):
        """The tree of a machine."""
        command = machine.command()
        key = tuple(command)
        with self.lock, tempfile.TemporaryDirectory(prefix="aia-") as tmp:
            if key not in self.blobs:
                path = os.path.join(tmp, "dtb")
                command[command.index("-M") + 1] += f",dumpdtb={path}"
                subprocess.run(command, check=True, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
                with open(path, "rb") as f:
                    self.blobs[key] = f.read()
            return self.blobs[key]


DUMPS = Dumps()


def write(directory, name, data):
    """Makes a file, returns its path."""
    path = os.path.join(directory, name)
    with open(path, "wb") as f:
        f.write(data)
    return path


def for_all(case, directory, kernel, initrd, append):
    """Boots with the tree from the start: the firmware tells the APLIC where
    to send its MSIs."""
    tree = Tree(DUMPS.get(case.machine))
    case.change(tree)
    return case.machine.command(
        "-kernel", kernel, "-initrd", initrd, "-append", append,
        "-dtb", write(directory, "dtb", tree.blob()))


def for_kernel(case, directory, kernel, initrd, append):
    """Boots so that only the kernel gets the tree: the firmware stops at many
    a wrong one."""
    tree = prepare_tree(DUMPS.get(case.machine), append,
                        os.path.getsize(initrd))
    case.change(tree)
    dtb = write(directory, "dtb", tree.blob())
    start = write(directory, "start", hand_over(case.before))
    arguments = ["-kernel", start]
    for path, address in ((kernel, KERNEL), (dtb, TREE), (initrd, INITRD)):
        arguments += ["-device", f"loader,file={path},addr={address:#x},"
                      "force-raw=on"]
    return case.machine.command(*arguments)


def boot(case, row, kernel, initrd, log):
    """Boots a tree; returns the results."""
    case = dataclasses.replace(case, machine=row.machine)
    # What is in the row's other arguments is about QEMU's own tree.
    args = {"malformed": f"{case.left},cpus:{case.cpus}", **case.args,
            **row.rust_args}
    extra = "printk.devkmsg=on"
    if case.log or not case.tests:
        extra += " aia.log"
    append = append_line(row.tests, args, extra=extra)
    make = for_all if case.firmware else for_kernel
    expect = {f"says {what}": what for what in case.says}
    expect["switches itself off"] = "reboot: Power down"
    console = LogConsole(row, expect, case.bears)
    with tempfile.TemporaryDirectory(prefix="aia-") as directory:
        command = make(case, directory, kernel, initrd, append)
        why = Boot(command, console, log, row.timeout, row.silence).run()
    return console.finish(why)


# What is read as others are that "make test" has: in "make test-long".
ALIKE = re.compile(
    r"dt-imsic-(guest-ids|(guest|hart|group)-bits|group-shift)"
    r"-(short|two-cells)|dt-direct-(sources|reg)-(?!no-idc|one-idc|shared).*")


def rows(make_row, make_debug_row):
    """The rows for the table of machines."""
    cases = [*((f"dt-{case.name}", dataclasses.replace(case, warns=OF_A_NODE))
               for case in wrong()),
             *((f"dt-right-{case.name}", case) for case in right())]
    for name, case in cases:
        def how(row, kernel, initrd, log, case=case):
            return boot(case, row, kernel, initrd, log)

        tests = ["malformed", *case.tests]
        fields = {"warns": case.warns, "files": case.files, "boot": how}
        yield make_row(name, case.machine, tests, impl=("rust",),
                       timeout=case.timeout,
                       long=bool(ALIKE.fullmatch(name)), **fields)
        if name in DEBUG:
            yield make_debug_row(name, case.machine, tests, timeout=600,
                                 **fields)
