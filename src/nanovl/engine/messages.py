"""OpenAI-style message dicts to a `Conversation`.

Checks shapes and names the field that is wrong (`messages[2].content[0].image_url`); fetches and
opens nothing. Media stays a reference: URL, data URL or bytes.

Source: serving specification, section 3.1.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from nanovl.core.conversation import (
    AudioPart,
    Conversation,
    DocumentPart,
    ImagePart,
    MediaRef,
    Message,
    Part,
    TextPart,
    ToolCall,
    VideoPart,
)
from nanovl.core.errors import InputError

__all__ = ["parse_messages", "parse_tools"]

_ROLES: dict[str, Literal["system", "user", "assistant", "tool"]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
_TEXT_TYPES = {"text": "text", "input_text": "text", "output_text": "text", "refusal": "refusal"}


def parse_messages(
    messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] | None = None
) -> Conversation:
    """Read a list of chat messages.

    Args:
        messages: `{"role", "content", ...}`; content is a string, a list of parts, or null. Part
            types: text, image_url, video_url, input_audio, audio_url, file, pdf_url and their
            Responses-style names.
        tools: Function descriptions.

    Raises:
        InputError: A field is missing or of the wrong shape; the message names it.
    """
    if isinstance(messages, (str, Mapping)) or not isinstance(messages, Sequence) or not messages:
        raise InputError(
            f"messages: got {_shape(messages)}, expected a list of at least one message"
        )
    parsed = tuple(_message(m, f"messages[{i}]") for i, m in enumerate(messages))
    return Conversation(messages=parsed, tools=parse_tools(tools))


def parse_tools(tools: Sequence[Mapping[str, Any]] | None) -> tuple[Mapping[str, Any], ...]:
    """Check function descriptions, bare or wrapped in `{"type": "function", "function": ...}`.

    Raises:
        InputError: Not a list of objects with a name.
    """
    if tools is None:
        return ()
    if isinstance(tools, (str, Mapping)) or not isinstance(tools, Sequence):
        raise InputError(f"tools: got {_shape(tools)}, expected a list of function descriptions")
    for index, tool in enumerate(tools):
        inner = tool.get("function", tool) if isinstance(tool, Mapping) else None
        if not isinstance(inner, Mapping) or not isinstance(inner.get("name"), str):
            raise InputError(f"tools[{index}]: expected an object with a function name")
    return tuple(tools)


def _message(message: Any, where: str) -> Message:
    if not isinstance(message, Mapping):
        raise InputError(
            f"{where}: got {_shape(message)}, expected an object with role and content"
        )
    role = _ROLES.get(str(message.get("role")))
    if role is None:
        raise InputError(
            f"{where}.role: got {_shape(message.get('role'))}, expected {', '.join(_ROLES)}"
        )
    calls = message.get("tool_calls") or ()
    content = message.get("content")
    if content is None and role != "assistant":
        raise InputError(f"{where}.content: missing; only assistant messages may have none")
    reasoning = message.get("reasoning", message.get("reasoning_content"))
    if role != "assistant":
        calls, reasoning = (), None
    if reasoning is not None and not isinstance(reasoning, str):
        raise InputError(f"{where}.reasoning: got {_shape(reasoning)}, expected a string")
    if isinstance(calls, (str, Mapping)) or not isinstance(calls, Sequence):
        raise InputError(f"{where}.tool_calls: got {_shape(calls)}, expected a list")
    return Message(
        role=role,
        parts=_content(content, f"{where}.content"),
        reasoning=reasoning,
        tool_calls=tuple(_call(c, f"{where}.tool_calls[{i}]") for i, c in enumerate(calls)),
    )


def _call(call: Any, where: str) -> ToolCall:
    function = call.get("function", call) if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise InputError(f"{where}: expected an object with function.name and function.arguments")
    arguments = function.get("arguments") or {}
    if not isinstance(arguments, (str, Mapping)):
        raise InputError(
            f"{where}.function.arguments: got {_shape(arguments)}, expected an object or a string"
        )
    return ToolCall(name=function["name"], arguments=arguments, id=str(call.get("id") or ""))


def _content(content: Any, where: str) -> tuple[Part, ...]:
    if content is None:
        return ()
    if isinstance(content, str):
        return (TextPart(text=content),)
    if isinstance(content, Mapping) or not isinstance(content, Sequence):
        raise InputError(f"{where}: got {_shape(content)}, expected a string or a list of parts")
    if not content:
        raise InputError(f"{where}: is an empty list; expected at least one part")
    return tuple(_part(part, f"{where}[{i}]") for i, part in enumerate(content))


def _part(part: Any, where: str) -> Part:
    if isinstance(part, str):
        return TextPart(text=part)
    if not isinstance(part, Mapping):
        raise InputError(f"{where}: got {_shape(part)}, expected an object with a type")
    kind = part.get("type") or next((k for k in _READERS if k in part), None)
    if kind in _TEXT_TYPES:
        text = part.get(_TEXT_TYPES[kind])
        if not isinstance(text, str):
            raise InputError(f"{where}.{_TEXT_TYPES[kind]}: got {_shape(text)}, expected a string")
        return TextPart(text=text)
    if kind not in _READERS:
        known = ", ".join([*_TEXT_TYPES, *_READERS])
        raise InputError(f"{where}.type: got {kind!r}, expected one of {known}")
    return _READERS[kind](part, f"{where}.{kind}")


def _image(part: Mapping[str, Any], where: str) -> Part:
    options = _object(part, where)
    detail = options.get("detail", part.get("detail", "auto"))
    if detail not in ("auto", "low", "high", None):
        raise InputError(f"{where}.detail: got {detail!r}, expected auto, low or high")
    # People expect "low" to save tokens: one tile, no thumbnail.
    return ImagePart(source=_url(options, where), max_tiles=1 if detail == "low" else None)


def _video(part: Mapping[str, Any], where: str) -> Part:
    options = _object(part, where)
    source = _bytes(options["data"], where) if "data" in options else _url(options, where)
    return VideoPart(source=source, fps=options.get("fps"), max_frames=options.get("max_frames"))


def _audio(part: Mapping[str, Any], where: str) -> Part:
    options = _object(part, where)
    return AudioPart(
        source=_bytes(options["data"], where) if "data" in options else _url(options, where)
    )


def _pdf(part: Mapping[str, Any], where: str) -> Part:
    options = _object(part, where)
    return DocumentPart(
        source=_url(options, where), pages=options.get("pages"), dpi=options.get("dpi")
    )


def _file(part: Mapping[str, Any], where: str) -> Part:
    options = part["file"] if isinstance(part.get("file"), Mapping) else part
    if options.get("file_id") is not None:
        raise InputError(f"{where}.file_id: stored files do not exist here; send file_data")
    name = str(options.get("filename") or "")
    data = options.get("file_data")
    if data is None:
        source = _url({"url": options.get("file_url")}, where)
    elif isinstance(data, str) and data.startswith("data:"):
        source = MediaRef(url=data, name=name)
    else:
        source = _bytes(data, f"{where}.file_data", name)
    media_type = (source.url or "data:application/pdf")[5:].split(",", 1)[0].split(";", 1)[0]
    if media_type.startswith("image/"):
        return ImagePart(source=source)
    if media_type.startswith("video/"):
        return VideoPart(source=source)
    if media_type.startswith("audio/"):
        return AudioPart(source=source)
    return DocumentPart(source=source)


_READERS = {
    "image_url": _image,
    "input_image": _image,
    "video_url": _video,
    "input_video": _video,
    "input_audio": _audio,
    "audio_url": _audio,
    "pdf_url": _pdf,
    "file": _file,
    "input_file": _file,
}


def _object(part: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """What stands under the type's own key: an object, or a bare URL."""
    key = where.rpartition(".")[2]
    value = part.get(key, part.get("image_url") if key == "input_image" else None)
    if isinstance(value, str):
        return {"url": value}
    if not isinstance(value, Mapping):
        raise InputError(f"{where}: got {_shape(value)}, expected a URL or an object with one")
    return value


def _url(options: Mapping[str, Any], where: str) -> MediaRef:
    url = options.get("url")
    if not isinstance(url, str) or ":" not in url:
        raise InputError(f"{where}.url: got {_shape(url)}, expected an http(s), data or file URL")
    return MediaRef(url=url)


def _bytes(data: Any, where: str, name: str = "") -> MediaRef:
    if not isinstance(data, str):
        raise InputError(f"{where}: got {_shape(data)}, expected base64 text")
    if data.startswith("data:"):
        return MediaRef(url=data, name=name)
    try:
        return MediaRef(data=base64.b64decode(data, validate=True), name=name)
    except (binascii.Error, ValueError):
        raise InputError(f"{where}: is not valid base64") from None


def _shape(value: Any) -> str:
    """A value for a message, without repeating something huge."""
    if value is None:
        return "nothing"
    text = repr(value)
    return text if len(text) <= 60 else f"{type(value).__name__} {text[:60]}..."
