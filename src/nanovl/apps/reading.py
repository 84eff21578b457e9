"""A document as Markdown, page by page, in the model's words.

Pages are asked for a few at a time and given out in order, so that a long document can be written
while it is read. Changes nothing in what the model writes but fences around the whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nanovl.apps.asking import printable, room
from nanovl.apps.pages import open_pages
from nanovl.core.errors import InputError
from nanovl.core.events import Event, OnEvent, ignore_event

if TYPE_CHECKING:
    from nanovl.engine.vlm import NanoVL

__all__ = ["PageText", "read_pages", "to_markdown"]

_PROMPT = (
    "Write down everything on this page as Markdown, in reading order: headings, paragraphs, lists "
    "and tables as they are printed. Do not explain or add anything."
)
_FENCE = re.compile(r"\A```(?:markdown|md)?[ \t]*\n(.*?)\n?```\s*\Z", re.DOTALL)
_AT_ONCE = 2
# A page that says the same again and again is ended early.
_LOOPS = {"max_pattern_size": 256, "min_count": 64}


@dataclass(frozen=True, kw_only=True)
class PageText:
    """A page that was read.

    Attributes:
        number: From 1, as in the document.
        text: Markdown.
        is_complete: Whether the model came to its end.
    """

    number: int
    text: str
    is_complete: bool = True


def read_pages(
    model: NanoVL,
    source: Any,
    *,
    pages: str | None = None,
    dpi: int | None = None,
    max_tokens: int = 4096,
    on_event: OnEvent = ignore_event,
    **options: Any,
) -> Iterator[PageText]:
    """Read a picture or document.

    Args:
        model: Who reads.
        source: What `NanoVL.chat` takes as a file.
        pages, dpi: Of a document: which pages, and their resolution.
        max_tokens: Longest page.
        on_event: Told about the progress.
        **options: Further arguments of `NanoVL.chat`.

    Yields:
        Pages in order.

    Raises:
        InputError: A file that cannot be used, or a page beyond the context.
    """
    found = open_pages(model, source, pages=pages, dpi=dpi)
    media = {k: v for k, v in options.items() if k in ("max_tiles", "total_tiles")}
    for begin in range(0, len(found), _AT_ONCE):
        group = found[begin : begin + _AT_ONCE]
        on_event(Event(name="read", done=begin, total=len(found), unit="pages"))
        requests = []
        for page in group:
            left = room(model, _PROMPT, [page.part], **media)
            if left < 1:
                raise InputError(
                    f"page {page.number}: leaves no room for an answer in the context of "
                    f"{model.engine.context_length} tokens; use fewer tiles"
                )
            requests.append(
                {"messages": _PROMPT, "files": [page.part], "max_tokens": min(max_tokens, left)}
            )
        answers = model.batch(requests, on_event=on_event, repetition_detection=_LOOPS, **options)
        for page, answer in zip(group, answers, strict=True):
            yield PageText(
                number=page.number,
                text=_unfenced(printable(answer.text)),
                is_complete=answer.finish_reason == "stop" and answer.stop_reason != "repetition",
            )


def to_markdown(pages: Iterable[PageText]) -> Iterator[str]:
    """Pieces of a Markdown file: every page begins with a comment that names it."""
    for index, page in enumerate(pages):
        rule = "\n---\n\n" if index else ""
        cut = "" if page.is_complete else f"\n\n<!-- page {page.number}: cut off -->"
        body = f"\n\n{page.text}" if page.text else ""
        yield f"{rule}<!-- page {page.number} -->{body}{cut}\n"


def _unfenced(text: str) -> str:
    match = _FENCE.match(text.strip())
    return (match.group(1) if match and "```" not in match.group(1) else text).strip()
