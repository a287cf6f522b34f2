# SPDX-License-Identifier: GPL-2.0
"""Malformed device trees: QEMU's own with one thing wrong.

Each is booted. The driver must say which node and which property it does not
like, and the kernel must come to user space and to power-off without it.
"""

import dataclasses
import re
import typing

from fdt import cells
from machine import Machine

IMSIC = "interrupt-controller@28000000"
APLIC = "interrupt-controller@d000000"
SECOND = "interrupt-controller@2a000000"

# Interrupts of a hart: the external ones of S-mode and of M-mode.
S_EXT, M_EXT = 9, 11


@dataclasses.dataclass
class Malformed:
    """One wrong tree: what to do to it, and what the driver has to name."""

    name: str
    node: str
    change: typing.Callable
    # The property, or several if it may name any of them.
    props: tuple
    # The node that is refused, if it is not the one that is changed.
    named: str = ""
    machine: Machine = dataclasses.field(default_factory=Machine)

    def pattern(self):
        """What the kernel's log has to say."""
        props = "|".join(re.escape(p) for p in self.props)
        return f"{self.named or self.node}.*({props})"


def put(prop, *values):
    """A property gets these cells."""
    return lambda node, _tree: node.set(prop, *values)


def raw(prop, data):
    """A property gets these bytes."""
    return lambda node, _tree: node.props.__setitem__(prop, data)


def without(*props):
    """Properties are missing."""
    def change(node, _tree):
        for prop in props:
            node.remove(prop)
    return change


def parents(edit):
    """Rewrites interrupts-extended as a list of (phandle, interrupt)."""
    def change(node, _tree):
        old = node.get("interrupts-extended")
        pairs = edit(list(zip(old[::2], old[1::2])))
        node.set("interrupts-extended", *[c for pair in pairs for c in pair])
    return change


def reg(edit):
    """Rewrites the first region as (start, size)."""
    def change(node, _tree):
        high, low, size_high, size_low = node.get("reg")[:4]
        start, size = edit(high << 32 | low, size_high << 32 | size_low)
        node.set("reg", start >> 32, start & 0xFFFFFFFF, size >> 32,
                 size & 0xFFFFFFFF)
    return change


def second_imsic(node, tree):
    """The same IMSIC once more, somewhere else."""
    other = node.copy(SECOND)
    other.set("reg", 0, 0x2A000000, *node.get("reg")[2:4])
    other.set("phandle", 0x7777)
    tree["/soc"].children[other.name] = other


def parents_cut(node, _tree):
    """The last parent has no interrupt."""
    node.set("interrupts-extended", *node.get("interrupts-extended")[:-1])


def foreign_parent(node, tree):
    """The second parent is the APLIC of M-mode instead of a hart."""
    aplic, = tree["/soc/interrupt-controller@c000000"].get("phandle")
    node.set("interrupts-extended", node.get("interrupts-extended")[0], S_EXT,
             aplic, S_EXT)


def imsic():
    """What can be wrong with an IMSIC."""
    ids = "riscv,num-ids"
    guest_ids = "riscv,num-guest-ids"
    guest_bits = "riscv,guest-index-bits"
    hart_bits = "riscv,hart-index-bits"
    group_bits = "riscv,group-index-bits"
    shift = "riscv,group-index-shift"
    parent = "interrupts-extended"
    yield "no-ids", without(ids), (ids,)
    for n in (0, 1, 62, 64, 100, 256, 2048, 4095, 0xFFFFFFFF):
        yield f"ids-{n}", put(ids, n), (ids,)
    yield "ids-short", raw(ids, b"\0\xff"), (ids,)
    yield "ids-empty", raw(ids, b""), (ids,)
    for n in (0, 100, 2048):
        yield f"guest-ids-{n}", put(guest_ids, n), (guest_ids,)
    yield "no-reg", without("reg"), ("reg",)
    yield "reg-empty", raw("reg", b""), ("reg",)
    yield "reg-short", put("reg", 0, 0x28000000), ("reg",)
    yield "reg-size-0", reg(lambda start, size: (start, 0)), ("reg",)
    yield "reg-one-page", reg(lambda start, size: (start, 0x1000)), ("reg",)
    yield "reg-half", reg(lambda start, size: (start, size // 2)), ("reg",)
    yield "reg-odd-size", reg(lambda start, size: (start, 0x1800)), ("reg",)
    yield "reg-misaligned", reg(lambda start, size: (start + 0x800, size)), (
        "reg",)
    yield "no-parents", without(parent), (parent,)
    yield "parents-empty", raw(parent, b""), (parent,)
    yield "parents-cut", parents_cut, (parent,)
    # Here the core notices first: the driver is not even asked.
    yield "parents-no-controller", raw(parent, cells(1, S_EXT)), (
        parent, "#interrupt-cells")
    yield "parents-dangling", parents(
        lambda pairs: [pairs[0], (0x7FFF, S_EXT)]), (parent,)
    yield "parents-mixed", parents(
        lambda pairs: [pairs[0], (pairs[1][0], M_EXT)]), (parent,)
    yield "parents-local", parents(
        lambda pairs: [pairs[0], (pairs[1][0], 5)]), (parent,)
    yield "parents-twice", parents(
        lambda pairs: [pairs[0], pairs[0]]), (parent,)
    yield "parents-foreign", foreign_parent, (parent,)
    yield "more-harts-than-pages", parents(
        lambda pairs: pairs * 40), ("reg", parent, hart_bits)
    for n in (8, 0xFFFFFFFF):
        yield f"guest-bits-{n}", put(guest_bits, n), (guest_bits, "reg")
    yield "hart-bits-0", put(hart_bits, 0), (hart_bits, "reg")
    for n in (16, 17, 53, 0xFFFFFFFF):
        yield f"hart-bits-{n}", put(hart_bits, n), (hart_bits, shift)
    for n in (8, 64, 0xFFFFFFFF):
        yield f"group-bits-{n}", put(group_bits, n), (group_bits,)

    def group(bits, at):
        def change(node, _tree):
            node.set(group_bits, bits)
            node.set(shift, at)
        return change
    for n in (0, 12, 13, 14):
        yield f"group-shift-{n}", group(1, n), (shift, group_bits)
    for n in (63, 64, 0xFFFFFFFF):
        yield f"group-shift-{n}", group(2, n), (shift, group_bits)
    yield "second", second_imsic, ("compatible",), SECOND


def aplic():
    """What can be wrong with an APLIC that sends MSIs."""
    sources = "riscv,num-sources"
    yield "no-sources", without(sources), (sources,)
    for n in (0, 1024, 0xFFFFFFFF):
        yield f"sources-{n}", put(sources, n), (sources,)
    yield "sources-short", raw(sources, b"\x60"), (sources,)
    yield "no-reg", without("reg"), ("reg",)
    yield "reg-small", reg(lambda start, size: (start, 0x1000)), ("reg",)
    yield "reg-size-0", reg(lambda start, size: (start, 0)), ("reg",)
    yield "no-way-out", without("msi-parent"), ("interrupts-extended",)


def direct():
    """What can be wrong with an APLIC that interrupts harts itself."""
    parent = "interrupts-extended"
    indexes = "riscv,hart-indexes"
    yield "no-parents", without(parent), (parent,)
    yield "parents-empty", raw(parent, b""), (parent,)
    yield "parents-cut", parents_cut, (parent,)
    # Here the core notices first: the driver is not even asked.
    yield "parents-no-controller", raw(parent, cells(1, S_EXT)), (
        parent, "#interrupt-cells")
    yield "parents-dangling", parents(
        lambda pairs: [pairs[0], (0x7FFF, S_EXT)]), (parent,)
    yield "parents-mixed", parents(
        lambda pairs: [pairs[0], (pairs[1][0], M_EXT)]), (parent,)
    yield "parents-twice", parents(
        lambda pairs: [pairs[0], pairs[0]]), (parent, indexes)
    yield "indexes-few", put(indexes, 0), (indexes,)
    yield "indexes-many", put(indexes, 0, 1, 2), (indexes,)
    yield "indexes-twice", put(indexes, 1, 1), (indexes,)
    yield "indexes-high", put(indexes, 0, 16384), (indexes,)
    yield "indexes-odd", raw(indexes, b"\0\0\0\0\0"), (indexes,)
    yield "reg-no-idc", reg(lambda start, size: (start, 0x4000)), ("reg",)
    yield "reg-one-idc", reg(lambda start, size: (start, 0x4020)), ("reg",)


def table():
    """All malformed trees."""
    wires = Machine(aia="aplic")
    return [
        *(Malformed(f"imsic-{n}", IMSIC, *rest) for n, *rest in imsic()),
        *(Malformed(f"aplic-{n}", APLIC, c, p) for n, c, p in aplic()),
        *(Malformed(f"direct-{n}", APLIC, c, p, machine=wires)
          for n, c, p in direct()),
    ]
