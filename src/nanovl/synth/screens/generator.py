"""The generator `screens`: screenshots of user interfaces, with elements, states and questions.

Source: data synthesis specification, section 8.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from nanovl.core.config import from_dict
from nanovl.core.errors import ConfigError
from nanovl.synth.base import Media, Reject, Requirement, Sample, Streams, Task
from nanovl.synth.browser import BROWSER, Shot, browser
from nanovl.synth.screens.asks import Ask, action_task, screen_tasks
from nanovl.synth.screens.refer import visible_items
from nanovl.synth.screens.screen import FAMILIES, Built, Plan, build, draw_plan
from nanovl.synth.screens.theme import resolve_faces
from nanovl.synth.screens.ui import Mark
from nanovl.synth.screens.words import LANGUAGES

__all__ = ["ScreensConfig", "ScreensGenerator", "create", "screen_truth"]


@dataclass(frozen=True, kw_only=True)
class ScreensConfig:
    """Settings of `screens`.

    Attributes:
        families: Kinds of screens, all by default.
        languages: Of the texts on them: "en", "de", "fr", "es".
        fonts: Families, by default all of `theme.FACES` that are installed.
        tasks: Questions a screen.
        overlays: Share of screens with a dialog or a note over them.
        pairs: Share of samples with two screens, before and after an action.
        unanswerable: Share of screens with a question for what is not there.
        max_side: Most image pixels of a side of the window (whole pages may be higher).
        image: "mixed", "png" or "jpg".
    """

    families: tuple[str, ...] = ()
    languages: tuple[str, ...] = LANGUAGES
    fonts: tuple[str, ...] = ()
    tasks: int = 6
    overlays: float = 0.15
    pairs: float = 0.12
    unanswerable: float = 0.05
    max_side: int = 2048
    image: Literal["mixed", "png", "jpg"] = "mixed"

    def __post_init__(self) -> None:
        unknown = sorted(set(self.families) - set(FAMILIES))
        if unknown:
            raise ConfigError(f"families: {unknown[0]!r} is not one of {', '.join(FAMILIES)}")
        if not self.languages or set(self.languages) - set(LANGUAGES):
            raise ConfigError(
                f"languages: got {list(self.languages)}, expected some of {', '.join(LANGUAGES)}"
            )
        for name in ("overlays", "pairs", "unanswerable"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name}: got {getattr(self, name)}, expected 0 to 1")
        if self.tasks < 1 or not 640 <= self.max_side <= 4096:
            raise ConfigError(
                f"tasks {self.tasks}, max_side {self.max_side}: expected at least 1, and 640 to "
                "4096"
            )
        if self.image not in ("mixed", "png", "jpg"):
            raise ConfigError(f"image: got {self.image!r}, expected 'mixed', 'png' or 'jpg'")


class ScreensGenerator:
    """Makes `screens` samples."""

    name = "screens"
    version = "2"
    requires: Sequence[Requirement] = BROWSER

    def __init__(self, config: ScreensConfig) -> None:
        self.config = replace(config, fonts=resolve_faces(config.fonts))

    def plan(self, streams: Streams) -> Plan:
        """What the sample of these streams shows."""
        settings = self.config
        return draw_plan(
            streams.rng("style"),
            streams.rng("layout"),
            streams.rng("content"),
            families=settings.families or tuple(FAMILIES),
            languages=settings.languages,
            faces=settings.fonts,
            overlays=settings.overlays,
            max_side=settings.max_side,
        )

    def generate(self, index: int, streams: Streams) -> Sample:
        """The sample of an index.

        Raises:
            Reject: The browser gave up, or nothing could be asked.
        """
        del index
        plan, qa = self.plan(streams), streams.rng("qa")
        take = streams.rng("augment")
        image = self.config.image
        if image == "mixed":
            image = take.choice(("png", "jpg"))
        quality = take.randint(60, 95)
        built = build(plan)
        shot = self._shoot(plan, built, image, quality)
        media = [_media("image", shot, plan)]
        tasks: list[Task] = []
        truth = screen_truth(plan, built, shot)
        if qa.random() < self.config.pairs:
            change = _change(qa, built, shot)
            if change is not None:
                mark, key, value, typed = change
                after = self._shoot(plan, build(plan, {key: value}), image, quality)
                media = [_media("first", shot, plan), _media("second", after, plan)]
                tasks.append(action_task(qa, ("first", "second"), mark, typed))
                truth["action"] = dict(tasks[0].answer.value)
        whole = plan.height is None and not plan.has_overlay
        whole = whole and all(e.can_be_asked for e in shot.elements)
        ask = Ask(
            shot=shot,
            marks=built.ui.marks,
            facts=built.ui.facts,
            about=built.ui.about,
            look=plan.look,
            html=built.short if whole else "",
            media=media[0].name,
            rng=qa,
        )
        tasks += screen_tasks(ask, self.config.tasks, unanswerable=self.config.unanswerable)
        if len(tasks) < 2:
            raise Reject("no_task", f"too little to ask about this {plan.family} screen")
        level = min(4, len(visible_items(built.ui.marks, shot.elements)) // 15)
        heights = [w.box[3] - w.box[1] for w in shot.words]
        return Sample(
            generator=self.name,
            version=self.version,
            seed=streams.seed,
            lang=plan.lang,
            gt=truth,
            tasks=tuple(tasks),
            media=tuple(media),
            tags=(
                "screen",
                f"family:{plan.family}",
                f"theme:{'dark' if plan.theme.is_dark else 'light'}",
                f"difficulty:{level}",
            ),
            quality={"least_text_px": round(min(heights, default=0.0), 2)},
        )

    def _shoot(self, plan: Plan, built: Built, image: Any, quality: int) -> Shot:
        return browser().render(
            built.html,
            width=plan.width,
            height=plan.height,
            scale=plan.scale,
            max_height=2400,
            image=image,
            quality=quality,
        )


def _media(name: str, shot: Shot, plan: Plan) -> Media:
    return Media(
        name=name,
        kind="image",
        data=shot.data,
        ext=shot.ext,
        width=shot.width,
        height=shot.height,
        extra={"scale": plan.scale},
    )


def _change(rng: random.Random, built: Built, shot: Shot) -> tuple[Mark, str, Any, str] | None:
    """An element, what a user changes about it (key and value), and what is typed."""
    pool: list[tuple[Mark, str, Any, str]] = []
    items = visible_items(built.ui.marks, shot.elements)
    names = [i.mark.name.casefold() for i in items]
    for item in items:
        mark = item.mark
        if not item.can_be_asked or names.count(mark.name.casefold()) != 1:
            continue
        if "switch" in mark.state and not mark.state["selected"]:
            group, place = mark.state["switch"]
            pool.append((mark, group, place, ""))
        elif mark.role in ("checkbox", "switch") and not mark.state["disabled"]:
            pool.append((mark, mark.key, not mark.state["checked"], ""))
        elif mark.role in ("textbox", "searchbox") and not mark.state.get("value"):
            typed = built.ui.say.word()
            pool.append((mark, mark.key, typed, typed))
    return rng.choice(pool) if pool else None


def screen_truth(plan: Plan, built: Built, shot: Shot) -> dict[str, Any]:
    """Everything known about a screen as JSON; only what is visible is listed."""
    theme = {k: v for k, v in asdict(plan.theme).items() if k in ("is_dark", "face", "size")}
    elements = []
    for item in visible_items(built.ui.marks, shot.elements):
        mark, element = item.mark, item.element
        assert element.shown is not None
        found: dict[str, Any] = {
            "id": mark.key,
            "role": mark.role,
            "kind": mark.noun,
            "name": mark.name,
            "text": element.text,
            "bbox": list(element.shown),
            "interactable": mark.is_control,
            "state": {k: v for k, v in mark.state.items() if k != "switch"},
            "parent": element.parent,
            "askable": item.can_be_asked,
        }
        if mark.icon:
            found["icon"] = mark.icon
        if mark.order:
            found["does"] = mark.order
        if element.point is not None:
            found["point"] = list(element.point)
        elements.append(found)
    return {
        "family": plan.family,
        "width": shot.width,
        "height": shot.height,
        "scale": plan.scale,
        "theme": theme,
        "elements": elements,
        "facts": [
            {"kind": f.kind, "what": f.what, "how": f.how, "answer": f.answer, "ids": list(f.keys)}
            for f in built.ui.facts
        ],
        "words": [{"text": w.text, "bbox": list(w.box)} for w in shot.words],
        "html": built.short,
    }


def create(config: Mapping[str, Any]) -> ScreensGenerator:
    """The generator with these settings.

    Raises:
        ConfigError: Unknown or impossible setting.
        BackendError: A typeface that was named is not installed.
    """
    return ScreensGenerator(from_dict(ScreensConfig, config, where="screens"))
