"""Floating-point operations of training, and the share of a device's peak they make.

Counts what the model needs (two per weight used, attention per document, the state space scan),
never what an implementation does besides: padding, recomputation and copies are left out, so the
quotient with the peak is the model FLOPs utilisation (MFU).

Source: training specification, section 9.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from nanovl.core.errors import ConfigError
from nanovl.model.config import LMConfig, VLMConfig

__all__ = [
    "ForwardFlops",
    "attention_flops",
    "forward_flops",
    "head_flops",
    "layer_flops",
    "mfu",
    "pass_factors",
    "scan_flops",
    "step_flops",
]

SCAN_OPERATIONS = 7  # per inner channel and state value, forward


def layer_flops(lm: LMConfig) -> int:
    """Forward FLOPs of one token in the matrix products of all layers, head left out."""
    weights = lm.linear_weights
    return 2 * sum(weights[kind] for kind in lm.pattern)


def head_flops(lm: LMConfig) -> int:
    """Forward FLOPs of one row of logits."""
    return 2 * lm.hidden_size * lm.vocab_size


def scan_flops(lm: LMConfig) -> int:
    """Forward FLOPs of one token in the state space scans of all Mamba layers."""
    return lm.pattern.count("M") * SCAN_OPERATIONS * lm.mamba_inner_size * lm.ssm_state_size


def attention_flops(lm: LMConfig, length: int) -> int:
    """Forward FLOPs of causal attention inside one document, over all attention layers.

    Args:
        lm: Shape.
        length: Tokens of the document.
    """
    return lm.pattern.count("*") * 2 * length**2 * lm.num_heads * lm.head_dim


def pass_factors(trainable: Collection[str]) -> dict[str, int]:
    """How many forward passes' worth of work forward and backward are, per module.

    3 for a trained module, 2 for a fixed one that gradients pass through on their way to a
    trained one, 1 for a fixed one in front of all trained ones.
    """
    factors, upstream = {}, False
    for name in ("vision", "projector", "llm"):
        upstream = upstream or name in trainable
        factors[name] = 3 if name in trainable else 2 if upstream else 1
    return factors


@dataclass(frozen=True, kw_only=True)
class ForwardFlops:
    """Forward FLOPs of some documents, by part.

    Attributes:
        layers: Matrix products of the decoder layers.
        head: Logits.
        scan: State space scans.
        attention: Scores and their use, inside documents.
        vision, projector: All tiles.
    """

    layers: float
    head: float
    scan: float
    attention: float
    vision: float
    projector: float

    @property
    def llm(self) -> float:
        """Everything in the language model."""
        return self.layers + self.head + self.scan + self.attention

    @property
    def total(self) -> float:
        """Everything."""
        return self.llm + self.vision + self.projector

    def training(self, trainable: Collection[str], *, teacher: bool = False) -> float:
        """Forward and backward, with the factors of section 9.

        Args:
            trainable: Modules that are trained, of "vision", "projector", "llm".
            teacher: Whether a second language model runs forward beside it.
        """
        k = pass_factors(trainable)
        llm = (k["llm"] + teacher) * self.llm
        return llm + k["vision"] * self.vision + k["projector"] * self.projector


def forward_flops(
    config: VLMConfig, lengths: Iterable[int], tiles: float, *, head_rows: int | None = None
) -> ForwardFlops:
    """Forward FLOPs of documents.

    Args:
        config: Shape.
        lengths: Real tokens of every document, visual tokens included.
        tiles: Tiles and frames in them.
        head_rows: Rows of logits that were computed; None counts one per token.
    """
    lm = config.lm
    lengths = list(lengths)
    tokens = sum(lengths)
    return ForwardFlops(
        layers=tokens * layer_flops(lm),
        head=(tokens if head_rows is None else head_rows) * head_flops(lm),
        scan=tokens * scan_flops(lm),
        attention=sum(attention_flops(lm, n) for n in lengths),
        vision=tiles * config.encoder_flops_per_tile(),
        projector=tiles * config.projector_flops_per_tile(),
    )


def step_flops(
    config: VLMConfig,
    lengths: Iterable[int],
    tiles: float,
    trainable: Collection[str],
    *,
    head_rows: int | None = None,
    teacher: bool = False,
) -> float:
    """FLOPs one update needs for these documents; add up over data-parallel ranks.

    Context-parallel ranks share documents: count those once per group. Without `head_rows` every
    token counts as a row of logits, as published figures do; a trainer that computes logits only
    where there is loss passes the number of those rows.
    """
    forward = forward_flops(config, lengths, tiles, head_rows=head_rows)
    return forward.training(trainable, teacher=teacher)


def mfu(flops: float, seconds: float, devices: int, peak: float) -> float:
    """Share of the peak.

    Args:
        flops: Work done by all devices together.
        seconds: In this time.
        devices: Number of devices.
        peak: FLOP/s of one of them.

    Raises:
        ConfigError: A time or peak of zero or less.
    """
    if seconds <= 0 or devices < 1 or peak <= 0:
        raise ConfigError(
            f"MFU of {devices} devices of {peak:g} FLOP/s in {seconds:g} s: expected more than 0"
        )
    return flops / (seconds * devices * peak)
