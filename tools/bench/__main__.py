# SPDX-License-Identifier: GPL-2.0
"""tools/bench [--out DIR]: what each path costs, the Rust drivers against C.

Boots build/kernel-c and build/kernel-rust in turn (C R R C), each with the
same programs, and QEMU with a plugin that counts. Prints a table and writes
DIR/paths.csv; DIR is build/bench. Runs in the toolchain. Exit 1 if a path
costs more than in C, in any column.

A cost is that of the cheapest of all calls, which a repeat has to have, too,
and beside it that of the call in the middle.
"""

import argparse
import csv
import pathlib
import re
import subprocess
import sys

REPO = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / "tools/selftest"))

# pylint: disable=wrong-import-position
import image  # noqa: E402
from boot import Boot, append_line  # noqa: E402
from machine import Machine  # noqa: E402
from rows import Row  # noqa: E402
from tap import FAIL, Console  # noqa: E402

LOGS = image.BUILD / "logs"
ORDER = ("c", "rust", "rust", "c")
COLUMNS = ("insn", "load", "store", "mmio", "csr", "lrsc", "amo", "fence")
# Those in which nothing may cost more than in C; LR/SC and AMO as one.
JUDGED = ("insn", "mmio", "csr", "atomic", "fence")

# What is counted on each path: functions that both kernels have; with @NAME,
# those of their calls that call NAME. All calls of a function on its path are
# the same but for chance, or there is a path each.
PATHS = {
    "MSI to a handler": ("do_irq@handle_irq_event",),
    "mask and unmask, own CPU": ("disable_irq", "enable_irq"),
    "mask and unmask, other CPU": ("disable_irq", "enable_irq"),
    "move of an MSI": ("irq_set_affinity",),
    "move of a wired interrupt": ("irq_set_affinity",),
    "vector allocated and freed": (
        "irq_domain_alloc_irqs_parent", "irq_domain_free_irqs_top"),
    "IPI": ("arch_send_call_function_single_ipi", "do_irq@ipi_mux_process"),
    "wired interrupt to a handler": ("do_irq@handle_irq_event",),
    "KVM: MSI to memory": (
        "kvm_send_userspace_msi", "kvm_riscv_aia_inject_msi"),
    "KVM: MSI to a guest file": (
        "kvm_send_userspace_msi", "kvm_riscv_aia_inject_msi"),
    "KVM: wire, memory": ("kvm_riscv_aia_inject_irq",),
    "KVM: wire, guest file": ("kvm_riscv_aia_inject_irq",),
    "KVM: MSI of a vCPU to itself, memory": (
        "kvm_io_bus_write", "kvm_riscv_vcpu_aia_rmw_topei"),
    "KVM: guest entry, memory": ("kvm_riscv_vcpu_aia_update",),
    "KVM: guest entry, guest file": ("kvm_riscv_vcpu_aia_update",),
}
# A wired interrupt in direct mode is a path of its own.
MACHINES = (
    ("", Machine(smp=2), ["bench", "kvm-bench"]),
    (", direct mode", Machine(smp=2, aia="aplic"), ["bench"]),
)


def build_plugin(out):
    """Compiles the plugin; returns its path."""
    path = out / "plugin.so"
    subprocess.run(
        ["clang", "-O2", "-Wall", "-Wextra", "-Wno-unused-parameter",
         "-fPIC", "-shared", "-o", str(path),
         str(pathlib.Path(__file__).parent / "plugin.c")], check=True)
    return path


def boot(impl, machine, tests, plugin, counts):
    """Boots once; returns the names of the paths by their numbers."""
    name = f"bench-{machine.aia}-{impl}"
    row = Row(name, machine, tests, timeout=900)
    console = Console(row)
    log = str(LOGS / f"{name}.log")
    kernel = image.BUILD / f"kernel-{impl}"
    functions = sorted({f for fs in PATHS.values() for f in fs})
    command = machine.command(
        "-kernel", str(kernel / "arch/riscv/boot/Image"),
        "-initrd", image.for_tests(impl, tests),
        "-append", append_line(tests, extra="nosoftlockup"),
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


def read_counts(path, names, where):
    """{(path, function): (calls, least, middle)} of one boot."""
    found = {}
    with open(path, encoding="utf-8") as f:
        for line in f:
            number, function, *rest = line.split()
            name = names.get(number)
            if name is None or function not in PATHS[name]:
                continue
            n = [int(word) for word in rest]
            costs = [dict(zip(COLUMNS, part))
                     for part in (n[1:9], n[9:17])]
            for cost in costs:
                cost["atomic"] = cost["lrsc"] + cost["amo"]
            function, _, _ = function.partition("@")
            found[name + where, function] = (n[0], *costs)
    return found


def judge(runs):
    """The table: a line per path and function, and what is wrong with it."""
    keys = sorted(set().union(*(run for _, run in runs)))
    for key in keys:
        of = {impl: [run.get(key) for i, run in runs if i == impl]
              for impl in ("c", "rust")}
        if not all(all(own) for own in of.values()):
            yield key, None, None, "not gone by each kernel"
            continue
        # The cheapest call of two boots is the same, or it was by chance.
        unsteady = any(own[0][1]["insn"] != own[1][1]["insn"]
                       for own in of.values())
        c, rust = (min(own, key=lambda run: run[1]["insn"])
                   for own in (of["c"], of["rust"]))
        worse = [column for column in JUDGED
                 if rust[1][column] > c[1][column]]
        yield key, c, rust, ", ".join(
            ["unsteady"] * unsteady
            + ([f"more {' '.join(worse)}"] if worse else []))


def main():
    """The command line."""
    parser = argparse.ArgumentParser(prog="tools/bench")
    parser.add_argument("--out", default=str(image.BUILD / "bench"))
    out = pathlib.Path(parser.parse_args().out)
    out.mkdir(parents=True, exist_ok=True)
    LOGS.mkdir(parents=True, exist_ok=True)
    plugin = build_plugin(out)
    runs = []
    for n, impl in enumerate(ORDER):
        run = {}
        for where, machine, tests in MACHINES:
            counts = out / f"{n}-{impl}-{machine.aia}.txt"
            names = boot(impl, machine, tests, plugin, counts)
            run.update(read_counts(counts, names, where))
        runs.append((impl, run))
        print(f":: {n + 1} of {len(ORDER)} boots", file=sys.stderr)

    bad = 0
    head = ("path", "function", "impl", "calls",
            *(f"least {c}" for c in COLUMNS),
            *(f"middle {c}" for c in COLUMNS), "ratio", "remark")
    with open(out / "paths.csv", "w", encoding="utf-8", newline="") as f:
        writer = csv.writer(f)
        writer.writerow(head)
        print(f"{'path':44} {'function':36} {'C':>13} {'Rust':>13} "
              f"{'ratio':>6}  atomics fences MMIO CSR (C/Rust)")
        for (path, function), c, rust, remark in judge(runs):
            bad += bool(remark)
            if c is None:
                print(f"{path:44} {function:36} {remark}")
                continue
            ratio = rust[1]["insn"] / c[1]["insn"]
            for impl, (calls, least, middle) in (("c", c), ("rust", rust)):
                writer.writerow([path, function, impl, calls,
                                 *(least[c] for c in COLUMNS),
                                 *(middle[c] for c in COLUMNS),
                                 f"{ratio:.3f}", remark])
            other = "  ".join(f"{c[1][column]}/{rust[1][column]}"
                              for column in ("atomic", "fence", "mmio",
                                             "csr"))
            print(f"{path:44} {function:36} "
                  f"{c[1]['insn']:6}/{c[2]['insn']:6} "
                  f"{rust[1]['insn']:6}/{rust[2]['insn']:6} {ratio:6.2f}  "
                  f"{other}  {remark}")
    print(f":: {out / 'paths.csv'}", file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
