"""Forms with check boxes, medical records and laboratory reports; all people are made up.

Source: data synthesis specification, section 9.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

from nanovl.synth.business.commerce import sheet_height
from nanovl.synth.business.drawings import barcode, stamp
from nanovl.synth.business.family import Family, Paper
from nanovl.synth.business.model import Check, Draft, Field
from nanovl.synth.business.nodes import Frame, Node, Row, Rule, Stack
from nanovl.synth.business.pages import ARRANGEMENTS, Parts, arrange
from nanovl.synth.business.parties import Person, draw_date, draw_person, number_like
from nanovl.synth.business.parts import Kit

__all__ = ["FAMILIES"]

_TEMPLATES = tuple(sorted(ARRANGEMENTS))

# name, low, high, decimals, unit; in the order of the phrase "tests"
_TESTS = (
    (12.0, 16.0, 1, "g/dl"), (4.0, 10.0, 1, "10^9/l"), (150, 400, 0, "10^9/l"),
    (70, 100, 0, "mg/dl"), (0.6, 1.2, 2, "mg/dl"), (135, 145, 0, "mmol/l"),
    (3.5, 5.1, 1, "mmol/l"), (120, 200, 0, "mg/dl"), (50, 150, 0, "mg/dl"),
    (3.4, 7.0, 1, "mg/dl"), (50, 170, 0, "\u00b5g/dl"), (2.1, 2.6, 2, "mmol/l"),
)  # fmt: skip


def _person_fields(draft: Draft, person: Person, path: str, name: str) -> list[Field]:
    """Name, birth date and sex of someone, with labels."""
    rng = draft.rng
    born = draw_date(rng, (1938, 2006))
    split = rng.random() < 0.5
    made = []
    if split:
        made.append(draft.add(f"{path}.surname", person.surname, name=f"surname of the {name}"))
        made.append(draft.add(f"{path}.given_name", person.given, name=f"first name of the {name}"))
    else:
        made.append(draft.add(f"{path}.full_name", person.name, name=f"name of the {name}"))
    made.append(draft.day(f"{path}.birth_date", born, name=f"date of birth of the {name}"))
    if rng.random() < 0.6:
        made.append(
            draft.add(f"{path}.sex", draft.words("sexes")[person.sex], name=f"sex of the {name}")
        )
    return made


# -- Forms ---------------------------------------------------------------------------------------

_FORMS = (*_TEMPLATES, "sections", "cells")


def _section(kit: Kit, title: str, content: Sequence[Node], template: str) -> Node:
    inner = Stack(children=content, gap=8)
    if template == "cells":
        return Stack(
            children=[
                Frame(child=kit.heading(title), fill=kit.theme.tint, line=kit.theme.line,
                      pad=(6, 4)),
                Frame(child=inner, line=kit.theme.line, pad=(10, 8)),
            ],
            gap=0,
        )  # fmt: skip
    return Stack(children=[kit.heading(title), inner], gap=8)


def _choices(draft: Draft, key: str, path: str, *, one: bool) -> tuple[str, list[Check]]:
    """A question with options of which one or some are ticked."""
    rng = draft.rng
    options = draft.words(key)
    if len(options) > 5:
        options = tuple(rng.sample(options, rng.randint(3, 5)))
    group = draft.label(path)
    chosen = rng.randrange(len(options))
    checks = [
        draft.tick(f"{path}.{k}", group, text, k == chosen if one else rng.random() < 0.45)
        for k, text in enumerate(options)
    ]
    return group, checks


def _form(draft: Draft, kit: Kit, template: str) -> Paper:
    rng, locale = draft.rng, draft.locale
    draft.title = draft.pick("doc.form")
    person = draw_person(locale, rng)
    face = "hand" if kit.theme.hand else "body"
    office = draft.add("office", draft.pick("offices"), label="", key="full_name", name="office")
    who = _person_fields(draft, person, "applicant", "applicant")
    if rng.random() < 0.6:
        who.append(draft.add("applicant.nationality", draft.pick("nations")))
    if rng.random() < 0.5:
        who.append(draft.add("applicant.birth_place", draft.pick("towns"), name="place of birth"))
    if rng.random() < 0.5:
        who.append(draft.add("applicant.occupation", draft.pick("jobs")))
    if rng.random() < 0.3:
        who.append(draft.number("applicant.children", rng.randint(0, 5)))
    home = [
        draft.add("applicant.street", person.street, name="street of the applicant"),
        draft.add("applicant.postcode", person.postcode, kind="id", name="postcode"),
        draft.add("applicant.city", person.town, name="town of the applicant"),
        draft.add("applicant.phone", person.phone, kind="id", name="phone number"),
    ]
    if rng.random() < 0.7:
        home.append(draft.add("applicant.email", person.email, kind="id", name="e-mail address"))
    groups = [_choices(draft, "options", "services", one=False)]
    if rng.random() < 0.7:
        groups.insert(0, _choices(draft, "marital_kinds", "marital", one=True))
    if rng.random() < 0.7:
        groups.append(_choices(draft, "ways", "contact_by", one=True))
    if rng.random() < 0.5:
        groups.append(_choices(draft, "yesno", "agreement", one=True))
    forms = ("lined", "boxed", "columns", "inline", "stacked")
    form = kit.rng.choice(forms)
    columns = kit.rng.choice((1, 2)) if form in ("lined", "inline") else 2
    first = kit.pairs(who, form, columns=columns, face=face, gap=8)
    second = kit.pairs(home, form, columns=columns, face=face, gap=8)
    ticks: list[Node] = [kit.checks(group, checks) for group, checks in groups]
    body: list[Node] = [
        _section(kit, draft.label("section.person"), [first], template),
        _section(kit, draft.label("section.address"), [second], template),
        _section(kit, draft.label("section.choice"), ticks, template),
    ]
    filed = draw_date(rng)
    end = [
        draft.add("place", draft.pick("towns"), name="place of signing"),
        draft.day("date", filed, name="date of signing"),
    ]
    body.append(kit.pairs(end, form if form != "columns" else "lined", columns=2, face=face))
    number = draft.add("application_number", number_like("####-####", rng), kind="id",
                       name="application number")  # fmt: skip
    intro = kit.text(draft.pick("form.intro", n=rng.choice((7, 14, 30))), size=0.95)
    if template in ("sections", "cells"):
        top: list[Node] = [
            Row(children=[kit.title(), kit.pairs([number], "inline")], widths=[1, 0]),
            kit.value(office, bold=True), Rule(thick=2), intro, *body,
            kit.sign(draft.label("signature")),
        ]  # fmt: skip
        if kit.rng.random() < 0.3:
            top.append(barcode(number.text, 180, 40, align="right"))
        root: Node = Stack(children=top, gap=kit.theme.gap)
    else:
        parts = Parts(
            issuer=[office], meta=[number], before=[intro], body=body,
            signs=[draft.label("signature")], has_logo=rng.random() < 0.4,
        )  # fmt: skip
        root = arrange(kit, parts, template)
    return Paper(root=root, height=sheet_height(kit))


# -- Medical -------------------------------------------------------------------------------------


def _medical(draft: Draft, kit: Kit, template: str) -> Paper:
    rng, locale = draft.rng, draft.locale
    draft.title = draft.pick("doc.medical_record")
    person, doctor = draw_person(locale, rng), draw_person(locale, rng)
    name = draft.add("clinic", draft.pick("clinics"), label="", key="full_name", name="clinic")
    visit = draw_date(rng)
    who = _person_fields(draft, person, "patient", "patient")
    meta = [
        draft.add("patient_id", number_like("P######", rng), kind="id", name="patient ID"),
        draft.day("visit_date", visit),
        draft.add("physician", f"Dr. {doctor.name}"),
        draft.add("insurance", number_like("@#########", rng), kind="id"),
    ]
    high, low = rng.randint(102, 158), rng.randint(60, 98)
    tall, heavy = rng.randint(150, 198), rng.randint(48, 112)
    warm = Decimal(rng.randint(360, 395)) / 10
    signs = [
        draft.add("vitals.height", f"{tall} cm", tall, "number"),
        draft.add("vitals.body_weight", f"{heavy} kg", heavy, "number", name="body weight"),
        draft.add("vitals.pulse", f"{rng.randint(52, 110)} /min"),
        draft.add("vitals.blood_pressure", f"{high}/{low} mmHg"),
        draft.add("vitals.temperature", f"{locale.number(warm, 1)} \u00b0C", float(warm), "number"),
    ]
    if rng.random() < 0.5:
        signs.append(draft.add("vitals.blood_group", rng.choice(("A+", "A-", "B+", "0+", "AB-"))))
    number = rng.randrange(len(draft.words("complaints")))
    case = [
        draft.add("complaint", draft.words("complaints")[number], name="reason for the visit"),
        draft.add("diagnosis", draft.words("diagnoses")[number]),
        draft.add("allergies", draft.pick("allergy_kinds")),
    ]
    if rng.random() < 0.7:
        later = visit + timedelta(days=rng.randint(7, 60))
        case.append(draft.day("next_visit", later, name="date of the next appointment"))
    table = draft.table(
        "medication",
        (("medication", "text"), ("dose", "number"), ("times_a_day", "number"), ("days", "number")),
        "medicine",
    )
    for drug in rng.sample(draft.words("drugs"), rng.randint(1, 4)):
        values = (rng.choice((5, 10, 25, 50, 100, 200, 400)), rng.randint(1, 4),
                  rng.choice((3, 5, 7, 10, 14)))  # fmt: skip
        draft.row(table, [(drug, drug), *((str(v), v) for v in values)])
    body: list[Node] = [
        kit.heading(draft.label("patient")),
        kit.pairs(who, columns=2),
        kit.heading(draft.label("section.vitals")),
        kit.pairs(signs, kit.rng.choice(("stacked", "boxed", "columns")), columns=3),
        kit.heading(draft.label("section.history")),
        kit.text(draft.pick("medical.history", n=rng.randint(2, 21))),
        kit.pairs(case, kit.rng.choice(("inline", "columns", "lined"))),
        kit.heading(draft.label("section.medication")),
        kit.table(table),
    ]
    parts = Parts(
        issuer=[name], meta=meta, body=body, signs=[draft.label("physician")],
        codes=[stamp(kit.rng, "Dr. " + doctor.surname[:9], 130)] if rng.random() < 0.15 else [],
        has_logo=rng.random() < 0.6,
    )  # fmt: skip
    return Paper(root=arrange(kit, parts, template), height=sheet_height(kit))


def _lab_report(draft: Draft, kit: Kit, template: str) -> Paper:
    rng, locale = draft.rng, draft.locale
    draft.title = draft.pick("doc.lab_report")
    person, doctor = draw_person(locale, rng), draw_person(locale, rng)
    clinic = draft.add(
        "clinic", draft.pick("clinics"), label="", key="full_name", name="laboratory"
    )
    taken = draw_date(rng)
    who = _person_fields(draft, person, "patient", "patient")
    code = number_like("S########", rng)
    meta = [
        *who,
        draft.add("sample_id", code, kind="id", name="sample ID"),
        draft.day("collected", taken, name="collection date"),
        draft.day("reported", taken + timedelta(days=rng.randint(1, 5)), name="report date"),
        draft.add("specimen", draft.pick("specimens")),
        draft.add("physician", f"Dr. {doctor.name}"),
    ]
    keys = [("test", "text"), ("result", "number"), ("unit", "text"), ("range", "text")]
    has_flag = rng.random() < 0.8
    keys += [("flag", "text")] if has_flag else []
    table = draft.table("results", keys, "test")
    for place in sorted(rng.sample(range(len(_TESTS)), rng.randint(4, 11))):
        low, high, places, unit = _TESTS[place]
        width = high - low
        aim = rng.choice((0.5, 0.5, 0.5, 0.5, -0.25, 1.3))
        value = low + width * (rng.uniform(0.08, 0.92) if aim == 0.5 else aim)
        shown = Decimal(f"{value:.{places}f}")
        ends = tuple(locale.number(Decimal(str(v)), places) for v in (low, high))
        text = f"{ends[0]} - {ends[1]}"
        is_low, is_high = shown < Decimal(str(low)), shown > Decimal(str(high))
        mark = draft.words("flags")[int(is_high)] if is_low or is_high else ""
        label = draft.words("tests")[place]
        cells = {
            "test": (label, label),
            "result": (locale.number(shown, places), float(shown)),
            "unit": (unit, unit),
            "range": (text, text),
            "flag": (mark, mark) if mark else None,
        }
        draft.row(table, [cells[k] for k in table.keys])
    codes = [barcode(code, 170, 38)] if rng.random() < 0.4 else []
    parts = Parts(
        issuer=[clinic], meta=meta, body=[kit.table(table)],
        notes=[draft.pick("lab.note")] if has_flag else [], codes=codes,
        signs=[draft.label("approved_by")] if rng.random() < 0.5 else [],
        has_logo=rng.random() < 0.7,
    )  # fmt: skip
    return Paper(root=arrange(kit, parts, template), height=sheet_height(kit))


FAMILIES = (
    Family(name="form", english="a filled-in form", templates=_FORMS, make=_form, by_hand=True),
    Family(name="medical_record", english="a medical record", templates=_TEMPLATES, make=_medical),
    Family(
        name="lab_report", english="a laboratory report", templates=_TEMPLATES, make=_lab_report
    ),
)
