# SPDX-License-Identifier: GPL-2.0
"""The table of all paths, for people and for programs."""

import csv

import curves
from counting import COLUMNS


def write_csv(path, lines):
    """Writes all that is known of each path."""
    with open(path, "w", encoding="utf-8", newline="") as f:
        writer = csv.writer(f)
        writer.writerow(("path", "size", "of", "function", "impl", "calls",
                         *(f"least {c}" for c in COLUMNS),
                         *(f"middle {c}" for c in COLUMNS),
                         "ratio", "remark"))
        for (name, function), c, rust, remark in lines:
            ratio = f"{rust[1]['insn'] / c[1]['insn']:.3f}"
            for impl, (calls, least, middle) in (("c", c), ("rust", rust)):
                what, size, unit = curves.split(name)
                writer.writerow([what, size or "", unit or "", function, impl,
                                 calls, *(least[c] for c in COLUMNS),
                                 *(middle[c] for c in COLUMNS), ratio,
                                 remark])


def show(lines):
    """Prints the table."""
    print(f"{'path':44} {'function':36} {'C':>13} {'Rust':>13} "
          f"{'ratio':>6}  atomics fences MMIO CSR (C/Rust)")
    for (path, function), c, rust, remark in lines:
        if c is None and rust is None:
            print(f"{path:44} {function:36} {remark}")
            continue
        if c is None:
            other = "  ".join(f"-/{rust[1][column]}" for column in
                              ("atomic", "fence", "mmio", "csr"))
            print(f"{path:44} {function:36} {'-':>13} "
                  f"{rust[1]['insn']:6}/{rust[2]['insn']:6} {'-':>6}  {other}")
            continue
        ratio = rust[1]["insn"] / c[1]["insn"]
        other = "  ".join(f"{c[1][column]}/{rust[1][column]}"
                          for column in ("atomic", "fence", "mmio", "csr"))
        print(f"{path:44} {function:36} "
              f"{c[1]['insn']:6}/{c[2]['insn']:6} "
              f"{rust[1]['insn']:6}/{rust[2]['insn']:6} {ratio:6.2f}  "
              f"{other}  {remark}")
