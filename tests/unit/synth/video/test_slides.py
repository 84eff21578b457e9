"""Talks: pictures, transcript, what is said wrongly, sound."""

from __future__ import annotations

import io
import itertools
import shutil
from collections.abc import Callable
from typing import Any

import av
import numpy as np
import pytest

from nanovl.core.errors import BackendError, ConfigError
from nanovl.synth.base import Streams
from nanovl.synth.video import narration
from nanovl.synth.video.encode import SPEECH_HZ
from nanovl.synth.video.narration import VOICES, Line, planned_s, sound_of
from nanovl.synth.video.slides import SlidesConfig, SlidesGenerator, create
from tests.unit.synth.checks import check_hash_seeds, made, make
from tests.unit.synth.video.video_checks import check_others_fail, check_video, shown

SILENT = SlidesConfig(narration="off", max_slides=4, sizes=((320, 240),))
needs_espeak = pytest.mark.skipif(
    shutil.which("espeak-ng") is None, reason="needs espeak-ng: apt install espeak-ng"
)


@pytest.mark.slow
def test_samples_are_sound() -> None:
    samples = made(SlidesGenerator(SILENT), 8)
    for sample in samples:
        check_video(sample)
        transcript = sample.media[0].extra["transcript"]
        assert transcript == sample.gt["transcript"]
        for before, after in itertools.pairwise(transcript):
            assert before["end_s"] <= after["start_s"]
        slides = sample.gt["slides"]
        assert slides[0]["t0"] == 0.0
        assert slides[-1]["t1"] == sample.gt["duration"]
        for slide in slides:
            for point in slide["points"]:
                said = next(x["text"] for x in transcript if x["start_s"] == point["t0"])
                assert (point["value"] in said) == point["said_right"]
                assert point["value"] in point["text"]
    check_others_fail(samples)


def test_points_come_up_when_they_are_said() -> None:
    for sample in made(SlidesGenerator(SILENT), 3):
        frames, fps = check_video(sample), sample.gt["fps"]
        for slide in sample.gt["slides"]:
            for point in slide["points"]:
                x0, y0, x1, y1 = (round(v) for v in point["box"])
                assert 0 <= x0 < x1 <= 320
                assert y1 - y0 >= 7
                at = round(point["t0"] * fps)
                before, after = (frames[k][y0:y1, x0:x1].astype(int) for k in (at - 1, at))
                assert before.std() < 12 < after.std()


@pytest.mark.slow
def test_some_things_are_said_wrongly_and_some_only_said() -> None:
    talks = [SlidesGenerator(SILENT).generate(k, Streams(k)) for k in range(20)]
    points = [p for t in talks for s in t.gt["slides"] for p in s["points"]]
    assert 0.02 < sum(not p["said_right"] for p in points) / len(points) < 0.3
    assert any(s["spoken_only"] for t in talks for s in t.gt["slides"])
    matches = [x for t in talks for x in t.tasks if x.task == "slides_matches"]
    assert {x.answer_text for x in matches} == {"yes", "no"}


def test_times_do_not_need_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(BackendError, match="apt install espeak-ng"):
        sound_of([Line(0.0, 3.0, "Hello.")], VOICES[0], 3.0)
    generator = SlidesGenerator(SlidesConfig(narration="on"))
    with pytest.raises(BackendError, match="espeak-ng"):
        generator.requires[0].check()


@pytest.mark.slow
@needs_espeak
def test_sound_and_silence_have_the_same_pictures() -> None:
    settings = {"max_slides": 3, "sizes": [[480, 360]]}
    silent = create({**settings, "narration": "off"}).generate(0, Streams(5))
    spoken = create({**settings, "narration": "on"}).generate(0, Streams(5))
    assert silent.gt == spoken.gt
    assert silent.tasks == spoken.tasks
    for a, b in zip(check_video(silent), check_video(spoken), strict=True):
        assert np.array_equal(a, b)
    with av.open(io.BytesIO(spoken.media[0].data), "r") as container:
        blocks = [f.to_ndarray().ravel() for f in container.decode(audio=0)]
    track = np.concatenate(blocks)
    assert len(track) / SPEECH_HZ == pytest.approx(spoken.gt["duration"], abs=0.3)
    for line in spoken.gt["transcript"]:
        low, high = (round(line[k] * SPEECH_HZ) for k in ("start_s", "end_s"))
        assert np.abs(track[low:high]).max() > 0.05
    lead = track[: round(0.8 * SPEECH_HZ)]
    assert np.abs(lead).max() < 0.01


@needs_espeak
def test_planned_times_are_enough_for_every_voice() -> None:
    texts = (
        "The town of Theidrouth has 77777 inhabitants.",
        "Shewiath Zousourt worked as an astronomer for many years.",
        "The river Kluzeilk is 888 kilometres long.",
        "Bograss Works employs 1777 people.",
    )
    for voice in VOICES:
        for text in texts:
            samples = narration._spoken(text, voice, voice.words_per_minute)
            assert len(samples) / SPEECH_HZ <= planned_s(text), (voice, text)


@needs_espeak
def test_a_long_line_is_said_faster() -> None:
    text = "One two three four five six seven eight nine ten eleven twelve."
    usual = len(narration._spoken(text, VOICES[0], VOICES[0].words_per_minute)) / SPEECH_HZ
    line = Line(0.0, usual * 0.9, text)
    assert 0 < len(narration._fitted(line, VOICES[0])) / SPEECH_HZ <= usual * 0.9
    with pytest.raises(BackendError, match="expected at most"):
        narration._fitted(Line(0.0, 0.2, text), VOICES[0])


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigError, match="narration"):
        create({"narration": "loud"})
    with pytest.raises(ConfigError, match="min_slides"):
        create({"min_slides": 1})


def test_golden(golden: Callable[[str, Any], None]) -> None:
    sample = make(SlidesGenerator(SILENT), 0)
    assert sample is not None
    golden("synth/video-slides.json", shown(sample))


def test_hash_seeds_do_not_matter() -> None:
    settings = '{"narration": "off", "max_slides": 3, "sizes": [[480, 360]]}'
    check_hash_seeds("nanovl.synth.video.slides", settings, indices="range(2)")
