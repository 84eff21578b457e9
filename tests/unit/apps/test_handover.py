"""What a folder needs before vLLM can load it."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from nanovl.apps.handover import launch_command, missing_for_vllm, take_code
from nanovl.checkpoint.random_weights import write_random
from nanovl.core.errors import CheckpointError, InputError

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def released(tmp_path):
    folder = tmp_path / "released"
    folder.mkdir()
    auto_map = {"AutoConfig": "configuration.Config", "AutoModel": "modeling.Model"}
    (folder / "config.json").write_text(json.dumps({"auto_map": auto_map}))
    for name in ("configuration.py", "modeling.py"):
        (folder / name).write_text("raise SystemExit('must not run')\n")
    return folder


@pytest.mark.parametrize("format", ["bf16", "fp8", "nvfp4", "int8", "int4-sym"])
def test_an_export_lacks_the_released_code_and_nothing_else(tmp_path, released, format):
    folder = write_random("tiny", tmp_path / "out", format)
    (missing,) = missing_for_vllm(folder)
    assert "auto_map" in missing
    before = json.loads((folder / "config.json").read_text())
    assert take_code(released, folder) == ["configuration.py", "modeling.py"]
    assert missing_for_vllm(folder) == []
    after = json.loads((folder / "config.json").read_text())
    assert {k: v for k, v in after.items() if k != "auto_map"} == before
    assert take_code(released, folder) == []


def test_what_is_missing_is_named(tmp_path):
    folder = write_random("tiny", tmp_path / "out", "fp8")
    (folder / "preprocessor_config.json").unlink()
    (folder / "hf_quant_config.json").unlink()
    config = json.loads((folder / "config.json").read_text())
    del config["vision_config"]
    config["quantization_config"]["ignore"] = []
    config["auto_map"] = {"AutoConfig": "gone.Config"}
    (folder / "config.json").write_text(json.dumps(config))
    text = "\n".join(missing_for_vllm(folder))
    for name in ("preprocessor_config.json", "hf_quant", "vision_config", "lm_head", "gone.py"):
        assert name in text


def test_int4_of_our_own_is_not_for_vllm(tmp_path, released):
    folder = write_random("tiny", tmp_path / "out", "int4")
    take_code(released, folder)
    (missing,) = missing_for_vllm(folder)
    assert "convert to int4-sym" in missing


def test_faults_of_compressed_tensors_are_named(tmp_path, released):
    folder = write_random("tiny", tmp_path / "out", "int8")
    take_code(released, folder)
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"]["ignore"].remove("language_model.lm_head")
    config["quantization_config"]["config_groups"]["group_0"]["weights"]["num_bits"] = 4
    (folder / "config.json").write_text(json.dumps(config))
    missing = missing_for_vllm(folder)
    assert any("ignore lacks lm_head" in m for m in missing)
    assert any("stored as int8, the config says int4" in m for m in missing)


def test_folders_that_cannot_be_used(tmp_path, released):
    with pytest.raises(InputError, match=r"config.json: cannot be read"):
        missing_for_vllm(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match="no auto_map"):
        take_code(tmp_path, tmp_path)
    folder = write_random("tiny", tmp_path / "out")
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError):
        missing_for_vllm(folder)


def test_the_guide_shows_this_command():
    command = launch_command("my-checkpoint", pruning_rate=0.75)
    page = (ROOT / "docs" / "guides" / "vllm.md").read_text(encoding="utf-8")
    shown = page.split("<!-- launch -->")[1].split("```bash\n")[1].split("```")[0]
    assert shlex.split(shown.replace("\\\n", " ")) == shlex.split(command)
    assert "--tensor-parallel-size 4" in launch_command("x", gpus=4)
    assert "pruning" not in launch_command("x")
