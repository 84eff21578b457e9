"""Which record files a run reads, and in what proportions.

Reads the blend files megatron-energon reads (metadataset v2) as far as they name record files, and
gives the same leaves with the same shares: blends nest and multiply, subsets nest from the inside
out, outer subflavors win. A single record file, or a folder of the released layout, is a blend of
one. Opens record files only to count lines where a subset asks for it.

Source: training specification, section 8.4, point 3; the behaviour of megatron-energon 7.4.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from nanovl.core.config import load_yaml, nearest
from nanovl.core.errors import ConfigError
from nanovl.data.jsonl import JsonlFile

__all__ = ["Source", "load_blend"]

_RECORDS = (".jsonl", ".jsonl.gz")
_BLEND_NAME = "metadataset.yaml"
_CLASS = "MetadatasetV2"
_MODULE = "megatron.energon"
_LEAF_KEYS = (
    "path",
    "split_part",
    "subflavors",
    "shuffle_over_epochs_multiplier",
    "dataset_config",
    "split_config",
    "aux",
    "subset",
)
_FILESYSTEM = "filesystem://"


@dataclass(frozen=True, kw_only=True)
class Source:
    """One record file of a blend.

    Attributes:
        name: For keys and metrics: the subflavor `source`, or the file's name.
        path: A `.jsonl` or `.jsonl.gz` file.
        media: Folder or archive of its media; None when there is none.
        weight: Share of the draws, already multiplied through all levels.
        repetitions: How often every record is seen in all, multiplied likewise; None where
            weights rule and the data never ends.
        start, stop: Range of records that is used, counted from 0; stop None is the end.
        subflavors: Labels from the blend file.
        shuffle_over_epochs: Passes that are shuffled as one; None keeps the file's order, -1 draws
            with replacement.
    """

    name: str
    path: Path
    media: Path | None = None
    weight: float = 1.0
    repetitions: float | None = None
    start: int = 0
    stop: int | None = None
    subflavors: Mapping[str, Any] = field(default_factory=dict)
    shuffle_over_epochs: int | None = 1


def load_blend(path: str | Path, split: str = "train") -> tuple[Source, ...]:
    """The record files of a blend.

    Args:
        path: A blend file (`.yaml`), a record file, or a folder `NAME` with `NAME.jsonl` and, for
            sets with media, `media`.
        split: Split of a blend file; a record file has no splits.

    Raises:
        ConfigError: A path that does not exist, an unknown key, or a value that means nothing.
        InputError: A record file whose lines have to be counted cannot be read.
    """
    path = Path(path).expanduser().absolute()  # media is found from any folder
    if path.is_dir():
        path = _in_folder(path)
    if path.suffix in (".yaml", ".yml"):
        return _split(path, split, _Outer(), ()).sources
    return (_leaf(_record_file(path, str(path)), None, _Outer(), str(path)),)


# --- levels -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Range:
    """Part of a file: first records `first` to `last`, then a share of those."""

    first: int = 0
    last: int | None = None
    share: tuple[float, float] = (0.0, 1.0)
    absolute: bool = False


@dataclass(frozen=True)
class _Outer:
    """What the levels around a reference have settled."""

    subflavors: Mapping[str, Any] = field(default_factory=dict)
    range: _Range | None = None
    shuffle_over_epochs: int | None = 1


@dataclass(frozen=True)
class _Leaves:
    """What a level holds, and by what it is mixed."""

    mode: Literal["single", "weight", "repetitions"]
    sources: tuple[Source, ...]


def _split(path: Path, split: str, outer: _Outer, above: tuple[Path, ...]) -> _Leaves:
    """Leaves of one split of a blend file."""
    real = path.resolve()
    if real in above:
        raise ConfigError(f"{path}: contains itself, by way of {' > '.join(map(str, above))}")
    data = load_yaml(path)
    _check_keys(data, ("__module__", "__class__", "splits"), str(path))
    for key, expected in (("__module__", _MODULE), ("__class__", _CLASS)):
        if data.get(key) != expected:
            raise ConfigError(f"{path}: {key}: got {data.get(key)!r}, expected {expected!r}")
    splits = data.get("splits")
    if not isinstance(splits, dict) or not splits:
        raise ConfigError(f"{path}: splits: got {splits!r}, expected train: {{blend: [...]}}")
    if split not in splits:
        raise ConfigError(
            f"{path}: has no split {split!r}{nearest(split, map(str, splits))}; it has: "
            f"{', '.join(map(str, splits))}"
        )
    level = _Level(file=path, split=split, above=(*above, real))
    return _node(splits[split], level, f"{path}: splits.{split}", outer)


@dataclass(frozen=True, kw_only=True)
class _Level:
    """The file being read, the split wanted of it, and the files that led to it."""

    file: Path
    split: str
    above: tuple[Path, ...]


def _node(node: Any, level: _Level, where: str, outer: _Outer) -> _Leaves:
    if not isinstance(node, dict):
        raise ConfigError(f"{where}: got {node!r}, expected blend, blend_epochized or path")
    if "blend" in node:
        return _blend(node, "blend", "weight", level, where, outer)
    if "blend_epochized" in node:
        return _blend(node, "blend_epochized", "repetitions", level, where, outer)
    return _reference(node, level, where, outer)


def _blend(
    node: Mapping[str, Any],
    kind: Literal["blend", "blend_epochized"],
    amount: Literal["weight", "repetitions"],
    level: _Level,
    where: str,
    outer: _Outer,
) -> _Leaves:
    _check_keys(node, (kind, "subset"), where)
    items = node[kind]
    if not isinstance(items, list) or not items:
        raise ConfigError(f"{where}.{kind}: got {items!r}, expected a list of references")
    outer = replace(outer, range=_narrowed(node.get("subset"), outer.range, f"{where}.subset"))
    made: list[Source] = []
    total = 0.0
    for i, item in enumerate(items):
        here = f"{where}.{kind}[{i}]"
        if not isinstance(item, dict):
            raise ConfigError(f"{here}: got {item!r}, expected a reference with a path")
        value = _amount(item.get(amount, 1), f"{here}.{amount}")
        total += value
        found = _reference(item, level, here, outer, amount)
        if found.mode not in ("single", amount):
            raise ConfigError(
                f"{here}: {amount} over {found.mode}; a blend and the blends in it are either all "
                "weighted (blend) or all repeated (blend_epochized)"
            )
        for leaf in found.sources:
            if amount == "weight":
                made.append(replace(leaf, weight=leaf.weight * value))
            else:
                inner = 1.0 if leaf.repetitions is None else leaf.repetitions
                made.append(replace(leaf, repetitions=inner * value))
    if total <= 0:
        raise ConfigError(f"{where}.{kind}: every {amount} is 0, so there is nothing to draw")
    if amount == "weight":
        made = [replace(leaf, weight=leaf.weight / total) for leaf in made]
    return _Leaves(amount, tuple(made))


def _reference(
    node: Mapping[str, Any], level: _Level, where: str, outer: _Outer, amount: str = ""
) -> _Leaves:
    """One entry with a path: a record file, or another blend file."""
    if "join" in node or "blend" in node or "blend_epochized" in node:
        raise ConfigError(
            f"{where}: got {', '.join(map(str, node))}; a blend inside a blend is a file of its "
            "own, named by path, and joins are not read"
        )
    _check_keys(node, (*_LEAF_KEYS, *((amount,) if amount else ())), where)
    path = _path(node.get("path"), level.file, f"{where}.path")
    outer = _Outer(
        subflavors={**_labels(node.get("subflavors"), where), **outer.subflavors},
        range=_narrowed(node.get("subset"), outer.range, f"{where}.subset"),
        shuffle_over_epochs=_shuffled(
            node.get("shuffle_over_epochs_multiplier", 1), outer.shuffle_over_epochs, where
        ),
    )
    if path.suffix in (".yaml", ".yml"):
        for key in ("aux", "dataset_config", "split_config"):
            if node.get(key) is not None:
                raise ConfigError(f"{where}.{key}: belongs to a record file, not to a blend file")
        if outer.range is not None and outer.range.absolute:
            raise ConfigError(
                f"{where}.subset: record numbers count in one record file; over a blend file give "
                "percentages"
            )
        split = node.get("split_part") or level.split
        return _split(_existing(path, where), str(split), outer, level.above)
    if path.is_dir():
        path = _in_folder(path)
    media = _media(node.get("aux"), level.file, f"{where}.aux")
    return _Leaves("single", (_leaf(_record_file(path, where), media, outer, where),))


def _leaf(path: Path, media: Path | None, outer: _Outer, where: str) -> Source:
    name = outer.subflavors.get("source")
    beside = path.parent / "media"
    start, stop = (0, None) if outer.range is None else _counted(outer.range, path, where)
    return Source(
        name=str(name) if name else path.name.removesuffix(".gz").removesuffix(".jsonl"),
        path=path,
        media=media or (beside if beside.is_dir() else None),
        start=start,
        stop=stop,
        subflavors=dict(outer.subflavors),
        shuffle_over_epochs=outer.shuffle_over_epochs,
    )


# --- subsets ------------------------------------------------------------------------------------


def _narrowed(given: Any, outer: _Range | None, where: str) -> _Range | None:
    """A level's own range, with the range of the levels around it taken of what is left."""
    if given is None:
        return outer
    if outer is not None and outer.absolute:
        raise ConfigError(f"{where}: the level above counts records; use percentages there")
    mine = _range(given, where)
    if outer is None:
        return mine
    low, high = mine.share
    share = tuple(low + part * (high - low) for part in outer.share)
    return replace(mine, share=(share[0], share[1]))


def _range(given: Any, where: str) -> _Range:
    if not isinstance(given, dict):
        raise ConfigError(f"{where}: got {given!r}, expected range: [0%, 25%] or [100, end]")
    _check_keys(given, ("range",), where)
    ends = given.get("range")
    if not isinstance(ends, list) or len(ends) != 2:
        raise ConfigError(f"{where}.range: got {ends!r}, expected two values, like [0%, 25%]")
    first, last = (_end(end, f"{where}.range") for end in ends)
    if first is None or (last is not None and type(first) is not type(last)):
        raise ConfigError(
            f"{where}.range: got {ends}, expected two percentages or two record numbers; only the "
            "second may be end"
        )
    if last is not None and last < first:
        raise ConfigError(f"{where}.range: got {ends}, which ends before it begins")
    if isinstance(first, int):
        return _Range(first, None if last is None else int(last), absolute=True)
    return _Range(share=(first, 1.0 if last is None else last))


def _end(value: Any, where: str) -> float | int | None:
    """A record number as int, a percentage as a share, `end` as None."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    text = value.strip() if isinstance(value, str) else ""
    if text == "end":
        return None
    try:
        share = float(text.removesuffix("%")) / 100.0
    except ValueError:
        share = -1.0
    if not text.endswith("%") or not 0 <= share <= 1:
        raise ConfigError(f"{where}: got {value!r}, expected a record number, 0% to 100%, or end")
    return share


def _counted(range: _Range, path: Path, where: str) -> tuple[int, int]:
    """First and last record; rounds as energon does."""
    total = len(JsonlFile(path))
    first, last = range.first, total if range.last is None else range.last
    if not first <= last <= total:
        raise ConfigError(f"{where}.subset: records {first} to {last}, but {path} has {total}")
    low, high = range.share
    return first + int((last - first) * low), first + int((last - first) * high)


# --- values -------------------------------------------------------------------------------------


def _path(value: Any, file: Path, where: str) -> Path:
    """A path relative to the file that names it."""
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{where}: got {value!r}, expected a path")
    if "${" in value:
        raise ConfigError(f"{where}: {value!r}: environment variables are not filled in")
    if "://" in value:
        raise ConfigError(f"{where}: {value!r}: only local paths are read")
    return file.parent / Path(value).expanduser()


def _media(aux: Any, file: Path, where: str) -> Path | None:
    if aux is None:
        return None
    if not isinstance(aux, dict):
        raise ConfigError(f"{where}: got {aux!r}, expected media: PATH")
    _check_keys(aux, ("media",), where)
    value = aux.get("media")
    plain = value.removeprefix(_FILESYSTEM) if isinstance(value, str) else value
    return _existing(_path(plain, file, f"{where}.media"), f"{where}.media")


def _existing(path: Path, where: str) -> Path:
    if not path.exists():
        beside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        raise ConfigError(f"{where}: {path}: no such file or folder{nearest(path.name, beside)}")
    return path


def _record_file(path: Path, where: str) -> Path:
    _existing(path, where)
    if not path.name.endswith(_RECORDS):
        raise ConfigError(
            f"{where}: {path}: expected a record file ({' or '.join(_RECORDS)}) or a blend file "
            "(.yaml)"
        )
    return path


def _in_folder(folder: Path) -> Path:
    """The record file or blend file a folder stands for."""
    for suffix in _RECORDS:
        file = folder / f"{folder.resolve().name}{suffix}"
        if file.is_file():
            return file
    files = sorted(p for p in folder.iterdir() if p.name.endswith(_RECORDS) and p.is_file())
    if len(files) == 1:
        return files[0]
    if (folder / _BLEND_NAME).is_file():
        return folder / _BLEND_NAME
    found = ", ".join(file.name for file in files) or "none"
    raise ConfigError(
        f"{folder}: expected {folder.resolve().name}.jsonl, a single .jsonl or {_BLEND_NAME} in "
        f"it; record files found: {found}"
    )


def _labels(value: Any, where: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError(f"{where}.subflavors: got {value!r}, expected a mapping")
    return value


def _shuffled(value: Any, outer: int | None, where: str) -> int | None:
    """No shuffling wins over drawing with replacement, which wins over a number of passes."""
    valid = value is None or (type(value) is int and (value == -1 or value >= 1))
    if not valid:
        raise ConfigError(
            f"{where}.shuffle_over_epochs_multiplier: got {value!r}, expected 1 or more, -1 (with "
            "replacement) or null (no shuffling)"
        )
    if value is None or outer is None:
        return None
    return -1 if -1 in (value, outer) else int(value) * outer


def _amount(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ConfigError(f"{where}: got {value!r}, expected a number")
    if not math.isfinite(value) or value < 0:
        raise ConfigError(f"{where}: got {value}, expected a finite number of at least 0")
    return float(value)


def _check_keys(data: Mapping[Any, Any], known: Sequence[str], where: str) -> None:
    for key in data:
        if key not in known:
            hint = nearest(str(key), known) or f"; known: {', '.join(known)}"
            raise ConfigError(f"{where}: unknown key {key!r}{hint}")
