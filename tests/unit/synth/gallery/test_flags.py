"""Samples flagged in the gallery are taken out, everything else keeps its bytes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from nanovl.core.errors import InputError
from nanovl.data.blend import load_blend
from nanovl.data.jsonl import JsonlFile
from nanovl.synth.datasets import open_data_set
from nanovl.synth.gallery import read_flags, reject
from tests.unit.synth.gallery.data_sets import page_set, picture


def flags_file(path: Path, *names: str) -> Path:
    flags = [{"data_set": "pages", "id": name, "note": "blurred"} for name in names]
    path.write_text(json.dumps({"format": "nanovl-flags", "version": 1, "flags": flags}))
    return path


def name(number: int) -> str:
    return f"ocr-page-train-{number:09d}"


def test_flagged_samples_are_left_out(tmp_path: Path) -> None:
    source = open_data_set(page_set(tmp_path / "pages", 5))
    flags = read_flags(flags_file(tmp_path / "flags.json", name(1), name(4), "elsewhere-1"))
    found = reject(source, flags, tmp_path / "new")
    assert (found.removed, found.kept) == ((name(1), name(4)), 3)
    assert found.elsewhere == ("elsewhere-1",)
    new = open_data_set(tmp_path / "new")
    kept = list(new)
    assert [made.id for made in kept] == [name(0), name(2), name(3)]
    before = {made.id: made for made in source}
    for made in kept:
        assert made == before[made.id]
        assert new.read(made.media[0]) == picture()
    assert not (tmp_path / "new" / "media" / "shard_000002.tar").exists()
    assert [d["rejects"] for d in new.done.values()] == [{"flagged": 1}, {}, {"flagged": 1}]
    assert new.claim["flagged"] == {name(1): "blurred", name(4): "blurred"}
    (leaf,) = load_blend(tmp_path / "new")
    assert len(JsonlFile(leaf.path)) == 6


def test_the_shards_are_whole_for_the_runner(tmp_path: Path) -> None:
    import hashlib

    reject(open_data_set(page_set(tmp_path / "pages", 4)), {name(0): ""}, tmp_path / "new")
    for path in (tmp_path / "new" / "shards").glob("*.done.json"):
        done = json.loads(path.read_text())
        assert done["files"]
        for file, digest in done["files"].items():
            data = (tmp_path / "new" / file).read_bytes()
            assert hashlib.sha256(data).hexdigest() == digest
            assert len(data) == done["bytes"][file]


def test_pages_of_synth_tex_go_with_all_their_files(tmp_path: Path) -> None:
    folder = tmp_path / "tex"
    folder.mkdir()
    for number in (1, 2):
        stem = f"paper-p{number:04d}"
        page = {"width": 400, "height": 260, "dpi": 144, "blocks": []}
        (folder / f"{stem}.json").write_text(json.dumps(page))
        (folder / f"{stem}.png").write_bytes(picture())
        (folder / f"{stem}.md").write_text("text")
    (folder / "paper-report.json").write_text("{}")
    reject(open_data_set(folder), {"paper-p0002": ""}, tmp_path / "new")
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == [
        "paper-p0001.json", "paper-p0001.md", "paper-p0001.png", "paper-report.json",
    ]  # fmt: skip


def test_what_cannot_be_meant_is_refused(tmp_path: Path) -> None:
    source = open_data_set(page_set(tmp_path / "pages", 2))
    with pytest.raises(InputError, match="none of the 1 flagged"):
        reject(source, {"other": ""}, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    with pytest.raises(InputError, match="not empty"):
        reject(source, {name(0): ""}, tmp_path / "pages")
    for text in ("{", "[]", '{"format": "nanovl-flags", "flags": [1]}', '{"flags": []}'):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(InputError, match=r"bad\.json"):
            read_flags(tmp_path / "bad.json")
    shutil.rmtree(tmp_path / "pages" / "shards")
    (tmp_path / "pages" / "synth.json").unlink()
    with pytest.raises(InputError, match="was not made by nanovl synth"):
        reject(open_data_set(tmp_path / "pages"), {name(0): ""}, tmp_path / "new")
