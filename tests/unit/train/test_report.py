"""The page of a run: complete, self-contained, and made of whatever is there."""

from __future__ import annotations

import html.parser
import json
import math
import random
import re
from pathlib import Path
from typing import Any

import pytest

from nanovl.core.errors import InputError
from nanovl.train.charts import (
    Series,
    downsample,
    line_chart,
    number,
    percent,
    smooth,
    sparkline,
    stacked_chart,
    ticks,
)
from nanovl.train.config import dump_recipe, load_recipe
from nanovl.train.metrics import MetricsWriter
from nanovl.train.report import read_run, write_report

VOID = {"meta", "line", "circle", "path", "polyline", "i", "br"}


class Page(html.parser.HTMLParser):
    """Checks nesting and collects what a browser would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.loads: list[str] = []
        self.headings: list[str] = []
        self.feed(text)
        assert self.stack == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [f"{tag} {k}={v}" for k, v in attrs if k in ("src", "href")]
        if tag != "meta":
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del tag, attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.stack and self.stack[-1] in ("h1", "h2", "h3"):
            self.headings.append(data)


def record(update: int, rng: random.Random) -> dict[str, Any]:
    found: dict[str, Any] = {
        "update": update,
        "loss": 3 * math.exp(-update / 20) + rng.random() / 10,
        "lr": 1e-5 * update,
        "grad_norm": 1 + rng.random(),
        "tokens": 1024,
        "real_tokens": 1000,
        "tokens_per_s": 500.0,
        "tokens_per_s_per_gpu": 250.0,
        "mfu": 0.3,
        "step_s": 2.0,
        "data_wait_s": 0.1,
        "forward_s": 0.6,
        "backward_s": 1.1,
        "optim_s": 0.1,
        "memory_gb": 3.5,
        "pack/fill": 0.99,
        "pack/segments_mean": 5.0,
        "pack/segments_max": 9,
        "pack/imbalance_tokens": 1.01,
        "pack/loss_tokens_frac": 0.3,
        "loss/doc<vqa>": 2.0 / update,
        "loss/text": 1.0 / update,
        "data/dropped/too_long/text": update,
        "fp8/scale_x_min": 16.0,
        "fp8/saturated_x": 0.001,
        "counters": {"source_tokens": {"text": 600 * update, "doc<vqa>": 400 * update}},
    }
    for module in ("vision", "projector", "llm"):
        found[f"grad_norm/{module}"] = rng.random() + 0.1
    if update % 10 == 0:
        found["eval/loss"] = 1.0
    return found


def make_run(folder: Path, updates: int = 60) -> Path:
    rng = random.Random(0)
    with MetricsWriter(folder) as writer:
        for update in range(1, updates + 1):
            one = record(update, rng)
            if update == 7:
                one |= {"loss": math.nan, "grad_norm": math.inf, "skipped": "non-finite <loss>"}
            writer.write(one)
    (folder / "recipe.yaml").write_text(dump_recipe(load_recipe("mini/stage1")))
    (folder / "run.json").write_text(
        json.dumps({"status": "running", "torch": "2.13.0", "device": "A <b>CPU</b>"})
    )
    return folder


def test_a_complete_run(tmp_path: Path) -> None:
    out = write_report(make_run(tmp_path / "run"))
    assert out == tmp_path / "run" / "report.html"
    text = out.read_text(encoding="utf-8")
    page = Page(text)
    assert page.loads == []
    assert "http" not in text.replace("http://www.w3.org", "")
    assert "@import" not in text
    assert "url(" not in text
    for heading in (
        "mini-stage1",
        "Loss",
        "Learning rate",
        "Gradient norm",
        "Tokens per second",
        "Where the time of an update goes",
        "Fill of packs",
        "Imbalance between ranks",
        "Loss by source",
        "Dropped samples",
        "Skipped updates",
        "Scales",
        "Settings",
    ):
        assert heading in page.headings, heading
    assert "doc&lt;vqa&gt;" in text
    assert "<b>CPU</b>" not in text
    assert "non-finite &lt;loss&gt;" in text
    assert "36,000" in text  # tokens of the source "text"
    assert ">of 1,000<" in text  # updates of the recipe
    assert ">NaN" not in text
    assert "nan" not in re.sub(r"<script.*?</script>", "", text).lower().replace("nanovl", "")
    assert "prefers-color-scheme: dark" in text
    assert not list((tmp_path / "run").glob("*.tmp"))


def test_chart_data_is_json(tmp_path: Path) -> None:
    text = write_report(make_run(tmp_path)).read_text(encoding="utf-8")
    found = re.findall(r'<script type="application/json">(.*?)</script>', text)
    assert len(found) == text.count("<figure") > 10
    loss = json.loads(found[0])
    assert [s["name"] for s in loss["series"]] == ["loss", "held-out"]
    for series in (s for data in found for s in json.loads(data)["series"]):
        assert len(series["x"]) == len(series["text"])


def test_a_run_without_updates(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text("")
    text = write_report(tmp_path).read_text(encoding="utf-8")
    Page(text)
    assert "No update has been recorded yet." in text


def test_a_run_of_one_update(tmp_path: Path) -> None:
    text = write_report(make_run(tmp_path, 1)).read_text(encoding="utf-8")
    Page(text)
    assert "Learning rate" in text


def test_only_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text(
        '{"update": 1, "loss": 2}\n{"update": 2, "loss": 1}\n{"upd'
    )
    (tmp_path / "recipe.yaml").write_text("[not a recipe")
    (tmp_path / "run.json").write_text("{torn")
    page = Page(write_report(tmp_path).read_text(encoding="utf-8"))
    assert "Loss" in page.headings
    for absent in ("FP8", "Sources", "Packing", "Speed", "Settings", "Dropped samples"):
        assert absent not in page.headings
    run = read_run(tmp_path)
    assert list(run.updates) == [1, 2]


def test_nothing_but_nan(tmp_path: Path) -> None:
    with MetricsWriter(tmp_path) as writer:
        for update in range(1, 4):
            writer.write({"update": update, "loss": math.nan, "grad_norm": math.inf, "mfu": None})
    page = Page(write_report(tmp_path).read_text(encoding="utf-8"))
    assert "Loss" not in page.headings


def test_columns_that_come_and_go(tmp_path: Path) -> None:
    with MetricsWriter(tmp_path) as writer:
        writer.write({"update": 1, "loss": 1.0})
        writer.write({"update": 2, "loss": 2.0, "loss/a": 5.0})
        writer.write({"update": 3})
    run = read_run(tmp_path)
    assert [math.isnan(v) for v in run.column("loss/a")] == [True, False, True]
    assert [math.isnan(v) for v in run.column("loss")] == [False, False, True]
    assert run.last("loss") == 2.0
    assert math.isnan(run.last("never"))


def test_several_runs(tmp_path: Path) -> None:
    first, second = make_run(tmp_path / "one"), make_run(tmp_path / "two", 90)
    out = write_report(first, compare=[second], out=tmp_path / "pages" / "both.html")
    text = out.read_text(encoding="utf-8")
    assert "mini-stage1 (one)" in text
    assert "mini-stage1 (two)" in text


def test_long_runs_stay_small(tmp_path: Path) -> None:
    with MetricsWriter(tmp_path) as writer:
        for update in range(1, 5001):
            writer.write({"update": update, "loss": 1.0 / update, "lr": 1e-5, "grad_norm": 1.0})
    short = write_report(make_run(tmp_path / "short", 500)).stat().st_size
    assert write_report(tmp_path).stat().st_size < short


def test_folders_that_are_no_runs(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such run folder"):
        write_report(tmp_path / "nowhere")
    with pytest.raises(InputError, match="is this a run folder"):
        write_report(tmp_path)


# --- charts ---------------------------------------------------------------------------------------


def test_thinning_keeps_peaks_and_order() -> None:
    x = list(range(10_000))
    y = [math.sin(i / 500) for i in x]
    y[5003], y[7001] = 50.0, math.nan
    thin_x, thin_y = downsample(x, y, 200)
    assert len(thin_x) <= 200
    assert thin_x == sorted(thin_x)
    assert 50.0 in thin_y
    assert min(thin_y) == min(v for v in y if math.isfinite(v))
    assert downsample([1, 2], [3.0, math.nan])[0] == [1, 2]
    gap = downsample(list(range(100)), [math.nan] * 100, 10)
    assert all(math.isnan(v) for v in gap[1])


def test_smoothing() -> None:
    assert smooth([2.0] * 5, 10) == pytest.approx([2.0] * 5)
    found = smooth([1.0, math.nan, 1.0, 3.0], 3)
    assert math.isnan(found[1])
    assert found[0] == found[2] == 1.0
    assert found[3] == pytest.approx((0.25 * 1 + 0.5 * 1 + 3) / 1.75)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 10, [0, 2, 4, 6, 8, 10]), (0.0, 1e-5, [0, 2e-6, 4e-6, 6e-6, 8e-6, 1e-5]), (3, 3, [3])],
)
def test_ticks_are_round(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(expected)


def test_numbers_are_short() -> None:
    values = [0.0, 0.00001, 0.5, 12.345, 1234.0, 12345.0, 2.5e6, 3e9]
    texts = ["0", "1.00e-05", "0.5", "12.35", "1,234", "12.3k", "2.5M", "3G"]
    assert [number(v) for v in values] == texts
    assert percent(0.171) == "17.1%"


def test_gaps_break_a_curve_and_logarithms_leave_out_zero() -> None:
    xs = [1, 2, 3, 4, 5]
    broken = line_chart("t", [Series(name="a", x=xs, y=[1, 2, math.nan, 3, 4])])
    (path,) = re.findall(r'<path class="line"[^>]* d="([^"]*)"', broken)
    assert path.count("M") == 2
    logged = line_chart("t", [Series(name="a", x=xs, y=[0, 10, 100, -1, 1000])], log=True)
    (path,) = re.findall(r'<path class="line"[^>]* d="([^"]*)"', logged)
    assert len(re.findall("[ML]", path)) == 3
    assert line_chart("t", [Series(name="a", x=xs, y=[math.nan] * 5)]) == ""


def test_one_huge_value_does_not_flatten_the_rest() -> None:
    y = [1.0 + 0.01 * (i % 10) for i in range(100)]
    y[50] = 1e6
    chart = line_chart("t", [Series(name="a", x=range(100), y=y)])
    ys = [float(v) for v in re.findall(r"[ML][\d.]+ (-?[\d.]+)", chart)]
    usual = sorted(ys)[1:]
    assert max(usual) - min(usual) > 50  # pixels


def test_stacks_reach_the_sum() -> None:
    chart = stacked_chart("t", [1, 2, 3], [("a", [1.0, 1.0, 1.0]), ("b", [2.0, 2.0, math.nan])])
    assert chart.count('class="area"') == 2
    assert stacked_chart("t", [], []) == ""
    assert stacked_chart("t", [1], [("a", [0.0])]) == ""


def test_titles_are_escaped() -> None:
    series = [Series(name="</script><!--<script>", x=[1, 2], y=[1, 2])]
    chart = line_chart('a <b> & "c"', series, note="<i>")
    Page(chart)
    assert "<b>" not in chart
    assert chart.count("</script>") == 1
    assert "<!--" not in chart


def test_small_curves() -> None:
    assert sparkline([1.0]) == ""
    assert "polyline" in sparkline([1.0, 2.0, math.nan, 1.0])
