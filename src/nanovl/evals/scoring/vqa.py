"""Agreement with ten annotators: `vqa_accuracy`.

An answer is right as far as annotators gave it, after the VQA normalisation of `text`. It does not
know where the annotations come from.

Source: evaluation specification, section 6.6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nanovl.evals.base import Judge, Level, Metric, Response, Result, Sample, Scored, Verdict
from nanovl.evals.scoring.edits import check_profile
from nanovl.evals.scoring.extraction import stated_answer
from nanovl.evals.scoring.tally import mean_result
from nanovl.evals.scoring.text import answer_list, vqa_normalise

__all__ = ["VqaAccuracy", "create_vqa_accuracy", "vqa_score"]

_ENOUGH = 3


def vqa_score(answer: str, annotations: Sequence[str]) -> float:
    """Mean over annotators of: how many of the others agree with the answer, three being enough.

    Args:
        answer: Normalised.
        annotations: Normalised; ten in the public data, and at least four for a score of 1.

    Returns:
        0 to 1; 0 without annotations.
    """
    if not annotations:
        return 0.0
    equal = sum(text == answer for text in annotations)
    total = sum(min(1.0, (equal - (text == answer)) / _ENOUGH) for text in annotations)
    return total / len(annotations)


@dataclass(frozen=True)
class VqaAccuracy:
    """VQA accuracy with the leave-one-out mean.

    Attributes:
        profile: Compatibility profile; "legacy" also deletes a full stop behind a digit.
        name: Name of the metric.
    """

    profile: str = "default"
    name: str = "vqa_accuracy"

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
        """0 to 1; level "extended" takes what is stated alone ("The answer is ...", a box)."""
        del judge
        legacy = self.profile == "legacy"
        stated = None if level == "rules" else stated_answer(response.text)
        answer = vqa_normalise(response.text if stated is None else stated, legacy=legacy)
        known = [vqa_normalise(text, legacy=legacy) for text in answer_list(sample.answer)]
        used: Level = "rules" if stated is None else "extended"
        return Verdict(value=vqa_score(answer, known), extracted=answer, level=used)

    def aggregate(self, scored: Sequence[Scored]) -> Result:
        """Mean over rows. Unit: 0 to 1."""
        return mean_result(scored, self.name)


def create_vqa_accuracy(profile: str = "default") -> Metric:
    """Agreement with the annotators."""
    return VqaAccuracy(profile)
