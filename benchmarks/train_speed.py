"""CPU training throughput of the small model, with the C kernels and without.

    python benchmarks/train_speed.py
    python benchmarks/train_speed.py --data FOLDER      # the full loop on data of packing.py
    python benchmarks/train_speed.py --smoke

Every case is a run of the real trainer on a recipe of the small model: sharded modules (a world of
one), bf16 compute over fp32 weights, clipping, AdamW, metrics. `1024`, `3072`: packs of that many
tokens, text only or with pictures, made once and given again and again. `loop`: packs of 1,024
from records on disk through the plain loader. Numbers are medians over the updates behind the
warm-up, from the run's own `metrics.jsonl`; one process per engine, the engines take turns.

FLOPs are what the model needs (training specification, section 9), logits counted only where there
is loss; "share" divides by a square bf16 matmul of this machine, measured before every turn. An
update holds `--packs` packs, in the loop as many as the recipe says.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from machine import describe, matmul_seconds

from nanovl.core.inputs import PackedBatch
from nanovl.data.drops import DropCounter

ENGINES = {"C kernels": "1", "PyTorch": "0"}  # -> NANOVL_NATIVE
PARTS = {
    "forward": "forward_s",
    "backward": "backward_s",
    "optimizer": "optim_s",
    "data wait": "data_wait_s",
}
SEGMENTS = 4  # of a made pack


@dataclass(frozen=True)
class Case:
    """One thing to train.

    Attributes:
        name: For the table.
        recipe: The bundled recipe it is a run of.
        tokens: Of a pack.
        tiles: Of a made pack; None reads packs from records.
    """

    name: str
    recipe: str
    tokens: int
    tiles: int | None


CASES = (
    Case("1024 text", "mini/stage1", 1024, 0),
    Case("1024 pictures", "mini/stage1", 1024, 2),
    Case("3072 text", "mini/stage2", 3072, 0),
    Case("3072 pictures", "mini/stage2", 3072, 6),
    Case("loop", "mini/stage1", 1024, None),
)


class GivenPacks:
    """A loader that returns the same pack for ever."""

    def __init__(self, pack: PackedBatch) -> None:
        self.last_wait_s = 0.0
        self.drops = DropCounter()
        self._pack = pack

    def __iter__(self) -> GivenPacks:
        return self

    def __next__(self) -> PackedBatch:
        return self._pack

    def state_dict(self) -> dict[str, Any]:
        """Nothing to say."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to end."""


# --- worker ---------------------------------------------------------------------------------------


def run_worker(smoke: bool, data: Path | None) -> None:
    """Answer one line of JSON per line on stdin: {"case", "packs", "updates"} -> numbers."""
    if smoke:
        torch.set_num_threads(1)  # so small that threads would mostly wait for each other
    with tempfile.TemporaryDirectory(prefix="nanovl-bench-") as scratch:
        blend = data or _records(Path(scratch), smoke)
        print(json.dumps({"machine": describe()}), flush=True)
        for line in sys.stdin:
            asked = json.loads(line)
            case = next(c for c in CASES if c.name == asked["case"])
            answer = run(case, blend, asked["packs"], asked["updates"], asked["warm"], smoke)
            print(json.dumps(answer), flush=True)


def _records(folder: Path, smoke: bool) -> Path:
    from nanovl.testing.training import PICTURE_KINDS, TEXT_KINDS, training_set

    kinds = (*PICTURE_KINDS, *TEXT_KINDS)
    return training_set(folder / "records", samples=16 if smoke else 600, kinds=kinds, size=448)


def run(
    case: Case, blend: Path, packs: int | None, updates: int, warm: int, smoke: bool
) -> dict[str, Any]:
    """Train so many updates; medians of those behind the warm-up."""
    from nanovl.train.metrics import read_metrics
    from nanovl.train.parallel import ParallelDims, open_world
    from nanovl.train.trainer import Trainer

    with tempfile.TemporaryDirectory(prefix="nanovl-bench-") as scratch:
        recipe = _recipe(case, blend, packs, warm + updates, Path(scratch), smoke)
        with open_world(ParallelDims(), torch.device("cpu")) as world:
            trainer = Trainer(recipe, world)
            if case.tiles is not None:
                assert trainer.loader is not None
                trainer.loader.close()
                trainer.loader = GivenPacks(_made_pack(case, trainer.built.config))
            trainer.run()
        records = list(read_metrics(Path(scratch)))[warm:]
    keys = ["step_s", "real_tokens_per_s", "tflops", "memory_gb", "pack/fill", *PARTS.values()]
    numbers: dict[str, Any] = {key: statistics.median(r[key] for r in records) for key in keys}
    # The loop's updates differ in length: a median of sums would hide the long ones.
    total = sum(r["step_s"] for r in records)
    numbers["shares"] = {n: sum(r[key] for r in records) / total for n, key in PARTS.items()}
    return numbers | {"packs": recipe.batch.global_, "updates": len(records)}


def _recipe(
    case: Case, blend: Path, packs: int | None, updates: int, folder: Path, smoke: bool
) -> Any:
    from nanovl.train.config import load_recipe

    overrides = {
        "model.init": "random",
        "stage.init_from": "null",
        "stage.train_iters": updates,
        "data.metadataset": blend,
        "data.reuse": "null",
        "ckpt.dir": folder,
        "ckpt.every_iters": 1_000_000,
        "ckpt.export_hf": "false",
    }
    if packs is not None:
        overrides["batch.global"] = packs
    if smoke:
        overrides |= {"model.preset": "tiny", "data.num_workers": 0}
    return load_recipe(case.recipe, [f"{key}={value}" for key, value in overrides.items()])


def _made_pack(case: Case, config: Any) -> PackedBatch:
    """Four samples with equally much text, the tiles shared out among them."""
    from mixture import drawn_sample

    from nanovl.data.packing import build_pack

    assert case.tiles is not None
    tiles = [len(range(place, case.tiles, SEGMENTS)) for place in range(SEGMENTS)]
    text = (case.tokens - case.tiles * config.tokens_per_tile) // SEGMENTS  # the same for all
    lengths = [n * config.tokens_per_tile + text for n in tiles]
    samples = [
        drawn_sample(config, n, k, seed=i)
        for i, (n, k) in enumerate(zip(lengths, tiles, strict=True))
    ]
    return build_pack(samples, pad_id=0, align=16)


# --- parent ---------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", default=",".join(c.name for c in CASES))
    parser.add_argument("--engines", default=",".join(ENGINES))
    parser.add_argument("--data", type=Path, help="folder of packing.py --prepare, or a blend file")
    parser.add_argument("--packs", type=int, default=4, help="per update of the made packs")
    parser.add_argument("--updates", type=int, default=3, help="measured updates of a turn")
    parser.add_argument("--warm", type=int, default=1, help="updates before them")
    parser.add_argument("--repeats", type=int, default=3, help="turns; the loop has one")
    parser.add_argument("--matmul", type=int, default=4096, help="rows of the matmul for the peak")
    parser.add_argument("--smoke", action="store_true", help="the smallest model, two updates")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        run_worker(args.smoke, args.data)
        return
    if args.smoke:
        args.packs, args.updates, args.warm, args.repeats, args.matmul = 1, 1, 1, 1, 512
    engines = args.engines.split(",")
    cases = [next(c for c in CASES if c.name == name) for name in args.cases.split(",")]
    workers = {engine: start_worker(engine, args) for engine in engines}
    try:
        machines = [answer_of(worker)["machine"] for worker in workers.values()]
        turns = measure(cases, workers, args)
    finally:
        for worker in workers.values():
            worker.terminate()
            worker.wait()
    report(args, machines, turns)


def measure(
    cases: Sequence[Case], workers: dict[str, Any], args: argparse.Namespace
) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Answers of every turn, by case and engine."""
    turns: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for case in cases:
        turns[case.name] = {engine: [] for engine in workers}
        for repeat in range(1 if case.tiles is None else args.repeats):
            for engine, worker in workers.items():
                seconds = matmul_seconds(args.matmul)
                answer = ask(worker, case, args)
                answer["peak"] = 2 * args.matmul**3 / seconds
                turns[case.name][engine].append(answer)
                print(
                    f"{case.name}, {engine} #{repeat}: {answer['tflops']:.3f} of "
                    f"{answer['peak'] / 1e12:.3f} TFLOP/s",
                    file=sys.stderr,
                    flush=True,
                )
    return turns


def start_worker(engine: str, args: argparse.Namespace) -> Any:
    command = [sys.executable, __file__, "--worker"]
    command += ["--smoke"] if args.smoke else []
    if args.data is not None:
        from mixture import blend_file

        command += ["--data", str(blend_file(args.data))]
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "NANOVL_NATIVE": ENGINES[engine]},
    )


def ask(worker: Any, case: Case, args: argparse.Namespace) -> dict[str, Any]:
    packs = args.packs if case.tiles is not None or args.smoke else None
    question = {"case": case.name, "packs": packs, "updates": args.updates, "warm": args.warm}
    worker.stdin.write(json.dumps(question) + "\n")
    worker.stdin.flush()
    return answer_of(worker)


def answer_of(worker: Any) -> dict[str, Any]:
    """The next line a worker writes."""
    line = worker.stdout.readline()
    if not line:
        raise SystemExit("a worker ended early; its message is above")
    return json.loads(line)


def report(
    args: argparse.Namespace,
    machines: list[str],
    turns: dict[str, dict[str, list[dict[str, Any]]]],
) -> None:
    """A Markdown table, then one line of JSON."""
    peaks = [t["peak"] for engines in turns.values() for own in engines.values() for t in own]
    peak = statistics.median(peaks)
    for machine in machines:
        print(machine)
    print(
        f"\n{'tiny' if args.smoke else 'mini'}, bf16 compute, fp32 weights and moments, one "
        f"process; {args.packs} made packs per update; {args.warm} updates of warm-up, "
        f"{args.updates} measured, {args.repeats} turns; matmul of {args.matmul}: median "
        f"{peak / 1e12:.2f} TFLOP/s ({min(peaks) / 1e12:.2f} - {max(peaks) / 1e12:.2f})\n"
    )
    print(
        "| case | engine | real tokens/s (median) | spread | TFLOP/s | share | "
        f"{' | '.join(PARTS)} | ratio |"
    )
    print("|---|---|---|---|---|---|" + "---|" * len(PARTS) + "---|")
    rows = []
    for case, engines in turns.items():
        base = None
        for engine, own in reversed(engines.items()):  # PyTorch alone is what is compared to
            tflops = statistics.median(t["tflops"] for t in own)
            speeds = [t["real_tokens_per_s"] for t in own]
            tokens = statistics.median(speeds)
            share = statistics.median(t["tflops"] * 1e12 / t["peak"] for t in own)
            parts = {n: statistics.median(t["shares"][n] for t in own) for n in PARTS}
            base = base or tflops
            rows.append(
                {
                    "case": case,
                    "engine": engine,
                    "tokens_per_s": tokens,
                    "tflops": tflops,
                    "share": share,
                    "parts": parts,
                    "ratio": tflops / base,
                    "fill": statistics.median(t["pack/fill"] for t in own),
                    "memory_gb": max(t["memory_gb"] for t in own),
                    "packs": own[0]["packs"],
                }
            )
            print(
                f"| {case} | {engine} | {tokens:.0f} | {min(speeds):.0f} - "
                f"{max(speeds):.0f} | {tflops:.3f} | {share:.1%} | "
                f"{' | '.join(f'{v:.1%}' for v in parts.values())} | {tflops / base:.2f} |"
            )
    print(json.dumps({"benchmark": "train_speed", "peak_tflops": peak / 1e12, "rows": rows}))


if __name__ == "__main__":
    main()
