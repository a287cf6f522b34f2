# SPDX-License-Identifier: GPL-2.0
"""The page that shows table and curves."""

import html

HEAD = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<title>AIA in Rust against C</title>
<style>
body { font: 15px/1.4 sans-serif; margin: 2em auto; max-width: 75em; }
table { border-collapse: collapse; font-size: 13px; }
th, td { padding: .2em .7em; text-align: right; }
tr { border-bottom: 1px solid #ddd; }
th:first-child, td:first-child, td:nth-child(2) { text-align: left; }
td.less { color: #1d7a3a; }
td.more { color: #b3261e; }
img { max-width: 100%; }
</style>
<h1>AIA in Rust against C</h1>
<p>Instructions of the guest's kernel, and what of them takes longer on a real
machine, of the cheapest call of each path: C / Rust.
Documentation/performance.rst says how they are counted.</p>
"""
COLUMNS = ("atomic", "fence", "mmio", "csr")


def cell(c, rust):
    """Both numbers of a column."""
    kind = "less" if rust < c else "more" if rust > c else ""
    return f'<td class="{kind}">{c} / {rust}</td>'


def table(lines):
    """Of (path, function, least costs in C, in Rust, remark)."""
    yield ("<table><tr><th>path<th>function<th>instructions<th>ratio"
           "<th>atomics<th>fences<th>MMIO<th>CSR<th></tr>")
    for path, function, c, rust, remark in lines:
        yield (f"<tr><td>{html.escape(path)}<td>{html.escape(function)}()"
               + cell(c["insn"], rust["insn"])
               + f"<td>{rust['insn'] / c['insn']:.2f}"
               + "".join(cell(c[name], rust[name]) for name in COLUMNS)
               + f"<td>{html.escape(remark)}</tr>")
    yield "</table>"


def loads_table(lines):
    """Of (workload, (exits, cost) in C, in Rust)."""
    yield ("<h2>Whole workloads of guests</h2>"
           "<p>All that KVM does for them, but for the host's interrupts.</p>"
           "<table><tr><th>workload<th>exits<th>instructions<th>ratio"
           "<th>atomics<th>fences<th>MMIO<th>CSR</tr>")
    for name, c, rust in lines:
        yield (f"<tr><td>{html.escape(name)}" + cell(c[0], rust[0])
               + cell(c[1]["insn"], rust[1]["insn"])
               + f"<td>{rust[1]['insn'] / c[1]['insn']:.2f}"
               + "".join(cell(c[1][name], rust[1][name])
                         for name in COLUMNS) + "</tr>")
    yield "</table>"


def write(path, lines, loads, images):
    """Writes the page; `images` by what they are over."""
    parts = [HEAD, *table(lines)]
    if loads:
        parts += loads_table(loads)
    for unit, image in images.items():
        parts.append(f"<h2>Over the number of {html.escape(unit)}</h2>"
                     f'<p><img src="{image}" alt="curves"></p>')
    path.write_text("\n".join(parts) + "\n</html>\n", encoding="utf-8")
