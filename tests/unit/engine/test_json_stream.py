"""JSON read character by character, beside the parser of the standard library."""

import json

import pytest
from hypothesis import given, settings, strategies as st

from nanovl.engine.json_stream import MAX_DEPTH, JsonReader, NotJsonError

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=10,
)


def read(text, **options):
    """What comes out, and whether the value is complete; None for what is no JSON."""
    reader = JsonReader(**options)
    out = ""
    try:
        for char in text:
            if not reader.feed(char):
                if char.strip(" \t\r\n"):
                    return None
                continue
            out += reader.take()
        complete = reader.end()
    except NotJsonError:
        return None
    return out + reader.take(), complete


def usual(text):
    """The spelling of the standard library; None for what it refuses."""

    def refuse(word):
        raise ValueError(word)

    try:
        value = json.loads(text, parse_constant=refuse, strict=False)
    except ValueError:
        return None
    return json.dumps(value, ensure_ascii=False)


@settings(max_examples=150, deadline=None)
@given(VALUES, st.booleans(), st.sampled_from([None, 0, 3]))
def test_values_come_out_as_the_library_writes_them(value, ascii_only, indent):
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    assert read(text) == (json.dumps(value, ensure_ascii=False), True)


PARTS = [
    *'[]{},:"\\-.0123456789eEutrnfalsdDbc \n',
    "true",
    "null",
    '"a"',
    '"\\u',
    "\\n",
    "1e5",
    "0.5",
]


@settings(max_examples=600, deadline=None)
@given(st.lists(st.sampled_from(PARTS), max_size=12))
def test_reads_what_the_library_reads(parts):
    text = "".join(parts)
    found, expected = read(text), usual(text)
    if expected is None:
        assert found is None or not found[1]
    elif "inity" not in expected and not any("\ud800" <= c < "\ue000" for c in expected):
        # Two equal keys come out twice; what is read from that is the same.
        assert found is not None
        assert found[1]
        assert json.dumps(json.loads(found[0]), ensure_ascii=False) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"a\nb\x01"', '"a\\nb\\u0001"'),
        ('"\\/\\u0041\\ud83d\\ude00"', '"/A\U0001f600"'),
        ('"\\ud83d"', '"\\ud83d"'),
        ('"\\ude00x"', '"\\ude00x"'),
        ('"\\ud83d\\n"', '"\\ud83d\\n"'),
        ('"\\ud83d\\ud83d\\ude00"', '"\\ud83d\U0001f600"'),
        ("-0", "0"),
        ("-0.0", "-0.0"),
        ("1E2", "100.0"),
        ("1e999", "1e999"),
        ("[1 , 2]", "[1, 2]"),
    ],
)
def test_spellings(text, expected):
    assert read(text) == (expected, True)
    json.loads(expected)


def test_verbatim_strings():
    assert read('"{\\"x\\": \\"\\u00e9\\\\\\"}"', verbatim=True) == ('{"x": "\u00e9\\"}', True)
    assert read('"a\\ud83d"', verbatim=True) == ("a\ufffd", True)
    assert read('["a"]', verbatim=True) == ('["a"]', True)


@pytest.mark.parametrize(
    "text",
    ["01", "1.", "-", ".5", "+1", "tru ", "nul]", "[1,]", "{1:2}", '{"a" 1}', "[}", "'a'", "NaN"],
)
def test_mistakes(text):
    assert read(text + " ") is None


def test_pending_is_what_was_read_and_not_given():
    for text, pending in [
        ('{"x": 12', "12"),
        ('{"x": tr', "tr"),
        ('{"x": "a\\', "\\"),
        ('{"x": "a\\u00', "\\u00"),
        ('{"x": "\\ud83d', "\\ud83d"),
        ('{"x": "\\ud83d\\ud', "\\ud83d\\ud"),
        ('{"x": "a', ""),
    ]:
        reader = JsonReader()
        for char in text:
            reader.feed(char)
        assert reader.pending == pending
        assert reader.take() + pending == text


@pytest.mark.parametrize(
    ("text", "begun"),
    [
        ("{", False),
        ('{"x"', False),
        ('{"x": ', False),
        ('{"x": 1', True),
        ("[", False),
        ("[{", True),
        ("{}", True),
        ("12", False),
        ("null", True),
        ('"', False),
    ],
)
def test_begun(text, begun):
    reader = JsonReader()
    for char in text:
        reader.feed(char)
    assert reader.begun is begun


def test_depth_is_limited():
    assert read("[" * MAX_DEPTH) is not None
    assert read("[" * (MAX_DEPTH + 1)) is None
