"""What a run measures: the record of an update, the file it goes to, and the line people watch.

`metrics.jsonl` holds one JSON object per update and is the authority; everything else is drawn
from it. Knows numbers only: no model, no collectives (ranks hand in their numbers), no printing.

Source: training specification, sections 3.6, 8.5 and 9.
"""

from __future__ import annotations

import json
import math
import os
import statistics
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from nanovl.core.errors import InputError, missing_extra
from nanovl.core.inputs import PackedBatch

__all__ = [
    "Eta",
    "MetricsWriter",
    "PackNumbers",
    "SourceLoss",
    "SpikeDetector",
    "duration",
    "loss_by_source",
    "pack_metrics",
    "pack_numbers",
    "progress_line",
    "read_metrics",
    "throughput",
]

_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


# --- the file -------------------------------------------------------------------------------------


def _plain(value: Any) -> Any:
    """JSON has no NaN: not finite numbers are written as text that `read_metrics` turns back."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value


def _number(value: Any) -> Any:
    if isinstance(value, str):
        return _NOT_FINITE.get(value, value)
    if isinstance(value, dict):
        return {k: _number(v) for k, v in value.items()}
    return [_number(v) for v in value] if isinstance(value, list) else value


def _parse(line: bytes) -> dict[str, Any] | None:
    """A record, or None for a line that was cut off or is no record."""
    try:
        record = json.loads(line)
    except ValueError:
        return None
    if not isinstance(record, dict) or not isinstance(record.get("update"), int):
        return None
    return {k: _number(v) for k, v in record.items()}


def read_metrics(path: Path) -> Iterator[dict[str, Any]]:
    """Records of a metrics file, in order; lines that a kill cut off are left out.

    Args:
        path: `metrics.jsonl`, or the run folder it is in.

    Raises:
        InputError: There is no such file.
    """
    path = path / "metrics.jsonl" if path.is_dir() else path
    try:
        lines = path.open("rb")
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); a run writes it with its first update"
        ) from None
    with lines:
        for line in lines:
            record = _parse(line)
            if record is not None:
                yield record


class MetricsWriter:
    """Appends records; every record is in the file when `write` returns.

    Args:
        folder: The run folder; made if missing.
        path: The file; None is `metrics.jsonl` in the folder.
        restored_update: Continue after this update: later records are removed, because the run
            makes those updates again. None keeps all of them.
        tensorboard: Also write TensorBoard events, to `tensorboard/` in the folder.

    Raises:
        BackendError: TensorBoard is wanted and not installed.
    """

    def __init__(
        self,
        folder: Path,
        *,
        path: Path | None = None,
        restored_update: int | None = None,
        tensorboard: bool = False,
    ) -> None:
        self.path = path or folder / "metrics.jsonl"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._board = _open_board(folder, restored_update) if tensorboard else None
        _trim(self.path, restored_update)
        self._file = self.path.open("ab", buffering=0)

    def write(self, record: Mapping[str, Any]) -> None:
        """Append one record; it needs the key "update"."""
        text = json.dumps(_plain(record), ensure_ascii=False, allow_nan=False)
        # One unbuffered write: a kill can cut the line off, but not mix it with another.
        self._file.write(text.encode() + b"\n")
        if self._board is not None:
            for name, value in record.items():
                if isinstance(value, int | float) and name != "update":
                    self._board.add_scalar(name, value, record["update"])

    def close(self) -> None:
        """Close the files."""
        self._file.close()
        if self._board is not None:
            self._board.close()

    def __enter__(self) -> MetricsWriter:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _open_board(folder: Path, restored_update: int | None) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise missing_extra("tensorboard", "train", "log.tensorboard=true") from None
    purge = None if restored_update is None else restored_update + 1
    writer: Any = SummaryWriter
    return writer(str(folder / "tensorboard"), purge_step=purge)


def _trim(path: Path, last_update: int | None) -> None:
    """Keep whole records up to an update. The file is replaced only if something has to go."""
    if not path.is_file():
        return
    tmp = path.with_name(path.name + ".tmp")
    dropped = 0
    with path.open("rb") as old, tmp.open("wb") as new:
        for line in old:
            record = _parse(line) if line.endswith(b"\n") else None
            if record is None or (last_update is not None and record["update"] > last_update):
                dropped += 1
            else:
                new.write(line)
        new.flush()
        os.fsync(new.fileno())
    if dropped:
        tmp.replace(path)
    else:
        tmp.unlink()


# --- packs ----------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class PackNumbers:
    """What one data-parallel rank packed into one update.

    Attributes:
        packs: Micro-batches.
        capacity: Tokens that would have fitted.
        real_tokens: Tokens of samples.
        segments, segments_max: Samples, and most of them in one pack.
        attention_work: Sum of squared lengths.
        tiles: Tiles and frames.
        loss_tokens: Tokens with loss.
        weight_mass: Sum of the loss weights (with square averaging, of sqrt(n)).
        buffer_wait_s: Seconds spent waiting for packs.
    """

    packs: int
    capacity: int
    real_tokens: int
    segments: int
    segments_max: int
    attention_work: float
    tiles: int
    loss_tokens: int
    weight_mass: float
    buffer_wait_s: float = 0.0


def pack_numbers(
    packs: Sequence[PackedBatch], *, capacity: int | None = None, buffer_wait_s: float = 0.0
) -> PackNumbers:
    """Numbers of this rank's packs of one update.

    Args:
        packs: The micro-batches.
        capacity: Tokens a pack may hold; None takes the length of each, padding included.
        buffer_wait_s: Seconds spent waiting for them.
    """
    lengths = [pack.lengths for pack in packs]
    return PackNumbers(
        packs=len(packs),
        capacity=sum(p.num_tokens if capacity is None else capacity for p in packs),
        real_tokens=sum(p.num_real_tokens for p in packs),
        segments=sum(map(len, lengths)),
        segments_max=max(map(len, lengths), default=0),
        attention_work=float(sum(n * n for one in lengths for n in one)),
        tiles=sum(p.num_tiles for p in packs),
        loss_tokens=sum(int((p.loss_weight != 0).sum()) for p in packs),
        weight_mass=sum(p.weight_mass for p in packs),
        buffer_wait_s=buffer_wait_s,
    )


def pack_metrics(ranks: Sequence[PackNumbers]) -> dict[str, float]:
    """The `pack/...` metrics of an update from the numbers of all data-parallel ranks.

    Imbalances are the largest over the mean: 1 is even, and the excess is time the other ranks
    wait.
    """
    packs = sum(r.packs for r in ranks)
    real = sum(r.real_tokens for r in ranks)
    return {
        "pack/fill": real / max(1, sum(r.capacity for r in ranks)),
        "pack/segments_mean": sum(r.segments for r in ranks) / max(1, packs),
        "pack/segments_max": max(r.segments_max for r in ranks),
        "pack/imbalance_tokens": _imbalance([r.real_tokens for r in ranks]),
        "pack/imbalance_attn": _imbalance([r.attention_work for r in ranks]),
        "pack/imbalance_tiles": _imbalance([r.tiles for r in ranks]),
        "pack/loss_tokens_frac": sum(r.loss_tokens for r in ranks) / max(1, real),
        "pack/weight_mass_min": min(r.weight_mass for r in ranks),
        "pack/weight_mass_max": max(r.weight_mass for r in ranks),
        "pack/buffer_wait_s": max(r.buffer_wait_s for r in ranks),
    }


def _imbalance(values: Sequence[float]) -> float:
    mean = sum(values) / len(values)
    return max(values) / mean if mean > 0 else 1.0


# --- losses ---------------------------------------------------------------------------------------


def loss_by_source(
    pack: PackedBatch, rows: torch.Tensor, token_loss: torch.Tensor
) -> dict[str, tuple[float, float]]:
    """Weighted loss and weight of every source in a pack, to be added up over packs and ranks.

    Args:
        pack: The pack.
        rows: Positions in it that have a loss, int64 (r,).
        token_loss: Their losses, (r,).
    """
    rows = rows.to(pack.loss_weight.device)
    weight = pack.loss_weight[rows].double().cpu()
    loss = token_loss.detach().double().cpu() * weight
    segment = pack.seq_idx[rows].to("cpu", torch.int64)
    count = len(pack.sources)
    losses = torch.zeros(count, dtype=torch.float64).index_add_(0, segment, loss).tolist()
    weights = torch.zeros(count, dtype=torch.float64).index_add_(0, segment, weight).tolist()
    found: dict[str, tuple[float, float]] = {}
    for source, one, mass in zip(pack.sources, losses, weights, strict=True):
        before = found.get(source, (0.0, 0.0))
        found[source] = before[0] + one, before[1] + mass
    return found


class SourceLoss:
    """Running mean loss per source; a source that is absent from an update keeps its value.

    Args:
        decay: How much of the old value stays per update.
    """

    def __init__(self, decay: float = 0.95) -> None:
        self.decay = decay
        self.values: dict[str, float] = {}

    def update(self, *parts: Mapping[str, tuple[float, float]]) -> dict[str, float]:
        """Take in the losses of one update and return the metrics `loss/<source>`.

        Args:
            parts: Results of `loss_by_source`, of all packs and ranks.
        """
        sums: dict[str, list[float]] = {}
        for part in parts:
            for source, (loss, weight) in part.items():
                entry = sums.setdefault(source, [0.0, 0.0])
                entry[0] += loss
                entry[1] += weight
        for source, (loss, weight) in sums.items():
            if weight > 0 and math.isfinite(loss):
                mean = loss / weight
                old = self.values.get(source, mean)
                self.values[source] = self.decay * old + (1 - self.decay) * mean
        return {f"loss/{source}": self.values[source] for source in sorted(self.values)}

    def state_dict(self) -> dict[str, Any]:
        """What a continued run needs."""
        return {"values": dict(self.values)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a saved state."""
        self.values = dict(state["values"])


class SpikeDetector:
    """Finds losses far above the recent ones: more than mean + sigma x standard deviation.

    Args:
        sigma: Standard deviations.
        window: Losses looked back on.
        least: Losses needed before anything counts as a spike; None is a quarter of the window.
    """

    # A nearly constant loss has almost no deviation; less than this share of the mean is no spike.
    _SMALLEST = 0.01

    def __init__(self, *, sigma: float = 6.0, window: int = 200, least: int | None = None) -> None:
        self.sigma = sigma
        self.least = max(2, window // 4 if least is None else least)
        self._losses: deque[float] = deque(maxlen=window)

    def limit(self) -> float:
        """The largest loss that is no spike; infinite while too little is known."""
        if len(self._losses) < self.least:
            return math.inf
        mean = statistics.fmean(self._losses)
        deviation = statistics.pstdev(self._losses, mean)
        return mean + max(self.sigma * deviation, self._SMALLEST * abs(mean))

    def is_spike(self, loss: float) -> bool:
        """Whether this loss is one; it is not remembered."""
        return loss > self.limit()

    def add(self, loss: float) -> None:
        """Remember a loss; one that is not finite is left out."""
        if math.isfinite(loss):
            self._losses.append(loss)

    def state_dict(self) -> dict[str, Any]:
        """What a continued run needs."""
        return {"losses": list(self._losses)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a saved state."""
        self._losses.clear()
        self._losses.extend(state["losses"])


# --- speed ----------------------------------------------------------------------------------------


def throughput(
    *,
    tokens: int,
    real_tokens: int,
    step_s: float,
    devices: int,
    flops: float = 0.0,
    peak: float = 0.0,
) -> dict[str, float]:
    """Speed of an update.

    Args:
        tokens: Positions of all packs, padding included.
        real_tokens: Tokens of samples.
        step_s: Seconds from one update to the next.
        devices: Ranks.
        flops: From `flops.step_flops`, over real tokens of all ranks; 0 when not counted.
        peak: FLOP/s of one device; 0 when not known, then there is no MFU.
    """
    seconds = max(step_s, 1e-9)
    found: dict[str, float] = {
        "tokens": tokens,
        "real_tokens": real_tokens,
        "step_s": step_s,
        "tokens_per_s": tokens / seconds,
        "real_tokens_per_s": real_tokens / seconds,
        "tokens_per_s_per_gpu": tokens / seconds / devices,
    }
    if flops > 0:
        found["tflops"] = flops / seconds / devices / 1e12
        if peak > 0:
            found["mfu"] = flops / (seconds * devices * peak)
    return found


class Eta:
    """Time left, from the median of recent updates; a checkpoint in between does not move it.

    Args:
        total: Updates of the stage.
        window: Updates looked back on.
    """

    def __init__(self, total: int, window: int = 50) -> None:
        self.total = total
        self._times: deque[float] = deque(maxlen=window)

    def update(self, update: int, step_s: float) -> float:
        """Seconds left after this update, which took so long."""
        self._times.append(step_s)
        return max(0, self.total - update) * statistics.median(self._times)


# --- the line -------------------------------------------------------------------------------------


def progress_line(record: Mapping[str, Any], total: int | None = None) -> str:
    """One line about an update: step, loss, gradient norm, rate, speed, MFU, data wait, time left.

    Args:
        record: A record of `metrics.jsonl`; what it does not hold is left out.
        total: Updates of the stage; None takes `record["total"]`.
    """
    total = total or record.get("total")
    step = str(record["update"])
    parts = [f"{step:>{len(str(total))}}/{total}" if total else step]
    for key, form in (
        ("loss", "loss {:.4f}"),
        ("eval/loss", "held-out {:.4f}"),
        ("grad_norm", "grad {:.3g}"),
        ("lr", "lr {:.2e}"),
    ):
        if record.get(key) is not None:
            parts.append(form.format(record[key]))
    if "tokens_per_s" in record:
        parts.append(f"{_short(record['tokens_per_s'])} tok/s")
    if record.get("mfu"):
        parts.append(f"MFU {record['mfu']:.1%}")
    elif record.get("tflops"):
        parts.append(f"{record['tflops']:.2f} TFLOP/s")
    if record.get("step_s"):
        parts.append(f"data {record.get('data_wait_s', 0.0) / record['step_s']:.0%}")
    if record.get("eta_s") is not None:
        parts.append(f"eta {duration(record['eta_s'])}")
    if record.get("skipped"):
        reason = record["skipped"]
        parts.append(f"SKIPPED ({reason})" if isinstance(reason, str) else "SKIPPED")
    return "  ".join(parts)


def _short(value: float) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def duration(seconds: float) -> str:
    """Such as 3d 4h, 5h 12m, 6m 30s or 12s."""
    if not math.isfinite(seconds):
        return "?"
    left = round(seconds)
    for size, big, small in ((86400, "d", "h"), (3600, "h", "m"), (60, "m", "s")):
        if left >= size:
            step = {"h": 3600, "m": 60, "s": 1}[small]
            return f"{left // size}{big} {left % size // step}{small}"
    return f"{left}s"
