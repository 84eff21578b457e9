"""Tasks about code: answers run again, algorithms by hand, mutations, traces."""

from __future__ import annotations

import ast
import json
import random
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from nanovl.core.errors import ConfigError
from nanovl.synth.base import Answer
from nanovl.synth.text.algorithms import PROBLEMS, draw_arguments, lists, numbers, structures, texts
from nanovl.synth.text.code import FAMILIES, CodeConfig, CodeGenerator, create
from nanovl.synth.text.code_banks import BANK
from nanovl.synth.text.code_check import program_passes
from nanovl.synth.text.mutations import KINDS, mutate, mutations
from nanovl.synth.text.programs import random_program
from nanovl.synth.text.sandbox import Job, Sandbox
from nanovl.synth.text.stepping import MAX_ROUNDS, explain
from tests.unit.synth.checks import check_hash_seeds, made, make
from tests.unit.synth.text.text_checks import check_text, shown


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    box = Sandbox()
    yield box
    box.close()


def _generator(family: str) -> CodeGenerator:
    return CodeGenerator(CodeConfig(families={family: 1.0}))


def test_there_are_enough_problems_and_wordings() -> None:
    assert len(PROBLEMS) >= 80
    assert all(len(set(bank)) >= 4 for bank in BANK.values())
    for problem in PROBLEMS.values():
        assert problem.statement.endswith(".")
        assert "noqa" not in problem.source
        assert '"""' not in problem.source
        ast.parse(problem.source)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_answer_verifies_again(family: str, sandbox: Sandbox) -> None:
    generator = _generator(family)
    samples = made(generator, 20)
    generator.sandbox.close()
    for sample in samples:
        check_text(sample, own_answers=False)
        task = sample.tasks[0]
        if family == "output":
            code = re.search(r"```python\n(.*?)\n```", task.question, re.S)
            assert code is not None
            assert sandbox.run([Job(source=code[1])])[0].stdout.rstrip("\n") == task.answer_text
        elif task.verifier == "exec":
            assert program_passes(task.answer, task.answer_text, sandbox)
        if "tests" in sample.gt:
            job = Job(
                source=sample.gt["source"],
                entry=sample.gt["entry"],
                calls=tuple(t["args"] for t in sample.gt["tests"]),
            )
            again = sandbox.run([job])[0]
            assert list(again.results) == [t["result"] for t in sample.gt["tests"]]


def test_states_are_those_of_a_run(sandbox: Sandbox) -> None:
    """The value asked for, found again by printing it after the line."""
    generator = _generator("state")
    for sample in made(generator, 12):
        params, source = sample.gt["params"], sample.gt["source"]
        run = sandbox.run([Job(source=source, trace=1000)])[0]
        seen, values = 0, []
        for index, step in enumerate(run.steps):
            if step[2] != "line":
                continue
            if step[1] == params["line"]:
                seen += 1
                if seen == params["times"]:
                    after = next(s for s in run.steps[index + 1 :] if s[0] == step[0])
                    values.append(after[3][params["variable"]])
        assert values[0] == sample.tasks[0].answer_text
    generator.sandbox.close()


def test_wrong_programs_fail(sandbox: Sandbox) -> None:
    value = {"form": "function", "entry": "f", "tests": [["(2,)", "4"], ["(3,)", "9"]]}
    answer = Answer(type="json", value=value)
    assert program_passes(answer, "Sure:\n```python\ndef f(x):\n    return x * x\n```", sandbox)
    assert not program_passes(answer, "```python\ndef f(x):\n    return x + 2\n```", sandbox)
    assert not program_passes(answer, "```python\ndef f(x):\n    while True: pass\n```", sandbox)
    assert not program_passes(answer, "no code at all", sandbox)
    call = Answer(type="json", value={
        "form": "call", "source": "def f(x):\n    return x % 5", "entry": "f", "result": "3",
    })  # fmt: skip
    assert program_passes(call, "f(8)", sandbox)
    assert program_passes(call, "f(13)", sandbox)
    assert not program_passes(call, "f(7)", sandbox)
    assert not program_passes(call, "__import__('os')", sandbox)
    program = Answer(type="json", value={"form": "program", "tests": [["4\n", "8\n"]]})
    assert program_passes(program, "print(2 * int(input()))", sandbox)
    assert not program_passes(program, "print(int(input()))", sandbox)


def test_reference_solutions_by_hand() -> None:
    assert numbers.roman(494) == "CDXCIV"
    assert numbers.last_standing(7, 3) == 3
    assert numbers.triangle_row(5) == [1, 4, 6, 4, 1]
    assert numbers.whole_root(99) == 9
    assert numbers.stair_ways(4) == 7
    assert numbers.fewest_coins(12) == 3
    assert lists.best_run([-2, 1, -3, 4, -1, 2, 1, -5, 4]) == 6
    assert lists.longest_increasing([10, 9, 2, 5, 3, 7, 101, 18]) == 4
    assert lists.trapped_water([0, 1, 0, 2, 1, 0, 1, 3, 2, 1, 2, 1]) == 6
    assert lists.merge([1, 4], [2, 3, 9]) == [1, 2, 3, 4, 9]
    assert lists.bubble_passes([3, 2, 1]) == lists.inversions([3, 2, 1]) == 3
    assert lists.can_halve([1, 5, 11, 5])
    assert not lists.can_halve([1, 2, 5])
    assert texts.edit_distance("kitten", "sitting") == 3
    assert texts.common_subsequence("abcbdab", "bdcaba") == 4
    assert texts.run_lengths("aaabcc") == "a3b1c2"
    assert texts.shift_letters("xyz a", 3) == "abc d"
    assert structures.count_islands([[1, 1, 0], [0, 0, 1], [1, 0, 1]]) == 3
    assert structures.cheapest_path([[1, 3, 1], [1, 5, 1], [4, 2, 1]]) == 7
    assert structures.spiral([[1, 2, 3], [4, 5, 6], [7, 8, 9]]) == [1, 2, 3, 6, 9, 8, 7, 4, 5]
    assert structures.shortest_way([[0, 1], [1, 2], [0, 2]], 2) == 1
    assert structures.tree_height([2, 1, 3]) == 2
    assert structures.next_larger([2, 1, 3]) == [3, 3, -1]
    assert structures.most_meetings([[1, 3], [2, 4], [4, 6]]) == 2
    assert structures.automaton([0, 0, 1, 0, 0], 1) == [0, 1, 0, 1, 0]


def test_every_problem_runs_on_its_domain(sandbox: Sandbox) -> None:
    rng = random.Random(3)
    for problem in PROBLEMS.values():
        calls = tuple(repr(draw_arguments(problem, rng)) for _ in range(12))
        outcome = sandbox.run([Job(source=problem.source, entry=problem.name, calls=calls)])[0]
        assert not outcome.error, (problem.name, outcome.error)


def test_random_programs_end_and_print(sandbox: Sandbox) -> None:
    programs = [random_program(random.Random(k)) for k in range(80)]
    assert len(set(programs)) == 80
    outcomes = sandbox.run([Job(source=p) for p in programs])
    good = [o for o in outcomes if not o.error and o.stdout.strip()]
    assert len(good) >= 76


def test_mutations_change_one_line() -> None:
    source = PROBLEMS["insert_place"].source
    found = mutations(source)
    assert {m.kind for m in found} <= set(KINDS)
    assert len(found) >= 5
    for mutation in found:
        before, after = source.split("\n"), mutate(source, mutation).split("\n")
        assert [i + 1 for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b] == [
            mutation.line
        ]


def test_long_loops_are_cut_short(sandbox: Sandbox) -> None:
    source = "t = 0\nfor i in range(30):\n    t += i\nprint(t)"
    steps = sandbox.run([Job(source=source, trace=400)])[0].steps
    told = explain(steps, random.Random(0))
    assert sum("line 3" in line.lower() for line in told) == MAX_ROUNDS
    assert "t = 435" in told[-1]
    assert "i = 29" in told[-1]


def test_unknown_families_are_named() -> None:
    with pytest.raises(ConfigError, match="output"):
        create({"families": {"outputs": 1.0}})


def test_golden(golden: Callable[[str, Any], None]) -> None:
    generator = CodeGenerator()
    sample = make(generator, 4)
    generator.sandbox.close()
    assert sample is not None
    golden("synth/text-code.json", shown(sample))


@pytest.mark.slow
def test_hash_seeds_do_not_matter() -> None:
    for family in ("write", "program", "state"):
        settings = json.dumps({"families": {family: 1.0}})
        check_hash_seeds("nanovl.synth.text.code", settings, indices="range(4)")
