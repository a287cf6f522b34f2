# SPDX-License-Identifier: GPL-2.0
"""What paths cost over the size of the machine: curves, C and Rust in one."""

import math
import re
import sys

# What a path is named after, besides what it does.
NAME = re.compile(r"(.*), (\d+) (harts|identities|vCPUs|sources)")
# The size of the machine that all other paths are gone on.
USUAL = {"harts": 2, "identities": 255}
IMPLS = {"c": ("C", "#c0392b", "s"), "rust": ("Rust", "#2e6da4", "o")}
ACROSS = 3


def split(name):
    """("what it does", size, what of), or the name and nothing."""
    match = NAME.fullmatch(name)
    if not match:
        return name, None, None
    return match[1], int(match[2]), match[3]


def collect(rows):
    """{of what: {(path, function): {impl: [(size, instructions)]}}} of
    (path, function, impl, instructions)."""
    curves = {}
    usual = {}
    for name, function, impl, cost in rows:
        path, size, unit = split(name)
        if unit:
            lines = curves.setdefault(unit, {}).setdefault(
                (path, function), {})
            lines.setdefault(impl, []).append((size, cost))
        else:
            usual[name, function, impl] = cost
    for unit, size in USUAL.items():
        for (path, function), lines in curves.get(unit, {}).items():
            for impl, points in lines.items():
                if (path, function, impl) in usual:
                    points.append((size, usual[path, function, impl]))
    for paths in curves.values():
        for lines in paths.values():
            for points in lines.values():
                points.sort()
    return curves


def draw(curves, out):
    """Writes curves-*.svg and .png; returns {of what: the name of the former},
    which is empty if there is no matplotlib, as on hosts with tools of their
    own."""
    try:
        # pylint: disable=import-outside-toplevel
        import matplotlib
        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError as e:
        print(f":: no curves: {e}", file=sys.stderr)
        return {}
    return {unit: draw_one(pyplot, unit, paths, out)
            for unit, paths in sorted(curves.items())}


def draw_one(pyplot, unit, paths, out):
    """The curves over one thing."""
    across = min(ACROSS, len(paths))
    down = math.ceil(len(paths) / across)
    figure, axes = pyplot.subplots(
        down, across, figsize=(4.2 * across, 3.1 * down), squeeze=False)
    for axis in axes.flat[len(paths):]:
        axis.remove()
    for axis, ((path, function), lines) in zip(axes.flat, paths.items()):
        sizes = sorted({size for points in lines.values()
                        for size, _ in points})
        for impl, points in sorted(lines.items()):
            label, colour, marker = IMPLS[impl]
            axis.plot(*zip(*points), label=label, color=colour,
                      marker=marker, markersize=4)
        axis.set_title(f"{path}\n{function}()", fontsize=8)
        axis.set_xscale("log", base=2)
        axis.set_xticks(sizes, [str(size) for size in sizes], minor=False)
        axis.minorticks_off()
        axis.set_ylim(0, 1.15 * max(cost for points in lines.values()
                                    for _, cost in points))
        axis.tick_params(labelsize=7)
        axis.set_xlabel(unit, fontsize=8)
        axis.set_ylabel("instructions", fontsize=8)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=7, loc="lower right")
    figure.tight_layout()
    name = f"curves-{unit}"
    for kind in ("svg", "png"):
        figure.savefig(out / f"{name}.{kind}", dpi=120)
    pyplot.close(figure)
    return f"{name}.svg"
