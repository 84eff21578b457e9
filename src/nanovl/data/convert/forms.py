"""FUNSD forms: field values, the whole form as JSON, element kinds, text, boxes, grounding."""

from __future__ import annotations

import json
from collections.abc import Iterator
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
from nanovl.data.convert.lines import Line, box_turns, ocr_turns
from nanovl.data.convert.sources import load_json, media_file, picture
from nanovl.data.convert.templates import box, question, scale_box

__all__ = ["FORMATS", "convert_funsd"]

LABELS = ("header", "question", "answer", "other")
_FOLDERS = {"train": "training_data", "test": "testing_data"}


def convert_funsd(source: Path, options: ConvertOptions) -> Iterator[Converted]:
    """A folder with `annotations/*.json` and `images/*.png`, or its parent with the splits."""
    inner = source / _FOLDERS.get(options.split, options.split)
    root = inner if inner.is_dir() else source
    folder = root / "annotations"
    if not folder.is_dir():
        raise InputError(
            f"{source}: found neither annotations/ nor {inner.name}/annotations/; give the folder "
            "of the data set or of one of its splits"
        )

    def make(item: Item) -> list[Converted]:
        path = Path(item.text("path"))
        ref = media_file(path.stem, "annotation", options.images, root / "images")
        try:
            form = load_json(path)
        except InputError as error:
            raise Malformed("bad_json", str(error)) from error
        if not isinstance(form, dict):
            raise Malformed("wrong_type", "the annotation is not an object")
        return _form(options, path.stem, picture(ref, "funsd", path.stem), Item(item.where, form))

    items = (Item(p.name, {"path": str(p)}) for p in sorted(folder.glob("*.json")))
    return each(items, make, options)


def _form(options: ConvertOptions, name: str, media: Media, item: Item) -> list[Converted]:
    size = media.metadata["width"], media.metadata["height"]
    entities = {int(e.number("id")): e for e in item.children("form")}
    key = f"funsd-{name}"
    draw = rng(key, options.seed)
    lines, labels = [], []
    for entity in entities.values():
        if not entity.maybe("text"):
            continue
        corners = scale_box(_corners(entity), *size)
        lines.append(Line(entity.text("text"), corners))
        labels.append((corners, _label(entity)))
    if not lines:
        raise Malformed("empty", "form: no entity has text")
    pairs = _pairs(entities)
    turns = [
        Turn(
            question=question("form_value", draw, field=field),
            answer=value,
            task="form_qa",
            key=f"field-{index}",
        )
        for index, (field, value) in enumerate(pairs.items())
    ]
    if pairs:
        turns.append(
            Turn(
                question=question("form_pairs", draw),
                answer=json.dumps(pairs, ensure_ascii=False),
                task="form_json",
                key="json",
            )
        )
    corners, label = draw.choice(labels)
    turns.append(
        Turn(
            question=question("form_label", draw, box=box(corners)),
            answer=label,
            task="form_label",
            key="label",
        )
    )
    turns += ocr_turns(lines, draw)
    turns += box_turns(lines, draw, options.integer("boxes", 3, least=0))
    return records(options, id=key, turns=turns, source="funsd", media=[media])


def _corners(entity: Item) -> tuple[float, float, float, float]:
    values = entity.items("box")
    if len(values) != 4 or not all(isinstance(v, (int, float)) for v in values):
        raise Malformed("bad_box", f"{entity.name('box')}: got {values}, expected 4 numbers")
    x1, y1, x2, y2 = values
    return x1, y1, x2, y2


def _label(entity: Item) -> str:
    label = entity.text("label")
    if label not in LABELS:
        raise Malformed(
            "bad_value",
            f"{entity.name('label')}: got {label!r}, expected one of {', '.join(LABELS)}",
        )
    return label


def _pairs(entities: dict[int, Item]) -> dict[str, str]:
    """Field -> value for every question with linked answers; ambiguous fields are left out."""
    values: dict[int, list[int]] = {}
    for entity in entities.values():
        for index, link in enumerate(entity.items("linking")):
            path = f"{entity.name('linking')}[{index}]"
            if not isinstance(link, list) or len(link) != 2:
                raise Malformed("wrong_type", f"{path}: got {link!r}, expected a pair of ids")
            first, second = (entities.get(i) if isinstance(i, int) else None for i in link)
            if first is None or second is None:
                raise Malformed("bad_value", f"{path}: {link} names an id the form does not have")
            if (_label(first), _label(second)) == ("question", "answer"):
                linked = values.setdefault(link[0], [])
                linked += [] if link[1] in linked else [link[1]]
    pairs: dict[str, str] = {}
    repeated = set()
    for field_id, answers in values.items():
        field = entities[field_id].maybe("text").rstrip(":").strip()
        answers.sort(key=lambda i: (_corners(entities[i])[1], _corners(entities[i])[0]))
        value = " ".join(t for i in answers if (t := entities[i].maybe("text")))
        if field in pairs:
            repeated.add(field)
        if field and value:
            pairs[field] = value
    return {field: value for field, value in pairs.items() if field not in repeated}


FORMATS = (
    Format(
        name="funsd",
        description="FUNSD scanned forms: field values, JSON, element kinds, OCR, boxes, grounding",
        convert=convert_funsd,
        expects="a folder with annotations/ and images/, or its parent (training_data/, ...)",
        licence="FUNSD licence: non-commercial research and education",
        options={
            **MULTI_TURN,
            "boxes": "grounding and reverse grounding questions per picture, each (default 3)",
        },
    ),
)
