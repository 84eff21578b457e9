"""Parts of pages: label-value pairs in several forms, tables in several looks, headings, addresses.

A `Kit` knows the theme and draws small choices from the stream "layout". Must not invent content.

Source: data synthesis specification, section 9 (templates with random blocks).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from nanovl.synth.business.drawings import check_svg, logo, signature
from nanovl.synth.business.model import Check, Draft, Field, ItemTable
from nanovl.synth.business.nodes import (
    Drawing,
    Frame,
    Gap,
    Grid,
    Node,
    Row,
    Rule,
    Span,
    Stack,
    Text,
)
from nanovl.synth.business.theme import PAIR_FORMS, TABLE_LOOKS, Theme

__all__ = ["Kit", "lighter"]

_NUMBERS = ("money", "number", "percent")


def lighter(colour: str, share: float) -> str:
    """A colour mixed with white."""
    parts = [int(colour[k : k + 2], 16) for k in (1, 3, 5)]
    mixed = (round(255 - (255 - p) * (1 - share)) for p in parts)
    return "#" + "".join(f"{p:02x}" for p in mixed)


def _label_face(face: str) -> str:
    """Labels are printed, also beside handwriting."""
    return "mono" if face == "mono" else "body"


class Kit:
    """Makes nodes in one look.

    Args:
        draft: The document.
        theme: The look.
        rng: The generator of the stream "layout".
    """

    def __init__(self, draft: Draft, theme: Theme, rng: random.Random) -> None:
        self.draft = draft
        self.theme = theme
        self.rng = rng
        self.check_style = rng.randrange(4)

    # -- Text ------------------------------------------------------------------------------------

    def text(self, text: str, **style: Any) -> Text:
        """A paragraph."""
        return Text(spans=[Span(text=text)], **style)

    def value(self, field: Field, **style: Any) -> Text:
        """The value of a field without its label, as a block of its own."""
        return Text(spans=[Span(text=field.text, path=field.path, role="value")], **style)

    def flow(self, template: str, fields: Sequence[Field], **style: Any) -> Text:
        """A sentence with fields in it; `{0}`, `{1}` ... stand for them."""
        spans: list[Span | None] = []
        rest = template
        while rest:
            start = rest.find("{")
            if start < 0:
                break
            end = rest.index("}", start)
            before, number = rest[:start].strip(), int(rest[start + 1 : end])
            rest = rest[end + 1 :]
            stop = rest[:1] if rest[:1] in (".", ",", ";", ":", ")") else ""
            rest = rest[len(stop) :]
            if before:
                spans.append(Span(text=before))
            found = fields[number]
            spans.append(Span(text=found.text + stop, path=found.path, role="value"))
        if rest.strip():
            spans.append(Span(text=rest.strip()))
        return Text(spans=spans, **style)

    def title(self, *, size: float = 0.0, align: str = "left", colour: str = "") -> Text:
        """The title of the document."""
        text = self.draft.title
        return Text(
            spans=[Span(text=text.upper() if self.theme.upper else text)],
            kind="title",
            level=1,
            size=size or self.rng.choice((1.7, 1.9, 2.1, 2.4)),
            bold=self.rng.random() < 0.75,
            align=align,
            colour=colour or self.rng.choice((self.theme.ink, self.theme.accent)),
            face="head",
        )

    def heading(self, text: str, *, align: str = "left") -> Node:
        """A section heading, sometimes underlined or on a tint."""
        node = Text(
            spans=[Span(text=text)],
            kind="section_header",
            level=1,
            size=1.15,
            bold=True,
            align=align,
            colour=self.theme.accent,
            face="head",
        )
        style = self.theme.table
        if style in ("rows", "heavy"):
            return Stack(children=[node, Rule(colour=self.theme.accent)], gap=2)
        if style in ("filled", "zebra"):
            return Frame(child=node, fill=self.theme.tint, pad=(8, 4))
        return node

    def logo(self, size: float = 0.0, align: str = "left") -> Drawing:
        """The mark of the issuer."""
        side = size or self.rng.choice((44.0, 56.0, 70.0))
        return logo(self.rng, self.theme.accent, side, align)

    def sign(self, label: str, width: float = 180, *, signed: bool = True) -> Node:
        """A line to sign on with what stands below it."""
        above: Node = signature(self.rng, width * 0.8) if signed else Gap(height=40)
        below = self.text(label, size=0.85, colour=self.theme.muted)
        return Stack(children=[above, Rule(), below], gap=3)

    # -- Pairs -----------------------------------------------------------------------------------

    def _label(self, field: Field, colon: bool) -> Span:
        text = field.label.upper() if self.theme.upper else field.label
        end = ":" if colon and not text.endswith((":", "?")) else ""
        return Span(
            text=text + end,
            path=field.path,
            role="label",
            bold=self.theme.bold_labels,
            colour="" if self.theme.bold_labels else self.theme.muted,
        )

    def _value(self, field: Field, face: str) -> Span:
        bold = not self.theme.bold_labels and self.theme.pairs == "stacked" and face == "body"
        return Span(text=field.text, path=field.path, role="value", bold=bold)

    def pairs(
        self, fields: Sequence[Field], form: str = "", *, columns: int = 0, face: str = "body",
        gap: float = 4.0, size: float = 1.0,
    ) -> Node:  # fmt: skip
        """Labels with their values.

        Args:
            fields: In order.
            form: One of `PAIR_FORMS`; that of the theme when empty.
            columns: Beside each other; drawn when 0.
            face: Of the values.
            gap: Between rows, CSS pixels.
            size: Over that of the body.
        """
        form = form or self.theme.pairs
        assert form in PAIR_FORMS
        if form in ("stacked", "boxed") and not columns:
            columns = min(len(fields), self.rng.choice((2, 3, 4)))
        make = {
            "inline": self._inline,
            "columns": self._columns,
            "right": self._right,
            "stacked": self._stacked,
            "boxed": self._boxed,
            "dotted": self._dotted,
            "lined": self._lined,
        }[form]
        if form in ("columns", "right"):
            made = make(fields, face, size)
            return self._spread(fields, form, columns, face, gap, size) if columns > 1 else made
        nodes = [make([f], face, size) for f in fields]
        if columns < 2:
            return Stack(children=nodes, gap=gap)
        rows = [nodes[k : k + columns] for k in range(0, len(nodes), columns)]
        space = 0.0 if form == "boxed" else 16.0
        made_rows: list[Node] = []
        for row in rows:
            filled: list[Node] = [*row, *(Gap(height=1) for _ in range(columns - len(row)))]
            made_rows.append(
                Row(children=filled, widths=[1.0] * columns, gap=space, valign="stretch")
            )
        return Stack(children=made_rows, gap=0.0 if form == "boxed" else gap * 1.6)

    def _spread(
        self, fields: Sequence[Field], form: str, columns: int, face: str, gap: float, size: float
    ) -> Node:
        share = -(-len(fields) // columns)
        parts = [fields[k : k + share] for k in range(0, len(fields), share)]
        return Row(
            children=[self.pairs(p, form, columns=1, face=face, gap=gap, size=size) for p in parts],
            widths=[1.0] * len(parts),
            gap=28,
        )

    def _inline(self, fields: Sequence[Field], face: str, size: float) -> Node:
        field = fields[0]
        spans = [self._label(field, True), self._value(field, face)]
        if face == "body" or not field.label:
            return Text(spans=[s for s in spans if s.text], size=size)
        group = object()
        return Row(
            children=[
                Text(spans=spans[:1], group=group, size=size, face=_label_face(face)),
                Text(
                    spans=spans[1:],
                    face=face,
                    group=group,
                    size=size * (1.15 if face == "hand" else 1.0),
                ),
            ],
            widths=[0, 1],
            gap=6,
        )

    def _columns(
        self, fields: Sequence[Field], face: str, size: float, align: str = "left"
    ) -> Node:
        groups = [object() for _ in fields]
        rows: list[Node] = []
        for field, group in zip(fields, groups, strict=True):
            label = Text(
                spans=[self._label(field, self.theme.colon)], group=group, size=size,
                face=_label_face(face),
            )  # fmt: skip
            value = Text(
                spans=[self._value(field, face)], group=group, align=align, face=face, size=size,
                keep=field.kind in _NUMBERS,
            )  # fmt: skip
            shares = [0.9, 1.1] if align == "left" else [1.0, 0]
            rows.append(Row(children=[label, value], widths=shares, gap=12))
        return Stack(children=rows, gap=4)

    def _right(self, fields: Sequence[Field], face: str, size: float) -> Node:
        return self._columns(fields, face, size, "right")

    def _two(self, field: Field, face: str, size: float) -> tuple[Text, Text]:
        group = object()
        label = self._label(field, False)
        return (
            Text(spans=[label], size=size * 0.86, group=group, face=_label_face(face)),
            Text(spans=[self._value(field, face)], group=group, face=face, size=size),
        )

    def _stacked(self, fields: Sequence[Field], face: str, size: float) -> Node:
        return Stack(children=list(self._two(fields[0], face, size)), gap=1)

    def _boxed(self, fields: Sequence[Field], face: str, size: float) -> Node:
        inner = Stack(children=list(self._two(fields[0], face, size)), gap=1)
        return Frame(child=inner, line=self.theme.line, pad=(6, 4))

    def _dotted(self, fields: Sequence[Field], face: str, size: float) -> Node:
        field, group = fields[0], object()
        return Row(
            children=[
                Text(
                    spans=[self._label(field, False)],
                    group=group,
                    size=size,
                    keep=True,
                    face=_label_face(face),
                ),
                Rule(colour=self.theme.line, dashed=True),
                Text(
                    spans=[self._value(field, face)], group=group, face=face, size=size, keep=True
                ),
            ],
            widths=[0, 1, 0],
            gap=6,
            valign="bottom",
        )

    def _lined(self, fields: Sequence[Field], face: str, size: float) -> Node:
        field, group = fields[0], object()
        return Row(
            children=[
                Text(spans=[self._label(field, self.theme.colon)], group=group, size=size),
                Frame(
                    child=Text(spans=[self._value(field, face)], group=group, face=face, size=size),
                    line=self.theme.line,
                    sides="b",
                    pad=(4, 2),
                ),
            ],
            widths=[0.7, 1.3],
            gap=8,
            valign="bottom",
        )

    # -- Blocks ----------------------------------------------------------------------------------

    def address(
        self, label: str, fields: Sequence[Field], *, boxed: bool | None = None, align: str = "left"
    ) -> Node:
        """A party: its label, then a line per field, those without label of their own."""
        lines: list[Span | None] = []
        for k, field in enumerate(fields):
            if k:
                lines.append(None)
            if field.label:
                lines.append(self._label(field, True))
            lines.append(
                Span(
                    text=field.text, path=field.path, role="value", bold=k == 0 and not field.label
                )
            )
        parts: list[Node] = []
        if label:
            head = label.upper() if self.theme.upper else label
            parts.append(
                Text(
                    spans=[Span(text=head, path=fields[0].path, role="label")],
                    kind="section_header",
                    level=2,
                    size=0.95,
                    bold=True,
                    colour=self.theme.accent,
                    align=align,
                )
            )
        parts.append(Text(spans=lines, align=align))
        made = Stack(children=parts, gap=3)
        if self.rng.random() < 0.3 if boxed is None else boxed:
            return Frame(child=made, line=self.theme.line, radius=self.theme.radius)
        return made

    def table(
        self, table: ItemTable, *, look: str = "", size: float = 1.0, face: str = "body",
        widths: Sequence[float] = (),
    ) -> Node:  # fmt: skip
        """A table of items."""
        name = look or self.theme.table
        assert name in TABLE_LOOKS
        accent, line = self.theme.accent, self.theme.line
        looks: dict[str, dict[str, Any]] = {
            "full": {"line": line, "frame": True, "rows": True, "columns": True,
                     "fill": self.theme.tint, "ink": ""},
            "rows": {"line": line, "rows": True, "ink": accent},
            "zebra": {"line": line, "zebra": self.theme.tint, "fill": accent, "ink": "#ffffff"},
            "filled": {"line": line, "fill": accent, "ink": "#ffffff", "rows": True},
            "plain": {"line": line, "ink": ""},
            "frame": {"line": line, "frame": True, "columns": True, "fill": self.theme.tint},
            "heavy": {"line": self.theme.ink, "frame": True, "rows": True, "thick": 1.6},
        }  # fmt: skip
        chosen = {
            "pad_x": 6.0, "pad_y": self.rng.choice((3.0, 5.0, 7.0)), "bold_head": True,
            **looks[name],
        }  # fmt: skip
        right = [c.kind in _NUMBERS for c in table.columns]
        shares = list(widths)
        if not shares:
            texts = [[c.label] + [r[k] for r in table.texts] for k, c in enumerate(table.columns)]
            longest = [
                0 if is_right else max(len(t) for t in column)
                for column, is_right in zip(texts, right, strict=True)
            ]
            widest = longest.index(max(longest))
            shares = [float(k == widest) for k in range(len(longest))]
        grid = Grid(
            head=[c.label for c in table.columns],
            rows=[
                [None if f is None else Span(text=f.text, path=f.path, role="value") for f in row]
                for row in table.rows
            ],
            align=["right" if r else "left" for r in right],
            widths=shares,
            look=chosen,
            size=size,
            face=face,
        )
        if table.title:
            caption = self.text(table.title, kind="caption", bold=True, colour=self.theme.accent)
            return Stack(children=[caption, grid], gap=5)
        return grid

    def totals(self, fields: Sequence[Field], *, share: float = 0.0) -> Node:
        """Sums at the right below a table, the last one marked."""
        last = fields[-1]
        rows: list[Node] = [self._right([f], "body", 1.0) for f in fields[:-1]]
        group = object()
        strong: Node = Row(
            children=[
                Text(
                    spans=[Span(text=last.label, path=last.path, role="label")],
                    bold=True, size=1.12, group=group,
                ),
                Text(
                    spans=[Span(text=last.text, path=last.path, role="value")],
                    bold=True, size=1.12, group=group, align="right", keep=True,
                ),
            ],
            widths=[1, 0],
            gap=12,
        )  # fmt: skip
        style = self.rng.randrange(4)
        if style == 0:
            strong = Frame(child=strong, fill=self.theme.tint, pad=(6, 5))
        elif style == 1:
            strong = Stack(children=[Rule(colour=self.theme.ink, thick=1.6), strong], gap=4)
        elif style == 2:
            strong = Frame(child=strong, fill=self.theme.accent, ink="#ffffff", pad=(6, 5))
        else:
            strong = Stack(children=[Rule(), strong, Rule(), Rule()], gap=3)
        whole: Node = Stack(children=[*rows, strong], gap=5)
        if self.rng.random() < 0.25:
            whole = Frame(child=whole, line=self.theme.line, radius=self.theme.radius)
        share = share or self.rng.choice((0.4, 0.45, 0.5))
        return Row(children=[Gap(height=1), whole], widths=[1 - share, share], gap=0)

    def check(self, check: Check) -> list[Span | None]:
        """A check box and what stands beside it, as spans of one text."""
        svg = check_svg(self.rng, check.is_on, self.theme.ink, self.check_style)
        return [
            Span(text="[x]" if check.is_on else "[ ]", path=check.path, role="value", svg=svg),
            Span(text=check.text, path=check.path, role="option"),
        ]

    def checks(self, group: str, checks: Sequence[Check], *, columns: int = 0) -> Node:
        """A question with its check boxes beside or below it."""
        longest = max(len(c.text) for c in checks)
        most = 4 if longest <= 12 else 2
        columns = columns or min(most, self.rng.choice((1, 2, 4)))
        head = Text(
            spans=[Span(text=group + (":" if self.theme.colon else ""), role="label")],
            bold=self.theme.bold_labels,
        )
        options: list[Node] = [Text(spans=self.check(c)) for c in checks]
        rows: list[Node] = []
        for k in range(0, len(options), columns):
            row = [*options[k : k + columns]]
            row += [Gap(height=1) for _ in range(columns - len(row))]
            rows.append(Row(children=row, widths=[1.0] * columns, gap=10))
        return Stack(children=[head, *rows], gap=5)

    def party(self, path: str, lines: Sequence[str], name: str) -> list[Field]:
        """Fields of an address: name, street and place, without labels."""
        keys = ("name", "street", "place")
        spoken = ("name", "street address", "postcode and town")
        return [
            self.draft.add(
                f"{path}.{key}", line, key="full_name", name=f"{what} of the {name}", label=""
            )
            for key, what, line in zip(keys, spoken, lines, strict=True)
        ]
