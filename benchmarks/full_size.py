"""The 12B shape on a small machine: write, inspect and run a random checkpoint.

    python benchmarks/full_size.py --format nvfp4 --folder OUT
    python benchmarks/full_size.py --format fp8 --folder OUT --keep

Every step is the command a user would type, in a process of its own; wall time and peak resident
memory are those of the process. The weights are random, so the text is noise; sizes, memory and
speed are those of the released checkpoint of the same format.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

LIMIT_GB = {"nvfp4": 18.0, "fp8": 22.0, "bf16": 40.0}


def run(arguments: list[str]) -> tuple[str, float, float]:
    """stdout, wall seconds and peak resident bytes of one nanovl command."""
    command = [sys.executable, "-m", "nanovl", *arguments]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    out = process.stdout.read() if process.stdout else ""
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    if status:
        code = os.waitstatus_to_exitcode(status)
        raise SystemExit(f"{' '.join(command)} ended with status {code}")
    return out, wall, usage.ru_maxrss * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--format", default="nvfp4", choices=sorted(LIMIT_GB))
    parser.add_argument("--preset", default="12b")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--quant", default=None, help="passed on to chat")
    parser.add_argument("--max-tokens", type=int, default=8)
    parser.add_argument("--max-tiles", type=int, default=12)
    parser.add_argument("--picture", type=Path, default=None)
    parser.add_argument("--keep", action="store_true", help="leave the checkpoint in the folder")
    args = parser.parse_args()

    from nanovl.core.paths import asset

    picture = args.picture or asset("demo", "page.png")
    rows: list[tuple[str, float, float, str]] = []
    if not args.folder.exists():
        convert = ["convert", "--random", args.preset, str(args.folder), "--format", args.format]
        _, wall, peak = run(convert)
        size = sum(f.stat().st_size for f in args.folder.iterdir())
        rows.append(("convert --random", wall, peak, f"{size / 1e9:.2f} GB written"))
    _, wall, peak = run(["info", str(args.folder)])
    rows.append(("info", wall, peak, ""))
    chat = ["chat", "What is on this page?", "-a", str(picture), "-m", str(args.folder), "--json"]
    chat += ["--max-tokens", str(args.max_tokens), "-o", "ignore_eos=true"]
    chat += ["--max-tiles", str(args.max_tiles)]
    if args.quant:
        chat += ["--quant", args.quant]
    out, wall, peak = run(chat)
    answer: dict[str, Any] = json.loads(out)
    usage, timings = answer["usage"], answer["timings"]
    note = (
        f"{usage['prompt_tokens']} prompt and {usage['completion_tokens']} generated tokens; "
        f"encode {timings['encode_s']:.1f} s, prefill "
        f"{timings['prefill_tokens'] / timings['prefill_s']:.1f} tokens/s, TTFT "
        f"{timings['ttft_s']:.1f} s, decode "
        f"{timings['decode_tokens'] / timings['decode_s']:.2f} tokens/s"
    )
    rows.append((f"chat ({args.quant or 'automatic'} weights)", wall, peak, note))
    report(args, rows)
    if not args.keep:
        shutil.rmtree(args.folder)
    worst = max(peak for _, _, peak, _ in rows) / 1e9
    if worst > LIMIT_GB[args.format]:
        raise SystemExit(f"peak {worst:.1f} GB exceeds the aim of {LIMIT_GB[args.format]} GB")


def report(args: argparse.Namespace, rows: list[tuple[str, float, float, str]]) -> None:
    import torch

    print(
        f"{args.preset}, {args.format}; torch {torch.__version__}, Python "
        f"{platform.python_version()}, {os.cpu_count()} cores\n"
    )
    print("| step | wall s | peak GB | |")
    print("|---|---|---|---|")
    for step, wall, peak, note in rows:
        print(f"| {step} | {wall:.1f} | {peak / 1e9:.2f} | {note} |")
    print(json.dumps([{"step": s, "wall_s": w, "peak_bytes": p, "note": n} for s, w, p, n in rows]))


if __name__ == "__main__":
    main()
