"""Question-answer pairs as a model writes them, and the rules they must pass before anybody is
asked again.

Must not send anything: every rule here is a function of the pair and its document.

Source: training specification, section 10.2; data synthesis specification, sections 17.4 and 19.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nanovl.synth.model.agree import checkable, normal
from nanovl.synth.model.documents import Document
from nanovl.synth.model.duplicates import near_question
from nanovl.synth.model.language import language_problem
from nanovl.synth.model.prompts import NOT_STATED
from nanovl.synth.verify import is_right

__all__ = ["RULES", "UNANSWERED", "Pair", "pair_problem", "same_question"]

RULES: Mapping[str, str] = {
    "answer_in_question": "the question gives the answer away",
    "answer_not_in_truth": "a copied answer that the document does not hold",
    "answerable": "called unanswerable, but a second reading found an answer",
    "bad_json": "no JSON, also after a second request",
    "bad_kind": "an answer that is not of the kind it claims",
    "blind": "answered rightly without the document",
    "cut_off": "an answer that ends in the middle",
    "disagrees": "a second reading of the document gave another answer",
    "duplicate": "the same question about the same document",
    "duplicate_document": "a document nearly like an earlier one",
    "empty": "an empty answer, also after a second request",
    "evidence_missing": "a quote that the document does not hold",
    "evidence_page": "a quote that is not on the page it names",
    "language": "not in the language of the document",
    "leak": "speaks of texts, captions or instructions a reader does not see",
    "long_answer": "an answer that is too long",
    "malformed_question": "no question a reader could be asked",
    "near_duplicate": "nearly the same question about the same document",
    "no_evidence": "an answer without a quote",
    "not_found": "a second reading of the document found no answer",
    "refused": "the endpoint refused to answer",
    "repeated": "the same question and answer too often in the data set",
    "surplus": "more pairs than were asked for",
    "unverified": "the second reading gave no answer that could be used",
    "verifier_self": "an answer that its own check does not accept",
    "wrong_schema": "JSON that does not fit the schema, also after a second request",
    "wrong_type": "a type or difficulty that was not asked for, or used wrongly",
}
"""Every reason a pair or a document is rejected for, and what it means."""

UNANSWERED: Mapping[str, tuple[str, ...]] = {
    "en": (
        "The document does not say.",
        "This is not stated in the document.",
        "That cannot be told from the document.",
        "The document gives no answer to this.",
    ),
    "de": ("Das steht nicht im Dokument.", "Dazu sagt das Dokument nichts."),
    "fr": ("Le document ne le dit pas.", "Cela ne figure pas dans le document."),
    "es": ("El documento no lo dice.", "Eso no aparece en el documento."),
    "it": ("Il documento non lo dice.", "Questo non compare nel documento."),
    "pt": ("O documento n\u00e3o diz.", "Isso n\u00e3o consta do documento."),
    "nl": ("Dat staat niet in het document.", "Het document zegt daar niets over."),
}
"""How unanswerable questions are answered; documents in other languages get none of them."""

MOST_QUESTION = 300
MOST_ANSWER = 300
_LEAK = re.compile(
    r"\b(?:caption|captions|transcript(?:ion)?s?|ground[\s-]+truth|ocr|json|markdown|metadata|"
    r"(?:provided|given|above|following|input|source)\s+(?:text|passage|description|context)|"
    r"according\s+to\s+the\s+(?:text|passage|description|context)|"
    r"(?:mentioned|described|stated)\s+in\s+the\s+(?:text|passage|description|context)|"
    r"laut\s+(?:dem\s+)?text|selon\s+le\s+texte|seg\u00fan\s+el\s+texto)\b",
    re.IGNORECASE,
)
_TOKENS = re.compile(r"</?think>|</?img>|<image>|<video>|<\|[^|]*\|>|<SPECIAL_\d+>|\[/?INST\]")
_MARKUP = re.compile(r"[\s*|#`_>\\]+")


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A question with its answer.

    Attributes:
        question, answer: As shown.
        kind: "text", "number", "list" or "yesno".
        type: "extractive", "count", "compare", "reasoning" or "unanswerable".
        difficulty: "easy", "medium" or "hard".
        evidence: Quotes of the document.
        pages: Where they are, from 1.
    """

    question: str
    answer: str
    kind: str
    type: str
    difficulty: str
    evidence: tuple[str, ...] = ()
    pages: tuple[int, ...] = ()

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Pair:
        """A pair that fits `QA_SCHEMA`."""
        return cls(
            question=" ".join(data["question"].split()),
            answer=" ".join(data["answer"].split()),
            kind=data["answer_kind"],
            type=data["type"],
            difficulty=data["difficulty"],
            evidence=tuple(e for e in data["evidence"] if e.strip()),
            pages=tuple(data["pages"]),
        )

    @property
    def is_answerable(self) -> bool:
        """Whether the document is said to hold the answer."""
        return self.type != "unanswerable"


def pair_problem(
    pair: Pair, document: Document, types: Sequence[str], levels: Sequence[str]
) -> str:
    """The rule a pair breaks, "" when it breaks none.

    Args:
        pair: What was written.
        document: What it is about.
        types, levels: What was asked for.
    """
    problem = _asked_for(pair, types, levels) or _form(pair) or _language(pair, document)
    if problem or not pair.is_answerable:
        return problem
    return _evidence(pair, document) or _answer(pair, document)


def same_question(pair: Pair, earlier: Sequence[Pair]) -> str:
    """Whether a pair repeats an earlier one about the same document: the rule it breaks."""
    for other in earlier:
        if normal(pair.question) == normal(other.question):
            return "duplicate"
        same = normal(pair.answer) == normal(other.answer)
        if near_question(pair.question, other.question, same_answer=same):
            return "near_duplicate"
    return ""


def _asked_for(pair: Pair, types: Sequence[str], levels: Sequence[str]) -> str:
    says_nothing = normal(pair.answer) == normal(NOT_STATED)
    if pair.type not in types or pair.difficulty not in levels:
        return "wrong_type"
    return "wrong_type" if says_nothing == pair.is_answerable else ""


def _form(pair: Pair) -> str:
    letters = sum(map(str.isalpha, pair.question))
    if letters < 4 or len(pair.question) > MOST_QUESTION or _TOKENS.search(pair.question):
        return "malformed_question"
    if not pair.answer or _TOKENS.search(pair.answer):
        return "bad_kind"
    if len(pair.answer) > MOST_ANSWER:
        return "long_answer"
    return "leak" if _LEAK.search(pair.question) or _LEAK.search(pair.answer) else ""


def _language(pair: Pair, document: Document) -> str:
    if document.lang and language_problem(pair.question, document.lang):
        return "language"
    return ""


def flat(text: str) -> str:
    """A text for searching quotes in it: case, blanks and marks of Markdown do not count."""
    return _MARKUP.sub(" ", text.replace("\u00ad", "")).casefold().strip()


def _holds(text: str, quote: str) -> bool:
    """Whether a flat text holds a quote, not in the middle of words or numbers."""
    wanted = flat(quote).strip(" .,;:")
    if not wanted:
        return False
    before = r"(?<![\w])" if wanted[0].isalnum() and wanted[0].isascii() else ""
    after = r"(?![\w]|[.,]\d)" if wanted[-1].isalnum() and wanted[-1].isascii() else ""
    return re.search(before + re.escape(wanted) + after, text) is not None


def _evidence(pair: Pair, document: Document) -> str:
    if not pair.evidence:
        return "no_evidence"
    whole = flat("\n".join(document.pages))
    if not all(_holds(whole, quote) for quote in pair.evidence):
        return "evidence_missing"
    if len(document.pages) == 1:
        return ""
    if not pair.pages or not all(1 <= n <= len(document.pages) for n in pair.pages):
        return "evidence_page"
    named = [flat(document.pages[n - 1]) for n in sorted(set(pair.pages))]
    found = all(any(_holds(text, quote) for text in named) for quote in pair.evidence)
    return "" if found else "evidence_page"


def _answer(pair: Pair, document: Document) -> str:
    made = checkable(pair.kind, pair.answer)
    if made is None:
        return "bad_kind"
    if not is_right(made[1], made[0], pair.answer):
        return "verifier_self"
    if pair.type == "extractive" and pair.kind != "yesno":
        whole = flat("\n".join(document.pages))
        entries = made[0].value if pair.kind == "list" else [pair.answer]
        if not all(_holds(whole, entry) for entry in entries):
            return "answer_not_in_truth"
    gives_away = pair.kind in ("text", "number") and len(normal(pair.answer)) >= 3
    if gives_away and pair.type != "compare" and _holds(flat(pair.question), pair.answer):
        return "answer_in_question"
    return ""
