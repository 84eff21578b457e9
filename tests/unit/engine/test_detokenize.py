"""Incremental text and stop strings."""

import pytest

from nanovl.engine.detokenize import Detokenizer, StopMatcher, partial_match


def as_bytes(ids):
    """A vocabulary of bytes; ids from 256 on are control tokens without text."""
    return bytes(i for i in ids if i < 256)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", 0), ("x<", 1), ("x</think", 7), ("x</think>", 0), ("<<", 1), ("</thin</", 2), ("k", 0)],
)
def test_partial_match(text, expected):
    assert partial_match(text, ["</think>"]) == expected
    assert partial_match(text, []) == 0


def test_partial_match_takes_the_longest():
    assert partial_match("ab", ["bc", "abc"]) == 2
    assert partial_match("ab", ["ab", "b!"]) == 1


def test_characters_appear_when_complete():
    data = "a\u00e9\u20ac\U0001f600z".encode()
    stream = Detokenizer(as_bytes)
    pieces = [stream.feed(b) for b in data]
    assert pieces == ["a", "", "\u00e9", "", "", "\u20ac", "", "", "", "\U0001f600", "z"]
    assert stream.flush() == ""


def test_unfinished_character_and_control_tokens():
    stream = Detokenizer(as_bytes)
    assert [stream.feed(i) for i in (0xE2, 300, 0x82)] == ["", "", ""]
    assert stream.is_mid_character
    assert stream.flush() == "\ufffd"
    assert not stream.is_mid_character


def test_invalid_bytes_do_not_block():
    stream = Detokenizer(as_bytes)
    text = "".join(stream.feed(b) for b in b"\xff\xe2(\x80a")
    assert text + stream.flush() == b"\xff\xe2(\x80a".decode("utf-8", "replace")


def every_cut(text):
    yield list(text)
    for i in range(len(text) + 1):
        yield [text[:i], text[i:]]


@pytest.mark.parametrize(
    ("stops", "text", "shown", "matched"),
    [
        ((), "hello", "hello", None),
        (("\n\n",), "a\nb\n\nc", "a\nb", "\n\n"),
        (("END",), "the ENd EN", "the ENd EN", None),
        (("END",), "END", "", "END"),
        (("abc", "b"), "xabc", "xa", "b"),
        (("abc", "c"), "xabc", "x", "abc"),
        (("aab",), "aaab!", "a", "aab"),
    ],
)
def test_stop_strings_at_every_cut(stops, text, shown, matched):
    for pieces in every_cut(text):
        stream = StopMatcher(stops)
        out = "".join(stream.feed(p) for p in pieces) + stream.flush()
        assert (out, stream.matched) == (shown, matched), pieces


def test_nothing_after_a_stop_string():
    stream = StopMatcher(["."])
    assert stream.feed("a.b") == "a"
    assert stream.feed("c") == ""
    assert stream.flush() == ""
