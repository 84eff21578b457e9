"""c-RADIOv2 vision transformer with cropped position embeddings.

Takes normalised pictures of any size that is a multiple of two patches; the features of the last
block come out, without prefix tokens and without a final norm. Class and register rows are one
matrix in front of the patches and carry no position.

Inside, all pictures of a call are one stream of rows, whatever their sizes: only attention needs to
know where one ends.

Letters: m tiles, i patches of a tile, t rows of all tiles, u width.

Source: model specification, section 4.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from nanovl.core.errors import InputError
from nanovl.model.config import VisionConfig
from nanovl.ops.attention import full_attention

__all__ = [
    "VisionBlock",
    "VisionModel",
    "augmented_positions",
    "cropped_positions",
    "initial_deviation",
    "initial_positions",
    "patchify",
]


# (pictures of one length in a row, rows of each), in the order of the stream.
Segments = tuple[tuple[int, int], ...]


def patchify(pixels: torch.Tensor, patch_size: int) -> torch.Tensor:
    """Cut pictures into flattened patches.

    Args:
        pixels: (m, 3, height, width).

    Returns:
        (m, i, 3 * patch_size^2), patches row-major, values in order channel, row, column.
    """
    m, channels, height, width = pixels.shape
    p = patch_size
    cells = pixels.view(m, channels, height // p, p, width // p, p)
    return cells.permute(0, 2, 4, 1, 3, 5).reshape(m, -1, channels * p * p)


def cropped_positions(table: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """Position embeddings of a grid of patches at evaluation.

    The square table is resized to the longer side of the grid, then cropped at the top left.

    Args:
        table: (1, size * size, u), row-major.
        rows, columns: Patches of the picture.

    Returns:
        (rows * columns, u) in the dtype of `table`.
    """
    size = math.isqrt(table.shape[1])
    if rows == columns == size:
        return table[0]
    longer = max(rows, columns)
    grid = table.view(1, size, size, -1).permute(0, 3, 1, 2)
    wide = torch.float64 if table.dtype == torch.float64 else torch.float32
    grid = F.interpolate(grid.to(wide), size=(longer, longer), mode="bilinear", align_corners=False)
    grid = grid[0, :, :rows, :columns].permute(1, 2, 0)
    return grid.reshape(rows * columns, -1).to(table.dtype)


def augmented_positions(
    table: torch.Tensor, rows: int, columns: int, generator: torch.Generator | None = None
) -> torch.Tensor:
    """Position embeddings of a random window of the table (an optional training augmentation).

    Args and result as `cropped_positions`; the window's scale is uniform in [sqrt(0.1), 1], its
    aspect log-uniform in [3/4, 4/3].
    """
    draw = torch.rand(4, generator=generator, dtype=torch.float64).tolist()
    scale = math.sqrt(0.1) + (1.0 - math.sqrt(0.1)) * draw[0]
    aspect = math.exp(math.log(3 / 4) + math.log(16 / 9) * draw[1])
    width, height = min(1.0, scale * aspect), min(1.0, scale / aspect)
    left, top = draw[2] * (1.0 - width), draw[3] * (1.0 - height)
    ys = torch.linspace(top, top + height, rows) * 2 - 1
    xs = torch.linspace(left, left + width, columns) * 2 - 1
    points = torch.stack(torch.meshgrid(ys, xs, indexing="ij")[::-1], dim=-1)[None]
    size = math.isqrt(table.shape[1])
    grid = table.view(1, size, size, -1).permute(0, 3, 1, 2).float()  # sampled in fp32
    sampled = F.grid_sample(
        grid, points.to(grid.device), mode="bilinear", padding_mode="zeros", align_corners=True
    )
    return sampled[0].flatten(1).t().to(table.dtype)


def initial_positions(size: int, width: int) -> torch.Tensor:
    """The table training from scratch begins with: half of sines and cosines of row and column.

    Wavelengths go from 8 to 800 cells; the first half of the width is of the row.

    Returns:
        (1, size * size, width), row-major.
    """
    quarter = -(-width // 4)
    frequencies = math.pi / 4 * 100.0 ** (-torch.arange(quarter) / quarter)
    angles = torch.arange(size)[:, None] * frequencies  # (size, quarter)
    waves = torch.cat([angles.sin(), angles.cos()], dim=1)  # (size, 2 * quarter)
    rows = waves[:, None].expand(size, size, -1)
    grid = torch.cat([rows, waves[None].expand(size, size, -1)], dim=-1)
    return 0.5 * grid[..., :width].reshape(1, size * size, width)


def initial_deviation(config: VisionConfig, name: str, inputs: int) -> float:
    """Deviation of a matrix that training from scratch begins with.

    Args:
        config: Of the encoder.
        name: Of the matrix; those that add to the stream begin smaller, by the number of layers.
        inputs: Columns of it.
    """
    adds = name.endswith(("proj.weight", "fc2.weight"))
    return float(inputs**-0.5 * ((2 * config.num_layers) ** -0.5 if adds else 1.0))


class ClassTokens(nn.Module):
    """Class and register rows, one matrix."""

    def __init__(self, rows: int, width: int) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.zeros(rows, width))


class PatchGenerator(nn.Module):
    """Pixels to patch embeddings with positions, prefix rows in front."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.config = config
        self.embedder = nn.Linear(3 * config.patch_size**2, config.hidden_size, bias=False)
        self.pos_embed = nn.Parameter(torch.zeros(1, config.table_size**2, config.hidden_size))
        self.cls_token = ClassTokens(config.num_prefix_tokens, config.hidden_size)
        self.cpe_augment = False
        self._positions: dict[tuple[int, int], tuple[int, int, torch.Tensor]] = {}

    def positions(self, rows: int, columns: int) -> torch.Tensor:
        """Embeddings of a grid (rows * columns, u); kept per grid while weights do not change."""
        if self.cpe_augment and self.training:
            return augmented_positions(self.pos_embed, rows, columns)
        # Sharded training rewrites the table without a trace in its version or address.
        if self.training or (torch.is_grad_enabled() and self.pos_embed.requires_grad):
            return cropped_positions(self.pos_embed, rows, columns)
        version = 0 if self.pos_embed.is_inference() else self.pos_embed._version
        stamp = (version, self.pos_embed.data_ptr())
        known = self._positions.get((rows, columns))
        if known is None or known[:2] != stamp:
            if len(self._positions) >= 16:
                self._positions.clear()
            with torch.inference_mode(False):  # kept for later calls, which may want gradients
                value = cropped_positions(self.pos_embed.detach(), rows, columns)
            known = self._positions[rows, columns] = (*stamp, value)
        return known[2]

    def forward(self, pictures: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Tiles of several sizes (m, 3, height, width) each to (m, prefix + i, u) each."""
        p = self.config.patch_size
        found = []
        for pixels in pictures:
            m, _, height, width = pixels.shape
            x = self.embedder(patchify(pixels, p))
            x = x + self.positions(height // p, width // p)
            found.append(torch.cat([self.cls_token.token.expand(m, -1, -1), x], dim=1))
        return found


class VisionAttention(nn.Module):
    """Bidirectional attention inside a tile, never across tiles."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.qkv = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.proj = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, x: torch.Tensor, segments: Segments) -> torch.Tensor:
        """(t, u) to (t, u)."""
        u = x.shape[-1]
        qkv = self.qkv(x)
        outs, start = [], 0
        for m, i in segments:
            own = qkv[start : start + m * i].view(m, i, 3, self.num_heads, u // self.num_heads)
            q, k, v = own.permute(2, 0, 3, 1, 4).unbind(0)  # each (m, heads, i, head width)
            outs.append(full_attention(q, k, v).transpose(1, 2).reshape(m * i, u))
            start += m * i
        return self.proj(outs[0] if len(outs) == 1 else torch.cat(outs))


class VisionMLP(nn.Module):
    """Linear, exact GELU, Linear."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.hidden_size, config.intermediate_size)
        self.fc2 = nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(t, u) to (t, u)."""
        return self.fc2(F.gelu(self.fc1(x)))


class VisionBlock(nn.Module):
    """Pre-norm transformer block."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.hidden_size, eps=config.norm_eps)
        self.attn = VisionAttention(config)
        self.norm2 = nn.LayerNorm(config.hidden_size, eps=config.norm_eps)
        self.mlp = VisionMLP(config)
        # Training: keep only the input and compute the block again in the backward pass.
        self.recompute = False

    def forward(self, x: torch.Tensor, segments: Segments) -> torch.Tensor:
        """(t, u) to (t, u)."""
        if self.recompute and torch.is_grad_enabled():
            return checkpoint(self._run, x, segments, use_reentrant=False)
        return self._run(x, segments)

    def _run(self, x: torch.Tensor, segments: Segments) -> torch.Tensor:
        x = x + self.attn(self.norm1(x), segments)
        return x + self.mlp(self.norm2(x))


class VisionTransformer(nn.Module):
    """Patch generator and blocks."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.patch_generator = PatchGenerator(config)
        self.blocks = nn.ModuleList(VisionBlock(config) for _ in range(config.num_layers))

    def forward(self, pictures: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Tiles of several sizes (m, 3, height, width) each to (m, i, u) each."""
        tiles = self.patch_generator(pictures)
        segments: Segments = tuple((x.shape[0], x.shape[1]) for x in tiles)
        x = (
            tiles[0].flatten(0, 1)
            if len(tiles) == 1
            else torch.cat([x.flatten(0, 1) for x in tiles])
        )
        for block in self.blocks:
            x = block(x, segments)
        prefix = self.patch_generator.cls_token.token.shape[0]
        parts = x.split([m * i for m, i in segments])
        return [
            part.view(m, i, -1)[:, prefix:] for part, (m, i) in zip(parts, segments, strict=True)
        ]


class Radio(nn.Module):
    """The level of the released names between `vision_model` and the transformer."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.model = VisionTransformer(config)


class VisionModel(nn.Module):
    """Vision encoder with the parameter names of the released checkpoint."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.config = config
        self.radio_model = Radio(config)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Encode normalised pictures of one size.

        Args:
            pixels: (m, 3, height, width); height and width multiples of two patches.

        Returns:
            (m, height / patch, width / patch, u).

        Raises:
            InputError: A size that is no multiple of two patches.
        """
        return self.encode([pixels])[0]

    def encode(self, pictures: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Encode normalised pictures of several sizes in one pass.

        Args:
            pictures: As the argument of `forward`, one tensor per size or more.

        Returns:
            What `forward` gives, for each.

        Raises:
            InputError: A size that is no multiple of two patches.
        """
        p = self.config.patch_size
        for pixels in pictures:
            height, width = pixels.shape[2:]
            if height % (2 * p) or width % (2 * p) or not height or not width:
                raise InputError(
                    f"vision encoder: picture of {width} x {height} pixels, "
                    f"expected multiples of {2 * p}"
                )
        features = self.radio_model.model(pictures)
        return [
            found.view(len(found), pixels.shape[2] // p, pixels.shape[3] // p, -1)
            for found, pixels in zip(features, pictures, strict=True)
        ]

    @torch.no_grad()
    def initialize(self, generator: torch.Generator | None = None) -> None:
        """Draw weights for training from scratch.

        Positions begin as sines, so that neighbours are alike at once and resizing keeps them so;
        what blocks add to the stream begins small.
        """
        vision = self.config
        for name, parameter in self.named_parameters():
            if "norm" in name:
                parameter.fill_(1.0 if name.endswith("weight") else 0.0)
            elif name.endswith("bias"):
                parameter.zero_()
            elif name.endswith("pos_embed"):
                parameter.copy_(initial_positions(vision.table_size, vision.hidden_size))
            elif name.endswith("token"):
                parameter.normal_(0.0, vision.hidden_size**-0.5, generator=generator)
            else:
                deviation = initial_deviation(vision, name, parameter.shape[1])
                parameter.normal_(0.0, deviation, generator=generator)
