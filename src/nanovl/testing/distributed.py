"""Several ranks on one machine, to compare with one.

The only place outside training that makes process groups.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import ProcessException, start_processes

from nanovl.core import paths

__all__ = ["run_distributed"]


def run_distributed(
    fn: Callable[..., Any], world_size: int = 2, *args: Any, timeout_s: float = 100.0
) -> list[Any]:
    """Run `fn(rank, world_size, *args)` in `world_size` processes joined by gloo.

    Args:
        fn: A function at the top of a module, which the processes import. They share nothing with
            this one: they are forked from an interpreter of their own, which lives as long as this
            process and has imported torch once for all of them.
        world_size: Number of processes, each with one thread.
        args: Further arguments; they and the results are pickled.
        timeout_s: Give up after this many seconds.

    Returns:
        What every rank returned, in rank order.

    Raises:
        RuntimeError: A rank failed; carries the traceback of the first one that did.
        TimeoutError: The ranks did not finish in time; they have been stopped.
    """
    # Taken by the first call; the modules of others are imported by every process for itself.
    multiprocessing.set_forkserver_preload([__name__, fn.__module__])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        context = start_processes(  # type: ignore[no-untyped-call]
            _rank,
            args=(fn, world_size, folder, paths.settings(), args),
            nprocs=world_size,
            join=False,
            start_method="forkserver",
        )
        try:
            finished = _join(context, timeout_s)
        except ProcessException as error:
            # The rank reported here may be a victim that lost its peer.
            errors = sorted(folder.glob("error*"), key=lambda p: p.stat().st_mtime_ns)
            text = errors[0].read_text(encoding="utf-8") if errors else str(error)
            raise RuntimeError(f"one of {world_size} ranks failed: {text}") from None
        if not finished:
            for process in context.processes:
                process.kill()
            raise TimeoutError(f"{world_size} ranks did not finish within {timeout_s:g} s")
        return [
            torch.load(folder / f"result{rank}", weights_only=False) for rank in range(world_size)
        ]


def _join(context: Any, timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if context.join(timeout=1.0):
            return True
    return False


def _rank(
    rank: int,
    fn: Callable[..., Any],
    world_size: int,
    folder: Path,
    settings: dict[str, str],
    args: tuple[Any, ...],
) -> None:
    paths.take_settings(settings)
    torch.set_num_threads(1)
    store = (folder / "store").as_uri()
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=world_size)
    try:
        torch.save(fn(rank, world_size, *args), folder / f"result{rank}")
        dist.barrier()
    except BaseException:
        text = f"rank {rank}\n{traceback.format_exc()}"
        (folder / f"error{rank}").write_text(text, encoding="utf-8")
        raise
    finally:
        dist.destroy_process_group()
