"""Mixtures of samples for the training benchmarks: converted real data, or lengths drawn by seed.

Real data is converted by `nanovl.data.convert` from a folder of annotated sets (`prepare`) and read
through a blend file. The drawn mixture has the proportions of the training specification, section
3.2: 20 % text of log-normal length, 70 % pictures of up to a quarter of a pack (at most 13 tiles),
10 % videos that fill half a pack or more.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import yaml

from nanovl.core.layout import IGNORE_LABEL, MediaSpan, TokenLayout
from nanovl.data.blend import load_blend
from nanovl.data.config import DataConfig
from nanovl.data.convert import convert
from nanovl.data.drops import DropCounter, Dropped
from nanovl.data.encode import EncodedSample, SampleEncoder
from nanovl.data.packing import LoadedSample
from nanovl.data.stream import RecordStream
from nanovl.model.config import VLMConfig
from nanovl.processing.processor import Processor

__all__ = ["DrawnMixture", "RecordMixture", "blend_file", "drawn_sample", "padded", "prepare"]

# Format -> (folder of the source, share of the samples in percent). 60 % have a picture.
SHARES = {
    "nanovl-receipts": ("receipts", 15),
    "nanovl-charts": ("charts", 15),
    "nanovl-tabmwp": ("math", 10),
    "nanovl-clipart": ("images", 20),
    "nanovl-wtq": ("tables", 10),
    "nanovl-gsm8k": ("math", 10),
    "nanovl-bfcl": ("tools", 8),
    "nanovl-xquad": ("reading", 6),
    "nanovl-fairytaleqa": ("reading", 6),
}
_PLACEHOLDER = 19  # any id will do; text ids begin above it
_FIRST_ID = 20


# --- real data ------------------------------------------------------------------------------------


def prepare(source: Path, out: Path, *, limit: int, seed: int = 0) -> Path:
    """Convert some records of every set in `SHARES` and write the blend file that mixes them.

    Args:
        source: Folder with one folder per kind of data.
        out: Gets `<format>/` for every set and `blend.yaml`; must be empty or missing.
        limit: Most records per set.
        seed: Of wordings and other drawn choices.

    Returns:
        The blend file.
    """
    leaves = []
    for name, (folder, share) in SHARES.items():
        report = convert(name, source / folder, out / name, limit=limit, seed=seed)
        leaf: dict[str, Any] = {"weight": share, "path": f"{name}/{name}.jsonl"}
        if report.media:
            leaf["aux"] = {"media": f"{name}/media"}
        leaves.append(leaf)
        print(f"{name}: {report.written} records, {report.media} media files, {share} %")
    content = {
        "__module__": "megatron.energon",
        "__class__": "MetadatasetV2",
        "splits": {"train": {"blend": leaves}},
    }
    blend = out / "blend.yaml"
    blend.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return blend


def blend_file(folder: Path) -> Path:
    """The blend of a prepared folder; a file is taken as it is."""
    return folder / "blend.yaml" if folder.is_dir() else folder


class RecordMixture:
    """Samples drawn from a blend, encoded as a training run would.

    Args:
        blend: Blend file or `.jsonl`.
        processor: Of the model.
        config: Data settings.
        count: Samples to draw.

    Attributes:
        samples: Lengths and tiles, without pixels.
        drops: What could not be used.
    """

    def __init__(self, blend: Path, processor: Processor, config: DataConfig, count: int) -> None:
        self.name = f"{blend.parent.name}/{blend.name}"
        self.drops = DropCounter()
        self._encoder = SampleEncoder(processor, config)
        stream = RecordStream(load_blend(blend), seed=config.seed, on_drop=self.drops.add)
        self.samples: list[EncodedSample] = []
        while len(self.samples) < count:
            item = next(stream)
            try:
                self.samples.append(self._encoder.encode(item))
            except Dropped as drop:
                self.drops.add(item.source, drop.reason, drop.message)

    def load(self, number: int) -> LoadedSample:
        """A sample with its pixels."""
        return self._encoder.load(self.samples[number])


# --- drawn lengths --------------------------------------------------------------------------------


@dataclass(frozen=True)
class DrawnSample:
    """A sample of the drawn mixture."""

    key: str
    num_tokens: int
    num_tiles: int


class DrawnMixture:
    """Samples of drawn lengths with random ids and pixels.

    Args:
        config: Shape of the model.
        seq_len: Longest sample in tokens.
        count: Samples to draw.
        seed: Of everything drawn.
    """

    def __init__(self, config: VLMConfig, seq_len: int, count: int, seed: int = 0) -> None:
        self.name = f"drawn lengths, seed {seed}"
        self.drops = DropCounter()
        self._config, self._seed = config, seed
        rng = random.Random(f"mixture/{seed}/{seq_len}")
        per_tile = config.tokens_per_tile
        room = max(1, (seq_len - 64) // (per_tile + 2))  # tiles or frames that fit
        most = max(1, min(13, round(room / 4)))  # tiles of a picture
        self.samples = []
        for number in range(count):
            kind = rng.random()
            if kind < 0.2:
                tiles, text = 0, rng.lognormvariate(math.log(seq_len / 16), 1.0)
            elif kind < 0.9:
                tiles, text = rng.randint(1, most), rng.lognormvariate(math.log(60), 0.6)
            else:
                tiles, text = (
                    rng.randint(-(-room // 2), room),
                    rng.lognormvariate(math.log(60), 0.6),
                )
            length = min(seq_len, tiles * (per_tile + 2) + max(16, round(text)))
            self.samples.append(DrawnSample(f"drawn-{number:05d}", length, tiles))

    def load(self, number: int) -> LoadedSample:
        """A sample with its pixels."""
        s = self.samples[number]
        return drawn_sample(self._config, s.num_tokens, s.num_tiles, seed=self._seed + number)


def drawn_sample(
    config: VLMConfig, length: int, tiles: int, *, loss_share: float = 0.3, seed: int = 0
) -> LoadedSample:
    """Random ids and pixels: one picture of some tiles, then text, of which the end has loss.

    Args:
        config: Shape of the model.
        length: Tokens.
        tiles: Of the picture; 0 is a sample without one.
        loss_share: Share of the text tokens that carry loss.
        seed: Of ids and pixels.
    """
    draw = torch.Generator().manual_seed(seed)
    visual = tiles * config.tokens_per_tile
    ids = torch.randint(_FIRST_ID, config.lm.vocab_size, (length,), generator=draw).tolist()
    spans: tuple[MediaSpan, ...] = ()
    pixels: tuple[torch.Tensor, ...] = ()
    if tiles:
        size = config.image_size
        grid = config.visual_grid(size, size)
        ids[1 : 1 + visual] = [_PLACEHOLDER] * visual
        spans = (
            MediaSpan(
                kind="image",
                start=1,
                length=visual,
                num_tokens=visual,
                tiles=tiles,
                tile_size=(size, size),
                grid=grid,
            ),
        )
        pixels = (torch.randn(tiles, 3, size, size, generator=draw).bfloat16(),)
    taught = max(1, round(loss_share * (length - visual)))
    labels = [IGNORE_LABEL] * (length - taught) + ids[length - taught :]
    layout = TokenLayout(input_ids=ids, spans=spans, placeholder=_PLACEHOLDER, labels=labels)
    return _loaded(f"drawn-{seed}", "drawn", layout, pixels, 1.0)


def padded(sample: LoadedSample, length: int, pad_id: int) -> LoadedSample:
    """The sample with padding behind it, as a row of a rectangular batch.

    The padding is part of its segment: it goes through every layer and has no loss.
    """
    layout = sample.inputs.layout
    missing = length - layout.num_tokens
    ids: Sequence[int] = [*layout.input_ids, *[pad_id] * missing]
    labels = [*(layout.labels or []), *[IGNORE_LABEL] * missing]
    longer = replace(layout, input_ids=list(ids), labels=labels)
    return _loaded(sample.key, sample.source, longer, sample.inputs.pixel_values, sample.weight)


def _loaded(
    key: str, source: str, layout: TokenLayout, pixels: tuple[torch.Tensor, ...], weight: float
) -> LoadedSample:
    from nanovl.core.inputs import ProcessedInputs

    inputs = ProcessedInputs(
        layout=layout,
        input_ids=torch.tensor(layout.input_ids),
        pixel_values=pixels,
        labels=torch.tensor(layout.labels),
    )
    return LoadedSample(key=key, source=source, inputs=inputs, weight=weight)
