"""The verbs of applications as a person types them, with a random model; kills and bad input."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pytest

from nanovl.apps.presets import PRESETS
from nanovl.apps.subtitles import read_subtitles
from nanovl.checkpoint.random_weights import write_random
from nanovl.cli.main import run
from nanovl.core.conversation import Conversation, VideoPart
from nanovl.engine.vlm import NanoVL
from nanovl.testing import pdf, picture_bytes, video
from tests.e2e.typed import typed

NANOVL = (sys.executable, "-m", "nanovl")
CHAT, TEXT = "/v1/chat/completions", "/v1/completions"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random("tiny", tmp_path_factory.mktemp("apps") / "tiny")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    video(tmp_path / "v.mp4", frames=32, fps=8)
    pdf(tmp_path / "d.pdf", 2)
    (tmp_path / "p.png").write_bytes(picture_bytes())
    schema = {
        "type": "object",
        "properties": {"a": {"type": "string", "maxLength": 4}, "b": {"enum": [1, 2]}},
        "required": ["a", "b"],
    }
    (tmp_path / "s.json").write_text(json.dumps(schema))
    return tmp_path


def test_summarize(tiny: Path, files: Path) -> None:
    said = files / "v.srt"
    said.write_text("1\n00:00:01,000 --> 00:00:02,000\nhello\n")
    done = typed("summarize", files / "v.mp4", "-m", tiny, "--max-tokens", 300, "--json",
                 "--subtitles", said)  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["parts"] == 1
    assert 1 <= len(found["bullets"]) <= 5
    assert all(0 <= b["seconds"] <= 4 and b["text"] for b in found["bullets"])
    assert "conversation" not in found


def test_summarize_for_people(tiny: Path, files: Path) -> None:
    done = typed("summarize", files / "v.mp4", "-m", tiny, "--max-tokens", 300)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^- \[0:0\d\] ", done.stdout, flags=re.M)


def test_extract(tiny: Path, files: Path) -> None:
    done = typed("extract", files / "p.png", "--schema", files / "s.json", "-m", tiny,
                 "--max-tokens", 200)  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    jsonschema.validate(found["data"], json.loads((files / "s.json").read_text()))
    assert set(found["evidence"]) <= {"/a", "/b"}
    out = files / "out.json"
    done = typed("extract", files / "p.png", "--schema", files / "s.json", "-m", tiny,
                 "--data-only", "-o", out)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert set(json.loads(out.read_text())) == {"a", "b"}


@pytest.mark.slow
def test_extract_by_a_preset(tiny: Path, files: Path) -> None:
    done = typed("extract", files / "d.pdf", "--schema", "receipt", "-m", tiny, "--max-tokens",
                 1200, "--data-only")  # fmt: skip
    assert done.returncode == 0, done.stderr
    jsonschema.validate(json.loads(done.stdout), PRESETS["receipt"])


@pytest.mark.parametrize("kind", ["srt", "vtt", "json"])
def test_caption(tiny: Path, files: Path, kind: str) -> None:
    out = files / f"c.{kind}"
    done = typed("caption", files / "v.mp4", "-m", tiny, "--every", 2, "-o", out,
                 "--max-tokens", 60)  # fmt: skip
    assert done.returncode == 0, done.stderr
    text = out.read_text()
    if kind == "json":
        ends = [cue["end_s"] for cue in json.loads(text)]
    else:
        ends = [cue.end_s for cue in read_subtitles(text)]
    assert ends
    assert ends[-1] <= 4.0


def test_compare_and_read(tiny: Path, files: Path) -> None:
    done = typed("compare", files / "p.png", files / "d.pdf", "--pages", 1, "-m", tiny, "--json",
                 "--max-tokens", 250)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["summaries"]
    out = files / "out.md"
    done = typed("read", files / "d.pdf", "-o", out, "-m", tiny, "--max-tokens", 20)
    assert done.returncode == 0, done.stderr
    assert re.findall(r"<!-- page (\d) -->", out.read_text()) == ["1", "2"]
    again = typed("read", files / "d.pdf", "-m", tiny, "--max-tokens", 20)
    assert again.stdout == out.read_text()


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("summarize", "none.mp4"), "none.mp4: no such file"),
        (("summarize", "d.pdf"), "d.pdf: expected a video, got document"),
        (("summarize", "v.mp4", "--subtitles", "s.json"), "no cue in it"),
        (("summarize", "v.mp4", "--evs", "x"), "--evs 'x'"),
        (("extract", "p.png", "--schema", "invoise"), "did you mean 'invoice'"),
        (("extract", "v.mp4", "--schema", "s.json"), "expected a picture or a PDF, got video"),
        (("extract", "p.png"), "--schema"),
        (("extract", "d.pdf", "--schema", "s.json", "--pages", "9"), "pages 1 to 2"),
        (("caption", "v.mp4", "--format", "ass"), "expected srt, vtt, json"),
        (("caption", "v.mp4", "--every", "0"), "expected at least 1 s"),
        (("caption", "v.mp4", "-o", "no/c.srt"), "no such folder"),
        (("compare", "p.png"), "'B'"),
        (("read", "v.mp4"), "expected a picture or a PDF, got video"),
        (("batch", "none.jsonl", "out.jsonl"), "none.jsonl: no such file"),
        (("batch", "s.json", "s.json"), "is the input"),
        (("batch", "s.json", "out.jsonl", "--workers", "2"), "belong to --ray"),
    ],
)
def test_bad_input_is_one_line(
    tiny: Path, files: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], hint: str
) -> None:
    monkeypatch.chdir(files)
    done = typed(*words, "-m", tiny)
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert hint in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_youtube_without_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nanovl.apps.youtube.MODULE", "no_such_library")
    done = typed("summarize", "https://youtu.be/x")
    assert done.returncode == 1
    assert "pip install 'nanovl[youtube]'" in done.stderr
    assert "terms of service" in done.stderr


def batch_lines(count: int) -> list[dict]:
    image = base64.b64encode(picture_bytes()).decode()
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{image}"}}
    rows = []
    for i in range(count):
        content = [{"type": "text", "text": f"Say {i}"}, *([picture] if i % 3 == 0 else [])]
        body = {
            "model": "any",
            "messages": [{"role": "user", "content": content}],
            "max_tokens": 24,
        }
        rows.append({"custom_id": f"r{i}", "method": "POST", "url": CHAT, "body": body})
    return rows


def test_a_batch_answers_as_the_server_would(tiny: Path, tmp_path: Path) -> None:
    rows = batch_lines(4)
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"enum": ["yes", "no"]}}}
    rows[1]["body"]["response_format"] = form
    rows[2]["body"] |= {"n": 2, "logprobs": True, "temperature": 1.0, "seed": 3}
    rows[3]["body"]["temperature"] = 99
    text = {"prompt": ["a", "b"], "max_tokens": 4}
    rows.append({"custom_id": "t", "method": "POST", "url": TEXT, "body": text})
    rows.append({"custom_id": "s", "method": "POST", "url": CHAT,
                 "body": {**rows[0]["body"], "stream": True}})  # fmt: skip
    bad = {
        "role": "user",
        "content": [{"type": "image_url", "image_url": {"url": "file:///etc/x"}}],
    }
    rows.append({"custom_id": "f", "method": "POST", "url": CHAT, "body": {"messages": [bad]}})
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = typed("batch", source, out, "-m", tiny, "-j", 3)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "answered": 4, "failed": 3, "skipped": 0, "repaired_bytes": 0,
    }  # fmt: skip
    found = {
        row["custom_id"]: row
        for row in map(json.loads, out.read_text(encoding="utf-8").splitlines())
    }
    first = found["r0"]["response"]["body"]
    assert first["object"] == "chat.completion"
    assert first["model"] == "any"
    assert first["usage"]["prompt_tokens_details"]["multimodal_tokens"]["image"] > 0
    assert found["r0"]["response"]["request_id"] == first["id"]
    answer = found["r1"]["response"]["body"]["choices"][0]["message"]["content"]
    assert json.loads(answer) in ("yes", "no")
    assert len(found["r2"]["response"]["body"]["choices"]) == 2
    assert len(found["t"]["response"]["body"]["choices"]) == 2
    for name in ("r3", "s", "f"):
        assert 400 <= found[name]["response"]["status_code"] < 500, found[name]
        assert found[name]["response"]["body"]["error"]["message"]
    again = typed("batch", source, out, "-m", tiny)
    assert json.loads(again.stdout)["skipped"] == 7


def test_a_batch_killed_in_the_middle_goes_on(tiny: Path, tmp_path: Path) -> None:
    count = 40
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in batch_lines(count)))
    words = [*NANOVL, "batch", str(source), str(out), "-m", str(tiny), "-j", "2"]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        if out.exists() and out.read_bytes().count(b"\n") >= 5:
            break
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    _, err = process.communicate()
    before = out.read_bytes()
    kept = before.count(b"\n")
    assert 5 <= kept < count, err.decode()
    with out.open("ab") as file:  # what a kill inside a write leaves
        file.write(b'{"id":"batch_req_x","custom_id":"r39","resp')
    done = typed("batch", source, out, "-m", tiny)
    assert done.returncode == 0, done.stderr
    assert "a torn line of" in done.stderr
    totals = json.loads(done.stdout)
    assert totals["skipped"] == kept
    assert totals["answered"] == count - kept
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert sorted(row["custom_id"] for row in rows) == sorted(f"r{i}" for i in range(count))
    assert out.read_bytes().startswith(before[: before.rindex(b"\n") + 1])


def test_questions_follow_a_summary(
    tiny: Path,
    files: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    asked: list[Conversation] = []
    stream = NanoVL.stream

    def spy(self: NanoVL, messages: Conversation, *args: object, **options: object) -> object:
        asked.append(messages)
        return stream(self, messages, *args, max_tokens=4, **options)

    lines = iter(["And then?", "/quit"])
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("nanovl.cli.repl._terminal_reader", lambda: lambda prompt: next(lines))
    monkeypatch.setattr(NanoVL, "stream", spy)
    words = ["summarize", str(files / "v.mp4"), "-m", str(tiny), "--max-tokens", "300"]
    with pytest.raises(SystemExit) as end:
        run(words)
    assert not end.value.code, capsys.readouterr().err
    (conversation,) = asked
    video_message, summary, question = conversation.messages
    assert isinstance(video_message.parts[0], VideoPart)
    assert summary.parts[0].text in capsys.readouterr().out  # type: ignore[union-attr]
    assert question.parts[-1].text == "And then?"  # type: ignore[union-attr]
