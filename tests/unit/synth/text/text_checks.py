"""What every text generator must hold: shared by the tests beside this file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from nanovl.data.records import Record
from nanovl.synth.base import Sample, Task
from nanovl.synth.records import sample_records
from nanovl.synth.verify import is_right


def task_right(task: Task, text: str | None = None) -> bool:
    """Whether a text (by default the task's own) passes the verifier of a task of text."""
    answer = task.answer_text if text is None else text
    if task.verifier == "exec":
        from nanovl.synth.text.code_check import exec_score

        return exec_score(task.answer, answer) == 1.0
    if task.verifier == "constraints":
        from nanovl.synth.text.constraints import constraints_score

        return constraints_score(task.answer, answer) == 1.0
    return is_right(task.verifier, task.answer, answer)


def check_text(sample: Sample, *, own_answers: bool = True) -> list[Record]:
    """Ground truth is JSON, prompts are whole, answers pass, records can be made."""
    json.dumps(sample.gt)
    assert sample.tasks
    for task in sample.tasks:
        assert task.question
        assert task.question[0] == task.question[0].upper() or task.question[0] in "`-*"
        for slot in ("{code}", "{statement}", "{core}", "{item}", "{name}", "{problem}"):
            assert slot not in task.question
            assert slot not in (task.trace or "")
        if own_answers:
            assert task_right(task), task
    return sample_records(replace(sample, id="s"))


def shown(sample: Sample) -> dict[str, Any]:
    """A sample for a golden file."""
    gt = {k: v for k, v in sample.gt.items() if not isinstance(v, Mapping) or len(str(v)) < 4000}
    tasks = [[t.task, t.question[:3000], t.answer_text, t.trace] for t in sample.tasks]
    made: dict[str, Any] = json.loads(json.dumps({"gt": gt, "tasks": tasks}))
    return made
