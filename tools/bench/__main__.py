# SPDX-License-Identifier: GPL-2.0
"""tools/bench [--out DIR] [--table | --record | --check]: what each path
costs, the Rust drivers against C.

Boots build/kernel-c and build/kernel-rust in turn (C R R C), each with the
same programs, and QEMU with a plugin that counts; then once each on machines
of other sizes and with guests that have a workload, unless only the table is
wanted. Prints tables and writes DIR/paths.csv, workloads.csv, curves-*.svg,
curves-*.png and index.html; DIR is build/bench.
Runs in the toolchain. Exit 1 if a path costs more than in C, in any column.

--record keeps what the paths cost in Rust, but for those that are unsteady, in
tools/bench/recorded.csv. --check boots build/kernel-rust only, and fails if a
path costs more than that: 2 % more instructions, or one more of anything else.

A cost is that of the cheapest of all calls, which a repeat has to have, too,
and beside it that of the call in the middle.
"""

import argparse
import pathlib
import sys

REPO = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / "tools/selftest"))

# pylint: disable=wrong-import-position
import curves  # noqa: E402
import image  # noqa: E402
import judge  # noqa: E402
import page  # noqa: E402
import table  # noqa: E402
import workloads  # noqa: E402
from counting import build_plugin, gone  # noqa: E402
from paths import SHAPES, SIZES  # noqa: E402

ORDER = ("c", "rust", "rust", "c")


def main():
    """The command line."""
    parser = argparse.ArgumentParser(prog="tools/bench")
    parser.add_argument("--out", default=str(image.BUILD / "bench"))
    only = parser.add_mutually_exclusive_group()
    for name in ("--table", "--record", "--check"):
        only.add_argument(name, action="store_true")
    options = parser.parse_args()
    out = pathlib.Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    plugin = build_plugin(out)
    if options.check:
        (_, run), = gone(SHAPES, ("rust",), plugin, out)
        return 0 if judge.check(run) else 1
    runs = gone(SHAPES, ORDER, plugin, out)
    sizes = not options.table and not options.record
    if sizes:
        runs += gone(SIZES, ("c", "rust"), plugin, out)

    lines = list(judge.compare(runs))
    table.show(lines)
    counted = [line for line in lines if line[1] is not None]
    table.write_csv(out / "paths.csv", counted)
    if options.record:
        judge.record(counted)
    images = {}
    loads = []
    if sizes:
        whole = workloads.gone(("c", "rust"), plugin, out)
        loads = list(workloads.compare(whole))
        workloads.show(loads)
        workloads.write_csv(out / "workloads.csv", whole)
        drawn = curves.collect(
            (name, function, impl, cost[1]["insn"])
            for (name, function), c, rust, _ in counted
            for impl, cost in (("c", c), ("rust", rust)))
        images = curves.draw(drawn, out)
    page.write(out / "index.html",
               [(*key, c[1], rust[1], remark)
                for key, c, rust, remark in counted], loads, images)
    print(f":: {out / 'index.html'}", file=sys.stderr)
    return 1 if any(line[3] for line in lines) else 0


if __name__ == "__main__":
    sys.exit(main())
