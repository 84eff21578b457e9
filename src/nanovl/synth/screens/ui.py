"""Controls of a user interface: how they are written as HTML, and what is known about them.

Every control that can be asked about becomes a `Mark` under a key; facts about the content become
`Fact`s with the keys of what shows them. Where things are is not known here. Must not know families
of screens.

Source: data synthesis specification, section 8 (component library, states).
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nanovl.synth.screens.dom import Child, Node, Raw, h
from nanovl.synth.screens.icons import ICONS, icon
from nanovl.synth.screens.theme import Theme
from nanovl.synth.screens.words import Vocabulary

__all__ = ["NOUNS", "Fact", "Mark", "Ui"]

NOUNS = {
    "button": "button",
    "checkbox": "check box",
    "combobox": "drop-down list",
    "heading": "heading",
    "image": "picture",
    "link": "link",
    "menuitem": "menu item",
    "option": "entry",
    "radio": "radio button",
    "searchbox": "search field",
    "slider": "slider",
    "switch": "switch",
    "tab": "tab",
    "text": "text",
    "textbox": "text field",
}


@dataclass(frozen=True, kw_only=True)
class Mark:
    """What is known about an element.

    Attributes:
        key: Its `data-gt`.
        role: Accessibility role.
        noun: What people call it.
        name: Accessible name: its text, or its label.
        icon: Name of its icon, "" without one.
        order: What clicking it does, as a command without a full stop; "" if nothing special.
        near: Where it is in words ('in the row of "Lamp"'); "" without.
        group: Elements of a group stand in a row or column and can be counted.
        place: Number in the group, from 0.
        state: Such as checked, disabled, selected, focused, value.
        is_control: Whether one can act on it.
    """

    key: str
    role: str
    noun: str
    name: str = ""
    icon: str = ""
    order: str = ""
    near: str = ""
    group: str = ""
    place: int = 0
    state: Mapping[str, Any] = field(default_factory=dict)
    is_control: bool = True


@dataclass(frozen=True, kw_only=True)
class Fact:
    """Something the screen says.

    Attributes:
        kind: "value" (what is ...), "count" (how many ...), "which" (which ... is ...) or "state"
            (is ... so).
        what: The thing, worded for its kind.
        how: Of "which" and "state": the rest of the sentence.
        answer: Text, number or truth.
        keys: Elements that must be visible for it to be asked.
    """

    kind: str
    what: str
    how: str = ""
    answer: Any
    keys: tuple[str, ...]


class Ui:
    """Builds one screen.

    Args:
        vocabulary: Texts.
        rng: The generator of the stream "layout".
        theme: Looks.
        changed: States by key that differ from what is drawn (for screens after an action).
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        rng: random.Random,
        theme: Theme,
        changed: Mapping[str, Any] | None = None,
    ) -> None:
        self.say = vocabulary
        self.t = vocabulary.t
        self.rng = rng
        self.theme = theme
        self.changed = dict(changed or {})
        self.marks: dict[str, Mark] = {}
        self.facts: list[Fact] = []
        self.about: list[str] = []  # sentences of the caption
        self._count = 0

    # -- Book-keeping ----------------------------------------------------------------------------

    def key(self) -> str:
        """The next key."""
        self._count += 1
        return f"e{self._count}"

    def now(self, key: str, drawn: Any) -> Any:
        """A state as it is after the action, if it was the object of one."""
        return self.changed.get(key, drawn)

    def mark(self, role: str, name: str = "", *, key: str = "", **known: Any) -> dict[str, str]:
        """Note an element; returns its attributes. `known` as in `Mark`."""
        key = key or self.key()
        known.setdefault("noun", NOUNS.get(role, role))
        found = Mark(key=key, role=role, name=name, **known)
        self.marks[key] = found
        return {"data-gt": key, "data-role": role}

    def fact(self, kind: str, what: str, answer: Any, *keys: str, how: str = "") -> None:
        """Note what the screen says."""
        self.facts.append(Fact(kind=kind, what=what, how=how, answer=answer, keys=keys))

    def shown(
        self, text: str, cls: str = "", tag: str = "div", style: str = ""
    ) -> tuple[Node, str]:
        """A text that shows a fact, and its key."""
        key = self.key()
        mark = self.mark("text", text, key=key, is_control=False)
        return h(tag, text, cls=cls, style=style, mark=mark), key

    # -- Texts and pictures ----------------------------------------------------------------------

    def heading(self, text: str, level: int = 1) -> Node:
        """A heading."""
        mark = self.mark("heading", text, is_control=False)
        return h(f"h{level}", text, mark=mark)

    def picture(self, label: str, style: str, number: int) -> Node:
        """A placeholder picture: two colours and simple shapes."""
        hue, other = number * 47 % 360, (number * 47 + 60 + number * 13 % 120) % 360
        art = Raw(
            '<svg viewBox="0 0 60 40" preserveAspectRatio="xMidYMid slice" width="100%" '
            f'height="100%" style="display:block"><rect width="60" height="40" '
            f'fill="hsl({hue},45%,72%)"/><circle cx="{10 + number * 7 % 40}" '
            f'cy="{8 + number % 12}" r="{4 + number % 5}" fill="hsl({other},70%,55%)"/>'
            f'<path d="M0 40L{12 + number % 20} {16 + number % 9}L{34 + number % 12} 40z" '
            f'fill="hsl({other},35%,42%)"/><path d="M20 40L46 {20 + number % 8}L60 34V40z" '
            f'fill="hsl({hue},40%,35%)"/></svg>'
        )
        mark = self.mark("image", label, is_control=False)
        kept = {"alt": label}
        return h("div", art, cls="pic", style=style, short="img", kept=kept, mark=mark)

    def avatar(self, name: str, size: int = 36) -> Node:
        """Initials on a coloured disc; decoration."""
        hue = sum(map(ord, name)) * 37 % 360
        letters = "".join(part[0] for part in name.split()[:2])
        style = f"width:{size}px;height:{size}px;background:hsl({hue},55%,38%)"
        style += f";font-size:{size * 0.38}px"
        return h("div", letters, cls="avatar", style=style, short=None)

    def badge(self, text: str, kind: str = "") -> Node:
        """A small label."""
        return h("span", text, cls=f"badge {kind}", short="span")

    # -- Buttons and links -----------------------------------------------------------------------

    def button(
        self,
        label: str,
        order: str,
        *,
        symbol: str = "",
        cls: str = "",
        near: str = "",
        group: str = "",
        place: int = 0,
        disabled: bool = False,
        role: str = "button",
        **state: Any,
    ) -> Node:
        """A button with a text."""
        drawn = {"disabled": disabled, **state}
        mark = self.mark(
            role, label, order=order, icon=symbol, near=near, group=group, place=place, state=drawn
        )
        look = f"btn {cls} {'off' if disabled else ''}".strip()
        kept = {"disabled": ""} if disabled else {}
        drawing = icon(symbol, self.theme.size + 3) if symbol else None
        return h("button", drawing, h("span", label), cls=look, mark=mark, kept=kept)

    def tool(
        self,
        symbol: str,
        name: str,
        order: str,
        *,
        near: str = "",
        group: str = "",
        place: int = 0,
        size: int = 18,
        cls: str = "",
        **state: Any,
    ) -> Node:
        """A button with an icon only."""
        mark = self.mark(
            "button",
            name,
            order=order,
            icon=symbol,
            near=near,
            group=group,
            place=place,
            state=state,
            noun="icon button",
        )
        kept = {"aria-label": name}
        drawing = icon(symbol, size)
        return h("button", drawing, cls=f"tool {cls}", mark=mark, kept=kept, aria_label=name)

    def link(self, label: str, order: str = "", *, near: str = "", cls: str = "") -> Node:
        """A link."""
        order = order or f'follow the link "{label}"'
        mark = self.mark("link", label, order=order, near=near)
        return h("a", label, cls=f"link {cls}", mark=mark)

    # -- Fields ----------------------------------------------------------------------------------

    def field(
        self,
        label: str,
        value: str = "",
        *,
        hint: str = "",
        role: str = "textbox",
        focused: bool = False,
        error: str = "",
        secret: bool = False,
        order: str = "",
        bare: bool = False,
        style: str = "",
    ) -> Node:
        """A text field with its label above, or without (`bare`: the hint is the label)."""
        key = self.key()
        value = str(self.now(key, value))
        state = {"value": value, "focused": focused, "invalid": bool(error)}
        order = order or f'click into the field "{label}"'
        mark = self.mark(role, label, key=key, order=order, state=state)
        shown = "\u2022" * len(value) if secret else value
        inner: Child | None = shown or (h("span", hint, cls="hint") if hint else None)
        look = f"field {'focus' if focused else ''} {'wrong' if error else ''}"
        kept = {"type": "password" if secret else "search" if role == "searchbox" else "text"}
        kept |= {"value": shown} if shown else {"placeholder": hint} if hint else {}
        box = Node(
            "div",
            {"class": look, **mark},
            [icon("search", 16)] * (role == "searchbox") + [inner or Raw("&nbsp;")],
            short="input",
            kept=kept,
        )
        if value and not secret:
            self.fact("value", f'the content of the field "{label}"', value, key)
        if not bare:
            self.fact("state", f'the field "{label}"', bool(value), key, how="filled in")
        if bare:
            box.attributes["style"] = style
            return box
        below = h("div", error, cls="error") if error else None
        return h("div", h("label", label), box, below, cls="labelled", style=style)

    def select(self, label: str, value: str, *, bare: bool = False, style: str = "") -> Node:
        """A closed drop-down list."""
        key = self.key()
        order = f'open the list "{label}"'
        mark = self.mark("combobox", label, key=key, order=order, state={"value": value})
        self.fact("value", f'the selected value of "{label}"', value, key)
        inner = h("span", value, short="option", kept={"selected": ""})
        box = h("div", inner, icon("down", 14), cls="field pick", mark=mark, short="select")
        if bare:
            box.attributes["style"] = style
            return box
        return h("div", h("label", label), box, cls="labelled", style=style)

    def tick(
        self,
        label: str,
        checked: bool,
        *,
        kind: str = "checkbox",
        disabled: bool = False,
        group: str = "",
        place: int = 0,
        text: bool = True,
        near: str = "",
        order: str = "",
    ) -> Node:
        """A check box, radio button or switch with its label."""
        key = self.key()
        checked = bool(self.now(key, checked))
        verb = {"checkbox": "tick" if not checked else "untick", "radio": "choose"}.get(
            kind, "turn off" if checked else "turn on"
        )
        mark = self.mark(
            kind,
            label,
            key=key,
            order=order or f'{verb} "{label}"',
            state={"checked": checked, "disabled": disabled},
            group=group,
            place=place,
            near=near,
        )
        how = {"checkbox": "ticked", "radio": "selected"}.get(kind, "switched on")
        if not near:
            self.fact("state", f'"{label}"', checked, key, how=how)
        inner = icon("check", 14, width=3.5) if kind == "checkbox" and checked else None
        knob = h("span", inner, cls=f"{kind} {'on' if checked else ''} {'off' * disabled}")
        knob.short = "input"
        knob.kept = {"type": "checkbox" if kind == "switch" else kind}
        knob.kept |= {"checked": ""} if checked else {}
        knob.kept |= {"disabled": ""} if disabled else {}
        if text:
            look = f"ticked {'faint' if disabled else ''}"
            return h("label", knob, h("span", label), cls=look, mark=mark)
        knob.attributes |= mark
        return knob

    def slider(self, label: str, value: int) -> Node:
        """A slider from 0 to 100 with its value beside it."""
        key = self.key()
        mark = self.mark(
            "slider", label, key=key, order=f'drag the slider "{label}"', state={"value": value}
        )
        self.fact("value", f'the value of "{label}"', f"{value}%", key)
        fill = h("div", cls="fill", style=f"width:{value}%")
        knob = h("div", cls="knob", style=f"left:{value}%")
        kept = {"type": "range", "min": "0", "max": "100", "value": str(value)}
        track = h("div", fill, knob, cls="track", mark=mark, short="input", kept=kept)
        shown = h("span", f"{value}%", cls="muted", style="width:3.2em;text-align:right")
        return h("div", h("label", label), h("div", track, shown, cls="row"), cls="labelled")

    def progress(self, value: int, style: str = "") -> Node:
        """A bar that shows a share."""
        fill = h("div", cls="fill", style=f"width:{value}%")
        kept = {"max": "100", "value": str(value)}
        return h("div", fill, cls="track thin", style=style, short="progress", kept=kept)

    # -- Groups ----------------------------------------------------------------------------------

    def tabs(self, names: Sequence[str], chosen: int, *, noun: str = "tab", cls: str = "") -> Node:
        """A row of tabs, one selected."""
        group = self.key()
        made: list[Node] = []
        keys = [self.key() for _ in names]
        chosen = int(self.now(group, chosen))
        for place, (name, key) in enumerate(zip(names, keys, strict=True)):
            mark = self.mark(
                "tab",
                name,
                key=key,
                noun=noun,
                order=f'switch to the {noun} "{name}"',
                group=group,
                place=place,
                state={"selected": place == chosen, "switch": [group, place]},
            )
            look = "tab on" if place == chosen else "tab"
            made.append(h("button", name, cls=look, mark=mark))
        self.fact("which", noun, names[chosen], *keys, how="is selected")
        self.fact("count", f"{noun}s", len(names), *keys)
        return h("div", *made, cls=f"tabs {cls}", short="nav")

    def side(
        self, entries: Sequence[tuple[str, str, str]], chosen: int, *, noun: str = "entry"
    ) -> Node:
        """Navigation down the side: (label, icon, count) each; one selected."""
        group = self.key()
        made, keys = [], []
        for place, (label, symbol, count) in enumerate(entries):
            key = self.key()
            keys.append(key)
            mark = self.mark(
                "link",
                label,
                key=key,
                noun="navigation entry",
                order=f'open "{label}" in the navigation',
                icon=symbol,
                group=group,
                place=place,
                state={"selected": place == chosen},
            )
            if count:
                self.fact("value", f'the number shown at "{label}" in the navigation', count, key)
            look = "entry on" if place == chosen else "entry"
            drawing = icon(symbol, 18) if symbol else None
            made.append(
                h(
                    "a",
                    drawing,
                    h("span", label, style="flex:1"),
                    self.badge(count) if count else None,
                    cls=look,
                    mark=mark,
                )
            )
        self.fact(
            "which", f"{noun} of the navigation", entries[chosen][0], *keys, how="is selected"
        )
        return h("nav", *made, cls="side")

    def menu(self, entries: Sequence[tuple[str, str]], *, style: str = "", place: str = "") -> Node:
        """An open menu: (label, icon); "-" as a label is a rule."""
        made: list[Node] = []
        keys: list[str] = []
        group = self.key()
        for label, symbol in entries:
            if label == "-":
                made.append(h("hr"))
                continue
            key = self.key()
            mark = self.mark(
                "menuitem",
                label,
                key=key,
                order=f'choose "{label}" in the {place}menu',
                icon=symbol,
                group=group,
                place=len(keys),
            )
            keys.append(key)
            drawing = icon(symbol, 16) if symbol else h("span", style="width:16px")
            made.append(h("li", drawing, h("span", label), cls="item", mark=mark))
        self.fact("count", "entries in the open menu", len(keys), *keys)
        return h("ul", *made, cls="menu", style=style)

    def brand(self) -> Node:
        """The name of the program or site; decoration with a text."""
        name = self.say.word().capitalize() + self.rng.choice(("", "ly", "hub", "o", " One"))
        symbol = self.rng.choice(sorted(ICONS))
        mark = self.mark("text", name, is_control=False)
        return h("div", icon(symbol, 22, self.theme.accent), h("b", name, mark=mark), cls="brand")
