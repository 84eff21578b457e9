"""Option letters of text benchmarks: `mcq_letter_pass1`.

The letter stands in a box or behind "Answer:". Option texts are never looked at, and a letter that
is only mentioned does not count.

Source: evaluation specification, sections 6.13 and 6.15.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from nanovl.evals.base import Judge, Level, Metric, Response, Result, Sample, Scored, Verdict
from nanovl.evals.scoring.edits import check_profile
from nanovl.evals.scoring.extraction import boxed
from nanovl.evals.scoring.statistics import pass_at_1

__all__ = ["McqLetterPass1", "create_mcq_letter_pass1", "stated_letter"]

_LONE_CAPITAL = re.compile(r"\b[A-J]\b")
_STATED = re.compile(r"(?i:answer)[*_]{0,2}\s*:[\s*_]{0,2}\s*([A-Za-z])(?![A-Za-z0-9])")


def stated_letter(text: str) -> str | None:
    r"""The answer of an option question about text.

    Args:
        text: The answer, reasoning taken off.

    Returns:
        Content of the last `\boxed{}`: its last capital A to J that is a word of its own, or all
        of it when it has none or is one character. Without a box the letter behind the last
        `Answer:`. None when there is neither. Letters keep their case.
    """
    inside = boxed(text)
    if inside is not None:
        lone = _LONE_CAPITAL.findall(inside) if len(inside) != 1 else []
        return lone[-1] if lone else inside
    stated = _STATED.findall(text)
    return stated[-1] if stated else None


@dataclass(frozen=True)
class McqLetterPass1:
    """Share of right letters, averaged over runs.

    Attributes:
        profile: Compatibility profile; all are alike here.
        name: Name of the metric.
    """

    profile: str = "default"
    name: str = "mcq_letter_pass1"

    def __post_init__(self) -> None:
        check_profile(self.profile, self.name)

    def score(
        self,
        sample: Sample,
        response: Response,
        *,
        level: Level = "rules",
        judge: Judge | None = None,
    ) -> Verdict:
        """1.0 for exactly the reference's letter, else 0.0, at every level."""
        del level, judge
        letter = stated_letter(response.text)
        return Verdict(
            value=float(letter == str(sample.answer)),
            extracted=letter,
            detail={"parsed": letter is not None},
        )

    def aggregate(self, scored: Sequence[Scored]) -> Result:
        """Mean over questions of the mean over runs. Unit: percent."""
        return pass_at_1(scored, self.name)


def create_mcq_letter_pass1(profile: str = "default") -> Metric:
    """Right letters of text benchmarks."""
    return McqLetterPass1(profile)
