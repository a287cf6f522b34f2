# SPDX-License-Identifier: GPL-2.0
"""Skips, numbers of tests, and machines that end in a bad way."""

import pathlib
import tempfile
import unittest

import points
import skips
from boot import Boot
from machine import Machine
from rows import Row, table
from tap import FAIL, PASS, SKIP, Console, Result


class Skips(unittest.TestCase):
    def status(self, row, why, name="test"):
        result = Result(name, SKIP, why, program="one")
        skips.judge(row, [result])
        return result.status

    def test_machine_lacks_it(self):
        one, two = (Row("row", Machine(smp=smp, guest_files=1), [])
                    for smp in (1, 2))
        direct = Row("row", Machine(aia="aplic"), [])
        for row, why, status in (
                (one, "needs 2 CPUs", SKIP),
                (two, "needs 2 CPUs", FAIL),
                (two, "needs 3 CPUs", SKIP),
                (Row("row", Machine(smp=3), []), "needs 3 CPUs", FAIL),
                (one, "one CPU only", SKIP),
                (two, "SKIP no CPU can be taken offline", FAIL),
                (two, "needs 1 guest files per CPU", FAIL),
                (two, "needs 2 guest files per CPU", SKIP),
                (direct, "needs 1 guest files per CPU", SKIP),
                (one, "needs 2 guest files on all CPUs together", SKIP),
                (two, "needs 2 guest files on all CPUs together", FAIL),
                (two, "no IMSIC in the device tree", FAIL),
                (direct, "SKIP no IMSIC in this machine", SKIP),
                (direct, "no APLIC", FAIL),
                (two, "the kernel does not check locks", SKIP),
                (Row("row", Machine(), [], kernel="debug"),
                 "the kernel does not check locks", FAIL),
                (two, "no /dev/kvm", FAIL),
                (two, "", FAIL),
        ):
            self.assertEqual(self.status(row, why), status, why)

    def test_row_says_how_many_files_there_are(self):
        row = Row("row", Machine(guest_files=3), [], files=0)
        self.assertEqual(self.status(row, "needs 1 guest files per CPU"), SKIP)

    def test_row_names_it(self):
        row = Row("row", Machine(), [], skips=("one: odd .*",))
        self.assertEqual(self.status(row, "why", "odd test"), SKIP)
        self.assertEqual(self.status(row, "why", "an odd test"), FAIL)


class Table(unittest.TestCase):
    def test_arguments_of_the_drivers_come_on_top(self):
        row = Row("row", Machine(), [], args={"a": "x=1", "b": 1},
                  rust_args={"a": "y=2", "c": 3})
        self.assertEqual(row.for_impl("c").args, {"a": "x=1", "b": 1})
        self.assertEqual(row.for_impl("rust").args,
                         {"a": "x=1;y=2", "b": 1, "c": 3})

    # KVM is built in there. And these boot the kernel once more in the
    # machine, for which the debug kernel takes too long.
    NOT_CHECKED = {"kvm-module", "kvm-memcg", "client", "vmm-linux", "kexec"}

    def test_debug_kernel_runs_every_program(self):
        names = {name for row in table() for name in row.tests}
        checked = {name for row in table() if row.kernel == "debug"
                   for name in row.tests}
        self.assertEqual(names - checked, self.NOT_CHECKED)


class Points(unittest.TestCase):
    def failed(self, *statuses, known=True):
        results = [Result("test", status) for status in statuses]
        points.judge("row[rust]", results, {"row[rust]": 2} if known else {})
        return [r.status for r in results].count(FAIL)

    def test_enough(self):
        self.assertEqual(self.failed(PASS, PASS), 0)
        self.assertEqual(self.failed(PASS, PASS, PASS), 0)

    def test_too_few(self):
        self.assertEqual(self.failed(PASS, SKIP), 1)
        self.assertEqual(self.failed(), 1)

    def test_one_failure_is_enough(self):
        self.assertEqual(self.failed(FAIL), 1)

    def test_unknown_row(self):
        self.assertEqual(self.failed(PASS, PASS, known=False), 1)

    def test_file(self):
        with tempfile.TemporaryDirectory() as directory:
            path, results = (pathlib.Path(directory) / name
                             for name in ("points", "results"))
            results.write_text(
                "ok a[rust]: one: x\nok a[rust]: two: y\n"
                "not ok b[c]: one: x\nskip b[c]: one: y # why\nok b[c]: one: z"
                "\nok host crate: test\nok lint: rustfmt\n"
                "ok a[rust and c]: same\n", encoding="utf-8")
            points.update(results, path)
            self.assertEqual(points.load(path), {
                "a[rust]": 2, "b[c]": 1, "host crate": 1})
            results.write_text("ok a[rust]: one: x\n", encoding="utf-8")
            points.update(results, path)
            self.assertEqual(points.load(path), {
                "a[rust]": 1, "b[c]": 1, "host crate": 1})

    def test_committed_ones_are_of_rows(self):
        titles = {f"{row.name}[{impl}]" for row in table()
                  for impl in row.impl}
        known = [title for title in points.load() if title.endswith("]")]
        self.assertEqual([t for t in known if t not in titles], [])


class Ends(unittest.TestCase):
    def why(self, script, timeout=20, silence=20):
        with tempfile.TemporaryDirectory() as directory:
            # The machine's arguments are the shell's.
            return Boot(["sh", "-c", script, "sh"], Console(),
                        f"{directory}/log", timeout, silence).run()

    def test_good(self):
        self.assertIsNone(self.why("echo hello"))

    def test_exit_code(self):
        self.assertIn("code 3", self.why("exit 3"))

    def test_killed(self):
        self.assertIn("code -9", self.why("kill -9 $$"))

    def test_timeout(self):
        self.assertIn("timeout", self.why(
            "while echo more; do sleep 0.1; done", timeout=1))

    def test_silence(self):
        self.assertIn("nothing said", self.why("exec sleep 9", silence=1))


if __name__ == "__main__":
    unittest.main()
