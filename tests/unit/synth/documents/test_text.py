"""Random text, cleaning, windows, markdown blocks."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from nanovl.core.errors import ConfigError, InputError
from nanovl.synth.documents.blocks import TextBlock, from_markdown
from nanovl.synth.documents.text import (
    Corpus,
    Mixture,
    clean,
    number,
    random_word,
    sentence,
    split_paragraphs,
)
from nanovl.synth.documents.words import WORDS


def test_cleaning_keeps_what_can_be_seen() -> None:
    assert clean("a\tb\u00a0c\u200b  d\r\n\n\n\ne\x07") == "a b c d\n\ne"
    assert clean("e\u0301") == "\u00e9"
    assert clean("\u0645\u06cc\u200c\u062e") == "\u0645\u06cc\u200c\u062e"  # changes the shape


def test_cleaning_keeps_the_indent_of_code() -> None:
    text = "x  y\n```\nif a:\n    b\n```\n  z"
    assert clean(text) == "x y\n```\nif a:\n    b\n```\nz"


def test_paragraphs_do_not_cut_code() -> None:
    text = "one\n\n```\na\n\nb\n```\n\ntwo"
    assert split_paragraphs(text) == ["one", "```\na\n\nb\n```", "two"]
    assert split_paragraphs("a\nb") == ["a", "b"]


def test_word_lengths_follow_the_gamma_law() -> None:
    rng = random.Random(1)
    lengths = [len(random_word(rng)) for _ in range(4000)]
    assert 4.0 < sum(lengths) / len(lengths) < 4.8
    assert max(lengths) <= 14


def test_words_stay_in_their_script() -> None:
    rng = random.Random(2)
    assert all("\u0430" <= c <= "\u044f" for c in random_word(rng, "cyrillic"))
    with pytest.raises(ConfigError, match="klingon"):
        random_word(rng, "klingon")


def test_mixtures_hold_their_probabilities() -> None:
    rng = random.Random(3)
    plain = Mixture(english=1.0).words(rng, 300)
    assert all(w.lower() in WORDS for w in plain)
    marked = Mixture(english=1.0, marks=1.0).words(rng, 200)
    assert all(not w.isalnum() for w in marked)
    numbers = Mixture(numbers=1.0).words(rng, 200)
    assert all(any(c.isdigit() for c in w) for w in numbers)
    assert {Mixture.draw(random.Random(n)).english for n in range(60)} >= {0.0, 1.0}


def test_numbers_have_no_blanks_and_sentences_end() -> None:
    rng = random.Random(4)
    assert not any(" " in number(rng) for _ in range(300))
    assert all(sentence(rng)[-1] in ".?!" and sentence(rng)[0].isupper() for _ in range(20))


def test_windows_are_bounded_and_cover_paragraphs(texts: Path) -> None:
    corpus = Corpus([texts], least=200, most=600)
    english = [w for w in corpus.windows if w.document == "a"]
    assert len(english) > 2
    assert all(200 <= len(w.text) <= 650 for w in english)
    assert all(w.title == "Mills" for w in english)
    assert corpus.dropped == {"missing_field": 1}
    assert Corpus([texts], least=200, most=600).windows == corpus.windows


def test_a_corpus_without_text_is_an_error(texts: Path) -> None:
    with pytest.raises(InputError, match="at least 5000 characters"):
        Corpus([texts], least=5000, most=6000)


def test_markdown_becomes_blocks() -> None:
    text = (
        "# Top\n\nA **bold** word and snake_case_name.\nSame paragraph.\n\n"
        "- one\n- two\n  - deep\n\n1. first\n\n```\nx = 1\n```\n\n## End"
    )
    blocks = from_markdown(text)
    kinds = [b.kind for b in blocks]
    # The last heading has no text: it was cut off and goes.
    assert kinds == ["title", "text", *["list_item"] * 4, "code"]
    body = blocks[1]
    assert isinstance(body, TextBlock)
    assert body.text == "A bold word and snake_case_name. Same paragraph."
    assert [r.text for r in body.runs if r.bold] == ["bold"]
    deep, numbered = blocks[4], blocks[5]
    assert isinstance(deep, TextBlock)
    assert isinstance(numbered, TextBlock)
    assert (deep.level, deep.marker) == (1, "-")
    assert numbered.marker == "1."


def test_lines_are_paragraphs_where_there_are_no_blank_lines() -> None:
    assert [b.kind for b in from_markdown("one\ntwo")] == ["text", "text"]
