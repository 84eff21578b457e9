"""How well the LaTeX ground-truth compiler does on real sources.

python benchmarks/tex_corpus.py                 all sources of tests/golden/tex/corpus.txt
python benchmarks/tex_corpus.py --engines       also what plain pdfLaTeX and LuaLaTeX make of them
python benchmarks/tex_corpus.py --formulas 600  also re-typesets that many formulas

Sources come from Debian's packages texlive-latex-base-doc and texlive-publishers-doc. Prints one
line per source and one JSON line with the totals last.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from nanovl.synth.base import Reject
from nanovl.synth.tex.compile import DocumentResult, compile_document
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engines", action="store_true")
    parser.add_argument("--formulas", type=int, default=0)
    parser.add_argument("--only", default="")
    parser.add_argument("--limit", type=int, default=0)
    parser.add_argument("--profile", default="strict")
    parser.add_argument("--out", default="")
    args = parser.parse_args()
    if not DOCS.is_dir():
        sys.exit(
            "no documentation sources; apt install texlive-latex-base-doc texlive-publishers-doc"
        )
    names = [n for n in LIST.read_text().splitlines() if n and not n.startswith("#")]
    names = [n for n in names if args.only in n][: args.limit or None]
    totals: Counter[str] = Counter()
    gates: Counter[str] = Counter()
    unknown: Counter[str] = Counter()
    stages: Counter[str] = Counter()
    formulas: list[str] = []
    start = time.monotonic()
    kept = Path(args.out) if args.out else Path(tempfile.mkdtemp(prefix="tex-corpus-"))
    spent = 0.0
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / Path(name).stem
            source.mkdir()
            try:
                main_file = copy_source(name, source)
            except FileNotFoundError:
                print(f"{name}: not installed")
                continue
            begin = time.monotonic()
            result = compile_document(
                source, kept / name.replace("/", "-"), main=main_file, profile=args.profile,
                thorough=True,
            )  # fmt: skip
            took = time.monotonic() - begin
            spent += took
            engines = ""
            if args.engines:
                found = [e for e in ("pdflatex", "lualatex") if plain_engine(source, main_file, e)]
                totals["any_engine"] += bool(found)
                totals["any_engine_and_ours"] += bool(found) and bool(result.pages)
                for engine in found:
                    totals[engine] += 1
                engines = f" plain: {'+'.join(found) or 'none'}"
        add(result, totals, gates, stages, unknown)
        formulas += display_formulas(kept / name.replace("/", "-"))
        print(line(name, result, took) + engines, flush=True)
    report = summary(totals, len(names), spent)
    report["gates"] = dict(gates.most_common())
    report["unknown"] = dict(unknown.most_common(30))
    report["seconds"] = {k: round(v, 1) for k, v in stages.items()}
    report["wall_s"] = round(time.monotonic() - start, 1)
    if args.formulas:
        from nanovl.synth.tex.fixpoint import check_formulas

        distinct = sorted(set(formulas))[: args.formulas]
        report["formulas"] = check_formulas(distinct)
    print(json.dumps(report, ensure_ascii=False))
    if not args.out:
        shutil.rmtree(kept)


def add(
    result: DocumentResult, totals: Counter[str], gates: Counter[str], stages: Counter[str],
    unknown: Counter[str],
) -> None:  # fmt: skip
    totals["compiled"] += bool(result.pages)
    totals["with_good_pages"] += result.good_pages > 0
    totals["pages"] += len(result.pages)
    totals["good_pages"] += result.good_pages
    unknown.update(result.unknown)
    for page in result.pages:
        for key in ("glyphs", "found", "same", "chars", "covered", "unknown", "unclassified",
                    "maths", "maths_exact"):  # fmt: skip
            totals[key] += page.check[key]
        gates.update(reason.split(" ")[0] for reason in page.reasons)
    stages.update(result.seconds)


def display_formulas(folder: Path) -> list[str]:
    found = []
    for path in sorted(folder.glob("*-p[0-9][0-9][0-9][0-9].json")):
        for block in json.loads(path.read_text())["blocks"]:
            if block.get("latex") and block["class"] == "Formula":
                found.append(block["latex"])
            found += re.findall(r"\\\((.+?)\\\)", block["markdown"])
    return found


def line(name: str, result: DocumentResult, took: float) -> str:
    if not result.pages:
        return f"{name}: {result.status}: {result.message[:100]} ({took:.1f} s)"
    count: Counter[str] = Counter()
    for page in result.pages:
        for key in ("glyphs", "found", "same"):
            count[key] += page.check[key]
    position = count["found"] / max(count["glyphs"], 1)
    same = count["same"] / max(count["found"], 1)
    bad = Counter(r.split(" ")[0] for p in result.pages for r in p.reasons)
    return (
        f"{name}: {result.good_pages}/{len(result.pages)} pages, positions {position:.5f}, "
        f"unicode {same:.4f}, {took:.1f} s, {dict(bad)}"
    )


def summary(totals: Counter[str], sources: int, spent: float) -> dict[str, object]:
    out: dict[str, object] = {"sources": sources, **totals}
    out["position_rate"] = round(totals["found"] / max(totals["glyphs"], 1), 5)
    out["unicode_rate"] = round(totals["same"] / max(totals["found"], 1), 5)
    out["coverage_rate"] = round(totals["covered"] / max(totals["chars"], 1), 5)
    out["pages_per_s"] = round(totals["pages"] / max(spent, 1e-9), 2)
    return out


if __name__ == "__main__":
    main()
