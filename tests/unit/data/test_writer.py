"""nanovl.data.writer: folders that appear complete, and can be read by everything else."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from nanovl.core.errors import ConfigError, InputError
from nanovl.data.blend import load_blend
from nanovl.data.media import open_media
from nanovl.data.records import Fragment, Record, RecordMessage, read_jsonl
from nanovl.data.stream import RecordStream
from nanovl.data.writer import RecordWriter
from nanovl.processing.media import Limits, read_media
from nanovl.testing import picture, picture_bytes


def record(id: str, *names: str, **values: Any) -> Record:
    content = [Fragment(type="image", value=name) for name in names]
    question = (*content, Fragment(type="text", value="wie gro\u00df?"))
    return Record(
        id=id,
        messages=(
            RecordMessage(role="user", content=question),
            RecordMessage(role="assistant", content=(Fragment(type="text", value="7"),)),
        ),
        **values,
    )


def test_what_was_written_can_be_read(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "charts"
    with RecordWriter(folder) as writer:
        writer.write(record("0", "a.png"), {"a.png": b"A" * 1000})
        writer.write(record("1", "a.png", "sub/b.c.jpg", weight=0.5), {"sub/b.c.jpg": b"B"})
        writer.write(record("2", "a.png"), {"a.png": b"A" * 1000})
        writer.write(record("3"))
        assert (writer.num_records, writer.num_media) == (4, 2)
        assert not folder.exists()
    assert sorted(p.name for p in folder.iterdir()) == ["charts.jsonl", "media"]
    assert [p.name for p in folder.parent.iterdir()] == ["charts"]
    with tarfile.open(folder / "media" / "shard_000000.tar") as tar:
        assert tar.getnames() == ["a.png", "sub/b.c.jpg"]

    (source,) = load_blend(folder)
    records = [item.record for item in RecordStream([source], seed=0, shuffle=False, epochs=1)]
    assert [r.id for r in records] == ["0", "1", "2", "3"]
    assert records[1] == record("1", "a.png", "sub/b.c.jpg", weight=0.5)
    store = open_media(source.media, folder)
    talk = records[1].conversation(store)
    (first, second) = talk.messages[0].media
    assert read_media(first.source, "image", Limits()) == b"A" * 1000
    assert read_media(second.source, "image", Limits()) == b"B"
    assert "gro\u00df".encode() in (folder / "charts.jsonl").read_bytes()


def test_the_same_records_make_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        with RecordWriter(tmp_path / name / "set") as writer:
            writer.write(record("0", "a.png"), {"a.png": b"A"})
    files = ["set.jsonl", "media/shard_000000.tar"]
    one, two = ([(tmp_path / n / "set" / f).read_bytes() for f in files] for n in ("one", "two"))
    assert one == two


def test_text_alone_has_no_media_folder(tmp_path: Path) -> None:
    with RecordWriter(tmp_path / "set") as writer:
        writer.write(record("0"))
    assert [p.name for p in (tmp_path / "set").iterdir()] == ["set.jsonl"]
    assert load_blend(tmp_path / "set")[0].media is None


def test_archives_are_bounded(tmp_path: Path) -> None:
    with RecordWriter(tmp_path / "set", shard_size_bytes=30_000) as writer:
        for i in range(10):
            writer.write(record(f"{i}", f"{i}.bin"), {f"{i}.bin": bytes(9000)})
        writer.write(record("big", "big.bin"), {"big.bin": bytes(50_000)})
    shards = sorted((tmp_path / "set" / "media").iterdir())
    counts = []
    for shard in shards:
        with tarfile.open(shard) as tar:
            counts.append(len(tar.getnames()))
    assert [shard.name for shard in shards] == [f"shard_{i:06d}.tar" for i in range(5)]
    assert counts == [3, 3, 3, 1, 1]
    store = open_media(None, tmp_path / "set")
    assert len(read_media(store.find("big.bin"), "image", Limits())) == 50_000


@pytest.mark.parametrize(
    ("made", "media", "message"),
    [
        (record("0"), {}, "this id was written already"),
        (record("1", "x.png"), {}, r"record '1': names media 'x\.png', which was not given"),
        (record("1"), {"x.png": b""}, r"comes with media 'x\.png', which it does not name"),
        (record("1", "a.png"), {"a.png": b"other"}, "written already with other content"),
        (record("1", "a.jpg"), {"a.jpg": b"x"}, r"'a\.jpg' and 'a\.png' are the same up to"),
        (
            record("1", "d/x.png", "d/x.y.png"),
            {"d/x.png": b"", "d/x.y.png": b""},
            "are the same up to the first dot",
        ),
        (record("1", "/x.png"), {"/x.png": b""}, "plain relative name"),
        (record("1", "../x.png"), {"../x.png": b""}, "plain relative name"),
        (record("1", "a//x.png"), {"a//x.png": b""}, "plain relative name"),
        (record("1", "noext"), {"noext": b""}, "a name with an extension"),
        (record("1", ".png"), {".png": b""}, "a name with an extension"),
        (record("1", "__x__.png"), {"__x__.png": b""}, "no part like"),
        (record("1", weight=-1.0), {}, r"record '1': weight: got -1\.0"),
        (record("", "a.png"), {}, "id: is empty"),
        (record("1", metadata={"x": float("nan")}), {}, "cannot be written as JSON"),
        (record("1", metadata={"x": object()}), {}, "cannot be written as JSON"),
        (record("1", metadata={"x": "\ud800"}), {}, "cannot be written as JSON"),
    ],
)
def test_what_is_refused_leaves_no_trace(
    made: Record, media: dict[str, bytes], message: str, tmp_path: Path
) -> None:
    with RecordWriter(tmp_path / "set") as writer:
        writer.write(record("0", "a.png"), {"a.png": b"A"})
        with pytest.raises(InputError, match=message):
            writer.write(made, media)
        writer.write(record("last", "a.png"))
    assert [obj["id"] for _, obj in read_jsonl(tmp_path / "set" / "set.jsonl")] == ["0", "last"]
    with tarfile.open(tmp_path / "set" / "media" / "shard_000000.tar") as tar:
        assert tar.getnames() == ["a.png"]


def test_equal_keys_in_other_folders_are_fine(tmp_path: Path) -> None:
    with RecordWriter(tmp_path / "set") as writer:
        writer.write(record("0", "a/x.png", "b/x.png"), {"a/x.png": b"1", "b/x.png": b"2"})
    assert open_media(None, tmp_path / "set").find("b/x.png").name == "b/x.png"


def test_an_error_leaves_nothing_behind(tmp_path: Path) -> None:
    def interrupted() -> None:
        with writer:
            writer.write(record("0", "a.png"), {"a.png": b"A"})
            raise RuntimeError("stop")

    writer = RecordWriter(tmp_path / "set")
    with pytest.raises(RuntimeError, match="stop"):
        interrupted()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match="closed"):
        writer.write(record("1"))


def test_no_records_are_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no records"), RecordWriter(tmp_path / "set"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_closing_twice(tmp_path: Path) -> None:
    writer = RecordWriter(tmp_path / "set")
    writer.write(record("0"))
    writer.close()
    writer.close()
    assert json.loads((tmp_path / "set" / "set.jsonl").read_text())["id"] == "0"


def test_folders_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with RecordWriter(tmp_path / "empty") as writer:
        writer.write(record("0"))
    assert load_blend(tmp_path / "empty")[0].name == "empty"
    with pytest.raises(ConfigError, match="exists and is not empty"):
        RecordWriter(tmp_path / "empty")
    with pytest.raises(ConfigError, match="exists and is not empty"):
        RecordWriter(tmp_path / "empty" / "empty.jsonl")
    with pytest.raises(ConfigError, match="cannot be written"):
        RecordWriter(tmp_path / "empty" / "empty.jsonl" / "x")
    with pytest.raises(ConfigError, match="shard_size_bytes: got 0"):
        RecordWriter(tmp_path / "x", shard_size_bytes=0)
    writer = RecordWriter(tmp_path / "taken")
    writer.write(record("0"))
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "other").touch()
    with pytest.raises(ConfigError, match="cannot be completed") as caught:
        writer.close()
    (kept,) = tmp_path.glob(".taken.*.tmp")
    assert str(kept) in str(caught.value)
    assert (kept / "taken.jsonl").is_file()


def test_energon_can_index_it(tmp_path: Path) -> None:
    pytest.importorskip("megatron.energon")
    from nanovl.data.prepare import prepare

    folder = tmp_path / "set"
    pictures = {f"p/{i}.x.png": picture_bytes(picture(60 + i, 50, "noise")) for i in range(4)}
    with RecordWriter(folder, shard_size_bytes=20_000) as writer:
        for name, data in pictures.items():
            writer.write(record(name, name), {name: data})
    assert len(list((folder / "media").glob("*.tar"))) == 3
    (source,) = load_blend(prepare(folder, num_workers=1).metadataset)
    store = open_media(source.media, folder)
    assert (folder / "media" / ".nv-meta" / "index.sqlite").is_file()
    for i, (name, data) in enumerate(pictures.items()):
        assert read_media(store.find(name), "image", Limits()) == data
        assert (store.metadata(name) or {})["width"] == 60 + i
