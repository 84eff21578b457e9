"""What the model is told, and the JSON schemas of its answers.

Any change of a word here raises VERSION, which is written into every record. Must not send
anything. The wordings are our own.

Source: data synthesis specification, section 17.4; training specification, section 10.2.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = [
    "ANSWER_SCHEMA",
    "JUDGE_SCHEMA",
    "KINDS",
    "LEVELS",
    "NOT_STATED",
    "QA_SCHEMA",
    "TRACE_SYSTEM",
    "TYPES",
    "VERSION",
    "answer_messages",
    "blind_messages",
    "judge_messages",
    "prompt_hash",
    "qa_messages",
    "translate_messages",
]

VERSION = "1"

TYPES: Mapping[str, str] = {
    "extractive": "the answer is a short span copied from the document",
    "count": "the answer is the number of things the document names or lists",
    "compare": "two or more things in the document are compared",
    "reasoning": "facts from different places of the document, or a small calculation, are needed",
    "unanswerable": "a plausible question about this document that the document does not answer",
}
LEVELS = ("easy", "medium", "hard")
KINDS = ("text", "number", "list", "yesno")
NOT_STATED = "not stated"
"""What an unanswerable question is answered with inside JSON; records word it for a reader."""

_PAIR: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "question": {"type": "string"},
        "answer": {"type": "string"},
        "answer_kind": {"type": "string", "enum": list(KINDS)},
        "type": {"type": "string", "enum": list(TYPES)},
        "difficulty": {"type": "string", "enum": list(LEVELS)},
        "evidence": {"type": "array", "items": {"type": "string"}},
        "pages": {"type": "array", "items": {"type": "integer"}},
    },
    "required": [
        "question", "answer", "answer_kind", "type", "difficulty", "evidence", "pages",
    ],
    "additionalProperties": False,
}  # fmt: skip
QA_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {"pairs": {"type": "array", "items": _PAIR}},
    "required": ["pairs"],
    "additionalProperties": False,
}
ANSWER_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {"answer": {"type": "string"}, "known": {"type": "boolean"}},
    "required": ["answer", "known"],
    "additionalProperties": False,
}
JUDGE_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {"same": {"type": "boolean"}},
    "required": ["same"],
    "additionalProperties": False,
}

_QA_SYSTEM = """You write question-answer pairs that teach a model to read documents.
The reader of your questions will see only a picture (or pictures) of the document, never the text \
below and never your instructions. So:
- Ask about what the document says. Never mention a text, caption, transcription, description, \
ground truth, JSON or Markdown; say "document", "page", "table", "chart" or "picture" where a word \
is needed.
- Every question must make sense on its own, have exactly one right answer, and be impossible to \
answer without the document.
- Answers are short: a name, a number, a span, yes or no, or a list with commas. No explanations.
- "evidence" holds one to three quotes, copied letter by letter from the document, that prove the \
answer. For an unanswerable question it is an empty list.
- The answer to an unanswerable question is exactly "{not_stated}", its answer_kind is "text".
- "pages" holds the numbers of the pages the evidence is on; of a document without page numbers it \
is an empty list.
- Ask about different things; never ask the same twice in other words.
Types:
{types}
Difficulties: easy (one look), medium (search or combine two facts), hard (several steps).
Write JSON that fits this schema, and nothing else:
{schema}"""

_ANSWER_SYSTEM = """You answer a question about a document. Use nothing but the document. \
Answer as briefly as possible: a name, a number, a span, yes or no, or a list with commas. \
If the document does not hold the answer, "known" is false and "answer" is "{not_stated}".
Write JSON that fits this schema, and nothing else:
{schema}"""

_BLIND_SYSTEM = """You are asked a question about a document you cannot see. If general knowledge \
or the question itself gives the answer away, "known" is true and "answer" is that answer, as \
briefly as possible. Do not guess: if the document is needed, "known" is false and "answer" is \
"{not_stated}".
Write JSON that fits this schema, and nothing else:
{schema}"""

_JUDGE_SYSTEM = """You compare two answers to one question. "same" is true only if both say the \
same thing, so that whoever accepts one has to accept the other. Differences of wording, \
formatting and units that mean the same do not count; a missing or an added fact does.
Write JSON that fits this schema, and nothing else:
{schema}"""

_TRANSLATE_SYSTEM = """Translate the text of the user into {language}. Tags like <a0> stand for \
formulas, citations and commands: each of them must come back exactly once, unchanged, at the \
place where it belongs. Keep numbers as they are. Add nothing, explain nothing, and answer with \
the translation alone."""

TRACE_SYSTEM = """Think before you answer. Write your thoughts, step by step, between <think> and \
</think>, and after that only the final answer, in the form the question asks for."""
"""For models that do not think by themselves."""

_ASK = (
    "Write {count} question-answer pairs about the document.",
    "Give {count} pairs of question and answer for this document.",
    "Make up {count} questions about the document, each with its answer.",
    "{count} question-answer pairs, please.",
)


def _schema(schema: Mapping[str, Any]) -> str:
    return json.dumps(schema, ensure_ascii=False, separators=(",", ":"))


def _two(system: str, user: str) -> list[dict[str, Any]]:
    return [{"role": "system", "content": system}, {"role": "user", "content": user}]


def qa_messages(
    text: str,
    count: int,
    types: Sequence[str],
    levels: Sequence[str],
    language: str,
    wording: int = 0,
) -> list[dict[str, Any]]:
    """Ask for pairs.

    Args:
        text: The document.
        count: How many pairs.
        types: Keys of `TYPES`, spread evenly over the pairs.
        levels: Of `LEVELS`.
        language: Of questions and answers, BCP-47; "" leaves it to the document.
        wording: Which of the wordings of the request.
    """
    system = _QA_SYSTEM.format(
        not_stated=NOT_STATED,
        types="\n".join(f"- {name}: {TYPES[name]}" for name in types),
        schema=_schema(QA_SCHEMA),
    )
    spread = ", ".join(f"{n} of type {name}" for name, n in _spread(types, count))
    asked = _ASK[wording % len(_ASK)].format(count=count)
    wish = f"{asked} Types: {spread}. Difficulties: {', '.join(levels)}."
    if language:
        wish += f" Questions and answers are written in the language {language!r}."
    return _two(system, f"Document:\n<<<\n{text}\n>>>\n\n{wish}")


def _spread(types: Sequence[str], count: int) -> list[tuple[str, int]]:
    shares = [
        (name, count // len(types) + (i < count % len(types))) for i, name in enumerate(types)
    ]
    return [(name, n) for name, n in shares if n]


def answer_messages(text: str, question: str) -> list[dict[str, Any]]:
    """Ask a question with the document at hand."""
    system = _ANSWER_SYSTEM.format(not_stated=NOT_STATED, schema=_schema(ANSWER_SCHEMA))
    return _two(system, f"Document:\n<<<\n{text}\n>>>\n\nQuestion: {question}")


def blind_messages(question: str) -> list[dict[str, Any]]:
    """Ask a question without the document."""
    system = _BLIND_SYSTEM.format(not_stated=NOT_STATED, schema=_schema(ANSWER_SCHEMA))
    return _two(system, f"Question: {question}")


def judge_messages(question: str, first: str, second: str) -> list[dict[str, Any]]:
    """Ask whether two answers say the same."""
    system = _JUDGE_SYSTEM.format(schema=_schema(JUDGE_SCHEMA))
    return _two(system, f"Question: {question}\nFirst answer: {first}\nSecond answer: {second}")


def translate_messages(text: str, language: str) -> list[dict[str, Any]]:
    """Ask for a translation."""
    return _two(_TRANSLATE_SYSTEM.format(language=language), text)


def prompt_hash(*names: str) -> str:
    """Short hash of the wordings and schemas a kind of data is made with.

    Args:
        names: "qa" or "traces".
    """
    texts: list[Any] = []
    if "qa" in names:
        texts += [_QA_SYSTEM, _ANSWER_SYSTEM, _BLIND_SYSTEM, _ASK, QA_SCHEMA, ANSWER_SCHEMA]
        texts += [dict(TYPES), LEVELS]
    if "traces" in names:
        texts += [TRACE_SYSTEM]
    texts += [_JUDGE_SYSTEM, JUDGE_SCHEMA, VERSION]
    data = json.dumps(texts, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(data.encode()).hexdigest()[:16]
