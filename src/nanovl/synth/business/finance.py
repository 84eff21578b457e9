"""Receipts, bank statements and pay slips.

Balances run on, sums close. Must not invent words.

Source: data synthesis specification, section 9.
"""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

from nanovl.synth.business.commerce import draw_price, sheet_height
from nanovl.synth.business.drawings import barcode, qr
from nanovl.synth.business.family import Family, Paper
from nanovl.synth.business.formats import cents
from nanovl.synth.business.model import Draft, Field, ItemTable
from nanovl.synth.business.nodes import Gap, Node, Row, Rule, Span, Stack, Text
from nanovl.synth.business.pages import ARRANGEMENTS, Parts, arrange
from nanovl.synth.business.parties import (
    draw_company,
    draw_date,
    draw_person,
    iban,
    number_like,
)
from nanovl.synth.business.parts import Kit

__all__ = ["FAMILIES"]

_TEMPLATES = tuple(sorted(ARRANGEMENTS))
_CENT = Decimal("0.01")

# How a receipt is set: face, lines between parts, how an item is written, where numbers stand.
_RECEIPTS: dict[str, dict[str, str]] = {
    "till-dashed": {"face": "mono", "rule": "dashed", "item": "line", "meta": "inline"},
    "till-plain": {"face": "mono", "rule": "gap", "item": "under", "meta": "right"},
    "till-double": {"face": "mono", "rule": "double", "item": "table", "meta": "columns"},
    "bistro": {"face": "body", "rule": "line", "item": "table", "meta": "dotted"},
    "boutique": {"face": "body", "rule": "gap", "item": "line", "meta": "stacked"},
    "kiosk": {"face": "body", "rule": "dashed", "item": "under", "meta": "inline"},
    "garage": {"face": "mono", "rule": "line", "item": "under", "meta": "dotted"},
    "cafe": {"face": "body", "rule": "double", "item": "line", "meta": "right"},
    "market": {"face": "mono", "rule": "line", "item": "line", "meta": "right"},
}


def _rules(kit: Kit, kind: str) -> list[Node]:
    if kind == "gap":
        return [Gap(height=8)]
    if kind == "double":
        return [Stack(children=[Rule(), Rule()], gap=2)]
    return [Rule(dashed=kind == "dashed")]


def _receipt_items(draft: Draft) -> tuple[ItemTable, Decimal, list[str]]:
    rng, locale = draft.rng, draft.locale
    table = draft.table(
        "items",
        (("description", "text"), ("quantity", "number"), ("unit_price", "money"),
         ("line_total", "money")),
        "item",
    )  # fmt: skip
    total, paths = Decimal(0), []
    for number, name in enumerate(rng.sample(draft.words("groceries"), rng.randint(2, 11))):
        quantity = rng.choice((1, 1, 1, 2, 2, 3, 4))
        price = draw_price(draft, 0, 19)
        price = price if price else Decimal("0.79")
        amount = quantity * price
        total += amount
        draft.row(
            table,
            [
                (name, name),
                (str(quantity), quantity),
                (locale.amount(price), float(price)),
                (locale.amount(amount), float(amount)),
            ],
        )
        path = f"items.{number}"
        draft.relate("product", f"{path}.line_total", f"{path}.quantity", f"{path}.unit_price")
        paths.append(f"{path}.line_total")
    return table, total, paths


def _receipt_lines(kit: Kit, table: ItemTable, how: str, face: str) -> list[Node]:
    if how == "table":
        return [kit.table(table, look="plain", face=face)]
    made: list[Node] = []
    for name, quantity, price, amount in table.rows:
        assert name is not None
        assert quantity is not None
        assert price is not None
        assert amount is not None
        group = object()

        def cell(f: Field, before: str = "", after: str = "") -> Span:
            return Span(text=f"{before}{f.text}{after}", path=f.path, role="value")

        if how == "line":
            left = Text(spans=[cell(quantity, after="x"), cell(name)], face=face, group=group)
            right = Text(spans=[cell(amount)], face=face, group=group, align="right", keep=True)
            made.append(Row(children=[left, right], widths=[1, 0], gap=8))
            continue
        made.append(Text(spans=[cell(name)], face=face, group=group))
        left = Text(spans=[cell(quantity), Span(text="x"), cell(price)], face=face, group=group)
        right = Text(spans=[cell(amount)], face=face, group=group, align="right", keep=True)
        made.append(Row(children=[Gap(height=1), left, right], widths=[0.12, 1, 0], gap=8))
    return [Stack(children=made, gap=3)]


def _receipt(draft: Draft, kit: Kit, template: str) -> Paper:
    rng, locale = draft.rng, draft.locale
    style = _RECEIPTS[template]
    draft.title = draft.pick("doc.receipt")
    shop = draw_company(locale, rng, draft.pick("shops"))
    face = style["face"]
    head = kit.party("merchant", shop.lines, "shop")
    sold = draw_date(rng)
    clock = f"{rng.randint(7, 21):02d}:{rng.randrange(60):02d}"
    meta = [
        draft.add("receipt_number", number_like("######", rng), kind="id", name="receipt number"),
        draft.day("date", sold),
        draft.add("time", clock, kind="time"),
    ]
    if rng.random() < 0.6:
        meta.append(draft.add("cashier", draw_person(locale, rng).given))
    if rng.random() < 0.4:
        meta.append(draft.add("register", number_like("##", rng), kind="id"))
    table, total, paths = _receipt_items(draft)
    pays: list[Field] = []
    rate = locale.rates[-1]
    tax = cents(total * rate / (100 + rate))
    sums = [draft.money("total", total, name="total amount")]
    draft.relate("sum", "total", *paths)
    if rng.random() < 0.5:
        note = rng.choice((5, 10, 50))
        given = Decimal(-(-total // note) * note)
        given += note if given < total else 0
        pays.append(draft.money("cash", given, name="cash given"))
        pays.append(draft.money("change", given - total))
        draft.relate("sum", "change", "cash", "-total")
    else:
        pays.append(draft.money("card", total, name="card payment"))
    if rng.random() < 0.7:
        label = f"{draft.label('tax')} {locale.percent(rate)}"
        pays.append(draft.money("tax", tax, label=label, name="tax included"))
    if rng.random() < 0.3:
        pays.append(draft.number("loyalty", rng.randint(1, 90), name="number of points"))
    name, *rest = head
    centre = kit.rng.random() < 0.75
    align = "center" if centre else "left"
    top: list[Node] = []
    if kit.rng.random() < 0.35:
        top.append(kit.logo(40, align=align))
    top.append(kit.value(name, size=1.35, bold=True, align=align, face=face))
    top += [kit.value(f, align=align, face=face) for f in rest]
    title = Text(
        spans=[Span(text=draft.title.upper())], kind="title", level=1, align=align, face=face,
        size=1.1, bold=True,
    )  # fmt: skip
    strong = Row(
        children=[
            Text(spans=[Span(text=sums[0].label.upper(), path="total", role="label")],
                 bold=True, size=1.25, face=face, group=sums),
            Text(spans=[Span(text=sums[0].text, path="total", role="value")], bold=True,
                 size=1.25, face=face, align="right", keep=True, group=sums),
        ],
        widths=[1, 0],
        gap=8,
    )  # fmt: skip
    rules = style["rule"]
    nodes = [*top, title, *_rules(kit, rules)]
    nodes.append(
        kit.pairs(meta, style["meta"], face=face, columns=1 + (style["meta"] == "stacked"))
    )
    nodes += [*_rules(kit, rules), *_receipt_lines(kit, table, style["item"], face)]
    nodes += [*_rules(kit, rules), strong]
    nodes += [kit.pairs(pays, "right", face=face), *_rules(kit, rules)]
    nodes.append(kit.text(draft.pick("thanks"), align=align, face=face))
    draw = kit.rng.random()
    code = meta[0].text + number_like("######", rng)
    if draw < 0.3:
        nodes.append(barcode(code, 200, 44, align=align))
    elif draw < 0.5:
        nodes.append(qr(code, 84, align=align))
    is_table = style["item"] == "table"
    width = kit.rng.choice((420, 450, 480) if is_table else (300, 330, 360, 400))
    return Paper(root=Stack(children=nodes, gap=7), width=width, pad=(20, 24))


# -- Statements ----------------------------------------------------------------------------------


def _bank_statement(draft: Draft, kit: Kit, template: str) -> Paper:
    rng, locale = draft.rng, draft.locale
    draft.title = draft.pick("doc.bank_statement")
    bank = draw_company(locale, rng, draft.pick("banks"))
    issuer = kit.party("bank", bank.lines, "bank")
    owner = draw_person(locale, rng)
    parties = [(draft.label("account_holder"), kit.party("holder", owner.lines, "account holder"))]
    month = draw_date(rng).replace(day=1)
    last = (month + timedelta(days=32)).replace(day=1) - timedelta(days=1)
    meta = [
        draft.add("iban", iban(locale, rng), kind="id", name="IBAN"),
        draft.add("statement_number", number_like("##/20##", rng), kind="id",
                  name="statement number"),
        draft.day("start_date", month, label=draft.label("period"),
                  name="first day of the period"),
        draft.day("end_date", last, label=draft.label("end_date"),
                  name="last day of the period"),
        draft.add("currency", locale.currency),
    ]  # fmt: skip
    opening = draw_price(draft, 120, 6000)
    two = rng.random() < 0.5
    keys = [("date", "date"), ("booking", "text")]
    keys += [("debit", "money"), ("credit", "money")] if two else [("amount", "money")]
    table = draft.table("transactions", (*keys, ("running", "money")), "transaction")
    count = rng.randint(4, 13)
    days = sorted(rng.randint(1, last.day) for _ in range(count))
    balance, before = opening, "opening"
    spent: list[str] = []
    earned: list[str] = []
    first = [draft.money("opening", opening, name="opening balance")]
    out_names = rng.sample(draft.words("bookings_out"), 8)
    for number, day in enumerate(days):
        is_in = rng.random() < 0.25
        name = draft.pick("bookings_in") if is_in else out_names[number % 8]
        text = f"{name} {number_like('####', rng)}"
        amount = draw_price(draft, 200, 3200) if is_in else draw_price(draft, 3, 380)
        amount = max(amount, _CENT)
        signed = amount if is_in else -amount
        balance += signed
        day_text = locale.date(month.replace(day=day))
        row: list[tuple[str, object] | None] = [
            (day_text, month.replace(day=day).isoformat()),
            (text, text),
        ]
        if two:
            shown = (locale.amount(amount), float(amount))
            row += [None, shown] if is_in else [shown, None]
        else:
            row.append((locale.amount(signed), float(signed)))
        row.append((locale.amount(balance), float(balance)))
        draft.row(table, row)
        path = f"transactions.{number}"
        key = f"{path}.amount" if not two else f"{path}.{'credit' if is_in else 'debit'}"
        minus = "-" if two and not is_in else ""
        draft.relate("sum", f"{path}.running", before, f"{minus}{key}")
        before = f"{path}.running"
        (earned if is_in else spent).append(key)
    sums = first
    if two:
        for key, paths in (("credits", earned), ("debits", spent)):
            total = sum((Decimal(str(draft.fields[p].value)) for p in paths), Decimal(0))
            sums.append(draft.money(key, total))
            if paths:
                draft.relate("sum", key, *paths)
        draft.money("closing", balance, name="closing balance")
        draft.relate("sum", "closing", "opening", "credits", "-debits")
    else:
        draft.money("closing", balance, name="closing balance")
        draft.relate(
            "sum", "closing", "opening", *(f"transactions.{k}.amount" for k in range(count))
        )
    parts = Parts(
        issuer=issuer, parties=parties, meta=meta, body=[kit.table(table)],
        sums=[*sums, draft.fields["closing"]], has_logo=rng.random() < 0.8,
        notes=[f"{draft.label('page')} 1 / 1"] if rng.random() < 0.4 else [],
    )  # fmt: skip
    return Paper(root=arrange(kit, parts, template), height=sheet_height(kit))


def _pay_slip(draft: Draft, kit: Kit, template: str) -> Paper:
    rng, locale = draft.rng, draft.locale
    draft.title = draft.pick("doc.pay_slip")
    firm, person = draw_company(locale, rng), draw_person(locale, rng)
    issuer = kit.party("employer", firm.lines, "employer")
    parties = [(draft.label("employee"), kit.party("employee", person.lines, "employee"))]
    start = draw_date(rng).replace(day=1)
    last = (start + timedelta(days=32)).replace(day=1) - timedelta(days=1)
    month = f"{draft.words('months')[start.month - 1]} {start.year}"
    hours = rng.randint(80, 176)
    meta = [
        draft.add("employee_number", number_like("#####", rng), kind="id", name="employee number"),
        draft.add("period", month, name="pay period"),
        draft.day("pay_date", date(last.year, last.month, rng.randint(24, last.day))),
        draft.add("job_title", draft.pick("jobs")),
        draft.add("department", draft.pick("departments")),
        draft.number("hours", hours, name="number of hours worked"),
    ]
    if rng.random() < 0.6:
        code = number_like(rng.choice(("#", "####L", "@#")), rng)
        meta.append(draft.add("tax_class", code, kind="id", name="tax code"))
    income = draft.table("earnings", (("earning", "text"), ("amount", "money")), "earning")
    gross, paths = Decimal(0), []
    names = draft.words("earnings")
    for number, name in enumerate((names[0], *rng.sample(names[1:], rng.randint(0, 3)))):
        amount = draw_price(draft, 1400, 5200) if not number else draw_price(draft, 25, 420)
        gross += amount
        draft.row(income, [(name, name), (locale.amount(amount), float(amount))])
        paths.append(f"earnings.{number}.amount")
    draft.money("gross", gross, name="gross pay")
    draft.relate("sum", "gross", *paths)
    outgo = draft.table(
        "deductions", (("deduction", "text"), ("rate", "percent"), ("amount", "money")),
        "deduction",
    )  # fmt: skip
    off, paths = Decimal(0), []
    for number, name in enumerate(draft.words("deductions")[: rng.randint(3, 5)]):
        share = (
            Decimal(rng.choice(("12", "14.5", "18")))
            if not number
            else Decimal(rng.choice(("0.6", "1.3", "2.5", "7.3", "9.3")))
        )
        amount = cents(gross * share / 100)
        off += amount
        draft.row(
            outgo,
            [(name, name), (locale.percent(share), float(share)),
             (locale.amount(amount), float(amount))],
        )  # fmt: skip
        draft.relate("rate", f"deductions.{number}.amount", "gross", f"deductions.{number}.rate")
        paths.append(f"deductions.{number}.amount")
    sums = [draft.fields["gross"], draft.money("total_deductions", off)]
    draft.relate("sum", "total_deductions", *paths)
    sums.append(draft.money("net", gross - off, name="net pay"))
    draft.relate("sum", "net", "gross", "-total_deductions")
    tables: list[Node] = [kit.table(income), kit.table(outgo)]
    beside = template not in ("sidebar",) and kit.rng.random() < 0.5
    body: list[Node] = [Row(children=tables, widths=[1, 1.25], gap=24)] if beside else tables
    details = [draft.add("bank.iban", iban(locale, rng), kind="id", name="IBAN")]
    parts = Parts(
        issuer=issuer, parties=parties, meta=meta, body=body, sums=sums, details=details,
        has_logo=rng.random() < 0.5,
    )  # fmt: skip
    return Paper(root=arrange(kit, parts, template), height=sheet_height(kit))


FAMILIES = (
    Family(name="receipt", english="a receipt", templates=tuple(_RECEIPTS), make=_receipt),
    Family(
        name="bank_statement",
        english="a bank statement",
        templates=_TEMPLATES,
        make=_bank_statement,
    ),
    Family(name="pay_slip", english="a pay slip", templates=_TEMPLATES, make=_pay_slip),
)
