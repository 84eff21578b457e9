"""Rows of VLMEvalKit become conversations.

The kit hands over a list of `{"type", "value"}`, some with a role. System texts belong to their
row alone: the kit's own HTTP base class appends them to the model object, where they stay for the
data sets that follow.

Source: evaluation specification, sections 4.1 and 9.1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nanovl.core.conversation import Conversation, Message, Part, TextPart
from nanovl.core.errors import InputError
from nanovl.integrations.content import media_part, user_message, with_system

__all__ = ["of_chat", "of_row", "split_row"]


def split_row(message: Sequence[Mapping[str, Any]]) -> tuple[str, list[Mapping[str, Any]]]:
    """System text of a row, and its other items.

    Raises:
        InputError: An item without type and value, or the beginning of an answer.
    """
    system: list[str] = []
    items: list[Mapping[str, Any]] = []
    for number, item in enumerate(message):
        if "value" not in item or ("type" not in item and item.get("role") != "system"):
            raise InputError(f"item {number} of the row: has no type and value")
        role = item.get("role", "user")
        if role == "system":
            system.append(str(item["value"]))
        elif role == "user":
            items.append(item)
        else:
            raise InputError(
                f"item {number} of the row begins the answer ({str(item['value'])[:40]!r}); a "
                "chat model cannot go on from there, leave this data set out"
            )
    return "\n".join(system), items


def of_row(message: Sequence[Mapping[str, Any]]) -> Conversation:
    """One row as a conversation of one turn.

    Raises:
        InputError: It cannot be asked.
    """
    system, items = split_row(message)
    return with_system(system, [user_message([_part(item) for item in items])])


def of_chat(messages: Sequence[Mapping[str, Any]]) -> Conversation:
    """Several turns, as the kit's multi-turn data sets have them.

    Args:
        messages: `{"role", "content"}`, each content as a row.

    Raises:
        InputError: They cannot be asked.
    """
    turns: list[Message] = []
    systems: list[str] = []
    for turn in messages:
        system, items = split_row(turn["content"])
        if system:
            systems.append(system)
        if turn["role"] == "user":
            turns.append(user_message([_part(item) for item in items]))
        else:
            text = "\n".join(str(item["value"]) for item in items)
            turns.append(Message.text(turn["role"], text))
    return with_system("\n".join(systems), turns)


def _part(item: Mapping[str, Any]) -> Part:
    if item["type"] == "text":
        return TextPart(text=str(item["value"]))
    return media_part(item["type"], item["value"])
