"""What the terminal gets besides the result: progress, errors, exit codes.

Exit codes: 0 done, 1 failed, 2 wrong usage or unusable input, 130 interrupted, 141 reader gone.
"""

from __future__ import annotations

import functools
import json
import math
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, ParamSpec, TypeVar

from nanovl.core import paths
from nanovl.core.errors import ConfigError, InputError, NanoVLError
from nanovl.core.events import Event

__all__ = ["Progress", "fail", "guarded", "note", "one_line", "printable", "write", "write_json"]

P = ParamSpec("P")
R = TypeVar("R")

DEBUG = False
_INTERVAL_S = 10.0


def guarded(verb: Callable[P, R]) -> Callable[P, R]:
    """Turn what a verb raises into one line on standard error and an exit code."""

    @functools.wraps(verb)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            result = verb(*args, **kwargs)
            sys.stdout.flush()
            return result
        except BrokenPipeError:
            # Nobody reads any more; keep the interpreter from complaining while it shuts down.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(141)
        except KeyboardInterrupt:
            fail("interrupted", 130)
        except NanoVLError as error:
            fail(str(error), 2 if isinstance(error, (InputError, ConfigError)) else 1)
        except MemoryError:
            fail("out of memory; use a smaller model, a shorter prompt or quant int4", 1)
        except Exception as error:
            fail(
                f"{type(error).__name__}: {error} (this is a bug in nanovl, rerun with --debug)", 1
            )

    return run


def fail(message: str, code: int) -> NoReturn:
    """Print `error: ...` on one line, with the traceback before it when debugging, and exit."""
    if (DEBUG or paths.debug_enabled()) and sys.exc_info()[0] is not None:
        traceback.print_exc()
    print(f"error: {one_line(message)}", file=sys.stderr)
    sys.exit(code)


def one_line(text: str) -> str:
    """Text without line breaks and control characters."""
    return printable(" ".join(text.split()))


def printable(text: str) -> str:
    """Text without control characters that could steer a terminal; line breaks and tabs stay."""
    return "".join(c for c in text if c in "\n\t" or (c >= " " and not "\x7f" <= c <= "\x9f"))


def note(text: str, *, dim: bool = False, end: str = "\n") -> None:
    """Something worth knowing, on standard error."""
    if dim and sys.stderr.isatty():
        text = f"\x1b[2m{printable(text)}\x1b[0m"
    print(text, file=sys.stderr, end=end, flush=True)


def write(text: str) -> None:
    """A piece of the result, on standard output; a terminal gets no control characters."""
    sys.stdout.write(printable(text) if sys.stdout.isatty() else text)
    sys.stdout.flush()


def write_json(value: Any) -> None:
    """The result as one JSON document."""
    print(json.dumps(_finite(value), indent=2, ensure_ascii=False, allow_nan=False))


def _finite(value: Any) -> Any:
    """JSON knows no infinity; null says that there is no bound."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(k): _finite(v) for k, v in value.items()}
    return [_finite(v) for v in value] if isinstance(value, (list, tuple)) else value


class Progress:
    """Shows events: one moving line on a terminal, else a plain line now and then.

    Use as a context manager and pass it as `on_event`; the line disappears at the end.
    """

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None
        self._shown = time.monotonic()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *exception: object) -> None:
        self.clear()

    def __call__(self, event: Event) -> None:
        """Show an event."""
        text = _describe(event)
        if sys.stderr.isatty():
            self._draw(event, text)
        elif time.monotonic() - self._shown >= _INTERVAL_S:
            self._shown = time.monotonic()
            note(text)

    def _draw(self, event: Event, text: str) -> None:
        if self._bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, Progress as Bar, TextColumn

            columns = TextColumn("{task.description}"), BarColumn(bar_width=30)
            self._bar = Bar(*columns, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task(text)
            self._bar.start()
        self._bar.update(
            self._task, description=text, completed=event.done, total=event.total or None
        )

    def clear(self) -> None:
        """Take the line away, before something else is printed."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _describe(event: Event) -> str:
    if event.unit == "bytes":
        amounts = [f"{amount / 1e9:.2f}" for amount in (event.done, event.total)]
        unit = "GB"
    else:
        amounts = [f"{amount:,.0f}" for amount in (event.done, event.total)]
        unit = event.unit
    amount = "/".join(amounts) if event.total else amounts[0]
    return f"{event.name} {amount} {unit}".rstrip()
