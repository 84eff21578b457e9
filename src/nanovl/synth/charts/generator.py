"""The generators `charts` (matplotlib), `charts-drawn` (Pillow alone) and `charts-vega`.

Source: data synthesis specification, section 7.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from nanovl.core.config import from_dict, nearest
from nanovl.core.errors import ConfigError
from nanovl.synth.base import Media, Reject, Requirement, Sample, Streams
from nanovl.synth.charts.data import MAKERS, draw_chart
from nanovl.synth.charts.dual import dual_questions
from nanovl.synth.charts.mpl import MATPLOTLIB, draw_with_matplotlib
from nanovl.synth.charts.panels import draw_figure, figure_questions
from nanovl.synth.charts.pil import PIL_KINDS, draw_with_pillow
from nanovl.synth.charts.qa import questions as chart_questions
from nanovl.synth.charts.spec import Chart, Drawn
from nanovl.synth.charts.tell import data_table, telling_tasks
from nanovl.synth.charts.vega import VEGA, VEGA_KINDS, draw_with_vega

__all__ = ["ChartsConfig", "ChartsGenerator", "create", "create_drawn", "create_vega", "sample_of"]


@dataclass(frozen=True, kw_only=True)
class ChartsConfig:
    """Settings of `charts`, `charts-drawn` and `charts-vega`.

    Attributes:
        kinds: Which charts; empty for all that the renderer draws.
        questions: Questions a chart.
        forms: Tasks that give the chart in another form, such as a table.
        panels: Share of figures with several charts.
    """

    kinds: tuple[str, ...] = ()
    questions: int = 4
    forms: int = 1
    panels: float = 0.08

    def __post_init__(self) -> None:
        for kind in self.kinds:
            if kind not in MAKERS:
                raise ConfigError(f"kinds: {kind!r} does not exist{nearest(kind, MAKERS)}")
        if self.questions < 0 or self.forms < 0 or not self.questions + self.forms:
            raise ConfigError("questions and forms: expected at least one task a chart")
        if not 0 <= self.panels <= 1:
            raise ConfigError(f"panels: got {self.panels}, expected 0 to 1")


class ChartsGenerator:
    """Makes chart samples.

    Args:
        name: Name of the generator.
        config: Settings.
        render: Draws a chart.
        kinds: What it can draw.
        requires: What it needs.
    """

    version = "3"

    def __init__(
        self,
        name: str,
        config: ChartsConfig,
        render: Callable[[Chart], Drawn],
        kinds: tuple[str, ...],
        requires: tuple[Requirement, ...],
    ) -> None:
        unknown = [k for k in config.kinds if k not in kinds]
        if unknown:
            raise ConfigError(f"kinds: {name} cannot draw {unknown[0]!r}, only {sorted(kinds)}")
        self.name = name
        self.config = config
        self.render = render
        self.kinds = config.kinds or kinds
        self.requires = requires

    def generate(self, index: int, streams: Streams) -> Sample:
        """The sample of an index.

        Raises:
            Reject: The chart has parts that do not fit, or nothing can be asked.
            BackendError: The renderer is not installed.
        """
        if streams.rng("panels").random() < self.config.panels:
            return self._figure(streams)
        chart = draw_chart(streams.rng("content"), streams.rng("style"), self.kinds)
        return sample_of(
            self.name, self.version, streams, chart, self.render(chart),
            questions=self.config.questions, forms=self.config.forms,
        )  # fmt: skip

    def _figure(self, streams: Streams) -> Sample:
        """A figure of several charts."""
        figure = draw_figure(streams.rng("content"), streams.rng("style"), self.kinds, self.render)
        count = max(1, self.config.questions)
        tasks = figure_questions(figure, streams.rng("qa"), count, ("image",))
        media = Media(
            name="image", kind="image", data=figure.png, ext="png", width=figure.width,
            height=figure.height,
        )  # fmt: skip
        gt = {
            "chart_type": "panels",
            "canvas": [figure.width, figure.height],
            "panels": [
                {"bbox": list(area), **truth(chart, drawn)}
                for area, (chart, drawn) in zip(figure.areas, figure.panels, strict=True)
            ],
        }
        return Sample(
            generator=self.name,
            version=self.version,
            seed=streams.seed,
            gt=gt,
            tasks=tuple(tasks),
            media=(media,),
            tags=("chart:panels", "difficulty:3"),
        )


def sample_of(
    name: str,
    version: str,
    streams: Streams,
    chart: Chart,
    drawn: Drawn,
    *,
    questions: int,
    forms: int,
) -> Sample:
    """A chart that is drawn, with its truth, questions and other forms.

    Args:
        name, version: Of the generator.
        streams: Of the attempt; "qa" is used.
        chart, drawn: What it says, and where.
        questions, forms: How many of each.

    Raises:
        Reject: Nothing can be asked.
    """
    qa = streams.rng("qa")
    ask = dual_questions if chart.kind == "dual" else chart_questions
    tasks = ask(chart, drawn, qa, questions, ("image",))
    tasks += telling_tasks(chart, drawn, qa, forms, ("image",))
    if not tasks:
        raise Reject("no_task", f"nothing to ask about this {chart.kind} chart")
    count = len(chart.series) * max(1, len(chart.categories))
    level = 1 + (count > 6) + (count > 15)
    media = Media(
        name="image", kind="image", data=drawn.png, ext="png", width=drawn.width,
        height=drawn.height,
    )  # fmt: skip
    return Sample(
        generator=name,
        version=version,
        seed=streams.seed,
        gt=truth(chart, drawn),
        tasks=tuple(tasks),
        media=(media,),
        tags=(f"chart:{chart.kind}", f"difficulty:{level}"),
    )


def truth(chart: Chart, drawn: Drawn) -> dict[str, Any]:
    """Everything known about a chart, JSON-able."""
    series = []
    for s, one in enumerate(chart.series):
        marks = []
        for mark in drawn.marks:
            if mark.series == s:
                x: Any = one.xs[mark.index] if one.xs else chart.categories[mark.index]
                marks.append(
                    {
                        "x": x,
                        "y": one.values[mark.index],
                        "bbox": list(mark.box),
                        "center": list(mark.center),
                    }
                )
        series.append(
            {"name": one.name, "color": one.color, "color_name": one.color_name, "marks": marks}
        )
    header, rows = data_table(chart)
    return {
        "chart_type": chart.kind,
        "title": chart.title,
        "x": {"label": chart.x_label, "categories": list(chart.categories)},
        "y": {
            "label": chart.y_label,
            "unit": chart.unit,
            "low": chart.low,
            "high": chart.high,
            "pixels_per_unit": drawn.pixels,
        },
        "series": series,
        "text_elements": [
            {"role": t.role, "text": t.text, "bbox": list(t.box)} for t in drawn.texts
        ],
        "plot": list(drawn.plot),
        "data_table": [header, *rows],
        "has_values": chart.has_values,
        "extra": dict(chart.extra),
        "canvas": [drawn.width, drawn.height],
    }


def create(config: Mapping[str, Any]) -> ChartsGenerator:
    """`charts` with these settings.

    Raises:
        ConfigError: Unknown or impossible setting.
    """
    found = from_dict(ChartsConfig, config, where="charts")
    return ChartsGenerator("charts", found, draw_with_matplotlib, tuple(MAKERS), (MATPLOTLIB,))


def create_drawn(config: Mapping[str, Any]) -> ChartsGenerator:
    """`charts-drawn` with these settings; needs nothing but Pillow.

    Raises:
        ConfigError: Unknown or impossible setting.
    """
    found = from_dict(ChartsConfig, config, where="charts-drawn")
    return ChartsGenerator("charts-drawn", found, draw_with_pillow, tuple(PIL_KINDS), ())


def create_vega(config: Mapping[str, Any]) -> ChartsGenerator:
    """`charts-vega` with these settings: Vega-Lite without a browser.

    Raises:
        ConfigError: Unknown or impossible setting.
    """
    found = from_dict(ChartsConfig, config, where="charts-vega")
    return ChartsGenerator("charts-vega", found, draw_with_vega, VEGA_KINDS, (VEGA,))
