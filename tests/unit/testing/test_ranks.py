"""Ranks on one machine."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from nanovl.testing import run_distributed


def add_ranks(rank: int, world_size: int, offset: int) -> tuple[int, float]:
    total = torch.tensor([float(rank + offset)])
    dist.all_reduce(total)
    return rank, float(total)


def seen_by_rank(rank: int, world_size: int) -> tuple[str, str | None]:
    return os.environ["NANOVL_HOME"], os.environ.get("NANOVL_LOG")


def fail_on_one(rank: int, world_size: int) -> None:
    if rank == 1:
        raise ArithmeticError("rank one gives up")
    dist.barrier()


def test_ranks_talk_to_each_other() -> None:
    assert run_distributed(add_ranks, 2, 10) == [(0, 21.0), (1, 21.0)]


@pytest.mark.parametrize("level", ["debug", None, "error"])
def test_ranks_have_the_variables_of_their_caller(
    home: Path, monkeypatch: pytest.MonkeyPatch, level: str | None
) -> None:
    if level:
        monkeypatch.setenv("NANOVL_LOG", level)
    assert run_distributed(seen_by_rank, 2) == [(str(home), level)] * 2


def test_a_failing_rank_fails_the_call() -> None:
    with pytest.raises(RuntimeError, match="ArithmeticError: rank one gives up"):
        run_distributed(fail_on_one, 2)


def wait_for_ever(rank: int, world_size: int) -> None:
    time.sleep(600)


def test_ranks_that_hang_are_stopped() -> None:
    with pytest.raises(TimeoutError, match="2 ranks did not finish within 3 s"):
        run_distributed(wait_for_ever, 2, timeout_s=3.0)
