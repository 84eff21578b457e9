"""Explains a run from its trace: which line changes what, one short line a step.

Loops are told in full for eight rounds; after that only what holds at their end is said.

Source: data synthesis specification, section 14 (traces).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["MAX_ROUNDS", "Moment", "explain", "moments"]

MAX_ROUNDS = 8  # a line is explained this often
Step = tuple[int, int, str, dict[str, str], str]

_CHANGES = (
    "Line {line}: {name} becomes {value}.",
    "Line {line} sets {name} to {value}.",
    "After line {line}, {name} = {value}.",
    "Line {line}: {name} is now {value}.",
    "Line {line} makes {name} equal to {value}.",
)


@dataclass(frozen=True)
class Moment:
    """The variables after a line was executed for the n-th time (n from 1)."""

    line: int
    times: int
    variables: dict[str, str]


def _after(steps: Sequence[Step], index: int) -> dict[str, str] | None:
    """The variables of the same frame at its next step."""
    depth = steps[index][0]
    for later in steps[index + 1 :]:
        if later[0] < depth:
            return None
        if later[0] == depth and later[2] in ("line", "return"):
            return later[3]
    return None


def moments(steps: Sequence[Step]) -> list[Moment]:
    """The state after every executed line, in order."""
    found = []
    times: Counter[tuple[int, int]] = Counter()
    for index, step in enumerate(steps):
        if step[2] != "line":
            continue
        times[(step[0], step[1])] += 1
        after = _after(steps, index)
        if after is not None:
            found.append(Moment(step[1], times[(step[0], step[1])], after))
    return found


def explain(steps: Sequence[Step], rng: random.Random) -> list[str]:
    """Sentences about a run.

    Args:
        steps: The trace.
        rng: Draws one wording for the whole run.
    """
    wording = rng.choice(_CHANGES)
    told: Counter[int] = Counter()
    left_out: dict[str, str] = {}
    sentences: list[str] = []
    for index, (_, line, event, before, value) in enumerate(steps):
        if event == "return" and value and value != "None":
            sentences += _catch_up(left_out)
            sentences.append(f"Line {line} returns {value}.")
        if event != "line":
            continue
        after = _after(steps, index)
        changes = {n: v for n, v in (after or {}).items() if before.get(n) != v}
        if not changes:
            continue
        told[line] += 1
        if told[line] > MAX_ROUNDS:
            left_out.update(changes)
            continue
        for name in sorted(changes):
            left_out.pop(name, None)
            sentences.append(wording.format(line=line, name=name, value=changes[name]))
    return [*sentences, *_catch_up(left_out)]


def _catch_up(left_out: dict[str, str]) -> list[str]:
    if not left_out:
        return []
    state = ", ".join(f"{n} = {v}" for n, v in sorted(left_out.items()))
    left_out.clear()
    return [f"The loop goes on in the same way; at its end {state}."]
