"""Loader state of megatron-energon as plain JSON values, and back.

energon saves its state as a tree of its own classes, which is meant to be pickled; reading a
pickle runs whatever is in it. Here the classes are written by name, and reading makes nothing but
the classes the caller lists. Knows nothing about energon itself.
"""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from nanovl.core.errors import BackendError, ConfigError

__all__ = ["from_plain", "to_plain"]

Kinds = Mapping[str, type[Any]]


def to_plain(value: Any, kinds: Kinds) -> Any:
    """Describe a state in JSON values.

    Args:
        value: Nested plain values, tuples, bytes, tensors, arrays, and instances of `kinds`.
        kinds: Name -> dataclass, or subclass of dict.

    Raises:
        BackendError: An instance of another class.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, list):
        return [to_plain(v, kinds) for v in value]
    if isinstance(value, tuple):
        return {"tuple": [to_plain(v, kinds) for v in value]}
    if isinstance(value, bytes):
        return {"bytes": base64.b64encode(value).decode("ascii")}
    if isinstance(value, torch.Tensor):
        return {"tensor": to_plain(value.numpy(), kinds)}
    if isinstance(value, np.ndarray):
        data = base64.b64encode(np.ascontiguousarray(value).tobytes()).decode("ascii")
        return {"array": [value.dtype.str, list(value.shape), data]}
    if isinstance(value, np.generic):
        return to_plain(value.item(), kinds)
    name = type(value).__name__
    known = kinds.get(name) is type(value)
    if isinstance(value, dict) and (known or type(value) is dict):
        pairs = [[to_plain(k, kinds), to_plain(v, kinds)] for k, v in value.items()]
        return {"dict": [name if known else "", pairs]}
    if known and dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value)]
        return {"object": [name, {n: to_plain(getattr(value, n), kinds) for n in names}]}
    raise BackendError(f"loader state: holds a {name}, which this version of nanovl does not know")


def from_plain(value: Any, kinds: Kinds) -> Any:
    """Make the state `to_plain` described.

    Args:
        value: From `to_plain`, possibly by way of a JSON file.
        kinds: As there; nothing else is ever made.

    Raises:
        ConfigError: Not such a description.
    """
    if isinstance(value, list):
        return [from_plain(v, kinds) for v in value]
    if not isinstance(value, dict):
        return value
    try:
        ((kind, inside),) = value.items()
        return _made(kind, inside, kinds)
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"loader state: damaged, or of another version ({error})") from error


def _made(kind: str, inside: Any, kinds: Kinds) -> Any:
    if kind == "tuple":
        return tuple(from_plain(v, kinds) for v in inside)
    if kind == "bytes":
        return base64.b64decode(inside)
    if kind == "tensor":
        return torch.from_numpy(from_plain(inside, kinds))
    if kind == "array":
        dtype, shape, data = inside
        flat = np.frombuffer(base64.b64decode(data), dtype=np.dtype(dtype))
        return flat.reshape(shape).copy()
    if kind == "dict":
        name, pairs = inside
        made = {from_plain(k, kinds): from_plain(v, kinds) for k, v in pairs}
        return kinds[name](made) if name else made
    if kind == "object":
        name, fields = inside
        return kinds[name](**{n: from_plain(v, kinds) for n, v in fields.items()})
    raise ConfigError(f"loader state: {kind!r} is no part of one")
