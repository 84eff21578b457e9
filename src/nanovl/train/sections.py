"""The groups of settings a recipe is made of, each with the ranges of its values.

What one group says about another is checked by `nanovl.train.config`, which also reads and writes
recipes.

Source: training specification, section 1.6.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from nanovl.core.config import nearest
from nanovl.core.errors import ConfigError
from nanovl.model.config import PRESETS

__all__ = [
    "MODULES",
    "BatchConfig",
    "CheckpointConfig",
    "DistillConfig",
    "EvalConfig",
    "LearningRateScale",
    "LogConfig",
    "LossConfig",
    "ModelSection",
    "OptimConfig",
    "ParallelConfig",
    "PrecisionConfig",
    "RunConfig",
    "StageConfig",
    "require",
]

MODULES = ("vision", "projector", "llm")
Module = Literal["vision", "projector", "llm"]


def require(ok: bool, key: str, got: object, expected: str) -> None:
    """Refuse a value.

    Raises:
        ConfigError: `ok` is false.
    """
    if not ok:
        raise ConfigError(f"{key}: got {got!r}, expected {expected}")


@dataclass(frozen=True, kw_only=True)
class ModelSection:
    """Which network is trained, and where its first weights come from.

    Attributes:
        preset: Shape "12b", "mini" or "tiny"; None takes the shape of the checkpoint.
        path: Folder or name of a checkpoint in the released layout: config, weights, tokenizer.
        processor: Folder or name that holds the tokenizer and picture settings; None takes those
            of `stage.init_from`, then of `path`, then the ones bundled for the preset.
        init: "checkpoint" reads `stage.init_from`, else `path`; "random" reads no weights.
        reinit: Modules that get fresh random weights although a checkpoint is read.
    """

    preset: str | None = "12b"
    path: str | None = None
    processor: str | None = None
    init: Literal["checkpoint", "random"] = "checkpoint"
    reinit: tuple[Module, ...] = ()

    def __post_init__(self) -> None:
        if self.preset is not None:
            hint = nearest(self.preset, PRESETS)
            require(self.preset in PRESETS, "model.preset", self.preset, f"one of {PRESETS}{hint}")
        if self.init == "random":
            require(
                self.preset is not None or self.path is not None,
                "model.preset",
                None,
                "a shape, because init: random reads none from a checkpoint",
            )


@dataclass(frozen=True, kw_only=True)
class StageConfig:
    """Which stage this is, what it starts from, how long it lasts, what stays fixed.

    Attributes:
        id: Number or name of the stage.
        init_from: Exported weights of the previous stage; optimizer and schedule start anew.
        train_tokens: Length in positions of packs (batch x seq_len per update).
        train_samples: Length in samples; only without packing, where a batch counts samples.
        train_iters: Length in updates. Exactly one of the three is set.
        freeze: Modules that are not trained.
    """

    id: int | str = 1
    init_from: str | None = None
    train_tokens: int | None = None
    train_samples: int | None = None
    train_iters: int | None = None
    freeze: tuple[Module, ...] = ()

    def __post_init__(self) -> None:
        lengths = {k: getattr(self, f"train_{k}") for k in ("tokens", "samples", "iters")}
        given = {f"train_{k}": v for k, v in lengths.items() if v is not None}
        require(
            len(given) == 1,
            "stage",
            ", ".join(given) or "no length",
            "exactly one of train_tokens, train_samples, train_iters (set the others to null)",
        )
        for key, value in given.items():
            require(value > 0, f"stage.{key}", value, "a positive number")
        require(
            set(self.freeze) != set(MODULES),
            "stage.freeze",
            list(self.freeze),
            "at least one module left to train",
        )

    @property
    def trainable(self) -> frozenset[str]:
        """Modules that are trained."""
        return frozenset(MODULES) - set(self.freeze)


@dataclass(frozen=True, kw_only=True)
class BatchConfig:
    """Packs per update; samples where packing is off.

    Attributes:
        global_: Over all ranks and micro-batches. Called `global` in files.
        micro: Samples of one forward pass of one rank; 1 with packing.
    """

    global_: int = field(default=128, metadata={"key": "global"})
    micro: int = 1

    def __post_init__(self) -> None:
        require(self.global_ > 0, "batch.global", self.global_, "a positive number")
        require(self.micro > 0, "batch.micro", self.micro, "a positive number")
        require(
            self.global_ % self.micro == 0,
            "batch.global",
            self.global_,
            f"a multiple of batch.micro {self.micro}",
        )


@dataclass(frozen=True, kw_only=True)
class LearningRateScale:
    """Factors on the learning rate, per module."""

    vision: float = 1.0
    projector: float = 1.0
    llm: float = 1.0

    def __post_init__(self) -> None:
        for name in MODULES:
            value = getattr(self, name)
            require(value > 0, f"optim.lr_mult.{name}", value, "> 0 (to fix it: stage.freeze)")


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """The optimizer and its schedule.

    Attributes:
        name: "adamw" (the report's), or "muon": matrices of blocks take orthogonalised momentum,
            everything else AdamW; the same rate serves both.
        lr, min_lr: Learning rate after warm-up, and at the end.
        betas, eps: Of Adam's moments.
        weight_decay: Decoupled; vectors, biases and SSM scalars are left out.
        clip: Largest global gradient norm; None does not clip.
        warmup_frac: Share of the updates over which the rate rises linearly from 0.
        schedule: What follows the warm-up.
        lr_mult: Factors per module.
        ema_decay: Decay of a running mean of the weights; None keeps none.
    """

    name: Literal["adamw", "muon"] = "adamw"
    lr: float = 2e-5
    min_lr: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.05
    clip: float | None = 1.0
    warmup_frac: float = 0.1
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    lr_mult: LearningRateScale = field(default_factory=LearningRateScale)
    ema_decay: float | None = None

    def __post_init__(self) -> None:
        require(self.lr > 0, "optim.lr", self.lr, "> 0")
        require(0 <= self.min_lr <= self.lr, "optim.min_lr", self.min_lr, f"0 to lr {self.lr}")
        require(all(0 <= b < 1 for b in self.betas), "optim.betas", self.betas, "0 <= beta < 1")
        require(self.eps > 0, "optim.eps", self.eps, "> 0")
        require(self.weight_decay >= 0, "optim.weight_decay", self.weight_decay, ">= 0")
        require(self.clip is None or self.clip > 0, "optim.clip", self.clip, "> 0, or null")
        require(0 <= self.warmup_frac < 1, "optim.warmup_frac", self.warmup_frac, "0 to below 1")
        require(
            self.ema_decay is None or 0 < self.ema_decay < 1,
            "optim.ema_decay",
            self.ema_decay,
            "between 0 and 1, or null",
        )


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """How token losses are averaged (training specification, section 4).

    Attributes:
        reduction: A unit of n loss tokens counts sqrt(n), n or 1.
        unit: What a unit is.
        normalize: Over the whole update, or per micro-batch.
        chunk_rows: Rows of logits that exist at a time.
    """

    reduction: Literal["square", "token", "sample"] = "square"
    unit: Literal["turn", "sample"] = "turn"
    normalize: Literal["global", "microbatch"] = "global"
    chunk_rows: int = 1024

    def __post_init__(self) -> None:
        require(self.chunk_rows > 0, "loss.chunk_rows", self.chunk_rows, "a positive number")


@dataclass(frozen=True, kw_only=True)
class PrecisionConfig:
    """Number formats (training specification, section 6).

    Attributes:
        recipe: Format of the matrix products inside the layers.
        compute: Format of everything else in the forward and backward pass.
        bf16_first, bf16_last: LLM layers at either end that are left out of FP8.
        vit_bf16_first, vit_bf16_last: Encoder blocks left out of FP8.
        amax_history: Updates a delayed scale looks back on.
        margin: Powers of two by which scales are lowered.
        format: "hybrid" has E5M2 gradients, "e4m3" has one format.
        emulate: Compute FP8 products from rounded operands; "auto" where the device has none.
    """

    recipe: Literal["bf16", "fp8_delayed", "fp8_tensorwise"] = "bf16"
    compute: Literal["bf16", "fp32", "fp64"] = "bf16"
    bf16_first: int = 2
    bf16_last: int = 2
    vit_bf16_first: int = 2
    vit_bf16_last: int = 2
    amax_history: int = 1024
    margin: int = 0
    format: Literal["hybrid", "e4m3"] = "hybrid"
    emulate: Literal["auto"] | bool = "auto"

    def __post_init__(self) -> None:
        for name in ("bf16_first", "bf16_last", "vit_bf16_first", "vit_bf16_last"):
            require(getattr(self, name) >= 0, f"precision.{name}", getattr(self, name), ">= 0")
        require(self.amax_history > 0, "precision.amax_history", self.amax_history, "> 0")
        if self.fp8:
            require(
                self.compute == "bf16",
                "precision.compute",
                self.compute,
                f"bf16 beside recipe {self.recipe}",
            )

    @property
    def fp8(self) -> bool:
        """Whether any product runs in FP8."""
        return self.recipe != "bf16"

    @property
    def master(self) -> Literal["fp32", "fp64"]:
        """Format of stored weights, gradients and moments."""
        return "fp64" if self.compute == "fp64" else "fp32"


@dataclass(frozen=True, kw_only=True)
class ParallelConfig:
    """How ranks share the work.

    Attributes:
        dp_replicate: Copies of the sharded model; above 1 is hybrid sharding.
        dp_shard: Ranks a copy is sharded over; -1 takes all that are left.
        cp: Ranks that share one pack.
        cp_mamba: Mamba layers under context parallelism: exchange heads, or pass states on.
        tp: Tensor parallelism; only 1.
        vision_shard_threshold: Tiles of a pack below which every context-parallel rank encodes
            all of them instead of its share.
        cpu_offload: Keep shards in host memory while they are not needed.
        timeout_minutes: How long a collective may take.
    """

    dp_replicate: int = 1
    dp_shard: int = -1
    cp: int = 1
    cp_mamba: Literal["heads", "state"] = "heads"
    tp: int = 1
    vision_shard_threshold: int = 0
    cpu_offload: bool = False
    timeout_minutes: float = 10.0

    def __post_init__(self) -> None:
        require(self.dp_replicate > 0, "parallel.dp_replicate", self.dp_replicate, "> 0")
        require(
            self.dp_shard == -1 or self.dp_shard > 0,
            "parallel.dp_shard",
            self.dp_shard,
            "-1 or > 0",
        )
        require(self.cp > 0, "parallel.cp", self.cp, "> 0")
        require(
            self.tp == 1,
            "parallel.tp",
            self.tp,
            "1: weights are sharded by dp_shard, long packs by cp; there is no tensor parallelism",
        )
        require(
            self.vision_shard_threshold >= 0,
            "parallel.vision_shard_threshold",
            self.vision_shard_threshold,
            ">= 0 tiles",
        )
        require(self.timeout_minutes > 0, "parallel.timeout_minutes", self.timeout_minutes, "> 0")


@dataclass(frozen=True, kw_only=True)
class CheckpointConfig:
    """What a run keeps.

    Attributes:
        dir: The run folder; None is `runs/<stage name>` below the working directory.
        every_iters: Updates between checkpoints.
        keep: Newest checkpoints kept.
        milestone_iters: Checkpoints at multiples of this are kept for good; None keeps none.
        async_: Write in the background. Called `async` in files.
        export_hf: Write the weights in the released layout at the end of the stage.
        export_each: Write them at every checkpoint, too.
    """

    dir: str | None = None
    every_iters: int = 500
    keep: int = 3
    milestone_iters: int | None = None
    async_: bool = field(default=True, metadata={"key": "async"})
    export_hf: bool = True
    export_each: bool = False

    def __post_init__(self) -> None:
        require(self.every_iters > 0, "ckpt.every_iters", self.every_iters, "> 0")
        require(self.keep > 0, "ckpt.keep", self.keep, "> 0")
        require(
            self.milestone_iters is None or self.milestone_iters > 0,
            "ckpt.milestone_iters",
            self.milestone_iters,
            "> 0, or null",
        )


@dataclass(frozen=True, kw_only=True)
class LogConfig:
    """What a run reports.

    Attributes:
        every: Updates between progress lines; `metrics.jsonl` gets every update.
        jsonl: Metrics file; None is `metrics.jsonl` in the run folder.
        tensorboard: Write TensorBoard events beside it.
        samples: Write the keys of every update's samples to `samples.jsonl`.
    """

    every: int = 1
    jsonl: str | None = None
    tensorboard: bool = False
    samples: bool = False

    def __post_init__(self) -> None:
        require(self.every > 0, "log.every", self.every, "> 0")


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Limits, randomness and what happens when something goes wrong (section 8.5).

    Attributes:
        max_minutes: Save and leave after this time; None has no limit.
        spike: An update whose loss is far above the recent ones is noted, or skipped.
        spike_sigma: How many standard deviations above the mean that is.
        spike_window: Over how many updates mean and deviation are taken.
        max_consecutive_skips, max_skips_in_1000: Skipped updates after which a run gives up.
        seed: Of new weights and of everything random outside the data.
        deterministic: Only kernels that repeat bit for bit.
        check_ranks_every: Updates between checks that context-parallel ranks hold the same pack.
    """

    max_minutes: float | None = None
    spike: Literal["log", "skip"] = "log"
    spike_sigma: float = 6.0
    spike_window: int = 200
    max_consecutive_skips: int = 5
    max_skips_in_1000: int = 20
    seed: int = 0
    deterministic: bool = False
    check_ranks_every: int | None = None

    def __post_init__(self) -> None:
        require(
            self.max_minutes is None or self.max_minutes > 0,
            "run.max_minutes",
            self.max_minutes,
            "> 0, or null",
        )
        require(self.spike_sigma > 0, "run.spike_sigma", self.spike_sigma, "> 0")
        for name in ("spike_window", "max_consecutive_skips", "max_skips_in_1000"):
            require(getattr(self, name) > 0, f"run.{name}", getattr(self, name), "> 0")
        require(
            self.check_ranks_every is None or self.check_ranks_every > 0,
            "run.check_ranks_every",
            self.check_ranks_every,
            "> 0, or null",
        )


@dataclass(frozen=True, kw_only=True)
class EvalConfig:
    """Loss on held-out packs.

    Attributes:
        every: Updates between evaluations; None evaluates never.
        split: Split of the data set.
        batches: Packs per data-parallel rank, the same ones every time.
    """

    every: int | None = None
    split: str = "val"
    batches: int = 8

    def __post_init__(self) -> None:
        require(self.every is None or self.every > 0, "eval.every", self.every, "> 0, or null")
        require(self.batches > 0, "eval.batches", self.batches, "> 0")


@dataclass(frozen=True, kw_only=True)
class DistillConfig:
    """Quantization-aware distillation: match a teacher instead of the labels (section 11).

    Attributes:
        teacher: Folder or name of the teacher's checkpoint; None is where the student starts.
        temperature: Of both distributions.
        positions: Tokens with loss, or all that are no media.
        format: Number format the student's LLM linears pretend to be stored in.
        calibration_samples: Samples that set the activation scales.
    """

    teacher: str | None = None
    temperature: float = 1.0
    positions: Literal["loss", "all_text"] = "loss"
    format: Literal["nvfp4", "fp8", "none"] = "nvfp4"
    calibration_samples: int = 1024

    def __post_init__(self) -> None:
        require(self.temperature > 0, "distill.temperature", self.temperature, "> 0")
        require(
            self.calibration_samples > 0,
            "distill.calibration_samples",
            self.calibration_samples,
            "> 0",
        )
