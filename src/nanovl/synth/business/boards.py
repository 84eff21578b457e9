"""Timetables (lessons of a week, departures) and menus.

Source: data synthesis specification, section 9.
"""

from __future__ import annotations

from decimal import Decimal

from nanovl.synth.business.drawings import qr
from nanovl.synth.business.family import Family, Paper
from nanovl.synth.business.model import Draft, Field, ItemColumn, ItemTable
from nanovl.synth.business.nodes import Frame, Gap, Node, Row, Rule, Span, Stack, Text
from nanovl.synth.business.parties import draw_company, draw_date, draw_person, number_like
from nanovl.synth.business.parts import Kit, lighter
from nanovl.synth.business.phrases import phrases

__all__ = ["FAMILIES"]

_BOARDS = (
    "school", "school-band", "school-wide", "school-left", "stations", "stations-dark",
    "stations-band", "stations-framed", "school-framed",
)  # fmt: skip


def _clock(minutes: int) -> str:
    return f"{minutes // 60 % 24:02d}:{minutes % 60:02d}"


def _lessons(draft: Draft) -> ItemTable:
    """Hours down, weekdays across."""
    rng = draft.rng
    days = draft.words("weekdays")[: rng.choice((5, 5, 6))]
    english = phrases("weekdays", "en")
    table = ItemTable(
        path="lessons",
        columns=(
            ItemColumn(key="time", label=draft.label("time"), kind="time"),
            *(ItemColumn(key=english[k].lower(), label=day) for k, day in enumerate(days)),
        ),
        noun="hour",
    )
    draft.tables.append(table)
    start, length = rng.choice((450, 480, 495, 510)), rng.choice((45, 50, 60))
    pool = rng.sample(draft.words("subjects"), rng.randint(5, 9))
    for number in range(rng.randint(4, 7)):
        begin = start + number * (length + 5)
        text = f"{_clock(begin)} - {_clock(begin + length)}"
        row: list[Field | None] = [
            draft.add(f"lessons.{number}.time", text, name="time", key="time", label="")
        ]
        for k in range(len(days)):
            if rng.random() < 0.1:
                row.append(None)
                continue
            key = english[k].lower()
            subject = rng.choice(pool)
            row.append(
                draft.add(f"lessons.{number}.{key}", subject, key="class", label="",
                          name=f"subject on {english[k]} at {_clock(begin)}")
            )  # fmt: skip
        table.rows.append(row)
    return table


def _departures(draft: Draft) -> ItemTable:
    rng = draft.rng
    columns = (("time", "time"), ("line", "id"), ("destination", "text"), ("platform", "id"),
               ("duration", "number"))  # fmt: skip
    table = draft.table("departures", columns, "departure")
    at = rng.randint(300, 900)
    towns = rng.sample(draft.words("towns"), rng.randint(4, 9))
    for town in towns:
        at += rng.randint(3, 41)
        line = number_like(rng.choice(("S#", "RE #", "IC ##", "Bus ##")), rng)
        minutes = rng.randint(6, 190)
        gate = f"{rng.randint(1, 12)}{rng.choice(('', '', 'a', 'b'))}"
        draft.row(
            table,
            [(_clock(at), _clock(at)), (line, line), (town, town), (gate, gate),
             (str(minutes), minutes)],
        )  # fmt: skip
    return table


def _timetable(draft: Draft, kit: Kit, template: str) -> Paper:
    rng, locale = draft.rng, draft.locale
    is_school = template.startswith("school")
    draft.title = draft.pick("doc.timetable" if is_school else "doc.departures")
    if is_school:
        head = [
            draft.add("school", draft.pick("schools"), label="", key="full_name", name="school"),
            draft.add("class", number_like("#@", rng).lower(), name="class"),
            draft.add("teacher", draw_person(locale, rng).name),
            draft.add("room", number_like("@##", rng), kind="id"),
            draft.day("valid_from", draw_date(rng), name="first day of validity"),
        ]
        table = _lessons(draft)
    else:
        head = [
            draft.add("operator", draw_company(locale, rng).short, label="", key="full_name",
                      name="operator"),
            draft.add("stop", draft.pick("towns"), name="station"),
            draft.day("valid_from", draw_date(rng), name="first day of validity"),
        ]  # fmt: skip
        table = _departures(draft)
    accent = kit.theme.accent
    first, meta = head[0], head[1:]
    form = kit.rng.choice(("inline", "stacked", "columns", "boxed"))
    pairs = kit.pairs(meta, form, columns=len(meta) if form != "columns" else 2)
    band = template.endswith("band")
    title = kit.title(size=2.2, colour="#ffffff" if band else "")
    size = 1.0 if len(table.columns) < 7 else 0.92
    look = "full" if is_school else ""
    shares = [0.0] + [1.0] * (len(table.columns) - 1) if is_school else ()
    grid = kit.table(table, look=look, size=size, widths=shares)
    name = kit.value(first, size=1.1, bold=True)
    nodes: list[Node]
    if band:
        nodes = [Frame(child=title, fill=accent, ink="#ffffff", pad=(18, 14)), name, pairs, grid]
    elif template == "school-left":
        side = Stack(children=[kit.logo(), name, kit.pairs(meta, "stacked", columns=1)], gap=12)
        right = Stack(children=[title, grid], gap=14)
        nodes = [Row(children=[side, right], widths=[0.2, 0.8], gap=20)]
    elif template.endswith("framed"):
        inner = Stack(children=[title, name, pairs, grid], gap=14)
        nodes = [Frame(child=inner, line=accent, thick=3, pad=(20, 18))]
    elif template == "stations-dark":
        top = Row(children=[title, name], widths=[1, 0], valign="middle")
        nodes = [top, Rule(colour=accent, thick=4), grid, pairs]
    else:
        nodes = [Row(children=[name, kit.logo(44, align="right")], widths=[1, 0]), title, pairs,
                 grid]  # fmt: skip
    if kit.rng.random() < 0.25:
        nodes.append(qr(f"https://{number_like('####', kit.rng)}.example.com", 70, align="right"))
    width = kit.rng.choice((860, 940, 1000)) if is_school else kit.rng.choice((680, 760, 820))
    return Paper(root=Stack(children=nodes, gap=16), width=width, pad=(36, 32))


# -- Menus ---------------------------------------------------------------------------------------

_MENUS = (
    "column", "two-columns", "framed", "dotted", "band", "cards", "left", "tinted", "double",
)  # fmt: skip


def _courses(draft: Draft, kit: Kit, dotted: bool, centre: bool) -> list[Node]:
    """Sections of dishes with prices."""
    rng, locale = draft.rng, draft.locale
    made: list[Node] = []
    symbol = rng.random() < 0.6
    for section in ("starters", "mains", "desserts", "drinks"):
        names = rng.sample(draft.words(f"dishes.{section}"), rng.randint(2, 4))
        rows: list[Node] = []
        table = draft.table(section, (("description", "text"), ("unit_price", "money")), "dish")
        low, high = {"starters": (4, 11), "mains": (11, 32), "desserts": (4, 10)}.get(
            section, (2, 8)
        )
        for number, name in enumerate(names):
            price = Decimal(rng.randint(low, high)) + Decimal(rng.choice(("0", "0.5", "0.9")))
            text = locale.money(price) if symbol else locale.amount(price)
            draft.row(table, [(name, name), (text, float(price))])
            path = f"{section}.{number}"
            group = object()
            dish = Text(
                spans=[Span(text=name, path=f"{path}.description", role="value")], group=group
            )
            cost = Text(
                spans=[Span(text=text, path=f"{path}.unit_price", role="value")], group=group,
                align="right", keep=True,
            )  # fmt: skip
            if centre:
                both = [*dish.spans, None, *cost.spans]
                rows.append(Text(spans=both, align="center"))
            elif dotted:
                line = Rule(colour=kit.theme.line, dashed=True)
                dish.keep = True
                rows.append(
                    Row(children=[dish, line, cost], widths=[0, 1, 0], gap=6, valign="bottom")
                )
            else:
                rows.append(Row(children=[dish, cost], widths=[1, 0], gap=12))
        head = Text(
            spans=[Span(text=draft.label(section))], kind="section_header", level=1, size=1.35,
            bold=True, colour=kit.theme.accent, align="center" if centre else "left", face="head",
        )  # fmt: skip
        made.append(Stack(children=[head, *rows], gap=6))
    return made


def _menu(draft: Draft, kit: Kit, template: str) -> Paper:
    rng = draft.rng
    draft.title = draft.pick("doc.menu")
    inn = draft.add("restaurant", draft.pick("inns"), label="", key="full_name", name="restaurant")
    centre = template in ("framed", "double")
    align = "left" if template in ("left", "two-columns") else "center"
    sections = _courses(draft, kit, template in ("dotted", "column"), centre)
    hours = draft.add("opening_hours", f"{rng.randint(10, 12)}:00 - {rng.randint(21, 23)}:30")
    note = kit.text(draft.pick("menu.note"), size=0.9, align=align, italic=True)
    phone = draft.add("phone", draw_person(draft.locale, rng).phone, kind="id", name="phone number")
    foot = kit.pairs([hours, phone], "inline", columns=2)
    name = kit.value(inn, size=1.5, bold=True, align=align, face="head")
    title = kit.title(size=2.0, align=align)
    accent = kit.theme.accent
    body: Node = Stack(children=sections, gap=18)
    top: list[Node] = [name, title, Rule(colour=accent, thick=2)]
    if template in ("two-columns", "band", "cards"):
        halves = [sections[:2], sections[2:]]
        columns: list[Node] = [Stack(children=h, gap=18) for h in halves]
        if template == "cards":
            columns = [
                Stack(children=[Frame(child=s, line=kit.theme.line, radius=6) for s in h], gap=12)
                for h in halves
            ]
        body = Row(children=columns, widths=[1, 1], gap=36)
    if template == "band":
        white = kit.title(size=2.0, colour="#ffffff", align="center")
        top = [Frame(child=white, fill=accent, ink="#ffffff", pad=(16, 12)), name]
    root: Node = Stack(children=[*top, body, Gap(height=4), note, foot], gap=14)
    if template == "framed":
        root = Frame(child=root, line=accent, thick=3, pad=(28, 24))
    elif template == "double":
        root = Frame(
            child=Frame(child=root, line=accent, pad=(24, 20)), line=accent, thick=3, pad=(6, 6)
        )
    elif template == "tinted":
        root = Frame(child=root, fill=lighter(accent, 0.9), pad=(30, 26))
    wide = template in ("two-columns", "band", "cards")
    return Paper(root=root, width=kit.rng.choice((760, 820) if wide else (460, 520, 600)))


FAMILIES = (
    Family(name="timetable", english="a timetable", templates=_BOARDS, make=_timetable),
    Family(name="menu", english="a menu", templates=_MENUS, make=_menu),
)
