# SPDX-License-Identifier: GPL-2.0
"""Whole workloads of guests: all that KVM does for them, by what for."""

import csv
import dataclasses
import pathlib
import sys

import counting
import image
import linux_guest
from counting import COLUMNS
from machine import Machine

# What the plugin calls by numbers, besides the causes of exits.
KINDS = {
    2: "illegal instruction",
    8: "system call",
    10: "SBI call",
    12: "page, fetched",
    13: "page, loaded",
    15: "page, stored",
    20: "guest page, fetched",
    21: "MMIO or page, load",
    22: "CSR or WFI",
    23: "MMIO or page, store",
    64: "interrupt of the host",
    65: "vCPU gets a CPU",
    66: "vCPU leaves its CPU",
    67: "interrupt injected",
}
# By when they come, not by what the guest does: not in any sum.
CHANCE = 64
SHOWN = ("insn", "mmio", "csr", "atomic", "fence", "pause")


@dataclasses.dataclass
class Load:
    """A machine, and how many vCPUs the Linux guests on it have."""

    guest_files: int
    vcpus: int
    where: str = ""

    @property
    def machine(self):
        """The machine."""
        return Machine(smp=2, guest_files=self.guest_files, mem="2G")

    @property
    def name(self):
        """For files."""
        return f"linux-g{self.guest_files}-v{self.vcpus}"


# Mode AUTO has a file for each vCPU, but on the last two.
LOADS = (
    Load(3, 1), Load(3, 2), Load(3, 8), Load(1, 4, " on 2 files"),
)


def boot(impl, load, plugin, out):
    """Boots its guests once; returns what they had."""
    tests = ["vmm-linux"]
    initrd = image.for_tests(impl, tests)
    # The same guest on both kernels.
    guest = image.BUILD / "kernel-c/arch/riscv/boot/Image"
    counts = out / f"{load.name}-{impl}.txt"
    names = counting.run(
        f"bench-{load.name}-{impl}", impl, load.machine, tests,
        linux_guest.initramfs(str(guest), initrd), plugin, counts,
        ("do_irq",), args={"vmm_bench": load.vcpus},
        # How long a vCPU is waited for that waits is a matter of time.
        extra="kvm.halt_poll_ns=0")
    return read(counts, names, load.where)


def gone(impls, plugin, out):
    """Boots all workloads for each of `impls`; returns [(impl, costs)]."""
    runs = []
    for n, impl in enumerate(impls):
        loads = {}
        for load in LOADS:
            loads.update(boot(impl, load, plugin, pathlib.Path(out)))
        runs.append((impl, loads))
        print(f":: {n + 1} of {len(impls)} times {len(LOADS)} boots",
              file=sys.stderr)
    return runs


def read(path, names, where):
    """{name of the path: {kind: (times, cost)}} of one boot."""
    found = {}
    with open(path, encoding="utf-8") as f:
        for line in f:
            word, number, *rest = line.split()
            name = names.get(number)
            if word != "for" or name is None:
                continue
            kind, times, *counts = [int(n) for n in rest]
            cost = dict(zip(COLUMNS, counts))
            cost["atomic"] = cost["lrsc"] + cost["amo"]
            found.setdefault(name + where, {})[kind] = (times, cost)
    return found


def total(kinds):
    """(exits, cost) of all that the guest has caused."""
    own = {kind: of for kind, of in kinds.items() if kind != CHANCE}
    exits = sum(times for kind, (times, _) in own.items() if kind < CHANCE)
    return exits, {column: sum(cost[column] for _, cost in own.values())
                   for column in SHOWN}


def write_csv(path, runs):
    """Writes each kind of each workload, and their sums."""
    with open(path, "w", encoding="utf-8", newline="") as f:
        writer = csv.writer(f)
        writer.writerow(("workload", "impl", "run", "what", "times", *SHOWN))
        for n, (impl, loads) in enumerate(runs):
            for name, kinds in sorted(loads.items()):
                for kind, (times, cost) in sorted(kinds.items()):
                    writer.writerow([name, impl, n,
                                     KINDS.get(kind, f"exit {kind}"), times,
                                     *(cost[column] for column in SHOWN)])
                exits, cost = total(kinds)
                writer.writerow([name, impl, n, "all but interrupts", exits,
                                 *(cost[column] for column in SHOWN)])


def compare(runs):
    """(workload, (exits, cost) in C, in Rust) of the cheaper of its runs."""
    for name in sorted(set().union(*(loads for _, loads in runs))):
        of = {impl: [total(loads[name]) for i, loads in runs
                     if i == impl and name in loads] for impl in ("c", "rust")}
        if all(of.values()):
            yield (name, *(min(of[impl], key=lambda run: run[1]["insn"])
                           for impl in ("c", "rust")))


def show(lines):
    """Prints the table."""
    print(f"\n{'workload':44} {'exits':>15} {'instructions':>21} "
          f"{'ratio':>6}  atomics fences MMIO CSR waits (C/Rust)")
    for name, c, rust in lines:
        other = "  ".join(f"{c[1][column]}/{rust[1][column]}"
                          for column in ("atomic", "fence", "mmio", "csr",
                                         "pause"))
        print(f"{name:44} {c[0]:7}/{rust[0]:7} "
              f"{c[1]['insn']:10}/{rust[1]['insn']:10} "
              f"{rust[1]['insn'] / c[1]['insn']:6.2f}  {other}")
