"""VQA-style question and annotation files: VQAv2, OK-VQA, TextVQA, VizWiz, OCR-VQA.

Several annotators' answers become one by majority; a tie goes to the answer the source calls its
own (`multiple_choice_answer`), then to the one given first.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from nanovl.core.errors import InputError
from nanovl.data.convert.base import (
    MULTI_TURN,
    Converted,
    ConvertOptions,
    Format,
    Item,
    Malformed,
    Turn,
    as_text,
    each,
    records,
    rng,
)
from nanovl.data.convert.markup import is_number
from nanovl.data.convert.sources import find_file, load_json, media_file, picture, read_objects
from nanovl.data.convert.templates import choose_letters, question

__all__ = ["FORMATS", "convert_ocrvqa", "convert_vqa", "majority"]

_OCRVQA_SPLITS = {"train": 1, "val": 2, "test": 3}


def majority(answers: Sequence[str], preferred: str = "") -> str:
    """The answer given most often, compared without case and outer blanks.

    Raises:
        Malformed: There is no answer, or the winner is blank.
    """
    counts = Counter(a.strip().casefold() for a in answers)
    best = max(counts.values(), default=0)
    if preferred and counts[preferred.strip().casefold()] == best:
        return preferred.strip()
    winner = next((a.strip() for a in answers if counts[a.strip().casefold()] == best), "")
    if not winner:
        raise Malformed("no_answer", f"answers: {len(answers)} given, the majority is blank")
    return winner


def convert_vqa(source: Path, options: ConvertOptions) -> Iterator[Converted]:
    """Pairs of question and annotation files, or one file that holds both."""
    name = str(options.extra.get("name", "vqa"))
    path = find_file(
        source,
        options,
        "*uestions*{split}*.json",
        "*{split}*uestions*.json",
        "{split}.json",
        "*_{split}.json",
    )

    def make(item: Item) -> list[Converted]:
        answer = majority(_answers(item), item.maybe("multiple_choice_answer"))
        file = _file(item)
        ref = media_file(file, "image", options.images, path.parent, path.parent / "images")
        stem = Path(file).stem
        key = f"{name}-{item.maybe('question_id') or stem}"
        draw = rng(key, options.seed)
        form = "number_answer" if is_number(answer) else "short_answer"
        if "answerable" in item.data:
            form = "short_or_unanswerable"
        asked = question(form, draw, question=item.text("question"))
        turns = [Turn(question=asked, answer=answer, task="vqa")]
        if item.data.get("multiple_choices"):
            turns.append(_choice(item, answer, draw))
        media = picture(ref, name, stem)
        return records(options, id=key, turns=turns, source=name, media=[media])

    return each(_questions(path, options), make, options)


def _choice(item: Item, answer: str, draw: random.Random) -> Turn:
    """The lettered form of questions that list their options."""
    texts = item.texts("multiple_choices")
    drawn = choose_letters(answer, texts, draw, least=1)
    if answer not in texts or drawn is None:
        raise Malformed("no_answer", f"multiple_choices: {answer!r} and another are not in it")
    return Turn(
        question=question(
            "multiple_choice", draw, question=item.text("question"), options=drawn[0]
        ),
        answer=drawn[1],
        task="vqa_choice",
        key="choice",
    )


def _questions(path: Path, options: ConvertOptions) -> Iterator[Item]:
    """Every question with its annotation merged in."""
    data = load_json(path)
    if isinstance(data, list):
        yield from read_objects(data, path.name, options)
    elif isinstance(data, dict) and "data" in data:
        yield from read_objects(data["data"], f"{path.name}: data", options)
    elif isinstance(data, dict) and "questions" in data:
        annotations, subtype = _annotations(path, options)
        for item in read_objects(data["questions"], f"{path.name}: questions", options):
            found = annotations.get(str(item.data.get("question_id")))
            if found is None:
                options.on_drop("no_answer", item.where, "question_id has no annotation")
            else:
                yield Item(item.where, {"data_subtype": subtype, **found, **item.data})
    else:
        raise InputError(
            f"{path}: expected a list, or an object with 'questions' or 'data'; is this the "
            "question file?"
        )


def _annotations(path: Path, options: ConvertOptions) -> tuple[dict[str, Any], str]:
    """The annotation file that belongs to a question file, by question id."""
    given = options.extra.get("annotations")
    name = path.name.replace("questions", "annotations").replace("OpenEnded_", "")
    name = name.replace("MultipleChoice_", "")
    other = Path(str(given)) if given else path.with_name(name)
    data = load_json(other)
    values = data.get("annotations") if isinstance(data, dict) else None
    items = read_objects(values, f"{other.name}: annotations", options)
    subtype = data.get("data_subtype", "") if isinstance(data, dict) else ""
    return {str(i.data.get("question_id")): i.data for i in items}, str(subtype)


def _answers(item: Item) -> list[str]:
    """Answers as the annotators gave them; a list of texts or of objects with `answer`."""
    found = []
    for index, value in enumerate(item.items("answers")):
        name = f"{item.name('answers')}[{index}]"
        found.append(as_text(value["answer"] if _is_answer(value) else value, name))
    return found


def _is_answer(value: Any) -> bool:
    return isinstance(value, dict) and "answer" in value


def _file(item: Item) -> str:
    """The picture's file name: as written, or made of the COCO number."""
    written = item.maybe("image") or item.maybe("image_path")
    if written:
        return written
    number, subtype = item.text("image_id"), item.maybe("data_subtype")
    if subtype and number.isdigit():
        return f"COCO_{subtype}_{int(number):012d}.jpg"
    return number


def convert_ocrvqa(source: Path, options: ConvertOptions) -> Iterator[Converted]:
    """Book covers: `dataset.json` maps a key to parallel lists of questions and answers."""
    path = find_file(source, options, "dataset.json")
    data = load_json(path)
    if not isinstance(data, dict):
        raise InputError(f"{path}: got {type(data).__name__}, expected an object of books")
    if options.split not in _OCRVQA_SPLITS:
        raise InputError(
            f"{path}: there is no split {options.split!r}; choose {', '.join(_OCRVQA_SPLITS)}"
        )

    def make(item: Item) -> list[Converted]:
        if item.number("split") != _OCRVQA_SPLITS[options.split]:
            return []
        name = item.text("_key")
        ref = media_file(name, "key", options.images, path.parent / "images")
        key = f"ocrvqa-{name}"
        draw = rng(key, options.seed)
        asks, answers = item.texts("questions", aligned=True), item.texts("answers", aligned=True)
        if len(asks) != len(answers):
            raise Malformed(
                "bad_value", f"{len(asks)} questions and {len(answers)} answers; expected as many"
            )
        turns = [
            Turn(
                question=question("short_answer", draw, question=ask),
                answer=answer,
                task="vqa",
                key=str(index),
            )
            for index, (ask, answer) in enumerate(zip(asks, answers, strict=True))
        ]
        media = picture(ref, "ocrvqa", name)
        return records(options, id=key, turns=turns, source="ocrvqa", media=[media])

    values = [{**v, "_key": k} if isinstance(v, dict) else v for k, v in data.items()]
    return each(read_objects(values, path.name, options), make, options)


FORMATS = (
    Format(
        name="vqa",
        description="VQA-style JSON (VQAv2, OK-VQA, TextVQA, VizWiz): majority of the answers",
        convert=convert_vqa,
        expects="a question file with its annotation file beside it, or one file with both",
        options={
            **MULTI_TURN,
            "name": "source name of the records (default vqa)",
            "annotations": "the annotation file, when it is not found by its name",
        },
    ),
    Format(
        name="ocrvqa",
        description="OCR-VQA: questions about book covers",
        convert=convert_ocrvqa,
        expects="dataset.json beside images/, or the folder of both",
        options=MULTI_TURN,
    ),
)
