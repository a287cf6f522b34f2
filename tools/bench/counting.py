# SPDX-License-Identifier: GPL-2.0
"""Boots kernels with the plugin that counts."""

import pathlib
import re
import subprocess
import sys

import curves
import few_ids
import image
from boot import Boot, append_line
from paths import PATHS
from rows import Row
from tap import FAIL, Console

LOGS = image.BUILD / "logs"
COLUMNS = ("insn", "load", "store", "mmio", "csr", "lrsc", "amo", "fence",
           "pause")


def build_plugin(out):
    """Compiles the plugin; returns its path."""
    path = out / "plugin.so"
    subprocess.run(
        ["clang", "-O2", "-Wall", "-Wextra", "-Wno-unused-parameter",
         "-fPIC", "-shared", "-o", str(path),
         str(pathlib.Path(__file__).parent / "plugin.c")], check=True)
    return path


def run(name, impl, machine, tests, initrd, plugin, counts, functions,
        args=None, extra="", options=()):
    """Boots once; returns the names of the paths by their numbers."""
    row = Row(name, machine, tests, timeout=1500)
    console = Console(row)
    log = str(LOGS / f"{name}.log")
    kernel = image.BUILD / f"kernel-{impl}"
    command = machine.command(
        "-kernel", str(kernel / "arch/riscv/boot/Image"),
        "-initrd", initrd,
        "-append", append_line(tests, args, extra=f"nosoftlockup {extra}"),
        *options,
        # A thread per hart, or plugins are told wrong harts.
        "-accel", "tcg,thread=multi",
        "-plugin", f"{plugin},map={kernel}/System.map,out={counts},fn="
        + ":".join(functions))
    why = Boot(command, console, log, row.timeout, row.timeout).run()
    failed = [r for r in console.finish(why) if r.status == FAIL]
    for r in failed:
        print(f"not ok {name}: {r.program}: {r.name}: {r.why}")
    if failed:
        sys.exit(f"error: the paths were not gone, see {log}")
    with open(log, encoding="utf-8", errors="replace") as f:
        return dict(re.findall(r"^# path (\d+) (.*?)\r?$", f.read(), re.M))


def boot(impl, shape, plugin, out, counts):
    """Boots once; returns the names of the paths by their numbers."""
    functions = sorted({f for fs in PATHS.values() for f in fs})
    tree = []
    if shape.ids:
        path = out / f"{shape.name}.dtb"
        path.write_bytes(few_ids.blob(shape.machine, shape.ids))
        tree = ["-dtb", str(path)]
    # What only these drivers have.
    args = {"kvm_overcommit": 1} if impl == "rust" else {}
    return run(f"bench-{shape.name}-{impl}", impl, shape.machine, shape.tests,
               image.for_tests(impl, shape.tests), plugin, counts, functions,
               args=args, options=tree)


def read_counts(path, names, where):
    """{(path, function): (calls, least, middle)} of one boot."""
    found = {}
    with open(path, encoding="utf-8") as f:
        for line in f:
            number, function, *rest = line.split()
            name = names.get(number)
            if (name is None
                    or function not in PATHS[curves.split(name)[0]]):
                continue
            n = [int(word) for word in rest]
            costs = [dict(zip(COLUMNS, part))
                     for part in (n[1:1 + len(COLUMNS)], n[1 + len(COLUMNS):])]
            for cost in costs:
                cost["atomic"] = cost["lrsc"] + cost["amo"]
            function, _, _ = function.partition("@")
            found[name + where, function] = (n[0], *costs)
    return found


def gone(shapes, impls, plugin, out):
    """Boots all shapes for each of `impls`; returns [(impl, costs)]."""
    LOGS.mkdir(parents=True, exist_ok=True)
    runs = []
    for n, impl in enumerate(impls):
        run = {}
        for shape in shapes:
            counts = out / f"{n}-{impl}-{shape.name}.txt"
            names = boot(impl, shape, plugin, out, counts)
            run.update(read_counts(counts, names, shape.where))
        runs.append((impl, run))
        print(f":: {n + 1} of {len(impls)} times {len(shapes)} boots",
              file=sys.stderr)
    return runs
