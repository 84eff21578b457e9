"""The report of a run: our numbers with intervals, the printed ones beside them, and their health.

Everything comes from what scoring left in the run folder; here it is put together and written as
Markdown and JSON. Rows are made by `nanovl.evals.report_rows`, tables by
`nanovl.evals.report_tables`, the page by `nanovl.evals.report_page`. Scores nothing.

Source: evaluation specification, sections 1.1, 7.2 and 11.2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from nanovl.core.errors import InputError
from nanovl.evals import report_tables
from nanovl.evals.contamination import Contamination
from nanovl.evals.examples import Example
from nanovl.evals.native import check_manifest
from nanovl.evals.report_bars import bars_of
from nanovl.evals.report_rows import Row, rows_of
from nanovl.evals.runfolder import RunFolder, write_json
from nanovl.evals.scorefiles import read_summary, scored_lines
from nanovl.evals.sweeps import Sweep
from nanovl.evals.tables import Table
from nanovl.evals.tasks import named

__all__ = ["Report", "collect", "write_report"]


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

    @property
    def title(self) -> str:
        """Name of the model, without the folder it lies in."""
        return f"Evaluation of {_short(str(self.head['model']['name']))}"

    def tables(self) -> list[Table]:
        """All tables, in order."""
        rows, summaries = self.rows, self.summaries
        found = [
            report_tables.scores(rows, self._files()),
            *report_tables.bars(rows, summaries),
            *report_tables.others(rows),
            *report_tables.peers(rows, summaries),
            report_tables.health(summaries),
            *report_tables.agreement(summaries),
            *report_tables.reachable(rows),
            *report_tables.contaminated(self.contamination, self.clean),
        ]
        return [*found, *(table for sweep in self.sweeps for table in sweep.tables)]

    def markdown(self) -> str:
        """As Markdown."""
        parts = [f"# {self.title}\n", *(f"* {fact}" for fact in self.facts()), ""]
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
                    "metric": row.line.metric,
                    "lower_is_better": row.is_error,
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
            "bars": [
                {**vars(bar), "reached": bar.reached} for bar in bars_of(self.rows, self.summaries)
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

    def _files(self) -> list[str]:
        """Rows that were left out, and counts that are not the published ones."""
        checks = [
            check_manifest(named(name), self.head["benchmarks"][name]["manifest"])
            for name in self.summaries
        ]
        counts = [
            f"{check.name} {check.found:,} of {check.expected:,}"
            for check in checks
            if check.expected not in (None, check.found)
        ]
        malformed = [
            f"{check.name} {count:,} ({reason})"
            for check in checks
            for reason, count in sorted(check.malformed.items())
        ]
        found = []
        if counts:
            found.append("Files with another number of questions: " + "; ".join(counts) + ".")
        if malformed:
            found.append("Malformed rows, left out: " + "; ".join(malformed) + ".")
        return found

    def facts(self) -> list[str]:
        """What the run was."""
        model = self.head["model"]
        name = str(model["name"])
        shown = {
            "model": name if name != _short(name) else "",
            "run": self.head.get("run"),
            "made": self.head.get("created"),
            "weights": model.get("weights") or "not known (an endpoint)",
            "precision": model.get("precision"),
            "device": model.get("device") or model.get("address"),
            "versions": _flat(self.head.get("versions")),
            "hardware": _flat(self.head.get("hardware")),
        }
        return [f"{name}: {value}" for name, value in shown.items() if value]


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
        check = check_manifest(name, head["benchmarks"][name]["manifest"])
        rows += rows_of(name, lines, summary, level, check)
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


def _short(name: str) -> str:
    """A name without folders; OWNER/NAME of a hub stays."""
    is_path = name.startswith(("/", ".", "~")) or name.count("/") > 1
    return (Path(name).name or name) if is_path else name


def _flat(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {found}" for name, found in value.items())
    return str(value or "")
