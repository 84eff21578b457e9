"""VCR: restoring text that is half covered in a picture; exact matches and shared words.

For each covered text, the reply is searched for the run of words that is most like it. Words are
those of spaCy's English rules.

Source: evaluation specification, section 6.22.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache
from typing import Any

from nanovl.core.errors import missing_extra
from nanovl.evals.base import Judge, Level, Response, Result, Sample, Scored, Verdict
from nanovl.evals.scoring.edits import check_profile
from nanovl.evals.scoring.literals import answer_list
from nanovl.evals.scoring.tally import require

__all__ = ["CoveredText", "best_window", "create_vcr", "match", "refuses"]

_SPEAKER = "Assistant: "
_REFUSALS = ("I can't", "I cannot", "\u65e0\u6cd5", "\u62b1\u6b49")


def refuses(reply: str) -> bool:
    """Whether a reply has a phrase of refusal; "sorry" in any case counts."""
    return "sorry" in reply.lower() or any(phrase in reply for phrase in _REFUSALS)


def best_window(needle: str, hay: str) -> tuple[str, ...]:
    """The run of words of a reply that is most like a text, with as many words as it has.

    Only runs that share a word are looked at; the first of equally good ones counts.

    Returns:
        Words; none when no run shares one, or when the reply is shorter.

    Raises:
        BackendError: The package spaCy is missing.
    """
    return _best(needle, _words(needle), _words(hay))


def match(needle: str, hay: str) -> tuple[float, float]:
    """Exact match (0 or 1) and Jaccard index of one covered text."""
    wanted = _words(needle)
    found = _best(needle, wanted, _words(hay))
    if not found:
        return 0.0, 0.0
    sets = set(found), set(wanted)
    return float(list(found) == wanted), len(sets[0] & sets[1]) / len(sets[0] | sets[1])


@dataclass(frozen=True)
class CoveredText:
    """Exact match over all covered texts of all samples; the Jaccard index beside it.

    Attributes:
        name: As in the benchmark list.
    """

    name: str = "vcr"

    def score(
        self,
        sample: Sample,
        response: Response,
        *,
        level: Level = "rules",
        judge: Judge | None = None,
    ) -> Verdict:
        """Share of the covered texts of a sample that are exactly right.

        Raises:
            BackendError: The package spaCy is missing.
            InputError: The sample has no covered texts.
        """
        needles = [str(text) for text in answer_list(sample.answer, sample.id)]
        reply = response.text.rpartition(_SPEAKER)[2]
        if refuses(reply):
            pairs = [(0.0, 0.0)] * len(needles)
        else:
            pairs = [match(needle, reply) for needle in needles]
        exact, jaccard = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        return Verdict(
            value=sum(exact) / len(exact),
            extracted=reply,
            detail={"exact": exact, "jaccard": jaccard, "refused": refuses(reply)},
        )

    def aggregate(self, scored: Sequence[Scored]) -> Result:
        """Means over all covered texts, however many a sample has.

        Raises:
            InputError: There are no samples.
        """
        require(scored, self.name)
        exact, jaccard = (
            [value for item in scored for value in item.verdict.detail[name]]
            for name in ("exact", "jaccard")
        )
        em = sum(exact) / len(exact)
        refused = sum(item.verdict.detail["refused"] for item in scored) / len(scored)
        return Result(
            score=em,
            num_samples=len(scored),
            parts={
                "em": em,
                "jaccard": sum(jaccard) / len(jaccard),
                "blanks": len(exact),
                "refused": refused,
            },
        )


def create_vcr(profile: str = "default") -> CoveredText:
    """Exact match and Jaccard index of covered texts; the same in all profiles."""
    check_profile(profile, "vcr")
    return CoveredText()


@cache
def _tokenizer() -> Any:
    try:
        import spacy
    except ImportError as error:
        raise missing_extra("spacy", "evals", "cutting English into words (VCR)") from error
    return spacy.blank("en").tokenizer


def _words(text: str) -> list[str]:
    return [token.text for token in _tokenizer()(text)]


def _best(needle: str, wanted: Sequence[str], words: Sequence[str]) -> tuple[str, ...]:
    n = len(wanted)
    vocabulary = set(wanted)
    best: tuple[str, ...] = ()
    likeness = 0.0
    for start in range(len(words) - n + 1) if n else ():
        window = tuple(words[start : start + n])
        if vocabulary.isdisjoint(window):
            continue
        ratio = SequenceMatcher(None, " ".join(window), needle).ratio()
        if ratio > likeness:
            best, likeness = window, ratio
    return best
