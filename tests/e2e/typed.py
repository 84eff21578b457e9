"""A command as a person types it, in this process: one of its own takes seconds to import torch.

Goes through what `python -m nanovl` calls, errors and exit status included. Every file of tests
keeps some commands that run in a process of their own.
"""

from __future__ import annotations

import io
import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass

import pytest

from nanovl.cli.main import run


@dataclass(frozen=True)
class Done:
    """How it ended; as of `subprocess.run` with text."""

    returncode: int
    stdout: str
    stderr: str


def typed(*words: object, width: int = 100) -> Done:
    """Run a command with nothing on its standard input."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    code: object = 0
    with (
        open(os.devnull, encoding="utf-8") as nothing,
        redirect_stdout(out),
        redirect_stderr(err),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(sys, "stdin", nothing)
        patch.setenv("COLUMNS", str(width))
        try:
            run([str(word) for word in words])
        except SystemExit as end:
            code = end.code or 0
    assert isinstance(code, int), code
    texts = [stream.buffer.getvalue().decode() for stream in (out, err)]
    return Done(code, *texts)
