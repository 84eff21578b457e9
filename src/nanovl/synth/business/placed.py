"""Ground truth of a drawn page: blocks, words, table cells, fields, labels and links with boxes.

Words of the renderer are matched with the leaves of the tree; a page whose words differ from what
was meant to be there is rejected. Boxes are drawn in around the ink. After the page was bent the
same words are found again by their number. Must not ask questions.

Source: data synthesis specification, sections 2.3, 3.15 and 9 (`gt`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nanovl.synth.base import Box, Reject
from nanovl.synth.business.html import Drawn
from nanovl.synth.business.model import Check, Draft, Field
from nanovl.synth.business.nodes import Flat, Leaf
from nanovl.synth.documents.draw import InkBlock, InkCell, InkLine, InkWord, Painted, union
from nanovl.synth.tables.forms import write

__all__ = ["Assembly", "PlacedCheck", "PlacedField", "Seen", "assemble", "find", "truth"]

Pixels = npt.NDArray[np.int16]
_INK = 40  # least difference from the ground


@dataclass(frozen=True)
class PlacedField:
    """A field that is on the page.

    Attributes:
        field: What it says.
        box: Of the value.
        words: Boxes of its words.
        label: As it is printed, without a colon; "" where there is none.
        label_box: None where no label is printed.
    """

    field: Field
    box: Box
    words: tuple[Box, ...]
    label: str
    label_box: Box | None


@dataclass(frozen=True)
class PlacedCheck:
    """A check box on the page: its square, and the square with its text."""

    check: Check
    square: Box
    box: Box


@dataclass(frozen=True)
class Seen:
    """What can be asked about a finished page.

    Attributes:
        painted: The page.
        fields: By path, in reading order.
        checks: In reading order.
        drawings: (what, text, box) of logos, stamps, codes ...
        table_blocks: Number of the block of every table that is drawn as one, by its path.
    """

    painted: Painted
    fields: Mapping[str, PlacedField]
    checks: tuple[PlacedCheck, ...]
    drawings: tuple[tuple[str, str, Box], ...]
    table_blocks: Mapping[str, int]


@dataclass
class Assembly:
    """A clean page and which word belongs to which leaf.

    Attributes:
        painted: The page.
        spots: Of every leaf: numbers of its words, in the order of `_words`.
        pictures: Of every drawing leaf: number of its block.
    """

    painted: Painted
    spots: dict[str, list[int]]
    pictures: dict[str, int]


def _tight(pixels: Pixels, box: Box) -> Box:
    """The box around the ink inside a box; the box itself where there is none."""
    height, width = pixels.shape[:2]
    x0, y0 = max(0, int(box[0])), max(0, int(box[1]))
    x1, y1 = min(width, int(box[2]) + 1), min(height, int(box[3]) + 1)
    part = pixels[y0:y1, x0:x1]
    if part.size == 0:
        return box
    edge = np.concatenate([part[0], part[-1]])
    dark = (np.abs(part - np.median(edge, axis=0)).max(axis=2)) > _INK
    rows, columns = np.flatnonzero(dark.any(axis=1)), np.flatnonzero(dark.any(axis=0))
    if not len(rows):
        return box
    return (
        float(x0 + columns[0]), float(y0 + rows[0]), float(x0 + columns[-1] + 1),
        float(y0 + rows[-1] + 1),
    )  # fmt: skip


def _lines(words: Sequence[InkWord]) -> list[InkLine]:
    """Words in reading order as lines."""
    rows: list[list[InkWord]] = []
    for word in words:
        if rows:
            last = rows[-1][-1]
            middle = (word.box[1] + word.box[3]) / 2
            low, high = min(w.box[1] for w in rows[-1]), max(w.box[3] for w in rows[-1])
            other = (last.box[1] + last.box[3]) / 2
            near = low <= middle <= high or word.box[1] <= other <= word.box[3]
            if near and word.box[0] >= last.box[0]:
                rows[-1].append(word)
                continue
        rows.append([word])
    return [InkLine(" ".join(w.text for w in row), union(w.box for w in row), row) for row in rows]


def _leaf_words(leaf: Leaf, drawn: Drawn, pixels: Pixels) -> list[InkWord]:
    if leaf.what == "check":
        return [InkWord(leaf.text, drawn.boxes[leaf.key])]
    wanted = leaf.text.split()
    given = drawn.words.get(leaf.key, [])
    if [t for t, _ in given] != wanted:
        raise Reject("words_differ", f"expected {wanted}, the page has {[t for t, _ in given]}")
    return [
        InkWord(text, _tight(pixels, box), bold=leaf.bold, italic=leaf.italic)
        for text, box in given
    ]


def assemble(flat: Flat, drawn: Drawn) -> Assembly:
    """A drawn page with all its words.

    Raises:
        Reject: The words on the page are not those of the tree, or leave the picture.
    """
    pixels = np.asarray(drawn.image, dtype=np.int16)
    by_block: dict[int, list[tuple[Leaf, list[InkWord]]]] = {}
    for leaf in flat.leaves:
        words = [] if leaf.what not in ("", "check") else _leaf_words(leaf, drawn, pixels)
        by_block.setdefault(leaf.block, []).append((leaf, words))
    blocks: list[InkBlock] = []
    owner: dict[int, str] = {}
    pictures: dict[str, int] = {}
    for number, block in enumerate(flat.blocks):
        found = by_block.get(number, [])
        for leaf, words in found:
            owner |= {id(w): leaf.key for w in words}
        if block.kind == "table":
            blocks.append(_table(number, block.size, found, drawn))
            continue
        if block.kind == "picture":
            leaf = found[0][0]
            pictures[leaf.key] = len(blocks)
            blocks.append(InkBlock("picture", number, 0, "", drawn.boxes[leaf.key], []))
            continue
        words = [w for _, ws in found for w in ws]
        if words:
            box = union(w.box for w in words)
            blocks.append(
                InkBlock(block.kind, number, block.level, block.marker, box, _lines(words))
            )
    painted = Painted(drawn.image, 1, blocks)
    width, height = drawn.image.size
    spots: dict[str, list[int]] = {leaf.key: [] for leaf in flat.leaves}
    for place, word in enumerate(_words(painted)):
        spots[owner[id(word)]].append(place)
        x0, y0, x1, y1 = word.box
        if x0 < -0.5 or y0 < -0.5 or x1 > width + 0.5 or y1 > height + 0.5:
            raise Reject("word_outside", f"{word.text!r} at {word.box} of {width} x {height}")
    _check_overlaps(painted)
    return Assembly(painted, spots, pictures)


def _check_overlaps(painted: Painted) -> None:
    """Words must not run into each other."""
    boxes = np.array([w.box for w in _words(painted)], dtype=np.float64)
    if len(boxes) < 2:
        return
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    least = np.minimum(areas[:, None], areas[None, :])
    np.fill_diagonal(shared, 0)
    if (shared > 0.06 * least).any():
        raise Reject("words_overlap", "two words lie on each other")


def _table(
    number: int, size: tuple[int, int], found: Sequence[tuple[Leaf, list[InkWord]]], drawn: Drawn
) -> InkBlock:
    filled = {leaf.cell: (leaf, words) for leaf, words in found}
    cells = []
    for row in range(-1, size[0]):
        for column in range(size[1]):
            area = drawn.boxes[f"t{number}:{row}:{column}"]
            leaf, words = filled.get((row, column), (None, []))
            lines = _lines(words)
            ink = union(line.box for line in lines) if lines else None
            text = "" if leaf is None else leaf.text
            cells.append(InkCell(row, column, text, area, lines, ink))
    box = drawn.boxes[f"t{number}"]
    return InkBlock("table", number, 0, "", box, [], cells=cells, rows=(0, size[0]))


def _words(painted: Painted) -> list[InkWord]:
    """All words; the order does not change when a page is bent."""
    found: list[InkWord] = []
    for block in painted.blocks:
        lines = [*block.lines, *(line for cell in block.cells for line in cell.lines)]
        found += [word for line in lines for word in line.words]
    return found


def find(draft: Draft, flat: Flat, assembly: Assembly, painted: Painted) -> Seen:
    """Where fields and check boxes are on the finished page.

    Args:
        draft: What the document says.
        flat, assembly: The clean page.
        painted: The page after everything that happened to it.
    """
    words = _words(painted)
    values: dict[str, list[Box]] = {}
    labels: dict[str, tuple[str, Box]] = {}
    squares: dict[str, Box] = {}
    options: dict[str, Box] = {}
    tables: dict[str, int] = {}
    drawings = []
    for leaf in flat.leaves:
        if leaf.what not in ("", "check"):
            drawings.append((leaf.what, leaf.text, painted.blocks[assembly.pictures[leaf.key]].box))
            continue
        boxes = [words[k].box for k in assembly.spots[leaf.key]]
        if not leaf.path or not boxes:
            continue
        if leaf.what == "check":
            squares[leaf.path] = boxes[0]
        elif leaf.role == "option":
            options[leaf.path] = union(boxes)
        elif leaf.role == "value" and leaf.path not in values:
            values[leaf.path] = boxes
            if leaf.cell is not None:
                tables.setdefault(leaf.path.split(".")[0], leaf.block)
        elif leaf.role == "label" and leaf.path not in labels:
            labels[leaf.path] = (leaf.text.rstrip(":").rstrip(), union(boxes))
    fields = {
        path: PlacedField(
            draft.fields[path], union(boxes), tuple(boxes), *labels.get(path, ("", None))
        )
        for path, boxes in values.items()
    }
    checks = tuple(
        PlacedCheck(c, squares[c.path], union([squares[c.path], options[c.path]]))
        for c in draft.checks
        if c.path in squares
    )
    return Seen(painted, fields, checks, tuple(drawings), tables)


# -- Ground truth --------------------------------------------------------------------------------


def _round(box: Sequence[float]) -> list[float]:
    return [round(float(v), 2) for v in box]


def _tree(fields: Mapping[str, PlacedField]) -> dict[str, Any]:
    """Values as a nested object; numbered parts become lists."""
    root: dict[str, Any] = {}
    for path, found in fields.items():
        *parents, last = path.split(".")
        node = root
        for part in parents:
            node = node.setdefault(part, {})
        node[last] = found.field.value
    return {key: _listed(value) for key, value in root.items()}


def _listed(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value and all(key.isdigit() for key in value):
        return [_listed(value[key]) for key in sorted(value, key=int)]
    return {key: _listed(inner) for key, inner in value.items()}


def truth(draft: Draft, seen: Seen) -> dict[str, Any]:
    """Everything known about the document but its blocks, as JSON."""
    entities: list[dict[str, Any]] = []
    links: list[list[int]] = []
    fields: list[dict[str, Any]] = []
    for path, found in seen.fields.items():
        field = found.field
        made: dict[str, Any] = {
            "path": path,
            "name": field.name,
            "text": field.text,
            "value": field.value,
            "type": field.kind,
            "page": 1,
            "bbox": _round(found.box),
            "word_boxes": [_round(b) for b in found.words],
        }
        if found.label_box is not None:
            made["label_text"] = found.label
            made["label_bbox"] = _round(found.label_box)
            entities.append({"label": "question", "text": found.label, "bbox": made["label_bbox"]})
            links.append([len(entities) - 1, len(entities)])
        entities.append({"label": "answer", "text": field.text, "bbox": made["bbox"]})
        fields.append(made)
    for block in seen.painted.blocks:
        if block.kind in ("title", "section_header"):
            text = " ".join(line.text for line in block.lines)
            entities.append({"label": "header", "text": text, "bbox": _round(block.box)})
    tables = []
    for table in draft.tables:
        grid = table.grid()
        tables.append(
            {
                "path": table.path,
                "keys": list(table.keys),
                "block": seen.table_blocks.get(table.path),
                "grid": grid.to_json(),
                "html": write(grid, "html"),
                "otsl": write(grid, "otsl"),
            }
        )
    return {
        "doc_type": draft.family,
        "title": draft.title,
        "language": draft.locale.language,
        "country": draft.locale.country,
        "currency": draft.locale.currency,
        "kv": _tree(seen.fields),
        "fields": fields,
        "checks": [
            {
                "path": c.check.path,
                "group": c.check.group,
                "text": c.check.text,
                "checked": c.check.is_on,
                "bbox": _round(c.square),
                "option_bbox": _round(c.box),
            }
            for c in seen.checks
        ],
        "items": tables,
        "entities": [{"id": k, **e} for k, e in enumerate(entities)],
        "links": links,
        "drawings": [{"kind": w, "text": t, "bbox": _round(b)} for w, t, b in seen.drawings],
        "relations": [
            {
                "kind": r.kind,
                "result": r.result,
                "terms": [[t.path, t.sign] for t in r.terms],
            }
            for r in draft.relations
        ],
    }
