"""`nanovl synth gallery`, `card`, `reject`: look at data sets, describe them, take samples out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nanovl.cli import options
from nanovl.cli.console import Progress, guarded, note, one_line, write, write_json
from nanovl.core.config import to_dict

__all__ = ["register"]

_SHOWN = 5  # problems named on a terminal

Folders = Annotated[
    list[str],
    typer.Argument(
        metavar="DATASET...",
        help="Folders of nanovl synth run or tex, single shards, or a folder of data sets.",
    ),
]


def register(group: typer.Typer) -> None:
    """Add the commands to `nanovl synth`."""
    group.command("gallery")(gallery)
    group.command("card")(card)
    group.command("reject")(reject)


@guarded
def gallery(
    datasets: Folders,
    out: Annotated[str, typer.Option("--out", metavar="DIR", help="Folder of the web site.")],
    limit: Annotated[
        int,
        typer.Option("--limit", metavar="N", help="Samples per data set at most; 0 shows all."),
    ] = 200,
    title: Annotated[str, typer.Option("--title", metavar="TEXT", help="Headline.")] = "",
    json: options.Json = False,
) -> None:
    """Write a web site to look at data sets: pictures with boxes, questions, ground truth.

    \b
    Examples:
      nanovl synth gallery scenes --out gallery
      nanovl synth gallery pages tables/shards/000003.gt.jsonl --out gallery --limit 0

    Open DIR/index.html; it needs neither server nor network. Samples flagged there are exported as
    a file for `nanovl synth reject`.
    """
    from nanovl.synth.datasets import open_data_sets
    from nanovl.synth.gallery import build_site

    sources = open_data_sets([Path(name) for name in datasets])
    with Progress() as progress:
        site = build_site(sources, Path(out), limit=limit, title=title, on_event=progress)
    if json:
        write_json(to_dict(site))
        return
    write(f"{site.index}\n")
    note(f"{site.samples:,} of {site.total:,} samples")
    if site.wrong:
        note(f"{site.wrong} reference answers do not pass their own check; see their pages")
    if site.outside:
        note(f"{site.outside} samples have boxes outside their picture; see their pages")
    for name, why in list(site.skipped.items())[:_SHOWN]:
        note(f"not shown: {name}: {one_line(why)}")
    if len(site.skipped) > _SHOWN:
        note(f"not shown: {len(site.skipped) - _SHOWN} more; --json lists all")


@guarded
def card(
    datasets: Folders,
    out: Annotated[
        str | None,
        typer.Option("--out", metavar="DIR", help="Where the files go; default: the data set."),
    ] = None,
    model: Annotated[
        str, typer.Option("--model", "-m", metavar="NAME", help="Whose tokens are counted.")
    ] = "mini",
    name: Annotated[str, typer.Option("--name", metavar="TEXT", help="Of the collection.")] = "",
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit", metavar="N", help="Records per data set that are measured; default: all."
        ),
    ] = None,
    json: options.Json = False,
) -> None:
    """Write DATASET.md and dataset.json: what is in data sets, how it was made, what it lacks.

    \b
    Examples:
      nanovl synth card scenes
      nanovl synth card pages tables scenes --out collection --name starter

    Counts, licences, fonts, rejections, check results, histograms, hashes of all shards, and the
    command that makes everything again.
    """
    from nanovl.synth.card import write_card
    from nanovl.synth.datasets import open_data_sets

    sources = open_data_sets([Path(folder) for folder in datasets])
    with Progress() as progress:
        made = write_card(
            sources,
            Path(out) if out is not None else None,
            model=model,
            name=name,
            limit=limit,
            on_event=progress,
        )
    if json:
        write_json(made.facts)
        return
    write(f"{made.markdown}\n{made.json}\n")
    for problem in made.problems[:_SHOWN]:
        note(one_line(problem))


@guarded
def reject(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="Folder of the data set.")],
    flags: Annotated[str, typer.Option("--flags", metavar="FILE", help="Exported by the gallery.")],
    out: Annotated[str, typer.Option("--out", metavar="NEW", help="New folder.")],
    json: options.Json = False,
) -> None:
    """Copy a data set without the samples that were flagged in its gallery.

    \b
    Examples:
      nanovl synth reject --flags flags.json scenes --out scenes-reviewed
      nanovl synth reject --flags flags.json pages --out pages-reviewed --json
    """
    from nanovl.synth.datasets import open_data_set
    from nanovl.synth.gallery import read_flags, reject as take_out

    found = take_out(open_data_set(Path(dataset)), read_flags(Path(flags)), Path(out))
    if json:
        write_json(to_dict(found))
        return
    write(f"{found.out}\n")
    note(f"{len(found.removed):,} samples left out, {found.kept:,} kept")
    if found.elsewhere:
        note(f"{len(found.elsewhere):,} flags are of other data sets")
