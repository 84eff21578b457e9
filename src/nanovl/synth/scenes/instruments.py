"""Reading instruments: clocks, gauges, dice, rulers and thermometers.

Every reading lies on a mark of its scale, so that it can be read exactly.

Source: data synthesis specification, section 12. The wordings are our own.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from PIL import Image

from nanovl.synth.asking import Bank, join_words, noted, number_text, plural, worded
from nanovl.synth.base import Answer, Box, Task
from nanovl.synth.scenes.shapes import COLORS, RGB, mixed
from nanovl.synth.scenes.sheet import Sheet

__all__ = ["INSTRUMENTS", "Reading", "draw_reading"]

BANK: Bank = {
    "clock": (
        "what time does the clock show? Answer as h:mm.",
        "read the clock and give the time as h:mm.",
        "which time is on the clock? Use the form h:mm.",
        "tell the time, written as h:mm.",
        "state the time shown as hours:minutes.",
        "give the time on this clock face in the form h:mm.",
        "what is the time? Write h:mm.",
        "look at both hands: what time is it (h:mm)?",
    ),
    "clock-later": (
        "what time will it be {minutes} minutes after the time shown? Answer as h:mm.",
        "add {minutes} minutes to the time on the clock and give it as h:mm.",
        "in {minutes} minutes the clock will show which time (h:mm)?",
        "{minutes} minutes from the time shown, what time is it? Write h:mm.",
    ),
    "gauge": (
        "what value does the needle show?",
        "read the gauge.",
        "which value does the gauge indicate?",
        "to what number does the needle point?",
        "what is the reading of this dial?",
        "state the value on the gauge.",
        "how much does the dial show?",
        "give the reading of the needle.",
    ),
    "gauge-zone": (
        "is the needle in the red zone?",
        "does the gauge read within the red range?",
        "has the needle reached the red part of the scale?",
        "is the value shown in the red area?",
    ),
    "dice-sum": (
        "what is the sum of all dice?",
        "add up the pips of all dice.",
        "how many pips are there in total?",
        "what do the dice add up to?",
        "give the total of the dice shown.",
        "sum the top faces of the dice.",
        "how much was rolled in all?",
        "what total do the dice show?",
    ),
    "dice-each": (
        "what does each die show, from left to right? Separate by commas.",
        "read the dice from left to right, comma separated.",
        "list the numbers of the dice from left to right with commas.",
        "which numbers were rolled, left to right? Use commas.",
    ),
    "ruler": (
        "how long is the bar in centimeters?",
        "measure the bar with the ruler (cm).",
        "what is the length of the bar in cm?",
        "read the length of the bar off the ruler, in centimeters.",
        "how many centimeters long is the bar?",
        "give the length of the colored bar in cm.",
        "using the ruler, find the length of the bar (cm).",
        "what length does the bar have, in cm?",
    ),
    "thermometer": (
        "what temperature does the thermometer show, in degrees {unit}?",
        "read the thermometer (degrees {unit}).",
        "how many degrees {unit} are shown?",
        "give the temperature in degrees {unit}.",
        "what is the reading of the thermometer in degrees {unit}?",
        "which temperature is shown (degrees {unit})?",
        "state the temperature on the scale, degrees {unit}.",
        "to how many degrees {unit} does the column rise?",
    ),
    "thermometer-pair": (
        "how many degrees warmer is the {warm} thermometer than the {cold} one?",
        "what is the difference between the {warm} and the {cold} thermometer in degrees?",
        "by how many degrees do the {warm} and the {cold} thermometer differ?",
        "the {warm} thermometer is warmer than the {cold} one by how many degrees?",
    ),
}
PAPER: tuple[RGB, ...] = ((255, 255, 255), (245, 240, 228), (226, 236, 244), (232, 232, 232))
INK: tuple[RGB, ...] = ((20, 20, 20), (40, 44, 70), (70, 40, 30))


@dataclass(frozen=True)
class Reading:
    """An instrument that was drawn.

    Attributes:
        kind: Key of `INSTRUMENTS`.
        image: The picture.
        gt: What it shows.
        tasks: Questions about it.
    """

    kind: str
    image: Image.Image
    gt: dict[str, Any]
    tasks: tuple[Task, ...]


def _task(
    kind: str, rng: random.Random, media: tuple[str, ...], text: str, answer: Answer,
    verifier: str, trace: str, form: str = "", **slots: object,
) -> Task:  # fmt: skip
    question, template = worded(BANK, kind, rng, **slots)
    return Task(
        task=f"read_{kind.replace('-', '_')}",
        question=noted(question, form, rng) if form else question,
        answer_text=text,
        answer=answer,
        verifier=verifier,
        trace=trace,
        media=media,
        template=f"instruments/{template}",
    )


def _labels(sheet: Sheet) -> list[dict[str, Any]]:
    return [{"text": label.text, "bbox": list(label.box)} for label in sheet.labels]


def _at(x: float, y: float, radius: float, degrees: float) -> tuple[float, float]:
    """Point at an angle clockwise from the top."""
    angle = math.radians(degrees - 90)
    return x + radius * math.cos(angle), y + radius * math.sin(angle)


def clock(rng: random.Random, size: int, media: tuple[str, ...]) -> Reading:
    """A clock face with two hands."""
    ground, ink = rng.choice(PAPER), rng.choice(INK)
    face = (255, 255, 255) if rng.random() < 0.6 else mixed(ground, (255, 250, 220), 0.7)
    hand = rng.choice((ink, COLORS["blue"], COLORS["red"], COLORS["green"]))
    hour, minute = rng.randrange(12), rng.choice((5 * rng.randrange(12), rng.randrange(60)))
    numerals = rng.choice(("all", "all", "quarters", "none"))
    sheet = Sheet(size, size, ground)
    middle, radius = size / 2, size * rng.uniform(0.36, 0.46)
    sheet.circle(middle, middle, radius, face, ink, max(2, size / 60))
    for mark in range(60):
        is_hour = mark % 5 == 0
        inner = radius * (0.86 if is_hour else 0.92)
        if is_hour or minute % 5 or numerals != "quarters":
            ends = [_at(middle, middle, r, 6 * mark) for r in (inner, radius * 0.95)]
            sheet.line(ends, ink, 3 if is_hour else 1)
    for number in range(1, 13):
        if numerals == "all" or (numerals == "quarters" and number % 3 == 0):
            x, y = _at(middle, middle, radius * 0.73, 30 * number)
            sheet.text(str(number), x, y, ink, size=max(13, round(radius * 0.15)))
    for degrees, length, width in (
        (30 * hour + minute / 2, 0.5, size / 42),
        (6 * minute, 0.8, size / 75),
    ):
        ends = [
            _at(middle, middle, -radius * 0.1, degrees),
            _at(middle, middle, radius * length, degrees),
        ]
        sheet.line(ends, hand, max(2, width))
    sheet.circle(middle, middle, max(4, size / 50), hand)
    shown = f"{hour or 12}:{minute:02d}"
    before = f"The short hand is at or after {hour or 12}, the long hand points at minute {minute}"
    box: Box = (middle - radius, middle - radius, middle + radius, middle + radius)
    tasks = [
        _task("clock", rng, media, shown, Answer(type="text", value=shown, boxes=(box,)), "exact",
              f"{before}, so it is {shown}.")
    ]  # fmt: skip
    step = rng.choice((10, 15, 20, 25, 30, 45, 60, 90))
    total = (60 * hour + minute + step) % 720
    later = f"{total // 60 or 12}:{total % 60:02d}"
    tasks.append(
        _task("clock-later", rng, media, later, Answer(type="text", value=later), "exact",
              f"The clock shows {shown}. {step} minutes later it is {later}.", minutes=step)
    )  # fmt: skip
    gt = {"hour": hour or 12, "minute": minute, "bbox": list(box), "labels": _labels(sheet)}
    return Reading("clock", sheet.finish(), gt, tuple(tasks))


def gauge(rng: random.Random, size: int, media: tuple[str, ...]) -> Reading:
    """A dial with a needle, and sometimes a red zone."""
    ground, ink = rng.choice(PAPER), rng.choice(INK)
    step, minor = rng.choice(((10, 5), (20, 4), (1, 5), (5, 5), (100, 4), (0.5, 5), (2, 4)))
    majors = rng.randint(5, 10)
    low = rng.choice((0, 0, 0, step, -2 * step))
    unit = rng.choice(("bar", "psi", "km/h", "V", "A", "rpm x 100", "%", "kPa"))
    marks = majors * minor
    at = rng.randint(1, marks - 1)
    value = low + step * at / minor
    start, sweep = rng.choice(((-135, 270), (-120, 240), (-90, 180)))
    zone = _zone(rng, at, marks) if rng.random() < 0.6 else None
    sheet = Sheet(size, size, ground)
    middle = size / 2
    y, radius = (size * 0.66, size * 0.45) if sweep == 180 else (middle, size * 0.44)
    sheet.circle(middle, y if sweep > 180 else size * 0.5, size * 0.48, (255, 255, 255), ink, 3)

    def angle(mark: float) -> float:
        return start + sweep * mark / marks

    radius *= 0.92
    if zone is not None:
        sheet.arc(middle, y, radius, angle(zone) - 90, angle(marks) - 90, COLORS["red"], size / 28)
    for mark in range(marks + 1):
        is_major = mark % minor == 0
        inner = radius * (0.86 if is_major else 0.92)
        ends = [_at(middle, y, r, angle(mark)) for r in (inner, radius)]
        sheet.line(ends, ink, 3 if is_major else 1.2)
        if is_major:
            x, row = _at(middle, y, radius * 0.72, angle(mark))
            text = number_text(low + step * mark / minor)
            sheet.text(text, x, row, ink, size=max(11, round(size / 26)))
    sheet.text(unit, middle, y + radius * (0.42 if sweep > 180 else 0.22), ink, max(12, size // 22))
    needle = rng.choice((COLORS["red"], ink, COLORS["blue"]))
    tip = _at(middle, y, radius * 0.9, angle(at))
    sides = [_at(middle, y, size / 60, angle(at) + d) for d in (-90, 90)]
    sheet.polygon([tip, *sides], fill=needle)
    sheet.circle(middle, y, size / 32, needle)
    text = number_text(value)
    below = number_text(low + step * (at // minor))
    mark_text = number_text(step / minor, 3)
    told = f"The labelled mark at or before the needle is {below}; a small mark is {mark_text}. "
    told += f"The needle is {plural(at % minor, 'small mark')} further: {text}."
    answer = Answer(type="number", value=float(text), unit=unit, tolerance=0.01)
    tasks = [_task("gauge", rng, media, text, answer, "number", told, "number")]
    if zone is not None:
        inside = at > zone
        yes = "Yes" if inside else "No"
        edge = number_text(low + step * zone / minor)
        tasks.append(
            _task("gauge-zone", rng, media, yes, Answer(type="bool", value=inside), "exact_ci",
                  f"The red zone starts at {edge}, the needle is at {text}: {yes.lower()}.",
                  "yesno")
        )  # fmt: skip
    gt = {"value": value, "unit": unit, "low": low, "high": low + step * majors,
          "labels": _labels(sheet), "tip": list(tip)}  # fmt: skip
    return Reading("gauge", sheet.finish(), gt, tuple(tasks))


def _zone(rng: random.Random, at: int, marks: int) -> int | None:
    """Mark where the red zone starts: as often below the needle as above it."""
    low, high = marks // 3, marks - 2
    starts = range(low, at) if rng.random() < 0.5 else range(max(low, at + 1), high + 1)
    return rng.choice(starts) if starts else None


PIPS = {
    1: ((0, 0),),
    2: ((-1, -1), (1, 1)),
    3: ((-1, -1), (0, 0), (1, 1)),
    4: ((-1, -1), (1, -1), (-1, 1), (1, 1)),
    5: ((-1, -1), (1, -1), (0, 0), (-1, 1), (1, 1)),
    6: ((-1, -1), (1, -1), (-1, 0), (1, 0), (-1, 1), (1, 1)),
}


def dice(rng: random.Random, size: int, media: tuple[str, ...]) -> Reading:
    """One to six dice seen from above."""
    count = rng.randint(1, 6)
    ground = rng.choice(((30, 100, 60), *PAPER, (90, 60, 40)))
    body, pip = rng.choice(
        (
            ((255, 255, 250), (20, 20, 20)),
            (COLORS["red"], (255, 255, 255)),
            (COLORS["navy"], (255, 255, 255)),
            ((250, 240, 200), COLORS["red"]),
        )
    )
    sheet = Sheet(size, max(160, size // 2), ground)
    cell = size / count
    side = min(cell * 0.62, sheet.height * 0.5)
    values, boxes = [], []
    for k in range(count):
        value = rng.randint(1, 6)
        x = (k + 0.5) * cell
        room = max(0.0, (sheet.height - 1.5 * side) / 2)
        y = sheet.height / 2 + rng.uniform(-room, room)
        turn = rng.uniform(-20, 20)
        c, s = math.cos(math.radians(turn)), math.sin(math.radians(turn))
        corners = []
        for sx, sy in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
            dx, dy = sx * side / 2, sy * side / 2
            corners.append((x + dx * c - dy * s, y + dx * s + dy * c))
        sheet.polygon(corners, body, mixed(body, (0, 0, 0), 0.45), 2)
        for px, py in PIPS[value]:
            dx, dy = px * side * 0.27, py * side * 0.27
            sheet.circle(x + dx * c - dy * s, y + dx * s + dy * c, side * 0.095, pip)
        values.append(value)
        xs, ys = [p[0] for p in corners], [p[1] for p in corners]
        boxes.append([min(xs), min(ys), max(xs), max(ys)])
    words = [str(v) for v in values]
    told = f"From left to right the dice show {join_words(words)}."
    total = sum(values)
    if count > 1:
        told += f" {' + '.join(words)} = {total}."
    tasks = [
        _task("dice-sum", rng, media, str(total), Answer(type="number", value=total), "number",
              told, "number"),
        _task("dice-each", rng, media, ", ".join(words), Answer(type="list", value=words),
              "list_ordered", f"From left to right the dice show {join_words(words)}."),
    ]  # fmt: skip
    gt = {"values": values, "boxes": boxes}
    return Reading("dice", sheet.finish(), gt, tuple(tasks))


def ruler(rng: random.Random, size: int, media: tuple[str, ...]) -> Reading:
    """A bar above a ruler, not always starting at zero."""
    length = rng.choice((8, 10, 12, 15))
    size = max(size, 52 * length)  # a millimeter is at least 4.5 pixels
    sheet = Sheet(size, max(150, size * 2 // 5), rng.choice(PAPER))
    left, right = size * 0.06, size * 0.94
    unit = (right - left) / length
    top = sheet.height * 0.55
    first = 0 if rng.random() < 0.5 else rng.randint(1, 3) * 10
    end = rng.randint(first + 10, 10 * length - 3)
    color = COLORS[rng.choice(("red", "blue", "green", "purple", "orange", "brown"))]
    x0, x1 = left + first / 10 * unit, left + end / 10 * unit
    box: Box = (x0, top - sheet.height * 0.26, x1, top - sheet.height * 0.08)
    sheet.box(box, color)
    body: Box = (left - size * 0.03, top, right + size * 0.03, sheet.height * 0.95)
    sheet.box(body, rng.choice(((250, 225, 150), (235, 235, 235), (215, 235, 250))), (90, 90, 90))
    ink = (20, 20, 20)
    for mark in range(10 * length + 1):
        x = left + mark / 10 * unit
        tall = 0.16 if mark % 10 == 0 else 0.11 if mark % 5 == 0 else 0.07
        sheet.line([(x, top), (x, top + sheet.height * tall)], ink, 1.5 if mark % 10 == 0 else 0.8)
        if mark % 10 == 0:
            at = top + sheet.height * 0.24
            sheet.text(str(mark // 10), x, at, ink, max(11, min(15, int(unit * 0.6))))
    sheet.text("cm", right, top + sheet.height * 0.35, ink, 11, "rm")
    for x in (x0, x1):
        sheet.line([(x, box[1]), (x, top)], (150, 150, 150), 1)
    text = number_text((end - first) / 10)
    a, b = number_text(first / 10), number_text(end / 10)
    told = f"The bar starts at {a} cm and ends at {b} cm: {b} - {a} = {text} cm."
    answer = Answer(type="number", value=float(text), unit="cm", boxes=(box,))
    tasks = (_task("ruler", rng, media, text, answer, "number", told, "number"),)
    gt = {"start_cm": first / 10, "end_cm": end / 10, "bbox": list(box), "labels": _labels(sheet)}
    return Reading("ruler", sheet.finish(), gt, tasks)


def thermometer(rng: random.Random, size: int, media: tuple[str, ...]) -> Reading:
    """One or two thermometers with a scale."""
    count = rng.choice((1, 1, 2))
    size = max(size, 448)
    unit, low, high, step = rng.choice(
        (("Celsius", -20, 50, 1), ("Celsius", 0, 100, 2), ("Fahrenheit", 0, 120, 2))
    )
    ground, ink = rng.choice(PAPER), rng.choice(INK)
    width = max(160, size * 9 // 20) * count
    sheet = Sheet(width, size, ground)
    color = COLORS[rng.choice(("red", "red", "blue"))]
    top, bottom = size * 0.08, size * 0.82
    values, boxes = [], []
    for k in range(count):
        x = (k + 0.42) * width / count
        value = rng.randrange(low + step, high, step)
        thick = max(5.0, size / 48)

        def row(at: float) -> float:
            return bottom - (at - low) / (high - low) * (bottom - top)

        glass: Box = (x - 1.6 * thick, top - thick, x + 1.6 * thick, bottom + 2 * thick)
        sheet.box(glass, (255, 255, 255), ink, 1.5, 1.6 * thick)
        sheet.circle(x, bottom + 3.4 * thick, 2.8 * thick, color, ink, 1.5)
        sheet.box((x - thick * 0.7, row(value), x + thick * 0.7, bottom + 3 * thick), color)
        for mark in range(low, high + 1, step):
            major = mark % 10 == 0
            start = x + 1.8 * thick
            reach = start + thick * (1.8 if major else 1.2 if mark % 5 == 0 else 0.8)
            sheet.line([(start, row(mark)), (reach, row(mark))], ink, 1.6 if major else 0.8)
            if major and (mark % 20 == 0 or high - low < 100):
                at = reach + thick * 0.6
                sheet.text(str(mark), at, row(mark), ink, max(11, size // 28), "lm")
        sheet.text(
            f"\u00b0{unit[0]}", x + 6 * thick, bottom + 3.4 * thick, ink, max(12, size // 24)
        )
        values.append(value)
        boxes.append([x - 2.8 * thick, top - thick, x + 2.8 * thick, bottom + 6.2 * thick])
    tasks = []
    if count == 1:
        told = f"A small mark is {step} degrees. The column ends at {values[0]}."
        answer = Answer(type="number", value=values[0], unit=unit)
        tasks.append(
            _task("thermometer", rng, media, str(values[0]), answer, "number", told, "number",
                  unit=unit)
        )  # fmt: skip
    elif values[0] != values[1]:
        warm, cold = ("left", "right") if values[0] > values[1] else ("right", "left")
        apart = abs(values[0] - values[1])
        told = f"The left one shows {values[0]}, the right one {values[1]}. "
        told += (
            f"{max(values)} - {min(values)} = {apart}.".replace("- -", "- (-")
            if min(values) >= 0
            else f"{max(values)} - ({min(values)}) = {apart}."
        )
        tasks.append(
            _task("thermometer-pair", rng, media, str(apart), Answer(type="number", value=apart),
                  "number", told, "number", warm=warm, cold=cold)
        )  # fmt: skip
    gt = {"values": values, "unit": unit, "boxes": boxes, "labels": _labels(sheet)}
    return Reading("thermometer", sheet.finish(), gt, tuple(tasks))


INSTRUMENTS: dict[str, Callable[[random.Random, int, tuple[str, ...]], Reading]] = {
    "clock": clock,
    "gauge": gauge,
    "dice": dice,
    "ruler": ruler,
    "thermometer": thermometer,
}


def draw_reading(rng: random.Random, media: tuple[str, ...]) -> Reading:
    """A random instrument with a random reading.

    Args:
        rng: Where all choices come from.
        media: Name of the picture, for the tasks.
    """
    kind = rng.choice(sorted(INSTRUMENTS))
    size = rng.choice((320, 384, 448, 512)) if kind != "ruler" else rng.choice((512, 640, 768))
    return INSTRUMENTS[kind](rng, size, media)
