"""`nanovl synth mix`: a mixture of generators with one set of workers."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from nanovl.cli import options
from nanovl.cli.console import Progress, guarded, note, one_line, write, write_json
from nanovl.core.events import Event

if TYPE_CHECKING:
    from nanovl.synth.mixrun import Made, MixTotals

__all__ = ["mix"]


@guarded
def mix(
    config: Annotated[
        str,
        typer.Argument(
            metavar="CONFIG", help="A YAML file, or a mixture of the package: smoke, mini."
        ),
    ],
    out: Annotated[str, typer.Argument(metavar="OUT", help="Folder of the data sets.")],
    workers: Annotated[int, typer.Option("--workers", metavar="N", help="Processes.")] = 1,
    ray: Annotated[
        str | None,
        typer.Option(
            "--ray",
            metavar="ADDRESS",
            help='Work on Ray: "local", "auto" or HOST:PORT of a cluster.',
        ),
    ] = None,
    scale: Annotated[
        float, typer.Option("--scale", metavar="X", help="Factor on all counts.")
    ] = 1.0,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse generators that lack something here.")
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read complete shards again and compare hashes.")
    ] = False,
    energon: Annotated[
        bool, typer.Option("--energon", help="Index media for energon (extra train).")
    ] = False,
    json: options.Json = False,
) -> None:
    """Make a mixture of generators: one data set each, and a blend file with their weights.

    \b
    Examples:
      nanovl synth mix smoke smoke-set --workers 2
      nanovl synth mix mini starter --scale 0.01 --workers 8

    The same command continues a run that was stopped; the bytes depend neither on the workers nor
    on Ray. OUT/blend.yaml is what nanovl train takes. Generators whose programs are missing are
    left out and named.
    """
    from nanovl.synth.mixrun import run_mix

    with Progress() as progress:
        totals = run_mix(
            config,
            out,
            scale=scale,
            workers=workers,
            ray=ray,
            strict=strict,
            verify=verify,
            energon=energon,
            on_event=lambda event: progress(_told(event)),
        )
    if json:
        write_json(totals.to_json())
    else:
        _report(totals)
    if totals.failed:
        sys.exit(1)


def _told(event: Event) -> Event:
    """The event with the time left in its name."""
    left = event.data.get("seconds_left")
    if left is None:
        return event
    minutes, seconds = divmod(round(left), 60)
    hours, minutes = divmod(minutes, 60)
    return replace(event, name=f"{event.name} ({hours}:{minutes:02d}:{seconds:02d} left)")


def _report(totals: MixTotals) -> None:
    if totals.blend is not None:
        write(f"{totals.blend}\n")
    for one in totals.made:
        note(_line(one))
    for name, reason in totals.skipped.items():
        note(f"{name}: left out: {one_line(reason)}")
    for name, reason in totals.failed.items():
        note(f"{name}: not complete: {one_line(reason)}")
    lost = sum(one.totals.lost for one in totals.made)
    note(
        f"{totals.samples:,} samples in {len(totals.made)} data sets, {lost:,} indices without a "
        f"sample, {len(totals.skipped)} generators left out, {len(totals.failed)} not complete, "
        f"{totals.seconds:.0f} s"
    )


def _line(one: Made) -> str:
    totals = one.totals
    rejects = ", ".join(f"{reason} {n}" for reason, n in totals.rejects.items())
    return (
        f"{one.folder:<22} {totals.samples:>8,} samples {totals.records:>9,} records "
        f"{totals.per_s_per_core:>8.1f}/s/core" + (f"  rejected: {rejects}" if rejects else "")
    )
