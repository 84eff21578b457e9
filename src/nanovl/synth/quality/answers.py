"""Whether verifiers accept reference answers, and nothing but right ones.

Source: data synthesis specification, section 19 (verifier self-test).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from nanovl.core.errors import NanoVLError
from nanovl.synth.base import Answer
from nanovl.synth.quality.config import Finding
from nanovl.synth.quality.datasets import text_of
from nanovl.synth.verify import VERIFIERS, is_right

__all__ = ["AnswerTest", "answer_of", "reference_of"]

# Checks that a wrong answer of the same kind must not pass. The others measure how close an answer
# is, or run code.
_STRICT = frozenset(("exact", "exact_ci", "number", "set", "list_ordered", "json_equal", "mcq"))


def answer_of(record: Mapping[str, Any]) -> tuple[str, Answer] | None:
    """Verifier and checkable answer of a record made here; None for other records."""
    facts = record.get("metadata")
    if not isinstance(facts, Mapping) or not isinstance(facts.get("answer"), Mapping):
        return None
    given = facts["answer"]
    answer = Answer(
        type=str(given.get("type", "")),
        value=given.get("value"),
        unit=given.get("unit"),
        tolerance=given.get("tolerance"),
    )
    return str(facts.get("verifier", "")), answer


def reference_of(record: Mapping[str, Any], answer: Answer) -> str:
    """What the assistant finally says, without its trace; for calls, the calls as JSON.

    A call that is made again at once (after an error of the tool) counts once.
    """
    if answer.type == "call":
        calls: list[dict[str, Any]] = []
        for message in record["messages"]:
            for call in message.get("tool_calls") or ():
                arguments = call["arguments"]
                if isinstance(arguments, str):
                    arguments = json.loads(arguments)
                one = {"name": call["name"], "arguments": arguments}
                if not calls or calls[-1] != one:
                    calls.append(one)
        return json.dumps(calls, ensure_ascii=False)
    said = text_of(record, "assistant")
    return said[-1].rpartition("</think>")[2].strip() if said else ""


class AnswerTest:
    """Looks at the records of one piece in order."""

    def __init__(self) -> None:
        self._before: dict[tuple[str, str, str], tuple[Answer, str]] = {}

    def findings(self, record: Mapping[str, Any], sample: str) -> Iterator[Finding]:
        """What is wrong with the verifier of a record; `dataset` is left open."""
        found = answer_of(record)
        if found is None:
            return
        verifier, answer = found
        name = str(record.get("id", ""))

        def finding(rule: str, message: str) -> Finding:
            return Finding(rule=rule, dataset="", sample=sample, record=name, message=message)

        if verifier not in VERIFIERS:
            yield finding("verifier_self", f"there is no verifier {verifier!r}")
            return
        try:
            text = reference_of(record, answer)
            if not is_right(verifier, answer, text):
                expected = str(answer.value)[:80]
                yield finding("verifier_self", f"{verifier} expects {expected}, got {text[:80]!r}")
                return
            key = (str(record.get("task", "")), verifier, answer.type)
            other, self._before[key] = self._before.get(key), (answer, text)
            if other is None or not _differs(verifier, answer, text, *other):
                return
            if is_right(verifier, answer, other[1]):
                yield finding("verifier_loose", f"{verifier} accepts {other[1][:80]!r} too")
        except NanoVLError as error:
            yield finding("verifier_self", f"{verifier}: {error}")
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            yield finding("verifier_self", f"{verifier} fails: {type(error).__name__}: {error}")


def _differs(verifier: str, a: Answer, text: str, b: Answer, other: str) -> bool:
    if verifier not in _STRICT or a.tolerance or text.casefold() == other.casefold():
        return False
    if verifier == "set" and isinstance(a.value, list) and isinstance(b.value, list):
        return sorted(map(str, a.value)) != sorted(map(str, b.value))
    return bool(a.value != b.value)
