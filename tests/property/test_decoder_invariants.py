"""Invariants of the decoder on random shapes: any chunking, any packing."""

import itertools

import torch
from hypothesis import given, settings, strategies as st

from nanovl.model.cache import HybridCache
from nanovl.model.config import LMConfig
from nanovl.model.context import ForwardContext
from nanovl.model.lm import HybridLM


@st.composite
def decoders(draw):
    groups = draw(st.sampled_from([1, 2]))
    kv_heads = draw(st.sampled_from([1, 2]))
    config = LMConfig(
        vocab_size=24,
        hidden_size=8,
        pattern=draw(st.text("M*-", min_size=1, max_size=4)),
        num_heads=kv_heads * draw(st.sampled_from([1, 3])),
        num_kv_heads=kv_heads,
        head_dim=4,
        intermediate_size=12,
        mamba_num_heads=groups * draw(st.sampled_from([1, 2])),
        mamba_head_dim=draw(st.sampled_from([2, 5])),
        ssm_state_size=draw(st.sampled_from([3, 4])),
        num_groups=groups,
        conv_kernel=draw(st.sampled_from([2, 4])),
        chunk_size=draw(st.sampled_from([1, 2, 4, 7])),
    )
    model = HybridLM(config)
    model.initialize(torch.Generator().manual_seed(draw(st.integers(0, 99))))
    return model.double().eval()


lengths = st.lists(st.integers(1, 9), min_size=1, max_size=5)


def embeddings(model, tokens):
    generator = torch.Generator().manual_seed(tokens)
    return torch.randn(tokens, model.config.hidden_size, dtype=torch.float64, generator=generator)


@given(decoders(), lengths)
@settings(max_examples=40, deadline=None)
def test_any_chunking_gives_the_same_logits(model, splits):
    total = sum(splits)
    x = embeddings(model, total)
    with torch.no_grad():
        full = model(x, ForwardContext.single(total), rows="all")
        cache = HybridCache(model.config, 2, dtype=torch.float64)
        at, parts = 0, []
        for length in splits:
            ctx = ForwardContext.single(length, cache, 1)
            parts.append(model(x[at : at + length], ctx, rows="all"))
            at += length
    torch.testing.assert_close(torch.cat(parts), full, rtol=1e-9, atol=1e-9)


@given(decoders(), lengths)
@settings(max_examples=40, deadline=None)
def test_a_pack_equals_its_segments_alone_with_gradients(model, segments):
    borders = [0]
    for length in segments:
        borders.append(borders[-1] + length)
    x = embeddings(model, borders[-1])
    packed_in = x.clone().requires_grad_()
    packed = model(packed_in, ForwardContext(cu_seqlens=tuple(borders)), rows="all")
    packed.square().sum().backward()
    for a, b in itertools.pairwise(borders):
        alone_in = x[a:b].clone().requires_grad_()
        alone = model(alone_in, ForwardContext.single(b - a), rows="all")
        alone.square().sum().backward()
        torch.testing.assert_close(packed[a:b], alone, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(packed_in.grad[a:b], alone_in.grad, rtol=1e-8, atol=1e-8)
