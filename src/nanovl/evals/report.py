"""The report of a run: our numbers with intervals, the printed ones beside them, and their health.

Everything comes from what scoring left in the run folder; here it is put side by side and written
as Markdown and JSON. The page is made by `nanovl.evals.report_page`. Scores nothing.

Source: evaluation specification, sections 1.1, 7.2 and 11.2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from nanovl.core.errors import InputError
from nanovl.evals.contamination import Contamination
from nanovl.evals.examples import Example
from nanovl.evals.health import COUNTERS, colour
from nanovl.evals.modes import Setting
from nanovl.evals.paper import (
    PaperCell,
    column_title,
    comparable,
    explanations,
    other_cells,
    our_cell,
    our_number,
    paper_cells,
    reachability,
    subs_of,
)
from nanovl.evals.registry import Benchmark
from nanovl.evals.runfolder import RunFolder, write_json
from nanovl.evals.scorefiles import PEER, Line, read_summary, scored_lines
from nanovl.evals.sweeps import Sweep
from nanovl.evals.tables import Cell, Table
from nanovl.evals.tasks import benchmark_of, named

__all__ = ["Report", "Row", "collect", "write_report"]

_BIASED = "+ a cell of the transcription was repaired; * measured by the report's authors"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One number of ours with what stands beside it.

    Attributes:
        benchmark, name: Id and name for people.
        line: Our score at the level that counts.
        sub: Part of the benchmark the number is of.
        score: In percent.
        extended: The same with nanovl's own extraction.
        ours: The report's number of the released model, in the same mode.
        reason: Why there is no difference, "" when there is one.
        difference: Ours less the report's, where they may be compared.
        others: Numbers of other models.
        peers: Numbers of answers that need no model.
        explained: What a difference may come from.
    """

    benchmark: str
    name: str
    line: Line
    sub: str
    score: float
    extended: float | None
    ours: PaperCell | None = None
    reason: str = ""
    difference: float | None = None
    others: Sequence[PaperCell] = ()
    peers: Mapping[str, float] = field(default_factory=dict)
    explained: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything a report shows.

    Attributes:
        head: `run.json`.
        rows: Numbers.
        summaries: By benchmark, as scoring wrote them.
        unscored: Benchmarks that were run and not scored.
        examples: Questions worth looking at, worst first.
        sweeps: Tables and figures of sweeps.
        contamination: By benchmark.
        clean: By benchmark the score without questions that were found in training data.
    """

    head: Mapping[str, Any]
    rows: Sequence[Row]
    summaries: Mapping[str, Mapping[str, Any]]
    unscored: Sequence[str] = ()
    examples: Sequence[Example] = ()
    sweeps: Sequence[Sweep] = ()
    contamination: Mapping[str, Contamination] = field(default_factory=dict)
    clean: Mapping[str, float] = field(default_factory=dict)

    def tables(self) -> list[Table]:
        """All tables, in order."""
        found = [
            self._scores(),
            *self._others(),
            *self._peers(),
            self._health(),
            *self._agreement(),
            *self._reachable(),
            *self._contamination(),
        ]
        return [*found, *(table for sweep in self.sweeps for table in sweep.tables)]

    def markdown(self) -> str:
        """As Markdown."""
        parts = [f"# Evaluation of {self.head['model']['name']}\n", *self.facts(), ""]
        parts += [table.markdown(2) for table in self.tables()]
        if self.unscored:
            parts.append("Not scored: " + ", ".join(self.unscored) + "\n")
        return "\n".join(parts)

    def data(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "format": 1,
            "run": self.head,
            "rows": [
                {
                    "benchmark": row.benchmark,
                    "sub": row.sub,
                    "setting": row.line.setting,
                    "profile": row.line.profile,
                    "level": row.line.level,
                    "score": row.score,
                    "extended": row.extended,
                    "interval": None if row.line.interval is None else vars(row.line.interval),
                    "answered": row.line.answered,
                    "samples": row.line.samples,
                    "runs": row.line.runs,
                    "report": None if row.ours is None else row.ours.value,
                    "difference": row.difference,
                    "not_comparable": row.reason,
                    "others": {cell.column: cell.value for cell in row.others},
                    "peers": dict(row.peers),
                    "parts": dict(row.line.parts),
                    "groups": dict(row.line.groups),
                }
                for row in self.rows
            ],
            "unscored": list(self.unscored),
            "contamination": {
                name: {
                    "samples": found.samples,
                    "text_hits": dict(found.text_hits),
                    "picture_hits": dict(found.picture_hits),
                }
                for name, found in self.contamination.items()
            },
            "tables": [table.data() for table in self.tables()],
        }

    # --- tables ---------------------------------------------------------------------------------

    def facts(self) -> list[str]:
        """What the run was, as list items."""
        model = self.head["model"]
        shown = {
            "run": self.head.get("run"),
            "made": self.head.get("created"),
            "weights": model.get("weights") or "not known (an endpoint)",
            "precision": model.get("precision"),
            "device": model.get("device") or model.get("address"),
            "versions": _flat(self.head.get("versions")),
            "hardware": _flat(self.head.get("hardware")),
        }
        return [f"* {name}: {value}" for name, value in shown.items() if value]

    def _scores(self) -> Table:
        rows: list[list[Cell]] = []
        shades: dict[tuple[int, int], str] = {}
        for number, row in enumerate(self.rows):
            line = row.line
            interval = (
                ""
                if line.interval is None or row.sub != "main"
                else (f"{line.interval.low:.1f} to {line.interval.high:.1f}")
            )
            rows.append(
                [
                    row.name if row.sub in ("main", "") else f"{row.name} ({row.sub})",
                    line.setting,
                    row.score,
                    interval,
                    _level(line),
                    row.extended,
                    f"{line.answered:,}/{line.samples * line.runs:,}",
                    row.ours.shown if row.ours and not row.reason else "",
                    "" if row.difference is None else f"{row.difference:+.1f}",
                    row.ours.shown if row.ours and row.reason else "",
                    row.reason,
                ]
            )
            if not line.is_complete:
                shades[number, 6] = "yellow"
            if row.difference is not None and line.interval is not None and row.ours is not None:
                assert row.ours.value is not None
                inside = line.interval.low <= row.ours.value <= line.interval.high
                shades[number, 8] = "good" if inside else "bad"
        return Table(
            title="Scores",
            columns=(
                "benchmark", "setting", "score", "95 %", "decided by", "extended", "answers",
                "report", "difference", "report (not comparable)", "why",
            ),
            rows=rows,
            shades=shades,
            notes=self._score_notes(),
        )  # fmt: skip

    def _score_notes(self) -> list[str]:
        notes = [f"All scores in percent; {_BIASED}."]
        seen = dict.fromkeys(
            text for row in self.rows if row.difference is not None for text in row.explained
        )
        if seen:
            notes.append("A difference can come from: " + "; ".join(seen) + ".")
        lenient = [
            f"{row.name}: {row.line.unscored:,} not scored (strict {row.line.score:.1f}, lenient "
            f"{row.line.lenient:.1f})"
            for row in self.rows
            if row.line.unscored
        ]
        spread = [
            f"{row.name}, {row.line.setting}: {row.line.runs} runs, standard deviation "
            f"{row.line.std:.2f}, standard error {row.line.se:.2f}"
            for row in self.rows
            if row.line.std is not None and row.line.se is not None
        ]
        return [*notes, *dict.fromkeys(lenient), *dict.fromkeys(spread)]

    def _others(self) -> list[Table]:
        columns = list(dict.fromkeys(c.column for row in self.rows for c in row.others))
        if not columns:
            return []
        rows: list[list[Cell]] = []
        for row in self.rows:
            if not row.others:
                continue
            shown = {cell.column: cell.shown for cell in row.others}
            ours = row.ours.shown if row.ours else ""
            label = row.name if row.sub == "main" else f"{row.name} ({row.sub})"
            rows.append(
                [label, row.line.setting, row.score, ours, *(shown.get(c, "") for c in columns)]
            )
        return [
            Table(
                title="Other models, as the report prints them",
                columns=("benchmark", "setting", "this run", "report", *map(column_title, columns)),
                rows=rows,
                notes=("Other models' numbers were made with other prompts and judges.",),
            )
        ]

    def _peers(self) -> list[Table]:
        names = list(dict.fromkeys(n for row in self.rows for n in row.peers))
        if not names:
            return []
        missing = {
            f"{name}: {why}"
            for summary in self.summaries.values()
            for name, why in (summary.get("peers_missing") or {}).items()
        }
        rows: list[list[Cell]] = [
            [row.name, row.score, *(row.peers.get(n) for n in names)]
            for row in self.rows
            if row.peers
        ]
        return [
            Table(
                title="Answers that need no model",
                columns=("benchmark", "this run", *names),
                rows=rows,
                notes=sorted(missing),
            )
        ]

    def _health(self) -> Table:
        rows: list[list[Cell]] = []
        shades: dict[tuple[int, int], str] = {}
        for name, summary in self.summaries.items():
            for setting, facts in summary["settings"].items():
                cells: list[Cell] = [named(name), setting, facts["answers"]]
                for place, counter in enumerate(COUNTERS):
                    count = facts["health"].get(counter, 0)
                    share = count / facts["answers"] if facts["answers"] else 0.0
                    shade = colour(share)
                    if shade != "green":
                        shades[len(rows), 3 + place] = shade
                    cells.append(count)
                tokens = facts.get("tokens") or {}
                cells += [tokens.get("completion", {}).get("mean"), facts.get("metric_errors", 0)]
                if cells[-1]:
                    shades[len(rows), len(cells) - 1] = "red"
                rows.append(cells)
        return Table(
            title="Health",
            columns=(
                "benchmark", "setting", "answers", *(c.replace("_", " ") for c in COUNTERS),
                "mean tokens", "metric errors",
            ),
            rows=rows,
            shades=shades,
            notes=("More than 2 % is yellow, more than 10 % red.",),
        )  # fmt: skip

    def _agreement(self) -> list[Table]:
        rows: list[list[Cell]] = []
        for name, summary in self.summaries.items():
            for setting, facts in summary["settings"].items():
                for pair, found in (facts.get("agreement") or {}).items():
                    rows.append([named(name), setting, pair, *found.values()])
        if not rows:
            return []
        columns = ("same", "first higher", "second higher", "not scored")
        return [
            Table(
                title="Agreement of the levels, 200 answers of each benchmark",
                columns=("benchmark", "setting", "levels", *columns),
                rows=rows,
            )
        ]

    def _reachable(self) -> list[Table]:
        rows: list[list[Cell]] = []
        for name in dict.fromkeys(row.benchmark.partition("/")[0] for row in self.rows):
            one = benchmark_of(name)
            for cell in [] if one is None else paper_cells(one):
                said = "" if one is None else reachability(cell, one)
                if said and cell.column in ("reasoning_off", "reasoning_on", "stage4"):
                    rows.append(
                        [one.name if one else name, cell.sub, cell.column, cell.shown, said]
                    )
        if not rows:
            return []
        return [
            Table(
                title="What the printed numbers imply",
                columns=("benchmark", "part", "column", "printed", "right answers"),
                rows=rows,
                notes=("A printed percentage must be a whole number of right answers.",),
            )
        ]

    def _contamination(self) -> list[Table]:
        if not self.contamination:
            return []
        rows: list[list[Cell]] = [
            [
                named(name),
                found.samples,
                found.checked_text,
                len(found.text_hits),
                found.checked_pictures,
                len(found.picture_hits),
                100 * found.share,
                self.clean.get(name),
            ]
            for name, found in self.contamination.items()
        ]
        first = next(iter(self.contamination.values()))
        return [
            Table(
                title="Contamination",
                columns=(
                    "benchmark", "questions", "with 13 words", "text found", "with a picture",
                    "picture found", "found %", "score without them",
                ),
                rows=rows,
                notes=(
                    f"{first.records:,} training records and {first.pictures:,} pictures were "
                    f"read; {first.unread:,} pictures could not be.",
                    "Text: a run of 13 words; picture: a 64-bit perceptual hash within 4 bits.",
                ),
            )
        ]  # fmt: skip


def collect(
    folder: RunFolder,
    *,
    profile: str = "default",
    level: Literal["auto", "rules", "extended", "judge"] = "auto",
    sweeps: Sequence[Sweep] = (),
    examples: Sequence[Example] = (),
    contamination: Mapping[str, Contamination] | None = None,
    clean: Mapping[str, float] | None = None,
) -> Report:
    """Put a scored run together.

    Args:
        folder: The run.
        profile: Whose numbers.
        level: "auto" takes the judge's where there is one, and the rules' where the report's
            number is made by rules, else nanovl's own extraction.
        sweeps, examples, contamination, clean: Further parts of the report.

    Raises:
        InputError: No benchmark was scored.
    """
    head = folder.head()
    rows: list[Row] = []
    summaries: dict[str, Mapping[str, Any]] = {}
    unscored: list[str] = []
    for name in folder.benchmarks():
        try:
            summary = read_summary(folder, name)
        except InputError:
            unscored.append(name)
            continue
        summaries[name] = summary
        lines = [line for line in scored_lines(folder, name) if line.profile == profile]
        rows += _rows(name, lines, summary, level)
    if not summaries:
        raise InputError(f"{folder.path}: no benchmark was scored yet; run nanovl eval score first")
    return Report(
        head=head,
        rows=rows,
        summaries=summaries,
        unscored=unscored,
        sweeps=sweeps,
        examples=examples,
        contamination=contamination or {},
        clean=clean or {},
    )


def write_report(report: Report, folder: Path) -> list[Path]:
    """`report.md`, `report.html` and `report.json`.

    Args:
        report: From `collect`.
        folder: Where to.

    Returns:
        The files.

    Raises:
        InputError: The folder cannot be written.
    """
    from nanovl.evals.report_page import page

    paths = [folder / f"report.{ending}" for ending in ("md", "html", "json")]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        paths[0].write_text(report.markdown(), encoding="utf-8", errors="replace")
        paths[1].write_text(page(report), encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror or error})") from error
    write_json(paths[2], report.data())
    return paths


def _rows(name: str, lines: Sequence[Line], summary: Mapping[str, Any], level: str) -> list[Row]:
    one = benchmark_of(name)
    part = name.partition("/")[2]
    best = float(summary["best"])
    peers = {
        line.setting.removeprefix(PEER): line.score
        for line in lines
        if line.setting.startswith(PEER) and line.level == "extended"
    }
    found = []
    for setting in dict.fromkeys(line.setting for line in lines):
        if setting.startswith(PEER):
            continue
        own = {line.level: line for line in lines if line.setting == setting}
        line = own[_chosen(own, one, level)]
        extended = own["extended"].score if "extended" in own else None
        if one is None:
            found.append(
                Row(
                    benchmark=name,
                    name=named(name),
                    line=line,
                    sub="main",
                    score=line.score,
                    extended=extended,
                    peers=peers,
                )
            )
            continue
        found += _with_paper(one, name, part, line, extended, int(summary["total"]), best)
    return found


def _with_paper(
    one: Benchmark,
    name: str,
    part: str,
    line: Line,
    extended: float | None,
    total: int,
    best: float,
) -> list[Row]:
    cells = paper_cells(one, part)
    setting = Setting.parse(line.setting)
    allowed = comparable(one, line, total=total, part=part)
    found = []
    for sub in subs_of(cells, one, part):
        score = our_number(line, sub, part=part, best=best)
        if score is None:
            continue
        ours = our_cell(cells, one, setting, sub)
        difference = None
        if allowed.yes and ours is not None and ours.value is not None:
            difference = score - ours.value
        found.append(
            Row(
                benchmark=name,
                name=named(name),
                line=line,
                sub="main" if sub in (part, "average") else sub,
                score=score,
                extended=extended if score == line.score else None,
                ours=ours,
                reason="" if allowed.yes else allowed.reason,
                difference=difference,
                others=other_cells(cells, sub),
                explained=explanations(one, line, setting),
            )
        )
    if found:
        return found
    row = Row(
        benchmark=name,
        name=named(name),
        line=line,
        sub="main",
        score=line.score,
        extended=extended,
        reason="the report's part was not scored",
    )
    return [row]


def _chosen(own: Mapping[str, Line], one: Benchmark | None, level: str) -> str:
    """The level whose number counts."""
    if level != "auto":
        if level not in own:
            raise InputError(
                f"level {level!r} was not scored; there are {', '.join(own)}: score again"
            )
        return level
    if "judge" in own and (one is None or one.needs_judge != "no"):
        return "judge"
    exact = one is not None and one.offline_fidelity in ("exact", "exact_rules", "exact_on_val")
    return "rules" if exact or "extended" not in own else "extended"


def _level(line: Line) -> str:
    """Level and the share of responses each level decided."""
    shares = ", ".join(f"{name} {100 * share:.0f} %" for name, share in line.decided.items())
    unparsed = f", unparsed {100 * line.unparsed:.0f} %" if line.unparsed else ""
    return f"{line.level} ({shares}{unparsed})"


def _flat(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {found}" for name, found in value.items())
    return str(value or "")
