"""FP8 of a whole model: the choice of linears, histories, resuming, ranks, and learning."""

import copy

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.func import functional_call

from nanovl.core.errors import ConfigError
from nanovl.model.config import preset
from nanovl.model.context import ForwardContext
from nanovl.model.lm import HybridLM
from nanovl.model.vlm import VLM
from nanovl.testing import assert_close, assert_same_tensors, run_distributed, tiny_model
from nanovl.train.fp8 import (
    Fp8Linear,
    convert_to_fp8,
    fp8_layers,
    fp8_stats,
    fp8_warm_start,
    plan_fp8,
    update_fp8_scales,
)
from nanovl.train.optim import learning_rate

FMAX = torch.finfo(torch.float32).max
EVERYTHING = {"bf16_first": 0, "bf16_last": 0, "vit_bf16_first": 0, "vit_bf16_last": 0}


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def chain(seed=0, **options) -> nn.Sequential:
    """Two FP8 linears with something between them."""
    options = {"emulate": True, "amax_history": 4, **options}
    layers = []
    for index, (k, n) in enumerate([(32, 48), (48, 16)]):
        linear = nn.Linear(k, n, bias=False)
        with torch.no_grad():
            linear.weight.copy_(randn(n, k, seed=seed + index) * 0.2)
        layers.append(Fp8Linear.from_linear(linear, **options))
    return nn.Sequential(layers[0], nn.GELU(), layers[1])


# --- which linears ------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "converted"), [("12b", 242), ("mini", 50), ("tiny", 4)])
def test_linears_of_the_presets(name, converted):
    """12B: 26 Mamba and 26 MLP layers of two, 6 attention layers of four, 28 blocks of four, 2."""
    vlm = VLM(preset(name), device="meta")
    plan = plan_fp8(vlm)
    assert len(plan.converted) == converted
    everything = {n for n, m in vlm.named_modules() if isinstance(m, nn.Linear)}
    assert everything == set(plan.converted) | set(plan.kept)
    assert not set(plan.converted) & set(plan.kept)
    assert "mlp1.1" in plan.converted
    for never in (
        "language_model.lm_head",
        "vision_model.radio_model.model.patch_generator.embedder",
    ):
        if never in everything:
            assert plan.kept[never] == "never FP8"


def test_ends_stay_in_bf16():
    vlm = VLM(preset("mini"), device="meta")  # 18 layers, 8 blocks
    plan = plan_fp8(vlm, bf16_first=3, bf16_last=1, vit_bf16_first=0, vit_bf16_last=8)
    layers = {int(n.split(".")[3]) for n in plan.converted if n.startswith("language_model")}
    assert layers == set(range(3, 17))
    assert not [n for n in plan.converted if n.startswith("vision_model")]
    name = "language_model.backbone.layers.2.mixer.in_proj"
    assert plan.kept[name] == "decoder layer 2 is one of the first 3"
    assert "encoder block 7 is one of the last 8" in plan.kept.values()


def test_sizes_that_do_not_fit_are_named():
    vlm = tiny_model()
    name = "language_model.backbone.layers.2.mixer.out_proj"
    vlm.get_submodule("language_model.backbone.layers.2.mixer").out_proj = nn.Linear(20, 64)
    plan = plan_fp8(vlm)
    assert plan.kept[name] == "20 inputs and 64 outputs are not both multiples of 16"
    assert len(plan.converted) == 3


def test_conversion_keeps_parameters_and_names():
    vlm = tiny_model()
    before = dict(vlm.named_parameters())
    names = convert_to_fp8(vlm, **EVERYTHING, amax_history=8, emulate=True)
    assert len(names) == 22
    assert {n for n, m in vlm.named_modules() if isinstance(m, Fp8Linear)} == set(names)
    after = dict(vlm.named_parameters())
    assert before.keys() == after.keys()
    assert all(before[name] is after[name] for name in before)
    assert {layer.fp8_amax_history.shape for layer in fp8_layers(vlm)} == {(3, 8)}


def test_current_scaling_keeps_one_slot():
    vlm = tiny_model()
    convert_to_fp8(vlm, scaling="current", emulate=True)
    assert {layer.fp8_amax_history.shape for layer in fp8_layers(vlm)} == {(3, 1)}


def test_nothing_left_for_fp8():
    vlm = tiny_model()
    vlm.mlp1 = nn.Sequential()
    with pytest.raises(ConfigError, match="bf16_first 9"):
        convert_to_fp8(vlm, bf16_first=9)


# --- histories and scales -----------------------------------------------------------------------


def test_example_of_the_specification():
    layer = chain()[0]
    layer.fp8_amax_history[0, :3] = torch.tensor([0.5, 2.0, 1.0])
    update_fp8_scales(layer)
    assert layer.fp8_scale.tolist() == [224.0, 1.0, 1.0]
    assert layer.fp8_amax_history[0].tolist() == [0.0, 1.0, 0.0, 0.5]


def test_three_updates_by_hand():
    """History of three: the newest goes to the end, the oldest falls out, slot 0 is cleared."""
    model = nn.Sequential(chain(amax_history=3)[0])
    layer = model[0]
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[0, 0] = 0.5
    steps = [  # largest input and output gradient -> history and scale of both afterwards
        (4.0, 8.0, [0, 0, 4], 112.0, [0, 0, 8], 7168.0),
        (1.0, 16.0, [0, 4, 1], 112.0, [0, 8, 16], 3584.0),
        (2.0, 1.0, [0, 1, 2], 112.0, [0, 16, 1], 3584.0),
        (1.0, 1.0, [0, 2, 1], 224.0, [0, 1, 1], 3584.0),
        (1.0, 2.0, [0, 1, 1], 224.0, [0, 1, 2], 28672.0),
    ]
    for x, g, history_x, scale_x, history_g, scale_g in steps:
        inputs, grads = torch.zeros(16, 32), torch.zeros(16, 48)
        inputs[3, 1], grads[2, 5] = -x, g
        layer(inputs).backward(grads)
        update_fp8_scales(model)
        assert layer.fp8_amax_history[0].tolist() == history_x
        assert layer.fp8_amax_history[2].tolist() == history_g
        assert layer.fp8_scale.tolist() == [scale_x, 896.0, scale_g]
    assert layer.fp8_amax_history[1].tolist() == [0, 0.5, 0.5]


def test_one_update_uses_the_scales_of_the_one_before():
    """That is what delayed means: a tensor that doubles is clamped once, and fits afterwards."""
    layer = chain()[0]
    x = torch.ones(16, 32)
    for factor, expected in ((1.0, 0), (2.0, 512), (2.0, 0)):
        layer(x * factor)
        assert layer.fp8_saturation[0, 0] == expected
        update_fp8_scales(layer)
        fp8_stats(layer)


def test_margin_lowers_scales():
    layer = chain(margin=1)[0]
    layer.fp8_amax_history[:, 0] = 2.0
    update_fp8_scales(layer)
    assert layer.fp8_scale.tolist() == [112.0, 112.0, 57344 / 4]


def test_guards():
    """Zero, NaN and infinity keep the scale; a tiny maximum gives the largest number there is."""
    layer = chain()[0]
    layer.fp8_scale.copy_(torch.tensor([5.0, 6.0, 7.0]))
    layer.fp8_amax_history[:, 0] = torch.tensor([0.0, torch.inf, torch.nan])
    layer.fp8_amax_history[1:, 1] = 3.0
    update_fp8_scales(layer)
    assert layer.fp8_scale.tolist() == [5.0, 6.0, 7.0]
    assert torch.isfinite(layer.fp8_amax_history).all()  # one bad update is not remembered
    layer.fp8_amax_history.zero_()
    layer.fp8_amax_history[:, 0] = torch.tensor([1e-45, 448.0, 1.0])
    update_fp8_scales(layer)
    assert layer.fp8_scale.tolist() == [FMAX, 1.0, 57344.0]


def test_one_reduction_for_all_layers():
    model = chain()
    calls = []

    def reduce_max(values):
        calls.append(values.shape)
        values.fill_(10.0)

    model(randn(16, 32)).sum().backward()
    update_fp8_scales(model, reduce_max)
    assert calls == [(2, 3)]
    for layer in fp8_layers(model):
        assert layer.fp8_scale.tolist() == pytest.approx([44.8, 44.8, 5734.4])
    update_fp8_scales(nn.Linear(2, 2), reduce_max)
    assert len(calls) == 1


def test_split_into_packs_does_not_matter():
    """Same scales, same histories, and gradients equal up to the order of sums."""
    x, g = randn(96, 32, seed=7), randn(96, 16, seed=8) * 1e-3
    models = []
    for parts in (1, 2, 6):
        model = chain()
        for _ in range(3):
            with fp8_warm_start(model):
                model(x).backward(g)
            update_fp8_scales(model)
            model.zero_grad()
        for update in range(3):
            for rows in torch.arange(96).chunk(parts):
                model(x[rows] * (update + 1)).backward(g[rows])
            update_fp8_scales(model)
        models.append(model)
    for model in models[1:]:
        for layer, expected in zip(fp8_layers(model), fp8_layers(models[0]), strict=True):
            assert torch.equal(layer.fp8_scale, expected.fp8_scale)
            assert torch.equal(layer.fp8_amax_history, expected.fp8_amax_history)
            # observed 2e-7 relative
            bound = 2e-6 * float(expected.weight.grad.abs().max())
            assert_close(layer.weight.grad, expected.weight.grad, atol=bound)


def test_warm_start_fills_histories_and_rounds_well():
    """Without it gradients of 1e-7 would meet the scale of another tensor, or none."""
    model = chain()
    x, g = randn(32, 32, seed=1), randn(32, 16, seed=2) * 1e-7
    for layer in fp8_layers(model):
        layer.fp8_scale.copy_(torch.tensor([1e-6, 1e-6, 2.0]))  # of no use
    with fp8_warm_start(model):
        model(x).backward(g)
    exact = copy.deepcopy(model).eval()
    wanted = g.t() @ exact[1](exact[0](x)).detach()
    error = (model[2].weight.grad - wanted).norm() / wanted.norm()
    assert error < 0.08
    update_fp8_scales(model)
    assert float(model[2].fp8_scale[2]) == pytest.approx(57344 / float(g.abs().max()))
    assert not any(layer.warm_start for layer in fp8_layers(model))


def test_a_tensor_never_seen_is_scaled_by_itself():
    """A part without pictures in the warm start must not round its first gradients to zero."""
    model = chain()
    g = randn(32, 16, seed=2) * 1e-9
    model(randn(32, 32, seed=1)).backward(g)
    assert (model[2].weight.grad != 0).float().mean() > 0.95


def test_stats():
    assert fp8_stats(nn.Linear(2, 2)) == {}
    model = chain()
    model(torch.ones(16, 32)).sum().backward()
    update_fp8_scales(model)
    model[0].fp8_scale[0] = 1000.0
    fp8_stats(model)
    model(torch.ones(16, 32))
    stats = fp8_stats(model)
    assert stats["scale_x_max"] == 1000.0
    assert stats["scale_w_min"] == min(float(m.fp8_scale[1]) for m in fp8_layers(model))
    assert stats["saturated_x"] == pytest.approx(512 / (512 + 16 * 48))
    assert stats["saturated_w"] == 0.0
    assert len(stats) == 9
    assert fp8_stats(model)["saturated_x"] == 0.0  # counted anew


# --- saving, sharding, training -----------------------------------------------------------------


def train(model, optimizer, updates, scale=1.0):
    losses = []
    for update in updates:
        optimizer.zero_grad()
        x = randn(32, 32, seed=update) * scale
        loss = F.mse_loss(model(x), x[:, :16])
        loss.backward()
        optimizer.step()
        update_fp8_scales(model)
        losses.append(loss.item())
    return losses


def test_resuming_changes_nothing():
    model = chain()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    train(model, optimizer, range(4))
    saved = copy.deepcopy((model.state_dict(), optimizer.state_dict()))
    expected = train(model, optimizer, range(4, 9))
    fresh = chain(seed=50)
    again = torch.optim.AdamW(fresh.parameters(), lr=1e-2)
    fresh.load_state_dict(saved[0])
    again.load_state_dict(saved[1])
    assert train(fresh, again, range(4, 9)) == expected
    assert_same_tensors(dict(fresh.state_dict()), dict(model.state_dict()))
    # and without the state of FP8 it would not have been the same
    other = chain(seed=50)
    other.load_state_dict({k: v for k, v in saved[0].items() if "fp8" not in k}, strict=False)
    again = torch.optim.AdamW(other.parameters(), lr=1e-2)
    again.load_state_dict(saved[1])
    assert train(other, again, range(4, 9)) != expected


def _reduce_max(values):
    dist.all_reduce(values, op=dist.ReduceOp.MAX)


def _updates(model, rows, reduce_max):
    """Three updates of some rows of a batch; gradients of the last one."""
    for layer in fp8_layers(model):
        layer.fp8_scale.copy_(torch.tensor([40.0, 400.0, 4000.0]))
    for update in range(3):
        model.zero_grad()
        x = (randn(64, 32, seed=update) * (update + 1)).bfloat16()[rows]
        g = randn(64, 16, seed=10 + update).bfloat16()[rows]
        (model(x) * g).sum().backward()
        update_fp8_scales(model, reduce_max)
    return [p.grad for p in model.parameters()]


def sharded_updates(rank, world):
    """A sharded model, every rank with its part of the rows."""
    model = chain()
    policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    for module in (model[0], model[2], model):
        fully_shard(module, mp_policy=policy)
        module.set_force_sum_reduction_for_comms(True)
        module.set_gradient_divide_factor(1.0)
    grads = _updates(model, slice(rank * 32, rank * 32 + 32), _reduce_max)
    assert all(grad.dtype == torch.float32 for grad in grads)
    state = {n: b for n, b in model.named_buffers() if "saturation" not in n}
    return [grad.full_tensor() for grad in grads], state


def test_sharded_over_two_ranks():
    """Scales and histories are those of the whole batch, gradients too (in bf16)."""
    (grads, state), (_, other_state) = run_distributed(sharded_updates, 2)
    assert_same_tensors(other_state, state)
    model = chain().bfloat16()
    whole = _updates(model, slice(0, 64), None)
    expected = {n: b for n, b in model.named_buffers() if "saturation" not in n}
    assert_same_tensors(state, expected)
    for got, wanted in zip(grads, whole, strict=True):
        error = (got.float() - wanted.float()).norm() / wanted.float().norm()
        assert error < 0.01  # observed 0.003


# --- learning -----------------------------------------------------------------------------------


class Markov:
    """Sentences of a language in which two tokens decide about the next."""

    def __init__(self, size=12):
        generator = torch.Generator().manual_seed(11)
        logits = torch.randn(size, size, size, generator=generator) * 2.2
        self.cumulated = logits.softmax(-1).cumsum(-1)
        self.size = size

    def pack(self, seed, rows=8, length=64):
        generator = torch.Generator().manual_seed(1000 + seed)
        ids = torch.randint(0, self.size, (rows, 2), generator=generator)
        draws = torch.rand(rows, length, 1, generator=generator)
        for position in range(length):
            chances = self.cumulated[ids[:, -2], ids[:, -1]]
            following = (chances < draws[:, position]).sum(1, keepdim=True)
            ids = torch.cat([ids, following.clamp_max(self.size - 1)], dim=1)
        return ids


class Language(nn.Module):
    """Ids (b, t) to the mean loss of every next one."""

    def __init__(self, lm: HybridLM) -> None:
        super().__init__()
        self.lm = lm

    def forward(self, ids):
        rows, t = ids.shape[0], ids.shape[1] - 1
        ctx = ForwardContext(cu_seqlens=tuple(range(0, rows * t + 1, t)))
        logits = self.lm(self.lm.embed(ids[:, :-1].flatten()), ctx, "all")
        return F.cross_entropy(logits, ids[:, 1:].flatten())


def learn(fp8: bool, updates: int) -> list[float]:
    """Losses of a tiny decoder: bf16, master weights in fp32, every linear in FP8 or none."""
    vlm = tiny_model(4, gain=1.0).requires_grad_(True).train()
    if fp8:
        assert len(convert_to_fp8(vlm, **EVERYTHING, amax_history=16, emulate=True)) == 22
    model = Language(vlm.language_model)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.01)
    task, losses = Markov(), []

    def loss_of(seed):
        narrow = {
            n: p if n.endswith(("A_log", "D", "dt_bias")) else p.bfloat16()
            for n, p in model.named_parameters()
        }
        return functional_call(model, narrow, (task.pack(seed),))

    with fp8_warm_start(model):
        loss_of(0).backward()
    update_fp8_scales(model)
    for update in range(updates):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(update, updates, peak=4e-3)
        optimizer.zero_grad()
        loss = loss_of(update)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        update_fp8_scales(model)
        losses.append(loss.item())
    return losses


@pytest.mark.slow
def test_learns_as_bf16_does():
    """200 updates: the losses of the last 50 differ by at most 1 % (section 6.4).

    Observed 0.3 %; with all scales held at 1 it is more than 30 %.
    """
    fp8, bf16 = learn(True, 200), learn(False, 200)
    assert bf16[-1] < 1.6 < bf16[20] < bf16[0]  # there is something to learn, and it was learned
    differences = [abs(a - b) / b for a, b in zip(fp8[-50:], bf16[-50:], strict=True)]
    assert sum(differences) / 50 <= 0.01
