"""Video files by the names annotations use for them, which are rarely file names.

Annotations name a video by an id; the file may be `ID.mp4`, `v_ID.mkv`, or lie in folders. The
folder is scanned once; nothing is opened.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nanovl.core.conversation import MediaRef
from nanovl.core.errors import InputError
from nanovl.data.convert.base import ConvertOptions, Malformed, Media, media_name

__all__ = ["Videos"]

SUFFIXES = frozenset({".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm"})


class Videos:
    """The videos of one data set.

    Args:
        source: File or folder of the annotations; the videos are looked for in a folder `videos`
            beside or in it, then in the folder itself.
        options: `images` names another folder instead.

    Raises:
        InputError: The folder given does not exist.
    """

    def __init__(self, source: Path, options: ConvertOptions) -> None:
        base = source if source.is_dir() else source.parent
        if options.images is not None and not options.images.is_dir():
            raise InputError(f"{options.images}: the folder of videos does not exist")
        beside = base / "videos"
        self.folder = options.images or (beside if beside.is_dir() else base)
        self.count = 0
        self._files: dict[str, Path] = {}
        for path in _walk(self.folder):
            self.count += 1
            inner = path.relative_to(self.folder)
            for name in (path.name, path.stem, str(inner), "_".join(inner.with_suffix("").parts)):
                self._files.setdefault(name, path)

    def find(self, *names: str, field: str) -> Path:
        """The file that has one of these names, with or without extension.

        Raises:
            Malformed: There is none.
        """
        for name in names:
            for candidate in (name, Path(name).stem, Path(name).name, f"v_{name}"):
                if candidate in self._files:
                    return self._files[candidate]
        raise Malformed(
            "missing_media",
            f"{field}: there is no video {names[0]!r} (looked in: {self.folder.name or '.'}, which "
            f"has {self.count})",
        )

    def media(
        self,
        dataset: str,
        *names: str,
        field: str,
        duration: float | None = None,
        window: tuple[float, float] | None = None,
    ) -> Media:
        """A video as media of a record.

        Args:
            dataset: Makes the name unique together with the first of `names`.
            names: Possible names of the file.
            field: The field that names it, for messages.
            duration: Seconds as the annotation states them.
            window: The part to look at, in seconds; None is all.

        Raises:
            Malformed: There is no such file.
        """
        path = self.find(*names, field=field)
        metadata: dict[str, Any] = {} if duration is None else {"video_duration": duration}
        if window is not None:
            metadata |= {"start_s": window[0], "end_s": window[1]}
        name = media_name(dataset, _stem(names[0]), suffix=path.suffix)
        return Media(name=name, payload=MediaRef(path=path), kind="video", metadata=metadata)


def _stem(name: str) -> str:
    """The name without a video extension; dots elsewhere belong to it."""
    path = Path(name)
    return str(path.with_suffix("")) if path.suffix.lower() in SUFFIXES else name


def _walk(folder: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            if Path(name).suffix.lower() in SUFFIXES:
                yield Path(root) / name
