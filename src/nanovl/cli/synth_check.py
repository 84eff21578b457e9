"""`nanovl synth check`, `filter` and `export`: what is done with finished data sets."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nanovl.cli import options
from nanovl.cli.console import Progress, guarded, note, one_line, write, write_json
from nanovl.core.config import from_dict, to_dict
from nanovl.core.errors import ConfigError
from nanovl.core.paths import secret

if TYPE_CHECKING:
    from nanovl.synth.quality import Filtered, QualityConfig, Report
    from nanovl.synth.quality.blind import AnswerBlind

__all__ = ["check", "export", "filter_"]

Against = Annotated[
    list[str] | None,
    typer.Option(
        "--against",
        metavar="FILE",
        help="Evaluation file (.jsonl, .json, .parquet, .txt) or folder. May be repeated.",
    ),
]
Workers = Annotated[int, typer.Option("--workers", metavar="N", help="Processes.")]
Skip = Annotated[
    list[str] | None,
    typer.Option("--skip", metavar="RULE", help="Leave a rule out. May be repeated."),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "-o",
        metavar="KEY=VALUE",
        help="A threshold, such as jaccard=0.9, seq_len=49152 or model=tiny. May be repeated.",
    ),
]

Endpoint = Annotated[
    str,
    typer.Option(
        "--endpoint", metavar="URL", help="Also let a model there answer without pictures."
    ),
]
ModelName = Annotated[
    str, typer.Option("--model", "-m", metavar="NAME", help="Name the endpoint knows.")
]
KeyEnv = Annotated[
    str,
    typer.Option("--key-env", metavar="NAME", help="Environment variable with the endpoint's key."),
]


@guarded
def check(
    datasets: Annotated[
        list[str],
        typer.Argument(metavar="DATASET...", help="Folders, mixtures, blend files or .jsonl."),
    ],
    against: Against = None,
    out: Annotated[
        str | None, typer.Option("--out", metavar="DIR", help="Keep report and findings there.")
    ] = None,
    workers: Workers = 1,
    skip: Skip = None,
    settings: Settings = None,
    endpoint: Endpoint = "",
    model: ModelName = "",
    key_env: KeyEnv = "",
    json: options.Json = False,
) -> None:
    """Look for duplicates, overlap with evaluation files, bad pictures, boxes, answers, giveaways.

    \b
    Examples:
      nanovl synth check scenes
      nanovl synth check mixture --against docvqa_val.jsonl --out report --workers 4

    Changes nothing. Ends with exit code 1 when something was found that nanovl synth filter would
    take out. DATASET may be any data set in the released layout. Questions are also answered
    without their pictures, by guessing and, with --endpoint, by a model: what can be is reported.
    """
    from nanovl.synth.quality import check as run

    config = _config(skip, settings)
    with Progress() as progress, _asking(endpoint, model, key_env, out, progress) as ask:
        report = run(
            datasets,
            against=against or (),
            config=config,
            out=out,
            workers=workers,
            ask=ask,
            on_event=progress,
        )
    if json:
        write_json(report.to_json())
    else:
        _report(report)
    if report.num_dropping:
        sys.exit(1)


@guarded
def filter_(
    dataset: Annotated[
        str, typer.Argument(metavar="DATASET", help="A data set, or the folder of a mixture.")
    ],
    out: Annotated[str, typer.Argument(metavar="OUT", help="New folder.")],
    report: Annotated[
        str | None,
        typer.Option(
            "--report", metavar="DIR", help="Of an earlier check; without it the check is run."
        ),
    ] = None,
    against: Against = None,
    keep: Annotated[
        list[str] | None,
        typer.Option("--keep", metavar="RULE", help="Take nothing out for it. May be repeated."),
    ] = None,
    workers: Workers = 1,
    settings: Settings = None,
    json: options.Json = False,
) -> None:
    """Write a data set without what a check found, and a list of what went.

    \b
    Examples:
      nanovl synth filter scenes scenes-clean
      nanovl synth filter mixture clean --report report --keep near_duplicate
    """
    from nanovl.synth.quality import check as run, filter_datasets

    with Progress() as progress, tempfile.TemporaryDirectory(prefix="nanovl-filter-") as scratch:
        if report is None:
            run(
                [dataset],
                against=against or (),
                config=_config(None, settings),
                out=scratch,
                workers=workers,
                on_event=progress,
            )
        made = filter_datasets(dataset, out, report or scratch, keep=keep or (), on_event=progress)
    if json:
        write_json([to_dict(one) for one in made])
        return
    write(f"{out}\n")
    for one in made:
        note(_kept(one))


@guarded
def export(
    datasets: Annotated[
        list[str],
        typer.Argument(metavar="DATASET... OUT", help="Data sets made here, and a new folder."),
    ],
    form: Annotated[
        str, typer.Option("--export", metavar="FORM", help="energon-ocr.")
    ] = "energon-ocr",
    prepare: Annotated[
        bool, typer.Option("--prepare/--no-prepare", help="Write energon's index (extra train).")
    ] = True,
    json: options.Json = False,
) -> None:
    """Write pages in a layout other loaders expect.

    \b
    Examples:
      nanovl synth export pages pages-ocr --export energon-ocr
      nanovl synth export mixture ocr --no-prepare

    energon-ocr: shards of KEY.png and KEY.doclaynet.json, read as energon's OCRWebdataset.
    """
    from nanovl.synth.energon_ocr import export_energon_ocr

    if form != "energon-ocr":
        raise ConfigError(f"--export {form!r}: expected energon-ocr")
    if len(datasets) < 2:
        raise ConfigError(f"got {datasets[0]!r} alone, expected DATASET... OUT")
    with Progress() as progress:
        made = export_energon_ocr(datasets[:-1], datasets[-1], prepare=prepare, on_event=progress)
    if json:
        write_json(to_dict(made))
        return
    write(f"{made.folder}\n")
    note(", ".join(f"{name}: {count:,} pages" for name, count in made.pages.items()))
    for reason, count in made.left_out.items():
        note(f"left out {count:,}: {reason}")


@contextmanager
def _asking(
    endpoint: str, model: str, key_env: str, out: str | None, progress: Progress
) -> Iterator[AnswerBlind | None]:
    """The model of the blind test; its answers are kept beside the report."""
    if not endpoint:
        if model or key_env:
            raise ConfigError("--model and --key-env are of --endpoint, which is missing")
        yield None
        return
    from nanovl.synth.model.cache import AnswerCache
    from nanovl.synth.model.client import ChatClient, Endpoint as Where
    from nanovl.synth.quality.blindmodel import by_model

    if not model:
        raise ConfigError("--model is missing; expected the name of a model the endpoint knows")
    key = secret(key_env) if key_env else ""
    if key_env and not key:
        raise ConfigError(f"the environment variable {key_env} is not set; expected the key in it")
    where = Where(url=endpoint, model=model, key=key)
    answers = AnswerCache(None if out is None else Path(out).expanduser() / "blind.answers.sqlite")
    try:
        yield by_model(ChatClient(where, cache=answers), on_event=progress)
    finally:
        answers.close()


def _config(skip: list[str] | None, settings: list[str] | None) -> QualityConfig:
    from nanovl.synth.quality import QualityConfig

    given: dict[str, Any] = options.read_settings(settings)
    return from_dict(QualityConfig, {**given, "skip": skip or given.get("skip", [])}, where="check")


def _report(report: Report) -> None:
    from nanovl.synth.quality import RULES

    units = sum(sizes["units"] for sizes in report.datasets.values())
    records = sum(sizes["records"] for sizes in report.datasets.values())
    for rule, per_set in sorted(report.counts.items()):
        total = sum(per_set.values())
        kind = "reported" if RULES[rule][0] == "report" else "to go"
        write(f"{rule:<20} {total:>8,}  {kind:<9} {RULES[rule][1]}\n")
        for finding in report.examples[rule][:2]:
            where = finding.record or finding.sample or finding.dataset
            note(f"    {where}: {one_line(finding.message)}")
    for name, found in report.blind.items():
        note(f"{name}: {found.right:.1%} of {found.asked:,} questions answered without pictures")
    for rule, reason in report.skipped.items():
        note(f"{rule}: not applied, {reason}")
    if report.evaluation is not None:
        texts = report.evaluation
        note(
            f"compared with {texts.texts:,} texts of {texts.files} evaluation files; "
            f"{texts.short:,} of them are too short to be told from chance"
        )
    note(
        f"{units:,} samples, {records:,} records in {len(report.datasets)} data sets, "
        f"{report.num_dropping:,} findings to go, {report.seconds:.0f} s"
    )
    if report.findings is not None:
        note(f"all findings: {Path(report.findings)}")


def _kept(one: Filtered) -> str:
    rules = ", ".join(f"{rule} {count}" for rule, count in sorted(one.rules.items()))
    return (
        f"{one.name:<22} {one.samples:>8,} samples and {one.records:,} records kept, "
        f"{one.gone_samples:,} and {one.gone_records:,} gone" + (f" ({rules})" if rules else "")
    )
