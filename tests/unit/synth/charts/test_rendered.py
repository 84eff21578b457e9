"""Charts out of real tables: numbers stay, counters and totals are no data."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from nanovl.core.errors import ConfigError, InputError
from nanovl.data.convert.table_qa import Table
from nanovl.synth.charts.columns import chart_of, columns_of
from nanovl.synth.charts.rendered import render_charts
from nanovl.synth.charts.spec import Look
from tests.unit.synth.checks import make
from tests.unit.synth.documents.conftest import write_lines

TABLE = {
    "table_id": "t1",
    "title": "Mills of the valley",
    "header": ["Rank", "Town", "Sacks", "Share", "Built"],
    "rows": [
        ["1", "Arno", "1,200", "40%", "1850"],
        ["2", "Brell", "900", "30%", "1912"],
        ["3", "Corvi", "610", "20.5%", "1877"],
        ["4", "Deem", "280", "9.5%", "1931"],
        ["", "Total", "2,990", "100%", ""],
    ],
}


def table(**changes: object) -> Table:
    data = {**TABLE, **changes}
    return Table(
        id="t",
        title=str(data["title"]),
        header=tuple(data["header"]),  # type: ignore[arg-type]
        rows=tuple(tuple(row) for row in data["rows"]),  # type: ignore[attr-defined]
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    other = {**TABLE, "table_id": "t2", "title": "Held out"}
    words = {**TABLE, "table_id": "t3", "header": ["A", "B"], "rows": [["x", "y"]] * 4}
    write_lines(tmp_path / "wtq_tables.jsonl.gz", [TABLE, other, words])
    for split, names in (("train", ("t1", "t3")), ("val", ("t2",))):
        lines = [{"id": n, "table_id": n, "question": "?", "answers": ["x"]} for n in names]
        write_lines(tmp_path / f"wtq_{split}.jsonl.gz", lines)
    return tmp_path


def test_columns_leave_out_counters_totals_and_years() -> None:
    found = columns_of(table())
    assert found is not None
    assert (found.noun, found.labels) == ("Town", ("Arno", "Brell", "Corvi", "Deem"))
    assert found.heads == ("Sacks", "Share")
    assert found.rows[0] == (1200.0, 900.0, 610.0, 280.0)
    assert (found.units, found.decimals) == (("", "%"), (0, 1))


@pytest.mark.parametrize(
    "rows",
    [
        [["1", "Arno", "some", "x", "1850"]] * 4,  # no numbers, labels repeat
        [["1", "Arno", "5", "6", "1850"], ["2", "Brell", "6", "7", "1851"]],  # too few rows
    ],
)
def test_tables_without_numbers_give_nothing(rows: list[list[str]]) -> None:
    assert columns_of(table(rows=rows)) is None


def test_charts_show_a_run_of_rows_as_they_are() -> None:
    columns = columns_of(table())
    assert columns is not None
    kinds = set()
    for seed in range(30):
        chart = chart_of(columns, random.Random(seed), Look())
        kinds.add(chart.kind)
        place = columns.labels.index(chart.categories[0])
        assert chart.categories == columns.labels[place : place + len(chart.categories)]
        (series,) = chart.series  # percent and sacks do not share an axis
        row = columns.rows[0 if series.name == "Sacks" else 1]
        assert series.values == row[place : place + len(series.values)]
        assert chart.unit == ("" if series.name == "Sacks" else "%")
    assert {"bar", "barh", "lollipop"} == kinds


def test_only_tables_of_the_split_are_drawn(folder: Path) -> None:
    for split, name in (("train", "t1"), ("val", "t2")):
        generator = render_charts({"source": str(folder), "renderer": "pillow", "split": split})
        made = [s for s in (make(generator, n) for n in range(3)) if s is not None]
        assert made
        for sample in made:
            assert sample.gt["table"] == name
            assert sample.group == f"wtq:{name}"
            assert sample.license == "CC BY-SA 4.0"
            cells = [str(c) for row in sample.gt["data_table"] for c in row]
            assert "Arno" in cells or "Brell" in cells
    assert render_charts({"source": str(folder), "renderer": "pillow"}).skipped == {
        "nothing_to_draw": 1
    }


def test_wrong_settings_are_named(folder: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'barh'"):
        render_charts({"source": str(folder), "kinds": ["barhh"]})
    with pytest.raises(ConfigError, match="'matplotlib', 'pillow', 'vega'"):
        render_charts({"source": str(folder), "renderer": "pencil"})
    with pytest.raises(InputError, match="wtq_test"):
        render_charts({"source": str(folder), "split": "test"})
