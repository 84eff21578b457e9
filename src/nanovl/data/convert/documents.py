"""DocVQA-style files: questions about one page, an infographic, or the pages of a document."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from nanovl.core.errors import InputError
from nanovl.data.convert.base import (
    Converted,
    ConvertOptions,
    Format,
    Item,
    Malformed,
    Turn,
    each,
    records,
    rng,
)
from nanovl.data.convert.markup import is_number
from nanovl.data.convert.sources import find_file, load_json, media_file, picture, read_objects
from nanovl.data.convert.templates import question
from nanovl.data.convert.vqa import majority

__all__ = ["FORMATS", "convert_documents"]


def convert_documents(source: Path, options: ConvertOptions, *, name: str) -> Iterator[Converted]:
    """Questions under `data`; the picture is `image`, `image_local_name` or all of `page_ids`.

    Args:
        source: The annotation file or its folder.
        options: For split, seed and pictures.
        name: Source name, and the beginning of the file name inside a folder.
    """
    path = find_file(source, options, f"{name}_{{split}}*.json", "{split}_v*.json", "{split}.json")
    data = load_json(path)
    if not isinstance(data, dict) or "data" not in data:
        raise InputError(f"{path}: expected an object with the list 'data'")

    def make(item: Item) -> list[Converted]:
        files = _pages(item)
        folders = [options.images, path.parent, path.parent / "images", path.parent / "documents"]
        pages = [
            picture(media_file(file, "image", *folders), name, Path(file).stem) for file in files
        ]
        key = f"{name}-{item.text('questionId')}"
        answer = majority(item.texts("answers"))
        form = "number_answer" if is_number(answer) else "short_answer"
        asked = question(form, rng(key, options.seed), question=item.text("question"))
        task = "multi_page_qa" if len(pages) > 1 else "document_qa"
        turn = Turn(question=asked, answer=answer, task=task)
        return records(
            options,
            id=key,
            turns=[turn],
            source=name,
            media=pages,
            metadata={"answers": list(item.texts("answers")), **_evidence(item, len(pages))},
        )

    return each(read_objects(data["data"], f"{path.name}: data", options), make, options)


def _pages(item: Item) -> tuple[str, ...]:
    """File names of all pages a question is about."""
    if "page_ids" in item.data:
        return item.texts("page_ids", aligned=True)
    file = item.maybe("image") or item.maybe("image_local_name")
    if not file:
        raise Malformed("missing_field", "image is missing, and so is image_local_name")
    return (file,)


def _evidence(item: Item, pages: int) -> dict[str, int]:
    if "answer_page_idx" not in item.data:
        return {}
    index = int(item.number("answer_page_idx"))
    if not 0 <= index < pages:
        raise Malformed("bad_value", f"answer_page_idx: got {index} of {pages} pages")
    return {"evidence_page": index}


FORMATS = tuple(
    Format(
        name=name,
        description=description,
        convert=partial(convert_documents, name=name),
        expects=f"{name}_<split>....json or <split>_v....json with 'data', or its folder",
        licence="as stated by the challenge (research use)",
    )
    for name, description in (
        ("docvqa", "DocVQA: questions about scanned pages; several with page_ids (MP-DocVQA)"),
        ("infovqa", "InfographicVQA: questions about infographics"),
    )
)
