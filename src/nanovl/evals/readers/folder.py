"""nanovl's own format: a folder with `samples.jsonl`, `media/` and `manifest.json`.

One object per line: `id`, `group`, `images` (a list) or `video` or `pdf` or `audio`, `text`,
`hint`, `options`, `answers`, `answer_type`, `meta` with `category` (outside of `meta` when the
file has a column of that name). What is written comes back equal. Paths of media are relative to
the folder and stay inside it.

Source: evaluation specification, section 11.1.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from nanovl.core.errors import InputError
from nanovl.evals.base import Medium, Sample
from nanovl.evals.readers.find import inside
from nanovl.evals.readers.manifest import ReadLog
from nanovl.evals.readers.records import read_records

__all__ = ["line_of", "read_folder", "sample_of"]

_ONE: tuple[Literal["video", "pdf", "audio"], ...] = ("video", "pdf", "audio")
_TEXTS = ("id", "group", "text", "hint", "category")
_KEYS = frozenset((*_TEXTS, "images", *_ONE, "options", "answers", "answer_type", "meta"))
_TYPES = ("none", "text", "list", "mapping", "other")


def read_folder(path: Path, log: ReadLog) -> Iterator[Sample]:
    """Samples of a folder, in the order of its lines.

    Args:
        path: The folder, or its `samples.jsonl`.
        log: Takes lines that cannot be used.

    Raises:
        InputError: The file cannot be read; a malformed line of a strict log.
    """
    file = path / "samples.jsonl" if path.is_dir() else path
    seen: set[str] = set()
    for line, record in read_records(file, log):
        try:
            sample = sample_of(record, file.parent)
        except InputError as error:
            log.problem(file.name, line, "sample", str(error))
            continue
        if sample.id in seen:
            log.problem(file.name, line, "duplicate", f"a second sample with id {sample.id}")
            continue
        seen.add(sample.id)
        for medium in sample.media:
            log.media[medium.name] = Path(medium.path or "").stat().st_size
        yield sample


def sample_of(record: Mapping[str, Any], folder: Path) -> Sample:
    """The sample of a line.

    Args:
        record: The line's object.
        folder: Where its media are.

    Raises:
        InputError: A key is missing, unknown or of the wrong type, or a media file is missing.
    """
    unknown = sorted(set(record) - _KEYS)
    if unknown or not isinstance(record.get("id"), str) or not record["id"]:
        what = f"unknown keys {', '.join(unknown)}" if unknown else "no id, which is a text"
        raise InputError(f"{what}; expected {', '.join(sorted(_KEYS))}")
    meta = dict(_mapping(record, "meta"))
    # A file may have a column of its own that is called category; then it stands outside.
    category = _text(record, "category") if "category" in record else _category(meta)
    answers = record.get("answers", [])
    kind = record.get("answer_type", "list")
    if not isinstance(answers, list) or kind not in _TYPES:
        raise InputError(f"answers must be a list and answer_type one of {', '.join(_TYPES)}")
    if kind not in ("none", "list") and len(answers) != 1:
        raise InputError(f"{len(answers)} answers, expected 1 for answer_type {kind}")
    answer: Any = {"none": None, "list": answers}.get(kind, answers[0] if answers else None)
    return Sample(
        id=record["id"],
        question=_text(record, "text"),
        answer=answer,
        options={str(k): str(v) for k, v in _mapping(record, "options").items()},
        media=tuple(_media(record, folder)),
        hint=_text(record, "hint"),
        group=_text(record, "group"),
        category=category,
        meta=meta,
    )


def _text(record: Mapping[str, Any], key: str) -> str:
    value = record.get(key, "")
    if not isinstance(value, str):
        raise InputError(f"{key} is a {type(value).__name__}, expected text")
    return value


def _category(meta: dict[str, Any]) -> str:
    found = meta.pop("category", "")
    if not isinstance(found, str):
        raise InputError(f"category is a {type(found).__name__}, expected text")
    return found


def _mapping(record: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = record.get(key, {})
    if not isinstance(value, Mapping):
        raise InputError(f"{key} is a {type(value).__name__}, expected an object")
    return value


def _media(record: Mapping[str, Any], folder: Path) -> Iterator[Medium]:
    images = record.get("images", [])
    if not isinstance(images, list):
        raise InputError("images must be a list of paths")
    for name in images:
        yield _medium("image", name, folder)
    for kind in _ONE:
        if kind in record:
            yield _medium(kind, record[kind], folder)


def _medium(kind: Literal["image", "video", "pdf", "audio"], name: Any, folder: Path) -> Medium:
    path = inside(folder, name) if isinstance(name, str) and name else None
    if path is None:
        raise InputError(f"there is no {kind} {name!r} in {folder}; import the benchmark again")
    return Medium(kind=kind, path=str(path), name=str(name))


def line_of(sample: Sample, media: Mapping[str, list[str]]) -> str:
    """The line of a sample.

    Args:
        sample: What to write.
        media: Paths relative to the folder, by kind.

    Raises:
        InputError: Several videos or documents, or something that JSON cannot hold.
    """
    record: dict[str, Any] = {"id": sample.id, "group": sample.group}
    if media.get("image"):
        record["images"] = media["image"]
    for kind in _ONE:
        names = media.get(kind, [])
        if len(names) > 1 or (names and len(media) > 1):
            raise InputError(f"sample {sample.id}: one {kind}, or pictures, can be stored")
        if names:
            record[kind] = names[0]
    answers, answer_type = _answers(sample.answer)
    record |= {
        "text": sample.question,
        "hint": sample.hint,
        "options": dict(sample.options),
        "answers": answers,
        "answer_type": answer_type,
        "meta": {"category": sample.category, **sample.meta},
    }
    if "category" in sample.meta:
        record["category"] = sample.category
    try:
        return json.dumps(record, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"sample {sample.id}: cannot be stored as JSON: {error}") from error


def _answers(answer: Any) -> tuple[list[Any], str]:
    if answer is None:
        return [], "none"
    if isinstance(answer, (list, tuple)):
        return list(answer), "list"
    if isinstance(answer, str):
        return [answer], "text"
    return [answer], "mapping" if isinstance(answer, Mapping) else "other"
