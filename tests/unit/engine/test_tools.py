"""Tool calls in generated text."""

import pytest

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
    ],
)
def test_what_is_understood(body, expected):
    assert shapes(parse_calls(body)) == expected


@pytest.mark.parametrize(
    "body",
    [
        "",
        "get(city)",
        '[{"name": "a", "arguments": {"x": 1}',
        '[{"arguments": {}}]',
        '[{"name": ""}]',
        '[{"name": 3}]',
        '["get"]',
        '[{"name": "a", "arguments": {"x": NaN}}]',
        "[" * 100_000,
        '[{"name": "a", "arguments": {"x": ' + "9" * 5000 + "}}]",
        "[{'name': 'a'}]",
    ],
    ids=lambda b: b[:30],
)
def test_what_is_not(body):
    assert parse_calls(body) is None


def run(pieces):
    parser = ToolCallParser()
    text = "".join(parser.feed(p) for p in pieces) + parser.flush()
    return text, shapes(parser.calls)


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
    ],
)
def test_stream_at_every_cut(text, visible, calls):
    assert run([text]) == (visible, calls)
    assert run(list(text)) == (visible, calls)
    for i in range(len(text)):
        assert run([text[:i], text[i:]]) == (visible, calls), text[:i]


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
