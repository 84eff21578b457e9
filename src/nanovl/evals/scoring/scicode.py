"""SciCode: programs built step by step, each step tested against numbers of a data file.

A response is the answer to one step. Its program is the allowed dependencies, the code of all
steps before it, and its own code without imports. The data file is read inside the sandbox only.

Source: evaluation specification, section 6.14; public references: the benchmark's own repository
and NVIDIA-NeMo/Skills.
"""

from __future__ import annotations

import json
import logging
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nanovl.core.errors import BackendError, InputError
from nanovl.evals.base import Judge, Level, Response, Result, Sample, Scored, Verdict
from nanovl.evals.sandbox import Environment, Limits, ResultCache, Sandbox, result_key
from nanovl.evals.scoring import scicode_targets
from nanovl.evals.scoring.programs import program_of, without_imports
from nanovl.evals.scoring.tally import decision_shares, require, values

__all__ = ["PREFILLED", "SciCode", "SciStep", "create_scicode", "step_program"]

log = logging.getLogger(__name__)

STEP_SECONDS = 30.0
"""Time of one step's tests."""

PREFILLED = frozenset({"13.6", "62.1", "76.3"})
"""Steps whose code is given with the benchmark; they are not generated and not counted."""

_PACKAGES = (
    "numpy",
    "scipy",
    "sympy",
    "mpmath",
    "matplotlib",
    "h5py",
    # what matplotlib needs
    "PIL",
    "contourpy",
    "cycler",
    "dateutil",
    "fontTools",
    "kiwisolver",
    "packaging",
    "pyparsing",
    "six",
)
_DATA = "/data/test_data.h5"
_SHOWN = 300


@dataclass(frozen=True, kw_only=True)
class SciStep:
    """One step of a problem.

    Attributes:
        number: Problem and step, e.g. "13.6".
        dependencies: Import lines every program of the problem begins with.
        before: Code of the steps before it, in order.
        tests: Python text of each test case; each finds its numbers as `target`.
    """

    number: str
    dependencies: str
    before: Sequence[str]
    tests: Sequence[str]


def _step(sample: Sample) -> SciStep:
    meta = sample.meta
    try:
        tests = meta["test_cases"]
        return SciStep(
            number=str(meta["step_number"]),
            dependencies=str(meta["required_dependencies"]),
            before=[str(code) for code in meta.get("previous_code") or ()],
            tests=[str(test) for test in (json.loads(tests) if isinstance(tests, str) else tests)],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"SciCode sample '{sample.id}': expected 'step_number', 'required_dependencies' and a "
            f"list 'test_cases' ({error!r})"
        ) from error


def step_program(step: SciStep, code: str) -> str:
    """The program under test: dependencies, the steps before, this step's code without imports."""
    parts = [step.dependencies, *(without_imports(part) for part in step.before)]
    return "\n\n".join([*parts, without_imports(code)])


def _test_program(step: SciStep, program: str) -> str:
    """The program with its test cases behind it."""
    lines = [program, "", "import nanovl_targets"]
    lines.append(f"_targets = nanovl_targets.read({_DATA!r}, {step.number!r}, {len(step.tests)})")
    for index, test in enumerate(step.tests):
        lines += [f"target = _targets[{index}]", test]
    return "\n".join(lines) + "\n"


@dataclass
class SciCode:
    """Share of problems whose steps all pass, in percent; `parts["subtask"]` is that of steps.

    Samples of one problem share `group`. A step comes with the model's own code of the steps
    before in `response.meta["previous_code"]` or `meta["previous_code"]`.

    Attributes:
        data_file: The benchmark's `test_data.h5`; None leaves everything unscored.
        python: An interpreter with SciPy 1.10 and h5py for the programs; None means this one.
        sandbox: Where programs run; None makes the default one at the first program.
        cache: Results of earlier programs.
        unsafe_local: Run without isolation where there is no sandbox given.
    """

    data_file: Path | None = None
    python: str | None = None
    sandbox: Sandbox | None = None
    cache: ResultCache = field(default_factory=ResultCache)
    unsafe_local: bool = False
    name: str = "scicode"
    _refusal: str = field(default="", init=False, repr=False)

    def _box(self) -> Sandbox | None:
        if self.data_file is None:
            self._refusal = (
                "the expected results are not there; put test_data.h5 of SciCode beside the "
                "benchmark's files"
            )
            return None
        if self.sandbox is None and not self._refusal:
            try:
                environment = Environment.of(self.python or sys.executable, _PACKAGES)
                self.sandbox = Sandbox(environment, unsafe_local=self.unsafe_local)
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
        """1 when the step's tests pass; None when nothing could be executed.

        Raises:
            InputError: The sample's tests are damaged.
        """
        step = _step(sample)
        before = response.meta.get("previous_code")
        if before is not None:
            step = SciStep(
                number=step.number,
                dependencies=step.dependencies,
                before=[str(code) for code in before],
                tests=step.tests,
            )
        code = program_of(response.text)
        if not code.strip():
            return Verdict(value=0.0, detail={"status": "no_code"})
        box = self._box()
        if box is None:
            detail = {"status": "not executed", "reason": self._refusal}
            return Verdict(value=None, extracted=code, detail=detail)
        tested = self._tested(box, step, step_program(step, code))
        status = tested["status"]
        value = None if status == "sandbox_error" else float(status == "pass")
        return Verdict(value=value, extracted=code, detail=tested)

    def _tested(self, box: Sandbox, step: SciStep, program: str) -> dict[str, Any]:
        whole = _test_program(step, program)
        key = result_key(whole, step.number, box.id)
        known = self.cache.get(key)
        if known is not None:
            return known
        for attempt in (1, 2):
            try:
                detail = self._run(box, whole)
                break
            except BackendError as error:
                log.warning("%s: try %d: %s", self.name, attempt, error)
                detail = {"status": "sandbox_error", "message": str(error)[:_SHOWN]}
        self.cache.add(key, detail)
        return detail

    def _run(self, box: Sandbox, whole: str) -> dict[str, Any]:
        assert self.data_file is not None
        files = {
            "main.py": b"import sys, runpy\nsys.path.insert(0, sys.argv[0].rpartition('/')[0])\n"
            b"runpy.run_path(sys.path[0] + '/program.py', run_name='__main__')\n",
            "program.py": whole.encode(),
            "nanovl_targets.py": Path(scicode_targets.__file__).read_bytes(),
        }
        limits = Limits(wall_s=STEP_SECONDS, cpu_s=2 * int(STEP_SECONDS))
        outcome = box.run(files, limits, data={_DATA: self.data_file})
        if outcome.killed == "timeout":
            return {"status": "timeout"}
        if outcome.returncode == 0:
            return {"status": "pass"}
        said = outcome.stderr.decode(errors="replace").strip()
        kind = "wrong" if "AssertionError" in said.rpartition("\n")[2] else "error"
        return {"status": kind, "message": said[-_SHOWN:] or f"{outcome.killed}"}

    def aggregate(self, scored: Sequence[Scored]) -> Result:
        """Problem accuracy; groups are problems (share of steps).

        Raises:
            InputError: There are no samples, or only pre-filled steps.
        """
        require(scored, self.name)
        steps: dict[str, list[float]] = {}
        for item, value in zip(scored, values(scored), strict=True):
            if str(item.sample.meta.get("step_number")) not in PREFILLED:
                steps.setdefault(_problem(item.sample), []).append(value)
        counts: Mapping[str, Sequence[float]] = steps
        if not counts:
            raise InputError("metric 'scicode': only pre-filled steps were given")
        solved = [all(hits) for hits in counts.values()]
        flat = [hit for hits in counts.values() for hit in hits]
        ends = Counter(str(item.verdict.detail.get("status")) for item in scored)
        return Result(
            score=100.0 * sum(solved) / len(solved),
            num_samples=len(solved),
            groups={name: 100.0 * sum(hits) / len(hits) for name, hits in counts.items()},
            parts={
                "problem": 100.0 * sum(solved) / len(solved),
                "subtask": 100.0 * sum(flat) / len(flat),
                "subtasks": float(len(flat)),
                **{f"status_{end.replace(' ', '_')}": float(n) for end, n in sorted(ends.items())},
                **decision_shares(scored),
            },
            unscored=sum(item.verdict.value is None for item in scored),
        )


def _problem(sample: Sample) -> str:
    return sample.group or str(sample.meta.get("step_number", sample.id)).rpartition(".")[0]


def create_scicode(profile: str = "default") -> SciCode:
    """The metric; set `data_file` on it to have programs executed. Profiles make no difference."""
    return SciCode()
