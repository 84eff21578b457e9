"""A chat model of lmms-eval that answers in this process.

Answers come back without their reasoning, with token counts, and decoded in batches. Must not
import the harness until the class is asked for.

Source: evaluation specification, sections 2.1, 9.2 and 9.3.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from nanovl.core.errors import BackendError
from nanovl.core.generation import Generation
from nanovl.integrations.asking import Asked, Asker, shown
from nanovl.integrations.lmms_eval.messages import of_turns, sampling_of
from nanovl.integrations.settings import split_settings

__all__ = ["Chat", "chat_class"]

logger = logging.getLogger(__name__)

# Decoded together are `batch_size`; asked together are more, so that slots do not stand empty while
# the longest answer of a batch is finished.
_ASKED_PER_SLOT = 4


class Chat:
    """Everything of the model class that is not the harness'.

    Args:
        **options: See `nanovl.integrations.settings`. `batch_size` and `device` may also come from
            the harness' own flags; its `max_batch_size` is taken and means nothing.
    """

    is_simple = False

    def __init__(self, **options: Any) -> None:
        super().__init__()
        options.pop("max_batch_size", None)
        load, ask = split_settings(options, where="model_args of nanovl")
        self.batch_size = load.batch_size
        self.asker = Asker(load, ask)

    def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
        """Not available.

        Raises:
            BackendError: Always.
        """
        raise BackendError(
            f"nanovl answers questions and does not score continuations: {len(requests)} requests "
            "of a task with output_type loglikelihood or multiple_choice; choose its generative "
            "variant (output_type generate_until)"
        )

    def generate_until(self, requests: Sequence[Any]) -> list[Any]:
        """The answers, in order, with their token counts.

        Args:
            requests: With `args` of (context, doc_to_messages, generation arguments, row, task,
                split).

        Raises:
            NanoVLError: A row that cannot be asked, unless `on_error` is "empty".
        """
        results: list[Any] = []
        size = _ASKED_PER_SLOT * self.batch_size
        for first in range(0, len(requests), size):
            group = requests[first : first + size]
            asked = []
            for request in group:
                _, to_messages, wanted, row, task, split = request.args
                asked.append(self._asked(to_messages(self._row(request)), wanted, task, split, row))
            for request, generation in zip(group, self.asker.answers(asked), strict=True):
                text = shown(generation, reasoning=self.asker.ask.show_reasoning)
                self.cache_hook.add_partial(  # type: ignore[attr-defined]
                    "generate_until", (request.args[0], request.args[2]), text
                )
                results.append(_result(text, generation))
            logger.info("answered %d of %d", len(results), len(requests))
        return results

    def generate_until_multi_round(self, requests: Sequence[Any]) -> list[list[str]]:
        """The answers of every round, per row.

        The task decides after each round, from the answers so far, whether there is another one.
        Rounds of different rows are asked together.

        Args:
            requests: As for `generate_until`.

        Raises:
            NanoVLError: A round that cannot be asked, unless `on_error` is "empty".
        """
        answers: list[list[str]] = [[] for _ in requests]
        rounds = [
            self._rounds(request, said) for request, said in zip(requests, answers, strict=True)
        ]
        open_rows = list(range(len(requests)))
        while open_rows:
            asked, still_open = [], []
            for number in open_rows:
                messages = next(rounds[number], None)
                if messages is not None:
                    _, _, wanted, row, task, split = requests[number].args
                    asked.append(self._asked(messages, wanted, task, split, row))
                    still_open.append(number)
            open_rows = still_open
            if not asked:
                break
            for number, generation in zip(open_rows, self.asker.answers(asked), strict=True):
                answers[number].append(shown(generation, reasoning=self.asker.ask.show_reasoning))
        return answers

    def _rounds(self, request: Any, said: Sequence[str]) -> Iterator[Any]:
        """Messages of one row, round by round."""
        to_messages = request.args[1]
        row = self._row(request)
        yield to_messages(row)
        facts = None
        for number in range(1, 1 << 16):
            given = to_messages(
                row, round_idx=number, previous_output=list(said), previous_round_info=facts
            )
            if not (isinstance(given, tuple) and len(given) == 4):
                return
            messages, ended, _, facts = given
            if ended:
                return
            yield messages

    def _row(self, request: Any) -> Any:
        _, _, _, row, task, split = request.args
        return self.task_dict[task][split][row]  # type: ignore[attr-defined]

    def _asked(self, messages: Any, wanted: Any, task: str, split: str, row: int) -> Asked:
        return Asked(
            conversation=of_turns(messages),
            task=sampling_of(wanted),
            name=f"{task}, {split}, row {row}",
        )


@cache
def chat_class() -> type[Chat]:
    """`NanoVLChat`, derived from the harness' base class.

    Raises:
        BackendError: lmms-eval is not installed.
    """
    try:
        base = importlib.import_module("lmms_eval.api.model").lmms
    except ModuleNotFoundError as error:
        if error.name != "lmms_eval":
            raise  # the harness lacks one of its own requirements
        raise BackendError(
            "the lmms-eval class needs the package 'lmms_eval', which is not installed; install "
            "lmms-eval into this environment (see docs/guides/harnesses.md)"
        ) from None
    return type("NanoVLChat", (Chat, base), {"__module__": __name__})


def _result(text: str, generation: Generation | None) -> Any:
    instance = importlib.import_module("lmms_eval.api.instance")
    if generation is None:
        return instance.GenerationResult(text=text)
    usage = generation.usage
    counts = instance.TokenCounts(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        reasoning_tokens=usage.reasoning_tokens,
    )
    return instance.GenerationResult(text=text, token_counts=counts)


def __getattr__(name: str) -> Any:
    if name == "NanoVLChat":
        return chat_class()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
