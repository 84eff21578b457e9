"""What every converter is made of: options, records made of items, drops named.

A converter is a generator `(source, options) -> Iterator[Converted]`. It never opens pictures,
never writes and never decides what happens to a bad item: it raises `Malformed` inside the
function it gives to `each`, which counts the item under a named reason and goes on. A source that
cannot be read at all is an `InputError`.

Everything random comes from `rng(record id, seed)`, so a record does not change when the order,
the limit or the neighbours do.

Source: training specification, sections 2.1, 2.4 and 10.2.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from nanovl.core.conversation import MediaRef
from nanovl.core.errors import ConfigError
from nanovl.data.convert.items import Item, Malformed, as_text
from nanovl.data.convert.templates import Question
from nanovl.data.records import Fragment, Record, RecordMessage

__all__ = [
    "MULTI_TURN",
    "ConvertOptions",
    "Converted",
    "Converter",
    "Format",
    "Item",
    "Malformed",
    "Media",
    "OnDrop",
    "Turn",
    "as_text",
    "conversation",
    "each",
    "ignore_drop",
    "media_name",
    "records",
    "rng",
    "with_trace",
]

MULTI_TURN = {"multi_turn": "true joins the questions about one item into one conversation"}

OnDrop = Callable[[str, str, str], None]
MediaKind = Literal["image", "video", "audio"]
ReasoningMode = Literal["on", "off"] | None


def ignore_drop(reason: str, where: str, message: str) -> None:
    """The default listener for dropped items."""


@dataclass(frozen=True, kw_only=True)
class ConvertOptions:
    """What a caller may decide.

    Attributes:
        seed: Changes paraphrases, negatives and every other drawn choice.
        limit: Upper bound of records; enforced by the caller, converters may ignore it.
        split: Which part of a source that holds several ("train", "val", ...).
        images: Folder with the media, where it is not part of the source.
        extra: Settings of one format, see `Format.options`.
        on_drop: Told about every item that is left out: reason, where, message.
    """

    seed: int = 0
    limit: int | None = None
    split: str = "train"
    images: Path | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    on_drop: OnDrop = ignore_drop

    def flag(self, name: str, default: bool) -> bool:
        """A yes/no setting out of `extra`.

        Raises:
            ConfigError: The value is not true or false.
        """
        value = self.extra.get(name, default)
        if isinstance(value, str) and value.lower() in ("true", "false"):
            return value.lower() == "true"
        if not isinstance(value, bool):
            raise ConfigError(f"convert option {name}: got {value!r}, expected true or false")
        return value

    def integer(self, name: str, default: int, *, least: int = 1) -> int:
        """A whole number out of `extra`.

        Raises:
            ConfigError: The value is not a whole number of at least `least`.
        """
        value = self.extra.get(name, default)
        try:
            number = int(value)
        except (TypeError, ValueError):
            number = least - 1
        if number < least or str(number) != str(value):
            raise ConfigError(
                f"convert option {name}: got {value!r}, expected a whole number >= {least}"
            )
        return number

    def choice(self, name: str, default: str, allowed: Sequence[str]) -> str:
        """One word of a closed set out of `extra`.

        Raises:
            ConfigError: The value is none of the allowed words.
        """
        value = self.extra.get(name, default)
        if value not in allowed:
            raise ConfigError(
                f"convert option {name}: got {value!r}, expected one of {', '.join(allowed)}"
            )
        return str(value)


@dataclass(frozen=True)
class Converted:
    """One record and the media it names (name -> encoded bytes, or where they are)."""

    record: Record
    media: Mapping[str, bytes | MediaRef] = field(default_factory=dict)


Converter = Callable[[Path, ConvertOptions], Iterator[Converted]]


@dataclass(frozen=True, kw_only=True)
class Format:
    """A source format nanovl can read.

    Attributes:
        name: As typed by users.
        description: One sentence: what becomes what.
        convert: The converter.
        expects: What the source path has to be.
        licence: What the source states about its use; "" when the format is not one data set.
        options: Names this format understands in `ConvertOptions.extra`, with their meaning.
    """

    name: str
    description: str
    convert: Converter
    expects: str
    licence: str = ""
    options: Mapping[str, str] = field(default_factory=dict)


def each(
    items: Iterable[Item],
    make: Callable[[Item], Iterable[Converted]],
    options: ConvertOptions,
) -> Iterator[Converted]:
    """Turn every item into its records; a malformed item is reported whole and left out."""
    for item in items:
        try:
            made = list(make(item))
        except Malformed as error:
            options.on_drop(error.reason, item.where, error.message)
            continue
        yield from made


def rng(record_id: str, seed: int) -> random.Random:
    """The generator of one record: depends on its id and the seed, on nothing else."""
    digest = hashlib.blake2b(f"{seed}\x00{record_id}".encode(), digest_size=8).digest()
    return random.Random(int.from_bytes(digest, "big"))


@dataclass(frozen=True, kw_only=True)
class Media:
    """One file a record refers to.

    Attributes:
        name: File name inside the data set, see `media_name`.
        payload: The encoded bytes, or where they are.
        kind: How the model gets it.
        metadata: width, height, video_fps, ... as far as the source knows them.
    """

    name: str
    payload: bytes | MediaRef
    kind: MediaKind = "image"
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One question and its answer.

    Attributes:
        question: As made by `templates.question` or `templates.literal`.
        answer: What the assistant says, without any think tags.
        trace: Reasoning that leads to the answer; "" when there is none.
        task: Name for per-task counts: "ocr", "chart_qa", ...
        key: Suffix of the record id when every turn becomes a record of its own.
        reasoning: Fixes the mode of a record with a trace; None lets the loader draw it.
        tool_calls: Calls of the assistant, OpenAI style {"name", "arguments"}.
        metadata: Extra keys for the record.
    """

    question: Question
    answer: str
    task: str
    key: str = ""
    trace: str = ""
    reasoning: ReasoningMode = None
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)


def with_trace(trace: str, answer: str) -> str:
    """Assistant text of a reasoning-on turn (training specification, section 2.4)."""
    return f"<think>\n{trace.strip()}\n</think>\n\n{answer}"


def media_name(*parts: str, suffix: str) -> str:
    """A media file name that is unique when its parts are: no folders, one dot.

    Args:
        parts: Data set, item id, page, ...; joined by "-".
        suffix: Extension without its dot.
    """
    stem = "-".join(re.sub(r"[^\w-]+", "_", part).strip("_") for part in parts if part)
    return f"{stem}.{suffix.lower().lstrip('.')}"


def conversation(
    options: ConvertOptions,
    *,
    id: str,
    turns: Sequence[Turn],
    source: str,
    media: Sequence[Media] = (),
    system: str = "",
    tools: Sequence[Mapping[str, Any]] = (),
    metadata: Mapping[str, Any] | None = None,
) -> Converted:
    """One record with one or more turns; the media stand before the first question.

    Args:
        options: For the seed, which is written into the record.
        id: Record id, unique in the data set.
        turns: At least one; the record's task and mode are those of the last.
        source: Data set name for per-source metrics.
        media: What the first question is about.
        system: System text, "" for none.
        tools: Function descriptions.
        metadata: Extra keys; `template` and `seed` are added.
    """
    assert turns, "a record needs a turn"
    messages = []
    if system:
        messages.append(_message("system", system))
    for index, turn in enumerate(turns):
        shown = [
            Fragment(type=m.kind, value=m.name, metadata=dict(m.metadata))
            for m in (media if index == 0 else ())
        ]
        messages.append(_message("user", turn.question.text, shown))
        answer = with_trace(turn.trace, turn.answer) if turn.trace else turn.answer
        messages.append(_message("assistant", answer, calls=turn.tool_calls))
    last = turns[-1]
    templates = [turn.question.template for turn in turns if turn.question.template]
    extra: dict[str, Any] = {**(metadata or {}), **last.metadata}
    if templates:
        extra |= {"template": ",".join(templates), "seed": options.seed}
    record = Record(
        id=id,
        messages=tuple(messages),
        reasoning=last.reasoning if last.trace else "off",
        source=source,
        tools=tuple(tools),
        task=last.task,
        metadata=extra,
    )
    return Converted(record, {m.name: m.payload for m in media})


def records(
    options: ConvertOptions,
    *,
    id: str,
    turns: Sequence[Turn],
    source: str,
    media: Sequence[Media] = (),
    metadata: Mapping[str, Any] | None = None,
) -> list[Converted]:
    """All turns about one item: a record each, or one record when `multi_turn` is set.

    The default is a record per turn, which keeps the metrics of a source exact; the media are
    shared by name and written once. A turn's `key` is appended to the id. Turns with a trace stay
    records of their own, since history traces are dropped before rendering.
    """
    joined = [t for t in turns if not t.trace] if options.flag("multi_turn", False) else []
    made = [
        conversation(
            options,
            id=f"{id}-{turn.key}" if turn.key else id,
            turns=(turn,),
            source=source,
            media=media,
            metadata=metadata,
        )
        for turn in turns
        if turn not in joined
    ]
    if joined:
        made.append(
            conversation(
                options, id=id, turns=joined, source=source, media=media, metadata=metadata
            )
        )
    return made


def _message(
    role: str,
    text: str,
    media: Sequence[Fragment] = (),
    calls: Sequence[Mapping[str, Any]] = (),
) -> RecordMessage:
    fragments = list(media)
    if text or not calls:
        fragments.append(Fragment(type="text", value=text))
    return RecordMessage(
        role=role,
        content=tuple(fragments),
        tool_calls=tuple(dict(call) for call in calls),
    )
