"""Bodies of `/v1/messages` as chat requests: one path through planning for every interface.

Blocks become parts: text, pictures, documents; tool calls and their results become messages.

Source: serving specification, section 1; the public documentation of Anthropic's Messages API.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from nanovl.serve.errors import bad_request, shown
from nanovl.serve.schema import ChatRequest, CountRequest, validated

__all__ = ["chat_body", "chat_of"]

SAME = ("model", "max_tokens", "temperature", "top_p", "top_k", "stream", "mm_processor_kwargs")
CHOICES = {"auto": "auto", "any": "required", "none": "none"}


def chat_of(body: CountRequest) -> ChatRequest:
    """The chat request that asks for the same.

    Raises:
        ApiError: 400 for what is not supported or of the wrong shape.
    """
    return validated(ChatRequest, chat_body(body))


def chat_body(body: CountRequest) -> dict[str, Any]:
    """The same, as the JSON of a chat request; only what was given."""
    chat = {n: v for n in SAME if (v := getattr(body, n, None)) is not None}
    chat["messages"] = _messages(body)
    stops = getattr(body, "stop_sequences", None)
    if stops:
        chat["stop"] = stops
    if body.thinking is not None:
        chat["thinking"] = body.thinking
    if body.tools:
        chat["tools"] = [_tool(tool, i) for i, tool in enumerate(body.tools)]
        chat |= _choice(body.tool_choice or {"type": "auto"})
    return chat


def _messages(body: CountRequest) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    if body.system:
        text = "\n".join(_texts(body.system, "system"))
        messages.append({"role": "system", "content": text})
    for index, message in enumerate(body.messages):
        where = f"messages.{index}"
        role, content = message.get("role"), message.get("content")
        if role not in ("user", "assistant"):
            raise bad_request(
                f"{where}.role: got {shown(role)}, expected user or assistant", f"{where}.role"
            )
        if isinstance(content, str):
            messages.append({"role": role, "content": content})
        else:
            blocks = _blocks(content, f"{where}.content")
            messages += (_asked if role == "user" else _answered)(blocks, f"{where}.content")
    return messages


def _blocks(content: Any, where: str) -> list[Mapping[str, Any]]:
    if not isinstance(content, Sequence) or not all(isinstance(b, Mapping) for b in content):
        raise bad_request(
            f"{where}: got {shown(content)}, expected a string or a list of blocks", where
        )
    return list(content)


def _texts(content: Any, where: str) -> list[str]:
    """Text of a string or of blocks of text."""
    if isinstance(content, str):
        return [content]
    found = []
    for index, block in enumerate(_blocks(content, where)):
        text = block.get("text")
        if block.get("type") != "text" or not isinstance(text, str):
            raise bad_request(f"{where}.{index}: expected a block of text", f"{where}.{index}")
        found.append(text)
    return found


def _asked(blocks: Sequence[Mapping[str, Any]], where: str) -> list[dict[str, Any]]:
    """A user turn; results of tools come before what is said about them."""
    results: list[dict[str, Any]] = []
    parts: list[dict[str, Any]] = []
    for index, block in enumerate(blocks):
        at = f"{where}.{index}"
        if block.get("type") != "tool_result":
            parts.append(_part(block, at))
            continue
        content = block.get("content") or ""
        inner = content if isinstance(content, str) else _blocks(content, f"{at}.content")
        said = inner
        if not isinstance(inner, str):  # pictures of a result are shown by the user
            said = "\n".join(str(b.get("text", "")) for b in inner if b.get("type") == "text")
            parts += [
                _part(b, f"{at}.content.{k}")
                for k, b in enumerate(inner)
                if b.get("type") != "text"
            ]
        text = f"Error: {said}" if block.get("is_error") else said
        call = {"role": "tool", "tool_call_id": block.get("tool_use_id"), "content": text}
        results.append(call)
    return [*results, *([{"role": "user", "content": parts}] if parts else [])]


def _answered(blocks: Sequence[Mapping[str, Any]], where: str) -> list[dict[str, Any]]:
    """An assistant turn."""
    message: dict[str, Any] = {"role": "assistant", "content": None}
    texts, calls, thoughts = [], [], []
    for index, block in enumerate(blocks):
        kind = block.get("type")
        if kind == "text":
            texts += _texts([block], where)
        elif kind == "thinking":
            thoughts.append(str(block.get("thinking", "")))
        elif kind == "tool_use":
            arguments = json.dumps(block.get("input") or {}, ensure_ascii=False)
            function = {"name": block.get("name"), "arguments": arguments}
            calls.append({"id": block.get("id"), "type": "function", "function": function})
        elif kind != "redacted_thinking":
            raise _unknown(kind, f"{where}.{index}", "text, thinking or tool_use")
    if texts:
        message["content"] = "".join(texts)
    if thoughts:
        message["reasoning"] = "".join(thoughts)
    if calls:
        message["tool_calls"] = calls
    if not (texts or calls):
        message["content"] = ""
    return [message]


def _part(block: Mapping[str, Any], where: str) -> dict[str, Any]:
    kind = block.get("type")
    if kind == "text":
        return {"type": "text", "text": _texts([block], where)[0]}
    if kind not in ("image", "document"):
        raise _unknown(kind, where, "text, image, document or tool_result")
    source = block.get("source")
    if not isinstance(source, Mapping):
        raise bad_request(f"{where}.source: expected an object", f"{where}.source")
    if kind == "document" and source.get("type") == "text":
        return {"type": "text", "text": str(source.get("data", ""))}
    url = _url(source, f"{where}.source")
    if kind == "image":
        return {"type": "image_url", "image_url": {"url": url}}
    if not url.startswith("data:"):
        return {"type": "pdf_url", "pdf_url": {"url": url}}
    name = block.get("title")
    file = {"file_data": url, **({"filename": str(name)} if name else {})}
    return {"type": "file", "file": file}


def _url(source: Mapping[str, Any], where: str) -> str:
    kind, url, data = (source.get(name) for name in ("type", "url", "data"))
    if kind == "url" and isinstance(url, str):
        return url
    if kind == "base64" and isinstance(data, str):
        return f"data:{source.get('media_type', '')};base64,{data}"
    raise bad_request(
        f"{where}: expected type base64 with media_type and data, or type url with url", where
    )


def _unknown(kind: Any, where: str, known: str) -> Exception:
    return bad_request(f"{where}.type: got {shown(kind)}, expected {known}", f"{where}.type")


def _tool(tool: Mapping[str, Any], index: int) -> dict[str, Any]:
    where = f"tools.{index}"
    if tool.get("type") not in (None, "custom"):
        raise _unknown(tool.get("type"), where, "custom; tools of others cannot be run here")
    function = {"name": tool.get("name"), "parameters": tool.get("input_schema") or {}}
    if tool.get("description"):
        function["description"] = tool["description"]
    return {"type": "function", "function": function}


def _choice(choice: Mapping[str, Any]) -> dict[str, Any]:
    kind = choice.get("type")
    found: dict[str, Any] = {}
    if kind == "tool":
        found["tool_choice"] = {"type": "function", "function": {"name": choice.get("name")}}
    elif isinstance(kind, str) and kind in CHOICES:
        found["tool_choice"] = CHOICES[kind]
    else:
        raise _unknown(kind, "tool_choice", "auto, any, tool or none")
    if choice.get("disable_parallel_tool_use"):
        found["parallel_tool_calls"] = False
    return found
