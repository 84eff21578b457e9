"""What a conversation may and may not be."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nanovl.core.conversation import (
    Conversation,
    ImagePart,
    MediaRef,
    Message,
    TextPart,
    ToolCall,
)
from nanovl.core.errors import InputError

PICTURE = ImagePart(source=MediaRef(data=b"x"))


@pytest.mark.parametrize(
    ("source", "field", "name"),
    [
        ("a/b.png", "path", "b.png"),
        (Path("a/b.png"), "path", "b.png"),
        ("https://example.org/x.png", "url", "https://example.org/x.png"),
        ("HTTP://example.org/x.png", "url", "HTTP://example.org/x.png"),
        ("file:///a/b.png", "url", "file:///a/b.png"),
        ("data:image/png;base64,AA==", "url", "data URL"),
        (b"bytes", "data", "in-memory data"),
        (bytearray(b"bytes"), "data", "in-memory data"),
        (memoryview(b"bytes"), "data", "in-memory data"),
        (np.zeros((2, 2, 3), np.uint8), "array", "in-memory picture"),
    ],
)
def test_references_are_made_from_what_a_caller_holds(source: Any, field: str, name: str) -> None:
    ref = MediaRef.of(source)
    given = [f for f in ("path", "url", "data", "array") if getattr(ref, f) is not None]
    assert given == [field]
    assert ref.name == name
    assert MediaRef.of(source, name="mine").name == "mine"
    assert MediaRef.of(ref) is ref


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, r"got 0 payloads \(none\)"),
        ({"data": b"x", "url": "data:,"}, r"got 2 payloads \(url, data\)"),
    ],
)
def test_a_reference_has_exactly_one_payload(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        MediaRef(**fields)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"role": "robot"}, "role 'robot': expected one of system, user, assistant, tool"),
        ({"role": "user", "reasoning": ""}, "user message carries reasoning"),
        (
            {"role": "tool", "tool_calls": (ToolCall(name="x", arguments={}),)},
            "tool message carries reasoning or tool calls",
        ),
        ({"role": "system", "parts": (PICTURE,)}, "system message carries media"),
        ({"role": "assistant", "parts": (PICTURE,)}, "only user messages may"),
    ],
)
def test_messages_that_are_refused(message: dict[str, Any], expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        Message(**message)


def test_media_and_text_of_a_message() -> None:
    message = Message(role="user", parts=[TextPart(text="a"), PICTURE])  # type: ignore[arg-type]
    assert message.parts == (TextPart(text="a"), PICTURE)
    assert message.media == (PICTURE,)
    assert Message.text("assistant", "b", reasoning="r").reasoning == "r"


def says(*roles: Any) -> tuple[Message, ...]:
    return tuple(Message.text(role, "x") for role in roles)


@pytest.mark.parametrize(
    ("roles", "expected"),
    [
        ((), "no messages"),
        (("user", "assistant", "assistant"), r"messages\[2\]: two assistant messages in a row"),
        (("user", "tool"), r"messages\[1\]: tool result without an assistant message"),
        (("tool",), r"messages\[0\]: tool result"),
    ],
)
def test_conversations_that_are_refused(roles: tuple[str, ...], expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        Conversation(messages=says(*roles))


@pytest.mark.parametrize(
    "roles",
    [
        ("user",),
        ("system",),
        ("system", "user", "user"),
        ("user", "assistant", "tool", "tool", "assistant", "user"),
    ],
)
def test_conversations_that_are_accepted(roles: tuple[str, ...]) -> None:
    assert len(Conversation(messages=list(says(*roles))).messages) == len(roles)  # type: ignore[arg-type]


def test_one_question() -> None:
    conversation = Conversation.user("What?", [PICTURE], system="Be brief.")
    assert [m.role for m in conversation.messages] == ["system", "user"]
    assert conversation.messages[1].parts == (PICTURE, TextPart(text="What?"))
    assert len(Conversation.user("What?").messages) == 1


def test_a_byte_range_needs_a_path() -> None:
    ref = MediaRef(path=Path("a/shard.tar"), byte_range=(512, 20), name="b.png")
    assert (ref.byte_range, ref.name) == ((512, 20), "b.png")
    assert MediaRef(path=Path("a/shard.tar")).byte_range is None
    with pytest.raises(InputError, match=r"b\.png: a byte range needs a path"):
        MediaRef(data=b"x", byte_range=(0, 1), name="b.png")


@pytest.mark.parametrize("byte_range", [(-1, 5), (0, -1), (0.0, 5), (0,), (0, 1, 2), (True, 1)])
def test_a_byte_range_is_offset_and_size(byte_range: Any) -> None:
    with pytest.raises(InputError, match=r"expected \(offset, size\)"):
        MediaRef(path=Path("shard.tar"), byte_range=byte_range)
