"""Up to how many tokens the packed CPU kernels pay off on this machine.

The packed kernels are matrix-vector kernels: they win for a token or two and lose for a prompt.
Where the line lies depends on the processor. Measuring is left to the caller's choice, because a
measured line lets the same prompt take different kernels in two runs.

Source: quantization specification, section 8.2.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch

from nanovl.quant.integer import Int4Linear, Int8Linear

__all__ = ["measure_gemv_rows"]


def measure_gemv_rows(
    module: Int8Linear | Int4Linear,
    *,
    candidates: Sequence[int] = (1, 2, 4, 8, 16),
    repeats: int = 3,
    clock: Callable[[], float] = time.perf_counter,
) -> int:
    """The largest number of tokens for which the packed kernel is the faster way.

    Takes a few dozen products of this layer; use a large one and give the answer to the others
    (`other.gemv_rows = answer`).

    Args:
        module: A layer on the CPU; its own `gemv_rows` is left as it was.
        candidates: Numbers of tokens to try, ascending; the search stops at the first loss.
        repeats: Runs per measurement, the quickest counts.
        clock: Gives seconds.

    Returns:
        One of `candidates`, or 0 when decoding always wins.
    """
    before = module.gemv_rows
    best = 0
    try:
        for tokens in candidates:
            x = torch.ones((tokens, module.in_features), dtype=torch.bfloat16)
            packed = _quickest(module, x, tokens, repeats, clock)
            decoded = _quickest(module, x, 0, repeats, clock)
            if packed > decoded:
                break
            best = tokens
    finally:
        module.gemv_rows = before
    return best


@torch.no_grad()
def _quickest(
    module: Int8Linear | Int4Linear,
    x: torch.Tensor,
    gemv_rows: int,
    repeats: int,
    clock: Callable[[], float],
) -> float:
    module.gemv_rows = gemv_rows
    module(x)  # warm-up, and the one-time packing of INT4
    times = []
    for _ in range(repeats):
        start = clock()
        module(x)
        times.append(clock() - start)
    return min(times)
