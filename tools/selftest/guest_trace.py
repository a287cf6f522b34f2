# SPDX-License-Identifier: GPL-2.0
"""One program bare on QEMU's APLIC and IMSIC, and as a guest on KVM's.

The program, selftests/vmm/guest/trace, writes what comes of each access. Where
the two differ, guest_differences.py has to say who is right.
"""

import dataclasses
import pathlib
import re
import subprocess

import image
from boot import Boot, run_row
from guest_differences import DIFFERENCES
from machine import Machine
from tap import FAIL, PASS, Console, Lines, Result

PROGRAM = "kvm-aia-trace"
MODES = ("emul", "hwaccel", "auto")
# What is said of a difference that nobody has explained, at most.
SHOWN = 5


@dataclasses.dataclass(frozen=True)
class Step:
    """What the program did, where, and what came of it."""

    scenario: str
    number: int
    operation: str
    result: str


def parse(lines):
    """The steps in the lines that the program wrote."""
    steps = []
    scenario = None
    number = 0
    for line in lines:
        if line.startswith("trace: "):
            scenario, number = line.removeprefix("trace: "), 0
        elif scenario and line.startswith("- "):
            number += 1
            operation, _, result = line[2:].partition(" ->")
            steps.append(Step(scenario, number, operation, result.strip()))
    return steps


def _read(log):
    return pathlib.Path(log).read_text(encoding="utf-8", errors="replace")


def of_machine(log):
    """The steps in the log of a machine that ran the program bare."""
    return parse(line.rstrip("\r") for line in _read(log).split("\n"))


def of_guests(log):
    """The steps of each mode, in the log of a machine with guests."""
    said = {}
    for is_kernel, line in Lines().feed(_read(log)):
        m = re.match(rf"# ({'|'.join(MODES)}): (.*)$", line)
        if m and not is_kernel:
            said.setdefault(m[1], []).append(m[2])
    return {mode: parse(lines) for mode, lines in said.items()}


def version(machine):
    """Major and minor version of a machine's QEMU."""
    text = subprocess.run([machine.binary(), "--version"], check=True,
                          stdout=subprocess.PIPE).stdout.decode()
    m = re.search(r"version (\d+)\.(\d+)", text)
    return (int(m[1]), int(m[2])) if m else (0, 0)


def compare(mode, qemu, bare, guest, differences=DIFFERENCES):
    """Compares the steps of a guest; returns what is wrong, and the lines of
    a report."""
    wrong, report = [], []
    if not bare or bare[-1].scenario != "end":
        return ["the program did not come to its end bare"], report
    if not guest or guest[-1].scenario != "end":
        return ["the program did not come to its end as a guest"], report
    found = {d: 0 for d in differences if d.applies(mode, qemu)}
    for one, other in zip(bare, guest):
        where = f"{one.scenario}.{one.number:03} {one.operation}"
        if (dataclasses.replace(one, result="")
                != dataclasses.replace(other, result="")):
            wrong.append(f"{where}: the guest does {other.operation} in "
                         f"{other.scenario}.{other.number:03}")
            break
        if one.result == other.result:
            continue
        what = f"{where}: bare {one.result or 'nothing'}, " \
               f"guest {other.result or 'nothing'}"
        known = [d for d in found if d.matches(one, other)]
        if len(known) == 1:
            found[known[0]] += 1
            report.append(f"{mode}: {what}  # {known[0].name}")
        else:
            wrong.append(what)
            report.append(f"{mode}: {what}  # "
                          + (" or ".join(d.name for d in known) or "?"))
    if len(bare) != len(guest):
        wrong.append(f"{len(bare)} steps bare, {len(guest)} as a guest")
    wrong += [f"known difference {d.name}: {d.times} times expected, {n} found"
              for d, n in found.items() if n != d.times]
    return wrong, report


def boot(row, kernel, initrd, log):
    """Boots both machines of a row; returns the results."""
    stem = log.removesuffix(".log")
    # As the guest sees its own: harts without guests.
    machine = dataclasses.replace(row.machine, guest_files=0,
                                  cpu="rv64,h=false", mem="128M")
    command = machine.command("-kernel", str(image.GUESTS / "trace.bin"))
    console = Console()
    why = Boot(command, console, f"{stem}-bare.log", row.timeout,
               row.silence).run()
    results = console.finish(why)
    results += run_row(dataclasses.replace(row, boot=None), kernel, initrd,
                       log)

    bare, guests = of_machine(f"{stem}-bare.log"), of_guests(log)
    reports = [f"{len(bare)} steps"]
    for mode in MODES if row.machine.guest_files else MODES[:1]:
        wrong, report = compare(mode, version(machine), bare,
                                guests.get(mode, []))
        reports += report
        more = [f"{len(wrong) - SHOWN} more"] if len(wrong) > SHOWN else []
        results.append(Result(
            f"mode {mode}: {len(bare)} steps are as on QEMU's own",
            FAIL if wrong else PASS, "; ".join(wrong[:SHOWN] + more),
            program="trace"))
    pathlib.Path(f"{stem}.differences").write_text(
        "\n".join(reports) + "\n", encoding="utf-8")
    return results


def rows(make_row, make_debug_row):
    """The rows for the table of machines."""
    machine = Machine(smp=2, guest_files=3)
    fields = {"append": "nosoftlockup", "boot": boot}
    return [
        make_row("trace", machine, [PROGRAM], timeout=900, **fields),
        make_row("trace-new", dataclasses.replace(machine, qemu="bpo"),
                 [PROGRAM], timeout=900, **fields),
        make_debug_row("trace", machine, [PROGRAM], timeout=1800, **fields),
    ]
