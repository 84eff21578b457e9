"""`nanovl info`: what is in a checkpoint, from its headers."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from nanovl.cli import options
from nanovl.cli.console import guarded, note, one_line, write, write_json
from nanovl.core.config import to_dict

if TYPE_CHECKING:
    from nanovl.checkpoint.info import CheckpointInfo

__all__ = ["info", "size_text"]


@guarded
def info(
    checkpoint: Annotated[
        str,
        typer.Argument(
            metavar="CHECKPOINT", help='A checkpoint folder, "mini", or a hub repository.'
        ),
    ] = "mini",
    json: options.Json = False,
) -> None:
    """Show shape, size, number formats and files of a checkpoint; reads headers only.

    \b
    Examples:
      nanovl info mini
      nanovl info ./checkpoint --json

    The exit code is 1 when the checkpoint could not be loaded.
    """
    from nanovl.checkpoint.info import inspect

    found = inspect(checkpoint)
    if json:
        totals = {"num_parameters": found.num_parameters, "num_bytes": found.num_bytes}
        write_json({**to_dict(found), **totals})
    else:
        for name, value in _rows(found):
            write(f"{name:14} {value}\n")
    for warning in found.warnings:
        note(f"warning: {one_line(warning)}")
    if found.problem is not None:
        note(f"error: {one_line(found.problem)}")
        sys.exit(1)


def _rows(found: CheckpointInfo) -> list[tuple[str, str]]:
    config, lm = found.config, found.config.lm
    layers = ", ".join(
        f"{lm.pattern.count(c)} {name}"
        for c, name in (("M", "Mamba-2"), ("*", "attention"), ("-", "MLP"))
    )
    parts = ", ".join(f"{name} {_count(n)}" for name, n in found.parameters.items() if n)
    dtypes = ", ".join(f"{dtype} {size_text(n)}" for dtype, n in found.bytes_by_dtype.items())
    rows = [
        ("folder", str(found.folder)),
        ("origin", found.origin or "unknown"),
        ("parameters", f"{_count(found.num_parameters)} ({parts})"),
        ("data", f"{size_text(found.num_bytes)} ({dtypes}) in {found.tensors} tensors"),
        ("layers", f"{len(lm.pattern)} ({layers}), width {lm.hidden_size}"),
        ("pattern", lm.pattern),
        (
            "vision",
            f"{config.vision.num_layers} layers, width {config.vision.hidden_size}, tiles of "
            f"{config.image_size} pixels, {config.tokens_per_tile} tokens each",
        ),
        ("vocabulary", f"{found.vocab_rows} rows, {found.tokenizer_size or 'no'} tokenizer ids"),
        ("context", f"{config.max_sequence_length} tokens"),
        (
            "cache",
            f"{size_text(lm.state_bytes())} per sequence, "
            f"{size_text(lm.kv_bytes_per_token())} per token",
        ),
        ("quantized", found.quant_algo or "no"),
    ]
    if any(name != "plain" for formats in found.formats.values() for name in formats):
        for kind, formats in found.formats.items():
            rows.append((f"  {kind}", ", ".join(f"{n} {name}" for name, n in formats.items())))
    rows += [
        ("file" if i == 0 else "", f"{s.name}  {size_text(s.size_bytes)}  {s.tensors} tensors")
        for i, s in enumerate(found.shards)
    ]
    if found.ignored:
        rows.append(("ignored", ", ".join(found.ignored)))
    return rows


def _count(number: int) -> str:
    for unit, size in (("B", 10**9), ("M", 10**6), ("K", 10**3)):
        if number >= size:
            return f"{number / size:.2f} {unit}"
    return str(number)


def size_text(size_bytes: int) -> str:
    """A size as people say it: 1.23 GB, 302.37 kB."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size_bytes >= size:
            return f"{size_bytes / size:.2f} {unit}"
    return f"{size_bytes} bytes"
