"""The C kernels against their PyTorch referees in fp64."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
import torch

from nanovl.core.errors import InputError
from nanovl.model.ssm import SSMParameters, conv_scan as model_scan
from nanovl.ops.attention import attention_reference
from nanovl.ops.conv import causal_conv
from nanovl.ops.native import attention, library, pointwise
from nanovl.ops.norm import gated_rms_norm_reference
from nanovl.ops.ssd import ssd_reference

pytestmark = pytest.mark.skipif(not library.status()[0], reason=library.status()[1])

# bf16 has 8 bits: inputs are exact in both, results and intermediate products are rounded.
BF16 = 0.008


def _error(got: torch.Tensor | None, want: torch.Tensor | None) -> float:
    """Norm of the difference over the norm of the expected."""
    assert got is not None
    assert want is not None
    assert got.shape == want.shape
    return float((got.double() - want.double()).norm() / want.double().norm().clamp_min(1e-5))


def _both(
    shapes: list[tuple[int, ...]],
    native: Callable[..., torch.Tensor],
    referee: Callable[..., torch.Tensor],
    *,
    spread: float = 1.0,
) -> list[float]:
    """Errors of the result and of every input's gradient."""
    generator = torch.Generator().manual_seed(len(shapes))
    made = [(torch.randn(s, generator=generator) * spread).bfloat16() for s in shapes]
    narrow = [v.clone().requires_grad_() for v in made]
    wide = [v.double().requires_grad_() for v in made]
    got, want = native(*narrow), referee(*wide)
    grad = torch.randn(got.shape, generator=generator).bfloat16()
    got.backward(grad)
    want.backward(grad.double())
    errors = [_error(got.detach(), want.detach())]
    return errors + [_error(a.grad, b.grad) for a, b in zip(narrow, wide, strict=True)]


@pytest.mark.parametrize("shape", [(1, 32), (7, 64), (3, 5, 96)])
def test_rms_norm(shape: tuple[int, ...]) -> None:
    def referee(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-5) * w

    errors = _both([shape, shape[-1:]], lambda x, w: pointwise.rms_norm(x, w, 1e-5), referee)
    assert max(errors) < BF16


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_gated_rms_norm_with_a_gate_that_is_part_of_wider_rows(groups: int) -> None:
    def referee(y: torch.Tensor, wide: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        gated = y * torch.nn.functional.silu(wide[:, 8:72])
        grouped = gated.unflatten(-1, (groups, -1))
        grouped = grouped * torch.rsqrt(grouped.square().mean(-1, keepdim=True) + 1e-5)
        return grouped.flatten(-2) * w

    errors = _both(
        [(9, 64), (9, 80), (64,)],
        lambda y, z, w: pointwise.gated_rms_norm(y, z[:, 8:72], w, 1e-5, groups),
        referee,
    )
    assert max(errors) < BF16
    y, z, w = torch.randn(4, 16), torch.randn(4, 16), torch.randn(16)
    want = gated_rms_norm_reference(y, z, w, 1e-5, 2)
    got = pointwise.gated_rms_norm(y.bfloat16(), z.bfloat16(), w, 1e-5, 2)
    assert _error(got, want) < 2 * BF16  # here the inputs are rounded too


def test_squared_relu() -> None:
    errors = _both([(5, 33)], pointwise.squared_relu, lambda x: torch.relu(x).square())
    assert max(errors) < BF16


@pytest.mark.parametrize(
    ("b", "x", "queries", "keys", "causal"),
    [(3, 1, 40, 40, False), (2, 3, 37, 37, True), (2, 2, 16, 50, True), (1, 1, 1, 1, True)],
)
@pytest.mark.parametrize("scores", [1 << 24, 700])
def test_attention(
    b: int,
    x: int,
    queries: int,
    keys: int,
    causal: bool,
    scores: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attention, "_SCORES", scores)

    def referee(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        s = q.flatten(1, 2) @ k.transpose(1, 2) * q.shape[-1] ** -0.5
        if causal:
            past = keys - queries
            seen = torch.arange(keys) <= past + torch.arange(queries)[:, None]
            s = s.masked_fill(~seen.repeat(x, 1), -torch.inf)
        return (s.softmax(-1) @ v).view(q.shape)

    errors = _both(
        [(b, x, queries, 32), (b, keys, 32), (b, keys, 32)],
        lambda q, k, v: attention.attention(q, k, v, causal=causal),
        referee,
    )
    if keys == 1:  # one key: nothing depends on the scores
        errors = [errors[0], errors[3]]
    assert max(errors) < 2 * BF16


def test_attention_of_a_pack_uses_the_kernels_and_agrees() -> None:
    from nanovl.ops.attention import packed_attention

    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(50, heads, 16, generator=generator).bfloat16() for heads in (4, 2, 2))
    q.requires_grad_()
    got = packed_attention(q, k, v, (0, 20, 21, 50))
    parts = [attention_reference(q[a:b], k[a:b], v[a:b]) for a, b in ((0, 20), (20, 21), (21, 50))]
    assert _error(got.detach(), torch.cat(parts).detach()) < BF16


SIZES = {"h": 8, "p": 16, "g": 2, "n": 16}


def _scan_inputs(t: int, dtype: torch.dtype) -> list[torch.Tensor]:
    z = SIZES
    channels = z["h"] * z["p"] + 2 * z["g"] * z["n"]
    generator = torch.Generator().manual_seed(t)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator).bfloat16().to(dtype)

    wide = torch.float64 if dtype == torch.float64 else torch.float32
    tensors = [
        draw(t, channels + z["h"]),
        draw(channels, 1, 4) * 0.5,
        draw(channels) * 0.125,
        draw(z["h"]).to(wide),
        -draw(z["h"]).abs().to(wide) * 4,
        draw(z["h"]).to(wide),
    ]
    return [v.requires_grad_() for v in tensors]


def _scan(
    tensors: list[torch.Tensor],
    cu: tuple[int, ...],
    *,
    limit: float = float("inf"),
    chunk: int = 64,
) -> torch.Tensor:
    joined, weight, bias, dt_bias, A, D = tensors
    channels = weight.shape[0]
    parameters = SSMParameters(
        conv_weight=weight,
        conv_bias=bias,
        dt_bias=dt_bias,
        A=A,
        D=D,
        num_groups=SIZES["g"],
        state_size=SIZES["n"],
        chunk_size=chunk,
        time_step_limit=(0.0, limit),
    )
    lengths = torch.tensor(cu).diff()
    seq_idx = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
    return model_scan(
        joined[:, :channels], joined[:, channels:], parameters, cu_seqlens=cu, seq_idx=seq_idx
    )


@pytest.mark.parametrize(
    "cu",
    [
        (0, 64),  # one chunk, exactly
        (0, 200),  # one segment over several chunks
        (0, 1),
        (0, 3, 130),  # shorter than the convolution
        (0, 64, 128, 192),  # borders on chunk borders
        (0, 5, 70, 71, 200, 331),  # borders everywhere
    ],
)
@pytest.mark.parametrize("limit", [float("inf"), 0.7])
def test_scan_of_a_pack(cu: tuple[int, ...], limit: float) -> None:
    narrow, wide = _scan_inputs(cu[-1], torch.bfloat16), _scan_inputs(cu[-1], torch.float64)
    got, want = _scan(narrow, cu, limit=limit), _scan(wide, cu, limit=limit)
    grad = torch.randn(got.shape, generator=torch.Generator().manual_seed(1)).bfloat16()
    got.backward(grad)
    want.backward(grad.double())
    errors = {"y": _error(got.detach(), want.detach())}
    names = ("xbc and dt", "conv weight", "conv bias", "dt_bias", "A", "D")
    for name, a, b in zip(names, narrow, wide, strict=True):
        errors[name] = _error(a.grad, b.grad)
    # Observed at most 0.009 (dt of one token), typically 0.004.
    assert max(errors.values()) < 0.02, errors


def test_scan_against_the_recurrence() -> None:
    cu = (0, 30, 90)
    joined, weight, bias, dt_bias, A, D = (v.detach() for v in _scan_inputs(90, torch.bfloat16))
    got = _scan([joined, weight, bias, dt_bias, A, D], cu)
    wide = [v.double() for v in (joined, weight, bias, dt_bias, A, D)]
    channels, inner, bc = weight.shape[0], SIZES["h"] * SIZES["p"], SIZES["g"] * SIZES["n"]
    seq_idx = torch.tensor([0] * 30 + [1] * 60)
    conv = causal_conv(wide[0][:, :channels], wide[1], wide[2], seq_idx=seq_idx)
    x, B, C = conv.split([inner, bc, bc], dim=-1)
    dt = torch.nn.functional.softplus(wide[0][:, channels:] + wide[3])
    want, _ = ssd_reference(
        x.view(90, SIZES["h"], SIZES["p"]),
        dt,
        wide[4],
        B.view(90, SIZES["g"], SIZES["n"]),
        C.view(90, SIZES["g"], SIZES["n"]),
        wide[5],
        cu_seqlens=cu,
    )
    assert _error(got, want) < BF16


def test_scan_keeps_segments_apart() -> None:
    cu = (0, 40, 100)
    first = [v.detach() for v in _scan_inputs(100, torch.bfloat16)]
    second = [v.clone() for v in first]
    second[0][:40] += 1.0
    a, b = _scan(first, cu), _scan(second, cu)
    assert torch.equal(a[40:], b[40:])
    assert not torch.equal(a[:40], b[:40])


def test_strong_decays_stay_finite_and_nan_is_not_hidden() -> None:
    tensors = [v.detach() for v in _scan_inputs(130, torch.bfloat16)]
    tensors[4] = tensors[4] * 1000
    assert bool(_scan(tensors, (0, 130)).isfinite().all())
    tensors[0][3, 0] = torch.nan
    assert bool(_scan(tensors, (0, 130)).isnan().any())
    x = torch.tensor([[torch.nan, 1.0]]).bfloat16()
    assert bool(pointwise.rms_norm(x, torch.ones(2), 1e-5).isnan().all())
    assert bool(pointwise.squared_relu(x).isnan().any())


def test_a_multi_segment_pack_without_segment_numbers_is_refused() -> None:
    joined, weight, bias, dt_bias, A, D = _scan_inputs(8, torch.bfloat16)
    parameters = SSMParameters(
        conv_weight=weight,
        conv_bias=bias,
        dt_bias=dt_bias,
        A=A,
        D=D,
        num_groups=2,
        state_size=16,
        chunk_size=64,
        time_step_limit=(0.0, float("inf")),
    )
    channels = weight.shape[0]
    with pytest.raises(InputError, match="no seq_idx"):
        model_scan(
            joined[:, :channels],
            joined[:, channels:],
            parameters,
            cu_seqlens=(0, 4, 8),
            seq_idx=None,
        )


def test_it_can_be_switched_off() -> None:
    code = "from nanovl.ops.native.library import status; print(*status())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"NANOVL_NATIVE": "0", "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("False switched off")


def test_no_compiler_is_a_reason_not_an_error() -> None:
    code = "from nanovl.ops.native.library import status; print(*status())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": "/nonexistent"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("False no C compiler")
