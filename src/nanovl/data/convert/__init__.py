"""Converters: annotated data sets in, records and media shards out.

Reading order: `banks` and `templates` (how questions are worded and answers are written), `items`
and `base` (fields, records, drops, the generator of a record), `sources` (files as items), `write`
(a whole conversion); `markup` and `lines` (tables as text, printed lines with boxes); then one
module per family of formats: `vqa`, `documents`, `charts`, `receipts`, `forms`, `choices`,
`pictures`, `problems`, `reading`, `table_qa`, `bfcl`, `functions`, `prose`, `speech`.

Annotations turned into questions: `banks_annotations` (wordings), `parts` (one bad box or segment
of many), `boxes`, `detection`, `openimages`, `refcoco`, `scene_text` (pictures); `videos`,
`temporal`, `segments`, `video_qa` (videos); `grids`, `tables`, `pubtables` (tables); `tool_calls`
(functions); `traces`, `reasoning` (worked solutions); `chats` (conversations in general forms).

A format is one `Format` in the `FORMATS` tuple of its module; to add a family, list its module
in `_MODULES` here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from nanovl.core.config import nearest
from nanovl.core.errors import ConfigError
from nanovl.core.events import OnEvent, ignore_event
from nanovl.data.convert import (
    bfcl,
    charts,
    chats,
    choices,
    detection,
    documents,
    forms,
    functions,
    openimages,
    pictures,
    problems,
    prose,
    pubtables,
    reading,
    reasoning,
    receipts,
    refcoco,
    scene_text,
    segments,
    speech,
    table_qa,
    tables,
    tool_calls,
    video_qa,
    vqa,
)
from nanovl.data.convert.base import Converted, ConvertOptions, Format
from nanovl.data.convert.write import ConvertReport, write_records

__all__ = [
    "FORMATS",
    "ConvertOptions",
    "ConvertReport",
    "Converted",
    "Format",
    "convert",
    "find_format",
]

# Every module has FORMATS: tuple[Format, ...].
_MODULES: tuple[Any, ...] = (
    vqa,
    documents,
    charts,
    receipts,
    forms,
    choices,
    pictures,
    problems,
    reading,
    table_qa,
    bfcl,
    functions,
    prose,
    speech,
    detection,
    openimages,
    refcoco,
    scene_text,
    segments,
    video_qa,
    tables,
    pubtables,
    tool_calls,
    reasoning,
    chats,
)

FORMATS: Mapping[str, Format] = MappingProxyType(
    {f.name: f for module in _MODULES for f in module.FORMATS}
)
assert len(FORMATS) == sum(len(m.FORMATS) for m in _MODULES), "two formats have the same name"


def find_format(name: str) -> Format:
    """The format of this name.

    Raises:
        ConfigError: There is none.
    """
    if name not in FORMATS:
        raise ConfigError(
            f"unknown data format {name!r}{nearest(name, FORMATS)}; "
            f"known: {', '.join(sorted(FORMATS))}"
        )
    return FORMATS[name]


def convert(
    format: str,
    source: Path | str,
    out: Path | str,
    *,
    limit: int | None = None,
    seed: int = 0,
    split: str = "train",
    images: Path | str | None = None,
    extra: Mapping[str, Any] | None = None,
    on_event: OnEvent = ignore_event,
) -> ConvertReport:
    """Convert an annotated data set into records.

    Args:
        format: A key of `FORMATS`.
        source: What the format expects, see `Format.expects`.
        out: Folder of the new data set.
        limit: Stop after this many records.
        seed: Of everything drawn: wordings, negatives, options.
        split: Which part of the source.
        images: Folder with the media, where they are not part of the source.
        extra: Settings of this format, see `Format.options`.
        on_event: Progress.

    Returns:
        What was written, and what was dropped for which reason.

    Raises:
        ConfigError: The format or one of its settings is unknown.
        InputError: The source cannot be read or holds nothing that can be used.
    """
    options = ConvertOptions(
        seed=seed,
        limit=limit,
        split=split,
        images=None if images is None else Path(images),
        extra=dict(extra or {}),
    )
    return write_records(
        find_format(format), Path(source), Path(out), options=options, on_event=on_event
    )
