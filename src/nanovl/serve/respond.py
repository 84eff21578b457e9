"""Bodies of `/v1/responses` as chat requests: one path through planning for both interfaces.

Items of the input become messages: text, media, tool calls and their results, earlier reasoning.

Source: serving specification, section 5.5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nanovl.serve.errors import bad_request, shown
from nanovl.serve.schema import ChatRequest, ResponsesRequest, validated

__all__ = ["as_chat", "input_messages", "output_message"]

SAME = (
    "model",
    "temperature",
    "top_p",
    "stream",
    "user",
    "metadata",
    "parallel_tool_calls",
    "chat_template_kwargs",
    "mm_processor_kwargs",
)


def as_chat(body: ResponsesRequest, history: Sequence[Mapping[str, Any]] = ()) -> ChatRequest:
    """The chat request that asks for the same.

    Args:
        body: Checked.
        history: Messages of the response this one follows.

    Raises:
        ApiError: 400 for what is not supported or of the wrong shape.
    """
    if body.background:
        raise bad_request("background is not supported; leave it out", "background")
    if body.truncation not in (None, "disabled"):
        raise bad_request("truncation: only disabled is supported", "truncation")
    if body.include:
        raise bad_request("include is not supported; leave it out", "include")
    chat: dict[str, Any] = {n: getattr(body, n) for n in SAME if getattr(body, n) is not None}
    messages = [*history, *input_messages(body.input)]
    if body.instructions:
        messages.insert(0, {"role": "system", "content": body.instructions})
    chat["messages"] = messages
    if body.max_output_tokens is not None:
        chat["max_completion_tokens"] = body.max_output_tokens
    if body.reasoning:
        chat["reasoning"] = {k: v for k, v in body.reasoning.items() if k != "summary"}
    answer = _format(body.text)
    if answer is not None:
        chat["response_format"] = answer
    if body.tools:
        chat["tools"] = [_tool(tool, i) for i, tool in enumerate(body.tools)]
        if body.tool_choice is not None:
            chat["tool_choice"] = _choice(body.tool_choice)
    return validated(ChatRequest, chat)


def input_messages(items: str | Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Items of an input as chat messages.

    Raises:
        ApiError: 400 naming the item.
    """
    if isinstance(items, str):
        return [{"role": "user", "content": items}]
    if not items:
        raise bad_request("input: expected at least one item", "input")
    messages: list[dict[str, Any]] = []
    for index, item in enumerate(items):
        where = f"input.{index}"
        kind = item.get("type", "message")
        if kind == "message":
            _add(messages, _message(item, where))
        elif kind == "function_call":
            call = {"name": item.get("name"), "arguments": item.get("arguments") or "{}"}
            entry = {"id": item.get("call_id"), "type": "function", "function": call}
            _add(messages, {"role": "assistant", "content": None, "tool_calls": [entry]})
        elif kind == "function_call_output":
            output = item.get("output")
            if not isinstance(output, (str, list)):
                raise bad_request(f"{where}.output: expected a string", f"{where}.output")
            messages.append({"role": "tool", "content": output})
        elif kind == "reasoning":
            text = "".join(_texts(item.get("content")))
            _add(messages, {"role": "assistant", "content": None, "reasoning": text})
        else:
            raise bad_request(
                f"{where}.type: got {shown(kind)}, expected message, function_call, "
                "function_call_output or reasoning",
                f"{where}.type",
            )
    return messages


def output_message(output: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Items of an answer as the message they stand for in the next request."""
    return input_messages(output) if output else []


def _message(item: Mapping[str, Any], where: str) -> dict[str, Any]:
    role = item.get("role")
    if not isinstance(role, str):
        raise bad_request(f"{where}.role: got {shown(role)}, expected a role", f"{where}.role")
    content = item.get("content")
    if not isinstance(content, (str, list)):
        raise bad_request(
            f"{where}.content: got {shown(content)}, expected a string or a list of parts",
            f"{where}.content",
        )
    return {"role": role, "content": content}


def _add(messages: list[dict[str, Any]], message: dict[str, Any]) -> None:
    """Neighbouring items of the assistant are one turn."""
    before = messages[-1] if messages else None
    if before is None or before["role"] != "assistant" or message["role"] != "assistant":
        messages.append(message)
        return
    for name in ("tool_calls", "reasoning"):
        if message.get(name):
            empty: Any = [] if name == "tool_calls" else ""
            before[name] = (before.get(name) or empty) + message[name]
    if message.get("content"):
        before["content"] = [*_parts(before.get("content")), *_parts(message["content"])]


def _parts(content: Any) -> list[Any]:
    if content is None:
        return []
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def _texts(content: Any) -> list[str]:
    parts = content if isinstance(content, list) else []
    found = (p.get("text") for p in parts if isinstance(p, Mapping))
    return [text for text in found if isinstance(text, str)]


def _format(text: Mapping[str, Any] | None) -> dict[str, Any] | None:
    answer = (text or {}).get("format")
    if answer is None:
        return None
    if not isinstance(answer, Mapping):
        raise bad_request("text.format: expected an object", "text.format")
    if answer.get("type") != "json_schema":
        return dict(answer)
    inner = {k: answer[k] for k in ("name", "schema", "strict") if k in answer}
    return {"type": "json_schema", "json_schema": inner}


def _tool(tool: Mapping[str, Any], index: int) -> dict[str, Any]:
    kind = tool.get("type")
    if kind != "function":
        raise bad_request(
            f"tools.{index}.type: got {shown(kind)}, expected function", f"tools.{index}.type"
        )
    inner = {k: tool[k] for k in ("name", "description", "parameters", "strict") if k in tool}
    return {"type": "function", "function": inner}


def _choice(choice: str | Mapping[str, Any]) -> Any:
    if isinstance(choice, Mapping) and "name" in choice:
        return {"type": "function", "function": {"name": choice["name"]}}
    return choice
