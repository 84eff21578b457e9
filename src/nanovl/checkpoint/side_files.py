"""The small files beside the weights: configuration, tokenizer, template, model card.

Written so that other engines find what they look for; nanovl itself needs config.json, the weights
and tokenizer.json, and honours generation_config.json. Touches no tensors.

Source: model specification, sections 8.2, 9.1 and 9.8; quantization specification, section 5.1.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nanovl.checkpoint.config_json import read_json
from nanovl.checkpoint.config_render import render_config
from nanovl.checkpoint.quant_config import quant_configs
from nanovl.checkpoint.quantized import StoredLinear
from nanovl.checkpoint.safetensors_io import disk_errors
from nanovl.checkpoint.shards import write_json
from nanovl.core.errors import CheckpointError
from nanovl.core.paths import asset
from nanovl.model.config import VLMConfig
from nanovl.processing.tokenizer import MediaNames, Tokenizer
from nanovl.processing.vocab import BOS, TURN_END, UNKNOWN

__all__ = [
    "check_tokenizer",
    "copy_side_files",
    "media_names",
    "stop_ids",
    "write_config_files",
    "write_model_card",
    "write_tokenizer_files",
]

# Made anew for every checkpoint, never copied from another one.
_OWN_FILES = frozenset(
    {"config.json", "hf_quant_config.json", "model.safetensors.index.json", "README.md"}
)
_COPIED_SUFFIXES = (".json", ".jinja", ".txt")


def media_names(config: VLMConfig) -> MediaNames:
    """The media tokens a checkpoint's config asks for."""
    return MediaNames(
        image=config.image_token,
        image_start=config.image_start_token,
        image_end=config.image_end_token,
        video=config.video_token,
    )


def check_tokenizer(tokenizer: Tokenizer, config: VLMConfig, where: str) -> None:
    """Refuse a vocabulary with ids the embedding table has no rows for.

    Raises:
        CheckpointError: More ids than rows.
    """
    if tokenizer.size > config.lm.vocab_size:
        raise CheckpointError(
            f"{where}: the tokenizer has {tokenizer.size} ids but the embedding table "
            f"{config.lm.vocab_size} rows; tokenizer and weights are of different models"
        )


def stop_ids(folder: Path, tokenizer: Tokenizer) -> tuple[int, ...]:
    """Ids that end an answer: the tokenizer's, and those of generation_config.json if there is one.

    Raises:
        CheckpointError: generation_config.json is damaged.
    """
    ids = list(tokenizer.eos_ids)
    path = folder / "generation_config.json"
    if path.is_file():
        value = read_json(path).get("eos_token_id")
        extra = value if isinstance(value, list) else [] if value is None else [value]
        if not all(isinstance(v, int) for v in extra):
            raise CheckpointError(f"{path}: eos_token_id is {value!r}, expected one or more ids")
        ids += extra
    return tuple(dict.fromkeys(ids))


def write_config_files(
    folder: Path,
    config: VLMConfig,
    layers: Mapping[str, StoredLinear],
    *,
    version: str,
    origin: str,
    token_ids: Mapping[str, int] | None = None,
    base: Mapping[str, Any] | None = None,
) -> None:
    """Write config.json and, for FP8 and NVFP4, hf_quant_config.json.

    Args:
        folder: An existing folder.
        config: The model.
        layers: Format of every linear of the decoder.
        version: Version of nanovl.
        origin: Where the weights come from.
        token_ids: Ids of control tokens by their text.
        base: config.json of the checkpoint this one is made from; its other fields are kept.

    Raises:
        CheckpointError: The formats cannot be described, or the disk cannot be written.
    """
    configs = quant_configs(config, layers, version=version)
    data = render_config(
        config,
        token_ids=token_ids,
        quantization=configs[1] if configs else None,
        origin=origin,
        version=version,
    )
    if base is not None:
        data = _overlay(base, data)
        if configs is None:
            data.pop("quantization_config", None)
    write_json(folder / "config.json", data)
    if configs is not None and configs[0] is not None:
        write_json(folder / "hf_quant_config.json", configs[0])


def _overlay(base: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with every value of ours put in, one level into sections of the model."""
    result = dict(base)
    for key, value in ours.items():
        if key == "vision_config" and key in base:
            continue  # nothing in it is ours to change
        section = "text_config" if key == "llm_config" and "text_config" in base else key
        old = result.get(section)
        if section in ("llm_config", "text_config") and isinstance(old, Mapping):
            result[section] = {**old, **value}
        else:
            result[section] = value
    return result


def write_tokenizer_files(folder: Path, tokenizer: Tokenizer, config: VLMConfig) -> None:
    """Write the tokenizer, generation and image-processor files and the chat template.

    Raises:
        CheckpointError: The disk cannot be written.
    """
    pad = next(t for t, i in tokenizer.control_tokens.items() if i == tokenizer.pad_id)
    basic = {"bos_token": BOS, "eos_token": TURN_END, "pad_token": pad}
    if UNKNOWN in tokenizer.control_tokens:
        basic["unk_token"] = UNKNOWN
    others = [t for t in tokenizer.control_tokens if t not in basic.values()]
    with disk_errors(folder):
        tokenizer.save(folder / "tokenizer.json")
        shutil.copyfile(asset("chat_template.jinja"), folder / "chat_template.jinja")
    write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            **basic,
            "add_bos_token": False,
            "add_eos_token": False,
            "clean_up_tokenization_spaces": False,
            "model_max_length": config.max_sequence_length,
        },
    )
    write_json(folder / "special_tokens_map.json", {**basic, "additional_special_tokens": others})
    write_json(
        folder / "generation_config.json",
        {
            "bos_token_id": tokenizer.bos_id,
            "eos_token_id": list(tokenizer.eos_ids),
            "pad_token_id": tokenizer.pad_id,
            "do_sample": False,
        },
    )
    write_json(
        folder / "preprocessor_config.json",
        {
            "image_size": config.image_size,
            "max_num_tiles": config.max_num_tiles,
            "use_thumbnail": config.use_thumbnail,
            "patch_size": config.vision.patch_size,
            "downsample_ratio": 0.5,
            "norm_mean": list(config.norm_mean),
            "norm_std": list(config.norm_std),
        },
    )


def copy_side_files(source: Path, target: Path) -> None:
    """Copy tokenizer, template and processor files byte for byte; never code.

    Raises:
        CheckpointError: A file cannot be copied.
    """
    with disk_errors(target):
        for path in sorted(source.iterdir()):
            if not path.is_file() or path.suffix not in _COPIED_SUFFIXES:
                continue
            if path.name not in _OWN_FILES and not path.name.endswith(".safetensors.index.json"):
                shutil.copyfile(path, target / path.name)


def write_model_card(
    folder: Path, config: VLMConfig, *, format_name: str, origin: str, version: str
) -> None:
    """Write a README.md that says what is in the folder.

    Raises:
        CheckpointError: The disk cannot be written.
    """
    lm = config.lm
    text = f"""---
library_name: nanovl
pipeline_tag: image-text-to-text
---

# Nemotron Nano V2 VL, {config.num_parameters / 1e6:,.1f} M parameters, {format_name}

Written by nanovl {version} in the layout of the released checkpoints.

| | |
|---|---|
| weights | {origin} |
| format | {format_name} |
| decoder | {lm.num_layers} layers `{lm.pattern}`, width {lm.hidden_size} |
| vocabulary | {lm.vocab_size} rows |
| vision encoder | {config.vision.num_layers} blocks, width {config.vision.hidden_size} |
| tile | {config.image_size} pixels, {config.tokens_per_tile} visual tokens |
| context | {config.max_sequence_length} tokens |

    nanovl chat "What do you see?" -a picture.png -m PATH_OF_THIS_FOLDER
"""
    with disk_errors(folder):
        (folder / "README.md").write_text(text, encoding="utf-8")
