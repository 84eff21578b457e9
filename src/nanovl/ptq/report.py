"""Files about a quantized checkpoint: everything as JSON, layers as a table, one page to look at.

    quantization_report.json    all of `QuantResult`
    report/layers.csv           a row per linear
    report/index.html           see `report_page`

Source: quantization specification, sections 3.3, 5.1 and 10.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nanovl.core.errors import CheckpointError
from nanovl.ptq.report_page import page
from nanovl.ptq.results import LayerResult, QuantResult
from nanovl.ptq.search import group_names

__all__ = ["to_csv", "to_json", "write_report"]

# Numbers of `TensorStatistics.summary` that get a column, for inputs and for weights.
_STATISTICS = (
    "amax",
    "rms",
    "crest",
    "p99",
    "p99_9",
    "p99_99",
    "kurtosis",
    "zeros",
    "channel_ratio",
    "saturated",
    "flushed",
    "subnormal_scales",
    "distinct_scales",
)


def write_report(result: QuantResult, folder: Path) -> None:
    """Write the three files; older ones are replaced.

    Args:
        result: What was found.
        folder: The checkpoint's.

    Raises:
        CheckpointError: The folder cannot be written.
    """
    texts = {
        "quantization_report.json": to_json(result),
        "report/layers.csv": to_csv(result),
        "report/index.html": page(result),
    }
    for name, text in texts.items():
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())
        except OSError as error:
            raise CheckpointError(
                f"{path}: the report cannot be written ({error.strerror or error}); free some "
                "space or choose another folder, and run the same command again"
            ) from error


def to_json(result: QuantResult) -> str:
    """The result as JSON: fields in their order, names sorted with numbers in order of size.

    Numbers that are not finite become null. A layer and a mixture take one line each, so that two
    reports can be compared line by line.
    """
    lines = []
    for key, value in _plain(result).items():
        if key in ("layers", "mixtures") and value:
            items = ",\n".join(f"    {_dump(item)}" for item in value)
            lines.append(f'  "{key}": [\n{items}\n  ]')
        else:
            lines.append(f'  "{key}": {_dump(value)}')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def to_csv(result: QuantResult) -> str:
    """One row per linear. Infinite and undefined numbers are "inf", "-inf" and "nan"."""
    group_of = {m: g for g, own in group_names(x.name for x in result.layers).items() for m in own}
    rows = [_row(layer, result.sensitivity.get(group_of[layer.name])) for layer in result.layers]
    out = io.StringIO()
    writer = csv.DictWriter(out, list(_columns()), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _columns() -> tuple[str, ...]:
    fixed = ("name", "role", "index", "format", "outputs", "inputs", "nbytes")
    errors = ("weight_sqnr_db", "input_sqnr_db", "output_sqnr_db", "input_range", "amax_change")
    sides = tuple(f"{side}_{key}" for side in ("input", "weight") for key in _STATISTICS)
    return (*fixed, *errors, "reached", "sensitivity", *sides)


def _row(layer: LayerResult, scores: Mapping[str, float] | None) -> dict[str, Any]:
    row = {
        "name": layer.name,
        "role": layer.role,
        "index": layer.index,
        "format": layer.format,
        "outputs": layer.shape[0],
        "inputs": layer.shape[1],
        "nbytes": layer.nbytes,
        "weight_sqnr_db": layer.weight_sqnr_db,
        "input_sqnr_db": layer.input_sqnr_db,
        "output_sqnr_db": layer.output_sqnr_db,
        "input_range": layer.input_amax,
        "amax_change": layer.amax_change,
        "reached": layer.reached,
        "sensitivity": None if scores is None else scores.get(layer.format),
    }
    for side, found in (("input", layer.input), ("weight", layer.weight)):
        row |= {f"{side}_{key}": found.get(key) for key in _STATISTICS}
    return row


def _dump(value: Any) -> str:
    return json.dumps(value, allow_nan=False)


def _plain(value: Any) -> Any:
    """The same as what JSON has: no infinities, names sorted, fields of a class in their order."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(value[key]) for key in sorted(value, key=_natural)}
    if dataclasses.is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return value


def _natural(name: Any) -> list[tuple[int, int | str]]:
    """Order in which layer 2 comes before layer 10."""
    parts = re.split(r"(\d+)", str(name))
    return [(1, int(p)) if p.isdecimal() else (0, p) for p in parts]
