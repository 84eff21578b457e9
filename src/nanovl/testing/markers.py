"""Marks for tests that need something not every machine has."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import TypeVar

import torch

__all__ = ["requires_extra", "requires_gpu"]

T = TypeVar("T", bound=Callable[..., object])


def requires_gpu(test: T) -> T:
    """Mark a test `gpu` and skip it where no CUDA device is found."""
    import pytest

    skip = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
    marked: T = pytest.mark.gpu(skip(test))
    return marked


def requires_extra(package: str, extra: str) -> Callable[[T], T]:
    """Skip a test where an optional package is not installed, naming the extra that brings it."""
    import pytest

    found = importlib.util.find_spec(package) is not None
    reason = f"needs {package}: pip install 'nanovl[{extra}]'"

    def mark(test: T) -> T:
        marked: T = pytest.mark.skipif(not found, reason=reason)(test)
        return marked

    return mark
