"""Drawings behind the text of a page: gradients, lines, blocks, rulings and paper fibres.

Written as PDF operators in the unit square, which the hook package stretches over the page. They
hold no text and leave no trace in what the hooks record. Must not choose colours (`hues` does).

Source: data synthesis specification, section 3.13 (page background).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

__all__ = ["BACKDROPS", "backdrop"]

_BANDS = 64
_PAPER = 0.71  # width of a page by its height, about: keeps squares square


def _rgb(color: str) -> str:
    return " ".join(f"{int(color[i : i + 2], 16) / 255:.3f}" for i in (0, 2, 4))


def _mixed(first: str, second: str, share: float) -> str:
    pairs = [(int(first[i : i + 2], 16), int(second[i : i + 2], 16)) for i in (0, 2, 4)]
    return " ".join(f"{(a * (1 - share) + b * share) / 255:.3f}" for a, b in pairs)


def _gradient(rng: random.Random, colors: Sequence[str]) -> list[str]:
    first, second = colors[0], colors[1]
    across = rng.random() < 0.5
    out = []
    for band in range(_BANDS):
        start, rest = band / _BANDS, 1 - band / _BANDS
        place = f"{start:.4f} 0 {rest:.4f} 1" if across else f"0 {start:.4f} 1 {rest:.4f}"
        out.append(f"{_mixed(first, second, band / (_BANDS - 1))} rg {place} re f")
    return out


def _lines(rng: random.Random, colors: Sequence[str]) -> list[str]:
    out = []
    for _ in range(rng.randint(4, 30)):
        ends = " ".join(f"{rng.uniform(-0.1, 1.1):.4f}" for _ in range(2))
        more = " ".join(f"{rng.uniform(-0.1, 1.1):.4f}" for _ in range(2))
        out.append(
            f"{_rgb(rng.choice(colors[1:]))} RG {rng.uniform(0.0006, 0.005):.4f} w "
            f"{ends} m {more} l S"
        )
    return out


def _blocks(rng: random.Random, colors: Sequence[str]) -> list[str]:
    out = []
    for _ in range(rng.randint(2, 20)):
        x, y = rng.uniform(-0.1, 0.95), rng.uniform(-0.1, 0.95)
        wide, high = rng.uniform(0.03, 0.5), rng.uniform(0.02, 0.4)
        out.append(f"{_rgb(rng.choice(colors[1:]))} rg {x:.4f} {y:.4f} {wide:.4f} {high:.4f} re f")
    return out


def _ruled(rng: random.Random, colors: Sequence[str]) -> list[str]:
    """A sheet of lined paper."""
    step = rng.uniform(0.02, 0.035)
    out = [f"{_rgb(colors[1])} RG 0.0012 w"]
    out += [f"0 {k * step:.4f} m 1 {k * step:.4f} l" for k in range(1, int(1 / step))]
    edge = rng.choice((0.06, 0.08, 0.94))
    return [*out, "S", f"{_rgb(colors[-1])} RG 0.0015 w {edge} 0 m {edge} 1 l S"]


def _squared(rng: random.Random, colors: Sequence[str]) -> list[str]:
    """A sheet of squared paper."""
    step = rng.uniform(0.014, 0.03)
    across = step / _PAPER
    out = [f"{_rgb(colors[1])} RG 0.0008 w"]
    out += [f"0 {k * step:.4f} m 1 {k * step:.4f} l" for k in range(1, int(1 / step))]
    out += [f"{k * across:.4f} 0 m {k * across:.4f} 1 l" for k in range(1, int(1 / across))]
    return [*out, "S"]


def _dotted(rng: random.Random, colors: Sequence[str]) -> list[str]:
    """A sheet with a grid of dots."""
    step = rng.uniform(0.016, 0.03)
    across = step / _PAPER
    out = [f"{_rgb(colors[1])} RG 1 J 0.003 w [0 {across:.4f}] 0 d"]
    out += [f"0 {k * step:.4f} m 1 {k * step:.4f} l" for k in range(1, int(1 / step))]
    return [*out, "S [] 0 d 0 J"]


def _fibres(rng: random.Random, colors: Sequence[str]) -> list[str]:
    """Short strokes all over, as of coarse paper."""
    out = []
    for color in colors[1:]:
        out.append(f"{_rgb(color)} RG {rng.uniform(0.0005, 0.0016):.4f} w")
        for _ in range(220):
            x, y = rng.random(), rng.random()
            dx, dy = rng.uniform(-0.02, 0.02), rng.uniform(-0.006, 0.006)
            out.append(f"{x:.3f} {y:.3f} m {x + dx:.3f} {y + dy:.3f} l")
        out.append("S")
    return out


def _mixture(rng: random.Random, colors: Sequence[str]) -> list[str]:
    """A gradient with lines and blocks on it."""
    return [*_gradient(rng, colors), *_blocks(rng, colors), *_lines(rng, colors)]


BACKDROPS: dict[str, Callable[[random.Random, Sequence[str]], list[str]]] = {
    "blocks": _blocks,
    "dotted": _dotted,
    "fibres": _fibres,
    "gradient": _gradient,
    "lines": _lines,
    "mixture": _mixture,
    "ruled": _ruled,
    "squared": _squared,
}


def backdrop(kind: str, colors: Sequence[str], number: int) -> str:
    """PDF operators of a drawing over the unit square, origin bottom left.

    Args:
        kind: One of `BACKDROPS`.
        colors: At least two; the first is that of the page and is painted below everything.
        number: Another one draws otherwise.
    """
    rng = random.Random(number)
    ground = f"{_rgb(colors[0])} rg 0 0 1 1 re f"
    return " ".join([ground, *BACKDROPS[kind](rng, colors)])
