"""Asks models the questions of the local suite, for every experiment that compares scores.

Answers are kept in one run folder per model and number format, so that experiments share them and
a stopped one loses nothing. Everything is done by the functions behind `nanovl eval`; here is only
decided what is asked of whom. Draws no figure.

Source: evaluation specification, sections 2 and 11.
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from nanovl.checkpoint.names import resolve
from nanovl.core.errors import InputError
from nanovl.core.events import Event
from nanovl.engine.vlm import NanoVL, load
from nanovl.evals.answerers import ModelAnswerer
from nanovl.evals.base import Response
from nanovl.evals.compare import compare
from nanovl.evals.mini_suite import MANIFEST
from nanovl.evals.modes import Setting
from nanovl.evals.requests import Task
from nanovl.evals.runfolder import RunFolder, answered_of, read_log
from nanovl.evals.runner import generate
from nanovl.evals.score import score_task
from nanovl.evals.scorefiles import PEER, Line, scored_lines
from nanovl.evals.source import Source
from nanovl.evals.tasks import metric_factory, suite_tasks
from tools.reproduce_cells import Number, facts, weights_of

__all__ = ["Asked", "Bench", "Make", "difference", "merged", "number_of"]

Make = Callable[[Path], NanoVL]


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What all experiments of a session share.

    Attributes:
        suite: Folder of the local suite.
        work: Folder of everything that is kept: answers, training runs.
        command: As a person types it, without paths of this machine.
        limit: Questions of each task at most.
        runs: Of modes that sample; None takes the task's.
        seed: Of run 0.
        device, dtype: Of models.
    """

    suite: Path
    work: Path
    command: str = ""
    limit: int | None = None
    runs: int | None = None
    seed: int = 0
    device: str = "auto"
    dtype: str = "auto"

    @cached_property
    def suite_hash(self) -> str:
        """Of the manifest, which has the hash of every file.

        Raises:
            InputError: There is no suite.
        """
        path = self.suite / MANIFEST
        if not path.is_file():
            raise InputError(
                f"{path}: not found; build the suite: python -m tools.mini_suite --data DATA "
                "--out DIR, and name it with --suite"
            )
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]

    @property
    def common(self) -> dict[str, Any]:
        """Inputs of everything that is asked."""
        return {
            "suite": self.suite_hash,
            "limit": self.limit,
            "runs": self.runs,
            "seed": self.seed,
            "dtype": self.dtype,
        }

    def tasks(self, names: Sequence[str] = ()) -> dict[str, tuple[Task, Setting]]:
        """Tasks of the suite by id, each with its own setting."""
        return {t.id: (t, s) for t, s in suite_tasks(self.suite, names, limit=self.limit)}

    def open(
        self, name: str | Path, precision: str = "", make: Make | None = None, recipe: str = ""
    ) -> Asked:
        """A model to ask; nothing is loaded before a question.

        Args:
            name: "mini", a checkpoint folder or a hub repository.
            precision: Name of a number format, "" for as stored.
            make: Loads the checkpoint in that format; without it `nanovl.load` does.
            recipe: What else decides what `make` makes.
        """
        return Asked(self, resolve(name), precision, make, recipe)


@dataclass
class Asked:
    """A model, its run folder, and what it answered.

    Args:
        bench: What the session shares.
        folder: Checkpoint.
        precision: Name of a number format, "" for as stored.
        make, recipe: See `Bench.open`.
    """

    bench: Bench
    folder: Path
    precision: str = ""
    make: Make | None = None
    recipe: str = ""
    _model: NanoVL | None = field(default=None, repr=False)

    @cached_property
    def weights(self) -> str:
        """Hash of the checkpoint."""
        return weights_of(self.folder)

    @property
    def title(self) -> str:
        """Name of the checkpoint, for the page."""
        name = self.folder.name
        return f"{self.folder.parent.name}/{name}" if name == "export" else name

    @property
    def inputs(self) -> dict[str, Any]:
        """What decides the answers beside the question."""
        made = {"model": self.weights, "precision": self.precision}
        return {**made, "recipe": self.recipe} if self.recipe else made

    @cached_property
    def run(self) -> RunFolder:
        """Where its answers are kept."""
        bench = self.bench
        words = [self.weights[:8], self.precision or "stored", bench.suite_hash[:8], bench.dtype]
        if self.recipe:
            words.append(hashlib.sha256(self.recipe.encode()).hexdigest()[:8])
        words += [] if bench.limit is None else [f"limit{bench.limit}"]
        words += [] if bench.runs is None else [f"runs{bench.runs}"]
        words += [f"seed{bench.seed}"] if bench.seed else []
        return RunFolder(bench.work / "runs" / "-".join(words))

    @property
    def model(self) -> NanoVL:
        """The model, loaded when it is first needed."""
        if self._model is None:
            bench = self.bench
            if self.make is not None:
                self._model = self.make(self.folder)
            else:
                self._model = load(self.folder, bench.device, bench.dtype, self.precision or None)
        return self._model

    def close(self) -> None:
        """Forget the model; its answers stay."""
        self._model = None

    def facts(self, begun: float) -> dict[str, Any]:
        """See `reproduce_cells.facts`."""
        device = "cpu" if self._model is None else str(self._model.model.device)
        return facts(self.bench.command, begun, device)

    def score(
        self, task: Task, settings: Sequence[Setting], *, peers: bool = False
    ) -> dict[str, Line]:
        """Ask what has no answer yet, and score.

        Args:
            task: Of the suite.
            settings: How it is asked.
            peers: Whether answers that need no model are scored too.

        Returns:
            By label of the setting; with peers, "peer:NAME" as well.

        Raises:
            SystemExit: Questions are left without an answer.
        """
        labels = [setting.label for setting in settings]
        known = self._known(task)
        if all(label in known for label in labels) and (
            not peers or not task.peers or any(label.startswith(PEER) for label in known)
        ):
            return known
        bench = self.bench
        source = Source(words=(task.id,), data=str(bench.suite.absolute()), limit=bench.limit)
        jobs = source.jobs(settings=settings, runs=bench.runs, seed=bench.seed)
        # Named by its weights: a copy in another folder is the same model.
        answerer = ModelAnswerer(self.model, name=self.weights, precision=self.precision)
        totals = generate(self.run, jobs, answerer, on_event=_progress)
        left = totals.sum("left")
        if left:
            raise SystemExit(
                f"{self.run.path}: {left} questions of {task.id} are without an answer "
                f"({', '.join(totals.reasons) or 'stopped'}); the same command asks them again"
            )
        asked = task if peers else replace(task, peers=())
        score_task(self.run, asked, metric_factory(task))
        return self._known(task)

    def responses(self, task: Task, setting: Setting) -> list[Response]:
        """Answers of a task under a setting."""
        found = []
        for line in read_log(self.run.responses(task.id)):
            response, _ = answered_of(line)
            if response is not None and line["setting"] == setting.label:
                found.append(response)
        return found

    def _known(self, task: Task) -> dict[str, Line]:
        """Numbers that are complete, by setting."""
        if not self.run.exists or task.id not in self.run.benchmarks():
            return {}
        try:
            lines = scored_lines(self.run, task.id)
        except InputError:  # asked, not scored
            return {}
        return {
            line.setting: line
            for line in lines
            if line.level == "rules" and line.profile == "default" and line.is_complete
        }


def number_of(line: Line) -> Number:
    """A score with its interval, in percent."""
    ends = (None, None) if line.interval is None else (line.interval.low, line.interval.high)
    return Number(value=line.score, low=ends[0], high=ends[1], n=line.samples)


def difference(
    after: Asked, before: Asked, task: Task, settings: tuple[Setting, Setting]
) -> Number:
    """How much better the first is than the second on the same questions, in points.

    For errors the sign is turned: more is always better.

    Args:
        after, before: Scored.
        task: Which questions.
        settings: Of either.

    Raises:
        InputError: They share no scored question.
    """
    labels = (settings[0].label, settings[1].label)
    (found,) = compare(after.run, before.run, benchmarks=(task.id,), settings=labels)
    value, low, high = found.difference, found.low, found.high
    if task.lower_is_better:
        value, low, high = -value, -high, -low
    return Number(value=value, low=low, high=high, n=found.items)


def merged(setting: Setting, **options: Any) -> Setting:
    """The setting with some options changed."""
    return replace(setting, options={**setting.options, **options})


def _progress(event: Event) -> None:
    """One line every few seconds, so that a log stays readable."""
    now = time.monotonic()
    if event.done == event.total or now - _progress_at[0] > 10:
        _progress_at[0] = now
        print(f"{event.name}: {event.done}/{event.total} {event.unit}", file=sys.stderr, flush=True)


_progress_at = [0.0]
