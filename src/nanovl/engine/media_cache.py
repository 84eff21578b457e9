"""What the vision encoder made of pictures and videos, kept for the next question about them.

Results are named by content and processing (`processing.fingerprint`); a video's result is kept
after pruning. Knows no model.

Source: serving specification, section 7.6.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import torch

__all__ = ["Encoded", "MediaCache"]

# Where pruned videos kept their tokens is small, and says what prompts read without encoding.
_REMEMBERED_COUNTS = 4096


@dataclass(frozen=True)
class Encoded:
    """One picture or video as the decoder sees it.

    Attributes:
        tokens: Visual tokens (kept, d).
        counts: Kept tokens per frame of a pruned video, else None.
    """

    tokens: torch.Tensor
    counts: tuple[int, ...] | None


class MediaCache:
    """Least recently used results go first.

    Args:
        max_bytes: Of all tokens kept; 0 keeps nothing.

    Attributes:
        queries, hits: Pictures and videos of prompts, and those that were not encoded for them;
            counted by whoever uses it.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.nbytes = 0
        self.queries = 0
        self.hits = 0
        self._entries: OrderedDict[bytes, Encoded] = OrderedDict()
        self._counts: OrderedDict[bytes, tuple[int, ...]] = OrderedDict()

    def get(self, name: bytes | None) -> Encoded | None:
        """What is kept under a name."""
        found = None if name is None else self._entries.get(name)
        if found is not None:
            self._entries.move_to_end(name)  # type: ignore[arg-type]
        return found

    def counts(self, name: bytes | None) -> tuple[int, ...] | None:
        """Kept tokens per frame of a pruned video, also after its tokens are gone."""
        return None if name is None else self._counts.get(name)

    def put(self, name: bytes | None, encoded: Encoded) -> None:
        """Keep a result, if it is not larger than everything that may be kept."""
        size = encoded.tokens.nbytes
        if name is None or size > self.max_bytes or name in self._entries:
            return
        self._entries[name] = encoded
        self.nbytes += size
        while self.nbytes > self.max_bytes:
            _, oldest = self._entries.popitem(last=False)
            self.nbytes -= oldest.tokens.nbytes
        if encoded.counts is not None:
            self._counts[name] = encoded.counts
            while len(self._counts) > _REMEMBERED_COUNTS:
                self._counts.popitem(last=False)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._counts.clear()
        self.nbytes = 0
