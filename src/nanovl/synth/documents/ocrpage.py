"""Random text to read: single words, strips with one line, whole pages.

`ocr-word` and `ocr-line` make strips whose height is a multiple of 32 pixels; `ocr-page` makes
pages of random text by the recipe of the specification, from one large word (difficulty 0) to forty
small lines (difficulty 4). Must not read files other than fonts.

Source: data synthesis specification, sections 4.1 and 18.6 (curriculum).
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image

from nanovl.core.config import from_dict
from nanovl.core.errors import ConfigError, InputError
from nanovl.synth.asking import worded
from nanovl.synth.base import Media, Reject, Requirement, Sample, Streams
from nanovl.synth.documents.asks import Ask, page_tasks, text_task
from nanovl.synth.documents.augment import Augmented, Plan, Profile, encode
from nanovl.synth.documents.backgrounds import paper_texture, surface
from nanovl.synth.documents.blocks import Block, Run, TextBlock, paragraph
from nanovl.synth.documents.build import (
    DIFFICULTIES,
    Finished,
    Typefaces,
    check_settings,
    finish_pages,
    font_library,
    make_sample,
    style_for,
)
from nanovl.synth.documents.cjk import LANGUAGES
from nanovl.synth.documents.draw import (
    InkBlock,
    InkLine,
    InkWord,
    Painted,
    paint,
    stamp_word,
    union,
)
from nanovl.synth.documents.effects import EFFECTS
from nanovl.synth.documents.fonts import FontSplit
from nanovl.synth.documents.glyphs import SUPER, Pen, Shaped, pen
from nanovl.synth.documents.layout import lay_out
from nanovl.synth.documents.scripts import SCRIPTS
from nanovl.synth.documents.style import Colour, contrast, draw_palette
from nanovl.synth.documents.text import Mixture, number
from nanovl.synth.documents.truth import bent
from nanovl.synth.documents.warp import Warp
from nanovl.synth.documents.wordings import BANK
from nanovl.synth.documents.words import WORDS

__all__ = ["OcrConfig", "PageGenerator", "StripGenerator", "ocr_line", "ocr_page", "ocr_word"]

_UNIT = 32  # strips are as high as a multiple of this
_STRIP_EFFECTS = (
    "blur",
    "bleed",
    "contrast",
    "dropout",
    "fade",
    "motion",
    "noise",
    "salt",
    "uneven",
)


@dataclass(frozen=True, kw_only=True)
class OcrConfig:
    """Settings of the random-text generators.

    Attributes:
        scripts: Drawn from evenly; see `fonts.SCRIPTS`. A script no font has is rejected.
        fonts: Folders; empty means the usual places, `["builtin"]` the face Pillow carries.
        font_split: Families for training, or those held out for evaluation.
        augment, strength: See `augment.plan_augmentation`.
        difficulty: 0 to 4; None draws it.
        heights: Of strips in pixels, multiples of 32.
        max_width: Of strips and pages in pixels.
        tasks: Of a page.
        unanswerable: Share of pages with a question about what is not there.
    """

    scripts: tuple[str, ...] = ("latin",)
    fonts: tuple[str, ...] = ()
    font_split: FontSplit = "train"
    augment: Profile = "mixed"
    strength: float = 1.0
    difficulty: int | None = None
    heights: tuple[int, ...] = (32, 64, 96)
    max_width: int = 1024
    tasks: int = 3
    unanswerable: float = 0.05

    def __post_init__(self) -> None:
        check_settings(self.augment, self.strength, self.font_split, self.unanswerable)
        unknown = sorted(set(self.scripts) - set(SCRIPTS))
        if unknown or not self.scripts:
            raise ConfigError(
                f"scripts: got {list(self.scripts)}, expected some of {', '.join(sorted(SCRIPTS))}"
            )
        if not self.heights or any(h < _UNIT or h % _UNIT for h in self.heights):
            raise ConfigError(f"heights: got {list(self.heights)}, expected multiples of {_UNIT}")
        if self.difficulty is not None and not 0 <= self.difficulty < DIFFICULTIES:
            raise ConfigError(f"difficulty: got {self.difficulty}, expected 0 to 4")
        if self.max_width < 256 or self.tasks < 1:
            raise ConfigError(
                f"max_width {self.max_width} and tasks {self.tasks}: expected at least 256 and 1"
            )


class _TextGenerator:
    """What words, lines and pages share."""

    version = "2"
    requires: Sequence[Requirement] = ()

    def __init__(self, name: str, settings: Mapping[str, Any]) -> None:
        given = from_dict(OcrConfig, settings, where=name)
        self.name = name
        self._fonts = font_library(given.fonts)
        self.config = replace(given, fonts=(f"fonts:{self._fonts.fingerprint}",))

    def _faces(self, text: str, script: str, rng: random.Random) -> Typefaces:
        """Fast choice: families of a script, whatever they lack shown by others."""
        able = self._fonts.for_script(script, self.config.font_split)
        if not able:
            raise Reject("no_font", f"no font of the split has the script {script}")
        weights = [0.25 if f.is_monospaced else 1.0 for f in able]
        family = rng.choices(able, weights)[0]
        try:
            stack = self._fonts.stack(family, text)
        except InputError as error:
            raise Reject("no_font", str(error)) from error
        return Typefaces(stack, stack, stack)


class StripGenerator(_TextGenerator):
    """One word or one line on a strip."""

    def __init__(self, name: str, settings: Mapping[str, Any], *, is_line: bool) -> None:
        super().__init__(name, settings)
        self._is_line = is_line

    def generate(self, index: int, streams: Streams) -> Sample:
        """The strip of an index.

        Raises:
            Reject: No font, or a glyph without ink.
        """
        del index
        content, style = streams.rng("content"), streams.rng("style")
        height = style.choice(self.config.heights)
        script = content.choice(self.config.scripts)
        text = self._text(content, script)
        faces = self._faces(text, script, style)
        painted = self._strip(text, faces, height, style, streams)
        plan, painted, names = self._worn(painted, streams)
        quality = 0 if plan.profile in ("none", "clean") else style.randint(40, 95)
        data, ext = encode(painted.image, quality)
        width = painted.image.width
        media = Media(name="p000", kind="image", data=data, ext=ext, width=width, height=height)
        finished = Finished((painted,), (media,), (Augmented(painted, plan, names),))
        shown = painted.lines[0].text
        kind = "line" if self._is_line else "word"
        task = text_task(
            f"ocr_{kind}",
            worded(BANK, kind, streams.rng("qa")),
            shown,
            ["p000"],
            verifier="exact",
            boxes=(painted.lines[0].box,),
        )
        return make_sample(
            self.name,
            self.version,
            streams,
            finished,
            [task],
            fonts=faces,
            tags=("ocr", f"script:{script}", f"difficulty:{1 if self._is_line else 0}"),
            lang=LANGUAGES.get(script, "und"),
            characters=True,
        )

    def _text(self, rng: random.Random, script: str) -> str:
        mixture = Mixture.draw(rng, script)
        if not self._is_line:
            if rng.random() < 0.15:
                return number(rng)
            return mixture.word(rng)
        return mixture.join(mixture.words(rng, rng.randint(2, 11)))

    def _strip(
        self, text: str, faces: Typefaces, height: int, rng: random.Random, streams: Streams
    ) -> Painted:
        """The text on a strip, as large as fits; words that do not fit are left out."""
        pad = max(3, round(height * rng.uniform(0.06, 0.14)))
        size = height * rng.uniform(0.5, 0.72)
        bold = rng.random() < 0.2
        italic = rng.random() < 0.15
        used = pen(faces.body, round(size * 2) / 2, bold, italic)
        words: list[tuple[str, Shaped, float]] = []
        x = float(pad + rng.randint(0, height // 3))
        limit = self.config.max_width - pad
        for whole in text.split():
            word = _fitting(whole, used, limit - x) if not words else whole
            shaped = used.shape(word)
            if x + shaped.width > limit and words:
                break
            words.append((word, shaped, x))
            x += shaped.width + used.space
        tops = [g.top / SUPER for _, s, _ in words for _, g in s.glyphs if g.ink.size]
        ends = [
            (g.top + g.ink.shape[0]) / SUPER for _, s, _ in words for _, g in s.glyphs if g.ink.size
        ]
        if not tops:
            raise Reject("blank_glyph", f"{text!r} leaves no ink")
        room = height - 2 * 2 - (max(ends) - min(tops))
        if room < 0:
            raise Reject("too_tall", f"{text!r} does not fit {height} pixels")
        baseline = 2 + room * rng.uniform(0.25, 0.75) - min(tops)
        width = math.ceil((x - used.space + pad + rng.randint(0, height // 3)) / _UNIT) * _UNIT
        sheet = np.zeros((height * SUPER, width * SUPER), np.uint8)
        found = []
        for number_, (word, shaped, at) in enumerate(words):
            box, characters = stamp_word(sheet, shaped, at, baseline)
            if box is not None:
                found.append(InkWord(word, box, characters, number_ > 0, bold, italic))
        image, ink = self._ground(width, height, rng, streams)
        image.paste(ink, (0, 0), Image.fromarray(sheet).reduce(SUPER))
        outline = union(w.box for w in found)
        line = InkLine(" ".join(w.text for w in found), outline, found)
        return Painted(image, 1, [InkBlock("text", 0, 0, "", outline, [line])])

    def _ground(
        self, width: int, height: int, rng: random.Random, streams: Streams
    ) -> tuple[Image.Image, Colour]:
        """What the text stands on, and a colour that can be read on it."""
        ink, paper, accent = draw_palette(rng, dark=0.08)
        if self.config.augment in ("none", "clean"):
            return Image.new("RGB", (width, height), paper), ink
        if rng.random() < 0.15:
            image, _ = surface(streams.np("surface"), width, height)
            small = np.asarray(image.resize((8, 8))).reshape(-1, 3)
            shades: list[Colour] = [(int(r), int(g), int(b)) for r, g, b in small]
            choices: tuple[Colour, ...] = ((0, 0, 0), (255, 255, 255), (20, 20, 60))
            best = max(choices, key=lambda c: min(contrast(c, s) for s in shades))
            if min(contrast(best, s) for s in shades) >= 3.5:
                return image, best
        if contrast(accent, paper) >= 4.5 and rng.random() < 0.3:
            ink = accent
        return Image.new("RGB", (width, height), paper), ink

    def _worn(self, painted: Painted, streams: Streams) -> tuple[Plan, Painted, tuple[str, ...]]:
        """A few effects and a slight turn, as far as the text stays inside."""
        rng, draw = streams.rng("augment"), streams.np("augment")
        strength = self.config.strength
        wears = self.config.augment not in ("none", "clean")
        if not wears or (self.config.augment == "mixed" and rng.random() < 0.3):
            return Plan(profile="none" if self.config.augment == "none" else "clean"), painted, ()
        image = painted.image
        names: list[str] = []
        if rng.random() < 0.3:
            depth = rng.uniform(0.02, 0.1) * strength
            grain = paper_texture(draw, *image.size, depth)
            image = Image.composite(image, Image.new("RGB", image.size), grain)
            names.append("texture")
        tall = painted.lines[0].box[3] - painted.lines[0].box[1]
        painted = Painted(image, painted.number, painted.blocks)
        if rng.random() < 0.4:
            painted = _leaned(painted, rng, strength, names)
        for name in rng.sample(_STRIP_EFFECTS, rng.randint(0, 3)):
            if tall < 12 and name in ("dropout", "motion", "salt"):
                continue
            image = EFFECTS[name](painted.image, draw, strength * rng.uniform(0.3, 0.9))
            painted = Painted(image, painted.number, painted.blocks)
            names.append(name)
        return Plan(profile="scan", effects=()), painted, tuple(names)


def _leaned(painted: Painted, rng: random.Random, strength: float, names: list[str]) -> Painted:
    width, height = painted.image.size
    most = 0.12 * height * strength
    own = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float64)
    shift = np.array([(rng.uniform(-most, most), rng.uniform(-most, most)) for _ in range(4)])
    warp = Warp((width, height), own + shift * 0.5, (width, height))
    x0, y0, x1, y1 = painted.lines[0].box
    moved = warp.points(np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], np.float64))
    if moved.min() < 1 or moved[:, 0].max() > width - 1 or moved[:, 1].max() > height - 1:
        return painted
    names.append("leaned")
    back = painted.image.crop((0, 0, 1, 1)).resize((width, height))
    return bent(painted, warp.apply(painted.image, back), warp.points)


class PageGenerator(_TextGenerator):
    """Pages of random text."""

    def generate(self, index: int, streams: Streams) -> Sample:
        """The page of an index.

        Raises:
            Reject: No font, or the text did not fit.
        """
        del index
        content, style_rng = streams.rng("content"), streams.rng("style")
        level = self.config.difficulty
        if level is None:
            level = content.randrange(DIFFICULTIES)
        script = content.choice(self.config.scripts)
        mixture = Mixture.draw(content, script)
        blocks, size = _content(mixture, level, content)
        text = "".join(b.text if isinstance(b, TextBlock) else "" for b in blocks)
        faces = self._faces(text, script, style_rng)
        narrow = {0: 320, 1: 640, 2: 800, 3: 960, 4: 1024}[level]
        page_style = style_for(
            faces,
            style_rng,
            len(text),
            size=size,
            rtl=script in ("arabic", "hebrew"),
            max_width=min(self.config.max_width, narrow),
        )
        if level < 3:
            page_style = replace(page_style, columns=1, trim=True)
        if level == 0:  # one word, never cut
            left, _, right, _ = page_style.margins
            indent = page_style.indent * page_style.size
            room = math.ceil(page_style.pen().width(text) + indent) + left + right + 2
            page_style = replace(page_style, width=max(page_style.width, room))
        pages = lay_out(blocks, page_style, max_pages=1 if level < 4 else 2)[:1]
        finished = finish_pages(
            [paint(pages[0])], streams, self.config.augment, self.config.strength
        )
        ask = Ask(finished.pages[0], "p000", streams.rng("qa"), finished.is_upright)
        tasks = page_tasks(ask, self.config.tasks, unanswerable=self.config.unanswerable)
        return make_sample(
            self.name,
            self.version,
            streams,
            finished,
            tasks,
            fonts=faces,
            tags=("ocr", f"script:{script}", f"difficulty:{level}"),
            lang=LANGUAGES.get(script, "und"),
        )


def _fitting(word: str, used: Pen, room: float) -> str:
    """As much of a text without blanks as fits; other words stay whole."""
    if all(c.isascii() for c in word) or used.width(word) <= room:
        return word
    while len(word) > 1 and used.width(word) > room:
        word = word[:-1]
    return word


def _content(mixture: Mixture, level: int, rng: random.Random) -> tuple[list[Block], float]:
    """Blocks and text size of a difficulty."""
    sizes = {0: (28, 56), 1: (22, 36), 2: (18, 26), 3: (15, 21), 4: (13, 17)}
    counts = {0: (1, 1), 1: (3, 16), 2: (20, 80), 3: (80, 220), 4: (240, 430)}
    size = float(rng.randint(*sizes[level]))
    words = mixture.words(rng, rng.randint(*counts[level]))
    if level < 2:
        return [paragraph(mixture.join(words))], size
    blocks: list[Block] = []
    if rng.random() < 0.35:
        title = " ".join(w.capitalize() for w in rng.choices(WORDS, k=rng.randint(1, 4)))
        if mixture.script == "latin":
            blocks.append(paragraph(title, "title"))
    while words:
        kind = rng.random()
        count = rng.randint(12, 70)
        piece, words = words[:count], words[count:]
        if kind < 0.12 and len(piece) > 8 and blocks:
            for start in range(0, len(piece), 6):
                item = (Run(mixture.join(piece[start : start + 6])),)
                blocks.append(TextBlock(kind="list_item", runs=item, marker="-"))
        elif kind < 0.2 and len(piece) > 20:
            blocks.append(paragraph(mixture.join(piece[:3]), "section_header", 1))
            blocks.append(paragraph(mixture.join(piece[3:])))
        else:
            blocks.append(paragraph(mixture.join(piece)))
    return blocks, size


def ocr_word(settings: Mapping[str, Any]) -> StripGenerator:
    """Factory of `ocr-word`."""
    return StripGenerator("ocr-word", settings, is_line=False)


def ocr_line(settings: Mapping[str, Any]) -> StripGenerator:
    """Factory of `ocr-line`."""
    return StripGenerator("ocr-line", settings, is_line=True)


def ocr_page(settings: Mapping[str, Any]) -> PageGenerator:
    """Factory of `ocr-page`."""
    return PageGenerator("ocr-page", settings)
