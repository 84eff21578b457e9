"""Constraints on an answer that a program can check: length, form, words, letters, marks.

Each is a kind with parameters, several wordings and a check. Families follow the well-known
benchmark of verifiable instructions; wordings and checks are our own. Must not write answers.

Source: data synthesis specification, section 1 (instruction following) and 17.2.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nanovl.core.errors import ConfigError
from nanovl.synth.base import Answer

__all__ = ["CONSTRAINTS", "Constraint", "constraints_score", "is_met", "sentences_of", "words_of"]


@dataclass(frozen=True)
class Constraint:
    """One kind of constraint.

    Attributes:
        group: At most one of a group is asked for at a time.
        wordings: What the user says, with slots for the parameters.
        check: From an answer and the parameters to whether it holds.
    """

    group: str
    wordings: tuple[str, ...]
    check: Callable[[str, Mapping[str, Any]], bool]


def words_of(text: str) -> list[str]:
    """The words of a text, marks around them taken off."""
    return re.findall(r"[A-Za-z0-9']+", text)


def sentences_of(text: str) -> list[str]:
    """The sentences of a text: parts that end in ".", "!" or "?"."""
    return [s for s in re.split(r"(?<=[.!?])\s+", text.strip()) if s]


def _paragraphs(text: str) -> list[str]:
    return [p for p in re.split(r"\n\s*\n", text.strip()) if p.strip()]


def _bullets(text: str, mark: str) -> int:
    return len(re.findall(rf"^{mark} ", text, re.M))


def _count(text: str, word: str) -> int:
    return [w.lower() for w in words_of(text)].count(word.lower())


def _json_keys(text: str, p: Mapping[str, Any]) -> bool:
    body = re.sub(r"^```(?:json)?\n|\n```$", "", text.strip())
    try:
        found = json.loads(body)
    except ValueError:
        return False
    return isinstance(found, dict) and sorted(found) == sorted(p["keys"])


def _first_words(text: str, p: Mapping[str, Any]) -> bool:
    parts = _paragraphs(text)
    if len(parts) < p["number"]:
        return False
    found = words_of(parts[p["number"] - 1])
    return bool(found) and found[0].lower() == p["word"].lower()


CONSTRAINTS: dict[str, Constraint] = {
    "words_least": Constraint(
        "words",
        (
            "Use at least {n} words.",
            "Write no fewer than {n} words.",
            "The answer should have {n} words or more.",
            "Make it {n} words long at the least.",
        ),
        lambda text, p: len(words_of(text)) >= p["n"],
    ),
    "words_most": Constraint(
        "words",
        (
            "Use at most {n} words.",
            "Stay within {n} words.",
            "Do not write more than {n} words.",
            "Keep it to {n} words or fewer.",
        ),
        lambda text, p: 0 < len(words_of(text)) <= p["n"],
    ),
    "sentences": Constraint(
        "shape",
        (
            "Write exactly {n} sentences.",
            "Your answer must have {n} sentences, no more and no fewer.",
            "Answer in exactly {n} sentences.",
            "The number of sentences has to be {n}.",
        ),
        lambda text, p: len(sentences_of(text)) == p["n"],
    ),
    "paragraphs": Constraint(
        "shape",
        (
            "Write {n} paragraphs, separated by empty lines.",
            "Divide the text into {n} paragraphs with a blank line between them.",
            "There should be exactly {n} paragraphs (empty line in between).",
            "Use {n} paragraphs; leave one line free between two of them.",
        ),
        lambda text, p: len(_paragraphs(text)) == p["n"],
    ),
    "bullets": Constraint(
        "shape",
        (
            "Answer with exactly {n} bullet points that begin with '* '.",
            "Use {n} bullets, each line starting with '* '.",
            "Write a list of {n} points; every point starts with '* '.",
            "Give {n} bullet points in Markdown ('* ' in front).",
        ),
        lambda text, p: _bullets(text, r"\*") == p["n"],
    ),
    "numbered": Constraint(
        "shape",
        (
            "Answer as a numbered list of {n} entries (1., 2., ...).",
            "Number your {n} points: 1., 2. and so on.",
            "Write {n} lines, each with its number and a full stop in front.",
            "Use a list with the numbers 1. to {n}.",
        ),
        lambda text, p: (
            [int(x) for x in re.findall(r"^(\d+)\. ", text, re.M)] == list(range(1, p["n"] + 1))
        ),
    ),
    "sections": Constraint(
        "shape",
        (
            "Divide the answer into {n} sections headed '{head} 1', '{head} 2' and so on.",
            "Use {n} sections; each begins with a line '{head} X', X being its number.",
            "Mark {n} parts by the headings '{head} 1' to '{head} {n}'.",
            "Give the text {n} headed parts: '{head} 1', '{head} 2', ...",
        ),
        lambda text, p: (
            re.findall(rf"^{p['head']} (\d+)$", text, re.M)
            == [str(i) for i in range(1, p["n"] + 1)]
        ),
    ),
    "two_answers": Constraint(
        "shape",
        (
            "Give two different answers, separated by a line of six asterisks: ******",
            "Write two versions with '******' on a line between them.",
            "I want two alternative answers; put ****** between them.",
            "Answer twice in different ways and divide the answers by ******.",
        ),
        lambda text, p: (
            len(parts := [t.strip() for t in text.split("******")]) == 2
            and all(parts)
            and parts[0] != parts[1]
        ),
    ),
    "json_keys": Constraint(
        "shape",
        (
            "Answer with a JSON object that has exactly the keys {keys}.",
            "Put everything into JSON with the keys {keys} and nothing around it.",
            "Reply in JSON only; the keys are {keys}.",
            "Format the whole answer as a JSON object (keys: {keys}).",
        ),
        _json_keys,
    ),
    "include": Constraint(
        "include",
        (
            "Use the words {words}.",
            "The words {words} must occur.",
            "Make sure that {words} appear in the text.",
            "Work in these words: {words}.",
        ),
        lambda text, p: all(_count(text, w) for w in p["words"]),
    ),
    "exclude": Constraint(
        "exclude",
        (
            "Do not use the words {words}.",
            "Avoid the words {words}.",
            "The words {words} must not occur.",
            "Write it without the words {words}.",
        ),
        lambda text, p: not any(_count(text, w) for w in p["words"]),
    ),
    "word_times": Constraint(
        "include",
        (
            "Use the word '{word}' at least {n} times.",
            "The word '{word}' should come up {n} times or more.",
            "Mention '{word}' no fewer than {n} times.",
            "Let '{word}' occur at least {n} times.",
        ),
        lambda text, p: _count(text, p["word"]) >= p["n"],
    ),
    "lower": Constraint(
        "case",
        (
            "Write everything in lower case.",
            "Use no capital letters.",
            "Only small letters, please.",
            "Your whole answer must be in lowercase letters.",
        ),
        lambda text, p: text == text.lower(),
    ),
    "upper": Constraint(
        "case",
        (
            "Write everything in capital letters.",
            "Use upper case only.",
            "The entire answer has to be in capitals.",
            "No small letters, please: capitals only.",
        ),
        lambda text, p: text == text.upper(),
    ),
    "starts": Constraint(
        "starts",
        (
            "Begin with the exact words '{phrase}'.",
            "Start your answer with '{phrase}'.",
            "The first words must be '{phrase}'.",
            "Open with '{phrase}'.",
        ),
        lambda text, p: text.lower().startswith(p["phrase"].lower()),
    ),
    "ends": Constraint(
        "ends",
        (
            "End with the exact sentence '{phrase}'",
            "Finish with '{phrase}' and nothing after it.",
            "The last words must be '{phrase}'",
            "Close with '{phrase}'",
        ),
        lambda text, p: text.rstrip().lower().endswith(p["phrase"].lower()),
    ),
    "quoted": Constraint(
        "wrap",
        (
            "Put the whole answer in double quotation marks.",
            "Enclose your answer in double quotes.",
            "The answer must begin and end with a double quotation mark.",
            "Wrap everything in double quotes.",
        ),
        lambda text, p: len(text) > 1 and text.startswith('"') and text.endswith('"'),
    ),
    "no_commas": Constraint(
        "marks",
        (
            "Do not use commas.",
            "Avoid the comma altogether.",
            "There must be no comma in the answer.",
            "Write without any commas.",
        ),
        lambda text, p: "," not in text,
    ),
    "title": Constraint(
        "title",
        (
            "Give it a title in double angle brackets, such as <<My title>>.",
            "Add a title wrapped like this: <<title>>.",
            "Include a title between << and >>.",
            "Put a title in front, written as <<title>>.",
        ),
        lambda text, p: re.search(r"<<[^<>\n]+>>", text) is not None,
    ),
    "postscript": Constraint(
        "ends",
        (
            "Add a postscript that begins with 'P.S.' at the end.",
            "Finish with a postscript (P.S.).",
            "After the text, put a line starting with 'P.S.'",
            "End with a P.S. line.",
        ),
        lambda text, p: re.search(r"^\s*p\.s\.", text, re.M | re.I) is not None,
    ),
    "highlights": Constraint(
        "highlights",
        (
            "Highlight at least {n} parts with single asterisks, like *this*.",
            "Emphasise {n} or more phrases by writing them *like this*.",
            "Mark at least {n} passages with *asterisks*.",
            "At least {n} phrases should be set in *asterisks*.",
        ),
        lambda text, p: len(re.findall(r"(?<!\*)\*[^*\n ][^*\n]*\*(?!\*)", text)) >= p["n"],
    ),
    "placeholders": Constraint(
        "placeholders",
        (
            "Leave at least {n} placeholders in square brackets, such as [name].",
            "Include {n} or more placeholders like [date].",
            "Use square brackets for at least {n} blanks to fill in, e.g. [place].",
            "There should be at least {n} placeholders in [brackets].",
        ),
        lambda text, p: len(re.findall(r"\[[^\[\]\n]+\]", text)) >= p["n"],
    ),
    "letter_most": Constraint(
        "letters",
        (
            "Use the letter '{letter}' at most {n} times.",
            "The letter '{letter}' may occur {n} times at most.",
            "No more than {n} times the letter '{letter}', please.",
            "Keep the letter '{letter}' down to {n} occurrences or fewer.",
        ),
        lambda text, p: text.lower().count(p["letter"]) <= p["n"],
    ),
    "paragraph_word": Constraint(
        "shape",
        (
            "Write {total} paragraphs (blank line between); number {number} begins with '{word}'.",
            "There should be {total} paragraphs with empty lines between, and paragraph {number} "
            "must start with the word '{word}'.",
            "Use {total} paragraphs separated by empty lines. The first word of paragraph "
            "{number} is '{word}'.",
            "Divide the text by blank lines into {total} paragraphs; let paragraph {number} open "
            "with '{word}'.",
        ),
        lambda text, p: len(_paragraphs(text)) == p["total"] and _first_words(text, p),
    ),
}


def is_met(kind: str, parameters: Mapping[str, Any], text: str) -> bool:
    """Whether an answer keeps a constraint.

    Raises:
        ConfigError: There is no such kind.
    """
    if kind not in CONSTRAINTS:
        raise ConfigError(f"constraint {kind!r} does not exist; known: {sorted(CONSTRAINTS)}")
    return CONSTRAINTS[kind].check(text, parameters)


def constraints_score(answer: Answer, text: str) -> float:
    """Share of the constraints of an answer that a text keeps (verifier "constraints")."""
    asked: Sequence[Mapping[str, Any]] = answer.value
    return sum(is_met(c["kind"], c["parameters"], text) for c in asked) / len(asked)
