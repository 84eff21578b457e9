"""Learning rate, decay, norms, clipping and moving averages, by their worked numbers."""

from __future__ import annotations

import copy
import itertools
import math

import pytest
import torch
from torch import nn

from nanovl.model.config import preset
from nanovl.model.vlm import VLM
from nanovl.testing import tiny_config, tiny_model
from nanovl.train.optim import (
    EMA,
    Muon,
    build_optimizer,
    clip_gradients,
    fill_missing_gradients,
    gradient_norms,
    is_decayed,
    is_orthogonal,
    learning_rate,
    orthogonal,
    set_learning_rate,
    trainable,
)
from nanovl.train.step import TrainModule, freeze

# Training specification, section 5: Stage 0.
TOTAL, PEAK = 2158, 2e-4


def rate(update: int, **settings: object) -> float:
    return learning_rate(update, TOTAL, peak=PEAK, **settings)  # type: ignore[arg-type]


class TestLearningRate:
    def test_worked_numbers_of_stage_0(self) -> None:
        assert rate(0) == 0.0  # the very first update
        assert rate(108) == pytest.approx(1.0009e-4, rel=5e-5)
        assert rate(1187) == pytest.approx(1.000e-4, rel=5e-4)
        assert rate(2158) == pytest.approx(0.0, abs=1e-18)

    def test_warm_up_is_not_rounded_to_whole_updates(self) -> None:
        # W = 215.8: update 215 is still below the peak, 216 is already past it.
        assert rate(215) == pytest.approx(PEAK * 215 / 215.8)
        assert rate(216) == pytest.approx(PEAK, rel=1e-6)
        assert rate(216) < PEAK
        assert max(rate(u) for u in range(TOTAL + 1)) <= PEAK

    def test_it_falls_to_the_minimum_and_stays(self) -> None:
        values = [rate(u, minimum=1e-5) for u in range(216, TOTAL + 1)]
        assert all(a > b for a, b in itertools.pairwise(values))
        assert values[-1] == pytest.approx(1e-5)
        assert rate(3 * TOTAL, minimum=1e-5) == pytest.approx(1e-5)

    def test_linear_and_constant(self) -> None:
        middle = (TOTAL + 0.1 * TOTAL) / 2
        assert learning_rate(round(middle), TOTAL, peak=1.0, schedule="linear") == pytest.approx(
            0.5, abs=1e-3
        )
        assert rate(2000, schedule="constant") == PEAK
        assert rate(54, schedule="constant") == pytest.approx(PEAK * 54 / 215.8)

    @pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
    def test_without_warm_up_the_first_update_has_the_peak(self, schedule: str) -> None:
        assert learning_rate(0, 10, peak=1.0, warmup_fraction=0.0, schedule=schedule) == 1.0

    def test_one_update(self) -> None:
        assert learning_rate(0, 1, peak=1.0) == 0.0


class TestDecay:
    @pytest.mark.parametrize("name", ["12b", "mini", "tiny"])
    def test_exclusions_on_the_real_model(self, name: str) -> None:
        model = VLM(preset(name), device="meta")
        decayed = {n for n, p in model.named_parameters() if is_decayed(n, p)}
        bare = {n for n, _ in model.named_parameters()} - decayed
        leaves = {n.rsplit(".", 1)[-1] for n in bare}
        assert {"A_log", "D", "dt_bias", "bias"} <= leaves
        assert leaves <= {"A_log", "D", "dt_bias", "bias", "weight"}
        parameters = dict(model.named_parameters())
        # All that is left out beside those is one-dimensional: norms.
        assert all(parameters[n].ndim == 1 for n in bare if n.endswith("weight"))
        assert any("norm" in n for n in bare)
        assert any(n.endswith("conv1d.bias") for n in bare)

    def test_what_the_specification_names_as_decayed(self) -> None:
        model = VLM(preset("12b"), device="meta")
        names = {n for n, p in model.named_parameters() if is_decayed(n, p)}
        for part in ("conv1d.weight", "embeddings.weight", "lm_head.weight", "in_proj.weight"):
            assert any(n.endswith(part) for n in names), part
        # Position table, class and register tokens of the encoder.
        assert any("pos_embed" in n for n in names)
        assert any("cls_token" in n for n in names)

    def test_ssm_time_scales_are_left_out_whatever_their_shape(self) -> None:
        for leaf in ("A_log", "D", "dt_bias"):
            assert not is_decayed(f"layers.0.mixer.{leaf}", torch.zeros(4, 4))
        assert not is_decayed("layers.0.bias", torch.zeros(4, 4))
        assert is_decayed("layers.0.weight", torch.zeros(4, 4))

    def test_decay_shrinks_matrices_alone(self) -> None:
        module = TrainModule(tiny_model().requires_grad_())
        optimizer = build_optimizer(module, weight_decay=0.5)
        before = {n: p.detach().clone() for n, p in module.named_parameters()}
        fill_missing_gradients(optimizer)
        set_learning_rate(optimizer, 0.1)
        optimizer.step()
        for name, parameter in module.named_parameters():
            factor = 0.95 if is_decayed(name, parameter) else 1.0
            torch.testing.assert_close(parameter.detach(), before[name] * factor, msg=name)


class TestGroups:
    def test_every_trainable_parameter_is_in_one_group(self) -> None:
        vlm = tiny_model().requires_grad_()
        freeze(vlm, ("vision",))
        module = TrainModule(vlm)
        optimizer = build_optimizer(module, betas=(0.8, 0.9), eps=1e-6, weight_decay=0.05)
        held = [id(p) for group in optimizer.param_groups for p in group["params"]]
        assert sorted(held) == sorted(id(p) for _, p in trainable(module))
        assert len(set(held)) == len(held)
        assert {g["part"] for g in optimizer.param_groups} == {"projector", "llm"}
        assert {g["weight_decay"] for g in optimizer.param_groups} == {0.0, 0.05}
        assert all((g["betas"], g["eps"]) == ((0.8, 0.9), 1e-6) for g in optimizer.param_groups)

    def test_multipliers_of_parts(self) -> None:
        module = TrainModule(tiny_model().requires_grad_())
        optimizer = build_optimizer(module, lr_multipliers={"vision": 0.1})
        set_learning_rate(optimizer, 1e-3)
        rates = {g["part"]: g["lr"] for g in optimizer.param_groups}
        assert rates == pytest.approx({"vision": 1e-4, "projector": 1e-3, "llm": 1e-3})

    def test_missing_gradients_become_zero(self) -> None:
        module = TrainModule(tiny_model().requires_grad_())
        optimizer = build_optimizer(module)
        some = next(module.parameters())
        some.grad = torch.ones_like(some)
        fill_missing_gradients(optimizer)
        assert float(some.grad.sum()) == some.numel()
        others = [p.grad for p in module.parameters() if p is not some]
        assert all(g is not None and not g.any() for g in others)


class TestMuon:
    RATE = 1e-2

    def start(self, name: str = "muon") -> tuple[TrainModule, torch.optim.Optimizer]:
        vlm = tiny_model()
        module = TrainModule(vlm.float().requires_grad_())
        optimizer = build_optimizer(module, name=name, weight_decay=0.0)
        set_learning_rate(optimizer, self.RATE)
        return module, optimizer

    def push(self, module: TrainModule, optimizer: torch.optim.Optimizer, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        for parameter in module.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        optimizer.step()

    @pytest.mark.parametrize("shape", [(48, 96), (32, 96), (96, 32)])
    def test_singular_values_come_near_one(self, shape: tuple[int, int]) -> None:
        matrix = 1e-4 * torch.randn(shape, generator=torch.Generator().manual_seed(0))
        values = torch.linalg.svdvals(orthogonal(matrix))
        assert 0.5 < float(values.min()) <= float(values.max()) < 1.3
        turned = torch.linalg.svd(matrix, full_matrices=False)
        nearest = turned.U @ turned.Vh
        cosine = torch.nn.functional.cosine_similarity
        assert float(cosine(orthogonal(matrix).flatten(), nearest.flatten(), dim=0)) > 0.97

    def test_nothing_stays_nothing(self) -> None:
        assert not orthogonal(torch.zeros(8, 4)).any()

    def test_matrices_of_blocks_and_nothing_else(self) -> None:
        module, _ = self.start()
        turned = {n for n, p in module.named_parameters() if is_orthogonal(n, p)}
        assert any("in_proj" in n for n in turned)
        assert any("mlp1" in n for n in turned)
        assert any("qkv" in n for n in turned)
        kept = (
            "embeddings",
            "lm_head",
            "pos_embed",
            "token",
            "conv1d",
            "norm",
            "A_log",
            "embedder",
        )
        assert not [n for n in turned if any(word in n for word in kept)]

    def test_a_step_has_the_size_of_one_of_adamw(self) -> None:
        module, optimizer = self.start()
        before = {n: p.detach().clone() for n, p in module.named_parameters()}
        self.push(module, optimizer, 1)
        for name, parameter in module.named_parameters():
            if is_orthogonal(name, parameter):
                change = (parameter.detach() - before[name]) / self.RATE
                assert 0.12 < float(change.square().mean().sqrt()) < 0.25

    def test_everything_else_moves_as_with_adamw(self) -> None:
        (ours, muon), (plain, adamw) = self.start(), self.start("adamw")
        for seed in (1, 2):
            self.push(ours, muon, seed)
            self.push(plain, adamw, seed)
        others = dict(plain.named_parameters())
        for name, parameter in ours.named_parameters():
            same = torch.equal(parameter, others[name])
            assert same != is_orthogonal(name, parameter), name
            assert parameter.grad is not None

    def test_a_copy_of_its_state_goes_on_alike(self) -> None:
        module, optimizer = self.start()
        self.push(module, optimizer, 1)
        other, resumed = self.start()
        other.load_state_dict(module.state_dict())
        resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        self.push(module, optimizer, 2)
        self.push(other, resumed, 2)
        assert isinstance(resumed, Muon)
        for one, two in zip(module.parameters(), other.parameters(), strict=True):
            assert torch.equal(one, two)


class TestClipping:
    def optimizer(self) -> torch.optim.Optimizer:
        module = TrainModule(tiny_model().requires_grad_())
        optimizer = build_optimizer(module)
        generator = torch.Generator().manual_seed(0)
        for parameter in module.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        return optimizer

    def grads(self, optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
        return [p.grad for g in optimizer.param_groups for p in g["params"]]

    def test_norms_of_parts_make_the_whole(self) -> None:
        optimizer = self.optimizer()
        norms = gradient_norms(optimizer)
        assert set(norms) == {"vision", "projector", "llm"}
        flat = torch.cat([g.flatten() for g in self.grads(optimizer)]).double()
        total = math.sqrt(sum(n * n for n in norms.values()))
        assert total == pytest.approx(float(flat.norm()), rel=1e-6)

    def test_scaled_to_the_limit(self) -> None:
        optimizer = self.optimizer()
        before = [g.clone() for g in self.grads(optimizer)]
        total = math.sqrt(sum(n * n for n in gradient_norms(optimizer).values()))
        clip_gradients(optimizer, total, 1.0)
        after = math.sqrt(sum(n * n for n in gradient_norms(optimizer).values()))
        assert after == pytest.approx(1.0, rel=1e-5)
        for old, new in zip(before, self.grads(optimizer), strict=True):
            torch.testing.assert_close(new, old / total, rtol=1e-5, atol=1e-8)

    @pytest.mark.parametrize("limit", [0.0, 1e6])
    def test_small_gradients_and_no_limit_change_nothing(self, limit: float) -> None:
        optimizer = self.optimizer()
        before = [g.clone() for g in self.grads(optimizer)]
        total = math.sqrt(sum(n * n for n in gradient_norms(optimizer).values()))
        clip_gradients(optimizer, total, limit)
        assert all(map(torch.equal, before, self.grads(optimizer)))

    def test_a_norm_that_is_no_number(self) -> None:
        optimizer = self.optimizer()
        self.grads(optimizer)[0][0] = torch.nan
        assert math.isnan(gradient_norms(optimizer)["vision"])
        self.grads(optimizer)[0][0] = torch.inf
        assert gradient_norms(optimizer)["vision"] == math.inf


class TestEMA:
    def test_decay_is_warmed_up(self) -> None:
        parameter = nn.Parameter(torch.zeros(1))
        ema = EMA([("p", parameter)], 0.999)
        expected = 0.0
        for number in range(1, 6):
            with torch.no_grad():
                parameter.fill_(float(number))
            ema.update()
            decay = (1 + number) / (10 + number)
            expected = decay * expected + (1 - decay) * number
            assert float(ema.values["p"]) == pytest.approx(expected, rel=1e-6)

    def test_the_wanted_decay_is_reached(self) -> None:
        parameter = nn.Parameter(torch.zeros(1))
        ema = EMA([("p", parameter)], 0.5)
        ema.updates = 1000
        with torch.no_grad():
            parameter.fill_(8.0)
        ema.update()
        assert float(ema.values["p"]) == 4.0

    def test_the_average_is_a_copy(self) -> None:
        parameter = nn.Parameter(torch.ones(2))
        ema = EMA([("p", parameter)], 0.9)
        with torch.no_grad():
            parameter.zero_()
        assert ema.values["p"].tolist() == [1.0, 1.0]
        assert not ema.values["p"].requires_grad


def test_frozen_parts_have_no_average_and_no_group() -> None:
    vlm = VLM(tiny_config())
    freeze(vlm, ("vision", "llm"))
    assert {n.split(".")[0] for n, _ in trainable(vlm)} == {"mlp1"}
