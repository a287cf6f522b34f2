# SPDX-License-Identifier: GPL-2.0
"""Comparison of two runs of a program, and device trees."""

import unittest

from fdt import Node, Tree, cells
from guest_differences import Difference
from guest_trace import compare, parse

BARE = """\
trace: one
- load32 aplic+0x0 -> 0x1
- store32 aplic+0x0 -> ok
trace: two
- load32 aplic+0x0 -> 0x2
trace: end
- done ->
"""
KNOWN = Difference("known", "two", "load32 .*", "0x2", "0x3", often=1)


def wrong(guest, bare=BARE, known=(), mode="emul", qemu=(10, 0)):
    """What the comparison complains of."""
    return compare(mode, qemu, parse(bare.splitlines()),
                   parse(guest.splitlines()), known)[0]


class Trace(unittest.TestCase):
    def test_same(self):
        self.assertEqual(wrong(BARE), [])

    def test_other_result(self):
        self.assertEqual(len(wrong(BARE.replace("0x2", "0x3"))), 1)

    def test_no_result(self):
        self.assertEqual(len(wrong(BARE.replace(" 0x2", ""))), 1)

    def test_other_operation(self):
        self.assertTrue(wrong(BARE.replace("store32", "store8")))

    def test_other_scenario(self):
        self.assertTrue(wrong(BARE.replace("trace: two", "trace: three")))

    def test_step_is_missing(self):
        self.assertTrue(wrong(BARE.replace("- store32 aplic+0x0 -> ok\n", "")))

    def test_one_more(self):
        self.assertTrue(wrong(BARE + "- more -> ok\n"))

    def test_no_end(self):
        for guest in ("", BARE.partition("trace: end")[0]):
            self.assertTrue(wrong(guest))
            self.assertTrue(wrong(BARE, bare=guest))

    def test_known_difference(self):
        other = BARE.replace("0x2", "0x3")
        self.assertEqual(wrong(other, known=[KNOWN]), [])
        # Once too seldom, once too often, and of another value.
        self.assertEqual(len(wrong(BARE, known=[KNOWN])), 1)
        twice = "- load32 aplic+0x0 -> 0x2\n"
        bare = BARE.replace(twice, twice * 2)
        self.assertEqual(len(wrong(bare.replace("0x2", "0x3"), bare,
                                   known=[KNOWN])), 1)
        self.assertTrue(wrong(BARE.replace("0x2", "0x4"), known=[KNOWN]))

    def test_ambiguous_difference(self):
        same = Difference("same", "two", ".*", ".*", ".*", often=1)
        self.assertTrue(wrong(BARE.replace("0x2", "0x3"),
                              known=[KNOWN, same]))

    def test_difference_of_others(self):
        files = Difference("files", "two", ".*", ".*", ".*", often=1,
                           modes=("hwaccel",))
        old = Difference("old", "two", ".*", ".*", ".*", often=1,
                         until=(10, 1))
        self.assertEqual(wrong(BARE, known=[files]), [])
        self.assertTrue(wrong(BARE, known=[files], mode="hwaccel"))
        self.assertTrue(wrong(BARE, known=[old]))
        self.assertEqual(wrong(BARE, known=[old], qemu=(10, 1)), [])


class DeviceTree(unittest.TestCase):
    def test_written_as_read(self):
        tree = Tree.__new__(Tree)
        tree.root, tree._reserved, tree._boot_cpu = Node(""), bytes(16), 1
        soc = tree.root.children["soc"] = Node("soc")
        soc.set("#address-cells", 2)
        soc.props["name"] = b"odd\0"
        soc.props["empty"] = b""
        soc.children["plic@c000000"] = Node("plic@c000000")
        blob = tree.blob()
        again = Tree(blob)
        self.assertEqual(again["/soc"].get("#address-cells"), [2])
        self.assertEqual(again["/soc"].props["name"], b"odd\0")
        self.assertEqual(again["/soc"].props["empty"], b"")
        self.assertEqual(again["/soc/plic@c000000"].children, {})
        self.assertEqual(again.blob(), blob)
        again["/soc"].remove("empty")
        self.assertNotIn("empty", Tree(again.blob())["/soc"].props)

    def test_no_tree(self):
        for blob in (bytes(40), cells(0xD00DFEED, *range(9))):
            with self.assertRaises(Exception):
                Tree(blob)


if __name__ == "__main__":
    unittest.main()
