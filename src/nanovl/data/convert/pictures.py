"""Pictures with captions or names: caption files (TextCaps, COCO), clip art.

Clip art names are noisy, like alternative text on the web: the name (a cleaned file name, often
with the author's name at its end) and the title are made into one label.
"""

from __future__ import annotations

import re
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
from nanovl.data.convert.sources import (
    find_file,
    load_json,
    media_file,
    picture,
    read_objects,
    read_samples,
    sample_picture,
)
from nanovl.data.convert.templates import choose_letters, question

__all__ = ["FORMATS", "clipart_label", "convert_captions", "convert_clipart"]

_MIN_DESCRIPTION = 20  # characters; shorter ones repeat the title
_NOT_A_DESCRIPTION = re.compile(r"@|https?:|www\.|convert|svg|public domain|clip ?art", re.I)


def clipart_label(title: str, name: str) -> str:
    """The best short name of a clip art picture.

    The title when one of the two begins with the other (it drops an author's name from the file
    name, or completes a cut one) or when it has all words of the file name; else the file name,
    since many titles are those of a whole collection.
    """
    clean = " ".join(re.sub(r"\(.*?\)|[^\w\s'&-]", " ", title).split()).lower()
    flat, other = re.sub(r"\W+", " ", clean).strip(), re.sub(r"\W+", " ", name.lower()).strip()
    begins = other.startswith(flat) or flat.startswith(other)
    if len(flat) > 2 and other and (begins or set(other.split()) <= set(flat.split())):
        return clean
    return other or clean


def convert_clipart(source: Path, options: ConvertOptions) -> Iterator[Converted]:
    """Sample tars with title, name, category and description."""
    path = find_file(source, options, "clipart_{split}.tar", "*_{split}.tar", "{split}.tar")
    labels, groups = _siblings(path, options)

    def make(item: Item) -> list[Converted]:
        name = item.text("id")
        key = f"clipart-{name}"
        draw = rng(key, options.seed)
        label, group = _label(item), _group(item)
        turns = [
            Turn(
                question=question("captioning", draw),
                answer=_caption(item, label),
                task="captioning",
                key="caption",
            ),
            Turn(
                question=question("picture_name", draw),
                answer=label,
                task="picture_name",
                key="name",
            ),
        ]
        closed = choose_letters(label, labels[group], draw)
        if closed is not None:
            turns.append(
                Turn(
                    question=question("picture_closed", draw, options=closed[0]),
                    answer=closed[1],
                    task="picture_choice",
                    key="choice",
                )
            )
        closed = choose_letters(group, groups, draw)
        if closed is not None:
            turns.append(
                Turn(
                    question=question("category_closed", draw, options=closed[0]),
                    answer=closed[1],
                    task="category_choice",
                    key="category",
                )
            )
        return records(
            options,
            id=key,
            turns=turns,
            source="nanovl-clipart",
            media=[sample_picture(item, "clipart", name)],
        )

    return each(read_samples(path, options), make, options)


def _siblings(path: Path, options: ConvertOptions) -> tuple[dict[str, set[str]], set[str]]:
    """Labels per group, and the groups; drops are reported by the second pass, not here."""
    labels: dict[str, set[str]] = {}
    for item in read_samples(path, ConvertOptions(split=options.split)):
        try:
            labels.setdefault(_group(item), set()).add(_label(item))
        except Malformed:
            continue
    return labels, set(labels)


def _label(item: Item) -> str:
    label = clipart_label(item.maybe("title"), item.maybe("name"))
    if not label:
        raise Malformed("empty", "title and name hold no word")
    return label


def _group(item: Item) -> str:
    return item.text("category").split("/")[0].replace("_", " ")


def _caption(item: Item, label: str) -> str:
    """The description if it says something, else a sentence made of label and category."""
    described = " ".join(item.maybe("description").split())
    is_plain = described.isascii() and not _NOT_A_DESCRIPTION.search(described)
    if len(described) >= _MIN_DESCRIPTION and is_plain and described[0].isalpha():
        sentence = described[0].upper() + described[1:]
        return sentence if sentence[-1] in ".!?" else sentence + "."
    return f"Clip art: {label}."


def convert_captions(source: Path, options: ConvertOptions) -> Iterator[Converted]:
    """Caption files: TextCaps (`data`), COCO (`images`, `annotations`), or a plain list."""
    name = str(options.extra.get("name", "captions"))
    path = find_file(
        source, options, "*captions*{split}*.json", "*{split}*.json", "*captions*.json"
    )
    data = load_json(path)
    if isinstance(data, dict) and "annotations" in data:
        pictures = _coco_pictures(data.get("images"), path, options)
        items = read_objects(data["annotations"], f"{path.name}: annotations", options)
    elif isinstance(data, dict) and "data" in data:
        pictures = {}
        items = read_objects(data["data"], f"{path.name}: data", options)
    elif isinstance(data, list):
        pictures = {}
        items = read_objects(data, path.name, options)
    else:
        raise InputError(f"{path}: expected a list, or an object with 'annotations' or 'data'")
    times: dict[str, int] = {}

    def make(item: Item) -> list[Converted]:
        file, size = _pictured(item, pictures)
        ref = media_file(file, "image", options.images, path.parent, path.parent / "images")
        stem = Path(file).stem
        caption = item.maybe("caption_str") or item.text("caption")
        # Named by the picture and the number of its caption, so that the order of other
        # pictures changes nothing.
        times[stem] = times.get(stem, -1) + 1
        key = f"{name}-{stem}-{times[stem]}"
        turn = Turn(
            question=question("captioning", rng(key, options.seed)),
            answer=" ".join(caption.split()),
            task="captioning",
        )
        media = picture(ref, name, stem, size=size)
        return records(options, id=key, turns=[turn], source=name, media=[media])

    return each(items, make, options)


def _coco_pictures(
    values: Any, path: Path, options: ConvertOptions
) -> Mapping[str, tuple[str, tuple[int, int] | None]]:
    found = {}
    for item in read_objects(values, f"{path.name}: images", options):
        size = None
        if "width" in item.data and "height" in item.data:
            size = int(item.number("width")), int(item.number("height"))
        found[item.text("id")] = item.text("file_name"), size
    return found


def _pictured(
    item: Item, pictures: Mapping[str, tuple[str, tuple[int, int] | None]]
) -> tuple[str, tuple[int, int] | None]:
    """File and size of the picture an entry is about."""
    if pictures:
        number = item.text("image_id")
        if number not in pictures:
            raise Malformed("bad_value", f"image_id: there is no picture {number!r} in 'images'")
        return pictures[number]
    file = item.maybe("image") or item.maybe("file_name") or item.maybe("image_id")
    if not file:
        raise Malformed("missing_field", "image is missing, and so are file_name and image_id")
    return file, None


FORMATS = (
    Format(
        name="nanovl-clipart",
        description="Clip art: captions, names, lettered naming and categories",
        convert=convert_clipart,
        expects="clipart_<split>.tar or its folder",
        licence="public domain dedication (Open Clip Art Library)",
        options=MULTI_TURN,
    ),
    Format(
        name="captions",
        description="Caption JSON (TextCaps, COCO captions, plain lists): one record per caption",
        convert=convert_captions,
        expects="the JSON file, with the pictures beside it or in the folder of pictures",
        options={"name": "source name of the records (default captions)"},
    ),
)
