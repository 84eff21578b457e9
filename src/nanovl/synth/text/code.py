"""Reasoning about code with executed answers ("text-code").

Families: output of a program, value of a variable during a run, arguments for a given result,
which line is wrong and how to repair it, a gap to fill, functions and whole programs with hidden
tests, growth of running time. Everything shown was run twice in isolated interpreters; nothing is
answered by reading code. Must not run code in this process.

Source: data synthesis specification, section 14.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nanovl.core.config import from_dict, nearest
from nanovl.core.errors import ConfigError
from nanovl.data.convert.templates import letters, options_text
from nanovl.synth.base import Answer, Reject, Requirement, Sample, Streams, Task
from nanovl.synth.text.algorithms import PROBLEMS, CodeProblem, draw_arguments
from nanovl.synth.text.code_banks import BANK, SOLUTION_TRACES
from nanovl.synth.text.code_check import program_passes, stdin_of, stdin_source
from nanovl.synth.text.mutations import KINDS, mutate, some_mutations
from nanovl.synth.text.programs import random_program
from nanovl.synth.text.sandbox import Job, Limits, Outcome, Sandbox
from nanovl.synth.text.stepping import explain, moments

__all__ = ["FAMILIES", "CodeConfig", "CodeGenerator", "create"]

FAMILIES: dict[str, float] = {
    "output": 0.25,
    "state": 0.15,
    "input": 0.1,
    "bug": 0.2,
    "fill": 0.1,
    "write": 0.1,
    "program": 0.06,
    "cost": 0.04,
}
_TESTS = 8  # calls of every reference solution; two are shown, the others hidden
_TRACE_STEPS = 400
_COSTS = ("O(1)", "O(log n)", "O(n)", "O(n log n)", "O(n^2)", "O(n^3)", "O(2^n)")
_ORDINALS = ("once", "twice", "three times", "four times", "five times", "six times")
_LONGEST_ANSWER = 200


@dataclass(frozen=True, kw_only=True)
class CodeConfig:
    """Settings of "text-code".

    Attributes:
        families: Weights of the kinds of tasks; kinds left out do not occur. Empty means the
            defaults.
        direct: Share of samples with a trace that also appear without it.
        cpu_s, memory_mb: Limits of every run.
    """

    families: dict[str, float] = field(default_factory=dict)
    direct: float = 1 / 3
    cpu_s: int = 2
    memory_mb: int = 512

    def __post_init__(self) -> None:
        for name, weight in self.families.items():
            if name not in FAMILIES:
                raise ConfigError(
                    f"text-code: family {name!r} does not exist{nearest(name, FAMILIES)}"
                )
            if weight < 0:
                raise ConfigError(f"text-code: weight {weight} of {name!r}, expected at least 0")


@dataclass(frozen=True, kw_only=True)
class _Made:
    """A task before it is wrapped up."""

    task: Task
    gt: dict[str, Any]


class CodeGenerator:
    """Makes tasks about code.

    Args:
        config: Settings.
    """

    name = "text-code"
    version = "1"
    requires: Sequence[Requirement] = ()

    def __init__(self, config: CodeConfig | None = None) -> None:
        self.config = config or CodeConfig()
        self.sandbox = Sandbox(
            Limits(cpu_s=self.config.cpu_s, memory_bytes=self.config.memory_mb << 20)
        )

    def generate(self, index: int, streams: Streams) -> Sample:
        """One task about code, and its twin without a trace in a share of the cases.

        Raises:
            Reject: The drawn program is of no use (an error, too much output, no difference ...).
        """
        rng, qa = streams.rng("content"), streams.rng("qa")
        weights = dict(self.config.families) or FAMILIES
        names = sorted(n for n, w in weights.items() if w > 0)
        family = rng.choices(names, [weights[n] for n in names])[0]
        made: _Made = getattr(self, f"_{family}")(rng, qa)
        tasks = [made.task]
        if made.task.trace and qa.random() < self.config.direct:
            tasks.append(_without_trace(made.task))
        return Sample(
            generator=self.name,
            version=self.version,
            seed=streams.seed,
            gt={
                "family": family,
                "language": "python",
                "limits": {"cpu_s": self.config.cpu_s, "memory_mb": self.config.memory_mb},
                **made.gt,
            },
            tasks=tuple(tasks),
            tags=(
                "code",
                "reasoning",
                family,
                "difficulty:3" if family != "cost" else "difficulty:2",
            ),
        )

    # --- families -------------------------------------------------------------------------------

    def _output(self, rng: random.Random, qa: random.Random) -> _Made:
        source, name = _some_program(rng)
        run = self._traced(source)
        if not run.stdout.strip() or len(run.stdout) > _LONGEST_ANSWER:
            raise Reject("output_length", f"{len(run.stdout)} characters")
        answer = run.stdout.rstrip("\n")
        question, template = _ask("output", qa, code=_block(source))
        trace = [*explain(run.steps, qa), f"So the output is {answer}"]
        task = Task(
            task="code_output",
            question=question,
            answer_text=answer,
            answer=Answer(type="text", value=answer),
            verifier="exact",
            trace="\n".join(trace),
            template=template,
        )
        return _Made(task=task, gt={"source": source, "entry": name, "stdout": run.stdout})

    def _state(self, rng: random.Random, qa: random.Random) -> _Made:
        source, name = _some_program(rng)
        run = self._traced(source)
        found = [
            (m, n)
            for m in moments(run.steps)
            for n in sorted(m.variables)
            if m.times <= len(_ORDINALS) and len(m.variables[n]) <= 60
        ]
        if not found:
            raise Reject("no_state", "no variable to ask for")
        moment, variable = rng.choice(found[len(found) // 3 :])
        value = moment.variables[variable]
        question, template = _ask(
            "state",
            qa,
            code=_block(source, numbered=True),
            name=variable,
            line=moment.line,
            times=_ORDINALS[moment.times - 1],
        )
        upto = _until(run, moment.line, moment.times)
        trace = [*explain(upto, qa), f"At that point {variable} = {value}."]
        task = Task(
            task="code_state",
            question=question,
            answer_text=value,
            answer=Answer(type="text", value=value),
            verifier="exact",
            trace="\n".join(trace),
            template=template,
        )
        params = {"line": moment.line, "times": moment.times, "variable": variable}
        return _Made(task=task, gt={"source": source, "entry": name, "params": params})

    def _input(self, rng: random.Random, qa: random.Random) -> _Made:
        made, tests = self._tested(rng)
        arguments, result = rng.choice(tests)
        call = _call(made.name, arguments)
        question, template = _ask(
            "input", qa, code=_block(made.source), entry=made.name, result=result
        )
        run = self._traced(f"{made.source}\n\n\n{call}")
        trace = [
            made.statement,
            f"I try {call}.",
            *explain(run.steps, qa)[:30],
            f"So {call} returns {result}.",
        ]
        value = {"form": "call", "source": made.source, "entry": made.name, "result": result}
        task = Task(
            task="code_input",
            question=question,
            answer_text=call,
            answer=Answer(type="json", value=value),
            verifier="exec",
            trace="\n".join(trace),
            template=template,
        )
        return _Made(task=task, gt=_gt(made, tests))

    def _bug(self, rng: random.Random, qa: random.Random) -> _Made:
        made, tests = self._tested(rng)
        calls = tuple(a for a, _ in tests)
        for mutation in some_mutations(made.source, rng, 6):
            broken = mutate(made.source, mutation)
            jobs = [Job(source=broken, entry=made.name, calls=(c,)) for c in calls]
            runs = self.sandbox.run_twice(jobs)
            failing = [
                (call, right, run.results[0])
                for (call, right), run in zip(tests, runs, strict=True)
                if not run.error and run.results[0] != right
            ]
            if failing:
                break
        else:
            raise Reject("no_difference", f"{made.name}: no mistake shows in the tests")
        arguments, right, wrong = min(failing, key=lambda f: len(f[0]))
        fix = rng.random() < 0.4
        slots = {
            "statement": made.statement,
            "code": _block(broken, numbered=True),
            "call": _call(made.name, arguments),
            "right": right,
            "wrong": wrong,
        }
        if fix:
            question, template = _ask("bug_fix", qa, line=mutation.line, **slots)
        else:
            question, template = _ask("bug_line", qa, **slots)
        trace = "\n".join(
            (
                f"The call {slots['call']} should give {right}, not {wrong}.",
                f"Line {mutation.line} reads `{mutation.changed.strip()}`: {KINDS[mutation.kind]}.",
                f"It must be `{mutation.original.strip()}`; then the result is {right}.",
            )
        )
        hidden = [[a, r] for a, r in tests]
        if fix:
            value: Any = {
                "form": "line",
                "source": broken,
                "line": mutation.line,
                "entry": made.name,
                "tests": hidden,
            }
            text = mutation.original.strip()
            answer, verifier = Answer(type="json", value=value), "exec"
        else:
            text = str(mutation.line)
            answer, verifier = Answer(type="number", value=mutation.line), "number"
        task = Task(
            task="code_repair" if fix else "code_bug_line",
            question=question,
            answer_text=text,
            answer=answer,
            verifier=verifier,
            trace=trace,
            template=template,
        )
        change = {
            "line": mutation.line,
            "kind": mutation.kind,
            "original": mutation.original,
            "changed": mutation.changed,
        }
        return _Made(task=task, gt={**_gt(made, tests), "mutation": change})

    def _fill(self, rng: random.Random, qa: random.Random) -> _Made:
        made, tests = self._tested(rng)
        lines = made.source.split("\n")
        gaps = []
        for number, line in enumerate(lines):
            hit = re.match(r"^(\s+(?:return |\w+ = |\w+ \+= |if |while ))(.+?)(:?)$", line)
            if hit and not hit[2].isdigit() and hit[2] not in ("[]", '""', "True", "False"):
                gaps.append((number, hit[1], hit[2], hit[3]))
        if not gaps:
            raise Reject("no_gap", made.name)
        number, head, missing, tail = rng.choice(gaps)
        lines[number] = f"{head}____{tail}"
        shown = "\n".join(lines)
        question, template = _ask("fill", qa, statement=made.statement, code=_block(shown))
        value = {
            "form": "gap",
            "source": shown,
            "entry": made.name,
            "tests": [[a, r] for a, r in tests],
        }
        arguments, result = tests[0]
        trace = "\n".join(
            (
                f"The function should do this: {made.statement}",
                f"Line {number + 1} needs an expression after `{head.strip()}`.",
                f"`{missing}` fits: then {_call(made.name, arguments)} returns {result}.",
            )
        )
        task = Task(
            task="code_fill",
            question=question,
            answer_text=missing,
            answer=Answer(type="json", value=value),
            verifier="exec",
            trace=trace,
            template=template,
        )
        return _Made(task=task, gt={**_gt(made, tests), "gap": {"line": number + 1}})

    def _write(self, rng: random.Random, qa: random.Random) -> _Made:
        made, tests = self._tested(rng)
        examples = "\n".join(f"{_call(made.name, a)} -> {r}" for a, r in tests[:2])
        head = made.source.split("\n")[0].removeprefix("def ").rstrip(":")
        question, template = _ask(
            "write", qa, head=head, statement=made.statement, examples=examples
        )
        value = {"form": "function", "entry": made.name, "tests": [[a, r] for a, r in tests]}
        return self._solution(made, tests, "code_write", (question, template), value, qa)

    def _program(self, rng: random.Random, qa: random.Random) -> _Made:
        made, tests = self._tested(rng)
        source = stdin_source(made)
        inputs = [stdin_of(made, arguments) for arguments, _ in tests]
        runs = self.sandbox.run_twice([Job(source=source, stdin=text) for text in inputs])
        if any(run.error for run in runs):
            raise Reject("error", f"{made.name}: {runs[0].error}")
        outputs = [run.stdout for run in runs]
        examples = "\n\n".join(
            f"Example input:\n{i.rstrip()}\nExample output:\n{o.rstrip()}"
            for i, o in zip(inputs[:2], outputs[:2], strict=True)
        )
        question, template = _ask(
            "program",
            qa,
            statement=made.statement.replace("Return", "Print").replace("return", "print"),
            input=_input_format(made),
            output=_output_format(made),
            constraints=_constraints(made),
            examples=examples,
        )
        pairs = [list(p) for p in zip(inputs, outputs, strict=True)]
        value = {"form": "program", "tests": pairs}
        return self._solution(
            made, tests, "code_program", (question, template), value, qa, source=source
        )

    def _cost(self, rng: random.Random, qa: random.Random) -> _Made:
        known = [p for p in PROBLEMS.values() if p.cost]
        made = rng.choice(known)
        others = rng.sample([c for c in _COSTS if c != made.cost], 3)
        shown = [*others]
        place = qa.randrange(4)
        shown.insert(place, made.cost)
        letter = letters(4)[place]
        question, template = _ask("cost", qa, code=_block(made.source), options=options_text(shown))
        task = Task(
            task="code_cost",
            question=question,
            answer_text=letter,
            answer=Answer(type="choice", value=letter),
            verifier="mcq",
            template=template,
        )
        return _Made(task=task, gt={"entry": made.name, "source": made.source, "cost": made.cost})

    # --- running --------------------------------------------------------------------------------

    def _solution(
        self,
        made: CodeProblem,
        tests: Sequence[tuple[str, str]],
        task: str,
        asked: tuple[str, str],
        value: dict[str, Any],
        qa: random.Random,
        *,
        source: str = "",
    ) -> _Made:
        """A task answered by a whole function or program."""
        text = f"```python\n{source or made.source}\n```"
        answer = Answer(type="json", value=value)
        if not program_passes(answer, text, self.sandbox):
            raise Reject("reference_fails", made.name)
        arguments, result = min(tests[:2], key=lambda t: len(t[0]))
        call = _call(made.name, arguments)
        run = self._traced(f"{made.source}\n\n\n{call}")
        trace = "\n".join(
            (
                qa.choice(SOLUTION_TRACES).format(statement=made.statement),
                f"I go through {call} with my function:",
                *explain(run.steps, qa)[:24],
                f"In the end it gives {result}, as it should.",
            )
        )
        found = Task(
            task=task,
            question=asked[0],
            answer_text=text,
            answer=answer,
            verifier="exec",
            trace=trace,
            template=asked[1],
        )
        return _Made(task=found, gt=_gt(made, tests))

    def _tested(self, rng: random.Random) -> tuple[CodeProblem, list[tuple[str, str]]]:
        """A problem with arguments and results of eight calls, all different."""
        made = PROBLEMS[rng.choice(sorted(PROBLEMS))]
        calls = sorted({repr(draw_arguments(made, rng)) for _ in range(_TESTS)})
        rng.shuffle(calls)
        job = Job(source=made.source, entry=made.name, calls=tuple(calls))
        run = self.sandbox.run_twice([job])[0]
        if run.error:
            raise Reject("error", f"{made.name}: {run.error}")
        return made, list(zip(calls, run.results, strict=True))

    def _traced(self, source: str) -> Outcome:
        """The run of a program without error and with a trace of readable length."""
        run = self.sandbox.run_twice([Job(source=source, trace=_TRACE_STEPS)])[0]
        if run.error:
            raise Reject("error", run.error)
        if any(len(v) > 80 for step in run.steps for v in step[3].values()):
            raise Reject("large_values", "a value is longer than 80 characters")
        return run


def _some_program(rng: random.Random) -> tuple[str, str]:
    """A program of the grammar, or a call of a problem's solution."""
    if rng.random() < 0.6:
        return random_program(rng), ""
    made = PROBLEMS[rng.choice(sorted(PROBLEMS))]
    call = _call(made.name, repr(draw_arguments(made, rng)))
    return f"{made.source}\n\n\nprint({call})", made.name


def _until(run: Outcome, line: int, times: int) -> list[Any]:
    """The steps up to and with the one after a line ran so often."""
    seen, kept = 0, []
    for index, step in enumerate(run.steps):
        kept.append(step)
        if step[2] == "line" and step[1] == line:
            seen += 1
            if seen == times:
                return [*kept, *run.steps[index + 1 : index + 2]]
    return kept


def _without_trace(task: Task) -> Task:
    return Task(
        task=f"{task.task}_direct",
        question=task.question,
        answer_text=task.answer_text,
        answer=task.answer,
        verifier=task.verifier,
        template=task.template,
    )


def _ask(kind: str, rng: random.Random, **slots: object) -> tuple[str, str]:
    index = rng.randrange(len(BANK[kind]))
    return BANK[kind][index].format(**slots), f"{kind}/{index}"


def _block(source: str, *, numbered: bool = False) -> str:
    if numbered:
        lines = source.split("\n")
        width = len(str(len(lines)))
        source = "\n".join(f"{i:>{width}}  {line}".rstrip() for i, line in enumerate(lines, 1))
    return f"```python\n{source}\n```"


def _call(entry: str, arguments: str) -> str:
    inner = arguments[1:-1].rstrip(",")
    return f"{entry}({inner})"


def _gt(made: CodeProblem, tests: Sequence[tuple[str, str]]) -> dict[str, Any]:
    return {
        "source": made.source,
        "entry": made.name,
        "tests": [{"args": a, "result": r, "hidden": i >= 2} for i, (a, r) in enumerate(tests)],
    }


_FORMATS = {
    "int": "the number {name} on a line",
    "ints": "the numbers of {name} on a line, separated by spaces",
    "str": "{name} on a line",
    "words": "the words of {name} on a line, separated by spaces",
    "grid": "the number of rows of {name} on a line, then the rows",
    "pairs": "the number of pairs of {name} on a line, then one pair a line",
}


def _input_format(made: CodeProblem) -> str:
    return "; ".join(_FORMATS[kind].format(name=name) for name, kind in made.parameters) + "."


def _output_format(made: CodeProblem) -> str:
    if made.result == "bool":
        return "True or False."
    if made.result.startswith("list"):
        return "the entries on one line, separated by spaces."
    return "the result on a line."


def _constraints(made: CodeProblem) -> str:
    parts = []
    for name, kind in made.parameters:
        domain = made.domains[name]
        numbers = re.findall(r"-?\d+\.\.-?\d+", domain)
        ranges = [tuple(n.split("..")) for n in numbers]
        if kind == "int":
            parts.append(f"{ranges[0][0]} <= {name} <= {ranges[0][1]}")
        elif kind in ("ints", "grid", "pairs"):
            parts.append(f"{ranges[-1][0]} <= every number of {name} <= {ranges[-1][1]}")
        else:
            parts.append(
                f"{name} has at most {ranges[0][1]} {'letters' if kind == 'str' else 'words'}"
            )
    return ", ".join(parts) + "."


def create(config: Mapping[str, Any]) -> CodeGenerator:
    """The generator from settings as a mapping.

    Raises:
        ConfigError: A setting is unknown or wrong.
    """
    return CodeGenerator(from_dict(CodeConfig, config, where="text-code"))
