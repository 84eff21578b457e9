"""The GGUF container: typed keys, then tensors that arrive one at a time.

Dimensions are written as the format wants them, fastest first, so a tensor of shape (n, k) is
stored with dimensions k, n and the bytes it has in memory. The module knows no model.

Source: public description of GGUF, version 3; number types F32, BF16 and Q8_0 of ggml.
"""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import torch

from nanovl.checkpoint.safetensors_io import disk_errors
from nanovl.core.errors import InputError

__all__ = ["Q8_BLOCK", "GgufTensor", "GgufWriter", "Value", "encode"]

# A key's value; whole numbers are written as u32, lists as arrays of one type.
Value = str | bool | int | float | Sequence[str] | Sequence[int] | Sequence[float]

_MAGIC = b"GGUF"
_VERSION = 3
_ALIGNMENT = 32
_UINT32, _INT32, _FLOAT32, _BOOL, _STRING, _ARRAY = 4, 5, 6, 7, 8, 9

# Number type -> code of ggml.
_TYPES = {"F32": 0, "Q8_0": 8, "BF16": 30}
Q8_BLOCK = 32
_Q8_BYTES = Q8_BLOCK + 2


@dataclass(frozen=True)
class GgufTensor:
    """A tensor to be written: name, number type ("F32", "BF16", "Q8_0") and shape, slowest first.

    Rows of Q8_0 are a multiple of 32 long.
    """

    name: str
    type: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of data."""
        values = math.prod(self.shape)
        return {"F32": 4 * values, "BF16": 2 * values}.get(
            self.type, values // Q8_BLOCK * _Q8_BYTES
        )


def encode(tensor: torch.Tensor, type: str) -> bytes:
    """Bytes of a tensor in a number type.

    Q8_0 holds blocks of 32 values: the largest absolute value over 127 in fp16, then 32 codes.

    Raises:
        InputError: A value is not finite, or a block's scale leaves the range of fp16.
    """
    tensor = tensor.detach().cpu().contiguous()
    if type == "BF16":
        return tensor.bfloat16().view(torch.uint8).numpy().tobytes()
    values = tensor.float()  # what the other two types are made of
    if type == "F32":
        return values.numpy().tobytes()
    blocks = values.reshape(-1, Q8_BLOCK)
    scale = (blocks.abs().amax(1) / 127).half()
    if not bool(torch.isfinite(scale).all()):
        raise InputError(
            "Q8_0: a block holds a value that is not finite or larger than its fp16 scale can "
            "stand for; write this checkpoint in bf16"
        )
    step = torch.where(scale > 0, scale, torch.ones_like(scale)).float()
    codes = (blocks / step[:, None]).round_().clamp_(-127, 127).to(torch.int8)
    both = torch.cat([scale[:, None].view(torch.uint8), codes.view(torch.uint8)], dim=1)
    return both.numpy().tobytes()


def _text(value: str) -> bytes:
    data = value.encode("utf-8")
    return struct.pack("<Q", len(data)) + data


def _value(value: Value) -> bytes:
    """A value with its type in front."""
    if isinstance(value, str):
        return struct.pack("<I", _STRING) + _text(value)
    if isinstance(value, (bool, int, float)):
        code, data = _scalar(value)
        return struct.pack("<I", code) + data
    items = list(value)
    if items and isinstance(items[0], (bool, int, float)):
        # Signed, as readers expect of lists.
        whole = all(isinstance(item, int) for item in items)
        code, form = (_INT32, "<i") if whole else (_FLOAT32, "<f")
        body = b"".join(struct.pack(form, item) for item in items)
    else:
        code, body = _STRING, b"".join(_text(str(item)) for item in items)
    return struct.pack("<IIQ", _ARRAY, code, len(items)) + body


def _scalar(value: bool | int | float) -> tuple[int, bytes]:
    if isinstance(value, bool):
        return _BOOL, struct.pack("<?", value)
    if isinstance(value, int):
        return _UINT32, struct.pack("<I", value)
    return _FLOAT32, struct.pack("<f", value)


class GgufWriter:
    """Writes one file; tensors are put whole or in pieces, in the order they were declared."""

    def __init__(
        self, path: Path, keys: Mapping[str, Value], tensors: Sequence[GgufTensor]
    ) -> None:
        """Plan the file; the disk is touched on entering the `with` block."""
        self.path = path
        head = [_MAGIC, struct.pack("<IQQ", _VERSION, len(tensors), len(keys))]
        for key, value in keys.items():
            head += [_text(key), _value(value)]
        offset = 0
        for tensor in tensors:
            dims = tensor.shape[::-1]
            head += [_text(tensor.name), struct.pack("<I", len(dims))]
            head += [struct.pack("<Q", extent) for extent in dims]
            head.append(struct.pack("<IQ", _TYPES[tensor.type], offset))
            offset += _padded(tensor.nbytes)
        joined = b"".join(head)
        self._head = joined + bytes(_padded(len(joined)) - len(joined))
        self._left = list(tensors)
        self._open = 0
        self._file: io.BufferedWriter | None = None

    def __enter__(self) -> GgufWriter:
        with disk_errors(self.path):
            self._file = self.path.open("wb")
            self._file.write(self._head)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._file is not None
        with disk_errors(self.path):
            self._file.close()
        if kind is None:
            assert not self._left, f"never written: {self._left[0].name}"

    def put(self, name: str, piece: torch.Tensor) -> None:
        """Write the next piece of the next tensor.

        Raises:
            CheckpointError: The disk is full or cannot be written.
            InputError: The values do not fit the number type.
        """
        assert self._file is not None
        tensor = self._left[0]
        assert tensor.name == name, (tensor.name, name)
        data = encode(piece, tensor.type)
        self._open += len(data)
        assert self._open <= tensor.nbytes, name
        with disk_errors(self.path):
            self._file.write(data)
            if self._open == tensor.nbytes:
                self._file.write(bytes(_padded(self._open) - self._open))
                self._left.pop(0)
                self._open = 0


def _padded(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
