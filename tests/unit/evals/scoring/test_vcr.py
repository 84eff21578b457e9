"""Covered text: worked values, refusals, averages, agreement."""

from __future__ import annotations

import random
import sys
from difflib import SequenceMatcher

import pytest
from hypothesis import given, settings, strategies as st

from nanovl.core.errors import BackendError, InputError
from nanovl.evals.scoring import vcr
from nanovl.evals.scoring.vcr import best_window, create_vcr, match, refuses
from tests.unit.evals.scoring.rows import reference, scored, value

CAPITAL = "is the capital of France"
CUP = "won the 1998 World Cup"


@pytest.fixture(scope="module")
def rules() -> None:
    """spaCy's rules, or no test."""
    pytest.importorskip("spacy", reason="needs the package 'spacy' of the extra 'evals'")


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    vcr._tokenizer.cache_clear()
    monkeypatch.setitem(sys.modules, "spacy", None)
    with pytest.raises(BackendError, match=r"'spacy', which is not installed.*nanovl\[evals\]"):
        value(create_vcr(), [CAPITAL], "It is")


@pytest.mark.usefixtures("rules")
@pytest.mark.parametrize(
    ("needle", "reply", "exact", "jaccard"),
    [
        (CAPITAL, "Paris is the capital of France.", 1, 1.0),
        (CAPITAL, "is the Capital of France", 0, 0.666667),
        (CAPITAL, "Paris is capital of France and more", 0, 0.666667),
        (CAPITAL, "nothing in common", 0, 0.0),
        (CAPITAL, "capital", 0, 0.0),
        (CUP, "They won the 1997 World Cup in France", 0, 0.666667),
        ("a b b c", "a a b c", 0, 1.0),
        (CAPITAL, f'"{CAPITAL}"', 1, 1.0),
        ("", CAPITAL, 0, 0.0),
        (CAPITAL, "", 0, 0.0),
    ],
)
def test_worked_values(needle: str, reply: str, exact: int, jaccard: float) -> None:
    assert match(needle, reply) == pytest.approx((exact, jaccard), abs=5e-7)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (f"I am sorry, the text is: {CAPITAL}", True),
        ("SORRY", True),
        ("I can't see", True),
        ("I cannot see", True),
        ("\u62b1\u6b49", True),
        ("it can't be", False),
        ("", False),
    ],
)
def test_refusals(reply: str, expected: bool) -> None:
    assert refuses(reply) is expected


@pytest.mark.usefixtures("rules")
def test_most_alike_run_of_words() -> None:
    assert best_window("the red fox", "the big dog saw the red fix") == ("the", "red", "fix")
    assert best_window("the red fox", "a dog") == ()


@pytest.mark.usefixtures("rules")
def test_averages_are_over_covered_texts() -> None:
    metric = create_vcr()
    rows = [
        scored(metric, [CAPITAL, CUP, CUP], f"Assistant: {CUP} Assistant: Paris {CAPITAL}."),
        scored(metric, f"[{CAPITAL!r}]", f"Sorry: {CAPITAL}"),
    ]
    assert [row.verdict.value for row in rows] == [pytest.approx(1 / 3), 0.0]
    result = metric.aggregate(rows)
    assert result.score == result.parts["em"] == 0.25
    # "the" is shared: one of nine different words.
    assert result.parts["jaccard"] == pytest.approx((1 + 2 / 9) / 4)
    assert result.parts["blanks"] == 4
    assert result.parts["refused"] == 0.5
    with pytest.raises(InputError, match="no reference answer"):
        value(metric, [], "x")


@pytest.mark.usefixtures("rules")
@settings(max_examples=100, deadline=None)
@given(st.text(max_size=30), st.text(max_size=60))
def test_any_text(needle: str, reply: str) -> None:
    exact, jaccard = match(needle, reply)
    assert exact in (0.0, 1.0)
    assert exact <= jaccard <= 1.0


@pytest.mark.usefixtures("rules")
def test_agrees_with_the_published_search() -> None:
    ngrams = pytest.importorskip("nltk.util", reason="needs the extra 'evals'").ngrams

    class NoRouge:
        def compute(self, **_: object) -> dict[str, float]:
            return {"rouge1": 0.0}

    published = reference(
        "lmms_eval",
        "tasks/vcr_wiki/utils.py",
        ["fast_filter", "vcr_process_results_single"],
        {
            "SM": SequenceMatcher,
            "ngrams": ngrams,
            "tokenize": lambda text, language: vcr._words(text),
            "partial": lambda function, **_: function,
            "rouge": NoRouge(),
        },
    )["vcr_process_results_single"]
    vocabulary = ["the", "The", "cat", "cats", "won't", "1,998", "U.S.", "sat.", "(mat)", "a-b"]
    source = random.Random(4)
    for _ in range(300):
        needle, reply = (
            " ".join(source.choice(vocabulary) for _ in range(source.randint(1, most)))
            for most in (5, 14)
        )
        expected = published(needle, reply, "en")
        got = match(needle, reply)
        assert got == pytest.approx((expected["exact_match"], expected["jaccard"])), (needle, reply)
