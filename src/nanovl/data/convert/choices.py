"""Multiple choice with pictures: ScienceQA (with worked solutions) and AI2D diagrams."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from nanovl.core.errors import InputError
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
from nanovl.data.convert.sources import find_file, load_json, media_file, picture, read_objects
from nanovl.data.convert.templates import letters, options_text, question

__all__ = ["FORMATS", "convert_ai2d", "convert_scienceqa"]


def _picked(item: Item, key: str, count: int) -> int:
    index = int(item.number(key))
    if not 0 <= index < count:
        raise Malformed("no_answer", f"{item.name(key)}: got {index}, expected 0..{count - 1}")
    return index


def convert_scienceqa(source: Path, options: ConvertOptions) -> Iterator[Converted]:
    """`problems.json`; lecture and solution become the trace, the hint is part of the question."""
    path = find_file(source, options, "problems.json")
    data = load_json(path)
    if not isinstance(data, dict):
        raise InputError(f"{path}: got {type(data).__name__}, expected an object of problems")
    mode = options.choice("reasoning", "both", ("both", "on", "off"))

    def make(item: Item) -> list[Converted]:
        if item.text("split") != options.split:
            return []
        number = item.text("_key")
        media = []
        if file := item.maybe("image"):
            inner = Path(options.split) / number
            folders = [options.images and options.images / inner, path.parent / inner]
            folders += [path.parent / "images" / inner]
            media = [picture(media_file(file, "image", *folders), "scienceqa", number)]
        choices = item.texts("choices", aligned=True)
        answer = letters(len(choices))[_picked(item, "answer", len(choices))]
        parts = [item.maybe("lecture"), item.maybe("solution")]
        trace = "" if mode == "off" else "\n\n".join(p for p in parts if p)
        asks = "\n".join(p for p in (item.maybe("hint"), item.text("question")) if p)
        key = f"scienceqa-{number}"
        draw = rng(key, options.seed)
        turn = Turn(
            question=question(
                "multiple_choice", draw, question=asks, options=options_text(choices)
            ),
            answer=answer,
            trace=trace,
            reasoning="on" if mode == "on" else None,
            task="science_choice",
        )
        return records(options, id=key, turns=[turn], source="scienceqa", media=media)

    values = [{**v, "_key": k} if isinstance(v, dict) else v for k, v in data.items()]
    return each(read_objects(values, path.name, options), make, options)


def convert_ai2d(source: Path, options: ConvertOptions) -> Iterator[Converted]:
    """`questions/*.json` beside `images/`; questions about drawn-in letters use `abc_images/`."""
    folder = source / "questions"
    if not folder.is_dir():
        raise InputError(
            f"{source}: there is no folder questions/; give the folder of the data set"
        )

    def read() -> Iterator[Item]:
        for path in sorted(folder.glob("*.json")):
            try:
                data = load_json(path)
            except InputError as error:
                options.on_drop("bad_json", path.name, str(error))
                continue
            yield from read_objects([data], path.name, options)

    def make(item: Item) -> list[Converted]:
        file = item.text("imageName")
        turns: dict[bool, list[Turn]] = {False: [], True: []}
        key = f"ai2d-{Path(file).stem}"
        draw = rng(key, options.seed)
        asked = item.child("questions")
        for index, text in enumerate(asked.data):
            entry = asked.child(text)
            texts = entry.texts("answerTexts", aligned=True)
            turn = Turn(
                question=question(
                    "multiple_choice", draw, question=text, options=options_text(texts)
                ),
                answer=letters(len(texts))[_picked(entry, "correctAnswer", len(texts))],
                task="diagram_choice",
                key=str(index),
            )
            turns[bool(entry.data.get("abcLabel"))].append(turn)
        made = []
        for lettered, about in turns.items():
            if not about:
                continue
            inner = "abc_images" if lettered else "images"
            ref = media_file(file, "imageName", options.images, source / inner)
            suffix = "abc" if lettered else ""
            made += records(
                options,
                id=f"{key}-{suffix}" if lettered else key,
                turns=about,
                source="ai2d",
                media=[picture(ref, "ai2d", Path(file).stem, suffix)],
            )
        return made

    return each(read(), make, options)


FORMATS = (
    Format(
        name="scienceqa",
        description="ScienceQA: lettered questions, with lecture and solution as reasoning",
        convert=convert_scienceqa,
        expects="problems.json beside <split>/<id>/image.png, or the folder of both",
        licence="CC BY-NC-SA 4.0",
        options=REASONING,
    ),
    Format(
        name="ai2d",
        description="AI2D: lettered questions about diagrams",
        convert=convert_ai2d,
        expects="a folder with questions/ and images/ (and abc_images/ for lettered diagrams)",
        licence="CC BY-SA as stated by the source",
        options=MULTI_TURN,
    ),
)
