"""Rules that answer without a model: from recognised text to fields, sentences, spans, cells.

They are what a score has to beat, not more: a few regular expressions and word overlap, written
once and not tuned. Pure text in and out; recognising text is the business of `baselines`.

Source: the local suite's peers (evaluation issue, point 6); word overlap weighted by rarity is the
sentence selection baseline of the early reading comprehension sets.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence

__all__ = [
    "best_cell",
    "best_sentence",
    "best_span",
    "labelled_fields",
    "last_number",
    "receipt_fields",
    "sentences",
    "split_prompt",
]

_WORD = re.compile(r"\w+(?:[-'.]\w+)*")
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[]?[A-Z0-9])")
_STOP_WORDS = """
    a an and are as at be been but by did do does for from had has have he her his how i if in into
    is it its me my not of on or our she so such than that the their them then there these they
    this those to was we were what when where which while who whom whose why will with you your
"""
_STOP = frozenset(_STOP_WORDS.split())
_DATE = re.compile(
    r"\b(\d{4}-\d{2}-\d{2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}|\d{1,2}\s+[A-Za-z]{3,9}\s+\d{2,4}|"
    r"\d{1,2}-[A-Za-z]{3}-\d{2,4})\b"
)
_AMOUNT = re.compile(
    r"(?<![\d.,/-])(?:RM\s*|\$\s*)?(\d{1,3}(?:,\d{3})+\.\d{2}|\d+\.\d{2})(?![\d/])"
)
_TOTAL = re.compile(r"\b(?:grand\s+)?total\b|\bamount\s+due\b|\bnett?\s+amount\b", re.IGNORECASE)
_NO_TOTAL = re.compile(
    r"sub\s*-?\s*total|qty|quantity|items?\b|tax|gst|disc|saving|points?", re.IGNORECASE
)
_FIRM = re.compile(
    r"\b(?:sdn|bhd|enterprise|trading|restaurant|store|mart|shop|company|co\b|ltd|inc|gmbh|cafe)",
    re.IGNORECASE,
)
_AFTER_ADDRESS = re.compile(
    r"\b(?:tel|phone|fax|gst|invoice|receipt|date|cash(?:ier)?|tax|bill|table|www|email|reg)\b",
    re.IGNORECASE,
)
_REGISTRATION = re.compile(r"^\W*(?:co\.?\s*)?(?:reg\.?\s*(?:no)?\.?\s*)?[:(\s]*\d[\d -]*-?\w?\W*$")
_NUMBER = re.compile(r"-?\d+(?:,\d{3})*(?:\.\d+)?")


# -- Receipts and forms --------------------------------------------------------------------------


def _lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def receipt_fields(text: str) -> dict[str, str]:
    """Company, date, address and total of a receipt, by what such lines look like.

    Args:
        text: The receipt, a printed line a line.
    """
    lines = _lines(text)
    found: dict[str, str] = {}
    dates = [m[1] for line in lines for m in _DATE.finditer(line)]
    if dates:
        found["date"] = dates[0]
    total = _total(lines)
    if total:
        found["total"] = total
    start = _company(lines)
    if start is not None:
        found["company"] = lines[start]
        address = []
        for line in lines[start + 1 : start + 8]:
            if _AFTER_ADDRESS.search(line):
                break
            if not _REGISTRATION.match(line):
                address.append(line)
        if address:
            found["address"] = " ".join(address)
    return found


def _total(lines: Sequence[str]) -> str:
    candidates: list[str] = []
    for number, line in enumerate(lines):
        if _TOTAL.search(line) and not _NO_TOTAL.search(line):
            amounts = _AMOUNT.findall(line)
            if not amounts and number + 1 < len(lines):
                amounts = _AMOUNT.findall(lines[number + 1])
            candidates += amounts[-1:]
    candidates = candidates or [a for line in lines for a in _AMOUNT.findall(line)]
    return max(candidates, key=lambda a: float(a.replace(",", "")), default="")


def _company(lines: Sequence[str]) -> int | None:
    named = [i for i, line in enumerate(lines[:5]) if sum(map(str.isalpha, line)) >= 3]
    firms = [i for i in named if _FIRM.search(lines[i])]
    return next(iter(firms or named), None)


def labelled_fields(text: str, names: Sequence[str]) -> dict[str, str]:
    """For every name, what stands behind it on the line that has most of its words.

    Args:
        text: The form, a printed line a line.
        names: Keys that are asked for, such as "invoice_date".
    """
    lines = _lines(text)
    found: dict[str, str] = {}
    for name in names:
        words = [w for w in re.split(r"[^a-z0-9]+", name.lower()) if w and not w.isdigit()]
        best, best_share = "", 0.0
        for line in lines:
            known = [w.lower() for w in _WORD.findall(line)]
            share = sum(w in known for w in words) / max(1, len(words))
            if share > best_share:
                best, best_share = line, share
        if best_share >= 0.5:
            value = _behind(best, words)
            if value:
                found[name] = value
    return found


def _behind(line: str, words: Sequence[str]) -> str:
    end = 0
    for match in _WORD.finditer(line):
        if match[0].lower() in words:
            end = match.end()
    return line[end:].strip(" :.-|_")


# -- Word overlap --------------------------------------------------------------------------------


def _words(text: str) -> list[str]:
    return [w.lower() for w in _WORD.findall(text)]


def sentences(text: str) -> list[str]:
    """The sentences of a text; line ends inside a paragraph do not matter."""
    found: list[str] = []
    for paragraph in re.split(r"\n\s*\n", text):
        flat = " ".join(paragraph.split())
        found += [s.strip() for s in _SENTENCE_END.split(flat) if s.strip()]
    return found


def _weights(units: Sequence[str]) -> Mapping[str, float]:
    """Rarity of every word that is not a function word."""
    seen = Counter(w for unit in units for w in set(_words(unit)))
    return {w: math.log(1 + len(units) / n) for w, n in seen.items() if w not in _STOP}


def _best(units: Sequence[str], question: str) -> str:
    weights = _weights(units)
    asked = set(_words(question))

    def overlap(unit: str) -> float:
        return sum(weights.get(w, 0.0) for w in set(_words(unit)) & asked)

    # Of equal ones the first: max keeps it.
    return max(units, key=overlap, default="")


def best_sentence(text: str, question: str) -> str:
    """The sentence that shares most rare words with the question; "" for no text."""
    return _best(sentences(text), question)


def best_span(text: str, question: str, *, longest: int = 8) -> str:
    """The longest run of words of the best sentence that the question does not have.

    Args:
        text: Where the answer is.
        question: What is asked.
        longest: Words at most.
    """
    sentence = best_sentence(text, question)
    asked = set(_words(question)) | _STOP
    runs: list[list[re.Match[str]]] = [[]]
    for match in _WORD.finditer(sentence):
        if match[0].lower() in asked:
            runs.append([])
        else:
            runs[-1].append(match)
    run = max(runs, key=len)[:longest]
    return sentence[run[0].start() : run[-1].end()] if run else sentence


def best_cell(text: str, question: str) -> str:
    """A cell of the row that shares most rare words with the question, not itself asked about.

    Args:
        text: A table, a row a line, cells two or more spaces or a bar apart.
        question: What is asked.
    """
    rows = [line.strip() for line in text.splitlines() if line.strip()]
    row = _best(rows, question)
    asked = set(_words(question))
    cells = [c.strip() for c in re.split(r"\s{2,}|\|", row) if c.strip()]
    fresh = [c for c in cells if not set(_words(c)) & asked]
    return (fresh or cells or [""])[0]


# -- Prompts -------------------------------------------------------------------------------------


def split_prompt(prompt: str) -> tuple[str, str]:
    """Text and question of a prompt that holds both: the question is its last paragraph."""
    text, _, question = prompt.rstrip().rpartition("\n\n")
    return (text, question) if text else ("", prompt)


def last_number(text: str) -> str:
    """The last number of a text, without group marks; "" if there is none."""
    found = _NUMBER.findall(text)
    return found[-1].replace(",", "") if found else ""
