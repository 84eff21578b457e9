"""Benchmarks of the registry as tasks of the runner: samples, prompts, metric, manifest.

The one place where registry, readers, prompts and metrics meet. It asks and scores nothing.

Source: evaluation specification, sections 3.2, 4.1, 6.14 and 11.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from nanovl.core.errors import InputError
from nanovl.core.events import OnEvent, ignore_event
from nanovl.evals.base import Metric, Sample
from nanovl.evals.modes import Mode, Setting, mode_for
from nanovl.evals.prompts import PromptSet, load_prompts
from nanovl.evals.readers.load import Loaded, load
from nanovl.evals.registry import Benchmark, benchmarks, metric_info, select
from nanovl.evals.requests import Chain, Prompt, Task
from nanovl.evals.scoring.registry import metric

__all__ = ["benchmark_of", "load_tasks", "metric_factory", "named", "settings_for", "suite_tasks"]

_SCICODE = "scicode"


def load_tasks(
    words: Sequence[str],
    source: Path,
    *,
    prompts: str = "default",
    overrides: Path | None = None,
    profile: str = "default",
    parts: Sequence[str] = (),
    limit: int | None = None,
    on_event: OnEvent = ignore_event,
) -> list[Task]:
    """Benchmarks ready to be asked and scored.

    Args:
        words: Ids and suites of the registry.
        source: Folder with their files.
        prompts, overrides: Set of prompts, and a file with pieces of it replaced.
        profile: How the files are read.
        parts: Languages or platforms; none means all that are there.
        limit: Questions of each at most, drawn evenly.
        on_event: Told how far reading is.

    Raises:
        ConfigError: An id, a suite or a prompt set that there is not.
        InputError: A file is missing or unusable; says what to get and where to put it.
    """
    chosen = load_prompts(prompts, overrides)
    found = []
    for one in select(words):
        own_parts = [part for part in parts if part in one.parts]
        for loaded in load(
            one, source, parts=own_parts, profile=profile, limit=limit, on_event=on_event
        ):
            found.append(_task(loaded, chosen, source))
    return found


def suite_tasks(
    folder: Path, words: Sequence[str] = (), *, limit: int | None = None
) -> list[tuple[Task, Setting]]:
    """Tasks of the local suite, each with the mode it is asked in.

    Args:
        folder: Of the suite.
        words: Ids of tasks; none means all.
        limit: Questions of each at most.

    Raises:
        ConfigError: There is no such task.
        InputError: The suite is not there or was changed.
    """
    from nanovl.evals import mini_suite

    chosen = [mini_suite.suite_task(w) for w in words] if words else mini_suite.TASKS
    found = []
    for one in chosen:
        task = mini_suite.asked_task(folder, one)
        best = one.range[1] if one.range[1] not in (0.0, float("inf")) else 1.0
        samples = task.samples if limit is None else task.samples[:limit]
        task = replace(
            task,
            samples=samples,
            best=best,
            lower_is_better=one.is_error,
            peers=one.baselines,
        )
        found.append((task, mini_suite.setting_of(one)))
    return found


def settings_for(task: Task, words: Sequence[str], options: dict[str, Any]) -> list[Setting]:
    """Settings of a task for modes such as "off" and "on", each once.

    Args:
        task: A benchmark of the registry.
        words: "off", "on" or ids of modes.
        options: Changes to the input.
    """
    one = benchmark_of(task.id)
    modality = "multimodal" if one is None else one.modality
    modes: dict[str, Mode] = {}
    for word in words:
        found = mode_for(word, modality=modality, benchmark="" if one is None else one.id)
        modes.setdefault(found.id, found)
    return [Setting(mode=m, options=options) for m in modes.values()]


def benchmark_of(task: str) -> Benchmark | None:
    """The registry's entry of a task, None for those of the local suite."""
    return benchmarks().get(task.partition("/")[0])


def metric_factory(task: Task) -> Callable[[str], Metric]:
    """From profile to the task's metric."""
    one = benchmark_of(task.id)
    name = "" if one is None else one.id

    def make(profile: str) -> Metric:
        made: Any = metric(task.metric, profile, benchmark=name)
        return cast(Metric, replace(made, **task.metric_options) if task.metric_options else made)

    return make


def _task(loaded: Loaded, prompts: PromptSet, source: Path) -> Task:
    one = loaded.benchmark
    best = metric_info(one.metric).range[1]

    def prompt(sample: Sample) -> Prompt:
        return prompts.build(one, sample)

    return Task(
        id=loaded.name,
        samples=loaded.samples,
        prompt=prompt,
        metric=one.metric,
        manifest=loaded.manifest,
        total=loaded.found if one.count_by == "samples" else len(loaded.samples),
        runs=_runs(one),
        best=best,
        chain=_chain(loaded, prompts, source) if one.id == _SCICODE else None,
        prompt_set=prompts.hash,
        metric_options=_scicode_options(source) if one.id == _SCICODE else {},
    )


def _runs(one: Benchmark) -> int:
    """Runs of modes that sample: SciCode's printed values need four (section 2.5)."""
    return 4 if one.id == _SCICODE else one.runs


def _chain(loaded: Loaded, prompts: PromptSet, source: Path) -> Chain:
    """Steps of SciCode see the code of the steps before."""
    from nanovl.evals.scoring.programs import program_of, without_imports
    from nanovl.evals.scoring.scicode import PREFILLED

    steps: dict[str, list[Sample]] = {}
    for sample in loaded.samples:
        steps.setdefault(sample.group, []).append(sample)
    for found in steps.values():
        found.sort(key=lambda s: int(s.meta.get("step", 0)))
    given = {
        sample.id: _given_code(sample, source)
        for sample in loaded.samples
        if _number(sample) in PREFILLED
    }

    def before(sample: Sample) -> list[str]:
        own = steps[sample.group]
        return [other.id for other in own[: own.index(sample)]]

    return Chain(
        before=before,
        prompt=lambda sample, earlier: prompts.build(loaded.benchmark, sample, earlier),
        code=lambda text: without_imports(program_of(text)),
        given=given,
    )


def _number(sample: Sample) -> str:
    return str(sample.meta.get("step_number") or sample.id)


def _scicode_folders(source: Path) -> tuple[Path, ...]:
    base = source if source.is_dir() else source.parent
    return (base, base / _SCICODE, base / _SCICODE / "data")


def _scicode_options(source: Path) -> dict[str, Any]:
    """The file with the results its programs are tested against, where it is there."""
    for folder in _scicode_folders(source):
        path = folder / "test_data.h5"
        if path.is_file():
            return {"data_file": path}
    return {}


def _given_code(sample: Sample, source: Path) -> str:
    """Code of a step that comes with the benchmark's repository."""
    number = _number(sample)
    for folder in _scicode_folders(source):
        for ending in (".txt", ".py"):
            path = folder / f"{number}{ending}"
            if path.is_file():
                text = path.read_text(encoding="utf-8")
                return re.sub(r"\A```python\n|\n```\s*\Z", "", text)
    raise InputError(
        f"scicode: the code of step {number} is given with the benchmark's repository "
        f"(eval/data/{number}.txt); put that file into {_scicode_folders(source)[1]}"
    )


def named(task: str) -> str:
    """Name of a task for people."""
    from nanovl.evals.mini_suite import TASKS

    one = benchmark_of(task)
    part = task.partition("/")[2]
    if one is None:
        return next((own.title for own in TASKS if own.id == task), task)
    return f"{one.name} [{part}]" if part else one.name
