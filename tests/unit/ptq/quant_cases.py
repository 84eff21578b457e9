"""Results of quantizing, made up: as large as the real thing, or as odd as wanted."""

from __future__ import annotations

import math
import random
from typing import Any

from nanovl.ptq.results import LayerResult, QuantResult
from nanovl.ptq.search import frontier, group_names, solve_bits

# A decoder of the 12B model's kind: state-space, attention and feed-forward blocks.
PATTERN = "M-M-M-MM-M*-M-M*-M-M-M*-M-M-M-M*-M-M-M*-M-M-MM-M*-M-M-MM-M-M-M"
ROLES = {
    "M": {"in_proj": (22656, 5120), "out_proj": (5120, 10240)},
    "-": {"up_proj": (20480, 5120), "down_proj": (5120, 20480)},
    "*": {
        "q_proj": (5120, 5120),
        "k_proj": (1024, 5120),
        "v_proj": (1024, 5120),
        "o_proj": (5120, 5120),
    },
}
BITS = {"bf16": 16.0, "fp8": 8.0, "nvfp4": 4.5, "nvfp4-w4a16": 4.5, "int8": 8.0, "int4": 5.0}
DB = {"fp8": 28.6, "nvfp4": 17.5, "nvfp4-w4a16": 20.4, "int8": 41.0, "int4": 20.3}
CALIBRATED = ("fp8", "nvfp4")


def statistics(rng: random.Random, columns: int, *, tail: float) -> dict[str, Any]:
    """What `TensorStatistics.summary` gives for an input with a heavy tail."""
    rms = 10 ** rng.uniform(-1.5, 0.5)
    crest = 8 * math.exp(rng.gammavariate(2, tail))
    low, high = round(math.log2(rms) / 0.625) * 0.625 - 15, math.log2(rms * crest)
    edges = [low]
    while edges[-1] < high:
        edges.append(edges[-1] + 0.625)
    counts = []
    for left in edges[:-1]:
        distance = (left - math.log2(rms)) / (1.3 if left > math.log2(rms) else 3.0)
        counts.append(int(4e8 * math.exp(-0.5 * distance**2)) + rng.randint(1, 40))
    median = rms * 3
    tops = sorted((rms * crest * math.exp(-rng.random() * i / 5) for i in range(16)), reverse=True)
    tops[0] = rms * crest
    return {
        "amax": rms * crest,
        "rms": rms,
        "crest": crest,
        "kurtosis": 3 + crest,
        "zeros": rng.random() / 2,
        "p99": rms * 3,
        "p99_9": rms * 4,
        "p99_99": rms * min(6, crest),
        "top_channels": [[rng.randrange(columns), v] for v in tops],
        "channel_ratio": rms * crest / median,
        "saturated": 0.0,
        "flushed": rng.random() * 0.02,
        "subnormal_scales": rng.random() * 0.01,
        "distinct_scales": rng.randint(40, 120),
        "histogram": {"log2": edges, "counts": counts},
    }


def layer(rng: random.Random, index: int, role: str, format: str) -> LayerResult:
    """One linear."""
    shape = next(roles[role] for roles in ROLES.values() if role in roles)
    n, k = shape
    rounded = format != "bf16"
    calibrated = format in CALIBRATED
    seen = statistics(rng, k, tail=0.9 if role in ("down_proj", "out_proj") else 0.3)
    db = DB.get(format, math.inf) + rng.gauss(0, 0.6) - (2.5 if role == "down_proj" else 0)
    return LayerResult(
        name=f"language_model.backbone.layers.{index}.mixer.{role}",
        role=role,
        index=index,
        shape=shape,
        format=format,
        nbytes=round(n * k * BITS[format] / 8) + 8 * rounded,
        weight_sqnr_db=db + 2 if rounded else math.inf,
        input_sqnr_db=db + 1 if calibrated else math.inf,
        output_sqnr_db=db if rounded else math.inf,
        input_amax=seen["amax"] if calibrated else None,
        amax_change=abs(rng.gauss(0, 0.02)) if calibrated else 0.0,
        input=seen,
        weight=statistics(rng, k, tail=0.1),
    )


def result(format: str = "fp8", pattern: str = PATTERN, seed: int = 0) -> QuantResult:
    """A whole model in one format."""
    rng = random.Random(seed)
    layers = tuple(
        layer(rng, index, role, format)
        for index, kind in enumerate(pattern)
        for role in ROLES[kind]
    )
    rest = 2 * 2_216_376_832
    weights = sum(x.shape[0] * x.shape[1] for x in layers)
    return QuantResult(
        source="nano-12b-v2-vl",
        format=format,
        algo="mse",
        samples={
            "count": 1024,
            "tokens": 2_811_904,
            "longest": 16_384,
            "tiles": 5120,
            "held_out": 32,
            "held_out_tokens": 90_112,
            "hash": "5f" * 32,
            "keys": ["a", "b"],
            "held_out_keys": ["c"],
            "dropped": {"too_long": 12},
        },
        layers=layers,
        divergence={"kl": 0.0021, "kl_99": 0.031, "agreement": 0.9912, "tokens": 6144.0},
        bytes_before=2 * weights + rest,
        bytes_after=sum(x.nbytes for x in layers) + rest,
        seconds={"samples": 12.0, "blocks": 5423.0, "write": 301.0, "all": 5800.0},
    )


def searched(bits: float = 5.4, pattern: str = PATTERN, seed: int = 0) -> QuantResult:
    """A mixture, with the curve it was chosen from."""
    rng = random.Random(seed)
    plain = result("bf16", pattern, seed)
    shapes = {x.name: x.shape for x in plain.layers}
    groups = group_names(shapes)
    sizes: dict[str, dict[str, int]] = {}
    scores: dict[str, dict[str, float]] = {}
    for group, own in groups.items():
        weights = sum(math.prod(shapes[m]) for m in own)
        sizes[group] = {f: round(weights * BITS[f] / 8) for f in ("bf16", "fp8", "nvfp4")}
        cost = 10 ** rng.gauss(-4.2, 0.45) * (3 if "down" in group else 1)
        scores[group] = {"bf16": 0.0, "fp8": cost / rng.uniform(20, 60), "nvfp4": cost}
    total = sum(math.prod(shape) for shape in shapes.values())
    wanted = solve_bits(sizes, scores, total, bits)
    curve = sorted({m.nbytes: m for m in (*frontier(sizes, scores, 24), wanted)}.items())
    mixtures = [m for _, m in curve]
    at = mixtures.index(wanted)
    mixtures = [
        m.__class__(
            formats=m.formats,
            nbytes=m.nbytes,
            predicted=m.predicted,
            measured=m.predicted * rng.uniform(1.0, 1.5) if i % 6 == at % 6 else None,
        )
        for i, m in enumerate(mixtures)
    ]
    format_of = {m: wanted.formats[g] for g, own in groups.items() for m in own}
    layers = tuple(layer(rng, x.index, x.role, format_of[x.name]) for x in plain.layers)
    return QuantResult(
        source=plain.source,
        format=f"mixed:{bits:g}",
        algo="mse",
        samples=plain.samples,
        layers=layers,
        sensitivity=scores,
        mixtures=tuple(mixtures),
        chosen=at,
        divergence=plain.divergence,
        bytes_before=plain.bytes_before,
        bytes_after=plain.bytes_before
        - sum(x.nbytes for x in plain.layers)
        + sum(x.nbytes for x in layers),
        seconds=plain.seconds,
    )
