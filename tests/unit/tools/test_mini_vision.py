"""Strips of tiles, and the run of the encoder that learns to read."""

import gzip
import json
import random
from pathlib import Path

import numpy as np
import pytest

from tools.mini_tiles import Line, Painter, Texts, strips


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    for name in (
        "wiki_train",
        "books_train-00",
        "tech_train",
        "multilingual",
        "wiki_val",
        "tech_val",
    ):
        words = " ".join(f"word{k} and so on," for k in range(400))
        with gzip.open(tmp_path / f"{name}.jsonl.gz", "wt", encoding="utf-8") as file:
            file.write(json.dumps({"text": words}) + "\n")
    return tmp_path


def test_every_line_is_whole_in_its_strip(texts: Path) -> None:
    painter = Painter(Texts(texts, {"wiki_train.jsonl.gz": 1.0}), worn=False)
    seen = 0
    for seed in range(8):
        image, lines = painter.tile(seed)
        found = strips(image, lines, random.Random(seed))
        for (height, width), own in found.items():
            assert height in (32, 64)
            assert width in (256, 512)
            for strip, line in own:
                assert strip.shape == (height, width, 3)
                x0, y0, x1, y1 = line.box
                assert 0 <= y0 < y1 <= height
                assert x0 < x1
                places = [
                    (original.box[1] - y0, original.box[0] - x0)
                    for original in lines
                    if original.text == line.text
                ]
                cuts = [
                    image[int(top) : int(top) + height, int(left) : int(left) + width]
                    for top, left in places
                    if top == int(top)
                ]
                assert any(np.array_equal(strip, cut) for cut in cuts)
                seen += 1
    assert seen > 60


def test_lines_that_fit_no_strip_are_left_out() -> None:
    image = np.zeros((512, 512, 3), np.uint8)
    tall = Line("x", (0.0, 10.0, 50.0, 90.0))
    above = Line("x", (0.0, -3.0, 50.0, 12.0))
    edge = Line("ok", (480.0, 490.0, 512.0, 512.0))
    found = strips(image, [tall, above, edge], random.Random(0))
    assert [line.text for own in found.values() for _, line in own] == ["ok"]


def test_workers_take_turns(texts: Path) -> None:
    from torch.utils.data import DataLoader

    from tools.mini_vision import Tiles

    def drawn(workers: int) -> list[str]:
        loader = DataLoader(Tiles(texts, 1, 3, 8), batch_size=None, num_workers=workers)
        return [lines[0][0].text for update in loader for _, lines in update]

    assert drawn(2) == drawn(0)
    assert len(drawn(0)) > 4


@pytest.mark.slow
def test_a_run_reads_strips_then_tiles_and_goes_on(texts: Path, tmp_path: Path) -> None:
    from tools import mini_vision

    out = tmp_path / "run"

    def run(updates: int) -> None:
        parser_args = ["--texts", str(texts), "--out", str(out), "--batch", "1", "--workers", "0"]
        parser_args += ["--updates", str(updates), "--check", "2", "--check-tiles", "1"]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.argv", ["mini_vision", *parser_args])
            mini_vision.main()

    run(3)
    run(4)
    rows = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [row["update"] for row in rows] == [2, 3, 4]
    assert all(0 < row["cer"] <= 10 for row in rows)


def test_single_lines_fit_and_grow_hard(texts: Path) -> None:
    painter = Painter(Texts(texts, {"wiki_train.jsonl.gz": 1.0}))
    easy = [painter.strip(seed, 0.0) for seed in range(12)]
    hard = [painter.strip(seed, 1.0) for seed in range(40)]
    for picture, line in easy + hard:
        assert picture.shape == (32, 256, 3)
        assert line.text
        assert -1 <= line.box[0] < line.box[2] <= 256
        assert len(line.centres) == len(line.text)
        assert list(line.centres) == sorted(line.centres)
    # Ink on white paper where the line says it stands, and nowhere else.
    for picture, line in easy:
        x0, _, x1, _ = (max(0, round(v)) for v in line.box)
        assert np.all(picture[:, : max(0, x0 - 1)] == 255)
        assert np.all(picture[:, x1 + 2 :] == 255)
        assert picture[:, x0:x1].min() < 100
    assert len({tuple(picture[0, 0]) for picture, _ in hard}) > 10
    heights = [line.box[3] - line.box[1] for _, line in hard]
    assert max(heights) > 2 * min(heights)
