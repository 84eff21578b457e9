"""Words of Chinese, Japanese and Korean, and how the first two are written without blanks.

Must not draw; line breaking is in `lines`.

Source: data synthesis specification, section 4.1 (no blanks around CJK, Chinese marks).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

__all__ = ["ENDS", "LANGUAGES", "UNSPACED", "cjk_words", "joined"]

UNSPACED = ("chinese", "japanese")
LANGUAGES = {"latin": "en", "chinese": "zh", "japanese": "ja", "korean": "ko"}
# Marks after a word: the comma is the most frequent one.
ENDS = {
    "chinese": "\uff0c\uff0c\uff0c\u3002\u3002\u3001\uff1b\uff1a\uff01\uff1f",
    "japanese": "\u3001\u3001\u3001\u3002\u3002\u3002\u30fb\uff01\uff1f",
}


@lru_cache(maxsize=1)
def _lists() -> dict[str, tuple[str, ...]]:
    text = (Path(__file__).parent / "cjk.txt").read_text(encoding="utf-8")
    lines = [line.split("|") for line in text.splitlines() if line and not line.startswith("#")]
    return {script: tuple(words.split()) for script, words in lines}


def cjk_words(script: str) -> tuple[str, ...]:
    """Common words of "chinese", "japanese" or "korean", none for other scripts."""
    return _lists().get(script, ())


def joined(words: Iterable[str], script: str) -> str:
    """Words as a line: with blanks, or without them where the script has none.

    Between two words of Latin letters or digits a blank stays, or they would become one.
    """
    if script not in UNSPACED:
        return " ".join(words)
    text = ""
    for word in words:
        if text[-1:].isascii() and word[:1].isascii() and text:
            text += " "
        text += word
    return text
