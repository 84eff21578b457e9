"""Texts as numbers: what counts as the same, and how well similarity is estimated."""

from __future__ import annotations

import random

import numpy as np
import pytest

from nanovl.synth.quality.languages import detect, fits
from nanovl.synth.quality.texts import (
    bands,
    exact_digest,
    gram_hashes,
    leaves,
    signature,
    similarity,
    strings,
    words,
)

ENGLISH = (
    "The report was written by the members of the committee, who had been asked to look at all of "
    "the data that are available. It is not clear when they will have more of it, but there is "
    "some hope that this can be done by the end of the year."
)
GERMAN = (
    "Der Bericht wurde von den Mitgliedern des Ausschusses verfasst, die gebeten worden waren, "
    "sich alle Daten anzusehen. Es ist nicht klar, wann sie mehr davon haben werden, aber es gibt "
    "auch die Hoffnung, dass dies bis zum Ende des Jahres noch geschehen kann."
)
CODE = (
    "def total(a, e, i):\n    for x in range(e):\n        a[i] += x * (i - e)\n    return a[i]\n"
    * 5
)


def test_style_and_ids_do_not_count() -> None:
    one = {"text": "abc", "id": 3, "style": {"font": "a"}, "rows": [{"id": 1, "v": 2.5}]}
    other = {"rows": [{"v": 2.5, "id": 9}], "style": {}, "seed": 7, "text": "abc"}
    assert exact_digest(one, []) == exact_digest(other, [])
    assert exact_digest(one, []) != exact_digest({**one, "text": "abd"}, [])
    assert exact_digest(one, ["q"]) != exact_digest(one, [])


def test_texts_of_a_ground_truth() -> None:
    gt = {
        "pages": [{"text": "a b", "words": [{"text": "a"}], "bbox": [1, 2, 3, 4]}],
        "font": "Serif",
        "answer": 7,
        "ok": True,
    }
    assert list(strings(gt)) == ["a b"]
    assert list(leaves(gt)) == [7, "a b"]


def test_words_of_several_scripts() -> None:
    assert words("Don't STOP, 3.5 km_h!") == ["don", "t", "stop", "3", "5", "km", "h"]
    assert words("\u6771\u4eac tower") == ["\u6771", "\u4eac", "tower"]
    assert words("e\u0301tude") == words("\u00e9tude")


def test_grams_are_their_words_in_order() -> None:
    a = ["one", "two", "three", "four", "five", "six"]
    assert len(gram_hashes(a, 5)) == 2
    assert gram_hashes(a, 5)[1] == gram_hashes(a[1:], 5)[0]
    assert gram_hashes(a[:5], 5)[0] != gram_hashes(a[:5][::-1], 5)[0]
    assert gram_hashes(a[:5], 5)[0] != gram_hashes(a[:5] + a[:0], 4)[0]
    assert len(gram_hashes(a, 7)) == 0


@pytest.mark.parametrize("changed", [0, 2, 10, 40])
def test_similarity_is_close_to_jaccard(changed: int) -> None:
    rng = random.Random(changed)
    a = [str(rng.randrange(10**6)) for _ in range(400)]
    b = list(a)
    for place in rng.sample(range(400), changed):
        b[place] = "x" + b[place]
    shingles = [{tuple(t[k : k + 5]) for k in range(396)} for t in (a, b)]
    exact = len(shingles[0] & shingles[1]) / len(shingles[0] | shingles[1])
    first, second = signature(a), signature(b)
    assert first is not None
    assert second is not None
    assert similarity(first, second) == pytest.approx(exact, abs=0.14)
    if exact > 0.85:
        assert set(bands(first)) & set(bands(second))


def test_signatures_are_the_same_everywhere() -> None:
    sign = signature([f"w{k}" for k in range(50)])
    assert sign is not None
    assert sign.dtype == np.uint32
    assert sign[:4].tolist() == [833166, 49995601, 12847915, 4301622]
    assert signature(["a"] * 19) is None


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (ENGLISH, "en"),
        (GERMAN, "de"),
        (CODE, None),
        ("\u0422\u043e\u0432\u0430\u0440 " * 20, "ru"),
        ("\u6771\u4eac\u306e\u5929\u6c17\u306f" * 10, "ja"),
        ("\u4eca\u5929\u5929\u6c14\u5f88\u597d" * 10, "zh"),
        ("zork blit quav " * 20, None),
        ("the of", None),
    ],
)
def test_languages(text: str, language: str | None) -> None:
    assert detect(text) == language


def test_only_a_clear_contradiction_is_told() -> None:
    assert fits("en", ENGLISH) is None
    assert fits("en-GB", ENGLISH) is None
    assert fits("de", ENGLISH) == "en"
    assert fits("und", ENGLISH) is None
    assert fits("uk", "\u0422\u043e\u0432\u0430\u0440 " * 20) is None
    assert fits("eo", ENGLISH) is None  # not known here, so nothing can be said
