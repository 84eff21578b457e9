"""Referring expressions (RefCOCO, RefCOCO+, RefCOCOg): find what a phrase means, name a region.

Reads the references as JSON beside the `instances.json` of the same release. The pickled form is
refused: opening a pickle runs whatever it contains.

Source: training specification, section 10.2.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
    each,
    records,
    rng,
)
from nanovl.data.convert.boxes import size_box
from nanovl.data.convert.parts import item_key, read_any
from nanovl.data.convert.sources import find_file, load_json, media_file, picture
from nanovl.data.convert.templates import box, grounded, question

__all__ = ["FORMATS", "convert_refcoco"]


def convert_refcoco(source: Path, options: ConvertOptions) -> Iterator[Converted]:
    """References of one split with the boxes of the instances they name."""
    path = _references(source, options)
    images, marks = _instances(path.with_name("instances.json"))
    bound = options.integer("phrases", 3)

    def make(item: Item) -> list[Converted]:
        if item.maybe("split") not in ("", options.split):
            return []
        mark = _known(marks, item, "ann_id", "annotations")
        image = _known(images, mark, "image_id", "images")
        width, height = (int(image.number(key)) for key in ("width", "height"))
        place = size_box(mark, "bbox", width, height)
        phrases = dict.fromkeys(s.text("sent") for s in item.children("sentences"))
        if not phrases:
            raise Malformed("empty", "sentences: the list is empty")
        key = f"refcoco-{item_key(item, 'ref_id')}"
        draw = rng(key, options.seed)
        turns = [
            Turn(
                question=question("grounding", draw, phrase=f'"{phrase}"'),
                answer=grounded(phrase, [place]),
                task="grounding",
                key=f"phrase-{index}",
            )
            for index, phrase in enumerate(list(phrases)[:bound])
        ]
        turns.append(
            Turn(
                question=question("region_phrase", draw, box=box(place)),
                answer=draw.choice(list(phrases)),
                task="region_phrase",
                key="region",
            )
        )
        folders = [options.images, path.parent / "images", path.parent.parent / "images"]
        ref = media_file(image.text("file_name"), "file_name", *folders)
        media = picture(ref, "coco", image.text("id"), field="file_name", size=(width, height))
        return records(options, id=key, turns=turns, source="refcoco", media=[media])

    return each(read_any(path, options), make, options)


def _references(source: Path, options: ConvertOptions) -> Path:
    if source.suffix in (".p", ".pkl", ".pickle"):
        raise InputError(
            f"{source}: pickled references are not opened, because a pickle can run any code; "
            "export them as JSON (a list of references) and give that file"
        )
    return find_file(source, options, "refs*.json", "refs*.jsonl")


def _instances(path: Path) -> tuple[Mapping[str, Item], Mapping[str, Item]]:
    data = load_json(path)
    found = []
    for key in ("images", "annotations"):
        values = data.get(key) if isinstance(data, dict) else None
        if not isinstance(values, list):
            raise InputError(f"{path}: there is no list {key!r}; expected COCO instances")
        found.append(_by_id(values, f"{path.name}:{key}"))
    return found[0], found[1]


def _by_id(values: list[Any], where: str) -> dict[str, Item]:
    return {
        str(value.get("id")): Item(f"{where}[{index}]", value)
        for index, value in enumerate(values)
        if isinstance(value, dict)
    }


def _known(table: Mapping[str, Item], item: Item, key: str, name: str) -> Item:
    """The entry an id refers to, with its place in the path of its fields."""
    number = item.text(key)
    if number not in table:
        raise Malformed("bad_value", f"{item.name(key)}: {number} is not among the {name}")
    found = table[number]
    return Item(item.where, found.data, path=found.where)


FORMATS = (
    Format(
        name="refcoco",
        description="RefCOCO family: boxes for phrases, phrases for boxes",
        convert=convert_refcoco,
        expects="refs*.json (a list) beside instances.json, or their folder",
        options={**MULTI_TURN, "phrases": "phrases asked about per object (default 3)"},
    ),
)
