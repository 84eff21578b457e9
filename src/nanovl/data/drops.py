"""Samples that could not be used: why, from where, how many.

A training run never stops over one bad sample and never loses one silently: whoever gives up on a
sample raises `Dropped` or calls `DropCounter.add` with a reason from the closed set `REASONS`.
Counting is all that happens here.

Source: training specification, sections 2.5 and 8.5.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from nanovl.core.config import nearest
from nanovl.core.errors import ConfigError, InputError

__all__ = ["REASONS", "DropCounter", "Dropped"]

_log = logging.getLogger(__name__)

REASONS: dict[str, str] = {
    "bad_reasoning": "think tags that do not form one block at the start of an answer",
    "bad_turn_order": "turns in an order the template does not have, or no answer at the end",
    "empty_turn": "a user turn or an answer without content",
    "malformed_record": "not a record: broken JSON, wrong types, placeholders without media",
    "missing_media": "a media file the record names does not exist",
    "no_target": "no token carries loss",
    "oversized": "more tiles than a pack may hold",
    "too_few_targets": "cut to length, and fewer than 1/256 of the tokens left carry loss",
    "too_long_media": "the length limit falls inside a picture or video",
    "undecodable_media": "a media file is damaged or of an unknown format",
    "unsupported_media": "audio without a transcript",
}
"""Every reason a sample can be dropped for, and what it means."""

_EXAMPLES = 3
# A source that loses more than this share of a window of samples is worth a warning.
_WINDOW = 10_000
_SHARE = 0.01


class Dropped(InputError):
    """A sample cannot be used; its loader counts it and goes on.

    Args:
        reason: One of `REASONS`.
        message: What is wrong with this one.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = _known(reason)
        self.message = message

    def __reduce__(self) -> tuple[type[Dropped], tuple[str, str]]:
        return type(self), (self.reason, self.message)


class DropCounter:
    """Counts per reason and source, with the first messages of every reason.

    A source that loses more than 1 % of 10,000 samples is reported in the log.
    """

    def __init__(self) -> None:
        self._counts: dict[str, dict[str, int]] = {}
        self._examples: dict[str, list[str]] = {}
        self._windows: dict[str, list[int]] = {}

    def add(self, source: str, reason: str, message: str = "") -> None:
        """Count one dropped sample.

        Args:
            source: Data set it came from.
            reason: One of `REASONS`.
            message: Kept if it is among the first of its reason.

        Raises:
            ConfigError: An unknown reason.
        """
        sources = self._counts.setdefault(_known(reason), {})
        sources[source] = sources.get(source, 0) + 1
        examples = self._examples.setdefault(reason, [])
        if message and len(examples) < _EXAMPLES:
            examples.append(message)
        self._advance(source, dropped=1)

    def used(self, source: str) -> None:
        """Count one sample that is used; what the share of dropped ones refers to."""
        self._advance(source, dropped=0)

    def _advance(self, source: str, dropped: int) -> None:
        window = self._windows.setdefault(source, [0, 0])
        window[0] += 1
        window[1] += dropped
        if window[0] < _WINDOW:
            return
        if window[1] > _SHARE * window[0]:
            why = {r: n[source] for r, n in self._counts.items() if source in n}
            _log.warning(
                "source %s: %d of the last %d samples were dropped (all so far: %s)",
                source,
                window[1],
                window[0],
                ", ".join(f"{reason} {count}" for reason, count in sorted(why.items())),
            )
        self._windows[source] = [0, 0]

    def counts(self) -> dict[str, dict[str, int]]:
        """Dropped samples per reason and source."""
        return {reason: dict(sources) for reason, sources in self._counts.items()}

    def metrics(self) -> dict[str, int]:
        """The counts under the names of the metrics file, `data/dropped/<reason>/<source>`."""
        return {
            f"data/dropped/{reason}/{source}": count
            for reason, sources in sorted(self._counts.items())
            for source, count in sorted(sources.items())
        }

    def examples(self) -> dict[str, list[str]]:
        """The first messages of every reason."""
        return {reason: list(messages) for reason, messages in self._examples.items() if messages}

    @property
    def total(self) -> int:
        """All dropped samples."""
        return sum(sum(sources.values()) for sources in self._counts.values())

    def state_dict(self) -> dict[str, Any]:
        """Plain values that hold everything."""
        return {
            "counts": self.counts(),
            "examples": self.examples(),
            "windows": {source: list(window) for source, window in self._windows.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Become the counter that `state` was taken from."""
        self._counts = {_known(r): dict(sources) for r, sources in state["counts"].items()}
        self._examples = {r: list(messages) for r, messages in state["examples"].items()}
        self._windows = {source: list(window) for source, window in state["windows"].items()}

    @classmethod
    def merged(cls, states: Iterable[Mapping[str, Any]]) -> DropCounter:
        """One counter of what several counted, each given by its `state_dict`."""
        total = cls()
        for state in states:
            for reason, sources in state["counts"].items():
                into = total._counts.setdefault(_known(reason), {})
                for source, count in sources.items():
                    into[source] = into.get(source, 0) + count
            for reason, messages in state["examples"].items():
                kept = total._examples.setdefault(reason, [])
                kept += messages[: _EXAMPLES - len(kept)]
        return total


def _known(reason: str) -> str:
    if reason not in REASONS:
        raise ConfigError(
            f"unknown reason {reason!r} to drop a sample{nearest(reason, REASONS)}; expected one "
            f"of {', '.join(REASONS)}"
        )
    return reason
