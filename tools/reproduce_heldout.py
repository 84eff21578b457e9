"""Loss of held-out answers, answer by answer: by their length, and by the set they come from.

Trains and asks nothing.

Source: training specification, sections 1.5 (regression of text skills) and 4 (loss reductions).
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from nanovl.core.errors import ConfigError, InputError
from nanovl.data.blend import load_blend
from nanovl.data.config import DataConfig
from nanovl.data.drops import Dropped
from nanovl.data.encode import SampleEncoder
from nanovl.data.packing import LoadedSample, build_pack
from nanovl.data.stream import RecordStream
from nanovl.engine.vlm import load
from nanovl.processing.processor import Processor
from nanovl.testing.training import training_set
from nanovl.train.step import TrainModule

__all__ = ["KINDS", "Answer", "answers", "by_length", "made_samples", "split_blend"]

# No videos and no pairs of pictures: they do not fit a short pack.
KINDS = ("shapes", "words", "tables", "charts", "dialogue", "reasoning", "tools", "recall")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A held-out sample.

    Attributes:
        source: Set it comes from.
        tokens: With loss.
        loss: Mean over them, in nats.
    """

    source: str
    tokens: int
    loss: float


def answers(
    folder: Path,
    blend: Path,
    settings: DataConfig,
    count: int,
    *,
    split: str = "val",
    device: str = "auto",
    dtype: str = "auto",
) -> list[Answer]:
    """Losses of the same held-out samples for every model of one shape.

    Args:
        folder: Checkpoint.
        blend: Blend file with a split of held-out records.
        settings: Of the encoder; samples that do not fit are passed over.
        count: Samples of each set.
        split: Of the blend.
        device, dtype: See `nanovl.load`.

    Raises:
        ConfigError: The blend has no such split.
        InputError: Not one sample of it fits.
    """
    loaded = load(folder, device, dtype, "bf16")
    module = TrainModule(loaded.model)
    found = []
    with torch.no_grad():
        for sample in _samples(loaded.processor, blend, settings, count, split):
            pack = build_pack([sample], pad_id=loaded.tokenizer.pad_id, reduction="token")
            step = module(pack.to(loaded.model.device))
            losses = step.token_loss.float()  # averaged in fp32
            found.append(
                Answer(source=sample.source, tokens=losses.numel(), loss=float(losses.mean()))
            )
    if not found:
        raise InputError(
            f"{blend}: no held-out sample fits {settings.seq_len} tokens; allow longer ones"
        )
    return found


def _samples(
    processor: Processor, blend: Path, settings: DataConfig, count: int, split: str
) -> Iterator[LoadedSample]:
    """The first records of every set, in the order of their files."""
    encoder = SampleEncoder(processor, settings)
    sources = load_blend(blend, split=split)
    if not sources:
        raise ConfigError(f"{blend}: split {split!r} is empty; expected held-out records")
    for source in sources:
        stream = RecordStream([source], seed=settings.seed, shuffle=False, epochs=1)

        def usable(stream: RecordStream = stream) -> Iterator[LoadedSample]:
            for item in stream:
                try:
                    yield encoder.load(encoder.encode(item))
                except Dropped:  # too long: not a sample of this measurement
                    continue

        yield from itertools.islice(usable(), count)


def made_samples(folder: Path, **settings: Any) -> Path:
    """Samples made on the spot, once.

    Args:
        folder: Where they are kept; what an interrupted session left there is made again.
        **settings: Of `nanovl.testing.training.training_set`.

    Returns:
        The blend file.
    """
    blend = folder / "blend.yaml"  # written last
    if not blend.is_file():
        shutil.rmtree(folder, ignore_errors=True)
        training_set(folder, kinds=KINDS, **settings)
    return blend


def split_blend(blend: Path, out: Path, *, held_out_percent: int = 5) -> Path:
    """A blend whose last records of every set are held out, unless it holds some out already.

    Args:
        blend: Blend file with a split "train".
        out: File to write.
        held_out_percent: Of every set, at its end.

    Returns:
        `blend` when it has a split "val", else `out`.

    Raises:
        ConfigError: When it is read: it has no split "train", or takes record numbers of its sets.
    """
    splits = (yaml.safe_load(blend.read_text(encoding="utf-8")) or {}).get("splits", {})
    if "val" in splits:
        return blend
    last = f"{100 - held_out_percent}%"
    ranges = {"train": ["0%", last], "val": [last, "100%"]}
    content = {
        "__module__": "megatron.energon",
        "__class__": "MetadatasetV2",
        "splits": {
            name: {
                "blend": [
                    {
                        "weight": 1,
                        "path": str(blend.resolve()),
                        "split_part": "train",
                        "subset": {"range": ends},
                    }
                ]
            }
            for name, ends in ranges.items()
        },
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return out


def by_length(found: Sequence[Answer], edges: Sequence[int]) -> dict[str, list[int]]:
    """Numbers of the answers by name of the bin their length is in; bins without any are left out.

    Args:
        found: Answers.
        edges: Largest lengths of all bins but the last, rising.
    """
    lows = [1, *(edge + 1 for edge in edges)]
    bins: dict[str, list[int]] = {}
    for low, high in zip(lows, [*edges, None], strict=True):
        name = f"{low}-{high}" if high is not None else f"over {low - 1}"
        inside = [
            i for i, a in enumerate(found) if a.tokens >= low and (high is None or a.tokens <= high)
        ]
        if inside:
            bins[name] = inside
    return bins
