"""Folders made ready for energon; needs megatron-energon."""

from __future__ import annotations

import builtins
import gzip
import io
import json
import os
import sqlite3
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from nanovl.core.errors import BackendError, InputError
from nanovl.core.events import Event
from nanovl.data.media import open_media
from nanovl.data.prepare import prepare
from nanovl.testing import picture, picture_bytes, requires_extra

needs_energon = requires_extra("megatron.energon", "train")


def write_records(path: Path, count: int) -> None:
    rows = [{"id": f"{path.stem}-{i}", "messages": []} for i in range(count)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def write_shard(path: Path, names: list[str], data: bytes | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name in names:
            data = data or picture_bytes()
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


@pytest.mark.slow
@needs_energon
def test_released_layout(tmp_path: Path) -> None:
    write_records(tmp_path / "big.jsonl", 30)
    write_records(tmp_path / "small.jsonl", 2)
    write_shard(tmp_path / "media" / "shard_000000.tar", ["a.png", "b.png"])
    write_shard(tmp_path / "media" / "shard_000001.tar", ["c.png"])
    events: list[Event] = []
    done = prepare(tmp_path, num_workers=1, on_event=events.append)
    assert done.records == {"big.jsonl": 30, "small.jsonl": 2}
    assert done.media_indexed
    assert done.media_sizes
    assert done.blend_written
    assert (tmp_path / "big.jsonl.idx").stat().st_size == 31 * 8
    assert (tmp_path / "media" / "shard_000001.tar.idx").is_file()
    with sqlite3.connect(tmp_path / "media" / ".nv-meta" / "index.sqlite") as index:
        keys = index.execute("select entry_key from media_metadata order by 1").fetchall()
    index.close()
    assert keys == [("a.png",), ("b.png",), ("c.png",)]
    assert [e.name for e in events] == [
        "indexed big.jsonl",
        "indexed small.jsonl",
        "indexed media",
    ]
    blend = yaml.safe_load(done.metadataset.read_text(encoding="utf-8"))
    assert blend["__class__"] == "MetadatasetV2"
    assert blend["splits"]["train"]["blend"] == [
        {
            "weight": count,
            "path": f"{name}.jsonl",
            "subflavors": {"source": name},
            "aux": {"media": "media"},
        }
        for name, count in (("big", 30), ("small", 2))
    ]

    # Again: nothing to do, and a blend file somebody edited stays.
    done.metadataset.write_text("edited: true\n", encoding="utf-8")
    again = prepare(tmp_path, num_workers=1)
    assert not again.media_indexed
    assert again.media_sizes
    assert not again.blend_written
    assert done.metadataset.read_text(encoding="utf-8") == "edited: true\n"

    # A shard that changed is indexed again.
    shard = tmp_path / "media" / "shard_000001.tar"
    write_shard(shard, ["c.png", "d.png"])
    later = (tmp_path / "media" / ".nv-meta" / "index.sqlite").stat().st_mtime + 5
    os.utime(shard, (later, later))
    assert prepare(tmp_path, num_workers=1).media_indexed
    with sqlite3.connect(tmp_path / "media" / ".nv-meta" / "index.sqlite") as index:
        assert index.execute("select count(*) from media_metadata").fetchone() == (4,)
    index.close()


@needs_energon
def test_plain_media_folder(tmp_path: Path) -> None:
    write_records(tmp_path / "set.jsonl", 3)
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "a.png").write_bytes(picture_bytes())
    done = prepare(tmp_path / "set.jsonl", num_workers=1)
    assert not done.media_indexed
    assert [p.name for p in (tmp_path / "media").iterdir()] == ["a.png"]
    (entry,) = yaml.safe_load(done.metadataset.read_text())["splits"]["train"]["blend"]
    assert entry["aux"] == {"media": "filesystem://media"}


@needs_energon
def test_text_only_with_blank_lines(tmp_path: Path) -> None:
    (tmp_path / "set.jsonl").write_text('{"id": "a"}\n\n{"id": "b"}', encoding="utf-8")
    done = prepare(tmp_path)
    assert done.records == {"set.jsonl": 2}
    assert done.media is None
    (entry,) = yaml.safe_load(done.metadataset.read_text())["splits"]["train"]["blend"]
    assert "aux" not in entry


@needs_energon
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"id": "a"}\n{"id": \n', "set.jsonl:2: not JSON"),
        ('{"id": "a"}\n[1]\n', "set.jsonl:2: list, expected a JSON object"),
        ("\n", "holds no records"),
    ],
    ids=["broken", "list", "empty"],
)
def test_bad_records(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "set.jsonl").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=says):
        prepare(tmp_path)
    assert not (tmp_path / "metadataset.yaml").exists()


@needs_energon
def test_bad_media(tmp_path: Path) -> None:
    write_records(tmp_path / "set.jsonl", 1)
    (tmp_path / "media").mkdir()
    with pytest.raises(InputError, match="media: empty"):
        prepare(tmp_path)


@pytest.mark.slow
@needs_energon
def test_damaged_shard(tmp_path: Path) -> None:
    write_records(tmp_path / "set.jsonl", 1)
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "shard_000000.tar").write_bytes(b"not a tar" * 200)
    with pytest.raises(InputError, match=r"media: energon prepare failed: .*shard_000000\.tar"):
        prepare(tmp_path, num_workers=1)
    assert not (tmp_path / "media" / ".nv-meta").exists()


@pytest.mark.slow
@needs_energon
def test_a_damaged_picture_costs_the_sizes_only(tmp_path: Path) -> None:
    write_records(tmp_path / "set.jsonl", 1)
    noise = picture_bytes(picture(64, 64, "noise"))
    write_shard(tmp_path / "media" / "shard_000000.tar", ["a.png", "b.png"], noise[:-3000])
    for indexed in (True, False):
        done = prepare(tmp_path, num_workers=1)
        assert (done.media_indexed, done.media_sizes) == (indexed, False)
    store = open_media(tmp_path / "media", tmp_path)
    assert store.find("b.png").byte_range[1] == len(noise) - 3000


def test_folders_without_records(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no \.jsonl"):
        prepare(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        prepare(tmp_path / "gone")
    with gzip.open(tmp_path / "set.jsonl.gz", "wb") as file:
        file.write(b"{}\n")
    with pytest.raises(InputError, match="plain loader, which reads it as it is"):
        prepare(tmp_path)


def test_without_energon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_records(tmp_path / "set.jsonl", 1)
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("megatron"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(BackendError, match=r"nanovl\[train\].*plain loader.*as it is"):
        prepare(tmp_path)
    assert not (tmp_path / "set.jsonl.idx").exists()
