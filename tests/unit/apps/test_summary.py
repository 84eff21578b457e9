"""Summaries: true times however the video is cut, by a model that is scripted."""

from __future__ import annotations

import itertools
import re

import pytest

from nanovl.apps.hearing import hear
from nanovl.apps.summary import plan_parts, summarize
from nanovl.apps.timeline import Span, Timeline, clock_text, open_video
from nanovl.core.conversation import MediaRef, TextPart, TranscriptSegment, VideoPart
from nanovl.core.errors import InputError
from nanovl.processing.media import Limits
from nanovl.testing import pdf, tiny_nanovl, video
from tests.unit.apps.fakes import FakeNanoVL


def timeline(duration_s: float, fps: float = 25.0, transcript=()) -> Timeline:
    part = VideoPart(source=MediaRef(data=b"x", name="talk.mp4"), transcript=())
    return Timeline(video=part, duration_s=duration_s, fps=fps, transcript=tuple(transcript))


def bullets_of(schema):
    return schema["properties"].get("bullets") or schema["properties"]["notes"]


def watch(prompt, files, schema):
    """Says of every part when it begins and ends, as far as the grammar lets it."""
    array = bullets_of(schema)
    seconds = array["items"]["properties"]["seconds"]
    if "enum" in seconds:
        times = list(itertools.islice(itertools.cycle(seconds["enum"]), array["maxItems"]))
    else:
        times = [seconds["minimum"], seconds["maximum"]]
    times += times[-1:] * (array.get("minItems", 0) - len(times))
    rows = [{"seconds": t, "text": f"at {t}"} for t in times]
    if "notes" in schema["properties"]:
        return {"notes": rows}
    return {"overview": "All\nof it", "bullets": rows}


def test_a_short_video_is_one_prompt():
    model = FakeNanoVL(watch)
    found = summarize(model, timeline(20.0))
    assert found.parts == 1
    assert len(model.asked) == 1
    assert found.overview == "All of it"
    assert [b.seconds for b in found.bullets] == [0, 20]
    (part,) = model.asked[0].files
    assert part.start_s is part.end_s is None
    question, answer = found.conversation
    assert isinstance(question.parts[0], VideoPart)
    assert answer.parts[0].text == found.markdown
    assert "- [0:20] at 20" in found.markdown


def test_a_long_video_is_cut_and_its_times_are_those_of_the_whole():
    model = FakeNanoVL(watch, max_frames=16)
    found = summarize(model, timeline(600.0), every_s=4.0)
    assert found.parts == 10  # 150 frames, 16 at a time
    starts = [a.files[0].start_s for a in model.asked[:10]]
    assert starts == [60.0 * i for i in range(10)]
    assert model.asked[9].files[0].end_s is None, "the last part loses no frame to rounding"
    assert len(found.notes) == 20
    times = [note.seconds for note in found.notes]
    assert times == sorted(times)
    assert {60.0 * i for i in range(11)} == set(times)
    reduce = model.asked[-1]
    assert reduce.files == []
    assert "540 s: at 540" in reduce.prompt
    assert {b.seconds for b in found.bullets} <= set(times)
    assert found.conversation[0].parts == (TextPart(text=reduce.prompt),)


def test_told_times_become_true_ones():
    """At 30 frames per second a frame counts 33 ms: the model is told 59:24 for an hour."""
    long = timeline(3600.0, fps=30.0)
    assert long.stretch == pytest.approx(1 / 0.99)
    assert long.told(3600.0) == pytest.approx(3564.0)
    assert long.true(3564.0) == pytest.approx(3600.0)
    assert long.true(1e6) == 3600.0
    assert long.true(0.0, Span(start_s=100.0, end_s=200.0)) == 100.0
    found = summarize(FakeNanoVL(watch, max_frames=128), long, every_s=30.0)
    assert found.bullets[-1].seconds == pytest.approx(3600.0, abs=1.1)
    parts = summarize(FakeNanoVL(watch, max_frames=8), long, every_s=30.0)
    assert parts.parts == 15
    ends = [note.seconds for note in parts.notes][1::2]
    assert ends == pytest.approx([240.0 * (i + 1) for i in range(15)], abs=1.1)
    assert all(n.seconds <= 3600.0 for n in parts.notes)


def test_what_is_said_is_put_on_the_clock_the_model_is_told():
    said = [
        TranscriptSegment(start_s=100.0 * i, end_s=100.0 * i + 5, text=f"w{i}") for i in range(36)
    ]
    long = timeline(3600.0, fps=30.0, transcript=said)
    _, text = long.parts(Span(start_s=1800.0, end_s=2000.0), 4)
    assert isinstance(text, TextPart)
    assert "[1782.00s - 1786.95s] w18" in text.text
    assert "w17" not in text.text
    assert "w20" not in text.text
    model = FakeNanoVL(watch, max_frames=128)
    summarize(model, long, every_s=30.0)
    assert "what is said in it" in model.asked[0].prompt


def test_a_context_too_small_makes_more_parts():
    roomy = plan_parts(FakeNanoVL(watch, context=100_000), timeline(60.0), max_tokens=100)
    assert (len(roomy[0]), roomy[1]) == (1, 16)
    tight = FakeNanoVL(watch, context=700, frame_tokens=50, max_frames=16)
    spans, frames = plan_parts(tight, timeline(60.0), max_tokens=100)
    assert len(spans) > 1
    assert frames >= spans[0].length_s / 4.0
    assert spans[0].start_s == 0.0
    assert spans[-1].end_s == 60.0
    with pytest.raises(InputError, match=r"talk.mp4: not even 1 s of the video"):
        plan_parts(FakeNanoVL(watch, context=300), timeline(60.0), max_tokens=100)


def test_notes_beyond_the_context_are_condensed_in_rounds():
    model = FakeNanoVL(watch, context=1000, frame_tokens=1, max_frames=4)
    found = summarize(model, timeline(1600.0), every_s=4.0, max_tokens=100)
    assert found.parts == 100
    assert len([a for a in model.asked if a.prompt.startswith("These are notes")]) > 2
    assert all(len(a.prompt) + 100 <= 1000 for a in model.asked)
    assert {b.seconds for b in found.bullets} <= {n.seconds for n in found.notes}


def test_what_is_said_twice_is_kept_once():
    def same(prompt, files, schema):
        return {"overview": "x", "bullets": [{"seconds": s, "text": " Same "} for s in (9, 3, 5)]}

    found = summarize(FakeNanoVL(same), timeline(20.0))
    assert [(b.seconds, b.text) for b in found.bullets] == [(3, "Same")]


def test_a_real_video_and_a_random_model(tmp_path):
    model = tiny_nanovl()
    line = open_video(model, str(video(tmp_path / "v.mp4", frames=40, fps=8)))
    assert (line.duration_s, line.fps, line.has_audio) == (5.0, 8.0, False)
    found = summarize(model, line, bullets=2, max_tokens=160)
    assert found.overview
    assert all(0 <= b.seconds <= 5 for b in found.bullets)
    # The same in parts: a frame of the tiny model and its separators are some 46 tokens.
    long = open_video(model, str(video(tmp_path / "w.mp4", frames=160, fps=8)))
    model.engine.context_length = 1500
    parts = summarize(model, long, every_s=0.5, bullets=2, max_tokens=160)
    assert parts.parts > 1
    assert all(0 <= b.seconds <= 20 for b in (*parts.bullets, *parts.notes))


def test_other_media_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"p.pdf: expected a video, got document"):
        open_video(tiny_nanovl(), str(pdf(tmp_path / "p.pdf")))


def test_speech_is_heard_in_stretches_with_true_times(tmp_path):
    class Listener:
        def transcribe(self, pcm, language=None):
            return [TranscriptSegment(start_s=0.5, end_s=pcm.size / 16000, text=f"{language}")]

    path = video(tmp_path / "v.mp4", frames=40, fps=8, tone_hz=440)
    heard = hear(MediaRef(path=path), 5.0, Listener(), Limits.local(), language="de", stretch_s=2.0)
    assert [s.start_s for s in heard] == [0.5, 2.5, 4.5]
    assert heard[1].end_s == pytest.approx(4.0)
    assert heard[0].text == "de"


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (62.9, "1:02"), (3723, "1:02:03")])
def test_clock(seconds, text):
    assert clock_text(seconds) == text
    assert re.fullmatch(r"[\d:]+", text)
