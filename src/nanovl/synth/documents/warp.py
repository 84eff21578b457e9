"""Bends a picture and says where every point of it went.

A warp is a perspective, and on top of it small displacements of the paper (curl, folds, waves).
Without displacements the picture is resampled by the perspective itself; with them by a mesh whose
cells are bilinear, and points are carried by inverting exactly that mesh, so that what boxes say
is what the pixels do. Must not know pages.

Source: data synthesis specification, section 4.3 (displacement maps; quads follow).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

__all__ = ["Displacement", "Warp", "curl", "fold", "homography", "waves"]

Points = npt.NDArray[np.float64]
Displacement = Callable[[Points], Points]
_CELL = 48  # pixels of a mesh cell


def homography(source: Points, target: Points) -> Points:
    """The 3 x 3 matrix that carries four points to four others."""
    rows, values = [], []
    for (x, y), (u, v) in zip(source, target, strict=True):
        rows.append([x, y, 1, 0, 0, 0, -u * x, -u * y])
        rows.append([0, 0, 0, x, y, 1, -v * x, -v * y])
        values += [u, v]
    solved = np.linalg.solve(np.array(rows, np.float64), np.array(values, np.float64))
    return np.append(solved, 1.0).reshape(3, 3)


def _carry(matrix: Points, points: Points) -> Points:
    turned = points @ matrix[:, :2].T + matrix[:, 2]
    carried: Points = turned[:, :2] / turned[:, 2:]
    return carried


class Warp:
    """A map from a picture to a bent one.

    Args:
        size: Width and height of the picture.
        corners: Where its corners go, clockwise from the top left, (4, 2).
        out: Width and height of the bent picture.
        displacements: Functions of positions in the picture that give offsets in pixels: the bent
            picture shows at the place of `p` what stood at `p + offset(p)`. They must be small and
            smooth (less than half a pixel per pixel).
    """

    def __init__(
        self,
        size: tuple[int, int],
        corners: Points,
        out: tuple[int, int],
        displacements: Sequence[Displacement] = (),
    ) -> None:
        width, height = size
        self.size, self.out = size, out
        own = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float64)
        self._forward = homography(own, corners)
        self._back: Points = np.asarray(np.linalg.inv(self._forward), np.float64)
        self._grid: Points | None = None
        if displacements:
            xs = np.unique(np.append(np.arange(0, out[0], _CELL), out[0])).astype(np.float64)
            ys = np.unique(np.append(np.arange(0, out[1], _CELL), out[1])).astype(np.float64)
            nodes = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
            flat = _carry(self._back, nodes)
            bent = flat + sum((d(flat) for d in displacements), np.zeros_like(flat))
            self._xs, self._ys = xs, ys
            self._grid = bent.reshape(len(ys), len(xs), 2)

    # -- Points ----------------------------------------------------------------------------------

    def source_of(self, points: Points) -> Points:
        """Positions of the picture that the bent one shows at some positions, (n, 2)."""
        grid = self._grid
        if grid is None:
            return _carry(self._back, points)
        columns = np.clip(
            np.searchsorted(self._xs, points[:, 0], "right") - 1, 0, len(self._xs) - 2
        )
        rows = np.clip(np.searchsorted(self._ys, points[:, 1], "right") - 1, 0, len(self._ys) - 2)
        s = (points[:, 0] - self._xs[columns]) / (self._xs[columns + 1] - self._xs[columns])
        t = (points[:, 1] - self._ys[rows]) / (self._ys[rows + 1] - self._ys[rows])
        s, t = s[:, None], t[:, None]
        upper = grid[rows, columns] * (1 - s) + grid[rows, columns + 1] * s
        lower = grid[rows + 1, columns] * (1 - s) + grid[rows + 1, columns + 1] * s
        found: Points = upper * (1 - t) + lower * t
        return found

    def points(self, points: Points) -> Points:
        """Where positions of the picture are in the bent one, (n, 2)."""
        found = _carry(self._forward, points)
        if self._grid is None:
            return found
        for _ in range(12):
            offset: Points = self.source_of(found) - _carry(self._back, found)
            closer = _carry(self._forward, points - offset)
            step = np.abs(closer - found).max()
            found = closer
            if step < 0.01:
                break
        return found

    # -- Pixels ----------------------------------------------------------------------------------

    def apply(self, image: Image.Image, background: Image.Image) -> Image.Image:
        """The bent picture.

        Args:
            image: Of the size the warp was made for.
            background: Seen where the picture is not, of size `out` and the same mode.
        """
        result = background.copy()
        if image.mode == "RGB":  # four bands cost no more than three
            bent = self._resampled(image.convert("RGBA"), Image.Resampling.BILINEAR)
            result.paste(bent.convert("RGB"), (0, 0), bent.getchannel("A"))
        else:
            bent = self._resampled(image, Image.Resampling.BILINEAR)
            mask = self._resampled(Image.new("L", image.size, 255), Image.Resampling.NEAREST)
            result.paste(bent, (0, 0), mask)
        return result

    def _resampled(self, image: Image.Image, how: Image.Resampling) -> Image.Image:
        black = 0 if image.mode == "L" else (0, 0, 0, 0)
        if self._grid is None:
            data = (self._back / self._back[2, 2]).ravel()[:8].tolist()
            return image.transform(
                self.out, Image.Transform.PERSPECTIVE, data, how, fillcolor=black
            )
        grid = self._grid
        mesh = []
        for row in range(len(self._ys) - 1):
            for column in range(len(self._xs) - 1):
                corners = grid[row : row + 2, column : column + 2]
                low, high = corners.min(axis=(0, 1)), corners.max(axis=(0, 1))
                if (high < 0).any() or (low > image.size).any():
                    continue
                box = (
                    int(self._xs[column]),
                    int(self._ys[row]),
                    int(self._xs[column + 1]),
                    int(self._ys[row + 1]),
                )
                quad = (*corners[0, 0], *corners[1, 0], *corners[1, 1], *corners[0, 1])
                mesh.append((box, tuple(map(float, quad))))
        return image.transform(self.out, Image.Transform.MESH, mesh, how, fillcolor=black)


# -- Displacements -------------------------------------------------------------------------------


def curl(amplitude: float, length: float, phase: float) -> Displacement:
    """Lines rise and fall like a page that does not lie flat; all in pixels, phase in radians."""

    def offsets(points: Points) -> Points:
        wave = amplitude * np.sin(points[:, 0] * (2 * np.pi / length) + phase)
        return np.stack([np.zeros_like(wave), wave], axis=1)

    return offsets


def fold(at: tuple[float, float], angle: float, depth: float, reach: float) -> Displacement:
    """A crease through a point: paper is pulled towards it, fading with the distance.

    Args:
        at: A point of the crease.
        angle: Of the crease in radians.
        depth: Largest offset in pixels, less than `reach` / 3.
        reach: Distance in pixels at which nothing moves any more.
    """
    normal = np.array([-np.sin(angle), np.cos(angle)])

    def offsets(points: Points) -> Points:
        distance = (points - np.array(at)) @ normal
        near = np.clip(1 - np.abs(distance) / reach, 0, 1)
        pull = depth * np.sin(np.clip(distance / reach, -1, 1) * np.pi) * near
        moved: Points = pull[:, None] * normal[None, :]
        return moved

    return offsets


def waves(
    rng: np.random.Generator, size: tuple[int, int], cell: float, depth: float
) -> Displacement:
    """Elastic distortion: smooth random offsets of at most `depth` pixels, features of `cell`."""
    nx, ny = max(3, round(size[0] / cell) + 1), max(3, round(size[1] / cell) + 1)
    values = rng.uniform(-depth, depth, (ny, nx, 2))

    def offsets(points: Points) -> Points:
        x = np.clip(points[:, 0] / size[0], 0, 1) * (nx - 1.000001)
        y = np.clip(points[:, 1] / size[1], 0, 1) * (ny - 1.000001)
        i, j = x.astype(int), y.astype(int)
        s, t = (x - i)[:, None], (y - j)[:, None]
        s, t = s * s * (3 - 2 * s), t * t * (3 - 2 * t)
        upper = values[j, i] * (1 - s) + values[j, i + 1] * s
        lower = values[j + 1, i] * (1 - s) + values[j + 1, i + 1] * s
        found: Points = upper * (1 - t) + lower * t
        return found

    return offsets
