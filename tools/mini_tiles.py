"""Tiles full of text for the pre-stage of the small model, drawn in milliseconds.

Every tile is 512 x 512 pixels with one to some dozens of lines of known text and place: columns of
prose in one face, tables of short entries, single large lines. Faces held out for evaluation are
never used. Everything is a function of the seed.
"""

from __future__ import annotations

import gzip
import io
import itertools
import json
import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from nanovl.synth.documents.fonts import Face, library, open_font

SIDE = 512
STRIP = (32, 256)
SMALLEST, LARGEST = 12.0, 56.0  # pixels per em
_WORDS_KEPT = 4_000_000  # of a source


@dataclass(frozen=True)
class Line:
    """A line and its place.

    Attributes:
        text: What it says.
        box: x0, y0, x1, y1 in pixels.
        centres: x of the middle of every character, in pixels.
    """

    text: str
    box: tuple[float, float, float, float]
    centres: tuple[float, ...] = ()


class Texts:
    """Words of real prose in their order, and made entries: numbers, prices, dates, codes.

    Args:
        folder: With `*.jsonl.gz` of records with `text`.
        names: Files to use, with their weights.
    """

    def __init__(self, folder: Path, names: dict[str, float]) -> None:
        self._sources: list[list[str]] = []
        self._weights: list[float] = []
        for name, weight in names.items():
            words: list[str] = []
            with gzip.open(folder / name, "rt", encoding="utf-8") as file:
                for line in file:
                    words += json.loads(line)["text"].split()
                    if len(words) > _WORDS_KEPT:
                        break
            self._sources.append(words)
            self._weights.append(weight)

    def alphabet(self, size: int) -> str:
        """The commonest characters and all of ASCII that can be seen, sorted."""
        counts: Counter[str] = Counter()
        for words in self._sources:
            for word in words[:: max(1, len(words) // 200_000)]:
                counts.update(word)
        kept = {chr(k) for k in range(33, 127)} | {" "}
        for char, _ in counts.most_common():
            if len(kept) >= size:
                break
            kept.add(char)
        return "".join(sorted(kept))

    def run(self, rng: random.Random, count: int) -> list[str]:
        """So many words that follow each other, some of them made."""
        words = rng.choices(self._sources, self._weights)[0]
        start = rng.randrange(max(1, len(words) - count))
        found = words[start : start + count]
        if rng.random() < 0.25:
            share = rng.uniform(0.1, 1.0)
            found = [entry(rng) if rng.random() < share else word for word in found]
        if rng.random() < 0.12:
            found = [word.upper() for word in found]
        return found


def entry(rng: random.Random) -> str:
    """A made entry without blanks."""
    kind = rng.randrange(8)
    if kind == 0:
        return str(rng.randrange(10 ** rng.randint(1, 7)))
    if kind == 1:
        mark = rng.choice(["$", "", "", "RM", "\u20ac"])
        return f"{mark}{rng.randrange(10**4)}.{rng.randrange(100):02d}"
    if kind == 2:
        mark = rng.choice("/-.")
        day, month = rng.randint(1, 31), rng.randint(1, 12)
        return mark.join([f"{day:02d}", f"{month:02d}", str(rng.randint(1950, 2030))])
    if kind == 3:
        return f"{rng.randrange(24):02d}:{rng.randrange(60):02d}"
    if kind == 4:
        letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
        return "".join(rng.choice(letters) for _ in range(rng.randint(3, 10)))
    if kind == 5:
        return f"{rng.randrange(100)}{rng.choice(['%', '.5%', 'kg', 'x', ')', '.'])}"
    if kind == 6:
        return f"{rng.randrange(1, 1000):,}" + "," + f"{rng.randrange(1000):03d}"
    printable = [chr(k) for k in range(33, 127)]
    return "".join(rng.choice(printable) for _ in range(rng.randint(1, 8)))


class Painter:
    """Draws tiles.

    Args:
        texts: What is written.
        split: "train" or "heldout" faces.
        worn: Whether some tiles are blurred, noisy or faint.
    """

    def __init__(self, texts: Texts, *, split: str = "train", worn: bool = True) -> None:
        self.texts = texts
        self.families = library().for_script("latin", split)  # type: ignore[arg-type]
        self.worn = worn

    def tile(
        self, seed: int, smallest: float = SMALLEST, size: tuple[int, int] = (SIDE, SIDE)
    ) -> tuple[np.ndarray, list[Line]]:
        """A picture full of text.

        Args:
            seed: Of everything.
            smallest: Least size of type in pixels per em.
            size: Width and height in pixels.

        Returns:
            Pixels (height, width, 3) uint8, and the lines in reading order.
        """
        rng = random.Random(seed)
        paper, ink = _colours(rng)
        image = Image.new("RGB", size, paper)
        draw = ImageDraw.Draw(image)
        lines: list[Line] = []
        y = rng.uniform(-6, 30) if size[1] >= SIDE else rng.uniform(0, 6)
        while y < size[1] - 12:
            em = SMALLEST * (LARGEST / SMALLEST) ** (rng.random() ** 1.6)
            em = max(em, smallest)
            rows = rng.choice([1, 1, 2, 4, 8, 16, 40])
            y = self._block(rng, draw, lines, y, em, rows, ink, size)
            y += rng.uniform(0.1, 1.5) * em
        if self.worn and rng.random() < 0.5:
            image = _wear(rng, image)
        return np.asarray(image), lines

    def strip(self, seed: int, hardness: float) -> tuple[np.ndarray, Line]:
        """One line of its own.

        Args:
            seed: Of everything.
            hardness: 0 is black print of middling size on white, 1 what tiles hold too.

        Returns:
            Pixels (32, 256, 3) uint8, and the line.
        """
        rng = random.Random(seed)
        height, width = STRIP
        paper, ink = (255, 255, 255), (0, 0, 0)
        if rng.random() < 0.8 * hardness:
            paper, ink = _colours(rng)
        image = Image.new("RGB", (width, height), paper)
        while True:
            face = self._face(rng)
            font = open_font(face, rng.uniform(16 - 4 * hardness, 24 + 3 * hardness))
            ascent, descent = font.getmetrics()
            words = self.texts.run(rng, 36)
            x = rng.uniform(0, 16)
            text = ""
            for word in words:
                longer = f"{text} {word}" if text else word
                if not all(c in face.characters for c in word):
                    continue
                if x + font.getlength(longer) > width - 2:
                    break
                text = longer
            if text:
                break
        y = (height - ascent - descent) / 2 + rng.uniform(-3, 3)
        draw = ImageDraw.Draw(image)
        draw.text((x, y), text, font=font, fill=ink)
        box = draw.textbbox((x, y), text, font=font)
        around = (box[0], y + 0.1 * ascent, box[2], y + ascent + descent)
        if self.worn and rng.random() < 0.5 * hardness:
            image = _wear(rng, image)
        return np.asarray(image), Line(text, around, _middles(font, text, x))

    def _face(self, rng: random.Random) -> Face:
        return rng.choice(self.families).face(rng.random() < 0.2, rng.random() < 0.15)

    def _block(
        self,
        rng: random.Random,
        draw: ImageDraw.ImageDraw,
        lines: list[Line],
        y: float,
        em: float,
        rows: int,
        ink: tuple[int, int, int],
        size: tuple[int, int],
    ) -> float:
        """Lines of one look; the height after them."""
        face = self._face(rng)
        font = open_font(face, em)
        ascent, descent = font.getmetrics()
        pitch = (ascent + descent) * rng.uniform(0.95, 1.5)
        parts = rng.choice([1, 1, 1, 2]) if em < 20 else 1
        gap = rng.uniform(12, 40)
        left = rng.uniform(-4, 60)
        right = size[0] - rng.uniform(0, 60)
        width = (right - left - gap * (parts - 1)) / parts
        words = self.texts.run(rng, int(rows * parts * width / (2.2 * em)) + 3)
        words = [w for w in words if all(c in face.characters for c in w)]
        known: dict[str, float] = {}
        blank = font.getlength(" ")
        place = 0
        bottom = y
        for part in range(parts):
            x = left + part * (width + gap)
            top = y
            for _ in range(rows):
                if top + ascent + descent > size[1] + 2 or place >= len(words):
                    break
                own, used = [], 0.0
                most = width * (rng.uniform(0.2, 1.0) if rng.random() < 0.25 else 1.0)
                while place < len(words):
                    word = words[place]
                    length = known.setdefault(word, font.getlength(word))
                    if own and used + blank + length > most:
                        break
                    if not own and length > width:
                        place += 1
                        continue
                    used += length + (blank if own else 0)
                    own.append(word)
                    place += 1
                if own and x >= 0 and top >= -1:
                    text = " ".join(own)
                    draw.text((x, top), text, font=font, fill=ink)
                    box = draw.textbbox((x, top), text, font=font)
                    around = (box[0], top + 0.1 * ascent, box[2], top + ascent + descent)
                    lines.append(Line(text, around, _middles(font, text, x)))
                top += pitch
            bottom = max(bottom, top)
        return bottom


def _middles(font: ImageFont.FreeTypeFont, text: str, x: float) -> tuple[float, ...]:
    """x of the middle of every character of a line that begins at x; kerning is spread evenly."""
    widths = [font.getlength(char) for char in text]
    scale = font.getlength(text) / max(sum(widths), 1e-6)
    ends = list(itertools.accumulate(width * scale for width in widths))
    return tuple(x + end - 0.5 * width * scale for end, width in zip(ends, widths, strict=True))


def strips(
    image: np.ndarray, lines: list[Line], rng: random.Random
) -> dict[tuple[int, int], list[tuple[np.ndarray, Line]]]:
    """Lines of a tile, each in a strip of its own: a tenth of the work for the same text.

    Args:
        image: A tile (512, 512, 3).
        lines: Of it.
        rng: Where in its strip a line lies.

    Returns:
        By (height, width), 32 or 64 by 256 or 512: strips and their one line, neighbours cut off.
    """
    found: dict[tuple[int, int], list[tuple[np.ndarray, Line]]] = {}
    for line in lines:
        x0, y0, x1, y1 = line.box
        height = 32 if y1 - y0 <= 30 else 64
        width = 256 if x1 - x0 <= 236 else SIDE
        if y1 - y0 > height or y0 < 0:
            continue
        top = _window(rng, y0, y1, height)
        left = _window(rng, max(x0, 0.0), min(x1, SIDE), width)
        box = (x0 - left, y0 - top, x1 - left, y1 - top)
        strip = image[top : top + height, left : left + width]
        moved = Line(line.text, box, tuple(c - left for c in line.centres))
        found.setdefault((height, width), []).append((strip, moved))
    return found


def _window(rng: random.Random, low: float, high: float, size: int) -> int:
    """Where a window of that size may begin to hold everything from low to high."""
    first = max(0, int(np.ceil(high)) - size)
    last = min(SIDE - size, int(low))
    return rng.randint(min(first, last), last)


def _colours(rng: random.Random) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    while True:
        if rng.random() < 0.6:
            paper = (rng.randint(235, 255),) * 3
            ink = (rng.randint(0, 60),) * 3
        else:
            paper = tuple(rng.randint(0, 255) for _ in range(3))  # type: ignore[assignment]
            ink = tuple(rng.randint(0, 255) for _ in range(3))  # type: ignore[assignment]
        weights = (0.299, 0.587, 0.114)
        contrast = abs(sum(w * (a - b) for w, a, b in zip(weights, paper, ink, strict=True)))
        if contrast > 70:
            return paper, ink


def _wear(rng: random.Random, image: Image.Image) -> Image.Image:
    kind = rng.randrange(4)
    if kind == 0:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.1)))
    elif kind == 1:
        factor = rng.uniform(0.55, 0.95)
        size = image.size
        less = (int(size[0] * factor), int(size[1] * factor))
        back = rng.choice([Image.Resampling.BILINEAR, Image.Resampling.BICUBIC])
        image = image.resize(less, Image.Resampling.BILINEAR).resize(size, back)
    elif kind == 2:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=rng.randint(25, 85))
        image = Image.open(buffer).convert("RGB")
    if kind == 3 or rng.random() < 0.3:
        noise = np.random.default_rng(rng.getrandbits(32)).normal(
            0, rng.uniform(2, 18), (*image.size[::-1], 1)
        )
        grey = np.asarray(image, dtype=np.float32) + noise.astype(np.float32)
        image = Image.fromarray(grey.clip(0, 255).astype(np.uint8))
    return image
