"""Questions worth looking at: wrong or unparsed answers, with the pictures that were shown.

Pictures are made small; everything else stays as it was. Chooses and shows, judges nothing.

Source: evaluation specification, section 11.2 (report).
"""

from __future__ import annotations

import base64
import hashlib
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nanovl.core.errors import InputError, NanoVLError
from nanovl.evals.base import Medium, Sample
from nanovl.evals.requests import Task
from nanovl.evals.runfolder import RunFolder, answered_of, read_log
from nanovl.evals.scorefiles import PEER, SCORES, read_rows

__all__ = ["Example", "thumbnail", "worst"]

_SIDE = 320
_PICTURES = 3
_QUALITY = 80
_CHARS = 1500


@dataclass(frozen=True, kw_only=True)
class Example:
    """A question with what the model said.

    Attributes:
        benchmark, sample, setting: Which.
        value: Verdict.
        prompt: What was asked.
        reference: The right answer.
        text, reasoning: What the model said.
        extracted: What was taken for its answer.
        finish: Why it ended.
        pictures: Small ones, as data URLs.
        hidden: Media that is not shown.
    """

    benchmark: str
    sample: str
    setting: str
    value: float | None
    prompt: str
    reference: str
    text: str
    reasoning: str
    extracted: str
    finish: str
    pictures: Sequence[str] = ()
    hidden: int = 0


def worst(
    folder: RunFolder, task: Task, count: int, *, level: str = "extended", profile: str = "default"
) -> list[Example]:
    """The answers with the worst verdicts of each setting; among equals an even draw by id.

    Args:
        folder: Scored run.
        task: The benchmark with its samples.
        count: For each setting.
        level, profile: Whose verdicts.
    """
    rows = [
        row
        for row in read_rows(folder.file(task.id, SCORES))
        if row["level"] == level
        and row["profile"] == profile
        and not row["setting"].startswith(PEER)
    ]

    def badness(row: Mapping[str, Any]) -> float:
        value = row["value"]
        if task.lower_is_better:
            return math.inf if value is None else float(value)
        return 1.0 - float(value or 0.0)

    wrong = [row for row in rows if badness(row) > 0]
    wrong.sort(key=lambda row: (-badness(row), _draw(row["sample"])))
    chosen: list[Mapping[str, Any]] = []
    for setting in dict.fromkeys(row["setting"] for row in rows):
        own: dict[str, Mapping[str, Any]] = {}
        for row in wrong:
            if row["setting"] == setting:
                own.setdefault(row["sample"], row)  # one run of each question
        chosen += list(own.values())[:count]
    lines = {
        (line["setting"], line["run"], line["sample"]): line
        for line in read_log(folder.responses(task.id))
        if "error" not in line
    }
    samples = {sample.id: sample for sample in task.samples}
    found = []
    for picked in chosen:
        line = lines.get((picked["setting"], picked["run"], picked["sample"]))
        sample = samples.get(picked["sample"])
        if line is not None and sample is not None:
            found.append(_example(task, sample, picked, line))
    return found


def thumbnail(medium: Medium) -> str | None:
    """A small picture as a data URL, None when it cannot be shown."""
    from nanovl.core.conversation import MediaRef
    from nanovl.processing.images import open_image
    from nanovl.processing.media import Limits

    if medium.kind != "image":
        return None
    try:
        if medium.data is not None:
            ref = MediaRef(data=medium.data, name=medium.name)
        else:
            ref = MediaRef.of(medium.path)
        picture = open_image(ref, Limits.local())
    except (NanoVLError, OSError):
        return None
    picture.thumbnail((_SIDE, _SIDE))
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _example(
    task: Task, sample: Sample, row: Mapping[str, Any], line: Mapping[str, Any]
) -> Example:
    response, _ = answered_of(line)
    assert response is not None
    pictures = [t for m in sample.media[:_PICTURES] if (t := thumbnail(m)) is not None]
    try:
        prompt = task.prompt(sample).text if task.chain is None else sample.question
    except InputError:
        prompt = sample.question
    return Example(
        benchmark=task.id,
        sample=sample.id,
        setting=str(row["setting"]),
        value=row["value"],
        prompt=_short(prompt),
        reference=_short(_plain(sample.answer)),
        text=_short(response.text),
        reasoning=_short(response.reasoning),
        extracted=_short("" if row["extracted"] is None else str(row["extracted"])),
        finish=response.finish_reason,
        pictures=pictures,
        hidden=len(sample.media) - len(pictures),
    )


def _plain(answer: Any) -> str:
    if isinstance(answer, (list, tuple)):
        return " | ".join(map(str, answer))
    return "" if answer is None else str(answer)


def _short(text: str) -> str:
    """Beginning and end of a long text."""
    if len(text) <= _CHARS:
        return text
    half = _CHARS // 2
    return f"{text[:half]} [... {len(text) - 2 * half:,} characters ...] {text[-half:]}"


def _draw(sample: str) -> str:
    return hashlib.sha256(sample.encode()).hexdigest()
