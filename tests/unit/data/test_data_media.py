"""nanovl.data.media and nanovl.data.tars: names lead to bytes, wherever they are."""

from __future__ import annotations

import io
import json
import pickle
import sqlite3
import tarfile
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from nanovl.core.errors import InputError
from nanovl.data import tars
from nanovl.data.media import FolderStore, MediaStore, TarStore, open_media
from nanovl.data.tars import TarIndex, scan
from nanovl.processing.media import Limits, read_media

FILES = {"a.png": b"first", "deep/er/b.c.webp": b"second", "\u00e4.png": b"third", "e.wav": b"4"}


def archive(path: Path, members: Mapping[str, bytes], prefix: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            entry = tarfile.TarInfo(prefix + name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return path


def folder(path: Path, files: Mapping[str, bytes]) -> Path:
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def content(store: MediaStore, name: str) -> bytes:
    return read_media(store.find(name), "image", Limits())


@pytest.fixture(params=["folder", "shards", "archive", "dotted"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> MediaStore:
    media = tmp_path / "media"
    items = list(FILES.items())
    if request.param == "folder":
        folder(media, FILES)
    elif request.param == "shards":
        archive(media / "shard_000000.tar", dict(items[:3]))
        archive(media / "more" / "shard_000001.tar", dict(items[3:]))
    else:
        archive(tmp_path / "all.tar", FILES, "./" if request.param == "dotted" else "")
        return open_media(Path("all.tar"), tmp_path)
    return open_media(None, tmp_path)


@pytest.mark.parametrize("name", FILES)
def test_names_lead_to_bytes(store: MediaStore, name: str) -> None:
    ref = store.find(name)
    assert ref.name == name
    assert content(store, name) == FILES[name]
    assert isinstance(store, MediaStore)


@pytest.mark.parametrize(
    "name", ["b.png", "deep/er/b.c.web", "../media/a.png", "/a.png", "", "deep"]
)
def test_a_name_that_is_not_there(store: MediaStore, name: str) -> None:
    with pytest.raises(InputError, match="media '"):
        store.find(name)


def test_the_nearest_name_is_named(store: MediaStore) -> None:
    with pytest.raises(InputError, match=r"did you mean 'deep/er/b\.c\.webp'"):
        store.find("deep/er/b.c.png")


def test_there_are_no_facts_without_energon(store: MediaStore) -> None:
    assert store.metadata("a.png") is None


def test_a_store_travels(store: MediaStore) -> None:
    assert content(pickle.loads(pickle.dumps(store)), "a.png") == b"first"


def test_members_are_ranges(tmp_path: Path) -> None:
    path = archive(tmp_path / "m.tar", FILES)
    ref = open_media(path, tmp_path).find("e.wav")
    assert ref.path == path
    assert ref.byte_range is not None
    offset, size = ref.byte_range
    assert path.read_bytes()[offset : offset + size] == b"4"


def test_samples_of_several_parts(tmp_path: Path) -> None:
    # KEY.webp and KEY.json beside each other: both are found under the names they have.
    archive(tmp_path / "t.tar", {"k1.webp": b"w1", "k1.json": b"{}", "k2.webp": b"w2"})
    store = open_media(Path("t.tar"), tmp_path)
    assert [content(store, n) for n in ("k1.webp", "k1.json", "k2.webp")] == [b"w1", b"{}", b"w2"]


def test_where_media_is_looked_for(tmp_path: Path) -> None:
    folder(tmp_path, {"x.png": b"beside"})
    assert content(open_media(None, tmp_path), "x.png") == b"beside"
    folder(tmp_path / "media", {"x.png": b"media"})
    assert content(open_media(None, tmp_path), "x.png") == b"media"
    assert content(open_media(Path("media"), tmp_path), "x.png") == b"media"
    assert content(open_media(tmp_path / "media", Path("/none")), "x.png") == b"media"
    with pytest.raises(InputError, match="no such folder or archive"):
        open_media(Path("medai"), tmp_path)


def test_plain_files_beside_archives(tmp_path: Path) -> None:
    archive(tmp_path / "m" / "s.tar", {"a.png": b"in"})
    folder(tmp_path / "m", {"b.png": b"beside"})
    store = open_media(Path("m"), tmp_path)
    assert isinstance(store, TarStore)
    assert (content(store, "a.png"), content(store, "b.png")) == (b"in", b"beside")


def test_two_members_of_one_name(tmp_path: Path) -> None:
    archive(tmp_path / "m" / "s0.tar", {"a.png": b"1", "b.png": b"2"})
    archive(tmp_path / "m" / "s1.tar", {"b.png": b"3"})
    with pytest.raises(InputError, match=r"'b\.png' is in .*s0\.tar and in .*s1\.tar"):
        open_media(Path("m"), tmp_path)
    with tarfile.open(tmp_path / "twice.tar", "w") as tar:
        for _ in range(2):
            tar.addfile(tarfile.TarInfo("a.png"))
    with pytest.raises(InputError, match=r"'a\.png' is 2 times in .*twice\.tar"):
        open_media(Path("twice.tar"), tmp_path)


def test_archives_that_cannot_be_read_in_place(tmp_path: Path) -> None:
    archive(tmp_path / "m.tar", FILES)
    (tmp_path / "m.tgz").write_bytes(b"x")
    with pytest.raises(InputError, match="unpack them"):
        open_media(Path("m.tgz"), tmp_path)
    with pytest.raises(InputError, match="unpack them"):
        open_media(tmp_path, tmp_path)


def test_damaged_archives(tmp_path: Path) -> None:
    good = archive(tmp_path / "m.tar", {f"{i}.png": bytes([65 + i]) * 700 for i in range(4)})
    data = good.read_bytes()
    places = {name: (offset, size) for name, offset, size in scan(good)}
    # Cut inside a member, cut inside a header, damaged header, no tar at all, nothing.
    damaged = {
        "cut.tar": data[: places["2.png"][0] + 100],
        "header.tar": data[: places["2.png"][0] - 400],
        "flipped.tar": data[: places["2.png"][0] - 400]
        + b"\x07"
        + data[places["2.png"][0] - 399 :],
        "text.tar": b"this is not a tar file" * 100,
        "empty.tar": b"",
    }
    for name, broken in damaged.items():
        (tmp_path / name).write_bytes(broken)
        with pytest.raises(InputError, match=name):
            open_media(Path(name), tmp_path)


def test_an_archive_that_shrinks_later(tmp_path: Path) -> None:
    path = archive(tmp_path / "m.tar", FILES)
    ref = open_media(path, tmp_path).find("e.wav")
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(InputError, match=r"e\.wav: bytes \d+ to \d+ of .*m\.tar.*the file has 600"):
        read_media(ref, "audio", Limits())


def test_the_index_is_made_once_and_again_after_a_change(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = archive(tmp_path / "m.tar", {"a.png": b"1"})
    open_media(path, tmp_path)
    (index,) = home.rglob("*.members.sqlite")
    assert not list(home.rglob("*.tmp"))
    calls = []
    real = tars.scan
    monkeypatch.setattr(tars, "scan", lambda p: calls.append(p) or real(p))
    assert content(open_media(path, tmp_path), "a.png") == b"1"
    assert not calls
    archive(path, {"a.png": b"2", "b.png": b"3"})
    assert content(open_media(path, tmp_path), "b.png") == b"3"
    assert calls == [path]
    assert index.exists()


def test_an_index_that_is_none(tmp_path: Path, home: Path) -> None:
    path = archive(tmp_path / "m.tar", {"a.png": b"1"})
    open_media(path, tmp_path)
    (index,) = home.rglob("*.members.sqlite")
    index.write_bytes(b"garbage" * 100)
    with pytest.raises(InputError, match="cannot be used as an index"):
        open_media(path, tmp_path).find("a.png")


def test_many_members_open_at_once(tmp_path: Path) -> None:
    members = {f"page-{i:06d}.png": b"" for i in range(5000)}
    path = archive(tmp_path / "m.tar", members)
    assert len(TarIndex((path,), path)) == 5000
    start = time.perf_counter()
    store = open_media(path, tmp_path)
    for name in list(members)[::10]:
        store.find(name)
    assert time.perf_counter() - start < 1.0
    with pytest.raises(InputError, match=r"did you mean 'page-004321\.png'"):
        store.find("page-004321.jpg")
    assert list(TarIndex((path,), path).names()) == sorted(members)


# --- energon ------------------------------------------------------------------------------------


def prepared(media: Path, shards: Mapping[str, Mapping[str, bytes]]) -> Path:
    """The tables energon writes, for archives that are named in another order than they sort."""
    meta = media / ".nv-meta"
    meta.mkdir(parents=True)
    database = sqlite3.connect(meta / "index.sqlite")
    database.executescript(
        "CREATE TABLE samples (tar_file_id, sample_key TEXT UNIQUE, sample_index, byte_offset,"
        " byte_size);"
        "CREATE TABLE sample_parts (tar_file_id, sample_index, part_name, content_byte_offset,"
        " content_byte_size);"
        "CREATE TABLE media_metadata (entry_key TEXT PRIMARY KEY, metadata_type, metadata_json);"
    )
    for number, (shard, members) in enumerate(shards.items()):
        path = archive(media / shard, members)
        for index, (name, offset, size) in enumerate(scan(path)):
            key, part = name.split(".", 1)
            database.execute("INSERT INTO samples VALUES (?,?,?,0,0)", (number, key, index))
            row = (number, index, part, offset, size)
            database.execute("INSERT INTO sample_parts VALUES (?,?,?,?,?)", row)
            facts = json.dumps({"width": size})
            database.execute("INSERT INTO media_metadata VALUES (?,'image',?)", (name, facts))
    database.commit()
    database.close()
    (meta / ".info.json").write_text(json.dumps({"shard_counts": dict.fromkeys(shards, 1)}))
    return media


def test_energons_index_is_used(tmp_path: Path, home: Path) -> None:
    shards = {"z.tar": {"a.png": b"1", "b.c.png": b"22"}, "y.tar": {"d.png": b"333"}}
    store = open_media(prepared(tmp_path / "m", shards), tmp_path)
    for members in shards.values():
        for name, data in members.items():
            assert content(store, name) == data
            assert store.metadata(name) == {"width": len(data)}
    assert store.metadata("none.png") is None
    assert not list(home.rglob("*.sqlite"))
    with pytest.raises(InputError, match=r"did you mean 'b\.c\.png'"):
        store.find("b.c.pngg")
    with pytest.raises(InputError, match="noext"):
        store.find("noext")
    assert pickle.loads(pickle.dumps(store)).metadata("d.png") == {"width": 3}


def test_an_index_older_than_the_archives_is_not_used(tmp_path: Path, home: Path) -> None:
    media = prepared(tmp_path / "m", {"s.tar": {"a.png": b"1"}})
    time.sleep(0.02)
    archive(media / "s.tar", {"new.png": b"0", "a.png": b"changed"})
    assert content(open_media(media, tmp_path), "a.png") == b"changed"
    assert list(home.rglob("*.members.sqlite"))


def test_an_index_of_other_archives_is_not_used(tmp_path: Path) -> None:
    media = prepared(tmp_path / "m", {"s.tar": {"a.png": b"1"}})
    archive(media / "t.tar", {"b.png": b"2"})
    assert content(open_media(media, tmp_path), "b.png") == b"2"


def test_a_folder_energon_prepared_has_facts(tmp_path: Path) -> None:
    media = prepared(tmp_path / "m", {"s.tar": {"a.png": b"1"}})
    (media / "s.tar").unlink()
    folder(media, {"a.png": b"1"})
    store = open_media(media, tmp_path)
    assert isinstance(store, FolderStore)
    assert store.metadata("a.png") == {"width": 1}


def test_the_real_energon_agrees(tmp_path: Path, home: Path) -> None:
    pytest.importorskip("megatron.energon")
    from click.testing import CliRunner
    from megatron.energon.cli.main import main

    members = {"a.png": b"1" * 10, "sub/b.tar.png": b"2" * 700, "c.png": b"3"}
    media = tmp_path / "m"
    archive(media / "shard_1.tar", dict(list(members.items())[:2]))
    archive(media / "shard_0.tar", dict(list(members.items())[2:]))
    words = ["prepare", str(media), "--non-interactive", "--skip-dataset-yaml"]
    result = CliRunner().invoke(main, [*words, "--split-parts", "train:.*", "--num-workers", "1"])
    assert result.exit_code == 0, result.output
    store = open_media(media, tmp_path)
    assert {name: content(store, name) for name in members} == members
    assert not list(home.rglob("*.members.sqlite")), "energon's own index was not used"
