"""`nanovl eval report|compare|diff-samples`: what the scores of runs say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from nanovl.cli import eval_options as eo, options
from nanovl.cli.console import Progress, guarded, note, one_line, write, write_json
from nanovl.core.errors import ConfigError, InputError

if TYPE_CHECKING:
    from nanovl.evals.contamination import Contamination
    from nanovl.evals.examples import Example
    from nanovl.evals.requests import Task
    from nanovl.evals.runfolder import RunFolder

__all__ = ["compare", "diff_samples", "report"]

_LEVELS = ("auto", "rules", "extended", "judge")

First = Annotated[str, typer.Argument(metavar="RUN_A", help="A scored run.")]
Second = Annotated[str, typer.Argument(metavar="RUN_B", help="Another one.")]
Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="BENCHMARK", help="Those alone. Left out: all both have."),
]


@guarded
def report(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A scored run.")],
    out: Annotated[
        str, typer.Option("--out", metavar="DIR", help="Where to. Left out: into the run.")
    ] = "",
    examples: Annotated[
        int,
        typer.Option("--examples", metavar="N", min=0, help="Worst answers of each benchmark."),
    ] = 8,
    training: Annotated[
        list[str] | None,
        typer.Option(
            "--training",
            metavar="FILE",
            help="Training records to look for the questions in. May be repeated.",
        ),
    ] = None,
    media: Annotated[
        str | None, typer.Option("--media", metavar="PATH", help="Media of the training records.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option("--data", "-d", metavar="DIR", help="Where the files are now, if moved."),
    ] = None,
    profile: eo.Profile = "default",
    level: eo.Level = "auto",
    json: options.Json = False,
) -> None:
    """Write a report of a scored run: Markdown, one HTML page, JSON.

    \b
    Examples:
      nanovl eval report runs/12b
      nanovl eval report runs/mini --training ./train/stage1.jsonl --examples 20

    Beside every score stand its 95 % interval and the numbers the report of the model family
    prints; a difference is only given where metric, mode, split and questions are the same.
    """
    from nanovl.evals.report import collect, write_report
    from nanovl.evals.runfolder import RunFolder

    if level not in _LEVELS:
        raise ConfigError(f"--level {level!r}: expected one of {', '.join(_LEVELS)}")
    folder = RunFolder(Path(run))
    folder.head()
    shown, found, clean = _looked_at(folder, data, examples, training or (), media, profile)
    made = collect(
        folder,
        profile=profile,
        level=cast(Literal["auto", "rules", "extended", "judge"], level),
        examples=shown,
        contamination=found,
        clean=clean,
    )
    paths = write_report(made, Path(out) if out else folder.path)
    if json:
        write_json(made.data())
        return
    for path in paths:
        write(f"{path}\n")


@guarded
def compare(
    first: First,
    second: Second,
    benchmark: Names = None,
    level: eo.Level = "rules",
    profile: eo.Profile = "default",
    settings: Annotated[
        str,
        typer.Option(
            "--settings", metavar="A:B", help="A mode of the first against one of the second."
        ),
    ] = "",
    json: options.Json = False,
) -> None:
    """Say whether two runs differ by more than chance, on the questions both answered.

    \b
    Examples:
      nanovl eval compare runs/bf16 runs/nvfp4
      nanovl eval compare runs/12b runs/12b --settings mm_off:mm_on
    """
    from nanovl.evals.compare import compare as compared
    from nanovl.evals.runfolder import RunFolder

    pair: tuple[str, str] | None = None
    if settings:
        left, sign, right = settings.partition(":")
        if not sign or not left or not right:
            raise ConfigError(f"--settings {settings!r}: expected two modes, such as mm_off:mm_on")
        pair = (left, right)
    found = compared(
        RunFolder(Path(first)),
        RunFolder(Path(second)),
        benchmarks=benchmark or (),
        level=level,
        profile=profile,
        settings=pair,
    )
    if json:
        write_json({"comparisons": [{**vars(one), "clear": one.is_clear} for one in found]})
        return
    heads = ("benchmark", "mode", "items", "first", "second", "difference", "95 %", "p", "")
    rows = [
        (
            one.benchmark,
            one.setting,
            f"{one.items:,}",
            f"{one.first:.1f}",
            f"{one.second:.1f}",
            f"{one.difference:+.1f}",
            f"{one.low:+.1f} to {one.high:+.1f}",
            f"{one.p:.3f}",
            "clear" if one.is_clear else "may be chance",
        )
        for one in found
    ]
    widths = [max(len(row[place]) for row in (heads, *rows)) for place in range(len(heads))]
    for row in (heads, *rows):
        cells = (f"{cell:{width}}" for cell, width in zip(row, widths, strict=True))
        write("  ".join(cells).rstrip() + "\n")
    left_out = sum(one.left_out for one in found)
    if left_out:
        note(f"{left_out:,} questions only one of the runs answered are left out")


@guarded
def diff_samples(
    first: First,
    second: Second,
    benchmark: Names = None,
    level: eo.Level = "rules",
    profile: eo.Profile = "default",
    texts: Annotated[
        bool, typer.Option("--texts", help="Also different texts with equal verdicts.")
    ] = False,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, help="Questions shown at most.")
    ] = 50,
    json: options.Json = False,
) -> None:
    """Show the questions on which two runs differ, the largest losses first.

    \b
    Examples:
      nanovl eval diff-samples runs/bf16 runs/nvfp4 docvqa
    """
    from nanovl.evals.compare import differing
    from nanovl.evals.runfolder import RunFolder

    found = differing(
        RunFolder(Path(first)),
        RunFolder(Path(second)),
        benchmarks=benchmark or (),
        level=level,
        profile=profile,
        texts=texts,
    )
    if json:
        write_json({"differing": len(found), "samples": [vars(one) for one in found[:limit]]})
        return
    for one in found[:limit]:
        write(f"{one.benchmark} {one.sample} ({one.setting}, run {one.run})\n")
        for value, text in zip((one.first, one.second), one.texts, strict=True):
            shown = "-" if value is None else f"{value:.2f}"
            write(f"  {shown:>5}  {one_line(text)[:200]}\n")
    note(f"{len(found):,} questions differ" + (f"; {limit:,} shown" if len(found) > limit else ""))


# --- inside -------------------------------------------------------------------------------------


def _looked_at(
    folder: RunFolder,
    data: str | None,
    examples: int,
    training: Sequence[str],
    media: str | None,
    profile: str,
) -> tuple[list[Example], Mapping[str, Contamination], dict[str, float]]:
    """Worst answers, and questions that were found in training data; both need the files."""
    from nanovl.evals.examples import worst
    from nanovl.evals.source import tasks_of

    if not examples and not training:
        return [], {}, {}
    with Progress() as progress:
        try:
            tasks = tasks_of(folder, data=data, on_event=progress)
        except InputError as error:
            if training:
                raise
            note(f"no examples: {one_line(str(error))}")
            return [], {}, {}
        shown = [
            one for task in tasks for one in worst(folder, task, examples, profile=profile)
        ] if examples else []  # fmt: skip
        if not training:
            return shown, {}, {}
        found = _contaminated(tasks, training, media, progress)
    return shown, found, _clean_scores(folder, found, profile)


def _contaminated(
    tasks: Sequence[Task], training: Sequence[str], media: str | None, progress: Any
) -> Mapping[str, Contamination]:
    from nanovl.evals.contamination import scan, training_items

    store = Path(media) if media else None
    return scan(
        {task.id: task.samples for task in tasks},
        (item for path in training for item in training_items(Path(path), store)),
        on_event=progress,
    )


def _clean_scores(
    folder: RunFolder, found: Mapping[str, Contamination], profile: str
) -> dict[str, float]:
    """Mean verdict in percent without the questions that were found, by benchmark."""
    from nanovl.evals.scorefiles import PEER, SCORES, read_rows

    clean: dict[str, float] = {}
    for name, one in found.items():
        if not one.hits:
            continue
        values = [
            float(row["value"] or 0.0)
            for row in read_rows(folder.file(name, SCORES))
            if row["profile"] == profile
            and row["level"] == "rules"
            and not row["setting"].startswith(PEER)
            and row["sample"] not in one.hits
        ]
        if values:
            clean[name] = 100.0 * sum(values) / len(values)
    return clean
