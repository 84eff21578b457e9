"""Tables and charts of sweeps: scores and errors are never mixed."""

from __future__ import annotations

from pathlib import Path

from nanovl.evals.score import score_task
from nanovl.evals.sweeps import option_settings, option_sweep, runs_table
from tests.unit.evals.cases import OFF, Exact, FakeAnswerer, right, run_of, task


def test_errors_have_a_chart_of_their_own_and_no_part_in_averages(tmp_path: Path) -> None:
    tasks = [task(4), task(4, name="slips", lower_is_better=True)]
    said = FakeAnswerer(lambda r: right(r) if r.benchmark == "sums" else "?")
    folder = run_of(tmp_path, said, tasks)
    for made in tasks:
        score_task(folder, made, Exact)  # 100 and 0
    sweep = runs_table("stages", {"first": folder, "last": folder}, setting=OFF.label)
    assert len(sweep.charts) == 2
    assert "lower is better" in sweep.charts[1]
    assert "slips" in sweep.charts[1]
    assert "slips" not in sweep.charts[0]
    assert sweep.tables[0].rows[-1][:3] == ["average", 100.0, 100.0]
    assert any("slips" in note for note in sweep.tables[0].notes)


def test_scores_alone_have_one_chart(tmp_path: Path) -> None:
    made = task(4)
    settings = option_settings("image_mode", ["tiles", "native"])
    folder = run_of(tmp_path, FakeAnswerer(right), [made], settings=settings)
    score_task(folder, made, Exact)
    sweep = option_sweep(folder, "image_mode", ["tiles", "native"])
    assert len(sweep.charts) == 1
    assert not any("lower is better" in note for note in sweep.tables[0].notes)
