"""Building the local suite: real rows, made rows, the same bytes again, no leak into training."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from nanovl.core.errors import ConfigError, InputError
from nanovl.evals.base import Response, Sample, Scored
from nanovl.evals.mini_suite import BUDGET_S, TASKS, read_manifest, read_samples, suite_task
from nanovl.evals.scoring.registry import metric
from tools import mini_suite
from tools.mini_suite_sets import PLANS, rows_of
from tools.mini_suite_source import Row, Source, even, options_of

DATA = Path(__file__).resolve().parents[3].parent / "shared" / "data"
needs_data = pytest.mark.skipif(
    not (DATA / "MANIFEST.tsv").is_file(), reason="the training data are not beside the repository"
)
needs_fonts = pytest.mark.skipif(
    not Path("/usr/share/fonts/truetype").is_dir(), reason="apt install fonts-dejavu"
)


def perfect(sample):
    """What a model that knows the reference would write."""
    answer, kind = sample.answer, sample.meta.get("kind")
    if kind == "boxes":
        return "".join(f"<box>({a},{b}),({c},{d})</box>" for a, b, c, d in answer)
    if kind == "spans":
        return ", ".join(f"{_clock(a)}-{_clock(b)}" for a, b in answer)
    if isinstance(answer, dict):
        chosen = {k: v[0] if isinstance(v, list) else v for k, v in answer.items()}
        return json.dumps(chosen)
    if "tools" in sample.meta:
        calls = [
            {"name": name, "arguments": {k: v[0] for k, v in options.items() if "" not in v}}
            for call in answer
            for name, options in call.items()
        ]
        return f"<TOOLCALL>{json.dumps(calls)}</TOOLCALL>" if calls else "None fits."
    if kind in ("set", "needles"):
        return "\n".join(answer)
    return answer[0] if isinstance(answer, list) else answer


def _clock(seconds):
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes):02d}:{rest:04.1f}"


def score(task, samples, answers, level="rules"):
    rule = metric(task.metric)
    rows = [
        Scored(sample=s, response=(r := Response(text=a)), verdict=rule.score(s, r, level=level))
        for s, a in zip(samples, answers, strict=True)
    ]
    return rule.aggregate(rows).score


def tree(folder):
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def small_data(folder):
    """A data folder with what the sets made of texts, tars and lines need."""
    for name in ("math", "images", "receipts"):
        (folder / name).mkdir(parents=True)
    problems = [
        {"id": f"gsm8k-{i}", "question": f"Tom has {i} apples and buys {i} more. How many?",
         "solution": f"{i} + {i} = {2 * i}", "answer": str(2 * i)}
        for i in range(1, 6)
    ]  # fmt: skip
    with gzip.open(folder / "math" / "gsm8k_val.jsonl.gz", "wt") as stream:
        stream.write("\n".join(map(json.dumps, problems)))
    receipt = {
        "fields": {"company": "SHOP", "date": "01/02/2020", "address": "", "total": "5.00"},
        "lines": [{"bbox": [1, 1, 900, 90], "text": "SHOP"}],
    }
    _tar(folder / "receipts" / "sroie_val.tar", [{"id": "sroie-1", **receipt}])
    art = [
        {"id": f"clip-{i}", "title": name, "name": name, "category": "animals", "keywords": [],
         "description": None}
        for i, name in enumerate(("dog", "cat", "red horse", "old goat", "sheep"))
    ]  # fmt: skip
    _tar(folder / "images" / "clipart_val.tar", art)
    return folder


def _tar(path, items):
    with tarfile.open(path, "w") as archive:
        for number, item in enumerate(items):
            stream = io.BytesIO()
            Image.new("RGB", (64, 48), (40 * number, 0, 0)).save(stream, "WEBP", lossless=True)
            text = json.dumps({**item, "width": 64, "height": 48}).encode()
            for suffix, data in (("webp", stream.getvalue()), ("json", text)):
                info = tarfile.TarInfo(f"{item['id']}.{suffix}")
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))


SMALL = ("receipts", "maths-text", "needles", "grounding", "naming-choice", "naming")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("suite")
    data = small_data(folder / "data")
    manifest = mini_suite.build(data, folder / "out", factor=0.2, only=SMALL)
    return folder, manifest


# -- Pieces --------------------------------------------------------------------------------------


def test_every_set_of_the_tasks_has_a_plan_and_the_other_way_round():
    assert {task.folder for task in TASKS} == set(PLANS)
    assert all(plan.origin and plan.licence for plan in PLANS.values())


def test_counts_follow_the_factor():
    usual = mini_suite.wanted_counts(1.0)
    assert usual["maths-read"] == suite_task("mini-maths-read-on").samples
    assert mini_suite.wanted_counts(3.0)["tools"] == 3 * usual["tools"]
    assert min(mini_suite.wanted_counts(0.001).values()) == 1


def test_sources_take_turns():
    rows = {n: iter([_row(f"{n}{i}") for i in range(k)]) for n, k in (("a", 3), ("b", 1))}
    assert [row.sample.id for row in even(rows, 9)] == ["a0", "b0", "a1", "a2"]
    rows = {n: iter([_row(f"{n}{i}") for i in range(3)]) for n in "ab"}
    assert [row.sample.id for row in even(rows, 3)] == ["a0", "b0", "a1"]


def _row(name):
    return Row(Sample(id=name, question="?", answer="x"))


def test_options_are_read_from_a_question():
    text = "Which one?\nA. red\nB. green and blue\nAnswer with a letter."
    assert options_of(text) == {"A": "red", "B": "green and blue"}
    assert options_of("A dog. B. what") == {}


def test_two_data_sets_of_a_generator_have_no_id_in_common(tmp_path, monkeypatch):
    source = Source(tmp_path, tmp_path)
    rows = rows_of("needles", source, 6)  # several data sets whose indices are the same
    assert len({row.sample.id for row in rows}) == 6
    plan = PLANS["needles"]
    monkeypatch.setitem(PLANS, "needles", replace(plan, rows=lambda s, w: iter([rows[0], rows[0]])))
    with pytest.raises(InputError, match="needles: two samples have the id 'needles"):
        rows_of("needles", source, 6)


def test_unknown_sets_and_missing_data_are_errors(tmp_path):
    with pytest.raises(ConfigError, match="receipts"):
        mini_suite.build(tmp_path, tmp_path / "out", only=["reciepts"])
    with pytest.raises(InputError, match="no such folder"):
        mini_suite.build(tmp_path / "gone", tmp_path / "out")
    with pytest.raises(InputError, match="math: no such file"):
        rows_of("maths-text", Source(tmp_path, tmp_path), 3)


# -- Small suite ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_what_was_built_can_be_read_and_answered_perfectly(built):
    folder, manifest = built
    assert read_manifest(folder / "out", verify=True) == manifest
    assert list(manifest["sets"]) == [name for name in PLANS if name in SMALL]
    for task in TASKS:
        if task.folder not in SMALL:
            continue
        samples = read_samples(folder / "out", task)
        assert len(samples) == manifest["sets"][task.folder]["samples"] > 0
        best = 100.0 if task.metric == "field_f1" else 0.0 if task.is_error else 1.0
        assert score(task, samples, [perfect(s) for s in samples]) == pytest.approx(best), task.id
        empty = score(task, samples, [""] * len(samples))
        assert empty == pytest.approx(1.0 if task.is_error else 0.0), task.id


@pytest.mark.slow
def test_the_same_bytes_come_again_with_any_number_of_workers(built, tmp_path):
    folder, _ = built
    mini_suite.build(folder / "data", tmp_path / "again", factor=0.2, only=SMALL, workers=2)
    assert tree(tmp_path / "again") == tree(folder / "out")


@pytest.mark.slow
def test_a_set_can_be_built_alone_and_another_seed_draws_otherwise(built, tmp_path):
    folder, manifest = built
    shutil.copytree(folder / "out", tmp_path / "out")
    changed = mini_suite.build(
        folder / "data", tmp_path / "out", factor=0.2, seed=1, only=["grounding"]
    )
    assert list(changed["sets"]) == list(manifest["sets"])
    assert changed["suite"] != manifest["suite"]
    before, after = tree(folder / "out"), tree(tmp_path / "out")
    differ = {
        name.partition("/")[0] for name in {*before, *after} if before.get(name) != after.get(name)
    }
    assert differ == {"grounding", "manifest.json"}


@pytest.mark.slow
def test_the_command_line_checks_training_sets(built, tmp_path, capsys):
    folder, _ = built
    train = tmp_path / "train"
    train.mkdir()
    record = {"id": "1", "messages": [{"role": "user", "content": "Hello there"},
                                      {"role": "assistant", "content": "Hi"}]}  # fmt: skip
    (train / "train.jsonl").write_text(json.dumps(record) + "\n")
    command = ["--data", str(folder / "data"), "--out", str(folder / "out"), "--check", str(train)]
    assert mini_suite.main(command) == 0
    assert "0 leaks" in capsys.readouterr().out
    record["messages"][0]["content"] = "Tom has 2 apples and buys 2 more. How many?"
    problem = next(iter(read_samples(folder / "out", suite_task("mini-maths-text"))))
    record["messages"][0]["content"] = problem.meta["source_text"]
    (train / "train.jsonl").write_text(json.dumps(record) + "\n")
    assert mini_suite.main(command) == 1
    assert problem.id in capsys.readouterr().out


def test_the_command_line_says_what_is_wrong(tmp_path, capsys):
    command = ["--data", str(tmp_path / "gone"), "--out", str(tmp_path / "out")]
    assert mini_suite.main(command) == 1
    assert "no such folder" in capsys.readouterr().err


# -- The whole suite -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole")
    return out, mini_suite.build(DATA, out, factor=0.1, workers=2)


@pytest.mark.slow
@pytest.mark.timeout(900)
@needs_data
@needs_fonts
def test_the_whole_suite_from_the_real_data(whole):
    out, manifest = whole
    assert set(manifest["sets"]) == set(PLANS)
    for name, entry in manifest["sets"].items():
        assert entry["samples"] == entry["wanted"], name
    for task in TASKS:
        samples = read_samples(out, task)
        best = 100.0 if task.metric == "field_f1" else 0.0 if task.is_error else 1.0
        assert score(task, samples, [perfect(s) for s in samples]) == pytest.approx(best), task.id


@pytest.mark.slow
@pytest.mark.timeout(900)
@needs_data
@needs_fonts
def test_pages_are_set_in_fonts_training_never_sees(whole):
    from nanovl.synth.documents.fonts import is_held_out

    out, _ = whole
    for name in ("mini-read-lines", "mini-read-pages-clean", "mini-read-pages-degraded"):
        for sample in read_samples(out, suite_task(name)):
            assert any(is_held_out(font) for font in sample.meta["fonts"]), sample.id


@pytest.mark.slow
@pytest.mark.timeout(900)
@needs_data
@needs_fonts
def test_real_training_texts_hold_nothing_of_the_suite(whole):
    out, _ = whole
    finder, _ = mini_suite.find_leaks(out, [])
    for pattern in ("text/wiki_train*", "text/tech_train*", "reading/*_train*", "math/gsm8k_train*",
                    "tools/bfcl_train*", "tables/wtq_train*", "tables/tabfact_train*"):  # fmt: skip
        for path in sorted(DATA.glob(pattern)):
            with gzip.open(path, "rt", encoding="utf-8") as stream:
                for number, line in enumerate(stream, 1):
                    for text in _strings(json.loads(line)):
                        finder.see_text(text, f"{path.name}:{number}")
    for path in (DATA / "receipts/sroie_train.tar", DATA / "charts/mcqa_train.tar",
                 DATA / "images/clipart_train.tar", DATA / "math/tabmwp_train.tar"):  # fmt: skip
        with tarfile.open(path) as archive:
            for member in archive:
                data = archive.extractfile(member).read()
                finder.see_medium(data, f"{path.name}: {member.name}")
    assert finder.texts > 10_000
    assert finder.files > 5_000
    assert finder.leaks() == []


def _strings(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)


@pytest.mark.slow
@pytest.mark.timeout(900)
@needs_data
@needs_fonts
def test_prompts_are_as_long_as_the_task_list_says(whole):
    _, manifest = whole
    assert mini_suite.seconds(manifest) <= BUDGET_S
