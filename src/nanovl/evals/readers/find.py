"""Where the files of a benchmark are: below a data folder, under the names they are published with.

Nothing is downloaded; what is missing is named, with where to get it and where to put it.

Source: evaluation specification, sections 3.1 and 3.2.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from nanovl.core.errors import InputError
from nanovl.evals.registry import Benchmark, FileSpec

__all__ = ["NATIVE", "RECORD_SUFFIXES", "find_file", "find_parts", "inside", "is_url"]

NATIVE = "samples.jsonl"
"""Name of the file that makes a folder one of nanovl's own format."""

RECORD_SUFFIXES = (".parquet", ".jsonl", ".json")
"""What a `.tsv` may be instead: an export with the same columns."""


def find_parts(
    benchmark: Benchmark, source: Path, parts: Sequence[str] = ()
) -> tuple[tuple[FileSpec, Path], ...]:
    """The file or folder of every part that is asked for.

    Args:
        benchmark: Whose files.
        source: A data folder, the folder of the benchmark, or a file of a benchmark of one part.
        parts: Names of parts; none means all that are there and all that must be there.

    Returns:
        Parts with their files. A folder of nanovl's format that holds all parts has the name "".

    Raises:
        InputError: A part is missing; says what to get and where to put it.
        ConfigError: The benchmark has no such part.
    """
    if is_url(str(source)):
        raise InputError(
            f"{source}: benchmarks are read from disk only; get the files yourself "
            f"({benchmark.source}) and name their folder"
        )
    wanted = [benchmark.file(part) for part in parts] or list(benchmark.files)
    whole = _whole(benchmark, source)
    if whole is not None:
        return ((FileSpec(part="", names=(NATIVE,)), whole),)
    found = []
    for spec in wanted:
        path = find_file(benchmark, spec, source)
        if path is not None:
            found.append((spec, path))
        elif parts or not spec.optional:
            raise _missing(benchmark, spec, source)
    return tuple(found)


def _whole(benchmark: Benchmark, source: Path) -> Path | None:
    """The one file of nanovl's format for parts that are scored together."""
    if benchmark.combine == "separate" and len(benchmark.files) > 1:
        return None
    if source.is_file():
        return source if source.name == NATIVE else None
    natives = (source / NATIVE, source / benchmark.id / NATIVE)
    return next((n for n in natives if n.is_file() and _is_native_of(n, benchmark)), None)


def find_file(benchmark: Benchmark, spec: FileSpec, source: Path) -> Path | None:
    """The file or folder of one part, or None.

    Args:
        benchmark: Whose file.
        spec: Which part.
        source: A data folder, the benchmark's own folder, or the file itself.
    """
    if source.is_file():
        return source if len(benchmark.files) == 1 or _is_named(source, spec) else None
    for base in (source, source / benchmark.id):
        native = base / spec.part / NATIVE
        if native.is_file() and _is_native_of(native, benchmark):
            return native
        for name in _names(spec):
            path = base / name
            if path.is_file() or (spec.folder and path.is_dir()):
                return path
    return source if spec.folder and _holds_part(source, benchmark) else None


def _names(spec: FileSpec) -> list[str]:
    names = list(spec.names)
    for name in spec.names:
        if name.endswith(".tsv"):
            names += [name.removesuffix(".tsv") + suffix for suffix in RECORD_SUFFIXES]
    return names


def _is_named(source: Path, spec: FileSpec) -> bool:
    return source.name in {PurePosixPath(name).name for name in _names(spec)}


def _is_native_of(native: Path, benchmark: Benchmark) -> bool:
    """Folders of nanovl's format say whose they are: by their manifest, or by their name."""
    manifest = native.with_name("manifest.json")
    if not manifest.is_file():
        return True
    try:
        facts = json.loads(manifest.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{manifest}: not JSON ({error}); import the benchmark again") from error
    return isinstance(facts, dict) and facts.get("benchmark") == benchmark.id


def _holds_part(source: Path, benchmark: Benchmark) -> bool:
    """Whether a folder is itself the folder meant, because its name or content says so."""
    if not source.is_dir():
        return False
    marks = {
        "rd_tablebench": ("groundtruth",),
        "mlvu_dev": ("1_plotQA.json",),
        "livecodebench": ("test5.jsonl", "test.jsonl"),
        "scicode": ("problems_dev.jsonl", "problems_test.jsonl"),
        "ruler": ("niah_single_1", "niah_single_1.jsonl"),
    }
    return any((source / mark).exists() for mark in marks.get(benchmark.id, ()))


def _missing(benchmark: Benchmark, spec: FileSpec, source: Path) -> InputError:
    part = f", part {spec.part}" if len(benchmark.files) > 1 else ""
    if not source.exists():
        return InputError(
            f"{benchmark.id}{part}: there is no {source}; make the folder, get {spec.names[0]} "
            f"({benchmark.source}) and put it there. nanovl downloads no benchmark"
        )
    others = f" (nor {', '.join(spec.names[1:])})" if len(spec.names) > 1 else ""
    return InputError(
        f"{benchmark.id}{part}: {spec.names[0]}{others} is not in {source} and not in "
        f"{source / benchmark.id}; get it ({benchmark.source}) and put it at "
        f"{source / spec.names[0]}. nanovl downloads no benchmark"
    )


def is_url(text: str) -> bool:
    """Whether a text names something on the network."""
    head, sign, _ = text.partition(":/")
    return bool(sign) and len(head) > 1 and head.isalnum()


def inside(root: Path, name: str, *, bases: Sequence[Path] = ()) -> Path | None:
    """A file that a row names, or None when it is not there.

    Args:
        root: Folder it must be in.
        name: As the row has it; absolute, or relative to `root` or one of `bases`.
        bases: More folders below `root` to look in.

    Raises:
        InputError: A URL, or a path that leads out of the folder.
    """
    if is_url(name):
        raise InputError(f"{name}: is on the network; only files in the data folder are read")
    if "\x00" in name:
        raise InputError(f"{name!r}: is no path")
    # By name, not by where links lead: whoever made the folder may keep media on another disk,
    # while a row of a file must not name anything outside.
    top = Path(os.path.abspath(root))
    for base in (root, *bases):
        path = Path(os.path.abspath(base / name))
        if not path.is_relative_to(top):
            raise InputError(f"{name}: leads out of {root}; put the file into the data folder")
        if path.is_file():
            return path
    return None
