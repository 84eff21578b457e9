"""`nanovl extract`: a picture or document as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from nanovl.cli import options
from nanovl.cli.apps import Out, Tokens, as_json, check_out, media_options, opened, save
from nanovl.cli.console import Progress, guarded, note

__all__ = ["extract"]


@guarded
def extract(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Picture or PDF: a path or a URL.")],
    schema: Annotated[
        str,
        typer.Option(
            "--schema",
            metavar="SCHEMA",
            help="A JSON schema in a file, or invoice, contract, receipt or record.",
        ),
    ],
    out: Out = None,
    model: options.Model = "mini",
    pages: options.Pages = None,
    dpi: options.Dpi = None,
    max_tiles: options.MaxTiles = None,
    max_tokens: Tokens = None,
    evidence: Annotated[
        bool,
        typer.Option("--evidence/--no-evidence", help="Ask where every value is written."),
    ] = True,
    data_only: Annotated[
        bool, typer.Option("--data-only", help="Print the data alone, without places.")
    ] = False,
    device: options.Device = "auto",
    quant: options.Quant = None,
) -> None:
    """Read a picture or document into JSON that keeps to a schema.

    \b
    Examples:
      nanovl extract invoice.pdf --schema invoice
      nanovl extract scan.png --schema fields.json --data-only -o fields-of-scan.json

    Every text and number comes with its page and its box: x1, y1, x2, y2 from 0 to 1000 of the
    page's width and height. A document longer than the context is read page by page.
    """
    from nanovl.apps.extraction import extract as run
    from nanovl.apps.schemas import load_schema

    wanted = load_schema(schema)  # before the slow part
    check_out(out)
    loaded = opened(model, device, quant)
    with Progress() as progress:
        found = run(
            loaded,
            file,
            wanted,
            pages=pages,
            dpi=dpi,
            evidence=evidence and not data_only,
            max_tokens=max_tokens or 2048,
            on_event=progress,
            **media_options(max_tiles=max_tiles),
        )
    for conflict in found.conflicts:
        note(f"note: {conflict}")
    save(as_json(found.data if data_only else {"file": file, **asdict(found)}), out)
