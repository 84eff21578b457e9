"""Texts of pages: worked values with and without synonyms, agreement with NLTK."""

from __future__ import annotations

import logging
import random
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from nanovl.core.errors import BackendError
from nanovl.evals.scoring import page_text, wordnet
from nanovl.evals.scoring.page_text import Meteor, bleu, page_scores, words
from nanovl.evals.scoring.wordnet import WordNet
from tests.unit.evals.scoring.test_wordnet import write_copy

nltk = pytest.importorskip("nltk", reason="needs the extra 'evals'")
pytest.importorskip("rapidfuzz", reason="needs the extra 'evals'")

MAT = "the cat sat on the mat"
BARE = Meteor.create("exact+stem")


@pytest.fixture
def no_wordnet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A machine without the files; the folder is looked in."""
    import nltk.data

    monkeypatch.setattr(wordnet, "_SYSTEM", tmp_path)
    monkeypatch.setattr(nltk.data, "path", [])
    page_text._wordnet.cache_clear()
    yield tmp_path
    page_text._wordnet.cache_clear()


@pytest.mark.parametrize(
    ("truth", "prediction", "expected"),
    [
        (MAT, MAT, 0.999421),
        (MAT, "the cat sat on a mat", 0.763336),
        (MAT, "cats sit on mats", 0.245211),
        ("goodbye now", "hello", 0.045455),
    ],
)
def test_worked_values(truth: str, prediction: str, expected: float) -> None:
    assert page_scores(truth, prediction, BARE).mean == pytest.approx(expected, abs=5e-7)


def test_worked_parts() -> None:
    assert page_scores(MAT, MAT, BARE).meteor == pytest.approx(0.997685, abs=5e-7)
    parts = page_scores(MAT, "the cat sat on a mat", BARE)
    assert parts.bleu == pytest.approx(0.537285, abs=5e-7)
    assert parts.meteor == pytest.approx(0.743333, abs=5e-7)
    assert parts.f_measure == pytest.approx(0.909091, abs=5e-7)
    assert 1 - parts.edit_similarity == pytest.approx(0.136364, abs=5e-7)


def test_chinese() -> None:
    pytest.importorskip("jieba", reason="needs the extra 'evals'")
    truth, prediction = "\u4f60\u597d\uff0c\u4e16\u754c", "\u4f60\u597d\u4e16\u754c"
    assert page_scores(truth, prediction, BARE).mean == pytest.approx(0.486207, abs=5e-7)
    # One Chinese character on either side is enough.
    assert words("a b", "\u4f60\u597d") == [["a", " ", "b"], ["\u4f60\u597d"]]


def test_nothing_said_or_nothing_to_say() -> None:
    assert page_scores(MAT, "", BARE).mean == 0.0
    assert page_scores(MAT, "   ", BARE).meteor == 0.0
    assert page_scores("", MAT, BARE).mean == 0.0


def test_synonyms_count_only_with_wordnet(tmp_path: Path) -> None:
    full = Meteor("wordnet", WordNet(write_copy(tmp_path)))
    assert full(["the", "car"], ["the", "auto"]) > BARE(["the", "car"], ["the", "auto"])
    assert full(["the", "cars"], ["the", "car"]) == BARE(["the", "cars"], ["the", "car"])


def test_missing_wordnet_is_said(no_wordnet: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(BackendError, match=r"WordNet 3\.0 were not found in .*wordnet-base"):
        Meteor.create("wordnet")
    with caplog.at_level(logging.WARNING):
        assert Meteor.create().name == "exact+stem"
    assert str(no_wordnet) in caplog.text
    assert "METEOR (exact+stem)" in caplog.text


def test_wordnet_is_used_where_it_is(no_wordnet: Path) -> None:
    write_copy(no_wordnet)
    assert Meteor.create().name == "wordnet"
    assert Meteor.create("exact+stem").name == "exact+stem"


@pytest.mark.parametrize(
    ("truth", "prediction", "expected"),
    [
        ("a b c d", "a b c d", 1.0),
        ("a b c", "a b c", 0.0),
        ("a b c d e", "a b c d", 0.778801),
        ("a b c d", "", 0.0),
        ("", "a", 0.0),
    ],
)
def test_bleu(truth: str, prediction: str, expected: float) -> None:
    assert bleu(truth.split(), prediction.split()) == pytest.approx(expected, abs=5e-7)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60), st.text(max_size=60))
def test_any_text(truth: str, prediction: str) -> None:
    scores = page_scores(truth, prediction, BARE)
    assert 0.0 <= scores.mean <= 1.0


def test_agrees_with_nltk() -> None:
    from nltk.metrics import f_measure
    from nltk.translate import bleu as their_bleu

    vocabulary = [
        *MAT.split(),
        "mats",
        "rug",
        "car",
        "big",
        "large",
        "quickly",
        "walked",
        "walking",
    ]
    source = random.Random(2)
    for _ in range(300):
        a = [source.choice(vocabulary) for _ in range(source.randint(0, 12))]
        b = [source.choice(vocabulary) for _ in range(source.randint(1, 12))]
        truth, prediction = " ".join(a), " ".join(b)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = [
                their_bleu([a], b),
                f_measure(set(a), set(b)) or 0.0,
                nltk.edit_distance(prediction, truth) / max(len(truth), len(prediction)),
            ]
        got = page_scores(truth, prediction, BARE)
        assert [got.bleu, got.f_measure, 1 - got.edit_similarity] == pytest.approx(expected)
