# SPDX-License-Identifier: GPL-2.0
"""tools/selftest: builds the initramfs, boots machines, counts results.

Runs in the toolchain; make run and make test call it.
"""

import argparse
import concurrent.futures
import fnmatch
import os
import pathlib
import resource
import sys
import threading
import time

import image
import points
import skips
from boot import append_line, interrupts_shape, run_row
from machine import Machine, Unavailable, processors
from rows import table
from slots import Slots
from tap import FAIL, PASS, SKIP, Result

LOGS = image.BUILD / "logs"
# Machines at once, at most.
MACHINES = 2


def kernel_of(name):
    """The built kernel."""
    path = image.BUILD / f"kernel-{name}/arch/riscv/boot/Image"
    if not path.exists():
        sys.exit(f"error: there is no {path}; "
                 f"tools/kernel-build {name} builds it")
    return str(path)


def do_programs(_options):
    """Builds the test programs."""
    image.build_programs(LOGS / "cargo-selftests.log")


def do_initramfs(options):
    """Writes an initramfs with all programs."""
    path = image.make(options.impl[0])
    print(f":: {path.relative_to(image.REPO)}: {path.stat().st_size >> 10}"
          " KiB", file=sys.stderr)


def do_run(options):
    """Shows the main job; then a shell on a terminal, power-off otherwise."""
    machine = Machine(aia=options.aia, guest_files=options.guest_files,
                      smp=options.smp, sockets=options.sockets,
                      mem=options.mem, qemu=options.qemu)
    interactive = sys.stdin.isatty()
    append = append_line(["show"], tell=False, extra="quiet" + (
        " aia.shell" if interactive else ""))
    impl = options.impl[0]
    try:
        command = machine.command(
            "-kernel", kernel_of(impl),
            "-initrd", str(image.BUILD / f"initramfs-{impl}.cpio"),
            "-append", append)
    except (ValueError, Unavailable) as e:
        sys.exit(f"error: {e}")
    command += ["-serial", "mon:stdio" if interactive else "stdio"]
    if interactive:
        print(":: power-off: poweroff -f; leave QEMU: Ctrl-A X",
              file=sys.stderr)
    else:
        sys.stdin.close()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.stdout.flush()
    os.execv(command[0], command)


class Report:
    """Counts results, prints what matters and keeps all in a file."""

    def __init__(self, path, verbose):
        self.file = open(path, "a", encoding="utf-8")
        self.verbose = verbose
        self.lock = threading.Lock()
        self.counts = {PASS: 0, FAIL: 0, SKIP: 0}

    def row(self, title, results, took):
        """Prints a row: a line per test program, and each failure."""
        with self.lock:
            programs = {}
            for r in results:
                self.counts[r.status] += 1
                own = f"{r.program}: " if r.program else ""
                why = f" # {r.why}" if r.why else ""
                line = f"{r.status} {title}: {own}{r.name}{why}"
                self.file.write(line + "\n")
                programs.setdefault(r.program or "machine", []).append(r)
                if self.verbose or r.status == FAIL:
                    print(line)
            for program, own in programs.items():
                n = {s: sum(r.status == s for r in own) for s in self.counts}
                if not n[FAIL]:
                    print(f"{PASS if n[PASS] else SKIP} {title}: {program},"
                          f" {n[PASS]} passed"
                          + (f", {n[SKIP]} skipped" if n[SKIP] else "")
                          + f", {own[0].seconds:.0f} s")
            print(f":: {title}: {took:.0f} s", flush=True)
            self.file.flush()


def selected(options):
    """(impl, row) of what is to be booted."""
    picked = []
    for impl in options.impl:
        for row in table():
            if options.row and not fnmatch.fnmatch(row.name, options.row):
                continue
            if impl not in row.impl:
                continue
            if row.long and not options.long and options.row != row.name:
                continue
            if impl in options.reference and not (row.reference
                                                  or options.row):
                continue
            picked.append((impl, row))
    if not picked:
        sys.exit(f"error: no row is named {options.row}; they are: "
                 + " ".join(row.name for row in table()))
    return picked


def drivers_named(impl, log):
    """Only a kernel with the C drivers says which ones it has: somebody may
    have wanted the others."""
    said = "CONFIG_RISCV_AIA_RUST is off" in pathlib.Path(log).read_text(
        encoding="utf-8", errors="replace")
    return Result("the kernel says it if the drivers are those in C",
                  PASS if said == (impl == "c") else FAIL)


def run_one(impl, row, report, minimum, until):
    """One boot; everything that can go wrong is a result."""
    title = f"{row.name}[{impl}]"
    row = row.for_impl(impl)
    start = time.monotonic()
    if until and time.time() > until:
        report.row(title, [Result("machine", FAIL, "AIA_DEADLINE is over: "
                                  "not started")], 0)
        return
    try:
        name = row.kernel_name(impl)
        log = str(LOGS / f"{row.name}-{impl}.log")
        results = run_row(row, kernel_of(name),
                          image.for_tests(name, row.tests), log)
        results.append(drivers_named(impl, log))
    except Unavailable as e:
        results = [Result("machine", FAIL, str(e))]
    skips.judge(row, results)
    points.judge(title, results, minimum)
    if any(r.status == FAIL for r in results):
        print(f"   the console of {title}: build/logs/{row.name}-{impl}.log")
    report.row(title, results, time.monotonic() - start)


def compare(picked, report):
    """The same machine shows the same interrupts on both kernels."""
    for row in {row.name: row for _, row in picked}.values():
        impls = [impl for impl, other in picked if other.name == row.name]
        if "show" not in row.tests or len(impls) != 2:
            continue
        shapes = [interrupts_shape(LOGS / f"{row.name}-{impl}.log")
                  for impl in impls]
        result = Result("/proc/interrupts has the same shape", PASS)
        if shapes[0] != shapes[1]:
            result.status = FAIL
            only = [f"only {impl}: {line}"
                    for impl, own, other in zip(impls, shapes, shapes[::-1])
                    for line in own or [] if line not in (other or [])]
            result.why = "; ".join(only) or "nothing shown"
        elif not shapes[0]:
            result.status, result.why = FAIL, "nothing shown"
        report.row(f"{row.name}[{' and '.join(impls)}]", [result], 0)


def unused(report):
    """A program that no row runs is a test that was forgotten."""
    used = {name for row in table() for name in row.tests}
    used.update(*(image.USES.get(name, ()) for name in used))
    for name in sorted(set(image.programs()) - used):
        report.row("table of machines",
                   [Result(name, FAIL, "no row runs it")], 0)


def do_kernels(options):
    """Prints which kernels the rows need, those to be built first first: a
    variant begins with what is built of its base."""
    names = dict.fromkeys(row.kernel_name(impl)
                          for impl, row in selected(options))
    print(" ".join(sorted(names, key=lambda name: "-" in name)))


def do_test(options):
    """Boots the rows; the exit code says whether all passed."""
    pathlib.Path(options.results).parent.mkdir(parents=True, exist_ok=True)
    report = Report(options.results, options.verbose)
    minimum = points.load()
    picked = selected(options)
    free = Slots(processors())
    start = time.monotonic()
    # Biggest first: these run alone, and small ones fill up what is left.
    picked.sort(key=lambda p: -p[1].processors)
    with concurrent.futures.ThreadPoolExecutor(MACHINES) as pool:
        jobs = [pool.submit(free.hold, row.processors,
                            run_one, impl, row, report, minimum, options.until)
                for impl, row in picked]
        for job in jobs:
            job.result()
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f":: {len(picked)} machines: {time.monotonic() - start:.0f} s, "
          f"{usage.ru_utime + usage.ru_stime:.0f} s of CPU time", flush=True)
    compare(picked, report)
    if not options.row:
        unused(report)
    return 1 if report.counts[FAIL] else 0


def do_points(options):
    """Writes down how many tests have passed."""
    points.update(pathlib.Path(options.results))


def do_list(_options):
    """Prints the table."""
    for row in table():
        m = row.machine
        print(f"{row.name}: aia={m.aia} guest-files={m.guest_files} "
              f"smp={m.smp} sockets={m.sockets} {m.qemu} {row.kernel}: "
              + ",".join(row.tests) + (" (long)" if row.long else ""))


def main():
    """The command line."""
    parser = argparse.ArgumentParser(prog="tools/selftest")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("programs")
    one = commands.add_parser("initramfs")
    one.add_argument("--impl", action="append", required=True)
    one = commands.add_parser("run")
    one.add_argument("--impl", action="append", required=True)
    one.add_argument("--aia", default="aplic-imsic")
    one.add_argument("--guest-files", type=int, default=3)
    one.add_argument("--smp", type=int, default=4)
    one.add_argument("--sockets", type=int, default=1)
    one.add_argument("--mem", default="1G")
    one.add_argument("--qemu", default="")
    for name in ("kernels", "test"):
        one = commands.add_parser(name)
        one.add_argument("--impl", action="append", required=True)
        one.add_argument("--reference", action="append", default=[])
        one.add_argument("--row", default="")
        one.add_argument("--long", action="store_true")
    one.add_argument("--results", required=True)
    one.add_argument("--verbose", action="store_true")
    # Seconds since 1970 after which no row is started.
    one.add_argument("--until", type=int, default=0)
    one = commands.add_parser("points")
    one.add_argument("--results", required=True)
    commands.add_parser("list")
    options = parser.parse_args()
    LOGS.mkdir(parents=True, exist_ok=True)
    return {"programs": do_programs, "initramfs": do_initramfs,
            "run": do_run, "kernels": do_kernels, "test": do_test,
            "points": do_points, "list": do_list}[options.command](options)


if __name__ == "__main__":
    sys.exit(main())
