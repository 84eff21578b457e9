"""Words that mean the same, from the files of WordNet 3.0.

Only what METEOR asks for: the sets of synonyms a word form belongs to. The files are looked for on
this machine and never fetched: where NLTK keeps its data, and where Linux packages put them
(Debian: `wordnet-base`).

Source: evaluation specification, section 8; file formats: WordNet 3.0 manual, wndb(5) and
morphy(7).
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from nanovl.core.errors import InputError

__all__ = ["Name", "Synset", "WordNet", "places"]

_PARTS = ("noun", "verb", "adj", "adv")
_FILES = tuple(f"{kind}.{part}" for kind in ("index", "data") for part in _PARTS) + tuple(
    f"{part}.exc" for part in _PARTS
)
_SYSTEM = Path("/usr/share/wordnet")

# Endings taken off, and what is put in their place, by part of speech.
_ENDINGS: dict[str, tuple[tuple[str, str], ...]] = {
    "noun": (
        ("s", ""), ("ses", "s"), ("ves", "f"), ("xes", "x"), ("zes", "z"), ("ches", "ch"),
        ("shes", "sh"), ("men", "man"), ("ies", "y"),
    ),
    "verb": (
        ("s", ""), ("ies", "y"), ("es", "e"), ("es", ""), ("ed", "e"), ("ed", ""), ("ing", "e"),
        ("ing", ""),
    ),
    "adj": (("er", ""), ("est", ""), ("er", "e"), ("est", "e")),
    "adv": (),
}  # fmt: skip
_MARK = re.compile(r"\([a-z]+\)$")


class Name(NamedTuple):
    """One word of a set of synonyms."""

    text: str

    def name(self) -> str:
        """The word, blanks written as underscores."""
        return self.text


class Synset(NamedTuple):
    """Words that mean the same."""

    words: tuple[Name, ...]

    def lemmas(self) -> tuple[Name, ...]:
        """The words."""
        return self.words


class WordNet:
    """The synonyms of a folder or ZIP file with the WordNet files.

    Args:
        source: Folder holding `index.noun`, `data.noun`, `noun.exc` and so on, or a ZIP file
            holding a folder `wordnet` with them.

    Raises:
        InputError: Files are missing.
    """

    def __init__(self, source: Path) -> None:
        self.source = source
        contents = _read(source)
        missing = [name for name in _FILES if name not in contents]
        if missing:
            raise InputError(
                f"{source}: WordNet files are missing: {', '.join(missing)}; expected "
                f"{', '.join(_FILES)}. Install WordNet 3.0 (Debian: wordnet-base)"
            )
        self._data = {part: contents[f"data.{part}"] for part in _PARTS}
        self._index = {part: _index(contents[f"index.{part}"].decode()) for part in _PARTS}
        self._irregular = {part: _irregular(contents[f"{part}.exc"].decode()) for part in _PARTS}
        self._known: dict[str, list[Synset]] = {}

    @classmethod
    def find(cls) -> WordNet | None:
        """The first complete copy in `places`, or None."""
        for place in places():
            if place.exists():
                try:
                    return cls(place)
                except InputError:
                    continue
        return None

    def synsets(self, word: str) -> Sequence[Synset]:
        """All sets of synonyms a word form belongs to, as any part of speech."""
        word = word.lower()
        if word not in self._known:
            self._known[word] = [
                self._synset(part, offset)
                for part in _PARTS
                for form in self._base_forms(word, part)
                for offset in self._index[part][form]
            ]
        return self._known[word]

    def _base_forms(self, word: str, part: str) -> list[str]:
        forms = self._irregular[part].get(word)
        if forms is None:
            forms = [word[: -len(old)] + new for old, new in _ENDINGS[part] if word.endswith(old)]
        return [form for form in dict.fromkeys([word, *forms]) if form in self._index[part]]

    def _synset(self, part: str, offset: int) -> Synset:
        data = self._data[part]
        fields = data[offset : data.index(b"|", offset)].decode().split()
        count = int(fields[3], 16)
        return Synset(tuple(Name(_MARK.sub("", word)) for word in fields[4 : 4 + 2 * count : 2]))


def places() -> list[Path]:
    """Where the files are looked for, in order."""
    import nltk.data

    found = []
    for folder in nltk.data.path:
        corpora = Path(folder) / "corpora"
        found += [corpora / "wordnet", corpora / "wordnet.zip"]
    return [*found, _SYSTEM]


def _read(source: Path) -> dict[str, bytes]:
    if source.is_dir():
        return {name: (source / name).read_bytes() for name in _FILES if (source / name).is_file()}
    try:
        with zipfile.ZipFile(source) as archive:
            inside = {Path(name).name: name for name in archive.namelist()}
            return {name: archive.read(inside[name]) for name in _FILES if name in inside}
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{source}: cannot be read as a folder or ZIP file of WordNet ({error}). "
            "Give the folder that holds index.noun"
        ) from error


def _index(text: str) -> dict[str, tuple[int, ...]]:
    """Word to positions of its sets in the data file."""
    found = {}
    for line in text.splitlines():
        # The licence stands first, on lines that begin with blanks.
        if line and not line.startswith(" "):
            fields = line.split()
            found[fields[0]] = tuple(map(int, fields[-int(fields[2]) :]))
    return found


def _irregular(text: str) -> dict[str, list[str]]:
    lines = (line.split() for line in text.splitlines() if line.strip())
    return {words[0]: words[1:] for words in lines}
