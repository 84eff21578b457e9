"""What a hybrid decoder remembers of a sequence: attention KV, convolution and SSM states.

Memory of Mamba layers is constant per slot; only the attention layers grow with the sequence.
Holds tensors, decides nothing: which sequence owns which slot is the engine's business.

Letters: k KV heads, e head width, h heads, p head width, n state, slots of sequences.

Source: model specification, section 2.4; serving specification, section 7.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from nanovl.core.errors import CapacityError
from nanovl.model.blocks import BlockPool
from nanovl.model.config import LMConfig

__all__ = ["BLOCK", "HybridCache", "LayerStates", "Snapshot"]

BLOCK = 16  # tokens
_GROWTH_TOKENS = 256


class LayerStates:
    """A copy of what Mamba layers remember at one place of one sequence.

    Attributes:
        conv: Per Mamba layer (taps - 1, channels).
        ssm: Per Mamba layer (h, p, n).
    """

    def __init__(self) -> None:
        self.conv: dict[int, torch.Tensor] = {}
        self.ssm: dict[int, torch.Tensor] = {}

    def take(self, layer: int, conv: torch.Tensor, ssm: torch.Tensor) -> None:
        """Copy the states of one layer."""
        self.conv[layer], self.ssm[layer] = conv.clone(), ssm.clone()

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(t.nbytes for t in (*self.conv.values(), *self.ssm.values()))


@dataclass(frozen=True)
class Snapshot:
    """A place of a sequence to which others can return.

    Attributes:
        length: Tokens before it.
        blocks: Of the attention cache, owned; the last one may hold later tokens behind them.
        states: Of the Mamba layers.
    """

    length: int
    blocks: tuple[int, ...]
    states: LayerStates


class HybridCache:
    """State of several sequences, addressed by slot.

    Keys and values live in blocks of `BLOCK` tokens that sequences may share; blocks that lie
    behind each other are read in place.

    Args:
        config: The decoder.
        num_slots: Sequences held at once.
        num_tokens: Tokens of attention cache over all slots; None lets it grow as needed.
        dtype: Of keys, values and convolution inputs; SSM states are fp32 always (fp64 with fp64).
        device: Where the tensors live.

    Attributes:
        lengths: Tokens seen per slot.
        blocks: Books of the attention cache.
        conv: Per Mamba layer (num_slots, taps - 1, channels).
        ssm: Per Mamba layer (num_slots, h, p, n).

    Raises:
        CapacityError: Not enough memory.
    """

    def __init__(
        self,
        config: LMConfig,
        num_slots: int = 1,
        *,
        num_tokens: int | None = None,
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
        self._grows = num_tokens is None
        self.blocks = BlockPool(0 if num_tokens is None else -(-num_tokens // BLOCK))
        self._tables: list[list[int]] = [[] for _ in range(num_slots)]
        # The same as (first token in memory, tokens) of neighbouring blocks.
        self._runs: list[list[tuple[int, int]]] = [[] for _ in range(num_slots)]
        self._kv = self._new_kv(self.blocks.size)

    def _new_kv(self, blocks: int) -> list[torch.Tensor]:
        """Per attention layer keys and values (2, k, tokens, e)."""
        c = self.config
        shape = (2, c.num_kv_heads, blocks * BLOCK, c.head_dim)
        try:
            return [
                torch.empty(shape, dtype=self.dtype, device=self.device)
                for _ in range(c.pattern.count("*"))
            ]
        except (RuntimeError, MemoryError) as error:
            need = c.kv_bytes_per_token(self.dtype.itemsize) * blocks * BLOCK
            raise CapacityError(
                f"no memory for the attention cache of {blocks * BLOCK} tokens "
                f"({need / 2**20:.0f} MiB over all layers); use a shorter context"
            ) from error

    # --- attention ------------------------------------------------------------------------------

    def missing_blocks(self, slot: int, tokens: int) -> int:
        """Blocks that `reserve` would take."""
        return max(0, -(-tokens // BLOCK) - len(self._tables[slot]))

    def reserve(self, slot: int, tokens: int) -> None:
        """Make room for a sequence of `tokens` tokens.

        Raises:
            CapacityError: Not enough memory, or not enough free blocks; nothing has changed.
        """
        missing = self.missing_blocks(slot, tokens)
        if not missing:
            return
        if self._grows and missing > self.blocks.free:
            self._enlarge(missing - self.blocks.free)
        table = self._tables[slot]
        table += self.blocks.allocate(missing, table[-1] if table else None)
        self._find_runs(slot)

    def _enlarge(self, blocks: int) -> None:
        size = self.blocks.size + blocks
        old, new = self._kv, self._new_kv(size)
        for before, after in zip(old, new, strict=True):
            after[:, :, : before.shape[2]] = before
        self._kv = new
        self.blocks.grow(size)

    def _find_runs(self, slot: int) -> None:
        runs: list[tuple[int, int]] = []
        for block in self._tables[slot]:
            if runs and runs[-1][0] + runs[-1][1] == block * BLOCK:
                runs[-1] = (runs[-1][0], runs[-1][1] + BLOCK)
            else:
                runs.append((block * BLOCK, BLOCK))
        self._runs[slot] = runs

    def append_kv(
        self, layer: int, slot: int, k: torch.Tensor, v: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Store keys and values of new tokens behind those of `lengths[slot]` earlier ones.

        Args:
            layer: Number among the attention layers.
            slot: Sequence.
            k, v: (t, k, e).

        Returns:
            All keys and values so far, (k, lengths[slot] + t, e); in place where the sequence lies
            in one run of blocks, otherwise copied together. Valid until the next call.

        Raises:
            CapacityError: No room was reserved, and none is left.
        """
        past = self.lengths[slot]
        total = past + k.shape[0]
        self._ensure(slot, total)
        kv, runs = self._kv[layer], self._runs[slot]
        if len(runs) == 1:
            start = runs[0][0]
            kv[0, :, start + past : start + total] = k.transpose(0, 1)
            kv[1, :, start + past : start + total] = v.transpose(0, 1)
            return kv[0, :, start : start + total], kv[1, :, start : start + total]
        new = torch.stack([k.transpose(0, 1), v.transpose(0, 1)])  # (2, k, t, e)
        parts, seen = [], 0
        for start, length in runs:
            low, high = max(past, seen), min(total, seen + length)
            if low < high:
                kv[:, :, start + low - seen : start + high - seen] = new[
                    :, :, low - past : high - past
                ]
            if seen < total:
                parts.append(kv[:, :, start : start + min(length, total - seen)])
            seen += length
        both = torch.cat(parts, dim=2)
        return both[0], both[1]

    def memory(self, layer: int) -> torch.Tensor:
        """Keys and values of all sequences of a layer, (2, k, tokens, e)."""
        return self._kv[layer]

    def step_table(self, slots: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor, int]:
        """Where the tokens of sequences lie, with room for one new token each.

        Returns:
            Runs int64 (., 2) of first token in memory and tokens, the borders between the runs of
            the sequences int64 (slots + 1,), and the tokens of the longest one.

        Raises:
            CapacityError: No room was reserved, and none is left.
        """
        runs: list[tuple[int, int]] = []
        borders = [0]
        for slot in slots:
            left = self.lengths[slot] + 1
            self._ensure(slot, left)
            for start, length in self._runs[slot]:
                runs.append((start, min(length, left)))
                left -= runs[-1][1]
                if not left:
                    break
            borders.append(len(runs))
        longest = 1 + max(self.lengths[slot] for slot in slots)
        return torch.tensor(runs), torch.tensor(borders), longest

    def _ensure(self, slot: int, tokens: int) -> None:
        """Make room, and some more where the cache may grow."""
        if self.missing_blocks(slot, tokens):
            past = self.lengths[slot]
            ahead = max(tokens, past + max(past // 4, _GROWTH_TOKENS)) if self._grows else tokens
            self.reserve(slot, ahead)

    # --- scratch memory and counting ------------------------------------------------------------

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

    @property
    def nbytes(self) -> int:
        """Bytes held by all slots, scratch memory not counted."""
        return sum(t.nbytes for t in (*self.conv, *self.ssm, *self._kv))

    # --- whole sequences ------------------------------------------------------------------------

    def reset(self, slot: int) -> None:
        """Forget a sequence and give its blocks back."""
        self.lengths[slot] = 0
        for layer in (*self.conv, *self.ssm):
            layer[slot].zero_()
        self.blocks.release(self._tables[slot])
        self._tables[slot], self._runs[slot] = [], []

    def snapshot(self, slot: int) -> Snapshot:
        """Keep where a sequence is now; `drop` it one day."""
        states = LayerStates()
        for layer, (conv, ssm) in enumerate(zip(self.conv, self.ssm, strict=True)):
            states.take(layer, conv[slot], ssm[slot])
        return self.keep(slot, self.lengths[slot], states)

    def keep(self, slot: int, length: int, states: LayerStates) -> Snapshot:
        """The snapshot of an earlier place of a sequence, whose states were copied there."""
        blocks = tuple(self._tables[slot][: -(-length // BLOCK)])
        self.blocks.retain(blocks)
        return Snapshot(length, blocks, states)

    def drop(self, snapshot: Snapshot) -> None:
        """Give the blocks of a snapshot back."""
        self.blocks.release(snapshot.blocks)

    def restore(self, slot: int, snapshot: Snapshot) -> None:
        """Continue from a snapshot in an empty slot.

        Whole blocks are shared; one that is filled in part is copied, because its owner may go on
        writing behind it.

        Raises:
            CapacityError: No block is free for the copy.
        """
        whole, rest = divmod(snapshot.length, BLOCK)
        table = list(snapshot.blocks[:whole])
        if rest:
            if self._grows and not self.blocks.free:
                self._enlarge(1)
            (copy,) = self.blocks.allocate(1, table[-1] if table else None)
            source = snapshot.blocks[whole] * BLOCK
            for kv in self._kv:
                kv[:, :, copy * BLOCK : copy * BLOCK + rest] = kv[:, :, source : source + rest]
            table.append(copy)
        self.blocks.retain(snapshot.blocks[:whole])
        self._tables[slot] = table
        self._find_runs(slot)
        for layer, (conv, ssm) in enumerate(zip(self.conv, self.ssm, strict=True)):
            conv[slot] = snapshot.states.conv[layer]
            ssm[slot] = snapshot.states.ssm[layer]
        self.lengths[slot] = snapshot.length

    def copy_slot(self, source: int, target: int) -> None:
        """Make `target` an independent copy of `source`.

        Raises:
            CapacityError: No block is free.
        """
        self.reset(target)
        snapshot = self.snapshot(source)
        try:
            self.restore(target, snapshot)
        finally:
            self.drop(snapshot)

    def move(self, source: int, target: int) -> None:
        """Give an empty slot the sequence of another one, which is empty then."""
        for layer in (*self.conv, *self.ssm):
            layer[target] = layer[source]
        self._tables[target], self._tables[source] = self._tables[source], []
        self._runs[target], self._runs[source] = self._runs[source], []
        self.lengths[target] = self.lengths[source]
        self.reset(source)

    def swap(self, one: int, other: int) -> None:
        """Exchange the sequences of two slots."""
        index, swapped = [one, other], [other, one]
        for layer in (*self.conv, *self.ssm):
            layer[index] = layer[swapped]
        tables, runs, lengths = self._tables, self._runs, self.lengths
        tables[one], tables[other] = tables[other], tables[one]
        runs[one], runs[other] = runs[other], runs[one]
        lengths[one], lengths[other] = lengths[other], lengths[one]
