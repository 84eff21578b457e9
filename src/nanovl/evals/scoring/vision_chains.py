"""Mathematics on pictures in families of questions: DynaMath, LogicVista and WeMath.

DynaMath counts a question when all its variants are right, WeMath weighs chains of steps,
LogicVista compares sets of letters. Reading one answer follows the reference's rules; level
"extended" adds nanovl's own extraction, level "judge" the reference's judge.

Source: evaluation specification, sections 6.19 and 7.2.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nanovl.core.errors import InputError
from nanovl.evals.base import Judge, Level, Response, Result, Sample, Scored, Verdict
from nanovl.evals.scoring.choices import choice_verdict, read_choice
from nanovl.evals.scoring.edits import check_profile
from nanovl.evals.scoring.extraction import boxed, final_answer, last_line, plain_number
from nanovl.evals.scoring.judging import (
    Consultation,
    Prompt,
    consult,
    extracted_answer,
    option_letters,
)
from nanovl.evals.scoring.tally import decision_shares, mean_result, require, values

__all__ = [
    "ChainCounts",
    "DynaMath",
    "LogicVista",
    "WeMath",
    "chain_counts",
    "create_dynamath_worst",
    "create_logicvista",
    "create_wemath_strict",
    "same_letters",
    "short_answer",
]

_FLOAT_TOLERANCE = 0.001
_SET = re.compile(r"[\s*(\[$`]*([A-Z](?:[\s,;)(]*(?:and\s+|&\s*)?[A-Z](?![a-z]))*)(?![a-z])")
_PI = "\u03c0"

_SHORTEN = Prompt(
    name="dynamath",
    text=(
        "Turn a free-form answer into a short one. {instruction}\n\n"
        "Free-form answer: {reply}\nExtracted answer:"
    ),
    reminder="Write the short answer only, in a single line.",
)
_INSTRUCTIONS = {
    "float": "Write one number with three decimals in a single line.",
    "multiple choice": "Write the letter of the chosen option, such as A, in a single line.",
}
_OTHER = "Write a short answer in a single line; numbers with decimals get three of them."

_LETTERS = Prompt(
    name="logicvista",
    text=(
        "Below are a question with lettered options and the reply somebody gave to it. Which "
        "options does the reply choose? Judge only what it says. Reply with the capital letters "
        "of the chosen options and nothing else, such as A or AC; with Z if it chooses none.\n\n"
        "Question: {question}\nReply: {reply}\nLetters:"
    ),
    reminder="Reply with capital letters only.",
)


def _parsed_json(text: str) -> dict[str, Any] | None:
    """The JSON of an answer as the reference finds it: outer braces, every backslash deleted."""
    start, end = text.find("{"), text.rfind("}")
    body = text[start : end + 1] if 0 <= start < end else text
    try:
        value = json.loads(body.replace("\\", ""), strict=False)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _as_float(text: str) -> float | None:
    if text.isdigit():
        return float(text)
    first = text.split(" ")[0]
    number, pi, _ = first.partition(_PI)
    try:
        return float(number) * math.pi if pi else float(number)
    except ValueError:
        return None


def _as_letter(text: str) -> str | None:
    if len(text) == 1:
        return text.upper()
    found = [letter for letter in "ABCDE" if letter in text.upper()]
    return found[0] if len(found) == 1 else None


def short_answer(text: str, kind: str) -> float | str | None:
    """A short answer read by its kind: "float", "multiple choice" or other; None if it is none."""
    if kind == "float":
        return _as_float(text)
    return _as_letter(text) if kind == "multiple choice" else text


@dataclass(frozen=True)
class DynaMath:
    """Share of questions right in all variants, 0 to 1; `parts["average"]` is over variants.

    Attributes:
        profile: In "vk" and "legacy" an empty text answer is right (it is part of any text).
    """

    profile: str = "default"
    name: str = "dynamath_worst"

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
        """1 when the short answer fits; `meta["answer_type"]` tells its kind."""
        kind = str(sample.meta.get("answer_type") or "text")
        text = response.text
        found = _parsed_json(text)
        given = found.get("short answer") if found is not None else None
        read = short_answer(given, kind) if isinstance(given, str) else None
        if read is None:
            read = short_answer(self._whole(text), kind)
        if read is not None and (read != "" or self.profile != "default"):
            return Verdict(value=float(self._fits(sample, read, kind)), extracted=read)
        if level == "judge":
            return self._judged(sample, text, kind, judge)
        if level == "extended":
            verdict = self._extended(sample, given, text, kind)
            if verdict is not None:
                return verdict
        # The reference's last resort: the letter among the first three characters.
        near = kind == "multiple choice" and str(sample.answer) in self._whole(text)[:3].upper()
        return Verdict(value=float(near and bool(text)), detail={"parsed": False})

    def _whole(self, text: str) -> str:
        start, end = text.find("{"), text.rfind("}")
        body = text[start : end + 1] if 0 <= start < end else text
        return body.replace("\\", "")

    def _fits(self, sample: Sample, read: float | str, kind: str) -> bool:
        if isinstance(read, float):
            truth = plain_number(str(sample.answer))
            return truth is not None and abs(read - truth) <= _FLOAT_TOLERANCE
        if kind == "multiple choice":
            return read == str(sample.answer)
        return read.lower() in str(sample.answer).lower()

    def _extended(self, sample: Sample, given: Any, text: str, kind: str) -> Verdict | None:
        if kind == "float":
            number = isinstance(given, int | float) and not isinstance(given, bool)
            read: float | str | None = float(given) if number else None
            if read is None:
                read = plain_number(final_answer(text) or "")
        else:
            answer = final_answer(text)
            read = short_answer(answer, kind) if answer else None
        if read is None or read == "":
            return None
        return Verdict(
            value=float(self._fits(sample, read, kind)),
            extracted=read,
            level="extended",
            detail={"proxy": True},
        )

    def _judged(self, sample: Sample, text: str, kind: str, judge: Judge | None) -> Verdict:
        if judge is None:
            detail = {"reason": "needs a judge", "parsed": False}
            return Verdict(value=None, level="judge", detail=detail)

        def read(reply: str) -> float | str | None:
            return short_answer(extracted_answer(reply) or "", kind)

        asked: Consultation[float | str] = consult(
            judge,
            _SHORTEN,
            read,
            instruction=_INSTRUCTIONS.get(kind, _OTHER),
            reply=text,
        )
        if asked.value is None:
            return Verdict(value=None, level="judge", detail=asked.detail)
        return Verdict(
            value=float(self._fits(sample, asked.value, kind)),
            extracted=asked.value,
            level="judge",
            detail=asked.detail,
        )

    def aggregate(self, scored: Sequence[Scored]) -> Result:
        """Worst case over the variants of a question; groups by subject and level."""
        require(scored, self.name)
        questions: dict[str, list[float]] = {}
        columns: dict[str, list[str]] = {}
        for item, value in zip(scored, values(scored), strict=True):
            name = str(item.sample.meta.get("qid") or item.sample.group or item.sample.id)
            questions.setdefault(name, []).append(value)
            columns.setdefault(name, list(_dyna_columns(item)))
        worst = {name: float(all(hits)) for name, hits in questions.items()}
        groups: dict[str, list[float]] = {}
        for name, value in worst.items():
            for column in columns[name]:
                groups.setdefault(column, []).append(value)
        variants = {len(hits) for hits in questions.values()}
        return Result(
            score=sum(worst.values()) / len(worst),
            num_samples=len(worst),
            groups={name: sum(found) / len(found) for name, found in groups.items()},
            parts={
                "average": sum(values(scored)) / len(scored),
                "fewest_variants": float(min(variants)),
                **decision_shares(scored),
            },
            unscored=sum(item.verdict.value is None for item in scored),
        )


def _dyna_columns(item: Scored) -> Iterable[str]:
    for column, prefix in (("subject", "Subject"), ("knowledge_level", "Level")):
        if item.sample.meta.get(column):
            yield f"{prefix}-{item.sample.meta[column]}"


def same_letters(truth: str, chosen: str) -> bool:
    """Whether a judge's letters are those of the truth, in any order; small letters never are."""
    read = option_letters(chosen)
    wanted = re.findall("[a-z]", truth.lower())
    return read is not None and sorted(read.lower()) == sorted(wanted)


@dataclass(frozen=True)
class LogicVista:
    """Share of questions whose set of letters is right, 0 to 1; groups are skills."""

    name: str = "logicvista"

    def score(
        self,
        sample: Sample,
        response: Response,
        *,
        level: Level = "rules",
        judge: Judge | None = None,
    ) -> Verdict:
        """Level "rules" reads answers of capital letters only; the rest goes to the level."""
        text, truth = response.text.strip(), str(sample.answer)
        if option_letters(text) is not None:
            return Verdict(value=float(same_letters(truth, text)), extracted=option_letters(text))
        if level == "judge":
            if judge is None:
                detail = {"reason": "needs a judge", "parsed": False}
                return Verdict(value=None, level="judge", detail=detail)
            asked = consult(judge, _LETTERS, option_letters, question=sample.question, reply=text)
            value = None if asked.value is None else float(same_letters(truth, asked.value))
            return Verdict(value=value, extracted=asked.value, level="judge", detail=asked.detail)
        letters = _letter_set(text) if level == "extended" else None
        if letters is None:
            return Verdict(value=0.0, level="rules", detail={"parsed": False})
        return Verdict(
            value=float(same_letters(truth, letters)),
            extracted=letters,
            level="extended",
            detail={"proxy": True},
        )

    def aggregate(self, scored: Sequence[Scored]) -> Result:
        """Accuracy."""
        return mean_result(scored, self.name, columns=_skills)


def _skills(item: Scored) -> Iterable[str]:
    known = ("inductive", "deductive", "numerical", "spatial", "mechanical")
    skill = str(item.sample.meta.get("skill") or item.sample.category)
    return [name for name in known if name in skill]


def _letter_set(text: str) -> str | None:
    """Letters of the box, behind the last "answer", of the last line, or standing alone in it."""
    box = boxed(text)
    marked = re.findall(r"answer(?:s)?\s*(?:is|are|:)\s*:?\s*([^\n]*)", text, re.IGNORECASE)
    for place in (box, marked[-1] if marked else None, last_line(text)):
        if place is None:
            continue
        bare = re.sub(r"\\text\s*\{([^{}]*)\}", r"\1", place)
        head = _SET.match(bare)
        if head and not re.match(r"[\s*]*A\s+(?!and\b|or\b)[a-z]", bare):
            return "".join(re.findall(r"[A-Z]", head.group(1)))
    alone = re.findall(r"(?<![A-Za-z])([B-H])(?![A-Za-z'])", last_line(text))
    return alone[0] if len(set(alone)) == 1 else None


@dataclass(frozen=True, kw_only=True)
class ChainCounts:
    """How chains of steps end.

    Attributes:
        ik: A step and the final question wrong: insufficient knowledge.
        ig: All steps right, the final question wrong: inadequate generalisation.
        cm: All steps and the final question right: complete mastery.
        rm: A step wrong, the final question right: rote memorisation.
        rm_all: Of these, chains with all steps wrong.
    """

    ik: int
    ig: int
    cm: int
    rm: int
    rm_all: int

    @property
    def total(self) -> int:
        """All chains."""
        return self.ik + self.ig + self.cm + self.rm

    @property
    def strict(self) -> float:
        """(CM + IG / 2) / chains."""
        return (self.cm + 0.5 * self.ig) / self.total

    @property
    def loose(self) -> float:
        """The same, with only chains of nothing but wrong steps as rote memorisation."""
        return (self.cm + self.rm - self.rm_all + 0.5 * self.ig) / self.total

    def parts(self) -> dict[str, float]:
        """The rates the benchmark prints, 0 to 1."""
        mastered = self.cm + self.rm  # the same sum, strictly and loosely
        loose_cm = mastered - self.rm_all
        return {
            "strict": self.strict,
            "loose": self.loose,
            "IK": self.ik / self.total,
            "IG": self.ig / self.total,
            "CM": self.cm / self.total,
            "CM_loose": loose_cm / self.total,
            "RM": self.rm / mastered if mastered else 0.0,
            "RM_loose": self.rm_all / mastered if mastered else 0.0,
        }


def chain_counts(chains: Iterable[tuple[Sequence[bool], bool]]) -> ChainCounts:
    """Counts of chains given as (steps right, final question right)."""
    found = {"ik": 0, "ig": 0, "cm": 0, "rm": 0, "rm_all": 0}
    for steps, final in chains:
        if all(steps):
            found["cm" if final else "ig"] += 1
        elif not final:
            found["ik"] += 1
        else:
            found["rm"] += 1
            found["rm_all"] += not any(steps)
    return ChainCounts(**found)


@dataclass(frozen=True)
class WeMath:
    """Strict score of chains, 0 to 1. `meta["ID"]` names the chain, `meta["key"]` the step."""

    profile: str = "default"
    name: str = "wemath_strict"

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
        """1 for the right letter, as all option questions."""
        choice = read_choice(
            response.text,
            sample.question,
            sample.options,
            profile=self.profile,
            level=level,
            judge=judge,
        )
        return choice_verdict(choice, str(sample.answer))

    def aggregate(self, scored: Sequence[Scored]) -> Result:
        """Strict score; a step that was not answered counts as wrong.

        Raises:
            InputError: There are no samples, or a key is none of the benchmark's.
        """
        require(scored, self.name)
        chains: dict[tuple[int, str], dict[str, bool]] = {}
        for item, value in zip(scored, values(scored), strict=True):
            steps, place = _chain_key(item.sample)
            name = str(item.sample.meta.get("ID") or item.sample.group)
            chains.setdefault((steps, name), {})[place] = value == 1.0
        missing = sum(steps + 1 - len(found) for (steps, _), found in chains.items())
        counts = chain_counts(
            ([found.get(str(n), False) for n in range(1, steps + 1)], found.get("multi", False))
            for (steps, _), found in chains.items()
        )
        flat: Mapping[str, float] = counts.parts()
        return Result(
            score=counts.strict,
            num_samples=counts.total,
            parts={
                **flat,
                "missing_steps": float(missing),
                "vanilla": sum(values(scored)) / len(scored),
                **decision_shares(scored),
            },
            unscored=sum(item.verdict.value is None for item in scored),
        )


def _chain_key(sample: Sample) -> tuple[int, str]:
    """Number of steps and place in the chain of keys like `2steps_1` and `3steps_multi`."""
    key = str(sample.meta.get("key", ""))
    found = re.fullmatch(r"([23])steps_([123]|multi)", key)
    if found is None:
        raise InputError(
            f"WeMath sample '{sample.id}': key '{key}' is not of the form '2steps_1' to "
            "'3steps_multi'; the file's column 'key' is damaged"
        )
    return int(found.group(1)), found.group(2)


def create_dynamath_worst(profile: str = "default") -> DynaMath:
    """The metric."""
    return DynaMath(profile=profile)


def create_logicvista(profile: str = "default") -> LogicVista:
    """The metric; profiles make no difference."""
    return LogicVista()


def create_wemath_strict(profile: str = "default") -> WeMath:
    """The metric."""
    return WeMath(profile=profile)
