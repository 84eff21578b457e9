"""The options of the command line, and reading of `-o key=value`.

Everything with a flag of its own is here; all other settings go through `-o`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from nanovl.core.config import apply_overrides

__all__ = ["read_settings"]

Attach = Annotated[
    list[str] | None,
    typer.Option(
        "--attach",
        "-a",
        metavar="FILE",
        help="Picture, PDF, video, sound or text: a path, a URL, or - for standard input. "
        "May be repeated.",
    ),
]
Budget = Annotated[
    int | None,
    typer.Option(
        "--reasoning-budget",
        metavar="N",
        help="Reasoning tokens after which thinking is ended; turns reasoning on, 0 turns it off.",
    ),
]
Device = Annotated[
    str, typer.Option("--device", metavar="DEVICE", help="auto, cpu, cuda or cuda:N.")
]
Dpi = Annotated[int | None, typer.Option("--dpi", metavar="N", help="Resolution of PDF pages.")]
Dtype = Annotated[
    str, typer.Option("--dtype", metavar="DTYPE", help="auto, bfloat16, float32 or float16.")
]
Evs = Annotated[
    str | None,
    typer.Option(
        "--evs", metavar="RATE", help="Share of video tokens to drop, such as 0.75; off; or auto."
    ),
]
Fps = Annotated[
    float | None, typer.Option("--fps", metavar="RATE", help="Video frames per second to look at.")
]
HideReasoning = Annotated[
    bool, typer.Option("--hide-reasoning", help="Do not print the reasoning.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
MaxFrames = Annotated[
    int | None, typer.Option("--max-frames", metavar="N", help="Video frames at most.")
]
MaxTiles = Annotated[
    int | None,
    typer.Option("--max-tiles", metavar="N", help="Tiles per picture; fewer are faster."),
]
MaxTokens = Annotated[
    int | None,
    typer.Option(
        "--max-tokens",
        metavar="N",
        help="Longest answer in tokens. Left out: 1024, with reasoning 16384.",
    ),
]
Model = Annotated[
    str,
    typer.Option(
        "--model", "-m", metavar="MODEL", help='"mini", a checkpoint folder, or a hub repository.'
    ),
]
NoStream = Annotated[
    bool, typer.Option("--no-stream", help="Print the answer when it is complete.")
]
Pages = Annotated[
    str | None, typer.Option("--pages", metavar="RANGES", help="Pages of PDFs, such as 1-4,7.")
]
Quant = Annotated[
    str | None,
    typer.Option(
        "--quant",
        metavar="FORMAT",
        help="Keep weights as stored, bf16, int8 or int4. Left out: by device and size.",
    ),
]
Question = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="QUESTION",
        help="What to ask. Without it, on a terminal, a conversation starts.",
    ),
]
Reasoning = Annotated[
    str | None,
    typer.Option(
        "--reasoning",
        metavar="MODE",
        help="on, off, or auto: /think and /no_think in the question decide.",
    ),
]
Seed = Annotated[
    int | None, typer.Option("--seed", metavar="N", help="Makes random choices repeatable.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "-o",
        metavar="KEY=VALUE",
        help="Another setting: top_k, min_p, repetition_penalty, stop, ignore_eos, total_tiles, "
        "grace, context_length or prefill_chunk. May be repeated.",
    ),
]
System = Annotated[str | None, typer.Option("--system", "-s", metavar="TEXT", help="System text.")]
Temperature = Annotated[
    float | None,
    typer.Option(
        "--temperature",
        metavar="T",
        help="0 takes the likeliest token. Left out: 0, reasoning 0.6.",
    ),
]
TopP = Annotated[
    float | None,
    typer.Option(
        "--top-p",
        metavar="P",
        help="Draw from the likeliest tokens only. Left out: 1, reasoning 0.95.",
    ),
]
Transcriber = Annotated[
    str | None,
    typer.Option(
        "--transcriber",
        metavar="NAME",
        help='Speech recognition: whisper, whisper:MODEL, or "command:PROGRAM ARGS".',
    ),
]
Usage = Annotated[bool, typer.Option("--usage", "-u", help="Print tokens and speed.")]


def read_settings(words: Sequence[str] | None) -> dict[str, Any]:
    """`key=value` words as a dict; values are read as YAML, so numbers are numbers.

    Raises:
        ConfigError: A word without "=".
    """
    return apply_overrides({}, words or ())
