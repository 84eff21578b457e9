"""Checkpoints of a run: sharded, written in the background, complete or not there.

    checkpoints/step-00000100/
        weights and optimizer shards of torch.distributed.checkpoint
        dataloader/dp00000.pt ...      where every data stream stands
        rng/rank00000.pt ...           random generators of every rank
        manifest.json                  written last; a folder without it does not count

A checkpoint is made in a folder named tmp-*, and renamed once every rank's part is on disk. A
process that is killed at any point leaves either the folder before or the folder after. Must not
know what the state means.

Source: training specification, sections 8.1 and 8.2.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.format_utils import dcp_to_torch_save
from torch.distributed.checkpoint.state_dict import (
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import async_save, save

from nanovl import __version__
from nanovl.core.errors import CheckpointError
from nanovl.train.parallel import World

__all__ = ["Checkpointer", "read_weights", "rng_state", "set_rng_state"]

_NAME = re.compile(r"step-(\d{8})")


class Checkpointer:
    """Saves and restores the state of a run.

    Args:
        folder: Where checkpoints go.
        world: The ranks; every method but `latest` is called by all of them.
        keep: Checkpoints to keep; older ones are deleted, 0 keeps all.
        milestone: Checkpoints of updates that are multiples of this are never deleted.
        background: Write while training goes on.
        facts: What a restored run must agree with (sizes, config hash); stored in the manifest.
    """

    def __init__(
        self,
        folder: Path,
        world: World,
        *,
        keep: int = 3,
        milestone: int | None = None,
        background: bool = True,
        facts: dict[str, Any] | None = None,
    ) -> None:
        self.folder = folder
        self.world = world
        self.keep = keep
        self.milestone = milestone
        self.background = background
        self.facts = facts or {}
        self._pending: tuple[Future[Any] | None, Path, Path, dict[str, Any]] | None = None

    def save(
        self,
        update: int,
        model: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        extra: dict[str, Any],
        loader: dict[str, Any] | None,
        averages: dict[str, torch.Tensor] | None = None,
        wait: bool = False,
    ) -> None:
        """Write a checkpoint; returns when the state has been copied.

        Args:
            update: Completed updates.
            model, optimizer: Sharded.
            extra: Counters and other small things, JSON; the same on every rank.
            loader: Where this rank's data stream stands; None on ranks that read no data.
            averages: Moving averages of parameters.
            wait: Return only when the checkpoint is complete.
        """
        self.finish()
        scratch = self.folder / f"tmp-{update:08d}"
        target = self.folder / f"step-{update:08d}"
        if self.world.is_main:
            shutil.rmtree(scratch, ignore_errors=True)
            for name in ("dataloader", "rng"):
                (scratch / name).mkdir(parents=True)
        self.world.barrier()
        if loader is not None:
            torch.save(loader, scratch / "dataloader" / f"dp{self.world.dp_rank:05d}.pt")
        torch.save(rng_state(), scratch / "rng" / f"rank{self.world.rank:05d}.pt")
        state: dict[str, Any] = {
            "model": get_model_state_dict(model),
            "optimizer": get_optimizer_state_dict(model, optimizer),
        }
        if averages:
            state["averages"] = averages
        self.world.barrier()
        manifest = {
            "nanovl": __version__,
            "torch": torch.__version__,
            "update": update,
            "world_size": self.world.size,
            "dp_size": self.world.dp_size,
            "cp": self.world.dims.cp,
            "wall_time": time.time(),
            "facts": self.facts,
            "extra": extra,
        }
        future: Future[Any] | None = None
        with _named(scratch, "written"):
            if self.background and not wait:
                future = async_save(  # type: ignore[assignment]
                    state, checkpoint_id=scratch, process_group=self.world.saving
                )
            else:
                save(state, checkpoint_id=scratch, process_group=self.world.saving)
        self._pending = (future, scratch, target, manifest)
        if future is None:
            self.finish()

    def poll(self) -> None:
        """Complete a background checkpoint if it is on disk; never waits."""
        if self._pending is not None and self._pending[0] is not None and self._pending[0].done():
            self.finish()

    def finish(self) -> None:
        """Wait for a background checkpoint and make it count."""
        if self._pending is None:
            return
        future, scratch, target, manifest = self._pending
        self._pending = None
        if future is not None:
            with _named(scratch, "written"):
                future.result()
        # The first rank's part is reported done only after every rank's data is on disk.
        if not self.world.is_main:
            return
        files = sorted(str(p.relative_to(scratch)) for p in scratch.rglob("*") if p.is_file())
        for name in files:
            _sync(scratch / name)
        path = scratch / "manifest.json"
        path.write_text(json.dumps(manifest | {"files": files}, indent=1), encoding="utf-8")
        _sync(path)
        shutil.rmtree(target, ignore_errors=True)
        scratch.rename(target)
        _sync(self.folder)
        self._forget_old()

    def _forget_old(self) -> None:
        found = [p for p in self.complete() if not self._is_milestone(p)]
        for folder in found[: -self.keep] if self.keep else []:
            # Under this name a half deleted folder does not count, and `clean` finds it.
            doomed = folder.rename(folder.with_name(f"tmp-old-{folder.name}"))
            shutil.rmtree(doomed)

    def _is_milestone(self, folder: Path) -> bool:
        return self.milestone is not None and int(folder.name[5:]) % self.milestone == 0

    def complete(self) -> list[Path]:
        """Complete checkpoints, oldest first."""
        if not self.folder.is_dir():
            return []
        return sorted(
            p
            for p in self.folder.iterdir()
            if _NAME.fullmatch(p.name) and (p / "manifest.json").is_file()
        )

    def latest(self) -> Path | None:
        """The newest complete checkpoint."""
        found = self.complete()
        return found[-1] if found else None

    def manifest(self, folder: Path) -> dict[str, Any]:
        """What a checkpoint says about itself.

        Raises:
            CheckpointError: No readable manifest, or one of its files is missing.
        """
        path = folder / "manifest.json"
        try:
            manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"{path}: cannot be read ({error}); this is no complete checkpoint, "
                "use another one or start anew"
            ) from error
        missing = [name for name in manifest["files"] if not (folder / name).is_file()]
        if missing:
            raise CheckpointError(
                f"{folder}: {len(missing)} of {len(manifest['files'])} files are missing, "
                f"{missing[0]} among them; use another checkpoint"
            )
        return manifest

    def restore(
        self,
        folder: Path,
        model: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        averages: dict[str, torch.Tensor] | None = None,
        reset_data: bool = False,
    ) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """Put a checkpoint back.

        Args:
            folder: A complete checkpoint.
            model, optimizer: Filled in place, whatever number of ranks wrote it.
            averages: Moving averages, filled in place.
            reset_data: Start the data anew instead of refusing another number of data streams.

        Returns:
            The manifest, and this data stream's state (None with `reset_data`).

        Raises:
            CheckpointError: Damaged, or made by a run this one cannot continue.
        """
        manifest = self.manifest(folder)
        state: dict[str, Any] = {
            "model": get_model_state_dict(model),
            "optimizer": get_optimizer_state_dict(model, optimizer),
        }
        if averages:
            state["averages"] = averages
        with _named(folder, "restored"):
            load(state, checkpoint_id=folder, process_group=self.world.saving)
        set_model_state_dict(model, state["model"])
        set_optimizer_state_dict(model, optimizer, state["optimizer"])
        if manifest["world_size"] == self.world.size:
            path = folder / "rng" / f"rank{self.world.rank:05d}.pt"
            set_rng_state(torch.load(path, weights_only=False))
        if reset_data:
            return manifest, None
        streams = sorted((folder / "dataloader").glob("dp*.pt"))
        if len(streams) != self.world.dp_size:
            raise CheckpointError(
                f"{folder}: holds the state of {len(streams)} data streams, this run has "
                f"{self.world.dp_size}; keep the number of data parallel ranks, or start the "
                "data anew with --reset-data"
            )
        path = folder / "dataloader" / f"dp{self.world.dp_rank:05d}.pt"
        return manifest, torch.load(path, weights_only=False)

    def clean(self) -> None:
        """Delete what an interrupted save left behind."""
        if self.world.is_main and self.folder.is_dir():
            for path in self.folder.glob("tmp-*"):
                shutil.rmtree(path)
        self.world.barrier()


@contextmanager
def _named(folder: Path, what: str) -> Iterator[None]:
    """Turn what goes wrong inside into one error that names the checkpoint."""
    try:
        yield
    except CheckpointException as error:  # no subclass of Exception
        first = min(error.failures)
        cause = error.failures[first][0]
        reason = f"rank {first}: {type(cause).__name__} {cause}".strip()
        raise CheckpointError(f"{folder}: cannot be {what} ({reason})") from error
    except Exception as error:
        raise CheckpointError(f"{folder}: cannot be {what} ({error})") from error


def read_weights(folder: Path) -> dict[str, torch.Tensor]:
    """Whole weights of a checkpoint as they are trained, without any ranks.

    Args:
        folder: A complete checkpoint.

    Raises:
        CheckpointError: It cannot be read.
    """
    with _named(folder, "read"), tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "weights.pt"
        dcp_to_torch_save(folder, path)
        model: dict[str, torch.Tensor] = torch.load(path, weights_only=False)["model"]
    return {name.removeprefix("vlm."): value for name, value in model.items()}


def rng_state() -> dict[str, Any]:
    """State of every random generator of this process."""
    state = {
        "python": random.getstate(),
        "numpy": np.random.get_state(),
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def set_rng_state(state: dict[str, Any]) -> None:
    """Put back what `rng_state` returned."""
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])


def _sync(path: Path) -> None:
    """Make sure a file or folder is on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
