"""Figures of several charts: panels with letters, and the same data split into small charts.

Any renderer draws the panels; here they are put together and asked about.

Source: data synthesis specification, section 7 (multi-panel).
"""

from __future__ import annotations

import io
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from PIL import Image, ImageDraw

from nanovl.data.convert.templates import letters
from nanovl.synth.asking import Bank, box_answer, noted, with_article, worded
from nanovl.synth.base import Answer, Box, Reject, Task
from nanovl.synth.charts.data import draw_chart
from nanovl.synth.charts.look import draw_look
from nanovl.synth.charts.qa import questions
from nanovl.synth.charts.spec import Chart, Drawn, Look, Text
from nanovl.synth.charts.view import KIND_NAMES, View
from nanovl.synth.typefaces import BUILTIN, load_font

__all__ = ["Figure", "draw_figure", "figure_questions"]

COUNTS = (2, 3, 4, 4, 6)
SPLIT = ("grouped", "line")
_UNFIT = ("dual", "gantt", "radar", "funnel", "waterfall")  # too large for a panel
BANK: Bank = {
    "panel-kind": (
        "which panel shows {a_kind}? Answer with its letter.",
        "in which panel is there {a_kind}? Give the letter.",
        "find the panel with {a_kind}; reply with its letter.",
        "{a_kind} is in which panel? Letter only.",
    ),
    "panel-title": (
        'which panel is titled "{title}"? Answer with its letter.',
        'find the panel with the title "{title}" and give its letter.',
        'which letter has the panel headed "{title}"?',
        '"{title}" is the title of which panel? Letter only.',
    ),
    "n-panels": (
        "how many panels does the figure have?",
        "count the charts in this figure.",
        "of how many panels does the figure consist?",
        "what is the number of charts shown?",
    ),
    "panel-count": (
        "how many of the panels show {a_kind}?",
        "count the panels with {a_kind}.",
        "in how many panels do you see {a_kind}?",
        "what is the number of panels that show {a_kind}?",
    ),
    "panel-highest": (
        "all panels have the same scale. In which is the {measure} for {item} highest? Letter "
        "only.",
        "comparing {item} over the panels (same scale), which has the highest {measure}? Answer "
        "with the letter.",
        "on the common scale, which panel shows the largest {measure} for {item}? Give its letter.",
        "which panel has the greatest {measure} at {item}? All scales are equal; give the letter.",
    ),
    "panel-box": (
        "where is panel ({letter})? Give its bounding box.",
        "mark panel ({letter}) with a box.",
        "give the box around panel ({letter}).",
        "locate the chart with the letter ({letter}); answer with a box.",
    ),
}
_LEADS = ("In panel ({x}): {q}", "Look at panel ({x}): {q}", "Panel ({x}): {q}",
          "For the chart in panel ({x}): {q}")  # fmt: skip


@dataclass(frozen=True)
class Figure:
    """Several charts in one picture.

    Attributes:
        panels: Charts with marks and texts at their places in the whole picture.
        areas: Of the panels.
        png, width, height: The picture.
        is_split: Whether the panels are series of one chart, on one scale.
    """

    panels: tuple[tuple[Chart, Drawn], ...]
    areas: tuple[Box, ...]
    png: bytes
    width: int
    height: int
    is_split: bool


def draw_figure(
    rng: random.Random,
    style: random.Random,
    kinds: Sequence[str],
    render: Callable[[Chart], Drawn],
) -> Figure:
    """A random figure of two to six panels.

    Args:
        rng: Where data come from.
        style: Where the look comes from.
        kinds: Charts the renderer draws.
        render: Draws one.

    Raises:
        Reject: Some panel could not be drawn.
    """
    usable = [k for k in kinds if k not in _UNFIT]
    look = draw_look(style)
    dpi = 100
    look = replace(
        look, dpi=dpi, width=style.choice((400, 440, 480)), height=style.choice((320, 340, 380)),
        font_size=9.0, legend="below", is_sketch=False,
    )  # fmt: skip
    can_split = [k for k in SPLIT if k in usable]
    if can_split and rng.random() < 0.4:
        charts = _split(rng, style, can_split, look)
        drawn = [render(c) for c in charts]
        return _composed(charts, drawn, look, style, is_split=True)
    charts, drawn = [], []
    for _ in range(rng.choice(COUNTS)):
        chart, one = _panel(rng, style, usable, look, render)
        charts.append(chart)
        drawn.append(one)
    return _composed(charts, drawn, look, style, is_split=False)


def _panel(
    rng: random.Random, style: random.Random, kinds: Sequence[str], look: Look,
    render: Callable[[Chart], Drawn],
) -> tuple[Chart, Drawn]:  # fmt: skip
    for _ in range(8):
        try:
            chart = replace(draw_chart(rng, style, kinds, look), note="", subtitle="")
            return chart, render(chart)
        except Reject:
            continue
    raise Reject("no_panel", "eight charts did not fit a panel")


def _split(
    rng: random.Random, style: random.Random, kinds: Sequence[str], look: Look
) -> list[Chart]:
    """The series of a chart as charts of their own with the same limits."""
    for _ in range(20):
        chart = draw_chart(rng, style, kinds, look)
        if len(chart.series) >= 2:
            kind = "bar" if chart.kind == "grouped" else "line"
            plain = replace(chart, kind=kind, note="", subtitle="", has_values=False)
            return [replace(plain, series=(s,), title=s.name) for s in chart.series]
    raise Reject("no_panel", "no chart with several series")


def _composed(
    charts: Sequence[Chart], drawn: Sequence[Drawn], look: Look, style: random.Random, *,
    is_split: bool,
) -> Figure:  # fmt: skip
    count = len(charts)
    columns = count if count <= 3 and style.random() < 0.5 else 3 if count == 6 else 2
    strip = 24
    cell = (look.width, look.height + strip)
    rows = -(-count // columns)
    size = (columns * cell[0], rows * cell[1])
    image = Image.new("RGB", size, look.ground)
    draw = ImageDraw.Draw(image)
    font = load_font(BUILTIN, 17)
    panels, areas = [], []
    for k, (chart, one) in enumerate(zip(charts, drawn, strict=True)):
        left, top = k % columns * cell[0], k // columns * cell[1]
        image.paste(Image.open(io.BytesIO(one.png)).convert("RGB"), (left, top + strip))
        letter = f"({letters(count)[k].lower()})"
        at = (left + 8, top + 4)
        draw.text(at, letter, font=font, fill=look.ink)
        x0, y0, x1, y1 = draw.textbbox(at, letter, font=font)
        moved = _moved(one, left, top + strip, size)
        label = Text("panel", letter, (float(x0), float(y0), float(x1), float(y1)))
        panels.append((chart, replace(moved, texts=(*moved.texts, label))))
        areas.append((float(left), float(top), float(left + cell[0]), float(top + cell[1])))
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=3)
    return Figure(tuple(panels), tuple(areas), out.getvalue(), *size, is_split)


def _moved(drawn: Drawn, left: int, top: int, size: tuple[int, int]) -> Drawn:
    def box(b: Box) -> Box:
        return b[0] + left, b[1] + top, b[2] + left, b[3] + top

    return replace(
        drawn, width=size[0], height=size[1], plot=box(drawn.plot),
        marks=tuple(
            replace(m, box=box(m.box), center=(m.center[0] + left, m.center[1] + top))
            for m in drawn.marks
        ),
        texts=tuple(replace(t, box=box(t.box)) for t in drawn.texts),
    )  # fmt: skip


def _letter(k: int) -> str:
    return letters(k + 1)[k].lower()


def figure_questions(
    figure: Figure, rng: random.Random, count: int, media: tuple[str, ...]
) -> list[Task]:
    """Questions about panels and about the figure as a whole.

    Args:
        figure: What is shown.
        rng: Where choices come from.
        count: At most so many.
        media: Names of the pictures shown.
    """
    whole = _whole(figure, rng, media)
    rng.shuffle(whole)
    tasks = whole[: max(1, count // 2)]
    order = list(range(len(figure.panels)))
    rng.shuffle(order)
    for k in order * 2:
        if len(tasks) >= count:
            break
        chart, drawn = figure.panels[k]
        for task in questions(chart, drawn, rng, 1, media):
            lead = rng.choice(_LEADS)
            question = task.question[:1].lower() + task.question[1:]
            trace = f"Panel ({_letter(k)}). {task.trace}" if task.trace else None
            tasks.append(replace(task, question=lead.format(x=_letter(k), q=question), trace=trace))
    return tasks[:count]


def _task(
    kind: str, text: str, answer: Answer, verifier: str, form: str, trace: str | None,
    rng: random.Random, media: tuple[str, ...], /, **slots: object,
) -> Task:  # fmt: skip
    question, template = worded(BANK, kind, rng, **slots)
    if form:
        question = noted(question, form, rng)
    return Task(
        task=f"chart_{kind.replace('-', '_')}", question=question, answer_text=text,
        answer=answer, verifier=verifier, trace=trace, media=media, template=f"charts/{template}",
    )  # fmt: skip


def _whole(figure: Figure, rng: random.Random, media: tuple[str, ...]) -> list[Task]:
    charts = [chart for chart, _ in figure.panels]
    names = [KIND_NAMES[c.kind] for c in charts]
    listed = ", ".join(f"({_letter(k)}) {name}" for k, name in enumerate(names))
    found = [
        _task("n-panels", str(len(charts)), Answer(type="number", value=len(charts)), "number",
              "number", f"The letters go from (a) to ({_letter(len(charts) - 1)}).", rng, media)
    ]  # fmt: skip
    counts = Counter(names)
    single = sorted(n for n in counts if counts[n] == 1)
    if single and not figure.is_split:
        name = rng.choice(single)
        letter = _letter(names.index(name))
        found.append(
            _task("panel-kind", letter, Answer(type="text", value=letter), "exact_ci", "",
                  f"The panels are {listed}.", rng, media, a_kind=with_article(name))
        )  # fmt: skip
    name = rng.choice(sorted(counts))
    found.append(_task("panel-count", str(counts[name]),
                       Answer(type="number", value=counts[name]), "number", "number",
                       f"The panels are {listed}.", rng, media,
                       a_kind=with_article(name)))  # fmt: skip
    titles = Counter(c.title for c in charts)
    k = rng.randrange(len(charts))
    if titles[charts[k].title] == 1:
        answer = Answer(type="text", value=_letter(k))
        found.append(_task("panel-title", _letter(k), answer, "exact_ci", "",
                           f'Above panel ({_letter(k)}) it says "{charts[k].title}".', rng, media,
                           title=charts[k].title))  # fmt: skip
    text, answer = box_answer(f"panel ({_letter(k)})", [figure.areas[k]], figure.width,
                              figure.height)  # fmt: skip
    found.append(_task("panel-box", text, answer, "iou", "", None, rng, media, letter=_letter(k)))
    if figure.is_split:
        found += _highest(figure, rng, media)
    return found


def _highest(figure: Figure, rng: random.Random, media: tuple[str, ...]) -> list[Task]:
    charts = [chart for chart, _ in figure.panels]
    view = View(charts[0], figure.panels[0][1], rng)
    places = []
    for k in range(len(charts[0].categories)):
        ranked = sorted(c.series[0].values[k] for c in charts)
        if ranked[-1] - ranked[-2] >= view.gap:
            places.append(k)
    if not places:
        return []
    k = rng.choice(places)
    item = charts[0].categories[k]
    best = max(range(len(charts)), key=lambda n: charts[n].series[0].values[k])
    told = ", ".join(f"({_letter(n)}) about {c.series[0].values[k]:g}"
                     for n, c in enumerate(charts))  # fmt: skip
    answer = Answer(type="text", value=_letter(best))
    return [_task("panel-highest", _letter(best), answer, "exact_ci", "",
                  f"At {item} the panels show {told}.", rng, media,
                  measure=charts[0].measure.lower(), item=item)]  # fmt: skip
