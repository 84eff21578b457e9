"""Writes data sets without what a check found, and says what went.

    OUT/...               the data set in the layout it had: shards with ground truth, or plain
    OUT/removed.jsonl     every sample and record that is not there any more, and by which rules

What a rule of kind "sample" found goes as a whole, one of kind "record" takes the record, and the
sample when none is left. The source is not touched.

Source: data synthesis specification, section 19.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from nanovl.core.config import load_yaml
from nanovl.core.errors import ConfigError, InputError
from nanovl.core.events import Event, OnEvent, ignore_event
from nanovl.data.media import MediaStore, open_media
from nanovl.data.records import Record
from nanovl.data.writer import RecordWriter
from nanovl.synth.join import write_lines
from nanovl.synth.quality.check import FINDINGS_NAME
from nanovl.synth.quality.config import DROPPING, RULES
from nanovl.synth.quality.datasets import (
    Dataset,
    Piece,
    Unit,
    open_datasets,
    pieces,
    read_findings,
    units,
)
from nanovl.synth.quality.inspect import read_media
from nanovl.synth.shards import unwritable, write_whole

__all__ = ["Filtered", "filter_datasets"]

_REMOVED = "removed.jsonl"


@dataclass(kw_only=True)
class Filtered:
    """What became of one data set.

    Attributes:
        name: Of the data set.
        folder: The new one; None when nothing is left.
        samples, records: Kept.
        gone_samples, gone_records: Taken out; the records of samples that went are counted too.
        rules: Samples and records taken out by rule; one may break several.
    """

    name: str
    folder: Path | None = None
    samples: int = 0
    records: int = 0
    gone_samples: int = 0
    gone_records: int = 0
    rules: Counter[str] = field(default_factory=Counter)


@dataclass(kw_only=True)
class _Wanted:
    """What has to go from one data set: id -> rules."""

    samples: dict[str, list[str]] = field(default_factory=dict)
    records: dict[str, list[str]] = field(default_factory=dict)


def filter_datasets(
    path: str | Path,
    out: str | Path,
    report: str | Path,
    *,
    keep: Sequence[str] = (),
    on_event: OnEvent = ignore_event,
) -> list[Filtered]:
    """Write a data set, or a mixture, without what a check found.

    Args:
        path: What was checked: a data set, or a folder with a blend file.
        out: A new folder.
        report: Folder of the check's report.
        keep: Rules that are disregarded.
        on_event: Told about progress in shards.

    Returns:
        One entry per data set, in order.

    Raises:
        ConfigError: The folder holds something, or cannot be written; an unknown rule.
        InputError: The report is not about this data set.
    """
    path, out = Path(path).expanduser().absolute(), Path(out).expanduser().absolute()
    for rule in keep:
        if rule not in RULES:
            raise ConfigError(f"keep: unknown rule {rule!r}; known: {', '.join(DROPPING)}")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out}: exists and is not empty; choose another folder")
    datasets = open_datasets([path])
    wanted = _wanted(Path(report), [d.name for d in datasets], keep)
    single = len(datasets) == 1 and datasets[0].folder == path
    made = []
    try:
        for dataset in datasets:
            folder = out if single else out / dataset.name
            made.append(_filtered(dataset, folder, wanted[dataset.name], on_event))
        if not single:
            _blend(path, out, datasets, made)
    except OSError as error:
        raise unwritable(out, error) from error
    return made


def _wanted(report: Path, names: Sequence[str], keep: Sequence[str]) -> dict[str, _Wanted]:
    path = report / FINDINGS_NAME if report.is_dir() else report
    made = {name: _Wanted() for name in names}
    for row in read_findings(path):
        rule, dataset = str(row.get("rule")), str(row.get("dataset"))
        if rule not in RULES:
            raise InputError(f"{path}: unknown rule {rule!r}; check the data set again")
        if dataset not in made:
            raise InputError(
                f"{path}: is about {dataset!r}, but {', '.join(names)} is to be filtered; check "
                "the same path again"
            )
        if rule not in DROPPING or rule in keep or not row.get("sample"):
            continue
        record = str(row.get("record") or "")
        if RULES[rule][0] == "record" and record:
            made[dataset].records.setdefault(record, []).append(rule)
        else:
            made[dataset].samples.setdefault(str(row["sample"]), []).append(rule)
    return made


def _filtered(dataset: Dataset, folder: Path, wanted: _Wanted, on_event: OnEvent) -> Filtered:
    made = Filtered(name=dataset.name, folder=folder)
    todo = pieces(dataset)
    with ExitStack() as stack:
        output: _Shards | _Plain
        if dataset.shards:
            output = stack.enter_context(_Shards(dataset, folder))
        else:
            output = stack.enter_context(_Plain(dataset, folder))
        for done, piece in enumerate(todo, start=1):
            output.begin(piece)
            for unit in units(piece):
                if isinstance(unit, InputError):
                    made.rules["malformed"] += 1
                    output.gone({"line": str(unit), "rules": ["malformed"]})
                else:
                    _decide(unit, wanted, output, made)
            output.end(piece)
            on_event(
                Event(name=f"filter {dataset.name}", done=done, total=len(todo), unit="shards")
            )
        if not made.records:
            made.folder = None
            output.discard()
    return made


def _decide(unit: Unit, wanted: _Wanted, output: _Shards | _Plain, made: Filtered) -> None:
    rules = wanted.samples.get(unit.id, [])
    by_record = {str(r.get("id", "")): r for r in unit.records}
    bad = {name: wanted.records[name] for name in by_record if name in wanted.records}
    left = [] if rules else [r for name, r in by_record.items() if name not in bad]
    for name, why in bad.items():
        made.rules.update(sorted(set(why)))
        output.gone({"sample": unit.id, "record": name, "rules": sorted(set(why))})
    made.gone_records += len(by_record) - len(left)
    if rules or not left:
        made.rules.update(sorted(set(rules)))
        made.gone_samples += 1
        why = rules or ["no record is left"]
        output.gone({"sample": unit.id, "rules": sorted(set(why))})
        return
    output.write(unit, left)
    made.samples += 1
    made.records += len(left)


class _Removed:
    """What both kinds of output share: the list of what went."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._rows: list[str] = []

    def gone(self, row: Mapping[str, Any]) -> None:
        """Note something that is not written."""
        self._rows.append(json.dumps(row, ensure_ascii=False))

    def _write_removed(self) -> None:
        write_whole(self.folder / _REMOVED, "".join(f"{row}\n" for row in self._rows))


class _Plain(_Removed):
    """A data set without shards, written anew."""

    def __init__(self, dataset: Dataset, folder: Path) -> None:
        super().__init__(folder)
        self._store: MediaStore = open_media(dataset.media, dataset.folder)
        self._writer = RecordWriter(folder)

    def __enter__(self) -> _Plain:
        return self

    def begin(self, piece: Piece) -> None:
        """Nothing to do."""

    def write(self, unit: Unit, records: Sequence[Mapping[str, Any]]) -> None:
        """Add a record and its media."""
        media = {name: read_media(self._store.find(name)) for name in unit.media}
        for value in records:
            self._writer.write(Record.from_json(value, where=unit.id), media)

    def end(self, piece: Piece) -> None:
        """Nothing to do."""

    def discard(self) -> None:
        """Nothing is left."""
        self._writer.abort()

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is not None:
            self._writer.abort()
        elif self._writer.num_records:
            self._writer.close()
            self._write_removed()


class _Shards(_Removed):
    """A data set of shards, shard by shard, with done files for what is left."""

    def __init__(self, dataset: Dataset, folder: Path) -> None:
        super().__init__(folder)
        self._dataset = dataset
        self._store: MediaStore = open_media(dataset.media, dataset.folder)
        self._discarded = False
        self._kept: list[str] = []
        for name in ("shards", "media"):
            (folder / name).mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> _Shards:
        return self

    def begin(self, piece: Piece) -> None:
        """A shard begins."""
        base = self.folder / "shards" / piece.stem
        self._paths = {
            "records": base.with_name(f"{piece.stem}.jsonl"),
            "truth": base.with_name(f"{piece.stem}.gt.jsonl"),
            "media": self.folder / "media" / f"shard_{piece.stem}.tar",
        }
        self._files = {kind: path.open("wb") for kind, path in self._paths.items()}
        self._tar = tarfile.open(  # noqa: SIM115  # closed in end
            fileobj=self._files["media"], mode="w", format=tarfile.USTAR_FORMAT
        )
        self._counts = Counter[str]()
        truth = self._dataset.folder / "shards" / f"{piece.stem}.gt.jsonl"
        self._truth = _by_id(truth)

    def write(self, unit: Unit, records: Sequence[Mapping[str, Any]]) -> None:
        """Add a sample."""
        for name in unit.media:
            data = read_media(self._store.find(name))
            info = tarfile.TarInfo(name)
            info.size = len(data)
            self._tar.addfile(info, io.BytesIO(data))
        truth = next(row for row in self._truth if row["id"] == unit.id)
        truth["tasks"] = [str(record.get("task", "")) for record in records]
        self._line("truth", truth)
        for record in records:
            self._line("records", record)
        self._counts.update(samples=1, records=len(records), media=len(unit.media))

    def _line(self, kind: str, value: Mapping[str, Any]) -> None:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        self._files[kind].write(text.encode() + b"\n")

    def end(self, piece: Piece) -> None:
        """The shard is complete."""
        self._tar.close()
        digests, sizes = {}, {}
        for kind, path in self._paths.items():
            self._files[kind].close()
            if kind == "media" and not self._counts["media"]:
                path.unlink()
                continue
            name = str(path.relative_to(self.folder))
            with path.open("rb") as file:
                digests[name] = hashlib.file_digest(file, "sha256").hexdigest()
            sizes[name] = path.stat().st_size
        name = f"{piece.stem}.done.json"
        before = json.loads((self._dataset.folder / "shards" / name).read_text(encoding="utf-8"))
        counts = {key: self._counts[key] for key in ("samples", "records", "media")}
        done = before | counts | {"files": digests, "bytes": sizes, "filtered": True}
        write_whole(
            self.folder / "shards" / name, json.dumps(done, indent=1, sort_keys=True) + "\n"
        )
        self._kept.append(piece.stem)

    def discard(self) -> None:
        """Nothing is left."""
        self._discarded = True

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is not None or self._discarded:
            shutil.rmtree(self.folder, ignore_errors=True)
            return
        claim = (self._dataset.folder / "synth.json").read_text(encoding="utf-8")
        write_whole(self.folder / "synth.json", claim)
        parts = [self.folder / "shards" / f"{stem}.jsonl" for stem in self._kept]
        target = self.folder / f"{self.folder.name}.jsonl"
        write_lines(target, (part.read_bytes() for part in parts))
        if not any((self.folder / "media").iterdir()):
            (self.folder / "media").rmdir()
        self._write_removed()


def _by_id(path: Path) -> Iterator[dict[str, Any]]:
    """Ground truths in order; samples are asked for in the same order."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            try:
                yield json.loads(line)
            except ValueError:
                continue  # told about as malformed by whoever reads the units


def _blend(path: Path, out: Path, datasets: Sequence[Dataset], made: Sequence[Filtered]) -> None:
    """The blend file of a mixture, with the new folders and without empty ones."""
    blend = path if path.is_file() else next(path.glob("*.yaml"))
    document = load_yaml(blend)
    names = {d.records.resolve(): f for d, f in zip(datasets, made, strict=True)}
    splits = {}
    for split, node in document["splits"].items():
        rows = []
        for entry in node.get("blend") or node.get("blend_epochized") or [node]:
            target = (blend.parent / str(entry["path"])).resolve()
            found = names.get(target) or names.get(target / f"{target.name}.jsonl")
            if found is None:
                raise InputError(f"{blend}: {entry['path']}: only flat blends can be filtered")
            if found.folder is None:
                continue
            folder = found.folder.relative_to(out)
            row = {**entry, "path": f"{folder}/{folder.name}.jsonl"}
            if (found.folder / "media").is_dir():
                row["aux"] = {"media": f"filesystem://{folder}/media"}
            else:
                row.pop("aux", None)
            rows.append(row)
        if rows:
            kind = "blend_epochized" if "blend_epochized" in node else "blend"
            splits[split] = {kind: rows}
    if splits:
        text = yaml.safe_dump(document | {"splits": splits}, sort_keys=False)
        write_whole(out / "blend.yaml", text)
