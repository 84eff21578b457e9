"""Option questions as benchmarks: how the letters of `choices` become a score.

`mcq_vanilla` counts rows, `mcq_circular` whole circles of rotated rows, `mcq_mmmu` also takes open
questions and averages the variants of MMMU-Pro, `cvbench` averages picture sources. Which letter an
answer means is never decided here.

Source: evaluation specification, sections 4.5 and 6.3.
"""

from __future__ import annotations

import re
import string
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from nanovl.core.errors import InputError
from nanovl.evals.base import Judge, Level, Metric, Response, Result, Sample, Scored, Verdict
from nanovl.evals.scoring.choices import choice_verdict, read_choice
from nanovl.evals.scoring.edits import check_profile
from nanovl.evals.scoring.tally import mean_result, require, values
from nanovl.evals.scoring.text import answer_list

__all__ = [
    "ROTATION",
    "CvBench",
    "McqCircular",
    "McqMmmu",
    "McqVanilla",
    "answer_line",
    "create_cvbench",
    "create_mcq_circular",
    "create_mcq_mmmu",
    "create_mcq_vanilla",
    "report_columns",
]

ROTATION = 10**6
"""Rows whose index differs by multiples of this are rotations of one question."""

_OPEN_OPTIONS = "Other Answers"


def report_columns(item: Scored) -> Iterable[str]:
    """The columns of the report a row counts in: `split/val`, `l2-category/...`, `category/...`."""
    meta = item.sample.meta
    cells = {
        "split": meta.get("split"),
        "l2-category": meta.get("l2-category", meta.get("l2_category")),
        "category": item.sample.category or meta.get("category"),
    }
    return [f"{name}/{cell}" for name, cell in cells.items() if cell not in (None, "")]


@dataclass(frozen=True)
class McqVanilla:
    """Share of rows answered with the right letter.

    Attributes:
        profile: Compatibility profile.
        name: Name of the metric.
    """

    profile: str = "default"
    name: str = "mcq_vanilla"

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
        """1.0 for the right letter, else 0.0; None when a judge was needed and gave nothing."""
        choice = read_choice(
            response.text,
            sample.question,
            sample.options,
            profile=self.profile,
            level=level,
            judge=judge,
        )
        return choice_verdict(choice, str(sample.answer))

    def aggregate(self, scored: Sequence[Scored]) -> Result:
        """Mean over rows, and by split and category. Unit: 0 to 1."""
        return mean_result(scored, self.name, columns=report_columns)


@dataclass(frozen=True)
class McqCircular(McqVanilla):
    """Share of questions answered rightly in every rotation of their options."""

    name: str = "mcq_circular"

    def aggregate(self, scored: Sequence[Scored]) -> Result:
        """Mean over circles; `parts["vanilla"]` is the mean over rows. Unit: 0 to 1.

        A circle with an unparsed or unscored rotation counts 0. Rotations whose first row is not
        among the responses are left out of the score and counted in `parts["orphans"]`.
        """
        require(scored, self.name)
        circles: dict[tuple[str, int], list[Scored]] = defaultdict(list)
        for item in scored:
            circles[_circle(item.sample)[0]].append(item)
        hits: dict[str, list[float]] = defaultdict(list)
        right: list[float] = []
        orphans = 0
        for circle in circles.values():
            first = next((item for item in circle if _circle(item.sample)[1]), None)
            if first is None:
                orphans += len(circle)
                continue
            right.append(float(all(value == 1.0 for value in values(circle))))
            for column in report_columns(first):
                hits[column].append(right[-1])
        if not right:
            raise InputError(
                f"metric '{self.name}': none of the {len(scored)} responses is to a first row "
                f"(index below {ROTATION}); expected every question's first row. Limit a run by "
                "question, not by row"
            )
        rows = mean_result(scored, self.name)
        return Result(
            score=_mean(right),
            num_samples=len(right),
            groups={column: _mean(found) for column, found in hits.items()},
            parts={**rows.parts, "vanilla": rows.score, "orphans": float(orphans)},
            unscored=rows.unscored,
        )


def _circle(sample: Sample) -> tuple[tuple[str, int], bool]:
    """Which circle of which file a row belongs to, and whether it is the circle's first row."""
    part, _, cell = sample.id.rpartition(":")
    if not (cell.isascii() and cell.isdecimal()):
        raise InputError(
            f"metric 'mcq_circular', sample {sample.id!r}: expected a whole number as index, got "
            f"{cell!r}, because rotations are rows whose index differs by {ROTATION}. Check the "
            "file's index column"
        )
    index = int(cell)
    return (part, index % ROTATION), index < ROTATION


def answer_line(text: str) -> str:
    """The answer in step-by-step text that ends with a line `Answer: ...`.

    Returns:
        The only capital letter behind the last such line's colon, or everything behind the colon,
        or the text itself when there is no such line.
    """
    lines = [line.strip() for line in text.strip().split("\n")]
    tails = [line.removeprefix("Answer:") for line in lines if line.startswith("Answer:")]
    if not tails:
        return text
    capitals = set(re.findall("[A-Z]", tails[-1]))
    return capitals.pop() if len(capitals) == 1 else tails[-1]


@dataclass(frozen=True)
class McqMmmu(McqVanilla):
    """Option questions and open ones; the variants of MMMU-Pro are averaged.

    An open question is read as one with the options A, its answer, and B, "Other Answers".

    Attributes:
        steps: Whether answers are step by step and end with a line `Answer: ...`; a sample can
            say so itself with `meta["cot"]`.
    """

    name: str = "mcq_mmmu"
    steps: bool = False

    def score(
        self,
        sample: Sample,
        response: Response,
        *,
        level: Level = "rules",
        judge: Judge | None = None,
    ) -> Verdict:
        """1.0 for the right letter or the right open answer, else 0.0."""
        text = response.text
        if self.steps or sample.meta.get("cot"):
            text = answer_line(text)
        best: Verdict | None = None
        for options, truth in self._readings(sample):
            choice = read_choice(
                text, sample.question, options, profile=self.profile, level=level, judge=judge
            )
            verdict = choice_verdict(choice, truth)
            if best is None or (verdict.value or 0.0) > (best.value or 0.0):
                best = verdict
        if best is None:
            raise InputError(
                f"metric '{self.name}', sample {sample.id!r}: there is neither an option nor an "
                "answer; expected one of them. Check the file"
            )
        return best

    def _readings(self, sample: Sample) -> list[tuple[Mapping[str, str], str]]:
        """Options and right letter; an open question with several answers has several readings."""
        answer = str(sample.answer)
        # NOTE(parity): an open question whose answer is a capital letter keeps it as the letter.
        letter = answer if answer in string.ascii_uppercase and len(answer) == 1 else "A"
        if sample.options:
            return [(sample.options, letter)]
        accepted = answer_list(sample.answer) if self.profile == "default" else [answer]
        return [({"A": text, "B": _OPEN_OPTIONS}, letter) for text in accepted]

    def aggregate(self, scored: Sequence[Scored]) -> Result:
        """Mean over the rows of split `validation`, or over all when none has it. Unit: 0 to 1.

        When the samples name several variants (`meta["variant"]`, else `meta["dataset"]`), the
        score is the mean of the variants' means, which stand in `groups` as `variant/...`.
        """
        require(scored, self.name)
        counted = [item for item in scored if item.sample.meta.get("split") == "validation"]
        rows = mean_result(counted or scored, self.name, columns=report_columns)
        variants = _means_by(counted or scored, _variant)
        if len(variants) < 2:
            return rows
        return Result(
            score=_mean(list(variants.values())),
            num_samples=rows.num_samples,
            groups={f"variant/{name}": mean for name, mean in variants.items()} | {**rows.groups},
            parts={**rows.parts, "micro": rows.score},
            unscored=rows.unscored,
        )


def _variant(sample: Sample) -> str:
    return str(sample.meta.get("variant") or sample.meta.get("dataset") or "")


@dataclass(frozen=True)
class CvBench(McqVanilla):
    """Mean of the 2D and the 3D part; the 2D part is the mean of its picture sources."""

    name: str = "cvbench"

    def aggregate(self, scored: Sequence[Scored]) -> Result:
        """Mean of the parts that are there (`parts["2D"]`, `parts["3D"]`). Unit: 0 to 1.

        Raises:
            InputError: A sample does not say which part it belongs to or where it is from.
        """
        rows = mean_result(scored, self.name, columns=report_columns)
        halves: dict[str, list[Scored]] = defaultdict(list)
        for item in scored:
            halves[_half(item.sample)].append(item)
        sources = {name: _means_by(items, _source) for name, items in halves.items()}
        parts = {
            name: _mean(list(sources[name].values())) if name == "2D" else _mean(values(items))
            for name, items in sorted(halves.items())
        }
        by_source = {
            f"source/{source}": mean for found in sources.values() for source, mean in found.items()
        }
        return Result(
            score=_mean(list(parts.values())),
            num_samples=rows.num_samples,
            groups={**rows.groups, **by_source},
            parts={**rows.parts, **parts, "micro": rows.score},
            unscored=rows.unscored,
        )


def _half(sample: Sample) -> str:
    for column in ("type", "split"):
        cell = str(sample.meta.get(column, ""))
        if cell in ("2D", "3D"):
            return cell
    raise InputError(
        f"metric 'cvbench', sample {sample.id!r}: expected 2D or 3D in column 'type' or 'split', "
        f"got {sample.meta.get('type')!r} and {sample.meta.get('split')!r}. Check the file"
    )


def _source(sample: Sample) -> str:
    source = sample.meta.get("source")
    if not source:
        raise InputError(
            f"metric 'cvbench', sample {sample.id!r}: column 'source' is missing; expected ADE20K, "
            "COCO or Omni3D. Check the file"
        )
    return str(source)


def _means_by(scored: Sequence[Scored], key: Callable[[Sample], str]) -> dict[str, float]:
    found: dict[str, list[float]] = defaultdict(list)
    for item, value in zip(scored, values(scored), strict=True):
        found[key(item.sample)].append(value)
    return {name: _mean(group) for name, group in found.items()}


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers)


def create_mcq_vanilla(profile: str = "default") -> Metric:
    """Rows with the right letter."""
    return McqVanilla(profile)


def create_mcq_circular(profile: str = "default") -> Metric:
    """Questions right in every rotation."""
    return McqCircular(profile)


def create_mcq_mmmu(profile: str = "default", *, steps: bool = False) -> Metric:
    """MMMU and MMMU-Pro; `steps` for answers that end with a line `Answer: ...`."""
    return McqMmmu(profile, steps=steps)


def create_cvbench(profile: str = "default") -> Metric:
    """Mean of the 2D and 3D parts."""
    return CvBench(profile)
