"""Videos with class labels or lettered questions: Kinetics, NExT-QA, CLEVRER, Perception Test.

Source: training specification, sections 10.1 and 10.2 (closed and open classification).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
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
    Media,
    Turn,
    each,
    records,
    rng,
)
from nanovl.data.convert.markup import is_number
from nanovl.data.convert.parts import kept, read_any, read_csv, read_mapping
from nanovl.data.convert.sources import find_file, load_json
from nanovl.data.convert.templates import choose_letters, letters, options_text, question
from nanovl.data.convert.temporal import TEMPORAL_OPTIONS, Event, clean_event, label_turns, pair
from nanovl.data.convert.videos import Videos

__all__ = [
    "FORMATS",
    "class_turns",
    "convert_clevrer",
    "convert_kinetics",
    "convert_nextqa",
    "convert_perception",
]

CHOICES = ("a0", "a1", "a2", "a3", "a4")


def class_turns(label: str, siblings: Sequence[str], draw: random.Random) -> list[Turn]:
    """What is shown: as lettered options with 3 to 7 siblings, and in the label's own words."""
    turns = []
    if (made := choose_letters(label, siblings, draw)) is not None:
        turns.append(
            Turn(
                question=question("classification_closed", draw, options=made[0]),
                answer=made[1],
                task="classification_closed",
                key="closed",
            )
        )
    turns.append(
        Turn(
            question=question("classification_open", draw),
            answer=label,
            task="classification_open",
            key="open",
        )
    )
    return turns


# -- Kinetics ------------------------------------------------------------------------------------


def convert_kinetics(source: Path, options: ConvertOptions) -> Iterator[Converted]:
    """Rows of label, youtube_id, time_start, time_end, split.

    A clip may be a file of its own, `<id>_<start>_<end>.mp4` with six digits each; in a file
    `<id>.mp4`, taken as the whole video, the ten seconds of the row are looked at.
    """
    path = find_file(source, options, "{split}.csv", "*{split}*.csv")
    rows = list(read_csv(path))
    labels = sorted({str(row.data["label"]).strip() for row in rows if row.data.get("label")})
    videos = Videos(source, options)

    def make(item: Item) -> list[Converted]:
        if item.maybe("split") not in ("", options.split):
            return []
        label, vid = item.text("label"), item.text("youtube_id")
        start, end = item.number("time_start"), item.number("time_end")
        clip = clean_event(start, end, label, name="time_start, time_end")
        key = f"{vid}_{int(start):06d}_{int(end):06d}"
        media = _clip(videos, vid, key, clip)
        turns = class_turns(label, labels, rng(f"kinetics-{key}", options.seed))
        name = f"kinetics-{key}"
        return records(options, id=name, turns=turns, source="kinetics", media=[media])

    return each(rows, make, options)


def _clip(videos: Videos, vid: str, key: str, clip: Event) -> Media:
    try:
        return videos.media("kinetics", key, field="youtube_id")
    except Malformed:
        window = (clip.start, clip.end)
        return videos.media("kinetics", vid, field="youtube_id", window=window)


# -- NExT-QA -------------------------------------------------------------------------------------


def convert_nextqa(source: Path, options: ConvertOptions) -> Iterator[Converted]:
    """Rows of video, question, answer (0 to 4) and the choices a0 to a4."""
    path = find_file(source, options, "{split}.csv", "*{split}*.csv")
    videos = Videos(source, options)
    names = _vidor(path.parent / "map_vid_vidorID.json")

    def make(item: Item) -> list[Converted]:
        video, number = item.text("video"), item.text("qid")
        choices = [item.text(key) for key in CHOICES]
        right = _index(item, "answer", len(choices))
        media = videos.media("nextqa", video, *names.get(video, ()), field="video")
        key = f"nextqa-{video}-{number}"
        draw = rng(key, options.seed)
        turns = [_lettered(_asked(item.text("question")), choices, right, draw)]
        if options.flag("open", False):
            turns.append(_short(_asked(item.text("question")), choices[right], draw))
        metadata = {"type": item.maybe("type")} if item.maybe("type") else {}
        return records(
            options, id=key, turns=turns, source="nextqa", media=[media], metadata=metadata
        )

    return each(read_csv(path), make, options)


def _asked(text: str) -> str:
    """A question as people write it; the source has no capitals and no question marks."""
    text = text[:1].upper() + text[1:]
    return text if text[-1:] in ".?!" else f"{text}?"


def _vidor(path: Path) -> dict[str, tuple[str]]:
    """Video number -> path in the video collection, when the map lies beside the questions."""
    if not path.is_file():
        return {}
    data = load_json(path)
    if not isinstance(data, dict):
        raise InputError(f"{path}: expected an object that maps video numbers to paths")
    return {str(key): (str(value),) for key, value in data.items()}


def _index(item: Item, key: str, count: int) -> int:
    number = item.number(key)
    if number != int(number) or not 0 <= number < count:
        raise Malformed("no_answer", f"{item.name(key)}: got {number:g}, expected 0..{count - 1}")
    return int(number)


def _lettered(
    asks: str, choices: Sequence[str], right: int, draw: random.Random, key: str = "choice"
) -> Turn:
    return Turn(
        question=question("multiple_choice", draw, question=asks, options=options_text(choices)),
        answer=letters(len(choices))[right],
        task="video_choice",
        key=key,
    )


def _short(asks: str, answer: str, draw: random.Random, key: str = "open") -> Turn:
    form = "number_answer" if is_number(answer) else "short_answer"
    asked = question(form, draw, question=asks)
    return Turn(question=asked, answer=answer, task="video_qa", key=key)


# -- CLEVRER -------------------------------------------------------------------------------------


def convert_clevrer(source: Path, options: ConvertOptions) -> Iterator[Converted]:
    """Scenes with descriptive questions (a word) and ones with choices right and wrong."""
    path = find_file(source, options, "{split}.json", "*{split}*.json")
    videos = Videos(source, options)

    def make(item: Item) -> list[Converted]:
        number = item.text("scene_index")
        media = videos.media("clevrer", item.text("video_filename"), field="video_filename")
        draw = rng(f"clevrer-{number}", options.seed)

        def turn(part: Item) -> Turn:
            key = f"q{part.text('question_id')}"
            if part.text("question_type") == "descriptive":
                return _short(part.text("question"), part.text("answer"), draw, key)
            return _select(part, draw, key)

        turns = kept(item.children("questions"), turn, options)
        if not turns:
            raise Malformed("empty", "questions: none can be used")
        name = f"clevrer-{number}"
        return records(options, id=name, turns=turns, source="clevrer", media=[media])

    return each(read_any(path, options), make, options)


def _select(part: Item, draw: random.Random, key: str) -> Turn:
    """All the choices marked correct, which may be none."""
    choices = part.children("choices")
    marks = [choice.text("answer") for choice in choices]
    if not choices or any(mark not in ("correct", "wrong") for mark in marks):
        raise Malformed("no_answer", f"{part.name('choices')}: expected answers correct or wrong")
    shown = options_text([choice.text("choice") for choice in choices])
    pairs = zip(letters(len(marks)), marks, strict=True)
    right = [letter for letter, mark in pairs if mark == "correct"]
    asked = question("multiple_select", draw, question=part.text("question"), options=shown)
    answer = ", ".join(right) or "none"
    return Turn(question=asked, answer=answer, task="video_multiple_select", key=key)


# -- Perception Test -----------------------------------------------------------------------------


def convert_perception(source: Path, options: ConvertOptions) -> Iterator[Converted]:
    """Video id -> metadata, mc_question and action_localisation (times in microseconds)."""
    path = find_file(source, options, "all_{split}.json", "*{split}*.json")
    data = load_json(path)
    items = list(read_mapping(data, path.name, options))
    labels = sorted({label for item in items for label in _action_labels(item.data)})
    videos = Videos(source, options)

    def make(item: Item) -> list[Converted]:
        vid = item.text("_key")
        about = item.child("metadata")
        rate = about.number("frame_rate")
        if rate <= 0:
            raise Malformed("bad_value", f"metadata.frame_rate: got {rate:g}, expected > 0")
        duration = about.number("num_frames") / rate
        media = videos.media("perception", vid, field="id", duration=round(duration, 3))
        draw = rng(f"perception-{vid}", options.seed)

        def choice(part: Item) -> Turn:
            choices = part.texts("options", aligned=True)
            right = _index(part, "answer_id", len(choices))
            return _lettered(part.text("question"), choices, right, draw, f"q{part.text('id')}")

        asked = item.children("mc_question") if "mc_question" in item.data else ()
        turns = kept(asked, choice, options)
        turns += _actions(item, labels, duration, draw, options)
        if not turns:
            raise Malformed("empty", "the video has no usable question or action")
        name = f"perception-{vid}"
        return records(options, id=name, turns=turns, source="perception-test", media=[media])

    return each(items, make, options)


def _action_labels(data: Any) -> list[str]:
    marks = data.get("action_localisation")
    found = (
        [m.get("label") for m in marks if isinstance(m, dict)] if isinstance(marks, list) else []
    )
    return [label.strip() for label in found if isinstance(label, str) and label.strip()]


def _actions(
    item: Item, labels: list[str], duration: float, draw: random.Random, options: ConvertOptions
) -> list[Turn]:
    if not item.data.get("action_localisation"):
        return []
    incomplete: set[str] = set()

    def event(part: Item) -> Event:
        label, place = part.text("label"), part.name("timestamps")
        try:
            start, end = (micro / 1e6 for micro in pair(part, "timestamps"))
            return clean_event(start, end, label, name=place, duration=duration)
        except Malformed:
            incomplete.add(label)
            raise

    parts = item.children("action_localisation")
    events = kept(parts, event, options)
    return label_turns(events, labels, draw, options, incomplete=incomplete)


FORMATS = (
    Format(
        name="kinetics",
        description="Kinetics class lists: which action, by letter and in words",
        convert=convert_kinetics,
        expects="<split>.csv with label, youtube_id, time_start, time_end and a folder of videos",
        options=MULTI_TURN,
    ),
    Format(
        name="nextqa",
        description="NExT-QA: lettered questions about videos",
        convert=convert_nextqa,
        expects="<split>.csv with video, question, answer, a0..a4 and a folder of videos",
        options={**MULTI_TURN, "open": "also ask without the choices (default false)"},
    ),
    Format(
        name="clevrer",
        description="CLEVRER: what, why, what next and what if about colliding objects",
        convert=convert_clevrer,
        expects="<split>.json and a folder of videos",
        options=MULTI_TURN,
    ),
    Format(
        name="perception-test",
        description="Perception Test: lettered questions and spans of actions",
        convert=convert_perception,
        expects="all_<split>.json and a folder of videos",
        licence="CC BY 4.0 as stated by the source",
        options={**MULTI_TURN, **TEMPORAL_OPTIONS},
    ),
)
