"""Turns of lmms-eval become conversations, and what its tasks ask of generation becomes ours.

Stop strings of tasks are left out: the harness gives tasks without their own a blank line, which
would cut reasoning and every longer answer.

Source: evaluation specification, sections 2.1, 4.1 and 9.2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nanovl.core.conversation import Conversation, Message, Part, TextPart
from nanovl.core.errors import InputError
from nanovl.integrations.content import media_part, user_message, with_system

__all__ = ["of_turns", "sampling_of"]

_LIMITS = ("max_new_tokens", "max_gen_toks", "max_tokens")


def of_turns(turns: Sequence[Mapping[str, Any]]) -> Conversation:
    """Messages of a task as a conversation.

    Args:
        turns: `{"role", "content"}`; content is a text or a list of parts
            `{"type": "text", "text"}` and `{"type": "image" | "video" | "audio", "url"}`.

    Raises:
        InputError: They cannot be asked.
    """
    if not turns:
        raise InputError("the task gives no messages; does it define doc_to_messages?")
    systems: list[str] = []
    made: list[Message] = []
    for number, turn in enumerate(turns):
        content = turn["content"]
        items = [{"type": "text", "text": content}] if isinstance(content, str) else content
        parts = [_part(item, f"turn {number}") for item in items]
        if turn["role"] == "user":
            made.append(user_message(parts))
            continue
        if any(not isinstance(part, TextPart) for part in parts):
            raise InputError(f"turn {number}: a {turn['role']} turn holds media")
        text = "\n".join(part.text for part in parts if isinstance(part, TextPart))
        if turn["role"] == "system":
            systems.append(text)
        else:
            made.append(Message.text(turn["role"], text))
    return with_system("\n".join(systems), made)


def sampling_of(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Generation arguments of a task as fields of sampling.

    Args:
        wanted: As the harness passes them: `max_new_tokens`, `temperature`, `do_sample`, `top_p`,
            `until` and others; those that mean nothing here are left out.

    Returns:
        `max_tokens`, `temperature` and, where something is sampled, `top_p` and `top_k`.
    """
    chosen: dict[str, Any] = {}
    limit = next((wanted[n] for n in _LIMITS if wanted.get(n) is not None), None)
    if limit is not None:
        chosen["max_tokens"] = int(limit)
    temperature = float(wanted.get("temperature") or 0.0)
    if wanted.get("do_sample") is False:
        temperature = 0.0
    chosen["temperature"] = temperature
    if temperature > 0:
        if wanted.get("top_p"):
            chosen["top_p"] = float(wanted["top_p"])
        if wanted.get("top_k"):
            chosen["top_k"] = int(wanted["top_k"])
    return chosen


def _part(item: Mapping[str, Any], where: str) -> Part:
    kind = item.get("type")
    if kind == "text":
        return TextPart(text=str(item["text"]))
    source = item.get("url", item.get(str(kind)))
    if kind != "video":
        return media_part(str(kind), source)
    cut = {**(source if isinstance(source, Mapping) else {}), **item}
    start = cut.get("start_time", cut.get("video_start"))
    end = cut.get("end_time", cut.get("video_end"))
    if start is not None and end is not None and start >= end:
        raise InputError(f"{where}: a video from {start} s to {end} s")
    if isinstance(source, Mapping) and "video" in source:
        source = source["video"]
    return media_part("video", source, start_s=start, end_s=end)
