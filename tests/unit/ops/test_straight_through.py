"""F6: quantization specification, section 7.1."""

import pytest
import torch

from nanovl.ops.lowp import fp8_fake_quant
from nanovl.ops.straight_through import straight_through


@pytest.mark.parametrize(("limit", "expected"), [(None, [1, 1, 1, 1, 1]), (1.5, [1, 0, 0, 1, 0])])
def test_f6_gradients(limit, expected):
    x = torch.tensor([0.5, 2.0, -3.0, 1.5, -1.6], requires_grad=True)
    rounded = fp8_fake_quant(x, 1.5)
    y = straight_through(x, rounded, limit=limit)
    y.sum().backward()
    assert torch.equal(y.detach(), rounded)
    assert x.grad.tolist() == expected


def test_fake_quant_carries_no_gradient_of_its_own():
    x = torch.ones(4, requires_grad=True)
    assert not fp8_fake_quant(x, 1.0).requires_grad


def test_different_shapes_are_a_programming_error():
    with pytest.raises(ValueError, match="agree"):
        straight_through(torch.ones(2), torch.ones(3))
