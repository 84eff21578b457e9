"""What went wrong with answers whatever their score: counters, shares and their colours.

A benchmark whose answers are cut off, empty or going in circles measures the generation, not the
model. Knows no metric and no model.

Source: evaluation specification, sections 2.1, 2.2 and 11.2.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from nanovl.evals.base import Response, Verdict

__all__ = ["COUNTERS", "Health", "colour", "has_loop", "health_of", "is_unparsed"]

Colour = Literal["green", "yellow", "red"]
COUNTERS = (
    "truncated",
    "unfinished_thinking",
    "no_reasoning",
    "empty",
    "unparsed",
    "loop",
    "fallbacks",
    "retries",
    "errors",
)
_YELLOW, _RED = 0.02, 0.10
_GRAM, _TIMES = 20, 8
# Words; characters where words are not set apart by blanks.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|\w+|[^\w\s]")


@dataclass(frozen=True, kw_only=True)
class Health:
    """Counters of one benchmark under one setting.

    Attributes:
        answers: Answers and failures that were counted.
        counts: By name, see `COUNTERS`.
    """

    answers: int
    counts: dict[str, int]

    def share(self, name: str) -> float:
        """Share of the answers a counter names."""
        return self.counts.get(name, 0) / self.answers if self.answers else 0.0

    @property
    def colours(self) -> dict[str, Colour]:
        """Counters that are above 2 % (yellow) or 10 % (red)."""
        found = {name: colour(self.share(name)) for name in COUNTERS}
        return {name: shade for name, shade in found.items() if shade != "green"}


def colour(share: float) -> Colour:
    """More than 2 % is yellow, more than 10 % red."""
    if share > _RED:
        return "red"
    return "yellow" if share > _YELLOW else "green"


def health_of(answers: Iterable[tuple[Response, Verdict | None]], *, errors: int = 0) -> Health:
    """Count what went wrong.

    Args:
        answers: Responses, with their verdict where there is one.
        errors: Questions that have a failure instead of an answer.
    """
    counts: Counter[str] = Counter({name: 0 for name in COUNTERS})
    total = errors
    for response, verdict in answers:
        total += 1
        counts["truncated"] += response.finish_reason == "length"
        counts["unfinished_thinking"] += response.unfinished
        counts["no_reasoning"] += bool(response.meta.get("no_reasoning"))
        counts["empty"] += not response.text.strip() and not response.unfinished
        counts["loop"] += has_loop(response.text) or has_loop(response.reasoning)
        counts["fallbacks"] += bool(response.meta.get("fallbacks"))
        counts["retries"] += bool(response.meta.get("retries"))
        if verdict is not None:
            counts["unparsed"] += is_unparsed(verdict)
    counts["errors"] = errors
    return Health(answers=total, counts=dict(counts))


def is_unparsed(verdict: Verdict) -> bool:
    """Whether no answer was found in the response."""
    parsed = verdict.detail.get("parsed")
    return verdict.extracted is None if parsed is None else parsed is False


def has_loop(text: str) -> bool:
    """Whether the same twenty words stand in a text eight times."""
    words = _WORD.findall(text)
    if len(words) < _GRAM + _TIMES - 1:
        return False
    grams = Counter(tuple(words[i : i + _GRAM]) for i in range(len(words) - _GRAM + 1))
    return max(grams.values()) >= _TIMES
