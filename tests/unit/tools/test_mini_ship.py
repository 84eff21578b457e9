"""The folder that ships: written, loaded back, asked; its card says what was measured."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import nanovl
from nanovl.checkpoint import inspect, load_model, names, write_random
from nanovl.core.errors import CheckpointError, ConfigError, InputError
from nanovl.core.paths import asset
from nanovl.evals.leaks import Leak
from nanovl.evals.mini_suite import GAINS, TASKS, suite_task
from nanovl.model.config import preset
from tools import mini_score, mini_ship
from tools.mini_card import SOURCES, Facts, card, percent_of
from tools.mini_ship import Closeness, answers, compare, main, samples, ship

CLOSE = Closeness(tokens=90, agreement=0.98, divergence=0.002, largest=0.5, spread=2.0)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random("tiny", tmp_path_factory.mktemp("ship") / "tiny")


@pytest.fixture(scope="module")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random("mini", tmp_path_factory.mktemp("ship") / "mini")


def line(task: str, score: float, **more: Any) -> dict[str, Any]:
    found = {
        "benchmark": task, "setting": "mm_off", "level": "rules", "score": score, "samples": 24,
        "interval": {"low": score - 3, "high": score + 3},
    }  # fmt: skip
    return {**found, **more}


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two demo inputs instead of a dozen."""
    monkeypatch.setattr(mini_ship, "samples", lambda: samples(2))


# --- the folder ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("few")
def test_a_folder_is_written_and_answers(tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "keep.txt").write_text("other files stay")
    (out / "model-00001-of-00002.safetensors").write_bytes(b"an older model")
    close = ship(tiny, out, shape=preset("tiny"))
    assert {p.name for p in out.iterdir()} == {
        "config.json", "generation_config.json", "preprocessor_config.json",
        "hf_quant_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
        "special_tokens_map.json", "chat_template.jinja", "README.md", "keep.txt",
    }  # fmt: skip
    info = inspect(out)
    assert info.problem is None
    assert "F8_E4M3" in info.bytes_by_dtype
    assert "never trained" in info.origin  # what is random stays random
    assert close.tokens > 5
    assert close.divergence < 0.05
    model, _ = load_model(out)
    assert sum(p.numel() for p in model.parameters()) == info.num_parameters
    answer = nanovl.load(out).chat("What is this?", max_tokens=4)
    assert answer.usage.completion_tokens == 4


@pytest.mark.usefixtures("few")
def test_activation_ranges_are_those_of_the_demo_inputs(tiny: Path, tmp_path: Path) -> None:
    ship(tiny, tmp_path / "out", shape=preset("tiny"))
    model, _ = load_model(tmp_path / "out", quant="stored")
    scales = [m.input_scale for m in model.modules() if hasattr(m, "input_scale")]
    assert scales
    assert all(0 < float(scale) < 1 for scale in scales)  # 1 is what nothing was seen for
    assert len({float(scale) for scale in scales}) > 2


@pytest.mark.usefixtures("few")
def test_what_must_not_ship_does_not(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    with pytest.raises(ConfigError, match="not of the shape"):
        ship(tiny, out)
    with pytest.raises(ConfigError, match="bytes, more than"):
        ship(tiny, out, shape=preset("tiny"), most_bytes=1000)
    with pytest.raises(ConfigError, match="divergence from the trained weights"):
        ship(tiny, out, shape=preset("tiny"), most_divergence=0.0)
    assert not out.exists()
    assert main(["--weights", str(tiny), "--out", str(out)]) == 1
    assert "not of the shape" in capsys.readouterr().err


def test_a_full_disk_leaves_no_half_model(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"

    def full(source: Path, target: Path) -> None:
        if source.name == "model.safetensors":
            raise OSError(28, "No space left on device")
        target.write_bytes(source.read_bytes())

    monkeypatch.setattr(mini_ship.shutil, "copyfile", full)
    with pytest.raises(CheckpointError, match="No space left"):
        mini_ship.install(tiny, out)
    assert not (out / "model.safetensors").exists()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_model_of_the_right_size_fits_and_is_loaded_by_name(
    mini: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "mini"
    shutil.copytree(asset("mini"), out)  # as in the package: the tokenizer is there before
    assert main(["--weights", str(mini), "--out", str(out)]) == 0
    size = sum(path.stat().st_size for path in out.iterdir())
    assert 40_000_000 < size < mini_ship.MOST_BYTES
    assert (out / "tokenizer.json").read_bytes() == asset("mini", "tokenizer.json").read_bytes()
    original = names.asset
    monkeypatch.setattr(names, "asset", lambda *p: out if p == ("mini",) else original(*p))
    model = nanovl.load("mini")
    assert inspect("mini").folder == out
    assert "answers are noise" in caplog.text  # since they are random
    answer = model.chat(
        "What is the total?", files=[asset("demo", "receipt.png")], max_tokens=4, max_tiles=1
    )
    assert answer.usage.completion_tokens == 4
    caplog.clear()
    config = json.loads((out / "config.json").read_text(encoding="utf-8"))
    text = json.dumps(config).replace("random, seed 0: never trained, answers are noise", "trained")
    (out / "config.json").write_text(text)
    load_model("mini")
    assert "answers are noise" not in caplog.text


# --- closeness ----------------------------------------------------------------------------------


def test_every_demo_input_is_looked_at_once() -> None:
    entries = json.loads(asset("demo", "questions.json").read_text(encoding="utf-8"))
    found = samples(100)
    assert len(found) == len({entry["name"] for entry in entries})
    assert all(conversation.messages[-1].role == "assistant" for conversation, _ in found)


def test_logits_are_those_of_the_answer(tiny: Path) -> None:
    vlm, processor = load_model(tiny)
    asked = samples(1)
    answer = asked[0][0].messages[-1].parts[0].text  # type: ignore[union-attr]
    (logits,) = answers(vlm, processor, asked)
    ids = processor.tokenizer.encode(answer)
    assert logits.shape[1] == processor.tokenizer.size
    assert len(ids) <= len(logits) <= len(ids) + 4  # and the end of the turn


def test_closeness_of_known_logits() -> None:
    a = torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    same = compare(iter([a]), iter([a.clone()]))
    assert (same.agreement, same.divergence, same.largest) == (1.0, 0.0, 0.0)
    b = torch.tensor([[2.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    other = compare(iter([a]), iter([b]))
    assert other.agreement == 0.5
    assert other.largest == 1.0
    p, q = a.softmax(-1), b.softmax(-1)
    assert other.divergence == pytest.approx(float((p * (p / q).log()).sum(-1).mean()), rel=1e-5)
    with pytest.raises(ConfigError, match="short enough to compare"):
        compare(iter([]), iter([]))


# --- the card -----------------------------------------------------------------------------------


def test_a_card_without_measurements_claims_nothing(tiny: Path) -> None:
    text = card(inspect(tiny), Facts(), CLOSE, "fp8")
    assert "Nothing was measured" in text
    assert "weights are random" in text
    assert "No run folder was given" in text
    assert "98.0% of 90 answer tokens" in text
    for name, licence, _ in SOURCES:
        assert name in text
        assert licence in text


def test_targets_stand_beside_figures_met_or_not(tiny: Path) -> None:
    scores = {
        "suite": "mini-suite-1",
        "lines": [
            line("mini-read-lines", 2.5),
            line("mini-read-pages-clean", 31.0),
            line("mini-receipts", 76.0),
            line("mini-receipts", 99.0, level="extended"),
            line("mini-receipts", 12.0, setting="peer:majority"),
            line("mini-receipts", 9.0, setting="peer:regex-receipt"),
            line("mini-read-lines", 1.5, setting="peer:tesseract"),
            line("mini-maths-read-off", 10.0),
            line("mini-maths-read-on", 25.0),
        ],
        "before": [line("mini-needles", 20.0)],
        "evs": [line("mini-video-order", 55.0)],
    }
    text = card(inspect(tiny), Facts(scores=scores), CLOSE, "bf16")
    rows = {
        row.split(" | ")[0].strip("| "): row for row in text.splitlines() if row.startswith("|")
    }
    assert (
        "| 2.5 | -0.5 to 5.5 | 1.5 (tesseract) | 3 | 0.7 | must |"
        in rows["line reading, unseen fonts"]
    )
    assert "| 31.0 | 28.0 to 34.0 |  | 10 | 2 | no |" in rows["clean rendered page"]
    assert (
        "| 76.0 | 73.0 to 79.0 | 12.0 (majority) | 40 | 75 | aim |"
        in rows["SROIE receipts, four fields"]
    )
    assert "| +15.0 |  |  | 10 | 30 | must |" in rows[GAINS[0].title]
    assert "facts hidden in 1K to 16K tokens" in rows["before Stage 4"]
    assert "55.0" in rows["EVS, 75 % of tokens dropped"]
    assert "99.0" not in text


def test_targets_are_in_percent_of_the_best() -> None:
    assert percent_of(suite_task("mini-receipts"), 40.0) == 40.0
    assert percent_of(suite_task("mini-charts"), 0.5) == 50.0
    assert percent_of(suite_task("mini-read-lines"), 0.03) == 3.0
    assert percent_of(suite_task("mini-tools"), None) is None


def test_what_training_took_is_read_from_its_runs(tiny: Path, tmp_path: Path) -> None:
    stage = tmp_path / "stage1"
    stage.mkdir()
    rows = [
        {"update": n, "loss": 1.0, "step_s": 1800.0, "samples": 10 * n,
         "counters": {"tokens": 1_000_000 * n}}
        for n in (1, 2, 2, 3)
    ]  # fmt: skip
    (stage / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (stage / "run.json").write_text('{"device": "Some CPU", "world_size": 2}')
    (tmp_path / "vision").mkdir()
    (tmp_path / "vision" / "log.jsonl").write_text('{"update": 25}\n{"update": 50}\n')
    (tmp_path / "steps.json").write_text('{"vision": {"seconds": 7200}}')
    facts = Facts.read(None, tmp_path)
    assert [(s.name, s.updates, s.hours) for s in facts.steps] == [
        ("vision", 50, 2.0), ("stage1", 3, 1.5),
    ]  # fmt: skip
    text = card(inspect(tiny), facts, CLOSE, "fp8")
    assert "| stage1 | 3 | 30 | 3.0 M | 1.5 | 2 x Some CPU |" in text
    assert "3.5 hours together" in text
    (tmp_path / "bad.json").write_text("[")
    with pytest.raises(InputError, match=r"bad.json: is no file of scores"):
        Facts.read(tmp_path / "bad.json", None)


# --- scores -------------------------------------------------------------------------------------


def test_the_last_weights_are_found(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no stage has exported"):
        mini_score.last_weights(tmp_path)
    for stage in ("reading", "stage1"):
        (tmp_path / stage / "export").mkdir(parents=True)
        (tmp_path / stage / "export" / "config.json").write_text("{}")
    assert mini_score.last_weights(tmp_path) == ("stage1", tmp_path / "stage1" / "export")


def test_what_is_asked_of_which_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, tuple[str, ...], tuple[str, ...]]] = []

    def fake(weights: Path, words: Any, suite: Path, out: Path, *options: str) -> dict[str, Any]:
        asked.append((weights.parent.name, tuple(words), options))
        return {"scores": [line(words[0], 1.0)]}

    monkeypatch.setattr(mini_score, "ask", fake)
    monkeypatch.setattr(mini_score, "read_manifest", lambda suite: {"suite": "mini-suite-7"})
    for stage in ("stage3", "stage4"):
        (tmp_path / stage / "export").mkdir(parents=True)
        (tmp_path / stage / "export" / "config.json").write_text("{}")
    found = mini_score.measure(tmp_path, tmp_path, limit=2)
    assert asked == [
        ("stage4", ("mini",), ("--limit", "2")),
        ("stage4", mini_score.VIDEOS, ("--evs", "0.75", "--limit", "2")),
        ("stage3", mini_score.NEEDLES, ("--limit", "2")),
    ]
    assert found["suite"] == "mini-suite-7"
    assert found["stage"] == "stage4"
    known = {task.id for task in TASKS}
    assert {*mini_score.VIDEOS, *mini_score.NEEDLES} <= known


def test_scores_of_data_that_was_trained_on_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    leak = Leak(sample="s", what="text", share=1.0, source="set:1")
    monkeypatch.setattr(mini_score, "suite_leaks", lambda suite, sets: ([leak], "1 leaks"))
    (tmp_path / "suite").mkdir()
    (tmp_path / "suite" / "manifest.json").write_text("{}")
    (tmp_path / "real" / "a").mkdir(parents=True)
    (tmp_path / "real" / "a" / "a.jsonl").write_text("")
    out = tmp_path / "scores.json"
    words_ = ["--data", str(tmp_path), "--runs", str(tmp_path), "--out", str(out)]
    assert mini_score.main(words_) == 1
    told = capsys.readouterr()
    assert "1 of its samples were trained on" in told.err
    assert "in set:1" in told.out
    assert not out.exists()
