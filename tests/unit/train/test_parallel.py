"""Several ranks make the update that one model makes, whatever the layout.

Every number of ranks has one set of processes that works through all its layouts, with packs of
other tile counts on every rank: none at all on odd ranks, and one pack without any loss.
"""

from __future__ import annotations

import functools

import pytest
import torch

from nanovl.core.errors import ConfigError
from nanovl.testing import run_distributed
from nanovl.train.optim import build_optimizer
from nanovl.train.parallel import ParallelDims, fsdp_modules, open_world, shard_model
from nanovl.train.step import TrainModule
from tests.unit.train.cp_cases import Case, build, make_pack
from tests.unit.train.layout_cases import Layout, compare_layouts, layouts, same_on_all

# Largest error over largest value. Observed with 1, 2, 4 and 8 ranks: 4e-15, and 1.3e-12 for the
# parameters after the update, which Adam divides by the square root of squared gradients.
EXACT = 1e-10
# Parameters gathered in bf16, compared with fp64: gradients by root mean squares (observed 0.054),
# loss 3.3e-5, norms 0.0044.
# Muon rounds to bf16 on the way, which turns the last digits of fp64 into others (observed 6e-11).
MUON = 1e-3
BF16 = {"loss": 2e-4, "grad": 0.1, "norm": 0.02}


@functools.cache
def _run(world: int) -> dict[str, dict[str, float]] | Exception:
    try:
        if world == 1:
            return compare_layouts(0, 1)
        return run_distributed(compare_layouts, world, timeout_s=230.0)[0]
    except Exception as error:  # kept, so that it is not waited for once per test
        return error


CASES = [
    pytest.param(
        world,
        layout,
        id=f"{world}-{layout.name}",
        marks=[pytest.mark.slow] if world > 2 else [],
    )
    for world in (1, 2, 4, 8)
    for layout in layouts(world)
]


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("world", "layout"), CASES)
def test_ranks_make_the_update_of_one(world: int, layout: Layout) -> None:
    outcome = _run(world)
    if isinstance(outcome, Exception):
        raise outcome
    errors = outcome[layout.name]
    allowed = BF16 if layout.bf16 else dict.fromkeys(("loss", "grad", "norm", "after"), EXACT)
    if layout.muon:
        allowed["after"] = MUON
    assert errors.keys() == allowed.keys()
    assert not {k: e for k, e in errors.items() if not e <= allowed[k]}


@pytest.mark.slow
def test_numbers_over_all_ranks() -> None:
    # Four ranks, two share a pack: two data streams.
    results = run_distributed(same_on_all, 4)
    assert results == [[2.0, 3.0, float(2 * (r // 2)), 4.0, float(r // 2)] for r in range(4)]


def test_what_is_left_becomes_dp_shard() -> None:
    dims = ParallelDims(dp_replicate=2, dp_shard=-1, cp=2).resolve(16)
    assert dims == ParallelDims(dp_replicate=2, dp_shard=4, cp=2)


@pytest.mark.parametrize(
    ("dims", "ranks"),
    [
        (ParallelDims(cp=2), 3),
        (ParallelDims(dp_replicate=2, dp_shard=2), 2),
        (ParallelDims(dp_shard=2), 4),
        (ParallelDims(cp=4), 2),
    ],
)
def test_a_product_that_is_not_the_number_of_ranks(dims: ParallelDims, ranks: int) -> None:
    with pytest.raises(ConfigError, match=rf"does not make {ranks} ranks; change one of them"):
        dims.resolve(ranks)


def test_one_process_needs_no_launcher() -> None:
    with open_world(ParallelDims(), torch.device("cpu")) as world:
        assert (world.rank, world.size, world.dp_rank, world.dp_size) == (0, 1, 0, 1)
        assert world.is_main
        assert world.cp_group is None
        assert world.sum(0.1) == 0.1
        assert world.max(-3.0) == -3.0
        assert world.gather("x") == ["x"]
    assert not torch.distributed.is_initialized()


def test_gradients_add_up_wherever_the_picture_is() -> None:
    # The vision blocks are not gathered before a pack has pictures; sums over packs must not care.
    texts = [make_pack(Case(name="", borders=(0, 20)), seed) for seed in range(2)]
    image = make_pack(Case(name="", borders=(0, 20), tiles=2), 2)

    def gradients(order: list, sync: bool) -> dict[str, torch.Tensor]:
        with open_world(ParallelDims(), torch.device("cpu")) as world:
            module = TrainModule(build(Case(name="", borders=(0, 20))))
            shard_model(module, world, compute_dtype=None)
            build_optimizer(module)
            for index, pack in enumerate(order):
                last = index == len(order) - 1
                for unit in fsdp_modules(module):
                    unit.set_requires_gradient_sync(sync or last, recurse=False)
                    unit.set_reshard_after_backward(sync or last, recurse=False)
                module(pack).total.backward()
            return {
                n: p.grad.to_local().clone()
                for n, p in module.named_parameters()
                if p.grad is not None
            }

    for order in ([*texts, image], [image, *texts]):
        held_back, at_once = (gradients(order, sync) for sync in (False, True))
        assert held_back.keys() == at_once.keys()
        assert any("vision_model" in name for name in held_back)
        for name, grad in at_once.items():
            torch.testing.assert_close(held_back[name], grad, rtol=1e-12, atol=1e-14)
    assert not any("vision_model" in name for name in gradients(texts, sync=False))


def test_positions_of_the_encoder_follow_a_table_that_changes_unseen() -> None:
    # Sharded parameters are gathered into the same tensor again, and its version does not change.
    encoder = build(Case(name="", borders=(0, 4), dtype=torch.float32)).vision_model
    pixels = torch.rand(1, 3, 64, 64)
    generator = encoder.radio_model.model.patch_generator
    with torch.no_grad():
        (before,) = generator([pixels])
        with torch.autograd._unsafe_preserve_version_counter(generator.pos_embed):
            generator.pos_embed.add_(1.0)
        (after,) = generator([pixels])
    skipped = generator.cls_token.token.shape[0]
    torch.testing.assert_close(after[:, skipped:], before[:, skipped:] + 1.0)
