"""Draws a table as HTML in a headless browser and reads the boxes of cells off the page.

Source: data synthesis specification, section 6 (renderers).
"""

from __future__ import annotations

import html
from collections.abc import Sequence

from nanovl.synth.base import Box, Reject
from nanovl.synth.browser import browser
from nanovl.synth.documents.draw import union
from nanovl.synth.tables.grid import Cell, Table
from nanovl.synth.tables.render import CellBox, Page, Rendered, page_rows, side_of
from nanovl.synth.tables.style import RGB, Style
from nanovl.synth.typefaces import BUILTIN

__all__ = ["draw_with_browser", "table_html"]

WIDEST = 1600  # CSS pixels
_FACES = {
    "dejavu-sans": "'DejaVu Sans'",
    "dejavu-serif": "'DejaVu Serif'",
    "dejavu-mono": "'DejaVu Sans Mono'",
    "dejavu-condensed": "'DejaVu Sans Condensed', 'DejaVu Sans'",
    "liberation-sans": "'Liberation Sans'",
    "liberation-serif": "'Liberation Serif'",
    "liberation-mono": "'Liberation Mono'",
    "bookman": "'URW Bookman'",
    "gothic": "'URW Gothic'",
    "palladio": "P052",
    "schola": "C059",
    BUILTIN: "sans-serif",
}


def draw_with_browser(table: Table, style: Style, *, rows_a_page: int = 1000) -> Rendered:
    """Draw a table as HTML.

    Args:
        table: What to draw.
        style: The look.
        rows_a_page: Body rows after which the table goes on on another page, headers repeated.

    Raises:
        BackendError: There is no browser.
        Reject: A page is too wide, or the browser shows other text than the table has.
    """
    scale = (1.0, 1.5, 2.0)[style.pad_x % 3] if style.size <= 16 else 1.0
    pages, boxes = [], []
    for number, (first, last) in enumerate(page_rows(table, rows_a_page)):
        text = table_html(table, style, number, first, last)
        shot = browser().render(text, width=WIDEST, scale=scale, clip="sheet")
        found = {e.key: e for e in shot.elements}
        # The box of the table element itself would hold its caption too.
        grid = union(found[f"c{k}"].box for k in range(len(table.cells)) if f"c{k}" in found)
        if grid[2] > shot.width + 0.5 or grid[2] - grid[0] > 0.98 * WIDEST * scale:
            raise Reject("too_large", "the table is wider than the window")
        caption = found.get("caption")
        notes = [
            (_inside(found[f"note{k}"].box, shot.width, shot.height), note)
            for k, note in enumerate(table.notes)
            if f"note{k}" in found
        ]
        for k, cell in enumerate(table.cells):
            element = found.get(f"c{k}")
            if element is None:
                continue
            if " ".join(element.text.split()) != " ".join(cell.text.split()):
                raise Reject("other_text", f"cell {cell.text!r} shows {element.text!r}")
            area = _inside(element.box, shot.width, shot.height)
            boxes.append(CellBox(k, number, area, element.text_box))
        shown = None
        if caption is not None and caption.text_box is not None:
            shown = (caption.text_box, " ".join(caption.text.split()))
        pages.append(
            Page(shot.picture(), _inside(grid, shot.width, shot.height), shown, tuple(notes),
                 first, last)
        )  # fmt: skip
    return Rendered(tuple(pages), tuple(boxes))


def _inside(box: Box, width: int, height: int) -> Box:
    return max(0.0, box[0]), max(0.0, box[1]), min(float(width), box[2]), min(float(height), box[3])


def table_html(table: Table, style: Style, number: int, first: int, last: int) -> str:
    """One page of a table as a web page.

    Args:
        table, style: What and how.
        number: Of the page, from 0.
        first, last: Rows of the grid it shows beside the header, the last excluded.
    """
    lines = []
    for part, rows in (("thead", range(table.head)), ("tbody", range(first, last))):
        lines.append(f"<{part}>")
        lines += [_row(table, style, row, last) for row in rows]
        lines.append(f"</{part}>")
    caption = ""
    if style.caption != "none" and table.title:
        text = f"{style.label}: {table.title}" if number == 0 else f"{style.label} (continued)"
        caption = f'<caption><span data-gt="caption">{html.escape(text)}</span></caption>'
    notes = ""
    if last == table.height:
        notes = "".join(
            f'<p><span data-gt="note{k}">{html.escape(note)}</span></p>'
            for k, note in enumerate(table.notes)
        )
    body = "".join(lines)
    return (
        f"<!doctype html><html><head><meta charset='utf-8'><style>{_css(table, style)}</style>"
        f'</head><body><div id="sheet" data-gt="sheet"><table data-gt="grid">{caption}{body}'
        f"</table>{notes}</div></body></html>"
    )


def _row(table: Table, style: Style, row: int, last: int) -> str:
    stripes = [r for r in range(table.head, table.height)
               if table.rows[r - table.head].kind != "section"]  # fmt: skip
    names = []
    if row >= table.head:
        kind = table.rows[row - table.head].kind
        names.append(kind)
        if kind != "section" and stripes.index(row) % 2:
            names.append("odd")
    cells = [
        _cell(table, style, k, cell, is_last=cell.row + cell.rows == last)
        for k, cell in enumerate(table.cells)
        if cell.row == row
    ]
    return f'<tr class="{" ".join(names)}">{"".join(cells)}</tr>'


def _cell(table: Table, style: Style, k: int, cell: Cell, *, is_last: bool) -> str:
    tag = "th" if cell.role in ("head", "stub") else "td"
    spans = f' rowspan="{cell.rows}"' if cell.rows > 1 else ""
    spans += f' colspan="{cell.columns}"' if cell.columns > 1 else ""
    classes = [cell.role, side_of(table, style, cell)]
    if cell.value is not None:
        classes.append("number")
    if is_last:
        classes.append("end")
    text = html.escape(cell.text)
    return f'<{tag}{spans} class="{" ".join(classes)}" data-gt="c{k}">{text}</{tag}>'


def _color(color: RGB) -> str:
    return f"rgb({color[0]},{color[1]},{color[2]})"


def _css(table: Table, style: Style) -> str:
    line = _color(style.line)
    rules = [
        f"body{{margin:0;background:{_color(style.ground)}}}",
        f"#sheet{{display:inline-block;padding:{style.margin}px;color:{_color(style.ink)};"
        f"background:{_color(style.ground)};font:{style.size}px/1.25 {_FACES[style.family]}}}",
        "table{border-collapse:collapse;font-variant-ligatures:none}",
        f"td,th{{padding:{style.pad_y}px {style.pad_x}px;font-weight:normal;"
        f"max-width:{style.wrap}px;vertical-align:middle;min-width:{style.size}px}}",
        "tr{height:1.6em}.number{white-space:nowrap}",
        ".left{text-align:left}.right{text-align:right}.center{text-align:center}",
        f"caption{{caption-side:{'bottom' if style.caption == 'below' else 'top'};"
        f"text-align:{'left' if style.pad_x % 2 else 'center'};padding:6px 0}}",
        f"p{{margin:6px 0 0;font-size:{max(11, style.size - 2)}px}}",
        f".section{{font-weight:bold;max-width:{style.wrap * table.width}px}}",
        "tr.total .stub{font-weight:bold}",
    ]
    if style.is_head_bold:
        rules.append("th.head{font-weight:bold}")
    if style.is_stub_bold:
        rules.append("th.stub{font-weight:bold}")
    if style.head_fill:
        rules.append(
            f"th.head{{background:{_color(style.head_fill)};color:{_color(style.head_ink)}}}"
        )
    if style.zebra:
        rules.append(f"tr.odd td,tr.odd th:not([rowspan]){{background:{_color(style.zebra)}}}")
    if style.section_fill:
        rules.append(f"td.section{{background:{_color(style.section_fill)}}}")
    rules += _borders(style, line)
    return "".join(rules)


def _borders(style: Style, line: str) -> Sequence[str]:
    if style.borders == "grid":
        return (f"td,th{{border:1px solid {line}}}",)
    if style.borders == "outer":
        return (f"table{{border:2px solid {line}}}",
                f"thead tr:last-child th{{border-bottom:1px solid {line}}}")  # fmt: skip
    if style.borders == "horizontal":
        return (f"td,th{{border-top:1px solid {line};border-bottom:1px solid {line}}}",)
    if style.borders == "booktabs":
        return (
            f"thead tr:first-child th{{border-top:2px solid {line}}}",
            f".end{{border-bottom:2px solid {line}}}",
            f"thead tr:last-child th,thead th[rowspan]{{border-bottom:1px solid {line}}}",
            f"thead th[colspan]{{border-bottom:1px solid {line}}}",
            f"tr.total>*{{border-top:1px solid {line}}}",
        )
    return ()
