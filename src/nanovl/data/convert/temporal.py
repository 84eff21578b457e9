"""Questions about when something happens in a video, and what happens when.

Times are seconds of the original video, rounded to 0.1 s. The exact forms:

* localisation: all spans of a label, sorted, comma separated, or "not present" for a label of
  another video (10 to 20 % of these questions);
* reverse localisation: the label between two times, asked where only one label fits;
* grounding: the one span of a sentence;
* dense captioning: a line `mm:ss-mm:ss text` per event.

Source: training specification, section 10.2.
"""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from nanovl.data.convert.base import ConvertOptions, Item, Malformed, Turn
from nanovl.data.convert.parts import NOT_PRESENT, negative_share
from nanovl.data.convert.templates import question, span, spans, timestamp

__all__ = [
    "TEMPORAL_OPTIONS",
    "Event",
    "as_pair",
    "clean_event",
    "dense_turn",
    "grounding_turns",
    "label_turns",
    "merged_spans",
    "pair",
    "sentence",
]

SLACK_S = 1.0  # annotated ends may lie this much behind the stated duration

TEMPORAL_OPTIONS = {
    "labels": "labels to localise per video (default 2)",
    "reverse": "segments to name per video (default 2)",
    "negatives": "percent of localisation questions about labels of other videos (default 15)",
}


@dataclass(frozen=True, order=True)
class Event:
    """Something that happens from `start` to `end`, in seconds."""

    start: float
    end: float
    text: str


def clean_event(
    start: float, end: float, text: str, *, name: str, duration: float | None = None
) -> Event:
    """An annotated segment with rounded times inside the video.

    Args:
        start, end: Seconds.
        text: Label or sentence.
        name: The field, for messages.
        duration: Length of the video in seconds; an end less than a second behind it is cut.

    Raises:
        Malformed: The times are not a span inside the video, or the text is blank.
    """
    shown = f"{start:g} to {end:g} s"
    if not (math.isfinite(start) and math.isfinite(end)) or start < 0:
        raise Malformed("bad_span", f"{name}: {shown}, expected finite times >= 0")
    if duration is not None and end > duration:
        if end > duration + SLACK_S:
            raise Malformed("bad_span", f"{name}: {shown} in a video of {duration:g} s")
        end = duration
    first, last = _tenths(start), _tenths(end)
    if first >= last:
        raise Malformed("bad_span", f"{name}: {shown}, expected the start before the end")
    text = " ".join(text.split())
    if not text:
        raise Malformed("empty", f"{name}: the text is blank")
    return Event(first / 10, last / 10, text)


def _tenths(seconds: float) -> int:
    return int(seconds * 10 + 0.5)


def pair(item: Item, key: str) -> tuple[float, float]:
    """A field `[start, end]`.

    Raises:
        Malformed: Not two numbers.
    """
    return as_pair(item.items(key), item.name(key))


def as_pair(value: object, name: str) -> tuple[float, float]:
    """Two numbers out of a decoded list."""
    if isinstance(value, list) and len(value) == 2:
        numbers = [v for v in value if isinstance(v, (int, float)) and not isinstance(v, bool)]
        if len(numbers) == 2:
            return float(numbers[0]), float(numbers[1])
    raise Malformed("bad_span", f"{name}: got {value!r}, expected [start, end] in seconds")


def merged_spans(events: Iterable[Event]) -> list[tuple[float, float]]:
    """Sorted spans; those that touch or overlap become one."""
    found: list[tuple[float, float]] = []
    for event in sorted(events):
        if found and event.start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], event.end))
        else:
            found.append((event.start, event.end))
    return found


def label_turns(
    events: Sequence[Event],
    others: Sequence[str],
    draw: random.Random,
    options: ConvertOptions,
    *,
    incomplete: Collection[str] = (),
) -> list[Turn]:
    """Localisation and reverse localisation of labelled segments.

    Args:
        events: Segments of one video, all that there are; the text is the label.
        others: Labels to ask about in vain; those of this video are left out.
        draw: The generator of the record.
        options: `labels` and `reverse` bound the questions of either direction; `negatives` is
            the share, in percent, of localisation questions whose label does not occur.
        incomplete: Labels that have spans besides these; nothing is said about where they are.
    """
    present = sorted({e.text for e in events} - set(incomplete))
    share = negative_share(options)
    chosen = draw.sample(present, min(options.integer("labels", 2, least=0), len(present)))
    answers = [(k, spans(merged_spans(e for e in events if e.text == k))) for k in chosen]
    known = {label.casefold() for label in (*present, *incomplete)}
    pool = [label for label in sorted(set(others)) if label.casefold() not in known]
    # Every positive question brings a negative one with the odds that give the wanted share.
    wanted = sum(draw.random() < share / (1 - share) for _ in chosen)
    answers += [(k, NOT_PRESENT) for k in draw.sample(pool, min(wanted, len(pool)))]
    turns = [
        Turn(
            question=question("temporal_localisation", draw, label=f'"{label}"'),
            answer=answer,
            task="temporal_localisation",
            key=f"when-{index}",
        )
        for index, (label, answer) in enumerate(answers)
    ]
    return turns + _reverse(events, draw, options.integer("reverse", 2, least=0))


def _reverse(events: Sequence[Event], draw: random.Random, bound: int) -> list[Turn]:
    clear = [e for e in sorted(set(events)) if not _shared(e, events)]
    return [
        Turn(
            question=question(
                "reverse_localisation",
                draw,
                start=timestamp(event.start),
                end=timestamp(event.end),
            ),
            answer=event.text,
            task="reverse_localisation",
            key=f"what-{index}",
        )
        for index, event in enumerate(draw.sample(clear, min(bound, len(clear))))
    ]


def _shared(event: Event, events: Sequence[Event]) -> bool:
    """Whether another label also fills more than half of the span."""
    return any(
        other.text != event.text
        and min(event.end, other.end) - max(event.start, other.start)
        > (event.end - event.start) / 2
        for other in events
    )


def grounding_turns(events: Sequence[Event], draw: random.Random, bound: int) -> list[Turn]:
    """When does this happen: sentences that occur once in the video, at most `bound`."""
    texts = [e.text.casefold() for e in events]
    unique = [e for e in sorted(events) if texts.count(e.text.casefold()) == 1]
    chosen = sorted(draw.sample(unique, min(bound, len(unique))))
    return [
        Turn(
            question=question("temporal_grounding", draw, sentence=sentence(event.text)),
            answer=span(event.start, event.end),
            task="temporal_grounding",
            key=f"ground-{index}",
        )
        for index, event in enumerate(chosen)
    ]


def dense_turn(events: Sequence[Event], draw: random.Random) -> Turn:
    """All events in order, a line each."""
    lines = [f"{span(e.start, e.end)} {e.text}" for e in sorted(events)]
    return Turn(
        question=question("dense_captioning", draw),
        answer="\n".join(lines),
        task="dense_captioning",
        key="dense",
    )


def sentence(text: str) -> str:
    """A description that can stand before another sentence: it ends in a full stop."""
    return text if text[-1:] in ".!?" else f"{text}."
