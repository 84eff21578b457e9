"""`nanovl chat`: one question, or a conversation."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nanovl.cli import options
from nanovl.cli.answer import as_document, show, summary
from nanovl.cli.console import Progress, guarded, note, write_json
from nanovl.core.conversation import MediaRef
from nanovl.core.errors import ConfigError, InputError
from nanovl.core.generation import ReasoningParams

if TYPE_CHECKING:
    from nanovl.core.conversation import Part
    from nanovl.processing.media import Limits

__all__ = ["attachments", "chat"]

_LOADING = ("context_length", "prefill_chunk")


@guarded
def chat(
    question: options.Question = None,
    attach: options.Attach = None,
    model: options.Model = "mini",
    system: options.System = None,
    reasoning: options.Reasoning = None,
    reasoning_budget: options.Budget = None,
    max_tokens: options.MaxTokens = None,
    temperature: options.Temperature = None,
    top_p: options.TopP = None,
    seed: options.Seed = None,
    no_stream: options.NoStream = False,
    usage: options.Usage = False,
    hide_reasoning: options.HideReasoning = False,
    json: options.Json = False,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    quant: options.Quant = None,
    pages: options.Pages = None,
    dpi: options.Dpi = None,
    max_tiles: options.MaxTiles = None,
    evs: options.Evs = None,
    fps: options.Fps = None,
    max_frames: options.MaxFrames = None,
    transcriber: options.Transcriber = None,
    settings: options.Settings = None,
) -> None:
    """Ask about text, pictures, documents, videos or sound.

    \b
    Examples:
      nanovl "What is the total?" -a receipt.png
      nanovl chat "Compare the two." -a a.pdf -a b.pdf --reasoning on --usage

    The word chat may be left out. Piped text is put in front of the question. The answer goes to
    standard output; reasoning, usage and progress go to standard error.
    """
    files = attach or []
    text = "\n\n".join(t for t in (_piped_text(files), " ".join(question or [])) if t.strip())
    if not text and (json or not _is_terminal()):
        raise InputError('no question; say nanovl "QUESTION", or pipe text into it')
    extra = options.read_settings(settings)
    loading = {k: extra.pop(k) for k in _LOADING if k in extra}
    grace = extra.pop("grace", 500)
    asking: dict[str, Any] = {
        **extra,
        "max_tokens": max_tokens,
        "temperature": temperature,
        "top_p": top_p,
        "seed": seed,
        "max_tiles": max_tiles,
        "pruning_rate": _pruning_rate(evs),
        "fps": fps,
        "max_frames": max_frames,
        "reasoning": _reasoning(reasoning, reasoning_budget, grace),
    }
    asking = {name: value for name, value in asking.items() if value is not None}

    from nanovl.engine.vlm import check_settings, load

    check_settings(asking)  # before the slow part
    limits = _person_limits()
    parts = attachments(files, limits, pages, dpi)
    with Progress() as progress:
        loaded = load(
            model,
            device,
            dtype,
            quant,
            limits=limits,
            transcriber=transcriber,
            on_event=progress,
            **loading,
        )
    if not text:
        from nanovl.cli.repl import Repl

        Repl(loaded, asking, parts, system, usage=usage, reasoning=not hide_reasoning).run()
        return
    with Progress() as progress:
        answer = show(
            loaded.stream(text, parts, system=system, on_event=progress, **asking),
            progress,
            stream=not (no_stream or json),
            text=not json,
            reasoning=not (hide_reasoning or json),
        )
    if json:
        write_json(as_document(loaded.name, answer))
    if usage:
        note(summary(answer))


def attachments(
    files: Sequence[str], limits: Limits, pages: str | None = None, dpi: int | None = None
) -> list[Part]:
    """Parts for files named on the command line; "-" is standard input.

    Raises:
        InputError: A file that cannot be used.
    """
    from nanovl.processing.attachments import attach

    sources: list[Any] = list(files)
    if "-" in sources:
        data = sys.stdin.buffer.read()
        if not data:
            raise InputError("standard input is empty; pipe a file into it, or drop -a -")
        sources[sources.index("-")] = MediaRef(data=data, name="standard input")
    return [attach(source, pages=pages, dpi=dpi, limits=limits) for source in sources]


def _person_limits() -> Limits:
    """What the person at the keyboard may open: their files, and URLs they typed."""
    from nanovl.processing.media import Limits

    return replace(Limits.local(), allow_remote=True)


def _is_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def _piped_text(files: Sequence[str]) -> str:
    """Text on standard input, unless it is a terminal, empty device or an attachment."""
    if "-" in files or sys.stdin is None or sys.stdin.isatty():
        return ""
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (OSError, ValueError):
        return ""
    if not (stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode)):
        return ""
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig").strip("\n")
    except UnicodeDecodeError:
        raise InputError(
            "standard input is not UTF-8 text; to ask about a picture or document in it, add -a -"
        ) from None


def _reasoning(mode: str | None, budget: int | None, grace: Any) -> ReasoningParams:
    if budget == 0:
        mode, budget = "off", None
    if mode is None:
        mode = "auto" if budget is None else "on"
    if not isinstance(grace, int):
        raise ConfigError(f"grace {grace!r}: expected a number of tokens")
    return ReasoningParams(mode=mode, budget=budget, grace=grace)  # type: ignore[arg-type]


def _pruning_rate(evs: str | None) -> float | str | None:
    if evs is None or evs == "auto":
        return evs
    try:
        return 0.0 if evs == "off" else float(evs)
    except ValueError:
        raise ConfigError(f"--evs {evs!r}: expected a rate in [0, 1), off, or auto") from None
