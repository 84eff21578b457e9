"""Generators that misbehave on request, and what tests of runs compare."""

from __future__ import annotations

import errno
import hashlib
import json
import multiprocessing
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nanovl.core.errors import BackendError, InputError
from nanovl.synth import pool, registry
from nanovl.synth.base import Answer, Media, Reject, Requirement, Sample, Streams, Task
from nanovl.synth.shards import MEASURED

NAMES = ("fake", "fake-two")


@dataclass(frozen=True)
class FakeConfig:
    """Indices at which something happens, -1 for never."""

    kill: int = -1
    bug: int = -1
    reject: int = -1
    refuse: int = -1
    unwritable: int = -1
    nan: int = -1
    full: int = -1
    no_program: int = -1
    stuck: int = -1
    needs: str = ""
    media_bytes: int = 0
    slow_s: float = 0.0
    once: str = ""

    def __post_init__(self) -> None:
        if self.media_bytes < 0:
            raise ValueError("a broken template")


class Fake:
    """Says a number back."""

    version = "1"

    def __init__(self, config: Mapping[str, Any], name: str = "fake") -> None:
        self.name = name
        self.config = FakeConfig(**config)
        needs = self.config.needs
        self.requires = (
            [Requirement(name=needs, kind="program", package=needs, purpose="this test")]
            if needs
            else []
        )

    def generate(self, index: int, streams: Streams) -> Sample:
        """One sample, or trouble."""
        c = self.config
        if c.slow_s:
            time.sleep(c.slow_s)
        if index == c.kill and not (c.once and Path(c.once).exists()):
            if c.once:
                Path(c.once).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if index == c.stuck:
            signal.signal(signal.SIGALRM, signal.SIG_IGN)
            while True:
                time.sleep(0.05)
        if index == c.bug:
            raise ZeroDivisionError(f"a bug at {object()}")
        if index == c.reject:
            raise Reject("never", "no sample here")
        if index == c.refuse:
            raise InputError("a picture that cannot be used")
        if index == c.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        if index == c.no_program:
            raise BackendError("chromium went away")
        number = streams.rng("content").randint(0, 10**6)
        gt = {"number": float("nan") if index == c.nan else number}
        data = b"" if index == c.unwritable else b"\x89" * c.media_bytes
        has_media = bool(c.media_bytes) or index == c.unwritable
        media = (Media(name="p", kind="image", data=data, ext="png"),) if has_media else ()
        task = Task(
            task="echo",
            question=f"Say {number}.",
            answer_text=str(number),
            answer=Answer(type="number", value=number),
            verifier="number",
            template="echo/0",
        )
        return Sample(
            generator=self.name,
            version=self.version,
            seed=streams.seed,
            gt=gt,
            tasks=(task,),
            media=media,
        )


def fake(config: Mapping[str, Any]) -> Fake:
    """Factory of "fake"."""
    return Fake(config)


def fake_two(config: Mapping[str, Any]) -> Fake:
    """Factory of "fake-two"."""
    return Fake(config, "fake-two")


def register() -> None:
    """Make the fakes known in this process."""
    pool.fake, pool.fake_two = fake, fake_two  # type: ignore[attr-defined]
    for name in NAMES:
        registry.GENERATORS[name] = registry.Entry(
            module="pool", factory=name.replace("-", "_"), description=""
        )


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fakes here and in worker processes, which are forked so that they know them."""
    monkeypatch.setattr(registry, "GENERATORS", registry.GENERATORS)
    for name in NAMES:
        entry = registry.Entry(module="pool", factory=name.replace("-", "_"), description="")
        monkeypatch.setitem(registry.GENERATORS, name, entry)
    monkeypatch.setattr(pool, "fake", fake, raising=False)
    monkeypatch.setattr(pool, "fake_two", fake_two, raising=False)
    fork = multiprocessing.get_context("fork")
    monkeypatch.setattr(pool.multiprocessing, "get_context", lambda name: fork)


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file; of done files without what was measured."""
    found = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        data = path.read_bytes()
        if path.name.endswith(".done.json"):
            kept = {k: v for k, v in json.loads(data).items() if k not in MEASURED}
            data = json.dumps(kept, sort_keys=True).encode()
        found[str(path.relative_to(folder))] = hashlib.sha256(data).hexdigest()
    return found
