"""One server on the machines of a Ray cluster: Ray Serve takes the requests, replicas answer them.

Every replica is a process with a model of its own and the whole application; requests go to the one
with the least to do. What a replica keeps (prompts, pictures, metrics) is its own.

Source: serving specification, section 1.2; Ray Serve's documentation.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from types import FrameType
from typing import Any

from nanovl.core.cluster import LOCAL, connected
from nanovl.core.errors import BackendError, NanoVLError
from nanovl.serve.app import create_app
from nanovl.serve.logs import setup_server_logging
from nanovl.serve.runtime import ModelOptions, Tls, bind, load_model, url_of
from nanovl.serve.settings import ServeSettings
from nanovl.serve.supervisor import Logging

__all__ = ["serve_replicas"]

logger = logging.getLogger(__name__)

NAME = "nanovl"
EXTRA_S = 10.0
WAITING = 256  # requests Ray holds back while all replicas are busy


def serve_replicas(
    options: ModelOptions,
    settings: ServeSettings,
    replicas: int,
    *,
    address: str = LOCAL,
    gpus: float = 0.0,
    logs: Logging,
    tls: Tls | None = None,
    on_ready: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve until told to stop.

    Args:
        options: The model; every replica loads it, so its name must mean the same on all machines.
        settings: The server. Keys, limits and folders hold on every replica.
        replicas: How many.
        address: Of Ray; see `nanovl.core.cluster.connected`.
        gpus: Of every replica.
        logs: How replicas log.
        tls: Certificate, or None.
        on_ready: Told the URL when all replicas answer.

    Raises:
        NanoVLError: Ray or the address cannot be used, or a replica cannot start.
    """
    held = bind(settings.host, settings.port)  # a message of ours when the port is taken
    url = url_of(settings, held, tls)
    port = held.getsockname()[1]
    held.close()
    cores = os.cpu_count() or 1
    if options.threads is None and address == LOCAL:
        options = replace(options, threads=max(1, cores // replicas))
    with connected(address, what="serve --replicas", cpus=max(cores, replicas)) as ray:
        try:
            from ray import serve
        except ImportError as error:
            raise BackendError(
                "serve --replicas: this Ray has no Ray Serve; run: pip install 'nanovl[ray]'"
            ) from error
        logging.getLogger("ray.serve").setLevel(logging.WARNING)
        stop = threading.Event()
        handlers = {
            number: signal.signal(number, _stopper(stop))
            for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            http: dict[str, Any] = {"host": settings.host, "port": port}
            if tls is not None:
                http |= {"ssl_certfile": str(tls.certificate), "ssl_keyfile": str(tls.key)}
            serve.start(http_options=http, logging_config={"enable_access_log": False})
            application = serve.deployment(
                serve.ingress(_builder(options, settings, logs))(),
                name=NAME,
                num_replicas=replicas,
                ray_actor_options={"num_cpus": 1, "num_gpus": gpus},
                max_ongoing_requests=settings.max_queued_requests,
                max_queued_requests=WAITING,
                max_constructor_retry_count=1,
                graceful_shutdown_timeout_s=settings.shutdown_s,
                graceful_shutdown_wait_loop_s=0.2,
            ).bind()
            try:
                serve.run(application, name=NAME, route_prefix="/")
            except (RuntimeError, ray.exceptions.RayError) as error:
                raise BackendError(_reason(f"{error}\n{_said(serve.status())}")) from error
            on_ready(url)
            while not stop.wait(0.2):
                pass
            logger.info("draining")
        finally:
            _end(serve, settings.shutdown_s)
            for number, handler in handlers.items():
                signal.signal(number, handler)


def _end(serve: Any, seconds: float) -> None:
    """End our application and nothing else of the cluster; do not wait for a Ray that is gone."""

    def delete() -> None:
        with contextlib.suppress(Exception):  # whatever Ray has left of itself
            serve.delete(NAME)

    thread = threading.Thread(target=delete, daemon=True)
    thread.start()
    thread.join(seconds + EXTRA_S)


def _stopper(stop: threading.Event) -> Callable[[int, FrameType | None], None]:
    def ask(number: int, frame: FrameType | None) -> None:
        del number, frame
        stop.set()

    return ask


def _builder(options: ModelOptions, settings: ServeSettings, logs: Logging) -> Callable[[], Any]:
    """What a replica runs to get its application."""

    def build() -> Any:
        setup_server_logging(logs.level, as_json=logs.as_json)
        try:
            nanovl, transcriber = load_model(options, settings)
            return create_app(nanovl, settings, transcriber=transcriber)
        except NanoVLError as error:
            raise RuntimeError(f"{_MARK}{error}") from None

    return build


_MARK = "nanovl replica: "


def _said(status: Any) -> str:
    """What Ray Serve notes about its deployments, tracebacks of replicas among it."""
    deployments = [d for a in status.applications.values() for d in a.deployments.values()]
    return "\n".join(d.message for d in deployments)


def _reason(report: str) -> str:
    """Our own message in what Ray reports, or the last thing it says."""
    lines = [line.strip() for line in report.splitlines() if line.strip()]
    for line in lines:
        if _MARK in line:
            return f"a replica cannot start: {line.split(_MARK, 1)[1]}"
    return f"Ray Serve: no replica could be started ({lines[-1] if lines else 'no reason given'})"
