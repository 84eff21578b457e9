"""What training and validation data may have in common: runs of words, tables, pages, pictures.

Each class is filled with validation data and then asked about training records, one at a time; ""
means that a record may stay. `mini_overlap` decides what is asked. Must not write anything.

Source: evaluation specification, section 11.2 (contamination).
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import tarfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Set
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from nanovl.core.errors import InputError
from nanovl.evals.contamination import MOST_BITS, grams_of, picture_hash
from nanovl.evals.leaks import spaced

MOST_SHARE = 0.1
"""From this share of a validation record's runs of words on, a training record is left out."""
SAME_LINES = 0.8
"""From this share of a validation receipt's lines on, a receipt is the same purchase again."""
LEAST_ROW = 20  # characters; shorter rows of tables are alike by chance

# Names, places and labels: not text anybody reads or writes.
_LABELS = frozenset({
    "attribute", "category", "doc", "id", "kind", "lang", "module", "name", "section_id",
    "section_ids", "source", "story", "table_id", "url",
})  # fmt: skip
_TABLES = ("wtq", "tabfact", "wikisql")
# --- reading ------------------------------------------------------------------------------------


def records(path: Path) -> Iterator[dict[str, Any]]:
    """Records of a compressed file of lines.

    Raises:
        InputError: It cannot be read.
    """
    try:
        with gzip.open(path, "rt", encoding="utf-8") as stream:
            for line in stream:
                yield json.loads(line)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error


def pictures(path: Path) -> Iterator[tuple[str, bytes, dict[str, Any]]]:
    """Key, picture and facts of every sample of an archive."""
    waiting: dict[str, dict[str, bytes]] = defaultdict(dict)
    with tarfile.open(path) as archive:
        for member in archive:
            key, _, suffix = member.name.partition(".")
            found = archive.extractfile(member)
            if found is None:
                continue
            waiting[key][suffix] = found.read()
            if len(waiting[key]) == 2:
                parts = waiting.pop(key)
                facts = json.loads(parts.pop("json"))
                yield key, next(iter(parts.values())), facts


def name_of(record: Mapping[str, Any]) -> str:
    """What a record is called in reports."""
    return str(record.get("id") or record.get("section_id") or record.get("table_id"))


def texts_of(value: Any) -> Iterator[str]:
    """All text of a record, labels aside."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if key not in _LABELS:
                yield from texts_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts_of(inner)


def text_of_picture(facts: Mapping[str, Any]) -> str:
    """What stands in a picture, "" if nothing is known to."""
    return "\n".join(line["text"] for line in facts.get("lines", ()))


def plain(text: Any) -> str:
    """Words alone, in small letters."""
    return " ".join(re.findall(r"\w+", str(text).casefold()))


# --- runs of words ------------------------------------------------------------------------------


class Runs:
    """The runs of 13 words of validation records.

    Args:
        items: (file, id) and texts of every record.
    """

    def __init__(self, items: Iterable[tuple[tuple[str, str], Iterable[str]]]) -> None:
        self._owners: dict[int, list[tuple[str, str]]] = defaultdict(list)
        self.sizes: dict[tuple[str, str], int] = {}
        self.left: dict[tuple[str, str], set[int]] = defaultdict(set)
        for key, texts in items:
            grams = {int(gram) for text in texts for gram in grams_of(spaced(text))}
            if grams:
                self.sizes[key] = len(grams)
            for gram in grams:
                self._owners[gram].append(key)
        self._known = np.array(sorted(self._owners), dtype=np.uint64)

    def of(self, texts: Iterable[str]) -> dict[tuple[str, str], set[int]]:
        """Runs that texts have in common with every validation record."""
        found: dict[tuple[str, str], set[int]] = defaultdict(set)
        if not len(self._known):
            return found
        for text in texts:
            grams = grams_of(spaced(text))
            if len(grams):
                places = np.searchsorted(self._known, grams).clip(max=len(self._known) - 1)
                for gram in grams[self._known[places] == grams]:
                    for key in self._owners[int(gram)]:
                        found[key].add(int(gram))
        return found

    def reason(self, texts: Iterable[str], most: float = MOST_SHARE) -> str:
        """Why a record is left out; "" keeps it, and its runs count as known to training."""
        found = self.of(texts)
        worst = max(found, key=lambda k: len(found[k]) / self.sizes[k], default=None)
        if worst is not None and (share := len(found[worst]) / self.sizes[worst]) >= most:
            return f"text: {share:.0%} of {worst[1]}"
        for key, grams in found.items():
            self.left[key] |= grams
        return ""


# --- tables, pages, pictures --------------------------------------------------------------------


def rows_of(table: Mapping[str, Any]) -> set[str]:
    """Rows of a table that are long enough to be its own."""
    rows = (" | ".join(plain(cell) for cell in row) for row in table["rows"])
    return {row for row in rows if len(row) >= LEAST_ROW}


class Tables:
    """Which tables of the data may be trained on.

    Args:
        data: Folder with the validation data.

    Attributes:
        asked: Ids of the validation tables.
        titles: Titles of the pages they stand on.
    """

    def __init__(self, data: Path) -> None:
        self.asked = {
            str(question["table_id"])
            for name in _TABLES
            for path in (data / "tables").glob(f"{name}_val.jsonl.gz")
            for question in records(path)
        }
        self.titles: set[str] = set()
        self._known: dict[str, str] = {}
        for table in _tables(data):
            if (key := str(table["table_id"])) in self.asked:
                self.titles.add(plain(table["title"]))
                self._known.update(dict.fromkeys(rows_of(table), key))

    def dropped(self, data: Path) -> dict[str, str]:
        """Id -> why, of the tables of a folder that must not be trained on."""
        found: dict[str, str] = {}
        for table in _tables(data):
            key = str(table["table_id"])
            same = sorted(self._known[row] for row in rows_of(table) if row in self._known)
            if key in self.asked:
                found[key] = "validation: asked about there"
            elif same:
                found[key] = f"table: {len(same)} rows of {same[0]}"
        return found


def _tables(data: Path) -> Iterator[dict[str, Any]]:
    for path in sorted((data / "tables").glob("*_tables.jsonl.gz")):
        yield from records(path)


def english_of(doc: str) -> str:
    """The id of the English original of a translated page."""
    if doc.startswith("gnome:"):
        return "gnome-" + doc.removeprefix("gnome:").removesuffix(".page").replace("/", "-")
    return "dhb-" + doc.removeprefix("debian-handbook:").removesuffix(".html")


class Pages:
    """Whether a record stands on a page of the validation data.

    Args:
        data: Folder with the validation data.
        titles: Of the pages that its tables stand on.
        tables: Tables that are left out, and why.
    """

    def __init__(self, data: Path, titles: Set[str], tables: Mapping[str, str]) -> None:
        self._titles = titles
        self._tables = tables

        def held(pattern: str, name: str) -> set[str]:
            return {str(r[name]) for p in sorted(data.glob(pattern)) for r in records(p)}

        self._manuals = held("text/tech_val*.jsonl.gz", "id")
        self._stories = held("reading/fairytaleqa_sections_val.jsonl.gz", "story")
        self._articles = held("reading/xquad_val.jsonl.gz", "title")

    def reason(self, file: str, record: Mapping[str, Any]) -> str:
        """Why a record is left out; "" keeps it."""
        table = str(record.get("table_id", ""))
        if table in self._tables:
            return self._tables[table]
        if file.startswith(("text/wiki", "web/")) and plain(record["title"]) in self._titles:
            return f"page: of a validation table, {record['title']}"
        if "doc" in record and english_of(str(record["doc"])) in self._manuals:
            return f"page: translation of {english_of(str(record['doc']))}"
        if str(record.get("story", "")) in self._stories:
            return f"page: story {record['story']}"
        if file.startswith("reading/xquad") and str(record["title"]) in self._articles:
            return f"page: article {record['title']}"
        return ""


class Pictures:
    """Pictures of the validation data, by bytes and by looks.

    Args:
        paths: Their archives.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        self._bytes: dict[str, str] = {}
        looks = []
        for path in paths:
            for key, data, _ in pictures(path):
                self._bytes[hashlib.sha256(data).hexdigest()] = key
                looks.append((picture_hash(_opened(data)), key))
        self._looks = np.array([look for look, _ in looks], dtype=np.uint64)
        self._names = [key for _, key in looks]

    def reason(self, data: bytes, *, by_looks: bool) -> str:
        """Why a picture is left out; "" keeps it."""
        same = self._bytes.get(hashlib.sha256(data).hexdigest())
        if same is not None:
            return f"picture: the same bytes as {same}"
        if not self._names or not by_looks:
            return ""
        apart = np.bitwise_count(self._looks ^ np.uint64(picture_hash(_opened(data))))
        if int(apart.min()) <= MOST_BITS:
            return f"picture: looks like {self._names[int(apart.argmin())]}"
        return ""


class Purchases:
    """Lines of validation receipts; heads and feet of a shop come again, whole purchases must not.

    Args:
        items: Name and facts of every receipt.
    """

    def __init__(self, items: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
        self._known = [(name, lines) for name, facts in items if (lines := _lines(facts))]

    def reason(self, facts: Mapping[str, Any]) -> str:
        """Why a receipt is left out; "" keeps it."""
        lines = _lines(facts)
        for name, known in self._known:
            share = (known & lines).total() / known.total()
            if share >= SAME_LINES:
                return f"lines: {share:.0%} of {name}"
        return ""


def _lines(facts: Mapping[str, Any]) -> Counter[str]:
    return Counter(plain(line["text"]) for line in facts.get("lines", ()))


def _opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")
