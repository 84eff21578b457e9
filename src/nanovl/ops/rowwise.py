"""What the low-precision codecs share: row chunks, the finite check, table lookups.

A codec walks its matrix in chunks of rows, so that the fp32 copies it needs stay small however
large the matrix is. This module knows no number format.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from nanovl.core.errors import InputError

__all__ = [
    "cached_table",
    "finite_amax",
    "gather_pairs",
    "require_positive",
    "row_slices",
    "true_divide",
]

# Values per chunk: on a CPU near the second-level cache, yet long enough that starting the worker
# threads does not show; on a GPU large enough to fill it.
_CHUNK_VALUES = {"cpu": 1 << 20, "cuda": 1 << 25}

_TABLES: dict[tuple[Callable[[torch.device], torch.Tensor], torch.device], torch.Tensor] = {}


def row_slices(rows: int, columns: int, device: torch.device) -> Iterator[slice]:
    """Cut a (rows, columns) matrix into slices of whole rows of a size that suits the device."""
    step = max(1, _CHUNK_VALUES.get(device.type, 1 << 20) // max(1, columns))
    for start in range(0, rows, step):
        yield slice(start, min(rows, start + step))


def finite_amax(x: torch.Tensor, what: str) -> torch.Tensor:
    """The largest absolute value of a tensor, after making sure that all of it is finite.

    Args:
        x: Any shape, any floating dtype.
        what: What the tensor is, for the message ("layers.0.mixer.in_proj.weight").

    Returns:
        fp32, 0-d, on the device of `x`; 0 for an empty tensor.

    Raises:
        InputError: A value is NaN or infinite.
    """
    if x.numel() == 0:
        return torch.zeros((), dtype=torch.float32, device=x.device)
    low, high = x.detach().aminmax()
    amax = torch.maximum(low.float().abs(), high.float().abs())  # scales are fp32 by definition
    if not bool(torch.isfinite(amax)):
        place = (~torch.isfinite(x)).nonzero()[0].tolist()
        raise InputError(
            f"{what}: value {x[tuple(place)].item()} at index {place}; only finite numbers can be "
            "quantized; check the checkpoint or the calibration batch this came from"
        )
    return amax


def require_positive(scale: torch.Tensor, what: str) -> torch.Tensor:
    """Return `scale` in fp32 after making sure that every entry is finite and above zero.

    Raises:
        InputError: It is not.
    """
    scale = scale.float()  # scales are fp32 by definition
    if not bool((torch.isfinite(scale) & (scale > 0)).all()):
        raise InputError(
            f"{what}: got {scale.flatten()[:4].tolist()}, expected finite numbers above 0; "
            "take the scale from the amax of the tensor"
        )
    return scale


def true_divide(x: torch.Tensor, number: float) -> torch.Tensor:
    """x / number, correctly rounded on every device.

    CUDA multiplies by the reciprocal when the divisor is a Python number, which changes the last
    bit of a scale; a divisor on the device keeps it a division.
    """
    return x / torch.full((), number, dtype=x.dtype, device=x.device)


def cached_table(
    build: Callable[[torch.device], torch.Tensor], device: torch.device
) -> torch.Tensor:
    """The lookup table `build` makes for a device, made once.

    A plain dict, because `torch.compile` looks through `functools.cache` and would make the table
    again in every call.
    """
    key = (build, device)
    if key not in _TABLES:
        with torch.inference_mode(False):
            _TABLES[key] = build(device)
    return _TABLES[key]


def gather_pairs(stored: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """Look up two neighbouring bytes at a time.

    Args:
        stored: Contiguous one-byte dtype, an even number of elements.
        table: (65536, e), row number = first byte + 256 x second byte (little-endian storage).

    Returns:
        (stored.numel() / 2, e) in the table's dtype.
    """
    index = stored.view(torch.int16).flatten().to(torch.int32).bitwise_and_(0xFFFF)
    return table.index_select(0, index)
