"""Questions about talks with slides, answered from their plan.

Source: data synthesis specification, section 10 (slide QA, audio-visual questions, summary).
"""

from __future__ import annotations

import random
from collections.abc import Callable

from nanovl.data.convert import templates
from nanovl.synth.asking import Bank, multiple_choice, noted, worded
from nanovl.synth.base import Answer, Task
from nanovl.synth.video.talk import LABELS, SlideTalk
from nanovl.synth.video.timeline import STEP_S

__all__ = ["SlideTalk", "slide_tasks"]

_BANK: Bank = {
    "value": (
        "what does the slide on {title} state as {label}?",
        "according to the slide about {title}, what is the {label}?",
        "read the {label} off the slide titled {title}.",
        "on the slide {title}, which {label} is written?",
        "look at the slide on {title}: what is its {label}?",
        "which {label} does the slide titled {title} give?",
        "find the {label} that the slide {title} shows.",
        "what {label} is written on the slide about {title}?",
    ),
    "title_at": (
        "which title does the slide at {t} have?",
        "what is the slide at {t} about? Give its title.",
        "read the title of the slide shown at {t}.",
        "at {t}, which slide is on the screen? Answer with its title.",
        "stop at {t}. What is the title of the slide?",
        "name the title that can be seen at {t}.",
        "whose slide is shown at {t}? Give the title.",
        "what heading stands on the slide at {t}?",
    ),
    "next": (
        "which slide follows the one titled {title}?",
        "after the slide {title}, which title comes next?",
        "what is the title of the slide after {title}?",
        "name the slide that comes directly after {title}.",
        "the slide {title} is over. Which one is shown next?",
        "which title replaces {title}?",
        "what comes after the slide about {title}?",
        "give the title of the slide that follows {title}.",
    ),
    "count": (
        "how many slides does the talk have?",
        "count the slides.",
        "how many different slides are shown?",
        "what is the number of slides in this video?",
        "how many slides can be seen in all?",
        "of how many slides does the presentation consist?",
        "state how many slides there are.",
        "how many times does a new slide begin, the first one included?",
    ),
    "points": (
        "how many points does the slide {title} have in the end?",
        "count the lines below the title on the slide {title} when it is complete.",
        "how many entries does the slide about {title} list?",
        "what is the number of points on the slide {title}?",
        "how many points come up on the slide titled {title}?",
        "when the slide {title} is complete, how many points stand on it?",
        "state the number of listed points for {title}.",
        "how many lines of text does {title} get below its title?",
    ),
    "spoken": (
        "the speaker says something about {title} that is not on the slide. What is the {label}?",
        "only the narration mentions the {label} of {title}. What is it?",
        "what does the speaker give as {label} of {title}, which the slide does not show?",
        "listen: which {label} of {title} is only said?",
        "not written but said: what is the {label} of {title}?",
        "what {label} of {title} does the voice mention?",
        "according to the speaker, what is the {label} of {title}?",
        "name the {label} of {title} that can only be heard.",
    ),
    "matches": (
        "does the speaker say the same {label} for {title} as the slide shows?",
        "compare voice and slide: do they agree on the {label} of {title}?",
        "is the {label} of {title} said as it is written?",
        "do narration and slide match for the {label} of {title}?",
        "for {title}, does the {label} that is said equal the one on the slide?",
        "is what is said about the {label} of {title} what the slide states?",
        "do you hear the same {label} of {title} that you read?",
        "check the {label} of {title}: do speech and slide agree?",
    ),
    "order": (
        "which of these slides comes first?",
        "which of these titles is shown earliest?",
        "of these slides, which one is the first?",
        "which slide is shown before the others?",
        "put these titles in order. Which is number one?",
        "which of the following slides appears first?",
        "name the earliest of these slides.",
        "look at these titles. Which comes up first?",
    ),
    "summary": (
        "summarise the talk with one point per slide; begin every line with '- '.",
        "give a summary: one line starting with '- ' for each slide.",
        "sum up the slides, one '- ' line each.",
        "list what each slide is about, as lines that begin with '- '.",
        "write a short overview of the talk with a '- ' line for every slide.",
        "what is the talk about? Use one line with '- ' per slide.",
        "give the gist of every slide on a line that starts with '- '.",
        "condense the talk into one '- ' line per slide.",
    ),
}

_Builder = Callable[[SlideTalk, random.Random], Task | None]


def _task(
    kind: str,
    question: tuple[str, str],
    text: str,
    answer: Answer,
    verifier: str,
    trace: str | None = None,
) -> Task:
    return Task(
        task=f"slides_{kind}",
        question=question[0],
        answer_text=text,
        answer=answer,
        verifier=verifier,
        trace=trace,
        media=("talk",),
        template=question[1],
    )


def _word(kind: str, rng: random.Random, form: str, **slots: object) -> tuple[str, str]:
    question, template = worded(_BANK, kind, rng, **slots)
    return noted(question, form, rng), template


def _value(talk: SlideTalk, rng: random.Random) -> Task:
    slide = rng.choice(talk.slides)
    fact = rng.choice(slide.points).fact
    question = _word("value", rng, "word", title=slide.title, label=LABELS[fact.relation])
    return _task("value", question, fact.value, Answer(type="text", value=fact.value), "exact_ci")


def _when(talk: SlideTalk, rng: random.Random) -> Task:
    slide = rng.choice(talk.slides)
    text = f"The slide titled '{slide.title}' is shown."
    made = templates.question("temporal_grounding", rng, sentence=text)
    answer = Answer(type="interval", value=[slide.t0, slide.t1], tolerance=STEP_S)
    span = templates.span(slide.t0, slide.t1)
    return _task("when", (made.text, made.template), span, answer, "interval_iou")


def _title_at(talk: SlideTalk, rng: random.Random) -> Task:
    slide = rng.choice(talk.slides)
    steps = round((slide.t1 - slide.t0) / STEP_S)
    t = slide.t0 + STEP_S * rng.randint(1, steps - 1)
    question = _word("title_at", rng, "word", t=templates.timestamp(t))
    answer = Answer(type="text", value=slide.title)
    return _task("title_at", question, slide.title, answer, "exact_ci")


def _next(talk: SlideTalk, rng: random.Random) -> Task:
    place = rng.randrange(len(talk.slides) - 1)
    title = talk.slides[place + 1].title
    question = _word("next", rng, "word", title=talk.slides[place].title)
    return _task("next", question, title, Answer(type="text", value=title), "exact_ci")


def _count(talk: SlideTalk, rng: random.Random) -> Task:
    number = len(talk.slides)
    answer = Answer(type="number", value=number)
    return _task("count", _word("count", rng, "number"), str(number), answer, "number")


def _points(talk: SlideTalk, rng: random.Random) -> Task:
    slide = rng.choice(talk.slides)
    number = len(slide.points)
    question = _word("points", rng, "number", title=slide.title)
    answer = Answer(type="number", value=number)
    return _task("points", question, str(number), answer, "number")


def _spoken(talk: SlideTalk, rng: random.Random) -> Task | None:
    slides = [s for s in talk.slides if s.spoken_only is not None]
    if not slides:
        return None
    slide = rng.choice(slides)
    fact = slide.spoken_only
    assert fact is not None
    question = _word("spoken", rng, "word", title=slide.title, label=LABELS[fact.relation])
    answer = Answer(type="text", value=fact.value)
    trace = f"The speaker says: {fact.sentence}"
    return _task("spoken", question, fact.value, answer, "exact_ci", trace)


def _matches(talk: SlideTalk, rng: random.Random) -> Task | None:
    """Yes or no in equal parts, where there is something said wrongly."""
    points = [(s, p) for s in talk.slides for p in s.points]
    wrong = [x for x in points if not x[1].said_right]
    right = [x for x in points if x[1].said_right]
    if not wrong or not right:
        return None
    slide, point = rng.choice(right if rng.random() < 0.5 else wrong)
    said = next(x.text for x in talk.lines if x.start_s == point.t0)
    label = LABELS[point.fact.relation]
    question = _word("matches", rng, "yesno", title=slide.title, label=label)
    text = "yes" if point.said_right else "no"
    trace = f"The slide shows: {point.text}\nThe speaker says: {said}"
    answer = Answer(type="bool", value=point.said_right)
    return _task("matches", question, text, answer, "exact_ci", trace)


def _order(talk: SlideTalk, rng: random.Random) -> Task | None:
    if len(talk.slides) < 4:
        return None
    four = sorted(rng.sample(talk.slides, 4), key=lambda s: s.t0)
    question, template = worded(_BANK, "order", rng)
    made = multiple_choice(question, four[0].title, [s.title for s in four[1:]], rng)
    if made is None:
        return None
    return _task("order", (made[0], template), str(made[1].value), made[1], "mcq")


def _summary(talk: SlideTalk, rng: random.Random) -> Task:
    text = "\n".join(
        f"- {s.title}: {', '.join(LABELS[p.fact.relation] for p in s.points)}" for s in talk.slides
    )
    question = worded(_BANK, "summary", rng)
    return _task("summary", question, text, Answer(type="text", value=text), "edit_distance")


def _dense(talk: SlideTalk, rng: random.Random) -> Task:
    text = "\n".join(
        f"{templates.span(s.t0, s.t1)} The slide '{s.title}' is shown." for s in talk.slides
    )
    made = templates.question("dense_captioning", rng)
    answer = Answer(type="text", value=text)
    return _task("dense_caption", (made.text, made.template), text, answer, "edit_distance")


_BUILDERS: tuple[_Builder, ...] = (
    _value,
    _when,
    _title_at,
    _next,
    _count,
    _points,
    _spoken,
    _matches,
    _order,
    _summary,
    _dense,
)


def slide_tasks(talk: SlideTalk, rng: random.Random, count: int) -> list[Task]:
    """Questions of different kinds, as many as asked for if the talk allows."""
    tasks: list[Task] = []
    for builder in rng.sample(_BUILDERS, len(_BUILDERS)):
        if len(tasks) == count:
            break
        task = builder(talk, rng)
        if task is not None:
            tasks.append(task)
    return tasks
