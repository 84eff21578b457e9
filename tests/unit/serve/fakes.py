"""A model's front door without a model: plans for real, answers from a script."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from types import SimpleNamespace
from typing import Any

import torch

from nanovl.core.conversation import Conversation, ToolCall
from nanovl.core.errors import CapacityError, ConfigError, InputError
from nanovl.core.events import Event, OnEvent, ignore_event
from nanovl.core.generation import (
    Delta,
    Generation,
    SamplingParams,
    Timings,
    TokenLogprob,
    Usage,
)
from nanovl.core.layout import TokenLayout
from nanovl.engine.engine import EngineStats
from nanovl.engine.messages import parse_tools
from nanovl.processing.media import Limits
from nanovl.processing.processor import Processor
from nanovl.testing import tiny_processor

SAMPLING = {f.name for f in fields(SamplingParams)}
MEDIA = {"fps", "max_frames", "max_tiles", "pruning_rate", "total_tiles"}
PLAN = {
    "reasoning",
    "tools",
    "response_format",
    "structured",
    "tool_choice",
    "cache_salt",
    "priority",
    "timeout",
    "budget_mode",
    "prompt_ids",
    "tenant",
    "parallel_tool_calls",
    "repetition_detection",
}
Script = Callable[["FakeRequest"], Iterable[Any]]


@dataclass(frozen=True, kw_only=True)
class FakeRequest:
    """What `plan` returns."""

    layout: TokenLayout
    sampling: SamplingParams
    load: Callable[[], Any] = lambda: None
    thinking: bool = False
    soft: int | None = None
    hard: int | None = None
    given: dict[str, Any] = field(default_factory=dict)


def generation(request: FakeRequest, index: int = 0, **changes: Any) -> Generation:
    """A complete answer with plausible numbers."""
    text = changes.pop("text", "Hello world")
    ids = changes.pop("token_ids", tuple(text.encode()))
    usage = Usage(
        prompt_tokens=request.layout.num_tokens,
        completion_tokens=len(ids),
        reasoning_tokens=changes.pop("reasoning_tokens", 0),
        image_tokens=sum(s.num_tokens for s in request.layout.spans if s.kind == "image"),
    )
    made = Generation(
        text=text,
        token_ids=ids,
        usage=usage,
        timings=Timings(prefill_s=0.01, ttft_s=0.02, decode_s=0.1, decode_tokens=len(ids)),
        index=index,
    )
    return replace(made, **changes)


def words(request: FakeRequest, *pieces: str, **changes: Any) -> list[Any]:
    """Every answer in these pieces, one after the other."""
    script: list[Any] = [Event(name="prompt", done=request.layout.num_tokens, unit="tokens")]
    wanted = request.sampling.logprobs
    for index in range(request.sampling.n):
        all_logprobs: tuple[TokenLogprob, ...] = ()
        for piece in pieces:
            ids = tuple(piece.encode())
            logprobs = tuple(
                TokenLogprob(token_id=i, logprob=-0.5, top=((i, -0.5), (65, -1.5)))
                for i in ids
                if wanted is not None
            )
            all_logprobs += logprobs
            script.append(Delta(index=index, text=piece, token_ids=ids, logprobs=logprobs))
        done = generation(request, index, text="".join(pieces), **changes)
        if wanted is not None:
            done = replace(done, logprobs=all_logprobs)
        if request.sampling.prompt_logprobs is not None:
            rows = tuple(
                TokenLogprob(token_id=i, logprob=-1.0, top=((65, -0.25),))
                for i in request.layout.input_ids[1:]
            )
            done = replace(done, prompt_logprobs=rows)
        script.append(Delta(index=index, finish_reason=done.finish_reason, generation=done))
    return script


def hello(request: FakeRequest) -> list[Any]:
    """Two pieces."""
    return words(request, "Hello", " world")


class FakeStream:
    """Plays a script from a thread of its own."""

    def __init__(self, request: FakeRequest, script: Iterable[Any], on_event: OnEvent) -> None:
        self.id = f"fake-{id(self)}"
        self.request = request
        self.cancelled = threading.Event()
        self.answer_now = threading.Event()
        self.done = threading.Event()
        self._script = script
        self._on_event = on_event

    def listen(self, push: Callable[[Any], None]) -> None:
        threading.Thread(target=self._play, args=(push,), daemon=True).start()

    def _play(self, push: Callable[[Any], None]) -> None:
        try:
            for item in self._script:
                if self.cancelled.is_set():
                    break
                if isinstance(item, Event):
                    self._on_event(item)
                elif isinstance(item, (int, float)):
                    self.cancelled.wait(item)
                elif callable(item):
                    item(self)
                elif isinstance(item, BaseException):
                    push(item)
                    return
                else:
                    push(item)
            push(None)
        finally:
            self.done.set()

    def cancel(self) -> None:
        self.cancelled.set()

    def end_reasoning(self) -> bool:
        self.answer_now.set()
        return True


class FakeEngine:
    """Counts, and hands out streams."""

    def __init__(self, context_length: int = 4096) -> None:
        self.context_length = context_length
        self.alive = True
        self.started = False
        self.full = False
        self.streams: list[FakeStream] = []

    def stats(self) -> Any:
        names = [f.name for f in fields(EngineStats)]
        return SimpleNamespace(**{**dict.fromkeys(names, 0), "step_sizes": {1: 2, 40: 1}})

    def start(self) -> None:
        self.started = True

    def close(self, *, drain_s: float | None = None) -> None:
        del drain_s
        self.alive = False


class FakeNanoVL:
    """Same methods as `nanovl.NanoVL`, as far as a server needs them.

    Attributes:
        planned: Arguments of all calls of `plan`.
    """

    def __init__(
        self,
        script: Script = hello,
        *,
        context_length: int = 4096,
        limits: Limits | None = None,
        transcriber: Any = None,
    ) -> None:
        self.name = "fake"
        self.script = script
        tiny = tiny_processor()
        self.processor = Processor(
            tiny.tokenizer,
            tiny.config,
            limits=limits or Limits(allow_remote=True, allowed_roots=()),
            transcriber=transcriber,
        )
        self.tokenizer = self.processor.tokenizer
        self.model = SimpleNamespace(dtype=torch.float32)
        self.engine = FakeEngine(context_length)
        self.planned: list[dict[str, Any]] = []

    def plan(self, messages: Any, **options: Any) -> FakeRequest:
        unknown = set(options) - SAMPLING - MEDIA - PLAN
        assert not unknown, f"plan() got {unknown}"
        self.planned.append({"messages": messages, **options})
        media = {k: v for k, v in options.items() if k in MEDIA}
        if (ids := options.get("prompt_ids")) is not None:
            layout = TokenLayout(input_ids=list(ids))
        else:
            assert isinstance(messages, Conversation)
            if options.get("tools"):
                messages = replace(messages, tools=parse_tools(options["tools"]))
            layout = self.processor.plan(
                messages,
                reasoning=options["reasoning"],
                keep_history_reasoning=False,
                max_length=self.engine.context_length,
                **media,
            )
        room = self.engine.context_length - layout.num_tokens
        chosen = {k: v for k, v in options.items() if k in SAMPLING}
        if options.get("response_format", {}).get("json_schema", {}).get("schema") == {"bad": 1}:
            raise ConfigError("response_format: the schema cannot be compiled")
        if chosen.get("max_tokens", 1) > room:
            raise InputError(
                f"prompt of {layout.num_tokens} tokens and max_tokens {chosen['max_tokens']} "
                f"exceed the context of {self.engine.context_length}; set max_tokens lower"
            )
        return FakeRequest(
            layout=layout,
            sampling=SamplingParams(**{"max_tokens": min(1024, room), **chosen}),
            given=options,
        )

    def submit(self, request: FakeRequest, on_event: OnEvent = ignore_event) -> FakeStream:
        if self.engine.full:
            raise CapacityError("the queue of 4 requests is full; retry later")
        stream = FakeStream(request, self.script(request), on_event)
        self.engine.streams.append(stream)
        return stream


def call(name: str, arguments: dict[str, Any]) -> ToolCall:
    """A tool call."""
    return ToolCall(name=name, arguments=arguments, id="")


def wait_for(check: Callable[[], bool], seconds: float = 5.0) -> bool:
    """Whether something becomes true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if check():
            return True
        time.sleep(0.01)
    return check()


def texts(chunks: Sequence[dict[str, Any]]) -> str:
    """Content of streamed chunks."""
    return "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"])
