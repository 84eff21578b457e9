"""nanovl.data.cache: files that are there completely or not at all, made by one process."""

from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path

import pytest

from nanovl.data.cache import cache_file, file_identity, locked, replacing


def test_places_depend_on_the_identity(home: Path) -> None:
    one, two = cache_file("a", ".x"), cache_file("b", ".x")
    assert one == cache_file("a", ".x") != two
    assert one.is_relative_to(home)
    assert one.suffix == ".x"
    assert not one.parent.exists()


def test_identities_change_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"1")
    before = file_identity(path)
    assert file_identity(path) == before
    os.utime(path, ns=(0, 5))
    assert file_identity(path) != before
    with pytest.raises(FileNotFoundError):
        file_identity(tmp_path / "b")


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "file"
    with replacing(target) as new:
        new.write_bytes(b"whole")
        assert not target.exists()
    assert target.read_bytes() == b"whole"

    def interrupted() -> None:
        with replacing(target) as new:
            new.write_bytes(b"half")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        interrupted()
    assert target.read_bytes() == b"whole"
    assert os.listdir(target.parent) == ["file"]


def _hold(target: Path, log: Path) -> None:
    with locked(target):
        with log.open("a") as file:
            file.write("in\n")
        time.sleep(0.1)
        with log.open("a") as file:
            file.write("out\n")


def test_one_process_at_a_time(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    log = tmp_path / "log"
    workers = [context.Process(target=_hold, args=(tmp_path / "x", log)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert log.read_text().split() == ["in", "out"] * 3
