"""Everything a forward pass needs besides its input rows.

The decoder always takes one packed token stream (t, d). A training pack, a prefill chunk and a
decode step are the same call with different contexts:

    training pack   several segments, no cache
    prefill         segments continue the sequences in their slots
    decode          segments of one token each, every one with a slot

A training pack may be spread over several ranks: then the stream holds this rank's rows only, the
segments are still those of the whole pack, and the two mixers that look at other tokens ask
`parallel` to do it. Process groups stay outside; this room knows the interface alone.

There is no global "current context"; this object is passed explicitly.

Source: training specification, section 7.4.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import torch

from nanovl.core.errors import InputError
from nanovl.model.cache import HybridCache, LayerStates
from nanovl.model.ssm import SSMParameters

__all__ = ["ForwardContext", "ParallelContext"]


class ParallelContext(Protocol):
    """How the rows of one pack, spread over ranks, see each other.

    Letters: t tokens of the whole pack, r rows of this rank.
    """

    def num_rows(self, tokens: int) -> int:
        """Rows of a pack of that many tokens that this rank holds.

        Raises:
            InputError: The pack cannot be spread evenly.
        """
        ...

    def attention(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, cu_seqlens: tuple[int, ...]
    ) -> torch.Tensor:
        """Block-diagonal causal attention.

        Args:
            q: (r, heads, head width).
            k, v: (r, KV heads, head width).
            cu_seqlens: Segment borders of the whole pack.

        Returns:
            Like `q`.
        """
        ...

    def conv_scan(
        self,
        xbc: torch.Tensor,
        dt_raw: torch.Tensor,
        parameters: SSMParameters,
        *,
        cu_seqlens: tuple[int, ...],
        seq_idx: torch.Tensor | None,
    ) -> torch.Tensor:
        """Convolution and scan of a Mamba layer.

        Args:
            xbc: (r, channels of x, B and C).
            dt_raw: (r, heads).
            parameters: Of all heads.
            cu_seqlens: Segment borders of the whole pack.
            seq_idx: Segment of every token of the whole pack (t,); None for a single segment.

        Returns:
            (r, heads, head width).
        """
        ...


@dataclass(frozen=True, kw_only=True)
class ForwardContext:
    """Segments of a token stream, and where their past is kept.

    Attributes:
        cu_seqlens: Segment borders 0 = b_0 < b_1 < ... = t, of the whole pack.
        cache: Memory of earlier tokens; None computes every segment from nothing.
        slots: The cache slot of every segment; empty without a cache.
        captures: Places inside segments whose Mamba states are wanted: segment -> rising
            (tokens of the segment before it, where to put them).
        parallel: How other ranks' rows are reached; None when all rows are here.
    """

    cu_seqlens: tuple[int, ...]
    cache: HybridCache | None = None
    slots: tuple[int, ...] = ()
    captures: Mapping[int, Sequence[tuple[int, LayerStates]]] = field(default_factory=dict)
    parallel: ParallelContext | None = None
    _seq_idx: dict[torch.device, torch.Tensor] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _tables: dict[str, tuple[torch.Tensor, torch.Tensor, int]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "cu_seqlens", tuple(int(b) for b in self.cu_seqlens))
        borders = self.cu_seqlens
        if (
            len(borders) < 2
            or borders[0] != 0
            or any(b <= a for a, b in itertools.pairwise(borders))
        ):
            raise InputError(f"cu_seqlens {borders}: expected borders rising from 0")
        if self.parallel is not None:
            if self.cache is not None:
                raise InputError(
                    "a pack spread over ranks cannot use a cache; pass either parallel or cache"
                )
            self.parallel.num_rows(borders[-1])
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
        """Tokens of all segments."""
        return self.cu_seqlens[-1]

    @property
    def num_rows(self) -> int:
        """Rows of the stream that are here: all tokens, or this rank's part of them."""
        tokens = self.num_tokens
        return tokens if self.parallel is None else self.parallel.num_rows(tokens)

    @property
    def num_segments(self) -> int:
        """Sequences in the stream."""
        return len(self.cu_seqlens) - 1

    @cached_property
    def num_steps(self) -> int:
        """Leading segments that are one token of a cached sequence: they are decoded together."""
        if self.cache is None:
            return 0
        segments = range(self.num_segments)
        wanted = (i for i in segments if self.cu_seqlens[i + 1] > i + 1 or i in self.captures)
        return next(wanted, self.num_segments)

    @property
    def is_decode(self) -> bool:
        """Whether every segment is one token that continues a cached sequence."""
        return self.cache is not None and self.num_tokens == self.num_segments

    def step_table(self) -> tuple[torch.Tensor, torch.Tensor, int]:
        """Where the keys of the leading one-token segments lie, the new one's place included."""
        if "steps" not in self._tables:  # every attention layer asks
            assert self.cache is not None
            self._tables["steps"] = self.cache.step_table(self.slots[: self.num_steps])
        return self._tables["steps"]

    @cached_property
    def segments(self) -> list[tuple[int, int]]:
        """(start, stop) of every segment."""
        return list(zip(self.cu_seqlens[:-1], self.cu_seqlens[1:], strict=True))

    def seq_idx(self, device: torch.device) -> torch.Tensor | None:
        """Segment number of every token (t,), or None for a single segment."""
        if self.num_segments == 1:
            return None
        if device not in self._seq_idx:  # every Mamba layer asks
            lengths = torch.tensor([b - a for a, b in self.segments])
            numbers = torch.repeat_interleave(torch.arange(self.num_segments), lengths)
            self._seq_idx[device] = numbers.to(device)
        return self._seq_idx[device]

    def last_rows(self) -> list[int]:
        """Row of the last token of every segment.

        Raises:
            InputError: The stream is spread over ranks.
        """
        if self.parallel is not None:
            raise InputError(
                "the last rows of segments are not all on this rank; ask for rows by index"
            )
        return [stop - 1 for stop in self.cu_seqlens[1:]]
