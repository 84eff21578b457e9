"""Scripts: their letters, which one a text is in, and which need shaping.

Source: data synthesis specification, section 4.1; names are those of the Unicode character names.
"""

from __future__ import annotations

import unicodedata

__all__ = ["SCRIPTS", "is_complex", "needs_shaping", "script_of", "script_of_char"]

_ASCII = "".join(map(chr, range(33, 127)))
SCRIPTS: dict[str, str] = {
    "latin": _ASCII,
    "greek": "".join(map(chr, (*range(0x391, 0x3A2), *range(0x3A3, 0x3CF)))),
    "cyrillic": "".join(map(chr, (*range(0x410, 0x450), 0x401, 0x451))),
    "arabic": "\u0627\u0628\u062a\u062b\u062c\u062d\u062f\u0631\u0633\u0639\u0641\u0642\u0644\u0645"
    "\u0646\u0647\u0648\u064a",
    "hebrew": "".join(map(chr, range(0x5D0, 0x5EB))),
    "devanagari": "".join(map(chr, (*range(0x905, 0x90C), *range(0x915, 0x929)))) + "\u093e\u094d",
    "thai": "".join(map(chr, (*range(0xE01, 0xE2F), *range(0xE30, 0xE3A)))),
    "chinese": "\u7684\u4e00\u662f\u4e0d\u4e86\u4eba\u6211\u5728\u6709\u4ed6\u8fd9\u4e2d\u5927",
    "japanese": "".join(map(chr, (*range(0x3042, 0x3090), *range(0x30A2, 0x30F0)))),
    "korean": "\uac00\ub098\ub2e4\ub77c\ub9c8\ubc14\uc0ac\uc544\uc790\ud558",
}


def script_of_char(char: str) -> str:
    """Rough script of a letter, "" for marks, digits and everything unnamed."""
    name = unicodedata.name(char, "")
    first = name.partition(" ")[0]
    table = {
        "LATIN": "latin",
        "GREEK": "greek",
        "CYRILLIC": "cyrillic",
        "ARABIC": "arabic",
        "HEBREW": "hebrew",
        "DEVANAGARI": "devanagari",
        "THAI": "thai",
        "CJK": "chinese",
        "HIRAGANA": "japanese",
        "KATAKANA": "japanese",
        "HANGUL": "korean",
    }
    return table.get(first, first.lower() if char.isalpha() else "")


def script_of(text: str) -> str:
    """The script most letters of a text are in ("latin" without letters)."""
    counts: dict[str, int] = {}
    for char in text[:2000]:
        if char.isalpha():
            name = "latin" if char.isascii() else script_of_char(char)
            counts[name] = counts.get(name, 0) + 1
    return max(sorted(counts), key=lambda k: counts[k]) if counts else "latin"


def needs_shaping(text: str) -> bool:
    """Whether letters change form or order with their neighbours."""
    return not text.isascii() and any(is_complex(c) for c in text)


def is_complex(char: str) -> bool:
    """Whether a character needs a shaping engine: right-to-left, Indic, South-East Asian, marks."""
    code = ord(char)
    return (
        0x300 <= code <= 0x36F
        or 0x590 <= code <= 0x8FF
        or 0x900 <= code <= 0xDFF
        or 0xE00 <= code <= 0x109F
        or 0x1780 <= code <= 0x17FF
        or 0xFB1D <= code <= 0xFDFF
        or 0xFE70 <= code <= 0xFEFF
    )
