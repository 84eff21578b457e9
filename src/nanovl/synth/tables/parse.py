"""Reads tables back from HTML, OTSL, LaTeX and markdown.

Accepts what the writers give and harmless variants of white space; anything else is an error that
names the place.

Source: data synthesis specification, section 6.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from html.parser import HTMLParser

from nanovl.core.errors import InputError
from nanovl.data.convert.base import Malformed
from nanovl.data.convert.grids import Cell, Grid, Run, place

__all__ = ["PARSERS", "parse", "parse_html", "parse_latex", "parse_markdown", "parse_otsl"]

_TOKENS = ("fcel", "ecel", "lcel", "ucel", "xcel", "ched", "rhed", "srow", "nl")
_OTSL = re.compile(r"<(" + "|".join(_TOKENS) + r")>")


def parse(text: str, form: str) -> Grid:
    """A table from its text.

    Args:
        text: The table alone.
        form: "html", "otsl", "latex" or "markdown".

    Raises:
        InputError: It is not a table of that form.
    """
    if form not in PARSERS:
        raise InputError(f"table form {form!r}: expected one of {', '.join(sorted(PARSERS))}")
    try:
        return PARSERS[form](text)
    except Malformed as error:
        raise InputError(f"{form} table: {error}") from error


def _cell(text: str, rows: int, columns: int, header: bool) -> Cell:
    text = " ".join(text.split())
    return Cell((Run(text),) if text else (), rows, columns, header)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.rows: list[list[Cell]] = []
        self.head = 0
        self.is_head = False
        self.open: tuple[str, int, int] | None = None
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "thead":
            self.is_head = True
        elif tag == "tr":
            self.rows.append([])
            self.head += self.is_head
        elif tag in ("td", "th"):
            if not self.rows or self.open:
                raise InputError(f"HTML table: <{tag}> is not in a row")
            spans = dict(attrs)
            unknown = sorted(set(spans) - {"rowspan", "colspan"})
            if unknown:
                raise InputError(f"HTML table: attribute {unknown[0]!r} of <{tag}>")
            self.open = (tag, int(spans.get("rowspan") or 1), int(spans.get("colspan") or 1))
            self.text = ""
        elif tag not in ("table", "tbody"):
            raise InputError(f"HTML table: unexpected <{tag}>")

    def handle_endtag(self, tag: str) -> None:
        if tag == "thead":
            self.is_head = False
        elif tag in ("td", "th"):
            if self.open is None:
                raise InputError(f"HTML table: </{tag}> without start")
            name, rows, columns = self.open
            self.rows[-1].append(_cell(self.text, rows, columns, self.is_head or name == "th"))
            self.open = None

    def handle_data(self, data: str) -> None:
        if self.open:
            self.text += data
        elif data.strip():
            raise InputError(f"HTML table: text {data.strip()[:20]!r} outside of cells")


def parse_html(text: str) -> Grid:
    """A table from HTML: table, thead, tbody, tr, td, th with rowspan and colspan."""
    reader = _Reader()
    reader.feed(text.strip())
    reader.close()
    if not text.strip().startswith("<table>") or not text.strip().endswith("</table>"):
        raise InputError("HTML table: expected <table>...</table>")
    return place(reader.rows, reader.head)


def parse_otsl(text: str) -> Grid:
    """A table from OTSL.

    Raises:
        InputError: Rows differ in length, or a merging token has nothing to merge with.
    """
    lines: list[list[tuple[str, str]]] = [[]]
    position = 0
    for match in _OTSL.finditer(text):
        between = text[position : match.start()].strip()
        if lines[-1]:
            name, _ = lines[-1][-1]
            lines[-1][-1] = (name, html.unescape(between))
            if between and name in ("lcel", "ucel", "xcel", "ecel"):
                raise InputError(f"OTSL: text {between[:20]!r} after <{name}>")
        elif between:
            raise InputError(f"OTSL: text {between[:20]!r} before the first cell of a row")
        if match[1] == "nl":
            lines.append([])
        else:
            lines[-1].append((match[1], ""))
        position = match.end()
    if not text.strip():
        raise InputError("OTSL: no rows")
    if lines.pop() or text[position:].strip():
        raise InputError("OTSL: the last row does not end with <nl>")
    if len({len(line) for line in lines}) != 1:
        raise InputError(f"OTSL: rows have {[len(line) for line in lines]} cells")
    return _otsl_grid(lines)


def _otsl_grid(lines: list[list[tuple[str, str]]]) -> Grid:
    height, width = len(lines), len(lines[0])
    names = [[name for name, _ in line] for line in lines]
    for r in range(height):
        for c in range(width):
            _check_token(names, r, c)
    rows: list[list[Cell]] = [[] for _ in lines]
    covered = 0
    for r in range(height):
        for c in range(width):
            name, text = lines[r][c]
            if name in ("lcel", "ucel", "xcel"):
                continue
            columns, down = 1, 1
            while c + columns < width and names[r][c + columns] == "lcel":
                columns += 1
            while r + down < height and names[r + down][c] == "ucel":
                down += 1
            for i in range(1, down):
                for j in range(1, columns):
                    if names[r + i][c + j] != "xcel":
                        raise InputError(f"OTSL: <xcel> expected in row {r + i + 1}")
            covered += down * columns
            rows[r].append(_cell(text, down, columns, name == "ched"))
    if covered != height * width:
        raise InputError(f"OTSL: cells cover {covered} of {height * width} places")
    head = 0
    while head < height and any(n == "ched" for n in names[head]):
        head += 1
    while head and any(n in ("ucel", "xcel") for n in names[head] if head < height):
        head += 1
    return place(rows, min(head, height))


def _check_token(names: list[list[str]], r: int, c: int) -> None:
    name = names[r][c]
    left = names[r][c - 1] if c else ""
    up = names[r - 1][c] if r else ""
    if name in ("lcel", "xcel") and not c:
        raise InputError(f"OTSL: <{name}> in the first column of row {r + 1}")
    if name in ("ucel", "xcel") and not r:
        raise InputError(f"OTSL: <{name}> in the first row")
    if name == "xcel" and (left not in ("xcel", "ucel") or up not in ("xcel", "lcel")):
        raise InputError(f"OTSL: <xcel> in row {r + 1} has <{left}> at its left, <{up}> above")
    if name == "lcel" and left in ("ucel", "xcel"):
        raise InputError(f"OTSL: <lcel> in row {r + 1} follows <{left}>")
    if name == "ucel" and up in ("lcel", "xcel"):
        raise InputError(f"OTSL: <ucel> in row {r + 1} is below <{up}>")


_UNTEX = {
    "\\textbackslash{}": "\\",
    "\\textasciicircum{}": "^",
    "\\textasciitilde{}": "~",
    "\\{": "{",
    "\\}": "}",
    "\\$": "$",
    "\\&": "&",
    "\\#": "#",
    "\\%": "%",
    "\\_": "_",
}
_TEX_WORD = re.compile("|".join(re.escape(k) for k in _UNTEX))
_ESCAPED = re.compile(r"\\.", re.DOTALL)


def _split(text: str, mark: str) -> list[str]:
    """Parts of a text between unescaped marks outside of braces."""
    parts, depth, start, k = [], 0, 0, 0
    while k < len(text):
        if text.startswith(mark, k) and not depth:
            parts.append(text[start:k])
            k += len(mark)
            start = k
            continue
        if text[k] == "\\":
            k += 2
            continue
        depth += {"{": 1, "}": -1}.get(text[k], 0)
        k += 1
    return [*parts, text[start:]]


def _argument(text: str) -> tuple[str, str]:
    """The content of a leading brace group, and what follows."""
    if not text.startswith("{"):
        raise InputError(f"LaTeX table: expected a brace before {text[:20]!r}")
    depth, k = 0, 0
    while k < len(text):
        if text[k] == "\\":
            k += 2
            continue
        depth += {"{": 1, "}": -1}.get(text[k], 0)
        k += 1
        if not depth:
            return text[1 : k - 1], text[k:]
    raise InputError("LaTeX table: a brace is not closed")


def _tex_cell(text: str) -> tuple[str, int, int]:
    """Text, rows and columns of a cell."""
    text, rows, columns = text.strip(), 1, 1
    if text.startswith("\\multicolumn"):
        count, rest = _argument(text[len("\\multicolumn") :])
        _, rest = _argument(rest)
        inner, rest = _argument(rest)
        text, columns = inner.strip(), _count(count)
    if text.startswith("\\multirow"):
        count, rest = _argument(text[len("\\multirow") :])
        _, rest = _argument(rest)
        inner, rest = _argument(rest)
        text, rows = inner.strip(), _count(count)
    return _TEX_WORD.sub(lambda m: _UNTEX[m[0]], text), rows, columns


def _count(text: str) -> int:
    if not text.strip().isdigit():
        raise InputError(f"LaTeX table: {text!r} is not a number of cells")
    return int(text)


def parse_latex(text: str) -> Grid:
    """A table from a tabular environment; the head ends at the first rule after a row."""
    found = re.fullmatch(
        r"\\begin\{tabular\}\{(?P<columns>[^}]*)\}(?P<body>.*)\\end\{tabular\}",
        text.strip(),
        re.DOTALL,
    )
    if not found:
        raise InputError("LaTeX table: expected a tabular environment")
    rows: list[list[Cell]] = []
    head, rules = 0, 0
    open_rows: dict[int, int] = {}  # column -> rows below that a cell above still covers
    parts = _split(found["body"], "\\\\")
    for number, part in enumerate(parts):
        part = part.strip()
        while part.startswith(("\\hline", "\\toprule", "\\midrule", "\\bottomrule")):
            part = re.sub(r"^\\[a-z]+\s*", "", part)
            rules += 1
            if rows and not head:
                head = len(rows)
        if not part and number == len(parts) - 1:
            continue
        row: list[Cell] = []
        column = 0
        for cell in _split(part, "&"):
            shown, down, across = _tex_cell(cell)
            if open_rows.get(column, 0):
                for k in range(column, column + across):
                    open_rows[k] -= 1
                if shown:
                    raise InputError(f"LaTeX table: {shown!r} stands under a \\multirow")
            else:
                row.append(_cell(shown, down, across, header=False))
                for k in range(column, column + across):
                    open_rows[k] = down - 1
            column += across
        rows.append(row)
    return place(rows, head if head < len(rows) else 0)


def parse_markdown(text: str) -> Grid:
    """A table from pipes with one header row."""
    lines = [line.strip() for line in text.strip().splitlines()]
    if len(lines) < 2 or not re.fullmatch(r"\|(\s*:?-{3,}:?\s*\|)+", lines[1]):
        raise InputError("markdown table: the second line is no row of dashes")
    rows = []
    for k, line in enumerate(lines):
        if k == 1:
            continue
        if not (line.startswith("|") and line.endswith("|")):
            raise InputError(f"markdown table: line {k + 1} has no bars at its ends")
        cells = re.split(r"(?<!\\)\|", line[1:-1])
        rows.append([_cell(c.replace("\\|", "|"), 1, 1, header=not k) for c in cells])
    return place(rows, 1)


PARSERS: dict[str, Callable[[str], Grid]] = {
    "html": parse_html,
    "latex": parse_latex,
    "markdown": parse_markdown,
    "otsl": parse_otsl,
}
