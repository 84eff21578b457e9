"""The report: what is shown, what is left out, and what is marked as an error or a bar."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nanovl.evals.base import Response, Result, Sample, Scored, Verdict
from nanovl.evals.examples import worst
from nanovl.evals.intervals import Interval
from nanovl.evals.native import CountCheck
from nanovl.evals.plots import Series, dot_chart, line_chart
from nanovl.evals.report import Report, write_report
from nanovl.evals.report_bars import bars_of
from nanovl.evals.report_page import page
from nanovl.evals.report_rows import LOWER, Row, rows_of
from nanovl.evals.report_tables import agreement, health, peers, scores
from nanovl.evals.score import score_task
from nanovl.evals.scorefiles import Line
from nanovl.evals.tables import Table
from nanovl.evals.tasks import named
from tests.unit.evals.cases import FakeAnswerer, number_of, run_of, task


def row(name: str, score: float, **more: Any) -> Row:
    line = Line(
        benchmark=name, setting="mm_off", profile="default", level="extended", metric="cer",
        score=score, lenient=score, raw=score / 100, runs=1, samples=4, answered=4, items=4,
        interval=Interval(low=score / 2, high=score * 1.5, method="wilson"),
        decided={"rules": 1.0},
    )  # fmt: skip
    given = {"name": named(name), "metric": "metric", **more}
    return Row(benchmark=name, line=line, sub="main", score=score, extended=score, **given)


def summary(**more: Any) -> dict[str, Any]:
    facts = {"answers": 4, "health": {"truncated": 1}, "agreement": {}, "tokens": {}}
    return {"best": 1.0, "samples": 4, "total": 40, "settings": {"mm_off": facts}, **more}


ERROR = row(
    "mini-read-lines", 420.0, is_error=True, metric="character error rate",
    peers={"tesseract": 0.5, "majority": 90.0},
)  # fmt: skip
CHARTS = row("mini-charts", 60.0, peers={"majority": 25.0})
OFF, ON = row("mini-maths-read-off", 20.0), row("mini-maths-read-on", 35.0)
ROWS = [ERROR, CHARTS, OFF, ON]
HEAD = {
    "run": "r",
    "model": {"name": "/models/some/tiny-check", "weights": "w"},
    "benchmarks": {r.benchmark: {"manifest": {"samples": 4}} for r in ROWS},
}


@pytest.fixture
def report() -> Report:
    return Report(head=HEAD, rows=ROWS, summaries={r.benchmark: summary() for r in ROWS})


# -- Tables --------------------------------------------------------------------------------------


def test_empty_columns_are_left_out() -> None:
    table = Table(
        title="T", columns=("a", "b", "c"), rows=[[1, None, "x"], [2, "", None]],
        shades={(1, 2): "red"},
    )  # fmt: skip
    assert table.shown == [0, 2]
    assert "| a | c |" in table.markdown()
    assert "<th>b</th>" not in table.page()
    assert '<td class="red"></td>' in table.page()
    assert table.data()["columns"] == ["a", "b", "c"]


def test_a_table_without_rows_is_its_notes() -> None:
    table = Table(title="T", columns=("a",), rows=(), notes=("All is <well>.",))
    assert table.page() == "<h3>T</h3>\n<p>All is &lt;well&gt;.</p>\n"
    assert table.markdown() == "### T\n\n* All is \\<well\\>.\n"


def test_a_number_and_its_unit_stay_together() -> None:
    table = Table(title="T", columns=("95 %",), rows=[["3.1 to 4.0"], ["words 3 % of it"]])
    assert "<th>95\u00a0%</th>" in table.page()
    assert '<td class="k">3.1 to 4.0</td>' in table.page()
    assert "<td>words 3\u00a0% of it</td>" in table.page()


def test_scores_say_unit_and_direction() -> None:
    table = scores(ROWS, ["x: malformed rows (answer): 1"])
    shown = [table.columns[x] for x in table.shown]
    assert shown == ["benchmark", "score", "95 %", "metric", "setting", "decided by", "answers"]
    assert table.rows[0][3] == f"character error rate, % {LOWER}"
    assert table.rows[1][3] == "metric, %"
    assert table.notes[-1] == "x: malformed rows (answer): 1"


def test_the_best_without_a_model_is_the_lowest_error() -> None:
    (table,) = peers(ROWS, {})
    assert table.rows[0][:4] == [ERROR.name, 420.0, "tesseract 0.5", "majority 90.0"]
    assert table.rows[1][:4] == [CHARTS.name, 60.0, "majority 25.0", ""]
    assert table.shades == {(0, 1): "bad", (1, 1): "good"}
    assert len(table.rows) == 2
    assert any("upper bound of constant answers" in note for note in table.notes)


def test_health_shows_what_there_is() -> None:
    table = health({"mini-charts": summary()})
    assert [table.columns[x] for x in table.shown] == [
        "benchmark", "setting", "answers", "truncated",
    ]  # fmt: skip
    assert table.shades == {(0, 3): "red"}
    assert "loop" in table.notes[-1]


def test_levels_are_shown_where_they_differ() -> None:
    def with_levels(same: int) -> dict[str, Any]:
        found = {"same": same, "first_higher": 0, "second_higher": 4 - same, "unscored": 0}
        facts = {"answers": 4, "health": {}, "agreement": {"rules/extended": found}}
        return summary(settings={"mm_off": facts})

    (equal,) = agreement({"mini-charts": with_levels(4), "mini-tools": with_levels(4)})
    assert not equal.rows
    assert equal.notes == ["rules and extended agree on every answer compared of all 2 settings."]
    (mixed,) = agreement({"mini-charts": with_levels(3), "mini-tools": with_levels(4)})
    assert [cells[0] for cells in mixed.rows] == [named("mini-charts")]
    assert "the other 1 " in mixed.notes[-1]
    assert agreement({"mini-charts": summary()}) == []


# -- Bars ----------------------------------------------------------------------------------------


def test_bars_and_gains() -> None:
    found = {bar.id: bar for bar in bars_of(ROWS, {r.benchmark: summary() for r in ROWS})}
    assert list(found) == ["mini-read-lines", "mini-charts", "mini-maths-read-gain"]
    assert (found["mini-read-lines"].must, found["mini-read-lines"].aim) == (3.0, 0.7)
    assert found["mini-read-lines"].reached == "none"
    assert found["mini-charts"].reached == "must"  # 50 and 85
    gain = found["mini-maths-read-gain"]
    assert (gain.score, gain.must, gain.aim, gain.reached) == (15.0, 10.0, 30.0, "must")


@pytest.mark.parametrize(
    ("name", "score", "reached"),
    [
        ("mini-read-lines", 0.7, "aim"),
        ("mini-read-lines", 3.0, "must"),
        ("mini-read-lines", 3.1, "none"),
        ("mini-read-pages-degraded", 25.0, "must"),
        ("mini-needles", 95.0, "aim"),
        ("mini-needles", 94.0, "none"),
        ("mini-receipts", 75.0, "aim"),
        ("mini-receipts", 39.9, "none"),
    ],
)
def test_bars_are_met_at_their_value(name: str, score: float, reached: str) -> None:
    best = 100.0 if name == "mini-receipts" else 1.0
    (bar,) = bars_of([row(name, score)], {name: summary(best=best)})
    assert bar.reached == reached


# -- The page ------------------------------------------------------------------------------------


def test_the_heading_has_no_folders(report: Report) -> None:
    assert report.title == "Evaluation of tiny-check"
    assert "model: /models/some/tiny-check" in report.facts()
    for name in ("owner/name", "name"):
        model = {"model": {**HEAD["model"], "name": name}}  # type: ignore[dict-item]
        other = Report(head={**HEAD, **model}, rows=ROWS, summaries={})
        assert other.title == f"Evaluation of {name}"
        assert not any(fact.startswith("model:") for fact in other.facts())


def test_errors_have_a_chart_of_their_own(report: Report, tmp_path: Path) -> None:
    made = page(report)
    charts = re.findall(r"<figure>.*?</figure>", made, re.S)
    assert len(charts) == 2
    assert ERROR.name not in charts[0]
    assert "questions on synthesised charts" in charts[0]
    assert "lower is better" in charts[1]
    assert ERROR.name in charts[1]
    assert "<script" not in made
    paths = write_report(report, tmp_path)
    assert [path.name for path in paths] == ["report.md", "report.html", "report.json"]


# -- Charts --------------------------------------------------------------------------------------


def test_dot_chart() -> None:
    series = [
        Series(name="run", values=[10.0, None], ranges=[(5.0, 20.0), None]),
        Series(name="<peer>", values=[50.0, 100.0]),
    ]
    chart = dot_chart("T", ["first & more", "second"], series, "%", most=100.0)
    assert "first &amp; more" in chart
    assert "10.0 / 50.0" in chart
    assert "- / 100.0" in chart
    assert chart.count('class="dot c') == 3
    assert 'x="98.00%"' in chart  # 100 of 100
    assert 'x1="6.80%" x2="21.20%"' in chart  # the range
    assert "<peer>" not in chart
    assert dot_chart("T", ["a"], [Series(name="x", values=[None])]) == ""


def test_charts_want_a_value_for_every_place() -> None:
    for chart in (dot_chart, line_chart):
        with pytest.raises(ValueError, match="1 values, 2 places"):
            chart("T", ["a", "b"], [Series(name="x", values=[1.0])])
    with pytest.raises(ValueError, match="1 ranges, 2 places"):
        dot_chart("T", ["a", "b"], [Series(name="x", values=[1.0, 2.0], ranges=[(0.0, 1.0)])])


def test_an_axis_of_zeros_begins_at_zero() -> None:
    chart = line_chart("T", ["a", "b"], [Series(name="x", values=[0.0, 0.0])], "%")
    assert "T, %" in chart
    assert ">-" not in chart


# -- Examples ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Value:
    """The number that was answered, as verdict."""

    name: str = "value"

    def score(self, sample: Sample, response: Response, **_: Any) -> Verdict:
        return Verdict(value=float(response.text), extracted=response.text)

    def aggregate(self, scored: Sequence[Scored]) -> Result:
        values = [item.verdict.value or 0.0 for item in scored]
        return Result(score=sum(values) / len(values), num_samples=len(values))


@pytest.mark.parametrize(
    ("is_error", "expected"),
    [(False, ["0.00", "0.50"]), (True, ["4.20", "1.00"])],
)
def test_the_worst_answers_of_scores_and_errors(
    tmp_path: Path, is_error: bool, expected: list[str]
) -> None:
    said = ["1", "0", "4.2", "0.5"]
    asked = task(4, lower_is_better=is_error)
    folder = run_of(tmp_path / "run", FakeAnswerer(lambda r: said[number_of(r)]), [asked])
    score_task(folder, asked, lambda profile: Value())
    found = worst(folder, asked, 2)
    assert [f"{one.value:.2f}" for one in found] == expected


# -- Rows ----------------------------------------------------------------------------------------


def test_a_number_is_compared_where_questions_and_verdicts_are_complete() -> None:
    def rows(found: int, unscored: int = 0) -> list[Row]:
        line = Line(
            benchmark="wemath", setting="mm_off", profile="default", level="rules",
            metric="wemath_strict", score=30.0, lenient=30.0, raw=0.3, runs=1, samples=1740,
            answered=1740, items=525, unscored=unscored,
        )  # fmt: skip
        check = CountCheck(
            name="wemath", counted="groups", expected=525, found=found, malformed={}, other_split=0
        )
        return rows_of("wemath", [line], summary(total=1740), "auto", check)

    (whole,) = rows(525)
    assert whole.reason == ""
    assert whole.difference == pytest.approx(-1.5)
    (few,) = rows(2)
    assert (few.difference, few.reason) == (None, "2 groups, the benchmark has 525")
    (open_,) = rows(525, unscored=3)
    assert (open_.difference, open_.reason) == (None, "3 answers not scored")
