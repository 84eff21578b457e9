"""What a recipe costs: parameters, memory per rank, work per token, updates, hours.

Everything follows from the recipe, the model's shape and a stated share of the device's peak;
nothing is measured and no weights are made. For the 12B stages the report's own hours stand beside
the estimate.

Source: training specification, sections 1.2, 1.3 and 9; report, Table 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nanovl.core.config import nearest
from nanovl.core.device import KNOWN_GPUS, capability
from nanovl.core.errors import ConfigError
from nanovl.model.config import VLMConfig, preset
from nanovl.train.config import Recipe, accumulation, num_updates, tokens_per_update
from nanovl.train.flops import attention_flops, forward_flops, pass_factors
from nanovl.train.memory import RankMemory, module_parameters, rank_memory

__all__ = ["CARDS", "REPORTED", "Card", "Mix", "Plan", "Reported", "find_card", "plan", "shape_of"]

DEFAULT_MFU = {"cuda": 0.17, "cpu": 0.25}
# Room an allocator, collectives and kernels need beside what is counted.
_USABLE = 0.9


@dataclass(frozen=True, kw_only=True)
class Card:
    """A kind of device.

    Attributes:
        name: As given on the command line.
        bf16_flops, fp8_flops: Dense peaks in FLOP/s; 0 where there is none.
        memory_bytes: Of one device.
    """

    name: str
    bf16_flops: float
    fp8_flops: float
    memory_bytes: float


def _cards() -> dict[str, Card]:
    cards = {
        name.lower(): Card(
            name=name.lower(),
            bf16_flops=sheet.bf16_flops,
            fp8_flops=sheet.fp8_flops,
            memory_bytes=sheet.memory_bytes,
        )
        for name, sheet in KNOWN_GPUS.items()
    }
    # Two cores with AMX tiles measured at bf16 matrix products; give --peak for another CPU.
    cards["cpu"] = Card(name="cpu", bf16_flops=2e12, fp8_flops=0.0, memory_bytes=0.0)
    return dict(sorted(cards.items()))


CARDS = _cards()


def find_card(name: str, peak_flops: float | None = None) -> Card:
    """The card of that name; a CPU gets the memory of this machine.

    Args:
        name: "h100", "h200", "b200", "a100", "l40s" or "cpu".
        peak_flops: bf16 FLOP/s to use instead of the card's.

    Raises:
        ConfigError: No such card.
    """
    card = CARDS.get(name.lower())
    if card is None:
        raise ConfigError(
            f"gpu {name!r}: expected one of {', '.join(CARDS)}{nearest(name.lower(), CARDS)}"
        )
    if peak_flops is not None and peak_flops <= 0:
        raise ConfigError(f"peak {peak_flops:g} FLOP/s: expected more than 0")
    memory = card.memory_bytes or float(capability("cpu").memory_bytes)
    return Card(
        name=card.name,
        bf16_flops=peak_flops or card.bf16_flops,
        fp8_flops=card.fp8_flops,
        memory_bytes=memory,
    )


@dataclass(frozen=True, kw_only=True)
class Reported:
    """What the report says about a stage (nodes of 8 H100).

    Attributes:
        nodes, hours: Table 2.
        samples, tokens: Sections 3.1 to 3.5; in Stage 0 an upper bound.
    """

    nodes: int
    hours: float
    samples: float
    tokens: float

    @property
    def gpus(self) -> int:
        """Cards."""
        return 8 * self.nodes

    @property
    def gpu_hours(self) -> float:
        """H100-hours."""
        return self.gpus * self.hours

    @property
    def tokens_per_s(self) -> float:
        """Over all cards."""
        return self.tokens / (3600 * self.hours)

    @property
    def tokens_per_s_per_gpu(self) -> float:
        """Of one card."""
        return self.tokens_per_s / self.gpus


# Cells of Table 2 reassigned as in the training specification, section 1.1.
REPORTED: Mapping[str, Reported] = {
    "stage0": Reported(nodes=32, hours=6.0, samples=2_209_792, tokens=36e9),
    "stage1": Reported(nodes=64, hours=30.0, samples=32.5e6, tokens=112.5e9),
    "stage2": Reported(nodes=64, hours=15.0, samples=11e6, tokens=55e9),
    "stage3": Reported(nodes=64, hours=3.5, samples=1e6, tokens=15e9),
    "stage4": Reported(nodes=64, hours=5.5, samples=74e3, tokens=12e9),
}


@dataclass(frozen=True, kw_only=True)
class Mix:
    """What the data is assumed to look like; work per token depends on it.

    Attributes:
        sample_tokens: Mean length of a sample.
        visual_share: Share of tokens that stand for pictures.
    """

    sample_tokens: float
    visual_share: float


# Shares of visual tokens are our assumption: the report names samples and tokens only. Stages 3
# and 4 are text.
_VISUAL_SHARE = {
    "stage0": 0.75,
    "mini-pre": 0.25,
    "stage3": 0.0,
    "stage4": 0.0,
    "mini-stage0": 0.75,
    "mini-stage3": 0.0,
    "mini-stage4": 0.0,
}


def default_mix(recipe: Recipe) -> Mix:
    """Mean sample length as reported, else a quarter of a pack; half of the tokens visual."""
    name = "stage1" if recipe.name == "qad" else recipe.name
    length = float(recipe.data.seq_len)
    if name in REPORTED:
        length = min(length, REPORTED[name].tokens / REPORTED[name].samples)
    elif recipe.packing:
        length /= 4
    return Mix(sample_tokens=length, visual_share=_VISUAL_SHARE.get(name, 0.5))


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The answer of `plan`. Rates are per second, work is in FLOPs, memory in bytes.

    Attributes:
        name, description: Of the recipe.
        card, gpus, mfu: Assumed hardware and share of its bf16 peak.
        mix: Assumed data.
        parameters: Weights per module.
        trainable: Modules that are trained.
        fp8: Whether matrix products run in FP8.
        teacher: Whether a teacher runs beside the model.
        dp_replicate, dp_shard, cp: Division of the ranks.
        micro_batches: Per update and data-parallel rank; None when the batch does not divide.
        updates, tokens_per_update, samples_per_update: Length and size of updates.
        forward_per_token: Forward FLOPs of one token, by part.
        factors: Passes per module that forward and backward amount to.
        flops_per_token: Forward and backward.
        memory: Of one rank.
        warnings: What would go wrong.
        reported: The report's figures for this stage.
    """

    name: str
    description: str
    card: Card
    gpus: int
    mfu: float
    mix: Mix
    parameters: Mapping[str, int]
    trainable: tuple[str, ...]
    fp8: bool
    teacher: bool
    dp_replicate: int
    dp_shard: int
    cp: int
    micro_batches: int | None
    updates: int
    tokens_per_update: int
    samples_per_update: float
    forward_per_token: Mapping[str, float]
    factors: Mapping[str, int]
    flops_per_token: float
    memory: RankMemory
    warnings: tuple[str, ...]
    reported: Reported | None

    @property
    def tokens(self) -> int:
        """Positions of the whole stage."""
        return self.updates * self.tokens_per_update

    @property
    def tokens_per_s_per_gpu(self) -> float:
        """At the assumed share of the peak."""
        return self.mfu * self.card.bf16_flops / self.flops_per_token

    @property
    def tokens_per_s(self) -> float:
        """Over all cards."""
        return self.tokens_per_s_per_gpu * self.gpus

    @property
    def step_s(self) -> float:
        """Seconds of an update."""
        return self.tokens_per_update / self.tokens_per_s

    @property
    def hours(self) -> float:
        """Of the whole stage."""
        return self.updates * self.step_s / 3600

    @property
    def gpu_hours(self) -> float:
        """Hours times cards."""
        return self.hours * self.gpus

    @property
    def reported_mfu(self) -> float | None:
        """Share of the H100's bf16 peak that the reported hours amount to."""
        if self.reported is None:
            return None
        rate = self.reported.tokens_per_s_per_gpu * self.flops_per_token
        return rate / CARDS["h100"].bf16_flops


def shape_of(recipe: Recipe) -> VLMConfig:
    """Shape of the model a recipe trains.

    Raises:
        CheckpointError: It is a checkpoint's, and that cannot be read.
    """
    if recipe.model.preset is not None:
        return preset(recipe.model.preset)
    from nanovl.checkpoint.info import inspect

    return inspect(str(recipe.stage.init_from or recipe.model.path)).config


def plan(
    recipe: Recipe,
    *,
    gpus: int = 1,
    card: Card | None = None,
    mfu: float | None = None,
    sample_tokens: float | None = None,
    visual_share: float | None = None,
) -> Plan:
    """Estimate what a recipe needs.

    Args:
        recipe: The stage.
        gpus: Number of devices.
        card: Kind of device; None is an H100.
        mfu: Share of the bf16 peak; None takes 17 % on GPUs (the report's Stage 3) and 25 % on
            CPUs.
        sample_tokens: Mean tokens of a sample; None takes the reported, else a quarter of a pack.
        visual_share: Share of tokens that stand for pictures; None assumes one per stage.

    Raises:
        ConfigError: A number out of range, or ranks that cannot be divided as the recipe says.
    """
    card = card or find_card("h100")
    mfu = DEFAULT_MFU["cpu" if card.name == "cpu" else "cuda"] if mfu is None else mfu
    mix = default_mix(recipe)
    mix = Mix(
        sample_tokens=mix.sample_tokens if sample_tokens is None else sample_tokens,
        visual_share=mix.visual_share if visual_share is None else visual_share,
    )
    _check(gpus, mfu, mix, recipe)
    config = shape_of(recipe)
    replicate, shard = _divide(recipe, gpus)
    tiles = recipe.batch.micro * recipe.data.seq_len * mix.visual_share / config.tokens_per_tile
    memory = rank_memory(recipe, config, shard * recipe.parallel.cp, tiles)
    forward = _forward_per_token(config, mix)
    factors = pass_factors(recipe.stage.trainable)
    llm = sum(v for k, v in forward.items() if k not in ("vision", "projector"))
    work = (factors["llm"] + (recipe.distill is not None)) * llm
    work += factors["vision"] * forward["vision"] + factors["projector"] * forward["projector"]
    try:
        micro_batches = accumulation(recipe, replicate * shard)
        warnings = []
    except ConfigError as error:
        micro_batches, warnings = None, [f"{error}{_better_cp(recipe, gpus)}"]
    if memory.total > _USABLE * card.memory_bytes > 0:
        warnings.append(_too_large(recipe, memory, card))
    return Plan(
        name=recipe.name,
        description=recipe.description,
        card=card,
        gpus=gpus,
        mfu=mfu,
        mix=mix,
        parameters=module_parameters(config),
        trainable=tuple(sorted(recipe.stage.trainable)),
        fp8=recipe.precision.fp8,
        teacher=recipe.distill is not None,
        dp_replicate=replicate,
        dp_shard=shard,
        cp=recipe.parallel.cp,
        micro_batches=micro_batches,
        updates=num_updates(recipe),
        tokens_per_update=tokens_per_update(recipe),
        samples_per_update=(
            tokens_per_update(recipe) / mix.sample_tokens
            if recipe.packing
            else recipe.batch.global_
        ),
        forward_per_token=forward,
        factors=factors,
        flops_per_token=work,
        memory=memory,
        warnings=tuple(warnings),
        reported=REPORTED.get(recipe.name) if recipe.model.preset == "12b" else None,
    )


def _check(gpus: int, mfu: float, mix: Mix, recipe: Recipe) -> None:
    for ok, name, got, expected in (
        (gpus > 0, "gpus", gpus, "at least 1"),
        (0 < mfu <= 1, "mfu", mfu, "more than 0, at most 1 (17 % is 0.17)"),
        (0 <= mix.visual_share <= 1, "visual share", mix.visual_share, "0 to 1"),
        (
            0 < mix.sample_tokens <= recipe.data.seq_len,
            "sample tokens",
            mix.sample_tokens,
            f"more than 0, at most seq_len {recipe.data.seq_len}",
        ),
    ):
        if not ok:
            raise ConfigError(f"{name}: got {got:g}, expected {expected}")


def _divide(recipe: Recipe, gpus: int) -> tuple[int, int]:
    """Data-parallel copies and shards."""
    from nanovl.train.parallel import ParallelDims

    p = recipe.parallel
    dims = ParallelDims(dp_replicate=p.dp_replicate, dp_shard=p.dp_shard, cp=p.cp).resolve(gpus)
    return dims.dp_replicate, dims.dp_shard


def _forward_per_token(config: VLMConfig, mix: Mix) -> dict[str, float]:
    """Forward FLOPs of a mean token; attention of documents of the mean length."""
    tiles = mix.visual_share / config.tokens_per_tile
    one = forward_flops(config, [1], tiles)
    length = round(mix.sample_tokens)
    return {
        "layers": one.layers,
        "head": one.head,
        "scan": one.scan,
        "attention": attention_flops(config.lm, length) / length,
        "vision": one.vision,
        "projector": one.projector,
    }


def _better_cp(recipe: Recipe, gpus: int) -> str:
    """The smallest context parallelism that shares the batch evenly, as the end of a message."""
    per_round = recipe.batch.global_ // recipe.batch.micro
    for cp in range(recipe.parallel.cp, gpus + 1):
        divides = gpus % cp == 0 and per_round % (gpus // cp) == 0
        if divides and recipe.data.seq_len % (2 * cp) == 0:
            return f"; on {gpus} {'device' if gpus == 1 else 'devices'} parallel.cp={cp} does"
    return ""


def _too_large(recipe: Recipe, memory: RankMemory, card: Card) -> str:
    ways = []
    if recipe.recompute == "none":
        ways.append("recompute=full")
    if memory.activations > memory.total / 4:
        ways.append("a larger parallel.cp")
    if memory.weights + memory.gradients + memory.optimizer > memory.total / 4:
        ways.append("more devices")
    if recipe.batch.micro > 1:
        ways.append("a smaller batch.micro")
    return (
        f"memory: {memory.total / 1e9:.1f} GB per rank of {card.memory_bytes / 1e9:.0f} GB; "
        f"{_USABLE:.0%} can be used. Try {', '.join(ways) or 'a shorter data.seq_len'}"
    )
