"""A sample becomes training records, one per task, in the released format.

Source: data synthesis specification, section 2.5; training specification, sections 2.1 and 2.4.
"""

from __future__ import annotations

from typing import Any

from nanovl.data.records import Record
from nanovl.synth.base import Media, Sample, Task

__all__ = ["media_file_name", "sample_records", "truth"]


def media_file_name(sample: Sample, media: Media) -> str:
    """Name of a medium in its shard: unique in the data set, one dot."""
    return f"{sample.id}-{media.name}.{media.ext}"


def sample_records(sample: Sample) -> list[Record]:
    """Records of all tasks of a sample.

    A task with a trace leaves the mode open: the loader draws whether it is rendered. Media stand
    before the question.
    """
    return [_record(sample, task, number) for number, task in enumerate(sample.tasks)]


def _record(sample: Sample, task: Task, number: int) -> Record:
    data: dict[str, Any] = {
        "id": f"{sample.id}-{number:02d}",
        "messages": _dialogue(sample, task) if task.messages else _turns(sample, task),
        "reasoning": None if task.trace else "off",
        "source": sample.generator,
        "task": task.task,
        "metadata": {
            "sample": sample.id,
            "group": sample.group or sample.id,
            "lang": sample.lang,
            "license": sample.license,
            "verifier": task.verifier,
            "answer": {
                "type": task.answer.type,
                "value": task.answer.value,
                "unit": task.answer.unit,
                "tolerance": task.answer.tolerance,
            },
        },
    }
    if task.template:
        data["metadata"]["template"] = task.template
    if task.tools:
        data["tools"] = [dict(tool) for tool in task.tools]
    return Record.from_json(data, where=f"{sample.id}, task {task.task}")


def _fragment(sample: Sample, media: Media) -> dict[str, Any]:
    fragment: dict[str, Any] = {"type": media.kind, media.kind: media_file_name(sample, media)}
    if media.kind != "audio":
        fragment["metadata"] = {"width": media.width, "height": media.height, **media.extra}
    elif media.extra:
        fragment["metadata"] = dict(media.extra)
    return fragment


def _dialogue(sample: Sample, task: Task) -> list[dict[str, Any]]:
    """The messages of a task, names of its media replaced by files."""
    known = {m.name: m for m in sample.media}
    found = []
    for message in task.messages or ():
        content = message.get("content")
        if isinstance(content, list):
            content = [
                _fragment(sample, known[part[part["type"]]]) if part["type"] != "text" else part
                for part in content
            ]
            message = {**message, "content": content}
        found.append(dict(message))
    return found


def _turns(sample: Sample, task: Task) -> list[dict[str, Any]]:
    known = {m.name: m for m in sample.media}
    shown = [_fragment(sample, known[name]) for name in task.media]
    answer = task.answer_text
    if task.trace:
        answer = f"<think>\n{task.trace.strip()}\n</think>\n\n{answer}"
    return [
        {"role": "user", "content": [*shown, {"type": "text", "text": task.question}]},
        {"role": "assistant", "content": [{"type": "text", "text": answer}]},
    ]


def truth(sample: Sample) -> dict[str, Any]:
    """Everything known about a sample, as one JSON object."""
    return {
        "id": sample.id,
        "generator": sample.generator,
        "version": sample.version,
        "seed": sample.seed,
        "license": sample.license,
        "lang": sample.lang,
        "group": sample.group or sample.id,
        "media": [
            {
                "name": media_file_name(sample, m),
                "kind": m.kind,
                "width": m.width,
                "height": m.height,
                **m.extra,
            }
            for m in sample.media
        ],
        "gt": sample.gt,
        "tasks": [t.task for t in sample.tasks],
        "tags": list(sample.tags),
        "quality": dict(sample.quality),
    }
