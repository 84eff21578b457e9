"""Clips of moving objects with a log of what happens ("video-shapes").

Plans a stage, draws and encodes it, and asks questions that the log answers. Frame boxes of all
objects are in the ground truth. Must not know how objects are drawn or questions are worded.

Source: data synthesis specification, section 10.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from PIL import Image, ImageDraw

from nanovl.core.config import from_dict
from nanovl.core.errors import ConfigError
from nanovl.data.convert import templates
from nanovl.synth.asking import noted, worded
from nanovl.synth.base import Answer, Media, Requirement, Sample, Streams, Task
from nanovl.synth.lengths import STAGE1_TOKENS, bounded, check_bounds
from nanovl.synth.typefaces import BUILTIN, load_font
from nanovl.synth.video.encode import encode_mp4
from nanovl.synth.video.eventasks import CLIP, summary
from nanovl.synth.video.paint import BACKGROUNDS, frame_times, look_box, paint_frames
from nanovl.synth.video.phrases import BANK
from nanovl.synth.video.questions import BUILDERS
from nanovl.synth.video.stage import Stage, plan_stage
from nanovl.synth.video.timeline import STEP_S, tracks_of

__all__ = ["ShapesConfig", "ShapesGenerator", "create"]

_SIZES = ((256, 256), (320, 240), (384, 288), (448, 336))
_CARD_PLANS = 4  # of a clip that is to be interrupted, until one has a calm second
_LETTERS = "ABCDEFGHKLMNPRSTUVXYZ"


@dataclass(frozen=True, kw_only=True)
class ShapesConfig:
    """Settings of "video-shapes".

    Attributes:
        min_s, max_s: Bounds of the duration, drawn log-uniformly, 2 to 120 seconds.
        fps: Frame rates to draw from, 4 to 30; even numbers, so that half seconds are frames.
        sizes: Widths and heights to draw from, even.
        min_density, max_density: Bounds of the events per second.
        min_crf, max_crf: Bounds of the quality of the encoder, 18 (fine) to 35 (coarse).
        card: Share of clips interrupted by a card with a letter for a second.
        tasks: Questions of a clip.
        max_tokens: Most tokens of a record, 0 for any number; longer ones are left out.
    """

    min_s: float = 2.0
    max_s: float = 30.0
    fps: tuple[int, ...] = (4, 6, 8, 10, 12)
    sizes: tuple[tuple[int, int], ...] = _SIZES
    min_density: float = 0.2
    max_density: float = 0.8
    min_crf: int = 20
    max_crf: int = 32
    card: float = 0.12
    tasks: int = 5
    max_tokens: int = STAGE1_TOKENS

    def __post_init__(self) -> None:
        if not 2.0 <= self.min_s <= self.max_s <= 120.0:
            raise ConfigError(
                f"video-shapes: min_s {self.min_s}, max_s {self.max_s}; expected "
                "2 <= min_s <= max_s <= 120"
            )
        if any(rate % 2 or not 4 <= rate <= 30 for rate in self.fps):
            raise ConfigError(f"video-shapes: fps {self.fps}, expected even numbers 4 to 30")
        check_bounds(0, self.max_tokens)
        if any(side % 2 or side < 128 for size in self.sizes for side in size):
            raise ConfigError(f"video-shapes: sizes {self.sizes}, expected even sides from 128")


class ShapesGenerator:
    """Makes clips of moving objects.

    Args:
        config: Settings.
    """

    name = "video-shapes"
    version = "3"
    requires: Sequence[Requirement] = ()

    def __init__(self, config: ShapesConfig | None = None) -> None:
        self.config = config or ShapesConfig()

    def generate(self, index: int, streams: Streams) -> Sample:
        """One clip with several questions.

        Raises:
            Reject: Too few events fit into the clip, or it is too long for a record.
        """
        config, rng = self.config, streams.rng("content")
        duration = math.exp(rng.uniform(math.log(config.min_s), math.log(config.max_s)))
        duration = max(4, round(duration / STEP_S)) * STEP_S
        width, height = rng.choice(config.sizes)
        density = rng.uniform(config.min_density, config.max_density)
        wants_card = rng.random() < config.card
        for _ in range(_CARD_PLANS if wants_card else 1):
            stage = plan_stage(rng, width, height, duration, density)
            card = _card(stage, rng) if wants_card else None
            if card is not None:
                break
        style = streams.rng("style")
        fps, background = style.choice(config.fps), style.choice(BACKGROUNDS)
        crf = style.randint(config.min_crf, config.max_crf)
        shown = [(card[0], card[1], _card_picture(stage, card[2]))] if card else []
        data = encode_mp4(paint_frames(stage, background, fps, shown), fps, crf=crf)
        tasks = _tasks(stage, streams.rng("qa"), config.tasks)
        if card:
            tasks.append(_card_task(card[2], streams.rng("qa")))
        media = Media(
            name=CLIP,
            kind="video",
            data=data,
            ext="mp4",
            width=width,
            height=height,
            extra={
                "video_fps": fps,
                "video_duration": duration,
                "video_num_frames": len(frame_times(duration, fps)),
            },
        )
        made = Sample(
            generator=self.name,
            version=self.version,
            seed=streams.seed,
            gt=_truth(stage, fps, card),
            tasks=tuple(tasks),
            media=(media,),
            tags=("video", "events", f"difficulty:{min(4, len(stage.told) // 3)}"),
            quality={"events": len(stage.told), "crf": crf, "bytes": len(data)},
        )
        return bounded(made, config.max_tokens)


def _tasks(stage: Stage, rng: random.Random, count: int) -> list[Task]:
    """Questions of different kinds, as many as asked for if the clip allows."""
    tasks: list[Task] = []
    for name in rng.sample(sorted(BUILDERS), len(BUILDERS)):
        if len(tasks) == count:
            break
        task = BUILDERS[name](stage, rng)
        if task is not None:
            tasks.append(task)
    return tasks


def _card(stage: Stage, rng: random.Random) -> tuple[float, float, str] | None:
    """When a card interrupts the scene: a second in which nothing happens, if there is one."""
    calm = [
        k * STEP_S
        for k in range(1, round(stage.duration_s / STEP_S) - 2)
        if not any(e.t0 - STEP_S < (k + 2) * STEP_S and k * STEP_S < e.t1 + STEP_S
                   for e in stage.told)
    ]  # fmt: skip
    if not calm:
        return None
    start = rng.choice(calm)
    return start, start + 2 * STEP_S, rng.choice(_LETTERS)


def _card_picture(stage: Stage, letter: str) -> Image.Image:
    picture = Image.new("RGB", (stage.width, stage.height), (30, 32, 40))
    font = load_font(BUILTIN, stage.height // 2)
    place = (stage.width / 2, stage.height / 2)
    ImageDraw.Draw(picture).text(place, letter, font=font, fill=(240, 240, 240), anchor="mm")
    return picture


def _card_task(letter: str, rng: random.Random) -> Task:
    question, template = worded(BANK, "card", rng)
    return Task(
        task="video_needle",
        question=noted(question, "word", rng),
        answer_text=letter,
        answer=Answer(type="text", value=letter),
        verifier="exact_ci",
        media=(CLIP,),
        template=template,
    )


def _truth(stage: Stage, fps: int, card: tuple[float, float, str] | None) -> dict[str, Any]:
    times = frame_times(stage.duration_s, fps)
    objects = []
    for actor in stage.actors:
        looks = [stage.look(actor, t) for t in times]
        boxes = [
            None
            if card and card[0] <= t < card[1]
            else look_box(actor, look, stage.width, stage.height)
            for t, look in zip(times, looks, strict=True)
        ]
        objects.append(
            {
                "id": actor.id,
                "attributes": {
                    "shape": actor.shape,
                    "color": actor.start.color,
                    "fill": actor.fill,
                },
                "track": tracks_of(times, boxes),
            }
        )
    events = []
    for event in stage.told:
        params = asdict(event)
        kept = {k: params[k] for k in ("side", "color", "factor", "times") if params[k]}
        events.append(
            {
                "id": event.id,
                "type": event.kind,
                "t0": event.t0,
                "t1": event.t1,
                "subjects": [event.actor, *([event.other] if event.other else [])],
                "params": kept,
            }
        )
    return {
        "family": "shapes",
        "duration": stage.duration_s,
        "fps": fps,
        "objects": objects,
        "events": events,
        "captions": [{"t0": e.t0, "t1": e.t1, "text": e.text} for e in stage.told],
        "card": {"t0": card[0], "t1": card[1], "letter": card[2]} if card else None,
        "summary": summary(stage),
        "span_text": [templates.span(e.t0, e.t1) for e in stage.told],
    }


def create(config: Mapping[str, Any]) -> ShapesGenerator:
    """The generator from settings as a mapping.

    Raises:
        ConfigError: A setting is unknown or wrong.
    """
    return ShapesGenerator(from_dict(ShapesConfig, config, where="video-shapes"))
