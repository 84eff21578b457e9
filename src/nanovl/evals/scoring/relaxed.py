"""Numbers within five percent, texts equal: `relaxed_accuracy`.

Source: evaluation specification, sections 6.8 and 12. It never reads units or words as numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nanovl.evals.base import Judge, Level, Metric, Response, Result, Sample, Scored, Verdict
from nanovl.evals.scoring.edits import check_profile
from nanovl.evals.scoring.extraction import stated_answer
from nanovl.evals.scoring.tally import mean_result
from nanovl.evals.scoring.text import answer_list

__all__ = ["TOLERANCE", "RelaxedAccuracy", "create_relaxed_accuracy", "relaxed_equal"]

TOLERANCE = 0.05
"""Largest difference, as a share of the number it is measured against."""


def relaxed_equal(truth: str, answer: str) -> bool:
    """Whether an answer is near a number, or the same text but for capitals.

    Args:
        truth: The tolerance is a share of this number; years are numbers, too.
        answer: Compared as given; `5%` is 0.05, `1,000` is a text.
    """
    expected, got = _number(truth), _number(answer)
    if got is not None and expected:
        return abs(got - expected) / abs(expected) <= TOLERANCE
    return answer.lower() == truth.lower()


def _number(text: str) -> float | None:
    try:
        return float(text.rstrip("%")) / 100.0 if text.endswith("%") else float(text)
    except ValueError:
        return None


@dataclass(frozen=True)
class RelaxedAccuracy:
    """Share of answers near enough.

    Attributes:
        profile: Compatibility profile; "legacy" measures against the answer, not the truth.
        name: Name of the metric.
    """

    profile: str = "default"
    name: str = "relaxed_accuracy"

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
        """1.0 when any reference is met, else 0.0; level "extended" takes what is stated alone."""
        del judge
        stated = None if level == "rules" else stated_answer(response.text)
        answer = response.text.strip() if stated is None else stated
        pairs = [(truth, answer) for truth in answer_list(sample.answer)]
        if self.profile == "legacy":
            pairs = [(answer, truth) for truth, answer in pairs]
        right = any(relaxed_equal(truth, given) for truth, given in pairs)
        used: Level = "rules" if stated is None else "extended"
        return Verdict(value=float(right), extracted=answer, level=used)

    def aggregate(self, scored: Sequence[Scored]) -> Result:
        """Mean over rows, and by split. Unit: 0 to 1."""
        return mean_result(scored, self.name, columns=_columns)


def _columns(item: Scored) -> list[str]:
    cells = (item.sample.meta.get("split"), item.sample.category)
    return [str(cell) for cell in cells if cell]


def create_relaxed_accuracy(profile: str = "default") -> Metric:
    """Numbers within five percent."""
    return RelaxedAccuracy(profile)
