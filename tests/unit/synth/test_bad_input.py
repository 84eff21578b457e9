"""Whatever goes wrong in a run has a name, and what is complete is kept."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from nanovl.core.errors import BackendError, CapacityError, ConfigError
from nanovl.synth import pool
from nanovl.synth.claim import alone
from nanovl.synth.run import Job, run
from tests.unit.synth.fakes import digests, fakes  # noqa: F401  # a fixture

pytestmark = pytest.mark.usefixtures("fakes")


def job(out: Path, count: int = 9, **config: Any) -> Job:
    return Job(generator="fake", out=out, count=count, shard_size=3, config=config)


def test_what_a_generator_raises_is_counted_by_its_class(tmp_path: Path) -> None:
    given = {"bug": 1, "reject": 2, "refuse": 3, "unwritable": 4, "nan": 5}
    totals = run(job(tmp_path / "set", **given))
    assert (totals.samples, totals.lost) == (4, 5)
    assert totals.rejects == {
        "crash:InputError": 8,
        "crash:ValueError": 4,
        "crash:ZeroDivisionError": 4,
        "never": 4,
    }
    assert totals.examples["crash:ZeroDivisionError"].startswith("index 1, attempt 0: a bug at <")
    assert "0x..." in totals.examples["crash:ZeroDivisionError"]
    records = (tmp_path / "set" / "set.jsonl").read_text().splitlines()
    assert len(records) == totals.records == 4


@pytest.mark.parametrize("workers", [1, 2])
def test_a_program_that_goes_away_ends_the_run(tmp_path: Path, workers: int) -> None:
    with pytest.raises(BackendError, match="chromium went away"):
        run(job(tmp_path / "set", no_program=4), workers=workers)
    again = run(job(tmp_path / "other"), workers=workers)
    assert again.samples == 9


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_is_said_and_continued(tmp_path: Path, workers: int) -> None:
    """Files may not grow beyond 64 KiB: the write fails as on a full disk."""
    out = tmp_path / "set"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, before[1]))
    try:
        with pytest.raises(CapacityError, match=r"disk is full.*run the same command again"):
            run(job(out, media_bytes=30_000), workers=workers)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(out.rglob("*.done.json"))
    totals = run(job(out, media_bytes=30_000), workers=workers)
    run(job(tmp_path / "whole" / "set", media_bytes=30_000))
    assert totals.samples == 9
    assert not list(out.rglob(".tmp-*"))
    assert digests(out) == digests(tmp_path / "whole" / "set")


def test_a_full_disk_of_the_generator_is_no_fault_of_the_sample(tmp_path: Path) -> None:
    with pytest.raises(CapacityError, match="index 4: No space left"):
        run(job(tmp_path / "set", full=4))


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_without_permission_is_named(tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(ConfigError, match="cannot be written"):
        run(job(tmp_path / "locked" / "set"))


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "set").write_text("x")
    with pytest.raises(ConfigError, match="set: cannot be written"):
        run(job(tmp_path / "set"))
    (tmp_path / "dev").symlink_to("/proc/self/nothing")
    with pytest.raises(ConfigError, match="cannot be written"):
        run(job(tmp_path / "dev" / "set"))


DAMAGE = {
    "no JSON": lambda done: done.write_text("{"),
    "another kind": lambda done: done.write_text("[1, 2]"),
    "no numbers": lambda done: done.write_text(
        json.dumps(json.loads(done.read_text()) | {"samples": "three"})
    ),
    "no files": lambda done: done.write_text(
        json.dumps(json.loads(done.read_text()) | {"files": {}, "bytes": {}})
    ),
    "bytes": lambda done: done.write_bytes(b"\xff\xfe"),
    "cut records": lambda done: done.with_name("000001.jsonl").write_bytes(b"{}\n"),
    "lost truth": lambda done: done.with_name("000001.gt.jsonl").unlink(),
}


@pytest.mark.parametrize("kind", sorted(DAMAGE))
def test_a_damaged_shard_is_made_again(tmp_path: Path, kind: str) -> None:
    out = tmp_path / "set"
    run(job(out, media_bytes=10))
    expected = digests(out)
    DAMAGE[kind](out / "shards" / "000001.done.json")
    totals = run(job(out, media_bytes=10))
    assert totals.reused == 2
    assert digests(out) == expected


def test_changed_bytes_are_found_by_verify(tmp_path: Path) -> None:
    out = tmp_path / "set"
    run(job(out, media_bytes=10))
    expected = digests(out)
    tar = out / "media" / "shard_000002.tar"
    tar.write_bytes(tar.read_bytes().replace(b"\x89", b"\x88", 1))
    assert run(job(out, media_bytes=10)).reused == 3
    assert digests(out) != expected
    assert run(job(out, media_bytes=10), verify=True).reused == 2
    assert digests(out) == expected


def test_a_damaged_claim_is_not_overwritten(tmp_path: Path) -> None:
    run(job(tmp_path / "set"))
    (tmp_path / "set" / "synth.json").write_text("{")
    with pytest.raises(ConfigError, match=r"synth.json: is damaged"):
        run(job(tmp_path / "set"))


def test_nothing_is_written_again_when_all_is_there(tmp_path: Path) -> None:
    run(job(tmp_path / "set", media_bytes=5))
    paths = [p for p in (tmp_path / "set").rglob("*") if p.is_file() and p.name != "synth.json"]
    before = {p: p.stat().st_mtime_ns for p in paths if p.name != ".lock"}
    assert run(job(tmp_path / "set", media_bytes=5)).reused == 3
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_two_runs_on_one_folder_are_refused(tmp_path: Path) -> None:
    out = tmp_path / "set"
    with alone(out), pytest.raises(ConfigError, match="another run is working"):
        run(job(out))
    assert run(job(out)).samples == 9


def test_a_worker_killed_once_leaves_no_trace(tmp_path: Path) -> None:
    config = {"kill": 4, "once": str(tmp_path / "killed")}
    totals = run(job(tmp_path / "a" / "set", **config), workers=2)
    assert (tmp_path / "killed").exists()
    assert (totals.samples, totals.lost) == (9, 0)
    run(job(tmp_path / "b" / "set", **config))  # the mark is there: nothing happens
    assert digests(tmp_path / "a" / "set") == digests(tmp_path / "b" / "set")


def test_a_sample_that_kills_three_workers_is_given_up(tmp_path: Path) -> None:
    totals = run(job(tmp_path / "set", kill=4), workers=2)
    assert (totals.samples, totals.lost, totals.rejects) == (8, 1, {"crash": 1})
    assert totals.examples["crash"] == "index 4: killed its worker 3 times"
    assert not list((tmp_path / "set").rglob(".tmp-*"))


def test_a_worker_that_is_stuck_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sample ignores its alarm; the driver sees that it does not move."""
    monkeypatch.setattr(pool, "_SLACK_S", 0.3)
    monkeypatch.setattr(pool, "TICK_S", 0.05)
    stuck = Job(
        generator="fake",
        out=tmp_path / "set",
        count=4,
        shard_size=2,
        config={"stuck": 1},
        timeout_s=0.05,
    )
    totals = run(stuck, workers=2)
    assert (totals.samples, totals.rejects) == (3, {"crash": 1})


def test_workers_that_cannot_start_are_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "attempt", lambda shard: os._exit(1))
    with pytest.raises(BackendError, match="3 workers died before their first sample"):
        run(job(tmp_path / "set"), workers=2)


def test_progress_tells_samples_and_time_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "TICK_S", 0.05)
    events = []
    run(job(tmp_path / "set", slow_s=0.05), workers=2, on_event=events.append)
    assert events[-1].done == events[-1].total == 9
    dones = [event.done for event in events]
    assert dones == sorted(dones)
    assert any(0 < done < 9 and done % 3 for done in dones)  # within a shard
    lefts = [e.data["seconds_left"] for e in events if e.data["seconds_left"] is not None]
    assert lefts
    assert lefts[-1] == 0


def test_settings_that_mean_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="timeout_s"):
        Job(generator="fake", out=tmp_path, count=1, timeout_s=0)
    with pytest.raises(ConfigError, match="workers"):
        run(job(tmp_path / "set"), workers=0)


@pytest.mark.slow
def test_a_killed_driver_takes_its_workers_along(tmp_path: Path) -> None:
    """Orphans would go on writing beside the next run."""
    import psutil

    out = tmp_path / "set"
    words = ["synth", "run", "scenes-2d", str(out), "--count", "4000", "--workers", "2"]
    process = subprocess.Popen(
        [sys.executable, "-m", "nanovl", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while not list(out.glob("shards/.tmp-at-*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(children, timeout=30)
    assert not alive
