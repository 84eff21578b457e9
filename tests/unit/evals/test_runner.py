"""A run that is killed, stopped, torn or continued: nothing lost, nothing asked twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nanovl.core.errors import BackendError, CapacityError, InputError
from nanovl.core.events import Event
from nanovl.evals.base import Medium, Sample
from nanovl.evals.endpoint import ChatEndpoint, EndpointAnswerer, Patience
from nanovl.evals.modes import Setting, mode
from nanovl.evals.requests import Answered, Failure, Prompt, Request, Task, content_id
from nanovl.evals.runfolder import ResponseLog, RunFolder, read_log
from nanovl.evals.runner import Job, generate, in_order, verify
from tests.unit.evals.cases import OFF, ON, FakeAnswerer, right, run_of, samples, task
from tests.unit.evals.stub import Body, Say, serving, user_of

CHILD = """
import sys, threading
from pathlib import Path
from nanovl.evals.endpoint import ChatEndpoint, EndpointAnswerer, Patience
from nanovl.evals.runfolder import RunFolder
from nanovl.evals.runner import Job, generate
from tests.unit.evals.cases import OFF, ON, task
url, folder, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
endpoint = ChatEndpoint(url, "m", patience=Patience(timeout_s=20, retries=3, first_wait_s=0.01))
answerer = EndpointAnswerer(endpoint, parallel=4, drain_s=5)
print("ready", flush=True)
totals = generate(
    RunFolder(folder), [Job(task=task(count), settings=[OFF])], answerer
)
print(totals.sum("answered"), totals.sum("kept"), totals.sum("left"), flush=True)
"""


def child(url: str, folder: Path, count: int) -> subprocess.Popen[str]:
    """A run in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, url, str(folder), str(count)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(("src", "."))},
    )


def lines_of(folder: Path, name: str = "sums") -> list[dict[str, Any]]:
    return list(read_log(folder / name / "responses.jsonl"))


def until(condition: Any, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)


# --- killed -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kills", [1, 3])
def test_kill_9_and_resume_loses_nothing_and_asks_nothing_twice(tmp_path: Path, kills: int) -> None:
    count = 24
    delay = 0.05

    def answer(body: Body, before: int) -> Say:
        time.sleep(delay)
        return Say(text=user_of(body).rsplit(" ", 1)[1].rstrip("?"))

    run = tmp_path / "run"
    log = run / "sums" / "responses.jsonl"
    stored: Counter[str] = Counter()
    with serving(answer) as stub:
        for number in range(kills):
            process = child(stub.url, run, count)
            wanted = (number + 1) * 5
            until(lambda wanted=wanted: log.exists() and log.read_bytes().count(b"\n") >= wanted)
            process.send_signal(signal.SIGKILL)
            process.communicate()
            time.sleep(0.1)  # replies under way arrive nowhere
            asked_before = stub.count
            stored = Counter(line["sample"] for line in lines_of(run))
        process = child(stub.url, run, count)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        answered, kept, left = map(int, out.split()[-3:])
        # Only what was under way when the process died was asked a second time.
        asked_in_last = stub.count - asked_before
        most_asked = max(stub.asked.values())
    assert (answered, kept, left) == (count - len(stored), len(stored), 0)
    assert asked_in_last == count - len(stored)
    assert most_asked <= 1 + kills
    assert stub.count <= count + 4 * kills
    found = Counter(line["sample"] for line in lines_of(run))
    assert found == Counter(str(i) for i in range(count))
    assert all(line["text"] == line["sample"] for line in lines_of(run))


def test_ctrl_c_ends_in_order_and_the_same_command_goes_on(tmp_path: Path) -> None:
    def answer(body: Body, before: int) -> Say:
        time.sleep(0.05)
        return Say(text="x")

    run = tmp_path / "run"
    log = run / "sums" / "responses.jsonl"
    with serving(answer) as stub:
        process = child(stub.url, run, 40)
        until(lambda: log.exists() and log.read_bytes().count(b"\n") >= 4)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        assert process.returncode != 0
        assert "KeyboardInterrupt" in err
        asked = stub.count
        # Everything the endpoint answered is on disk: nothing was thrown away.
        assert len(lines_of(run)) == asked
        process = child(stub.url, run, 40)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert stub.count == 40
    assert out.split()[-3:] == [str(40 - asked), str(asked), "0"]


@pytest.mark.parametrize(
    "torn",
    [
        b'{"key": "abc", "sample": "3", "te',
        b"\x00" * 5000,
        b'{"key": "abc"',
        b"\xff\xfe\xff",
        b'{"key": "k", "sample": "9", "run": 0}garbage',
    ],
)
def test_a_torn_last_line_is_dropped(tmp_path: Path, torn: bytes) -> None:
    run_of(tmp_path, FakeAnswerer(right))
    path = tmp_path / "sums" / "responses.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + torn)
    assert len(lines_of(tmp_path)) == 5  # a reader passes over it
    second = FakeAnswerer(right)
    totals = generate(RunFolder(tmp_path), [Job(task=task(), settings=[OFF])], second)
    assert second.asked == []
    assert totals.dropped == {"sums": len(torn)}
    assert path.read_bytes() == whole


@pytest.mark.parametrize("cut", [1, 7, 40])
def test_a_line_cut_anywhere_is_asked_again(tmp_path: Path, cut: int) -> None:
    run_of(tmp_path, FakeAnswerer(right))
    path = tmp_path / "sums" / "responses.jsonl"
    path.write_bytes(path.read_bytes()[:-cut])
    second = FakeAnswerer(right)
    generate(RunFolder(tmp_path), [Job(task=task(), settings=[OFF])], second)
    # Only the line break was lost: the answer is complete.
    assert len(second.asked) == (0 if cut == 1 else 1)
    assert Counter(line["sample"] for line in lines_of(tmp_path)) == Counter("01234")


def test_a_damaged_line_in_the_middle_is_named(tmp_path: Path) -> None:
    run_of(tmp_path, FakeAnswerer(right))
    path = tmp_path / "sums" / "responses.jsonl"
    rows = path.read_bytes().splitlines(keepends=True)
    rows[2] = b'{"not": "a line"}\n'
    path.write_bytes(b"".join(rows))
    with pytest.raises(InputError, match=r"responses.jsonl:3: .*delete this line"):
        generate(RunFolder(tmp_path), [Job(task=task(), settings=[OFF])], FakeAnswerer(right))


def test_a_repeated_line_counts_once(tmp_path: Path) -> None:
    run_of(tmp_path, FakeAnswerer(right))
    path = tmp_path / "sums" / "responses.jsonl"
    path.write_bytes(path.read_bytes() * 2)
    assert len(lines_of(tmp_path)) == 5


def test_two_processes_cannot_write_one_run(tmp_path: Path) -> None:
    path = tmp_path / "b" / "responses.jsonl"
    with ResponseLog(path), pytest.raises(CapacityError, match="another process"):
        ResponseLog(path)
    ResponseLog(path).close()


# --- failures -----------------------------------------------------------------------------------


def test_failures_are_stored_and_tried_again(tmp_path: Path) -> None:
    broken = {"2", "3"}

    def say(request: Request) -> Any:
        if request.sample in broken:
            return Failure(kind="http_500", message="no luck", traceback="here")
        return right(request)

    first = FakeAnswerer(say)
    folder = RunFolder(tmp_path)
    jobs = [Job(task=task(), settings=[OFF])]
    totals = generate(folder, jobs, first)
    assert (totals.sum("answered"), totals.sum("failed"), totals.sum("left")) == (3, 2, 2)
    assert totals.reasons == {"http_500": 2}
    errors = [line["error"] for line in lines_of(tmp_path) if "error" in line]
    assert (
        errors
        == [{"kind": "http_500", "message": "no luck", "traceback": "here", "retries": 0}] * 2
    )
    broken.clear()
    second = FakeAnswerer(say)
    totals = generate(folder, jobs, second)
    assert sorted(r.sample for r in second.asked) == ["2", "3"]
    assert (totals.sum("answered"), totals.sum("kept"), totals.sum("left")) == (2, 3, 0)


def test_nobody_answers(tmp_path: Path) -> None:
    answerer = FakeAnswerer(lambda r: Failure(kind="http_503", message="busy"))
    with pytest.raises(BackendError, match=r"25 questions in a row got no answer.*busy"):
        run_of(tmp_path, answerer, [task(100)])
    assert len(answerer.asked) == 25
    assert len(lines_of(tmp_path)) == 25


def test_unreadable_questions_do_not_end_a_run(tmp_path: Path) -> None:
    answerer = FakeAnswerer(
        lambda r: Failure(kind="InputError", message="too long") if int(r.sample) < 60 else right(r)
    )
    folder = run_of(tmp_path, answerer, [task(100)])
    assert len(answerer.asked) == 100
    assert len([1 for line in read_log(folder.responses("sums")) if "text" in line]) == 40


def test_a_missing_picture_is_a_failure_of_its_question(tmp_path: Path) -> None:
    here = tmp_path / "here.png"
    here.write_bytes(b"picture")
    there = tmp_path / "there.png"
    made = [
        Sample(
            id=str(i),
            question=f"What is {i}?",
            answer=str(i),
            media=(Medium(kind="image", path=str(p)),),
        )
        for i, p in enumerate((here, there))
    ]
    one = replace(task(), samples=made)
    jobs = [Job(task=one, settings=[OFF])]
    folder = RunFolder(tmp_path / "run")
    first = FakeAnswerer(right)
    for _ in range(2):  # trying again stores the same failure once
        totals = generate(folder, jobs, first)
        assert (totals.sum("wanted"), totals.sum("failed"), totals.sum("left")) == (2, 1, 1)
    assert [r.sample for r in first.asked] == ["0"]
    (error,) = [line["error"] for line in lines_of(tmp_path / "run") if "error" in line]
    assert "there.png: cannot be read" in error["message"]
    there.write_bytes(b"picture 2")
    second = FakeAnswerer(right)
    totals = generate(folder, jobs, second)
    assert [r.sample for r in second.asked] == ["1"]
    assert totals.sum("left") == 0


def test_two_answers_to_one_request_are_refused(tmp_path: Path) -> None:
    class Twice(FakeAnswerer):
        def answer(self, requests: Any, stop: threading.Event) -> Any:
            for answered in super().answer(requests, stop):
                yield answered
                yield answered

    with pytest.raises(AssertionError, match="two answers"):
        run_of(tmp_path, Twice(right))


# --- keys and orders ----------------------------------------------------------------------------


def test_what_changes_an_answer_changes_the_key() -> None:
    sample = Sample(id="1", question="q", answer="a", options={"A": "x"})
    prompt = Prompt(content=(Medium(kind="image", data=b"1"), "q"))

    def key(**change: Any) -> str:
        given = {
            "benchmark": "b",
            "sample": sample,
            "prompt": prompt,
            "setting": OFF,
            "model": "m",
            "run": 0,
            "seed": 0,
            **change,
        }
        return Request.make(**given).key

    pruned = Setting(mode=mode("mm_off"), options={"pruning_rate": 0.5})
    changes: list[dict[str, Any]] = [
        {"benchmark": "c"},
        {"sample": replace(sample, id="2")},
        {"sample": replace(sample, question="r")},
        {"sample": replace(sample, options={"A": "y"})},
        {"prompt": replace(prompt, content=(Medium(kind="image", data=b"2"), "q"))},
        {"prompt": replace(prompt, content=("q", Medium(kind="image", data=b"1")))},
        {"prompt": replace(prompt, system="s")},
        {"prompt": replace(prompt, prefix="p")},
        {"prompt": replace(prompt, max_tokens=5)},
        {"setting": ON},
        {"setting": pruned},
        {"setting": Setting(mode=mode("mm_budget_2048"))},
        {"model": "n"},
        {"run": 1},
        {"setting": ON, "seed": 7},
    ]
    keys = [key(), *(key(**change) for change in changes)]
    assert len(set(keys)) == len(keys)
    same: list[dict[str, Any]] = [
        {"sample": replace(sample, answer="b", category="c", meta={"x": 1})},
        {"prompt": replace(prompt, content=(Medium(kind="image", data=b"1", name="n"), "q"))},
        {"seed": 7},  # greedy: drawn from nothing
    ]
    assert {key(**change) for change in same} == {key()}


def test_a_file_counts_by_its_contents(tmp_path: Path) -> None:
    a, b = tmp_path / "a.png", tmp_path / "b.png"
    a.write_bytes(b"same")
    b.write_bytes(b"same")
    ids = {content_id(Medium(kind="image", path=str(p))) for p in (a, b)}
    assert ids == {content_id(Medium(kind="image", data=b"same"))}
    b.write_bytes(b"other, longer")
    assert content_id(Medium(kind="image", path=str(b))) not in ids


def test_large_files_count_by_size_and_blocks(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    with path.open("wb") as file:
        file.truncate(70 << 20)
    before = content_id(Medium(kind="video", path=str(path)))
    with path.open("r+b") as file:
        file.seek(-10, os.SEEK_END)
        file.write(b"changed")
    os.utime(path, ns=(1, 1))
    after = content_id(Medium(kind="video", path=str(path)))
    with path.open("ab") as file:
        file.write(b"\0")
    assert len({before, after, content_id(Medium(kind="video", path=str(path)))}) == 3


def test_longest_first_inside_shuffled_across() -> None:
    def queue(name: str, count: int) -> list[Request]:
        made = [Sample(id=str(i), question="x" * (10 * i + 1), answer="") for i in range(count)]
        return [Request.make(name, s, Prompt(content=(s.question,)), OFF, model="m") for s in made]

    ordered = in_order([queue("a", 20), queue("b", 20)], seed=1)
    for name in "ab":
        own = [r.prompt.length for r in ordered if r.benchmark == name]
        assert own == sorted(own, reverse=True)
    names = "".join(r.benchmark for r in ordered)
    assert names.count("ab") + names.count("ba") > 8  # mixed, not one after the other
    assert in_order([queue("a", 20), queue("b", 20)], seed=1) == ordered
    assert in_order([], 0) == []


def test_runs_settings_and_seeds(tmp_path: Path) -> None:
    answerer = FakeAnswerer(right)
    run_of(tmp_path, answerer, [task(2, runs=4)], [OFF, ON], seed=10)
    asked = Counter((r.setting.label, r.run, r.sampling.seed) for r in answerer.asked)
    assert asked == Counter({("mm_off", 0, None): 2, **{("mm_on", i, 10 + i): 2 for i in range(4)}})
    more = FakeAnswerer(right)
    run_of(tmp_path, more, [task(2)], [ON], runs=6, seed=10)
    assert sorted({r.run for r in more.asked}) == [4, 5]  # two more runs, four are kept


# --- what a run says of itself ------------------------------------------------------------------


def test_run_json_says_who_and_how(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    generate(
        folder,
        [Job(task=task(prompt_set="p1"), settings=[OFF])],
        FakeAnswerer(right),
        facts={"versions": {"nanovl": "0"}},
    )
    head = folder.head()
    assert head["model"]["name"] == "fake"
    assert head["versions"] == {"nanovl": "0"}
    found = head["benchmarks"]["sums"]
    assert found["prompt_set"] == "p1"
    assert found["manifest"]["files"][0]["name"] == "sums.tsv"
    assert found["settings"]["mm_off"]["system"] == "/no_think"
    generate(folder, [Job(task=task(), settings=[ON])], FakeAnswerer(right))
    assert set(folder.head()["benchmarks"]["sums"]["settings"]) == {"mm_off", "mm_on"}
    assert folder.benchmarks() == ["sums"]


def test_another_model_needs_another_folder(tmp_path: Path) -> None:
    run_of(tmp_path, FakeAnswerer(right))
    with pytest.raises(InputError, match=r"holds answers of 'fake'.*another folder"):
        run_of(tmp_path, FakeAnswerer(right, name="other"))


def test_other_data_needs_another_folder(tmp_path: Path) -> None:
    run_of(tmp_path, FakeAnswerer(right))
    other = task(manifest={"files": [{"name": "sums.tsv", "sha256": "1" * 64}]})
    with pytest.raises(InputError, match="never mixed"):
        run_of(tmp_path, FakeAnswerer(right), [other])
    assert len(lines_of(tmp_path)) == 5


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 99}'])
def test_a_damaged_head_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(InputError, match=r"run\.json"):
        RunFolder(tmp_path).head()


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no run of nanovl eval"):
        RunFolder(tmp_path).head()


def test_ids_must_be_unique() -> None:
    with pytest.raises(InputError, match="two samples have the id '1'"):
        Task(
            id="b",
            samples=[*samples(2), samples(2)[1]],
            prompt=lambda s: Prompt(content=("",)),
            metric="exact",
        )


def test_events_and_totals(tmp_path: Path) -> None:
    events: list[Event] = []
    generate(
        RunFolder(tmp_path),
        [Job(task=task(3), settings=[OFF]), Job(task=task(2, name="more"), settings=[OFF])],
        FakeAnswerer(right, meta=lambda r: {"retries": 1}),
        on_event=events.append,
    )
    assert [e.done for e in events] == [1, 2, 3, 4, 5]
    assert {e.total for e in events} == {5}
    assert Counter(e.name for e in events) == {"sums": 3, "more": 2}


# --- verify -------------------------------------------------------------------------------------


def test_verify_finds_texts_that_depend_on_the_batch(tmp_path: Path) -> None:
    jobs = [Job(task=task(10), settings=[OFF])]
    folder = run_of(tmp_path, FakeAnswerer(right), [task(10)])
    same = verify(folder, jobs, FakeAnswerer(right), 4)
    assert (same.checked, same.alone, same.other_order) == (4, 0, 0)

    class Alone(FakeAnswerer):
        def answer(self, requests: Any, stop: threading.Event) -> Any:
            asked = list(requests)
            for answered in super().answer(asked, stop):
                if len(asked) == 1:
                    assert answered.response is not None
                    text = answered.response.text + "."
                    answered = Answered(
                        request=answered.request, response=replace(answered.response, text=text)
                    )
                yield answered

    different = verify(folder, jobs, Alone(right), 100)
    assert (different.checked, different.alone, different.other_order) == (10, 10, 0)
    with pytest.raises(InputError, match="no answer of this model"):
        verify(folder, jobs, FakeAnswerer(right, name="other"), 4)


def test_an_endpoint_with_trouble_ends_with_clear_totals(tmp_path: Path) -> None:
    """429, 500, hanging and garbage mixed; every question has one answer or one reason."""
    over = threading.Event()

    def answer(body: Body, before: int) -> Say:
        number = int(user_of(body).rsplit(" ", 1)[1].rstrip("?"))
        if number % 5 == 1 and before == 0:
            return Say(status=429, headers={"Retry-After": "0.05"})
        if number % 5 == 2 and before < 2:
            return Say(status=500)
        if number % 5 == 3 and before == 0:
            return Say(hang=over) if number == 3 else Say(raw=b"<oops>")
        if number == 4:
            return Say(status=400, text="refused")
        if number == 9:
            return Say(status=503)
        return Say(text=str(number))

    patience = Patience(timeout_s=0.5, retries=4, first_wait_s=0.001)
    try:
        with serving(answer) as stub:
            endpoint = ChatEndpoint(stub.url, "m", patience=patience)
            folder = RunFolder(tmp_path)
            jobs = [Job(task=task(30), settings=[OFF])]
            totals = generate(folder, jobs, EndpointAnswerer(endpoint, parallel=4))
            assert (totals.sum("wanted"), totals.sum("answered")) == (30, 28)
            assert totals.reasons == {"http_400": 1, "http_503": 1}
            assert totals.sum("left") == 2
            # 6 x 429, 6 x 2 x 500, 6 x no reply, and what was tried in vain
            assert totals.retries == 6 + 12 + 6 + 4
            assert stub.count == 30 + totals.retries
            again = generate(folder, jobs, EndpointAnswerer(endpoint))
            assert (again.sum("kept"), again.sum("failed")) == (28, 2)
            over.set()
    finally:
        over.set()
    rows = [json.loads(line) for line in folder.responses("sums").read_bytes().splitlines()]
    assert Counter(r["sample"] for r in rows if "text" in r) == Counter(
        str(i) for i in range(30) if i not in (4, 9)
    )
    assert sorted(r["sample"] for r in rows if "error" in r) == ["4", "4", "9", "9"]
