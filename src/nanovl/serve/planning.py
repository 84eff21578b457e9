"""Bodies to requests for the engine: everything that happens before a request is submitted.

Runs in a worker thread: messages are read, media is fetched and opened, the prompt is laid out. No
pixel is decoded and no model runs. Knows no sockets.

Source: serving specification, sections 2 to 4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from nanovl.core.conversation import Conversation, TextPart
from nanovl.core.generation import SamplingParams
from nanovl.serve.content import FileStore, Gatherer, MediaOptions
from nanovl.serve.errors import bad_request, shown
from nanovl.serve.reasoning import Thinking, read_thinking
from nanovl.serve.sampling import (
    grammar_arguments,
    sampling_arguments,
    shared_arguments,
    tool_arguments,
)
from nanovl.serve.schema import ChatRequest, CompletionRequest, GenerationRequest, ignored_fields
from nanovl.serve.settings import ServeSettings

__all__ = ["Planned", "Planning"]

# Fields that are known and change nothing here; they are reported as ignored when they are set.
IDLE_FIELDS = ("skip_special_tokens", "service_tier")
PROCESSOR_KWARGS = ("max_num_tiles", "use_thumbnail", "video_pruning_rate", "use_audio_in_video")


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A request that may be submitted.

    Attributes:
        request: For the engine.
        input_ids: The prompt.
        prompt_tokens: Its length.
        answers: Generations to come.
        max_tokens: Longest answer.
        prefill: Text of the answer the client began itself, to be shown in front of it.
        ignored: Names of fields that meant nothing.
    """

    request: Any
    input_ids: Sequence[int]
    prompt_tokens: int
    answers: int = 1
    max_tokens: int = 0
    prefill: str = ""
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Planning:
    """What planning needs to know.

    Attributes:
        nanovl: The model's front door.
        settings: The server's.
        files: Uploaded files, or None.
        owner: Whose request it is.
        timeout_s: Deadline of the request.
        cancelled: Whether the client left.
    """

    nanovl: Any
    settings: ServeSettings
    files: FileStore | None = None
    owner: str = ""
    timeout_s: float | None = None
    cancelled: Callable[[], bool] = field(default=lambda: False)

    def chat(self, body: ChatRequest) -> tuple[Planned, Thinking]:
        """Plan a chat request.

        Raises:
            ApiError: Anything about the request that cannot be used.
            NanoVLError: What the model's front door refuses.
        """
        limits = self.settings.limits
        if body.top_logprobs and not body.logprobs:
            raise bad_request("top_logprobs needs logprobs: true", "top_logprobs")
        thinking = read_thinking(body, self.settings)
        arguments = {
            **sampling_arguments(body, limits, self.nanovl.tokenizer.size),
            **shared_arguments(body, self.settings, self.owner, self.timeout_s),
            **grammar_arguments(body, limits),
            **tool_arguments(body, limits),
            "reasoning": thinking.params,
        }
        if body.repetition_detection is not None:
            arguments["repetition_detection"] = body.repetition_detection
        if thinking.budget_mode is not None:
            arguments["budget_mode"] = thinking.budget_mode
        if body.logprobs:
            arguments["logprobs"] = body.top_logprobs or 0
        media, ignored = self.media_options(body)
        conversation = self.conversation(body.messages, media)
        prefill = ""
        if body.continue_final_message:
            conversation, prefill = self._continued(body, conversation, thinking)
        elif body.add_generation_prompt is False:
            raise bad_request(
                "add_generation_prompt: false needs continue_final_message: true",
                "add_generation_prompt",
            )
        wanted = body.max_completion_tokens or body.max_tokens
        planned = self._finish(
            body, wanted, conversation, {**media.overrides, **arguments}, prefill
        )
        names = (*ignored_fields(body), *thinking.ignored, *ignored, *_idle(body))
        return replace(planned, ignored=names, prefill=prefill if body.echo else ""), thinking

    def completion(self, body: CompletionRequest) -> list[Planned]:
        """Plan a `/v1/completions` request: one entry per prompt.

        Raises:
            ApiError: Anything about the request that cannot be used.
        """
        limits = self.settings.limits
        if body.suffix:
            raise bad_request("suffix is not supported; the model writes forwards only", "suffix")
        if body.best_of is not None and body.best_of != (body.n or 1):
            raise bad_request("best_of is not supported; use n", "best_of")
        arguments = {
            **sampling_arguments(body, limits, self.nanovl.tokenizer.size),
            **shared_arguments(body, self.settings, self.owner, self.timeout_s),
            **grammar_arguments(body, limits),
        }
        if body.logprobs is not None:
            arguments["logprobs"] = body.logprobs
            if body.echo:
                arguments["prompt_logprobs"] = body.logprobs
        names = (*ignored_fields(body), *_idle(body))
        plans = []
        for ids in self._prompts(body):
            if self.cancelled():
                break
            plan = self._finish(body, body.max_tokens or 16, None, arguments, "", ids)
            text = self.nanovl.tokenizer.decode(ids) if body.echo else ""
            plans.append(replace(plan, ignored=names, prefill=text))
        return plans

    def conversation(
        self, messages: Sequence[Mapping[str, Any]], media: MediaOptions
    ) -> Conversation:
        """Messages with their media fetched and checked."""
        return Gatherer(
            limits=self.nanovl.processor.limits,
            counts=self.settings.limits,
            planner=self.nanovl.processor,
            files=self.files,
            owner=self.owner,
            media_root=self.settings.media_root,
            options=media,
            cancelled=self.cancelled,
        ).gather(messages)

    def media_options(self, body: Any) -> tuple[MediaOptions, list[str]]:
        """`mm_processor_kwargs` and `media_io_kwargs`, and names in them that mean nothing.

        Raises:
            ApiError: 400 for values of the wrong type, and for what cannot be changed per request.
        """
        given = dict(body.mm_processor_kwargs or {})
        overrides: dict[str, Any] = {}
        config = self.nanovl.processor.config
        if (tiles := given.get("max_num_tiles")) is not None:
            _whole(tiles, "mm_processor_kwargs.max_num_tiles")
            overrides["max_tiles"] = min(tiles, config.max_num_tiles)
        rate = given.get("video_pruning_rate", getattr(body, "video_pruning_rate", None))
        if rate is not None:
            if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 <= rate < 1:
                raise bad_request(
                    f"video_pruning_rate: got {shown(rate)}, expected a number in [0, 1)",
                    "mm_processor_kwargs.video_pruning_rate",
                )
            overrides["pruning_rate"] = float(rate)
        flags = {n: given.get(n) for n in ("use_thumbnail", "use_audio_in_video")}
        for name, value in flags.items():
            if value is not None and not isinstance(value, bool):
                raise bad_request(
                    f"{name}: got {shown(value)}, expected true or false",
                    f"mm_processor_kwargs.{name}",
                )
        if flags["use_thumbnail"] is not None:
            overrides["use_thumbnail"] = flags["use_thumbnail"]
        ignored = [f"mm_processor_kwargs.{n}" for n in given if n not in PROCESSOR_KWARGS]
        ignored += self._frames(getattr(body, "media_io_kwargs", None) or {}, overrides)
        return MediaOptions(
            overrides=overrides, speech=flags["use_audio_in_video"] is not False
        ), ignored

    def _frames(self, given: Mapping[str, Any], overrides: dict[str, Any]) -> list[str]:
        """Frame sampling out of `media_io_kwargs.video`."""
        video = given.get("video")
        ignored = [f"media_io_kwargs.{name}" for name in given if name != "video"]
        if video is None:
            return ignored
        if not isinstance(video, Mapping):
            raise bad_request("media_io_kwargs.video: expected an object", "media_io_kwargs.video")
        fps, frames = video.get("fps"), video.get("num_frames")
        limit = self.nanovl.processor.limits.max_frames
        if frames is not None and frames != -1:
            _whole(frames, "media_io_kwargs.video.num_frames")
            overrides["max_frames"] = min(frames, limit)
        if fps is not None and fps != -1:
            is_number = isinstance(fps, (int, float)) and not isinstance(fps, bool)
            if not is_number or not 0 < fps <= 1000:
                raise bad_request(
                    f"media_io_kwargs.video.fps: got {shown(fps)}, expected a number above 0",
                    "media_io_kwargs.video.fps",
                )
            overrides["fps"] = float(fps)
        elif frames is not None and frames != -1:
            # A number of frames alone: the server's rate must not lower it.
            overrides["fps"] = 1000.0
        return ignored + [
            f"media_io_kwargs.video.{n}" for n in video if n not in ("fps", "num_frames")
        ]

    # --- prompts --------------------------------------------------------------------------------

    def _prompts(self, body: CompletionRequest) -> list[list[int]]:
        prompt: Any = body.prompt
        if isinstance(prompt, str) or (prompt and isinstance(prompt[0], int)):
            prompt = [prompt]
        if not 1 <= len(prompt) <= self.settings.limits.max_prompts:
            raise bad_request(
                f"prompt: {len(prompt)} prompts, expected 1 to {self.settings.limits.max_prompts}",
                "prompt",
            )
        tokenizer = self.nanovl.tokenizer
        found = []
        for index, one in enumerate(prompt):
            if isinstance(one, str):
                head = [] if body.add_special_tokens is False else [tokenizer.bos_id]
                ids = [*head, *tokenizer.encode(one)]
            else:
                ids = list(one)
                self._check_ids(ids, f"prompt.{index}")
            if not ids:
                raise bad_request(f"prompt {index} is empty", "prompt")
            found.append(ids)
        return found

    def _check_ids(self, ids: Sequence[int], where: str) -> None:
        """Any token but those that stand for pictures, which are not there."""
        tokenizer = self.nanovl.tokenizer
        for token in ids:
            if not 0 <= token < tokenizer.size:
                raise bad_request(
                    f"{where}: token id {token}, expected 0 to {tokenizer.size - 1}", "prompt"
                )
            if token == tokenizer.image_id:
                raise bad_request(f"{where}: token id {token} stands for a picture", "prompt")

    def _continued(
        self, body: ChatRequest, conversation: Conversation, thinking: Thinking
    ) -> tuple[Conversation, str]:
        """The conversation without its last message, and the text to go on from."""
        last = conversation.messages[-1]
        if body.add_generation_prompt:
            raise bad_request(
                "continue_final_message and add_generation_prompt may not both be true",
                "continue_final_message",
            )
        text = "".join(p.text for p in last.parts if isinstance(p, TextPart))
        if (
            last.role != "assistant"
            or last.tool_calls
            or not text
            or len(conversation.messages) < 2
        ):
            raise bad_request(
                "continue_final_message: the last message must be an assistant message with text, "
                "after another message",
                "continue_final_message",
            )
        if thinking.params.mode == "on":
            raise bad_request(
                "continue_final_message goes on with the answer; switch thinking off for it",
                "continue_final_message",
            )
        return replace(conversation, messages=conversation.messages[:-1]), text

    def _finish(
        self,
        body: GenerationRequest,
        wanted: int | None,
        conversation: Conversation | None,
        arguments: Mapping[str, Any],
        prefill: str,
        prompt_ids: Sequence[int] | None = None,
    ) -> Planned:
        """Lay out the prompt and settle how long the answer may be."""
        given = dict(arguments)
        if wanted is not None:
            given["max_tokens"] = wanted
        if prompt_ids is not None:
            given["prompt_ids"] = list(prompt_ids)
            request = self.nanovl.plan("", **given)
            # A raw prompt gets a raw answer, tags and all.
            request = replace(request, thinking=False, soft=None, hard=None)
        else:
            request = self.nanovl.plan(conversation, **given)
        layout = request.layout
        room = self.nanovl.engine.context_length - layout.num_tokens
        if prefill:
            more = self.nanovl.tokenizer.encode(prefill)
            layout = replace(layout, input_ids=[*layout.input_ids, *more])
            room -= len(more)
            if room < 1 or (wanted or 1) > room:
                raise bad_request(
                    f"prompt has {layout.num_tokens} tokens with the begun answer, limit "
                    f"{self.nanovl.engine.context_length}; shorten it, or lower max_tokens",
                    "messages",
                    "context_length_exceeded",
                )
            processor, dtype = self.nanovl.processor, self.nanovl.model.dtype
            request = replace(
                request, layout=layout, load=lambda: processor.load(layout, dtype=dtype)
            )
        sampling: SamplingParams = request.sampling
        if wanted is None:
            # What is left of the context, unless the operator says otherwise.
            wanted = min(room, self.settings.default_max_tokens or room)
        sampling = replace(sampling, max_tokens=wanted, min_tokens=body.min_tokens or 0)
        return Planned(
            request=replace(request, sampling=sampling),
            input_ids=layout.input_ids,
            prompt_tokens=layout.num_tokens,
            answers=sampling.n,
            max_tokens=wanted,
        )


def _idle(body: GenerationRequest) -> list[str]:
    return [n for n in IDLE_FIELDS if getattr(body, n, None) not in (None, True)]


def _whole(value: Any, where: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise bad_request(f"{where}: got {shown(value)}, expected a whole number above 0", where)
