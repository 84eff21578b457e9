"""Conversations in the two forms most releases use: LLaVA style JSON and chat `messages`.

Media stand where the source puts them: at its `<image>` and `<video>` marks, or before the first
question when there are no marks. LLaVA-Video-178K is the first form, with `<image>` marking a
video.

Source: training specification, sections 2.1, 2.2 and 10.1.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from nanovl.core.conversation import MediaRef
from nanovl.data.convert.base import (
    Converted,
    ConvertOptions,
    Format,
    Item,
    Malformed,
    Media,
    as_text,
    each,
    media_name,
)
from nanovl.data.convert.parts import item_key, read_any
from nanovl.data.convert.sources import find_file, media_file, picture
from nanovl.data.convert.traces import split_trace, think_problem
from nanovl.data.convert.videos import Videos
from nanovl.data.records import Fragment, Record, RecordMessage

__all__ = ["FORMATS", "convert_llava", "convert_messages"]

_ROLES = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "model": "assistant",
    "tool": "tool",
}
_MARK = re.compile(r"\s*<(image|video)>\s*")


class _Files:
    """Finds the media a conversation names; the folder of videos is scanned when first needed."""

    def __init__(self, path: Path, options: ConvertOptions, name: str) -> None:
        self._path = path
        self._options = options
        self._name = name
        self._videos: Videos | None = None

    def image(self, file: str, field: str) -> Media:
        folder = self._path.parent
        ref = media_file(file, field, self._options.images, folder / "images", folder)
        return picture(ref, self._name, str(Path(file).with_suffix("")), field=field)

    def video(self, file: str, field: str) -> Media:
        for folder in (self._options.images, self._path.parent):
            exact = folder / file if folder is not None else None
            if exact is not None and ".." not in Path(file).parts and exact.is_file():
                name = media_name(self._name, str(Path(file).with_suffix("")), suffix=exact.suffix)
                return Media(name=name, payload=MediaRef(path=exact), kind="video")
        if self._videos is None:
            self._videos = Videos(self._path, self._options)
        return self._videos.media(self._name, file, field=field)


def _name(path: Path, options: ConvertOptions) -> str:
    return str(options.extra.get("source", path.name.split(".")[0]))


# -- LLaVA ---------------------------------------------------------------------------------------


def convert_llava(source: Path, options: ConvertOptions) -> Iterator[Converted]:
    """Objects of `conversations` (from, value) with `image` and `video` file names."""
    path = find_file(source, options, "*{split}*.json*", "*.json", "*.jsonl*")
    name = _name(path, options)
    files = _Files(path, options, name)
    seen: Counter[str] = Counter()

    def make(item: Item) -> list[Converted]:
        media = [files.image(f, n) for f, n in _listed(item, "image", "images")]
        media += [files.video(f, n) for f, n in _listed(item, "video", "videos")]
        turns = []
        for part in item.children("conversations"):
            role = _role(part, "from")
            turns.append((role, as_text(part.get("value"), part.name("value"))))
        messages = _placed(turns, media, "conversations")
        return [_record(item, name, messages, media, options, seen)]

    return each(read_any(path, options), make, options)


def _listed(item: Item, *keys: str) -> list[tuple[str, str]]:
    """File names under one of two fields, one or several, each with its field."""
    for key in keys:
        value = item.data.get(key)
        if value is None or value == "" or value == []:
            continue
        if isinstance(value, list):
            names = enumerate(value)
            return [(as_text(v, f"{key}[{i}]"), f"{item.name(key)}[{i}]") for i, v in names]
        return [(as_text(value, key), item.name(key))]
    return []


def _role(part: Item, key: str) -> str:
    given = part.text(key)
    if given not in _ROLES:
        raise Malformed(
            "bad_value", f"{part.name(key)}: got {given!r}, expected one of {', '.join(_ROLES)}"
        )
    return _ROLES[given]


def _placed(
    turns: Sequence[tuple[str, str]], media: Sequence[Media], name: str
) -> list[RecordMessage]:
    """Messages with the media at the marks of the user's turns, or before the first of them."""
    marks = sum(len(_MARK.findall(text)) for role, text in turns if role == "user")
    if marks not in (0, len(media)):
        raise Malformed(
            "media_count", f"{name}: {marks} marks <image> or <video> for {len(media)} files"
        )
    left = list(media)
    messages = []
    for role, text in turns:
        fragments: list[Fragment] = []
        if role == "user" and not marks and left:
            fragments = [_fragment(m) for m in left]
            left = []
        pieces = _MARK.split(text) if role == "user" and marks else [text]
        for index, piece in enumerate(pieces):
            if index % 2:
                fragments.append(_fragment(left.pop(0)))
            elif piece.strip():
                fragments.append(Fragment(type="text", value=piece.strip()))
        messages.append(RecordMessage(role=role, content=tuple(fragments)))
    return messages


def _fragment(media: Media) -> Fragment:
    return Fragment(type=media.kind, value=media.name, metadata=dict(media.metadata))


def _record(
    item: Item,
    name: str,
    messages: list[RecordMessage],
    media: Sequence[Media],
    options: ConvertOptions,
    seen: Counter[str],
    tools: Sequence[Mapping[str, Any]] = (),
) -> Converted:
    """The record, cut behind the last answer.

    Several conversations about one file often share its id; from the second on, `seen` numbers
    them.

    Raises:
        Malformed: Turns in an order no conversation has, blank turns, malformed think blocks.
    """
    while messages and messages[-1].role != "assistant":
        messages.pop()
    if not messages:
        raise Malformed("no_answer", "there is no turn of the assistant")
    before = {"assistant": ("user", "tool"), "tool": ("assistant", "tool"), "system": ("",)}
    previous = ""
    traced = False
    for index, message in enumerate(messages):
        allowed = before.get(message.role, ("", "system", "assistant"))
        if previous not in allowed:
            where = f"turn {index}: {message.role} after {previous or 'nothing'}"
            raise Malformed("bad_turn_order", where)
        if not message.content and not message.tool_calls:
            raise Malformed("empty", f"turn {index}: {message.role} says nothing")
        if message.role == "assistant":
            if problem := think_problem(message.text):
                raise Malformed(problem.reason, f"turn {index}: {problem.message}")
            traced = bool(split_trace(message.text)[0])
        previous = message.role
    used = {f.value for m in messages for f in m.content if f.type != "text"}
    mode = options.choice("mode", "both", ("both", "on"))
    reasoning: Literal["on", "off"] | None = "off"
    if traced:
        reasoning = "on" if mode == "on" else None
    key = f"{name}-{item_key(item, 'id', 'question_id', 'uuid')}"
    seen[key] += 1
    record = Record(
        id=key if seen[key] == 1 else f"{key}-{seen[key]}",
        messages=tuple(messages),
        reasoning=reasoning,
        source=name,
        tools=tuple(tools),
        task="chat" if not used else f"{media[0].kind}_chat",
    )
    return Converted(record, {m.name: m.payload for m in media if m.name in used})


# -- messages ------------------------------------------------------------------------------------


def convert_messages(source: Path, options: ConvertOptions) -> Iterator[Converted]:
    """Objects of `messages` (role, content), with media in the content or in `images`, `videos`."""
    path = find_file(source, options, "*{split}*.jsonl*", "*.jsonl*", "*{split}*.json", "*.json")
    name = _name(path, options)
    files = _Files(path, options, name)
    seen: Counter[str] = Counter()

    def make(item: Item) -> list[Converted]:
        listed = {
            "image": [files.image(f, n) for f, n in _listed(item, "images", "image")],
            "video": [files.video(f, n) for f, n in _listed(item, "videos", "video")],
        }
        media = [m for found in listed.values() for m in found]
        plain: list[tuple[str, str]] = []
        built: list[RecordMessage | None] = []  # None: the next of the plain texts
        calls = []
        for part in item.children("messages"):
            role, content = _role(part, "role"), part.data.get("content")
            calls.append(_calls(part) if role == "assistant" else ())
            if isinstance(content, list):
                pieces = part.children("content")
                fragments = tuple(_piece(p, role, files, listed, media) for p in pieces)
                built.append(RecordMessage(role=role, content=fragments))
                continue
            text = "" if content is None and calls[-1] else part.get("content")
            plain.append((role, as_text(text, part.name("content"))))
            built.append(None)
        left = [m for found in listed.values() for m in found]
        texts = iter(_placed(plain, left, "messages"))
        messages = [
            replace(m or next(texts), tool_calls=c) for m, c in zip(built, calls, strict=True)
        ]
        return [_record(item, name, messages, media, options, seen, _tools(item))]

    return each(read_any(path, options), make, options)


def _piece(
    part: Item, role: str, files: _Files, listed: dict[str, list[Media]], media: list[Media]
) -> Fragment:
    """One typed piece of a content list; a medium without a name is the next of its list."""
    kind = part.text("type")
    if kind == "text":
        return Fragment(type="text", value=part.text("text"))
    kind = {"image_url": "image", "video_url": "video"}.get(kind, kind)
    if kind not in listed:
        raise Malformed("bad_value", f"{part.name('type')}: got {kind!r}")
    if role != "user":
        raise Malformed("bad_value", f"{part.path}: {kind} in a turn of the {role}")
    file = _named(part, kind)
    if not file:
        if not listed[kind]:
            raise Malformed("media_count", f"{part.path}: there is no {kind} left in the list")
        return _fragment(listed[kind].pop(0))
    found = (
        files.video(file, part.name(kind))
        if kind == "video"
        else files.image(file, part.name(kind))
    )
    media.append(found)
    return _fragment(found)


def _named(part: Item, kind: str) -> str:
    """The file a piece names itself, "" for none; web addresses are not fetched."""
    for key in (kind, f"{kind}_url", "path", "url"):
        value = part.data.get(key)
        if isinstance(value, dict):
            value = value.get("url") or value.get("path")
        if value is None or value == "":
            continue
        name = as_text(value, part.name(key)).removeprefix("file://")
        if "://" in name or name.startswith("data:"):
            raise Malformed(
                "missing_media",
                f"{part.name(key)}: {name[:40]!r} is an address; download it, name the file",
            )
        return name
    return ""


def _calls(part: Item) -> tuple[Mapping[str, Any], ...]:
    """Tool calls as {"name", "arguments"} with arguments as an object."""
    if part.data.get("tool_calls") is None:
        return ()
    made = []
    for call in part.children("tool_calls"):
        call = call.child("function") if "function" in call.data else call
        arguments = call.data.get("arguments", {})
        if isinstance(arguments, str):
            try:
                arguments = json.loads(arguments)
            except ValueError as error:
                raise Malformed("bad_call", f"{call.name('arguments')}: {error}") from error
        if not isinstance(arguments, dict):
            raise Malformed("bad_call", f"{call.name('arguments')}: expected an object")
        made.append({"name": call.text("name"), "arguments": arguments})
    return tuple(made)


def _tools(item: Item) -> list[Mapping[str, Any]]:
    """Function descriptions, which some releases write as one JSON text."""
    value = item.data.get("tools") or []
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise Malformed("bad_tool", f"tools: not valid JSON: {error}") from error
    if not isinstance(value, list):
        raise Malformed("bad_tool", "tools: expected a list")
    for index, tool in enumerate(value):
        inner = tool.get("function", tool) if isinstance(tool, dict) else None
        if not isinstance(inner, dict) or not isinstance(inner.get("name"), str):
            raise Malformed("bad_tool", f"tools[{index}]: has no name")
    return value


_OPTIONS = {
    "source": "name of the data set (default: the file's)",
    "mode": "of records with a trace; both (default): loader draws on or off; on: always on",
}

FORMATS = (
    Format(
        name="llava",
        description="LLaVA and ShareGPT style conversations with pictures or videos",
        convert=convert_llava,
        expects="a JSON list or JSON lines of conversations, image or video; a folder of media",
        options=_OPTIONS,
    ),
    Format(
        name="llava-video",
        description="LLaVA-Video-178K: conversations about videos",
        convert=convert_llava,
        expects="one of its JSON files and the folder of videos",
        options=_OPTIONS,
    ),
    Format(
        name="messages",
        description="Chat messages (role, content) as JSON lines, with media, tools and calls",
        convert=convert_messages,
        expects="JSON lines of messages; media in the content or in images and videos",
        options=_OPTIONS,
    ),
)
