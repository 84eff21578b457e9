"""Schemas of common papers: invoice, contract, receipt, and any record of names and values.

Data only. Amounts are numbers without currency signs, dates are text as ISO 8601 where the paper
allows it; everything a paper may lack is null.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["PRESETS"]

Schema = dict[str, Any]


def _text(longest: int = 200) -> Schema:
    return {"type": "string", "maxLength": longest}


def _maybe(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _object(properties: Schema) -> Schema:
    """An object with all of these members and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _list(items: Schema, most: int) -> Schema:
    return {"type": "array", "items": items, "maxItems": most}


_AMOUNT: Schema = {"type": "number", "minimum": -1e9, "maximum": 1e9}
_NAME = _maybe(_text())
_DATE = _maybe(_text(40))
_MONEY = _maybe(_AMOUNT)
_CURRENCY = _maybe(_text(8))
_PARTY = _object({"name": _NAME, "address": _maybe(_text(300)), "tax_id": _maybe(_text(60))})
_ITEM = _object(
    {
        "description": _text(),
        "quantity": _MONEY,
        "unit_price": _MONEY,
        "amount": _MONEY,
    }
)

PRESETS: Mapping[str, Schema] = {
    "invoice": _object(
        {
            "invoice_number": _maybe(_text(60)),
            "date": _DATE,
            "due_date": _DATE,
            "seller": _PARTY,
            "buyer": _PARTY,
            "items": _list(_ITEM, 60),
            "currency": _CURRENCY,
            "subtotal": _MONEY,
            "tax": _MONEY,
            "total": _MONEY,
        }
    ),
    "contract": _object(
        {
            "title": _NAME,
            "parties": _list(_object({"name": _text(), "role": _maybe(_text(80))}), 12),
            "effective_date": _DATE,
            "end_date": _DATE,
            "subject": _maybe(_text(400)),
            "payment_terms": _maybe(_text(400)),
            "termination": _maybe(_text(400)),
            "governing_law": _NAME,
            "signatures": _list(_object({"name": _text(), "date": _DATE}), 12),
        }
    ),
    "receipt": _object(
        {
            "merchant": _NAME,
            "date": _DATE,
            "time": _maybe(_text(20)),
            "items": _list(_object({"description": _text(), "amount": _MONEY}), 60),
            "currency": _CURRENCY,
            "tax": _MONEY,
            "total": _MONEY,
            "payment_method": _maybe(_text(60)),
        }
    ),
    "record": _object(
        {
            "title": _NAME,
            "fields": _list(_object({"name": _text(120), "value": _text(300)}), 80),
        }
    ),
}
