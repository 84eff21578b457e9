"""The generator `render-charts`: numbers of real tables drawn as charts, with questions and data.

The questions are those of our own charts: what people asked about the whole table need not be
answered by the part that is drawn. Must not change numbers.

Source: the rendering table of the training data; data synthesis specification, section 7.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from nanovl.core.config import from_dict, nearest
from nanovl.core.errors import ConfigError, InputError
from nanovl.data.convert.base import ConvertOptions
from nanovl.data.convert.sources import find_file, read_lines
from nanovl.data.convert.table_qa import read_tables
from nanovl.synth.base import Requirement, Sample, Streams
from nanovl.synth.charts.columns import KINDS, Columns, chart_of, columns_of
from nanovl.synth.charts.generator import sample_of
from nanovl.synth.charts.look import draw_look
from nanovl.synth.charts.mpl import MATPLOTLIB, draw_with_matplotlib
from nanovl.synth.charts.pil import PIL_KINDS, draw_with_pillow
from nanovl.synth.charts.spec import Chart, Drawn
from nanovl.synth.charts.vega import VEGA, VEGA_KINDS, draw_with_vega
from nanovl.synth.documents.build import file_digest
from nanovl.synth.documents.stories import LICENCES, TABLE_FILES, Drops, shuffled

__all__ = ["RENDERERS", "RenderedConfig", "TableChartGenerator", "render_charts"]

Draw = Callable[[Chart], Drawn]
RENDERERS: Mapping[str, tuple[Draw, tuple[str, ...], tuple[Requirement, ...]]] = {
    "matplotlib": (draw_with_matplotlib, KINDS, (MATPLOTLIB,)),
    "pillow": (draw_with_pillow, tuple(PIL_KINDS), ()),
    "vega": (draw_with_vega, tuple(VEGA_KINDS), (VEGA,)),
}


@dataclass(frozen=True, kw_only=True)
class RenderedConfig:
    """Settings of `render-charts`.

    Attributes:
        source: File with tables or its folder; in the configuration of a generator its digest.
        dataset: "wtq", "tabfact" or "wikisql" (the tables of TabFact).
        split: Tables that the questions of this split ("train", "val", ...) are about.
        renderer: "matplotlib", "pillow" or "vega".
        kinds: Which charts; empty for all that the renderer draws.
        questions: Questions a chart.
        forms: Tasks that give the chart in another form, such as a table.
    """

    source: str
    dataset: str = "wtq"
    split: str = "train"
    renderer: Literal["matplotlib", "pillow", "vega"] = "matplotlib"
    kinds: tuple[str, ...] = ()
    questions: int = 4
    forms: int = 1

    def __post_init__(self) -> None:
        for name, value, known in (
            ("dataset", self.dataset, tuple(TABLE_FILES)),
            *(("kinds", kind, KINDS) for kind in self.kinds),
        ):
            if value not in known:
                raise ConfigError(
                    f"{name}: got {value!r}, expected one of {', '.join(sorted(known))}"
                    f"{nearest(value, known)}"
                )
        if self.questions < 0 or self.forms < 0 or not self.questions + self.forms:
            raise ConfigError("questions and forms: expected at least one task a chart")


class TableChartGenerator:
    """Makes charts out of the numbers of tables."""

    name = "render-charts"
    version = "1"

    def __init__(self, settings: Mapping[str, Any]) -> None:
        given = from_dict(RenderedConfig, settings, where=self.name)
        self._draw, able, self.requires = RENDERERS[given.renderer]
        self._kinds = tuple(k for k in given.kinds or KINDS if k in able)
        if not self._kinds:
            raise ConfigError(f"kinds: {given.renderer} draws none of {', '.join(given.kinds)}")
        drops = Drops()
        self._tables, paths = _read(given, drops)
        digest = "+".join(file_digest(str(path)) for path in paths)
        self.config = replace(given, source=digest)
        self._order = shuffled(len(self._tables), digest)
        self.skipped = dict(sorted(drops.counts.items()))

    def generate(self, index: int, streams: Streams) -> Sample:
        """The table of an index; tables come round again as other charts.

        Raises:
            Reject: Its numbers make no readable chart, or nothing can be asked.
            BackendError: The renderer is not installed.
        """
        name, columns = self._tables[self._order[index % len(self._tables)]]
        look = draw_look(streams.rng("style"))
        chart = chart_of(columns, streams.rng("content"), look, self._kinds)
        made = sample_of(
            self.name, self.version, streams, chart, self._draw(chart),
            questions=self.config.questions, forms=self.config.forms,
        )  # fmt: skip
        return replace(
            made,
            gt={**made.gt, "table": name},
            tags=(*made.tags, f"source:{self.config.dataset}"),
            license=LICENCES[self.config.dataset],
            group=f"{TABLE_FILES[self.config.dataset]}:{name}",
        )


def _read(
    given: RenderedConfig, drops: Drops
) -> tuple[list[tuple[str, Columns]], tuple[Path, ...]]:
    """Drawable tables by id, and the files they come from."""
    options = ConvertOptions(split=given.split, on_drop=drops)
    start = TABLE_FILES[given.dataset]
    path = find_file(
        Path(given.source), options, f"{start}_tables.jsonl.gz", f"{start}_tables.jsonl"
    )
    wanted, questions = _of_split(path, given, options)
    found = []
    for name, table in sorted(read_tables(path, options).items()):
        if name not in wanted:
            continue
        columns = columns_of(table)
        if columns is None:
            drops("nothing_to_draw")
            continue
        found.append((name, columns))
    if not found:
        raise InputError(f"{path}: no table of split {given.split} can be drawn")
    return found, (path, questions)


def _of_split(path: Path, given: RenderedConfig, options: ConvertOptions) -> tuple[set[str], Path]:
    """Tables that the questions of this split name, and the file with the questions.

    Tables of all splits lie in one file; only the questions tell them apart.
    """
    names = [f"{given.dataset}_{given.split}{end}" for end in (".jsonl.gz", ".jsonl")]
    asked = next((path.with_name(n) for n in names if path.with_name(n).is_file()), None)
    if asked is None:
        raise InputError(
            f"{path}: there is no {names[0]} beside it; it says which tables belong to the split"
        )
    return {item.maybe("table_id") for item in read_lines(asked, options)}, asked


def render_charts(settings: Mapping[str, Any]) -> TableChartGenerator:
    """Factory of `render-charts`.

    Raises:
        ConfigError: Unknown or impossible setting.
        InputError: The tables cannot be read.
    """
    return TableChartGenerator(settings)
