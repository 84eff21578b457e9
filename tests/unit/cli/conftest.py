"""The command line in this process: words in; exit code, standard output and error out."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from nanovl.checkpoint.random_weights import write_random
from nanovl.cli import console
from nanovl.cli.main import run


class Result(NamedTuple):
    code: int
    out: str
    err: str


class FakeStdin(io.TextIOWrapper):
    """Standard input that says whether it is a terminal, and has no file number unless given."""

    def __init__(self, data: bytes = b"", terminal: bool = False) -> None:
        super().__init__(io.BytesIO(data), encoding="utf-8")
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint of random weights."""
    return write_random("tiny", tmp_path_factory.mktemp("cli") / "tiny")


@pytest.fixture
def cli(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Result]]:
    def call(*words: object, stdin: FakeStdin | None = None) -> Result:
        monkeypatch.setattr("sys.stdin", stdin or FakeStdin())
        with pytest.raises(SystemExit) as end:
            run([str(w) for w in words])
        captured = capsys.readouterr()
        code = end.value.code
        return Result(code if isinstance(code, int) else 0, captured.out, captured.err)

    logger = logging.getLogger("nanovl")
    saved = list(logger.handlers), logger.level, logger.propagate
    yield call
    # The log is bound to this test's standard error.
    logger.handlers[:], logger.propagate = saved[0], saved[2]
    logger.setLevel(saved[1])
    console.DEBUG = False
