"""What a person types, in a process of its own; bad input in this one."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from nanovl.testing import picture_bytes
from tests.e2e.typed import typed

NANOVL = (sys.executable, "-m", "nanovl")
HELP_WITHOUT_TORCH = """
import sys
import nanovl
assert "torch" not in sys.modules, "import nanovl loads torch"
from nanovl.cli.main import run
for words in (["--help"], ["chat", "--help"], ["convert", "--help"], ["--version"]):
    try:
        run(words)
    except SystemExit as end:
        assert not end.code, end.code
heavy = {"torch", "numpy", "PIL", "av", "tokenizers", "safetensors"} & set(sys.modules)
assert not heavy, f"help loads {heavy}"
"""


def nanovl(*words: object, stdin: bytes = b"", code: int = 0) -> subprocess.CompletedProcess[bytes]:
    """Run a command; an empty `stdin` is an empty device, not a pipe."""
    source = {"input": stdin} if stdin else {"stdin": subprocess.DEVNULL}
    done = subprocess.run(
        [*NANOVL, *map(str, words)],
        capture_output=True,
        timeout=100,
        check=False,
        **source,  # type: ignore[call-overload]
    )
    assert done.returncode == code, done.stderr.decode()
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return done


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of random weights, written by the command line."""
    out = tmp_path_factory.mktemp("e2e") / "tiny"
    done = nanovl("convert", "--random", "tiny", out)
    assert done.stdout.decode() == f"{out}\n"
    assert [p.name for p in out.parent.iterdir()] == ["tiny"]
    return out


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "page.png"
    path.write_bytes(picture_bytes())
    return path


def test_help_needs_no_torch() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HELP_WITHOUT_TORCH], capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr.decode()


def test_a_question_about_a_picture(checkpoint: Path, page: Path) -> None:
    done = nanovl("What is this?", "-a", page, "-m", checkpoint, "--max-tokens", 8, "--usage")
    assert done.stdout
    assert b"answer 8 tokens" in done.stderr
    assert b"answer 8 tokens" not in done.stdout


def test_pipes_and_json(checkpoint: Path, page: Path) -> None:
    words = ("chat", "Compare.", "-a", page, "-a", "-", "-m", checkpoint, "--max-tokens", 2)
    document = json.loads(nanovl(*words, "--json", stdin=page.read_bytes()).stdout)
    assert len(document["media"]) == 2
    assert document["usage"]["completion_tokens"] == 2


BAD_INPUT: Sequence[tuple[str, Sequence[str], int, Sequence[str]]] = [
    ("unknown model", ["Hi", "-m", "minni"], 1, ["minni", "did you mean 'mini'"]),
    ("missing file", ["Hi", "-a", "gone.png", "-m", "CKPT"], 2, ["gone.png", "no such file"]),
    ("corrupt picture", ["Hi", "-a", "cut.png", "-m", "CKPT"], 2, ["cut.png"]),
    ("too long", ["x" * 300, "-m", "CKPT", "-o", "context_length=99"], 2, ["99", "tokens"]),
    ("damaged source", ["convert", "damaged", "out"], 1, ["damaged"]),
]


@pytest.mark.parametrize(
    ("words", "code", "says"), [row[1:] for row in BAD_INPUT], ids=[row[0] for row in BAD_INPUT]
)
def test_bad_input(
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: Sequence[str],
    code: int,
    says: Sequence[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cut.png").write_bytes(picture_bytes()[:70])
    (tmp_path / "damaged").mkdir()
    for file in checkpoint.iterdir():
        data = file.read_bytes()
        cut = data[:-100] if file.suffix == ".safetensors" else data
        (tmp_path / "damaged" / file.name).write_bytes(cut)
    before = sorted(tmp_path.rglob("*"))
    done = typed(*(checkpoint if w == "CKPT" else w for w in words))
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr, done.stderr
    (message,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert all(word in message for word in says), message
    assert sorted(tmp_path.rglob("*")) == before, "something half-written stayed behind"


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    done = subprocess.run(
        [*NANOVL, "info", str(tmp_path / "gone"), "--debug"],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert b"Traceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith(b"error: ")


def test_reader_that_leaves(checkpoint: Path) -> None:
    words = ["Hi", "-m", str(checkpoint), "--max-tokens", "20000", "-o", "ignore_eos=true"]
    process = subprocess.Popen(
        [*NANOVL, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.read(1)
    process.stdout.close()
    message = process.stderr.read()
    assert process.wait(timeout=60) == 141
    assert b"Traceback" not in message
    assert b"Exception ignored" not in message
    process.stderr.close()


def test_interrupt(checkpoint: Path) -> None:
    words = ["Hi", "-m", str(checkpoint), "--max-tokens", "20000", "-o", "ignore_eos=true"]
    process = subprocess.Popen(
        [*NANOVL, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.read(1)  # it is answering now
    process.send_signal(signal.SIGINT)
    _, message = process.communicate(timeout=60)
    assert process.returncode == 130
    assert message.splitlines()[-1] == b"error: interrupted"
    assert b"Traceback" not in message


def test_conversation_on_a_terminal(checkpoint: Path) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*NANOVL, "-m", str(checkpoint), "--max-tokens", "3"],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "TERM": "dumb"},
    )
    os.close(theirs)
    os.write(ours, b"Hi\n/nonsense\nAnd?\n/quit\n")
    deadline = time.monotonic() + 90
    out, message = process.communicate(timeout=deadline - time.monotonic())
    os.close(ours)
    assert process.returncode == 0, message.decode()
    assert b"no command /nonsense" in message
    assert b"Traceback" not in message
    assert out
