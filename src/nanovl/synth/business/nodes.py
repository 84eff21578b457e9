"""What stands where on a page, as a tree that every renderer can draw.

A tree is made of texts, tables, drawings, stacks, rows and frames. `flatten` turns it into plain
JSON for a renderer and a list of leaves: pieces of text with keys, in reading order, which know the
block, table cell and field they belong to. Must not measure or draw.

Source: data synthesis specification, sections 3.15 (block classes) and 9.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "Drawing",
    "Flat",
    "Frame",
    "Gap",
    "Grid",
    "Leaf",
    "Node",
    "Row",
    "Rule",
    "Span",
    "Stack",
    "Text",
    "flatten",
]


@dataclass(kw_only=True)
class Span:
    """A piece of text in one style.

    Attributes:
        text: What it says; check boxes say "[x]" or "[ ]".
        path: Of the field it belongs to.
        role: "label", "value" or "" for the rest.
        bold, italic: Its style.
        colour: "" for that of the text.
        svg: Drawn instead of the text (check boxes).
    """

    text: str
    path: str = ""
    role: str = ""
    bold: bool = False
    italic: bool = False
    colour: str = ""
    svg: str = ""


@dataclass(kw_only=True)
class Text:
    """Some text; texts of one `group` are one block.

    Attributes:
        spans: With blanks between them; None breaks the line.
        kind: Class of the block, as of `documents.blocks.KINDS`.
        level, marker: Of headings and list items.
        size: Over that of the body.
        align: "left", "center" or "right".
        bold, italic, colour: Its style.
        face: "body", "head", "mono" or "hand".
        keep: Whether it stays on one line.
        group: Any object.
    """

    spans: Sequence[Span | None]
    kind: str = "text"
    level: int = 0
    marker: str = ""
    size: float = 1.0
    align: str = "left"
    bold: bool = False
    italic: bool = False
    colour: str = ""
    face: str = "body"
    keep: bool = False
    group: object = None


@dataclass(kw_only=True)
class Grid:
    """A table with one header row.

    Attributes:
        head: Texts of the header.
        rows: Spans of the body, None for an empty cell.
        align: Of every column.
        widths: Shares of the width, 0 for as wide as needed.
        look: Colours and lines: "fill", "ink" (of the header), "line", "zebra", "frame", "rows",
            "columns", "pad_x", "pad_y", "bold_head".
        size, face: As of `Text`.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[Span | None]]
    align: Sequence[str]
    widths: Sequence[float]
    look: dict[str, Any] = field(default_factory=dict)
    size: float = 1.0
    face: str = "body"


@dataclass(kw_only=True)
class Drawing:
    """A picture of ours.

    Attributes:
        svg: The file.
        width, height: In CSS pixels.
        what: "logo", "stamp", "signature", "barcode", "qr", "photo", "chart".
        align: "left", "center" or "right".
        text: What can be read in it, "" for nothing.
    """

    svg: str
    width: float
    height: float
    what: str
    align: str = "left"
    text: str = ""


@dataclass(kw_only=True)
class Stack:
    """Things below each other."""

    children: Sequence[Node]
    gap: float = 8.0


@dataclass(kw_only=True)
class Row:
    """Things beside each other; a width of 0 is as wide as needed, others are shares."""

    children: Sequence[Node]
    widths: Sequence[float]
    gap: float = 16.0
    valign: str = "top"


@dataclass(kw_only=True)
class Frame:
    """A box around something; `sides` of t, r, b and l have a line."""

    child: Node
    fill: str = ""
    line: str = ""
    sides: str = "trbl"
    thick: float = 1.0
    pad: tuple[float, float] = (10.0, 8.0)
    radius: float = 0.0
    ink: str = ""


@dataclass(kw_only=True)
class Rule:
    """A line across."""

    colour: str = ""
    thick: float = 1.0
    dashed: bool = False


@dataclass(kw_only=True)
class Gap:
    """Nothing, of some height in CSS pixels."""

    height: float


Node = Text | Grid | Drawing | Stack | Row | Frame | Rule | Gap


@dataclass(kw_only=True)
class Leaf:
    """A piece of text with a key, or a drawing.

    Attributes:
        key: In the page.
        text: As of `Span`.
        block: Number of its block.
        cell: (row, column) in a table, row -1 in the header.
        path, role, bold, italic: As of `Span`.
        what: Of a drawing, "" for text; "check" for a check box.
    """

    key: str
    text: str
    block: int
    cell: tuple[int, int] | None = None
    path: str = ""
    role: str = ""
    bold: bool = False
    italic: bool = False
    what: str = ""


@dataclass(kw_only=True)
class Block:
    """What the leaves of a block have in common."""

    kind: str
    level: int = 0
    marker: str = ""
    size: tuple[int, int] = (0, 0)  # rows and columns of a table


@dataclass(kw_only=True)
class Flat:
    """A tree as JSON, its leaves and blocks in reading order."""

    tree: dict[str, Any]
    leaves: list[Leaf]
    blocks: list[Block]


class _Walk:
    def __init__(self, ink: str) -> None:
        self.leaves: list[Leaf] = []
        self.blocks: list[Block] = []
        self.groups: dict[int, int] = {}
        self.ink = ink

    def __call__(self, node: Node) -> dict[str, Any]:
        if isinstance(node, Text):
            return self.text(node)
        if isinstance(node, Grid):
            return self.grid(node)
        if isinstance(node, Drawing):
            self.blocks.append(Block(kind="picture"))
            leaf = self.leaf(Span(text=node.text), what=node.what)
            return {
                "n": "draw", "k": leaf.key, "svg": node.svg, "w": node.width, "h": node.height,
                "align": node.align,
            }  # fmt: skip
        if isinstance(node, Stack):
            return {"n": "stack", "gap": node.gap, "c": [self(child) for child in node.children]}
        if isinstance(node, Row):
            return {
                "n": "row", "gap": node.gap, "w": list(node.widths), "valign": node.valign,
                "c": [self(child) for child in node.children],
            }  # fmt: skip
        if isinstance(node, Frame):
            return {
                "n": "frame", "fill": node.fill, "line": node.line, "sides": node.sides,
                "thick": node.thick, "pad": list(node.pad), "radius": node.radius,
                "ink": node.ink, "c": self(node.child),
            }  # fmt: skip
        if isinstance(node, Rule):
            return {
                "n": "rule", "colour": node.colour or self.ink, "thick": node.thick,
                "dashed": node.dashed,
            }  # fmt: skip
        return {"n": "gap", "h": node.height}

    def leaf(
        self, span: Span, *, block: int | None = None, cell: tuple[int, int] | None = None,
        what: str = "", bold: bool = False, italic: bool = False,
    ) -> Leaf:  # fmt: skip
        made = Leaf(
            key=f"k{len(self.leaves)}",
            text=span.text,
            block=len(self.blocks) - 1 if block is None else block,
            cell=cell,
            path=span.path,
            role=span.role,
            bold=span.bold or bold,
            italic=span.italic or italic,
            what=what or ("check" if span.svg else ""),
        )
        self.leaves.append(made)
        return made

    def text(self, node: Text) -> dict[str, Any]:
        known = None if node.group is None else self.groups.get(id(node.group))
        if known is None:
            self.blocks.append(Block(kind=node.kind, level=node.level, marker=node.marker))
            known = len(self.blocks) - 1
            if node.group is not None:
                self.groups[id(node.group)] = known
        return {
            "n": "text", "size": node.size, "align": node.align, "bold": node.bold,
            "italic": node.italic, "colour": node.colour, "face": node.face, "keep": node.keep,
            "s": [self.span(s, known, node.bold, node.italic) for s in node.spans],
        }  # fmt: skip

    def span(
        self, span: Span | None, block: int, bold: bool, italic: bool,
        cell: tuple[int, int] | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        if span is None:
            return {"br": True}
        leaf = self.leaf(span, block=block, bold=bold, italic=italic, cell=cell)
        found = {"k": leaf.key, "t": span.text, "b": span.bold, "i": span.italic, "c": span.colour}
        if span.svg:
            found["svg"] = span.svg
        return found

    def grid(self, node: Grid) -> dict[str, Any]:
        self.blocks.append(Block(kind="table", size=(len(node.rows), len(node.head))))
        block = len(self.blocks) - 1
        bold = bool(node.look.get("bold_head", True))
        head = [
            self.span(Span(text=text), block, bold, False, (-1, k))
            for k, text in enumerate(node.head)
        ]
        rows = [
            [
                None if s is None or not s.text else self.span(s, block, False, False, (r, k))
                for k, s in enumerate(row)
            ]
            for r, row in enumerate(node.rows)
        ]
        return {
            "n": "grid", "k": f"t{block}", "head": head, "rows": rows, "align": list(node.align),
            "w": list(node.widths), "look": node.look, "size": node.size, "face": node.face,
        }  # fmt: skip


def flatten(root: Node, ink: str) -> Flat:
    """A tree for renderers, and what is in it.

    Args:
        root: The page.
        ink: Colour of the text.
    """
    walk = _Walk(ink)
    tree = walk(root)
    return Flat(tree=tree, leaves=walk.leaves, blocks=walk.blocks)
