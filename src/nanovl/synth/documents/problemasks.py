"""Questions about pages with problems: solve number three, write the body, do what the note asks.

Must not know where problems come from or how pages look.

Source: data synthesis specification, section 17; the wordings are our own.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from typing import Any

from nanovl.data.convert.functions import fenced
from nanovl.data.convert.templates import question
from nanovl.synth.asking import Bank, worded
from nanovl.synth.base import Answer, Task
from nanovl.synth.documents.problems import Problem

__all__ = ["BANK", "body_task", "number_task", "request_task"]

BANK: Bank = {
    "problem": (
        "Solve the problem on this page. Answer with a number.",
        "Work out the answer to the problem shown. Give only the number.",
        "What is the answer to the question in the picture? Reply with a number.",
        "Read the problem and solve it; the answer is a single number.",
        "Do the exercise on the page and state the resulting number.",
        "Which number answers the question that is printed here?",
        "Calculate what the text asks for. Write the number only.",
        "Find the solution to this word problem, as a plain number.",
    ),
    "problem_n": (
        "Solve problem {n} on this page. Answer with a number.",
        "Work out number {n} of the exercises. Give only the number.",
        "What is the answer to exercise {n} in the picture? Reply with a number.",
        "Read problem {n} and solve it; the answer is a single number.",
        "Do exercise {n} on the page and state the resulting number.",
        "Which number answers question {n} of this sheet?",
        "Calculate what problem {n} asks for. Write the number only.",
        "Find the solution to problem {n}, as a plain number.",
    ),
    "body": (
        "Write the body of the Python function on this page.",
        "The page shows a signature with its docstring. Give only the code that follows.",
        "Implement the function in the picture; output the body alone.",
        "What code belongs below the docstring shown here? Write just that.",
        "Complete the function that is printed here. Answer with its body.",
        "Fill in the body of this function so that it does what its docstring says.",
        "Read the function head and write the function body, nothing else.",
        "Finish the Python function on the page; the body only, as a code block.",
    ),
    "request": (
        "Do what the page asks for.",
        "Read the note and act on it.",
        "Carry out the request in the picture.",
        "Please take care of what is written here.",
        "Handle the request that is shown.",
        "Here is what I need; see the page.",
        "Follow the instruction on this page.",
        "I wrote down what I want. Can you do it?",
    ),
}


def number_task(
    problem: Problem, place: int, of: int, media: Sequence[str], rng: random.Random
) -> Task:
    """A problem with a number as its answer and its worked solution as the trace.

    Args:
        problem: What is asked.
        place, of: Its number on the page, and how many there are.
        media: Names of the pages.
        rng: The generator of the stream "qa".
    """
    kind = "problem" if of == 1 else "problem_n"
    text, template = worded(BANK, kind, rng, n=place)
    return Task(
        task="page_problem",
        question=text,
        answer_text=problem.answer,
        answer=Answer(type="number", value=float(problem.answer.replace(",", ""))),
        verifier="number",
        trace=problem.solution or None,
        media=tuple(media),
        template=template,
    )


def body_task(problem: Problem, media: Sequence[str], rng: random.Random) -> Task:
    """The body of a function whose signature and docstring are shown."""
    text, template = worded(BANK, "body", rng)
    body = fenced(problem.answer)
    return Task(
        task="page_code",
        question=text,
        answer_text=body,
        answer=Answer(type="markup", value=body),
        verifier="edit_distance",
        media=tuple(media),
        template=template,
    )


def request_task(problem: Problem, media: Sequence[str], rng: random.Random) -> Task:
    """Calls for a request that stands on the page, or the words that no function fits."""
    text, template = worded(BANK, "request", rng)
    content: list[dict[str, Any]] = [{"type": "image", "image": name} for name in media]
    content.append({"type": "text", "text": text})
    messages: list[dict[str, Any]] = []
    if problem.system:
        messages.append(_said("system", problem.system))
    messages.append({"role": "user", "content": content})
    calls: list[Mapping[str, Any]] = [dict(call) for call in problem.calls]
    if calls:
        messages.append({"role": "assistant", "content": [], "tool_calls": calls})
    else:
        messages.append(_said("assistant", question("no_fitting_tool", rng).text))
    return Task(
        task="page_call" if calls else "page_no_call",
        question=text,
        answer_text=json.dumps(calls, ensure_ascii=False),
        answer=Answer(type="call", value=calls),
        verifier="json_equal",
        media=tuple(media),
        template=template,
        tools=problem.tools,
        messages=tuple(messages),
    )


def _said(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "content": [{"type": "text", "text": text}]}
