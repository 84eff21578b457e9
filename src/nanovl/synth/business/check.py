"""Scores answers about a field: as printed, or normalised.

Dates count in any form, amounts with or without currency and thousands marks, identifiers with or
without blanks. Another day, amount or currency does not count.

Source: data synthesis specification, sections 9 (normalisation) and 19.
"""

from __future__ import annotations

import re
from decimal import Decimal

from nanovl.synth.base import Answer
from nanovl.synth.business.formats import SYMBOLS, read_amount, read_date

__all__ = ["field_score"]


def _bare(text: str) -> str:
    return " ".join(text.split()).rstrip(".").strip().casefold()


def _currencies(text: str) -> set[str]:
    """Currencies a text may mean."""
    found = {code for code in SYMBOLS if re.search(rf"\b{code}\b", text.upper())}
    if found:
        return found
    symbols = {s for s in SYMBOLS.values() if s in text}
    longest = [s for s in symbols if not any(s in other and s != other for other in symbols)]
    return {code for code, symbol in SYMBOLS.items() if symbol in longest}


def field_score(answer: Answer, text: str) -> float:
    """1.0 if a text says the value of a field, else 0.0.

    Args:
        answer: Its value has "text" (as printed), "value" (normalised), "kind", "decimal" (the mark
            of the document) and "currency" (of amounts, "" for none).
        text: What was answered.
    """
    known = answer.value
    if _bare(text) == _bare(known["text"]):
        return 1.0
    kind, text = known["kind"], text.strip().rstrip(".")
    if kind == "date":
        day = read_date(text)
        return float(day is not None and day.isoformat() == known["value"])
    if kind in ("money", "number", "percent"):
        said = _currencies(text) if kind == "money" else set()
        if said and known["currency"] and known["currency"] not in said:
            return 0.0
        wanted = Decimal(str(known["value"]))
        local = read_amount(text, known["decimal"])
        if local is not None:
            return float(local == wanted)
        return float(read_amount(text, ".") == wanted)
    if kind == "id":
        return float(re.sub(r"\s", "", _bare(text)) == re.sub(r"\s", "", _bare(known["text"])))
    return 0.0
