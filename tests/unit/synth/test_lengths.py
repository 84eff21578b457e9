"""Estimated lengths of records: never below what the loader counts by much, and kept in bounds."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from nanovl.core.errors import ConfigError
from nanovl.core.paths import asset
from nanovl.synth.base import Answer, Media, Reject, Sample, Streams, Task
from nanovl.synth.lengths import (
    LONG,
    STAGE1_TOKENS,
    STAGE2_TOKENS,
    bounded,
    check_bounds,
    media_tokens,
    record_tokens,
    text_tokens,
)
from nanovl.synth.registry import GENERATORS, create
from tests.unit.synth.checks import make


def picture(name: str, width: int, height: int) -> Media:
    out = io.BytesIO()
    Image.new("RGB", (width, height)).save(out, "PNG")
    return Media(name=name, kind="image", data=out.getvalue(), ext="png", width=width,
                 height=height)  # fmt: skip


def clip(seconds: float, fps: int = 4) -> Media:
    extra = {"video_fps": fps, "video_duration": seconds, "video_num_frames": int(seconds * fps)}
    return Media(name="clip", kind="video", data=b"", ext="mp4", width=64, height=64, extra=extra)


def asked(*media: str, text: str = "What is it?", **changes: Any) -> Task:
    answer = Answer(type="text", value="x")
    return replace(
        Task(task="t", question=text, answer_text="x", answer=answer, verifier="exact",
             media=media), **changes,
    )  # fmt: skip


def sample_of(media: tuple[Media, ...], *tasks: Task) -> Sample:
    return Sample(generator="g", version="1", seed=1, gt={}, tasks=tasks, media=media)


@pytest.mark.parametrize(
    ("size", "tiles"), [((512, 512), 1), ((1024, 512), 3), ((1024, 1024), 5), ((40, 40), 1)]
)
def test_pictures_are_their_tiles_and_a_thumbnail(size: tuple[int, int], tiles: int) -> None:
    assert media_tokens(picture("p", *size)) == 256 * tiles


def test_clips_are_two_frames_a_second_up_to_128() -> None:
    assert media_tokens(clip(10)) == 20 * (256 + 16)
    assert media_tokens(clip(500)) == 128 * (256 + 16)
    spoken = replace(clip(10), extra={**clip(10).extra, "transcript": [{"text": "grain " * 30}]})
    assert media_tokens(spoken) > media_tokens(clip(10)) + 50


def test_text_is_not_underestimated() -> None:

    from tokenizers import Tokenizer

    fast = Tokenizer.from_file(str(asset("mini", "tokenizer.json")))
    for text in (
        "The miller had three sons, a mill, an ass and a cat. " * 20,
        "def grind(grain):\n    return [corn.flour() for corn in grain if corn]\n" * 20,
        '{"role": "button", "name": "Save", "box": [10, 200, 300, 400]}' * 20,
        "| 1,234.56 | 99 | 7.5% |\n" * 40,
    ):
        counted = len(fast.encode(text).ids)
        assert 0.9 * counted <= text_tokens(text) <= 2.0 * counted, text[:30]


def test_records_count_everything_they_show() -> None:
    media = (picture("a", 512, 512), picture("b", 512, 512))
    plain = sample_of(media, asked("a", "b"))
    base = record_tokens(plain, plain.tasks[0])
    assert base > 512
    with_trace = asked("a", "b", trace="grain " * 90)
    assert record_tokens(plain, with_trace) >= base + 150
    turns = (
        {"role": "user", "content": [{"type": "image", "image": "a"}, {"type": "text",
                                                                     "text": "Which?"}]},
        {"role": "assistant", "content": [], "tool_calls": [{"name": "f", "arguments": {"x": 1}}]},
    )  # fmt: skip
    shown = record_tokens(plain, asked("a", "b", messages=turns))
    assert 256 < shown < base  # one picture only


def test_long_records_are_left_out_or_tagged() -> None:
    media = tuple(picture(f"p{n}", 1536, 2048) for n in range(6))  # 13 tiles each
    names = [m.name for m in media]
    sample = sample_of(media, asked(*names), *(asked(name) for name in names))
    kept = bounded(sample, STAGE2_TOKENS)
    assert kept.tasks == sample.tasks
    assert LONG in kept.tags
    assert kept.quality["tokens"] > 6 * 13 * 256 > STAGE1_TOKENS
    short = bounded(sample, STAGE1_TOKENS)
    assert [t.media for t in short.tasks] == [(name,) for name in names]
    assert LONG not in short.tags
    with pytest.raises(Reject, match="too_long"):  # no picture stays that nobody asks about
        bounded(sample_of(media, asked(*names), asked("p0")), STAGE1_TOKENS)
    with pytest.raises(Reject, match="too_short"):
        bounded(sample, STAGE1_TOKENS, STAGE1_TOKENS)
    assert bounded(sample, 0).tasks == sample.tasks


def test_bounds_are_checked() -> None:
    with pytest.raises(ConfigError, match="min_tokens 5"):
        check_bounds(5, 4)
    check_bounds(5, 0)


def test_defaults_fit_the_stages_that_pack_them() -> None:
    """All generators with a bound keep to the sequences of the recipes."""
    from nanovl.synth.multipage.generator import MultipageConfig
    from nanovl.synth.video.shapes import ShapesConfig
    from nanovl.synth.video.slides import SlidesConfig
    from nanovl.synth.video.ticker import TickerConfig

    assert ShapesConfig().max_tokens == TickerConfig().max_tokens == STAGE1_TOKENS
    assert MultipageConfig().max_tokens == SlidesConfig().max_tokens == STAGE2_TOKENS


def test_tickers_fit_a_sequence() -> None:
    generator = create("video-ticker", {"min_s": 20.0, "max_s": 40.0})
    rejected = 0
    for index in range(8):
        try:
            sample = generator.generate(index, Streams(index))
        except Reject as error:
            rejected += error.reason == "too_long"
            continue
        assert sample.quality["tokens"] <= STAGE1_TOKENS
        assert sample.gt["duration"] < 30.5
    assert 0 < rejected < 8


def test_documents_are_tagged_by_length() -> None:
    assert "multipage" in GENERATORS
    settings = {"fonts": ["builtin"], "kinds": ["report"], "min_pages": 6, "max_pages": 9}
    sample = make(create("multipage", settings), 1)
    assert sample is not None
    assert (LONG in sample.tags) == (sample.quality["tokens"] > STAGE1_TOKENS)
