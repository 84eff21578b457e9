"""`nanovl quantize`: a checkpoint in fewer bits, calibrated on samples."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nanovl.cli import options
from nanovl.cli.console import Progress, guarded, note, write, write_json
from nanovl.cli.info import size_text

if TYPE_CHECKING:
    from nanovl.ptq.results import QuantResult

__all__ = ["quantize"]


@guarded
def quantize(
    source: Annotated[str, typer.Argument(metavar="CKPT", help="Checkpoint in BF16.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to write.")],
    format: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="fp8, nvfp4, nvfp4-w4a16, int8, int4, another policy, or mixed:BITS.",
        ),
    ] = "fp8",
    calib: Annotated[
        Path | None,
        typer.Option(
            "--calib", metavar="DATA", help="Training data to draw samples from: a blend or a set."
        ),
    ] = None,
    samples: Annotated[
        int, typer.Option("--samples", metavar="N", min=1, help="To calibrate with.")
    ] = 1024,
    held_out: Annotated[
        int, typer.Option("--held-out", metavar="N", min=1, help="Samples to measure with.")
    ] = 32,
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            "--exclude",
            metavar="PATTERN",
            help='Linears to leave in BF16, such as "*.[qkvo]_proj". May be repeated.',
        ),
    ] = None,
    algo: Annotated[
        str,
        typer.Option(
            "--algo",
            metavar="NAME",
            help="How weights are rounded: max, mse, four-over-six, hessian or gptq.",
        ),
    ] = "max",
    range_: Annotated[
        str,
        typer.Option(
            "--range",
            metavar="NAME",
            help="How ranges of inputs are chosen: max, percentile:99.99, mse or headroom.",
        ),
    ] = "max",
    max_kl: Annotated[
        float | None,
        typer.Option(
            "--max-kl",
            metavar="NATS",
            help="Largest divergence per token; a mixture takes more bits until it is met.",
        ),
    ] = None,
    seq_len: Annotated[
        int | None,
        typer.Option("--seq-len", metavar="N", help="Longest sample in tokens.  [default: 4096]"),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Of the draw.")] = 0,
    work: Annotated[
        Path | None,
        typer.Option("--work", metavar="FOLDER", help="Working files.  [default: OUT.work]"),
    ] = None,
    device: options.Device = "auto",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a checkpoint that is already there.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Write a checkpoint in fewer bits, with a report of what every layer lost.

    \b
    Examples:
      nanovl quantize ./bf16 ./fp8 --format fp8 --calib blend.yaml
      nanovl quantize ./bf16 ./nvfp4 --format nvfp4 --algo mse --calib blend.yaml --samples 256
      nanovl quantize ./bf16 ./small --format mixed:5.4 --calib blend.yaml
      nanovl quantize ./bf16 ./int4 --format int4

    The same command goes on where it was stopped. OUT appears when it is complete;
    OUT/report/index.html shows every layer.
    """
    from nanovl.ptq.findings import findings
    from nanovl.ptq.plan import Options
    from nanovl.ptq.quantize import quantize as run

    chosen = Options(
        format=format,
        algo=algo,
        range=range_,
        exclude=tuple(exclude or ()),
        calib=calib,
        samples=samples,
        held_out=held_out,
        seq_len=seq_len,
        seed=seed,
        max_kl=max_kl,
    )
    with Progress() as progress:
        result = run(
            source, out, chosen, work=work, device=device, overwrite=overwrite, on_event=progress
        )
    if json:
        write_json({"folder": str(out), **_summary(result)})
        return
    for finding in findings(result):
        note(finding.text)
    for line in _lines(result, out):
        write(f"{line}\n")


def _summary(result: QuantResult) -> dict[str, object]:
    quantized = [layer for layer in result.layers if layer.format != "bf16"]
    worst = min(quantized, key=lambda layer: layer.output_sqnr_db)
    return {
        "format": result.format,
        "layers": len(quantized),
        "bytes_before": result.bytes_before,
        "bytes_after": result.bytes_after,
        "worst_layer": worst.name,
        "worst_output_sqnr_db": worst.output_sqnr_db,
        "divergence": dict(result.divergence),
        "seconds": dict(result.seconds),
    }


def _lines(result: QuantResult, out: Path) -> list[str]:
    found = _summary(result)
    before, after = (size_text(n) for n in (result.bytes_before, result.bytes_after))
    lines = [
        f"{out}: {found['layers']} linears in {result.format}, {before} became {after}, "
        f"{result.seconds['all']:.0f} s",
    ]
    if result.divergence:
        kl, same = result.divergence["kl"], result.divergence["agreement"]
        lines.append(
            f"held-out answers: {kl:.4f} nats per token from before, the same first choice for "
            f"{100 * same:.1f} % of {result.divergence['tokens']:.0f} tokens"
        )
    lines.append(f"report: {out / 'report' / 'index.html'}")
    return lines
