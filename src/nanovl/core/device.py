"""Which device and number type to use, and what the device can do."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
from dataclasses import dataclass
from typing import NamedTuple

import torch

from nanovl.core.errors import BackendError, ConfigError

__all__ = [
    "KNOWN_GPUS",
    "Capability",
    "DataSheet",
    "available_memory_bytes",
    "capability",
    "choose_device",
    "choose_dtype",
    "keep_freed_memory",
]

DTYPES = {
    "bfloat16": torch.bfloat16,
    "bf16": torch.bfloat16,
    "float32": torch.float32,
    "fp32": torch.float32,
    "float16": torch.float16,
    "fp16": torch.float16,
}


@dataclass(frozen=True, kw_only=True)
class Capability:
    """What one device can do.

    Attributes:
        name: Marketing or CPU name.
        kind: "cuda" or "cpu".
        compute_capability: (major, minor) of a CUDA device.
        memory_bytes: Total device (or host) memory.
        fp8_matmul, fp4_matmul: Whether the hardware multiplies these formats.
        bf16_flops: Published dense peak of bf16 matmuls in FLOP/s, 0 when unknown.
        bandwidth: Published memory bandwidth in bytes/s, 0 when unknown.
    """

    name: str
    kind: str
    compute_capability: tuple[int, int] | None = None
    memory_bytes: int = 0
    fp8_matmul: bool = False
    fp4_matmul: bool = False
    bf16_flops: float = 0.0
    bandwidth: float = 0.0


class DataSheet(NamedTuple):
    """What a vendor publishes about a card: dense peaks in FLOP/s, bytes/s, bytes."""

    bf16_flops: float
    bandwidth: float
    fp8_flops: float
    memory_bytes: float


KNOWN_GPUS = {
    "H200": DataSheet(989e12, 4.8e12, 1979e12, 141e9),
    "H100": DataSheet(989e12, 3.35e12, 1979e12, 80e9),
    "A100": DataSheet(312e12, 2.0e12, 0.0, 80e9),
    "L40S": DataSheet(362e12, 0.864e12, 733e12, 48e9),
    "B200": DataSheet(2250e12, 8.0e12, 4500e12, 180e9),
}


def choose_device(name: str = "auto") -> torch.device:
    """Turn "auto", "cpu", "cuda" or "cuda:1" into a device.

    Raises:
        ConfigError: Not a device name.
        BackendError: The device is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"device {name!r}: expected auto, cpu, cuda or cuda:N") from None
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"device {name!r}: nanovl runs on cpu and cuda")
    if device.type == "cuda":
        count = torch.cuda.device_count()
        if (device.index or 0) >= count:
            raise BackendError(f"device {name!r}: this machine has {count} CUDA devices; use cpu")
    return device


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """Turn "auto", "bfloat16", "float32" or "float16" into a dtype; auto is bfloat16.

    Raises:
        ConfigError: Not a dtype name.
    """
    del device  # every supported device computes in bfloat16
    if name == "auto":
        return torch.bfloat16
    if name not in DTYPES:
        raise ConfigError(f"dtype {name!r}: expected auto, {', '.join(sorted(DTYPES))}")
    return DTYPES[name]


def available_memory_bytes() -> int:
    """Host memory that can still be used, honouring a container's limit; 0 when unknown."""
    candidates = []
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            for line in lines:
                if line.startswith("MemAvailable:"):
                    candidates.append(int(line.split()[1]) * 1024)
    except OSError:
        pass
    try:
        with open("/sys/fs/cgroup/memory.max", encoding="ascii") as limit:
            text = limit.read().strip()
        if text != "max":
            with open("/sys/fs/cgroup/memory.current", encoding="ascii") as current:
                used = int(current.read())
            # Cached file pages count as used there but are given up when memory is needed.
            with open("/sys/fs/cgroup/memory.stat", encoding="ascii") as lines:
                for line in lines:
                    if line.startswith("inactive_file "):
                        used -= int(line.split()[1])
            candidates.append(int(text) - used)
    except (OSError, ValueError):
        pass
    return max(0, min(candidates)) if candidates else 0


@functools.cache
def capability(device: str = "cpu") -> Capability:
    """Describe a device; nothing is measured here."""
    where = torch.device(device)
    if where.type == "cuda":
        properties = torch.cuda.get_device_properties(where)
        cc = (properties.major, properties.minor)
        flops, bandwidth, *_ = next(
            (v for k, v in KNOWN_GPUS.items() if k in properties.name), (0.0, 0.0)
        )
        return Capability(
            name=properties.name,
            kind="cuda",
            compute_capability=cc,
            memory_bytes=properties.total_memory,
            fp8_matmul=cc >= (8, 9),
            fp4_matmul=cc >= (10, 0),
            bf16_flops=flops,
            bandwidth=bandwidth,
        )
    return Capability(name=_cpu_name(), kind="cpu", memory_bytes=_host_memory())


def _host_memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return 0


def _cpu_name() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return "CPU"


def keep_freed_memory() -> None:
    """Let the C library keep large pieces of memory for reuse; only glibc is told.

    It gives pieces of a few megabytes back to the system at once, which fills them with zeros
    before they can be used again: a tenth of a training step of the small encoder on a CPU.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        for option in (-3, -1):  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD
            mallopt(option, 2**31 - 1)
