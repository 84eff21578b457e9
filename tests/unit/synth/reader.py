"""An independent reader: Tesseract on sheets of text cut out of pictures by their boxes.

Every piece of text is cut out at its box, made dark on white and of one height, and put below the
others; Tesseract reads the sheet, and what it read is given back to the pieces by position. So the
reader sees neither layout nor neighbours, and a box that does not hold its text shows at once.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageOps

__all__ = ["HAS_READER", "Piece", "Reading", "read_pieces", "words_of"]

HAS_READER = shutil.which("tesseract") is not None
_TALL = 44  # pixels of a piece on its sheet
_GAP = 30
_PER_SHEET = 36
# Page mode of Tesseract and height in pixels.
_AGAIN = (("7", 44), ("7", 30), ("6", 110), ("8", 44), ("10", 44))
_WIDEST = 2600


@dataclass(frozen=True)
class Piece:
    """A line of text in a picture.

    Attributes:
        text: What the ground truth says.
        picture: The whole picture.
        box: Where, in pixels.
        turn: Degrees to turn it to the right by, for text that runs upwards.
    """

    text: str
    picture: Image.Image
    box: Sequence[float]
    turn: int = 0


@dataclass
class Reading:
    """What was read.

    Attributes:
        right, total: Words of the truth.
        wrong: (truth, read) of pieces with a word that was not read.
    """

    right: int = 0
    total: int = 0
    wrong: list[tuple[str, str]] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Share of the words that were read."""
        return self.right / self.total if self.total else 0.0


def words_of(text: str) -> list[str]:
    """Words in lower case without punctuation around them; nothing else is forgiven."""
    text = unicodedata.normalize("NFKC", text).casefold()
    text = text.replace("\u2019", "'").replace("\u2212", "-").replace("\u2013", "-")
    found = [re.sub(r"^[\W_]+|[\W_]+$", "", word) for word in text.split()]
    return [word for word in found if word]


def read_pieces(pieces: Sequence[Piece]) -> Reading:
    """Read pieces of text and compare word by word.

    What was not read on its sheet is read again alone, as a line, as a paragraph (cells have two
    lines at times) and as a word: Tesseract drops short lines of a sheet, however clear they are.
    """
    result = Reading()
    wanted = [p for p in pieces if words_of(p.text)]
    for start in range(0, len(wanted), _PER_SHEET):
        part = wanted[start : start + _PER_SHEET]
        cuts = [_cut(p) for p in part]
        for piece, cut, said in zip(part, cuts, _read_sheet(cuts), strict=True):
            total = len(words_of(piece.text))
            right = _agreement(piece.text, said)
            for mode, tall in _AGAIN:
                if right == total:
                    break
                if mode in ("8", "10") and cut.width > 4 * cut.height:
                    continue
                again = _read_alone(cut, mode, tall)
                if _agreement(piece.text, again) > right:
                    said, right = again, _agreement(piece.text, again)
            result.right += right
            result.total += total
            if right < total:
                result.wrong.append((piece.text, said))
    return result


def _agreement(truth: str, said: str) -> int:
    """Words of the truth that were read; where only blanks differ, all of them."""
    wanted, found = words_of(truth), words_of(said)
    if "".join(wanted) == "".join(found):
        return len(wanted)
    return sum((Counter(wanted) & Counter(found)).values())


def _cut(piece: Piece) -> Image.Image:
    """A piece, black on white."""
    x0, y0, x1, y1 = piece.box
    margin = max(2.0, (min(x1 - x0, y1 - y0)) * 0.12)
    area = (
        max(0, int(x0 - margin)), max(0, int(y0 - margin)),
        min(piece.picture.width, int(x1 + margin) + 1),
        min(piece.picture.height, int(y1 + margin) + 1),
    )  # fmt: skip
    cut = piece.picture.convert("RGB").crop(area)
    image = ImageOps.autocontrast(Image.fromarray(_gray(np.asarray(cut, dtype=np.float32))))
    if piece.turn:
        image = image.rotate(
            -piece.turn, expand=True, fillcolor=255, resample=Image.Resampling.BICUBIC
        )
        ink = ImageOps.invert(image).point(lambda v: 255 if v > 90 else 0).getbbox()
        image = image.crop(ink) if ink and piece.turn % 90 else image
    return image


def _scaled(cut: Image.Image, tall: int) -> Image.Image:
    width = min(_WIDEST, max(1, round(cut.width * tall / cut.height)))
    return cut.resize((width, tall), Image.Resampling.BICUBIC)


def _gray(pixels: np.ndarray) -> np.ndarray:
    """Distance from the ground's colour (the commonest), so that any two colours differ."""
    flat = (pixels // 16).astype(int) @ np.array([256, 16, 1])
    values, counts = np.unique(flat, return_counts=True)
    ground = np.median(pixels[flat == values[counts.argmax()]], axis=0)
    away = np.abs(pixels - ground).max(axis=2)
    return (255 - np.clip(away * 255 / max(1.0, float(away.max())), 0, 255)).astype(np.uint8)


def _read_sheet(cuts: Sequence[Image.Image]) -> list[str]:
    lines = [_scaled(cut, _TALL) for cut in cuts]
    width = max(line.width for line in lines) + 2 * _GAP
    step = _TALL + _GAP
    sheet = Image.new("L", (width, step * len(cuts) + _GAP), 255)
    for number, cut in enumerate(lines):
        sheet.paste(cut, (_GAP, _GAP + number * step))
    found = [""] * len(cuts)
    for line in _tesseract(sheet, "6", "tsv").splitlines()[1:]:
        row = line.split("\t")
        if len(row) == 12 and row[0] == "5" and row[11].strip():
            middle = int(row[7]) + int(row[9]) / 2
            place = min(len(cuts) - 1, max(0, int((middle - _GAP / 2) // step)))
            found[place] += f" {row[11]}"
    return [text.strip() for text in found]


def _read_alone(cut: Image.Image, mode: str, tall: int) -> str:
    scaled = _scaled(cut, tall)
    page = Image.new("L", (scaled.width + 2 * _GAP, tall + 2 * _GAP), 255)
    page.paste(scaled, (_GAP, _GAP))
    return " ".join(_tesseract(page, mode).split())


def _tesseract(image: Image.Image, mode: str, *more: str) -> str:
    out = io.BytesIO()
    image.save(out, "PNG", dpi=(150, 150))
    done = subprocess.run(
        ["tesseract", "-", "-", "--psm", mode, "-l", "eng", *more],
        input=out.getvalue(),
        capture_output=True,
        check=True,
        env={**os.environ, "OMP_THREAD_LIMIT": "1"},
    )
    return done.stdout.decode("utf-8", "replace")
