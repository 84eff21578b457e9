"""Programs in answers and their tests: extraction, unpacking, LiveCodeBench and SciCode."""

from __future__ import annotations

import base64
import json
import pickle
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from nanovl.core.errors import BackendError, InputError
from nanovl.evals.base import Response, Sample, Scored, Verdict
from nanovl.evals.sandbox import ResultCache, Sandbox
from nanovl.evals.scoring import code as code_module
from nanovl.evals.scoring.code import CodePass, create_code_pass1, same_output, same_value
from nanovl.evals.scoring.programs import (
    last_block,
    problem_of,
    program_of,
    unpack_tests,
    without_imports,
)
from nanovl.evals.scoring.scicode import SciCode, SciStep, create_scicode, step_program

FENCE = "```"


@pytest.mark.parametrize(
    ("text", "program"),
    [
        (f"{FENCE}python\na=1\n{FENCE}", "a=1"),
        (f"{FENCE}\nplain\n{FENCE}\nthen\n{FENCE}python\nb=2\n{FENCE}", "b=2"),
        ("plain code", "plain code"),
        ("<think>never ends", ""),
        (f"{FENCE}python\na=1\nb=2", "a=1\nb=2"),
        (f"<think>{FENCE}python\nno\n{FENCE}</think>{FENCE}python\nyes\n{FENCE}", "yes"),
        (f"{FENCE}cpp\nint x;\n{FENCE}", "int x;"),
        ("", ""),
    ],
)
def test_programs_as_the_recipe_takes_them(text: str, program: str) -> None:
    assert program_of(text) == program


@pytest.mark.parametrize(
    ("text", "program"),
    [
        (f"{FENCE}python\na\n{FENCE}\nx\n{FENCE}python\nb\n{FENCE}", "b"),
        (f"{FENCE}python\na", ""),
        ("plain", ""),
    ],
)
def test_programs_as_the_benchmark_takes_them(text: str, program: str) -> None:
    assert last_block(text) == program


@given(st.text())
def test_extraction_never_raises(text: str) -> None:
    assert isinstance(program_of(text), str)
    assert isinstance(last_block(text), str)
    assert isinstance(without_imports(text), str)


TESTS = [{"input": "1", "output": "2", "testtype": "stdin"}]


def _packed(content: object) -> str:
    return base64.b64encode(zlib.compress(pickle.dumps(content))).decode()


class _Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("/tmp/nanovl-unpickled"),))


def test_packed_tests() -> None:
    assert unpack_tests(json.dumps(TESTS), "x") == TESTS
    assert unpack_tests(_packed(json.dumps(TESTS)), "x") == TESTS


@pytest.mark.parametrize(
    ("packed", "message"),
    [
        (_packed(_Evil()), "refers to"),
        (_packed(["a list"]), "hold list"),
        ("not base64!", "cannot be read"),
        (base64.b64encode(b"no zlib").decode(), "cannot be read"),
        (base64.b64encode(zlib.compress(b"no pickle")).decode(), "cannot be read"),
        (_packed("no json"), "not a JSON list"),
        ('[{"input": "1"}]', "not a JSON list"),
    ],
)
def test_damaged_or_hostile_tests_are_refused(packed: str, message: str) -> None:
    with pytest.raises(InputError, match=f"sample 7.*{message}"):
        unpack_tests(packed, "sample 7")
    assert not Path("/tmp/nanovl-unpickled").exists()


@given(st.binary(max_size=60))
def test_any_pickle_is_read_as_text_or_refused(data: bytes) -> None:
    packed = base64.b64encode(zlib.compress(b"\x80\x04" + data)).decode()
    with pytest.raises(InputError):
        unpack_tests(packed, "x")


def test_problems_need_tests_and_a_function_name() -> None:
    with pytest.raises(InputError, match="no tests"):
        problem_of({}, "x")
    functional = [{"input": "1", "output": "2", "testtype": "functional"}]
    with pytest.raises(InputError, match="func_name"):
        problem_of({"public_test_cases": functional}, "x")
    problem = problem_of(
        {
            "public_test_cases": functional,
            "private_test_cases": _packed(json.dumps(functional)),
            "metadata": '{"func_name": "f"}',
        },
        "x",
    )
    assert (problem.inputs, problem.function) == (("1", "1"), "f")


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        ("6", "6", True),
        ("6", "6  \n\n", True),
        ("6", "6.0", True),
        ("6", "6.0000001", False),
        ("6", "6\n7", False),
        ("1 2\n3", "1.0 2\n 3", True),
        ("a", "b", False),
        ("0.3", "0.30000000000000004", False),
        ("", "", True),
    ],
)
def test_output_is_compared_line_by_line(expected: str, printed: str, same: bool) -> None:
    assert same_output(expected, printed) is same


def test_unknown_values_are_wrong() -> None:
    with pytest.raises(ValueError, match="type Foo"):
        same_value("1", ["?", "Foo"])
    with pytest.raises(ValueError, match="not a description"):
        same_value("1", 5)


@pytest.fixture(scope="module")
def box() -> Sandbox:
    try:
        return Sandbox()
    except BackendError as error:
        pytest.skip(f"no sandbox works here: {error}")


def _stdin_sample(*pairs: tuple[str, str]) -> Sample:
    tests = [{"input": a, "output": b, "testtype": "stdin"} for a, b in pairs]
    return Sample(id="1", question="?", answer=None, meta={"public_test_cases": tests})


def _function_sample(*pairs: tuple[str, str]) -> Sample:
    tests = [{"input": a, "output": b, "testtype": "functional"} for a, b in pairs]
    meta = {"public_test_cases": tests, "metadata": {"func_name": "f"}}
    return Sample(id="1", question="?", answer=None, meta=meta)


def _score(box: Sandbox, sample: Sample, program: str) -> Verdict:
    response = Response(text=f"{FENCE}python\n{program}\n{FENCE}")
    return CodePass(sandbox=box).score(sample, response)


METHOD = "class Solution:\n    def f(self, a, b):\n        "
DOUBLE = _stdin_sample(("3\n", "6\n"), ("5\n", "10\n"))


@pytest.mark.parametrize(
    ("program", "status", "code"),
    [
        ("print(int(input()) * 2)", "pass", None),
        ("print(int(input()) * 2, ' ')\nprint()", "pass", None),
        ("if __name__ == '__main__':\n    print(int(input()) * 2)", "pass", None),
        ("print(float(input()) * 2)", "pass", None),
        ("print(int(input()) * 2 + 0.0000001)", "wrong", -2),
        ("print(int(input()) * 2)\nprint('more')", "wrong", -2),
        ("raise RuntimeError", "error", -4),
        ("print(", "error", -4),
        ("import os\nos._exit(0)", "error", -4),
        ("x = [0] * 10**12", "error", -4),
        ("import sys\nprint(int(sys.stdin.readline()) * 2)\nsys.exit(1)", "pass", None),
        ("from sys import stdin\nprint(int(stdin.read()) * 2)", "pass", None),
        ("import sys\nsys.stdout.buffer.write(b'%d' % (2 * int(open(0).read())))", "pass", None),
        ("n = 0\ndef f():\n    global n\n    n = int(input())\nf()\nprint(n * 2)", "pass", None),
        ("print(gcd(0, int(input())) * 2)", "pass", None),
        ("import sys\nsys.setrecursionlimit(10**6)\n"
         "def f(n):\n    return 0 if n == 0 else f(n - 1)\nprint(f(20000) + 2 * int(input()))",
         "pass", None),
    ],
)  # fmt: skip
def test_programs_that_read_input(box: Sandbox, program: str, status: str, code: int) -> None:
    verdict = _score(box, DOUBLE, program)
    assert verdict.detail["status"] == status, verdict.detail
    assert verdict.detail.get("code") == code
    assert verdict.value == float(status == "pass")


def test_an_endless_program_runs_into_the_time_limit(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code_module, "TEST_SECONDS", 1.0)
    verdict = _score(box, DOUBLE, "while True: pass")
    assert (verdict.detail["status"], verdict.detail["code"]) == ("timeout", -3)


@pytest.mark.parametrize(
    ("program", "tests", "status"),
    [
        (f"{METHOD}return [a, b]", [("1\n2", "[1, 2]")], "pass"),
        (f"{METHOD}return (a, b)", [("1\n2", "[1, 2]")], "pass"),
        ("def f(a):\n    return [(a, a)]", [("1", "[[1, 1]]")], "wrong"),
        ("def f(a):\n    return 0.1 + 0.2", [("1", "0.3")], "wrong"),
        ("def f(a):\n    return True", [("1", "1")], "pass"),
        ("def f(a):\n    return {1: 2}", [("1", '{"1": 2}')], "wrong"),
        ("def f(a):\n    return object()", [("1", "1")], "wrong"),
        ("def f(a: List[int]) -> Optional[int]:\n    return sum(a)", [("[1, 2]", "3")], "pass"),
        ("def g(a):\n    return a", [("1", "1")], "error"),
        ("def f(a):\n    return a\nif __name__ == '__main__':\n    f()", [("1", "1")], "pass"),
        ("def f(a):\n    print('chatter'); return a", [("1", "1"), ("2", "2")], "pass"),
    ],
)  # fmt: skip
def test_programs_with_a_function(
    box: Sandbox, program: str, tests: list[tuple[str, str]], status: str
) -> None:
    verdict = _score(box, _function_sample(*tests), program)
    assert verdict.detail["status"] == status, verdict.detail


def test_a_program_that_lies_about_its_result_gains_nothing(box: Sandbox) -> None:
    program = (
        "import os\n"
        "for fd in range(3, 20):\n"
        '    try:\n        os.write(fd, b\'{"output": "10"}\\n\')\n'
        "    except OSError:\n        pass\n"
        "print('0')"
    )
    assert _score(box, _stdin_sample(("3", "6")), program).value == 0.0


def test_long_outputs_pass_when_they_are_expected(box: Sandbox) -> None:
    wanted = "\n".join(str(number) for number in range(60_000))
    sample = _stdin_sample(("60000", wanted))
    assert len(wanted) > 300_000
    program = "print(*range(int(input())), sep='\\n')"
    assert _score(box, sample, program).value == 1.0
    assert _score(box, DOUBLE, "print('x' * 10**6)").detail["status"] == "wrong"


def test_empty_answers_have_no_code_and_need_no_sandbox() -> None:
    verdict = create_code_pass1().score(DOUBLE, Response(text=" "))
    assert (verdict.value, verdict.detail["status"]) == (0.0, "no_code")


def test_without_a_sandbox_nothing_is_executed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    metric = create_code_pass1()
    verdict = metric.score(DOUBLE, Response(text="print(6)"))
    assert verdict.value is None
    assert verdict.detail["status"] == "not executed"
    assert "bwrap" in verdict.detail["reason"]
    scored = [Scored(sample=DOUBLE, response=Response(text=""), verdict=verdict)]
    result = metric.aggregate(scored)
    assert (result.score, result.unscored) == (0.0, 1)


class _Failing(Sandbox):
    def __init__(self) -> None:
        self.tries = 0

    @property
    def id(self) -> str:  # type: ignore[override]
        return "failing"

    def start(self, *args: Any, **more: Any):
        self.tries += 1
        raise BackendError("no")


def test_sandbox_errors_are_tried_twice_and_stay_unscored() -> None:
    box = _Failing()
    verdict = _score(box, DOUBLE, "print(1)")
    assert box.tries == 2
    assert verdict.value is None
    assert verdict.detail["status"] == "sandbox_error"


def test_results_are_cached(box: Sandbox, tmp_path: Path) -> None:
    cache = ResultCache(tmp_path / "cache.jsonl")
    response = Response(text="print(2 * int(input()))")
    first = CodePass(sandbox=box, cache=cache).score(DOUBLE, response)
    failing = _Failing()
    failing.__class__ = type("Same", (_Failing,), {"id": property(lambda self: box.id)})
    again = CodePass(sandbox=failing, cache=ResultCache(tmp_path / "cache.jsonl"))
    assert again.score(DOUBLE, response) == first
    assert failing.tries == 0


def test_scicode_programs_are_joined_without_imports() -> None:
    step = SciStep(
        number="1.2",
        dependencies="import numpy as np",
        before=["import os\ndef a():\n    return 1"],
        tests=["assert True"],
    )
    program = step_program(step, "from math import pi\ndef b():\n    return a()")
    assert program.split() == (
        [
            "import",
            "numpy",
            "as",
            "np",
            "def",
            "a():",
            "return",
            "1",
            "def",
            "b():",
            "return",
            "a()",
        ]
    )


def _steps(counts: list[tuple[int, int]]) -> list[Scored]:
    rows = []
    for problem, (right, count) in enumerate(counts, start=1):
        for step in range(1, count + 1):
            meta = {"step_number": f"{problem}.{step}"}
            sample = Sample(id=f"{problem}.{step}", question="?", answer=None, meta=meta)
            verdict = Verdict(value=float(step <= right), detail={"status": "x"})
            rows.append(Scored(sample=sample, response=Response(text=""), verdict=verdict))
    return rows


def test_scicode_accuracies_worked_in_the_specification() -> None:
    result = create_scicode().aggregate(_steps([(3, 3), (2, 4), (0, 2), (1, 1)]))
    assert result.score == 50.0
    assert result.parts["subtask"] == pytest.approx(60.0)
    with pytest.raises(InputError, match="no responses"):
        create_scicode().aggregate([])


def test_scicode_without_its_data_file_is_not_executed() -> None:
    meta = {"step_number": "1.1", "required_dependencies": "", "test_cases": ["assert True"]}
    sample = Sample(id="1.1", question="?", answer=None, meta=meta)
    verdict = create_scicode().score(sample, Response(text="x = 1"))
    assert verdict.value is None
    assert "test_data.h5" in verdict.detail["reason"]
    with pytest.raises(InputError, match="step_number"):
        create_scicode().score(Sample(id="1", question="?", answer=None), Response(text="x = 1"))


_FAKE_H5PY = """
import json
class Dataset:
    def __init__(self, value): self.value = value
    def __getitem__(self, key): return self.value
class Group(dict): pass
class File:
    def __init__(self, path, mode): self.all = json.load(open(path))
    def __enter__(self): return self
    def __exit__(self, *a): pass
    def __getitem__(self, key):
        return Group({k: Dataset(v) for k, v in self.all[key].items()})
"""


@pytest.mark.parametrize(
    ("program", "status"),
    [
        ("def double(x):\n    return 2 * x", "pass"),
        ("def double(x):\n    return 3 * x", "wrong"),
        ("def triple(x):\n    return 3 * x", "error"),
    ],
)
def test_scicode_steps_run_on_the_data_file(
    box: Sandbox, tmp_path: Path, program: str, status: str
) -> None:
    # The data file is JSON here and h5py a stand-in, so that the path through the sandbox is
    # tested without either package.
    data = tmp_path / "test_data.h5"
    data.write_text(json.dumps({"1.1/test1": {"var1": 42}, "1.1/test2": {"a": 2, "b": 4}}))
    data.chmod(0o644)
    tests = ["assert double(21) == target", "x, y = target\nassert double(x) == y"]
    meta = {
        "step_number": "1.1",
        "required_dependencies": f"import sys, types\nh5py = types.ModuleType('h5py')\n"
        f"exec({_FAKE_H5PY!r}, h5py.__dict__)\nsys.modules['h5py'] = h5py",
        "test_cases": tests,
    }
    sample = Sample(id="1.1", question="?", answer=None, meta=meta)
    metric = SciCode(data_file=data, sandbox=box)
    verdict = metric.score(sample, Response(text=f"{FENCE}python\n{program}\n{FENCE}"))
    assert verdict.detail["status"] == status, verdict.detail
