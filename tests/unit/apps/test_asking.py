"""Answers that a program reads: always of the asked form, whatever the model is like."""

from __future__ import annotations

import json

import jsonschema
import pytest

from nanovl.apps.asking import Question, ask, ask_each, matches, printable
from nanovl.apps.presets import PRESETS
from nanovl.apps.schemas import bounded, in_order, leaves, load_schema, nullable
from nanovl.core.errors import InputError, NanoVLError
from nanovl.testing import tiny_nanovl
from tests.unit.apps.fakes import FakeNanoVL

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "count": {"type": "integer"},
        "rows": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["name", "count", "rows"],
}


def test_a_random_model_keeps_to_a_schema_without_bounds():
    answer = ask(tiny_nanovl(), Question(prompt="Hi", schema=SCHEMA), max_tokens=120)
    jsonschema.validate(answer, SCHEMA)


def test_a_cut_answer_is_asked_again_with_less_room_for_words():
    replies = iter([('{"name": "aaaa', "length"), {"name": "b", "count": 1, "rows": []}])
    model = FakeNanoVL(lambda *a: next(replies))
    answer = ask(model, Question(prompt="Hi", schema=SCHEMA), max_tokens=800)
    assert answer["name"] == "b"
    lengths = [a.schema["properties"]["name"]["maxLength"] for a in model.asked]
    assert lengths == [400, 100]
    assert model.asked[1].options["seed"] == 1
    assert all(a.options["reasoning"] == "off" for a in model.asked)


def test_an_answer_without_end_is_an_error_that_names_what_was_asked():
    model = FakeNanoVL(lambda *a: ("{", "length"))
    with pytest.raises(NanoVLError, match=r"page 3: the model does not come to the end"):
        ask(model, Question(prompt="Hi", schema=SCHEMA, about="page 3"))
    assert len(model.asked) == 3


def test_only_cut_answers_are_asked_again():
    def reply(prompt, files, schema):
        if prompt == "2" and schema["properties"]["name"]["maxLength"] > 200:
            return "{", "length"
        return {"name": prompt, "count": 1, "rows": []}

    model = FakeNanoVL(reply)
    questions = [Question(prompt=str(i), schema=SCHEMA) for i in range(6)]
    events = []
    answers = ask_each(model, questions, on_event=events.append, name="x")
    assert [a["name"] for a in answers] == list("012345")
    assert [a.prompt for a in model.asked] == list("0123245")
    assert [(e.done, e.total) for e in events] == [(0, 6), (4, 6)]


def test_no_room_for_an_answer():
    model = FakeNanoVL(lambda *a: {}, context=5)
    with pytest.raises(InputError, match="the answer: the prompt leaves no room"):
        ask(model, Question(prompt="a long prompt", schema=SCHEMA))


def test_strings_are_made_printable():
    assert printable({"a": ["\ud800x\x00\x1b[2Jy\n"]}) == {"a": ["?x[2Jy\n"]}
    json.dumps(printable("\udfff"), ensure_ascii=False).encode()


def test_matches_is_judged_by_the_grammar():
    model = tiny_nanovl()
    good = {"rows": [], "count": 3, "name": "x"}  # not in the order of the schema
    assert matches(model, SCHEMA, good)
    assert not matches(model, SCHEMA, {"name": "x", "count": 3})
    assert not matches(model, SCHEMA, {**good, "count": 1.5})
    assert not matches(model, SCHEMA, None)


def test_bounded_admits_nothing_the_original_does_not():
    schema = {
        "type": "object",
        "properties": {
            "a": {"type": "string"},
            "b": {"type": "string", "pattern": "^x+$"},
            "c": {"type": ["string", "null"], "minLength": 90},
            "d": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "maxLength": {"type": "integer", "minimum": 3},
            "e": {"enum": ["type", {"type": "string"}]},
        },
    }
    made = bounded(schema, 50, 4)
    parts = made["properties"]
    assert parts["a"]["maxLength"] == 50
    assert parts["b"] == schema["properties"]["b"]
    assert parts["c"]["maxLength"] == 90
    assert parts["d"]["anyOf"][0]["maxLength"] == 50
    assert parts["maxLength"] == {"type": "integer", "minimum": 3, "maximum": 10**12}
    assert parts["e"] == schema["properties"]["e"]  # values are no schemas
    assert made["additionalProperties"] is False
    wide = {"type": "array", "items": {"type": "string", "maxLength": 99}, "maxItems": 9}
    assert bounded(wide, 50, 4) == wide
    tight = bounded({**wide, "minItems": 5}, 50, 4, tighten=True)
    assert (tight["maxItems"], tight["items"]["maxLength"]) == (5, 50)
    assert "maxLength" not in schema["properties"]["a"], "the original is left alone"


def test_nullable_asks_for_everything_and_takes_nothing():
    made = nullable(PRESETS["invoice"])
    empty = {name: None for name in made["properties"]}
    empty |= {"items": [], "seller": dict.fromkeys(("name", "address", "tax_id"))}
    empty["buyer"] = empty["seller"]
    jsonschema.validate(empty, made)
    assert made["required"] == list(made["properties"])


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_schemas_the_engine_takes(name):
    jsonschema.Draft202012Validator.check_schema(PRESETS[name])
    model = tiny_nanovl()
    assert not matches(model, PRESETS[name], {})
    assert load_schema(name) == PRESETS[name]


def test_order_and_leaves():
    value = {"rows": ["a", ""], "name": "x/y", "count": None, "more~": {"b/c": 2, "t": True}}
    assert list(in_order(SCHEMA, value)) == ["name", "count", "rows", "more~"]
    assert leaves(value) == {"/rows/0": "a", "/name": "x/y", "/more~0/b~1c": 2}


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        (None, "cannot be read"),
        (b"{", "is not JSON"),
        (b"[]", "expected a JSON object"),
        (b"\xff", "not UTF-8"),
        (b"[" * 100_000, "is not JSON"),
    ],
)
def test_schema_files_that_cannot_be_used(tmp_path, content, hint):
    path = tmp_path / "s.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=hint):
        load_schema(str(path))


def test_schema_by_name_and_wrapped(tmp_path):
    with pytest.raises(InputError, match="did you mean 'invoice'"):
        load_schema("invoise")
    path = tmp_path / "s.json"
    path.write_text(json.dumps({"name": "n", "schema": SCHEMA}))
    assert load_schema(str(path)) == SCHEMA
    path.write_text(json.dumps({"type": "json_schema", "json_schema": {"schema": SCHEMA}}))
    assert load_schema(str(path)) == SCHEMA
