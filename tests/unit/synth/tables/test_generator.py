"""The generator tables as a whole: sums add up, boxes hold ink, answers follow from cells."""

from __future__ import annotations

import io
import random

import numpy as np
import pytest
from PIL import Image

from nanovl.core.errors import BackendError, ConfigError
from nanovl.synth import typefaces
from nanovl.synth.tables.content import build, draw_plan
from nanovl.synth.tables.generator import TablesGenerator, create
from nanovl.synth.tables.grid import Table
from nanovl.synth.tables.render import draw_table
from nanovl.synth.tables.style import BORDERS, Style
from nanovl.synth.verify import first_number
from tests.unit.synth.checks import (
    check_golden,
    check_hash_seeds,
    check_others_fail,
    check_sample,
    made,
    make,
    yes_share,
)

PLAIN = {"fonts": ["builtin"]}


@pytest.fixture(scope="module")
def generator() -> TablesGenerator:
    return create(PLAIN)


def test_samples_are_sound(generator: TablesGenerator) -> None:
    samples = made(generator, 60)
    for sample in samples:
        check_sample(sample)
    check_others_fail(samples)
    assert {"table_lookup", "table_sum", "table_box"} <= {t.task for s in samples for t in s.tasks}


@pytest.mark.slow
def test_yes_and_no_are_even() -> None:
    asking = create({**PLAIN, "questions": 11, "transcriptions": 0, "most_rows": 6})
    assert 0.38 < yes_share(made(asking, 200)) < 0.62


def test_words_do_not_tell_that_a_cell_is_empty() -> None:
    asking = create({**PLAIN, "questions": 11, "transcriptions": 0, "most_rows": 6})
    tasks = [t for s in made(asking, 200) for t in s.tasks if '"not given"' in t.question]
    empty = sum(t.answer_text == "not given" for t in tasks)
    assert {t.task for t in tasks} == {"table_lookup", "table_missing"}
    assert 5 < empty < 0.6 * len(tasks)


def test_golden_sample(generator: TablesGenerator, request: pytest.FixtureRequest) -> None:
    sample = make(generator, 5)
    assert sample is not None
    check_golden("tables", sample, request.config.getoption("--update-golden"))


def test_hash_seeds_do_not_matter() -> None:
    check_hash_seeds("nanovl.synth.tables.generator", '{"fonts": ["builtin"]}')


def small(seed: int = 0) -> Table:
    rng = random.Random(seed)
    return build(draw_plan(rng, is_plain=True, most_rows=8), rng)


@pytest.mark.parametrize("borders", BORDERS)
def test_text_boxes_hold_the_ink_of_their_cell(borders: str) -> None:
    table = small(4)
    style = Style(family="builtin", borders=borders, caption="none", line=(255, 255, 255))
    drawn = draw_table(table, style)
    page = drawn.pages[0].image
    dark = np.asarray(page.convert("L")) < 128
    for found in drawn.boxes:
        x0, y0, x1, y1 = (int(v) for v in found.area)
        part = dark[y0 + 1 : y1 - 1, x0 + 1 : x1 - 1]
        assert part.any() == (found.text is not None)
        if found.text is not None:
            tx0, ty0, tx1, ty1 = (int(v) for v in found.text)
            assert x0 <= tx0 < tx1 <= x1
            assert y0 <= ty0 < ty1 <= y1
            inside = dark[ty0 : ty1 + 1, tx0 : tx1 + 1].sum()
            assert inside == part.sum()


def test_cells_tile_the_table() -> None:
    table = small(7)
    drawn = draw_table(table, Style(family="builtin"))
    x0, y0, x1, y1 = drawn.pages[0].table
    area = sum((b.area[2] - b.area[0]) * (b.area[3] - b.area[1]) for b in drawn.boxes)
    assert area == (x1 - x0) * (y1 - y0)


def test_a_long_table_goes_on_with_its_head_repeated() -> None:
    for seed in range(40):
        table = small(seed)
        if table.height - table.head < 6:
            continue
        drawn = draw_table(table, Style(family="builtin"), rows_a_page=3)
        assert len(drawn.pages) >= 2
        body = [r for page in drawn.pages for r in range(page.first, page.last)]
        assert body == list(range(table.head, table.height))
        for k, cell in enumerate(table.cells):
            count = sum(b.cell == k for b in drawn.boxes)
            assert count == (len(drawn.pages) if cell.role == "head" else 1)


def test_totals_and_derived_columns_close() -> None:
    seen: set[str] = set()
    for sample in made(create({**PLAIN, "most_rows": 12}), 80):
        meaning = sample.gt["column_meaning"]
        rows = sample.gt["row_meaning"]
        values: dict[tuple[int, int], float | None] = {}
        cells = [c for page in sample.gt["pages"] for c in page["cells"]]
        for c in cells:
            if c["role"] == "data":
                text = c["text"].split(" +/-")[0]
                number = first_number(text)
                if number is not None and text[:1] == "(":
                    number = -number
                if number is not None and text[:1] == "-" and number > 0:
                    number = -number
                values[c["row"] - sample.gt["head_rows"], c["column"]] = number
        for r, row in enumerate(rows):
            if row["kind"] != "total":
                continue
            for k in range(len(meaning)):
                at = sample.gt["stub_columns"] + k
                total = values.get((r, at))
                if total is None:
                    continue
                parts = [
                    values[q, at] or 0.0 for q, other in enumerate(rows) if other["kind"] == "data"
                ]
                assert total == pytest.approx(sum(parts), abs=0.02)
                seen.add("total")
        for k, m in enumerate(meaning):
            if m["rule"] == "difference":
                seen.add("difference")
                one, two = (n for n in (m["path"][0].split(" (")[0].split(" less ")))
                names = [c["path"][0].split(" (")[0] for c in meaning]
                a, b = names.index(one), names.index(two)
                stub = sample.gt["stub_columns"]
                for r, row in enumerate(rows):
                    if row["kind"] == "data":
                        x, y = values[r, stub + a] or 0.0, values[r, stub + b] or 0.0
                        assert values[r, stub + k] == pytest.approx(x - y, abs=0.02)
    assert seen == {"total", "difference"}


def test_lookups_read_the_cell_of_the_ground_truth(generator: TablesGenerator) -> None:
    checked = 0
    for sample in made(generator, 60):
        texts = {c["text"] for page in sample.gt["pages"] for c in page["cells"]}
        for task in sample.tasks:
            if task.task in ("table_lookup", "table_at_box") and task.verifier == "exact_ci":
                assert task.answer_text in texts
                checked += 1
            if task.task == "table_box":
                box = list(task.answer.boxes[0])
                assert box in [c["bbox"] for c in sample.gt["cells"]]
    assert checked > 10


def test_a_missing_typeface_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    package, files = typefaces.FAMILIES["gothic"]
    gone = {style: "opentype/none.otf" for style in files}
    monkeypatch.setitem(typefaces.FAMILIES, "gothic", (package, gone))
    with pytest.raises(BackendError, match="apt install fonts-urw-base35"):
        typefaces.font_file("gothic")
    assert not typefaces.has_family("gothic")


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"fonts": ["papyrus"]}, "papyrus"),
        ({"fonts": []}, "at least one"),
        ({"forms": ["xls"]}, "xls"),
        ({"most_rows": 1}, "most_rows"),
        ({"multipage": 2.0}, "multipage"),
    ],
)
def test_bad_settings_are_named(settings: dict[str, object], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        create(settings)


def test_installed_typefaces_draw_differently() -> None:
    families = [f for f in ("dejavu-sans", "liberation-serif") if typefaces.has_family(f)]
    if len(families) < 2:
        pytest.skip("needs fonts-dejavu and fonts-liberation2")
    pictures = []
    for family in families:
        out = io.BytesIO()
        draw_table(small(1), Style(family=family)).pages[0].image.save(out, "PNG")
        pictures.append(Image.open(io.BytesIO(out.getvalue())).size)
    assert pictures[0] != pictures[1]
