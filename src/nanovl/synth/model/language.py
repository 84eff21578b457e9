"""Whether a text is written in the script of its language, and whether scripts are mixed.

Words are judged by `quality.languages`; this adds what short questions and long traces need. Must
not be used to name languages.

Source: data synthesis specification, section 19 (language).
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

from nanovl.synth.quality.languages import fits

__all__ = ["language_problem", "mixes_scripts"]

_SCRIPTS = {
    "ar": ("ARABIC",), "fa": ("ARABIC",), "ur": ("ARABIC",), "he": ("HEBREW",),
    "ru": ("CYRILLIC",), "uk": ("CYRILLIC",), "bg": ("CYRILLIC",), "sr": ("CYRILLIC", "LATIN"),
    "mk": ("CYRILLIC",), "el": ("GREEK",), "hi": ("DEVANAGARI",), "mr": ("DEVANAGARI",),
    "bn": ("BENGALI",), "ta": ("TAMIL",), "te": ("TELUGU",), "th": ("THAI",), "ka": ("GEORGIAN",),
    "hy": ("ARMENIAN",), "am": ("ETHIOPIC",), "ko": ("HANGUL", "CJK"), "zh": ("CJK",),
    "ja": ("HIRAGANA", "KATAKANA", "CJK"),
}  # fmt: skip
_LATIN = (
    "cs", "da", "de", "en", "es", "et", "fi", "fr", "hr", "hu", "id", "it", "lt", "lv", "nl", "no",
    "pl", "pt", "ro", "sk", "sl", "sv", "tr", "vi",
)  # fmt: skip
_EAST_ASIAN = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL")
_ALL_SCRIPTS = {"LATIN", *(name for names in _SCRIPTS.values() for name in names)}
_LEAST_LETTERS = 8


def language_problem(text: str, language: str) -> str:
    """Why a text is not in a language, "" when it may be.

    Args:
        text: A question, an answer or a translation; very short ones are never refused.
        language: BCP-47; only its first part counts, "" is any language.
    """
    base = re.split(r"[-_]", language.lower())[0]
    shares = _shares(text)
    wanted = _SCRIPTS.get(base) or (("LATIN",) if base in _LATIN else ())
    is_long = sum(map(str.isalpha, text)) >= _LEAST_LETTERS
    if wanted and is_long and sum(shares.get(name, 0.0) for name in wanted) < 0.5:
        found = max(sorted(shares), key=shares.__getitem__)
        return f"written in {found.title()} letters, expected {wanted[0].title()}"
    other = fits(base, text)
    return f"reads like {other!r}, expected {base!r}" if other else ""


def mixes_scripts(text: str, also: str = "", least: float = 0.03) -> bool:
    """Whether a second writing system runs through a text.

    Args:
        text: A trace.
        also: What it is about; scripts found there are allowed. Greek letters always are.
        least: Share of the letters from which on a script counts.
    """
    allowed = {*_families(also), "GREEK"}
    shares = _families(text)
    if not shares:
        return False
    first = max(sorted(shares), key=shares.__getitem__)
    return any(s >= least for name, s in shares.items() if name != first and name not in allowed)


def _shares(text: str) -> dict[str, float]:
    """Share of the letters of a text that each script has."""
    counts: Counter[str] = Counter()
    for char in text:
        if char.isalpha():
            counts[unicodedata.name(char, "UNKNOWN").split()[0]] += 1
    total = counts.total()
    return {name: count / total for name, count in counts.items()}


def _families(text: str) -> dict[str, float]:
    """Shares of scripts, those that are written together as one; symbols left out."""
    shares: dict[str, float] = {}
    for name, share in _shares(text).items():
        family = "CJK" if name in _EAST_ASIAN else name
        if family in _ALL_SCRIPTS:
            shares[family] = shares.get(family, 0.0) + share
    return shares
