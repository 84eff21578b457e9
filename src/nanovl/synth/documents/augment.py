"""Paper, scanner and camera: a clean page becomes a picture of a page, and its boxes follow.

Three profiles: "clean" (a screen or a perfect export), "scan" and "camera"; "mixed" draws one. A
plan is drawn first, from a stream of its own, so that what happens does not depend on the page.
Must not change what is written.

Source: data synthesis specification, sections 4.2 and 4.3.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from io import BytesIO
from typing import Literal

import numpy as np
from PIL import Image, ImageChops

from nanovl.core.errors import ConfigError
from nanovl.synth.documents.backgrounds import paper_texture, surface
from nanovl.synth.documents.draw import Painted
from nanovl.synth.documents.effects import EFFECTS, OVERLAYS, overlay, rescale
from nanovl.synth.documents.truth import bent, smallest_text
from nanovl.synth.documents.warp import Displacement, Warp, curl, fold, waves

__all__ = ["PROFILES", "Augmented", "Plan", "Profile", "augment", "encode", "plan_augmentation"]

Profile = Literal["none", "clean", "scan", "camera", "mixed"]
PROFILES: tuple[Profile, ...] = ("none", "clean", "scan", "camera", "mixed")
_LEAST_TEXT = 7.0  # pixels a line of text keeps after scaling
_TURNED = 0.02  # share of pages that lie on their side or head

_INK = ("bleed", "fade", "dropout", "dot_matrix")
_LIGHT = ("shadow", "vignette", "uneven", "glare")
_SCANNER = ("salt", "streaks", "halftone", "binarise")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What will happen to a page.

    Attributes:
        profile: "none", "clean", "scan" or "camera".
        effects: Names in order, with strengths.
        overlays: Things on the paper.
        grey: Whether the picture loses its colours.
        angle: In degrees, counted against the clock.
        turn: 0, 90, 180 or 270 degrees on top.
        corners: Shift of the corners as shares of width and height.
        bends: Number and kind of displacements: "curl", "fold", "waves".
        border: Room around the page as a share of its width.
        texture: Depth of the paper's texture.
        quality: Of the JPEG; 0 stores a PNG.
    """

    profile: str
    effects: tuple[tuple[str, float], ...] = ()
    overlays: tuple[str, ...] = ()
    grey: bool = False
    angle: float = 0.0
    turn: int = 0
    corners: tuple[tuple[float, float], ...] = ((0.0, 0.0),) * 4
    bends: tuple[str, ...] = ()
    border: float = 0.0
    texture: float = 0.0
    quality: int = 0

    @property
    def moves(self) -> bool:
        """Whether anything leaves its place."""
        return bool(
            self.angle or self.turn or self.bends or self.border or any(map(any, self.corners))
        )


@dataclass(frozen=True)
class Augmented:
    """A page after everything happened, and the names of what happened."""

    painted: Painted
    plan: Plan
    names: tuple[str, ...]


def plan_augmentation(rng: random.Random, profile: str, strength: float = 1.0) -> Plan:
    """Draw what happens.

    Args:
        rng: The generator of the stream "augment".
        profile: One of `PROFILES`.
        strength: 0 to 1; scales every bound.

    Raises:
        ConfigError: Unknown profile or strength.
    """
    if profile not in PROFILES:
        raise ConfigError(f"augment: got {profile!r}, expected one of {', '.join(PROFILES)}")
    if not 0 <= strength <= 1:
        raise ConfigError(f"strength: got {strength}, expected 0 to 1")
    if profile == "none":
        return Plan(profile="none")
    if profile == "mixed":
        profile = rng.choices(("clean", "scan", "camera"), (25, 45, 30))[0]
    if profile == "clean":
        return Plan(profile="clean", quality=0 if rng.random() < 0.3 else rng.randint(70, 95))
    turn = rng.choice((90, 180, 270)) if rng.random() < _TURNED * strength else 0
    effects = _ink_effects(rng, strength)
    if profile == "scan":
        effects += [("contrast", strength * 0.6)] if rng.random() < 0.5 else []
        if rng.random() < 0.35:
            effects.append((rng.choice(_SCANNER), strength))
        effects += [("blur", strength * rng.uniform(0.2, 0.8))] if rng.random() < 0.4 else []
        effects += [("rescale", strength)] if rng.random() < 0.25 else []
        effects += [("noise", strength * rng.uniform(0.2, 1))] if rng.random() < 0.55 else []
        bends = ("waves",) if rng.random() < 0.08 * strength else ()
        return Plan(
            profile="scan",
            effects=tuple(effects),
            overlays=_drawn_overlays(rng, 0.14 * strength),
            grey=rng.random() < 0.55,
            angle=max(-2.0, min(2.0, rng.gauss(0, 0.7))) * strength if rng.random() < 0.7 else 0.0,
            turn=turn,
            bends=bends,
            border=rng.uniform(0.005, 0.03) if rng.random() < 0.2 else 0.0,
            texture=rng.uniform(0.0, 0.06) * strength,
            quality=rng.randint(40, 95),
        )
    shift = 0.05 * strength
    for _ in range(2):
        if rng.random() < 0.5:
            effects.append((rng.choice(_LIGHT), strength))
    effects += [("tint", strength)] if rng.random() < 0.35 else []
    effects += [("contrast", strength * 0.8)] if rng.random() < 0.4 else []
    lens = rng.random()
    effects += [("blur", strength * rng.uniform(0.2, 0.9))] if lens < 0.4 else []
    effects += [("motion", strength)] if 0.4 <= lens < 0.52 else []
    effects += [("rescale", strength * 0.7)] if rng.random() < 0.15 else []
    effects += [("noise", strength * rng.uniform(0.2, 1))] if rng.random() < 0.5 else []
    kinds = [kind for kind in ("curl", "fold", "waves") if rng.random() < 0.22 * strength]
    return Plan(
        profile="camera",
        effects=tuple(effects),
        overlays=_drawn_overlays(rng, 0.14 * strength),
        angle=rng.uniform(-5, 5) * strength,
        turn=turn,
        corners=tuple((rng.uniform(-shift, shift), rng.uniform(-shift, shift)) for _ in range(4)),
        bends=tuple(kinds),
        border=rng.uniform(0.01, 0.12),
        texture=rng.uniform(0.0, 0.1) * strength,
        quality=rng.randint(45, 92),
    )


def _ink_effects(rng: random.Random, strength: float) -> list[tuple[str, float]]:
    if rng.random() < 0.25:
        return [(rng.choice(_INK), strength * rng.uniform(0.3, 1.0))]
    return []


def _drawn_overlays(rng: random.Random, chance: float) -> tuple[str, ...]:
    return tuple(rng.sample(OVERLAYS, rng.randint(1, 2))) if rng.random() < chance else ()


def augment(
    painted: Painted,
    plan: Plan,
    rng: np.random.Generator,
    *,
    background: Image.Image | None = None,
    characters: bool = False,
) -> Augmented:
    """A page after its plan; boxes and quads follow.

    Args:
        painted: A clean page.
        plan: From `plan_augmentation`.
        rng: NumPy's generator of the stream "augment".
        background: Seen around a page of the profile "camera", any size; drawn when None.
        characters: Whether to carry the boxes of characters along.

    Raises:
        Reject: Text left the picture.
    """
    if plan.profile in ("none", "clean"):
        return Augmented(painted, plan, ())
    image = painted.image
    names: list[str] = []
    words = [w.box for line in painted.lines for w in line.words]
    for kind in plan.overlays:
        image = overlay(image, kind, rng, words)
        names.append(kind)
    if plan.grey:
        image = image.convert("L")
    if plan.texture > 0.01:
        image = _textured(image, rng, plan.texture)
    ink = [e for e in plan.effects if e[0] in _INK]
    rest = [e for e in plan.effects if e[0] not in _INK]
    least = _LEAST_TEXT / max(1.0, smallest_text([painted]))
    for name, strength in ink:
        if _may_use(name, painted):
            image = EFFECTS[name](image, rng, strength)
            names.append(name)
    result = Painted(image, painted.number, painted.blocks)
    if plan.moves:
        warp = _warp(image.size, plan, rng, names)
        if plan.profile == "camera":
            under = background or surface(rng, *warp.out)[0]
            under = under.resize(warp.out) if under.size != warp.out else under
        else:
            shade = int(rng.choice((255, 250, 235, 215, 60, 20)))
            under = Image.new("RGB", warp.out, (shade, shade, shade))
        under = under.convert(image.mode)
        result = bent(result, warp.apply(image, under), warp.points, characters=characters)
        image = result.image
    for name, strength in rest:
        if not _may_use(name, painted) or (name == "binarise" and set(names) & set(_INK)):
            continue  # what is pale or full of holes would fall apart
        if name == "rescale":
            image = rescale(image, rng, strength, max(0.35, least))
        else:
            image = EFFECTS[name](image, rng, strength)
        names.append(name)
    return Augmented(Painted(image, result.number, result.blocks), plan, tuple(names))


def _may_use(name: str, painted: Painted) -> bool:
    """Effects that eat fine strokes are for larger text."""
    least = {"dot_matrix": 13.0, "halftone": 12.0, "dropout": 10.0, "motion": 9.0, "binarise": 9.0}
    return smallest_text([painted]) >= least.get(name, 0.0)


def _textured(image: Image.Image, rng: np.random.Generator, depth: float) -> Image.Image:
    factors = paper_texture(rng, *image.size, depth)
    if image.mode == "RGB":
        factors = Image.merge("RGB", (factors, factors, factors))
    return ImageChops.multiply(image, factors)


def _warp(size: tuple[int, int], plan: Plan, rng: np.random.Generator, names: list[str]) -> Warp:
    width, height = size
    own = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float64)
    shifts = np.array(plan.corners) * (width, height)
    angle = math.radians(plan.angle + plan.turn)
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    corners = (own + shifts - (width / 2, height / 2)) @ turn.T
    bends: list[Displacement] = []
    slack = 0.0
    for kind in plan.bends:
        if kind == "curl":
            depth = float(rng.uniform(0.004, 0.02)) * height
            depth = min(depth, 22.0)
            length = float(rng.uniform(0.8, 2.2)) * width
            bends.append(curl(depth, length, float(rng.uniform(0, 2 * math.pi))))
        elif kind == "fold":
            at = (float(rng.uniform(0.2, 0.8)) * width, float(rng.uniform(0.2, 0.8)) * height)
            upright = rng.random() < 0.4
            lean = float(rng.uniform(-0.15, 0.15)) + (math.pi / 2 if upright else 0.0)
            depth = float(rng.uniform(2, 7))
            bends.append(fold(at, lean, depth, reach=float(rng.uniform(60, 160))))
        else:
            depth = float(rng.uniform(0.8, 2.4))
            bends.append(waves(rng, size, float(rng.uniform(80, 180)), depth))
        slack += depth
        names.append(kind)
    border = plan.border * width + slack
    low, high = corners.min(axis=0), corners.max(axis=0)
    w, h = high - low + 2 * border - 1e-6  # a turned page keeps its whole size
    out = (math.ceil(w), math.ceil(h))
    names += [f"turned:{plan.turn}"] if plan.turn else []
    return Warp(size, corners - low + border, out, bends)


def encode(image: Image.Image, quality: int) -> tuple[bytes, str]:
    """(file, extension): JPEG of some quality, or PNG when it is 0."""
    stream = BytesIO()
    if quality:
        image.save(stream, "JPEG", quality=quality)
        return stream.getvalue(), "jpg"
    image.save(stream, "PNG", compress_level=3)
    return stream.getvalue(), "png"
