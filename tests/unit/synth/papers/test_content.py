"""Words and formulas of papers: every language is whole, formulas can be told apart."""

from __future__ import annotations

import random
import re

import pytest

from nanovl.core.errors import ConfigError
from nanovl.synth.papers.formulas import (
    KINDS,
    draw_formula,
    inline,
    same_formula,
    tight,
    width_em,
)
from nanovl.synth.papers.prose import LANGUAGES, Markov, Writer, language


def test_every_language_has_the_same_lists() -> None:
    lists = {code: set(language(code)) - {"verb_second"} for code in LANGUAGES}
    assert all(found == lists["en"] for found in lists.values())
    for code in LANGUAGES:
        assert set(language(code)["kinds"]) == set(language("en")["kinds"])
        for pattern in language(code)["math_patterns"]:
            assert pattern.count("{m}") == 1


@pytest.mark.parametrize("code", LANGUAGES)
def test_sentences_are_whole_and_differ(code: str) -> None:
    writer = Writer(code, random.Random(1))
    sentences = [writer.sentence() for _ in range(200)]
    assert len(set(sentences)) > 150
    for text in sentences:
        assert text[0].isupper(), text
        assert "{" not in text
        assert "  " not in text
    ends = sum(text.endswith(".") for text in sentences)
    assert ends >= 195


def test_unknown_language_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        language("eo")


def test_markov_says_only_what_it_has_seen() -> None:
    model = Markov(["a b c.", "a b d."])
    said = {model.sentence(random.Random(k), least=1) for k in range(20)}
    assert said == {"a b c.", "a b d."}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("\\frac{a}b^2_i", "\\frac{a}{b}_i^2"),
        ("x_i'", "x'_{i}"),
        ("a \\leq b", "a\\le b"),
        ("\\left(a\\right)^2", "{\\left(a\\right)}^2"),
        ("\\begin{aligned} a & =b \\\\ & =c \\end{aligned}", "a =b \\\\ =c"),
    ],
)
def test_formulas_that_are_the_same(one: str, other: str) -> None:
    assert same_formula(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ab^2", "a^2b"),
        ("\\frac{ab}{c}", "\\frac{a}{bc}"),
        ("\\sqrt{a}b", "\\sqrt{ab}"),
        ("x_{ij}", "x_ij"),
        ("\\mathbf{x}", "x"),
        ("a<b", "a>b"),
    ],
)
def test_formulas_that_are_not(one: str, other: str) -> None:
    assert not same_formula(one, other)


def test_weight_can_be_left_out() -> None:
    assert same_formula("\\mathbf{x}_i", "\\boldsymbol{x}_i", any_weight=True)


def test_formulas_are_balanced_and_of_every_kind() -> None:
    rng = random.Random(4)
    seen = set()
    for _ in range(300):
        formula = draw_formula(rng, rng.randint(1, 4))
        seen.add(formula.kind)
        plain = re.sub(r"\\[{}]", "", formula.latex)
        assert plain.count("{") == plain.count("}")
        assert plain.count("\\left") == plain.count("\\right") or "arrow" in plain
        assert plain.count("\\begin") == plain.count("\\end")
        assert width_em(formula.latex) > 0.5
        assert same_formula(formula.latex, tight(formula.latex))
    assert seen == set(KINDS)
    assert all(width_em(inline(rng)) > 0 for _ in range(50))


def test_wider_formulas_are_wider() -> None:
    assert width_em("a+b+c") > width_em("a+b") > width_em("a^2")
    assert width_em("\\frac{a+b+c}{d}") == pytest.approx(width_em("a+b+c") + 0.3)
