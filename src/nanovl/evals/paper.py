"""The report's printed numbers beside ours: which cell, and whether it may be compared.

A difference is only given where metric, level, split and number of questions agree; everything else
says why not. Computes no score.

Source: evaluation specification, sections 1.1, 7.2 and 11.2 (paper column).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nanovl.evals.modes import Setting
from nanovl.evals.registry import Benchmark, report_tables
from nanovl.evals.scorefiles import Line

__all__ = [
    "FINAL_STAGE",
    "Comparable",
    "PaperCell",
    "column_title",
    "comparable",
    "explanations",
    "implied",
    "other_cells",
    "our_cell",
    "our_number",
    "paper_cells",
    "reachability",
    "stage_numbers",
    "subs_of",
]

FINAL_STAGE = "stage4"
_OURS = ("reasoning_off", "reasoning_on")
_VAL = "table4_reasoning_off"
_MAIN = "main"
# Averages of something else than rights and wrongs of single questions.
_NO_SHARE = frozenset(
    ("anls", "charxiv", "hallusion", "mlvu_mavg", "mmlongbench", "ocr_reasoning", "ocrbench_v2",
     "pope_f1", "ruler_mean13", "table_alignment_similarity", "vcr", "vqa_accuracy",
     "wildvision_winrate", "mcq_mmmu", "cvbench")
)  # fmt: skip
_ALIASES = {
    "zh": ("cn", "chinese", "ch"),
    "en": ("english",),
    "em": ("exact_match", "exact"),
    "subtask_accuracy": ("subtask",),
}
# The score itself.
_SAME = (_MAIN, "average", "problem_accuracy", "prompt_strict")


@dataclass(frozen=True, kw_only=True)
class PaperCell:
    """A number of the report.

    Attributes:
        table: "table3", ...
        sub: "main", or a language or part of the benchmark.
        column: Whose number.
        value: In percent; None where the report has none.
        starred: Computed by the report's authors, not by the model's.
        repaired: Whether the transcription was corrected.
    """

    table: str
    sub: str
    column: str
    value: float | None
    starred: bool = False
    repaired: bool = False

    @property
    def shown(self) -> str:
        """As people read it: * for the authors' own measurement, + for a repaired cell."""
        if self.value is None:
            return ""
        return f"{self.value:g}{'*' if self.starred else ''}{'+' if self.repaired else ''}"


@dataclass(frozen=True)
class Comparable:
    """Whether a number may be compared with the report's, and why not."""

    yes: bool
    reason: str = ""


def paper_cells(benchmark: Benchmark, part: str = "") -> list[PaperCell]:
    """All numbers the report prints for a benchmark.

    Args:
        benchmark: Which.
        part: A part that is a number of its own; "" takes all.
    """
    flags = {(f.get("table"), f.get("sub", _MAIN), f.get("column")) for f in benchmark.ocr_flags}
    found = []
    for table, content in benchmark.paper.items():
        nested = {k: v for k, v in content.items() if isinstance(v, Mapping)}
        subs: Mapping[str, Mapping[str, Any]] = nested or {_MAIN: content}
        for sub, columns in subs.items():
            if part and sub not in (part, _MAIN):
                continue
            starred = columns.get("starred") or ()
            for column, value in columns.items():
                if column in ("starred", "split"):
                    continue
                found.append(
                    PaperCell(
                        table=table,
                        sub=sub,
                        column=column,
                        value=None if value is None else float(value),
                        starred=column in starred,
                        repaired=(table, sub, column) in flags,
                    )
                )
    return found


def our_cell(
    cells: Sequence[PaperCell], benchmark: Benchmark, setting: Setting, sub: str
) -> PaperCell | None:
    """The cell our number stands beside: the released model in the same mode.

    Benchmarks whose test answers are hidden are compared on the validation split of Table 4.
    """
    column = f"reasoning_{setting.mode.reasoning}"
    if benchmark.offline_fidelity == "exact_on_val":
        table, column = _VAL, FINAL_STAGE
        if setting.mode.reasoning == "on":
            return None
    elif benchmark.category == "text":
        table, column = "table6_reasoning_on", FINAL_STAGE
    else:
        table = "table5" if "table5" in benchmark.paper else "table3"
    for cell in cells:
        if (cell.table, cell.sub, cell.column) == (table, sub, column):
            return cell if cell.value is not None else None
    return None


def other_cells(cells: Sequence[PaperCell], sub: str) -> list[PaperCell]:
    """Numbers of other models, from Tables 3 and 5."""
    return [
        cell
        for cell in cells
        if cell.table in ("table3", "table5")
        and cell.sub == sub
        and cell.column not in _OURS
        and cell.value is not None
    ]


def subs_of(cells: Sequence[PaperCell], benchmark: Benchmark, part: str) -> list[str]:
    """Which numbers of a benchmark the report prints apart."""
    main = [c for c in cells if c.table in ("table3", "table5", "table6_reasoning_on")]
    names = list(dict.fromkeys(c.sub for c in main or cells))
    return [part] if part in names else names or [_MAIN]


def our_number(line: Line, sub: str, *, part: str = "", best: float = 1.0) -> float | None:
    """Our number for a part of a benchmark, in percent; None when it was not computed.

    Args:
        line: Our score.
        sub: "main" or what the report calls the part.
        part: Part the line itself is the score of.
        best: Largest score of the metric.
    """
    if sub in (*_SAME, part):
        return line.score
    wanted = {sub, *_ALIASES.get(sub, ())}
    percent = 100.0 / best
    for numbers in (line.parts, line.groups):
        for name, value in numbers.items():
            if name.rpartition("/")[2].casefold() in wanted or name.casefold() in wanted:
                return value * percent
    return None


def comparable(benchmark: Benchmark, line: Line, *, total: int, part: str = "") -> Comparable:
    """Whether a score may be set against the report's.

    Args:
        benchmark: Which.
        line: Our score.
        total: Questions the files hold.
        part: Part that was scored.
    """
    fidelity = benchmark.offline_fidelity
    if line.level == "judge":
        if benchmark.needs_judge == "no":
            return Comparable(False, "the report's metric has no judge")
    elif fidelity in ("approx", "proxy", "proxy_for_free_form"):
        return Comparable(False, f"{fidelity}: another quantity without a judge")
    elif fidelity == "none":
        return Comparable(False, "needs a judge")
    elif line.level != "rules":
        return Comparable(False, "the report's harness has rules alone")
    if line.samples < total:
        return Comparable(False, f"a subset: {line.samples:,} of {total:,} questions")
    parts = [part] if part in benchmark.parts else list(benchmark.parts)
    expected = benchmark.expected(parts)
    if expected is not None and benchmark.count_by == "samples" and total != expected:
        return Comparable(False, f"{total:,} questions, the benchmark has {expected:,}")
    if not line.is_complete:
        return Comparable(
            False, f"{line.answered:,} of {line.samples * line.runs:,} answers are there"
        )
    return Comparable(True)


def implied(value: float, total: int, *, digits: int = 1) -> list[int]:
    """Numbers of right answers of `total` that a printed percentage can be.

    Args:
        value: As printed.
        total: Questions times runs.
        digits: Decimals that are printed.

    Returns:
        All of them; empty when the percentage cannot be reached.
    """
    half = 0.5 * 10.0**-digits + 1e-9
    first = max(0, int((value - half) * total / 100) - 1)
    last = min(total, int((value + half) * total / 100) + 1)
    return [k for k in range(first, last + 1) if abs(100 * k / total - value) <= half]


def reachability(cell: PaperCell, benchmark: Benchmark) -> str:
    """What a printed number says about the number of questions, in words; "" when nothing."""
    total = _items(benchmark, cell.sub)
    if cell.value is None or total is None or benchmark.metric in _NO_SHARE:
        return ""
    runs = benchmark.runs
    counts = implied(cell.value, total * runs)
    of = f"{total * runs:,}" + (f" ({runs} runs)" if runs > 1 else "")
    if not counts:
        return f"not reachable with {of}"
    if len(counts) == 1:
        return f"{counts[0]:,} of {of}"
    return f"{counts[0]:,} to {counts[-1]:,} of {of}"


def _items(benchmark: Benchmark, sub: str) -> int | None:
    if sub == "subtask_accuracy":
        return benchmark.n_subtasks
    if sub == "instruction_strict":
        return 834
    if isinstance(benchmark.n_items, Mapping):
        return benchmark.n_items.get(sub)
    return benchmark.n_items


def stage_numbers(benchmark: Benchmark) -> dict[str, float | None]:
    """The report's numbers by stage (Tables 4 and 6), of the first sub-score."""
    for table in (_VAL, "table6_reasoning_on"):
        content = benchmark.paper.get(table)
        if content:
            nested = [v for v in content.values() if isinstance(v, Mapping)]
            chosen = nested[0] if nested else content
            return {k: v for k, v in chosen.items() if k.startswith("stage")}
    return {}


def column_title(column: str) -> str:
    """Name of a column for people."""
    return str(report_tables()["columns"].get(column, column))


def explanations(benchmark: Benchmark, line: Line, setting: Setting) -> list[str]:
    """What a difference to the report may come from."""
    found = ["prompts: the report does not print them"]
    if benchmark.needs_judge != "no":
        found.append(
            "judge: another one than the report's" if line.level == "judge" else "judge: none here"
        )
    if benchmark.modality == "video":
        found.append("frames: decoder and choice of frames")
    if setting.options:
        found.append("input: " + ", ".join(f"{k}={v}" for k, v in setting.options.items()))
    if line.profile != "default":
        found.append(f"profile: {line.profile}")
    return found
