"""OCRBench, first version: does the answer contain the text: `ocrbench_v1`.

Source: evaluation specification, section 6.9. The second version is another benchmark with other
rules; nothing of it is here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from nanovl.core.errors import InputError
from nanovl.evals.base import Judge, Level, Metric, Response, Result, Sample, Scored, Verdict
from nanovl.evals.scoring.edits import check_profile
from nanovl.evals.scoring.tally import decision_shares, require, values
from nanovl.evals.scoring.text import answer_list

__all__ = ["GROUPS", "HANDWRITTEN_FORMULA", "OcrBenchV1", "contains_text", "create_ocrbench_v1"]

HANDWRITTEN_FORMULA = "Handwritten Mathematical Expression Recognition"

GROUPS = {
    "Regular Text Recognition": "Text Recognition",
    "Irregular Text Recognition": "Text Recognition",
    "Artistic Text Recognition": "Text Recognition",
    "Handwriting Recognition": "Text Recognition",
    "Digit String Recognition": "Text Recognition",
    "Non-Semantic Text Recognition": "Text Recognition",
    "Scene Text-centric VQA": "Scene Text-centric VQA",
    "Doc-oriented VQA": "Doc-oriented VQA",
    "Key Information Extraction": "Key Information Extraction",
    HANDWRITTEN_FORMULA: HANDWRITTEN_FORMULA,
}
"""Category to the group whose sum is printed."""


def contains_text(answer: str, truth: str, *, formula: bool) -> bool:
    """Whether an answer contains a text.

    Args:
        answer: What was said.
        truth: What to look for.
        formula: Compare without line ends and spaces, but with capitals; otherwise line ends are
            spaces and capitals do not count.
    """
    if formula:
        return _formula(truth) in _formula(answer)
    return truth.lower().strip().replace("\n", " ") in answer.lower().strip().replace("\n", " ")


def _formula(text: str) -> str:
    return text.strip().replace("\n", "").replace(" ", "")


@dataclass(frozen=True)
class OcrBenchV1:
    """Number of answers that contain a reference.

    Attributes:
        profile: Compatibility profile; all are alike here.
        name: Name of the metric.
    """

    profile: str = "default"
    name: str = "ocrbench_v1"

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
        """1.0 when the answer contains a reference, else 0.0, at every level.

        Raises:
            InputError: The sample's category is none of the benchmark's.
        """
        del level, judge
        if sample.category not in GROUPS:
            raise InputError(
                f"metric '{self.name}', sample {sample.id!r}: unknown category "
                f"{sample.category!r}; expected one of {sorted(GROUPS)}. Check the file"
            )
        formula = sample.category == HANDWRITTEN_FORMULA
        known = answer_list(sample.answer)
        hit = next((t for t in known if contains_text(response.text, t, formula=formula)), None)
        return Verdict(value=float(hit is not None), extracted=hit)

    def aggregate(self, scored: Sequence[Scored]) -> Result:
        """Number of hits; `groups` sums by group. Unit: 0 to 1000 with all 1000 questions.

        `parts["percent"]` is the share of hits.
        """
        require(scored, self.name)
        sums: dict[str, float] = defaultdict(float)
        for item, value in zip(scored, values(scored), strict=True):
            sums[GROUPS[item.sample.category]] += value
        total = sum(sums.values())
        return Result(
            score=total,
            num_samples=len(scored),
            groups=dict(sums),
            parts={"percent": 100.0 * total / len(scored), **decision_shares(scored)},
            unscored=sum(item.verdict.value is None for item in scored),
        )


def create_ocrbench_v1(profile: str = "default") -> Metric:
    """OCRBench out of 1000."""
    return OcrBenchV1(profile)
