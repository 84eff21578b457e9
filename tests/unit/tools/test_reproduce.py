"""The report in miniature: cells that are measured once, tables, figures, and the page."""

from __future__ import annotations

import hashlib
import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
import torch

from nanovl.checkpoint.export import save_model
from nanovl.core.errors import InputError
from nanovl.data.blend import load_blend
from nanovl.data.config import DataConfig
from nanovl.data.stream import RecordStream
from nanovl.engine.vlm import load
from nanovl.evals.base import Sample
from nanovl.evals.mini_suite import MANIFEST, SAMPLES, suite_task
from nanovl.evals.readers.folder import line_of
from nanovl.evals.speed import Load
from nanovl.testing import picture, picture_bytes, tiny_model, tiny_processor
from nanovl.testing.training import training_set
from tools import reproduce, reproduce_asked, reproduce_sweeps, reproduce_trained
from tools.reproduce_asked import Bench
from tools.reproduce_cells import Cell, Number, Results, weights_of
from tools.reproduce_figures import Curve, Panel, figure
from tools.reproduce_heldout import Answer, answers, by_length, split_blend
from tools.reproduce_page import NOT_RUN, render, section, write_files
from tools.reproduce_quant import Calibration, quantized
from tools.reproduce_tables import EXPERIMENTS, shown

FACTS = {
    "command": "python -m tools.reproduce evs",
    "versions": {"nanovl": "0.1.0", "commit": "", "torch": "2", "python": "3"},
    "hardware": "a machine",
    "date": "2026-01-01",
    "seconds": 60.0,
}
SUITE = "suite"


def cell(row: str, column: str, value: float = 50.0, **more: Any) -> Cell:
    return Cell(
        row=row,
        column=column,
        numbers=more.pop("numbers", {"score": Number(value=value, low=40.0, high=60.0, n=20)}),
        inputs=more.pop("inputs", {"model": "m" * 16, "suite": SUITE}),
        facts=FACTS,
        notes={"error": False, "text": False, "model": "mini", **more.pop("notes", {})},
    )


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "tiny"
    return save_model(tiny_model(1), folder, processor=tiny_processor())


def write_suite(folder: Path, *names: str) -> Path:
    """Two questions for each of some tasks, with a picture where the task has one."""
    files, sets = {}, {}
    for name in names:
        task = suite_task(name)
        place = folder / task.folder
        (place / "media").mkdir(parents=True)
        lines = []
        for number in range(2):
            image = picture_bytes(picture(64, 64, "noise", seed=number))
            (place / "media" / f"{number}.png").write_bytes(image)
            media = {} if name == "mini-maths-text" else {"image": [f"media/{number}.png"]}
            sample = Sample(id=f"q{number}", question=f"What is {number} + 1?", answer="1")
            lines.append(line_of(sample, media))
        path = place / SAMPLES
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        files[f"{task.folder}/{SAMPLES}"] = digest
        sets[task.folder] = {"samples": 2, "files": []}
    manifest = {"suite": "mini-suite 1", "files": files, "sets": sets}
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    return folder


# --- cells --------------------------------------------------------------------------------------


def test_cells_are_on_disk_and_measured_once(tmp_path: Path) -> None:
    results = Results(tmp_path, "evs")
    one = cell("mini-video-order", "0.5", inputs={"rate": 0.5, "limit": (1, 2)})
    results.put(one)
    again = Results(tmp_path, "evs")
    assert again.has(one.row, one.column, {"rate": 0.5, "limit": (1, 2)})
    assert not again.has(one.row, one.column, {"rate": 0.6, "limit": (1, 2)})
    assert not again.has(one.row, "0.6", {"rate": 0.5, "limit": (1, 2)})
    assert again.cell(one.row, one.column) == results.cell(one.row, one.column)


def test_cells_of_another_model_leave_the_table(tmp_path: Path) -> None:
    results = Results(tmp_path, "evs")
    results.put(cell("a", "0", inputs={"model": "old", "suite": SUITE}))
    results.put(cell("b", "0", inputs={"model": "new", "suite": SUITE}))
    results.begin({"model": "new"})
    assert [c.row for c in Results(tmp_path, "evs").cells] == ["b"]


def test_a_damaged_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "evs.json").write_text('{"format": 1, "cells": [{"row": 1}]}')
    with pytest.raises(InputError, match=r"evs\.json: holds no results"):
        Results(tmp_path, "evs")


def test_weights_are_known_by_their_bytes(tmp_path: Path, checkpoint: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in checkpoint.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    assert weights_of(copy) == weights_of(checkpoint)
    weights = next(copy.glob("*.safetensors"))
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert weights_of(copy) != weights_of(checkpoint)
    with pytest.raises(InputError, match=r"no \.safetensors"):
        weights_of(tmp_path)


# --- figures ------------------------------------------------------------------------------------


def test_figures_stand_alone() -> None:
    curves = [
        Curve(name="a <b>", values=[1.0, None, 3.0], ends=[(0.5, 1.5), None, (2.0, 9.0)]),
        Curve(name="c", values=[2.0, 2.5, 2.5]),
    ]
    panel = Panel(title="x & y", axis="place", places=["off", "1", "2"], curves=curves, floor=0.0)
    text = figure("a figure", [panel, panel, panel], columns=2)
    root = ET.fromstring(text)
    assert root.tag.endswith("svg")
    width, height = float(root.get("width", 0)), float(root.get("height", 0))
    for line in root.iter("{http://www.w3.org/2000/svg}line"):
        assert 0 <= float(line.get("y1", -1)) <= height
        assert 0 <= float(line.get("x1", -1)) <= width
    assert text.count('class="whisker"') == 3 * 2
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")


def test_a_figure_without_values_is_none() -> None:
    assert figure("empty", [Panel(title="t", axis="", places=["1"])]) == ""
    with pytest.raises(ValueError, match="2 values, 1 places"):
        Panel(title="t", axis="", places=["1"], curves=[Curve(name="c", values=[1.0, 2.0])])


# --- tables and the page ------------------------------------------------------------------------


def made_results(folder: Path, name: str) -> Results:
    """Plausible cells of an experiment."""
    results = Results(folder, name)
    gain = {"score": Number(value=52.0, low=41.0, high=63.0, n=20),
            "gain": Number(value=-0.04, low=-1.0, high=3.0, n=20)}  # fmt: skip
    if name == "stages":
        for stage in ("stage0", "stage1"):
            results.put(cell("mini-charts", stage, notes={"peers": {"majority": 12.0}}))
            results.put(cell("mini-tools", stage, numbers=gain, notes={"text": True}))
            results.put(
                cell("text-code", stage, numbers={"loss": Number(value=1.25, low=1, high=2, n=9)})
            )
    elif name == "evs":
        load = {"load": vars(Load())}
        for rate in ("0", "0.75"):
            results.put(cell("mini-video-order", rate, numbers=gain))
            speed = {n: Number(value=100.0 / (1 + 2 * float(rate)), low=10, high=200, n=3)
                     for n in ("ttft_mean_ms", "tokens_per_s", "tpot_ms")}  # fmt: skip
            results.put(cell("speed", rate, numbers=speed, inputs=load))
    elif name == "budget":
        for budget in ("0", "64", "16384"):
            results.put(cell("mini-maths-read-on", budget, numbers=gain, notes={"mean": 40.0}))
    elif name in ("tiling", "precision"):
        columns = ("tiles", "native") if name == "tiling" else ("bf16", "nvfp4-qad")
        for column in columns:
            results.put(cell("mini-charts", column, notes={"visual": 300.0}))
            results.put(cell("mini-read-lines", column, 3.0, notes={"error": True}))
    elif name == "packing":
        keys = ("tokens_per_s", "ratio", "positions_per_token", "fill", "packs", "samples_mean",
                "imbalance_tokens", "imbalance_attention", "imbalance_tiles")  # fmt: skip
        numbers = {key: Number(value=1.5, n=64) for key in keys}
        notes = {"preset": "mini", "seq_len": 3072, "buffer": 64, "data": "drawn lengths"}
        results.put(cell("packed, balanced", "measured", numbers=numbers, notes=notes))
    elif name == "loss":
        for column, more in (("square", {}), ("token", {"change": Number(value=0.1, n=9)})):
            numbers = {"loss": Number(value=2.0, low=1.0, high=3.0, n=9), **more}
            for row in ("all", "1-4"):
                results.put(cell(row, column, numbers=numbers, inputs={"updates": 200}))
    else:
        numbers = {"loss": Number(value=2.0, n=50), "distance": Number(value=0.2, n=50)}
        notes = {"updates": 200, "bound": 1.0}
        results.put(cell("fp8", "measured", numbers=numbers, notes=notes))
    return results


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_is_shown(name: str, tmp_path: Path) -> None:
    assert shown(name, Results(tmp_path, name)) is None
    results = made_results(tmp_path, name)
    found = shown(name, results)
    assert found is not None
    text = "\n".join(table.markdown() for table in found.tables)
    assert "None" not in text
    assert "-0.0 " not in text
    if name != "fp8":  # the benchmark draws it
        ET.fromstring(found.figure)
    assert all(path.is_file() for path in write_files(results, tmp_path))
    part = section(name, tmp_path, tmp_path / "page.md")
    assert NOT_RUN not in part
    assert "`python -m tools.reproduce evs`" in part
    assert "a machine" in part
    assert (f"![{name}]({name}.svg)" in part) == (name != "fp8")


def test_differences_and_speed_are_shown(tmp_path: Path) -> None:
    found = shown("evs", made_results(tmp_path, "evs"))
    assert found is not None
    scores, differences, speed, report = found.tables
    assert scores.rows[0][2] == "52.0 (41.0 to 63.0)"
    assert differences.rows[0][1] == "+0.0 (-1.0 to +3.0)"
    assert speed.rows[1][2] == pytest.approx(2.5)
    assert [row[0] for row in report.rows][:2] == ["off", "50 %"]


def test_the_page_is_what_the_results_say() -> None:
    text = reproduce.PAGE.read_text(encoding="utf-8")
    fresh = render(text, reproduce.OUT, reproduce.PAGE)
    assert fresh == text, "stale; run: python -m tools.reproduce page"
    assert reproduce.main(["page", "--check"]) == 0
    for name in EXPERIMENTS:
        assert f"python -m tools.reproduce {name} " in text


def test_a_page_without_a_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected one for each of stages"):
        render("<!-- results: evs -->\n<!-- end: evs -->\n", tmp_path, tmp_path / "page.md")


def test_commands_name_no_folder_of_this_machine() -> None:
    _, verbs = reproduce._parsers()
    words = ["--work", "/a/b", "--suite", "/c/d", "--model", "/e/f/stage4/export", "--limit", "2",
             "--given", "nvfp4-qad=/x/y/z/export", "--out", "/o"]  # fmt: skip
    args = verbs["precision"].parse_args(words)
    args.experiment = "precision"
    assert reproduce.command_of(args, verbs["precision"]) == (
        "python -m tools.reproduce precision --work RUNS --limit 2 --suite SUITE "
        "--model stage4/export --given nvfp4-qad=z/export"
    )


# --- asking -------------------------------------------------------------------------------------


def test_a_sweep_is_asked_once(
    tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = write_suite(tmp_path / "suite", "mini-maths-text")
    words = ["budget", "--work", str(tmp_path), "--suite", str(suite), "--model", str(checkpoint),
             "--out", str(tmp_path / "out"), "--budgets", "0,4,16384", "--grace", "2",
             "--tasks", "mini-maths-text", "--dtype", "float32"]  # fmt: skip
    assert reproduce.main(words) == 0
    first = (tmp_path / "out" / "budget.json").read_text()
    cells = Results(tmp_path / "out", "budget").cells
    assert [c.column for c in cells] == ["0", "4", "16384"]
    assert ["gain" in c.numbers for c in cells] == [False, True, True]
    assert all(c.numbers["score"].n == 2 for c in cells)
    assert cells[0].notes["text"]
    thought = cells[1].notes["mean"]
    assert 0 < thought < 60, "the budget did not end the reasoning"
    assert "RUNS" in cells[0].facts["command"]
    assert str(tmp_path) not in first

    def never(*args: Any, **more: Any) -> None:
        raise AssertionError("the model was loaded again")

    monkeypatch.setattr(reproduce_asked, "load", never)
    assert reproduce.main(words) == 0
    assert (tmp_path / "out" / "budget.json").read_text() == first
    # The results are gone, the answers are not.
    (tmp_path / "out" / "budget.json").unlink()
    assert reproduce.main(words) == 0
    assert len(Results(tmp_path / "out", "budget").cells) == 3


def test_stages_are_compared_with_the_one_before(tmp_path: Path) -> None:
    suite = write_suite(tmp_path / "suite", "mini-maths-text", "mini-read-lines")
    for number, stage in enumerate(("stage0", "stage1")):
        save_model(tiny_model(number), tmp_path / stage / "export", processor=tiny_processor())
    bench = Bench(suite=suite, work=tmp_path / "kept", dtype="float32")
    names = ("mini-maths-text", "mini-read-lines")
    results = reproduce_sweeps.stages(bench, tmp_path / "out", tmp_path, names)
    assert results.columns == ["stage0", "stage1"]
    error = results.cell("mini-read-lines", "stage1")
    before = results.cell("mini-read-lines", "stage0")
    assert error is not None
    assert before is not None
    assert error.notes["error"]
    assert not error.notes["text"]
    assert error.notes["model"] == "stage1/export"
    # Fewer errors are a gain.
    change = before.numbers["score"].value - error.numbers["score"].value
    assert error.numbers["gain"].value == pytest.approx(change, abs=60)
    assert (error.numbers["gain"].value > 0) == (change > 0)
    with pytest.raises(InputError, match="no stage has been exported"):
        reproduce_sweeps.stages(bench, tmp_path / "out", tmp_path / "nothing")


def test_speed_is_measured_at_every_rate(tmp_path: Path, checkpoint: Path) -> None:
    suite = write_suite(tmp_path / "suite", "mini-maths-text")
    bench = Bench(suite=suite, work=tmp_path, dtype="float32")
    load = Load(frames=2, width=64, height=64, answer_tokens=2, requests=1, repeats=2, warm_up=0)
    results = reproduce_sweeps.evs(
        bench, tmp_path, str(checkpoint), rates=(0.0, 0.5), names=("mini-maths-text",), load=load
    )
    for column in ("0", "0.5"):
        found = results.cell("speed", column)
        assert found is not None
        number = found.numbers["ttft_mean_ms"]
        assert number.kind == "range"
        assert 0 < number.low <= number.value <= number.high
        assert number.n == 2


def test_an_unknown_format_is_refused(tmp_path: Path, checkpoint: Path) -> None:
    suite = write_suite(tmp_path / "suite", "mini-maths-text")
    with pytest.raises(InputError, match="format 'int3': expected some of bf16, int8"):
        reproduce_sweeps.precision(
            Bench(suite=suite, work=tmp_path), tmp_path, str(checkpoint),
            formats=("int3",), calibration=Calibration(), names=("mini-maths-text",),
        )  # fmt: skip


@pytest.mark.parametrize("format", ["fp8", "nvfp4"])
def test_calibrated_weights_are_those_of_the_packed_checkpoint(
    format: str, tmp_path: Path, checkpoint: Path
) -> None:
    make = quantized(format, Calibration(samples=8, max_tiles=1), tmp_path, dtype="float32")
    loaded = make(checkpoint)
    plain = load(checkpoint, dtype="float32", quant="bf16").model
    packed = save_model(plain, tmp_path / format, processor=tiny_processor(), format=format)
    stored = load(packed, dtype="float32", quant="bf16").model
    names = [n for n, m in loaded.model.named_modules() if type(m).__name__ == "_Rounded"]
    assert len(names) >= 8
    for name in names:
        own: Any = loaded.model.get_submodule(name)
        assert own.layer.input_amax > 0
        theirs = stored.get_submodule(name).weight
        assert isinstance(theirs, torch.Tensor)
        assert not torch.equal(own.weight, plain.get_submodule(name).weight)
        if not name.endswith(("q_proj", "k_proj", "v_proj")):  # fused: one range for three
            assert torch.equal(own.weight, theirs)


# --- training -----------------------------------------------------------------------------------


def test_held_out_records_are_not_trained_on(tmp_path: Path) -> None:
    blend = training_set(tmp_path / "all", samples=40, kinds=("dialogue", "tools"))
    split = split_blend(blend, tmp_path / "split.yaml", held_out_percent=25)
    keys = {
        name: {
            item.record.id
            for item in RecordStream(load_blend(split, name), seed=0, shuffle=False, limit=400)
        }
        for name in ("train", "val")
    }
    assert keys["train"]
    assert keys["val"]
    assert not keys["train"] & keys["val"]
    assert len(keys["train"]) == 3 * len(keys["val"])
    assert split_blend(split, tmp_path / "again.yaml") == split


def test_losses_of_held_out_answers(tmp_path: Path, checkpoint: Path) -> None:
    blend = training_set(tmp_path / "data", samples=4, held_out=6, kinds=("dialogue", "reasoning"))
    settings = DataConfig(seq_len=512, max_tiles=1)
    found = answers(checkpoint, blend, settings, 2, dtype="float32")
    assert [a.source for a in found] == ["dialogue"] * 2 + ["reasoning"] * 2
    assert all(a.tokens > 0 and a.loss > 0 for a in found)
    again = answers(checkpoint, blend, settings, 2, dtype="float32")
    assert again == found
    with pytest.raises(InputError, match="no held-out sample fits 16 tokens"):
        answers(checkpoint, blend, DataConfig(seq_len=16, max_tiles=1), 2)


def test_answers_by_length() -> None:
    found = [Answer(source="s", tokens=n, loss=1.0) for n in (1, 4, 5, 300)]
    assert by_length(found, (4, 16, 256)) == {"1-4": [0, 1], "5-16": [2], "over 256": [3]}


def test_reductions_are_compared_answer_by_answer(tmp_path: Path) -> None:
    results = Results(tmp_path, "loss")
    square = [Answer(source="s", tokens=n, loss=loss) for n, loss in ((2, 1.0), (40, 2.0))]
    token = [Answer(source="s", tokens=n, loss=loss) for n, loss in ((2, 1.5), (40, 1.75))]
    begun = {"square": 0.0, "token": 0.0}
    found = {"square": square, "token": token}
    reproduce_trained._put_losses(results, found, {"updates": 1}, "command", begun)
    change = {c.row: c.numbers["change"].value for c in results.cells if c.column == "token"}
    assert change == pytest.approx({"all": 0.125, "1-4": 0.5, "17-64": -0.25})
    assert {c.row for c in results.cells} == {"all", "1-4", "17-64"}


@pytest.mark.slow
def test_two_short_trainings(tmp_path: Path, checkpoint: Path) -> None:
    words = ["loss", "--work", str(tmp_path), "--out", str(tmp_path / "out"), "--model",
             str(checkpoint), "--updates", "2", "--answers", "2", "--device", "cpu",
             "--set", "batch.global=1", "--set", "data.seq_len=512",
             "--set", "data.max_tiles=1"]  # fmt: skip
    assert reproduce.main(words) == 0
    results = Results(tmp_path / "out", "loss")
    assert set(results.columns) == {"square", "token"}
    both = [results.cell("all", column) for column in ("square", "token")]
    assert all(c is not None and c.numbers["loss"].n >= 8 for c in both)
    assert both[0] is not None
    assert both[1] is not None
    assert both[0].numbers["loss"].value != both[1].numbers["loss"].value
