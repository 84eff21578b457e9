"""Text around frames, spelled in the four published ways."""

import pytest

from nanovl.processing.sampling import select_frames, timestamps
from nanovl.processing.tokenizer import Tokenizer, byte_tokenizer
from nanovl.processing.video_layout import (
    HEADER,
    VideoStyle,
    frame_text,
    kept_tokens,
    separators,
    spread,
)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return byte_tokenizer()


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        ("compact", "F1<img></img>F2<img></img>F3<img></img>"),
        ("trt", "HF1<img></img>F2<img></img>F3<img></img>"),
        ("train", "HF1<img></img>\nF2<img></img>\nF3<img></img>\n"),
        ("vllm", "F1<img></img>\nF2<img></img>\nF3<img></img>"),
    ],
)
def test_spelling(tokenizer: Tokenizer, style: VideoStyle, expected: str) -> None:
    before, after = separators([0.0, 0.5, 1.0], 3, style, tokenizer)
    ids = [i for pair in zip(before, after, strict=True) for part in pair for i in part]
    text = tokenizer.decode(ids, skip_control=False)
    for number, time in ((1, "0.00"), (2, "0.50"), (3, "1.00")):
        text = text.replace(f"Frame {number} sampled at {time} seconds: ", f"F{number}")
    assert text.replace(HEADER, "H") == expected
    assert all(b[-1] == tokenizer.image_start_id for b in before)
    assert all(a[0] == tokenizer.image_end_id for a in after)


def test_announcements() -> None:
    assert frame_text(1, 0.0) == "Frame 1 sampled at 0.00 seconds: "
    assert frame_text(128, 118.774) == "Frame 128 sampled at 118.77 seconds: "
    assert frame_text(7, None) == "Frame 7: "


@pytest.mark.parametrize(
    ("total", "fps", "first", "last"),
    [
        (60, 30.0, "0.00 0.63 1.29 1.95", "1.95"),
        (240, 24.0, "0.00 0.49 1.02 1.52", "9.80"),
        (300, 29.97, "0.00 0.49 1.02 1.55", "9.87"),
        (1500, 25.0, "0.00 0.48 1.00 1.48", "59.96"),
        (1920, 30.0, "0.00", "63.33"),
        (3600, 30.0, "0.00 0.92 1.85 2.81", "118.77"),
    ],
)
def test_printed_times(total: int, fps: float, first: str, last: str) -> None:
    times = timestamps(select_frames(total, fps), fps)
    assert times is not None
    printed = [frame_text(1, t).split(" at ")[1].split()[0] for t in times]
    assert " ".join(printed).startswith(first)
    assert printed[-1] == last


@pytest.mark.parametrize("style", ["train", "trt", "vllm", "compact"])
def test_the_128_frames_of_a_64_second_video_with_bytes(
    tokenizer: Tokenizer, style: VideoStyle
) -> None:
    # The same structure the published totals have, one token per byte.
    indices = select_frames(1920, 30.0)
    times = timestamps(indices, 30.0)
    assert times is not None
    before, after = separators(times, 128, style, tokenizer)
    text = sum(len(frame_text(k, t)) for k, t in enumerate(times, start=1)) + 2 * 128
    text += {"train": len(HEADER) + 128, "trt": len(HEADER), "vllm": 127, "compact": 0}[style]
    assert sum(map(len, before)) + sum(map(len, after)) == text


@pytest.mark.parametrize(
    ("frames", "rate", "kept"),
    [(1, 0.9, 256), (8, 0.0, 2048), (10, 0.8, 511), (128, 0.7, 9830), (128, 0.75, 8192)],
)
def test_kept_tokens(frames: int, rate: float, kept: int) -> None:
    assert kept_tokens(frames, 256, rate) == kept


@pytest.mark.parametrize(("total", "frames"), [(10, 3), (256, 1), (511, 10), (9830, 128)])
def test_spread(total: int, frames: int) -> None:
    counts = spread(total, frames)
    assert sum(counts) == total
    assert len(counts) == frames
    assert max(counts) - min(counts) <= 1
