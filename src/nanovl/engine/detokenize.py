"""Token ids to text, piece by piece, and the strings that end an answer.

What leaves here is final: an incomplete UTF-8 character and the possible beginning of a stop
string are held back until they are decided, so the pieces joined always equal the text decoded at
once. Knows ids only through the bytes they stand for.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Sequence

__all__ = ["Detokenizer", "StopMatcher", "partial_match"]

TokenBytes = Callable[[Sequence[int]], bytes]


def partial_match(text: str, words: Sequence[str]) -> int:
    """Length of the longest end of `text` that begins, but does not complete, one of `words`.

    Example:
        >>> partial_match("so </th", ["</think>"])
        4
    """
    longest = min(len(text), max(map(len, words), default=1) - 1)
    for length in range(longest, 0, -1):
        end = text[-length:]
        if any(len(word) > length and word.startswith(end) for word in words):
            return length
    return 0


class Detokenizer:
    """Bytes of tokens to complete characters.

    Args:
        token_bytes: The bytes a list of ids stands for; nothing for control tokens.
    """

    def __init__(self, token_bytes: TokenBytes) -> None:
        self._token_bytes = token_bytes
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, token_id: int) -> str:
        """The characters that are complete with this token."""
        return self._decoder.decode(self._token_bytes((token_id,)))

    def flush(self) -> str:
        """What is left: an unfinished character becomes U+FFFD."""
        return self._decoder.decode(b"", final=True)

    @property
    def is_mid_character(self) -> bool:
        """Whether the last token ended inside a character."""
        return bool(self._decoder.getstate()[0])


class StopMatcher:
    """Finds the first stop string in a stream of text.

    The string that is completed first ends the text, wherever the pieces were cut; of several
    completed by the same character the longest counts.

    Args:
        stops: Stop strings, none of them empty.
        include: Whether the string that was found is part of the text.

    Attributes:
        matched: The string that was found, or None.
    """

    def __init__(self, stops: Sequence[str] = (), *, include: bool = False) -> None:
        self._stops = tuple(stops)
        self._include = include
        self._held = ""
        self.matched: str | None = None

    def feed(self, text: str) -> str:
        """Text that may be shown; nothing more once a stop string was found."""
        if self.matched is not None:
            return ""
        text = self._held + text
        found = [(text.find(s) + len(s), -len(s), s) for s in self._stops if s in text]
        if found:
            end, _, self.matched = min(found)
            self._held = ""
            return text[: end if self._include else end - len(self.matched)]
        hold = partial_match(text, self._stops)
        self._held = text[len(text) - hold :]
        return text[: len(text) - hold]

    def flush(self) -> str:
        """What was held back and turned out not to be a stop string."""
        text, self._held = self._held, ""
        return text
