"""Memory of one rank during training, estimated from shapes.

Weights, gradients and moments are exact up to padding of shards. Activations follow what the
layers keep for their backward pass and are right within some tens of percent; what an allocator
wastes is not counted. Nothing is allocated here.

Letters: a bytes per value of activations, t tokens of one rank, m tiles of one rank.

Source: training specification, sections 4.3, 5 and 7.5; the layers of `nanovl.model`.
"""

from __future__ import annotations

from dataclasses import dataclass

from nanovl.model.config import LMConfig, VisionConfig, VLMConfig
from nanovl.train.config import Recipe

__all__ = ["RankMemory", "module_parameters", "rank_memory", "saved_per_tile", "saved_per_token"]

_BYTES = {"bf16": 2, "fp32": 4, "fp64": 8}


@dataclass(frozen=True, kw_only=True)
class RankMemory:
    """Bytes on one rank at the worst moment of an update.

    Attributes:
        weights: Shard of the weights the optimizer changes, or of fixed ones.
        gradients: Shard of their gradients.
        optimizer: Shard of both moments, and of the running mean if there is one.
        gathered: Whole weights of the layers at work, in the compute format, and their gradients.
        teacher: Shard of the teacher's weights in distillation.
        fp8_state: Histories and scales.
        activations: Kept for the backward pass, and the layer at work.
        pixels: Decoded tiles.
        logits: One chunk of logits with its gradient.
    """

    weights: float
    gradients: float
    optimizer: float
    gathered: float
    teacher: float
    fp8_state: float
    activations: float
    pixels: float
    logits: float

    @property
    def total(self) -> float:
        """Everything together."""
        return sum(self.parts().values())

    def parts(self) -> dict[str, float]:
        """Bytes by name."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def module_parameters(config: VLMConfig) -> dict[str, int]:
    """Weights of "vision", "projector" and "llm"."""
    return {
        "vision": config.vision.num_parameters,
        "projector": config.projector_parameters,
        "llm": config.lm.num_parameters,
    }


def saved_per_token(lm: LMConfig, value_bytes: int = 2) -> dict[str, float]:
    """Bytes one token leaves behind in one layer of each kind, without recomputation.

    Mamba layers keep the projected input, three inner rows, the state at every chunk boundary and
    the scores of a token with its chunk per group; attention keeps no scores.
    """
    a, d, inner = value_bytes, lm.hidden_size, lm.mamba_inner_size
    q, kv = lm.num_heads * lm.head_dim, lm.num_kv_heads * lm.head_dim
    scan = inner * lm.ssm_state_size / lm.chunk_size + 2 * lm.num_groups * lm.chunk_size
    return {
        "M": a * (2 * d + lm.in_proj_size + 3 * inner + scan) + 8 * lm.mamba_num_heads,
        "-": a * (2 * d + 2 * lm.intermediate_size),
        "*": a * (3 * d + 2 * q + 2 * kv),
    }


def saved_per_tile(vision: VisionConfig, tokens: int, value_bytes: int = 2) -> float:
    """Bytes one tile leaves behind in one encoder block, without recomputation.

    Args:
        vision: Shape.
        tokens: Patches and prefix tokens of a tile.
        value_bytes: Of the compute format.
    """
    return value_bytes * tokens * (9 * vision.hidden_size + 2 * vision.intermediate_size)


def rank_memory(recipe: Recipe, config: VLMConfig, shards: int, tiles: float) -> RankMemory:
    """Memory of one rank.

    Args:
        recipe: Batch, precision, parallelism, recomputation, what is trained.
        config: Shape of the model.
        shards: Ranks one copy of the weights is sharded over (dp_shard x cp).
        tiles: Tiles and frames of one micro-batch.
    """
    a, master = _BYTES[recipe.precision.compute], _BYTES[recipe.precision.master]
    sizes = module_parameters(config)
    weights = sum(sizes.values())
    trained = sum(sizes[name] for name in recipe.stage.trainable)
    copies = 3 if recipe.optim.ema_decay is not None else 2
    tokens = recipe.batch.micro * recipe.data.seq_len / recipe.parallel.cp
    on_host = recipe.parallel.cpu_offload
    return RankMemory(
        weights=0.0 if on_host else master * weights / shards,
        gradients=0.0 if on_host else master * trained / shards,
        optimizer=0.0 if on_host else copies * master * trained / shards,
        gathered=_gathered(recipe, config, shards, a, master),
        teacher=0.0 if recipe.distill is None else a * sizes["llm"] / shards,
        fp8_state=_fp8_state(recipe, config),
        activations=_activations(recipe, config, tokens, tiles / recipe.parallel.cp, a),
        pixels=tiles * 3 * config.image_size**2 * _pixel_bytes(recipe),
        logits=recipe.loss.chunk_rows * config.lm.vocab_size * (2 * max(4, a) + a),
    )


def _pixel_bytes(recipe: Recipe) -> int:
    return 2 if recipe.data.pixel_dtype == "bfloat16" else 4


def _gathered(recipe: Recipe, config: VLMConfig, shards: int, a: int, master: int) -> float:
    """Layers come whole one after the other, the next one early; the root stays whole."""
    trainable, sizes = recipe.stage.trainable, module_parameters(config)
    if shards == 1:  # nothing is freed between micro-batches
        return 0.0 if a == master else float(a * sum(sizes.values()))
    layers = sum(config.lm.layer_parameters[kind] for kind in config.lm.pattern)
    root = {"llm": sizes["llm"] - layers, "projector": sizes["projector"]}
    largest = max(config.lm.layer_parameters[kind] for kind in config.lm.pattern)
    gathered = a * (sum(root.values()) + 2 * largest)
    # Unsharded gradients, first as computed, then in fp32 on their way to the other ranks.
    gradients = (a + 4) * largest if "llm" in trainable else 0
    gradients += a * sum(size for name, size in root.items() if name in trainable)
    return float(gathered + gradients)


def _fp8_state(recipe: Recipe, config: VLMConfig) -> float:
    if recipe.precision.recipe != "fp8_delayed":
        return 0.0
    per_kind = {"M": 2, "-": 2, "*": 4}
    linears = sum(per_kind[kind] for kind in config.lm.pattern)
    linears += 4 * config.vision.num_layers + 2
    return linears * 3 * (recipe.precision.amax_history + 1) * 4.0


def _activations(recipe: Recipe, config: VLMConfig, tokens: float, tiles: float, a: int) -> float:
    lm, vision = config.lm, config.vision
    per_kind = saved_per_token(lm, a)
    layers = [per_kind[kind] for kind in lm.pattern]
    full = recipe.recompute == "full"
    llm = len(layers) * a * lm.hidden_size + max(layers) if full else sum(layers)
    if "M" in lm.pattern:  # the backward pass of one scan: scores per head
        llm += 4 * lm.mamba_num_heads * lm.chunk_size
    # Embedded rows and the final hidden rows, with a gradient beside them.
    held = tokens * (llm + 4 * a * lm.hidden_size)
    if recipe.parallel.cp > 1:  # keys and values of the whole pack, one layer at a time
        kv = 2 * lm.num_kv_heads * lm.head_dim
        held += 2 * a * kv * tokens * recipe.parallel.cp
    patches = (config.image_size // vision.patch_size) ** 2 + vision.num_prefix_tokens
    block = saved_per_tile(vision, patches, a)
    blocks = vision.num_layers * block
    if full:
        blocks = vision.num_layers * a * patches * vision.hidden_size + block
    if "vision" not in recipe.stage.trainable:  # nothing is kept, one block is at work
        blocks = block
    visual = a * config.tokens_per_tile
    projector = visual * (3 * config.projector_input_size + 2 * config.projector.hidden_size)
    # Every rank of a pack ends up with the rows of all its tiles.
    rows = visual * lm.hidden_size * recipe.parallel.cp
    return held + tiles * (blocks + projector + rows)
