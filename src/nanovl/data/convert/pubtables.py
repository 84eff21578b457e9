"""PubTables-1M: structure as boxes of rows, columns, headers and spanning cells, words as boxes.

The grid is rebuilt from the boxes: a place is a row crossed with a column, a spanning cell joins
the places it covers by more than half, a word belongs to the place its middle lies in.

Source: training specification, section 10.1; the class names are those of the data set.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from nanovl.core.errors import InputError
from nanovl.data.convert.base import (
    Converted,
    ConvertOptions,
    Format,
    Item,
    Malformed,
    each,
    records,
    rng,
)
from nanovl.data.convert.grids import Cell, Grid, Run, place
from nanovl.data.convert.sources import find_files, load_json, media_file, picture
from nanovl.data.convert.tables import TABLE_OPTIONS, table_turns

__all__ = ["FORMATS", "boxes_grid", "convert_pubtables"]

Box = tuple[float, float, float, float]
_SPANNING = ("table spanning cell", "table projected row header")
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_NUMBER = re.compile(r"[-+]?\d+(\.\d*)?")
_MOST_BYTES = 16 * 1024 * 1024  # of one structure file


def boxes_grid(
    parts: Sequence[tuple[str, Box]], words: Sequence[tuple[str, Box]], name: str = "objects"
) -> Grid:
    """The grid of class names and boxes.

    Args:
        parts: Class name and box `(x1, y1, x2, y2)` of every object of the structure.
        words: Text and box of every word, in reading order.
        name: For messages.

    Raises:
        Malformed: Without rows or columns, or with spanning cells that overlap.
    """
    kinds: dict[str, list[Box]] = defaultdict(list)
    for kind, box in parts:
        kinds[kind].append(box)
    rows = sorted(((b[1], b[3]) for b in kinds["table row"]), key=sum)
    columns = sorted(((b[0], b[2]) for b in kinds["table column"]), key=sum)
    if not rows or not columns:
        raise Malformed("bad_table", f"{name}: {len(rows)} rows and {len(columns)} columns")
    corner = _corners(kinds, rows, columns, name)
    texts: dict[tuple[int, int], list[str]] = defaultdict(list)
    for text, (x1, y1, x2, y2) in words:
        r, c = _hit(rows, (y1 + y2) / 2), _hit(columns, (x1 + x2) / 2)
        if r is not None and c is not None:
            texts[corner.get((r, c), (r, c, 1, 1))[:2]].append(text)
    heads = [(b[1], b[3]) for b in kinds["table column header"]]
    head = 0
    while head < len(rows) and any(_inside(rows[head], h) > 0.5 for h in heads):
        head += 1
    made = []
    for r in range(len(rows)):
        line = []
        for c in range(len(columns)):
            top, left, height, width = corner.get((r, c), (r, c, 1, 1))
            if (r, c) == (top, left):
                runs = (Run(" ".join(texts[r, c])),) if texts[r, c] else ()
                line.append(Cell(runs, height, width, header=r < head))
        made.append(line)
    return place(made, head, name)


def _corners(
    kinds: dict[str, list[Box]],
    rows: Sequence[tuple[float, float]],
    columns: Sequence[tuple[float, float]],
    name: str,
) -> dict[tuple[int, int], tuple[int, int, int, int]]:
    """For every covered place: row, column, height and width of the cell that covers it."""
    found: dict[tuple[int, int], tuple[int, int, int, int]] = {}
    for kind in _SPANNING:
        for box in kinds[kind]:
            over_rows = [i for i, r in enumerate(rows) if _inside(r, (box[1], box[3])) > 0.5]
            over = [i for i, c in enumerate(columns) if _inside(c, (box[0], box[2])) > 0.5]
            spots = [(r, c) for r in over_rows for c in over]
            if len(spots) < 2:
                continue
            if any(spot in found for spot in spots):
                raise Malformed("bad_table", f"{name}: two cells that span places overlap")
            cell = (over_rows[0], over[0], len(over_rows), len(over))
            found |= dict.fromkeys(spots, cell)
    return found


def _inside(part: tuple[float, float], whole: tuple[float, float]) -> float:
    """How much of an interval lies in another one, 0 to 1."""
    length = part[1] - part[0]
    both = min(part[1], whole[1]) - max(part[0], whole[0])
    return max(0.0, both) / length if length > 0 else 0.0


def _hit(intervals: Sequence[tuple[float, float]], value: float) -> int | None:
    return next((i for i, (a, b) in enumerate(intervals) if a <= value <= b), None)


def convert_pubtables(source: Path, options: ConvertOptions) -> Iterator[Converted]:
    """`<split>/*.xml` with `words/<name>_words.json` and `images/<name>.jpg`."""
    paths = find_files(source, options, "{split}/*.xml", "*.xml")
    root = paths[0].parent.parent if paths[0].parent.name == options.split else paths[0].parent
    words = root / "words" if (root / "words").is_dir() else root

    def make(item: Item) -> list[Converted]:
        path = Path(item.text("path"))
        key = path.stem
        size, parts = _structure(path)
        grid = boxes_grid(parts, _words(words / f"{key}_words.json"))
        folders = [options.images, root / "images", path.parent]
        media = picture(media_file(key, "filename", *folders), "pubtables", key, size=size)
        turns = table_turns(grid, rng(f"pubtables-{key}", options.seed), options)
        name = f"pubtables-{key}"
        return records(options, id=name, turns=turns, source="pubtables-1m", media=[media])

    items = (Item(path.name, {"path": str(path)}) for path in paths)
    return each(items, make, options)


def _structure(path: Path) -> tuple[tuple[int, int], list[tuple[str, Box]]]:
    """Picture size and objects of a VOC file."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Malformed("bad_xml", f"cannot be read: {error.strerror or error}") from error
    if len(data) > _MOST_BYTES or b"<!ENTITY" in data or b"<!DOCTYPE" in data:
        raise Malformed("bad_xml", "too large, or it declares a document type or entities")
    try:
        root = ET.fromstring(data)
    except ET.ParseError as error:
        raise Malformed("bad_xml", f"not valid XML: {error}") from error
    width, height = (_value(root, f"size/{key}") for key in ("width", "height"))
    parts = []
    for index, element in enumerate(root.findall("object")):
        place_name = f"object[{index}]"
        corners = [_value(element, f"bndbox/{k}", place_name) for k in _CORNERS]
        label = (element.findtext("name") or "").strip()
        parts.append((label, (corners[0], corners[1], corners[2], corners[3])))
    return (int(width), int(height)), parts


def _value(element: ET.Element, path: str, name: str = "annotation") -> float:
    text = (element.findtext(path) or "").strip()
    if not _NUMBER.fullmatch(text):
        place_name = f"{name}.{path.replace('/', '.')}"
        raise Malformed("bad_box", f"{place_name}: got {text!r}, expected a number")
    return float(text)


def _words(path: Path) -> list[tuple[str, Box]]:
    try:
        values = load_json(path)
    except InputError as error:
        raise Malformed("missing_media", f"words: {error}") from error
    if not isinstance(values, list):
        raise Malformed("wrong_type", f"{path.name}: expected a list of words")
    found = []
    for index, value in enumerate(values):
        box = value.get("bbox") if isinstance(value, dict) else None
        text = value.get("text") if isinstance(value, dict) else None
        numbers = [v for v in box if isinstance(v, (int, float))] if isinstance(box, list) else []
        if len(numbers) != 4 or not isinstance(text, str):
            raise Malformed("wrong_type", f"{path.name}[{index}]: expected text and bbox")
        if text.strip():
            corners = (numbers[0], numbers[1], numbers[2], numbers[3])
            found.append((text.strip(), corners))
    return found


FORMATS = (
    Format(
        name="pubtables",
        description="PubTables-1M structure: tables as LaTeX, HTML, markdown or OTSL, look-ups",
        convert=convert_pubtables,
        expects="a folder with <split>/*.xml, words/*_words.json and images/",
        licence="CDLA-Permissive-2.0",
        options=TABLE_OPTIONS,
    ),
)
