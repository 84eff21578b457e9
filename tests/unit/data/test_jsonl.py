"""nanovl.data.jsonl: lines in order and at random, and what is said about broken ones."""

from __future__ import annotations

import gzip
import json
import multiprocessing
import os
import pickle
import time
from pathlib import Path

import pytest

from nanovl.core.errors import InputError
from nanovl.data import jsonl
from nanovl.data.jsonl import JsonlFile, read_jsonl

LINES = [b'{"n": 0}\n', b"\n", b'{"n": 1, "s": "\xc3\xa4"}\r\n', b"   \t\r\n", b'{"n": 2}']
EXPECTED = [(1, {"n": 0}), (3, {"n": 1, "s": "\u00e4"}), (5, {"n": 2})]


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.fixture(params=["a.jsonl", "a.jsonl.gz"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return written(tmp_path / request.param, b"".join(LINES))


def test_reading_in_order(path: Path) -> None:
    assert list(read_jsonl(path)) == EXPECTED
    assert list(read_jsonl(str(path))) == EXPECTED


def test_reading_at_random(path: Path) -> None:
    file = JsonlFile(path)
    assert len(file) == 3
    assert [(file.line_number(i), file[i]) for i in (2, 0, 1)] == [EXPECTED[i] for i in (2, 0, 1)]
    assert file.where(1) == f"{path.name}:3"
    assert file.line(0) == b'{"n": 0}'
    assert file.size_bytes == sum(map(len, LINES))
    for index in (-1, 3):
        with pytest.raises(IndexError, match=f"object {index} of 3"):
            file[index]


@pytest.mark.parametrize(
    "data", [b"", b"\n\n", b"{}", b"{}\n", b"{}\n\n\n", b"\n{}", b"[1]\n[2]\n"]
)
@pytest.mark.parametrize("block", [1, 3, 1 << 24])
def test_both_ways_agree(
    data: bytes, block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsonl, "_BLOCK", block)
    path = written(tmp_path / "a.jsonl", data)
    file = JsonlFile(path)
    assert [(file.line_number(i), file[i]) for i in range(len(file))] == list(read_jsonl(path))


def test_a_byte_order_mark_is_no_content(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", b"\xef\xbb\xbf{}\n")
    assert JsonlFile(path)[0] == {}
    assert list(read_jsonl(path)) == [(1, {})]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b'{"a": }', ":2:7: not JSON"),
        (b'{"a": "\xff"}', ":2:8: not UTF-8 text"),
        (b"[" * 100_000, ":2: not JSON that can be read: nested too deeply"),
    ],
)
def test_a_broken_line_is_named(line: bytes, problem: str, tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", b"{}\n" + line + b"\n{}\n")
    rows = read_jsonl(path)
    assert next(rows) == (1, {})
    with pytest.raises(InputError, match="not ") as caught:
        next(rows)
    assert problem in str(caught.value)
    file = JsonlFile(path)
    with pytest.raises(InputError, match="not ") as caught:
        file[1]
    assert problem in str(caught.value)
    assert file[2] == {}


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_a_missing_file(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        list(read_jsonl(tmp_path / name))
    with pytest.raises(InputError, match="no such file"):
        JsonlFile(tmp_path / name)


@pytest.mark.parametrize("data", [b"no gzip", gzip.compress(b"{}\n" * 1000, mtime=0)[:-20]])
def test_a_damaged_gzip_file(data: bytes, tmp_path: Path, home: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(data)
    with pytest.raises(InputError, match="damaged or cut off gzip"):
        list(read_jsonl(path))
    with pytest.raises(InputError, match="damaged or cut off gzip"):
        JsonlFile(path)
    assert not [p for p in home.rglob("*") if p.suffix in (".jsonl", ".tmp")]


def test_a_gzip_file_is_unpacked_once(tmp_path: Path, home: Path) -> None:
    path = written(tmp_path / "a.jsonl.gz", b"{}\n")
    assert len(JsonlFile(path)) == 1
    (copy,) = home.rglob("*.jsonl")
    before = copy.stat().st_mtime_ns
    assert len(JsonlFile(path)) == 1
    assert copy.stat().st_mtime_ns == before
    written(path, b"{}\n{}\n")
    os.utime(path, ns=(1, time.time_ns() + 10**9))
    assert len(JsonlFile(path)) == 2


def test_without_a_place_for_the_copy_the_error_says_so(tmp_path: Path, home: Path) -> None:
    path = written(tmp_path / "a.jsonl.gz", b"{}\n")
    (home / "cache").write_text("in the way")
    with pytest.raises(InputError, match=r"unpacked copy.*set NANOVL_HOME"):
        JsonlFile(path)


def test_offsets_of_large_files_are_remembered(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsonl, "_LARGE", 1)
    path = written(tmp_path / "a.jsonl", b"".join(LINES))
    for _ in range(2):
        file = JsonlFile(path)
        assert [(file.line_number(i), file[i]) for i in range(len(file))] == EXPECTED
    (table,) = home.rglob("*.offsets.npy")
    table.write_bytes(table.read_bytes()[:-1])  # cut off: made again
    assert [JsonlFile(path)[i] for i in range(3)] == [obj for _, obj in EXPECTED]
    table.unlink()
    monkeypatch.setattr(jsonl, "_scan", lambda *_: pytest.fail("scanned twice"))
    with pytest.raises(pytest.fail.Exception):
        JsonlFile(path)


def _second(file: JsonlFile) -> object:
    return file[1]


def test_it_travels_to_other_processes(path: Path) -> None:
    file = JsonlFile(path)
    assert pickle.loads(pickle.dumps(file))[1] == file[1]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(_second, (file,)) == file[1]


def test_large_files_are_scanned_fast(tmp_path: Path) -> None:
    line = json.dumps({"id": "x" * 40}).encode() + b"\n"
    path = written(tmp_path / "a.jsonl", line * 200_000)
    start = time.perf_counter()
    file = JsonlFile(path)
    assert time.perf_counter() - start < 2.0
    assert len(file) == 200_000
    assert file[199_999]["id"] == "x" * 40
