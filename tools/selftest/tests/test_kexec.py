# SPDX-License-Identifier: GPL-2.0
"""Two kernels on one console, and wires that change all the time."""

import time
import unittest

from host import Host, HostError
from kexec import PROGRAM, Left, TwoKernels
from machine import Machine
from rows import Row
from tap import FAIL, Console

ROW = Row("row", Machine(), [PROGRAM, "one"])
FIRST = Row("row", Machine(), [PROGRAM])

LEFT = f"""\
[    0.000000] Linux version 7.3.4
# kmsg of 0
# selftest {PROGRAM}: start
TAP version 13
1..1
ok 1 left
# selftest {PROGRAM}: exit 0
[    2.000000] Kernel panic - not syncing: told to
[    2.100000] Bye...
"""

ARRIVED = f"""\
[    0.000000] Linux version 7.3.4
# selftest {PROGRAM}: start
TAP version 13
1..1
ok 1 arrived
# selftest {PROGRAM}: exit 0
# selftest one: start
TAP version 13
1..1
ok 1 first
# selftest one: exit 0
# kmsg <4> cgroup: something
# kmsg of 1
[    9.000000] reboot: Power down
"""


def results(log, why=None, bears="told to"):
    """All results of a machine whose console said this."""
    console = TwoKernels(Left(FIRST, bears=bears), Console(ROW))
    for start in range(0, len(log), 7):
        console.feed(log[start:start + 7])
    return console.finish(why)


def failures(*args, **kwargs):
    """What has failed, as text."""
    return [f"{r.program}: {r.name}: {r.why}"
            for r in results(*args, **kwargs) if r.status == FAIL]


class Two(unittest.TestCase):
    def test_nothing_fails(self):
        self.assertEqual(failures(LEFT + ARRIVED), [])
        self.assertEqual([r.name for r in results(LEFT + ARRIVED)],
                         ["left", "arrived", "first"])

    def test_no_other_kernel(self):
        for log in (LEFT, LEFT + "[    3.000000] reboot: Power down\n"):
            found = failures(log)
            self.assertTrue(any("1 kernels instead of 2" in text
                                for text in found), found)
            self.assertTrue(any("did not run" in text for text in found))

    def test_one_kernel_more(self):
        self.assertTrue(failures(LEFT + ARRIVED.replace(
            "# selftest one: start", "[    0.000000] Linux version 7.3.4")))

    def test_first_kernel(self):
        for log in (LEFT.replace("ok 1 left", "not ok 1 left"),
                    LEFT.replace("# kmsg of 0\n", ""),
                    LEFT.replace("TAP", "[    1.000000] WARNING: at x\nTAP"),
                    LEFT.replace("# kmsg of 0",
                                 "# kmsg <4> riscv-imsic: x\n# kmsg of 1")):
            self.assertEqual(len(failures(log + ARRIVED)), 1, log)

    def test_only_the_panic_that_is_wanted(self):
        self.assertEqual(len(failures(LEFT + ARRIVED, bears="else")), 1)
        self.assertEqual(len(failures(LEFT + ARRIVED.replace(
            "ok 1 first", "[    1.000000] Kernel panic: told to\nok 1 first"
        ))), 1)

    def test_second_kernel(self):
        for log in (ARRIVED.replace("ok 1 first", "not ok 1 first"),
                    ARRIVED.replace("reboot: Power down", "reboot: x"),
                    ARRIVED.replace("# kmsg of 1\n", "")):
            self.assertEqual(len(failures(LEFT + log)), 1, log)

    def test_machine(self):
        self.assertEqual(len(failures(LEFT + ARRIVED, why="timeout")), 1)

    def test_host_is_asked_by_both(self):
        console = TwoKernels(Left(FIRST), Console(ROW))
        console.feed(LEFT + "# host: a\n" + ARRIVED + "# host: b c\n")
        self.assertEqual(console.actions, [["a"], ["b", "c"]])
        console.host_failed("why")
        self.assertIn("why", [r.why for r in console.finish(None)])


class Wires(Host):
    """A host whose machine takes all changes, until it is gone."""

    def __init__(self):
        super().__init__("", "")
        self.changes = []
        self.gone = False

    def _set_wire(self, line, level):
        if self.gone:
            raise OSError("gone")
        self.changes.append((line, level))


class Hammer(unittest.TestCase):
    def setUp(self):
        self.host = Wires()
        self.addCleanup(self.host.close)

    def wait(self, condition):
        end = time.monotonic() + 20
        while not condition():
            self.assertLess(time.monotonic(), end)
            time.sleep(0.001)

    def test_until_it_is_enough(self):
        self.host.do(["hammer", "51", "100"])
        self.wait(lambda: len(self.host.changes) > 10)
        # Others are asked for meanwhile.
        self.host.do(["line", "50", "1"])
        self.host.do(["hammered"])
        count = len(self.host.changes)
        self.assertIn((50, 1), self.host.changes)
        self.assertEqual(
            [c for c in self.host.changes if c[0] == 51][:4],
            [(51, 1), (51, 0), (51, 1), (51, 0)])
        time.sleep(0.01)
        self.assertEqual(len(self.host.changes), count)

    def test_machine_is_gone(self):
        self.host.do(["hammer", "51", "100"])
        self.wait(lambda: self.host.changes)
        self.host.gone = True
        self.wait(lambda: not self.host.hammering.is_alive())
        self.assertRaises(HostError, self.host.do, ["hammered"])

    def test_order(self):
        self.assertRaises(HostError, self.host.do, ["hammered"])
        self.host.do(["hammer", "51", "100"])
        self.assertRaises(HostError, self.host.do, ["hammer", "51", "100"])


if __name__ == "__main__":
    unittest.main()
