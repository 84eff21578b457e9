"""The generator `scenes-2d`: flat scenes, counting, pairs, puzzles, instruments, frames, mirrors.

Source: data synthesis specification, section 12.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nanovl.core.config import from_dict
from nanovl.core.errors import ConfigError
from nanovl.synth.base import Reject, Requirement, Sample, Streams, Task
from nanovl.synth.scenes.families import questions
from nanovl.synth.scenes.instruments import draw_reading
from nanovl.synth.scenes.nesting import draw_nest, nest_tasks
from nanovl.synth.scenes.paint import encoded, paint
from nanovl.synth.scenes.pairs import edited, pair_tasks, statement_tasks
from nanovl.synth.scenes.pointing import pointing_tasks
from nanovl.synth.scenes.programs import to_json
from nanovl.synth.scenes.puzzles import odd_one_out, pattern
from nanovl.synth.scenes.scene import (
    Canvas,
    attributes,
    draw_canvas,
    place_grid,
    scattered,
)
from nanovl.synth.scenes.symmetry import draw_mosaic, mosaic_tasks
from nanovl.synth.scenes.telling import caption_tasks, count_tasks

__all__ = ["KINDS", "ScenesConfig", "ScenesGenerator", "create"]

KINDS = ("scene", "count", "pair", "puzzle", "instrument", "nested", "symmetry")


@dataclass(frozen=True, kw_only=True)
class ScenesConfig:
    """Settings of `scenes-2d`.

    Attributes:
        scene, count, pair, puzzle, instrument, nested, symmetry: How often each kind of picture is
            made, as weights.
        most_objects: Of a scene with relations, 3 to 12.
        most_counted: Of a picture to count in, 1 to 60.
        questions: CLEVR-like questions a scene.
        image: "jpg" or "png".
    """

    scene: float = 6.0
    count: float = 2.0
    pair: float = 1.0
    puzzle: float = 1.0
    instrument: float = 1.0
    nested: float = 0.8
    symmetry: float = 0.8
    most_objects: int = 10
    most_counted: int = 60
    questions: int = 4
    image: str = "jpg"

    def __post_init__(self) -> None:
        if not 3 <= self.most_objects <= 12:
            raise ConfigError(f"most_objects: got {self.most_objects}, expected 3 to 12")
        if not 1 <= self.most_counted <= 60:
            raise ConfigError(f"most_counted: got {self.most_counted}, expected 1 to 60")
        weights = [getattr(self, kind) for kind in KINDS]
        if min(weights) < 0 or not sum(weights):
            raise ConfigError(
                f"{', '.join(KINDS)}: weights {weights} must not be negative or all 0"
            )
        if self.image not in ("jpg", "png"):
            raise ConfigError(f"image: got {self.image!r}, expected 'jpg' or 'png'")


class ScenesGenerator:
    """Makes `scenes-2d` samples."""

    name = "scenes-2d"
    version = "2"
    requires: tuple[Requirement, ...] = ()

    def __init__(self, config: ScenesConfig) -> None:
        self.config = config

    def generate(self, index: int, streams: Streams) -> Sample:
        """The sample of an index.

        Raises:
            Reject: Objects did not fit, or nothing could be asked.
        """
        rng = streams.rng("layout")
        weights = [getattr(self.config, kind) for kind in KINDS]
        kind = rng.choices(KINDS, weights)[0]
        make = {
            "scene": self._scene,
            "count": self._count,
            "pair": self._pair,
            "puzzle": self._puzzle,
            "instrument": self._instrument,
            "nested": self._nested,
            "symmetry": self._symmetry,
        }[kind]
        return make(streams)

    def _sample(
        self, streams: Streams, kind: str, images: list[Any], gt: dict[str, Any],
        tasks: list[Task], level: int,
    ) -> Sample:  # fmt: skip
        if not tasks:
            raise Reject("no_task", f"nothing to ask about this {kind}")
        names = ("image",) if len(images) == 1 else ("first", "second")
        media = [encoded(i, n, self.config.image) for i, n in zip(images, names, strict=True)]
        return Sample(
            generator=self.name,
            version=self.version,
            seed=streams.seed,
            gt={"kind": kind, **gt},
            tasks=tuple(tasks),
            media=tuple(media),
            tags=(f"scene:{kind}", f"difficulty:{level}"),
        )

    def _scene(self, streams: Streams) -> Sample:
        rng, qa = streams.rng("content"), streams.rng("qa")
        canvas = draw_canvas(streams.rng("style"))
        values = attributes(rng, canvas.ground)
        scene = scattered(rng, canvas, values, rng.randint(3, self.config.most_objects))
        asked = questions(scene, qa, self.config.questions, ("image",))
        tasks = [task for task, _ in asked]
        tasks += pointing_tasks(scene, qa, qa.choice((1, 2)), ("image",))
        if qa.random() < 0.5:
            tasks += caption_tasks(scene, qa, 1, ("image",))
        gt = {**scene.to_json(), "programs": [to_json(steps) for _, steps in asked]}
        level = 1 + (len(scene.items) > 5) + (len(scene.items) > 8)
        return self._sample(streams, "scene", [paint(scene)], gt, tasks, level)

    def _count(self, streams: Streams) -> Sample:
        rng, qa = streams.rng("content"), streams.rng("qa")
        canvas = draw_canvas(streams.rng("style"))
        values = attributes(rng, canvas.ground, plain=rng.random() < 0.5, glyphs=False)
        top = self.config.most_counted
        count = rng.randint(0, min(10, top)) if rng.random() < 0.35 else rng.randint(0, top)
        is_regular = rng.random() < 0.35
        scene = place_grid(rng, canvas, values, count, is_regular=is_regular)
        rows = (0, 0)
        if is_regular and count:
            first = scene.items[0].y
            columns = sum(item.y == first for item in scene.items)
            rows = (count // columns, columns)
        tasks = count_tasks(scene, qa, 3, ("image",), rows)
        gt = {**scene.to_json(), "grid": list(rows)}
        level = (count > 5) + (count > 15) + (count > 30)
        return self._sample(streams, "count", [paint(scene)], gt, tasks, level)

    def _pair(self, streams: Streams) -> Sample:
        rng, qa = streams.rng("content"), streams.rng("qa")
        canvas = draw_canvas(streams.rng("style"))
        values = attributes(rng, canvas.ground, glyphs=False)
        first = scattered(rng, canvas, values, rng.randint(3, min(8, self.config.most_objects)))
        media = ("first", "second")
        if rng.random() < 0.6:
            # Half of the pairs are the same, so that "identical" is as often yes as no.
            count = 0 if rng.random() < 0.5 else rng.choice((1, 1, 2, 2, 3))
            second, edits = edited(first, rng, values, min(count, len(first.items)))
            tasks = pair_tasks(first, edits, qa, media)
            more: dict[str, Any] = {"edits": [e.to_json() for e in edits]}
        else:
            other = draw_canvas(streams.rng("style"), [(canvas.width, canvas.height)])
            other = Canvas(width=other.width, height=other.height, ground=canvas.ground)
            count = rng.randint(3, min(8, self.config.most_objects))
            second = scattered(rng, other, values, count)
            tasks = statement_tasks(first, second, qa, 2, media)
            more = {}
        gt = {**first.to_json(), "second_scene": second.to_json(), **more}
        images = [paint(first), paint(second)]
        return self._sample(streams, "pair", images, gt, tasks, 3)

    def _puzzle(self, streams: Streams) -> Sample:
        rng, qa = streams.rng("content"), streams.rng("qa")
        canvas = draw_canvas(streams.rng("style"), [(384, 384), (448, 448), (512, 512)])
        values = attributes(rng, canvas.ground, glyphs=False)
        if rng.random() < 0.6:
            puzzle = odd_one_out(qa, canvas, values, ("image",))
        else:
            ink = (235, 235, 235) if canvas.ground == "dark" else (30, 30, 30)
            puzzle = pattern(qa, canvas, values, ink, ("image",))
        if puzzle is None:
            raise Reject("no_task", "too few attribute values for a puzzle")
        gt = {
            "canvas": [canvas.width, canvas.height],
            "objects": [item.to_json() for item in puzzle.items],
            "rule": puzzle.rule,
        }
        return self._sample(streams, "puzzle", [puzzle.image], gt, list(puzzle.tasks), 2)

    def _instrument(self, streams: Streams) -> Sample:
        reading = draw_reading(streams.rng("content"), ("image",))
        gt = {"instrument": reading.kind, **reading.gt}
        return self._sample(streams, "instrument", [reading.image], gt, list(reading.tasks), 2)

    def _nested(self, streams: Streams) -> Sample:
        canvas = draw_canvas(streams.rng("style"), [(384, 384), (448, 336), (512, 384), (512, 512)])
        nest, image = draw_nest(streams.rng("content"), canvas)
        tasks = nest_tasks(nest, streams.rng("qa"), self.config.questions, ("image",))
        return self._sample(streams, "nested", [image], nest.to_json(), tasks, 2)

    def _symmetry(self, streams: Streams) -> Sample:
        canvas = draw_canvas(streams.rng("style"))
        mosaic, image = draw_mosaic(streams.rng("content"), canvas)
        tasks = mosaic_tasks(mosaic, streams.rng("qa"), ("image",))
        return self._sample(streams, "symmetry", [image], mosaic.to_json(), tasks, 2)


def create(config: Mapping[str, Any]) -> ScenesGenerator:
    """The generator with these settings.

    Raises:
        ConfigError: Unknown or impossible setting.
    """
    return ScenesGenerator(from_dict(ScenesConfig, config, where="scenes-2d"))
