"""Questions about a table, worded.

Source: data synthesis specification, sections 6 and 17.
"""

from __future__ import annotations

import random

from nanovl.synth.asking import Draft, balanced, multiple_choice, noted, worded
from nanovl.synth.base import Task
from nanovl.synth.tables.drafts import View
from nanovl.synth.tables.grid import Table
from nanovl.synth.tables.makers import MAKERS, MISSING, missing
from nanovl.synth.tables.phrases import BANK
from nanovl.synth.tables.render import Rendered

__all__ = ["questions"]

EMPTY_SHARE = 0.5  # of tables with empty cells that get a question without an answer
PERHAPS_SHARE = 0.5  # of look-ups in full cells that say what to answer if the cell were empty


def questions(
    table: Table, rendered: Rendered, rng: random.Random, count: int, media: tuple[str, ...]
) -> list[Task]:
    """Questions of different kinds.

    Args:
        table: What is asked about.
        rendered: Where its cells are.
        rng: Where choices come from.
        count: At most so many.
        media: Names of the pages shown.
    """
    view = View(table, rendered, rng)
    makers = list(MAKERS)
    rng.shuffle(makers)
    chosen: list[Draft] = []
    for maker in makers:
        if len(chosen) == count:
            break
        pool = list(maker(view))
        kinds = sorted({d.kind for d in pool})
        if kinds:
            kind = rng.choice(kinds)
            chosen += balanced(
                [d for d in pool if d.kind == kind], lambda d: d.answer.value, rng, 1
            )
    empty = list(missing(view))
    if empty and rng.random() < EMPTY_SHARE:
        chosen.append(rng.choice(empty))
    return [_task(draft, rng, media) for draft in chosen]


def _task(draft: Draft, rng: random.Random, media: tuple[str, ...]) -> Task:
    kind = "lookup" if draft.kind == "missing" else draft.kind
    question, template = worded(BANK, kind, rng, **dict(draft.slots))
    text, answer, verifier = draft.text, draft.answer, draft.verifier
    trace = draft.trace
    choice = None
    if draft.others and rng.random() < 0.15:
        choice = multiple_choice(question, text, draft.others, rng)
    if choice is not None:
        question, answer = choice
        text, verifier = str(answer.value), "mcq"
        trace += f" That is option {text}."
    elif draft.kind == "missing" or (draft.kind == "lookup" and rng.random() < PERHAPS_SHARE):
        # Were it said of empty cells alone, nobody would have to look.
        question += f" {worded(BANK, 'perhaps', rng, answer=MISSING)[0]}"
    elif draft.form:
        question = noted(question, draft.form, rng)
    return Task(
        task=f"table_{draft.kind.replace('-', '_')}",
        question=question,
        answer_text=text,
        answer=answer,
        verifier=verifier,
        trace=trace,
        media=media,
        template=f"tables/{template}",
    )
