import pytest
import torch

from nanovl.ops.norm import gated_rms_norm, gated_rms_norm_reference, rms_norm, rms_norm_reference


@pytest.mark.parametrize("shape", [(1, 8), (5, 64), (2, 3, 96)])
def test_rms_norm_equals_reference(shape):
    x, weight = torch.randn(shape), 1 + 0.1 * torch.randn(shape[-1])
    torch.testing.assert_close(
        rms_norm(x, weight, 1e-5), rms_norm_reference(x, weight, 1e-5), rtol=1e-6, atol=1e-6
    )


def test_rms_norm_in_bf16_rounds_once():
    x, weight = torch.randn(64, 1024).bfloat16(), (1 + 0.1 * torch.randn(1024)).bfloat16()
    got, expected = rms_norm(x, weight, 1e-5), rms_norm_reference(x, weight, 1e-5)
    # Another order of the fp32 sum may tip a value that lies between two bf16 numbers.
    assert (got != expected).float().mean() < 1e-3
    torch.testing.assert_close(got, expected, rtol=2**-7, atol=0)


def test_rms_norm_in_float64_keeps_its_precision():
    x, weight = torch.randn(4, 32, dtype=torch.float64), torch.ones(32, dtype=torch.float64)
    expected = x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(rms_norm(x, weight, 1e-5), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("groups", [1, 2, 8])
def test_gated_norm_equals_reference(groups):
    y, z, weight = torch.randn(7, 64), torch.randn(7, 64), torch.rand(64) + 0.5
    torch.testing.assert_close(
        gated_rms_norm(y, z, weight, 1e-5, groups),
        gated_rms_norm_reference(y, z, weight, 1e-5, groups),
        rtol=1e-6,
        atol=1e-6,
    )


def test_gate_comes_before_the_norm():
    y, z = torch.full((1, 4), 2.0), torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    gated = y * torch.nn.functional.silu(z)
    expected = gated / (gated.square().mean() + 1e-5).sqrt()
    torch.testing.assert_close(gated_rms_norm(y, z, torch.ones(4), 1e-5, 1), expected)


def test_groups_are_consecutive_channels():
    y = torch.cat([torch.ones(1, 4), 100 * torch.ones(1, 4)], dim=1)
    out = gated_rms_norm(y, torch.full((1, 8), 50.0), torch.ones(8), 1e-5, 2)
    torch.testing.assert_close(out, torch.ones(1, 8), rtol=1e-4, atol=1e-4)


def test_gradients_flow_through_both_norms():
    x = torch.randn(3, 8).bfloat16().requires_grad_()
    weight = torch.ones(8, dtype=torch.bfloat16, requires_grad=True)
    rms_norm(x, weight, 1e-5).sum().backward()
    y, z = torch.randn(3, 8, requires_grad=True), torch.randn(3, 8, requires_grad=True)
    gated_rms_norm(y, z, weight, 1e-5, 2).sum().backward()
    assert all(v.grad is not None and v.grad.abs().sum() > 0 for v in (x, weight, y, z))


def test_inputs_are_left_alone():
    y, z = torch.randn(3, 8), torch.randn(3, 8)
    kept = y.clone(), z.clone()
    gated_rms_norm(y, z, torch.ones(8), 1e-5, 2)
    rms_norm(y, torch.ones(8), 1e-5)
    assert torch.equal(y, kept[0])
    assert torch.equal(z, kept[1])
