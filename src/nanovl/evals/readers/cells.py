"""Cells of benchmark files: missing values, lists written as text, pictures in base64.

Text of a file is never evaluated: lists are read with `ast.literal_eval` and nothing else.

Source: evaluation specification, sections 3.1 and 3.2.
"""

from __future__ import annotations

import ast
import base64
import binascii
import string
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from nanovl.core.conversation import MediaRef
from nanovl.core.errors import InputError
from nanovl.evals.base import Medium
from nanovl.processing.detect import detect_kind
from nanovl.processing.media import Limits

__all__ = [
    "MISSING_NAMES",
    "REFERENCE_CHARS",
    "as_list",
    "as_text",
    "decode_medium",
    "is_listing",
    "letters",
    "literal_list",
    "medium_of",
    "medium_of_file",
]

# fmt: off
MISSING_NAMES = frozenset((
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
    "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
))
# fmt: on
"""Cell texts that pandas takes for a missing value; profile `vk` does so as well."""

REFERENCE_CHARS = 64
"""An image cell of at most so many characters is the index of the row whose image is meant."""

_LIST_CHARS = 4_000_000
# The files are the user's own; only a mistake is this large.
_LIMITS = Limits(max_image_bytes=1 << 30, max_document_bytes=1 << 32, max_video_bytes=1 << 34)
_KINDS: Mapping[str, Literal["image", "video", "pdf", "audio"]] = {
    "image": "image",
    "video": "video",
    "document": "pdf",
    "audio": "audio",
}


def is_listing(cell: Any) -> bool:
    """Whether a cell is a list, or text that looks like one."""
    if isinstance(cell, (list, tuple)):
        return True
    return isinstance(cell, str) and cell.strip()[:1] == "[" and cell.strip()[-1:] == "]"


def literal_list(cell: Any) -> list[Any] | None:
    """A list, or the list a text is the Python literal of; None when it is neither."""
    if isinstance(cell, (list, tuple)):
        return list(cell)
    if not is_listing(cell) or len(cell) > _LIST_CHARS:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # "\d" in somebody's text
            value = ast.literal_eval(cell.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
    return list(value) if isinstance(value, list) else None


def as_list(cell: Any) -> Any:
    """The list that a cell is or is the Python literal of; everything else as it is."""
    value = literal_list(cell)
    return cell if value is None else value


def as_text(cell: Any) -> str:
    """A cell as text; None is empty."""
    if cell is None:
        return ""
    return cell if isinstance(cell, str) else str(cell)


def letters(texts: Sequence[Any]) -> dict[str, str]:
    """Options by letter.

    Raises:
        InputError: More options than letters.
    """
    if len(texts) > len(string.ascii_uppercase):
        raise InputError(f"{len(texts)} options, expected at most {len(string.ascii_uppercase)}")
    return {letter: as_text(t) for letter, t in zip(string.ascii_uppercase, texts, strict=False)}


def decode_medium(cell: str, name: str) -> Medium:
    """A picture or document out of base64.

    Raises:
        InputError: Not base64, or its bytes are no picture and no PDF.
    """
    if cell.startswith("data:"):
        cell = cell.partition(",")[2]
    try:
        data = base64.b64decode("".join(cell.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError(f"image {name}: not base64 ({error}), {len(cell):,} characters") from error
    return medium_of(data, name)


def medium_of(data: bytes, name: str) -> Medium:
    """A medium of bytes, its kind found in them.

    Raises:
        InputError: No known format.
    """
    kind = detect_kind(MediaRef(data=data, name=name), _LIMITS)
    return Medium(kind=_KINDS[kind], data=data, name=name)


def medium_of_file(path: Path, name: str) -> Medium:
    """A medium that stays on disk, its kind found in its content.

    Raises:
        InputError: No known format.
    """
    kind = detect_kind(MediaRef(path=path, name=name), _LIMITS)
    return Medium(kind=_KINDS[kind], path=str(path), name=name)
