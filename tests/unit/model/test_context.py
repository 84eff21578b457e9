"""What a forward pass is told, and what Mamba layers refuse."""

from dataclasses import dataclass

import pytest
import torch

from nanovl.core.errors import InputError
from nanovl.model import ssm
from nanovl.model.cache import HybridCache
from nanovl.model.context import ForwardContext, ParallelContext
from nanovl.model.ssm import SSMParameters, conv_scan
from nanovl.ops.attention import packed_attention
from nanovl.testing import tiny_config, tiny_model

H, P, G, N = 4, 2, 2, 3


@dataclass
class Half:
    """A rank that is told it holds half of the rows, but is asked about all of them."""

    asked: int = 0

    def num_rows(self, tokens):
        if tokens % 2:
            raise InputError(f"{tokens} tokens cannot be halved")
        return tokens // 2

    def attention(self, q, k, v, cu_seqlens):
        self.asked += 1
        return packed_attention(q, k, v, (0, q.shape[0]))

    def conv_scan(self, xbc, dt_raw, parameters, *, cu_seqlens, seq_idx):
        self.asked += 1
        return conv_scan(xbc, dt_raw, parameters, cu_seqlens=(0, xbc.shape[0]), seq_idx=None)


def parameters():
    channels = H * P + 2 * G * N
    return SSMParameters(
        conv_weight=torch.randn(channels, 1, 4),
        conv_bias=None,
        dt_bias=torch.zeros(H),
        A=-torch.ones(H),
        D=torch.ones(H),
        num_groups=G,
        state_size=N,
        chunk_size=4,
        time_step_limit=(0.0, float("inf")),
    )


def test_several_segments_without_numbers_are_refused():
    xbc, dt = torch.randn(6, H * P + 2 * G * N), torch.randn(6, H)
    with pytest.raises(InputError, match="2 segments but no seq_idx"):
        conv_scan(xbc, dt, parameters(), cu_seqlens=(0, 2, 6), seq_idx=None)
    with pytest.raises(InputError, match="numbers 5 tokens"):
        conv_scan(xbc, dt, parameters(), cu_seqlens=(0, 2, 6), seq_idx=torch.zeros(5))
    with pytest.raises(InputError, match="6 rows for segments that end at 7"):
        conv_scan(xbc, dt, parameters(), cu_seqlens=(0, 7), seq_idx=None)
    assert conv_scan(xbc, dt, parameters(), cu_seqlens=(0, 6), seq_idx=None).shape == (6, H, P)


@torch.no_grad()
def test_every_mamba_layer_is_told_the_segments(monkeypatch):
    seen = []
    original = ssm.causal_conv

    def watched(x, weight, bias, *, state=None, seq_idx=None):
        seen.append(seq_idx)
        return original(x, weight, bias, state=state, seq_idx=seq_idx)

    monkeypatch.setattr(ssm, "causal_conv", watched)
    model = tiny_model()
    x = model.embed_tokens(torch.arange(9))
    model(x, ForwardContext(cu_seqlens=(0, 2, 3, 9)), rows="all")
    assert len(seen) == model.config.lm.pattern.count("M") == 2
    for seq_idx in seen:
        assert seq_idx.tolist() == [0, 0, 1, 2, 2, 2, 2, 2, 2]
    assert seen[0] is seen[1]  # made once per pass


@torch.no_grad()
def test_mixers_that_look_at_other_tokens_ask_the_parallel_context():
    model = tiny_model()
    half: ParallelContext = Half()
    ctx = ForwardContext(cu_seqlens=(0, 8), parallel=half)
    assert ctx.num_tokens == 8
    assert ctx.num_rows == 4
    x = model.embed_tokens(torch.arange(4))
    logits = model(x, ctx, rows="all")
    assert half.asked == 3  # two Mamba layers and one attention layer
    torch.testing.assert_close(logits, model(x, ForwardContext.single(4), rows="all"))
    with pytest.raises(InputError, match="8 input rows for a context of 8 tokens, 4 of them here"):
        model(model.embed_tokens(torch.arange(8)), ctx, rows="all")
    with pytest.raises(InputError, match="not all on this rank"):
        model(x, ctx, rows="last")


def test_impossible_contexts_are_refused():
    with pytest.raises(InputError, match="cannot be halved"):
        ForwardContext(cu_seqlens=(0, 7), parallel=Half())
    cache = HybridCache(tiny_config().lm, 1)
    with pytest.raises(InputError, match="either parallel or cache"):
        ForwardContext(cu_seqlens=(0, 8), cache=cache, slots=(0,), parallel=Half())
