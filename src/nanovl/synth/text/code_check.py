"""Checks answers that are code: runs them against hidden tests in the sandbox (verifier "exec").

The value of such an answer says its form: "call" (any arguments with the right result), "line" (a
replaced line), "gap" (a filled gap), "function" or "program" (standard input and output).

Source: data synthesis specification, sections 2.5 and 14.
"""

from __future__ import annotations

import ast
import re
from typing import Any

from nanovl.core.errors import ConfigError
from nanovl.synth.base import Answer, Reject
from nanovl.synth.text.algorithms import CodeProblem
from nanovl.synth.text.sandbox import Job, Limits, Sandbox

__all__ = ["exec_score", "program_passes", "stdin_of", "stdin_source"]

_READERS = {
    "int": "{name} = int(input())",
    "ints": "{name} = list(map(int, input().split()))",
    "str": "{name} = input()",
    "words": "{name} = input().split()",
    "grid": "{name} = [list(map(int, input().split())) for _ in range(int(input()))]",
    "pairs": "{name} = [list(map(int, input().split())) for _ in range(int(input()))]",
}


def stdin_source(made: CodeProblem) -> str:
    """A reference solution as a program that reads standard input and prints its result."""
    names = [name for name, _ in made.parameters]
    lines = [made.source, "", ""]
    lines += [_READERS[kind].format(name=name) for name, kind in made.parameters]
    call = f"{made.name}({', '.join(names)})"
    lines.append(f"print(*{call})" if made.result.startswith("list") else f"print({call})")
    return "\n".join(lines)


def stdin_of(made: CodeProblem, arguments: str) -> str:
    """Arguments in the input format of the problem.

    Args:
        made: The problem.
        arguments: A tuple as Python writes it.
    """
    values = ast.literal_eval(arguments)
    lines: list[str] = []
    for (_, kind), value in zip(made.parameters, values, strict=True):
        if kind in ("grid", "pairs"):
            lines.append(str(len(value)))
            lines += [" ".join(map(str, row)) for row in value]
        elif kind in ("ints", "words"):
            lines.append(" ".join(map(str, value)))
        else:
            lines.append(str(value))
    return "\n".join(lines) + "\n"


def _code_of(text: str) -> str:
    """The last fenced block, or the whole text."""
    blocks: list[str] = re.findall(r"```(?:python)?\n(.*?)```", text, re.S)
    return blocks[-1].rstrip("\n") if blocks else text.strip("\n")


def _completed(value: dict[str, Any], code: str) -> str:
    """The program that results from a replaced line or a filled gap."""
    if value["form"] == "gap":
        return str(value["source"]).replace("____", code.strip())
    lines = str(value["source"]).split("\n")
    old = lines[value["line"] - 1]
    indent = old[: len(old) - len(old.lstrip())]
    lines[value["line"] - 1] = indent + code.strip()
    return "\n".join(lines)


def program_passes(answer: Answer, text: str, sandbox: Sandbox) -> bool:
    """Whether an answer passes all tests of the task.

    Args:
        answer: Its value holds the form and the tests.
        text: What was answered, with or without a fenced block.
        sandbox: Where it runs.

    Raises:
        ConfigError: The value has no known form.
    """
    value = answer.value
    code = _code_of(text)
    if value["form"] == "call":
        hit = re.fullmatch(rf"{value['entry']}\((.*)\)", code.strip(), re.S)
        if hit is None:
            return False
        tests = [[f"({hit[1]},)", value["result"]]]
        source = value["source"]
    elif value["form"] in ("line", "gap", "function"):
        tests = value["tests"]
        source = code if value["form"] == "function" else _completed(value, code)
    elif value["form"] == "program":
        jobs = [Job(source=code, stdin=given) for given, _ in value["tests"]]
        expected = [wanted.split() for _, wanted in value["tests"]]
        try:
            runs = sandbox.run(jobs)
        except Reject:
            return False
        return all(
            not run.error and run.stdout.split() == wanted
            for run, wanted in zip(runs, expected, strict=True)
        )
    else:
        raise ConfigError(f"exec answer of form {value['form']!r}: not known")
    job = Job(source=source, entry=value["entry"], calls=tuple(a for a, _ in tests))
    try:
        run = sandbox.run([job])[0]
    except Reject:
        return False
    return not run.error and list(run.results) == [r for _, r in tests]


def exec_score(answer: Answer, text: str) -> float:
    """1 or 0; starts a sandbox of its own, for checking single answers."""
    sandbox = Sandbox(Limits())
    try:
        return float(program_passes(answer, text, sandbox))
    finally:
        sandbox.close()
