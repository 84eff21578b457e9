import pytest
import torch

from nanovl.ops.ssd import ssd_prefill, ssd_reference, ssd_scan, ssd_step

H, P, G, N = 4, 6, 2, 8


def make(t, dtype=torch.float64, scale=1.0):
    return (
        torch.randn(t, H, P, dtype=dtype),
        torch.rand(t, H, dtype=dtype) * scale,
        -torch.arange(1, H + 1, dtype=dtype),
        torch.randn(t, G, N, dtype=dtype),
        torch.randn(t, G, N, dtype=dtype),
        torch.randn(H, dtype=dtype),
    )


@pytest.mark.parametrize("t", [1, 3, 8, 23])
@pytest.mark.parametrize("chunk", [1, 4, 16])
def test_scan_equals_recurrence(t, chunk):
    args = make(t)
    initial = torch.randn(1, H, P, N, dtype=torch.float64)
    expected = ssd_reference(*args, initial_states=initial)
    got = ssd_scan(*args, chunk_size=chunk, initial_states=initial)
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


def test_segments_reset_the_state():
    args, borders = make(23), [0, 5, 6, 14, 23]
    initial = torch.randn(4, H, P, N, dtype=torch.float64)
    got = ssd_scan(*args, chunk_size=4, initial_states=initial, cu_seqlens=borders)
    expected = ssd_reference(*args, initial_states=initial, cu_seqlens=borders)
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)
    x, dt, A, B, C, D = args
    alone, state = ssd_scan(x[6:14], dt[6:14], A, B[6:14], C[6:14], D, initial_states=initial[2:3])
    torch.testing.assert_close(got[0][6:14], alone, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(got[1][2], state[0], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("t", [1, 4, 7, 23])
def test_prefill_equals_recurrence(t):
    x, dt, A, B, C, D = make(t)
    state = torch.randn(H, P, N, dtype=torch.float64)
    y, final = ssd_reference(x, dt, A, B, C, D, initial_states=state[None])
    tokens_last = [v.permute(1, 2, 0) for v in (x, B, C)]
    got = ssd_prefill(tokens_last[0], dt, A, tokens_last[1], tokens_last[2], D, state, chunk_size=4)
    torch.testing.assert_close(got, y, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(state, final[0], rtol=1e-10, atol=1e-10)


def test_steps_equal_recurrence():
    x, dt, A, B, C, D = make(9)
    expected, final = ssd_reference(x, dt, A, B, C, D)
    state = torch.zeros(1, H, P, N, dtype=torch.float64)
    rows = [
        ssd_step(x[i : i + 1], dt[i : i + 1], A, B[i : i + 1], C[i : i + 1], D, state)
        for i in range(9)
    ]
    torch.testing.assert_close(torch.cat(rows), expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(state, final, rtol=1e-10, atol=1e-10)


def test_fast_decay_makes_no_denormals_and_no_nan():
    # dt A of about -300 per token: exp underflows; the sums must stay clean.
    x, dt, A, B, C, D = make(64, torch.float32, scale=100.0)
    expected, final = ssd_reference(x, dt, A, B, C, D)
    got, state = ssd_scan(x, dt, A, B, C, D, chunk_size=16)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(state, final, rtol=1e-4, atol=1e-4)
    assert not ((state != 0) & (state.abs() < torch.finfo(torch.float32).tiny)).any()


def test_zero_step_size_neither_decays_nor_adds():
    x, dt, A, B, C, D = make(6)
    dt[3:] = 0.0
    _, final = ssd_scan(x, dt, A, B, C, D, chunk_size=4)
    _, before = ssd_reference(x[:3], dt[:3], A, B[:3], C[:3], D)
    torch.testing.assert_close(final, before, rtol=1e-10, atol=1e-10)


def test_gradients_equal_those_of_the_recurrence():
    args = [a.requires_grad_() for a in make(11)]
    ssd_reference(*args)[0].square().sum().backward()
    expected = [a.grad.clone() for a in args]
    for a in args:
        a.grad = None
    ssd_scan(*args, chunk_size=4)[0].square().sum().backward()
    for a, e in zip(args, expected, strict=True):
        torch.testing.assert_close(a.grad, e, rtol=1e-9, atol=1e-9)
