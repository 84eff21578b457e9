"""Thinking: how long it may last, and where it ends in the text.

`BudgetMachine` ends thinking after a budget by forcing the closing tag; `ReasoningSplitter` sends
text to the reasoning or to the answer. Both look at text, never at particular ids, because the
tags are ordinary text of several tokens that can be split in several ways.

Neither samples nor knows the model; the engine asks which id is forced next and reports every id
that was appended.

Source: report, section 3; model specification, sections 8.1 and 8.5; serving specification,
section 4.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

from nanovl.core.errors import ConfigError
from nanovl.core.generation import ReasoningParams
from nanovl.engine.detokenize import Detokenizer, TokenBytes, partial_match

__all__ = [
    "ANSWER_RESERVE",
    "CLOSE_TAG",
    "OPEN_TAG",
    "TOOL_TAG",
    "BudgetMachine",
    "BudgetMode",
    "ReasoningSplitter",
    "budget_limits",
    "ends_thinking",
]

# "newline" ends thinking at a line break and allows the grace for one to come; "hard" ends it at
# the budget itself.
BudgetMode = Literal["newline", "hard"]

OPEN_TAG = "<think>"
CLOSE_TAG = "</think>"
TOOL_TAG = "<TOOLCALL>"

# Tokens of `max_tokens` kept for the answer, so that thinking cannot eat all of them.
ANSWER_RESERVE = 256
# What is injected when thinking is ended: after a line break, and anywhere else.
_END_AFTER_NEWLINE = f"{CLOSE_TAG}\n\n"
_END_ANYWHERE = f".\n{CLOSE_TAG}\n\n"
_WINDOW = 32
_MAX_WAIT = 3


def ends_thinking(prompt_tail: str) -> bool:
    """Whether a rendered prompt ends with the open `<think>` of the thinking-on header."""
    return prompt_tail.rstrip("\n").endswith(OPEN_TAG)


def budget_limits(
    params: ReasoningParams, max_tokens: int | None, *, mode: BudgetMode = "newline"
) -> tuple[int | None, int | None]:
    """When thinking is ended: (at the next line break from here on, anywhere from here on).

    When the caller limits the answer to more than `ANSWER_RESERVE` tokens, the budget is lowered
    so that this many are left for the answer, and the grace may use up at most half of them.

    Args:
        params: Budget and grace; a budget of None is unlimited.
        max_tokens: The caller's limit, or None when the caller set none.
        mode: "hard" ignores the grace.

    Returns:
        Counts of generated tokens, both None when thinking is never ended.

    Raises:
        ConfigError: An unknown mode.
    """
    if mode not in get_args(BudgetMode):
        raise ConfigError(f"budget mode {mode!r}: expected 'newline' or 'hard'")
    soft = params.budget
    grace = 0 if mode == "hard" else params.grace
    hard = None if soft is None else soft + grace
    if max_tokens is not None and max_tokens > ANSWER_RESERVE:
        room = max_tokens - ANSWER_RESERVE
        soft = room if soft is None else min(soft, room)
        last = max(soft, min(soft + grace, max_tokens - ANSWER_RESERVE // 2))
        hard = last if hard is None else min(hard, last)
    return soft, hard


class BudgetMachine:
    """Ends the thinking of one sequence; make one only if its prompt ends with an open `<think>`.

        thinking --(closing tag or tool call appears in the text)--------> done
        thinking --(count >= soft limit, last token ends in a newline)---> forcing
        thinking --(count >= hard limit)---------------------------------> forcing
        forcing  --(all ids of the closing text are out)-----------------> done

    A character that is only half generated is finished first, for at most three tokens.

    Args:
        soft, hard: Limits from `budget_limits`.
        encode: Plain text to ids.
        token_bytes: Ids to the bytes they stand for.
        tools: Whether a tool call ends thinking; as for `ReasoningSplitter`.

    Attributes:
        state: "thinking", "forcing" or "done".
        count: Tokens observed while thinking.
    """

    def __init__(
        self,
        *,
        soft: int | None,
        hard: int | None,
        encode: Callable[[str], list[int]],
        token_bytes: TokenBytes,
        tools: bool = True,
    ) -> None:
        self.state: Literal["thinking", "forcing", "done"] = "thinking"
        self.count = 0
        self._soft = soft
        self._hard = hard
        self._encode = encode
        self._text = Detokenizer(token_bytes)
        self._window = f"{OPEN_TAG}\n"
        self._ids: list[int] = []
        self._queue: list[int] = []
        self._waited = 0
        self._due = False
        self._ends = (CLOSE_TAG, TOOL_TAG) if tools else (CLOSE_TAG,)

    @property
    def forced(self) -> int | None:
        """The id that must come next, or None when the model may choose."""
        return self._queue[0] if self._queue else None

    def observe(self, token_id: int) -> None:
        """Report the id that was appended to the sequence, chosen or forced."""
        if self.state == "forcing":
            self._queue.pop(0)
            if not self._queue:
                self.state = "done"
        elif self.state == "thinking":
            self._think(token_id)

    def end_now(self) -> bool:
        """End thinking at the next token, whatever the budget (an "answer now" button).

        Returns:
            Whether it was going on; False also when it is being ended already.
        """
        if self.state != "thinking" or self._due:
            return False
        self._due = True
        self._force_between_characters()
        return True

    def _think(self, token_id: int) -> None:
        self.count += 1
        new = self._text.feed(token_id)
        self._ids = [*self._ids[-_WINDOW:], token_id]
        seen = self._window + new
        self._window = seen[-_WINDOW:]
        if any(tag in seen for tag in self._ends):
            self.state = "done"
        elif self._due or (self._hard is not None and self.count >= self._hard):
            self._force_between_characters()
        elif self._soft is not None and self.count >= self._soft and new.endswith("\n"):
            self._force()

    def _force_between_characters(self) -> None:
        if self._text.is_mid_character and self._waited < _MAX_WAIT:
            self._waited += 1
        else:
            self._force()

    def _force(self) -> None:
        self._queue = self._closing_ids()
        self.state = "forcing" if self._queue else "done"

    def _closing_ids(self) -> list[int]:
        """Ids that close the thinking, without those the model has already begun it with."""
        plain = self._encode(_END_AFTER_NEWLINE)
        dotted = self._encode(_END_ANYWHERE)
        if self._text.is_mid_character:
            return dotted
        if self._window.endswith("\n"):
            return plain
        for ids in (plain, dotted):
            for length in range(len(ids) - 1, 0, -1):
                if self._ids[-length:] == ids[:length]:
                    return ids[length:]
        # The tag was begun with other tokens, for example ".</" in one.
        begun = partial_match(self._window, [CLOSE_TAG])
        return self._encode(_END_AFTER_NEWLINE[begun:]) if begun > 1 else dotted


class ReasoningSplitter:
    """Divides generated text into reasoning and answer.

    Which of the two comes first is decided by the prompt, not by the text. Reasoning lasts until
    the first closing tag or tool call; from then on everything is answer, further tags included.
    Line breaks in front of the answer are dropped.

    Args:
        thinking: Whether the prompt ends with an open `<think>`.
        tools: Whether a tool call ends reasoning.

    Attributes:
        thinking: Whether text still goes to the reasoning.
    """

    def __init__(self, thinking: bool, *, tools: bool = True) -> None:
        self.thinking = thinking
        self._ends = (CLOSE_TAG, TOOL_TAG) if tools else (CLOSE_TAG,)
        self._held = ""
        self._answer_begun = False

    def feed(self, text: str) -> tuple[str, str]:
        """Split a piece of text.

        Returns:
            New reasoning and new answer text; the beginning of a tag is held back.
        """
        if not self.thinking:
            return "", self._answer(text)
        text = self._held + text
        found = [(text.index(tag), tag) for tag in self._ends if tag in text]
        if found:
            start, tag = min(found)
            self.thinking, self._held = False, ""
            # A tool call is part of the answer; the closing tag is part of nothing.
            rest = text[start + len(tag) :] if tag == CLOSE_TAG else text[start:]
            return text[:start], self._answer(rest)
        hold = partial_match(text, self._ends)
        self._held = text[len(text) - hold :]
        return text[: len(text) - hold], ""

    def flush(self) -> tuple[str, str]:
        """The end of the stream: what looked like a tag was none."""
        held, self._held = self._held, ""
        return held, ""

    def _answer(self, text: str) -> str:
        if not self._answer_begun:
            text = text.lstrip("\r\n")
            self._answer_begun = bool(text)
        return text
