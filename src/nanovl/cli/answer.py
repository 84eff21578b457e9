"""An answer on the terminal: text to standard output, everything else beside it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from nanovl.cli.console import Progress, note, write

if TYPE_CHECKING:
    from nanovl.core.generation import Delta, Generation

__all__ = ["as_document", "show", "summary"]


def show(
    deltas: Iterator[Delta],
    progress: Progress,
    *,
    stream: bool = True,
    text: bool = True,
    reasoning: bool = True,
) -> Generation:
    """Consume an answer, and print it.

    Args:
        deltas: From `NanoVL.stream`.
        progress: Shown until the first piece.
        stream: Whether pieces are printed as they come.
        text: Whether the answer is printed, on standard output.
        reasoning: Whether the reasoning is printed, on standard error.
    """
    thought = False
    for delta in deltas:
        final = delta.generation
        if not stream and final is None:
            continue
        new_reasoning = delta.reasoning if stream or final is None else final.reasoning or ""
        new_text = delta.text if stream or final is None else final.text
        if new_reasoning or new_text:
            progress.clear()
        if new_reasoning and reasoning:
            note(new_reasoning, dim=True, end="")
            thought = True
        if text and new_text:
            if thought:
                note("\n")
                thought = False
            write(new_text)
    if thought:
        note("")
    assert final is not None, "the last piece carries the generation"
    if text and not final.text.endswith("\n"):
        write("\n")
    if final.finish_reason == "length" and text:
        note(f"(stopped after {final.usage.completion_tokens} tokens; raise --max-tokens for more)")
    return final


def summary(answer: Generation) -> str:
    """Tokens and speed on one line."""
    usage, timings = answer.usage, answer.timings
    seen = [
        f"{count} {kind}"
        for kind, count in (("image", usage.image_tokens), ("video", usage.video_tokens))
        if count
    ]
    prompt = f"prompt {usage.prompt_tokens} tokens" + (f" ({', '.join(seen)})" if seen else "")
    thought = f" ({usage.reasoning_tokens} reasoning)" if usage.reasoning_tokens else ""
    return (
        f"{prompt}, answer {usage.completion_tokens} tokens{thought}; "
        f"first token {timings.ttft_s:.2f} s, prompt {timings.prefill_tokens_per_s:.0f} tokens/s, "
        f"answer {timings.decode_tokens_per_s:.1f} tokens/s"
    )


def as_document(model: str, answer: Generation) -> dict[str, Any]:
    """An answer as JSON, without its token ids."""
    document = {"model": model, **asdict(answer)}
    del document["token_ids"]
    document["usage"]["total_tokens"] = answer.usage.total_tokens
    document["timings"]["prefill_tokens_per_s"] = answer.timings.prefill_tokens_per_s
    document["timings"]["decode_tokens_per_s"] = answer.timings.decode_tokens_per_s
    return document
