"""A model behind an endpoint as judge: greedy, three tries, everything logged and cached.

Never random: temperature 0 and a fixed seed, and no reply means no verdict. Which question is asked
and how a reply is read is the metrics' business (`nanovl.evals.scoring.judging`). Several threads
may ask at a time.

Source: evaluation specification, section 7.2.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nanovl.evals.base import LEVELS, Medium
from nanovl.evals.chat_body import data_url, medium_bytes
from nanovl.evals.endpoint import ChatEndpoint, RequestFailed
from nanovl.evals.scoring.judging import LoggedJudge

__all__ = ["EndpointJudge", "SharedJudge", "agreement", "open_judge"]

TRIES = 3
MAX_TOKENS = 2048


class EndpointJudge:
    """A judge that is asked over HTTP.

    Args:
        endpoint: Where it is.
        max_tokens: Longest reply.

    Attributes:
        asked: Questions that got a reply.
        silent: Questions that got none.
    """

    def __init__(self, endpoint: ChatEndpoint, *, max_tokens: int = MAX_TOKENS) -> None:
        self.endpoint = endpoint
        self.max_tokens = max_tokens
        self.asked = 0
        self.silent = 0

    def ask(self, prompt: str) -> str | None:
        """The reply, None after three tries without one.

        Raises:
            BackendError: The endpoint cannot be used at all.
        """
        return self.ask_about(prompt, ())

    def ask_about(self, prompt: str, media: Sequence[Medium]) -> str | None:
        """As `ask`, with pictures shown before the prompt.

        Raises:
            InputError: A picture cannot be read.
        """
        content: Any = prompt
        if media:
            content = [
                {
                    "type": f"{m.kind}_url",
                    f"{m.kind}_url": {"url": data_url(medium_bytes(m), m.kind)},
                }
                for m in media
            ]
            content.append({"type": "text", "text": prompt})
        body = {
            "model": self.endpoint.model,
            "messages": [{"role": "user", "content": content}],
            "temperature": 0,
            "seed": 0,
            "max_tokens": self.max_tokens,
        }
        for _ in range(TRIES):
            try:
                text = self.endpoint.ask(body, key=prompt).text.strip()
            except RequestFailed:
                continue
            text = text.rpartition("</think>")[2].strip()
            if text:
                self.asked += 1
                return text
        self.silent += 1
        return None


class SharedJudge(LoggedJudge):
    """A logged judge that several threads may ask at a time."""

    def __init__(self, judge: EndpointJudge, model: str, path: Path) -> None:
        super().__init__(judge, model, path)
        self._lock = threading.Lock()

    def _remember(self, key: str, prompt: str, reply: str | None) -> str | None:
        with self._lock:
            return super()._remember(key, prompt, reply)


def open_judge(endpoint: ChatEndpoint, log: Path) -> SharedJudge:
    """A judge with its log, which is also its cache.

    Args:
        endpoint: Where the judge is.
        log: File of requests and replies, such as `judge.jsonl` in the run folder.
    """
    return SharedJudge(EndpointJudge(endpoint), endpoint.model, log)


def agreement(
    verdicts: Sequence[dict[str, float | None]], count: int = 200
) -> dict[str, dict[str, int]]:
    """How often two levels agree on the same responses.

    Args:
        verdicts: Per response the value by level.
        count: Responses looked at, spread over all.

    Returns:
        Per pair "rules/judge": agreements, disagreements each way, and responses that one of them
        could not score.
    """
    step = max(1, len(verdicts) // max(1, count))
    table: dict[str, dict[str, int]] = {}
    for i, first in enumerate(LEVELS):
        for second in LEVELS[i + 1 :]:
            found: Counter[str] = Counter()
            for values in verdicts[::step][:count]:
                if first in values and second in values:
                    found[_compare(values[first], values[second])] += 1
            if found:
                names = ("same", "first_higher", "second_higher", "unscored")
                table[f"{first}/{second}"] = {name: found[name] for name in names}
    return table


def _compare(first: float | None, second: float | None) -> str:
    if first is None or second is None:
        return "unscored"
    if abs(first - second) < 1e-9:
        return "same"
    return "first_higher" if first > second else "second_higher"
