"""What the numbers that enter a linear look like, gathered while the network runs.

Largest values and counts are the same whatever the order and the size of the batches, bit for bit;
sums are kept in fp64 in the order of the calls. Nothing is rounded here and no range is chosen:
that is `quant.ranges`.

Letters: t tokens (rows), k input columns.

Source: quantization specification, sections 3.1 and 3.3.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from types import TracebackType
from typing import Any, Self

import torch
from torch import nn

from nanovl.core.config import nearest
from nanovl.core.errors import ConfigError, InputError
from nanovl.ops.lowp import FP8_MAX, NVFP4_BLOCK, NVFP4_MAX
from nanovl.ops.rowwise import cached_table, finite_amax, row_slices
from nanovl.quant.histogram import (
    HISTOGRAM_BINS,
    LOG2_HIGH,
    LOG2_LOW,
    binned,
    count_below,
    histogram_edges,
    pattern_powers,
    percentile_size,
    value_counts,
)

__all__ = ["Observers", "TensorStatistics"]

# Bins that a plot shows as one.
_PLOT_BINS = 4

# Values whose powers are summed at a time, elsewhere and on a CPU: there they stay in its cache.
_SUM_VALUES = (1 << 24, 1 << 15)

# Rows of a Hessian's product at a time, in values; short products do not use the processor.
_HESSIAN_VALUES = 1 << 24
# Columns of a tile of the Hessian; tiles below the diagonal are mirrored, not computed.
_HESSIAN_TILE = 1024

_DTYPES = (torch.bfloat16, torch.float16, torch.float32)
_TOP_CHANNELS = 16
# A value below this share of its block's largest becomes E2M1 code 0: a quarter of a sixth.
_BLOCK_FLUSH = 24.0


class TensorStatistics:
    """Statistics of all values of a tensor that comes in parts: rows of k columns.

    Args:
        columns: k.
        device: Where it is gathered; parts are brought there.
        hessian: Gather the sum of x^T x as well, which takes k x k numbers.

    Attributes:
        columns: k.
        rows: Rows seen.
        amax: () fp32, largest absolute value.
        channel_amax: (k,) fp32, the same of every column.
        counts: (512,) int64, values by the logarithm of their size, see `histogram_edges`.
        zeros: () int64, values that are 0.
        sums: (3,) fp64, sums of x, x^2 and x^4.
        block_counts: (512,) int64, blocks of 16 columns by the logarithm of their largest value;
            None when k is no multiple of 16. Blocks of zeros are in `zero_blocks`.
        zero_blocks: () int64.
        block_flushed: () int64, values that are not 0 but at most 1/24 of the largest in their
            block: NVFP4 makes them 0.
    """

    amax: torch.Tensor
    channel_amax: torch.Tensor
    counts: torch.Tensor
    zeros: torch.Tensor
    sums: torch.Tensor
    block_counts: torch.Tensor | None
    zero_blocks: torch.Tensor
    block_flushed: torch.Tensor

    def __init__(
        self, columns: int, *, device: torch.device | str | None = None, hessian: bool = False
    ) -> None:
        if columns < 1:
            raise ConfigError(f"statistics of {columns} columns: expected 1 or more")
        self.columns = columns
        self.rows = 0
        self.device = torch.device("cpu" if device is None else device)
        with torch.inference_mode(False):  # what is made in inference mode cannot be changed later
            for name, (shape, dtype) in _fields(columns).items():
                setattr(self, name, torch.zeros(shape, dtype=dtype, device=self.device))
            if columns % NVFP4_BLOCK:
                self.block_counts = None
            self._hessian = torch.zeros((columns, columns), device=self.device) if hessian else None

    # --- gathering ------------------------------------------------------------------------------

    @torch.no_grad()
    def update(self, x: torch.Tensor, *, what: str = "tensor") -> None:
        """Take in more rows.

        Args:
            x: (..., k) bf16, fp16 or fp32.
            what: What it is, for messages.

        Raises:
            InputError: Wrong columns or dtype, or a value that is not finite; nothing is taken in.
        """
        if x.dim() < 1 or x.shape[-1] != self.columns or x.dtype not in _DTYPES:
            raise InputError(
                f"{what}: shape {tuple(x.shape)}, {x.dtype}; expected (..., {self.columns}) in "
                "bf16, fp16 or fp32"
            )
        rows = x.detach().reshape(-1, self.columns)
        amax = finite_amax(rows, what)
        if not rows.shape[0]:
            return
        with torch.inference_mode(False):
            self.amax = torch.maximum(self.amax, amax.to(self.device))
            self.rows += rows.shape[0]
            for part in row_slices(rows.shape[0], self.columns, self.device):
                self._add(rows[part].to(self.device))
            if self._hessian is not None:
                step = max(1, _HESSIAN_VALUES // self.columns)
                for part in rows.split(step):
                    _add_square(self._hessian, part.to(self.device).float())

    def _add(self, x: torch.Tensor) -> None:
        """A few rows (t, k), all finite."""
        x = x.contiguous()  # bits and blocks are looked at in storage order
        size = x.abs()
        self.channel_amax = torch.maximum(self.channel_amax, size.amax(0).float())
        patterns = value_counts(size)  # (32768,)
        if x.dtype is torch.bfloat16:
            zeros = patterns[0]
        else:  # fp32 numbers too small for bf16 share the pattern of 0
            zeros = x.numel() - torch.count_nonzero(x)
        self.zeros = self.zeros + zeros
        self.counts = self.counts + binned(patterns, zeros)
        self.sums = self.sums + _sums(x, patterns)
        if self.block_counts is None:
            return
        # (16, blocks): the reduction runs over the leading dimension, which is quicker
        blocks = size.float().view(-1, NVFP4_BLOCK).t().contiguous()
        largest = blocks.amax(0)
        zeros_of_blocks = largest.numel() - torch.count_nonzero(largest)
        self.zero_blocks = self.zero_blocks + zeros_of_blocks
        self.block_counts = self.block_counts + binned(value_counts(largest), zeros_of_blocks)
        small = torch.count_nonzero(blocks <= largest / _BLOCK_FLUSH)
        self.block_flushed = self.block_flushed + small - zeros

    def merge(self, other: TensorStatistics) -> None:
        """Take in what another rank has seen.

        Raises:
            InputError: It is of other columns, or only one of them has a Hessian.
        """
        if other.columns != self.columns or (other._hessian is None) != (self._hessian is None):
            raise InputError(
                f"statistics of {self.columns} columns (Hessian: {self._hessian is not None}) "
                f"cannot take in those of {other.columns} (Hessian: {other._hessian is not None})"
            )
        self.rows += other.rows
        with torch.no_grad(), torch.inference_mode(False):
            for name in _fields(self.columns):
                mine, theirs = getattr(self, name), getattr(other, name)
                if mine is not None:
                    theirs = theirs.to(self.device)
                    largest = name in ("amax", "channel_amax")
                    setattr(self, name, torch.maximum(mine, theirs) if largest else mine + theirs)
            if self._hessian is not None:
                assert other._hessian is not None
                self._hessian += other._hessian.to(self.device)

    def state(self) -> dict[str, torch.Tensor]:
        """Everything as tensors, to be kept in a file; they are not copied."""
        found = {name: getattr(self, name) for name in _fields(self.columns)}
        found = {name: value for name, value in found.items() if value is not None}
        found["rows"] = torch.tensor(self.rows, dtype=torch.int64)
        hessian = self.hessian
        return found if hessian is None else {**found, "hessian": hessian}

    @classmethod
    def from_state(
        cls, state: Mapping[str, torch.Tensor], *, device: torch.device | str | None = None
    ) -> Self:
        """Go on from what `state` gave.

        Args:
            state: Tensors by name; copied.
            device: Where to gather; None stays where the tensors are.

        Raises:
            InputError: A tensor is missing or of another shape.
        """
        if "channel_amax" not in state:
            raise InputError(f"state of statistics: no channel_amax among {sorted(state)}")
        if device is None:
            device = state["channel_amax"].device
        made = cls(state["channel_amax"].shape[0], device=device, hessian="hessian" in state)
        wanted = {name: getattr(made, name) for name in _fields(made.columns)}
        wanted["hessian"] = made._hessian
        for name, empty in wanted.items():
            if empty is None:
                continue
            given = state.get(name)
            if given is None or given.shape != empty.shape or given.dtype != empty.dtype:
                got = "none" if given is None else f"{tuple(given.shape)} {given.dtype}"
                raise InputError(
                    f"state of statistics: {name} is {got}, expected {tuple(empty.shape)} "
                    f"{empty.dtype}; it was written by another version, gather them again"
                )
            empty.copy_(given)
        made.rows = int(state["rows"])
        return made

    # --- reading --------------------------------------------------------------------------------

    @property
    def count(self) -> int:
        """Values seen."""
        return self.rows * self.columns

    @property
    def hessian(self) -> torch.Tensor | None:
        """(k, k) fp32, the sum of x^T x over all rows; None when it was not asked for."""
        if self._hessian is not None:
            _mirror(self._hessian)
        return self._hessian

    @property
    def rms(self) -> float:
        """Root of the mean square; 0 when nothing was seen."""
        return math.sqrt(float(self.sums[1]) / self.count) if self.count else 0.0

    @property
    def crest(self) -> float:
        """amax / rms; 0 when nothing but zeros was seen."""
        return float(self.amax) / self.rms if self.rms > 0 else 0.0

    @property
    def kurtosis(self) -> float:
        """Mean of x^4 over the squared mean of x^2: 3 for a Gaussian, large with outliers."""
        square = float(self.sums[1])
        return self.count * float(self.sums[2]) / square**2 if square**2 > 0 else 0.0

    def percentile(self, p: float, *, nonzero: bool = False) -> float:
        """A size that p percent of the values do not pass.

        Args:
            p: Percent, above 0 and up to 100; 100 gives amax.
            nonzero: Leave values out that are 0.

        Returns:
            Upper border of the bin where the count reaches p, and never more than amax.

        Raises:
            ConfigError: `p` lies outside of its range.
        """
        zeros = 0 if nonzero else int(self.zeros)
        return percentile_size(self.counts, p, zeros, float(self.amax))

    def block_percentile(self, p: float, *, at_least: float = 0.0) -> float:
        """The same of the largest values of blocks of 16 columns.

        Args:
            p: Percent, above 0 and up to 100.
            at_least: Leave blocks out whose largest value is smaller.

        Raises:
            InputError: k is not a multiple of 16.
            ConfigError: `p` lies outside of its range.
        """
        counts = self._blocks()
        if at_least > 0:
            lower = torch.tensor(histogram_edges()[:-1], dtype=torch.float64, device=counts.device)
            counts = torch.where(lower < at_least, 0, counts)
        return percentile_size(counts, p, 0, float(self.amax))

    def share_above(self, limit: float) -> float:
        """Share of all values whose size is above a limit, estimated within one bin."""
        if not self.count or limit >= float(self.amax):
            return 0.0
        return float(self.counts.sum()) / self.count - count_below(self.counts, limit) / self.count

    def histogram(self) -> tuple[tuple[float, ...], tuple[int, ...]]:
        """Borders as log2|x| and counts, for a plot: four bins as one, empty ends left out."""
        merged = self.counts.view(-1, _PLOT_BINS).sum(1).tolist()
        step = _PLOT_BINS * (LOG2_HIGH - LOG2_LOW) / HISTOGRAM_BINS
        seen = [i for i, n in enumerate(merged) if n]
        first, last = (seen[0], seen[-1] + 1) if seen else (0, 0)
        edges = tuple(LOG2_LOW + step * i for i in range(first, last + 1))
        return edges, tuple(merged[first:last])

    def summary(self, format: str | None = None, amax: float | None = None) -> dict[str, Any]:
        """The figures of a report.

        Args:
            format: What the tensor is rounded to; None or "bf16" leaves the last group out.
            amax: Largest value that the format holds; None takes the largest that was seen.

        Returns:
            amax, rms, crest, p99, p99_9, p99_99, kurtosis, zeros (share of values that are 0);
            top_channels, [index, amax] of up to 16 columns, and channel_ratio, the largest over
            the median one (infinite when most columns are silent).
            For "fp8", "int8" and NVFP4: saturated, share of values above `amax`, and flushed,
            share of values that become 0 without being 0.
            For NVFP4: subnormal_scales, share of blocks whose scale is below 2^-6, and
            distinct_scales, about how many scale codes occur; both from the histogram of blocks.
        """
        found: dict[str, Any] = {
            "amax": float(self.amax),
            "rms": self.rms,
            "crest": self.crest,
            "kurtosis": self.kurtosis,
            "zeros": int(self.zeros) / self.count if self.count else 0.0,
        }
        for name, p in (("p99", 99.0), ("p99_9", 99.9), ("p99_99", 99.99)):
            found[name] = self.percentile(p)
        found |= self._channels()
        limit = float(self.amax) if amax is None else amax
        if format in ("fp8", "int8", "nvfp4", "nvfp4-w4a16") and limit > 0:
            found["saturated"] = self.share_above(limit)
            found["flushed"] = self._flushed(format, limit)
            if format.startswith("nvfp4") and self.block_counts is not None:
                found |= self._block_scales(limit)
        return found

    def _channels(self) -> dict[str, Any]:
        top = self.channel_amax.topk(min(_TOP_CHANNELS, self.columns))
        median = float(self.channel_amax.median())
        largest = float(self.amax)
        return {
            "top_channels": [
                [int(i), float(v)] for i, v in zip(top.indices, top.values, strict=True)
            ],
            "channel_ratio": largest / median if median > 0 else math.inf if largest else 0.0,
        }

    def _flushed(self, format: str, limit: float) -> float:
        """Share of values that become 0 without being 0."""
        if not self.count:
            return 0.0
        if format == "fp8":
            return count_below(self.counts, limit / FP8_MAX * 2.0**-10) / self.count
        if format == "int8":
            return count_below(self.counts, limit / 127 / 2) / self.count
        # E2M1 keeps 16 columns in view; a block whose scale rounds to 0 is lost as a whole
        lost = 0.0
        if self.block_counts is not None:
            lost = NVFP4_BLOCK * count_below(self.block_counts, 6 * 2.0**-10 * limit / NVFP4_MAX)
        share = (int(self.block_flushed) + lost) / self.count
        return min(share, 1 - int(self.zeros) / self.count)

    def _block_scales(self, limit: float) -> dict[str, Any]:
        counts = self._blocks()
        total = int(counts.sum())
        unit = limit / NVFP4_MAX  # the tensor scale
        edges = torch.tensor(histogram_edges(), dtype=torch.float64, device="cpu")
        scales = (edges / (6 * unit)).clamp(2.0**-9, FP8_MAX).float()
        codes = scales.to(torch.float8_e4m3fn).view(torch.uint8).tolist()
        seen = counts.nonzero()[:, 0].tolist()
        distinct = {code for i in seen for code in range(codes[i], codes[i + 1] + 1)}
        return {
            "subnormal_scales": count_below(counts, 2.0**-6 * 6 * unit) / total if total else 0.0,
            "distinct_scales": min(len(distinct), total),
        }

    def _blocks(self) -> torch.Tensor:
        if self.block_counts is None:
            raise InputError(
                f"statistics of {self.columns} columns: blocks of {NVFP4_BLOCK} need a multiple "
                f"of {NVFP4_BLOCK}; leave this layer in BF16 or FP8"
            )
        return self.block_counts


class Observers:
    """Hooks that gather the inputs of named linears; enter it around the forward passes.

    Args:
        module: Anything; it computes what it computed before.
        names: Dotted names of `nn.Linear`s inside of it.
        hessian: Those of them whose Hessian is gathered as well.

    Attributes:
        statistics: By name; kept after leaving, and added to when entered again.

    Raises:
        ConfigError: A name is not that of a linear, or `hessian` names one that is not observed.
    """

    def __init__(
        self, module: nn.Module, names: Iterable[str], hessian: Collection[str] = ()
    ) -> None:
        self._linears = {name: _linear(module, name) for name in names}
        for name in hessian:
            if name not in self._linears:
                raise ConfigError(
                    f"Hessian of {name!r}: it is not among the observed linears"
                    f"{nearest(name, self._linears)}"
                )
        self.statistics = {
            name: TensorStatistics(
                linear.in_features, device=linear.weight.device, hessian=name in hessian
            )
            for name, linear in self._linears.items()
        }
        self._calls = dict.fromkeys(self._linears, 0)
        self._hooks: list[torch.utils.hooks.RemovableHandle] = []

    def __enter__(self) -> Self:
        for name, linear in self._linears.items():
            self._hooks.append(linear.register_forward_pre_hook(self._hook(name), with_kwargs=True))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()

    def unreached(self) -> tuple[str, ...]:
        """Linears that saw nothing, or nothing but zeros; fused kernels may pass them by."""
        return tuple(name for name, s in self.statistics.items() if not s.amax > 0)

    def _hook(self, name: str) -> Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], None]:
        def gather(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            x = args[0] if args else kwargs["input"]
            self.statistics[name].update(x, what=f"input of {name}, batch {self._calls[name]}")
            self._calls[name] += 1

        return gather


def _linear(module: nn.Module, name: str) -> nn.Linear:
    found = dict(module.named_modules()).get(name)
    if not isinstance(found, nn.Linear):
        known = [n for n, m in module.named_modules() if isinstance(m, nn.Linear)]
        raise ConfigError(
            f"observed module {name!r}: expected the name of one of {len(known)} linears, got "
            f"{'nothing' if found is None else type(found).__name__}{nearest(name, known)}"
        )
    return found


def _fields(columns: int) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
    """Shape and dtype of what is gathered, the Hessian apart."""
    return {
        "amax": ((), torch.float32),
        "channel_amax": ((columns,), torch.float32),
        "counts": ((HISTOGRAM_BINS,), torch.int64),
        "zeros": ((), torch.int64),
        "sums": ((3,), torch.float64),
        "block_counts": ((HISTOGRAM_BINS,), torch.int64),
        "zero_blocks": ((), torch.int64),
        "block_flushed": ((), torch.int64),
    }


def _sums(x: torch.Tensor, patterns: torch.Tensor) -> torch.Tensor:
    """(3,) fp64: sums of x, x^2, x^4."""
    if x.dtype is torch.bfloat16:  # the patterns say it all but for the sign
        powers = cached_table(pattern_powers, x.device) @ patterns.double()
        return torch.cat([x.sum(dtype=torch.float64).view(1), powers])
    found = torch.zeros(3, dtype=torch.float64, device=x.device)
    for part in x.flatten().split(_SUM_VALUES[x.device.type == "cpu"]):
        values = part.double()
        squares = values * values
        found += torch.stack([values.sum(), squares.sum(), torch.dot(squares, squares)])
    return found


def _add_square(hessian: torch.Tensor, x: torch.Tensor) -> None:
    """Add x^T x for rows (t, k), the tiles on and above the diagonal."""
    for start in range(0, x.shape[1], _HESSIAN_TILE):
        columns = slice(start, start + _HESSIAN_TILE)
        hessian[columns, start:].addmm_(x[:, columns].t(), x[:, start:])


def _mirror(hessian: torch.Tensor) -> None:
    """Fill the tiles below the diagonal, in place."""
    for start in range(0, hessian.shape[0], _HESSIAN_TILE):
        stop = start + _HESSIAN_TILE
        hessian[stop:, start:stop] = hessian[start:stop, stop:].t()
