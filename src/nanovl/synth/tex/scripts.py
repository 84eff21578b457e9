"""How pages in other scripts are set: language of babel, family of fonts, direction.

Latin text stays in the document's own fonts. Must not translate anything (`translate` does).

Source: data synthesis specification, section 3.13 (translation) and 3.3 (a Chinese page).
"""

from __future__ import annotations

from dataclasses import dataclass

from nanovl.core.errors import ConfigError
from nanovl.synth.model.tongues import tongue

__all__ = ["Script", "language_options", "script_of"]

_LATIN = (
    "af", "az", "cs", "de", "en", "es", "et", "fi", "fr", "gl", "hr", "id", "it", "lt", "lv", "nl",
    "pl", "pt", "ro", "sl", "sv", "sw", "tl", "tr", "vi", "xh",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Script:
    """How a language is set.

    Attributes:
        font: OpenType family with its letters.
        babel: Name of the language for babel: line breaks, names of figures and tables.
        name: OpenType script.
        is_rtl: Written from right to left.
        has_latin: The family also has Latin letters; otherwise those come from another one.
    """

    font: str
    babel: str
    name: str
    is_rtl: bool = False
    has_latin: bool = False


_NASKH, _NAGARI = "Noto Naskh Arabic", "Noto Serif Devanagari"
_SCRIPTS: dict[str, Script] = {
    "ar": Script(font=_NASKH, babel="arabic", name="arab", is_rtl=True),
    "bn": Script(font="Noto Serif Bengali", babel="bengali", name="bng2"),
    "fa": Script(font=_NASKH, babel="persian", name="arab", is_rtl=True),
    "gu": Script(font="Noto Serif Gujarati", babel="gujarati", name="gjr2"),
    "he": Script(font="Noto Serif Hebrew", babel="hebrew", name="hebr", is_rtl=True),
    "hi": Script(font=_NAGARI, babel="hindi", name="dev2"),
    "ja": Script(font="Noto Serif CJK JP", babel="japanese", name="kana", has_latin=True),
    "ka": Script(font="Noto Serif Georgian", babel="georgian", name="geor"),
    "kk": Script(font="Noto Serif", babel="kazakh", name="cyrl", has_latin=True),
    "ko": Script(font="Noto Serif CJK KR", babel="korean", name="hang", has_latin=True),
    "mk": Script(font="Noto Serif", babel="macedonian", name="cyrl", has_latin=True),
    "ml": Script(font="Noto Serif Malayalam", babel="malayalam", name="mlm2"),
    "mn": Script(font="Noto Serif", babel="mongolian", name="cyrl", has_latin=True),
    "mr": Script(font=_NAGARI, babel="marathi", name="dev2"),
    "ne": Script(font=_NAGARI, babel="nepali", name="dev2"),
    "ps": Script(font=_NASKH, babel="pashto", name="arab", is_rtl=True),
    "ru": Script(font="Noto Serif", babel="russian", name="cyrl", has_latin=True),
    "si": Script(font="Noto Serif Sinhala", babel="sinhala", name="sinh"),
    "ta": Script(font="Noto Serif Tamil", babel="tamil", name="tml2"),
    "te": Script(font="Noto Serif Telugu", babel="telugu", name="tel2"),
    "uk": Script(font="Noto Serif", babel="ukrainian", name="cyrl", has_latin=True),
    "ur": Script(font=_NASKH, babel="urdu", name="arab", is_rtl=True),
    "zh": Script(font="Noto Serif CJK SC", babel="chinese-simplified", name="hani", has_latin=True),
}


def script_of(language: str) -> Script | None:
    """How a language is set; None for Latin letters, which need nothing.

    Args:
        language: Code or English name.

    Raises:
        ConfigError: The language is unknown, or lines in its script cannot be broken here.
    """
    code = tongue(language).code
    if code in _LATIN:
        return None
    if code not in _SCRIPTS:
        raise ConfigError(
            f"language {language!r}: TeX pages in its script cannot be set here; expected one of "
            f"{', '.join(sorted([*_LATIN, *_SCRIPTS]))}"
        )
    return _SCRIPTS[code]


def language_options(language: str) -> tuple[str, ...]:
    """TeX code for `compile_document(options=...)` that sets pages in a language.

    Args:
        language: Code or English name; "" for pages that stay as they are.

    Raises:
        ConfigError: See `script_of`.
    """
    script = script_of(language) if language else None
    if script is None:
        return ()
    values = {"language": script.babel, "scriptfont": script.font, "script": script.name}
    if script.is_rtl:
        values["righttoleft"] = ""
    if not script.has_latin:
        values["latinfont"] = "Noto Serif"
    out = (f"\\def\\ngt{name}{{{value}}}" for name, value in values.items())
    return ("\\def\\ngtoptions{}", *out)
