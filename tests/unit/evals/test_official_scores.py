"""Files, readers and metrics fit together: right answers score fully, empty ones score nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from nanovl.evals.base import Response, Result, Scored
from nanovl.evals.readers import Loaded, load
from nanovl.evals.registry import Benchmark, benchmark, metric_info
from nanovl.evals.scoring.registry import metric
from tests.unit.evals.official import OFFICIAL

# Without a judge, and without running programs, these have no full score.
NOT_OFFLINE = {"wildvision", "livecodebench", "scicode"}
OFFLINE = sorted(set(OFFICIAL) - NOT_OFFLINE)
# A language that cannot be told counts as followed, and nothing is no comma.
SCORED_EMPTY = {"ifeval"}
# What a perfect answer to these fixtures gives, where that is not the top of the range.
FULL = {
    "pope": 100.0,
    "ocrbench": 1.0,
    "wemath": 0.5,  # one of its two chains lacks steps, which count as wrong
}


def scores(one: Benchmark, unit: Loaded, answers: dict[str, str]) -> Result:
    rule = metric(one.metric, benchmark=one.id)
    rows = []
    for sample in unit.samples:
        response = Response(text=answers[sample.id])
        verdict = rule.score(sample, response, level="extended")
        rows.append(Scored(sample=sample, response=response, verdict=verdict))
    return rule.aggregate(rows)


@pytest.mark.parametrize("name", OFFLINE)
def test_right_and_empty_answers(name: str, tmp_path: Path) -> None:
    wanted = OFFICIAL[name](tmp_path)
    one = benchmark(name)
    top = metric_info(one.metric).range[1]
    for unit in load(one, tmp_path):
        if not one.file(unit.part or one.parts[0]).answers:
            continue
        mine = [w for w in wanted if w.part == unit.part or not unit.part or len(one.files) == 1]
        right = scores(one, unit, {w.id: w.perfect for w in mine})
        assert right.score == pytest.approx(FULL.get(name, top))
        empty = scores(one, unit, {w.id: "" for w in mine})
        if name not in SCORED_EMPTY:
            assert empty.score == 0
        assert empty.score < right.score or name in SCORED_EMPTY


@pytest.mark.parametrize("name", sorted(NOT_OFFLINE))
def test_what_cannot_be_scored_here_is_unscored_and_not_wrong(name: str, tmp_path: Path) -> None:
    OFFICIAL[name](tmp_path)
    one = benchmark(name)
    (unit,) = load(one, tmp_path)
    if name == "livecodebench":
        pytest.skip("programs are run; see the tests of the sandbox")
    result = scores(one, unit, {s.id: "```python\nx = 1\n```" for s in unit.samples})
    assert result.unscored == len(unit.samples)
