"""Invoices and credit notes, purchase orders, delivery notes.

Lines are quantity times price less a discount, rounded to cents; taxes are taken of the sum of the
lines of their rate. Must not place anything.

Source: data synthesis specification, section 9.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from nanovl.synth.business.drawings import barcode, qr, stamp
from nanovl.synth.business.family import A4, Family, Paper
from nanovl.synth.business.formats import cents
from nanovl.synth.business.model import Draft, Field, ItemTable
from nanovl.synth.business.nodes import Node
from nanovl.synth.business.pages import ARRANGEMENTS, Parts, arrange
from nanovl.synth.business.parties import (
    Company,
    draw_company,
    draw_date,
    draw_person,
    iban,
    number_like,
)
from nanovl.synth.business.parts import Kit

__all__ = ["FAMILIES", "contact_fields", "draw_price", "sheet_height"]

_TEMPLATES = tuple(sorted(ARRANGEMENTS))
_STAMPS = {
    "en": ("PAID", "COPY", "APPROVED", "RECEIVED"),
    "de": ("BEZAHLT", "KOPIE", "GENEHMIGT", "EINGEGANGEN"),
    "fr": ("PAYE", "COPIE", "APPROUVE", "RECU"),
    "es": ("PAGADO", "COPIA", "APROBADO", "RECIBIDO"),
    "it": ("PAGATO", "COPIA", "APPROVATO", "RICEVUTO"),
    "pt": ("PAGO", "COPIA", "APROVADO", "RECEBIDO"),
}


def sheet_height(kit: Kit) -> int:
    """A whole sheet, or as tall as needed."""
    return A4[1] if kit.rng.random() < 0.4 else 0


def draw_price(draft: Draft, low: int, high: int) -> Decimal:
    """A price that looks like one."""
    rng = draft.rng
    whole = rng.randint(low, high)
    part = rng.choice(("00", "00", "50", "90", "95", "99", f"{rng.randrange(100):02d}"))
    return Decimal(f"{whole}.{part}")


def contact_fields(draft: Draft, company: Company, path: str, name: str) -> list[Field]:
    """Some of phone, mail and tax number."""
    made = []
    for key, text, kind in (
        ("phone", company.phone, "id"),
        ("email", company.email, "id"),
        ("vat_id", company.vat, "id"),
    ):
        if draft.rng.random() < 0.7:
            spoken = {"phone": "phone number", "email": "e-mail address", "vat_id": "VAT number"}
            made.append(
                draft.add(f"{path}.{key}", text, kind=kind, name=f"{spoken[key]} of the {name}")
            )
    return made


def _bank(draft: Draft) -> list[Field]:
    bank = draft.pick("banks")
    return [
        draft.add("bank.bank", bank, name="bank"),
        draft.add("bank.iban", iban(draft.locale, draft.rng), kind="id", name="IBAN"),
        draft.add("bank.bic", number_like("@@@@DE##" + 3 * "X", draft.rng), kind="id"),
    ]


def _items(draft: Draft, *, priced: bool = True) -> tuple[ItemTable, dict[Decimal, list[str]]]:
    """Lines of goods or work, and the paths of their totals by tax rate."""
    rng, locale = draft.rng, draft.locale
    is_work = rng.random() < 0.3
    names = list(draft.words("work" if is_work else "goods"))
    count = rng.randint(1, 6) if is_work else rng.randint(1, 9)
    rates = list(locale.rates) if rng.random() < 0.35 else [locale.rates[0]]
    shows_rate = len(rates) > 1 or rng.random() < 0.3
    has_discount = rng.random() < 0.25
    columns: list[tuple[str, str]] = [("description", "text"), ("quantity", "number")]
    opening = rng.random()
    if opening < 0.35:
        columns.insert(0, ("position", "id"))
    elif opening < 0.6:
        columns.insert(0, ("article", "id"))
    if rng.random() < 0.3:
        columns.append(("unit", "text"))
    columns.append(("unit_price", "money"))
    columns += [("discount", "percent")] if has_discount else []
    columns += [("tax_rate", "percent")] if shows_rate else []
    columns.append(("line_total", "money"))
    table = draft.table("items", columns, "item")
    units = draft.words("units")
    by_rate: dict[Decimal, list[str]] = {}
    symbol = rng.random() < 0.25
    for number, name in enumerate(rng.sample(names, count)):
        quantity = rng.randint(1, 40) if is_work else rng.choice((1, 1, 2, 3, 4, 5, 10, 12, 25))
        price = draw_price(draft, 30, 140) if is_work else draw_price(draft, 1, 420)
        off = Decimal(rng.choice((0, 0, 5, 10, 15))) if has_discount else Decimal(0)
        total = cents(quantity * price * (100 - off) / 100)
        rate = rng.choice(rates)
        shown = locale.money if symbol else locale.amount
        cells = {
            "position": (str(number + 1), str(number + 1)),
            "article": (number_like("@@-####", rng),) * 2,
            "description": (name, name),
            "quantity": (locale.number(quantity), quantity),
            "unit": (units[3] if is_work else units[rng.randrange(2)],) * 2,
            "unit_price": (shown(price), float(price)),
            "discount": (locale.percent(off), float(off)) if off else None,
            "tax_rate": (locale.percent(rate), float(rate)),
            "line_total": (shown(total), float(total)),
        }
        draft.row(table, [cells[k] for k in table.keys])
        path = f"items.{number}"
        terms = [f"{path}.quantity", f"{path}.unit_price"]
        terms += [f"{path}.discount"] if off else []
        draft.relate("product", f"{path}.line_total", *terms)
        by_rate.setdefault(rate, []).append(f"{path}.line_total")
    return table, by_rate


def _worth(draft: Draft, path: str) -> Decimal:
    return Decimal(str(draft.fields[path].value))


def _sums(draft: Draft, by_rate: dict[Decimal, list[str]]) -> list[Field]:
    """Subtotal, taxes, freight and total below the lines."""
    rng = draft.rng
    lines = [path for paths in by_rate.values() for path in paths]
    net = sum((_worth(draft, p) for p in lines), Decimal(0))
    made = [draft.money("totals.subtotal", net)]
    draft.relate("sum", "totals.subtotal", *lines)
    parts = ["totals.subtotal"]
    if rng.random() < 0.3:
        freight = draw_price(draft, 4, 60)
        made.append(draft.money("totals.shipping", freight, name="shipping cost"))
        parts.append("totals.shipping")
    for number, (rate, paths) in enumerate(sorted(by_rate.items(), reverse=True)):
        base = sum((_worth(draft, p) for p in paths), Decimal(0))
        path = "totals.tax" if len(by_rate) == 1 else f"totals.tax_{number + 1}"
        label = f"{draft.label('tax')} {draft.locale.percent(rate)}"
        name = "tax amount" if len(by_rate) == 1 else f"tax amount at {rate.normalize():f} %"
        tax = cents(base * rate / 100)
        made.append(draft.money(path, tax, key="tax", label=label, name=name))
        parts.append(path)
    total = sum((_worth(draft, p) for p in parts), Decimal(0))
    made.append(draft.money("totals.total", total, name="total amount"))
    draft.relate("sum", "totals.total", *parts)
    if rng.random() < 0.15:
        paid = cents(total * rng.choice((20, 30, 50)) / 100)
        made.append(draft.money("totals.paid", paid, name="amount already paid"))
        made.append(draft.money("totals.balance", total - paid, name="balance due"))
        draft.relate("sum", "totals.balance", "totals.total", "-totals.paid")
    return made


def _codes(draft: Draft, kit: Kit, number: str, extra: str = "") -> list[Node]:
    rng, made = kit.rng, []
    draw = rng.random()
    if draw < 0.2:
        made.append(barcode(number, 180, 42))
    elif draw < 0.4:
        made.append(qr(extra or number, rng.choice((72.0, 88.0))))
    if rng.random() < 0.15:
        made.append(stamp(rng, rng.choice(_STAMPS[draft.locale.language]), 150))
    return list(made)


def _invoice(draft: Draft, kit: Kit, template: str) -> Paper:
    rng, locale = draft.rng, draft.locale
    is_credit = rng.random() < 0.12
    draft.title = draft.pick("doc.credit_note" if is_credit else "doc.invoice")
    seller, buyer = draw_company(locale, rng), draw_person(locale, rng)
    firm = draw_company(locale, rng)
    issuer = kit.party("seller", seller.lines, "seller")
    contact = contact_fields(draft, seller, "seller", "seller")
    named = firm.lines if rng.random() < 0.6 else buyer.lines
    customer = kit.party("buyer", named, "customer")
    parties = [(draft.label("buyer"), customer)]
    if rng.random() < 0.25:
        other = draw_person(locale, rng)
        parties.append((draft.label("ship_to"), kit.party("ship_to", other.lines, "addressee")))
    issued = draw_date(rng)
    days = rng.choice((7, 10, 14, 21, 30, 45, 60))
    pattern = rng.choice(("######", "INV-#####", f"{issued.year}-####", "R#######", "@#-####/##"))
    number = number_like(pattern, rng)
    key = "credit_number" if is_credit else "invoice_number"
    meta = [
        draft.add(key, number, kind="id"),
        draft.day("invoice_date", issued, name="document date" if is_credit else "invoice date"),
    ]
    if rng.random() < 0.85 and not is_credit:
        meta.append(draft.day("due_date", issued + timedelta(days=days)))
    if rng.random() < 0.6:
        meta.append(draft.add("customer_number", number_like("C-#####", rng), kind="id"))
    if rng.random() < 0.5:
        meta.append(draft.add("order_number", number_like("PO######", rng), kind="id"))
    if rng.random() < 0.3:
        meta.append(draft.day("delivery_date", issued - timedelta(days=rng.randint(1, 9))))
    table, by_rate = _items(draft)
    sums = _sums(draft, by_rate)
    details = _bank(draft) if rng.random() < 0.75 else []
    if rng.random() < 0.6:
        details.append(
            draft.add("payment_terms", draft.pick("days_net", n=days), name="payment terms")
        )
    if rng.random() < 0.4:
        details.append(draft.add("payment_method", draft.pick("methods")))
    notes = [draft.pick("invoice.note")] if rng.random() < 0.7 else []
    parts = Parts(
        issuer=issuer, contact=contact, parties=parties, meta=meta, body=[kit.table(table)],
        sums=sums, details=details, notes=notes, codes=_codes(draft, kit, number),
        has_logo=rng.random() < 0.8,
    )  # fmt: skip
    return Paper(root=arrange(kit, parts, template), height=sheet_height(kit))


def _purchase_order(draft: Draft, kit: Kit, template: str) -> Paper:
    rng, locale = draft.rng, draft.locale
    draft.title = draft.pick("doc.purchase_order")
    buyer, supplier = draw_company(locale, rng), draw_company(locale, rng)
    issuer = kit.party("buyer", buyer.lines, "buyer")
    parties = [
        (draft.label("supplier"), kit.party("supplier", supplier.lines, "supplier")),
        (
            draft.label("ship_to"),
            kit.party("ship_to", draw_person(locale, rng).lines, "addressee"),
        ),
    ]
    ordered = draw_date(rng)
    number = number_like(rng.choice(("PO-######", "45########", "B-####/##")), rng)
    meta = [
        draft.add("order_number", number, kind="id"),
        draft.day("order_date", ordered),
        draft.day("delivery_date", ordered + timedelta(days=rng.randint(5, 60))),
        draft.add("requested_by", draw_person(locale, rng).name, name="requester"),
    ]
    if rng.random() < 0.6:
        meta.append(draft.add("department", draft.pick("departments")))
    if rng.random() < 0.5:
        meta.append(draft.add("supplier_number", number_like("######", rng), kind="id"))
    table, by_rate = _items(draft)
    sums = _sums(draft, by_rate)
    details = [
        draft.add("incoterm", rng.choice(("EXW", "FCA", "DAP", "DDP")), name="delivery terms"),
        draft.add("payment_terms", draft.pick("days_net", n=rng.choice((14, 30, 45)))),
    ]
    approver = draft.label("approved_by")
    parts = Parts(
        issuer=issuer, contact=contact_fields(draft, buyer, "buyer", "buyer"), parties=parties,
        meta=meta, body=[kit.table(table)], sums=sums, details=details,
        signs=[approver, draft.label("requested_by")][: rng.randint(1, 2)],
        codes=_codes(draft, kit, number), has_logo=rng.random() < 0.7,
    )  # fmt: skip
    return Paper(root=arrange(kit, parts, template), height=sheet_height(kit))


def _delivery_note(draft: Draft, kit: Kit, template: str) -> Paper:
    rng, locale = draft.rng, draft.locale
    draft.title = draft.pick("doc.delivery_note")
    seller = draw_company(locale, rng)
    issuer = kit.party("sender", seller.lines, "sender")
    receiver = draw_company(locale, rng)
    parties = [(draft.label("ship_to"), kit.party("recipient", receiver.lines, "recipient"))]
    shipped = draw_date(rng)
    number = number_like(rng.choice(("DN-######", "L#######", "##-####")), rng)
    meta = [
        draft.add("delivery_number", number, kind="id"),
        draft.day("delivery_date", shipped),
        draft.add("order_number", number_like("PO######", rng), kind="id"),
        draft.add("carrier", draft.pick("carriers")),
    ]
    if rng.random() < 0.6:
        meta.append(draft.add("tracking", number_like("@@#########", rng), kind="id"))
    columns = [("article", "id"), ("description", "text"), ("ordered", "number")]
    columns += [("delivered", "number"), ("outstanding", "number")]
    has_weight = rng.random() < 0.7
    columns += [("item_weight", "number")] if has_weight else []
    table = draft.table("items", columns, "item")
    weights = Decimal(0)
    for number_of, name in enumerate(rng.sample(draft.words("goods"), rng.randint(2, 9))):
        wanted = rng.choice((1, 2, 4, 5, 6, 8, 10, 20, 24, 50))
        given = wanted if rng.random() < 0.7 else rng.randint(0, wanted)
        weight = Decimal(rng.randint(2, 480)) / 10
        weights += weight
        cells = {
            "article": (number_like("#####", rng),) * 2,
            "description": (name, name),
            "ordered": (str(wanted), wanted),
            "delivered": (str(given), given),
            "outstanding": (str(wanted - given), wanted - given),
            "item_weight": (locale.number(weight, 1), float(weight)),
        }
        draft.row(table, [cells[k] for k in table.keys])
        path = f"items.{number_of}"
        draft.relate("sum", f"{path}.outstanding", f"{path}.ordered", f"-{path}.delivered")
    details = [draft.number("packages", rng.randint(1, 12), name="number of packages")]
    if has_weight:
        text = f"{locale.number(weights, 1)} kg"
        details.append(draft.add("total_weight", text, float(weights), "number"))
        lines = [f"items.{k}.item_weight" for k in range(len(table.rows))]
        draft.relate("sum", "total_weight", *lines)
    parts = Parts(
        issuer=issuer, contact=contact_fields(draft, seller, "sender", "sender"), parties=parties,
        meta=meta, body=[kit.table(table)], details=details,
        notes=[draft.pick("delivery.note", n=rng.choice((3, 5, 7)))],
        signs=[draft.label("received_by")], codes=_codes(draft, kit, number),
        has_logo=rng.random() < 0.8,
    )  # fmt: skip
    return Paper(root=arrange(kit, parts, template), height=sheet_height(kit))


FAMILIES = (
    Family(name="invoice", english="an invoice", templates=_TEMPLATES, make=_invoice),
    Family(
        name="purchase_order",
        english="a purchase order",
        templates=_TEMPLATES,
        make=_purchase_order,
    ),
    Family(
        name="delivery_note", english="a delivery note", templates=_TEMPLATES, make=_delivery_note
    ),
)
