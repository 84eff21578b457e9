"""Detections as questions: locate all of a kind, what is in a box, how many, page layout.

Formats: COCO detection JSON and DocLayNet (the same JSON, asked about as a page).

A question about a kind that is not in the picture is answered "not present"; such questions are
only asked where the source says so (COCO labels all its classes in every picture, Open Images
has labels verified as absent). Groups annotated as one region (`iscrowd`, `IsGroupOf`) make
their class unusable in that picture, since neither boxes nor counts would be true.

Source: training specification, section 10.2; design decision D15.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
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
from nanovl.data.convert.boxes import Region, overlap, size_box, top_down
from nanovl.data.convert.parts import NOT_PRESENT, kept, negative_share
from nanovl.data.convert.sources import find_file, load_json, media_file, picture, read_objects
from nanovl.data.convert.templates import box, grounded, question

__all__ = [
    "FORMATS",
    "SCENE_OPTIONS",
    "Scene",
    "convert_coco",
    "convert_doclaynet",
    "incomplete",
    "scene_turns",
]

MOST_BOXES = 20  # more of one kind are neither listed nor counted
SAME_PLACE = 0.7  # boxes of two kinds that overlap more cannot be told apart by their place
LAYOUT_LIMIT = 60  # elements of a page that are listed in one answer


@dataclass(kw_only=True)
class Scene:
    """What is known about one picture.

    Attributes:
        regions: Usable objects.
        absent: Kinds known not to be there.
        groups: Kinds that are there, but not as a complete list of boxes.
        captions: Sentences about the whole picture.
    """

    regions: list[Region] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    groups: set[str] = field(default_factory=set)
    captions: list[str] = field(default_factory=list)

    def kinds(self) -> dict[str, list[Region]]:
        """The regions of every kind that can be listed completely."""
        found: dict[str, list[Region]] = defaultdict(list)
        for region in top_down(self.regions):
            if region.label not in self.groups:
                found[region.label].append(region)
        return {k: v for k, v in sorted(found.items()) if len(v) <= MOST_BOXES}


def scene_turns(scene: Scene, draw: random.Random, options: ConvertOptions) -> list[Turn]:
    """Locating, naming, counting and describing, as far as the scene allows.

    Args:
        scene: What is in the picture.
        draw: The generator of the record.
        options: `locate`, `inside`, `count` bound the questions of each kind; `negatives` is the
            share, in percent, of locating and counting questions about absent kinds.
    """
    return [
        *_locate(scene, draw, options),
        *_inside(scene, draw, options.integer("inside", 2, least=0)),
        *_count(scene, draw, options),
        *_caption(scene, draw),
    ]


def _absent(scene: Scene, draw: random.Random, options: ConvertOptions, asked: int) -> list[str]:
    """Kinds to ask about although they are not there; a share of all questions on average."""
    share = negative_share(options)
    present = {r.label for r in scene.regions} | scene.groups
    pool = sorted(set(scene.absent) - present)
    wanted = sum(draw.random() < share / (1 - share) for _ in range(asked))
    return draw.sample(pool, min(wanted, len(pool)))


def _locate(scene: Scene, draw: random.Random, options: ConvertOptions) -> list[Turn]:
    kinds = scene.kinds()
    bound = options.integer("locate", 2, least=0)
    chosen = draw.sample(list(kinds), min(bound, len(kinds)))
    answers = [(k, "\n".join(grounded(k, [r.box]) for r in kinds[k])) for k in chosen]
    answers += [(k, NOT_PRESENT) for k in _absent(scene, draw, options, len(chosen))]
    return [
        Turn(
            question=question("locate_all", draw, label=_quoted(kind)),
            answer=answer,
            task="grounding",
            key=f"locate-{index}",
        )
        for index, (kind, answer) in enumerate(answers)
    ]


def _inside(scene: Scene, draw: random.Random, bound: int) -> list[Turn]:
    alone = [
        r
        for r in top_down(scene.regions)
        if all(s.label == r.label or overlap(s.box, r.box) < SAME_PLACE for s in scene.regions)
    ]
    return [
        Turn(
            question=question("inside_box", draw, box=box(region.box)),
            answer=region.label,
            task="reverse_grounding",
            key=f"inside-{index}",
        )
        for index, region in enumerate(draw.sample(alone, min(bound, len(alone))))
    ]


def _count(scene: Scene, draw: random.Random, options: ConvertOptions) -> list[Turn]:
    kinds = scene.kinds()
    bound = options.integer("count", 1, least=0)
    chosen = draw.sample(list(kinds), min(bound, len(kinds)))
    counts = [(kind, len(kinds[kind])) for kind in chosen]
    counts += [(kind, 0) for kind in _absent(scene, draw, options, len(chosen))]
    return [
        Turn(
            question=question("count_objects", draw, label=_quoted(kind)),
            answer=str(number),
            task="counting",
            key=f"count-{index}",
        )
        for index, (kind, number) in enumerate(counts)
    ]


def _caption(scene: Scene, draw: random.Random) -> list[Turn]:
    if not scene.captions:
        return []
    asked = question("captioning", draw)
    caption = draw.choice(scene.captions)
    return [Turn(question=asked, answer=caption, task="captioning", key="caption")]


def _quoted(label: str) -> str:
    return f'"{label}"'


# -- COCO ----------------------------------------------------------------------------------------


def convert_coco(source: Path, options: ConvertOptions) -> Iterator[Converted]:
    """`instances_<split>*.json`, with the captions file beside it when there is one."""
    patterns = ("instances_{split}*.json", "annotations/instances_{split}*.json", "{split}.json")
    path = find_file(source, options, *patterns)
    captions = _captions(path, options)

    def turns(scene: Scene, draw: random.Random) -> list[Turn]:
        return scene_turns(scene, draw, options)

    return _coco(path, _document(path), options, "coco", turns, captions)


def convert_doclaynet(source: Path, options: ConvertOptions) -> Iterator[Converted]:
    """The page pictures of DocLayNet with their eleven classes."""
    path = find_file(source, options, "COCO/{split}.json", "{split}.json")
    data = _document(path)
    names = ", ".join(_categories(data, path).values())

    def turns(scene: Scene, draw: random.Random) -> list[Turn]:
        return _layout(scene, draw, names, options.integer("inside", 2, least=0))

    return _coco(path, data, options, "doclaynet", turns, {})


def _layout(scene: Scene, draw: random.Random, names: str, bound: int) -> list[Turn]:
    regions = top_down(scene.regions)
    turns = []
    if regions and not scene.groups and len(regions) <= LAYOUT_LIMIT:
        turns.append(
            Turn(
                question=question("layout_all", draw, labels=names),
                answer="\n".join(grounded(r.label, [r.box]) for r in regions),
                task="layout",
                key="layout",
            )
        )
    for index, region in enumerate(draw.sample(regions, min(bound, len(regions)))):
        turns.append(
            Turn(
                question=question("layout_class", draw, box=box(region.box), labels=names),
                answer=region.label,
                task="layout_class",
                key=f"class-{index}",
            )
        )
    return turns


def _coco(
    path: Path,
    data: Mapping[str, Any],
    options: ConvertOptions,
    name: str,
    make_turns: Callable[[Scene, random.Random], list[Turn]],
    captions: Mapping[str, list[str]],
) -> Iterator[Converted]:
    categories = _categories(data, path)
    known = {str(v.get("id")) for v in data["images"] if isinstance(v, dict)}
    marks = _by_image(data, path, known, options)

    def make(item: Item) -> list[Converted]:
        key = item.text("id")
        width, height = (int(item.number(k)) for k in ("width", "height"))
        if width < 1 or height < 1:
            raise Malformed("bad_value", f"width, height: got {width} x {height}, expected > 0")
        folders = _picture_folders(path, options)
        ref = media_file(item.text("file_name"), "file_name", *folders)
        media = picture(ref, name, key, field="file_name", size=(width, height))
        scene = Scene(captions=captions.get(key, []), absent=list(categories.values()))

        def region(mark: Item) -> Region | None:
            label = categories.get(mark.text("category_id"))
            if label is None:
                scene.absent = []  # it could be any of them
                raise Malformed("bad_value", f"category_id: {mark.data['category_id']} is unknown")
            if mark.data.get("iscrowd"):
                scene.groups.add(label)
                return None
            with incomplete(scene, label):
                return Region(label, size_box(mark, "bbox", width, height))

        scene.regions = [r for r in kept(marks.get(key, []), region, options) if r is not None]
        turns = make_turns(scene, rng(f"{name}-{key}", options.seed))
        if not turns:
            raise Malformed("empty", "the image has no usable annotation")
        return records(options, id=f"{name}-{key}", turns=turns, source=name, media=[media])

    images = read_objects(data["images"], f"{path.name}:images", options)
    return each(images, make, options)


@contextmanager
def incomplete(scene: Scene, label: str) -> Iterator[None]:
    """A box that cannot be used leaves the list of its kind incomplete."""
    try:
        yield
    except Malformed:
        scene.groups.add(label)
        raise


def _document(path: Path) -> Mapping[str, Any]:
    data = load_json(path)
    for key in ("images", "annotations", "categories"):
        if not isinstance(data, dict) or not isinstance(data.get(key), list):
            raise InputError(f"{path}: there is no list {key!r}; is this a detection file of COCO?")
    return dict(data)


def _categories(data: Mapping[str, Any], path: Path) -> dict[str, str]:
    found = {}
    for index, value in enumerate(data["categories"]):
        if not isinstance(value, dict) or "id" not in value or not value.get("name"):
            raise InputError(f"{path}: categories[{index}] has no id and name")
        found[str(value["id"])] = str(value["name"]).strip()
    return found


def _by_image(
    data: Mapping[str, Any], path: Path, known: set[str], options: ConvertOptions
) -> dict[str, list[Item]]:
    """The annotations of every image; those of unknown images are reported."""
    marks: dict[str, list[Item]] = defaultdict(list)

    def place(mark: Item) -> None:
        key = mark.text("image_id")
        if key not in known:
            raise Malformed("bad_value", f"image_id: {key} is not among the images")
        marks[key].append(mark)

    kept(read_objects(data["annotations"], f"{path.name}:annotations", options), place, options)
    return marks


def _captions(path: Path, options: ConvertOptions) -> dict[str, list[str]]:
    beside = path.with_name(path.name.replace("instances", "captions", 1))
    if beside == path or not beside.is_file() or not options.flag("captions", True):
        return {}
    data = load_json(beside)
    if not isinstance(data, dict) or not isinstance(data.get("annotations"), list):
        raise InputError(f"{beside}: there is no list 'annotations'; is this a captions file?")
    found: dict[str, list[str]] = defaultdict(list)

    def read(mark: Item) -> None:
        found[mark.text("image_id")].append(" ".join(mark.text("caption").split()))

    kept(read_objects(data["annotations"], f"{beside.name}:annotations", options), read, options)
    return found


def _picture_folders(path: Path, options: ConvertOptions) -> list[Path | None]:
    """Where pictures of a detection file usually lie."""
    root, stem = path.parent.parent, path.stem.partition("_")[2]
    names = ("images", "PNG", stem, options.split) if stem else ("images", "PNG", options.split)
    bases = (path.parent, root, root / "images")
    folders = [base / name for base in bases for name in names]
    return [options.images, *folders, path.parent]


SCENE_OPTIONS = {
    **MULTI_TURN,
    "locate": "kinds to locate per picture (default 2)",
    "inside": "boxes to name per picture (default 2)",
    "count": "kinds to count per picture (default 1)",
    "negatives": "percent of locating and counting questions about absent kinds (default 15)",
}

FORMATS = (
    Format(
        name="coco",
        description="COCO detection: locate, name, count; captions when their file is there",
        convert=convert_coco,
        expects="instances_<split>.json, or the folder of annotations/ and pictures",
        options={**SCENE_OPTIONS, "captions": "use the captions file (default true)"},
    ),
    Format(
        name="doclaynet",
        description="DocLayNet: page elements with boxes, classes of regions",
        convert=convert_doclaynet,
        expects="COCO/<split>.json beside PNG/, or the folder of both",
        licence="CDLA-Permissive-1.0",
        options={**MULTI_TURN, "inside": "regions to classify per page (default 2)"},
    ),
)
