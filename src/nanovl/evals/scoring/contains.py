"""Metrics that look for the reference inside the answer.

`curly_contains` looks into the last braces, `contains_multilingual` into the whole answer, and
`crpe_group4` compares a letter or looks for the option's text. What the public harness gets wrong
by looking for parts is kept, and the strict count is printed beside.

Source: evaluation specification, section 6.11.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nanovl.core.errors import InputError
from nanovl.evals.base import Judge, Level, Metric, Response, Result, Sample, Scored, Verdict
from nanovl.evals.scoring.edits import check_profile
from nanovl.evals.scoring.extraction import boxed
from nanovl.evals.scoring.tally import mean_result, require, values

__all__ = [
    "ROWS_PER_RELATION",
    "ContainsMultilingual",
    "CrpeGroup4",
    "CurlyContains",
    "create_contains_multilingual",
    "create_crpe_group4",
    "create_curly_contains",
    "crpe_right",
    "curly_answer",
    "last_curly",
]

ROWS_PER_RELATION = 4
_LETTERS = "ABCD"
_BEHIND_LETTER = 3


def last_curly(text: str) -> str | None:
    """What stands between the last braces of one line, up to the first closing one; None if none.

    Groups are read from the left and do not overlap.
    """
    found: str | None = None
    start = -1
    for i, char in enumerate(text):
        if char == "\n":
            start = -1
        elif char == "{" and start < 0:
            start = i + 1
        elif char == "}" and start >= 0:
            found, start = text[start:i], -1
    return found


def curly_answer(text: str) -> str | None:
    r"""The answer in the last braces, nested braces kept, `\boxed{}` and outer braces taken off."""
    end = text.rfind("}")
    depth = 0
    for i in range(end, -1, -1):
        depth += {"}": 1, "{": -1}.get(text[i], 0)
        if depth == 0:
            inside = text[i + 1 : end].strip()
            answer = boxed(inside)
            if answer is not None and inside == f"\\boxed{{{answer}}}":
                return answer.strip()
            if inside.startswith("{") and inside.endswith("}"):
                return inside[1:-1].strip()
            return inside
    return None


@dataclass(frozen=True)
class _Contains:
    """What the metrics here share.

    Attributes:
        profile: Compatibility profile; all are alike here.
        name: Name of the metric.
    """

    profile: str = "default"
    name: str = "contains"

    def __post_init__(self) -> None:
        check_profile(self.profile, self.name)


@dataclass(frozen=True)
class CurlyContains(_Contains):
    """Share of answers whose last braces contain the reference."""

    name: str = "curly_contains"

    def score(
        self,
        sample: Sample,
        response: Response,
        *,
        level: Level = "rules",
        judge: Judge | None = None,
    ) -> Verdict:
        """1.0 when the braces contain the reference, else 0.0; `detail["exact"]` when equal."""
        del level, judge
        truth = str(sample.answer).strip().lower()
        found = last_curly(response.text.strip().lower())
        if found is None:
            # NOTE(parity): without braces the reference still looks, into an empty text.
            return Verdict(value=0.0, detail={"parsed": False, "exact": False})
        exact = curly_answer(response.text.strip().lower()) == truth
        return Verdict(value=float(truth in found), extracted=found, detail={"exact": exact})

    def aggregate(self, scored: Sequence[Scored]) -> Result:
        """Mean over rows; `parts["curly_exact"]` is the share of equal answers. Unit: 0 to 1."""
        require(scored, self.name)
        exact = sum(item.verdict.detail.get("exact") is True for item in scored)
        return mean_result(scored, self.name, parts={"curly_exact": exact / len(scored)})


@dataclass(frozen=True)
class ContainsMultilingual(_Contains):
    """Share of answers that contain the reference, full stops and capitals aside."""

    name: str = "contains_multilingual"

    def score(
        self,
        sample: Sample,
        response: Response,
        *,
        level: Level = "rules",
        judge: Judge | None = None,
    ) -> Verdict:
        """1.0 when the answer contains the reference, else 0.0, at every level."""
        del level, judge
        answer = _without_full_stops(response.text)
        return Verdict(
            value=float(_without_full_stops(str(sample.answer)) in answer), extracted=answer
        )

    def aggregate(self, scored: Sequence[Scored]) -> Result:
        """Mean over all rows, and by language (the category). Unit: percent."""
        return mean_result(scored, self.name, scale=100.0)


def _without_full_stops(text: str) -> str:
    return text.strip().lower().replace(".", "")


def crpe_right(truth: str, answer: str, *, legacy: bool = False) -> bool:
    """Whether an answer means the option of the reference.

    Args:
        truth: A letter, a full stop, a space and the option's text, e.g. `A. a dog`.
        answer: Compared by its letter when it starts with A to D; otherwise the option's text is
            looked for. A reference without text is found in every answer but an empty one.
        legacy: One character is always compared as a letter, and the first character of the
            option's text is not looked for.
    """
    if not answer:
        return False
    if answer[0] in _LETTERS or (legacy and len(answer) == 1):
        return answer[0] == truth[:1]
    return truth[_BEHIND_LETTER + legacy :].lower() in answer.lower()


@dataclass(frozen=True)
class CrpeGroup4(_Contains):
    """Share of relations of which all four rows are right."""

    name: str = "crpe_group4"

    def score(
        self,
        sample: Sample,
        response: Response,
        *,
        level: Level = "rules",
        judge: Judge | None = None,
    ) -> Verdict:
        """1.0 for a right row, else 0.0, at every level."""
        del level, judge
        right = crpe_right(str(sample.answer), response.text, legacy=self.profile == "legacy")
        return Verdict(value=float(right), extracted=response.text)

    def aggregate(self, scored: Sequence[Scored]) -> Result:
        """Mean over relations; `parts["rows"]` is the mean over rows. Unit: 0 to 1.

        A relation is the samples of one group; without groups, four consecutive rows. Relations
        without all four rows are left out of the score, and their rows counted in
        `parts["orphans"]`. Profile "legacy" knows no relations: its score is the mean over rows.

        Raises:
            InputError: There is no whole relation.
        """
        rows = mean_result(scored, self.name)
        if self.profile == "legacy":
            return rows
        relations: dict[str, list[Scored]] = {}
        for number, item in enumerate(scored):
            name = item.sample.group or f"row {number // ROWS_PER_RELATION}"
            relations.setdefault(name, []).append(item)
        whole = [items for items in relations.values() if len(items) == ROWS_PER_RELATION]
        if not whole:
            raise InputError(
                f"metric '{self.name}': {len(scored)} rows and no relation with all its "
                f"{ROWS_PER_RELATION}; limit a run by relation, not by row"
            )
        right = [float(all(values(items))) for items in whole]
        groups: dict[str, list[float]] = {}
        for items, hit in zip(whole, right, strict=True):
            groups.setdefault(items[0].sample.category, []).append(hit)
        orphans = len(scored) - ROWS_PER_RELATION * len(whole)
        return Result(
            score=sum(right) / len(right),
            num_samples=len(right),
            groups={name: sum(hits) / len(hits) for name, hits in groups.items() if name},
            parts={**rows.parts, "rows": rows.score, "orphans": float(orphans)},
            unscored=rows.unscored,
        )


def create_curly_contains(profile: str = "default") -> Metric:
    """The reference inside the last braces."""
    return CurlyContains(profile)


def create_contains_multilingual(profile: str = "default") -> Metric:
    """The reference inside the answer, in any language."""
    return ContainsMultilingual(profile)


def create_crpe_group4(profile: str = "default") -> Metric:
    """Relations right in all four rows."""
    return CrpeGroup4(profile)
