"""Policies, the deny list, replacing modules and transcoding."""

import pytest
import torch
from torch import nn

from nanovl.core.errors import ConfigError, InputError
from nanovl.quant import (
    FORMATS,
    POLICIES,
    Fp8Linear,
    Int4Linear,
    Int8Linear,
    NvFp4Linear,
    Policy,
    find_policy,
    format_of,
    plan_formats,
    quantize_linear,
    replace_module,
    should_quantize,
    transcode,
)

F32 = torch.float32
LAYER = "language_model.backbone.layers.3.mixer."
PROJECTIONS = (
    "in_proj",
    "out_proj",
    "up_proj",
    "down_proj",
    "q_proj",
    "k_proj",
    "v_proj",
    "o_proj",
)
DENIED = [
    "language_model.lm_head",
    "language_model.backbone.embeddings",
    LAYER + "conv1d",
    LAYER + "norm",
    "vision_model.radio_model.model.blocks.0.mlp.up_proj",
    "mlp1.1",
    "mlp1.up_proj",
    LAYER + "router.in_proj",
]


def weight(n, k, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(n, k, generator=generator) * 0.02).bfloat16()


def linear(n, k, bias=False):
    module = nn.Linear(k, n, bias=bias, dtype=torch.bfloat16)
    module.weight.data.copy_(weight(n, k))
    return module


def relative_error(a, b):
    return ((a.float() - b.float()).norm() / b.float().norm()).item()


EXPECTED = {
    "bf16": {},
    "fp8": dict.fromkeys(PROJECTIONS, "fp8"),
    "nvfp4": dict.fromkeys(PROJECTIONS, "nvfp4"),
    "nvfp4-w4a16": dict.fromkeys(PROJECTIONS, "nvfp4-w4a16"),
    "nvfp4-mlp": dict.fromkeys(("up_proj", "down_proj"), "nvfp4"),
    "nvfp4-keep-attn": dict.fromkeys(("in_proj", "out_proj", "up_proj", "down_proj"), "nvfp4"),
    "nvfp4-keep-attn-mamba": {
        "in_proj": "fp8",
        "out_proj": "fp8",
        "up_proj": "nvfp4",
        "down_proj": "nvfp4",
    },
    "int8": dict.fromkeys(PROJECTIONS, "int8"),
    "int4": dict.fromkeys(PROJECTIONS, "int4"),
    "int4-sym": dict.fromkeys(PROJECTIONS, "int4-sym"),
}


@pytest.mark.parametrize("name", POLICIES)
def test_policies(name):
    policy = find_policy(name)
    for projection in PROJECTIONS:
        expected = EXPECTED[name].get(projection, "bf16")
        assert format_of(LAYER + projection, policy) == expected
        assert should_quantize(LAYER + projection, policy) == (expected != "bf16")
        assert format_of(projection, policy) == expected
    for denied in DENIED:
        assert not should_quantize(denied, policy)


def test_later_rules_win():
    rules = (("*in_proj", "fp8"), ("*.layers.3.*", "nvfp4"), ("*.3.mixer.in_proj", "bf16"))
    policy = Policy(name="mine", rules=rules)
    assert format_of(LAYER + "in_proj", policy) == "bf16"
    assert format_of(LAYER + "out_proj", policy) == "nvfp4"
    assert format_of("language_model.backbone.layers.4.mixer.in_proj", policy) == "fp8"


def test_deny_list_beats_every_rule():
    policy = Policy(name="greedy", rules=(("*", "fp8"),))
    assert [name for name in DENIED if should_quantize(name, policy)] == []
    assert should_quantize("anything.else", policy)


def test_gate_is_denied_only_beside_experts():
    policy = Policy(name="greedy", rules=(("*", "fp8"),))
    assert should_quantize("layers.0.mlp.gate_proj", policy)
    assert not should_quantize("layers.0.mlp.gate_proj", policy, siblings=("experts", "gate_proj"))
    assert should_quantize("layers.0.gate.up_proj", policy, siblings=("experts",))


@pytest.mark.parametrize(("name", "hint"), [("nvfp5", "nvfp4"), ("mixed:5.4", "expected")])
def test_unknown_policy(name, hint):
    with pytest.raises(ConfigError, match=hint):
        find_policy(name)


def test_unknown_format():
    with pytest.raises(ConfigError, match="did you mean 'nvfp4'"):
        Policy(name="mine", rules=(("*", "nvpf4"),))
    with pytest.raises(ConfigError, match="expected bf16"):
        quantize_linear(linear(16, 32), "fp16")


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.in_proj = linear(64, 32)
        self.out_proj = linear(32, 24)  # 24 columns: too odd for NVFP4 and INT4
        self.norm = nn.LayerNorm(32)


class Experts(nn.Module):
    def __init__(self):
        super().__init__()
        self.experts = nn.ModuleList([Block()])
        self.gate = linear(2, 32)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([Block(), Experts()])
        self.lm_head = linear(16, 32)


def test_plan_lists_the_linears_that_fit():
    net = Net()
    both = {
        "layers.0.in_proj": "fp8",
        "layers.0.out_proj": "fp8",
        "layers.1.experts.0.in_proj": "fp8",
        "layers.1.experts.0.out_proj": "fp8",
    }
    assert plan_formats(net, find_policy("fp8")) == both
    for name in ("nvfp4", "int4", "int4-sym"):
        assert set(plan_formats(net, find_policy(name))) == {n for n in both if "in_proj" in n}
    greedy = plan_formats(net, Policy(name="greedy", rules=(("*", "int8"),)))
    assert "layers.1.gate" not in greedy
    assert "lm_head" not in greedy


def test_replace_module():
    net = Net()
    new = quantize_linear(net.layers[0].in_proj, "fp8", input_amax=1.0)
    old = replace_module(net, "layers.0.in_proj", new)
    assert isinstance(old, nn.Linear)
    assert net.layers[0].in_proj is new
    assert "layers.0.in_proj.weight_scale" in net.state_dict()
    # a child of a list
    replace_module(net, "layers.1.experts.0", nn.Identity())
    assert isinstance(net.layers[1].experts[0], nn.Identity)
    assert len(net.layers[1].experts) == 1
    # a direct child
    replace_module(net, "lm_head", nn.Identity())
    assert isinstance(net.lm_head, nn.Identity)


@pytest.mark.parametrize("name", ["layers.0.in_prj", "layers.7.in_proj", "nothing", ""])
def test_replace_module_that_is_not_there(name):
    with pytest.raises(ConfigError, match="module '"):
        replace_module(Net(), name, nn.Identity())


@pytest.mark.parametrize("target", FORMATS)
def test_quantize_linear(target):
    source = linear(32, 64, bias=True)
    module = quantize_linear(source, target, input_amax=2.0)
    kinds = {
        "bf16": nn.Linear,
        "fp8": Fp8Linear,
        "nvfp4": NvFp4Linear,
        "nvfp4-w4a16": NvFp4Linear,
        "int8": Int8Linear,
        "int4": Int4Linear,
        "int4-sym": Int4Linear,
    }
    assert type(module) is kinds[target]
    assert torch.equal(module.bias, source.bias)
    if target in ("fp8", "nvfp4", "nvfp4-w4a16"):
        assert (module.input_scale is None) == (target == "nvfp4-w4a16")


def test_fused_projections_share_the_given_maximum():
    shared = torch.tensor(0.5)
    modules = [
        quantize_linear(linear(16, 32), "nvfp4", weight_amax=shared, input_amax=1.0)
        for _ in range(3)
    ]
    assert len({m.weight_scale_2.item() for m in modules}) == 1


SOURCES = ["bf16", "fp8", "nvfp4", "int8", "int4"]


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("target", ["bf16", "int8", "int4"])
def test_transcode(source, target, monkeypatch):
    module = quantize_linear(linear(129, 256, bias=True), source)
    monkeypatch.setattr("nanovl.ops.rowwise._CHUNK_VALUES", {"cpu": 40 * 256})
    result = transcode(module, target)
    kinds = {"bf16": nn.Linear, "int8": Int8Linear, "int4": Int4Linear}
    assert type(result) is kinds[target]
    assert (result is module) == (source == target)
    assert torch.equal(result.bias, module.bias)
    x = torch.randn(9, 256).bfloat16()
    assert result(x).shape == (9, 129)
    if source == target:
        return
    before = module.weight if source == "bf16" else module.dequantized_weight(F32)
    if target == "bf16":
        assert torch.equal(result.weight, before.bfloat16())
        assert not result.weight.requires_grad
    else:
        direct = kinds[target].from_float(before.detach())
        for name, tensor in direct.state_dict().items():
            assert torch.equal(tensor, result.state_dict()[name])


@pytest.mark.parametrize(
    ("source", "target", "added", "total"),
    [
        ("fp8", "bf16", 0.19, 2.65),
        ("fp8", "int8", 0.88, 2.80),
        ("nvfp4", "bf16", 0.18, 9.51),
        ("nvfp4", "int8", 0.87, 9.57),
    ],
)
def test_transcoding_error(source, target, added, total):
    """Quantization specification, section 6.4, percent of the weight's RMS."""
    original = linear(1024, 5120)
    stored = quantize_linear(original, source)
    result = transcode(stored, target)
    numbers = result.weight if target == "bf16" else result.dequantized_weight(F32)
    reference = stored.dequantized_weight(F32)
    assert 100 * relative_error(numbers, reference) == pytest.approx(added, rel=0.1)
    assert 100 * relative_error(numbers, original.weight) == pytest.approx(total, rel=0.05)


def test_transcode_to_another_dtype():
    module = transcode(quantize_linear(linear(32, 64), "nvfp4"), "bf16", torch.float32)
    assert module.weight.dtype is F32
    plain = transcode(linear(32, 64), "bf16", torch.float16)
    assert plain.weight.dtype is torch.float16


def test_transcode_reads_the_kernels_order_of_int4():
    module = quantize_linear(linear(129, 64), "int4")
    expected = transcode(module, "int8").state_dict()
    module(torch.ones(1, 64, dtype=torch.bfloat16))
    again = transcode(module, "int8").state_dict()
    assert all(torch.equal(again[name], expected[name]) for name in expected)


def test_transcode_refuses_what_it_cannot_do():
    with pytest.raises(ConfigError, match=r"layers\.0: cannot transcode a LayerNorm"):
        transcode(nn.LayerNorm(4), "int8", what="layers.0")
    with pytest.raises(ConfigError, match="expected bf16, int8 or int4"):
        transcode(linear(16, 32), "fp8")
    with pytest.raises(InputError, match="group size"):
        transcode(linear(16, 48), "int4")
    damaged = linear(16, 32)
    damaged.weight.data[3, 4] = torch.nan
    with pytest.raises(InputError, match=r"layers\.0.*nan"):
        transcode(damaged, "int8", what="layers.0")


def test_transcode_needs_little_beside_source_and_result(monkeypatch):
    """The largest temporary is a chunk, whatever the size of the matrix."""
    monkeypatch.setattr("nanovl.ops.rowwise._CHUNK_VALUES", {"cpu": 1 << 12})
    module = quantize_linear(linear(256, 512), "nvfp4")
    largest = 0
    empty = torch.empty

    def spy(*args, **kwargs):
        nonlocal largest
        result = empty(*args, **kwargs)
        if result.dtype is F32 and result.dim() == 2:
            largest = max(largest, result.numel())
        return result

    monkeypatch.setattr(torch, "empty", spy)
    transcode(module, "int8")
    assert 0 < largest <= 1 << 12
