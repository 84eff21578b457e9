"""Table pictures with their structure: PubTabNet, FinTabNet, SynthTabNet; WebSight pages.

A table becomes its markup (LaTeX unless another form is asked for), look-ups of single cells and
its size. PubTables-1M, whose structure is boxes, is in `pubtables`.

Source: training specification, section 10.2; design decision D15.
"""

from __future__ import annotations

import html
import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path

from nanovl.data.convert.base import (
    MULTI_TURN,
    Converted,
    ConvertOptions,
    Format,
    Item,
    Malformed,
    Turn,
    each,
    records,
    rng,
)
from nanovl.data.convert.grids import FORMS, Cell, Grid, Run, place, write_grid
from nanovl.data.convert.parts import item_key, read_any
from nanovl.data.convert.sources import find_file, media_file, picture, read_lines
from nanovl.data.convert.templates import question

__all__ = [
    "FORMATS",
    "TABLE_OPTIONS",
    "cell_runs",
    "convert_pubtabnet",
    "convert_websight",
    "structure_grid",
    "table_turns",
]

MOST_CELLS = 1000  # larger tables are looked into, but not written out
MOST_SPAN = 1000  # a larger span is a mistake

TABLE_OPTIONS = {
    **MULTI_TURN,
    "format": "latex (default), html, markdown, otsl, or mixed: one drawn for each table",
    "lookups": "cells to look up per table (default 2)",
}

_STYLES = {
    "b": "b",
    "strong": "b",
    "i": "i",
    "em": "i",
    "sup": "sup",
    "sub": "sub",
    "u": "u",
    "underline": "u",
    "s": "s",
    "strike": "s",
    "overline": "o",
}
_TAG = re.compile(r"<(/?)([a-z]+)\s*/?>")


def table_turns(grid: Grid, draw: random.Random, options: ConvertOptions) -> list[Turn]:
    """Writing the table out, looking up cells, counting rows and columns.

    Raises:
        Malformed: The form asked for cannot write this table.
    """
    form = options.choice("format", "latex", (*FORMS, "mixed"))
    if form == "mixed":
        plain = not grid.has_spans and grid.head == 1
        form = draw.choice([f for f in FORMS if plain or f != "markdown"])
    rows, columns = grid.size
    turns = []
    if rows * columns <= MOST_CELLS:
        turns.append(
            Turn(
                question=question("table_extraction", draw, format=FORMS[form]),
                answer=write_grid(grid, form),
                task=f"table_{form}",
                key=form,
            )
        )
    turns += _lookups(grid, draw, options.integer("lookups", 2, least=0))
    turns.append(
        Turn(
            question=question("table_size", draw),
            answer=f"{rows} x {columns}",
            task="table_size",
            key="size",
        )
    )
    return turns


def _lookups(grid: Grid, draw: random.Random, bound: int) -> list[Turn]:
    """Cells named by a column title and a row title, both filled and unlike all others."""
    if grid.head != 1:
        return []
    texts = grid.texts()
    simple = [[cell.rows * cell.columns == 1 for cell, _, _ in row] for row in grid.slots]
    titles = Counter(texts[0])
    names = Counter(row[0] for row in texts[1:])
    places = [
        (r, c)
        for r in range(1, len(texts))
        for c in range(1, len(texts[0]))
        if texts[r][c]
        and simple[r][c]
        and simple[0][c]
        and simple[r][0]
        and texts[0][c]
        and titles[texts[0][c]] == 1
        and texts[r][0]
        and names[texts[r][0]] == 1
    ]
    return [
        Turn(
            question=question("cell_lookup", draw, row=texts[r][0], column=texts[0][c]),
            answer=texts[r][c],
            task="table_lookup",
            key=f"cell-{index}",
        )
        for index, (r, c) in enumerate(draw.sample(places, min(bound, len(places))))
    ]


# -- Structure tokens ----------------------------------------------------------------------------


class _Structure(HTMLParser):
    """Collects rows of cells from the structure part of a table."""

    def __init__(self, contents: Sequence[tuple[Run, ...]], name: str) -> None:
        super().__init__()
        self.rows: list[list[Cell]] = []
        self.head = 0
        self._contents = iter(contents)
        self._name = name
        self._in_head = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("thead", "tbody"):
            self._in_head = tag == "thead"
        elif tag == "tr":
            self.rows.append([])
            self.head += self._in_head
        elif tag in ("td", "th"):
            self._cell(dict(attrs))
        elif tag != "table":
            raise Malformed("bad_table", f"{self._name}: unknown tag <{tag}>")

    def handle_endtag(self, tag: str) -> None:
        if tag == "thead":
            self._in_head = False

    def handle_data(self, data: str) -> None:
        if data.strip():
            raise Malformed("bad_table", f"{self._name}: text {data.strip()[:20]!r} between tags")

    def _cell(self, attributes: dict[str, str | None]) -> None:
        if not self.rows:
            raise Malformed("bad_table", f"{self._name}: a cell before the first row")
        spans = []
        for key in ("rowspan", "colspan"):
            value = attributes.get(key) or "1"
            if not value.isdecimal() or not 1 <= int(value) <= MOST_SPAN:
                raise Malformed("bad_table", f"{self._name}: {key} {value!r}, expected a count")
            spans.append(int(value))
        runs = next(self._contents, None)
        if runs is None:
            raise Malformed("bad_table", f"{self._name}: more cells than contents")
        self.rows[-1].append(Cell(runs, spans[0], spans[1], header=self._in_head))

    def left_over(self) -> int:
        return sum(1 for _ in self._contents)


def structure_grid(
    tokens: Sequence[str], contents: Sequence[tuple[Run, ...]], name: str = "structure.tokens"
) -> Grid:
    """The grid of structure tokens such as `<td`, ` colspan="2"`, `>`, `</td>`.

    Args:
        tokens: Tags of the table without contents.
        contents: Per cell, in the same order, what it says.
        name: For messages.

    Raises:
        Malformed: The tokens are no table, or the number of cells differs.
    """
    parser = _Structure(contents, name)
    parser.feed("".join(tokens))
    parser.close()
    if extra := parser.left_over():
        raise Malformed("bad_table", f"{name}: {extra} contents without a cell")
    return place(parser.rows, parser.head, name)


def cell_runs(tokens: Sequence[str]) -> tuple[Run, ...]:
    """The text of a cell out of its tokens: characters and style tags.

    Unknown tags are kept as text, since characters such as `<` are tokens as well.
    """
    runs: list[Run] = []
    styles: list[str] = []
    for token in tokens:
        match = _TAG.fullmatch(token)
        style = _STYLES.get(match[2]) if match else None
        if match is None or style is None:
            text = html.unescape(token)
            if runs and runs[-1].styles == tuple(styles):
                text = runs.pop().text + text
            runs.append(Run(text, tuple(styles)))
        elif not match[1]:
            styles.append(style)
        elif style in styles:
            del styles[len(styles) - 1 - styles[::-1].index(style)]
    return tuple(runs)


def convert_pubtabnet(source: Path, options: ConvertOptions) -> Iterator[Converted]:
    """Lines of filename, split and html (structure tokens and cells)."""
    return _token_tables(source, options, "pubtabnet", ("PubTabNet*.jsonl*", "*{split}*.jsonl*"))


def _convert_fintabnet(source: Path, options: ConvertOptions) -> Iterator[Converted]:
    return _token_tables(source, options, "fintabnet", ("FinTabNet*{split}.jsonl*",))


def _convert_synthtabnet(source: Path, options: ConvertOptions) -> Iterator[Converted]:
    return _token_tables(source, options, "synthtabnet", ("synthetic_data.jsonl*", "*.jsonl*"))


def _token_tables(
    source: Path, options: ConvertOptions, name: str, patterns: tuple[str, ...]
) -> Iterator[Converted]:
    path = find_file(source, options, *patterns)

    def make(item: Item) -> list[Converted]:
        if item.maybe("split") not in ("", options.split):
            return []
        file = item.text("filename")
        body = item.child("html")
        cells = [cell_runs(_tokens(c, "tokens")) for c in body.children("cells")]
        structure = body.child("structure")
        grid = structure_grid(_tokens(structure, "tokens"), cells, structure.name("tokens"))
        stem = str(Path(file).with_suffix("")) if Path(file).suffix == ".pdf" else file
        inner = path.parent / "images" / options.split
        folders = [options.images, path.parent / options.split, inner, path.parent / "images"]
        media = picture(
            media_file(stem, "filename", *folders, path.parent),
            name,
            Path(file).stem,
            item.maybe("table_id"),
            field="filename",
        )
        key = f"{name}-{item_key(item, 'imgid', 'table_id')}"
        turns = table_turns(grid, rng(key, options.seed), options)
        return records(options, id=key, turns=turns, source=name, media=[media])

    return each(read_lines(path, options), make, options)


def _tokens(item: Item, key: str) -> list[str]:
    values = item.items(key)
    for index, value in enumerate(values):
        if not isinstance(value, str):
            raise Malformed("wrong_type", f"{item.name(key)}[{index}]: expected text")
    return values


# -- WebSight ------------------------------------------------------------------------------------


def convert_websight(source: Path, options: ConvertOptions) -> Iterator[Converted]:
    """Lines of a screenshot (`image` or `file_name`) and its HTML (`html` or `text`)."""
    path = find_file(source, options, "*{split}*.jsonl*", "*.jsonl*", "*{split}*.json")

    def make(item: Item) -> list[Converted]:
        file = item.maybe("image") or item.text("file_name")
        code = item.maybe("html") or item.text("text")
        if "<" not in code or ">" not in code:
            raise Malformed("no_answer", "html: holds no tag")
        ref = media_file(file, "image", options.images, path.parent / "images", path.parent)
        number = item_key(item, "id")
        media = picture(ref, "websight", number)
        draw = rng(f"websight-{number}", options.seed)
        turn = Turn(question=question("web_page", draw), answer=code, task="web_html")
        name = f"websight-{number}"
        return records(options, id=name, turns=[turn], source="websight", media=[media])

    return each(read_any(path, options), make, options)


FORMATS = (
    Format(
        name="pubtabnet",
        description="PubTabNet: tables as LaTeX, HTML, markdown or OTSL, look-ups, sizes",
        convert=convert_pubtabnet,
        expects="PubTabNet_2.0.0.jsonl beside the folders train/ and val/ of pictures",
        licence="annotations CDLA-Permissive-1.0 as stated by the source",
        options=TABLE_OPTIONS,
    ),
    Format(
        name="fintabnet",
        description="FinTabNet: the same for tables of annual reports",
        convert=_convert_fintabnet,
        expects="FinTabNet_1.0.0_cell_<split>.jsonl and pictures named like its PDF files",
        licence="CDLA-Permissive-1.0",
        options=TABLE_OPTIONS,
    ),
    Format(
        name="synthtabnet",
        description="SynthTabNet: the same for synthetic tables",
        convert=_convert_synthtabnet,
        expects="synthetic_data.jsonl beside images/<split>/",
        licence="CDLA-Permissive-1.0",
        options=TABLE_OPTIONS,
    ),
    Format(
        name="websight",
        description="WebSight: HTML of screenshots",
        convert=convert_websight,
        expects="JSON lines of image and html (or text), and a folder of screenshots",
        licence="CC BY 4.0",
    ),
)
