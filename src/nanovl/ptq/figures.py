"""Figures of linears before and after rounding, and hooks that gather what they need.

Source: quantization specification, sections 3.3 and 10.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from nanovl.core.layout import IGNORE_LABEL
from nanovl.data.encode import EncodedSample
from nanovl.quant.base import QuantizedLinear
from nanovl.quant.observers import TensorStatistics

__all__ = [
    "KEPT_ROWS",
    "Distance",
    "answer_rows",
    "compared",
    "keeper",
    "of_weight",
    "summary",
    "weight_of",
]

# Rows of every linear's input that are kept to compare products with.
KEPT_ROWS = 256


class Distance(NamedTuple):
    """Of a rounded linear from the one before: stored bytes, and signal to noise in dB."""

    nbytes: int
    weight_db: float
    input_db: float
    output_db: float


def answer_rows(samples: Sequence[EncodedSample]) -> torch.Tensor:
    """Rows of all samples whose next token is an answer's."""
    rows, start = [], 0
    for sample in samples:
        wanted = torch.from_numpy(sample.labels[1:] != IGNORE_LABEL).nonzero()[:, 0]
        rows.append(wanted + start)
        start += sample.num_tokens
    return torch.cat(rows) if rows else torch.empty(0, dtype=torch.int64)


def keeper(
    kept: list[torch.Tensor], count: int
) -> Callable[[nn.Module, tuple[torch.Tensor, ...]], None]:
    """A hook that keeps some rows of what enters a linear."""

    def hook(module: nn.Module, args: tuple[torch.Tensor, ...]) -> None:
        rows = args[0].reshape(-1, args[0].shape[-1])
        step = max(1, len(rows) // count)
        if sum(map(len, kept)) < KEPT_ROWS:
            kept.append(rows[::step][:count].clone().cpu())

    return hook


def weight_of(module: nn.Module, name: str) -> torch.Tensor:
    """Weight of a linear inside of a module."""
    weight = module.get_submodule(name).weight
    assert isinstance(weight, torch.Tensor)
    return weight


def of_weight(linear: nn.Linear) -> TensorStatistics:
    """Statistics of a weight."""
    found = TensorStatistics(linear.in_features)
    found.update(linear.weight.detach())
    return found


def summary(found: TensorStatistics | None, format: str, amax: float | None) -> dict[str, Any]:
    """Statistics as the report shows them."""
    if found is None:
        return {}
    edges, counts = found.histogram()
    histogram = {"log2": [float(e) for e in edges], "counts": [int(c) for c in counts]}
    return {**found.summary(format, amax), "histogram": histogram}


def compared(linear: nn.Linear, module: nn.Module, rows: torch.Tensor | None) -> Distance:
    """How far a rounded linear is from the one before.

    Args:
        linear: Before.
        module: After; the same one when it was left alone.
        rows: Some inputs (r, k); None compares weights only.
    """
    if not isinstance(module, QuantizedLinear):
        return Distance(linear.weight.numel() * 2, math.inf, math.inf, math.inf)
    weight = linear.weight.float()
    weight_db = _sqnr(weight, module.dequantized_weight(torch.float32))
    input_db, output_db = math.inf, weight_db
    if rows is not None:
        x = rows.to(weight.device).float()
        rounded = module.quantize_activation(x)
        if rounded is not None:
            input_db = _sqnr(x, rounded)
        output_db = _sqnr(F.linear(x, weight), module(x))
    nbytes = sum(b.numel() * b.element_size() for b in module.buffers())
    return Distance(nbytes, weight_db, input_db, output_db)


def _sqnr(exact: torch.Tensor, rounded: torch.Tensor) -> float:
    """Signal to rounding noise in dB."""
    noise = float((exact - rounded).square().sum(dtype=torch.float64))
    signal = float(exact.square().sum(dtype=torch.float64))
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0 else -math.inf
