"""A picture or document as a list of single pages, each of which can be shown to the model.

Renders nothing and asks nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from nanovl.core.conversation import DocumentPart, ImagePart, Part
from nanovl.core.errors import InputError
from nanovl.processing.attachments import attach
from nanovl.processing.pdf import page_count, parse_pages

if TYPE_CHECKING:
    from nanovl.engine.vlm import NanoVL

__all__ = ["PageRef", "open_pages", "parts_of"]


@dataclass(frozen=True, kw_only=True)
class PageRef:
    """One page.

    Attributes:
        number: From 1, as in the document.
        part: For a message.
    """

    number: int
    part: Part


def open_pages(
    model: NanoVL, source: Any, *, pages: str | None = None, dpi: int | None = None
) -> list[PageRef]:
    """The pages of a document, or a picture as its only page.

    Args:
        model: Whose limits hold.
        source: What `NanoVL.chat` takes as a file.
        pages: Which ones, "1-4,7"; None is all.
        dpi: Resolution; None takes the processor's.

    Raises:
        InputError: Not a picture or PDF, damaged, or a page it does not have.
    """
    limits = model.processor.limits
    part = attach(source, pages=pages, dpi=dpi, limits=limits)
    if isinstance(part, ImagePart):
        if pages not in (None, "1"):
            raise InputError(f"{part.source.name}: is a picture; pages {pages} belong to PDFs")
        return [PageRef(number=1, part=part)]
    if not isinstance(part, DocumentPart):
        name = getattr(getattr(part, "source", None), "name", "attachment")
        raise InputError(f"{name}: expected a picture or a PDF, got {_kind(part)}")
    count = page_count(part.source, limits)
    chosen = parse_pages(part.pages, count, limits.max_pages)
    return [PageRef(number=index + 1, part=replace(part, pages=str(index + 1))) for index in chosen]


def parts_of(pages: Sequence[PageRef]) -> list[Part]:
    """Pages as parts of a message."""
    return [page.part for page in pages]


def _kind(part: Part) -> str:
    return type(part).__name__.removesuffix("Part").lower()
