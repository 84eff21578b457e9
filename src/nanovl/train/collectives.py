"""Collectives that gradients flow through.

Each is the exact transpose of itself in the backward pass: gather and sum-scatter, exchange and
exchange back. Every rank of the group must call them in the same order, forward and backward; the
autograd engine runs nodes from the last made to the first, so equal forward order is enough as long
as no rank drops a result from its graph (`keep_edge`). Must not know what the tensors mean.

Works on gloo (CPU) and NCCL. Letters: q ranks of the group.

Source: training specification, sections 7.4 and 7.5.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch.autograd import Function
from torch.autograd.function import once_differentiable

__all__ = ["all_gather", "all_to_all", "keep_edge"]


def _named(new: str, old: str) -> Callable[..., Any]:
    """PyTorch 2.13 renamed two collectives and warns about the old names."""
    return getattr(dist, new, None) or getattr(dist, old)


_gather_into = _named("all_gather_single", "all_gather_into_tensor")
_scatter_sum = _named("reduce_scatter_single", "reduce_scatter_tensor")


class _AllGather(Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, group: dist.ProcessGroup | None) -> torch.Tensor:
        ctx.group = group
        size = dist.get_world_size(group)
        out = x.new_empty(size * x.shape[0], *x.shape[1:])
        _gather_into(out, x.contiguous(), group=group)
        return out.view(size, *x.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None]:
        # Every rank used the gathered values; sums of bf16 over many ranks would lose bits.
        wide = torch.float64 if grad.dtype == torch.float64 else torch.float32
        total = grad.new_empty(grad.shape[1:], dtype=wide)
        _scatter_sum(total, grad.to(wide).flatten(0, 1).contiguous(), group=ctx.group)
        return total.to(grad.dtype), None


def all_gather(x: torch.Tensor, group: dist.ProcessGroup | None = None) -> torch.Tensor:
    """Bring the tensors of all ranks together.

    Args:
        x: At least one axis; the same shape on all ranks.
        group: None is the whole world.

    Returns:
        (q, *x.shape). The gradient of `x` is the sum over ranks of what each wants of it, added in
        fp32 (fp64).
    """
    return _AllGather.apply(x, group)


class _AllToAll(Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        group: dist.ProcessGroup | None,
        send: Sequence[int] | None,
        receive: Sequence[int] | None,
    ) -> torch.Tensor:
        ctx.group, ctx.send, ctx.receive = group, send, receive
        return _exchange(x, group, send, receive)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        return _exchange(grad, ctx.group, ctx.receive, ctx.send), None, None, None


def _exchange(
    x: torch.Tensor,
    group: dist.ProcessGroup | None,
    send: Sequence[int] | None,
    receive: Sequence[int] | None,
) -> torch.Tensor:
    rows = x.shape[0] if receive is None else sum(receive)
    out = x.new_empty(rows, *x.shape[1:])
    dist.all_to_all_single(
        out,
        x.contiguous(),
        output_split_sizes=None if receive is None else list(receive),
        input_split_sizes=None if send is None else list(send),
        group=group,
    )
    return out


def all_to_all(
    x: torch.Tensor,
    group: dist.ProcessGroup | None = None,
    *,
    send: Sequence[int] | None = None,
    receive: Sequence[int] | None = None,
) -> torch.Tensor:
    """Send block i of the rows to rank i, and line up what the ranks sent here.

    Args:
        x: Blocks along the first axis, in rank order; equal ones without `send` and `receive`.
        group: None is the whole world.
        send: Rows for each rank.
        receive: Rows from each rank; given together with `send`.

    Returns:
        (rows received, *x.shape[1:]).
    """
    return _AllToAll.apply(x, group, send, receive)


class _KeepEdge(Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        ctx.like = (other.shape, other.dtype, other.device)
        return x.view_as(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        shape, dtype, device = ctx.like
        return grad, torch.zeros(shape, dtype=dtype, device=device)


def keep_edge(x: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """`x` itself, with `other` in its graph, which gets a gradient of zeros.

    For a rank that needs nothing of a collective's result: the others wait for it to take part in
    the backward collective too.
    """
    return _KeepEdge.apply(x, other)
