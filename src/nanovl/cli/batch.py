"""`nanovl batch`: a file of OpenAI requests answered into a file of answers."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from nanovl.cli import options
from nanovl.cli.console import Progress, guarded, note, write_json
from nanovl.core.errors import ConfigError

__all__ = ["batch"]


@guarded
def batch(
    source: Annotated[Path, typer.Argument(metavar="IN.jsonl", help="Requests, one a line.")],
    target: Annotated[Path, typer.Argument(metavar="OUT.jsonl", help="Answers, appended.")],
    model: options.Model = "mini",
    in_flight: Annotated[
        int, typer.Option("--in-flight", "-j", metavar="N", min=1, help="Requests at a time.")
    ] = 8,
    ray: Annotated[
        str | None,
        typer.Option("--ray", metavar="ADDRESS", help="On Ray: local, auto or HOST:PORT."),
    ] = None,
    workers: Annotated[
        int, typer.Option("--workers", metavar="N", min=1, help="Models at a time, on Ray.")
    ] = 1,
    gpus: Annotated[
        float, typer.Option("--gpus", metavar="N", min=0.0, help="GPUs of each, on Ray.")
    ] = 0.0,
    media_root: Annotated[
        Path | None,
        typer.Option("--media-root", metavar="FOLDER", help="file: URLs may point below it."),
    ] = None,
    device: options.Device = "auto",
    quant: options.Quant = None,
) -> None:
    """Answer requests in OpenAI's batch format; run it again to go on after a stop.

    \b
    Examples:
      nanovl batch requests.jsonl answers.jsonl
      nanovl batch requests.jsonl answers.jsonl --ray auto --workers 8 --gpus 1

    Requests whose custom_id is among the answers are not asked again. An error of one request is
    its answer. Prints how many there were as JSON.
    """
    from nanovl.apps.batch import check, run_batch
    from nanovl.cli.batch_bodies import Bodies

    check(source, target, in_flight)
    make = partial(Bodies.loaded, model, device, quant, media_root, in_flight)
    if ray is None and (workers != 1 or gpus):
        raise ConfigError("--workers and --gpus belong to --ray")
    with Progress() as progress:
        if ray is not None:
            from nanovl.apps.batch_ray import run_on_ray

            totals = run_on_ray(
                source,
                target,
                make,
                address=ray,
                workers=workers,
                in_flight=in_flight,
                gpus=gpus,
                on_event=progress,
            )
        else:
            bodies = make()
            try:
                totals = run_batch(source, target, bodies, in_flight=in_flight, on_event=progress)
            finally:
                bodies.close()
    if totals.repaired_bytes:
        note(f"{target}: a torn line of {totals.repaired_bytes} bytes was taken away")
    write_json(vars(totals))
