"""What a family of documents is.

Source: data synthesis specification, section 9.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nanovl.synth.business.model import Draft
from nanovl.synth.business.nodes import Node
from nanovl.synth.business.parts import Kit

__all__ = ["A4", "Family", "Paper"]

A4 = (794, 1123)  # CSS pixels at 96 dpi


@dataclass(frozen=True, kw_only=True)
class Paper:
    """A page before it is drawn.

    Attributes:
        root: What is on it.
        width: In CSS pixels.
        height: At least, in CSS pixels; 0 for as tall as needed.
        pad: Margins right and left, top and bottom.
        zoom: Size of text over that of the theme.
    """

    root: Node
    width: int = A4[0]
    height: int = 0
    pad: tuple[float, float] = (52.0, 48.0)
    zoom: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Family:
    """A family of documents.

    Attributes:
        name: Key.
        english: In questions ("a purchase order").
        templates: Names of its layouts.
        make: Fills the draft and lays it out by a template.
        by_hand: Whether it may be filled in by hand.
    """

    name: str
    english: str
    templates: tuple[str, ...]
    make: Callable[[Draft, Kit, str], Paper]
    by_hand: bool = False
