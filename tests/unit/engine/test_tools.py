"""Tool calls in generated text."""

import itertools
import json

import pytest
from hypothesis import given, settings, strategies as st

from nanovl.engine.tools import ToolCallParser, parse_calls


def shapes(calls):
    return [(c.name, c.arguments) for c in calls]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('[{"name": "get", "arguments": {"city": "Paris"}}]', [("get", {"city": "Paris"})]),
        ('{"name": "get", "arguments": {}}', [("get", {})]),
        ('{"name": "a"}, {"name": "b"}', [("a", {}), ("b", {})]),
        ('[{"name": "a", "arguments": null}', [("a", {})]),
        ('{"name": "a"}]', [("a", {})]),
        ('[{"name": "a", "arguments": "{\\"x\\": 1}"}]', [("a", '{"x": 1}')]),
        ('[{"name": "a", "arguments": [1, "\\u00e9"]}]', [("a", '[1, "\u00e9"]')]),
        (" [ ]\n", []),
        ('[{"arguments": {"x": 1}, "name": "a"}]', [("a", {"x": 1})]),
        ('[{"id": [{"name": "no"}], "name": "a", "arguments": 1.50}]', [("a", "1.5")]),
        ('[{"name": "a", "name": "b", "arguments": {}, "arguments": {"x": 1}}]', [("a", {})]),
        ('[{"name": "a", "arguments": ""}]', [("a", "{}")]),
        # Brackets too many or too few behind a call whose arguments are complete.
        ('[{"name": "a", "arguments": {"x": 1}', [("a", {"x": 1})]),
        ('[{"name": "a", "arguments": {}}}]', [("a", {})]),
        ('[{"name": "a", "arguments": {}},]', [("a", {})]),
        # What an object cannot hold keeps its text: large numbers, equal keys, half characters.
        (
            '[{"name": "a", "arguments": {"x": ' + "9" * 5000 + "}}]",
            [("a", '{"x": ' + "9" * 5000 + "}")],
        ),
        ('[{"name": "a", "arguments": {"x":1e999}}]', [("a", '{"x": 1e999}')]),
        ('[{"name": "a", "arguments": {"x":1,"x":2}}]', [("a", '{"x": 1, "x": 2}')]),
        ('[{"name": "a", "arguments": {"x":"\\ud83d"}}]', [("a", '{"x": "\\ud83d"}')]),
        # A line break inside a string is not JSON, but what models write.
        ('[{"name": "a", "arguments": {"x": "1\n2"}}]', [("a", {"x": "1\n2"})]),
        # A mistake after the arguments have begun: they come as they were written.
        ('[{"name": "a", "arguments": {"x": 1, y: 2}}]', [("a", '{"x": 1, y: 2}}]')]),
        ('[{"name": "a", "arguments": {"x": 12;', [("a", '{"x": 12;')]),
        ('[{"name": "a", "arguments": {"x": "\\q"}', [("a", '{"x": "\\q"}')]),
    ],
)
def test_what_is_understood(body, expected):
    assert shapes(parse_calls(body)) == expected


@pytest.mark.parametrize(
    "body",
    [
        "",
        "get(city)",
        '[{"name": "a"',
        '[{"name": "a", "arguments": {"x"',
        '[{"name": "a"}, {"name": "b", "arguments": [',
        '[{"arguments": {}}]',
        '[{"name": ""}]',
        '[{"name": 3}]',
        '["get"]',
        '[{"name": "a", "arguments": {"x": NaN}}]',
        "[" * 100_000,
        '[{"name": "a", "arguments": {x: 1}}]',
        '[{"name": "a", "arguments": nil}]',
        "[{'name': 'a'}]",
    ],
    ids=lambda b: b[:30],
)
def test_what_is_not(body):
    assert parse_calls(body) is None


def arguments_of(call):
    if isinstance(call.arguments, str):
        return call.arguments
    return json.dumps(call.arguments, ensure_ascii=False)


def run(pieces):
    """Visible text and calls; what was streamed of the calls is what they are in the end."""
    parser = ToolCallParser()
    text, streamed = "", []

    def take():
        for delta in parser.take_deltas():
            if delta.name is not None:
                streamed.append([delta.name, ""])
            assert delta.index == len(streamed) - 1
            streamed[-1][1] += delta.arguments

    for piece in pieces:
        text += parser.feed(piece)
        take()
    text += parser.flush()
    take()
    assert streamed == [[c.name, arguments_of(c)] for c in parser.calls]
    assert [c.id for c in parser.calls] == parser.ids
    return text, shapes(parser.calls)


def every_cut(text):
    yield [text]
    yield list(text)
    for i in range(1, len(text)):
        yield [text[:i], text[i:]]


GET = '[{"name": "get", "arguments": {"city": "Rome"}}]'
ROME = ("get", {"city": "Rome"})


@pytest.mark.parametrize(
    ("text", "visible", "calls"),
    [
        ("plain text \n", "plain text \n", []),
        (f"<TOOLCALL>{GET}</TOOLCALL>", "", [ROME]),
        (f"Let me look.\n\n<TOOLCALL>{GET}</TOOLCALL>\n", "Let me look.", [ROME]),
        (f"<TOOLCALL>{GET}", "", [ROME]),
        (f"<TOOLCALL>{GET}</TOOLCALL>\n<TOOLCALL>{GET}</TOOLCALL>", "", [ROME, ROME]),
        (f"<TOOLCALL>{GET}</TOOLCALL> Done.", " Done.", [ROME]),
        ("a <TOOLCALL>get Rome</TOOLCALL> b", "a <TOOLCALL>get Rome</TOOLCALL> b", []),
        ('a <TOOLCALL>[{"name": "ge', 'a <TOOLCALL>[{"name": "ge', []),
        ("1 < 2 and <TOOL", "1 < 2 and <TOOL", []),
        (
            '<TOOLCALL>[{"name": "say", "arguments": {"t": "\\"</TOOLCALL>"}}]</TOOLCALL>',
            "",
            [("say", {"t": '"</TOOLCALL>'})],
        ),
        # Cut off: before the arguments a text, in them a call as far as it came.
        ('<TOOLCALL>[{"name": "f"', '<TOOLCALL>[{"name": "f"', []),
        ('<TOOLCALL>[{"name": "f", "arguments": {"x": 1', "", [("f", '{"x": 1')]),
        ('<TOOLCALL>[{"name": "f", "arguments": {"x": "a\\u00', "", [("f", '{"x": "a\\u00')]),
        ('<TOOLCALL>[{"name": "f", "arguments": "{\\"x\\":', "", [("f", '{"x":')]),
        ('<TOOLCALL>[{"name": "f", "arguments": {}}]</TOOL', "", [("f", {})]),
        # The calls before a mistake are calls, the rest is text.
        (
            'a <TOOLCALL>[{"name": "f"}, {"nom": 1}]</TOOLCALL> b',
            'a <TOOLCALL>, {"nom": 1}]</TOOLCALL> b',
            [("f", {})],
        ),
        (
            '<TOOLCALL>[{"name": "f"}] and so on</TOOLCALL>',
            "<TOOLCALL>] and so on</TOOLCALL>",
            [("f", {})],
        ),
        ("<TOOLCALL></TOOLCALL>", "<TOOLCALL></TOOLCALL>", []),
        ("<TOOLCALL>[]</TOOLCALL>", "", []),
        ("<TOOLCALL>[<</TOOLCALL>x", "<TOOLCALL>[<</TOOLCALL>x", []),
        (f"<TOOLCALL></TOO{GET}</TOOLCALL>", f"<TOOLCALL></TOO{GET}</TOOLCALL>", []),
    ],
)
def test_stream_at_every_cut(text, visible, calls):
    for pieces in every_cut(text):
        assert run(pieces) == (visible, calls), pieces


def test_nothing_leaks_while_a_block_is_open():
    parser = ToolCallParser()
    shown = [parser.feed(c) for c in f"Hi <TOOLCALL>{GET}"]
    assert "".join(shown) == "Hi"


def test_ids_are_unique():
    parser = ToolCallParser()
    parser.feed(f"<TOOLCALL>[{GET[1:-1]}, {GET[1:-1]}]</TOOLCALL>")
    first, second = (c.id for c in parser.calls)
    assert first.startswith("chatcmpl-tool-")
    assert first != second


def test_arguments_come_while_they_are_written():
    parser = ToolCallParser()
    seen = []
    for char in f"<TOOLCALL>{GET}</TOOLCALL>":
        parser.feed(char)
        seen += [(d.index, d.name, d.arguments) for d in parser.take_deltas()]
    assert seen[0] == (0, "get", '{"city": "')
    assert [s[2] for s in seen[1:]] == ["R", "o", "m", "e", '"', "}"]
    assert all(s[:2] == (0, None) for s in seen[1:])


def test_one_piece_per_call_and_step():
    parser = ToolCallParser()
    parser.feed(f"<TOOLCALL>[{GET[1:-1]}, {GET[1:-1]}]</TOOLCALL>")
    pieces = parser.take_deltas()
    assert [(d.index, d.name, d.arguments) for d in pieces] == [
        (0, "get", '{"city": "Rome"}'),
        (1, "get", '{"city": "Rome"}'),
    ]
    assert parser.take_deltas() == ()


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)
OBJECT = st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=4), JSON, max_size=3)
CALLS = st.lists(st.tuples(st.text(st.characters(codec="utf-8"), min_size=1), OBJECT), max_size=3)


@settings(max_examples=60, deadline=None)
@given(CALLS, st.booleans(), st.sampled_from([None, 1, (",", ":")]), st.lists(st.integers(0, 400)))
def test_any_calls_come_back(calls, ascii_only, layout, cuts):
    style = {"separators": layout} if isinstance(layout, tuple) else {"indent": layout}
    items = [{"name": name, "arguments": arguments} for name, arguments in calls]
    text = f"<TOOLCALL>{json.dumps(items, ensure_ascii=ascii_only, **style)}</TOOLCALL>"
    borders = [0, *sorted(min(c, len(text)) for c in cuts), len(text)]
    pieces = [text[a:b] for a, b in itertools.pairwise(borders)]
    visible, found = run(pieces)
    assert visible == ""
    assert [(n, json.loads(a) if isinstance(a, str) else a) for n, a in found] == calls


PARTS = [
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    '"',
    "\\",
    "u12",
    '"name"',
    '"arguments"',
    "1",
    "-",
    " ",
    "n",
]
PARTS += [
    "null",
    '{"name": "f", "arguments": {"x": ',
    "<TOOLCALL>",
    "</TOOLCALL>",
    "</T",
    "\n",
    "a",
]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PARTS), max_size=25))
def test_nothing_breaks_it_and_cuts_do_not_matter(parts):
    text = "<TOOLCALL>" + "".join(parts)
    whole = run([text])
    assert run(list(text)) == whole
    assert run(["<TOOLCALL>", *parts]) == whole
    # Complete arguments are JSON; others are so only where the text was.
    for block in text.split("<TOOLCALL>"):
        try:
            calls = json.loads(block.split("</TOOLCALL>")[0])
        except ValueError:
            continue
        if isinstance(calls, list) and "<TOOLCALL>" not in whole[0]:
            assert len(whole[1]) >= len(calls)
