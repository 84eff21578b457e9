"""MLVU's choice tasks: option parsing of its own, and the mean over tasks.

The open-ended tasks need a judge and are not part of the report; they are not scored here.

Source: evaluation specification, sections 4.6, 6.25 and 12.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nanovl.evals.base import Judge, Level, Response, Result, Sample, Scored, Verdict
from nanovl.evals.scoring.choices import choice_verdict, read_choice
from nanovl.evals.scoring.edits import check_profile
from nanovl.evals.scoring.tally import decision_shares, group_means, require, values
from nanovl.evals.scoring.text import answer_list

__all__ = ["TASKS", "Mlvu", "create_mlvu_mavg", "letter_before_bracket", "task_means"]

TASKS = ("plotQA", "needle", "ego", "count", "anomaly_reco", "topic_reasoning", "order")
"""The seven choice tasks."""


def letter_before_bracket(text: str) -> str | None:
    """The character before the first `)`; None when there is no bracket."""
    before, found, _ = text.partition(")")
    return before[-1:] if found else None


def task_means(counts: Mapping[str, tuple[int, int]]) -> tuple[float, float]:
    """Micro and macro mean in percent of right and total answers per task."""
    right = sum(hit for hit, _ in counts.values())
    total = sum(count for _, count in counts.values())
    return 100.0 * right / total, sum(100.0 * hit / n for hit, n in counts.values()) / len(counts)


def _options(sample: Sample) -> dict[str, str]:
    if sample.options:
        return dict(sample.options)
    candidates = answer_list(sample.meta.get("candidates", []))
    return {chr(ord("A") + place): text for place, text in enumerate(candidates)}


def _letter(sample: Sample, options: Mapping[str, str]) -> str:
    """The right letter; the file's answer is a letter or the text of a candidate."""
    answer = str(sample.answer).strip()
    if answer in options:
        return answer
    return next((letter for letter, text in options.items() if str(text) == answer), answer)


@dataclass(frozen=True)
class Mlvu:
    """M-Avg in percent: mean over tasks in profile "default", over questions in the others."""

    profile: str = "default"
    name: str = "mlvu_mavg"

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
        """1 for the right option: the letter before the first bracket, else as option questions."""
        options = _options(sample)
        truth = _letter(sample, options)
        if letter_before_bracket(response.text) == truth:
            return Verdict(value=1.0, extracted=truth)
        choice = read_choice(
            response.text,
            sample.question,
            options,
            profile=self.profile,
            level=level,
            judge=judge,
        )
        return choice_verdict(choice, truth)

    def aggregate(self, scored: Sequence[Scored]) -> Result:
        """Both means as parts; groups are the tasks."""
        require(scored, self.name)
        counts: dict[str, tuple[int, int]] = {}
        for item, value in zip(scored, values(scored), strict=True):
            hit, count = counts.get(_task(item.sample), (0, 0))
            counts[_task(item.sample)] = (hit + int(value), count + 1)
        micro, macro = task_means(counts)
        return Result(
            score=macro if self.profile == "default" else micro,
            num_samples=len(scored),
            groups=group_means(scored, lambda item: (_task(item.sample),), scale=100.0),
            parts={"micro": micro, "macro": macro, **decision_shares(scored)},
            unscored=sum(item.verdict.value is None for item in scored),
        )


def _task(sample: Sample) -> str:
    return str(sample.meta.get("task_type") or sample.category or "")


def create_mlvu_mavg(profile: str = "default") -> Mlvu:
    """The metric."""
    return Mlvu(profile=profile)
