"""Shards: the same bytes with any number of workers, after any interruption."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nanovl.core.errors import BackendError, ConfigError
from nanovl.data.blend import load_blend
from nanovl.data.records import Record
from nanovl.synth import registry
from nanovl.synth.base import Answer, Reject, Requirement, Sample, Streams, Task, seed_of
from nanovl.synth.registry import GENERATORS, create
from nanovl.synth.run import Job, run
from nanovl.synth.shards import make_sample


def digests(folder: Path) -> dict[str, str]:
    """Hash of every file but the done files, which hold times."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(".done.json") and path.name != "synth.json"
    }


def test_worked_seed() -> None:
    text = b"maths|1|abc|train|7|0"
    expected = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")
    assert seed_of("maths", "1", "abc", "train", 7) == expected
    assert seed_of("maths", "1", "abc", "train", 7, 1) != expected


def test_streams_do_not_shift_each_other() -> None:
    a, b = Streams(5), Streams(5)
    a.rng("layout").random()
    a.np("content").random(10)
    assert a.rng("content").random() == b.rng("content").random()
    assert a.np("style").random() == b.np("style").random()


@pytest.mark.parametrize("generator", ["scenes-2d", "text-maths"])
def test_workers_do_not_change_a_byte(tmp_path: Path, generator: str) -> None:
    folders = [tmp_path / f"{workers}" / "set" for workers in (1, 2)]
    for workers, out in zip((1, 2), folders, strict=True):
        totals = run(Job(generator=generator, out=out, count=14, shard_size=4), workers=workers)
        assert totals.samples + totals.lost == 14
        assert totals.path is not None
    assert digests(folders[0]) == digests(folders[1])
    lines = (folders[0] / "set.jsonl").read_text().splitlines()
    records = [Record.from_json(json.loads(line)) for line in lines]
    assert len({r.id for r in records}) == len(records)
    (source,) = load_blend(folders[0])
    assert source.path.name == "set.jsonl"


@pytest.mark.slow
def test_a_run_killed_twice_ends_with_the_same_bytes(tmp_path: Path) -> None:
    job = {"generator": "scenes-2d", "count": 60, "shard_size": 5}
    run(Job(out=tmp_path / "a" / "set", **job))  # type: ignore[arg-type]
    out = tmp_path / "b" / "set"
    words = ["synth", "run", "scenes-2d", str(out), "--count", "60", "--shard-size", "5"]
    command = [sys.executable, "-m", "nanovl", *words, "--workers", "2"]
    for goal in (2, 6):
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if len(list(out.glob("shards/*.done.json"))) >= goal:
                break
            time.sleep(0.005)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    totals = run(Job(out=out, **job))  # type: ignore[arg-type]
    assert totals.reused >= 2
    assert digests(tmp_path / "a" / "set") == digests(out)


def test_another_data_set_in_the_folder_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "set"
    run(Job(generator="text-maths", out=out, count=4, shard_size=2))
    run(Job(generator="text-maths", out=out, count=6, shard_size=2))  # longer is fine
    with pytest.raises(ConfigError, match="split 'train' -> 'val'"):
        run(Job(generator="text-maths", out=out, count=4, shard_size=2, split="val"))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("x")
    with pytest.raises(ConfigError, match="not empty"):
        run(Job(generator="text-maths", out=tmp_path / "other", count=1))


def test_names_and_settings_are_checked(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'text-maths'"):
        create("text-math")
    with pytest.raises(ConfigError, match="count"):
        Job(generator="text-maths", out=tmp_path, count=0)
    with pytest.raises(ConfigError):
        create("text-maths", {"no_such_setting": 1})
    assert list(GENERATORS) == sorted(GENERATORS)


@dataclass(frozen=True)
class _Config:
    kill: int = -1


class Fragile:
    """Rejects, fails and dies at chosen indices."""

    name = "fragile"
    version = "1"
    requires = ()

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config = _Config(**config)

    def generate(self, index: int, streams: Streams) -> Sample:
        if index == 1:
            raise Reject("never", "this index has no sample")
        if index == 2:
            raise ZeroDivisionError
        if index == self.config.kill:
            os.kill(os.getpid(), signal.SIGKILL)
        number = streams.rng("content").randint(0, 9)
        task = Task(
            task="echo",
            question=f"Say {number}.",
            answer_text=str(number),
            answer=Answer(type="number", value=number),
            verifier="number",
        )
        return Sample(
            generator=self.name, version=self.version, seed=streams.seed, gt={}, tasks=(task,)
        )


def test_rejections_and_crashes_are_counted_by_name() -> None:
    assert make_sample(Fragile({}), "train", 0)[0] is not None
    sample, reasons = make_sample(Fragile({}), "train", 1)
    assert sample is None
    assert reasons == {"never": 4}
    assert make_sample(Fragile({}), "train", 2)[1] == {"crash:ZeroDivisionError": 4}


def test_what_is_missing_is_named() -> None:
    need = Requirement(name="no-such-program", kind="program", package="nsp", purpose="this test")
    with pytest.raises(BackendError, match="apt install nsp"):
        need.check()


def test_a_sample_that_kills_its_worker_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forked here, so that the workers know the generator of this test."""
    import multiprocessing

    from nanovl.synth import pool as module

    entry = registry.Entry(module="pool", factory="fragile", description="")
    monkeypatch.setitem(GENERATORS, "fragile", entry)
    monkeypatch.setattr(module, "fragile", Fragile, raising=False)
    fork = multiprocessing.get_context("fork")
    monkeypatch.setattr(module.multiprocessing, "get_context", lambda name: fork)
    job = Job(generator="fragile", out=tmp_path / "set", count=6, shard_size=3, config={"kill": 4})
    totals = run(job, workers=2)
    assert totals.samples == 3
    assert totals.lost == 3
    assert totals.rejects["crash"] == 1
