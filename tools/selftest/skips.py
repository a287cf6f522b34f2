# SPDX-License-Identifier: GPL-2.0
"""Which tests a row may skip: those that need what its machine does not have.

A test says why it is skipped. The reason has to be true of the row's machine,
or the row has to name it; any other skip is a failure.
"""

import re

from tap import FAIL, SKIP


def has_imsic(row):
    """Whether the machine's MSIs go to an IMSIC."""
    return row.machine.aia == "aplic-imsic"


def files(row):
    """Guest interrupt files of each hart, for KVM."""
    if row.files is not None:
        return row.files
    return row.machine.guest_files if has_imsic(row) else 0


def _has_acpi(row):
    return row.name.startswith(("acpi-", "madt-"))


def _one_hart(row, _number=0):
    return row.machine.smp == 1 or "nr_cpus=1" in row.append.split()


# Reasons, and whether they are true of a row. A number in the reason is what
# the test needs.
TRUE_OF = (
    (r"no IMSIC\b", lambda row, _: not has_imsic(row)),
    (r"no moves, or no MSIs$",
     lambda row, _: not has_imsic(row) or _one_hart(row)),
    # On its controller.
    (r"an MSI of nobody is another test's$", lambda row, _: has_imsic(row)),
    (r"the wire interrupts as long as it is there$",
     lambda row, _: not has_imsic(row)),
    # QEMU describes none by ACPI.
    (r"ACPI has names\b", lambda row, _: _has_acpi(row)),
    (r"no RTC$|no /dev/rtc0$", lambda row, _: _has_acpi(row)),
    (r"no APLIC$", lambda row, _: row.machine.aia == "none"),
    (r"needs 2 CPUs$|one CPU(?: only)?$", _one_hart),
    (r"needs (\d+) CPUs$", lambda row, number: row.machine.smp < number),
    (r"no CPU can be taken offline$",
     lambda row, _: _one_hart(row) or row.kernel == "small"),
    (r"needs (\d+) guest files per CPU$",
     lambda row, number: files(row) < number),
    (r"needs (\d+) guest files on all CPUs together$",
     lambda row, number: files(row) * row.machine.smp < number),
    (r"needs KCOV$", lambda row, _: row.kernel != "debug"),
    (r"the kernel does not check locks$",
     lambda row, _: row.kernel not in ("debug", "rt")),
)


def is_allowed(row, result):
    """Whether the row may skip the test."""
    why = re.sub(r"^SKIP\s*", "", result.why)
    for pattern, is_true in TRUE_OF:
        m = re.match(pattern, why)
        if m:
            return is_true(row, int(m[1]) if m.groups() else 0)
    return any(re.fullmatch(pattern, f"{result.program}: {result.name}")
               for pattern in row.skips)


def judge(row, results):
    """Makes failures of the skips that the row does not allow."""
    for r in results:
        if r.status == SKIP and not is_allowed(row, r):
            r.status = FAIL
            r.why = f"skipped, as nothing here allows: {r.why}"
