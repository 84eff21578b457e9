"""Subtitles: cues in order of time, written as SRT, VTT or JSON and read from SRT and VTT.

What is written can be read by any player whatever the texts hold: times rise, nothing overlaps, no
text ends a cue early or opens markup.

Source: W3C WebVTT (cue text and timestamps); the SubRip convention.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from nanovl.core.conversation import TranscriptSegment
from nanovl.core.errors import InputError

__all__ = ["FORMATS", "Cue", "ordered", "read_subtitles", "to_json", "to_srt", "to_vtt"]

FORMATS = ("srt", "vtt", "json")
_TIME = r"(?:(\d{1,4}):)?(\d{1,2}):(\d{2})[.,](\d{1,3})"
_TIMING = re.compile(rf"^\s*{_TIME}\s*-->\s*{_TIME}(?:\s.*)?$")
_TAG = re.compile(r"<[^<>]*>|\{\\[^{}]*\}")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True, kw_only=True)
class Cue:
    """A text and when it is shown, in seconds."""

    start_s: float
    end_s: float
    text: str


def ordered(cues: Iterable[Cue]) -> list[Cue]:
    """Cues as a file may hold them.

    In order of time, whole milliseconds, none empty in time or text; a cue that reaches into the
    next one ends where that begins.
    """
    found: list[Cue] = []
    for cue in sorted(cues, key=lambda c: (c.start_s, c.end_s)):
        text = " ".join(_CONTROL.sub(" ", cue.text).split())
        start, end = _milliseconds(cue.start_s), _milliseconds(cue.end_s)
        if text and end > start:
            found.append(Cue(start_s=start / 1000, end_s=end / 1000, text=text))
    for index, after in enumerate(found[1:]):
        if found[index].end_s > after.start_s:
            found[index] = replace(found[index], end_s=after.start_s)
    return [cue for cue in found if cue.end_s > cue.start_s]


def _milliseconds(seconds: float) -> int:
    return max(0, round(seconds * 1000))


def to_srt(cues: Iterable[Cue]) -> str:
    """A SubRip file. It has no escapes, so arrows and angle brackets become look-alikes."""
    blocks = []
    for number, cue in enumerate(ordered(cues), start=1):
        text = cue.text.replace("-->", "\u2192").replace("<", "\u2039").replace(">", "\u203a")
        times = f"{_stamp(cue.start_s, ',')} --> {_stamp(cue.end_s, ',')}"
        blocks.append(f"{number}\n{times}\n{text}\n")
    return "\n".join(blocks)


def to_vtt(cues: Iterable[Cue]) -> str:
    """A WebVTT file."""
    blocks = ["WEBVTT\n"]
    for cue in ordered(cues):
        text = html.escape(cue.text, quote=False)
        blocks.append(f"{_stamp(cue.start_s, '.')} --> {_stamp(cue.end_s, '.')}\n{text}\n")
    return "\n".join(blocks)


def to_json(cues: Iterable[Cue]) -> str:
    """A list of objects with start_s, end_s and text."""
    rows = [{"start_s": c.start_s, "end_s": c.end_s, "text": c.text} for c in ordered(cues)]
    return json.dumps(rows, indent=1, ensure_ascii=False) + "\n"


def _stamp(seconds: float, mark: str) -> str:
    whole = _milliseconds(seconds)
    hours, rest = divmod(whole, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{mark}{rest % 1000:03}"


def read_subtitles(text: str, name: str = "subtitles") -> list[TranscriptSegment]:
    """What a SubRip or WebVTT file says.

    Automatic captions repeat the line before while they roll; the repetition is left out.

    Args:
        text: The file.
        name: What to call it in messages.

    Raises:
        InputError: Not one cue is in it.
    """
    found: list[TranscriptSegment] = []
    before: list[str] = []
    for block in re.split(r"\n[ \t]*\n", text.replace("\r\n", "\n").replace("\r", "\n")):
        lines = block.strip("\n\ufeff").split("\n")
        at = next((i for i, line in enumerate(lines[:3]) if _TIMING.match(line)), None)
        if at is None:
            continue
        match = _TIMING.match(lines[at])
        assert match is not None
        start, end = _seconds(match.groups()[:4]), _seconds(match.groups()[4:])
        said = [html.unescape(_TAG.sub("", line)) for line in lines[at + 1 :]]
        said = [s for s in (" ".join(_CONTROL.sub(" ", line).split()) for line in said) if s]
        new = _without_rolled(before, said)
        before = said or before
        if new and end > start:
            found.append(TranscriptSegment(start_s=start, end_s=end, text=" ".join(new)))
    if not found:
        raise InputError(f"{name}: no cue in it; expected SubRip (.srt) or WebVTT (.vtt) text")
    return found


def _without_rolled(before: Sequence[str], said: Sequence[str]) -> Sequence[str]:
    """The lines that were not on the screen already."""
    for count in range(min(len(before), len(said)), 0, -1):
        if list(before[-count:]) == list(said[:count]):
            return said[count:]
    return said


def _seconds(groups: Sequence[str | None]) -> float:
    hours, minutes, seconds, fraction = groups
    whole = int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds or 0)
    return whole + int((fraction or "0").ljust(3, "0")) / 1000
