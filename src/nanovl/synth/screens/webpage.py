"""An article as an HTML page, and the page read back from the browser as painted blocks.

Every block carries its number; what it says is what the browser shows of it, word by word, so that
the truth has the line breaks of the page. Boxes are the font boxes of the words (cells: the cell).
Must not choose what is said.

Source: data synthesis specification, section 5 (block classes, random style sheets, list markers).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from PIL import Image

from nanovl.synth.base import Box
from nanovl.synth.browser import Element, Shot, Word
from nanovl.synth.documents.blocks import Block, PictureBlock, TableBlock, TextBlock
from nanovl.synth.documents.draw import InkBlock, InkCell, InkLine, InkWord, Painted, union
from nanovl.synth.screens.dom import Child, Node, Raw, h, html_of
from nanovl.synth.screens.prose import Article
from nanovl.synth.screens.theme import Theme

__all__ = ["PageLook", "Piece", "draw_look", "painted_page", "pieces_of", "web_page"]

_BULLETS = ("\u2022", "\u2013", "\u25aa", "\u25e6", "*")


@dataclass(frozen=True, kw_only=True)
class PageLook:
    """How a page looks beside its theme; lengths in CSS pixels or em.

    Attributes:
        width: Of the window.
        body: Most width of the text.
        columns: Of the text, 1 or 2.
        size: Of the text.
        line: Height of lines in em.
        letters, words: Additional spacing in em.
        space: Between blocks in em.
        heads: Factor on the size of headings.
        weight: Of the text.
        justify: Whether lines are justified.
        upper: Whether section headings are in capitals.
        floats: Whether pictures stand beside the text.
        table: "grid", "rules" or "zebra".
        bullet: In front of list entries.
        colour: Of headings.
        side: Whether links stand at the side rather than in the header.
    """

    width: int
    body: int
    columns: int
    size: float
    line: float
    letters: float
    words: float
    space: float
    heads: float
    weight: int
    justify: bool
    upper: bool
    floats: bool
    table: str
    bullet: str
    colour: str
    side: bool


def draw_look(rng: random.Random, theme: Theme, kind: str) -> PageLook:
    """Random looks (section 5; spacing is drawn at all for two pages of five).

    Args:
        rng: The generator of the stream "style".
        theme: Colours and typefaces.
        kind: Of the article.
    """
    width = rng.choice((640, 768, 900, 1024, 1024, 1024, 1280))
    loose = rng.random() < 0.4
    columns = 2 if width >= 900 and kind in ("news", "legal", "blog") and rng.random() < 0.3 else 1
    return PageLook(
        width=width,
        body=rng.choice((width - 40, rng.randint(520, max(560, width - 80)))),
        columns=columns,
        size=rng.choice((13, 14, 15, 16, 16, 17, 18, 20)),
        line=rng.uniform(1.15, 1.9),
        letters=rng.uniform(-0.02, 0.12) if loose else 0.0,
        words=rng.uniform(-0.03, 0.4) if loose else 0.0,
        space=rng.uniform(0.4, 1.8),
        heads=2 ** rng.uniform(-0.5, 0.5),
        weight=rng.choice((400, 400, 400, 300, 500, 600)),
        justify=rng.random() < 0.25,
        upper=rng.random() < 0.1,
        floats=width >= 768 and columns == 1 and rng.random() < 0.5,
        table=rng.choice(("grid", "rules", "zebra")),
        bullet=rng.choice(_BULLETS),
        colour=theme.accent if rng.random() < 0.4 else theme.ink,
        side=kind == "docs" and width >= 1024 and rng.random() < 0.6,
    )


@dataclass(frozen=True)
class Piece:
    """A numbered part of a page: key, class, and the block it comes from (None in the margins)."""

    key: str
    kind: str
    source: Block | None


def pieces_of(article: Article) -> list[Piece]:
    """The parts of a page in reading order; captions and pictures are parts of their own."""
    made = [Piece("header", "page_header", None)]
    for number, block in enumerate(article.blocks):
        caption = "" if isinstance(block, TextBlock) else block.caption
        if isinstance(block, TableBlock) and caption:
            made.append(Piece(f"b{number}c", "caption", block))
        made.append(Piece(f"b{number}", block.kind, block))
        if isinstance(block, PictureBlock) and caption:
            made.append(Piece(f"b{number}c", "caption", block))
    return [*made, Piece("footer", "page_footer", None)]


def web_page(article: Article, theme: Theme, look: PageLook, *, hidden: Sequence[str] = ()) -> str:
    """The page as HTML.

    Args:
        article: What it says.
        theme, look: Looks.
        hidden: Keys of pieces that keep their place but are not shown.
    """
    main: list[Child] = []
    for number, block in enumerate(article.blocks):
        key = f"b{number}"
        if isinstance(block, TextBlock):
            main.append(_text(key, block, look))
        elif isinstance(block, TableBlock):
            main.append(_table(key, block, look))
        else:
            main.append(_picture(key, block, look))
    links = [h("a", name, cls="nav") for name in article.links]
    head = h("header", h("b", article.site, cls="nav"), *links, mark={"data-gt": "header"})
    foot = h("footer", article.footer, mark={"data-gt": "footer"})
    style = _style(theme, look) + "".join(
        f'[data-gt="{key}"],[data-gt="{key}"] *{{visibility:hidden!important}}' for key in hidden
    )
    page = Node(
        "html",
        {"lang": article.lang},
        [
            h("head", h("meta", charset="utf-8"), h("style", Raw(style))),
            h("body", head, h("main", *main), foot),
        ],
    )
    return "<!doctype html>" + html_of(page)


def _runs(block: TextBlock) -> list[Child]:
    made: list[Child] = []
    for run in block.runs:
        inner: Child = run.text
        if run.bold:
            inner = h("b", inner)
        if run.italic:
            inner = h("i", inner)
        made.append(inner)
    return made


def _text(key: str, block: TextBlock, look: PageLook) -> Node:
    mark = {"data-gt": key}
    if block.kind == "title":
        return h("h1", *_runs(block), mark=mark)
    if block.kind == "section_header":
        return h(f"h{min(6, block.level + 1)}", *_runs(block), mark=mark)
    if block.kind == "code":
        return h("pre", block.text, mark=mark)
    if block.kind == "list_item":
        sign = look.bullet if block.marker in ("", "-") else block.marker
        indent = f"margin-left:{1.2 + 1.6 * block.level:.1f}em"
        return h("div", h("span", sign, cls="sign"), h("span", *_runs(block)), cls="li", mark=mark,
                 style=indent)  # fmt: skip
    return h("p", *_runs(block), mark=mark)


def _table(key: str, block: TableBlock, look: PageLook) -> Node:
    rows = []
    for number, cells in enumerate([block.table.header, *block.table.rows]):
        made = [
            h("td" if number else "th",
              h("span", text, mark={"data-gt": f"{key}-{number - 1}-{k}t"}),
              mark={"data-gt": f"{key}-{number - 1}-{k}"}, cls="" if k == 0 else "figure")
            for k, text in enumerate(cells)
        ]  # fmt: skip
        rows.append(h("tr", *made))
    caption = h("div", block.caption, cls="cap", mark={"data-gt": f"{key}c"})
    table = h("table", *rows, mark={"data-gt": key}, cls=look.table)
    return h("div", caption if block.caption else None, table, cls="unit")


def _picture(key: str, block: PictureBlock, look: PageLook) -> Node:
    seed = block.seed
    hue, other = seed % 360, seed // 360 % 360
    art = Raw(
        f'<svg viewBox="0 0 80 50" preserveAspectRatio="none" width="100%" height="100%" '
        f'style="display:block"><rect width="80" height="50" fill="hsl({hue},40%,70%)"/>'
        f'<circle cx="{10 + seed % 60}" cy="{8 + seed % 17}" r="{4 + seed % 7}" '
        f'fill="hsl({other},70%,60%)"/><path d="M0 50L{14 + seed % 23} {18 + seed % 13}L'
        f'{44 + seed % 19} 50z" fill="hsl({other},30%,40%)"/><path d="M26 50L{52 + seed % 11} '
        f'{22 + seed % 9}L80 42V50z" fill="hsl({hue},45%,33%)"/></svg>'
    )
    frame = h("div", art, mark={"data-gt": key}, style=f"aspect-ratio:{block.aspect:.2f}")
    caption = h("div", block.caption, cls="cap", mark={"data-gt": f"{key}c"})
    cls = "unit aside" if look.floats and seed % 3 else "unit picture"
    return h("div", frame, caption if block.caption else None, cls=cls)


def _style(theme: Theme, look: PageLook) -> str:
    tables = {
        "grid": f"th,td{{border:1px solid {theme.muted}}}",
        "rules": f"tr{{border-bottom:1px solid {theme.line}}}"
        f"th{{border-bottom:2px solid {theme.ink}}}",
        "zebra": f"tr:nth-child(even){{background:{theme.raised}}}",
    }
    main = f"max-width:{look.body}px;margin:0 auto;padding:10px 20px"
    if look.columns == 2:
        main += f";columns:2;column-gap:32px;column-rule:1px solid {theme.line}"
    upper = "text-transform:uppercase;" if look.upper else ""
    return (
        "*{box-sizing:border-box}"
        f"body{{margin:0;background:{theme.surface};color:{theme.ink};"
        f'font:{look.weight} {look.size}px/{look.line:.2f} "{theme.face}";'
        f"letter-spacing:{look.letters:.3f}em;word-spacing:{look.words:.3f}em}}"
        f"main{{{main}}}"
        f"main>*{{margin:0 0 {look.space:.2f}em;break-inside:avoid}}"
        f"p{{text-align:{'justify' if look.justify else 'left'}}}"
        f'h1,h2,h3,h4{{font-family:"{theme.head}";font-weight:{theme.weight};line-height:1.25;'
        f"color:{look.colour};{upper}break-after:avoid;margin-bottom:.45em!important}}"
        f"main>h2,main>h3{{margin-top:{look.space * 1.1:.2f}em}}"
        f"h1{{font-size:{2 * look.heads:.2f}em;column-span:all}}"
        f"h2{{font-size:{1.45 * look.heads:.2f}em}}"
        f"h3{{font-size:{max(1.0, 1.15 * look.heads):.2f}em}}"
        f"header{{display:flex;gap:18px;padding:10px 20px;background:{theme.raised};"
        f"border-bottom:1px solid {theme.line};flex-wrap:wrap}}"
        f"footer{{padding:12px 20px;border-top:1px solid {theme.line};color:{theme.muted};"
        "font-size:.85em;clear:both}"
        ".li{display:flex;gap:.5em}.sign{flex:none;min-width:1em;text-align:right}"
        f'pre{{font-family:"{theme.mono}";font-size:.9em;background:{theme.raised};'
        f"padding:10px 14px;border-radius:{theme.radius}px;white-space:pre;letter-spacing:0;"
        "word-spacing:0;overflow:visible}"
        "table{border-collapse:collapse;max-width:100%}td,th{padding:.25em .7em;text-align:left}"
        ".figure{text-align:right}" + tables[look.table] +
        ".cap{font-size:.88em;font-style:italic;padding:.3em 0}"
        ".picture>div:first-child{width:min(100%,420px)}"
        ".unit.aside{float:right;width:36%;min-width:200px;margin:0 0 1em 1.2em}"
        "b.nav{margin-right:auto}"
    )  # fmt: skip


# -- Reading back ----------------------------------------------------------------------------------


def painted_page(
    shot: Shot, image: Image.Image, article: Article, look: PageLook, hidden: Sequence[str] = ()
) -> Painted:
    """What the browser showed as the blocks other document generators have.

    Args:
        shot: The page.
        image: Its picture.
        article: What it says.
        look: Its looks (for the bullet).
        hidden: Keys of pieces that were not shown.
    """
    words: dict[str, list[Word]] = {}
    for word in shot.words:
        words.setdefault(word.element, []).append(word)
    elements = {e.key: e for e in shot.elements}
    blocks = []
    for order, piece in enumerate(pieces_of(article)):
        element = elements[piece.key]
        if piece.key in hidden or not element.visible:
            continue
        mine = words.get(piece.key, [])
        if isinstance(piece.source, TableBlock) and piece.kind == "table":
            blocks.append(_ink_table(order, piece.source, element, elements, words))
        elif piece.kind == "picture":
            assert element.shown is not None
            blocks.append(InkBlock("picture", order, 0, "", element.shown, []))
        elif mine:
            blocks.append(_ink_text(order, piece, mine, look))
    return Painted(image, 1, [b for b in blocks if b is not None])


def _ink_text(order: int, piece: Piece, words: Sequence[Word], look: PageLook) -> InkBlock:
    level, marker = 0, ""
    outline = union(w.box for w in words)
    indents: Iterator[int] = iter(())
    if isinstance(piece.source, TextBlock) and piece.kind == piece.source.kind:
        level, marker = piece.source.level, piece.source.marker
        if piece.kind == "list_item" and marker in ("", "-") and words[0].text == look.bullet:
            words = words[1:]  # the bullet belongs to the box, not to the text
        if piece.kind == "code":
            rows = [row for row in piece.source.text.split("\n") if row.strip()]
            indents = iter([len(row) - len(row.lstrip()) for row in rows])
    lines = [_line(row, next(indents, 0)) for row in _rows(words)]
    return InkBlock(piece.kind, order, level, marker, outline, lines)


def _rows(words: Sequence[Word]) -> list[list[Word]]:
    """Words by lines: a line ends where the next word is lower, or stands left of the last."""
    rows: list[list[Word]] = []
    for word in words:
        last = rows[-1][-1] if rows else None
        if last is not None:
            middle = (word.box[1] + word.box[3]) / 2
            if last.box[1] < middle < last.box[3] and word.box[0] >= last.box[0]:
                rows[-1].append(word)
                continue
        rows.append([word])
    return rows


def _line(words: Sequence[Word], indent: int = 0) -> InkLine:
    made = [
        InkWord(w.text, w.box, (), w.space if k else True, w.bold, w.italic)
        for k, w in enumerate(words)
    ]
    text = "".join((" " if k and w.space else "") + w.text for k, w in enumerate(words))
    return InkLine(text, union(w.box for w in words), made, indent)


def _ink_table(
    order: int,
    block: TableBlock,
    element: Element,
    elements: dict[str, Element],
    words: dict[str, list[Word]],
) -> InkBlock | None:
    cells = []
    rows = len(block.table.rows)
    for row in range(-1, rows):
        for column in range(len(block.table.header)):
            name = f"{element.key}-{row}-{column}"
            cell = elements[name]
            if cell.shown is None:
                return None
            lines = [_line(r) for r in _rows(words.get(f"{name}t", []))]
            ink: Box | None = union(line.box for line in lines) if lines else None
            text = " ".join(line.text for line in lines)
            cells.append(InkCell(row, column, text, cell.shown, lines, ink))
    assert element.shown is not None
    return replace(InkBlock("table", order, 0, "", element.shown, [], cells), rows=(0, rows))
