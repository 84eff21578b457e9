"""Whether questions of a benchmark stand in the training data: word 13-grams and picture hashes.

The evaluation side is small and kept in memory; the training side is read once, record by record,
whatever its size. Pictures are compared by a 64-bit perceptual hash, found again within four bits.
Must not change what it reads, and says nothing about answers.

Source: evaluation specification, section 11.2 (contamination).
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nanovl.core.conversation import MediaRef
from nanovl.core.errors import CapacityError, InputError, NanoVLError
from nanovl.core.events import Event, OnEvent, ignore_event
from nanovl.evals.base import Medium, Sample

if TYPE_CHECKING:
    from PIL import Image

__all__ = [
    "GRAM",
    "MOST_BITS",
    "Contamination",
    "EvalIndex",
    "TrainingItem",
    "grams_of",
    "picture_hash",
    "picture_hash_of",
    "scan",
    "training_items",
]

GRAM = 13
MOST_BITS = 4
_MOST_GRAMS = 20_000_000
_BANDS = MOST_BITS + 1  # of five parts of a hash, one is equal when at most four bits differ
_WORD = re.compile(r"\w+")
_SIDE = 32
_KEPT = 8
_EVERY = 200

_Hashes = np.ndarray[Any, np.dtype[np.uint64]]


@dataclass(kw_only=True)
class Contamination:
    """What was found.

    Attributes:
        samples: Questions looked for.
        checked_text: Those with at least 13 words; shorter ones say nothing.
        checked_pictures: Those with a picture.
        text_hits, picture_hits: Ids of questions that were found, with a record that holds them.
        records, pictures: Training records and pictures that were read.
        unread: Training pictures that could not be opened.
    """

    samples: int = 0
    checked_text: int = 0
    checked_pictures: int = 0
    text_hits: dict[str, str] = field(default_factory=dict)
    picture_hits: dict[str, str] = field(default_factory=dict)
    records: int = 0
    pictures: int = 0
    unread: int = 0

    @property
    def hits(self) -> set[str]:
        """Ids of questions that were found in either way."""
        return {*self.text_hits, *self.picture_hits}

    @property
    def share(self) -> float:
        """Share of the questions that were found."""
        return len(self.hits) / self.samples if self.samples else 0.0


@dataclass(frozen=True, kw_only=True)
class TrainingItem:
    """One record of a training set.

    Attributes:
        name: For people: file and line.
        text: All it says.
        media: Its pictures.
        missing: Pictures it names that are not there.
    """

    name: str
    text: str
    media: Sequence[MediaRef] = ()
    missing: int = 0


class EvalIndex:
    """The questions of some benchmarks, ready to be found.

    Args:
        benchmarks: By name, what to look for.

    Attributes:
        found: Per benchmark what was found so far.

    Raises:
        CapacityError: More text than fits into memory.
    """

    def __init__(self, benchmarks: Mapping[str, Iterable[Sample]]) -> None:
        self.found = {name: Contamination() for name in benchmarks}
        self._owners: list[tuple[str, str]] = []
        self._total = 0
        self._pictures: list[tuple[int, int]] = []  # hash, owner
        grams: list[_Hashes] = []
        for name, samples in benchmarks.items():
            for sample in samples:
                grams.append(self._add(name, sample))
        total = sum(map(len, grams))
        numbers = [np.full(len(g), i, dtype=np.int32) for i, g in enumerate(grams)]
        joined = np.concatenate(grams) if total else np.zeros(0, dtype=np.uint64)
        owner = np.concatenate(numbers) if total else np.zeros(0, dtype=np.int32)
        order = np.argsort(joined, kind="stable")
        self._grams: _Hashes = joined[order]
        self._owner = owner[order]
        self._bands: list[dict[int, list[int]]] = [defaultdict(list) for _ in range(_BANDS)]
        for index, (hashed, _) in enumerate(self._pictures):
            for band, part in enumerate(_bands_of(hashed)):
                self._bands[band][part].append(index)

    def _add(self, name: str, sample: Sample) -> _Hashes:
        found = self.found[name]
        found.samples += 1
        number = len(self._owners)
        self._owners.append((name, sample.id))
        hashes = [picture_hash_of(_ref(m)) for m in sample.media if m.kind == "image"]
        readable = [hashed for hashed in hashes if hashed is not None]
        self._pictures += [(hashed, number) for hashed in readable]
        found.checked_pictures += bool(readable)
        grams = grams_of(" ".join((sample.hint, sample.question, *sample.options.values())))
        found.checked_text += bool(len(grams))
        self._total += len(grams)
        if self._total > _MOST_GRAMS:
            raise CapacityError(
                f"the questions have more than {_MOST_GRAMS:,} runs of {GRAM} words; check fewer "
                "benchmarks at a time"
            )
        return grams

    def look(self, item: TrainingItem) -> None:
        """Note which questions a training record holds."""
        for found in self.found.values():
            found.records += 1
            found.unread += item.missing
        if len(self._grams):
            grams = grams_of(item.text)
            left = np.searchsorted(self._grams, grams, side="left")
            right = np.searchsorted(self._grams, grams, side="right")
            hit = left < right
            for start, stop in zip(left[hit], right[hit], strict=True):
                for number in self._owner[start:stop]:
                    name, sample = self._owners[int(number)]
                    self.found[name].text_hits.setdefault(sample, item.name)
        if self._pictures:
            for ref in item.media:
                self._look_at(ref, item.name)

    def _look_at(self, ref: MediaRef, name: str) -> None:
        hashed = picture_hash_of(ref)
        for found in self.found.values():
            found.pictures += hashed is not None
            found.unread += hashed is None
        if hashed is None:
            return
        candidates = {
            index
            for band, part in enumerate(_bands_of(hashed))
            for index in self._bands[band].get(part, ())
        }
        for index in candidates:
            other, number = self._pictures[index]
            if (hashed ^ other).bit_count() <= MOST_BITS:
                benchmark, sample = self._owners[number]
                self.found[benchmark].picture_hits.setdefault(sample, name)


def scan(
    benchmarks: Mapping[str, Iterable[Sample]],
    training: Iterable[TrainingItem],
    *,
    on_event: OnEvent = ignore_event,
) -> dict[str, Contamination]:
    """Look for every question in a training set, which is read once.

    Args:
        benchmarks: Questions by benchmark.
        training: Records.
        on_event: Told about progress.
    """
    index = EvalIndex(benchmarks)
    for number, item in enumerate(training, start=1):
        index.look(item)
        if number % _EVERY == 0:
            on_event(Event(name="contamination", done=number, unit="records"))
    return index.found


def training_items(path: Path, media: Path | None = None) -> Iterator[TrainingItem]:
    """Records of a training set: a `.jsonl` file, or a folder with some.

    Args:
        path: Records in nanovl's format.
        media: Folder or archive of their media; None takes the folder of the records.

    Raises:
        InputError: There are no records, or a line is no record.
    """
    from nanovl.data.media import open_media
    from nanovl.data.records import Record, read_jsonl

    files = sorted(path.rglob("*.jsonl")) if path.is_dir() else [path]
    if not files:
        raise InputError(f"{path}: holds no .jsonl files; expected a training set of nanovl")
    for file in files:
        store = open_media(media, file.parent)
        for number, line in read_jsonl(file):
            record = Record.from_json(line, where=f"{file}:{number}")
            names = [f.value for m in record.messages for f in m.content if f.type == "image"]
            refs: list[MediaRef] = []
            for name in names:
                with suppress(InputError):  # counted by what is missing in the end
                    refs.append(store.find(name))
            yield TrainingItem(
                name=f"{file.name}:{number}",
                text=" ".join(message.text for message in record.messages),
                media=refs,
                missing=len(names) - len(refs),
            )


def grams_of(text: str) -> _Hashes:
    """Hashes of all runs of 13 words, case and punctuation aside; none for shorter texts."""
    words = _WORD.findall(unicodedata.normalize("NFKC", text).casefold())
    count = len(words) - GRAM + 1
    if count < 1:
        return np.zeros(0, dtype=np.uint64)
    hashed = np.array([_word_hash(word) for word in words], dtype=np.uint64)
    sums = np.zeros(count, dtype=np.uint64)
    factor = np.uint64(0x9E3779B97F4A7C15)
    with np.errstate(over="ignore"):
        for offset in range(GRAM):
            sums = sums * factor + hashed[offset : offset + count]
        sums ^= sums >> np.uint64(29)
        sums *= np.uint64(0xBF58476D1CE4E5B9)
        sums ^= sums >> np.uint64(32)
    return np.unique(sums)


def picture_hash(image: Image.Image) -> int:
    """64 bits that hardly change when a picture is resized or re-encoded.

    The signs, around their median, of the 8 x 8 lowest frequencies of the grey picture at 32 x 32.
    """
    from PIL import Image

    small = image.convert("L").resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    pixels = np.asarray(small, dtype=np.float64)
    waves = _cosines()
    low = (waves @ pixels @ waves.T)[:_KEPT, :_KEPT].reshape(-1)
    bits = low > np.median(low[1:])
    return int(sum(1 << i for i, bit in enumerate(bits) if bit))


def picture_hash_of(ref: MediaRef) -> int | None:
    """The hash of a picture file, None when it cannot be opened."""
    from nanovl.processing.images import open_image
    from nanovl.processing.media import Limits

    try:
        opened = open_image(ref, Limits.local())
    except (NanoVLError, OSError):
        return None
    return picture_hash(opened)


def _cosines() -> np.ndarray[Any, np.dtype[np.float64]]:
    steps = np.arange(_SIDE)
    return np.cos(np.pi * np.outer(steps, 2 * steps + 1) / (2 * _SIDE))


def _bands_of(hashed: int) -> list[int]:
    """The hash cut into five parts: 13, 13, 13, 13 and 12 bits."""
    widths = [13, 13, 13, 13, 12]
    parts = []
    for width in widths:
        parts.append(hashed & ((1 << width) - 1))
        hashed >>= width
    return parts


def _word_hash(word: str) -> int:
    data = word.encode("utf-8", "surrogatepass")
    return (zlib.crc32(data) << 32) | zlib.crc32(data[::-1] + b"\x01")


def _ref(medium: Medium) -> MediaRef:
    if medium.data is not None:
        return MediaRef(data=medium.data, name=medium.name)
    return MediaRef(path=Path(medium.path or ""), name=medium.name)
