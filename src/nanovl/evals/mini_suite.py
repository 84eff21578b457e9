"""The local suite: what the small model is measured on, and how long that takes.

A suite is a folder that `tools/mini_suite.py` builds from validation data and held-out synthesised
sets: one folder in the native sample format for each set, and a manifest with the SHA-256 of every
file. This module says which tasks there are (set, metric, mode, limits, baselines, targets), reads
the sets, and adds up what a run costs. It makes no data and runs nothing.

Counts are chosen so that all tasks together take at most fifteen minutes on two cores for a mini
model: 1,000 prompt tokens a second, a tile being 256 of them, and 60 generated ones.

Source: evaluation specification, section 11.1 (native format); issue targets of the small model.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from nanovl.core.config import nearest
from nanovl.core.errors import ConfigError, InputError
from nanovl.evals.base import Sample
from nanovl.evals.modes import Setting, mode_for
from nanovl.evals.readers.folder import read_folder
from nanovl.evals.readers.manifest import ReadLog, sha256_of
from nanovl.evals.requests import Prompt, Task

__all__ = [
    "BUDGET_S",
    "DECODE_PER_S",
    "GAINS",
    "MANIFEST",
    "PREFILL_PER_S",
    "SAMPLES",
    "TASKS",
    "Gain",
    "SuiteTask",
    "asked_task",
    "estimated_seconds",
    "prompt_of",
    "read_manifest",
    "read_samples",
    "setting_of",
    "suite_task",
]

MANIFEST = "manifest.json"
SAMPLES = "samples.jsonl"
BUDGET_S = 900.0
PREFILL_PER_S = 1000.0
DECODE_PER_S = 60.0
_REASONING_ROOM = 384  # tokens of thoughts and answer about a picture
_STEPS_ROOM = 512  # of a text problem


@dataclass(frozen=True, kw_only=True)
class SuiteTask:
    """One line of the suite's table.

    Attributes:
        id: Name of the task.
        title: What it measures, for people.
        folder: Set it is asked on; several tasks may share one.
        metric: Name of the scoring rule.
        range: Smallest and largest score; the largest may be infinite.
        is_error: Whether lower is better.
        mode: Reasoning "off" (greedy) or "on" (sampled).
        max_tokens: New tokens at most, reasoning included.
        samples: How many the suite holds at its usual size.
        prompt_tokens, answer_tokens: Expected for one sample, for the estimate of the time.
        options: Changes to the input, see `nanovl.evals.modes.OPTIONS`.
        baselines: Names in `nanovl.evals.baselines`.
        must, aim: Targets in the unit of the score; None where the issue names none.
    """

    id: str
    title: str
    folder: str
    metric: str
    range: tuple[float, float] = (0.0, 1.0)
    is_error: bool = False
    mode: Literal["off", "on"] = "off"
    max_tokens: int
    samples: int
    prompt_tokens: int
    answer_tokens: int
    options: Mapping[str, Any] = field(default_factory=dict)
    baselines: tuple[str, ...] = ()
    must: float | None = None
    aim: float | None = None

    @property
    def seconds(self) -> float:
        """Estimated time of the task on two cores."""
        one = self.prompt_tokens / PREFILL_PER_S + self.answer_tokens / DECODE_PER_S
        return self.samples * one


@dataclass(frozen=True, kw_only=True)
class Gain:
    """A difference of two tasks on the same samples.

    Attributes:
        id, title: Of the line in the table.
        better, worse: Ids of the tasks; the gain is the first less the second.
        must, aim: Targets in the unit of the tasks.
    """

    id: str
    title: str
    better: str
    worse: str
    must: float | None = None
    aim: float | None = None


_STRIP = {"max_tiles": 4}
_PAGE = {"max_tiles": 6}
_SMALL = {"max_tiles": 1}
_CLIP = {"max_frames": 16}

TASKS: tuple[SuiteTask, ...] = (
    # -- reading
    SuiteTask(
        id="mini-read-lines", title="line reading, unseen fonts", folder="read-lines",
        metric="cer", range=(0.0, float("inf")), is_error=True, max_tokens=64, samples=40,
        prompt_tokens=1310, answer_tokens=15, options=_STRIP, baselines=("tesseract",),
        must=0.03, aim=0.007,
    ),
    SuiteTask(
        id="mini-read-pages-clean", title="clean rendered page", folder="read-pages-clean",
        metric="cer", range=(0.0, float("inf")), is_error=True, max_tokens=512, samples=10,
        prompt_tokens=1830, answer_tokens=220, options=_PAGE, baselines=("tesseract",),
        must=0.10, aim=0.02,
    ),
    SuiteTask(
        id="mini-read-pages-degraded", title="degraded page (blur, skew, noise)",
        folder="read-pages-degraded", metric="cer", range=(0.0, float("inf")), is_error=True,
        max_tokens=512, samples=10, prompt_tokens=1830, answer_tokens=220, options=_PAGE,
        baselines=("tesseract",), must=0.25,
    ),
    # -- key information
    SuiteTask(
        id="mini-receipts", title="SROIE receipts, four fields", folder="receipts",
        metric="field_f1", range=(0.0, 100.0), max_tokens=192, samples=28, prompt_tokens=1100,
        answer_tokens=80, options=_PAGE, baselines=("regex-receipt", "majority"),
        must=40.0, aim=75.0,
    ),
    SuiteTask(
        id="mini-forms", title="forms and invoices, fields as JSON", folder="forms",
        metric="field_f1", range=(0.0, 100.0), max_tokens=256, samples=10, prompt_tokens=1880,
        answer_tokens=90, options=_PAGE, baselines=("label-line", "majority"),
    ),
    # -- tables and charts
    SuiteTask(
        id="mini-tables-wtq", title="WikiTableQuestions on rendered tables", folder="tables-wtq",
        metric="set_match", max_tokens=48, samples=24, prompt_tokens=1840, answer_tokens=8,
        options=_PAGE, baselines=("overlap-cell", "majority"), must=0.10, aim=0.20,
    ),
    SuiteTask(
        id="mini-tables-facts", title="statements about tables, true or false",
        folder="tables-facts", metric="word_match", max_tokens=8, samples=20, prompt_tokens=1840,
        answer_tokens=2, options=_PAGE, baselines=("majority", "random-choice"),
    ),
    SuiteTask(
        id="mini-charts", title="questions on synthesised charts", folder="charts",
        metric="relaxed_accuracy", max_tokens=32, samples=28, prompt_tokens=1850, answer_tokens=6,
        options=_PAGE, baselines=("majority",), must=0.50, aim=0.85,
    ),
    SuiteTask(
        id="mini-charts-choice", title="misleading charts, four options", folder="charts-choice",
        metric="mcq_vanilla", max_tokens=16, samples=12, prompt_tokens=1900, answer_tokens=2,
        options=_PAGE, baselines=("first-option", "random-option", "majority"),
    ),
    # -- reading comprehension
    SuiteTask(
        id="mini-pages-stories", title="FairytaleQA on rendered pages", folder="pages-stories",
        metric="anls", max_tokens=48, samples=14, prompt_tokens=1860, answer_tokens=12,
        options=_PAGE, baselines=("overlap-span", "majority"), must=0.20, aim=0.45,
    ),
    SuiteTask(
        id="mini-pages-xquad-en", title="XQuAD English on rendered pages",
        folder="pages-xquad-en", metric="anls", max_tokens=48, samples=12, prompt_tokens=1860,
        answer_tokens=8, options=_PAGE, baselines=("overlap-span", "majority"),
        must=0.20, aim=0.45,
    ),
    SuiteTask(
        id="mini-pages-xquad-other", title="XQuAD in other languages, rendered",
        folder="pages-xquad-other", metric="anls", max_tokens=64, samples=11, prompt_tokens=1900,
        answer_tokens=15, options=_PAGE, baselines=("majority",),
    ),
    # -- arithmetic
    SuiteTask(
        id="mini-maths-read-off", title="arithmetic over what is read, reasoning off",
        folder="maths-read", metric="number_match", max_tokens=48, samples=20, prompt_tokens=1100,
        answer_tokens=6, options=_PAGE, baselines=("majority",),
    ),
    SuiteTask(
        id="mini-maths-read-on", title="arithmetic over what is read, reasoning on",
        folder="maths-read", metric="number_match", mode="on", max_tokens=_REASONING_ROOM,
        samples=20, prompt_tokens=1100, answer_tokens=110, options=_PAGE, baselines=("majority",),
    ),
    SuiteTask(
        id="mini-maths-text", title="grade-school problems in text, reasoning on",
        folder="maths-text", metric="number_match", mode="on", max_tokens=_STEPS_ROOM, samples=10,
        prompt_tokens=150, answer_tokens=180, baselines=("majority", "last-number"),
    ),
    # -- tools
    SuiteTask(
        id="mini-tools", title="tool calls", folder="tools", metric="call_equality",
        max_tokens=160, samples=24, prompt_tokens=620, answer_tokens=50, baselines=("silent",),
    ),
    # -- video
    SuiteTask(
        id="mini-video-order", title="what happens, in which order", folder="video-order",
        metric="word_match", max_tokens=32, samples=10, prompt_tokens=4400, answer_tokens=4,
        options=_CLIP, baselines=("majority",),
    ),
    SuiteTask(
        id="mini-video-time", title="when it happens", folder="video-time", metric="time_iou",
        max_tokens=32, samples=8, prompt_tokens=4400, answer_tokens=12, options=_CLIP,
        baselines=("whole-clip",),
    ),
    # -- long context
    SuiteTask(
        id="mini-needles", title="facts hidden in 1K to 16K tokens", folder="needles",
        metric="needles", max_tokens=48, samples=10, prompt_tokens=6200, answer_tokens=12,
        baselines=("overlap-sentence",), aim=0.95,
    ),
    # -- pictures
    SuiteTask(
        id="mini-grounding", title="boxes of objects", folder="grounding", metric="box_iou",
        max_tokens=96, samples=24, prompt_tokens=300, answer_tokens=30, options=_SMALL,
        baselines=("middle-box",),
    ),
    SuiteTask(
        id="mini-naming-choice", title="naming clip art, lettered options",
        folder="naming-choice", metric="mcq_vanilla", max_tokens=8, samples=24, prompt_tokens=330,
        answer_tokens=2, options=_SMALL, baselines=("first-option", "random-option", "majority"),
    ),
    SuiteTask(
        id="mini-naming", title="naming clip art freely", folder="naming", metric="anls",
        max_tokens=24, samples=16, prompt_tokens=280, answer_tokens=5, options=_SMALL,
        baselines=("majority",),
    ),
)  # fmt: skip
"""All tasks, in the order of the report."""

GAINS: tuple[Gain, ...] = (
    Gain(
        id="mini-maths-read-gain", title="arithmetic over what is read, reasoning on minus off",
        better="mini-maths-read-on", worse="mini-maths-read-off", must=0.10, aim=0.30,
    ),
)  # fmt: skip


def suite_task(name: str) -> SuiteTask:
    """The task of this id.

    Raises:
        ConfigError: There is none; names the nearest.
    """
    known = {task.id: task for task in TASKS}
    if name not in known:
        raise ConfigError(
            f"mini-suite has no task {name!r}{nearest(name, known)}; tasks: {', '.join(known)}"
        )
    return known[name]


def estimated_seconds(tasks: Iterable[SuiteTask] = TASKS) -> float:
    """Time a run of some tasks takes on two cores at the usual speeds of a mini model."""
    return sum(task.seconds for task in tasks)


# -- Files ---------------------------------------------------------------------------------------


def read_manifest(suite: Path, *, verify: bool = False) -> dict[str, Any]:
    """The manifest of a suite.

    Args:
        suite: Its folder.
        verify: Compare every file with its SHA-256.

    Raises:
        InputError: It is missing or broken, or a file is not the one the suite was built with.
    """
    path = suite / MANIFEST
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        files = dict(found["files"])
    except FileNotFoundError:
        raise InputError(
            f"{path}: not found; build the suite: python -m tools.mini_suite --data DATA --out DIR"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: is no manifest of a suite ({error}); build it again") from error
    if verify:
        for name, expected in files.items():
            got = sha256_of(suite / name)
            if got != expected:
                raise InputError(
                    f"{suite / name}: SHA-256 is {got[:16]}..., the manifest says "
                    f"{str(expected)[:16]}...; build the suite again"
                )
    return dict(found)


def read_samples(suite: Path, task: SuiteTask) -> tuple[Sample, ...]:
    """Samples of a task, in the order of their file.

    Args:
        suite: Folder of the suite.
        task: One of `TASKS`.

    Raises:
        InputError: The set is missing or has a line that is no sample; names file and line.
    """
    folder = suite / task.folder
    if not (folder / SAMPLES).is_file():
        raise InputError(
            f"{folder / SAMPLES}: not found; build the suite: "
            "python -m tools.mini_suite --data DATA --out DIR"
        )
    return tuple(read_folder(folder, ReadLog(strict=True)))


def prompt_of(task: SuiteTask) -> Callable[[Sample], Prompt]:
    """How a task is asked: the media, then the text of the sample as it stands."""

    def prompt(sample: Sample) -> Prompt:
        return Prompt(content=[*sample.media, sample.question], max_tokens=task.max_tokens)

    return prompt


def setting_of(task: SuiteTask) -> Setting:
    """Mode and changes to the input of a task."""
    return Setting(mode=mode_for(task.mode, modality="multimodal"), options=dict(task.options))


def asked_task(suite: Path, task: SuiteTask) -> Task:
    """A task as the runner takes it.

    Args:
        suite: Folder of the suite.
        task: One of `TASKS`.

    Raises:
        InputError: The set cannot be read.
    """
    samples = read_samples(suite, task)
    manifest = read_manifest(suite)
    return Task(
        id=task.id,
        samples=samples,
        prompt=prompt_of(task),
        metric=task.metric,
        manifest={"suite": manifest["suite"], "set": task.folder, **manifest["sets"][task.folder]},
        total=len(samples),
        prompt_set=str(manifest["suite"]),
    )
