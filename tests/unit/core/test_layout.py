"""Spans and layouts check themselves; pruned videos are laid out again."""

from dataclasses import replace
from typing import Any

import pytest

from nanovl.core.errors import InputError
from nanovl.core.layout import IGNORE_LABEL, MediaSpan, TokenLayout, relay_videos

X = 9  # the placeholder
OPEN, CLOSE = 7, 8


def image_span(start: int) -> MediaSpan:
    """One tile of four tokens."""
    return MediaSpan(
        kind="image",
        start=start,
        length=4,
        num_tokens=4,
        tiles=1,
        tile_size=(64, 64),
        grid=(2, 2),
    )


def video_span(start: int = 1, kept: int = 6, **changes: Any) -> MediaSpan:
    """Three frames of four tokens: `k OPEN ... CLOSE` with k = 1, 2, 3."""
    fields: dict[str, Any] = {
        "kind": "video",
        "start": start,
        "length": 9 + kept,
        "num_tokens": kept,
        "tiles": 3,
        "tile_size": (64, 64),
        "grid": (2, 2),
        "before": ((1, OPEN), (2, OPEN), (3, OPEN)),
        "after": ((CLOSE,),) * 3,
        "pruning_rate": 0.5,
    }
    return MediaSpan(**fields | changes)


def video_layout() -> TokenLayout:
    span = video_span()
    ids = [0, *span.frame_ids([2, 2, 2], X), 5]
    return TokenLayout(input_ids=ids, spans=(span,), placeholder=X)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"start": -1}, "image span: start -1"),
        ({"num_tokens": 0, "length": 0}, "0 visual tokens do not fit"),
        ({"length": 3}, "length 3, 4 visual tokens"),
        ({"tiles": 2}, "2 tiles of 4 tokens give 8, got 4"),
    ],
)
def test_image_spans_that_do_not_fit(changes: dict[str, Any], expected: str) -> None:
    good = image_span(0)
    with pytest.raises(InputError, match=expected):
        replace(good, **changes)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"before": ((1,), (2,))}, "3 frames but 2 / 3 separators"),
        ({"after": ()}, "3 frames but 3 / 0 separators"),
        ({"length": 16}, "9 text ids and 6 visual tokens do not make a block of 16"),
        ({"num_tokens": 13, "length": 22}, "at most 12 visual tokens"),
    ],
)
def test_video_spans_that_do_not_fit(changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        video_span(**changes)


def test_derived_facts() -> None:
    span = video_span()
    assert (span.tokens_per_tile, span.is_pruned) == (4, True)
    assert not video_span(kept=12).is_pruned
    layout = video_layout()
    assert (layout.num_tokens, layout.num_visual_tokens, layout.num_tiles) == (17, 6, 3)


@pytest.mark.parametrize(
    ("ids", "spans", "expected"),
    [
        ([X] * 4, (image_span(1),), r"span \[1, 5\) overlaps .* leaves the prompt of 4 ids"),
        ([X] * 8, (image_span(0), image_span(2)), r"media 1: span \[2, 6\) overlaps"),
        ([X] * 8, (image_span(4), image_span(0)), "media 1"),
        ([X] * 5, (image_span(0),), "5 visual placeholders but its media needs 4"),
        ([0] * 5, (image_span(0),), "0 visual placeholders but its media needs 4"),
    ],
)
def test_layouts_that_do_not_fit(
    ids: list[int], spans: tuple[MediaSpan, ...], expected: str
) -> None:
    with pytest.raises(InputError, match=expected):
        TokenLayout(input_ids=ids, spans=spans, placeholder=X)


def test_labels_are_one_per_id() -> None:
    with pytest.raises(InputError, match="2 labels for 3 ids"):
        TokenLayout(input_ids=[1, 2, 3], labels=[1, 2])


def test_relaying_keeps_the_length_and_the_text() -> None:
    layout = video_layout()
    relaid = relay_videos(layout, {0: [4, 0, 2]})
    assert relaid.input_ids == [
        *(0, 1, OPEN, X, X, X, X, CLOSE),
        *(2, OPEN, CLOSE),
        *(3, OPEN, X, X, CLOSE, 5),
    ]
    assert relaid.num_tokens == layout.num_tokens
    assert layout.input_ids.count(X) == 6  # the plan itself is untouched
    assert relay_videos(relaid, {0: [2, 2, 2]}) == layout
    assert relay_videos(layout, {}) == layout


def test_relaying_refuses_what_was_not_planned() -> None:
    layout = video_layout()
    with pytest.raises(InputError, match="3 frames keep 7 visual tokens, expected 3 frames and 6"):
        relay_videos(layout, {0: [4, 1, 2]})
    with pytest.raises(InputError, match="2 frames keep 6"):
        relay_videos(layout, {0: [4, 2]})
    picture = TokenLayout(input_ids=[X] * 4, spans=(image_span(0),), placeholder=X)
    with pytest.raises(InputError, match="media 0 is an image"):
        relay_videos(picture, {0: [4]})


def test_a_video_is_never_predicted() -> None:
    layout = video_layout()
    labels = [IGNORE_LABEL] * layout.num_tokens
    masked = replace(layout, labels=labels)
    assert relay_videos(masked, {0: [4, 0, 2]}).labels == labels
    labels[3] = 1
    with pytest.raises(InputError, match="video block carries labels"):
        relay_videos(replace(layout, labels=labels), {0: [4, 0, 2]})
