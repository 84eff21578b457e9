"""Words and sentences of the documents in six languages, read from the folder `words`.

A line is `key | en | de | fr | es | it | pt`; alternatives are separated by ";", and "=en" repeats
the English ones. Data only: must not draw anything at random.

Source: data synthesis specification, section 9 (languages). The words are our own.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from nanovl.core.config import nearest
from nanovl.core.errors import ConfigError, InputError

__all__ = ["LANGUAGES", "english_name", "phrases"]

LANGUAGES = ("en", "de", "fr", "es", "it", "pt")
_FILES = ("labels", "people", "goods", "prose")


@lru_cache(maxsize=1)
def _bank() -> dict[str, dict[str, tuple[str, ...]]]:
    bank: dict[str, dict[str, tuple[str, ...]]] = {}
    for name in _FILES:
        path = Path(__file__).parent / "words" / f"{name}.txt"
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            key, *cells = (part.strip() for part in line.split("|"))
            if len(cells) != len(LANGUAGES) or key in bank:
                raise InputError(
                    f"{path.name}, line {number}: {key!r} has {len(cells)} languages, expected "
                    f"{len(LANGUAGES)}, and a key once only"
                )
            first = tuple(text.strip() for text in cells[0].split(";"))
            bank[key] = {
                language: first if cell == "=en" else tuple(t.strip() for t in cell.split(";"))
                for language, cell in zip(LANGUAGES, cells, strict=True)
            }
    return bank


def phrases(key: str, language: str) -> tuple[str, ...]:
    """Alternatives of a key in a language.

    Raises:
        ConfigError: There is no such key.
    """
    bank = _bank()
    if key not in bank:
        raise ConfigError(f"no phrase {key!r}{nearest(key, bank)}")
    return bank[key][language]


def english_name(key: str) -> str:
    """What a field is called in questions: its first English label, small unless an acronym."""
    name = phrases(key, "en")[0].rstrip(".")
    first = name.split()[0]
    return name if first.isupper() and len(first) > 1 else name[:1].lower() + name[1:]
