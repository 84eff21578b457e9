"""Packing beside padding: real tokens per second through forward and backward, on a CPU.

    python benchmarks/packing.py --prepare FOLDER --source DATA     # convert real data, once
    python benchmarks/packing.py --data FOLDER                      # measure on it
    python benchmarks/packing.py                                    # the same on drawn lengths
    python benchmarks/packing.py --smoke

The same samples go through the same model four times: packed by both algorithms, padded to the
longest of a batch in the order they were drawn, and padded to `seq_len`. A padded row is a segment
of the stream with its padding inside, so padding costs what it costs and nothing else differs; a
batch has as many rows as a pack has samples on average. Within a repeat the methods take turns.
Times are forward and backward of the whole model in bf16, pictures included, without an optimizer.

The plan of each method is made for a whole buffer (`--buffer`), as in training: fill is real tokens
over capacity (a pack's `seq_len`, or the rectangle of a padded batch); load is what goes through
the model, real tokens of a pack and all positions of a padded batch; imbalance is max over mean,
over all packs and, as the mean over steps, over `--ranks` packs that are used at the same time.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from machine import describe
from mixture import DrawnMixture, RecordMixture, blend_file, padded, prepare

from nanovl.checkpoint.build import load_processor
from nanovl.core.inputs import PackedBatch
from nanovl.data.config import DataConfig
from nanovl.data.packing import (
    LoadedSample,
    build_pack,
    default_delta,
    select_balanced,
    select_greedy,
)
from nanovl.model.vlm import VLM
from nanovl.train.step import TrainModule, freeze

ALIGN = 16


@dataclass(frozen=True)
class Method:
    """A way to put samples into streams.

    Attributes:
        name: For the table.
        select: Lengths -> groups of sample numbers.
        row: Lengths of a group -> length every one of them is padded to; None leaves them.
        full: Capacity of a group of samples, given their lengths.
    """

    name: str
    select: Callable[[Sequence[int]], list[list[int]]]
    row: Callable[[Sequence[int]], int] | None
    full: Callable[[Sequence[int]], int]

    def rows(self, lengths: Sequence[int]) -> list[int]:
        """Lengths the model sees."""
        return list(lengths) if self.row is None else [self.row(lengths)] * len(lengths)


def methods(seq_len: int, batch: int) -> list[Method]:
    """The four in comparison, the first of them is ours."""

    def balanced(lengths: Sequence[int]) -> list[list[int]]:
        return select_balanced(lengths, seq_len, delta=default_delta(lengths, seq_len))

    def batches(lengths: Sequence[int]) -> list[list[int]]:
        numbers = range(len(lengths))
        return [list(numbers[at : at + batch]) for at in range(0, len(lengths), batch)]

    return [
        Method("packed, balanced", balanced, None, lambda n: seq_len),
        Method("packed, greedy", lambda n: select_greedy(n, seq_len), None, lambda n: seq_len),
        Method("padded to the longest", batches, max, lambda n: max(n) * len(n)),
        Method("padded to seq_len", batches, lambda n: seq_len, lambda n: seq_len * len(n)),
    ]


# --- plans ----------------------------------------------------------------------------------------


def plan(
    method: Method, lengths: Sequence[int], tiles: Sequence[int], ranks: int
) -> dict[str, Any]:
    """Numbers of one method's plan of a whole buffer."""
    groups = method.select(lengths)
    random.Random("packs").shuffle(groups)  # as a loader does
    picked = [[lengths[i] for i in group] for group in groups]
    rows = [method.rows(one) for one in picked]
    counts = [len(group) for group in groups]
    load = {
        "tokens": [sum(r) for r in rows],
        "attention": [sum(n * n for n in r) for r in rows],
        "tiles": [sum(tiles[i] for i in group) for group in groups],
    }
    return {
        "packs": len(groups),
        "fill": sum(lengths) / sum(map(method.full, picked)),
        "samples_mean": statistics.fmean(counts),
        "samples_sd": statistics.pstdev(counts),
        "samples_max": max(counts),
        "imbalance": {name: imbalance(values) for name, values in load.items()},
        "imbalance_ranks": {
            name: statistics.fmean(
                imbalance(values[at : at + ranks])
                for at in range(0, max(1, len(values) - ranks + 1), ranks)
            )
            for name, values in load.items()
        },
    }


def imbalance(values: Sequence[int]) -> float:
    """Largest over mean."""
    mean = statistics.fmean(values)
    return max(values) / mean if mean else 1.0


# --- time -----------------------------------------------------------------------------------------


def measure(
    ways: Sequence[Method],
    samples: Sequence[LoadedSample],
    module: TrainModule,
    *,
    pad_id: int,
    repeats: int,
) -> dict[str, list[float]]:
    """Seconds every method needs for all samples, per repeat."""
    lengths = [sample.inputs.layout.num_tokens for sample in samples]
    groups = {way.name: way.select(lengths) for way in ways}
    seconds: dict[str, list[float]] = {way.name: [] for way in ways}
    for way in ways:  # once, untimed: kernels are compiled, memory is there
        run(module, batch_of(way, [samples[i] for i in groups[way.name][0]], pad_id))
    for repeat in range(repeats):
        for way in ways:
            total = 0.0
            for group in groups[way.name]:
                total += run(module, batch_of(way, [samples[i] for i in group], pad_id))
            seconds[way.name].append(total)
            print(f"{way.name} #{repeat}: {total:.2f} s", file=sys.stderr, flush=True)
    return seconds


def batch_of(way: Method, samples: Sequence[LoadedSample], pad_id: int) -> PackedBatch:
    """The stream of a group."""
    if way.row is None:
        return build_pack(samples, pad_id=pad_id, align=ALIGN)
    length = way.row([sample.inputs.layout.num_tokens for sample in samples])
    return build_pack([padded(sample, length, pad_id) for sample in samples], pad_id=pad_id)


def run(module: TrainModule, batch: PackedBatch) -> float:
    """Seconds of forward and backward."""
    start = time.perf_counter()
    module(batch).total.backward()
    seconds = time.perf_counter() - start
    module.zero_grad(set_to_none=True)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prepare", type=Path, metavar="FOLDER", help="convert real data and end")
    parser.add_argument("--source", type=Path, help="what to convert; a folder per kind of data")
    parser.add_argument("--limit", type=int, default=400, help="records per set for --prepare")
    parser.add_argument("--data", type=Path, help="folder of --prepare, a blend file or a .jsonl")
    parser.add_argument("--preset", default="mini", choices=["mini", "tiny"])
    parser.add_argument("--seq-len", type=int, default=3072)
    parser.add_argument(
        "--max-tiles", type=int, default=6, help="of one picture, without thumbnail"
    )
    parser.add_argument("--buffer", type=int, default=4000, help="samples planned at a time")
    parser.add_argument("--samples", type=int, default=96, help="samples that are timed")
    parser.add_argument("--batch", type=int, help="rows of a padded batch (default: see above)")
    parser.add_argument("--ranks", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--smoke", action="store_true", help="the smallest model, a few samples")
    args = parser.parse_args()
    if args.prepare is not None:
        if args.source is None:
            parser.error("--prepare needs --source")
        print(prepare(args.source, args.prepare, limit=args.limit, seed=args.seed))
        return
    if args.smoke:
        args.preset, args.seq_len, args.repeats = "tiny", 512, 1
        args.buffer, args.samples = 64, 8
        torch.set_num_threads(1)  # so small that threads would mostly wait for each other

    config, processor = load_processor(args.preset)
    settings = DataConfig(seq_len=args.seq_len, max_tiles=args.max_tiles, seed=args.seed)
    mixture: RecordMixture | DrawnMixture
    if args.data is not None:
        mixture = RecordMixture(blend_file(args.data), processor, settings, args.buffer)
    else:
        mixture = DrawnMixture(config, args.seq_len, args.buffer, args.seed)
    lengths = [sample.num_tokens for sample in mixture.samples]
    tiles = [sample.num_tiles for sample in mixture.samples]
    batch = args.batch or max(2, round(args.seq_len / statistics.fmean(lengths)))
    ways = methods(args.seq_len, batch)
    plans = {way.name: plan(way, lengths, tiles, args.ranks) for way in ways}

    torch.manual_seed(args.seed)
    vlm = VLM(config)  # bf16
    vlm.initialize(torch.Generator().manual_seed(args.seed))
    freeze(vlm, ())
    timed = [mixture.load(number) for number in range(min(args.samples, args.buffer))]
    seconds = measure(
        ways,
        timed,
        TrainModule(vlm.train()),
        pad_id=processor.tokenizer.pad_id,
        repeats=args.repeats,
    )
    report(args, mixture, batch, ways, plans, timed, seconds)


def report(
    args: argparse.Namespace,
    mixture: RecordMixture | DrawnMixture,
    batch: int,
    ways: Sequence[Method],
    plans: dict[str, dict[str, Any]],
    timed: Sequence[LoadedSample],
    seconds: dict[str, list[float]],
) -> None:
    """Two Markdown tables, then one line of JSON."""
    lengths = [sample.num_tokens for sample in mixture.samples]
    tiles = [sample.num_tiles for sample in mixture.samples]
    real = sum(sample.inputs.layout.num_tokens for sample in timed)
    pictures = sum(1 for n in tiles if n) / len(tiles)
    dropped = sum(sum(sources.values()) for sources in mixture.drops.counts().values())
    quantiles = statistics.quantiles(lengths, n=20)
    print(f"{describe()}\n")
    print(
        f"{args.preset}, bf16, seq_len {args.seq_len}, max_tiles {args.max_tiles}; {mixture.name}: "
        f"{len(lengths)} samples ({pictures:.0%} with pictures, {dropped} dropped), "
        f"{statistics.fmean(lengths):.0f} tokens on average, 5/50/95 % at {quantiles[0]:.0f}/"
        f"{quantiles[9]:.0f}/{quantiles[18]:.0f}, longest {max(lengths)}; timed: the first "
        f"{len(timed)}, {real} tokens; padded batches of {batch} rows\n"
    )
    print("| method | real tokens/s (median) | spread | ratio | positions per real token |")
    print("|---|---|---|---|---|")
    rows: list[dict[str, Any]] = []
    for way in ways:
        speeds = [real / s for s in seconds[way.name]]
        # Turns of the same repeat are compared with each other, so that drift cancels out.
        pairs = zip(seconds["padded to the longest"], seconds[way.name], strict=True)
        ratio = statistics.median(theirs / own for theirs, own in pairs)
        own = [sample.inputs.layout.num_tokens for sample in timed]
        seen = sum(sum(way.rows([own[i] for i in g])) for g in way.select(own))
        rows.append(
            {
                "method": way.name,
                "tokens_per_s": statistics.median(speeds),
                "spread": [min(speeds), max(speeds)],
                "ratio": ratio,
                "positions_per_token": seen / real,
                **plans[way.name],
            }
        )
        print(
            f"| {way.name} | {statistics.median(speeds):.0f} | {min(speeds):.0f} - "
            f"{max(speeds):.0f} | {ratio:.2f} | {seen / real:.2f} |"
        )
    print("\n| method | packs | fill | samples per pack: mean, sd, max | imbalance of all packs: "
          f"load, attention, tiles | of {args.ranks} packs: load, attention, tiles |")  # fmt: skip
    print("|---|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['method']} | {row['packs']} | {row['fill']:.3f} | {row['samples_mean']:.1f}, "
            f"{row['samples_sd']:.1f}, {row['samples_max']} | "
            f"{', '.join(f'{v:.2f}' for v in row['imbalance'].values())} | "
            f"{', '.join(f'{v:.2f}' for v in row['imbalance_ranks'].values())} |"
        )
    print(
        json.dumps(
            {
                "benchmark": "packing",
                "preset": args.preset,
                "seq_len": args.seq_len,
                "mixture": mixture.name,
                "buffer": len(lengths),
                "batch": batch,
                "rows": rows,
            }
        )
    )


if __name__ == "__main__":
    main()
