"""The program that runs other programs: started by `sandbox` in an isolated interpreter.

Reads requests, one JSON line each, forks, and runs the jobs of a request in the fork under limits
of processor time, memory and output. After the modules below are loaded, a hook that cannot be
removed forbids files, sockets, processes and further imports. This keeps generated programs from
doing harm by accident; programs written by strangers need a sandbox of the operating system around
this one. Imports nothing of nanovl: it runs without site packages.

Source: data synthesis specification, section 14 (execution).
"""

from __future__ import annotations

import ast
import bisect
import collections
import functools
import heapq
import io
import itertools
import json
import math
import operator
import os
import random
import re
import resource
import select
import signal
import string
import sys
import time
from collections.abc import Callable
from typing import Any

__all__ = ["main"]

# What programs may import; loading it here makes a later import a mere look-up.
ALLOWED = (bisect, collections, functools, heapq, itertools, math, operator, random, re, string)
_FORBIDDEN = (
    "open",
    "import",
    "os.",
    "shutil.",
    "socket.",
    "subprocess.",
    "ctypes.",
    "signal.",
    "pty.",
    "mmap.",
    "sqlite3.",
    "urllib.",
    "winreg.",
    "webbrowser.",
    "tempfile.",
    "glob.",
    "code.__new__",
    "sys.addaudithook",
)
PROGRAM = "<program>"
_VALUE_LENGTH = 160  # longest text of a value in a trace


class OutputFull(Exception):
    """The program printed more than it may."""


class TooLong(Exception):
    """The program executed more lines than it may."""


class _Capped(io.StringIO):
    def __init__(self, most: int) -> None:
        super().__init__()
        self.left = most

    def write(self, text: str) -> int:
        self.left -= len(text)
        if self.left < 0:
            raise OutputFull("output limit reached")
        return super().write(text)


def _forbid(event: str, arguments: tuple[Any, ...]) -> None:
    if event.startswith(_FORBIDDEN):
        raise PermissionError(f"not allowed here: {event}")


def _limit(limits: dict[str, int]) -> None:
    cpu, memory = limits["cpu_s"], limits["memory_bytes"]
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 1))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))


def _one(job: dict[str, Any], most: int) -> dict[str, Any]:
    """Run one job: a script with standard input, calls of a function, or a traced script."""
    random.seed(0)
    output = _Capped(most)
    sys.stdout, sys.stdin = output, io.StringIO(job.get("stdin", ""))
    found: dict[str, Any] = {"stdout": "", "results": [], "error": "", "steps": []}
    try:
        code = compile(job["source"], PROGRAM, "exec")
        space: dict[str, Any] = {"__name__": "__main__"}
        if job.get("trace"):
            found["steps"] = _traced(code, space, job["trace"])
        else:
            _counted(lambda: exec(code, space), job["max_lines"])
        for arguments in job.get("calls", ()):
            values = ast.literal_eval(arguments)
            entry = space[job["entry"]]
            result = _counted(lambda: entry(*values), job["max_lines"])  # noqa: B023
            found["results"].append(repr(result))
    except BaseException as error:
        found["error"] = f"{type(error).__name__}: {error}"[:300]
    found["stdout"] = output.getvalue()
    sys.stdout, sys.stdin = sys.__stdout__, sys.__stdin__
    return found


def _counted(run: Callable[[], Any], most: int) -> Any:
    """Run something; more than `most` lines of the program are an error on every machine alike,
    which a limit of time would not be.
    """
    left = most

    def count(frame: Any, event: str, value: Any) -> Any:
        nonlocal left
        if frame.f_code.co_filename != PROGRAM:
            return None
        if event == "line":
            left -= 1
            if left < 0:
                raise TooLong(f"more than {most} lines were executed")
        return count

    sys.settrace(count)
    try:
        return run()
    finally:
        sys.settrace(None)


def _shown(values: dict[str, Any]) -> dict[str, str]:
    kept = {}
    for name, value in values.items():
        if name.startswith("__") or callable(value) or isinstance(value, type(sys)):
            continue
        text = repr(value)
        if " at 0x" not in text:
            kept[name] = text[:_VALUE_LENGTH]
    return kept


def _traced(code: Any, space: dict[str, Any], most: int) -> list[list[Any]]:
    """Steps [depth, line, event, variables, value]: before each line, and at returns."""
    steps: list[list[Any]] = []
    depth = 0

    def trace(frame: Any, event: str, value: Any) -> Any:
        nonlocal depth
        if frame.f_code.co_filename != PROGRAM or frame.f_code.co_name.startswith("<"):
            return trace if frame.f_code.co_name == "<module>" and _step(frame, event) else None
        if event == "call":
            depth += 1
        _step(frame, event, value)
        if event == "return":
            depth -= 1
        return trace

    def _step(frame: Any, event: str, value: Any = None) -> bool:
        if frame.f_code.co_filename != PROGRAM:
            return False
        if len(steps) >= most:
            raise OutputFull("trace limit reached")
        given = repr(value)[:_VALUE_LENGTH] if event == "return" else ""
        steps.append([depth, frame.f_lineno, event, _shown(frame.f_locals), given])
        return True

    sys.settrace(trace)
    try:
        exec(code, space)
    finally:
        sys.settrace(None)
    return steps


def _in_fork(request: dict[str, Any]) -> dict[str, Any]:
    limits = request["limits"]
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        _limit(limits)
        sys.addaudithook(_forbid)
        made = [_one(job, limits["output_chars"]) for job in request["jobs"]]
        data = json.dumps(made).encode()
        while data:
            data = data[os.write(writer, data) :]
        os._exit(0)
    os.close(writer)
    data, end = b"", time.monotonic() + limits["wall_s"]
    killed = False
    while True:
        left = end - time.monotonic()
        if left <= 0 or not select.select([reader], [], [], left)[0]:
            os.kill(pid, signal.SIGKILL)
            killed = True
            break
        block = os.read(reader, 1 << 16)
        if not block:
            break
        data += block
    os.close(reader)
    _, status = os.waitpid(pid, 0)
    try:
        return {"outcomes": json.loads(data), "stopped": ""}
    except ValueError:
        why = "wall time" if killed else f"signal {status & 127}" if status & 127 else "no result"
        return {"outcomes": None, "stopped": why}


def main() -> None:
    """Answer requests until standard input ends."""
    for line in sys.stdin:
        reply = _in_fork(json.loads(line))
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
