"""Batches: what is written is complete, what is complete is not asked again, memory is bounded."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest

from nanovl.apps.batch import run_batch
from nanovl.apps.batch_files import Answers, BadLine, Request, read_requests
from nanovl.core.errors import ConfigError, InputError

URL = "/v1/chat/completions"


def line(custom_id="a", **changes):
    row = {"custom_id": custom_id, "method": "POST", "url": URL, "body": {"n": custom_id}}
    return json.dumps({**row, **changes})


def requests_file(path: Path, *lines: str) -> Path:
    path.write_text("".join(text + "\n" for text in lines), encoding="utf-8")
    return path


def answer(url, body):
    return 200, {"id": f"chatcmpl-{body['n']}", "said": body["n"]}


def rows(path: Path) -> list[dict]:
    return [json.loads(text) for text in path.read_text(encoding="utf-8").splitlines()]


def test_every_request_has_its_answer(tmp_path):
    source = requests_file(tmp_path / "in.jsonl", *(line(str(i)) for i in range(20)))
    out = tmp_path / "out.jsonl"
    totals = run_batch(source, out, answer, in_flight=4)
    assert (totals.answered, totals.failed, totals.skipped) == (20, 0, 0)
    found = {row["custom_id"]: row for row in rows(out)}
    assert set(found) == {str(i) for i in range(20)}
    one = found["7"]
    assert one["error"] is None
    assert one["id"].startswith("batch_req_")
    assert one["response"] == {
        "status_code": 200,
        "request_id": "chatcmpl-7",
        "body": {"id": "chatcmpl-7", "said": "7"},
    }


def test_lines_that_are_no_requests_get_an_error_and_only_one(tmp_path):
    lines = [
        "not json",
        "[]",
        line(""),
        line("a"),
        "",
        line("a"),
        line("b", method="GET"),
        line("c", url="/v1/embeddings"),
        line("d", body=3),
        "\u00fc" + line("e"),
        "[" * 100_000,
    ]
    source = requests_file(tmp_path / "in.jsonl", *lines)
    out = tmp_path / "out.jsonl"
    totals = run_batch(source, out, answer)
    assert (totals.answered, totals.failed) == (1, 9)
    errors = [row["error"] for row in rows(out) if row["error"]]
    assert {e["line"]: e["code"] for e in errors} == {
        1: "invalid_json",
        2: "invalid_line",
        3: "invalid_custom_id",
        6: "duplicate_custom_id",
        7: "invalid_line",
        8: "invalid_url",
        9: "invalid_line",
        10: "invalid_json",
        11: "invalid_json",
    }
    assert all("\n" not in e["message"] for e in errors)
    again = run_batch(source, out, answer)
    assert (again.answered, again.failed, again.skipped) == (0, 0, 10)
    assert len(rows(out)) == 10


def test_an_error_of_one_request_is_its_answer(tmp_path):
    def some_fail(url, body):
        if body["n"] == "1":
            raise RuntimeError("secret path")
        return (400, {"error": {"message": "no"}}) if body["n"] == "2" else answer(url, body)

    source = requests_file(tmp_path / "in.jsonl", *(line(str(i)) for i in range(4)))
    totals = run_batch(source, tmp_path / "out.jsonl", some_fail)
    assert (totals.answered, totals.failed) == (2, 2)
    found = {row["custom_id"]: row["response"] for row in rows(tmp_path / "out.jsonl")}
    assert found["1"]["status_code"] == 500
    assert "secret" not in json.dumps(found["1"])
    assert found["2"]["status_code"] == 400


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_torn_line_is_taken_away_and_asked_again(tmp_path, cut):
    source = requests_file(tmp_path / "in.jsonl", *(line(str(i)) for i in range(5)))
    out = tmp_path / "out.jsonl"
    run_batch(source, out, answer, in_flight=1)
    whole = out.read_bytes()
    last = len(whole.splitlines(keepends=True)[-1])
    out.write_bytes(whole[:-cut])
    totals = run_batch(source, out, answer)
    # Without its line break alone the line is whole.
    assert totals.answered == (0 if cut == 1 else 1)
    assert totals.repaired_bytes == (0 if cut == 1 else last - cut)
    assert sorted(row["custom_id"] for row in rows(out)) == list("01234")


def test_a_file_of_something_else_is_not_touched(tmp_path):
    source = requests_file(tmp_path / "in.jsonl", line())
    other = tmp_path / "notes.txt"
    other.write_text("my notes\nmore\n")
    with pytest.raises(InputError, match=r"notes.txt: line 1 is no line of a batch's answers"):
        run_batch(source, other, answer)
    assert other.read_text() == "my notes\nmore\n"


def test_only_one_run_writes(tmp_path):
    with (
        Answers(tmp_path / "out.jsonl"),
        pytest.raises(InputError, match="another run is writing it"),
    ):
        Answers(tmp_path / "out.jsonl")


def test_as_many_at_a_time_as_asked_and_the_input_is_read_as_it_is_needed(tmp_path):
    source = requests_file(tmp_path / "in.jsonl", *(line(str(i)) for i in range(30)))
    lock, now, most = threading.Lock(), [0], [0]

    def slow(url, body):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.01)
        with lock:
            now[0] -= 1
        return answer(url, body)

    events = []
    run_batch(source, tmp_path / "out.jsonl", slow, in_flight=3, on_event=events.append)
    assert most[0] == 3
    assert [e.done for e in events] == list(range(1, 31))


def test_an_interrupt_keeps_what_is_complete(tmp_path):
    source = requests_file(tmp_path / "in.jsonl", *(line(str(i)) for i in range(10)))
    out = tmp_path / "out.jsonl"

    def stop(event):
        if event.done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_batch(source, out, answer, in_flight=1, on_event=stop)
    assert len(rows(out)) == 3
    assert run_batch(source, out, answer).skipped == 3


def test_wrong_places(tmp_path):
    source = requests_file(tmp_path / "in.jsonl", line())
    with pytest.raises(InputError, match="no such file"):
        run_batch(tmp_path / "none.jsonl", tmp_path / "out.jsonl", answer)
    with pytest.raises(InputError, match="is the input"):
        run_batch(source, source, answer)
    with pytest.raises(InputError, match="no such folder"):
        run_batch(source, tmp_path / "no" / "out.jsonl", answer)
    with pytest.raises(InputError, match="cannot be written"):
        run_batch(source, tmp_path, answer)
    with pytest.raises(ConfigError, match="expected at least 1"):
        run_batch(source, tmp_path / "out.jsonl", answer, in_flight=0)
    assert not (tmp_path / "out.jsonl").exists()


def test_a_line_beyond_the_limit_is_passed_over(tmp_path, monkeypatch):
    monkeypatch.setattr("nanovl.apps.batch_files.MAX_LINE_BYTES", 300)
    source = requests_file(
        tmp_path / "in.jsonl", line("a"), line("b", body={"x": "y" * 1000}), line("c")
    )
    found = list(read_requests(source))
    assert [type(f) for f in found] == [Request, BadLine, Request]
    assert (found[1].line, found[1].code) == (2, "line_too_long")
    assert found[2].line == 3
