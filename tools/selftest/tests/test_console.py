# SPDX-License-Identifier: GPL-2.0
"""For each way in which a machine can fail, a log that has to be refused."""

import dataclasses
import unittest

from machine import Machine
from malformed import LogConsole
from rows import Row
from tap import FAIL, PASS, SKIP, Console

ROW = Row("row", Machine(), ["one"])

GOOD = """\
[    0.000000] Linux version 7.3.4
[    0.100000] riscv-imsic: interrupt-controller@28000000: 3 to 3 guest files
# selftest one: start
TAP version 13
1..2
ok 1 first
ok 2 second
# selftest one: exit 0
# kmsg <4> cgroup: something that is not ours
# kmsg of 1
[    9.000000] reboot: Power down
"""


def judged(log, row=ROW, why=None, console=Console, **more):
    """All results of a row whose console said this."""
    one = console(row, **more)
    one.feed(log)
    return one.finish(why)


def failures(*args, **kwargs):
    """What has failed, as text."""
    return [f"{r.program}: {r.name}: {r.why}"
            for r in judged(*args, **kwargs) if r.status == FAIL]


class Good(unittest.TestCase):
    def test_nothing_fails(self):
        self.assertEqual(failures(GOOD), [])
        self.assertEqual([r.status for r in judged(GOOD)], [PASS, PASS])

    def test_console_in_pieces(self):
        console = Console(ROW)
        for letter in GOOD:
            console.feed(letter)
        self.assertEqual([r.name for r in console.finish(None)],
                         ["first", "second"])

    def test_kernel_talks_into_a_line(self):
        log = GOOD.replace("ok 2 second", "ok 2 sec[    1.000000] cgroup: x\n"
                           "ond")
        self.assertEqual(failures(log), [])
        self.assertEqual(judged(log)[1].name, "second")

    def test_firmware_leaves_a_line_open(self):
        self.assertEqual(failures("\x1b[2J" + GOOD), [])
        self.assertEqual([r.status for r in judged("\x1b[2J" + GOOD)],
                         [PASS, PASS])

    def test_carriage_returns(self):
        self.assertEqual(failures(GOOD.replace("\n", "\r\n")), [])

    def test_program_bare(self):
        self.assertEqual(failures("trace: end\n", row=None), [])

    def test_tests_in_the_kernels_log(self):
        log = "".join(line if line.startswith("[") else
                      f"[    5.000000] aia: {line}"
                      for line in GOOD.splitlines(True))
        self.assertEqual(failures(log, console=LogConsole), [])
        self.assertTrue(failures(log))


class Kernel(unittest.TestCase):
    def refused(self, line, **more):
        log = GOOD.replace("ok 1 first", f"[    2.000000] {line}\nok 1 first")
        found = failures(log, **more)
        self.assertEqual(len(found), 1, line)
        return found[0]

    def test_splats(self):
        for line in (
                "Oops [#1]",
                "BUG: sleeping function called from invalid context",
                "BUG: KASAN: slab-use-after-free in foo",
                "BUG: scheduling while atomic: swapper/0",
                "BUG: soft lockup - CPU#1 stuck for 22s!",
                "kernel BUG at kernel/irq/chip.c:1!",
                "Kernel BUG [#1]",
                "WARNING: CPU: 0 PID: 1 at kernel/irq/manage.c:1",
                "WARNING: possible circular locking dependency detected",
                "WARNING: inconsistent lock state",
                "Kernel panic - not syncing: x",
                "INFO: task init:1 blocked for more than 120 seconds.",
                "rcu: INFO: rcu_sched detected stalls on CPUs/tasks",
                "Unable to handle kernel NULL pointer dereference",
                "irq 12: nobody cared (try booting with ...)",
                "kmemleak: 3 new suspected memory leaks",
                "rust_kernel: panicked at x.rs:1",
                "DEBUG_LOCKS: Disabling lock debugging due to taint",
                "turning off the locking correctness validator.",
        ):
            self.refused(line)

    def test_trouble_that_is_wanted(self):
        log = GOOD.replace("ok 1", "[    2.000000] WARNING: at foo+0x1\nok 1")
        self.assertEqual(failures(log, bears="foo"), [])
        self.assertEqual(len(failures(log, bears="bar")), 1)

    def test_warnings(self):
        for text in (
                "riscv-imsic: CPU 0: too many stray MSIs, ID 3 is off",
                "riscv-aplic d000000.interrupt-controller: something",
                "riscv-aia: irq 3: no MSI message: EINVAL",
                "kvm: interrupts in guest file lost",
                "kvm [1]: unable",
                "irq: type mismatch, failed to map hwirq-11",
                "genirq: Flags mismatch irq 11",
                "unexpected IRQ trap at vector 05",
                "hwirq 5: did not update eff. affinity mask",
        ):
            log = GOOD.replace("# kmsg of 1",
                               f"# kmsg <4> {text}\n# kmsg of 2")
            self.assertEqual(len(failures(log)), 1, text)
            row = dataclasses.replace(ROW, warns="mismatch|too many")
            allowed = "mismatch" in text or "too many" in text
            self.assertEqual(len(failures(log, row=row)), not allowed, text)

    def test_warnings_are_told(self):
        self.assertEqual(len(failures(GOOD.replace("# kmsg of 1\n", ""))), 1)
        self.assertEqual(len(failures(GOOD.replace("of 1", "of 2"))), 1)

    def test_reset_instead_of_power_off(self):
        self.assertEqual(len(failures(
            GOOD.replace("reboot: Power down", "reboot: Restarting"))), 1)

    def test_machine(self):
        self.assertEqual(len(failures(GOOD, why="timeout after 3 s")), 1)

    def test_message_that_has_to_come(self):
        expect = {"says it": "^riscv-imsic: .*guest files"}
        self.assertEqual(failures(GOOD, expect=expect), [])
        self.assertEqual(len(failures(GOOD, expect={"says it": "other"})), 1)


class Program(unittest.TestCase):
    def refused(self, old, new):
        self.assertEqual(GOOD.count(old), 1)
        self.assertEqual(len(failures(GOOD.replace(old, new))), 1, new)

    def test_failed(self):
        self.refused("ok 2", "not ok 2")

    def test_failed_for_a_reason(self):
        log = GOOD.replace("ok 1 first", "# second: of another\nok 1 first")
        log = log.replace("ok 2 second", "# a remark\n# second: 2 of 3\n"
                          "#   came\nnot ok 2 second")
        self.assertEqual(failures(log), ["one: second: 2 of 3 came"])
        log = GOOD.replace("ok 2 second", "# second: of another\n"
                           "not ok 2 second \\#2")
        self.assertEqual(failures(log), ["one: second \\#2: "])
        log = log.replace("# second: of", "# second #2: of")
        self.assertEqual(failures(log), ["one: second \\#2: of another"])

    def test_failed_and_skipped(self):
        self.refused("ok 2 second", "not ok 2 second # SKIP why")

    def test_too_few(self):
        self.refused("ok 2 second\n", "")

    def test_too_many(self):
        self.refused("ok 2 second\n", "ok 2 second\nok 3 third\n")

    def test_no_plan(self):
        self.refused("1..2\n", "")

    def test_bails_out(self):
        self.refused("ok 2 second", "Bail out! why")

    def test_exit_code(self):
        self.refused("exit 0", "exit 1")
        self.refused("exit 0", "exit -11")

    def test_part_failed_but_not_the_whole(self):
        self.refused("ok 2 second", "not ok 2 second")
        log = GOOD.replace("ok 2 second", "    # Subtest: second\n    1..1\n"
                           "    not ok 1 part\nok 2 second")
        self.assertEqual(len(failures(log)), 1)

    def test_whole_failed_but_no_part(self):
        self.refused("ok 2 second", "    # Subtest: second\n    1..1\n"
                     "    ok 1 part\nnot ok 2 second")

    def test_too_few_parts(self):
        self.refused("ok 2 second", "    # Subtest: second\n    1..2\n"
                     "    ok 1 part\nok 2 second")

    def test_never_ends(self):
        start = GOOD.index("# selftest one: exit")
        end = GOOD.index("# kmsg <4>")
        found = failures(GOOD[:start] + GOOD[end:])
        self.assertEqual(len(found), 2)

    def test_next_one_starts_before_its_end(self):
        row = dataclasses.replace(ROW, tests=["one", "two"])
        log = GOOD.replace("# selftest one: exit 0", """\
# selftest two: start
1..1
ok 1 third
# selftest two: exit 0""")
        self.assertEqual(len(failures(log, row=row)), 2)

    def test_not_there(self):
        row = dataclasses.replace(ROW, tests=["one", "two"])
        self.assertEqual(failures(GOOD, row=row),
                         [": two: did not run to its end"])

    def test_skips_are_counted(self):
        log = GOOD.replace("ok 2 second", "ok 2 second # SKIP why")
        self.assertEqual([(r.status, r.why) for r in judged(log)],
                         [(PASS, ""), (SKIP, "why")])

    def test_skipped_as_a_whole(self):
        log = GOOD.replace("1..2\nok 1 first\nok 2 second\n",
                           "1..0 # SKIP no such thing\n")
        self.assertEqual([r.status for r in judged(
            log.replace("exit 0", "exit 4"))], [SKIP])
        self.assertEqual([r.status for r in judged(
            GOOD.replace("1..2\nok 1 first\nok 2 second\n", "1..0\n")
            .replace("exit 0", "exit 4"))], [SKIP])

    def test_host_action(self):
        console = Console(ROW)
        console.feed(GOOD.replace("ok 1", "# host: pulse 3 1\nok 1"))
        self.assertEqual(console.actions, [["pulse", "3", "1"]])
        console.host_failed("no wire")
        self.assertEqual([r.status for r in console.finish(None)].count(FAIL),
                         1)


class Kunit(unittest.TestCase):
    ROW = Row("kunit", Machine(), [], kunit=True, suites=("aia_one",))
    GOOD = """\
[    0.500000] KTAP version 1
[    0.500001] 1..1
[    0.500002]     KTAP version 1
[    0.500003]     # Subtest: aia_one
[    0.500004]     1..2
[    0.500005]     ok 1 first
[    0.500006]     ok 2 second
[    0.500007] ok 1 aia_one
# kmsg of 0
[    9.000000] reboot: Power down
"""

    def refused(self, old, new, number=1):
        self.assertEqual(
            len(failures(self.GOOD.replace(old, new), row=self.ROW)), number)

    def test_good(self):
        self.assertEqual(failures(self.GOOD, row=self.ROW), [])
        self.assertEqual([r.name for r in judged(self.GOOD, row=self.ROW)],
                         ["aia_one.first", "aia_one.second"])

    def test_suite_is_missing(self):
        self.refused("aia_one", "aia_two")

    def test_suite_is_skipped(self):
        self.refused("second", "second # SKIP why", 0)
        log = self.GOOD.replace("first", "first # SKIP why").replace(
            "second", "second # SKIP why")
        self.assertEqual(len(failures(log, row=self.ROW)), 1)

    def test_no_output(self):
        self.assertEqual(
            len(failures("# kmsg of 0\n[    9.000000] reboot: Power down\n",
                         row=self.ROW)), 2)

    def test_failed(self):
        self.refused("    ok 2", "    not ok 2")

    def test_too_few(self):
        self.refused("[    0.500006]     ok 2 second\n", "")

    def test_suites_are_found(self):
        row = Row("kunit", Machine(), [], kunit=True)
        self.assertIn("aia_core_ids", row.for_impl("rust").suites)
        self.assertEqual(row.for_impl("c").suites, ())


if __name__ == "__main__":
    unittest.main()
