"""The loop: packs in, updates out, until the stage is done or somebody says stop.

    fetch the packs of an update -> weigh them over all ranks -> forward and backward, pack by pack
    -> norms -> agree whether to step -> AdamW -> metrics -> now and then a checkpoint

Every decision that changes the course of the run (skip, stop, save) is agreed on by all ranks.
Must not print, and must not know how samples are made.

Source: training specification, sections 4.2, 5, 8 and 9.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import math
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from nanovl.core.config import to_dict
from nanovl.core.device import keep_freed_memory
from nanovl.core.errors import CheckpointError, ConfigError
from nanovl.core.events import Event, OnEvent, ignore_event
from nanovl.core.inputs import PackedBatch
from nanovl.data.config import DataConfig
from nanovl.data.loader import PackLoader, build_loader
from nanovl.quant.fake import calibrate, freeze
from nanovl.train.build import Built, build, export_model
from nanovl.train.config import Recipe, accumulation, dump_recipe, num_updates
from nanovl.train.context_parallel import ContextParallel
from nanovl.train.fp8 import fp8_stats, fp8_warm_start, update_fp8_scales
from nanovl.train.metrics import MetricsWriter, SpikeDetector
from nanovl.train.observe import Observer, describe_run
from nanovl.train.optim import (
    EMA,
    build_optimizer,
    clip_gradients,
    fill_missing_gradients,
    gradient_norms,
    learning_rate,
    set_learning_rate,
    trainable,
)
from nanovl.train.parallel import ParallelDims, World, fsdp_modules, local_tensor, open_world
from nanovl.train.state import Checkpointer

__all__ = ["Counters", "TrainResult", "Trainer", "Update", "train"]

logger = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Counters:
    """How far a run has come.

    Attributes:
        update: Completed updates, skipped ones included.
        packs, samples, tokens: Of all ranks; padding is not counted.
        skipped: Updates whose gradients were not used.
        consecutive_skips: Of these, the last ones in a row.
        skips_at: Updates of the last skips, to count those of the last thousand.
        source_tokens, source_samples: By source.
    """

    update: int = 0
    packs: int = 0
    samples: int = 0
    tokens: int = 0
    skipped: int = 0
    consecutive_skips: int = 0
    skips_at: list[int] = field(default_factory=list)
    source_tokens: dict[str, int] = field(default_factory=dict)
    source_samples: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """How a run ended.

    Attributes:
        status: "finished", or "interrupted" and ready to be continued.
        update: Completed updates.
        loss: Of the last update, None when there was none.
        folder: The run folder.
        export: Weights in the released layout, when they were written.
        is_main: Whether this process speaks for all of them.
    """

    status: str
    update: int
    loss: float | None
    folder: Path
    export: Path | None = None
    is_main: bool = True


@dataclass(kw_only=True)
class Update:
    """What one update found out.

    Attributes:
        loss_sum: This rank's share of the loss.
        mass: Sum of the loss weights over all ranks.
        loss: Over all ranks.
        norms, grad_norm: L2 norms of the gradients before clipping.
        rate: Learning rate.
        skipped: Why the gradients were not used; empty when they were.
        seconds: Where the time went.
    """

    loss_sum: float = 0.0
    mass: float = 0.0
    loss: float = math.nan
    norms: dict[str, float] = field(default_factory=dict)
    grad_norm: float = math.nan
    rate: float = 0.0
    skipped: str = ""
    seconds: dict[str, float] = field(default_factory=dict)


def train(
    recipe: Recipe,
    *,
    device: str = "auto",
    fresh: bool = False,
    reset_data: bool = False,
    on_event: OnEvent = ignore_event,
) -> TrainResult:
    """Run a recipe to its end, or continue it where its run folder left off.

    Started by `torchrun`, all its processes share the work; without it there is one process.

    Args:
        recipe: What to do.
        device: "auto", "cpu" or "cuda".
        fresh: Refuse a run folder that already holds checkpoints instead of continuing.
        reset_data: Continue the weights but start the data anew.
        on_event: Told about every update ("step", with the metrics of the update as data), saves
            and the end.

    Raises:
        ConfigError: The recipe cannot be run as it stands.
        CheckpointError: A checkpoint is damaged or belongs to another run.
    """
    recipe.check_ready()
    dims = ParallelDims(
        dp_replicate=recipe.parallel.dp_replicate,
        dp_shard=recipe.parallel.dp_shard,
        cp=recipe.parallel.cp,
    )
    where = None if device == "auto" else torch.device(device)
    with (
        _determinism(recipe.run.deterministic),
        open_world(dims, where, timeout_minutes=recipe.parallel.timeout_minutes) as world,
    ):
        if world.device.type == "cpu":
            keep_freed_memory()
        trainer = Trainer(recipe, world, on_event=on_event if world.is_main else ignore_event)
        return trainer.run(fresh=fresh, reset_data=reset_data)


@contextlib.contextmanager
def _determinism(wanted: bool) -> Iterator[None]:
    before = torch.are_deterministic_algorithms_enabled()
    if wanted:
        torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


class Trainer:
    """One stage on one rank.

    Args:
        recipe: What to do.
        world: The ranks; every one of them makes a Trainer and calls the same methods.
        on_event: See `train`.
    """

    def __init__(self, recipe: Recipe, world: World, *, on_event: OnEvent = ignore_event) -> None:
        self.recipe = recipe
        self.world = world
        self.on_event = on_event
        self.total = num_updates(recipe)
        self.micro_batches = accumulation(recipe, world.dp_size)
        self.folder = recipe.run_dir
        self.built: Built = build(recipe, world)
        self.module = self.built.module
        self.optimizer = build_optimizer(
            self.module,
            name=recipe.optim.name,
            betas=recipe.optim.betas,
            eps=recipe.optim.eps,
            weight_decay=recipe.optim.weight_decay,
            lr_multipliers={
                part: getattr(recipe.optim.lr_mult, part) for part in recipe.stage.trainable
            },
        )
        decay = recipe.optim.ema_decay
        self.ema = None if decay is None else EMA(trainable(self.module), decay)
        self.parallel = (
            None
            if world.cp_group is None
            else ContextParallel(world.cp_group, cp_mamba=recipe.parallel.cp_mamba)
        )
        self.counters = Counters()
        self.spikes = SpikeDetector(sigma=recipe.run.spike_sigma, window=recipe.run.spike_window)
        self.checkpointer = Checkpointer(
            self.folder / "checkpoints",
            world,
            keep=recipe.ckpt.keep,
            milestone=recipe.ckpt.milestone_iters,
            background=recipe.ckpt.async_,
            facts=_facts(recipe),
        )
        self.loader: PackLoader | None = self._loader(recipe.data.split)
        self.observer = Observer(recipe, self.built, world, self.total)
        self._stop = threading.Event()
        self._started = time.monotonic()
        self.last: Update | None = None

    # --- the run --------------------------------------------------------------------------------

    def run(self, *, fresh: bool = False, reset_data: bool = False) -> TrainResult:
        """Train until the end or until told to stop; see `train`."""
        with contextlib.ExitStack() as files:
            try:
                return self._run(fresh, reset_data, files)
            except Exception:
                # What is being written in the background is still good.
                with contextlib.suppress(CheckpointError):
                    self.checkpointer.finish()
                raise
            finally:
                if self.loader is not None:
                    self.loader.close()

    def _run(self, fresh: bool, reset_data: bool, files: contextlib.ExitStack) -> TrainResult:
        self.resume(fresh=fresh, reset_data=reset_data)
        if self.world.is_main:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / "recipe.yaml").write_text(dump_recipe(self.recipe), encoding="utf-8")
            self._describe("running")
        metrics = self._writer(self.recipe.log.jsonl or "metrics.jsonl", files)
        samples = self._writer("samples.jsonl", files) if self.recipe.log.samples else None
        if self.counters.update == 0:
            self._prepare_formats()
        saved = self.counters.update
        stopping = False
        with self._signals():
            while self.counters.update < self.total and not stopping:
                packs = self._fetch()
                self.last = update = self._update(packs)
                self._report(update, packs, metrics, samples)
                self.checkpointer.poll()
                stopping = self._should_stop()
                if self.counters.update % self.recipe.ckpt.every_iters == 0 or stopping:
                    self.save(wait=stopping)
                    saved = self.counters.update
            if saved != self.counters.update:
                self.save(wait=True)
            self.checkpointer.finish()
        return self._end()

    def _end(self) -> TrainResult:
        finished = self.counters.update >= self.total
        export: Path | None = None
        if finished and self.recipe.ckpt.export_hf:
            export = self.folder / "export"
            if self.last is not None or not export.is_dir():  # else it was finished before
                self._export(export)
        status = "finished" if finished else "interrupted"
        if self.world.is_main:
            self._describe(status)
        self.on_event(Event(name=status, done=self.counters.update, total=self.total))
        return TrainResult(
            status=status,
            update=self.counters.update,
            loss=None if self.last is None else self.last.loss,
            folder=self.folder,
            export=export,
            is_main=self.world.is_main,
        )

    def _describe(self, status: str) -> None:
        describe_run(
            self.folder,
            self.recipe,
            self.world,
            self.built,
            peak=self.observer.peak,
            status=status,
        )

    def _writer(self, name: str, files: contextlib.ExitStack) -> MetricsWriter | None:
        if not self.world.is_main:
            return None
        path = Path(name)
        writer = MetricsWriter(
            self.folder,
            path=path if path.is_absolute() else self.folder / path,
            restored_update=self.counters.update,
            tensorboard=self.recipe.log.tensorboard and path.name == "metrics.jsonl",
        )
        return files.enter_context(writer)

    def _loader(self, split: str) -> PackLoader | None:
        """This rank's packs; only the first of the ranks that share a pack reads any."""
        if self.world.cp_rank != 0:
            return None
        r = self.recipe
        return build_loader(
            r.data if split == r.data.split else _with_split(r, split),
            self.built.processor,
            dp_rank=self.world.dp_rank,
            dp_size=self.world.dp_size,
            align=math.lcm(r.data.align, 2 * self.world.dims.cp),
            reduction=r.loss.reduction,
            unit=r.loss.unit,
            micro=r.batch.micro,
        )

    # --- one update -----------------------------------------------------------------------------

    def _fetch(self) -> list[PackedBatch]:
        """The packs of one update, the same on all ranks that share them."""
        begun = time.perf_counter()
        packs: list[PackedBatch] = []
        problem: Exception | None = None
        if self.loader is not None:
            try:
                packs = [next(self.loader) for _ in range(self.micro_batches)]
            except StopIteration:
                problem = ConfigError(
                    f"the data ended after {self.counters.update} of {self.total} updates; lower "
                    "the length of the stage, raise data.epochs, or use weights, which never end"
                )
            except Exception as error:
                problem = error
        problems = [p for p in self.world.gather(problem) if p is not None]
        if problems:
            raise problems[0]
        packs = [self.module.prepare(p) for p in self.world.broadcast_in_cp(packs)]
        self._wait_s = time.perf_counter() - begun
        every = self.recipe.run.check_ranks_every
        if every is not None and self.counters.update % every == 0:
            self._check_ranks(packs)
        return packs

    def _check_ranks(self, packs: list[PackedBatch]) -> None:
        """Ranks that share a pack must hold the same one."""
        digest = hashlib.sha256(b"".join(p.input_ids.numpy().tobytes() for p in packs)).hexdigest()
        for first in range(0, self.world.size, self.world.dims.cp):
            group = self.world.gather(digest)[first : first + self.world.dims.cp]
            if len(set(group)) > 1:
                raise CheckpointError(
                    f"update {self.counters.update}: ranks {first} to {first + len(group) - 1} "
                    "share a pack but hold different tokens; memory or network is faulty"
                )

    def _update(self, packs: list[PackedBatch]) -> Update:
        """Forward and backward of every pack, then AdamW, unless the ranks agree to skip it."""
        found = Update(seconds={"data_wait_s": self._wait_s})
        recipe = self.recipe
        found.mass = self.world.sum_over_data(sum(p.weight_mass for p in packs))
        scales = self._scales(packs, found.mass)
        self.observer.begin(packs, self._wait_s)
        self._accumulate(packs, scales, found)
        begun = time.perf_counter()
        fill_missing_gradients(self.optimizer)
        found.norms = gradient_norms(self.optimizer)
        found.grad_norm = math.sqrt(sum(n * n for n in found.norms.values()))
        found.loss = self.world.sum(found.loss_sum)
        found.rate = learning_rate(
            self.counters.update,
            self.total,
            peak=recipe.optim.lr,
            minimum=recipe.optim.min_lr,
            warmup_fraction=recipe.optim.warmup_frac,
            schedule=recipe.optim.schedule,
        )
        found.skipped = self._reason_to_skip(found)
        if not found.skipped:
            clip_gradients(self.optimizer, found.grad_norm, recipe.optim.clip or 0.0)
            set_learning_rate(self.optimizer, found.rate)
            self.optimizer.step()
            if self.ema is not None:
                self.ema.update()
        if self.built.fp8_layers:
            update_fp8_scales(self.module, self._reduce_max if self.world.size > 1 else None)
        self.optimizer.zero_grad(set_to_none=True)
        self._count(packs, found)
        found.seconds["optim_s"] = time.perf_counter() - begun
        return found

    def _scales(self, packs: list[PackedBatch], mass: float) -> list[float]:
        """What the summed loss of every pack is multiplied by."""
        if self.recipe.loss.normalize == "global":
            return [1.0 / mass if mass > 0 else 0.0] * len(packs)
        count = len(packs) * self.world.dp_size
        return [1.0 / (p.weight_mass * count) if p.weight_mass > 0 else 0.0 for p in packs]

    def _accumulate(self, packs: list[PackedBatch], scales: list[float], found: Update) -> None:
        forward = backward = 0.0
        for index, (pack, scale) in enumerate(zip(packs, scales, strict=True)):
            self._last_of_step(index == len(packs) - 1)
            begun = time.perf_counter()
            step = self.module(pack.to(self.world.device), self.parallel)
            self._wait_for_device()
            middle = time.perf_counter()
            (step.total * scale).backward()
            self._wait_for_device()
            forward, backward = forward + middle - begun, backward + time.perf_counter() - middle
            found.loss_sum += float(step.total.detach()) * scale
            self.observer.take(pack, step)
        found.seconds |= {"forward_s": forward, "backward_s": backward}

    def _last_of_step(self, is_last: bool) -> None:
        """One rank keeps its gathered parameters and sums gradients until the last pack."""
        if self.world.shard_mesh.size() > 1:
            return
        for module in fsdp_modules(self.module):
            module.set_requires_gradient_sync(is_last, recurse=False)
            module.set_reshard_after_backward(is_last, recurse=False)

    def _wait_for_device(self) -> None:
        if self.world.device.type == "cuda":
            torch.cuda.synchronize()

    def _reduce_max(self, values: torch.Tensor) -> None:
        torch.distributed.all_reduce(values, op=torch.distributed.ReduceOp.MAX)

    def _reason_to_skip(self, found: Update) -> str:
        """Why all ranks leave this update out; empty when they do not."""
        if self.world.max(float(not math.isfinite(found.loss + found.grad_norm))):
            return "non-finite loss or gradient"
        if not found.mass:
            return "no token carries loss"
        if self.spikes.is_spike(found.loss):
            logger.warning(
                "update %d: loss %.4f is far above the recent mean",
                self.counters.update,
                found.loss,
            )
            if self.recipe.run.spike == "skip":
                return "loss spike"
        return ""

    def _count(self, packs: list[PackedBatch], found: Update) -> None:
        c, run = self.counters, self.recipe.run
        c.update += 1
        tokens, samples = Counter[str](), Counter[str]()
        for pack in packs if self.world.cp_rank == 0 else []:
            samples.update(pack.sources)
            for source, length in zip(pack.sources, pack.lengths, strict=True):
                tokens[source] += length
        for rank_tokens, rank_samples in self.world.gather((tokens, samples)):
            c.tokens += sum(rank_tokens.values())
            c.samples += sum(rank_samples.values())
            for total, own in ((c.source_tokens, rank_tokens), (c.source_samples, rank_samples)):
                for source, count in own.items():
                    total[source] = total.get(source, 0) + count
        c.packs += len(packs) * self.world.dp_size
        if not found.skipped:
            c.consecutive_skips = 0
            self.spikes.add(found.loss)
            return
        c.skipped += 1
        c.consecutive_skips += 1
        c.skips_at = [u for u in c.skips_at if u > c.update - 1000] + [c.update]
        keys = [key for pack in packs for key in pack.keys]
        logger.warning("update %d skipped (%s); samples: %s", c.update, found.skipped, keys)
        if (
            c.consecutive_skips >= run.max_consecutive_skips
            or len(c.skips_at) > run.max_skips_in_1000
        ):
            raise CheckpointError(
                f"update {c.update}: skipped {c.consecutive_skips} updates in a row and "
                f"{len(c.skips_at)} of the last 1000 ({found.skipped}); limits are "
                f"{run.max_consecutive_skips} and {run.max_skips_in_1000}. Samples of this one: "
                f"{', '.join(keys[:5])}. Continue from an earlier checkpoint with a lower "
                "optim.lr, or take the samples out"
            )

    # --- FP8, reports, stopping -----------------------------------------------------------------

    def _prepare_formats(self) -> None:
        """Let number formats that need ranges see some packs, before the data begins for real."""
        delayed = self.recipe.precision.recipe == "fp8_delayed"
        distill = self.recipe.distill
        if not delayed and (distill is None or distill.format == "none"):
            return
        state = None if self.loader is None else self.loader.state_dict()
        if delayed:
            self._warm_up_fp8()
        else:
            assert distill is not None
            self._calibrate(distill.calibration_samples)
        if self.loader is not None and state is not None:  # the packs were only looked at
            self.loader.close()
            self.loader = self._loader(self.recipe.data.split)
            assert self.loader is not None
            self.loader.load_state_dict(state)

    def _warm_up_fp8(self) -> None:
        """One pass with current scaling fills the histories before the first update uses them."""
        packs = self._fetch()
        with fp8_warm_start(self.module):
            self._accumulate(packs, self._scales(packs, 1.0), Update())
        update_fp8_scales(self.module, self._reduce_max if self.world.size > 1 else None)
        self.optimizer.zero_grad(set_to_none=True)

    def _calibrate(self, samples: int) -> None:
        """Ranges of the fake-quantized student's inputs, from training samples of all ranks."""

        def batches() -> Iterator[PackedBatch]:
            seen = 0
            while seen < samples:
                packs = self._fetch()
                yield from packs
                seen += int(self.world.sum_over_data(sum(len(p.keys) for p in packs)))

        with torch.no_grad():
            calibrate(
                self.module,
                batches(),
                lambda pack: self.module(pack.to(self.world.device), self.parallel),
            )
        several = self.world.size > 1
        freeze(self.module, self._reduce_max if several else None, local=local_tensor)

    def _report(
        self,
        found: Update,
        packs: list[PackedBatch],
        metrics: MetricsWriter | None,
        samples: MetricsWriter | None,
    ) -> None:
        record = self.observer.record(found, self.counters, self.loader)
        if self.built.fp8_layers:
            record |= {f"fp8/{k}": v for k, v in fp8_stats(self.module).items()}
        every = self.recipe.eval.every
        if every is not None and self.counters.update % every == 0:
            record["eval/loss"] = self.evaluate()
        if self.recipe.log.samples:
            own = [list(p.keys) for p in packs] if self.world.cp_rank == 0 else []
            keys = [key for rank in self.world.gather(own) for key in rank]
            if samples is not None:
                samples.write({"update": self.counters.update, "keys": keys})
        if metrics is not None:
            metrics.write(record)
            self.on_event(
                Event(
                    name="step",
                    done=self.counters.update,
                    total=self.total,
                    unit="updates",
                    data=record,
                )
            )

    @torch.no_grad()
    def evaluate(self) -> float:
        """Loss on the same held-out packs every time."""
        loader = self._loader(self.recipe.eval.split)
        total = mass = 0.0
        try:
            for _ in range(self.recipe.eval.batches):
                pack = self.world.broadcast_in_cp(None if loader is None else next(loader, None))
                if self.world.max(float(pack is None)):  # some rank has no more
                    break
                pack = self.module.prepare(pack)
                step = self.module(pack.to(self.world.device), self.parallel)
                total += float(step.total)
                mass += pack.weight_mass
        finally:
            if loader is not None:
                loader.close()
        total, mass = self.world.sum(total), self.world.sum_over_data(mass)
        return total / mass if mass else math.nan

    def _should_stop(self) -> bool:
        minutes = self.recipe.run.max_minutes
        late = minutes is not None and time.monotonic() - self._started > minutes * 60
        return bool(self.world.max(float(self._stop.is_set() or late)))

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGTERM, SIGINT and SIGUSR1 ask for a checkpoint and an orderly end."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def ask(number: int, frame: Any) -> None:
            if self._stop.is_set() and number == signal.SIGINT:
                raise KeyboardInterrupt  # the second Ctrl-C means it
            self._stop.set()

        numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
        before: dict[int, Callable[..., Any] | int | None] = {
            number: signal.signal(number, ask) for number in numbers
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    # --- saving and continuing ------------------------------------------------------------------

    def save(self, *, wait: bool = False) -> None:
        """Write a checkpoint of this update boundary."""
        extra: dict[str, Any] = {
            "counters": to_dict(self.counters),
            "spikes": self.spikes.state_dict(),
        }
        extra["observer"] = self.observer.state_dict()
        if self.ema is not None:
            extra["ema_updates"] = self.ema.updates
        self.checkpointer.save(
            self.counters.update,
            self.module,
            self.optimizer,
            extra=extra,
            loader=None if self.loader is None else self.loader.state_dict(),
            averages=None if self.ema is None else self.ema.values,
            wait=wait,
        )
        self.on_event(Event(name="save", done=self.counters.update, total=self.total))
        if self.recipe.ckpt.export_each:
            self._export(self.folder / f"export-{self.counters.update:08d}")

    def _export(self, folder: Path) -> None:
        export_model(
            self.built,
            folder,
            self.world,
            averages=None if self.ema is None else self.ema.values,
            origin=f"nanovl train {self.recipe.name}".strip(),
        )
        self.on_event(Event(name="export", data={"folder": str(folder)}))

    def resume(self, *, fresh: bool = False, reset_data: bool = False) -> None:
        """Continue from the newest complete checkpoint of the run folder, if there is one.

        Raises:
            CheckpointError: With `fresh`, when there is one; or when it belongs to another recipe.
        """
        self.checkpointer.clean()
        folder = self.world.gather(self.checkpointer.latest())[0]
        if folder is None:
            return
        if fresh:
            raise CheckpointError(
                f"{self.folder}: already holds {folder.name}; continue it without --fresh, or use "
                "another ckpt.dir"
            )
        saved, own = self.checkpointer.manifest(folder)["facts"], _facts(self.recipe)
        if reset_data:  # other data, or other workers for it, are what was asked for
            saved, own = ({k: v for k, v in f.items() if k[:5] != "data."} for f in (saved, own))
        _check_facts(saved, own, folder)
        manifest, loader_state = self.checkpointer.restore(
            folder,
            self.module,
            self.optimizer,
            averages=None if self.ema is None else self.ema.values,
            reset_data=reset_data,
        )
        extra = manifest["extra"]
        self.counters = Counters(**extra["counters"])
        self.spikes.load_state_dict(extra["spikes"])
        self.observer.load_state_dict(extra["observer"])
        if self.ema is not None:
            self.ema.updates = extra["ema_updates"]
        if self.loader is not None and loader_state is not None:
            self.loader.load_state_dict(loader_state)
        self.on_event(Event(name="resume", done=self.counters.update, total=self.total))


# Settings that may change between a checkpoint and the run that continues it.
_FREE = (
    "ckpt",
    "log",
    "eval",
    "parallel",
    "description",
    "run.max_minutes",
    "recompute",
    "data.prefetch",
)


def _facts(recipe: Recipe) -> dict[str, Any]:
    """Settings a continued run must share, flat."""
    flat: dict[str, Any] = {}

    def walk(prefix: str, value: Any) -> None:
        if any(prefix == name or prefix.startswith(f"{name}.") for name in _FREE):
            return
        if isinstance(value, dict) and value:
            for key, inner in value.items():
                walk(f"{prefix}.{key}" if prefix else key, inner)
        else:
            flat[prefix] = value

    walk("", json.loads(json.dumps(to_dict(recipe))))
    blend = recipe.data.metadataset
    if blend is not None and Path(blend).is_file() and Path(blend).suffix in (".yaml", ".yml"):
        flat["data.metadataset.sha256"] = hashlib.sha256(Path(blend).read_bytes()).hexdigest()
    return flat


def _check_facts(saved: dict[str, Any], own: dict[str, Any], folder: Path) -> None:
    changed = sorted(k for k in saved.keys() | own.keys() if saved.get(k) != own.get(k))
    if changed:
        listed = ", ".join(f"{k} ({saved.get(k)!r} -> {own.get(k)!r})" for k in changed[:4])
        raise CheckpointError(
            f"{folder}: was made with other settings: {listed}"
            f"{f' and {len(changed) - 4} more' if len(changed) > 4 else ''}. Continue with the "
            "recipe.yaml of the run folder, or use another ckpt.dir with stage.init_from"
        )


def _with_split(recipe: Recipe, split: str) -> DataConfig:
    """Data settings for held-out packs: another split, always in the same order."""
    return replace(recipe.data, split=split, num_workers=0, prefetch=0, shuffle=False)
