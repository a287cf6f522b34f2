# SPDX-License-Identifier: GPL-2.0
"""MADTs that are wrong, or right but unusual: QEMU's own, changed.

The MADT is ACPI's table of interrupt controllers (ACPI 6.6, 5.2.12). The
kernel takes the changed one from the initrd instead of the firmware's
(CONFIG_ACPI_TABLE_UPGRADE). As with trees (malformed.py): a wrong table is
wrong in one way, the driver must name the structure and the field, and
selftests/malformed looks for what is left.
"""

import copy
import dataclasses
import hashlib
import os
import re
import shutil
import struct
import tempfile

import acpi
from boot import Boot, append_line
from image import Cpio
from machine import Machine
from malformed import Case, LogConsole, all_of, write

# Types of structures, and what they are made of.
RINTC, IMSIC, APLIC = 0x18, 0x19, 0x1A
LAYOUTS = {
    RINTC: ("<BBBBIQIIQI", (
        "type", "length", "version", "reserved", "flags", "hart_id", "uid",
        "ext_intc_id", "imsic_addr", "imsic_size")),
    IMSIC: ("<BBBBIHHBBBB", (
        "type", "length", "version", "reserved", "flags", "num_ids",
        "num_guest_ids", "guest_index_bits", "hart_index_bits",
        "group_index_bits", "group_index_shift")),
    APLIC: ("<BBBBIQHHIQI", (
        "type", "length", "version", "id", "flags", "hw_id", "num_idcs",
        "num_sources", "gsi_base", "base_addr", "size")),
}
# Signature, length, revision, checksum, OEM, its table, its revision, creator
# and its revision; then the address of no local controller, and flags.
HEADER = "<4sIBB6s8sI4sIII"
CHECKSUM = 9

IMSIC_BASE, APLIC_BASE = 0x28000000, 0xD000000
PAGE, GROUP, APLIC_SIZE, SOURCES = 0x1000, 1 << 24, 0x8000, 96

# What selftests/malformed is to find.
BOTH = "imsic@28000000:there,aplic@d000000:there"
NO_APLIC = "imsic@28000000:there,aplic@d000000:gone"
NOTHING = "imsic@28000000:gone,aplic@d000000:gone"
DIRECT = "aplic@d000000:there"
NO_DIRECT = "aplic@d000000:gone"


class Structure:
    """One structure of the table, zero where it is not said otherwise."""

    def __init__(self, kind, **fields):
        self.format, names = LAYOUTS[kind]
        self.fields = dict.fromkeys(names, 0)
        # More or fewer bytes than the fields take.
        self.size = struct.calcsize(self.format)
        self.put(type=kind, length=self.size, version=1, **fields)

    def put(self, **fields):
        """Fields get these values."""
        for name, value in fields.items():
            assert name in self.fields, name
            self.fields[name] = value

    def cut(self, size):
        """It ends here, and says so; or it has this many bytes."""
        self.size = self.fields["length"] = size

    def blob(self):
        """Its bytes."""
        data = struct.pack(self.format, *self.fields.values())
        return data[:self.size].ljust(self.size, b"\0")


class Table:
    """The MADT as QEMU makes it for a machine."""

    def __init__(self, machine):
        harts = machine.smp // machine.sockets
        msi = machine.aia == "aplic-imsic"
        guest_bits = machine.guest_files.bit_length()
        stride = PAGE << guest_bits
        # Bytes behind the last structure that the table does not count.
        self.missing = 0
        self.structures = []
        for hart in range(machine.smp):
            socket, local = divmod(hart, harts)
            files = {
                "imsic_addr": IMSIC_BASE + socket * GROUP + local * stride,
                "imsic_size": stride} if msi else {
                "ext_intc_id": socket << 24 | local}
            self.structures.append(Structure(
                RINTC, flags=1, hart_id=hart, uid=hart, **files))
        if msi:
            self.structures.append(Structure(
                IMSIC, num_ids=255, num_guest_ids=255,
                guest_index_bits=guest_bits,
                hart_index_bits=(harts - 1).bit_length(),
                group_index_bits=(machine.sockets - 1).bit_length(),
                group_index_shift=24))
        for socket in range(machine.sockets):
            self.structures.append(Structure(
                APLIC, id=socket, num_idcs=0 if msi else harts,
                num_sources=SOURCES, gsi_base=SOURCES * socket,
                base_addr=APLIC_BASE + APLIC_SIZE * socket, size=APLIC_SIZE))

    def of(self, kind):
        """The structures of a type."""
        return [one for one in self.structures if one.fields["type"] == kind]

    def blob(self, revision=2):
        """Its bytes. QEMU's has revision 1: the kernel takes a later one."""
        body = b"".join(one.blob() for one in self.structures)
        body = body[:len(body) - self.missing]
        data = bytearray(struct.pack(
            HEADER, b"APIC", struct.calcsize(HEADER) + len(body), 6, 0,
            b"BOCHS ", b"BXPC    ", revision, b"BXPC", 1, 0, 0) + body)
        data[CHECKSUM] = -sum(data) & 0xFF
        return bytes(data)


# Ways to change a table.

def at(kind, number, **fields):
    """The structure of this number of a type gets these values."""
    return lambda table: table.of(kind)[number].put(**fields)


def every(kind, **fields):
    """All structures of a type get these values."""
    def change(table):
        for one in table.of(kind):
            one.put(**fields)
    return change


def imsic(**fields):
    """The IMSIC gets these values."""
    return at(IMSIC, 0, **fields)


def rintc(number, **fields):
    """A hart gets these values."""
    return at(RINTC, number, **fields)


def aplic(number, **fields):
    """An APLIC gets these values."""
    return at(APLIC, number, **fields)


def again(kind, **fields):
    """The first structure of a type comes once more, with these values."""
    def change(table):
        other = copy.deepcopy(table.of(kind)[0])
        other.put(**fields)
        table.structures.append(other)
    return change


def without(kind):
    """There are no structures of a type."""
    def change(table):
        for one in table.of(kind):
            table.structures.remove(one)
    return change


def cut(kind, number, size):
    """A structure has this many bytes."""
    return lambda table: table.of(kind)[number].cut(size)


def last(kind, missing):
    """A structure comes last, and the table ends before it does."""
    def change(table):
        one = table.of(kind)[0]
        table.structures.remove(one)
        table.structures.append(one)
        table.missing = missing
    return change


def alien(table):
    """Structures that nobody knows come first."""
    one = Structure(IMSIC)
    one.put(type=0x7F)
    one.cut(40)
    table.structures.insert(0, one)


def backwards(table):
    """All structures in the other order."""
    table.structures.reverse()


# What a structure's field is called in a message.
IDS = "MADT: IMSIC: supervisor mode interrupt identities"
GUEST_IDS = "MADT: IMSIC: guest mode interrupt identities"
SHIFT = "MADT: IMSIC: group index shift"
FILES = "MADT: RINTC: IMSIC base address and size"
HART = "MADT: RINTC: hart ID"
PARENT = "MADT: RINTC: external interrupt controller ID"
IDC = "MADT: RINTC: IDC number"
SOURCES_OF = "MADT: APLIC: external interrupt sources"


def numbers():
    """What can be wrong with the numbers of the IMSIC: name, change, field,
    message."""
    for name, field, prop in (("ids", "num_ids", IDS),
                              ("guest-ids", "num_guest_ids", GUEST_IDS)):
        for n in (0, 62, 64, 2111):
            yield f"{name}-{n}", imsic(**{field: n}), prop, (
                f"{n} is not a multiple of 64 minus one")
    for name, n in (("guest", 8), ("hart", 16), ("group", 8)):
        yield f"{name}-bits-{n}", imsic(**{f"{name}_index_bits": n}), (
            f"MADT: IMSIC: {name} index bits"), f"{name} index bits too big"
    for n in (0, 14):
        yield f"group-shift-{n}", imsic(
            group_index_bits=1, group_index_shift=n), SHIFT, (
                "group index overlaps hart or guest index")
    for n in (63, 255):
        yield f"group-shift-{n}", imsic(
            group_index_bits=2, group_index_shift=n), SHIFT, (
                "group index shift too big")
    # These are right by themselves, but no harts' files are there.
    other_base = "region 1: region address does not match the first region's"
    for name, change in (
            ("guest-bits-1", imsic(guest_index_bits=1)),
            ("guest-bits-0", imsic(guest_index_bits=0)),
            ("hart-bits-0", imsic(hart_index_bits=0))):
        yield name, change, FILES, other_base
    yield "guest-bits-3", imsic(guest_index_bits=3), FILES, (
        "region 1: region not aligned to a hart's interrupt files")


def files():
    """What can be wrong with a hart's interrupt files: name, change,
    message."""
    small = "region smaller than a page"
    second = IMSIC_BASE + 0x4000
    yield "none", every(RINTC, imsic_addr=0, imsic_size=0), (
        f"region 0: {small}")
    yield "none-of-one", rintc(1, imsic_addr=0, imsic_size=0), (
        f"region 1: {small}")
    yield "size-0", rintc(1, imsic_size=0), f"region 1: {small}"
    yield "half-page", rintc(1, imsic_size=0x800), f"region 1: {small}"
    yield "odd-size", rintc(1, imsic_size=0x3800), (
        "region 1: region size not a multiple of the page size")
    yield "huge", rintc(1, imsic_size=0xFFFFF000), (
        "region 1: more than any number of harts takes")
    for name, address in (("0", 0), ("elsewhere", second + GROUP),
                          ("beyond-bits", second + 0x4000)):
        yield f"address-{name}", rintc(1, imsic_addr=address), (
            "region 1: region address does not match the first region's")
    yield "first-unaligned", rintc(0, imsic_addr=IMSIC_BASE + 0x800), (
        "address is not aligned to a page")
    yield "unaligned-page", rintc(1, imsic_addr=second + 0x800), (
        "region 1: region not aligned to a hart's interrupt files")
    yield "unaligned-hart", rintc(1, imsic_addr=second + 0x1000), (
        "region 1: region not aligned to a hart's interrupt files")
    yield "same", rintc(1, imsic_addr=IMSIC_BASE), (
        "region 1: region overlaps another one")
    yield "overlap", rintc(0, imsic_size=0x5000), (
        "region 1: region overlaps another one")
    yield "wrap", all_of(
        rintc(0, imsic_addr=(1 << 64) - 0x8000),
        rintc(1, imsic_addr=(1 << 64) - 0x4000, imsic_size=0x8000)), (
            "region 1: region exceeds the address space")
    # Beyond the 56 bits of a physical address.
    yield "too-high", all_of(
        rintc(0, imsic_addr=1 << 60 | IMSIC_BASE),
        rintc(1, imsic_addr=1 << 60 | second)), "cannot be mapped"


def refused(kind, what):
    """The pattern of a refusal."""
    return rf"^riscv-{kind}: .*{re.escape(what)}"


def wrong():
    """All tables that are wrong."""
    wires = Machine(aia="aplic")
    four = Machine(smp=4, sockets=2)
    four_wires = Machine(smp=4, sockets=2, aia="aplic")
    # Nobody takes an APLIC's MSIs.
    waits = refused("aplic", "MADT: APLIC: number of IDCs: 0, and there is no "
                    "IMSIC")

    def nothing(name, change, what, there=NOTHING, *others):
        return Case(f"imsic-{name}", change, (refused("imsic", what), waits),
                    there, *others)

    for name, change, prop, what in (
            *numbers(), *((f"files-{name}", change, FILES, what)
                          for name, change, what in files())):
        yield nothing(name, change, f"{prop}: {what}")
    # A hart has an enabled structure, and one that is disabled.
    yield nothing("hart-twice", again(RINTC, hart_id=1, flags=0),
                  f"{HART}: number 2 names hart 1 again")
    for name, change in (("short", cut(IMSIC, 0, 12)),
                         ("beyond-table", last(IMSIC, 2))):
        yield nothing(name, change, "MADT: IMSIC: the structure is too short")
    for name, smp, cpus in ("", 2, "0-1"), ("-one-hart", 1, "0"):
        yield Case(f"imsic-missing{name}", without(IMSIC), (waits,), NOTHING,
                   cpus, Machine(smp=smp))
    yield Case("imsic-second", again(IMSIC, num_ids=63), (refused(
        "imsic", "MADT: IMSIC: there is an IMSIC already"),), BOTH)
    for name, change, what in (
            ("group-bits-0", imsic(group_index_bits=0), "region 2: "),
            ("group-shift-25", imsic(group_index_shift=25), "region 2: ")):
        yield nothing(name, change, f"{FILES}: {what}",
                      NOTHING + ",aplic@d008000:gone", "0-3", four)

    def lost(name, change, there, **others):
        # The kernel itself complains for each device whose interrupt is none.
        return Case(name, change, (refused(
            "aplic", "_GSB: no APLIC of the MADT begins at this interrupt"),),
            there, bears="acpi_register_gsi", **others)

    for name, machine, gone in (("aplic", Machine(), NO_APLIC),
                                ("direct", wires, NO_DIRECT)):
        for n in (0, 1024):
            yield Case(f"{name}-sources-{n}", aplic(0, num_sources=n), (
                refused("aplic", f"{SOURCES_OF}: {n} is not from 1 to 1023"),
                ), gone,
                machine=machine)
        for n in (1, 0xFFFFFFF0):
            yield lost(f"{name}-gsi-base-{n}", aplic(0, gsi_base=n), gone,
                       machine=machine)
        yield lost(f"{name}-missing", without(APLIC), gone, machine=machine)
        for short, change in (("short", cut(APLIC, 0, 32)),
                              ("beyond-table", last(APLIC, 2))):
            yield Case(f"{name}-{short}", change, (refused(
                "aplic", "MADT: APLIC: the structure is too short"),), gone,
                machine=machine)
    for name, machine, there in (("aplic", four, BOTH),
                                 ("direct", four_wires, DIRECT)):
        for n in (0, 50):
            yield lost(f"{name}-gsi-base-of-other-{n}", aplic(1, gsi_base=n),
                       there + ",aplic@d008000:gone", cpus="0-3",
                       machine=machine)

    def direct(name, change, what, machine=wires, there=NO_DIRECT, **others):
        return Case(f"direct-{name}", change, (refused("aplic", what),),
                    there, machine=machine, **others)

    yield direct("idc-twice", every(RINTC, ext_intc_id=0),
                 f"{IDC}: 0 comes twice")
    yield direct("idc-16384", rintc(1, ext_intc_id=16384),
                 f"{IDC}: 16384 is above 16383")
    yield direct("idc-beyond-registers", rintc(1, ext_intc_id=16383),
                 "_CRS: 0x8000 bytes, but the registers take 0x84000")
    yield direct("id-of-nobody", aplic(0, id=5),
                 f"{PARENT}: no hart that the kernel runs")
    yield direct("parent-of-nobody", every(RINTC, ext_intc_id=5 << 24),
                 f"{PARENT}: no hart that the kernel runs")
    yield direct("no-idcs", aplic(0, num_idcs=0),
                 "MADT: APLIC: number of IDCs: 0, and there is no IMSIC")
    yield direct("id-twice", aplic(1, id=0),
                 "MADT: APLIC: ID: 0 comes 2 times", four_wires,
                 NO_DIRECT + ",aplic@d008000:gone", cpus="0-3")


def right():
    """Tables that are unusual, but right."""

    def says(*texts):
        return tuple(f"^riscv-imsic: .*{text}" for text in texts)

    def case(name, change, what, state=BOTH, cpus="0-1", **others):
        return Case(name, change, what, state, cpus,
                    tests=("topology", "trigger"), **others)

    usual = says("per-CPU IDs 255 at base address 0x0*28000000",
                 "3 to 3 guest files")
    yield case("usual", None, usual)
    # Versions, flags and fields that mean nothing, structures that nobody
    # knows or that are longer than the driver knows them.
    yield case("odd", all_of(
        alien, every(RINTC, version=255, reserved=255, flags=0xFFFFFFFF,
                     ext_intc_id=0xFFFFFFFF),
        every(IMSIC, version=255, reserved=255, flags=0xFFFFFFFF,
              group_index_shift=255),
        every(APLIC, version=0, flags=0xFFFFFFFF, hw_id=1 << 63, id=255),
        *(cut(kind, 0, 48) for kind in LAYOUTS)), usual)
    yield case("backwards", backwards, usual)
    for n in (63, 127):
        yield case(f"ids-{n}", imsic(num_ids=n, num_guest_ids=n),
                   says(f"per-CPU IDs {n} at base"))
    yield case("hart-bits-15", imsic(hart_index_bits=15),
               says("hart-index-bits: 15"))
    # Guest files: one hart has none; the other's registers go on behind.
    yield case("files-unequal", all_of(
        rintc(0, imsic_size=PAGE), rintc(1, imsic_size=0x8000)),
        says("0 to 3 guest files"), files=0)
    # Harts that are not there.
    yield case("hart-disabled", again(
        RINTC, hart_id=7, uid=7, flags=0, imsic_addr=0, imsic_size=0), usual)
    # Only _CRS says where an APLIC is.
    yield case("aplic-base-nothing", aplic(0, base_addr=0xE000000), usual)
    yield case("sockets", None,
               says("group-index-bits: 1, +group-index-shift: 24"),
               BOTH + ",aplic@d008000:there", "0-3",
               machine=Machine(smp=4, sockets=2))

    def wires(name, change, number=2, machine=Machine(aia="aplic"),
              state=DIRECT, cpus="0-1", also=(), **others):
        return Case(f"direct-{name}", change, (
            r"^riscv-aplic.*: \d+ interrupts directly connected to "
            f"{number} CPUs", *also), state, cpus, machine, ("topology",),
            **others)

    both = {"machine": Machine(smp=4, sockets=2, aia="aplic"), "cpus": "0-3",
            "state": DIRECT + ",aplic@d008000:there"}

    yield wires("usual", None)
    yield wires("odd", all_of(
        alien, every(RINTC, version=255, reserved=255, flags=0xFFFFFFFF),
        every(APLIC, version=0, flags=0xFFFFFFFF, hw_id=1 << 63),
        *(cut(kind, 0, 48) for kind in (RINTC, APLIC))))
    for n in (1, 3, 16385):
        other = f"MADT: APLIC: {n} IDCs, but 2 harts name it"
        yield wires(f"idcs-{n}", aplic(0, num_idcs=n), also=(other,),
                    warns=other)
    for name, fields in (
            ("base-0", {"base_addr": 0}),
            ("base-nothing", {"base_addr": 0xE000000}),
            ("base-unaligned", {"base_addr": APLIC_BASE + 0x800}),
            ("base-wraps", {"base_addr": (1 << 64) - PAGE}),
            ("size-0", {"size": 0}), ("size-small", {"size": 0x800})):
        yield wires(name, aplic(0, **fields))
    yield wires("base-of-other", aplic(1, base_addr=APLIC_BASE), **both)
    # The first one says that it has the second one's sources too.
    yield wires("sources-of-other", aplic(0, num_sources=200), **both)


def override(directory, table, initrd):
    """An initrd with a table for the kernel in front of the files; returns its
    path."""
    path = os.path.join(directory, "initrd")
    cpio = Cpio(path)
    for name in ("kernel", "kernel/firmware", "kernel/firmware/acpi"):
        cpio.directory(name)
    cpio.regular("kernel/firmware/acpi/apic.aml",
                 write(directory, "apic.aml", table))
    cpio.close()
    with open(path, "ab") as new, open(initrd, "rb") as old:
        new.write(b"\0" * (-new.tell() % 512))
        shutil.copyfileobj(old, new)
    return path


def boot(case, row, kernel, initrd, log):
    """Boots with a table; returns the results."""
    table = Table(row.machine)
    if case.change:
        case.change(table)
        data = table.blob()
    else:
        # The firmware's own: what is made here has to be the same.
        data = table.blob(revision=1)
    # The UART waits for the APLIC that has its interrupt, if one has.
    uart = "there" if case.bears or DIRECT in case.left else "gone"
    args = {"malformed": f"{case.left},cpus:{case.cpus},uart:{uart},"
            f"madt:{hashlib.md5(data).hexdigest()}",
            **case.args, **row.rust_args}
    # Without an APLIC the console has no interrupt.
    extra = "printk.devkmsg=on" + (" aia.log" if not case.tests else "")
    expect = {f"says {what}": what for what in case.says}
    console = LogConsole(row, expect, case.bears)
    with tempfile.TemporaryDirectory(prefix="aia-") as directory:
        if case.change:
            initrd = override(directory, data, initrd)
        command = acpi.command(row.machine, directory, "-kernel", kernel,
                               "-initrd", initrd, "-append",
                               append_line(row.tests, args, extra=extra))
        why = Boot(command, console, log, row.timeout, row.silence).run()
    return console.finish(why)


# What may be said of a wrong table.
OF_A_STRUCTURE = (r"MADT: |_GSB: |_CRS: |RSCV0002:0\d: probe with driver"
                  r"|no irq domain found for <no-node>")

# In "make test": some of each kind.
SHORT = ("imsic-ids-2111", "imsic-files-overlap", "imsic-short",
         "imsic-second", "aplic-sources-1024", "direct-idc-twice",
         "right-odd", "right-direct-base-0")


def rows(make_row):
    """The rows for the table of machines."""
    cases = [*((f"madt-{case.name}", dataclasses.replace(
        case, warns=OF_A_STRUCTURE)) for case in wrong()),
        *((f"madt-right-{case.name}", case) for case in right())]
    for name, case in cases:
        def how(row, kernel, initrd, log, case=case):
            return boot(case, row, kernel, initrd, log)

        yield make_row(name, case.machine, ["malformed", *case.tests],
                       impl=("rust",), timeout=case.timeout,
                       warns=case.warns, files=case.files, boot=how,
                       long=name.removeprefix("madt-") not in SHORT)
