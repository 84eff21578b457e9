"""Generations in OpenAI's words: usage, timings, log-probabilities, tool calls, finish reasons.

Pieces that the chat, completion and responses routes share. Plain functions from results to JSON
values; knows no requests and no HTTP.

Source: serving specification, sections 3.3, 5.1 and 5.3.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from nanovl.core.conversation import ToolCall
from nanovl.core.generation import Generation, Timings, TokenLogprob

__all__ = [
    "Codec",
    "arguments_text",
    "chat_logprobs",
    "completion_logprobs",
    "finish_reason",
    "prompt_logprobs",
    "timings_json",
    "token_text",
    "tool_call_json",
    "usage_json",
]

# What JSON gets instead of minus infinity.
LOWEST = -9999.0


class Codec(Protocol):
    """What is needed of a tokenizer."""

    @property
    def size(self) -> int:
        """Ids there are."""

    def encode(self, text: str) -> list[int]:
        """Ids of plain text."""

    def decode(self, ids: Iterable[int], *, skip_control: bool = True) -> str:
        """Text of ids."""

    def decode_bytes(self, ids: Iterable[int], *, skip_control: bool = True) -> bytes:
        """Bytes of ids."""


def usage_json(
    generations: Sequence[Generation],
    *,
    prompt_tokens: int | None = None,
    completion_tokens: int | None = None,
) -> dict[str, Any]:
    """Tokens of a request; completions are summed over its answers.

    Args:
        generations: What is complete.
        prompt_tokens: Known before anything is complete.
        completion_tokens: So far, while the answer is being streamed.
    """
    first = generations[0].usage if generations else None
    prompt = first.prompt_tokens if first else prompt_tokens or 0
    done = sum(g.usage.completion_tokens for g in generations)
    completion = done if completion_tokens is None else completion_tokens
    media = {"image": first.image_tokens, "video": first.video_tokens} if first else {}
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {
            "cached_tokens": first.cached_tokens if first else 0,
            "multimodal_tokens": {kind: n for kind, n in media.items() if n},
        },
        "completion_tokens_details": {
            "reasoning_tokens": sum(g.usage.reasoning_tokens for g in generations)
        },
    }


def timings_json(timings: Timings) -> dict[str, float]:
    """Milliseconds per phase, and speed."""
    return {
        "queue_ms": round(timings.queue_s * 1000, 3),
        "media_ms": round(timings.media_s * 1000, 3),
        "encode_ms": round(timings.encode_s * 1000, 3),
        "prefill_ms": round(timings.prefill_s * 1000, 3),
        "ttft_ms": round(timings.ttft_s * 1000, 3),
        "decode_tok_s": round(timings.decode_tokens_per_s, 3),
    }


def finish_reason(generation: Generation, *, named_tool: bool = False) -> str:
    """Why an answer ended; a call of a named tool counts as an ordinary end."""
    if generation.finish_reason == "tool_calls" and named_tool:
        return "stop"
    return "length" if generation.finish_reason == "cancelled" else generation.finish_reason


def arguments_text(call: ToolCall) -> str:
    """Arguments as JSON text; strings go through as they are."""
    if isinstance(call.arguments, str):
        return call.arguments
    return json.dumps(dict(call.arguments), ensure_ascii=False)


def tool_call_json(call: ToolCall, call_id: str) -> dict[str, Any]:
    """A complete tool call."""
    return {
        "id": call_id,
        "type": "function",
        "function": {"name": call.name, "arguments": arguments_text(call)},
    }


def token_text(token_id: int, codec: Codec, *, as_id: bool = False) -> str:
    """A token as text, or as `token_id:123`."""
    return f"token_id:{token_id}" if as_id else codec.decode((token_id,), skip_control=False)


def chat_logprobs(
    logprobs: Iterable[TokenLogprob],
    codec: Codec,
    *,
    top: int = 0,
    as_ids: bool = False,
    hide_reasoning: bool = False,
) -> dict[str, Any]:
    """Log-probabilities of a chat answer.

    Args:
        logprobs: One per token.
        codec: Tokenizer.
        top: Alternatives to list.
        as_ids: Tokens as `token_id:123`.
        hide_reasoning: Leave out tokens of the reasoning.
    """

    def entry(token_id: int, value: float) -> dict[str, Any]:
        data = codec.decode_bytes((token_id,), skip_control=False)
        return {
            "token": token_text(token_id, codec, as_id=as_ids),
            "logprob": max(value, LOWEST),
            "bytes": list(data),
        }

    return {
        "content": [
            {
                **entry(item.token_id, item.logprob),
                "top_logprobs": [entry(i, value) for i, value in item.top[:top]],
            }
            for item in logprobs
            if not (hide_reasoning and item.reasoning)
        ],
        "refusal": None,
    }


def completion_logprobs(
    logprobs: Iterable[TokenLogprob], codec: Codec, *, start: int = 0, as_ids: bool = False
) -> dict[str, Any]:
    """Log-probabilities of `/v1/completions`, in its older shape.

    Args:
        logprobs: One per token.
        codec: Tokenizer.
        start: Characters before the first token.
        as_ids: Tokens as `token_id:123`.
    """
    result: dict[str, list[Any]] = {
        "tokens": [],
        "token_logprobs": [],
        "top_logprobs": [],
        "text_offset": [],
    }
    at = start
    for item in logprobs:
        text = token_text(item.token_id, codec, as_id=as_ids)
        result["tokens"].append(text)
        result["token_logprobs"].append(max(item.logprob, LOWEST))
        result["top_logprobs"].append(
            {token_text(i, codec, as_id=as_ids): max(value, LOWEST) for i, value in item.top}
        )
        result["text_offset"].append(at)
        at += len(codec.decode((item.token_id,)))
    return result


def prompt_logprobs(
    logprobs: Iterable[TokenLogprob], codec: Codec
) -> list[Mapping[str, Any] | None]:
    """Log-probabilities of the prompt, in vLLM's shape; the first token has none."""
    rows: list[Mapping[str, Any] | None] = [None]
    for item in logprobs:
        row: dict[str, Any] = {}
        for rank, (token_id, value) in enumerate(item.top, start=1):
            row[str(token_id)] = _prompt_entry(token_id, value, rank, codec)
        if str(item.token_id) not in row:
            row[str(item.token_id)] = _prompt_entry(item.token_id, item.logprob, None, codec)
        rows.append(row)
    return rows


def _prompt_entry(token_id: int, value: float, rank: int | None, codec: Codec) -> dict[str, Any]:
    return {
        "logprob": max(value, LOWEST),
        "rank": rank,
        "decoded_token": token_text(token_id, codec),
    }
