"""Small training sets in the released record layout, made on the spot.

Coloured shapes, printed words, tables, bar charts, pairs of pictures, videos, dialogues, reasoning
traces, tool calls and long texts, each with questions whose answers are in what is shown or said.
Equal arguments give equal records and pictures. Must not know how training reads them.
"""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from PIL import Image, ImageDraw, ImageFont

from nanovl.data.records import Fragment, Record, RecordMessage
from nanovl.data.writer import RecordWriter
from nanovl.testing.media import picture_bytes, video

__all__ = [
    "KINDS",
    "PICTURE_KINDS",
    "TEXT_KINDS",
    "colour_of",
    "training_record",
    "training_set",
]

PICTURE_KINDS = ("shapes", "words", "tables", "charts", "pairs")
TEXT_KINDS = ("dialogue", "reasoning", "tools", "recall")
KINDS = (*PICTURE_KINDS, "videos", *TEXT_KINDS)
"""Every kind of sample: with pictures, with a video, text alone."""

_COLOURS = {
    "red": (214, 39, 40),
    "green": (44, 160, 44),
    "blue": (31, 119, 180),
    "yellow": (242, 208, 34),
    "black": (20, 20, 20),
    "orange": (255, 127, 14),
}
_SHAPES = ("circle", "square", "triangle")
_WORDS = (
    "lamp",
    "river",
    "stone",
    "cloud",
    "apple",
    "bread",
    "chair",
    "horse",
    "tiger",
    "plane",
    "north",
    "seven",
)
_NAMES = ("Ada", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gus", "Hana", "Ivo", "Jana")
_CITIES = ("Oslo", "Rome", "Lima", "Cairo", "Kyoto", "Paris", "Quito", "Delhi")
_WEATHER = {
    "name": "get_weather",
    "description": "Weather in a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}


@dataclass(frozen=True, kw_only=True)
class _Sample:
    """Turns of a conversation, media by name, and what else a record says."""

    turns: list[RecordMessage]
    media: dict[str, bytes] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)


def training_set(
    folder: Path,
    *,
    samples: int = 64,
    seed: int = 0,
    kinds: Sequence[str] = KINDS,
    size: int = 96,
    held_out: int = 0,
    facts: int = 8,
) -> Path:
    """Write a data set per kind, and a blend file that mixes them by their number of records.

    Args:
        folder: Gets `<kind>/<kind>.jsonl`, `<kind>/media/shard_*.tar` and `blend.yaml`.
        samples: Records of the split "train", shared evenly among the kinds.
        seed: Of every choice.
        kinds: Some of `KINDS`.
        size: Longer side of pictures and videos in pixels, even.
        held_out: More records, for the split "val"; shared likewise, at least one per kind.
        facts: Lines of a "recall" text; about 30 characters each.

    Returns:
        The blend file, for `data.metadataset`.
    """
    leaves: dict[str, list[dict[str, Any]]] = {"train": [], "val": []}
    for position, kind in enumerate(kinds):
        share = len(range(position, samples, len(kinds)))
        kept = max(1, len(range(position, held_out, len(kinds)))) if held_out else 0
        if not share:
            continue
        with RecordWriter(folder / kind) as writer:
            for number in range(share + kept):
                writer.write(*training_record(kind, number, seed=seed, size=size, facts=facts))
            has_media = writer.num_media > 0
        for split, first, last in (("train", 0, share), ("val", share, share + kept)):
            leaf: dict[str, Any] = {"weight": last - first, "path": f"{kind}/{kind}.jsonl"}
            if has_media:
                leaf["aux"] = {"media": f"{kind}/media"}
            if kept:
                leaf["subset"] = {"range": [first, last]}
            if first < last:
                leaves[split].append(leaf)
    blend = folder / "blend.yaml"
    content = {
        "__module__": "megatron.energon",
        "__class__": "MetadatasetV2",
        "splits": {split: {"blend": some} for split, some in leaves.items() if some},
    }
    blend.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return blend


def training_record(
    kind: str, number: int, *, seed: int = 0, size: int = 96, facts: int = 8
) -> tuple[Record, dict[str, bytes]]:
    """One sample of a kind, and the media it names.

    Args:
        kind: One of `KINDS`.
        number: Which one; equal numbers give equal samples.
        seed, size, facts: See `training_set`.
    """
    make = _MAKERS[kind]
    name = f"{kind}-{number:05d}"
    sample = make(
        random.Random(f"{seed}/{kind}/{number}"), name, facts if kind == "recall" else size
    )
    record = Record(
        id=name, messages=tuple(sample.turns), source=kind, task=kind, **sample.settings
    )
    return record, sample.media


def colour_of(pixel: Sequence[int], tolerance: int = 0) -> str | None:
    """Name of a colour that shapes, bars and videos have; None for paper and edges.

    Args:
        pixel: Red, green and blue, 0 to 255.
        tolerance: Largest difference of one of them.
    """
    for name, paint in _COLOURS.items():
        if all(abs(int(a) - b) <= tolerance for a, b in zip(pixel, paint, strict=True)):
            return name
    return None


# --- turns --------------------------------------------------------------------------------------


def _text(value: str) -> Fragment:
    return Fragment(type="text", value=value)


def _says(role: str, *content: Fragment | str) -> RecordMessage:
    parts = tuple(_text(part) if isinstance(part, str) else part for part in content)
    return RecordMessage(role=role, content=parts)


def _about(media: dict[str, bytes], question: str, answer: str, *, kind: str = "image") -> _Sample:
    """A question about some media files."""
    shown = [Fragment(type=kind, value=name) for name in media]
    return _Sample(turns=[_says("user", *shown, question), _says("assistant", answer)], media=media)


# --- pictures -----------------------------------------------------------------------------------


def _canvas(width: int, height: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("RGB", (width, height), "white")
    return image, ImageDraw.Draw(image)


def _draw_shape(size: int, shape: str, colour: str) -> Image.Image:
    image, draw = _canvas(size, size)
    a, b = size // 5, size - size // 5
    paint = _COLOURS[colour]
    if shape == "circle":
        draw.ellipse((a, a, b, b), fill=paint)
    elif shape == "square":
        draw.rectangle((a, a, b, b), fill=paint)
    else:
        draw.polygon([(size // 2, a), (a, b), (b, b)], fill=paint)
    return image


def _shapes(rng: random.Random, name: str, size: int) -> _Sample:
    shape, colour = rng.choice(_SHAPES), rng.choice(list(_COLOURS))
    question, answer = rng.choice(
        [
            (f"Which colour is the {shape}?", colour),
            ("What shape is this?", shape),
            ("Describe the picture.", f"A {colour} {shape}."),
        ]
    )
    return _about(
        {f"{name}.png": picture_bytes(_draw_shape(size, shape, colour))}, question, answer
    )


def _words(rng: random.Random, name: str, size: int) -> _Sample:
    word = rng.choice(_WORDS)
    image, draw = _canvas(size, size // 2)
    font = ImageFont.load_default(size // 4)
    left, top, right, bottom = draw.textbbox((0, 0), word, font=font)
    place = ((size - right - left) / 2, (size / 2 - bottom - top) / 2)
    draw.text(place, word, fill="black", font=font)
    question = rng.choice(["Read the word.", "Which word is printed here?"])
    return _about({f"{name}.png": picture_bytes(image)}, question, word)


def _tables(rng: random.Random, name: str, size: int) -> _Sample:
    rows = {label: rng.randrange(10, 100) for label in rng.sample(_WORDS, 3)}
    image, draw = _canvas(size, size)
    step, font = size // 4, ImageFont.load_default(max(8, size // 7))
    for row, cells in enumerate([("item", "count"), *((k, str(v)) for k, v in rows.items())]):
        draw.line((0, row * step, size, row * step), fill="grey")
        for column, cell in enumerate(cells):
            draw.text((4 + column * size * 0.6, row * step + 3), cell, fill="black", font=font)
    draw.line((size * 0.58, 0, size * 0.58, size), fill="grey")
    wanted = rng.choice(list(rows))
    question, answer = rng.choice(
        [
            (f"What is the count of {wanted}?", str(rows[wanted])),
            ("Which item has the highest count?", max(rows, key=lambda k: (rows[k], k))),
            ("Add up the counts.", str(sum(rows.values()))),
        ]
    )
    return _about({f"{name}.png": picture_bytes(image)}, question, answer)


def _charts(rng: random.Random, name: str, size: int) -> _Sample:
    bars = dict(zip(rng.sample(list(_COLOURS), 3), rng.sample(range(1, 10), 3), strict=True))
    image, draw = _canvas(size, size)
    unit, wide = size * 0.9 / 9, size / 3
    for place, (colour, value) in enumerate(bars.items()):
        box = (place * wide + 4, size - value * unit, (place + 1) * wide - 4, size - 1)
        draw.rectangle(box, fill=_COLOURS[colour])
    for value in range(1, 10):
        draw.line((0, size - value * unit, 3, size - value * unit), fill="black")
    ranked = sorted(bars, key=bars.__getitem__)
    question, answer = rng.choice(
        [
            ("Which bar is the tallest?", ranked[-1]),
            ("Which bar is the shortest?", ranked[0]),
            (f"How tall is the {ranked[1]} bar?", str(bars[ranked[1]])),
        ]
    )
    return _about({f"{name}.png": picture_bytes(image)}, question, answer)


def _pairs(rng: random.Random, name: str, size: int) -> _Sample:
    colours = rng.sample(list(_COLOURS), rng.choice([2, 3]))
    media = {
        f"{name}-{i}.png": picture_bytes(_draw_shape(size, rng.choice(_SHAPES), colour))
        for i, colour in enumerate(colours)
    }
    wanted = rng.randrange(len(colours))
    question, answer = rng.choice(
        [
            (f"Which picture is {colours[wanted]}?", str(wanted + 1)),
            ("How many pictures are there?", str(len(colours))),
            ("List the colours in order.", ", ".join(colours)),
        ]
    )
    return _about(media, question, answer)


def _videos(rng: random.Random, name: str, size: int) -> _Sample:
    fps, seconds = 4, 2
    colours = rng.sample(list(_COLOURS), 3)
    side = size - size % 2
    frames = [
        Image.new("RGB", (side, side), _COLOURS[colour])
        for colour in colours
        for _ in range(fps * seconds)
    ]
    with tempfile.TemporaryDirectory() as scratch:
        path = video(Path(scratch) / "video.mp4", fps=fps, pictures=frames)
        data = path.read_bytes()
    wanted = rng.randrange(len(colours))
    begin, end = wanted * seconds, (wanted + 1) * seconds
    question, answer = rng.choice(
        [
            ("Which colour comes first?", colours[0]),
            ("Which colour comes last?", colours[-1]),
            (f"When is it {colours[wanted]}?", f"00:{begin:02d}-00:{end:02d}"),
        ]
    )
    return _about({f"{name}.mp4": data}, question, answer, kind="video")


# --- text ---------------------------------------------------------------------------------------


def _dialogue(rng: random.Random, name: str, size: int) -> _Sample:
    person, city = rng.choice(_NAMES), rng.choice(_CITIES)
    turns = [
        _says("user", f"I am {person} from {city}."),
        _says("assistant", f"Hello {person}!"),
        _says("user", rng.choice(["Where do I live?", "Which city did I name?"])),
        _says("assistant", f"In {city}."),
    ]
    return _Sample(turns=turns)


def _reasoning(rng: random.Random, name: str, size: int) -> _Sample:
    a, b, c = (rng.randrange(2, 20) for _ in range(3))
    trace = f"First {a} + {b} = {a + b}. Then {a + b} + {c} = {a + b + c}."
    turns = [
        _says("user", f"What is {a} + {b} + {c}?"),
        _says("assistant", f"<think>\n{trace}\n</think>\n\n{a + b + c}"),
    ]
    return _Sample(turns=turns)


def _tools(rng: random.Random, name: str, size: int) -> _Sample:
    city, degrees = rng.choice(_CITIES), rng.randrange(0, 35)
    call = RecordMessage(
        role="assistant",
        content=(),
        tool_calls=({"name": "get_weather", "arguments": {"city": city}},),
    )
    turns = [
        _says("user", f"How warm is it in {city}?"),
        call,
        _says("tool", json.dumps({"celsius": degrees})),
        _says("assistant", f"It is {degrees} degrees in {city}."),
    ]
    return _Sample(turns=turns, settings={"tools": (_WEATHER,)})


def _recall(rng: random.Random, name: str, facts: int) -> _Sample:
    codes = [rng.randrange(1000, 10000) for _ in range(facts)]
    lines = [f"The code of room {i + 1} is {code}." for i, code in enumerate(codes)]
    wanted = rng.randrange(facts)
    turns = [
        _says("user", "\n".join([*lines, f"What is the code of room {wanted + 1}?"])),
        _says("assistant", str(codes[wanted])),
    ]
    return _Sample(turns=turns)


_MAKERS: dict[str, Callable[[random.Random, str, int], _Sample]] = {
    "shapes": _shapes,
    "words": _words,
    "tables": _tables,
    "charts": _charts,
    "pairs": _pairs,
    "videos": _videos,
    "dialogue": _dialogue,
    "reasoning": _reasoning,
    "tools": _tools,
    "recall": _recall,
}
