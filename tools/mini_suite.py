"""Build the local suite: validation data and held-out synthesised sets in the native format.

    python -m tools.mini_suite --data DATA --out DIR [--samples F] [--only SET,SET] [--workers N]
    python -m tools.mini_suite --data DATA --out DIR --check TRAINING_SET ...

The same data, seed and factor give the same bytes with any number of workers (the fonts, Pillow and
renderers of the machine are part of the data). `--check` looks for the suite in training sets.

Source: evaluation specification, section 11.1.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nanovl.core.errors import ConfigError, InputError, NanoVLError
from nanovl.evals.leaks import Leak, LeakFinder, scan_data_set
from nanovl.evals.mini_suite import (
    BUDGET_S,
    DECODE_PER_S,
    MANIFEST,
    PREFILL_PER_S,
    SAMPLES,
    TASKS,
    read_manifest,
    read_samples,
)
from nanovl.evals.readers.folder import line_of
from nanovl.processing.tiling import choose_grid, num_tiles
from nanovl.processing.tokenizer import Tokenizer
from tools.mini_suite_sets import PLANS, rows_of
from tools.mini_suite_source import Row, Source

VERSION = 1
TOKENS_PER_TILE = 256
FRAMES_PER_S = 2.0
ASSETS = Path(__file__).resolve().parent.parent / "src" / "nanovl" / "assets" / "mini"


def wanted_counts(factor: float) -> dict[str, int]:
    """Samples of every set: the most any of its tasks asks for, times the factor."""
    counts: dict[str, int] = {}
    for task in TASKS:
        number = max(1, math.ceil(task.samples * factor))
        counts[task.folder] = max(counts.get(task.folder, 0), number)
    return counts


def media_name(number: int, sample: str, place: int, name: str) -> str:
    """A file name that sorts as the samples do."""
    suffix = Path(name).suffix.lower()
    digest = hashlib.sha256(f"{sample}/{place}".encode()).hexdigest()[:8]
    return f"{number:04d}-{place}-{digest}{suffix}"


def write_set(folder: Path, rows: Sequence[Row]) -> None:
    """Write `samples.jsonl` and `media/` of a set, whatever was there before."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "media").mkdir(parents=True)
    lines = []
    for number, row in enumerate(rows):
        names = []
        for place, (name, data) in enumerate(row.files.items()):
            stored = f"media/{media_name(number, row.sample.id, place, name)}"
            (folder / stored).write_bytes(data)
            names.append(stored)
        lines.append(line_of(row.sample, {row.kind: names} if names else {}))
    (folder / SAMPLES).write_text("\n".join(lines) + "\n", encoding="utf-8")


def prompt_tokens(row: Row, options: Mapping[str, Any], tokenizer: Tokenizer) -> int:
    """Tokens of a prompt by the usual tiling, without the chat template's own."""
    tokens = len(tokenizer.encode(row.sample.question))
    if row.sample.meta.get("tools"):
        tokens += len(tokenizer.encode(json.dumps(row.sample.meta["tools"])))
    for facts in row.facts:
        if row.kind == "video":
            frames = min(
                int(options.get("max_frames", 128)),
                max(1, math.floor(float(facts["video_duration"]) * FRAMES_PER_S)),
            )
            tokens += frames * (TOKENS_PER_TILE + 12)
        else:
            grid = choose_grid(
                int(facts["width"]), int(facts["height"]), int(options.get("max_tiles", 12))
            )
            tokens += num_tiles(grid) * TOKENS_PER_TILE
    return tokens


def entry(folder: Path, name: str, rows: Sequence[Row], wanted: int) -> dict[str, Any]:
    """What the manifest says of a set."""
    file = folder / SAMPLES
    return {
        "origin": PLANS[name].origin,
        "licence": PLANS[name].licence,
        "wanted": wanted,
        "samples": len(rows),
        "media": sum(len(row.files) for row in rows),
        "files": [
            {
                "name": f"{name}/{SAMPLES}",
                "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
                "size_bytes": file.stat().st_size,
                "rows": len(rows),
            }
        ],
    }


def hashes(out: Path, names: Sequence[str]) -> dict[str, str]:
    """SHA-256 of every file of the sets."""
    paths = sorted(p for name in names for p in (out / name).rglob("*") if p.is_file())
    return {
        p.relative_to(out).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in paths
    }


def dump(path: Path, value: Any) -> None:
    """Write JSON for people and hashes."""
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def build(
    data: Path,
    out: Path,
    *,
    factor: float = 1.0,
    seed: int = 0,
    only: Sequence[str] = (),
    workers: int = 1,
    work: Path | None = None,
) -> dict[str, Any]:
    """Build the suite.

    Args:
        data: Folder of the real data.
        out: Folder of the suite.
        factor: Samples, as a multiple of the usual counts.
        seed: Of all that is drawn.
        only: Sets to build; the others stay as they are. Empty builds all.
        workers: Processes of generators.
        work: Folder for what generators make, kept; a temporary one otherwise.

    Returns:
        The manifest.

    Raises:
        ConfigError: A set there is not.
        InputError: Data is missing.
    """
    unknown = sorted(set(only) - set(PLANS))
    if unknown:
        raise ConfigError(f"set {unknown[0]!r} does not exist; sets: {', '.join(PLANS)}")
    if not data.is_dir():
        raise InputError(f"{data}: no such folder; give the folder of the training data")
    counts = wanted_counts(factor)
    names = [name for name in PLANS if name in counts and (not only or name in only)]
    out.mkdir(parents=True, exist_ok=True)
    before = read_manifest(out) if only and (out / MANIFEST).is_file() else {}
    sets: dict[str, Any] = dict(before.get("sets", {}))
    tokenizer = Tokenizer.from_file(ASSETS / "tokenizer.json")
    with tempfile.TemporaryDirectory() as scratch:
        source = Source(data, work or Path(scratch), seed, workers)
        for name in names:
            rows = rows_of(name, source, counts[name])
            write_set(out / name, rows)
            sets[name] = entry(out / name, name, rows, counts[name])
            options = next(t.options for t in TASKS if t.folder == name)
            tokens = [prompt_tokens(row, options, tokenizer) for row in rows]
            sets[name]["prompt_tokens"] = round(sum(tokens) / len(tokens), 1)
            dump(out / name / MANIFEST, {"version": VERSION, "set": name, **sets[name]})
            print(
                f"{name:<20} {len(rows):>4} of {counts[name]:<4} samples, "
                f"{sets[name]['prompt_tokens']:>8.0f} prompt tokens",
                file=sys.stderr,
            )
    ordered = {name: sets[name] for name in PLANS if name in sets}
    files = hashes(out, list(ordered))
    digest = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()[:16]
    manifest = {
        "suite": f"mini-suite-{digest}",
        "version": VERSION,
        "seed": seed,
        "factor": factor,
        "sets": ordered,
        "files": files,
    }
    dump(out / MANIFEST, manifest)
    return manifest


def seconds(manifest: Mapping[str, Any]) -> float:
    """Time of a run at the usual speeds, with the prompts as they came out."""
    total = 0.0
    for task in TASKS:
        found = manifest["sets"].get(task.folder)
        if found:
            one = found["prompt_tokens"] / PREFILL_PER_S + task.answer_tokens / DECODE_PER_S
            total += one * found["samples"]
    return total


def find_leaks(suite: Path, training: Sequence[Path]) -> tuple[LeakFinder, list[Leak]]:
    """Look for the samples of a suite in training sets.

    Raises:
        InputError: Something cannot be read.
    """
    sets = read_manifest(suite)["sets"]
    first = {task.folder: task for task in reversed(TASKS)}
    finder = LeakFinder([s for name in sets for s in read_samples(suite, first[name])])
    for path in training:
        scan_data_set(finder, path)
    return finder, finder.leaks()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the real data")
    parser.add_argument("--out", type=Path, required=True, help="folder of the suite")
    parser.add_argument("--samples", type=float, default=1.0, help="multiple of the usual counts")
    parser.add_argument("--seed", type=int, default=0, help="of all that is drawn")
    parser.add_argument("--only", default="", help="sets to build, comma separated")
    parser.add_argument("--workers", type=int, default=1, help="processes of generators")
    parser.add_argument("--work", type=Path, help="keep what generators make in this folder")
    parser.add_argument(
        "--check", type=Path, nargs="+", metavar="SET",
        help="build nothing; look for the suite in these training sets or blends",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    try:
        if options.check:
            finder, leaks = find_leaks(options.out, options.check)
            for leak in leaks:
                print(f"{leak.sample}: {leak.what}, {leak.share:.0%}, in {leak.source}")
            print(f"{len(leaks)} leaks; {finder.texts:,} texts and {finder.files:,} files seen")
            return 1 if leaks else 0
        only = [name for name in options.only.split(",") if name]
        manifest = build(
            options.data, options.out, factor=options.samples, seed=options.seed, only=only,
            workers=options.workers, work=options.work,
        )  # fmt: skip
    except NanoVLError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    estimate = seconds(manifest)
    print(f"{manifest['suite']}: about {estimate / 60:.1f} minutes for a mini model on two cores")
    if options.samples <= 1 and estimate > BUDGET_S:
        print(f"that is more than {BUDGET_S / 60:.0f} minutes", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
