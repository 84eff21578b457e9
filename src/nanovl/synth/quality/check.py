"""Checks data sets against all rules: pieces in parallel, comparisons over all of them after.

    OUT/report.json       counts, examples and settings
    OUT/findings.jsonl    every finding, one per line; what `filter` reads

Changes nothing. Memory does not grow with the data: findings and features go to files.

Source: data synthesis specification, section 19.
"""

from __future__ import annotations

import json
import multiprocessing
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from nanovl.core.config import to_dict
from nanovl.core.errors import BackendError, ConfigError, NanoVLError
from nanovl.core.events import Event, OnEvent, ignore_event
from nanovl.data.media import open_media
from nanovl.synth.quality.balance import Balance
from nanovl.synth.quality.blind import AnswerBlind, Blind, BlindShare, judge
from nanovl.synth.quality.config import DROPPING, RULES, Finding, QualityConfig
from nanovl.synth.quality.datasets import Dataset, Piece, open_datasets, pieces
from nanovl.synth.quality.inspect import Inspected, inspect
from nanovl.synth.quality.overlap import Indexed, build_overlap, evaluation_files
from nanovl.synth.quality.store import Store
from nanovl.synth.shards import unwritable, write_whole

__all__ = ["FINDINGS_NAME", "REPORT_NAME", "Report", "check"]

FINDINGS_NAME = "findings.jsonl"
REPORT_NAME = "report.json"
_EXAMPLES = 5


@dataclass(kw_only=True)
class Report:
    """What a check found.

    Attributes:
        datasets: Name -> units, records and pictures looked at.
        counts: Rule -> data set -> findings; rules that found nothing are there with no entries.
        examples: Rule -> the first findings.
        skipped: Rules that were not applied, and why.
        blind: Data set -> what was answered without its pictures; those without media are left out.
        evaluation: What was compared with, or None.
        findings: The file with all of them; None when it was not kept.
        seconds: Wall time.
    """

    datasets: dict[str, dict[str, int]] = field(default_factory=dict)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    examples: dict[str, list[Finding]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    blind: dict[str, BlindShare] = field(default_factory=dict)
    evaluation: Indexed | None = None
    findings: Path | None = None
    seconds: float = 0.0

    @property
    def num_dropping(self) -> int:
        """Findings for which `filter` would take something out."""
        return sum(sum(self.counts.get(rule, {}).values()) for rule in DROPPING)

    def add(self, finding: Finding) -> None:
        """Count a finding."""
        per_set = self.counts.setdefault(finding.rule, {})
        per_set[finding.dataset] = per_set.get(finding.dataset, 0) + 1
        seen = self.examples.setdefault(finding.rule, [])
        if len(seen) < _EXAMPLES:
            seen.append(finding)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "datasets": self.datasets,
            "counts": {rule: self.counts.get(rule, {}) for rule in sorted(RULES)},
            "examples": {
                rule: [asdict(one) for one in found]
                for rule, found in sorted(self.examples.items())
            },
            "skipped": self.skipped,
            "blind": {name: asdict(found) for name, found in sorted(self.blind.items())},
            "evaluation": None if self.evaluation is None else asdict(self.evaluation),
        }


def check(
    paths: Sequence[str | Path],
    *,
    against: Sequence[str | Path] = (),
    config: QualityConfig | None = None,
    out: str | Path | None = None,
    workers: int = 1,
    ask: AnswerBlind | None = None,
    on_event: OnEvent = ignore_event,
) -> Report:
    """Check data sets.

    Args:
        paths: See `open_datasets`; all of them are compared with each other.
        against: Evaluation files, or folders of them.
        config: Rules and thresholds.
        out: Folder for the report and the findings; None keeps neither.
        workers: Processes; 1 works in this one.
        ask: A model that answers questions without their pictures; None guesses without one.
        on_event: Told about progress in units.

    Raises:
        ConfigError: Nothing at a path, or the folder cannot be written.
        InputError: A file that cannot be read at all.
        BackendError: A worker died, or a package is missing.
    """
    begun = time.monotonic()
    if workers < 1:
        raise ConfigError(f"workers: got {workers}, expected at least 1")
    config = config or QualityConfig()
    datasets = open_datasets(paths)
    files = evaluation_files(against)
    report = Report(skipped={rule: "by request" for rule in config.skip})
    if not files and config.has("eval_overlap"):
        report.skipped["eval_overlap"] = "no evaluation files were given"
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nanovl-check-")))
        index = None
        if files and config.has("eval_overlap"):
            index = scratch / "overlap.sqlite"
            report.evaluation = build_overlap(
                files, index, size=config.grams, whole=config.whole_words, on_event=on_event
            )
        folder = scratch if out is None else Path(out).expanduser()
        writer = stack.enter_context(_Findings(folder, report))
        store = stack.enter_context(Store(scratch / "units.sqlite", datasets))
        blind = _inspect_all(datasets, config, index, workers, writer, store, on_event)
        store.finish()
        _compare(store, config, writer, on_event)
        _guess(blind, config, writer, ask, on_event)
    report.findings = None if out is None else folder / FINDINGS_NAME
    report.seconds = time.monotonic() - begun
    if out is not None:
        document = report.to_json() | {"config": to_dict(config)}
        try:
            write_whole(folder / REPORT_NAME, json.dumps(document, indent=1, sort_keys=True) + "\n")
        except OSError as error:
            raise unwritable(folder, error) from error
    return report


def _inspect_all(
    datasets: Sequence[Dataset],
    config: QualityConfig,
    index: Path | None,
    workers: int,
    writer: _Findings,
    store: Store,
    on_event: OnEvent,
) -> dict[str, Blind]:
    counts = {dataset.name: Balance() for dataset in datasets}
    blind = {dataset.name: Blind(keep=config.blind_tried) for dataset in datasets}
    place = {dataset.name: number for number, dataset in enumerate(datasets)}
    for dataset in datasets:
        open_media(dataset.media, dataset.folder)  # its index, once for all workers
        writer.report.datasets[dataset.name] = {"units": 0, "records": 0, "pictures": 0}
    todo = [piece for dataset in datasets for piece in pieces(dataset)]
    total = 0
    for done, (piece, found) in enumerate(_inspected(todo, config, index, workers), start=1):
        name = piece.dataset.name
        for finding in found.findings:
            writer.write(finding)
        store.add(place[name], found.features)
        counts[name].merge(found.balance)
        if found.blind is not None:
            blind[name].merge(found.blind)
        sizes = writer.report.datasets[name]
        for key in sizes:
            sizes[key] += getattr(found, key)
        total += found.units
        data = {"units": total}
        on_event(Event(name=f"check {name}", done=done, total=len(todo), unit="shards", data=data))
    for name, balance in counts.items():
        for finding in balance.findings(name, config):
            if finding.rule not in config.skip:
                writer.write(finding)
    return blind


def _inspected(
    todo: Sequence[Piece], config: QualityConfig, index: Path | None, workers: int
) -> Iterator[tuple[Piece, Inspected]]:
    """Pieces looked at, in order whatever the number of workers."""
    overlap = None if index is None else str(index)
    if workers == 1:
        yield from ((piece, inspect(piece, config, overlap)) for piece in todo)
        return
    context = multiprocessing.get_context("forkserver")
    waiting: deque[tuple[Piece, Future[Inspected]]] = deque()
    pool = ProcessPoolExecutor(min(workers, max(1, len(todo))), mp_context=context)
    try:
        for piece in todo:
            waiting.append((piece, pool.submit(inspect, piece, config, overlap)))
            if len(waiting) > 2 * workers:
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()
    except BrokenProcessPool as error:
        raise BackendError(
            "a worker died while checking (out of memory?); try fewer workers"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _compare(store: Store, config: QualityConfig, writer: _Findings, on_event: OnEvent) -> None:
    passes = {
        "exact_duplicate": store.exact_duplicates(),
        "image_duplicate": store.image_duplicates(config.print_bits),
        "near_duplicate": store.near_duplicates(config.jaccard),
        "split_leak": store.split_leaks(),
    }
    for number, (rule, found) in enumerate(passes.items(), start=1):
        if config.has(rule):
            for finding in found:
                writer.write(finding)
        on_event(Event(name=f"compare: {rule}", done=number, total=len(passes), unit="passes"))


def _guess(
    blind: dict[str, Blind],
    config: QualityConfig,
    writer: _Findings,
    ask: AnswerBlind | None,
    on_event: OnEvent,
) -> None:
    wanted = [name for name, asked in blind.items() if asked.totals]
    for number, name in enumerate(wanted, start=1):
        writer.report.blind[name], found = judge(blind[name], name, config, ask)
        for finding in found:
            writer.write(finding)
        on_event(Event(name=f"guess {name}", done=number, total=len(wanted), unit="data sets"))


class _Findings:
    """The findings file."""

    def __init__(self, folder: Path, report: Report) -> None:
        self.report = report
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = (folder / FINDINGS_NAME).open("w", encoding="utf-8")
        except OSError as error:
            raise unwritable(folder, error) from error

    def __enter__(self) -> _Findings:
        return self

    def write(self, finding: Finding) -> None:
        """Count and keep a finding."""
        self.report.add(finding)
        try:
            text = json.dumps(asdict(finding), ensure_ascii=False)
            self._file.write(text.encode("utf-8", "replace").decode() + "\n")
        except OSError as error:
            raise unwritable(self._folder, error) from error

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._file.close()
        except OSError as failed:
            if not isinstance(error, NanoVLError):
                raise unwritable(self._folder, failed) from failed
