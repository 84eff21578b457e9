"""Quantizing a checkpoint: every linear seen, one result by every way, nothing half written."""

from __future__ import annotations

import errno
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from nanovl.checkpoint.build import load_model
from nanovl.checkpoint.hf import open_checkpoint
from nanovl.checkpoint.keymap import linear_modules
from nanovl.checkpoint.match import match
from nanovl.checkpoint.safetensors_io import SafetensorsFile
from nanovl.core.errors import CheckpointError, ConfigError, InputError
from nanovl.model.context import ForwardContext
from nanovl.ptq.plan import Options
from nanovl.ptq.quantize import quantize
from nanovl.ptq.results import QuantResult
from nanovl.ptq.samples import CalibrationSet, draw_samples
from nanovl.quant import calibrate, freeze, insert_fake_quant, pack_fake_quant
from nanovl.testing import tiny_model, tiny_processor

FEW = {"samples": 6, "held_out": 3, "seq_len": 256}


def tensors_of(folder: Path) -> dict[str, torch.Tensor]:
    with open_checkpoint(folder) as files:
        return {name: files.read(name) for name in files.tensors}


def bits(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.reshape(-1).view(torch.uint8)


def scales_of(folder: Path) -> dict[str, float]:
    found = tensors_of(folder)
    return {n: float(t) for n, t in found.items() if n.endswith("input_scale")}


def run(source: Path, out: Path, data: Path | None, **options: Any) -> QuantResult:
    return quantize(source, out, Options(calib=data, **{**FEW, **options}))


# --- what comes out -----------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["fp8", "nvfp4"])
def test_every_linear_is_seen_and_rounded(
    checkpoint: Path, data: Path, tmp_path: Path, format: str
) -> None:
    """Observers reach all linears, fused paths or not; the folder is what the result says."""
    result = run(checkpoint, tmp_path / "out", data, format=format)
    model, _ = load_model(checkpoint)
    assert [layer.name for layer in result.layers] == list(linear_modules(model.config.lm))
    for layer in result.layers:
        assert layer.reached, layer.name
        assert layer.format == format
        assert layer.input_amax is not None
        assert layer.input_amax > 0
        low, high = (25, 40) if format == "fp8" else (10, 28)
        assert low < layer.weight_sqnr_db < high, layer
        assert low < layer.input_sqnr_db < high + 12, layer
        assert layer.output_sqnr_db > 0.4 * low, layer
    with open_checkpoint(tmp_path / "out") as files:
        kinds = {m: x.kind for m, x in match(files).quantized.items()}
    assert kinds == {layer.name: format for layer in result.layers}
    assert result.divergence["tokens"] > 0
    assert 0 < result.divergence["kl"] < 1
    assert 0.5 < result.divergence["agreement"] <= 1
    assert not (tmp_path / "out.work").exists()
    assert (tmp_path / "out" / "report" / "index.html").is_file()
    stored = json.loads((tmp_path / "out" / "quantization_report.json").read_text())
    assert stored["samples"]["count"] == 6
    assert len(stored["layers"]) == len(result.layers)


def test_ranges_are_those_of_the_model_in_one_piece(
    checkpoint: Path, data: Path, tmp_path: Path
) -> None:
    """Block by block gives the scales that hooks on the whole model give, bit for bit."""
    run(checkpoint, tmp_path / "out", data, format="nvfp4")
    vlm, processor = load_model(checkpoint)
    drawn = draw_samples(data, processor, count=6, held_out=3, seq_len=256)
    insert_fake_quant(vlm.language_model, "nvfp4", ["*"])

    def forward(sample: Any) -> None:
        x = vlm.embed(sample.inputs).x
        vlm(x, ForwardContext(cu_seqlens=(0, len(x))))

    calibrate(vlm.language_model, drawn.load(drawn.samples), forward)
    freeze(vlm.language_model)
    pack_fake_quant(vlm.language_model)
    whole = {n: float(t) for n, t in vlm.state_dict().items() if n.endswith("input_scale")}
    assert scales_of(tmp_path / "out") == whole


def test_the_order_of_samples_changes_nothing(
    checkpoint: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ranges are maxima over samples that know nothing of each other."""
    real = draw_samples

    def backwards(*words: Any, **options: Any) -> CalibrationSet:
        drawn = real(*words, **options)
        return replace(drawn, samples=drawn.samples[::-1])

    run(checkpoint, tmp_path / "forwards", data, format="fp8")
    monkeypatch.setattr("nanovl.ptq.quantize.draw_samples", backwards)
    run(checkpoint, tmp_path / "backwards", data, format="fp8")
    assert scales_of(tmp_path / "forwards") == scales_of(tmp_path / "backwards")


def test_the_file_computes_what_was_measured(checkpoint: Path, data: Path, tmp_path: Path) -> None:
    """Loaded with emulated products, the checkpoint diverges by the figure of the report."""
    result = run(checkpoint, tmp_path / "out", data, format="nvfp4")
    before, processor = load_model(checkpoint)
    after, _ = load_model(tmp_path / "out", emulate_activation=True)
    drawn = draw_samples(data, processor, count=6, held_out=3, seq_len=256)
    total = tokens = 0.0
    for sample in drawn.load(drawn.held_out):
        labels = sample.inputs.labels
        assert labels is not None
        rows = (labels[1:] != -100).nonzero()[:, 0]
        log_p, log_q = (
            m(x, ForwardContext(cu_seqlens=(0, len(x))), rows).log_softmax(-1)
            for m in (before, after)
            for x in (m.embed(sample.inputs).x,)
        )
        total += float((log_p.exp() * (log_p - log_q)).sum())
        tokens += len(rows)
    assert tokens == result.divergence["tokens"]
    assert total / tokens == pytest.approx(result.divergence["kl"], rel=0.02)


@pytest.mark.parametrize("algo", ["mse", "four-over-six", "hessian", "gptq"])
def test_better_rounding_loses_less(
    checkpoint: Path, data: Path, tmp_path: Path, algo: str
) -> None:
    """Products are nearer on average than with the plain rule; the format on disk is the same."""
    plain = run(checkpoint, tmp_path / "max", data, format="nvfp4-w4a16")
    other = run(checkpoint, tmp_path / algo, data, format="nvfp4-w4a16", algo=algo)
    gains = [
        b.output_sqnr_db - a.output_sqnr_db for a, b in zip(plain.layers, other.layers, strict=True)
    ]
    assert sum(gains) / len(gains) > 0.2
    load_model(tmp_path / algo)


def test_formats_without_ranges_need_no_samples(checkpoint: Path, tmp_path: Path) -> None:
    """Weight-only formats are written from weights alone."""
    result = run(checkpoint, tmp_path / "out", None, format="nvfp4-w4a16")
    assert not result.samples
    assert not result.divergence
    assert all(layer.input_amax is None for layer in result.layers)
    load_model(tmp_path / "out")


def test_excluded_linears_stay_as_they_are(checkpoint: Path, data: Path, tmp_path: Path) -> None:
    """Byte for byte, and both configuration files name them."""
    run(checkpoint, tmp_path / "out", data, format="fp8", exclude=("*.[qkvo]_proj",))
    before, after = tensors_of(checkpoint), tensors_of(tmp_path / "out")
    kept = [n for n in before if n.split(".")[-2] in ("q_proj", "k_proj", "v_proj", "o_proj")]
    assert kept
    for name in kept:
        assert torch.equal(before[name], after[name])
        assert after[name].dtype == torch.bfloat16
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert {n.removesuffix(".weight") for n in kept} <= set(config["quantization_config"]["ignore"])


def test_a_mixture_has_the_bits_it_was_asked_for(
    checkpoint: Path, data: Path, tmp_path: Path
) -> None:
    """Sizes on disk keep to the bound, and the search beats giving the cheap format to all."""
    result = run(checkpoint, tmp_path / "out", data, format="mixed:8.5")
    weights = sum(n * k for n, k in (layer.shape for layer in result.layers))
    assert sum(layer.nbytes for layer in result.layers) * 8 / weights < 8.6
    assert len({layer.format for layer in result.layers}) > 1
    assert result.chosen is not None
    best = result.mixtures[result.chosen]
    assert best.measured is not None
    cheap = run(checkpoint, tmp_path / "cheap", data, format="nvfp4")
    assert result.divergence["kl"] < cheap.divergence["kl"]
    assert result.divergence["kl"] == pytest.approx(best.measured, rel=0.1)
    load_model(tmp_path / "out")


def test_a_mixture_keeps_to_a_divergence(checkpoint: Path, data: Path, tmp_path: Path) -> None:
    """More bits are taken until what is measured is small enough."""
    loose = run(checkpoint, tmp_path / "loose", data, format="mixed:4.6")
    limit = loose.divergence["kl"] / 4
    tight = run(checkpoint, tmp_path / "tight", data, format="mixed:4.6", max_kl=limit)
    assert tight.divergence["kl"] <= limit * 1.1
    assert tight.bytes_after > loose.bytes_after


# --- interruptions ------------------------------------------------------------------------------


def test_it_goes_on_where_it_was_stopped(
    checkpoint: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in every block once, the result is that of a run in one go, byte for byte."""
    from nanovl.ptq import stream

    run(checkpoint, tmp_path / "whole", data, format="nvfp4", algo="mse")
    real = stream.Stream._block
    blocks: list[int] = []

    def once(self: Any, index: int, formats: Any) -> None:
        real(self, index, formats)
        blocks.append(index)
        if blocks.count(index) == 1:
            raise KeyboardInterrupt  # after the work, before it is noted

    monkeypatch.setattr(stream.Stream, "_block", once)
    for _ in range(40):
        try:
            run(checkpoint, tmp_path / "parts", data, format="nvfp4", algo="mse")
            break
        except KeyboardInterrupt:
            assert not (tmp_path / "parts").exists()
    assert max(blocks.count(i) for i in blocks) == 2  # no block was done more than twice
    whole, parts = tensors_of(tmp_path / "whole"), tensors_of(tmp_path / "parts")
    assert whole.keys() == parts.keys()
    for name, tensor in whole.items():
        same = torch.equal(bits(tensor), bits(parts[name]))
        assert same, name


def test_working_files_of_another_run_are_not_used(
    checkpoint: Path, data: Path, tmp_path: Path
) -> None:
    """A folder left behind by other options starts anew instead of mixing two runs."""
    work = tmp_path / "work"
    out = tmp_path / "out"
    options = {**FEW, "calib": data}
    with pytest.raises(CheckpointError, match="same folder"):
        quantize(checkpoint, checkpoint, Options(format="fp8", **options), work=work)
    quantize(checkpoint, out, Options(format="fp8", **options), work=work)
    assert not work.exists()
    work.mkdir()
    (work / "progress.json").write_text('{"run": {"stage": "round"}, "done": 3}')
    (work / "rounded-000.pt").write_bytes(b"of another run")
    quantize(checkpoint, tmp_path / "again", Options(format="fp8", **options), work=work)
    assert scales_of(out) == scales_of(tmp_path / "again")


# --- bad input ----------------------------------------------------------------------------------


def test_options_that_cannot_be(data: Path) -> None:
    """Each is refused before any work, with what to do."""
    for words, options in (
        ("ranges come from samples", {"format": "fp8", "calib": None}),
        ("by what the inputs are like", {"format": "int4", "algo": "gptq", "calib": None}),
        ("expected one of", {"format": "fp9"}),
        ("quantizes nothing", {"format": "bf16"}),
        ("4.5 to 16", {"format": "mixed:3"}),
        ("4.5 to 16", {"format": "mixed:lots"}),
        ("fp8.*expected|expected.*fp8", {"format": "fp8", "algo": "four-over-six"}),
        ("belongs to a search", {"format": "fp8", "max_kl": 0.1}),
        ("above 0", {"format": "mixed:6", "max_kl": 0.0}),
        ("expected 1 or more", {"format": "fp8", "samples": 0}),
    ):
        with pytest.raises(ConfigError, match=words):
            Options(**{"calib": data, **options})


def test_a_quantized_source_is_refused(checkpoint: Path, data: Path, tmp_path: Path) -> None:
    """Rounding twice loses twice; the error says what to quantize instead."""
    run(checkpoint, tmp_path / "fp8", data, format="fp8")
    with pytest.raises(CheckpointError, match="already quantized"):
        run(tmp_path / "fp8", tmp_path / "out", data, format="nvfp4")
    assert not (tmp_path / "out").exists()


def test_too_few_samples(checkpoint: Path, data: Path, tmp_path: Path) -> None:
    """Says how many there are and why others were left out."""
    with pytest.raises(ConfigError, match=r"24 usable samples .* 1000 to calibrate"):
        run(checkpoint, tmp_path / "out", data, format="fp8", samples=1000)
    with pytest.raises(ConfigError, match=r"0 usable samples of at most 16 tokens"):
        run(checkpoint, tmp_path / "out", data, format="fp8", seq_len=16)
    assert not (tmp_path / "out").exists()


def test_a_weight_that_is_not_finite(checkpoint: Path, data: Path, tmp_path: Path) -> None:
    """The layer is named; nothing is written."""
    broken = tmp_path / "broken"
    shutil.copytree(checkpoint, broken)
    path = next(broken.glob("*.safetensors"))
    name = next(n for n in linear_modules(tiny_model().config.lm) if n.endswith("down_proj"))
    with SafetensorsFile(path) as file:
        entry = file.header.entries[f"{name}.weight"]
        start = file.header.data_start + entry.start
    with path.open("r+b") as raw:
        raw.seek(start)
        raw.write(b"\xc0\x7f")  # NaN in bf16
    with pytest.raises((InputError, CheckpointError), match=name.replace(".", r"\.")):
        run(broken, tmp_path / "out", data, format="fp8")
    assert not (tmp_path / "out").exists()


def test_a_full_disk(
    checkpoint: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hidden states that do not fit are an error, not a crash in the middle of a mapping."""

    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(CheckpointError, match=r"No space left.*--work"):
        run(checkpoint, tmp_path / "out", data, format="fp8")
    assert not (tmp_path / "out").exists()


def test_samples_are_the_same_every_time(data: Path) -> None:
    """A seed names them; another one draws others; none comes twice."""
    processor = tiny_processor()
    one, two = (draw_samples(data, processor, count=8, held_out=4, seq_len=256) for _ in range(2))
    assert [s.key for s in one.samples] == [s.key for s in two.samples]
    assert one.keys_hash == two.keys_hash
    names = [s.key.rpartition("/")[0] for s in (*one.samples, *one.held_out)]
    assert len(set(names)) == 12
    other = draw_samples(data, processor, count=8, held_out=4, seq_len=256, seed=1)
    assert other.keys_hash != one.keys_hash
