"""Questions about the events of a clip, and their answers from the event log.

Every question can be answered from frames half a second apart: events last at least that long, and
times asked about keep clear of changes. Must not look at pixels.

Source: data synthesis specification, section 10; training specification, section 10.2 (forms of
answers). Spans and times are written as `nanovl.data.convert.templates` does.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise

from nanovl.data.convert import templates
from nanovl.synth.asking import (
    NOTES,
    Bank,
    box_answer,
    join_words,
    multiple_choice,
    noted,
    plural,
    worded,
)
from nanovl.synth.base import Answer, Task
from nanovl.synth.video.paint import look_box
from nanovl.synth.video.stage import Stage
from nanovl.synth.video.timeline import KINDS, STEP_S, Event, kind_label

__all__ = ["BUILDERS", "CLIP", "event_log", "summary"]

CLIP = "clip"  # name of the medium
_ABSENT = 0.15  # share of localisation questions about something that does not happen

BANK: Bank = {
    "first": (
        "which of these happens first?",
        "what is the first of these events?",
        "which event comes before all the others here?",
        "which of the following takes place earliest?",
        "put in order of time, which of these is number one?",
        "look at these events. Which one is the earliest?",
        "what do you see first?",
        "which option happens before the other ones?",
    ),
    "next": (
        "what happens right after this: {text}",
        "which event follows directly on this one: {text}",
        "after '{text}', what is the next thing that happens?",
        "what comes next after this: {text}",
        "this happens: {text} What is the next event?",
        "name the event that begins next after: {text}",
        "once this has begun, what is the next event to begin: {text}",
        "what starts next after this event: {text}",
    ),
    "count_kind": (
        "how often does it happen that {what}?",
        "count how many times {what}.",
        "how many times can you see that {what}?",
        "in how many events is it the case that {what}?",
        "how often is it shown that {what}?",
        "how many events are there in which {what}?",
        "state how often {what}.",
        "what is the number of times that {what}?",
    ),
    "repeat": (
        "how many times does the {name} {verb}?",
        "count how often the {name} {verb}s.",
        "the {name} {verb}s several times. How many?",
        "how often can the {name} be seen to {verb}?",
        "what is the number of times the {name} {verb}s?",
        "how many {verb}s does the {name} make?",
        "give the count: how often does the {name} {verb}?",
        "watch the {name}. How many times does it {verb}?",
    ),
    "longer": (
        "which of these two lasts longer?\nA. {a}\nB. {b}\n{note}",
        "which event takes more time?\nA. {a}\nB. {b}\n{note}",
        "compare the lengths of these events. Which is the longer one?\nA. {a}\nB. {b}\n{note}",
        "which of the two goes on for longer?\nA. {a}\nB. {b}\n{note}",
        "one of these takes more seconds than the other. Which?\nA. {a}\nB. {b}\n{note}",
        "by duration, which event is longer?\nA. {a}\nB. {b}\n{note}",
        "decide which event needs more time.\nA. {a}\nB. {b}\n{note}",
        "look at how long these take. Which takes longer?\nA. {a}\nB. {b}\n{note}",
    ),
    "visible": (
        "how many objects are visible at {t}?",
        "count the objects that can be seen at {t}.",
        "at {t}, how many objects are in the picture?",
        "how many things are on the screen at {t}?",
        "stop at {t}. How many objects are there?",
        "what is the number of objects shown at {t}?",
        "how many objects does the frame at {t} contain?",
        "at the time {t}, how many objects do you see?",
    ),
    "color_at": (
        "what colour does the {shape} have at {t}?",
        "which colour is the {shape} at {t}?",
        "at {t}, what is the colour of the {shape}?",
        "name the colour of the {shape} at {t}.",
        "stop at {t}: which colour has the {shape}?",
        "in which colour is the {shape} shown at {t}?",
        "tell the colour of the {shape} at the time {t}.",
        "the {shape} can be seen at {t}. In which colour?",
    ),
    "turns_into": (
        "which colour does the {name} change to?",
        "the {name} changes its colour. Which one does it get?",
        "what colour does the {name} turn?",
        "into which colour does the {name} turn?",
        "after its change, what colour has the object that was the {name}?",
        "name the new colour of the {name}.",
        "to what colour is the {name} switched?",
        "the {name} becomes another colour. Which?",
    ),
    "place_at": (
        "at {t}, is the {name} in the left or in the right half of the picture?",
        "in which half is the {name} at {t}, left or right?",
        "left or right: where is the {name} at {t}?",
        "on which side of the picture is the {name} at {t}, left or right?",
        "stop at {t}. Does the {name} stand left or right of the middle?",
        "where can the {name} be found at {t}: in the left or the right half?",
        "tell whether the {name} is left or right of the centre at {t}.",
        "at the time {t}, which half holds the {name}, the left or the right one?",
    ),
    "box_at": (
        "where is the {name} at {t}? Give its box as <box>(x1,y1),(x2,y2)</box>, 0 to 1000.",
        "locate the {name} at {t} and answer with <box>(x1,y1),(x2,y2)</box> (0 to 1000).",
        "mark the {name} in the frame at {t} by <box>(x1,y1),(x2,y2)</box>, values 0 to 1000.",
        "give the bounding box of the {name} at {t}, as <box>(x1,y1),(x2,y2)</box> (0 to 1000).",
        "at {t}, what is the box of the {name}? Use <box>(x1,y1),(x2,y2)</box> from 0 to 1000.",
        "find the {name} at {t}; write <box>(x1,y1),(x2,y2)</box> with numbers 0 to 1000.",
        "in which box is the {name} at {t}? Form: <box>(x1,y1),(x2,y2)</box>, 0 to 1000.",
        "report the place of the {name} at {t} as <box>(x1,y1),(x2,y2)</box>, scaled to 1000.",
    ),
    "mover": (
        "which of these objects never moves to another place?",
        "one of these objects is never seen moving. Which?",
        "which object stays where it is all the time it can be seen?",
        "name the object that does not change its place.",
        "which of the objects keeps its place?",
        "which object is not seen to move, enter or leave?",
        "find the object that stays in one place.",
        "all but one of these move. Which one does not?",
    ),
    "card": (
        "for a moment a card with a letter is shown. Which letter?",
        "one short part of the video shows a single letter. Which one?",
        "a letter interrupts the scene. Name it.",
        "which letter appears on the card between the scenes?",
        "the video is interrupted by a letter. Which letter is it?",
        "name the letter that is shown for a short time.",
        "which letter can be read when the objects are gone for a moment?",
        "there is one odd moment with a letter. State the letter.",
    ),
}
_PLACES = ("enter", "leave", "move", "bump")

Builder = Callable[[Stage, random.Random], Task | None]


def event_log(events: Sequence[Event]) -> str:
    """Lines "mm:ss-mm:ss text", by start."""
    return "\n".join(f"{templates.span(e.t0, e.t1)} {e.text}" for e in events)


def summary(stage: Stage) -> str:
    """What the clip shows, in a few sentences."""
    seen = [a for a in stage.actors if a.start.visible]
    shown = [f"a {a.name(a.start.color)}" for a in seen]
    shown = [s.replace("a orange", "an orange") for s in shown]
    opening = f"At the start the video shows {join_words(shown)}." if shown else ""
    words = ("First", "Then", "After that", "Next", "Later")
    told = []
    for index, event in enumerate(stage.told):
        text = event.text[0].lower() + event.text[1:]
        word = words[0] if index == 0 else words[1 + (index - 1) % 4]
        if index == len(stage.told) - 1 and index:
            word = "Finally"
        told.append(f"{word}, {text}")
    return " ".join([opening, *told]).strip()


def _task(
    kind: str,
    question: tuple[str, str],
    text: str,
    answer: Answer,
    verifier: str,
    trace: str | None = None,
) -> Task:
    return Task(
        task=f"video_{kind}",
        question=question[0],
        answer_text=text,
        answer=answer,
        verifier=verifier,
        trace=trace,
        media=(CLIP,),
        template=question[1],
    )


def _asked(kind: str, rng: random.Random, **slots: str) -> tuple[str, str]:
    made = templates.question(kind, rng, **slots)
    return made.text, made.template


def caption(stage: Stage, rng: random.Random) -> Task:
    """The whole clip in words."""
    text = summary(stage)
    answer = Answer(type="text", value=text)
    return _task("caption", _asked("video_captioning", rng), text, answer, "edit_distance")


def dense(stage: Stage, rng: random.Random) -> Task:
    """All events with their times."""
    text = event_log(stage.told)
    answer = Answer(type="text", value=text)
    return _task("dense_caption", _asked("dense_captioning", rng), text, answer, "edit_distance")


def _unique(stage: Stage) -> list[Event]:
    counts = Counter(e.text for e in stage.told)
    return [e for e in stage.told if counts[e.text] == 1]


def grounding(stage: Stage, rng: random.Random) -> Task | None:
    """The span of one event."""
    events = _unique(stage)
    if not events:
        return None
    event = rng.choice(events)
    question = _asked("temporal_grounding", rng, sentence=event.text)
    answer = Answer(type="interval", value=[event.t0, event.t1], tolerance=STEP_S)
    return _task(
        "temporal_grounding", question, templates.span(event.t0, event.t1), answer, "interval_iou"
    )


def localisation(stage: Stage, rng: random.Random) -> Task | None:
    """All spans of a kind of event, or "not present"."""
    present = sorted({e.kind for e in stage.told})
    absent = sorted(set(KINDS) - set(present))
    if absent and rng.random() < _ABSENT:
        question = _asked("temporal_localisation", rng, label=f"this: {KINDS[rng.choice(absent)]}")
        answer = Answer(type="text", value="not present")
        return _task("localisation", question, "not present", answer, "exact_ci")
    kind = rng.choice(present)
    spans = [(e.t0, e.t1) for e in stage.told if e.kind == kind]
    if _touching(spans):
        return None
    question = _asked("temporal_localisation", rng, label=f"this: {KINDS[kind]}")
    answer = Answer(type="interval", value=[list(s) for s in spans], tolerance=STEP_S)
    return _task("localisation", question, templates.spans(spans), answer, "interval_iou")


def _touching(spans: list[tuple[float, float]]) -> bool:
    """Whether spans overlap: a union of spans would then not be a list of events."""
    ordered = sorted(spans)
    return any(a[1] >= b[0] for a, b in pairwise(ordered))


def _alone(stage: Stage) -> list[Event]:
    """Events during which no other goes on."""
    told = stage.told
    return [
        e for e in told if not any(o is not e and o.t0 < e.t1 and e.t0 < o.t1 for o in told)
    ]  # fmt: skip


def reverse(stage: Stage, rng: random.Random) -> Task | None:
    """What happens in a span."""
    events = _alone(stage)
    if not events:
        return None
    event = rng.choice(events)
    start, end = templates.timestamp(event.t0), templates.timestamp(event.t1)
    question = _asked("reverse_localisation", rng, start=start, end=end)
    answer = Answer(type="text", value=event.text)
    return _task("reverse_localisation", question, event.text, answer, "exact_ci")


def classification(stage: Stage, rng: random.Random) -> Task | None:
    """Which kind of event is shown, among kinds that are not."""
    present = sorted({e.kind for e in stage.told})
    absent = sorted(set(KINDS) - set(present))
    kind = rng.choice(present)
    chosen = templates.choose_letters(kind_label(kind), [kind_label(k) for k in absent], rng)
    if chosen is None:
        return None
    question = _asked("classification_closed", rng, options=chosen[0])
    answer = Answer(type="choice", value=chosen[1])
    return _task("classification", question, chosen[1], answer, "mcq")


def _apart(events: Sequence[Event]) -> bool:
    starts = sorted(e.t0 for e in events)
    return all(b - a >= 2 * STEP_S for a, b in pairwise(starts))


def first(stage: Stage, rng: random.Random) -> Task | None:
    """Which of several events comes first."""
    events = _unique(stage)
    if len(events) < 4:
        return None
    four = sorted(rng.sample(events, 4), key=lambda e: e.t0)
    if not _apart(four):
        return None
    made = multiple_choice(*_mcq("first", rng), four[0].text, [e.text for e in four[1:]], rng)
    return _choice("order", "first", made, f"In order of time:\n{event_log(four)}")


def _mcq(kind: str, rng: random.Random, **slots: object) -> tuple[str]:
    return (worded(BANK, kind, rng, **slots)[0],)


def _choice(
    kind: str, template: str, made: tuple[str, Answer] | None, trace: str | None = None
) -> Task | None:
    if made is None:
        return None
    question, answer = made
    return _task(kind, (question, template), str(answer.value), answer, "mcq", trace)


def after(stage: Stage, rng: random.Random) -> Task | None:
    """Which event begins next after one."""
    told, events = stage.told, _unique(stage)
    pairs = [
        (a, b)
        for a, b in pairwise(told)
        if a in events and b in events and b.t0 - a.t0 >= 2 * STEP_S
    ]
    if not pairs:
        return None
    a, b = rng.choice(pairs)
    others = [e.text for e in events if e not in (a, b)]
    trace = f"{templates.span(a.t0, a.t1)} {a.text}\n{templates.span(b.t0, b.t1)} {b.text}"
    made = multiple_choice(*_mcq("next", rng, text=a.text), b.text, others, rng)
    return _choice("next", "next", made, trace)


def count(stage: Stage, rng: random.Random) -> Task | None:
    """How often a kind of event happens."""
    kinds = sorted({e.kind for e in stage.told})
    absent = sorted(set(KINDS) - set(kinds))
    kind = rng.choice(absent) if absent and rng.random() < 0.1 else rng.choice(kinds)
    found = [e for e in stage.told if e.kind == kind]
    question, template = worded(BANK, "count_kind", rng, what=KINDS[kind])
    trace = f"{event_log(found)}\nThat is {plural(len(found), 'time')}." if found else None
    answer = Answer(type="number", value=len(found))
    return _task(
        "count",
        (noted(question, "number", rng), template),
        str(len(found)),
        answer,
        "number",
        trace,
    )


def repetitions(stage: Stage, rng: random.Random) -> Task | None:
    """How often an object jumps or blinks in one event."""
    found = [e for e in stage.told if e.kind in ("jump", "blink")]
    counts = Counter((e.actor, e.kind) for e in found)
    found = [e for e in found if counts[(e.actor, e.kind)] == 1]
    if not found:
        return None
    event = rng.choice(found)
    actor = stage.actor(event.actor)
    name = actor.name(stage.look(actor, event.t0).color)
    question, template = worded(BANK, "repeat", rng, name=name, verb=event.kind)
    answer = Answer(type="number", value=event.times)
    return _task(
        "repetitions",
        (noted(question, "number", rng), template),
        str(event.times),
        answer,
        "number",
    )


def longer(stage: Stage, rng: random.Random) -> Task | None:
    """Which of two events lasts longer."""
    events = _unique(stage)
    pairs = [
        (a, b) for a in events for b in events if abs((a.t1 - a.t0) - (b.t1 - b.t0)) >= 2 * STEP_S
    ]
    if not pairs:
        return None
    a, b = rng.choice(pairs)
    letter = "A" if a.t1 - a.t0 > b.t1 - b.t0 else "B"
    note = rng.choice(NOTES["letter"])
    question = worded(BANK, "longer", rng, a=a.text, b=b.text, note=note)
    trace = "\n".join(
        f"{x}: {templates.span(e.t0, e.t1)}, {e.t1 - e.t0:g} s." for x, e in (("A", a), ("B", b))
    )
    return _task("duration", question, letter, Answer(type="choice", value=letter), "mcq", trace)


def _calm_times(stage: Stage) -> list[float]:
    """Times on the grid with nothing going on within half a second."""
    steps = round(stage.duration_s / STEP_S)
    return [
        k * STEP_S
        for k in range(1, steps)
        if not any(e.t0 - STEP_S < k * STEP_S < e.t1 + STEP_S for e in stage.told)
    ]


def visible_at(stage: Stage, rng: random.Random) -> Task | None:
    """How many objects can be seen at a time."""
    times = _calm_times(stage)
    if not times:
        return None
    t = rng.choice(times)
    shown = [a for a in stage.actors if stage.look(a, t).visible]
    names = join_words([f"the {a.name(stage.look(a, t).color)}" for a in shown])
    question, template = worded(BANK, "visible", rng, t=templates.timestamp(t))
    trace = f"At {templates.timestamp(t)} these can be seen: {names or 'none'}."
    answer = Answer(type="number", value=len(shown))
    return _task(
        "visible_at",
        (noted(question, "number", rng), template),
        str(len(shown)),
        answer,
        "number",
        trace,
    )


def color_at(stage: Stage, rng: random.Random) -> Task | None:
    """The colour of an object at a time, for objects that change it and alone have their shape."""
    shapes = Counter(a.shape for a in stage.actors)
    actors = [
        a
        for a in stage.actors
        if shapes[a.shape] == 1
        and any(e.actor == a.id and e.kind == "recolor" for e in stage.events)
    ]
    pairs = [(a, t) for a in actors for t in _calm_times(stage) if stage.look(a, t).visible]
    if not pairs:
        return None
    actor, t = rng.choice(pairs)
    color = stage.look(actor, t).color
    slots = {"shape": actor.shape, "t": templates.timestamp(t)}
    question, template = worded(BANK, "color_at", rng, **slots)
    answer = Answer(type="text", value=color)
    return _task("color_at", (noted(question, "word", rng), template), color, answer, "exact_ci")


def turns_into(stage: Stage, rng: random.Random) -> Task | None:
    """The new colour of an object."""
    found = [e for e in stage.told if e.kind == "recolor"]
    if not found:
        return None
    event = rng.choice(found)
    actor = stage.actor(event.actor)
    name = actor.name(stage.look(actor, event.t0).color)
    question, template = worded(BANK, "turns_into", rng, name=name)
    answer = Answer(type="text", value=event.color)
    return _task(
        "attribute_change", (noted(question, "word", rng), template), event.color, answer,
        "exact_ci",
    )  # fmt: skip


def place_at(stage: Stage, rng: random.Random) -> Task | None:
    """In which half an object is at a time."""
    found = []
    for t in _calm_times(stage):
        for actor in stage.actors:
            look = stage.look(actor, t)
            if look.visible and abs(look.x - stage.width / 2) > stage.width * 0.12:
                found.append((actor, t, look))
    if not found:
        return None
    side = rng.choice(("left", "right"))
    fitting = [f for f in found if (f[2].x < stage.width / 2) == (side == "left")]
    if not fitting:
        return None
    actor, t, look = rng.choice(fitting)
    slots = {"name": actor.name(look.color), "t": templates.timestamp(t)}
    question = worded(BANK, "place_at", rng, **slots)
    return _task("place_at", question, side, Answer(type="text", value=side), "exact_ci")


def box_at(stage: Stage, rng: random.Random) -> Task | None:
    """The box of an object at a time."""
    found = []
    for t in _calm_times(stage):
        for actor in stage.actors:
            look = stage.look(actor, t)
            box = look_box(actor, look, stage.width, stage.height)
            if box and box[2] - box[0] >= 8 and box[3] - box[1] >= 8:
                found.append((actor, t, look, box))
    if not found:
        return None
    actor, t, look, box = rng.choice(found)
    name = actor.name(look.color)
    question = worded(BANK, "box_at", rng, name=name, t=templates.timestamp(t))
    text, answer = box_answer(name, [box], stage.width, stage.height)
    return _task("box_at", question, text, answer, "iou")


def unmoved(stage: Stage, rng: random.Random) -> Task | None:
    """Which object keeps its place."""
    moving = {e.actor for e in stage.told if e.kind in _PLACES}
    seen = [a for a in stage.actors if a.start.visible or any(e.actor == a.id for e in stage.told)]
    still = [a for a in seen if a.id not in moving]
    others = [a.name(a.start.color) for a in seen if a.id in moving]
    if len(still) != 1 or len(others) < 3:
        return None
    right = still[0].name(still[0].start.color)
    made = multiple_choice(*_mcq("mover", rng), right, others, rng)
    return _choice("unmoved", "mover", made)


BUILDERS: dict[str, Builder] = {
    "after": after,
    "attribute_change": turns_into,
    "box_at": box_at,
    "caption": caption,
    "classification": classification,
    "color_at": color_at,
    "count": count,
    "dense_caption": dense,
    "duration": longer,
    "first": first,
    "grounding": grounding,
    "localisation": localisation,
    "place_at": place_at,
    "repetitions": repetitions,
    "reverse": reverse,
    "unmoved": unmoved,
    "visible_at": visible_at,
}
