"""Which words pick out one element of a screen and no other.

Five ways: by text, icon, position, function and relation. A phrase is only used when no other
visible element fits it, whether or not that one could be asked for. Must not ask questions.

Source: data synthesis specification, sections 8 (five phrasings, unique referent) and 19.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nanovl.synth.browser import Element
from nanovl.synth.screens.icons import ICONS
from nanovl.synth.screens.ui import Mark

__all__ = ["Item", "phrases", "visible_items"]

_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth",
             "tenth")  # fmt: skip


@dataclass(frozen=True)
class Item:
    """An element of a screen: what is known about it and where it is."""

    mark: Mark
    element: Element

    @property
    def can_be_asked(self) -> bool:
        """Whether it is shown well enough."""
        return self.element.can_be_asked and not self.element.truncated


def visible_items(marks: Mapping[str, Mark], elements: Sequence[Element]) -> list[Item]:
    """Elements of which at least a part is displayed, in document order."""
    return [Item(marks[e.key], e) for e in elements if e.visible and e.key in marks]


def phrases(item: Item, items: Sequence[Item]) -> dict[str, str]:
    """Ways to say which element is meant, by kind; each fits this element only.

    Args:
        item: One of `items`.
        items: Everything visible.
    """
    mark = item.mark
    found: dict[str, str] = {}
    nouns = Counter(i.mark.noun for i in items)
    names = Counter((i.mark.noun, i.mark.name.casefold()) for i in items)
    icons = Counter((i.mark.noun, i.mark.icon) for i in items)
    near = Counter((i.mark.noun, i.mark.name.casefold(), i.mark.near) for i in items)
    orders = Counter(i.mark.order.casefold() for i in items if i.mark.order)
    is_drawn = mark.noun == "icon button"
    safe = '"' not in mark.name and bool(mark.name)
    if safe and not is_drawn and names[mark.noun, mark.name.casefold()] == 1:
        found["text"] = f'the {mark.noun} "{mark.name}"'
    elif safe and not is_drawn and mark.near and near[_near(mark)] == 1:
        found["relation"] = f'the {mark.noun} "{mark.name}" {mark.near}'
    if is_drawn and icons[mark.noun, mark.icon] == 1:
        found["icon"] = f"the {mark.noun} with the {ICONS[mark.icon][0]}"
    elif is_drawn and mark.near and near[_near(mark)] == 1:
        found["relation"] = f"the {mark.noun} with the {ICONS[mark.icon][0]} {mark.near}"
    if mark.order and orders[mark.order.casefold()] == 1:
        found["function"] = f"the {mark.noun} to {mark.order}"
    if nouns[mark.noun] == 1:
        found["kind"] = f"the only {mark.noun}"
    position = _position(item, items)
    if position:
        found["position"] = position
    return found


def _near(mark: Mark) -> tuple[str, str, str]:
    return mark.noun, mark.name.casefold(), mark.near


def _position(item: Item, items: Sequence[Item]) -> str:
    """ "the second tab from the left", if all of its kind stand in one row or column."""
    mark = item.mark
    alike = [i for i in items if i.mark.noun == mark.noun]
    if not mark.group or not 2 <= len(alike) <= len(_ORDINALS):
        return ""
    if any(i.mark.group != mark.group or not i.can_be_asked for i in alike):
        return ""
    boxes = [i.element.box for i in alike]
    middles = [((b[0] + b[2]) / 2, (b[1] + b[3]) / 2) for b in boxes]
    high = min(b[3] - b[1] for b in boxes)
    wide = min(b[2] - b[0] for b in boxes)
    place = alike.index(item)
    if statistics.pstdev(y for _, y in middles) < 0.2 * high:
        rank = sorted(range(len(alike)), key=lambda k: middles[k][0]).index(place)
        return f"the {_ORDINALS[rank]} {mark.noun} from the left"
    if statistics.pstdev(x for x, _ in middles) < 0.2 * wide:
        rank = sorted(range(len(alike)), key=lambda k: middles[k][1]).index(place)
        return f"the {_ORDINALS[rank]} {mark.noun} from the top"
    return ""
