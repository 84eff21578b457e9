"""Tasks as turns of a conversation whose pictures carry labels.

Source: data synthesis specification, section 2.5; training specification, section 2.1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nanovl.synth.base import Task

__all__ = ["labelled", "said", "turn"]


def said(text: str) -> dict[str, str]:
    """A text fragment."""
    return {"type": "text", "text": text}


def turn(role: str, content: list[dict[str, str]]) -> dict[str, Any]:
    """A message."""
    return {"role": role, "content": content}


def labelled(task: Task, names: Sequence[str], form: str) -> tuple[Mapping[str, Any], ...]:
    """A question with a label before every picture.

    Args:
        task: What is asked.
        names: Of its pictures, in order.
        form: Label with {n} for the number of a picture from 1 and {all} for how many there are.
    """
    content: list[dict[str, str]] = []
    for number, name in enumerate(names, 1):
        label = form.format(n=number, all=len(names))
        content += [said(f"{label}\n"), {"type": "image", "image": name}, said("\n")]
    content.append(said(task.question))
    answer = task.answer_text
    if task.trace:
        answer = f"<think>\n{task.trace.strip()}\n</think>\n\n{answer}"
    return turn("user", content), turn("assistant", [said(answer)])
