"""`nanovl synth check` as a person types it, with a model for the blind test."""

from __future__ import annotations

import json

import pytest

from nanovl.synth.base import Answer
from tests.unit.synth.model.stub import Say, serving
from tests.unit.synth.quality.planted import dataset, sample

QUICK = ("-o", "model=tiny", "-o", "seq_len=4096")


@pytest.fixture
def folder(tmp_path):
    made = []
    for number in range(12):
        answer = Answer(type="text", value=f"name {number}")
        made.append(sample(number, answer=answer, said=f"name {number}"))
    return dataset(tmp_path / "set", made)


def test_a_model_answers_without_pictures(cli, folder, tmp_path):
    def answer(body, _again):
        number = body["messages"][-1]["content"].split()[3]
        return Say(text=f"name {number}")

    words = ("synth", "check", str(folder), *QUICK, "--out", str(tmp_path / "report"))
    with serving(answer) as stub:
        asked = ("--endpoint", stub.url, "--model", "m")
        result = cli(*words, *asked, "--json")
        assert result.code == 0, result.err
        assert cli(*words, *asked).err.count("set: 100.0% of 12 questions answered without") == 1
        assert len(stub.bodies) == 12, "answers are kept beside the report"
    share = json.loads(result.out)["blind"]["set"]
    assert (share["asked"], share["right"]) == (12, 1.0)
    assert share["kinds"]["read"]["by"] == "model"


def test_without_a_model(cli, folder):
    result = cli("synth", "check", str(folder), *QUICK)
    assert result.code == 0
    assert "set: 0.0% of 12 questions answered without pictures" in result.err
    result = cli("synth", "check", str(folder), *QUICK, "--skip", "blind_answer")
    assert "answered without pictures" not in result.err


def test_mistakes_are_named(cli, folder):
    result = cli("synth", "check", str(folder), "--endpoint", "http://localhost:9/v1")
    assert result.code == 2
    assert "--model is missing" in result.err
    result = cli("synth", "check", str(folder), "--model", "m")
    assert result.code == 2
    assert "--endpoint, which is missing" in result.err
