"""A video in five bullets with times, however long it is.

Frames and speech go into one prompt while that shows the video closely enough and fits the
context. A longer video is cut into parts; notes on every part are taken with the times of the whole
video, and the summary is made of the notes. Times can only be those of the part or of a note, by
the grammar of the answer.

Source: serving specification, sections 11 and 15; model specification, section 7.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nanovl.apps.asking import Question, ask, ask_each, fits
from nanovl.apps.timeline import Span, Timeline, clock_text
from nanovl.core.conversation import Message, Part, TextPart
from nanovl.core.errors import InputError
from nanovl.core.events import OnEvent, ignore_event

if TYPE_CHECKING:
    from nanovl.engine.vlm import NanoVL

__all__ = ["Bullet", "Summary", "plan_parts", "summarize"]

BULLETS = 5
EVERY_S = 4.0
_MEDIA = ("pruning_rate", "fps")

_WHOLE = """\
Summarise this video{speech}. Give one sentence that says what it is about ("overview"), and its \
{count} most important moments in order of time ("bullets"): "seconds" is when it begins, as \
printed in front of the frames, "text" is one plain sentence."""
_PART = """\
This is part {number} of {parts} of a video, from {start:.0f} s to {end:.0f} s{speech}. Note the \
{count} most important things that are shown or said in it, in order of time: "seconds" is when it \
begins, as printed in front of the frames, "text" is one plain sentence."""
_REDUCE = """\
These are notes on a video of {length}, each with its time in seconds:

{notes}

Summarise the video from them. Give one sentence that says what it is about ("overview"), and its \
{count} most important moments in order of time ("bullets"): "seconds" is the time of the note it \
comes from, "text" is one plain sentence."""


@dataclass(frozen=True, kw_only=True)
class Bullet:
    """A moment.

    Attributes:
        seconds: When it begins, from the start of the video.
        text: What happens.
    """

    seconds: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What a video is about.

    Attributes:
        overview: One sentence.
        bullets: Its moments, in order of time.
        notes: What the bullets were chosen from, when the video was seen in parts.
        parts: How many parts it was seen in.
        duration_s: Its length.
        conversation: Messages that further questions can follow.
    """

    overview: str
    bullets: tuple[Bullet, ...]
    notes: tuple[Bullet, ...] = ()
    parts: int = 1
    duration_s: float = 0.0
    conversation: tuple[Message, ...] = ()

    @property
    def markdown(self) -> str:
        """For people."""
        rows = [f"- [{clock_text(b.seconds)}] {b.text}" for b in self.bullets]
        return "\n".join([self.overview, "", *rows])


def summarize(
    model: NanoVL,
    timeline: Timeline,
    *,
    every_s: float = EVERY_S,
    bullets: int = BULLETS,
    max_tokens: int = 1024,
    on_event: OnEvent = ignore_event,
    **options: Any,
) -> Summary:
    """Summarise a video.

    Args:
        model: Who looks.
        timeline: The video and what is said in it, from `open_video`.
        every_s: See at least one frame in so many seconds; a video that needs more frames than a
            prompt may have is seen in parts.
        bullets: How many moments.
        max_tokens: Longest answer to one prompt.
        on_event: Told about the progress.
        **options: Further arguments of `NanoVL.chat`.

    Raises:
        InputError: The video cannot be used, or not even a second of it fits the context.
        NanoVLError: The model does not bring its answer to an end.
    """
    media = {k: v for k, v in options.items() if k in _MEDIA}
    spans, frames = plan_parts(
        model, timeline, every_s=every_s, max_tokens=max_tokens, bullets=bullets, **media
    )
    asking = {"max_tokens": max_tokens, "on_event": on_event, **options}
    if len(spans) == 1:
        return _in_one(model, timeline, frames, bullets, asking)
    questions = [
        Question(
            prompt=_part_prompt(timeline, spans, index, bullets),
            files=timeline.parts(span, frames),
            schema=_notes_schema(timeline, span, bullets),
            about=f"part {index + 1} of {len(spans)}",
        )
        for index, span in enumerate(spans)
    ]
    notes: list[Bullet] = []
    found = ask_each(model, questions, name="watch", unit="parts", **asking)
    for span, answer in zip(spans, found, strict=True):
        notes += _read_bullets(answer["notes"], timeline, span)
    return _reduced(model, timeline, notes, len(spans), bullets, asking)


def plan_parts(
    model: NanoVL,
    timeline: Timeline,
    *,
    every_s: float = EVERY_S,
    max_tokens: int = 1024,
    bullets: int = BULLETS,
    **media: Any,
) -> tuple[list[Span], int]:
    """Into which parts a video has to be cut, and how many frames of each are seen at most.

    Raises:
        InputError: Not even a second fits the context.
    """
    most = min(model.processor.config.max_frames, model.processor.limits.max_frames)
    length = timeline.duration_s
    if length <= 0:
        return [Span(start_s=0.0, end_s=0.0)], most
    count = max(1, math.ceil(length / every_s / most))
    while True:
        spans = timeline.split(count)
        frames = min(most, max(1, math.ceil(length / count / every_s)))

        def all_fit(frames: int, spans: Sequence[Span] = spans) -> bool:
            return all(
                fits(
                    model,
                    _part_prompt(timeline, spans, index, bullets),
                    timeline.parts(span if len(spans) > 1 else None, frames),
                    max_tokens,
                    **media,
                )
                for index, span in enumerate(spans)
            )

        if all_fit(frames):
            richer = [n for n in (most, frames * 4, frames * 2) if frames < n <= most]
            return spans, next((n for n in richer if all_fit(n)), frames)
        count = max(count + 1, count * 5 // 4)
        if length / count < timeline.shortest_s:
            raise InputError(
                f"{timeline.video.source.name}: not even {timeline.shortest_s:g} s of the video "
                f"and an answer of {max_tokens} tokens fit the context of "
                f"{model.engine.context_length} tokens; lower the number of tokens, or prune frames"
            )


def _in_one(
    model: NanoVL, timeline: Timeline, frames: int, bullets: int, asking: Mapping[str, Any]
) -> Summary:
    prompt = _WHOLE.format(speech=_speech(timeline), count=bullets)
    parts: list[Part] = list(timeline.parts(None, frames))
    last = math.floor(timeline.told(timeline.duration_s))
    moment = _moment({"type": "integer", "minimum": 0, "maximum": last})
    question = Question(
        prompt=prompt, files=parts, schema=_summary_schema(moment, bullets), about="the summary"
    )
    answer = ask(model, question, **asking)
    found = tuple(_read_bullets(answer["bullets"], timeline, None))
    summary = Summary(
        overview=" ".join(answer["overview"].split()),
        bullets=found,
        duration_s=timeline.duration_s,
    )
    return _continued(summary, [*parts, TextPart(text=prompt)])


def _reduced(
    model: NanoVL,
    timeline: Timeline,
    notes: Sequence[Bullet],
    parts: int,
    bullets: int,
    asking: Mapping[str, Any],
) -> Summary:
    """One summary of many notes; in rounds, where not all of them fit a prompt."""
    left = sorted(notes, key=lambda n: n.seconds)
    while True:
        prompt = _reduce_prompt(timeline, left, bullets)
        if fits(model, prompt, (), asking["max_tokens"]):
            break
        size = len(left)
        while size > bullets and not fits(
            model, _reduce_prompt(timeline, left[:size], bullets), (), asking["max_tokens"]
        ):
            size = size * 3 // 4
        if size <= bullets:
            raise InputError(
                f"{timeline.video.source.name}: its notes do not fit the context of "
                f"{model.engine.context_length} tokens; lower the number of tokens"
            )
        groups = [left[i : i + size] for i in range(0, len(left), size)]
        answers = ask_each(
            model,
            [_reduce_question(timeline, group, bullets) for group in groups],
            name="condense",
            unit="groups",
            **asking,
        )
        left = [b for g, a in zip(groups, answers, strict=True) for b in _chosen(a["bullets"], g)]
    answer = ask(model, _reduce_question(timeline, left, bullets), **asking)
    summary = Summary(
        overview=" ".join(answer["overview"].split()),
        bullets=tuple(_chosen(answer["bullets"], left)),
        notes=tuple(sorted(notes, key=lambda n: n.seconds)),
        parts=parts,
        duration_s=timeline.duration_s,
    )
    return _continued(summary, [TextPart(text=prompt)])


def _continued(summary: Summary, parts: Sequence[Part]) -> Summary:
    """With what was asked and answered, so that questions can follow."""
    messages = (
        Message(role="user", parts=tuple(parts)),
        Message.text("assistant", summary.markdown),
    )
    return Summary(**{**vars(summary), "conversation": messages})


# --- prompts and schemas ------------------------------------------------------------------------


def _speech(timeline: Timeline) -> str:
    return " and what is said in it" if timeline.transcript else ""


def _part_prompt(timeline: Timeline, spans: Sequence[Span], index: int, bullets: int) -> str:
    span = spans[index]
    return _PART.format(
        number=index + 1,
        parts=len(spans),
        start=timeline.told(span.start_s),
        end=timeline.told(span.end_s),
        speech=", with what is said in it" if timeline.transcript else "",
        count=bullets,
    )


def _reduce_prompt(timeline: Timeline, notes: Sequence[Bullet], bullets: int) -> str:
    lines = "\n".join(f"{round(note.seconds)} s: {note.text}" for note in notes)
    return _REDUCE.format(length=clock_text(timeline.duration_s), notes=lines, count=bullets)


def _reduce_question(timeline: Timeline, notes: Sequence[Bullet], bullets: int) -> Question:
    times = sorted({round(note.seconds) for note in notes})
    schema = _summary_schema(_moment({"enum": times}), bullets)
    return Question(
        prompt=_reduce_prompt(timeline, notes, bullets), schema=schema, about="the summary"
    )


def _moment(seconds: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"seconds": dict(seconds), "text": {"type": "string", "minLength": 1}},
        "required": ["seconds", "text"],
        "additionalProperties": False,
    }


def _notes_schema(timeline: Timeline, span: Span, count: int) -> dict[str, Any]:
    first = math.floor(timeline.told(span.start_s))
    last = max(first, math.floor(timeline.told(span.end_s)))
    moment = _moment({"type": "integer", "minimum": first, "maximum": last})
    notes = {"type": "array", "items": moment, "minItems": 1, "maxItems": count}
    return {
        "type": "object",
        "properties": {"notes": notes},
        "required": ["notes"],
        "additionalProperties": False,
    }


def _summary_schema(moment: Mapping[str, Any], count: int) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "overview": {"type": "string", "minLength": 1},
            "bullets": {"type": "array", "items": moment, "minItems": count, "maxItems": count},
        },
        "required": ["overview", "bullets"],
        "additionalProperties": False,
    }


# --- answers ------------------------------------------------------------------------------------


def _read_bullets(
    rows: Sequence[Mapping[str, Any]], timeline: Timeline, span: Span | None
) -> list[Bullet]:
    """Bullets in true time and in its order; what is said twice is kept once."""
    return _distinct(
        Bullet(seconds=timeline.true(row["seconds"], span), text=_line(row["text"])) for row in rows
    )


def _chosen(rows: Sequence[Mapping[str, Any]], notes: Sequence[Bullet]) -> list[Bullet]:
    """Bullets with the exact times of the notes they name."""
    exact = {round(note.seconds): note.seconds for note in reversed(notes)}
    return _distinct(Bullet(seconds=exact[r["seconds"]], text=_line(r["text"])) for r in rows)


def _distinct(bullets: Any) -> list[Bullet]:
    kept: dict[str, Bullet] = {}
    for bullet in sorted(bullets, key=lambda b: b.seconds):
        if bullet.text:
            kept.setdefault(bullet.text.casefold(), bullet)
    return list(kept.values())


def _line(text: str) -> str:
    return " ".join(text.split())
