"""Tool dialogues: functions, schemas, worlds, dialogues."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from nanovl.core.errors import ConfigError
from nanovl.synth.text.apis import DOMAINS, FUNCTIONS, World
from nanovl.synth.text.tool_check import calls_match, same_state, schema_issues
from nanovl.synth.text.tools import KINDS, ToolsConfig, ToolsGenerator, create
from tests.unit.synth.checks import check_hash_seeds, made, make
from tests.unit.synth.text.text_checks import check_text, shown


def test_there_are_enough_functions() -> None:
    assert len(FUNCTIONS) >= 120
    assert len(DOMAINS) >= 20
    assert sum(map(len, DOMAINS.values())) == len(FUNCTIONS)


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_function_works(name: str) -> None:
    function, rng = FUNCTIONS[name], random.Random(name)
    schema = function.schema()["function"]["parameters"]
    assert len(set(function.cores)) >= 3
    optional = set()
    for _ in range(30):
        text, arguments = function.request(rng)
        assert "{" not in text
        assert not schema_issues(arguments, schema)
        optional |= set(arguments) - set(schema["required"])
        worlds = [World(7), World(7)]
        for world in worlds:
            world.know(str(next(iter(arguments.values()))))
        first, second = (json.dumps(w.call(function, arguments)) for w in worlds)
        assert first == second
    assert optional == set(schema["properties"]) - set(schema["required"])
    for key in schema["required"]:
        _, arguments = function.request(rng)
        del arguments[key]
        assert any("missing" in issue for issue in schema_issues(arguments, schema))


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_is_sound(kind: str) -> None:
    generator = ToolsGenerator(ToolsConfig(kinds={kind: 1.0}))
    for sample in made(generator, 60):
        records = check_text(sample)
        task = sample.tasks[0]
        offered = {t["function"]["name"]: t["function"]["parameters"] for t in task.tools}
        assert len(offered) == len(task.tools)
        assert records[0].reasoning == "off"
        assert task.messages is not None
        assert task.messages[-1]["role"] == "assistant"
        called = [c for m in task.messages for c in m.get("tool_calls", ())]
        for call in called:
            assert not schema_issues(call["arguments"], offered[call["name"]])
        results = sum(m["role"] == "tool" for m in task.messages)
        assert results in (len(called), 0)
        expected = sample.gt["calls"]
        assert same_state(sample.gt["world"], expected, expected, sample.gt["known"])
        assert calls_match(expected, json.loads(task.answer_text))
        if kind == "no_tool":
            assert not called
        elif kind == "parallel":
            assert len(task.messages[-2 - results]["tool_calls"]) == results >= 2
        elif kind == "sequential":
            assert len(called) == 2
            ids = {row["id"] for row in json.loads(_text(task.messages, "tool"))["results"]}
            assert ids & set(map(str, called[1]["arguments"].values()))
        elif kind == "missing":
            roles = [m["role"] for m in task.messages if m["role"] != "system"]
            assert roles[:3] == ["user", "assistant", "user"]
        elif kind == "error":
            assert "error" in json.loads(_text(task.messages, "tool"))
        elif kind == "choose":
            assert 2 <= len(offered) <= 12


def _text(messages: Any, role: str) -> str:
    return str(next(m for m in messages if m["role"] == role)["content"][0]["text"])


def test_arguments_stand_in_the_request() -> None:
    """What is not an id of a result can be read off what the user says."""
    for sample in made(ToolsGenerator(ToolsConfig(kinds={"single": 1.0})), 200):
        said = sample.tasks[0].question
        for value in sample.gt["calls"][0]["arguments"].values():
            if isinstance(value, str) and "-" not in value:
                assert value.rstrip(".") in said, (value, said)


def test_shares_of_kinds() -> None:
    kinds = Counter(s.gt["kind"] for s in made(ToolsGenerator(), 2000))
    for kind, weight in KINDS.items():
        assert abs(kinds[kind] / 2000 - weight) < 0.035, kind


def test_calls_are_compared_in_a_normal_form() -> None:
    name = "train_search"
    call = {"origin": "Torvik", "destination": "Norden", "date": "2027-03-05"}
    expected = [{"name": name, "arguments": call}]
    same = {**call, "origin": "torvik", "date": "5 March 2027", "after": "06:00"}
    assert calls_match(expected, [{"name": name, "arguments": same}])
    assert not calls_match(expected, [{"name": name, "arguments": {**call, "after": "07:00"}}])
    assert not calls_match(expected, [])
    two = [{"name": "numbers_add", "arguments": {"values": [1, 2]}}, *expected]
    assert calls_match(two, two[::-1])
    assert not calls_match(two, [two[0], two[0]])


def test_worlds_tell_calls_apart() -> None:
    book = {"name": "flight_book", "arguments": {"flight_id": "FL-1", "passenger": "Ada"}}
    other = {"name": "flight_book", "arguments": {"flight_id": "FL-2", "passenger": "Ada"}}
    assert same_state(3, [book], [book])
    assert not same_state(3, [book], [other])
    assert not same_state(3, [book], [{"name": "nothing", "arguments": {}}])


def test_schema_issues_by_hand() -> None:
    schema = FUNCTIONS["parking_search"].schema()["function"]["parameters"]
    good = {"address": {"street": "Mill Street 3", "city": "Norden"}}
    assert not schema_issues(good, schema)
    assert schema_issues({"address": {"street": "Mill Street 3"}}, schema)
    assert schema_issues({**good, "more": 1}, schema)
    assert schema_issues({"address": "Mill Street 3"}, schema)
    number = FUNCTIONS["temperature_set"].schema()["function"]["parameters"]
    assert schema_issues({"room": "attic", "degrees": 90}, number)
    assert schema_issues({"room": "attic", "degrees": True}, number)
    choice = FUNCTIONS["scene_start"].schema()["function"]["parameters"]
    assert schema_issues({"scene": "noon"}, choice)


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigError, match="parallel"):
        create({"kinds": {"paralel": 1.0}})
    with pytest.raises(ConfigError, match="most_tools"):
        create({"most_tools": 40})


def test_golden(golden: Callable[[str, Any], None]) -> None:
    sample = make(ToolsGenerator(), 10)
    assert sample is not None
    golden("synth/text-tools.json", shown(sample))


def test_hash_seeds_do_not_matter() -> None:
    check_hash_seeds("nanovl.synth.text.tools", indices="[k for k in range(40) if k != 13]")
