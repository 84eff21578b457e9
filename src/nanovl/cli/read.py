"""`nanovl read`: a document as Markdown."""

from __future__ import annotations

from itertools import chain
from typing import Annotated

import typer

from nanovl.cli import options
from nanovl.cli.apps import Out, Tokens, check_out, media_options, opened, save
from nanovl.cli.console import Progress, guarded

__all__ = ["read"]


@guarded
def read(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Picture or PDF: a path or a URL.")],
    out: Out = None,
    model: options.Model = "mini",
    pages: options.Pages = None,
    dpi: options.Dpi = None,
    max_tiles: options.MaxTiles = None,
    max_tokens: Tokens = None,
    device: options.Device = "auto",
    quant: options.Quant = None,
) -> None:
    """Write a picture or document down as Markdown, page by page.

    \b
    Examples:
      nanovl read scan.png
      nanovl read report.pdf --pages 1-3 -o report.md

    Pages are written as they are read, each behind a comment with its number.
    """
    from nanovl.apps.reading import read_pages, to_markdown

    check_out(out)
    loaded = opened(model, device, quant)
    begun = False
    with Progress() as progress:
        found = read_pages(
            loaded,
            file,
            pages=pages,
            dpi=dpi,
            max_tokens=max_tokens or 4096,
            on_event=progress,
            **media_options(max_tiles=max_tiles),
        )
        first = next(found)  # what cannot be read leaves no file behind
        for piece in to_markdown(chain([first], found)):
            progress.clear()
            save(piece, out, begun=begun)
            begun = True
