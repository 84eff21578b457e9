"""The tables of a report: scores, other models, bars, peers, health, levels, contamination.

Takes rows and what scoring wrote; computes no score and knows neither Markdown nor HTML.

Source: evaluation specification, sections 1.1, 7.2 and 11.2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nanovl.evals.baselines import BASELINES
from nanovl.evals.contamination import Contamination
from nanovl.evals.health import COUNTERS, colour
from nanovl.evals.paper import column_title, paper_cells, reachability
from nanovl.evals.report_bars import bars_of
from nanovl.evals.report_rows import LOWER, Row
from nanovl.evals.scorefiles import Line
from nanovl.evals.tables import Cell, Table
from nanovl.evals.tasks import benchmark_of, named

__all__ = ["agreement", "bars", "contaminated", "health", "others", "peers", "reachable", "scores"]

Summaries = Mapping[str, Mapping[str, Any]]

_BIASED = "+ a cell of the transcription was repaired; * measured by the report's authors"
_PLACES = ("best without a model", "second", "third")
_PEERS = {
    "majority": "the most frequent answer of the same set, an upper bound of constant answers",
    "tesseract": "the text as Tesseract reads it",
}


def scores(rows: Sequence[Row], files: Sequence[str] = ()) -> Table:
    """Our numbers, and the report's of the same model where there are any.

    Args:
        rows: Of the report.
        files: What is wrong with the files, said below the table.
    """
    cells: list[list[Cell]] = []
    shades: dict[tuple[int, int], str] = {}
    for number, row in enumerate(rows):
        line = row.line
        interval = (
            ""
            if line.interval is None or row.sub != "main"
            else f"{line.interval.low:.1f} to {line.interval.high:.1f}"
        )
        cells.append(
            [
                row.label,
                row.score,
                interval,
                row.unit,
                line.setting,
                _level(line),
                None if row.extended == row.score else row.extended,
                f"{line.answered:,}/{line.samples * line.runs:,}",
                row.ours.shown if row.ours and not row.reason else "",
                "" if row.difference is None else f"{row.difference:+.1f}",
                row.ours.shown if row.ours and row.reason else "",
                row.reason,
            ]
        )
        if not line.is_complete:
            shades[number, 7] = "yellow"
        if interval and row.difference is not None and row.ours is not None:
            assert line.interval is not None
            assert row.ours.value is not None
            inside = line.interval.low <= row.ours.value <= line.interval.high
            shades[number, 9] = "good" if inside else "bad"
    return Table(
        title="Scores",
        columns=(
            "benchmark", "score", "95 %", "metric", "setting", "decided by", "extended",
            "answers", "report", "difference", "report (not comparable)", "why",
        ),
        rows=cells,
        shades=shades,
        notes=[*_score_notes(rows), *files],
    )  # fmt: skip


def _score_notes(rows: Sequence[Row]) -> list[str]:
    printed = any(row.ours or row.others for row in rows)
    notes = ["All scores in percent" + (f"; {_BIASED}." if printed else ".")]
    if any(row.is_error for row in rows):
        notes.append(f"{LOWER}: an error, lower is better; it can be more than 100 %.")
    if any(row.extended not in (None, row.score) for row in rows):
        notes.append("Extended: with nanovl's own extraction of the answer, where that differs.")
    seen = dict.fromkeys(
        text for row in rows if row.difference is not None for text in row.explained
    )
    if seen:
        notes.append("A difference can come from: " + "; ".join(seen) + ".")
    lenient = [
        f"{row.name}: {row.line.unscored:,} not scored (strict {row.line.score:.1f}, lenient "
        f"{row.line.lenient:.1f})"
        for row in rows
        if row.line.unscored
    ]
    spread = [
        f"{row.name}, {row.line.setting}: {row.line.runs} runs, standard deviation "
        f"{row.line.std:.2f}, standard error {row.line.se:.2f}"
        for row in rows
        if row.line.std is not None and row.line.se is not None
    ]
    return [*notes, *dict.fromkeys(lenient), *dict.fromkeys(spread)]


def bars(rows: Sequence[Row], summaries: Summaries) -> list[Table]:
    """What the local suite's tasks must reach and aim at."""
    found = bars_of(rows, summaries)
    if not found:
        return []
    told = {"aim": "aim met", "must": "must met", "none": "not met"}
    cells: list[list[Cell]] = []
    shades: dict[tuple[int, int], str] = {}
    for number, bar in enumerate(found):
        count = f"{bar.asked:,}" + ("" if bar.asked == bar.total else f" of {bar.total:,}")
        cells.append(
            [bar.title, bar.score, bar.must, bar.aim, told[bar.reached], bar.unit, count, bar.id]
        )
        shades[number, 4] = "bad" if bar.reached == "none" else "good"
    notes = [
        f"{sum(b.reached == 'aim' for b in found)} aims met, "
        f"{sum(b.reached == 'must' for b in found)} more reach what they must, "
        f"{sum(b.reached == 'none' for b in found)} not met."
    ]
    if any(bar.asked < bar.total for bar in found):
        notes.append("Bars are meant for all questions of a task; here only some were asked.")
    return [
        Table(
            title="Bars of the local suite",
            columns=("benchmark", "score", "must", "aim", "met", "metric", "questions", "task"),
            rows=cells,
            shades=shades,
            notes=notes,
        )
    ]


def others(rows: Sequence[Row]) -> list[Table]:
    """Other models' numbers as the report prints them."""
    columns = list(dict.fromkeys(c.column for row in rows for c in row.others))
    if not columns:
        return []
    cells: list[list[Cell]] = []
    for row in rows:
        if not row.others:
            continue
        shown = {cell.column: cell.shown for cell in row.others}
        ours = row.ours.shown if row.ours else ""
        cells.append(
            [row.label, row.line.setting, row.score, ours, *(shown.get(c, "") for c in columns)]
        )
    return [
        Table(
            title="Other models, as the report prints them",
            columns=("benchmark", "setting", "this run", "report", *map(column_title, columns)),
            rows=cells,
            notes=("Other models' numbers were made with other prompts and judges.",),
        )
    ]


def peers(rows: Sequence[Row], summaries: Summaries) -> list[Table]:
    """What answers that need no model get, the best first."""
    names = dict.fromkeys(n for row in rows for n, _ in row.ranked_peers)
    if not names:
        return []
    cells: list[list[Cell]] = []
    shades: dict[tuple[int, int], str] = {}
    places = max(len(row.peers) for row in rows)
    for row in rows:
        ranked = row.ranked_peers
        if not ranked:
            continue
        shades[len(cells), 1] = "good" if row.is_better(ranked[0][1]) else "bad"
        shown = [f"{name} {score:.1f}" for name, score in ranked]
        cells.append([row.label, row.score, *shown, *[""] * (places - len(shown)), row.unit])
    heads = [_PLACES[n] if n < len(_PLACES) else f"no. {n + 1}" for n in range(places)]
    missing = {
        f"{name} is missing: {why}"
        for summary in summaries.values()
        for name, why in (summary.get("peers_missing") or {}).items()
    }
    return [
        Table(
            title="Answers that need no model",
            columns=("benchmark", "this run", *heads, "metric"),
            rows=cells,
            shades=shades,
            notes=[
                "Same questions, same metric. Green: this run is better than all of them.",
                "; ".join(f"{name}: {_peer(name)}" for name in sorted(names)) + ".",
                *sorted(missing),
            ],
        )
    ]


def _peer(name: str) -> str:
    return _PEERS.get(name) or (BASELINES[name].title if name in BASELINES else "no model")


def health(summaries: Summaries) -> Table:
    """What went wrong with answers, whatever their score."""
    entries = [
        (name, setting, facts)
        for name, summary in summaries.items()
        for setting, facts in summary["settings"].items()
    ]
    counters = [c for c in COUNTERS if any(facts["health"].get(c) for _, _, facts in entries)]
    clean = [c.replace("_", " ") for c in COUNTERS if c not in counters]
    cells: list[list[Cell]] = []
    shades: dict[tuple[int, int], str] = {}
    for name, setting, facts in entries:
        row: list[Cell] = [named(name), setting, facts["answers"]]
        for counter in counters:
            count = facts["health"].get(counter, 0)
            shade = colour(count / facts["answers"] if facts["answers"] else 0.0)
            if shade != "green":
                shades[len(cells), len(row)] = shade
            row.append(count)
        errors = facts.get("metric_errors", 0)
        if errors:
            shades[len(cells), len(row)] = "red"
        row += [errors or None, (facts.get("tokens") or {}).get("completion", {}).get("mean")]
        cells.append(row)
    return Table(
        title="Health",
        columns=(
            "benchmark", "setting", "answers", *(c.replace("_", " ") for c in counters),
            "metric errors", "mean tokens",
        ),
        rows=cells,
        shades=shades,
        notes=[
            "Answers with a fault; more than 2 % is yellow, more than 10 % red.",
            *([f"None anywhere: {', '.join(clean)}."] if clean else []),
        ],
    )  # fmt: skip


def agreement(summaries: Summaries) -> list[Table]:
    """Where levels of scoring differ; one sentence where they do not."""
    columns = ("same", "first higher", "second higher", "not scored")
    cells: list[list[Cell]] = []
    equal: dict[str, int] = {}
    for name, summary in summaries.items():
        for setting, facts in summary["settings"].items():
            for pair, found in (facts.get("agreement") or {}).items():
                if sum(found.values()) == found["same"]:
                    equal[pair] = equal.get(pair, 0) + 1
                else:
                    cells.append([named(name), setting, pair, *found.values()])
    if not cells and not equal:
        return []
    notes = ["Up to 200 answers of each benchmark are compared."] if cells else []
    for pair, count in equal.items():
        first, _, second = pair.partition("/")
        where = f"all {count:,}" if not cells else f"the other {count:,}"
        notes.append(f"{first} and {second} agree on every answer compared of {where} settings.")
    return [
        Table(
            title="Agreement of the levels",
            columns=("benchmark", "setting", "levels", *columns),
            rows=cells,
            notes=notes,
        )
    ]


def reachable(rows: Sequence[Row]) -> list[Table]:
    """How many right answers a printed number stands for."""
    cells: list[list[Cell]] = []
    for name in dict.fromkeys(row.benchmark.partition("/")[0] for row in rows):
        one = benchmark_of(name)
        for cell in [] if one is None else paper_cells(one):
            said = "" if one is None else reachability(cell, one)
            if said and cell.column in ("reasoning_off", "reasoning_on", "stage4"):
                cells.append([one.name if one else name, cell.sub, cell.column, cell.shown, said])
    if not cells:
        return []
    return [
        Table(
            title="What the printed numbers imply",
            columns=("benchmark", "part", "column", "printed", "right answers"),
            rows=cells,
            notes=("A printed percentage must be a whole number of right answers.",),
        )
    ]


def contaminated(found: Mapping[str, Contamination], clean: Mapping[str, float]) -> list[Table]:
    """Questions that stand in training data."""
    if not found:
        return []
    cells: list[list[Cell]] = [
        [
            named(name),
            one.samples,
            one.checked_text,
            len(one.text_hits),
            one.checked_pictures,
            len(one.picture_hits),
            100 * one.share,
            clean.get(name),
        ]
        for name, one in found.items()
    ]
    first = next(iter(found.values()))
    return [
        Table(
            title="Contamination",
            columns=(
                "benchmark", "questions", "with 13 words", "text found", "with a picture",
                "picture found", "found %", "score without them",
            ),
            rows=cells,
            notes=(
                f"{first.records:,} training records and {first.pictures:,} pictures were "
                f"read; {first.unread:,} pictures could not be.",
                "Text: a run of 13 words; picture: a 64-bit perceptual hash within 4 bits.",
            ),
        )
    ]  # fmt: skip


def _level(line: Line) -> str:
    """Level, the share of responses each level decided, and those without an answer."""
    shares = [f"{name} {100 * share:.0f} %" for name, share in line.decided.items()]
    if list(line.decided) == [line.level]:
        shares = []
    if line.unparsed:
        shares.append(f"unparsed {100 * line.unparsed:.0f} %")
    return line.level + (f" ({', '.join(shares)})" if shares else "")
