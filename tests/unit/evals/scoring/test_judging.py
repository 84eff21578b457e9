"""Asking a judge: prompts, parsing, tries, the log; and the files and means behind it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from nanovl.core.errors import ConfigError, InputError
from nanovl.evals.base import Medium, Response, Sample, Scored, Verdict
from nanovl.evals.scoring.judging import (
    LoggedJudge,
    Prompt,
    bracketed,
    consult,
    extracted_answer,
    json_object,
    judge_key,
    option_letters,
    zero_or_one,
)
from nanovl.evals.scoring.keyed_lines import KeyedLines
from nanovl.evals.scoring.tally import decision_shares, group_means, mean_result

PROMPT = Prompt(name="t", text="Is {answer} {{right}}?", reminder="Say 0 or 1.")


class Judge:
    def __init__(self, *replies: str | None) -> None:
        self.replies = list(replies)
        self.prompts: list[str] = []

    def ask(self, prompt: str) -> str | None:
        self.prompts.append(prompt)
        return self.replies.pop(0)


class SeeingJudge(Judge):
    def ask_about(self, prompt: str, media: Sequence[Medium]) -> str | None:
        return self.ask(f"{len(media)} media: {prompt}")


def test_prompts_are_filled_and_hashed() -> None:
    assert PROMPT.fields == ("answer",)
    assert PROMPT.fill(answer="{x}") == "Is {x} {right}?"
    other = Prompt(name="t", text=PROMPT.text, reminder="Other.")
    assert PROMPT.hash != other.hash
    with pytest.raises(ConfigError, match=r"holes \['answer'\]"):
        PROMPT.fill(question="x")
    with pytest.raises(ConfigError, match="no hole"):
        Prompt(name="t", text="x", reminder="y")


def test_consulting_adds_a_reminder_and_stops_at_the_first_verdict() -> None:
    judge = Judge("yes", " 1 ", "0")
    asked = consult(judge, PROMPT, zero_or_one, answer="7")
    assert asked.value == 1
    assert asked.replies == ("yes", " 1 ")
    assert judge.prompts == ["Is 7 {right}?", "Is 7 {right}?\n\nSay 0 or 1."]
    assert "reason" not in asked.detail


def test_three_unusable_replies_or_none_leave_it_unscored() -> None:
    asked = consult(Judge("a", "b", "c"), PROMPT, zero_or_one, answer="7")
    assert asked.value is None
    assert asked.detail["reason"] == "no reply of the judge had the asked form"
    asked = consult(Judge(None), PROMPT, zero_or_one, answer="7")
    assert asked.replies == (None,)
    assert asked.detail["reason"] == "the judge gave no reply"


def test_media_need_a_judge_that_sees() -> None:
    medium = Medium(kind="image", data=b"x")
    assert consult(SeeingJudge("1"), PROMPT, zero_or_one, media=[medium], answer="7").value == 1
    with pytest.raises(ConfigError, match="only reads text"):
        consult(Judge("1"), PROMPT, zero_or_one, media=[medium], answer="7")


@pytest.mark.parametrize(
    ("reply", "value"), [("0", 0), (" 1\n", 1), ("1.", None), ("yes", None), ("", None)]
)
def test_zero_or_one(reply: str, value: int | None) -> None:
    assert zero_or_one(reply) == value


@pytest.mark.parametrize(
    ("reply", "letters"),
    [("AC", "AC"), ("A, C", "AC"), ("b", None), ("B.", None), ("", None), (" Z ", "Z")],
)
def test_option_letters(reply: str, letters: str | None) -> None:
    assert option_letters(reply) == letters


def test_brackets_extracts_and_objects() -> None:
    assert bracketed("[[A]] or rather [[B]]", ["A", "B"]) == "B"
    assert bracketed("[[C]]", ["A"]) is None
    assert extracted_answer("so\nExtracted answer: 7 ") == "7"
    assert extracted_answer(" 7") == "7"
    assert extracted_answer("Extracted answer: ") is None
    assert json_object('x {"a": 1} y', ["a"]) == {"a": 1}
    assert json_object('{"a": 1}', ["b"]) is None
    assert json_object("{", ["a"]) is None
    assert json_object("[1]", []) is None


@given(st.text(max_size=50))
def test_parsers_never_raise(reply: str) -> None:
    zero_or_one(reply), option_letters(reply), extracted_answer(reply)
    assert bracketed(reply, ["A"]) in (None, "A")
    json_object(reply, ["a"])


def test_the_log_answers_what_is_known(tmp_path: Path) -> None:
    path = tmp_path / "judge" / "log.jsonl"
    judge = Judge("one", None, "two")
    logged = LoggedJudge(judge, "model", path)
    assert [logged.ask("a"), logged.ask("a"), logged.ask("b")] == ["one", "one", None]
    assert LoggedJudge(judge, "model", path).ask("a") == "one"
    assert LoggedJudge(judge, "other", path).ask("a") == "two"
    record = json.loads(path.read_text().splitlines()[0])
    assert (record["prompt"], record["value"], record["judge"]) == ("a", "one", "model")


def test_the_log_tells_media_apart(tmp_path: Path) -> None:
    one, two = Medium(kind="image", data=b"1"), Medium(kind="image", data=b"2")
    judge = SeeingJudge("first", "second")
    logged = LoggedJudge(judge, "model", tmp_path / "log.jsonl")
    assert logged.ask_about("q", [one]) == "first"
    assert logged.ask_about("q", [two]) == "second"
    assert logged.ask_about("q", [one]) == "first"
    with pytest.raises(ConfigError, match="only reads text"):
        LoggedJudge(Judge(), "m", tmp_path / "x").ask_about("q", [one])
    assert judge_key("m", "ab") != judge_key("ma", "b")


def test_keyed_lines_survive_a_torn_end_but_not_a_damaged_middle(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    lines = KeyedLines(path)
    lines.add("a", 1)
    lines.add("a", 2)
    with path.open("ab") as file:
        file.write(b'{"key": "b", "val')
    again = KeyedLines(path)
    assert (len(again), again.get("a"), "b" in again) == (1, 2, False)
    again.add("b", [3])
    assert KeyedLines(path).get("b") == [3]
    path.write_bytes(b"garbage\n" + path.read_bytes())
    with pytest.raises(InputError, match="line 1"):
        KeyedLines(path)


def _row(value: float | None, category: str = "", **verdict: object) -> Scored:
    return Scored(
        sample=Sample(id="1", question="?", answer="x", category=category),
        response=Response(text=""),
        verdict=Verdict(value=value, **verdict),  # type: ignore[arg-type]
    )


def test_means_are_strict_and_lenient() -> None:
    rows = [_row(1.0, "a"), _row(None, "a", level="judge"), _row(0.0, "b", level="extended")]
    result = mean_result(rows, "m", scale=100.0)
    assert result.score == pytest.approx(33.33, abs=0.01)
    assert result.unscored == 1
    assert result.parts["lenient"] == 50.0
    assert result.groups == {"a": 50.0, "b": 0.0}
    assert group_means(rows) == {"a": 0.5, "b": 0.0}


def test_shares_of_levels() -> None:
    rows = [
        _row(1.0),
        _row(0.0, detail={"parsed": False}),
        _row(1.0, level="extended", detail={"proxy": True}),
        _row(None, level="judge"),
    ]
    assert decision_shares(rows) == {
        "decided_rules": 0.5,
        "decided_extended": 0.25,
        "unparsed": 0.25,
        "proxy": 0.25,
    }
