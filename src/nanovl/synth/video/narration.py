"""Speech for videos: sentences with times, and their sound by the program espeak-ng.

Times are planned from the length of the texts alone, so that a narrated video and its silent twin
have the same pictures, transcript and questions. Must not know what is narrated.

Source: data synthesis specification, section 10 (narration).
"""

from __future__ import annotations

import io
import math
import subprocess
import wave
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nanovl.core.errors import BackendError
from nanovl.synth.base import Requirement
from nanovl.synth.video.encode import SPEECH_HZ

__all__ = ["ESPEAK", "VOICES", "Line", "Voice", "planned_s", "sound_of", "transcript_of"]

ESPEAK = Requirement(
    name="espeak-ng", kind="program", package="espeak-ng", purpose="narration of videos"
)
_CHARS_PER_S = 11.0  # slower than any voice below speaks
_DIGIT_CHARS = 9.0  # a digit takes about as long to say as so many letters
_HURRY = 1.2  # how much faster a line is said again that did not fit
_PAUSE_S = 0.5
_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Voice:
    """How a narrator sounds.

    Attributes:
        name: Voice of espeak-ng.
        words_per_minute: Speed.
        pitch: 0 to 99.
    """

    name: str
    words_per_minute: int
    pitch: int


VOICES = (
    Voice("en-us", 165, 45),
    Voice("en-gb", 170, 50),
    Voice("en-us+f3", 168, 55),
    Voice("en-gb+m3", 160, 35),
    Voice("en-us+m7", 175, 40),
)


@dataclass(frozen=True)
class Line:
    """A sentence and when it is said, in seconds."""

    start_s: float
    end_s: float
    text: str


def planned_s(text: str) -> float:
    """Time kept for a sentence, in seconds, a multiple of half a second."""
    digits = sum(c.isdigit() for c in text)
    length = len(text) - digits + _DIGIT_CHARS * digits
    return math.ceil(2 * (length / _CHARS_PER_S + _PAUSE_S)) / 2


def transcript_of(lines: Sequence[Line]) -> list[dict[str, float | str]]:
    """The lines in the form of a record's transcript."""
    return [{"start_s": x.start_s, "end_s": x.end_s, "text": x.text} for x in lines]


def _fitted(line: Line, voice: Voice) -> npt.NDArray[np.int16]:
    """A line said fast enough for its place."""
    room = round((line.end_s - line.start_s) * SPEECH_HZ)
    speed = float(voice.words_per_minute)
    while speed < 2 * voice.words_per_minute:
        samples = _spoken(line.text, voice, round(speed))
        if len(samples) <= room:
            return samples
        speed *= _HURRY
    raise BackendError(
        f"espeak-ng takes {len(samples) / SPEECH_HZ:.1f} s for {line.text!r} at {speed:.0f} words "
        f"a minute, expected at most {room / SPEECH_HZ:.1f} s"
    )


def _spoken(text: str, voice: Voice, speed: int) -> npt.NDArray[np.int16]:
    command = [
        "espeak-ng", "-v", voice.name, "-s", str(speed), "-p", str(voice.pitch),
        "--stdout", text,
    ]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, timeout=_TIMEOUT_S, check=False)
    except FileNotFoundError:
        ESPEAK.check()
        raise
    if done.returncode:
        raise BackendError(f"espeak-ng failed: {done.stderr.decode(errors='replace').strip()}")
    with wave.open(io.BytesIO(done.stdout)) as sound:
        if sound.getframerate() != SPEECH_HZ or sound.getnchannels() != 1:
            raise BackendError(
                f"espeak-ng gave {sound.getframerate()} Hz and {sound.getnchannels()} channels, "
                f"expected {SPEECH_HZ} Hz mono"
            )
        # The header of a stream has no true length: read all there is.
        data = sound.readframes((len(done.stdout) - 44) // 2)
    return np.frombuffer(data, dtype="<i2").astype(np.int16)


def sound_of(lines: Sequence[Line], voice: Voice, duration_s: float) -> npt.NDArray[np.int16]:
    """The narration as samples at 22,050 Hz, silence between the lines.

    Args:
        lines: What is said when.
        voice: Who says it.
        duration_s: Length of the result.

    Raises:
        BackendError: espeak-ng is missing or fails.
    """
    track = np.zeros(round(duration_s * SPEECH_HZ), dtype=np.int16)
    for line in lines:
        samples = _fitted(line, voice)
        start = round(line.start_s * SPEECH_HZ)
        track[start : start + len(samples)] = samples
    return track
