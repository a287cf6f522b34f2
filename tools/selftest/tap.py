# SPDX-License-Identifier: GPL-2.0
"""Reads test results (TAP, KTAP) and kernel trouble from a console."""

import dataclasses
import re
import time

PASS, FAIL, SKIP = "ok", "not ok", "skip"

# A row fails when its kernel says one of these: what its checkers say, also
# those that only the debug kernel has, and what no kernel should.
SPLATS = re.compile(
    r"\bOops\b|\bBUG:|\bWARNING:|Kernel panic|INFO: task|rcu:.*stall"
    r"|\b[Kk]ernel BUG\b|possible circular locking|inconsistent lock state"
    r"|\bKASAN\b|Unable to handle kernel|sleeping function called"
    r"|scheduling while|soft lockup|nobody cared|kmemleak: [1-9]"
    r"|rust_kernel: panicked|recursive locking detected"
    r"|Disabling lock debugging|turning off the locking correctness")

# And when it warns of something (level 0 to 4) in one of these ways, unless
# the row says that it has to: messages of the drivers, and of genirq.
OURS = re.compile(
    r"riscv-(imsic|aplic|aia)\b|kvm( \[\d+\])?:|irq\b|genirq\b"
    r"|.*(unexpected IRQ|did not update eff\. affinity)")

_RESULT = re.compile(r"(ok|not ok)\b *(\d+)? *-? *(.*)$")
_PLAN = re.compile(r"1\.\.(\d+)\s*(?:#\s*(SKIP.*))?$", re.IGNORECASE)
_SKIP = re.compile(r"\s*#\s*SKIP\b\s*(.*)$", re.IGNORECASE)
_TIME = re.compile(r"\[ *\d+\.\d{6}\]")


@dataclasses.dataclass
class Result:
    """One test point."""

    name: str
    status: str
    why: str = ""
    # The test program that it belongs to, if any, and how long that took.
    program: str = ""
    seconds: float = 0


class Lines:
    """Console text to lines, kernel messages and program output apart.

    A kernel message can come in the middle of a line that a program writes:
    the rest of that line then follows the message. What is before the first
    message is the firmware's.
    """

    def __init__(self):
        self.partial = ""
        self.pending = ""
        self.begun = False

    def feed(self, text):
        """Yields (is_kernel, line)."""
        self.partial += text
        *lines, self.partial = self.partial.split("\n")
        for line in lines:
            line = line.rstrip("\r")
            m = _TIME.search(line)
            if not m:
                yield False, self.pending + line
                self.pending = ""
            else:
                if self.begun:
                    self.pending += line[:m.start()]
                self.begun = True
                yield True, line[m.end():].removeprefix(" ")


class Tap:
    """Results of one TAP or KTAP stream; only leaves count."""

    def __init__(self):
        self.results = []
        self.plans = {}
        self.counts = {}
        # Results since the last one of a lower depth, per depth.
        self.deeper = {}
        self.names = {}
        self.bailed = None
        self.skip_all = None
        self.seen_plan = False
        # What was said since the last result.
        self.said = []

    def line(self, line):
        """Takes one line; says whether it belonged to the stream."""
        text = line.lstrip(" ")
        depth = (len(line) - len(text)) // 4
        m = re.match(r"# Subtest: (.*)", text)
        if m:
            self.names[depth] = m[1].strip()
            return True
        if text.startswith("Bail out!"):
            self.bailed = text
            return True
        m = _PLAN.match(text)
        if m:
            self.plans[depth] = int(m[1])
            self.counts[depth] = 0
            self.seen_plan = True
            if depth == 0 and m[1] == "0":
                self.skip_all = m[2] or "SKIP"
            return True
        m = _RESULT.match(text)
        if not m:
            if text.startswith("# "):
                self.said.append(text.removeprefix("# ").strip())
            return text.startswith(("KTAP version", "TAP version"))
        self._result(depth, m)
        self.said = []
        return True

    def _why(self, name):
        """Why a test has failed: what it says of itself before its result."""
        start = name.replace("\\#", "#") + ": "
        for i, line in enumerate(self.said):
            if line.startswith(start):
                first = line.removeprefix(start)
                return " ".join([first, *self.said[i + 1:]])[:400]
        return ""

    def _result(self, depth, m):
        self.counts[depth] = self.counts.get(depth, 0) + 1
        status = PASS if m[1] == "ok" else FAIL
        why = ""
        name = m[3].strip()
        skip = _SKIP.search(name)
        if skip:
            name = name[:skip.start()].strip()
            why = skip[1]
            if status == PASS:
                status = SKIP
        elif status == FAIL:
            why = self._why(name)
        name = ".".join([self.names[d] for d in sorted(self.names)
                         if 0 < d <= depth] + [name or f"test {m[2]}"])
        children = self.deeper.pop(depth + 1, None)
        for d in [d for d in self.deeper if d > depth + 1]:
            del self.deeper[d]
        plan = self.plans.pop(depth + 1, None)
        done = self.counts.pop(depth + 1, 0)
        self.names.pop(depth + 1, None)
        self.deeper.setdefault(depth, []).append(status)
        if children is None:
            self.results.append(Result(name, status, why))
        elif status == FAIL and FAIL not in children:
            self.results.append(
                Result(name, FAIL, "failed though no part of it did"))
        elif plan is not None and plan != done:
            self.results.append(
                Result(name, FAIL, f"{plan} planned, {done} done"))

    def finish(self):
        """What the stream as a whole did wrong."""
        if self.bailed:
            self.results.append(Result("(whole)", FAIL, self.bailed))
        elif not self.seen_plan:
            self.results.append(Result("(whole)", FAIL, "no test plan"))
        elif self.plans.get(0) != self.counts.get(0, 0):
            self.results.append(Result(
                "(whole)", FAIL, f"{self.plans.get(0)} planned, "
                f"{self.counts.get(0, 0)} done"))
        elif self.skip_all and not self.results:
            self.results.append(Result("(whole)", SKIP, self.skip_all))


class Console:
    """Everything that one boot reports."""

    def __init__(self, row=None, expect=None, bears=""):
        """Without a row, what runs is no kernel with our /init."""
        self.lines = Lines()
        self.row = row
        # Results that come from the kernel's log: name and pattern.
        self.expect = {name: re.compile(pattern)
                       for name, pattern in (expect or {}).items()}
        # Trouble that a test makes on purpose.
        self.bears = re.compile(bears) if bears else None
        self.warns = re.compile(row.warns) if row and row.warns else None
        self.warned = []
        # How many warnings /init has told of, once it has.
        self.told = None
        self.is_off = False
        self.found = set()
        self.expected = list(row.tests) if row else []
        self.results = []
        self.splats = []
        self.actions = []
        self.kunit = Tap() if row and row.kunit else None
        self.kunit_seen = False
        self.test = None
        self.tap = None
        self.started = 0
        self.exited = []

    def feed(self, text):
        """Takes console output; what the host is asked for is in actions."""
        for is_kernel, line in self.lines.feed(text):
            # Of what /init tells again, it was seen when it was new.
            if SPLATS.search(line) and "# kmsg" not in line and not (
                    self.bears and self.bears.search(line)):
                self.splats.append(line.strip())
            if is_kernel:
                self._kernel(line)
            else:
                self._program(line)

    def _kernel(self, line):
        for name, pattern in self.expect.items():
            if pattern.search(line):
                self.found.add(name)
        if line.startswith("reboot: Power down"):
            self.is_off = True
        if not self.kunit:
            return
        if line.startswith("KTAP version"):
            self.kunit_seen = True
        if self.kunit_seen:
            self.kunit.line(line)

    def _program(self, line):
        m = re.match(r"# selftest (\S+): (start|exit (-?\d+))$", line)
        if m and m[2] == "start":
            self._end_test("never ended")
            self.test, self.tap = m[1], Tap()
            self.started = time.monotonic()
            return
        if m and m[1] == self.test:
            code = int(m[3])
            self.exited.append(self.test)
            failed = any(r.status == FAIL for r in self.tap.results)
            # 4 is kselftest's "skipped".
            if code not in (0, 4) and not failed:
                self._end_test(f"exit code {code} without a failed test")
            else:
                self._end_test(None)
            return
        m = re.match(r"# kmsg (?:<(\d+)> (.*)|of (\d+))$", line)
        if m:
            self._warning(m)
            return
        if line.startswith("# host:"):
            self.actions.append(line.removeprefix("# host:").split())
        elif self.tap:
            self.tap.line(line)

    def _warning(self, m):
        """What /init tells of the kernel's log: each warning, their number."""
        if m[3]:
            self.told = int(m[3])
            return
        self.warned.append(m[2])
        if OURS.match(m[2]) and not (self.warns and self.warns.search(m[2])):
            self.results.append(Result(
                "kernel", FAIL, f"warns (level {m[1]}): {m[2]}"))

    def _end_test(self, why):
        if not self.test:
            return
        self.tap.finish()
        if why:
            self.tap.results.append(Result("(whole)", FAIL, why))
        for r in self.tap.results:
            r.program = self.test
            r.seconds = time.monotonic() - self.started
        self.results += self.tap.results
        self.test = self.tap = None

    def host_failed(self, why):
        """An action that a test asked for could not be done."""
        self.results.append(Result(self.test or "host", FAIL, why))

    def finish(self, why):
        """The machine is gone; why is None when it went as it should."""
        if self.lines.partial:
            self.feed("\n")
        self._end_test("the machine ended before it did")
        for name in self.expected:
            if name not in self.exited:
                self.results.append(
                    Result(name, FAIL, "did not run to its end"))
        if self.kunit:
            if self.kunit_seen:
                self.kunit.finish()
            else:
                self.kunit.results.append(
                    Result("(whole)", FAIL, "no KUnit output"))
            ran = {r.name.split(".")[0] for r in self.kunit.results
                   if r.status != SKIP}
            for suite in sorted(set(self.row.suites) - ran):
                self.kunit.results.append(Result(suite, FAIL, "did not run"))
            for r in self.kunit.results:
                r.program = "kunit"
            self.results = self.kunit.results + self.results
        for name, pattern in self.expect.items():
            if name in self.found:
                self.results.append(Result(name, PASS))
            else:
                self.results.append(
                    Result(name, FAIL, f"not in the log: {pattern.pattern}"))
        for line in self.splats:
            self.results.append(Result("kernel", FAIL, line))
        if why:
            self.results.append(Result("machine", FAIL, why))
        elif self.row:
            self._end_of_linux()
        return self.results

    def _end_of_linux(self):
        """A machine that was reset has ended, too; and a log that nobody read
        has no warnings."""
        if not self.is_off:
            self.results.append(Result(
                "machine", FAIL, "was reset, or did not switch itself off"))
        elif self.told != len(self.warned):
            self.results.append(Result(
                "machine", FAIL, "its log was not told as a whole: "
                f"{len(self.warned)} warnings of {self.told}"))
