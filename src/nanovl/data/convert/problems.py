"""Problems with worked solutions: TabMWP pictures and GSM8K texts.

The solution is the reasoning trace and the answer stands alone. A record with a trace can be
shown with reasoning on, or off without its trace; a text problem gets a reasoning-off twin that
works the solution out in the open, because nobody can say its result at once.
"""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Iterator
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
from nanovl.data.convert.charts import REASONING
from nanovl.data.convert.markup import is_number
from nanovl.data.convert.sources import find_file, read_lines, read_samples, sample_picture
from nanovl.data.convert.templates import Question, letters, options_text, question

__all__ = ["FORMATS", "convert_gsm8k", "convert_tabmwp"]


def convert_tabmwp(source: Path, options: ConvertOptions) -> Iterator[Converted]:
    """Sample tars with question, choices, answer, solution and the table as text."""
    mode = options.choice("reasoning", "both", ("both", "on", "off"))

    def make(item: Item) -> list[Converted]:
        name = item.text("id")
        key = f"nanovl-{name}"
        draw = rng(key, options.seed)
        asked, answer, task = _problem(item, draw)
        solution = item.text("solution")
        turns = [
            Turn(
                question=asked,
                answer=answer,
                trace="" if mode == "off" else solution,
                reasoning="on" if mode == "on" else None,
                task=task,
                key="answer",
            ),
            Turn(
                question=question("table_extraction", draw, format="CSV"),
                answer=_as_csv(item.text("table")),
                task="table_ocr",
                key="table",
            ),
        ]
        media = sample_picture(item, "tabmwp", name)
        return records(options, id=key, turns=turns, source="nanovl-tabmwp", media=[media])

    path = find_file(source, options, "tabmwp_{split}.tar", "{split}.tar")
    return each(read_samples(path, options), make, options)


def _problem(item: Item, draw: random.Random) -> tuple[Question, str, str]:
    asks, answer = item.text("question"), item.text("answer")
    if item.data.get("choices") is None:
        form = "number_answer" if is_number(answer) else "short_answer"
        return question(form, draw, question=asks), answer, "table_math"
    choices = item.texts("choices", aligned=True)
    if answer not in choices:
        raise Malformed("no_answer", f"answer: {answer!r} is not among the choices")
    asked = question("multiple_choice", draw, question=asks, options=options_text(choices))
    return asked, letters(len(choices))[choices.index(answer)], "table_math_choice"


def _as_csv(table: str) -> str:
    stream = io.StringIO()
    rows = [[cell.strip() for cell in line.split("|")] for line in table.splitlines()]
    csv.writer(stream, lineterminator="\n").writerows(rows)
    return stream.getvalue().strip("\n")


def convert_gsm8k(source: Path, options: ConvertOptions) -> Iterator[Converted]:
    """Lines of question, solution and answer."""
    twins = options.flag("twins", True)

    def make(item: Item) -> list[Converted]:
        key = f"nanovl-{item.text('id')}"
        draw = rng(key, options.seed)
        asks, solution, answer = item.text("question"), item.text("solution"), item.text("answer")
        turns = [
            Turn(
                question=question("number_answer", draw, question=asks),
                answer=answer,
                trace=solution,
                reasoning="on",
                task="math",
            )
        ]
        if twins:
            turns.append(
                Turn(
                    question=question("worked_problem", draw, question=asks),
                    answer=f"{solution}\n\nAnswer: {answer}",
                    task="math_worked",
                    key="worked",
                )
            )
        return records(options, id=key, turns=turns, source="nanovl-gsm8k")

    path = find_file(source, options, "gsm8k_{split}.jsonl.gz", "gsm8k_{split}.jsonl")
    return each(read_lines(path, options), make, options)


FORMATS = (
    Format(
        name="nanovl-tabmwp",
        description="Table problems with pictures: answer with the solution as trace, and table",
        convert=convert_tabmwp,
        expects="tabmwp_<split>.tar or its folder",
        licence="CC BY-NC-SA 4.0 (non-commercial)",
        options={**MULTI_TURN, **REASONING},
    ),
    Format(
        name="nanovl-gsm8k",
        description="Grade-school mathematics in text with worked solutions as traces",
        convert=convert_gsm8k,
        expects="gsm8k_<split>.jsonl.gz or its folder",
        licence="MIT",
        options={
            "twins": "also a reasoning-off record that shows the solution (default true)",
        },
    ),
)
