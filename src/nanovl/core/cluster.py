"""Ray, started or joined, the same way for everything that runs on it.

Ray is imported only here and where its objects are used, and only when it is asked for.
"""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Iterator, Mapping
from typing import Any

from nanovl.core import paths
from nanovl.core.errors import BackendError, missing_extra

__all__ = ["LOCAL", "connected"]

LOCAL = "local"
_KNOCK_S = 5.0


@contextlib.contextmanager
def connected(
    address: str,
    *,
    what: str,
    cpus: int,
    resources: Mapping[str, float] | None = None,
    instead: str = "leave --ray out",
) -> Iterator[Any]:
    """Ray for as long as the block lasts; one that runs in this process is used.

    Args:
        address: "local" starts one on this machine, "auto" joins the one that runs here; otherwise
            HOST:PORT or ray://HOST:PORT.
        what: What needs it, for errors: "batch --ray".
        cpus: Of a local one.
        resources: Named resources of a local one.
        instead: What to do without it, for errors.

    Yields:
        The module `ray`.

    Raises:
        BackendError: It is not installed, cannot be started, or nobody answers at the address.
    """
    paths.turn_off_ray_reports()
    try:
        import ray
    except ImportError:
        raise missing_extra("ray", "ray", what) from None
    started = not ray.is_initialized()
    if started:
        options: dict[str, Any] = {"address": address}
        if address == LOCAL:
            options |= {"num_cpus": cpus, "include_dashboard": False}
            options |= {"resources": dict(resources or {})}
        try:
            _knock(address)
            ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)
        except (ConnectionError, RuntimeError, ValueError, OSError, TimeoutError) as error:
            first = (str(error).strip().splitlines() or ["no reason given"])[0]
            raise BackendError(
                f"Ray at {address!r}: cannot be {'started' if address == LOCAL else 'reached'} "
                f"({first}); check the address, or {instead}"
            ) from error
    try:
        yield ray
    finally:
        if started:
            ray.shutdown()


def _knock(address: str) -> None:
    """Find out in seconds that nobody listens: Ray itself waits for minutes.

    Raises:
        OSError: Nobody does.
        ValueError: It is no address.
    """
    if address in (LOCAL, "auto"):
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        raise ValueError("expected local, auto, HOST:PORT or ray://HOST:PORT")
    socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK_S).close()
