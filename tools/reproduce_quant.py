"""Models in the number formats of Table 8: those `nanovl.load` converts to, and calibrated ones.

Calibration is the report's: the largest absolute inputs of the decoder's linears over training
samples set static ranges; weights and activations are then rounded. Asks nothing.

Source: training specification, section 11; quantization specification, sections 2.5 and 3.6.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from nanovl.data.blend import load_blend
from nanovl.data.config import DataConfig
from nanovl.data.drops import Dropped
from nanovl.data.encode import SampleEncoder
from nanovl.data.packing import LoadedSample, build_pack
from nanovl.data.stream import RecordStream
from nanovl.engine.vlm import NanoVL, load
from nanovl.quant import (
    FakeQuantLinear,
    calibrate,
    fake_quant_layers,
    find_policy,
    freeze,
    insert_fake_quant,
    plan_formats,
    replace_module,
)
from nanovl.train.step import TrainModule
from tools.reproduce_cells import blend_hash
from tools.reproduce_heldout import made_samples

__all__ = ["CALIBRATED", "LOADED", "Calibration", "drawn_samples", "quantized"]

LOADED = ("bf16", "int8", "int4")
"""Formats `nanovl.load` converts to."""
CALIBRATED = ("fp8", "nvfp4")
"""Formats that need calibration."""
SAMPLES = 1024  # as reported


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Which samples set the ranges.

    Attributes:
        blend: Blend file of training data; None takes samples made on the spot.
        samples: How many.
        seq_len: Longest sample in tokens.
        max_tiles: Of one picture, thumbnail not counted.
        seed: Of the draw.
    """

    blend: Path | None = None
    samples: int = SAMPLES
    seq_len: int = 2048
    max_tiles: int = 4
    seed: int = 0

    @property
    def inputs(self) -> dict[str, Any]:
        """What decides its result."""
        data = None if self.blend is None else blend_hash(self.blend)
        return {**vars(self), "blend": data}

    @property
    def text(self) -> str:
        """In words, for the page."""
        data = "training data" if self.blend is not None else "samples made on the spot"
        return f"{self.samples:,} samples of {data}"


def quantized(
    format: str,
    calibration: Calibration,
    scratch: Path,
    *,
    device: str = "auto",
    dtype: str = "auto",
) -> Callable[[Path], NanoVL]:
    """What loads a checkpoint in a calibrated format.

    Weights and activations of the decoder's linears are rounded to the format and computed with in
    the model's own one, as in training with simulated quantization: equal to the packed checkpoint
    within the rounding of BF16.

    Args:
        format: One of `CALIBRATED`.
        calibration: Which samples.
        scratch: Folder for samples that are made on the spot.
        device, dtype: See `nanovl.load`.
    """

    def make(folder: Path) -> NanoVL:
        loaded = load(folder, device, dtype, "bf16")
        vlm, pad = loaded.model, loaded.tokenizer.pad_id
        insert_fake_quant(vlm, format, plan_formats(vlm, find_policy(format)))
        module = TrainModule(vlm)
        packs = (
            build_pack([sample], pad_id=pad).to(vlm.device)
            for sample in drawn_samples(loaded, calibration, scratch)
        )
        with torch.no_grad():
            calibrate(vlm, packs, module)
            freeze(vlm)
            for name, layer in fake_quant_layers(vlm).items():
                replace_module(vlm, name, _Rounded(layer))
        return loaded

    return make


class _Rounded(nn.Module):
    """A frozen fake-quantized linear whose weight is rounded once and not at every call."""

    def __init__(self, layer: FakeQuantLinear) -> None:
        super().__init__()
        self.layer = layer
        self.weight = nn.Parameter(layer.fake_weight().detach(), requires_grad=False)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return F.linear(self.layer.fake_input(input), self.weight, self.layer.bias)


def drawn_samples(
    loaded: NanoVL, calibration: Calibration, scratch: Path
) -> Iterator[LoadedSample]:
    """Training samples, encoded for a model; those that do not fit are passed over.

    Args:
        loaded: The model.
        calibration: Which.
        scratch: Folder for samples that are made on the spot.
    """
    c = calibration
    blend = c.blend or made_samples(
        scratch / f"samples-{c.samples}-{c.seed}", samples=c.samples, seed=c.seed
    )
    settings = DataConfig(seq_len=c.seq_len, max_tiles=c.max_tiles, seed=c.seed)
    encoder = SampleEncoder(loaded.processor, settings)

    def usable() -> Iterator[LoadedSample]:
        for item in RecordStream(load_blend(blend), seed=c.seed):
            try:
                yield encoder.load(encoder.encode(item))
            except Dropped:  # too long: not a sample of this calibration
                continue

    return itertools.islice(usable(), c.samples)
