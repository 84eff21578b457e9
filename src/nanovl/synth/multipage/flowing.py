"""Documents whose text runs on from page to page: reports, papers and manuals.

Each is a function of a seed, a number of sections and an amount of text; with more of either the
parts that were there stay as they were, so that a document can be made as long as is wanted.

Source: data synthesis specification, sections 3.14 (parts of a paper) and 11.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from nanovl.synth.asking import join_words
from nanovl.synth.base import Reject
from nanovl.synth.charts.data import draw_chart
from nanovl.synth.charts.pil import draw_with_pillow
from nanovl.synth.charts.spec import Chart, Look
from nanovl.synth.multipage.draft import FIGURE_ASPECT, Draft, Source
from nanovl.synth.multipage.vocabulary import (
    METHODS,
    PARTS,
    REPORTING,
    World,
    filler,
    person,
)
from nanovl.synth.text.haystacks import Names
from nanovl.synth.text.wording import TOWNS

__all__ = ["FIGURE_KINDS", "Size", "figure_chart", "log_table", "manual", "paper", "report"]

FIGURE_KINDS = ("bar", "barh", "grouped", "stacked", "line", "area", "pie", "donut", "lollipop")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
QUARTERS = ("Q1", "Q2", "Q3", "Q4")


@dataclass(frozen=True)
class Size:
    """How much a document holds.

    Attributes:
        sections: With a subject each, at least 2.
        fill: Paragraphs without facts that every section gets.
        rows: Of the long table.
    """

    sections: int
    fill: int
    rows: int


def _stream(seed: int, name: str) -> random.Random:
    return random.Random(f"{seed}|{name}")


def figure_chart(rng: random.Random, aspect: float = FIGURE_ASPECT) -> Chart:
    """A chart that our own renderer can draw as a figure of some width over height.

    Raises:
        Reject: None of twelve would do.
    """
    look = Look(
        width=800, height=round(800 / aspect), legend="below", grid_color="#dddddd",
        font_size=rng.choice((10.0, 11.0)), has_markers=rng.random() < 0.5,
    )  # fmt: skip
    for _ in range(12):
        try:
            chart = draw_chart(rng, rng, FIGURE_KINDS, look)
            chart = replace(chart, note="", subtitle="")
            draw_with_pillow(chart)
        except Reject:
            continue
        return chart
    raise Reject("no_figure", "twelve charts did not fit their figure")


def _paragraphs(draft: Draft, world: World, rng: random.Random, count: int) -> None:
    for _ in range(count):
        draft.paragraph([filler(world, rng) for _ in range(rng.randint(3, 6))])


def _telling(
    draft: Draft, world: World, subject: str, names: Names, rng: random.Random, most: int
) -> str:
    """One or two paragraphs with facts of a subject; returns the first sentence with a fact."""
    measures = rng.sample(world.measures, rng.randint(2, min(most, len(world.measures))))
    facts = [m.fact(subject, rng) for m in measures]
    if rng.random() < 0.6:
        facts.append(rng.choice(world.relations).fact(subject, names, rng))
    rng.shuffle(facts)
    cut = rng.randint(1, len(facts))
    for group in (facts[:cut], facts[cut:]):
        if group:
            said = [f["sentence"] for f in group]
            for _ in range(rng.randint(1, 3)):
                said.insert(rng.randint(0, len(said)), filler(world, rng))
            draft.paragraph(said, group)
    return str(facts[0]["sentence"])


def _quarterly(draft: Draft, subject: str, rng: random.Random) -> int:
    """A small table of a subject; its number among exhibits."""
    columns = rng.sample(("Visits", "Deliveries", "Returns", "Tickets", "Hours", "Inquiries"), 3)
    rows = [[q, *(f"{rng.randint(40, 2400):,}" for _ in columns)] for q in QUARTERS]
    return draft.table(f"Quarterly figures of {subject}", ["Quarter", *columns], rows)


def log_table(draft: Draft, rng: random.Random, rows: int) -> int:
    """A long table with one line for each inspection; its number among exhibits."""
    day = 0
    lines = []
    for number in range(1, rows + 1):
        day += rng.randint(1, max(1, 330 // rows))
        date = f"{1 + day % 28} {MONTHS[min(11, day // 28)]}"
        lines.append(
            [f"V-{100 + number}", date, rng.choice(TOWNS), str(rng.randint(1, 60)),
             str(rng.randint(0, 25))]
        )  # fmt: skip
    header = ["Visit", "Date", "Town", "Minutes", "Findings"]
    return draft.table("List of all inspection visits", header, lines)


def _front(draft: Draft, line: str) -> None:
    draft.text(draft.title, "title")
    draft.text(line)


def _contents(draft: Draft, number: int) -> None:
    """Room for a table of contents, filled in once pages are known."""
    draft.text("Contents", "section_header", 1)
    draft.contents = len(draft.blocks)
    for _ in range(number):
        draft.text("...", "toc")


def report(seed: int, size: Size) -> Draft:
    """A yearly report: contents, a section for each division, figures, tables, an appendix."""
    rng = _stream(seed, "report")
    names = Names(_stream(seed, "names"))
    world = rng.choice(REPORTING)
    firm, year = (
        f"{names.new()} {rng.choice(('Works', 'Group', 'Holding'))}",
        rng.randint(2001, 2029),
    )
    draft = Draft("report", f"Annual Report {year} of {firm}", facing="report")
    subjects = rng.sample(world.subjects, min(size.sections, len(world.subjects)))
    author = person(names)
    has_contents = rng.random() < 0.75
    closing = rng.choice(("Outlook", "Next steps", "Plans for the coming year"))
    _front(draft, f"Prepared by {author}, {rng.choice(TOWNS)}")
    if has_contents:
        _contents(draft, len(subjects) + 3)
    opening = rng.choice(("Overview", "Introduction", "At a glance"))
    draft.heading(opening, number="1", gist=f"{firm} has {len(subjects)} {world.plural}.")
    lead = f"This report covers {len(subjects)} {world.plural} of {firm}."
    draft.paragraph([lead, *(filler(world, rng) for _ in range(4))])
    draft.figure("Development in the past years", figure_chart(_stream(seed, "figure")), 0)
    _paragraphs(draft, world, rng, size.fill)
    shown: list[int] = []
    for k, subject in enumerate(subjects):
        part = _stream(seed, f"section {k}")
        draft.heading(subject, number=str(k + 2))
        gist = _telling(draft, world, subject, names, part, 4)
        draft.headings[-1] = replace(draft.headings[-1], gist=gist)
        if shown and part.random() < 0.4:
            other = draft.exhibits[part.choice(shown)]
            _refer(draft, world, part, draft.exhibits.index(other))
        kind = part.random()
        if kind < 0.45:
            said = f"Table {draft.count('table') + 1} breaks the figures down by quarter."
            block = draft.paragraph([filler(world, part), said])
            shown.append(_quarterly(draft, subject, part))
            draft.point("exhibit", shown[-1], said, block)
        elif kind < 0.7:
            said = f"The course of the year is shown in Figure {draft.count('figure') + 1}."
            block = draft.paragraph([filler(world, part), said])
            shown.append(draft.figure(f"The year at {subject}", figure_chart(part), 0))
            draft.point("exhibit", shown[-1], said, block)
        _paragraphs(draft, world, part, size.fill)
    tail = _stream(seed, "tail")
    draft.heading(closing, number=str(len(subjects) + 2), gist=filler(world, tail))
    draft.paragraph([draft.headings[-1].gist, *(filler(world, tail) for _ in range(3))])
    draft.heading("Appendix: inspections", number=str(len(subjects) + 3),
                  gist="All inspection visits of the year are listed.")  # fmt: skip
    said = f"Table {draft.count('table') + 1} lists all inspection visits of the year."
    block = draft.paragraph([said])
    target = log_table(draft, _stream(seed, "log"), size.rows)
    draft.point("exhibit", target, said, block)
    return draft


def _refer(draft: Draft, world: World, rng: random.Random, target: int) -> None:
    """A paragraph that points to a table or figure of an earlier section."""
    exhibit = draft.exhibits[target]
    said = rng.choice(
        ("For a comparison see {x}.", "The same was seen in {x}.", "Compare this with {x}.")
    ).format(x=exhibit.label)
    block = draft.paragraph([filler(world, rng), said, filler(world, rng)])
    draft.point("exhibit", target, said, block)


_ADJECTIVES = ("Robust", "Efficient", "Sparse", "Adaptive", "Modular", "Gradual", "Layered")
_TOPICS = ("Route Planning", "Image Sorting", "Speech Labels", "Sensor Fusion", "Text Retrieval",
           "Crop Forecasts", "Traffic Counting", "Noise Removal")  # fmt: skip
_ENDS = ("with Few Labels", "under Drift", "at Scale", "on Small Devices", "without Supervision",
         "in Open Terrain", "from Weak Signals", "by Shared Memory")  # fmt: skip


def paper(seed: int, size: Size) -> Draft:
    """A paper: abstract, citations, methods with results, a list of references."""
    rng = _stream(seed, "paper")
    names = Names(_stream(seed, "names"))
    world = METHODS
    title = f"{rng.choice(_ADJECTIVES)} {rng.choice(_TOPICS)} {rng.choice(_ENDS)}"
    draft = Draft("paper", title, facing="paper")
    subjects = rng.sample(world.subjects, min(size.sections, len(world.subjects)))
    plans = _plan_sources(names, _stream(seed, "sources"), len(subjects) + 4)
    _front(draft, join_words([person(names) for _ in range(rng.randint(2, 4))]))
    has_contents = rng.random() < 0.5
    middle = len(subjects)
    if has_contents:
        _contents(draft, middle + 6)
    draft.heading("Abstract", gist=f"We compare {len(subjects)} methods.")
    draft.paragraph([f"We compare {len(subjects)} methods.",
                     *(filler(world, rng) for _ in range(4))])  # fmt: skip
    cited = list(range(len(plans)))
    rng.shuffle(cited)
    for number, name in ((1, "Introduction"), (2, "Related work")):
        gist = filler(world, rng)
        draft.heading(name, number=str(number), gist=gist)
        draft.paragraph([gist, *(filler(world, rng) for _ in range(3))])
        for _ in range(2):
            target = cited.pop()
            said = f"This question was first raised in [{target + 1}]."
            if number == 2:
                said = f"A different view is taken in [{target + 1}]."
            block = draft.paragraph([filler(world, rng), said, filler(world, rng)])
            draft.point("source", target, said, block)
        _paragraphs(draft, world, rng, size.fill)
    draft.figure("Overview of the setting", figure_chart(_stream(seed, "figure")), 0)
    for k, subject in enumerate(subjects):
        part = _stream(seed, f"section {k}")
        draft.heading(f"The method {subject}", number=str(3 + k))
        gist = _telling(draft, world, subject, names, part, 3)
        draft.headings[-1] = replace(draft.headings[-1], gist=gist)
        if cited and part.random() < 0.7:
            target = cited.pop()
            said = f"The idea goes back to [{target + 1}]."
            block = draft.paragraph([filler(world, part), said])
            draft.point("source", target, said, block)
        if part.random() < 0.3:
            said = f"Figure {draft.count('figure') + 1} shows how {subject} behaves."
            block = draft.paragraph([said, filler(world, part)])
            target = draft.figure(f"Behaviour of {subject}", figure_chart(part), 0)
            draft.point("exhibit", target, said, block)
        _paragraphs(draft, world, part, size.fill)
    tail = _stream(seed, "tail")
    draft.heading("Results", number=str(3 + middle), gist="All methods are compared in a table.")
    said = f"Table {draft.count('table') + 1} compares all methods on three data sets."
    block = draft.paragraph([filler(world, tail), said])
    columns = tail.sample(("Plains", "Harbor", "Alpine", "Urban", "Night"), 3)
    rows = [[s, *(f"{tail.uniform(40, 98):.1f}" for _ in columns)] for s in subjects]
    target = draft.table("Scores of all methods", ["Method", *columns], rows)
    draft.point("exhibit", target, said, block)
    _paragraphs(draft, world, tail, max(1, size.fill // 2))
    gist = filler(world, tail)
    draft.heading("Conclusion", number=str(4 + middle), gist=gist)
    draft.paragraph([gist, *(filler(world, tail) for _ in range(3))])
    draft.heading("References", gist=f"{len(plans)} works are listed.")
    for number, plan in enumerate(plans, 1):
        block = draft.text(f"[{number}] {plan[0]}. {plan[1]}. {plan[2]}.", "reference")
        draft.sources.append(
            Source(mark=f"[{number}]", authors=plan[0], title=plan[1], year=plan[2], block=block)
        )
    return draft


def _plan_sources(names: Names, rng: random.Random, count: int) -> list[tuple[str, str, int]]:
    found: list[tuple[str, str, int]] = []
    titles: set[str] = set()
    while len(found) < count:
        title = f"{rng.choice(_ADJECTIVES)} {rng.choice(_TOPICS)} {rng.choice(_ENDS)}"
        if title in titles:
            continue
        titles.add(title)
        authors = [f"{rng.choice('ABCDEFGHJKLMNPRST')}. {names.new()}"
                   for _ in range(rng.randint(1, 3))]  # fmt: skip
        found.append((join_words(authors), title, rng.randint(1984, 2025)))
    return found


_STEPS = ("Switch the appliance off and let it cool down.", "Remove the cover by hand.",
          "Lift the container out of the housing.", "Wipe the contact surfaces with a dry cloth.",
          "Put the new piece in until it clicks.", "Check that nothing is loose.",
          "Close the cover again.", "Turn the knob to the first mark.", "Wait for the short tone.",
          "Rinse the container with warm water.", "Plug the power cord in.",
          "Hold the start button until the display lights up.", "Fill in water up to the line.",
          "Empty the tray.", "Note the date in the service book.")  # fmt: skip
_TASKS = ("Setting up", "Daily use", "Cleaning", "Storage", "Descaling", "Moving the appliance")
_FAULTS = (("The display stays dark", "Check the power cord"),
           ("A burning smell", "Unplug it and call the service"),
           ("Water below the appliance", "Tighten the supply line"),
           ("A loud rattle", "Look for loose parts"), ("Weak flow", "Clean the sieve"),
           ("Error E1", "Close the cover fully"), ("Error E2", "Let it cool for an hour"),
           ("Error E3", "Descale the appliance"), ("Error E4", "Reset it to works settings"),
           ("The lamp flickers", "Replace the lamp"), ("It stops early", "Choose another program"),
           ("The knob sticks", "Pull it off and wipe it"),
           ("Bad smell", "Rinse it with vinegar"), ("Long waiting time", "Fill in warm water"),
           ("White spots", "Use soft water"), ("A beep every minute", "Empty the tray"),
           ("The cover does not close", "Check the sealing ring"),
           ("It does not heat", "Call the service"), ("Steam at the side", "Replace the seal"),
           ("Error E5", "Unplug it for ten minutes"))  # fmt: skip


def manual(seed: int, size: Size) -> Draft:
    """A manual: contents, safety, steps, parts, faults and technical data."""
    rng = _stream(seed, "manual")
    names = Names(_stream(seed, "names"))
    world = PARTS
    device = f"{names.new()} {rng.choice('ABEKMRST')}{rng.randint(10, 99)}0"
    draft = Draft("manual", f"{device}: operating manual", facing="manual")
    parts = rng.sample(world.subjects, min(size.sections, len(world.subjects)))
    tasks = rng.sample(_TASKS, min(len(_TASKS), max(2, size.sections // 2)))
    chapters = 1 + len(tasks) + len(parts) + 2
    _front(draft, f"Read this manual before you use the {device}.")
    _contents(draft, chapters)
    draft.breaks.append(len(draft.blocks))
    draft.heading("Safety", number="1", gist="This chapter lists what to avoid.")
    for _ in range(rng.randint(4, 6)):
        draft.text(filler(world, rng), "list_item", marker="-")
    _paragraphs(draft, world, rng, size.fill)
    for k, name in enumerate(tasks):
        part = _stream(seed, f"task {k}")
        draft.heading(name, number=str(2 + k))
        steps = part.sample(_STEPS, part.randint(4, 7))
        draft.headings[-1] = replace(draft.headings[-1], gist=f"{name} takes {len(steps)} steps.")
        draft.paragraph([f"{name} takes {len(steps)} steps.", filler(world, part)])
        for number, step in enumerate(steps, 1):
            block = draft.text(step, "list_item", marker=f"{number}.")
            draft.note(block, [{"subject": f'"{name}"', "noun": f"step {number}",
                                "text": step.rstrip("."), "sentence": step}])  # fmt: skip
        if part.random() < 0.7:
            target = len(tasks) + 1 + part.randrange(len(parts))  # the headings that follow
            said = f"For spare parts see chapter {target + 1}."
            block = draft.paragraph([said, filler(world, part)])
            draft.point("section", target, said, block)
        _paragraphs(draft, world, part, size.fill)
    for k, subject in enumerate(parts):
        part = _stream(seed, f"part {k}")
        draft.heading(f"The {subject}", number=str(2 + len(tasks) + k))
        gist = _telling(draft, world, subject, names, part, 3)
        draft.headings[-1] = replace(draft.headings[-1], gist=gist)
        if part.random() < 0.25:
            draft.figure(f"Place of the {subject}", None, part.getrandbits(31))
        _paragraphs(draft, world, part, size.fill)
    tail = _stream(seed, "tail")
    draft.heading("Troubleshooting", number=str(2 + len(tasks) + len(parts)),
                  gist="Faults and remedies are listed.")  # fmt: skip
    said = f"Table {draft.count('table') + 1} lists faults and what to do about them."
    block = draft.paragraph([said, filler(world, tail)])
    rows = tail.sample(_FAULTS, min(len(_FAULTS), max(6, size.rows)))
    target = draft.table("Faults", ["Fault", "Remedy"], [list(r) for r in rows])
    draft.point("exhibit", target, said, block)
    draft.heading("Technical data", number=str(3 + len(tasks) + len(parts)),
                  gist=f"Data of the {device} are listed.")  # fmt: skip
    data = [["Power", f"{tail.randint(4, 30) * 50} W"], ["Weight", f"{tail.uniform(2, 14):.1f} kg"],
            ["Width", f"{tail.randint(20, 60)} cm"], ["Height", f"{tail.randint(20, 90)} cm"],
            ["Noise level", f"{tail.randint(38, 72)} dB"],
            ["Cord length", f"{tail.uniform(0.8, 3.5):.1f} m"]]  # fmt: skip
    draft.table(f"Technical data of the {device}", ["Property", "Value"], data)
    return draft
