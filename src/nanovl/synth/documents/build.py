"""What the page generators share: identity of their inputs, page styles for a text, samples.

A generator's configuration names inputs by what they hold, not by where they lie: font folders
become a fingerprint and files their SHA-256, so that the same data give the same samples on every
machine. Must not invent content.

Source: data synthesis specification, sections 2.1 to 2.5 and 19.
"""

from __future__ import annotations

import gzip
import hashlib
import random
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from nanovl.core.errors import ConfigError, InputError
from nanovl.synth.base import Media, Reject, Sample, Streams, Task
from nanovl.synth.documents.augment import (
    PROFILES,
    Augmented,
    Plan,
    Profile,
    augment,
    encode,
    plan_augmentation,
)
from nanovl.synth.documents.draw import Painted
from nanovl.synth.documents.fonts import Family, FontLibrary, FontSplit, library
from nanovl.synth.documents.style import PageStyle, draw_style
from nanovl.synth.documents.truth import enlarged, page_truth, smallest_text

__all__ = [
    "DIFFICULTIES",
    "Finished",
    "Typefaces",
    "check_settings",
    "file_digest",
    "finish_pages",
    "font_library",
    "make_sample",
    "media_names",
    "style_for",
    "typefaces_for",
]

DIFFICULTIES = 5
_LEAST_TEXT = 7.0  # pixels of the smallest line (section 19)
_LEAST_DRAWN = 5.0  # pixels of the smallest line that is made larger; below, faces fall apart
_ROOM = 1.05  # a page in perspective is a little smaller in places


def check_settings(augment: str, strength: float, font_split: str, unanswerable: float) -> None:
    """Settings every page generator has.

    Raises:
        ConfigError: One is out of range.
    """
    if augment not in PROFILES:
        raise ConfigError(f"augment: got {augment!r}, expected one of {', '.join(PROFILES)}")
    if not 0 <= strength <= 1:
        raise ConfigError(f"strength: got {strength}, expected 0 to 1")
    if font_split not in ("train", "heldout", "all"):
        raise ConfigError(f"font_split: got {font_split!r}, expected train, heldout or all")
    if not 0 <= unanswerable <= 0.5:
        raise ConfigError(f"unanswerable: got {unanswerable}, expected 0 to 0.5")


@lru_cache(maxsize=64)
def file_digest(path: str) -> str:
    """`sha256:` and 16 hex digits of what a file holds (of `.gz` files: decompressed).

    Raises:
        InputError: It cannot be read.
    """
    state = hashlib.sha256()
    try:
        with gzip.open(path, "rb") if path.endswith(".gz") else Path(path).open("rb") as stream:
            while piece := stream.read(1 << 20):
                state.update(piece)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    return f"sha256:{state.hexdigest()[:16]}"


@dataclass(frozen=True)
class Typefaces:
    """Font stacks of a document."""

    body: tuple[Family, ...]
    head: tuple[Family, ...]
    mono: tuple[Family, ...]


def typefaces_for(
    fonts: FontLibrary,
    split: FontSplit,
    text: str,
    rng: random.Random,
    *,
    monospaced: float = 0.25,
) -> Typefaces:
    """Fonts that show a text; headings get a family of their own now and then.

    Args:
        fonts: Where to choose.
        split: Training or held-out families.
        text: Everything that will be shown.
        rng: The generator of the stream "style".
        monospaced: Weight of monospaced families against 1 of others.

    Raises:
        Reject: No family of the split has the letters.
    """
    able = fonts.for_text(text, split)
    if not able:
        raise Reject("no_font", "no installed font of this split shows the text")
    weights = [monospaced if f.is_monospaced else 1.0 for f in able]
    body = rng.choices(able, weights)[0]
    head = rng.choices(able, weights)[0] if rng.random() < 0.35 else body
    fixed = [f for f in able if f.is_monospaced] or [body]
    try:
        return Typefaces(
            fonts.stack(body, text),
            fonts.stack(head, text),
            fonts.stack(rng.choice(fixed), text),
        )
    except InputError as error:
        raise Reject("no_font", str(error)) from error


def style_for(faces: Typefaces, rng: random.Random, characters: int, **settings: Any) -> PageStyle:
    """A page style for these fonts; `settings` as of `draw_style`."""
    return draw_style(rng, faces.body, faces.head, faces.mono, characters=characters, **settings)


def media_names(count: int) -> tuple[str, ...]:
    """Names of the pictures of a document."""
    return tuple(f"p{number:03d}" for number in range(count))


@dataclass(frozen=True)
class Finished:
    """Pages as they are stored."""

    pages: tuple[Painted, ...]
    media: tuple[Media, ...]
    plans: tuple[Augmented, ...]

    @property
    def is_upright(self) -> bool:
        """Whether no page was turned on its side or head."""
        return not any(a.plan.turn for a in self.plans)


def finish_pages(
    pages: Sequence[Painted],
    streams: Streams,
    profile: Profile,
    strength: float,
    *,
    characters: bool = False,
    legible: bool = False,
) -> Finished:
    """Augment and encode pages; all of a document get the same plan.

    Args:
        pages: Clean pages.
        streams: Of the attempt; "augment" is used.
        profile, strength: See `plan_augmentation`.
        characters: Whether boxes of characters are carried along.
        legible: Whether pages with a line less than 7 pixels tall, as one of x-height letters alone
            is in small type, are enlarged, or left out where that does not help.

    Raises:
        Reject: Text left a picture, or is too small to be read.
    """
    bound = _LEAST_TEXT if legible else _LEAST_DRAWN
    drawn = smallest_text(pages)
    if legible and _LEAST_DRAWN <= drawn < _LEAST_TEXT * _ROOM:
        pages = [enlarged(page, _LEAST_TEXT * _ROOM / drawn) for page in pages]
    plan: Plan = plan_augmentation(streams.rng("augment"), profile, strength)
    if len(pages) > 1 and plan.turn:
        plan = replace(plan, turn=0)
    done = [augment(p, plan, streams.np("augment"), characters=characters) for p in pages]
    made = []
    for name, page in zip(media_names(len(done)), done, strict=True):
        least = smallest_text([page.painted])
        if 0 < least < bound:
            raise Reject("text_too_small", f"a line is {least:.1f} pixels tall")
        image = page.painted.image
        data, ext = encode(image, plan.quality)
        made.append(
            Media(
                name=name,
                kind="image",
                data=data,
                ext=ext,
                width=image.width,
                height=image.height,
            )
        )
    return Finished(tuple(p.painted for p in done), tuple(made), tuple(done))


def make_sample(
    generator: str,
    version: str,
    streams: Streams,
    finished: Finished,
    tasks: Sequence[Task],
    *,
    fonts: Typefaces,
    tags: Sequence[str],
    gt: Mapping[str, Any] | None = None,
    lang: str = "en",
    license: str = "generated",
    group: str = "",
    characters: bool = False,
) -> Sample:
    """A sample of pages with its ground truth.

    Raises:
        Reject: No task could be made.
    """
    if not tasks:
        raise Reject("no_task", "nothing can be asked about these pages")
    plan = finished.plans[0].plan
    names = sorted({name for done in finished.plans for name in done.names})
    truth: dict[str, Any] = {
        "pages": [page_truth(page, characters=characters) for page in finished.pages],
        "fonts": sorted({f.name for f in (*fonts.body, *fonts.head)}),
        "augmentation": {"profile": plan.profile, "effects": names, "turn": plan.turn},
        **(gt or {}),
    }
    least = smallest_text(finished.pages)
    turned = [f"turned:{plan.turn}"] if plan.turn else []
    return Sample(
        generator=generator,
        version=version,
        seed=streams.seed,
        lang=lang,
        license=license,
        media=finished.media,
        gt=truth,
        tasks=tuple(tasks),
        tags=(*tags, f"augment:{plan.profile}", *turned),
        quality={"least_text_px": round(least, 2)},
        group=group,
    )


def font_library(folders: Sequence[str]) -> FontLibrary:
    """The fonts of a configuration; see `library`."""
    return library(tuple(folders))
