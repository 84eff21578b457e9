"""Shapes of the network, and the three presets.

`12b` is the released Nemotron Nano V2 VL, `mini` the embedded model, `tiny` is for unit tests.
Counts and FLOPs are derived from these numbers and tested against the built model. Reading and
writing `config.json` is the job of `nanovl.checkpoint`.

Source: report, section 2; `spec/model.md` sections 1 to 6.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from nanovl.core.config import nearest
from nanovl.core.errors import ConfigError

__all__ = [
    "CLIP_MEAN",
    "CLIP_STD",
    "PRESETS",
    "LMConfig",
    "ProjectorConfig",
    "VLMConfig",
    "VisionConfig",
    "preset",
]

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True, kw_only=True)
class VisionConfig:
    """c-RADIOv2 vision transformer.

    Attributes:
        hidden_size, num_layers, num_heads, intermediate_size: The transformer.
        patch_size: Side of a patch in pixels.
        max_resolution: Side in pixels the position table covers (2048: a 128 x 128 table).
        num_prefix_tokens: Class and register tokens put in front of the patches.
        norm_eps: LayerNorm epsilon.
    """

    hidden_size: int = 1280
    num_layers: int = 32
    num_heads: int = 16
    intermediate_size: int = 5120
    patch_size: int = 16
    max_resolution: int = 2048
    num_prefix_tokens: int = 16
    norm_eps: float = 1e-6

    def __post_init__(self) -> None:
        if self.hidden_size % self.num_heads:
            raise ConfigError(
                f"vision: hidden_size {self.hidden_size} is not divisible by "
                f"num_heads {self.num_heads}"
            )

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.hidden_size // self.num_heads

    @property
    def table_size(self) -> int:
        """Rows (= columns) of the position table."""
        return self.max_resolution // self.patch_size

    @property
    def num_parameters(self) -> int:
        """Weights of the encoder."""
        u, f = self.hidden_size, self.intermediate_size
        block = 4 * u + (3 * u * u + 3 * u) + (u * u + u) + (u * f + f) + (f * u + u)
        patch = 3 * self.patch_size**2 * u
        return self.num_layers * block + patch + (self.table_size**2 + self.num_prefix_tokens) * u


@dataclass(frozen=True, kw_only=True)
class ProjectorConfig:
    """RMSNorm, Linear, squared ReLU, Linear; input is a 2 x 2 cell of patches."""

    hidden_size: int = 20480
    norm_eps: float = 1e-5


@dataclass(frozen=True, kw_only=True)
class LMConfig:
    """Hybrid Mamba-2 / attention / MLP decoder.

    Attributes:
        vocab_size: Rows of the embedding table, padding rows included.
        hidden_size: Width of the residual stream.
        pattern: One character per layer: M Mamba-2, * attention, - MLP.
        num_heads, num_kv_heads, head_dim: Attention.
        intermediate_size: MLP width.
        mamba_num_heads, mamba_head_dim: Inner width is their product.
        ssm_state_size, num_groups: State per head, groups sharing B and C.
        conv_kernel: Taps of the causal convolution.
        chunk_size: Tokens per SSD chunk; changes rounding only.
        norm_eps: RMSNorm epsilon.
        time_step_limit: Clamp of dt; (0, inf) is none.
        tie_embeddings: Whether the output layer reuses the embedding table.
        max_positions: Longest sequence the model is meant for.
    """

    vocab_size: int = 132096
    hidden_size: int = 5120
    pattern: str = "M-M-M-M*-M-M-M-M*-M-M-M-M*-M-M-M-M*-M-M-M-M*-M-M-M-M*-M-M-M-M-"
    num_heads: int = 40
    num_kv_heads: int = 8
    head_dim: int = 128
    intermediate_size: int = 20480
    mamba_num_heads: int = 128
    mamba_head_dim: int = 80
    ssm_state_size: int = 128
    num_groups: int = 8
    conv_kernel: int = 4
    chunk_size: int = 128
    norm_eps: float = 1e-5
    time_step_limit: tuple[float, float] = (0.0, float("inf"))
    tie_embeddings: bool = False
    max_positions: int = 131072
    initializer_range: float = 0.02

    def __post_init__(self) -> None:
        if "E" in self.pattern:
            raise ConfigError(
                "hybrid_override_pattern contains 'E' (mixture of experts), which nanovl does not "
                "implement; Nemotron Nano V2 uses M, * and - only"
            )
        bad = sorted(set(self.pattern) - set("M*-"))
        if bad or not self.pattern:
            raise ConfigError(
                f"hybrid_override_pattern {self.pattern!r}: expected one of M, *, - per layer, "
                f"got {', '.join(map(repr, bad)) or 'nothing'}"
            )
        for big, small, what in (
            (self.num_heads, self.num_kv_heads, "num_heads by num_kv_heads"),
            (self.mamba_num_heads, self.num_groups, "mamba_num_heads by num_groups"),
        ):
            if big % small:
                raise ConfigError(f"language model: cannot divide {what} ({big} by {small})")

    @property
    def num_layers(self) -> int:
        """Length of the pattern."""
        return len(self.pattern)

    @property
    def mamba_inner_size(self) -> int:
        """Inner width of a Mamba layer."""
        return self.mamba_num_heads * self.mamba_head_dim

    @property
    def conv_dim(self) -> int:
        """Channels of the causal convolution: x, B and C."""
        return self.mamba_inner_size + 2 * self.num_groups * self.ssm_state_size

    @property
    def in_proj_size(self) -> int:
        """Output width of a Mamba layer's input projection: z, x, B, C and dt."""
        return self.mamba_inner_size + self.conv_dim + self.mamba_num_heads

    @property
    def layer_parameters(self) -> dict[str, int]:
        """Weights of one layer of each kind, its norm included."""
        d, inner, conv = self.hidden_size, self.mamba_inner_size, self.conv_dim
        mamba = d * self.in_proj_size + conv * (self.conv_kernel + 1) + 3 * self.mamba_num_heads
        mamba += inner + inner * d
        q, kv = self.num_heads * self.head_dim, self.num_kv_heads * self.head_dim
        return {
            "M": d + mamba,
            "*": d + d * (q + 2 * kv) + q * d,
            "-": d + 2 * d * self.intermediate_size,
        }

    @property
    def linear_weights(self) -> dict[str, int]:
        """Weights of the matrix products of one layer of each kind; a token uses each once."""
        d = self.hidden_size
        return {
            "M": d * self.in_proj_size + self.mamba_inner_size * d,
            "*": 2 * d * self.head_dim * (self.num_heads + self.num_kv_heads),
            "-": 2 * d * self.intermediate_size,
        }

    @property
    def num_parameters(self) -> int:
        """Weights of the decoder, embeddings and head included."""
        layers = sum(self.layer_parameters[kind] for kind in self.pattern)
        tables = self.vocab_size * self.hidden_size * (1 if self.tie_embeddings else 2)
        return layers + self.hidden_size + tables

    def flops_per_token(self, context: int = 0) -> int:
        """Forward FLOPs of one token: 2 per weight used, plus attention over `context` tokens and
        the SSM recurrence; the embedding lookup is free.
        """
        linear = self.linear_weights
        extra = {
            "M": self.conv_dim * self.conv_kernel + 3 * self.mamba_inner_size * self.ssm_state_size,
            "*": 2 * context * self.num_heads * self.head_dim,
            "-": 0,
        }
        matmuls = sum(linear[kind] + extra[kind] for kind in self.pattern)
        return 2 * (matmuls + self.vocab_size * self.hidden_size)

    def kv_bytes_per_token(self, bytes_per_value: int = 2) -> int:
        """Cache growth per token over all attention layers."""
        per_layer = 2 * self.num_kv_heads * self.head_dim * bytes_per_value
        return self.pattern.count("*") * per_layer

    def state_bytes(self, bytes_per_value: int = 2) -> int:
        """Constant state of one sequence: SSM (always fp32) and convolution."""
        ssm = self.mamba_inner_size * self.ssm_state_size * 4
        conv = (self.conv_kernel - 1) * self.conv_dim * bytes_per_value
        return self.pattern.count("M") * (ssm + conv)


@dataclass(frozen=True, kw_only=True)
class VLMConfig:
    """The whole model and what its inputs look like.

    Attributes:
        vision, projector, lm: The parts.
        image_size: Side of a tile or frame in pixels.
        max_num_tiles: Tiles of one picture, thumbnail not counted.
        use_thumbnail: Whether a picture of several tiles gets a small overview at the end.
        native_min_patches: Pictures enter whole near their own resolution, with at least so many
            patches and at most as many as tiles and thumbnail would have; None cuts them into
            tiles, as the released model does.
        pixel_shuffle_version: "v2" (this model) or "v1".
        norm_mean, norm_std: Pixel statistics, per channel, of values in 0..1.
        image_token, image_start_token, image_end_token, video_token: Token strings.
        video_pruning_rate: EVS rate of the checkpoint, None when it has none.
        max_sequence_length: Longest prompt plus answer.
    """

    vision: VisionConfig = field(default_factory=VisionConfig)
    projector: ProjectorConfig = field(default_factory=ProjectorConfig)
    lm: LMConfig = field(default_factory=LMConfig)
    image_size: int = 512
    max_num_tiles: int = 12
    use_thumbnail: bool = True
    native_min_patches: int | None = None
    pixel_shuffle_version: str = "v2"
    norm_mean: tuple[float, float, float] = CLIP_MEAN
    norm_std: tuple[float, float, float] = CLIP_STD
    image_token: str = "<image>"
    image_start_token: str = "<img>"
    image_end_token: str = "</img>"
    video_token: str = "<video>"
    video_pruning_rate: float | None = None
    max_sequence_length: int = 131072

    def __post_init__(self) -> None:
        cell = 2 * self.vision.patch_size
        if self.image_size % cell:
            raise ConfigError(
                f"force_image_size {self.image_size}: expected a multiple of {cell} (two patches)"
            )
        if self.pixel_shuffle_version not in ("v1", "v2"):
            raise ConfigError(f"ps_version {self.pixel_shuffle_version!r}: expected 'v1' or 'v2'")

    @property
    def projector_input_size(self) -> int:
        """Channels of one visual token before the projector: four patches."""
        return 4 * self.vision.hidden_size

    @property
    def tokens_per_tile(self) -> int:
        """Visual tokens of a square tile."""
        return self.visual_grid(self.image_size, self.image_size)[0] ** 2

    def visual_grid(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of visual tokens of a picture of that size in pixels."""
        cell = 2 * self.vision.patch_size
        return height // cell, width // cell

    @property
    def projector_parameters(self) -> int:
        """Weights of the projector."""
        width = self.projector_input_size
        return width + self.projector.hidden_size * (width + self.lm.hidden_size)

    @property
    def num_parameters(self) -> int:
        """Weights of the whole model."""
        return self.vision.num_parameters + self.projector_parameters + self.lm.num_parameters

    def encoder_flops_per_tile(self) -> int:
        """Forward FLOPs of the encoder for one square tile."""
        v = self.vision
        patches = (self.image_size // v.patch_size) ** 2
        tokens = patches + v.num_prefix_tokens
        block = 4 * v.hidden_size**2 + 2 * v.hidden_size * v.intermediate_size
        attention = 2 * tokens * v.hidden_size
        encoder = tokens * v.num_layers * (block + attention)
        return 2 * (encoder + patches * 3 * v.patch_size**2 * v.hidden_size)

    def projector_flops_per_tile(self) -> int:
        """Forward FLOPs of the projector for one square tile."""
        width = self.projector_input_size + self.lm.hidden_size
        return 2 * self.tokens_per_tile * self.projector.hidden_size * width

    def vision_flops_per_tile(self) -> int:
        """Forward FLOPs of encoder and projector for one square tile."""
        return self.encoder_flops_per_tile() + self.projector_flops_per_tile()


def _mini() -> VLMConfig:
    # Every linear dimension is a multiple of 32 (in_proj: 2*1024 + 2*2*64 + 32 = 2336); the head
    # is tied and the table small so that FP8 linears and BF16 rest stay under 48 MB.
    return VLMConfig(
        vision=VisionConfig(
            hidden_size=256, num_layers=8, num_heads=4, intermediate_size=1024, max_resolution=1024
        ),
        projector=ProjectorConfig(hidden_size=1024),
        lm=LMConfig(
            vocab_size=10240,
            hidden_size=384,
            pattern="M-M-M*-M-M-M*-M-M-",
            num_heads=6,
            num_kv_heads=2,
            head_dim=64,
            intermediate_size=1536,
            mamba_num_heads=32,
            mamba_head_dim=32,
            ssm_state_size=64,
            num_groups=2,
            chunk_size=64,
            tie_embeddings=True,
            max_positions=32768,
        ),
        max_sequence_length=32768,
    )


def _tiny() -> VLMConfig:
    return VLMConfig(
        vision=VisionConfig(
            hidden_size=32,
            num_layers=2,
            num_heads=2,
            intermediate_size=64,
            max_resolution=128,
            num_prefix_tokens=4,
        ),
        projector=ProjectorConfig(hidden_size=64),
        lm=LMConfig(
            vocab_size=320,
            hidden_size=64,
            pattern="M-M*-",
            num_heads=4,
            num_kv_heads=2,
            head_dim=16,
            intermediate_size=128,
            mamba_num_heads=32,
            mamba_head_dim=8,
            ssm_state_size=16,
            num_groups=2,
            chunk_size=16,
            max_positions=262144,
        ),
        image_size=64,
        max_sequence_length=262144,
    )


PRESETS = ("12b", "mini", "tiny")


def preset(name: str) -> VLMConfig:
    """The shape called "12b", "mini" or "tiny".

    Raises:
        ConfigError: Unknown name.
    """
    if name == "12b":
        return replace(VLMConfig(), video_pruning_rate=0.7)
    if name == "mini":
        return _mini()
    if name == "tiny":
        return _tiny()
    raise ConfigError(
        f"preset {name!r}: expected one of {', '.join(PRESETS)}{nearest(name, PRESETS)}"
    )
