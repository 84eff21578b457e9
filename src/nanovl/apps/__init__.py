"""Tasks people have: videos summarised and captioned, papers read, compared and turned into data.

    from nanovl.apps import extract
    print(extract(nanovl.load(), "invoice.pdf", PRESETS["invoice"]).data)

Library functions on the front door of the engine; the command line adds terminals and files. Talks
to no socket but through `youtube`, prints nothing, and knows no server.
Reading order: presets, schemas, asking, pages, timeline, subtitles, hearing, summary, cuts,
captioning, merging, evidence, extraction, comparing, reading, youtube, youtube_child, batch_files,
batch, batch_ray, handover.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nanovl.apps.captioning import caption as caption
    from nanovl.apps.comparing import compare as compare
    from nanovl.apps.extraction import extract as extract
    from nanovl.apps.presets import PRESETS as PRESETS
    from nanovl.apps.reading import read_pages as read_pages
    from nanovl.apps.summary import summarize as summarize

_HOMES = {
    "PRESETS": "presets",
    "caption": "captioning",
    "compare": "comparing",
    "extract": "extraction",
    "read_pages": "reading",
    "summarize": "summary",
}

__all__ = ["PRESETS", "caption", "compare", "extract", "read_pages", "summarize"]


def __getattr__(name: str) -> Any:
    """Import what is asked for, so that showing help loads no torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"nanovl.apps.{_HOMES[name]}"), name)
