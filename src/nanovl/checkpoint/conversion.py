"""Checkpoint to checkpoint: another format, other shards, without building the model.

Reads and writes layer by layer, so that a 12B checkpoint needs memory for its largest layer only.

Source: model specification, section 9.8; quantization specification, section 5.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from nanovl import __version__
from nanovl.checkpoint.encode import plan
from nanovl.checkpoint.hf import CheckpointFiles, open_checkpoint
from nanovl.checkpoint.match import match, verify
from nanovl.checkpoint.names import resolve
from nanovl.checkpoint.safetensors_io import SafetensorsFile, TensorSpec, disk_errors
from nanovl.checkpoint.shards import DEFAULT_SHARD_BYTES, Job, Put, atomic_folder, write_shards
from nanovl.checkpoint.side_files import copy_side_files, write_config_files, write_model_card
from nanovl.checkpoint.sources import FileSource
from nanovl.core.errors import CheckpointError
from nanovl.core.events import OnEvent, ignore_event

__all__ = ["convert"]

# Bytes copied at a time.
_CHUNK = 1 << 26


def convert(
    source: str | Path,
    folder: str | Path,
    *,
    format: str | Mapping[str, str] | None = None,
    keep: Sequence[str] = (),
    input_amax: Mapping[str, float] | None = None,
    max_shard_bytes: int = DEFAULT_SHARD_BYTES,
    overwrite: bool = False,
    on_event: OnEvent = ignore_event,
) -> Path:
    """Write a checkpoint anew.

    Args:
        source: Folder or name of the checkpoint to read.
        folder: Where to; must not exist, be empty, or hold a checkpoint to `overwrite`.
        format: "bf16", "fp8", "nvfp4", "int8", "int4", "int4-sym" or another policy; or linear ->
            format, see `encode.plan`; None copies every tensor as it is and only cuts the shards
            anew.
        keep: Shell wildcards of linears to leave in BF16.
        input_amax: Linear -> largest absolute input seen in calibration.
        max_shard_bytes: Largest amount of data per shard.
        overwrite: Whether a checkpoint that is already there may be replaced.
        on_event: Told about bytes written.

    Returns:
        The folder.

    Raises:
        ConfigError: Unknown format, or linears it does not fit.
        CheckpointError: The source is damaged, the target is in the way, or the disk is full.
    """
    origin_folder = resolve(source, on_event=on_event)
    target = Path(folder).expanduser()
    if target.resolve() == origin_folder.resolve():
        raise CheckpointError(f"{target}: source and target are the same folder; choose another")
    with (
        open_checkpoint(origin_folder) as files,
        atomic_folder(target, overwrite=overwrite) as scratch,
    ):
        found = match(files)
        copy_side_files(origin_folder, scratch)
        if format is None:
            jobs = _copies(files)
            for name in ("config.json", "hf_quant_config.json", "README.md"):
                if (origin_folder / name).is_file():
                    with disk_errors(target):
                        shutil.copyfile(origin_folder / name, scratch / name)
        else:
            planned = plan(
                found.config, FileSource(files, found), format, keep=keep, input_amax=input_amax
            )
            jobs = planned.jobs
            origin = files.config_file.extras.origin or f"converted from {origin_folder.name}"
            write_config_files(
                scratch,
                found.config,
                planned.layers,
                version=__version__,
                origin=origin,
                base=files.config_file.raw,
            )
            write_model_card(
                scratch, found.config, format_name=planned.name, origin=origin, version=__version__
            )
        write_shards(scratch, jobs, max_shard_bytes=max_shard_bytes, on_event=on_event)
        # A copy keeps the oddities of its source.
        verify(scratch, strict=format is not None)
    return target


def _copies(files: CheckpointFiles) -> list[Job]:
    """Every tensor under the name it has, the ones nobody needs included."""
    return [
        _copy(files.folder / file, TensorSpec(name, entry.dtype, entry.shape))
        for file, header in files.headers.items()
        for name, entry in header.entries.items()
    ]


def _copy(path: Path, spec: TensorSpec) -> Job:
    def run(put: Put) -> None:
        with SafetensorsFile(path) as file:
            if not spec.shape or not spec.nbytes:
                put(spec.name, file.read(spec.name), None)
                return
            step = max(1, _CHUNK * spec.shape[0] // spec.nbytes)
            for start in range(0, spec.shape[0], step):
                rows = (start, min(spec.shape[0], start + step))
                put(spec.name, file.read(spec.name, rows), start)

    return Job((spec,), run)
