"""The child interpreter: results, limits, what is forbidden, differing runs."""

from __future__ import annotations

import pickle
from collections.abc import Iterator

import pytest

from nanovl.synth.base import Reject
from nanovl.synth.text.sandbox import Job, Limits, Sandbox


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    made = Sandbox(Limits(cpu_s=1, wall_s=20, output_chars=1000))
    yield made
    made.close()


def test_scripts_calls_and_traces(sandbox: Sandbox) -> None:
    script = Job(source="n = int(input())\nprint(n * 2)", stdin="21\n")
    calls = Job(source="def f(a, b=1):\n    return a + b", entry="f", calls=("(1,)", "(2, 3)"))
    traced = Job(source="x = 1\nx += 2\nprint(x)", trace=50)
    one, two, three = sandbox.run_twice([script, calls, traced])
    assert one.stdout == "42\n"
    assert two.results == ("2", "5")
    lines = [(step[1], step[3]) for step in three.steps if step[2] == "line"]
    assert lines == [(1, {}), (2, {"x": "1"}), (3, {"x": "3"})]


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("open('/etc/hostname')", "PermissionError"),
        ("open('made.txt', 'w')", "PermissionError"),
        ("import socket", "PermissionError"),
        ("import os\nos.system('true')", "PermissionError"),
        ("import os\nos.fork()", "PermissionError"),
        ("x = [0] * 10**9", "MemoryError"),
        ("print('x' * 5000)", "OutputFull"),
        ("i = 0\nwhile True:\n    i += 1", "TooLong"),
        ("raise ValueError('no')", "ValueError: no"),
        ("def f(", "SyntaxError"),
        ("import sys\nsys.exit(3)", "SystemExit"),
    ],
)
def test_errors_and_limits(sandbox: Sandbox, source: str, error: str) -> None:
    outcome = sandbox.run([Job(source=source)])[0]
    assert outcome.error.startswith(error)
    # The next request is not affected.
    assert sandbox.run([Job(source="print(1)")])[0].stdout == "1\n"


def test_time_in_one_line_ends_the_process(sandbox: Sandbox) -> None:
    with pytest.raises(Reject, match="stopped"):
        sandbox.run([Job(source="sum(range(10**12))")])
    assert sandbox.run([Job(source="print(1)")])[0].stdout == "1\n"


def test_hash_order_is_found_out(sandbox: Sandbox) -> None:
    source = "print(list({'ab', 'cd', 'ef', 'gh', 'ij', 'kl', 'mn', 'op', 'qr', 'st'}))"
    with pytest.raises(Reject, match="not_deterministic"):
        sandbox.run_twice([Job(source=source)])


def test_random_is_seeded(sandbox: Sandbox) -> None:
    job = Job(source="import random\nprint(random.randint(0, 10**9))")
    assert sandbox.run_twice([job])[0].stdout == sandbox.run([job])[0].stdout


def test_jobs_of_a_request_do_not_share_names(sandbox: Sandbox) -> None:
    outcome = sandbox.run([Job(source="x = 1"), Job(source="print(x)")])[1]
    assert outcome.error.startswith("NameError")


def test_a_sandbox_travels_without_its_children(sandbox: Sandbox) -> None:
    sandbox.run([Job(source="print(1)")])
    copy = pickle.loads(pickle.dumps(sandbox))
    assert copy.run([Job(source="print(2)")])[0].stdout == "2\n"
    copy.close()
