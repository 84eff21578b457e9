"""OpenAI-style messages become conversations."""

import base64

import pytest

from nanovl.core.conversation import (
    AudioPart,
    DocumentPart,
    ImagePart,
    MediaRef,
    TextPart,
    VideoPart,
)
from nanovl.core.errors import InputError
from nanovl.engine.messages import parse_messages, parse_tools

DATA = base64.b64encode(b"bytes").decode()
URL = "https://example.org/x"


def part(value):
    (message,) = parse_messages([{"role": "user", "content": [value]}]).messages
    (result,) = message.parts
    return result


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("plain", TextPart(text="plain")),
        ({"type": "text", "text": "a"}, TextPart(text="a")),
        ({"type": "input_text", "text": "a"}, TextPart(text="a")),
        ({"type": "image_url", "image_url": {"url": URL}}, ImagePart(source=MediaRef(url=URL))),
        ({"type": "image_url", "image_url": URL}, ImagePart(source=MediaRef(url=URL))),
        ({"image_url": {"url": URL}}, ImagePart(source=MediaRef(url=URL))),
        ({"type": "input_image", "image_url": URL}, ImagePart(source=MediaRef(url=URL))),
        (
            {"type": "image_url", "image_url": {"url": URL, "detail": "low"}},
            ImagePart(source=MediaRef(url=URL), max_tiles=1),
        ),
        ({"type": "video_url", "video_url": {"url": URL}}, VideoPart(source=MediaRef(url=URL))),
        (
            {"type": "input_video", "input_video": {"data": DATA}},
            VideoPart(source=MediaRef(data=b"bytes")),
        ),
        (
            {"type": "input_audio", "input_audio": {"data": DATA, "format": "wav"}},
            AudioPart(source=MediaRef(data=b"bytes")),
        ),
        ({"type": "audio_url", "audio_url": {"url": URL}}, AudioPart(source=MediaRef(url=URL))),
        (
            {"type": "pdf_url", "pdf_url": {"url": URL, "pages": "1-4", "dpi": 150}},
            DocumentPart(source=MediaRef(url=URL), pages="1-4", dpi=150),
        ),
        (
            {"type": "file", "file": {"file_data": DATA, "filename": "a.pdf"}},
            DocumentPart(source=MediaRef(data=b"bytes", name="a.pdf")),
        ),
        (
            {"type": "file", "file": {"file_data": f"data:image/png;base64,{DATA}"}},
            ImagePart(source=MediaRef(url=f"data:image/png;base64,{DATA}")),
        ),
        ({"type": "input_file", "file_url": URL}, DocumentPart(source=MediaRef(url=URL))),
    ],
)
def test_parts(value, expected):
    assert part(value) == expected


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (3, r"messages\[0\].content\[0\]: got 3"),
        ({}, r"content\[0\].type: got None"),
        ({"type": "hologram"}, "got 'hologram', expected one of text"),
        ({"type": "text"}, r"content\[0\].text: got nothing, expected a string"),
        ({"type": "image_url", "image_url": 5}, "image_url: got 5, expected a URL"),
        ({"type": "image_url", "image_url": {}}, r"image_url.url: got nothing"),
        ({"type": "image_url", "image_url": "x.png"}, "expected an http.s., data or file URL"),
        ({"type": "image_url", "image_url": {"url": URL, "detail": "max"}}, "auto, low or high"),
        ({"type": "input_audio", "input_audio": {"data": "%%"}}, "not valid base64"),
        ({"type": "file", "file": {"file_id": "f-1"}}, "send file_data"),
        ({"type": "file", "file": {}}, "got nothing"),
    ],
)
def test_bad_parts_name_the_field(value, message):
    with pytest.raises(InputError, match=message):
        part(value)


def test_a_whole_conversation():
    conversation = parse_messages(
        [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": "w?"},
            {
                "role": "assistant",
                "content": None,
                "reasoning_content": "hm",
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "get", "arguments": "{}"}}
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": '{"t": 1}'},
        ],
        tools=[{"type": "function", "function": {"name": "get"}}],
    )
    system, user, assistant, tool = conversation.messages
    assert (system.role, user.role, tool.role) == ("system", "user", "tool")
    assert assistant.reasoning == "hm"
    assert assistant.parts == ()
    (call,) = assistant.tool_calls
    assert (call.name, call.arguments, call.id) == ("get", "{}", "c1")
    assert len(conversation.tools) == 1


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ([], "got .., expected a list of at least one"),
        ("hi", "got 'hi'"),
        ([3], r"messages\[0\]: got 3"),
        ([{"role": "robot", "content": "x"}], r"messages\[0\].role: got 'robot'"),
        ([{"content": "x"}], "role: got nothing"),
        ([{"role": "user"}], r"messages\[0\].content: missing"),
        ([{"role": "user", "content": []}], "is an empty list"),
        ([{"role": "user", "content": 5}], "content: got 5"),
        ([{"role": "assistant", "content": "x", "tool_calls": "f"}], "tool_calls: got 'f'"),
        ([{"role": "assistant", "content": "x", "tool_calls": [{}]}], r"tool_calls\[0\]"),
        ([{"role": "assistant", "content": "x", "reasoning": 3}], "reasoning: got 3"),
    ],
)
def test_bad_messages_name_the_field(messages, message):
    with pytest.raises(InputError, match=message):
        parse_messages(messages)


def test_huge_values_are_not_repeated():
    with pytest.raises(InputError) as error:
        parse_messages(
            [{"role": "user", "content": [{"type": "image_url", "image_url": "x" * 9999}]}]
        )
    assert len(str(error.value)) < 300


@pytest.mark.parametrize("tools", ["x", {"name": "f"}, [3], [{}], [{"function": {}}]])
def test_bad_tools(tools):
    with pytest.raises(InputError, match="tools"):
        parse_tools(tools)
