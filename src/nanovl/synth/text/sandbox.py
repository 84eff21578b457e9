"""Runs generated programs in a child interpreter, and asks two of them for the same answer.

The child (`child`) is an isolated interpreter without site packages and without an environment; it
forks for every request, so that starting it is paid once. The two children have different hash
seeds: a program whose result depends on the order of a set is found out.

Source: data synthesis specification, section 14 (execution).
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nanovl.core.errors import BackendError
from nanovl.synth.base import Reject

__all__ = ["Job", "Limits", "Outcome", "Sandbox"]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the jobs of one request may use together.

    Attributes:
        cpu_s: Processor time in seconds.
        wall_s: Time in seconds.
        memory_bytes: Address space.
        output_chars: Characters each job may print.
    """

    cpu_s: int = 2
    wall_s: int = 6
    memory_bytes: int = 512 << 20
    output_chars: int = 65536


@dataclass(frozen=True, kw_only=True)
class Job:
    """One program to run.

    Attributes:
        source: Python.
        stdin: What it reads.
        entry: A function to call afterwards.
        calls: Arguments of each call, as the text of a Python tuple or list.
        trace: Record up to so many steps; 0 records none.
        max_lines: Lines of the program it may execute, in each call anew; more are an error.
    """

    source: str
    stdin: str = ""
    entry: str = ""
    calls: tuple[str, ...] = ()
    trace: int = 0
    max_lines: int = 20_000


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a job did.

    Attributes:
        stdout: What it printed.
        results: `repr` of the value of each call.
        error: "ValueError: ..." of an exception, else "".
        steps: Trace: (depth, line, event, variables as text, returned value).
    """

    stdout: str
    results: tuple[str, ...]
    error: str
    steps: tuple[tuple[int, int, str, dict[str, str], str], ...]


class Sandbox:
    """Two child interpreters, started when first needed.

    Args:
        limits: For every request.

    Raises:
        BackendError: The platform has no `fork` or no resource limits.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        if not hasattr(os, "fork") or sys.platform == "win32":
            raise BackendError("running generated programs needs Linux or macOS")
        self.limits = limits or Limits()
        self._children: dict[int, subprocess.Popen[str]] = {}
        self._owner = 0

    def __getstate__(self) -> dict[str, Any]:
        return {"limits": self.limits, "_children": {}, "_owner": 0}

    def run(self, jobs: Sequence[Job], *, which: int = 0) -> list[Outcome]:
        """Run jobs one after another in one fresh process.

        Args:
            jobs: What to run.
            which: 0 or 1, the child to ask.

        Raises:
            Reject: The process was stopped for time or memory ("stopped").
        """
        request = {"jobs": [asdict(job) for job in jobs], "limits": asdict(self.limits)}
        reply = self._ask(which, json.dumps(request))
        if reply["outcomes"] is None:
            raise Reject("stopped", f"the program was ended: {reply['stopped']}")
        return [
            Outcome(
                stdout=one["stdout"],
                results=tuple(one["results"]),
                error=one["error"],
                steps=tuple(tuple(step) for step in one["steps"]),
            )
            for one in reply["outcomes"]
        ]

    def run_twice(self, jobs: Sequence[Job]) -> list[Outcome]:
        """Run jobs in both children.

        Raises:
            Reject: They differ ("not_deterministic"), or a process was stopped.
        """
        first, second = (self.run(jobs, which=which) for which in (0, 1))
        if first != second:
            raise Reject("not_deterministic", "two runs of the same program differ")
        return first

    def close(self) -> None:
        """End the children."""
        for child in self._children.values():
            _stop(child)
        self._children.clear()

    def _ask(self, which: int, line: str) -> dict[str, Any]:
        if self._owner != os.getpid():  # children of another process cannot be shared
            self._children, self._owner = {}, os.getpid()
        child = self._children.get(which)
        if child is None or child.poll() is not None:
            child = self._children[which] = _start()
            weakref.finalize(self, _stop, child)
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(line + "\n")
        child.stdin.flush()
        answer = child.stdout.readline()
        if not answer:
            raise BackendError("the child interpreter for generated programs ended unexpectedly")
        found: dict[str, Any] = json.loads(answer)
        return found


def _start() -> subprocess.Popen[str]:
    program = Path(__file__).with_name("child.py")
    return subprocess.Popen(
        [sys.executable, "-I", "-S", str(program)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
        cwd=tempfile.gettempdir(),
        env={},
    )


def _stop(child: subprocess.Popen[str]) -> None:
    for stream in (child.stdin, child.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
    if child.poll() is None:
        child.kill()
    child.wait()
