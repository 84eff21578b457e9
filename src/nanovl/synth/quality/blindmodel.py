"""A model behind an endpoint as a guesser of the blind test.

Must not judge answers: the test does, with the verifier of each question.

Source: data synthesis specification, section 19 (blind test).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nanovl.core.errors import BackendError
from nanovl.core.events import OnEvent, ignore_event
from nanovl.synth.model.client import ChatClient
from nanovl.synth.model.work import run_jobs
from nanovl.synth.quality.blind import AnswerBlind

__all__ = ["by_model"]

_SYSTEM = (
    "The question is about a picture or a video that you cannot see. Guess the answer that is most "
    "likely, in the form the question asks for. Write that answer alone: no explanation, no remark "
    "that you cannot see anything."
)
_ANSWER_TOKENS = 256


def by_model(client: ChatClient, *, on_event: OnEvent = ignore_event) -> AnswerBlind:
    """A guesser that asks a model.

    Args:
        client: The endpoint; at most its limit of requests are under way at one time.
        on_event: Told about every answer.

    Returns:
        A function that answers questions; a request that fails gives no answer. It raises
        BackendError when the endpoint cannot be used, or a budget stops it.
    """

    def one(question: str) -> str:
        body: dict[str, Any] = {
            "messages": [
                {"role": "system", "content": _SYSTEM},
                {"role": "user", "content": question},
            ],
            "temperature": 0,
            "max_tokens": _ANSWER_TOKENS,
        }
        return client.ask(body).text.rpartition("</think>")[2].strip()

    def answer(questions: Sequence[str]) -> Sequence[str]:
        done = run_jobs(list(questions), one, client, name="blind test", on_event=on_event)
        if done.unfinished:
            raise BackendError(
                f"the blind test stopped with {done.unfinished} questions left: "
                f"{client.why_stopped}; what was answered is kept, raise the limit and run again"
            )
        return [text or "" for text in done.made]

    return answer
