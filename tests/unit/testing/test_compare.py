"""A failed comparison says how far off, and where."""

from __future__ import annotations

import pytest
import torch

from nanovl.testing import assert_close, assert_same_tensors, max_error


def test_returns_the_largest_error() -> None:
    a = torch.tensor([1.0, 2.0, 3.0])
    assert assert_close(a, a + torch.tensor([0.0, 0.25, -0.5]), atol=0.5) == 0.5
    assert max_error(a, a) == 0.0
    assert assert_close(torch.zeros(0, 3), torch.zeros(0, 3), atol=0.0) == 0.0


def test_names_the_worst_place() -> None:
    a, b = torch.zeros(2, 3), torch.zeros(2, 3)
    a[1, 2] = 0.5
    a[0, 0] = 0.25
    with pytest.raises(AssertionError) as caught:
        assert_close(a, b, atol=0.1, what="logits")
    message = str(caught.value)
    assert message.startswith("logits: max error 0.5, mean 0.125")
    assert "2 of 6 values" in message
    assert "(1, 2): got 0.5, expected 0" in message


def test_relative_bound_grows_with_the_value() -> None:
    a, b = torch.tensor([1000.0, 0.0]), torch.tensor([1001.0, 0.0])
    assert_close(a, b, atol=0.0, rtol=1e-2)
    # The worst place is the one that is out of bounds, not the largest difference.
    with pytest.raises(AssertionError, match=r"at \(1,\)"):
        assert_close(torch.tensor([1000.0, 0.5]), b, atol=0.0, rtol=1e-2)


def test_shapes_must_agree() -> None:
    with pytest.raises(AssertionError, match=r"shape \(2,\), expected \(2, 1\)"):
        assert_close(torch.zeros(2), torch.zeros(2, 1), atol=1.0)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite(value: float) -> None:
    odd = torch.tensor([value, 1.0])
    assert assert_close(odd, odd.clone(), atol=0.0) == 0.0
    with pytest.raises(AssertionError, match="max error inf"):
        assert_close(odd, torch.ones(2), atol=1e9)
    with pytest.raises(AssertionError, match="max error inf"):
        assert_close(torch.ones(2), odd, atol=1e9)


def test_dtypes_may_differ() -> None:
    exact = torch.tensor([1 / 3], dtype=torch.float64)
    assert 0 < assert_close(exact.bfloat16(), exact, atol=1e-3) < 1e-3


def test_same_tensors_are_the_same_bits() -> None:
    state = {"a": torch.arange(3.0), "b": torch.tensor(2, dtype=torch.uint8)}
    assert_same_tensors({k: v.clone() for k, v in state.items()}, state)
    with pytest.raises(AssertionError, match="a: missing"):
        assert_same_tensors({"b": state["b"]}, state)
    with pytest.raises(AssertionError, match="c: unexpected"):
        assert_same_tensors({**state, "c": state["b"]}, state)
    with pytest.raises(AssertionError, match="a: values differ by up to 1"):
        assert_same_tensors({**state, "a": torch.arange(3.0) + 1}, state)
    with pytest.raises(AssertionError, match=r"float64 \(3,\), expected torch.float32"):
        assert_same_tensors({**state, "a": torch.arange(3.0).double()}, state)
    nan = {"x": torch.tensor([float("nan")])}
    assert_same_tensors(nan, {"x": nan["x"].clone()})
    with pytest.raises(AssertionError, match="x: values differ"):
        assert_same_tensors({"x": torch.tensor([-0.0])}, {"x": torch.tensor([0.0])})
