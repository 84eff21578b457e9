"""Samples for calibration: drawn from training data, always the same ones for a seed.

Source: quantization specification, section 3.2.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nanovl.core.errors import ConfigError, InputError
from nanovl.data.blend import load_blend
from nanovl.data.config import DataConfig
from nanovl.data.drops import DropCounter, Dropped
from nanovl.data.encode import EncodedSample, SampleEncoder
from nanovl.data.packing import LoadedSample
from nanovl.data.stream import RecordStream
from nanovl.processing.processor import Processor

__all__ = ["CalibrationSet", "draw_samples"]

# Draws without one new sample after which the data are taken to be used up.
_PATIENCE = 2000


@dataclass(frozen=True)
class CalibrationSet:
    """Samples without pixels; these are decoded one at a time.

    Attributes:
        samples: To calibrate with, in the order of the draw.
        held_out: Others, to measure with.
        drops: What could not be used.
        encoder: Loads them.
    """

    samples: tuple[EncodedSample, ...]
    held_out: tuple[EncodedSample, ...]
    drops: DropCounter
    encoder: SampleEncoder

    def load(self, samples: Sequence[EncodedSample]) -> Iterator[LoadedSample]:
        """Pixels included.

        Raises:
            InputError: Media that turns out to be damaged.
        """
        for sample in samples:
            try:
                yield self.encoder.load(sample)
            except Dropped as error:
                raise InputError(
                    f"calibration sample {sample.key}: {error.message}; leave the record out"
                ) from error

    @property
    def keys_hash(self) -> str:
        """SHA-256 over the keys of all samples, in order."""
        keys = "\n".join(s.key for s in (*self.samples, *self.held_out))
        return hashlib.sha256(keys.encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """For the report."""
        tokens = [s.num_tokens for s in self.samples]
        return {
            "count": len(self.samples),
            "tokens": sum(tokens),
            "longest": max(tokens, default=0),
            "tiles": sum(s.num_tiles for s in self.samples),
            "held_out": len(self.held_out),
            "held_out_tokens": sum(s.num_tokens for s in self.held_out),
            "hash": self.keys_hash,
            "keys": [s.key for s in self.samples],
            "held_out_keys": [s.key for s in self.held_out],
            "dropped": self.drops.counts(),
        }


def draw_samples(
    path: str | Path,
    processor: Processor,
    *,
    count: int,
    held_out: int = 0,
    seq_len: int = 4096,
    max_tiles: int | None = None,
    seed: int = 0,
) -> CalibrationSet:
    """Draw samples by the weights of a blend, none twice.

    Args:
        path: A blend file, a record file or a folder, as `nanovl train` takes them.
        processor: Of the model that is calibrated.
        count: Samples to calibrate with.
        held_out: Samples to measure with, drawn after them.
        seq_len: Longest sample in tokens.
        max_tiles: Most tiles of a picture; None takes the processor's.
        seed: Of the draw.

    Raises:
        ConfigError: A path that does not exist, or too few samples; says how many there are.
        InputError: Not one record can be used.
    """
    config = DataConfig(seed=seed, max_tiles=max_tiles or processor.config.max_num_tiles)
    encoder = SampleEncoder(processor, config, seq_len)
    drops = DropCounter()
    stream = RecordStream(load_blend(path), seed=seed, on_drop=drops.add)
    found: dict[str, EncodedSample] = {}
    bad: set[str] = set()
    since = 0
    for item in stream:
        name = item.key.rpartition("/")[0]  # without the number of the pass
        since += 1
        if name not in found and name not in bad:
            try:
                found[name] = encoder.encode(item)
                since = 0
            except Dropped as error:
                bad.add(name)
                drops.add(item.source, error.reason, error.message)
        if len(found) == count + held_out or since >= _PATIENCE:
            break
    if len(found) < count + held_out:
        reasons = ", ".join(f"{n} {reason}" for reason, n in drops.counts().items())
        raise ConfigError(
            f"{path}: {len(found)} usable samples of at most {seq_len} tokens"
            f"{f' ({reasons})' if reasons else ''}, {count} to calibrate with and {held_out} to "
            "measure with were asked for; ask for fewer, or give more data"
        )
    everything = list(found.values())
    return CalibrationSet(tuple(everything[:count]), tuple(everything[count:]), drops, encoder)
