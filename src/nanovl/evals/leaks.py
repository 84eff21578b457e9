"""Whether anything of the local suite was trained on: files by hash, texts by runs of 13 words.

The suite is indexed (it is small), training data streams past. A medium leaks when the same bytes
were trained on; a text when half of its 13-grams were, those aside that samples with different
texts share: they are wordings. Unlike the contamination report of a benchmark, which looks at
questions, this looks at a sample's own text, such as the page it shows. Must not change data, and
does not decide what to do about a leak.

Source: evaluation specification, section 11.2 (contamination).
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nanovl.core.errors import InputError
from nanovl.data.blend import load_blend
from nanovl.data.jsonl import read_jsonl
from nanovl.data.media import open_media
from nanovl.evals.base import Sample
from nanovl.evals.contamination import GRAM, grams_of

__all__ = [
    "LEAST_SHARE",
    "SHARED",
    "Leak",
    "LeakFinder",
    "own_text",
    "scan_data_set",
    "spaced",
]

SHARED = 3
"""So many samples with different texts have a wording in common."""
LEAST_SHARE = 0.5
"""Share of a text's n-grams from which on the text counts as known."""

_LEAST_WORDS = 8  # a shorter text is too common to be recognised
# Scripts written without spaces: a letter counts as a word.
_DENSE = re.compile("([\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff])")
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, kw_only=True)
class Leak:
    """A sample that training has seen something of.

    Attributes:
        sample: Its id.
        what: "medium" or "text".
        share: Of its n-grams that were seen; 1 for media.
        source: Where it was seen first.
    """

    sample: str
    what: str
    share: float
    source: str


def spaced(text: str) -> str:
    """A text with its words apart, also in scripts that are written without spaces."""
    return _DENSE.sub(r" \1 ", unicodedata.normalize("NFKC", text))


def _short(text: str) -> str:
    """The words of a text of 8 to 12 words, "" for other lengths."""
    words = _WORD.findall(text.casefold())
    return " ".join(words) if _LEAST_WORDS <= len(words) < GRAM else ""


def own_text(sample: Sample) -> str:
    """What is a sample's own: `meta["source_text"]`, else its question and references.

    The builder of a set writes the source text where questions are put into fixed wordings.
    """
    given = sample.meta.get("source_text")
    if isinstance(given, str) and given:
        return given
    answer = sample.answer
    parts = answer if isinstance(answer, (list, tuple)) else [answer]
    return "\n".join([sample.question, *(p for p in parts if isinstance(p, str))])


class LeakFinder:
    """Looks for a set of samples in whatever it is shown.

    Args:
        samples: The evaluation set.

    Attributes:
        texts, files: How many of each were shown.

    Raises:
        InputError: There are no samples, or a medium cannot be read.
    """

    def __init__(self, samples: Sequence[Sample]) -> None:
        if not samples:
            raise InputError("leak check: no samples to look for; is the suite empty?")
        self.texts = 0
        self.files = 0
        self._media: dict[str, list[str]] = defaultdict(list)
        self._short: dict[str, list[str]] = defaultdict(list)
        self._owners: dict[int, list[str]] = defaultdict(list)
        self._sizes: Counter[str] = Counter()
        self._seen: dict[str, set[int | str]] = defaultdict(set)
        self._where: dict[tuple[str, str], str] = {}
        by_text: dict[str, list[str]] = defaultdict(list)
        for sample in samples:
            by_text[spaced(own_text(sample))].append(sample.id)
            for medium in sample.media:
                data = medium.data if medium.data is not None else _read(medium.path)
                self._media[hashlib.sha256(data).hexdigest()].append(sample.id)
        self._index_texts(by_text)
        self._known = np.array(sorted(self._owners), dtype=np.uint64)

    def _index_texts(self, by_text: dict[str, list[str]]) -> None:
        grams = {text: [int(g) for g in grams_of(text)] for text in by_text}
        common = Counter(gram for found in grams.values() for gram in found)
        for text, found in grams.items():
            for gram in found:
                if common[gram] < SHARED:
                    self._owners[gram] += by_text[text]
                    self._sizes.update(by_text[text])
            if whole := _short(text):
                self._short[whole] += by_text[text]
                self._sizes.update(by_text[text])

    @property
    def searched(self) -> int:
        """Texts and n-grams that are looked for; 0 when the set has no text of its own."""
        return len(self._owners) + len(self._short)

    def see_text(self, text: str, source: str) -> None:
        """Compare a text of training data.

        Args:
            text: Any length.
            source: File and line, for reports.
        """
        self.texts += 1
        words = spaced(text)
        whole = _short(words)
        for sample in self._short.get(whole, ()) if whole else ():
            self._hit(sample, whole, source)
        grams = grams_of(words)
        if not len(grams) or not len(self._known):
            return
        places = np.searchsorted(self._known, grams).clip(max=len(self._known) - 1)
        for gram in grams[self._known[places] == grams]:
            for sample in self._owners[int(gram)]:
                self._hit(sample, int(gram), source)

    def _hit(self, sample: str, what: int | str, source: str) -> None:
        self._seen[sample].add(what)
        self._where.setdefault((sample, "text"), source)

    def see_medium(self, data: bytes, source: str) -> None:
        """Compare a file of training data."""
        self.files += 1
        for sample in self._media.get(hashlib.sha256(data).hexdigest(), ()):
            self._where.setdefault((sample, "medium"), source)

    def leaks(self, *, least: float = LEAST_SHARE) -> list[Leak]:
        """Samples seen in training, sorted by id.

        Args:
            least: Share of a sample's n-grams from which on its text counts as seen; 0 reports
                every sample with a single common n-gram.
        """
        found = [
            Leak(sample=sample, what=what, share=1.0, source=source)
            for (sample, what), source in self._where.items()
            if what == "medium"
        ]
        for sample, seen in self._seen.items():
            share = len(seen) / self._sizes[sample]
            if share >= least:
                source = self._where[sample, "text"]
                found.append(Leak(sample=sample, what="text", share=share, source=source))
        return sorted(found, key=lambda leak: (leak.sample, leak.what))


def _read(path: str | None) -> bytes:
    try:
        return Path(path or "").read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error


def scan_data_set(finder: LeakFinder, data_set: Path) -> None:
    """Show a finder all texts and media of a training set or blend.

    Args:
        finder: Of the evaluation set.
        data_set: A record file, a folder or a blend file.

    Raises:
        ConfigError: There is no such set.
        InputError: It cannot be read; names file and line.
    """
    for source in load_blend(data_set):
        names: set[str] = set()
        for number, record in read_jsonl(source.path):
            for kind, value in _fragments(record):
                if kind == "text":
                    finder.see_text(value, f"{source.path}:{number}")
                else:
                    names.add(value)
        if not names:
            continue
        media = open_media(source.media, source.path.parent)
        for name in sorted(names):
            ref = media.find(name)
            if ref.path is None:
                raise InputError(f"{source.path}: medium {name!r} is not a local file")
            offset, size = ref.byte_range or (0, -1)
            with ref.path.open("rb") as file:
                file.seek(offset)
                finder.see_medium(file.read(size), f"{source.path}: {name}")


def _fragments(record: Any) -> Iterator[tuple[str, str]]:
    """Kind and content of everything in the messages of a record."""
    messages = record.get("messages") if isinstance(record, dict) else None
    for message in messages if isinstance(messages, list) else ():
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(content, str):
            yield "text", content
        for part in content if isinstance(content, list) else ():
            kind = part.get("type") if isinstance(part, dict) else None
            if isinstance(kind, str) and isinstance(part.get(kind), str):
                yield kind, part[kind]
