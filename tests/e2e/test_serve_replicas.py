"""`nanovl serve --replicas`: the server on Ray Serve."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import openai
import psutil
import pytest

from tests.e2e.serving import Server, serving, tiny_checkpoint, until

pytestmark = pytest.mark.slow

HELLO: dict[str, Any] = {
    "model": "tiny",
    "messages": [{"role": "user", "content": "hi"}],
    "max_tokens": 4,
    "seed": 1,
    "extra_body": {"ignore_eos": True},
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("ray.serve", reason="needs Ray: pip install 'nanovl[ray]'")
    return tiny_checkpoint(tmp_path_factory.mktemp("replicas") / "checkpoint")


def replicas_of(server: Server) -> list[psutil.Process]:
    """The processes that hold a model."""
    found = []
    for child in psutil.Process(server.process.pid).children(recursive=True):
        try:
            if "ServeReplica" in " ".join(child.cmdline()):
                found.append(child)
        except psutil.Error:  # it has just ended
            continue
    return found


def answered(server: Server) -> bool:
    try:
        return bool(server.client("k").chat.completions.create(**HELLO).choices)
    except openai.APIError:
        return False


@pytest.mark.timeout(180)
def test_replicas_answer_stream_die_and_end(checkpoint: Path, tmp_path: Path) -> None:
    flags = ("--replicas", "2", "--ray", "local", "--api-key", "k", "--shutdown-timeout", "5")
    with serving(checkpoint, tmp_path, *flags) as server:
        client = server.client("k")
        texts = {client.chat.completions.create(**HELLO).choices[0].message.content}
        chunks = list(client.chat.completions.create(**HELLO, stream=True))
        texts.add("".join(c.choices[0].delta.content or "" for c in chunks))
        assert len(texts) == 1
        assert len(chunks) > 2
        assert server.get("/health")[0] == 200
        assert "<!doctype html>" in server.get("/")[1].lower()
        with pytest.raises(openai.AuthenticationError):
            server.client("wrong").models.list()
        with pytest.raises(openai.BadRequestError, match="max_tokens"):
            client.chat.completions.create(**{**HELLO, "max_tokens": -1})

        first = replicas_of(server)
        assert len(first) == 2
        first[0].kill()
        first[0].wait(10)
        assert until(lambda: answered(server), 20)  # the other one goes on
        assert until(lambda: len(replicas_of(server)) == 2, 40)
        assert until(lambda: answered(server), 20)

        processes = psutil.Process(server.process.pid).children(recursive=True)
        assert server.stop(signal.SIGTERM) == 0
        assert not psutil.wait_procs(processes, timeout=15)[1]
        assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["tiny", "--replicas", "1"], "a shape without weights"),
        (["tiny", "--replicas", "0"], "expected at least 1"),
        (["tiny", "--replicas", "1", "--workers", "2"], "exclude each other"),
        (["tiny", "--gpus", "1"], "belong to --replicas"),
        (["tiny", "--replicas", "1", "--ray", "127.0.0.1:1"], "cannot be reached"),
    ],
)
def test_what_cannot_be_started(words: list[str], said: str) -> None:
    pytest.importorskip("ray.serve", reason="needs Ray: pip install 'nanovl[ray]'")
    command = [sys.executable, "-m", "nanovl", "serve", "--port", "0", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode in (1, 2)
    assert said in done.stderr
    assert "Traceback" not in done.stderr
