"""Pixel shuffle: four neighbouring patch vectors become one visual token.

Letters: m tiles, u vision width.

Source: model specification, sections 5.1 and 11.4.
"""

from __future__ import annotations

import torch

__all__ = ["pixel_shuffle", "pixel_shuffle_reference"]


def pixel_shuffle_reference(x: torch.Tensor, *, version: str = "v2") -> torch.Tensor:
    """The referee: one Python loop over output tokens."""
    m, height, width, _ = x.shape
    rows = []
    for row in range(height // 2):
        for column in range(width // 2):
            cell = x[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            rows.append(cell.reshape(m, -1))
    grid = torch.stack(rows, dim=1).view(m, height // 2, width // 2, -1)
    return grid.transpose(1, 2) if version == "v1" else grid


def pixel_shuffle(x: torch.Tensor, *, version: str = "v2") -> torch.Tensor:
    """Join every 2 x 2 cell of patches.

    Args:
        x: Patch features (m, height, width, u); height and width even.
        version: "v2" keeps the token grid upright, "v1" transposes it.

    Returns:
        (m, height / 2, width / 2, 4 u); channels are top-left, top-right, bottom-left,
        bottom-right. With "v1" the two grid axes are swapped.
    """
    m, height, width, u = x.shape
    cells = x.view(m, height // 2, 2, width // 2, 2, u)  # (m, row, dy, column, dx, u)
    order = (0, 3, 1, 2, 4, 5) if version == "v1" else (0, 1, 3, 2, 4, 5)
    cells = cells.permute(order)
    return cells.reshape(*cells.shape[:3], 4 * u)
