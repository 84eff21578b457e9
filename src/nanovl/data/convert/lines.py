"""Printed lines with boxes as questions: reading all of them, reading with positions, grounding.

Shared by every format that has text and where it stands (receipts, forms). Boxes are already
scaled to 0..1000 here.

Source: training specification, section 10.2 (OCR, grounding and reverse grounding rows).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from nanovl.data.convert.base import Item, Malformed, Turn
from nanovl.data.convert.templates import BOX_RANGE, box, grounded, question

__all__ = ["Line", "box_turns", "ocr_turns", "read_box", "reading_order"]


@dataclass(frozen=True)
class Line:
    """A piece of text and its box `(x1, y1, x2, y2)`, integers 0 to 1000."""

    text: str
    box: tuple[int, int, int, int]


def read_box(item: Item, key: str) -> tuple[int, int, int, int]:
    """A box field that is already scaled.

    Raises:
        Malformed: Not four whole numbers 0 to 1000 with a positive extent.
    """
    values = item.items(key)
    whole = [v for v in values if isinstance(v, int) and not isinstance(v, bool)]
    if len(values) != 4 or len(whole) != 4 or not all(0 <= v <= BOX_RANGE for v in whole):
        raise Malformed(
            "bad_box", f"{item.name(key)}: got {values}, expected 4 whole numbers 0..{BOX_RANGE}"
        )
    x1, y1, x2, y2 = whole
    if x1 >= x2 or y1 >= y2:
        raise Malformed("bad_box", f"{item.name(key)}: {values} is empty or upside down")
    return x1, y1, x2, y2


def reading_order(lines: Sequence[Line]) -> list[list[Line]]:
    """Lines as printed rows from top to bottom, each from left to right.

    A line joins a row when its middle lies inside the height of the row's first line.
    """
    rows: list[list[Line]] = []
    for line in sorted(lines, key=lambda it: (it.box[1] + it.box[3], it.box[0])):
        middle = (line.box[1] + line.box[3]) / 2
        if rows and rows[-1][0].box[1] <= middle <= rows[-1][0].box[3]:
            rows[-1].append(line)
        else:
            rows.append([line])
    return [sorted(row, key=lambda it: it.box[0]) for row in rows]


def ocr_turns(lines: Sequence[Line], rng: random.Random) -> list[Turn]:
    """Reading everything, reading with boxes, and reading one row."""
    rows = reading_order(lines)
    texts = [" ".join(line.text for line in row) for row in rows]
    number = rng.randrange(len(texts))
    with_boxes = "".join(grounded(line.text, [line.box]) for row in rows for line in row)
    return [
        Turn(question=question("ocr_text", rng), answer="\n".join(texts), task="ocr", key="ocr"),
        Turn(
            question=question("ocr_multi", rng),
            answer=with_boxes,
            task="ocr_boxes",
            key="ocr-boxes",
        ),
        Turn(
            question=question("ocr_line", rng, number=str(number + 1)),
            answer=texts[number],
            task="ocr_line",
            key="ocr-line",
        ),
    ]


def box_turns(lines: Sequence[Line], rng: random.Random, count: int) -> list[Turn]:
    """Grounding of texts that occur once, and reading inside boxes.

    Args:
        lines: All lines of the picture.
        rng: The generator of the record.
        count: Upper bound of questions of either kind.
    """
    times = Counter(line.text.casefold() for line in lines)
    unique = [line for line in lines if times[line.text.casefold()] == 1]
    turns = []
    for index, line in enumerate(rng.sample(unique, min(count, len(unique)))):
        turns.append(
            Turn(
                question=question("text_position", rng, text=line.text),
                answer=grounded(line.text, [line.box]),
                task="grounding",
                key=f"ground-{index}",
            )
        )
    for index, line in enumerate(rng.sample(list(lines), min(count, len(lines)))):
        turns.append(
            Turn(
                question=question("reverse_grounding", rng, box=box(line.box)),
                answer=line.text,
                task="reverse_grounding",
                key=f"region-{index}",
            )
        )
    return turns
