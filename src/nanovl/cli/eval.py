"""`nanovl eval ...`: name the benchmarks, bring their files into one format."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nanovl.cli import options
from nanovl.cli.console import Progress, guarded, note, one_line, write, write_json
from nanovl.cli.eval_report import compare, diff_samples, report
from nanovl.cli.eval_run import run, score
from nanovl.cli.eval_sweep import serve_check, sweep, table
from nanovl.core.errors import ConfigError

if TYPE_CHECKING:
    from nanovl.evals.native import Imported
    from nanovl.evals.registry import Benchmark

__all__ = ["evaluate"]

evaluate = typer.Typer(
    name="eval",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
)

_PROBLEMS_SHOWN = 20

Profile = Annotated[
    str,
    typer.Option(
        "--profile",
        metavar="NAME",
        help='default, or "vk" and "legacy", which read missing values as those harnesses do.',
    ),
]


@evaluate.callback(invoke_without_command=True)
@guarded
def root(
    context: typer.Context,
    show: Annotated[bool, typer.Option("--list", help="The same as the verb list.")] = False,
    json: options.Json = False,
) -> None:
    """Score models on the benchmarks of the report.

    \b
    Examples:
      nanovl eval list
      nanovl eval run mini --data ./mini-suite --out runs/mini
      nanovl eval report runs/mini

    Benchmarks are read from disk; nothing is downloaded.
    """
    if context.invoked_subcommand is None:
        if not show:
            raise ConfigError("a verb is missing; nanovl eval --help names them")
        show_benchmarks(None, json)


for _verb in (run, score, report, sweep, compare, table):
    evaluate.command()(_verb)
evaluate.command("diff-samples")(diff_samples)
evaluate.command("serve-check")(serve_check)


@evaluate.command("list")
@guarded
def list_(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="BENCHMARK", help="Ids or suites to show. Left out: all benchmarks."
        ),
    ] = None,
    json: options.Json = False,
) -> None:
    """Name the benchmarks: files, reader, prompt style, metric, and whether a judge is needed.

    \b
    Examples:
      nanovl eval list
      nanovl eval list table4 --json
    """
    show_benchmarks(words, json)


def show_benchmarks(words: list[str] | None, json: bool) -> None:
    """All benchmarks, or those named."""
    from nanovl.evals.registry import benchmarks, select, suites

    chosen = select(words) if words else tuple(benchmarks().values())
    if json:
        write_json(
            {
                "benchmarks": {one.id: _facts(one) for one in chosen},
                "suites": {name: list(ids) for name, ids in suites().items()},
            }
        )
        return
    heads = ("benchmark", "items", "reader", "metric", "judge", "offline")
    rows = [
        (one.id, _items(one), one.reader, one.metric, one.needs_judge, one.offline_fidelity)
        for one in chosen
    ]
    widths = [max(len(row[place]) for row in (heads, *rows)) for place in range(len(heads))]
    for row in (heads, *rows):
        cells = (f"{cell:{width}}" for cell, width in zip(row, widths, strict=True))
        write("  ".join(cells).rstrip() + "\n")
    note("suites: " + ", ".join(f"{name} ({len(ids)})" for name, ids in suites().items()))


def _items(one: Benchmark) -> str:
    if isinstance(one.n_items, int):
        return f"{one.n_items:,}"
    return "+".join(f"{n:,}" for n in one.n_items.values()) if one.n_items else "?"


def _facts(one: Benchmark) -> dict[str, Any]:
    return {
        "name": one.name,
        "category": one.category,
        "modality": one.modality,
        "split": one.split,
        "n_items": one.n_items,
        "n_status": one.n_status,
        "reader": one.reader,
        "files": {spec.part: list(spec.names) for spec in one.files},
        "prompt_style": one.prompt_style,
        "metric": one.metric,
        "secondary_metrics": list(one.secondary_metrics),
        "max_tokens": one.max_tokens,
        "runs": one.runs,
        "needs_judge": one.needs_judge,
        "offline_fidelity": one.offline_fidelity,
        "sandbox": one.sandbox,
        "source": one.source,
        "licence": one.licence,
    }


@evaluate.command("import")
@guarded
def import_(
    benchmark: Annotated[str, typer.Argument(metavar="BENCHMARK", help="Its id.")],
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="Folder with the publisher's files.")
    ],
    out: Annotated[str, typer.Argument(metavar="OUT", help="New folder to write.")],
    part: Annotated[
        list[str] | None,
        typer.Option("--part", metavar="NAME", help="Language or platform alone. May be repeated."),
    ] = None,
    profile: Profile = "default",
    any_count: Annotated[
        bool,
        typer.Option("--any-count", help="A different number of samples is no failure."),
    ] = False,
    json: options.Json = False,
) -> None:
    """Bring a benchmark's files into nanovl's format, and check their count.

    \b
    Examples:
      nanovl eval import mmstar ./LMUData ./benchmarks/mmstar
      nanovl eval import mmmb ./LMUData ./benchmarks/mmmb --part en --part ru

    Rows that cannot be used are named. Exits with 1 when there are any, or when the count is not
    the published one.
    """
    from nanovl.evals.native import import_benchmark
    from nanovl.evals.registry import benchmark as find

    with Progress() as progress:
        done = import_benchmark(
            find(benchmark),
            Path(source),
            Path(out),
            parts=part or (),
            profile=profile,
            on_event=progress,
        )
    if json:
        write_json({"imported": [_imported(one) for one in done]})
    for one in done:
        if not json:
            write(f"{one.folder}: {len(one.loaded.samples):,} samples\n")
        for problem in one.loaded.problems[:_PROBLEMS_SHOWN]:
            note(f"{problem.where}: {problem.reason}: {one_line(problem.message)}")
        hidden = len(one.loaded.problems) - _PROBLEMS_SHOWN
        if hidden > 0:
            note(f"... and {hidden:,} more; --json lists all")
        for line in one.check.lines():
            note(line)
    agrees = all(one.check.agrees or (any_count and not one.check.malformed) for one in done)
    if not agrees:
        sys.exit(1)


@evaluate.command()
@guarded
def ruler(
    out: Annotated[str, typer.Argument(metavar="OUT", help="New folder to write.")],
    model: options.Model = "mini",
    length: Annotated[
        int, typer.Option("--length", metavar="N", help="Context of the set in tokens.")
    ] = 131_072,
    samples: Annotated[
        int, typer.Option("--samples", metavar="N", min=1, help="Samples per task.")
    ] = 500,
    task: Annotated[
        list[str] | None,
        typer.Option("--task", metavar="NAME", help="A task alone. May be repeated."),
    ] = None,
    essays: Annotated[
        str | None,
        typer.Option("--essays", metavar="FILE", help="Text of the haystack, UTF-8."),
    ] = None,
    squad: Annotated[
        str | None, typer.Option("--squad", metavar="FILE", help="SQuAD 2.0 dev-v2.0.json.")
    ] = None,
    hotpotqa: Annotated[
        str | None,
        typer.Option("--hotpotqa", metavar="FILE", help="hotpot_dev_distractor_v1.json."),
    ] = None,
    words: Annotated[
        str | None,
        typer.Option("--words", metavar="FILE", help="JSON of a longer list of words."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Of all draws.")] = 42,
    json: options.Json = False,
) -> None:
    """Make the RULER tasks to a length, counted by a model's tokenizer.

    \b
    Examples:
      nanovl eval ruler ./ruler --length 4096 --samples 10 --task niah_single_1 --task vt
      nanovl eval ruler ./ruler -m ./checkpoint --squad dev-v2.0.json --hotpotqa hotpot_dev.json

    Without --essays a public-domain text is the haystack, and the set is marked ruler-like.
    """
    from nanovl.checkpoint.build import load_processor
    from nanovl.evals.ruler_files import write_ruler
    from nanovl.evals.ruler_sources import Sources, read_text, read_words
    from nanovl.evals.ruler_tasks import RulerSettings

    settings = RulerSettings(length=length, samples=samples, seed=seed)
    sources = Sources(
        essays=read_text(Path(essays)) if essays else None,
        squad=Path(squad) if squad else None,
        hotpotqa=Path(hotpotqa) if hotpotqa else None,
        more_words=read_words(Path(words)) if words else (),
        seed=seed,
    )
    tokenizer = load_processor(model)[1].tokenizer
    with Progress() as progress:
        made = write_ruler(
            Path(out),
            settings,
            lambda text: len(tokenizer.encode(text)),
            sources,
            tasks=task or (),
            tokenizer=model,
            on_event=progress,
        )
    if json:
        write_json({"folder": out, **made})
        return
    for name, facts in made["tasks"].items():
        write(f"{out}/{name}: {facts['samples']:,} samples, longest {facts['longest']:,} tokens\n")
    if made["ruler_like"]:
        note("no --essays: the haystack is a public-domain text, results are ruler-like")


def _imported(one: Imported) -> dict[str, Any]:
    return {
        "folder": str(one.folder),
        "name": one.loaded.name,
        "samples": len(one.loaded.samples),
        "counted": one.check.counted,
        "expected": one.check.expected,
        "found": one.check.found,
        "other_split": one.check.other_split,
        "malformed": one.check.malformed,
        "problems": [
            {"where": p.where, "reason": p.reason, "message": p.message}
            for p in one.loaded.problems
        ],
        "manifest": one.loaded.manifest,
    }
