"""Context parallelism: one pack spread over several ranks.

The pack is cut into 2 q equal chunks; rank r of q holds chunks r and 2 q - 1 - r ("zig-zag"), so
that causal attention costs every rank the same. Everything per token is local. Attention gathers
keys and values; a Mamba layer either trades tokens for heads ("heads") or scans contiguous slices
and passes states on ("state"). Segments of the pack never see each other in either.

Parameters are copies on every rank: each rank's backward pass gives the part of the gradient that
comes from its own rows, and the sum over ranks is the gradient. Must not reduce gradients itself
(FSDP does) and must not know losses or optimizers.

Letters: q ranks, t tokens of the pack, l tokens of a chunk (t / 2 q), h heads, p head width,
k KV heads, e attention head width, g groups, n state, c channels.

Source: training specification, sections 7.2 to 7.4.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
import torch.distributed as dist

from nanovl.core.config import nearest
from nanovl.core.errors import ConfigError, InputError
from nanovl.model.ssm import SSMParameters, conv_scan, require_segment_numbers
from nanovl.ops.attention import segment_attention
from nanovl.ops.conv import causal_conv
from nanovl.ops.ssd import ssd_scan
from nanovl.ops.ssd_passing import (
    add_incoming,
    decay_of,
    incoming_state,
    run_log_decay,
    slice_borders,
)
from nanovl.train.collectives import all_gather, all_to_all, keep_edge

__all__ = [
    "ContextParallel",
    "MambaMode",
    "check_heads",
    "from_zigzag",
    "to_zigzag",
    "zigzag_indices",
]

MambaMode = Literal["heads", "state"]


def zigzag_indices(tokens: int, size: int, rank: int) -> torch.Tensor:
    """Positions in the pack of the rows a rank holds, rising: int64 (tokens / size,).

    Args:
        tokens: Length of the pack, a multiple of 2 * size.
        size: Ranks.
        rank: This one.

    Raises:
        InputError: Another length.
    """
    return torch.cat([torch.arange(*span) for span in _zigzag_spans(tokens, size, rank)])


def _zigzag_spans(tokens: int, size: int, rank: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """(start, stop) of the two chunks of a rank."""
    if tokens % (2 * size) or not tokens:
        raise InputError(
            f"context parallelism: a pack of {tokens} tokens cannot be cut into {2 * size} equal "
            f"chunks; pad packs to a multiple of {2 * size}"
        )
    l, last = tokens // (2 * size), 2 * size - 1 - rank
    return (rank * l, (rank + 1) * l), (last * l, (last + 1) * l)


def from_zigzag(parts: torch.Tensor) -> torch.Tensor:
    """Rows of all ranks, in rank order (q, 2 l, ...), to the order of the pack (t, ...)."""
    halves = parts.unflatten(1, (2, -1))  # (q, 2, l, ...)
    return torch.cat([halves[:, 0], halves[:, 1].flip(0)]).flatten(0, 1)


def to_zigzag(full: torch.Tensor, size: int) -> torch.Tensor:
    """Rows in the order of the pack (t, ...) to what each of `size` ranks holds (q, 2 l, ...)."""
    chunks = full.unflatten(0, (2 * size, -1))  # (2 q, l, ...)
    return torch.stack([chunks[:size], chunks[size:].flip(0)], dim=1).flatten(1, 2)


def check_heads(num_heads: int, num_groups: int, size: int) -> None:
    """Refuse Mamba shapes whose heads cannot be dealt out to `size` ranks.

    Raises:
        ConfigError: Heads or groups do not divide.
    """
    if num_heads % size or (num_groups % size and size % num_groups):
        raise ConfigError(
            f"parallel.cp_mamba=heads: {num_heads} Mamba heads in {num_groups} groups cannot be "
            f"dealt out to {size} context-parallel ranks; heads must be a multiple of {size} and "
            f"groups a multiple or a divisor of it. Use parallel.cp_mamba=state"
        )


@dataclass(frozen=True)
class ContextParallel:
    """`ParallelContext` over a process group.

    Args:
        group: The ranks that share a pack; None is the whole world.
        cp_mamba: How Mamba layers work: "heads" or "state".
    """

    group: dist.ProcessGroup | None = None
    cp_mamba: MambaMode = "heads"

    def __post_init__(self) -> None:
        modes = get_args(MambaMode)
        if self.cp_mamba not in modes:
            raise ConfigError(
                f"parallel.cp_mamba {self.cp_mamba!r}: expected one of {', '.join(modes)}"
                f"{nearest(self.cp_mamba, modes)}"
            )

    @property
    def size(self) -> int:
        """q."""
        return dist.get_world_size(self.group)

    @property
    def rank(self) -> int:
        """Of this process in the group."""
        return dist.get_rank(self.group)

    @property
    def alignment(self) -> int:
        """Packs must be a multiple of this many tokens."""
        return 2 * self.size

    def spans(self, tokens: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """(start, stop) in the pack of this rank's two runs of rows."""
        return _zigzag_spans(tokens, self.size, self.rank)

    def num_rows(self, tokens: int) -> int:
        """Rows of a pack of that many tokens held here.

        Raises:
            InputError: Not a multiple of `alignment`.
        """
        return sum(stop - start for start, stop in self.spans(tokens))

    def positions(self, tokens: int) -> torch.Tensor:
        """Position in the pack of every row held here: int64 (t / q,)."""
        return zigzag_indices(tokens, self.size, self.rank)

    def shard(self, full: torch.Tensor) -> torch.Tensor:
        """This rank's rows (t / q, ...) of a tensor all ranks have (t, ...).

        The gradient of the other rows is zero here; summed over ranks it is whole.
        """
        return torch.cat([full[start:stop] for start, stop in self.spans(full.shape[0])])

    def unshard(self, local: torch.Tensor) -> torch.Tensor:
        """Rows of all ranks in the order of the pack: (t / q, ...) to (t, ...)."""
        return from_zigzag(all_gather(local, self.group))

    def locate(self, positions: torch.Tensor, tokens: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Which positions of the pack are held here, and in which row.

        Args:
            positions: int64 (j,).
            tokens: Length of the pack.

        Returns:
            Indices into `positions` of those held here, and their local rows, both int64.
        """
        (a, b), (c, d) = self.spans(tokens)
        first = (positions >= a) & (positions < b)
        second = (positions >= c) & (positions < d)
        chosen = (first | second).nonzero()[:, 0]
        rows = torch.where(first, positions - a, positions - c + (b - a))
        return chosen, rows[chosen]

    # Attention

    def attention(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, cu_seqlens: tuple[int, ...]
    ) -> torch.Tensor:
        """This rank's queries against all keys of their segments before them.

        Args:
            q: (t / q, h, e).
            k, v: (t / q, k, e).
            cu_seqlens: Segment borders of the whole pack.

        Returns:
            (t / q, h, e).
        """
        kv = self.unshard(torch.stack([k, v], dim=1))  # (t, 2, k, e)
        # Splitting (instead of slicing) keeps the backward pass from making one tensor as long as
        # the pack per segment.
        segments = kv.split([b - a for a, b in itertools.pairwise(cu_seqlens)])
        work = list(_overlaps(self.spans(kv.shape[0]), cu_seqlens))
        queries = q.split([count for _, _, count in work])
        parts = []
        for (segment, past, count), rows in zip(work, queries, strict=True):
            keys, values = segments[segment][: past + count].permute(1, 2, 0, 3)  # (k, r, e)
            parts.append(segment_attention(rows, keys, values, past=past))
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    # Mamba

    def conv_scan(
        self,
        xbc: torch.Tensor,
        dt_raw: torch.Tensor,
        parameters: SSMParameters,
        *,
        cu_seqlens: tuple[int, ...],
        seq_idx: torch.Tensor | None,
    ) -> torch.Tensor:
        """Convolution and scan of a Mamba layer; see `ParallelContext.conv_scan`.

        Raises:
            ConfigError: `cp_mamba` is "heads" and heads or groups do not divide.
            InputError: Several segments without `seq_idx`.
        """
        require_segment_numbers(cu_seqlens, seq_idx)
        if self.cp_mamba == "heads":
            return self._scan_heads(xbc, dt_raw, parameters, cu_seqlens, seq_idx)
        return self._scan_slices(xbc, dt_raw, parameters, cu_seqlens, seq_idx)

    def _scan_heads(
        self,
        xbc: torch.Tensor,
        dt_raw: torch.Tensor,
        parameters: SSMParameters,
        cu_seqlens: tuple[int, ...],
        seq_idx: torch.Tensor | None,
    ) -> torch.Tensor:
        """Every rank scans the whole pack for its share of the heads."""
        check_heads(parameters.num_heads, parameters.num_groups, self.size)
        own = _share_of(parameters, self.size, self.rank)
        send = _deal(xbc, dt_raw, parameters, self.size)  # (q, t / q, c of a rank)
        full = from_zigzag(self._exchange_blocks(send))  # (t, c of a rank)
        channels = own.conv_weight.shape[0]
        y = conv_scan(
            full[:, :channels], full[:, channels:], own, cu_seqlens=cu_seqlens, seq_idx=seq_idx
        )
        back = self._exchange_blocks(to_zigzag(y.flatten(1), self.size))
        rows = back.transpose(0, 1).flatten(1)  # (t / q, h p)
        return rows.unflatten(-1, (parameters.num_heads, parameters.head_dim))

    def _exchange_blocks(self, blocks: torch.Tensor) -> torch.Tensor:
        """Block i to rank i: (q, rows, c) to (q, rows, c)."""
        return all_to_all(blocks.flatten(0, 1), self.group).view_as(blocks)

    def _scan_slices(
        self,
        xbc: torch.Tensor,
        dt_raw: torch.Tensor,
        parameters: SSMParameters,
        cu_seqlens: tuple[int, ...],
        seq_idx: torch.Tensor | None,
    ) -> torch.Tensor:
        """Every rank scans the r-th slice of the pack for all heads, then adds what came before."""
        rows = xbc.shape[0]
        start = self.rank * rows
        borders, segment_start = slice_borders(cu_seqlens, start, start + rows)
        joined = self._to_slices(torch.cat([xbc, dt_raw], dim=-1))
        xbc, dt_raw = joined.split([xbc.shape[1], dt_raw.shape[1]], dim=-1)
        conv = causal_conv(
            xbc,
            parameters.conv_weight,
            parameters.conv_bias,
            state=self._halo(xbc, parameters.conv_weight.shape[-1] - 1, start - segment_start),
            seq_idx=None if seq_idx is None else seq_idx[start : start + rows],
        )
        x, B, C = parameters.split(conv)
        dt = parameters.step_sizes(dt_raw)
        y, ends = ssd_scan(
            x,
            dt,
            parameters.A,
            B,
            C,
            parameters.D.to(dt.dtype),
            chunk_size=parameters.chunk_size,
            cu_seqlens=borders,
        )
        # Slices between the start of this segment and here hold nothing but this segment.
        before = range(segment_start // rows, self.rank)
        log_decay = run_log_decay(dt[: borders[1]], parameters.A)
        y = self._pass_states(y, ends[-1], C, log_decay, whole=len(borders) == 2, before=before)
        return self._from_slices(y.flatten(1)).view_as(y)

    def _halo(self, xbc: torch.Tensor, count: int, known: int) -> torch.Tensor:
        """The rows in front of this slice (count, c); zeros where the segment had not begun.

        Args:
            xbc: Rows of the slice.
            count: Rows wanted.
            known: Rows of the same segment in front of the slice.
        """
        tail = min(count, xbc.shape[0])
        tails = all_gather(xbc[xbc.shape[0] - tail :], self.group).flatten(0, 1)
        stop = self.rank * tail
        here = min(count, known)
        return torch.cat([xbc.new_zeros(count - here, xbc.shape[1]), tails[stop - here : stop]])

    def _pass_states(
        self,
        y: torch.Tensor,
        end: torch.Tensor,
        C: torch.Tensor,
        log_decay: torch.Tensor,
        *,
        whole: bool,
        before: range,
    ) -> torch.Tensor:
        """Add what earlier slices left behind to the output of a scan from zero.

        Args:
            y: (rows, h, p).
            end: State after the slice (h, p, n).
            C: (rows, g, n).
            log_decay: Of the first run (run, h).
            whole: Whether the slice is a single segment, and state runs through it.
            before: Earlier slices that share the segment of this one's first token.
        """
        h = log_decay.shape[1]
        decay = decay_of(log_decay[-1]) if whole else log_decay.new_zeros(h)
        gathered = all_gather(torch.cat([end.flatten(), decay.to(end.dtype)]), self.group)
        if not before:
            return keep_edge(y, gathered)
        ends, decays = gathered[before.start : before.stop].split([end.numel(), h], dim=1)
        state = incoming_state(ends.unflatten(1, end.shape), decays)
        return add_incoming(y, C, log_decay, state)

    # Zig-zag to slices: rank r wants chunks 2 r and 2 r + 1 of the pack.

    def _owner(self, chunk: int) -> int:
        """The rank that holds a chunk in the zig-zag layout."""
        return chunk if chunk < self.size else 2 * self.size - 1 - chunk

    def _moves(self, l: int) -> tuple[list[int], list[int], bool]:
        """Rows for each rank, rows from each rank, and whether the two chunks arrive swapped."""
        size, rank = self.size, self.rank
        send, receive = [0] * size, [0] * size
        for chunk in (rank, 2 * size - 1 - rank):
            send[chunk // 2] += l
        for chunk in (2 * rank, 2 * rank + 1):
            receive[self._owner(chunk)] += l
        return send, receive, self._owner(2 * rank) > self._owner(2 * rank + 1)

    def _to_slices(self, rows: torch.Tensor) -> torch.Tensor:
        """This rank's zig-zag rows for its slice of the pack: (t / q, c) to (t / q, c)."""
        l = rows.shape[0] // 2
        send, receive, swapped = self._moves(l)
        out = all_to_all(rows, self.group, send=send, receive=receive)
        return _swap_halves(out) if swapped else out

    def _from_slices(self, rows: torch.Tensor) -> torch.Tensor:
        """The way back of `_to_slices`."""
        l = rows.shape[0] // 2
        send, receive, swapped = self._moves(l)
        rows = _swap_halves(rows) if swapped else rows
        return all_to_all(rows, self.group, send=receive, receive=send)


def _swap_halves(rows: torch.Tensor) -> torch.Tensor:
    first, second = rows.chunk(2)
    return torch.cat([second, first])


def _overlaps(
    spans: Iterable[tuple[int, int]], cu_seqlens: tuple[int, ...]
) -> Iterable[tuple[int, int, int]]:
    """(segment, tokens of it before, tokens of it inside) for all segments that touch the spans."""
    for start, stop in spans:
        for segment, (a, b) in enumerate(itertools.pairwise(cu_seqlens)):
            first, last = max(a, start), min(b, stop)
            if first < last:
                yield segment, first - a, last - first


def _deal(
    xbc: torch.Tensor, dt_raw: torch.Tensor, parameters: SSMParameters, size: int
) -> torch.Tensor:
    """Channels of local rows sorted by the rank that scans them: (q, rows, c of a rank).

    With fewer groups than ranks, every rank of a group gets a copy of its B and C.
    """
    x, B, C = xbc.split([parameters.inner_size, parameters.bc_size, parameters.bc_size], dim=-1)
    copies = max(1, size // parameters.num_groups)

    def dealt(bc: torch.Tensor) -> torch.Tensor:
        shares = bc.unflatten(-1, (size // copies, 1, -1)).expand(-1, -1, copies, -1)
        return shares.flatten(1, 2)  # (rows, q, c)

    parts = (x.unflatten(-1, (size, -1)), dealt(B), dealt(C), dt_raw.unflatten(-1, (size, -1)))
    return torch.cat([part.transpose(0, 1) for part in parts], dim=-1)


def _share_of(parameters: SSMParameters, size: int, rank: int) -> SSMParameters:
    """Parameters of a rank's heads: views, so that gradients reach the whole ones."""
    heads = parameters.num_heads // size
    groups = max(1, parameters.num_groups // size)
    first_group = rank * parameters.num_groups // size
    n, inner, bc = parameters.state_size, parameters.inner_size, parameters.bc_size
    width = inner // size
    ranges = [
        (rank * width, width),
        (inner + first_group * n, groups * n),
        (inner + bc + first_group * n, groups * n),
    ]

    def rows(tensor: torch.Tensor) -> torch.Tensor:
        return torch.cat([tensor.narrow(0, start, count) for start, count in ranges])

    own = slice(rank * heads, (rank + 1) * heads)
    return replace(
        parameters,
        conv_weight=rows(parameters.conv_weight),
        conv_bias=None if parameters.conv_bias is None else rows(parameters.conv_bias),
        dt_bias=parameters.dt_bias[own],
        A=parameters.A[own],
        D=parameters.D[own],
        num_groups=groups,
    )
