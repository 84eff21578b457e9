"""The packs of one shard of the data, one after the other, from any point again.

A shard is what one worker of one rank reads. Samples are planned until a buffer is full, the buffer
is dealt into packs, and only then are pixels decoded, for one pack at a time. The state is where
the record stream stood when the buffer began, and how many of its packs are done: restoring plans
the buffer again, which needs no pixels, and goes on behind them. Every choice is a function of
seed, shard and counters; no random generator lives from one pack to the next.

Knows no processes and no other shards; that is `nanovl.data.loader`.

Source: training specification, sections 3.2 and 8.2.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from nanovl.core.errors import ConfigError, InputError
from nanovl.core.inputs import PackedBatch
from nanovl.data.blend import Source
from nanovl.data.config import DataConfig
from nanovl.data.drops import DropCounter, Dropped
from nanovl.data.encode import EncodedSample, SampleEncoder
from nanovl.data.packing import LoadedSample, build_pack, select_packs
from nanovl.data.stream import RecordStream
from nanovl.ops.loss import Reduction, Unit
from nanovl.processing.config import ProcessorConfig
from nanovl.processing.media import Limits
from nanovl.processing.processor import Processor
from nanovl.processing.tokenizer import MediaNames, Tokenizer

__all__ = ["PackProducer", "ProcessorSpec", "ShardSpec"]

# A stream that gives nothing but unusable samples for so long is a mistake, not bad luck.
_MOST_DROPS_IN_A_ROW = 1000


@dataclass(frozen=True, kw_only=True)
class ProcessorSpec:
    """What it takes to build the same processor in another process.

    Speech recognition is left out: training reads transcripts, it does not make them.

    Attributes:
        tokenizer: Contents of `tokenizer.json`.
        names: Strings of the media tokens.
        config, limits: The processor's.
    """

    tokenizer: str
    names: MediaNames
    config: ProcessorConfig
    limits: Limits

    @classmethod
    def of(cls, processor: Processor) -> ProcessorSpec:
        """Describe a processor."""
        return cls(
            tokenizer=processor.tokenizer.to_json(),
            names=processor.tokenizer.names,
            config=processor.config,
            limits=processor.limits,
        )

    def build(self) -> Processor:
        """Make the processor."""
        tokenizer = Tokenizer(self.tokenizer, names=self.names)
        return Processor(tokenizer, self.config, limits=self.limits)


@dataclass(frozen=True, kw_only=True)
class ShardSpec:
    """Everything a shard's packs depend on, in plain values.

    Attributes:
        config: The data settings.
        sources: The blend.
        shard: Number of this shard, and how many there are.
        align: Packs are padded to a multiple of this.
        reduction, unit: How loss tokens are weighted.
        micro: Samples of one stream when packing is off.
        processor: How to make the processor.
    """

    config: DataConfig
    sources: tuple[Source, ...]
    shard: tuple[int, int]
    align: int
    reduction: Reduction
    unit: Unit
    micro: int
    processor: ProcessorSpec


class PackProducer:
    """Makes the packs of one shard.

    Args:
        spec: What to make.
        processor: Used instead of building one from the spec.
    """

    def __init__(self, spec: ShardSpec, processor: Processor | None = None) -> None:
        self.spec = spec
        self.drops = DropCounter()
        self._encoder = SampleEncoder(processor or spec.processor.build(), spec.config)
        self._stream = RecordStream(
            spec.sources,
            seed=spec.config.seed,
            shard=spec.shard,
            shuffle=spec.config.shuffle,
            epochs=spec.config.epochs,
            on_drop=self._count,
        )
        self._begin = self._stream.state_dict()  # where the stream stood before the buffer
        self._number = 0  # of the buffer
        self._buffer: list[EncodedSample] = []
        self._packs: list[list[int]] = []
        self._done = 0  # packs of the buffer
        self._lost = 0  # samples in a row

    def __iter__(self) -> Iterator[PackedBatch]:
        return self

    def __next__(self) -> PackedBatch:
        while True:
            if self._done == len(self._packs) and not self._refill():
                raise StopIteration
            group = [self._buffer[i] for i in self._packs[self._done]]
            self._done += 1
            if samples := self._load(group):
                return self._build(samples)

    def state_dict(self) -> dict[str, Any]:
        """Where this shard stands after the last pack, in plain values."""
        over = self._done == len(self._packs)
        return {
            "stream": self._stream.state_dict() if over else self._begin,
            "buffer": self._number + (over and bool(self._packs)),
            "done": 0 if over else self._done,
            "drops": self.drops.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state` was taken; before the first pack.

        Raises:
            ConfigError: The data does not give the buffer that was being packed.
        """
        self._stream.load_state_dict(state["stream"])
        self._begin = state["stream"]
        self._number = state["buffer"]
        if state["done"]:
            self._fill()
            if state["done"] >= len(self._packs):
                raise ConfigError(
                    f"data state: {state['done']} packs of a buffer are done, but the data now "
                    f"gives {len(self._packs)}; the files have changed since the state was saved"
                )
            self._done = state["done"]
        # Last: planning the buffer again has counted its dropped samples again.
        self.drops.load_state_dict(state["drops"])

    # --- buffer -----------------------------------------------------------------------------

    def _refill(self) -> bool:
        """Plan the next buffer; whether there was anything left."""
        if self._packs:
            self._number += 1
        self._begin = self._stream.state_dict()
        self._fill()
        return bool(self._packs)

    def _fill(self) -> None:
        config = self.spec.config
        size = config.packing.buffer_samples if config.packing.is_on else self.spec.micro
        self._buffer, self._done = [], 0
        while len(self._buffer) < size:
            try:
                item = next(self._stream)
            except StopIteration:
                break
            try:
                self._buffer.append(self._encoder.encode(item))
            except Dropped as drop:
                self._count(item.source, drop.reason, drop.message)
            else:
                self.drops.used(item.source)
                self._lost = 0
        self._packs = self._select()

    def _select(self) -> list[list[int]]:
        config, packing = self.spec.config, self.spec.config.packing
        if not self._buffer:
            return []
        if not packing.is_on:
            return [list(range(len(self._buffer)))]
        packs = select_packs(
            [sample.num_tokens for sample in self._buffer],
            config.seq_len,
            packing,
            keys=[sample.key for sample in self._buffer],
            tiles=[sample.num_tiles for sample in self._buffer],
        )
        if config.shuffle:
            # Packs come out ordered by their longest sample.
            index, count = self.spec.shard
            random.Random(f"{config.seed}/packs/{index}/{count}/{self._number}").shuffle(packs)
        return packs

    def _count(self, source: str, reason: str, message: str) -> None:
        self.drops.add(source, reason, message)
        self._lost += 1
        if self._lost >= _MOST_DROPS_IN_A_ROW:
            examples = self.drops.examples()
            why = "; ".join(
                f"{name} ({sum(sources.values())}), like: {examples.get(name, ['-'])[0]}"
                for name, sources in sorted(self.drops.counts().items())
            )
            raise InputError(
                f"data: the last {self._lost} records could not be used, so training would never "
                f"get a pack; dropped so far: {why}"
            )

    # --- packs ------------------------------------------------------------------------------

    def _load(self, group: list[EncodedSample]) -> list[LoadedSample]:
        samples = []
        for sample in group:
            try:
                samples.append(self._encoder.load(sample))
                self._lost = 0
            except Dropped as drop:
                self._count(sample.source, drop.reason, drop.message)
        return samples

    def _build(self, samples: list[LoadedSample]) -> PackedBatch:
        spec, config = self.spec, self.spec.config
        packed = config.packing.is_on
        return build_pack(
            samples,
            pad_id=self._encoder.processor.tokenizer.pad_id,
            seq_len=config.seq_len if packed else None,
            align=spec.align,
            pad_to=config.seq_len if packed and config.pad_packs else None,
            reduction=spec.reduction,
            unit=spec.unit,
        )
