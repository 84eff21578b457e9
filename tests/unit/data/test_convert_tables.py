"""Converters of tables and pages: grids and their four written forms."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import pytest

from nanovl.core.errors import ConfigError
from nanovl.data.convert.base import ConvertOptions, Malformed
from nanovl.data.convert.grids import Cell, Grid, Run as Piece, place, write_grid
from nanovl.data.convert.pubtables import boxes_grid
from nanovl.data.convert.tables import cell_runs, structure_grid, table_turns
from tests.unit.data.convert_samples import Run, picture, save, stable


def cell(text: str, rows: int = 1, columns: int = 1, *styles: str) -> Cell:
    return Cell((Piece(text, styles),) if text else (), rows, columns)


def spanned() -> Grid:
    """Two header rows; "Group" over two columns, "Name" over two rows, "both" over 2 x 2."""
    return place(
        [
            [cell("Name", rows=2), cell("Group", columns=2)],
            [cell("A & B"), cell("50%")],
            [cell("x_1", 1, 1, "b"), cell("both", 2, 2)],
            [cell("")],
        ],
        2,
    )


def simple() -> Grid:
    return place(
        [
            [cell("City"), cell("2019"), cell("2020")],
            [cell("Oslo"), cell("1"), cell("2|3")],
            [cell("Rome"), cell(""), cell("4")],
        ],
        1,
    )


# -- Written forms -------------------------------------------------------------------------------


def test_latex_is_exact() -> None:
    assert write_grid(spanned(), "latex") == "\n".join(
        [
            r"\begin{tabular}{ccc}",
            r"\hline",
            r"\multirow{2}{*}{Name} & \multicolumn{2}{c}{Group} \\",
            r" & A \& B & 50\% \\",
            r"\hline",
            r"\textbf{x\_1} & \multicolumn{2}{c}{\multirow{2}{*}{both}} \\",
            r" & \multicolumn{2}{c}{} \\",
            r"\hline",
            r"\end{tabular}",
        ]
    )


def test_html_is_exact() -> None:
    assert write_grid(spanned(), "html") == "\n".join(
        [
            "<table>",
            "<thead>",
            '<tr><th rowspan="2">Name</th><th colspan="2">Group</th></tr>',
            "<tr><th>A &amp; B</th><th>50%</th></tr>",
            "</thead>",
            "<tbody>",
            '<tr><td><b>x_1</b></td><td rowspan="2" colspan="2">both</td></tr>',
            "<tr><td></td></tr>",
            "</tbody>",
            "</table>",
        ]
    )


def test_otsl_is_exact() -> None:
    assert write_grid(spanned(), "otsl") == "\n".join(
        [
            "<ched>Name<ched>Group<lcel><nl>",
            "<ucel><ched>A &amp; B<ched>50%<nl>",
            "<fcel><b>x_1</b><fcel>both<lcel><nl>",
            "<ecel><ucel><xcel><nl>",
        ]
    )


def test_markdown_is_exact_and_refuses_spans() -> None:
    assert write_grid(simple(), "markdown") == (
        "| City | 2019 | 2020 |\n| --- | --- | --- |\n| Oslo | 1 | 2\\|3 |\n| Rome |  | 4 |"
    )
    with pytest.raises(Malformed, match="markdown can write neither") as caught:
        write_grid(spanned(), "markdown")
    assert caught.value.reason == "not_markdown"


def test_html_reads_back_as_the_same_grid() -> None:
    """The structure of the written HTML gives the grid it came from."""
    generator = random.Random(3)
    for _ in range(50):
        grid = _random_grid(generator)
        contents = [
            c.runs
            for r, row in enumerate(grid.slots)
            for k, (c, top, left) in enumerate(row)
            if (top, left) == (r, k)
        ]
        bare = re.sub(r">\d+<", "><", write_grid(grid, "html"))
        again = structure_grid([bare], contents)
        assert again.texts() == grid.texts()
        assert (again.size, again.head) == (grid.size, grid.head)


def _random_grid(generator: random.Random) -> Grid:
    height, width = generator.randint(2, 5), generator.randint(2, 5)
    free = {(r, c) for r in range(1, height) for c in range(width)}
    rows: list[list[Cell]] = [[cell(str(c)) for c in range(width)]]
    for r in range(1, height):
        rows.append([])
        for c in range(width):
            if (r, c) not in free:
                continue
            down, right = generator.randint(1, 2), generator.randint(1, 2)
            spots = {(r + i, c + j) for i in range(down) for j in range(right)}
            if not spots <= free:
                down = right = 1
                spots = {(r, c)}
            free -= spots
            rows[-1].append(cell(str(generator.randrange(10)), down, right))
    return place(rows, 1)


@pytest.mark.parametrize(
    ("rows", "head", "message"),
    [
        ([], 0, "no rows"),
        ([[cell("a"), cell("b")], [cell("c")]], 0, "row 2 has 1 columns, another one 2"),
        ([[cell("a", rows=2)]], 0, "below the end"),
        ([[cell("a"), cell("b", rows=2)], [cell("c", columns=2)]], 0, "overlap in row 2"),
        ([[cell("a", rows=2), cell("b")], [cell("c")]], 1, "header cell reaches"),
    ],
)
def test_broken_grids_are_named(rows: list[list[Cell]], head: int, message: str) -> None:
    with pytest.raises(Malformed, match=message) as caught:
        place(rows, head, "structure")
    assert caught.value.reason == "bad_table"


# -- Tokens --------------------------------------------------------------------------------------


def test_cell_tokens() -> None:
    assert cell_runs(["<b>", "W", "e", "</b>", " ", "&amp;", "<", "x", ">"]) == (
        Piece("We", ("b",)),
        Piece(" &<x>"),
    )
    assert cell_runs(["m", "<sup>", "2", "</sup>"])[1] == Piece("2", ("sup",))
    assert cell_runs([]) == ()
    grid = place([[Cell((Piece("  a\n"), Piece("  b ", ("i",)), Piece(" ")))]], 0)
    assert write_grid(grid, "html").count("a <i>b</i></td>") == 1


@pytest.mark.parametrize(
    ("tokens", "contents", "message"),
    [
        (["<tr>", "<td>", "</td>", "</tr>"], 0, "more cells than contents"),
        (["<tr>", "<td>", "</td>", "</tr>"], 2, "1 contents without a cell"),
        (["<td>", "</td>"], 1, "a cell before the first row"),
        (["<tr>", "<td", ' colspan="x"', ">", "</td>", "</tr>"], 1, "colspan 'x'"),
        (["<tr>", "<td", ' rowspan="0"', ">", "</td>", "</tr>"], 1, "rowspan '0'"),
        (["<tr>", "<script>", "</tr>"], 0, "unknown tag <script>"),
        (["<tr>", "words", "</tr>"], 0, "text 'words' between tags"),
    ],
)
def test_broken_structures_are_named(tokens: list[str], contents: int, message: str) -> None:
    with pytest.raises(Malformed, match=message):
        structure_grid(tokens, [()] * contents)


# -- Questions -----------------------------------------------------------------------------------


def test_lookups_name_filled_and_unique_cells_only() -> None:
    asked = set()
    for seed in range(40):
        turns = table_turns(simple(), random.Random(seed), ConvertOptions())
        assert {t.key for t in turns} == {"latex", "cell-0", "cell-1", "size"}
        asked |= {(t.question.text, t.answer) for t in turns if t.task == "table_lookup"}
    assert {answer for _, answer in asked} == {"1", "2|3", "4"}
    for text, answer in asked:
        assert '"Rome"' in text if answer == "4" else '"Oslo"' in text
    twice = place([[cell("City"), cell("x"), cell("x")], [cell("Oslo"), cell("1"), cell("2")]], 1)
    turns = table_turns(twice, random.Random(0), ConvertOptions())
    assert not [t for t in turns if t.task == "table_lookup"]


def test_mixed_forms_leave_markdown_to_tables_without_spans() -> None:
    options = ConvertOptions(extra={"format": "mixed"})
    forms = [
        {table_turns(grid, random.Random(seed), options)[0].key for seed in range(60)}
        for grid in (simple(), spanned())
    ]
    assert forms == [{"latex", "html", "markdown", "otsl"}, {"latex", "html", "otsl"}]
    with pytest.raises(ConfigError, match="expected one of latex, html"):
        table_turns(simple(), random.Random(0), ConvertOptions(extra={"format": "xml"}))


# -- PubTabNet -----------------------------------------------------------------------------------


def tokens(*cells: str) -> list[dict[str, Any]]:
    filled = {"bbox": [1, 2, 3, 4]}
    return [{"tokens": list(text), **(filled if text else {})} for text in cells]


HEAD = ["<thead>", "<tr>", "<td>", "</td>", "<td>", "</td>", "</tr>", "</thead>"]
BODY = ["<tbody>", "<tr>", "<td>", "</td>", "<td>", "</td>", "</tr>", "</tbody>"]


def line(number: int, file: str, structure: list[str], cells: list[Any], **more: Any) -> Any:
    content = {"structure": {"tokens": structure}, "cells": cells}
    return {"imgid": number, "filename": file, "split": "train", "html": content, **more}


def test_pubtabnet_exact(tmp_path: Path) -> None:
    picture(tmp_path / "train" / "PMC1_2.png")
    good = tokens("Age", "n", "<30", "5%")
    wide = ["<tr>", "<td", ' colspan="3"', ">", "</td>", "</tr>"]
    lines = [
        line(0, "PMC1_2.png", HEAD + BODY, good),
        line(1, "PMC1_2.png", HEAD + BODY, good[:3]),
        line(2, "PMC1_2.png", HEAD + wide, good[:3]),
        line(3, "gone.png", HEAD + BODY, good),
        line(4, "PMC1_2.png", HEAD + BODY, good, split="val"),
        line(5, "PMC1_2.png", HEAD + BODY, [*good[:3], {"tokens": ["a", 5]}]),
        line(6, "PMC1_2.png", HEAD + BODY, good, html={"structure": {}, "cells": good}),
        "{broken",
    ]
    save(tmp_path / "PubTabNet_2.0.0.jsonl", lines)
    run = stable("pubtabnet", tmp_path)
    assert run.answer("pubtabnet-0-latex") == (
        "\\begin{tabular}{cc}\n\\hline\nAge & n \\\\\n\\hline\n<30 & 5\\% \\\\\n\\hline\n"
        "\\end{tabular}"
    )
    assert "LaTeX tabular" in run.question("pubtabnet-0-latex")
    assert run["pubtabnet-0-latex"].task == "table_latex"
    assert run["pubtabnet-0-latex"].media[0].value == "pubtabnet-PMC1_2.png"
    assert run["pubtabnet-0-latex"].media[0].metadata == {"width": 200, "height": 100}
    assert run.answer("pubtabnet-0-cell-0") == "5%"
    assert run.answer("pubtabnet-0-size") == "2 x 2"
    assert run.drops[:5] == [
        (
            "bad_table",
            "PubTabNet_2.0.0.jsonl:2",
            "html.structure.tokens: more cells than contents",
        ),
        (
            "bad_table",
            "PubTabNet_2.0.0.jsonl:3",
            "html.structure.tokens: row 1 has 2 columns, another one 3",
        ),
        (
            "missing_media",
            "PubTabNet_2.0.0.jsonl:4",
            "filename: there is no file 'gone.png' (looked in: train, train, images, "
            f"{tmp_path.name})",
        ),
        ("wrong_type", "PubTabNet_2.0.0.jsonl:6", "html.cells[3].tokens[1]: expected text"),
        (
            "missing_field",
            "PubTabNet_2.0.0.jsonl:7",
            "html.structure.tokens is missing; there are: ",
        ),
    ]
    assert [d[0] for d in run.drops[5:]] == ["bad_json"]


def test_relatives_of_pubtabnet(tmp_path: Path) -> None:
    good = tokens("Age", "n", "a", "b")
    fin = tmp_path / "fin"
    picture(fin / "pdf" / "HAL" / "2015" / "page_43.png")
    report = line(0, "HAL/2015/page_43.pdf", HEAD + BODY, good, table_id=17, imgid=None)
    save(fin / "FinTabNet_1.0.0_cell_train.jsonl", [report])
    run = Run("fintabnet", fin, images=fin / "pdf", extra={"format": "html"})
    assert run.answer("fintabnet-17-html").startswith("<table>\n<thead>\n<tr><th>Age</th>")
    assert run["fintabnet-17-html"].media[0].value == "fintabnet-page_43-17.png"

    synth = tmp_path / "synth"
    picture(synth / "images" / "train" / "x.png")
    save(synth / "synthetic_data.jsonl", [line(3, "x.png", HEAD + BODY, good)])
    run = Run("synthtabnet", synth, extra={"format": "markdown"})
    assert run.answer("synthtabnet-3-markdown") == "| Age | n |\n| --- | --- |\n| a | b |"


# -- PubTables-1M --------------------------------------------------------------------------------


def voc(objects: list[tuple[str, list[float]]]) -> str:
    made = ""
    for name, box in objects:
        corners = zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
        inner = "".join(f"<{k}>{v}</{k}>" for k, v in corners)
        made += f"<object><name>{name}</name><bndbox>{inner}</bndbox></object>"
    size = "<size><width>200</width><height>100</height><depth>3</depth></size>"
    return f"<?xml version='1.0'?><annotation><filename>t.jpg</filename>{size}{made}</annotation>"


OBJECTS: list[tuple[str, list[float]]] = [
    ("table", [0, 0, 200, 100]),
    ("table row", [0, 60, 200, 90]),
    ("table row", [0, 0, 200, 30]),
    ("table row", [0, 30, 200, 60]),
    ("table column", [100, 0, 200, 100]),
    ("table column", [0, 0, 100, 100]),
    ("table column header", [0, 0, 200, 30]),
    ("table projected row header", [0, 30, 200, 60]),
]


def test_pubtables_rebuilds_the_grid(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "t.jpg")
    save(tmp_path / "train" / "t.xml", voc(OBJECTS))
    words = [
        {"text": "Year", "bbox": [10, 5, 40, 20]},
        {"text": "All", "bbox": [110, 5, 130, 20]},
        {"text": "years", "bbox": [135, 5, 160, 20]},
        {"text": "Section", "bbox": [50, 35, 150, 50]},
        {"text": "1999", "bbox": [10, 65, 40, 80]},
        {"text": "7.5", "bbox": [110, 65, 140, 80]},
        {"text": "outside", "bbox": [110, 95, 140, 99]},
    ]
    save(tmp_path / "words" / "t_words.json", words)
    save(tmp_path / "train" / "u.xml", voc(OBJECTS[:4]))
    save(tmp_path / "words" / "u_words.json", [])
    save(tmp_path / "train" / "v.xml", voc(OBJECTS))
    save(tmp_path / "train" / "w.xml", "<annotation>")
    save(tmp_path / "train" / "x.xml", "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>")
    run = stable("pubtables", tmp_path, extra={"format": "html"})
    assert run.answer("pubtables-t-html") == (
        "<table>\n<thead>\n<tr><th>Year</th><th>All years</th></tr>\n</thead>\n<tbody>\n"
        '<tr><td colspan="2">Section</td></tr>\n<tr><td>1999</td><td>7.5</td></tr>\n'
        "</tbody>\n</table>"
    )
    assert run.answer("pubtables-t-cell-0") == "7.5"
    assert [(reason, where) for reason, where, _ in run.drops] == [
        ("bad_table", "u.xml"),
        ("missing_media", "v.xml"),
        ("bad_xml", "w.xml"),
        ("bad_xml", "x.xml"),
    ]


def test_overlapping_spans_of_boxes_are_refused() -> None:
    parts = [(name, (b[0], b[1], b[2], b[3])) for name, b in OBJECTS]
    parts.append(("table spanning cell", (0, 30, 100, 90)))
    with pytest.raises(Malformed, match="span places overlap"):
        boxes_grid(parts, [])


# -- WebSight ------------------------------------------------------------------------------------


def test_websight(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "0.png")
    code = "<html>\n<body>Hi</body>\n</html>"
    lines = [
        {"image": "0.png", "text": code},
        {"image": "0.png", "text": "nothing"},
        {"image": "../0.png", "html": code},
    ]
    path = save(tmp_path / "train.jsonl", lines)
    run = stable("websight", path)
    assert run.answer("websight-train-1") == code
    assert "HTML" in run.question("websight-train-1")
    assert run.drops == [
        ("no_answer", "train.jsonl:2", "html: holds no tag"),
        ("missing_media", "train.jsonl:3", "image: '../0.png' points outside the source"),
    ]
