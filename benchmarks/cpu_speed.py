"""CPU speed of the decoder beside transformers' nemotron_h, on the same random weights.

    python benchmarks/cpu_speed.py --shape mid --repeats 3
    python benchmarks/cpu_speed.py --shape mini --tasks prefill:512,decode:512 --smoke

Every engine runs in its own process; for every task the engines take turns, so that a drift of the
machine hits all of them, and the table gives medians and ratios to the peer of the same run.
"Share" is the part of the machine's measured bf16 matmul peak (prefill) or of its measured read
bandwidth (decode) the run achieved. Peak memory is the process's maximum resident set.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

SHAPES: dict[str, dict[str, Any]] = {
    # 190 M parameters with the proportions of the 12B.
    "mid": {
        "vocab_size": 16384,
        "hidden_size": 1024,
        "pattern": "M-M-M-M*-M-M-M*-M-M-",
        "num_heads": 16,
        "num_kv_heads": 4,
        "head_dim": 64,
        "intermediate_size": 4096,
        "mamba_num_heads": 32,
        "mamba_head_dim": 64,
        "ssm_state_size": 128,
        "num_groups": 8,
        "chunk_size": 64,
    },
}
ENGINES = ("transformers", "nanovl", "nanovl-int8", "nanovl-int4")
DECODE_TOKENS = 24


def lm_config(shape: str) -> Any:
    from nanovl.model.config import LMConfig, preset

    return preset(shape).lm if shape not in SHAPES else LMConfig(**SHAPES[shape])


@dataclass
class Task:
    """`prefill:N` or `decode:N` (after a prompt of N), `decode:NxB` for B sequences."""

    kind: str
    tokens: int
    rows: int

    @classmethod
    def parse(cls, text: str) -> Task:
        kind, _, rest = text.partition(":")
        tokens, _, rows = rest.partition("x")
        return cls(kind, int(tokens), int(rows or 1))


def run_worker(engine: str, shape: str, tasks: list[str]) -> None:
    """Answer one line of JSON per line on stdin: {"task": ...} -> {"seconds": ...}."""
    import torch

    torch.set_num_threads(int(os.environ.get("BENCH_THREADS", "2")))
    from nanovl.model.lm import HybridLM

    config = lm_config(shape)
    # Built in bf16, so that the peak memory is that of running, not of building.
    torch.set_default_dtype(torch.bfloat16)
    model = HybridLM(config).eval()
    torch.set_default_dtype(torch.float32)
    model.initialize(torch.Generator().manual_seed(0))
    if engine == "transformers":
        from nanovl.testing.peers import peer_lm

        peer = peer_lm(config, model)
        del model
        runner: Any = PeerRunner(peer, config.vocab_size)
    else:
        runner = NanoRunner(model, engine)
    for text in tasks:  # warm up; the long prefills only in small
        task = Task.parse(text)
        runner.run(Task(task.kind, min(task.tokens, 512), task.rows))
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        task = Task.parse(json.loads(line)["task"])
        # While the other engine ran, this one's weights left the caches: short tasks run once to
        # bring them back, then three times, so that a turn measures steady work.
        turns = [runner.run(task) for _ in range(4 if task.tokens <= 1024 else 1)]
        result = statistics.median(turns[1:] or turns)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps({"seconds": result, "peak_bytes": peak}), flush=True)


class PeerRunner:
    """transformers, its own cache, one call for the whole prompt."""

    def __init__(self, model: Any, vocab: int) -> None:
        self.model, self.vocab = model, vocab

    def run(self, task: Task) -> float:
        import torch

        ids = _ids(self.vocab, task.rows, task.tokens)
        with torch.inference_mode():
            start = time.perf_counter()
            out = self.model(ids, use_cache=True, logits_to_keep=1)
            if task.kind == "prefill":
                return time.perf_counter() - start
            cache, token = out.past_key_values, out.logits[:, -1].argmax(-1, keepdim=True)
            times = []
            for _ in range(DECODE_TOKENS):
                start = time.perf_counter()
                out = self.model(token, past_key_values=cache, use_cache=True)
                token = out.logits[:, -1].argmax(-1, keepdim=True)
                times.append(time.perf_counter() - start)
            return statistics.median(times)


class NanoRunner:
    """nanovl's decoder: chunks of 512 tokens, then single steps."""

    def __init__(self, model: Any, engine: str) -> None:
        import torch

        self.model = model
        target = engine.removeprefix("nanovl").removeprefix("-")
        if target:
            from nanovl.quant import find_policy, plan_formats, replace_module, transcode

            for name in plan_formats(model, find_policy("fp8")):
                module = model.get_submodule(name)
                replace_module(model, name, transcode(module, target, dtype=torch.bfloat16))

    def run(self, task: Task) -> float:
        import torch

        from nanovl.model.cache import HybridCache
        from nanovl.model.context import ForwardContext

        model, config = self.model, self.model.config
        ids = _ids(config.vocab_size, task.rows, task.tokens)
        with torch.inference_mode():
            cache = HybridCache(config, task.rows)
            for row in range(task.rows):
                cache.reserve(row, task.tokens + DECODE_TOKENS + 1)
            start = time.perf_counter()
            for row in range(task.rows):
                for at in range(0, task.tokens, 512):
                    chunk = ids[row, at : at + 512]
                    ctx = ForwardContext.single(chunk.shape[0], cache, row)
                    logits = model(model.embed(chunk), ctx)
            if task.kind == "prefill":
                return time.perf_counter() - start
            token = logits.argmax(-1).expand(task.rows)
            slots = tuple(range(task.rows))
            ctx = ForwardContext(cu_seqlens=(*slots, task.rows), cache=cache, slots=slots)
            times = []
            for _ in range(DECODE_TOKENS):
                start = time.perf_counter()
                token = model(model.embed(token), ctx).argmax(-1)
                times.append(time.perf_counter() - start)
            return statistics.median(times)


def _ids(vocab: int, rows: int, tokens: int) -> Any:
    import torch

    return torch.randint(0, vocab, (rows, tokens), generator=torch.Generator().manual_seed(1))


def ceilings() -> tuple[float, float]:
    """Measured bf16 matmul FLOP/s and read bandwidth in bytes/s of this machine, now."""
    import torch

    torch.set_num_threads(int(os.environ.get("BENCH_THREADS", "2")))
    a = torch.randn(512, 4096).bfloat16()
    b = torch.randn(4096, 4096).bfloat16()
    big = torch.ones(1 << 27, dtype=torch.float32)  # 512 MiB

    def best(run: Any, repeats: int) -> float:
        times = []
        for _ in range(repeats):
            start = time.perf_counter()
            run()
            times.append(time.perf_counter() - start)
        return min(times)

    flops = 2 * 512 * 4096 * 4096 / best(lambda: torch.nn.functional.linear(a, b), 15)
    return flops, big.numel() * 4 / best(big.sum, 5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", default="mid", choices=[*SHAPES, "mini", "tiny"])
    parser.add_argument("--tasks", default="prefill:512,prefill:4096,prefill:16384,decode:512")
    parser.add_argument("--engines", default="transformers,nanovl,nanovl-int8,nanovl-int4")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--smoke", action="store_true", help="one repeat, prompts of 64 tokens")
    parser.add_argument("--worker", choices=ENGINES)
    args = parser.parse_args()
    tasks = args.tasks.split(",")
    if args.worker:
        run_worker(args.worker, args.shape, tasks)
        return
    if args.smoke:
        tasks, args.repeats = ["prefill:64", "decode:64"], 1
    engines = args.engines.split(",")
    results = measure(engines, args.shape, tasks, args.repeats)
    report(args.shape, tasks, engines, results)


def measure(
    engines: list[str], shape: str, tasks: list[str], repeats: int
) -> dict[str, dict[str, Any]]:
    """Per task and engine: seconds of every repeat and peak memory.

    A process per engine and task, so that a peak belongs to one task; within a task the engines
    take turns.
    """
    results: dict[str, dict[str, Any]] = {}
    for task in tasks:
        workers = {e: start_worker(e, shape, task) for e in engines}
        results[task] = {e: {"seconds": []} for e in engines}
        for repeat in range(repeats):
            for engine, worker in workers.items():
                answer = ask(worker, task)
                results[task][engine]["seconds"].append(answer["seconds"])
                results[task][engine]["peak_bytes"] = answer["peak_bytes"]
                print(f"{task} {engine} #{repeat}: {answer['seconds']:.4f} s", file=sys.stderr)
        for worker in workers.values():
            worker.stdin.close()
            worker.wait()
    return results


def start_worker(engine: str, shape: str, task: str) -> Any:
    nice = ["nice", "-n", "-19"] if os.geteuid() == 0 else []
    command = [*nice, sys.executable, __file__, "--worker", engine]
    command += ["--shape", shape, "--tasks", task]
    worker = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    if not worker.stdout.readline():
        raise SystemExit(f"worker failed to start: {' '.join(command)}")
    return worker


def ask(worker: Any, task: str) -> dict[str, Any]:
    worker.stdin.write(json.dumps({"task": task}) + "\n")
    worker.stdin.flush()
    return json.loads(worker.stdout.readline())


def report(
    shape: str, tasks: list[str], engines: list[str], results: dict[str, dict[str, Any]]
) -> None:
    """A Markdown table, then one line of JSON."""
    import torch

    config = lm_config(shape)
    flops, bandwidth = ceilings()
    print(
        f"shape {shape}: {config.num_parameters / 1e6:.1f} M parameters; torch "
        f"{torch.__version__}, Python {platform.python_version()}, 2 threads, bf16; "
        f"matmul peak {flops / 1e12:.2f} TFLOP/s, read {bandwidth / 1e9:.1f} GB/s\n"
    )
    print("| task | engine | tokens/s (median) | spread | ratio | share | peak MiB |")
    print("|---|---|---|---|---|---|---|")
    rows = []
    for text in tasks:
        task = Task.parse(text)
        base = None
        for engine in engines:
            seconds = results[text][engine]["seconds"]
            count = task.tokens * task.rows if task.kind == "prefill" else task.rows
            speeds = sorted(count / s for s in seconds)
            speed = statistics.median(speeds)
            base = base or speed
            if task.kind == "prefill":
                share = speed * config.flops_per_token(task.tokens // 2) / flops
            else:
                size = {"int8": 1, "int4": 0.625}.get(engine[-4:], 2)
                table = config.vocab_size * config.hidden_size
                tables = table if config.tie_embeddings else 2 * table
                # One table is read whole, as the head in bf16; of the other a single row.
                read = (config.num_parameters - tables) * size + table * 2
                share = speed / task.rows * read / bandwidth
            peak = results[text][engine]["peak_bytes"] / 2**20
            print(
                f"| {text} | {engine} | {speed:.1f} | {speeds[0]:.1f} - {speeds[-1]:.1f} | "
                f"{speed / base:.2f} | {share:.0%} | {peak:.0f} |"
            )
            rows.append(
                {
                    "task": text,
                    "engine": engine,
                    "tokens_per_s": speed,
                    "ratio": speed / base,
                    "share": share,
                    "peak_mib": peak,
                }
            )
    print(json.dumps({"shape": shape, "rows": rows}))


if __name__ == "__main__":
    main()
