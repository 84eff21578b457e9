"""The same bytes on Ray: workers killed, samples that kill, drivers killed, wrong addresses.

Needs Ray (extra `ray`). Tests of a Ray that runs already share one; the others start a small one.
"""

from __future__ import annotations

import contextlib
import functools
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from nanovl.core.errors import BackendError, ConfigError
from nanovl.synth import cluster
from nanovl.synth.cluster import Needs
from nanovl.synth.run import Job, run
from tests.unit.synth import fakes
from tests.unit.synth.fakes import digests

ray = pytest.importorskip("ray", reason="needs Ray: pip install 'nanovl[ray]'")
from ray._private import services  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    # Ray leaves sockets and log files to the end of the process.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture(scope="module", autouse=True)
def _no_process_of_ray_stays() -> Iterator[None]:
    before = set(psutil.Process().children(recursive=True))
    yield
    left = [p for p in psutil.Process().children(recursive=True) if p not in before]
    left = [p for p in left if not _serves_multiprocessing(p)]
    psutil.wait_procs(left, timeout=20)
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def _serves_multiprocessing(process: psutil.Process) -> bool:
    """Whether it stays for later tests of this process."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return any("multiprocessing" in word for word in process.cmdline())
    return False


@pytest.fixture(scope="class")
def with_fakes() -> Iterator[None]:
    """A Ray whose workers know the fake generators."""
    root = str(Path(__file__).parents[3])
    with pytest.MonkeyPatch.context() as patch:
        for name in fakes.NAMES:
            patch.delitem(fakes.registry.GENERATORS, name, raising=False)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        fakes.register()
        ray.init(
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            object_store_memory=80 << 20,
            runtime_env={
                "env_vars": {"PYTHONPATH": root},
                "worker_process_setup_hook": "tests.unit.synth.fakes.register",
            },
        )
        yield
        ray.shutdown()
        for name in fakes.NAMES:
            fakes.registry.GENERATORS.pop(name, None)


def job(out: Path, count: int = 12, **config: Any) -> Job:
    return Job(generator="fake", out=out, count=count, shard_size=3, config=config)


def test_ray_and_one_process_make_the_same_bytes(tmp_path: Path) -> None:
    given = {"generator": "scenes-2d", "count": 16, "shard_size": 4}
    run(Job(out=tmp_path / "a" / "set", **given))  # type: ignore[arg-type]
    events = []
    totals = run(
        Job(out=tmp_path / "b" / "set", **given),  # type: ignore[arg-type]
        workers=2,
        ray="local",
        on_event=events.append,
    )
    assert totals.samples + totals.lost == 16
    assert events[-1].done == events[-1].total == 16
    assert digests(tmp_path / "a" / "set") == digests(tmp_path / "b" / "set")
    assert not ray.is_initialized()


@pytest.mark.usefixtures("with_fakes")
class TestRunningRay:
    """One Ray for all of them: it outlives whatever happens to its workers."""

    def test_a_worker_killed_from_outside_in_mid_shard(self, tmp_path: Path) -> None:
        """`kill -9` of a Ray worker while it works on a sample."""
        slow = job(tmp_path / "a" / "set", slow_s=0.15)
        killed: list[int] = []

        def kill() -> None:
            deadline = time.monotonic() + 60
            while not killed and time.monotonic() < deadline:
                time.sleep(0.02)
                if not any(slow.out.glob("shards/.tmp-at-*")):
                    continue
                for process in psutil.Process().children(recursive=True):
                    with contextlib.suppress(psutil.NoSuchProcess):
                        if (process.cmdline() or [""])[0].startswith("ray::set:"):
                            process.kill()
                            killed.append(process.pid)
                            return

        thread = threading.Thread(target=kill)
        thread.start()
        totals = run(slow, workers=2, ray="auto")
        thread.join()
        assert killed
        assert (totals.samples, totals.lost) == (12, 0)
        run(job(tmp_path / "b" / "set", slow_s=0.15))
        assert digests(tmp_path / "a" / "set") == digests(tmp_path / "b" / "set")

    def test_a_sample_that_kills_every_worker_is_given_up(self, tmp_path: Path) -> None:
        totals = run(job(tmp_path / "set", kill=4, bug=7), workers=2, ray="auto")
        assert (totals.samples, totals.lost) == (10, 2)
        assert totals.rejects == {"crash": 1, "crash:ZeroDivisionError": 4}
        assert not list((tmp_path / "set").rglob(".tmp-*"))

    def test_errors_come_back_as_they_are(self, tmp_path: Path) -> None:
        with pytest.raises(BackendError, match="chromium went away"):
            run(job(tmp_path / "set", no_program=4), workers=2, ray="auto")

    def test_resources_nobody_has_are_named(self, tmp_path: Path) -> None:
        wanted = Job(
            generator="fake", out=tmp_path / "set", count=3, needs=Needs(resources={"text": 1.0})
        )
        with pytest.raises(ConfigError, match="no node has the resource 'text'"):
            run(wanted, workers=2, ray="auto")

    def test_it_goes_on_running(self, tmp_path: Path) -> None:
        assert run(job(tmp_path / "set", count=3), workers=2, ray="auto").samples == 3
        assert ray.is_initialized()


def test_named_resources_and_memory_on_a_local_ray(tmp_path: Path) -> None:
    needs = Needs(num_cpus=0.5, memory_mb=64, resources={"tex": 1.0})
    wanted = Job(generator="text-maths", out=tmp_path / "set", count=4, shard_size=2, needs=needs)
    assert run(wanted, workers=2, ray="local").samples == 4
    assert needs.options() == {
        "num_cpus": 0.5,
        "max_retries": cluster._RETRIES,
        "memory": 64 << 20,
        "resources": {"tex": 1.0},
    }


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "nowhere", "a:b", "auto"])
def test_an_address_without_ray_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    # "auto" would find whichever Ray runs on this machine.
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(services, "find_gcs_addresses", functools.cache(frozenset))
    monkeypatch.setattr(services, "find_bootstrap_address", lambda temp_dir: None)
    wanted = Job(generator="text-maths", out=tmp_path / "set", count=2)
    with pytest.raises(BackendError, match=f"Ray at '{address}': cannot be reached"):
        run(wanted, workers=2, ray=address)


@pytest.mark.timeout(400)
def test_a_killed_driver_takes_ray_along_and_is_continued(tmp_path: Path) -> None:
    given = {"generator": "scenes-2d", "count": 100, "shard_size": 5}
    out = tmp_path / "b" / "set"
    words = ["synth", "run", "scenes-2d", str(out), "--count", "100", "--shard-size", "5"]
    process = subprocess.Popen(
        [sys.executable, "-m", "nanovl", *words, "--workers", "2", "--ray", "local"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 90
    while len(list(out.glob("shards/*.done.json"))) < 3 and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.02)
    children = psutil.Process(process.pid).children(recursive=True)
    names = {p.pid: " ".join(p.cmdline()) for p in children}
    process.kill()
    process.wait()
    # Ray's agents, which only report, take longer.
    workers = [p for p in children if "Agent" not in names[p.pid]]
    assert workers
    _, alive = psutil.wait_procs(workers, timeout=60)
    for agent in children:
        with contextlib.suppress(psutil.NoSuchProcess):
            agent.kill()
    assert not alive
    totals = run(Job(out=out, **given), workers=2, ray="local")  # type: ignore[arg-type]
    assert totals.reused >= 3
    run(Job(out=tmp_path / "a" / "set", **given))  # type: ignore[arg-type]
    assert digests(tmp_path / "a" / "set") == digests(out)
