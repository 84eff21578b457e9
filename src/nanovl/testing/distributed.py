"""Several ranks on one machine, to compare with one."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

__all__ = ["run_distributed"]


def run_distributed(
    fn: Callable[..., Any], world_size: int = 2, *args: Any, timeout_s: float = 100.0
) -> list[Any]:
    """Run `fn(rank, world_size, *args)` in `world_size` processes joined by gloo.

    Args:
        fn: A function at the top of a module; the processes are fresh interpreters and import it.
        world_size: Number of processes, each with one thread.
        args: Further arguments; they and the results are pickled.
        timeout_s: Give up after this many seconds.

    Returns:
        What every rank returned, in rank order.

    Raises:
        torch.multiprocessing.ProcessRaisedException: A rank failed; carries its traceback.
        TimeoutError: The ranks did not finish in time; they have been stopped.
    """
    with tempfile.TemporaryDirectory() as folder:
        context = mp.start_processes(  # type: ignore[no-untyped-call]
            _rank, args=(fn, world_size, folder, args), nprocs=world_size, join=False
        )
        if not _join(context, timeout_s):
            for process in context.processes:
                process.kill()
            raise TimeoutError(f"{world_size} ranks did not finish within {timeout_s:g} s")
        return [
            torch.load(Path(folder, f"result{rank}"), weights_only=False)
            for rank in range(world_size)
        ]


def _join(context: Any, timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if context.join(timeout=1.0):
            return True
    return False


def _rank(
    rank: int, fn: Callable[..., Any], world_size: int, folder: str, args: tuple[Any, ...]
) -> None:
    torch.set_num_threads(1)
    store = dist.FileStore(str(Path(folder, "store")), world_size)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=world_size)
    try:
        torch.save(fn(rank, world_size, *args), Path(folder, f"result{rank}"))
        dist.barrier()
    finally:
        dist.destroy_process_group()
