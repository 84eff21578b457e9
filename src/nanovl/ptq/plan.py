"""What is to be done to a checkpoint: options, checked before any work.

Source: quantization specification, sections 3 and 10.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from nanovl.checkpoint.keymap import linear_modules
from nanovl.core.config import nearest
from nanovl.core.errors import ConfigError
from nanovl.model.config import LMConfig
from nanovl.quant.ranges import check_range_method
from nanovl.quant.rounding import NEED_HESSIAN, check_algorithm
from nanovl.quant.schemes import POLICIES, find_policy, format_of

__all__ = ["CALIBRATED", "MIXED", "Options", "bits_of", "formats_for"]

# Formats that round inputs with a fixed scale, which only samples can give.
CALIBRATED = frozenset({"fp8", "nvfp4"})
# What a search chooses from, costliest first.
MIXED = ("bf16", "fp8", "nvfp4")


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to quantize.

    Attributes:
        format: A policy ("fp8", "nvfp4", "nvfp4-mlp", "int8", ...) or "mixed:BITS".
        algo: How weights are rounded.
        range: How activation ranges are chosen.
        exclude: Shell wildcards of linears to leave in BF16.
        calib: Training data to draw samples from; None for formats that need none.
        samples, held_out: Samples to calibrate with, and to measure with.
        seq_len: Longest sample in tokens; None chooses by the size of the model.
        seed: Of the draw.
        max_kl: A mixture may diverge by this much, nats per token; None takes the size alone.
    """

    format: str = "fp8"
    algo: str = "max"
    range: str = "max"
    exclude: tuple[str, ...] = ()
    calib: Path | None = None
    samples: int = 1024
    held_out: int = 32
    seq_len: int | None = None
    seed: int = 0
    max_kl: float | None = None

    def __post_init__(self) -> None:
        bits = bits_of(self.format)
        targets = set(MIXED) if bits is not None else _targets(self.format)
        targets.discard("bf16")
        if not targets:
            raise ConfigError(
                "format 'bf16' quantizes nothing; `nanovl convert` copies checkpoints"
            )
        for target in sorted(targets):
            check_algorithm(target, self.algo)
            if target in CALIBRATED:
                check_range_method(target, self.range)
        if self.max_kl is not None and bits is None:
            raise ConfigError("max-kl belongs to a search: choose --format mixed:BITS")
        if self.max_kl is not None and not self.max_kl > 0:
            raise ConfigError(f"max-kl {self.max_kl}: expected a number above 0")
        for name in ("samples", "held_out"):
            value = getattr(self, name)
            if value < 1:
                raise ConfigError(f"{name} {value}: expected 1 or more")
        if self.seq_len is not None and self.seq_len < 16:
            raise ConfigError(f"seq-len {self.seq_len}: expected 16 or more")
        if self.calib is None and (why := self._why_samples(targets)):
            raise ConfigError(f"{why}; name training data with --calib, such as a blend file")

    def _why_samples(self, targets: set[str]) -> str:
        rounding = sorted(targets & CALIBRATED)
        if bits_of(self.format) is not None:
            return f"{self.format} measures what every layer loses on samples"
        if rounding:
            return f"{' and '.join(rounding)} round inputs too, and their ranges come from samples"
        if self.algo in NEED_HESSIAN:
            return f"algo {self.algo!r} rounds by what the inputs are like"
        return ""


def bits_of(format: str) -> float | None:
    """Bits per weight of "mixed:BITS"; None for a policy.

    Raises:
        ConfigError: Not a number between those of the smallest and largest format.
    """
    kind, _, number = format.partition(":")
    if kind != "mixed":
        return None
    try:
        bits = float(number)
    except ValueError:
        bits = math.nan
    if not 4.5 <= bits <= 16:
        raise ConfigError(
            f"format {format!r}: expected mixed:BITS with 4.5 to 16 bits per weight, such as "
            "mixed:5.4"
        )
    return bits


def formats_for(config: LMConfig, name: str, exclude: tuple[str, ...]) -> dict[str, str]:
    """Format of every linear of a decoder by a policy; what is not named stays BF16.

    Raises:
        ConfigError: Unknown policy, or a wildcard that matches nothing.
    """
    linears = linear_modules(config)
    policy = find_policy(name)
    chosen = {m: format_of(m, policy) for m in linears}
    return without(chosen, exclude)


def without(chosen: Mapping[str, str], exclude: tuple[str, ...]) -> dict[str, str]:
    """The same with some linears left in BF16.

    Raises:
        ConfigError: A wildcard that matches nothing.
    """
    for pattern in exclude:
        if not any(fnmatchcase(m, pattern) for m in chosen):
            raise ConfigError(
                f"exclude {pattern!r}: matches no linear of the language model, for example "
                f"{next(iter(chosen))!r}"
            )
    return {m: "bf16" if any(fnmatchcase(m, p) for p in exclude) else f for m, f in chosen.items()}


def _targets(name: str) -> set[str]:
    if name not in POLICIES:
        known = [p for p in POLICIES if p != "bf16"]
        raise ConfigError(
            f"format {name!r}: expected one of {', '.join(known)}, or mixed:BITS"
            f"{nearest(name, known)}"
        )
    return {target for _, target in POLICIES[name].rules}
