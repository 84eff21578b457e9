"""How often something much like a text was seen before, in the order texts come.

Must not decide what happens to repetitions.

Source: data synthesis specification, section 19 (near duplicates by MinHash).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nanovl.synth.quality.texts import bands, signature, similarity, words

__all__ = ["NearIndex", "near_question", "number_marks"]

_NUMBER = re.compile(r"\d+")
_NEAR_WORDS, _NEAR_WORDS_SAME_ANSWER = 0.8, 0.6
_LEAST_CHARS = 24  # a shorter question has too few pieces to compare by


def number_marks(text: str) -> tuple[str, ...]:
    """Numbers of a text in order: what tells two alike questions apart."""
    return tuple(_NUMBER.findall(text))


def near_question(first: str, second: str, *, same_answer: bool = False) -> bool:
    """Whether two questions about one document ask the same in nearly the same words.

    Args:
        first, second: The questions.
        same_answer: Whether both have one answer; then fewer words have to be shared.
    """
    if number_marks(first) != number_marks(second):
        return False
    a, b = set(words(first)), set(words(second))
    least = _NEAR_WORDS_SAME_ANSWER if same_answer else _NEAR_WORDS
    return bool(a and b) and len(a & b) / len(a | b) >= least


class NearIndex:
    """Counts texts that are alike.

    Args:
        least: Similarity (Jaccard of 5-token runs) from which on two texts are one.
    """

    def __init__(self, least: float) -> None:
        self._least = least
        self._exact: dict[bytes, int] = {}
        self._bands: dict[int, list[int]] = {}
        self._signs: list[npt.NDArray[np.uint32]] = []
        self._groups: list[int] = []
        self._counts: list[int] = []

    def document(self, text: str) -> int:
        """How many earlier texts are nearly this one; it is remembered."""
        tokens = words(text)
        return self._seen(" ".join(tokens), tokens, 20)

    def pair(self, question: str, answer: str) -> int:
        """The same for a question with its answer; questions with other numbers are others."""
        text = " ".join(words(f"{question} = {answer}"))
        marks = " ".join(number_marks(text))
        return self._seen(text, [f"{c}{marks}" for c in text], _LEAST_CHARS)

    def _seen(self, text: str, tokens: Sequence[str], least: int) -> int:
        key = hashlib.sha256(text.encode("utf-8", "replace")).digest()
        group = self._exact.get(key)
        sign = signature(tokens, least=least) if group is None else None
        if sign is not None:
            group = self._nearest(sign)
        if group is None:
            group = len(self._counts)
            self._counts.append(0)
        self._exact.setdefault(key, group)
        if sign is not None:
            place = len(self._signs)
            self._signs.append(sign)
            self._groups.append(group)
            for band in bands(sign):
                self._bands.setdefault(band, []).append(place)
        before = self._counts[group]
        self._counts[group] += 1
        return before

    def _nearest(self, sign: npt.NDArray[np.uint32]) -> int | None:
        tried: set[int] = set()
        for band in bands(sign):
            for place in self._bands.get(band, ()):
                if place not in tried:
                    tried.add(place)
                    if similarity(sign, self._signs[place]) >= self._least:
                        return self._groups[place]
        return None
