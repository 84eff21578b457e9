"""What a hybrid decoder remembers of a sequence: attention KV, convolution and SSM states.

Memory of Mamba layers is constant per slot; only the attention layers grow with the sequence.
Holds tensors, decides nothing: which sequence owns which slot is the engine's business.

Letters: k KV heads, e head width, h heads, p head width, n state, slots of sequences.

Source: model specification, section 2.4; serving specification, section 7.
"""

from __future__ import annotations

import torch

from nanovl.core.errors import CapacityError
from nanovl.model.config import LMConfig

__all__ = ["HybridCache"]

_GROWTH_TOKENS = 256


class HybridCache:
    """State of several sequences, addressed by slot.

    Args:
        config: The decoder.
        num_slots: Sequences held at once.
        dtype: Of keys, values and convolution inputs; SSM states are fp32 always (fp64 with fp64).
        device: Where the tensors live.

    Attributes:
        lengths: Tokens seen per slot.
        conv: Per Mamba layer (num_slots, taps - 1, channels).
        ssm: Per Mamba layer (num_slots, h, p, n).
    """

    def __init__(
        self,
        config: LMConfig,
        num_slots: int = 1,
        *,
        dtype: torch.dtype = torch.bfloat16,
        device: torch.device | str = "cpu",
    ) -> None:
        self.config = config
        self.num_slots = num_slots
        self.dtype = dtype
        self.device = torch.device(device)
        self.lengths = [0] * num_slots
        state_dtype = torch.float64 if dtype == torch.float64 else torch.float32
        mambas = config.pattern.count("M")
        conv_shape = (num_slots, config.conv_kernel - 1, config.conv_dim)
        ssm_shape = (
            num_slots,
            config.mamba_num_heads,
            config.mamba_head_dim,
            config.ssm_state_size,
        )
        self.conv = [torch.zeros(conv_shape, dtype=dtype, device=device) for _ in range(mambas)]
        self.ssm = [torch.zeros(ssm_shape, dtype=state_dtype, device=device) for _ in range(mambas)]
        self._workspace = torch.empty(0, dtype=state_dtype, device=device)
        attentions = config.pattern.count("*")
        self._kv = [[self._new_kv(0) for _ in range(num_slots)] for _ in range(attentions)]

    def _new_kv(self, capacity: int) -> torch.Tensor:
        shape = (2, self.config.num_kv_heads, capacity, self.config.head_dim)
        return torch.empty(shape, dtype=self.dtype, device=self.device)

    def reserve(self, slot: int, tokens: int) -> None:
        """Make room for a sequence of `tokens` tokens, so that it never has to grow.

        Raises:
            CapacityError: Not enough memory.
        """
        for layer in range(len(self._kv)):
            self._grow(layer, slot, tokens)

    def _grow(self, layer: int, slot: int, tokens: int) -> torch.Tensor:
        old = self._kv[layer][slot]
        if old.shape[2] >= tokens:
            return old
        capacity = -(-tokens // _GROWTH_TOKENS) * _GROWTH_TOKENS
        try:
            new = self._new_kv(capacity)
        except (RuntimeError, MemoryError) as error:
            need = self.config.kv_bytes_per_token(self.dtype.itemsize) * capacity
            raise CapacityError(
                f"no memory for the attention cache of {capacity} tokens "
                f"({need / 2**20:.0f} MiB over all layers); use a shorter context"
            ) from error
        used = self.lengths[slot]
        new[:, :, :used] = old[:, :, :used]
        self._kv[layer][slot] = new
        return new

    def append_kv(
        self, layer: int, slot: int, k: torch.Tensor, v: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Store keys and values of new tokens behind those of `lengths[slot]` earlier ones.

        Args:
            layer: Number among the attention layers.
            slot: Sequence.
            k, v: (t, k, e).

        Returns:
            All keys and values so far, (k, lengths[slot] + t, e); views, valid until the next call.
        """
        past = self.lengths[slot]
        total = past + k.shape[0]
        kv = self._kv[layer][slot]
        if kv.shape[2] < total:
            kv = self._grow(layer, slot, max(total, past + past // 4))
        kv[0, :, past:total] = k.transpose(0, 1)
        kv[1, :, past:total] = v.transpose(0, 1)
        return kv[0, :, :total], kv[1, :, :total]

    def workspace(self, numel: int) -> torch.Tensor:
        """Flat scratch memory for one layer at a time, fp32 (fp64 with fp64).

        Fresh memory for every layer of every chunk would cost a page fault per 4 KiB.
        """
        if self._workspace.numel() < numel:
            self._workspace = self._workspace.new_empty(numel)
        return self._workspace[:numel]

    def advance(self, slots: tuple[int, ...], cu_seqlens: tuple[int, ...]) -> None:
        """Count the tokens of a finished forward pass."""
        for slot, start, stop in zip(slots, cu_seqlens[:-1], cu_seqlens[1:], strict=True):
            self.lengths[slot] += stop - start

    def reset(self, slot: int) -> None:
        """Forget a sequence and give its attention memory back."""
        self.lengths[slot] = 0
        for layer in (*self.conv, *self.ssm):
            layer[slot].zero_()
        for per_slot in self._kv:
            per_slot[slot] = self._new_kv(0)

    def copy_slot(self, source: int, target: int) -> None:
        """Make `target` an independent copy of `source`."""
        used = self.lengths[source]
        self.lengths[target] = used
        for layer in (*self.conv, *self.ssm):
            layer[target].copy_(layer[source])
        for per_slot in self._kv:
            per_slot[target] = per_slot[source][:, :, :used].clone()

    @property
    def nbytes(self) -> int:
        """Bytes held by all slots, scratch memory not counted."""
        tensors = [*self.conv, *self.ssm, *(kv for per_slot in self._kv for kv in per_slot)]
        return sum(t.numel() * t.element_size() for t in tensors)
