"""Scenes: relations by a margin, objects that neither touch nor leave the canvas."""

from __future__ import annotations

import io
import random

import numpy as np
import pytest
from PIL import Image

from nanovl.core.errors import ConfigError
from nanovl.synth.base import Reject
from nanovl.synth.scenes.paint import background, encoded, paint
from nanovl.synth.scenes.scene import (
    DIRECTIONS,
    Canvas,
    Scene,
    attributes,
    draw_canvas,
    place_grid,
    scattered,
)
from nanovl.synth.scenes.shapes import FILLS, GLYPHS, SHAPES, ink_area, layers


def make(seed: int, count: int) -> Scene:
    rng = random.Random(seed)
    canvas = draw_canvas(rng)
    return scattered(rng, canvas, attributes(rng, canvas.ground), count)


@pytest.mark.parametrize("seed", range(12))
def test_every_pair_has_a_clear_order_on_both_axes(seed: int) -> None:
    scene = make(seed, 6)
    for a in scene.items:
        for b in scene.items:
            if a.id != b.id:
                assert scene.is_at(a, "left", b) != scene.is_at(a, "right", b)
                assert scene.is_at(a, "above", b) != scene.is_at(a, "below", b)


@pytest.mark.parametrize("seed", range(12))
def test_boxes_are_where_pixels_differ_from_the_background(seed: int) -> None:
    scene = make(seed, 5)
    changed = np.abs(
        np.asarray(paint(scene), dtype=int) - np.asarray(background(scene.canvas), dtype=int)
    ).max(axis=2)
    inside = np.zeros_like(changed, dtype=bool)
    for item in scene.items:
        x0, y0, x1, y1 = (int(v) for v in item.box)
        assert 0 <= x0 < x1 <= scene.canvas.width
        assert 0 <= y0 < y1 <= scene.canvas.height
        part = changed[y0:y1, x0:x1] > 8
        assert part.any()
        # The box is tight: each of its four edges has ink within two pixels.
        assert part[:2].any()
        assert part[-2:].any()
        assert part[:, :2].any()
        assert part[:, -2:].any()
        inside[y0:y1, x0:x1] = True
    assert not (changed[~inside] > 8).any()


def test_ground_truth_lists_relations_both_ways() -> None:
    scene = make(3, 7)
    relations = scene.to_json()["relations"]
    assert sorted(relations) == sorted(DIRECTIONS)
    for item in scene.items:
        for other in relations["left"][item.id]:
            assert item.id in relations["right"][other]


def test_too_many_objects_are_rejected() -> None:
    rng = random.Random(0)
    canvas = Canvas(width=64, height=64)
    with pytest.raises(Reject, match="no_room"):
        scattered(rng, canvas, attributes(rng, "white"), 12)


@pytest.mark.parametrize("count", [0, 1, 2, 13, 60])
@pytest.mark.parametrize("is_regular", [True, False])
def test_counted_objects_do_not_overlap(count: int, is_regular: bool) -> None:
    rng = random.Random(count)
    canvas = Canvas(width=336, height=448)
    values = attributes(rng, "white", plain=True, glyphs=False)
    scene = place_grid(rng, canvas, values, count, is_regular=is_regular)
    assert len(scene.items) == count
    for a in scene.items:
        for b in scene.items[: a.id]:
            reach = (a.diameter + b.diameter) / 2
            assert max(abs(a.x - b.x), abs(a.y - b.y)) >= reach - 1


@pytest.mark.parametrize("shape", [*SHAPES, *GLYPHS[:3]])
@pytest.mark.parametrize("fill", FILLS)
def test_every_shape_shows_enough_ink(shape: str, fill: str) -> None:
    assert len(layers(shape, 48, 0, fill)) >= 1
    assert 48 * 48 > ink_area(shape, 48, 0, fill) > 200


def test_pictures_are_encoded_in_the_form_asked_for() -> None:
    image = Image.new("RGB", (8, 6), (1, 2, 3))
    for form, kind in (("png", "PNG"), ("jpg", "JPEG")):
        media = encoded(image, "image", form)
        assert Image.open(io.BytesIO(media.data)).format == kind
        assert (media.width, media.height) == (8, 6)
    with pytest.raises(ConfigError, match="'tiff'"):
        encoded(image, "image", "tiff")
