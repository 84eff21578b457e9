"""Two pictures or documents side by side: what is the same, and what differs.

Documents that do not fit the context together are compared page with page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nanovl.apps.asking import Question, ask_each, fits
from nanovl.apps.pages import PageRef, open_pages, parts_of
from nanovl.core.events import OnEvent, ignore_event

if TYPE_CHECKING:
    from nanovl.engine.vlm import NanoVL

__all__ = ["Comparison", "Difference", "compare"]

_PROMPT = """\
{what} Compare them. Give one sentence that says how they relate ("summary"), what both show or \
say ("same"), and what differs ("differences"): what it is about ("topic"), how it is in the first \
and how it is in the second. Give an empty list where there is nothing.{focus}"""
_TEXT = {"type": "string", "minLength": 1}
_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "summary": _TEXT,
        "same": {"type": "array", "items": _TEXT, "maxItems": 8},
        "differences": {
            "type": "array",
            "maxItems": 12,
            "items": {
                "type": "object",
                "properties": {"topic": _TEXT, "first": _TEXT, "second": _TEXT},
                "required": ["topic", "first", "second"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["summary", "same", "differences"],
    "additionalProperties": False,
}


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Something that is not the same.

    Attributes:
        topic: What it is about.
        first, second: How it is in each.
        page: On which page, when pages were compared one by one.
    """

    topic: str
    first: str
    second: str
    page: int | None = None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two things compared.

    Attributes:
        summaries: One sentence, or one per pair of pages.
        same: What both have.
        differences: What they have not.
        notes: Pages that only one of them has.
    """

    summaries: tuple[str, ...]
    same: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def markdown(self) -> str:
        """For people."""
        lines = [*self.summaries, ""]
        if self.same:
            lines += ["Same:", "", *(f"- {text}" for text in self.same), ""]
        if self.differences:
            lines += ["Different:", ""]
            for item in self.differences:
                page = "" if item.page is None else f" (page {item.page})"
                lines.append(f"- {item.topic}{page}: {item.first} / {item.second}")
            lines.append("")
        lines += [f"Note: {note}" for note in self.notes]
        return "\n".join(lines).strip()


def compare(
    model: NanoVL,
    first: Any,
    second: Any,
    *,
    focus: str = "",
    pages: str | None = None,
    dpi: int | None = None,
    max_tokens: int = 1024,
    on_event: OnEvent = ignore_event,
    **options: Any,
) -> Comparison:
    """Compare two pictures or documents.

    Args:
        model: Who looks.
        first, second: What `NanoVL.chat` takes as a file.
        focus: What to look for, in a sentence.
        pages, dpi: Of documents: which pages, and their resolution.
        max_tokens: Longest answer to one prompt.
        on_event: Told about the progress.
        **options: Further arguments of `NanoVL.chat`.

    Raises:
        InputError: A file that cannot be used, or a page beyond the context.
        NanoVLError: The model does not bring its answer to an end.
    """
    one = open_pages(model, first, pages=pages, dpi=dpi)
    two = open_pages(model, second, pages=pages, dpi=dpi)
    more = f" Look at this above all: {focus.strip()}" if focus.strip() else ""
    whole = _question(one, two, more)
    media = {k: v for k, v in options.items() if k in ("max_tiles", "total_tiles")}
    single = len(one) == len(two) == 1
    notes: list[str] = []
    if single or fits(model, whole.prompt, whole.files, max_tokens, **media):
        questions, numbers = [whole], [None]
    else:
        pairs = list(zip(one, two, strict=False))
        questions = [_question([a], [b], more) for a, b in pairs]
        numbers = [a.number for a, _ in pairs]  # type: ignore[misc]
        for name, longer in (("first", one[len(pairs) :]), ("second", two[len(pairs) :])):
            if longer:
                left = ", ".join(str(page.number) for page in longer)
                notes.append(f"only the {name} has page {left}, which was not compared")
    answers = ask_each(
        model,
        questions,
        max_tokens=max_tokens,
        on_event=on_event,
        name="compare",
        unit="pages",
        **options,
    )
    return _joined(answers, numbers, notes)


def _question(one: Sequence[PageRef], two: Sequence[PageRef], focus: str) -> Question:
    if len(one) == len(two) == 1:
        what = "These are two pictures, a first and a second one."
    else:
        what = (
            f"The first {_count(one)} above are one document, the last {_count(two)} are another "
            "one."
        )
    return Question(
        prompt=_PROMPT.format(what=what, focus=focus),
        schema=_SCHEMA,
        files=[*parts_of(one), *parts_of(two)],
        about="the comparison",
    )


def _count(pages: Sequence[PageRef]) -> str:
    return "page" if len(pages) == 1 else f"{len(pages)} pages"


def _joined(
    answers: Sequence[Mapping[str, Any]], numbers: Sequence[int | None], notes: Sequence[str]
) -> Comparison:
    differences = [
        Difference(**{name: _line(text) for name, text in row.items()}, page=number)
        for answer, number in zip(answers, numbers, strict=True)
        for row in answer["differences"]
    ]
    return Comparison(
        summaries=tuple(_line(answer["summary"]) for answer in answers),
        same=tuple(dict.fromkeys(_line(text) for answer in answers for text in answer["same"])),
        differences=tuple(dict.fromkeys(differences)),
        notes=tuple(notes),
    )


def _line(text: str) -> str:
    return " ".join(text.split())
