"""What a reasoning model said, as a trace and an answer, and the rules a trace must pass.

Both ways of giving a trace are read: a field of its own, and a think block in the text. Must not
send anything.

Source: training specification, sections 2.4 and 10.3; data synthesis specification, section 17.5.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass

from nanovl.data.convert.traces import final_answer, rough_tokens, trace_problem
from nanovl.synth.base import Answer
from nanovl.synth.model.agree import same_by_rule
from nanovl.synth.model.cache import Completion
from nanovl.synth.model.language import language_problem, mixes_scripts
from nanovl.synth.verify import VERIFIERS, is_right

__all__ = ["RULES", "Thought", "answers_right", "cut_trace", "read_thought", "thought_problem"]

RULES: Mapping[str, str] = {
    "bad_trace": "think tags that are not one block at the start",
    "cut_off": "the answer ends in the middle",
    "duplicate_question": "the same question about the same media was asked before",
    "format": "tokens of a chat template or of media in trace or answer",
    "label_long": "the answer of the record is too long for a question that is thought about",
    "media_large": "more bytes of media than a request may carry",
    "multi_turn": "a record with several answers",
    "no_agreement": "no answer that most samples give",
    "no_answer": "nothing after the trace",
    "no_label": "a record without an answer",
    "no_trace": "an answer without a trace",
    "refused": "the endpoint refused to answer",
    "too_easy": "more samples are right than wanted",
    "too_hard": "fewer samples are right than wanted, or none",
    "tools": "a record with tools",
    "trace_language": "not in the language it should be in, or in two writing systems",
    "trace_leak": 'the trace speaks of "the ground truth"',
    "trace_loop": "the trace repeats itself",
    "trace_too_long": "more tokens than are taken",
    "trace_too_short": "fewer tokens than are taken",
    "wrong_answer": "the answer is not the right one",
}
"""Every reason a sample or a record is rejected for, and what it means."""

_TOKENS = re.compile(r"</?img>|<image>|<video>|<\|[^|\n]{1,40}\|>|<SPECIAL_\d+>|\[/?INST\]")
_SENTENCE = re.compile(r"(?<=[.!?;:])\s+|\n+")
_LEAST_SENTENCES = 3
_MOST_ANSWER = 2000  # characters after the trace


@dataclass(frozen=True, kw_only=True)
class Thought:
    """One sample.

    Attributes:
        trace: Reasoning without tags.
        text: What follows it.
    """

    trace: str
    text: str

    @property
    def final(self) -> str:
        """What the text ends up with, without marks of bold."""
        return re.sub(r"\*\*|`", "", final_answer(self.text)).strip()


def read_thought(answer: Completion) -> tuple[Thought | None, str]:
    """Trace and answer of a sample, or the rule it breaks."""
    if answer.finish == "length":
        return None, "cut_off"
    if answer.finish == "content_filter":
        return None, "refused"
    text = answer.text
    opened, closed = text.count("<think>"), text.count("</think>")
    trace = answer.reasoning.strip()
    if opened or closed:
        # The opening tag is often part of the prompt and does not come back.
        is_block = closed == 1 and (
            opened == 0 or (opened == 1 and text.lstrip().startswith("<think>"))
        )
        if not is_block or (opened and text.index("</think>") < text.index("<think>")):
            return None, "bad_trace"
        head, _, text = text.partition("</think>")
        inline = head.replace("<think>", "", 1).strip()
        if trace and inline:
            return None, "bad_trace"
        trace = trace or inline
    if not trace:
        return None, "no_trace"
    if "<think>" in trace or "</think>" in trace:
        return None, "bad_trace"
    if not text.strip():
        return None, "no_answer"
    return Thought(trace=trace, text=text.strip()), ""


def thought_problem(
    thought: Thought, question: str, *, language: str, least_tokens: int, most_tokens: int
) -> str:
    """The rule a sample breaks, whatever its answer is; "" when it breaks none.

    Args:
        thought: The sample.
        question: What was asked; its scripts may be used.
        language: Traces have to be in; "" for any.
        least_tokens, most_tokens: Bounds of the trace, four bytes a token.
    """
    if _TOKENS.search(thought.trace) or _TOKENS.search(thought.text):
        return "format"
    if len(thought.text) > _MOST_ANSWER:
        return "format"
    problem = trace_problem(thought.trace, most_tokens=most_tokens)
    if problem is not None:
        return problem.reason
    if rough_tokens(thought.trace) < least_tokens:
        return "trace_too_short"
    if language and language_problem(thought.trace, language):
        return "trace_language"
    return "trace_language" if mixes_scripts(thought.trace, question) else ""


def answers_right(thought: Thought, label: str, check: tuple[str, Answer] | None) -> bool | None:
    """Whether a sample ends in the right answer; None where only a reader can tell.

    Args:
        thought: The sample.
        label: The right answer in words.
        check: Verifier and checkable answer of the record, where it has them.
    """
    if check is not None and check[0] in VERIFIERS:
        name, answer = check
        texts = dict.fromkeys((thought.final, thought.text))
        return any(is_right(name, answer, text) for text in texts)
    return same_by_rule("text", label, thought.final)


def cut_trace(trace: str, rng: random.Random) -> tuple[str, int] | None:
    """A trace as a budget would leave it, and the budget in tokens; None when it is too short.

    Cut at the end of a sentence, so that the answer follows a whole thought.
    """
    ends = [match.start() for match in _SENTENCE.finditer(trace)]
    if len(ends) + 1 < _LEAST_SENTENCES:
        return None
    length = rough_tokens(trace)
    budget = rng.randint(max(1, length // 10), max(1, length * 9 // 10))
    fitting = [end for end in ends if rough_tokens(trace[:end]) <= budget]
    cut = trace[: fitting[-1] if fitting else ends[0]].rstrip(" \n:;")
    return cut, max(budget, rough_tokens(cut))
