"""Packs for one rank, in an order that depends on nothing but settings and data.

`build_loader` makes the loader a recipe asks for. The plain one splits the data into one shard per
worker of every rank and takes packs from its workers in turn. Its state is what the workers'
states were when their last *returned* pack was made, so packs prepared ahead are neither lost nor
repeated: a restored loader returns the packs the other one would have returned, bit for bit.

Ranks are integers given by the caller; nothing here knows a process group or a GPU.

Source: training specification, sections 3.2, 8.2 and 8.3.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Protocol

from nanovl.core.config import to_dict
from nanovl.core.errors import ConfigError
from nanovl.core.inputs import PackedBatch
from nanovl.data.blend import Source, load_blend
from nanovl.data.config import DataConfig, ReuseConfig
from nanovl.data.drops import DropCounter
from nanovl.data.feeds import Feed, InlineFeed, ProcessFeed, ThreadFeed
from nanovl.data.jsonl import JsonlFile
from nanovl.data.producer import PackProducer, ProcessorSpec, ShardSpec
from nanovl.ops.loss import Reduction, Unit
from nanovl.processing.processor import Processor

__all__ = ["PackLoader", "PlainLoader", "build_loader"]

# Settings that change how packs are made ready, but not which packs there are.
_FREE = frozenset({"metadataset", "loader", "prefetch", "align", "pad_packs", "pixel_dtype"})


class PackLoader(Protocol):
    """An iterator of packs that can be saved and restored."""

    last_wait_s: float
    """Seconds the last pack was waited for."""

    @property
    def drops(self) -> DropCounter:
        """Samples that could not be used, up to the last pack returned."""

    def __iter__(self) -> Iterator[PackedBatch]: ...

    def __next__(self) -> PackedBatch: ...

    def state_dict(self) -> dict[str, Any]:
        """Small plain values: where the data stands after the last pack returned."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state` was taken; before the first pack."""

    def close(self) -> None:
        """End all workers; may be called more than once."""


def build_loader(
    config: DataConfig,
    processor: Processor,
    *,
    dp_rank: int = 0,
    dp_size: int = 1,
    align: int | None = None,
    reduction: Reduction = "square",
    unit: Unit = "turn",
    micro: int = 1,
) -> PackLoader:
    """Make the loader of one data-parallel rank.

    Args:
        config: The data settings; `metadataset` must be set.
        processor: Tokenizer and media pipeline.
        dp_rank, dp_size: Number of this rank among those that read different data.
        align: Packs are padded to a multiple of this; None takes the config's. Divides `seq_len`.
        reduction, unit: How loss tokens are weighted; see `nanovl.ops.loss.loss_weights`.
        micro: Samples of one stream when packing is off; must be 1 when it is on.

    Raises:
        ConfigError: Settings that contradict each other, or a blend file that cannot be used.
        BackendError: The loader "energon" without its package.
    """
    align = config.align if align is None else align
    if not 0 <= dp_rank < dp_size:
        raise ConfigError(f"data: rank {dp_rank} of {dp_size}; expected 0 to {dp_size - 1}")
    if config.packing.is_on and micro != 1:
        raise ConfigError(
            f"batch.micro is {micro}: with packing on, a micro-batch is one pack; set it to 1"
        )
    if config.packing.is_on and config.seq_len % align:
        raise ConfigError(
            f"data.seq_len {config.seq_len} is not a multiple of {align}, which the precision and "
            "the parallel layout ask for; round it"
        )
    if config.metadataset is None:
        raise ConfigError(
            "data.metadataset is not set; give the path of a blend file or of one .jsonl"
        )
    if config.loader == "energon":
        from nanovl.data.energon import EnergonLoader

        return EnergonLoader(
            config,
            processor,
            dp_rank=dp_rank,
            dp_size=dp_size,
            align=align,
            reduction=reduction,
            unit=unit,
            micro=micro,
        )
    sources = load_blend(Path(config.metadataset), config.split)
    if config.reuse is not None:
        sources = _reused(sources, config.reuse)
    workers = max(1, config.num_workers)
    spec = ShardSpec(
        config=config,
        sources=sources,
        shard=(dp_rank * workers, dp_size * workers),
        align=align,
        reduction=reduction,
        unit=unit,
        micro=micro,
        processor=ProcessorSpec.of(processor),
    )
    return PlainLoader(spec, processor)


class PlainLoader:
    """The built-in loader.

    Args:
        spec: Of the first shard of this rank; the other workers take the next ones.
        processor: Used when packs are made in this process; None builds one.
    """

    def __init__(self, spec: ShardSpec, processor: Processor | None = None) -> None:
        self.last_wait_s = 0.0
        self._spec = spec
        # Without speech recognition, as in workers; nothing else differs from the caller's.
        self._processor = processor and Processor(
            processor.tokenizer, processor.config, limits=processor.limits
        )
        count = max(1, spec.config.num_workers)
        self._fingerprint = _fingerprint(spec)
        self._states: list[dict[str, Any] | None] = [None] * count
        self._ended = [False] * count
        self._turn = 0
        self._feeds: list[Feed | None] | None = None
        self._closed = False

    def __iter__(self) -> Iterator[PackedBatch]:
        return self

    def __next__(self) -> PackedBatch:
        if self._closed:
            raise ConfigError("the data loader is closed; build a new one")
        begun = time.perf_counter()
        feeds = self._start()
        try:
            while not all(self._ended):
                turn, self._turn = self._turn, (self._turn + 1) % len(feeds)
                feed = feeds[turn]
                if self._ended[turn] or feed is None:
                    continue
                message = feed.get()
                self._states[turn] = message.state
                if message.pack is not None:
                    self.last_wait_s = time.perf_counter() - begun
                    return message.pack
                self._ended[turn] = True
        except BaseException:
            self.close()
            raise
        raise StopIteration

    @property
    def drops(self) -> DropCounter:
        """Samples that could not be used, up to the last pack returned."""
        return DropCounter.merged(state["drops"] for state in self._states if state is not None)

    def state_dict(self) -> dict[str, Any]:
        """Where the data stands after the last pack returned."""
        return {
            "loader": "plain",
            "fingerprint": self._fingerprint,
            "workers": list(self._states),
            "ended": list(self._ended),
            "turn": self._turn,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state` was taken; packs prepared so far are forgotten.

        Raises:
            ConfigError: The state belongs to another loader, other settings or other data.
        """
        if state.get("loader") != "plain":
            raise ConfigError(
                f"data state: saved by the loader {state.get('loader')!r}, this is 'plain'; set "
                "data.loader to the one that was used, or start the data anew"
            )
        _compare(state["fingerprint"], self._fingerprint)
        self._stop()
        self._states = list(state["workers"])
        self._ended = list(state["ended"])
        self._turn = state["turn"]

    def close(self) -> None:
        """End all workers."""
        self._stop()
        self._closed = True

    # --- workers ----------------------------------------------------------------------------

    def _start(self) -> list[Feed | None]:
        if self._feeds is None:
            self._feeds = []
            for worker, ended in enumerate(self._ended):
                self._feeds.append(None if ended else self._feed(worker))
        return self._feeds

    def _feed(self, worker: int) -> Feed:
        config, state = self._spec.config, self._states[worker]
        first, count = self._spec.shard
        spec = replace(self._spec, shard=(first + worker, count))
        if config.num_workers:
            name = f"data worker {worker}"
            return ProcessFeed(spec, state, ahead=config.prefetch, name=name)
        producer = PackProducer(spec, self._processor)
        if state is not None:
            producer.load_state_dict(state)
        return ThreadFeed(producer, config.prefetch) if config.prefetch else InlineFeed(producer)

    def _stop(self) -> None:
        for feed in self._feeds or []:
            if feed is not None:
                feed.close()
        self._feeds = None


# --- what a state belongs to --------------------------------------------------------------------


def _fingerprint(spec: ShardSpec) -> dict[str, Any]:
    """Everything the order and the content of packs depend on, in plain values."""
    settings = {
        f"data.{key}": value
        for key, value in _flat(to_dict(spec.config)).items()
        if key.partition(".")[0] not in _FREE
    }
    workers = max(1, spec.config.num_workers)
    processor = hashlib.sha256(spec.processor.tokenizer.encode())
    processor.update(repr((spec.processor.names, spec.processor.config)).encode())
    return {
        **settings,
        "data-parallel rank": spec.shard[0] // workers,
        "data-parallel size": spec.shard[1] // workers,
        "batch.micro": spec.micro,
        "tokenizer and picture settings": processor.hexdigest()[:16],
        "sources": [_facts(source) for source in spec.sources],
    }


def _facts(source: Source) -> list[Any]:
    """What identifies a source wherever its folder is."""
    facts = asdict(source)
    path = Path(facts.pop("path"))
    facts.pop("media")
    size = path.stat().st_size if path.is_file() else None
    return [path.name, size, *(str(facts[name]) for name in sorted(facts))]


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def _compare(saved: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    different = [
        f"{name}: saved {saved.get(name)!r}, now {now.get(name)!r}"
        for name in sorted({*saved, *now})
        if saved.get(name) != now.get(name)
    ]
    if different:
        raise ConfigError(
            f"data state does not belong to this run ({'; '.join(different)}); go back to the "
            "settings it was saved with, or start the data anew"
        )


def _reused(sources: Sequence[Source], reuse: ReuseConfig) -> tuple[Source, ...]:
    """Narrow the sources marked for reuse to the first part of their records."""
    shares = {"multimodal": reuse.multimodal, "text": reuse.text}
    made, marked = [], 0
    for source in sources:
        mark = source.subflavors.get("reuse")
        if mark is None:
            made.append(source)
            continue
        if mark not in shares:
            raise ConfigError(
                f"{source.path}: subflavors.reuse {mark!r}: expected one of {', '.join(shares)}"
            )
        marked += 1
        stop = len(JsonlFile(source.path)) if source.stop is None else source.stop
        kept = max(1, round(shares[mark] * (stop - source.start)))
        made.append(replace(source, stop=min(stop, source.start + kept)))
    if not marked:
        raise ConfigError(
            "data.reuse is set, but no source of the blend has the subflavor reuse: multimodal or "
            "reuse: text; mark those of the earlier stage, or remove the setting"
        )
    return tuple(made)
