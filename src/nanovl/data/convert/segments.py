"""Formats that say when things happen: captions with times, labelled segments, moments.

ActivityNet (captions and detection), HACS Segments, FineAction, YouCook2, DiDeMo, MedVidQA,
Breakfast, and a plain form for everything else that has a query and a span. Videos are looked for
by id in a folder; an annotation without its video is dropped.

Source: training specification, sections 10.1 and 10.2.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from nanovl.data.convert.parts import item_key, kept, read_any, read_mapping
from nanovl.data.convert.sources import find_file, find_files, load_json
from nanovl.data.convert.templates import choose_letters, question
from nanovl.data.convert.temporal import (
    TEMPORAL_OPTIONS,
    Event,
    as_pair,
    clean_event,
    dense_turn,
    grounding_turns,
    label_turns,
    pair,
)
from nanovl.data.convert.videos import Videos

__all__ = [
    "FORMATS",
    "convert_breakfast",
    "convert_captions",
    "convert_detection",
    "convert_didemo",
    "convert_medvidqa",
    "convert_moments",
    "convert_youcook2",
]

# What data sets call the splits; a split asked for by any of its names is found.
SUBSETS = {"train": "training", "val": "validation", "test": "testing"}

GROUNDING = {"sentences": "sentences to find per video (default 3)"}
CHUNK_S = 5  # DiDeMo annotates in pieces of five seconds
BREAKFAST_FPS = 15


def _captioned(
    item: Item,
    events: list[Event],
    options: ConvertOptions,
    name: str,
    videos: Videos,
    *,
    total: int,
) -> list[Converted]:
    """Dense captions, if none of the `total` segments had to be left out, and grounding."""
    vid = item.text("_key")
    if not events:
        raise Malformed("empty", "the video has no usable segment")
    media = videos.media(name, vid, field="id", duration=item.number("duration"))
    draw = rng(f"{name}-{vid}", options.seed)
    turns = [dense_turn(events, draw)] if len(events) == total else []
    turns += grounding_turns(events, draw, options.integer("sentences", 3, least=0))
    if not turns:
        raise Malformed("empty", "the video has no question left")
    return records(options, id=f"{name}-{vid}", turns=turns, source=name, media=[media])


# -- ActivityNet and its relatives ---------------------------------------------------------------


def convert_captions(source: Path, options: ConvertOptions) -> Iterator[Converted]:
    """ActivityNet Captions: id -> duration, timestamps, sentences."""
    path = find_file(source, options, "{split}.json", "{split}_1.json", "*{split}*.json")
    videos = Videos(source, options)

    def make(item: Item) -> list[Converted]:
        duration = _duration(item)
        times, texts = item.items("timestamps"), item.items("sentences")
        if len(times) != len(texts):
            raise Malformed(
                "bad_value", f"timestamps: {len(times)} entries, but sentences has {len(texts)}"
            )
        parts = [
            Item(item.where, {"t": t, "s": s}, path=f"timestamps[{i}]")
            for i, (t, s) in enumerate(zip(times, texts, strict=True))
        ]

        def event(part: Item) -> Event:
            start, end = as_pair(part.data["t"], part.path)
            return clean_event(start, end, part.text("s"), name=part.path, duration=duration)

        events = kept(parts, event, options)
        return _captioned(item, events, options, "activitynet", videos, total=len(parts))

    return each(read_mapping(load_json(path), path.name, options), make, options)


def convert_detection(source: Path, options: ConvertOptions) -> Iterator[Converted]:
    """`database` of labelled segments (ActivityNet, HACS Segments, FineAction)."""
    return _detection(source, options, "activitynet-detection")


def _convert_hacs(source: Path, options: ConvertOptions) -> Iterator[Converted]:
    return _detection(source, options, "hacs")


def _convert_fineaction(source: Path, options: ConvertOptions) -> Iterator[Converted]:
    return _detection(source, options, "fineaction")


def _detection(source: Path, options: ConvertOptions, name: str) -> Iterator[Converted]:
    path = find_file(source, options, "activity_net*.json", "*segments*.json", "annotations*.json")
    videos = Videos(source, options)
    data = load_json(path)
    items = read_mapping(data, path.name, options, "database")
    labels = _labels(data)
    siblings = _siblings(data)

    def make(item: Item) -> list[Converted]:
        if not _in_split(item, options):
            return []
        vid, duration = item.text("_key"), _duration(item)
        parts = item.children("annotations")
        kinds = {part.text("label") for part in parts}
        incomplete: set[str] = set()

        def event(part: Item) -> Event:
            label, place = part.text("label"), part.name("segment")
            try:
                start, end = pair(part, "segment")
                return clean_event(start, end, label, name=place, duration=duration)
            except Malformed:
                incomplete.add(label)
                raise

        events = kept(parts, event, options)
        if not events:
            raise Malformed("empty", "annotations: there is no usable segment")
        media = videos.media(name, vid, field="id", duration=duration)
        draw = rng(f"{name}-{vid}", options.seed)
        turns = label_turns(events, labels, draw, options, incomplete=incomplete)
        if len(kinds) == 1:
            label = kinds.pop()
            turns += _classified(label, siblings.get(label, labels), labels, draw)
        return records(options, id=f"{name}-{vid}", turns=turns, source=name, media=[media])

    return each(items, make, options)


def _classified(
    label: str, siblings: Sequence[str], labels: Sequence[str], draw: Any
) -> list[Turn]:
    """The closed question, with siblings of the label as wrong options where there are enough."""
    made = choose_letters(label, siblings, draw) or choose_letters(label, labels, draw)
    if made is None:
        return []
    asked = question("classification_closed", draw, options=made[0])
    return [Turn(question=asked, answer=made[1], task="classification_closed", key="class")]


def _duration(item: Item) -> float:
    duration = item.number("duration")
    if duration <= 0:
        raise Malformed("bad_value", f"duration: got {duration:g}, expected seconds > 0")
    return duration


def _in_split(item: Item, options: ConvertOptions) -> bool:
    wanted = {options.split, SUBSETS.get(options.split, options.split)}
    return item.maybe("subset") in (wanted | {""})


def _labels(data: Any) -> list[str]:
    """All labels of the file, whatever the split."""
    found = set()
    for video in data["database"].values():
        marks = video.get("annotations") if isinstance(video, dict) else None
        for mark in marks if isinstance(marks, list) else ():
            if isinstance(mark, dict) and isinstance(mark.get("label"), str):
                found.add(mark["label"].strip())
    return sorted(found - {""})


def _siblings(data: Any) -> dict[str, list[str]]:
    """Labels with the same parent, from the taxonomy of the file when it has one."""
    nodes = data.get("taxonomy")
    children: dict[str, list[str]] = defaultdict(list)
    for node in nodes if isinstance(nodes, list) else ():
        if isinstance(node, dict) and node.get("nodeName"):
            children[str(node.get("parentName"))].append(str(node["nodeName"]))
    return {name: names for names in children.values() for name in names}


# -- Instructions and moments --------------------------------------------------------------------


def convert_youcook2(source: Path, options: ConvertOptions) -> Iterator[Converted]:
    """`database` of recipe videos, each a list of segments with sentences."""
    path = find_file(source, options, "youcookii_annotations*.json", "*youcook*.json")
    videos = Videos(source, options)

    def make(item: Item) -> list[Converted]:
        if not _in_split(item, options):
            return []
        duration = _duration(item)

        def event(part: Item) -> Event:
            start, end = pair(part, "segment")
            name = part.name("segment")
            return clean_event(start, end, part.text("sentence"), name=name, duration=duration)

        parts = item.children("annotations")
        events = kept(parts, event, options)
        return _captioned(item, events, options, "youcook2", videos, total=len(parts))

    data = load_json(path)
    return each(read_mapping(data, path.name, options, "database"), make, options)


def convert_didemo(source: Path, options: ConvertOptions) -> Iterator[Converted]:
    """Descriptions with the five-second pieces several people chose."""
    path = find_file(source, options, "{split}_data.json", "*{split}*.json")
    videos = Videos(source, options)

    def make(item: Item) -> list[Converted]:
        number = item_key(item, "annotation_id")
        first, last = _agreed(item)
        pieces = item.number("num_segments") if "num_segments" in item.data else None
        length = None if pieces is None else pieces * CHUNK_S
        name = "train_times" if "train_times" in item.data else "times"
        start, end = first * CHUNK_S, (last + 1) * CHUNK_S
        event = clean_event(start, end, item.text("description"), name=name, duration=length)
        return _moment(item, event, options, "didemo", number, videos, item.text("video"))

    return each(read_any(path, options), make, options)


def _agreed(item: Item) -> tuple[int, int]:
    """The pair of pieces most people chose; the earlier one of two equally frequent."""
    key = "train_times" if item.data.get("train_times") else "times"
    votes: Counter[tuple[int, int]] = Counter()
    for index, value in enumerate(item.items(key)):
        first, last = as_pair(value, f"{item.name(key)}[{index}]")
        if first != int(first) or last != int(last) or not 0 <= first <= last:
            raise Malformed("bad_span", f"{item.name(key)}[{index}]: got {value!r}")
        votes[int(first), int(last)] += 1
    if not votes:
        raise Malformed("empty", f"{item.name(key)}: the list is empty")
    best = max(votes.values())
    if best == 1 and len(votes) > 2:
        raise Malformed("no_agreement", f"{item.name(key)}: {len(votes)} different choices")
    return min(choice for choice, count in votes.items() if count == best)


def _moment(
    item: Item,
    event: Event,
    options: ConvertOptions,
    name: str,
    number: str,
    videos: Videos,
    *files: str,
    duration: float | None = None,
) -> list[Converted]:
    media = videos.media(name, *files, field="video", duration=duration)
    key = f"{name}-{number}"
    turns = grounding_turns([event], rng(key, options.seed), 1)
    return records(options, id=key, turns=turns, source=name, media=[media])


def convert_medvidqa(source: Path, options: ConvertOptions) -> Iterator[Converted]:
    """Medical how-to questions answered by one span of a video."""
    path = find_file(source, options, "MedVidQA/{split}.json", "{split}.json")
    videos = Videos(source, options)

    def make(item: Item) -> list[Converted]:
        length = item.number("video_length") if "video_length" in item.data else None
        start, end = item.number("answer_start_second"), item.number("answer_end_second")
        text = item.text("question")
        event = clean_event(start, end, text, name="answer_start_second", duration=length)
        number, video = item_key(item, "sample_id"), item.text("video_id")
        return _moment(item, event, options, "medvidqa", number, videos, video, duration=length)

    return each(read_any(path, options), make, options)


def convert_moments(source: Path, options: ConvertOptions) -> Iterator[Converted]:
    """JSON or JSON lines of a video, a query and one span, under the usual names of the fields."""
    path = find_file(source, options, "*{split}*.jsonl", "*{split}*.json", "*.jsonl", "*.json")
    videos = Videos(source, options)
    name = str(options.extra.get("source", path.name.split(".")[0]))

    def make(item: Item) -> list[Converted]:
        text = _first(item, ("query", "sentence", "description", "caption"))
        video = _first(item, ("video", "vid", "video_id"))
        length = item.number("duration") if "duration" in item.data else None
        windows = item.data.get("relevant_windows")
        if isinstance(windows, list) and len(windows) != 1:
            raise Malformed("several_spans", f"relevant_windows: got {len(windows)}, expected 1")
        if isinstance(windows, list):
            start, end = as_pair(windows[0], "relevant_windows[0]")
        elif "timestamps" in item.data:
            start, end = pair(item, "timestamps")
        else:
            start, end = item.number("start"), item.number("end")
        event = clean_event(start, end, text, name="span", duration=length)
        number = item_key(item, "id", "qid")
        return _moment(item, event, options, name, number, videos, video, duration=length)

    return each(read_any(path, options), make, options)


def _first(item: Item, keys: Sequence[str]) -> str:
    for key in keys:
        if found := item.maybe(key):
            return found
    raise Malformed("missing_field", f"none of {', '.join(keys)} is filled")


# -- Breakfast -----------------------------------------------------------------------------------

_LINE = re.compile(r"(\d+)-(\d+)\s+(\S+)")


def convert_breakfast(source: Path, options: ConvertOptions) -> Iterator[Converted]:
    """A text file per video with lines `first-last label` in frames; `SIL` is background."""
    paths = find_files(source, options, "*.txt", "*/*.txt")
    rate = options.integer("fps", BREAKFAST_FPS)
    videos = Videos(source, options)
    texts = {path: _read(path) for path in paths}
    labels = sorted({m[3].replace("_", " ") for t in texts.values() for m in _LINE.finditer(t)})

    def make(item: Item) -> list[Converted]:
        name = item.text("name")
        lines = [line for line in item.text("text").splitlines() if line.strip()]
        parts = [
            Item(f"{item.where}:{i}", {"line": line.strip()}) for i, line in enumerate(lines, 1)
        ]

        def event(part: Item) -> Event | None:
            match = _LINE.fullmatch(part.text("line"))
            if match is None:
                raise Malformed("bad_span", f"got {part.data['line']!r}, expected first-last label")
            if match[3] == "SIL":
                return None
            start, end = (int(match[1]) - 1) / rate, int(match[2]) / rate
            return clean_event(max(start, 0.0), end, match[3].replace("_", " "), name="line")

        found = [e for e in kept(parts, event, options) if e is not None]
        background = sum(line.split()[-1] == "SIL" for line in lines)
        if not found or len(found) + background != len(lines):
            raise Malformed("empty", "there is no complete list of segments")
        media = videos.media("breakfast", name, field="file name")
        draw = rng(f"breakfast-{name}", options.seed)
        turns = label_turns(found, [x for x in labels if x != "SIL"], draw, options)
        turns.append(dense_turn(found, draw))
        key = f"breakfast-{name}"
        return records(options, id=key, turns=turns, source="breakfast", media=[media])

    items = (Item(p.name, {"name": p.stem, "text": texts[p] or " "}) for p in paths)
    return each(items, make, options)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error


_DATABASE: Mapping[str, tuple[Callable[[Path, ConvertOptions], Iterator[Converted]], str]] = {
    "activitynet-detection": (convert_detection, "ActivityNet detection"),
    "hacs": (_convert_hacs, "HACS Segments"),
    "fineaction": (_convert_fineaction, "FineAction"),
}

FORMATS = (
    Format(
        name="activitynet-captions",
        description="ActivityNet Captions: dense captions and temporal grounding",
        convert=convert_captions,
        expects="<split>.json (id -> duration, timestamps, sentences) and a folder of videos",
        options={**MULTI_TURN, **GROUNDING},
    ),
    *(
        Format(
            name=name,
            description=f"{title}: spans of actions, actions of spans, classification",
            convert=convert,
            expects="a JSON file with `database`, and a folder of videos",
            options={**MULTI_TURN, **TEMPORAL_OPTIONS},
        )
        for name, (convert, title) in _DATABASE.items()
    ),
    Format(
        name="youcook2",
        description="YouCook2: dense captions and temporal grounding of recipes",
        convert=convert_youcook2,
        expects="youcookii_annotations_trainval.json and a folder of videos",
        options={**MULTI_TURN, **GROUNDING},
    ),
    Format(
        name="didemo",
        description="DiDeMo: temporal grounding on pieces of five seconds",
        convert=convert_didemo,
        expects="<split>_data.json and a folder of videos",
    ),
    Format(
        name="medvidqa",
        description="MedVidQA: the span that answers a medical question",
        convert=convert_medvidqa,
        expects="<split>.json and a folder of videos",
    ),
    Format(
        name="moments",
        description="Any list of video, query and span: temporal grounding",
        convert=convert_moments,
        expects="JSON or JSON lines with video, query (or sentence) and timestamps or start, end",
        options={"source": "name of the data set (default: the file's)"},
    ),
    Format(
        name="breakfast",
        description="Breakfast Actions: spans of steps, steps of spans, dense lists",
        convert=convert_breakfast,
        expects="a folder of segment files <person>_<camera>_<name>.txt and a folder of videos",
        options={**MULTI_TURN, **TEMPORAL_OPTIONS, "fps": "frames per second (default 15)"},
    ),
)
