"""A checkpoint as GGUF files for llama.cpp: the decoder, and the vision half beside it.

The decoder becomes the architecture "nemotron_h", encoder and projector a file of type "mmproj"
with the projector "nemotron_v2_vl". Names, keys and reshapes are those llama.cpp looks for; numbers
are nanovl's. What llama.cpp does with pictures is its own: one square per picture, no tiles, no
video.

Reads and writes tensor by tensor, so memory holds the largest layer only.

Source: public tables of the `gguf` package 0.19 and llama.cpp's loader; docs/concepts/gguf.md.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from nanovl import __version__
from nanovl.checkpoint.gguf_io import Q8_BLOCK, GgufTensor, GgufWriter, Value
from nanovl.checkpoint.hf import open_checkpoint
from nanovl.checkpoint.keymap import BACKBONE, VISION, expected_tensors
from nanovl.checkpoint.match import match
from nanovl.checkpoint.names import resolve
from nanovl.checkpoint.shards import atomic_folder
from nanovl.checkpoint.side_files import check_tokenizer, media_names
from nanovl.checkpoint.sources import FileSource
from nanovl.core.config import nearest
from nanovl.core.errors import CheckpointError, ConfigError
from nanovl.core.events import Event, OnEvent, ignore_event
from nanovl.core.paths import asset
from nanovl.model.config import VLMConfig
from nanovl.model.vision import cropped_positions
from nanovl.processing.tokenizer import Tokenizer
from nanovl.processing.vocab import BOS, TURN_END, UNKNOWN

__all__ = ["FORMATS", "export_gguf"]

# Name of a conversion -> number type of the decoder's matrices.
FORMATS = {"gguf": "BF16", "gguf-q8": "Q8_0"}

# Values of `general.file_type`.
_FILE_TYPES = {"BF16": 32, "Q8_0": 7}
_NORMAL, _CONTROL, _UNUSED = 1, 3, 5  # kinds of tokens
# The name llama.cpp has for the pattern that splits text into words before merging.
_PATTERNS = {
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+": "tekken",
}
# What llama.cpp computes with, whatever a file says.
_PROJECTOR_EPS = 1e-6
_CHUNK = 1 << 24

Change = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class _Item:
    """A tensor of ours, what it becomes, and how."""

    name: str
    result: GgufTensor
    change: Change | None = None


def export_gguf(
    source: str | Path,
    folder: str | Path,
    format: str = "gguf",
    *,
    overwrite: bool = False,
    on_event: OnEvent = ignore_event,
) -> Path:
    """Write a checkpoint as `model.gguf` and `mmproj.gguf`.

    Args:
        source: Folder or name of the checkpoint to read; packed layers are decoded.
        folder: Where to; must not exist or be empty, or be a checkpoint to `overwrite`.
        format: "gguf" (BF16), or "gguf-q8" (the decoder's matrices in Q8_0).
        overwrite: Whether a checkpoint that is already there may be replaced.
        on_event: Told about bytes written.

    Returns:
        The folder.

    Raises:
        ConfigError: Unknown format.
        CheckpointError: The source is damaged or is a model llama.cpp computes otherwise, the
            target is in the way, or the disk is full.
    """
    if format not in FORMATS:
        raise ConfigError(
            f"format {format!r}: expected one of {', '.join(FORMATS)}{nearest(format, FORMATS)}"
        )
    origin = resolve(source, on_event=on_event)
    target = Path(folder).expanduser()
    with (
        open_checkpoint(origin) as files,
        atomic_folder(target, overwrite=overwrite) as scratch,
    ):
        found = match(files)
        config = found.config
        _check(config, str(origin))
        tokenizer = Tokenizer.from_folder(origin, names=media_names(config))
        check_tokenizer(tokenizer, config, str(origin))
        reader = FileSource(files, found)
        kind = FORMATS[format]
        language = {
            **_general("nemotron_h", "model", origin.name, kind),
            **_decoder_keys(config),
            **_tokenizer_keys(tokenizer, config),
        }
        vision = {**_general("clip", "mmproj", origin.name, "BF16"), **_vision_keys(config)}
        parts = (
            ("model.gguf", language, list(_decoder_items(config, kind))),
            ("mmproj.gguf", vision, list(_vision_items(config))),
        )
        total = sum(item.result.nbytes for _, _, items in parts for item in items)
        done = 0
        for name, keys, items in parts:
            with GgufWriter(scratch / name, keys, [item.result for item in items]) as writer:
                for item in items:
                    _write(writer, reader, item)
                    done += item.result.nbytes
                    on_event(Event(name="write", done=done, total=total, unit="bytes"))
    return target


def _check(config: VLMConfig, where: str) -> None:
    """Refuse what llama.cpp would compute with other numbers."""
    wrong = []
    if config.pixel_shuffle_version != "v2":
        wrong.append(f"ps_version {config.pixel_shuffle_version!r}")
    if config.lm.time_step_limit != (0.0, math.inf):
        wrong.append(f"time_step_limit {config.lm.time_step_limit}")
    if config.projector.norm_eps > 100 * _PROJECTOR_EPS:
        wrong.append(f"projector norm_eps {config.projector.norm_eps:g}")
    if wrong:
        raise CheckpointError(
            f"{where}: {', '.join(wrong)} is not what llama.cpp computes with; it cannot run this "
            "model, use nanovl or vLLM"
        )


def _general(architecture: str, kind: str, name: str, number: str) -> dict[str, Value]:
    return {
        "general.architecture": architecture,
        "general.type": kind,
        "general.name": name,
        "general.file_type": _FILE_TYPES[number],
        "general.quantization_version": 2,
        "general.description": f"written by nanovl {__version__}",
    }


def _decoder_keys(config: VLMConfig) -> dict[str, Value]:
    lm = config.lm
    keys: dict[str, Value] = {
        "block_count": lm.num_layers,
        "context_length": lm.max_positions,
        "embedding_length": lm.hidden_size,
        # Which kind a layer is follows from these two lists.
        "feed_forward_length": [lm.intermediate_size if c == "-" else 0 for c in lm.pattern],
        "attention.head_count_kv": [lm.num_kv_heads if c == "*" else 0 for c in lm.pattern],
        "attention.head_count": lm.num_heads,
        "attention.key_length": lm.head_dim,
        "attention.value_length": lm.head_dim,
        # Its loader asks for the first and computes with the second.
        "attention.layer_norm_epsilon": float(lm.norm_eps),
        "attention.layer_norm_rms_epsilon": float(lm.norm_eps),
        "vocab_size": lm.vocab_size,
        "rope.scaling.finetuned": False,
        "ssm.conv_kernel": lm.conv_kernel,
        "ssm.inner_size": lm.mamba_inner_size,
        "ssm.state_size": lm.ssm_state_size,
        "ssm.group_count": lm.num_groups,
        "ssm.time_step_rank": lm.mamba_num_heads,
    }
    return {f"nemotron_h.{key}": value for key, value in keys.items()}


def _vision_keys(config: VLMConfig) -> dict[str, Value]:
    vision = config.vision
    return {
        "clip.has_vision_encoder": True,
        "clip.projector_type": "nemotron_v2_vl",
        "clip.use_gelu": True,
        "clip.vision.image_size": config.image_size,
        "clip.vision.patch_size": vision.patch_size,
        "clip.vision.embedding_length": vision.hidden_size,
        "clip.vision.feed_forward_length": vision.intermediate_size,
        "clip.vision.block_count": vision.num_layers,
        "clip.vision.projection_dim": config.lm.hidden_size,
        "clip.vision.attention.head_count": vision.num_heads,
        "clip.vision.attention.layer_norm_epsilon": float(vision.norm_eps),
        "clip.vision.projector.scale_factor": 2,
        "clip.vision.image_mean": [float(v) for v in config.norm_mean],
        "clip.vision.image_std": [float(v) for v in config.norm_std],
    }


def _tokenizer_keys(tokenizer: Tokenizer, config: VLMConfig) -> dict[str, Value]:
    data = json.loads(tokenizer.to_json())
    words = {i: word for word, i in data["model"]["vocab"].items()}
    control = {token["id"]: token["content"] for token in data.get("added_tokens", ())}
    names, kinds = [], []
    for i in range(config.lm.vocab_size):
        kind = _CONTROL if i in control else _NORMAL if i in words else _UNUSED
        names.append(control.get(i, words.get(i, f"[PAD{i}]")))
        kinds.append(kind)
    merges = [m if isinstance(m, str) else " ".join(m) for m in data["model"]["merges"]]
    ids = tokenizer.control_tokens
    keys: dict[str, Value] = {
        "model": "gpt2",
        "pre": _pattern_name(data),
        "tokens": names,
        "token_type": kinds,
        "merges": merges,
        "bos_token_id": ids[BOS],
        "eos_token_id": ids[TURN_END],
        "padding_token_id": tokenizer.pad_id,
        "add_bos_token": False,
        "add_eos_token": False,
    }
    if UNKNOWN in ids:
        keys["unknown_token_id"] = ids[UNKNOWN]
    template = asset("chat_template.jinja").read_text(encoding="utf-8")
    return {
        **{f"tokenizer.ggml.{key}": value for key, value in keys.items()},
        "tokenizer.chat_template": template,
    }


def _pattern_name(data: dict[str, object]) -> str:
    """llama.cpp's name for the way a tokenizer splits text.

    Raises:
        CheckpointError: It has none.
    """
    found = json.dumps(data.get("pre_tokenizer"))
    for pattern, name in _PATTERNS.items():
        if json.dumps({"Regex": pattern}) in found and '"ByteLevel"' in found:
            return name
    raise CheckpointError(
        "tokenizer.json: llama.cpp has no name for the way this tokenizer splits text; it would "
        "read other tokens, use nanovl or vLLM"
    )


def _decoder_items(config: VLMConfig, number: str) -> Iterator[_Item]:
    lm = config.lm
    shapes = expected_tensors(config)
    leaves = {
        "norm.weight": "attn_norm.weight",
        "mixer.in_proj.weight": "ssm_in.weight",
        "mixer.conv1d.weight": "ssm_conv1d.weight",
        "mixer.conv1d.bias": "ssm_conv1d.bias",
        "mixer.dt_bias": "ssm_dt.bias",
        "mixer.A_log": "ssm_a",
        "mixer.D": "ssm_d",
        "mixer.norm.weight": "ssm_norm.weight",
        "mixer.out_proj.weight": "ssm_out.weight",
        "mixer.q_proj.weight": "attn_q.weight",
        "mixer.k_proj.weight": "attn_k.weight",
        "mixer.v_proj.weight": "attn_v.weight",
        "mixer.o_proj.weight": "attn_output.weight",
        "mixer.up_proj.weight": "ffn_up.weight",
        "mixer.down_proj.weight": "ffn_down.weight",
    }
    changes: dict[str, tuple[tuple[int, ...], Change | None]] = {
        "ssm_conv1d.weight": ((lm.conv_dim, lm.conv_kernel), None),
        "ssm_a": ((lm.mamba_num_heads, 1), lambda t: -torch.exp(t.float())),
        "ssm_d": ((lm.mamba_num_heads, 1), None),
        "ssm_norm.weight": ((lm.num_groups, lm.mamba_inner_size // lm.num_groups), None),
    }
    outer = {
        f"{BACKBONE}.embeddings.weight": "token_embd.weight",
        f"{BACKBONE}.norm_f.weight": "output_norm.weight",
        "language_model.lm_head.weight": "output.weight",
    }
    for name, shape in shapes.items():
        if not name.startswith("language_model."):
            continue
        if name in outer:
            result, leaf = outer[name], outer[name]
        else:
            index, leaf = name.removeprefix(f"{BACKBONE}.layers.").split(".", 1)
            leaf = leaves[leaf]
            result = f"blk.{index}.{leaf}"
        new_shape, change = changes.get(leaf, (shape, None))
        matrix = len(shape) == 2
        kind = "F32"
        if matrix:
            kind = number if shape[1] % Q8_BLOCK == 0 else "BF16"
        yield _Item(name, GgufTensor(result, kind, new_shape), change)


def _vision_items(config: VLMConfig) -> Iterator[_Item]:
    vision = config.vision
    side = config.image_size // vision.patch_size
    leaves = {
        "norm1": "ln1",
        "norm2": "ln2",
        "attn.qkv": "attn_qkv",
        "attn.proj": "attn_out",
        "mlp.fc1": "ffn_up",
        "mlp.fc2": "ffn_down",
    }
    u, patch = vision.hidden_size, vision.patch_size
    special: dict[str, tuple[str, tuple[int, ...], Change | None]] = {
        "patch_generator.embedder.weight": ("v.patch_embd.weight", (u, 3, patch, patch), None),
        "patch_generator.cls_token.token": (
            "v.class_embd",
            (vision.num_prefix_tokens, u),
            None,
        ),
        # For the only grid there is, with the numbers nanovl has for it.
        "patch_generator.pos_embed": (
            "v.position_embd.weight",
            (side * side, u),
            lambda table: cropped_positions(table.float(), side, side),
        ),
    }
    for name, shape in expected_tensors(config).items():
        if name.startswith("mlp1."):
            number = name.split(".")[1]
            kind = "BF16" if len(shape) == 2 else "F32"
            yield _Item(name, GgufTensor(f"mm.model.mlp.{number}.weight", kind, shape))
        elif name.startswith(f"{VISION}."):
            inner = name.removeprefix(f"{VISION}.")
            if inner in special:
                result, new_shape, change = special[inner]
                yield _Item(name, GgufTensor(result, "F32", new_shape), change)
                continue
            _, index, rest = inner.split(".", 2)
            module, _, leaf = rest.rpartition(".")
            kind = "BF16" if len(shape) == 2 else "F32"
            result = f"v.blk.{index}.{leaves[module]}.{leaf}"
            yield _Item(name, GgufTensor(result, kind, shape))


def _write(writer: GgufWriter, source: FileSource, item: _Item) -> None:
    """Put a tensor, plain ones in pieces of whole rows."""
    stored = source.files.tensors.get(item.name)
    module = item.name.removesuffix(".weight")
    layer = source.match.layers.get(module)
    if stored is None or (layer is not None and layer.kind != "plain"):
        assert layer is not None, item.name
        writer.put(item.result.name, source.weight(layer, torch.float32))
        return
    rows = stored.shape[0]
    if item.change is not None:
        changed = item.change(source.rows(item.name, 0, rows))
        writer.put(item.result.name, changed.reshape(item.result.shape))
        return
    step = max(1, _CHUNK // max(1, math.prod(stored.shape[1:])))
    for start in range(0, rows, step):
        writer.put(item.result.name, source.rows(item.name, start, min(rows, start + step)))
