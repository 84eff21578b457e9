"""`nanovl plan`: what a training recipe costs, before anything is run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nanovl.cli import options
from nanovl.cli.console import guarded, note, one_line, write_json
from nanovl.core.config import to_dict

if TYPE_CHECKING:
    from nanovl.train.plan import Plan

__all__ = ["plan"]

_MEMORY = {
    "weights": "weights, this rank's shard",
    "gradients": "gradients, this rank's shard",
    "optimizer": "optimizer, this rank's shard",
    "gathered": "layers at work, whole",
    "teacher": "teacher, this rank's shard",
    "fp8_state": "FP8 histories and scales",
    "activations": "activations (estimate)",
    "pixels": "pixels",
    "logits": "one chunk of logits",
}
_WORK = {
    "layers": ("decoder layers", "llm"),
    "head": ("output layer", "llm"),
    "scan": ("state space scan", "llm"),
    "attention": ("attention inside samples", "llm"),
    "vision": ("vision encoder", "vision"),
    "projector": ("projector", "projector"),
}


@guarded
def plan(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RECIPE",
            help="A recipe file or a bundled recipe, then settings to change as KEY=VALUE. "
            "Without it, the bundled recipes are listed.",
        ),
    ] = None,
    gpus: Annotated[
        int | None,
        typer.Option(
            "--gpus", metavar="N", help="Devices. Left out: as in the report, else the fewest."
        ),
    ] = None,
    gpu: Annotated[
        str,
        typer.Option("--gpu", metavar="NAME", help="a100, b200, cpu, h100, h200 or l40s."),
    ] = "h100",
    mfu: Annotated[
        float | None,
        typer.Option(
            "--mfu",
            metavar="SHARE",
            help="Share of the bf16 peak that training reaches. Left out: 0.17, on a CPU 0.25.",
        ),
    ] = None,
    peak: Annotated[
        float | None,
        typer.Option(
            "--peak", metavar="TFLOPS", help="bf16 peak of one device instead of the known one."
        ),
    ] = None,
    sample_tokens: Annotated[
        float | None,
        typer.Option("--sample-tokens", metavar="N", help="Mean length of the samples."),
    ] = None,
    visual_share: Annotated[
        float | None,
        typer.Option(
            "--visual-share", metavar="SHARE", help="Share of tokens that stand for pictures."
        ),
    ] = None,
    json: options.Json = False,
) -> None:
    """Estimate memory, work and time of a training recipe, without running anything.

    \b
    Examples:
      nanovl plan mini/stage1 --gpu cpu
      nanovl plan stage1 --gpus 512 --gpu h100 --mfu 0.17 parallel.cp=4

    For the 12B stages the report's own figures stand beside the estimate.
    """
    from nanovl.train import plan as planning
    from nanovl.train.config import load_recipe

    if not words:
        _list(json)
        return
    recipe = load_recipe(words[0], words[1:])
    if gpus is None:
        reported = planning.REPORTED.get(recipe.name)
        fewest = (
            recipe.parallel.cp * recipe.parallel.dp_replicate * max(1, recipe.parallel.dp_shard)
        )
        gpus = reported.gpus if reported is not None and gpu != "cpu" else fewest
    card = planning.find_card(gpu, None if peak is None else peak * 1e12)
    found = planning.plan(
        recipe,
        gpus=gpus,
        card=card,
        mfu=mfu,
        sample_tokens=sample_tokens,
        visual_share=visual_share,
    )
    if json:
        write_json(_document(found))
    else:
        _show(found)
    for warning in found.warnings:
        note(f"warning: {one_line(warning)}")


def _document(found: Plan) -> dict[str, Any]:
    derived = ("tokens", "tokens_per_s", "tokens_per_s_per_gpu", "step_s", "hours", "gpu_hours")
    document = to_dict(found) | {name: getattr(found, name) for name in derived}
    document["memory"]["total"] = found.memory.total
    if found.reported is not None:
        more = ("gpus", "gpu_hours", "tokens_per_s", "tokens_per_s_per_gpu")
        document["reported"] |= {name: getattr(found.reported, name) for name in more}
        document["reported"]["mfu"] = found.reported_mfu
    return document


def _list(as_json: bool) -> None:
    from nanovl.train.config import load_recipe, num_updates, recipe_names

    recipes = {name: load_recipe(name) for name in recipe_names()}
    if as_json:
        write_json({name: to_dict(recipe) for name, recipe in recipes.items()})
        return
    rows = [
        (
            name,
            f"{r.data.seq_len:,}",
            f"{r.batch.global_:,} {'packs' if r.packing else 'samples'}",
            f"{num_updates(r):,}",
            f"{r.optim.lr:.0e}",
            r.description,
        )
        for name, r in recipes.items()
    ]
    from rich.console import Console

    head = ("recipe", "tokens", "batch", "updates", "rate", "")
    Console(highlight=False).print(_table(head, rows, right=(1, 2, 3, 4)))


def _show(found: Plan) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    console.print(f"[bold]{found.name}[/bold]  {found.description}")
    console.print(f"[dim]{_assumptions(found)}[/dim]")
    left = Table.grid()
    right = Table.grid()
    left.add_row(_parameters(found))
    left.add_row(_memory(found))
    right.add_row(_work(found))
    right.add_row(_time(found))
    if console.width >= 96:
        both = Table.grid(padding=(0, 4))
        both.add_row(left, right)
        console.print(both)
    else:
        console.print(left, right)


def _assumptions(found: Plan) -> str:
    mix, card = found.mix, found.card
    return (
        f"assuming {mix.sample_tokens:,.0f} tokens per sample, {mix.visual_share:.0%} of tokens "
        f"visual, {found.mfu:.1%} of {card.bf16_flops / 1e12:,.4g} TFLOP/s; {found.gpus} x "
        f"{card.name} = {found.dp_replicate} replicas x {found.dp_shard} shards x {found.cp} parts "
        f"of a pack, {found.micro_batches or '?'} rounds per update"
    )


def _parameters(found: Plan) -> Any:
    trained = [(n if k in found.trainable else 0) for k, n in found.parameters.items()]
    rows = [
        (name, _count(size), _count(n) if n else "fixed")
        for (name, size), n in zip(found.parameters.items(), trained, strict=True)
    ]
    rows.append(("together", _count(sum(found.parameters.values())), _count(sum(trained))))
    return _table(("parameters", "all", "trained"), rows, total=True)


def _memory(found: Plan) -> Any:
    rows = [(_MEMORY[k], _size(v)) for k, v in found.memory.parts().items() if v]
    rows.append(("together", _size(found.memory.total)))
    rows.append((f"of {found.card.name}", _size(found.card.memory_bytes)))
    return _table(("memory per rank", ""), rows, total=True)


def _work(found: Plan) -> Any:
    big = found.flops_per_token >= 1e10
    unit, size = ("GFLOP", 1e9) if big else ("MFLOP", 1e6)
    rows = []
    for key, (text, module) in _WORK.items():
        forward, factor = found.forward_per_token[key], found.factors[module]
        if forward:
            values = (f"{forward / size:.2f}", f"x {factor}", f"{factor * forward / size:.2f}")
            rows.append((text, *values))
    if found.teacher:
        llm = sum(found.forward_per_token[k] for k, (_, m) in _WORK.items() if m == "llm")
        rows.append(("teacher", f"{llm / size:.2f}", "x 1", f"{llm / size:.2f}"))
    forward = sum(found.forward_per_token.values())
    rows.append(("together", f"{forward / size:.2f}", "", f"{found.flops_per_token / size:.2f}"))
    return _table((f"{unit} per token", "forward", "", "training"), rows, total=True)


def _time(found: Plan) -> Any:
    r, card = found.reported, found.card
    rows = [
        ("updates", f"{found.updates:,}", ""),
        ("tokens per update", _count(found.tokens_per_update), ""),
        ("samples per update", f"{found.samples_per_update:,.0f}", ""),
        ("tokens", _count(found.tokens), _count(r.tokens) if r else ""),
        ("devices", f"{found.gpus:,}", f"{r.nodes} x 8" if r else ""),
        ("share of bf16 peak", f"{found.mfu:.1%}", f"{found.reported_mfu:.1%}" if r else ""),
    ]
    if found.fp8 and card.fp8_flops:
        ratio = card.bf16_flops / card.fp8_flops
        share = f"{(found.reported_mfu or 0) / 2:.1%}" if r else ""
        rows.append(("share of FP8 peak", f"{found.mfu * ratio:.1%}", share))
    rows += [
        ("tokens/s", _count(found.tokens_per_s), _count(r.tokens_per_s) if r else ""),
        (
            "tokens/s per device",
            f"{found.tokens_per_s_per_gpu:,.0f}",
            f"{r.tokens_per_s_per_gpu:,.0f}" if r else "",
        ),
        ("seconds per update", f"{found.step_s:,.2f}", ""),
        ("hours", f"{found.hours:,.1f}", f"{r.hours:,.1f}" if r else ""),
        ("device-hours", f"{found.gpu_hours:,.0f}", f"{r.gpu_hours:,.0f}" if r else ""),
    ]
    if r is None:
        return _table(("time", "estimate"), [row[:2] for row in rows])
    return _table(("time", "estimate", "report"), rows)


def _table(
    head: tuple[str, ...],
    rows: Iterable[tuple[str, ...]],
    *,
    total: bool = False,
    right: tuple[int, ...] | None = None,
) -> Any:
    from rich import box
    from rich.table import Table

    rows = list(rows)
    right = tuple(range(1, len(head))) if right is None else right
    table = Table(box=box.SIMPLE_HEAD, header_style="bold cyan", pad_edge=False)
    for index, name in enumerate(head):
        table.add_column(
            name,
            justify="right" if index in right else "left",
            no_wrap=index < len(head) - 1 or index in right,
        )
    for row in rows:
        table.add_row(*row, style="bold" if total and row[0] == "together" else None)
    return table


def _count(n: float) -> str:
    for size, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K")):
        if n >= size:
            return f"{n / size:.2f} {unit}"
    return f"{n:,.0f}"


def _size(n: float) -> str:
    for size, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "KB")):
        if n >= size:
            return f"{n / size:.2f} {unit}"
    return f"{n:.0f} B"
