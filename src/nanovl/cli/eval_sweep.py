"""`nanovl eval sweep|table|serve-check`: figures over one setting, runs side by side, a server."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nanovl.cli import eval_options as eo, options
from nanovl.cli.console import Progress, fail, guarded, note, one_line, write, write_json
from nanovl.cli.eval_run import ask, score_tasks, tell_asked, tell_files
from nanovl.core.errors import ConfigError

if TYPE_CHECKING:
    from nanovl.evals.modes import Setting
    from nanovl.evals.runfolder import RunFolder
    from nanovl.evals.source import Source
    from nanovl.evals.speed import Load, Speed
    from nanovl.evals.sweeps import Sweep

__all__ = ["serve_check", "sweep", "table"]

_KINDS = ("evs", "reasoning-budget", "tiling", "max-tiles", "precision")


@guarded
def sweep(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="BENCHMARK...",
            help="Ids and suites. Left out: those of the report's figure; none with --speed-only.",
        ),
    ] = None,
    out: eo.Out = "",
    data: eo.Data = ".",
    evs: Annotated[
        str, typer.Option("--evs", metavar="RATES", help="Pruning rates (Figure 4): 0,0.5,0.75.")
    ] = "",
    reasoning_budget: Annotated[
        str,
        typer.Option(
            "--reasoning-budget", metavar="TOKENS", help="Budgets (Figure 3); 0 is reasoning off."
        ),
    ] = "",
    tiling: Annotated[
        str,
        typer.Option(
            "--tiling", metavar="MODES", help="tiles,native,tiling-size-matching (Table 7)."
        ),
    ] = "",
    max_tiles: Annotated[
        str, typer.Option("--max-tiles", metavar="COUNTS", help="Tiles per picture: 1,4,12.")
    ] = "",
    precision: Annotated[
        str,
        typer.Option(
            "--precision", metavar="FORMATS", help="stored,bf16,int8,int4 (Table 8), one run each."
        ),
    ] = "",
    model: eo.Model = "mini",
    endpoint: eo.Endpoint = "",
    limit: eo.Limit = None,
    runs: eo.Runs = None,
    seed: eo.Seed = 0,
    speed: Annotated[
        bool, typer.Option("--speed", help="Also measure first token and throughput (with --evs).")
    ] = False,
    speed_only: Annotated[
        bool, typer.Option("--speed-only", help="Measure speed and ask no benchmark.")
    ] = False,
    concurrency: Annotated[
        str, typer.Option("--concurrency", metavar="LIST", help="Requests at a time.")
    ] = "1",
    load: Annotated[
        list[str] | None,
        typer.Option(
            "--load",
            metavar="KEY=VALUE",
            help="Of the speed measurement: frames, width, height, text_tokens, answer_tokens, "
            "requests, repeats, warm_up. May be repeated.",
        ),
    ] = None,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    quant: options.Quant = None,
    key_env: eo.KeyEnv = "",
    parallel: eo.Parallel = 8,
    timeout: eo.Timeout = 1800.0,
    retries: eo.Retries = 6,
    fields: eo.Fields = None,
    json: options.Json = False,
) -> None:
    """Ask the same questions at every point of a setting; write tables and figures.

    \b
    Examples:
      nanovl eval sweep evs --data ./videos --out runs/evs --evs 0,0.5,0.6,0.7,0.75,0.8,0.9
      nanovl eval sweep budget --data ./LMUData --out runs/b --reasoning-budget 0,2048,4096,16384
      nanovl eval sweep mini-video-order --data ./mini-suite --out runs/e --evs 0,0.75 --speed

    The figures come in sweep.md, sweep.html and sweep.json of the run. The same command continues
    a sweep that was stopped.
    """
    from nanovl.evals.runfolder import RunFolder

    if not out:
        raise ConfigError("--out is missing; expected the folder of the run")
    given = {
        "evs": evs,
        "reasoning-budget": reasoning_budget,
        "tiling": tiling,
        "max-tiles": max_tiles,
        "precision": precision,
    }
    kind, points = _kind(given)
    if (speed or speed_only) and kind != "evs":
        raise ConfigError("--speed measures pruning rates; give it together with --evs")
    server = {"key_env": key_env, "timeout": timeout, "retries": retries, "fields": fields}
    source = None if speed_only else _source(kind, words or (), data, limit)

    def answerer(weights: str | None) -> Any:
        return eo.answerer(
            model,
            endpoint=endpoint,
            server=server,
            parallel=parallel,
            device=device,
            dtype=dtype,
            quant=weights,
        )

    folder = RunFolder(Path(out))
    if kind == "precision":
        if endpoint:
            raise ConfigError("--precision loads the model itself; it cannot change a server's")
        assert source is not None
        found = _precisions(folder, source, points, answerer, runs, seed)
    else:
        who = answerer(quant)
        speeds: list[Speed] = []
        if speed or speed_only:
            speeds = _speeds(who, points, concurrency, load)
        if source is not None:
            _asked(folder, source, _settings(kind, points), who, runs, seed)
        found = _figures(kind, folder if source is not None else None, points, speeds)
    _write(found, folder.path, json)


@guarded
def table(
    named: Annotated[
        list[str], typer.Argument(metavar="NAME=RUN...", help="Scored runs, each with its label.")
    ],
    out: Annotated[str, typer.Option("--out", metavar="DIR", help="Where to.")] = "",
    kind: Annotated[
        str, typer.Option("--kind", metavar="KIND", help="stages (Tables 4, 6) or precision (8).")
    ] = "stages",
    mode: Annotated[
        str, typer.Option("--mode", metavar="ID", help="Whose numbers, such as mm_off.")
    ] = "mm_off",
    level: eo.Level = "rules",
    profile: eo.Profile = "default",
    json: options.Json = False,
) -> None:
    """Put runs side by side: training stages, or number formats.

    \b
    Examples:
      nanovl eval table stage1=runs/s1 stage2=runs/s2 stage4=runs/s4 --out runs/stages
      nanovl eval table bf16=runs/bf16 fp8=runs/fp8 --kind precision --out runs/precision

    With labels as the report has them (stage1 to stage4) its numbers stand beside.
    """
    from nanovl.evals.paper import stage_numbers
    from nanovl.evals.registry import benchmarks
    from nanovl.evals.runfolder import RunFolder
    from nanovl.evals.sweeps import runs_table

    if kind not in ("stages", "precision"):
        raise ConfigError(f"--kind {kind!r}: expected stages or precision")
    if not out:
        raise ConfigError("--out is missing; expected a folder for the table")
    runs: dict[str, RunFolder] = {}
    for word in named:
        label, sign, path = word.partition("=")
        if not sign or not label or not path:
            raise ConfigError(f"{word!r}: expected NAME=RUN")
        if label in runs:
            raise ConfigError(f"{label!r} is named twice")
        runs[label] = RunFolder(Path(path))
    paper = None
    if kind == "stages":
        known = benchmarks()
        paper = {name: stage_numbers(one) for name, one in known.items() if stage_numbers(one)}
        paper = paper if any(label in row for row in paper.values() for label in runs) else None
    found = runs_table(kind, runs, setting=mode, level=level, profile=profile, paper=paper)
    _write([found], Path(out), json)


@guarded
def serve_check(
    url: Annotated[str, typer.Argument(metavar="URL", help="Such as http://localhost:8000/v1.")],
    model: eo.Model = "mini",
    key_env: eo.KeyEnv = "",
    timeout: eo.Timeout = 120.0,
    fields: eo.Fields = None,
    json: options.Json = False,
) -> None:
    """Send a server twelve small requests of every shape an evaluation sends.

    \b
    Examples:
      nanovl eval serve-check http://localhost:8000/v1 -m NAME

    Judges the protocol, not the answers. Exits with 1 when a request is not served as it should.
    """
    from nanovl.evals.serve_check import serve_check as check

    endpoint = eo.chat_endpoint(
        url, model, key_env=key_env, timeout=timeout, retries=0, fields=fields
    )
    with Progress() as progress:
        found = check(endpoint, on_event=progress)
    if json:
        write_json({"endpoint": endpoint.address, "checks": [vars(one) for one in found]})
    else:
        width = max(len(one.name) for one in found)
        for one in found:
            mark = "ok  " if one.passed else "FAIL"
            write(f"{mark}  {one.name:{width}}  {one.seconds:6.2f} s  {one_line(one.message)}\n")
    wrong = sum(not one.passed for one in found)
    if wrong:
        fail(f"{wrong} of {len(found)} requests were not served as they should be", 1)


# --- inside -------------------------------------------------------------------------------------


def _kind(given: Mapping[str, str]) -> tuple[str, list[Any]]:
    named = [name for name, text in given.items() if text]
    if len(named) != 1:
        raise ConfigError(
            "a sweep is over one setting; give exactly one of "
            + ", ".join(f"--{name}" for name in _KINDS)
        )
    kind = named[0]
    text = given[kind]
    if kind == "evs":
        return kind, eo.numbers(text, float, kind)
    if kind in ("reasoning-budget", "max-tiles"):
        return kind, eo.numbers(text, int, kind)
    return kind, eo.words_of(text)


def _source(kind: str, words: Sequence[str], data: str, limit: int | None) -> Source:
    from nanovl.evals.source import Source

    usual = {"evs": "evs", "reasoning-budget": "budget", "tiling": "table7", "precision": "table8"}
    chosen = tuple(w for word in words for w in eo.words_of(word))
    if not chosen and kind not in usual:
        raise ConfigError("no benchmark named; nanovl eval list shows what there is")
    return Source(words=chosen or (usual[kind],), data=data, limit=limit)


def _settings(kind: str, points: Sequence[Any]) -> list[Setting]:
    from nanovl.evals.sweeps import budget_settings, option_settings

    if kind == "reasoning-budget":
        return budget_settings(points)
    name = {"evs": "pruning_rate", "tiling": "image_mode", "max-tiles": "max_tiles"}[kind]
    return option_settings(name, points)


def _asked(
    folder: RunFolder,
    source: Source,
    settings: Sequence[Setting],
    who: Any,
    runs: int | None,
    seed: int,
) -> None:
    with Progress() as progress:
        jobs = source.jobs(settings=settings, runs=runs, seed=seed, on_event=progress)
    tell_files(jobs)
    totals, _ = ask(folder, jobs, who)
    tell_asked(folder, totals)
    score_tasks(folder, [job.task for job in jobs], ("default",))


def _precisions(
    folder: RunFolder,
    source: Source,
    formats: Sequence[str],
    answerer: Any,
    runs: int | None,
    seed: int,
) -> list[Sweep]:
    """A run for every number format, in folders of their own."""
    from nanovl.evals.modes import MODES, Setting
    from nanovl.evals.runfolder import RunFolder as Folder
    from nanovl.evals.sweeps import runs_table

    setting = Setting(mode=MODES["mm_off"])
    made = {}
    for name in formats:
        own = made[name] = Folder(folder.path / name)
        _asked(own, source, [setting], answerer(None if name == "stored" else name), runs, seed)
    return [runs_table("precision", made, setting=setting.label)]


def _speeds(
    who: Any, rates: Sequence[float], concurrency: str, load: Sequence[str] | None
) -> list[Speed]:
    from nanovl.evals.answerers import ModelAnswerer
    from nanovl.evals.speed import EndpointTarget, ModelTarget, measure

    target: Any
    if isinstance(who, ModelAnswerer):
        target = ModelTarget(who.model)
    else:
        target = EndpointTarget(who.endpoint)
    with Progress() as progress:
        return measure(
            target,
            rates,
            concurrency=eo.numbers(concurrency, int, "concurrency"),
            load=_load(load),
            on_event=progress,
        )


def _load(words: Sequence[str] | None) -> Load:
    from nanovl.core.config import apply_overrides, from_dict, to_dict
    from nanovl.evals.speed import Load

    return from_dict(Load, apply_overrides(to_dict(Load()), words or ()), where="--load")


def _figures(
    kind: str, folder: RunFolder | None, points: Sequence[Any], speeds: Sequence[Speed]
) -> list[Sweep]:
    from nanovl.evals.sweeps import budget_sweep, evs_sweep, option_sweep

    if kind == "evs":
        return [evs_sweep(folder, points, speeds, paper=_figure_4(), hardware=_hardware(speeds))]
    assert folder is not None
    if kind == "reasoning-budget":
        return [budget_sweep(folder, points)]
    name = {"tiling": "image_mode", "max-tiles": "max_tiles"}[kind]
    return [replace(option_sweep(folder, name, points), name=kind)]


def _figure_4() -> Sequence[Mapping[str, Any]]:
    from nanovl.evals.registry import report_tables

    rows = report_tables()["figure4_evs"]["bf16"]
    return [{"pruned": f"{100 * row['pruning_rate']:g} %", **_without_rate(row)} for row in rows]


def _without_rate(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "pruning_rate"}


def _hardware(speeds: Sequence[Speed]) -> str:
    if not speeds:
        return ""
    import torch

    name = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    return f"{name}, {torch.get_num_threads()} threads"


def _write(sweeps: Sequence[Sweep], folder: Path, as_json: bool) -> None:
    from nanovl.evals.report_page import write_sweeps

    paths = write_sweeps(sweeps, folder)
    if as_json:
        write_json({one.name: [t.data() for t in one.tables] for one in sweeps})
        return
    for one in sweeps:
        for made in one.tables:
            sys.stdout.write(made.markdown() + "\n")
    for path in paths:
        note(str(path))
