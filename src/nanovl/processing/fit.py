"""Say why a prompt is too long and which settings would make it fit.

Every suggestion was tried: it is made only when the prompt laid out with it is short enough.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from nanovl.core.errors import InputError
from nanovl.core.layout import TokenLayout
from nanovl.processing.config import ProcessorConfig, Request

__all__ = ["too_long"]

_TILES = (8, 6, 4, 2, 1)
_RATES = (0.5, 0.7, 0.75, 0.9)
_FRAMES = (64, 32, 16, 8)
# Tiles, pruning rate and frames together, for when one of them is not enough.
_TOGETHER = ((6, 0.5, 128), (4, 0.75, 128), (2, 0.75, 64), (1, 0.9, 32), (1, 0.9, 8), (1, 0.9, 1))


def too_long(
    layout: TokenLayout,
    limit: int,
    config: ProcessorConfig,
    request: Request,
    measure: Callable[[Request], int],
) -> InputError:
    """The error for a prompt beyond its limit.

    Args:
        layout: The prompt.
        limit: Tokens allowed.
        config, request: Settings it was laid out with.
        measure: Length of the prompt under other settings.
    """
    remedies = _remedies(layout, limit, config, request, measure)
    advice = f"it fits with {' or '.join(remedies)}" if remedies else _last_resort(layout, limit)
    return InputError(
        f"prompt has {layout.num_tokens} tokens, limit {limit}; the largest part is "
        f"{_largest(layout)}; {advice}"
    )


def _largest(layout: TokenLayout) -> str:
    text = layout.num_tokens - sum(span.length for span in layout.spans)
    if not layout.spans or text >= max(span.length for span in layout.spans):
        return f"the text with {text} tokens"
    number, span = max(enumerate(layout.spans, start=1), key=lambda item: item[1].length)
    parts = "frames" if span.kind == "video" else "tiles"
    name = span.info.get("name", "")
    return f"media {number}, {span.kind} {name}, with {span.length} tokens ({span.tiles} {parts})"


def _remedies(
    layout: TokenLayout,
    limit: int,
    config: ProcessorConfig,
    request: Request,
    measure: Callable[[Request], int],
) -> list[str]:
    """The mildest setting of each kind that is enough; several together as a last try."""
    kinds = {span.kind for span in layout.spans}
    tiles = request.max_tiles or config.max_num_tiles
    frames = request.max_frames or config.max_frames
    auto = config.video_pruning_rate if request.pruning_rate == "auto" else request.pruning_rate
    rate = auto or 0.0
    ladders: list[list[dict[str, Any]]] = []
    if "image" in kinds:
        ladders.append([{"max_tiles": m} for m in _TILES if m < tiles])
    if "video" in kinds:
        ladders.append([{"pruning_rate": q} for q in _RATES if q > rate])
        ladders.append([{"max_frames": n} for n in _FRAMES if n < frames])

    def first_fit(ladder: list[dict[str, Any]]) -> str:
        for changes in ladder:
            if (length := measure(replace(request, **changes))) <= limit:
                words = " ".join(f"{name}={value:g}" for name, value in changes.items())
                return f"{words} ({length} tokens)"
        return ""

    found = [words for ladder in ladders if (words := first_fit(ladder))]
    if not found and "video" in kinds:
        now = {"max_tiles": tiles if "image" in kinds else 1, "pruning_rate": rate}
        now["max_frames"] = frames
        together = []
        for m, q, n in _TOGETHER:
            mild = {"max_tiles": min(m, now["max_tiles"]), "pruning_rate": max(q, rate)}
            mild["max_frames"] = min(n, frames)
            together.append({name: v for name, v in mild.items() if v != now[name]})
        found = [words for words in [first_fit(together)] if words]
    return found


def _last_resort(layout: TokenLayout, limit: int) -> str:
    if layout.spans:
        return "no tile, frame or pruning setting makes it fit; send less media or shorter text"
    return f"shorten the text by at least {layout.num_tokens - limit} tokens"
