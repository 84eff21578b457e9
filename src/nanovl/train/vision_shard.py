"""Visual tokens of a pack when its tiles are shared out over context-parallel ranks.

Every rank encodes an equal number of tiles; the visual tokens are gathered before the decoder, and
each rank puts those that fall into its own rows where their placeholders stand. All ranks run the
same collectives whatever the pack holds, also when it holds no picture. Must not know how tiles
become tokens: the encoder is a callable.

Letters: m tiles, t tokens of the pack, r rows of this rank, d width.

Source: training specification, section 7.5.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from nanovl.core.errors import InputError
from nanovl.core.inputs import PackedBatch
from nanovl.model.vlm import VLM
from nanovl.train.collectives import all_gather
from nanovl.train.context_parallel import ContextParallel

__all__ = ["dummy_tile_term", "embed_pack", "encode_pack", "encode_tiles", "place_visual"]

Encode = Callable[[torch.Tensor], torch.Tensor]


def encode_tiles(
    encode: Encode,
    pixels: torch.Tensor,
    *,
    parallel: ContextParallel | None = None,
    threshold: int = 0,
) -> torch.Tensor:
    """Encode the tiles of a pack, a share on every rank.

    Args:
        encode: (any number of tiles, 3, height, width) to (the same number, ...).
        pixels: All tiles of the pack (m, 3, height, width), the same on every rank, m >= 1.
        parallel: The ranks; None encodes everything here.
        threshold: Packs of up to this many tiles are encoded whole on every rank, which saves the
            gathering. Gradients are right either way.

    Returns:
        (m, ...), on every rank. Backward, each rank's encoder gets the gradients that all ranks
        have for its tiles; parameter gradients are summed over ranks as everywhere.

    Raises:
        InputError: No tiles; a pack without pictures needs `dummy_tile_term`.
    """
    m = pixels.shape[0]
    if m == 0:
        raise InputError("no tiles to encode; a pack without pictures needs dummy_tile_term")
    if parallel is None or parallel.size == 1 or m <= threshold:
        return encode(pixels)
    per_rank = -(-m // parallel.size)
    first = parallel.rank * per_rank
    own = pixels[min(first, m) : first + per_rank]
    missing = per_rank - own.shape[0]
    if missing:
        own = torch.cat([own, own.new_zeros(missing, *own.shape[1:])])
    return all_gather(encode(own), parallel.group).flatten(0, 1)[:m]


def dummy_tile_term(encode: Encode, tile_size: tuple[int, int], like: torch.Tensor) -> torch.Tensor:
    """Zero, at the price of encoding one empty tile.

    Added to the input rows of a pack without pictures it makes the encoder run forward and
    backward, so that this rank takes part in the collectives of the others, and every parameter of
    the encoder gets a gradient of zeros.

    Args:
        encode: As in `encode_tiles`.
        tile_size: Height and width in pixels.
        like: Dtype and device of the pixels and of the result.

    Returns:
        0-d zero.
    """
    tile = like.new_zeros(1, 3, *tile_size)
    # The sum over nothing: zero even if the encoder's output is not finite.
    return encode(tile).flatten()[:0].sum().to(like.dtype)


def place_visual(
    x: torch.Tensor,
    visual: torch.Tensor,
    image_pos: torch.Tensor,
    *,
    tokens: int,
    parallel: ContextParallel | None = None,
) -> torch.Tensor:
    """Put visual tokens where their placeholders stand.

    Args:
        x: Input rows of this rank (r, d).
        visual: All visual tokens of the pack (j, d).
        image_pos: Their positions in the pack, int64 (j,).
        tokens: Length of the pack.
        parallel: The ranks; None when all rows are here.

    Returns:
        (r, d). Visual tokens whose rows are elsewhere get a gradient of zero here.

    Raises:
        InputError: Another number of visual tokens than positions.
    """
    if visual.shape[0] != image_pos.shape[0]:
        raise InputError(
            f"pack: {image_pos.shape[0]} positions of visual tokens but the encoder made "
            f"{visual.shape[0]}"
        )
    if parallel is None:
        return x.index_copy(0, image_pos, visual.to(x.dtype))
    chosen, rows = parallel.locate(image_pos, tokens)
    return x.index_copy(0, rows, visual.index_select(0, chosen).to(x.dtype))


def encode_pack(
    vlm: VLM,
    batch: PackedBatch,
    *,
    parallel: ContextParallel | None = None,
    threshold: int = 0,
) -> torch.Tensor:
    """Visual tokens of a pack that has any.

    Tiles of one size are shared out over ranks; pictures of several sizes are encoded whole on
    every one.

    Args:
        vlm, batch, parallel, threshold: As for `embed_pack`.

    Returns:
        (j, d), in the order of the pack.
    """
    if isinstance(batch.pixel_values, tuple):
        return vlm.encode_pictures(batch.pixel_values)
    assert batch.pixel_values is not None
    tiles = encode_tiles(
        vlm.encode_media, batch.pixel_values, parallel=parallel, threshold=threshold
    )
    return tiles.flatten(0, 2)  # (m, rows, columns, d) to (j, d)


def embed_pack(
    vlm: VLM,
    batch: PackedBatch,
    *,
    parallel: ContextParallel | None = None,
    threshold: int = 0,
    always_encode: bool = True,
) -> torch.Tensor:
    """Input rows of a pack for the decoder; only this rank's part is ever made.

    Args:
        vlm: The model.
        batch: The whole pack, the same on every rank that shares it.
        parallel: The ranks; None when all rows are here.
        threshold: See `encode_tiles`.
        always_encode: Whether a pack without pictures runs the encoder too, see `dummy_tile_term`.

    Returns:
        (r, d).
    """
    ids = batch.input_ids if parallel is None else parallel.shard(batch.input_ids)
    x = vlm.embed_tokens(ids)  # (r, d)
    if batch.pixel_values is not None and batch.image_pos is not None:
        visual = encode_pack(vlm, batch, parallel=parallel, threshold=threshold)
        return place_visual(
            x, visual, batch.image_pos.to(x.device), tokens=batch.num_tokens, parallel=parallel
        )
    if always_encode:
        side = vlm.config.image_size
        return x + dummy_tile_term(vlm.encode_media, (side, side), x)
    return x
