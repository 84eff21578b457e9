"""Talks with slides: titles, points that come up one by one, and a narration ("video-slides").

Every point is said when it comes up; some things are only said, and some are said wrongly, so that
questions can ask for both ears and eyes. With narration "auto" the sound track is there where
espeak-ng is installed; pictures, transcript and questions are the same without it.

Source: data synthesis specification, section 10 (slides, narration).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from nanovl.core.config import from_dict
from nanovl.core.errors import ConfigError
from nanovl.synth.base import Box, Media, Requirement, Sample, Streams
from nanovl.synth.lengths import STAGE2_TOKENS, bounded, check_bounds
from nanovl.synth.scenes.shapes import RGB
from nanovl.synth.text.haystacks import Fact, articles
from nanovl.synth.typefaces import BUILTIN, load_font
from nanovl.synth.video.encode import encode_mp4
from nanovl.synth.video.narration import (
    ESPEAK,
    VOICES,
    Line,
    planned_s,
    sound_of,
    transcript_of,
)
from nanovl.synth.video.slide_questions import SlideTalk, slide_tasks
from nanovl.synth.video.talk import Point, Slide

__all__ = ["SlidesConfig", "SlidesGenerator", "create"]

_THEMES: tuple[tuple[RGB, RGB, RGB], ...] = (  # background, text, accent
    ((255, 255, 255), (25, 25, 30), (30, 90, 170)),
    ((28, 34, 48), (235, 238, 245), (240, 180, 60)),
    ((247, 243, 232), (50, 40, 30), (160, 60, 40)),
    ((232, 242, 236), (20, 45, 35), (20, 120, 90)),
)
_LEAD_S = 1.0  # a slide stands so long before its first point
_TAIL_S = 1.0
_SPOKEN_ONLY = 0.35  # share of slides with something that is only said
_WRONG = 0.25  # share of slides where a point is said wrongly


@dataclass(frozen=True, kw_only=True)
class SlidesConfig:
    """Settings of "video-slides".

    Attributes:
        min_slides, max_slides: Bounds of the number of slides, 2 to 12.
        sizes: Widths and heights to draw from, even.
        fps: Frames per second, even.
        narration: "on" needs espeak-ng, "auto" uses it where it is, "off" never.
        tasks: Questions of a talk.
        max_tokens: Most tokens of a record, 0 for any number; longer ones are left out.
    """

    min_slides: int = 2
    max_slides: int = 5
    sizes: tuple[tuple[int, int], ...] = ((480, 360), (640, 360), (512, 384))
    fps: int = 4
    narration: Literal["auto", "on", "off"] = "auto"
    tasks: int = 6
    max_tokens: int = STAGE2_TOKENS

    def __post_init__(self) -> None:
        if not 2 <= self.min_slides <= self.max_slides <= 12:
            raise ConfigError(
                f"video-slides: min_slides {self.min_slides}, max_slides {self.max_slides}; "
                "expected 2 <= min_slides <= max_slides <= 12"
            )
        if self.fps % 2 or not 2 <= self.fps <= 30:
            raise ConfigError(f"video-slides: fps {self.fps}, expected an even number 2 to 30")
        check_bounds(0, self.max_tokens)


class SlidesGenerator:
    """Makes talks.

    Args:
        config: Settings.
    """

    name = "video-slides"
    version = "2"

    def __init__(self, config: SlidesConfig | None = None) -> None:
        self.config = config or SlidesConfig()
        needed = self.config.narration == "on"
        self.requires: Sequence[Requirement] = (ESPEAK,) if needed else ()

    def generate(self, index: int, streams: Streams) -> Sample:
        """One talk with several questions.

        Raises:
            Reject: The talk is too long for a record.
            BackendError: Narration is "on" and espeak-ng is missing.
        """
        rng, style, qa = (streams.rng(n) for n in ("content", "style", "qa"))
        talk = _plan(rng, self.config)
        size, theme = style.choice(self.config.sizes), style.choice(_THEMES)
        voice = style.choice(VOICES)
        views = [_views(slide, number, size, theme) for number, slide in enumerate(talk.slides, 1)]
        speech = None
        if self.config.narration == "on" or (self.config.narration == "auto" and ESPEAK.is_there):
            speech = sound_of(talk.lines, voice, talk.duration_s)
        frames = _frames(talk, [pictures for pictures, _ in views], self.config.fps)
        data = encode_mp4(frames, self.config.fps, crf=style.randint(20, 30), speech=speech)
        transcript = transcript_of(talk.lines)
        media = Media(
            name="talk",
            kind="video",
            data=data,
            ext="mp4",
            width=size[0],
            height=size[1],
            extra={
                "video_fps": self.config.fps,
                "video_duration": talk.duration_s,
                "video_num_frames": round(talk.duration_s * self.config.fps),
                "transcript": transcript,
            },
        )
        made = Sample(
            generator=self.name,
            version=self.version,
            seed=streams.seed,
            gt={
                "family": "slides",
                "duration": talk.duration_s,
                "fps": self.config.fps,
                "slides": [
                    _slide_truth(slide, boxes)
                    for slide, (_, boxes) in zip(talk.slides, views, strict=True)
                ],
                "captions": [
                    {"t0": s.t0, "t1": s.t1, "text": f"The slide '{s.title}' is shown."}
                    for s in talk.slides
                ],
                "transcript": transcript,
                "voice": voice.name,
                "summary": " ".join(line.text for line in talk.lines),
            },
            tasks=tuple(slide_tasks(talk, qa, self.config.tasks)),
            media=(media,),
            tags=("video", "slides", "narration", "difficulty:2"),
            quality={
                "slides": len(talk.slides),
                "bytes": len(data),
                "has_sound": speech is not None,
            },
        )
        return bounded(made, self.config.max_tokens)


def _plan(rng: random.Random, config: SlidesConfig) -> SlideTalk:
    stream = articles(random.Random(rng.getrandbits(64)))
    slides: list[Slide] = []
    lines: list[Line] = []
    t = 0.0
    pool: list[Fact] = []
    count = rng.randint(config.min_slides, config.max_slides)
    while len(slides) < count:
        article = next(stream)
        subject = article[0].subject
        facts = [f for f in article if f.subject == subject]
        pool += facts
        if len(facts) < 3:
            continue
        shown = facts[: rng.randint(2, min(4, len(facts)))]
        spoken_only = facts[len(shown)] if rng.random() < _SPOKEN_ONLY and facts[
            len(shown) :
        ] else None  # fmt: skip
        wrong_at = rng.randrange(len(shown)) if rng.random() < _WRONG else -1
        start, points = t, []
        t += _LEAD_S
        for place, fact in enumerate(shown):
            said = fact.sentence
            if place == wrong_at:
                said = _wrong(fact, pool, rng) or said
            points.append(Point(fact, t, said == fact.sentence))
            lines.append(Line(t, t + planned_s(said), said))
            t = lines[-1].end_s
        if spoken_only is not None:
            lines.append(Line(t, t + planned_s(spoken_only.sentence), spoken_only.sentence))
            t = lines[-1].end_s
        t += _TAIL_S
        slides.append(Slide(subject, start, t, tuple(points), spoken_only))
    return SlideTalk(tuple(slides), tuple(lines), t)


def _wrong(fact: Fact, pool: Sequence[Fact], rng: random.Random) -> str | None:
    """The sentence of a fact with the value of another one, None when there is no other."""
    if fact.value not in fact.sentence:
        return None
    others = sorted({f.value for f in pool if f.relation == fact.relation} - {fact.value})
    if others:
        return fact.sentence.replace(fact.value, rng.choice(others))
    if fact.value.isdigit():
        return fact.sentence.replace(fact.value, str(int(fact.value) + rng.randint(3, 40)))
    return None


def _views(
    slide: Slide, number: int, size: tuple[int, int], theme: tuple[RGB, RGB, RGB]
) -> tuple[list[npt.NDArray[np.uint8]], list[Box]]:
    """Pictures with 0, 1, ... points, and the boxes of title and points."""
    width, height = size
    background, ink, accent = theme
    margin, line = width // 14, height // 8
    picture = Image.new("RGB", size, background)
    draw = ImageDraw.Draw(picture)
    title_font, font = load_font(BUILTIN, height // 11), load_font(BUILTIN, height // 18)
    draw.rectangle((0, 0, width, height // 40), fill=accent)
    boxes = [_write(draw, (margin, height // 12), slide.title, title_font, accent)]
    draw.line((margin, height // 4, width - margin, height // 4), fill=accent, width=2)
    corner = (width - margin, height - margin // 2)
    draw.text(corner, str(number), font=load_font(BUILTIN, height // 26), fill=ink, anchor="rs")
    views = [np.asarray(picture).copy()]
    for row, point in enumerate(slide.points):
        place = (margin, height // 4 + line // 2 + row * line)
        boxes.append(_write(draw, place, f"- {point.text}", font, ink))
        views.append(np.asarray(picture).copy())
    return views, boxes


def _write(
    draw: ImageDraw.ImageDraw, place: tuple[int, int], text: str, font: Any, fill: RGB
) -> Box:
    draw.text(place, text, font=font, fill=fill)
    x0, y0, x1, y1 = draw.textbbox(place, text, font=font)
    return float(x0), float(y0), float(x1), float(y1)


def _frames(
    talk: SlideTalk, views: Sequence[Sequence[npt.NDArray[np.uint8]]], fps: int
) -> Iterator[npt.NDArray[np.uint8]]:
    for k in range(round(talk.duration_s * fps)):
        t = k / fps
        index = next(i for i, s in enumerate(talk.slides) if t < s.t1)
        shown = sum(1 for p in talk.slides[index].points if p.t0 <= t)
        yield views[index][shown]


def _slide_truth(slide: Slide, boxes: Sequence[Box]) -> dict[str, Any]:
    return {
        "title": slide.title,
        "t0": slide.t0,
        "t1": slide.t1,
        "box": list(boxes[0]),
        "points": [
            {
                "text": point.text,
                "relation": point.fact.relation,
                "value": point.fact.value,
                "t0": point.t0,
                "box": list(box),
                "said_right": point.said_right,
            }
            for point, box in zip(slide.points, boxes[1:], strict=True)
        ],
        "spoken_only": slide.spoken_only.sentence if slide.spoken_only else None,
    }


def create(config: Mapping[str, Any]) -> SlidesGenerator:
    """The generator from settings as a mapping.

    Raises:
        ConfigError: A setting is unknown or wrong.
    """
    return SlidesGenerator(from_dict(SlidesConfig, config, where="video-slides"))
