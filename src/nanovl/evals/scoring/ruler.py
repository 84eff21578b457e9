"""RULER: how much of what was hidden in a long text comes back.

Must not generate the tasks.

Source: evaluation specification, section 6.17; public reference: NVIDIA/RULER.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from nanovl.core.errors import InputError
from nanovl.evals.base import Judge, Level, Response, Result, Sample, Scored, Verdict
from nanovl.evals.scoring.tally import decision_shares, require, values

__all__ = ["TASKS", "RulerMean", "create_ruler_mean13", "match_all", "match_part"]

TASKS = (
    "niah_single_1",
    "niah_single_2",
    "niah_single_3",
    "niah_multikey_1",
    "niah_multikey_2",
    "niah_multikey_3",
    "niah_multivalue",
    "niah_multiquery",
    "vt",
    "cwe",
    "fwe",
    "qa_1",
    "qa_2",
)
"""The thirteen tasks; the last two need one of their references, the others all."""


def match_all(text: str, references: Sequence[str]) -> float:
    """Share of the references that occur in the text, ignoring case."""
    lowered = text.lower()
    return sum(reference.lower() in lowered for reference in references) / len(references)


def match_part(text: str, references: Sequence[str]) -> float:
    """1 when any reference occurs in the text, ignoring case."""
    lowered = text.lower()
    return float(any(reference.lower() in lowered for reference in references))


def _references(sample: Sample) -> list[str]:
    answer = [sample.answer] if isinstance(sample.answer, str) else list(sample.answer)
    if not answer:
        raise InputError(
            f"RULER sample '{sample.id}' has no reference answers; expected a string or a list "
            "of strings. Generate the task again"
        )
    return [str(reference) for reference in answer]


def _task(sample: Sample) -> str:
    return str(sample.meta.get("task") or sample.category)


@dataclass(frozen=True)
class RulerMean:
    """Mean over tasks of the mean match, in percent.

    The task comes from `meta["task"]`, else the category; names starting with `qa` need one
    reference, all others every one.
    """

    name: str = "ruler_mean13"

    def score(
        self,
        sample: Sample,
        response: Response,
        *,
        level: Level = "rules",
        judge: Judge | None = None,
    ) -> Verdict:
        """Substring match; levels make no difference.

        Raises:
            InputError: The sample has no reference.
        """
        # Control characters become line breaks, as the reference does before matching.
        text = re.sub(r"[\x00-\x1f]", "\n", response.text).strip()
        references = _references(sample)
        match = match_part if _task(sample).startswith("qa") else match_all
        return Verdict(value=match(text, references), extracted=text)

    def aggregate(self, scored: Sequence[Scored]) -> Result:
        """Mean of the task scores, each rounded to two decimals as the reference prints it."""
        require(scored, self.name)
        by_task: dict[str, list[float]] = {}
        for item, value in zip(scored, values(scored), strict=True):
            by_task.setdefault(_task(item.sample), []).append(value)
        groups = {
            task: round(100.0 * sum(found) / len(found), 2)
            for task, found in sorted(by_task.items(), key=lambda entry: _order(entry[0]))
        }
        return Result(
            score=sum(groups.values()) / len(groups),
            num_samples=len(scored),
            groups=groups,
            parts={
                "tasks": float(len(groups)),
                "tasks_missing": float(len(set(TASKS) - set(groups))),
                **decision_shares(scored),
            },
            unscored=sum(item.verdict.value is None for item in scored),
        )


def _order(task: str) -> tuple[int, str]:
    return (TASKS.index(task), task) if task in TASKS else (len(TASKS), task)


def create_ruler_mean13(profile: str = "default") -> RulerMean:
    """The metric; profiles make no difference."""
    return RulerMean()
