"""`nanovl convert`: another format, other shards, or random weights."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from nanovl.cli.console import Progress, guarded, write
from nanovl.core.errors import ConfigError

__all__ = ["convert", "parse_size"]

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}


@guarded
def convert(
    folders: Annotated[
        list[str],
        typer.Argument(metavar="FOLDER", help="SOURCE and OUT; with --random, OUT alone."),
    ],
    random: Annotated[
        str | None,
        typer.Option(
            "--random",
            metavar="PRESET",
            help="Write random weights of this shape (12b, mini, tiny) instead of reading any.",
        ),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="bf16, fp8, nvfp4, int8, int4 (for nanovl on CPUs), int4-sym (for other engines) "
            "or another policy; gguf or gguf-q8 for llama.cpp. Left out: as it is; random: bf16.",
        ),
    ] = None,
    shard_size: Annotated[
        str,
        typer.Option("--shard-size", metavar="SIZE", help="Largest file, such as 5GB or 500MB."),
    ] = "5GB",
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Of random weights.")] = 0,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            "--keep",
            metavar="PATTERN",
            help='Linears to leave in bf16, such as "*mixer.q_proj". May be repeated.',
        ),
    ] = None,
    tokenizer: Annotated[
        str | None,
        typer.Option("--tokenizer", metavar="FILE", help="tokenizer.json for random weights."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a checkpoint that is already there.")
    ] = False,
) -> None:
    """Write a checkpoint in another format or other shards, or one with random weights.

    \b
    Examples:
      nanovl convert ./bf16-checkpoint ./int8-checkpoint --format int8
      nanovl convert --random 12b --format nvfp4 ./random-12b

    Works tensor by tensor. The folder appears when it is complete.
    """
    wanted = 1 if random else 2
    if len(folders) != wanted:
        what = "OUT with --random" if random else "SOURCE and OUT"
        raise ConfigError(f"got {len(folders)} folders ({', '.join(folders)}), expected {what}")
    size = parse_size(shard_size)
    if random is None:
        for name, given in (("--seed", seed), ("--tokenizer", tokenizer)):
            if given:
                raise ConfigError(f"{name} belongs to --random; weights are read here")

        if format is not None and format.startswith("gguf"):
            if keep:
                raise ConfigError("--keep belongs to other formats; drop it beside gguf")

            from nanovl.checkpoint.gguf_export import export_gguf

            with Progress() as progress:
                out = export_gguf(
                    folders[0], folders[1], format, overwrite=overwrite, on_event=progress
                )
            write(f"{out}\n")
            return

        from nanovl.checkpoint.conversion import convert as run

        with Progress() as progress:
            out = run(
                folders[0],
                folders[1],
                format=format,
                keep=keep or (),
                max_shard_bytes=size,
                overwrite=overwrite,
                on_event=progress,
            )
    else:
        if keep:
            raise ConfigError("--keep belongs to a conversion; drop it beside --random")

        from nanovl.checkpoint.random_weights import write_random

        with Progress() as progress:
            out = write_random(
                random,
                folders[0],
                format or "bf16",
                seed,
                tokenizer=tokenizer,
                max_shard_bytes=size,
                overwrite=overwrite,
                on_event=progress,
            )
    write(f"{out}\n")


def parse_size(text: str) -> int:
    """Bytes of "5GB", "500 MB", "2GiB" or "1000000".

    Raises:
        ConfigError: Not a size.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmg]i?)?b?", text.strip().lower())
    size = int(float(match[1]) * _UNITS[match[2] or ""]) if match else 0
    if size < 1:
        raise ConfigError(f"size {text!r}: expected a number with a unit, such as 5GB or 500MB")
    return size
