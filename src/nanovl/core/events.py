"""Progress as data, and the log set-up.

Library code never prints and never draws bars. What takes long accepts an `on_event` callable and
calls it with `Event`s; the command line draws them. Logging goes through one logger per module.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TextIO

from nanovl.core import paths

__all__ = ["Event", "OnEvent", "ignore_event", "setup_logging"]


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something happened.

    Attributes:
        name: What, in a few words: "load", "download", "step".
        done, total: Progress in `unit`; total 0 when unknown.
        unit: "bytes", "tensors", "tokens", ...
        data: Anything else worth showing or storing.
    """

    name: str
    done: float = 0
    total: float = 0
    unit: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


OnEvent = Callable[[Event], None]


def ignore_event(event: Event) -> None:
    """The default listener."""


class _StandardError(logging.StreamHandler[TextIO]):
    """Writes to what standard error is at that moment: a program may have replaced or closed it."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr


def setup_logging(level: str | None = None) -> None:
    """Send nanovl's log records to stderr, once.

    Args:
        level: Level name; None takes NANOVL_LOG.
    """
    logger = logging.getLogger("nanovl")
    wanted = logging.getLevelName((level or paths.log_level()).upper())
    logger.setLevel(wanted if isinstance(wanted, int) else logging.WARNING)
    if not any(isinstance(handler, _StandardError) for handler in logger.handlers):
        handler = _StandardError()
        handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
        logger.addHandler(handler)
        logger.propagate = False
