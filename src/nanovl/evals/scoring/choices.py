"""Which option an answer to an option question means: `mcq_letter`.

Three readings, from strict to lenient: the rules of the public harness, nanovl's own extraction
for what the rules leave open, and a judge. Scores and averages are made in `choice_totals`. An
option is never drawn at random.

Source: evaluation specification, sections 6.1, 7.2 and 12.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nanovl.evals.base import Judge, Level, Verdict
from nanovl.evals.scoring.edits import check_profile
from nanovl.evals.scoring.extraction import boxed
from nanovl.evals.scoring.judging import Prompt, consult
from nanovl.evals.scoring.text import single_letter, strip_markup

__all__ = [
    "NOT_AN_OPTION",
    "Choice",
    "choice_verdict",
    "letter_by_extension",
    "letter_by_rules",
    "option_by_text",
    "read_choice",
]

NOT_AN_OPTION = "Z"
"""What an answer means that refuses to choose; always wrong."""

_FAILURE = "Failed to obtain answer via API"
_REFUSALS = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
)
_SPACES = str.maketrans({mark: " " for mark in ".()[],:;!*#{}"})
_LAST_TOKENS = 5
_ANSWER_IS = re.compile(r"answer\s+is\s+\**([a-d])", re.IGNORECASE)
# Possessive, so that a long run of spaces or colons is walked once.
_ANSWER_LETTER = re.compile(r"(?i:answer)[\s*_]*+(?i:is\b)?+[\s:(\[{*_`$]*+([A-Z])(?![A-Za-z])")
_TEXT_MACRO = re.compile(r"\\(?:text|textbf|mathrm|mathbf)\s*\{([^{}]*)\}")

_PROMPT = Prompt(
    name="option",
    text=(
        "Below are a question with lettered options and the reply somebody gave to it. Say which "
        "option the reply means. Judge only what the reply says, not whether it is right.\n\n"
        "Question: {question}\n"
        "Options:\n{options}\n"
        "Reply: {reply}\n\n"
        "Write one capital letter and nothing else: the letter of the option the reply means, or "
        "Z if it means none of them or more than one."
    ),
    reminder="Your last reply was not one capital letter. Write one capital letter only.",
)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The option an answer was read as.

    Attributes:
        letter: A letter of the options, `NOT_AN_OPTION`, or None when nothing was found.
        level: What decided; for None the most lenient reading that was tried.
        unscored: A judge was needed and there was no usable reply.
        detail: What a verdict keeps.
    """

    letter: str | None
    level: Level
    unscored: bool = False
    detail: Mapping[str, Any] = field(default_factory=dict)


def option_by_text(answer: str, options: Mapping[str, str], *, guard: bool) -> str | None:
    """The only option whose text occurs in an answer, compared in lower case.

    Args:
        answer: What was said.
        options: Letter to text; empty texts never match.
        guard: Give up when the answer is longer than twice all texts together.
    """
    texts = {letter: str(text).lower() for letter, text in options.items() if str(text)}
    said = answer.lower()
    if guard and len(said) > 2 * sum(len(str(text)) for text in options.values()):
        return None
    found = [letter for letter, text in texts.items() if text in said]
    return found[0] if len(found) == 1 else None


def letter_by_rules(answer: str, options: Mapping[str, str], *, legacy: bool = False) -> str | None:
    """The option an answer means by the rules of the public harness.

    Args:
        answer: What was said.
        options: Letter to text.
        legacy: The older rules: a letter counts wherever it stands, "answer is" is not looked
            for, and option texts are looked for in answers of any length.

    Returns:
        A letter of the options, `NOT_AN_OPTION` for a refusal, None when the rules find nothing.
    """
    if _FAILURE in answer:
        return None
    if any(refusal in answer for refusal in _REFUSALS):
        return NOT_AN_OPTION
    tokens = answer.translate(_SPACES).split()
    found = [letter for letter in options if letter in tokens]
    if len(found) == 1 and (legacy or tokens.index(found[0]) > len(tokens) - _LAST_TOKENS):
        return found[0]
    if not found and NOT_AN_OPTION in tokens:
        return NOT_AN_OPTION
    if not legacy:
        match = _ANSWER_IS.search(answer)
        if match and match[1].upper() in options:
            return match[1].upper()
    return option_by_text(answer, options, guard=not legacy)


def letter_by_extension(answer: str, options: Mapping[str, str]) -> str | None:
    r"""The option an answer means by nanovl's own extraction, for what the rules leave open.

    In this order: the last `\boxed{}`; the letter behind the last "answer"; a last line that is
    one letter; a whole answer that is one small letter.
    """
    letters = list(options)
    inside = boxed(answer)
    if inside is not None:
        content = _TEXT_MACRO.sub(r"\1", inside)
        letter = single_letter(content, letters) or letter_by_rules(content, options)
        if letter in options:
            return letter
    behind_answer = [letter for letter in _ANSWER_LETTER.findall(answer) if letter in options]
    if behind_answer:
        return str(behind_answer[-1])
    lines = [line for line in answer.splitlines() if line.strip()]
    last_line = single_letter(lines[-1], letters) if lines else None
    if last_line is not None:
        return last_line
    small = single_letter(strip_markup(answer), [letter.lower() for letter in letters])
    return small.upper() if small is not None else None


def read_choice(
    answer: str,
    question: str,
    options: Mapping[str, str],
    *,
    profile: str = "default",
    level: Level = "rules",
    judge: Judge | None = None,
) -> Choice:
    """The option an answer means.

    Args:
        answer: What was said, reasoning taken off.
        question: Shown to a judge.
        options: Letter to text.
        profile: "default" (nanovl's own reading), "vk" (the public harness today) or "legacy" (an
            older snapshot of it).
        level: The most lenient reading to use. "extended" reads what the rules leave open by
            `letter_by_extension` (profile "default" only); "judge" asks the judge instead, as
            the public harness does.
        judge: Whom to ask at level "judge".

    Raises:
        ConfigError: The profile is unknown.
    """
    check_profile(profile, "mcq_letter")
    legacy = profile == "legacy"
    text = answer.strip()
    letter = letter_by_rules(text, options, legacy=legacy)
    if letter is not None:
        return Choice(letter=letter, level="rules")
    if level == "extended" and profile == "default":
        letter = letter_by_extension(text, options)
        if letter is not None:
            return Choice(letter=letter, level="extended")
    if level != "judge":
        return Choice(letter=None, level=level, detail={"parsed": False})
    if judge is None:
        reason = {"reason": "the rules found no option and there is no judge"}
        return Choice(letter=None, level=level, unscored=True, detail={"parsed": False, **reason})
    asked = consult(
        judge,
        _PROMPT,
        lambda reply: letter_by_rules(reply.strip(), options, legacy=legacy),
        question=question,
        options="\n".join(f"{key}. {value}" for key, value in options.items()),
        reply=text,
    )
    return Choice(
        letter=asked.value,
        level="judge",
        unscored=asked.value is None,
        detail=asked.detail if asked.value else {"parsed": False, **asked.detail},
    )


def choice_verdict(choice: Choice, answer: str) -> Verdict:
    """Whether a choice is the reference's letter.

    Args:
        choice: What the answer was read as.
        answer: The reference; a letter.
    """
    return Verdict(
        value=None if choice.unscored else float(choice.letter == answer.strip()),
        extracted=choice.letter,
        level=choice.level,
        detail=choice.detail,
    )
