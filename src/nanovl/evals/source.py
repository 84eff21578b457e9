"""Which questions a run asks: read once to ask them, and found again to score the answers.

What is needed to find them is kept in `run.json`, benchmark by benchmark, so that scoring and
reporting take the folder of the run alone. Asks and scores nothing.

Source: evaluation specification, section 11.2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nanovl.core.config import from_dict, nearest, to_dict
from nanovl.core.errors import ConfigError, InputError
from nanovl.core.events import OnEvent, ignore_event
from nanovl.evals.mini_suite import TASKS
from nanovl.evals.modes import Setting, mode_for
from nanovl.evals.requests import Task
from nanovl.evals.runfolder import RunFolder
from nanovl.evals.runner import Job
from nanovl.evals.tasks import load_tasks, settings_for, suite_tasks

__all__ = ["MINI", "Source", "tasks_of"]

MINI = "mini"
"""Word that names the local suite."""

_MINI_IDS = frozenset(task.id for task in TASKS)


@dataclass(frozen=True, kw_only=True)
class Source:
    """Questions of some benchmarks.

    Attributes:
        words: Ids and suites of the registry, or "mini" and ids of its tasks.
        data: Folder with the benchmarks' files, or of the local suite.
        prompts, overrides: Set of prompts, and a file with pieces of it replaced.
        profile: How the files are read.
        parts: Languages or platforms; none means all.
        limit: Questions of each benchmark at most.

    Raises:
        ConfigError: No benchmark is named, or the local suite together with others.
    """

    words: tuple[str, ...]
    data: str
    prompts: str = "default"
    overrides: str = ""
    profile: str = "default"
    parts: tuple[str, ...] = ()
    limit: int | None = None

    def __post_init__(self) -> None:
        if not self.words:
            raise ConfigError("no benchmark named; nanovl eval list shows what there is")
        local = {word for word in self.words if self._is_local(word)}
        if local and len(local) < len(set(self.words)):
            raise ConfigError(
                f"{', '.join(sorted(local))}: the local suite has files of its own; run it apart "
                "from the public benchmarks"
            )

    @staticmethod
    def _is_local(word: str) -> bool:
        return word == MINI or word in _MINI_IDS

    @property
    def is_local(self) -> bool:
        """Whether these are tasks of the local suite."""
        return self._is_local(self.words[0])

    def jobs(
        self,
        modes: Sequence[str] = (),
        options: Mapping[str, Any] | None = None,
        *,
        runs: int | None = None,
        seed: int = 0,
        settings: Sequence[Setting] = (),
        on_event: OnEvent = ignore_event,
    ) -> list[Job]:
        """What is asked, and how.

        Args:
            modes: "off", "on" or ids of modes; none takes off, and of the local suite the modes of
                its tasks.
            options: Changes to the input, for every benchmark.
            runs: Of modes that sample; None takes the benchmark's.
            seed: Of run 0.
            settings: Asked instead of modes and options; the points of a sweep.
            on_event: Told about reading.

        Raises:
            ConfigError: A benchmark, mode or option there is not.
            InputError: A file is missing or unusable.
        """
        changes = dict(options or {})
        jobs = []
        for task, own in self._read(on_event):
            chosen: Sequence[Setting]
            if settings:
                chosen = settings
            elif own is not None and not modes:
                chosen = [replace(own, options={**own.options, **changes})]
            else:
                words = modes or ("off",)
                chosen = (
                    settings_for(task, words, changes)
                    if own is None
                    else [
                        Setting(mode=mode_for(w, modality="multimodal"), options=changes)
                        for w in words
                    ]
                )
            jobs.append(
                Job(task=task, settings=chosen, runs=runs, seed=seed, source=self._of(task))
            )
        return jobs

    def tasks(self, on_event: OnEvent = ignore_event) -> list[Task]:
        """The questions alone."""
        return [task for task, _ in self._read(on_event)]

    def _read(self, on_event: OnEvent) -> list[tuple[Task, Setting | None]]:
        data = Path(self.data)
        if self.is_local:
            words = () if MINI in self.words else self.words
            return list(suite_tasks(data, words, limit=self.limit))
        tasks = load_tasks(
            self.words,
            data,
            prompts=self.prompts,
            overrides=Path(self.overrides) if self.overrides else None,
            profile=self.profile,
            parts=self.parts,
            limit=self.limit,
            on_event=on_event,
        )
        return [(task, None) for task in tasks]

    def _of(self, task: Task) -> dict[str, Any]:
        """What finds this one task again."""
        data = str(Path(self.data).absolute())
        name, _, part = task.id.partition("/")
        kept = (part,) if part else ()
        return dict(to_dict(replace(self, words=(name,), data=data, parts=kept)))


def tasks_of(
    folder: RunFolder,
    names: Sequence[str] = (),
    *,
    data: str | None = None,
    on_event: OnEvent = ignore_event,
) -> list[Task]:
    """The questions a run was asked, read again.

    Args:
        folder: The run.
        names: Benchmarks of it; none means all.
        data: Folder with the files, when they were moved.
        on_event: Told about reading.

    Raises:
        ConfigError: The run has no such benchmark.
        InputError: The files are gone, or are not those that were asked.
    """
    head = folder.head()["benchmarks"]
    for name in names:
        if name not in head:
            raise ConfigError(
                f"{folder.path}: has no benchmark {name!r}{nearest(name, head)}; it has "
                f"{', '.join(head)}"
            )
    by_source: dict[str, list[str]] = {}
    sources: dict[str, Source] = {}
    for name in names or head:
        found = head[name].get("source")
        if not found:
            raise InputError(
                f"{folder.head_path}: does not say where the questions of {name} are; ask it "
                "again with nanovl eval run"
            )
        source = from_dict(Source, {**found, "data": data or found["data"]}, where=name)
        by_source.setdefault(repr(source), []).append(name)
        sources[repr(source)] = source
    tasks = {}
    for key, asked in by_source.items():
        for task in sources[key].tasks(on_event):
            if task.id in asked:
                folder.check_manifest(task.id, task.manifest)
                tasks[task.id] = task
    missing = [name for name in names or head if name not in tasks]
    if missing:
        raise InputError(
            f"{', '.join(missing)}: the files no longer hold these questions; were they changed?"
        )
    return [tasks[name] for name in names or head]
