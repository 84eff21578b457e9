"""Recognisers and the written form of speech."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from nanovl.core.conversation import MediaRef, TranscriptSegment
from nanovl.core.errors import BackendError, CheckpointError, ConfigError
from nanovl.processing import speech as module
from nanovl.processing.audio import decode_audio
from nanovl.processing.media import Limits
from nanovl.processing.speech import (
    CommandTranscriber,
    Transcriber,
    WhisperTranscriber,
    format_transcript,
    make_transcriber,
    shift,
)

SAMPLES = Path(__file__).parents[4] / "shared" / "data" / "audio"
SECOND = np.zeros(16_000, np.float32)


def segment(start: float, end: float, text: str) -> TranscriptSegment:
    return TranscriptSegment(start_s=start, end_s=end, text=text)


def command(script: str, *arguments: str) -> CommandTranscriber:
    words = [sys.executable, "-c", f'"{script}"', *arguments]
    return CommandTranscriber(" ".join(words), timeout_s=20)


def test_written_form() -> None:
    segments = [segment(0, 3.2, "Good morning."), segment(3.2, 65.004, " two\nlines  ")]
    assert format_transcript(segments) == (
        "[0.00s - 3.20s] Good morning.\n[3.20s - 65.00s] two lines"
    )
    assert format_transcript([]) == ""
    assert format_transcript(shift(segments[:1], 10)) == "[10.00s - 13.20s] Good morning."


def test_names() -> None:
    assert make_transcriber("none") is None
    assert isinstance(make_transcriber("command:program {wav}"), CommandTranscriber)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("wisper", "expected none, whisper"),
        ("none:x", "expected none, whisper"),
        ("", "expected none, whisper"),
        ("command:", "command is empty"),
        ("command:'unclosed", "No closing quotation"),
    ],
)
def test_names_that_are_none(spec: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_transcriber(spec)


def test_missing_extra_is_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BackendError, match=r"pip install 'nanovl\[speech\]'"):
        make_transcriber("whisper")


def test_command_gets_a_wav_file_and_answers_in_json() -> None:
    script = (
        "import sys, json, wave; w = wave.open(sys.argv[1]); "
        "print(json.dumps([dict(start=0, end=w.getnframes() / w.getframerate(), "
        "text=str(w.getnchannels()) + sys.argv[2])]))"
    )
    program = command(script, "{wav}", "{language}")
    assert isinstance(program, Transcriber)
    assert program.transcribe(SECOND, "de") == [segment(0, 1, "1de")]
    assert program.transcribe(SECOND) == [segment(0, 1, "1auto")]
    assert program.transcribe(SECOND[:0]) == []


def test_command_without_a_place_for_the_file_gets_it_last() -> None:
    script = "import sys; print(sys.argv[-1].endswith('speech.wav'))"
    assert command(script).transcribe(SECOND) == [segment(0, 1, "True")]


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("", []),
        ("just words", [segment(0, 1, "just words")]),
        ('{"segments": [{"start": 1, "end": 2.5, "text": " a "}]}', [segment(1, 2.5, "a")]),
        ("[]", []),
    ],
)
def test_command_output(output: str, expected: list[TranscriptSegment], tmp_path: Path) -> None:
    (tmp_path / "out").write_text(output)
    script = "import sys; print(open(sys.argv[1], encoding='utf-8').read())"
    program = command(
        f"import warnings; warnings.simplefilter('ignore'); {script}",
        str(tmp_path / "out"),
        "{wav}",
    )
    assert program.transcribe(SECOND) == expected


@pytest.mark.parametrize("output", ["[1, 2]", '{"text": "a"}', "[oops", '[{"start": "x"}]'])
def test_command_output_that_is_no_transcript(output: str) -> None:
    with pytest.raises(BackendError, match="starts like JSON but is not"):
        module._parse_segments(output, 1.0, "program")


def test_command_failures() -> None:
    with pytest.raises(BackendError, match="exit code 3; no such model"):
        command("import sys; print('no such model', file=sys.stderr); sys.exit(3)").transcribe(
            SECOND
        )
    with pytest.raises(BackendError, match="cannot be started"):
        CommandTranscriber("/no/such/program").transcribe(SECOND)
    slow = CommandTranscriber(f"{sys.executable} -c 'import time; time.sleep(30)'", timeout_s=0.2)
    with pytest.raises(BackendError, match=r"no result within 0\.2 s"):
        slow.transcribe(SECOND)


@pytest.mark.skipif(
    importlib.util.find_spec("faster_whisper") is None, reason="needs the extra 'speech'"
)
class TestWhisper:
    def test_folder_without_a_model(self, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match=r"no model\.bin in this folder"):
            WhisperTranscriber(str(tmp_path))

    def test_damaged_model(self, tmp_path: Path) -> None:
        (tmp_path / "model.bin").write_bytes(b"nothing")
        with pytest.raises(BackendError, match="cannot be loaded"):
            WhisperTranscriber(str(tmp_path)).transcribe(SECOND)

    def test_unknown_model(self) -> None:
        with pytest.raises(BackendError, match="no-such-size: cannot be loaded"):
            WhisperTranscriber("no-such-size").transcribe(SECOND)

    @pytest.mark.slow
    def test_nothing_said(self, whisper_folder: Path) -> None:
        whisper = WhisperTranscriber(str(whisper_folder), threads=1)
        assert whisper.transcribe(SECOND[:0]) == []
        assert whisper.transcribe(SECOND) == []
        with pytest.raises(BackendError, match="recognition failed"):
            whisper.transcribe(np.ones(16_000, np.float32), language="xx")

    @pytest.mark.slow
    @pytest.mark.skipif(not SAMPLES.is_dir(), reason="sample sound is not here")
    def test_real_speech(self, whisper_folder: Path) -> None:
        whisper = make_transcriber(f"whisper:{whisper_folder}")
        assert whisper is not None
        lines = (SAMPLES / "transcripts.jsonl").read_text(encoding="utf-8").splitlines()
        for row in map(json.loads, lines[1:3]):
            pcm = decode_audio(MediaRef.of(SAMPLES / row["file"]), Limits())
            segments = whisper.transcribe(pcm)
            heard = " ".join(s.text for s in segments).lower()
            words = "".join(c if c.isalpha() else " " for c in heard).split()
            assert words == row["text"].split()
            assert segments[0].start_s < 1
            assert segments[-1].end_s == pytest.approx(pcm.size / 16_000, abs=1)
            assert all(0 < (s.confidence or 0) <= 1 for s in segments)
