# SPDX-License-Identifier: GPL-2.0
"""What costs too much: more than in C, or more than it did."""

import csv
import os
import pathlib

import curves
from paths import RUST_ONLY

# Those in which nothing may cost more; LR/SC and AMO as one.
JUDGED = ("insn", "mmio", "csr", "atomic", "fence")
RECORDED = pathlib.Path(__file__).parent / "recorded.csv"


def compare(runs):
    """The table: a line per path and function, and what is wrong with it."""
    keys = sorted(set().union(*(run for _, run in runs)))
    for key in keys:
        of = {impl: [run[key] for i, run in runs if i == impl and key in run]
              for impl in ("c", "rust")}
        # Machines of other sizes are booted once.
        if key[0] in RUST_ONLY:
            cost = min(of["rust"], key=lambda run: run[1]["insn"])
            yield key, None, cost, ""
            continue
        if not all(of.values()) or len(of["c"]) != len(of["rust"]):
            yield key, None, None, "not gone by each kernel"
            continue
        # The cheapest call of two boots is the same, or it was by chance.
        unsteady = any(own[0][1]["insn"] != own[-1][1]["insn"]
                       for own in of.values())
        c, rust = (min(own, key=lambda run: run[1]["insn"])
                   for own in (of["c"], of["rust"]))
        worse = [column for column in JUDGED
                 if rust[1][column] > c[1][column]]
        yield key, c, rust, ", ".join(
            ["unsteady"] * unsteady
            + ([f"more {' '.join(worse)}"] if worse else []))


def record(lines):
    """Keeps what the paths cost now."""
    with open(RECORDED, "w", encoding="utf-8", newline="") as f:
        writer = csv.writer(f, lineterminator="\n")
        writer.writerow(("path", "function", *JUDGED))
        for (name, function), _, rust, remark in lines:
            if "unsteady" not in remark and not curves.split(name)[1]:
                writer.writerow([name, function,
                                 *(rust[1][column] for column in JUDGED)])


def dearer(was, now):
    """What of it, if anything, costs more than it did: of {column: number}."""
    return [f"{column} {now[column]}, not {was[column]}" for column in JUDGED
            if now[column] > was[column] * (1.02 if column == "insn" else 1)]


def check(run):
    """Whether no path costs more than recorded. Prints each, and appends it
    to the file of results, if there is one."""
    good = True
    with (open(RECORDED, encoding="utf-8", newline="") as f,
          open(os.environ.get("AIA_RESULTS", os.devnull), "a",
               encoding="utf-8") as results):
        for line in csv.DictReader(f):
            name, function = line["path"], line["function"]
            was = {column: int(line[column]) for column in JUDGED}
            cost = run.get((name, function))
            why = (dearer(was, cost[1]) if cost
                   else ["the path was not gone"])
            good = good and not why
            result = (f"{'not ok' if why else 'ok'} cost: {name}: {function}"
                      + (f" # {', '.join(why)}" if why else ""))
            print(result)
            results.write(result + "\n")
    return good
