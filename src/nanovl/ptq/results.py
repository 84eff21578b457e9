"""What quantizing a checkpoint found out, layer by layer, as plain data that files and pages show.

Source: quantization specification, sections 3.3 and 10.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["LayerResult", "Mixture", "QuantResult"]


@dataclass(frozen=True, kw_only=True)
class LayerResult:
    """One linear.

    Attributes:
        name: Module, as in the checkpoint.
        role: Last part of the name: "in_proj", "up_proj", "q_proj", ...
        index: Number of its block in the decoder.
        shape: (n, k).
        format: What it became: "fp8", "nvfp4", "nvfp4-w4a16", "int8", "int4" or "bf16".
        nbytes: Stored bytes, scales included.
        weight_sqnr_db: Of the weight against the one before; infinite when it was left alone.
        input_sqnr_db: Of the rounded input; infinite when inputs are left alone.
        output_sqnr_db: Of the product against the one of the weights before, on clean inputs.
        input_amax: Largest input the format holds, None where inputs are left alone.
        amax_change: |amax of all samples / amax of the first half - 1|.
        reached: Whether any sample reached it.
        input: Statistics of the input by name (see `quant.observers.TensorStatistics.summary`).
        weight: The same of the weight.
    """

    name: str
    role: str
    index: int
    shape: tuple[int, int]
    format: str
    nbytes: int
    weight_sqnr_db: float
    input_sqnr_db: float
    output_sqnr_db: float
    input_amax: float | None = None
    amax_change: float = 0.0
    reached: bool = True
    input: Mapping[str, Any] = field(default_factory=dict)
    weight: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """One choice of formats that the search looked at.

    Attributes:
        formats: Format by group of linears; q, k and v of an attention are one group.
        nbytes: Stored bytes of the linears.
        predicted: Sum of the sensitivities of the groups, nats per token.
        measured: Divergence that was measured, nats per token; None where it was not.
    """

    formats: Mapping[str, str]
    nbytes: int
    predicted: float
    measured: float | None = None


@dataclass(frozen=True, kw_only=True)
class QuantResult:
    """Everything.

    Attributes:
        source: Name of the checkpoint that was read.
        format: What was asked for.
        algo: How weights were rounded.
        samples: Calibration samples: number, tokens, hash of their keys, and the keys.
        layers: In model order.
        sensitivity: Group -> format -> nats per token; empty unless it was searched.
        mixtures: The curve of size against divergence, by size; empty unless it was searched.
        chosen: Index into `mixtures`.
        divergence: Nats per token and share of equal first choices of the whole result against
            the source, on held-out samples; empty when not measured.
        bytes_before, bytes_after: Of all tensors.
        seconds: By part of the work.
    """

    source: str
    format: str
    algo: str
    samples: Mapping[str, Any]
    layers: tuple[LayerResult, ...]
    sensitivity: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    mixtures: tuple[Mixture, ...] = ()
    chosen: int | None = None
    divergence: Mapping[str, float] = field(default_factory=dict)
    bytes_before: int = 0
    bytes_after: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """For JSON; tuples become lists there."""
        return asdict(self)
