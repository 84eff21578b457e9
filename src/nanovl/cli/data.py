"""`nanovl data ...`: make data sets, look into them, check them, index them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nanovl.cli import data_report, options
from nanovl.cli.console import Progress, guarded, note, one_line, write, write_json
from nanovl.core.config import from_dict

if TYPE_CHECKING:
    from nanovl.data.blend import Source
    from nanovl.data.encode import SampleEncoder

__all__ = ["data"]

data = typer.Typer(
    name="data",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
)

_PROBLEMS_SHOWN = 100

Path_ = Annotated[
    str,
    typer.Argument(
        metavar="PATH", help="A blend file, one .jsonl, or a folder with records and media/."
    ),
]
SeqLen = Annotated[
    int, typer.Option("--seq-len", metavar="N", help="Longest sample and pack in tokens.")
]
Split = Annotated[str, typer.Option("--split", metavar="NAME", help="Split of the blend file.")]
Limit = Annotated[
    int | None,
    typer.Option("--limit", metavar="N", min=1, help="Records per source, drawn evenly."),
]
Seed = Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Of everything drawn.")]
DataSettings = Annotated[
    list[str] | None,
    typer.Option(
        "-o",
        metavar="KEY=VALUE",
        help="A setting of the recipe group data, such as packing.algorithm=greedy or "
        "reasoning_probability=1. May be repeated.",
    ),
]


@data.callback()
def root() -> None:
    """Make training data sets, look into them, check them.

    \b
    Examples:
      nanovl data stats ./receipts
      nanovl data inspect ./receipts --out pages

    A data set is a folder with NAME.jsonl and media/, a .jsonl, or a blend file (YAML).
    """


@data.command()
@guarded
def convert(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FORMAT SOURCE OUT",
            help="What the source is, where it is, and the folder to write. Without them, the "
            "formats are listed.",
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=1, help="Records at most.")
    ] = None,
    seed: Seed = 0,
    split: Annotated[
        str, typer.Option("--split", metavar="NAME", help="Part of a source that holds several.")
    ] = "train",
    images: Annotated[
        str | None,
        typer.Option("--images", metavar="DIR", help="Media that is not part of the source."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("-o", metavar="KEY=VALUE", help="A setting of the format. May be repeated."),
    ] = None,
    json: options.Json = False,
) -> None:
    """Turn an annotated data set into records and media shards.

    \b
    Examples:
      nanovl data convert
      nanovl data convert docvqa ./docvqa_train.tar ./docvqa --limit 1000
    """
    from nanovl.core.errors import ConfigError
    from nanovl.data.convert import FORMATS, convert as run

    words = words or []
    if not words:
        data_report.formats(FORMATS, as_json=json)
        return
    if len(words) != 3:
        raise ConfigError(
            f"got {len(words)} words ({', '.join(words)}), expected FORMAT SOURCE OUT; run "
            "nanovl data convert for a list of formats"
        )
    with Progress() as progress:
        report = run(
            words[0],
            words[1],
            words[2],
            limit=limit,
            seed=seed,
            split=split,
            images=images,
            extra=options.read_settings(settings),
            on_event=progress,
        )
    if json:
        write_json({**asdict(report), "folder": str(report.folder)})
        return
    write(f"{report.folder}: {report.written:,} records, {report.media:,} media files\n")
    for name, count in sorted(report.tasks.items()):
        write(f"  {name:28} {count:>10,}\n")
    for reason, count in sorted(report.dropped.items()):
        note(f"left out {count:,} ({reason}), such as {one_line(report.examples[reason][0])}")


@data.command()
@guarded
def prepare(
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="Holds NAME.jsonl and media/.")],
    workers: Annotated[
        int, typer.Option("--workers", metavar="N", min=1, help="Processes that index media.")
    ] = 4,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Index again, and replace the blend file.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Index a folder for the energon loader and write its blend file.

    \b
    Examples:
      nanovl data prepare ./receipts
      nanovl data prepare ./receipts --workers 16 --overwrite

    The plain loader needs no preparation. Needs the extra train.
    """
    from nanovl.data.prepare import prepare as run

    with Progress() as progress:
        done = run(folder, num_workers=workers, overwrite=overwrite, on_event=progress)
    if json:
        paths = {"folder": str(done.folder), "metadataset": str(done.metadataset)}
        write_json({**asdict(done), **paths, "media": done.media and str(done.media)})
        return
    for name, count in done.records.items():
        write(f"{name}: {count:,} records\n")
    if done.media is not None:
        write(f"{done.media.name}/: {'indexed' if done.media_indexed else 'nothing to do'}\n")
        if done.media_indexed and not done.media_sizes:
            note(
                f"warning: a file in {done.media} is damaged, so its index holds no sizes; find it "
                f"with: nanovl data validate {folder} --decode"
            )
    kept = "" if done.blend_written else " (was there already; left as it is)"
    write(f"{done.metadataset}{kept}\n")


@data.command()
@guarded
def inspect(
    path: Path_,
    out: Annotated[
        str, typer.Option("--out", metavar="DIR", help="Folder for the pictures and the page.")
    ] = "samples",
    count: Annotated[
        int, typer.Option("-n", "--count", metavar="N", min=1, help="Samples to draw.")
    ] = 8,
    model: options.Model = "mini",
    seq_len: SeqLen = 16384,
    split: Split = "train",
    seed: Seed = 0,
    settings: DataSettings = None,
    json: options.Json = False,
) -> None:
    """Draw samples as a trainer sees them: a picture of each, and a page with all of them.

    \b
    Examples:
      nanovl data inspect ./receipts --out pages
      nanovl data inspect blend.yaml -n 20 --seq-len 1024 --seed 7

    Every picture shows the tiles and frames, and the tokens coloured by their role.
    """
    from nanovl.data.pages import sample_page

    sources, encoder = _open(path, model, seq_len, split, seed, settings)
    with Progress() as progress:
        page = sample_page(
            sources, encoder, Path(out), count=count, seed=seed, title=path, on_event=progress
        )
    if json:
        pictures = [str(picture) for picture in page.pictures]
        write_json({"index": str(page.index), "pictures": pictures, "dropped": page.dropped})
        return
    for picture in page.pictures:
        write(f"{picture}\n")
    write(f"{page.index}\n")
    for reason, per_source in page.dropped.items():
        note(f"{sum(per_source.values())} draws could not be used ({reason})")


@data.command()
@guarded
def stats(
    path: Path_,
    model: options.Model = "mini",
    seq_len: SeqLen = 16384,
    split: Split = "train",
    limit: Limit = None,
    seed: Seed = 0,
    settings: DataSettings = None,
    json: options.Json = False,
) -> None:
    """Count a data set: tasks, media, lengths, loss tokens, drops, and how full packs would be.

    \b
    Examples:
      nanovl data stats ./receipts
      nanovl data stats blend.yaml --model ./checkpoint --seq-len 16384 --limit 2000 --json
    """
    from nanovl.data.stats import stats as run

    sources, encoder = _open(path, model, seq_len, split, seed, settings)
    with Progress() as progress:
        found = run(sources, encoder, limit=limit, seed=seed, on_event=progress)
    if json:
        write_json(found.to_json())
    else:
        data_report.stats(found.to_json())


@data.command()
@guarded
def validate(
    path: Path_,
    model: options.Model = "mini",
    seq_len: SeqLen = 16384,
    split: Split = "train",
    decode: Annotated[
        bool, typer.Option("--decode", help="Decode all media too; takes much longer.")
    ] = False,
    limit: Limit = None,
    seed: Seed = 0,
    settings: DataSettings = None,
    json: options.Json = False,
) -> None:
    """Parse and encode every record and say which could not be trained on.

    \b
    Examples:
      nanovl data validate ./receipts
      nanovl data validate blend.yaml --decode --limit 500

    Every problem names file, line and field. The exit code is 1 when there is one.
    """
    from nanovl.data.inspect import Problem, validate as run

    problems: list[Problem] = []
    sources, encoder = _open(path, model, seq_len, split, seed, settings)
    with Progress() as progress:

        def show(problem: Problem) -> None:
            problems.append(problem)
            if not json and len(problems) <= _PROBLEMS_SHOWN:
                progress.clear()
                write(f"{problem.where}: {problem.reason}: {one_line(problem.message)}\n")

        found = run(
            sources,
            encoder,
            decode=decode,
            limit=limit,
            seed=seed,
            on_problem=show,
            on_event=progress,
        )
    if json:
        write_json(
            {
                "records": found.records,
                "decoded": found.decoded,
                "problems": [asdict(problem) for problem in problems],
                "counts": found.counts,
            }
        )
    else:
        data_report.validation(found, hidden=max(len(problems) - _PROBLEMS_SHOWN, 0))
    if found.num_problems:
        sys.exit(1)


def _open(
    path: str, model: str, seq_len: int, split: str, seed: int, settings: Sequence[str] | None
) -> tuple[tuple[Source, ...], SampleEncoder]:
    """The leaves of a data set, and what encodes them for a model."""
    from nanovl.checkpoint.build import load_processor
    from nanovl.data.blend import load_blend
    from nanovl.data.config import DataConfig
    from nanovl.data.encode import SampleEncoder

    shape, processor = load_processor(model)
    chosen: dict[str, Any] = {
        "seq_len": seq_len,
        "align": 1,
        "split": split,
        "seed": seed,
        "max_tiles": shape.max_num_tiles,
        **options.read_settings(settings),
    }
    config = from_dict(DataConfig, chosen, where="data")
    return load_blend(path, config.split), SampleEncoder(processor, config)
