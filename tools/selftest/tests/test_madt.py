# SPDX-License-Identifier: GPL-2.0
"""The tables of interrupt controllers that machines get."""

import pathlib
import struct
import tempfile
import unittest

import madt
from machine import Machine

# What QEMU 10.0 makes, without the header.
IMSIC = """
18240100 01000000 00000000 00000000 00000000 00000000 00000028 00000000
00400000
18240100 01000000 01000000 00000000 01000000 00000000 00400028 00000000
00400000
19100100 00000000 ff00ff00 02010018
1a240100 00000000 00000000 00000000 00006000 00000000 0000000d 00000000
00800000"""
SOCKETS = """
18240100 01000000 00000000 00000000 00000000 00000000 00000000 00000000
00000000
18240100 01000000 01000000 00000000 01000000 00000001 00000000 00000000
00000000
1a240100 00000000 00000000 00000000 01006000 00000000 0000000d 00000000
00800000
1a240101 00000000 00000000 00000000 01006000 60000000 0080000d 00000000
00800000"""
FIRST = struct.calcsize(madt.HEADER)


class Tables(unittest.TestCase):
    """Their bytes."""

    def check(self, data):
        """What the kernel wants of any table."""
        self.assertEqual(struct.unpack_from("<I", data, 4)[0], len(data))
        self.assertEqual(sum(data) % 256, 0)

    def test_is_qemus(self):
        for machine, body in (
                (Machine(smp=2), IMSIC),
                (Machine(smp=2, sockets=2, aia="aplic"), SOCKETS)):
            data = madt.Table(machine).blob(revision=1)
            self.check(data)
            self.assertEqual(data[:8], b"APIC" + struct.pack("<I", len(data)))
            self.assertEqual(data[10:FIRST], bytes.fromhex(
                "424f43485320 4258504320202020 01000000 42585043 01000000"
                "00000000 00000000"))
            self.assertEqual(data[FIRST:], bytes.fromhex(body))

    def test_cases_are_tables(self):
        for case in (*madt.wrong(), *madt.right()):
            table = madt.Table(case.machine)
            if case.change:
                case.change(table)
                self.assertNotEqual(
                    table.blob(), madt.Table(case.machine).blob(), case.name)
            self.check(table.blob())

    def structures(self, data):
        """(type, length that it says, bytes that there are) of each."""
        found = []
        at = FIRST
        while at < len(data):
            kind, length = data[at:at + 2]
            found.append((kind, length, len(data[at:at + length])))
            at += length
        return found

    def changed(self, change):
        """The structures of a table, changed."""
        table = madt.Table(Machine(smp=1))
        change(table)
        data = table.blob()
        self.check(data)
        return self.structures(data)

    def test_lengths(self):
        rintc, imsic, aplic = (24, 36, 36), (25, 16, 16), (26, 36, 36)
        for change, found in (
                (madt.imsic(num_ids=0), [rintc, imsic, aplic]),
                (madt.backwards, [aplic, imsic, rintc]),
                (madt.alien, [(127, 40, 40), rintc, imsic, aplic]),
                (madt.without(madt.IMSIC), [rintc, aplic]),
                (madt.again(madt.IMSIC), [rintc, imsic, aplic, imsic]),
                (madt.cut(madt.IMSIC, 0, 12), [rintc, (25, 12, 12), aplic]),
                (madt.cut(madt.RINTC, 0, 48), [(24, 48, 48), imsic, aplic]),
                (madt.last(madt.IMSIC, 2), [rintc, aplic, (25, 16, 14)])):
            self.assertEqual(self.changed(change), found)

    def test_no_such_field(self):
        with self.assertRaises(AssertionError):
            self.changed(madt.imsic(num_idcs=1))

    def test_copy_is_another_one(self):
        table = madt.Table(Machine())
        madt.again(madt.RINTC, hart_id=1, flags=0)(table)
        self.assertEqual([one.fields["hart_id"] for one in
                          table.of(madt.RINTC)], [0, 1, 1])
        self.assertEqual([one.fields["flags"] for one in
                          table.of(madt.RINTC)], [1, 1, 0])


class Initrd(unittest.TestCase):
    """Where the kernel looks for a table."""

    def test_table_comes_first(self):
        with tempfile.TemporaryDirectory() as directory:
            files = pathlib.Path(directory, "files")
            files.write_bytes(b"070701, more files")
            data = pathlib.Path(madt.override(
                directory, b"the table", str(files))).read_bytes()
        name = b"kernel/firmware/acpi/apic.aml\0"
        at = data.index(name) + len(name)
        at += -at % 4
        self.assertEqual(data[at:at + 9], b"the table")
        self.assertLess(at, data.index(b"TRAILER!!!"))
        self.assertEqual(data.index(b"070701, more") % 4, 0)
        self.assertTrue(data.endswith(b"070701, more files"))


class Rows(unittest.TestCase):
    """The table of machines."""

    def test_short_ones_are_there(self):
        names = {case.name for case in madt.wrong()} | {
            f"right-{case.name}" for case in madt.right()}
        self.assertEqual(set(madt.SHORT) - names, set())


if __name__ == "__main__":
    unittest.main()
