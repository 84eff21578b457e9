"""The sets of the local suite: which sources, and how their items become samples.

Real data comes from validation splits through the converters of `nanovl.data.convert`, made data
from the generators of `nanovl.synth` with split "val", indices no training run reaches, and fonts
that training leaves out where the generator can. Writing files is the business of `mini_suite`.

Source: evaluation specification, section 11.1; issue targets of the small model.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from nanovl.core.errors import InputError
from nanovl.evals.base import Sample
from nanovl.synth.datasets import DataSet, Made
from tools.mini_suite_source import (
    Row,
    Source,
    even,
    of_converted,
    of_made,
    options_of,
    prompt_text,
    said,
    verifier,
)

HELD_OUT = {"font_split": "heldout"}
MOST_TOOL_TEXT = 6000  # characters of function descriptions
_LENGTHS = (1024, 2048, 4096, 8192, 16384)
_NEEDLES = ("needle_prose", "needle_among_keys", "needle_values", "needle_noise", "needle_lines")
_LANGUAGES = ("ar", "de", "el", "es", "hi", "ro", "ru", "th", "tr", "vi", "zh")
_SUMS = (
    "table_sum", "table_sum_all", "table_mean", "table_difference", "table_ratio", "table_change",
    "table_story", "table_story_total",
)  # fmt: skip
_FIELD_KINDS = {"money": "amount", "percent": "number", "number": "number", "date": "date"}
_BOTH = ("clean", "scan")


@dataclass(frozen=True)
class SetPlan:
    """How a set is made.

    Attributes:
        rows: From the source and the number of samples to rows.
        origin: What it is made from, for the manifest.
        licence: As its sources state it.
    """

    rows: Callable[[Source, int], Iterable[Row]]
    origin: str
    licence: str


# -- Reading -------------------------------------------------------------------------------------


def _read_lines(source: Source, wanted: int) -> Iterator[Row]:
    settings = {**HELD_OUT, "augment": "clean", "heights": [64, 96], "max_width": 384}
    for data_set, made in source.made("read-lines", "ocr-line", settings, wanted):
        for record in made.records:
            yield of_made(
                data_set,
                made,
                record,
                layout="line",
                fonts=made.truth["gt"]["fonts"],
                source_text=said(record),
            )


def _read_pages(profile: str) -> Callable[[Source, int], Iterator[Row]]:
    def rows(source: Source, wanted: int) -> Iterator[Row]:
        def of(name: str) -> Iterator[Row]:
            settings = {
                **HELD_OUT, "paths": [str(source.data / "text" / f"{name}_val.jsonl.gz")],
                "augment": profile, "characters": [300, 800], "tasks": 10, "unanswerable": 0.0,
                "pictures": 0.0, "max_pages": 1,
            }  # fmt: skip
            stem = f"read-pages-{profile}-{name}"
            for data_set, made in source.made(stem, "render-text", settings, wanted // 3 + 2):
                worn = made.truth["gt"]["augmentation"]
                if worn["turn"] or (profile == "scan" and not worn["effects"]):
                    continue
                for record in made.records:
                    if record["task"] == "ocr_plain":
                        yield of_made(
                            data_set, made, record, category=name, layout="page",
                            effects=worn["effects"], fonts=made.truth["gt"]["fonts"],
                            source_text=said(record),
                        )  # fmt: skip

        return even({name: of(name) for name in ("wiki", "tech", "books")}, wanted)

    return rows


# -- Key information -----------------------------------------------------------------------------


def _receipts(source: Source, wanted: int) -> Iterator[Row]:
    kinds = {"company": "text", "date": "date", "address": "text", "total": "amount"}
    waiting: tuple[Any, Row] | None = None
    for record, row in source.converted("nanovl-receipts", "receipts"):
        if record["task"] == "key_information":
            waiting = record, row
        elif record["task"] == "ocr" and waiting is not None:
            # The whole text: shops, and with them heads of receipts, come again in training.
            fields = json.loads(said(waiting[0]))
            yield of_converted(*waiting, answer=fields, kinds=kinds, source_text=said(record))
            waiting = None


def _forms(source: Source, wanted: int) -> Iterator[Row]:
    def of(profile: str) -> Iterator[Row]:
        settings = {
            "languages": ["en"], "renderers": ["typst"], "augment": profile, "scales": [1.0],
            "handwriting": 0.0, "questions": 12, "transcriptions": 0, "tables": 0,
        }  # fmt: skip
        generator = "business" if profile == "clean" else "business-scan"
        for data_set, made in source.made(f"forms-{profile}", generator, settings, wanted // 2 + 2):
            known = {f["path"].replace(".", "_"): f for f in made.truth["gt"]["fields"]}
            for record in made.records:
                if record["task"] != "business_json":
                    continue
                asked = json.loads(said(record))
                answer = {
                    name: None if value is None else [value, known[name]["text"]]
                    for name, value in asked.items()
                }
                kinds = {
                    name: _FIELD_KINDS.get(known[name]["type"], known[name]["type"])
                    for name in asked
                    if name in known
                }
                yield of_made(data_set, made, record, answer=answer, kinds=kinds, category=profile)
                break

    return even({profile: of(profile) for profile in _BOTH}, wanted)


# -- Tables and charts ---------------------------------------------------------------------------


def _rendered_tables(source: Source, dataset: str, wanted: int) -> Iterator[tuple[DataSet, Made]]:
    settings = {
        **HELD_OUT, "source": str(source.data / "tables"), "dataset": dataset, "split": "val",
        "augment": "clean", "embedded": 0.0, "questions": 1, "tasks": 0, "max_rows": 20,
        "max_columns": 8, "max_pages": 1, "unanswerable": 0.0,
    }  # fmt: skip
    return source.made(f"tables-{dataset}", "render-tables", settings, wanted)


def _wtq(source: Source, wanted: int) -> Iterator[Row]:
    for data_set, made in _rendered_tables(source, "wtq", wanted):
        asked = made.truth["gt"]["questions"][0]
        for record in made.records:
            if record["task"] == "table_qa":
                yield of_made(
                    data_set,
                    made,
                    record,
                    answer=list(asked["answers"]),
                    kind="set",
                    question=asked["question"],
                    source_text=asked["question"],
                )


def _facts(source: Source, wanted: int) -> Iterator[Row]:
    rows: dict[str, list[Row]] = {"true": [], "false": []}
    half = -(-wanted // 2)
    for data_set, made in _rendered_tables(source, "tabfact", wanted):
        asked = made.truth["gt"]["questions"][0]
        for record in made.records:
            label = said(record)
            if record["task"] == "fact_check" and len(rows[label]) < half:
                rows[label].append(
                    of_made(data_set, made, record, choices=["true", "false"], category=label,
                             question=asked["question"], source_text=asked["question"])
                )  # fmt: skip
        if all(len(found) == half for found in rows.values()):
            break
    return even({label: iter(found) for label, found in rows.items()}, wanted)


def _charts(source: Source, wanted: int) -> Iterator[Row]:
    settings = {"questions": 4, "forms": 0, "panels": 0.0}

    def of(generator: str) -> Iterator[Row]:
        for data_set, made in source.made(
            f"charts-{generator}", generator, settings, wanted // 3 + 2
        ):
            fit = [r for r in made.records if verifier(r) in ("number", "exact_ci", "mcq")]
            numbers = [r for r in fit if verifier(r) == "number"]
            # Half of the charts are asked for a number where they can be.
            wants_number = int(made.id.rpartition("-")[2]) % 2 == 0
            for record in ((numbers or fit) if wants_number else fit)[:1]:
                yield of_made(data_set, made, record, category=verifier(record), renderer=generator)

    return even({name: of(name) for name in ("charts", "charts-drawn", "charts-vega")}, wanted)


def _charts_choice(source: Source, wanted: int) -> Iterator[Row]:
    for record, row in source.converted("nanovl-charts", "charts"):
        if record["task"] == "chart_choice":
            yield of_converted(record, row, has_options=True)


# -- Reading comprehension -----------------------------------------------------------------------


def _passages(source: Source, name: str, wanted: int, **settings: Any) -> Iterator[Row]:
    base = {
        **HELD_OUT, "source": str(source.data / "reading"), "split": "val", "augment": "clean",
        "questions": 1, "whole": 0.0, "cross_lingual": 0.0, "tasks": 0, "max_pages": 1,
        "unanswerable": 0.0,
    }  # fmt: skip
    for data_set, made in source.made(name, "render-passages", {**base, **settings}, wanted):
        asked = made.truth["gt"]["questions"][0]
        for record in made.records:
            if record["task"] == "document_qa":
                answers = list(dict.fromkeys(asked["answers"]))
                yield of_made(
                    data_set,
                    made,
                    record,
                    answer=answers,
                    category=record["metadata"]["lang"],
                    question=asked["question"],
                    source_text="\n".join(made.truth["gt"]["passages"]),
                )


def _stories(source: Source, wanted: int) -> Iterator[Row]:
    return _passages(source, "pages-stories", wanted, dataset="fairytaleqa")


def _xquad_en(source: Source, wanted: int) -> Iterator[Row]:
    return _passages(source, "pages-xquad-en", wanted, dataset="xquad", languages=["en"])


def _xquad_other(source: Source, wanted: int) -> Iterator[Row]:
    # Fonts of some scripts are too few to hold any of them out.
    each = max(1, -(-wanted // len(_LANGUAGES)))
    rows = {
        lang: _passages(source, f"pages-xquad-{lang}", each, dataset="xquad", languages=[lang],
                        font_split="all")
        for lang in _LANGUAGES
    }  # fmt: skip
    return even(rows, wanted)


# -- Arithmetic ----------------------------------------------------------------------------------


def _maths_read(source: Source, wanted: int) -> Iterator[Row]:
    def tables() -> Iterator[Row]:
        settings = {"questions": 12, "transcriptions": 0, "multipage": 0.0, "most_rows": 8}
        for data_set, made in source.made("maths-read", "tables", settings, wanted):
            fit = [r for r in made.records if r["task"] in _SUMS and verifier(r) == "number"]
            for record in fit[:1]:
                yield of_made(data_set, made, record, answer=_number(record), category="tables")

    def problems() -> Iterator[Row]:
        for record, row in source.converted("nanovl-tabmwp", "math"):
            if record["task"] == "table_math" and _is_number(said(record)):
                yield of_converted(record, row, category="tabmwp", source_text=prompt_text(record))

    made, real = tables(), problems()
    for number in range(wanted):
        row = next(real if number % 3 == 2 else made, None)
        if row is not None:  # the real problems may be fewer
            yield row


def _number(record: Mapping[str, Any]) -> str:
    value = record["metadata"]["answer"]["value"]
    return f"{value:g}" if isinstance(value, float) and abs(value) < 1e6 else str(value)


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-?\d+(?:,\d{3})*(?:\.\d+)?", text) is not None


def _maths_text(source: Source, wanted: int) -> Iterator[Row]:
    for record, row in source.converted("nanovl-gsm8k", "math", twins=False):
        yield of_converted(record, row, source_text=prompt_text(record))


# -- Tools ---------------------------------------------------------------------------------------


def _tools(source: Source, wanted: int) -> Iterator[Row]:
    groups: dict[str, list[Row]] = defaultdict(list)
    for item in source.lines("tools/bfcl_val.jsonl.gz"):
        if [m["role"] for m in item["messages"]] != ["user"] or len(
            json.dumps(item["tools"])
        ) > 6000:
            continue
        question = item["messages"][0]["content"]
        sample = Sample(
            id=item["id"],
            question=question,
            answer=item["accept"] or [],
            category=item["category"],
            meta={"tools": item["tools"], "source_text": question},
        )
        groups["no-call" if "irrelevance" in item["category"] else item["category"]].append(
            Row(sample)
        )
    calls = {name: iter(rows) for name, rows in groups.items() if name != "no-call"}
    some = list(even(calls, wanted - wanted // 3))
    return iter([*some, *groups["no-call"][: wanted - len(some)]])


# -- Video ---------------------------------------------------------------------------------------


def _clips(source: Source, name: str, wanted: int) -> dict[str, Iterator[tuple[DataSet, Made]]]:
    shapes = {"min_s": 4.0, "max_s": 8.0, "tasks": 8, "card": 0.0}
    ticker = {"min_s": 4.0, "max_s": 8.0, "tasks": 6}
    return {
        "shapes": source.made(f"{name}-shapes", "video-shapes", shapes, wanted),
        "ticker": source.made(f"{name}-ticker", "video-ticker", ticker, wanted),
    }


def _duration(made: Made) -> float:
    return float(made.media[0].facts["video_duration"])


_ORDER = (
    "video_order", "video_after", "ticker_next", "ticker_at", "ticker_last", "video_unmoved",
    "video_color_at", "video_duration",
)  # fmt: skip


def _video_order(source: Source, wanted: int) -> Iterator[Row]:
    def of(clips: Iterator[tuple[DataSet, Made]], name: str) -> Iterator[Row]:
        for data_set, made in clips:
            fit = [r for r in made.records if r["task"] in _ORDER]
            fit.sort(key=lambda r: _ORDER.index(r["task"]))
            for record in fit[:1]:
                letters = (
                    sorted(options_of(prompt_text(record))) if verifier(record) == "mcq" else []
                )
                extra = {"choices": letters} if letters else {}
                yield of_made(
                    data_set, made, record, category=name, duration_s=_duration(made), **extra
                )

    clips = _clips(source, "video-order", wanted)
    return even({name: of(stream, name) for name, stream in clips.items()}, wanted)


def _video_time(source: Source, wanted: int) -> Iterator[Row]:
    def of(clips: Iterator[tuple[DataSet, Made]], name: str) -> Iterator[Row]:
        for data_set, made in clips:
            for record in [r for r in made.records if verifier(r) == "interval_iou"][:1]:
                value = record["metadata"]["answer"]["value"]
                spans = value if isinstance(value[0], list) else [value]
                yield of_made(
                    data_set,
                    made,
                    record,
                    answer=spans,
                    category=name,
                    kind="spans",
                    duration_s=_duration(made),
                )

    clips = _clips(source, "video-time", wanted)
    return even({name: of(stream, name) for name, stream in clips.items()}, wanted)


# -- Long context, pictures ----------------------------------------------------------------------


def _needles(source: Source, wanted: int) -> Iterator[Row]:
    def of(length: int) -> Iterator[Row]:
        settings = {"min_tokens": length, "max_tokens": length, "tasks": list(_NEEDLES)}
        each = -(-wanted // len(_LENGTHS))
        for data_set, made in source.made(f"needles-{length}", "text-longctx", settings, each):
            truth = made.truth["gt"]
            outputs = truth["outputs"]
            answers = outputs if isinstance(outputs, list) else [outputs]
            yield of_made(
                data_set,
                made,
                made.records[0],
                answer=[str(a) for a in answers],
                category=truth["task"],
                kind="needles",
                tokens=truth["tokens"],
            )

    return even({str(length): of(length) for length in _LENGTHS}, wanted)


def _grounding(source: Source, wanted: int) -> Iterator[Row]:
    settings = {
        "scene": 1.0, "count": 0.0, "pair": 0.0, "puzzle": 0.0, "instrument": 0.0, "nested": 0.0,
        "symmetry": 0.0,
    }  # fmt: skip
    for data_set, made in source.made("grounding", "scenes-2d", settings, wanted):
        fit = [r for r in made.records if r["task"] in ("scene_ground_box", "scene_ground_boxes")]
        for record in fit[:1]:
            yield of_made(
                data_set,
                made,
                record,
                answer=record["metadata"]["answer"]["value"],
                category=record["task"].rpartition("_")[2],
                kind="boxes",
            )


def _clipart(task: str) -> Callable[[Source, int], Iterator[Row]]:
    def rows(source: Source, wanted: int) -> Iterator[Row]:
        for record, row in source.converted("nanovl-clipart", "images"):
            if record["task"] == task:
                yield of_converted(record, row, has_options=task == "picture_choice")

    return rows


PLANS: Mapping[str, SetPlan] = {
    "read-lines": SetPlan(_read_lines, "made: ocr-line, held-out fonts", "generated"),
    "read-pages-clean": SetPlan(
        _read_pages("clean"), "Wikipedia, Debian manuals, classic books; held-out fonts",
        "CC BY-SA; PSF, CC BY-SA 3.0, GPL-2+; public domain",
    ),
    "read-pages-degraded": SetPlan(
        _read_pages("scan"), "Wikipedia, Debian manuals, classic books; held-out fonts, worn",
        "CC BY-SA; PSF, CC BY-SA 3.0, GPL-2+; public domain",
    ),
    "receipts": SetPlan(_receipts, "ICDAR 2019 SROIE", "MIT repository, challenge pictures"),
    "forms": SetPlan(_forms, "made: business, business-scan", "generated"),
    "tables-wtq": SetPlan(_wtq, "WikiTableQuestions, rendered", "CC BY-SA 4.0"),
    "tables-facts": SetPlan(_facts, "TabFact, rendered", "MIT repository, tables CC BY-SA"),
    "charts": SetPlan(_charts, "made: charts, charts-drawn, charts-vega", "generated"),
    "charts-choice": SetPlan(_charts_choice, "MisleadingChartQA", "none stated"),
    "pages-stories": SetPlan(_stories, "FairytaleQA, rendered", "Apache-2.0"),
    "pages-xquad-en": SetPlan(_xquad_en, "XQuAD English, rendered", "CC BY-SA 4.0"),
    "pages-xquad-other": SetPlan(_xquad_other, "XQuAD, 11 languages, rendered", "CC BY-SA 4.0"),
    "maths-read": SetPlan(
        _maths_read, "made: tables; TabMWP", "generated; CC BY-NC-SA 4.0 (non-commercial)"
    ),
    "maths-text": SetPlan(_maths_text, "GSM8K, part of its training file", "MIT"),
    "tools": SetPlan(_tools, "Berkeley function calling", "Apache-2.0"),
    "video-order": SetPlan(_video_order, "made: video-shapes, video-ticker", "generated"),
    "video-time": SetPlan(_video_time, "made: video-shapes, video-ticker", "generated"),
    "needles": SetPlan(_needles, "made: text-longctx", "generated"),
    "grounding": SetPlan(_grounding, "made: scenes-2d", "generated"),
    "naming-choice": SetPlan(
        _clipart("picture_choice"), "Open Clip Art Library", "public domain dedication"
    ),
    "naming": SetPlan(
        _clipart("picture_name"), "Open Clip Art Library", "public domain dedication"
    ),
}  # fmt: skip
"""How every set is made, in the order of the suite's tasks."""


def rows_of(name: str, source: Source, wanted: int) -> list[Row]:
    """So many samples of a set, fewer when a real source has no more.

    Raises:
        InputError: There is not a single one, or a generator could not make enough.
    """
    rows = list(islice(iter(PLANS[name].rows(source, wanted)), wanted))
    if not rows:
        raise InputError(
            f"set {name}: not one sample could be made from {PLANS[name].origin}; are the data "
            f"folder {source.data} and the fonts complete?"
        )
    twice = [key for key, count in Counter(row.sample.id for row in rows).items() if count > 1]
    if twice:
        raise InputError(f"set {name}: two samples have the id {twice[0]!r}; ids must be unique")
    return rows
