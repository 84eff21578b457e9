"""Plain texts as conversations: the beginning of a window is the prompt, the rest the answer.

A text is cut at paragraph borders into windows of bounded length; windows do not overlap, and only
a window that is one paragraph (a rest at the end, as a rule) is not used.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from nanovl.data.convert.base import (
    Converted,
    ConvertOptions,
    Format,
    Item,
    Turn,
    each,
    records,
    rng,
)
from nanovl.data.convert.sources import find_files, read_lines
from nanovl.data.convert.templates import question

__all__ = ["FORMATS", "convert_prose", "paragraphs", "windows"]

PARTS = ("wiki", "books", "tech", "multilingual")
_SENTENCE_ENDS = (". ", "! ", "? ", "\u3002", "\uff01", "\uff1f", "; ", ", ", " ")


def paragraphs(text: str, longest: int) -> list[str]:
    """The paragraphs of a text, with their line breaks; long ones are cut at sentence ends.

    Joining them gives the text back, without outer blanks.
    """
    mark = "\n\n" if "\n\n" in text.strip() else "\n"
    pieces = text.strip().split(mark)
    found = []
    for index, piece in enumerate(pieces):
        rest = piece if index == len(pieces) - 1 else piece + mark
        while len(rest) > longest:
            cut = _cut(rest, longest)
            found.append(rest[:cut])
            rest = rest[cut:]
        if rest:
            found.append(rest)
    return found


def _cut(text: str, longest: int) -> int:
    """Where to cut: after the last sentence end in the second half, else anywhere."""
    for end in _SENTENCE_ENDS:
        place = text.rfind(end, longest // 2, longest)
        if place >= 0:
            return place + len(end)
    return longest


def windows(text: str, size: int) -> list[tuple[str, str]]:
    """Cut a text into windows of at most `size` characters, each as (beginning, rest).

    The beginning is a window's first paragraphs up to a quarter of its length (at least one); a
    window of a single paragraph is left out.
    """
    groups: list[list[str]] = []
    length = 0
    for piece in paragraphs(text, size // 2):
        if not groups or length + len(piece) > size:
            groups.append([])
            length = 0
        groups[-1].append(piece)
        length += len(piece)
    found = []
    for group in groups:
        total, count = sum(map(len, group)), 1
        while count < len(group) - 1 and sum(map(len, group[: count + 1])) <= total // 4:
            count += 1
        start, rest = "".join(group[:count]).strip(), "".join(group[count:]).strip()
        if start and rest:
            found.append((start, rest))
    return found


def convert_prose(source: Path, options: ConvertOptions) -> Iterator[Converted]:
    """Lines with `text`: articles, books, manuals, in any language."""
    size = options.integer("window_chars", 2000, least=40)
    part = options.choice("part", "all", ("all", *PARTS))
    wanted = PARTS if part == "all" else (part,)

    def read() -> Iterator[tuple[str, Item]]:
        for path in _files(source, options, wanted):
            name = path.name.split(".")[0].split("_")[0]
            for item in read_lines(path, options):
                yield name, item

    for name, item in read():

        def make(it: Item, name: str = name) -> list[Converted]:
            return _document(it, name, size, options)

        yield from each([item], make, options)


def _files(source: Path, options: ConvertOptions, parts: tuple[str, ...]) -> list[Path]:
    if source.is_file():
        return [source]
    patterns = [f"{part}_{{split}}*.jsonl.gz" for part in parts if part != "multilingual"]
    if "multilingual" in parts and options.split == "train":  # it has no other split
        patterns.append("multilingual.jsonl.gz")
    return [path for pattern in patterns for path in find_files(source, options, pattern)]


def _document(item: Item, name: str, size: int, options: ConvertOptions) -> list[Converted]:
    made = []
    metadata = {key: text for key in ("title", "lang") if (text := item.maybe(key))}
    for index, (start, rest) in enumerate(windows(item.text("text"), size)):
        key = f"text-{item.text('id')}-{index}"
        asked = question("continuation", rng(key, options.seed), text=start)
        turn = Turn(question=asked, answer=rest, task="continuation")
        made += records(
            options, id=key, turns=[turn], source=f"nanovl-text-{name}", metadata=metadata
        )
    return made


FORMATS = (
    Format(
        name="nanovl-text",
        description="Articles, books, manuals and their translations: continue the text",
        convert=convert_prose,
        expects="a .jsonl.gz with the field text, or the folder of wiki_, books_, tech_ and "
        "multilingual files",
        licence="CC BY-SA (wiki), public domain (books), PSF / CC BY-SA / GPL-2+ (tech, "
        "multilingual)",
        options={
            "window_chars": "longest piece of text in characters (default 2000)",
            "part": f"all (default) or one of {', '.join(PARTS)}",
        },
    ),
)
