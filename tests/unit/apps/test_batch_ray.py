"""The same batch on Ray Data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nanovl.apps.batch_ray import run_on_ray
from nanovl.core.errors import BackendError

ray = pytest.importorskip("ray.data", reason="needs Ray: pip install 'nanovl[ray]'")

pytestmark = [
    pytest.mark.slow,
    # Ray leaves sockets and log files to the end of the process.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning"),
]


def make_answer():
    """Runs in a worker."""

    def answer(url, body):
        if body["n"] == 3:
            raise RuntimeError("one fails")
        return 200, {"id": f"x-{body['n']}", "text": body["text"]}

    return answer


def test_a_batch_on_ray_goes_on_where_it_stopped(tmp_path: Path) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    odd = "two\nlines \u00e4 \u2028"
    with source.open("w") as file:
        for i in range(9):
            body = {"n": i, "text": odd}
            row = {"custom_id": f"r{i}", "url": "/v1/completions", "body": body}
            file.write(json.dumps(row) + "\n")
        file.write("torn\n")
    done = {"id": "x", "custom_id": "r0", "response": {"status_code": 200}, "error": None}
    out.write_text(json.dumps(done) + "\n")
    totals = run_on_ray(source, out, make_answer, workers=1, in_flight=4)
    assert (totals.answered, totals.failed, totals.skipped) == (7, 2, 1)
    rows = [json.loads(text) for text in out.read_text().splitlines()]
    found = {row["custom_id"]: row for row in rows}
    assert set(found) == {f"r{i}" for i in range(9)} | {None}
    assert found["r5"]["response"]["body"] == {"id": "x-5", "text": odd}
    assert found["r3"]["response"]["status_code"] == 500
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".pending")] == []
    assert run_on_ray(source, out, make_answer).skipped == 10


def test_an_address_where_nobody_listens(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    body = {"n": 1, "text": ""}
    source.write_text(json.dumps({"custom_id": "a", "url": "/v1/completions", "body": body}) + "\n")
    with pytest.raises(BackendError, match=r"Ray at '127\.0\.0\.1:1': cannot be reached"):
        run_on_ray(source, tmp_path / "out.jsonl", make_answer, address="127.0.0.1:1")
    assert (tmp_path / "out.jsonl").read_text() == ""
