"""How well and how fast the LaTeX ground-truth compiler does on real sources.

python benchmarks/tex_corpus.py                  all sources of tests/golden/tex/corpus.txt
python benchmarks/tex_corpus.py --save r.jsonl --seconds 300     in parts: known sources are skipped
python benchmarks/tex_corpus.py --engines        what plain engines make of those that fail here
python benchmarks/tex_corpus.py --formulas 600   also re-typesets that many formulas
python benchmarks/tex_corpus.py --fast           as the command does it, for speed: no second reader

The sources come from Debian's documentation packages, named in the list. Prints one line per source
and one JSON line with the totals last. Speed is pages per second of processor time, the processor
time of every program that ran included.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from nanovl.synth.base import Reject
from nanovl.synth.tex.compile import compile_document
from nanovl.synth.tex.sandbox import Sandbox
from nanovl.synth.tex.source import prepare

LIST = Path(__file__).resolve().parent.parent / "tests" / "golden" / "tex" / "corpus.txt"
DOCS = Path("/usr/share/doc/texlive-doc/latex")
FILES = {".bib", ".bbl", ".eps", ".png", ".jpg", ".jpeg", ".cls", ".sty", ".bst", ".pdf", ".clo"}


def read(path: Path) -> str:
    data = path.read_bytes()
    return (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8", "replace")


def copy_source(name: str, target: Path) -> str:
    """Copy a source and the files beside it; the name of the main file."""
    path = DOCS / name
    path = path if path.exists() else path.with_name(path.name + ".gz")
    folder = path.parent
    text = read(path)
    wanted = [path]
    for part in re.findall(r"\\(?:input|include)\s*\{?([\w./-]+)", text):
        for suffix in ("", ".tex", ".tex.gz"):
            other = folder / f"{part}{suffix}"
            if other.is_file():
                wanted.append(other)
    for other in sorted(folder.iterdir()):
        suffix = Path(other.name.removesuffix(".gz")).suffix.lower()
        if other.is_file() and suffix in FILES and other.stat().st_size < 3_000_000:
            wanted.append(other)
    for other in wanted:
        plain = target / other.relative_to(folder).as_posix().removesuffix(".gz")
        plain.parent.mkdir(parents=True, exist_ok=True)
        data = other.read_bytes()
        plain.write_bytes(gzip.decompress(data) if other.suffix == ".gz" else data)
    return path.name.removesuffix(".gz")


def plain_engine(source: Path, main: str, engine: str) -> bool:
    """Whether an engine without our hooks compiles a source without errors."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        sandbox = Sandbox(work)
        try:
            ready = prepare(source, work, sandbox, main=main)
        except Reject:
            return False
        command = [engine, "--interaction=batchmode", "--no-shell-escape",
                   f"--jobname={ready.job}", ready.main]  # fmt: skip
        sandbox.run(command)
        if ready.has_bibliography and not (work / f"{ready.job}.bbl").exists():
            sandbox.run(["bibtex", ready.job])
        sandbox.run(command)
        log = work / f"{ready.job}.log"
        text = log.read_bytes().decode("utf-8", "replace") if log.exists() else "! nothing"
        return (work / f"{ready.job}.pdf").exists() and not re.search(r"^!", text, re.MULTILINE)


def processor_s() -> float:
    """Processor time of this process and of every program outside the sandbox.

    Time spent in a namespace does not reach the caller's account; the sandbox counts it itself.
    """
    total = 0.0
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        usage = resource.getrusage(who)
        total += usage.ru_utime + usage.ru_stime
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engines", action="store_true")
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("--formulas", type=int, default=0)
    parser.add_argument("--only", default="")
    parser.add_argument("--limit", type=int, default=0)
    parser.add_argument("--part", default="1/1", help="K/N: every N-th source from the K-th on")
    parser.add_argument("--profile", default="strict")
    parser.add_argument("--image", default="png")
    parser.add_argument("--out", default="")
    parser.add_argument("--save", default="", help="one JSON line per source; continued")
    parser.add_argument("--seconds", type=float, default=1e9, help="begin no source after that")
    args = parser.parse_args()
    if not DOCS.is_dir():
        sys.exit(
            "no documentation sources; apt install texlive-latex-base-doc texlive-publishers-doc"
        )
    names = [n.split()[0] for n in LIST.read_text().splitlines() if n and not n.startswith("#")]
    names = [n for n in names if args.only in n][: args.limit or None]
    part, parts = map(int, args.part.split("/"))
    names = names[part - 1 :: parts]
    kept = Path(args.out) if args.out else Path(tempfile.mkdtemp(prefix="tex-corpus-"))
    saved = Path(args.save) if args.save else kept / "results.jsonl"
    done = {}
    if saved.exists():
        done = {row["name"]: row for row in map(json.loads, saved.read_text().splitlines())}
    start = time.monotonic()
    for name in names:
        if name in done or time.monotonic() - start > args.seconds:
            continue
        row = one(name, kept, args)
        done[name] = row
        saved.parent.mkdir(parents=True, exist_ok=True)
        with saved.open("a") as stream:
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")
        print(line(row), flush=True)
    report = summary([done[n] for n in names if n in done], len(names))
    if args.formulas:
        from nanovl.synth.tex.fixpoint import check_formulas

        formulas = sorted({f for n in names if n in done for f in done[n]["formulas"]})
        step = max(1, len(formulas) // args.formulas)
        report["formulas"] = check_formulas(formulas[::step][: args.formulas])
    print(json.dumps(report, ensure_ascii=False))
    if not args.out:
        shutil.rmtree(kept)


def one(name: str, kept: Path, args: argparse.Namespace) -> dict[str, Any]:
    """What became of one source, as plain data."""
    row: dict[str, Any] = {"name": name, "status": "not_installed", "pages": [], "formulas": []}
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / Path(name).stem
        source.mkdir()
        try:
            main_file = copy_source(name, source)
        except FileNotFoundError:
            return row
        begin, cpu = time.monotonic(), processor_s()
        result = compile_document(
            source, kept / name.replace("/", "-"), main=main_file, profile=args.profile,
            thorough=not args.fast, image=args.image,
        )  # fmt: skip
        is_isolated = Sandbox(source).is_isolated
        inside = result.seconds.get("programs_cpu", 0.0) if is_isolated else 0.0
        row |= {
            "status": result.status, "message": result.message[:200],
            "wall_s": round(time.monotonic() - begin, 2),
            "cpu_s": round(processor_s() - cpu + inside, 2), "passes": result.passes,
            "seconds": {k: round(v, 3) for k, v in result.seconds.items()},
            "unknown": dict(result.unknown),
            "pages": [{**page.check, "reasons": list(page.reasons)} for page in result.pages],
            "formulas": display_formulas(kept / name.replace("/", "-")),
        }  # fmt: skip
        if args.engines and not result.pages:
            row["engines"] = [
                e for e in ("pdflatex", "lualatex") if plain_engine(source, main_file, e)
            ]
    return row


def display_formulas(folder: Path) -> list[str]:
    found: list[str] = []
    for path in sorted(folder.glob("*-p[0-9][0-9][0-9][0-9].json")):
        for block in json.loads(path.read_text())["blocks"]:
            if block.get("latex") and block["class"] == "Formula":
                found.append(block["latex"])
            found += re.findall(r"\\\((.+?)\\\)", block["markdown"])
    return found


def line(row: dict[str, Any]) -> str:
    engines = f" plain: {'+'.join(row['engines']) or 'none'}" if "engines" in row else ""
    if not row["pages"]:
        return f"{row['name']}: {row['status']}: {row.get('message', '')[:100]}{engines}"
    count: Counter[str] = Counter()
    for page in row["pages"]:
        for key in ("glyphs", "found", "same"):
            count[key] += page[key]
    position = count["found"] / max(count["glyphs"], 1)
    same = count["same"] / max(count["found"], 1)
    bad = Counter(r.split(" ")[0] for p in row["pages"] for r in p["reasons"])
    good = sum(not p["reasons"] for p in row["pages"])
    return (
        f"{row['name']}: {good}/{len(row['pages'])} pages, positions {position:.5f}, "
        f"unicode {same:.4f}, {row['passes']} passes, {row['cpu_s']:.1f} s CPU, "
        f"{dict(bad)}{engines}"
    )


def summary(rows: list[dict[str, Any]], listed: int) -> dict[str, Any]:
    totals: Counter[str] = Counter()
    gates: Counter[str] = Counter()
    unknown: Counter[str] = Counter()
    stages: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    for row in rows:
        totals["sources"] += 1
        totals["compiled"] += bool(row["pages"])
        if not row["pages"]:
            failures[row["status"]] += 1
        # Ours is LuaLaTeX: what it compiles, an engine compiles.
        totals["any_engine"] += bool(row.get("engines") or row["pages"])
        unknown.update(row.get("unknown", {}))
        stages.update(row.get("seconds", {}))
        for page in row["pages"]:
            totals["pages"] += 1
            totals["good_pages"] += not page["reasons"]
            for key in ("glyphs", "found", "same", "identical", "chars", "covered", "unknown",
                        "unclassified", "maths", "maths_exact"):  # fmt: skip
                totals[key] += page[key]
            gates.update(reason.split(" ")[0] for reason in page["reasons"])
    cpu = sum(row.get("cpu_s", 0.0) for row in rows if row["pages"])
    out: dict[str, Any] = {"listed": listed, **totals}
    for name, part, whole in (
        ("position_rate", "found", "glyphs"), ("unicode_rate", "same", "found"),
        ("unicode_rate_identical", "identical", "found"), ("coverage_rate", "covered", "chars"),
        ("unclassified_rate", "unclassified", "glyphs"), ("page_rate", "good_pages", "pages"),
    ):  # fmt: skip
        out[name] = round(totals[part] / max(totals[whole], 1), 5)
    out["success_rate"] = round(totals["compiled"] / max(totals["any_engine"], 1), 4)
    out["pages_per_s_per_core"] = round(totals["pages"] / max(cpu, 1e-9), 2)
    out["passes_per_document"] = round(
        sum(r["passes"] for r in rows if r["pages"]) / max(totals["compiled"], 1), 2
    )
    out |= {
        "cpu_s": round(cpu, 1), "failures": dict(failures.most_common()),
        "gates": dict(gates.most_common()), "unknown_glyphs": dict(unknown.most_common(30)),
        "seconds": {k: round(v, 1) for k, v in stages.items()},
    }  # fmt: skip
    return out


if __name__ == "__main__":
    main()
