"""Places of earlier prompts and answers from which a new prompt can go on.

A hybrid model can go on only from where both the attention blocks and the states of its Mamba
layers are known, so what is kept are snapshots at chosen places, and a prompt goes on from the
longest one that is a prefix of it. Prefixes are compared id by id, not by hash; pictures stand in
for their tokens with numbers made of their content.

Source: serving specification, section 7.5.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nanovl.core.layout import TokenLayout
from nanovl.model.cache import HybridCache, Snapshot

__all__ = ["Keys", "PrefixCache", "prompt_keys", "prompt_marks"]

Keys = np.ndarray[tuple[int], np.dtype[np.int64]]

# Shorter prefixes cost less to compute than to look after.
MIN_TOKENS = 32
# Longer prompts also get snapshots inside, so that other prompts may leave them on the way.
_EVERY = 2048
# Numbers of pictures cannot be guessed from outside.
_SECRET = secrets.token_bytes(16)


def prompt_keys(layout: TokenLayout, names: Sequence[bytes | None]) -> Keys:
    """One number per token: its id, or for visual tokens one made of the picture's name.

    Args:
        layout: Videos already written again after pruning; others get numbers of their own.
        names: Per span, None where it has none: then nothing else equals it.
    """
    keys = np.array(layout.input_ids, dtype=np.int64)
    for span, name in zip(layout.spans, names, strict=True):
        secret = secrets.token_bytes(16) if name is None else _SECRET + name
        first = int.from_bytes(hashlib.blake2b(secret, digest_size=7).digest(), "little")
        block = keys[span.start : span.start + span.length]
        visual = block == layout.placeholder
        block[visual] = -1 - first - np.arange(int(visual.sum()), dtype=np.int64)
        if name is None:  # where a pruned video keeps its tokens is not known yet
            block[~visual] = -1 - first - span.num_tokens - np.arange(int((~visual).sum()))
    return keys


def prompt_marks(layout: TokenLayout, turn_ids: frozenset[int]) -> list[int]:
    """Where later prompts are likely to leave this one: lengths of prefixes, rising.

    In front of every turn, the answer's included, behind every picture, and now and then inside.

    Args:
        layout: The prompt.
        turn_ids: Ids that begin a turn.
    """
    total = layout.num_tokens
    marks = {i for i, token in enumerate(layout.input_ids) if token in turn_ids}
    marks |= {span.start + span.length for span in layout.spans}
    if total > 2 * _EVERY:
        marks |= set(range(_EVERY, total, _EVERY))
    return sorted(m for m in marks if MIN_TOKENS <= m < total)


@dataclass
class _Entry:
    keys: Keys  # may be longer than the prefix: shared by all snapshots of a sequence
    snapshot: Snapshot


class PrefixCache:
    """Snapshots under what led to them.

    Args:
        cache: Where their blocks are.
        max_bytes: Of the states of all snapshots; their attention blocks are the cache's, which
            takes them back when it runs short.

    Attributes:
        queries, hits: Tokens of prompts, and of those that began at a snapshot; counted by whoever
            uses it.
    """

    def __init__(self, cache: HybridCache, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.nbytes = 0
        self.queries = 0
        self.hits = 0
        self._cache = cache
        # Least recently used first; the salt keeps tenants apart.
        self._entries: OrderedDict[tuple[str, int, bytes], _Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, keys: Keys, salt: str = "") -> Snapshot | None:
        """The longest snapshot in front of the last token."""
        best: tuple[str, int, bytes] | None = None
        for name, entry in self._entries.items():
            length = entry.snapshot.length
            longer = length < len(keys) and (best is None or length > best[1])
            same = name[0] == salt and longer
            if same and np.array_equal(entry.keys[:length], keys[:length]):
                best = name
        if best is None:
            return None
        self._entries.move_to_end(best)
        return self._entries[best].snapshot

    def wants(self, keys: Keys, length: int, salt: str = "") -> bool:
        """Whether a snapshot there would be kept and is not there yet."""
        return (
            bool(self.max_bytes)
            and length >= MIN_TOKENS
            and (salt, length, _digest(keys, length)) not in self._entries
        )

    def put(self, keys: Keys, snapshot: Snapshot, salt: str = "") -> None:
        """Take a snapshot over."""
        size = snapshot.states.nbytes
        name = (salt, snapshot.length, _digest(keys, snapshot.length))
        if name in self._entries or size > self.max_bytes:
            self._cache.drop(snapshot)
            return
        self._entries[name] = _Entry(keys, snapshot)
        self.nbytes += size
        while self.nbytes > self.max_bytes:
            self.drop_oldest()

    def drop_oldest(self, keep: Snapshot | None = None) -> bool:
        """Make room; whether there was anything to drop besides `keep`."""
        for name, entry in self._entries.items():
            if entry.snapshot is not keep:
                del self._entries[name]
                self.nbytes -= entry.snapshot.states.nbytes
                self._cache.drop(entry.snapshot)
                return True
        return False

    def clear(self) -> None:
        """Forget everything."""
        while self.drop_oldest():
            pass


def _digest(keys: Keys, length: int) -> bytes:
    return hashlib.blake2b(keys[:length].tobytes(), digest_size=16).digest()
