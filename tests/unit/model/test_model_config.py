import pytest
import torch

from nanovl.core.errors import ConfigError
from nanovl.model.config import PRESETS, LMConfig, VisionConfig, VLMConfig, preset
from nanovl.model.vlm import VLM


@pytest.mark.parametrize("name", PRESETS)
def test_predicted_parameters_are_the_built_ones(name):
    config = preset(name)
    model = VLM(config, device="meta")

    def count(module):
        return sum(p.numel() for p in module.parameters())

    assert count(model) == config.num_parameters
    assert count(model.vision_model) == config.vision.num_parameters
    assert count(model.mlp1) == config.projector_parameters
    assert count(model.language_model) == config.lm.num_parameters


def test_published_counts_of_the_12b():
    config = preset("12b")
    lm = config.lm
    assert lm.num_layers == 62
    assert [lm.pattern.count(k) for k in "M-*"] == [28, 28, 6]
    assert [i for i, k in enumerate(lm.pattern) if k == "*"] == [7, 16, 25, 34, 43, 52]
    assert (lm.in_proj_size, lm.conv_dim) == (22656, 12288)
    assert lm.layer_parameters == {"M": 168_504_704, "-": 209_720_320, "*": 62_919_680}
    tables = 2 * lm.vocab_size * lm.hidden_size
    assert lm.num_parameters - tables == 10_967_823_872
    assert lm.num_parameters == 12_320_486_912
    assert LMConfig(vocab_size=131072).num_parameters == 12_310_001_152
    for prefix, expected in ((8, 651_642_880), (10, 651_645_440), (16, 651_653_120)):
        assert VisionConfig(num_prefix_tokens=prefix).num_parameters == expected
    assert config.projector_parameters == 209_720_320
    assert config.num_parameters == 13_181_860_352
    assert VLMConfig(lm=LMConfig(vocab_size=131072)).num_parameters == 13_171_374_592
    assert lm.kv_bytes_per_token() == 24_576
    assert lm.state_bytes() == 28 * (5_242_880 + 3 * 12_288 * 2)


def test_flops_count_the_matmuls_of_the_built_model():
    lm = preset("tiny").lm
    model = VLM(preset("tiny"), device="meta").language_model
    linears = [m for m in model.modules() if isinstance(m, torch.nn.Linear)]
    matmuls = 2 * sum(m.weight.numel() for m in linears)
    ssm = 3 * lm.mamba_inner_size * lm.ssm_state_size + lm.conv_dim * lm.conv_kernel
    assert lm.flops_per_token() == matmuls + 2 * lm.pattern.count("M") * ssm
    attention = 2 * lm.num_heads * lm.head_dim * 1000
    assert lm.flops_per_token(1000) - lm.flops_per_token() == 2 * attention


def test_mini_fits_its_purpose():
    config = preset("mini")
    assert 20e6 < config.num_parameters < 40e6
    linears = [
        m
        for m in VLM(config, device="meta").language_model.modules()
        if isinstance(m, torch.nn.Linear)
    ]
    assert all(n % 32 == 0 for m in linears for n in m.weight.shape)
    assert config.lm.mamba_num_heads % 8 == 0
    packed = sum(m.weight.numel() for m in linears)
    assert packed + 2 * (config.num_parameters - packed) < 48e6


def test_tiny_is_tiny():
    assert preset("tiny").num_parameters < 1e6


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: preset("mimi"), "did you mean 'mini'"),
        (lambda: LMConfig(pattern="M-E"), "mixture of experts"),
        (lambda: LMConfig(pattern="M-x"), "'x'"),
        (lambda: LMConfig(pattern=""), "nothing"),
        (lambda: LMConfig(num_heads=7), "num_kv_heads"),
        (lambda: LMConfig(num_groups=3), "num_groups"),
        (lambda: VisionConfig(num_heads=7), "num_heads"),
        (lambda: VLMConfig(image_size=500), "multiple of 32"),
        (lambda: VLMConfig(pixel_shuffle_version="v3"), "v3"),
    ],
)
def test_impossible_shapes_are_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
