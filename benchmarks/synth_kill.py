"""A mixture made end to end, its driver killed on the way: the same bytes as without.

    python benchmarks/synth_kill.py --samples 10000 --ray local --workers 2
    python benchmarks/synth_kill.py --samples 200 --workers 2          # worker processes, no Ray
    python benchmarks/synth_kill.py --smoke

The mixture `smoke` of the package is made twice: undisturbed, and with `kill -9` of the driver
when a third and when two thirds of the shards are complete (`--kills`), each time continued by the
same command. Then every file of both is compared by SHA-256; of the done files, times and messages
are left out. Exit code 1 when a byte differs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml
from machine import describe

from nanovl.core.config import load_yaml
from nanovl.core.paths import asset
from nanovl.synth.shards import MEASURED

LONGEST_S = 4 * 3600
POLL_S = 0.02


def mixture(folder: Path, samples: int, shard_size: int) -> Path:
    """The mixture `smoke` with another total."""
    data = load_yaml(asset("mixes", "smoke.yaml")) | {"total": samples, "shard_size": shard_size}
    path = folder / "mix.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    return path


def command(mix: Path, out: Path, args: argparse.Namespace) -> list[str]:
    """What a user types."""
    words = [sys.executable, "-m", "nanovl", "synth", "mix", str(mix), str(out), "--json"]
    words += ["--workers", str(args.workers)]
    return [*words, "--ray", args.ray] if args.ray else words


def complete(out: Path) -> int:
    """Shards that are complete."""
    return sum(1 for _ in out.glob("*/shards/*.done.json"))


def undisturbed(words: list[str]) -> dict[str, Any]:
    """One run to its end."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=LONGEST_S)
    if done.returncode:
        sys.exit(f"{' '.join(words)}: exit code {done.returncode}\n{done.stderr[-3000:]}")
    return json.loads(done.stdout)


def killed_at(words: list[str], out: Path, goal: int) -> int:
    """Start a run and kill its driver when so many shards are complete; how many were."""
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + LONGEST_S
    while complete(out) < goal:
        if process.poll() is not None or time.monotonic() > deadline:
            sys.exit(f"the run ended before {goal} shards were complete; make more samples")
        time.sleep(POLL_S)
    os.kill(process.pid, signal.SIGKILL)  # the driver alone: its workers must notice
    process.wait()
    return complete(out)


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file; of done files without what was measured."""
    found = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        data = path.read_bytes()
        if path.name.endswith(".done.json"):
            kept = {k: v for k, v in json.loads(data).items() if k not in MEASURED}
            data = json.dumps(kept, sort_keys=True).encode()
        found[str(path.relative_to(folder))] = hashlib.sha256(data).hexdigest()
    return found


def measure(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Both runs and the comparison."""
    mix = mixture(folder, args.samples, args.shard_size or max(2, args.samples // 200))
    plain, broken = folder / "undisturbed", folder / "killed"
    first = undisturbed(command(mix, plain, args))
    shards = complete(plain)
    begun = time.monotonic()
    words = command(mix, broken, args)
    kills = [
        killed_at(words, broken, max(1, shards * (k + 1) // (args.kills + 1)))
        for k in range(args.kills)
    ]
    last = undisturbed(words)
    seconds = time.monotonic() - begun
    a, b = digests(plain), digests(broken)
    different = sorted(name for name in a.keys() | b.keys() if a.get(name) != b.get(name))
    return {
        "samples": first["samples"],
        "datasets": len(first["datasets"]),
        "shards": shards,
        "files": len(a),
        "bytes": sum(p.stat().st_size for p in plain.rglob("*") if p.is_file()),
        "ray": args.ray,
        "workers": args.workers,
        "killed_after_shards": kills,
        "reused_shards": sum(one["totals"]["reused"] for one in last["datasets"]),
        "undisturbed_s": round(first["seconds"], 1),
        "killed_and_resumed_s": round(seconds, 1),
        "lost": sum(one["totals"]["lost"] for one in first["datasets"]),
        "skipped": first["skipped"],
        "different_files": different,
        "digest": hashlib.sha256(json.dumps(a, sort_keys=True).encode()).hexdigest(),
    }


def main() -> None:
    """Measure, print a table and one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--shard-size", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--ray", default=None, help='"local" or an address')
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--out", type=Path, default=None, help="keep the data sets there")
    parser.add_argument("--smoke", action="store_true", help="60 samples")
    args = parser.parse_args()
    if args.smoke:
        args.samples = 60
    if args.out is not None:
        args.out.mkdir(parents=True, exist_ok=True)
        found = measure(args.out, args)
    else:
        with tempfile.TemporaryDirectory(prefix="synth-kill-") as scratch:
            found = measure(Path(scratch), args)
    for name, value in found.items():
        print(f"{name:<22} {value}")
    print(json.dumps(found | {"machine": describe()}))
    if found["different_files"]:
        sys.exit(1)


if __name__ == "__main__":
    main()
