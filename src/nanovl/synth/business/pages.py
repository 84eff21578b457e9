"""Ten arrangements of a page of paper: which part stands where.

A family gives its parts by name; an arrangement places those it finds. Which part comes first, what
is framed, filled or set in columns differs; families add arrangements of their own. Must not know
families.

Source: data synthesis specification, section 9 (at least eight templates a family).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from nanovl.synth.business.model import Field
from nanovl.synth.business.nodes import Frame, Gap, Node, Row, Rule, Span, Stack, Text
from nanovl.synth.business.parts import Kit, lighter

__all__ = ["ARRANGEMENTS", "Parts", "arrange"]


@dataclass(kw_only=True)
class Parts:
    """What a page is made of.

    Attributes:
        issuer: Fields of who made the document: name, street, place.
        contact: Its phone, mail, tax number ...
        parties: (label, fields) of others.
        meta: Numbers and dates at the top.
        before: Between top and body (greeting, introduction).
        body: The main parts.
        sums: Fields at the end of the body, the last one stressed.
        details: More pairs below (bank, terms).
        notes: Sentences below.
        signs: Labels of signatures.
        codes: Bar codes, QR codes, stamps.
        has_logo: Whether the issuer has a mark.
    """

    issuer: Sequence[Field] = ()
    contact: Sequence[Field] = ()
    parties: Sequence[tuple[str, Sequence[Field]]] = ()
    meta: Sequence[Field] = ()
    before: Sequence[Node] = ()
    body: Sequence[Node] = ()
    sums: Sequence[Field] = ()
    details: Sequence[Field] = ()
    notes: Sequence[str] = ()
    signs: Sequence[str] = ()
    codes: Sequence[Node] = ()
    has_logo: bool = True
    extra: dict[str, Node] = field(default_factory=dict)


def _below(kit: Kit, parts: Parts, *, details: bool = True, form: str = "") -> list[Node]:
    """What follows the body in most arrangements."""
    made: list[Node] = []
    if parts.sums:
        made.append(kit.totals(parts.sums))
    low: list[Node] = []
    if details and parts.details:
        low.append(kit.pairs(parts.details, form or kit.rng.choice(("inline", "columns", "boxed"))))
    if parts.codes:
        row: list[Node] = [*parts.codes]
        low.append(Row(children=row, widths=[0.0] * len(row), gap=24))
    if len(low) == 2 and kit.rng.random() < 0.5:
        made.append(Row(children=low, widths=[1, 0], gap=24))
    else:
        made += low
    if parts.notes:
        made.append(Stack(children=[kit.text(t, size=0.95) for t in parts.notes], gap=4))
    if parts.signs:
        signs = [kit.sign(s, signed=kit.rng.random() < 0.8) for s in parts.signs]
        gaps: list[Node] = [Gap(height=1)] if len(signs) == 1 else []
        made.append(Row(children=[*signs, *gaps], widths=[1.0] * (len(signs) + len(gaps)), gap=60))
    return made


def _issuer(
    kit: Kit, parts: Parts, *, align: str = "left", contact: bool = True, logo: bool = True
) -> Node:
    """Mark and address of who made the document."""
    lines: list[Node] = []
    if parts.has_logo and logo:
        lines.append(kit.logo(align=align))
    if parts.issuer:
        name, *rest = parts.issuer
        lines.append(
            Text(
                spans=[Span(text=name.text, path=name.path, role="value")],
                size=1.3, bold=True, align=align, colour=kit.theme.accent, face="head",
            )
        )  # fmt: skip
        spans: list[Span | None] = []
        for f in rest:
            spans += [None] if spans else []
            spans.append(Span(text=f.text, path=f.path, role="value"))
        if spans:
            lines.append(Text(spans=spans, align=align, size=0.92))
    if contact and parts.contact:
        lines.append(_contact(kit, parts.contact, align))
    return Stack(children=lines, gap=3)


def _contact(kit: Kit, fields: Sequence[Field], align: str) -> Text:
    """Phone, mail and so on, a line each with label."""
    spans: list[Span | None] = []
    for f in fields:
        spans += [None] if spans else []
        if f.label:
            spans.append(
                Span(text=f"{f.label}:", path=f.path, role="label", colour=kit.theme.muted)
            )
        spans.append(Span(text=f.text, path=f.path, role="value"))
    return Text(spans=spans, align=align, size=0.92)


def _foot(kit: Kit, parts: Parts) -> Node:
    """Address and contact in columns below a line."""
    spans: list[Span | None] = []
    for f in parts.issuer:
        spans += [None] if spans else []
        spans.append(Span(text=f.text, path=f.path, role="value"))
    columns: list[Node] = [Text(spans=spans, size=0.85, kind="page_footer")]
    share = 2
    for k in range(0, len(parts.contact), share):
        text = _contact(kit, parts.contact[k : k + share], "left")
        text.kind, text.size = "page_footer", 0.85
        columns.append(text)
    return Stack(
        children=[Rule(colour=kit.theme.line), Row(children=columns, widths=[1.0] * len(columns))],
        gap=6,
    )


def _parties(kit: Kit, parts: Parts, *, boxed: bool | None = None) -> list[Node]:
    return [kit.address(label, fields, boxed=boxed) for label, fields in parts.parties]


def _beside(nodes: Sequence[Node], gap: float = 28) -> list[Node]:
    return [Row(children=nodes, widths=[1.0] * len(nodes), gap=gap)] if nodes else []


def _classic(kit: Kit, parts: Parts) -> list[Node]:
    right = kit.rng.random() < 0.5
    head: list[Node] = [_issuer(kit, parts), kit.title(align="right")]
    if right:
        head = [kit.title(), _issuer(kit, parts, align="right")]
    made: list[Node] = [Row(children=head, widths=[1.2, 1] if not right else [1, 1.2])]
    made.append(Rule(colour=kit.theme.accent, thick=2))
    meta: list[Node] = [kit.pairs(parts.meta, kit.rng.choice(("columns", "right", "inline")))]
    made += _beside([*_parties(kit, parts), *(meta if parts.meta else [])])
    return [*made, *parts.before, *parts.body, *_below(kit, parts)]


def _banner(kit: Kit, parts: Parts) -> list[Node]:
    name = Text(
        spans=[Span(text=f.text, path=f.path, role="value") for f in parts.issuer[:1]],
        align="right", bold=True, size=1.2,
    )  # fmt: skip
    head: list[Node] = [kit.title(colour="#ffffff"), name]
    children = head if parts.issuer else head[:1]
    made: list[Node] = [
        Frame(
            child=Row(children=children, widths=[1.0] * len(children), valign="middle"),
            fill=kit.theme.accent, ink="#ffffff", pad=(18, 14), radius=kit.theme.radius,
        )
    ]  # fmt: skip
    if parts.meta:
        made.append(kit.pairs(parts.meta, kit.rng.choice(("stacked", "boxed")), columns=4))
    rest = parts.issuer[1:]
    own: list[Node] = []
    if rest:
        lines: list[Span | None] = []
        for f in rest:
            lines += [None] if lines else []
            lines.append(Span(text=f.text, path=f.path, role="value"))
        own = [Text(spans=lines)]
        if parts.contact:
            own.append(_contact(kit, parts.contact, "left"))
    made += _beside([*_parties(kit, parts), *([Stack(children=own, gap=4)] if own else [])])
    return [*made, *parts.before, *parts.body, *_below(kit, parts)]


def _sidebar(kit: Kit, parts: Parts) -> list[Node]:
    dark = kit.rng.random() < 0.4
    side: list[Node] = [_issuer(kit, parts, contact=False) if not dark else kit.logo()]
    if dark:
        theme = kit.theme
        inner: list[Node] = []
        if parts.issuer:
            spans: list[Span | None] = []
            for k, f in enumerate(parts.issuer):
                spans += [None] if k else []
                spans.append(Span(text=f.text, path=f.path, role="value", bold=k == 0))
            inner.append(Text(spans=spans))
        side = [Frame(child=Stack(children=inner), line=theme.line, sides="t", pad=(0, 6))]
    if parts.meta:
        side.append(kit.pairs(parts.meta, "stacked", columns=1, gap=9))
    if parts.contact:
        side.append(kit.pairs(parts.contact, "stacked", columns=1, gap=9, size=0.92))
    if parts.details:
        side.append(kit.pairs(parts.details, "stacked", columns=1, gap=9, size=0.92))
    main: list[Node] = [kit.title(), *_beside(_parties(kit, parts)), *parts.before, *parts.body]
    main += _below(kit, parts, details=False)
    left = Frame(child=Stack(children=side, gap=16), fill=kit.theme.tint, pad=(14, 16))
    right = Stack(children=main, gap=kit.theme.gap)
    if kit.rng.random() < 0.7:
        return [Row(children=[left, right], widths=[0.29, 0.71], gap=22, valign="stretch")]
    return [Row(children=[right, left], widths=[0.71, 0.29], gap=22, valign="stretch")]


def _letterhead(kit: Kit, parts: Parts) -> list[Node]:
    made: list[Node] = [_issuer(kit, parts, align="center")]
    made += [Rule(colour=kit.theme.accent), Rule(colour=kit.theme.accent)]
    made.append(kit.title(align="center"))
    if parts.meta:
        form = kit.rng.choice(("columns", "dotted", "stacked"))
        made.append(kit.pairs(parts.meta, form, columns=2 if form == "columns" else 3))
    made += _beside(_parties(kit, parts))
    return [*made, *parts.before, *parts.body, *_below(kit, parts)]


def _boxes(kit: Kit, parts: Parts) -> list[Node]:
    line = kit.theme.line
    top: list[Node] = [
        Frame(child=_issuer(kit, parts, logo=kit.rng.random() < 0.5), line=line),
        Frame(child=kit.title(align="center"), line=line, fill=kit.theme.tint),
    ]
    made: list[Node] = [Row(children=top, widths=[1, 1], gap=0, valign="stretch")]
    if parts.parties:
        framed: list[Node] = [
            Frame(child=kit.address(label, fields, boxed=False), line=line)
            for label, fields in parts.parties
        ]
        made.append(Row(children=framed, widths=[1.0] * len(framed), gap=0, valign="stretch"))
    if parts.meta:
        made.append(kit.pairs(parts.meta, "boxed", columns=kit.rng.choice((2, 3, 4))))
    whole = Stack(children=made, gap=0)
    return [whole, *parts.before, *parts.body, *_below(kit, parts, form="boxed")]


def _minimal(kit: Kit, parts: Parts) -> list[Node]:
    made: list[Node] = [kit.title(size=1.5), Gap(height=6)]
    if parts.issuer:
        flat = Text(
            spans=[Span(text=f.text, path=f.path, role="value") for f in parts.issuer],
            colour=kit.theme.muted,
        )
        made.append(flat)
    if parts.meta:
        made.append(kit.pairs(parts.meta, "dotted", columns=2))
    made += _parties(kit, parts, boxed=False)
    made += [Rule(colour=lighter(kit.theme.ink, 0.6)), *parts.before, *parts.body]
    made += _below(kit, parts, form="inline")
    if parts.contact:
        made.append(_contact(kit, parts.contact, "left"))
    return made


def _split(kit: Kit, parts: Parts) -> list[Node]:
    left: list[Node] = [_issuer(kit, parts, contact=False), *_parties(kit, parts)]
    right: list[Node] = [kit.title(align="left")]
    if parts.meta:
        right.append(kit.pairs(parts.meta, kit.rng.choice(("columns", "lined", "dotted"))))
    if parts.contact:
        right.append(_contact(kit, parts.contact, "left"))
    made: list[Node] = [
        Row(
            children=[Stack(children=left, gap=14), Stack(children=right, gap=14)],
            widths=[1, 1],
            gap=40,
        )
    ]
    return [*made, *parts.before, *parts.body, *_below(kit, parts)]


def _window(kit: Kit, parts: Parts) -> list[Node]:
    """Like a letter for a window envelope: sender in small above the recipient, foot below."""
    sender = Text(
        spans=[Span(text=f"{f.text}", path=f.path, role="") for f in parts.issuer],
        size=0.82, colour=kit.theme.muted,
    )  # fmt: skip
    left: list[Node] = [sender] if parts.issuer else []
    if parts.parties:
        _, fields = parts.parties[0]
        left.append(kit.address("", fields, boxed=False))
    left += [kit.address(label, fields, boxed=False) for label, fields in parts.parties[1:]]
    right: list[Node] = [kit.logo(align="right")] if parts.has_logo else []
    if parts.meta:
        form = kit.rng.choice(("columns", "right", "inline"))
        right.append(kit.pairs(parts.meta, form, size=0.95))
    made: list[Node] = [
        Row(
            children=[Stack(children=left, gap=8), Stack(children=right, gap=10)],
            widths=[1.1, 0.9],
            gap=40,
        ),
        Gap(height=8),
        kit.title(size=1.5),
    ]
    made += [*parts.before, *parts.body, *_below(kit, parts)]
    if parts.issuer:
        made += [Gap(height=10), _foot(kit, parts)]
    return made


def _stripe(kit: Kit, parts: Parts) -> list[Node]:
    head = Stack(children=[kit.title(), _issuer(kit, parts, logo=False)], gap=6)
    made: list[Node] = [
        Frame(child=head, line=kit.theme.accent, sides="l", thick=6, pad=(14, 4)),
    ]
    if parts.meta:
        made.append(
            Frame(
                child=kit.pairs(parts.meta, "stacked", columns=min(4, len(parts.meta))),
                line=kit.theme.line, sides="tb", pad=(4, 8),
            )
        )  # fmt: skip
    made += _beside(_parties(kit, parts))
    made += [*parts.before, *parts.body, *_below(kit, parts)]
    return made


def _compact(kit: Kit, parts: Parts) -> list[Node]:
    bar: list[Node] = [kit.title(size=1.4)]
    if parts.has_logo:
        bar.append(kit.logo(34, align="right"))
    made: list[Node] = [
        Row(children=bar, widths=[1, 0][: len(bar)], valign="middle"),
        Rule(colour=kit.theme.ink, thick=2.5),
    ]
    left = [*_parties(kit, parts, boxed=False)]
    if parts.issuer:
        left.insert(0, _issuer(kit, parts, logo=False))
    right: list[Node] = []
    if parts.meta:
        right.append(kit.pairs(parts.meta, kit.rng.choice(("right", "inline", "lined"))))
    if parts.details:
        right.append(kit.pairs(parts.details, kit.rng.choice(("right", "inline"))))
    if left or right:
        columns: list[Node] = [Stack(children=c, gap=10) for c in (left, right) if c]
        made += _beside(columns)
    made += [Rule(), *parts.before, *parts.body, *_below(kit, parts, details=False)]
    return made


ARRANGEMENTS: dict[str, Callable[[Kit, Parts], list[Node]]] = {
    "banner": _banner,
    "boxes": _boxes,
    "classic": _classic,
    "compact": _compact,
    "letterhead": _letterhead,
    "minimal": _minimal,
    "sidebar": _sidebar,
    "split": _split,
    "stripe": _stripe,
    "window": _window,
}


def arrange(kit: Kit, parts: Parts, name: str) -> Node:
    """The page in one of `ARRANGEMENTS`."""
    return Stack(children=ARRANGEMENTS[name](kit, parts), gap=kit.theme.gap)
