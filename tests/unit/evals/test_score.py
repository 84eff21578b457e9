"""Scores of what is on disk: levels, runs, intervals, health, what could not be scored."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from nanovl.core.errors import BackendError, InputError
from nanovl.evals.base import Judge, Level, Response, Result, Sample, Scored, Verdict
from nanovl.evals.endpoint import ChatEndpoint, Patience
from nanovl.evals.health import colour, has_loop, health_of
from nanovl.evals.judge import agreement, open_judge
from nanovl.evals.requests import Failure, Request, Task
from nanovl.evals.runfolder import RunFolder
from nanovl.evals.score import read_answers, score_task
from nanovl.evals.scorefiles import Line, percentile, read_rows, scored_lines
from tests.unit.evals.cases import (
    ON,
    Exact,
    FakeAnswerer,
    number_of,
    prompt_of,
    right,
    run_of,
    task,
)
from tests.unit.evals.stub import Say, serving, user_of


def lines(folder: RunFolder, made: Task, **more: Any) -> dict[tuple[str, str, str], Line]:
    found = score_task(folder, made, Exact, **more)
    return {(line.setting, line.profile, line.level): line for line in found}


def test_right_wrong_and_empty(tmp_path: Path) -> None:
    made = task(30)
    says = {i: str(i) if i < 23 else "" if i < 26 else "no" for i in range(30)}
    folder = run_of(tmp_path, FakeAnswerer(lambda r: says[number_of(r)]), [made])
    line = lines(folder, made)["mm_off", "default", "rules"]
    assert line.score == pytest.approx(100 * 23 / 30)
    assert (line.answered, line.samples, line.runs, line.unscored) == (30, 30, 1, 0)
    assert line.is_complete
    assert line.interval is not None
    # Wilson for 23 of 30, as in the specification.
    assert round(line.interval.low, 2) == 59.07
    assert round(line.interval.high, 2) == 88.21
    assert line.interval.method == "wilson"
    assert line.unparsed == pytest.approx(3 / 30)
    assert scored_lines(folder, "sums") == list(lines(folder, made).values())


def test_levels_are_kept_apart(tmp_path: Path) -> None:
    made = replace(
        task(2),
        samples=[
            Sample(id="0", question="What is 0?", answer="yes"),
            Sample(id="1", question="What is 1?", answer="yes"),
        ],
    )
    folder = run_of(tmp_path, FakeAnswerer(lambda r: "yes" if number_of(r) == 0 else "YES"), [made])
    found = lines(folder, made)
    assert found["mm_off", "default", "rules"].score == 50
    assert found["mm_off", "default", "extended"].score == 100
    assert found["mm_off", "default", "extended"].decided == {"extended": 0.5, "rules": 0.5}
    assert ("mm_off", "default", "judge") not in found


def test_profiles_are_numbers_of_their_own(tmp_path: Path) -> None:
    made = task(4)
    folder = run_of(tmp_path, FakeAnswerer(right), [made])
    lines(folder, made, profiles=["default"])
    lines(folder, made, profiles=["vk", "legacy"])
    rows = read_rows(folder.file("sums", "scores.jsonl"))
    assert {row["profile"] for row in rows} == {"default", "vk", "legacy"}
    assert len(rows) == 3 * 2 * 4
    assert {line.profile for line in scored_lines(folder, "sums")} == {"default", "vk", "legacy"}
    lines(folder, made, profiles=["vk"])  # again: nothing doubles
    assert len(read_rows(folder.file("sums", "scores.jsonl"))) == 3 * 2 * 4
    assert len(scored_lines(folder, "sums")) == 6


def test_runs_are_averaged_with_their_spread(tmp_path: Path) -> None:
    """The specification's worked example: 3 problems, 4 runs."""
    table = [[1, 0, 1, 0], [1, 1, 0, 0], [0, 1, 1, 1]]
    made = task(3, runs=4)

    def say(request: Request) -> str:
        number = number_of(request)
        return str(number) if table[number][request.run] else "wrong"

    folder = run_of(tmp_path, FakeAnswerer(say), [made], [ON])
    line = lines(folder, made)["mm_on", "default", "rules"]
    assert line.runs == 4
    assert round(line.score, 2) == 58.33
    assert line.std == pytest.approx(16.6667, abs=1e-3)
    assert line.se == pytest.approx(8.3333, abs=1e-3)
    assert line.parts["pass@4"] == 1.0
    assert line.parts["majority@4"] == 1.0
    assert (line.answered, line.items) == (12, 3)
    assert line.interval is not None
    assert line.interval.low <= line.score <= line.interval.high


def test_questions_about_one_picture_make_a_wider_interval(tmp_path: Path) -> None:
    alone = task(80)
    together = replace(
        alone,
        samples=[replace(s, group=str(number // 2)) for number, s in enumerate(alone.samples)],
    )
    found = []
    for name, made in (("a", alone), ("b", together)):
        folder = run_of(
            tmp_path / name,
            FakeAnswerer(lambda r: right(r) if number_of(r) // 2 % 2 else "no"),
            [made],
        )
        found.append(lines(folder, made)["mm_off", "default", "rules"].interval)
    assert found[0] is not None
    assert found[1] is not None
    assert found[1].method == "clustered"
    assert found[1].high - found[1].low > 1.3 * (found[0].high - found[0].low)


@dataclass(frozen=True)
class Circles(Exact):
    """A circle is right when all of its rows are."""

    def aggregate(self, scored: Sequence[Scored]) -> Result:
        circles: dict[str, list[float]] = {}
        for item in scored:
            circles.setdefault(item.sample.group, []).append(item.verdict.value or 0.0)
        hits = [all(values) for values in circles.values()]
        return Result(score=sum(hits) / len(hits), num_samples=len(hits))


def test_a_share_of_circles_gets_the_interval_of_a_share(tmp_path: Path) -> None:
    made = replace(
        task(90), samples=[replace(s, group=str(int(s.id) % 30)) for s in task(90).samples]
    )
    folder = run_of(
        tmp_path, FakeAnswerer(lambda r: right(r) if number_of(r) % 30 < 23 else "no"), [made]
    )
    (line, _) = score_task(folder, made, Circles)
    assert (line.items, round(line.score, 2)) == (30, 76.67)
    assert line.interval is not None
    assert (round(line.interval.low, 2), round(line.interval.high, 2)) == (59.07, 88.21)


@dataclass(frozen=True)
class Macro(Exact):
    """Mean of the means of two halves."""

    def aggregate(self, scored: Sequence[Scored]) -> Result:
        halves: dict[bool, list[float]] = {}
        for item in scored:
            halves.setdefault(int(item.sample.id) < 10, []).append(item.verdict.value or 0.0)
        means = [sum(v) / len(v) for v in halves.values()]
        return Result(score=100 * sum(means) / len(means), num_samples=len(scored))


def test_any_other_number_gets_a_bootstrap(tmp_path: Path) -> None:
    made = task(50, best=100.0)
    folder = run_of(
        tmp_path, FakeAnswerer(lambda r: right(r) if number_of(r) % 3 else "no"), [made]
    )
    first, _ = score_task(folder, made, Macro)
    again, _ = score_task(folder, made, Macro)
    assert first.interval == again.interval
    assert first.interval is not None
    assert first.interval.method == "bootstrap"
    assert first.interval.low < first.score < first.interval.high
    assert first.raw == first.score


# --- what could not be scored -------------------------------------------------------------------


def test_failures_are_missing_not_wrong(tmp_path: Path) -> None:
    made = task(10)
    folder = run_of(
        tmp_path,
        FakeAnswerer(
            lambda r: Failure(kind="timeout", message="x") if number_of(r) < 2 else right(r)
        ),
        [made],
    )
    line = lines(folder, made)["mm_off", "default", "rules"]
    assert (line.score, line.answered, line.samples) == (100, 8, 10)
    assert not line.is_complete
    summary = json.loads((tmp_path / "sums" / "summary.json").read_text())
    assert summary["settings"]["mm_off"]["health"]["errors"] == 2
    assert summary["settings"]["mm_off"]["colours"]["errors"] == "red"


def test_nothing_to_score(tmp_path: Path) -> None:
    made = task(3)
    folder = run_of(tmp_path, FakeAnswerer(lambda r: Failure(kind="timeout", message="x")), [made])
    with pytest.raises(InputError, match="has no answer yet"):
        score_task(folder, made, Exact)
    with pytest.raises(InputError, match="not scored yet"):
        scored_lines(folder, "sums")


def test_answers_to_other_questions_are_noticed(tmp_path: Path) -> None:
    folder = run_of(tmp_path, FakeAnswerer(right), [task(3)])
    other = replace(task(1), samples=[Sample(id="x", question="?", answer="")])
    with pytest.raises(InputError, match="were the files changed"):
        score_task(folder, other, Exact)


def test_of_two_prompts_the_last_answer_counts(tmp_path: Path) -> None:
    made = task(3)
    run_of(tmp_path, FakeAnswerer(lambda r: "wrong"), [made])
    changed = replace(made, prompt=lambda s: replace(prompt_of(s), system="Think."))
    folder = run_of(tmp_path, FakeAnswerer(right), [changed])
    assert lines(folder, made)["mm_off", "default", "rules"].score == 100
    assert read_answers(folder, made)[0].count == 3


@dataclass(frozen=True)
class Broken(Exact):
    """Raises for one answer."""

    error: type[Exception] = ValueError

    def score(
        self,
        sample: Sample,
        response: Response,
        *,
        level: Level = "rules",
        judge: Judge | None = None,
    ) -> Verdict:
        if sample.id == "1":
            raise self.error("oops")
        return super().score(sample, response, level=level, judge=judge)


def test_a_metric_with_a_bug_costs_one_response(tmp_path: Path) -> None:
    made = task(4)
    folder = run_of(tmp_path, FakeAnswerer(right), [made])
    line = score_task(folder, made, Broken)[0]
    assert (line.score, line.lenient, line.unscored) == (75, 100, 1)
    rows = read_rows(folder.file("sums", "scores.jsonl"))
    (bad,) = [r for r in rows if r["value"] is None and r["level"] == "rules"]
    assert "ValueError: oops" in bad["detail"]["reason"]
    summary = json.loads((tmp_path / "sums" / "summary.json").read_text())
    assert summary["settings"]["mm_off"]["metric_errors"] == 2  # one for each level


def test_a_missing_package_ends_the_scoring(tmp_path: Path) -> None:
    made = task(4)
    folder = run_of(tmp_path, FakeAnswerer(right), [made])
    with pytest.raises(BackendError):
        score_task(folder, made, lambda p: Broken(error=BackendError))


# --- the judge ----------------------------------------------------------------------------------


def test_the_judge_is_asked_once_logged_and_never_random(tmp_path: Path) -> None:
    made = task(6)
    folder = run_of(tmp_path, FakeAnswerer(lambda r: right(r) if number_of(r) else "?"), [made])

    def answer(body: dict[str, Any], before: int) -> Say:
        assert body["temperature"] == 0
        text = user_of(body)
        if text.startswith("5"):
            return Say(text="perhaps")  # in no form the metric knows
        left, _, truth = text.rstrip("?").partition(" = ")
        return Say(text=str(int(left == truth)), reasoning="hm" if before else "")

    with serving(answer) as stub:
        endpoint = ChatEndpoint(
            stub.url, "judge-1", patience=Patience(retries=0, first_wait_s=0.001)
        )
        judge = open_judge(endpoint, tmp_path / "judge.jsonl")
        line = lines(folder, made, judge=judge)["mm_off", "default", "judge"]
        asked = stub.count
        assert asked == 6
        assert line.unscored == 1
        assert line.score == pytest.approx(100 * 4 / 6)
        assert line.lenient == pytest.approx(100 * 4 / 5)
        again = open_judge(endpoint, tmp_path / "judge.jsonl")
        assert lines(folder, made, judge=again)["mm_off", "default", "judge"] == line
        assert stub.count == asked  # everything was in the log
    log = [json.loads(text) for text in (tmp_path / "judge.jsonl").read_text().splitlines()]
    assert len(log) == 6
    assert {entry["judge"] for entry in log} == {"judge-1"}
    assert all("=" in entry["prompt"] for entry in log)
    summary = json.loads((tmp_path / "sums" / "summary.json").read_text())
    table = summary["settings"]["mm_off"]["agreement"]
    assert table["rules/judge"] == {
        "same": 5,
        "first_higher": 0,
        "second_higher": 0,
        "unscored": 1,
    }


@pytest.mark.parametrize("status", [500, 400])
def test_a_silent_judge_leaves_responses_unscored(tmp_path: Path, status: int) -> None:
    made = task(2)
    folder = run_of(tmp_path, FakeAnswerer(right), [made])
    with serving(lambda b, n: Say(status=status)) as stub:
        endpoint = ChatEndpoint(
            stub.url, "j", patience=Patience(retries=0, first_wait_s=0.001, timeout_s=5)
        )
        judge = open_judge(endpoint, tmp_path / "judge.jsonl")
        line = lines(folder, made, judge=judge)["mm_off", "default", "judge"]
        assert stub.count == 2 * 3  # three tries each
    assert (line.unscored, line.score, line.lenient) == (2, 0, 0)
    assert not (tmp_path / "judge.jsonl").exists()  # silence is not remembered


def test_an_empty_reply_is_asked_again() -> None:
    from nanovl.evals.judge import EndpointJudge

    with serving(lambda b, n: Say(text="" if n < 2 else "<think>1</think> 0")) as stub:
        judge = EndpointJudge(ChatEndpoint(stub.url, "j"))
        assert judge.ask("?") == "0"
        assert (judge.asked, judge.silent, stub.count) == (1, 0, 3)


def test_agreement_counts_each_way() -> None:
    table = agreement(
        [
            {"rules": 1.0, "extended": 1.0},
            {"rules": 0.0, "extended": 1.0},
            {"rules": 1.0, "extended": 0.0},
            {"rules": None, "extended": 1.0},
        ]
    )
    assert table == {
        "rules/extended": {"same": 1, "first_higher": 1, "second_higher": 1, "unscored": 1}
    }
    assert agreement([]) == {}
    many = agreement([{"rules": 1.0, "extended": 1.0}] * 1000, count=200)
    assert many["rules/extended"]["same"] == 200


# --- health -------------------------------------------------------------------------------------


def test_health_counts() -> None:
    answers = [
        (Response(text="a"), Verdict(value=1.0, extracted="a")),
        (Response(text="", finish_reason="length"), Verdict(value=0.0)),
        (
            Response(text="", unfinished=True, reasoning="x", finish_reason="length"),
            Verdict(value=0.0),
        ),
        (Response(text="b", meta={"retries": 2, "fallbacks": ["tiles"]}), None),
        (Response(text="so so " * 200, meta={"no_reasoning": True}), Verdict(value=0.0)),
    ]
    found = health_of(answers, errors=1)
    assert found.answers == 6
    assert found.counts == {
        "truncated": 2,
        "unfinished_thinking": 1,
        "no_reasoning": 1,
        "empty": 1,
        "unparsed": 3,
        "loop": 1,
        "fallbacks": 1,
        "retries": 1,
        "errors": 1,
    }
    assert set(found.colours.values()) == {"red"}


@pytest.mark.parametrize(
    ("share", "shade"),
    [(0, "green"), (0.02, "green"), (0.021, "yellow"), (0.1, "yellow"), (0.101, "red")],
)
def test_colours(share: float, shade: str) -> None:
    assert colour(share) == shade


@pytest.mark.parametrize(
    ("text", "loops"),
    [
        (" ".join(map(str, range(500))), False),
        ("one two three " * 9, True),  # 27 words, 8 grams of 3 phases: 3 of each at most
        ("", False),
        (" ".join(f"step {i}" for i in range(300)), False),
        ("\u4f60\u597d" * 40, True),
        ((" ".join(f"w{i}" for i in range(20)) + " ") * 8, True),
        ((" ".join(f"w{i}" for i in range(20)) + " ") * 7, False),
    ],
)
def test_loops(text: str, loops: bool) -> None:
    if text.startswith("one"):
        assert not has_loop(text)  # no 20 words stand there eight times yet
        assert has_loop(text * 2)
        return
    assert has_loop(text) is loops


def test_percentile() -> None:
    assert percentile([1, 2, 3, 4, 5], 50) == 3
    assert percentile([1, 2], 95) == pytest.approx(1.95)
    assert percentile([7], 99) == 7


def test_an_error_rate_above_one_is_inside_its_interval(tmp_path: Path) -> None:
    class Errors(Exact):
        def score(self, sample: Sample, response: Response, **more: Any) -> Verdict:
            return Verdict(value=3.0 + int(sample.id) % 3)

    made = replace(task(12), lower_is_better=True)
    folder = run_of(tmp_path, FakeAnswerer(right), [made])
    (line, *_) = score_task(folder, made, Errors)
    assert line.score == pytest.approx(400.0)
    assert line.interval is not None
    assert line.interval.low < 400.0 < line.interval.high
