"""Compile the C sources for this machine, once, and call it.

The library is kept below NANOVL_HOME under a name that depends on source, compiler and CPU. What
cannot be compiled or loaded is reported by `doctor` and otherwise done by PyTorch. Must not decide
when a kernel is used.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

import torch

from nanovl.core import paths

__all__ = ["Kernels", "kernels", "release_threads", "status", "usable"]

logger = logging.getLogger(__name__)

_SOURCES = [Path(__file__).with_name(name) for name in ("kernels.c", "decode.c")]
_HEADER = Path(__file__).with_name("common.h")
# Sums may be reordered, NaN and infinity keep their meaning.
_FLAGS = (
    "-O3",
    "-march=native",
    "-mprefer-vector-width=512",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fassociative-math",
    "-fno-signed-zeros",
    "-freciprocal-math",
    "-fopenmp",
    "-fPIC",
    "-shared",
)
_COMPILE_TIMEOUT_S = 120.0


class Kernels:
    """The compiled library.

    Args:
        path: The shared object.

    Attributes:
        tiles: Whether the CPU multiplies bf16 tiles (AMX) and this process may use them.
    """

    def __init__(self, path: Path) -> None:
        self._library = ctypes.CDLL(str(path))
        self._library.nanovl_threads.restype = ctypes.c_int
        self._library.nanovl_tiles.restype = ctypes.c_int
        self.tiles = bool(self._library.nanovl_tiles())

    @property
    def threads(self) -> int:
        """Threads a call may use: as many as PyTorch."""
        return int(self._library.nanovl_threads())

    def release(self) -> None:
        """End the calling thread's team of workers."""
        self._library.nanovl_release()

    def __call__(self, name: str, *arguments: torch.Tensor | int | float) -> None:
        """Call a kernel: tensors as their memory, ints as int64, floats as fp32."""
        getattr(self._library, name)(*map(_argument, arguments))


def _argument(value: torch.Tensor | int | float) -> object:
    if isinstance(value, torch.Tensor):
        return ctypes.c_void_p(value.data_ptr())
    return ctypes.c_int64(value) if isinstance(value, int) else ctypes.c_float(value)


@functools.cache
def _load() -> tuple[Kernels | None, str]:
    if not paths.native_enabled():
        return None, "switched off by NANOVL_NATIVE=0"
    compiler = next((c for c in map(shutil.which, ("cc", "gcc", "clang")) if c), None)
    if compiler is None:
        return None, "no C compiler found (cc, gcc or clang); install one for faster training"
    try:
        return Kernels(_compiled(compiler)), f"compiled with {Path(compiler).name}"
    except (OSError, subprocess.SubprocessError) as error:
        detail = getattr(error, "stderr", "") or str(error)
        first = next(iter(detail.strip().splitlines()), "no message")
        logger.info("CPU kernels are not used: %s", detail)
        return None, f"{Path(compiler).name} failed: {first}"


def _compiled(compiler: str) -> Path:
    """The shared object for this source, compiler and CPU; made if it is not there yet."""
    source = b"".join(path.read_bytes() for path in (_HEADER, *_SOURCES))
    facts = [compiler, platform.machine(), _cpu_features(), " ".join(_FLAGS)]
    stamp = hashlib.sha256(source + "\n".join(facts).encode()).hexdigest()[:16]
    target = paths.home() / "native" / f"kernels-{stamp}.so"
    if target.is_file():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError:  # a home that cannot be written: compile for this process only
        target = Path(tempfile.mkdtemp(prefix="nanovl-native-")) / target.name
    scratch = target.with_name(f".{os.getpid()}-{target.name}")
    subprocess.run(
        [compiler, *_FLAGS, "-o", str(scratch), *map(str, _SOURCES), "-lm"],
        check=True,
        capture_output=True,
        text=True,
        timeout=_COMPILE_TIMEOUT_S,
    )
    scratch.replace(target)
    return target


def _cpu_features() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")


def kernels() -> Kernels:
    """The library; only after `usable` said yes."""
    found = _load()[0]
    assert found is not None
    return found


def status() -> tuple[bool, str]:
    """Whether the kernels run on this machine, and why or why not."""
    found, why = _load()
    return found is not None, why


def release_threads() -> None:
    """End the team of worker threads that computes for the calling thread.

    Two teams are more threads than processors, and then OpenMP puts workers to sleep between any
    two loops: decoding takes 1.4 times as long. A program that hands its work over to another
    thread calls this first.
    """
    if _load()[0] is not None:
        kernels().release()


def usable(*tensors: torch.Tensor | None) -> bool:
    """Whether all tensors are bf16 on a CPU and there is a library for it."""
    return (
        all(t is None or (t.dtype == torch.bfloat16 and t.device.type == "cpu") for t in tensors)
        and _load()[0] is not None
    )
