"""Loader state without pickles: what goes in comes out, and nothing else can be made."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from nanovl.core.errors import BackendError, ConfigError
from nanovl.data.energon_state import from_plain, to_plain


@dataclass
class Point:
    x: Any
    y: Any = None


class Flexible(dict[str, Any]):
    """A dict of another class."""


class Stranger:
    """Not among the known classes."""


KINDS = {"Point": Point, "Flexible": Flexible}


def back_and_forth(value: Any) -> Any:
    return from_plain(json.loads(json.dumps(to_plain(value, KINDS))), KINDS)


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        -3,
        2**70,
        0.1,
        "text",
        b"\x00\xff",
        [1, [2, "x"]],
        (1, (2,), ()),
        {"a": 1, 2: ("b", None)},
        Flexible(a=(1, 2)),
        Point(x=[Point(x=1)], y=Flexible()),
    ],
    ids=lambda value: type(value).__name__,
)
def test_comes_back_equal_and_of_the_same_class(value: Any) -> None:
    result = back_and_forth(value)
    assert result == value
    assert type(result) is type(value)


def test_tensors_and_arrays_keep_type_and_shape() -> None:
    tensor = torch.arange(6, dtype=torch.uint8).reshape(2, 3)
    array = np.arange(4, dtype=np.uint32)
    point = back_and_forth(Point(x=tensor, y=("MT19937", array, np.int64(3))))
    assert torch.equal(point.x, tensor)
    assert point.x.dtype == torch.uint8
    name, values, number = point.y
    assert (name, number) == ("MT19937", 3)
    np.testing.assert_array_equal(values, array)
    assert values.dtype == np.uint32
    values[0] = 9  # not read-only


def test_other_classes_are_refused_when_writing() -> None:
    with pytest.raises(BackendError, match="holds a Stranger"):
        to_plain([Stranger()], KINDS)


@pytest.mark.parametrize(
    "value",
    [
        {"object": ["Stranger", {}]},
        {"object": ["Point", {"z": 1}]},
        {"dict": ["builtins.dict", []]},
        {"tuple": 3},
        {"eval": "1"},
        {"tuple": [], "list": []},
        {"array": ["<i4", [2], "AAAA"]},
    ],
    ids=lambda value: "+".join(value),
)
def test_only_known_classes_are_made(value: Any) -> None:
    with pytest.raises(ConfigError, match="loader state"):
        from_plain(value, KINDS)
