"""A model to a folder and back: identical tensors and logits in every format."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from nanovl.checkpoint import export
from nanovl.checkpoint.build import load_model, save_model
from nanovl.checkpoint.info import inspect
from nanovl.checkpoint.keymap import BACKBONE, FP32_LEAVES, expected_tensors, linear_modules
from nanovl.core.errors import CheckpointError, ConfigError, NanoVLError
from nanovl.core.events import Event
from nanovl.core.paths import asset
from nanovl.model.config import preset
from nanovl.model.context import ForwardContext
from nanovl.model.vlm import VLM
from nanovl.ops.lowp import fp8_scale, nvfp4_encode, nvfp4_scale
from nanovl.processing.tokenizer import Tokenizer, byte_tokenizer
from nanovl.quant.linear import (
    Fp8Linear,
    Int4Linear,
    Int8Linear,
    NvFp4Linear,
    QuantizedLinear,
)
from nanovl.quant.schemes import quantize_linear, replace_module

State = dict[str, torch.Tensor]
LINEARS = linear_modules(preset("tiny").lm)
QKV = [f"{BACKBONE}.layers.3.mixer.{x}_proj" for x in "qkv"]


@pytest.fixture
def model(tiny_state: State) -> VLM:
    vlm = VLM(preset("tiny")).eval().requires_grad_(False)
    vlm.load_state_dict(tiny_state)
    return vlm


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    def run(vlm: VLM, name: str = "out", **options: object) -> Path:
        return save_model(vlm, tmp_path / name, processor=byte_tokenizer(), **options)  # type: ignore[arg-type]

    return run


def logits(vlm: VLM) -> torch.Tensor:
    ids = torch.arange(40) * 7 % 300
    with torch.no_grad():
        return vlm(vlm.embed_tokens(ids), ForwardContext(cu_seqlens=(0, 25, 40)), rows="all")


def tensors(folder: Path) -> State:
    return {n: t for path in folder.glob("*.safetensors") for n, t in load_file(path).items()}


def same(a: State, b: State) -> bool:
    return set(a) == set(b) and all(
        a[n].dtype == b[n].dtype
        and a[n].shape == b[n].shape
        and torch.equal(a[n].reshape(-1).view(torch.uint8), b[n].reshape(-1).view(torch.uint8))
        for n in a
    )


def test_bf16_round_trip(model: VLM, save: Callable[..., Path]) -> None:
    folder = save(model)
    stored = tensors(folder)
    assert {n: tuple(t.shape) for n, t in stored.items()} == expected_tensors(model.config)
    loaded, processor = load_model(folder, quant="stored")
    assert same(dict(loaded.state_dict()), dict(model.state_dict()))
    assert same(stored, dict(model.state_dict()))
    assert torch.equal(logits(loaded), logits(model))
    assert loaded.config == model.config
    assert processor.tokenizer.to_json() == byte_tokenizer().to_json()
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())
    # A second trip changes nothing at all.
    again = save(loaded, "again")
    assert same(tensors(again), stored)


@pytest.mark.parametrize(
    ("format_name", "cls"),
    [
        ("fp8", Fp8Linear),
        ("nvfp4", NvFp4Linear),
        ("int8", Int8Linear),
        ("int4", Int4Linear),
        ("int4-sym", Int4Linear),
    ],
)
def test_quantized_round_trip(
    model: VLM, save: Callable[..., Path], format_name: str, cls: type[QuantizedLinear]
) -> None:
    folder = save(model, format=format_name)
    stored = tensors(folder)
    loaded, _ = load_model(folder, quant="stored")
    modules = dict(loaded.named_modules())
    assert all(isinstance(modules[name], cls) for name in LINEARS)
    if format_name in ("fp8", "nvfp4", "int4"):  # the others have another shape in memory
        assert same(dict(loaded.state_dict()), stored)
    # What was stored is what the formula gives for this model, and the logits are those of the
    # decoded weights.
    decoded = VLM(preset("tiny")).eval().requires_grad_(False)
    decoded.load_state_dict(model.state_dict())
    for name in LINEARS:
        module = modules[name]
        assert isinstance(module, QuantizedLinear)
        decoded.get_parameter(f"{name}.weight").copy_(module.dequantized_weight())
        wanted = quantize_linear(model.get_submodule(name), format_name)  # type: ignore[arg-type]
        assert isinstance(wanted, QuantizedLinear)
        if format_name.startswith("int"):
            assert same(dict(module.state_dict()), dict(wanted.state_dict()))
    torch.testing.assert_close(logits(loaded), logits(decoded), rtol=0.02, atol=0.02)
    decoded_by_loader, _ = load_model(folder, quant="bf16")
    assert same(dict(decoded_by_loader.state_dict()), dict(decoded.state_dict()))
    assert torch.equal(logits(decoded_by_loader), logits(decoded))
    # Written again from packed modules: byte for byte the same, logits too.
    again = save(loaded, "again", format=format_name)
    assert same(tensors(again), stored)
    assert torch.equal(logits(load_model(again, quant="stored")[0]), logits(loaded))


def forms(format_name: str, n: int, k: int) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
    """What section 5 of the specification says."""
    one, one_ct = (torch.float32, ()), (torch.float32, (1,))
    groups = (torch.bfloat16, (n, k // 32))
    return {
        "fp8": {
            "weight": (torch.float8_e4m3fn, (n, k)),
            "weight_scale": one,
            "input_scale": one,
        },
        "nvfp4": {
            "weight": (torch.uint8, (n, k // 2)),
            "weight_scale": (torch.float8_e4m3fn, (n, k // 16)),
            "weight_scale_2": one,
            "input_scale": one,
        },
        "int8": {"weight": (torch.int8, (n, k)), "weight_scale": (torch.float32, (n, 1))},
        "int4": {
            "weight_packed": (torch.uint8, (n, k // 2)),
            "weight_scale": groups,
            "weight_min": groups,
        },
        "int4-sym": {
            "weight_packed": (torch.int32, (n, k // 8)),
            "weight_scale": groups,
            "weight_shape": (torch.int64, (2,)),
        },
        # Beside INT8, in the layout of compressed-tensors.
        "fp8 beside": {
            "weight": (torch.float8_e4m3fn, (n, k)),
            "weight_scale": one_ct,
            "input_scale": one_ct,
        },
        "nvfp4 beside": {
            "weight_packed": (torch.uint8, (n, k // 2)),
            "weight_scale": (torch.float8_e4m3fn, (n, k // 16)),
            "weight_global_scale": one_ct,
            "input_global_scale": one_ct,
        },
    }[format_name]


def found_forms(stored: State, module: str) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
    return {
        name.removeprefix(module + "."): (t.dtype, tuple(t.shape))
        for name, t in stored.items()
        if name.startswith(module + ".")
    }


@pytest.mark.parametrize("format_name", ["fp8", "nvfp4", "int8", "int4", "int4-sym"])
def test_names_dtypes_and_shapes_of_quantized_layers(
    model: VLM, save: Callable[..., Path], format_name: str
) -> None:
    stored = tensors(save(model, format=format_name))
    for module, (n, k) in LINEARS.items():
        assert found_forms(stored, module) == forms(format_name, n, k)
    for name, tensor in stored.items():
        if name.rpartition(".")[0] not in LINEARS:
            fp32 = name.rpartition(".")[2] in FP32_LEAVES
            assert tensor.dtype == (torch.float32 if fp32 else torch.bfloat16), name


def test_attention_projections_share_their_scales(
    model: VLM, save: Callable[..., Path], tiny_state: State
) -> None:
    amax = max(float(tiny_state[f"{m}.weight"].abs().max()) for m in QKV)
    ranges = dict(zip(QKV, (3.0, 5.0, 4.0), strict=True))
    fp8 = tensors(save(model, "fp8", format="fp8", input_amax=ranges))
    nvfp4 = tensors(save(model, "nvfp4", format="nvfp4", input_amax=ranges))
    for module in QKV:
        assert fp8[f"{module}.weight_scale"] == fp8_scale(torch.tensor(amax))
        assert fp8[f"{module}.input_scale"] == fp8_scale(torch.tensor(5.0))
        assert nvfp4[f"{module}.weight_scale_2"] == nvfp4_scale(torch.tensor(amax))
        assert nvfp4[f"{module}.input_scale"] == nvfp4_scale(torch.tensor(5.0))
    lone = f"{BACKBONE}.layers.3.mixer.o_proj"
    own = float(tiny_state[f"{lone}.weight"].abs().max())
    assert fp8[f"{lone}.weight_scale"] == fp8_scale(torch.tensor(own))


def test_uncalibrated_layers_are_reported(
    model: VLM, save: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    stored = tensors(save(model, format="fp8", input_amax=dict.fromkeys(list(LINEARS)[1:], 2.0)))
    assert "1 layers have no calibrated activation range, 448 is assumed" in caplog.text
    assert float(stored[f"{next(iter(LINEARS))}.input_scale"]) == 1.0
    nvfp4 = tensors(save(model, "b", format="nvfp4"))
    assert nvfp4[f"{next(iter(LINEARS))}.input_scale"] == nvfp4_scale(torch.tensor(448.0))


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_bad_calibration(model: VLM, save: Callable[..., Path], value: float) -> None:
    with pytest.raises(CheckpointError, match="calibrated input range"):
        save(model, format="fp8", input_amax={next(iter(LINEARS)): value})


def test_policies_and_exceptions(model: VLM, save: Callable[..., Path]) -> None:
    formats = inspect(save(model, "a", format="nvfp4-keep-attn")).formats
    assert formats["attention.q_proj"] == {"plain": 1}
    assert formats["mamba.in_proj"] == {"nvfp4": 2}
    formats = inspect(save(model, "b", format="fp8", keep=["*.[qkvo]_proj"])).formats
    assert formats["attention.o_proj"] == {"plain": 1}
    assert formats["mlp.up_proj"] == {"fp8": 2}
    info = inspect(save(model, "c", format="nvfp4-keep-attn-mamba"))
    assert info.formats["mlp.up_proj"] == {"nvfp4": 2}
    assert info.formats["mamba.in_proj"] == {"fp8": 2}
    assert info.quant_algo == "MIXED_PRECISION"
    info = inspect(save(model, "d", format="nvfp4-w4a16"))
    assert info.quant_algo == "W4A16_NVFP4"
    assert info.problem is None
    assert info.warnings == ()
    assert not any(name.endswith("input_scale") for name in tensors(info.folder))


MLP = [m for m in LINEARS if m.endswith(("up_proj", "down_proj"))]
MAMBA = [m for m in LINEARS if m.endswith(("in_proj", "out_proj"))]


def test_formats_by_module(model: VLM, save: Callable[..., Path]) -> None:
    wanted = dict.fromkeys(QKV, "fp8") | dict.fromkeys(MLP, "nvfp4")
    info = inspect(save(model, format=wanted))
    assert info.formats["attention.q_proj"] == {"fp8": 1}
    assert info.formats["attention.o_proj"] == {"plain": 1}
    assert info.formats["mlp.up_proj"] == {"nvfp4": 2}
    assert info.formats["mamba.in_proj"] == {"plain": 2}
    assert (info.quant_algo, info.warnings) == ("MIXED_PRECISION", ())
    assert "7 bf16" not in (info.folder / "README.md").read_text()
    assert "5 bf16, 3 fp8, 4 nvfp4" in (info.folder / "README.md").read_text()
    # Missing ones stay as they are, and one format for all is what its policy gives.
    plain = save(model, "plain", format={})
    assert same(tensors(plain), tensors(save(model, "bf16")))
    one = save(model, "one", format=dict.fromkeys(LINEARS, "int8"))
    assert same(tensors(one), tensors(save(model, "int8", format="int8")))
    assert "| format | int8 |" in (one / "README.md").read_text()


def test_mixtures_with_integers(model: VLM, save: Callable[..., Path]) -> None:
    wanted = (
        dict.fromkeys(QKV, "int8")
        | dict.fromkeys(MLP, "nvfp4")
        | {MAMBA[0]: "fp8", MAMBA[1]: "int4-sym"}
    )
    folder = save(model, format=wanted)
    stored = tensors(folder)
    beside = {"fp8": "fp8 beside", "nvfp4": "nvfp4 beside"}
    for module, (n, k) in LINEARS.items():
        if module in wanted:
            name = wanted[module]
            assert found_forms(stored, module) == forms(beside.get(name, name), n, k)
    info = inspect(folder)
    assert (info.quant_algo, info.warnings, info.problem) == (
        "compressed-tensors mixed-precision",
        (),
        None,
    )
    loaded, _ = load_model(folder, quant="stored")
    for module, name in wanted.items():
        group = dict.fromkeys(QKV if module in QKV else [module], name)
        alone, _ = load_model(save(model, module, format=group), quant="stored")
        held, reference = loaded.get_submodule(module), alone.get_submodule(module)
        assert isinstance(held, QuantizedLinear)
        assert isinstance(reference, QuantizedLinear)
        assert type(held) is type(reference)
        if name == "nvfp4":  # stored as its reciprocal there, and rounded with what comes back
            scale_2 = reference.weight_scale_2.reciprocal().reciprocal()
            codes, scale, _ = nvfp4_encode(model.get_parameter(f"{module}.weight"), scale_2)
            assert torch.equal(held.weight_scale_2, scale_2)
            assert torch.equal(held.weight, codes)
            assert torch.equal(held.weight_scale.view(torch.uint8), scale.view(torch.uint8))
            assert held.input_scale is not None
            torch.testing.assert_close(held.input_scale, reference.input_scale, rtol=2e-7, atol=0)
        else:
            assert same(dict(held.state_dict()), dict(reference.state_dict()))
    # With asymmetric INT4 the file is nanovl's own, and NVFP4 has its usual names in it.
    own = save(model, "own", format=wanted | {MAMBA[2]: "int4"})
    stored = tensors(own)
    for module, name in (wanted | {MAMBA[2]: "int4"}).items():
        assert found_forms(stored, module) == forms(name, *LINEARS[module])
    assert inspect(own).quant_algo == "nanovl mixed"
    assert inspect(own).warnings == ()


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ({QKV[0]: "fp8"}, r"q_proj' fp8, .*k_proj' bf16, .*v_proj' bf16"),
        ({QKV[0]: "fp8", QKV[1]: "nvfp4", QKV[2]: "fp8"}, "need one format"),
        ({QKV[0]: "fp9", QKV[1]: "fp8"}, r"format 'fp9' of .*did you mean 'fp8'"),
        ({QKV[0] + "x": "fp8"}, r"no such linear .*did you mean '.*q_proj'"),
        ({"language_model.lm_head": "fp8"}, "no such linear"),
    ],
)
def test_formats_by_module_that_cannot_be(
    model: VLM, save: Callable[..., Path], tmp_path: Path, target: dict[str, str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        save(model, format=target)
    assert list(tmp_path.iterdir()) == []


def test_exceptions_may_not_split_formats_by_module(model: VLM, save: Callable[..., Path]) -> None:
    with pytest.raises(ConfigError, match=r"q_proj' bf16, .*k_proj' int8"):
        save(model, format=dict.fromkeys(QKV, "int8"), keep=["*.q_proj"])


def test_widths_that_do_not_fit(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = preset("tiny")
    config = replace(config, lm=replace(config.lm, intermediate_size=80))
    vlm = VLM(config)
    vlm.initialize(torch.Generator().manual_seed(0))
    vlm.eval().requires_grad_(False)
    down = [m for m in LINEARS if m.endswith("down_proj")]
    folder = save_model(vlm, tmp_path / "a", processor=byte_tokenizer(), format="int4")
    assert "2 linears stay in bf16: int4 needs a multiple of 32 input features" in caplog.text
    assert inspect(folder).formats["mlp.down_proj"] == {"plain": 2}
    assert inspect(folder).formats["mlp.up_proj"] == {"int4": 2}
    with pytest.raises(ConfigError, match="it has 80 input features, expected a multiple of 32"):
        save_model(vlm, tmp_path / "b", processor=byte_tokenizer(), format={down[0]: "int4-sym"})
    fits = save_model(vlm, tmp_path / "c", processor=byte_tokenizer(), format={down[0]: "nvfp4"})
    assert inspect(fits).formats["mlp.down_proj"] == {"nvfp4": 1, "plain": 1}


def test_rounded_integers_are_written_as_they_are(model: VLM, save: Callable[..., Path]) -> None:
    """Codes that no encoder here would choose, as a rounding algorithm leaves them."""
    names = [m for m in LINEARS if m.endswith("up_proj")]
    before = {}
    for name, target in zip(names, ("int4", "int4-sym"), strict=True):
        module = quantize_linear(model.get_submodule(name), target)  # type: ignore[arg-type]
        assert isinstance(module, Int4Linear)
        assert module.weight_packed is not None
        module.weight_packed ^= 0x11
        replace_module(model, name, module)
        before[name] = {k: v.clone() for k, v in module.state_dict().items()}
        module(
            torch.ones(1, module.in_features)
        )  # now in the order of its kernel, where it has one
    folder = save(model, format={names[0]: "int4", names[1]: "int4-sym"})
    loaded, _ = load_model(folder, quant="stored")
    for name in names:
        assert same(dict(loaded.get_submodule(name).state_dict()), before[name])
    # Asymmetric codes have to be rounded again for the symmetric format, symmetric ones do not.
    both = save(model, "both", format=dict.fromkeys(names, "int4-sym"))
    again, _ = load_model(both, quant="stored")
    assert same(dict(again.get_submodule(names[1]).state_dict()), before[names[1]])
    found, asymmetric = again.get_submodule(names[0]), model.get_submodule(names[0])
    assert isinstance(found, Int4Linear)
    assert isinstance(asymmetric, Int4Linear)
    assert torch.equal(found.weight_min, -8 * found.weight_scale)
    wanted = Int4Linear.from_float(asymmetric.dequantized_weight(torch.float32), symmetric=True)
    assert same(dict(found.state_dict()), dict(wanted.state_dict()))


def test_split_attention_warns(
    model: VLM, save: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    save(model, format="fp8", keep=["*.q_proj"])
    assert "q, k and v differ in format" in caplog.text


def test_packed_model_in_other_formats(model: VLM, save: Callable[..., Path]) -> None:
    nvfp4, _ = load_model(save(model, "nvfp4", format="nvfp4"), quant="stored")
    reference, _ = load_model(save(nvfp4, "bf16"))
    for name in LINEARS:
        module = nvfp4.get_submodule(name)
        assert isinstance(module, QuantizedLinear)
        assert torch.equal(reference.get_parameter(f"{name}.weight"), module.dequantized_weight())
    fp8, _ = load_model(save(nvfp4, "fp8", format="fp8"), quant="stored")
    assert isinstance(fp8.get_submodule(QKV[0]), Fp8Linear)
    int8, _ = load_model(save(reference, "again"), quant="int8")
    assert isinstance(int8.get_submodule(QKV[0]), Int8Linear)
    from_int8, _ = load_model(save(int8, "from_int8"))
    module = int8.get_submodule(QKV[0])
    assert isinstance(module, QuantizedLinear)
    assert torch.equal(from_int8.get_parameter(f"{QKV[0]}.weight"), module.dequantized_weight())


def test_weight_only_fp8_gets_an_activation_scale(model: VLM, save: Callable[..., Path]) -> None:
    for name in LINEARS:
        weight = model.get_parameter(f"{name}.weight").clone()
        replace_module(model, name, Fp8Linear.from_float(weight))
    stored = tensors(save(model, format="fp8"))
    assert all(float(stored[f"{name}.input_scale"]) == 1.0 for name in LINEARS)


def test_zero_weights(model: VLM, save: Callable[..., Path]) -> None:
    name = f"{BACKBONE}.layers.1.mixer.up_proj"
    model.get_parameter(f"{name}.weight").zero_()
    for format_name in ("fp8", "nvfp4", "int8", "int4", "int4-sym"):
        loaded, _ = load_model(save(model, format_name, format=format_name), quant="stored")
        module = loaded.get_submodule(name)
        assert isinstance(module, QuantizedLinear)
        assert not module.dequantized_weight().any()


def test_shards(model: VLM, save: Callable[..., Path]) -> None:
    events: list[Event] = []
    folder = save(model, max_shard_bytes=100_000, on_event=events.append)
    assert len(list(folder.glob("model-*-of-*.safetensors"))) > 3
    loaded, _ = load_model(folder, quant="stored")
    assert torch.equal(logits(loaded), logits(model))
    assert events[-1].done == events[-1].total == 514_688


def test_files_beside_the_weights(model: VLM, save: Callable[..., Path]) -> None:
    folder = save(model, format="fp8", origin="a test")
    assert {p.name for p in folder.iterdir()} == {
        "README.md",
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "hf_quant_config.json",
        "model.safetensors",
        "preprocessor_config.json",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    config = json.loads((folder / "config.json").read_text())
    assert config["img_context_token_id"] == byte_tokenizer().image_id
    assert config["nanovl"]["origin"] == "a test"
    assert config["quantization_config"]["quant_algo"] == "FP8"
    assert "a test" in (folder / "README.md").read_text()


def test_unknown_format(model: VLM, save: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"format 'nvfp5'.*did you mean 'nvfp4'"):
        save(model, format="nvfp5")
    with pytest.raises(ConfigError, match=r"format 'int9'.*did you mean 'int8'"):
        save(model, format="int9")
    with pytest.raises(ConfigError, match="matches no linear"):
        save(model, format="fp8", keep=["*.nothing"])
    assert list(tmp_path.iterdir()) == []


def test_nan_leaves_nothing_behind(model: VLM, save: Callable[..., Path], tmp_path: Path) -> None:
    model.get_parameter(f"{BACKBONE}.norm_f.weight")[3] = float("nan")
    with pytest.raises(NanoVLError, match=r"norm_f\.weight' contains NaN"):
        save(model)
    assert list(tmp_path.iterdir()) == []


def test_interrupted_saving_leaves_the_old_checkpoint(
    model: VLM, save: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save(model)
    before = tensors(folder)

    def stop(*args: object, **options: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(export, "write_shards", stop)
    with pytest.raises(KeyboardInterrupt):
        save(model, format="fp8", overwrite=True)
    assert same(tensors(folder), before)
    assert [p.name for p in folder.parent.iterdir()] == ["out"]


def test_tokenizer_larger_than_the_table(model: VLM, tmp_path: Path) -> None:
    mini = Tokenizer.from_folder(asset("mini"))
    with pytest.raises(CheckpointError, match="embedding table 320 rows"):
        save_model(model, tmp_path / "out", processor=mini)


def test_tied_model(tmp_path: Path) -> None:
    config = preset("tiny")
    config = replace(config, lm=replace(config.lm, tie_embeddings=True))
    vlm = VLM(config)
    vlm.initialize(torch.Generator().manual_seed(0))
    vlm.eval().requires_grad_(False)
    folder = save_model(vlm, tmp_path / "out", processor=byte_tokenizer(), format="fp8")
    assert "language_model.lm_head.weight" not in tensors(folder)
    loaded, _ = load_model(folder, quant="bf16")
    assert loaded.config == config
    assert logits(loaded).shape == (40, 320)
