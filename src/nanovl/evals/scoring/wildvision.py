"""WildVision: how often a judge prefers the answer over that of a fixed other model.

There is no rule for this and no substitute: without a judge that sees the picture nothing is
scored.

Source: evaluation specification, sections 6.16 and 7.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nanovl.evals.base import Judge, Level, Response, Result, Sample, Scored, Verdict
from nanovl.evals.scoring.judging import Consultation, Prompt, bracketed, consult
from nanovl.evals.scoring.tally import decision_shares, require

__all__ = ["VERDICTS", "WildVision", "create_wildvision_winrate", "preference"]

VERDICTS = {"A>>B": -2, "A>B": -1, "A=B": 0, "B>A": 1, "B>>A": 2}
"""What a judge may say, seen from the scored model, which is B."""

_SWAPPED = {"A>>B": "B>>A", "A>B": "B>A", "A=B": "A=B", "B>A": "A>B", "B>>A": "A>>B"}
_REWARD = {-2: -100.0, -1: -50.0, 0: 0.0, 1: 50.0, 2: 100.0}

_PROMPT = Prompt(
    name="wildvision",
    text=(
        "You see a picture, a user's request about it, and the answers of two assistants. Compare "
        "the answers: first work out yourself what a good answer says, then look at correctness, "
        "helpfulness, relevance and brevity of both. The order of the answers and their length by "
        "itself must not matter. Explain briefly, then end with exactly one of these verdicts:\n"
        "[[A>>B]] A is much better\n[[A>B]] A is slightly better\n[[A=B]] about equal\n"
        "[[B>A]] B is slightly better\n[[B>>A]] B is much better\n\n"
        "Request:\n{question}\n\nAnswer of assistant A:\n{first}\n\n"
        "Answer of assistant B:\n{second}"
    ),
    reminder="End your reply with one of [[A>>B]], [[A>B]], [[A=B]], [[B>A]], [[B>>A]].",
)


def preference(verdict: str | None) -> int:
    """-2 to 2 for a verdict; anything else is a tie, as in the reference."""
    return VERDICTS.get(verdict or "", 0)


@dataclass(frozen=True)
class WildVision:
    """Win rate in percent: share of answers preferred over `meta["claude3_sonnet"]`.

    Attributes:
        swap: Ask a second time with the answers exchanged; reported beside the score.
    """

    swap: bool = False
    name: str = "wildvision_winrate"

    def score(
        self,
        sample: Sample,
        response: Response,
        *,
        level: Level = "rules",
        judge: Judge | None = None,
    ) -> Verdict:
        """1 for a win, 0 for anything else, None without a judge.

        Raises:
            ConfigError: The judge cannot look at pictures.
        """
        if level != "judge" or judge is None:
            return Verdict(value=None, level="judge", detail={"reason": "needs a judge"})
        other = str(sample.meta.get("claude3_sonnet", ""))
        asked = self._ask(sample, judge, other, response.text)
        if asked.value is None:
            return Verdict(value=None, level="judge", detail=asked.detail)
        points = preference(asked.value)
        detail: dict[str, Any] = {**asked.detail, "verdict": asked.value, "preference": points}
        if self.swap:
            swapped = self._ask(sample, judge, response.text, other)
            if swapped.value is not None:
                detail["swapped_preference"] = preference(_SWAPPED[swapped.value])
        return Verdict(value=float(points > 0), extracted=asked.value, level="judge", detail=detail)

    def _ask(self, sample: Sample, judge: Judge, first: str, second: str) -> Consultation[str]:
        return consult(
            judge,
            _PROMPT,
            lambda reply: bracketed(reply, list(VERDICTS)),
            media=sample.media,
            question=sample.question,
            first=first,
            second=second,
        )

    def aggregate(self, scored: Sequence[Scored]) -> Result:
        """Win rate; parts hold the reward (-100 to 100). Missing verdicts are ties."""
        require(scored, self.name)
        points = [int(item.verdict.detail.get("preference", 0)) for item in scored]
        parts = {"reward": sum(_REWARD[point] for point in points) / len(points)}
        for verdict, point in VERDICTS.items():
            parts[f"count_{verdict}"] = float(points.count(point))
        swapped = [
            int(item.verdict.detail["swapped_preference"])
            for item in scored
            if "swapped_preference" in item.verdict.detail
        ]
        if swapped:
            parts["swapped_winrate"] = 100.0 * sum(point > 0 for point in swapped) / len(swapped)
        unscored = sum(item.verdict.value is None for item in scored)
        if 0 < unscored < len(scored):
            known = len(scored) - unscored
            parts["lenient"] = 100.0 * sum(point > 0 for point in points) / known
        return Result(
            score=100.0 * sum(point > 0 for point in points) / len(points),
            num_samples=len(points),
            parts={**parts, **decision_shares(scored)},
            unscored=unscored,
        )


def create_wildvision_winrate(profile: str = "default") -> WildVision:
    """The metric; profiles make no difference."""
    return WildVision()
