"""Needles: which of the hidden facts an answer names, by the length of the text they were in.

A fact counts when its value stands in the answer, with no further letter or digit at its ends;
order and wording do not matter. Profiles "vk" and "legacy" take any substring, as RULER does (there
`12345678` names 1234567). Must not make or read long texts.

Source: evaluation specification, section 6.17 (the substring rule); the measures of the local
suite (long context).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from nanovl.evals.base import Judge, Level, Metric, Response, Result, Sample, Scored, Verdict
from nanovl.evals.scoring.tally import group_means, mean_result

__all__ = ["Needles", "create_needles", "found_values", "length_name"]


def found_values(values: Sequence[str], text: str, *, substring: bool = False) -> list[bool]:
    """Which values stand in a text, without regard to case.

    Args:
        values: The hidden facts.
        text: The answer.
        substring: Whether other letters and digits may stand right beside them.
    """
    flat = " ".join(text.split()).casefold()
    found = []
    for value in values:
        wanted = " ".join(value.split()).casefold()
        if substring or not wanted:
            found.append(bool(wanted) and wanted in flat)
            continue
        pattern = rf"(?<![^\W_]){re.escape(wanted)}(?![^\W_])"
        found.append(re.search(pattern, flat) is not None)
    return found


def length_name(tokens: Any) -> str:
    """Group of a prompt by its tokens: the next power of two, "1K", "2K", ...; "" if unknown."""
    if not isinstance(tokens, (int, float)) or isinstance(tokens, bool) or tokens <= 0:
        return ""
    thousands = 1
    while thousands * 1024 < tokens:
        thousands *= 2
    return f"{thousands}K"


class Needles:
    """Share of hidden facts found, 0 to 1, per sample and then over samples.

    Args:
        substring: See `found_values`.
    """

    name = "needles"

    def __init__(self, *, substring: bool = False) -> None:
        self.substring = substring

    def score(
        self,
        sample: Sample,
        response: Response,
        *,
        level: Level = "rules",
        judge: Judge | None = None,
    ) -> Verdict:
        """Share of the facts of one sample."""
        answer = sample.answer
        wanted = [str(v) for v in answer] if isinstance(answer, (list, tuple)) else [str(answer)]
        found = found_values(wanted, response.text, substring=self.substring)
        value = sum(found) / len(found) if found else 1.0
        return Verdict(
            value=value,
            extracted=[v for v, there in zip(wanted, found, strict=True) if there],
            detail={"length": length_name(sample.meta.get("tokens"))},
        )

    def aggregate(self, scored: Sequence[Scored]) -> Result:
        """Mean; groups are lengths ("1K", "2K", ...) where samples tell their tokens.

        Raises:
            InputError: There are no samples.
        """
        result = mean_result(scored, self.name, columns=_lengths)
        kinds = {f"kind_{name}": mean for name, mean in group_means(scored).items()}
        ordered = sorted(result.groups.items(), key=lambda group: int(group[0][:-1]))
        return replace(result, groups=dict(ordered), parts={**result.parts, **kinds})


def _lengths(item: Scored) -> tuple[str, ...]:
    length = str(item.verdict.detail.get("length", ""))
    return (length,) if length else ()


def create_needles(profile: str = "default") -> Metric:
    """The metric `needles`.

    Args:
        profile: "default", "vk" or "legacy".
    """
    return Needles(substring=profile != "default")
