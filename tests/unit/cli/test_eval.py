"""`nanovl eval`: a run from its first question to the report, and everything that can be wrong."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from nanovl.evals.registry import benchmarks
from nanovl.evals.runfolder import read_log
from tests.unit.evals.official import OFFICIAL, TEDDY, b64, png, tsv
from tests.unit.evals.stub import Say, serving, user_of


def letters(body, before):
    """Right about the first question of the fixture, wrong about the second."""
    return Say("B" if "What is it" in user_of(body) else "B.")


@pytest.fixture
def files(tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    for name in ("mmstar", "realworldqa", "ai2d_test"):
        OFFICIAL[name](folder)
    return folder


def run(cli, stub, files, out, *more, names=("mmstar",)):
    return cli(
        "eval", "run", *names, "--data", files, "--out", out, "--endpoint", stub.url, "-m", "stub",
        *more,
    )  # fmt: skip


def number(result, place=0):
    return json.loads(result.out)["scores"][place]["score"]


# -- Benchmarks ----------------------------------------------------------------------------------


def test_the_list_names_every_benchmark(cli):
    for words in (("eval", "list", "--json"), ("eval", "--list", "--json")):
        found = json.loads(cli(*words).out)["benchmarks"]
        assert set(found) == set(benchmarks())
        assert all(one["reader"] and one["metric"] and one["needs_judge"] for one in found.values())


def test_a_verb_is_needed(cli):
    result = cli("eval")
    assert result.code == 2
    assert "verb" in result.err


@pytest.mark.parametrize(
    "verb",
    ["run", "score", "report", "sweep", "compare", "table", "diff-samples", "serve-check", "list"],
)
def test_help_has_examples(cli, verb):
    result = cli("eval", verb, "--help")
    assert result.code == 0
    assert f"nanovl eval {verb}" in result.out


# -- A run ---------------------------------------------------------------------------------------


def test_run_score_report(cli, files, tmp_path):
    out = tmp_path / "run"
    with serving(letters) as stub:
        first = run(cli, stub, files, out, "--json")
        assert first.code == 0, first.err
        assert number(first) == 50.0
        assert stub.count == 2
        again = run(cli, stub, files, out, "--json")
        assert json.loads(again.out)["benchmarks"]["mmstar"]["kept"] == 2
        assert stub.count == 2  # nothing is asked twice
    scored = cli("eval", "score", out, "--profile", "all", "--json")
    assert {s["profile"] for s in json.loads(scored.out)["scores"]} == {"default", "vk", "legacy"}
    told = cli("eval", "report", out)
    assert told.code == 0, told.err
    page = (out / "report.html").read_text()
    assert "MMStar" in page
    assert "Answers worth looking at" in page
    assert "50.0" in (out / "report.md").read_text()
    assert json.loads((out / "report.json").read_text())


def test_a_run_says_where_its_questions_are(cli, files, tmp_path):
    out = tmp_path / "run"
    with serving(letters) as stub:
        run(cli, stub, files, out)
    moved = tmp_path / "elsewhere"
    shutil.move(files, moved)
    gone = cli("eval", "score", out)
    assert gone.code == 2
    assert "MMStar.tsv" in gone.err
    assert cli("eval", "score", out, "--data", moved).code == 0
    table = moved / "MMStar.tsv"
    table.write_text(table.read_text().replace("Is it red?", "Is it blue?"))
    changed = cli("eval", "score", out, "--data", moved)
    assert changed.code == 2
    assert "other files" in changed.err


def test_failures_are_counted_and_asked_again(cli, files, tmp_path):
    broken = {"on": True}

    def answer(body, before):
        if broken["on"] and "red" in user_of(body):
            return Say("overloaded", status=500)
        return letters(body, before)

    out = tmp_path / "run"
    with serving(answer) as stub:
        result = run(cli, stub, files, out, "--retries", 0)
        assert result.code == 1
        assert "1 failed" in result.err
        assert "1 questions are without an answer" in result.err
        broken["on"] = False
        result = run(cli, stub, files, out, "--json")
    assert result.code == 0, result.err
    assert json.loads(result.out)["benchmarks"]["mmstar"] == {
        "wanted": 2, "kept": 1, "answered": 1, "failed": 0, "left": 0,
    }  # fmt: skip


def test_a_model_in_this_process(cli, files, checkpoint, tmp_path):
    out = tmp_path / "run"
    result = cli(
        "eval", "run", "mmstar", "--data", files, "--out", out, "-m", checkpoint, "--limit", 1,
        "--max-tiles", 1, "--verify", 1, "--json", "--dtype", "float32", "--mode", "text_ruler",
    )  # fmt: skip
    assert result.code == 0, result.err
    found = json.loads(result.out)
    assert found["benchmarks"]["mmstar"]["answered"] == 1
    assert found["verified"] == {"checked": 1, "alone": 0, "other_order": 0}
    (line,) = read_log(out / "mmstar" / "responses.jsonl")
    assert line["setting"] == "text_ruler,max_tiles=1"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("run", "mmstar"), "--out is missing"),
        (("run", "mmstarr", "--out", "x"), "did you mean"),
        (("run", "mini", "mmstar", "--out", "x"), "run it apart"),
        (("run", "mmstar", "--out", "x", "--mode", "onn"), "mode 'onn'"),
        (("run", "mmstar", "--out", "x", "--evs", "2"), "pruning_rate"),
        (("run", "mmstar", "--out", "x", "--endpoint", "http://h/v1", "--transport", "up"), "up"),
        (("run", "mmstar", "--out", "x", "--endpoint", "http://h/v1", "--key-env", "NOPE"), "NOPE"),
        (("run", "mini", "--out", "x"), "build the suite"),
        (("score", "nowhere"), "no run of nanovl eval"),
        (("report", "nowhere"), "no run of nanovl eval"),
        (("report", "nowhere", "--level", "high"), "--level"),
        (("compare", "a", "b", "--settings", "one"), "--settings"),
        (("sweep", "mmstar", "--out", "x"), "exactly one of"),
        (("sweep", "mmstar", "--out", "x", "--evs", "0", "--tiling", "native"), "exactly one of"),
        (("sweep", "mmstar", "--out", "x", "--evs", "a"), "numbers"),
        (("sweep", "mmstar", "--out", "x", "--max-tiles", "1", "--speed"), "--evs"),
        (("table", "one", "--out", "x"), "NAME=RUN"),
        (("table", "a=x", "a=y", "--out", "x"), "twice"),
        (("serve-check", "localhost"), "http"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(cli, files, tmp_path, monkeypatch, words, says):
    monkeypatch.chdir(files)
    result = cli("eval", *words)
    assert result.code == 2, result.err
    assert says in result.err
    assert "Traceback" not in result.err
    assert len([line for line in result.err.splitlines() if line.startswith("error:")]) == 1


def test_no_server(cli, files, tmp_path):
    result = cli(
        "eval", "run", "mmstar", "--data", files, "--out", tmp_path / "r", "--retries", 0,
        "--endpoint", "http://127.0.0.1:9/v1", "-m", "x",
    )  # fmt: skip
    assert result.code == 1
    assert "127.0.0.1:9" in result.err


# -- Trouble: nothing is lost, nothing counts twice, the totals say what happened ------------------


def many(folder: Path, count: int) -> list[dict]:
    """A table of so many questions; the even ones are answered with B."""
    folder.mkdir()
    rows = [
        {
            "index": i, "image": b64(png(i % 3)), "question": f"Question {i}?", **TEDDY,
            "answer": "BA"[i % 2], "category": "x",
        }
        for i in range(count)
    ]  # fmt: skip
    tsv(folder / "MMStar.tsv", rows)
    return rows


def place_of(body) -> int:
    """i of "Question i?"."""
    return int(user_of(body).split("Question ")[1].split("?")[0])


def answered(out: Path) -> Counter[str]:
    """How often each question has an answer on disk."""
    log = read_log(out / "mmstar" / "responses.jsonl")
    return Counter(line["sample"] for line in log if "error" not in line)


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_ended_goes_on(cli, tmp_path, ending):
    files, out = tmp_path / "many", tmp_path / "run"
    many(files, 12)

    def slowly(body, before):
        time.sleep(0.05)
        return Say("B")

    with serving(slowly) as stub:
        words = [
            "eval", "run", "mmstar", "--data", str(files), "--out", str(out), "--endpoint",
            stub.url, "-m", "stub", "--parallel", "1",
        ]  # fmt: skip
        going = subprocess.Popen(
            [sys.executable, "-m", "nanovl", *words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        limit = time.monotonic() + 60
        while stub.answered.total() < 4 and going.poll() is None and time.monotonic() < limit:
            time.sleep(0.01)
        going.send_signal(ending)
        _, said = going.communicate(timeout=60)
        assert going.returncode != 0
        if ending == signal.SIGINT:
            assert b"goes on from there" in said
        before = answered(out)
        assert 3 <= before.total() < 12
        result = cli(*words, "--json")
        assert result.code == 0, result.err
        # What was under way when it was killed is asked once more, at most one with --parallel 1.
        assert stub.count <= 13
    found = json.loads(result.out)
    assert found["benchmarks"]["mmstar"] == {
        "wanted": 12, "kept": before.total(), "answered": 12 - before.total(), "failed": 0,
        "left": 0,
    }  # fmt: skip
    assert answered(out) == Counter(str(i) for i in range(12))
    assert [(s["answered"], s["score"]) for s in found["scores"]] == [(12, 50.0), (12, 50.0)]


def test_trouble_of_every_kind_ends_in_clear_totals(cli, tmp_path):
    files, out = tmp_path / "many", tmp_path / "run"
    many(files, 12)
    trouble = {
        0: Say("slow down", status=429, headers={"Retry-After": "0"}),
        1: Say("broken", status=500),
        2: Say(raw=b'{"choices": [{"mess'),
        3: Say("B", cut=5),
        4: Say("no such thing", status=400),
    }
    healed = {"all": False}

    def answer(body, before):
        place = place_of(body)
        if healed["all"] or place not in trouble or (place != 4 and before):
            return Say("B")
        return trouble[place]

    with serving(answer) as stub:
        first = run(cli, stub, files, out, "--retries", 2, "--json")
        assert first.code == 1
        assert "1 questions are without an answer" in first.err
        found = json.loads(first.out)
        assert found["benchmarks"]["mmstar"] == {
            "wanted": 12, "kept": 0, "answered": 11, "failed": 1, "left": 1,
        }  # fmt: skip
        assert found["retries"] == 4
        assert list(found["failures"].values()) == [1]
        # The question without an answer does not count as right, nor as asked away.
        assert {(s["answered"], s["samples"]) for s in found["scores"]} == {(11, 12)}
        told = cli("eval", "report", out)
        assert told.code == 0
        assert "11/12" in (out / "report.md").read_text()
        healed["all"] = True
        again = run(cli, stub, files, out, "--json")
    assert again.code == 0, again.err
    assert json.loads(again.out)["benchmarks"]["mmstar"] == {
        "wanted": 12, "kept": 11, "answered": 1, "failed": 0, "left": 0,
    }  # fmt: skip
    assert answered(out) == Counter(str(i) for i in range(12))
    assert number(again) == 50.0


def test_a_silent_server_times_out_and_the_rest_is_answered(cli, tmp_path):
    files, out = tmp_path / "many", tmp_path / "run"
    many(files, 3)
    never = threading.Event()

    def answer(body, before):
        return Say(hang=never) if place_of(body) == 1 else Say("B")

    with serving(answer) as stub:
        try:
            result = run(cli, stub, files, out, "--retries", 1, "--timeout", 0.3)
        finally:
            never.set()
    assert result.code == 1
    assert "2 answered, 0 were there, 1 failed, 1 left" in result.err
    assert "1  timeout" in result.err
    assert answered(out) == Counter(["0", "2"])


def test_malformed_rows_are_counted_and_told(cli, tmp_path):
    files, out = tmp_path / "many", tmp_path / "run"
    rows = many(files, 8)
    rows[1]["answer"] = ""
    rows[2]["image"] = "%%%"
    rows[3]["index"] = 0
    rows[4]["question"] = ""
    tsv(files / "MMStar.tsv", rows)
    with serving(lambda body, before: Say("B")) as stub:
        result = run(cli, stub, files, out, "--json")
        assert stub.count == 4
    assert result.code == 0, result.err
    for reason in ("answer", "picture", "duplicate", "question"):
        assert f"mmstar: malformed rows ({reason}): 1" in result.err
    assert "expected 1,500, found 4" in result.err
    found = json.loads(result.out)
    assert found["files"]["mmstar"]["malformed"] == {
        "answer": 1, "picture": 1, "duplicate": 1, "question": 1,
    }  # fmt: skip
    assert found["benchmarks"]["mmstar"]["wanted"] == 4
    assert cli("eval", "report", out).code == 0
    told = (out / "report.md").read_text()
    assert "Files with another number of questions: MMStar 4 of 1,500." in told
    assert "MMStar 1 (answer); MMStar 1 (duplicate)" in told
    # The import names every one of them.
    imported = cli("eval", "import", "mmstar", files, tmp_path / "native", "--json")
    assert imported.code == 1
    (one,) = json.loads(imported.out)["imported"]
    assert len(one["problems"]) == 4
    assert all("MMStar.tsv" in problem["where"] for problem in one["problems"])


def test_programs_run_without_a_sandbox_only_when_told(cli, tmp_path, monkeypatch):
    from nanovl.evals import sandbox

    monkeypatch.setattr(sandbox, "backends", lambda: ())
    files, out = tmp_path / "files", tmp_path / "run"
    files.mkdir()
    wanted = OFFICIAL["livecodebench"](files)
    with serving(lambda body, before: Say(wanted[0].perfect)) as stub:
        result = run(cli, stub, files, out, "--json", names=("livecodebench",))
    assert {s["unscored"] for s in json.loads(result.out)["scores"]} == {2}
    result = cli("eval", "score", out, "--unsafe-local", "--json")
    assert result.code == 0, result.err
    assert {(s["score"], s["unscored"]) for s in json.loads(result.out)["scores"]} == {(100.0, 0)}


# -- Several runs --------------------------------------------------------------------------------


def test_compare_and_tables(cli, files, tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    with serving(letters) as stub:
        run(cli, stub, files, first)
    with serving(lambda body, before: Say("A")) as stub:
        run(cli, stub, files, second)
    found = json.loads(cli("eval", "compare", first, second, "--json").out)["comparisons"]
    assert [(one["first"], one["second"], one["clear"]) for one in found] == [(50.0, 50.0, False)]
    shown = cli("eval", "diff-samples", first, second)
    assert "2 questions differ" in shown.err
    made = cli("eval", "table", f"stage1={first}", f"stage2={second}", "--out", tmp_path / "t")
    assert made.code == 0, made.err
    assert "mmstar" in made.out
    assert (tmp_path / "t" / "sweep.html").is_file()


def test_training_data_that_holds_the_questions_is_found(cli, files, tmp_path):
    out = tmp_path / "run"
    text = " ".join(f"word{i}" for i in range(20))
    table = files / "MMStar.tsv"
    table.write_text(table.read_text().replace("Is it red?", text))
    with serving(letters) as stub:
        run(cli, stub, files, out)
    record = {
        "id": "r", "task": "text",
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": f"Say it: {text}"}]},
            {"role": "assistant", "content": [{"type": "text", "text": "No."}]},
        ],
    }  # fmt: skip
    train = tmp_path / "train.jsonl"
    train.write_text(json.dumps(record) + "\n")
    told = cli("eval", "report", out, "--training", train)
    assert told.code == 0, told.err
    (found,) = json.loads((out / "report.json").read_text())["contamination"].values()
    assert found["text_hits"] == {"8": "train.jsonl:1"}


# -- Sweeps --------------------------------------------------------------------------------------


def test_budget_sweep(cli, files, tmp_path):
    def think(body, before):
        return Say("B", reasoning="hm " * 5, usage=(10, 9, 7))

    out = tmp_path / "sweep"
    with serving(think) as stub:
        result = cli(
            "eval", "sweep", "mmstar", "--data", files, "--out", out, "--endpoint", stub.url, "-m",
            "stub", "--reasoning-budget", "0,2048,16384", "--runs", 1,
        )  # fmt: skip
        assert result.code == 0, result.err
        assert stub.count == 6
    assert "Reasoning budget" in result.out
    rows = json.loads((out / "sweep.json").read_text())["budget"][0]["rows"]
    assert [row[1] for row in rows] == ["0", "2K", "16,384"]
    assert "<svg" in (out / "sweep.html").read_text()


@pytest.mark.slow
def test_precision_sweep(cli, files, checkpoint, tmp_path):
    out = tmp_path / "sweep"
    result = cli(
        "eval", "sweep", "mmstar", "--data", files, "--out", out, "-m", checkpoint, "--limit", 1,
        "--precision", "bf16,int8", "--json",
    )  # fmt: skip
    assert result.code == 0, result.err
    (table,) = json.loads(result.out)["precision"]
    assert {"bf16", "int8"} <= set(table["columns"])


def test_speed_of_pruning(cli, checkpoint, tmp_path):
    out = tmp_path / "sweep"
    load = ("frames=4", "width=64", "height=64", "answer_tokens=2", "requests=1", "repeats=1")
    result = cli(
        "eval", "sweep", "--evs", "0,0.5", "--speed-only", "--out", out, "-m", checkpoint,
        *(word for pair in load for word in ("--load", pair)), "--json",
    )  # fmt: skip
    assert result.code == 0, result.err
    tables = json.loads(result.out)["evs"]
    speed = next(t for t in tables if t["title"] == "Speed by pruning rate")
    assert [row[1] for row in speed["rows"]] == ["off", "50 %"]
    assert any("Figure 4" in t["title"] for t in tables)


# -- A server ------------------------------------------------------------------------------------


def test_serve_check(cli):
    with serving(lambda body, before: Say("Fine.", reasoning="Hm.")) as stub:
        result = cli("eval", "serve-check", stub.url, "-m", "stub", "--json")
    checks = json.loads(result.out)["checks"]
    assert len(checks) == 12
    # A stub that takes everything takes what is no picture, too.
    assert result.code == 1
    assert [one["name"] for one in checks if not one["passed"]]
