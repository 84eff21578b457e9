r"""Markdown and tables of a data set as safe HTML.

Everything that comes from data is escaped: markup is rebuilt from what was understood, never passed
on. Formulas stay as source. The Markdown is what our ground truth is written in: headings,
paragraphs, lists, code, quotes, rules, tables (pipes, LaTeX tabular and HTML), bold, italic,
superscripts, \(...\) and \[...\].

Source: data synthesis specification, section 20.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nanovl.core.errors import InputError
from nanovl.data.convert.grids import Grid
from nanovl.synth.tables.parse import parse

__all__ = ["has_markup", "markdown_html", "table_html", "tables_of", "text_table_html"]

_FENCE = re.compile(r"^ {0,3}(```+|~~~+)[^`]*$")
_HEADING = re.compile(r"^ {0,3}(#{1,6})\s+(.*?)\s*#*\s*$")
_RULE = re.compile(r"^ {0,3}([-*_])(?:\s*\1){2,}\s*$")
_ITEM = re.compile(r"^(\s*)([-*+]|\d{1,9}[.)])\s+(.*)$")
_BAR = re.compile(r"^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$")
_TABULAR = re.compile(r"\\begin\{tabular\}.*?\\end\{tabular\}", re.S)
_TABLE = re.compile(r"<table\b.*?</table>", re.S | re.I)
_DISPLAY = re.compile(r"\\\[(.+?)\\\]|\$\$(.+?)\$\$", re.S)
_INLINE = re.compile(
    r"(?P<escape>\\[\\`*_{}\[\]#+.!|<>$~-](?![(\[]))"
    r"|(?P<code>(?P<ticks>`+)(?P<inside>.+?)(?P=ticks))"
    r"|(?P<maths>\\\(.+?\\\))"
    r"|(?P<strong>\*\*(?=\S)(?P<bold>.+?)(?<=\S)\*\*)"
    r"|(?P<emphasis>(?<![*\w])\*(?=\S)(?P<italic>[^*]+?)(?<=\S)\*(?![*\w]))"
    r"|(?P<raised><(?P<tag>sup|sub)>(?P<shifted>[^<]*)</(?P=tag)>)"
    r"|(?P<break><br\s*/?>)",
    re.S,
)
_MARKS = re.compile(
    r"^#{1,6} |\*\*\S|^\s*[-*] \S|^```|\\begin\{tabular\}|<table|^\|.*\|$|\\\(|\\\[", re.M
)
_HUGE = re.compile(r"(?:span\W{0,3}|\\multi(?:row|column)\{)\d{4,}", re.I)
_HELD = "\ufdd0{0}\ufdd1"  # noncharacters: no text has them
_HOLD = re.compile("\ufdd0(\\d+)\ufdd1")


def has_markup(text: str) -> bool:
    """Whether a text looks like Markdown, LaTeX or a table."""
    return _MARKS.search(text) is not None


def markdown_html(text: str) -> str:
    """A text as HTML in which nothing of the text is left unescaped.

    Args:
        text: Markdown.
    """
    text = text.replace("\ufdd0", "\ufffd").replace("\ufdd1", "\ufffd")
    held: list[str] = []

    def hold(made: str) -> str:
        held.append(made)
        return f"\n\n{_HELD.format(len(held) - 1)}\n\n"

    fences, rest = _cut_fences(text)
    for code in fences:
        held.append(f"<pre><code>{html.escape(code)}</code></pre>")
    rest = _TABULAR.sub(lambda m: hold(text_table_html(m[0], "latex")), rest)
    rest = _TABLE.sub(lambda m: hold(text_table_html(m[0], "html")), rest)
    rest = _DISPLAY.sub(
        lambda m: hold(f'<p class="maths">{html.escape((m[1] or m[2]).strip())}</p>'), rest
    )
    made = "".join(_blocks(rest.split("\n")))
    for _ in range(2):  # a table in a list item, say
        made = _HOLD.sub(lambda m: held[int(m[1])], made)
    return made


def _cut_fences(text: str) -> tuple[list[str], str]:
    """Fenced code, and the text with a mark in its place."""
    found: list[str] = []
    kept: list[str] = []
    lines = iter(text.split("\n"))
    for line in lines:
        opened = _FENCE.match(line)
        if opened is None:
            kept.append(line)
            continue
        inside = []
        for other in lines:
            if other.strip().startswith(opened[1]) and not other.strip(" `~"):
                break
            inside.append(other)
        kept += ["", _HELD.format(len(found)), ""]
        found.append("\n".join(inside))
    return found, "\n".join(kept)


def _blocks(lines: Sequence[str]) -> Iterator[str]:
    at = 0
    while at < len(lines):
        line = lines[at]
        heading = _HEADING.match(line)
        if not line.strip():
            at += 1
        elif _HOLD.fullmatch(line.strip()):
            yield line.strip()
            at += 1
        elif heading:
            level = len(heading[1])
            yield f"<h{level}>{_inline(heading[2])}</h{level}>"
            at += 1
        elif _RULE.match(line):
            yield "<hr>"
            at += 1
        elif _ITEM.match(line):
            end = _end_of_list(lines, at)
            yield _list(lines[at:end])
            at = end
        elif line.lstrip().startswith(">"):
            end = at
            while end < len(lines) and lines[end].lstrip().startswith(">"):
                end += 1
            inside = [re.sub(r"^\s*> ?", "", quoted) for quoted in lines[at:end]]
            yield f"<blockquote>{''.join(_blocks(inside))}</blockquote>"
            at = end
        elif "|" in line and at + 1 < len(lines) and _BAR.match(lines[at + 1]):
            end = at + 2
            while end < len(lines) and "|" in lines[end]:
                end += 1
            yield _pipes(lines[at:end])
            at = end
        else:
            end = at + 1
            while end < len(lines) and lines[end].strip() and not _starts(lines[end]):
                end += 1
            yield f"<p>{'<br>'.join(_inline(part) for part in lines[at:end])}</p>"
            at = end


def _starts(line: str) -> bool:
    """Whether a line ends the paragraph before it."""
    return bool(
        _HEADING.match(line) or _RULE.match(line) or _ITEM.match(line) or _HOLD.match(line.strip())
    )


def _end_of_list(lines: Sequence[str], at: int) -> int:
    while at < len(lines) and (_ITEM.match(lines[at]) or lines[at].startswith("  ")):
        at += 1
    return at


def _list(lines: Sequence[str]) -> str:
    """Items, nested by their indentation."""
    entries: list[tuple[int, str, str]] = []
    for line in lines:
        item = _ITEM.match(line)
        if item:
            entries.append((len(item[1].expandtabs(4)), item[2], item[3]))
        elif entries:
            depth, mark, text = entries[-1]
            entries[-1] = (depth, mark, f"{text} {line.strip()}")
    return _nested(entries)


def _nested(entries: Sequence[tuple[int, str, str]]) -> str:
    depth = min(e[0] for e in entries)
    name = "ol" if entries[0][1][0].isdigit() else "ul"
    start = f' start="{int(entries[0][1][:-1])}"' if name == "ol" else ""
    made, at = "", 0
    while at < len(entries):
        end = at + 1
        while end < len(entries) and entries[end][0] > depth:
            end += 1
        inner = _nested(entries[at + 1 : end]) if end > at + 1 else ""
        made += f"<li>{_inline(entries[at][2])}{inner}</li>"
        at = end
    return f"<{name}{start}>{made}</{name}>"


def _pipes(lines: Sequence[str]) -> str:
    rows = [_cells(line) for line in (lines[0], *lines[2:])]
    width = max(map(len, rows))
    return _rows([row + [""] * (width - len(row)) for row in rows], 1)


def _cells(line: str) -> list[str]:
    parts = re.split(r"(?<!\\)\|", line.strip().removeprefix("|").removesuffix("|"))
    return [part.strip().replace("\\|", "|") for part in parts]


def _rows(rows: Sequence[Sequence[Any]], head: int) -> str:
    made = ""
    for number, row in enumerate(rows):
        name = "th" if number < head else "td"
        cells = "".join(f"<{name}>{_inline(str(cell))}</{name}>" for cell in row)
        made += f"<tr>{cells}</tr>"
    return f'<div class="table"><table>{made}</table></div>'


def _inline(text: str) -> str:
    """Styles inside a line; everything between them is escaped."""
    made, last = "", 0
    for found in _INLINE.finditer(text):
        made += html.escape(text[last : found.start()])
        last = found.end()
        if found["escape"]:
            made += html.escape(found["escape"][1:])
        elif found["code"]:
            made += f"<code>{html.escape(found['inside'])}</code>"
        elif found["maths"]:
            made += f'<code class="maths">{html.escape(found["maths"][2:-2])}</code>'
        elif found["strong"]:
            made += f"<strong>{_inline(found['bold'])}</strong>"
        elif found["emphasis"]:
            made += f"<em>{_inline(found['italic'])}</em>"
        elif found["raised"]:
            made += f"<{found['tag']}>{html.escape(found['shifted'])}</{found['tag']}>"
        else:
            made += "<br>"
    return made + html.escape(text[last:])


# -- Tables --------------------------------------------------------------------------------------


def text_table_html(text: str, form: str) -> str:
    """A table given as text; what cannot be read is shown as source.

    Args:
        text: The table alone.
        form: "html", "otsl", "latex" or "markdown".
    """
    try:
        if _HUGE.search(text):
            raise InputError("a span of more than 999 rows or columns")
        grid = parse(text.strip(), form)
    except (InputError, ValueError):  # ValueError: a span that is no number
        return f'<pre class="source"><code>{html.escape(text.strip())}</code></pre>'
    return table_html(grid)


def table_html(grid: Grid) -> str:
    """A table with its spans."""
    made = ""
    for r, row in enumerate(grid.slots):
        made += "<tr>"
        for c, (cell, top, left) in enumerate(row):
            if (r, c) != (top, left):
                continue
            name = "th" if cell.header or r < grid.head else "td"
            spans = f' rowspan="{cell.rows}"' if cell.rows > 1 else ""
            spans += f' colspan="{cell.columns}"' if cell.columns > 1 else ""
            made += f"<{name}{spans}>{_inline(cell.text)}</{name}>"
        made += "</tr>"
    return f'<div class="table"><table>{made}</table></div>'


def tables_of(truth: Any) -> list[tuple[str, str]]:
    """Tables of a ground truth as (title, HTML), none twice."""
    found: dict[str, str] = {}
    for title, made in _tables(truth):
        found.setdefault(made, title)
    return [(title, made) for made, title in found.items()]


def _tables(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, list | tuple):
        for item in value:
            yield from _tables(item)
    elif isinstance(value, Mapping):
        yield from _own_tables(value)
        for key, child in value.items():
            if key != "forms" and isinstance(child, Mapping | list | tuple):
                yield from _tables(child)


def _own_tables(value: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    title = str(value.get("title") or value.get("caption_text") or "")
    forms = value.get("forms")
    source = forms.get("html") if isinstance(forms, Mapping) else value.get("html")
    if isinstance(source, str) and source.lstrip().lower().startswith("<table"):
        yield title, text_table_html(source, "html")
    data = value.get("data_table")
    if isinstance(data, list) and data and all(isinstance(row, list) for row in data):
        yield title, _rows(data, 1)
    header, rows = value.get("header"), value.get("rows")
    if isinstance(header, list) and isinstance(rows, list) and rows and isinstance(rows[0], list):
        yield title, _rows([header, *rows], 1)
    elif value.get("class") == "table" and isinstance(value.get("cells"), list):
        yield title, _placed(value["cells"])


def _placed(cells: Sequence[Mapping[str, Any]]) -> str:
    """Cells with row and column; header rows are negative."""
    rows: dict[int, dict[int, str]] = {}
    for cell in cells:
        rows.setdefault(int(cell["row"]), {})[int(cell["column"])] = str(cell.get("text", ""))
    width = max((c for row in rows.values() for c in row), default=-1) + 1
    ordered = [[rows[r].get(c, "") for c in range(width)] for r in sorted(rows)]
    return _rows(ordered, sum(r < 0 for r in rows) or 1)
