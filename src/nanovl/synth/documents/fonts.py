"""Which fonts there are, what they can show, and which of them training never sees.

Font folders are walked in sorted order and every file is asked itself (no font service is used).
The Latin face that Pillow carries is always there, so that everything works on a machine without
fonts. Families whose letters do not look like letters (symbols, small capitals, decoration) are
left out: what they print is not what the text says. Must not draw pages.

Source: data synthesis specification, sections 4.1 and 2.2.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont, features

from nanovl.core.errors import BackendError, ConfigError, InputError
from nanovl.synth.documents.scripts import SCRIPTS, needs_shaping, script_of, script_of_char
from nanovl.synth.documents.sfnt import FontFile

__all__ = [
    "BUILTIN",
    "HELD_OUT_PERCENT",
    "USUAL_FOLDERS",
    "Face",
    "Family",
    "FontLibrary",
    "FontSplit",
    "has_shaping",
    "is_held_out",
    "library",
]

FontSplit = Literal["train", "heldout", "all"]
BUILTIN = "builtin"  # as a folder: nothing but the face Pillow carries
HELD_OUT_PERCENT = 15
USUAL_FOLDERS = (
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "/usr/share/texmf/fonts/opentype",
    "/usr/share/texlive/texmf-dist/fonts/opentype",
    "/System/Library/Fonts",
    "/Library/Fonts",
    "C:/Windows/Fonts",
)
_SUFFIXES = (".ttf", ".otf", ".ttc")
_ODD_NAMES = (
    "symbol",
    "dingbat",
    "d050000l",
    "spark",
    "deco",
    "caps",
    "math",
    "music",
    "emoji",
    "icon",
    "unslanted",
    "nastaliq",  # falls so far below the line that lines would touch
    "ornament",
    "calligraphic",  # its degree sign and others are blank
    "outline",  # hollow letters vanish in light
    "shadow",
    "hollow",
    "initials",
)
_TEST_LETTERS = "aegknrtABGQR2357bdhmsuw"  # letters a family must show recognisably
_LEAST_RIGHT = 0.15  # share nearest to the right reference; thin and narrow text faces reach 0.17
_SMALL_CAPITALS = 0.8  # likeness of scaled "aegr" to "AEGR" from which on they are the same


def has_shaping() -> bool:
    """Whether Pillow can shape Arabic, Devanagari, Thai, ... (its Raqm layout)."""
    return bool(features.check("raqm"))


def is_held_out(family: str) -> bool:
    """Whether a family is kept for evaluation; depends on its name alone."""
    digest = hashlib.blake2b(family.casefold().encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % 100 < HELD_OUT_PERCENT


@dataclass(frozen=True, eq=False)
class Face:
    """One style of a family.

    Attributes:
        path: Its file; None is the face Pillow carries.
        family, weight, is_italic, is_monospaced: As the file states them.
        size: Of the file in bytes.
    """

    path: Path | None
    family: str
    weight: int = 400
    is_italic: bool = False
    is_monospaced: bool = False
    size: int = 0

    @cached_property
    def file(self) -> FontFile:
        """The parsed file."""
        return FontFile(_builtin_data() if self.path is None else self.path.read_bytes(), self.name)

    @property
    def name(self) -> str:
        """For messages."""
        return BUILTIN if self.path is None else str(self.path)

    @cached_property
    def characters(self) -> frozenset[str]:
        """Everything the face can show."""
        return frozenset(map(chr, self.file.glyphs))

    @cached_property
    def vertical(self) -> tuple[float, float]:
        """(ascent, descent) in em."""
        return self.file.vertical

    @cached_property
    def _advances(self) -> dict[str, float]:
        return {}

    def advance(self, char: str) -> float:
        """Width of a character in em, without kerning."""
        found = self._advances.get(char)
        if found is None:
            found = self._advances[char] = self.file.advance(char)
        return found

    @cached_property
    def _kerns(self) -> dict[str, float]:
        return {}

    def kern(self, pair: str) -> float:
        """How much closer two characters stand, in em (negative: closer)."""
        found = self._kerns.get(pair)
        if found is None:
            font = open_font(self, 200.0, shaped=has_shaping())
            both = font.getlength(pair, features=["-liga", "-clig"] if has_shaping() else None)
            found = (both - font.getlength(pair[0]) - font.getlength(pair[1])) / 200.0
            # Hinted advances are whole pixels; what is below one is rounding, not kerning.
            self._kerns[pair] = found = found if abs(found) > 0.006 else 0.0
        return found


@lru_cache(maxsize=256)
def open_font(face: Face, size: float, *, shaped: bool = False) -> ImageFont.FreeTypeFont:
    """A face at a size in pixels per em.

    Args:
        face: Which one.
        size: Em in pixels.
        shaped: With Raqm (complex scripts, kerning of OpenType); else character by character.

    Raises:
        BackendError: Shaping was asked for and this Pillow has none.
    """
    if shaped and not has_shaping():
        raise BackendError(
            "this Pillow was built without Raqm, which text in complex scripts needs; "
            "pip install --force-reinstall pillow (its wheels have it)"
        )
    engine = ImageFont.Layout.RAQM if shaped else ImageFont.Layout.BASIC
    source = BytesIO(_builtin_data()) if face.path is None else str(face.path)
    return ImageFont.truetype(source, size, layout_engine=engine)


@lru_cache(maxsize=1)
def _builtin_data() -> bytes:
    font = ImageFont.load_default(16)
    path = getattr(font, "path", None)
    if not isinstance(path, BytesIO):
        raise BackendError("this Pillow has no FreeType, text cannot be drawn; install its wheel")
    return path.getvalue()


@dataclass(frozen=True, eq=False)
class Family:
    """Faces that belong together.

    Attributes:
        name: Typographic family name, with "Condensed" where that is another width.
        faces: By (bold, italic); the regular one is always there.
    """

    name: str
    faces: dict[tuple[bool, bool], Face] = field(default_factory=dict)

    @property
    def regular(self) -> Face:
        """The upright, normal weight."""
        return self.faces[False, False]

    @property
    def is_monospaced(self) -> bool:
        """Whether all characters are equally wide."""
        return self.regular.is_monospaced

    @property
    def has_bold(self) -> bool:
        """Whether there is a bold face."""
        return (True, False) in self.faces

    def face(self, bold: bool = False, italic: bool = False) -> Face:
        """The nearest style the family has."""
        for wanted in ((bold, italic), (bold, False), (False, italic)):
            if wanted in self.faces:
                return self.faces[wanted]
        return self.regular

    def missing(self, characters: Iterable[str]) -> set[str]:
        """Characters that the regular or bold face lacks."""
        wanted = set(characters)
        lost = wanted - self.regular.characters
        return lost | (wanted - self.face(bold=True).characters)

    @cached_property
    def is_readable(self) -> bool:
        """Whether its Latin letters, if it has any, look like themselves."""
        if self.regular.path is None:
            return True
        if any(word in self.name.lower() for word in _ODD_NAMES):
            return False
        if any(c not in self.regular.characters for c in _TEST_LETTERS):
            return True
        own, reference = _letters(self.regular), _reference()
        right = sum(
            max(reference, key=lambda c: float(reference[c] @ own[k])) == k for k in _TEST_LETTERS
        )
        if right < _LEAST_RIGHT * len(_TEST_LETTERS):
            return False
        small = _letters(self.regular, "aegr", stretched=True)
        large = _letters(self.regular, "AEGR", stretched=True)
        alike = sum(float(small[a] @ large[a.upper()]) for a in small) / len(small)
        return alike < _SMALL_CAPITALS


def _letters(
    face: Face, chars: str = _TEST_LETTERS, *, stretched: bool = False
) -> dict[str, np.ndarray]:
    """Small pictures of letters as unit vectors; `stretched` fills the picture with the ink."""
    font = open_font(face, 48.0)
    found = {}
    for char in chars:
        sheet = Image.new("L", (96, 96))
        ImageDraw.Draw(sheet).text((24, 64), char, font=font, fill=255, anchor="ls")
        box = sheet.getbbox() or (0, 0, 1, 1)
        if not stretched:
            middle = (box[0] + box[2]) // 2
            box = (middle - 24, 20, middle + 24, 80)
        small = sheet.crop(box).filter(ImageFilter.GaussianBlur(1.5)).resize((20, 20))
        flat = np.asarray(small, dtype=np.float64).ravel()
        flat = flat - flat.mean()
        found[char] = flat / (np.linalg.norm(flat) or 1.0)
    return found


@lru_cache(maxsize=1)
def _reference() -> dict[str, np.ndarray]:
    return _letters(Face(None, BUILTIN))


class FontLibrary:
    """All families found in some folders.

    Args:
        families: Sorted by name.
    """

    def __init__(self, families: Sequence[Family]) -> None:
        self.families = tuple(sorted(families, key=lambda f: f.name.casefold()))
        self._choices: dict[tuple[str, FontSplit], tuple[Family, ...]] = {}

    @cached_property
    def fingerprint(self) -> str:
        """12 hex digits that change when fonts are added, removed or replaced."""
        state = [f"raqm={has_shaping()}"]
        for family in self.families:
            for key in sorted(family.faces):
                face = family.faces[key]
                state.append(f"{family.name}|{key}|{face.path and face.path.name}|{face.size}")
        return hashlib.sha256("\n".join(state).encode()).hexdigest()[:12]

    def of_split(self, split: FontSplit) -> tuple[Family, ...]:
        """Families for training, for evaluation, or all."""
        if split == "all":
            return self.families
        held = split == "heldout"
        return tuple(
            f
            for f in self.families
            if is_held_out(f.name) == held and (f.regular.path is not None or not held)
        )

    def for_script(self, script: str, split: FontSplit = "all") -> tuple[Family, ...]:
        """Readable families that have all letters of a script, by name.

        Raises:
            ConfigError: There is no such script, or no held-out family has it.
        """
        if script not in SCRIPTS:
            raise ConfigError(f"script {script!r}: expected one of {', '.join(sorted(SCRIPTS))}")
        key = (script, split)
        if key not in self._choices:
            wanted = set(SCRIPTS[script])
            self._choices[key] = tuple(
                f for f in self.of_split(split) if wanted <= f.regular.characters and f.is_readable
            )
        return self._choices[key]

    def for_text(self, text: str, split: FontSplit = "all") -> tuple[Family, ...]:
        """Readable families that can show a text, at most some rare characters left to others.

        A family may lack Latin letters, digits and marks when the text is mostly in another
        script; `stack` finds who shows those. Empty when no family has the letters of the text.
        """
        script = script_of(text)
        if needs_shaping(text) and not has_shaping():
            return ()
        own = {c for c in text if c.isalpha() and script_of_char(c) == script}
        rest = {c for c in text if not c.isspace() and c not in own}
        found = []
        for family in self.of_split(split):
            if family.missing(own) or not family.is_readable:
                continue
            lost = family.missing(rest)
            if script == "latin" and sum(map(text.count, lost)) > len(text) / 50:
                continue
            if not self._uncovered(lost):
                found.append(family)
        return tuple(found)

    def _uncovered(self, characters: set[str]) -> set[str]:
        left = set(characters)
        for family in self._helpers:
            if not left:
                break
            left &= family.missing(left)
        return left

    @cached_property
    def _helpers(self) -> tuple[Family, ...]:
        """Families that stand in for missing characters, those that show most first."""
        able = [f for f in self.families if f.is_readable]
        return tuple(sorted(able, key=lambda f: (-len(f.regular.characters), f.name))[:12])

    def stack(self, family: Family, text: str) -> tuple[Family, ...]:
        """A family and those that show the characters it lacks.

        Raises:
            InputError: Some character is in no font.
        """
        left = family.missing(c for c in text if not c.isspace())
        chosen = [family]
        for helper in self._helpers:
            if not left:
                break
            rest = helper.missing(left)
            if rest != left:
                chosen.append(helper)
                left = left & rest
        if left:
            shown = ", ".join(f"U+{ord(c):04X}" for c in sorted(left)[:5])
            raise InputError(f"no installed font shows {shown}; install a font that does")
        return tuple(chosen)


@lru_cache(maxsize=8)
def library(folders: tuple[str, ...] = ()) -> FontLibrary:
    """The fonts of some folders.

    Args:
        folders: Searched with everything below them; empty means the usual places of this system,
            `(BUILTIN,)` only the face Pillow carries. That face is always included.

    Raises:
        InputError: A folder that was named does not exist.
    """
    families: dict[str, dict[tuple[bool, bool], tuple[tuple[int, int, str], Face]]] = {}
    for path in _font_paths(folders):
        data = path.read_bytes()
        file = FontFile(data, path.name)
        try:
            family, style = file.names
            if not family or not file.has("cmap"):
                continue
            face = Face(
                path, family, file.weight, file.is_italic, file.is_monospaced, size=len(data)
            )
        except InputError:
            continue  # not a usable font: there are many kinds of files in font folders
        _add(families, face, style)
    found = [
        Family(name, {key: face for key, (_, face) in sorted(faces.items())})
        for name, faces in families.items()
        if (False, False) in faces
    ]
    bundled = Face(None, "Aileron", size=len(_builtin_data()))
    if not any(f.name == bundled.family for f in found):
        found.append(Family(bundled.family, {(False, False): bundled}))
    return FontLibrary(found)


def _add(
    families: dict[str, dict[tuple[bool, bool], tuple[tuple[int, int, str], Face]]],
    face: Face,
    style: str,
) -> None:
    lowered = style.lower()
    name = face.family
    for kind in ("condensed", "narrow", "extralight"):
        if kind in lowered and kind not in name.lower():
            name = f"{name} {kind.capitalize()}"
    bold = face.weight >= 600
    # Of several optical sizes and weights, the one nearest to text at 10 points.
    rank = (abs(face.weight - (700 if bold else 400)), int("10" not in style), str(face.path))
    styles = families.setdefault(name, {})
    key = (bold, face.is_italic)
    if key not in styles or rank < styles[key][0]:
        styles[key] = (rank, face)


def _font_paths(folders: tuple[str, ...]) -> list[Path]:
    if folders == (BUILTIN,):
        return []
    found: dict[str, Path] = {}
    for folder in folders or USUAL_FOLDERS:
        root = Path(folder).expanduser()
        if not root.is_dir():
            if folders:
                raise InputError(f"font folder {folder}: no such folder")
            continue
        for path in root.rglob("*"):
            if path.suffix.lower() in _SUFFIXES and path.is_file():
                found.setdefault(str(path), path)
    # By file name first, so that the same fonts in other folders give the same order.
    return sorted(found.values(), key=lambda p: (p.name, str(p)))
