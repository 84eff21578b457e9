"""The blind test: which kinds of questions are answered without looking at the picture.

Of every kind of question a fixed number is kept, chosen by a hash of the record so that neither
workers nor order matter; guessers, and a model where one is given, answer them without media.
Reported are kinds that are answered too often, and the share of all questions of every data set.
Kinds that words do not tell apart count as one, since whoever guesses sees words alone.
Must not read files.

Source: data synthesis specification, section 19 (blind test).
"""

from __future__ import annotations

import hashlib
import heapq
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nanovl.synth.quality.answers import answer_of, reference_of
from nanovl.synth.quality.config import Finding, QualityConfig
from nanovl.synth.quality.datasets import text_of
from nanovl.synth.quality.guesses import FOLDS, Asked, accepts, alike, guess_all, options_of

__all__ = ["AnswerBlind", "Blind", "BlindKind", "BlindShare", "judge"]

AnswerBlind = Callable[[Sequence[str]], Sequence[str]]
"""Answers questions without media, in order; "" where it has no answer."""

_LONGEST = 400  # characters of an answer that can be guessed
_QUESTION = 6000  # characters of a question that are looked at
_SIGMA = 3.0  # beyond chance
_MEDIA = frozenset(("image", "video", "audio"))

_Kept = tuple[int, str, Asked]


@dataclass(kw_only=True)
class Blind:
    """Questions of one data set.

    Attributes:
        keep: Most questions of a kind that are kept.
        totals: Kind -> questions about media that can be checked.
        long: Kind -> those of them whose answer is too long to be guessed.
    """

    keep: int
    totals: Counter[str] = field(default_factory=Counter)
    long: Counter[str] = field(default_factory=Counter)
    _kept: dict[str, list[_Kept]] = field(default_factory=dict)

    def add(self, record: Mapping[str, Any], source: str) -> None:
        """Count a record, and perhaps keep its question.

        Args:
            record: As on disk.
            source: Id of its sample or source; its questions are not guessed from each other.
        """
        found = answer_of(record)
        if found is None or found[1].type == "call" or not _shows(record):
            return
        verifier, answer = found
        kind = str(record.get("task", "")) or "question"
        if verifier == "mcq":
            kind = f"{kind} (options)"
        self.totals[kind] += 1
        said = reference_of(record, answer)
        if not said or len(said) > _LONGEST:
            self.long[kind] += 1
            return
        asked = Asked(
            question=_question(record),
            said=said,
            verifier=verifier,
            answer=answer,
            fold=_hash(source) % FOLDS,
        )
        name = str(record.get("id", ""))
        self._keep(kind, (-_hash(name + asked.question), name, asked))

    def _keep(self, kind: str, one: _Kept) -> None:
        kept = self._kept.setdefault(kind, [])
        if len(kept) < self.keep:
            heapq.heappush(kept, one)
        elif one[:2] > kept[0][:2]:
            heapq.heapreplace(kept, one)

    def merge(self, other: Blind) -> None:
        """Add the questions of another piece."""
        self.totals.update(other.totals)
        self.long.update(other.long)
        for kind, kept in other._kept.items():
            for one in kept:
                self._keep(kind, one)

    def kept(self, kind: str) -> list[Asked]:
        """The questions of a kind that were kept, in a fixed order."""
        return [one[2] for one in sorted(self._kept.get(kind, ()), key=lambda one: one[:2])]


@dataclass(frozen=True, kw_only=True)
class BlindKind:
    """What was guessed of one kind of question, or of several that are worded alike.

    Attributes:
        asked: Questions in the data set.
        tried: Of them, as many were guessed.
        right: Share that the best guesser answered rightly, of all that were asked.
        by: That guesser; "" when none was right.
        limit: Share above which the kind is reported.
    """

    asked: int
    tried: int
    right: float
    by: str
    limit: float


@dataclass(frozen=True, kw_only=True)
class BlindShare:
    """What was guessed of one data set.

    Attributes:
        asked: Questions about media that can be checked.
        right: Share answered rightly without media; every kind by the guesser best at it.
        kinds: By kind of question; names of kinds that are worded alike are joined by "+".
    """

    asked: int
    right: float
    kinds: dict[str, BlindKind]


def judge(
    blind: Blind, dataset: str, config: QualityConfig, ask: AnswerBlind | None = None
) -> tuple[BlindShare, list[Finding]]:
    """Guess the questions of a data set.

    Args:
        blind: Its questions.
        dataset: Name, for findings.
        config: Thresholds.
        ask: A model that answers without media, beside the guessers.

    Returns:
        The shares, and a finding for every kind that is answered too often.

    Raises:
        NanoVLError: The model cannot be asked.
    """
    kinds: dict[str, BlindKind] = {}
    found: list[Finding] = []
    for group in alike({kind: blind.kept(kind) for kind in blind.totals}):
        name = " + ".join(group)
        made = kinds[name] = _guessed(blind, group, config, ask)
        slack = _SIGMA * math.sqrt(made.right * (1 - made.right) / max(1, made.tried))
        if made.tried >= config.balance_least and made.right - slack > made.limit:
            told = f"{made.right:.1%} of {made.tried} right by {made.by}"
            message = f"{name}: {told}, expected {made.limit:.0%}"
            found.append(Finding(rule="blind_answer", dataset=dataset, message=message))
    total = sum(blind.totals.values())
    right_ones = sum(one.asked * one.right for one in kinds.values())
    return BlindShare(asked=total, right=right_ones / max(1, total), kinds=kinds), found


def _guessed(
    blind: Blind, group: Sequence[str], config: QualityConfig, ask: AnswerBlind | None
) -> BlindKind:
    kept = [(kind, one) for kind in group for one in blind.kept(kind)]
    asked = [one for _, one in kept]
    tried = Counter(kind for kind, _ in kept)
    # A question stands for as many as there are of its kind whose answer can be guessed.
    weights = [(blind.totals[kind] - blind.long[kind]) / tried[kind] for kind, _ in kept]
    answered = guess_all(asked)
    if ask is not None and asked:
        said = ask([one.question for one in asked])
        answered["model"] = [accepts(o, text) for o, text in zip(asked, said, strict=True)]
    total = sum(blind.totals[kind] for kind in group)
    shares = {
        name: sum(w for w, is_right in zip(weights, right, strict=True) if is_right) / total
        for name, right in answered.items()
    }
    by, right = max(shares.items(), key=lambda one: one[1])
    chance = _chance(asked)
    limit = config.blind if chance is None else chance + config.blind_options
    return BlindKind(asked=total, tried=len(kept), right=right, by=by if right else "", limit=limit)


def _chance(kept: Sequence[Asked]) -> float | None:
    """Of questions with options: the share a blind choice answers rightly."""
    if not kept or any(one.verifier != "mcq" for one in kept):
        return None
    return sum(1 / (len(options_of(one.question)) or 4) for one in kept) / len(kept)


def _shows(record: Mapping[str, Any]) -> bool:
    return any(isinstance(part, Mapping) and part.get("type") in _MEDIA for part in _parts(record))


def _parts(record: Mapping[str, Any]) -> Iterator[Any]:
    for message in record["messages"]:
        content = message.get("content") if isinstance(message, Mapping) else None
        yield from content if isinstance(content, list) else ()


def _question(record: Mapping[str, Any]) -> str:
    """All text before the last answer; the middle of a very long one is left out."""
    messages = list(record["messages"])
    while messages and messages[-1].get("role") != "assistant":
        messages.pop()
    texts = text_of({"messages": messages[:-1]}, "system", "user", "assistant", "tool")
    text = "\n".join(t.strip() for t in texts if t.strip())
    half = _QUESTION // 2
    return text if len(text) <= _QUESTION else f"{text[:half]}\n{text[-half:]}"


def _hash(text: str) -> int:
    data = text.encode("utf-8", "replace")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")
