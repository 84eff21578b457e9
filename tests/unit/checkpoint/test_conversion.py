"""Files to files: new shards, new formats, nothing half-written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from nanovl.checkpoint.build import load_model, save_model
from nanovl.checkpoint.conversion import convert
from nanovl.checkpoint.info import inspect
from nanovl.checkpoint.keymap import linear_modules
from nanovl.checkpoint.random_weights import write_random
from nanovl.core.errors import CheckpointError, ConfigError
from nanovl.model.config import preset
from nanovl.quant.linear import Int4Linear, QuantizedLinear

FORMATS = ("fp8", "nvfp4", "int8", "int4", "int4-sym")
State = dict[str, torch.Tensor]
MakeFolder = Callable[..., Path]


def tensors(folder: Path) -> State:
    return {n: t for path in folder.glob("*.safetensors") for n, t in load_file(path).items()}


def same(a: State, b: State) -> bool:
    return set(a) == set(b) and all(
        a[n].dtype == b[n].dtype
        and a[n].shape == b[n].shape
        and torch.equal(a[n].reshape(-1).view(torch.uint8), b[n].reshape(-1).view(torch.uint8))
        for n in a
    )


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("sources")
    return {f: write_random("tiny", root / f, f) for f in ("bf16", *FORMATS)}


@pytest.mark.parametrize("name", ["bf16", *FORMATS])
def test_new_shards_keep_every_byte(folders: dict[str, Path], tmp_path: Path, name: str) -> None:
    many = convert(folders[name], tmp_path / "many", max_shard_bytes=60_000)
    assert len(list(many.glob("*.safetensors"))) > 2
    assert same(tensors(many), tensors(folders[name]))
    one = convert(many, tmp_path / "one")
    assert [p.name for p in one.glob("*.safetensors*")] == ["model.safetensors"]
    assert same(tensors(one), tensors(folders[name]))
    for file in folders[name].iterdir():
        if not file.name.startswith("model"):
            assert (one / file.name).read_bytes() == file.read_bytes(), file.name


def test_new_shards_keep_names_and_unused_tensors(
    make_folder: MakeFolder, tiny_state: State, tmp_path: Path
) -> None:
    state = {f"model.{name}": t for name, t in tiny_state.items()}
    state["vision_model.radio_model.summary_idxs"] = torch.tensor([0, 1])
    state["vision_model.radio_model.input_conditioner.norm_mean"] = torch.zeros(3, 1, 1)
    out = convert(make_folder(state), tmp_path / "out", max_shard_bytes=60_000)
    assert same(tensors(out), state)


@pytest.mark.parametrize("name", FORMATS)
def test_conversion_equals_saving_the_model(
    folders: dict[str, Path], tmp_path: Path, name: str
) -> None:
    converted = convert(folders["bf16"], tmp_path / "converted", format=name)
    assert same(tensors(converted), tensors(folders[name]))
    model, processor = load_model(folders["bf16"])
    saved = save_model(model, tmp_path / "saved", processor=processor, format=name)
    assert same(tensors(converted), tensors(saved))
    for file in ("tokenizer.json", "chat_template.jinja"):
        assert (converted / file).read_bytes() == (saved / file).read_bytes(), file
    legacy = "hf_quant_config.json"
    assert (converted / legacy).is_file() == (saved / legacy).is_file() == (name in FORMATS[:2])
    if (saved / legacy).is_file():
        assert (converted / legacy).read_bytes() == (saved / legacy).read_bytes()


@pytest.mark.parametrize("name", FORMATS)
def test_decoding(folders: dict[str, Path], tmp_path: Path, name: str) -> None:
    plain = convert(folders[name], tmp_path / "plain", format="bf16")
    assert not (plain / "hf_quant_config.json").exists()
    assert "quantization_config" not in json.loads((plain / "config.json").read_text())
    model, _ = load_model(folders[name], quant="bf16")
    assert same(tensors(plain), dict(model.state_dict()))
    info = inspect(plain)
    assert info.problem is None
    assert info.quant_algo == ""


def test_packed_layers_pass_through(folders: dict[str, Path], tmp_path: Path) -> None:
    for name in FORMATS:
        again = convert(folders[name], tmp_path / name, format=name)
        assert same(tensors(again), tensors(folders[name])), name
    other = convert(folders["nvfp4"], tmp_path / "other", format="fp8")
    assert inspect(other).quant_algo == "FP8"
    assert inspect(other).warnings == ()


@pytest.mark.parametrize("source", ["fp8", "nvfp4", "int8"])
@pytest.mark.parametrize("name", ["int8", "int4", "int4-sym"])
def test_integers_of_packed_layers_are_those_of_loading(
    folders: dict[str, Path], tmp_path: Path, source: str, name: str
) -> None:
    """A file in INT8 or INT4 holds what a model transcoded while loading would."""
    folder = convert(folders[source], tmp_path / "out", format=name)
    info = inspect(folder)
    assert (info.problem, info.warnings) == (None, ())
    loaded = load_model(folder, quant="stored")[0].state_dict()
    if name == "int4-sym":
        packed = load_model(folders[source], quant="stored")[0]
        for module in linear_modules(packed.config.lm):
            held = packed.get_submodule(module)
            assert isinstance(held, QuantizedLinear)
            weight = held.dequantized_weight(torch.float32)
            wanted = Int4Linear.from_float(weight, symmetric=True).state_dict()
            assert same({k: loaded[f"{module}.{k}"] for k in wanted}, dict(wanted))
    else:
        assert same(dict(loaded), dict(load_model(folders[source], quant=name)[0].state_dict()))


def test_symmetric_int4_fits_the_asymmetric_format(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    own = convert(folders["int4-sym"], tmp_path / "own", format="int4")
    back = convert(own, tmp_path / "back", format="int4-sym")
    assert same(tensors(back), tensors(folders["int4-sym"]))
    assert inspect(own).quant_algo == "nanovl int4"
    assert inspect(back).quant_algo == "compressed-tensors pack-quantized"


def test_formats_by_module(folders: dict[str, Path], tmp_path: Path) -> None:
    linears = list(linear_modules(preset("tiny").lm))
    down = [m for m in linears if m.endswith("down_proj")]
    out = convert(folders["nvfp4"], tmp_path / "out", format=dict.fromkeys(down, "nvfp4"))
    assert inspect(out).formats["mlp.down_proj"] == {"nvfp4": 2}
    assert inspect(out).formats["mlp.up_proj"] == {"plain": 2}
    # Other layers of the layout of compressed-tensors: same codes under other names.
    mixed = {m: "int8" for m in linears if m.endswith("up_proj")} | dict.fromkeys(down, "nvfp4")
    beside = convert(folders["nvfp4"], tmp_path / "beside", format=mixed)
    a, b = tensors(folders["nvfp4"]), tensors(beside)
    for module in down:
        assert torch.equal(a[f"{module}.weight"], b[f"{module}.weight_packed"])
        assert torch.equal(
            a[f"{module}.weight_scale_2"].reciprocal().reshape(1),
            b[f"{module}.weight_global_scale"],
        )
    back = convert(beside, tmp_path / "back", format=dict.fromkeys(down, "nvfp4"))
    assert torch.equal(a[f"{down[0]}.weight"], tensors(back)[f"{down[0]}.weight"])


def test_fields_of_the_source_config_are_kept(folders: dict[str, Path], tmp_path: Path) -> None:
    source = convert(folders["bf16"], tmp_path / "source")
    data = json.loads((source / "config.json").read_text())
    data["template"] = "nemotron5h-aligned"
    data["llm_config"]["time_step_min"] = 0.001
    data["text_config"] = data.pop("llm_config")
    (source / "config.json").write_text(json.dumps(data))
    (source / "modeling.py").write_text("raise SystemExit")
    out = convert(source, tmp_path / "out", format="fp8")
    result = json.loads((out / "config.json").read_text())
    assert result["template"] == "nemotron5h-aligned"
    assert result["text_config"]["time_step_min"] == 0.001
    assert "llm_config" not in result
    assert result["quantization_config"]["quant_algo"] == "FP8"
    assert not (out / "modeling.py").exists()
    assert load_model(out)[0].config == load_model(source)[0].config


def test_origin_travels(folders: dict[str, Path], tmp_path: Path) -> None:
    out = convert(folders["bf16"], tmp_path / "out", format="fp8")
    assert inspect(out).origin == inspect(folders["bf16"]).origin


def test_wrong_arguments(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="same folder"):
        convert(folders["bf16"], folders["bf16"], overwrite=True)
    with pytest.raises(CheckpointError, match="no such folder"):
        convert(tmp_path / "nothing", tmp_path / "out")
    with pytest.raises(ConfigError, match="format 'x'"):
        convert(folders["bf16"], tmp_path / "out", format="x")
    assert list(tmp_path.iterdir()) == []


def test_damaged_source_leaves_nothing(
    make_folder: MakeFolder, tiny_state: State, tmp_path: Path
) -> None:
    name = "mlp1.1.weight"
    broken = tiny_state[name].clone()
    broken[0, 0] = float("nan")
    source = make_folder(tiny_state | {name: broken})
    with pytest.raises(CheckpointError, match=r"mlp1\.1\.weight' contains NaN"):
        convert(source, tmp_path / "out", format="bf16")
    assert [p.name for p in tmp_path.iterdir()] == ["ckpt"]
