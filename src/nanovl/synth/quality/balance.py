"""Counts that say whether answers and wordings of a data set are spread as they should be.

Memory is bounded: wordings and kinds of questions are few, distinct answers are counted up to a
number from which they are spread enough.

Source: data synthesis specification, sections 17.1 and 19 (balance).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from nanovl.synth.base import Answer
from nanovl.synth.quality.config import Finding, QualityConfig

__all__ = ["Balance"]

_DISTINCT = 2000  # answers of one kind of question that are told apart
_WORDINGS = 20_000
_SIGMA = 3.0  # beyond chance
_SHOWN = 3


@dataclass(kw_only=True)
class Balance:
    """Counts of one data set.

    Attributes:
        tasks: Questions in all.
        templates: By kind of question and wording.
        said_yes: By kind of question: answers of yes, and of both.
        letters: Right options.
        answers: By kind of question.
    """

    tasks: int = 0
    templates: Counter[str] = field(default_factory=Counter)
    said_yes: dict[str, tuple[int, int]] = field(default_factory=dict)
    letters: Counter[str] = field(default_factory=Counter)
    answers: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, task: str, template: str, verifier: str, answer: Answer, text: str) -> None:
        """Count one question."""
        self.tasks += 1
        if template and len(self.templates) < _WORDINGS:
            self.templates[f"{task}: {template}"] += 1
        word = text.strip().rstrip(".").casefold()
        if answer.type == "bool" or word in ("yes", "no"):
            yes, both = self.said_yes.get(task, (0, 0))
            is_yes = answer.value is True or word == "yes"
            self.said_yes[task] = (yes + is_yes, both + 1)
        elif verifier == "mcq" and isinstance(answer.value, str):
            self.letters[answer.value] += 1
        else:
            seen = self.answers.setdefault(task, Counter())
            if word in seen or len(seen) < _DISTINCT:
                seen[word[:80]] += 1

    def merge(self, other: Balance) -> None:
        """Add the counts of another piece."""
        self.tasks += other.tasks
        self.templates.update(other.templates)
        self.letters.update(other.letters)
        for task, (yes, both) in other.said_yes.items():
            before = self.said_yes.get(task, (0, 0))
            self.said_yes[task] = (before[0] + yes, before[1] + both)
        for task, counts in other.answers.items():
            self.answers.setdefault(task, Counter()).update(counts)

    def findings(self, dataset: str, config: QualityConfig) -> Iterator[Finding]:
        """What is not spread as it should be, beyond chance."""

        def finding(rule: str, message: str) -> Finding:
            return Finding(rule=rule, dataset=dataset, message=message)

        if self.tasks < config.balance_least:
            return
        limit = config.template_share
        slack = _SIGMA * math.sqrt(limit * (1 - limit) / self.tasks)
        many = [(n, name) for name, n in self.templates.items() if n / self.tasks > limit + slack]
        for count, name in sorted(many, key=lambda one: (-one[0], one[1])):
            yield finding("template_share", f"{name}: {count / self.tasks:.1%} of the questions")
        for task, (yes, both) in sorted(self.said_yes.items()):
            slack = _SIGMA * 0.5 / math.sqrt(both)
            share = yes / both
            if both >= config.balance_least and not (
                config.yes_low - slack <= share <= config.yes_high + slack
            ):
                yield finding("yes_no_band", f"{task}: {share:.1%} yes of {both}")
        yield from (finding("mcq_position", text) for text in self._uneven(config))
        for task, counts in sorted(self.answers.items()):
            total = sum(counts.values())
            entropy = -sum(n / total * math.log2(n / total) for n in counts.values())
            if total >= config.balance_least and entropy < config.entropy_bits:
                often = ", ".join(repr(word) for word, _ in counts.most_common(_SHOWN))
                yield finding("answer_entropy", f"{task}: {entropy:.2f} bits, mostly {often}")

    def _uneven(self, config: QualityConfig) -> Iterator[str]:
        """Chi-square of the letters against an even spread, beyond three standard deviations."""
        total = sum(self.letters.values())
        if total < config.balance_least:
            return
        options = max(4, *(ord(letter[0]) - ord("A") + 1 for letter in self.letters))
        expected = total / options
        shown = [self.letters.get(chr(ord("A") + k), 0) for k in range(options)]
        statistic = sum((n - expected) ** 2 / expected for n in shown)
        freedom = options - 1
        if statistic > freedom + _SIGMA * math.sqrt(2 * freedom):
            spread = ", ".join(f"{chr(ord('A') + k)} {n}" for k, n in enumerate(shown))
            yield f"{spread}: chi-square {statistic:.1f} with {freedom} degrees of freedom"
