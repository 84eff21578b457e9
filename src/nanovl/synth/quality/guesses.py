"""Answers questions without their pictures: from the answers other questions of the kind have.

Five small guessers, each learning on some questions and guessing others: one answer for all, one
per wording, the answers of questions with the same words, what stands in the question itself, and
the option that looks right. A question is never guessed from its own sample. Must not know data
sets or rules.

Source: data synthesis specification, section 19 (blind test).
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from zlib import crc32

import numpy as np

from nanovl.core.errors import NanoVLError
from nanovl.synth.base import Answer
from nanovl.synth.verify import PASS_MARK, TEXT_MARK, is_right

__all__ = [
    "FOLDS",
    "GUESSERS",
    "Asked",
    "accepts",
    "alike",
    "guess_all",
    "options_of",
    "skeleton",
]

FOLDS = 5
_CANDIDATES = 12  # answers tried as the one for all
_TRIED = 60  # questions each of them is tried on
_LEAST = 3  # times an answer, or a place of it, must be seen to be learned
_COMPARED = 24  # questions of a kind that are compared with those of others
_ALIKE = 0.2  # of them, as many must be most like one of another kind
_BUCKETS = 2048  # of word pairs
_NEIGHBOURS = 9
_SLACK = 0.15  # of the quick comparison, for punctuation and blanks
_OPTION = re.compile(r"^\(?([A-J])[.):]\s+(.+)$", re.M)
_WORD = re.compile(r"[^\W_]+|[^\w\s]")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A question, without what is shown with it.

    Attributes:
        question: All text before the answer.
        said: The reference answer as text; "" when it is too long to be guessed.
        verifier, answer: How an answer is judged.
        fold: Part of the questions, 0 to `FOLDS` - 1; the same for all of a sample.
        judged: Answers that were judged before.
    """

    question: str
    said: str
    verifier: str
    answer: Answer
    fold: int
    judged: dict[str, bool] = field(default_factory=dict, compare=False, repr=False)


Guesser = Callable[[Sequence[Asked], Sequence[Asked]], list[str]]
"""Learns from the first questions and guesses the others; "" is no guess."""


def accepts(asked: Asked, said: str) -> bool:
    """Whether a text is a right answer; one the verifier cannot judge is none."""
    if not said or not asked.said:
        return False
    known = asked.judged.get(said)
    if known is None:
        known = asked.judged[said] = _may_match(asked, said) and _judged(asked, said)
    return known


def _judged(asked: Asked, said: str) -> bool:
    try:
        return is_right(asked.verifier, asked.answer, said)
    except (NanoVLError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return False


def _may_match(asked: Asked, said: str) -> bool:
    """False when too few letters are the same for texts that are compared by their distance."""
    least = {"anls": PASS_MARK, "edit_distance": TEXT_MARK}.get(asked.verifier)
    if least is None or not isinstance(asked.answer.value, str):
        return True
    a, b = (Counter(text.casefold().split()) for text in (asked.answer.value, said))
    if asked.verifier == "anls" or min(a.total(), b.total()) < _LEAST:
        a, b = (Counter("".join(text.split()).casefold()) for text in (asked.answer.value, said))
        return (a & b).total() >= (least - _SLACK) * max(a.total(), b.total())
    # Transcriptions that are right share far more than half of their words.
    return (a & b).total() >= 0.3 * max(a.total(), b.total())


def skeleton(question: str) -> str:
    """A question without its numbers and quotations."""
    text = re.sub(r"\"[^\"]*\"|'[^']*'|<ref>.*?</ref>", "_", question)
    return " ".join(re.sub(r"\d+(?:[.,:]\d+)*", "#", text).casefold().split())


def options_of(question: str) -> dict[str, str]:
    """The options of a question by letter; empty when it has none.

    Letters must begin with A and leave none out.
    """
    found = {letter: text.strip() for letter, text in _OPTION.findall(question)}
    letters = [chr(ord("A") + k) for k in range(len(found))]
    return found if len(found) > 1 and sorted(found) == letters else {}


def guess_all(asked: Sequence[Asked]) -> dict[str, list[bool]]:
    """Which questions every guesser answers rightly, learning from other samples alone.

    Args:
        asked: Questions of one kind.

    Returns:
        Name of the guesser -> one value per question, in order.
    """
    found = {name: [False] * len(asked) for name in GUESSERS}
    for fold in range(FOLDS):
        held = [k for k, one in enumerate(asked) if one.fold == fold]
        known = [one for one in asked if one.fold != fold and one.said]
        if not held or not known:
            continue
        for name, guesser in GUESSERS.items():
            said = guesser(known, [asked[k] for k in held])
            for k, text in zip(held, said, strict=True):
                found[name][k] = accepts(asked[k], text)
    return found


def alike(kinds: Mapping[str, Sequence[Asked]]) -> list[list[str]]:
    """Kinds of questions that cannot be told apart by their words, together.

    A question about something that is not there is one of these: who does not see the picture knows
    no more than that its kind was asked.

    Args:
        kinds: Kind -> some of its questions.

    Returns:
        Names of kinds, every one in one group.
    """
    pool = [(kind, one) for kind, asked in sorted(kinds.items()) for one in asked[:_COMPARED]]
    together = {kind: {kind} for kind in kinds}
    if pool:
        rows = _scaled(_vectors([skeleton(one.question) for _, one in pool]))
        near = rows @ rows.T
        np.fill_diagonal(near, -1)
        nearest = (pool[int(k)][0] for k in near.argmax(axis=1))
        pairs = Counter((kind, other) for (kind, _), other in zip(pool, nearest, strict=True))
        sizes = Counter(kind for kind, _ in pool)
        for (a, b), count in sorted(pairs.items()):
            if a != b and count >= max(2, _ALIKE * sizes[a]) and together[a] is not together[b]:
                together[a] |= together[b]
                for kind in together[b]:
                    together[kind] = together[a]
    return sorted({tuple(sorted(group)): sorted(group) for group in together.values()}.values())


# -- The guessers --------------------------------------------------------------------------------


def _constant(known: Sequence[Asked], unknown: Sequence[Asked]) -> list[str]:
    """The answer that is right most often."""
    return [_best(known)] * len(unknown)


def _wording(known: Sequence[Asked], unknown: Sequence[Asked]) -> list[str]:
    """The commonest answer after the same words, numbers aside."""
    groups: dict[str, Counter[str]] = defaultdict(Counter)
    for one in known:
        for words in _wordings(one.question):
            groups[words][one.said] += 1
    best = {}
    for key, counts in groups.items():
        said, count = max(counts.items(), key=lambda one: (one[1], one[0]))
        if count >= _LEAST:
            best[key] = said
    otherwise = _best(known)
    return [
        next((best[words] for words in _wordings(one.question) if words in best), otherwise)
        for one in unknown
    ]


def _ngrams(known: Sequence[Asked], unknown: Sequence[Asked]) -> list[str]:
    """What questions with the same words and pairs of words have for an answer, by weight."""
    rows = _vectors([one.question for one in known])
    weights = np.log((1 + len(known)) / (1 + (rows > 0).sum(axis=0))) + 1
    near = _scaled(_vectors([o.question for o in unknown]) * weights) @ _scaled(rows * weights).T
    said = []
    for row in near:
        votes: Counter[str] = Counter()
        for k in np.argsort(-row, kind="stable")[:_NEIGHBOURS]:
            votes[known[k].said] += float(row[k]) ** 2  # type: ignore[assignment]
        said.append(max(votes, key=lambda text: (votes[text], text)))
    return said


def _copied(known: Sequence[Asked], unknown: Sequence[Asked]) -> list[str]:
    """Words of the question that stand between the same two words as answers did before."""
    seen: Counter[tuple[str, str]] = Counter()
    for one in known:
        words, answer = _words(one.question), _words(one.said.rstrip("."))
        for k in range(len(words) - len(answer) + 1):
            if answer and [w.casefold() for w in words[k : k + len(answer)]] == [
                w.casefold() for w in answer
            ]:
                seen[_around(words, k, k + len(answer))] += 1
    frames = [frame for frame, count in seen.most_common(20) if count >= _LEAST]
    return [next(_between(_words(one.question), frames), "") for one in unknown]


def _option(known: Sequence[Asked], unknown: Sequence[Asked]) -> list[str]:
    """The letter of the option with the marks right ones have: place, length, size, words."""
    right: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for one in known:
        for letter, marks in _marked(options_of(one.question)).items():
            (right if accepts(one, letter) else wrong).update(marks)
    totals = (sum(right.values()) + 1, sum(wrong.values()) + 1)

    def weight(marks: Sequence[str]) -> float:
        odds = (
            math.log((right[m] + 1) / totals[0]) - math.log((wrong[m] + 1) / totals[1])
            for m in marks
        )
        return sum(odds) / max(1, len(marks))

    said = []
    for one in unknown:
        found = _marked(options_of(one.question))
        said.append(max(found, key=lambda k: (weight(found[k]), k)) if found else "")
    return said


GUESSERS: Mapping[str, Guesser] = {
    "constant": _constant,
    "wording": _wording,
    "ngrams": _ngrams,
    "copied": _copied,
    "option": _option,
}
"""Name -> guesser."""


# -- What they look at ---------------------------------------------------------------------------


def _best(known: Sequence[Asked]) -> str:
    """The answer most questions accept; with tolerances and boxes not always the commonest."""
    counts = Counter(one.said for one in known)
    common = [said for said, _ in counts.most_common(_CANDIDATES // 2)]
    numbers = sorted(known, key=lambda one: (_value(one), one.said))
    spread = [numbers[len(numbers) * k // 7].said for k in range(1, 7)]
    tried = known[:: max(1, len(known) // _TRIED)]
    if len(counts) == 1:
        return common[0]
    right = {said: sum(accepts(one, said) for one in tried) for said in [*common, *spread]}
    return max(right, key=lambda said: (right[said], counts[said], said))


def _value(one: Asked) -> float:
    value = one.answer.value
    return float(value) if isinstance(value, int | float) else 0.0


def _wordings(question: str) -> tuple[str, str]:
    """The whole question and how it begins."""
    whole = skeleton(question)
    return whole, " ".join(whole.split()[:4])


def _words(text: str) -> list[str]:
    return _WORD.findall(text)


def _vectors(texts: Sequence[str]) -> np.ndarray:
    """Words and pairs of words that are there, hashed into buckets."""
    rows = np.zeros((len(texts), _BUCKETS), np.float32)
    for row, text in zip(rows, texts, strict=True):
        row[list(_buckets(text))] = 1
    return rows


@lru_cache(maxsize=1024)  # the questions of a kind, again for every part that is guessed
def _buckets(text: str) -> tuple[int, ...]:
    words = [w.casefold() for w in _words(text)[:200]]
    grams = [*words, *(f"{a} {b}" for a, b in pairwise(words))]
    return tuple(crc32(gram.encode("utf-8", "replace")) % _BUCKETS for gram in grams)


def _scaled(rows: np.ndarray) -> np.ndarray:
    scaled: np.ndarray = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    return scaled


def _around(words: Sequence[str], start: int, stop: int) -> tuple[str, str]:
    before = words[start - 1].casefold() if start else ""
    return before, words[stop].casefold() if stop < len(words) else ""


def _between(words: Sequence[str], frames: Sequence[tuple[str, str]]) -> Iterator[str]:
    low = ["", *(w.casefold() for w in words), ""]
    for before, after in frames:
        for start in (k for k, word in enumerate(low) if word == before):
            stop = next((k for k in range(start + 2, len(low)) if low[k] == after), 0)
            if stop:
                yield " ".join(words[start : stop - 1])


def _marked(options: Mapping[str, str]) -> dict[str, list[str]]:
    """Marks of every option: its letter, its rank in length and in size, its words."""
    by_length = sorted(options, key=lambda letter: (len(options[letter]), letter))
    sizes = {k: float(m[0]) for k, text in options.items() if (m := re.search(r"\d+\.?\d*", text))}
    by_size = sorted(sizes, key=lambda letter: (sizes[letter], letter))
    return {
        letter: [
            f"is {letter}",
            f"length {by_length.index(letter)}",
            *([f"size {by_size.index(letter)}"] if letter in sizes else []),
            *(f"word {w.casefold()}" for w in _words(text)[:8]),
        ]
        for letter, text in options.items()
    }
