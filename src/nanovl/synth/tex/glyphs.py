"""Which characters a glyph of a TeX font stands for.

Classic TeX fonts number their glyphs privately: the map file of the installation names an encoding
or a font program, these name the glyphs, and glyph lists turn names into Unicode. OpenType fonts
say it themselves. Reads the TeX tree only; must not read the document.

Source: data synthesis specification, section 3.9.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

from nanovl.synth.tex.sandbox import hooks_folder
from nanovl.synth.tex.texfiles import tex_files

__all__ = ["UNKNOWN", "glyph_name", "name_text", "opentype_text", "tex_files", "tfm_text"]

UNKNOWN = "\ufffd"

# The font whose built-in encoding stands for a coding scheme of bitmap fonts without a map entry.
_SCHEMES = {
    "TEX TEXT": "cmr10",
    "TEX MATH ITALIC": "cmmi10",
    "TEX MATH SYMBOLS": "cmsy10",
    "TEX MATH EXTENSION": "cmex10",
    "TEX TYPEWRITER TEXT": "cmtt10",
    "TEX TEXT WITHOUT F-LIGATURES": "cmcsc10",
}
# Fonts whose program names glyphs after unrelated letters -> the font they are arranged as.
_MISNAMED = {"yrcmex10": "cmex10"}
_T1_SCHEME = "EXTENDED TEX FONT ENCODING"

# Names the glyph lists do not have; nanovl-gt-names.tex has pieces and sizes of delimiters.
_EXTRA_NAMES = {"compwordmark": "", "cwm": "", "zeroslant": "0", "nbspace": " ", "hyphenchar": "-",
                "softhyphen": "-", "sfthyphen": "-", "bracehext": "\u23af"}  # fmt: skip
_SUFFIXES = (
    "display", "text", "Bigg", "bigg", "Big", "big", "wider", "widest", "wide", "bold",
    "inferior", "superior", "oldstyle", "small", "alt", "v1", "v2", "v3", "ex", "tp", "bt", "mid",
)  # fmt: skip


@cache
def _names() -> dict[str, str]:
    """Glyph name -> text, from the three lists of the installation."""
    table: dict[str, str] = {}
    agl, tex, pdf = tex_files("glyphlist.txt", "texglyphlist.txt", "glyphtounicode.tex")
    for path in (agl, tex):
        if path is None:
            continue
        for line in path.read_text("latin-1").splitlines():
            if line and not line.startswith("#") and ";" in line:
                name, codes = line.split(";", 1)
                table[name] = _from_hex(codes.split(",")[0])
    if pdf is not None:
        pattern = re.compile(r"^\\pdfglyphtounicode\{([^}]+)\}\{([0-9A-F ]+)\}", re.MULTILINE)
        for name, codes in pattern.findall(pdf.read_text("latin-1")):
            table[name] = _from_hex(codes)
    table.update(_EXTRA_NAMES)
    own = (hooks_folder() / "nanovl-gt-names.tex").read_text("ascii")
    for name, codes in re.findall(r"\\ngt@unicode\{([^}]+)\}\{([0-9A-F]+)\}", own):
        table[name] = _from_hex(codes)
    return table


def _from_hex(codes: str) -> str:
    """Text of code points; the lists write those above U+FFFF as two halves."""
    text = "".join(chr(int(code, 16)) for code in codes.split())
    return text.encode("utf-16-be", "surrogatepass").decode("utf-16-be", "replace")


def name_text(name: str) -> str:
    """Text of a glyph name; U+FFFD when no rule gives one."""
    table = _names()
    if name in table:
        return _expand(table[name])
    match = re.fullmatch(r"uni((?:[0-9A-F]{4})+)", name) or re.fullmatch(r"u([0-9A-F]{4,6})", name)
    if match:
        codes = match.group(1)
        parts = [codes] if name[1] != "n" else [codes[i : i + 4] for i in range(0, len(codes), 4)]
        return _expand("".join(chr(int(part, 16)) for part in parts if int(part, 16) < 0x110000))
    if "." in name[1:]:
        return name_text(name[: name.index(".", 1)])
    if "_" in name[1:-1]:
        parts = [name_text(part) for part in name.split("_")]
        return UNKNOWN if UNKNOWN in parts else "".join(parts)
    for suffix in _SUFFIXES:
        if name.endswith(suffix) and name[: -len(suffix)] in table:
            return _expand(table[name[: -len(suffix)]])
    return UNKNOWN


def _expand(text: str) -> str:
    """Ligature characters as the letters they join."""
    if len(text) == 1 and "\ufb00" <= text <= "\ufb06":
        return unicodedata.normalize("NFKC", text)
    return text


@cache
def _map() -> dict[str, str]:
    """Font name -> its line of the installation's map; the last one counts."""
    (path,) = tex_files("pdftex.map")
    if path is None:
        return {}
    lines = path.read_text("latin-1").split("\n")
    return {line.split(None, 1)[0]: line for line in lines if line and line[0] not in " \t%*#;"}


def _map_entry(font: str) -> tuple[str | None, str | None]:
    """(encoding file, font program) the map names for a font.

    The map has tens of thousands of lines and a document a dozen fonts: no other line is read.
    """
    encoding = program = None
    for word in re.findall(r"<+\s*\[?\s*([^\s<]+)", _map().get(font, "")):
        if word.lower().endswith(".enc"):
            encoding = word
        else:
            program = word
    return encoding, program


@cache
def _encoding_file(name: str) -> dict[int, str]:
    (path,) = tex_files(name)
    if path is None:
        return {}
    text = re.sub(r"%[^\n]*", "", path.read_text("latin-1"))
    inside = text[text.find("[") + 1 : text.rfind("]")]
    return dict(enumerate(re.findall(r"/([^\s/\[\]]+)", inside)))


@cache
def _program(name: str) -> dict[int, str]:
    """Built-in encoding of a Type 1 font program."""
    (path,) = tex_files(name)
    if path is None or path.suffix != ".pfb":
        return {}
    clear = path.read_bytes().split(b"eexec", 1)[0].decode("latin-1")
    found = {int(code): glyph for code, glyph in re.findall(r"dup\s+(\d+)\s*/(\S+)\s+put", clear)}
    return found or (_encoding_file("8a.enc") if "StandardEncoding def" in clear else {})


@cache
def _scheme(font: str) -> str:
    """Coding scheme in the header of a font metric file."""
    (path,) = tex_files(f"{font}.tfm")
    if path is None:
        return ""
    data = path.read_bytes()
    length = data[32] if len(data) > 32 and data[3] >= 12 else 0
    return data[33 : 33 + min(length, 39)].decode("latin-1").upper().strip()


@cache
def _vector(font: str) -> dict[int, str]:
    """Code -> glyph name of a classic TeX font."""
    if font in _MISNAMED:
        return _vector(_MISNAMED[font])
    encoding, program = _map_entry(font)
    if encoding:
        return _encoding_file(encoding)
    if program:
        return _program(program)
    scheme = _scheme(font)
    if scheme.startswith(_T1_SCHEME):
        return _encoding_file("ec.enc") or _encoding_file("cork.enc")
    base = _SCHEMES.get(scheme)
    return _vector(base) if base and base != font else {}


def glyph_name(font: str, code: int) -> str:
    """Name of a glyph of a classic TeX font; empty when unknown."""
    return _vector(font).get(code, "")


@cache
def tfm_text(font: str, code: int) -> str:
    """Text of a glyph of a classic TeX font; U+FFFD when unknown."""
    name = glyph_name(font, code)
    return name_text(name) if name and name != ".notdef" else UNKNOWN


def opentype_text(code: int, to_unicode: str) -> str:
    """Text of a glyph of an OpenType font.

    Args:
        code: Character code the engine uses; private above U+E000.
        to_unicode: UTF-16 in hexadecimal digits, or empty.
    """
    if to_unicode and (code >= 0xE000 or code == 0xAD or 0xFB00 <= code <= 0xFB06):
        try:
            raw = bytes.fromhex(to_unicode)
            text = raw.decode("utf-16-be") if len(raw) % 2 == 0 else ""
        except (ValueError, UnicodeDecodeError):
            text = ""
        if not text and len(to_unicode) in (5, 6):
            text = chr(int(to_unicode, 16))
        if text and not any("\ue000" <= c <= "\uf8ff" for c in text):
            return "".join(map(_expand, text))
    if code < 0xD800 and code != 0xAD:
        return chr(code)
    if 0xF900 <= code < 0xF0000:
        return _expand(chr(code))
    return "-" if code == 0xAD else UNKNOWN
