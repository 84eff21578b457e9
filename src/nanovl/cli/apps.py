"""What the verbs of applications share: a loaded model, and where results go."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nanovl.cli.console import Progress, write
from nanovl.core.errors import ConfigError, InputError

if TYPE_CHECKING:
    from nanovl.engine.vlm import NanoVL

__all__ = ["as_json", "check_out", "media_options", "opened", "save"]

Out = Annotated[
    str | None,
    typer.Option("--out", "-o", metavar="FILE", help="Write here instead of standard output."),
]
Subtitles = Annotated[
    Path | None,
    typer.Option("--subtitles", metavar="FILE", help="What is said in it, as .srt or .vtt."),
]
Tokens = Annotated[
    int | None,
    typer.Option("--max-tokens", metavar="N", min=16, help="Longest answer to one prompt."),
]


def opened(model: str, device: str, quant: str | None) -> NanoVL:
    """Load a model for a person's own files, and URLs they typed."""
    from nanovl.engine.vlm import load
    from nanovl.processing.media import Limits

    limits = replace(Limits.local(), allow_remote=True)
    with Progress() as progress:
        return load(model, device, quant=quant, limits=limits, on_event=progress)


def media_options(**given: Any) -> dict[str, Any]:
    """Options that were given; `evs` is a rate, "off" or "auto"."""
    chosen = {name: value for name, value in given.items() if value is not None}
    evs = chosen.pop("evs", None)
    if evs is not None:
        try:
            chosen["pruning_rate"] = (
                "auto" if evs == "auto" else 0.0 if evs == "off" else float(evs)
            )
        except ValueError:
            raise ConfigError(f"--evs {evs!r}: expected a rate in [0, 1), off, or auto") from None
    return chosen


def check_out(out: str | None) -> None:
    """Refuse a place that cannot be written, before the slow part.

    Raises:
        InputError: Its folder is not there.
    """
    if out is not None and not Path(out).parent.is_dir():
        raise InputError(f"{out}: no such folder; make it first")


def save(text: str, out: str | None, *, begun: bool = False) -> None:
    """Write a result to a file, or to standard output.

    Args:
        text: The result, or a piece of it.
        out: The file; None is standard output.
        begun: Whether a piece before this one is in the file.

    Raises:
        InputError: The file cannot be written.
    """
    if out is None:
        write(text)
        return
    try:
        with Path(out).open("a" if begun else "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror})") from error


def as_json(value: Any) -> str:
    """A document as text."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
