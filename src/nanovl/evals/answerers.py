"""A loaded model answers the requests of a run, decoded in batches through the engine.

Turns a prompt into a conversation and a mode into sampling and budget; a question that fails ends
alone, the others of its batch are answered all the same. Endpoints are asked by
`nanovl.evals.endpoint`; nothing is stored here.

Source: evaluation specification, sections 2.1 to 2.4 and 11.2.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nanovl.core.conversation import (
    AudioPart,
    Conversation,
    DocumentPart,
    ImagePart,
    MediaRef,
    Message,
    Part,
    TextPart,
    VideoPart,
)
from nanovl.core.errors import ConfigError, InputError
from nanovl.core.events import OnEvent, ignore_event
from nanovl.core.generation import Generation, ReasoningParams
from nanovl.evals.base import Medium
from nanovl.evals.requests import Answered, Identity, Prompt, Request, failure_of, response_of

if TYPE_CHECKING:
    from nanovl.engine.sequence import EngineRequest
    from nanovl.engine.vlm import NanoVL

__all__ = ["ModelAnswerer", "conversation_of", "fingerprint"]

CLOSE_TAG = "</think>"
_PLACEHOLDERS = {"image": "<image>", "video": "<video>"}
_ELEMENTS = 64
_PLANNED = ("max_tiles", "total_tiles", "fps", "max_frames", "pruning_rate")


class ModelAnswerer:
    """Answers requests with a model in this process.

    Args:
        model: From `nanovl.load`.
        name: What to call it; None takes the name it was loaded by.
        precision: Number format of its weights, part of the identity: "bf16", "int8", "nvfp4".
        group: Requests planned and decoded together; None takes eight times the engine's slots.
        on_event: Told about the progress of long prompts.
    """

    def __init__(
        self,
        model: NanoVL,
        *,
        name: str | None = None,
        precision: str = "",
        group: int | None = None,
        on_event: OnEvent = ignore_event,
    ) -> None:
        if group is not None and group < 1:
            raise ConfigError(f"group {group}: expected at least 1")
        self.model = model
        self.group = group or 8 * model.engine.max_slots
        self._name = name or model.name
        self._precision = precision
        self._on_event = on_event
        self._weights = ""
        self._by_image_mode: dict[str, NanoVL] = {}

    @property
    def identity(self) -> Identity:
        """The model with a hash of its weights."""
        if not self._weights:
            self._weights = fingerprint(self.model.model.state_dict())
        config = self.model.processor.config
        facts = {
            "kind": "loaded",
            "precision": self._precision or str(self.model.model.dtype).removeprefix("torch."),
            "device": str(self.model.model.device),
            "max_num_tiles": config.max_num_tiles,
            "image_mode": config.mode,
            "video_pruning_rate": config.video_pruning_rate,
            "context_length": self.model.engine.context_length,
        }
        return Identity(name=self._name, weights=self._weights, facts=facts)

    def answer(self, requests: Iterable[Request], stop: threading.Event) -> Iterator[Answered]:
        """See `Answerer`; a stop is obeyed after the next token."""
        source = iter(requests)
        while not stop.is_set() and (group := list(islice(source, self.group))):
            yield from self._answer_group(group, stop)

    def plan(self, request: Request) -> EngineRequest:
        """A request as the engine takes it.

        Answers are as long as the mode says, or as the context leaves room for.

        Raises:
            NanoVLError: The prompt cannot be laid out.
        """
        model = self._model_for(request.setting.options)
        mode = request.setting.mode
        options = {n: v for n, v in request.setting.options.items() if n in _PLANNED}
        planned = model.plan(
            conversation_of(request.prompt, request.system),
            reasoning=ReasoningParams(mode=mode.reasoning, budget=mode.budget, grace=mode.grace),
            temperature=request.sampling.temperature,
            top_p=request.sampling.top_p,
            top_k=request.sampling.top_k,
            seed=request.sampling.seed,
            **options,
        )
        if request.prompt.prefix:
            planned = _with_prefix(planned, model, request.prompt.prefix)
        room = model.engine.room(planned.layout)
        # Set after planning: a limit given to `plan` would shorten the thinking of modes without a
        # budget.
        limit = min(request.sampling.max_tokens, room)
        return replace(planned, sampling=replace(planned.sampling, max_tokens=limit))

    def _answer_group(self, group: list[Request], stop: threading.Event) -> Iterator[Answered]:
        waiting: list[tuple[Request, EngineRequest]] = []
        for request in group:
            try:
                waiting.append((request, self.plan(request)))
            except Exception as error:
                yield Answered(request=request, failure=failure_of(error))
        while waiting and not stop.is_set():
            # The media options of a group may need other processors, but it is one engine.
            failed: list[int] = []
            done: set[int] = set()
            try:
                for index, answered in self._run(waiting, failed, stop):
                    done.add(index)
                    yield answered
            except Exception as error:
                if failed:  # its media could not be opened
                    request = waiting[failed[0]][0]
                    done.add(failed[0])
                    yield Answered(request=request, failure=failure_of(error))
                elif len(waiting) - len(done) == 1:
                    (index,) = set(range(len(waiting))) - done
                    done.add(index)
                    yield Answered(request=waiting[index][0], failure=failure_of(error))
                else:  # nobody knows whose fault it was: one at a time
                    rest = [w for i, w in enumerate(waiting) if i not in done]
                    for single in rest:
                        if not stop.is_set():
                            yield from self._answer_alone(single, stop)
                    return
            waiting = [w for i, w in enumerate(waiting) if i not in done]

    def _answer_alone(
        self, item: tuple[Request, EngineRequest], stop: threading.Event
    ) -> Iterator[Answered]:
        try:
            for _, answered in self._run([item], [], stop):
                yield answered
        except Exception as error:
            yield Answered(request=item[0], failure=failure_of(error))

    def _run(
        self,
        items: list[tuple[Request, EngineRequest]],
        failed: list[int],
        stop: threading.Event,
    ) -> Iterator[tuple[int, Answered]]:
        watched = [
            replace(planned, load=_watched(planned, index, failed))
            for index, (_, planned) in enumerate(items)
        ]
        with closing(self.model.engine.run(watched, self._on_event)) as pieces:
            for index, delta in pieces:
                if stop.is_set():
                    return
                if delta.generation is not None:
                    request, planned = items[index]
                    yield index, self._answered(request, planned, delta.generation)

    def _answered(
        self, request: Request, planned: EngineRequest, generation: Generation
    ) -> Answered:
        closed = not planned.thinking or CLOSE_TAG in self.model.tokenizer.decode(
            list(generation.token_ids)
        )
        usage, timings = generation.usage, generation.timings
        meta: dict[str, Any] = {
            "tokens": {
                "prompt": usage.prompt_tokens,
                "completion": usage.completion_tokens,
                "reasoning": usage.reasoning_tokens,
                "visual": usage.image_tokens + usage.video_tokens,
            },
            "ttft_s": round(timings.ttft_s, 6),
            "decode_s": round(timings.decode_s, 6),
            "media": [dict(m) for m in generation.media],
        }
        fallbacks = []
        if planned.sampling.max_tokens < request.sampling.max_tokens:
            fallbacks.append(f"max_tokens {planned.sampling.max_tokens}: the context is full")
        for medium in generation.media:
            clamped = medium.get("clamped") or ()
            fallbacks += [clamped] if isinstance(clamped, str) else map(str, clamped)
        if fallbacks:
            meta["fallbacks"] = fallbacks
        response = response_of(
            request,
            generation.text,
            reasoning=generation.reasoning,
            finish_reason=generation.finish_reason,
            unfinished=not closed,
            meta=meta,
        )
        return Answered(request=request, response=response)

    def _model_for(self, options: Mapping[str, Any]) -> NanoVL:
        """The model, with another way of cutting pictures where the setting says so."""
        mode = options.get("image_mode")
        if mode is None or mode == self.model.processor.config.mode:
            return self.model
        if mode not in self._by_image_mode:
            from nanovl.engine.vlm import NanoVL
            from nanovl.processing.processor import Processor

            old = self.model.processor
            processor = Processor(old.tokenizer, replace(old.config, mode=mode), limits=old.limits)
            engine = self.model.engine
            self._by_image_mode[mode] = NanoVL(
                self.model.model,
                processor,
                name=self.model.name,
                stop_ids=sorted(engine.stop_ids),
                context_length=engine.context_length,
                max_slots=engine.max_slots,
                prefill_chunk=engine.prefill_chunk,
            )
        return self._by_image_mode[mode]


def conversation_of(prompt: Prompt, system: str) -> Conversation:
    """A prompt as a conversation.

    Media that all stands in front of the text is left to the template; media between texts is
    placed by the placeholders of the template.

    Raises:
        InputError: A medium without contents, or media that cannot stand between texts.
    """
    parts = list(prompt.content)
    media = [p for p in parts if isinstance(p, Medium)]
    texts = [p for p in parts if isinstance(p, str)]
    leading = parts[: len(media)] == media
    if leading:
        text = "".join(texts)
    else:
        text = "".join(p if isinstance(p, str) else _placeholder(p, texts) for p in parts)
    content: list[Part] = [_part(m) for m in media]
    content.append(TextPart(text=text))
    messages = [Message(role="user", parts=tuple(content))]
    if system:
        messages.insert(0, Message.text("system", system))
    return Conversation(messages=tuple(messages))


def fingerprint(tensors: Mapping[str, Any]) -> str:
    """A hash of the weights: names, shapes, formats and some elements of every tensor.

    Args:
        tensors: State of a module.
    """
    import torch

    hasher = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        if not isinstance(tensor, torch.Tensor):
            continue
        hasher.update(f"{name}|{tuple(tensor.shape)}|{tensor.dtype}|".encode())
        flat = tensor.detach().reshape(-1)
        step = max(1, flat.numel() // _ELEMENTS)
        some = flat[::step][: _ELEMENTS + 1].contiguous().cpu()
        hasher.update(some.view(torch.uint8).numpy().tobytes() if some.numel() else b"")
    return hasher.hexdigest()[:32]


def _placeholder(medium: Medium, texts: list[str]) -> str:
    mark = _PLACEHOLDERS.get(medium.kind)
    if mark is None:
        raise InputError(
            f"{medium.kind} {medium.name!r} stands between texts; only pictures and videos can, "
            "others come first"
        )
    if any(mark in text for text in texts):
        raise InputError(
            f"the text holds the words {mark} beside media between texts; they would be taken for "
            "a place of media"
        )
    return mark


def _part(medium: Medium) -> Part:
    if medium.data is None and medium.path is None:
        raise InputError(f"{medium.kind} {medium.name!r}: has neither bytes nor a path")
    if medium.data is not None:
        ref = MediaRef(data=medium.data, name=medium.name)
    else:
        ref = MediaRef(path=Path(medium.path or ""), name=medium.name)
    if medium.kind == "image":
        return ImagePart(source=ref)
    if medium.kind == "video":
        return VideoPart(source=ref)
    return DocumentPart(source=ref) if medium.kind == "pdf" else AudioPart(source=ref)


def _with_prefix(planned: EngineRequest, model: NanoVL, prefix: str) -> EngineRequest:
    """The beginning of the answer behind the prompt."""
    if planned.thinking:
        raise InputError("a beginning of the answer needs reasoning off; it would be thought on")
    layout = replace(
        planned.layout, input_ids=[*planned.layout.input_ids, *model.tokenizer.encode(prefix)]
    )
    return replace(
        planned,
        layout=layout,
        load=lambda: model.processor.load(layout, dtype=model.model.dtype),
    )


def _watched(planned: EngineRequest, index: int, failed: list[int]) -> Any:
    """Opening media so that it is known whose media could not be opened."""

    def load() -> Any:
        try:
            return planned.load()
        except Exception:
            failed.append(index)
            raise

    return load
