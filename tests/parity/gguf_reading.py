"""A reader of GGUF files by the public description of the format, for tests alone."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

import torch

__all__ = ["read_gguf"]

_SCALARS = {4: "<I", 5: "<i", 6: "<f", 7: "<?"}


def read_gguf(path: Path) -> tuple[dict[str, Any], dict[str, tuple[str, torch.Tensor]]]:
    """Keys, and name -> (number type, fp32 tensor with the slowest dimension first)."""
    data = path.read_bytes()
    at = 0

    def take(form: str) -> Any:
        nonlocal at
        (value,) = struct.unpack_from(form, data, at)
        at += struct.calcsize(form)
        return value

    def text() -> str:
        nonlocal at
        length = take("<Q")
        at += length
        return data[at - length : at].decode("utf-8")

    def value(code: int) -> Any:
        if code == 8:
            return text()
        if code == 9:
            inner = take("<I")
            return [value(inner) for _ in range(take("<Q"))]
        return take(_SCALARS[code])

    assert data[:4] == b"GGUF"
    at = 4
    assert take("<I") == 3
    tensors, keys = take("<Q"), take("<Q")
    found = {}
    for _ in range(keys):
        name = text()
        found[name] = value(take("<I"))
    infos = []
    for _ in range(tensors):
        name = text()
        dims = [take("<Q") for _ in range(take("<I"))]
        infos.append((name, tuple(reversed(dims)), take("<I"), take("<Q")))
    start = -(-at // 32) * 32
    result = {}
    end = start
    for name, shape, code, offset in infos:
        assert offset % 32 == 0
        count = math.prod(shape)
        kind, size = {
            0: ("F32", 4 * count),
            30: ("BF16", 2 * count),
            8: ("Q8_0", count // 32 * 34),
        }[code]
        raw = bytearray(data[start + offset : start + offset + size])
        assert len(raw) == size
        end = max(end, start + offset + -(-size // 32) * 32)
        if kind == "Q8_0":
            blocks = torch.frombuffer(raw, dtype=torch.uint8).reshape(-1, 34)
            scale = blocks[:, :2].contiguous().view(torch.float16).float()
            values = blocks[:, 2:].contiguous().view(torch.int8).float() * scale
        else:
            dtype = torch.float32 if kind == "F32" else torch.bfloat16
            values = torch.frombuffer(raw, dtype=dtype).float()
        result[name] = (kind, values.reshape(shape))
    assert end == len(data)
    return found, result
