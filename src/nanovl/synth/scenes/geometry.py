"""Geometry problems: figures whose given values fix an unknown one, with the way to it.

A problem's answer is computed by a rule and measured again on the points of its figure; the two
must agree. Must not draw.

Source: data synthesis specification, section 13 (geometry figures).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from nanovl.core.errors import ConfigError
from nanovl.synth.asking import number_text
from nanovl.synth.scenes.figures import AngleMark, Figure, angle_at, distance, polar

__all__ = ["PROBLEMS", "Problem"]


@dataclass(frozen=True)
class Problem:
    """A figure and what is asked about it.

    Attributes:
        kind: Key of `PROBLEMS`.
        figure: Given values are its labels.
        goal: "angle", "length", "area", "perimeter" or "circumference".
        name: What is sought, such as "ABC" or "AB" or "the rectangle".
        facts: Given in the text of the question; "" if the figure says all.
        value: The answer.
        measured: The same from the points of the figure.
        steps: Sentences that lead to it.
        unit: Of the answer.
        decimals: To which the answer is rounded.
    """

    kind: str
    figure: Figure
    goal: str
    name: str
    facts: str
    value: float
    measured: float
    steps: tuple[str, ...]
    unit: str
    decimals: int = 0

    def __post_init__(self) -> None:
        if abs(self.value - self.measured) > 1e-6 * max(1.0, abs(self.value)):
            raise ConfigError(
                f"{self.kind}: the rule gives {self.value}, the figure measures {self.measured}"
            )


UNITS = ("cm", "m", "mm", "in")
TRIPLES = ((3, 4, 5), (5, 12, 13), (8, 15, 17), (7, 24, 25), (20, 21, 29), (9, 40, 41))


def _names(rng: random.Random, count: int) -> list[str]:
    start = rng.choice(("ABCDEFGH", "PQRSTUVW", "JKLMNPQR", "XYZWUVST"))
    return list(start[:count])


def _area(figure: Figure, *names: str) -> float:
    points = [figure.points[n] for n in names]
    pairs = zip(points, [*points[1:], points[0]], strict=True)
    return abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in pairs)) / 2


def _triangle(rng: random.Random, names: list[str], angles: tuple[int, int]) -> Figure:
    """Triangle with given angles at the first two points, side between them 10."""
    a, b = names[0], names[1]
    alpha, gamma = math.radians(angles[0]), math.radians(180 - sum(angles))
    side = 10 * math.sin(math.radians(angles[1])) / math.sin(gamma)
    top = (side * math.cos(alpha), side * math.sin(alpha))
    figure = Figure({a: (0.0, 0.0), b: (10.0, 0.0), names[2]: top}).close(*names[:3])
    figure.turned(rng.choice((0, 0, 15, -20, 40, 180)))
    return figure


def _measure(figure: Figure, a: str, vertex: str, b: str) -> float:
    return angle_at(figure.points[a], figure.points[vertex], figure.points[b])


def triangle_angles(rng: random.Random) -> Problem:
    """Two angles of a triangle are given."""
    a, b, c = names = _names(rng, 3)
    one = rng.randint(25, 100)
    two = rng.randint(25, min(100, 155 - one))
    figure = _triangle(rng, names, (one, two))
    figure.angles = [
        AngleMark(b, a, c, f"{one}\u00b0"),
        AngleMark(a, b, c, f"{two}\u00b0"),
        AngleMark(a, c, b, "?"),
    ]
    value = 180 - one - two
    steps = (
        "The angles of a triangle add up to 180\u00b0.",
        f"180 - {one} - {two} = {value}.",
    )
    return Problem(
        "triangle_angles", figure, "angle", f"{a}{c}{b}", "", value, _measure(figure, a, c, b),
        steps, "degrees",
    )  # fmt: skip


def isosceles(rng: random.Random) -> Problem:
    """Two equal sides and one angle are given."""
    a, b, c = names = _names(rng, 3)
    base = rng.randint(28, 78)
    figure = _triangle(rng, names, (base, base))
    figure.ticks = [(a, c, 1), (b, c, 1)]
    facts = f"{a}{c} and {b}{c} are equally long."
    top = 180 - 2 * base
    if rng.random() < 0.5:
        figure.angles = [AngleMark(b, a, c, f"{base}\u00b0"), AngleMark(a, c, b, "?")]
        steps = (
            f"Because {a}{c} = {b}{c}, the angles at {a} and {b} are equal: {base}\u00b0 each.",
            f"180 - 2 x {base} = {top}.",
        )
        value, name, vertices = top, f"{a}{c}{b}", (a, c, b)
    else:
        figure.angles = [AngleMark(a, c, b, f"{top}\u00b0"), AngleMark(b, a, c, "?")]
        steps = (
            f"Because {a}{c} = {b}{c}, the angles at {a} and {b} are equal.",
            f"Together they have 180 - {top} = {2 * base}, each one {base}.",
        )
        value, name, vertices = base, f"{b}{a}{c}", (b, a, c)
    return Problem(
        "isosceles", figure, "angle", name, facts, value, _measure(figure, *vertices), steps,
        "degrees",
    )  # fmt: skip


def exterior_angle(rng: random.Random) -> Problem:
    """The exterior angle of a triangle from the two far angles."""
    a, b, c, d = _names(rng, 4)
    one = rng.randint(30, 75)
    two = rng.randint(30, min(75, 150 - one))
    figure = _triangle(random.Random(0), [a, b, c], (one, two))
    x0, y0 = figure.points[a]
    x1, y1 = figure.points[b]
    figure.points[d] = (x1 + 0.55 * (x1 - x0), y1 + 0.55 * (y1 - y0))
    figure.segments.append((b, d))
    top = 180 - one - two
    figure.angles = [
        AngleMark(b, a, c, f"{one}\u00b0"),
        AngleMark(a, c, b, f"{top}\u00b0"),
        AngleMark(c, b, d, "?"),
    ]
    value = one + top
    steps = (
        f"The exterior angle at {b} equals the sum of the angles at {a} and {c}.",
        f"{one} + {top} = {value}.",
    )
    return Problem(
        "exterior_angle", figure, "angle", f"{c}{b}{d}", f"{a}, {b} and {d} lie on a line.", value,
        _measure(figure, c, b, d), steps, "degrees",
    )  # fmt: skip


def right_triangle(rng: random.Random) -> Problem:
    """Two sides of a right triangle are given."""
    a, b, c = names = _names(rng, 3)
    p, q, r = rng.choice(TRIPLES[:5])
    k = rng.choice((1, 1, 2, 3))
    p, q, r = (p * k, q * k, r * k) if rng.random() < 0.5 else (q * k, p * k, r * k)
    unit = rng.choice(UNITS)
    figure = Figure({a: (0.0, float(q)), b: (0.0, 0.0), c: (float(p), 0.0)}).close(*names)
    figure.turned(rng.choice((0, 90, 180, 270, 25)))
    figure.angles = [AngleMark(a, b, c, is_right=True)]
    sides = {(b, c): p, (a, b): q, (a, c): r}
    sought = rng.choice(list(sides))
    figure.lengths = [
        (*pair, "?" if pair == sought else f"{length} {unit}") for pair, length in sides.items()
    ]
    value = sides[sought]
    if value == r:
        told = f"{p}^2 + {q}^2 = {p * p} + {q * q} = {r * r}, and the root of {r * r} is {r}."
    else:
        other = p + q - value
        told = (
            f"{r}^2 - {other}^2 = {r * r} - {other * other} = {value * value}, "
            f"and the root of {value * value} is {value}."
        )
    steps = (f"The angle at {b} is right, so {a}{c} is the hypotenuse.", told)
    return Problem(
        "right_triangle", figure, "length", "".join(sought), "", value,
        distance(figure.points[sought[0]], figure.points[sought[1]]), steps, unit,
    )  # fmt: skip


def triangle_area(rng: random.Random) -> Problem:
    """Base and height of a triangle are given."""
    a, b, c, foot = _names(rng, 4)
    base, height = rng.randint(6, 20), rng.randint(5, 16)
    at = rng.randint(2, base - 2)
    unit = rng.choice(UNITS)
    figure = Figure(
        {a: (0.0, 0.0), b: (float(base), 0.0), c: (float(at), float(height)), foot: (float(at), 0)}
    ).close(a, b, c)
    figure.dashed = [(c, foot)]
    figure.angles = [AngleMark(c, foot, b, is_right=True)]
    figure.lengths = [(a, b, f"{base} {unit}"), (c, foot, f"{height} {unit}")]
    value = base * height / 2
    steps = (
        "The area of a triangle is half of base times height.",
        f"{base} x {height} / 2 = {number_text(value)}.",
    )
    return Problem(
        "triangle_area", figure, "area", f"triangle {a}{b}{c}",
        f"{c}{foot} is the height on {a}{b}; the base {a}{b} is {base} {unit}.", value,
        _area(figure, a, b, c), steps, f"square {unit}", 1,
    )  # fmt: skip


def rectangle(rng: random.Random) -> Problem:
    """Both sides of a rectangle are given: its area, perimeter or diagonal."""
    a, b, c, d = names = _names(rng, 4)
    p, q, r = rng.choice(TRIPLES[:3])
    goal = rng.choice(("area", "perimeter", "length"))
    if goal != "length":
        p, q = rng.randint(3, 20), rng.randint(3, 20)
    unit = rng.choice(UNITS)
    w, h = float(p), float(q)
    figure = Figure({a: (0.0, 0.0), b: (w, 0.0), c: (w, h), d: (0.0, h)}).close(*names)
    figure.angles = [AngleMark(b, a, d, is_right=True), AngleMark(a, b, c, is_right=True)]
    figure.lengths = [(a, b, f"{p} {unit}"), (b, c, f"{q} {unit}")]
    facts = f"{a}{b}{c}{d} is a rectangle."
    name, measured, shown = f"rectangle {a}{b}{c}{d}", _area(figure, *names), f"square {unit}"
    value, told = p * q, f"The area is {p} x {q} = {p * q}."
    if goal == "perimeter":
        value, told = 2 * (p + q), f"The perimeter is 2 x ({p} + {q}) = {2 * (p + q)}."
        measured, shown = 2 * (w + h), unit
    elif goal == "length":
        figure.dashed = [(a, c)]
        value, name, shown = r, f"{a}{c}", unit
        told = f"{p}^2 + {q}^2 = {r * r}, so the diagonal {a}{c} is {r}."
        measured = distance(figure.points[a], figure.points[c])
    return Problem("rectangle", figure, goal, name, facts, value, measured, (told,), shown)


def parallelogram(rng: random.Random) -> Problem:
    """An angle of a parallelogram, or its area from base and height."""
    a, b, c, d = names = _names(rng, 4)
    angle = rng.randint(40, 75)
    base, side = rng.randint(8, 16), rng.randint(5, 9)
    top = polar((0.0, 0.0), side, angle)
    figure = Figure(
        {a: (0.0, 0.0), b: (float(base), 0.0), c: (base + top[0], top[1]), d: top}
    ).close(*names)
    figure.angles = [AngleMark(b, a, d, f"{angle}\u00b0")]
    facts = f"{a}{b}{c}{d} is a parallelogram."
    if rng.random() < 0.5:
        figure.angles.append(AngleMark(a, b, c, "?"))
        value = 180 - angle
        name, measured = f"{a}{b}{c}", _measure(figure, a, b, c)
        step = (
            f"Neighbouring angles of a parallelogram add up to 180\u00b0: 180 - {angle} = {value}."
        )
    else:
        figure.angles.append(AngleMark(b, c, d, "?"))
        value, name, measured = angle, f"{b}{c}{d}", _measure(figure, b, c, d)
        step = f"Opposite angles of a parallelogram are equal: {angle}."
    return Problem(
        "parallelogram", figure, "angle", name, facts, value, measured, (step,), "degrees"
    )


def trapezoid(rng: random.Random) -> Problem:
    """Area of a trapezoid with a right angle."""
    a, b, c, d = names = _names(rng, 4)
    low, height = rng.randint(8, 20), rng.randint(4, 14)
    high = rng.randint(4, low - 2)
    unit = rng.choice(UNITS)
    figure = Figure(
        {a: (0.0, 0.0), b: (float(low), 0.0), c: (float(high), float(height)),
         d: (0.0, float(height))}
    ).close(*names)  # fmt: skip
    figure.angles = [AngleMark(b, a, d, is_right=True), AngleMark(a, d, c, is_right=True)]
    figure.lengths = [
        (a, b, f"{low} {unit}"),
        (c, d, f"{high} {unit}"),
        (a, d, f"{height} {unit}"),
    ]
    value = (low + high) * height / 2
    steps = (
        f"The parallel sides are {low} and {high}, the height is {height}.",
        f"({low} + {high}) x {height} / 2 = {number_text(value)}.",
    )
    return Problem(
        "trapezoid", figure, "area", f"trapezoid {a}{b}{c}{d}", "", value,
        _area(figure, *names), steps, f"square {unit}", 1,
    )  # fmt: skip


def l_shape(rng: random.Random) -> Problem:
    """Area or perimeter of two joined rectangles."""
    names = ["p0", "p1", "p2", "p3", "p4", "p5"]
    w, h = rng.randint(8, 16), rng.randint(8, 16)
    x, y = rng.randint(3, w - 3), rng.randint(3, h - 3)
    unit = rng.choice(UNITS)
    corners = [(0, 0), (w, 0), (w, y), (x, y), (x, h), (0, h)]
    figure = Figure(
        {n: (float(a), float(b)) for n, (a, b) in zip(names, corners, strict=True)}
    ).close(*names)
    figure.lengths = [
        ("p0", "p1", f"{w} {unit}"),
        ("p1", "p2", f"{y} {unit}"),
        ("p4", "p5", f"{x} {unit}"),
        ("p5", "p0", f"{h} {unit}"),
    ]
    facts = "All corners of the figure are right angles."
    if rng.random() < 0.6:
        value = w * y + x * (h - y)
        steps = (
            f"Cut the figure into a lower rectangle {w} by {y} and an upper one {x} by {h - y}.",
            f"{w} x {y} = {w * y} and {x} x {h - y} = {x * (h - y)}.",
            f"{w * y} + {x * (h - y)} = {value}.",
        )
        return Problem(
            "l_shape", figure, "area", "figure", facts, value, _area(figure, *names), steps,
            f"square {unit}",
        )  # fmt: skip
    value = 2 * (w + h)
    around = sum(distance(figure.points[a], figure.points[b]) for a, b in figure.segments)
    pushed = (
        "Pushing the inner corner outwards does not change the length around the figure.",
        f"2 x ({w} + {h}) = {value}.",
    )
    return Problem("l_shape", figure, "perimeter", "figure", facts, value, around, pushed, unit)


def circle(rng: random.Random) -> Problem:
    """Area or circumference from a radius or diameter."""
    center, end, other = _names(rng, 3)
    radius = rng.randint(2, 15)
    unit = rng.choice(UNITS)
    turn = rng.choice((0, 30, 60, 150, 200, 320))
    figure = Figure(
        {center: (0.0, 0.0), end: polar((0, 0), radius, turn)}, circles=[(center, float(radius))]
    )
    if rng.random() < 0.6:
        figure.segments = [(center, end)]
        figure.lengths = [(center, end, f"{radius} {unit}")]
        told = f"The radius is {radius}."
    else:
        figure.points[other] = polar((0, 0), radius, turn + 180)
        figure.segments = [(other, end)]
        figure.lengths = [(other, end, f"{2 * radius} {unit}")]
        del figure.points[center]
        figure.points["center"] = (0.0, 0.0)
        figure.circles = [("center", float(radius))]
        told = f"The diameter is {2 * radius}, so the radius is {radius}."
    note = "Use pi = 3.14."
    if rng.random() < 0.5:
        value = round(3.14 * radius * radius, 2)
        step = f"3.14 x {radius}^2 = {number_text(value)}."
        measured = round(3.14 * distance((0, 0), figure.points[end]) ** 2, 2)
        return Problem(
            "circle", figure, "area", "circle", note, value, measured, (told, step),
            f"square {unit}", 2,
        )  # fmt: skip
    value = round(2 * 3.14 * radius, 2)
    step = f"2 x 3.14 x {radius} = {number_text(value)}."
    measured = round(2 * 3.14 * distance((0, 0), figure.points[end]), 2)
    return Problem(
        "circle", figure, "circumference", "circle", note, value, measured, (told, step), unit, 2
    )


def inscribed_angle(rng: random.Random) -> Problem:
    """Central angle and inscribed angle over one arc."""
    a, b, c, o = "A", "B", "C", "O"
    half = rng.randint(25, 70)
    figure = Figure(
        {
            o: (0.0, 0.0),
            a: polar((0, 0), 10, -90 - half),
            b: polar((0, 0), 10, -90 + half),
            c: polar((0, 0), 10, 90 + rng.randint(-35, 35)),
        },
        circles=[(o, 10.0)],
    )
    figure.segments = [(a, c), (b, c), (a, o), (b, o)]
    facts = "O is the center of the circle."
    if rng.random() < 0.5:
        figure.angles = [AngleMark(a, o, b, f"{2 * half}\u00b0"), AngleMark(a, c, b, "?")]
        value, name, measured = half, "ACB", _measure(figure, a, c, b)
        step = f"{2 * half} / 2 = {half}."
    else:
        figure.angles = [AngleMark(a, c, b, f"{half}\u00b0"), AngleMark(a, o, b, "?")]
        value, name, measured = 2 * half, "AOB", _measure(figure, a, o, b)
        step = f"2 x {half} = {2 * half}."
    steps = ("Over the same arc the central angle is twice the inscribed angle.", step)
    return Problem(
        "inscribed_angle", figure, "angle", name, facts, value, measured, steps, "degrees"
    )


def crossing_lines(rng: random.Random) -> Problem:
    """Two lines cross: vertical or neighbouring angle."""
    a, b, c, d, m = "A", "B", "C", "D", "M"
    angle = rng.randint(35, 85)
    turn = rng.choice((0, 10, -15, 30))
    origin = (0.0, 0.0)
    figure = Figure(
        {
            m: origin,
            a: polar(origin, 10, turn),
            b: polar(origin, 10, turn + 180),
            c: polar(origin, 8, turn + angle),
            d: polar(origin, 8, turn + angle + 180),
        },
        segments=[(a, b), (c, d)],
    )
    facts = f"{a}{b} and {c}{d} cross in {m}."
    given = AngleMark(a, m, c, f"{angle}\u00b0")
    if rng.random() < 0.5:
        figure.angles = [given, AngleMark(b, m, d, "?")]
        value, name, pair = angle, f"{b}{m}{d}", (b, m, d)
        step = f"Vertical angles are equal, so it is {angle}."
    else:
        figure.angles = [given, AngleMark(c, m, b, "?")]
        value, name, pair = 180 - angle, f"{c}{m}{b}", (c, m, b)
        step = f"Both angles lie on the line {a}{b}: 180 - {angle} = {180 - angle}."
    return Problem(
        "crossing_lines", figure, "angle", name, facts, value, _measure(figure, *pair), (step,),
        "degrees",
    )  # fmt: skip


def parallel_lines(rng: random.Random) -> Problem:
    """A line across two parallel lines."""
    angle = rng.randint(45, 80)
    shift = 6 / math.tan(math.radians(angle))
    extra = 2.6 / math.tan(math.radians(angle))
    figure = Figure(
        {
            "A": (-7.0, 6.0), "B": (7.0, 6.0), "C": (-7.0, 0.0), "D": (7.0, 0.0),
            "P": (shift / 2, 6.0), "Q": (-shift / 2, 0.0),
            "E": (shift / 2 + extra, 8.6), "F": (-shift / 2 - extra, -2.6),
        },
        segments=[("A", "B"), ("C", "D"), ("E", "F")],
        arrows=[("A", "B"), ("C", "D")],
    )  # fmt: skip
    facts = "AB and CD are parallel."
    given = AngleMark("B", "P", "E", f"{angle}\u00b0")
    kind = rng.choice(("corresponding", "co-interior", "alternate"))
    if kind == "corresponding":
        figure.angles = [given, AngleMark("D", "Q", "P", "?")]
        value, pair = angle, ("D", "Q", "P")
        step = f"Angles {'DQP'} and {'BPE'} are corresponding angles, so they are equal: {angle}."
    elif kind == "alternate":
        figure.angles = [AngleMark("A", "P", "Q", f"{angle}\u00b0"), AngleMark("D", "Q", "P", "?")]
        value, pair = angle, ("D", "Q", "P")
        step = f"Angles APQ and DQP are alternate angles, so they are equal: {angle}."
    else:
        figure.angles = [AngleMark("D", "Q", "P", f"{angle}\u00b0"), AngleMark("B", "P", "Q", "?")]
        value, pair = 180 - angle, ("B", "P", "Q")
        step = f"Angles DQP and BPQ add up to 180\u00b0: 180 - {angle} = {180 - angle}."
    return Problem(
        "parallel_lines", figure, "angle", "".join(pair), facts, value,
        _measure(figure, *pair), (step,), "degrees",
    )  # fmt: skip


def regular_polygon(rng: random.Random) -> Problem:
    """Interior angle or perimeter of a regular polygon."""
    count = rng.choice((5, 6, 8, 9, 10, 12))
    names = [f"p{k}" for k in range(count)]
    turn = rng.choice((90, 0, 18))
    figure = Figure({n: polar((0, 0), 10, turn + 360 * k / count) for k, n in enumerate(names)})
    figure.close(*names)
    figure.ticks = [(a, b, 1) for a, b in figure.segments]
    facts = f"The figure is a regular polygon with {count} sides."
    if rng.random() < 0.5:
        figure.angles = [AngleMark(names[0], names[1], names[2], "?")]
        value = (count - 2) * 180 // count
        steps = (
            f"The angles of a polygon with {count} corners add up to ({count} - 2) x 180 = "
            f"{(count - 2) * 180}.",
            f"{(count - 2) * 180} / {count} = {value}.",
        )
        return Problem(
            "regular_polygon", figure, "angle", "?", facts, value,
            _measure(figure, *names[:3]), steps, "degrees",
        )  # fmt: skip
    side, unit = rng.randint(2, 15), rng.choice(UNITS)
    scale = side / distance(figure.points["p0"], figure.points["p1"])
    figure.points = {n: (x * scale, y * scale) for n, (x, y) in figure.points.items()}
    figure.lengths = [("p0", "p1", f"{side} {unit}")]
    around = sum(distance(figure.points[a], figure.points[b]) for a, b in figure.segments)
    step = f"All {count} sides are {side} long: {count} x {side} = {count * side}."
    return Problem(
        "regular_polygon", figure, "perimeter", "polygon", facts, count * side, around, (step,),
        unit,
    )  # fmt: skip


def similar_triangles(rng: random.Random) -> Problem:
    """A line parallel to a side cuts a triangle."""
    a, b, c, d, e = _names(rng, 5)
    ratio = rng.choice((2, 3, 4))
    small, height = rng.randint(3, 8), rng.randint(2, 4)
    unit = rng.choice(UNITS)
    base = small * ratio
    lean = rng.uniform(0.2, 0.6)
    top = (base * lean, height * ratio * rng.choice((1.0, 1.3)))
    share = 1 / ratio
    figure = Figure({a: (0.0, 0.0), b: (float(base), 0.0), c: top}).close(a, b, c)
    figure.points[d] = (top[0] * (1 - share), top[1] * (1 - share))
    figure.points[e] = (
        top[0] + (base - top[0]) * share,
        top[1] * (1 - share),
    )
    figure.segments.append((d, e))
    figure.arrows = [(a, b), (d, e)]
    figure.lengths = [(d, e, f"{small} {unit}"), (a, b, "?")]
    facts = f"{d}{e} is parallel to {a}{b}, and {c}{a} is {ratio} times as long as {c}{d}."
    steps = (
        f"Triangles {c}{d}{e} and {c}{a}{b} are similar with factor {ratio}.",
        f"{a}{b} = {ratio} x {small} = {base}.",
    )
    return Problem(
        "similar_triangles", figure, "length", f"{a}{b}", facts, base,
        distance(figure.points[a], figure.points[b]), steps, unit,
    )  # fmt: skip


def quadrilateral(rng: random.Random) -> Problem:
    """Three angles of a quadrilateral are given."""
    a, b, c, d = names = _names(rng, 4)
    one, two = rng.randint(70, 115), rng.randint(65, 110)
    left, right = rng.randint(6, 9), rng.randint(5, 9)
    base = 11.0
    top, far = polar((0, 0), left, one), polar((base, 0), right, 180 - two)
    exact = angle_at((base, 0.0), far, top)
    third = round(exact)
    # The corner moves along its side until the third angle is whole.
    low, high = 2.0, 16.0
    for _ in range(60):
        middle = (low + high) / 2
        far = polar((base, 0), middle, 180 - two)
        if angle_at((base, 0.0), far, top) > third:
            low = middle
        else:
            high = middle
    figure = Figure({a: (0.0, 0.0), b: (base, 0.0), c: far, d: top}).close(*names)
    value = 360 - one - two - third
    figure.angles = [
        AngleMark(b, a, d, f"{one}\u00b0"),
        AngleMark(a, b, c, f"{two}\u00b0"),
        AngleMark(b, c, d, f"{third}\u00b0"),
        AngleMark(a, d, c, "?"),
    ]
    steps = (
        "The angles of a quadrilateral add up to 360\u00b0.",
        f"360 - {one} - {two} - {third} = {value}.",
    )
    return Problem(
        "quadrilateral", figure, "angle", f"{a}{d}{c}", "", value, _measure(figure, a, d, c), steps,
        "degrees",
    )  # fmt: skip


PROBLEMS: dict[str, Callable[[random.Random], Problem]] = {
    make.__name__: make
    for make in (
        triangle_angles,
        isosceles,
        exterior_angle,
        right_triangle,
        triangle_area,
        rectangle,
        parallelogram,
        trapezoid,
        l_shape,
        circle,
        inscribed_angle,
        crossing_lines,
        parallel_lines,
        regular_polygon,
        similar_triangles,
        quadrilateral,
    )
}
