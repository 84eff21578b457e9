"""Letters, contracts, business reports, slides and certificates.

Source: data synthesis specification, section 9.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal

from nanovl.synth.business.commerce import contact_fields, draw_price, sheet_height
from nanovl.synth.business.drawings import bar_chart, qr, stamp
from nanovl.synth.business.family import A4, Family, Paper
from nanovl.synth.business.formats import cents
from nanovl.synth.business.model import Draft, Field, ItemTable
from nanovl.synth.business.nodes import Frame, Gap, Node, Row, Rule, Span, Stack, Text
from nanovl.synth.business.pages import ARRANGEMENTS, Parts, arrange
from nanovl.synth.business.parties import draw_company, draw_date, draw_person, number_like
from nanovl.synth.business.parts import Kit, lighter

__all__ = ["FAMILIES"]

_TEMPLATES = tuple(sorted(ARRANGEMENTS))


def _filled(draft: Draft, key: str, choice: int, **fields: Field) -> tuple[str, list[Field]]:
    """One alternative of a sentence with its slots numbered, and the fields that go there."""
    return _numbered(draft.words(key)[choice], fields)


def _numbered(text: str, fields: Mapping[str, Field]) -> tuple[str, list[Field]]:
    used: list[Field] = []
    for name, found in fields.items():
        if "{" + name + "}" in text:
            text = text.replace("{" + name + "}", "{" + str(len(used)) + "}")
            used.append(found)
    return text, used


def _letter(draft: Draft, kit: Kit, template: str) -> Paper:
    rng, locale = draft.rng, draft.locale
    firm, person = draw_company(locale, rng), draw_person(locale, rng)
    draft.title = draft.pick("letter.subjects")
    issuer = kit.party("sender", firm.lines, "sender")
    recipient = kit.party("recipient", person.lines, "recipient")
    written = draw_date(rng)
    meta = [draft.day("date", written, name="date of the letter")]
    ref = draft.add("reference", number_like("@@/####", rng), kind="id", name="reference")
    if rng.random() < 0.6:
        meta.append(ref)
    if rng.random() < 0.4:
        meta.append(draft.add("your_reference", number_like("@-#####", rng), kind="id"))
    clerk = draw_person(locale, rng)
    meta.append(draft.add("contact", clerk.name, name="contact person"))
    contact = contact_fields(draft, firm, "sender", "sender")
    earlier = draft.day(
        "earlier_date", written - timedelta(days=rng.randint(3, 40)), key="date",
        name="date of the earlier contact", label="",
    )  # fmt: skip
    due = draft.day(
        "deadline", written + timedelta(days=rng.randint(10, 60)), key="due_date",
        name="date named in the letter", label="",
    )  # fmt: skip
    amount = draft.money("amount", draw_price(draft, 20, 4000), name="amount named", label="")
    opening = rng.randrange(len(draft.words("letter.open")))
    money = rng.randrange(len(draft.words("letter.money")))
    before: list[Node] = [kit.text(draft.pick("letter.greeting", name=person.name))]
    body: list[Node] = [kit.flow(*_filled(draft, "letter.open", opening, date=earlier))]
    middle = rng.sample(draft.words("letter.middle"), rng.randint(2, 4))
    body.append(kit.text(" ".join(middle[:2])))
    text, fields = _filled(draft, "letter.money", money, amount=amount, date=due)
    body.append(kit.flow(text, fields))
    rest = " ".join(middle[2:])
    if rest:
        body.append(kit.text(rest))
    body.append(kit.text(draft.pick("letter.end", ref=ref.text, phone=firm.phone)))
    body.append(kit.text(draft.pick("letter.closing")))
    body.append(kit.sign(clerk.name))
    details = []
    if rng.random() < 0.3:
        details.append(draft.number("enclosures", rng.randint(1, 4), name="number of enclosures"))
    parts = Parts(
        issuer=issuer, contact=contact, parties=[("", recipient)], meta=meta, before=before,
        body=body, details=details, has_logo=rng.random() < 0.7,
    )  # fmt: skip
    return Paper(root=arrange(kit, parts, template), height=sheet_height(kit), pad=(70, 60))


def _contract(draft: Draft, kit: Kit, template: str) -> Paper:
    rng, locale = draft.rng, draft.locale
    draft.title = draft.pick("doc.contract")
    firm, person = draw_company(locale, rng), draw_person(locale, rng)
    client = draw_company(locale, rng).lines if rng.random() < 0.5 else person.lines
    a = kit.party("provider", firm.lines, "provider")
    b = kit.party("client", client, "client")
    signed = draw_date(rng)
    term = rng.choice((6, 12, 18, 24, 36, 48))
    fee = draw_price(draft, 60, 2400)
    made = draft.day("date", signed, name="date of the contract")
    meta = [draft.add("contract_number", number_like("####/##", rng), kind="id"), made]
    fields = {
        "start": draft.day("start_date", signed + timedelta(days=rng.randint(1, 40)), label=""),
        "term": draft.number("term", term, name="term in months", label=""),
        "fee": draft.money("fee", fee, label=""),
        "value": draft.money("contract_value", fee * term, label=""),
        "notice": draft.number(
            "notice", rng.choice((14, 28, 30, 60, 90)), name="notice period in days", label=""
        ),
        "deposit": draft.money(
            "deposit", cents(fee * rng.choice((2, 3))), name="limit of liability", label=""
        ),
    }
    draft.relate("product", "contract_value", "term", "fee")
    heads, clauses = draft.words("contract.heads"), draft.words("contract.clauses")
    intro = draft.words("contract.intro")[0]
    intro = intro.format(date=made.text, a=firm.name, b=client[0])
    body: list[Node] = []
    style = kit.rng.randrange(3)
    for number, head in enumerate(heads, 1):
        text, used = _numbered(clauses[number - 1], fields)
        if style == 0:
            body.append(
                Stack(children=[kit.heading(f"{number}. {head}"), kit.flow(text, used)], gap=4)
            )
        elif style == 1:
            title = Text(
                spans=[Span(text=f"\u00a7 {number} {head}")], kind="section_header", level=1,
                bold=True, align="center",
            )  # fmt: skip
            body.append(Stack(children=[title, kit.flow(text, used)], gap=4))
        else:
            node = kit.flow(text, used, kind="list_item", marker=f"{number}.")
            node.spans = [
                Span(text=f"{number}."), Span(text=f"{head}.", bold=True), *node.spans
            ]  # fmt: skip
            node.marker = f"{number}."
            body.append(node)
    parts = Parts(
        parties=[(draft.label("party_a"), a), (draft.label("party_b"), b)], meta=meta,
        before=[kit.text(intro)], body=body,
        signs=[draft.label("party_a"), draft.label("party_b")], has_logo=rng.random() < 0.3,
    )  # fmt: skip
    return Paper(root=arrange(kit, parts, template), pad=(70, 56))


# -- Reports -------------------------------------------------------------------------------------


def _regions(draft: Draft) -> tuple[ItemTable, list[Decimal]]:
    """Revenue, costs and profit by region, a last row for all."""
    rng, locale = draft.rng, draft.locale
    table = draft.table(
        "regions",
        (("region", "text"), ("revenue", "money"), ("costs", "money"), ("profit", "money")),
        "region",
    )
    names = draft.words("regions")[: rng.randint(3, 5)]
    sums = [Decimal(0)] * 3
    worth = []
    for number, name in enumerate(names):
        revenue = Decimal(rng.randint(400, 9900) * 100)
        costs = Decimal(rng.randint(250, int(revenue / 100) - 20) * 100)
        values = [revenue, costs, revenue - costs]
        worth.append(revenue)
        draft.row(table, [(name, name), *((locale.amount(v), float(v)) for v in values)])
        path = f"regions.{number}"
        draft.relate("sum", f"{path}.profit", f"{path}.revenue", f"-{path}.costs")
        sums = [a + b for a, b in zip(sums, values, strict=True)]
    for key, total in zip(("revenue", "costs", "profit"), sums, strict=True):
        draft.money(key, total, name="total cost" if key == "costs" else f"total {key}")
        draft.relate("sum", key, *(f"regions.{k}.{key}" for k in range(len(names))))
    return table, worth


def _report(draft: Draft, kit: Kit, template: str) -> Paper:
    rng, locale = draft.rng, draft.locale
    draft.title = draft.pick("doc.report")
    firm = draw_company(locale, rng)
    issuer = kit.party("company", firm.lines, "company")
    year = rng.randint(2014, 2030)
    meta = [
        draft.add("period", f"Q{rng.randint(1, 4)} {year}", name="period"),
        draft.add("author", draw_person(locale, rng).name),
        draft.number("staff", rng.randint(12, 4200), name="head count"),
    ]
    table, worth = _regions(draft)
    best = max(range(len(worth)), key=worth.__getitem__)
    money = {k: draft.fields[k] for k in ("revenue", "costs", "profit")}
    choice = rng.randrange(len(draft.words("report.summary")))
    name = draft.fields["company.name"]
    text, used = _filled(draft, "report.summary", choice, name=name, **money)
    body: list[Node] = [kit.heading(draft.label("section.summary")), kit.flow(text, used)]
    cells = [f"regions.{best}.region", f"regions.{best}.revenue"]
    body.append(
        kit.text(
            draft.pick(
                "report.best",
                region=draft.fields[cells[0]].text,
                amount=draft.fields[cells[1]].text,
            )
        )
    )
    lines = rng.sample(draft.words("report.lines"), rng.randint(2, 4))
    marks = "\u2022"
    body += [
        Text(spans=[Span(text=marks), Span(text=line)], kind="list_item", marker=marks)
        for line in lines
    ]
    body += [kit.heading(draft.label("section.figures")), kit.table(table)]
    if rng.random() < 0.5:
        body.append(bar_chart([float(v) for v in worth], kit.theme.accent, 360, 150))
    plan = draft.money("investment", Decimal(rng.randint(10, 900) * 1000), key="amount",
                       name="planned investment", label="")  # fmt: skip
    hires = draft.number("hires", rng.randint(2, 80), key="staff", name="planned hires", label="")
    choice = rng.randrange(2)
    text, used = _filled(draft, "report.outlook", choice, amount=plan, n=hires)
    body += [kit.heading(draft.label("section.outlook")), kit.flow(text, used)]
    parts = Parts(issuer=issuer, meta=meta, body=body, has_logo=rng.random() < 0.7)
    return Paper(root=arrange(kit, parts, template), pad=(60, 52))


# -- Slides --------------------------------------------------------------------------------------

_SLIDES = (
    "title-left", "title-centre", "two-columns", "chart-left", "chart-right", "band-top",
    "band-left", "figures", "table",
)  # fmt: skip


def _slide(draft: Draft, kit: Kit, template: str) -> Paper:
    rng, locale = draft.rng, draft.locale
    draft.title = draft.label("section.figures") if rng.random() < 0.5 else draft.pick("doc.report")
    firm = draw_company(locale, rng)
    company = draft.add("company", firm.short, label="", key="full_name", name="company")
    when = draft.day("date", draw_date(rng), label="", name="date of the slide")
    table, worth = _regions(draft)
    bullets: list[Node] = [
        Text(spans=[Span(text="\u2022"), Span(text=line)], kind="list_item", marker="\u2022",
             size=1.05)
        for line in rng.sample(draft.words("report.lines"), rng.randint(2, 4))
    ]  # fmt: skip
    sums = [draft.fields[k] for k in ("revenue", "costs", "profit")]
    chart = bar_chart([float(v) for v in worth], kit.theme.accent, 330, 190)
    grid = kit.table(table, size=0.95)
    points = Stack(children=bullets, gap=10)
    figures = kit.pairs(sums, "stacked", columns=3, size=1.3)
    centre = template == "title-centre"
    title = kit.title(size=2.2, align="center" if centre else "left")
    foot = Row(
        children=[kit.value(company, size=0.8, kind="page_footer"),
                  kit.value(when, size=0.8, align="right", kind="page_footer")],
        widths=[1, 1],
    )  # fmt: skip
    bodies: dict[str, list[Node]] = {
        "title-left": [title, points, figures],
        "title-centre": [title, Rule(colour=kit.theme.accent, thick=2), figures, points],
        "two-columns": [title, Row(children=[points, grid], widths=[1, 1.2], gap=32)],
        "chart-left": [
            title,
            Row(children=[chart, Stack(children=[points, figures], gap=20)], widths=[0, 1], gap=32),
        ],
        "chart-right": [
            title,
            Row(children=[Stack(children=[figures, points], gap=20), chart], widths=[1, 0], gap=32),
        ],
        "band-top": [points, grid],
        "band-left": [figures, grid],
        "figures": [title, figures, chart],
        "table": [title, grid, figures],
    }
    content: list[Node] = [*bodies[template], Gap(height=6), foot]
    if template == "band-top":
        white = kit.title(size=2.0, colour="#ffffff")
        band = Frame(child=white, fill=kit.theme.accent, ink="#ffffff", pad=(24, 18))
        content = [band, *content]
    elif template == "band-left":
        white = kit.title(size=1.9, colour="#ffffff")
        band = Frame(child=white, fill=kit.theme.accent, ink="#ffffff", pad=(20, 30))
        inner = Stack(children=content, gap=22)
        content = [Row(children=[band, inner], widths=[0.3, 0.7], gap=26, valign="stretch")]
    return Paper(root=Stack(children=content, gap=22), width=960, height=540, pad=(48, 36),
                 zoom=1.35)  # fmt: skip


# -- Certificates --------------------------------------------------------------------------------

_CERTIFICATES = (
    "framed", "double", "ribbon", "plain", "left", "corner", "tinted", "wide", "portrait",
)  # fmt: skip


def _certificate(draft: Draft, kit: Kit, template: str) -> Paper:
    rng, locale = draft.rng, draft.locale
    draft.title = draft.pick("doc.certificate")
    school, person = draft.pick("schools"), draw_person(locale, rng)
    held = draw_date(rng)
    is_left = template in ("left", "corner")
    align = "left" if is_left else "center"
    by = draft.add("school", school, label="", key="full_name", name="issuing institution")
    holder = draft.add("holder", person.name, label="", key="full_name", name="holder")
    course = draft.add("course", draft.pick("courses"), label="")
    meta = [
        draft.day("date", held, name="date of the certificate"),
        draft.add("certificate_number", number_like("##-#####", rng), kind="id",
                  name="certificate number"),
    ]  # fmt: skip
    if rng.random() < 0.6:
        meta.append(draft.number("hours", rng.choice((8, 12, 16, 24, 40, 80)),
                                 name="number of hours"))  # fmt: skip
    if rng.random() < 0.4:
        meta.append(draft.add("grade", f"{rng.randint(60, 100)} / 100", name="score"))
    if rng.random() < 0.3:
        meta.append(draft.day("valid_until", held + timedelta(days=730), name="end of validity"))
    teacher = draft.add("instructor", draw_person(locale, rng).name)
    accent = kit.theme.accent
    lines: list[Node] = []
    if kit.rng.random() < 0.6:
        lines.append(kit.logo(64, align=align))
    lines += [
        kit.value(by, align=align, size=1.15, colour=kit.theme.muted),
        kit.title(size=2.8, align=align, colour=accent),
        kit.text(draft.pick("certificate.text"), align=align),
        kit.value(holder, align=align, size=2.0, bold=True, face="head"),
        kit.text(draft.pick("certificate.has"), align=align),
        kit.value(course, align=align, size=1.5, italic=True, face="head"),
    ]
    if template == "ribbon":
        lines.insert(2, Rule(colour=accent, thick=5))
    lines.append(kit.pairs(meta, "stacked" if not is_left else "inline", columns=min(3, len(meta))))
    below: list[Node] = [Stack(children=[kit.sign(teacher.label), kit.value(teacher)], gap=2)]
    if kit.rng.random() < 0.4:
        below.append(stamp(kit.rng, number_like("No ####", kit.rng), 130, align="right"))
    elif kit.rng.random() < 0.4:
        below.append(qr(meta[1].text, 76, align="right"))
    below += [Gap(height=1)] if len(below) == 1 else []
    lines.append(Row(children=below, widths=[1, 1], gap=60, valign="bottom"))
    inner: Node = Stack(children=lines, gap=16)
    frames: dict[str, Callable[[Node], Node]] = {
        "framed": lambda n: Frame(child=n, line=accent, thick=3, pad=(40, 30)),
        "double": lambda n: Frame(
            child=Frame(child=n, line=accent, pad=(36, 26)), line=accent, thick=4, pad=(8, 8)
        ),
        "corner": lambda n: Frame(child=n, line=accent, sides="lb", thick=10, pad=(34, 26)),
        "tinted": lambda n: Frame(child=n, fill=lighter(accent, 0.9), pad=(40, 34), radius=10),
        "wide": lambda n: Frame(child=n, line=accent, sides="tb", thick=8, pad=(30, 30)),
    }
    if template in frames:
        inner = frames[template](inner)
    width = A4[0] if template == "portrait" else kit.rng.choice((900, 960, 1040))
    return Paper(root=inner, width=width, pad=(46, 40), zoom=1.15)


FAMILIES: Sequence[Family] = (
    Family(name="letter", english="a letter", templates=_TEMPLATES, make=_letter),
    Family(name="contract", english="a contract", templates=_TEMPLATES, make=_contract),
    Family(name="report", english="a business report", templates=_TEMPLATES, make=_report),
    Family(name="slide", english="a slide", templates=_SLIDES, make=_slide),
    Family(name="certificate", english="a certificate", templates=_CERTIFICATES, make=_certificate),
)
