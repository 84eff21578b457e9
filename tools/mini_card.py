"""The model card of the small model, made from what was measured.

Every figure on it is read from the score file and the run folders; where there is none, the card
says so. Must not measure anything.

Source: evaluation specification, section 11.1; issue targets of the small model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from nanovl.checkpoint import CheckpointInfo
from nanovl.checkpoint.random_weights import is_random
from nanovl.core.errors import InputError
from nanovl.evals.mini_suite import GAINS, TASKS, SuiteTask
from nanovl.train.metrics import read_metrics

SOURCES = (
    ("Wikipedia articles behind WikiTableQuestions", "CC BY-SA", "language, pages"),
    ("classic-books-markdown", "public domain", "language, pages"),
    ("python3-doc, gnome-user-docs, debian-handbook, debian-reference",
     "PSF, CC BY-SA 3.0, GPL-2+", "language in 20 languages, pages"),
    ("FairytaleQA", "Apache-2.0", "questions about pages"),
    ("XQuAD, 12 languages", "CC BY-SA 4.0", "questions about pages"),
    ("WikiTableQuestions", "CC BY-SA 4.0", "questions about tables, charts"),
    ("Table-Fact-Checking (TabFact) and WikiSQL questions on its tables",
     "MIT repository; tables CC BY-SA", "questions about tables"),
    ("ICDAR 2019 SROIE receipts", "MIT repository; pictures of the challenge", "receipts"),
    ("Open Clip Art Library", "public domain dedication", "naming pictures"),
    ("GSM8K, training part", "MIT", "worked problems"),
    ("Berkeley Function Calling Leaderboard", "Apache-2.0", "tool calls"),
    ("Python standard library", "PSF-2.0", "code"),
    ("pages, documents, tables, charts, scenes, screens, papers, videos, texts",
     "made by nanovl", "everything"),
)  # fmt: skip
"""Name, licence as its source states it, what it was used for."""
LEVEL = "rules"
"""Of the numbers that count: answers are compared as they stand."""
_PEER = "peer:"
LEFT_OUT = (
    "MisleadingChartQA (no licence stated) and TabMWP (non-commercial) were not trained on. What "
    "training data shared with the validation data was taken out before: by document, by table "
    "row, by picture and by runs of 13 words (`tools/mini_overlap.py`)."
)
LIMITS = (
    "It is very small. It reads short, clear English print best; long pages, handwriting, photos "
    "and other scripts it reads with many errors, and it says so rarely.",
    "It knows almost nothing about the world: it answers from what it sees, and makes up the rest.",
    "Photographs of things, people and places were not in its data.",
    "Arithmetic goes wrong often, and its reasoning may look better than its answer.",
    "It is a demonstration and a test model. Do not let it decide anything.",
)
STEPS = ("vision", "language", "reading", "stage0", "stage1", "stage2", "stage3", "stage4")


class Comparison(Protocol):
    """How far the written weights are from the trained ones."""

    @property
    def tokens(self) -> int: ...
    @property
    def agreement(self) -> float: ...
    @property
    def divergence(self) -> float: ...


@dataclass(frozen=True, kw_only=True)
class Step:
    """What a training step took.

    Attributes:
        name: Of the step.
        updates, samples, tokens: Of the whole step; None where it does not count them.
        hours: Time spent in updates; None where it was not noted.
        device: What it ran on last, "" where it was not noted.
    """

    name: str
    updates: int
    samples: int | None
    tokens: int | None
    hours: float | None
    device: str = ""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known about a model.

    Attributes:
        scores: The score file, empty without one.
        steps: Training steps in order.
    """

    scores: Mapping[str, Any] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()

    @classmethod
    def read(cls, scores: Path | None, runs: Path | None) -> Facts:
        """From a score file and the run folder of the script that makes the model.

        Raises:
            InputError: A file cannot be read.
        """
        found: dict[str, Any] = {}
        if scores is not None:
            try:
                found = dict(json.loads(scores.read_text(encoding="utf-8")))
            except (OSError, ValueError, TypeError) as error:
                raise InputError(f"{scores}: is no file of scores ({error})") from error
        steps = [] if runs is None else [s for name in STEPS if (s := _step(runs / name, name))]
        return cls(scores=found, steps=tuple(steps))


def _step(folder: Path, name: str) -> Step | None:
    if (folder / "metrics.jsonl").is_file():
        rows = {row["update"]: row for row in read_metrics(folder)}
        if not rows:
            return None
        last = rows[max(rows)]
        return Step(
            name=name,
            updates=max(rows),
            samples=int(last["samples"]) if "samples" in last else None,
            tokens=int(last["counters"]["tokens"]) if "counters" in last else None,
            hours=sum(float(row.get("step_s", 0.0)) for row in rows.values()) / 3600,
            device=_device(folder / "run.json"),
        )
    if (folder / "log.jsonl").is_file():  # the encoder's own log; the script knows the time
        lines = [json.loads(x) for x in (folder / "log.jsonl").read_text().splitlines() if x]
        notes = folder.parent / "steps.json"
        done = json.loads(notes.read_text()).get(name, {}) if notes.is_file() else {}
        hours = float(done["seconds"]) / 3600 if "seconds" in done else None
        if lines:
            return Step(name=name, updates=int(lines[-1]["update"]), samples=None, tokens=None,
                        hours=hours)  # fmt: skip
    return None


def _device(path: Path) -> str:
    if not path.is_file():
        return ""
    found = json.loads(path.read_text(encoding="utf-8"))
    count = int(found.get("world_size", 1))
    return (f"{count} x " if count > 1 else "") + str(found.get("device", ""))


def card(info: CheckpointInfo, facts: Facts, close: Comparison, format: str) -> str:
    """The README of the folder."""
    parts = [
        _front(info),
        _what(info, close, format),
        _scores(facts.scores),
        _sources(),
        _compute(facts.steps),
        "## Limits\n\n" + "\n".join(f"- {line}" for line in LIMITS),
    ]
    return "\n\n".join(parts) + "\n"


def _front(info: CheckpointInfo) -> str:
    text = (
        "---\nlibrary_name: nanovl\npipeline_tag: image-text-to-text\nlicense: apache-2.0\n---\n\n"
        f"# nanovl-mini, {info.num_parameters / 1e6:.1f} M parameters\n\n"
        "The small model inside nanovl: the network of Nemotron Nano V2 VL with smaller numbers, "
        "trained from nothing by the five stages of its report on two kinds of data, free real "
        "data and data made by nanovl.\n\n"
        '    nanovl "What is the total?" -a receipt.png'
    )
    if is_random(info.origin):
        text += (
            "\n\n**These weights are random.** They were never trained, and answers are noise; "
            "the folder shows the layout alone."
        )
    return text


def _what(info: CheckpointInfo, close: Comparison, format: str) -> str:
    lm, vision = info.config.lm, info.config.vision
    rows = [
        ("weights", info.origin),
        ("format", f"{format.upper()} in the decoder's linears, BF16 elsewhere"
         if format != "bf16" else "BF16"),
        ("beside the trained weights", f"{close.agreement:.1%} of {close.tokens} answer tokens "
         f"the same, divergence {close.divergence:.2g} nats (on the demo inputs)"),
        ("decoder", f"{lm.num_layers} layers `{lm.pattern}`, width {lm.hidden_size}"),
        ("vision encoder", f"{vision.num_layers} blocks, width {vision.hidden_size}"),
        ("tile", f"{info.config.image_size} pixels, {info.config.tokens_per_tile} visual tokens; "
         f"at most {info.config.max_num_tiles} tiles of a picture"),
        ("context", f"{info.config.max_sequence_length:,} tokens; trained up to 19,456"),
        ("data", f"{info.num_bytes / 1e6:.1f} MB"),
    ]  # fmt: skip
    return "## What it is\n\n" + _table(("", ""), rows)


# --- scores -------------------------------------------------------------------------------------


def percent_of(task: SuiteTask, bar: float | None) -> float | None:
    """A target in percent of the best possible, as scores are."""
    best = task.range[1] if task.range[1] != float("inf") else 1.0
    return None if bar is None else bar * 100.0 / best


def _scores(found: Mapping[str, Any]) -> str:
    head = "## What it can do, measured"
    lines = {line["benchmark"]: line for line in _own(found.get("lines", ()))}
    if not lines:
        return f"{head}\n\nNothing was measured with these weights."
    rows = []
    for task in TASKS:
        line = lines.get(task.id)
        if line is None:
            continue
        score = f"{line['score']:.1f}"
        rows.append(
            (
                task.title,
                task.metric + (", lower is better" if task.is_error else ""),
                f"{line['samples']}",
                score,
                _interval(line),
                _peer(found.get("lines", ()), task),
                _bar(percent_of(task, task.must)),
                _bar(percent_of(task, task.aim)),
                _verdict(task, float(line["score"])),
            )
        )
    for gain in GAINS:
        better, worse = lines.get(gain.better), lines.get(gain.worse)
        if better and worse:
            value = float(better["score"]) - float(worse["score"])
            must = None if gain.must is None else 100 * gain.must
            aim = None if gain.aim is None else 100 * gain.aim
            rows.append(
                (gain.title, "difference, points", f"{better['samples']}", f"{value:+.1f}", "", "",
                 _bar(must), _bar(aim), _word(value, must, aim, error=False))
            )  # fmt: skip
    few = found.get("limit")
    part = "" if few is None else f" **Only {few} samples of each task were asked.**"
    text = (
        f"{head}\n\nOn `{found.get('suite', 'the local suite')}`, validation data that was never "
        "trained on; percent, with 95 % confidence intervals, and what the best rule or program "
        "without this model gets. Targets stand beside the figures whether they are met or not."
        f"{part}\n\n" + _table(_HEAD, rows)
    )
    return text + _further(found)


def _further(found: Mapping[str, Any]) -> str:
    """Long context before the last stage, and videos with pruning, where they were measured."""
    names = {task.id: task.title for task in TASKS}
    rows = [
        (title, names[line["benchmark"]], f"{line['score']:.1f}", _interval(line))
        for key, title in (("before", "before Stage 4"), ("evs", "EVS, 75 % of tokens dropped"))
        for line in _own(found.get(key, ()))
        if line["benchmark"] in names
    ]
    if not rows:
        return ""
    return "\n\n" + _table(("weights and setting", "skill", "score", "95 %"), rows)


_HEAD = ("skill", "metric", "samples", "score", "95 %", "without it", "must", "aim", "met")


def _own(lines: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Numbers of the model that count; baselines and other levels aside."""
    return [
        line
        for line in lines
        if not str(line["setting"]).startswith(_PEER) and line["level"] == LEVEL
    ]


def _peer(lines: Sequence[Mapping[str, Any]], task: SuiteTask) -> str:
    """The best that was reached without the model, and by what."""
    peers = [
        (float(line["score"]), str(line["setting"]).removeprefix(_PEER))
        for line in lines
        if line["benchmark"] == task.id and str(line["setting"]).startswith(_PEER)
        and line["level"] == LEVEL
    ]  # fmt: skip
    if not peers:
        return ""
    score, name = min(peers) if task.is_error else max(peers)
    return f"{score:.1f} ({name})"


def _interval(line: Mapping[str, Any]) -> str:
    found = line.get("interval")
    return f"{found['low']:.1f} to {found['high']:.1f}" if found else ""


def _bar(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _verdict(task: SuiteTask, score: float) -> str:
    must, aim = percent_of(task, task.must), percent_of(task, task.aim)
    return _word(score, must, aim, error=task.is_error)


def _word(score: float, must: float | None, aim: float | None, *, error: bool) -> str:
    def meets(bar: float | None) -> bool:
        return bar is not None and (score <= bar if error else score >= bar)

    if must is None and aim is None:
        return ""
    return "aim" if meets(aim) else "must" if meets(must) else "no"


# --- data, compute ------------------------------------------------------------------------------


def _sources() -> str:
    return "## Data\n\n" + _table(("source", "licence", "used for"), SOURCES) + "\n\n" + LEFT_OUT


def _compute(steps: Sequence[Step]) -> str:
    head = "## Training"
    if not steps:
        return f"{head}\n\nNo run folder was given when this card was written."
    rows = [
        (
            step.name,
            f"{step.updates:,}",
            "" if step.samples is None else f"{step.samples:,}",
            "" if step.tokens is None else f"{step.tokens / 1e6:.1f} M",
            "" if step.hours is None else f"{step.hours:.1f}",
            step.device,
        )
        for step in steps
    ]
    total = sum(step.hours or 0.0 for step in steps)
    text = _table(("step", "updates", "samples", "tokens", "hours", "on"), rows)
    return f"{head}\n\n{text}\n\n{total:.1f} hours together; `make mini` repeats it."


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in lines)
