"""Benchmarks in nanovl's own format: written once, read without the publisher's files.

`import_benchmark` reads the publisher's files, checks the count against the registry and writes one
folder per number of the report. Media are named by their content, so that equal pictures are stored
once; videos are linked where the file system allows it. Nothing is fetched.

Source: evaluation specification, sections 3.2 and 11.1.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nanovl import __version__
from nanovl.core.errors import InputError
from nanovl.core.events import Event, OnEvent, ignore_event
from nanovl.evals.base import Medium, Sample
from nanovl.evals.readers.find import NATIVE
from nanovl.evals.readers.folder import line_of
from nanovl.evals.readers.load import Loaded, keep_medium, load
from nanovl.evals.registry import Benchmark

__all__ = [
    "CONVERTER",
    "CountCheck",
    "Imported",
    "check_count",
    "check_manifest",
    "import_benchmark",
    "write_native",
]

CONVERTER = f"nanovl {__version__}"
MEDIA = "media"
_EVERY = 200


@dataclass(frozen=True, kw_only=True)
class CountCheck:
    """Whether a benchmark has as many samples as it should.

    Attributes:
        name: Benchmark, with the part when there are several numbers.
        counted: "samples", "groups" or "categories".
        expected: None when the count is not known.
        found: Usable ones.
        malformed: Rows left out, by reason.
        other_split: Rows that belong to another split.
    """

    name: str
    counted: str
    expected: int | None
    found: int
    malformed: dict[str, int]
    other_split: int

    @property
    def agrees(self) -> bool:
        """Whether nothing speaks against the files."""
        return self.expected in (None, self.found) and not self.malformed

    def lines(self) -> list[str]:
        """What differs, line by line; empty when nothing does."""
        found = []
        if self.expected is not None and self.expected != self.found:
            found.append(
                f"{self.name}: {self.counted}: expected {self.expected:,}, found {self.found:,} "
                f"({self.found - self.expected:+,})"
            )
        for reason, number in sorted(self.malformed.items()):
            found.append(f"{self.name}: malformed rows ({reason}): {number:,}")
        if found and self.other_split:
            found.append(f"{self.name}: rows of other splits: {self.other_split:,}")
        return found


@dataclass(frozen=True, kw_only=True)
class Imported:
    """One folder that was written.

    Attributes:
        folder: Where.
        loaded: What was read.
        check: Its count.
    """

    folder: Path
    loaded: Loaded
    check: CountCheck


def check_count(loaded: Loaded) -> CountCheck:
    """Compare what was read with what the registry expects."""
    return CountCheck(
        name=loaded.name,
        counted=loaded.benchmark.count_by,
        expected=loaded.expected,
        found=loaded.found,
        malformed=dict(loaded.log.counts),
        other_split=sum(loaded.log.left_out.values()),
    )


def check_manifest(name: str, manifest: Mapping[str, Any]) -> CountCheck:
    """The same, from what a run kept; sets of other origin have nothing to be compared with.

    Args:
        name: Of the task.
        manifest: Of the task.
    """
    return CountCheck(
        name=name,
        counted=str(manifest.get("count_by", "samples")),
        expected=manifest.get("expected"),
        found=int(manifest.get("found", manifest.get("samples", 0))),
        malformed={str(k): int(v) for k, v in (manifest.get("malformed") or {}).items()},
        other_split=int(manifest.get("left_out") or 0),
    )


def import_benchmark(
    benchmark: Benchmark,
    source: Path,
    out: Path,
    *,
    parts: Sequence[str] = (),
    profile: str = "default",
    on_event: OnEvent = ignore_event,
) -> tuple[Imported, ...]:
    """Turn the publisher's files into nanovl's format.

    Args:
        benchmark: What to import.
        source: Folder with its files.
        out: Folder to write; parts with numbers of their own get folders in it.
        parts: Parts to read; none means all that are there.
        profile: Compatibility profile.
        on_event: Hears how far it is.

    Raises:
        InputError: A file is missing or unreadable, or `out` holds something already.
        ConfigError: No such part or profile.
    """
    done = []
    staging = out / ".media.part"
    _check_free(out)
    try:
        units = load(
            benchmark,
            source,
            parts=parts,
            profile=profile,
            media_folder=staging,
            on_event=on_event,
        )
        for loaded in units:
            folder = out / loaded.part if loaded.part else out
            write_native(loaded.samples, folder, manifest=loaded.manifest, on_event=on_event)
            done.append(Imported(folder=folder, loaded=loaded, check=check_count(loaded)))
    except BaseException:
        _clear(out)  # it was empty before
        raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return tuple(done)


def _check_free(out: Path) -> None:
    try:
        taken = out.exists() and (not out.is_dir() or any(out.iterdir()))
    except OSError as error:
        raise InputError(f"{out}: cannot be read ({error.strerror or error})") from error
    if taken:
        raise InputError(f"{out}: holds something already; name a new or empty folder")


def _clear(folder: Path) -> None:
    for inner in folder.iterdir() if folder.is_dir() else ():
        if inner.is_dir() and not inner.is_symlink():
            shutil.rmtree(inner, ignore_errors=True)
        else:
            inner.unlink(missing_ok=True)


def write_native(
    samples: Iterable[Sample],
    folder: Path,
    *,
    manifest: dict[str, Any],
    on_event: OnEvent = ignore_event,
) -> int:
    """Write samples with their media; the manifest comes last, so that its presence means done.

    Args:
        samples: What to write.
        folder: Made if needed; its `samples.jsonl` must not be there yet.
        manifest: What is known of the source; counts and the converter are added.
        on_event: Hears how far it is.

    Returns:
        How many were written.

    Raises:
        InputError: The folder cannot be written, or a sample cannot be stored.
    """
    target = folder / NATIVE
    if target.exists():
        raise InputError(f"{target}: is there already; name another folder")
    new = target.with_suffix(".part")
    written = 0
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with new.open("w", encoding="utf-8") as file:
            for sample in samples:
                media: dict[str, list[str]] = {}
                for medium in sample.media:
                    media.setdefault(medium.kind, []).append(_stored(medium, folder))
                file.write(line_of(sample, media) + "\n")
                written += 1
                if written % _EVERY == 0:
                    on_event(Event(name="write", done=written, unit="samples"))
        new.replace(target)
        facts = {**manifest, "samples": written, "converter": CONVERTER}
        text = json.dumps(facts, indent=2, ensure_ascii=False) + "\n"
        (folder / "manifest.json").write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror or error})") from error
    return written


def _stored(medium: Medium, folder: Path) -> str:
    """Path of the medium in the folder, put there if it is not there yet."""
    if medium.data is not None:
        kept = keep_medium(medium, folder / MEDIA)
        return f"{MEDIA}/{Path(str(kept.path)).name}"
    if medium.path is None:
        raise InputError(f"{medium.kind} {medium.name!r}: has neither bytes nor a path")
    source = Path(medium.path)
    target = folder / MEDIA / _file_name(medium, source)
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, target)
        except OSError:  # another disk, or no links there
            shutil.copyfile(source, target)
    return target.relative_to(folder).as_posix()


def _file_name(medium: Medium, source: Path) -> str:
    """The path the medium was known by, when it is relative and stays inside; else its name."""
    name = Path(medium.name.removeprefix(f"{MEDIA}/") or source.name)
    plain = not name.is_absolute() and ".." not in name.parts and name.suffix == source.suffix
    return name.as_posix() if plain else source.name
