"""A checkpoint handed over to vLLM: what its loader needs, looked up in headers, and the command.

vLLM runs this architecture with code of its own, but reads the configuration and the processor
through classes that come as Python files with the released repositories. nanovl never runs those
and writes none; `take_code` copies them beside exported weights. A checkpoint that loads may still
give wrong numbers: compare answers before relying on it.

Source: quantization specification, section 9; model specification, sections 9.1 and 9.6.
"""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

from nanovl.checkpoint.hf import open_checkpoint
from nanovl.checkpoint.layouts import COMPRESSED_TENSORS, NANOVL
from nanovl.checkpoint.match import match
from nanovl.core.errors import InputError

__all__ = ["launch_command", "missing_for_vllm", "take_code"]

ARCHITECTURE = "NemotronH_Nano_VL_V2"
_FILES = (
    "generation_config.json",
    "preprocessor_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
)
_FIELDS = (
    "llm_config",
    "vision_config",
    "force_image_size",
    "patch_size",
    "downsample_ratio",
    "ps_version",
    "vit_hidden_size",
    "projector_hidden_size",
    "norm_mean",
    "norm_std",
    "img_context_token_id",
)


def missing_for_vllm(folder: str | Path) -> list[str]:
    """What a folder lacks for vLLM, as sentences; empty when nothing is missing.

    Reads headers and small files only.

    Raises:
        CheckpointError: The weights are incomplete or damaged.
        InputError: `config.json` cannot be read.
    """
    folder = Path(folder)
    config = _read(folder / "config.json")
    missing = [f"{name}: no such file" for name in _FILES if not (folder / name).is_file()]
    missing += [f"config.json: no {name}" for name in _FIELDS if name not in config]
    if config.get("architectures") != [ARCHITECTURE]:
        missing.append(f"config.json: architectures is not {[ARCHITECTURE]}")
    auto_map = config.get("auto_map") or {}
    if "AutoConfig" not in auto_map:
        missing.append("config.json: no auto_map; copy the released repository's code (take_code)")
    for target in auto_map.values():
        file = f"{str(target).partition('.')[0]}.py"
        if not (folder / file).is_file():
            missing.append(f"{file}: no such file, but auto_map names it")
    quantization = config.get("quantization_config")
    if quantization:
        missing += _missing_scales(folder, quantization)
    else:
        with open_checkpoint(folder):
            pass  # complete, or it says what is not
    return missing


def _missing_scales(folder: Path, quantization: dict[str, Any]) -> list[str]:
    """Scales without which vLLM loads a quantized checkpoint and computes nonsense."""
    missing = []
    method = str(quantization.get("quant_method", ""))
    if not any("lm_head" in str(name) for name in quantization.get("ignore", ())):
        missing.append("quantization_config: ignore lacks lm_head, logits would be NaN")
    if method == NANOVL:
        missing.append("quantization_config: only nanovl reads its INT4; convert to int4-sym")
        return missing
    if method == COMPRESSED_TENSORS:
        with open_checkpoint(folder) as files:
            return missing + list(match(files).notes)
    if not method.startswith("modelopt"):
        missing.append("quantization_config: quant_method is not modelopt or compressed-tensors")
    sidecar = folder / "hf_quant_config.json"
    if not sidecar.is_file() or _read(sidecar).get("producer", {}).get("name") != "modelopt":
        missing.append("hf_quant_config.json: missing, or its producer is not modelopt")
    with open_checkpoint(folder) as files:
        names = {name for header in files.headers.values() for name in header.entries}
    for name in sorted(names):
        if name.endswith(".weight_scale"):
            stem = name.removesuffix("weight_scale")
            missing += [f"{stem}{n}: missing" for n in ("weight", "input_scale")
                        if stem + n not in names]  # fmt: skip
    return missing


def take_code(source: str | Path, folder: str | Path) -> list[str]:
    """Copy the Python files of a released repository, and name them in `config.json`.

    Nothing of it is run here. Files that are there already are kept.

    Args:
        source: A downloaded copy of the released repository.
        folder: The exported checkpoint.

    Returns:
        Names of the files that were copied.

    Raises:
        InputError: The source has no such code, or a file cannot be read or written.
    """
    source, folder = Path(source), Path(folder)
    auto_map = _read(source / "config.json").get("auto_map")
    files = sorted(p for p in source.glob("*.py") if p.is_file())
    if not auto_map or not files:
        raise InputError(
            f"{source}: no auto_map in config.json, or no Python files; expected a released "
            "repository that was downloaded whole"
        )
    config = _read(folder / "config.json")
    copied = []
    try:
        for path in files:
            if not (folder / path.name).exists():
                shutil.copyfile(path, folder / path.name)
                copied.append(path.name)
        text = json.dumps({**config, "auto_map": auto_map}, indent=2, ensure_ascii=False)
        (folder / "config.json").write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror})") from error
    return copied


def launch_command(
    folder: str | Path, *, max_model_len: int = 131072, pruning_rate: float = 0.0, gpus: int = 1
) -> str:
    """The command that serves a checkpoint with vLLM.

    Args:
        folder: The checkpoint.
        max_model_len: Longest prompt and answer together.
        pruning_rate: Share of video tokens to drop; 0 drops none.
        gpus: GPUs to spread the model over.
    """
    video = json.dumps({"video": {"fps": 2, "num_frames": 128}})
    words = ["vllm", "serve", str(folder), "--trust-remote-code", "--max-model-len"]
    words += [str(max_model_len), "--media-io-kwargs", video, "--mamba-ssm-cache-dtype", "float32"]
    if pruning_rate:
        words += ["--video-pruning-rate", f"{pruning_rate:g}"]
    if gpus > 1:
        words += ["--tensor-parallel-size", str(gpus)]
    return shlex.join(words)


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise InputError(f"{path}: is not JSON ({error})") from error
    if not isinstance(value, dict):
        raise InputError(f"{path}: expected a JSON object")
    return value
