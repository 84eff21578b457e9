"""Samples, responses and judges for the tests of metrics."""

from __future__ import annotations

import ast
import importlib.util
import re
import string
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from nanovl.evals.base import Level, Metric, Response, Sample, Scored, Verdict


class Judge:
    """Answers with the given replies in turn, then with none; remembers what it was asked."""

    def __init__(self, *replies: str | None) -> None:
        self.replies = list(replies)
        self.asked: list[str] = []

    def ask(self, prompt: str) -> str | None:
        """The next reply."""
        self.asked.append(prompt)
        return self.replies.pop(0) if self.replies else None


def sample(answer: Any, /, *, id: str = "0", **facts: Any) -> Sample:
    """A sample; facts that are no attribute of it become columns."""
    own = ("question", "options", "media", "hint", "group", "category", "meta")
    meta = {**facts.get("meta", {}), **{k: v for k, v in facts.items() if k not in own}}
    given = {key: facts[key] for key in own if key in facts}
    return Sample(id=id, answer=answer, **{"question": "?", **given, "meta": meta})


def scored(
    metric: Metric,
    answer: Any,
    text: str,
    /,
    *,
    level: Level = "rules",
    judge: Judge | None = None,
    run: int = 0,
    reasoning: str = "",
    **facts: Any,
) -> Scored:
    """One row with its verdict."""
    asked = sample(answer, **facts)
    response = Response(text=text, run=run, reasoning=reasoning)
    verdict = metric.score(asked, response, level=level, judge=judge)
    return Scored(sample=asked, response=response, verdict=verdict)


def judged(value: float | None, extracted: Any = None, **facts: Any) -> Scored:
    """One row with a verdict made up."""
    return Scored(
        sample=sample(facts.pop("answer", ""), **facts),
        response=Response(text=""),
        verdict=Verdict(value=value, extracted=extracted),
    )


def value(metric: Metric, answer: Any, text: str, **facts: Any) -> float | None:
    """The value of one verdict."""
    return scored(metric, answer, text, **facts).verdict.value


def installed(package: str, edition: str | None = None) -> Path:
    """Folder of an installed package, which is not imported.

    Args:
        package: Import name; the test is skipped when it is not installed.
        edition: Of VLMEvalKit, whose editions score differently: "newer" or "older"; the test is
            skipped when the other one is installed.
    """
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        pytest.skip(f"compares with '{package}', which is not installed")
    folder = Path(next(iter(found.submodule_search_locations)))
    if edition not in (None, "newer" if (folder / "constant.py").is_file() else "older"):
        pytest.skip(f"compares with the {edition} edition of '{package}'; the other is installed")
    return folder


def reference(
    package: str,
    path: str,
    names: Sequence[str],
    given: Mapping[str, Any] | None = None,
    *,
    edition: str | None = None,
) -> Any:
    """Functions and classes of a module of an installed package, without importing the package.

    The packages compared with import half the world; the few functions needed here do not.

    Args:
        package: See `installed`.
        path: Of the module, below the package.
        names: Functions and classes, each usable with what is given and the other names; methods
            count as functions, and of several of one name the last is taken.
        given: What they find in their module.
        edition: See `installed`.
    """
    folder = installed(package, edition)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # their escapes
        warnings.simplefilter("ignore", DeprecationWarning)  # the same before Python 3.12
        tree = ast.parse((folder / path).read_text(encoding="utf-8"))
        kept = [
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name in names
        ]
        assert {node.name for node in kept} == set(names), f"{folder / path} has changed"
        for node in kept:
            node.decorator_list = []
        body = ast.Module(body=list(kept), type_ignores=[])
        # Their annotations name what is not there.
        flags = annotations.compiler_flag
        code = compile(body, str(folder / path), "exec", flags=flags, dont_inherit=True)
    space: dict[str, Any] = {"re": re, "string": string, **(given or {})}
    exec(code, space)
    return space
