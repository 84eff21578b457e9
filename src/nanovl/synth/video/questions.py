"""The questions of clips of moving objects by name.

Source: data synthesis specification, section 10.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from nanovl.synth.base import Task
from nanovl.synth.video.eventasks import (
    after,
    caption,
    classification,
    count,
    dense,
    first,
    grounding,
    localisation,
    longer,
    repetitions,
    reverse,
)
from nanovl.synth.video.lookasks import box_at, color_at, place_at, turns_into, unmoved, visible_at
from nanovl.synth.video.stage import Stage

__all__ = ["BUILDERS"]

Builder = Callable[[Stage, random.Random], Task | None]
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
