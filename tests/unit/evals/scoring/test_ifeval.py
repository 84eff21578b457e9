"""IFEval's 25 instructions against the worked checks of the specification."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from nanovl.core.errors import InputError
from nanovl.evals.base import Response, Sample, Scored, Verdict
from nanovl.evals.scoring.ifeval import CHECKS, create_ifeval_strict, follows, loose_variants
from nanovl.evals.scoring.ifeval_checks_words import count_sentences, tokens

_MISSING = [
    name for name in ("langdetect", "nltk", "punkt") if importlib.util.find_spec(name) is None
]
needs_packages = pytest.mark.skipif(bool(_MISSING), reason=f"needs {_MISSING} (extra 'evals')")

FORM = "detectable_format:"
LENGTH = "length_constraints:"
KEYS = "keywords:"
AT_LEAST = "at least"
ENGLISH = "the quick brown fox jumps over the lazy dog and runs through the green forest again"
GERMAN = "Der schnelle braune Fuchs springt \u00fcber den faulen Hund und l\u00e4uft weiter."

CASES: list[tuple[str, dict[str, Any], str, bool]] = [
    ("punctuation:no_comma", {}, "Hello world.", True),
    ("punctuation:no_comma", {}, "Hello, world.", False),
    (LENGTH + "number_words", {"num_words": 3, "relation": AT_LEAST}, "one two three", True),
    (LENGTH + "number_words", {"num_words": 3, "relation": AT_LEAST}, "don't stop", True),
    (LENGTH + "number_words", {"num_words": 3, "relation": "less than"}, "don't stop", False),
    (KEYS + "existence", {"keywords": ["cat"]}, "The CATalog", True),
    (KEYS + "existence", {"keywords": ["cat", "dog"]}, "The CATalog", False),
    (
        KEYS + "frequency",
        {"keyword": "cat", "frequency": 3, "relation": AT_LEAST},
        "cat category concat",
        True,
    ),
    (
        KEYS + "frequency",
        {"keyword": "cat", "frequency": 3, "relation": "less than"},
        "cat category concat",
        False,
    ),
    (KEYS + "forbidden_words", {"forbidden_words": ["cat"]}, "category", True),
    (KEYS + "forbidden_words", {"forbidden_words": ["cat"]}, "a cat.", False),
    (
        KEYS + "letter_frequency",
        {"letter": "a", "let_frequency": 3, "let_relation": AT_LEAST},
        "Banana",
        True,
    ),
    (FORM + "number_bullet_lists", {"num_bullets": 3}, "* a\n* b\n- c", True),
    (FORM + "number_bullet_lists", {"num_bullets": 2}, "**bold**\n* a\n---", True),
    (FORM + "number_bullet_lists", {"num_bullets": 2}, "* a\n* b\n- c", False),
    (FORM + "number_highlighted_sections", {"num_highlights": 2}, "*a* and **b**", True),
    (FORM + "number_highlighted_sections", {"num_highlights": 1}, "**a**", True),
    (FORM + "number_highlighted_sections", {"num_highlights": 2}, "**a**", False),
    (
        FORM + "multiple_sections",
        {"section_spliter": "Section", "num_sections": 2},
        "Section 1\nx\nSection 2\ny",
        True,
    ),
    (
        FORM + "multiple_sections",
        {"section_spliter": "SECTION", "num_sections": 2},
        "SECTION 1\nx",
        False,
    ),
    (FORM + "json_format", {}, '```json\n{"a": 1}\n```', True),
    (FORM + "json_format", {}, 'text {"a":1}', False),
    (FORM + "title", {}, "<<Hi>>", True),
    (FORM + "title", {}, "<< >>", False),
    (LENGTH + "number_paragraphs", {"num_paragraphs": 2}, "a\n***\nb", True),
    (LENGTH + "number_paragraphs", {"num_paragraphs": 2}, "a\n\nb", False),
    (LENGTH + "number_paragraphs", {"num_paragraphs": 2}, "a\n***\n***\nb", False),
    (
        LENGTH + "nth_paragraph_first_word",
        {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "hello"},
        "One.\n\nHello, z",
        True,
    ),
    (
        LENGTH + "nth_paragraph_first_word",
        {"num_paragraphs": 3, "nth_paragraph": 2, "first_word": "hello"},
        "One.\n\nHello, z",
        False,
    ),
    ("detectable_content:postscript", {"postscript_marker": "P.S."}, "P.S. more", True),
    ("detectable_content:postscript", {"postscript_marker": "P.S."}, "PS more", False),
    ("detectable_content:postscript", {"postscript_marker": "P.P.S"}, "P. P. S more", True),
    ("detectable_content:number_placeholders", {"num_placeholders": 2}, "[a] to [b]", True),
    ("detectable_content:number_placeholders", {"num_placeholders": 3}, "[a] to [b]", False),
    (FORM + "constrained_response", {}, "Well. My answer is yes. ok", True),
    (FORM + "constrained_response", {}, "Yes.", False),
    ("startend:end_checker", {"end_phrase": "The end."}, 'So "the END."', True),
    ("startend:end_checker", {"end_phrase": "The end."}, "The end. Really", False),
    ("startend:quotation", {}, '"quoted"', True),
    ("startend:quotation", {}, "\u201cquoted\u201d", False),
    ("combination:two_responses", {}, "A******B", True),
    ("combination:two_responses", {}, "A******A", False),
    ("combination:two_responses", {}, "A****** ******B", False),
    ("combination:repeat_prompt", {"prompt_to_repeat": "Do THIS."}, "do this. Done", True),
    ("combination:repeat_prompt", {"prompt_to_repeat": "Do THIS."}, "Sure. do this.", False),
]
PACKAGE_CASES: list[tuple[str, dict[str, Any], str, bool]] = [
    ("change_case:english_lowercase", {}, ENGLISH, True),
    ("change_case:english_lowercase", {}, ENGLISH.capitalize(), False),
    ("change_case:english_capital", {}, ENGLISH.upper(), True),
    ("change_case:english_capital", {}, ENGLISH, False),
    ("language:response_language", {"language": "de"}, GERMAN, True),
    ("language:response_language", {"language": "en"}, GERMAN, False),
    ("language:response_language", {"language": "en"}, "1234", True),
    (LENGTH + "number_sentences", {"num_sentences": 2, "relation": AT_LEAST}, "A b. C d.", True),
    (
        LENGTH + "number_sentences",
        {"num_sentences": 2, "relation": "less than"},
        "Dr. Smith went home.",
        True,
    ),
    (
        "change_case:capital_word_frequency",
        {"capital_frequency": 2, "capital_relation": AT_LEAST},
        "The USA and the EU.",
        True,
    ),
    (
        "change_case:capital_word_frequency",
        {"capital_frequency": 2, "capital_relation": "less than"},
        "The USA and the EU.",
        False,
    ),
]


def test_all_25_instructions_are_checked() -> None:
    assert len(CHECKS) == 25
    assert {case[0] for case in CASES + PACKAGE_CASES} == set(CHECKS)


@pytest.mark.parametrize(("instruction", "arguments", "text", "followed"), CASES)
def test_checks(instruction: str, arguments: dict[str, Any], text: str, followed: bool) -> None:
    assert follows([text], instruction, arguments, "") is followed


@needs_packages
@pytest.mark.parametrize(("instruction", "arguments", "text", "followed"), PACKAGE_CASES)
def test_checks_with_packages(
    instruction: str, arguments: dict[str, Any], text: str, followed: bool
) -> None:
    assert follows([text], instruction, arguments, "") is followed


@needs_packages
def test_punkt_knows_abbreviations_and_treebank_splits_contractions() -> None:
    assert count_sentences("Mr. Fox met Dr. Owl at 3 p.m. in the wood. They ate. Why?") == 3
    assert tokens("It's U.S.A. time. GO!") == ["It", "'s", "U.S.A.", "time", ".", "GO", "!"]


def test_loose_variants() -> None:
    assert loose_variants("a\n*b*\nc") == [
        "a\n*b*\nc",
        "*b*\nc",
        "a\n*b*",
        "*b*",
        "a\nb\nc",
        "b\nc",
        "a\nb",
        "b",
    ]


def _sample(names: list[str], kwargs: list[dict[str, Any]]) -> Sample:
    meta = {"instruction_id_list": names, "kwargs": kwargs}
    return Sample(id="1", question="Do it.", answer=None, meta=meta)


def test_loose_accepts_what_a_cut_line_repairs() -> None:
    sample = _sample(["punctuation:no_comma"], [{"num_words": None}])
    verdict = create_ifeval_strict().score(sample, Response(text="Sure, here:\nNo commas."))
    assert verdict.value == 0.0
    assert verdict.detail["strict"] == [False]
    assert verdict.detail["loose"] == [True]


def test_perfect_and_empty() -> None:
    sample = _sample(["punctuation:no_comma", FORM + "title"], [{}, {}])
    metric = create_ifeval_strict()
    assert metric.score(sample, Response(text="<<Hi>> there")).value == 1.0
    empty = metric.score(sample, Response(text=" \n"))
    assert empty.value == 0.0
    assert empty.detail["loose"] == [False, False]


def test_aggregation_worked_in_the_specification() -> None:
    strict = [[True, True], [True, False, False], [False]]
    loose = [[True, True], [True, True, False], [True]]
    scored = []
    for hits, relaxed in zip(strict, loose, strict=True):
        names = ["punctuation:no_comma"] * len(hits)
        detail = {"instructions": names, "strict": hits, "loose": relaxed}
        scored.append(
            Scored(
                sample=_sample(names, [{}] * len(hits)),
                response=Response(text=""),
                verdict=Verdict(value=float(all(hits)), detail=detail),
            )
        )
    result = create_ifeval_strict().aggregate(scored)
    assert result.score == pytest.approx(33.33, abs=0.01)
    assert result.parts["instruction_strict"] == pytest.approx(50.0)
    assert result.parts["prompt_loose"] == pytest.approx(66.67, abs=0.01)
    assert result.parts["instruction_loose"] == pytest.approx(83.33, abs=0.01)
    with pytest.raises(InputError, match="no responses"):
        create_ifeval_strict().aggregate([])


def test_damaged_samples_are_named() -> None:
    metric = create_ifeval_strict()
    with pytest.raises(InputError, match="unknown instruction 'a:b'"):
        metric.score(_sample(["a:b"], [{}]), Response(text="x"))
    with pytest.raises(InputError, match="1 instructions but 0"):
        metric.score(_sample([FORM + "title"], []), Response(text="x"))
    with pytest.raises(InputError, match="cannot be checked"):
        metric.score(_sample([KEYS + "existence"], [{}]), Response(text="x"))


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=80))
def test_any_text_gives_a_verdict(text: str) -> None:
    for instruction, arguments, _, _ in CASES:
        assert follows([text], instruction, arguments, "p") in (True, False)
