"""Questions and answers end to end against an endpoint that can read, and against bad ones."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nanovl.cli.main import run as run_here
from nanovl.core.errors import BackendError, ConfigError, InputError
from nanovl.data.blend import load_blend
from nanovl.data.media import open_media
from nanovl.data.records import Record
from nanovl.synth.model.cache import AnswerCache
from nanovl.synth.model.client import ChatClient, Endpoint
from nanovl.synth.model.limits import Limits
from nanovl.synth.model.pairs import RULES
from nanovl.synth.model.qa import QaReport, QaSettings, expected_use, write_qa
from nanovl.synth.quality.answers import answer_of
from nanovl.synth.verify import is_right
from tests.unit.synth.model.notes import data_set, facts
from tests.unit.synth.model.stub import (
    FACT,
    Body,
    Say,
    kind_of,
    pair,
    reader,
    serving,
    user_of,
)

PLAIN = {"json_mode": "none", "types": ("extractive",)}


def make(
    source: Path,
    out: Path,
    answer: Callable[[Body, int], Say],
    *,
    cache: Path | None = None,
    limits: dict[str, Any] | None = None,
    partial: bool = False,
    **settings: Any,
) -> tuple[QaReport, int]:
    """A run, and how many requests it took."""
    with serving(answer) as stub:
        client = ChatClient(
            Endpoint(url=stub.url, model="stub"),
            Limits(**{"retries": 1, **(limits or {})}),
            AnswerCache(cache),
        )
        report = write_qa(source, out, client, QaSettings(**{**PLAIN, **settings}), partial=partial)
        client.cache.close()
        return report, stub.count


def records_of(out: Path) -> list[Record]:
    lines = (out / f"{out.name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [Record.from_json(json.loads(line)) for line in lines]


def digest(out: Path) -> dict[str, str]:
    return {
        str(p.relative_to(out)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(out.rglob("*"))
        if p.is_file()
    }


def test_pairs_become_records_with_their_pictures(notes: Path, tmp_path: Path) -> None:
    out = tmp_path / "qa"
    report, requests = make(notes, out, reader)
    # A request to write, and for each of three pairs one with and one without the document.
    assert requests == 6 * (1 + 3 * 2)
    assert report.pairs == 18
    assert report.records == 18
    assert report.media == 6
    assert report.rejects == {}
    records = records_of(out)
    first = records[0]
    assert first.id == "notes-train-000000000-qa00"
    assert first.messages[1].text == "20"
    assert first.messages[0].text.startswith("What is the age of Ada?")
    assert (first.task, first.reasoning, first.source) == ("qa_extractive", "off", "notes-qa")
    assert first.metadata["answer"]["value"] == 20
    assert first.metadata["verifier"] == "number"
    assert first.metadata["evidence"] == ["The age of Ada is 20"]
    made_by = first.metadata["made_by"]
    assert (made_by["model"], made_by["prompts"], made_by["seed"]) == ("stub", "1", 0)
    assert made_by["agreed"] == "rule"
    (source,) = load_blend(out)
    store = open_media(source.media, out)
    for record in records:
        assert store.find(record.media[0].value).byte_range is not None
        found = answer_of(record.to_json())
        assert found is not None
        assert is_right(*found, record.messages[1].text)
    facts_file = json.loads((out / "model.json").read_text())
    assert facts_file["records"] == 18
    assert facts_file["model"] == "stub"


def test_the_model_never_sees_a_picture_and_readers_never_see_answers(
    notes: Path, tmp_path: Path
) -> None:
    bodies: list[Body] = []

    def watch(body: Body, before: int) -> Say:
        bodies.append(body)
        return reader(body)

    make(notes, tmp_path / "qa", watch, limits={"parallel": 1})
    assert "image_url" not in json.dumps(bodies)
    for body in bodies:
        if kind_of(body) == "blind":
            assert FACT.search(user_of(body)) is None
        if kind_of(body) == "answer":
            assert "evidence" not in json.dumps(body)


def _writer(pairs: list[Body], answers: dict[str, str], blind: dict[str, str] | None = None):  # type: ignore[no-untyped-def]
    """Writes these pairs about every document; answers and blind guesses by question."""

    def answer(body: Body, before: int) -> Say:
        kind = kind_of(body)
        if kind == "write":
            return Say(json.dumps({"pairs": pairs}))
        if kind == "judge":
            return Say(json.dumps({"same": "as good as" in user_of(body)}))
        known = answers if kind == "answer" else (blind or {})
        found = known.get(user_of(body).rpartition("Question: ")[2])
        if found == "garbage":
            return Say("I do not know JSON")
        return Say(json.dumps({"answer": found or "not stated", "known": found is not None}))

    return answer


AGE = pair("What is the age of Ada?", "20", evidence=["The age of Ada is 20"])
TOWN = pair("What is the town of Ada?", "Oslo Ada North", evidence=["The town of Ada is Oslo"])
RIGHT = {AGE["question"]: "20", TOWN["question"]: "Oslo Ada North"}


@pytest.mark.parametrize(
    ("pairs", "answers", "blind", "rejects"),
    [
        ([AGE, TOWN], RIGHT, {}, {}),
        ([AGE, TOWN], {**RIGHT, AGE["question"]: "21"}, {}, {"disagrees": 1}),
        ([AGE, TOWN], {TOWN["question"]: "Oslo Ada North"}, {}, {"not_found": 1}),
        ([AGE, TOWN], {**RIGHT, AGE["question"]: "garbage"}, {}, {"unverified": 1}),
        ([AGE, TOWN], {**RIGHT, TOWN["question"]: "Lima"}, {}, {"disagrees": 1}),
        ([AGE, TOWN], {**RIGHT, TOWN["question"]: "as good as Oslo Ada North itself"}, {}, {}),
        ([AGE, TOWN], RIGHT, {AGE["question"]: "20"}, {"blind": 1}),
        ([AGE, TOWN], RIGHT, {AGE["question"]: "99"}, {}),
        ([AGE, TOWN], RIGHT, {AGE["question"]: "garbage"}, {}),
        ([AGE, AGE, {**TOWN, "question": "What is the town of  ada"}, TOWN],
         {**RIGHT, "What is the town of ada": "Oslo Ada North"}, {}, {"duplicate": 2}),
        ([AGE, {**AGE, "question": "What was the age of Ada?"}], RIGHT, {}, {"near_duplicate": 1}),
        ([AGE, {**TOWN, "evidence": ["Ada came from Rome"]}], RIGHT, {}, {"evidence_missing": 1}),
    ],
)  # fmt: skip
def test_every_check_rejects_by_name(
    tmp_path: Path,
    pairs: list[Body],
    answers: dict[str, str],
    blind: dict[str, str],
    rejects: dict[str, int],
) -> None:
    source = data_set(tmp_path / "notes", [facts(0)])
    report, _ = make(source, tmp_path / "qa", _writer(pairs, answers, blind))
    assert report.rejects == rejects
    assert report.records == len(pairs) - sum(rejects.values())
    assert set(report.rejects) <= set(RULES)


def test_unanswerable_questions_are_answered_as_such(tmp_path: Path) -> None:
    source = data_set(tmp_path / "notes", [facts(0)])
    no = pair("Who is the sister of Ada?", "not stated", type="unanswerable")
    found = pair("What is the trade of Ada?", "not stated", type="unanswerable")
    answers = {found["question"]: "glass blowing"}
    report, requests = make(
        source, tmp_path / "qa", _writer([no, found], answers), types=("unanswerable",)
    )
    assert report.rejects == {"answerable": 1}
    assert requests == 3  # nobody is asked blind what nobody can know
    (record,) = records_of(tmp_path / "qa")
    assert "document" in record.messages[1].text
    assert record.task == "qa_unanswerable"


@pytest.mark.parametrize(
    ("say", "rule"),
    [
        (Say("Here are your questions: 1. What is ...?"), "bad_json"),
        (Say('{"questions": []}'), "wrong_schema"),
        (Say('{"pairs": [', finish="length"), "cut_off"),
        (Say("", finish="content_filter"), "refused"),
    ],
)
def test_documents_without_usable_pairs_are_counted(
    notes: Path, tmp_path: Path, say: Say, rule: str
) -> None:
    def answer(body: Body, before: int) -> Say:
        return say if "of Bo is" in user_of(body) and kind_of(body) == "write" else reader(body)

    report, _ = make(notes, tmp_path / "qa", answer)
    assert report.rejects == {rule: 1}
    assert report.records == 15


def test_broken_json_is_repaired_and_the_right_part_of_a_list_is_kept(
    notes: Path, tmp_path: Path
) -> None:
    def answer(body: Body, before: int) -> Say:
        good = reader(body)
        if kind_of(body) != "write":
            return good
        if "of Bo is" in user_of(body) and len(body["messages"]) == 2:
            return Say("```json\n" + good.text[:-2])
        if "of Cleo is" in user_of(body):
            pairs = json.loads(good.text)["pairs"]
            del pairs[1]["answer"]
            return Say(json.dumps({"pairs": [*pairs, "what"]}))
        return good

    report, _ = make(notes, tmp_path / "qa", answer)
    assert report.repaired == 1
    assert report.rejects == {"wrong_schema": 2}
    assert report.records == 17


def test_more_pairs_than_asked_for_are_not_checked(notes: Path, tmp_path: Path) -> None:
    report, requests = make(notes, tmp_path / "qa", reader, count=2)
    assert report.rejects == {"surplus": 6}
    assert requests == 6 * (1 + 2 * 2)


def test_repetitions_over_the_data_set_are_bounded(tmp_path: Path) -> None:
    truths = [
        {
            "markdown": f"The colour of the car is red.\nDelivery {n * 7919} came from {n * 31}, "
            f"by van {n}, and {'nobody ' * n}signed for it on day {n * 17}."
        }
        for n in range(5)
    ]
    source = data_set(tmp_path / "notes", truths)
    report, _ = make(source, tmp_path / "qa", reader, most_repeats=2)
    assert report.rejects == {"repeated": 3}
    assert report.records == 2


def test_documents_that_repeat_are_not_paid_for(tmp_path: Path) -> None:
    words = " ".join(f"word{n}" for n in range(60))
    truths = [{"markdown": f"The age of Ada is 20.\n{words}"}] * 3 + [facts(1)]
    source = data_set(tmp_path / "notes", truths)
    report, requests = make(source, tmp_path / "qa", reader)
    assert report.rejects == {"duplicate_document": 2}
    assert requests == (1 + 2) + (1 + 6)


def test_pages_are_named_and_checked(tmp_path: Path) -> None:
    gt = {"pages": [{"text": "The age of Ada is 20."}, {"text": "The age of Bo is 31."}]}
    source = data_set(tmp_path / "notes", [gt])
    good = pair("What is the age of Bo?", "31", evidence=["age of Bo is 31"], pages=[2])
    bad = pair("What is the age of Ada?", "20", evidence=["age of Ada is 20"], pages=[2])
    answers = {good["question"]: "31", bad["question"]: "20"}
    report, _ = make(source, tmp_path / "qa", _writer([good, bad], answers))
    assert report.rejects == {"evidence_page": 1}
    assert records_of(tmp_path / "qa")[0].metadata["pages"] == [2]


def test_endpoint_errors_are_named_and_skipped(notes: Path, tmp_path: Path) -> None:
    def answer(body: Body, before: int) -> Say:
        user = user_of(body)
        if kind_of(body) == "write" and "of Bo is" in user:
            return Say("internal", status=500)
        if kind_of(body) == "answer" and "of Dan is" in user:
            return Say("context too long", status=400)
        return reader(body)

    report, _ = make(notes, tmp_path / "qa", answer)
    assert report.failures == {"http_400": 1, "http_500": 1}
    assert "context too long" in report.examples["http_400"]
    assert report.records == 12


def test_nothing_kept_is_an_error_that_says_why(notes: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="bad_json 6"):
        make(notes, tmp_path / "qa", lambda body, before: Say("no"))
    with pytest.raises(BackendError, match="no document got an answer"):
        make(notes, tmp_path / "qa", lambda body, before: Say("no", status=400))
    assert not (tmp_path / "qa").exists()


def test_order_and_threads_do_not_change_a_byte(notes: Path, tmp_path: Path) -> None:
    outs = []
    for parallel in (1, 5):
        out = tmp_path / str(parallel) / "qa"
        make(notes, out, reader, limits={"parallel": parallel})
        outs.append(digest(out))
    assert outs[0] == outs[1]
    assert len(outs[0]) == 3


def test_a_budget_stops_and_a_larger_one_goes_on(notes: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole" / "qa"
    _, all_requests = make(notes, whole, reader)
    out, cache = tmp_path / "part" / "qa", tmp_path / "c.sqlite"
    poor = {"parallel": 1, "budget_tokens": 110 * 10}
    report, first = make(notes, out, reader, cache=cache, limits=poor)
    assert report.path is None
    assert not out.exists()
    assert "budget of 1,100 tokens" in report.stopped
    assert report.unfinished == 5
    assert first == 10
    some = tmp_path / "some" / "qa"
    report, more = make(notes, some, reader, cache=cache, limits=poor, partial=True)
    assert more == 0
    assert report.records == 3
    report, rest = make(notes, out, reader, cache=cache)
    assert first + rest == all_requests
    assert digest(out) == digest(whole)


def test_impossible_settings_are_refused(notes: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="types: got guess"):
        QaSettings(types=("guess",))
    with pytest.raises(ConfigError, match="count"):
        QaSettings(count=0)
    (tmp_path / "qa").mkdir()
    (tmp_path / "qa" / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="not empty"):
        make(notes, tmp_path / "qa", reader)
    assert expected_use(notes, QaSettings(count=3))[:2] == (6, 6 * 7)


# --- the command --------------------------------------------------------------------------------


def command(source: Path, out: Path, url: str, *more: str) -> list[str]:
    words = ["synth", "qa", str(source), str(out), "--endpoint", url, "--model", "stub"]
    return [sys.executable, "-m", "nanovl", *words, "types=[extractive]", *more]


def run(words: list[str], **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, timeout=100, **more)


def test_the_command_and_its_totals(notes: Path, tmp_path: Path) -> None:
    def answer(body: Body, before: int) -> Say:
        good = reader(body)
        if kind_of(body) == "write" and "of Bo is" in user_of(body):
            return Say("never JSON")
        return good

    env = {**os.environ, "STUB_KEY": "sk-hidden-4711"}
    with serving(answer) as stub:
        out = tmp_path / "qa"
        words = command(notes, out, stub.url, "--key-env", "STUB_KEY", "--prices", "1,2")
        done = run(words, env=env)
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"{out / 'qa.jsonl'}\n"
        assert "6 documents, 15 pairs written; 15 records, 5 media files" in done.stderr
        assert "bad_json" in done.stderr
        assert "also after a second request" in done.stderr
        assert "cost 0." in done.stderr
        assert set(stub.keys) == {"Bearer sk-hidden-4711"}
        asked = stub.count
        again = run([*command(notes, tmp_path / "b" / "qa", stub.url), "--json",
                     "--cache", str(tmp_path / "qa.answers.sqlite")])  # fmt: skip
        assert again.returncode == 0, again.stderr
        assert json.loads(again.stdout)["usage"]["sent"] == 0
        assert stub.count == asked
        assert digest(tmp_path / "b" / "qa") == digest(out)
    everything = done.stdout + done.stderr
    for path in tmp_path.rglob("*"):
        if path.is_file():
            everything += path.read_bytes().decode("latin-1")
    assert "sk-hidden-4711" not in everything


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--key-env", "NO_SUCH_KEY"], "NO_SUCH_KEY is not set"),
        (["kount=3"], "did you mean 'count'"),
        (["--prices", "cheap"], "expected two numbers"),
        (["--budget", "3"], "needs prices"),
        (["--set", "messages=1"], "set by nanovl"),
        (["--endpoint", "nowhere"], "expected an address"),
        (["types=[guess]"], "expected some of extractive"),
    ],
)
def test_wrong_usage_is_named(
    notes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], says: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        run_here([*command(notes, tmp_path / "qa", "http://127.0.0.1:9/v1")[3:], *more])
    assert ended.value.code == 2
    assert says in capsys.readouterr().err


def test_the_command_says_how_it_ended(
    notes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "qa"
    with serving(lambda body, before: Say("bad key", status=401)) as stub:
        with pytest.raises(SystemExit) as ended:
            run_here(command(notes, out, stub.url)[3:])
        assert ended.value.code == 1
        assert "--key-env" in capsys.readouterr().err
    with serving(reader) as stub:
        with pytest.raises(SystemExit) as ended:
            run_here([*command(notes, out, stub.url)[3:], "--budget-tokens", "500"])
        assert ended.value.code == 1
        said = capsys.readouterr().err
        assert "budget of 500 tokens is reached" in said
        assert "nothing was written" in said
        assert not out.exists()
        with pytest.raises(SystemExit):
            run_here([*command(notes, out, stub.url)[3:], "--dry-run", "--prices", "1,1", "--json"])
        assert json.loads(capsys.readouterr().out)["documents"] == 6


def _answers(cache: Path) -> int:
    try:
        with sqlite3.connect(f"file:{cache}?mode=ro", uri=True) as database:
            return int(database.execute("SELECT count(*) FROM answers").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


@pytest.mark.parametrize(
    "number", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_a_killed_run_asks_nothing_twice_and_ends_in_the_same_bytes(
    notes: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """Whatever was in the cache when the process died is never asked again."""
    whole = tmp_path / "whole" / "qa"
    never = threading.Event()
    goals = [0]

    def answer(body: Body, before: int) -> Say:
        if goals[0] and len(stub.answered) >= goals[0]:
            return Say(hang=never)
        return reader(body)

    with serving(answer) as stub:
        done = run(command(notes, whole, stub.url))
        assert done.returncode == 0, done.stderr
        expected = set(stub.asked)
        out, cache = tmp_path / "part" / "qa", tmp_path / "part" / "qa.answers.sqlite"
        stub.asked.clear()
        stub.answered.clear()
        stub.asked_again.clear()
        for goal in (7, 19):
            goals[0] = goal
            process = subprocess.Popen(
                command(notes, out, stub.url, "--parallel", "3"), stderr=subprocess.PIPE, text=True
            )
            deadline = time.monotonic() + 60
            while _answers(cache) < goal and time.monotonic() < deadline:
                time.sleep(0.01)
            process.send_signal(number)
            _, said = process.communicate(timeout=60)
            if number == signal.SIGINT:
                assert process.returncode == 130
                assert "answers are kept in" in said
            kept = _answers(cache)
            assert kept >= goal
            assert not out.exists()
            assert len(stub.answered) == kept  # with these waits nothing is between the two
        goals[0] = 0
        done = run(command(notes, out, stub.url))
        assert done.returncode == 0, done.stderr
        never.set()
        assert stub.asked_again == []
        assert set(stub.asked) == expected
        assert len(set(stub.answered)) == len(stub.answered) == len(expected)
    assert digest(out) == digest(whole)
