"""Random looks of charts and colours with names.

Source: data synthesis specification, section 7.
"""

from __future__ import annotations

import random
from dataclasses import replace

from nanovl.synth.charts.spec import Look

__all__ = ["FAMILIES", "PALETTES", "draw_look", "palette"]

FAMILIES = ("DejaVu Sans", "DejaVu Sans", "DejaVu Serif", "STIXGeneral", "DejaVu Sans Mono")
# Every palette: colours that can be told apart by their names.
PALETTES: tuple[tuple[tuple[str, str], ...], ...] = (
    (("#1f77b4", "blue"), ("#ff7f0e", "orange"), ("#2ca02c", "green"), ("#d62728", "red"),
     ("#9467bd", "purple"), ("#8c564b", "brown"), ("#e377c2", "pink"), ("#7f7f7f", "gray")),
    (("#003f5c", "navy"), ("#ffa600", "orange"), ("#bc5090", "purple"), ("#58b368", "green"),
     ("#e63946", "red"), ("#9aa5b1", "gray"), ("#5bc0de", "light blue"), ("#6d4c41", "brown")),
    (("#e41a1c", "red"), ("#377eb8", "blue"), ("#4daf4a", "green"), ("#984ea3", "purple"),
     ("#ff7f00", "orange"), ("#e8d21d", "yellow"), ("#a65628", "brown"), ("#f781bf", "pink")),
    (("#264653", "dark teal"), ("#2a9d8f", "teal"), ("#e9c46a", "yellow"), ("#e76f51", "coral"),
     ("#6a4c93", "purple"), ("#adb5bd", "gray"), ("#1d4ed8", "blue"), ("#7f1d1d", "maroon")),
    (("#0072b2", "blue"), ("#d55e00", "orange"), ("#009e73", "green"), ("#cc79a7", "pink"),
     ("#f0e442", "yellow"), ("#56b4e9", "light blue"), ("#000000", "black"),
     ("#8a5a44", "brown")),
)  # fmt: skip
GROUNDS = (
    ("#ffffff", "#ffffff", "#000000", "#d0d0d0"),
    ("#ffffff", "#ffffff", "#222222", "#e2e2e2"),
    ("#ffffff", "#eaeaf2", "#262626", "#ffffff"),
    ("#faf6ee", "#fffdf8", "#3b3024", "#e0d8c8"),
    ("#f4f7fb", "#ffffff", "#1f2a44", "#d6deea"),
    ("#ffffff", "#f5f5f5", "#333333", "#dcdcdc"),
    ("#1e1f24", "#25262c", "#eeeeee", "#44464d"),
)


def palette(rng: random.Random, count: int, *, is_dark: bool) -> list[tuple[str, str]]:
    """Colours and their names, from one palette; dark colours are left out on dark grounds."""
    colors = list(rng.choice(PALETTES))
    if is_dark:
        colors = [c for c in colors if c[1] not in ("black", "navy", "dark teal", "maroon")]
    else:
        colors = [c for c in colors if c[0] != "#f0e442"]
    if rng.random() < 0.5:
        rng.shuffle(colors)
    if count > len(colors):
        extra = [c for c in PALETTES[0] if c[1] not in {name for _, name in colors}]
        colors += extra
    return colors[:count]


def draw_look(rng: random.Random) -> Look:
    """A random style."""
    ground, plot, ink, grid_color = rng.choices(GROUNDS, (5, 4, 2, 1, 1, 2, 0.8))[0]
    dpi = rng.choice((80, 100, 100, 120, 144))
    width, height = rng.choice(((480, 360), (560, 420), (640, 480), (720, 480), (640, 560)))
    look = Look(
        family=rng.choice(FAMILIES),
        font_size=rng.choice((9.0, 10.0, 10.0, 11.0)),
        width=round(width * dpi / 100),
        height=round(height * dpi / 100),
        dpi=dpi,
        ground=ground,
        plot=plot,
        ink=ink,
        grid_color=grid_color,
        grid=rng.choice(("none", "y", "y", "both")),
        spines=rng.choice(("open", "open", "box", "none")),
        legend=rng.choice(("best", "outside", "below")),
        line_width=rng.choice((1.5, 2.0, 2.5, 3.0)),
        has_markers=rng.random() < 0.6,
        hatches=rng.random() < 0.06,
        is_sketch=rng.random() < 0.03,
    )
    if look.plot == "#eaeaf2":
        look = replace(look, spines="none", grid="both")
    return look
