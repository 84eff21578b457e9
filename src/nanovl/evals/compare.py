"""Two runs on the same questions: is the difference more than chance, and which answers changed.

Only questions both runs answered are compared, and only runs on the same data. Reads what
`nanovl.evals.score` wrote; scores nothing.

Source: evaluation specification, sections 6.15 and 11.2.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from nanovl.core.errors import InputError
from nanovl.evals.runfolder import RunFolder, read_log
from nanovl.evals.scorefiles import SCORES, read_rows
from nanovl.evals.scoring.statistics import mcnemar, paired_bootstrap

__all__ = ["Comparison", "Difference", "compare", "differing"]

_TRUE = 1.0


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A benchmark in two runs.

    Attributes:
        benchmark, setting, profile, level: What is compared.
        items: Questions both runs answered.
        left_out: Questions only one of them answered.
        first, second: Mean verdict of each, in percent.
        difference: First less second, in percentage points.
        low, high: 95 % interval of it.
        p: Probability of a difference at least as large if there were none.
        test: "mcnemar" for rights and wrongs, else "bootstrap" over what belongs together.
        only_first, only_second: Questions only one of them got right (for `mcnemar`).
    """

    benchmark: str
    setting: str
    profile: str
    level: str
    items: int
    left_out: int
    first: float
    second: float
    difference: float
    low: float
    high: float
    p: float
    test: Literal["mcnemar", "bootstrap"]
    only_first: int = 0
    only_second: int = 0

    @property
    def is_clear(self) -> bool:
        """Whether the difference is more than chance at 5 %."""
        return self.p < 0.05


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A question whose verdict changed.

    Attributes:
        benchmark, sample, setting, run: Which.
        first, second: Verdicts.
        texts: Answers of both.
        extracted: What was taken for the answers.
    """

    benchmark: str
    sample: str
    setting: str
    run: int
    first: float | None
    second: float | None
    texts: tuple[str, str]
    extracted: tuple[Any, Any]


def compare(
    first: RunFolder,
    second: RunFolder,
    *,
    benchmarks: Sequence[str] = (),
    level: str = "rules",
    profile: str = "default",
    settings: tuple[str, str] | None = None,
) -> list[Comparison]:
    """Compare two runs, benchmark by benchmark.

    Args:
        first, second: Scored runs; may be the same folder when settings are given.
        benchmarks: Which; none means all that both have.
        level, profile: Whose verdicts.
        settings: A setting of the first and one of the second; None compares equal ones.

    Raises:
        InputError: Nothing in common, different data, or not scored.
    """
    names = list(benchmarks) or [b for b in first.benchmarks() if b in second.benchmarks()]
    if not names:
        raise InputError(f"{first.path} and {second.path} have no benchmark in common")
    found = []
    for name in names:
        _check_same_data(first, second, name)
        left, right = (_verdicts(f, name, level, profile) for f in (first, second))
        pairs = [settings] if settings else [(s, s) for s in left if s in right]
        for one, other in pairs:
            if one in left and other in right:
                label = one if one == other else f"{one} / {other}"
                found.append(_compared(name, label, profile, level, left[one], right[other]))
    if not found:
        raise InputError(
            f"{first.path} and {second.path}: no benchmark was scored at level {level!r}, profile "
            f"{profile!r} in both; run nanovl eval score on each of them"
        )
    return found


def differing(
    first: RunFolder,
    second: RunFolder,
    *,
    benchmarks: Sequence[str] = (),
    level: str = "rules",
    profile: str = "default",
    texts: bool = False,
) -> list[Difference]:
    """Questions whose verdicts differ, the largest losses of the second run first.

    Args:
        first, second: Scored runs.
        benchmarks: Which; none means all that both have.
        level, profile: Whose verdicts.
        texts: Whether equal verdicts with different texts count as well.

    Raises:
        InputError: As `compare`.
    """
    names = list(benchmarks) or [b for b in first.benchmarks() if b in second.benchmarks()]
    found: list[Difference] = []
    for name in names:
        _check_same_data(first, second, name)
        left, right = (_rows(f, name, level, profile) for f in (first, second))
        said = [_texts(f, name) for f in (first, second)]
        for key in left:
            if key not in right:
                continue
            setting, run, sample = key
            pair = (said[0].get(key, ""), said[1].get(key, ""))
            values = (left[key]["value"], right[key]["value"])
            if values[0] == values[1] and not (texts and pair[0] != pair[1]):
                continue
            found.append(
                Difference(
                    benchmark=name,
                    sample=sample,
                    setting=setting,
                    run=run,
                    first=values[0],
                    second=values[1],
                    texts=pair,
                    extracted=(left[key]["extracted"], right[key]["extracted"]),
                )
            )
    return sorted(found, key=lambda d: (d.second or 0.0) - (d.first or 0.0))


def _compared(
    name: str,
    setting: str,
    profile: str,
    level: str,
    left: Mapping[str, tuple[float, str]],
    right: Mapping[str, tuple[float, str]],
) -> Comparison:
    both = [sample for sample in left if sample in right]
    if not both:
        raise InputError(f"{name}, {setting}: the runs have no question in common")
    a = [left[sample][0] for sample in both]
    b = [right[sample][0] for sample in both]
    clusters = [left[sample][1] or sample for sample in both]
    drawn = paired_bootstrap(a, b, clusters)
    is_binary = all(v in (0.0, 1.0) for v in (*a, *b)) and len(set(clusters)) == len(clusters)
    test = mcnemar([v == _TRUE for v in a], [v == _TRUE for v in b]) if is_binary else None
    return Comparison(
        benchmark=name,
        setting=setting,
        profile=profile,
        level=level,
        items=len(both),
        left_out=len(left) + len(right) - 2 * len(both),
        first=100 * statistics.fmean(a),
        second=100 * statistics.fmean(b),
        difference=100 * drawn.difference,
        low=100 * drawn.low,
        high=100 * drawn.high,
        p=drawn.p if test is None else test.p,
        test="bootstrap" if test is None else "mcnemar",
        only_first=0 if test is None else test.only_first,
        only_second=0 if test is None else test.only_second,
    )


def _check_same_data(first: RunFolder, second: RunFolder, name: str) -> None:
    entries = []
    for folder in (first, second):
        known = folder.head()["benchmarks"]
        if name not in known:
            raise InputError(f"{folder.path}: {name} was not run here")
        entries.append(known[name]["manifest"])
    if entries[0] != entries[1]:
        raise InputError(
            f"{name}: the runs were made on different files ({first.path} and {second.path}); a "
            "difference would say nothing about the models"
        )


def _rows(
    folder: RunFolder, name: str, level: str, profile: str
) -> dict[tuple[str, int, str], dict[str, Any]]:
    rows = read_rows(folder.file(name, SCORES))
    if not rows:
        raise InputError(f"{folder.path}: {name} was not scored yet; run nanovl eval score first")
    return {
        (row["setting"], row["run"], row["sample"]): row
        for row in rows
        if row["level"] == level and row["profile"] == profile
    }


def _verdicts(
    folder: RunFolder, name: str, level: str, profile: str
) -> dict[str, dict[str, tuple[float, str]]]:
    """Per setting and sample the mean verdict over runs, and what it belongs to."""
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    clusters: dict[str, str] = {}
    for (setting, _, sample), row in _rows(folder, name, level, profile).items():
        values[setting][sample].append(float(row["value"] or 0.0))
        clusters[sample] = str(row.get("cluster") or "")
    return {
        setting: {s: (statistics.fmean(v), clusters[s]) for s, v in found.items()}
        for setting, found in values.items()
    }


def _texts(folder: RunFolder, name: str) -> dict[tuple[str, int, str], str]:
    return {
        (line["setting"], line["run"], line["sample"]): line["text"]
        for line in read_log(folder.responses(name))
        if "error" not in line
    }
