"""Open Images boxes: rows of a CSV, one per box, in fractions of the picture.

Kinds are called absent only where a person verified that they are (image-level labels of
confidence 0); boxes that stand for a group make their kind unusable in that picture.

Source: training specification, sections 10.1 and 10.2.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path

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
from nanovl.data.convert.boxes import Region, fraction_box
from nanovl.data.convert.detection import SCENE_OPTIONS, Scene, incomplete, scene_turns
from nanovl.data.convert.parts import kept, read_csv
from nanovl.data.convert.sources import find_file, media_file, picture

__all__ = ["FORMATS", "convert_openimages"]

_CORNERS = ("XMin", "YMin", "XMax", "YMax")


def convert_openimages(source: Path, options: ConvertOptions) -> Iterator[Converted]:
    """Box rows sorted by picture, class names, and labels verified as absent when present."""
    path = find_file(source, options, "*{split}-annotations-bbox.csv")
    names = _class_names(find_file(path.parent, options, "*class-descriptions-boxable.csv"))
    absent = _verified_absent(path.parent, options, names)

    def make(item: Item) -> list[Converted]:
        key = item.text("ImageID")
        scene = Scene(absent=absent.get(key, []))

        def region(row: Item) -> Region | None:
            label = names.get(row.text("LabelName"))
            if label is None:
                raise Malformed("bad_value", f"LabelName: {row.data['LabelName']!r} has no name")
            if row.maybe("IsGroupOf") == "1":
                scene.groups.add(label)
                return None
            with incomplete(scene, label):
                return Region(label, fraction_box(row, *_CORNERS))

        rows: list[Item] = item.data["rows"]
        scene.regions = [r for r in kept(rows, region, options) if r is not None]
        folders = [options.images, path.parent / options.split, path.parent / "images"]
        media = picture(media_file(key, "ImageID", *folders, path.parent), "openimages", key)
        turns = scene_turns(scene, rng(f"openimages-{key}", options.seed), options)
        if not turns:
            raise Malformed("empty", "the image has no usable box")
        name = f"openimages-{key}"
        return records(options, id=name, turns=turns, source="openimages", media=[media])

    rows = groupby(read_csv(path), key=lambda row: str(row.data.get("ImageID", "")))
    return each(map(_grouped, rows), make, options)


def _grouped(group: tuple[str, Iterator[Item]]) -> Item:
    key, rows = group[0], list(group[1])
    return Item(rows[0].where, {"ImageID": key or None, "rows": rows})


def _class_names(path: Path) -> dict[str, str]:
    """Display names by label; files of later releases begin with a header."""
    found = {}
    for row in read_csv(path, ("LabelName", "DisplayName")):
        label, name = row.data.get("LabelName"), row.data.get("DisplayName")
        if label and name and label != "LabelName":
            found[str(label)] = str(name)
    return found


def _verified_absent(
    folder: Path, options: ConvertOptions, names: Mapping[str, str]
) -> dict[str, list[str]]:
    """Kinds a person confirmed not to be in a picture, by picture."""
    files = sorted(folder.glob(f"*{options.split}-annotations-human-imagelabels-boxable.csv"))
    found: dict[str, list[str]] = defaultdict(list)
    for path in files[:1]:
        for row in read_csv(path):
            label = names.get(str(row.data.get("LabelName")))
            if label and str(row.data.get("Confidence")) in ("0", "0.0"):
                found[str(row.data.get("ImageID"))].append(label)
    return found


FORMATS = (
    Format(
        name="openimages",
        description="Open Images boxes: locate, name, count",
        convert=convert_openimages,
        expects="<split>-annotations-bbox.csv beside class-descriptions-boxable.csv",
        licence="annotations CC BY 4.0, pictures CC BY 2.0 as stated by the source",
        options=SCENE_OPTIONS,
    ),
)
