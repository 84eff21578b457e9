"""The folder of a gallery: one page, its script and style, data and media of every sample.

    OUT/index.html          open it, no server needed
    OUT/assets/             script and style
    OUT/data/index.js       what the index shows; OUT/data/s000000.js and so on: one sample each
    OUT/media/              pictures, frames, thumbnails

Data are scripts because a page opened from the file system may not fetch files. Must not look into
samples.

Source: data synthesis specification, section 20.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nanovl.core.errors import InputError
from nanovl.core.events import Event, OnEvent, ignore_event
from nanovl.synth.datasets import DataSet
from nanovl.synth.gallery.overlay import INNER
from nanovl.synth.gallery.palette import colors_of
from nanovl.synth.gallery.sample import Shown, show

__all__ = ["Site", "build_site"]

_ASSETS = Path(__file__).parent
_NAMED = 8  # data sets named in the headline


@dataclass(kw_only=True)
class Site:
    """What was written.

    Attributes:
        index: The page to open.
        samples: Shown.
        total: In the data sets.
        skipped: Samples that could not be shown, with the reason.
        wrong: Reference answers that do not pass their own check.
        outside: Samples with boxes outside their picture.
    """

    index: Path
    samples: int = 0
    total: int = 0
    skipped: dict[str, str] = field(default_factory=dict)
    wrong: int = 0
    outside: int = 0


def build_site(
    sources: Sequence[DataSet],
    out: Path,
    *,
    limit: int = 200,
    title: str = "",
    on_event: OnEvent = ignore_event,
) -> Site:
    """Write a gallery.

    Args:
        sources: Data sets, shown one after the other.
        out: Folder; made when it is not there, an older gallery in it is replaced.
        limit: Samples of one data set at most, evenly over it; 0 shows all.
        title: Headline; names of the data sets when empty.
        on_event: Told about progress in samples.

    Raises:
        InputError: The folder holds something else or cannot be written, or nothing can be shown.
    """
    _claim(out)
    sizes = [source.size for source in sources]
    wanted = [_spread(size, limit) for size in sizes]
    site = Site(index=out / "index.html", total=sum(sizes))
    rows: list[dict[str, Any]] = []
    classes: set[frozenset[str]] = set()
    planned = sum(map(len, wanted))
    for source, chosen in zip(sources, wanted, strict=True):
        for number, made in enumerate(source):
            if number not in chosen:
                continue
            key = f"s{len(rows):06d}"
            try:
                shown = show(made, source, key, _Saver(out, key))
            except InputError as error:
                site.skipped[made.id] = str(error)
                continue
            _count(site, shown)
            _script(out / "data" / f"{key}.js", f'nanovlSample("{key}", ', shown.data, ");")
            rows.append(shown.row)
            classes.add(shown.classes)
            on_event(Event(name="gallery", done=len(rows), total=planned, unit="samples"))
    if not rows:
        why = next(iter(site.skipped.values()), "the data sets are empty")
        raise InputError(f"{out}: no sample can be shown; the first reason: {why}")
    site.samples = len(rows)
    _write_index(out, sources, site, rows, classes, title)
    return site


class _Saver:
    """Keeps media of one sample."""

    def __init__(self, out: Path, key: str) -> None:
        self._out = out
        self._key = key

    def __call__(self, suffix: str, data: bytes) -> str:
        address = f"media/{self._key}-{suffix}"
        (self._out / address).write_bytes(data)
        return address


def _claim(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file; expected a folder for the gallery")
    if out.is_dir() and any(out.iterdir()) and not (out / "data" / "index.js").is_file():
        raise InputError(f"{out}: is not empty and no gallery; use a new folder")
    try:
        for name in ("assets", "data", "media"):
            folder = out / name
            folder.mkdir(parents=True, exist_ok=True)
            for old in folder.iterdir():
                old.unlink()
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror})") from error


def _spread(size: int, limit: int) -> set[int]:
    """Indices of samples, evenly over a data set."""
    if limit <= 0 or size <= limit:
        return set(range(size))
    return {k * size // limit for k in range(limit)}


def _count(site: Site, shown: Shown) -> None:
    site.wrong += sum(not r["right"] for r in shown.data["records"] if r["verifier"])
    site.outside += any("leave their picture" in w for w in shown.data["warnings"])


def _write_index(
    out: Path,
    sources: Sequence[DataSet],
    site: Site,
    rows: list[dict[str, Any]],
    classes: set[frozenset[str]],
    title: str,
) -> None:
    names = [source.name for source in sources]
    digest = hashlib.sha256(json.dumps([names, [r["id"] for r in rows]]).encode()).hexdigest()[:16]
    shown = f"{site.samples:,}" if site.samples == site.total else f"{site.samples:,} of"
    total = "" if site.samples == site.total else f" {site.total:,}"
    content = {
        "id": digest,
        "title": title or (names[0] if len(names) == 1 else f"{len(names)} data sets"),
        "subtitle": f"{shown}{total} samples" + (f" of {_listed(names)}" if names[1:] else ""),
        "samples": rows,
        "colors": colors_of(classes),
        "hidden": sorted({c for seen in classes for c in seen if _is_inner(c)}),
    }
    _script(out / "data" / "index.js", "window.nanovlIndex = ", content, ";")
    for name, target in (
        ("index.html", out / "index.html"),
        ("gallery.css", out / "assets" / "gallery.css"),
        ("gallery.js", out / "assets" / "gallery.js"),
    ):
        target.write_bytes((_ASSETS / name).read_bytes())


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    shown = ", ".join(names[:_NAMED] if more > 1 else names)
    return f"{shown} and {more} more" if more > 1 else shown


def _is_inner(name: str) -> bool:
    """Whether boxes of a class are hidden at first: parts of others, and answers."""
    if name in (*INNER, "answer", "evidence"):
        return True
    return name.startswith("entity") or name.endswith((" text", " ink", " label"))


def _script(path: Path, before: str, value: Any, after: str) -> None:
    # ASCII alone: no encoding and no line separator of JavaScript can get in the way.
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    path.write_text(f"{before}{text}{after}\n", encoding="ascii")
