"""Pages of samples: the pictures are there, and nothing of a record becomes markup."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from nanovl.core.errors import InputError
from nanovl.data.blend import load_blend
from nanovl.data.config import DataConfig
from nanovl.data.encode import SampleEncoder
from nanovl.data.pages import SamplePage, sample_page
from nanovl.testing import picture_bytes, tiny_processor


def record(number: int, question: str) -> dict[str, Any]:
    return {
        "id": f"r-{number}",
        "task": "look",
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "image", "image": "a.png"},
                    {"type": "text", "text": question},
                ],
            },
            {"role": "assistant", "content": f"Answer {number}."},
        ],
    }


def make(folder: Path, rows: list[Any]) -> Path:
    (folder / "media").mkdir()
    (folder / "media" / "a.png").write_bytes(picture_bytes())
    (folder / "set.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "set.jsonl"


def draw(path: Path, **options: Any) -> SamplePage:
    encoder = SampleEncoder(tiny_processor(), DataConfig(seq_len=512, align=1))
    return sample_page(load_blend(path), encoder, path.parent / "out", **options)


def test_page(tmp_path: Path) -> None:
    rows = [record(i, f"<script>alert({i})</script>") for i in range(5)]
    page = draw(make(tmp_path, [*rows, {"id": "broken"}]), count=4)
    assert [p.name for p in page.pictures] == [f"sample_{i:02d}.png" for i in range(4)]
    for path in page.pictures:
        with Image.open(path) as image:
            assert image.size[0] == 1200
    text = page.index.read_text(encoding="utf-8")
    assert "<script" not in text
    assert re.findall(r'<img src="(\w+\.png)"', text) == [p.name for p in page.pictures]
    assert not re.search(r'(src|href)="(?!sample_\d+\.png"|#s\d")', text)
    assert len(set(re.findall(r"<h2>(set/\d/0)</h2>", text))) == 4
    assert re.search(r'<span class="loss">A</span>', text)
    assert page.dropped in ({}, {"malformed_record": {"set": 1}})


def test_fewer_records_than_wanted_and_what_was_dropped(tmp_path: Path) -> None:
    path = make(tmp_path, [record(0, "A?"), record(1, "B?"), {"id": "broken"}])
    page = draw(path, count=8)
    assert len(page.pictures) == 2
    assert set(page.dropped) == {"malformed_record"}
    assert "malformed_record" in page.index.read_text(encoding="utf-8")


def test_the_seed_decides(tmp_path: Path) -> None:
    path = make(tmp_path, [record(i, "A?") for i in range(40)])
    pages = [draw(path, count=3, seed=s).index.read_text(encoding="utf-8") for s in (0, 0, 1)]
    assert pages[0] == pages[1] != pages[2]


def test_nothing_to_show(tmp_path: Path) -> None:
    (tmp_path / "set.jsonl").write_text('{"id": "a", "messages": []}\n')
    with pytest.raises(InputError, match="messages"):
        draw(tmp_path / "set.jsonl")
    (tmp_path / "out").rmdir()
    (tmp_path / "out").write_text("in the way")
    with pytest.raises(InputError, match="out: cannot be made"):
        draw(tmp_path / "set.jsonl")
