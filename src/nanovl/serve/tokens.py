"""Routes that count and show prompts without answering them.

Media is opened for its size, no pixel is decoded and no model runs; a prompt that is too long is
counted like any other, so that a client can say by how much.

Source: serving specification, sections 1 and 3.3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from nanovl.core.layout import MediaSpan, TokenLayout
from nanovl.engine.messages import parse_tools
from nanovl.serve.endpoints import json_response
from nanovl.serve.errors import bad_request
from nanovl.serve.openapi import described
from nanovl.serve.reasoning import read_thinking
from nanovl.serve.schema import ChatRequest, DetokenizeRequest, TokenizeRequest, validated
from nanovl.serve.service import Service
from nanovl.serve.sse import until_gone

__all__ = ["chat_layout", "token_routes"]

# Fields of both that mean the same.
CHAT_FIELDS = (
    "messages",
    "tools",
    "chat_template_kwargs",
    "mm_processor_kwargs",
    "media_io_kwargs",
    "reasoning_effort",
)


def token_routes(service: Service) -> APIRouter:
    """Routes bound to a service."""
    router = APIRouter()

    async def counted(
        request: Request,
    ) -> tuple[TokenizeRequest, Sequence[int], TokenLayout | None]:
        body = await service.body(request, TokenizeRequest)
        service.model_name(body.model)
        if (body.prompt is None) == (body.messages is None):
            raise bad_request("expected either prompt or messages", "prompt")
        if body.prompt is not None:
            tokenizer = service.nanovl.tokenizer
            head = [] if body.add_special_tokens is False else [tokenizer.bos_id]
            ids = await service.in_thread(lambda _: tokenizer.encode(body.prompt))
            return body, [*head, *ids], None
        given = {n: getattr(body, n) for n in CHAT_FIELDS if getattr(body, n) is not None}
        opened = body.add_generation_prompt is not False
        layout = await chat_layout(service, request, given, opened=opened)
        return body, layout.input_ids, layout

    @router.post("/tokenize", openapi_extra=described(TokenizeRequest))
    async def tokenize(request: Request) -> Response:
        """Tokens of a text or a conversation, and what its media costs."""
        body, ids, layout = await counted(request)
        answer: dict[str, Any] = {
            "count": len(ids),
            "max_model_len": service.nanovl.engine.context_length,
            "tokens": list(ids),
        }
        if body.return_token_strs:
            decode = service.nanovl.tokenizer.decode
            answer["token_strs"] = [decode((i,), skip_control=False) for i in ids]
        if layout is not None:
            answer["nanovl_media"] = [media_row(span) for span in layout.spans]
            answer["multimodal_tokens"] = _by_kind(layout)
        return json_response(answer)

    @router.post("/v1/chat/completions/render", openapi_extra=described(TokenizeRequest))
    async def render(request: Request) -> Response:
        """The prompt of a conversation, as text and as ids."""
        _, ids, layout = await counted(request)
        if layout is None:
            raise bad_request("expected messages", "messages")
        return json_response(
            {
                "prompt": _text(ids, service),
                "prompt_token_ids": list(ids),
                "nanovl_media": [media_row(span) for span in layout.spans],
            }
        )

    @router.post("/detokenize", openapi_extra=described(DetokenizeRequest))
    async def detokenize(request: Request) -> Response:
        """The text of tokens."""
        body = await service.body(request, DetokenizeRequest)
        service.model_name(body.model)
        text = service.nanovl.tokenizer.decode(body.tokens, skip_control=False)
        return json_response({"prompt": text})

    return router


def media_row(span: MediaSpan) -> Mapping[str, Any]:
    """What is done with one picture or video, and what it costs."""
    row: dict[str, Any] = {"kind": span.kind, "tokens": span.num_tokens}
    row["prompt_tokens"] = span.length  # with the text between frames
    row["tiles" if span.kind == "image" else "frames"] = span.tiles
    row["tokens_before_pruning"] = span.tiles * span.tokens_per_tile
    if span.kind == "video":
        row["pruning_rate"] = span.pruning_rate
    return {**row, **span.info}


async def chat_layout(
    service: Service, request: Request, given: Mapping[str, Any], *, opened: bool = True
) -> TokenLayout:
    """The prompt of a conversation, however long.

    Args:
        service: The server's parts.
        request: Gives up when its client leaves.
        given: Fields of a chat request.
        opened: Whether it ends in the opening of an answer.

    Raises:
        ApiError: 400 for what a chat request may not say.
    """
    chat = validated(ChatRequest, dict(given))

    def plan(gone: Callable[[], bool]) -> TokenLayout:
        planning = service.planning(request, gone)
        thinking = read_thinking(chat, service.settings)
        media, _ = planning.media_options(chat)
        conversation = planning.conversation(chat.messages, media)
        if chat.tools is not None:
            conversation = replace(conversation, tools=parse_tools(chat.tools))
        options = {"pruning_rate": "auto", **media.overrides}
        layout: TokenLayout = service.nanovl.processor.plan(
            conversation,
            reasoning=thinking.params,
            add_generation_prompt=opened,
            keep_history_reasoning=False,
            **options,
        )
        return layout

    return await until_gone(request, service.in_thread(plan))


def _by_kind(layout: TokenLayout) -> dict[str, int]:
    found = {"image": 0, "video": 0}
    for span in layout.spans:
        found[span.kind] += span.num_tokens
    return {kind: count for kind, count in found.items() if count}


def _text(ids: Sequence[int], service: Service) -> str:
    """The prompt for people: a row of visual tokens is written once."""
    tokenizer = service.nanovl.tokenizer
    kept: list[int] = []
    for token, run in groupby(ids):
        kept += [token] if token == tokenizer.image_id else list(run)
    text: str = tokenizer.decode(kept, skip_control=False)
    return text
