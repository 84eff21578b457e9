"""How long the records of a sample are for training, estimated without a tokenizer.

Visual tokens are exact (tiles of pictures, sampled frames of videos); text is estimated on the
safe side, as the small vocabulary writes it. Whether the loader takes a record is decided there,
by its own count. Must not know generators.

Source: data synthesis specification, sections 11 and 19 (tokens per sample by stage); training
specification, section 2 (sequence lengths 16,384, 49,152 and 311,296).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from nanovl.core.errors import ConfigError
from nanovl.processing.tiling import choose_grid, num_tiles
from nanovl.synth.base import Media, Reject, Sample, Task

__all__ = [
    "LONG",
    "STAGE1_TOKENS",
    "STAGE2_TOKENS",
    "bounded",
    "check_bounds",
    "media_tokens",
    "record_tokens",
    "text_tokens",
]

STAGE1_TOKENS = 16_384  # sequences of stages 0 and 1
STAGE2_TOKENS = 49_152  # of stages 2 and 3
LONG = "long"  # tag of samples with a record that only stages from 2 on can pack

_TILE_TOKENS = 256
_MOST_TILES = 12
_FRAMES_PER_S, _MOST_FRAMES = 2.0, 128
_FRAME_TEXT = 16  # the time in front of a frame and the marks around it
_TURN_TEXT = 8  # marks around a message
_MEDIUM_TEXT = 2  # and around a medium
_LETTERS_PER_TOKEN = 3.0


def text_tokens(text: str) -> int:
    """Tokens of a text, rather too many than too few.

    Three letters make a token, every digit and mark is one, other characters are one and a half.
    """
    letters = sum(c.isascii() and c.isalpha() for c in text)
    blanks = sum(c == " " for c in text)
    foreign = sum(not c.isascii() for c in text)
    marks = len(text) - letters - blanks - foreign
    return math.ceil(letters / _LETTERS_PER_TOKEN + marks + 1.5 * foreign)


def media_tokens(media: Media, max_tiles: int = _MOST_TILES) -> int:
    """Tokens of a medium in the prompt.

    Args:
        media: Picture, video or sound; of sounds and talks the transcript is what is read.
        max_tiles: Most tiles of a picture.
    """
    if media.kind == "image":
        grid = choose_grid(media.width, media.height, max_tiles)
        return _TILE_TOKENS * num_tiles(grid)
    spoken = sum(
        text_tokens(str(part.get("text", ""))) + _FRAME_TEXT
        for part in media.extra.get("transcript", ())
        if isinstance(part, Mapping)
    )
    if media.kind == "audio":
        return spoken
    seconds = float(media.extra["video_duration"])
    frames = int(media.extra["video_num_frames"])
    shown = max(1, min(_MOST_FRAMES, frames, math.ceil(seconds * _FRAMES_PER_S)))
    return shown * (_TILE_TOKENS + _FRAME_TEXT) + spoken


def record_tokens(sample: Sample, task: Task) -> int:
    """Tokens of the record a task becomes: media, question, answer, trace, functions, turns."""
    known = {m.name: media_tokens(m) for m in sample.media}
    texts = [str(dict(tool)) for tool in task.tools]
    if task.messages is None:
        shown = list(task.media)
        texts += [task.question, task.trace or "", task.answer_text]
        turns = 2
    else:
        shown = []
        for part in _parts(task.messages):
            if part.get("type") == "text":
                texts.append(str(part["text"]))
            elif "type" in part:
                shown.append(str(part[part["type"]]))
            else:
                texts.append(str(dict(part)))
        turns = len(task.messages)
    marks = _TURN_TEXT * turns + _MEDIUM_TEXT * len(shown)
    return sum(known[name] for name in shown) + sum(map(text_tokens, texts)) + marks


def _parts(messages: tuple[Mapping[str, Any], ...]) -> Iterator[Mapping[str, Any]]:
    for message in messages:
        content = message.get("content")
        if isinstance(content, str):
            yield {"type": "text", "text": content}
        else:
            yield from content or ()
        yield from message.get("tool_calls") or ()


def check_bounds(least: int, most: int) -> None:
    """Settings `min_tokens` and `max_tokens` of a generator.

    Raises:
        ConfigError: They are no bounds.
    """
    if least < 0 or most < 0 or (most and least > most):
        raise ConfigError(
            f"min_tokens {least}, max_tokens {most}: expected 0 <= min_tokens <= max_tokens, or "
            "max_tokens 0 for no bound"
        )


def bounded(sample: Sample, most: int, least: int = 0) -> Sample:
    """The sample without tasks that are too long, its length noted, long ones tagged `LONG`.

    Args:
        sample: With all its tasks.
        most: Tokens of a record; 0 for any number.
        least: Tokens its longest record has to have.

    Raises:
        Reject: Nothing is left, a medium would not be asked about any more, or it is too short.
    """
    lengths = [record_tokens(sample, task) for task in sample.tasks]
    kept = [
        (task, tokens)
        for task, tokens in zip(sample.tasks, lengths, strict=True)
        if not most or tokens <= most
    ]
    shown = {name for task, _ in kept for name in task.media}
    before = {name for task in sample.tasks for name in task.media}
    if not kept or shown < before:
        raise Reject("too_long", f"a record of {max(lengths)} tokens, at most {most}")
    longest = max(tokens for _, tokens in kept)
    if longest < least:
        raise Reject("too_short", f"the longest record has {longest} tokens, at least {least}")
    tags = (*sample.tags, LONG) if longest > STAGE1_TOKENS else sample.tags
    return replace(
        sample,
        tasks=tuple(task for task, _ in kept),
        tags=tags,
        quality={**sample.quality, "tokens": longest},
    )
