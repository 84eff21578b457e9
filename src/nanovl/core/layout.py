"""Where media sits in a token sequence, known before any pixel is decoded.

`TokenLayout` is what `Processor.plan` returns: the ids of the whole prompt, with one placeholder id
per visual token, and one span per picture or video. Everything here is integers: re-laying a video
after pruning needs neither a tokenizer nor a tensor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from nanovl.core.errors import InputError

__all__ = ["IGNORE_LABEL", "MediaSpan", "TokenLayout", "relay_videos"]

IGNORE_LABEL = -100


@dataclass(frozen=True, kw_only=True)
class MediaSpan:
    """One picture or video inside the sequence.

    A picture's span covers its placeholders only. A video's span covers the whole block, text
    separators included, because pruning moves them.

    Attributes:
        kind: "image" or "video".
        start: Index of the first id of the span.
        length: Ids in the span.
        num_tokens: Placeholders in the span (after pruning).
        tiles: Pictures the encoder sees: tiles of an image, frames of a video.
        tile_size: Height and width of each of them in pixels.
        grid: Rows and columns of visual tokens of each of them.
        before, after: For a video: ids in front of / behind the placeholders of every frame
            (separator text, `<img>` / `</img>`, line breaks). Empty for an image.
        pruning_rate: EVS rate of a video, 0 when off.
        source: Handle for `Processor.load`; opaque here.
        info: What a person may want to know (original size, sampled times, what was clamped).
    """

    kind: Literal["image", "video"]
    start: int
    length: int
    num_tokens: int
    tiles: int
    tile_size: tuple[int, int]
    grid: tuple[int, int]
    before: tuple[tuple[int, ...], ...] = ()
    after: tuple[tuple[int, ...], ...] = ()
    pruning_rate: float = 0.0
    source: Any = None
    info: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.start < 0 or self.length < self.num_tokens or self.num_tokens < 1:
            raise InputError(
                f"{self.kind} span: start {self.start}, length {self.length}, "
                f"{self.num_tokens} visual tokens do not fit together"
            )
        full = self.tiles * self.tokens_per_tile
        if self.kind == "image" and self.num_tokens != full:
            raise InputError(
                f"image span: {self.tiles} tiles of {self.tokens_per_tile} tokens give {full}, "
                f"got {self.num_tokens}"
            )
        if self.kind == "video":
            if len(self.before) != self.tiles or len(self.after) != self.tiles:
                raise InputError(
                    f"video span: {self.tiles} frames but {len(self.before)} / "
                    f"{len(self.after)} separators before / after them"
                )
            text = sum(map(len, self.before)) + sum(map(len, self.after))
            if text + self.num_tokens != self.length or self.num_tokens > full:
                raise InputError(
                    f"video span: {text} text ids and {self.num_tokens} visual tokens do not "
                    f"make a block of {self.length} (at most {full} visual tokens)"
                )

    @property
    def tokens_per_tile(self) -> int:
        """Visual tokens of one tile or frame before pruning."""
        return self.grid[0] * self.grid[1]

    @property
    def is_pruned(self) -> bool:
        """Whether fewer tokens are kept than the encoder makes."""
        return self.num_tokens < self.tiles * self.tokens_per_tile

    def frame_ids(self, counts: Sequence[int], placeholder: int) -> list[int]:
        """The ids of a video block when frame f keeps `counts[f]` visual tokens.

        Raises:
            InputError: The counts do not add up to `num_tokens`.
        """
        if len(counts) != self.tiles or sum(counts) != self.num_tokens:
            raise InputError(
                f"video: {len(counts)} frames keep {sum(counts)} visual tokens, "
                f"expected {self.tiles} frames and {self.num_tokens}"
            )
        ids: list[int] = []
        for head, count, tail in zip(self.before, counts, self.after, strict=True):
            ids += [*head, *[placeholder] * count, *tail]
        return ids


@dataclass(frozen=True, kw_only=True)
class TokenLayout:
    """The ids of a prompt (or training sample) and where its media is.

    Attributes:
        input_ids: All ids, placeholders included.
        spans: In order of appearance, not overlapping.
        placeholder: The id that stands for one visual token.
        labels: Per position the id to predict there or `IGNORE_LABEL`; same length as
            `input_ids`, *not* shifted. None outside training.
    """

    input_ids: list[int]
    spans: tuple[MediaSpan, ...] = ()
    placeholder: int = -1
    labels: list[int] | None = None

    def __post_init__(self) -> None:
        end = 0
        total = 0
        for index, span in enumerate(self.spans):
            if span.start < end or span.start + span.length > len(self.input_ids):
                raise InputError(
                    f"media {index}: span [{span.start}, {span.start + span.length}) overlaps "
                    f"the previous one (ends at {end}) or leaves the prompt of "
                    f"{len(self.input_ids)} ids"
                )
            end = span.start + span.length
            total += span.num_tokens
        found = self.input_ids.count(self.placeholder) if self.spans else 0
        if self.spans and found != total:
            raise InputError(
                f"prompt holds {found} visual placeholders but its media needs {total}; "
                "the text must not contain the placeholder itself"
            )
        if self.labels is not None and len(self.labels) != len(self.input_ids):
            raise InputError(
                f"{len(self.labels)} labels for {len(self.input_ids)} ids; expected one per id"
            )

    @property
    def num_tokens(self) -> int:
        """Length of the sequence the language model sees."""
        return len(self.input_ids)

    @property
    def num_visual_tokens(self) -> int:
        """Visual tokens after pruning."""
        return sum(s.num_tokens for s in self.spans)

    @property
    def num_tiles(self) -> int:
        """Tiles and frames the vision encoder will see."""
        return sum(s.tiles for s in self.spans)


def relay_videos(layout: TokenLayout, counts: Mapping[int, Sequence[int]]) -> TokenLayout:
    """Write the ids of pruned videos again, once the kept tokens of each frame are known.

    The length of the sequence does not change, only where placeholders stand between the text of
    the frames.

    Args:
        layout: As planned.
        counts: Span index -> kept visual tokens per frame.

    Raises:
        InputError: Counts that do not add up to what was planned, or labels inside a video.
    """
    ids = list(layout.input_ids)
    for index, kept in counts.items():
        span = layout.spans[index]
        if span.kind != "video":
            raise InputError(f"media {index} is an {span.kind}; only videos are pruned")
        stop = span.start + span.length
        if layout.labels is not None and any(
            label != IGNORE_LABEL for label in layout.labels[span.start : stop]
        ):
            raise InputError(f"media {index}: a video block carries labels; it is never predicted")
        ids[span.start : stop] = span.frame_ids(kept, layout.placeholder)
    return replace(layout, input_ids=ids)
