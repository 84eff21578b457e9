"""Notices when a sequence runs in circles.

A sequence loops when its last tokens are one n-gram again and again, token for token. Greedy
decoding cannot leave such a loop, and reasoning caught in one eats the whole answer. Only looks;
the engine ends the sequence.

The default thresholds come from text that must not trip them: in 2.3 million tokens of source
code, documentation, tables of results, CSV and JSON files, n-grams up to 4 tokens filled at most
34 tokens in a row, n-grams up to 16 at most 40, and longer ones came at most 3.4 times in a row
(236 tokens). A loop must fill more than twice as much and come 5 times.

Source: serving specification, section 2 (`repetition_detection`); report, section 4.3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nanovl.core.errors import InputError

__all__ = [
    "DEFAULT_REPETITION",
    "RepetitionDetector",
    "RepetitionParams",
    "from_repetition_detection",
]

MAX_PATTERN = 1024
MAX_COUNT = 10_000
_NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True, kw_only=True)
class RepetitionParams:
    """What counts as a loop.

    Attributes:
        max_pattern_size, min_pattern_size: Tokens of the n-grams that are looked for.
        min_count: How often an n-gram must come in a row.
        min_span: Tokens all its occurrences must fill together.
        in_answer: Whether the answer is watched as well as the reasoning.

    Raises:
        InputError: A value out of range.
    """

    max_pattern_size: int = 512
    min_pattern_size: int = 1
    min_count: int = 5
    min_span: int = 512
    in_answer: bool = False

    def __post_init__(self) -> None:
        for name, low, high in (
            ("max_pattern_size", 1, MAX_PATTERN),
            ("min_pattern_size", 1, self.max_pattern_size),
            ("min_count", 2, MAX_COUNT),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise InputError(f"repetition_detection: {name} {value}, expected {low} to {high}")


DEFAULT_REPETITION = RepetitionParams()


class RepetitionDetector:
    """Watches one sequence; the work per token does not depend on its length.

    Args:
        params: What counts as a loop.
    """

    def __init__(self, params: RepetitionParams = DEFAULT_REPETITION) -> None:
        self._params = params
        size = params.max_pattern_size
        periods = np.arange(1, size + 1)
        # Token i repeats period p if it equals token i - p; this many in a row make a loop.
        needed = np.maximum(params.min_count * periods, params.min_span) - periods
        needed[: params.min_pattern_size - 1] = _NEVER
        self._needed = needed
        self._runs = np.zeros(size, np.int64)
        # Newest first, written from the back so that the last `size` ids are one slice.
        self._ids = np.full(4 * size, -1, np.int64)
        self._start = 3 * size

    def observe(self, token_id: int, *, reasoning: bool = True) -> bool:
        """Report the id that was appended.

        Args:
            token_id: The id, chosen or forced.
            reasoning: Whether it belongs to the reasoning.

        Returns:
            Whether the sequence loops.
        """
        if not reasoning and not self._params.in_answer:
            return False
        size = len(self._runs)
        past = self._ids[self._start : self._start + size]
        self._runs += 1
        self._runs *= past == token_id
        if self._start == 0:
            self._ids[3 * size :] = past
            self._start = 3 * size
        self._start -= 1
        self._ids[self._start] = token_id
        return bool((self._runs >= self._needed).any())


def from_repetition_detection(value: Any) -> RepetitionParams | None:
    """Read the field of a request.

    Args:
        value: None for the default, or `{"max_pattern_size", "min_pattern_size", "min_count"}`,
            which are looked for in the answer as well.

    Returns:
        None where it is switched off: by false, or by a `max_pattern_size` of 0.

    Raises:
        InputError: Names the field.
    """
    if value is None or value is True:
        return DEFAULT_REPETITION
    if value is False:
        return None
    if not isinstance(value, Mapping):
        raise InputError(f"repetition_detection: got {value!r}, expected an object")
    known = ("max_pattern_size", "min_pattern_size", "min_count")
    for name, number in value.items():
        if name not in known:
            raise InputError(
                f"repetition_detection: unknown field {name!r}; it has {', '.join(known)}"
            )
        if not isinstance(number, int) or isinstance(number, bool):
            raise InputError(f"repetition_detection: {name} {number!r}, expected a whole number")
    if value.get("max_pattern_size", 0) == 0:
        return None
    if "min_count" not in value:
        raise InputError("repetition_detection: min_count is missing; give it 2 or more")
    return RepetitionParams(
        max_pattern_size=value["max_pattern_size"],
        min_pattern_size=value.get("min_pattern_size", 0) or 1,
        min_count=value["min_count"],
        min_span=0,
        in_answer=True,
    )
