"""What single pages say of a record, put together by rules that change no value.

The first page that names a value wins, later pages fill gaps; lists are appended without exact
repetitions; every later page that says something else is reported. Asks no model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from nanovl.apps.schemas import pointer

__all__ = ["Merged", "merge", "without_nulls"]

_MISSING: Any = None


@dataclass(kw_only=True)
class Merged:
    """A record made of pages.

    Attributes:
        value: The record.
        places: Per page, in the order given: where its values stand in the record, by where they
            stand on the page. Values that lost are left out.
        conflicts: Sentences about pages that disagree.
    """

    value: Any = None
    places: list[dict[str, str]] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)


def merge(values: Sequence[Any], pages: Sequence[int]) -> Merged:
    """Put pages together.

    Args:
        values: What every page says; null where it says nothing.
        pages: Their numbers.
    """
    merged = Merged()
    origin: dict[str, int] = {}
    for value, page in zip(values, pages, strict=True):
        places: dict[str, str] = {}
        merged.value = _join(merged.value, value, "", "", page, places, origin, merged.conflicts)
        merged.places.append(places)
    return merged


def _join(
    kept: Any,
    new: Any,
    at: str,
    to: str,
    page: int,
    places: dict[str, str],
    origin: dict[str, int],
    conflicts: list[str],
) -> Any:
    """`new`, which stands at `at` of its page, joined to what stands at `to` of the record."""
    rest = (page, places, origin, conflicts)
    if new is None or new == "":
        return kept
    if isinstance(new, dict) and (kept is _MISSING or isinstance(kept, dict)):
        made = dict(kept or {})
        for name, item in new.items():
            step = pointer(name)
            made[name] = _join(made.get(name), item, at + step, to + step, *rest)
        return made
    if isinstance(new, list) and (kept is _MISSING or isinstance(kept, list)):
        rows = list(kept or [])
        for index, item in enumerate(new):
            if item in rows:
                continue
            place = f"{to}/{len(rows)}"
            rows.append(_join(None, item, f"{at}/{index}", place, *rest))
        return rows
    if kept is _MISSING:
        places[at] = to
        origin[to] = page
        return new
    if kept != new:
        first = f"page {origin[to]}" if to in origin else "an earlier page"
        conflicts.append(
            f"{to or '/'}: page {page} says {_shown(new)}, {first} says {_shown(kept)}, which is "
            "kept"
        )
    return kept


def without_nulls(value: Any) -> Any:
    """The same value without members of objects that are null."""
    if isinstance(value, dict):
        return {k: without_nulls(v) for k, v in value.items() if v is not None}
    return [without_nulls(v) for v in value] if isinstance(value, list) else value


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
