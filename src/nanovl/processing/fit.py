"""Say why a prompt is too long and which settings would make it fit.

Every suggestion was tried: it is made only when the prompt laid out with it is short enough.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from nanovl.core.errors import InputError
from nanovl.core.layout import TokenLayout
from nanovl.processing.config import ProcessorConfig, Request

__all__ = ["too_long"]

_TILES = (8, 6, 4, 2, 1)
_RATES = (0.5, 0.7, 0.75, 0.9)
_FRAMES = (64, 32, 16, 8, 4, 1)


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
    remedies = list(_remedies(layout, limit, config, request, measure))
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
) -> Iterator[str]:
    """The mildest setting of each kind that is enough; both kinds together as a last try."""
    kinds = {span.kind for span in layout.spans}
    tiles = request.max_tiles or config.max_num_tiles
    frames = request.max_frames or config.max_frames
    rate = config.video_pruning_rate if request.pruning_rate == "auto" else request.pruning_rate
    ladders: list[list[tuple[str, Request]]] = []
    if "image" in kinds:
        ladders.append(
            [(f"max_tiles={m}", replace(request, max_tiles=m)) for m in _TILES if m < tiles]
        )
    if "video" in kinds:
        rates = [q for q in _RATES if q > (rate or 0.0)]
        ladders.append([(f"pruning_rate={q:g}", replace(request, pruning_rate=q)) for q in rates])
        ladders.append(
            [(f"max_frames={n}", replace(request, max_frames=n)) for n in _FRAMES if n < frames]
        )
    found = [words for ladder in ladders if (words := _first_fit(ladder, limit, measure))]
    if not found and len(kinds) > 1:
        both = replace(request, max_tiles=1, max_frames=min(8, frames))
        words = f"max_tiles=1 and max_frames={both.max_frames} together"
        found = [_first_fit([(words, both)], limit, measure)]
    yield from filter(None, found)


def _first_fit(
    ladder: list[tuple[str, Request]], limit: int, measure: Callable[[Request], int]
) -> str:
    for words, request in ladder:
        if (length := measure(request)) <= limit:
            return f"{words} ({length} tokens)"
    return ""


def _last_resort(layout: TokenLayout, limit: int) -> str:
    if layout.spans:
        return "no tile, frame or pruning setting makes it fit; send less media or shorter text"
    return f"shorten the text by at least {layout.num_tokens - limit} tokens"
