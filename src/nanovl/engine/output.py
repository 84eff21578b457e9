"""One sequence's ids on their way to the caller: characters, reasoning, tool calls, stop strings.

    ids -> Detokenizer -> ReasoningSplitter -> ToolCallParser -> StopMatcher -> pieces

Stop strings are looked for in visible answer text only. Accumulates what it emitted, so the final
text is the joined pieces by construction.
"""

from __future__ import annotations

from collections.abc import Sequence

from nanovl.core.conversation import ToolCall
from nanovl.engine.detokenize import Detokenizer, StopMatcher, TokenBytes
from nanovl.engine.reasoning import ReasoningSplitter
from nanovl.engine.tools import ToolCallParser

__all__ = ["OutputStream"]


class OutputStream:
    """Text side of one sequence.

    Args:
        token_bytes: Ids to the bytes they stand for.
        thinking: Whether the prompt ends with an open `<think>`.
        tools: Whether the request offers tools; without them a call is plain text.
        stops: Stop strings.

    Attributes:
        text, reasoning: Everything emitted so far.
        reasoning_tokens: Ids that belong to the reasoning, closing tag included.
    """

    def __init__(
        self,
        token_bytes: TokenBytes,
        *,
        thinking: bool = False,
        tools: bool = False,
        stops: Sequence[str] = (),
    ) -> None:
        self.text = ""
        self.reasoning = ""
        self.reasoning_tokens = 0
        self._thought = thinking
        self._detokenizer = Detokenizer(token_bytes)
        self._splitter = ReasoningSplitter(thinking, tools=tools)
        self._tools = ToolCallParser() if tools else None
        self._stops = StopMatcher(stops)

    @property
    def matched_stop(self) -> str | None:
        """The stop string that was found."""
        return self._stops.matched

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """Calls that are complete."""
        return tuple(self._tools.calls) if self._tools else ()

    @property
    def reasoning_or_none(self) -> str | None:
        """The reasoning, or None if the prompt asked for none."""
        return self.reasoning if self._thought else None

    def feed(self, token_id: int, *, forced: bool = False) -> tuple[str, str]:
        """Take one id.

        Args:
            token_id: Not a stop token.
            forced: Whether the budget machine put it there.

        Returns:
            New reasoning and new answer text.
        """
        if self._splitter.thinking or forced:
            self.reasoning_tokens += 1
        return self._emit(*self._splitter.feed(self._detokenizer.feed(token_id)))

    def finish(self) -> tuple[str, str]:
        """The end of the sequence: give out what was held back."""
        reasoning, text = self._emit(*self._splitter.feed(self._detokenizer.flush()))
        more_reasoning, more_text = self._emit(*self._splitter.flush())
        last = self._stops.feed(self._tools.flush()) if self._tools else ""
        last += self._stops.flush()
        self.text += last
        return reasoning + more_reasoning, text + more_text + last

    def _emit(self, reasoning: str, text: str) -> tuple[str, str]:
        if self._tools:
            text = self._tools.feed(text)
        text = self._stops.feed(text)
        self.reasoning += reasoning
        self.text += text
        return reasoning, text
