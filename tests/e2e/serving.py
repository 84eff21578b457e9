"""`nanovl serve` as a process of its own, with random weights, and clients for it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import openai

from nanovl.checkpoint.random_weights import write_random

START_S = 90.0


@dataclass
class Server:
    """A running server.

    Attributes:
        process: The program.
        url: Where it is.
        log: File with what it wrote.
    """

    process: subprocess.Popen[bytes]
    url: str
    log: Path
    clients: list[openai.OpenAI] = field(default_factory=list)

    def client(self, key: str = "none") -> openai.OpenAI:
        """The official client."""
        made = openai.OpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0, timeout=60)
        self.clients.append(made)
        return made

    def get(self, path: str) -> tuple[int, str]:
        """Status and text."""
        try:
            with urllib.request.urlopen(f"{self.url}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def metric(self, name: str) -> float:
        """Sum of the samples of a metric."""
        text = self.get("/metrics")[1]
        rows = re.findall(rf"^nanovl:{name}(?:\{{.*\}})? (\S+)$", text, flags=re.M)
        assert rows, f"no metric {name}"
        return sum(map(float, rows))

    def idle(self, seconds: float = 10.0) -> bool:
        """Whether nothing runs within some time."""
        return until(lambda: self.metric("num_requests_running") == 0, seconds)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait; gives the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(30)


def until(check: object, seconds: float) -> bool:
    """Whether something becomes true in time."""
    assert callable(check)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if check():
            return True
        time.sleep(0.05)
    return bool(check())


def tiny_checkpoint(folder: Path) -> Path:
    """A model of the smallest shape with random weights."""
    return write_random("tiny", folder)


@contextmanager
def serving(checkpoint: Path, home: Path, *flags: str) -> Iterator[Server]:
    """Start a server on a free port; it is stopped at the end."""
    home.mkdir(parents=True, exist_ok=True)
    log = home / "server.log"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("NANOVL_")}
    environment |= {"NANOVL_HOME": str(home), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-m", "nanovl", "serve", str(checkpoint), "--port", "0"]
    words += ["--served-model-name", "tiny", "--device", "cpu", "--dtype", "float32", *flags]
    with log.open("wb") as out:
        process = subprocess.Popen(words, stdout=out, stderr=out, env=environment)
    server = Server(process, "", log)
    try:
        end = time.monotonic() + START_S
        while not server.url:
            found = re.search(r"serving at (\S+)", log.read_text(errors="replace"))
            assert process.poll() is None, log.read_text(errors="replace")
            assert time.monotonic() < end, log.read_text(errors="replace")
            server.url = found.group(1) if found else ""
            time.sleep(0.05)
        yield server
    finally:
        for client in server.clients:
            client.close()
        if process.poll() is None:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
        if process.poll() is None:
            process.kill()
            process.wait()
