"""Same numbers as transformers' native models on random tiny networks, fp32.

Tolerances are for fp32 sums in another order; the observed maxima were below 2e-6.
"""

import pytest
import torch

pytest.importorskip("transformers", reason="install the extra 'parity'")

from nanovl.model.cache import HybridCache
from nanovl.model.config import LMConfig, VisionConfig, VLMConfig, preset
from nanovl.model.context import ForwardContext
from nanovl.model.lm import HybridLM
from nanovl.model.vision import VisionModel, patchify
from nanovl.model.vlm import VLM
from nanovl.ops.evs import retention_mask
from nanovl.testing.peers import peer_lm, peer_vision, peer_vlm

pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

SHAPES = [
    LMConfig(
        vocab_size=50,
        hidden_size=32,
        pattern=pattern,
        num_heads=4,
        num_kv_heads=kv_heads,
        head_dim=8,
        intermediate_size=48,
        mamba_num_heads=8,
        mamba_head_dim=6,
        ssm_state_size=8,
        num_groups=groups,
        chunk_size=chunk,
    )
    for pattern, kv_heads, groups, chunk in (
        ("M-M*-", 2, 2, 4),
        ("*-M", 1, 1, 16),
        ("MM**--", 4, 4, 8),
    )
]


def random_lm(config, seed=0):
    model = HybridLM(config)
    model.initialize(torch.Generator().manual_seed(seed))
    with torch.no_grad():  # scratch weights are too tame to tell formulas apart
        for name, parameter in model.named_parameters():
            if parameter.dim() == 2:
                parameter.mul_(5)
            elif name.endswith(("norm.weight", "norm_f.weight")):
                parameter.add_(0.3 * torch.randn(parameter.shape))
    return model.eval()


@torch.no_grad()
@pytest.mark.parametrize("config", SHAPES, ids=lambda c: c.pattern)
def test_decoder_logits(config):
    model = random_lm(config)
    peer = peer_lm(config, model)
    ids = torch.randint(0, config.vocab_size, (37,))
    expected = peer(ids[None]).logits[0]
    got = model(model.embed(ids), ForwardContext.single(37), rows="all")
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("config", SHAPES, ids=lambda c: c.pattern)
def test_greedy_generation_of_the_decoder(config):
    model = random_lm(config, seed=1)
    peer = peer_lm(config, model)
    ids = torch.randint(0, config.vocab_size, (9,))
    expected = peer.generate(
        ids[None],
        # Without a mask, generate() hides every token that equals the pad id.
        attention_mask=torch.ones(1, 9, dtype=torch.long),
        max_new_tokens=20,
        do_sample=False,
        eos_token_id=None,
    )
    assert greedy(model, model.embed(ids), model.embed, 20) == expected[0, 9:].tolist()


def greedy(forward, x, embed, steps, config=None):
    """Chunked prefill and single steps with nanovl's cache."""
    cache = HybridCache(config or forward.config, dtype=torch.float32)
    at, made = 0, []
    for length in (5, x.shape[0] - 5):
        logits = forward(x[at : at + length], ForwardContext.single(length, cache))
        at += length
    for _ in range(steps):
        made.append(int(logits[0].argmax()))
        logits = forward(embed(torch.tensor(made[-1:])), ForwardContext.single(1, cache))
    return made


VISION = VisionConfig(
    hidden_size=32,
    num_layers=3,
    num_heads=4,
    intermediate_size=64,
    max_resolution=256,
    num_prefix_tokens=6,
)


def random_vision(seed=0):
    model = VisionModel(VISION)
    model.initialize(torch.Generator().manual_seed(seed))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return model.eval()


@torch.no_grad()
@pytest.mark.parametrize("size", [(64, 64), (32, 96), (256, 256), (320, 64)])
def test_vision_features(size):
    model = random_vision()
    peer = peer_vision(VISION, model)
    pixels = torch.randn(2, 3, *size)
    expected = peer(pixels).features
    torch.testing.assert_close(model(pixels).flatten(1, 2), expected, rtol=1e-5, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.75, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_evs_masks(rate, dtype):
    from transformers.models.nemotron_h_omni import modeling_nemotron_h_omni as omni

    x = torch.randn(7, 4, 6, 32).to(dtype)
    x[3] = x[2]
    expected = omni.compute_retention_mask(
        video_embeds=x, thw=torch.tensor([7, 4, 6]), spatial_merge_size=1, q=rate
    )
    assert torch.equal(retention_mask(x, rate, dtype=None).flatten(), expected)


@pytest.fixture(scope="module")
def whole():
    tiny = preset("tiny")
    config = VLMConfig(vision=VISION, projector=tiny.projector, lm=SHAPES[0], image_size=64)
    model = VLM(config, dtype=torch.float32).eval()
    model.language_model.load_state_dict(random_lm(SHAPES[0]).state_dict())
    model.vision_model.load_state_dict(random_vision().state_dict())
    torch.nn.init.normal_(model.mlp1[1].weight, std=0.2)
    torch.nn.init.normal_(model.mlp1[3].weight, std=0.2)
    torch.nn.init.normal_(model.mlp1[0].weight, mean=1.0, std=0.2)
    return model, peer_vlm(model, image_token_id=49)


@torch.no_grad()
def test_projected_visual_tokens(whole):
    model, peer = whole
    pixels = torch.randn(3, 3, 64, 64)
    features = peer.vision_model(pixels).features
    expected = peer.project_vision_features(features, 4, 4)
    torch.testing.assert_close(
        model.encode_media(pixels).flatten(1, 2), expected, rtol=1e-5, atol=1e-5
    )


@torch.no_grad()
def test_greedy_generation_of_an_image_prompt(whole):
    model, peer = whole
    pixels = torch.randn(3, 3, 64, 64)  # two tiles and a thumbnail
    ids = torch.tensor([7, 3, *[49] * 12, 4, 11, 2, 30])
    grid = torch.tensor([[4, 4]] * 3)
    patches = patchify(pixels, 16).flatten(0, 1)
    logits = peer(ids[None], pixel_values=patches, image_grid_hw=grid).logits[0]
    visual = model.encode_media(pixels).flatten(0, 2)
    x = model.merge(ids, [visual], 49)
    got = model(x, ForwardContext.single(len(ids)), rows="all")
    torch.testing.assert_close(got, logits, rtol=1e-5, atol=1e-5)
    expected = peer.generate(
        ids[None],
        attention_mask=torch.ones_like(ids)[None],
        pixel_values=patches,
        image_grid_hw=grid,
        max_new_tokens=16,
        do_sample=False,
        eos_token_id=None,
        pad_token_id=0,
    )[0, len(ids) :]
    assert greedy(model, x, model.embed_tokens, 16, model.config.lm) == expected.tolist()
