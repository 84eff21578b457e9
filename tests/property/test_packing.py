"""Packing holds for every buffer: nothing lost, nothing repeated, nothing too long."""

from __future__ import annotations

from collections.abc import Callable

import torch
from hypothesis import given, settings, strategies as st

from nanovl.core.inputs import ProcessedInputs
from nanovl.core.layout import TokenLayout
from nanovl.data.packing import (
    LoadedSample,
    build_pack,
    fewest_packs,
    select_balanced,
    select_greedy,
)

CAPACITY = 64
lengths_of = st.lists(st.integers(1, CAPACITY), max_size=60)
selectors: list[Callable[[list[int], list[str]], list[list[int]]]] = [
    lambda lengths, keys: select_greedy(lengths, CAPACITY, keys=keys),
    lambda lengths, keys: select_balanced(lengths, CAPACITY, delta=0, keys=keys),
    lambda lengths, keys: select_balanced(lengths, CAPACITY, delta=3, keys=keys),
]


def _keys(lengths: list[int]) -> list[str]:
    return [f"sample {i:03d}" for i in range(len(lengths))]


@settings(max_examples=50, deadline=None)
@given(lengths_of, st.sampled_from(selectors))
def test_every_sample_once_and_no_overflow(
    lengths: list[int], select: Callable[[list[int], list[str]], list[list[int]]]
) -> None:
    packs = select(lengths, _keys(lengths))
    assert sorted(i for pack in packs for i in pack) == list(range(len(lengths)))
    assert all(0 < sum(lengths[i] for i in pack) <= CAPACITY for pack in packs)
    assert len(packs) >= fewest_packs(lengths, CAPACITY)


@settings(max_examples=50, deadline=None)
@given(lengths_of, st.sampled_from(selectors), st.randoms(use_true_random=False))
def test_the_order_of_the_buffer_does_not_matter(
    lengths: list[int],
    select: Callable[[list[int], list[str]], list[list[int]]],
    rng: object,
) -> None:
    keys = _keys(lengths)
    order = list(range(len(lengths)))
    rng.shuffle(order)  # type: ignore[attr-defined]
    mixed = [keys[i] for i in order]
    first = [[keys[i] for i in pack] for pack in select(lengths, keys)]
    second = [[mixed[i] for i in pack] for pack in select([lengths[i] for i in order], mixed)]
    assert first == second


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, CAPACITY), st.integers(0, 8)), max_size=40),
    st.integers(0, 3),
    st.integers(4, 20),
)
def test_bounded_tiles(samples: list[tuple[int, int]], delta: int, most: int) -> None:
    lengths, tiles = [n for n, _ in samples], [m for _, m in samples]
    packs = select_balanced(lengths, CAPACITY, delta=delta, tiles=tiles, max_tiles=most)
    usable = [i for i, count in enumerate(tiles) if count <= most]
    assert sorted(i for pack in packs for i in pack) == usable
    for pack in packs:
        assert sum(lengths[i] for i in pack) <= CAPACITY
        assert sum(tiles[i] for i in pack) <= most


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 30), st.integers(0, 30)), min_size=1, max_size=6),
    st.sampled_from([1, 2, 16]),
)
def test_a_pack_is_its_segments(shapes: list[tuple[int, int]], align: int) -> None:
    samples = []
    for number, (count, targets) in enumerate(shapes):
        ids = [100 * number + i for i in range(count)]
        masked = max(count - targets, 0)
        layout = TokenLayout(input_ids=ids, labels=[-100] * masked + ids[masked:])
        inputs = ProcessedInputs(
            layout=layout, input_ids=torch.tensor(ids), labels=torch.tensor(layout.labels)
        )
        samples.append(LoadedSample(key=str(number), source="s", inputs=inputs))
    pack = build_pack(samples, pad_id=0, align=align)
    assert pack.num_tokens % align == 0
    assert 0 <= pack.num_padding < align
    assert pack.lengths == [count for count, _ in shapes]
    assert int((pack.labels != -100).sum()) == sum(
        min(count - 1, targets) for count, targets in shapes
    )
    for number, sample in enumerate(samples):
        alone = build_pack([sample], pad_id=0)
        part = slice(int(pack.cu_seqlens[number]), int(pack.cu_seqlens[number + 1]))
        for name in ("input_ids", "labels", "loss_weight", "position_ids"):
            assert torch.equal(getattr(pack, name)[part], getattr(alone, name))
