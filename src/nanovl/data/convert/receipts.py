"""Receipts: questions about the fields, key information as JSON, text, boxes.

Two sources of the same annotation: sample tars whose boxes are scaled already, and the folders of
the ICDAR 2019 challenge (pictures, one text file of quadrilaterals and one JSON of fields each).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from nanovl.core.errors import InputError
from nanovl.data.convert.base import (
    MULTI_TURN,
    Converted,
    ConvertOptions,
    Format,
    Item,
    Malformed,
    Media,
    Turn,
    each,
    records,
    rng,
)
from nanovl.data.convert.lines import Line, box_turns, ocr_turns, read_box
from nanovl.data.convert.sources import (
    find_file,
    load_json,
    media_file,
    picture,
    read_samples,
    sample_picture,
)
from nanovl.data.convert.templates import question, scale_box

__all__ = ["FORMATS", "convert_receipts", "convert_sroie"]

FIELDS = ("company", "date", "address", "total")
OPTIONS = {
    **MULTI_TURN,
    "boxes": "grounding and reverse grounding questions per picture, each (default 3)",
}


def convert_receipts(source: Path, options: ConvertOptions) -> Iterator[Converted]:
    """Sample tars with `fields` and `lines`."""

    def make(item: Item) -> list[Converted]:
        key = item.text("id")
        lines = [Line(i.text("text"), read_box(i, "bbox")) for i in item.children("lines")]
        fields = {name: item.child("fields").maybe(name) for name in FIELDS}
        media = sample_picture(item, "receipts", key)
        return _receipt(options, f"receipts-{key}", "nanovl-receipts", media, fields, lines)

    path = find_file(source, options, "sroie_{split}.tar", "*_{split}.tar", "{split}.tar")
    return each(read_samples(path, options), make, options)


def convert_sroie(source: Path, options: ConvertOptions) -> Iterator[Converted]:
    """The challenge's folders: box files name the receipts, fields and pictures belong to them."""
    root = source / options.split if (source / options.split).is_dir() else source
    folder = _first_folder(root, ("box", "boxes", "task1", "0325updated.task1train(626p)"))
    entities = _first_folder(root, ("key", "entities", "task2", "0325updated.task2train(626p)"))

    def make(item: Item) -> list[Converted]:
        key = item.text("name")
        pictures = [options.images, root / "img", root / "images", folder, root]
        ref = media_file(key, "name", *pictures)
        media = picture(ref, "sroie", key, field="name")
        lines = _box_lines(Path(item.text("path")), media)
        return _receipt(options, f"sroie-{key}", "sroie", media, _entities(entities, key), lines)

    paths = sorted(p for p in folder.iterdir() if p.suffix in (".txt", ".csv"))
    items = (Item(p.name, {"name": p.stem, "path": str(p)}) for p in paths)
    return each(items, make, options)


def _first_folder(root: Path, names: Sequence[str]) -> Path:
    for name in names:
        if (root / name).is_dir():
            return root / name
    raise InputError(f"{root}: found none of the folders {', '.join(names)}")


def _entities(folder: Path, key: str) -> Mapping[str, str]:
    path = next((p for s in (".json", ".txt") if (p := folder / f"{key}{s}").is_file()), None)
    if path is None:
        raise Malformed("missing_field", f"no fields for this receipt in {folder.name}")
    try:
        fields = Item(path.name, load_json(path) or {})
    except InputError as error:
        raise Malformed("bad_json", str(error)) from error
    if not isinstance(fields.data, dict):
        raise Malformed("wrong_type", f"{path.name}: expected an object of fields")
    return {name: fields.maybe(name) for name in FIELDS}


def _box_lines(path: Path, media: Media) -> list[Line]:
    """Lines `x1,y1,x2,y2,x3,y3,x4,y4,text` in pixels; the box is the quadrilateral's hull."""
    width, height = media.metadata["width"], media.metadata["height"]
    lines = []
    # utf-8-sig: some of the files begin with a byte order mark
    for number, row in enumerate(path.read_text("utf-8-sig", errors="replace").splitlines(), 1):
        parts = row.split(",", 8)
        if not row.strip():
            continue
        try:
            corners = [float(part) for part in parts[:8]]
            text = parts[8].strip()
        except (ValueError, IndexError) as error:
            raise Malformed(
                "bad_box", f"line {number}: got {row[:60]!r}, expected 8 numbers and a text"
            ) from error
        if text:
            hull = (min(corners[::2]), min(corners[1::2]), max(corners[::2]), max(corners[1::2]))
            lines.append(Line(text, scale_box(hull, width, height)))
    return lines


def _receipt(
    options: ConvertOptions,
    key: str,
    source: str,
    media: Media,
    fields: Mapping[str, str],
    lines: Sequence[Line],
) -> list[Converted]:
    if not lines:
        raise Malformed("empty", "lines: the receipt has no text")
    draw = rng(key, options.seed)
    turns = [
        Turn(
            question=question(f"receipt_{name}", draw),
            answer=value,
            task="receipt_field",
            key=name,
        )
        for name, value in fields.items()
        if value
    ]
    if turns:
        turns.append(
            Turn(
                question=question("key_information", draw, keys=", ".join(fields)),
                answer=json.dumps({k: v or None for k, v in fields.items()}, ensure_ascii=False),
                task="key_information",
                key="json",
            )
        )
    turns += ocr_turns(lines, draw)
    turns += box_turns(lines, draw, options.integer("boxes", 3, least=0))
    metadata = {"group": fields["company"]} if fields.get("company") else {}
    return records(options, id=key, turns=turns, source=source, media=[media], metadata=metadata)


FORMATS = (
    Format(
        name="nanovl-receipts",
        description="Scanned receipts: field questions, JSON, OCR, boxes, grounding",
        convert=convert_receipts,
        expects="sroie_<split>.tar or its folder",
        licence="MIT repository; pictures from the ICDAR 2019 SROIE challenge",
        options=OPTIONS,
    ),
    Format(
        name="sroie",
        description="ICDAR 2019 SROIE: field questions, JSON, OCR, boxes, grounding",
        convert=convert_sroie,
        expects="a folder with img/, box/ (x1,y1,...,x4,y4,text) and key/ (JSON), or one per split",
        licence="ICDAR 2019 SROIE challenge terms",
        options=OPTIONS,
    ),
)
