"""Tables of `nanovl data`: what was counted, as text on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nanovl.cli.console import one_line, write, write_json

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from nanovl.data.convert import Format
    from nanovl.data.inspect import Validation

__all__ = ["formats", "stats", "validation"]

_BAR = 32
_COLUMNS = 6


def formats(known: Mapping[str, Format], *, as_json: bool) -> None:
    """The formats that can be converted."""
    if as_json:
        write_json(
            {
                name: {
                    "description": entry.description,
                    "expects": entry.expects,
                    "licence": entry.licence,
                    "options": dict(entry.options),
                }
                for name, entry in known.items()
            }
        )
        return
    table = _table("format", "what becomes what", "source")
    for name, entry in sorted(known.items()):
        table.add_row(name, one_line(entry.description), one_line(entry.expects))
    _console().print(table)


def stats(found: Mapping[str, Any]) -> None:
    """What `nanovl.data.stats.Stats.to_json` holds."""
    console = _console()
    rows = [*found["sources"], *([found["total"]] if len(found["sources"]) > 1 else [])]
    console.print(_sources(rows), "")
    for title, key, unit in (
        ("tokens per sample", "tokens", "samples"),
        ("visual tokens per sample that has any", "visual_tokens", "samples"),
    ):
        for row in rows:
            if row[key]["histogram"]:
                console.print(_histogram(row, title, key, unit), "")
    for title, key in (("task", "tasks"), ("media", "media"), ("reasoning", "reasoning")):
        if found["total"][key]:
            console.print(_counts(rows, title, key), "")
    if found["dropped"]:
        console.print(_drops(found), "")
    if found["packing"]:
        packing = found["packing"]
        console.print(
            f"packing ({packing['algorithm']}, {packing['seq_len']:,} tokens): "
            f"{packing['samples']:,} draws make {packing['packs']:,} packs, "
            f"fill {packing['fill']:.1%}, {packing['samples_per_pack']:.1f} samples per pack",
            soft_wrap=True,
        )


def validation(found: Validation, *, hidden: int) -> None:
    """The summary of `nanovl data validate`; the problems stand above it."""
    if hidden:
        write(f"... and {hidden:,} more; --json lists all\n")
    if found.counts:
        table = _table("reason", "source", "records")
        for reason, per_source in sorted(found.counts.items()):
            for source, count in sorted(per_source.items()):
                table.add_row(reason, source, f"{count:,}")
        _console().print(table)
    how = "parsed, encoded and decoded" if found.decoded else "parsed and encoded"
    verdict = f"{found.num_problems:,} problems" if found.num_problems else "no problems"
    write(f"{found.records:,} records {how}: {verdict}\n")


def _console() -> Console:
    from rich.console import Console

    # Names come from files: brackets in them are no markup.
    return Console(file=sys.stdout, markup=False, highlight=False, emoji=False)


def _table(*columns: str, title: str = "", right: int = 99) -> Table:
    """A plain table; columns from number `right` on hold numbers."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        padding=(0, 1, 0, 0),
    )
    for number, name in enumerate(columns):
        table.add_column(
            name,
            justify="right" if number >= right else "left",
            no_wrap=number >= right or right < 99,
        )
    return table


def _sources(rows: list[dict[str, Any]]) -> Table:
    table = _table(
        "source",
        "weight",
        "records",
        "used",
        "tokens",
        "mean",
        "p90",
        "max",
        "visual",
        "loss",
        right=1,
    )
    for row in rows:
        tokens = row["tokens"]
        table.add_row(
            row["name"],
            f"{row['weight']:.3g}",
            f"{row['records']:,}",
            f"{row['used']:,}",
            _short(tokens["total"]),
            f"{tokens['mean']:,.0f}",
            f"{tokens['p90']:,}",
            f"{tokens['max']:,}",
            f"{row['visual_share']:.1%}",
            f"{row['loss_share']:.1%}",
        )
    return table


def _short(number: int) -> str:
    for unit, size in (("G", 10**9), ("M", 10**6), ("K", 10**3)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return str(number)


def _histogram(row: Mapping[str, Any], title: str, key: str, unit: str) -> Table:
    table = _table("from", "below", unit, "", title=f"{row['name']}: {title}")
    for number, justify in enumerate(("right", "right", "right", "left")):
        table.columns[number].justify = justify  # type: ignore[assignment]
    bins = row[key]["histogram"]
    most = max(count for _, _, count in bins)
    for low, high, count in bins:
        bar = "\u2588" * round(_BAR * count / most) or ("\u258f" if count else "")
        table.add_row(f"{low:,}", "" if high is None else f"{high:,}", f"{count:,}", bar)
    return table


def _counts(rows: list[dict[str, Any]], title: str, key: str) -> Table:
    if len(rows) > _COLUMNS:
        rows = rows[-1:]
    heads = [row["name"] for row in rows] if len(rows) > 1 else ["records"]
    table = _table(title, *heads, right=1)
    names = list(dict.fromkeys(name for row in reversed(rows) for name in row[key]))
    for name in names:
        table.add_row(name, *(f"{row[key].get(name, 0):,}" for row in rows))
    return table


def _drops(found: Mapping[str, Any]) -> Table:
    table = _table("dropped because", "source", "records", "such as")
    for reason, per_source in sorted(found["dropped"].items()):
        example = one_line(found["examples"].get(reason, [""])[0])
        for source, count in sorted(per_source.items()):
            table.add_row(reason, source, f"{count:,}", example)
            example = ""
    return table
