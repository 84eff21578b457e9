"""Vega-Lite charts, figures of several panels, two value axes, and stacked areas."""

from __future__ import annotations

import builtins
import io
import random
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from nanovl.core.errors import BackendError, ConfigError, InputError
from nanovl.synth.base import Reject, Sample
from nanovl.synth.charts.data import draw_chart
from nanovl.synth.charts.dual import sides
from nanovl.synth.charts.generator import create, create_drawn, create_vega
from nanovl.synth.charts.mpl import MATPLOTLIB, draw_with_matplotlib
from nanovl.synth.charts.panels import draw_figure
from nanovl.synth.charts.pil import PIL_KINDS, draw_with_pillow
from nanovl.synth.charts.spec import Chart, Drawn
from nanovl.synth.charts.vega import VEGA, VEGA_KINDS, draw_with_vega
from nanovl.synth.charts.vegaspec import FACES, specification
from nanovl.synth.charts.view import View
from nanovl.synth.typefaces import has_family
from tests.unit.synth.charts.test_charts import colored, fixture_chart
from tests.unit.synth.checks import (
    check_golden,
    check_hash_seeds,
    check_others_fail,
    check_sample,
    made,
    make,
)

NEEDS_VEGA = pytest.mark.skipif(
    not VEGA.is_there or not all(has_family(name) for _, name in FACES.values()),
    reason="needs the extra synth, fonts-dejavu and fonts-liberation2",
)
NEEDS_MATPLOTLIB = pytest.mark.skipif(not MATPLOTLIB.is_there, reason="needs the extra synth")


def some(
    kind: str, draw: object = draw_with_matplotlib, count: int = 3
) -> list[tuple[Chart, Drawn]]:
    found = []
    for seed in range(60):
        try:
            chart = draw_chart(random.Random(seed), random.Random(seed + 1), (kind,))
            found.append((chart, draw(chart)))  # type: ignore[operator]
        except Reject:
            continue
        if len(found) == count:
            break
    return found


@NEEDS_VEGA
class TestVega:
    @pytest.mark.parametrize("kind", ["bar", "barh"])
    def test_boxes_of_bars_are_the_runs_of_their_color(self, kind: str) -> None:
        drawn = draw_with_vega(fixture_chart(kind))
        red = colored(drawn)
        assert len(drawn.marks) == 4
        for mark in drawn.marks:
            x0, y0, x1, y1 = mark.box
            ys, xs = np.nonzero(red[round(y0) - 3 : round(y1) + 4, round(x0) - 3 : round(x1) + 4])
            left, top = round(x0) - 3, round(y0) - 3
            assert abs(left + xs.min() - x0) <= 1.5
            assert abs(left + xs.max() + 1 - x1) <= 1.5
            assert abs(top + ys.min() - y0) <= 1.5
            assert abs(top + ys.max() + 1 - y1) <= 1.5

    def test_heights_are_values_times_pixels(self) -> None:
        chart = fixture_chart()
        drawn = draw_with_vega(chart)
        for mark in drawn.marks:
            height = mark.box[3] - mark.box[1]
            wanted = chart.series[0].values[mark.index] * drawn.pixels
            assert height == pytest.approx(wanted, abs=1.5)

    def test_boxes_of_texts_hold_all_their_ink(self) -> None:
        drawn = draw_with_vega(fixture_chart(has_values=True))
        image = np.asarray(Image.open(io.BytesIO(drawn.png)).convert("L"), dtype=int)
        roles = {t.role for t in drawn.texts}
        assert roles >= {"title", "x_label", "y_label", "tick_x", "tick_y", "value"}
        for text in drawn.texts:
            x0, y0, x1, y1 = (round(v) for v in text.box)
            inner = image[y0 : y1 + 1, x0 : x1 + 1]
            assert inner.min() < 120, text
            # A ring around the box is free of ink, so the box is not too small.
            outer = image[max(0, y0 - 2) : y1 + 3, max(0, x0 - 2) : x1 + 3].copy()
            outer[2:-2, 2:-2] = 255
            if text.role in ("title", "x_label"):
                assert (outer < 100).sum() == 0, text

    @pytest.mark.parametrize("kind", VEGA_KINDS)
    def test_every_kind_has_all_its_marks(self, kind: str) -> None:
        found = some(kind, draw_with_vega)
        assert len(found) == 3
        for chart, drawn in found:
            places = {(m.series, m.index) for m in drawn.marks}
            assert places == {(s, k) for s, one in enumerate(chart.series)
                              for k in range(len(one.values))}  # fmt: skip
            if chart.has_values and kind != "stacked100":
                values = [t for t in drawn.texts if t.role == "value"]
                assert len(values) == len(places)

    def test_the_first_series_of_a_stack_stands_on_the_axis(self) -> None:
        for chart, drawn in some("stacked", draw_with_vega):
            for mark in drawn.marks:
                if mark.series == 0:
                    assert mark.box[3] == pytest.approx(drawn.plot[3], abs=2)
            assert chart.series

    @pytest.mark.slow
    def test_samples_are_sound(self) -> None:
        samples = made(create_vega({}), 40)
        for sample in samples:
            check_sample(sample)
        check_others_fail(samples)

    def test_golden_answers(self, request: pytest.FixtureRequest) -> None:
        sample = make(create_vega({"panels": 0.0}), 2)
        assert sample is not None
        kept = ("chart_type", "title", "data_table")
        plain = replace(sample, gt={k: sample.gt[k] for k in kept},
                        tasks=tuple(t for t in sample.tasks if t.verifier != "iou"))  # fmt: skip
        update = request.config.getoption("--update-golden")
        check_golden("charts-vega", plain, update, with_pixels=False)

    def test_hash_seeds_do_not_matter(self) -> None:
        check_hash_seeds("nanovl.synth.charts.generator", factory="create_vega")


def test_without_vl_convert_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *args: object, **more: object) -> object:
        if name == "vl_convert":
            raise ImportError(name)
        return real(name, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(BackendError, match="synth"):
        draw_with_vega(fixture_chart())
    monkeypatch.undo()
    with pytest.raises(InputError, match="radar"):
        draw_with_vega(fixture_chart("radar"))


def test_specification_is_plain_data_with_every_value() -> None:
    spec = specification(fixture_chart("grouped"))
    assert [row["v"] for row in spec["data"]["values"]] == [10, 40, 25, 33]
    assert {row["id"] for row in spec["data"]["values"]} == {f"m|0|{k}" for k in range(4)}


@NEEDS_MATPLOTLIB
def test_both_sides_of_a_dual_chart_are_read_on_their_axis() -> None:
    found = some("dual")
    assert len(found) == 3
    for chart, drawn in found:
        (left, left_drawn), (right, right_drawn) = sides(chart, drawn)
        assert left.measure != right.measure
        for side, picture in ((left, left_drawn), (right, right_drawn)):
            assert side.low is not None
            for mark in picture.marks:
                # Height above the axis, by the pixels of this side's own axis.
                value = side.series[0].values[mark.index]
                top = mark.box[1] if side.kind == "bar" else mark.center[1]
                up = picture.plot[3] - top
                assert up == pytest.approx((value - side.low) * picture.pixels, abs=1.5)


@pytest.mark.slow
@NEEDS_MATPLOTLIB
def test_dual_charts_are_asked_about() -> None:
    samples = made(create({"kinds": ["dual"], "panels": 0.0, "questions": 5}), 20)
    kinds = set()
    for sample in samples:
        check_sample(sample)
        kinds |= {t.task for t in sample.tasks}
        for task in sample.tasks:
            if task.task == "chart_side_of":
                first, second = (s["name"] for s in sample.gt["series"])
                name = first if task.answer.value == "left" else second
                assert name in task.question
    assert {"chart_side_of", "chart_mark_of"} <= kinds


@NEEDS_MATPLOTLIB
def test_bands_of_a_stacked_area_lie_on_each_other() -> None:
    for chart, drawn in some("stackedarea"):
        view = View(chart, drawn, random.Random(0))
        for k in range(len(chart.categories)):
            base = 0.0
            for s, series in enumerate(chart.series):
                mark = drawn.mark(s, k)
                assert mark is not None
                up = (drawn.plot[3] - mark.center[1]) / drawn.pixels
                assert up == pytest.approx(base + series.values[k] / 2, abs=2 / drawn.pixels)
                base += series.values[k]
                assert s == 0 or not view.can_read(view.entries(s)[k])


@pytest.mark.parametrize("split", [False, True])
def test_panels_are_charts_at_their_places(split: bool) -> None:
    seen = 0
    for seed in range(30):
        rng, style = random.Random(seed), random.Random(seed + 9)
        try:
            figure = draw_figure(rng, style, tuple(PIL_KINDS), draw_with_pillow)
        except Reject:
            continue
        if figure.is_split != split:
            continue
        seen += 1
        assert 2 <= len(figure.panels) <= 6
        image = np.asarray(Image.open(io.BytesIO(figure.png)).convert("L"), dtype=int)
        assert image.shape == (figure.height, figure.width)
        for (chart, drawn), area in zip(figure.panels, figure.areas, strict=True):
            for box in [m.box for m in drawn.marks] + [t.box for t in drawn.texts]:
                assert area[0] - 1 <= box[0] < box[2] <= area[2] + 1
                assert area[1] - 1 <= box[1] < box[3] <= area[3] + 1
            title = next(t for t in drawn.texts if t.role == "title")
            assert title.text == chart.title
            x0, y0, x1, y1 = (int(v) for v in title.box)
            part = image[y0 : y1 + 1, x0 : x1 + 1]
            assert part.max() - part.min() > 60
        if split:
            assert len({(c.low, c.high) for c, _ in figure.panels}) == 1
    assert seen >= 3


def test_figures_are_asked_about() -> None:
    samples = made(create_drawn({"panels": 1.0, "questions": 6}), 40)
    kinds = set()
    for sample in samples:
        check_sample(replace(sample, gt={}))
        kinds |= {t.task for t in sample.tasks}
        _check_whole(sample)
    check_others_fail(samples)
    assert {"chart_n_panels", "chart_panel_kind", "chart_panel_count", "chart_panel_box",
            "chart_panel_title", "chart_panel_highest"} <= kinds  # fmt: skip


def _check_whole(sample: Sample) -> None:
    panels = sample.gt["panels"]
    for task in sample.tasks:
        if task.task == "chart_n_panels":
            assert task.answer.value == len(panels)
        if task.task == "chart_panel_title":
            place = ord(str(task.answer.value)) - ord("a")
            assert f'"{panels[place]["title"]}"' in task.question
        if task.task == "chart_panel_highest":
            place = ord(str(task.answer.value)) - ord("a")
            columns = panels[0]["x"]["categories"]
            item = next(c for c in sorted(columns, key=len, reverse=True) if c in task.question)
            tops = [p["series"][0]["marks"][columns.index(item)]["y"] for p in panels]
            assert tops[place] == max(tops)


def test_a_bad_share_of_panels_is_named() -> None:
    with pytest.raises(ConfigError, match="panels"):
        create_drawn({"panels": 1.5})
