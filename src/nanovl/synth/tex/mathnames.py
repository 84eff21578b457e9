"""What the engine called the maths characters of a document: by family and slot, not by font.

LaTeX ties every symbol command, accent, delimiter and key to a family of fonts and a slot; the
hooks write these ties down at the end of a run. Whatever fonts a package puts into the families,
the command that prints a character is then known. Fonts of a bold version or of a bold command
count as the family they are the bold series of. Must not know the structure of lists.

Source: data synthesis specification, sections 3.9 and 3.10.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

__all__ = ["MathNames", "Named", "slot_font"]

# Classes of TeX's characters.
_ORDINARY, _OPERATOR, _BINARY, _RELATION, _OPENING, _CLOSING, _PUNCTUATION, _VARIABLE = range(8)
# Kind of noad -> class of the character that makes one.
_CLASSES = {
    0: _ORDINARY, 1: _OPERATOR, 2: _OPERATOR, 3: _OPERATOR, 4: _BINARY, 5: _RELATION,
    6: _OPENING, 7: _CLOSING, 8: _PUNCTUATION,
}  # fmt: skip
_WRAPPERS = {
    _ORDINARY: "{%s}", _OPERATOR: "\\mathop{%s}", _BINARY: "\\mathbin{%s}",
    _RELATION: "\\mathrel{%s}", _OPENING: "\\mathopen{%s}", _CLOSING: "\\mathclose{%s}",
    _PUNCTUATION: "\\mathpunct{%s}",
}  # fmt: skip

# Alphabets of packages -> the command everybody has; "" prints letters as they are.
_ALPHABETS = {
    "mathnormal": "", "mathbbm": "mathbb", "mathds": "mathbb", "EuScript": "mathscr",
    "mathfrakbold": "mathfrak", "mathbold": "boldsymbol", "mathbm": "boldsymbol",
    "mathbfit": "boldsymbol", "mathbcal": "boldcal", "mathbfcal": "boldcal",
    "mathbscr": "boldcal", "mathpzc": "mathcal", "mathbfsf": "mathsf", "mathsfbf": "mathsf",
    "mathsfit": "mathsf",
}  # fmt: skip
_BOLD = {"": "boldsymbol", "mathcal": "boldcal", "mathrm": "mathbf", "mathit": "boldsymbol"}
_NO_DIGITS = ("mathcal", "mathscr", "mathfrak")
_KEYS = {"{": "\\{", "}": "\\}", "#": "\\#", "%": "\\%", "&": "\\&", "_": "\\_", "$": "\\$",
         "\\": "\\backslash", "~": "\\sim"}  # fmt: skip
_FENCES = {"lvert": "|", "rvert": "|", "vert": "|", "lVert": "\\|", "rVert": "\\|",
           "Vert": "\\|", "lbrace": "\\{", "rbrace": "\\}", "<": "\\langle",
           ">": "\\rangle"}  # fmt: skip
_COMMANDS = {"lbrace": "\\{", "rbrace": "\\}", "Vert": "\\|", "vert": "|"}

# Encoding of LaTeX, or encoding and family -> the classic font that is arranged so.
_SLOTS = {
    "OML": "cmmi10", "OMS": "cmsy10", "OMX": "cmex10", "OT1": "cmr10", "LMS": "cmsy10",
    "LMX": "cmex10", "U/msa": "msam10", "U/msb": "msbm10", "U/cmex": "cmex10",
}  # fmt: skip


class Named(NamedTuple):
    """A maths character.

    Attributes:
        text: Command, or letter.
        alphabet: Of a letter: "" as it stands, else the alphabet's command without backslash;
            None for a symbol.
    """

    text: str
    alphabet: str | None


def slot_font(nfss: str) -> str:
    """Classic font with the same slots as a font LaTeX selected; "" when there is none."""
    parts = nfss.split("/")
    return _SLOTS.get(parts[0]) or _SLOTS.get("/".join(parts[:2]), "")


def _select(nfss: str) -> tuple[str, str, str, str]:
    """Encoding, family, series and shape."""
    parts = nfss.split("/")
    if len(parts) < 5:
        return ("", "", "", "")
    return (parts[0], "/".join(parts[1:-3]), parts[-3], parts[-2])


def _is_bold(series: str) -> bool:
    return series.lstrip("seu").startswith("b")


class MathNames:
    """Names of maths characters in one document.

    Args:
        tables: What the hooks recorded: "symbols", "delimiters", "accents" (name, class, family,
            slot), "keys" (character, class, family, slot), "alphabets" (name, family), "families"
            (family, font as LaTeX selects it, metric file), "muskips" (thin, medium, thick space).

    Attributes:
        spaces: Width of a space, in 65536ths of a mu -> its command.
    """

    def __init__(self, tables: Mapping[str, Sequence[Any]]) -> None:
        thin, medium, thick = tables.get("muskips") or (3 << 16, 4 << 16, 5 << 16)
        self.spaces = {
            36 << 16: "\\qquad", 18 << 16: "\\quad", thick: "\\;", medium: "\\:",
            -thin: "\\!", thin: "\\,",
        }  # fmt: skip
        self._letters: dict[tuple[int, int], str] = {}
        self._symbols: dict[tuple[int, int], list[tuple[int, str]]] = defaultdict(list)
        for char, klass, family, slot in tables.get("keys", ()):
            key = chr(char)
            if key.isalnum():
                self._letters.setdefault((family, slot), key)
            elif klass < _VARIABLE or (klass == _VARIABLE and slot):
                self._symbols[family, slot].append((klass, _KEYS.get(key, key)))
        for name, klass, family, slot in (*tables.get("symbols", ()),
                                          *tables.get("delimiters", ())):  # fmt: skip
            if name not in "()[]<>/|":
                command = _COMMANDS.get(name, f"\\{name}")
                self._symbols[family, slot].append((klass, command))
        self._fences: dict[tuple[int, int], str] = {}
        for name, _, family, slot in tables.get("delimiters", ()):
            command = _FENCES.get(name) or (name if len(name) == 1 else f"\\{name}")
            self._fences.setdefault((family, slot), command)
        self._accents: dict[tuple[int, int], str] = {}
        for name, _, family, slot in tables.get("accents", ()):
            self._accents.setdefault((family, slot), f"\\{name}")
        self._alphabets: dict[int, str] = {}
        for name, family in tables.get("alphabets", ()):
            self._alphabets.setdefault(family, _ALPHABETS.get(name, name))
        self._alphabets.setdefault(0, "mathrm")  # the operators
        self._homes: dict[int, tuple[str, str, str, str]] = {}
        self._files: dict[int, str] = {}
        for family, nfss, file in tables.get("families", ()):
            self._homes[family] = _select(nfss)
            self._files[family] = file
        self._known = {f for f, _ in (*self._symbols, *self._letters)} | set(self._alphabets)

    def find(self, family: int, slot: int, nfss: str, kind: int, file: str = "") -> Named | None:
        """The character of a noad.

        Args:
            family: Of maths fonts.
            slot: In the font.
            nfss: What LaTeX selected the font by, or "".
            kind: Of the noad; -1 where the class does not matter.
            file: Metric file of the font: the same one may serve two series.

        Returns:
            None when no definition prints it.
        """
        for home, is_bold in self._places(family, nfss, file):
            letter = self._letters.get((home, slot))
            if letter is not None:
                bold = "mathbf" if letter.isdigit() else "boldsymbol"
                return Named(letter, bold if is_bold else "")
            command = self._command(self._symbols.get((home, slot), []), kind, is_bold)
            if command is not None:
                return Named(command, None)
            alphabet = self._alphabets.get(home)
            if alphabet is None:
                continue
            is_letter = slot < 128 and chr(slot).isalnum()
            if is_letter and not (chr(slot).isdigit() and alphabet in _NO_DIGITS):
                return Named(chr(slot), _BOLD.get(alphabet, alphabet) if is_bold else alphabet)
            varied = self._varied(home, slot)
            if varied and alphabet not in ("", "boldcal"):
                return Named(f"\\{alphabet}{{{varied}}}", None)
        return None

    def _command(self, found: list[tuple[int, str]], kind: int, is_bold: bool) -> str | None:
        if not found:
            return None
        wanted = _CLASSES.get(kind, -1)
        natural, command = next(
            (p for p in found if p[0] == wanted or (p[0], wanted) == (_VARIABLE, _ORDINARY)),
            next((pair for pair in found if pair[0] == _VARIABLE), found[0]),
        )
        if is_bold and command != "\\not":
            command = f"\\boldsymbol{{{command}}}"
        if wanted < 0 or natural in (wanted, _VARIABLE):
            return command
        return _WRAPPERS[wanted] % command

    def _varied(self, family: int, slot: int) -> str | None:
        """A symbol that goes with the alphabet, as capital Greek letters do."""
        encoding = self._homes.get(family, ("",))[0]
        for (home, code), found in self._symbols.items():
            if code == slot and self._homes.get(home, (None,))[0] == encoding:
                for klass, command in found:
                    if klass == _VARIABLE:
                        return command
        return None

    def _places(self, family: int, nfss: str, file: str) -> list[tuple[int, bool]]:
        """Families a font may stand for, and whether as their bold series; likely ones first."""
        now = _select(nfss)
        places: list[tuple[int, bool]] = []
        if family in self._known:
            home = self._homes.get(family, now)
            if home == now or not now[0] or (file and file == self._files.get(family)):
                places.append((family, False))
            elif home[:2] == now[:2] and _is_bold(now[2]) and not _is_bold(home[2]):
                places.append((family, True))
        if now[0]:
            others = [f for f in sorted(self._known) if f != family]
            places += [(f, False) for f in others if self._homes.get(f) == now]
            if _is_bold(now[2]):
                places += [
                    (f, True)
                    for f in sorted(self._known)
                    if (other := self._homes.get(f)) is not None
                    and other[:2] == now[:2]
                    and not _is_bold(other[2])
                    and (f, True) not in places
                ]
        if not places and family in self._known:
            places.append((family, False))
        return places

    def fence(self, family: int, slot: int) -> str | None:
        """Delimiter of \\left and its kin."""
        return self._fences.get((family, slot))

    def accent(self, family: int, slot: int, nfss: str) -> str | None:
        """Accent command; those of text fonts go with the alphabet."""
        found = self._accents.get((family, slot))
        if found is None and nfss and self._homes.get(0, ("",))[0] == _select(nfss)[0]:
            found = self._accents.get((0, slot))
        return found
