"""Text in scenes: sheets of text boxes, receipts and signs on procedural backgrounds.

`ocr-scene` follows the SynthDoG profile: a grid of single-line text boxes on textured paper, full
screen half of the time, else lying on a surface under uneven light. Text runs on from box to box.
Must not use pictures of others.

Source: data synthesis specification, section 4.2.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nanovl.core.config import from_dict
from nanovl.core.errors import ConfigError, InputError
from nanovl.synth.asking import worded
from nanovl.synth.base import Media, Reject, Requirement, Sample, Streams
from nanovl.synth.documents.asks import Ask, page_tasks, text_task
from nanovl.synth.documents.augment import Plan, Profile, augment, encode, plan_augmentation
from nanovl.synth.documents.blocks import Run
from nanovl.synth.documents.build import (
    Finished,
    Typefaces,
    check_settings,
    font_library,
    make_sample,
)
from nanovl.synth.documents.draw import paint
from nanovl.synth.documents.fonts import FontSplit
from nanovl.synth.documents.glyphs import Pen, pen
from nanovl.synth.documents.lines import Line, Word, break_lines
from nanovl.synth.documents.pages import Page, Piece
from nanovl.synth.documents.style import Colour, PageStyle, contrast, draw_palette
from nanovl.synth.documents.text import Mixture, number, sentence
from nanovl.synth.documents.words import WORDS

__all__ = ["SceneConfig", "SceneGenerator", "ocr_scene"]

_LAYOUTS = ("sheet", "receipt", "sign")
_SHARES = (0.7, 0.16, 0.14)
_SIZES = (0.0334, 0.1)  # text size over the shorter side of the content
_STACK = 0.0334  # distance between boxes of a column


@dataclass(frozen=True, kw_only=True)
class SceneConfig:
    """Settings of `ocr-scene`.

    Attributes:
        fonts, font_split, strength, tasks, unanswerable: As of `ocrpage.OcrConfig`.
        augment: "camera" or "mixed" puts pages on backgrounds; see `augment.PROFILES`.
        short_side: Least and most of the canvas in pixels.
        layouts: Which of "sheet", "receipt" and "sign" are made.
    """

    fonts: tuple[str, ...] = ()
    font_split: FontSplit = "train"
    augment: Profile = "camera"
    strength: float = 1.0
    short_side: tuple[int, int] = (560, 840)
    layouts: tuple[str, ...] = _LAYOUTS
    tasks: int = 3
    unanswerable: float = 0.05

    def __post_init__(self) -> None:
        check_settings(self.augment, self.strength, self.font_split, self.unanswerable)
        low, high = self.short_side
        if not 256 <= low <= high <= 2048:
            raise ConfigError(f"short_side: got {[low, high]}, expected 256 to 2048, least first")
        if not self.layouts or set(self.layouts) - set(_LAYOUTS):
            raise ConfigError(f"layouts: got {list(self.layouts)}, expected {', '.join(_LAYOUTS)}")


class SceneGenerator:
    """Scenes with text."""

    name = "ocr-scene"
    version = "2"
    requires: Sequence[Requirement] = ()

    def __init__(self, settings: Mapping[str, Any]) -> None:
        given = from_dict(SceneConfig, settings, where=self.name)
        self._fonts = font_library(given.fonts)
        self.config = replace(given, fonts=(f"fonts:{self._fonts.fingerprint}",))

    def generate(self, index: int, streams: Streams) -> Sample:
        """The scene of an index.

        Raises:
            Reject: No font, nothing fitted, or text left the picture.
        """
        del index
        rng = streams.rng("layout")
        weights = [
            s for name, s in zip(_LAYOUTS, _SHARES, strict=True) if name in self.config.layouts
        ]
        names = [name for name in _LAYOUTS if name in self.config.layouts]
        layout = rng.choices(names, weights)[0]
        families = self._fonts.for_script("latin", self.config.font_split)
        if not families:
            raise Reject("no_font", "no font of this split has Latin letters")
        maker: Callable[[_Maker], Page] = {
            "sheet": _sheet,
            "receipt": _receipt,
            "sign": _sign,
        }[layout]
        fixed = [f for f in families if f.is_monospaced]
        pool = fixed if layout == "receipt" and fixed and rng.random() < 0.7 else families
        family = rng.choice(pool)
        try:
            stack = self._fonts.stack(family, "$\u20ac\u00a3" + "0aA")
        except InputError:
            stack = (family,)
        faces = Typefaces(stack, stack, stack)
        made = _Maker(faces, rng, streams.rng("content"), self.config)
        painted = paint(maker(made))
        plan = self._plan(streams.rng("augment"), layout)
        done = augment(painted, plan, streams.np("augment"))
        data, ext = encode(done.painted.image, plan.quality)
        width, height = done.painted.image.size
        media = Media(name="p000", kind="image", data=data, ext=ext, width=width, height=height)
        finished = Finished((done.painted,), (media,), (done,))
        qa = streams.rng("qa")
        ask = Ask(done.painted, "p000", qa, finished.is_upright)
        tasks = page_tasks(
            ask, self.config.tasks, unanswerable=self.config.unanswerable, scene=True
        )
        if layout == "sign":  # the whole sign as one text
            text = " ".join(line.text for line in done.painted.lines)
            tasks = [text_task("ocr_word", worded(_BANK, "sign", qa), text, ["p000"]), *tasks[:1]]
        return make_sample(
            self.name,
            self.version,
            streams,
            finished,
            tasks,
            fonts=faces,
            tags=("ocr", "scene", f"layout:{layout}"),
        )

    def _plan(self, rng: random.Random, layout: str) -> Plan:
        plan = plan_augmentation(rng, self.config.augment, self.config.strength)
        if plan.profile != "camera":
            return plan
        if layout == "sheet" and rng.random() < 0.5:  # paper fills the screen
            flat = tuple((x * 0.3, y * 0.3) for x, y in plan.corners)
            return replace(plan, border=0.0, angle=plan.angle * 0.15, corners=flat)
        return replace(plan, border=rng.uniform(0.04, 0.2))


_BANK = {
    "sign": (
        "What does the sign say?",
        "Read the sign.",
        "Which text is on the sign?",
        "Transcribe the sign.",
        "What is written on it?",
        "Give the text of the sign.",
        "Copy what the sign says.",
        "Write down the words on the sign.",
    )
}


@dataclass(frozen=True)
class _Maker:
    """What the layouts draw from."""

    faces: Typefaces
    rng: random.Random
    content: random.Random
    config: SceneConfig

    def style(self, width: int, height: int, ink: Colour, paper: Colour, size: float) -> PageStyle:
        """A page of a fixed size whose margins play no part."""
        return PageStyle(
            width=width,
            max_height=height,
            body=self.faces.body,
            head=self.faces.head,
            mono=self.faces.mono,
            size=size,
            ink=ink,
            paper=paper,
        )

    def pen(self, size: float, bold: bool = False, italic: bool = False) -> Pen:
        """A pen of the scene's typeface."""
        return pen(self.faces.body, max(10.0, round(size * 2) / 2), bold, italic)


def _stream(rng: random.Random) -> Iterator[str]:
    """Words without end: sentences, or random text."""
    mixture = Mixture.draw(rng)
    plain = rng.random() < 0.6
    while True:
        if plain:
            yield from sentence(rng).split()
        else:
            yield mixture.word(rng)


def _line(words: Sequence[str], used: Pen, x: float, baseline: float, colour: Colour) -> Line:
    placed, at = [], x
    for word in words:
        shaped = used.shape(word)
        placed.append(Word(word, used, shaped, at))
        at += shaped.width + used.space
    return Line(placed, at - used.space - x, baseline, colour=colour)


def _sheet(made: _Maker) -> Page:
    """Columns of text boxes, one line each; text runs on from box to box."""
    rng = made.rng
    short = rng.randint(*made.config.short_side)
    long = round(short * rng.uniform(1.0, 2.0))
    long = min(long, 1280)
    width, height = (long, short) if rng.random() < 0.5 else (short, long)
    ink, paper, _ = draw_palette(rng, dark=0.04)
    if rng.random() < 0.2:
        accent = (rng.randint(0, 64), rng.randint(0, 64), rng.randint(0, 64))
        ink = accent if contrast(accent, paper) > 5 else ink
    margin = rng.uniform(0.02, 0.1)
    left, top = margin * width, margin * height
    inner_w, inner_h = width - 2 * left, height - 2 * top
    columns = rng.randint(1, 3) if width > 700 else rng.randint(1, 2)
    base = rng.uniform(*_SIZES) * min(inner_w, inner_h)
    base = max(14.0, min(base, inner_w / columns / 6))
    gutter = base * 1.2
    column = (inner_w - gutter * (columns - 1)) / columns
    words = _stream(made.content)
    page = Page(1, width, height, made.style(width, height, ink, paper, base))
    fill = 1.0 if rng.random() < 0.1 else rng.uniform(0.5, 1.0)
    block = 0
    waiting: str | None = None
    for number_ in range(columns):
        align = rng.choice(("left", "right", "center"))
        x0 = left + number_ * (column + gutter)
        y = top
        for _ in range(10):
            size = base * rng.uniform(0.75, 1.3)
            used = made.pen(size, bold=rng.random() < 0.15, italic=rng.random() < 0.1)
            pitch = used.size * 1.3
            if y + pitch > top + inner_h * fill:
                break
            room = column * rng.uniform(0.5, 1.0)
            row: list[str] = []
            length = 0.0
            while True:
                word = waiting or next(words)
                waiting = None
                need = used.width(word) + (used.space if row else 0.0)
                if length + need > room:
                    waiting = word if row else None  # a word wider than the box is skipped
                    break
                row.append(word)
                length += need
            if row:
                spare = column - length
                x = x0 + {"left": 0.0, "center": spare / 2, "right": spare}[align]
                colour = ink
                if rng.random() < 0.2:
                    shade = tuple(rng.randint(0, 90) for _ in range(3))
                    colour = (shade[0], shade[1], shade[2])
                    colour = colour if contrast(colour, paper) > 4.5 else ink
                baseline = y + pitch * 0.75
                piece = Piece("text", block, lines=[_line(row, used, x, baseline, colour)])
                page.pieces.append(piece)
                block += 1
            y += pitch + _STACK * min(inner_w, inner_h) * rng.uniform(0.2, 1.2)
    if not page.pieces:
        raise Reject("no_text", "no word fitted a box")
    return page


def _receipt(made: _Maker) -> Page:
    """A narrow strip: shop, items with prices at the right, a total."""
    rng, content = made.rng, made.content
    width = rng.randint(380, 560)
    size = rng.uniform(16, 22)
    used, bold = made.pen(size), made.pen(size, bold=True)
    if used.width("0") * 26 > width * 0.9:
        used = bold = made.pen(width * 0.9 / 26 / (used.width("0") / used.size))
    margin = width * rng.uniform(0.05, 0.09)
    inner = width - 2 * margin
    ink: Colour = (rng.randint(0, 60),) * 3
    shade = rng.randint(236, 255)
    rows: list[tuple[str, str, bool]] = []
    shop = " ".join(w.capitalize() for w in content.sample(WORDS, 2))
    kind = content.choice(("Store", "Market", "Shop", "Cafe", "Ltd"))
    rows.append((f"{shop} {kind}", "", True))
    street = f"{content.choice(WORDS).capitalize()} {content.choice(('Road', 'Street'))}"
    rows.append((f"{content.randint(1, 240)} {street}", "", False))
    day, month, year = content.randint(1, 28), content.randint(1, 12), content.randint(1990, 2030)
    rows.append((f"{day:02d}.{month:02d}.{year}", "", False))
    total = 0
    for _ in range(content.randint(2, 12)):
        name = " ".join(content.sample(WORDS, content.randint(1, 2)))[:18].upper()
        cents = content.randint(30, 4999)
        total += cents
        rows.append((name, f"{cents / 100:.2f}", False))
    rows.append(("TOTAL", f"{total / 100:.2f}", True))
    rows.append((content.choice(("THANK YOU", "Please come again", "Have a nice day")), "", True))
    pitch = used.size * rng.uniform(1.25, 1.6)
    y = margin * 1.2
    page = Page(1, width, 10, made.style(width, 10, ink, (shade, shade, shade - 3), used.size))
    for block, (name, price, centred) in enumerate(rows):
        if name == "TOTAL":
            rule = (margin, y + 2, width - margin, y + 3)
            page.rules.append((rule, ink))
            y += pitch * 0.4
        face = bold if centred and price else used
        name_words = name.split()
        length = sum(map(face.width, name_words)) + face.space * (len(name_words) - 1)
        centre = centred and not price
        x = margin + (max(0.0, inner - length) / 2 if centre else 0.0)
        line = _line(name_words, face, x, y + pitch * 0.72, ink)
        if price:
            shaped = face.shape(price)
            line.words.append(Word(price, face, shaped, width - margin - shaped.width))
        page.pieces.append(Piece("text", block, lines=[line]))
        y += pitch
    page.height = round(y + margin)
    if any(w.x + w.shaped.width > width for p in page.pieces for w in p.lines[0].words):
        raise Reject("too_wide", "a line of the receipt does not fit")
    return page


def _sign(made: _Maker) -> Page:
    """A few large words on a plain plate with a frame."""
    rng, content = made.rng, made.content
    plates: tuple[tuple[Colour, Colour], ...] = (
        ((0, 84, 166), (255, 255, 255)),
        ((0, 110, 60), (255, 255, 255)),
        ((190, 20, 30), (255, 255, 255)),
        ((250, 210, 0), (20, 20, 20)),
        ((255, 255, 255), (20, 20, 20)),
        ((40, 40, 44), (245, 245, 245)),
        ((240, 120, 20), (20, 20, 20)),
        ((245, 240, 225), (90, 40, 20)),
    )
    paper, ink = rng.choice(plates)
    texts = [w.capitalize() for w in content.sample(WORDS, content.randint(1, 4))]
    if content.random() < 0.5:
        texts = [t.upper() for t in texts]
    if content.random() < 0.35:
        texts.append(number(content))
    width = rng.randint(360, 800)
    size = rng.uniform(34, 84)
    used = made.pen(size, bold=rng.random() < 0.6)
    longest = max(used.width(t) for t in texts)
    pad = width * 0.09
    if longest > width - 2 * pad:
        used = made.pen(used.size * (width - 2 * pad) / longest, bold=used.bold)
    lines = break_lines((Run(" ".join(texts)),), used, width - 2 * pad, align="center")
    pitch = used.size * 1.25
    height = round(len(lines) * pitch + 2 * pad * 0.9)
    page = Page(1, width, height, made.style(width, height, ink, paper, used.size))
    y = pad * 0.9
    piece = Piece("text", 0)
    for line in lines:
        piece.lines.append(line.moved(pad, y + pitch * 0.76, y, y + pitch, ink))
        y += pitch
    page.pieces.append(piece)
    if rng.random() < 0.7:
        inset, w = rng.randint(5, 12), rng.randint(3, 7)
        x1, y1 = width - inset, height - inset
        for box in (
            (inset, inset, x1, inset + w),
            (inset, y1 - w, x1, y1),
            (inset, inset, inset + w, y1),
            (x1 - w, inset, x1, y1),
        ):
            page.rules.append(((float(box[0]), float(box[1]), float(box[2]), float(box[3])), ink))
    return page


def ocr_scene(settings: Mapping[str, Any]) -> SceneGenerator:
    """Factory of `ocr-scene`."""
    return SceneGenerator(settings)
