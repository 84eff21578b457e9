"""The script that makes the small model: its data, blends, and the tiles its encoder reads."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import pytest

from nanovl.core.errors import ConfigError
from nanovl.data.blend import load_blend
from nanovl.data.convert import find_format
from nanovl.synth.registry import GENERATORS
from tools import make_mini
from tools.mini_tiles import LARGEST, SIDE, SMALLEST, Painter, Texts, entry


@pytest.fixture
def texts(tmp_path: Path) -> Texts:
    text = "The quick brown fox jumps over the lazy dog while 12 men wait. " * 300
    with gzip.open(tmp_path / "a.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write(json.dumps({"text": text}))
    return Texts(tmp_path, {"a.jsonl.gz": 1.0})


def test_every_blend_names_sets_that_are_made() -> None:
    known = {*make_mini.REAL, *make_mini.MADE}
    for stage, blend in make_mini.BLENDS.items():
        assert set(blend) <= known, stage
        assert all(weight > 0 for weight in blend.values())
    used = {name for blend in make_mini.BLENDS.values() for name in blend}
    assert used == known, "a set is made for nothing"
    for _, generator, _ in make_mini.MADE.values():
        assert generator in GENERATORS
    for kind, _ in make_mini.REAL.values():
        find_format(kind)


def test_weights_that_ship_see_no_set_without_a_free_licence() -> None:
    paths = [path for _, path in make_mini.REAL.values()]
    paths += [str(s) for _, _, s in make_mini.MADE.values()]
    assert not any("charts/" in path or "mcqa" in path or "tabmwp" in path for path in paths)
    assert "nanovl-tabmwp" not in {kind for kind, _ in make_mini.REAL.values()}
    assert "nanovl-charts" not in {kind for kind, _ in make_mini.REAL.values()}
    assert not any("_val" in path for path in paths)


def test_a_blend_is_what_the_loader_reads(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    budget = make_mini.BUDGETS["smoke"]
    work = make_mini.Work(tmp_path, tmp_path, budget, 1, "cpu")
    for name in ("wiki", "text-maths", "charts-drawn", "video-shapes"):
        folder = tmp_path / work.place(name)
        folder.mkdir(parents=True)
        (folder / f"{name}.jsonl").write_text('{"id": "1", "messages": []}\n')
        if name not in ("wiki", "text-maths"):
            (folder / "media").mkdir()
    sources = load_blend(make_mini.blend(work, "stage2"))
    assert "left out" in capsys.readouterr().out
    assert {source.path.stem for source in sources} == {
        "text-maths", "charts-drawn", "video-shapes"
    }  # fmt: skip


def test_steps_begin_with_the_clean_data_and_end_with_what_ships(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = list(make_mini.STEPS)
    assert steps[0] == "clean"
    assert steps[-2:] == ["score", "ship"]
    assert steps[steps.index("vision") : -2] == list(make_mini.TRAINED)
    said: list[list[str]] = []
    monkeypatch.setattr(make_mini, "command", lambda words: said.append([*map(str, words)]))
    data = tmp_path / "data"
    work = make_mini.Work(data, tmp_path / "runs", make_mini.BUDGETS["smoke"], 2, "cpu")
    (work.folder / "stage4" / "export").mkdir(parents=True)
    (work.folder / "stage4" / "export" / "config.json").write_text("{}")
    for step in ("convert", "synth", "vision", "cells", "reading", "score", "ship"):
        make_mini.STEPS[step](work)
    text = [" ".join(words) for words in said] + [(work.folder / "mix.yaml").read_text()]
    trains = [line for line in text if "mini_score" not in line]
    begins = f"stage.init_from={work.folder / 'cells' / 'export'}"
    assert begins in next(line for line in text if "name=mini-reading" in line)
    # Nothing but the measurement sees the folder that holds the validation data.
    assert not any(str(data) in line for line in trains)
    assert str(data) in next(line for line in text if "mini_score" in line)
    assert f"--out {work.folder / 'ship'}" in next(line for line in text if "mini_ship" in line)


def test_tiles_depend_on_their_number_alone(texts: Texts) -> None:
    first, lines = Painter(texts).tile(3)
    again = Painter(texts).tile(3)
    other, _ = Painter(texts).tile(4)
    assert (first == again[0]).all()
    assert lines == again[1]
    assert first.shape == (SIDE, SIDE, 3)
    assert not (first == other).all()


def test_lines_are_where_they_are_said_to_be(texts: Texts) -> None:
    seen = 0
    for number in range(12):
        image, lines = Painter(texts, worn=False).tile(number)
        paper = image[:, -1].astype(int).mean(0)
        for line in lines:
            x0, y0, x1, y1 = line.box
            assert -3 <= x0 < x1 <= SIDE + LARGEST  # some letters lean out
            assert y0 < y1 <= SIDE + 3
            inside = image[max(int(y0), 0) : int(y1), max(int(x0), 0) : int(x1)].astype(int)
            assert abs(inside - paper).sum(-1).max() > 60, line
            seen += 1
    assert seen > 50


def test_type_is_no_smaller_than_asked(texts: Texts) -> None:
    _, lines = Painter(texts).tile(5, smallest=30.0)
    assert all(line.box[3] - line.box[1] > SMALLEST * 2.5 for line in lines)


def test_entries_have_no_blanks() -> None:
    rng = random.Random(0)
    made = [entry(rng) for _ in range(500)]
    assert all(text and " " not in text for text in made)
    assert len(set(made)) > 400


def test_faces_of_the_evaluation_are_not_drawn(texts: Texts) -> None:
    train = {f.name for f in Painter(texts).families}
    try:
        held = {f.name for f in Painter(texts, split="heldout").families}
    except ConfigError:
        pytest.skip("no face is held out here: apt install fonts-liberation2 fonts-urw-base35")
    assert train
    assert not train & held
