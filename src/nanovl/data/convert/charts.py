"""Charts: questions, chart to table, title, axes and type.

The chart tars bring options, an explanation (used as reasoning trace), the plotted data and the
literal strings of the drawing code; ChartQA brings a question and a label per entry and, beside
the pictures, the data as CSV files.
"""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

from nanovl.data.convert.base import (
    MULTI_TURN,
    Converted,
    ConvertOptions,
    Format,
    Item,
    Malformed,
    Turn,
    each,
    records,
    rng,
)
from nanovl.data.convert.markup import is_number, markdown_table
from nanovl.data.convert.sources import (
    find_file,
    find_files,
    load_json,
    media_file,
    picture,
    read_objects,
    read_samples,
    sample_picture,
)
from nanovl.data.convert.templates import letters, options_text, question

__all__ = ["FORMATS", "convert_chartqa", "convert_charts"]

REASONING = {
    "reasoning": "records with a trace: both (drawn while loading, default), on, or off "
    "(the trace is left out)"
}

# Kinds of chart whose literal strings are title, x axis, y axis when there are three of them.
_WITH_AXES = {"line_chart", "bar_chart", "area_chart", "stacked_area_chart", "stacked_bar_chart"}
# Scatter plots and maps hold more numbers than anybody can read off the picture.
_READABLE = {*_WITH_AXES, "pie_chart", "heatmap", "stacked_bar_100"}
_TYPE_WORDS = {"stacked_bar_100": "100% stacked bar chart"}
_DRAWING_COLUMNS = {"color", "colour", "height", "width", "opacity"}


def convert_charts(source: Path, options: ConvertOptions) -> Iterator[Converted]:
    """Sample tars with question, options, explanation, csv and static_text."""

    def make(item: Item) -> list[Converted]:
        name = item.text("id")
        key = f"charts-{name}"
        draw = rng(key, options.seed)
        turns = [_choice(item, draw, options), *_facts(item, draw)]
        table = _table(item, draw, options.integer("max_rows", 20))
        return records(
            options,
            id=key,
            turns=[*turns, *table],
            source="nanovl-charts",
            media=[sample_picture(item, "charts", name)],
        )

    path = find_file(source, options, "mcqa_{split}.tar", "*_{split}.tar", "{split}.tar")
    return each(read_samples(path, options), make, options)


def lettered(item: Item, key: str) -> tuple[list[str], list[str]]:
    """Letters and texts of an object of options, in the order of the letters."""
    child = item.child(key)
    names = sorted(str(k) for k in child.data)
    if len(names) < 2 or tuple(names) != letters(len(names)):
        raise Malformed("bad_value", f"{item.name(key)}: got the keys {names}, expected A, B, ...")
    return names, [child.text(name) for name in names]


def _choice(item: Item, draw: random.Random, options: ConvertOptions) -> Turn:
    names, texts = lettered(item, "options")
    answer = item.text("answer")
    if answer not in names:
        raise Malformed("no_answer", f"answer: got {answer!r}, expected one of {', '.join(names)}")
    mode = options.choice("reasoning", "both", ("both", "on", "off"))
    return Turn(
        question=question(
            "multiple_choice", draw, question=item.text("question"), options=options_text(texts)
        ),
        answer=answer,
        trace="" if mode == "off" else item.maybe("explanation"),
        reasoning="on" if mode == "on" else None,
        task="chart_choice",
        key="choice",
    )


def _facts(item: Item, draw: random.Random) -> list[Turn]:
    """Questions about what is printed on the chart, and about its kind."""
    kind = item.text("chart_type")
    texts = [t for t in item.items("static_text") if isinstance(t, str) and t.strip()]
    turns = []
    if texts:
        turns.append(
            Turn(
                question=question("chart_title", draw),
                answer=texts[0].strip(),
                task="chart_title",
                key="title",
            )
        )
    if len(texts) == 3 and kind in _WITH_AXES:
        axis, text = draw.choice((("x", texts[1]), ("y", texts[2])))
        turns.append(
            Turn(
                question=question("chart_axis", draw, axis=axis),
                answer=text.strip(),
                task="chart_axis",
                key="axis",
            )
        )
    if kind in _READABLE:  # the others are sometimes drawn as something else
        turns.append(
            Turn(
                question=question("chart_type", draw),
                answer=_TYPE_WORDS.get(kind, kind.replace("_", " ")),
                task="chart_type",
                key="type",
            )
        )
    return turns


def _table(item: Item, draw: random.Random, max_rows: int) -> list[Turn]:
    """The plotted data, where the picture shows them as they are."""
    text = item.maybe("csv")
    if not text or item.text("chart_type") not in _READABLE:
        return []
    rows = list(csv.reader(io.StringIO(text)))
    kept = [i for i, name in enumerate(rows[0]) if name.strip().lower() not in _DRAWING_COLUMNS]
    # An "inverted" column holds helper values of the drawing, not what can be read.
    if len(kept) < 2 or len(rows) - 1 > max_rows or any("invert" in n.lower() for n in rows[0]):
        return []
    if any(len(row) != len(rows[0]) for row in rows):
        raise Malformed("bad_value", "csv: its rows differ in length")
    return [table_turn([[row[i] for i in kept] for row in rows], draw)]


def table_turn(rows: Sequence[Sequence[str]], draw: random.Random) -> Turn:
    """Chart to table, as CSV or as a markdown table."""
    form = draw.choice(("CSV", "markdown"))
    if form == "CSV":
        stream = io.StringIO()
        csv.writer(stream, lineterminator="\n").writerows(rows)
        answer = stream.getvalue().strip()
    else:
        answer = markdown_table(rows[0], rows[1:])
    return Turn(
        question=question("chart_table", draw, format=form),
        answer=answer,
        task="chart_table",
        key="table",
    )


def convert_chartqa(source: Path, options: ConvertOptions) -> Iterator[Converted]:
    """ChartQA entries; the first entry about a chart also asks for its table if there is one."""
    asked: set[str] = set()
    split = {"validation": "val"}.get(options.split, options.split)

    def read() -> Iterator[Item]:
        for path in find_files(source, options, f"{split}_*.json", f"{split}/{split}_*.json"):
            for item in read_objects(load_json(path), path.name, options):
                yield Item(item.where, {**item.data, "_folder": str(path.parent)})

    def make(item: Item) -> list[Converted]:
        folder = Path(item.text("_folder"))
        file, asks, label = item.text("imgname"), item.text("query"), item.text("label")
        place = item.where.removesuffix("]").replace(".json[", "-")
        key = f"chartqa-{place}"
        draw = rng(key, options.seed)
        form = "number_answer" if is_number(label) else "short_answer"
        turns = [Turn(question=question(form, draw, question=asks), answer=label, task="chart_qa")]
        ref = media_file(file, "imgname", options.images, folder / "png", folder)
        made = records(
            options,
            id=key,
            turns=turns,
            source="chartqa",
            media=[media := picture(ref, "chartqa", Path(file).stem, field="imgname")],
        )
        data = folder / "tables" / f"{Path(file).stem}.csv"
        if file not in asked and data.is_file():
            asked.add(file)
            key = f"chartqa-{Path(file).stem}-table"
            rows = [r for r in csv.reader(io.StringIO(data.read_text("utf-8", "replace"))) if r]
            if len(rows) > 1:
                turn = table_turn(rows, rng(key, options.seed))
                bare = Turn(question=turn.question, answer=turn.answer, task=turn.task)
                made += records(options, id=key, turns=[bare], source="chartqa", media=[media])
        return made

    return each(read(), make, options)


FORMATS = (
    Format(
        name="nanovl-charts",
        description="Charts: lettered questions with reasoning, table, title, axis and type",
        convert=convert_charts,
        expects="mcqa_<split>.tar or its folder",
        licence="none stated by the source (it asks for citation)",
        options={
            **MULTI_TURN,
            **REASONING,
            "max_rows": "rows of the longest chart table that is asked for (default 20)",
        },
    ),
    Format(
        name="chartqa",
        description="ChartQA: questions about charts, and their data where present",
        convert=convert_chartqa,
        expects="<split>_human.json / <split>_augmented.json beside png/ and tables/, or the "
        "folder above",
        licence="GPL-3.0 as stated by the source",
    ),
)
