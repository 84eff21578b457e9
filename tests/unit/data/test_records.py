"""nanovl.data.records: the released format, and what is said about everything that is not it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from nanovl.core.conversation import AudioPart, ImagePart, TextPart, ToolCall, VideoPart
from nanovl.core.errors import InputError
from nanovl.data.drops import Dropped
from nanovl.data.media import FolderStore
from nanovl.data.records import Fragment, Record, RecordMessage, read_jsonl

RELEASED: dict[str, Any] = {
    "id": "292180",
    "messages": [
        {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
        {
            "role": "user",
            "content": [
                {
                    "type": "image",
                    "image": "292180.png",
                    "metadata": {"width": 640, "height": 480, "format": "PNG", "mode": "RGB"},
                },
                {"type": "text", "text": "What is in row 2?"},
            ],
        },
        {"role": "assistant", "content": [{"type": "text", "text": "<think>\nx\n</think>\n\n7"}]},
    ],
}


def plain(*roles: str) -> dict[str, Any]:
    return {"id": "a", "messages": [{"role": role, "content": "x"} for role in roles]}


def changed(**values: Any) -> dict[str, Any]:
    return {**plain("user", "assistant"), **values}


def with_message(index: int, **values: Any) -> dict[str, Any]:
    made = plain("user", "assistant")
    made["messages"][index] |= values
    return made


def with_fragment(fragment: Any, role: str = "user") -> dict[str, Any]:
    return with_message(0 if role == "user" else 1, content=[fragment])


def test_the_released_format_round_trips() -> None:
    record = Record.from_json(RELEASED, where="sparsetables.jsonl:1")
    assert record.to_json() == RELEASED
    assert [m.role for m in record.messages] == ["system", "user", "assistant"]
    assert record.media == (
        Fragment(
            type="image",
            value="292180.png",
            metadata=RELEASED["messages"][1]["content"][0]["metadata"],
        ),
    )
    assert record.weight == 1.0
    assert record.reasoning is None
    assert record.loss_flags == (True,)
    assert record.has_trace


def test_the_optional_keys_round_trip() -> None:
    given = {
        **plain("user", "assistant", "tool", "assistant"),
        "reasoning": "off",
        "source": "bfcl",
        "weight": 0.25,
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
        "task": "tool_call",
        "metadata": {"anything": [1, None]},
    }
    given["messages"][1] = {
        "role": "assistant",
        "content": None,
        "loss": False,
        "tool_calls": [{"name": "f", "arguments": {"x": 1}, "id": "c1"}],
    }
    record = Record.from_json(given)
    again = Record.from_json(json.loads(json.dumps(record.to_json())))
    assert again == record
    assert again.loss_flags == (False, True)
    assert again.messages[0].content == (Fragment(type="text", value="x"),)
    assert again.weight == 0.25
    assert again.messages[1].tool_calls[0]["arguments"] == {"x": 1}


def test_tool_calls_may_be_wrapped() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}
    record = Record.from_json(with_message(1, content=None, tool_calls=[call]))
    expected = {"name": "f", "arguments": '{"x": 1}', "id": "c"}
    assert record.messages[1].tool_calls == (expected,)


@pytest.mark.parametrize(
    ("obj", "path", "problem"),
    [
        ([], "", "got a list, expected an object"),
        ("x", "", "got 'x', expected an object"),
        ({}, "messages", "got nothing, expected a list"),
        (changed(id=7), "id", "got 7, expected a text"),
        (changed(id=""), "id", "is empty"),
        (changed(mesages=[]), "", "unknown key 'mesages'; did you mean 'messages'?"),
        (changed(zzz=1), "", "unknown key 'zzz'; known: id, messages, "),
        (changed(messages=[]), "messages", "is empty"),
        (changed(messages={}), "messages", "got an object, expected a list"),
        (changed(messages=["x"]), "messages[0]", "got 'x', expected an object"),
        (
            changed(reasoning="onn"),
            "reasoning",
            "got 'onn', expected one of 'on', 'off' or null; di",
        ),
        (changed(reasoning=True), "reasoning", "got True"),
        (changed(reasoning=["on"]), "reasoning", "got a list"),
        (changed(source=None), "source", "got nothing, expected a text"),
        (changed(weight="1"), "weight", "got '1', expected a number"),
        (changed(weight=True), "weight", "got True, expected a number"),
        (changed(weight=math.nan), "weight", "got nan, expected a finite number"),
        (changed(weight=math.inf), "weight", "got inf, expected a finite number"),
        (changed(weight=-0.5), "weight", "got -0.5, expected a finite number of at least 0"),
        (changed(tools={}), "tools", "got an object, expected a list"),
        (changed(tools=[1]), "tools[0]", "got 1, expected an object"),
        (changed(tools=[{"function": {}}]), "tools[0].name", "expected a function name"),
        (changed(metadata=[]), "metadata", "got a list, expected an object"),
        (changed(task=1), "task", "got 1, expected a text"),
        (with_message(0, rol="user"), "messages[0]", "unknown key 'rol'; did you mean 'role'?"),
        (with_message(0, role="users"), "messages[0].role", "got 'users', expected one of"),
        (with_message(0, role="users"), "messages[0].role", "did you mean 'user'?"),
        (with_message(0, role=["user"]), "messages[0].role", "got a list"),
        (with_message(0, content=3), "messages[0].content", "got 3, expected a list of fragments"),
        (with_message(0, content=None), "messages[0].content", "got nothing, expected a list"),
        (with_message(0, content=[]), "messages[0].content", "is empty"),
        (with_message(1, loss=1), "messages[1].loss", "got 1, expected true or false"),
        (with_message(0, loss=True), "messages[0].loss", "only assistant messages count"),
        (
            with_message(0, tool_calls=[{"name": "f", "arguments": {}}]),
            "messages[0].tool_calls",
            "only assistant messages call tools",
        ),
        (with_message(1, tool_calls={}), "messages[1].tool_calls", "expected a list"),
        (
            with_message(1, tool_calls=[{"name": "f"}]),
            "messages[1].tool_calls[0].arguments",
            "got nothing, expected an object or a JSON string",
        ),
        (
            with_message(1, tool_calls=[{"function": {"name": "", "arguments": {}}}]),
            "messages[1].tool_calls[0].function.name",
            "is empty",
        ),
        (
            with_message(1, tool_calls=[{"nam": "f", "arguments": {}}]),
            "messages[1].tool_calls[0]",
            "unknown key 'nam'; did you mean 'name'?",
        ),
        (with_fragment("x"), "messages[0].content[0]", "expected a fragment with a type"),
        (
            with_fragment({"type": "img", "img": "a.png"}),
            "messages[0].content[0].type",
            "got 'img', expected one of 'text', 'image', 'video', 'audio'",
        ),
        (
            with_fragment({"type": "imge", "image": "a.png"}),
            "messages[0].content[0].type",
            "did you mean 'image'?",
        ),
        (with_fragment({"type": 3}), "messages[0].content[0].type", "got 3"),
        (with_fragment({"text": "x"}), "messages[0].content[0].type", "got nothing"),
        (
            with_fragment({"type": "text"}),
            "messages[0].content[0].text",
            "got nothing, expected a t",
        ),
        (
            with_fragment({"type": "text", "text": ["x"]}),
            "messages[0].content[0].text",
            "got a list, expected a text",
        ),
        (
            with_fragment({"type": "text", "texd": "x"}),
            "messages[0].content[0]",
            "unknown key 'texd'; did you mean 'text'?",
        ),
        (with_fragment({"type": "image"}), "messages[0].content[0].image", "got nothing"),
        (
            with_fragment({"type": "image", "image": ""}),
            "messages[0].content[0].image",
            "is empty",
        ),
        (
            with_fragment({"type": "image", "image": "a.png"}, "assistant"),
            "messages[1].content[0]",
            "image of the assistant; only user messages carry media",
        ),
        (
            with_fragment({"type": "text", "text": "x", "metadata": 1}),
            "messages[0].content[0].metadata",
            "got 1, expected an object",
        ),
        (
            with_fragment({"type": "video", "video": "v", "metadata": {"start_s": "2"}}),
            "messages[0].content[0].metadata.start_s",
            "got '2', expected a number of at least 0",
        ),
        (
            with_fragment({"type": "video", "video": "v", "metadata": {"start_s": 2, "end_s": 1}}),
            "messages[0].content[0].metadata.end_s",
            "got 1.0, expected more than start_s 2.0",
        ),
        (
            with_fragment({"type": "video", "video": "v", "metadata": {"fps": 0}}),
            "messages[0].content[0].metadata.fps",
            "got 0, expected more than 0",
        ),
        (
            with_fragment({"type": "audio", "audio": "a", "metadata": {"transcript": 1}}),
            "messages[0].content[0].metadata.transcript",
            "got 1, expected a list",
        ),
        (
            with_fragment(
                {"type": "audio", "audio": "a", "metadata": {"transcript": [{"text": "x"}]}}
            ),
            "messages[0].content[0].metadata.transcript[0]",
            "expected start_s and end_s",
        ),
    ],
)
def test_what_is_wrong_is_named(obj: Any, path: str, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        Record.from_json(obj, where="set.jsonl:12")
    start = f"set.jsonl:12: {path}: " if path else "set.jsonl:12: "
    assert str(caught.value).startswith(start)
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("roles", "index"),
    [
        (("assistant",), 0),
        (("system", "assistant"), 1),
        (("user", "assistant", "assistant"), 2),
        (("user", "tool"), 1),
        (("tool",), 0),
        (("user", "system", "assistant"), 1),
        (("system", "system", "user", "assistant"), 1),
    ],
)
def test_an_order_no_conversation_has(roles: tuple[str, ...], index: int) -> None:
    with pytest.raises(Dropped) as caught:
        Record.from_json(plain(*roles), where="set.jsonl:3")
    assert caught.value.reason == "bad_turn_order"
    assert caught.value.message.startswith(f"set.jsonl:3: messages[{index}].role: got ")


@pytest.mark.parametrize(
    "roles",
    [
        ("user", "assistant"),
        ("system", "user", "user", "assistant"),
        ("user", "assistant", "tool", "tool", "assistant", "user", "assistant"),
        ("user",),
    ],
)
def test_an_order_a_conversation_may_have(roles: tuple[str, ...]) -> None:
    assert tuple(m.role for m in Record.from_json(plain(*roles)).messages) == roles


def test_long_values_are_cut_in_messages() -> None:
    with pytest.raises(InputError) as caught:
        Record.from_json(changed(weight="x" * 500))
    assert len(str(caught.value)) < 120


def test_loss_belongs_to_assistant_messages() -> None:
    assert RecordMessage(role="user", content=()).loss is False
    assert RecordMessage(role="assistant", content=()).loss is True
    record = Record.from_json(with_message(0, loss=False))
    assert record.to_json()["messages"][0] == {
        "role": "user",
        "content": [{"type": "text", "text": "x"}],
    }


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (["7"], False),
        (["<think></think>7"], False),
        (["<think>\n\n</think>7"], False),
        (["<think>\nso\n</think>\n\n7"], True),
        (["<think>so</think>7", "8"], False),
        (["7", "<think>so</think>8"], True),
    ],
)
def test_only_the_trace_of_the_last_answer_counts(answers: list[str], expected: bool) -> None:
    messages = []
    for answer in answers:
        messages += [{"role": "user", "content": "q"}, {"role": "assistant", "content": answer}]
    assert Record.from_json({"id": "a", "messages": messages}).has_trace is expected


def test_the_conversation_holds_references(tmp_path: Path) -> None:
    for name in ("p.png", "v.mp4", "s.wav"):
        (tmp_path / name).write_bytes(b"x")
    window = {"start_s": 1, "end_s": 4.5, "fps": 2, "video_fps": 25}
    spoken = [{"start_s": 0, "end_s": 1.5, "text": "hello"}]
    content = [
        {"type": "image", "image": "p.png"},
        {"type": "text", "text": "and"},
        {"type": "video", "video": "v.mp4", "metadata": window},
        {"type": "audio", "audio": "s.wav", "metadata": {"transcript": spoken}},
        {"type": "audio", "audio": "s.wav", "metadata": {"transcript": "hi", "audio_duration": 3}},
        {"type": "audio", "audio": "s.wav"},
    ]
    call = {"name": "f", "arguments": {"x": 1}, "id": "c"}
    made = plain("user", "assistant")
    made["messages"][0]["content"] = content
    made["messages"][1] |= {"content": "<think>\nt\n</think>\n\nb", "tool_calls": [call]}
    tools = [{"name": "f"}]
    talk = Record.from_json(made | {"tools": tools}).conversation(FolderStore(tmp_path))

    image, text, video, *audio = talk.messages[0].parts
    assert isinstance(image, ImagePart)
    assert image.source.path == tmp_path / "p.png"
    assert image.source.name == "p.png"
    assert text == TextPart(text="and")
    assert isinstance(video, VideoPart)
    assert (video.start_s, video.end_s, video.fps, video.transcript) == (1.0, 4.5, 2.0, None)
    heard = [part.transcript for part in audio if isinstance(part, AudioPart)]
    assert [s.text for s in heard[0] or ()] == ["hello"]
    assert [(s.start_s, s.end_s, s.text) for s in heard[1] or ()] == [(0.0, 3.0, "hi")]
    assert heard[2] is None
    assert talk.messages[1].parts == (TextPart(text="<think>\nt\n</think>\n\nb"),)
    assert talk.messages[1].reasoning is None
    assert talk.messages[1].tool_calls == (ToolCall(name="f", arguments={"x": 1}, id="c"),)
    assert talk.tools == tuple(tools)
    assert talk.metadata["id"] == "a"


def test_missing_media_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "page-12.png").write_bytes(b"x")
    record = Record.from_json(with_fragment({"type": "image", "image": "page_12.png"}))
    with pytest.raises(InputError, match=r"'page_12\.png': not in .*did you mean 'page-12\.png'"):
        record.conversation(FolderStore(tmp_path))


def test_reading_is_available_here(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(RELEASED) + "\n")
    assert [(n, Record.from_json(obj).id) for n, obj in read_jsonl(path)] == [(1, "292180")]
