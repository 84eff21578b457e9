"""The recipe: every setting of one training stage, and how it is read and written.

A recipe file holds only what differs from the defaults, which are the 12B Stage 1. Settings are
resolved in the order default, file, dotted overrides; an unknown key is an error that names the
nearest one. Nothing here touches a model, a process group or a data set.

Source: training specification, section 1.6.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from nanovl.core.config import apply_overrides, from_dict, load_yaml, nearest, to_dict
from nanovl.core.errors import ConfigError
from nanovl.data.config import DataConfig
from nanovl.model.config import preset
from nanovl.train.sections import (
    MODULES,
    BatchConfig,
    CheckpointConfig,
    DistillConfig,
    EvalConfig,
    LearningRateScale,
    LogConfig,
    LossConfig,
    ModelSection,
    OptimConfig,
    ParallelConfig,
    PrecisionConfig,
    RunConfig,
    StageConfig,
    require,
)

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
    "Recipe",
    "RunConfig",
    "StageConfig",
    "accumulation",
    "dump_recipe",
    "load_recipe",
    "num_updates",
    "recipe_from",
    "recipe_names",
    "recipes_dir",
    "tokens_per_update",
]

ALIGNMENT = 16  # tokens; FP8 matrix products need it (training specification, section 3.4)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One training stage.

    Attributes:
        name: Short name, used for the run folder.
        description: One sentence.
        recompute: "full" keeps only the input of every layer and computes the rest again.
        distill: Set for distillation, None for training on labels.
    """

    name: str = ""
    description: str = ""
    model: ModelSection = field(default_factory=ModelSection)
    stage: StageConfig
    data: DataConfig = field(default_factory=DataConfig)
    batch: BatchConfig = field(default_factory=BatchConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    precision: PrecisionConfig = field(default_factory=PrecisionConfig)
    parallel: ParallelConfig = field(default_factory=ParallelConfig)
    recompute: Literal["none", "full"] = "none"
    ckpt: CheckpointConfig = field(default_factory=CheckpointConfig)
    log: LogConfig = field(default_factory=LogConfig)
    run: RunConfig = field(default_factory=RunConfig)
    eval: EvalConfig = field(default_factory=EvalConfig)
    distill: DistillConfig | None = None

    def __post_init__(self) -> None:
        self.validate()

    @property
    def packing(self) -> bool:
        """Whether a batch counts packs rather than samples."""
        return self.data.packing.is_on

    @property
    def run_dir(self) -> Path:
        """The run folder."""
        return Path(self.ckpt.dir or Path("runs") / (self.name or f"stage{self.stage.id}"))

    def validate(self) -> None:
        """Check settings against each other.

        Raises:
            ConfigError: Two settings contradict each other.
        """
        cp, length = self.parallel.cp, self.data.seq_len
        if self.packing:
            require(
                self.batch.micro == 1,
                "batch.micro",
                self.batch.micro,
                "1 with packing: one forward pass is one pack (or data.packing.enabled=false)",
            )
            require(
                self.stage.train_samples is None,
                "stage.train_samples",
                self.stage.train_samples,
                "null with packing, where a batch counts packs; use train_tokens or train_iters",
            )
        step = math.lcm(ALIGNMENT, 2 * cp)
        require(
            length % step == 0,
            "data.seq_len",
            length,
            f"a multiple of {step} (of {ALIGNMENT} for FP8 and of 2 x parallel.cp {cp}); "
            f"the nearest is {max(1, round(length / step)) * step}",
        )
        self._validate_heads()
        if self.distill is not None:
            require(
                "llm" in self.stage.trainable,
                "stage.freeze",
                list(self.stage.freeze),
                "llm trainable, because distillation trains the quantized language model",
            )
            require(
                not self.precision.fp8, "precision.recipe", self.precision.recipe, "bf16 in QAD"
            )

    def _validate_heads(self) -> None:
        cp = self.parallel.cp
        if cp == 1 or self.parallel.cp_mamba != "heads" or self.model.preset is None:
            return
        lm = preset(self.model.preset).lm
        groups = lm.num_groups
        if lm.mamba_num_heads % cp or (groups % cp and cp % groups):
            raise ConfigError(
                f"parallel.cp {cp}: cannot share {lm.mamba_num_heads} Mamba heads in {groups} "
                f"groups over {cp} ranks; use another cp or parallel.cp_mamba=state"
            )

    def check_ready(self) -> None:
        """Check that everything training needs from its user is set.

        Raises:
            ConfigError: A placeholder is still empty.
        """
        who = f"recipe {self.name or self.stage.id!r}"
        if self.data.metadataset is None:
            example = recipes_dir() / "blends" / "stage2.yaml"
            raise ConfigError(
                f"{who}: data.metadataset is not set; give the blend file or the .jsonl to train "
                f"on, such as data.metadataset=blend.yaml (an example: {example})"
            )
        if self.model.init == "checkpoint" and not (self.stage.init_from or self.model.path):
            raise ConfigError(
                f"{who}: no weights to start from; set stage.init_from to the export of the "
                "previous stage or model.path to a checkpoint (or model.init=random)"
            )


def tokens_per_update(recipe: Recipe) -> int:
    """Positions of one update; without packing the most there can be."""
    return recipe.batch.global_ * recipe.data.seq_len


def num_updates(recipe: Recipe) -> int:
    """Updates of the stage: never more data than asked for, and at least one update."""
    stage = recipe.stage
    if stage.train_iters is not None:
        return stage.train_iters
    if stage.train_samples is not None:
        return max(1, stage.train_samples // recipe.batch.global_)
    assert stage.train_tokens is not None
    return max(1, stage.train_tokens // tokens_per_update(recipe))


def accumulation(recipe: Recipe, dp: int) -> int:
    """Micro-batches per update and data-parallel rank.

    Args:
        recipe: The recipe.
        dp: Data-parallel ranks (dp_replicate x dp_shard).

    Raises:
        ConfigError: The batch cannot be shared evenly.
    """
    per_round = dp * recipe.batch.micro
    if recipe.batch.global_ % per_round:
        raise ConfigError(
            f"batch.global {recipe.batch.global_}: cannot be shared by {dp} data-parallel ranks "
            f"in micro-batches of {recipe.batch.micro}; use a multiple of {per_round}, fewer "
            "ranks, or a larger parallel.cp"
        )
    return recipe.batch.global_ // per_round


def recipes_dir() -> Path:
    """The folder of bundled recipes."""
    return Path(__file__).resolve().parent / "recipes"


def recipe_names() -> tuple[str, ...]:
    """Bundled recipes: "stage1", "mini/stage2", ..."""
    root = recipes_dir()
    files = (p.relative_to(root) for p in root.rglob("*.yaml"))
    return tuple(sorted(p.with_suffix("").as_posix() for p in files if p.parts[0] != "blends"))


def load_recipe(source: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe.

    Args:
        source: A file, or the name of a bundled recipe such as "stage1" or "mini/stage2".
        overrides: Words such as "optim.lr=1e-5", applied in order; values are read as YAML.

    Raises:
        ConfigError: No such recipe, an unknown key, or settings that contradict each other.
    """
    path, where = _find(str(source))
    return recipe_from(apply_overrides(load_yaml(path), overrides), where=where)


def recipe_from(data: Mapping[str, Any], *, where: str = "recipe") -> Recipe:
    """Build a recipe from nested settings.

    Raises:
        ConfigError: As for `load_recipe`; the message starts with `where`.
    """
    try:
        return from_dict(Recipe, data, where=where)
    except ConfigError as error:
        text = str(error)
        raise ConfigError(text if text.startswith(where) else f"{where}: {text}") from None


def _find(source: str) -> tuple[Path, str]:
    names = recipe_names()
    if source in names:
        return recipes_dir() / f"{source}.yaml", source
    path = Path(source).expanduser()
    if path.is_file():
        return path, path.name
    if path.is_dir() and (path / "recipe.yaml").is_file():
        return path / "recipe.yaml", str(path / "recipe.yaml")
    stem = source.removesuffix(".yaml")
    raise ConfigError(
        f"recipe {source!r}: neither a file nor one of {', '.join(names)}{nearest(stem, names)}"
    )


def dump_recipe(recipe: Recipe) -> str:
    """The resolved recipe as YAML; `load_recipe` reads it back unchanged."""
    return yaml.safe_dump(to_dict(recipe), sort_keys=False, allow_unicode=True, width=100)
