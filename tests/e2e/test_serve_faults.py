"""Signals, crashes and several processes: nothing is lost that need not be."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import pytest

from nanovl.testing.media import picture_bytes
from tests.e2e.serving import Server, serving, tiny_checkpoint, until

HELLO: list[Any] = [{"role": "user", "content": "hi"}]
LONG: dict[str, Any] = {
    "model": "tiny",
    "messages": HELLO,
    "extra_body": {"ignore_eos": True, "repetition_detection": False},
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint(tmp_path_factory.mktemp("faults") / "checkpoint")


def in_background(
    server: Server, tokens: int
) -> tuple[threading.Thread, list[Any], threading.Event]:
    """A stream that is read in a thread: its chunks, and a sign that it began."""
    chunks: list[Any] = []
    began = threading.Event()
    stream = server.client().chat.completions.create(max_tokens=tokens, stream=True, **LONG)

    def read() -> None:
        try:
            for chunk in stream:
                chunks.append(chunk)
                began.set()
        except Exception as error:
            chunks.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    assert began.wait(20)
    return thread, chunks, began


def test_a_signal_drains(checkpoint: Path, tmp_path: Path) -> None:
    with serving(checkpoint, tmp_path, "-o", "drain_s=1.5") as server:
        thread, chunks, _ = in_background(server, 600)
        server.process.send_signal(signal.SIGTERM)
        assert until(lambda: server.get("/health")[0] == 503, 5)
        with pytest.raises(Exception, match="stopped"):
            server.client().chat.completions.create(model="tiny", messages=HELLO)
        thread.join(60)
        assert server.process.wait(30) == 0
        assert chunks[-1].choices[0].finish_reason == "length"
        assert "Traceback" not in server.log.read_text()


@pytest.mark.slow
def test_time_for_running_requests_is_bounded(checkpoint: Path, tmp_path: Path) -> None:
    with serving(checkpoint, tmp_path, "--shutdown-timeout", "0.5", "-o", "drain_s=0") as server:
        thread, chunks, _ = in_background(server, 50_000)
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 15
        thread.join(10)
        assert isinstance(chunks[-1], Exception) or chunks[-1].choices[0].finish_reason


@pytest.mark.slow
def test_a_second_signal_ends_it_at_once(checkpoint: Path, tmp_path: Path) -> None:
    with serving(checkpoint, tmp_path) as server:
        thread, _, _ = in_background(server, 50_000)
        server.process.send_signal(signal.SIGINT)
        assert until(lambda: server.get("/health")[0] == 503, 5)
        server.process.send_signal(signal.SIGINT)
        began = time.monotonic()
        server.process.wait(20)
        assert time.monotonic() - began < 12
        thread.join(10)


@pytest.mark.slow
def test_uploads_outlive_a_kill_and_parts_do_not(checkpoint: Path, tmp_path: Path) -> None:
    with serving(checkpoint, tmp_path) as server:
        file_id = server.client().files.create(file=("a.png", picture_bytes()), purpose="x").id
        server.process.kill()
        server.process.wait()
    old = tmp_path / "uploads" / "file-00000000000000000000000000000000.part"
    old.write_bytes(b"x")
    os.utime(old, (0, 0))
    with serving(checkpoint, tmp_path) as server:
        client = server.client()
        assert client.files.content(file_id).read() == picture_bytes()
        part: Any = {"type": "file", "file": {"file_id": file_id}}
        answer = client.chat.completions.create(
            model="tiny", messages=[{"role": "user", "content": [part]}], max_tokens=2
        )
        assert answer.choices
        assert not old.exists()


def ask(server: Server) -> int:
    """A question on a connection of its own."""
    body = json.dumps({"messages": HELLO, "max_tokens": 2}).encode()
    request = urllib.request.Request(
        f"{server.url}/v1/chat/completions", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return int(answer.status)


def workers_of(server: Server) -> list[psutil.Process]:
    """The processes that answer."""
    children = psutil.Process(server.process.pid).children()
    return [c for c in children if "spawn_main" in " ".join(c.cmdline())]


@pytest.mark.slow
def test_a_worker_that_dies_is_replaced(checkpoint: Path, tmp_path: Path) -> None:
    with serving(checkpoint, tmp_path, "--workers", "2") as server:
        workers = workers_of(server)
        assert len(workers) == 2
        assert [ask(server) for _ in range(6)] == [200] * 6
        workers[0].kill()
        workers[0].wait(10)
        # The other one goes on.
        assert [ask(server) for _ in range(3)] == [200] * 3
        ready = "starting it again"
        assert until(lambda: ready in server.log.read_text(), 10)
        assert until(lambda: len(workers_of(server)) == 2, 20)
        assert server.stop() == 0
        assert not psutil.pid_exists(workers[1].pid) or workers[1].status() == "zombie"


@pytest.mark.slow
def test_workers_end_with_their_supervisor(checkpoint: Path, tmp_path: Path) -> None:
    with serving(checkpoint, tmp_path, "--workers", "2") as server:
        workers = workers_of(server)
        server.process.kill()
        server.process.wait()
        gone, alive = psutil.wait_procs(workers, timeout=30)
        assert len(gone) == 2
        assert not alive
