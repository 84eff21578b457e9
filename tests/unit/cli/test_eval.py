"""`nanovl eval`: a run from its first question to the report, and everything that can be wrong."""

from __future__ import annotations

import json
import shutil

import pytest

from nanovl.evals.registry import benchmarks
from nanovl.evals.runfolder import read_log
from tests.unit.evals.official import OFFICIAL
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
