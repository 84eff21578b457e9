"""What the experiments show: tables, a figure, and the report's numbers beside them.

Reads results and nothing else; a number that was not measured is an empty cell. Stages have a
module of their own, `reproduce_stages`.

Source: evaluation specification, section 13; report, Tables 7 and 8, Figures 3 and 4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from nanovl.evals.mini_suite import TASKS
from nanovl.evals.modes import UNRESTRICTED
from nanovl.evals.registry import report_tables
from nanovl.evals.tables import Cell as TableCell, Table
from tools.reproduce_cells import Cell, Results
from tools.reproduce_figures import Curve, Panel, figure
from tools.reproduce_shown import (
    TITLES,
    Shown,
    curve,
    in_order,
    named,
    number_at,
    side_by_side,
    with_ends,
)
from tools.reproduce_stages import stages

__all__ = ["EXPERIMENTS", "shown"]


def shown(name: str, results: Results) -> Shown | None:
    """Tables and figure of an experiment, None when nothing was measured.

    Args:
        name: One of `EXPERIMENTS`.
        results: Its cells.
    """
    return EXPERIMENTS[name](results) if results.cells else None


# --- Figure 4 -----------------------------------------------------------------------------------


def _evs(results: Results) -> Shown:
    columns = sorted(results.columns, key=float)
    heads = [_percent(column) for column in columns]
    tables = side_by_side(
        results, "Scores by pruning rate", columns, heads,
        notes=("Percent with 95 % intervals.", "Differences are to pruning off."),
    )  # fmt: skip
    tables += _speed(results, columns)
    figures = report_tables()["figure4_evs"]
    rows = figures["bf16"]
    tables.append(
        Table(
            title="The report's Figure 4 (BF16)",
            columns=("pruned", "LongVideoBench", "Video-MME", "TTFT ms", "x faster", "tokens/s"),
            rows=[
                [
                    _percent(row["pruning_rate"]),
                    row["longvideobench"],
                    row["videomme"],
                    row["ttft_ms"],
                    rows[0]["ttft_ms"] / row["ttft_ms"],
                    row["throughput_tok_s"],
                ]
                for row in rows
            ],
            notes=(figures["conditions"],),
        )
    )
    accuracy = [curve(results, row, columns) for row in results.rows if row in TITLES]
    panels = [
        Panel(title="Accuracy, %", axis="video tokens pruned", places=heads, curves=accuracy,
              floor=0.0),
        *(
            Panel(title=title, axis="video tokens pruned", places=heads,
                  curves=[curve(results, "speed", columns, name)], floor=0.0)
            for title, name in (("Time to first token, ms", "ttft_mean_ms"),
                                ("Throughput, tokens/s", "tokens_per_s"))
        ),
    ]  # fmt: skip
    return Shown(tables=tables, figure=figure("Pruning of video tokens", panels, columns=3))


def _percent(rate: str | float) -> str:
    return "off" if float(rate) == 0 else f"{100 * float(rate):g} %"


def _speed(results: Results, columns: Sequence[str]) -> list[Table]:
    cells = {column: results.cell("speed", column) for column in columns}
    known = {column: cell for column, cell in cells.items() if cell is not None}
    if not known:
        return []
    first = next(iter(known.values())).numbers["ttft_mean_ms"].value
    rows: list[list[TableCell]] = [
        [
            _percent(column),
            with_ends(cell.numbers["ttft_mean_ms"], 0),
            first / cell.numbers["ttft_mean_ms"].value,
            with_ends(cell.numbers["tokens_per_s"]),
            with_ends(cell.numbers["tpot_ms"]),
            cell.numbers["ttft_mean_ms"].n,
        ]
        for column, cell in known.items()
    ]
    load = next(iter(known.values())).inputs["load"]
    return [
        Table(
            title="Speed by pruning rate",
            columns=("pruned", "TTFT ms", "x faster", "tokens/s", "ms per token", "requests"),
            rows=rows,
            notes=(
                f"{load['frames']} frames of {load['width']}x{load['height']}, "
                f"{load['text_tokens']} tokens of text, {load['answer_tokens']} answer tokens, one "
                f"request at a time; median of {load['repeats']} repeats (smallest to largest).",
            ),
        )
    ]


# --- Figure 3 -----------------------------------------------------------------------------------


def _budget(results: Results) -> Shown:
    columns = sorted(results.columns, key=int)
    rows: list[list[TableCell]] = []
    for row in results.rows:
        for column in columns:
            cell = results.cell(row, column)
            if cell is None:
                continue
            notes = cell.notes
            rows.append(
                [
                    named(row, cell), _budget_name(column), cell.numbers["score"].n,
                    with_ends(cell.numbers["score"]), with_ends(number_at(cell, "gain"), sign=True),
                    notes.get("mean"), _share(notes.get("newline")), _share(notes.get("grace")),
                    _share(notes.get("truncated")),
                ]
            )  # fmt: skip
    table = Table(
        title="Scores by reasoning budget",
        columns=(
            "task", "budget", "questions", "score", "over reasoning off", "reasoning tokens",
            "ended at a line break %", "ended by grace %", "cut off %",
        ),
        rows=rows,
        notes=(
            "Percent with 95 % intervals; the difference is paired, on the same questions.",
            "off is greedy without reasoning, none is reasoning without a budget; every answer "
            "has at most the tokens of its task. The report's Figure 3 prints no numbers.",
        ),
    )  # fmt: skip
    panel = Panel(
        title="Score, %",
        axis="reasoning budget, tokens",
        places=[_budget_name(column) for column in columns],
        curves=[
            replace(one, name=one.name.removesuffix(", reasoning on"))
            for one in (curve(results, row, columns) for row in results.rows)
        ],
        floor=0.0,
    )
    return Shown(tables=[table], figure=figure("Scores by reasoning budget", [panel]))


def _budget_name(column: str) -> str:
    budget = int(column)
    return "off" if budget == 0 else "none" if budget >= UNRESTRICTED else f"{budget:,}"


def _share(value: float | None) -> float | None:
    return None if value is None else 100 * value


# --- Tables 7 and 8 -----------------------------------------------------------------------------


def _tiling(results: Results) -> Shown:
    columns = results.columns
    average = report_tables()["table7_average"]
    names = {
        "tiles": "tiling",
        "native": "native_resolution",
        "tiling-size-matching": "native_with_tiling_size_matching",
    }
    visual: list[TableCell] = ["visual tokens per question", None]
    for column in columns:
        known = [c.notes.get("visual") for c in results.cells if c.column == column]
        counted = [v for v in known if v is not None]
        visual.append(sum(counted) / len(counted) if counted else None)
    tables = side_by_side(
        results, "Scores by the way pictures are cut", columns, columns,
        notes=(
            "Percent with 95 % intervals.",
            "Differences are to the first column.",
            _models(results),
        ),
    )  # fmt: skip
    tables.append(
        Table(
            title="Visual tokens, and the report's Table 7",
            columns=("", " ", *columns),
            rows=[
                visual,
                ["report, average of ten benchmarks", None,
                 *(average.get(names.get(column, "")) for column in columns)],
            ],
            notes=("The report trained a model for each; one model may be asked in all three.",),
        )
    )  # fmt: skip
    return Shown(tables=tables, figure=figure("Ways to cut pictures", _by_column(results, columns)))


def _models(results: Results) -> str:
    by_column = {
        c.column: f"{c.notes.get('model')} ({c.inputs['model'][:8]})" for c in results.cells
    }
    if len(set(by_column.values())) == 1:
        return f"One model throughout: {next(iter(by_column.values()))}."
    return "Models: " + ", ".join(f"{column} {model}" for column, model in by_column.items()) + "."


def _precision(results: Results) -> Shown:
    order = ("bf16", "fp8", "int8", "int4", "nvfp4", "nvfp4-qad")
    columns = in_order(results.columns, order)
    table8 = report_tables()["table8_precision"]
    names = {"BF16": "bf16", "FP8-PTQ": "fp8", "NVFP4-PTQ": "nvfp4", "NVFP4-QAD": "nvfp4-qad"}
    tables = side_by_side(
        results, "Scores by number format", columns, columns,
        notes=(
            "Percent with 95 % intervals.",
            "Differences are to the first column.",
            "bf16, int8, int4: weights; fp8, nvfp4: weights and activations of the decoder's "
            "linears, with calibrated ranges.",
            _models(results),
        ),
    )  # fmt: skip
    tables.append(
        Table(
            title="The report's Table 8",
            columns=("format", *table8["columns"]),
            rows=[[f"{name} ({names[name]})", *row] for name, row in table8["rows"].items()],
            digits=2,
        )
    )
    return Shown(tables=tables, figure=figure("Number formats", _by_column(results, columns)))


def _by_column(results: Results, columns: Sequence[str]) -> list[Panel]:
    rows = in_order([r for r in results.rows if r in TITLES], [t.id for t in TASKS])
    groups: Mapping[bool, list[str]] = {True: [], False: []}
    for row in rows:
        cell = next(c for c in results.cells if c.row == row)
        groups[bool(cell.notes.get("error"))].append(row)
    places = [column.replace("tiling-size-matching", "size matching") for column in columns]
    return [
        Panel(
            title=title,
            axis="",
            places=places,
            curves=[curve(results, row, columns) for row in groups[error]],
            floor=0.0,
            joined=False,
        )
        for title, error in (("Scores, %", False), ("Errors, % (lower is better)", True))
    ]


# --- training -----------------------------------------------------------------------------------


def _packing(results: Results) -> Shown:
    rows: list[list[TableCell]] = []
    for cell in results.cells:
        numbers = cell.numbers
        rows.append(
            [
                cell.row, with_ends(numbers["tokens_per_s"], 0),
                *(f"{numbers[name].value:.2f}" for name in ("ratio", "positions_per_token")),
                f"{numbers['fill'].value:.3f}", f"{numbers['samples_mean'].value:.1f}",
                *(f"{numbers[f'imbalance_{name}'].value:.2f}"
                  for name in ("tokens", "attention", "tiles")),
            ]
        )  # fmt: skip
    notes = results.cells[0].notes
    table = Table(
        title="Packing",
        columns=(
            "method", "real tokens/s", "x padded to the longest", "positions per real token",
            "fill", "samples per pack", "imbalance: tokens", "attention", "tiles",
        ),
        rows=rows,
        notes=(
            f"Forward and backward of {notes['preset']}, packs of {notes['seq_len']:,} tokens, "
            f"{notes['data']}; median of the repeats (smallest to largest). Fill and imbalance "
            f"(largest over mean, of packs used at the same time) are of a plan of "
            f"{notes['buffer']:,} samples.",
        ),
    )  # fmt: skip
    places = [row.replace("padded to ", "to ").replace("packed, ", "") for row in results.rows]

    def panel(title: str, name: str) -> Panel:
        numbers = [c.numbers[name] for c in results.cells]
        ends = [None if n.low is None or n.high is None else (n.low, n.high) for n in numbers]
        curve = Curve(name=name.replace("_", " "), values=[n.value for n in numbers], ends=ends)
        return Panel(title=title, axis="", places=places, curves=[curve], floor=0.0, joined=False)

    panels = [panel("Real tokens per second", "tokens_per_s"), panel("Fill", "fill")]
    return Shown(tables=[table], figure=figure("Packing", panels))


def _loss(results: Results) -> Shown:
    rows: list[list[TableCell]] = []
    for row in results.rows:
        square, token = (results.cell(row, column) for column in ("square", "token"))
        if square is None or token is None:
            continue
        rows.append(
            [
                row if row == "all" else f"{row} tokens", square.numbers["loss"].n,
                with_ends(square.numbers["loss"], 3), with_ends(token.numbers["loss"], 3),
                with_ends(token.numbers.get("change"), 3, sign=True),
            ]
        )  # fmt: skip
    inputs = results.cells[0].inputs
    table = Table(
        title="Held-out loss by length of the answer",
        columns=("answers of", "answers", "square-averaged", "token mean", "token less square"),
        rows=rows,
        notes=(
            f"Two runs of {inputs['updates']:,} updates from the same weights over the same packs. "
            "Nats per token, mean over answers, with 95 % intervals; the difference is paired.",
        ),
    )
    lengths = [row for row in results.rows if row != "all"]
    flipped = [
        Curve(
            name={"square": "square-averaged", "token": "token mean"}[column],
            values=[_value(results.cell(row, column)) for row in lengths],
            ends=[_loss_ends(results.cell(row, column)) for row in lengths],
        )
        for column in ("square", "token")
    ]
    panel = Panel(
        title="Held-out loss, nats per token", axis="tokens of the answer", places=lengths,
        curves=flipped,
    )  # fmt: skip
    return Shown(tables=[table], figure=figure("Loss reductions", [panel]))


def _value(cell: Cell | None) -> float | None:
    return None if cell is None else cell.numbers["loss"].value


def _loss_ends(cell: Cell | None) -> tuple[float, float] | None:
    number = None if cell is None else cell.numbers["loss"]
    if number is None or number.low is None or number.high is None:
        return None
    return number.low, number.high


def _fp8(results: Results) -> Shown:
    rows: list[list[TableCell]] = [
        [
            cell.row,
            cell.numbers["loss"].n,
            with_ends(cell.numbers["loss"], 4),
            with_ends(cell.numbers.get("distance"), 3),
        ]
        for cell in results.cells
    ]
    notes = results.cells[0].notes
    table = Table(
        title="FP8 beside BF16",
        columns=("precision", "updates", "loss", "distance from bf16 %"),
        rows=rows,
        notes=(
            f"The last of {notes['updates']:,} updates; the distance is the mean absolute "
            f"difference of the losses over their mean and has to be at most {notes['bound']:g} %.",
        ),
    )
    return Shown(tables=[table])  # the benchmark drew the curves


EXPERIMENTS: Mapping[str, Callable[[Results], Shown]] = {
    "stages": stages,
    "evs": _evs,
    "budget": _budget,
    "tiling": _tiling,
    "precision": _precision,
    "packing": _packing,
    "loss": _loss,
    "fp8": _fp8,
}
"""Every experiment, in the order of the page."""
