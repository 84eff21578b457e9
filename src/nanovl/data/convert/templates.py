"""Questions in many wordings, and how boxes, quads, times and options are written.

The wordings themselves are plain tuples in `nanovl.data.convert.banks`. Which one a record gets
is drawn from the record's own generator, and the record keeps the template's id, so that a sample
can be traced back to its wording.

Boxes: `<ref>phrase</ref><box>(x1,y1),(x2,y2)</box>` with integers 0 to 1000 relative to the width
and height of the whole picture; four points in `<quad>` likewise. Times: `mm:ss`, rounded to 0.1 s
and with the tenth only when it is not zero; spans as `start-end`.

Source: training specification, section 10.2; design decision D15. The wordings are our own.
"""

from __future__ import annotations

import random
import string
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from nanovl.core.config import nearest
from nanovl.core.errors import ConfigError
from nanovl.data.convert.banks import BANKS

__all__ = [
    "Question",
    "box",
    "choose_letters",
    "grounded",
    "grounded_quad",
    "kinds",
    "letters",
    "literal",
    "options_text",
    "quad",
    "question",
    "scale_box",
    "scale_point",
    "span",
    "spans",
    "timestamp",
]

BOX_RANGE = 1000  # coordinates are integers 0..1000


class Question(NamedTuple):
    """What the user says.

    Attributes:
        text: The wording with its slots filled.
        template: "kind/index" of the wording, "" for a question taken from a source as it is.
    """

    text: str
    template: str = ""


def kinds() -> tuple[str, ...]:
    """Names of all template kinds."""
    return tuple(sorted(BANKS))


def question(kind: str, rng: random.Random, **slots: str) -> Question:
    """One of the wordings of a kind, drawn from `rng`, with its slots filled.

    Args:
        kind: A key of the template banks.
        rng: The generator of the record.
        slots: A text for every slot of the kind; they are inserted verbatim.

    Raises:
        ConfigError: There is no such kind, or a slot is missing or unknown.
    """
    if kind not in BANKS:
        raise ConfigError(f"template kind {kind!r} does not exist{nearest(kind, BANKS)}")
    index = rng.randrange(len(BANKS[kind]))
    wording = BANKS[kind][index]
    wanted = slot_names(wording)
    if wanted != set(slots):
        raise ConfigError(
            f"template {kind}/{index} has the slots {sorted(wanted)}, got {sorted(slots)}"
        )
    return Question(wording.format(**slots), f"{kind}/{index}")


def slot_names(wording: str) -> set[str]:
    """The names in braces of one wording."""
    return {name for _, name, _, _ in string.Formatter().parse(wording) if name is not None}


def literal(text: str) -> Question:
    """A question that stays as the source wrote it."""
    return Question(text)


def letters(count: int) -> tuple[str, ...]:
    """The first letters of the alphabet, as many as there are options."""
    if not 1 <= count <= len(string.ascii_uppercase):
        raise ConfigError(f"{count} options: expected 1 to {len(string.ascii_uppercase)}")
    return tuple(string.ascii_uppercase[:count])


def options_text(options: Sequence[str]) -> str:
    """Lettered options, one a line."""
    pairs = zip(letters(len(options)), options, strict=True)
    return "\n".join(f"{letter}. {option}" for letter, option in pairs)


def choose_letters(
    answer: str, negatives: Iterable[str], rng: random.Random, *, least: int = 3, most: int = 7
) -> tuple[str, str] | None:
    """Make a closed question out of a label and its siblings.

    Args:
        answer: The true label.
        negatives: Labels to draw the wrong options from; the answer and repetitions of a label
            (whatever the case) are left out.
        rng: The generator of the record.
        least, most: Bounds of the number of wrong options (3 to 7 in the specification).

    Returns:
        The lettered options as text and the letter of the answer, or None when there are fewer
        than `least` different negatives.
    """
    pool = {n.casefold(): n for n in sorted(negatives)}
    pool.pop(answer.casefold(), None)
    if len(pool) < least:
        return None
    count = rng.randint(least, min(most, len(pool)))
    shown = [pool[key] for key in rng.sample(sorted(pool), count)]
    place = rng.randrange(count + 1)
    shown.insert(place, answer)
    return options_text(shown), letters(len(shown))[place]


def scale_point(x: float, y: float, width: float, height: float) -> tuple[int, int]:
    """A point in pixels as integers 0 to 1000 (half up), kept inside the picture."""
    return _scale(x, width), _scale(y, height)


def scale_box(corners: Sequence[float], width: float, height: float) -> tuple[int, int, int, int]:
    """A box `(x1, y1, x2, y2)` in pixels as integers 0 to 1000, top left corner first."""
    x1, y1, x2, y2 = corners
    left, top = scale_point(min(x1, x2), min(y1, y2), width, height)
    right, bottom = scale_point(max(x1, x2), max(y1, y2), width, height)
    return left, top, right, bottom


def _scale(value: float, size: float) -> int:
    if size <= 0:
        raise ConfigError(f"cannot scale a coordinate to a picture of size {size}")
    return min(BOX_RANGE, max(0, int(value * BOX_RANGE / size + 0.5)))


def box(corners: Sequence[int]) -> str:
    """`<box>(x1,y1),(x2,y2)</box>` of coordinates 0 to 1000."""
    x1, y1, x2, y2 = corners
    return f"<box>({x1},{y1}),({x2},{y2})</box>"


def quad(points: Sequence[tuple[int, int]]) -> str:
    """`<quad>(x1,y1),(x2,y2),(x3,y3),(x4,y4)</quad>`, clockwise from the top left."""
    if len(points) != 4:
        raise ConfigError(f"a quad has 4 points, got {len(points)}")
    return "<quad>" + ",".join(f"({x},{y})" for x, y in points) + "</quad>"


def grounded(phrase: str, boxes: Iterable[Sequence[int]]) -> str:
    """A phrase and the boxes it stands for: `<ref>phrase</ref><box>...</box><box>...</box>`."""
    return f"<ref>{phrase}</ref>" + "".join(box(b) for b in boxes)


def grounded_quad(phrase: str, quads: Iterable[Sequence[tuple[int, int]]]) -> str:
    """A phrase and its quadrilaterals."""
    return f"<ref>{phrase}</ref>" + "".join(quad(q) for q in quads)


def timestamp(seconds: float) -> str:
    """A time as `mm:ss`, or `mm:ss.t` when the tenth of a second is not zero.

    Args:
        seconds: From the start of the original video, not negative; an hour is 60 minutes more.
    """
    if not 0 <= seconds < float("inf"):
        raise ConfigError(f"time {seconds} s: expected a number of seconds >= 0")
    tenths = int(seconds * 10 + 0.5)
    minutes, rest = divmod(tenths, 600)
    whole, tenth = divmod(rest, 10)
    return f"{minutes:02d}:{whole:02d}" + (f".{tenth}" if tenth else "")


def span(start: float, end: float) -> str:
    """A time span in seconds as `mm:ss-mm:ss`."""
    return f"{timestamp(start)}-{timestamp(end)}"


def spans(pairs: Iterable[tuple[float, float]]) -> str:
    """Time spans in order, comma separated."""
    return ", ".join(span(start, end) for start, end in sorted(pairs))
