"""`/v1/audio/transcriptions`, and subtitles."""

from __future__ import annotations

import io
import wave
from typing import Any

import numpy as np
import pytest

from nanovl.core.conversation import TranscriptSegment
from nanovl.serve.audio import subtitles
from tests.unit.serve.conftest import Serve, Served

SEGMENTS = [
    TranscriptSegment(start_s=0.0, end_s=1.5, text="Good morning."),
    TranscriptSegment(start_s=3661.25, end_s=3662.0, text="Bye --> now."),
]


class Hears:
    """Says the same every time; remembers what it was given."""

    def __init__(self) -> None:
        self.heard: list[tuple[int, str | None]] = []

    def transcribe(self, pcm: Any, language: str | None = None) -> list[TranscriptSegment]:
        assert pcm.dtype == np.float32
        self.heard.append((pcm.size, language))
        return SEGMENTS


def wav(seconds: float = 0.5) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(b"\0\0" * int(8000 * seconds))
    return out.getvalue()


def ask(served: Served, data: bytes | None = None, **fields: Any) -> Any:
    return served.client.post(
        "/v1/audio/transcriptions",
        files={"file": ("talk.wav", wav() if data is None else data)},
        data=fields,
    )


def test_formats(serve: Serve) -> None:
    hears = Hears()
    served = serve(transcriber=hears)
    assert ask(served, language="en").json() == {"text": "Good morning. Bye --> now."}
    assert hears.heard[0][1] == "en"
    assert abs(hears.heard[0][0] - 8000) < 100  # half a second at 16 kHz
    assert ask(served, response_format="text").text == "Good morning. Bye --> now.\n"
    verbose = ask(served, response_format="verbose_json").json()
    assert verbose["duration"] == pytest.approx(0.5, abs=0.01)
    assert verbose["segments"][1]["start"] == 3661.25
    srt = ask(served, response_format="srt").text
    assert "1\n00:00:00,000 --> 00:00:01,500\nGood morning.\n" in srt
    assert "01:01:01,250 --> 01:01:02,000\nBye -> now." in srt
    vtt = ask(served, response_format="vtt")
    assert vtt.text.startswith("WEBVTT\n\n00:00:00.000 --> 00:00:01.500\n")
    assert vtt.headers["content-type"].startswith("text/vtt")


@pytest.mark.parametrize(
    ("data", "fields", "status"),
    [
        (b"not sound", {}, 422),
        (b"", {}, 422),
        (None, {"response_format": "mp3"}, 400),
        (None, {"language": "en; rm -rf"}, 400),
        (None, {"timestamp_granularities[]": "word"}, 400),
    ],
)
def test_what_cannot_be_done(serve: Serve, data: Any, fields: Any, status: int) -> None:
    answer = ask(serve(transcriber=Hears()), data, **fields)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["message"]


def test_without_speech_recognition(serve: Serve) -> None:
    answer = ask(serve())
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "unsupported"
    assert "audio" not in serve().client.get("/v1/models").json()["data"][0]["input_modalities"]


def test_subtitles_of_nothing() -> None:
    assert subtitles([]) == ""
    assert subtitles([], web=True) == "WEBVTT\n"
