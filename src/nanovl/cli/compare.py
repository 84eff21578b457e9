"""`nanovl compare`: two pictures or documents side by side."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from nanovl.cli import options
from nanovl.cli.apps import Tokens, media_options, opened
from nanovl.cli.console import Progress, guarded, write, write_json

__all__ = ["compare"]


@guarded
def compare(
    first: Annotated[str, typer.Argument(metavar="A", help="Picture or PDF: a path or a URL.")],
    second: Annotated[str, typer.Argument(metavar="B", help="What to compare it with.")],
    focus: Annotated[
        str, typer.Option("--focus", metavar="TEXT", help="What to look at above all.")
    ] = "",
    model: options.Model = "mini",
    pages: options.Pages = None,
    dpi: options.Dpi = None,
    max_tiles: options.MaxTiles = None,
    max_tokens: Tokens = None,
    device: options.Device = "auto",
    quant: options.Quant = None,
    json: options.Json = False,
) -> None:
    """Say what two pictures or documents have in common, and what differs.

    \b
    Examples:
      nanovl compare before.png after.png
      nanovl compare contract-v1.pdf contract-v2.pdf --focus "amounts and dates"

    Documents too long for one prompt are compared page with page.
    """
    from nanovl.apps.comparing import compare as run

    loaded = opened(model, device, quant)
    with Progress() as progress:
        found = run(
            loaded,
            first,
            second,
            focus=focus,
            pages=pages,
            dpi=dpi,
            max_tokens=max_tokens or 1024,
            on_event=progress,
            **media_options(max_tiles=max_tiles),
        )
    if json:
        write_json({"first": first, "second": second, **asdict(found)})
    else:
        write(found.markdown + "\n")
