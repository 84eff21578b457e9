"""Sets a table with LaTeX and reads the boxes of cells off the compiled page.

Only what the compiler says about the page is trusted: cells are matched by row and column, and
their texts must agree. A table stays on one page.

Source: data synthesis specification, sections 3.11 and 6 (renderers).
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from nanovl.synth.base import Box, Reject, Requirement
from nanovl.synth.documents.draw import union
from nanovl.synth.tables.grid import Cell, Table
from nanovl.synth.tables.render import CellBox, Page, Rendered, side_of
from nanovl.synth.tables.style import Style
from nanovl.synth.tex import compile_document

__all__ = ["LATEX", "draw_with_latex", "table_source"]

LATEX = Requirement(
    name="lualatex", kind="program", package="texlive-luatex texlive-latex-extra",
    purpose="setting tables with LaTeX",
)  # fmt: skip
DPI = 120
# Fonts of the smaller TeX sets, chosen by the typeface of the style.
_FONTS = {
    "dejavu-sans": "\\usepackage{tgheros}\\renewcommand{\\familydefault}{\\sfdefault}",
    "dejavu-condensed": "\\usepackage{tgheros}\\renewcommand{\\familydefault}{\\sfdefault}",
    "liberation-sans": "\\usepackage{tgheros}\\renewcommand{\\familydefault}{\\sfdefault}",
    "gothic": "\\usepackage{tgadventor}\\renewcommand{\\familydefault}{\\sfdefault}",
    "dejavu-serif": "\\usepackage{tgbonum}",
    "bookman": "\\usepackage{tgbonum}",
    "palladio": "\\usepackage{tgpagella}",
    "schola": "\\usepackage{tgschola}",
    "liberation-serif": "\\usepackage{tgtermes}",
    "liberation-mono": "\\usepackage{tgcursor}\\renewcommand{\\familydefault}{\\ttdefault}",
    "dejavu-mono": "\\usepackage{tgcursor}\\renewcommand{\\familydefault}{\\ttdefault}",
}
_ESCAPES = {
    "&": "\\&", "%": "\\%", "$": "\\$", "#": "\\#", "_": "\\_", "{": "\\{", "}": "\\}",
    "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "\\": "\\textbackslash{}",
    "\u20ac": "\\texteuro{}", "\u00a3": "\\pounds{}", "\u00b1": "\\textpm{}",
}  # fmt: skip


def escaped(text: str) -> str:
    """Plain text as LaTeX."""
    return "".join(_ESCAPES.get(c, c) for c in text)


def table_source(table: Table, style: Style) -> str:
    """A document with one page that holds the table."""
    aligns = [side_of(table, style, _column_cell(table, c))[0] for c in range(table.width)]
    bars = "|" if style.borders == "grid" else ""
    spec = bars + bars.join(aligns) + bars
    if style.borders == "outer":
        spec = f"|{spec}|"
    number = "".join(c for c in style.label if c.isdigit()) or "1"
    caption = ""
    if style.caption != "none" and table.title:
        caption = f"\\caption{{{escaped(table.title)}}}\n"
    body = "\n".join(_rows(table, style, aligns))
    tabular = f"\\begin{{tabular}}{{{spec}}}\n{body}\n\\end{{tabular}}\n"
    above = caption if style.caption == "above" else ""
    below = caption if style.caption == "below" else ""
    notes = "".join(f"\n\n\\smallskip {escaped(n)}" for n in table.notes)
    return (
        "\\documentclass[10pt]{article}\n\\usepackage[T1]{fontenc}\n\\usepackage{textcomp}\n"
        "\\usepackage[paperwidth=14in,paperheight=16in,margin=0.6in]{geometry}\n"
        "\\usepackage{array,booktabs,multirow}\n"
        f"{_FONTS.get(style.family, '')}\n"
        f"\\setlength{{\\tabcolsep}}{{{style.pad_x * 0.55:.1f}pt}}\n"
        f"\\renewcommand{{\\arraystretch}}{{{1 + style.pad_y * 0.05:.2f}}}\n"
        "\\pagestyle{empty}\n\\begin{document}\n"
        f"\\setcounter{{table}}{{{int(number) - 1}}}\n"
        f"\\begin{{table}}[t]\\centering\n{above}{tabular}{below}{notes}\\end{{table}}\n"
        "\\end{document}\n"
    )


def _column_cell(table: Table, column: int) -> Cell:
    """A cell that shows how a column is aligned."""
    role = "stub" if column < table.stub else "data"
    return Cell(text="", row=table.head, column=column, role=role)


def _rows(table: Table, style: Style, aligns: Sequence[str]) -> list[str]:
    rule = {"booktabs": ("\\toprule", "\\midrule", "\\bottomrule")}.get(
        style.borders, ("\\hline", "\\hline", "\\hline")
    )
    if style.borders == "none":
        rule = ("", "", "")
    found = [rule[0]]
    for row in range(table.height):
        found.append(" & ".join(_parts(table, style, aligns, row)) + " \\\\")
        if row == table.height - 1:
            found.append(rule[2])
        elif row == table.head - 1:
            found.append(rule[1])
        elif style.borders in ("grid", "horizontal"):
            found.append(_clines(table, row))
    return [line for line in found if line]


def _parts(table: Table, style: Style, aligns: Sequence[str], row: int) -> list[str]:
    parts = []
    column = 0
    while column < table.width:
        cell = table.at(row, column)
        text = escaped(cell.text) if cell.row == row else ""
        if text and _is_bold(style, cell):
            text = f"\\textbf{{{text}}}"
        if cell.rows > 1 and cell.row == row:
            text = f"\\multirow{{{cell.rows}}}{{*}}{{{text}}}"
        if cell.columns > 1:
            side = side_of(table, style, cell)[0]
            ends = "|" if style.borders == "grid" else ""
            left = ends if column == 0 else ""
            text = f"\\multicolumn{{{cell.columns}}}{{{left}{side}{ends}}}{{{text}}}"
        parts.append(text)
        column = cell.column + cell.columns
    return parts


def _is_bold(style: Style, cell: Cell) -> bool:
    if cell.role == "head":
        return style.is_head_bold
    return cell.role == "section" or (cell.role == "stub" and style.is_stub_bold)


def _clines(table: Table, row: int) -> str:
    """A rule below a row that leaves cells out that go on."""
    open_ = [table.at(row, c).row + table.at(row, c).rows - 1 > row for c in range(table.width)]
    if not any(open_):
        return "\\hline"
    found, start = [], None
    for c in range(table.width + 1):
        is_ruled = c < table.width and not open_[c]
        if is_ruled and start is None:
            start = c
        elif not is_ruled and start is not None:
            found.append(f"\\cline{{{start + 1}-{c}}}")
            start = None
    return "".join(found)


def draw_with_latex(table: Table, style: Style, *, rows_a_page: int = 1000) -> Rendered:
    """Set a table with LaTeX, on one page (`rows_a_page` is not used).

    Raises:
        BackendError: LuaLaTeX is missing.
        Reject: It does not compile, or the page says something else than the table.
    """
    del rows_a_page
    with tempfile.TemporaryDirectory(prefix="nanovl-table-") as name:
        folder = Path(name)
        main = folder / "table.tex"
        main.write_text(table_source(table, style), encoding="utf-8")
        result = compile_document(main, folder / "out", dpi=DPI, image="png")
        if len(result.pages) != 1:
            raise Reject(result.status, result.message or f"{len(result.pages)} pages")
        page = result.pages[0]
        if not page.ok:
            raise Reject(f"page_{page.reasons[0].split()[0]}", ", ".join(page.reasons))
        data = json.loads((folder / "out" / page.files["json"]).read_text(encoding="utf-8"))
        image = Image.open(folder / "out" / page.files["image"]).convert("RGB")
        image.load()
    return _read(table, style, data, image)


def _read(table: Table, style: Style, data: dict[str, Any], image: Image.Image) -> Rendered:
    blocks = data["blocks"]
    grids = [b for b in blocks if b.get("grid")]
    if len(grids) != 1 or grids[0].get("problem"):
        raise Reject("no_grid", f"{len(grids)} tables on the page")
    grid = grids[0]["grid"]
    if (grid["rows"], grid["columns"]) != (table.height, table.width):
        raise Reject("no_grid", f"{grid['rows']} x {grid['columns']} instead of "
                     f"{table.height} x {table.width}")  # fmt: skip
    around = union(tuple(b["bbox"]) for b in blocks)
    left, top = (max(0, int(v) - style.margin) for v in around[:2])
    right = min(image.width, int(around[2]) + 1 + style.margin)
    bottom = min(image.height, int(around[3]) + 1 + style.margin)

    def moved(box: Sequence[float]) -> Box:
        return (max(0.0, box[0] - left), max(0.0, box[1] - top),
                min(float(right - left), box[2] - left),
                min(float(bottom - top), box[3] - top))  # fmt: skip

    cells = {(c["r"], c["c"]): c for c in grid["cells"]}
    boxes = []
    for k, cell in enumerate(table.cells):
        found = cells.get((cell.row, cell.column))
        if found is None or _letters(found["text"]) != _letters(cell.text):
            shown = None if found is None else found["text"]
            raise Reject("other_text", f"cell {cell.text!r} is set as {shown!r}")
        text = moved(found["bbox_text"]) if found["bbox_text"] else None
        boxes.append(CellBox(k, 0, moved(found["bbox"]), text))
    caption = next(((moved(b["bbox"]), b["text"]) for b in blocks if b["class"] == "Caption"), None)
    notes = tuple(
        (moved(b["bbox"]), b["text"]) for b in blocks if b["class"] not in ("Caption", "Table")
    )
    picture = image.crop((left, top, right, bottom))
    area = moved(grids[0]["bbox"])
    return Rendered((Page(picture, area, caption, notes, table.head, table.height),), tuple(boxes))


def _letters(text: str) -> str:
    return "".join(text.replace("\u2212", "-").replace("\u2013", "-").split())
