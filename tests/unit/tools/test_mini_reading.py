"""The decoder's reading: what lies on every visual token, and a run that goes on."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
import torch

from nanovl.checkpoint.build import load_model, load_processor, save_model
from nanovl.core.layout import IGNORE_LABEL
from nanovl.model.config import preset
from nanovl.model.vlm import VLM
from tools.mini_reading import Reading, on_cells
from tools.mini_tiles import Line, Painter, Texts
from tools.mini_vision import HELD_OUT, TRAIN


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that are read, each of a few sentences."""
    folder = tmp_path_factory.mktemp("texts")
    words = "The quick brown fox jumps over 12 lazy dogs and pays 3.50 for it. " * 40
    for name in (*TRAIN, *HELD_OUT):
        with gzip.open(folder / name, "wt", encoding="utf-8") as file:
            file.write(json.dumps({"text": words}) + "\n")
    return folder


def test_tokens_lie_where_their_letters_stand() -> None:
    """Two lines on a grid of two by four; the wider part of a word wins a cell."""
    tokenizer = load_processor("mini")[1].tokenizer
    lines = [
        Line("abc", (0, 0, 96, 32), (16.0, 48.0, 80.0)),
        Line("x y", (0, 32, 128, 64), (16.0, 48.0, 112.0)),
    ]
    text = "abc\nx y"
    found = on_cells(tokenizer, text, lines, (64, 128), (2, 4))
    said = {cell: tokenizer.decode([token]) for cell, token in found.items()}
    assert set(said) == {0, 1, 2, 4, 7}  # nothing on the blank, nor behind "abc"
    assert "".join(dict.fromkeys(said[c] for c in (0, 1, 2))) == "abc"
    assert said[4].strip() == "x"
    assert said[7].strip() == "y"


def test_a_sample_is_told_what_its_cells_show(texts: Path) -> None:
    """Targets of cells are tokens of the transcript, or the one for paper; the answer follows."""
    _, processor = load_processor("mini")
    reading = Reading(Painter(Texts(texts, {"wiki_train.jsonl.gz": 1.0})), processor)
    sample = next(s for k in range(20) if (s := reading.sample(k, 1.0)) is not None)
    labels = sample.inputs.labels
    assert labels is not None
    (span,) = sample.inputs.layout.spans
    cells = labels[span.start + 1 : span.start + 1 + span.num_tokens]
    answer = labels[span.start + 1 + span.num_tokens :]
    answer = answer[answer != IGNORE_LABEL]
    told = cells[cells != IGNORE_LABEL]
    assert len(told) > 3
    assert set(told.tolist()) <= set(answer.tolist()) | {reading.blank}
    assert len(set(told.tolist())) > 3


@pytest.mark.slow
def test_a_run_goes_on_and_is_exported(texts: Path, tmp_path: Path) -> None:
    """The decoder changes, the encoder does not; the export takes pictures as they are."""
    from tools import mini_reading

    begin = tmp_path / "begin"
    vlm = VLM(preset("mini"))
    vlm.initialize(torch.Generator().manual_seed(0))
    save_model(vlm.to(torch.bfloat16), begin, processor=load_processor("mini")[1])
    out, exported = tmp_path / "run", tmp_path / "export"

    def run(*words: object) -> None:
        given = ["--init", begin, "--texts", texts, "--out", out, "--batch", 1, "--workers", 0]
        given += ["--check", 1, "--check-samples", 1, *words]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.argv", ["mini_reading", *map(str, given)])
            mini_reading.main()

    run("--updates", 1)
    run("--updates", 2)
    rows = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [row["update"] for row in rows] == [1, 2]
    assert all(0 <= row["right_text"] <= 1 for row in rows)
    run("--export", exported)
    before, after = (load_model(folder)[0] for folder in (begin, exported))
    assert after.config.native_min_patches == 16
    same = {n: torch.equal(p, after.get_parameter(n)) for n, p in before.named_parameters()}
    assert all(same[n] for n in same if n.startswith("vision_model."))
    assert not same["language_model.backbone.embeddings.weight"]
    assert not same["mlp1.1.weight"]
