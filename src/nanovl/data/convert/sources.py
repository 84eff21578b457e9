"""Files of a source as items: JSON, JSON lines (also gzipped) and sample tars.

Finds the file of a split inside a folder, reads it in order and says of every item where it
stands. A line that is not JSON is one dropped item; a file that is missing or damaged as a whole
is an `InputError`. Nothing here knows what the fields mean.
"""

from __future__ import annotations

import gzip
import json
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nanovl.core.conversation import MediaRef
from nanovl.core.errors import InputError
from nanovl.data.convert.base import ConvertOptions, Item, Malformed, Media, media_name
from nanovl.processing.images import image_size
from nanovl.processing.media import Limits

__all__ = [
    "find_file",
    "find_files",
    "load_json",
    "media_file",
    "picture",
    "read_lines",
    "read_objects",
    "read_samples",
    "sample_picture",
]


def find_files(source: Path, options: ConvertOptions, *patterns: str) -> tuple[Path, ...]:
    """The files of a split.

    Args:
        source: A file, which is taken as it is, or a folder to search.
        options: For the split.
        patterns: Glob patterns relative to the folder, "{split}" filled in; also tried one folder
            further down.

    Raises:
        InputError: Nothing fits.
    """
    if source.is_file():
        return (source,)
    if not source.is_dir():
        raise InputError(f"{source}: no such file or folder")
    wanted = [p.replace("{split}", options.split) for p in patterns]
    for prefix in ("", "*/"):
        for pattern in wanted:
            found = tuple(sorted(p for p in source.glob(prefix + pattern) if p.is_file()))
            if found:
                return found
    raise InputError(
        f"{source}: found none of {', '.join(wanted)}; give the file itself or choose another "
        f"split (this one is {options.split!r})"
    )


def find_file(source: Path, options: ConvertOptions, *patterns: str) -> Path:
    """The one file of a split.

    Raises:
        InputError: Nothing fits, or several files do.
    """
    found = find_files(source, options, *patterns)
    if len(found) > 1:
        names = ", ".join(p.name for p in found[:5])
        raise InputError(f"{source}: several files fit ({names}); give one of them")
    return found[0]


def load_json(path: Path) -> Any:
    """A whole JSON file, also gzipped.

    Raises:
        InputError: It is missing or not JSON.
    """
    try:
        data = path.read_bytes()
        return json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: not valid JSON: {error}") from error


def read_objects(values: Any, where: str, options: ConvertOptions) -> Iterator[Item]:
    """The objects of a decoded JSON list; other values are dropped.

    Raises:
        InputError: `values` is not a list.
    """
    if not isinstance(values, list):
        raise InputError(f"{where}: got {type(values).__name__}, expected a list of objects")
    for index, value in enumerate(values):
        if isinstance(value, dict):
            yield Item(f"{where}[{index}]", value)
        else:
            options.on_drop(
                "wrong_type",
                f"{where}[{index}]",
                f"got {type(value).__name__}, expected an object",
            )


def read_lines(path: Path, options: ConvertOptions) -> Iterator[Item]:
    """The objects of a `.jsonl` or `.jsonl.gz` file; blank lines are skipped.

    Raises:
        InputError: The file is missing or the compressed stream is damaged.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as stream:
            for number, line in enumerate(stream, 1):
                if line.strip():
                    yield from _line(line, f"{path.name}:{number}", options)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error


def _line(line: bytes, where: str, options: ConvertOptions) -> Iterator[Item]:
    try:
        value = json.loads(line)
    except ValueError as error:
        options.on_drop("bad_json", where, f"not valid JSON: {error}")
        return
    if isinstance(value, dict):
        yield Item(where, value)
    else:
        options.on_drop("wrong_type", where, f"got {type(value).__name__}, expected an object")


def read_samples(path: Path, options: ConvertOptions) -> Iterator[Item]:
    """The samples of a tar: consecutive members with the same key, one of them `.json`.

    The other members become the item's media, by extension.

    Raises:
        InputError: The file is missing or not a tar.
    """
    try:
        with tarfile.open(path) as archive:
            key = ""
            members: dict[str, bytes] = {}
            for info in archive:
                if not info.isfile():
                    continue
                stem, _, suffix = info.name.partition(".")
                if stem != key:
                    yield from _sample(path, key, members, options)
                    key, members = stem, {}
                stream = archive.extractfile(info)
                members[suffix] = stream.read() if stream else b""
            yield from _sample(path, key, members, options)
    except (OSError, tarfile.TarError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read as a tar: {error}") from error


def _sample(
    path: Path, key: str, members: Mapping[str, bytes], options: ConvertOptions
) -> Iterator[Item]:
    if not members:
        return
    where = f"{path.name}:{key}"
    if "json" not in members:
        options.on_drop("missing_field", where, "the sample has no .json member")
        return
    for item in _line(members["json"], where, options):
        media = {suffix: data for suffix, data in members.items() if suffix != "json"}
        yield Item(where, item.data, media)


def media_file(name: str, field: str, *folders: Path | None) -> MediaRef:
    """A reference to a media file that lies in one of some folders.

    Args:
        name: File name as the source writes it, possibly with folders or without extension.
        field: The field it comes from, for the message.
        folders: Where to look, in this order; None is skipped.

    Raises:
        Malformed: It is in none of them.
    """
    relative = Path(name)
    if relative.is_absolute() or ".." in relative.parts:
        raise Malformed("missing_media", f"{field}: {name!r} points outside the source")
    known = [f for f in folders if f is not None]
    for folder in known:
        for candidate in (relative, Path(relative.name)):
            for suffix in ("", ".jpg", ".png", ".jpeg", ".webp"):
                path = folder / f"{candidate}{suffix}"
                if path.is_file():
                    return MediaRef(path=path)
    looked = ", ".join(f.name or "." for f in known) or "no folder; pass the folder of pictures"
    raise Malformed("missing_media", f"{field}: there is no file {name!r} (looked in: {looked})")


def picture(
    ref: MediaRef, *parts: str, field: str = "image", size: tuple[int, int] | None = None
) -> Media:
    """A picture file as media of a record, with its width and height.

    Args:
        ref: A local file.
        parts: What makes its name unique, see `media_name`.
        field: The field that named it, for messages.
        size: (width, height) when the annotation states them; None reads the file's header.

    Raises:
        Malformed: It is not a picture.
    """
    suffix = ref.path.suffix if ref.path is not None else ""
    try:
        width, height = size or image_size(ref, Limits())
    except InputError as error:
        raise Malformed("bad_media", f"{field}: {error}") from error
    return Media(
        name=media_name(*parts, suffix=suffix or "png"),
        payload=ref,
        metadata={"width": width, "height": height},
    )


def sample_picture(item: Item, *parts: str) -> Media:
    """The picture of a tar sample; its size stands in the fields width and height.

    Raises:
        Malformed: The sample has no picture or no size.
    """
    for suffix in ("webp", "png", "jpg", "jpeg"):
        if suffix in item.media:
            metadata = {key: int(item.number(key)) for key in ("width", "height")}
            name = media_name(*parts, suffix=suffix)
            return Media(name=name, payload=item.media[suffix], metadata=metadata)
    raise Malformed("missing_media", "the sample has no picture (.webp, .png or .jpg)")
