"""Statements that hold for every model and every input, each one line to use in a test.

Every function runs both sides, compares them and raises AssertionError with the place and size of
the worst difference; the functions that compare numbers return the largest difference, so that a
test can state it beside its tolerance.

Letters: t tokens, d width, v vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch

from nanovl.core.conversation import Conversation, Message
from nanovl.core.generation import Delta, Generation
from nanovl.engine.naive import generate_naive
from nanovl.engine.vlm import Messages, NanoVL
from nanovl.model.cache import HybridCache
from nanovl.model.config import VLMConfig
from nanovl.model.context import ForwardContext
from nanovl.model.vlm import VLM
from nanovl.processing.processor import Processor
from nanovl.testing.compare import assert_close, assert_same_tensors

__all__ = [
    "batched_equals_single",
    "cached_equals_full",
    "engine_equals_naive",
    "full_logits",
    "pack_equals_segments",
    "predicted_parameters",
    "predicted_visual_tokens",
    "save_load_identity",
    "streamed_equals_final",
    "training_ids_are_prompt_and_answer",
]

Ids = Sequence[int]


def _rows(model: VLM, ids: Ids) -> torch.Tensor:
    return model.embed_tokens(torch.tensor(list(ids), dtype=torch.int64))


def _cache(model: VLM, slots: int) -> HybridCache:
    return HybridCache(model.config.lm, slots, dtype=model.dtype, device=model.device)


@torch.no_grad()
def full_logits(model: VLM, ids: Ids) -> torch.Tensor:
    """Logits (t, v) of one sequence, computed in one pass without a cache: the referee."""
    return model.forward(_rows(model, ids), ForwardContext.single(len(ids)), rows="all")


@torch.no_grad()
def cached_equals_full(model: VLM, ids: Ids, splits: Sequence[int], *, atol: float = 1e-5) -> float:
    """A sequence fed in pieces through the cache gives the logits of one pass.

    Args:
        model: Model under test.
        ids: Token ids.
        splits: Lengths of the pieces; they add up to `len(ids)`. Ones are decode steps.
        atol: Bound on the difference of logits.
    """
    assert sum(splits) == len(ids), f"splits {splits} do not cover {len(ids)} ids"
    cache, parts, start = _cache(model, 1), [], 0
    for length in splits:
        x = _rows(model, ids[start : start + length])
        parts.append(model(x, ForwardContext.single(length, cache), rows="all"))
        start += length
    assert cache.lengths == [len(ids)], f"cache counts {cache.lengths}, fed {len(ids)}"
    what = f"logits of pieces {list(splits)}"
    return assert_close(torch.cat(parts), full_logits(model, ids), atol=atol, what=what)


@torch.no_grad()
def pack_equals_segments(model: VLM, segments: Sequence[Ids], *, atol: float = 1e-5) -> float:
    """Several sequences in one stream give the logits each of them gives alone."""
    borders = [0]
    for ids in segments:
        borders.append(borders[-1] + len(ids))
    stream = [i for ids in segments for i in ids]
    packed = model(_rows(model, stream), ForwardContext(cu_seqlens=tuple(borders)), rows="all")
    alone = torch.cat([full_logits(model, ids) for ids in segments])
    what = f"logits of a pack with borders {borders}"
    return assert_close(packed, alone, atol=atol, what=what)


@torch.no_grad()
def batched_equals_single(
    model: VLM, prompts: Sequence[Ids], steps: int = 4, *, atol: float = 1e-5
) -> float:
    """Sequences decoded together in slots of one cache equal each decoded alone, step by step.

    Args:
        model: Model under test.
        prompts: Token ids; prefilled in one packed pass.
        steps: Greedy steps after the prompt, all sequences at once.
        atol: Bound on the difference of logits.
    """
    slots = tuple(range(len(prompts)))
    cache = _cache(model, len(prompts))
    histories = [list(ids) for ids in prompts]
    pending = [list(ids) for ids in prompts]
    worst = 0.0
    for step in range(steps + 1):
        borders = [0]
        for ids in pending:
            borders.append(borders[-1] + len(ids))
        ctx = ForwardContext(cu_seqlens=tuple(borders), cache=cache, slots=slots)
        logits = model(_rows(model, [i for ids in pending for i in ids]), ctx, rows="last")
        alone = torch.stack([full_logits(model, ids)[-1] for ids in histories])
        worst = max(worst, assert_close(logits, alone, atol=atol, what=f"logits of step {step}"))
        pending = [[int(i)] for i in alone.argmax(-1)]
        for history, new in zip(histories, pending, strict=True):
            history += new
    return worst


def engine_equals_naive(nanovl: NanoVL, question: Messages, **options: Any) -> Generation:
    """The engine, with its cache and chunks, generates what recomputing everything generates.

    Args:
        nanovl: Under test.
        question: What `NanoVL.chat` takes; `options` too. Needs greedy or seeded sampling.

    Returns:
        The engine's answer.
    """
    fast = nanovl.chat(question, **options)
    request = nanovl.plan(question, **options)
    slow = generate_naive(nanovl.model, nanovl.tokenizer, request, tuple(nanovl.engine.stop_ids))
    assert fast.token_ids == slow.token_ids, (
        f"engine generates {fast.token_ids}, the naive loop {slow.token_ids}"
    )
    same = (fast.text, fast.reasoning, fast.finish_reason) == (
        slow.text,
        slow.reasoning,
        slow.finish_reason,
    )
    assert same, f"equal ids but different answers: {fast} and {slow}"
    return fast


def save_load_identity(
    model: VLM,
    folder: Path,
    save: Callable[[VLM, Path], object],
    load: Callable[[Path], VLM],
    ids: Ids = (3, 1, 4, 1, 5, 9, 2, 6),
) -> None:
    """What comes back from disk has the same names, bits and logits."""
    save(model, folder)
    back = load(folder)
    assert_same_tensors(back.state_dict(), model.state_dict(), what="weights after loading")
    logits, expected = full_logits(back, ids), full_logits(model, ids)
    assert torch.equal(logits, expected), "equal weights give different logits after loading"


def streamed_equals_final(deltas: Iterable[Delta]) -> Generation:
    """The pieces of a stream, joined, are the final answer; only the last piece carries it.

    Returns:
        The final answer.
    """
    pieces = list(deltas)
    assert pieces, "the stream was empty; the last piece must carry the generation"
    final = pieces[-1].generation
    assert final is not None, "the last piece carries no generation"
    early = [i for i, d in enumerate(pieces[:-1]) if d.generation or d.finish_reason]
    assert not early, f"pieces {early} of {len(pieces)} look final, only the last one may"
    assert pieces[-1].finish_reason == final.finish_reason
    text, reasoning = "".join(d.text for d in pieces), "".join(d.reasoning for d in pieces)
    assert text == final.text, f"streamed text {text!r}, final text {final.text!r}"
    assert reasoning == (final.reasoning or ""), (
        f"streamed reasoning {reasoning!r}, final reasoning {final.reasoning!r}"
    )
    ids = tuple(i for d in pieces for i in d.token_ids)
    assert ids == final.token_ids, f"streamed ids {ids}, final ids {final.token_ids}"
    return final


@torch.no_grad()
def predicted_visual_tokens(
    model: VLM, processor: Processor, conversation: Conversation, **plan: Any
) -> int:
    """The plan of a conversation, made without decoding pixels, is what the model then sees.

    Args:
        model: Model under test.
        processor: Its processor.
        conversation: With media.
        plan: Further arguments of `Processor.plan`.

    Returns:
        The number of visual tokens.
    """
    layout = processor.plan(conversation, reasoning=None, **plan)
    inputs = processor.load(layout, dtype=model.dtype)
    prompt = model.embed(inputs)
    made = int((prompt.input_ids == layout.placeholder).sum())
    assert made == layout.num_visual_tokens, (
        f"planned {layout.num_visual_tokens} visual tokens, the prompt has {made}"
    )
    assert prompt.x.shape[0] == layout.num_tokens == prompt.layout.num_tokens, (
        f"planned {layout.num_tokens} tokens, the prompt has {prompt.x.shape[0]}"
    )
    text = [i for i in layout.input_ids if i != layout.placeholder]
    after = [i for i in prompt.layout.input_ids if i != layout.placeholder]
    assert text == after, "text ids changed between planning and embedding"
    return made


def training_ids_are_prompt_and_answer(
    processor: Processor, conversation: Conversation, answer: Message
) -> None:
    """A training sample is exactly an inference prompt followed by its answer.

    Args:
        processor: Processor under test.
        conversation: Ends with a user or tool message.
        answer: The assistant's message.
    """
    thinks = bool(answer.reasoning)
    prompt = processor.plan(conversation, reasoning=thinks).input_ids
    whole = Conversation(messages=(*conversation.messages, answer), tools=conversation.tools)
    trained = processor.plan(
        whole, reasoning=None, add_generation_prompt=False, training=True
    ).input_ids
    same = next(
        (i for i, (a, b) in enumerate(zip(prompt, trained, strict=False)) if a != b),
        min(len(prompt), len(trained)),
    )
    assert same == len(prompt) < len(trained), (
        f"training ids leave the prompt of {len(prompt)} ids at position {same}: "
        f"{trained[same : same + 8]}, expected {prompt[same : same + 8]}"
    )


def predicted_parameters(config: VLMConfig) -> int:
    """The count computed from a shape is the count of the built model; nothing is allocated."""
    model = VLM(config, device="meta")
    seen = {id(p): p.numel() for p in model.parameters()}
    real = sum(seen.values())
    assert config.num_parameters == real, f"predicted {config.num_parameters}, built {real}"
    return real
