"""One server process: load the model, listen, drain, stop.

The first signal makes `/health` say 503 and refuses new work; running requests are finished within
their time; then the process ends. A second signal ends it at once.

Source: serving specification, sections 1.2 and 17.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI

from nanovl.core.errors import BackendError, ConfigError
from nanovl.core.events import OnEvent, ignore_event
from nanovl.engine.vlm import NanoVL, load
from nanovl.processing.media import Limits
from nanovl.processing.processor import Processor
from nanovl.processing.speech import make_transcriber
from nanovl.serve.app import create_app
from nanovl.serve.protocol import GuardedProtocol
from nanovl.serve.service import Service
from nanovl.serve.settings import ServeSettings

__all__ = ["ModelOptions", "Tls", "bind", "load_model", "media_limits", "run", "serve", "url_of"]

logger = logging.getLogger(__name__)

POLL_S = 0.05
KEEP_ALIVE_S = 75
MAX_CONNECTIONS = 4096
BACKLOG = 1024


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """Which model is served, and how it is loaded.

    Attributes:
        name: "mini", "tiny", a folder or a hub repository.
        device, dtype, quant: See `nanovl.load`.
        transcriber: Speech recognition, as text; None is none.
        engine: Further arguments of `nanovl.load`: context_length, max_slots, ...
        processor: Changes to the processor's settings.
        limits: Changes to the limits of media.
        threads: CPU threads; None leaves the choice to the library.
    """

    name: str = "mini"
    device: str = "auto"
    dtype: str = "auto"
    quant: str | None = None
    transcriber: str | None = None
    engine: Mapping[str, Any] = field(default_factory=dict)
    processor: Mapping[str, Any] = field(default_factory=dict)
    limits: Mapping[str, Any] = field(default_factory=dict)
    threads: int | None = None


@dataclass(frozen=True, kw_only=True)
class Tls:
    """Files of the certificate."""

    certificate: Path
    key: Path


def media_limits(settings: ServeSettings, changes: Mapping[str, Any] | None = None) -> Limits:
    """What media strangers may send.

    Args:
        settings: Folders and hosts.
        changes: Fields of `Limits` to set.
    """
    roots = [r for r in (settings.media_root, settings.upload_root) if r is not None]
    return Limits(
        **{
            "allow_remote": settings.allow_remote_media,
            "allowed_hosts": settings.allowed_media_domains,
            "allowed_roots": tuple(roots),
            **(changes or {}),
        }
    )


def load_model(
    options: ModelOptions, settings: ServeSettings, on_event: OnEvent = ignore_event
) -> tuple[NanoVL, Any]:
    """Load the model.

    Returns:
        The model, and its speech recognition or None.

    Raises:
        NanoVLError: See `nanovl.load`.
    """
    if options.threads is not None:
        import torch

        torch.set_num_threads(options.threads)
    transcriber = None if options.transcriber is None else make_transcriber(options.transcriber)
    nanovl = load(
        options.name,
        options.device,
        options.dtype,
        options.quant,
        limits=media_limits(settings, options.limits),
        transcriber=transcriber,
        on_event=on_event,
        **options.engine,
    )
    if options.processor:
        old = nanovl.processor
        nanovl.processor = Processor(
            old.tokenizer,
            replace(old.config, **options.processor),
            limits=old.limits,
            transcriber=transcriber,
        )
    return nanovl, transcriber


def bind(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A bound socket that does not listen yet.

    Args:
        host, port: Where; port 0 takes a free one.
        shared: Whether other processes bind the same port.

    Raises:
        ConfigError: The address cannot be used.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigError(f"host {host}: cannot be used ({error.strerror})") from error
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            if not hasattr(socket, "SO_REUSEPORT"):
                raise BackendError("this system cannot share a port; use one worker")
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise ConfigError(
            f"{host}:{port} cannot be listened on ({error.strerror}); choose another --port"
        ) from error
    bound.set_inheritable(False)
    return bound


def serve(
    app: FastAPI,
    bound: socket.socket,
    *,
    tls: Tls | None = None,
    on_ready: Callable[[], None] = lambda: None,
) -> None:
    """Answer until told to stop.

    Args:
        app: From `create_app`.
        bound: From `bind`.
        tls: Certificate, or None for plain HTTP.
        on_ready: Called when connections are accepted.
    """
    service: Service = app.state.service
    settings = service.settings
    config = uvicorn.Config(
        app,
        http=GuardedProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        root_path=settings.root_path,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=5,
        limit_concurrency=MAX_CONNECTIONS,
        backlog=BACKLOG,
        h11_max_incomplete_event_size=2 * settings.limits.max_header_bytes,
        ssl_certfile=None if tls is None else tls.certificate,
        ssl_keyfile=None if tls is None else tls.key,
    )
    server = _Server(config, service, on_ready)
    try:
        asyncio.run(server.serve(sockets=[bound]))
    finally:
        service.nanovl.engine.close()


class _Server(uvicorn.Server):
    """Drains before it stops."""

    def __init__(
        self, config: uvicorn.Config, service: Service, on_ready: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._service = service
        self._on_ready = on_ready
        self._draining: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen."""
        await super().startup(sockets)
        if self.started:
            self._on_ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal: the first one drains, the next one stops."""
        del frame
        if self._service.draining:
            self.force_exit = self.should_exit = True
            return
        logger.info("draining", extra={"signal": sig, "running": len(self._service.running)})
        self._service.draining = True
        loop = asyncio.get_event_loop_policy().get_event_loop()
        loop.call_soon_threadsafe(self._begin_to_drain)

    def _begin_to_drain(self) -> None:
        self._draining = asyncio.ensure_future(self._drain())

    async def _drain(self) -> None:
        """Let others see that no new work is taken, finish what runs, then stop listening."""
        settings = self._service.settings
        end = time.monotonic() + settings.shutdown_s
        await asyncio.sleep(settings.drain_s)
        while self._service.running and time.monotonic() < end:
            await asyncio.sleep(POLL_S)
        for ticket in list(self._service.running.values()):
            ticket.cancel()
        self.should_exit = True


def run(
    options: ModelOptions,
    settings: ServeSettings,
    *,
    tls: Tls | None = None,
    on_event: OnEvent = ignore_event,
    on_ready: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve a model in this process until told to stop.

    Args:
        options: The model.
        settings: The server.
        tls: Certificate, or None.
        on_event: Told about the progress of loading.
        on_ready: Told the URL when connections are accepted.

    Raises:
        NanoVLError: The address cannot be used, or the model cannot be loaded.
    """
    bound = bind(settings.host, settings.port)
    try:
        nanovl, transcriber = load_model(options, settings, on_event)
        app = create_app(nanovl, settings, transcriber=transcriber)
        url = url_of(settings, bound, tls)
        serve(app, bound, tls=tls, on_ready=lambda: on_ready(url))
    finally:
        bound.close()


def url_of(settings: ServeSettings, bound: socket.socket, tls: Tls | None) -> str:
    """Where clients find the server."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    port = bound.getsockname()[1]
    return f"{'http' if tls is None else 'https'}://{host}:{port}{settings.root_path}"
