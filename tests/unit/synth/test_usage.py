"""Processor time of programs counts, whichever way it comes back to this process."""

from __future__ import annotations

from pathlib import Path

import pytest

from nanovl.synth.base import Reject, Sample, Streams
from nanovl.synth.shards import Shard, make_shard
from nanovl.synth.tex.sandbox import Limits, Sandbox
from nanovl.synth.usage import cpu_seconds, note_unseen

SPIN = ["sh", "-c", "i=0; while [ $i -lt 120000 ]; do i=$((i+1)); done"]


def test_noted_seconds_are_added_once_and_never_taken_away() -> None:
    before = cpu_seconds()
    note_unseen(5.0)
    note_unseen(-3.0)
    assert 5.0 <= cpu_seconds() - before < 5.5


@pytest.mark.parametrize("is_isolated", [False, True])
def test_a_sandboxed_program_counts_once(tmp_path: Path, is_isolated: bool) -> None:
    if is_isolated and not Sandbox(tmp_path).is_isolated:
        pytest.skip("bubblewrap does not work here")
    sandbox = Sandbox(tmp_path, isolate=is_isolated)
    before = cpu_seconds()
    result = sandbox.run(SPIN)
    spent = cpu_seconds() - before
    assert result.cpu_s > 0.04
    assert result.cpu_s <= spent + 0.02 <= 1.5 * result.cpu_s + 0.3


def test_a_program_that_was_stopped_counts(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path, Limits(wall_s=2.0, cpu_s=60))
    before = cpu_seconds()
    result = sandbox.run(["sh", "-c", "while :; do :; done"])
    assert result.failure == "timeout"
    assert result.cpu_s > 0.1
    assert cpu_seconds() - before >= result.cpu_s - 0.05


class _Spinner:
    name, version, requires, config = "spinner", "1", (), None

    def __init__(self, work: Path) -> None:
        self.sandbox = Sandbox(work)

    def generate(self, index: int, streams: Streams) -> Sample:
        self.sandbox.run(SPIN)
        raise Reject("none", "only the time matters")


def test_the_done_file_of_a_shard_has_the_time_of_its_programs(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    generator = _Spinner(work)
    shard = Shard(generator="spinner", number=0, start=0, stop=1, out=tmp_path / "out")
    result = make_shard(shard, generator)  # type: ignore[arg-type]
    assert result["lost"] == 1
    assert result["cpu_s"] >= generator.sandbox.cpu_s - 0.05 > 0.1
