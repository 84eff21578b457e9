"""Traces end to end: sampled, checked against the record's own verifier, cut and written."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nanovl.core.errors import ConfigError, InputError
from nanovl.data.convert.traces import think_problem
from nanovl.data.records import Record
from nanovl.synth.model.cache import AnswerCache
from nanovl.synth.model.client import ChatClient, Endpoint
from nanovl.synth.model.limits import Limits
from nanovl.synth.model.thoughts import RULES
from nanovl.synth.model.traces import TraceReport, TraceSettings, expected_use, write_traces
from tests.unit.synth.model.notes import data_set, facts
from tests.unit.synth.model.stub import Body, Say, kind_of, serving, system_of, user_of

ALL = {"off_share": 1.0, "cut_share": 1.0, "json_mode": "none"}


def thought(number: int, seed: int) -> str:
    return (
        f"The picture does not matter here. I start with {number}. Adding 40 gives {number + 40}. "
        f"I check it by taking 40 away again, way {seed % 97}. That is {number} once more."
    )


def thinker(body: Body, before: int = 0) -> Say:
    """Adds, in a field of its own."""
    number = int(re.findall(r"\d+", user_of(body))[0])
    return Say(f"The answer is {number + 40}.", reasoning=thought(number, body["seed"]))


def make(
    source: Path,
    out: Path,
    say: Callable[[Body, int], Say],
    *,
    cache: Path | None = None,
    limits: dict[str, Any] | None = None,
    **settings: Any,
) -> tuple[TraceReport, list[Body]]:
    with serving(say) as stub:
        client = ChatClient(
            Endpoint(url=stub.url, model="stub"),
            Limits(**{"retries": 1, **(limits or {})}),
            AnswerCache(cache),
        )
        report = write_traces(source, out, client, TraceSettings(**{**ALL, **settings}))
        client.cache.close()
        return report, stub.bodies


def records_of(out: Path) -> dict[str, Record]:
    lines = (out / f"{out.name}.jsonl").read_text(encoding="utf-8").splitlines()
    made = [Record.from_json(json.loads(line)) for line in lines]
    return {record.id: record for record in made}


def digest(out: Path) -> str:
    files = sorted(p for p in out.rglob("*") if p.is_file())
    return hashlib.sha256(b"".join(p.name.encode() + p.read_bytes() for p in files)).hexdigest()


def test_kept_traces_give_three_records(notes: Path, tmp_path: Path) -> None:
    out = tmp_path / "traces"
    report, bodies = make(notes, out, thinker)
    assert (report.questions, report.samples, report.kept) == (6, 24, 6)
    assert report.variants == {"cut": 6, "off": 6, "on": 6}
    assert report.difficulties == {"easy": 6}
    assert report.rejects == {}
    assert report.media == 6
    records = records_of(out)
    on, off, cut = (records[f"notes-train-000000003-00-{v}"] for v in ("on", "off", "cut"))
    assert (on.reasoning, off.reasoning, cut.reasoning) == ("on", "off", "on")
    assert on.has_trace
    assert not off.has_trace
    # The record's own answer ends all three; the trace is as records made here have it.
    assert off.messages[1].text == "43"
    assert on.messages[1].text.endswith("\n</think>\n\n43")
    assert on.messages[1].text.startswith(
        "<think>\nThe picture does not matter here. I start with 3."
    )
    whole, part = (r.messages[1].text.split("</think>")[0].strip() for r in (on, cut))
    assert whole.startswith(part)
    assert len(part) < len(whole)
    assert part.endswith(".")
    assert cut.messages[1].text.endswith("\n</think>\n\n43")
    assert cut.metadata["made_by"]["budget_tokens"] < on.metadata["made_by"]["trace_tokens"]
    for record in records.values():
        assert think_problem(record.messages[1].text) is None
        assert record.metadata["made_by"]["pass_rate"] == 1.0
        assert record.metadata["group"] == record.metadata["sample"]
        assert record.source == "notes-traces"
    # What is asked: the record as it is, its picture as a data URL, every sample with its seed.
    content = bodies[0]["messages"][0]["content"]
    assert [part["type"] for part in content] == ["image_url", "text"]
    head, _, data = content[0]["image_url"]["url"].partition(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(data).startswith(b"\x89PNG")
    assert len({body["seed"] for body in bodies}) == 24
    assert {(body["temperature"], body["top_p"]) for body in bodies} == {(0.6, 0.95)}


def test_both_ways_of_giving_a_trace_make_the_same_records(notes: Path, tmp_path: Path) -> None:
    def inline(body: Body, before: int) -> Say:
        say = thinker(body)
        return Say(f"<think>\n{say.reasoning}\n</think>\n\n{say.text}")

    def open_end(body: Body, before: int) -> Say:
        say = thinker(body)
        return Say(f"{say.reasoning}\n</think>\n{say.text}")

    digests = set()
    for number, answer in enumerate((thinker, inline, open_end)):
        out = tmp_path / str(number) / "traces"
        make(notes, out, answer)
        digests.add(digest(out))
    assert len(digests) == 1


def test_rejections_are_named(notes: Path, tmp_path: Path) -> None:
    """Every question goes wrong in its own way; two samples of the third are right."""
    bad = {
        0: Say("The answer is 41.", reasoning="I add one and forty. It is hard. But I manage."),
        1: Say("The answer is 41."),
        2: Say("42", reasoning="I add."),
        3: Say("43", reasoning="Add three. " + "Forty and three make forty three. " * 40),
        4: Say("44", reasoning=thought(4, 0), finish="length"),
        5: Say("45", reasoning=thought(5, 0) + " This agrees with the ground truth."),
    }

    def answer(body: Body, before: int) -> Say:
        number = int(re.findall(r"\d+", user_of(body))[0])
        if number == 2 and body["seed"] % 2:
            return thinker(body)
        return bad[number]

    report, bodies = make(notes, tmp_path / "traces", answer)
    odd = sum(b["seed"] % 2 for b in bodies if "What is 2 +" in user_of(b))
    assert 0 < odd < 4
    assert report.kept == 1
    assert report.rejects == {
        "cut_off": 4,
        "no_trace": 4,
        "too_hard": 3,
        "trace_leak": 4,
        "trace_loop": 4,
        "trace_too_short": 4 - odd,
        "wrong_answer": 4,
    }
    assert set(report.rejects) <= set(RULES)
    assert report.difficulties == {"easy": 1}  # short thoughts, but right answers


def test_difficulty_follows_the_share_of_right_samples(notes: Path, tmp_path: Path) -> None:
    def answer(body: Body, before: int) -> Say:
        say = thinker(body)
        number = int(re.findall(r"\d+", user_of(body))[0])
        seen[number] += 1
        if seen[number] <= number:
            say.text = "The answer is 7."
        return say

    seen: Counter[int] = Counter()
    limits = {"parallel": 1}
    report, _ = make(notes, tmp_path / "a" / "traces", answer, limits=limits)
    assert report.difficulties == {"easy": 1, "hard": 1, "medium": 2}
    assert report.rejects == {"too_hard": 2, "wrong_answer": 1 + 2 + 3 + 4 + 4}
    records = records_of(tmp_path / "a" / "traces")
    assert records["notes-train-000000001-00-on"].metadata["made_by"]["pass_rate"] == 0.75
    seen.clear()
    report, _ = make(
        notes, tmp_path / "b" / "traces", answer, limits=limits, least_pass=0.5, most_pass=0.9
    )
    assert report.difficulties == {"medium": 2}
    assert (report.rejects["too_easy"], report.rejects["too_hard"]) == (1, 3)


def test_without_labels_the_majority_decides(notes: Path, tmp_path: Path) -> None:
    def answer(body: Body, before: int) -> Say:
        say = thinker(body)
        number = int(re.findall(r"\d+", user_of(body))[0])
        seen[number] += 1
        if number == 1:
            say.text = f"The answer is {seen[number]}."  # four answers
        if number == 2:
            say.text = f"The answer is {seen[number] % 2}."  # two against two
        if number == 3 and seen[number] < 4:
            say.text = "The answer is **999**."  # most say so
        return say

    seen: Counter[int] = Counter()
    report, _ = make(notes, tmp_path / "traces", answer, limits={"parallel": 1}, right="majority")
    assert report.kept == 4
    assert report.rejects == {"no_agreement": 2, "wrong_answer": 1}
    records = records_of(tmp_path / "traces")
    assert records["notes-train-000000003-00-off"].messages[1].text == "999"
    assert records["notes-train-000000003-00-on"].metadata["made_by"]["pass_rate"] == 0.75


def test_the_judge_is_asked_where_words_differ(tmp_path: Path) -> None:
    source = tmp_path / "plain"
    source.mkdir()
    line = {
        "id": "q",
        "messages": [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "What does the sign forbid?"},
            {"role": "assistant", "content": "Swimming in the lake"},
        ],
    }
    twin = {**line, "id": "again"}
    talk = {**line, "id": "talk", "messages": line["messages"] + line["messages"][1:]}  # type: ignore[operator]
    long = {**line, "id": "long"}
    long["messages"] = [*line["messages"][:2], {"role": "assistant", "content": "word " * 200}]  # type: ignore[index]
    (source / "plain.jsonl").write_text(
        "".join(json.dumps(x) + "\n" for x in (line, twin, talk, long))
    )

    def answer(body: Body, before: int) -> Say:
        if kind_of(body) == "judge":
            return Say(json.dumps({"same": "bathe" in user_of(body)}))
        assert "between <think> and" in system_of(body)
        assert system_of(body).startswith("Be kind.")
        said = "You may not bathe there" if body["seed"] % 2 else "Parking"
        return Say(f"<think>{thought(1, 1)}</think>{said}")

    report, bodies = make(source, tmp_path / "traces", answer, samples=6, think="tags",
                          answer="model")  # fmt: skip
    right = sum(b["seed"] % 2 for b in bodies if kind_of(b) == "other")
    assert report.rejects == {
        "duplicate_question": 1, "label_long": 1, "multi_turn": 1, "wrong_answer": 6 - right,
    }  # fmt: skip
    record = records_of(tmp_path / "traces")["q-on"]
    assert record.messages[0].text == "Be kind."
    assert record.messages[2].text.endswith("You may not bathe there")
    with pytest.raises(InputError, match="wrong_answer 6"):
        make(source, tmp_path / "none", answer, samples=6, think="tags", judge=False)


def test_media_that_are_too_large_are_left_out(notes: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="media_large 6"):
        make(notes, tmp_path / "traces", thinker, most_media_bytes=10)


def test_shares_and_shortest_traces(tmp_path: Path) -> None:
    source = data_set(tmp_path / "notes", [facts(n) for n in range(60)])

    def answer(body: Body, before: int) -> Say:
        say = thinker(body)
        say.reasoning += " I look once more." * (body["seed"] % 3)
        return say

    report, _ = make(
        source, tmp_path / "traces", answer, off_share=1 / 3, cut_share=0.25, samples=2
    )
    assert report.variants["on"] == 60
    assert 10 <= report.variants["off"] <= 30
    assert 6 <= report.variants["cut"] <= 25


def test_impossible_settings_are_refused(notes: Path) -> None:
    for wrong in ({"samples": 0}, {"off_share": 2.0}, {"right": "guess"}, {"think": "hard"}):
        with pytest.raises(ConfigError):
            TraceSettings(**wrong)  # type: ignore[arg-type]
    assert expected_use(notes, TraceSettings(samples=3))[:2] == (6, 18)


@pytest.mark.slow
def test_the_command_killed_and_continued(notes: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "nanovl", "synth", "traces", str(notes)]
    more = ["--model", "stub", "--samples", "3", "judge=false", "off_share=1", "--parallel", "2"]
    never, goal = threading.Event(), 9

    def answer(body: Body, before: int) -> Say:
        return Say(hang=never) if goal and len(stub.answered) >= goal else thinker(body)

    with serving(answer) as stub:
        out = tmp_path / "a" / "traces"
        url = ["--endpoint", stub.url]
        process = subprocess.Popen([*words, str(out), *url, *more], start_new_session=True)
        deadline = time.monotonic() + 60
        while len(stub.answered) < goal and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.5)  # the last answer is committed
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        goal = 0
        done = subprocess.run(
            [*words, str(out), *url, *more], capture_output=True, text=True, timeout=100
        )
        never.set()
        assert done.returncode == 0, done.stderr
        assert "6 questions, 18 samples, 6 kept" in done.stderr
        assert stub.asked_again == []
        assert len(stub.answered) == 18
        whole = tmp_path / "b" / "traces"
        done = subprocess.run([*words, str(whole), *url, *more], timeout=100)
        assert done.returncode == 0
    assert digest(whole) == digest(out)
