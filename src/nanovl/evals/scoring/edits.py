"""Edit distances: characters and words wrong, and how alike two texts are.

Whole numbers come from one fast Levenshtein library; every other module here that compares texts
by edits asks this one. It must not know any benchmark.

Source: evaluation specification, section 8 (edit distance); the distance is that of Levenshtein
(1966).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from nanovl.core.errors import ConfigError, InputError, missing_extra
from nanovl.evals.base import Judge, Level, Response, Result, Sample, Scored, Verdict
from nanovl.evals.scoring.tally import require

__all__ = [
    "PROFILES",
    "ErrorRate",
    "cer",
    "check_profile",
    "create_cer",
    "create_wer",
    "distance",
    "distances",
    "similarity",
    "wer",
]

PROFILES = ("default", "vk", "legacy")
"""Compatibility profiles of section 12 of the specification."""


def check_profile(profile: str, metric: str) -> None:
    """Refuse a profile that does not exist.

    Raises:
        ConfigError: It is not one of `PROFILES`.
    """
    if profile not in PROFILES:
        raise ConfigError(
            f"metric '{metric}': unknown profile '{profile}'; "
            f"expected one of {', '.join(PROFILES)}. Choose one of these"
        )


def distance(a: Sequence[Hashable], b: Sequence[Hashable]) -> int:
    """Levenshtein distance: the fewest single insertions, deletions and changes.

    Args:
        a, b: Texts, or sequences of words.

    Raises:
        BackendError: The package rapidfuzz is missing.
    """
    return int(_levenshtein().distance(a, b))


def similarity(a: Sequence[Hashable], b: Sequence[Hashable]) -> float:
    """1 less the distance over the longer length; 1 for two empty texts."""
    longest = max(len(a), len(b))
    return 1.0 if longest == 0 else 1.0 - distance(a, b) / longest


def distances(a: Sequence[str], b: Sequence[str]) -> Any:
    """Distances of every text of one list to every text of another.

    Returns:
        Array of int64, one row per text of `a` and one column per text of `b`.
    """
    import numpy as np

    scorer = _levenshtein().distance
    from rapidfuzz.process import cdist

    if not a or not b:
        return np.zeros((len(a), len(b)), dtype=np.int64)
    return cdist(a, b, scorer=scorer, dtype=np.int64)


def cer(truth: str, prediction: str) -> float:
    """Character error rate: edits over characters of the truth, from 0, with no upper limit.

    Texts are compared as given. An empty truth counts as one character long.
    """
    return distance(truth, prediction) / max(1, len(truth))


def wer(truth: str, prediction: str) -> float:
    """Word error rate: edited words over words of the truth, from 0, with no upper limit.

    Words are what white space separates. An empty truth counts as one word long.
    """
    words = truth.split()
    return distance(words, prediction.split()) / max(1, len(words))


@dataclass(frozen=True)
class ErrorRate:
    """Characters or words wrong: **lower is better**, 0 is perfect.

    Unicode is composed (NFC) and white space collapsed before comparing; nothing else is changed.
    The number of many responses is all edits over the length of all truths.

    Attributes:
        name: "cer" or "wer".
    """

    name: str

    def score(
        self,
        sample: Sample,
        response: Response,
        *,
        level: Level = "rules",
        judge: Judge | None = None,
    ) -> Verdict:
        """Error rate of one response; of several references the nearest counts.

        Raises:
            InputError: The sample has no reference text.
        """
        truths = [sample.answer] if isinstance(sample.answer, str) else sample.answer
        if not isinstance(truths, list | tuple) or not truths:
            raise InputError(
                f"sample '{sample.id}': metric '{self.name}' found no reference text; got "
                f"{sample.answer!r}, expected a string or a list of strings"
            )
        given = self._units(response.text)
        found = [(distance(units, given), units) for units in map(self._units, map(str, truths))]
        edits, truth = min(found, key=lambda pair: pair[0] / max(1, len(pair[1])))
        length = max(1, len(truth))
        return Verdict(
            value=edits / length, extracted=response.text, detail={"edits": edits, "length": length}
        )

    def aggregate(self, scored: Sequence[Scored]) -> Result:
        """All edits over the length of all truths.

        Raises:
            InputError: There are no samples.
        """
        require(scored, self.name)
        edits = sum(item.verdict.detail["edits"] for item in scored)
        length = sum(item.verdict.detail["length"] for item in scored)
        rates = [item.verdict.detail["edits"] / item.verdict.detail["length"] for item in scored]
        return Result(
            score=edits / length,
            num_samples=len(scored),
            parts={"mean_of_samples": sum(rates) / len(rates), "edits": edits, "length": length},
        )

    def _units(self, text: str) -> Sequence[str]:
        words = unicodedata.normalize("NFC", text).split()
        return words if self.name == "wer" else " ".join(words)


def create_cer(profile: str = "default") -> ErrorRate:
    """Character error rate; the same in all profiles."""
    check_profile(profile, "cer")
    return ErrorRate("cer")


def create_wer(profile: str = "default") -> ErrorRate:
    """Word error rate; the same in all profiles."""
    check_profile(profile, "wer")
    return ErrorRate("wer")


def _levenshtein() -> Any:
    try:
        from rapidfuzz.distance import Levenshtein
    except ImportError as error:
        raise missing_extra("rapidfuzz", "evals", "comparing texts by edits") from error
    return Levenshtein
