r"""Pictures as TikZ code: charts with axes, curves, flow diagrams, networks, plans.

Sizes are in units of 1 cm and stay inside the width that is given. Must not need other libraries
than `tikz` and its arrows.

Source: data synthesis specification, section 3.14.
"""

from __future__ import annotations

import math
import random

__all__ = ["draw_picture"]

_COLORS = ("black", "blue!70!black", "red!75!black", "teal", "orange!85!black", "gray")
_BOXES = ("Start", "Read", "Sort", "Check", "Weigh", "Store", "Send", "Stop", "Model", "Test")
_LETTERS = "ABCDEFGHKLM"
_CM_PER_EM = 0.35


def draw_picture(rng: random.Random, width_em: float) -> str:
    """A `tikzpicture` of a random kind.

    Args:
        rng: Where it comes from.
        width_em: Width of the column, in em of 10 points.
    """
    width = min(9.0, 0.85 * width_em * _CM_PER_EM) * rng.uniform(0.6, 1.0)
    height = width * rng.uniform(0.45, 0.75)
    kind = rng.choice((_bars, _curves, _points, _flow, _network, _rooms))
    body = kind(rng, width, height)
    return "\n".join(["\\begin{tikzpicture}", *body, "\\end{tikzpicture}"])


def _n(value: float) -> str:
    return f"{value:.2f}"


def _axes(rng: random.Random, w: float, h: float) -> list[str]:
    x, y = rng.choice((("$t$", "$h$"), ("$x$", "$y$"), ("day", "level"), ("size", "cost")))
    lines = [
        f"\\draw[->] (0,0) -- ({_n(w)},0) node[below left] {{\\small {x}}};",
        f"\\draw[->] (0,0) -- (0,{_n(h)}) node[below right] {{\\small {y}}};",
    ]
    if rng.random() < 0.4:
        lines.insert(0, f"\\draw[gray!40,step=0.5] (0,0) grid ({_n(w - 0.3)},{_n(h - 0.3)});")
    return lines


def _bars(rng: random.Random, w: float, h: float) -> list[str]:
    count = rng.randint(3, 6)
    step = (w - 0.6) / count
    color = rng.choice(_COLORS[1:])
    lines = []
    for k in range(count):
        x, top = 0.2 + k * step, rng.uniform(0.15, 0.85) * h
        lines.append(f"\\fill[{color}] ({_n(x)},0) rectangle ({_n(x + 0.65 * step)},{_n(top)});")
        lines.append(
            f"\\node[below] at ({_n(x + 0.32 * step)},0) {{\\footnotesize {_LETTERS[k]}}};"
        )
    return [*lines, f"\\draw (0,{_n(h)}) -- (0,0) -- ({_n(w)},0);"]


def _curves(rng: random.Random, w: float, h: float) -> list[str]:
    lines = _axes(rng, w, h)
    for k in range(rng.randint(1, 3)):
        color, a, b = rng.choice(_COLORS), rng.uniform(0.1, 0.3) * h, rng.uniform(1, 3)
        base, phase = rng.uniform(0.35, 0.6) * h, rng.uniform(0, 6)
        points = [
            f"({_n(x * (w - 0.4) / 24)},{_n(base + a * math.sin(phase + b * x / 4))})"
            for x in range(25)
        ]
        style = rng.choice(("thick", "dashed,thick", "thick,dotted"))
        lines.append(f"\\draw[{color},{style}] plot[smooth] coordinates {{{' '.join(points)}}};")
        del k
    return lines


def _points(rng: random.Random, w: float, h: float) -> list[str]:
    lines = _axes(rng, w, h)
    color, slope = rng.choice(_COLORS), rng.uniform(-0.6, 0.6)
    for _ in range(rng.randint(8, 24)):
        x = rng.uniform(0.2, w - 0.5)
        y = h / 2 + slope * (x - w / 2) * h / w + rng.gauss(0, 0.08) * h
        lines.append(f"\\fill[{color}] ({_n(x)},{_n(max(0.1, min(h - 0.2, y)))}) circle (1.5pt);")
    return lines


def _flow(rng: random.Random, w: float, h: float) -> list[str]:
    count = max(2, min(4, int(w / 2)))
    names = rng.sample(_BOXES, count)
    step = w / count
    shape = rng.choice(("", "rounded corners,"))
    lines = [
        f"\\node[draw,{shape}minimum width={_n(0.68 * step)}cm,minimum height=0.7cm] (n{k}) at "
        f"({_n((k + 0.5) * step)},0) {{\\small {name}}};"
        for k, name in enumerate(names)
    ]
    lines += [f"\\draw[->] (n{k}) -- (n{k + 1});" for k in range(count - 1)]
    if rng.random() < 0.5 and count > 2:
        lines.append(f"\\draw[->] (n{count - 1}) to[bend left=35] (n0);")
    return lines


def _network(rng: random.Random, w: float, h: float) -> list[str]:
    count = rng.randint(4, 7)
    lines = []
    for k in range(count):
        angle = 2 * math.pi * k / count
        x, y = (w / 2 - 0.4) * math.cos(angle), (h / 2 - 0.3) * math.sin(angle)
        lines.append(
            f"\\node[draw,circle,inner sep=2pt] (v{k}) at ({_n(x)},{_n(y)}) "
            f"{{\\small {_LETTERS[k]}}};"
        )
    pairs = [(a, b) for a in range(count) for b in range(a + 1, count)]
    for a, b in rng.sample(pairs, rng.randint(count - 1, min(len(pairs), count + 3))):
        lines.append(f"\\draw (v{a}) -- (v{b});")
    return lines


def _rooms(rng: random.Random, w: float, h: float) -> list[str]:
    x, y = w * rng.uniform(0.35, 0.65), h * rng.uniform(0.35, 0.65)
    return [
        f"\\draw[very thick] (0,0) rectangle ({_n(w)},{_n(h)});",
        f"\\draw ({_n(x)},0) -- ({_n(x)},{_n(h)});",
        f"\\draw ({_n(x)},{_n(y)}) -- ({_n(w)},{_n(y)});",
        f"\\node at ({_n(x / 2)},{_n(h / 2)}) {{hall}};",
        f"\\node at ({_n((x + w) / 2)},{_n(y / 2)}) {{\\small store}};",
        f"\\node at ({_n((x + w) / 2)},{_n((y + h) / 2)}) {{\\small yard}};",
    ]
