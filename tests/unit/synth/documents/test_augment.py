"""Bending carries points along; effects keep size, mode and legibility."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw

from nanovl.core.errors import ConfigError
from nanovl.synth.base import Reject
from nanovl.synth.documents.augment import Plan, augment, encode, plan_augmentation
from nanovl.synth.documents.backgrounds import SURFACES, picture, surface
from nanovl.synth.documents.draw import InkBlock, InkLine, InkWord, Painted
from nanovl.synth.documents.effects import EFFECTS, OVERLAYS, overlay
from nanovl.synth.documents.truth import bent
from nanovl.synth.documents.warp import Warp, curl, fold, waves

SIZE = (420, 560)
PITCH = 60


def dots() -> tuple[Image.Image, np.ndarray]:
    """White paper with round black dots, and their middles."""
    large = Image.new("L", (SIZE[0] * 4, SIZE[1] * 4), 255)
    draw = ImageDraw.Draw(large)
    places = [
        (x, y) for y in range(PITCH, SIZE[1] - 20, PITCH) for x in range(PITCH, SIZE[0] - 20, PITCH)
    ]
    for x, y in places:
        draw.ellipse(((x - 4) * 4, (y - 4) * 4, (x + 4) * 4 - 1, (y + 4) * 4 - 1), fill=0)
    return large.resize(SIZE, Image.Resampling.BOX), np.array(places, np.float64)


def found_near(image: Image.Image, points: np.ndarray) -> np.ndarray:
    """Distance from every point to the middle of the dark blob next to it."""
    ink = 255 - np.asarray(image.convert("L")).astype(float)
    distances = []
    for x, y in points:
        x0, y0 = int(x) - 14, int(y) - 14
        window = ink[max(0, y0) : y0 + 29, max(0, x0) : x0 + 29]
        window = np.where(window > 90, window, 0)
        assert window.sum() > 0
        rows, columns = np.mgrid[: window.shape[0], : window.shape[1]]
        cx = (window * columns).sum() / window.sum() + max(0, x0) + 0.5
        cy = (window * rows).sum() / window.sum() + max(0, y0) + 0.5
        distances.append(np.hypot(cx - x, cy - y))
    return np.array(distances)


def corners(rng: np.random.Generator, share: float) -> np.ndarray:
    w, h = SIZE
    own = np.array([(0, 0), (w, 0), (w, h), (0, h)], np.float64) + 40
    return own + rng.uniform(-share, share, (4, 2)) * (w, h)


@pytest.mark.parametrize("kind", ["perspective", "curl", "fold", "waves", "all"])
def test_a_grid_of_dots_stays_where_the_warp_says(kind: str) -> None:
    image, points = dots()
    for seed in range(5):
        rng = np.random.default_rng(seed)
        bends = {
            "curl": [curl(9, 500, seed)],
            "fold": [fold((200, 300), 0.1 * seed, 5, 90)],
            "waves": [waves(rng, SIZE, 100, 2.4)],
        }
        used = {"perspective": [], "all": [b for v in bends.values() for b in v]}.get(
            kind, bends.get(kind, [])
        )
        warp = Warp(SIZE, corners(rng, 0.06), (SIZE[0] + 80, SIZE[1] + 80), used)
        result = warp.apply(image, Image.new("L", warp.out, 255))
        distance = found_near(result, warp.points(points))
        assert distance.max() < 0.6, distance.max()  # the specification allows 1.5


def test_points_and_their_sources_are_inverse() -> None:
    rng = np.random.default_rng(3)
    warp = Warp(SIZE, corners(rng, 0.06), (500, 640), [curl(10, 400, 1), waves(rng, SIZE, 90, 2)])
    points = rng.uniform((5, 5), (415, 555), (200, 2))
    assert np.abs(warp.source_of(warp.points(points)) - points).max() < 0.05


def painted_dots() -> Painted:
    image, points = dots()
    words = [
        InkWord(f"w{i}", (x - 4.0, y - 4.0, x + 4.0, y + 4.0)) for i, (x, y) in enumerate(points)
    ]
    box = (PITCH - 4.0, PITCH - 4.0, SIZE[0] - 20.0, SIZE[1] - 20.0)
    line = InkLine("dots", box, words)
    return Painted(image.convert("RGB"), 1, [InkBlock("text", 0, 0, "", box, [line])])


@pytest.mark.parametrize("profile", ["scan", "camera"])
def test_quads_follow_whole_plans(profile: str) -> None:
    page = painted_dots()
    moved = 0
    for seed in range(24):
        plan = plan_augmentation(random.Random(seed), profile)
        plan = replace(plan, effects=(), overlays=(), texture=0.0)
        under = Image.new("RGB", (900, 900), (255, 255, 255))
        done = augment(page, plan, np.random.default_rng(seed), background=under)
        words = done.painted.lines[0].words
        middles = np.array(
            [np.array(w.quad or _corners(w.box)).reshape(4, 2).mean(axis=0) for w in words]
        )
        if profile == "scan" and plan.border:
            continue  # a dark scanner glass is not paper
        assert found_near(done.painted.image, middles).max() < 1.5
        moved += plan.moves
        width, height = done.painted.image.size
        for word in words:
            x0, y0, x1, y1 = word.box
            assert 0 <= x0 < x1 <= width
            assert 0 <= y0 < y1 <= height
    assert moved > 5


def _corners(box: tuple[float, ...]) -> tuple[float, ...]:
    x0, y0, x1, y1 = box
    return x0, y0, x1, y0, x1, y1, x0, y1


def test_turned_pages_are_turned() -> None:
    page = painted_dots()
    plan = Plan(profile="scan", turn=90)
    done = augment(page, plan, np.random.default_rng(0))
    assert done.painted.image.size == (SIZE[1], SIZE[0])
    assert "turned:90" in done.names
    first = done.painted.lines[0].words[0].box
    assert first[1] > SIZE[0] * 0.7  # the top left corner went to the bottom left


def test_ink_that_leaves_the_picture_is_rejected() -> None:
    page = painted_dots()
    with pytest.raises(Reject, match="ink_outside"):
        bent(page, page.image, lambda points: points + 100)


@pytest.mark.parametrize("name", sorted(EFFECTS))
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_effects_keep_size_and_mode_and_ink(name: str, mode: str) -> None:
    image, points = dots()
    image = image.convert(mode)
    for seed in range(4):
        done = EFFECTS[name](image, np.random.default_rng(seed), 1.0)
        assert done.size == image.size
        assert done.mode == mode
        grey = np.asarray(done.convert("L")).astype(int)
        ink = np.mean([grey[y - 1 : y + 1, x - 1 : x + 1].mean() for x, y in points.astype(int)])
        paper = np.mean([grey[y - 20, x - 20] for x, y in points.astype(int)])
        assert paper - ink > 50, (name, paper, ink)
        again = EFFECTS[name](image, np.random.default_rng(seed), 1.0)
        assert again.tobytes() == done.tobytes()


@pytest.mark.parametrize("kind", OVERLAYS)
def test_things_on_the_paper_do_not_hide_words(kind: str) -> None:
    page = painted_dots()
    boxes = [w.box for w in page.lines[0].words]
    changed = 0
    for seed in range(12):
        done = overlay(page.image, kind, np.random.default_rng(seed), boxes)
        grey = np.asarray(done.convert("L")).astype(int)
        for x0, y0, x1, y1 in boxes:
            area = grey[int(y0) : int(y1), int(x0) : int(x1)]
            assert area.max() - area.min() > 100
        changed += done.tobytes() != page.image.tobytes()
    assert changed


@pytest.mark.parametrize("name", sorted(SURFACES))
def test_surfaces_are_pictures(name: str) -> None:
    made = SURFACES[name](np.random.default_rng(1), 120, 90)
    assert made.size == (120, 90)
    assert made.mode == "RGB"


def test_surfaces_and_pictures_repeat() -> None:
    one, two = (surface(np.random.default_rng(5), 200, 100)[0].tobytes() for _ in range(2))
    assert one == two
    assert picture(4, 90, 60).tobytes() == picture(4, 90, 60).tobytes()
    assert picture(4, 90, 60).tobytes() != picture(5, 90, 60).tobytes()


def test_plans_are_bounded_and_checked() -> None:
    for seed in range(300):
        plan = plan_augmentation(random.Random(seed), "mixed")
        assert plan.profile in ("clean", "scan", "camera")
        assert abs(plan.angle) <= 5
        assert all(abs(v) <= 0.06 for corner in plan.corners for v in corner)
        assert plan.quality == 0 or 25 <= plan.quality <= 95
        if plan.profile == "scan":
            assert abs(plan.angle) <= 2
    assert not plan_augmentation(random.Random(1), "none").moves
    with pytest.raises(ConfigError, match="expected one of"):
        plan_augmentation(random.Random(1), "fax")
    with pytest.raises(ConfigError, match="strength"):
        plan_augmentation(random.Random(1), "scan", 2.0)


def test_pictures_are_encoded() -> None:
    image = Image.new("RGB", (20, 10))
    assert encode(image, 0)[1] == "png"
    assert encode(image, 80)[0][:2] == b"\xff\xd8"
