# SPDX-License-Identifier: GPL-2.0
"""How many tests each row has to pass at least: selftests/points.

A test that is not there any more does not fail. After a change that adds tests
or takes some away, "tools/selftest points --results build/results" writes the
numbers of a whole run into the file, for the change to show.
"""

import collections

import image
from tap import FAIL, PASS, Result

PATH = image.REPO / "selftests/points"
HEADER = """\
# SPDX-License-Identifier: GPL-2.0
#
# How many tests must pass at least, by row and drivers, and by suite of the
# host. Written by tools/selftest points.
"""


def load(path=PATH):
    """The numbers, by title."""
    points = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            title, number = line.rsplit(" ", 1)
            points[title] = int(number)
    return points


def judge(title, results, points):
    """Adds a failure if too few have passed, and none has failed."""
    passed = sum(r.status == PASS for r in results)
    if any(r.status == FAIL for r in results):
        return
    if title not in points:
        results.append(Result("points", FAIL, f"{PATH.name} does not know it"))
    elif passed < points[title]:
        results.append(Result(
            "points", FAIL, f"{passed} tests passed, not {points[title]}: "
            "some are not there any more"))


def update(results, path=PATH):
    """Writes the numbers of these results; those of others stay. Titles that
    nothing has any more have to be taken out by hand."""
    passed = collections.Counter()
    for line in results.read_text(encoding="utf-8").splitlines():
        status, _, rest = line.partition(" ")
        title = rest.split(": ", 1)[0]
        if status == PASS and (title.endswith("]") and " and " not in title
                               or title.startswith(("host ", "loom "))):
            passed[title] += 1
    points = (load(path) if path.exists() else {}) | passed
    path.write_text(HEADER + "".join(
        f"{title} {number}\n" for title, number in sorted(points.items())),
        encoding="utf-8")
