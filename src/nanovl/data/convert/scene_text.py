"""Text in photographs: TextOCR words and HierText lines, read with boxes and with four corners.

Illegible pieces are reported and left out; a picture keeps its other texts.

Source: training specification, section 10.2 (OCR, grounding, reverse grounding).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
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
from nanovl.data.convert.boxes import Region, corner_quad, points, polygon_box
from nanovl.data.convert.lines import Line, reading_order
from nanovl.data.convert.parts import kept
from nanovl.data.convert.sources import find_file, load_json, media_file, picture, read_objects
from nanovl.data.convert.templates import box, grounded, grounded_quad, question

__all__ = ["FORMATS", "convert_hiertext", "convert_textocr", "text_turns"]

ILLEGIBLE = "."  # how TextOCR marks a word nobody can read
MOST_TEXTS = 80  # more are not asked for in one answer


def text_turns(texts: Sequence[Region], draw: random.Random, bound: int) -> list[Turn]:
    """Reading all, finding one by box or corners, reading one box.

    Args:
        texts: At least one, labels are what is written.
        draw: The generator of the record.
        bound: Upper bound of questions about single texts, of either direction.
    """
    ordered = _in_order(texts)
    turns = []
    if len(ordered) <= MOST_TEXTS:
        turns.append(
            Turn(
                question=question("ocr_multi", draw),
                answer="".join(grounded(t.label, [t.box]) for t in ordered),
                task="ocr_boxes",
                key="boxes",
            )
        )
        quads = [grounded_quad(t.label, [t.quad]) for t in ordered if t.quad]
        if len(quads) == len(ordered):
            turns.append(
                Turn(
                    question=question("ocr_quads", draw),
                    answer="\n".join(quads),
                    task="ocr_quads",
                    key="quads",
                )
            )
    times = Counter(t.label.casefold() for t in ordered)
    unique = [t for t in ordered if times[t.label.casefold()] == 1]
    for index, text in enumerate(draw.sample(unique, min(bound, len(unique)))):
        turns.append(_find(text, draw, f"find-{index}"))
    for index, text in enumerate(draw.sample(ordered, min(bound, len(ordered)))):
        turns.append(
            Turn(
                question=question("reverse_grounding", draw, box=box(text.box)),
                answer=text.label,
                task="reverse_grounding",
                key=f"region-{index}",
            )
        )
    return turns


def _find(text: Region, draw: random.Random, key: str) -> Turn:
    """Upright texts are found by box, turned ones by corners."""
    if text.quad is None or _upright(text):
        asked = question("text_position", draw, text=text.label)
        return Turn(
            question=asked, answer=grounded(text.label, [text.box]), task="grounding", key=key
        )
    asked = question("grounding_quad", draw, phrase=f'the text "{text.label}"')
    answer = grounded_quad(text.label, [text.quad])
    return Turn(question=asked, answer=answer, task="grounding_quad", key=key)


def _upright(text: Region) -> bool:
    assert text.quad is not None
    x1, y1, x2, y2 = text.box
    corners = ((x1, y1), (x2, y1), (x2, y2), (x1, y2))
    slack = max(2, (y2 - y1) // 10)  # a tenth of the height of the text
    return all(
        abs(x - u) <= slack and abs(y - v) <= slack
        for (x, y), (u, v) in zip(text.quad, corners, strict=True)
    )


def _in_order(texts: Sequence[Region]) -> list[Region]:
    """Row by row from the top, each row from left to right."""
    by_line: dict[Line, list[Region]] = {}
    for text in texts:
        by_line.setdefault(Line(text.label, text.box), []).append(text)
    rows = reading_order(list(by_line))
    return [text for row in rows for line in row for text in by_line[line]]


def _region(part: Item, key: str, text: str, size: tuple[float, float]) -> Region:
    polygon = points(part, key)
    return Region(text, polygon_box(polygon, *size, part.name(key)), corner_quad(polygon, *size))


def _made(
    item: Item,
    options: ConvertOptions,
    source: str,
    key: str,
    texts: list[Region],
    size: tuple[int, int],
    folders: Sequence[Path | None],
    file: str,
) -> list[Converted]:
    if not texts:
        raise Malformed("empty", "the picture has no legible text")
    media = picture(media_file(file, "file_name", *folders), source, key, size=size)
    turns = text_turns(
        texts, rng(f"{source}-{key}", options.seed), options.integer("boxes", 2, least=0)
    )
    return records(options, id=f"{source}-{key}", turns=turns, source=source, media=[media])


def _size(item: Item, *keys: str) -> tuple[int, int]:
    width, height = (int(item.number(key)) for key in keys)
    if width < 1 or height < 1:
        raise Malformed("bad_value", f"{', '.join(keys)}: got {width} x {height}, expected > 0")
    return width, height


def convert_textocr(source: Path, options: ConvertOptions) -> Iterator[Converted]:
    """`TextOCR_*_<split>.json`: objects `imgs`, `anns` and `imgToAnns`."""
    path = find_file(source, options, "TextOCR*{split}.json", "*{split}.json")
    data = load_json(path)
    for name in ("imgs", "anns", "imgToAnns"):
        if not isinstance(data, dict) or not isinstance(data.get(name), dict):
            raise InputError(f"{path}: there is no object {name!r}; is this TextOCR?")

    def make(item: Item) -> list[Converted]:
        key, size = item.text("id"), _size(item, "width", "height")

        def word(part: Item) -> Region:
            text = part.text("utf8_string")
            if text == ILLEGIBLE:
                raise Malformed("illegible", "utf8_string: marked as illegible")
            return _region(part, "points", text, size)

        numbers = data["imgToAnns"].get(key, [])
        parts = []
        for number in numbers if isinstance(numbers, list) else ():
            value = data["anns"].get(str(number))
            where = f"{path.name}:anns[{number!r}]"
            parts.append(Item(where, value if isinstance(value, dict) else {}))
        folders = [options.images, path.parent / f"{options.split}_images", path.parent]
        texts = kept(parts, word, options)
        file = item.text("file_name")
        return _made(item, options, "textocr", key, texts, size, folders, file)

    images = list(data["imgs"].values())
    return each(read_objects(images, f"{path.name}:imgs", options), make, options)


def convert_hiertext(source: Path, options: ConvertOptions) -> Iterator[Converted]:
    """`<split>.jsonl`, which in spite of its name is one JSON object with `annotations`."""
    path = find_file(source, options, "{split}.jsonl*", "{split}.json*", "gt/{split}.jsonl*")
    data = load_json(path)
    if not isinstance(data, dict) or not isinstance(data.get("annotations"), list):
        raise InputError(f"{path}: there is no list 'annotations'; is this HierText?")

    def make(item: Item) -> list[Converted]:
        key, size = item.text("image_id"), _size(item, "image_width", "image_height")

        def line(part: Item) -> Region:
            if not part.data.get("legible", True):
                raise Malformed("illegible", f"{part.path}: marked as illegible")
            return _region(part, "vertices", part.text("text"), size)

        lines = [li for p in item.children("paragraphs") for li in p.children("lines")]
        folders = [options.images, path.parent / options.split, path.parent.parent / options.split]
        texts = kept(lines, line, options)
        return _made(item, options, "hiertext", key, texts, size, folders, f"{key}.jpg")

    values = data["annotations"]
    return each(read_objects(values, f"{path.name}:annotations", options), make, options)


_OPTIONS = {
    **MULTI_TURN,
    "boxes": "questions about single texts per picture, each direction (default 2)",
}

FORMATS = (
    Format(
        name="textocr",
        description="TextOCR: words with boxes and corners, read and found",
        convert=convert_textocr,
        expects="TextOCR_*_<split>.json; pictures in <split>_images/ or the folder of pictures",
        licence="CC BY 4.0 as stated by the source",
        options=_OPTIONS,
    ),
    Format(
        name="hiertext",
        description="HierText: lines with boxes and corners, read and found",
        convert=convert_hiertext,
        expects="<split>.jsonl[.gz] beside the folder <split>/ of pictures",
        licence="CC BY-SA 4.0 as stated by the source",
        options=_OPTIONS,
    ),
)
