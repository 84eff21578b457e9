"""Dense captions: one sentence for every part of a video, as subtitle cues.

Parts are of equal length, or lie between the cuts of the film. Writing files is `subtitles`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from nanovl.apps.asking import Question, ask_each
from nanovl.apps.cuts import scenes
from nanovl.apps.subtitles import Cue, ordered
from nanovl.apps.timeline import Span, Timeline
from nanovl.core.errors import ConfigError, InputError
from nanovl.core.events import OnEvent, ignore_event

if TYPE_CHECKING:
    from nanovl.engine.vlm import NanoVL

__all__ = ["caption", "even_spans"]

EVERY_S = 5.0
FRAMES = 8
_PROMPT = """\
These frames are a part of a video{speech}. Describe in one plain sentence what can be seen and \
what happens in this part. Do not mention frames or times."""
_SCHEMA = {
    "type": "object",
    "properties": {"caption": {"type": "string", "minLength": 1}},
    "required": ["caption"],
    "additionalProperties": False,
}


def caption(
    model: NanoVL,
    timeline: Timeline,
    *,
    every_s: float | None = EVERY_S,
    frames: int = FRAMES,
    max_tokens: int = 128,
    on_event: OnEvent = ignore_event,
    **options: Any,
) -> list[Cue]:
    """Describe every part of a video.

    Args:
        model: Who looks.
        timeline: The video and what is said in it, from `open_video`.
        every_s: Length of the parts; None divides at the cuts of the film.
        frames: Frames seen of every part at most.
        max_tokens: Longest caption.
        on_event: Told about the progress.
        **options: Further arguments of `NanoVL.chat`.

    Returns:
        Cues in order of time; neighbours that say the same are one.

    Raises:
        InputError: The video cannot be used.
        ConfigError: A length or number that is not above 0.
        NanoVLError: The model does not bring its answer to an end.
    """
    if frames < 1:
        raise ConfigError(f"frames {frames}: expected at least 1")
    if timeline.duration_s <= 0:
        raise InputError(
            f"{timeline.video.source.name}: its length is unknown, so captions have no times; "
            "convert it to another container, such as MP4"
        )
    if every_s is None:
        spans = scenes(timeline, model.processor.limits)
    else:
        spans = even_spans(timeline, every_s)
    prompt = _PROMPT.format(speech=", with what is said in it" if timeline.transcript else "")
    questions = [
        Question(
            prompt=prompt,
            files=timeline.parts(span if len(spans) > 1 else None, frames),
            schema=_SCHEMA,
            about=f"part {index + 1} of {len(spans)}",
        )
        for index, span in enumerate(spans)
    ]
    answers = ask_each(
        model,
        questions,
        max_tokens=max_tokens,
        on_event=on_event,
        name="caption",
        unit="parts",
        **options,
    )
    cues: list[Cue] = []
    for span, answer in zip(spans, answers, strict=True):
        text = " ".join(answer["caption"].split())
        if cues and text.casefold() == cues[-1].text.casefold():
            cues[-1] = Cue(start_s=cues[-1].start_s, end_s=span.end_s, text=text)
        else:
            cues.append(Cue(start_s=span.start_s, end_s=span.end_s, text=text))
    return ordered(cues)


def even_spans(timeline: Timeline, every_s: float) -> list[Span]:
    """Parts of a length; the last one takes what is left, a rest too short for a frame included.

    Raises:
        ConfigError: The length is not above 0, or below what holds a frame.
    """
    if not every_s > 0 or every_s < min(timeline.shortest_s, timeline.duration_s):
        raise ConfigError(
            f"parts of {every_s:g} s: expected at least "
            f"{min(timeline.shortest_s, timeline.duration_s):g} s for this video"
        )
    count = max(1, math.ceil(timeline.duration_s / every_s))
    if count > 1 and timeline.duration_s - (count - 1) * every_s < timeline.shortest_s:
        count -= 1
    edges = [i * every_s for i in range(count)] + [timeline.duration_s]
    return [Span(start_s=edges[i], end_s=edges[i + 1]) for i in range(count)]
