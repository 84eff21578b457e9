"""Questions about what happens in a clip, when and how often, answered from the event log.

Every question can be answered from frames half a second apart: events last at least that long.
Must not look at pixels. Spans and times are written as `nanovl.data.convert.templates` does.

Source: data synthesis specification, section 10; training specification, section 10.2 (forms of
answers).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from nanovl.data.convert import templates
from nanovl.synth.asking import NOTES, balanced, join_words, multiple_choice, noted, plural, worded
from nanovl.synth.base import Answer, Task
from nanovl.synth.video.phrases import BANK
from nanovl.synth.video.stage import Stage
from nanovl.synth.video.timeline import KINDS, STEP_S, Event, kind_label

__all__ = [
    "CLIP",
    "after",
    "asked_task",
    "caption",
    "choice_task",
    "classification",
    "count",
    "dense",
    "event_log",
    "first",
    "grounding",
    "localisation",
    "longer",
    "mcq",
    "repetitions",
    "reverse",
    "summary",
]

CLIP = "clip"  # name of the medium
_ABSENT = 0.15  # share of localisation questions about something that does not happen
_REPEATING = ("blink", "jump")


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


def asked_task(
    kind: str,
    question: tuple[str, str],
    text: str,
    answer: Answer,
    verifier: str,
    trace: str | None = None,
) -> Task:
    """A question about the clip, from its (text, template)."""
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
    return asked_task("caption", _asked("video_captioning", rng), text, answer, "edit_distance")


def dense(stage: Stage, rng: random.Random) -> Task:
    """All events with their times."""
    text = event_log(stage.told)
    answer = Answer(type="text", value=text)
    return asked_task(
        "dense_caption", _asked("dense_captioning", rng), text, answer, "edit_distance"
    )


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
    return asked_task(
        "temporal_grounding", question, templates.span(event.t0, event.t1), answer, "interval_iou"
    )


def localisation(stage: Stage, rng: random.Random) -> Task | None:
    """All spans of a kind of event, or "not present"."""
    present = sorted({e.kind for e in stage.told})
    absent = sorted(set(KINDS) - set(present))
    if absent and rng.random() < _ABSENT:
        question = _asked("temporal_localisation", rng, label=f"this: {KINDS[rng.choice(absent)]}")
        answer = Answer(type="text", value="not present")
        return asked_task("localisation", question, "not present", answer, "exact_ci")
    kind = rng.choice(present)
    spans = [(e.t0, e.t1) for e in stage.told if e.kind == kind]
    if _touching(spans):
        return None
    question = _asked("temporal_localisation", rng, label=f"this: {KINDS[kind]}")
    answer = Answer(type="interval", value=[list(s) for s in spans], tolerance=STEP_S)
    return asked_task("localisation", question, templates.spans(spans), answer, "interval_iou")


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
    return asked_task("reverse_localisation", question, event.text, answer, "exact_ci")


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
    return asked_task("classification", question, chosen[1], answer, "mcq")


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
    made = multiple_choice(*mcq("first", rng), four[0].text, [e.text for e in four[1:]], rng)
    return choice_task("order", "first", made, f"In order of time:\n{event_log(four)}")


def mcq(kind: str, rng: random.Random, **slots: object) -> tuple[str]:
    """The question of a multiple choice, the first argument of `multiple_choice`."""
    return (worded(BANK, kind, rng, **slots)[0],)


def choice_task(
    kind: str, template: str, made: tuple[str, Answer] | None, trace: str | None = None
) -> Task | None:
    """A multiple choice about the clip, None when there were too few options."""
    if made is None:
        return None
    question, answer = made
    return asked_task(kind, (question, template), str(answer.value), answer, "mcq", trace)


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
    made = multiple_choice(*mcq("next", rng, text=a.text), b.text, others, rng)
    return choice_task("next", "next", made, trace)


def count(stage: Stage, rng: random.Random) -> Task | None:
    """How often a kind of event happens; the number is drawn first, each alike."""
    counts = Counter(e.kind for e in stage.told)
    (kind,) = balanced(sorted(KINDS), lambda kind: counts[kind], rng, 1)
    found = [e for e in stage.told if e.kind == kind]
    question, template = worded(BANK, "count_kind", rng, what=KINDS[kind])
    trace = f"{event_log(found)}\nThat is {plural(len(found), 'time')}." if found else None
    answer = Answer(type="number", value=len(found))
    return asked_task(
        "count",
        (noted(question, "number", rng), template),
        str(len(found)),
        answer,
        "number",
        trace,
    )


def repetitions(stage: Stage, rng: random.Random) -> Task | None:
    """How often an object jumps or blinks in one event."""
    found = [e for e in stage.told if e.kind in _REPEATING]
    counts = Counter((e.actor, e.kind) for e in found)
    found = [e for e in found if counts[(e.actor, e.kind)] == 1]
    if not found:
        return None
    event = rng.choice(found)
    actor = stage.actor(event.actor)
    name = actor.name(stage.look(actor, event.t0).color)
    question, template = worded(BANK, "repeat", rng, name=name, verb=event.kind)
    answer = Answer(type="number", value=event.times)
    return asked_task(
        "repetitions",
        (noted(question, "number", rng), template),
        str(event.times),
        answer,
        "number",
    )


def longer(stage: Stage, rng: random.Random) -> Task | None:
    """Which of two events lasts longer; those that repeat would tell it by how often."""
    events = [e for e in _unique(stage) if e.kind not in _REPEATING]
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
    return asked_task(
        "duration", question, letter, Answer(type="choice", value=letter), "mcq", trace
    )
