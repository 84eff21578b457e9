"""Speech -> transcript text, which is how sound reaches the model.

The model hears nothing: a recogniser writes down what is said, with times. This module holds the
interface, two recognisers and the written form; it decodes no media.

Source: serving specification section 11.
"""

from __future__ import annotations

import importlib.util
import json
import math
import shlex
import subprocess
import tempfile
import threading
import wave
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from nanovl.core import paths
from nanovl.core.conversation import TranscriptSegment
from nanovl.core.errors import BackendError, CheckpointError, ConfigError, missing_extra
from nanovl.processing.audio import SAMPLE_RATE

__all__ = [
    "CommandTranscriber",
    "Transcriber",
    "WhisperTranscriber",
    "format_transcript",
    "make_transcriber",
    "shift",
]

Samples = np.ndarray[Any, np.dtype[np.float32]]
DEFAULT_WHISPER = "base"
MODEL_FILE = "model.bin"


@runtime_checkable
class Transcriber(Protocol):
    """Anything that turns samples into text with times."""

    def transcribe(self, pcm: Samples, language: str | None = None) -> list[TranscriptSegment]:
        """Recognise speech.

        Args:
            pcm: fp32 (samples,), mono, 16 kHz, -1..1.
            language: ISO 639-1 code such as "en"; None detects it.

        Returns:
            Segments in order; empty when nobody speaks.
        """
        ...


class WhisperTranscriber:
    """Whisper through faster-whisper (extra `speech`), in 8-bit integers on the CPU.

    Args:
        model: A model's name ("base", "small", ...; fetched from the hub once and kept below
            NANOVL_HOME), or a folder in CTranslate2 format, which needs no network.
        threads: CPU threads; 0 leaves the choice to the library.

    Raises:
        BackendError: The extra is not installed.
        CheckpointError: The folder holds no model.
    """

    def __init__(self, model: str = DEFAULT_WHISPER, *, threads: int = 0) -> None:
        if importlib.util.find_spec("faster_whisper") is None:
            raise missing_extra("faster_whisper", "speech", "Recognising speech")
        folder = Path(model).expanduser()
        self._is_folder = folder.is_dir()
        if self._is_folder and not (folder / MODEL_FILE).is_file():
            raise CheckpointError(
                f"{model}: no {MODEL_FILE} in this folder; expected a Whisper model in "
                "CTranslate2 format"
            )
        self._name = str(folder) if self._is_folder else model
        self._threads = threads
        self._model: Any = None
        self._lock = threading.Lock()

    def transcribe(self, pcm: Samples, language: str | None = None) -> list[TranscriptSegment]:
        """Recognise speech; see `Transcriber`.

        Raises:
            BackendError: The model cannot be loaded or fetched, or the language is unknown.
        """
        if pcm.size == 0:
            return []
        # One at a time: the model already uses all threads it was given.
        with self._lock:
            if self._model is None:
                self._model = self._load()
            try:
                found, _ = self._model.transcribe(pcm, language=language, vad_filter=True)
                return [
                    TranscriptSegment(
                        start_s=float(s.start),
                        end_s=float(s.end),
                        text=s.text.strip(),
                        confidence=min(1.0, math.exp(s.avg_logprob)),
                    )
                    for s in found
                    if s.text.strip()
                ]
            except (ValueError, RuntimeError) as error:
                raise BackendError(f"whisper {self._name}: recognition failed ({error})") from error

    def _load(self) -> Any:
        from faster_whisper import WhisperModel

        try:
            return WhisperModel(
                self._name,
                device="cpu",
                compute_type="int8",
                cpu_threads=self._threads,
                download_root=str(paths.models_dir() / "whisper"),
                local_files_only=self._is_folder,
            )
        except Exception as error:  # the hub client and the runtime raise many types
            raise BackendError(
                f"whisper {self._name}: cannot be loaded ({type(error).__name__}); "
                "check the name and the network, or pass a folder with the model"
            ) from error


class CommandTranscriber:
    """A program of the user's: reads a WAV file, writes JSON or plain text.

    `{wav}` in the command becomes the path of a mono 16 kHz 16-bit WAV file (appended when the
    word is missing), `{language}` the language or "auto". Standard output may be JSON, a list of
    `{"start": s, "end": s, "text": "..."}` or an object with that list as "segments"; anything
    else is taken as text of one segment. No shell is involved.

    Args:
        command: Program and arguments, quoted as in a shell.
        timeout_s: Time for one call.

    Raises:
        ConfigError: The command is empty or its quotes do not match.
    """

    def __init__(self, command: str, *, timeout_s: float = 600.0) -> None:
        try:
            self._words = shlex.split(command)
        except ValueError as error:
            raise ConfigError(f"transcriber command {command!r}: {error}") from error
        if not self._words:
            raise ConfigError("transcriber command is empty; expected command:PROGRAM ARGS {wav}")
        if not any("{wav}" in word for word in self._words):
            self._words.append("{wav}")
        self._timeout_s = timeout_s

    def transcribe(self, pcm: Samples, language: str | None = None) -> list[TranscriptSegment]:
        """Recognise speech; see `Transcriber`.

        Raises:
            BackendError: The program is missing, fails, or takes too long.
        """
        if pcm.size == 0:
            return []
        program = self._words[0]
        with tempfile.TemporaryDirectory(prefix="nanovl-") as folder:
            wav = Path(folder) / "speech.wav"
            _write_wav(wav, pcm)
            words = [
                w.replace("{wav}", str(wav)).replace("{language}", language or "auto")
                for w in self._words
            ]
            try:
                done = subprocess.run(
                    words, capture_output=True, timeout=self._timeout_s, check=False
                )
            except OSError as error:
                raise BackendError(
                    f"transcriber {program}: cannot be started ({error.strerror})"
                ) from error
            except subprocess.TimeoutExpired:
                raise BackendError(
                    f"transcriber {program}: no result within {self._timeout_s:g} s"
                ) from None
        if done.returncode != 0:
            last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
            raise BackendError(
                f"transcriber {program}: exit code {done.returncode}; {' '.join(last) or 'no text'}"
            )
        text = done.stdout.decode(errors="replace").strip()
        return _parse_segments(text, pcm.size / SAMPLE_RATE, program)


def make_transcriber(spec: str) -> Transcriber | None:
    """Make the recogniser a setting names.

    Args:
        spec: "none", "whisper", "whisper:MODEL_OR_FOLDER" or "command:PROGRAM ARGS {wav}".

    Returns:
        The recogniser, or None for "none".

    Raises:
        ConfigError: Unknown name.
        BackendError: The extra it needs is not installed.
    """
    name, _, argument = spec.partition(":")
    if name == "none" and not argument:
        return None
    if name == "whisper":
        return WhisperTranscriber(argument or DEFAULT_WHISPER)
    if name == "command":
        return CommandTranscriber(argument)
    raise ConfigError(
        f"transcriber {spec!r}: expected none, whisper, whisper:MODEL_OR_FOLDER or "
        "command:PROGRAM ARGS {wav}"
    )


def shift(segments: Iterable[TranscriptSegment], seconds: float) -> list[TranscriptSegment]:
    """Move segments in time, for sound that was cut out of a longer medium."""
    return [replace(s, start_s=s.start_s + seconds, end_s=s.end_s + seconds) for s in segments]


def format_transcript(segments: Sequence[TranscriptSegment]) -> str:
    """Write segments one per line: `[0.00s - 3.20s] text`; "" for none."""
    return "\n".join(
        f"[{s.start_s:.2f}s - {s.end_s:.2f}s] {' '.join(s.text.split())}" for s in segments
    )


def _write_wav(path: Path, pcm: Samples) -> None:
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(SAMPLE_RATE)
        out.writeframes((np.clip(pcm, -1.0, 1.0) * 32767).astype("<i2").tobytes())


def _parse_segments(text: str, length_s: float, program: str) -> list[TranscriptSegment]:
    if not text:
        return []
    if text[0] not in "[{":
        return [TranscriptSegment(start_s=0.0, end_s=length_s, text=text)]
    try:
        data = json.loads(text)
        rows = data["segments"] if isinstance(data, dict) else data
        return [
            TranscriptSegment(
                start_s=float(row["start"]), end_s=float(row["end"]), text=str(row["text"]).strip()
            )
            for row in rows
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise BackendError(
            f"transcriber {program}: output starts like JSON but is not a list of "
            '{"start", "end", "text"}'
        ) from error
