"""NVFP4: E2M1 codes, an E4M3 scale per 16 columns, one fp32 scale per tensor.

value = e2m1(code) * (block scale * tensor scale). Two codes share a byte, the even column in the
low nibble. Encoding follows the two-level scheme of the released checkpoints byte for byte; all
arithmetic is fp32 with true division. The permuted scale layout of GPU kernels lives here too and
is never written to disk.

Letters: n output rows, k input columns, c blocks of 16 columns.

Source: quantization specification, section 2.
"""

from __future__ import annotations

import torch

from nanovl.core.errors import InputError
from nanovl.ops.rowwise import (
    cached_table,
    finite_amax,
    gather_pairs,
    require_positive,
    row_slices,
    true_divide,
)

__all__ = [
    "NVFP4_BLOCK",
    "NVFP4_MAX",
    "blocked_scale_offset",
    "e2m1_decode",
    "e2m1_encode",
    "e2m1_encode_reference",
    "nvfp4_decode",
    "nvfp4_decode_reference",
    "nvfp4_encode",
    "nvfp4_encode_reference",
    "nvfp4_fake_quant_activation",
    "nvfp4_scale",
    "pack_nibbles",
    "swizzle_block_scales",
    "unpack_nibbles",
    "unswizzle_block_scales",
]

NVFP4_BLOCK = 16
E2M1_MAX = 6.0
NVFP4_MAX = 6.0 * 448.0  # largest code times largest block scale

_MAGNITUDES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
_BLOCK_SCALE_MIN = 2.0**-9  # smallest positive E4M3 number
_BLOCK_SCALE_MAX = 448.0


def e2m1_encode(y: torch.Tensor, *, what: str = "tensor") -> torch.Tensor:
    """Round to the nearest E2M1 value, ties to the even index, saturating at +-6.

    Args:
        y: Any shape, floating.
        what: What is encoded, for the message.

    Returns:
        uint8, the shape of `y`: codes 0 to 15, bit 3 set where y < 0 (so -0.0 gives 0 and a small
        negative number gives 8).

    Raises:
        InputError: `y` is not finite.
    """
    finite_amax(y, what)
    return _codes(y.float().contiguous())  # the code table is indexed by fp32 bits


def e2m1_encode_reference(y: torch.Tensor) -> torch.Tensor:
    """The referee: count the thresholds below |y| and move ties to the even index."""
    a = y.float().abs()
    index = torch.zeros(a.shape, dtype=torch.uint8)
    for threshold in (0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0):
        index += a > threshold
    for tie in (0.75, 1.75, 3.5):
        index += a == tie
    return index | ((y < 0).to(torch.uint8) << 3)


def e2m1_decode(codes: torch.Tensor, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """The value of each code (uint8, 0 to 15); code 8 gives -0.0."""
    return cached_table(_code_values, codes.device).to(dtype)[codes.int()]


def pack_nibbles(codes: torch.Tensor) -> torch.Tensor:
    """Put two codes into a byte, the even column in the low nibble.

    Args:
        codes: (n, k) uint8, each below 16; k even.

    Returns:
        (n, k / 2) uint8.
    """
    pairs = codes.contiguous().view(torch.int16)  # low byte = even column (little-endian)
    return ((pairs >> 4) | pairs).bitwise_and_(0xFF).to(torch.uint8)


def unpack_nibbles(packed: torch.Tensor) -> torch.Tensor:
    """(n, k / 2) bytes back to (n, k) codes."""
    return torch.stack([packed & 15, packed >> 4], dim=-1).flatten(-2)


def nvfp4_scale(amax: torch.Tensor, *, what: str = "amax") -> torch.Tensor:
    """The tensor scale of a largest absolute value: amax / 2688 in fp32, 1 when amax is 0.

    Raises:
        InputError: Negative, NaN or infinite.
    """
    amax = amax.float()  # scales are fp32 by definition
    if not bool((torch.isfinite(amax) & (amax >= 0)).all()):
        raise InputError(
            f"{what}: largest absolute value {amax.flatten()[:4].tolist()}, expected finite and "
            ">= 0; check the tensor or calibration run it was taken from"
        )
    scale = true_divide(amax, NVFP4_MAX)
    return torch.where(scale > 0, scale, torch.ones_like(scale))


def nvfp4_encode(
    w: torch.Tensor, scale_2: torch.Tensor | None = None, *, what: str = "weight"
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Quantize a weight matrix.

    Args:
        w: (n, k), floating, k a multiple of 16.
        scale_2: Frozen tensor scale (); None takes it from the matrix.
        what: What is encoded, for messages.

    Returns:
        packed: (n, k / 2) uint8.
        scale: (n, k / 16) float8_e4m3fn.
        scale_2: () fp32.

    Raises:
        InputError: k is not a multiple of 16, a value is not finite, or `scale_2` is not above 0.
    """
    n, k = _matrix_shape(w, what)
    amax = finite_amax(w, what)
    if scale_2 is None:
        scale_2 = nvfp4_scale(amax, what=what)
    else:
        scale_2 = require_positive(scale_2.to(w.device), f"{what}: scale_2").reshape(())
    packed = torch.empty((n, k // 2), dtype=torch.uint8, device=w.device)
    scale = torch.empty((n, k // NVFP4_BLOCK), dtype=torch.float8_e4m3fn, device=w.device)
    for part in row_slices(n, k, w.device):
        blocks = w[part].float().view(-1, k // NVFP4_BLOCK, NVFP4_BLOCK)  # (rows, c, 16)
        s = blocks.abs().amax(-1) / (E2M1_MAX * scale_2)
        s.masked_fill_(s == 0, 1.0).clamp_(_BLOCK_SCALE_MIN, _BLOCK_SCALE_MAX)
        scale[part] = s.to(torch.float8_e4m3fn)
        effective = scale[part].float() * scale_2  # the scale a reader will use
        codes = _codes(blocks / effective.unsqueeze(-1))
        packed[part] = pack_nibbles(codes.view(-1, k))
    return packed, scale, scale_2


def nvfp4_encode_reference(
    w: torch.Tensor, scale_2: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The referee: the six steps of the specification, one block at a time."""
    n, k = w.shape
    w = w.float()
    if scale_2 is None:
        amax = w.abs().max()
        scale_2 = amax / 2688 if amax > 0 else torch.tensor(1.0)
    scale = torch.empty(n, k // 16)
    packed = torch.empty(n, k // 2, dtype=torch.uint8)
    for row in range(n):
        for c in range(k // 16):
            block = w[row, 16 * c : 16 * c + 16]
            s = block.abs().max() / (6 * scale_2)
            s = torch.ones(()) if s == 0 else s.clamp(2**-9, 448)
            scale[row, c] = s.to(torch.float8_e4m3fn).float()
            code = e2m1_encode_reference((block / (scale[row, c] * scale_2)).clamp(-6, 6))
            packed[row, 8 * c : 8 * c + 8] = code[0::2] + 16 * code[1::2]
    return packed, scale.to(torch.float8_e4m3fn), scale_2


def nvfp4_decode(
    packed: torch.Tensor,
    scale: torch.Tensor,
    scale_2: torch.Tensor,
    dtype: torch.dtype = torch.bfloat16,
    *,
    out: torch.Tensor | None = None,
) -> torch.Tensor:
    """Back to numbers: code * (block scale * tensor scale) in fp32, rounded once to `dtype`.

    Args:
        packed: (n, k / 2) uint8.
        scale: (n, k / 16) float8_e4m3fn.
        scale_2: () fp32.
        dtype: dtype of the result.
        out: (n, k) memory for the result, of `dtype`.
    """
    n, k = packed.shape[0], 2 * packed.shape[1]
    if out is None:
        out = torch.empty((n, k), dtype=dtype, device=packed.device)
    packed = packed.contiguous()
    table = cached_table(_quad_table, packed.device)
    for part in row_slices(n, k, packed.device):
        quads = gather_pairs(packed[part], table)  # (rows * k / 4, 1) words of four bf16
        values = quads.view(torch.bfloat16).view(-1, k // NVFP4_BLOCK, NVFP4_BLOCK).float()
        values.mul_((scale[part].float() * scale_2).unsqueeze(-1))
        out[part] = values.view(-1, k)
    return out


def nvfp4_decode_reference(
    packed: torch.Tensor, scale: torch.Tensor, scale_2: torch.Tensor
) -> torch.Tensor:
    """The referee: nibble by nibble, in fp32."""
    magnitudes = torch.tensor(_MAGNITUDES)
    columns = []
    for j in range(2 * packed.shape[1]):
        code = ((packed[:, j // 2] >> (4 * (j % 2))) & 15).int()
        value = magnitudes[code & 7] * torch.where(code >= 8, -1.0, 1.0)
        columns.append(value * (scale[:, j // NVFP4_BLOCK].float() * scale_2))
    return torch.stack(columns, dim=1)


def nvfp4_fake_quant_activation(
    x: torch.Tensor, input_scale: torch.Tensor, *, what: str = "activation"
) -> torch.Tensor:
    """Round an activation to what the 4-bit GEMM would see, and come back.

    Each block of 16 gets its own E4M3 scale under the static `input_scale`; a block whose scale
    would pass 448 is clipped to the calibrated maximum.

    Args:
        x: (..., k), k a multiple of 16.
        input_scale: () fp32, calibrated amax / 2688.
        what: What is quantized, for messages.

    Returns:
        Shape and dtype of `x`; without a gradient, see `straight_through`.

    Raises:
        InputError: k is not a multiple of 16, `x` is not finite, or the scale not above 0.
    """
    rows = x.detach().reshape(-1, x.shape[-1])
    n, k = _matrix_shape(rows, what)
    finite_amax(rows, what)
    input_scale = require_positive(input_scale, f"{what}: input_scale").reshape(())
    out = torch.empty((n, k), dtype=x.dtype, device=x.device)
    for part in row_slices(n, k, x.device):
        blocks = rows[part].float().view(-1, k // NVFP4_BLOCK, NVFP4_BLOCK)
        s = true_divide(blocks.abs().amax(-1), E2M1_MAX) / input_scale
        s = s.clamp_(0, _BLOCK_SCALE_MAX).to(torch.float8_e4m3fn)
        effective = (s.float() * input_scale).unsqueeze(-1)
        # a zero scale means a zero block: codes 0, not 0 / 0
        y = torch.where(effective > 0, blocks / effective, 0.0)
        out[part] = (e2m1_decode(_codes(y)) * effective).view(-1, k)
    return out.view(x.shape)


def blocked_scale_offset(row: int, column: int, columns: int) -> int:
    """Where block scale (row, column) of an (n, columns) matrix lies in the GPU kernel's layout."""
    tiles_per_row = -(-columns // 4)
    tile = (row // 128) * tiles_per_row + column // 4
    return tile * 512 + (row % 32) * 16 + (row % 128) // 32 * 4 + column % 4


def swizzle_block_scales(scale: torch.Tensor) -> torch.Tensor:
    """Pad and permute block scales into the layout of tensor-core kernels.

    Args:
        scale: (n, c), any one-byte dtype.

    Returns:
        1-D, n and c rounded up to multiples of 128 and 4; padding is zero.
    """
    n, c = scale.shape
    padded = torch.zeros((-(-n // 128) * 128, -(-c // 4) * 4), dtype=torch.uint8)
    padded = padded.to(scale.device)
    padded[:n, :c] = scale.view(torch.uint8)
    # (row tile, row // 32, row % 32, column tile, column % 4)
    tiles = padded.view(-1, 4, 32, padded.shape[1] // 4, 4)
    return tiles.permute(0, 3, 2, 1, 4).contiguous().flatten().view(scale.dtype)


def unswizzle_block_scales(flat: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """Undo `swizzle_block_scales` for an (rows, columns) matrix."""
    row_tiles, column_tiles = -(-rows // 128), -(-columns // 4)
    tiles = flat.view(torch.uint8).view(row_tiles, column_tiles, 32, 4, 4)
    padded = tiles.permute(0, 3, 2, 1, 4).reshape(row_tiles * 128, column_tiles * 4)
    return padded[:rows, :columns].contiguous().view(flat.dtype)


def _matrix_shape(w: torch.Tensor, what: str) -> tuple[int, int]:
    if w.dim() != 2 or w.shape[1] % NVFP4_BLOCK:
        raise InputError(
            f"{what}: shape {tuple(w.shape)}; NVFP4 needs rows whose length is a multiple of "
            f"{NVFP4_BLOCK}; leave this one in BF16"
        )
    return w.shape[0], w.shape[1]


def _codes(y: torch.Tensor) -> torch.Tensor:
    """E2M1 codes of a contiguous fp32 tensor by one lookup; NaN gives 0, infinity saturates.

    The index is the upper half of the fp32 number with its last bit set when anything was cut off
    ("round to odd"): thresholds are short numbers, so a tie and its neighbours stay apart.
    """
    bits = y.view(torch.int32)
    index = (bits & 0xFFFF).add_(0xFFFF).bitwise_or_(bits)
    index = index.bitwise_right_shift_(16).bitwise_and_(0xFFFF)
    return cached_table(_code_table, y.device).index_select(0, index.flatten()).view(y.shape)


def _code_table(device: torch.device) -> torch.Tensor:
    """(65536,) uint8: the code of every number with 16 significant bits."""
    halves = torch.arange(65536, dtype=torch.int32, device="cpu") << 16
    return e2m1_encode_reference(halves.view(torch.float32)).to(device)


def _code_values(device: torch.device) -> torch.Tensor:
    """(16,) fp32: the value of every code."""
    positive = torch.tensor(_MAGNITUDES, dtype=torch.float32, device="cpu")
    return torch.cat([positive, -positive]).to(device)


def _quad_table(device: torch.device) -> torch.Tensor:
    """(65536, 1) int64: the four bf16 values behind two packed bytes."""
    pairs = torch.arange(65536, dtype=torch.int32, device="cpu")
    nibbles = torch.stack([(pairs >> shift) & 15 for shift in (0, 4, 8, 12)], dim=1)
    values = e2m1_decode(nibbles, torch.bfloat16)
    return values.view(torch.int64).to(device)
