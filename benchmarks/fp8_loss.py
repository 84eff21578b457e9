"""The loss curve of FP8 training beside that of BF16, on the small model.

    python benchmarks/fp8_loss.py --data FOLDER         # data of packing.py --prepare
    python benchmarks/fp8_loss.py                       # pictures and texts made on the spot
    python benchmarks/fp8_loss.py --smoke

Two runs of the trainer that differ in `precision.recipe` alone: same weights, same packs in the
same order. FP8 is delayed scaling with the bundled settings; on a CPU its products are emulated
from rounded operands, so this says nothing about speed. With `--control` a third run computes in
fp32: its distance from BF16 is what rounding alone does.

Writes `<out>.csv` and `<out>.svg` and prints the mean absolute difference of the losses of the last
50 updates over their mean, which has to be at most 1 % (training specification, section 6).
"""

from __future__ import annotations

import argparse
import csv
import html
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from machine import describe
from mixture import blend_file

from nanovl.core.events import Event
from nanovl.testing.training import training_set
from nanovl.train.charts import Series, line_chart, smooth
from nanovl.train.config import load_recipe
from nanovl.train.metrics import read_metrics
from nanovl.train.trainer import train

BOUND = 0.01
LAST = 50
RUNS = {
    "bf16": [],
    "fp8": ["precision.recipe=fp8_delayed"],
    "fp32": ["precision.compute=fp32"],
}
# No videos and no pairs of pictures: they do not fit a short pack.
KINDS = ("shapes", "words", "tables", "charts", "dialogue", "reasoning", "tools", "recall")
COLOURS = ("#2563eb", "#dc2626", "#6b7280")


def losses(name: str, blend: Path, args: argparse.Namespace) -> tuple[list[float], float]:
    """Loss of every update of one run, and the seconds it took."""

    def progress(event: Event) -> None:
        if event.name == "step" and (event.done % 20 == 0 or event.done == args.updates):
            print(f"{name} {event.done}: {event.data['loss']:.4f}", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="nanovl-bench-") as scratch:
        overrides = {
            "model.preset": args.preset,
            "model.init": "random",
            "stage.init_from": "null",
            "stage.train_iters": args.updates,
            "data.metadataset": blend,
            "data.seq_len": args.seq_len,
            "data.max_tiles": 1,
            "data.num_workers": 0,
            "data.seed": args.seed,
            "run.seed": args.seed,
            "batch.global": args.packs,
            "ckpt.dir": scratch,
            "ckpt.every_iters": 1_000_000,
            "ckpt.export_hf": "false",
        }
        words = [f"{key}={value}" for key, value in overrides.items()]
        recipe = load_recipe("mini/stage1", words + RUNS[name])
        start = time.perf_counter()
        train(recipe, device="cpu", on_event=progress)
        seconds = time.perf_counter() - start
        return [record["loss"] for record in read_metrics(Path(scratch))], seconds


def distance(base: Sequence[float], other: Sequence[float]) -> float:
    """Mean absolute difference of the last losses over the mean of the first run's."""
    pairs = list(zip(base, other, strict=True))[-LAST:]
    return statistics.fmean(abs(a - b) for a, b in pairs) / statistics.fmean(a for a, _ in pairs)


def write_csv(path: Path, curves: dict[str, list[float]]) -> None:
    """One line per update."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["update", *curves])
        for number, row in enumerate(zip(*curves.values(), strict=True), 1):
            writer.writerow([number, *(f"{loss:.6f}" for loss in row)])


def write_svg(path: Path, curves: dict[str, list[float]], title: str) -> None:
    """The curves as a picture that stands alone: raw values faint, smoothed ones over them."""
    series = []
    for colour, (name, values) in enumerate(curves.items()):
        x = list(range(1, len(values) + 1))
        series.append(Series(name="", x=x, y=values, colour=colour, style="faint"))
        series.append(Series(name=name, x=x, y=smooth(values, 10), colour=colour))
    figure = line_chart(title, series)
    drawing = figure[figure.index("<svg") : figure.index("</svg>")]
    colours = "".join(f"--s{i}:{colour};" for i, colour in enumerate(COLOURS))
    style = (
        f"svg{{{colours}background:#fff;font:11px sans-serif}}path{{fill:none}}"
        ".line{stroke-width:1.6}.faint{stroke-width:1;opacity:.3}.grid{stroke:#e5e7eb}"
        ".axis{stroke:#9ca3af}.tick{fill:#4b5563}.cursor{display:none}"
    )
    legend = "".join(
        f'<text x="{560 - 60 * i}" y="42" fill="{COLOURS[i]}">{html.escape(name)}</text>'
        for i, name in enumerate(curves)
    )
    head = f'<text x="190" y="24">{html.escape(title)}</text>'
    drawing = drawing.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    start = drawing.index(">") + 1
    parts = (drawing[:start], f"<style>{style}</style>", drawing[start:], head, legend, "</svg>\n")
    path.write_text("".join(parts), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of packing.py --prepare, or a blend file")
    parser.add_argument("--preset", default="mini", choices=["mini", "tiny"])
    parser.add_argument("--updates", type=int, default=200)
    parser.add_argument("--packs", type=int, default=2, help="per update")
    parser.add_argument("--seq-len", type=int, default=512)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--control", action="store_true", help="a third run, in fp32")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results" / "fp8-loss", metavar="PATH"
    )
    parser.add_argument("--smoke", action="store_true", help="the smallest model, six updates")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nanovl-bench-") as scratch:
        if args.smoke:
            args.preset, args.updates, args.packs = "tiny", 6, 1
            args.out = Path(scratch) / "fp8-loss"
            torch.set_num_threads(1)  # so small that threads would mostly wait for each other
        if args.data is not None:
            blend = blend_file(args.data)
        else:
            samples = 16 if args.smoke else 2000
            blend = training_set(Path(scratch) / "records", samples=samples, kinds=KINDS)
        names = [name for name in RUNS if name != "fp32" or args.control]
        found = {name: losses(name, blend, args) for name in names}
        report(args, {n: curve for n, (curve, _) in found.items()}, [s for _, s in found.values()])


def report(
    args: argparse.Namespace, curves: dict[str, list[float]], seconds: Sequence[float]
) -> None:
    """The files, a sentence per run, then one line of JSON."""
    setting = f"{args.preset}, {args.packs} packs of {args.seq_len} tokens"
    args.out.parent.mkdir(parents=True, exist_ok=True)
    write_csv(args.out.with_suffix(".csv"), curves)
    write_svg(args.out.with_suffix(".svg"), curves, f"Loss of training in FP8 and BF16: {setting}")
    data = "made on the spot" if args.data is None else args.data.name
    print(f"{describe()}\n\n{setting}, data {data}, seed {args.seed}, {args.updates} updates")
    base = curves["bf16"]
    last = min(LAST, len(base))
    result = {
        "benchmark": "fp8_loss",
        "updates": args.updates,
        "last": last,
        "bound": BOUND,
        "distance": {},
    }
    for (name, values), took in zip(curves.items(), seconds, strict=True):
        mean = statistics.fmean(values[-last:])
        line = f"{name}: mean loss of the last {last} updates {mean:.4f} ({took:.0f} s)"
        if name != "bf16":
            far = distance(base, values)
            result["distance"][name] = far
            line += f", mean |difference| from bf16 {far:.3%} of the loss"
        print(line)
    verdict = "within" if result["distance"]["fp8"] <= BOUND else "OUTSIDE"
    if args.updates < 2 * LAST:
        verdict += f" (with {args.updates} updates the figure means little)"
    print(f"FP8 is {verdict} the bound of {BOUND:.0%}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
