"""Constrained answers: masks, the end of thinking, limits."""

import contextlib
import json
import random
import re
import threading
import time

import pytest
import torch

from nanovl.core.errors import CapacityError, InputError, NanoVLError
from nanovl.core.paths import asset
from nanovl.engine import constraint as module
from nanovl.engine.constraint import (
    ConstraintCompiler,
    ConstraintSpec,
    compile_constraint,
    from_response_format,
    from_structured_outputs,
    from_tool_choice,
    request_constraint,
)
from nanovl.engine.output import OutputStream
from nanovl.engine.tools import parse_calls
from nanovl.processing.tokenizer import Tokenizer, byte_tokenizer

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 8},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 3},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
}


def tool(name, parameters=None):
    function = {"name": name} if parameters is None else {"name": name, "parameters": parameters}
    return {"type": "function", "function": function}


TOOLS = [
    tool("look", PERSON),
    tool('say "\u00e9"', {"properties": {"n": {"type": "null"}}, "additionalProperties": False}),
    tool("go"),
]


@pytest.fixture(scope="module", params=["mini", "bytes"])
def tokenizer(request):
    return Tokenizer.from_folder(asset("mini")) if request.param == "mini" else byte_tokenizer()


@pytest.fixture(scope="module")
def mini():
    return Tokenizer.from_folder(asset("mini"))


def schema(value, **options):
    return from_structured_outputs({"json": value, **options})


def regex(pattern):
    return from_structured_outputs({"regex": pattern})


def walk(constraint, tokenizer, seed, limit=400):
    """A model that takes any allowed id; returns the text and whether it stopped by itself."""
    draw = random.Random(seed)
    ids = []
    for _ in range(limit):
        allowed = constraint.mask().nonzero()[:, 0].tolist()
        assert allowed
        stops = [i for i in allowed if i in tokenizer.eos_ids]
        assert [i for i in allowed if tokenizer.is_control(i)] == sorted(stops)
        if stops and (constraint.done or draw.random() < 0.3):
            constraint.accept(stops[0])
            assert constraint.done
            return tokenizer.decode(ids), True
        # Short ids first: an arbitrary one of 10,000 is nearly always inside a string.
        token = min(
            draw.sample(allowed, min(4, len(allowed))), key=lambda i: len(tokenizer.decode([i]))
        )
        constraint.accept(token)
        ids.append(token)
    return tokenizer.decode(ids), False


def feed(constraint, tokenizer, text):
    """As much of `text` as the constraint lets through, in the longest tokens it allows."""
    rest = text.encode()
    while rest:
        allowed = constraint.mask().nonzero()[:, 0].tolist()
        fitting = [i for i in allowed if starts(rest, tokenizer, i)]
        if not fitting:
            break
        token = max(fitting, key=lambda i: len(tokenizer.decode_bytes([i])))
        constraint.accept(token)
        rest = rest[len(tokenizer.decode_bytes([token])) :]
    return text.encode()[: len(text.encode()) - len(rest)].decode("utf-8", "replace")


def starts(rest, tokenizer, token):
    data = tokenizer.decode_bytes([token])
    return bool(data) and rest.startswith(data)


def can_stop(constraint, tokenizer):
    return bool(constraint.mask()[tokenizer.turn_end_id])


# --- what may be written -------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
def test_any_path_through_a_schema_is_valid(tokenizer, seed):
    text, stopped = walk(compile_constraint(schema(PERSON), tokenizer).start(), tokenizer, seed)
    assert stopped
    value = json.loads(text)
    assert set(value) <= set(PERSON["properties"])
    assert isinstance(value["name"], str)
    assert len(value["name"]) <= 8
    assert 0 <= value["age"] <= 150
    assert set(value.get("tags", [])) <= {"a", "b"}


@pytest.mark.parametrize("seed", range(6))
def test_any_path_through_tool_calls_is_calls(tokenizer, seed):
    spec = from_tool_choice("required", TOOLS)
    text, stopped = walk(compile_constraint(spec, tokenizer).start(), tokenizer, seed, 1500)
    assert text.startswith('<TOOLCALL>[{"name": "')
    if stopped:
        calls = parse_calls(text.removeprefix("<TOOLCALL>").removesuffix("</TOOLCALL>"))
        assert calls
        assert {c.name for c in calls} <= {t["function"]["name"] for t in TOOLS}
        assert all(
            set(c.arguments) <= {*PERSON["properties"], "n"} or c.name[:3] == "say" for c in calls
        )


@pytest.mark.parametrize(
    ("spec", "good", "bad", "unfinished"),
    [
        (
            schema(PERSON),
            [
                '{"name": "x", "age": 3}',
                '{"name":"x","age":3,"tags":["a"]}',
                '{ "name":\n\t"", "age":0}',
            ],
            ['{"age', '{"name": 3', '{"name": "x"}', "[", "\n{", '{"name": "x", "age": 151', '{"x'],
            ["", "{", '{"name": "x"', '{"name": "x", "age": 3'],
        ),
        (schema({"type": "integer"}), ["0", "-12"], ["1.5", '"1"'], ["-"]),
        (
            from_structured_outputs({"json_object": True}),
            ["{}", '{"a": [1, {"b": null}]}'],
            ["[]", "1"],
            ['{"a": [1'],
        ),
        (regex("[a-c]{2}(x|yz)?"), ["ab", "abx", "cayz"], ["d", "abb", "abx "], ["a", "aby"]),
        (regex("^\\d+$"), ["1", "123"], ["a", "1 "], [""]),
        (
            from_structured_outputs({"choice": ["yes", "no", 'not "so"\n']}),
            ["yes", "no", 'not "so"\n'],
            ["Yes", "yess", "maybe"],
            ["not", ""],
        ),
        (
            from_structured_outputs({"grammar": 'start: "a" b\nb: "(" b ")" | "x"'}),
            ["ax", "a((x))"],
            ["b", "ax)"],
            ["a((x)"],
        ),
        (
            from_structured_outputs({"grammar": 'root ::= "a" | "b" root'}),
            ["a", "bba"],
            ["c"],
            ["bb"],
        ),
        (
            from_tool_choice("required", TOOLS),
            [
                '<TOOLCALL>[{"name": "go", "arguments": {}}]</TOOLCALL>',
                '<TOOLCALL>[{"name": "go", "arguments": {}}, '
                '{"name": "say \\"\u00e9\\"", "arguments": {"n": null}}]</TOOLCALL>',
            ],
            [
                "Hello",
                '<TOOLCALL>[{"name": "stop',
                "<TOOLCALL>[]",
                '<TOOLCALL>[{"name": "look", "arguments": {}',
                '<TOOLCALL>[{"name": "go", "arguments": {}}]</TOOLCALL>\n',
            ],
            ['<TOOLCALL>[{"name": "go", "arguments": {}}]'],
        ),
        (
            from_tool_choice({"type": "function", "function": {"name": "go"}}, TOOLS),
            ['<TOOLCALL>[{"name": "go", "arguments": {}}]</TOOLCALL>'],
            ['<TOOLCALL>[{"name": "look', '<TOOLCALL>[{"name": "go", "arguments": {}}, '],
            ["<TOOL"],
        ),
        (
            request_constraint(
                response_format={"type": "json_object"}, tools=TOOLS, tool_choice="auto"
            ),
            ["{}", '<TOOLCALL>[{"name": "go", "arguments": {}}]</TOOLCALL>'],
            ["Hello", "<TOOLCALL>{"],
            ["{", "<TOOLCALL>["],
        ),
        (
            from_structured_outputs(
                {
                    "structural_tag": {
                        "structures": [
                            {"begin": "<f=a>", "schema": {"type": "object"}, "end": "</f>"}
                        ],
                        "triggers": ["<f"],
                    }
                }
            ),
            ["hello", 'so <f=a>{"x": 1}</f> there'],
            ["<f=b", "<f=a>[", "a <f=a>{} "],
            ["<f=a>{}"],
        ),
    ],
    ids=[
        "object",
        "integer",
        "json_object",
        "regex",
        "anchors",
        "choice",
        "lark",
        "gbnf",
        "required",
        "named",
        "either",
        "tag",
    ],
)
def test_what_is_let_through(tokenizer, spec, good, bad, unfinished):
    compiled = compile_constraint(spec, tokenizer)
    for text in good:
        constraint = compiled.start()
        assert feed(constraint, tokenizer, text) == text
        assert can_stop(constraint, tokenizer), text
    for text in bad:
        assert feed(compiled.start(), tokenizer, text) != text
    for text in unfinished:
        # Of text that can only go on in one way, only the usual tokens are allowed.
        constraint = compiled.start()
        through = feed(constraint, tokenizer, text)
        assert through == text or (text.startswith(through) and tokenizer.size > 1000)
        assert not can_stop(constraint, tokenizer), text


@pytest.mark.parametrize("space", ["  ", "\n\n", "\n" + " " * 65, " \n", "\r\n"])
def test_white_space_is_bounded(tokenizer, space):
    compiled = compile_constraint(schema(PERSON), tokenizer)
    text = f'{{"name":{space}"x", "age": 3}}'
    json.loads(text)
    assert feed(compiled.start(), tokenizer, text) != text


def test_own_whitespace_rules_are_ignored(mini):
    spec = schema({**PERSON, "x-guidance": {"whitespace_flexible": False, "lenient": True}})
    assert feed(compile_constraint(spec, mini).start(), mini, '{ "name"') == '{ "name"'
    with pytest.raises(InputError, match="not"):
        compile_constraint(schema({"not": {}, "x-guidance": {"lenient": True}}), mini)


def test_after_the_end_only_stop_ids(tokenizer):
    constraint = compile_constraint(regex("ab?"), tokenizer).start()
    assert feed(constraint, tokenizer, "a") == "a"
    assert not constraint.done
    assert can_stop(constraint, tokenizer)
    assert feed(constraint, tokenizer, "b") == "b"
    assert constraint.done
    for _ in range(3):  # also where the engine goes on past a stop id
        assert sorted(constraint.mask().nonzero()[:, 0].tolist()) == sorted(tokenizer.eos_ids)
        constraint.accept(tokenizer.eos_ids[0])
    with pytest.raises(NanoVLError, match="cannot follow"):
        constraint.accept(tokenizer.encode("b")[0])


def test_own_stop_ids(tokenizer):
    own = tokenizer.encode("!")[0]
    constraint = compile_constraint(regex("a+"), tokenizer).start(stop_ids=[own])
    assert not constraint.mask()[own]
    feed(constraint, tokenizer, "a")
    assert constraint.mask()[own]
    assert not can_stop(constraint, tokenizer)
    constraint.accept(own)
    assert constraint.done


def test_control_tokens_cannot_be_asked_for(mini):
    control = next(n for n in mini.control_tokens if n.startswith("<SPECIAL_11"))
    spec = from_structured_outputs({"grammar": f'start: "a" ("b" | {control})'})
    constraint = compile_constraint(spec, mini).start()
    assert feed(constraint, mini, "a") == "a"
    assert constraint.mask().nonzero()[:, 0].tolist() == mini.encode("b")


def test_a_token_that_is_not_allowed(mini):
    constraint = compile_constraint(regex("ab"), mini).start()
    with pytest.raises(NanoVLError, match=r"structured_outputs\.regex: token .* cannot follow"):
        constraint.accept(mini.encode("x")[0])


def test_copies_are_independent(tokenizer):
    constraint = compile_constraint(regex("a(b|c)"), tokenizer).start(thinking=True)
    feed(constraint, tokenizer, "hm</think>\n\na")
    twin = constraint.fork()
    assert feed(twin, tokenizer, "b") == "b"
    assert twin.done
    assert not constraint.done
    assert feed(constraint, tokenizer, "c") == "c"
    half = compile_constraint(regex("a"), tokenizer).start(thinking=True)
    feed(half, tokenizer, "x</thi")
    other = half.fork()
    assert feed(other, tokenizer, "nk>a") == "nk>a"
    assert other.done
    assert not half.is_active


def test_a_start_is_fresh(mini):
    compiled = compile_constraint(regex("ab"), mini)
    assert feed(compiled.start(), mini, "ab") == "ab"
    assert feed(compiled.start(), mini, "ab") == "ab"


# --- together with thinking ----------------------------------------------------------------------


def both(compiled, tokenizer, **options):
    """A constraint and the text side of the same sequence."""
    stream = OutputStream(tokenizer.decode_bytes, thinking=True, **options)
    return compiled.start(thinking=True), stream


@pytest.mark.parametrize("close", ["</think>", "</think>\n", "</think>\n\n", ".\n</think>\n\n"])
@pytest.mark.parametrize("forced", [False, True])
def test_the_answer_begins_behind_the_tag(tokenizer, close, forced):
    compiled = compile_constraint(schema(PERSON), tokenizer)
    constraint, stream = both(compiled, tokenizer)
    for token in tokenizer.encode("So {1} <b> is <think"):
        assert constraint.mask()[token]
        constraint.accept(token)
        stream.feed(token)
        assert constraint.is_active == stream.reasoning_over is False
    for token in tokenizer.encode(close):
        assert forced or constraint.mask()[token]
        constraint.accept(token, forced=forced)
        stream.feed(token, forced=forced)
        assert constraint.is_active == stream.reasoning_over
    assert constraint.is_active
    text, stopped = walk_with(constraint, stream, tokenizer)
    assert stopped
    assert set(json.loads(stream.text)) <= set(PERSON["properties"])
    assert stream.text == text.lstrip("\n")
    assert stream.reasoning.startswith("So {1}")


def walk_with(constraint, stream, tokenizer):
    text, stopped = walk(constraint, tokenizer, 3)
    for token in tokenizer.encode(text):
        stream.feed(token)
    stream.finish()
    return text, stopped


def test_no_stop_while_thinking(tokenizer):
    constraint = compile_constraint(regex("a"), tokenizer).start(thinking=True)
    assert not constraint.mask()[list(tokenizer.eos_ids)].any()
    assert int((~constraint.mask()).sum()) == len(tokenizer.eos_ids)


class Joined:
    """A vocabulary with tokens that reach over the end of thinking."""

    extra = ("></", ">{", ">\n\n", ">\n\n\n", ">\n{", "</think>{", "x</think>\n", "\n\n", "\n\n\n")

    @staticmethod
    def build():
        data = json.loads(byte_tokenizer().to_json())
        vocabulary = data["model"]["vocab"]
        symbols = {bytes([b]): s for b, s in zip(range(256), _byte_symbols(), strict=True)}
        size = max(max(vocabulary.values()), *(t["id"] for t in data["added_tokens"])) + 1
        for i, text in enumerate(Joined.extra):
            vocabulary["".join(symbols[bytes([b])] for b in text.encode())] = size + i
        return Tokenizer(json.dumps(data)), {t: size + i for i, t in enumerate(Joined.extra)}


def _byte_symbols():
    tokenizer = byte_tokenizer()
    vocabulary = json.loads(tokenizer.to_json())["model"]["vocab"]
    by_byte = {tokenizer.decode_bytes([i]): s for s, i in vocabulary.items()}
    return [by_byte[bytes([b])] for b in range(256)]


def test_no_token_reaches_over_the_tag():
    tokenizer, ids = Joined.build()
    assert [tokenizer.decode([i]) for i in ids.values()] == list(ids)
    constraint = compile_constraint(regex("\\{a\\}"), tokenizer).start(thinking=True)
    allowed = {t for t, i in ids.items() if constraint.mask()[i]}
    assert allowed == set(ids) - {"</think>{"}
    feed(constraint, tokenizer, "x</think")
    allowed = {t for t, i in ids.items() if constraint.mask()[i]}
    assert allowed == {">\n\n", "x</think>\n", "\n\n", "\n\n\n"}
    constraint.accept(ids[">\n\n"])
    assert constraint.is_active
    assert not any(constraint.mask()[i] for i in ids.values())
    assert feed(constraint, tokenizer, "{a}") == "{a}"
    assert constraint.done


def test_line_breaks_before_the_answer_are_few():
    tokenizer, ids = Joined.build()
    constraint = compile_constraint(regex("a"), tokenizer).start(thinking=True)
    feed(constraint, tokenizer, "</think>")
    line = tokenizer.encode("\n")[0]
    assert constraint.mask()[[ids["\n\n"], line]].all()
    assert not constraint.mask()[ids["\n\n\n"]]
    constraint.accept(line)
    assert not constraint.mask()[ids["\n\n"]]
    assert constraint.mask()[line]
    constraint.accept(line)
    assert constraint.mask().nonzero()[:, 0].tolist() == tokenizer.encode("a")


def test_a_forced_token_that_reaches_over_the_tag_counts():
    tokenizer, ids = Joined.build()
    constraint = compile_constraint(regex("\\{a"), tokenizer).start(thinking=True)
    feed(constraint, tokenizer, "</think")
    constraint.accept(ids[">\n{"], forced=True)
    assert feed(constraint, tokenizer, "a") == "a"
    assert constraint.done


def test_a_call_without_end_of_thinking(tokenizer):
    spec = from_tool_choice("required", TOOLS)
    constraint, stream = both(
        compile_constraint(spec, tokenizer), tokenizer, tools=spec.allows_calls
    )
    text = 'I call. <TOOLCALL>[{"name": "go", "arguments": {}}]</TOOLCALL>'
    for token in tokenizer.encode(text):
        assert constraint.mask()[token]
        constraint.accept(token)
        stream.feed(token)
        assert constraint.is_active == stream.reasoning_over
    stream.finish()
    assert constraint.done
    assert stream.reasoning == "I call. "
    assert [c.name for c in stream.tool_calls] == ["go"]


def test_where_no_call_is_allowed_its_tag_is_thought():
    tokenizer = byte_tokenizer()
    constraint = compile_constraint(regex("a"), tokenizer).start(thinking=True)
    text = "hm <TOOLCALL>[</think>\n\na"
    assert feed(constraint, tokenizer, text) == text
    assert constraint.done


# --- what is refused -----------------------------------------------------------------------------


def deep(levels):
    value = {"type": "integer"}
    for _ in range(levels):
        value = {"type": "array", "items": value}
    return value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("json", "response_format: got json, expected an object"),
        ({"type": "xml"}, "response_format.type: got 'xml', expected 'text'"),
        ({}, "response_format.type: got None"),
        ({"type": "json_schema"}, "response_format.json_schema: missing"),
        ({"type": "json_schema", "json_schema": {"name": "x"}}, r"json_schema\.schema: missing"),
        (
            {"type": "json_schema", "json_schema": {"schema": [1]}},
            r"schema: got \[1\], expected an",
        ),
        (
            {"type": "json_schema", "json_schema": {"schema": deep(70)}},
            "nested deeper than 64 levels",
        ),
        (
            {"type": "json_schema", "json_schema": {"schema": {"const": "x" * 70_000}}},
            "700.. bytes, expected at most 65536",
        ),
        (
            {"type": "json_schema", "json_schema": {"schema": {"a": {"enum": [*range(1001)]}}}},
            "enum of 1001 alternatives, expected at most 1000",
        ),
        (
            {"type": "json_schema", "json_schema": {"schema": {"const": float("nan")}}},
            "schema: not JSON",
        ),
    ],
)
def test_response_format_errors(value, message):
    with pytest.raises(InputError, match=message):
        from_response_format(value)


def test_response_formats():
    assert from_response_format(None) is None
    assert from_response_format({"type": "text"}) is None
    assert from_response_format({"type": "json_object"}).kind == "json_object"
    given = {"type": "json_schema", "json_schema": {"name": "p", "strict": True, "schema": PERSON}}
    spec = from_response_format(given)
    assert spec.kind == "json_schema"
    assert list(json.loads(spec.payload)["properties"]) == ["name", "age", "tags"]
    assert not spec.allows_calls
    assert from_structured_outputs({"json": json.dumps(PERSON)}) == spec


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], r"structured_outputs: got \[\], expected an object"),
        ({}, "got nothing, expected exactly one of json, regex"),
        ({"json": {}, "regex": "a"}, "got json and regex, expected exactly one"),
        ({"guided_json": {}}, "structured_outputs.guided_json: not supported"),
        ({"regex": ""}, "structured_outputs.regex: got , expected a text"),
        ({"regex": 3}, "structured_outputs.regex: got 3"),
        ({"regex": "a\ud800"}, "regex: not valid Unicode"),
        ({"regex": "a" * 65_537}, "65537 bytes, expected at most 65536"),
        ({"json": "{"}, "structured_outputs.json: not JSON"),
        ({"json": "[" * 50_000}, "structured_outputs.json: not JSON"),
        ({"json": "x" * 70_000}, "70000 characters"),
        ({"choice": []}, "structured_outputs.choice: got"),
        ({"choice": ["a", ""]}, "texts that are not empty"),
        ({"choice": ["x"] * 1001}, "1001 alternatives"),
        ({"grammar": None, "json_object": False}, "got nothing"),
        ({"structural_tag": {"structures": []}}, "structural_tag.structures: got"),
        (
            {
                "structural_tag": {
                    "structures": [{"begin": "<a>", "schema": {}, "end": ""}],
                    "triggers": ["<b"],
                }
            },
            "starts with none of the triggers",
        ),
    ],
)
def test_structured_outputs_errors(value, message):
    with pytest.raises(InputError, match=message):
        from_structured_outputs(value)


@pytest.mark.parametrize(
    ("choice", "tools", "message"),
    [
        ("auto", None, "tool_choice auto: there are no tools"),
        (None, [], r"tools: got \[\], expected a list with entries"),
        ("auto", ["x"], r"tools\[0\]: got x, expected an object"),
        ("auto", [{"function": {}}], r"tools\[0\].function.name: got None"),
        ("auto", [tool("a")] * 129, "tools: 129, expected at most 128"),
        ("auto", [tool("a", {"const": "x" * 70_000})], r"tools\[0\].function.parameters: 700"),
        ("any", TOOLS, "tool_choice: got any, expected 'none'"),
        ({"type": "function"}, TOOLS, "tool_choice: got"),
        ({"type": "function", "function": {"name": "fly"}}, TOOLS, "no tool 'fly' among 'look'"),
        ("required", [tool("a", {"type": "array"})], "parameters.type: got array"),
    ],
)
def test_tool_choice_errors(choice, tools, message):
    with pytest.raises(InputError, match=message):
        from_tool_choice(choice, tools)


def test_tool_choices():
    for choice in (None, "none", "auto"):
        assert from_tool_choice(choice, TOOLS) is None
    assert from_tool_choice(None, None) is None
    required = from_tool_choice("required", TOOLS)
    assert required.allows_calls
    assert not required.single
    assert from_tool_choice("required", TOOLS, parallel=False).single


def test_one_constraint_per_request():
    form = {"type": "json_object"}
    named = {"type": "function", "function": {"name": "go"}}
    assert request_constraint() is None
    assert request_constraint(response_format=form).kind == "json_object"
    assert request_constraint(structured={"regex": "a"}, tools=TOOLS).kind == "regex"
    assert request_constraint(response_format=form, tools=TOOLS, tool_choice="none").tools == ""
    assert request_constraint(response_format=form, tools=TOOLS).allows_calls
    assert (
        request_constraint(response_format=form, tools=TOOLS, tool_choice="required").kind
        == "tool_calls"
    )
    with pytest.raises(InputError, match="together with response_format"):
        request_constraint(response_format=form, structured={"regex": "a"})
    with pytest.raises(InputError, match="together with tool_choice"):
        request_constraint(structured={"regex": "a"}, tools=TOOLS, tool_choice=named)


def test_a_spec_checks_itself():
    with pytest.raises(InputError, match="unknown kind 'xml'"):
        ConstraintSpec(kind="xml")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (regex("(a"), r"structured_outputs\.regex: .*unclosed group"),
        (regex("(?=a)b"), "regex: .*look-ahead"),
        (regex("a\\b"), "regex: .*not supported"),
        (regex("(" * 5000 + ")" * 5000), r"structured_outputs\.regex: "),
        (schema({"type": "foo"}), "structured_outputs.json: .*Invalid type: foo"),
        (schema({"type": "array", "uniqueItems": True}), "Unimplemented keys: .*uniqueItems"),
        (schema({"$ref": "#/nowhere"}), "nowhere"),
        (schema({"$ref": "http://127.0.0.1:1/x.json"}), "does not fetch"),
        (schema({"type": "integer", "minimum": 3, "maximum": 1}), "Unsatisfiable"),
        (schema({"pattern": "("}), "unclosed group"),
        (from_structured_outputs({"grammar": "start: nowhere"}), "unknown name"),
        (from_structured_outputs({"grammar": 'root ::= "a'}), "cannot be read as Lark or GBNF"),
        (from_structured_outputs({"grammar": "start: " + "(" * 9000}), "nested"),
        (
            from_tool_choice("required", [*TOOLS, tool("bad", {"properties": {"x": {"not": {}}}})]),
            "tools: parameters of 'bad': Unimplemented keys",
        ),
    ],
    ids=lambda x: None if isinstance(x, str) else x.payload[:20],
)
def test_what_cannot_be_compiled(mini, spec, message):
    with pytest.raises(InputError, match=message) as caught:
        compile_constraint(spec, mini)
    assert len(str(caught.value)) < 500
    assert "\n" not in str(caught.value)


BOMBS = {
    "counts": regex("((a{0,1000}){0,1000}){0,1000}b"),
    "alternatives": regex("(a|b|c|d)*a(a|b|c|d){300}c"),
    "items": schema({"type": "array", "items": {"type": "integer"}, "minItems": 1_000_000}),
    "length": schema({"type": "string", "minLength": 1_000_000}),
    "doubling": from_structured_outputs(
        {
            "grammar": "start: a0\n"
            + "\n".join(f'a{i}: a{i + 1} a{i + 1} | "x"' for i in range(60))
            + '\na60: "x"'
        }
    ),
    "both ends": from_structured_outputs({"grammar": 'start: start start | "a"'}),
    "choices": from_structured_outputs({"choice": [f"{i} " * 10 for i in range(1000)]}),
    "many patterns": schema(
        {
            "type": "object",
            "properties": {f"k{i}": {"pattern": f"(x|y){{{i}}}z"} for i in range(300)},
        }
    ),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_cost_little(mini, name):
    started = time.perf_counter()
    with contextlib.suppress(InputError):  # may be refused, at once or on the way
        constraint = compile_constraint(BOMBS[name], mini).start()
        for step in range(40):
            allowed = constraint.mask().nonzero()[:, 0].tolist()
            if constraint.done:
                break
            constraint.accept(allowed[(step * 7) % len(allowed)])
    assert time.perf_counter() - started < 5


def test_too_complex_on_the_way(mini):
    constraint = compile_constraint(BOMBS["doubling"], mini).start()

    def go_on():
        for _ in range(500):
            allowed = constraint.mask().nonzero()[:, 0].tolist()
            constraint.accept(next(i for i in allowed if i not in mini.eos_ids))

    with pytest.raises(InputError, match=r"grammar: cannot be followed any further .* simplify it"):
        go_on()


# --- compiling -----------------------------------------------------------------------------------


def test_compiled_once_and_forgotten_last(mini):
    compiler = ConstraintCompiler(mini, cache_size=2)
    first, second, third = (compiler.compile(regex(p)) for p in ("a", "b", "c"))
    assert compiler.compile(regex("c")) is third
    assert compiler.compile(regex("b")) is second
    assert compiler.compile(regex("a")) is not first
    assert compiler.compile(regex("b")) is second
    # The order of keys decides the order in the answer, so it tells specifications apart.
    one = schema({"properties": {"a": {}, "b": {}}})
    other = schema({"properties": {"b": {}, "a": {}}})
    assert compiler.compile(one) is not compiler.compile(other)


def test_time_limit(mini, monkeypatch):
    release = threading.Event()

    def slow(spec, vocabulary):
        release.wait(30)
        raise InputError("too late")

    compiler = ConstraintCompiler(mini, timeout_s=0.05)
    with monkeypatch.context() as patch:
        patch.setattr(module, "_build", slow)
        for _ in range(module.COMPILE_JOBS):
            with pytest.raises(
                InputError, match=r"regex: not compiled within 0\.05 s; simplify it"
            ):
                compiler.compile(regex("a"))
        # Both are still at work.
        with pytest.raises(
            CapacityError, match=r"2 other grammars have been compiling for 0\.05 s"
        ):
            compiler.compile(regex("b"))
        release.set()
        for thread in threading.enumerate():
            if thread.name == "compile-constraint":
                thread.join(10)
    assert compiler.compile(regex("b")).start().mask().any()


def test_from_many_threads(mini):
    compiler = ConstraintCompiler(mini)
    found = []

    def work(i):
        constraint = compiler.compile(regex(f"a{{{i % 3 + 1}}}")).start()
        found.append((i % 3 + 1, feed(constraint, mini, "aaaa")))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 12
    assert all(re.fullmatch("a*", text) and len(text) <= n for n, text in found)


def test_mask_shape_and_reuse(tokenizer):
    constraint = compile_constraint(regex("a+"), tokenizer).start()
    mask = constraint.mask()
    assert mask.dtype == torch.bool
    assert mask.shape == (tokenizer.size,)
    assert constraint.mask() is mask
