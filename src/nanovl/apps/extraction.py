"""A picture or document as data: JSON that keeps to a schema, with the place of every value.

A document that fits the context is read in one go. A longer one is read page by page, under a
schema in which everything may be missing, and put together by the rules of `merging`; when the
result does not keep to the schema, the model writes the record once more from what the pages say.
Either way the data keeps to the schema, whatever the model is like.

Source: serving specification, section 9.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nanovl.apps.asking import Question, ask, ask_each, fits, matches
from nanovl.apps.evidence import Evidence, find_evidence
from nanovl.apps.merging import merge, without_nulls
from nanovl.apps.pages import PageRef, open_pages, parts_of
from nanovl.apps.schemas import in_order, leaves, nullable
from nanovl.core.events import OnEvent, ignore_event

if TYPE_CHECKING:
    from nanovl.engine.vlm import NanoVL

__all__ = ["Extraction", "extract"]

_WHOLE = """\
Read the document above and write its data as JSON of this schema:

{schema}

Copy values exactly as they are printed; amounts are plain numbers. Use null for what the document \
does not say, wherever the schema allows it."""
_PAGE = """\
This is page {number} of a document of {count} pages. Write the data that is on this page as JSON \
of this schema:

{schema}

Copy values exactly as they are printed; amounts are plain numbers. Use null, or an empty list, \
for everything this page does not say."""
_AGAIN = """\
These are the data found on the pages of one document:

{data}

Write them as one record, as JSON of this schema:

{schema}

Copy the values exactly and add none."""


@dataclass(frozen=True, kw_only=True)
class Extraction:
    """What was read.

    Attributes:
        data: Keeps to the schema.
        evidence: Where texts and numbers stand, by JSON pointer into `data`; None where the model
            finds a value nowhere.
        pages: How many pages were read.
        by_page: Whether they were read one by one.
        rewritten: Whether the model had to write the record again because what the pages say did
            not keep to the schema.
        conflicts: Sentences about pages that disagree.
    """

    data: Any
    evidence: Mapping[str, Evidence | None] = field(default_factory=dict)
    pages: int = 1
    by_page: bool = False
    rewritten: bool = False
    conflicts: tuple[str, ...] = ()


def extract(
    model: NanoVL,
    source: Any,
    schema: Mapping[str, Any],
    *,
    pages: str | None = None,
    dpi: int | None = None,
    evidence: bool = True,
    max_tokens: int = 2048,
    on_event: OnEvent = ignore_event,
    **options: Any,
) -> Extraction:
    """Read a picture or document into data.

    Args:
        model: Who reads.
        source: What `NanoVL.chat` takes as a file.
        schema: JSON schema of the data; see `presets.PRESETS`.
        pages, dpi: Of a document: which pages, and their resolution.
        evidence: Whether to ask where values stand.
        max_tokens: Longest answer to one prompt.
        on_event: Told about the progress.
        **options: Further arguments of `NanoVL.chat`.

    Raises:
        InputError: A file or schema that cannot be used, or a page beyond the context.
        NanoVLError: The model does not bring its answer to an end.
    """
    found = open_pages(model, source, pages=pages, dpi=dpi)
    asking = {"max_tokens": max_tokens, "on_event": on_event, **options}
    prompt = _WHOLE.format(schema=_text(schema))
    media = {k: v for k, v in options.items() if k in ("max_tiles", "total_tiles")}
    if len(found) == 1 or fits(model, prompt, parts_of(found), max_tokens, **media):
        question = Question(
            prompt=prompt, schema=schema, files=parts_of(found), about="the document"
        )
        data = ask(model, question, **asking)
        places = find_evidence(model, found, leaves(data), **asking) if evidence else {}
        return Extraction(data=data, evidence=places, pages=len(found))
    return _by_page(model, found, schema, evidence, asking)


def _by_page(
    model: NanoVL,
    pages: Sequence[PageRef],
    schema: Mapping[str, Any],
    evidence: bool,
    asking: Mapping[str, Any],
) -> Extraction:
    part = nullable(schema)
    questions = [
        Question(
            prompt=_PAGE.format(number=page.number, count=len(pages), schema=_text(part)),
            schema=part,
            files=[page.part],
            about=f"page {page.number}",
        )
        for page in pages
    ]
    values = ask_each(model, questions, name="read", unit="pages", **asking)
    merged = merge(values, [page.number for page in pages])
    places: dict[str, Evidence | None] = {}
    if evidence:
        for page, value, where in zip(pages, values, merged.places, strict=True):
            kept = {at: item for at, item in leaves(value).items() if at in where}
            spots = find_evidence(model, [page], kept, **asking)
            places |= {where[at]: spot or Evidence(page=page.number) for at, spot in spots.items()}
    data, rewritten = _kept_to(model, schema, merged.value, asking)
    if rewritten:
        # Values may stand elsewhere now; those that are the same kept their place.
        old = leaves(merged.value)
        new = leaves(data)
        places = {at: spot for at, spot in places.items() if at in new and new[at] == old.get(at)}
    return Extraction(
        data=data,
        evidence=places,
        pages=len(pages),
        by_page=True,
        rewritten=rewritten,
        conflicts=tuple(merged.conflicts),
    )


def _kept_to(
    model: NanoVL, schema: Mapping[str, Any], value: Any, asking: Mapping[str, Any]
) -> tuple[Any, bool]:
    """The value in the form of the schema, and whether the model had to write it."""
    for candidate in (value, without_nulls(value)):
        if matches(model, schema, candidate):
            return in_order(schema, candidate), False
    prompt = _AGAIN.format(data=_text(value), schema=_text(schema))
    question = Question(prompt=prompt, schema=schema, about="the whole record")
    return ask(model, question, **asking), True


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
