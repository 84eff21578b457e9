"""Write docs/reference/benchmarks.md from the registry of benchmarks.

python tools/benchmark_page.py            write the page
python tools/benchmark_page.py --check    exit 1 if the page on disk is not what would be written
"""

from __future__ import annotations

import sys
from pathlib import Path

from nanovl.evals.mini_suite import TASKS
from nanovl.evals.registry import Benchmark, benchmarks, suites

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "benchmarks.md"

HEAD = """# Benchmarks

<!-- Written by tools/benchmark_page.py from the registry of benchmarks; do not edit. -->

What `nanovl eval run ID` can ask; `nanovl eval list --json` prints more of it. Nothing is
downloaded: get the files from where the second table says, read their licence, and put them under
the names given into one folder, the `--data` of [the guide](../guides/evaluation.md). A `.tsv`
may also be there as `.parquet`, `.jsonl` or `.json` of the same name, and any benchmark in
nanovl's own format, as `nanovl eval import` writes it.

- **items**: how many there should be; what a run found beside it is said when it differs. `?`:
  not published.
- **judge**: `no`, rules decide; `optional`, rules decide what they can and a judge the rest;
  `required`, the official number is a judge's.
- **without a judge**: what the number of rules is worth. `exact`, the official rule;
  `exact_rules`, the official rules, of which the official number lets a judge decide some cases;
  `exact_on_val`, exact on the validation split, the test split has no public answers; `proxy`,
  `proxy_for_free_form`, `approx`, nanovl's own rules in place of a judge, comparable with itself
  alone; `none`, not scored.
- **run**: `code`, answers are programs and are executed in the sandbox.
"""

CATEGORIES = {
    "general_vqa": "General questions about pictures",
    "stem_reasoning": "Mathematics and sciences with pictures",
    "document_ocr_chart": "Documents, reading and charts",
    "grounding_spatial": "Grounding and space",
    "gui": "Screens",
    "video": "Video",
    "multilingual": "Languages",
    "text": "Text alone",
}


def page() -> str:
    """The whole page as Markdown."""
    known = benchmarks()
    lines = [HEAD]
    for category, title in CATEGORIES.items():
        chosen = [one for one in known.values() if one.category == category]
        lines += [
            f"## {title}\n",
            "| id | name | split | items | metric | prompt style | judge | without a judge | run |",
            "|---|---|---|---|---|---|---|---|---|",
            *(_facts(one) for one in chosen),
            "",
        ]
    lines += [
        "## Files and licences\n",
        'What was found out of licences is no advice; "not known here" means: ask the publisher.\n',
        "| id | files | from | licence |",
        "|---|---|---|---|",
        *(_files(one) for one in known.values()),
        "",
        "## Suites\n",
        "| name | benchmarks |",
        "|---|---|",
        *(f"| `{n}` | {len(ids)}: {', '.join(ids)} |" for n, ids in suites().items()),
        "",
        "## The local suite\n",
        "`mini`, built from validation data and held-out synthesised sets"
        " ([how](../guides/evaluation.md#the-local-suite)).\n",
        "| id | what | metric | reasoning | questions | must | aim | answers without a model |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for task in TASKS:
        metric = f"`{task.metric}`" + (", lower is better" if task.is_error else "")
        bars = ("" if bar is None else f"{bar:g}" for bar in (task.must, task.aim))
        lines.append(
            f"| `{task.id}` | {task.title} | {metric} | {task.mode} | {task.samples} | "
            f"{' | '.join(bars)} | {', '.join(task.baselines)} |"
        )
    return "\n".join(lines) + "\n"


def _facts(one: Benchmark) -> str:
    metrics = ", ".join(f"`{name}`" for name in (one.metric, *one.secondary_metrics))
    cells = (
        f"`{one.id}`",
        one.name,
        one.split,
        _items(one),
        metrics,
        f"`{one.prompt_style}`",
        one.needs_judge,
        one.offline_fidelity,
        "code" if one.sandbox else "",
    )
    return "| " + " | ".join(map(_cell, cells)) + " |"


def _files(one: Benchmark) -> str:
    names = []
    for spec in one.files:
        part = f"{spec.part}: " if len(one.files) > 1 else ""
        first = f"`{spec.names[0]}`" + (" (folder)" if spec.folder else "")
        names.append(part + first + (" (optional)" if spec.optional else ""))
    cells = (f"`{one.id}`", ", ".join(names), one.source, one.licence)
    return "| " + " | ".join(map(_cell, cells)) + " |"


def _items(one: Benchmark) -> str:
    if isinstance(one.n_items, int):
        return f"{one.n_items:,}"
    return " + ".join(f"{n:,}" for n in one.n_items.values()) if one.n_items else "?"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main() -> None:
    """Write or check the page."""
    text = page()
    if "--check" in sys.argv[1:]:
        if not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != text:
            sys.exit("docs/reference/benchmarks.md is stale; run: python tools/benchmark_page.py")
        return
    PAGE.write_text(text, encoding="utf-8")
    print(f"wrote {PAGE}")


if __name__ == "__main__":
    main()
