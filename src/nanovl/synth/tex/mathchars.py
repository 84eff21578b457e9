"""Characters of maths lists: which command prints a glyph, in which alphabet.

Must not know the structure of lists (`maths` and `mathboxes` do).

Source: data synthesis specification, sections 3.9 and 3.10.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from typing import Any

from nanovl.synth.tex.events import Font
from nanovl.synth.tex.glyphs import UNKNOWN, glyph_name, name_text
from nanovl.synth.tex.mathnames import MathNames, slot_font
from nanovl.synth.tex.mathsymbols import (
    ACCENTS,
    ALPHABETS,
    COMMANDS,
    DELIMITERS,
    TFM_NAMES,
)

__all__ = ["Characters"]

_ORD, _REL, _PUNCT = 0, 5, 8  # kinds of noads
_STYLED = (
    ("DOUBLE-STRUCK ", "mathbb"), ("FRAKTUR ", "mathfrak"), ("BOLD SCRIPT ", "boldcal"),
    ("SCRIPT ", "mathcal"), ("SANS-SERIF ", "mathsf"), ("MONOSPACE ", "mathtt"),
    ("BOLD ITALIC ", "boldsymbol"), ("BOLD ", "mathbf"), ("ITALIC ", ""),
)  # fmt: skip


_WIDE = {0x302: "\\widehat", 0x303: "\\widetilde", 0x30C: "\\widecheck"}


class Characters:
    """What the characters of one document's maths are called.

    Definitions the engine had go first, then what the font's encoding or name says.

    Args:
        fonts: Of the document.
        names: Definitions of the document.

    Attributes:
        unknown: Glyphs without a command, with counts.
    """

    def __init__(self, fonts: Mapping[int, Font], names: MathNames | None = None) -> None:
        self.fonts = fonts
        self.names = names or MathNames({})
        self.unknown: Counter[str] = Counter()
        self._bad: set[int] = set()
        self._now = 0

    def _char(self, kernel: list[Any], subtype: int) -> tuple[str, str | None]:
        """Command or character of a maths character, and the alphabet it belongs to."""
        _, number, code, *family = kernel
        font = self.fonts.get(number)
        if font is None:
            self._mark("?")
            return UNKNOWN, None
        if family:
            found = self.names.find(family[0], code, font.nfss, subtype, font.name)
            if found is not None:
                return found.text, found.alphabet if found.alphabet is not None else ""
        text = font.texts.get(code, UNKNOWN)
        if font.is_wide:
            return self._wide_char(font, text, subtype)
        name, text = _named(font, code, text)
        lower = font.name.lower()
        alphabet = next((style for part, style in ALPHABETS if part in lower), "mathrm")
        if len(text) == 1 and text.isascii() and text.isalpha():
            if name.startswith("dotless"):
                return TFM_NAMES[name], ""
            return text, alphabet
        if text.isdigit() and text.isascii():
            return text, "" if alphabet in ("mathrm", "", "mathcal") else alphabet
        if "cmmi" in lower and text in COMMANDS and "\u0391" <= text <= "\u03a9":
            return COMMANDS[text].replace("\\", "\\var", 1), ""
        command = TFM_NAMES.get(name) or COMMANDS.get(text)
        if text in ("\u23de", "\u23df", "\u23af"):
            command = text  # a piece of a brace; `_brace` puts it together
        if command is None and len(text) == 1 and text.isascii() and text != UNKNOWN:
            command = text
        if command is None:
            self._mark(f"{font.name}:{code}:{name}")
            return UNKNOWN, None
        command = _by_class(command, subtype)
        if alphabet in ("mathbf", "boldsymbol") and command.startswith("\\") and command != "\\|":
            return f"\\boldsymbol{{{command}}}", ""
        return command, ""

    def _wide_char(self, font: Font, text: str, subtype: int) -> tuple[str, str | None]:
        if len(text) == 1 and text not in COMMANDS and ord(text) > 0x2100:
            # One step only: the curly and the straight form of a letter are not the same.
            plain = unicodedata.decomposition(text).removeprefix("<font> ")
            plain = chr(int(plain, 16)) if re.fullmatch("[0-9A-F]+", plain) else ""
            if len(plain) == 1 and plain != text:
                name = unicodedata.name(text, "")
                style = next((s for part, s in _STYLED if part in name), "mathrm")
                if plain.isascii() and plain.isalnum():
                    return plain, style
                command = COMMANDS.get(plain)
                if command is not None:
                    command = _by_class(command, subtype)
                    return (f"\\boldsymbol{{{command}}}" if "BOLD" in name else command), ""
        if text in COMMANDS:
            return _by_class(COMMANDS[text], subtype), ""
        if len(text) == 1 and text.isascii():
            if text.isalpha():
                return text, "mathbf" if "bold" in font.style_name else "mathrm"
            return _by_class(text, subtype), ""
        if text != UNKNOWN and text:
            return f"\\text{{{text}}}", ""
        self._mark(f"{font.name}:{text!r}")
        return UNKNOWN, None

    def _delimiter(self, kernel: list[Any] | None) -> str:
        if kernel is None:
            return "."
        font = self.fonts.get(kernel[1])
        if len(kernel) > 3:
            known = self.names.fence(kernel[3], kernel[2])
            if known is not None:
                return known
        text = font.texts.get(kernel[2], UNKNOWN) if font else UNKNOWN
        if font and not font.is_wide:
            name, text = _named(font, kernel[2], text)
            if name == "bardbl":
                return "\\|"
        if text in DELIMITERS:
            return DELIMITERS[text]
        if text in ("\ufffd", ""):
            self._mark(f"delimiter {font.name if font else '?'}:{kernel[2]}")
        return COMMANDS.get(text, ".")

    def _accent_command(self, mark: list[Any] | None, node_kind: int) -> str:
        """Command of an accent; kind 0 of an accent noad grows with what it stands on."""
        if mark is None:  # the first slot of the first family
            command = self.names.accent(0, 0, "") or ""
        else:
            command = ""
        if mark and mark[0] == "c":
            font = self.fonts.get(mark[1])
            if font is not None:
                if len(mark) > 3:
                    command = self.names.accent(mark[3], mark[2], font.nfss) or ""
                name = "" if font.is_wide else _named(font, mark[2], "")[0]
                if font.is_wide and mark[2] in _WIDE and node_kind == 0:
                    command = _WIDE[mark[2]]
                command = command or ACCENTS.get(name, "")
                command = command or ACCENTS.get(font.texts.get(mark[2], ""), "")
        if not command:
            self._mark(f"accent {mark}")
            command = "\\hat"
        return command

    def _mark(self, what: str) -> None:
        self.unknown[what] += 1
        self._bad.add(self._now)


def _named(font: Font, code: int, text: str) -> tuple[str, str]:
    """Glyph name and text; where the font's own names say nothing, its encoding does."""
    name = glyph_name(font.name, code)
    if text not in (UNKNOWN, ""):
        return name, text
    base = slot_font(font.nfss)
    slot = glyph_name(base, code) if base and code < 128 else ""
    return (slot, name_text(slot)) if slot else (name, text)


def _by_class(command: str, subtype: int) -> str:
    if subtype == _REL and command == "|":
        return "\\mid"
    if subtype == _REL and command == "\\|":
        return "\\parallel"
    if subtype == _PUNCT and command == ":":
        return "\\colon"
    if command in ("-", "+", "*") and subtype == _ORD and command == "*":
        return "{*}"
    return command
