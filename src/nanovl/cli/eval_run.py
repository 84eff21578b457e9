"""`nanovl eval run|score`: ask a model, and judge what it said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nanovl.cli import eval_options as eo, options
from nanovl.cli.console import Progress, fail, guarded, note, one_line, write, write_json
from nanovl.core.errors import ConfigError

if TYPE_CHECKING:
    from nanovl.evals.base import Judge
    from nanovl.evals.requests import Task
    from nanovl.evals.runfolder import RunFolder
    from nanovl.evals.runner import Totals, Verification
    from nanovl.evals.scorefiles import Line

__all__ = ["ask", "judge_of", "run", "score", "score_tasks", "tell_asked", "tell_files"]

JudgeUrl = Annotated[
    str,
    typer.Option(
        "--judge", metavar="URL", help="Server that decides what rules cannot. Left out: rules."
    ),
]
JudgeModel = Annotated[
    str, typer.Option("--judge-model", metavar="NAME", help="Name the judge's server knows.")
]
JudgeKeyEnv = Annotated[
    str,
    typer.Option(
        "--judge-key-env", metavar="NAME", help="Environment variable with the judge's key."
    ),
]


@guarded
def run(
    words: eo.Words,
    data: eo.Data = ".",
    out: eo.Out = "",
    model: eo.Model = "mini",
    endpoint: eo.Endpoint = "",
    mode: eo.Mode = "",
    limit: eo.Limit = None,
    runs: eo.Runs = None,
    seed: eo.Seed = 0,
    part: eo.Parts = None,
    prompts: eo.Prompts = "default",
    prompt_file: eo.PromptFile = "",
    profile: eo.Profile = "default",
    max_tiles: options.MaxTiles = None,
    evs: options.Evs = None,
    fps: options.Fps = None,
    max_frames: options.MaxFrames = None,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    quant: options.Quant = None,
    slots: Annotated[
        int, typer.Option("--slots", metavar="N", min=1, help="Answers decoded together.")
    ] = 16,
    key_env: eo.KeyEnv = "",
    parallel: eo.Parallel = 8,
    timeout: eo.Timeout = 1800.0,
    retries: eo.Retries = 6,
    transport: eo.Transport = "original",
    fields: eo.Fields = None,
    verify: Annotated[
        int,
        typer.Option(
            "--verify", metavar="N", help="Then ask N questions again, alone and in other order."
        ),
    ] = 0,
    no_score: Annotated[
        bool, typer.Option("--no-score", help="Only ask; nanovl eval score scores later.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Ask a model all questions of some benchmarks, and score the answers.

    \b
    Examples:
      nanovl eval run mini --data ./mini-suite --out runs/mini
      nanovl eval run table8 --data ./LMUData --out runs/12b -m ./checkpoint --mode off,on
      nanovl eval run docvqa --data ./LMUData --out runs/x --endpoint http://localhost:8000/v1 -m x

    The same command continues a run that was stopped: answers on disk are not asked for again,
    failures are. Exits with 1 when questions are left without an answer.
    """
    if not out:
        raise ConfigError("--out is missing; expected the folder of the run")
    from nanovl.evals.runfolder import RunFolder
    from nanovl.evals.source import Source

    source = Source(
        words=tuple(w for word in words for w in eo.words_of(word)),
        data=data,
        prompts=prompts,
        overrides=prompt_file,
        profile=profile,
        parts=tuple(part or ()),
        limit=limit,
    )
    changes = eo.input_options(max_tiles, evs, fps, max_frames)
    with Progress() as progress:
        jobs = source.jobs(eo.words_of(mode), changes, runs=runs, seed=seed, on_event=progress)
    tell_files(jobs)
    who = eo.answerer(
        model,
        endpoint=endpoint,
        server={"key_env": key_env, "timeout": timeout, "retries": retries, "fields": fields},
        parallel=parallel,
        transport=transport,
        device=device,
        dtype=dtype,
        quant=quant,
        max_slots=slots,
    )
    folder = RunFolder(Path(out))
    totals, checked = ask(folder, jobs, who, verify)
    lines = []
    if not no_score:
        done = [
            job.task for job in jobs if totals.benchmarks[job.task.id].left < _asked(totals, job)
        ]
        lines = score_tasks(folder, done, (profile,))
    if json:
        write_json(_document(folder, jobs, totals, checked, lines))
    else:
        tell_asked(folder, totals, checked)
        write_lines(lines)
    left = sum(counts.left for counts in totals.benchmarks.values())
    if left:
        fail(f"{left:,} questions are without an answer; the same command asks them again", 1)


@guarded
def score(
    run_: Annotated[str, typer.Argument(metavar="RUN", help="Folder of nanovl eval run.")],
    benchmark: Annotated[
        list[str] | None,
        typer.Argument(metavar="BENCHMARK", help="Those alone. Left out: all of the run."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option("--data", "-d", metavar="DIR", help="Where the files are now, if moved."),
    ] = None,
    profile: Annotated[
        str,
        typer.Option("--profile", metavar="LIST", help="default, vk, legacy, a list, or all."),
    ] = "default",
    judge: JudgeUrl = "",
    judge_model: JudgeModel = "",
    judge_key_env: JudgeKeyEnv = "",
    parallel: Annotated[
        int, typer.Option("--parallel", metavar="N", help="Questions to the judge at one time.")
    ] = 8,
    unsafe_local: Annotated[
        bool,
        typer.Option("--unsafe-local", help="Execute answers that are programs without a sandbox."),
    ] = False,
    json: options.Json = False,
) -> None:
    """Score the answers of a run again: by other rules, or with a judge.

    \b
    Examples:
      nanovl eval score runs/12b
      nanovl eval score runs/12b --profile all --json
      nanovl eval score runs/12b mmstar --judge http://localhost:8001/v1 --judge-model NAME

    Needs no model: the answers are on disk. Without a judge, rules decide, and what they cannot
    decide stays unscored and counts as wrong; nothing is drawn at random.
    """
    from nanovl.evals.runfolder import RunFolder
    from nanovl.evals.scoring.edits import PROFILES
    from nanovl.evals.source import tasks_of

    folder = RunFolder(Path(run_))
    profiles = PROFILES if profile == "all" else tuple(eo.words_of(profile))
    with Progress() as progress:
        tasks = tasks_of(folder, benchmark or (), data=data, on_event=progress)
    if unsafe_local:
        tasks = [_unprotected(task) for task in tasks]
    lines = score_tasks(
        folder,
        tasks,
        profiles,
        judge=(judge, judge_model, judge_key_env) if judge else None,
        threads=parallel,
    )
    if json:
        write_json({"run": str(folder.path), "scores": [asdict(line) for line in lines]})
    else:
        write_lines(lines)


# --- what other verbs use too -------------------------------------------------------------------


def ask(
    folder: RunFolder, jobs: Sequence[Any], who: Any, verify: int = 0
) -> tuple[Totals, Verification | None]:
    """Ask what has no answer yet; says where answers are kept when it is interrupted."""
    from nanovl.evals.runner import generate, verify as ask_again

    try:
        with Progress() as progress:
            totals = generate(folder, jobs, who, facts=_facts(), on_event=progress)
            checked = (
                ask_again(folder, jobs, who, verify, on_event=progress) if verify > 0 else None
            )
    except KeyboardInterrupt:
        note(f"the answers are kept in {folder.path}; the same command goes on from there")
        raise
    return totals, checked


def score_tasks(
    folder: RunFolder,
    tasks: Sequence[Task],
    profiles: Sequence[str],
    *,
    judge: tuple[str, str, str] | None = None,
    threads: int = 8,
) -> list[Line]:
    """Numbers of several benchmarks; `judge` is address, model and variable of the key."""
    from nanovl.evals.score import score_task
    from nanovl.evals.tasks import metric_factory

    lines: list[Line] = []
    with Progress() as progress:
        for task in tasks:
            one = judge_of(folder, task.id, judge) if judge else None
            lines += score_task(
                folder,
                task,
                metric_factory(task),
                profiles=profiles,
                judge=one,
                threads=threads,
                on_event=progress,
            )
    return lines


def judge_of(folder: RunFolder, benchmark: str, judge: tuple[str, str, str]) -> Judge:
    """The judge, whose replies are kept beside the answers."""
    from nanovl.evals.judge import open_judge

    url, model, key_env = judge
    endpoint = eo.chat_endpoint(url, model, key_env=key_env)
    return open_judge(endpoint, folder.file(benchmark, "judge.jsonl"))


def tell_files(jobs: Sequence[Any]) -> None:
    """Rows that cannot be used and counts that are not the published ones, on standard error."""
    from nanovl.evals.native import check_manifest

    for job in jobs:
        for line in check_manifest(job.task.id, job.task.manifest).lines():
            note(line)


def tell_asked(folder: RunFolder, totals: Totals, checked: Verification | None = None) -> None:
    """What a session did, on standard error."""
    note(
        f"{folder.path}: {totals.sum('answered'):,} answered, {totals.sum('kept'):,} were there, "
        f"{totals.sum('failed'):,} failed, {totals.sum('left'):,} left"
        + (f", {totals.retries:,} tried again" if totals.retries else "")
    )
    for name, count in sorted(totals.reasons.items()):
        note(f"  failed   {count:>7,}  {name}")
    for name, size in totals.dropped.items():
        note(f"  {name}: a torn last line of {size:,} bytes was cut off and asked again")
    if checked is not None:
        note(
            f"verified {checked.checked:,}: {checked.alone:,} differ when asked alone, "
            f"{checked.other_order:,} in another order"
        )


def write_lines(lines: Sequence[Line]) -> None:
    """Numbers with their intervals, on standard output."""
    if not lines:
        return
    from nanovl.evals.scorefiles import PEER

    heads = ("benchmark", "mode", "profile", "level", "score", "95 %", "answered", "unscored")
    rows = [
        (
            line.benchmark,
            line.setting.removeprefix(PEER)
            + (" (no model)" if line.setting.startswith(PEER) else ""),
            line.profile,
            line.level,
            f"{line.score:.1f}",
            f"{line.interval.low:.1f} to {line.interval.high:.1f}" if line.interval else "",
            f"{line.answered:,}/{line.samples * line.runs:,}",
            f"{line.unscored:,}" if line.unscored else "",
        )
        for line in lines
    ]
    widths = [max(len(row[place]) for row in (heads, *rows)) for place in range(len(heads))]
    for row in (heads, *rows):
        cells = (f"{cell:{width}}" for cell, width in zip(row, widths, strict=True))
        write("  ".join(cells).rstrip() + "\n")


# --- inside -------------------------------------------------------------------------------------


def _unprotected(task: Task) -> Task:
    from nanovl.evals.tasks import benchmark_of

    one = benchmark_of(task.id)
    if one is None or not one.sandbox:
        return task
    return replace(task, metric_options={**task.metric_options, "unsafe_local": True})


def _asked(totals: Totals, job: Any) -> int:
    return totals.benchmarks[job.task.id].wanted


def _facts() -> dict[str, Any]:
    """Versions and machine, for `run.json`."""
    import platform
    from importlib.metadata import version

    import torch

    from nanovl import __version__

    return {
        "versions": {
            "nanovl": __version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            **{name: version(name) for name in ("numpy", "pillow", "tokenizers")},
        },
        "hardware": f"{platform.machine()}, {torch.get_num_threads()} threads"
        + (f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""),
    }


def _document(
    folder: RunFolder,
    jobs: Sequence[Any],
    totals: Totals,
    checked: Verification | None,
    lines: Sequence[Line],
) -> dict[str, Any]:
    from nanovl.evals.native import check_manifest

    return {
        "run": str(folder.path),
        "benchmarks": {
            name: {**vars(counts), "left": counts.left}
            for name, counts in totals.benchmarks.items()
        },
        "files": {
            job.task.id: vars(check_manifest(job.task.id, job.task.manifest)) for job in jobs
        },
        "failures": {one_line(name): count for name, count in totals.reasons.items()},
        "retries": totals.retries,
        "verified": None if checked is None else vars(checked),
        "scores": [asdict(line) for line in lines],
    }
