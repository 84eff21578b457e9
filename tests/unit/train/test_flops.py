"""Work per token: the numbers of the specification, and agreement with the built model."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from nanovl.core.errors import ConfigError
from nanovl.model.config import VLMConfig, preset
from nanovl.model.vlm import VLM
from nanovl.train.flops import (
    attention_flops,
    forward_flops,
    head_flops,
    layer_flops,
    mfu,
    pass_factors,
    scan_flops,
    step_flops,
)

GIGA, TERA = 1e9, 1e12


@pytest.fixture(scope="module")
def published() -> VLMConfig:
    """The shape section 9 was computed for: 131,072 words, 10 prefix tokens."""
    config = preset("12b")
    return replace(
        config,
        lm=replace(config.lm, vocab_size=131072),
        vision=replace(config.vision, num_prefix_tokens=10),
    )


def test_published_numbers(published: VLMConfig) -> None:
    lm = published.lm
    assert (layer_flops(lm) + head_flops(lm)) / GIGA == pytest.approx(23.27, abs=0.005)
    assert head_flops(lm) / GIGA == pytest.approx(1.34, abs=0.005)
    assert scan_flops(lm) / GIGA == pytest.approx(0.26, abs=0.005)
    assert published.encoder_flops_per_tile() / TERA == pytest.approx(1.478, abs=0.0005)
    assert published.projector_flops_per_tile() / TERA == pytest.approx(0.107, abs=0.0005)
    assert published.vision_flops_per_tile() / 256 / GIGA == pytest.approx(6.19, abs=0.005)


@pytest.mark.parametrize(
    ("length", "expected", "share"),
    [(16384, 1.01, 4), (49152, 3.02, 11), (131072, 8.05, 25), (311296, 19.1, 45)],
)
def test_published_attention(
    published: VLMConfig, length: int, expected: float, share: int
) -> None:
    lm = published.lm
    per_token = attention_flops(lm, length) / length
    assert per_token / GIGA == pytest.approx(expected, rel=0.005)
    rest = layer_flops(lm) + head_flops(lm) + scan_flops(lm)
    assert round(100 * per_token / (per_token + rest)) == share


def test_published_stage_3(published: VLMConfig) -> None:
    """Section 1.3: about 73 GFLOP per token; 2,325 tokens/s is about 170 TFLOP/s, 17 %, 8.6 %."""
    work = step_flops(published, [15_000] * 2, 0, {"vision", "projector", "llm"}) / 30_000
    assert work / GIGA == pytest.approx(73, abs=0.6)
    assert 2325 * work / TERA == pytest.approx(170, abs=2)
    assert mfu(2325 * work, 1.0, 1, 989e12) == pytest.approx(0.17, abs=0.003)
    assert mfu(2325 * work, 1.0, 1, 1979e12) == pytest.approx(0.086, abs=0.001)


def test_linear_work_is_that_of_the_built_model() -> None:
    """Two FLOPs per weight of every nn.Linear."""
    for name in ("mini", "tiny"):
        config = preset(name)
        vlm = VLM(config, device="meta")
        layers = vlm.language_model.backbone.layers
        weights = sum(m.weight.numel() for m in layers.modules() if isinstance(m, nn.Linear))
        assert layer_flops(config.lm) == 2 * weights
        assert head_flops(config.lm) == 2 * vlm.language_model.output_weight.numel()
        linears = [m for m in vlm.mlp1.modules() if isinstance(m, nn.Linear)]
        rows = config.tokens_per_tile
        assert config.projector_flops_per_tile() == 2 * rows * sum(
            m.weight.numel() for m in linears
        )


def test_encoder_work_is_that_of_the_built_model() -> None:
    config = preset("tiny")
    vlm = VLM(config)
    seen = 0.0

    def count(module: nn.Module, args: tuple[torch.Tensor, ...], out: torch.Tensor) -> None:
        nonlocal seen
        seen += 2 * out.numel() * args[0].shape[-1]

    for module in vlm.vision_model.modules():
        if isinstance(module, nn.Linear):
            module.register_forward_hook(count)
    with torch.no_grad():
        vlm.encode_media(torch.zeros(1, 3, config.image_size, config.image_size))
    v = config.vision
    tokens = (config.image_size // v.patch_size) ** 2 + v.num_prefix_tokens
    scores = v.num_layers * 4 * tokens**2 * v.hidden_size
    assert config.encoder_flops_per_tile() == pytest.approx(seen + scores, rel=1e-6)


@pytest.mark.parametrize(
    ("trainable", "expected"),
    [
        ({"vision", "projector", "llm"}, (3, 3, 3)),
        ({"projector"}, (1, 3, 2)),
        ({"llm"}, (1, 1, 3)),
        ({"projector", "llm"}, (1, 3, 3)),
        ({"vision", "llm"}, (3, 2, 3)),
        ({"vision"}, (3, 2, 2)),
    ],
)
def test_factors(trainable: set[str], expected: tuple[int, ...]) -> None:
    assert tuple(pass_factors(trainable).values()) == expected


def test_documents_and_rows_count_separately() -> None:
    config = preset("mini")
    one, two = (forward_flops(config, lengths, 2) for lengths in ([2048], [1024, 1024]))
    assert one.attention == 2 * two.attention
    assert (one.layers, one.vision, one.head) == (two.layers, two.vision, two.head)
    assert one.total == pytest.approx(one.llm + one.vision + one.projector)
    rows = forward_flops(config, [2048], 2, head_rows=100)
    assert rows.head == 100 * head_flops(config.lm)
    everything = {"vision", "projector", "llm"}
    assert step_flops(config, [2048], 2, everything) == pytest.approx(3 * one.total)
    extra = step_flops(config, [2048], 2, {"llm"}, teacher=True) - step_flops(
        config, [2048], 2, {"llm"}
    )
    assert extra == pytest.approx(one.llm)
    assert forward_flops(config, [], 0).total == 0


def test_agrees_with_the_decoder_s_own_count() -> None:
    """`flops_per_token` adds the convolution and a cheaper scan: within 3 %."""
    lm = preset("12b").lm
    ours = layer_flops(lm) + head_flops(lm) + scan_flops(lm)
    assert lm.flops_per_token() == pytest.approx(ours, rel=0.03)


@pytest.mark.parametrize("bad", [(1.0, 0.0, 1, 1.0), (1.0, 1.0, 0, 1.0), (1.0, 1.0, 1, 0.0)])
def test_mfu_refuses_nothing(bad: tuple[float, float, int, float]) -> None:
    with pytest.raises(ConfigError, match="expected more than 0"):
        mfu(*bad)
