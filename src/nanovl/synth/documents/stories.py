"""Documents with human questions, grouped from the items of the reading converters.

An item is one question about some passages; a document is the passages with all their questions.
FairytaleQA also gives whole stories. Must not render.

Source: the rendering table of the training data; issue item "rendering real questions".
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nanovl.core.errors import InputError
from nanovl.data.convert.base import ConvertOptions
from nanovl.data.convert.items import Malformed
from nanovl.data.convert.reading import FORMATS, PassageQA, fairytale_items, xquad_items
from nanovl.data.convert.sources import find_file, read_lines
from nanovl.data.convert.table_qa import Table, TableQA, read_question, read_tables
from nanovl.synth.documents.text import clean

__all__ = [
    "LICENCES",
    "READERS",
    "TABLE_FILES",
    "Asked",
    "Drops",
    "Story",
    "TableDoc",
    "read_stories",
    "read_table_docs",
    "shuffled",
]

READERS = {"fairytaleqa": fairytale_items, "xquad": xquad_items}
TABLE_FILES = {"wtq": "wtq", "tabfact": "tabfact", "wikisql": "tabfact"}
LICENCES = {f.name.removeprefix("nanovl-"): f.licence for f in FORMATS} | {
    "wtq": "CC BY-SA 4.0",
    "tabfact": "MIT repository; table text CC BY-SA",
    "wikisql": "MIT repository; WikiSQL itself BSD-3",
}
_SECTIONS = re.compile(r"-s(\d+)")


class Drops:
    """Counts what is left out, by reason."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def __call__(self, reason: str, where: str = "", message: str = "") -> None:
        del where, message
        self.counts[reason] = self.counts.get(reason, 0) + 1


@dataclass(frozen=True)
class Asked:
    """A question of a person, its acceptable answers, and the same in other languages."""

    id: str
    question: str
    answers: tuple[str, ...]
    others: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Story:
    """Passages and their questions.

    Attributes:
        title: Of the whole text.
        passages: In reading order.
        questions: About them.
        language: Of the passages.
        whole: Whether this is a whole text rather than one item's passages.
    """

    title: str
    passages: tuple[str, ...]
    questions: tuple[Asked, ...]
    language: str = "en"
    whole: bool = False

    @property
    def text(self) -> str:
        """Everything that will be shown."""
        return "\n".join((self.title, *self.passages))


def read_stories(
    source: Path, dataset: str, split: str, drops: Drops, *, longest: int = 20_000
) -> tuple[list[Story], Path]:
    """Documents of a data set: one per group of passages asked about, and whole texts.

    Args:
        source: File or folder.
        dataset: A key of `READERS`.
        split: "train", "val", ...
        drops: Told about what is left out.
        longest: Characters of a whole text.

    Returns:
        The documents and the file they were read from.
    """
    options = ConvertOptions(split=split, on_drop=drops)
    path = find_file(source, options, f"{dataset}_{{split}}.jsonl.gz", f"{dataset}_{{split}}.jsonl")
    items = list(READERS[dataset](path, options))
    if not items:
        raise InputError(f"{path}: no usable question in it")
    return [*_by_passages(items), *_whole(items, longest)], path


def _asked(item: PassageQA, others: Mapping[str, str]) -> Asked:
    return Asked(
        item.id,
        clean(item.question),
        tuple(clean(answer) for answer in item.answers),
        {k: v for k, v in sorted(others.items()) if k != item.language},
    )


def _by_passages(items: Sequence[PassageQA]) -> list[Story]:
    translations: dict[str, dict[str, str]] = {}
    for item in items:
        shared = item.id.rpartition("-")[2]
        if not shared.startswith("s"):  # question ids are shared by the languages of XQuAD
            translations.setdefault(shared, {})[item.language] = clean(item.question)
    groups: dict[tuple[str, str, tuple[str, ...]], list[PassageQA]] = {}
    for item in items:
        groups.setdefault((item.language, item.title, item.passages), []).append(item)
    return [
        Story(
            title=clean(title),
            passages=tuple(map(clean, passages)),
            questions=tuple(
                _asked(item, translations.get(item.id.rpartition("-")[2], {})) for item in members
            ),
            language=language,
        )
        for (language, title, passages), members in groups.items()
    ]


def _whole(items: Sequence[PassageQA], longest: int) -> list[Story]:
    """Texts all of whose passages are known by their number."""
    texts: dict[tuple[str, str], dict[int, str]] = {}
    members: dict[tuple[str, str], list[PassageQA]] = {}
    for item in items:
        numbers = [int(n) for n in _SECTIONS.findall(item.id[-len(item.passages) * 6 :])]
        if len(numbers) != len(item.passages):
            continue
        key = (item.language, item.title)
        texts.setdefault(key, {}).update(zip(numbers, item.passages, strict=True))
        members.setdefault(key, []).append(item)
    found = []
    for key, passages in texts.items():
        ordered = tuple(clean(passages[n]) for n in sorted(passages))
        if len(ordered) < 2 or sum(map(len, ordered)) > longest:
            continue
        asked = tuple(_asked(item, {}) for item in members[key])
        found.append(
            Story(
                title=clean(key[1]),
                passages=ordered,
                questions=asked,
                language=key[0],
                whole=True,
            )
        )
    return found


@dataclass(frozen=True)
class TableDoc:
    """A table and what is asked about it."""

    table: Table
    questions: tuple[TableQA, ...]


def read_table_docs(
    source: Path, dataset: str, split: str, drops: Drops, *, max_rows: int, max_columns: int
) -> tuple[list[TableDoc], tuple[Path, Path]]:
    """Tables with their questions or statements, in the order of the questions.

    Args:
        source: The question file or its folder; the table file lies beside it.
        dataset: A key of `TABLE_FILES`.
        split: "train", "val", ...
        drops: Told about what is left out, larger tables included.
        max_rows, max_columns: Of a table.
    """
    options = ConvertOptions(split=split, on_drop=drops)
    path = find_file(source, options, f"{dataset}_{{split}}.jsonl.gz", f"{dataset}_{{split}}.jsonl")
    names = [f"{TABLE_FILES[dataset]}_tables{end}" for end in (".jsonl.gz", ".jsonl")]
    beside = next((path.with_name(n) for n in names if path.with_name(n).is_file()), None)
    if beside is None:
        raise InputError(f"{path}: there is no {names[0]} beside it")
    tables = read_tables(beside, options)
    groups: dict[str, list[TableQA]] = {}
    for item in read_lines(path, options):
        try:
            asked = read_question(item, tables)
        except Malformed as error:
            drops(error.reason, item.where, error.message)
            continue
        groups.setdefault(asked.table.id, []).append(asked)
    found = []
    for members in groups.values():
        table = members[0].table
        if len(table.rows) > max_rows or len(table.header) > max_columns:
            drops("too_large")
            continue
        found.append(TableDoc(_cleaned(table), tuple(members)))
    if not found:
        raise InputError(f"{path}: no table with at most {max_rows} rows in it")
    return found, (path, beside)


def _cleaned(table: Table) -> Table:
    def line(text: str) -> str:
        return " ".join(clean(text).split())

    return Table(
        id=table.id,
        title=line(table.title),
        header=tuple(map(line, table.header)),
        rows=tuple(tuple(map(line, row)) for row in table.rows),
    )


def shuffled(count: int, key: str) -> list[int]:
    """An order of documents that depends on the key alone."""
    order = list(range(count))
    random.Random(f"order|{key}").shuffle(order)
    return order
