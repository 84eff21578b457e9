"""Which largest input a static activation scale is made for, chosen from statistics.

Reads `TensorStatistics`; touches no module and no weight. A layer that saw nothing gets the range
that makes its scale 1, as packing does with a largest value of 0.

Source: quantization specification, sections 1.2 and 3.4.
"""

from __future__ import annotations

import logging
import math

import torch

from nanovl.core.config import nearest
from nanovl.core.errors import ConfigError
from nanovl.ops.lowp import FP8_MAX, NVFP4_MAX, fp8_cast, fp8_decode, fp8_scale
from nanovl.quant.histogram import HISTOGRAM_BINS, histogram_edges
from nanovl.quant.observers import TensorStatistics

__all__ = ["RANGE_FACTORS", "RANGE_METHODS", "check_range_method", "headroom_range", "input_range"]

logger = logging.getLogger(__name__)

# Ways to choose a range by format; "percentile" is written with its number, "percentile:99.99".
# Errors of NVFP4 depend on what shares a block, which no histogram of single values knows.
RANGE_METHODS = {
    "fp8": ("max", "mse", "percentile"),
    "nvfp4": ("headroom", "max", "percentile"),
}

# Range whose scale is 1.
_UNREACHED = {"fp8": FP8_MAX, "nvfp4": NVFP4_MAX}

# Factors of the largest value that "mse" tries; 1 comes first, so that it wins a tie.
RANGE_FACTORS = (1.0, *(0.25 + 0.1 * i for i in range(38)))
# Points that stand for the values of one bin: one would lie on the grid or off it by chance.
_POINTS = 8

# Headroom: the range is so many times the small blocks' largest value. Below 28,672 = 448 x 2^6
# their scales stay normal E4M3 numbers.
_HEADROOM = 16384.0
_UPPER_PERCENTILE, _ANCHOR_PERCENTILE = 99.99, 1.0
_NEGLIGIBLE = 1e6


def input_range(statistics: TensorStatistics, format: str, method: str = "max") -> float:
    """The largest input that a layer's static scale shall hold.

    Args:
        statistics: Of the inputs of the layer.
        format: "fp8" or "nvfp4".
        method: "max"; "percentile:P", the size that P percent of the inputs that are not 0 do not
            pass; "mse" (FP8), the least squared error; "headroom" (NVFP4), room above what was
            seen.

    Returns:
        Above 0; 448 or 2688, which make the scale 1, for a layer that saw nothing but zeros.

    Raises:
        ConfigError: Unknown method, or one that does not suit the format.
        InputError: NVFP4 headroom of a layer whose columns are no multiple of 16.
    """
    kind, percent = check_range_method(format, method)
    amax = float(statistics.amax)
    if not amax > 0:
        return _UNREACHED[format]
    if kind == "percentile":
        return statistics.percentile(percent, nonzero=True)
    if kind == "mse":
        return _least_error(statistics)
    if kind == "headroom":
        found, upper_wins = headroom_range(statistics)
        if upper_wins:
            logger.warning(
                "activation range: blocks differ by more than the headroom of %.0f; %g was taken, "
                "the size of nearly the largest block, and small blocks lose precision",
                _HEADROOM,
                found,
            )
        return found
    return amax


def check_range_method(format: str, method: str) -> tuple[str, float]:
    """Take a method apart, before any work is done.

    Returns:
        Its name, and its percentile (100 where it has none).

    Raises:
        ConfigError: Unknown method, or one that does not suit the format.
    """
    if format not in RANGE_METHODS:
        raise ConfigError(
            f"activation range for format {format!r}: only {' and '.join(RANGE_METHODS)} round "
            "inputs"
        )
    kind, colon, number = method.partition(":")
    known = RANGE_METHODS[format]
    if kind not in known or bool(colon) != (kind == "percentile"):
        shown = [m if m != "percentile" else "percentile:99.99" for m in known]
        raise ConfigError(
            f"activation range {method!r} for {format}: expected {', '.join(shown)}"
            f"{nearest(method, shown)}"
        )
    if kind != "percentile":
        return kind, 100.0
    try:
        percent = float(number)
    except ValueError:
        percent = math.nan
    if not 50 <= percent <= 100:
        raise ConfigError(
            f"activation range {method!r}: expected a number from 50 to 100 after the colon, such "
            "as percentile:99.99"
        )
    return kind, percent


def headroom_range(statistics: TensorStatistics) -> tuple[float, bool]:
    """A range that leaves room for larger inputs, for NVFP4.

    The small blocks decide: their scale moves down the range of E4M3 as far as it keeps its
    precision.

    Returns:
        The range, and whether the large blocks left no room.

    Raises:
        InputError: The layer's columns are no multiple of 16.
    """
    upper = statistics.block_percentile(_UPPER_PERCENTILE)
    anchor = statistics.block_percentile(_ANCHOR_PERCENTILE, at_least=upper / _NEGLIGIBLE)
    return max(_HEADROOM * anchor, upper), upper > _HEADROOM * anchor


def _least_error(statistics: TensorStatistics) -> float:
    """The FP8 range of least squared error over the histogram."""
    amax = float(statistics.amax)
    edges = torch.tensor(histogram_edges(), dtype=torch.float64, device="cpu").clamp(max=amax)
    at = (torch.arange(_POINTS, dtype=torch.float64) + 0.5) / _POINTS
    points = edges[:-1, None] * (edges[1:] / edges[:-1])[:, None] ** at  # (512, points)
    weight = statistics.counts.cpu().double()[:, None].expand(HISTOGRAM_BINS, _POINTS)
    values = points.float()
    best, least = amax, math.inf
    for factor in RANGE_FACTORS:
        scale = fp8_scale(torch.tensor(factor * amax))
        rounded = fp8_decode(fp8_cast(values, scale), scale, torch.float32)
        error = float(((rounded.double() - values.double()).square() * weight).sum())
        if error < least:
            best, least = factor * amax, error
    return best
