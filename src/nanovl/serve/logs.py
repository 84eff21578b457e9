"""Log records of the server: one line each, as text or JSON, with what the record carries.

Never what a client asked or the model answered: code of this room logs ids, counts and times only.

Source: serving specification, section 1.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any, TextIO

from nanovl.core.errors import ConfigError

__all__ = ["LineFormatter", "setup_server_logging"]

_STANDARD = frozenset(vars(logging.LogRecord("", 0, "", 0, "", None, None))) | {
    "message",
    "asctime",
    "taskName",
}
LEVELS = ("debug", "info", "warning", "error")


class LineFormatter(logging.Formatter):
    """One line per record.

    Args:
        as_json: JSON objects instead of text.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        super().__init__()
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        facts: dict[str, Any] = {
            k: v
            for k, v in vars(record).items()
            if k not in _STANDARD and k[0] != "_" and v is not None
        }
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        stamp += f".{int(record.msecs):03d}Z"
        trace = self.formatException(record.exc_info) if record.exc_info else ""
        if self._as_json:
            line = {
                "time": stamp,
                "level": record.levelname.lower(),
                "logger": record.name,
                "message": record.getMessage(),
                **facts,
            }
            if trace:
                line["trace"] = trace
            return json.dumps(line, default=str)
        words = " ".join(f"{k}={_word(v)}" for k, v in facts.items())
        text = f"{stamp} {record.levelname.lower()} {record.getMessage()}"
        return "\n".join(part for part in (f"{text} {words}".rstrip(), trace) if part)


def setup_server_logging(
    level: str = "info", *, as_json: bool = False, stream: TextIO | None = None
) -> None:
    """Send the server's records to standard error, in place of the usual handler.

    Args:
        level: Of nanovl's records; those of the HTTP library show from "warning" on.
        as_json: JSON objects instead of text.
        stream: None is standard error.

    Raises:
        ConfigError: No such level.
    """
    if level.lower() not in LEVELS:
        raise ConfigError(f"log level {level!r}: expected one of {', '.join(LEVELS)}")
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(LineFormatter(as_json=as_json))
    for name, wanted in (("nanovl", level.upper()), ("uvicorn", "WARNING"), ("asyncio", "ERROR")):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(wanted)
        logger.propagate = False


def _word(value: Any) -> str:
    """A value as one word that cannot be taken for another line."""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    if text and all(" " < c < "\x7f" and c not in '"=' for c in text):
        return text
    return json.dumps(text)
