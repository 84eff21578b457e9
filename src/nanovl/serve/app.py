"""The application: routes, error handlers, the outermost layer, start and stop.

Source: serving specification, section 1.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from nanovl import __version__
from nanovl.serve.audio import audio_routes
from nanovl.serve.auth import Gate
from nanovl.serve.edge import Edge
from nanovl.serve.endpoints import generation_routes, json_response
from nanovl.serve.errors import ApiError, api_error
from nanovl.serve.files import Files, file_routes
from nanovl.serve.messages import message_routes
from nanovl.serve.openapi import describe
from nanovl.serve.page import Page, page_routes
from nanovl.serve.responses import response_routes
from nanovl.serve.schema import (
    ChatRequest,
    CompletionRequest,
    ControlRequest,
    CountRequest,
    DetokenizeRequest,
    MessagesRequest,
    ResponsesRequest,
    TokenizeRequest,
)
from nanovl.serve.service import Service
from nanovl.serve.settings import ServeSettings
from nanovl.serve.status import status_routes
from nanovl.serve.tokens import token_routes

__all__ = ["create_app"]

MODELS: tuple[type[BaseModel], ...] = (
    ChatRequest,
    CompletionRequest,
    ControlRequest,
    CountRequest,
    DetokenizeRequest,
    MessagesRequest,
    ResponsesRequest,
    TokenizeRequest,
)
ROUTES = (
    generation_routes,
    token_routes,
    response_routes,
    message_routes,
    file_routes,
    audio_routes,
    status_routes,
)


def create_app(
    nanovl: Any, settings: ServeSettings | None = None, *, transcriber: Any = None
) -> FastAPI:
    """An application around a loaded model.

    Args:
        nanovl: From `nanovl.load`; its `limits` decide what media is accepted.
        settings: The operator's; None takes the defaults. Folders of uploads and of `file:` URLs
            must be among the `allowed_roots` of the model's limits.
        transcriber: Speech recognition for `/v1/audio/transcriptions`, or None.

    Returns:
        An ASGI application; its `state.service` is the server's state.
    """
    settings = settings or ServeSettings()
    files = None
    if settings.upload_root is not None:
        files = Files(
            settings.upload_root,
            quota_bytes=settings.upload_quota_bytes,
            max_bytes=settings.upload_max_bytes,
            ttl_s=settings.upload_ttl_s,
        )
    page = None if settings.web_root is None else Page(settings.web_root)
    service = Service(nanovl, settings, transcriber=transcriber, files=files)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        nanovl.engine.start()
        try:
            yield
        finally:
            service.draining = True
            service.close()

    app = FastAPI(
        title="nanovl",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        redirect_slashes=False,
    )
    app.state.service = service
    for routes in ROUTES:
        app.include_router(routes(service))
    if page is not None:
        app.include_router(page_routes(page))
    describe(app, list(MODELS))
    _handle_errors(app)
    app.add_middleware(
        Edge,
        gate=Gate(settings, frozenset() if page is None else page.paths),
        limits=settings.limits,
        count=service.metrics.response,
    )
    return app


def _handle_errors(app: FastAPI) -> None:
    """Every error in the one shape; anything unknown is left to the outermost layer."""

    def response(error: ApiError) -> Response:
        answer = json_response(error.body, error.headers)
        answer.status_code = error.status
        return answer

    async def known(_: Request, error: Exception) -> Response:
        return response(api_error(error))

    async def http(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        texts = {404: "no such path", 405: "this path does not take that method"}
        text = texts.get(error.status_code, str(error.detail))
        return response(ApiError(error.status_code, text, headers=error.headers))

    async def invalid(_: Request, error: Exception) -> Response:
        del error
        return response(ApiError(400, "the request's path or query cannot be used"))

    app.add_exception_handler(ApiError, known)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, invalid)
