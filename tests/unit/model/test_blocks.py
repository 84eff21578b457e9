"""The books of the attention cache, and sequences that share blocks."""

import pytest
import torch
from hypothesis import given, settings, strategies as st

from nanovl.core.errors import CapacityError
from nanovl.model.blocks import BlockPool
from nanovl.model.cache import BLOCK, HybridCache, LayerStates
from nanovl.model.context import ForwardContext
from nanovl.testing import tiny_model


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_block_has_two_owners_who_do_not_know(data):
    pool = BlockPool(24)
    held: list[list[int]] = []
    for _ in range(40):
        if held and data.draw(st.booleans()):
            pool.release(held.pop(data.draw(st.integers(0, len(held) - 1))))
        elif held and data.draw(st.booleans()):
            shared = data.draw(st.sampled_from(held))
            pool.retain(shared)
            held.append(list(shared))
        else:
            count = data.draw(st.integers(0, 9))
            after = data.draw(st.sampled_from([None, *(h[-1] for h in held if h)]))
            free = pool.free
            if count > free:
                with pytest.raises(CapacityError):
                    pool.allocate(count, after)
                assert pool.free == free
            else:
                taken = pool.allocate(count, after)
                assert len(set(taken)) == count
                assert not {b for h in held for b in h} & set(taken)
                held.append(taken)
        owners = [sum(b in h for h in held) for b in range(pool.size)]
        assert [pool.owners(b) for b in range(pool.size)] == owners
        assert pool.free == owners.count(0) == pool.size - pool.used
    for blocks in held:
        pool.release(blocks)
    assert pool.allocate(24) == list(range(24))  # one run again


def test_little_of_a_large_pool_is_ever_used():
    # Memory is the system's until it is written to: many short lives must not touch all of it.
    pool = BlockPool(200_000)
    alive, touched = [], set()
    for turn in range(2000):
        alive.append(pool.allocate(1 + turn % 7))
        alive[-1] += pool.allocate(2, after=alive[-1][-1])
        touched.update(alive[-1])
        if len(alive) > 12:
            pool.release(alive.pop(turn % 12))
    assert max(touched) < 12_000
    assert all(run == list(range(run[0], run[0] + len(run))) for run in alive)


def test_sequences_stay_in_one_run():
    pool = BlockPool(64)
    one = pool.allocate(2)
    other = pool.allocate(2)
    for _ in range(10):
        one += pool.allocate(1, one[-1])
        other += pool.allocate(1, other[-1])
    for blocks in (one, other):
        assert blocks == list(range(blocks[0], blocks[0] + 12))


def test_releasing_twice_is_noticed():
    pool = BlockPool(2)
    blocks = pool.allocate(1)
    pool.release(blocks)
    with pytest.raises(AssertionError, match="released by nobody"):
        pool.release(blocks)


def test_growing_keeps_what_is_used():
    pool = BlockPool(1)
    pool.allocate(1)
    pool.grow(4)
    assert (pool.size, pool.used, pool.free) == (4, 1, 3)
    assert pool.allocate(3, 0) == [1, 2, 3]


# --- sequences ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model():
    return tiny_model()


def feed(model, cache, slot, ids):
    x = model.embed_tokens(torch.tensor(ids))
    return model(x, ForwardContext.single(len(ids), cache, slot))


def alone(model, ids):
    return model(model.embed_tokens(torch.tensor(ids)), ForwardContext.single(len(ids)))


def new_cache(model, **options):
    return HybridCache(model.config.lm, 4, dtype=model.dtype, **options)


def close(a, b):
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("length", [5, BLOCK, BLOCK + 3, 3 * BLOCK])
def test_two_go_on_from_one_snapshot(model, length):
    cache = new_cache(model, num_tokens=40 * BLOCK)
    ids = list(range(3, 3 + length))
    feed(model, cache, 0, ids)
    kept = cache.snapshot(0)
    feed(model, cache, 0, [90, 91])  # its owner goes on
    ends = {1: [50, 51, 52], 2: list(range(60, 60 + 2 * BLOCK))}
    for slot, end in ends.items():
        cache.restore(slot, kept)
        assert cache.lengths[slot] == length
        close(feed(model, cache, slot, end), alone(model, ids + end))
    close(feed(model, cache, 0, [92]), alone(model, [*ids, 90, 91, 92]))
    shared = length // BLOCK
    assert all(cache.blocks.owners(b) == 4 for b in kept.blocks[:shared])
    cache.drop(kept)
    for slot in range(3):
        cache.reset(slot)
    assert cache.blocks.used == 0


@torch.no_grad()
def test_states_are_captured_inside_a_pass(model):
    cache = new_cache(model)
    ids = list(range(5, 75))
    x = model.embed_tokens(torch.tensor(ids))
    taken = [(9, LayerStates()), (40, LayerStates()), (70, LayerStates())]
    context = ForwardContext(cu_seqlens=(0, 70), cache=cache, slots=(1,), captures={0: taken})
    close(model(x, context), alone(model, ids))
    for offset, states in taken:
        kept = cache.keep(1, offset, states)
        assert kept.length == offset
        assert states.nbytes == model.config.lm.state_bytes(model.dtype.itemsize)
        cache.restore(0, kept)
        close(feed(model, cache, 0, [7, 8]), alone(model, [*ids[:offset], 7, 8]))
        cache.reset(0)
        cache.drop(kept)


@torch.no_grad()
def test_a_sequence_in_pieces_all_over_the_cache(model):
    cache = new_cache(model, num_tokens=12 * BLOCK)
    wanted = {0: [], 1: [], 2: []}
    generator = torch.Generator().manual_seed(1)
    for _ in range(9):  # they grow into each other
        for slot, ids in wanted.items():
            new = torch.randint(3, 200, (7,), generator=generator).tolist()
            if len(ids) + 7 <= 4 * BLOCK:
                ids += new
                close(feed(model, cache, slot, new), alone(model, ids))
    assert any(len(runs) > 1 for runs in cache._runs)
    with pytest.raises(CapacityError, match="blocks wanted"):
        cache.reserve(3, 12 * BLOCK)


@torch.no_grad()
def test_slots_can_be_exchanged_and_moved(model):
    cache = new_cache(model)
    a, b = [3, 4, 5], list(range(40, 80))
    feed(model, cache, 0, a)
    feed(model, cache, 2, b)
    cache.swap(0, 2)
    cache.move(0, 3)
    assert cache.lengths == [0, 0, 3, 40]
    close(feed(model, cache, 2, [9]), alone(model, [*a, 9]))
    close(feed(model, cache, 3, [9]), alone(model, [*b, 9]))
    for slot in (2, 3):
        cache.reset(slot)
    assert cache.blocks.used == 0
    assert not any(t.any() for t in (*cache.conv, *cache.ssm))
