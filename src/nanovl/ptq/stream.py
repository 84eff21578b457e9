"""Calibration and rounding block by block: memory for one block, and a place to go on from.

Every sample goes through a block before the next block is read. On the way the inputs of its
linears are observed; then its weights are rounded. Some samples are held out: they go through the
decoder twice, with the weights as they were and with the rounded ones, and their logits are
compared at the end.

    embeddings -> rows of all samples -> block 0 -> rows -> block 1 -> ... -> logits of both

Letters: t tokens, d width, n outputs, k inputs.

Source: quantization specification, sections 3.1 and 3.5.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from nanovl.checkpoint.keymap import linear_modules
from nanovl.checkpoint.sources import FileSource
from nanovl.core.errors import CheckpointError, InputError
from nanovl.core.events import Event, OnEvent, ignore_event
from nanovl.model.config import VLMConfig
from nanovl.model.context import ForwardContext
from nanovl.model.lm import Layer
from nanovl.ops.loss import chunked_kl
from nanovl.ptq.blocks import block_name, load_block, load_front, load_head
from nanovl.ptq.figures import (
    KEPT_ROWS,
    answer_rows,
    compared,
    keeper,
    of_weight,
    summary,
    weight_of,
)
from nanovl.ptq.plan import Options
from nanovl.ptq.results import LayerResult
from nanovl.ptq.rows import RowFile, spans_of
from nanovl.ptq.samples import CalibrationSet
from nanovl.quant.base import QuantizedLinear
from nanovl.quant.fake import FAKE_FORMATS
from nanovl.quant.observers import Observers, TensorStatistics
from nanovl.quant.ranges import input_range
from nanovl.quant.rounding import NEED_HESSIAN, weight_range
from nanovl.quant.schemes import quantize_linear, replace_module

__all__ = ["Stream"]

_QKV = ("q_proj", "k_proj", "v_proj")


@dataclass(frozen=True)
class _Seen:
    """What samples showed of the linears of a block, by their names inside of it.

    Attributes:
        statistics: Of all inputs.
        half: Largest input of the first half of the samples.
        rows: Some inputs (r, k).
    """

    statistics: dict[str, TensorStatistics]
    half: dict[str, float]
    rows: dict[str, torch.Tensor]

    def change(self, name: str) -> float:
        """How much the second half of the samples raised the largest input of a linear."""
        before = self.half.get(name, 0.0)
        return float(self.statistics[name].amax) / before - 1 if before > 0 else 0.0

    def state(self) -> dict[str, Any]:
        """To be kept in a file."""
        statistics = {name: s.state() for name, s in self.statistics.items()}
        return {"statistics": statistics, "half": self.half, "rows": self.rows}

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> _Seen:
        """From a file."""
        statistics = {
            name: TensorStatistics.from_state(s) for name, s in state["statistics"].items()
        }
        return cls(statistics, dict(state["half"]), dict(state["rows"]))


class Stream:
    """A checkpoint on its way through calibration.

    Args:
        source: The weights, in BF16.
        config: Their shape.
        samples: What goes through.
        options: How to round.
        folder: Working files; another run with the same arguments goes on from them.
        device: Where blocks are computed.
        dtype: Of hidden states.
        on_event: Told about blocks.
    """

    def __init__(
        self,
        source: FileSource,
        config: VLMConfig,
        samples: CalibrationSet | None,
        options: Options,
        folder: Path,
        *,
        device: torch.device,
        dtype: torch.dtype = torch.bfloat16,
        on_event: OnEvent = ignore_event,
    ) -> None:
        self.source, self.config, self.options = source, config, options
        self.folder, self.device, self.dtype = folder, device, dtype
        self.on_event = on_event
        self._samples = samples
        calib = [] if samples is None else list(samples.samples)
        held = [] if samples is None else list(samples.held_out)
        self._lengths = [s.num_tokens for s in calib]
        self._held_lengths = [s.num_tokens for s in held]
        self._answers = answer_rows(held)
        self._needs_hessian = options.algo in NEED_HESSIAN
        self._known = False  # whether an earlier pass observed everything that is needed
        folder.mkdir(parents=True, exist_ok=True)

    # --- one pass over the decoder --------------------------------------------------------------

    @torch.no_grad()
    def run(self, formats: Mapping[str, str] | None) -> tuple[LayerResult, ...]:
        """Take all blocks, from where an earlier run was stopped.

        Args:
            formats: Linear -> format it is rounded to; None only observes.

        Returns:
            What became of every linear; of an observing pass nothing.

        Raises:
            InputError: A weight or an activation is not finite.
            CheckpointError: The disk is full.
        """
        stage = "observe" if formats is None else "round"
        done = self._resume(stage, formats)
        self._known = stage == "round" and self._all_seen() and not self._needs_hessian
        if done == 0 and self._samples is not None:
            self._embed()
        count = len(self.config.lm.pattern)
        self._tell(stage, done)
        for index in range(done, count):
            self._block(index, formats)
            self._remember(stage, formats, index + 1)
            self._tell(stage, index + 1)
        if formats is None:
            return ()
        return tuple(r for i in range(count) for r in self._load(i, "rounded")["results"])

    def rounded(self, index: int) -> dict[str, dict[str, torch.Tensor]]:
        """Stored tensors of the rounded linears of a block: full name -> role -> tensor."""
        return dict(self._load(index, "rounded")["tensors"])

    def seen(self, index: int) -> dict[str, TensorStatistics]:
        """Statistics of the inputs of a block's linears, by full name."""
        seen = _Seen.of(self._load(index, "seen"))
        return {f"{block_name(index)}.{name}": s for name, s in seen.statistics.items()}

    @torch.no_grad()
    def divergence(self) -> dict[str, float]:
        """How far the rounded model is from the one before, on the answers of held-out samples.

        Returns:
            "kl", nats per token; "kl_99", its 99th percentile; "agreement", share of tokens with
            the same first choice; "tokens" that were compared. Empty without samples.
        """
        if not self._answers.numel():
            return {}
        head = load_head(self.source, self.config, device=self.device, dtype=self.dtype)
        count = len(self.config.lm.pattern)
        clean, rounded = (self._rows(which, count).open() for which in ("held", "student"))
        each, same = [], 0
        for rows in torch.split(self._answers, 512):
            before, after = (
                head.backbone.norm_f(x[rows].to(self.device)) for x in (clean, rounded)
            )
            weight = head.output_weight
            ones = torch.ones(len(rows), device=self.device)
            each.append(chunked_kl(after, weight, before, weight, ones)[1].double().cpu())
            first = (F.linear(x, weight).argmax(-1) for x in (before, after))
            same += int((next(first) == next(first)).sum())
        losses = torch.cat(each)
        return {
            "kl": float(losses.mean()),
            "kl_99": float(losses.quantile(0.99)),
            "agreement": same / len(losses),
            "tokens": float(len(losses)),
        }

    # --- one block ------------------------------------------------------------------------------

    def _block(self, index: int, formats: Mapping[str, str] | None) -> None:
        layer = load_block(self.source, self.config, index, device=self.device, dtype=self.dtype)
        prefix = block_name(index)
        names = [m.removeprefix(f"{prefix}.") for m in self._linears(index)]
        chosen = {n: "bf16" if formats is None else formats[f"{prefix}.{n}"] for n in names}
        weights_first = self.options.algo == "gptq" and formats is not None
        seen = self._observe(index, layer, chosen, advance=not weights_first)
        if self._samples is not None:
            self._through(index, layer, "held")
        if formats is None:
            self._save(index, "seen", seen.state())
            return
        results = self._round(index, layer, chosen, seen)
        if weights_first:
            self._advance_rounded(index, layer)
        if self._samples is not None:
            self._through(index, layer, "student")
        tensors = {
            f"{prefix}.{name}": dict(module.named_buffers())
            for name, module in layer.named_modules()
            if isinstance(module, QuantizedLinear)
        }
        self._save(index, "rounded", {"results": results, "tensors": tensors})

    def _observe(
        self, index: int, layer: Layer, chosen: Mapping[str, str], *, advance: bool
    ) -> _Seen:
        """Calibration samples through a block; its outputs become the rows of the next."""
        if self._known:
            return _Seen.of(self._load(index, "seen"))
        hessian = [n for n in chosen if chosen[n] != "bf16"] if self._needs_hessian else []
        rows: dict[str, list[torch.Tensor]] = {n: [] for n in chosen}
        half: dict[str, float] = {}
        if self._samples is None:
            return _Seen({}, half, {})
        each = -(-KEPT_ROWS // len(self._lengths))
        hooks = [
            layer.get_submodule(n).register_forward_pre_hook(keeper(rows[n], each)) for n in chosen
        ]
        x, out = self._rows("calib", index).open(), self._rows("calib", index + 1).open()
        with Observers(layer, list(chosen), hessian=hessian) as observers:
            # One at a time: products of other shapes round otherwise, and ranges would depend on
            # the neighbours.
            for number, span in enumerate(spans_of(self._lengths), start=1):
                try:
                    y = self._apply(layer, x[span])
                except InputError as error:
                    raise InputError(f"calibration sample {number}: {error}") from error
                if advance:
                    out[span] = y
                if number == -(-len(self._lengths) // 2):
                    half = {n: float(s.amax) for n, s in observers.statistics.items()}
        for hook in hooks:
            hook.remove()
        return _Seen(
            dict(observers.statistics), half, {n: torch.cat(r) for n, r in rows.items() if r}
        )

    def _round(
        self, index: int, layer: Layer, chosen: Mapping[str, str], seen: _Seen
    ) -> list[LayerResult]:
        """Replace the linears of a block by rounded ones, which imitate low-precision products."""
        ranges = {
            n: input_range(seen.statistics[n], f, self.options.range)
            for n, f in chosen.items()
            if f in ("fp8", "nvfp4")
        }
        largest: dict[str, torch.Tensor] = {}
        fused = [n for n in chosen if n.rpartition(".")[2] in _QKV and chosen[n] in FAKE_FORMATS]
        if fused:  # engines make one product of them
            together = [weight_of(layer, n) for n in fused]
            amax = weight_range(together, chosen[fused[0]], self.options.algo)
            largest = dict.fromkeys(fused, amax)
            top = max((ranges[n] for n in fused if n in ranges), default=None)
            ranges |= {n: top for n in fused if n in ranges and top is not None}
        results = []
        for name, format in chosen.items():
            linear = layer.get_submodule(name)
            assert isinstance(linear, nn.Linear)
            full = f"{block_name(index)}.{name}"
            statistics = seen.statistics.get(name)
            module = quantize_linear(
                linear,
                format,
                input_amax=ranges.get(name),
                weight_amax=largest.get(name),
                algo=self.options.algo,
                hessian=None if statistics is None else statistics.hessian,
                what=f"{full}.weight",
            )
            if isinstance(module, QuantizedLinear):
                module.emulate_activation = True
                replace_module(layer, name, module.eval())
            distance = compared(linear, module, seen.rows.get(name))
            results.append(
                LayerResult(
                    name=full,
                    role=name.rpartition(".")[2],
                    index=index,
                    shape=(linear.out_features, linear.in_features),
                    format=format,
                    nbytes=distance.nbytes,
                    weight_sqnr_db=distance.weight_db,
                    input_sqnr_db=distance.input_db,
                    output_sqnr_db=distance.output_db,
                    input_amax=ranges.get(name),
                    reached=statistics is None or float(statistics.amax) > 0,
                    amax_change=seen.change(name),
                    input=summary(statistics, format, ranges.get(name)),
                    weight=summary(of_weight(linear), format, None),
                )
            )
        return results

    def _advance_rounded(self, index: int, layer: Layer) -> None:
        """Calibration samples through rounded weights with inputs as they are."""
        modules = [m for m in layer.modules() if isinstance(m, QuantizedLinear)]
        for module in modules:
            module.emulate_activation = False
        self._through(index, layer, "calib")
        for module in modules:
            module.emulate_activation = True

    def _through(self, index: int, layer: Layer, which: str) -> None:
        """All samples of one kind through a block."""
        x, out = self._rows(which, index).open(), self._rows(which, index + 1).open()
        lengths = self._lengths if which == "calib" else self._held_lengths
        for span in spans_of(lengths):
            out[span] = self._apply(layer, x[span])

    def _apply(self, layer: Layer, x: torch.Tensor) -> torch.Tensor:
        """One sample (t, d) through a block."""
        y: torch.Tensor = layer(x.to(self.device), ForwardContext(cu_seqlens=(0, len(x))))
        return y.to("cpu", self.dtype)

    def _embed(self) -> None:
        """Inputs of the first block: pictures encoded, tokens looked up."""
        assert self._samples is not None
        front = load_front(self.source, self.config, device=self.device, dtype=self.dtype)
        done, total = 0, len(self._lengths) + len(self._held_lengths)
        for which in ("held",) if self._known else ("calib", "held"):
            rows = self._rows(which, 0).open()
            samples = self._samples.samples if which == "calib" else self._samples.held_out
            start = 0
            for sample in self._samples.load(samples):
                x = front.embed(sample.inputs).x
                rows[start : start + len(x)] = x.to("cpu", self.dtype)
                start += len(x)
                done += 1
                self.on_event(Event(name="embed", done=done, total=total, unit="samples"))
        self._rows("student", 0).open().copy_(self._rows("held", 0).open())

    # --- files ----------------------------------------------------------------------------------

    def _linears(self, index: int) -> list[str]:
        prefix = f"{block_name(index)}."
        return [m for m in linear_modules(self.config.lm) if m.startswith(prefix)]

    def _rows(self, which: str, index: int) -> RowFile:
        """Inputs of a block; two files take turns."""
        count = sum(self._lengths if which == "calib" else self._held_lengths)
        path = self.folder / f"{which}-{index % 2}.rows"
        return RowFile(path, (count, self.config.lm.hidden_size), self.dtype)

    def _file(self, index: int, kind: str) -> Path:
        return self.folder / f"{kind}-{index:03}.pt"

    def _save(self, index: int, kind: str, value: Any) -> None:
        path = self._file(index, kind)
        scratch = path.with_suffix(".new")
        try:
            torch.save(value, scratch)
            os.replace(scratch, path)
        except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
            scratch.unlink(missing_ok=True)
            raise CheckpointError(
                f"{path}: cannot be written ({error}); free some space and run the same command "
                "again, it goes on from here"
            ) from error

    def _load(self, index: int, kind: str) -> Any:
        with torch.serialization.safe_globals([LayerResult]):
            return torch.load(self._file(index, kind), weights_only=True)

    # --- where a run was stopped ----------------------------------------------------------------

    def _fingerprint(self, stage: str, formats: Mapping[str, str] | None) -> dict[str, Any]:
        options = self.options
        return {
            "stage": stage,
            "formats": None if formats is None else dict(formats),
            "samples": None if self._samples is None else self._samples.keys_hash,
            "algo": options.algo if formats is not None else None,
            "range": options.range if formats is not None else None,
            "dtype": str(self.dtype),
            "weights": [
                [str(path.name), path.stat().st_size, path.stat().st_mtime_ns]
                for path in sorted(self.source.files.folder.glob("*.safetensors"))
            ],
        }

    def _resume(self, stage: str, formats: Mapping[str, str] | None) -> int:
        """Blocks that are done; files of a run with other arguments are removed."""
        try:
            kept = json.loads((self.folder / "progress.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            kept = {}
        wanted = json.loads(json.dumps(self._fingerprint(stage, formats)))
        if kept.get("run") == wanted:
            return int(kept["done"])
        before = kept.get("run", {})
        changed = any(before.get(key) != wanted[key] for key in ("samples", "dtype", "weights"))
        # What all samples showed stays good for other formats.
        keep_seen = not changed and stage == "round" and self._all_seen()
        for path in self.folder.glob("*"):
            seen = path.name.startswith("seen")
            if path.suffix in (".pt", ".new", ".rows") and not (seen and keep_seen):
                path.unlink()
        return 0

    def _all_seen(self) -> bool:
        return all(self._file(i, "seen").exists() for i in range(len(self.config.lm.pattern)))

    def _remember(self, stage: str, formats: Mapping[str, str] | None, done: int) -> None:
        path = self.folder / "progress.json"
        scratch = path.with_suffix(".new")
        run = self._fingerprint(stage, formats)
        scratch.write_text(json.dumps({"run": run, "done": done}), encoding="utf-8")
        os.replace(scratch, path)

    def _tell(self, stage: str, done: int) -> None:
        total = len(self.config.lm.pattern)
        self.on_event(Event(name=stage, done=done, total=total, unit="blocks"))
