"""Pairs of a reference and an answer, scored here and by published code.

A case yields at least 200 pairs; differences must be ones it explains. The cases are in
`agreement_choices`, `agreement_answers` and `agreement_maths`; `test_agreement` runs them.
"""

from __future__ import annotations

import copy
import importlib
import importlib.util
import os
import random
import re
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.unit.evals.scoring.rows import reference

Pair = tuple[Any, Any, Any]
"""What was compared, our score, theirs."""

TOYS = {"A": "teddy bear", "B": "rabbit", "C": "cat", "D": "dog"}
CASES: dict[str, tuple[Callable[[random.Random], Iterator[Pair]], Callable[[Any], bool]]] = {}


def case(name: str, explained: Callable[[Any], bool] = lambda shown: False) -> Any:
    """Register a generator of pairs; what is explained may differ."""

    def register(pairs: Callable[[random.Random], Iterator[Pair]]) -> Any:
        CASES[name] = (pairs, explained)
        return pairs

    return register


def frame(columns: dict[str, list[Any]]) -> Any:
    """A table as the harness loads it."""
    return pytest.importorskip("pandas", reason="the harness keeps tables in 'pandas'").DataFrame(
        columns
    )


def numpy() -> Any:
    return importlib.import_module("numpy")


def phrase(draw: random.Random, words: list[str], most: int, between: str = " ") -> str:
    return between.join(draw.choices(words, k=draw.randint(0, most)))


def near(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, list | tuple) and isinstance(theirs, list | tuple):
        return len(ours) == len(theirs) and all(map(near, ours, theirs))
    if isinstance(ours, float) or isinstance(theirs, float):
        return ours is not None and theirs is not None and abs(ours - float(theirs)) < 1e-9
    return bool(ours == theirs)


def choice_function(edition: str | None = None) -> Callable[..., Any]:
    logger = types.SimpleNamespace(info=lambda *a: None)
    given = {"cp": copy, "os": os, "logger": logger}
    names = ["can_infer", "can_infer_option", "can_infer_text"]
    return reference("vlmeval", "utils/matching_util.py", names, given, edition=edition)[
        "can_infer"
    ]


def says_the_answer_is(shown: tuple[str, Any]) -> bool:
    """The rule that later revisions of the kit have and the packaged ones do not."""
    return (
        re.search(r"(?:correct )?answer is\s*\*{0,2}\s*[A-D]", shown[0], re.IGNORECASE) is not None
    )
