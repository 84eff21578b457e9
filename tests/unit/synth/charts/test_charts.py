"""Charts of both renderers: boxes are where the colours are, answers follow from the data."""

from __future__ import annotations

import builtins
import io
import random
import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from nanovl.core.errors import BackendError, ConfigError, InputError
from nanovl.synth.base import Reject
from nanovl.synth.charts import mpl
from nanovl.synth.charts.data import MAKERS, draw_chart, nice_limits
from nanovl.synth.charts.generator import ChartsGenerator, create, create_drawn
from nanovl.synth.charts.mpl import draw_with_matplotlib
from nanovl.synth.charts.pil import PIL_KINDS, draw_with_pillow
from nanovl.synth.charts.spec import Chart, Drawn, Look, Series
from nanovl.synth.charts.tell import CODE_KINDS, code, data_table
from nanovl.synth.charts.view import KIND_NAMES, View
from tests.unit.synth.checks import (
    check_golden,
    check_hash_seeds,
    check_others_fail,
    check_sample,
    made,
    make,
    yes_share,
)

RENDERERS: list[Callable[[Chart], Drawn]] = [draw_with_pillow, draw_with_matplotlib]


@pytest.fixture(params=["charts", "charts-drawn"])
def generator(request: pytest.FixtureRequest) -> ChartsGenerator:
    if request.param == "charts":
        pytest.importorskip("matplotlib", reason="needs the extra synth")
        return create({})
    return create_drawn({})


def fixture_chart(kind: str = "bar", **changes: object) -> Chart:
    """Bars of a pure colour on white."""
    chart = Chart(
        kind=kind, title="Rain", x_label="Month", y_label="Rain (mm)", unit="mm",
        categories=("Jan", "Feb", "Mar", "Apr"), low=0, high=50,
        series=(Series(name="Rain", values=(10, 40, 25, 33), color="#ff0000", color_name="red"),),
        look=Look(grid="none", spines="open"), category_noun="month", measure="Rain",
    )  # fmt: skip
    return replace(chart, **changes)  # type: ignore[arg-type]


def colored(drawn: Drawn) -> np.ndarray:
    pixels = np.asarray(Image.open(io.BytesIO(drawn.png)).convert("RGB"), dtype=int)
    found: np.ndarray = (pixels[:, :, 0] > 200) & (pixels[:, :, 1:].max(axis=2) < 90)
    return found


@pytest.mark.parametrize("kind", ["bar", "barh"])
@pytest.mark.parametrize("render", RENDERERS)
def test_boxes_of_bars_are_the_runs_of_their_color(
    kind: str, render: Callable[[Chart], Drawn]
) -> None:
    if render is draw_with_matplotlib:
        pytest.importorskip("matplotlib", reason="needs the extra synth")
    drawn = render(fixture_chart(kind))
    red = colored(drawn)
    assert len(drawn.marks) == 4
    covered = np.zeros_like(red)
    for mark in drawn.marks:
        x0, y0, x1, y1 = mark.box
        part = red[round(y0) - 3 : round(y1) + 4, round(x0) - 3 : round(x1) + 4]
        ys, xs = np.nonzero(part)
        left, top = round(x0) - 3, round(y0) - 3
        assert abs(left + xs.min() - x0) <= 1.5
        assert abs(left + xs.max() + 1 - x1) <= 1.5
        assert abs(top + ys.min() - y0) <= 1.5
        assert abs(top + ys.max() + 1 - y1) <= 1.5
        covered[top : round(y1) + 4, left : round(x1) + 4] = True
    assert not (red & ~covered).any()


@pytest.mark.parametrize("render", RENDERERS)
def test_heights_are_values_times_pixels(render: Callable[[Chart], Drawn]) -> None:
    if render is draw_with_matplotlib:
        pytest.importorskip("matplotlib", reason="needs the extra synth")
    chart = fixture_chart()
    drawn = render(chart)
    for mark in drawn.marks:
        height = mark.box[3] - mark.box[1]
        assert height == pytest.approx(chart.series[0].values[mark.index] * drawn.pixels, abs=1)


@pytest.mark.slow
def test_samples_are_sound(generator: ChartsGenerator) -> None:
    samples = made(generator, 60)
    for sample in samples:
        check_sample(sample)
    check_others_fail(samples)


@pytest.mark.slow
def test_yes_and_no_are_even() -> None:
    samples = made(create_drawn({"questions": 8, "forms": 0}), 150)
    assert 0.42 < yes_share(samples) < 0.58


def test_words_do_not_tell_that_a_label_is_absent() -> None:
    samples = made(create_drawn({"questions": 8, "forms": 0}), 150)
    tasks = [t for s in samples for t in s.tasks if '"not shown"' in t.question]
    absent = sum(t.answer_text == "not shown" for t in tasks)
    assert {t.task for t in tasks} == {"chart_absent", "chart_value"}
    assert 5 < absent < 0.6 * len(tasks)


def test_golden_drawn_chart(request: pytest.FixtureRequest) -> None:
    sample = make(create_drawn({}), 2)
    assert sample is not None
    check_golden("charts-drawn", sample, request.config.getoption("--update-golden"))


def test_golden_chart_answers(request: pytest.FixtureRequest) -> None:
    matplotlib = pytest.importorskip("matplotlib", reason="needs the extra synth")
    sample = make(create({"panels": 0.0}), 2)
    assert sample is not None
    # Boxes and pixels belong to a version of matplotlib: only data and questions are kept.
    kept = ("chart_type", "title", "data_table")
    plain = replace(sample, gt={k: sample.gt[k] for k in kept})
    if matplotlib.__version__.startswith("3.11"):
        update = request.config.getoption("--update-golden")
        check_golden("charts", plain, update, with_pixels=False)
    assert sample.gt["data_table"]


def test_hash_seeds_do_not_matter(generator: ChartsGenerator) -> None:
    if generator.name == "charts":
        check_hash_seeds("nanovl.synth.charts.generator", '{"kinds": ["grouped", "line", "pie"]}')
    else:
        check_hash_seeds("nanovl.synth.charts.generator", factory="create_drawn")


@pytest.mark.parametrize("kind", sorted(MAKERS))
def test_every_kind_is_drawn_with_all_its_marks(kind: str) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra synth")
    drawn = 0
    for seed in range(8):
        try:
            chart = draw_chart(random.Random(seed), random.Random(seed), [kind])
            picture = draw_with_matplotlib(chart)
        except Reject:
            continue
        drawn += 1
        wanted = sum(len(s.values) for s in chart.series)
        assert len(picture.marks) == wanted
        roles = {t.role for t in picture.texts}
        assert "title" in roles
        if chart.has_legend:
            names = [t.text for t in picture.texts if t.role == "legend"]
            assert names == [s.name for s in chart.series]
        if chart.has_values:
            assert sum(t.role == "value" for t in picture.texts) == wanted
        for text in picture.texts:
            assert text.box[0] >= -0.5
            assert text.box[2] <= picture.width + 0.5
        if drawn == 2:
            break
    assert drawn >= 1
    assert kind in KIND_NAMES


def test_values_asked_for_can_be_read() -> None:
    rng = random.Random(0)
    chart = fixture_chart(
        series=(Series(name="Rain", values=(0.5, 40, 25, 25.5), color="#ff0000",
                       color_name="red"),), decimals=1,
    )  # fmt: skip
    view = View(chart, draw_with_pillow(chart), rng)
    entries = view.entries(0)
    assert not view.can_read(entries[0])  # a bar of a few pixels
    assert view.can_read(entries[1])
    assert view.gap >= 0.05 * 50
    assert entries[3].value - entries[2].value < view.gap
    printed = View(replace(chart, has_values=True), view.drawn, rng)
    assert printed.can_read(entries[0])
    assert printed.tolerance is None


def test_answers_are_computed_from_the_data(generator: ChartsGenerator) -> None:
    checked = 0
    for sample in made(generator, 60):
        if sample.gt["chart_type"] == "panels":  # see test_more_charts
            continue
        series = sample.gt["series"]
        for task in sample.tasks:
            if task.verifier == "mcq" or len(series) != 1 or sample.gt["chart_type"] in (
                "waterfall", "gantt"
            ):  # fmt: skip
                continue
            marks = {str(m["x"]): m["y"] for m in series[0]["marks"]}
            if task.task == "chart_argmax":
                assert marks[task.answer_text] == max(marks.values())
                checked += 1
            elif task.task == "chart_argmin":
                assert marks[task.answer_text] == min(marks.values())
                checked += 1
            elif task.task == "chart_value":
                assert task.answer.value in marks.values()
                checked += 1
            elif task.task == "chart_span":
                span = max(marks.values()) - min(marks.values())
                assert task.answer.value == pytest.approx(span)
                checked += 1
    assert checked > 8


@pytest.mark.parametrize("kind", CODE_KINDS)
def test_code_draws_the_same_data(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    matplotlib = pytest.importorskip("matplotlib", reason="needs the extra synth")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    monkeypatch.setattr(pyplot, "show", lambda: None)
    chart = draw_chart(random.Random(5), random.Random(5), [kind])
    space: dict[str, object] = {}
    exec(code(chart), space)
    axes = pyplot.gcf().axes[0]
    try:
        assert axes.get_title() == chart.title
        if kind in ("bar", "grouped", "stacked"):
            drawn = sorted(round(p.get_height(), 3) for p in axes.patches)
        elif kind == "barh":
            drawn = sorted(round(p.get_width(), 3) for p in axes.patches)
        elif kind == "pie":
            drawn = sorted(round((p.theta2 - p.theta1) / 3.6, 3) for p in axes.patches)
        elif kind == "scatter":
            drawn = sorted(
                round(float(y), 3) for c in axes.collections for y in c.get_offsets()[:, 1]
            )
        else:
            drawn = sorted(round(float(y), 3) for line in axes.lines for y in line.get_ydata())
        assert drawn == pytest.approx(sorted(v for s in chart.series for v in s.values), abs=0.01)
    finally:
        pyplot.close("all")


def test_data_table_holds_every_value() -> None:
    for kind in sorted(PIL_KINDS):
        chart = draw_chart(random.Random(3), random.Random(3), [kind])
        header, rows = data_table(chart)
        values = sum(len(s.values) for s in chart.series)
        if kind == "scatter":
            assert len(rows) == values
        elif kind not in ("pie", "donut"):
            assert len(rows) * (len(header) - 1) == values


def test_limits_are_round_and_hold_the_data() -> None:
    rng = random.Random(0)
    for _ in range(200):
        low = rng.uniform(-50, 400)
        high = low + rng.uniform(0.5, 900)
        bottom, top = nice_limits(low, high, from_zero=rng.random() < 0.5)
        assert bottom <= low < high <= top
    with pytest.raises(Reject, match="flat"):
        nice_limits(3, 3, from_zero=False)


def test_a_missing_matplotlib_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *args: object, **kwargs: object) -> object:
        if name.split(".")[0] == "matplotlib":
            raise ImportError(name)
        return real(name, *args, **kwargs)  # type: ignore[arg-type]

    for name in [n for n in sys.modules if n.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(BackendError, match=r"nanovl\[synth\]"):
        mpl.draw_with_matplotlib(fixture_chart())


def test_bad_settings_are_named() -> None:
    with pytest.raises(ConfigError, match="spiderweb"):
        create_drawn({"kinds": ["spiderweb"]})
    with pytest.raises(ConfigError, match="cannot draw 'radar'"):
        create_drawn({"kinds": ["radar"]})
    with pytest.raises(ConfigError, match="at least one task"):
        create_drawn({"questions": 0, "forms": 0})
    with pytest.raises(InputError, match="radar"):
        draw_with_pillow(fixture_chart("radar"))
