"""A data set in numbers: tasks, media, lengths, loss tokens, and how full its packs would be.

Counts what `nanovl.data.inspect.check` yields; formats nothing.

Source: training specification, sections 3.2 and 3.6.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nanovl.core.events import Event, OnEvent, ignore_event
from nanovl.core.layout import IGNORE_LABEL
from nanovl.data.blend import Source
from nanovl.data.drops import DropCounter
from nanovl.data.encode import SampleEncoder
from nanovl.data.inspect import Checked, check
from nanovl.data.packing import select_packs

__all__ = ["EDGES", "Packing", "SourceStats", "Stats", "stats"]

EDGES = (0, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072, 262144)
"""Lower ends of the bins of every histogram of lengths, in tokens."""

_EVENT_EVERY = 200


@dataclass(kw_only=True)
class SourceStats:
    """One source in numbers.

    Attributes:
        name: Of the source.
        weight: Share of draws in the blend.
        records: Records looked at.
        tasks, media, reasoning: Records per task; media files per kind; records per setting.
        lengths, visual, targets, tiles: Per usable sample: tokens, visual tokens, predicted
            tokens, tiles and frames.
        turns: Answers of all usable samples.
    """

    name: str
    weight: float = 1.0
    records: int = 0
    tasks: dict[str, int] = field(default_factory=dict)
    media: dict[str, int] = field(default_factory=dict)
    reasoning: dict[str, int] = field(default_factory=dict)
    lengths: list[int] = field(default_factory=list)
    visual: list[int] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    tiles: list[int] = field(default_factory=list)
    turns: int = 0

    def add(self, checked: Checked) -> None:
        """Count one record."""
        self.records += 1
        record, sample = checked.record, checked.sample
        if record is not None:
            _increase(self.tasks, record.task or "none")
            _increase(self.reasoning, record.reasoning or ("open" if record.has_trace else "none"))
            for fragment in record.media:
                _increase(self.media, fragment.type)
        if sample is None or record is None:
            return
        self.lengths.append(sample.num_tokens)
        self.visual.append(sum(span.num_tokens for span in sample.spans))
        self.targets.append(int((sample.labels != IGNORE_LABEL).sum()))
        self.tiles.append(sample.num_tiles)
        self.turns += len(record.loss_flags)

    def summary(self) -> dict[str, Any]:
        """Plain values; histograms are [from, to, samples] with the empty ends left out."""
        total = sum(self.lengths)
        return {
            "name": self.name,
            "weight": self.weight,
            "records": self.records,
            "used": len(self.lengths),
            "tasks": _largest_first(self.tasks),
            "media": _largest_first(self.media),
            "reasoning": _largest_first(self.reasoning),
            "turns": self.turns,
            "tiles": sum(self.tiles),
            "tokens": _spread(self.lengths),
            "visual_tokens": _spread([n for n in self.visual if n]),
            "loss_tokens": sum(self.targets),
            "loss_share": sum(self.targets) / total if total else 0.0,
            "visual_share": sum(self.visual) / total if total else 0.0,
        }


@dataclass(frozen=True, kw_only=True)
class Packing:
    """How the samples of a blend would be packed.

    Attributes:
        seq_len: Tokens of a pack.
        algorithm: "balanced", "greedy" or "none".
        samples: Draws the estimate is made from.
        packs: Packs they give.
        fill: Share of the tokens of all packs that belong to samples.
        samples_per_pack: Mean.
    """

    seq_len: int
    algorithm: str
    samples: int
    packs: int
    fill: float
    samples_per_pack: float


@dataclass(frozen=True, kw_only=True)
class Stats:
    """A blend in numbers.

    Attributes:
        sources: One entry per source.
        total: All of them together, weights ignored.
        drops: Records that cannot be used.
        packing: Estimate for the blend's weights; None without a usable sample.
    """

    sources: tuple[SourceStats, ...]
    total: SourceStats
    drops: DropCounter
    packing: Packing | None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "total": self.total.summary(),
            "sources": [source.summary() for source in self.sources],
            "dropped": self.drops.counts(),
            "examples": self.drops.examples(),
            "packing": None if self.packing is None else dict(vars(self.packing)),
        }


def stats(
    sources: Sequence[Source],
    encoder: SampleEncoder,
    *,
    limit: int | None = None,
    seed: int = 0,
    on_event: OnEvent = ignore_event,
) -> Stats:
    """Count a blend.

    Args:
        sources: Leaves of the blend.
        encoder: Decides lengths; its config says how packs are made.
        limit: Records looked at per source; None is all.
        seed: Of the draw of records and of the packing estimate.
        on_event: Told about progress in records.
    """
    drops = DropCounter()
    found = []
    shares = _shares(sources)
    done = 0
    for source, share in zip(sources, shares, strict=True):
        counted = SourceStats(name=source.name, weight=share)
        for checked in check(source, encoder, limit=limit, seed=seed):
            counted.add(checked)
            if checked.sample is None:
                drops.add(checked.source, checked.reason, checked.message)
            done += 1
            if done % _EVENT_EVERY == 0:
                on_event(Event(name=f"read {source.name}", done=done, unit="records"))
        found.append(counted)
    total = SourceStats(name="total")
    for counted in found:
        _merge(total, counted)
    packing = _estimate(found, encoder, seed) if total.lengths else None
    return Stats(sources=tuple(found), total=total, drops=drops, packing=packing)


def _shares(sources: Sequence[Source]) -> list[float]:
    total = sum(source.weight for source in sources) or 1.0
    return [source.weight / total for source in sources]


def _merge(total: SourceStats, part: SourceStats) -> None:
    total.records += part.records
    total.turns += part.turns
    for name in ("tasks", "media", "reasoning"):
        counts = getattr(total, name)
        for key, count in getattr(part, name).items():
            counts[key] = counts.get(key, 0) + count
    for name in ("lengths", "visual", "targets", "tiles"):
        getattr(total, name).extend(getattr(part, name))


def _estimate(found: Sequence[SourceStats], encoder: SampleEncoder, seed: int) -> Packing:
    """Pack one buffer of draws, as one worker would."""
    packing, capacity = encoder.config.packing, encoder.seq_len
    usable = [s for s in found if s.lengths and s.weight > 0] or [s for s in found if s.lengths]
    weights = [s.weight or 1.0 for s in usable]
    generator = random.Random(seed)
    drawn: list[tuple[int, int]] = []
    for source in generator.choices(usable, weights, k=packing.buffer_samples):
        at = generator.randrange(len(source.lengths))
        drawn.append((source.lengths[at], source.tiles[at]))
    lengths = [length for length, _ in drawn]
    groups = select_packs(lengths, capacity, packing, tiles=[tiles for _, tiles in drawn])
    return Packing(
        seq_len=capacity,
        algorithm=packing.algorithm if packing.is_on else "none",
        samples=len(lengths),
        packs=len(groups),
        fill=sum(lengths) / (len(groups) * capacity),
        samples_per_pack=len(lengths) / len(groups),
    )


def _spread(values: Sequence[int]) -> dict[str, Any]:
    if not values:
        return {"total": 0, "mean": 0.0, "median": 0, "p90": 0, "max": 0, "histogram": []}
    ordered = np.sort(np.asarray(values))
    counts = [0] * len(EDGES)
    for value in values:
        counts[bisect_right(EDGES, value) - 1] += 1
    used = [i for i, count in enumerate(counts) if count]
    ends = [*EDGES[1:], None]
    return {
        "total": int(ordered.sum()),
        "mean": float(ordered.mean()),
        "median": int(ordered[(len(ordered) - 1) // 2]),
        "p90": int(ordered[int(0.9 * (len(ordered) - 1))]),
        "max": int(ordered[-1]),
        "histogram": [[EDGES[i], ends[i], counts[i]] for i in range(used[0], used[-1] + 1)],
    }


def _increase(counts: dict[str, int], key: str) -> None:
    counts[key] = counts.get(key, 0) + 1


def _largest_first(counts: dict[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
