"""Routes that tell about the server: health, version, load, models, metrics.

Source: serving specification, sections 1 and 1.1.
"""

from __future__ import annotations

import time
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from nanovl import __version__
from nanovl.serve.endpoints import json_response
from nanovl.serve.errors import ApiError
from nanovl.serve.metrics import CONTENT_TYPE
from nanovl.serve.service import Service

__all__ = ["status_routes"]


def status_routes(service: Service) -> APIRouter:
    """Routes bound to a service."""
    router = APIRouter()
    created = int(time.time())

    async def health() -> Response:
        """200 while requests are being answered, 503 when draining or dead."""
        return Response(status_code=200 if service.is_alive else 503)

    router.add_api_route("/health", health, methods=["GET", "HEAD"], include_in_schema=False)
    router.add_api_route("/v1/health", health, methods=["GET", "HEAD"], include_in_schema=False)
    router.add_api_route("/ready", health, methods=["GET", "HEAD"], include_in_schema=False)

    @router.get("/version")
    async def version() -> Response:
        """Version of the program."""
        return json_response({"version": __version__})

    @router.get("/load")
    async def load() -> Response:
        """Requests in work."""
        return json_response({"server_load": len(service.running)})

    @router.get("/metrics")
    async def metrics() -> Response:
        """Metrics for Prometheus."""
        return Response(service.metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    @router.get("/v1/models")
    async def models() -> Response:
        """What is served."""
        return json_response({"object": "list", "data": [_model(n) for n in names]})

    @router.get("/v1/models/{name:path}")
    async def model(name: str) -> Response:
        """One of them."""
        if name not in names:
            raise ApiError(404, "no such model", param="model", code="model_not_found")
        return json_response(_model(name))

    names = service.settings.model_names

    def _model(name: str) -> dict[str, Any]:
        speech = ["audio"] if service.transcriber is not None else []
        return {
            "id": name,
            "object": "model",
            "created": created,
            "owned_by": "nanovl",
            "root": service.nanovl.name,
            "parent": None,
            "max_model_len": service.nanovl.engine.context_length,
            "input_modalities": ["text", "image", "video", *speech, "pdf"],
            "output_modalities": ["text"],
            "capabilities": {"reasoning": True, "tools": True, "structured_outputs": True},
            **_media_facts(service),
        }

    return router


def _media_facts(service: Service) -> dict[str, Any]:
    """What a client has to know to predict the price of media."""
    processor = service.nanovl.processor
    config, limits = processor.config, processor.limits
    return {
        "nanovl": {
            "tile_size": config.image_size,
            "tokens_per_tile": config.tokens_per_tile,
            "max_tiles": config.max_num_tiles,
            "use_thumbnail": config.use_thumbnail,
            "video_fps": config.video_fps,
            "max_frames": min(config.max_frames, limits.max_frames),
            "video_pruning_rate": config.video_pruning_rate,
            "pdf_dpi": config.pdf_dpi,
            "max_pages": limits.max_pages,
            "speech": service.transcriber is not None,
            "remote_media": limits.allow_remote,
            "uploads": service.files is not None,
        }
    }
