"""Bodies of requests: which fields there are, of which type and range.

Fields nobody knows are kept apart, so that the answer can name them; fields that are known and not
supported are refused with a sentence. Knows types and ranges only: what a message or a tool means
is read elsewhere.

Source: serving specification, section 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nanovl.serve.errors import ApiError, bad_request, shown

__all__ = [
    "ChatRequest",
    "CompletionRequest",
    "ControlRequest",
    "CountRequest",
    "DetokenizeRequest",
    "GenerationRequest",
    "MessagesRequest",
    "ResponsesRequest",
    "StreamOptions",
    "TokenizeRequest",
    "ignored_fields",
    "validated",
]

MAX_REPORTED = 10
INT64 = 2**63
Object = dict[str, Any]
M = TypeVar("M", bound=BaseModel)

REFUSED = {
    "audio": "the model does not speak; leave audio out",
    "prediction": "predicted outputs are not supported; leave prediction out",
    "web_search_options": "the server does not search the web; leave web_search_options out",
    "functions": "functions is an old field; use tools",
    "function_call": "function_call is an old field; use tool_choice",
    "guided_json": "guided_json is an old field; use structured_outputs or response_format",
    "guided_regex": "guided_regex is an old field; use structured_outputs",
    "guided_choice": "guided_choice is an old field; use structured_outputs",
    "guided_grammar": "guided_grammar is an old field; use structured_outputs",
    "chat_template": "templates of clients are not run; leave chat_template out",
    "prompt_embeds": "embeddings are not accepted; send text",
    "image_embeds": "embeddings are not accepted; send the image",
    "use_beam_search": "beam search is not supported; use n",
    "documents": "documents is not supported; put the text or the files into a message",
}


class _Body(BaseModel):
    """Unknown fields are kept to be named; types are not guessed."""

    model_config = ConfigDict(extra="allow", strict=True, protected_namespaces=())


class StreamOptions(_Body):
    """How a stream is reported."""

    include_usage: bool | None = None
    continuous_usage_stats: bool | None = None
    nanovl_progress: bool | None = None


Budget = Annotated[int, Field(ge=-1)]


class GenerationRequest(_Body):
    """Fields that `/v1/chat/completions` and `/v1/completions` share."""

    model: str | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=-1)] | None = None
    min_p: Annotated[float, Field(ge=0, lt=1)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    repetition_penalty: Annotated[float, Field(gt=0, le=100)] | None = None
    n: Annotated[int, Field(ge=1)] | None = None
    seed: Annotated[int, Field(ge=-INT64, lt=INT64)] | None = None
    stop: str | list[str] | None = None
    stop_token_ids: list[Annotated[int, Field(ge=0)]] | None = None
    include_stop_str_in_output: bool | None = None
    ignore_eos: bool | None = None
    min_tokens: Annotated[int, Field(ge=0)] | None = None
    skip_special_tokens: bool | None = None
    logit_bias: dict[str, Annotated[float, Field(ge=-100, le=100)]] | None = None
    prompt_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    return_tokens_as_token_ids: bool | None = None
    return_token_ids: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    response_format: Object | None = None
    structured_outputs: Object | None = None
    priority: int | None = None
    cache_salt: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    request_id: Annotated[str, Field(max_length=128)] | None = None
    user: str | None = None
    echo: bool | None = None


class ChatRequest(GenerationRequest):
    """`POST /v1/chat/completions`."""

    messages: Annotated[list[Object], Field(min_length=1)]
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    tools: list[Object] | None = None
    tool_choice: str | Object | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: str | None = None
    include_reasoning: bool | None = None
    chat_template_kwargs: Object | None = None
    mm_processor_kwargs: Object | None = None
    media_io_kwargs: Object | None = None
    force_nonempty_content: bool | None = None
    nanovl_budget_mode: Literal["newline", "hard"] | None = None
    thinking_token_budget: Budget | None = None
    reasoning_budget: Budget | None = None
    max_thinking_tokens: Budget | None = None
    max_thinking_budget: Budget | None = None
    thinking_budget: Budget | None = None
    nvext: Object | None = None
    reasoning: Object | None = None
    thinking: Object | None = None
    add_generation_prompt: bool | None = None
    continue_final_message: bool | None = None
    modalities: list[str] | None = None
    repetition_detection: bool | Object | None = None
    metadata: Object | None = None
    store: bool | None = None
    service_tier: str | None = None
    video_pruning_rate: Annotated[float, Field(ge=0, lt=1)] | None = None


class CompletionRequest(GenerationRequest):
    """`POST /v1/completions`."""

    prompt: str | list[str] | list[int] | list[list[int]]
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    suffix: str | None = None
    best_of: int | None = None
    add_special_tokens: bool | None = None


class ResponsesRequest(_Body):
    """`POST /v1/responses`."""

    input: str | list[Object]
    model: str | None = None
    instructions: str | None = None
    max_output_tokens: Annotated[int, Field(ge=1)] | None = None
    reasoning: Object | None = None
    text: Object | None = None
    tools: list[Object] | None = None
    tool_choice: str | Object | None = None
    parallel_tool_calls: bool | None = None
    stream: bool | None = None
    store: bool | None = None
    previous_response_id: str | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    metadata: Object | None = None
    truncation: str | None = None
    background: bool | None = None
    user: str | None = None
    include: list[str] | None = None
    service_tier: str | None = None
    chat_template_kwargs: Object | None = None
    mm_processor_kwargs: Object | None = None


class CountRequest(_Body):
    """`POST /v1/messages/count_tokens`."""

    model: str | None = None
    messages: Annotated[list[Object], Field(min_length=1)]
    system: str | list[Object] | None = None
    tools: list[Object] | None = None
    tool_choice: Object | None = None
    thinking: Object | None = None
    mm_processor_kwargs: Object | None = None


class MessagesRequest(CountRequest):
    """`POST /v1/messages`."""

    max_tokens: Annotated[int, Field(ge=1)]
    stop_sequences: list[str] | None = None
    stream: bool | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=-1)] | None = None
    metadata: Object | None = None
    service_tier: str | None = None


class TokenizeRequest(_Body):
    """`POST /tokenize` and `POST /v1/chat/completions/render`."""

    model: str | None = None
    prompt: str | None = None
    messages: Annotated[list[Object], Field(min_length=1)] | None = None
    tools: list[Object] | None = None
    chat_template_kwargs: Object | None = None
    mm_processor_kwargs: Object | None = None
    media_io_kwargs: Object | None = None
    reasoning_effort: str | None = None
    add_special_tokens: bool | None = None
    add_generation_prompt: bool | None = None
    return_token_strs: bool | None = None


class DetokenizeRequest(_Body):
    """`POST /detokenize`."""

    model: str | None = None
    tokens: list[Annotated[int, Field(ge=0)]]


class ControlRequest(_Body):
    """`POST /v1/chat/completions/control`."""

    id: str
    action: Literal["reasoning_end", "cancel"]


def validated(model: type[M], body: Mapping[str, Any]) -> M:
    """Check a body.

    Raises:
        ApiError: 400 naming the field, also for fields that are known and not supported.
    """
    for name, reason in REFUSED.items():
        if body.get(name) is not None:
            raise bad_request(reason, name)
    if any(kind != "text" for kind in _strings(body.get("modalities"))):
        raise bad_request("modalities: the model answers in text only", "modalities")
    try:
        return model.model_validate(body)
    except ValidationError as error:
        raise _named(error) from None


def ignored_fields(body: BaseModel) -> list[str]:
    """Names of fields that nobody knows, dotted, in order."""
    names = list(body.model_extra or {})
    for name in type(body).model_fields:
        inner = getattr(body, name)
        if isinstance(inner, BaseModel):
            names += [f"{name}.{n}" for n in inner.model_extra or {}]
    return [name for name in names if name not in REFUSED]


def _strings(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _named(error: ValidationError) -> ApiError:
    problems = []
    first = ""
    for item in error.errors(include_url=False)[:MAX_REPORTED]:
        # Of a union, the branch is no part of the field's name.
        where = ".".join(str(p) for p in item["loc"] if not _is_branch(p))
        first = first or where
        got = "" if item["type"] == "missing" else f" (got {shown(item['input'])[:60]})"
        problems.append(f"{where}: {item['msg']}{got}")
    return bad_request("; ".join(problems), first)


def _is_branch(part: str | int) -> bool:
    return isinstance(part, str) and ("[" in part or part in ("str", "int", "float", "bool"))
