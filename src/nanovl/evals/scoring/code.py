"""LiveCodeBench: does the program in an answer pass every test of its problem?

Programs run in a `Sandbox`, one session per program, and are asked one test after the other;
expected outputs never enter it. Without a sandbox nothing is executed and nothing is scored.

Source: evaluation specification, sections 6.14 and 10; public references:
LiveCodeBench/LiveCodeBench and NVIDIA-NeMo/Skills.
"""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from nanovl.core.errors import BackendError
from nanovl.evals.base import Judge, Level, Response, Result, Sample, Scored, Verdict
from nanovl.evals.sandbox import (
    Environment,
    Limits,
    ResultCache,
    Sandbox,
    Session,
    Status,
    result_key,
)
from nanovl.evals.scoring import code_harness
from nanovl.evals.scoring.programs import Problem, problem_of, program_of
from nanovl.evals.scoring.scicode import create_scicode
from nanovl.evals.scoring.tally import mean_result

__all__ = [
    "CODES",
    "CodePass",
    "TestRun",
    "create_code_pass1",
    "create_scicode",
    "run_tests",
    "same_output",
    "same_value",
]

log = logging.getLogger(__name__)

TEST_SECONDS = 6.0
"""Time of one test, as the benchmark sets it."""

CODES: dict[Status, int] = {"wrong": -2, "timeout": -3, "error": -4}
"""The benchmark's own numbers for failures."""

_SHOWN = 300


@dataclass(frozen=True, kw_only=True)
class TestRun:
    """What came of a program.

    Attributes:
        status: "pass" when all tests passed, else of the first that did not.
        passed: Tests passed before that.
        message: What went wrong.
    """

    __test__ = False  # for pytest, which collects classes of this name

    status: Status
    passed: int = 0
    message: str = ""


def _decimals(line: str) -> list[Decimal] | None:
    try:
        return [Decimal(word) for word in line.split()]
    except (InvalidOperation, ValueError):
        return None


def same_output(expected: str, printed: str) -> bool:
    """Whether two outputs agree line by line: stripped, or as lists of decimal numbers."""
    wanted = [line.strip() for line in expected.strip().split("\n")]
    given = [line.strip() for line in printed.strip().split("\n")]
    if len(wanted) != len(given):
        return False
    for left, right in zip(wanted, given, strict=True):
        if left != right:
            numbers = _decimals(right)
            if numbers is None or numbers != _decimals(left):
                return False
    return True


def _untagged(value: Any) -> Any:
    """The value a harness described; raises ValueError for what has no equal in JSON."""
    kind, content = value
    match kind:
        case "c":
            return content
        case "i":
            return int(content, 16)
        case "f":
            return float.fromhex(content)
        case "l":
            return [_untagged(item) for item in content]
        case "t":
            return tuple(_untagged(item) for item in content)
        case "s":
            return {_untagged(item) for item in content}
        case "d":
            return {_untagged(key): _untagged(item) for key, item in content}
        case _:
            raise ValueError(f"a value of type {content}")


def same_value(expected: str, value: Any) -> bool:
    """Whether a returned value, as the harness described it, equals the expected JSON.

    Raises:
        ValueError: The description is none.
    """
    try:
        return bool(_untagged(value) == json.loads(expected))
    except (TypeError, RecursionError) as error:
        raise ValueError(f"not a description of a value: {error}") from error


def run_tests(sandbox: Sandbox, program: str, problem: Problem) -> TestRun:
    """Run a program on its tests in order, up to the first that fails.

    Raises:
        BackendError: The sandbox could not start it.
    """
    count = len(problem.inputs)
    deadline = time.monotonic() + (TEST_SECONDS + 1) * count + 5
    limits = Limits(wall_s=1.0, cpu_s=int(TEST_SECONDS + 1) * count + 5)
    harness = Path(code_harness.__file__).read_bytes()
    with sandbox.start({"main.py": harness}, limits) as session:
        plan = {"code": program, "function": problem.function}
        loaded = _ask(session, plan, TEST_SECONDS, 4096)
        if "loaded" not in loaded:
            return _failed(session, loaded, 0)
        for index, (given, expected) in enumerate(
            zip(problem.inputs, problem.outputs, strict=True)
        ):
            left = min(TEST_SECONDS, deadline - time.monotonic())
            # Long outputs are right only when they are expected to be long.
            most = max(limits.output_bytes, 2 * len(expected.encode()) + 1000)
            reply = _ask(session, {"input": given, "most": most}, left, 12 * most)
            if "output" not in reply and "value" not in reply:
                return _failed(session, reply, index)
            try:
                if problem.function is None:
                    same = same_output(expected, str(reply["output"]))
                else:
                    same = same_value(expected, reply["value"])
            except (ValueError, KeyError) as error:
                return TestRun(status="wrong", passed=index, message=str(error)[:_SHOWN])
            if not same:
                shown = str(reply.get("output", reply.get("value")))[:_SHOWN]
                return TestRun(status="wrong", passed=index, message=f"got {shown}")
    return TestRun(status="pass", passed=count)


def _ask(session: Session, request: dict[str, Any], seconds: float, most: int) -> dict[str, Any]:
    line = session.ask(json.dumps(request).encode(), seconds, most)
    if line is None:
        return {}
    try:
        reply = json.loads(line)
    except (ValueError, RecursionError):
        return {"error": "the program wrote into the channel of its harness"}
    return reply if isinstance(reply, dict) else {}


def _failed(session: Session, reply: dict[str, Any], passed: int) -> TestRun:
    """Why there was no result: an error the harness told, a killed or a dead program."""
    if "error" in reply:
        return TestRun(status="error", passed=passed, message=str(reply["error"])[:_SHOWN])
    outcome = session.finish()
    if outcome.killed == "timeout":
        return TestRun(status="timeout", passed=passed, message="time limit exceeded")
    said = outcome.stderr.decode(errors="replace").strip()[-_SHOWN:]
    ended = "out of memory" if outcome.killed else f"ended with status {outcome.returncode}"
    return TestRun(status="error", passed=passed, message=f"{ended}: {said}")


@dataclass
class CodePass:
    """Share of programs that pass all tests, in percent.

    Attributes:
        sandbox: Where programs run; None makes the default one at the first program.
        cache: Results of earlier programs.
        unsafe_local: Run without isolation where there is no sandbox given.
    """

    sandbox: Sandbox | None = None
    cache: ResultCache = field(default_factory=ResultCache)
    unsafe_local: bool = False
    name: str = "code_pass1"
    _refusal: str = field(default="", init=False, repr=False)

    def _box(self) -> Sandbox | None:
        if self.sandbox is None and not self._refusal:
            try:
                self.sandbox = Sandbox(
                    Environment.of(packages=("numpy",)), unsafe_local=self.unsafe_local
                )
            except BackendError as error:
                self._refusal = str(error)
                log.warning("%s: %s", self.name, error)
        return self.sandbox

    def score(
        self,
        sample: Sample,
        response: Response,
        *,
        level: Level = "rules",
        judge: Judge | None = None,
    ) -> Verdict:
        """1 when all tests pass; None when nothing could be executed. Levels make no difference.

        Raises:
            InputError: The sample's tests are damaged.
        """
        problem = problem_of(sample.meta, f"LiveCodeBench sample '{sample.id}'")
        program = program_of(response.text)
        tests = len(problem.inputs)
        if not program.strip():
            return Verdict(value=0.0, detail={"status": "no_code", "tests": tests})
        box = self._box()
        if box is None:
            detail = {"status": "not executed", "reason": self._refusal, "tests": tests}
            return Verdict(value=None, extracted=program, detail=detail)
        detail = {**self._tested(box, program, problem), "tests": tests}
        status = detail["status"]
        value = None if status == "sandbox_error" else float(status == "pass")
        return Verdict(value=value, extracted=program, detail=detail)

    def _tested(self, box: Sandbox, program: str, problem: Problem) -> dict[str, Any]:
        """Status and more of a program, from the cache or a run; a sandbox error is tried twice."""
        tests = json.dumps([problem.function, problem.inputs, problem.outputs])
        key = result_key(program, tests, box.id)
        known = self.cache.get(key)
        if known is not None:
            return known
        for attempt in (1, 2):
            try:
                run = run_tests(box, program, problem)
                break
            except BackendError as error:
                log.warning("%s: try %d: %s", self.name, attempt, error)
                run = TestRun(status="sandbox_error", message=str(error)[:_SHOWN])
        detail: dict[str, Any] = {"status": run.status, "passed": run.passed}
        if run.message:
            detail["message"] = run.message
        if run.status in CODES:
            detail["code"] = CODES[run.status]
        self.cache.add(key, detail)
        return detail

    def aggregate(self, scored: Sequence[Scored]) -> Result:
        """Accuracy in percent; parts count how programs ended."""
        ends = Counter(str(item.verdict.detail.get("status")) for item in scored)
        parts = {f"status_{name.replace(' ', '_')}": float(n) for name, n in sorted(ends.items())}
        return mean_result(scored, self.name, scale=100.0, parts=parts)


def create_code_pass1(profile: str = "default") -> CodePass:
    """The metric; profiles make no difference. Set `sandbox` or `cache` on it for others."""
    return CodePass()
