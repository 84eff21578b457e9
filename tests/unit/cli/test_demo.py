"""`nanovl demo`: bundled inputs, their questions, an answer beside the right one."""

import json

import pytest

from nanovl.cli.demo import files_of, find, questions
from nanovl.core.errors import ConfigError


def test_the_receipt_is_asked_about(cli, checkpoint):
    result = cli("demo", "-m", checkpoint, "--max-tokens", 4)
    assert result.code == 0, result.err
    assert result.out.endswith("\n")
    told = dict(line.split(maxsplit=1) for line in result.err.splitlines() if line[:1].isalpha())
    assert told["input"].startswith("receipt.png")
    assert told["question"] == "What is the total?"
    assert told["expected"] == "20.02"
    assert "tokens/s" in told["speed"]
    assert "nanovl demo receipt --question 2" in result.err
    assert "YOUR-PICTURE" in result.err


def test_other_inputs_have_options_of_their_own(cli, checkpoint):
    result = cli("demo", "odd", "-q", 1, "-m", checkpoint, "--max-tokens", 2, "--json")
    document = json.loads(result.out)
    assert document["demo"]["files"] == ["odd-1.jpg", "odd-2.jpg", "odd-3.jpg"]
    assert document["demo"]["options"] == {"max_tiles": 1}
    assert len(document["media"]) == 3
    assert document["usage"]["completion_tokens"] == 2
    assert "input" not in result.err


def test_all_inputs_are_listed(cli):
    result = cli("demo", "--list")
    assert (result.code, result.err) == (0, "")
    for entry in questions():
        assert f"{entry['name']:10} {entry['title']}" in result.out
        assert entry["question"].split("\n")[0] in result.out
        assert entry["answer"] not in result.out.splitlines()
    document = json.loads(cli("demo", "--list", "--json").out)
    assert document == {"demos": questions()}


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("demo", "invoce"), "did you mean 'invoice'"),
        (("demo", "--question", 99), "receipt has 3 questions"),
        (("demo", "--question", 0), "greater than or equal to 1"),
    ],
)
def test_wrong_names_and_numbers(cli, words, hint):
    result = cli(*words)
    assert result.code == 2
    assert hint in result.err


def test_an_input_is_found_by_name_and_file():
    known = questions()
    assert find(known, "receipt") is find(known, "receipt.png") is known[0]
    assert find(known, "odd-2.jpg")["name"] == "odd"
    assert files_of(find(known, "report")) == ["report.pdf"]
    with pytest.raises(ConfigError, match="expected one of receipt"):
        find(known, "zzz")
