"""Passages with human questions: FairytaleQA and XQuAD.

Items are read into `PassageQA` first; here they become text records with the passage in the
prompt, and whoever renders pages takes the same items from `fairytale_items` and `xquad_items`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from nanovl.data.convert.base import (
    Converted,
    ConvertOptions,
    Format,
    Item,
    Malformed,
    Turn,
    records,
    rng,
)
from nanovl.data.convert.sources import find_file, read_lines
from nanovl.data.convert.templates import question

__all__ = [
    "FORMATS",
    "PassageQA",
    "convert_passages",
    "fairytale_items",
    "xquad_items",
]


@dataclass(frozen=True, kw_only=True)
class PassageQA:
    """A question about one or several passages of a text.

    Attributes:
        id: Unique in its data set.
        title: Of the whole text.
        passages: In reading order; a page each for a renderer.
        question: As written by a person.
        answers: Acceptable answers, the first one is taught.
        language: Code of the passage's language.
    """

    id: str
    title: str
    passages: tuple[str, ...]
    question: str
    answers: tuple[str, ...]
    language: str = "en"


Read = Callable[[Path, ConvertOptions], Iterator[PassageQA]]


def fairytale_items(source: Path, options: ConvertOptions) -> Iterator[PassageQA]:
    """Questions with the sections they are about; malformed ones go to `options.on_drop`."""
    path = find_file(source, options, "fairytaleqa_{split}.jsonl.gz", "fairytaleqa_{split}.jsonl")
    name = path.name.replace("fairytaleqa_", "fairytaleqa_sections_")
    sections = {}
    for item in read_lines(path.with_name(name), options):
        try:
            sections[item.text("section_id")] = (item.text("story"), item.text("text"))
        except Malformed as error:
            options.on_drop(error.reason, item.where, error.message)
    for item in read_lines(path, options):
        try:
            ids = item.texts("section_ids", aligned=True)
            missing = [i for i in ids if i not in sections]
            if missing:
                raise Malformed("bad_value", f"section_ids: there is no section {missing[0]!r}")
            yield PassageQA(
                # Ids are not unique in the source; id and sections together are.
                id="-".join([item.text("id"), *(f"s{i.rpartition('-')[2]}" for i in ids)]),
                title=sections[ids[0]][0].replace("-", " "),
                passages=tuple(sections[i][1] for i in ids),
                question=item.text("question"),
                answers=item.texts("answers"),
            )
        except Malformed as error:
            options.on_drop(error.reason, item.where, error.message)


def xquad_items(source: Path, options: ConvertOptions) -> Iterator[PassageQA]:
    """Questions about one paragraph, in twelve languages."""
    path = find_file(source, options, "xquad_{split}.jsonl.gz", "xquad_{split}.jsonl")
    for item in read_lines(path, options):
        try:
            yield from _paragraph(item)
        except Malformed as error:
            options.on_drop(error.reason, item.where, error.message)


def _paragraph(item: Item) -> list[PassageQA]:
    return [
        PassageQA(
            id=f"{item.text('id')}-{asked.text('id')}",
            title=item.text("title"),
            passages=(item.text("context"),),
            question=asked.text("question"),
            answers=asked.texts("answers"),
            language=item.text("lang"),
        )
        for asked in item.children("qas")
    ]


def convert_passages(
    source: Path, options: ConvertOptions, *, read: Read, name: str
) -> Iterator[Converted]:
    """Text records: the passages stand in the prompt."""
    for item in read(source, options):
        key = f"{name}-{item.id}"
        asked = question(
            "passage_question",
            rng(key, options.seed),
            passage="\n\n".join(item.passages),
            question=item.question,
        )
        metadata: dict[str, object] = {"language": item.language}
        if len(item.answers) > 1:
            metadata["answers"] = list(item.answers)
        turn = Turn(question=asked, answer=item.answers[0], task="reading")
        yield from records(options, id=key, turns=[turn], source=name, metadata=metadata)


def _fairytale(source: Path, options: ConvertOptions) -> Iterator[Converted]:
    return convert_passages(source, options, read=fairytale_items, name="nanovl-fairytaleqa")


def _xquad(source: Path, options: ConvertOptions) -> Iterator[Converted]:
    return convert_passages(source, options, read=xquad_items, name="nanovl-xquad")


FORMATS = (
    Format(
        name="nanovl-fairytaleqa",
        description="Questions of teachers about sections of fairy tales, passage in the prompt",
        convert=_fairytale,
        expects="fairytaleqa_<split>.jsonl.gz beside fairytaleqa_sections_<split>.jsonl.gz",
        licence="Apache-2.0",
    ),
    Format(
        name="nanovl-xquad",
        description="Questions about encyclopedia paragraphs in 12 languages",
        convert=_xquad,
        expects="xquad_<split>.jsonl.gz or its folder",
        licence="CC BY-SA 4.0",
    ),
)
