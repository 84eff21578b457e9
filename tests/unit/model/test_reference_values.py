"""Published numbers of tiny networks whose weights are a closed formula."""

import math

import pytest
import torch

from nanovl.model.cache import HybridCache
from nanovl.model.config import LMConfig, VisionConfig
from nanovl.model.context import ForwardContext
from nanovl.model.lm import HybridLM
from nanovl.model.projector import projector
from nanovl.model.vision import VisionModel, cropped_positions, patchify

TINY = LMConfig(
    vocab_size=32,
    hidden_size=16,
    pattern="M-M*-",
    num_heads=4,
    num_kv_heads=2,
    head_dim=8,
    intermediate_size=24,
    mamba_num_heads=4,
    mamba_head_dim=6,
    ssm_state_size=8,
    num_groups=2,
    chunk_size=4,
)
IDS = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5]


def wave(shape, amplitude, frequency, phase):
    i = torch.arange(math.prod(shape), dtype=torch.float64)
    return (amplitude * torch.sin(frequency * i + phase)).view(shape).float()


def tiny_lm():
    model = HybridLM(TINY)
    state = {}
    for name, parameter in model.state_dict().items():
        # The formula uses the length of the name in transformers.
        peer = name.replace("backbone.", "model.")
        n = parameter.numel()
        if name.endswith("A_log"):
            value = torch.log(torch.arange(1, n + 1).float())
        elif name.endswith(".D"):
            value = 1 + 0.1 * torch.arange(n)
        elif name.endswith("dt_bias"):
            value = -2 + 0.5 * torch.arange(n)
        else:
            value = wave(parameter.shape, 0.3, 0.9, 0.53 * len(peer))
            if "norm" in peer:
                value = 1 + value
        state[name] = value
    model.load_state_dict(state)
    return model.eval()


@pytest.fixture
def lm():
    return tiny_lm()


@torch.no_grad()
def test_logits(lm):
    logits = lm(lm.embed(torch.tensor(IDS)), ForwardContext.single(11), rows="all")
    expected = {
        0: [-0.09627, 0.12123, 0.03327, -0.13851, 0.0387, 0.1184, -0.10023, -0.06632],
        10: [-0.00859, -0.05191, 0.03557, 0.03343, -0.05294, -0.00592, 0.05602, -0.02318],
    }
    for row, values in expected.items():
        torch.testing.assert_close(logits[row, :8], torch.tensor(values), rtol=0, atol=2e-5)
    assert logits.argmax(-1).tolist() == [15, 0, 10, 27, 8, 22, 8, 8, 11, 19, 23]


@torch.no_grad()
def test_final_states(lm):
    cache = HybridCache(TINY, dtype=torch.float32)
    lm(lm.embed(torch.tensor(IDS)), ForwardContext.single(11, cache))
    ssm = [-0.213399, 0.038005, 0.014861, -0.119168, 0.044106, 0.092509]
    conv = [-3.068624, 2.027646, 2.014988, -3.074704, -0.417265, 3.29153]
    torch.testing.assert_close(cache.ssm[0][0].flatten()[:6], torch.tensor(ssm), rtol=0, atol=2e-5)
    torch.testing.assert_close(
        cache.conv[0][0].flatten()[:6], torch.tensor(conv), rtol=0, atol=2e-5
    )


@torch.no_grad()
def test_split_prefill_equals_full(lm):
    x = lm.embed(torch.tensor(IDS))
    full = lm(x, ForwardContext.single(11), rows="all")
    cache, at, parts = HybridCache(TINY, dtype=torch.float32), 0, []
    for length in (5, 4, 1, 1):
        ctx = ForwardContext.single(length, cache)
        parts.append(lm(x[at : at + length], ctx, rows="all"))
        at += length
    torch.testing.assert_close(torch.cat(parts), full, rtol=0, atol=1e-6)


@torch.no_grad()
def test_packed_segments_equal_separate_runs(lm):
    x = lm.embed(torch.tensor([7, 8, 3, 1, 4]))
    packed = lm(x, ForwardContext(cu_seqlens=(0, 2, 5)), rows="all")
    alone = lm(x[2:], ForwardContext.single(3), rows="all")
    torch.testing.assert_close(packed[2:], alone, rtol=0, atol=1e-6)
    merged = lm(x, ForwardContext.single(5), rows="all")
    assert float((merged[2:] - alone).abs().max()) == pytest.approx(0.43, abs=0.02)


def tiny_vision():
    config = VisionConfig(
        hidden_size=16,
        num_layers=2,
        num_heads=2,
        intermediate_size=64,
        patch_size=4,
        max_resolution=64,
        num_prefix_tokens=4,
    )
    model = VisionModel(config)

    def value(name, shape):
        out = wave(shape, 0.2, 0.7, 0.31 * len(name))
        return 1 + 0.5 * out if "norm" in name and name.endswith("weight") else out

    state = {}
    prefix = "radio_model.model."
    for name, parameter in model.state_dict().items():
        leaf = name.removeprefix(prefix)
        if ".attn.qkv." in leaf:
            block, suffix = leaf.split(".attn.qkv.")
            peer = f"encoder.layer.{block.split('.')[1]}.attention."
            shape = (16, 16) if suffix == "weight" else (16,)
            state[name] = torch.cat([value(f"{peer}{p}_proj.{suffix}", shape) for p in "qkv"])
            continue
        peer = {
            "patch_generator.embedder.weight": "embeddings.patch_projection.weight",
            "patch_generator.pos_embed": "embeddings.position_embedding",
            "patch_generator.cls_token.token": "embeddings.cls_register_token",
        }.get(leaf, leaf.replace("blocks.", "encoder.layer."))
        state[name] = value(peer.replace(".attn.proj.", ".attention.o_proj."), parameter.shape)
    model.load_state_dict(state)
    return model.eval()


@torch.no_grad()
def test_vision_features():
    pixels = torch.cos(0.05 * torch.arange(3 * 16 * 16, dtype=torch.float64)).float()
    out = tiny_vision()(pixels.view(1, 3, 16, 16)).view(16, 16)

    def close(got, expected):
        torch.testing.assert_close(got, torch.tensor(expected), rtol=0, atol=2e-5)

    close(out[0, :6], [1.38972, -0.14609, -0.96553, -2.20969, -0.52509, 1.79457])
    close(out[15, :6], [1.81454, 0.52332, -2.11391, -1.40019, 0.01628, 0.7044])
    close(out.mean(0)[:4], [1.54655, 0.24577, -1.61868, -1.80081])
    close(out.abs().mean(), 1.02662)


@torch.no_grad()
def test_projector():
    model = projector(8, 6, 4, 1e-5)
    state = {
        "0.weight": 1 + wave((8,), 0.3, 0.9, 0.53 * 17),
        "1.weight": wave((6, 8), 0.3, 0.9, 0.53 * 15),
        "3.weight": wave((4, 6), 0.3, 0.9, 0.53 * 15),
    }
    model.load_state_dict(state)
    x = torch.cos(0.4 * torch.arange(16, dtype=torch.float64)).float().view(2, 8)
    expected = [
        [-0.160096, -0.407155, -0.356742, -0.045687],
        [0.056742, 0.416984, 0.472572, 0.182892],
    ]
    torch.testing.assert_close(model(x), torch.tensor(expected), rtol=0, atol=2e-6)


def test_patch_flattening():
    image = torch.arange(2 * 3 * 32 * 48, dtype=torch.float32).view(2, 3, 32, 48)
    patches = patchify(image, 16)
    assert patches.shape == (2, 6, 768)
    assert patches[0, 0, :3].tolist() == [0, 1, 2]
    assert patches[0, 0, 16] == 48
    assert patches[0, 0, 256] == 1536
    assert patches[0, 1, 0] == 16
    assert patches[0, 3, 0] == 768


CPE = [
    (32, 32, 0, 0, 1.5, 1.5, 0.609757),
    (32, 32, 0, 1, 1.5, 5.5, 0.127486),
    (32, 32, 1, 0, 5.5, 1.5, 0.341413),
    (32, 32, 5, 9, 21.5, 37.5, 0.931355),
    (32, 32, 31, 31, 125.5, 125.5, -0.078536),
    (48, 48, 0, 0, 0.833333, 0.833333, 0.389171),
    (48, 48, 0, 1, 0.833333, 3.5, 0.254094),
    (48, 48, 1, 2, 3.5, 6.166667, 0.027877),
    (48, 48, 5, 9, 14.166667, 24.833334, 0.698827),
    (48, 48, 47, 47, 126.16666, 126.16667, 0.23977),
    (32, 48, 0, 0, 0.833333, 0.833333, 0.389171),
    (32, 48, 5, 9, 14.166667, 24.833334, 0.698827),
    (32, 48, 31, 47, 83.5, 126.16667, -0.755246),
    (48, 32, 47, 31, 126.16667, 83.5, -0.105758),
    (64, 16, 0, 0, 0.5, 0.5, 0.235987),
    (64, 16, 63, 15, 126.5, 30.5, 0.088609),
    (128, 128, 127, 127, 127, 127, 0.585281),
]


@pytest.mark.parametrize(("h", "w", "row", "column", "ch0", "ch1", "ch2"), CPE)
def test_cropped_positions(h, w, row, column, ch0, ch1, ch2):
    r = torch.arange(128.0).view(128, 1).expand(128, 128)
    c = r.t()
    table = torch.stack([r, c, torch.sin(0.5 * r) * torch.cos(0.25 * c)], dim=-1)
    got = cropped_positions(table.reshape(1, -1, 3), h, w).view(h, w, 3)[row, column]
    torch.testing.assert_close(got, torch.tensor([ch0, ch1, ch2]), rtol=0, atol=2e-5)


def test_positions_above_the_table_are_upsampled():
    table = torch.rand(1, 64, 3)
    assert cropped_positions(table, 20, 6).shape == (120, 3)
