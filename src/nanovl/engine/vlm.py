"""The front door: load a model, ask it something.

    model = load()
    print(model.chat("What is the total?", files=["receipt.png"]).text)

Turns what a caller holds (a string, message dicts, a `Conversation`, files) into requests for the
engine and fills in the defaults of the report: reasoning off is greedy with up to 1,024 tokens,
reasoning on samples at temperature 0.6 and top-p 0.95 with up to 16,384.

Source: model specification, section 8.3; serving specification, sections 2 and 4.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Literal

from nanovl.checkpoint.build import check_quant, load_model
from nanovl.checkpoint.names import resolve
from nanovl.checkpoint.side_files import stop_ids
from nanovl.core.config import from_dict, nearest
from nanovl.core.conversation import Conversation, Message
from nanovl.core.device import choose_device, choose_dtype
from nanovl.core.errors import ConfigError, InputError
from nanovl.core.events import OnEvent, ignore_event
from nanovl.core.generation import Delta, Generation, ReasoningParams, SamplingParams
from nanovl.core.layout import TokenLayout
from nanovl.engine.constraint import compile_constraint, request_constraint
from nanovl.engine.engine import Engine, check_counts
from nanovl.engine.messages import parse_messages, parse_tools
from nanovl.engine.reasoning import budget_limits, ends_thinking
from nanovl.engine.repetition import from_repetition_detection
from nanovl.engine.sequence import EngineRequest
from nanovl.engine.stream import Stream
from nanovl.model.vlm import VLM
from nanovl.ops.sampling import check_token_ids
from nanovl.processing.attachments import attach
from nanovl.processing.media import Limits
from nanovl.processing.processor import Processor, TokenCount
from nanovl.processing.speech import Transcriber, make_transcriber
from nanovl.processing.vocab import TURN

__all__ = ["Messages", "NanoVL", "Reasoning", "check_settings", "load"]

Messages = str | Conversation | Sequence[Mapping[str, Any]]
Reasoning = Literal["off", "on", "auto"] | bool | ReasoningParams

REPORT_OFF = SamplingParams(temperature=0.0, max_tokens=1024)
REPORT_ON = SamplingParams(temperature=0.6, top_p=0.95, max_tokens=16384)

ENGINE_SETTINGS = frozenset(
    {"kv_tokens", "max_queued", "max_queued_tokens", "media_cache_gib", "state_cache_gib"}
)
_SAMPLING_FIELDS = frozenset(f.name for f in fields(SamplingParams))
_MEDIA_FIELDS = frozenset(
    {"fps", "max_frames", "max_tiles", "pruning_rate", "total_tiles", "use_thumbnail"}
)


def load(
    name_or_path: str | Path = "mini",
    device: str = "auto",
    dtype: str = "auto",
    quant: str | None = None,
    *,
    context_length: int | None = None,
    max_slots: int = 16,
    prefill_chunk: int = 512,
    emulate_activation: bool = False,
    limits: Limits | None = None,
    transcriber: Transcriber | str | None = None,
    on_event: OnEvent = ignore_event,
    **engine: Any,
) -> NanoVL:
    """Load a model that answers questions.

    Args:
        name_or_path: "mini" (shipped with the package), a checkpoint folder, or a hub repository.
        device: "auto", "cpu", "cuda" or "cuda:1".
        dtype: "auto", "bfloat16", "float32" or "float16".
        quant: How weights are kept: None chooses, "stored" keeps what the files hold, "bf16",
            "int8" and "int4" convert while loading.
        context_length: Longest prompt and answer together; None takes the model's.
        max_slots: Sequences in work at once.
        prefill_chunk: Prompt tokens per forward pass.
        emulate_activation: Parity mode of quantized checkpoints.
        limits: What media is accepted; None takes local files and nothing from the network.
        transcriber: Speech recognition for audio and the sound of videos: an object, or a setting
            such as "whisper" (see `nanovl.processing.speech.make_transcriber`).
        on_event: Told about the progress of loading.
        **engine: Further settings of `nanovl.engine.engine.Engine`: `kv_tokens`, `max_queued`, ...

    Raises:
        ConfigError: A setting that does not exist or is out of range.
        CheckpointError: Unknown name, or files that are missing, damaged or do not fit.
        BackendError: The device is not there.
        CapacityError: Not enough memory.
    """
    # What may be wrong comes before the slow part.
    check_counts(context_length=context_length, max_slots=max_slots, prefill_chunk=prefill_chunk)
    for name in engine:
        if name not in ENGINE_SETTINGS:
            raise ConfigError(f"unknown setting {name!r}{nearest(name, ENGINE_SETTINGS)}")
    if isinstance(transcriber, str):
        transcriber = make_transcriber(transcriber)
    check_quant(quant, emulate_activation)  # before a download
    choose_dtype(dtype, choose_device(device))
    folder = resolve(name_or_path, on_event=on_event)
    model, processor = load_model(
        folder,
        device=device,
        dtype=dtype,
        quant=quant,
        emulate_activation=emulate_activation,
        on_event=on_event,
    )
    if limits is not None or transcriber is not None:
        processor = Processor(
            processor.tokenizer, processor.config, limits=limits, transcriber=transcriber
        )
    return NanoVL(
        model,
        processor,
        name=str(name_or_path),
        stop_ids=stop_ids(folder, processor.tokenizer),
        context_length=context_length,
        max_slots=max_slots,
        prefill_chunk=prefill_chunk,
        **engine,
    )


class NanoVL:
    """A model with its processor, ready to answer.

    Args:
        model: Network.
        processor: Its input pipeline.
        name: What it was loaded from.
        stop_ids: Ids that end an answer besides the tokenizer's.
        context_length, max_slots, prefill_chunk: See `load`.
        **engine: Further settings of `Engine`.
    """

    def __init__(
        self,
        model: VLM,
        processor: Processor,
        *,
        name: str = "model",
        stop_ids: Sequence[int] = (),
        context_length: int | None = None,
        max_slots: int = 16,
        prefill_chunk: int = 512,
        **engine: Any,
    ) -> None:
        self.model = model.eval()
        self.processor = processor
        self.tokenizer = processor.tokenizer
        self.name = name
        self.engine = Engine(
            model,
            self.tokenizer,
            stop_ids=(*self.tokenizer.eos_ids, *stop_ids),
            context_length=context_length,
            max_slots=max_slots,
            prefill_chunk=prefill_chunk,
            turn_ids=(self.tokenizer.token_id(TURN),),
            **engine,
        )

    def chat(
        self,
        messages: Messages,
        files: Sequence[Any] = (),
        *,
        system: str | None = None,
        reasoning: Reasoning = "off",
        reasoning_budget: int | None = None,
        tools: Sequence[Mapping[str, Any]] | None = None,
        tool_choice: str | Mapping[str, Any] | None = None,
        response_format: Mapping[str, Any] | None = None,
        structured: Mapping[str, Any] | None = None,
        sampling: SamplingParams | None = None,
        on_event: OnEvent = ignore_event,
        **overrides: Any,
    ) -> Generation:
        """Answer one request.

        Args:
            messages: A question, a list of OpenAI-style message dicts, or a `Conversation`.
            files: Pictures, PDFs, videos, sound or text for the last user message: paths, URLs,
                bytes, PIL images, arrays or parts.
            system: System text, when `messages` has none.
            reasoning: "off", "on", or "auto" (`/think` and `/no_think` in the messages decide).
            reasoning_budget: Reasoning tokens after which thinking is ended; 0 is off.
            tools: Function descriptions the model may call.
            tool_choice: "auto", "none", "required", or the one to call as
                `{"type": "function", "function": {"name": ...}}`.
            response_format: What the answer has to look like: `{"type": "json_object"}` or
                `{"type": "json_schema", "json_schema": {"schema": ...}}`.
            structured: The same by one of `json`, `regex`, `choice`, `grammar`, `json_object`.
            sampling: How to choose tokens; None takes the report's settings.
            on_event: Told about the progress of long prompts.
            **overrides: Single fields of `SamplingParams` (`max_tokens=200`, `temperature=0.2`,
                `seed=1` ...) and of media handling (`max_tiles`, `total_tiles`, `use_thumbnail`,
                `fps`, `max_frames`, `pruning_rate`).

        Raises:
            InputError: Messages or media that cannot be used, or too long for the context.
            ConfigError: An unknown or contradictory setting.
            CapacityError: No free slot or no memory.
        """
        request = self.plan(
            messages,
            files,
            system=system,
            reasoning=reasoning,
            reasoning_budget=reasoning_budget,
            tools=tools,
            tool_choice=tool_choice,
            response_format=response_format,
            structured=structured,
            sampling=sampling,
            **overrides,
        )
        return self._answer([request], on_event)[0]

    def stream(
        self,
        messages: Messages,
        files: Sequence[Any] = (),
        *,
        on_event: OnEvent = ignore_event,
        **options: Any,
    ) -> Generator[Delta, None, None]:
        """Answer one request piece by piece; arguments and errors as for `chat`.

        The request is checked at once, the work begins with the first piece, and closing the
        iterator ends it. The last piece carries the complete generation.
        """
        request = self.plan(messages, files, **options)
        return self._deltas(request, on_event)

    def batch(
        self,
        requests: Sequence[Messages | Mapping[str, Any]],
        *,
        on_event: OnEvent = ignore_event,
        **options: Any,
    ) -> list[Generation]:
        """Answer several requests together, decoding them in one batch.

        Args:
            requests: Each what `chat` takes as `messages`, or a mapping of arguments of `chat`.
            on_event: Told about the progress of long prompts.
            **options: Arguments of `chat` for all requests that do not say otherwise.

        Returns:
            One generation per request, in order.
        """
        planned = []
        for index, request in enumerate(requests):
            given = dict(request) if isinstance(request, Mapping) else {"messages": request}
            if "messages" not in given:
                raise InputError(f"requests[{index}]: no messages among {', '.join(given)}")
            planned.append(self.plan(**{**options, **given}))
        return self._answer(planned, on_event)

    def count_tokens(
        self,
        messages: Messages,
        files: Sequence[Any] = (),
        *,
        system: str | None = None,
        reasoning: Reasoning = "off",
        tools: Sequence[Mapping[str, Any]] | None = None,
        **overrides: Any,
    ) -> TokenCount:
        """Tokens a prompt would have, by part; decodes no pixels and runs no model."""
        conversation = self.conversation(messages, files, system=system, tools=tools)
        _, media = _split_overrides(overrides)
        return self.processor.count_tokens(
            conversation,
            reasoning=_reasoning(reasoning, None),
            keep_history_reasoning=False,
            **media,
        )

    def conversation(
        self,
        messages: Messages,
        files: Sequence[Any] = (),
        *,
        system: str | None = None,
        tools: Sequence[Mapping[str, Any]] | None = None,
    ) -> Conversation:
        """What `chat` makes of its arguments before it plans a prompt."""
        if isinstance(messages, str):
            result = Conversation.user(messages)
        elif isinstance(messages, Conversation):
            result = messages
        else:
            result = parse_messages(messages)
        if tools is not None:
            result = replace(result, tools=parse_tools(tools))
        if system is not None:
            if any(m.role == "system" for m in result.messages):
                raise InputError("system text given twice: as argument and among the messages")
            first = Message.text("system", system)
            result = replace(result, messages=(first, *result.messages))
        return _with_files(result, [attach(f, limits=self.processor.limits) for f in files])

    def plan(
        self,
        messages: Messages,
        files: Sequence[Any] = (),
        *,
        system: str | None = None,
        reasoning: Reasoning = "off",
        reasoning_budget: int | None = None,
        tools: Sequence[Mapping[str, Any]] | None = None,
        tool_choice: str | Mapping[str, Any] | None = None,
        parallel_tool_calls: bool = True,
        response_format: Mapping[str, Any] | None = None,
        structured: Mapping[str, Any] | None = None,
        budget_mode: Literal["newline", "hard"] = "newline",
        repetition_detection: Any = None,
        prompt_ids: Sequence[int] | None = None,
        sampling: SamplingParams | None = None,
        cache_salt: str = "",
        tenant: str = "",
        priority: int = 0,
        timeout: float | None = None,
        **overrides: Any,
    ) -> EngineRequest:
        """Check a request and lay out its prompt, without decoding pixels.

        Args:
            messages, files, system, reasoning, reasoning_budget, tools, tool_choice,
                response_format, structured, sampling, **overrides: See `chat`.
            parallel_tool_calls: Whether a call that is required may come with others.
            budget_mode: "hard" ends thinking at the budget, not at the next line break.
            repetition_detection: False, or settings of loops that end an answer.
            prompt_ids: The prompt itself, in place of messages.
            cache_salt: Only requests with the same one share what is kept of prompts.
            tenant: Tenants take turns.
            priority: Lower ones go first.
            timeout: Seconds from now after which the answer ends where it is.

        Raises:
            InputError: Messages or media that cannot be used, or too long for the context.
            ConfigError: An unknown or contradictory setting.
        """
        called_at = time.perf_counter()
        chosen, media = _split_overrides(overrides)
        params = _reasoning(reasoning, reasoning_budget)
        spec = request_constraint(
            response_format=response_format,
            structured=structured,
            tool_choice=tool_choice,
            tools=tools,
            parallel=parallel_tool_calls,
        )
        if prompt_ids is None:
            offered = None if tool_choice == "none" else tools
            conversation = self.conversation(messages, files, system=system, tools=offered)
            layout = self.processor.plan(
                conversation,
                reasoning=params,
                keep_history_reasoning=False,
                max_length=self.engine.context_length,
                **media,
            )
        else:
            conversation = None
            layout = TokenLayout(input_ids=list(prompt_ids), placeholder=self.tokenizer.image_id)
        room = self.engine.room(layout)
        thinking = ends_thinking(self.tokenizer.decode(layout.input_ids[-32:]))
        given = sampling is not None or "max_tokens" in chosen
        sampling = _sampling(sampling or (REPORT_ON if thinking else REPORT_OFF), chosen)
        check_token_ids(sampling, self.tokenizer.size)
        if not given:
            sampling = replace(sampling, max_tokens=min(sampling.max_tokens, room))
        elif sampling.max_tokens > room:
            raise InputError(
                f"prompt of {layout.num_tokens} tokens and max_tokens {sampling.max_tokens} exceed "
                f"the context of {self.engine.context_length}; set max_tokens to at most {room}, "
                "or leave it out"
            )
        soft, hard = budget_limits(params, sampling.max_tokens if given else None, mode=budget_mode)
        return EngineRequest(
            layout=layout,
            load=lambda: self.processor.load(layout, dtype=self.model.dtype),
            sampling=sampling,
            thinking=thinking,
            soft=soft,
            hard=hard,
            tools=conversation is not None and bool(conversation.tools),
            called_at=called_at,
            names=self.processor.fingerprints(layout),
            cache_salt=cache_salt,
            tenant=tenant,
            priority=priority,
            constraint=None if spec is None else compile_constraint(spec, self.tokenizer),
            repetition=from_repetition_detection(repetition_detection),
            deadline=None if timeout is None else called_at + timeout,
        )

    def submit(self, request: EngineRequest, on_event: OnEvent = ignore_event) -> Stream:
        """Queue a planned request and return its stream; see `Engine.submit`."""
        return self.engine.submit(request, on_event)

    def _deltas(self, request: EngineRequest, on_event: OnEvent) -> Generator[Delta, None, None]:
        with closing(self.engine.run([request], on_event)) as pieces:
            for _, delta in pieces:
                yield delta

    def _answer(self, requests: Sequence[EngineRequest], on_event: OnEvent) -> list[Generation]:
        done = {
            index: delta.generation
            for index, delta in self.engine.run(requests, on_event)
            if delta.generation is not None
        }
        return [done[index] for index in range(len(requests))]


def check_settings(settings: Mapping[str, Any]) -> None:
    """Refuse overrides that `NanoVL.chat` would refuse; needs no model.

    Args:
        settings: Overrides; "reasoning" may be among them.

    Raises:
        ConfigError: An unknown setting, or a value of the wrong type or range.
    """
    chosen, _ = _split_overrides({k: v for k, v in settings.items() if k != "reasoning"})
    _sampling(REPORT_OFF, chosen)


def _sampling(defaults: SamplingParams, chosen: Mapping[str, Any]) -> SamplingParams:
    """Through the strict reader, so that a value of the wrong type is named."""
    return from_dict(SamplingParams, {**vars(defaults), **chosen}, where="sampling")


def _reasoning(reasoning: Reasoning, budget: int | None) -> ReasoningParams:
    """One object for the ways to say it; a budget of 0 is off."""
    if isinstance(reasoning, ReasoningParams):
        if budget is not None:
            raise ConfigError(f"reasoning_budget {budget} given beside ReasoningParams; use one")
        return reasoning
    if isinstance(reasoning, bool):
        reasoning = "on" if reasoning else "off"
    if budget == 0:
        return ReasoningParams(mode="off")
    return ReasoningParams(mode=reasoning, budget=budget)


def _split_overrides(overrides: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Fields of `SamplingParams`, and arguments of `Processor.plan`."""
    known = _SAMPLING_FIELDS | _MEDIA_FIELDS
    for name in overrides:
        if name not in known:
            raise ConfigError(f"unknown setting {name!r}{nearest(name, known)}")
    sampling = {k: v for k, v in overrides.items() if k in _SAMPLING_FIELDS}
    if isinstance(sampling.get("stop"), str):
        sampling["stop"] = (sampling["stop"],)
    media = {k: v for k, v in overrides.items() if k in _MEDIA_FIELDS}
    return sampling, {"pruning_rate": "auto", **media}


def _with_files(conversation: Conversation, parts: Sequence[Any]) -> Conversation:
    """Put parts in front of the last user message."""
    if not parts:
        return conversation
    messages = list(conversation.messages)
    last = next((i for i in reversed(range(len(messages))) if messages[i].role == "user"), None)
    if last is None:
        raise InputError("files given, but no user message to attach them to")
    messages[last] = replace(messages[last], parts=(*parts, *messages[last].parts))
    return replace(conversation, messages=tuple(messages))
