"""Where media stands in a message, and what cannot stand there."""

from __future__ import annotations

from pathlib import Path

import pytest

from nanovl.core.conversation import AudioPart, DocumentPart, ImagePart, TextPart, VideoPart
from nanovl.core.errors import InputError
from nanovl.integrations.content import media_part, user_message, with_system
from nanovl.testing import picture

A = media_part("image", "a.png")
B = media_part("image", "b.png")
V = media_part("video", "v.mp4")


def text(words: str) -> TextPart:
    return TextPart(text=words)


@pytest.mark.parametrize(
    ("parts", "words", "media"),
    [
        ([A, text("What?")], "What?", (A,)),
        ([A, B, text("What?"), text("Now.")], "What?\nNow.", (A, B)),
        ([text("Look"), A, text("what?")], "Look<image>what?", (A,)),
        ([A, text("and"), B], "<image>and<image>", (A, B)),
        ([V, text("and "), A, text(" so")], "<video>and <image> so", (V, A)),
        ([text("one"), text("two")], "one\ntwo", ()),
        ([text("one"), text("two"), A], "one\ntwo<image>", (A,)),
        ([A], "", (A,)),
    ],
)
def test_order(parts, words, media):
    message = user_message(parts)
    assert message.media == media
    assert "".join(p.text for p in message.parts if isinstance(p, TextPart)) == words


@pytest.mark.parametrize(
    ("kind", "made"),
    [("image", ImagePart), ("video", VideoPart), ("audio", AudioPart), ("pdf", DocumentPart)],
)
def test_kinds(kind, made):
    part = media_part(kind, "folder/file")
    assert isinstance(part, made)
    assert part.source.path == Path("folder/file")


def test_sources():
    opened = picture(8, 8)
    assert media_part("image", opened).source.array is opened
    assert media_part("image", {"bytes": b"x", "path": None}).source.data == b"x"
    assert media_part("image", {"bytes": None, "path": "p.png"}).source.path == Path("p.png")
    assert media_part("video", "https://host/v.mp4").source.url == "https://host/v.mp4"
    cut = media_part("video", "v.mp4", start_s=1.0, end_s=2.5)
    assert (cut.start_s, cut.end_s) == (1.0, 2.5)


@pytest.mark.parametrize(
    ("kind", "source", "says"),
    [
        ("depth", "d.png", "kind 'depth'"),
        ("image", None, "got nothing"),
        ("audio", {"array": [0.0], "sampling_rate": 16000}, "sound as samples"),
        ("image", {"height": 3}, "got height"),
    ],
)
def test_sources_that_are_nothing(kind, source, says):
    with pytest.raises(InputError, match=says):
        media_part(kind, source)


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ([], "empty"),
        ([text("a"), media_part("audio", "a.wav")], "AudioPart between texts"),
        ([text("what is <image> here?"), A, text("b")], "holds the words <image>"),
    ],
)
def test_messages_that_cannot_be_asked(parts, says):
    with pytest.raises(InputError, match=says):
        user_message(parts)


def test_system_text_comes_first_and_once():
    turn = user_message([text("hi")])
    assert with_system("", [turn]).messages == (turn,)
    twice = with_system("outer", with_system("inner", [turn]).messages)
    assert [m.role for m in twice.messages] == ["system", "user"]
    assert "".join(p.text for p in twice.messages[0].parts) == "outer\ninner"
