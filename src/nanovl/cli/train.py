"""`nanovl train`: run a recipe, continue it, look at it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from nanovl.cli import options
from nanovl.cli.console import guarded, note, one_line, write, write_json
from nanovl.core.config import to_dict
from nanovl.core.errors import ConfigError

if TYPE_CHECKING:
    from nanovl.core.events import Event
    from nanovl.train.config import Recipe

__all__ = ["train"]


@guarded
def train(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RECIPE",
            help="A recipe file, a bundled recipe or a run folder, then settings to change as "
            "KEY=VALUE.",
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Check recipe, data and memory, make one pack, train nothing."
        ),
    ] = False,
    report: Annotated[
        str | None,
        typer.Option(
            "--report", metavar="RUN", help="Write report.html of a run folder instead of training."
        ),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Refuse to continue a run that has checkpoints.")
    ] = False,
    reset_data: Annotated[
        bool, typer.Option("--reset-data", help="Continue the weights, start the data anew.")
    ] = False,
    device: options.Device = "auto",
    json: options.Json = False,
) -> None:
    """Train a model by a recipe; a run that was interrupted goes on where it stopped.

    \b
    Examples:
      nanovl train mini/stage1 data.metadataset=blend.yaml stage.init_from=runs/stage0/export
      torchrun --nproc-per-node 8 -m nanovl train stage1 data.metadataset=blend.yaml

    Progress goes to standard error, the folder of the trained weights to standard output. SIGTERM
    saves and ends the run; the same command continues it.
    """
    if report is not None:
        if words:
            raise ConfigError(f"--report takes a run folder alone, got {words[0]!r} as well")
        _report(report)
        return
    if not words:
        raise ConfigError(
            "no recipe; name a file or a bundled one (nanovl plan lists them), such as: "
            "nanovl train mini/stage0 data.metadataset=blend.yaml"
        )

    from nanovl.train.config import load_recipe

    recipe = load_recipe(words[0], words[1:])
    if dry_run:
        _dry_run(recipe, json)
        return

    from nanovl.train.trainer import train as run

    result = run(
        recipe,
        device=device,
        fresh=fresh,
        reset_data=reset_data,
        on_event=lambda event: _show(event, recipe.log.every),
    )
    if not result.is_main:
        return
    if json:
        write_json(to_dict(result))
    elif result.export is not None:
        write(f"{result.export}\n")
    if result.status == "interrupted":
        note(f"stopped at update {result.update}; the same command continues {result.folder}")


def _show(event: Event, every: int) -> None:
    from nanovl.train.metrics import progress_line

    if event.name == "step":
        last = event.done == event.total
        if event.done % every == 0 or last or event.data.get("skipped"):
            note(progress_line(event.data, int(event.total)))
    elif event.name == "resume":
        note(f"continuing after update {event.done:,.0f}")
    elif event.name == "save":
        note(f"checkpoint at update {event.done:,.0f}", dim=True)
    elif event.name == "export":
        note(f"weights written to {event.data['folder']}", dim=True)


def _report(run: str) -> None:
    from pathlib import Path

    from nanovl.train.report import write_report

    write(f"{write_report(Path(run))}\n")


def _dry_run(recipe: Recipe, as_json: bool) -> None:
    from nanovl.train.dry_run import check

    found: dict[str, Any] = check(recipe)
    if as_json:
        write_json(found)
        return
    for key, value in found.items():
        if key != "warnings":
            write(f"{key:<18} {value}\n")
    for warning in found["warnings"]:
        note(f"warning: {one_line(warning)}")
