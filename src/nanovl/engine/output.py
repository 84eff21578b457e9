"""One sequence's ids on their way to the caller: characters, reasoning, tool calls, stop strings.

    ids -> Detokenizer -> ReasoningSplitter -> ToolCallParser -> StopMatcher -> pieces

Stop strings are looked for in visible answer text only. Accumulates what it emitted, so the final
text is the joined pieces by construction. Chooses no token and ends no sequence.

Source: serving specification, sections 4 and 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nanovl.core.conversation import ToolCall
from nanovl.core.generation import ToolCallDelta
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
        include_stop: Whether the stop string that was found is part of the text.

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
        include_stop: bool = False,
    ) -> None:
        self.text = ""
        self.reasoning = ""
        self.reasoning_tokens = 0
        self._thought = thinking
        self._detokenizer = Detokenizer(token_bytes)
        self._splitter = ReasoningSplitter(thinking, tools=tools)
        self._tools = ToolCallParser() if tools else None
        self._stops = StopMatcher(stops, include=include_stop)

    @property
    def matched_stop(self) -> str | None:
        """The stop string that was found."""
        return self._stops.matched

    @property
    def reasoning_over(self) -> bool:
        """Whether what comes next belongs to the answer."""
        return not self._splitter.thinking

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """Calls that are complete; after `finish` also one that was cut off."""
        return tuple(self._tools.calls) if self._tools else ()

    @property
    def tool_call_ids(self) -> tuple[str, ...]:
        """Identifiers of the calls that have begun, in the order of their index."""
        return tuple(self._tools.ids) if self._tools else ()

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
        last = ""
        if self._tools and self._stops.matched is None:
            last = self._stops.feed(self._tools.flush())
        last += self._stops.flush()
        self.text += last
        return reasoning + more_reasoning, text + more_text + last

    def take_tool_deltas(self) -> tuple[ToolCallDelta, ...]:
        """Pieces of tool calls that came since the last time.

        Pieces joined are the arguments of the finished call.
        """
        if self._tools is None:
            return ()
        ids = self._tools.ids
        return tuple(
            d if d.name is None else replace(d, id=ids[d.index]) for d in self._tools.take_deltas()
        )

    def _emit(self, reasoning: str, text: str) -> tuple[str, str]:
        if self._stops.matched is not None:
            text = ""
        elif self._tools:
            text = self._tools.feed(text)
        text = self._stops.feed(text)
        self.reasoning += reasoning
        self.text += text
        return reasoning, text
