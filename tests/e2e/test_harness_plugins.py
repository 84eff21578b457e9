"""The real harnesses, run as a person runs them, on four rows of their own.

Each needs an interpreter that has the harness and nanovl: named by NANOVL_VLMEVAL_PYTHON and
NANOVL_LMMS_EVAL_PYTHON, or this one. docs/guides/harnesses.md says how to make one. Nothing is
downloaded: the model is a tiny one with random weights, the data is written here.
"""

from __future__ import annotations

import base64
import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nanovl.checkpoint.export import save_model
from nanovl.integrations.vlmevalkit.register import MODELS
from nanovl.testing import picture, picture_bytes, tiny_model, tiny_processor, video
from tests.e2e.serving import serving as nanovl_serving
from tests.unit.evals.stub import Body, Say, serving, user_of

# Read here: every test runs without the settings of whoever started it.
VLMEVAL = os.environ.get("NANOVL_VLMEVAL_PYTHON", sys.executable)
LMMS_EVAL = os.environ.get("NANOVL_LMMS_EVAL_PYTHON", sys.executable)
STUBS = Path(__file__).parent / "harness_stubs"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

WORDS = ("red", "green", "blue", "grey")
TOKENS = 24


def found(python: str, package: str) -> bool:
    code = f"import importlib.util as u, sys; sys.exit(u.find_spec({package!r}) is None)"
    return subprocess.run([python, "-c", code], check=False).returncode == 0


@pytest.fixture(scope="module")
def vlmeval() -> str:
    if not found(VLMEVAL, "vlmeval"):
        pytest.skip("needs VLMEvalKit: name its interpreter in NANOVL_VLMEVAL_PYTHON")
    return VLMEVAL


@pytest.fixture(scope="module")
def lmms_eval() -> str:
    if not found(LMMS_EVAL, "lmms_eval"):
        pytest.skip("needs lmms-eval: name its interpreter in NANOVL_LMMS_EVAL_PYTHON")
    return LMMS_EVAL


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # Matrices so large that every picture is answered differently.
    folder = tmp_path_factory.mktemp("model") / "tiny"
    return save_model(tiny_model(3, gain=12.0), folder, processor=tiny_processor())


def run(python: str, *words: object, cwd: Path, **settings: object) -> str:
    """Standard output and error of a harness that ended well."""
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "TMPDIR", "LANG")}
    done = subprocess.run(
        [python, *map(str, words)],
        cwd=cwd,
        env={
            **kept,
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
            "HF_DATASETS_OFFLINE": "1",
            "TRANSFORMERS_OFFLINE": "1",
            "NANOVL_HOME": str(cwd / "home"),
            "HF_HOME": str(cwd / "hf"),
            **{k: str(v) for k, v in settings.items()},
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


def encoded(number: int) -> str:
    return base64.b64encode(picture_bytes(picture(96, 64, "noise", seed=number))).decode()


def write_tsv(path: Path, *, options: bool) -> list[dict[str, str]]:
    """Four rows in the format of VLMEvalKit; with options, or with numbers to read."""
    rows = []
    for number in range(4):
        row = {
            "index": str(number),
            "image": encoded(number),
            "question": f"Which is it, {number}?",
        }
        if options:
            row |= dict(zip("ABCD", WORDS, strict=True))
        rows.append({**row, "answer": "ABCD"[number] if options else str(10 * number)})
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0], delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return rows


def predictions(python: str, folder: Path, data: str) -> dict[str, str]:
    """What the kit kept: index to prediction; its older edition keeps spreadsheets, twice each."""
    kept = [p for end in ("tsv", "xlsx") for p in folder.rglob(f"*_{data}.{end}")]
    assert kept, sorted(folder.rglob("*"))
    file = min(kept, key=lambda path: len(path.parts))
    if file.suffix == ".xlsx":
        code = (
            "import sys, pandas\n"
            "kept = pandas.read_excel(sys.argv[1], dtype=str, keep_default_na=False)\n"
            "kept[['index', 'prediction']].to_json(sys.argv[2], orient='records')\n"
        )
        rows = file.with_suffix(".json")
        run(python, "-c", code, file, rows, cwd=folder)
        return {row["index"]: row["prediction"] for row in json.loads(rows.read_text())}
    csv.field_size_limit(1 << 30)
    with file.open(encoding="utf-8", newline="") as lines:
        return {row["index"]: row["prediction"] for row in csv.DictReader(lines, delimiter="\t")}


def is_older(python: str, tmp_path: Path) -> bool:
    """Whether this is the older edition of the kit.

    It keeps spreadsheets, which cannot hold what a random model says, and saves pictures anew.
    """
    return "--base-url" not in kit(python, tmp_path, "--help")


def kit(python: str, tmp_path: Path, *words: object, **settings: object) -> str:
    return run(
        python,
        "-m",
        "nanovl.integrations.vlmevalkit",
        "--work-dir",
        tmp_path / "out",
        "--judge",
        "exact_matching",
        *words,
        cwd=tmp_path,
        PYTHONPATH=STUBS,
        LMUData=tmp_path / "LMUData",
        PRED_FORMAT="tsv",
        **settings,
    )


def direct(python: str, checkpoint: Path, asked: list[tuple[str, Path]]) -> list[str]:
    """The facade's answers to questions about files, in the harness' interpreter."""
    code = (
        "import json, sys, nanovl\n"
        "model = nanovl.load(sys.argv[1])\n"
        "for text, path in json.load(sys.stdin):\n"
        f"    said = model.chat(text, files=[path], max_tokens={TOKENS}, seed=0)\n"
        "    print(json.dumps(said.text))\n"
    )
    done = subprocess.run(
        [python, "-c", code, str(checkpoint)],
        input=json.dumps([(text, str(path)) for text, path in asked]),
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    said = [json.loads(line).strip() for line in done.stdout.splitlines()]
    assert len(set(said)) > 2, "the model must see differences, or this proves nothing"
    return said


def option_question(row: dict[str, str], folder: Path) -> tuple[str, Path]:
    """The kit's prompt for a row with options, and its picture as a file."""
    path = folder / f"{row['index']}.png"
    path.write_bytes(base64.b64decode(row["image"]))
    lines = [f"Question: {row['question']}", "Options:"]
    lines += [f"{letter}. {row[letter]}" for letter in "ABCD"]
    lines.append("Please select the correct answer from the options above. \n")
    return "\n".join(lines), path


def test_vlmevalkit_in_process(vlmeval: str, checkpoint: Path, tmp_path: Path) -> None:
    rows = write_tsv(tmp_path / "LMUData" / "Colours.tsv", options=True)
    config = {
        "model": {"mine": {"class": "NanoVLModel", "model": str(checkpoint), "max_tokens": TOKENS}},
        "data": {"Colours": {"class": "CustomMCQDataset", "dataset": "Colours"}},
    }
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    out = kit(vlmeval, tmp_path, "--config", tmp_path / "config.json")
    assert "Overall" in out, out[-3000:]
    kept = predictions(vlmeval, tmp_path / "out", "Colours")
    assert list(kept) == ["0", "1", "2", "3"]
    told = direct(vlmeval, checkpoint, [option_question(row, tmp_path) for row in rows])
    if not is_older(vlmeval, tmp_path):
        assert [kept[row["index"]].strip() for row in rows] == told


def test_vlmevalkit_knows_the_name(vlmeval: str, tmp_path: Path) -> None:
    code = (
        "from nanovl.integrations.vlmevalkit import register; register()\n"
        "from vlmeval.config import supported_VLM; import vlmeval.api, vlmeval.vlm\n"
        "from vlmeval.api.base import BaseAPI; from vlmeval.vlm.base import BaseModel\n"
        "assert issubclass(vlmeval.vlm.NanoVLModel, BaseModel)\n"
        "assert issubclass(vlmeval.api.NanoVLEndpoint, BaseAPI)\n"
        "print(sorted(n for n in supported_VLM if n.startswith('nanovl')))\n"
    )
    out = run(vlmeval, "-W", "ignore", "-c", code, cwd=tmp_path, PYTHONPATH=STUBS)
    assert out.splitlines()[-1] == str(sorted(MODELS))


def by_number(body: Body, before: int) -> Say:
    """An endpoint that knows the answers of rows 0 to 2, and thinks aloud."""
    number = next(int(word[0]) for word in user_of(body).split() if word[:1].isdigit())
    return Say(text=f"<think>row {number}</think>{'ABCA'[number]}")


def test_vlmevalkit_endpoint(vlmeval: str, tmp_path: Path) -> None:
    rows = write_tsv(tmp_path / "LMUData" / "Colours.tsv", options=True)
    with serving(by_number) as stub:
        config = {
            "model": {"served": {"class": "NanoVLEndpoint", "base_url": stub.url, "model": "m"}},
            "data": {"Colours": {"class": "CustomMCQDataset", "dataset": "Colours"}},
        }
        (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
        out = kit(vlmeval, tmp_path, "--config", tmp_path / "config.json")
        sent = stub.bodies
    assert predictions(vlmeval, tmp_path / "out", "Colours") == dict(
        zip("0123", "ABCA", strict=True)
    )
    assert "0.75" in out, out[-3000:]
    original = {row["image"] for row in rows}
    pictures = [body["messages"][1]["content"][0]["image_url"]["url"] for body in sent]
    if not is_older(vlmeval, tmp_path):
        assert {url.partition(",")[2] for url in pictures} == original, "not the bytes of the files"
    assert {body["messages"][0]["content"] for body in sent} == {"/no_think"}


def test_vlmevalkit_http(vlmeval: str, tmp_path: Path) -> None:
    """The kit's own HTTP class, without a line of ours."""
    if is_older(vlmeval, tmp_path):
        pytest.skip("the older edition of VLMEvalKit has no option for a server")
    write_tsv(tmp_path / "LMUData" / "Colours.tsv", options=True)
    with serving(by_number) as stub:
        words = ["--data", "Colours", "--model", "m", "--base-url", stub.url, "--max-tokens", 64]
        out = kit(vlmeval, tmp_path, *words, "--temperature", 0, SPLIT_THINK="True")
        sent = stub.bodies
    assert "0.75" in out, out[-3000:]
    assert predictions(vlmeval, tmp_path / "out", "Colours") == dict(
        zip("0123", "ABCA", strict=True)
    )
    (url,) = {
        part["image_url"]["url"].partition(",")[0]
        for body in sent
        for part in body["messages"][-1]["content"]
        if part["type"] == "image_url"
    }
    assert url == "data:image/jpeg;base64"


def test_vlmevalkit_asks_the_server(vlmeval: str, checkpoint: Path, tmp_path: Path) -> None:
    """Its own HTTP class and `nanovl serve`."""
    if is_older(vlmeval, tmp_path):
        pytest.skip("the older edition of VLMEvalKit has no option for a server")
    write_tsv(tmp_path / "LMUData" / "Colours.tsv", options=True)
    with nanovl_serving(checkpoint, tmp_path / "server") as server:
        words = ["--data", "Colours", "--model", "tiny", "--base-url", f"{server.url}/v1"]
        out = kit(vlmeval, tmp_path, *words, "--max-tokens", TOKENS, "--temperature", 0)
        assert "Overall" in out, out[-3000:]
        assert server.metric("request_success_total") == 4
        assert server.metric("mm_cache_queries_total") == 4  # every question came with its picture
    said = predictions(vlmeval, tmp_path / "out", "Colours")
    assert list(said) == ["0", "1", "2", "3"]
    assert not [text for text in said.values() if "Failed to obtain" in text]


TASK = """
task: nanovl_colours
dataset_path: json
dataset_kwargs:
  data_files:
    test: {data}
test_split: test
output_type: {output_type}
doc_to_visual: !function colours.visual
doc_to_text: !function colours.{text}
doc_to_target: answer
process_results: !function colours.results
generation_kwargs:
  max_new_tokens: 8
  temperature: 0
metric_list:
  - metric: right
    aggregation: mean
    higher_is_better: true
"""

FUNCTIONS = '''
"""What lmms-eval asks of a task."""


def visual(doc):
    return [doc["file"]] if doc["file"].endswith(".mp4") else [_opened(doc["file"])]


def _opened(path):
    from PIL import Image

    return Image.open(path).convert("RGB")


def text(doc, lmms_eval_specific_kwargs=None):
    return doc["question"]


def rounds(doc, lmms_eval_specific_kwargs=None, round_idx=None, previous_output=None, **rest):
    if round_idx is None:
        return doc["question"]
    if round_idx == 2:
        return None, None, True, previous_output, None
    return [], "Are you sure? " + doc["question"], False, previous_output, None


def results(doc, results):
    said = results[0]
    said = said if isinstance(said, list) else [said]
    return {"right": float(doc["answer"] in said[-1]) if len(said) == doc["rounds"] else -1.0}
'''


def write_task(folder: Path, *, rounds: int = 1) -> list[dict[str, Any]]:
    """Four rows: three pictures and a video."""
    folder.mkdir()
    rows = []
    for number in range(4):
        name = f"{number}.mp4" if number == 3 else f"{number}.png"
        if number == 3:
            video(folder / name)
        else:
            (folder / name).write_bytes(picture_bytes(picture(96, 64, "noise", seed=number)))
        question = f"Which is it, {number}?"
        row = {"question": question, "file": str(folder / name), "rounds": rounds}
        rows.append({**row, "answer": "ABCD"[number]})
    data = folder / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    several = rounds > 1
    task = TASK.format(
        data=data,
        output_type="generate_until_multi_round" if several else "generate_until",
        text="rounds" if several else "text",
    )
    (folder / "nanovl_colours.yaml").write_text(task, encoding="utf-8")
    (folder / "colours.py").write_text(FUNCTIONS, encoding="utf-8")
    return rows


def harness(python: str, tmp_path: Path, *words: object, **settings: object) -> dict[str, Any]:
    """What lmms-eval wrote: its results, with the samples under "samples"."""
    run(
        python,
        "-W",
        "ignore",
        "-m",
        "lmms_eval",
        *words,
        "--tasks",
        "nanovl_colours",
        "--include_path",
        tmp_path / "task",
        "--output_path",
        tmp_path / "out",
        "--log_samples",
        cwd=tmp_path,
        **settings,
    )
    (file,) = (tmp_path / "out").rglob("*_results.json")
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    (samples,) = (tmp_path / "out").rglob("*_samples_nanovl_colours.jsonl")
    lines = samples.read_text(encoding="utf-8").splitlines()
    found["samples"] = sorted((json.loads(line) for line in lines), key=lambda s: s["doc_id"])
    return found


@pytest.mark.parametrize("rounds", [1, 2])
def test_lmms_eval(lmms_eval: str, checkpoint: Path, tmp_path: Path, rounds: int) -> None:
    rows = write_task(tmp_path / "task", rounds=rounds)
    options = ["--model", "nanovl", "--model_args", f"model={checkpoint},max_tokens={TOKENS}"]
    found = harness(lmms_eval, tmp_path, *options, "--batch_size", 2)
    score = found["results"]["nanovl_colours"]["right,none"]
    samples = found["samples"]
    assert [s["doc_id"] for s in samples] == [0, 1, 2, 3]
    said = [s["filtered_resps"] for s in samples]
    first = [one[0] for one in said] if rounds > 1 else said
    last = [one[-1] for one in said] if rounds > 1 else said
    assert rounds == 1 or all(len(one) == rounds for one in said)
    told = direct(lmms_eval, checkpoint, [(row["question"], Path(row["file"])) for row in rows])
    assert [text.strip() for text in first] == told
    right = [row["answer"] in text for row, text in zip(rows, last, strict=True)]
    assert score == sum(right) / 4
    if rounds == 1:
        counts = [s["token_counts"][0] for s in samples]
        assert all(c["output_tokens"] <= TOKENS for c in counts)
        assert counts[3]["input_tokens"] > counts[0]["input_tokens"], "the video is longer"
    assert found["config"]["model_backend"].endswith("NanoVLChat (chat)")


def only_pictures(folder: Path) -> None:
    """Leave the video out of a task."""
    file = folder / "rows.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines()[:3]
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def test_lmms_eval_asks_the_server(lmms_eval: str, checkpoint: Path, tmp_path: Path) -> None:
    """Its own HTTP client and `nanovl serve`."""
    write_task(tmp_path / "task")
    only_pictures(tmp_path / "task")
    with nanovl_serving(checkpoint, tmp_path / "server") as server:
        told = f"model_version=tiny,base_url={server.url}/v1,api_key=x,num_concurrent=2"
        found = harness(lmms_eval, tmp_path, "--model", "openai", "--model_args", told)
        assert server.metric("request_success_total") == 3
        assert server.metric("mm_cache_queries_total") == 3
    assert 0 <= found["results"]["nanovl_colours"]["right,none"] <= 1
    assert len(found["samples"]) == 3


def test_lmms_eval_http(lmms_eval: str, tmp_path: Path) -> None:
    """The harness' own HTTP client, without a line of ours."""
    write_task(tmp_path / "task")
    only_pictures(tmp_path / "task")
    with serving(lambda body, before: Say(text="ABCA"[before % 4])) as stub:
        told = f"model_version=m,base_url={stub.url},api_key=x,num_concurrent=1"
        found = harness(lmms_eval, tmp_path, "--model", "openai", "--model_args", told)
        sent = stub.bodies
    assert len(sent) == 3
    assert all(body["max_tokens"] == 8 for body in sent)
    urls = [b["messages"][0]["content"][0]["image_url"]["url"] for b in sent]
    assert {url.partition(",")[0] for url in urls} == {"data:image/png;base64"}
    assert found["results"]["nanovl_colours"]["right,none"] == pytest.approx(1 / 3)
