"""Who goes next: waiting sequences into slots, prompt tokens into a step.

Decides with counts alone; moves nothing.

Source: serving specification, section 7.2.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from nanovl.engine.task import Task

__all__ = ["by_turn", "split_prompts", "victim"]


def by_turn(waiting: Iterable[Task], running: Iterable[Task]) -> list[Task]:
    """Waiting sequences, next one first.

    By priority; then what was preempted, then tenants with the least under way, then arrival. A
    tenant's second waiting request counts behind another tenant's first.
    """
    under_way = Counter(task.request.tenant for task in running)
    ordered = []
    for task in sorted(waiting, key=lambda t: t.arrival):
        tenant = task.request.tenant
        turn = -1 if task.preempted else under_way[tenant]
        under_way[tenant] += 1
        ordered.append((task.request.priority, turn, task.arrival, task))
    return [task for *_, task in sorted(ordered, key=lambda entry: entry[:3])]


def split_prompts(tasks: Iterable[Task], budget: int) -> list[tuple[Task, int]]:
    """Prompt tokens each sequence computes in this step.

    The one that came first gets at least half of the budget, so that it ends; of the others the
    short ones go first, so that a question does not wait for a book.

    Args:
        tasks: Sequences with prompt tokens left.
        budget: Tokens of the step.

    Returns:
        Sequences with at least one token, in the order of `tasks`' arrival.
    """
    queue = sorted(tasks, key=lambda t: (t.request.priority, t.arrival))
    if not queue or budget < 1:
        return []
    share: dict[Task, int] = {}
    first, *others = queue
    left = budget
    if others:
        share[first] = min(first.remaining, (budget + 1) // 2)
        left -= share[first]
        for task in sorted(others, key=lambda t: (t.request.priority, t.remaining, t.arrival)):
            share[task] = min(task.remaining, left)
            left -= share[task]
    share[first] = min(first.remaining, share.get(first, 0) + left)
    return [(task, share[task]) for task in queue if share[task]]


def victim(running: Iterable[Task]) -> Task | None:
    """Whose blocks are taken when they run out: the least urgent, and of those the newest."""
    return max(running, key=lambda t: (t.request.priority, t.arrival), default=None)
