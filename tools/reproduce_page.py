"""The page docs/reproduction.md: results between markers, written from their files alone.

    <!-- results: evs -->
    ... written here ...
    <!-- end: evs -->

What stands outside the markers is written by people. Measures nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from nanovl.core.errors import InputError
from tools.reproduce_cells import Cell, Results
from tools.reproduce_tables import EXPERIMENTS, shown

__all__ = ["NOT_RUN", "render", "section", "write_files"]

NOT_RUN = "Not run yet."
_PART = re.compile(r"(<!-- results: (?P<name>[\w-]+) -->\n).*?(<!-- end: (?P=name) -->)", re.S)


def write_files(results: Results, figures: Path) -> list[Path]:
    """The tables as Markdown and the figure as SVG, beside the results.

    Args:
        results: Of one experiment.
        figures: Folder.

    Returns:
        What was written.
    """
    found = shown(results.name, results)
    if found is None:
        return []
    paths = [figures / f"{results.name}.md"]
    paths[0].write_text("\n".join(t.markdown() for t in found.tables), encoding="utf-8")
    if found.figure:
        paths.append(figures / f"{results.name}.svg")
        paths[1].write_text(found.figure, encoding="utf-8")
    return paths


def section(name: str, folder: Path, page: Path) -> str:
    """What stands between the markers of an experiment.

    Args:
        name: One of `EXPERIMENTS`.
        folder: Of the results and figures.
        page: The page, for links that lead from it.
    """
    results = Results(folder, name)
    found = shown(name, results)
    if found is None:
        return f"{NOT_RUN}\n"
    parts = [table.markdown(level=3) for table in found.tables]
    picture = folder / f"{name}.svg"
    if picture.is_file():
        link = Path(os.path.relpath(picture, page.parent)).as_posix()
        parts.append(f"![{name}]({link})\n")
    return "\n".join([*parts, _provenance(results.cells)])


def _provenance(cells: Sequence[Cell]) -> str:
    """Commands, machines, versions and dates of all cells."""

    def distinct(name: str) -> list[str]:
        return list(dict.fromkeys(str(cell.facts[name]) for cell in cells))

    versions = list(
        dict.fromkeys(
            ", ".join(f"{k} {v}" for k, v in c.facts["versions"].items() if v) for c in cells
        )
    )
    dates = sorted(distinct("date"))
    days = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    seconds = sum(float(cell.facts["seconds"]) for cell in cells)
    lines = [
        *(f"* `{command}`" for command in distinct("command")),
        *(f"* {hardware}" for hardware in distinct("hardware")),
        *(f"* {version}" for version in versions),
        f"* {days}; {len(cells)} cells, {seconds / 60:.0f} minutes",
    ]
    limits = [cell.inputs["limit"] for cell in cells if cell.inputs.get("limit") is not None]
    if limits:
        most = ", ".join(map(str, sorted(set(limits))))
        lines.append(f"* only the first {most} questions of each task")
    return "\n".join(lines) + "\n"


def render(text: str, folder: Path, page: Path) -> str:
    """A page with all its results as they are now.

    Args:
        text: The page as it is.
        folder: Of the results.
        page: Where it stands.

    Raises:
        InputError: It lacks an experiment, or names one there is not.
    """
    named = [match["name"] for match in _PART.finditer(text)]
    if sorted(named) != sorted(EXPERIMENTS):
        raise InputError(
            f"{page}: has places for {', '.join(named) or 'nothing'}; expected one for each of "
            f"{', '.join(EXPERIMENTS)}, between <!-- results: NAME --> and <!-- end: NAME -->"
        )

    def fill(match: re.Match[str]) -> str:
        return f"{match[1]}{section(match['name'], folder, page)}{match[3]}"

    return _PART.sub(fill, text)
