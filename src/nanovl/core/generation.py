"""How a request is to be answered, and the answer itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from nanovl.core.conversation import ToolCall
from nanovl.core.errors import ConfigError

__all__ = [
    "Delta",
    "FinishReason",
    "Generation",
    "ReasoningParams",
    "SamplingParams",
    "Timings",
    "TokenLogprob",
    "ToolCallDelta",
    "Usage",
]

FinishReason = Literal["stop", "length", "tool_calls", "cancelled"]


def _check(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigError(message)


@dataclass(frozen=True, kw_only=True)
class SamplingParams:
    """How the next token is chosen and when to stop.

    Attributes:
        temperature: 0 is greedy.
        top_k: Keep the k most likely tokens; 0 keeps all.
        top_p: Keep the smallest set whose probability reaches p; 1 keeps all.
        min_p: Drop tokens less likely than min_p times the likeliest one; 0 keeps all.
        repetition_penalty: Above 1 makes tokens already seen less likely.
        presence_penalty: Subtracted once from the logits of generated tokens, -2 to 2.
        frequency_penalty: Subtracted from them as often as they were generated, -2 to 2.
        logit_bias: Added to the logits of these ids, -100 to 100.
        seed: Makes sampling repeatable; None draws a fresh one.
        n: Answers to the same prompt.
        max_tokens: Upper bound of generated tokens, reasoning included.
        min_tokens: The answer does not end by itself before that many tokens.
        stop: Strings that end the answer; they are not part of it.
        stop_token_ids: Further ids that end it.
        include_stop: Whether the stop string that ended the answer is part of it.
        ignore_eos: Go on past the stop token (benchmarks).
        logprobs: Alternatives to report beside every generated token, 0 for the token alone; None
            reports nothing. Values are those of the model, before temperature and penalties.
        prompt_logprobs: The same for every token of the prompt.
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    seed: int | None = None
    n: int = 1
    max_tokens: int = 1024
    min_tokens: int = 0
    stop: tuple[str, ...] = ()
    stop_token_ids: tuple[int, ...] = ()
    include_stop: bool = False
    ignore_eos: bool = False
    logprobs: int | None = None
    prompt_logprobs: int | None = None

    def __post_init__(self) -> None:
        # A single string is what people pass; as a sequence it would stop at every letter.
        stop: Any = self.stop
        object.__setattr__(self, "stop", (stop,) if isinstance(stop, str) else tuple(stop))
        object.__setattr__(self, "stop_token_ids", tuple(self.stop_token_ids))
        _check(self.temperature >= 0, f"temperature {self.temperature}: expected >= 0")
        _check(self.top_k >= 0, f"top_k {self.top_k}: expected >= 0 (0 keeps all)")
        _check(0 < self.top_p <= 1, f"top_p {self.top_p}: expected in (0, 1]")
        _check(0 <= self.min_p < 1, f"min_p {self.min_p}: expected in [0, 1)")
        _check(
            self.repetition_penalty > 0,
            f"repetition_penalty {self.repetition_penalty}: expected > 0 (1 is off)",
        )
        for name in ("presence_penalty", "frequency_penalty"):
            value = getattr(self, name)
            _check(-2 <= value <= 2, f"{name} {value}: expected in [-2, 2]")
        for token, bias in self.logit_bias.items():
            _check(token >= 0, f"logit_bias: token id {token}: expected >= 0")
            _check(-100 <= bias <= 100, f"logit_bias of token {token} {bias}: expected +-100")
        _check(self.n >= 1, f"n {self.n}: expected >= 1")
        _check(self.max_tokens >= 1, f"max_tokens {self.max_tokens}: expected >= 1")
        _check(
            0 <= self.min_tokens <= self.max_tokens,
            f"min_tokens {self.min_tokens}: expected 0 to max_tokens {self.max_tokens}",
        )
        for name in ("logprobs", "prompt_logprobs"):
            value = getattr(self, name)
            _check(value is None or 0 <= value <= 20, f"{name} {value}: expected 0 to 20")
        _check(all(self.stop), "stop: an empty string would end every answer at once")


@dataclass(frozen=True, kw_only=True)
class ReasoningParams:
    """Whether the model thinks before it answers, and for how long.

    Attributes:
        mode: "off", "on", or "auto" (the `/think` and `/no_think` switches in the messages
            decide, off without one).
        budget: Reasoning tokens after which thinking is ended at the next line break; None is
            unlimited, 0 is the same as off.
        grace: Tokens allowed beyond the budget before thinking is ended anywhere.
    """

    mode: Literal["off", "on", "auto"] = "auto"
    budget: int | None = None
    grace: int = 500

    def __post_init__(self) -> None:
        _check(self.mode in ("off", "on", "auto"), f"reasoning mode {self.mode!r}: off, on or auto")
        _check(
            self.budget is None or self.budget >= 0,
            f"reasoning budget {self.budget}: expected >= 0, or None for unlimited",
        )
        _check(self.grace >= 0, f"reasoning grace {self.grace}: expected >= 0")
        _check(
            self.budget is None or self.mode != "off",
            f"reasoning budget {self.budget} with reasoning off; turn it on or drop the budget",
        )


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Tokens of one request. `completion_tokens` includes reasoning and forced tokens."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    cached_tokens: int = 0
    image_tokens: int = 0
    video_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Prompt and completion together."""
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, kw_only=True)
class Timings:
    """Wall-clock seconds of one request.

    Attributes:
        queue_s: Waiting for a slot.
        media_s: Opening, decoding and resizing media.
        encode_s: Vision encoder, projector and pruning.
        prefill_s: Language model over the prompt.
        ttft_s: From the call to the first generated token.
        decode_s: From the first generated token to the last.
        prefill_tokens, decode_tokens: What those phases processed.
    """

    queue_s: float = 0.0
    media_s: float = 0.0
    encode_s: float = 0.0
    prefill_s: float = 0.0
    ttft_s: float = 0.0
    decode_s: float = 0.0
    prefill_tokens: int = 0
    decode_tokens: int = 0

    @property
    def prefill_tokens_per_s(self) -> float:
        """Prompt tokens per second of the language model."""
        return self.prefill_tokens / self.prefill_s if self.prefill_s > 0 else 0.0

    @property
    def decode_tokens_per_s(self) -> float:
        """Generated tokens per second after the first one."""
        return self.decode_tokens / self.decode_s if self.decode_s > 0 else 0.0


@dataclass(frozen=True, kw_only=True)
class TokenLogprob:
    """How likely the model found a token.

    Attributes:
        token_id: The token.
        logprob: Natural logarithm of its probability.
        top: Likeliest ids and their logarithms, likeliest first.
        reasoning: Whether it belongs to the reasoning.
    """

    token_id: int
    logprob: float
    top: tuple[tuple[int, float], ...] = ()
    reasoning: bool = False


@dataclass(frozen=True, kw_only=True)
class ToolCallDelta:
    """A piece of a tool call that is being written.

    Attributes:
        index: Number of the call within the answer.
        name: Name of the tool, on the first piece of a call only.
        id: Names the call, on its first piece only.
        arguments: Next piece of the arguments as JSON text; all pieces together are valid JSON.
    """

    index: int
    name: str | None = None
    id: str | None = None
    arguments: str = ""


@dataclass(frozen=True, kw_only=True)
class Delta:
    """A piece of a streamed answer.

    Attributes:
        index: Which of `n` answers it belongs to.
        text: New answer text.
        reasoning: New reasoning text.
        tool_calls: New pieces of tool calls.
        token_ids: Ids that arrived with this piece (text may lag behind them).
        logprobs: Of these ids, where asked for.
        finish_reason: Set on the last piece only, with `generation`.
        generation: The complete result, on the last piece only.
    """

    index: int = 0
    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCallDelta, ...] = ()
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    finish_reason: FinishReason | None = None
    generation: Generation | None = None


@dataclass(frozen=True, kw_only=True)
class Generation:
    """A complete answer.

    Attributes:
        text: The answer, without reasoning and tool calls.
        reasoning: What was thought, or None when reasoning was off.
        tool_calls: Parsed calls.
        token_ids: All generated ids, the stop token included if one was generated.
        finish_reason: "stop", "length", "tool_calls", or "cancelled" by who asked.
        stop_reason: The stop string or token id that matched.
        media: Per media item what was done with it (size, tiles, frames, tokens, clamping).
        index: Which of `n` answers it is.
        logprobs: Of `token_ids`; None where not asked for.
        prompt_logprobs: Of the tokens of the prompt, the first one left out.
    """

    text: str
    reasoning: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    token_ids: tuple[int, ...] = ()
    finish_reason: FinishReason = "stop"
    stop_reason: str | int | None = None
    usage: Usage = field(default_factory=Usage)
    timings: Timings = field(default_factory=Timings)
    media: tuple[Mapping[str, Any], ...] = ()
    index: int = 0
    logprobs: tuple[TokenLogprob, ...] | None = None
    prompt_logprobs: tuple[TokenLogprob, ...] | None = None
