"""How alike the text of two pages is: words, their order, and characters, in one number.

The number is the mean of BLEU-4, METEOR, the F-measure of the sets of words, and the share of
characters that are right. METEOR matches synonyms too, which needs the files of WordNet; without
them it can only match equal words and equal stems. That is another number, has another name
(`exact+stem`), and is said in every verdict.

Source: evaluation specification, section 6.10 (page OCR) and 8; BLEU: Papineni et al. (2002);
METEOR: Lavie and Agarwal (2007), as NLTK computes it.
"""

from __future__ import annotations

import logging
import math
import re
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from types import SimpleNamespace
from typing import Any, Literal

from nanovl.core.errors import BackendError, missing_extra
from nanovl.evals.scoring.edits import distance
from nanovl.evals.scoring.wordnet import Synset, WordNet, places

__all__ = ["Meteor", "PageScores", "bleu", "page_scores", "words"]

log = logging.getLogger(__name__)

_CHINESE = re.compile("[\u4e00-\u9fa5]")


@dataclass(frozen=True)
class PageScores:
    """What the number of a page is the mean of, each from 0 to 1."""

    bleu: float
    meteor: float
    f_measure: float
    edit_similarity: float

    @property
    def mean(self) -> float:
        """The number of the page."""
        return (self.bleu + self.meteor + self.f_measure + self.edit_similarity) / 4


class _NoSynonyms:
    def synsets(self, word: str) -> Sequence[Synset]:
        return ()


@dataclass(frozen=True)
class Meteor:
    """METEOR with or without synonyms; see `create`.

    Attributes:
        name: "wordnet" (the published metric) or "exact+stem".
        thesaurus: What gives the synonyms of a word.
    """

    name: Literal["wordnet", "exact+stem"]
    thesaurus: WordNet | _NoSynonyms

    @classmethod
    def create(cls, which: Literal["auto", "wordnet", "exact+stem"] = "auto") -> Meteor:
        """Find WordNet and make the metric.

        Args:
            which: "wordnet" insists on synonyms; "auto" does without them if the files are
                missing, and says so in the log.

        Raises:
            BackendError: The package nltk is missing, or WordNet is insisted on and missing.
        """
        _nltk_meteor()
        thesaurus = None if which == "exact+stem" else _wordnet()
        if thesaurus is not None:
            return cls("wordnet", thesaurus)
        if which != "exact+stem":
            missing = (
                "the files of WordNet 3.0 were not found in "
                + ", ".join(map(str, places()))
                + "; METEOR cannot match synonyms without them. "
                "Install them (Debian: apt install wordnet-base)"
            )
            if which == "wordnet":
                raise BackendError(missing)
            log.warning("%s; page texts are scored by METEOR (exact+stem), which is lower", missing)
        return cls("exact+stem", _NoSynonyms())

    def __call__(self, truth: Sequence[str], prediction: Sequence[str]) -> float:
        """METEOR of two lists of words."""
        return float(_nltk_meteor()(truth, prediction, stemmer=_stemmer(), wordnet=self.thesaurus))


def words(*texts: str) -> list[list[str]]:
    """Words of texts that are compared with each other.

    Chinese is cut by a dictionary if any of the texts has a Chinese character; otherwise words
    are what white space separates.

    Raises:
        BackendError: The package jieba is missing and there is Chinese.
    """
    if any(map(_CHINESE.search, texts)):
        cut = _chinese_words()
        return [cut(text) for text in texts]
    return [text.split() for text in texts]


def bleu(truth: Sequence[str], prediction: Sequence[str]) -> float:
    """BLEU of up to four words, unsmoothed: 0 if no four words in a row are right."""
    if not prediction:
        return 0.0
    logs = 0.0
    for n in range(1, 5):
        given, right = _grams(prediction, n), _grams(truth, n)
        hits = sum((given & right).values())
        if hits == 0:
            return 0.0
        logs += math.log(hits / sum(given.values())) / 4
    brevity = min(0.0, 1 - len(truth) / len(prediction))
    return math.exp(brevity + logs)


def page_scores(truth: str, prediction: str, meteor: Meteor) -> PageScores:
    """Compare a page with its reference; all 0 for an empty reply.

    Raises:
        BackendError: A package is missing.
    """
    if not prediction:
        return PageScores(0.0, 0.0, 0.0, 0.0)
    right, given = words(truth, prediction)
    sets = set(right), set(given)
    shared = len(sets[0] & sets[1])
    return PageScores(
        bleu=bleu(right, given),
        meteor=meteor(right, given),
        f_measure=2 * shared / (len(sets[0]) + len(sets[1])) if shared else 0.0,
        edit_similarity=1 - distance(truth, prediction) / max(len(truth), len(prediction)),
    )


def _grams(items: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(items[i : i + n]) for i in range(len(items) - n + 1))


def _nltk_meteor() -> Any:
    try:
        from nltk.translate.meteor_score import single_meteor_score
    except ImportError as error:
        raise missing_extra("nltk", "evals", "METEOR") from error
    return single_meteor_score


@cache
def _wordnet() -> WordNet | None:
    return WordNet.find()


@cache
def _stemmer() -> Any:
    from nltk.stem.porter import PorterStemmer

    return SimpleNamespace(stem=lru_cache(maxsize=100_000)(PorterStemmer().stem))


@cache
def _chinese_words() -> Any:
    try:
        with warnings.catch_warnings():
            # The package warns about its own old syntax when it is compiled.
            warnings.simplefilter("ignore")
            import jieba
    except ImportError as error:
        raise missing_extra("jieba", "evals", "cutting Chinese into words") from error
    jieba.setLogLevel(logging.WARNING)
    return jieba.lcut
