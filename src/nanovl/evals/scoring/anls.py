"""Average normalised Levenshtein similarity: `anls`.

Gives credit for answers that differ by few characters. Splits whose answers are hidden cannot be
scored and are not.

Source: evaluation specification, section 6.7.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nanovl.evals.base import Judge, Level, Metric, Response, Result, Sample, Scored, Verdict
from nanovl.evals.scoring.edits import check_profile, distance
from nanovl.evals.scoring.extraction import stated_answer
from nanovl.evals.scoring.tally import mean_result
from nanovl.evals.scoring.text import answer_list, collapse_space

__all__ = ["THRESHOLD", "Anls", "create_anls", "similarity"]

THRESHOLD = 0.5
"""Similarities below count 0."""


def similarity(truth: str, answer: str) -> float:
    """1 less the edit distance over the longer length.

    NOTE(parity): the distance is between the normalised texts, the lengths are those of the texts
    as given, in capitals.

    Returns:
        0 to 1; 1 for two empty texts.

    Raises:
        BackendError: The package rapidfuzz is missing.
    """
    length = max(len(truth.upper()), len(answer.upper()))
    edits = distance(collapse_space(truth.lower()), collapse_space(answer.lower()))
    return 1.0 - edits / length if length else 1.0


@dataclass(frozen=True)
class Anls:
    """The best similarity to a reference, 0 below the threshold.

    Attributes:
        profile: Compatibility profile; all are alike here.
        name: Name of the metric.
    """

    profile: str = "default"
    name: str = "anls"

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
        """0 or 0.5 to 1; None when the sample has no reference.

        Level "extended" takes what is stated alone ("The answer is ...", a box, bold).
        """
        del judge
        known = [] if sample.answer is None else answer_list(sample.answer)
        if not known:
            reason = "the sample has no reference; hand the answers in where they are scored"
            return Verdict(value=None, extracted=response.text, detail={"reason": reason})
        stated = None if level == "rules" else stated_answer(response.text)
        answer = response.text if stated is None else stated
        best = max(similarity(truth, answer) for truth in known)
        return Verdict(
            value=best if best >= THRESHOLD else 0.0,
            extracted=answer,
            level="rules" if stated is None else "extended",
        )

    def aggregate(self, scored: Sequence[Scored]) -> Result:
        """Mean over rows. Unit: 0 to 1."""
        return mean_result(scored, self.name)


def create_anls(profile: str = "default") -> Metric:
    """Average normalised Levenshtein similarity."""
    return Anls(profile)
