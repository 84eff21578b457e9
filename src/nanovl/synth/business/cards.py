"""Cards with a portrait that plainly are nobody's, and shipping labels.

Every card says that it is a specimen; issuers are clubs, libraries and firms of our own, never a
state. Must not imitate identity documents of any country.

Source: data synthesis specification, section 9.
"""

from __future__ import annotations

from datetime import timedelta

from nanovl.synth.business.drawings import barcode, portrait, qr, signature
from nanovl.synth.business.family import Family, Paper
from nanovl.synth.business.model import Draft
from nanovl.synth.business.nodes import Frame, Gap, Node, Row, Rule, Span, Stack, Text
from nanovl.synth.business.parties import draw_company, draw_date, draw_person, number_like
from nanovl.synth.business.parts import Kit

__all__ = ["FAMILIES"]

# where the portrait is, how pairs are set, whether the title is on a band, what is at the bottom
_CARDS: dict[str, tuple[str, str, bool, str]] = {
    "band-left": ("left", "stacked", True, "specimen"),
    "band-right": ("right", "stacked", True, "barcode"),
    "plain-left": ("left", "inline", False, "signature"),
    "plain-right": ("right", "columns", False, "specimen"),
    "coded": ("left", "columns", True, "qr"),
    "no-photo": ("", "columns", True, "barcode"),
    "lines": ("left", "lined", False, "specimen"),
    "cells": ("right", "boxed", False, "signature"),
    "tall": ("top", "stacked", True, "barcode"),
    "tall-plain": ("top", "inline", False, "qr"),
}


def _id_card(draft: Draft, kit: Kit, template: str) -> Paper:
    rng, locale = draft.rng, draft.locale
    where, form, on_band, low = _CARDS[template]
    draft.title = draft.pick("doc.id_card")
    person = draw_person(locale, rng)
    firm = draw_company(locale, rng)
    issuer = draft.add("issuer", firm.short, label="", key="full_name", name="issuer")
    issued = draw_date(rng, (2012, 2028))
    number = draft.add("member_number", number_like("##-####-##", rng), kind="id",
                       name="card number")  # fmt: skip
    fields = []
    if rng.random() < 0.6:
        fields.append(draft.add("surname", person.surname))
        fields.append(draft.add("given_name", person.given, name="first name"))
    else:
        fields.append(draft.add("full_name", person.name, name="name of the holder"))
    fields.append(number)
    if rng.random() < 0.8:
        born = draw_date(rng, (1940, 2006))
        fields.append(draft.day("birth_date", born))
    if rng.random() < 0.4:
        fields.append(draft.add("department", draft.pick("departments")))
    fields.append(draft.day("issued", issued, name="date of issue"))
    fields.append(
        draft.day("expires", issued + timedelta(days=365 * rng.randint(1, 6)), name="expiry date")
    )
    tall = where == "top"
    columns = 1 if tall or form in ("inline", "columns", "lined") else 2
    pairs = kit.pairs(fields, form, columns=columns, gap=3, size=0.95)
    note = draft.pick("specimen_note")
    title: Node = kit.title(size=1.35, colour="#ffffff" if on_band else "")
    head: list[Node] = [title, kit.value(issuer, size=0.95)]
    top: Node = Stack(children=head, gap=2)
    if on_band:
        top = Frame(child=top, fill=kit.theme.accent, ink="#ffffff", pad=(12, 8))
    else:
        top = Row(children=[kit.logo(34), top], widths=[0, 1], gap=10, valign="middle")
    photo = portrait(kit.rng, 96 if not tall else 110, align="center" if tall else "left")
    middle: Node = pairs
    if where == "left":
        middle = Row(children=[photo, pairs], widths=[0, 1], gap=14)
    elif where == "right":
        middle = Row(children=[pairs, photo], widths=[1, 0], gap=14)
    elif tall:
        middle = Stack(children=[photo, pairs], gap=10)
    red = Text(spans=[Span(text=note)], bold=True, colour="#a01c2c", size=0.95)
    end: list[Node] = [red]
    if low == "barcode":
        end = [barcode(number.text, 150, 30), red]
    elif low == "qr":
        end = [qr(number.text, 54), red]
    elif low == "signature":
        end = [signature(kit.rng, 110), red]
    foot: Node = Row(children=end, widths=[0.0, 1.0][: len(end)] if len(end) > 1 else [1],
                     gap=12, valign="middle")  # fmt: skip
    if tall:
        foot = Stack(children=end, gap=6)
    root: Node = Stack(children=[top, middle, foot], gap=10)
    if kit.rng.random() < 0.5:
        root = Frame(child=root, line=kit.theme.line, radius=10, pad=(14, 12))
    width = kit.rng.choice((290, 310)) if tall else kit.rng.choice((430, 460, 500))
    return Paper(root=root, width=width, pad=(14, 14))


# -- Shipping labels -----------------------------------------------------------------------------

_LABELS = (
    "stacked", "side-by-side", "cells", "code-first", "big-service", "bottom-sender", "wide",
    "grid", "band",
)  # fmt: skip


def _shipping_label(draft: Draft, kit: Kit, template: str) -> Paper:
    rng, locale = draft.rng, draft.locale
    draft.title = draft.pick("doc.shipping_label")
    sender, person = draw_company(locale, rng), draw_person(locale, rng)
    carrier = draft.add("carrier", draft.pick("carriers"), label="")
    source = kit.party("sender", sender.lines, "sender")
    target = kit.party("recipient", person.lines, "recipient")
    code = number_like(rng.choice(("@@#########XX", "##############", "##########")), rng)
    tracking = draft.add("tracking", code, kind="id")
    service = draft.add("service", draft.pick("service_kinds"))
    kilos = f"{rng.randint(1, 31)} kg"
    fields = [
        draft.add("weight", kilos, int(kilos.split()[0]), "number", name="weight in kg"),
        draft.day("ship_date", draw_date(rng), name="ship date"),
        tracking,
    ]
    if rng.random() < 0.5:
        sides = " x ".join(str(rng.randint(10, 80)) for _ in range(3))
        fields.append(draft.add("dimensions", f"{sides} cm"))
    if rng.random() < 0.5:
        fields.append(draft.add("reference", number_like("#####", rng), kind="id"))
    if rng.random() < 0.6:
        count = rng.randint(1, 5)
        fields.append(draft.add("packages", f"{rng.randint(1, count)} / {count}",
                                name="package number"))  # fmt: skip
    line = kit.theme.ink
    small = kit.address(draft.label("sender"), source, boxed=False)
    large = Stack(
        children=[
            Text(spans=[Span(text=draft.label("recipient"), path=target[0].path, role="label")],
                 bold=True, size=0.95),
            *(kit.value(f, size=1.4, bold=True) for f in target),
        ],
        gap=3,
    )  # fmt: skip
    top = Row(
        children=[kit.value(carrier, size=1.5, bold=True, colour=kit.theme.accent),
                  kit.pairs([service], "stacked", columns=1)],
        widths=[1, 0],
    )  # fmt: skip
    bars = barcode(code, 300, 70, align="center")
    form = kit.rng.choice(("inline", "boxed", "columns"))
    pairs = kit.pairs(fields, form, columns=1 if form == "columns" else 2)
    square = qr(code, 80)
    if template == "stacked":
        nodes: list[Node] = [top, Rule(thick=2), small, Rule(), large, Rule(thick=2), pairs, bars]
    elif template == "side-by-side":
        nodes = [top, Rule(), Row(children=[small, large], widths=[0.8, 1.2]), Rule(), pairs, bars]
    elif template == "cells":
        nodes = [
            Stack(children=[Frame(child=n, line=line, pad=(10, 8))
                            for n in (top, small, large, pairs, bars)], gap=0)
        ]  # fmt: skip
    elif template == "code-first":
        nodes = [bars, top, Rule(thick=2), large, Rule(), pairs, small]
    elif template == "big-service":
        big = kit.value(service, size=3.0, bold=True, align="center")
        row = Row(children=[large, square], widths=[1, 0])
        nodes = [Frame(child=big, line=line, thick=2), small, Rule(), row, pairs]
        nodes.append(kit.value(carrier, size=1.1))
    elif template == "bottom-sender":
        nodes = [top, large, Rule(thick=3), bars, pairs, Rule(), small]
    elif template == "wide":
        left = Stack(children=[small, Rule(), large], gap=10)
        right = Stack(children=[top, pairs, bars], gap=10)
        nodes = [Row(children=[left, right], widths=[1, 1.1], gap=24)]
    elif template == "grid":
        row_one: list[Node] = [Frame(child=small, line=line), Frame(child=top, line=line)]
        row_two: list[Node] = [Frame(child=large, line=line), Frame(child=square, line=line)]
        nodes = [
            Stack(children=[
                Row(children=row_one, widths=[1, 1], gap=0, valign="stretch"),
                Row(children=row_two, widths=[1.6, 0.6], gap=0, valign="stretch"),
                Frame(child=Stack(children=[pairs, bars]), line=line),
            ], gap=0)
        ]  # fmt: skip
    else:
        band = Frame(
            child=kit.value(carrier, size=1.5, bold=True, align="center"), fill=line, ink="#ffffff"
        )
        nodes = [band, kit.pairs([service], "inline"), small, large, pairs, bars]
    title: list[Node] = [kit.title(size=1.0)] if kit.rng.random() < 0.4 else []
    width = 640 if template == "wide" else kit.rng.choice((400, 430, 460))
    root: Node = Stack(children=[*title, *nodes, Gap(height=2)], gap=10)
    return Paper(root=root, width=width, pad=(18, 18))


FAMILIES = (
    Family(name="id_card", english="a member card", templates=tuple(_CARDS), make=_id_card),
    Family(
        name="shipping_label",
        english="a shipping label",
        templates=_LABELS,
        make=_shipping_label,
    ),
)
