"""What every training benchmark says about the machine it ran on."""

from __future__ import annotations

import os
import platform
import statistics
import time
from pathlib import Path

import torch

__all__ = ["describe", "matmul_seconds", "processor_name"]


def processor_name() -> str:
    """The processor as the system names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def describe() -> str:
    """Hardware, versions, threads and kernels, in one line."""
    from nanovl.ops.native.library import status

    return (
        f"{processor_name()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads; torch "
        f"{torch.__version__}, Python {platform.python_version()}; C kernels: {status()[1]}"
    )


def matmul_seconds(size: int, repeats: int = 5) -> float:
    """Median seconds of one square bf16 product of this size; the first one is not counted."""
    a = torch.randn(size, size).bfloat16()
    b = torch.randn(size, size).bfloat16()
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        a @ b
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])
