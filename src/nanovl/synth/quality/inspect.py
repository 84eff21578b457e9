"""Looks at the units of one piece: findings, and what later passes need to know of each.

Runs in worker processes. Must not compare units of different pieces.

Source: data synthesis specification, section 19.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nanovl.core.conversation import MediaRef
from nanovl.core.errors import ConfigError, InputError
from nanovl.core.paths import asset
from nanovl.data.media import open_media
from nanovl.synth.quality.answers import AnswerTest, answer_of, reference_of
from nanovl.synth.quality.balance import Balance
from nanovl.synth.quality.blind import Blind
from nanovl.synth.quality.config import Finding, QualityConfig
from nanovl.synth.quality.datasets import Piece, Unit, text_of, units
from nanovl.synth.quality.geometry import box_findings, target_findings
from nanovl.synth.quality.images import Look, look
from nanovl.synth.quality.languages import fits
from nanovl.synth.quality.lengths import Lengths
from nanovl.synth.quality.overlap import OverlapIndex
from nanovl.synth.quality.texts import digest, exact_digest, leaves, signature, strings, words

__all__ = ["Features", "Inspected", "inspect", "read_media"]

_EMAIL = re.compile(r"[A-Za-z0-9._%+-]+@((?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,})")
_RESERVED = re.compile(
    r"(?:^|\.)(?:example(?:\.[a-z]{2,4}){0,2}|test|invalid|localhost)$", re.IGNORECASE
)
_PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp")
_TEXT_PX = ("least_text_px", "text_px")
_SHOWN = 80  # characters of a text in a message


@dataclass(frozen=True, kw_only=True)
class Features:
    """What is remembered of a unit.

    Attributes:
        id: Of the unit.
        exact: SHA-256 of what it is about.
        said: 64-bit hash of the same without pictures, for comparing pictures.
        signature: MinHash, 512 bytes; None for little text.
        prints: Prints of its pictures.
        group: Of the source; "" for none.
    """

    id: str
    exact: bytes
    said: int
    signature: bytes | None
    prints: tuple[int, ...]
    group: str


@dataclass(kw_only=True)
class Inspected:
    """A piece after a look.

    Attributes:
        units, records, pictures: Looked at.
        findings: In order.
        features: One per unit.
        balance: Counts for judging the whole set.
        blind: Questions to guess; None when the rule is left out.
    """

    units: int = 0
    records: int = 0
    pictures: int = 0
    findings: list[Finding] = field(default_factory=list)
    features: list[Features] = field(default_factory=list)
    balance: Balance = field(default_factory=Balance)
    blind: Blind | None = None


def inspect(piece: Piece, config: QualityConfig, overlap: str | None = None) -> Inspected:
    """Look at a piece.

    Args:
        piece: Which.
        config: Rules and thresholds.
        overlap: Index of the evaluation files, or None.

    Raises:
        NanoVLError: The piece cannot be read at all, or the model is not there.
    """
    made = Inspected()
    if config.has("blind_answer"):
        made.blind = Blind(keep=config.blind_tried)
    looker = _Looker(piece, config, overlap)
    for unit in units(piece):
        if isinstance(unit, InputError):
            found = [Finding(rule="malformed", dataset="", message=str(unit))]
        else:
            made.units += 1
            made.records += len(unit.records)
            found, features = looker.unit(unit)
            made.pictures += len(features.prints)
            made.features.append(features)
            for record in unit.records:
                _count(made.balance, record)
                if made.blind is not None:
                    made.blind.add(record, unit.group or unit.id)
        name = piece.dataset.name
        made.findings += [replace(f, dataset=name) for f in found if f.rule not in config.skip]
    return made


class _Looker:
    """What the units of a piece share."""

    def __init__(self, piece: Piece, config: QualityConfig, overlap: str | None) -> None:
        self._config = config
        self._store = open_media(piece.dataset.media, piece.dataset.folder)
        self._answers = AnswerTest()
        self._overlap = OverlapIndex(Path(overlap)) if overlap else None
        self._lengths = Lengths(config) if config.has("too_long", "unusable") else None
        self._blocked = _blocked(config.block)

    def unit(self, unit: Unit) -> tuple[list[Finding], Features]:
        """Findings and features of a unit."""
        found: list[Finding] = []

        def tell(rule: str, message: str, record: str = "") -> None:
            found.append(
                Finding(rule=rule, dataset="", sample=unit.id, record=record, message=message)
            )

        config = self._config
        looks, digests = self._pictures(unit, tell)
        truth = list(strings(unit.gt)) if unit.gt is not None else []
        asked = [text for r in unit.records for text in text_of(r, "user", "tool")]
        said = [text for r in unit.records for text in text_of(r, "system", "assistant")]
        if unit.gt is not None:
            found += box_findings(unit, [(k.width, k.height) for k in looks])
        least = next((unit.quality[k] for k in _TEXT_PX if k in unit.quality), None)
        if isinstance(least, int | float) and 0 < least < config.text_px:
            tell("text_small", f"{least:g} px, expected at least {config.text_px:g}")
        self._texts(unit, [*truth, *asked, *said], truth, tell)
        for record in unit.records:
            if config.has("verifier_self", "verifier_loose"):
                found += self._answers.findings(record, unit.id)
            found += target_findings(record, unit.id, config.target_px)
            if self._lengths is not None:
                problem = self._lengths.problem(record, self._store, config.seq_len)
                if problem:
                    tell(*problem, record=str(record.get("id", "")))
        found += _ambiguous(unit)
        has_media = bool(unit.media)
        plain = [] if unit.gt is not None and has_media else [*asked, *said]
        tokens = [t for leaf in leaves(unit.gt) for t in words(str(leaf))]
        tokens += [t for text in plain for t in words(text)]
        sign = signature(tokens) if config.has("near_duplicate") else None
        content = exact_digest(unit.gt, plain)
        pictures = digests if unit.gt is None else []
        features = Features(
            id=unit.id,
            exact=exact_digest({"content": content.hex()}, pictures),
            said=digest(content.hex()),
            signature=None if sign is None else sign.tobytes(),
            prints=tuple(k.print for k in looks),
            group=unit.group if unit.group != unit.id else "",
        )
        return found, features

    def _pictures(self, unit: Unit, tell: Callable[..., None]) -> tuple[list[Look], list[str]]:
        """Looks at the pictures, and digests of all media."""
        declared = _declared(unit)
        looks, digests = [], []
        for name in unit.media:
            is_picture = name.lower().endswith(_PICTURES)
            try:
                data = read_media(self._store.find(name), whole=is_picture or unit.gt is None)
            except (InputError, OSError) as error:
                tell("media_missing", str(error))
                continue
            digests.append(hashlib.sha256(data).hexdigest())
            if not is_picture:
                continue
            try:
                seen = look(data)
            except InputError as error:
                tell("image_undecodable", f"{name}: {error}")
                continue
            looks.append(seen)
            self._picture(name, seen, declared.get(name), tell)
        return looks, digests

    def _picture(
        self, name: str, seen: Look, declared: tuple[int, int] | None, tell: Callable[..., None]
    ) -> None:
        config = self._config
        if declared is not None and declared != (seen.width, seen.height):
            tell("image_size", f"{name}: {seen.width} x {seen.height}, declared {declared}")
        if max(seen.width, seen.height) > config.max_side or min(seen.width, seen.height) < 8:
            tell("image_size", f"{name}: {seen.width} x {seen.height} is out of bounds")
        if seen.has_exif:
            tell("image_exif", name)
        if seen.uniform >= config.blank and seen.contrast < config.contrast:
            tell("image_blank", f"{name}: {seen.uniform:.1%} of one gray")
        elif seen.uniform > config.uniform:
            tell("image_uniform", f"{name}: {seen.uniform:.1%} of one gray")
        if seen.contrast < config.contrast:
            tell("image_contrast", f"{name}: {seen.contrast:.2f}, expected {config.contrast:g}")

    def _texts(
        self, unit: Unit, texts: Sequence[str], truth: Sequence[str], tell: Callable[..., None]
    ) -> None:
        config = self._config
        if config.has("language") and unit.lang:
            natural = truth if unit.media else texts
            for text in natural:
                if len(text) >= config.language_chars:
                    other = fits(unit.lang, text)
                    if other is not None:
                        shown = text[:_SHOWN]
                        tell("language", f"declared {unit.lang}, looks like {other}: {shown!r}")
                        break
        joined = "\n".join(texts)
        for match in _EMAIL.finditer(joined):
            if not _RESERVED.search(match[1]):
                tell("email", match[0])
                break
        if self._blocked is not None and (hit := self._blocked.search(joined)):
            tell("blocked", repr(hit[0][:_SHOWN]))
        if self._overlap is not None:
            place = self._overlap.hit(texts, config.grams, config.whole_words)
            if place:
                tell("eval_overlap", place)


def read_media(ref: MediaRef, *, whole: bool = True) -> bytes:
    """Bytes of a media file; the first one is enough to see that it is there.

    Raises:
        OSError: It cannot be read.
    """
    assert ref.path is not None
    start, size = ref.byte_range or (0, -1)
    with ref.path.open("rb") as file:
        file.seek(start)
        return file.read(size if whole else 1)


def _declared(unit: Unit) -> dict[str, tuple[int, int]]:
    """Sizes the records give."""
    sizes: dict[str, tuple[int, int]] = {}
    for record in unit.records:
        for message in record["messages"]:
            content = message.get("content") if isinstance(message, Mapping) else None
            for part in content if isinstance(content, list) else ():
                if isinstance(part, Mapping) and part.get("type") == "image":
                    facts = part.get("metadata") or {}
                    if isinstance(facts.get("width"), int) and isinstance(facts.get("height"), int):
                        sizes[str(part.get("image"))] = (facts["width"], facts["height"])
    return sizes


def _ambiguous(unit: Unit) -> Iterator[Finding]:
    seen: dict[tuple[str, ...], tuple[str, Any]] = {}
    for record in unit.records:
        found = answer_of(record)
        asked = text_of(record, "user")
        if found is None or len(asked) != 1:
            continue
        shown = tuple(
            str(part.get(part.get("type")))
            for message in record["messages"]
            for part in message["content"]
            if isinstance(part, Mapping) and part.get("type") in ("image", "video", "audio")
        )
        key = (asked[0].casefold(), *shown)
        name = str(record.get("id", ""))
        if key in seen and seen[key][1] != found[1].value:
            message = f"{asked[0][:_SHOWN]!r} has another answer in {seen[key][0]}"
            yield Finding(
                rule="ambiguous_question", dataset="", sample=unit.id, record=name, message=message
            )
        seen.setdefault(key, (name, found[1].value))


def _count(balance: Balance, record: Mapping[str, Any]) -> None:
    found = answer_of(record)
    if found is None:
        return
    verifier, answer = found
    template = str((record.get("metadata") or {}).get("template", ""))
    text = reference_of(record, answer) if answer.type != "call" else ""
    balance.add(str(record.get("task", "")), template, verifier, answer, text)


def _blocked(files: tuple[str, ...]) -> re.Pattern[str] | None:
    """All patterns of the block lists as one.

    Raises:
        ConfigError: A list cannot be read, or a line is no regular expression.
    """
    patterns = []
    for path in (asset("synth", "block.txt"), *map(Path, files)):
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: block list cannot be read ({error})") from error
        for number, line in enumerate(lines, start=1):
            text = line.strip()
            if not text or text.startswith("#"):
                continue
            try:
                re.compile(text)
            except re.error as error:
                raise ConfigError(f"{path}:{number}: no regular expression: {error}") from error
            patterns.append(f"(?:{text})")
    return re.compile("|".join(patterns), re.IGNORECASE) if patterns else None
