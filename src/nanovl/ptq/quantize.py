"""A checkpoint becomes a smaller one: samples, calibration, search, rounding, files, report.

The new folder appears when it is complete. Working files stand beside it until then, so that the
same command goes on after an interruption.

Source: quantization specification, sections 3, 5 and 10.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import nn

from nanovl import __version__
from nanovl.checkpoint.build import load_model, load_processor
from nanovl.checkpoint.encode import plan
from nanovl.checkpoint.hf import CheckpointFiles, open_checkpoint
from nanovl.checkpoint.keymap import layer_of, linear_modules
from nanovl.checkpoint.match import Match, match, verify
from nanovl.checkpoint.names import resolve
from nanovl.checkpoint.quantized import StoredLinear
from nanovl.checkpoint.shards import atomic_folder, write_shards
from nanovl.checkpoint.side_files import copy_side_files, write_config_files, write_model_card
from nanovl.checkpoint.sources import FileSource
from nanovl.core.device import choose_device
from nanovl.core.errors import CheckpointError, ConfigError
from nanovl.core.events import Event, OnEvent, ignore_event
from nanovl.model.config import VLMConfig
from nanovl.ptq.plan import CALIBRATED, MIXED, Options, bits_of, formats_for, without
from nanovl.ptq.report import write_report
from nanovl.ptq.results import LayerResult, Mixture, QuantResult
from nanovl.ptq.samples import CalibrationSet, draw_samples
from nanovl.ptq.search import bisect, frontier, group_names, solve_bits
from nanovl.ptq.sensitivity import Probe
from nanovl.ptq.stream import Stream
from nanovl.quant.ranges import input_range
from nanovl.quant.rounding import NEED_HESSIAN
from nanovl.quant.schemes import FORMATS, quantize_linear

__all__ = ["quantize"]

# Models of more parameters get longer samples.
_LARGE = 1_000_000_000
_FRONTIER = 24


def quantize(
    source: str | Path,
    folder: str | Path,
    options: Options,
    *,
    work: str | Path | None = None,
    device: str = "auto",
    overwrite: bool = False,
    on_event: OnEvent = ignore_event,
) -> QuantResult:
    """Quantize a checkpoint.

    Args:
        source: Folder or name of a checkpoint in BF16.
        folder: Where to; must not exist, be empty, or hold a checkpoint to `overwrite`.
        options: How.
        work: Folder of working files; None is one beside `folder`. Removed at the end.
        device: "auto", "cpu", "cuda", "cuda:1".
        overwrite: Whether a checkpoint that is already there may be replaced.
        on_event: Told about samples, blocks and bytes.

    Returns:
        What is in the report too.

    Raises:
        ConfigError: Options do not fit the checkpoint or the data.
        CheckpointError: The source is damaged or already quantized, the target is in the way, or
            the disk is full.
        InputError: A weight or an activation is not finite.
    """
    begun = time.monotonic()
    where = choose_device(device)
    origin = resolve(source, on_event=on_event)
    target = Path(folder).expanduser()
    if target.resolve() == origin.resolve():
        raise CheckpointError(f"{target}: source and target are the same folder; choose another")
    work_folder = Path(work).expanduser() if work else target.with_name(f"{target.name}.work")
    with open_checkpoint(origin) as files, atomic_folder(target, overwrite=overwrite) as scratch:
        found = match(files)
        _check_plain(origin, found)
        job = _Job(files, found, options, work_folder, where, on_event)
        with job.timed("samples"):
            job.samples = _samples(origin, found.config, options)
        if bits_of(options.format) is None:
            formats = formats_for(found.config.lm, options.format, options.exclude)
        else:
            formats = job.search(origin)
        layers = job.round(_fitting(found.config, formats))
        result = job.result(origin.name, layers)
        job.write(scratch, result, origin)
        result = job.finished(result, scratch, time.monotonic() - begun)
        write_report(result, scratch)
    shutil.rmtree(work_folder, ignore_errors=True)
    return result


@dataclass
class _Job:
    """One run."""

    files: CheckpointFiles
    match: Match
    options: Options
    work: Path
    device: torch.device
    on_event: OnEvent
    samples: CalibrationSet | None = None
    stream: Stream | None = None
    sensitivity: dict[str, dict[str, float]] = field(default_factory=dict)
    mixtures: tuple[Mixture, ...] = ()
    chosen: int | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def config(self) -> VLMConfig:
        return self.match.config

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        begun = time.monotonic()
        yield
        self.seconds[part] = self.seconds.get(part, 0.0) + time.monotonic() - begun

    def _stream(self) -> Stream:
        if self.stream is None:
            self.stream = Stream(
                FileSource(self.files, self.match),
                self.config,
                self.samples,
                self.options,
                self.work,
                device=self.device,
                on_event=self.on_event,
            )
        return self.stream

    def round(self, formats: Mapping[str, str]) -> tuple[LayerResult, ...]:
        """Calibrate, where an earlier pass has not, and round everything."""
        with self.timed("blocks"):
            return self._stream().run(formats)

    # --- search ---------------------------------------------------------------------------------

    def search(self, origin: Path) -> dict[str, str]:
        """The formats of a mixture of so many bits per weight."""
        bits = bits_of(self.options.format)
        assert bits is not None
        assert self.samples is not None
        linears = linear_modules(self.config.lm)
        allowed = without(dict.fromkeys(linears, "nvfp4"), self.options.exclude)
        free = [m for m in linears if allowed[m] != "bf16"]
        groups = {g: m for g, m in group_names(free).items() if m}
        with self.timed("blocks"):
            self._stream().run(None)
        with self.timed("search"):
            ranges = self._ranges()

            def rounder(name: str, format: str, linear: nn.Linear) -> nn.Module:
                return quantize_linear(
                    linear, format, input_amax=ranges[format][name], algo=self._probe_algo
                )

            vlm, _ = load_model(origin, device=str(self.device), quant="stored")
            probe = Probe(vlm, list(self.samples.load(self.samples.held_out)), rounder)
            nbytes = {
                g: {f: sum(_stored_bytes(linears[m], f) for m in members) for f in MIXED}
                for g, members in groups.items()
            }
            scores = self._sensitivity(probe, groups)
            self.sensitivity = scores
            weights = sum(linears[m][0] * linears[m][1] for m in free)
            curve = list(frontier(nbytes, scores, _FRONTIER))
            wanted = solve_bits(nbytes, scores, weights, bits)
            if wanted not in curve:
                curve.append(wanted)
            curve.sort(key=lambda m: m.nbytes)
            measured: dict[int, float] = {}

            def measure(index: int) -> float:
                if index not in measured:
                    mixture = curve[index]
                    whole = {m: mixture.formats[g] for g, own in groups.items() for m in own}
                    measured[index] = probe.divergence(whole)
                return measured[index]

            at = curve.index(wanted)
            if self.options.max_kl is not None:
                smallest = bisect(measure, curve[at:], self.options.max_kl, offset=at)
                at = smallest
            measure(at)
            self.mixtures = tuple(
                Mixture(
                    formats=m.formats,
                    nbytes=m.nbytes,
                    predicted=m.predicted,
                    measured=measured.get(i),
                )
                for i, m in enumerate(curve)
            )
            self.chosen = at
            best = curve[at].formats
        return {
            **dict.fromkeys(linears, "bf16"),
            **{m: best[g] for g, members in groups.items() for m in members},
        }

    @property
    def _probe_algo(self) -> str:
        """GPTQ rounds block after block; single groups are measured with a rounding of its own."""
        return "max" if self.options.algo in NEED_HESSIAN else self.options.algo

    def _ranges(self) -> dict[str, dict[str, float]]:
        """Format -> linear -> largest input."""
        stream = self._stream()
        found: dict[str, dict[str, float]] = {format: {} for format in CALIBRATED}
        for index in range(len(self.config.lm.pattern)):
            for name, statistics in stream.seen(index).items():
                for format in CALIBRATED:
                    found[format][name] = input_range(statistics, format, self.options.range)
        return found

    def _sensitivity(
        self, probe: Probe, groups: Mapping[str, tuple[str, ...]]
    ) -> dict[str, dict[str, float]]:
        scores: dict[str, dict[str, float]] = {}
        for done, (group, members) in enumerate(groups.items(), start=1):
            scores[group] = {
                f: probe.divergence(dict.fromkeys(members, f)) if f != "bf16" else 0.0
                for f in MIXED
            }
            self.on_event(Event(name="search", done=done, total=len(groups), unit="groups"))
        return scores

    # --- files ----------------------------------------------------------------------------------

    def result(self, source: str, layers: tuple[LayerResult, ...]) -> QuantResult:
        """What was found, before anything is written."""
        with self.timed("divergence"):
            divergence = self._stream().divergence()
        return QuantResult(
            source=source,
            format=self.options.format,
            algo=self.options.algo,
            samples={} if self.samples is None else self.samples.to_dict(),
            layers=layers,
            sensitivity=self.sensitivity,
            mixtures=self.mixtures,
            chosen=self.chosen,
            divergence=divergence,
        )

    def write(self, scratch: Path, result: QuantResult, origin: Path) -> None:
        """Everything another engine reads."""
        with self.timed("write"):
            formats = {layer.name: layer.format for layer in result.layers}
            source = _Rounded(FileSource(self.files, self.match), self._stream(), formats)
            planned = plan(self.config, source, formats)
            base = self.files.config_file
            words = base.extras.origin or f"quantized from {origin.name}"
            copy_side_files(origin, scratch)
            write_config_files(
                scratch, self.config, planned.layers, version=__version__, origin=words,
                base=base.raw,
            )  # fmt: skip
            write_model_card(
                scratch, self.config, format_name=result.format, origin=words, version=__version__
            )
            write_shards(scratch, planned.jobs, on_event=self.on_event)
            verify(scratch)

    def finished(self, result: QuantResult, scratch: Path, seconds: float) -> QuantResult:
        """With sizes and times."""
        return replace(
            result,
            bytes_before=self.files.total_bytes,
            bytes_after=sum(p.stat().st_size for p in scratch.glob("*.safetensors")),
            seconds={**self.seconds, "all": seconds},
        )


class _Rounded:
    """Weights of a checkpoint, with rounded ones in place of some."""

    def __init__(self, source: FileSource, stream: Stream, formats: Mapping[str, str]) -> None:
        self._source, self._stream, self._formats = source, stream, formats
        self._block: tuple[int, dict[str, dict[str, torch.Tensor]]] = (-1, {})

    def layer(self, module: str, shape: tuple[int, int]) -> StoredLinear:
        """As `WeightSource`."""
        format = self._formats.get(module, "bf16")
        if format == "bf16":
            return self._source.layer(module, shape)
        roles = frozenset(self._tensors(module))
        kind = "nvfp4" if format.startswith("nvfp4") else format
        return StoredLinear(module=module, kind=kind, shape=shape, roles=roles)

    def dtype(self, name: str) -> str:
        """As `WeightSource`."""
        return self._source.dtype(name)

    def rows(self, name: str, start: int, stop: int) -> torch.Tensor:
        """As `WeightSource`."""
        return self._source.rows(name, start, stop)

    def weight(self, layer: StoredLinear, dtype: torch.dtype) -> torch.Tensor:
        """As `WeightSource`."""
        return self._source.weight(layer, dtype)

    def packed(self, layer: StoredLinear) -> Mapping[str, torch.Tensor]:
        """As `WeightSource`."""
        return self._tensors(layer.module)

    def _tensors(self, module: str) -> dict[str, torch.Tensor]:
        index = layer_of(f"{module}.")
        assert index is not None
        if self._block[0] != index:
            self._block = (index, self._stream.rounded(index))
        return self._block[1][module]


# --- small steps --------------------------------------------------------------------------------


def _check_plain(origin: Path, found: Match) -> None:
    if found.quantized:
        name, layer = next(iter(found.quantized.items()))
        raise CheckpointError(
            f"{origin}: already quantized ('{name}' is {layer.label}, {len(found.quantized)} "
            "layers in all); quantize the BF16 checkpoint it was made from, or decode this one "
            "with `nanovl convert --format bf16`, which keeps its rounding errors"
        )


def _samples(origin: Path, config: VLMConfig, options: Options) -> CalibrationSet | None:
    if options.calib is None:
        return None
    _, processor = load_processor(origin)
    long = 16_384 if config.num_parameters > _LARGE else 4096
    return draw_samples(
        options.calib,
        processor,
        count=options.samples,
        held_out=options.held_out,
        seq_len=options.seq_len or min(long, config.max_sequence_length),
        max_tiles=config.max_num_tiles,
        seed=options.seed,
    )


def _fitting(config: VLMConfig, formats: Mapping[str, str]) -> dict[str, str]:
    """Linears whose inputs do not fill the blocks of a format stay BF16."""
    multiple = {"nvfp4": 16, "nvfp4-w4a16": 16, "int4": 32}
    linears = linear_modules(config.lm)
    fitting = {
        m: f if linears[m][1] % multiple.get(f, 1) == 0 else "bf16" for m, f in formats.items()
    }
    if all(f == "bf16" for f in fitting.values()):
        raise ConfigError("nothing is left to quantize; exclude less, or choose another format")
    return fitting


def _stored_bytes(shape: tuple[int, int], format: str) -> int:
    return round(shape[0] * shape[1] * FORMATS[format] / 8)
