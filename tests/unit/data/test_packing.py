"""Selection on the published example, and the tensors of a pack."""

from __future__ import annotations

import random
import statistics
from typing import Any

import pytest
import torch

from nanovl.core.errors import InputError
from nanovl.core.inputs import PackedBatch, ProcessedInputs
from nanovl.core.layout import MediaSpan, TokenLayout
from nanovl.data.packing import (
    LoadedSample,
    build_pack,
    default_delta,
    fewest_packs,
    select_balanced,
    select_greedy,
    shifted,
)

# Worked example of the training specification, section 3.2.
LENGTHS = [9000, 7000, 5000, 4000, 3000, 2500, 2000, 1500, 900, 600, 300, 200]
CAPACITY = 16384

IMAGE = 7
PAD = 3


def _sizes(packs: list[list[int]], lengths: list[int]) -> list[list[int]]:
    return [[lengths[i] for i in pack] for pack in packs]


def _imbalance(values: list[float]) -> float:
    return max(values) / statistics.mean(values)


def test_worked_example_balanced() -> None:
    packs = select_balanced(LENGTHS, CAPACITY, delta=0)
    assert _sizes(packs, LENGTHS) == [
        [9000, 2500, 600],
        [7000, 3000, 1500, 300, 200],
        [5000, 4000, 2000, 900],
    ]
    loads = [float(sum(p)) for p in _sizes(packs, LENGTHS)]
    assert loads == [12100, 12000, 11900]
    assert round(_imbalance(loads), 3) == 1.008
    work = [float(sum(n * n for n in p)) for p in _sizes(packs, LENGTHS)]
    assert round(_imbalance(work), 2) == 1.36


def test_worked_example_greedy() -> None:
    packs = select_greedy(LENGTHS, CAPACITY)
    assert _sizes(packs, LENGTHS) == [
        [9000, 7000, 300],
        [5000, 4000, 3000, 2500, 1500, 200],
        [2000, 900, 600],
    ]
    loads = [float(sum(p)) for p in _sizes(packs, LENGTHS)]
    assert loads == [16300, 16200, 3500]
    assert round(_imbalance(loads), 3) == 1.358
    work = [float(sum(n * n for n in p)) for p in _sizes(packs, LENGTHS)]
    assert round(_imbalance(work), 2) == 2.01
    assert round(sum(LENGTHS) / (3 * CAPACITY), 3) == 0.732


def test_worked_example_with_one_more_pack() -> None:
    packs = select_balanced(LENGTHS, CAPACITY, delta=1)
    assert [sum(p) for p in _sizes(packs, LENGTHS)] == [9000] * 4


def test_fewest_and_delta() -> None:
    assert fewest_packs(LENGTHS, CAPACITY) == 3
    assert default_delta(LENGTHS, CAPACITY) == 1
    assert default_delta([100] * 1000, 200, 0.01) == 5
    assert default_delta([100] * 1000, 200, 0) == 0
    assert fewest_packs([], 10) == 0
    assert select_balanced([], 10, delta=1) == []
    assert select_greedy([], 10) == []


def test_a_sample_that_fits_no_pack_opens_one() -> None:
    assert select_balanced([10, 10, 10, 10], 16, delta=0) == [[0], [1], [2], [3]]


def test_too_long_samples() -> None:
    assert select_balanced([17, 3], 16, delta=0) == [[1]]
    with pytest.raises(InputError, match="sample b has 17 tokens, a pack holds 16"):
        select_greedy([3, 17], 16, keys=["a", "b"])


def test_ties_go_by_key_and_not_by_position() -> None:
    lengths, keys = [5, 5, 5, 5], ["d", "b", "c", "a"]
    by_key = {k: i for i, k in enumerate(keys)}
    balanced = select_balanced(lengths, 10, delta=0, keys=keys)
    assert balanced == [[by_key["a"], by_key["c"]], [by_key["b"], by_key["d"]]]
    assert select_greedy(lengths, 10, keys=keys) == [
        [by_key["d"], by_key["c"]],
        [by_key["b"], by_key["a"]],
    ]


def test_tile_bound() -> None:
    lengths, tiles = [8, 7, 3, 2, 1], [4, 4, 4, 1, 0]
    free = select_balanced(lengths, 30, delta=0, tiles=tiles)
    assert free == [[0, 1, 2, 3, 4]]
    bound = select_balanced(lengths, 30, delta=0, tiles=tiles, max_tiles=5)
    assert bound == [[0], [1], [2, 3, 4]]
    assert select_balanced([4, 4], 30, delta=0, tiles=[6, 5], max_tiles=5) == [[1]]


def test_a_loose_tile_bound_changes_nothing() -> None:
    rng = random.Random(0)
    lengths = [rng.randint(1, 900) for _ in range(200)]
    tiles = [rng.randint(0, 13) for _ in lengths]
    assert select_balanced(lengths, 1000, delta=2) == select_balanced(
        lengths, 1000, delta=2, tiles=tiles, max_tiles=10_000
    )


def _mixture(count: int, limit: int, seed: int) -> list[int]:
    """20 % log-normal text, 70 % pictures of 2 to 13 tiles, 10 % video."""
    rng = random.Random(seed)
    lengths = []
    for _ in range(count):
        kind = rng.random()
        if kind < 0.2:
            length = round(rng.lognormvariate(7.0, 1.0))
        elif kind < 0.9:
            length = 256 * rng.randint(2, 13) + rng.randint(50, 500)
        else:
            length = 256 * rng.randint(16, 60) + rng.randint(50, 500)
        lengths.append(min(max(length, 32), limit))
    return lengths


@pytest.mark.parametrize(("capacity", "least_gain"), [(16384, 1.2), (49152, 4.0)])
def test_balanced_packs_hold_about_as_many_samples(capacity: int, least_gain: float) -> None:
    lengths = _mixture(2000, capacity, seed=1)
    delta = default_delta(lengths, capacity)
    fewest = fewest_packs(lengths, capacity)
    assert delta == round(0.01 * fewest)
    greedy = select_greedy(lengths, capacity)
    balanced = select_balanced(lengths, capacity, delta=delta)
    spread = [statistics.stdev(map(len, packs)) for packs in (greedy, balanced)]
    assert spread[0] > least_gain * spread[1]
    assert len(greedy) <= fewest + 2
    assert sum(lengths) / (len(balanced) * capacity) > 0.97


# --- tensors --------------------------------------------------------------------------------------


def _span(start: int, tiles: int, side: int = 4, **changes: Any) -> MediaSpan:
    facts: dict[str, Any] = {
        "kind": "image",
        "start": start,
        "length": tiles,
        "num_tokens": tiles,
        "tiles": tiles,
        "tile_size": (side, side),
        "grid": (1, 1),
    }
    return MediaSpan(**{**facts, **changes})


def _sample(
    key: str,
    ids: list[int],
    labels: list[int],
    *spans: MediaSpan,
    weight: float = 1.0,
    source: str = "set",
) -> LoadedSample:
    layout = TokenLayout(input_ids=ids, labels=labels, spans=spans, placeholder=IMAGE)
    first = sum(map(ord, key))
    pixels = tuple(
        torch.full((s.tiles, 3, *s.tile_size), float(first + n)) for n, s in enumerate(spans)
    )
    inputs = ProcessedInputs(
        layout=layout,
        input_ids=torch.tensor(ids),
        labels=torch.tensor(labels),
        pixel_values=pixels,
    )
    return LoadedSample(key=key, source=source, inputs=inputs, weight=weight)


def _text(key: str, count: int, targets: int, **extra: Any) -> LoadedSample:
    ids = list(range(20, 20 + count))
    return _sample(key, ids, [-100] * (count - targets) + ids[count - targets :], **extra)


def _pack(samples: list[LoadedSample], **options: Any) -> PackedBatch:
    return build_pack(samples, **{"pad_id": PAD, **options})


def test_the_tensors_of_a_pack() -> None:
    # <text> image of two tiles <text> picture of one tile, answer of two tokens
    mixed = _sample(
        "mixed",
        [11, IMAGE, IMAGE, 12, IMAGE, 13, 14],
        [-100, -100, -100, -100, -100, 13, 14],
        _span(1, 2),
        _span(4, 1),
        source="pictures",
    )
    pack = _pack([_text("text", 4, 1), mixed], align=8)
    assert pack.input_ids.tolist() == [
        *[20, 21, 22, 23],
        *[11, IMAGE, IMAGE, 12, IMAGE, 13, 14],
        *[PAD] * 5,
    ]
    assert pack.input_ids.dtype == pack.labels.dtype == pack.position_ids.dtype == torch.int64
    ignored = -100
    assert pack.labels.tolist() == [
        *[ignored, ignored, 23, ignored],
        *[ignored, ignored, ignored, ignored, 13, 14, ignored],
        *[ignored] * 5,
    ]
    assert pack.cu_seqlens.tolist() == [0, 4, 11, 16]
    assert pack.seq_idx.tolist() == [0] * 4 + [1] * 7 + [2] * 5
    assert pack.cu_seqlens.dtype == pack.seq_idx.dtype == torch.int32
    assert pack.position_ids.tolist() == [*range(4), *range(7), *range(5)]
    assert pack.pixel_values is not None
    assert pack.pixel_values.shape == (3, 3, 4, 4)
    first = sum(map(ord, "mixed"))
    assert pack.pixel_values[:, 0, 0, 0].tolist() == [first, first, first + 1]
    assert pack.tile_counts is not None
    assert (pack.tile_counts.tolist(), pack.tile_counts.dtype) == ([2, 1], torch.int32)
    assert pack.image_pos is not None
    assert (pack.image_pos.tolist(), pack.image_pos.dtype) == ([5, 6, 8], torch.int64)
    assert (pack.keys, pack.sources) == (("text", "mixed"), ("set", "pictures"))
    assert (pack.num_padding, pack.lengths) == (5, [4, 7])
    root = 2**-0.5
    assert pack.loss_weight.dtype == torch.float32
    expected = torch.zeros(16)
    expected[2], expected[8:10] = 1.0, root
    torch.testing.assert_close(pack.loss_weight, expected)
    assert pack.weight_mass == pytest.approx(1 + 2**0.5)


def test_nothing_to_pad() -> None:
    pack = _pack([_text("a", 6, 2), _text("b", 10, 3)], align=8, seq_len=16)
    assert pack.num_padding == 0
    assert pack.cu_seqlens.tolist() == [0, 6, 16]
    assert (pack.pixel_values, pack.tile_counts, pack.image_pos) == (None, None, None)
    assert pack.lengths == [6, 10]


def test_padding_to_a_length() -> None:
    pack = _pack([_text("a", 6, 2)], align=8, seq_len=32, pad_to=32)
    assert (pack.num_tokens, pack.num_padding) == (32, 26)
    assert pack.weight_mass == pytest.approx(2**0.5)
    for pad_to in (4, 12):
        with pytest.raises(InputError, match=f"cannot pad 6 tokens to {pad_to}"):
            _pack([_text("a", 6, 2)], align=8, pad_to=pad_to)


def test_a_video_counts_once() -> None:
    ids = [11, 9, IMAGE, 10, 9, IMAGE, 10, 12]
    video = _span(
        1,
        2,
        kind="video",
        length=6,
        before=((9,), (9,)),
        after=((10,), (10,)),
    )
    pack = _pack([_sample("v", ids, [-100] * 7 + [12], video)])
    assert pack.tile_counts is not None
    assert pack.tile_counts.tolist() == [2]
    assert pack.image_pos is not None
    assert pack.image_pos.tolist() == [2, 5]


def test_the_position_in_front_of_a_picture_has_no_target() -> None:
    """A supervised token, then a picture, then supervised text: only text is predicted."""
    labels = [-100, 11, -100, 12]
    pack = _pack([_sample("s", [10, 11, IMAGE, 12], labels, _span(2, 1))])
    assert pack.labels.tolist() == [11, -100, 12, -100]
    assert shifted(torch.tensor([1, 2, 3])).tolist() == [2, 3, -100]


def test_weights_follow_reduction_unit_and_sample() -> None:
    samples = [_text("a", 6, 4, weight=3.0), _text("b", 10, 9)]
    assert _pack(samples).weight_mass == pytest.approx(3 * 2 + 3)
    assert _pack(samples, reduction="token").weight_mass == pytest.approx(3 * 4 + 9)
    assert _pack(samples, reduction="sample").weight_mass == pytest.approx(3 + 1)
    turns = _sample("c", [1, 2, 3, 4, 5, 6], [-100, 2, -100, -100, 5, 6])
    assert _pack([turns], unit="turn").weight_mass == pytest.approx(1 + 2**0.5)
    assert _pack([turns], unit="sample").weight_mass == pytest.approx(3**0.5)


def test_every_segment_is_what_it_is_alone() -> None:
    samples = [_text("a", 5, 3), _text("b", 9, 4, weight=0.5), _text("c", 2, 1)]
    pack = _pack(samples, align=4)
    for number, sample in enumerate(samples):
        alone = _pack([sample])
        part = slice(int(pack.cu_seqlens[number]), int(pack.cu_seqlens[number + 1]))
        for name in ("input_ids", "labels", "loss_weight", "position_ids"):
            assert torch.equal(getattr(pack, name)[part], getattr(alone, name)), name


def test_a_pack_never_exceeds_its_length() -> None:
    with pytest.raises(InputError, match=r"18 tokens, 24 with padding .* seq_len is 16"):
        _pack([_text("a", 9, 2), _text("b", 9, 2)], align=8, seq_len=16)
    with pytest.raises(InputError, match=r"10 tokens, 16 with padding .* seq_len is 12"):
        _pack([_text("a", 10, 2)], align=8, seq_len=12)


def test_pictures_of_several_sizes() -> None:
    """They stay apart, in order; of one size they are one tensor."""
    sizes = _sample("x", [IMAGE, IMAGE, 5], [-100, -100, 5], _span(0, 1), _span(1, 1, side=8))
    pack = _pack([sizes])
    assert isinstance(pack.pixel_values, tuple)
    assert [tuple(p.shape) for p in pack.pixel_values] == [(1, 3, 4, 4), (1, 3, 8, 8)]
    assert pack.num_tiles == 2
    moved = pack.to("cpu")
    assert isinstance(moved.pixel_values, tuple)
    assert all(
        torch.equal(a, b)
        for a, b in zip(moved.pixel_values, sizes.inputs.pixel_values, strict=True)
    )


def test_what_cannot_be_packed() -> None:
    with pytest.raises(InputError, match="got no samples"):
        _pack([])
    pruned = _span(
        1, 2, kind="video", length=5, num_tokens=1, before=((9,), (9,)), after=((10,), (10,))
    )
    ids = [11, 9, IMAGE, 10, 9, 10, 12]
    with pytest.raises(InputError, match="v holds a video pruned to 1 of 2 visual tokens"):
        _pack([_sample("v", ids, [-100] * 6 + [12], pruned)])
    layout = TokenLayout(input_ids=[1, 2])
    unlabelled = ProcessedInputs(layout=layout, input_ids=torch.tensor([1, 2]))
    with pytest.raises(InputError, match="u has no labels"):
        _pack([LoadedSample(key="u", source="s", inputs=unlabelled)])
