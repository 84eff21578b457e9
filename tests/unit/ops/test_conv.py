import torch
import torch.nn.functional as F

from nanovl.ops.conv import (
    causal_conv,
    causal_conv_prefill,
    causal_conv_reference,
    causal_conv_step,
)


def make(t=11, c=6, k=4):
    return torch.randn(t, c), torch.randn(c, 1, k), torch.randn(c), torch.randn(k - 1, c)


def test_equals_pytorch_depthwise_convolution():
    x, weight, bias, _ = make()
    padded = F.pad(x.t()[None], (3, 0))
    expected = F.silu(F.conv1d(padded, weight, bias, groups=6))[0].t()
    torch.testing.assert_close(causal_conv(x, weight, bias), expected, rtol=1e-5, atol=1e-5)


def test_last_tap_multiplies_the_current_token():
    x = torch.zeros(4, 1)
    x[1] = 1.0
    weight = torch.tensor([[[1.0, 2.0, 3.0, 4.0]]])
    out = causal_conv(x, weight, None)[:, 0]
    torch.testing.assert_close(out, F.silu(torch.tensor([0.0, 4.0, 3.0, 2.0])))


def test_state_is_left_context():
    x, weight, bias, state = make()
    expected = causal_conv_reference(x, weight, bias, state=state)
    torch.testing.assert_close(causal_conv(x, weight, bias, state=state), expected)


def test_segments_never_mix():
    x, weight, bias, state = make(t=12)
    seq_idx = torch.tensor([0] * 5 + [1] + [2] * 6)
    out = causal_conv(x, weight, bias, state=state, seq_idx=seq_idx)
    torch.testing.assert_close(
        out, causal_conv_reference(x, weight, bias, state=state, seq_idx=seq_idx)
    )
    torch.testing.assert_close(out[6:], causal_conv(x[6:], weight, bias))


def test_prefill_gives_the_same_rows_and_state_as_steps():
    x, weight, bias, state = make(t=9)
    full = causal_conv(x, weight, bias, state=state)
    for split in (1, 2, 3, 8):
        running = state.clone()
        first = causal_conv_prefill(x[:split], weight, bias, running).t()
        rest = [causal_conv_step(row[None], weight, bias, running[None]) for row in x[split:]]
        torch.testing.assert_close(torch.cat([first, *rest]), full, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(running, x[-3:])


def test_step_updates_the_state_in_place():
    x, weight, bias, state = make(t=2)
    states = torch.stack([state, 2 * state])
    causal_conv_step(x, weight, bias, states)
    torch.testing.assert_close(states[0], torch.cat([state[1:], x[:1]]))
    torch.testing.assert_close(states[1], torch.cat([2 * state[1:], x[1:]]))
