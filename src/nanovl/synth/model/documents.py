"""What is asked about: the ground truth of a sample as text a model can read.

Known forms are taken as they are (Markdown, blocks, tables, passages, captions, transcripts);
anything else becomes an outline without places and looks. A data set without ground truth gives
the longer answers of its records: captions, transcriptions, markup. Pictures are never looked at.

Source: data synthesis specification, section 17.4; training specification, section 10.2.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from nanovl.core.errors import ConfigError, InputError
from nanovl.data.convert.markup import markdown_table
from nanovl.data.convert.traces import split_trace
from nanovl.synth.datasets import DataSet, Made, MediaFile, open_data_set

__all__ = ["Document", "read_documents", "truth_pages", "windows"]

Use = Literal["auto", "truth", "records"]

LEAST_CHARS = 40  # a shorter answer is no text to ask about
_MARKS = frozenset(
    ("angle", "augmentation", "background", "bbox", "bboxes", "box", "boxes", "canvas", "center",
     "chars", "dpi", "effects", "font", "fonts", "height", "id", "ink", "layout", "motion_blur",
     "order", "palette", "pixels_per_unit", "plot", "point", "points_px", "polygon", "programs",
     "quad", "quality", "questions", "renderer", "rotation", "seed", "size", "style", "tags",
     "template", "text_bbox", "theme", "tolerance", "turn", "verify", "visible_px", "width",
     "words", "x0", "x1", "y0", "y1")
)  # fmt: skip
_TEXTS = ("title", "caption", "description", "markdown", "text", "ocr")
_KNOWN = ("pages", "blocks", "passages", "lines", "table", "tables", "data_table", "forms",
          "captions", "transcript", "slides")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Document:
    """Something to ask about.

    Attributes:
        id: Of the sample.
        pages: Text of each page; one entry where there are no pages.
        media: What is shown with the questions, in order.
        lang, license, group: As the data set says; "" where it does not.
    """

    id: str
    pages: tuple[str, ...]
    media: tuple[MediaFile, ...] = ()
    lang: str = ""
    license: str = ""
    group: str = ""

    @property
    def text(self) -> str:
        """All of it; several pages with their numbers."""
        if len(self.pages) == 1:
            return self.pages[0]
        return "\n\n".join(f"[page {n}]\n{text}" for n, text in enumerate(self.pages, start=1))


def read_documents(
    folder: Path,
    *,
    use: Use = "auto",
    tasks: Sequence[str] = (),
    most_chars: int = 24_000,
    most_pages: int = 8,
    limit: int | None = None,
) -> tuple[DataSet, list[Document], Counter[str]]:
    """The documents of a data set.

    Args:
        folder: Data set of `nanovl synth run`, pages of `nanovl synth tex`, or records.
        use: "truth" takes ground truth alone, "records" answers alone, "auto" what there is.
        tasks: Take answers of these tasks alone; all when empty.
        most_chars: Longest text; the rest is cut off at a line.
        most_pages: Pages shown together; a longer document becomes several.
        limit: At most so many.

    Returns:
        The data set (for its media), the documents, and samples left out by reason.

    Raises:
        InputError: There is no data set, or nothing in it to ask about.
    """
    if use not in ("auto", "truth", "records"):
        raise ConfigError(f"use {use!r}; expected auto, truth or records")
    found = open_data_set(folder)
    dropped: Counter[str] = Counter()
    made: list[Document] = []
    for document in _documents(found, use, frozenset(tasks), dropped):
        for part in windows(document, most_pages):
            short = _shortened(part, most_chars)
            if short != part:
                dropped["shortened_text"] += 1
            made.append(short)
            if limit is not None and len(made) >= limit:
                return found, made, dropped
    if not made:
        reasons = ", ".join(f"{k} {n}" for k, n in sorted(dropped.items()))
        raise InputError(
            f"{folder}: no text to ask about ({reasons or 'no samples'}); expected ground truth in "
            "shards/*.gt.jsonl, or records with captions, transcriptions or tables as answers"
        )
    return found, made, dropped


def _documents(
    found: DataSet, use: Use, tasks: frozenset[str], dropped: Counter[str]
) -> Iterator[Document]:
    for sample in found:
        pages: tuple[str, ...] = ()
        if use != "records":
            pages = truth_pages(sample.truth.get("gt") or {})
        if not pages and use != "truth":
            pages = _answers(sample, tasks)
        if sum(map(len, pages)) < LEAST_CHARS:
            dropped["no_text"] += 1
            continue
        yield Document(
            id=sample.id,
            pages=pages,
            media=sample.media,
            lang=str(sample.truth.get("lang") or ""),
            license=str(sample.truth.get("license") or ""),
            group=str(sample.truth.get("group") or ""),
        )


def windows(document: Document, most_pages: int) -> list[Document]:
    """A long document as several, each with the pictures of its own pages."""
    count = len(document.pages)
    if count <= most_pages:
        return [document]
    paired = len(document.media) == count
    return [
        replace(
            document,
            id=f"{document.id}-w{number:02d}",
            pages=document.pages[start : start + most_pages],
            media=document.media[start : start + most_pages] if paired else document.media,
        )
        for number, start in enumerate(range(0, count, most_pages))
    ]


def _shortened(document: Document, most_chars: int) -> Document:
    share = max(1, most_chars // len(document.pages))
    pages = []
    for page in document.pages:
        if len(page) > share:
            head = page[:share]
            page = head[: head.rfind("\n")] if "\n" in head[share // 2 :] else head
        pages.append(page)
    return replace(document, pages=tuple(pages))


# --- records ------------------------------------------------------------------------------------


def _answers(sample: Made, tasks: frozenset[str]) -> tuple[str, ...]:
    """Answers long enough to be about the whole picture, each once."""
    texts: list[str] = []
    for record in sample.records:
        if tasks and str(record.get("task", "")) not in tasks:
            continue
        for message in record.get("messages", ()):
            if message.get("role") != "assistant":
                continue
            content = message.get("content")
            parts = content if isinstance(content, list) else [{"text": content or ""}]
            said = split_trace("".join(str(p.get("text", "")) for p in parts))[1]
            if len(said) >= LEAST_CHARS and said not in texts:
                texts.append(said)
    return ("\n\n".join(texts),) if texts else ()


# --- ground truth -------------------------------------------------------------------------------


def truth_pages(gt: Mapping[str, Any]) -> tuple[str, ...]:
    """Ground truth as text, page by page; empty when it says nothing.

    Args:
        gt: As a generator writes it.
    """
    pages = gt.get("pages")
    if isinstance(pages, list) and pages and all(isinstance(p, Mapping) for p in pages):
        texts = [_page_text(page) for page in pages]
        if any(texts):
            return tuple(texts)
    text = _page_text(gt)
    if not text:
        text = _outline({k: v for k, v in gt.items() if k not in _MARKS})
    return (text,) if text else ()


def _page_text(page: Mapping[str, Any]) -> str:
    """What is known of a page in known forms; "" when nothing is."""
    parts: list[str] = []
    if isinstance(page.get("markdown"), str):
        parts.append(page["markdown"])
    elif isinstance(page.get("blocks"), list):
        parts += [t for t in (_block_text(b) for b in page["blocks"]) if t]
    elif isinstance(page.get("text"), str):
        parts.append(page["text"])
    elif isinstance(page.get("lines"), list):
        parts.append("\n".join(t for t in map(_text_of, page["lines"]) if t))
    for name in ("passages", "ocr"):
        value = page.get(name)
        if isinstance(value, list):
            parts += [t for t in map(_text_of, value) if t]
        elif isinstance(value, str):
            parts.append(value)
    parts += _tables(page)
    parts += _spoken(page)
    if not parts:
        caption = page.get("caption") or page.get("description")
        return caption.strip() if isinstance(caption, str) else ""
    heads = [page[k] for k in ("title", "caption", "description") if isinstance(page.get(k), str)]
    first = [head for head in heads if head and not any(head in part for part in parts)]
    return "\n\n".join([*first, *parts]).strip()


def _block_text(block: Any) -> str:
    if not isinstance(block, Mapping):
        return ""
    for name in ("markdown", "latex", "text"):
        if isinstance(block.get(name), str) and block[name].strip():
            return str(block[name]).strip()
    return ""


def _text_of(value: Any) -> str:
    if isinstance(value, Mapping):
        value = value.get("text", "")
    return value.strip() if isinstance(value, str) else ""


def _tables(page: Mapping[str, Any]) -> list[str]:
    found = []
    forms = page.get("forms")
    if isinstance(forms, Mapping):
        known = next((forms[f] for f in ("markdown", "html", "latex", "otsl") if f in forms), None)
        if isinstance(known, str):
            notes = [n for n in page.get("notes", ()) if isinstance(n, str)]
            found.append("\n".join([known, *notes]))
    several = page.get("tables")
    for table in [page.get("table"), *(several if isinstance(several, list) else [])]:
        if isinstance(table, str):
            found.append(table)
        elif isinstance(table, Mapping) and isinstance(table.get("rows"), list):
            title = table.get("title")
            body = _rows([table.get("header") or [], *table["rows"]])
            found.append(f"{title}\n\n{body}" if isinstance(title, str) and title else body)
    data = page.get("data_table")
    if isinstance(data, list) and data:
        axes = []
        for name in ("x", "y"):
            axis = page.get(name)
            if isinstance(axis, Mapping) and axis.get("label"):
                label, unit = str(axis["label"]), str(axis.get("unit") or "")
                axes.append(f"{name} axis: {label}{f' ({unit})' if unit not in label else ''}")
        kind = page.get("chart_type")
        head = [f"{kind} chart"] if isinstance(kind, str) else []
        found.append("\n".join([*head, *axes, "", _rows(data)]))
    return [text for text in found if text.strip()]


def _rows(rows: Sequence[Any]) -> str:
    texts = [[str(c) for c in row] for row in rows if isinstance(row, list | tuple)]
    if len(texts) < 2:
        return ""
    return markdown_table(texts[0], texts[1:])


def _spoken(page: Mapping[str, Any]) -> list[str]:
    """Captions with times, slides and what is said."""
    found = []
    for name in ("captions", "events"):
        value = page.get(name)
        if isinstance(value, list):
            lines = [_timed(entry) for entry in value if isinstance(entry, Mapping)]
            found.append("\n".join(line for line in lines if line))
    for slide in page.get("slides") or ():
        if isinstance(slide, Mapping):
            points = [_text_of(p) for p in slide.get("points") or ()]
            found.append("\n".join([f"Slide: {slide.get('title', '')}", *filter(None, points)]))
    spoken = page.get("transcript")
    if isinstance(spoken, str):
        found.append(f"Said: {spoken}")
    elif isinstance(spoken, list):
        said = " ".join(t for t in map(_text_of, spoken) if t)
        found.append(f"Said: {said}" if said else "")
    return [text for text in found if text.strip()]


def _timed(entry: Mapping[str, Any]) -> str:
    text = _text_of(entry)
    start = entry.get("t0", entry.get("start_s"))
    end = entry.get("t1", entry.get("end_s"))
    if not text or not isinstance(start, int | float) or not isinstance(end, int | float):
        return text
    return f"{_clock(start)}-{_clock(end)} {text}"


def _clock(seconds: float) -> str:
    tenths = round(seconds * 10)
    return f"{tenths // 600:02d}:{tenths % 600 / 10:04.1f}"


def _outline(value: Any, depth: int = 0) -> str:
    """Names and values, indented; places, looks and empty things left out."""
    pad = "  " * depth
    lines: list[str] = []
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if name in _MARKS or inner in (None, "", [], {}):
                continue
            if isinstance(inner, Mapping | list | tuple):
                below = _outline(inner, depth + 1)
                if below:
                    lines += [f"{pad}{name}:", below]
            else:
                lines.append(f"{pad}{name}: {inner}")
    elif isinstance(value, list | tuple):
        if all(not isinstance(v, Mapping | list | tuple) for v in value):
            # A row of numbers is a place more often than a fact.
            if any(isinstance(v, str) for v in value):
                lines.append(pad + ", ".join(map(str, value)))
        else:
            for inner in value:
                below = _outline(inner, depth + 1)
                if isinstance(inner, Mapping) and not below.count(":\n"):
                    below = ", ".join(map(str.strip, below.split("\n")))
                if below:
                    lines.append(f"{pad}- {below.strip()}")
    return "\n".join(lines)
