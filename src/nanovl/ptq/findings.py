"""What a person should know about a quantized checkpoint before using it, in sentences.

Reads results, measures nothing; pages and terminals show what it says.

Source: quantization specification, sections 3.2, 3.3 and 10.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nanovl.ptq.results import LayerResult, QuantResult

__all__ = [
    "MOVED",
    "POOR_DB",
    "SATURATED",
    "Finding",
    "findings",
    "shortened",
    "statistic",
    "worst_layer",
]

# Calibration ranges that grew by more in the second half of the samples are not settled.
MOVED = 0.10
# Share of the values of an input beyond its range that is worth a word.
SATURATED = 1e-3
# A product with a tenth of its power in the error.
POOR_DB = 10.0
# How far a prediction of a search may be off by a factor.
_OFF = 2.0
_NAMED = 3


@dataclass(frozen=True)
class Finding:
    """One of them.

    Attributes:
        kind: "bad": the checkpoint should not be used as it is; "warn": it may lose more than it
            must; "note".
        text: A sentence or a few, without markup.
    """

    kind: str
    text: str


def findings(result: QuantResult) -> tuple[Finding, ...]:
    """All of them, the gravest first."""
    names = shortened(x.name for x in result.layers)
    found = [
        _not_finite(result.layers, names),
        _unreached(result.layers, names),
        _moved(result, names),
        _saturated(result.layers, names),
        _divergence(result),
        _prediction(result),
        _worst(result.layers, names),
    ]
    order = ("bad", "warn", "note")
    return tuple(sorted((f for f in found if f is not None), key=lambda f: order.index(f.kind)))


def shortened(names: Iterable[str]) -> dict[str, str]:
    """Names without the modules that all of them are inside of; two parts stay at least."""
    parts = {name: name.split(".") for name in names}
    common = 0
    if len(parts) > 1:
        most = min(map(len, parts.values())) - 2
        while common < most and len({tuple(p[: common + 1]) for p in parts.values()}) == 1:
            common += 1
        # "layers" in front of a number says what the number is.
        if common and all(p[common].isdecimal() for p in parts.values()):
            common -= 1
    return {name: ".".join(p[common:]) for name, p in parts.items()}


def worst_layer(layers: Sequence[LayerResult]) -> LayerResult | None:
    """The rounded linear whose product lost most; None when nothing was rounded."""
    rounded = [x for x in layers if x.format != "bf16" and not math.isnan(x.output_sqnr_db)]
    return min(rounded, key=lambda x: x.output_sqnr_db, default=None)


def statistic(statistics: Mapping[str, Any], key: str) -> float:
    """A number of `TensorStatistics.summary`; NaN when it is not there."""
    value = statistics.get(key)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and value is not None else math.nan


def _not_finite(layers: Sequence[LayerResult], names: Mapping[str, str]) -> Finding | None:
    bad = [
        names[x.name]
        for x in layers
        if any(math.isnan(v) for v in (x.weight_sqnr_db, x.input_sqnr_db, x.output_sqnr_db))
    ]
    if not bad:
        return None
    return Finding(
        "bad",
        f"The error of {_layers(bad)} is not a number, so its weights or inputs are not finite. "
        "Do not use this checkpoint; look for the fault in the one it was made from.",
    )


def _unreached(layers: Sequence[LayerResult], names: Mapping[str, str]) -> Finding | None:
    bad = [names[x.name] for x in layers if not x.reached]
    if not bad:
        return None
    return Finding(
        "bad",
        f"No sample reached {_layers(bad)}. The range of such an input is a guess (scale 1). "
        "Calibrate with samples of the kind that uses it, or exclude it.",
    )


def _moved(result: QuantResult, names: Mapping[str, str]) -> Finding | None:
    moved = [x for x in result.layers if x.input_amax is not None and abs(x.amax_change) > MOVED]
    if not moved:
        return None
    most = max(abs(x.amax_change) for x in moved)
    count = result.samples.get("count")
    these = f"{count:,} samples are" if isinstance(count, int) and count != 1 else "The sample is"
    if count is None:
        these = "The samples are"
    return Finding(
        "warn",
        f"{these} too few: the second half of them changed the largest input of "
        f"{_layers([names[x.name] for x in moved])} by more than {100 * MOVED:g} % (at most by "
        f"{100 * most:.0f} %). Calibrate with more.",
    )


def _saturated(layers: Sequence[LayerResult], names: Mapping[str, str]) -> Finding | None:
    shares = {
        names[x.name]: statistic(x.input, "saturated")
        for x in layers
        if x.input_amax is not None and statistic(x.input, "saturated") > SATURATED
    }
    if not shares:
        return None
    worst = sorted(shares, key=lambda name: -shares[name])
    return Finding(
        "warn",
        f"More than {100 * SATURATED:g} % of the inputs of {_layers(worst)} lie beyond the range "
        f"and are cut off, at most {100 * shares[worst[0]]:.2g} %. A wider range (--range max) "
        "keeps them.",
    )


def _divergence(result: QuantResult) -> Finding | None:
    if statistic(result.divergence, "kl") >= 0:
        return None
    if not result.divergence:
        return Finding(
            "note",
            "How far the whole model moved was not measured, since there were no held-out "
            "samples. The errors of single layers do not say it.",
        )
    return Finding("bad", "The divergence of the whole model is not a number. Do not use it.")


def _prediction(result: QuantResult) -> Finding | None:
    if result.chosen is None:
        return None
    mixture = result.mixtures[result.chosen]
    if mixture.measured is None or mixture.predicted <= 0:
        return None
    factor = mixture.measured / mixture.predicted
    if 1 / _OFF <= factor <= _OFF:
        return None
    return Finding(
        "note",
        f"The mixture diverges by {mixture.measured:.3g} nats per token where the sum of its parts "
        f"predicted {mixture.predicted:.3g}. Errors of layers "
        f"{'add to each other' if factor > 1 else 'hide each other'}, so trust the measured "
        "values of the curve.",
    )


def _worst(layers: Sequence[LayerResult], names: Mapping[str, str]) -> Finding | None:
    worst = worst_layer(layers)
    if worst is None:
        return Finding("note", "No layer was rounded.")
    if worst.output_sqnr_db == math.inf:
        return Finding("note", "Every product is exactly what it was.")
    text = (
        f"{names[worst.name]} ({worst.format}) loses most: the error of its product lies "
        f"{worst.output_sqnr_db:.1f} dB below the product."
    )
    if worst.output_sqnr_db < POOR_DB:
        others = sum(x.output_sqnr_db < POOR_DB for x in layers) - 1
        more = f" {others} more layers are below {POOR_DB:g} dB, too." if others else ""
        return Finding("warn", f"{text}{more} Exclude it, or choose a format of more bits for it.")
    return Finding("note", text)


def _layers(names: Sequence[str]) -> str:
    """ "3 layers (a, b and 1 more)" in words."""
    if len(names) == 1:
        return names[0]
    shown = ", ".join(names[:_NAMED])
    rest = len(names) - _NAMED
    return f"{len(names)} layers ({shown}{f' and {rest} more' if rest > 0 else ''})"
