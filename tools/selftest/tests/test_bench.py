# SPDX-License-Identifier: GPL-2.0
"""What the benchmark makes of what was counted."""

import contextlib
import io
import os
import pathlib
import sys
import tempfile
import unittest
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "bench"))

# pylint: disable=wrong-import-position
import curves  # noqa: E402
import judge  # noqa: E402
import page  # noqa: E402


def cost(insn, **other):
    """A path that was gone ten times, always in the same way."""
    column = {"insn": insn, "mmio": 0, "csr": 2, "atomic": 1, "fence": 1,
              **other}
    return (10, column, column)


class Judge(unittest.TestCase):
    def remarks(self, *runs):
        return {key[0]: remark for key, _, _, remark in judge.compare(runs)}

    def test_worse_than_c(self):
        self.assertEqual(self.remarks(
            ("c", {("less", "f"): cost(9), ("more", "f"): cost(9)}),
            ("rust", {("less", "f"): cost(9), ("more", "f"): cost(8, csr=3)}),
        ), {"less": "", "more": "more csr"})

    def test_repeats_differ(self):
        self.assertEqual(self.remarks(
            *((impl, {("path", "f"): cost(insn)}) for impl, insn in (
                ("c", 9), ("rust", 7), ("rust", 8), ("c", 9))),
        ), {"path": "unsteady"})

    def test_not_gone(self):
        gone = {("path", "f"): cost(9)}
        for runs in ([("c", gone), ("rust", {})],
                     [("c", gone), ("rust", gone), ("rust", {}), ("c", gone)]):
            self.assertEqual(self.remarks(*runs),
                             {"path": "not gone by each kernel"})

    def check(self, run):
        """What is said of a run where 100 instructions were recorded."""
        with tempfile.TemporaryDirectory() as folder:
            recorded = pathlib.Path(folder) / "recorded"
            results = pathlib.Path(folder) / "results"
            results.write_text("ok before\n", encoding="utf-8")
            with (mock.patch.object(judge, "RECORDED", recorded),
                  mock.patch.dict(os.environ, AIA_RESULTS=str(results)),
                  contextlib.redirect_stdout(io.StringIO())):
                judge.record([(("path", "f"), None, cost(100), ""),
                              (("path, 8 harts", "f"), None, cost(1), ""),
                              (("other", "f"), None, cost(1), "unsteady")])
                good = judge.check(run)
            return good, results.read_text(encoding="utf-8").splitlines()[1:]

    def test_dearer_than_recorded(self):
        for now, good, said in (
                (cost(102), True, "ok cost: path: f"),
                (cost(90), True, "ok cost: path: f"),
                (cost(103), False, "not ok cost: path: f # insn 103, not 100"),
                (cost(90, mmio=1), False,
                 "not ok cost: path: f # mmio 1, not 0")):
            self.assertEqual(self.check({("path", "f"): now}), (good, [said]))
        self.assertEqual(
            self.check({}),
            (False, ["not ok cost: path: f # the path was not gone"]))


class Curves(unittest.TestCase):
    def test_names(self):
        for name, parts in (
                ("IPI", ("IPI", None, None)),
                ("move of a wired interrupt, direct mode",
                 ("move of a wired interrupt, direct mode", None, None)),
                ("IPI, 16 harts", ("IPI", 16, "harts")),
                ("KVM: move of a guest file, 64 vCPUs",
                 ("KVM: move of a guest file", 64, "vCPUs"))):
            self.assertEqual(curves.split(name), parts)

    def test_points(self):
        found = curves.collect([
            ("IPI", "send", "c", 5), ("IPI", "send", "rust", 4),
            ("IPI, 8 harts", "send", "c", 7),
            ("IPI, 4 harts", "send", "c", 6),
            ("IPI, 4 harts", "send", "rust", 4),
            ("move, 1 vCPUs", "update", "c", 9),
            ("something else", "call", "c", 1)])
        self.assertEqual(found, {
            "harts": {("IPI", "send"): {"c": [(2, 5), (4, 6), (8, 7)],
                                        "rust": [(2, 4), (4, 4)]}},
            "vCPUs": {("move", "update"): {"c": [(1, 9)]}}})

    def test_worse_is_marked(self):
        c = {"insn": 10, "atomic": 1, "fence": 1, "mmio": 0, "csr": 2}
        lines = list(page.table([("a < b", "f", c, dict(c, insn=5, mmio=1),
                                  "more mmio")]))
        self.assertIn('<td class="less">10 / 5', lines[1])
        self.assertIn('<td class="more">0 / 1', lines[1])
        self.assertIn("a &lt; b", lines[1])
