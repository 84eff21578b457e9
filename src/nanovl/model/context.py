"""Everything a forward pass needs besides its input rows.

The decoder always takes one packed token stream (t, d). A training pack, a prefill chunk and a
decode step are the same call with different contexts:

    training pack   several segments, no cache
    prefill         segments continue the sequences in their slots
    decode          segments of one token each, every one with a slot

There is no global "current context"; this object is passed explicitly.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch

from nanovl.core.errors import InputError
from nanovl.model.cache import HybridCache

__all__ = ["ForwardContext"]


@dataclass(frozen=True, kw_only=True)
class ForwardContext:
    """Segments of a token stream, and where their past is kept.

    Attributes:
        cu_seqlens: Segment borders 0 = b_0 < b_1 < ... = t.
        cache: Memory of earlier tokens; None computes every segment from nothing.
        slots: The cache slot of every segment; empty without a cache.
    """

    cu_seqlens: tuple[int, ...]
    cache: HybridCache | None = None
    slots: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "cu_seqlens", tuple(int(b) for b in self.cu_seqlens))
        borders = self.cu_seqlens
        if (
            len(borders) < 2
            or borders[0] != 0
            or any(b <= a for a, b in itertools.pairwise(borders))
        ):
            raise InputError(f"cu_seqlens {borders}: expected borders rising from 0")
        if self.cache is None:
            if self.slots:
                raise InputError(f"slots {self.slots} given without a cache")
            return
        if len(self.slots) != self.num_segments or len(set(self.slots)) != len(self.slots):
            raise InputError(
                f"{self.num_segments} segments need as many different cache slots, got {self.slots}"
            )
        if any(not 0 <= slot < self.cache.num_slots for slot in self.slots):
            raise InputError(f"slots {self.slots}: the cache has {self.cache.num_slots}")

    @classmethod
    def single(cls, tokens: int, cache: HybridCache | None = None, slot: int = 0) -> ForwardContext:
        """One segment of that many tokens."""
        return cls(cu_seqlens=(0, tokens), cache=cache, slots=() if cache is None else (slot,))

    @property
    def num_tokens(self) -> int:
        """Rows of the stream."""
        return self.cu_seqlens[-1]

    @property
    def num_segments(self) -> int:
        """Sequences in the stream."""
        return len(self.cu_seqlens) - 1

    @property
    def is_decode(self) -> bool:
        """Whether every segment is one token that continues a cached sequence."""
        return self.cache is not None and self.num_tokens == self.num_segments

    @property
    def segments(self) -> list[tuple[int, int]]:
        """(start, stop) of every segment."""
        return list(zip(self.cu_seqlens[:-1], self.cu_seqlens[1:], strict=True))

    def seq_idx(self, device: torch.device) -> torch.Tensor | None:
        """Segment number of every token (t,), or None for a single segment."""
        if self.num_segments == 1:
            return None
        lengths = torch.tensor([b - a for a, b in self.segments])
        return torch.repeat_interleave(torch.arange(self.num_segments), lengths).to(device)

    def last_rows(self) -> list[int]:
        """Row of the last token of every segment."""
        return [stop - 1 for stop in self.cu_seqlens[1:]]
