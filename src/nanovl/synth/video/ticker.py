"""Clips of a counter, a clock, a traffic light or a row of words ("video-ticker").

Source: data synthesis specification, section 10.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nanovl.core.config import from_dict, nearest
from nanovl.core.errors import ConfigError
from nanovl.data.convert import templates
from nanovl.synth.asking import Bank, noted, worded
from nanovl.synth.base import Answer, Media, Requirement, Sample, Streams, Task
from nanovl.synth.lengths import STAGE1_TOKENS, bounded, check_bounds
from nanovl.synth.video.encode import encode_mp4
from nanovl.synth.video.panels import FAMILIES, Display, State, draw_state, plan_display
from nanovl.synth.video.timeline import STEP_S

__all__ = ["TickerConfig", "TickerGenerator", "create"]

_WHAT = {
    "counter": "the counter shows {v}",
    "clock": "the clock shows {v}",
    "light": "the light is {v}",
    "words": "the word {v} is shown",
}
_BANK: Bank = {
    "at": (
        "what does the display show at {t}?",
        "read the display at {t}.",
        "which value or word can be seen at {t}?",
        "stop at {t}. What is shown?",
        "at {t}, what is on the display? (For a traffic light: its colour.)",
        "tell what is displayed at the time {t}.",
        "what can be read, or which light is on, at {t}?",
        "give the state of the display at {t}.",
    ),
    "last": (
        "what does the display show at the end?",
        "what is the last thing shown?",
        "which state does the video end with?",
        "read the display in the last second.",
        "what is displayed when the video stops?",
        "name the final state of the display.",
        "how does the display look at the very end?",
        "what is shown last?",
    ),
    "next": (
        "{what}. What comes right after it the first time?",
        "the first time that {what}, what follows?",
        "once {what} for the first time, what is shown next?",
        "after the first moment in which {what}, which state comes?",
        "first, {what}. Which state replaces it?",
        "look for the first time that {what}. What is the state after it?",
        "which state follows the first time that {what}?",
        "what does the display change to after {what} for the first time?",
    ),
    "times": (
        "how many times does it happen that {what}? Count each stretch once.",
        "count the stretches in which {what}.",
        "how often does it come about that {what}?",
        "in how many separate stretches is it so that {what}?",
        "how many times can it be seen that {what}?",
        "state the number of stretches in which {what}.",
        "{what}: how many times does this start?",
        "how often is it the case that {what}? Each stretch counts once.",
    ),
    "total": (
        "for how many seconds in all is it so that {what}?",
        "add up the time during which {what}. How many seconds is that?",
        "how many seconds in total pass while {what}?",
        "what is the total time, in seconds, in which {what}?",
        "over the whole video, how many seconds is it the case that {what}?",
        "sum up the seconds in which {what}.",
        "give the total duration in seconds during which {what}.",
        "how long in all (in seconds) can it be seen that {what}?",
    ),
    "changes": (
        "how many times does the display change?",
        "count the changes of the display.",
        "how often does the display switch to something else?",
        "what is the number of changes?",
        "how many changes can be seen?",
        "state how many times the display changes.",
        "from start to end, how many changes are there?",
        "how many times is what is shown replaced by something else?",
    ),
    "difference": (
        "by how much does the counter differ between {t} and {u}? Give the size of the change.",
        "compare the counter at {t} and at {u}. How large is the difference?",
        "what is the difference of the counter between {t} and {u}, without sign?",
        "read the counter at {t} and at {u} and subtract the smaller from the larger.",
        "how far apart are the values of the counter at {t} and {u}?",
        "the counter is read at {t} and at {u}. By how much do the two readings differ?",
        "give the distance between the counter values at {t} and {u}.",
        "between {t} and {u}, by how much did the counter change (absolute value)?",
    ),
}
_Builder = Callable[[Display, random.Random], Task | None]


@dataclass(frozen=True, kw_only=True)
class TickerConfig:
    """Settings of "video-ticker".

    Attributes:
        families: Which displays; empty means all.
        min_s, max_s: Bounds of the duration, 4 to 120 seconds.
        sizes: Widths and heights to draw from, even.
        fps: Frames per second, even.
        tasks: Questions of a clip.
        max_tokens: Most tokens of a record, 0 for any number; longer ones are left out.
    """

    families: tuple[str, ...] = ()
    min_s: float = 6.0
    max_s: float = 30.0
    sizes: tuple[tuple[int, int], ...] = ((256, 192), (320, 240), (256, 256))
    fps: int = 4
    tasks: int = 4
    max_tokens: int = STAGE1_TOKENS

    def __post_init__(self) -> None:
        for name in self.families:
            if name not in FAMILIES:
                raise ConfigError(
                    f"video-ticker: family {name!r} does not exist{nearest(name, FAMILIES)}"
                )
        if not 4.0 <= self.min_s <= self.max_s <= 120.0:
            raise ConfigError(
                f"video-ticker: min_s {self.min_s}, max_s {self.max_s}; expected "
                "4 <= min_s <= max_s <= 120"
            )
        if self.fps % 2 or not 2 <= self.fps <= 30:
            raise ConfigError(f"video-ticker: fps {self.fps}, expected an even number 2 to 30")
        check_bounds(0, self.max_tokens)


class TickerGenerator:
    """Makes clips of displays.

    Args:
        config: Settings.
    """

    name = "video-ticker"
    version = "2"
    requires: Sequence[Requirement] = ()

    def __init__(self, config: TickerConfig | None = None) -> None:
        self.config = config or TickerConfig()

    def generate(self, index: int, streams: Streams) -> Sample:
        """One clip with several questions.

        Raises:
            Reject: Its frames are more tokens than a record may have.
        """
        config, rng, style = self.config, streams.rng("content"), streams.rng("style")
        family = rng.choice(config.families or FAMILIES)
        display = plan_display(family, rng, config.min_s, config.max_s)
        size = style.choice(config.sizes)
        drawn = {v: draw_state(display, v, size) for v in sorted({s.value for s in display.states})}
        frames = _frames(display, {v: np.asarray(p) for v, (p, _) in drawn.items()}, config.fps)
        data = encode_mp4(frames, config.fps, crf=style.randint(20, 32))
        media = Media(
            name="clip",
            kind="video",
            data=data,
            ext="mp4",
            width=size[0],
            height=size[1],
            extra={
                "video_fps": config.fps,
                "video_duration": display.duration_s,
                "video_num_frames": round(display.duration_s * config.fps),
            },
        )
        log = [
            {"t0": s.t0, "t1": s.t1, "value": s.value, "box": list(drawn[s.value][1])}
            for s in display.states
        ]
        captions = [
            {"t0": s.t0, "t1": s.t1, "text": f"{_what(display, s.value).capitalize()}."}
            for s in display.states
        ]
        made = Sample(
            generator=self.name,
            version=self.version,
            seed=streams.seed,
            gt={
                "family": family,
                "duration": display.duration_s,
                "fps": config.fps,
                "events": log,
                "captions": captions,
            },
            tasks=tuple(_tasks(display, streams.rng("qa"), config.tasks)),
            media=(media,),
            tags=("video", family, "difficulty:1"),
            quality={"states": len(log), "bytes": len(data)},
        )
        return bounded(made, config.max_tokens)


def _frames(
    display: Display, pictures: Mapping[str, npt.NDArray[np.uint8]], fps: int
) -> Iterator[npt.NDArray[np.uint8]]:
    for k in range(round(display.duration_s * fps)):
        yield pictures[display.at(k / fps).value]


def _what(display: Display, value: str) -> str:
    return _WHAT[display.family].format(v=value)


def _task(
    kind: str, question: tuple[str, str], text: str, answer: Answer, verifier: str,
    trace: str | None = None,
) -> Task:  # fmt: skip
    return Task(
        task=f"ticker_{kind}",
        question=question[0],
        answer_text=text,
        answer=answer,
        verifier=verifier,
        trace=trace,
        media=("clip",),
        template=question[1],
    )


def _ask(kind: str, rng: random.Random, form: str, **slots: object) -> tuple[str, str]:
    question, template = worded(_BANK, kind, rng, **slots)
    return noted(question, form, rng), template


def _value(kind: str, question: tuple[str, str], value: str) -> Task:
    return _task(kind, question, value, Answer(type="text", value=value), "exact_ci")


def _number(kind: str, question: tuple[str, str], value: float, trace: str | None = None) -> Task:
    answer = Answer(type="number", value=value)
    return _task(kind, question, f"{value:g}", answer, "number", trace)


def _inner_time(state: State, rng: random.Random) -> float:
    """A time on the grid inside a state, never at its ends."""
    return state.t0 + STEP_S * rng.randint(1, round((state.t1 - state.t0) / STEP_S) - 1)


def _at(display: Display, rng: random.Random) -> Task:
    state = rng.choice(display.states)
    t = templates.timestamp(_inner_time(state, rng))
    return _value("at", _ask("at", rng, "word", t=t), state.value)


def _last(display: Display, rng: random.Random) -> Task:
    return _value("last", _ask("last", rng, "word"), display.states[-1].value)


def _next(display: Display, rng: random.Random) -> Task | None:
    if len(display.states) < 2:
        return None
    value = rng.choice([s.value for s in display.states[:-1]])
    place = next(i for i, s in enumerate(display.states) if s.value == value)
    question = _ask("next", rng, "word", what=_what(display, value))
    return _value("next", question, display.states[place + 1].value)


def _log(states: Sequence[State]) -> str:
    return "\n".join(f"{templates.span(s.t0, s.t1)}: {s.value}" for s in states)


def _times(display: Display, rng: random.Random) -> Task:
    value = rng.choice(display.states).value
    found = [s for s in display.states if s.value == value]
    question = _ask("times", rng, "number", what=_what(display, value))
    return _number("times", question, len(found), _log(found))


def _total(display: Display, rng: random.Random) -> Task:
    value = rng.choice(display.states).value
    found = [s for s in display.states if s.value == value]
    question = _ask("total", rng, "number", what=_what(display, value))
    seconds = sum(s.t1 - s.t0 for s in found)
    trace = f"{_log(found)}\n{' + '.join(f'{s.t1 - s.t0:g}' for s in found)} = {seconds:g}"
    return _number("total", question, seconds, trace)


def _changes(display: Display, rng: random.Random) -> Task:
    return _number("changes", _ask("changes", rng, "number"), len(display.states) - 1)


def _difference(display: Display, rng: random.Random) -> Task | None:
    if display.family != "counter" or len(display.states) < 2:
        return None
    a, b = sorted(rng.sample(display.states, 2), key=lambda s: s.t0)
    t, u = (templates.timestamp(_inner_time(s, rng)) for s in (a, b))
    trace = f"At {t} it shows {a.value}, at {u} it shows {b.value}."
    question = _ask("difference", rng, "number", t=t, u=u)
    return _number("difference", question, abs(int(a.value) - int(b.value)), trace)


def _span(display: Display, rng: random.Random) -> Task | None:
    counts = Counter(s.value for s in display.states)
    single = [s for s in display.states if counts[s.value] == 1]
    if not single:
        return None
    state = rng.choice(single)
    text = f"{_what(display, state.value).capitalize()}."
    made = templates.question("temporal_grounding", rng, sentence=text)
    answer = Answer(type="interval", value=[state.t0, state.t1], tolerance=STEP_S)
    span = templates.span(state.t0, state.t1)
    return _task("when", (made.text, made.template), span, answer, "interval_iou")


_BUILDERS: tuple[_Builder, ...] = (
    _at, _last, _next, _times, _total, _changes, _difference, _span,
)  # fmt: skip


def _tasks(display: Display, rng: random.Random, count: int) -> list[Task]:
    tasks: list[Task] = []
    for builder in rng.sample(_BUILDERS, len(_BUILDERS)):
        if len(tasks) == count:
            break
        task = builder(display, rng)
        if task is not None:
            tasks.append(task)
    return tasks


def create(config: Mapping[str, Any]) -> TickerGenerator:
    """The generator from settings as a mapping.

    Raises:
        ConfigError: A setting is unknown or wrong.
    """
    return TickerGenerator(from_dict(TickerConfig, config, where="video-ticker"))
