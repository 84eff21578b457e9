"""The facade answers: a model loaded once, questions decoded in batches.

Every question is laid out before it is answered, so that an answer is never longer than the context
leaves room for. Knows no harness.

Source: evaluation specification, sections 2.1, 2.2 and 9.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import nanovl
from nanovl.core.conversation import Conversation
from nanovl.core.errors import NanoVLError
from nanovl.core.generation import Generation
from nanovl.integrations.settings import AskSettings, LoadSettings

__all__ = ["Asked", "Asker", "shown"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One question.

    Attributes:
        conversation: What is asked.
        task: What the task of the harness asks for (`max_tokens`, `temperature`, `top_p`,
            `top_k`); what the user set goes before it. Ignored with reasoning on: limits of tasks
            are meant for the answer alone, and the report samples.
        name: Which row it is, for messages.
    """

    conversation: Conversation
    task: Mapping[str, Any] = field(default_factory=dict)
    name: str = "question"


class Asker:
    """Answers questions with a model that is loaded at the first of them.

    Args:
        load: Which model.
        ask: How to ask.
    """

    def __init__(self, load: LoadSettings, ask: AskSettings) -> None:
        self.load = load
        self.ask = ask
        self._model: nanovl.NanoVL | None = None

    @property
    def model(self) -> nanovl.NanoVL:
        """The model."""
        if self._model is None:
            self._model = nanovl.load(
                self.load.model,
                device=self.load.device,
                dtype=self.load.dtype,
                quant=self.load.quant,
                context_length=self.load.context_length,
                max_slots=self.load.batch_size,
            )
        return self._model

    def answers(self, questions: Sequence[Asked]) -> list[Generation | None]:
        """An answer for each question, in order; None where it could not be asked.

        Raises:
            NanoVLError: A question that cannot be asked, unless `on_error` is "empty".
        """
        try:
            return list(self.model.batch([self._request(q) for q in questions]))
        except NanoVLError as error:
            if len(questions) == 1:
                self._fail(questions[0], error)
                return [None]
        # Nobody knows whose fault it was: one at a time.
        return [self.answers([question])[0] for question in questions]

    def _fail(self, question: Asked, error: NanoVLError) -> None:
        if self.ask.on_error == "raise":
            raise type(error)(f"{question.name}: {error}") from error
        logger.warning("%s is answered by nothing: %s", question.name, error)

    def _request(self, question: Asked) -> dict[str, Any]:
        asked: dict[str, Any] = {
            "messages": question.conversation,
            "reasoning": self.ask.params,
            "seed": self.ask.seed,
            **self.ask.media,
        }
        chosen = dict(question.task) if self.ask.reasoning == "off" else {}
        chosen |= self.ask.sampling
        limit = chosen.pop("max_tokens", None)
        asked |= chosen
        if limit is not None:
            planned = self.model.plan(**asked)
            asked["max_tokens"] = min(limit, self.model.engine.room(planned.layout))
        return asked


def shown(generation: Generation | None, *, reasoning: bool) -> str:
    """What the harness gets: the answer alone, or with its reasoning in `<think>` tags.

    The answer of a model that never finished thinking is empty.
    """
    if generation is None:
        return ""
    if not reasoning or not generation.reasoning:
        return generation.text
    return f"<think>{generation.reasoning}</think>{generation.text}"
