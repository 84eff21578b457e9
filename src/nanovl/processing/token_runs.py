"""What the ids of a sample are: text, control tokens, placeholders; predicted or not.

A layout becomes a list of `TokenRun`s, which pictures and pages show. Decides nothing a trainer
depends on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from nanovl.core.layout import IGNORE_LABEL, MediaSpan, TokenLayout
from nanovl.processing.tokenizer import Tokenizer

__all__ = ["COLORS", "TokenRun", "token_runs"]

RunKind = Literal["text", "control", "visual", "more"]

COLORS: dict[str, tuple[str, str]] = {
    "text": ("#4b5563", "#ffffff"),
    "loss": ("#14532d", "#dcfce7"),
    "control": ("#1d4ed8", "#e0e9ff"),
    "control loss": ("#14532d", "#86efac"),
    "visual": ("#92400e", "#fef0c7"),
    "more": ("#6b7280", "#eef0f3"),
}
"""Role of a token -> (ink, paper)."""

_FRAMES = 6  # frames of a video that are spelled out


@dataclass(frozen=True, kw_only=True)
class TokenRun:
    """Some ids that are shown together.

    Attributes:
        kind: "text", "control" (one control token), "visual" (placeholders) or "more" (frames
            that are left out).
        text: What to show.
        tokens: Ids it stands for.
        loss: Whether a trainer predicts them.
    """

    kind: RunKind
    text: str
    tokens: int
    loss: bool = False

    @property
    def role(self) -> str:
        """Key of `COLORS`."""
        if self.kind == "control":
            return "control loss" if self.loss else "control"
        return "loss" if self.loss and self.kind == "text" else self.kind


def token_runs(
    layout: TokenLayout, tokenizer: Tokenizer, *, max_frames: int = _FRAMES
) -> list[TokenRun]:
    """What a layout says, in pieces of one role each.

    Args:
        layout: From `Processor.plan`.
        tokenizer: The one it was planned with.
        max_frames: Frames of a video that are spelled out; the ones after them become one run.

    Returns:
        Runs whose `tokens` add up to the length of the layout. Every run of text is one token, or
        the few that one character spreads over.
    """
    runs: list[TokenRun] = []
    hidden = {
        start: (stop, span.tiles - max_frames)
        for span in layout.spans
        for start, stop in _hidden_frames(span, max_frames)
    }
    at, end = 0, len(layout.input_ids)
    while at < end:
        if at in hidden:
            stop, frames = hidden[at]
            visual = layout.input_ids[at:stop].count(layout.placeholder)
            text = f"{frames:,} more frames, {visual:,} visual tokens"
            runs.append(TokenRun(kind="more", text=text, tokens=stop - at))
            at = stop
            continue
        run = _run_at(layout, tokenizer, at)
        runs.append(run)
        at += run.tokens
    return runs


def _run_at(layout: TokenLayout, tokenizer: Tokenizer, at: int) -> TokenRun:
    ids = layout.input_ids
    loss = _has_loss(layout, at)
    if layout.spans and ids[at] == layout.placeholder:
        stop = at
        while stop < len(ids) and ids[stop] == layout.placeholder:
            stop += 1
        return TokenRun(kind="visual", text=f"{stop - at:,} visual tokens", tokens=stop - at)
    if tokenizer.is_control(ids[at]):
        text = tokenizer.decode(ids[at : at + 1], skip_control=False)
        return TokenRun(kind="control", text=text, tokens=1, loss=loss)
    data = b""
    for count in range(1, 5):  # a character has at most four bytes
        stop = at + count
        last = stop >= len(ids) or tokenizer.is_control(ids[stop])
        last = last or _has_loss(layout, stop) != loss
        data += tokenizer.decode_bytes(ids[stop - 1 : stop])
        try:
            return TokenRun(kind="text", text=data.decode(), tokens=count, loss=loss)
        except UnicodeDecodeError:
            if last:
                break
    text = tokenizer.decode(ids[at : at + 1])
    return TokenRun(kind="text", text=text, tokens=1, loss=loss)


def _has_loss(layout: TokenLayout, at: int) -> bool:
    return layout.labels is not None and layout.labels[at] != IGNORE_LABEL


def _hidden_frames(span: MediaSpan, shown: int) -> Iterator[tuple[int, int]]:
    """First id of the frames of a video that are left out, and the id behind them."""
    if span.kind != "video" or span.tiles <= shown + 1:
        return
    kept, extra = divmod(span.num_tokens, span.tiles)  # as a plan spreads them
    separators = sum(len(span.before[f]) + len(span.after[f]) for f in range(shown))
    visual = kept * shown + min(extra, shown)
    yield span.start + separators + visual, span.start + span.length
