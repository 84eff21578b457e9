"""Which samples share a token stream, and the tensors of that stream.

Selection sees lengths only; building sees decoded samples and makes one `PackedBatch`. Targets are
shifted inside every segment and loss weights are computed here, before anything is sharded.
Nothing here reads files or draws random numbers.

Letters: t tokens, s segments, m tiles or frames, n samples.
Source: training specification, sections 3.2 and 3.4; the balance-aware selection is the one of
Eagle 2, the greedy knapsack the one of its predecessors.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from nanovl.core.errors import InputError
from nanovl.core.inputs import PackedBatch, ProcessedInputs
from nanovl.core.layout import IGNORE_LABEL
from nanovl.data.config import PackingConfig
from nanovl.ops.loss import Reduction, Unit, loss_weights

__all__ = [
    "LoadedSample",
    "build_pack",
    "default_delta",
    "fewest_packs",
    "select_balanced",
    "select_greedy",
    "select_packs",
    "shifted",
]


@dataclass(frozen=True, kw_only=True)
class LoadedSample:
    """A sample with its pixels.

    Attributes:
        key: Unique name of this draw.
        source: Data set it came from.
        inputs: Ids, labels (not shifted) and pixels.
        weight: Factor on its loss.
    """

    key: str
    source: str
    inputs: ProcessedInputs
    weight: float = 1.0


# --- selection ----------------------------------------------------------------------------------


def fewest_packs(lengths: Sequence[int], capacity: int) -> int:
    """Lower bound on the number of packs: the tokens of all samples over the capacity, rounded up.

    Args:
        lengths: Tokens of every sample.
        capacity: Tokens of a pack.
    """
    return -(-sum(lengths) // capacity)


def default_delta(lengths: Sequence[int], capacity: int, frac: float = 0.01) -> int:
    """Packs to open beyond the fewest: a share of them, at least one; none when `frac` is 0."""
    return max(1, round(frac * fewest_packs(lengths, capacity))) if frac else 0


def select_greedy(
    lengths: Sequence[int], capacity: int, *, keys: Sequence[str] | None = None
) -> list[list[int]]:
    """Fill one pack after the other with the longest samples that still fit.

    Full packs, but long samples end up together and short ones too.

    Args:
        lengths: Tokens of every sample (n,).
        capacity: Tokens of a pack.
        keys: Names that order samples of equal length; their numbers when absent.

    Returns:
        Sample numbers of every pack.

    Raises:
        InputError: A sample that is longer than a pack.
    """
    for number, length in enumerate(lengths):
        if length > capacity:
            name = number if keys is None else keys[number]
            raise InputError(
                f"packing: sample {name} has {length} tokens, a pack holds {capacity}; cut "
                "samples to length before they are packed"
            )
    order = sorted(range(len(lengths)), key=lambda i: (lengths[i], i if keys is None else keys[i]))
    left = [lengths[i] for i in order]
    packs: list[list[int]] = []
    while left:
        pack: list[int] = []
        room = capacity
        while (at := bisect_right(left, room) - 1) >= 0:
            pack.append(order.pop(at))
            room -= left.pop(at)
        packs.append(pack)
    return packs


def select_balanced(
    lengths: Sequence[int],
    capacity: int,
    *,
    delta: int,
    keys: Sequence[str] | None = None,
    tiles: Sequence[int] | None = None,
    max_tiles: int | None = None,
) -> list[list[int]]:
    """Deal samples, longest first, each to the pack with the smallest load.

    Every pack gets long and short samples and about the same number of tokens. Samples that no
    pack could ever hold (longer than `capacity`, more than `max_tiles` tiles) are left out of the
    result; the caller counts them.

    Args:
        lengths: Tokens of every sample (n,).
        capacity: Tokens of a pack.
        delta: Packs opened beyond the fewest possible.
        keys: Names that order samples of equal length; their numbers when absent.
        tiles: Tiles of every sample (n,); needed with `max_tiles`.
        max_tiles: Tiles of a pack; packs are then scanned in order of load, which is slower.

    Returns:
        Sample numbers of every pack, none of them empty.
    """
    counts = [0] * len(lengths) if tiles is None or max_tiles is None else list(tiles)
    usable = [
        i
        for i, length in enumerate(lengths)
        if length <= capacity and (max_tiles is None or counts[i] <= max_tiles)
    ]
    usable.sort(key=lambda i: (-lengths[i], i if keys is None else keys[i]))
    opened = max(1, fewest_packs([lengths[i] for i in usable], capacity) + delta)
    if max_tiles is None:
        packs = _deal(usable, lengths, capacity, opened)
    else:
        packs = _deal_bounded(usable, lengths, counts, capacity, max_tiles, opened)
    return [pack for pack in packs if pack]


def select_packs(
    lengths: Sequence[int],
    capacity: int,
    packing: PackingConfig,
    *,
    keys: Sequence[str] | None = None,
    tiles: Sequence[int] | None = None,
) -> list[list[int]]:
    """Select as the settings say; every sample alone when packing is off.

    Args:
        lengths, capacity, keys, tiles: As for `select_balanced`.
        packing: Algorithm and its settings.
    """
    if not packing.is_on:
        return [[number] for number in range(len(lengths))]
    if packing.algorithm == "greedy":
        return select_greedy(lengths, capacity, keys=keys)
    return select_balanced(
        lengths,
        capacity,
        delta=default_delta(lengths, capacity, packing.delta_frac),
        keys=keys,
        tiles=tiles,
        max_tiles=packing.max_tiles_per_pack,
    )


def _deal(
    order: Sequence[int], lengths: Sequence[int], capacity: int, opened: int
) -> list[list[int]]:
    """Each sample to the emptiest pack, by a heap: O(n log n)."""
    packs: list[list[int]] = [[] for _ in range(opened)]
    heap = [(0, pack) for pack in range(opened)]  # ties: lowest pack number
    for number in order:
        load, pack = heap[0]
        if load + lengths[number] <= capacity:
            packs[pack].append(number)
            heapq.heapreplace(heap, (load + lengths[number], pack))
        else:  # it does not fit the emptiest one, so it fits none
            heapq.heappush(heap, (lengths[number], len(packs)))
            packs.append([number])
    return packs


def _deal_bounded(
    order: Sequence[int],
    lengths: Sequence[int],
    tiles: Sequence[int],
    capacity: int,
    max_tiles: int,
    opened: int,
) -> list[list[int]]:
    """Each sample to the emptiest pack that also has room for its tiles: O(n * packs)."""
    packs: list[list[int]] = [[] for _ in range(opened)]
    loads, held = [0] * opened, [0] * opened
    for number in order:
        fits = [
            pack
            for pack in range(len(packs))
            if loads[pack] + lengths[number] <= capacity and held[pack] + tiles[number] <= max_tiles
        ]
        if fits:
            pack = min(fits, key=lambda p: (loads[p], p))
        else:
            pack = len(packs)
            packs.append([])
            loads.append(0)
            held.append(0)
        packs[pack].append(number)
        loads[pack] += lengths[number]
        held[pack] += tiles[number]
    return packs


# --- tensors ------------------------------------------------------------------------------------


def shifted(labels: torch.Tensor) -> torch.Tensor:
    """Targets of one segment (t,): at every position the label of the next one.

    The position in front of a picture gets no target, because pictures carry no labels, and the
    last position none, because nothing follows it.
    """
    targets = torch.full_like(labels, IGNORE_LABEL)
    targets[:-1] = labels[1:]
    return targets


def build_pack(
    samples: Sequence[LoadedSample],
    *,
    pad_id: int,
    seq_len: int | None = None,
    align: int = 1,
    pad_to: int | None = None,
    reduction: Reduction = "square",
    unit: Unit = "turn",
) -> PackedBatch:
    """Put samples into one token stream.

    Args:
        samples: In the order of the stream.
        pad_id: Fills the stream up; the padding is a segment of its own.
        seq_len: Longest stream allowed, padding included; None is no bound.
        align: The length becomes a multiple of this.
        pad_to: Length to pad to instead; a multiple of `align`.
        reduction, unit: How loss tokens are weighted; see `nanovl.ops.loss.loss_weights`.

    Returns:
        The pack; tiles in token order, every picture and every video counted once in
        `tile_counts`.

    Raises:
        InputError: No samples, a sample without labels, a stream that is too long, or pruned
            videos.
    """
    _check_samples(samples)
    lengths = [sample.inputs.input_ids.shape[0] for sample in samples]
    real = sum(lengths)
    total = _padded_length(real, seq_len, align, pad_to)
    if total > real:
        lengths.append(total - real)
    sizes = torch.tensor(lengths)  # (s,)
    cu_seqlens = torch.zeros(len(lengths) + 1, dtype=torch.int32)
    cu_seqlens[1:] = sizes.cumsum(0)
    input_ids = torch.full((total,), pad_id, dtype=torch.int64)
    input_ids[:real] = torch.cat([sample.inputs.input_ids for sample in samples])
    labels = torch.full((total,), IGNORE_LABEL, dtype=torch.int64)
    labels[:real] = torch.cat([shifted(_labels(sample)) for sample in samples])
    padding = [1.0] * (len(lengths) - len(samples))
    seq_idx = torch.repeat_interleave(torch.arange(len(lengths)), sizes)  # (t,)
    starts = cu_seqlens[:-1].to(torch.int64)
    pixels = [tiles for sample in samples for tiles in sample.inputs.pixel_values]
    return PackedBatch(
        input_ids=input_ids,
        labels=labels,
        loss_weight=loss_weights(
            labels,
            cu_seqlens,
            reduction=reduction,
            unit=unit,
            sample_weights=[sample.weight for sample in samples] + padding,
        ),
        cu_seqlens=cu_seqlens,
        seq_idx=seq_idx.to(torch.int32),
        position_ids=torch.arange(total) - starts[seq_idx],
        pixel_values=_joined(pixels),  # (m, 3, height, width), or several of them
        tile_counts=torch.tensor([p.shape[0] for p in pixels], dtype=torch.int32)
        if pixels
        else None,
        image_pos=_visual_positions(samples) if pixels else None,
        keys=tuple(sample.key for sample in samples),
        sources=tuple(sample.source for sample in samples),
        num_padding=total - real,
    )


def _joined(pixels: Sequence[torch.Tensor]) -> torch.Tensor | tuple[torch.Tensor, ...] | None:
    """Pictures of one size as one tensor, others as they are."""
    if not pixels:
        return None
    same = len({p.shape[1:] for p in pixels}) == 1
    return torch.cat(list(pixels)) if same else tuple(pixels)


def _check_samples(samples: Sequence[LoadedSample]) -> None:
    if not samples:
        raise InputError("pack: got no samples, expected at least one")
    for sample in samples:
        for span in sample.inputs.layout.spans:
            if span.is_pruned:
                raise InputError(
                    f"pack: {sample.key} holds a video pruned to {span.num_tokens} of "
                    f"{span.tiles * span.tokens_per_tile} visual tokens; training sees all of "
                    "them, plan samples without a pruning rate"
                )


def _padded_length(real: int, seq_len: int | None, align: int, pad_to: int | None) -> int:
    total = -(-real // align) * align if pad_to is None else pad_to
    if pad_to is not None and (pad_to < real or pad_to % align):
        raise InputError(
            f"pack: cannot pad {real} tokens to {pad_to}; expected a multiple of {align} that is "
            "not below the tokens"
        )
    if seq_len is not None and total > seq_len:
        raise InputError(
            f"pack: {real} tokens, {total} with padding to a multiple of {align}, but seq_len is "
            f"{seq_len}; select samples for this length and keep seq_len a multiple of the "
            "alignment"
        )
    return total


def _labels(sample: LoadedSample) -> torch.Tensor:
    if sample.inputs.labels is None:
        raise InputError(f"pack: {sample.key} has no labels; plan it with training=True")
    return sample.inputs.labels


def _visual_positions(samples: Sequence[LoadedSample]) -> torch.Tensor:
    """Flat positions of all placeholders, int64 (visual tokens,)."""
    found, start = [], 0
    for sample in samples:
        ids = sample.inputs.input_ids
        if sample.inputs.layout.spans:
            found.append((ids == sample.inputs.layout.placeholder).nonzero()[:, 0] + start)
        start += ids.shape[0]
    return torch.cat(found)
