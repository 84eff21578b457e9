"""Questions answered by yes or no: `pope_f1` and `hallusion`.

Holds the reading of an answer and the two benchmarks' totals. An answer that says both words, or
neither, is Unknown; it is never guessed.

Source: evaluation specification, sections 6.4, 6.5 and 12.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nanovl.core.errors import InputError
from nanovl.evals.base import Judge, Level, Metric, Response, Result, Sample, Scored, Verdict
from nanovl.evals.scoring.edits import check_profile
from nanovl.evals.scoring.judging import Prompt, consult
from nanovl.evals.scoring.tally import decision_shares, mean_result, require, values
from nanovl.evals.scoring.text import strip_markup, strip_punctuation

__all__ = [
    "UNKNOWN",
    "Hallusion",
    "PopeF1",
    "YesNo",
    "create_hallusion",
    "create_pope_f1",
    "yes_or_no",
]

UNKNOWN = "Unknown"
_INDEX_FIELDS = 6

_PROMPT = Prompt(
    name="yes_no",
    text=(
        "Below are a yes-or-no question and the reply somebody gave to it. Say whether the reply "
        "means yes or no. Judge only what the reply says, not whether it is right.\n\n"
        "Question: {question}\n"
        "Reply: {reply}\n\n"
        "Write one word and nothing else: Yes, No, or Unknown if the reply means neither."
    ),
    reminder="Your last reply was not one of the three words. Write Yes, No or Unknown only.",
)


def yes_or_no(text: str, profile: str = "default") -> str:
    """ "Yes", "No" or "Unknown", by the words of an answer.

    Args:
        text: The answer.
        profile: Outside "default", Markdown emphasis hides the word it surrounds.
    """
    said = strip_markup(text) if profile == "default" else text
    words = strip_punctuation(said.lower(), legacy=profile == "legacy").split()
    yes, no = "yes" in words, "no" in words
    if yes == no:
        return UNKNOWN
    return "Yes" if yes else "No"


@dataclass(frozen=True)
class YesNo:
    """Scores one answer; the benchmarks add their totals.

    Attributes:
        profile: Compatibility profile.
        name: Name of the metric.
    """

    profile: str = "default"
    name: str = "yes_no"

    def __post_init__(self) -> None:
        check_profile(self.profile, self.name)

    def score(
        self,
        sample: Sample,
        response: Response,
        *,
        level: Level = "rules",
        judge: Judge | None = None,
    ) -> Verdict:
        """1.0 when the answer's word is the reference's, else 0.0.

        An Unknown answer is asked about at level "judge"; the value is None without a reply.
        """
        truth = str(sample.answer).strip().capitalize()
        said = yes_or_no(response.text, self.profile)
        if said != UNKNOWN:
            return Verdict(value=float(said == truth), extracted=said)
        if level != "judge":
            return Verdict(value=0.0, extracted=said, level=level, detail={"parsed": False})
        if judge is None:
            reason = "the answer says neither yes nor no alone and there is no judge"
            detail = {"parsed": False, "reason": reason}
            return Verdict(value=None, extracted=said, level=level, detail=detail)
        asked = consult(judge, _PROMPT, _reply, question=sample.question, reply=response.text)
        if asked.value is None:
            detail = {"parsed": False, **asked.detail}
            return Verdict(value=None, extracted=said, level=level, detail=detail)
        return Verdict(
            value=float(asked.value == truth),
            extracted=asked.value,
            level=level,
            detail=asked.detail,
        )

    def aggregate(self, scored: Sequence[Scored]) -> Result:
        """Mean over rows. Unit: 0 to 1."""
        return mean_result(scored, self.name)


def _reply(reply: str) -> str | None:
    said = yes_or_no(reply)
    if said == UNKNOWN and reply.strip().rstrip(".").capitalize() != UNKNOWN:
        return None
    return said


@dataclass(frozen=True)
class PopeF1(YesNo):
    """F1 of "yes" over rows, a row once per category it names."""

    name: str = "pope_f1"

    def aggregate(self, scored: Sequence[Scored]) -> Result:
        """F1, and per category; `parts` also has accuracy, precision and recall. Unit: percent.

        Unknown counts as "not yes" for precision and recall, and as wrong for accuracy.
        """
        require(scored, self.name)
        rows: dict[str, list[Scored]] = defaultdict(list)
        repeated: list[Scored] = []
        for item in scored:
            for category in item.sample.category.split(","):
                repeated.append(item)
                if category.strip():
                    rows[category.strip()].append(item)
        parts = {"rows": float(len(repeated)), **decision_shares(scored)}
        for prefix, items in {"": repeated, **{f"{name}/": rows[name] for name in rows}}.items():
            parts |= {f"{prefix}{key}": number for key, number in _retrieval(items).items()}
        return Result(
            score=parts.pop("f1"),
            num_samples=len(scored),
            groups={name: parts.pop(f"{name}/f1") for name in rows},
            parts=parts,
            unscored=sum(item.verdict.value is None for item in scored),
        )


def _retrieval(scored: Sequence[Scored]) -> dict[str, float]:
    """F1, accuracy, precision and recall in percent; yes is the positive class."""
    truth = [str(item.sample.answer).strip().capitalize() == "Yes" for item in scored]
    said = [item.verdict.extracted == "Yes" for item in scored]
    both = sum(t and s for t, s in zip(truth, said, strict=True))
    precision = both / sum(said) if any(said) else 0.0
    recall = both / sum(truth) if any(truth) else 0.0
    f1 = 2 * precision * recall / (precision + recall) if both else 0.0
    accuracy = sum(values(scored)) / len(scored)
    named = {"f1": f1, "accuracy": accuracy, "precision": precision, "recall": recall}
    return {key: 100.0 * number for key, number in named.items()}


@dataclass(frozen=True)
class Hallusion(YesNo):
    """Accuracy by question, by figure and by question pair, after the fields of the index."""

    name: str = "hallusion"

    def aggregate(self, scored: Sequence[Scored]) -> Result:
        """aAcc is the score; `parts` has aAcc, fAcc, qAcc and their mean. Unit: percent.

        `groups` holds aAcc, and the mean of the three as `.../mean`, by both category columns.

        Raises:
            InputError: A sample's index has too few fields.
        """
        require(scored, self.name)
        columns: dict[str, list[Scored]] = defaultdict(list)
        for item in scored:
            for column in _columns(item):
                columns[column].append(item)
        groups: dict[str, float] = {}
        for name, items in columns.items():
            found = _accuracies(items)
            groups |= {name: found["aAcc"], f"{name}/mean": found["mean_of_three"]}
        overall = _accuracies(scored)
        return Result(
            score=overall["aAcc"],
            num_samples=len(scored),
            groups=groups,
            parts={**overall, **decision_shares(scored)},
            unscored=sum(item.verdict.value is None for item in scored),
        )


def _columns(item: Scored) -> Iterable[str]:
    found = {"l2-category": _l2_category(item.sample), "category": item.sample.category}
    return [f"{name}/{cell}" for name, cell in found.items() if cell]


def _l2_category(sample: Sample) -> str:
    return str(sample.meta.get("l2-category", sample.meta.get("l2_category", "")))


def _accuracies(scored: Sequence[Scored]) -> dict[str, float]:
    figures: dict[tuple[str, ...], list[bool]] = defaultdict(list)
    questions: dict[tuple[str, ...], list[bool]] = defaultdict(list)
    for item in scored:
        index = item.sample.id
        fields = index.split("_")
        if len(fields) < _INDEX_FIELDS:
            raise InputError(
                f"metric 'hallusion', sample {item.sample.id!r}: expected an index of at least "
                f"{_INDEX_FIELDS} fields with underscores between, got {index!r}. Check the "
                "file's index column"
            )
        kind, right = _l2_category(item.sample), item.verdict.value == 1.0
        figures[kind, fields[3], fields[4]].append(right)
        questions[kind, fields[3], fields[5]].append(right)
    found = {
        "aAcc": 100.0 * sum(values(scored)) / len(scored),
        "fAcc": 100.0 * sum(all(rows) for rows in figures.values()) / len(figures),
        "qAcc": 100.0 * sum(all(rows) for rows in questions.values()) / len(questions),
    }
    return {**found, "mean_of_three": sum(found.values()) / len(found)}


def create_pope_f1(profile: str = "default") -> Metric:
    """F1 of "yes"."""
    return PopeF1(profile)


def create_hallusion(profile: str = "default") -> Metric:
    """Accuracy by question, figure and question pair."""
    return Hallusion(profile)
