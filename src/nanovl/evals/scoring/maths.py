"""Mathematical answers: is the boxed answer equal to the reference? MATH-500 and AIME.

The comparison runs in a child process that can be killed. Without the package math-verify there
is no comparison: an error names the extra, nothing else is tried instead.

Source: evaluation specification, sections 6.12 and 6.15; public reference: NVIDIA-NeMo/Skills.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import select
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nanovl.core.errors import BackendError, missing_extra
from nanovl.evals.base import Judge, Level, Response, Result, Sample, Scored, Verdict
from nanovl.evals.scoring import maths_child
from nanovl.evals.scoring.extraction import boxed, final_answer
from nanovl.evals.scoring.tally import mean_result

__all__ = ["MathEqual", "create_math_equal", "create_math_equal_pass1", "math_equal"]

PRECISION_DIGITS = 15
"""Digits two numbers must agree in, as the public recipe sets it."""

VERIFY_SECONDS = 10
"""Time the comparison itself may take, as the public recipe sets it."""

KILL_SECONDS = 45.0
"""After this the child is killed and the answers count as different."""

_START_SECONDS = 60.0


class _Child:
    """The comparing process, started when first needed and again after it was killed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._buffer = b""

    def ask(self, truth: str, answer: str, seconds: float) -> dict[str, Any]:
        """The child's reply; `{"equal": False, "problem": ...}` when it had to be killed."""
        with self._lock:
            process = self._running()
            request = {
                "truth": truth,
                "answer": answer,
                "precision": PRECISION_DIGITS,
                "seconds": VERIFY_SECONDS,
            }
            assert process.stdin is not None
            try:
                process.stdin.write(json.dumps(request).encode() + b"\n")
                process.stdin.flush()
                reply = self._line(process, seconds)
            except BrokenPipeError:
                reply = b""
            if reply:
                return dict(json.loads(reply))
            alive = process.poll() is None
            self._stop()
            problem = f"took longer than {seconds:g} s" if alive else "the comparison crashed"
            return {"equal": False, "problem": problem}

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._owner != os.getpid():
            self._process = None  # inherited through fork; it belongs to the parent
        if self._process is not None and self._process.poll() is not None:
            self._stop()
        if self._process is None:
            self._process = self._start()
        return self._process

    def _start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-P", str(Path(maths_child.__file__))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._process, self._owner, self._buffer = process, os.getpid(), b""
        hello = self._line(process, _START_SECONDS)
        greeting = json.loads(hello) if hello else {}
        if "ready" in greeting:
            return process
        self._stop()
        if "missing" in greeting:
            raise missing_extra(str(greeting["missing"]), "evals", "comparing mathematical answers")
        raise BackendError(
            f"the process that compares mathematical answers did not start within "
            f"{_START_SECONDS:g} s; run '{sys.executable} {maths_child.__file__}' to see why"
        )

    def _line(self, process: subprocess.Popen[bytes], seconds: float) -> bytes:
        """The next line, or b"" at the end of the stream or of the time."""
        assert process.stdout is not None
        deadline = time.monotonic() + seconds
        while b"\n" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
                return b""
            piece = os.read(process.stdout.fileno(), 65536)
            if not piece:
                return b""
            self._buffer += piece
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None or self._owner != os.getpid():
            return
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    continue

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._stop()


_child = _Child()
atexit.register(_child.close)


def _compare(truth: str, answer: str, seconds: float = KILL_SECONDS) -> dict[str, Any]:
    return _child.ask(truth, answer, seconds)


def math_equal(truth: str, answer: str | None, *, seconds: float = KILL_SECONDS) -> bool:
    """Whether two answers in LaTeX or plain text mean the same.

    Args:
        truth: The reference.
        answer: What was boxed; None is never equal.
        seconds: After this the comparison is killed; the answers then count as different.

    Raises:
        BackendError: math-verify is not installed.

    Source: NVIDIA-NeMo/Skills: letters A to J as letters, pure words and pure digits as text,
    everything else by math-verify.
    """
    if answer is None:
        return False
    return bool(_compare(truth, answer, seconds)["equal"])


def _same_integer(truth: str, answer: str) -> bool:
    """Whether both are integers of up to three digits that differ in leading zeros only."""
    short = re.fullmatch(r"\d{1,3}", truth.strip()) and re.fullmatch(r"\d+", answer.strip())
    return bool(short) and len(answer.strip()) < 100 and int(truth) == int(answer)


@dataclass(frozen=True)
class MathEqual:
    """Share of responses whose boxed answer equals the reference, in percent.

    Attributes:
        profile: "vk" and "legacy" follow the public recipe to the letter; "default" also takes
            070 for 70 when the reference is an integer below 1000, and counts how often.
    """

    profile: str = "default"
    name: str = "math_equal_pass1"

    def score(
        self,
        sample: Sample,
        response: Response,
        *,
        level: Level = "rules",
        judge: Judge | None = None,
    ) -> Verdict:
        """1 when equal. Level "extended" also finds answers outside a box.

        Raises:
            BackendError: math-verify is not installed.
        """
        truth = str(sample.answer)
        answer = boxed(response.text)
        decided: Level = "rules"
        if answer is None and level != "rules":
            answer, decided = final_answer(response.text), "extended"
        if answer is None:
            return Verdict(value=0.0, level="rules", detail={"parsed": False})
        reply = _compare(truth, answer)
        detail: dict[str, Any] = {"parsed": True}
        if reply.get("problem"):
            detail["problem"] = reply["problem"]
        equal = bool(reply["equal"])
        if not equal and self.profile == "default" and _same_integer(truth, answer):
            equal, detail["deviation"] = True, "leading zeros"
        return Verdict(value=float(equal), extracted=answer, level=decided, detail=detail)

    def aggregate(self, scored: Sequence[Scored]) -> Result:
        """Accuracy in percent; `parts["leading_zeros"]` counts the deviation of the profile."""
        zeros = sum(item.verdict.detail.get("deviation") == "leading zeros" for item in scored)
        return mean_result(scored, self.name, scale=100.0, parts={"leading_zeros": float(zeros)})


def create_math_equal_pass1(profile: str = "default") -> MathEqual:
    """The metric of MATH-500 and AIME; averaging over runs is the runner's."""
    return MathEqual(profile=profile)


def create_math_equal(profile: str = "default") -> MathEqual:
    """The same comparison under the name `math_equal`."""
    return MathEqual(profile=profile, name="math_equal")
