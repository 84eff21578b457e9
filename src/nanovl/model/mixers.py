"""The three mixers of the decoder: Mamba-2, attention, MLP.

Every one maps (t, d) to (t, d); norm and residual live in the layer around it (`lm.py`). Parameter
names are those of the released checkpoint. Linears are called as modules, so a quantized linear
may take their place. A stream spread over ranks is handed to `ForwardContext.parallel` in the two
places where tokens meet: attention, and convolution with scan.

Letters: t tokens, d width, h heads, p head width, g groups, n state, k KV heads, e head width.

Source: model specification, sections 2 and 3.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from nanovl.model.cache import LayerStates
from nanovl.model.config import LMConfig
from nanovl.model.context import ForwardContext
from nanovl.model.ssm import SSMParameters, conv_scan
from nanovl.ops.activation import squared_relu
from nanovl.ops.attention import decode_attention, packed_attention, segment_attention
from nanovl.ops.conv import causal_conv_prefill, causal_conv_step
from nanovl.ops.linear import linear
from nanovl.ops.native import decode
from nanovl.ops.native.library import usable
from nanovl.ops.norm import gated_rms_norm, rms_norm
from nanovl.ops.ssd import ssd_prefill, ssd_step

__all__ = ["MIXERS", "MLP", "Attention", "Linear", "Mamba2", "RMSNorm"]


class Linear(nn.Linear):
    """A linear without bias, fast for a few rows too."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(t, in) to (t, out)."""
        return linear(x, self.weight)


class RMSNorm(nn.Module):
    """RMSNorm with a weight, statistics in fp32."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., size) to the same shape and dtype."""
        return rms_norm(x, self.weight, self.eps)


class GatedRMSNorm(nn.Module):
    """SiLU gate, then RMSNorm per group of channels."""

    def __init__(self, size: int, eps: float, num_groups: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps
        self.num_groups = num_groups

    def forward(self, y: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """SSM output y and gate z, both (t, size); result in the dtype of z."""
        return gated_rms_norm(y, z, self.weight, self.eps, self.num_groups)


class Mamba2(nn.Module):
    """Mamba-2 mixer.

    Args:
        config: The decoder.
        cache_index: Number of this layer among the Mamba layers.
    """

    def __init__(self, config: LMConfig, cache_index: int) -> None:
        super().__init__()
        self.config = config
        self.cache_index = cache_index
        inner, heads = config.mamba_inner_size, config.mamba_num_heads
        self.in_proj = Linear(config.hidden_size, config.in_proj_size)
        # Only the parameters of this module are used; see ops.conv for the arithmetic.
        self.conv1d = nn.Conv1d(
            config.conv_dim, config.conv_dim, config.conv_kernel, groups=config.conv_dim
        )
        self.A_log = nn.Parameter(torch.zeros(heads, dtype=torch.float32))
        self.D = nn.Parameter(torch.ones(heads, dtype=torch.float32))
        self.dt_bias = nn.Parameter(torch.zeros(heads, dtype=torch.float32))
        self.norm = GatedRMSNorm(inner, config.norm_eps, config.num_groups)
        self._rates: tuple[tuple[int, int, torch.dtype], torch.Tensor] | None = None
        self._constants: tuple[object, dict[str, torch.Tensor]] | None = None
        self.out_proj = Linear(inner, config.hidden_size)

    def forward(self, u: torch.Tensor, ctx: ForwardContext) -> torch.Tensor:
        """(t, d) to (t, d); reads and updates the states of `ctx`'s slots."""
        proj = self.in_proj(u)
        parameters = self._scan_parameters(u.dtype)
        if ctx.cache is not None:
            return self.out_proj(self._cached(proj, parameters, ctx))
        z, xbc, dt_raw = self._split(proj)
        scan = conv_scan if ctx.parallel is None else ctx.parallel.conv_scan
        y = scan(xbc, dt_raw, parameters, cu_seqlens=ctx.cu_seqlens, seq_idx=ctx.seq_idx(u.device))
        return self.out_proj(self._normed(y, z))

    def _split(self, proj: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """z, x B C, and dt before its bias."""
        c = self.config
        z, xbc, dt_raw = proj.split([c.mamba_inner_size, c.conv_dim, c.mamba_num_heads], dim=-1)
        return z, xbc, dt_raw

    def _normed(self, y: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return self.norm(y.reshape(-1, self.config.mamba_inner_size), z)

    def _scan_parameters(self, dtype: torch.dtype) -> SSMParameters:
        c = self.config
        return SSMParameters(
            conv_weight=self.conv1d.weight,
            conv_bias=self.conv1d.bias,
            dt_bias=self.dt_bias,
            A=self._decay_rates(torch.float64 if dtype == torch.float64 else torch.float32),
            D=self.D,
            num_groups=c.num_groups,
            state_size=c.ssm_state_size,
            chunk_size=c.chunk_size,
            time_step_limit=c.time_step_limit,
        )

    def _decay_rates(self, wide: torch.dtype) -> torch.Tensor:
        """-exp(A_log), kept while the weights do not change."""
        if torch.is_grad_enabled() and self.A_log.requires_grad:
            return -torch.exp(self.A_log.to(wide))
        version = 0 if self.A_log.is_inference() else self.A_log._version
        stamp = (version, self.A_log.data_ptr(), wide)
        if self._rates is None or self._rates[0] != stamp:
            with torch.inference_mode(False):  # kept for later calls, which may want gradients
                self._rates = (stamp, -torch.exp(self.A_log.detach().to(wide)))
        return self._rates[1]

    def _cached(
        self, proj: torch.Tensor, parameters: SSMParameters, ctx: ForwardContext
    ) -> torch.Tensor:
        """New tokens of cached sequences, gated and normalised: (t, h p)."""
        assert ctx.cache is not None
        if usable(proj, ctx.cache.conv[self.cache_index], self.norm.weight) and not (
            torch.is_grad_enabled()
        ):
            return self._compiled(proj, parameters, ctx)
        steps = ctx.num_steps
        parts = []
        if steps:
            parts.append(self._decode(proj[:steps], parameters, ctx))
        if steps < ctx.num_segments:
            z, xbc, dt_raw = self._split(proj)
            dt = parameters.step_sizes(dt_raw[steps:])
            made = []
            for number in range(steps, ctx.num_segments):
                a, b = ctx.segments[number]
                slot, low = ctx.slots[number], a
                for offset, target in (*ctx.captures.get(number, ()), (b - a, None)):
                    high = a + offset
                    if high > low:
                        new = dt[low - steps : high - steps]
                        made.append(self._continue(xbc[low:high], new, parameters.A, ctx, slot))
                    if target is not None:
                        self._capture(target, ctx, slot)
                    low = high
            y = made[0] if len(made) == 1 else torch.cat(made)
            parts.append(self._normed(y, z[steps:]))
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _compiled(
        self, proj: torch.Tensor, parameters: SSMParameters, ctx: ForwardContext
    ) -> torch.Tensor:
        """The same by one kernel; in pieces only where states are wanted on the way."""
        assert ctx.cache is not None
        cache, c = ctx.cache, self.config
        numel = proj.shape[0] * (c.conv_dim + c.mamba_inner_size)
        fixed = {
            **self._step_constants(),
            "A": parameters.A,
            "norm_weight": self.norm.weight,
            "num_groups": c.num_groups,
            "eps": c.norm_eps,
            "time_step_limit": c.time_step_limit,
            "scratch": cache.workspace(numel),
        }
        conv, ssm = cache.conv[self.cache_index], cache.ssm[self.cache_index]
        if not ctx.captures:
            return decode.mamba_rows(proj, ctx.cu_seqlens, ctx.slots, conv, ssm, **fixed)
        parts = []
        for number, ((a, b), slot) in enumerate(zip(ctx.segments, ctx.slots, strict=True)):
            low = a
            for offset, target in (*ctx.captures.get(number, ()), (b - a, None)):
                high = a + offset
                if high > low:
                    piece = (proj[low:high], (0, high - low), (slot,))
                    parts.append(decode.mamba_rows(*piece, conv, ssm, **fixed))
                if target is not None:
                    self._capture(target, ctx, slot)
                low = high
        return torch.cat(parts)

    def _capture(self, target: LayerStates, ctx: ForwardContext, slot: int) -> None:
        assert ctx.cache is not None
        k = self.cache_index
        target.take(k, ctx.cache.conv[k][slot], ctx.cache.ssm[k][slot])

    def _continue(
        self,
        xbc: torch.Tensor,
        dt: torch.Tensor,
        A: torch.Tensor,
        ctx: ForwardContext,
        slot: int,
    ) -> torch.Tensor:
        """New tokens of one cached sequence: (t, h, p)."""
        assert ctx.cache is not None
        c = self.config
        bc = c.num_groups * c.ssm_state_size
        t = xbc.shape[0]
        sizes = [c.conv_dim * t, c.mamba_inner_size * (t + c.chunk_size)]
        conv_space, ssm_space = ctx.cache.workspace(sum(sizes)).split(sizes)
        conv = causal_conv_prefill(
            xbc,
            self.conv1d.weight,
            self.conv1d.bias,
            ctx.cache.conv[self.cache_index][slot],
            out=conv_space.view(c.conv_dim, t),
        )  # (channels, t)
        x, B, C = conv.split([c.mamba_inner_size, bc, bc])
        return ssd_prefill(
            x.view(c.mamba_num_heads, c.mamba_head_dim, t),
            dt,
            A,
            B.view(c.num_groups, c.ssm_state_size, t),
            C.view(c.num_groups, c.ssm_state_size, t),
            self.D.to(dt.dtype),
            ctx.cache.ssm[self.cache_index][slot],
            chunk_size=c.chunk_size,
            workspace=ssm_space,
        )

    def _decode(
        self, proj: torch.Tensor, parameters: SSMParameters, ctx: ForwardContext
    ) -> torch.Tensor:
        """One new token of each of the leading sequences, gated and normalised: (s, h p)."""
        assert ctx.cache is not None
        steps = proj.shape[0]
        conv_all, ssm_all = ctx.cache.conv[self.cache_index], ctx.cache.ssm[self.cache_index]
        slots = ctx.slots[:steps]
        z, xbc, dt_raw = self._split(proj)
        together = slots == tuple(range(slots[0], slots[-1] + 1))
        if together:  # neighbours: work on the cache in place
            at = slice(slots[0], slots[-1] + 1)
            conv_state, ssm_state = conv_all[at], ssm_all[at]
        else:
            index = torch.tensor(slots, device=proj.device)
            conv_state, ssm_state = conv_all[index], ssm_all[index]
        conv = causal_conv_step(xbc, self.conv1d.weight, self.conv1d.bias, conv_state)
        x, B, C = parameters.split(conv)
        dt = parameters.step_sizes(dt_raw)
        y = ssd_step(x, dt, parameters.A, B, C, self.D.to(dt.dtype), state=ssm_state)
        if not together:
            conv_all[index], ssm_all[index] = conv_state, ssm_state
        return self._normed(y, z)

    def _step_constants(self) -> dict[str, Any]:
        """Small parameters as the decoding kernel wants them, kept while they do not change."""
        conv, bias = self.conv1d.weight, self.conv1d.bias
        sources = (conv, *([] if bias is None else [bias]), self.dt_bias, self.D)
        stamp = tuple((0 if t.is_inference() else t._version, t.data_ptr()) for t in sources)
        if self._constants is None or self._constants[0] != stamp:
            with torch.inference_mode(False), torch.no_grad():
                offset = conv.new_zeros(conv.shape[0]) if bias is None else bias
                made = {
                    "conv_weight": conv[:, 0].t().float().contiguous(),
                    "conv_bias": offset.float(),
                    "dt_bias": self.dt_bias.float(),
                    "D": self.D.float(),
                }
            self._constants = (stamp, made)
        return self._constants[1]


class Attention(nn.Module):
    """Causal grouped-query attention without positional encoding.

    Args:
        config: The decoder.
        cache_index: Number of this layer among the attention layers.
    """

    def __init__(self, config: LMConfig, cache_index: int) -> None:
        super().__init__()
        self.config = config
        self.cache_index = cache_index
        q, kv = config.num_heads * config.head_dim, config.num_kv_heads * config.head_dim
        self.q_proj = Linear(config.hidden_size, q)
        self.k_proj = Linear(config.hidden_size, kv)
        self.v_proj = Linear(config.hidden_size, kv)
        self.o_proj = Linear(q, config.hidden_size)

    def forward(self, u: torch.Tensor, ctx: ForwardContext) -> torch.Tensor:
        """(t, d) to (t, d); reads and extends the KV of `ctx`'s slots."""
        t, e = u.shape[0], self.config.head_dim
        q = self.q_proj(u).view(t, -1, e)  # (t, h, e)
        k = self.k_proj(u).view(t, -1, e)  # (t, k, e)
        v = self.v_proj(u).view(t, -1, e)
        if ctx.parallel is not None:
            out = ctx.parallel.attention(q, k, v, ctx.cu_seqlens)
        elif ctx.cache is None:
            out = packed_attention(q, k, v, ctx.cu_seqlens)
        else:
            out = self._cached(q, k, v, ctx)
        return self.o_proj(out.flatten(-2))

    def _cached(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, ctx: ForwardContext
    ) -> torch.Tensor:
        assert ctx.cache is not None
        cache, steps = ctx.cache, ctx.num_steps
        parts, begun = [], 0
        fits = decode.attends(self.config.num_heads, self.config.num_kv_heads, q.shape[-1])
        if steps and fits and usable(q, k, v) and not torch.is_grad_enabled():
            table, begun = ctx.step_table(), steps
            memory = cache.memory(self.cache_index)
            parts.append(decode.attend(q[:steps], k[:steps], v[:steps], memory, *table))
        stored = {
            i: cache.append_kv(self.cache_index, ctx.slots[i], k[a:b], v[a:b])
            for i, (a, b) in enumerate(ctx.segments)
            if i >= begun
        }
        if steps > begun:
            keys, values = zip(*(stored[i] for i in range(steps)), strict=True)
            parts.append(decode_attention(q[:steps], keys, values))
        parts += [
            segment_attention(q[a:b], *stored[i], past=cache.lengths[ctx.slots[i]])
            for i, (a, b) in enumerate(ctx.segments)
            if i >= steps
        ]
        return parts[0] if len(parts) == 1 else torch.cat(parts)


class MLP(nn.Module):
    """Linear, squared ReLU, Linear; no gate.

    Args:
        config: The decoder.
        cache_index: Ignored; an MLP remembers nothing.
    """

    def __init__(self, config: LMConfig, cache_index: int) -> None:
        super().__init__()
        self.up_proj = Linear(config.hidden_size, config.intermediate_size)
        self.down_proj = Linear(config.intermediate_size, config.hidden_size)

    def forward(self, u: torch.Tensor, ctx: ForwardContext) -> torch.Tensor:
        """(t, d) to (t, d)."""
        hidden = self.up_proj(u)
        return self.down_proj(squared_relu(hidden, inplace=not hidden.requires_grad))


MIXERS: dict[str, type[Mamba2] | type[Attention] | type[MLP]] = {
    "M": Mamba2,
    "*": Attention,
    "-": MLP,
}
