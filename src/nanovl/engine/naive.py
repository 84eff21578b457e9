"""The engine's referee: no cache, no batch, the whole sequence computed again for every token.

Slow on purpose. It shares choosing, forcing and stopping with the engine and nothing else, so the
two differ in where the logits come from.
"""

from __future__ import annotations

import time
from collections.abc import Sequence as Seq

import torch

from nanovl.core.generation import Generation
from nanovl.engine.runner import choose
from nanovl.engine.sequence import Codec, EngineRequest, Sequence
from nanovl.model.context import ForwardContext
from nanovl.model.vlm import VLM

__all__ = ["generate_naive"]


@torch.no_grad()
def generate_naive(
    model: VLM, codec: Codec, request: EngineRequest, stop_ids: Seq[int]
) -> Generation:
    """Answer one request without a cache."""
    sequence = Sequence(request, codec, frozenset(stop_ids))
    x = model.embed(request.load()).x
    started = time.perf_counter()
    while not sequence.is_finished:
        logits = model(x, ForwardContext.single(x.shape[0]), rows="last")
        ((token, logprob),) = choose(logits, [sequence], codec.size)
        sequence.timings.setdefault("prefill_s", time.perf_counter() - started)
        sequence.append(token, logprob)
        x = torch.cat([x, model.embed_tokens(torch.tensor([token]))])
    return sequence.generation()
