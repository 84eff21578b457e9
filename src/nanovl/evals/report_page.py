"""The report as one HTML page: no script, no network, nothing beside the file itself.

Every text that comes from a model or a benchmark is escaped; a content policy in the page forbids
everything but its own styles and inline pictures.

Source: evaluation specification, section 11.2 (report).
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from nanovl.core.errors import InputError
from nanovl.evals.examples import Example
from nanovl.evals.plots import Series, dot_chart
from nanovl.evals.report import Report
from nanovl.evals.report_rows import LOWER, Row
from nanovl.evals.runfolder import write_json
from nanovl.evals.sweeps import Sweep
from nanovl.evals.tasks import named

__all__ = ["page", "write_sweeps"]

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_STYLE = (
    """
:root { --ink: #1c2024; --soft: #60646c; --paper: #fff; --line: #dfe2e6; --band: #f6f7f9;
  --yellow: #fff0b8; --red: #ffd0cc; --good: #d8f3dc; --bad: #ffe3d3;
  --c0: #1f6feb; --c1: #d1570a; --c2: #1a7f37; --c3: #8250df; --c4: #bf3989; --c5: #0f8b8d;
  --c6: #9a6700; --c7: #57606a; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --soft: #9aa1ab; --paper: #14171a;
  --line: #343a41; --band: #1d2125; --yellow: #5c4a00; --red: #6b1f1a; --good: #14401f;
  --bad: #5a2c14; --c0: #6cb0ff; --c1: #ff9d5c; --c2: #57c26f; --c3: #b792ff; --c4: #f285be;
  --c5: #4fd0d2; --c6: #e2b341; --c7: #a9b1ba; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1.5rem 1rem 4rem; color: var(--ink);
  background: var(--paper); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .5rem; } h2 { font-size: 1.25rem; margin: 2.2rem 0 .5rem; }
h3 { font-size: 1.05rem; margin: 1.8rem 0 .4rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .87rem; }
th, td { padding: .3rem .6rem; text-align: left; border-bottom: 1px solid var(--line);
  vertical-align: top; }
thead th { background: var(--band); position: sticky; top: 0; font-weight: 600; }
td.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.k { white-space: nowrap; }
td.yellow { background: var(--yellow); } td.red { background: var(--red); }
td.good { background: var(--good); } td.bad { background: var(--bad); }
.notes, .facts { color: var(--soft); font-size: .85rem; padding-left: 1.2rem; }
figure { margin: 1rem 0; max-width: 42rem; } figcaption { font-weight: 600; }
svg.plot { width: 100%; height: auto; } svg.dots { display: block; margin-top: .5rem;
  overflow: visible; }
.name { fill: var(--ink); font-size: 13px; } .under { fill: var(--paper); }
p { max-width: 46rem; } .grid { stroke: var(--line); }
.tick { fill: var(--soft); font-size: 12px; } .line { fill: none; stroke-width: 2; }
.dashed { stroke-dasharray: 5 4; stroke-width: 1.3; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .2rem 1rem; padding: 0; margin: 0;
  font-size: .85rem; } .swatch { display: inline-block; width: .8rem; height: .8rem;
  border-radius: 2px; margin-right: .35rem; vertical-align: -1px; }
"""
    + "".join(
        f".line.c{n} {{ stroke: var(--c{n}); }} .dot.c{n} {{ fill: var(--c{n}); }} "
        f".swatch.c{n} {{ background: var(--c{n}); }}\n"
        for n in range(8)
    )
    + """
.example { border: 1px solid var(--line); border-radius: 6px; padding: .7rem .9rem;
  margin: .7rem 0; } .example img { max-width: 100%; border: 1px solid var(--line);
  margin: 0 .4rem .4rem 0; } .example dl { display: grid; grid-template-columns: 7rem 1fr;
  gap: .25rem .8rem; margin: .4rem 0 0; } dt { color: var(--soft); }
dd { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; }
details > summary { cursor: pointer; color: var(--soft); }
@media (max-width: 34rem) {
  body { padding: 1rem .75rem 3rem; } h1 { font-size: 1.35rem; overflow-wrap: anywhere; }
  table { font-size: .8rem; width: max-content; }
  th, td { padding: .25rem .4rem; max-width: 15rem; }
  th:first-child, td:first-child { position: sticky; left: 0; background: var(--paper);
    min-width: 7.5rem; max-width: 8.5rem; overflow-wrap: break-word; }
  thead th:first-child { background: var(--band); z-index: 1; }
  svg.plot .tick { font-size: 19px; } .facts li { overflow-wrap: anywhere; }
  .example dl { grid-template-columns: 1fr; gap: 0 0; } .example dd { margin-bottom: .4rem; } }
"""
)


def page(report: Report) -> str:
    """The whole page."""
    tables = report.tables()
    sweep_tables = {id(t) for sweep in report.sweeps for t in sweep.tables}
    plain = [table for table in tables if id(table) not in sweep_tables]
    parts = [
        "<ul class=facts>"
        + "".join(f"<li>{html.escape(fact)}</li>" for fact in report.facts())
        + "</ul>\n",
        plain[0].page(),
        *_against(report),
        *(table.page() for table in plain[1:]),
    ]
    for sweep in report.sweeps:
        parts += [f"<h2>Sweep: {html.escape(sweep.name)}</h2>\n", *_sweep(sweep)]
    if report.unscored:
        parts.append(f"<p>Not scored: {html.escape(', '.join(report.unscored))}</p>\n")
    parts += _examples(report.examples)
    return _document(report.title, parts)


def write_sweeps(sweeps: Sequence[Sweep], folder: Path) -> list[Path]:
    """`sweep.md`, `sweep.html` and `sweep.json`.

    Args:
        sweeps: What is shown.
        folder: Where to.

    Returns:
        The files.

    Raises:
        InputError: The folder cannot be written.
    """
    title = "Sweep: " + ", ".join(sweep.name for sweep in sweeps)
    paths = [folder / f"sweep.{ending}" for ending in ("md", "html", "json")]
    tables = [table for sweep in sweeps for table in sweep.tables]
    text = f"# {title}\n\n" + "\n".join(table.markdown() for table in tables)
    body = [part for one in sweeps for part in _sweep(one)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        paths[0].write_text(text, encoding="utf-8", errors="replace")
        paths[1].write_text(_document(title, body), encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror or error})") from error
    write_json(paths[2], {s.name: [t.data() for t in s.tables] for s in sweeps})
    return paths


def _document(title: str, body: Sequence[str]) -> str:
    """A page that needs nothing from anywhere."""
    return "".join(
        (
            "<!doctype html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n"
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
            "<meta name=viewport content='width=device-width, initial-scale=1'>\n"
            f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n",
            f"<h1>{html.escape(title)}</h1>\n",
            *body,
            "</body>\n</html>\n",
        )
    )


def _sweep(sweep: Sweep) -> list[str]:
    return [*sweep.charts, *(table.page() for table in sweep.tables)]


def _against(report: Report) -> list[str]:
    """This run and others, benchmark by benchmark: scores in percent, then errors."""
    rows = [row for row in report.rows if row.ours is not None or row.peers]
    scores = [row for row in rows if not row.is_error]
    errors = [row for row in rows if row.is_error]
    return [
        _beside("This run beside others: scores, %", scores, most=100.0),
        _beside(f"This run beside others: errors, % (lower is better {LOWER})", errors),
    ]


def _beside(title: str, rows: Sequence[Row], *, most: float | None = None) -> str:
    ranges = [
        None
        if row.line.interval is None or row.sub != "main"
        else (row.line.interval.low, row.line.interval.high)
        for row in rows
    ]
    series = [Series(name="this run", values=[row.score for row in rows], ranges=ranges)]
    if any(row.ours for row in rows):
        printed = [row.ours.value if row.ours else None for row in rows]
        series.append(Series(name="report", values=printed))
    if any(row.peers for row in rows):
        best = [row.ranked_peers[0][1] if row.peers else None for row in rows]
        series.append(Series(name="best without a model", values=best))
    modes = {row.benchmark: row.line.setting for row in rows}
    several = {row.benchmark for row in rows if modes[row.benchmark] != row.line.setting}
    names = [
        f"{row.label}, {row.line.setting}" if row.benchmark in several else row.label
        for row in rows
    ]
    return dot_chart(title, names, series, "%", most=most)


def _examples(examples: Sequence[Example]) -> list[str]:
    if not examples:
        return []
    parts = ["<h2>Answers worth looking at</h2>\n"]
    for name, group in groupby(examples, key=lambda e: e.benchmark):
        parts.append(f"<h3>{html.escape(named(name))}</h3>\n")
        parts += [_example(example) for example in group]
    return parts


def _example(example: Example) -> str:
    pictures = "".join(f'<img alt="" src="{url}">' for url in example.pictures)
    hidden = f"<p class=notes>{example.hidden} further media</p>" if example.hidden else ""
    value = "not scored" if example.value is None else f"{example.value:.2f}"
    fields = [
        ("asked", example.prompt),
        ("reference", example.reference),
        ("answer", example.text),
        ("taken for it", example.extracted),
    ]
    rows = "".join(
        f"<dt>{name}</dt><dd>{html.escape(text) or '<em>nothing</em>'}</dd>"
        for name, text in fields
    )
    thought = (
        f"<details><summary>reasoning</summary><dl><dt></dt><dd>{html.escape(example.reasoning)}"
        "</dd></dl></details>"
        if example.reasoning
        else ""
    )
    head = f"{example.sample} &middot; {example.setting} &middot; {value} &middot; {example.finish}"
    return (
        f"<div class=example><strong>{html.escape(head).replace('&amp;middot;', '&middot;')}"
        f"</strong><div>{pictures}</div>{hidden}<dl>{rows}</dl>{thought}</div>\n"
    )
