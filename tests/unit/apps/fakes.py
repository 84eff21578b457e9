"""A front door whose answers are scripted: what the applications ask, without a model."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from nanovl.core.conversation import Part, TextPart, VideoPart
from nanovl.core.generation import Generation
from nanovl.processing.media import Limits

Reply = Callable[[str, Sequence[Part], Mapping[str, Any]], Any]


class FakeNanoVL:
    """Answers by calling `reply(prompt, files, schema)`; a tuple is (text, finish reason).

    A character of text costs a token, a frame `frame_tokens`, any other part `part_tokens`.
    """

    def __init__(
        self,
        reply: Reply,
        *,
        context: int = 1_000_000,
        frame_tokens: int = 10,
        part_tokens: int = 100,
        max_frames: int = 16,
    ) -> None:
        self.reply = reply
        self.asked: list[SimpleNamespace] = []
        self.engine = SimpleNamespace(context_length=context, kv_tokens=context)
        self.processor = SimpleNamespace(
            limits=Limits.local(), config=SimpleNamespace(max_frames=max_frames)
        )
        self._frame_tokens = frame_tokens
        self._part_tokens = part_tokens

    def count_tokens(self, prompt: str, files: Sequence[Part] = (), **media: Any) -> Any:
        total = len(prompt)
        for part in files:
            if isinstance(part, VideoPart):
                total += self._frame_tokens * (part.max_frames or 0)
            else:
                total += len(part.text) if isinstance(part, TextPart) else self._part_tokens
        return SimpleNamespace(total=total)

    def batch(
        self, requests: Sequence[Mapping[str, Any]], *, on_event: Any = None, **options: Any
    ) -> list[Generation]:
        answers = []
        for request in requests:
            form = request.get("response_format")
            schema = form["json_schema"]["schema"] if form else None
            prompt, files = request["messages"], request["files"]
            self.asked.append(
                SimpleNamespace(prompt=prompt, files=files, schema=schema, options=options)
            )
            found = self.reply(prompt, files, schema)
            if isinstance(found, tuple):
                answers.append(Generation(text=found[0], finish_reason=found[1]))
            else:
                text = found if isinstance(found, str) else json.dumps(found)
                answers.append(Generation(text=text))
        return answers
