"""A checkpoint of any preset with random weights, written without building the model.

Every tensor has its own seed, derived from its name, so the weights do not depend on the order of
writing, on the format or on the shard size. Values follow the scratch initialisation, so that a
random model behaves like one at the start of training. The weights know nothing: answers of such a
model are noise.

Source: model specification, section 2.7.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path

import torch

from nanovl import __version__
from nanovl.checkpoint.encode import UNSEEN_AMAX, check_format, plan
from nanovl.checkpoint.keymap import expected_tensors, linear_modules
from nanovl.checkpoint.match import verify
from nanovl.checkpoint.quantized import StoredLinear
from nanovl.checkpoint.shards import DEFAULT_SHARD_BYTES, atomic_folder, write_shards
from nanovl.checkpoint.side_files import (
    check_tokenizer,
    media_names,
    write_config_files,
    write_model_card,
    write_tokenizer_files,
)
from nanovl.core.config import nearest
from nanovl.core.errors import CheckpointError
from nanovl.core.events import OnEvent, ignore_event
from nanovl.core.paths import asset
from nanovl.model.config import VLMConfig, preset
from nanovl.model.vision import initial_deviation, initial_positions
from nanovl.processing.tokenizer import Tokenizer, byte_tokenizer

__all__ = ["RANDOM_ORIGIN", "RandomSource", "is_random", "write_random"]

logger = logging.getLogger(__name__)

RANDOM_ORIGIN = "random"

# Values drawn from one seed; a tensor is a sequence of such blocks of whole rows.
_BLOCK = 1 << 22

_OUT_PROJECTIONS = ("out_proj.weight", "o_proj.weight", "down_proj.weight")


class RandomSource:
    """Random weights by name."""

    def __init__(self, config: VLMConfig, shapes: Mapping[str, tuple[int, ...]], seed: int) -> None:
        """Remember what to draw; nothing is drawn yet.

        Args:
            config: The model.
            shapes: Shape of every tensor.
            seed: Equal seeds give equal weights.
        """
        self._config = config
        self._shapes = shapes
        self._seed = seed

    def layer(self, module: str, shape: tuple[int, int]) -> StoredLinear:
        """As `WeightSource`."""
        return StoredLinear(module=module, kind="plain", shape=shape, roles=frozenset({"weight"}))

    def dtype(self, name: str) -> str:
        """As `WeightSource`."""
        return "F32"

    def rows(self, name: str, start: int, stop: int) -> torch.Tensor:
        """Rows of a tensor, fp32."""
        shape = self._shapes[name]
        per_row = torch.Size(shape[1:]).numel()
        step = max(1, _BLOCK // per_row)
        parts = []
        for block in range(start // step, -(-stop // step)):
            first, last = block * step, min((block + 1) * step, shape[0])
            values = self._draw(name, (last - first, *shape[1:]), block)
            parts.append(values[max(start, first) - first : stop - first])
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def weight(self, layer: StoredLinear, dtype: torch.dtype) -> torch.Tensor:
        """The whole weight (n, k), rounded to bf16 so that every format starts from one model."""
        n, k = layer.shape
        out = torch.empty((n, k), dtype=torch.bfloat16)
        step = max(1, _BLOCK // k)
        for start in range(0, n, step):
            stop = min(n, start + step)
            out[start:stop] = self.rows(layer.name("weight"), start, stop)
        return out

    def packed(self, layer: StoredLinear) -> Mapping[str, torch.Tensor]:
        """As `WeightSource`; there are no packed layers here."""
        raise AssertionError(layer)

    def _draw(self, name: str, shape: tuple[int, ...], block: int) -> torch.Tensor:
        leaf = name.rpartition(".")[2]
        if leaf == "A_log":
            return torch.arange(1, shape[0] + 1, dtype=torch.float32).log()
        if leaf == "D" or ("norm" in name and leaf == "weight") or name == "mlp1.0.weight":
            return torch.ones(shape)
        generator = self._generator(name, block)
        if leaf == "dt_bias":
            low, high = 1e-3, 0.1
            dt = low * (high / low) ** torch.rand(shape, generator=generator)
            return dt + torch.log(-torch.expm1(-dt))  # inverse softplus
        if "conv1d" in name:
            bound = self._config.lm.conv_kernel**-0.5
            return torch.empty(shape).uniform_(-bound, bound, generator=generator)
        if leaf == "bias":
            return torch.zeros(shape)
        if leaf == "pos_embed":
            vision = self._config.vision
            return initial_positions(vision.table_size, vision.hidden_size)
        return torch.empty(shape).normal_(0.0, self._std(name), generator=generator)

    def _std(self, name: str) -> float:
        lm = self._config.lm
        vision = self._config.vision
        if name.endswith("cls_token.token"):
            return float(vision.hidden_size**-0.5)
        if name.startswith("language_model.") and name.endswith(_OUT_PROJECTIONS):
            return float(lm.initializer_range / lm.num_layers**0.5)
        if name.startswith("vision_model."):
            return initial_deviation(vision, name, self._shapes[name][1])
        return lm.initializer_range

    def _generator(self, name: str, block: int) -> torch.Generator:
        digest = hashlib.sha256(f"{self._seed}:{name}:{block}".encode()).digest()
        return torch.Generator().manual_seed(int.from_bytes(digest[:7], "little"))


def is_random(origin: str) -> bool:
    """Whether the origin noted in a config.json says that nothing was ever trained."""
    return origin.startswith(RANDOM_ORIGIN)


def write_random(
    preset_name: str,
    folder: str | Path,
    format: str = "bf16",
    seed: int = 0,
    *,
    tokenizer: Tokenizer | str | Path | None = None,
    max_shard_bytes: int = DEFAULT_SHARD_BYTES,
    overwrite: bool = False,
    on_event: OnEvent = ignore_event,
) -> Path:
    """Write a checkpoint with random weights in the released layout.

    Args:
        preset_name: "12b", "mini" or "tiny".
        folder: Where to; must not exist, be empty, or hold a checkpoint to `overwrite`.
        format: "bf16", "fp8", "nvfp4", "int8", "int4", "int4-sym" or another policy.
        seed: Equal seeds give equal weights, in every format.
        tokenizer: A tokenizer, its file or a folder with one; None takes the byte tokenizer for
            "tiny" and the embedded model's for the others.
        max_shard_bytes: Largest amount of data per shard.
        overwrite: Whether a checkpoint that is already there may be replaced.
        on_event: Told about bytes written.

    Returns:
        The folder.

    Raises:
        ConfigError: Unknown preset or format.
        CheckpointError: The folder is in the way, the tokenizer does not fit, or the disk is full.
    """
    config = preset(preset_name)
    check_format(format)
    words = _tokenizer(preset_name, config, tokenizer)
    source = RandomSource(config, expected_tensors(config), seed)
    # There is nothing to calibrate with.
    ranges = dict.fromkeys(linear_modules(config.lm), UNSEEN_AMAX)
    planned = plan(config, source, format, input_amax=ranges)
    origin = f"{RANDOM_ORIGIN}, seed {seed}: never trained, answers are noise"
    target = Path(folder).expanduser()
    with atomic_folder(target, overwrite=overwrite) as scratch:
        write_config_files(
            scratch,
            config,
            planned.layers,
            version=__version__,
            origin=origin,
            token_ids=words.control_tokens,
        )
        write_tokenizer_files(scratch, words, config)
        write_model_card(scratch, config, format_name=format, origin=origin, version=__version__)
        write_shards(scratch, planned.jobs, max_shard_bytes=max_shard_bytes, on_event=on_event)
        verify(scratch)
    return target


def _tokenizer(
    preset_name: str, config: VLMConfig, given: Tokenizer | str | Path | None
) -> Tokenizer:
    if isinstance(given, Tokenizer):
        found, where = given, "tokenizer"
    elif given is not None:
        path = Path(given).expanduser()
        if not path.exists():
            siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
            raise CheckpointError(f"{path}: no such tokenizer{nearest(path.name, siblings)}")
        read = Tokenizer.from_folder if path.is_dir() else Tokenizer.from_file
        found, where = read(path, names=media_names(config)), str(path)
    elif preset_name == "tiny":
        found, where = byte_tokenizer(), "byte tokenizer"
    else:
        found, where = Tokenizer.from_folder(asset("mini")), "embedded tokenizer"
    check_tokenizer(found, config, where)
    return found
