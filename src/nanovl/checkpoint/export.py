"""From a model in memory to a checkpoint folder in the released layout.

The folder appears under its name only when everything is written. What leaves here can be loaded by
`build.py` and by other engines; see `conversion.py` for files to files.

Source: model specification, section 9.8; quantization specification, sections 5 and 9.5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from nanovl import __version__
from nanovl.checkpoint.encode import plan
from nanovl.checkpoint.match import verify
from nanovl.checkpoint.shards import DEFAULT_SHARD_BYTES, atomic_folder, write_shards
from nanovl.checkpoint.side_files import (
    check_tokenizer,
    write_config_files,
    write_model_card,
    write_tokenizer_files,
)
from nanovl.checkpoint.sources import ModelSource
from nanovl.core.events import OnEvent, ignore_event
from nanovl.model.vlm import VLM
from nanovl.processing.processor import Processor
from nanovl.processing.tokenizer import Tokenizer

__all__ = ["save_model"]


def save_model(
    vlm: VLM,
    folder: str | Path,
    *,
    processor: Processor | Tokenizer,
    format: str | Mapping[str, str] = "bf16",
    keep: Sequence[str] = (),
    input_amax: Mapping[str, float] | None = None,
    origin: str = "trained",
    max_shard_bytes: int = DEFAULT_SHARD_BYTES,
    overwrite: bool = False,
    on_event: OnEvent = ignore_event,
) -> Path:
    """Write a model, its tokenizer and its configuration.

    Args:
        vlm: The model; may hold quantized linears. Those already in the target format are written
            as they are, others are decoded first.
        folder: Where to; must not exist, be empty, or hold a checkpoint to `overwrite`.
        processor: Whose tokenizer belongs to the model, or that tokenizer.
        format: "bf16", "fp8", "nvfp4", "int8", "int4", "int4-sym" or another policy
            ("nvfp4-keep-attn", ...); or linear -> format, see `encode.plan`.
        keep: Shell wildcards of linears to leave in BF16.
        input_amax: Linear -> largest absolute input seen in calibration. Without it an activation
            range of 448 is assumed, which other engines will lose accuracy with.
        origin: Where the weights come from, for config.json and the model card.
        max_shard_bytes: Largest amount of data per shard.
        overwrite: Whether a checkpoint that is already there may be replaced.
        on_event: Told about bytes written.

    Returns:
        The folder.

    Raises:
        ConfigError: Unknown format, or linears it does not fit.
        CheckpointError: The folder is in the way, a weight is not finite, or the disk is full.
    """
    tokenizer = processor.tokenizer if isinstance(processor, Processor) else processor
    config = vlm.config
    check_tokenizer(tokenizer, config, "tokenizer")
    planned = plan(config, ModelSource(vlm), format, keep=keep, input_amax=input_amax)
    target = Path(folder).expanduser()
    with atomic_folder(target, overwrite=overwrite) as scratch:
        write_config_files(
            scratch,
            config,
            planned.layers,
            version=__version__,
            origin=origin,
            token_ids=tokenizer.control_tokens,
        )
        write_tokenizer_files(scratch, tokenizer, config)
        write_model_card(
            scratch, config, format_name=planned.name, origin=origin, version=__version__
        )
        write_shards(scratch, planned.jobs, max_shard_bytes=max_shard_bytes, on_event=on_event)
        verify(scratch)
    return target
