"""Where on which page a value stands: boxes of 0 to 1000 of width and height.

The model is shown the pages again and asked for a box per value; the form is enforced, what it
says is the model's word. Extracts nothing.

Source: design, decision D15.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nanovl.apps.asking import Question, ask
from nanovl.apps.pages import PageRef, parts_of
from nanovl.core.events import OnEvent, ignore_event

if TYPE_CHECKING:
    from nanovl.engine.vlm import NanoVL

__all__ = ["Evidence", "find_evidence"]

SCALE = 1000
# Values asked for at once; more would make the answer too long.
_AT_ONCE = 24
# Tokens of one value's box in the answer.
_BOX_TOKENS = 64
_PROMPT = """\
These values were read from the {pages} above:

{values}

For each of them give {what}the box around the place where it is written, as [x1, y1, x2, y2] \
with coordinates from 0 to 1000 of the width and height of the page, x to the right and y \
downwards. Give null for a value that is not written there."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Where a value stands.

    Attributes:
        page: Number of the page, from 1.
        box: x1, y1, x2, y2 with 0 <= x1 < x2 <= 1000 and the same for y; None when the model gives
            none.
    """

    page: int
    box: tuple[int, int, int, int] | None = None


def find_evidence(
    model: NanoVL,
    pages: Sequence[PageRef],
    values: Mapping[str, str | int | float],
    *,
    max_tokens: int = 2048,
    on_event: OnEvent = ignore_event,
    **options: Any,
) -> dict[str, Evidence | None]:
    """Ask where values stand.

    Args:
        model: Who looks.
        pages: What the values were read from.
        values: By name; names appear in the answer.
        max_tokens: Longest answer.
        on_event: Told about the progress of long prompts.
        **options: Further arguments of `NanoVL.chat`.

    Returns:
        A place for every value; None where the model finds it nowhere.

    Raises:
        InputError: The pages do not fit the context.
        NanoVLError: The model does not bring its answer to an end.
    """
    found: dict[str, Evidence | None] = {}
    names = list(values)
    group = max(1, min(_AT_ONCE, max_tokens // _BOX_TOKENS))
    for begin in range(0, len(names), group):
        asked = {f"v{i + 1}": name for i, name in enumerate(names[begin : begin + group])}
        question = _question(pages, {key: values[name] for key, name in asked.items()})
        answer = ask(model, question, max_tokens=max_tokens, on_event=on_event, **options)
        for key, name in asked.items():
            found[name] = _read(answer[key], pages)
    return found


def _question(pages: Sequence[PageRef], values: Mapping[str, Any]) -> Question:
    several = len(pages) > 1
    lines = "\n".join(f"{key}: {json.dumps(v, ensure_ascii=False)}" for key, v in values.items())
    side = {"type": "integer", "minimum": 0, "maximum": SCALE}
    place: dict[str, Any] = {"box": {"type": "array", "items": side, "minItems": 4, "maxItems": 4}}
    if several:
        place = {"page": {"type": "integer", "minimum": 1, "maximum": len(pages)}, **place}
    spot = {
        "type": "object",
        "properties": place,
        "required": list(place),
        "additionalProperties": False,
    }
    schema = {
        "type": "object",
        "properties": {key: {"anyOf": [spot, {"type": "null"}]} for key in values},
        "required": list(values),
        "additionalProperties": False,
    }
    prompt = _PROMPT.format(
        pages=f"{len(pages)} pages" if several else "page",
        values=lines,
        what=f"the page it is on (1 to {len(pages)}, in the order shown) and " if several else "",
    )
    return Question(prompt=prompt, schema=schema, files=parts_of(pages), about="the boxes")


def _read(spot: Mapping[str, Any] | None, pages: Sequence[PageRef]) -> Evidence | None:
    if spot is None:
        return None
    page = pages[spot.get("page", 1) - 1].number
    x1, y1, x2, y2 = spot["box"]
    x1, x2, y1, y2 = min(x1, x2), max(x1, x2), min(y1, y2), max(y1, y2)
    box = (x1, y1, x2, y2) if x1 < x2 and y1 < y2 else None
    return Evidence(page=page, box=box)
