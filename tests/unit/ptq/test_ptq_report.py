"""The report: everything in the file, sentences that follow from the figures, a page that opens."""

from __future__ import annotations

import csv
import html.parser
import io
import json
import math
import random
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nanovl.core.errors import CheckpointError
from nanovl.ptq import plots
from nanovl.ptq.findings import findings, shortened, worst_layer
from nanovl.ptq.report import to_csv, to_json, write_report
from nanovl.ptq.report_charts import (
    channel_heat,
    error_by_block,
    grid_of,
    histograms,
    mixtures,
    sensitivities,
)
from nanovl.ptq.report_page import page
from nanovl.ptq.results import LayerResult, Mixture, QuantResult
from tests.unit.ptq.quant_cases import layer, result, searched

SMALL = "M-*-M-M-"
HOSTILE = '</script><script>alert("x")</script>&'


class Page(html.parser.HTMLParser):
    """Checks nesting and collects what a browser would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.tags: list[str] = []
        self.loads: list[str] = []
        self.titles: list[str] = []
        self.feed(text)
        assert self.stack == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [f"{tag} {k}={v}" for k, v in attrs if k in ("src", "href")]
        self.tags.append(tag)
        if tag not in ("meta", "input"):
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.stack and self.stack[-1] in ("h1", "h2", "h3"):
            self.titles.append(data)


def texts(found: QuantResult) -> list[str]:
    return [f"{f.kind}: {f.text}" for f in findings(found)]


def change(found: QuantResult, number: int, **fields: Any) -> QuantResult:
    """The same with another layer."""
    layers = list(found.layers)
    layers[number] = replace(layers[number], **fields)
    return replace(found, layers=tuple(layers))


# --- files ----------------------------------------------------------------------------------------


def test_all_three_files_are_written_and_replaced(tmp_path: Path) -> None:
    write_report(result("fp8", SMALL), tmp_path)
    write_report(searched(5.4, SMALL), tmp_path)
    names = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.*"))
    assert names == ["quantization_report.json", "report/index.html", "report/layers.csv"]
    stored = json.loads((tmp_path / "quantization_report.json").read_text())
    assert stored["format"] == "mixed:5.4"
    assert "mixed:5.4" in (tmp_path / "report" / "index.html").read_text()


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "report").write_text("in the way")
    with pytest.raises(CheckpointError, match=r"report.*cannot be written"):
        write_report(result("fp8", "M"), tmp_path)


def test_json_holds_everything_and_is_stable() -> None:
    found = searched(6.0, SMALL)
    found = change(found, 0, input_sqnr_db=-math.inf, output_sqnr_db=math.nan)
    text = to_json(found)

    def no_constant(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    stored = json.loads(text, parse_constant=no_constant)
    assert list(stored) == list(found.to_dict())
    assert stored["layers"][0]["input_sqnr_db"] is None
    assert stored["layers"][0]["output_sqnr_db"] is None
    assert [x["name"] for x in stored["layers"]] == [x.name for x in found.layers]
    assert list(stored["layers"][0])[:3] == ["name", "role", "index"]
    assert stored["layers"][1]["input"] == dict(found.layers[1].input)
    assert stored["mixtures"][found.chosen]["formats"] == found.mixtures[found.chosen].formats
    assert stored["samples"] == found.samples
    # The order in which figures were gathered does not show.
    other = replace(found, sensitivity=dict(reversed(found.sensitivity.items())))
    other = change(other, 1, input=dict(reversed(found.layers[1].input.items())))
    assert to_json(other) == text
    # One line each.
    assert len(re.findall(r'^    \{"name": ', text, re.M)) == len(found.layers)
    assert len(re.findall(r'^    \{"formats": ', text, re.M)) == len(found.mixtures)
    groups = list(stored["sensitivity"])
    assert groups.index("language_model.backbone.layers.2.mixer.o_proj") < groups.index(
        "language_model.backbone.layers.3.mixer.down_proj"
    )


def test_names_sort_by_their_numbers() -> None:
    scores = {f"layers.{n}.up_proj": {"fp8": 0.1} for n in (10, 2, 1)}
    stored = json.loads(to_json(replace(result("fp8", "M"), sensitivity=scores)))
    assert list(stored["sensitivity"]) == [f"layers.{n}.up_proj" for n in (1, 2, 10)]


def test_csv_has_a_row_per_linear() -> None:
    found = change(searched(6.0, SMALL), 0, input_sqnr_db=math.inf, input={})
    rows = list(csv.DictReader(io.StringIO(to_csv(found))))
    assert [r["name"] for r in rows] == [x.name for x in found.layers]
    assert rows[0]["input_sqnr_db"] == "inf"
    assert rows[0]["input_crest"] == ""
    assert float(rows[1]["input_crest"]) == found.layers[1].input["crest"]
    assert float(rows[1]["weight_amax"]) == found.layers[1].weight["amax"]
    query = next(r for r in rows if r["role"] == "q_proj")
    group = query["name"].replace("q_proj", "qkv_proj")
    assert float(query["sensitivity"]) == found.sensitivity[group][query["format"]]
    assert int(rows[1]["outputs"]) == found.layers[1].shape[0]


# --- sentences ------------------------------------------------------------------------------------


def test_a_good_result_has_a_note_only() -> None:
    found = change(result("fp8", SMALL), 3, output_sqnr_db=20.04)
    assert texts(found) == [
        "note: layers.1.mixer.down_proj (fp8) loses most: the error of its product lies 20.0 dB "
        "below the product."
    ]
    worst = worst_layer(found.layers)
    assert worst is not None
    assert worst.index == 1


def test_problems_come_first_and_say_what_to_do() -> None:
    found = result("nvfp4", SMALL)
    found = change(found, 0, reached=False, input={})
    found = change(found, 1, amax_change=-0.31)
    found = change(found, 2, amax_change=0.1, input={"saturated": 0.004})
    found = change(found, 4, output_sqnr_db=3.0)
    found = change(found, 5, output_sqnr_db=9.0)
    said = texts(found)
    assert [s.partition(":")[0] for s in said] == ["bad", "warn", "warn", "warn"]
    assert said[0].startswith("bad: No sample reached layers.0.mixer.in_proj.")
    assert "1,024 samples are too few" in said[1]
    assert "of layers.0.mixer.out_proj by more than 10 % (at most by 31 %)" in said[1]
    assert "inputs of layers.1.mixer.up_proj" in said[2]
    assert "at most 0.4 %" in said[2]
    assert "loses most" in said[3]
    assert "1 more layers are below 10 dB" in said[3]


def test_layers_that_keep_their_inputs_are_not_warned_about() -> None:
    found = change(
        result("nvfp4-w4a16", "M"), 0, amax_change=5.0, input={"saturated": 0.5, "crest": 3.0}
    )
    assert [f.kind for f in findings(found)] == ["note"]


def test_many_names_are_cut_short() -> None:
    found = result("fp8", SMALL)
    found = replace(found, layers=tuple(replace(x, reached=False) for x in found.layers))
    shown = texts(found)[0]
    assert f"{len(found.layers)} layers (" in shown
    assert f"and {len(found.layers) - 3} more" in shown


def test_what_is_not_a_number_is_a_problem() -> None:
    found = change(result("fp8", SMALL), 0, output_sqnr_db=math.nan)
    assert texts(found)[0].startswith("bad: The error of layers.0.mixer.in_proj is not a number")
    assert worst_layer(found.layers) is not None
    found = replace(result("fp8", SMALL), divergence={"kl": math.nan})
    assert texts(found)[0].startswith("bad: The divergence of the whole model is not a number")
    found = replace(found, divergence={})
    assert any("was not measured" in s for s in texts(found))


def test_a_prediction_that_failed_is_said() -> None:
    found = searched(5.4, SMALL)
    assert found.chosen is not None
    at, curve = found.chosen, list(found.mixtures)
    for factor, words in ((5.0, "add to each other"), (0.1, "hide each other"), (1.2, "")):
        curve[at] = replace(curve[at], measured=curve[at].predicted * factor)
        said = [s for s in texts(replace(found, mixtures=tuple(curve))) if "predicted" in s]
        assert len(said) == bool(words)
        assert not words or words in said[0]


def test_nothing_rounded_and_nothing_lost() -> None:
    assert worst_layer(result("bf16", "M").layers) is None
    assert texts(result("bf16", "M"))[-1] == "note: No layer was rounded."
    one = result("fp8", "M")
    exact = replace(one, layers=tuple(replace(x, output_sqnr_db=math.inf) for x in one.layers))
    assert texts(exact)[-1] == "note: Every product is exactly what it was."


def test_names_are_shortened_by_what_all_have() -> None:
    long = ["a.b.layers.1.mixer.q_proj", "a.b.layers.10.mixer.o_proj"]
    assert list(shortened(long).values()) == ["layers.1.mixer.q_proj", "layers.10.mixer.o_proj"]
    one = ["a.b.layers.1.mixer.q_proj", "a.b.layers.1.mixer.o_proj"]
    assert list(shortened(one).values()) == ["mixer.q_proj", "mixer.o_proj"]
    assert shortened(["a.b.c.d"]) == {"a.b.c.d": "a.b.c.d"}
    assert shortened(["up", "x.down"]) == {"up": "up", "x.down": "x.down"}
    assert shortened([]) == {}


# --- page -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(result("fp8"), id="whole"),
        pytest.param(searched(), id="searched"),
        pytest.param(result("int8", "M"), id="one block"),
        pytest.param(replace(result("int4", "M"), layers=result("int4", "M").layers[:1]), id="one"),
        pytest.param(result("bf16", SMALL), id="nothing rounded"),
        pytest.param(result("nvfp4", "M-" * 200), id="hundreds"),
        pytest.param(
            QuantResult(source="x", format="fp8", algo="max", samples={}, layers=()), id="empty"
        ),
    ],
)
def test_the_page_is_whole_and_loads_nothing(found: QuantResult) -> None:
    text = page(found)
    parsed = Page(text)
    assert set(parsed.loads) <= {"a href=layers.csv", "a href=../quantization_report.json"}
    assert not re.search(r"https?://|@import|url\(", text)
    assert text.isascii()
    for word in ("nan", "Infinity%", "inf%", "None"):
        assert f'"{word}' not in text
        assert f">{word}<" not in text
    assert parsed.tags.count("tr") >= len(found.layers)


def test_sections_follow_what_there_is() -> None:
    plain, mixed = Page(page(result("fp8"))).titles, Page(page(searched())).titles
    assert "Output SQNR by block" in plain
    assert "Channels" in plain
    assert "Search" not in plain
    assert {"Size against divergence", "Sensitivity by group"} <= set(mixed)
    bare = replace(
        result("fp8", "M"),
        layers=tuple(replace(x, input={}, weight={}) for x in result("fp8", "M").layers),
    )
    assert "Channels" not in Page(page(bare)).titles


def test_headline_numbers() -> None:
    text = page(result("fp8"))
    for shown in ("0.0021", "99.12%", "1,024", "136", "1h 36m", "8.00"):
        assert f"<dd>{shown}</dd>" in text
    found = result("fp8")
    factor = found.bytes_before / found.bytes_after
    assert f"{factor:.2f} times smaller" in text


def test_names_cannot_break_out_of_the_page() -> None:
    found = searched(5.4, SMALL)
    evil = f"layers.0.{HOSTILE}"
    found = change(found, 0, name=evil, role=HOSTILE, format=HOSTILE)
    found = replace(
        found,
        source=HOSTILE,
        format=HOSTILE,
        algo=HOSTILE,
        samples={**found.samples, HOSTILE: HOSTILE},
        sensitivity={**found.sensitivity, HOSTILE: {HOSTILE: 0.1}},
        seconds={HOSTILE: 1.0},
    )
    text = page(found)
    assert "alert(" in text
    assert Page(text).tags.count("script") == 2  # the data of the curve, and the page's own


def test_infinite_and_missing_figures_are_words() -> None:
    found = change(result("fp8", SMALL), 0, output_sqnr_db=math.nan, weight_sqnr_db=-math.inf)
    found = change(
        found, 1, input={"crest": math.inf, "channel_ratio": math.inf}, input_sqnr_db=math.inf
    )
    text = page(found)
    assert ">not a number</td>" in text
    assert ">-inf dB</td>" in text
    assert ">infinite</td>" in text
    assert 'data-v="-Infinity"' in text


def test_histograms_show_what_the_format_can_hold() -> None:
    rng = random.Random(3)
    one = replace(layer(rng, 0, "down_proj", "fp8"), input_amax=448.0)
    grid = grid_of(one)
    assert grid is not None
    assert (grid.largest, grid.smallest, grid.beside) == (448.0, 2.0**-9, None)
    four = replace(layer(rng, 0, "down_proj", "nvfp4"), input_amax=2688.0)
    grid = grid_of(four)
    assert grid is not None
    assert (grid.largest, grid.smallest, grid.beside) == (2688.0, 2.0**-10, 224.0)
    assert grid_of(layer(rng, 0, "down_proj", "int8")) is None
    assert grid_of(replace(one, input_amax=0.0)) is None

    counted = {"log2": [-12.0, -10.0, 0.0, 8.0, 10.0, 12.0], "counts": [5, 80, 10, 4, 1]}
    one = replace(one, input={**one.input, "histogram": counted})
    (figure,) = histograms([one], {one.name: "down"})
    assert figure.count("<rect") == 5
    # 2^-12 to 2^-10 becomes 0; 2^8 to 2^10 holds 448 and stays; 2^10 to 2^12 is cut off.
    drawn = re.findall(r'fill="var\((--\w+)\)"><title>', figure)
    assert drawn == ["--s7", "--s0", "--s0", "--s0", "--bad"]
    assert "cut off" in figure
    assert figure.count('class="limit"') == 2


@pytest.mark.parametrize(
    "broken",
    [
        None,
        {},
        {"log2": [0.0, 1.0], "counts": []},
        {"log2": [0.0], "counts": [4]},
        {"log2": [0.0, 1.0], "counts": [0]},
    ],
)
def test_histograms_that_say_nothing_are_left_out(broken: Any) -> None:
    one = layer(random.Random(0), 0, "in_proj", "fp8")
    assert histograms([replace(one, input={**one.input, "histogram": broken})], {}) == []


def test_heat_map_takes_the_twelve_highest_crests_once_per_input() -> None:
    found = result("fp8")
    figure = channel_heat(found.layers, shortened(x.name for x in found.layers))
    assert figure.count('class="name"') == 12
    assert figure.count("<rect") == 12 * 16
    small = result("fp8", "*")
    figure = channel_heat(small.layers, shortened(x.name for x in small.layers))
    shown = re.findall(r'class="name"[^>]*>([^<]+)<', figure)
    assert sorted(shown) == ["mixer.o_proj", "mixer.qkv_proj"]


def test_heat_map_of_a_profile() -> None:
    one = layer(random.Random(0), 0, "in_proj", "fp8")
    runs = [1.0] * 100
    runs[37] = 50.0
    seen = {**one.input, "rms": 1.0, "channel_profile": runs}
    figure = channel_heat([replace(one, input=seen)], {one.name: "in_proj"})
    cells = re.findall(r'fill-opacity="([\d.]+)"><title>([^<]+)<', figure)
    assert len(cells) == 50  # two runs each
    hot = [text for opacity, text in cells if float(opacity) > 0.9]
    assert hot == ["channels 1,843 to 1,944: 50, 50.0 times the root mean square"]


def test_curve_marks_what_was_chosen() -> None:
    found = searched(5.4, SMALL)
    figure = mixtures(found)
    assert figure.count('<circle class="ring"') == 1
    measured = sum(m.measured is not None for m in found.mixtures)
    assert figure.count('r="4.5"') == measured > 0
    assert figure.count('r="4"') == len(found.mixtures)
    assert "bits per weight" in figure
    assert mixtures(replace(found, mixtures=())) == ""
    lossless = Mixture(formats={"a": "bf16"}, nbytes=4, predicted=0.0)
    assert mixtures(replace(found, mixtures=(lossless,), chosen=0)) == ""


def test_bars_show_the_costliest_groups_first() -> None:
    found = searched()
    figure = sensitivities(found)
    shown = re.findall(r'class="name"[^>]*>([^<]+)<', figure)
    assert len(shown) == len(found.sensitivity) == 124
    order = sorted(found.sensitivity, key=lambda g: -max(found.sensitivity[g].values()))
    assert shown == [g.removeprefix("language_model.backbone.") for g in order]
    assert "<summary>100 less sensitive groups</summary>" in figure
    # Two formats; the one that was not chosen is pale.
    assert figure.count("<rect") == 2 * 124
    assert figure.count('opacity="0.35"') == 124 + sum(
        f == "bf16" for f in found.mixtures[found.chosen or 0].formats.values()
    )
    assert sensitivities(replace(found, sensitivity={})) == ""
    assert sensitivities(replace(found, sensitivity={"a": {"fp8": 0.0}})) == ""


def test_curve_over_blocks_leaves_out_what_has_no_error() -> None:
    found = change(result("fp8", SMALL), 0, output_sqnr_db=math.inf, format="bf16")
    assert "1 layers without an error are not drawn" in error_by_block(found.layers)
    assert error_by_block(found.layers[:4]) == ""
    left: list[LayerResult] = [replace(x, output_sqnr_db=math.inf) for x in found.layers]
    assert error_by_block(left) == ""


def test_plots_without_values_are_nothing() -> None:
    assert plots.bar_chart("t", []) == ""
    assert plots.heat_map("t", [plots.Row(name="a", cells=[(0.0, "")])]) == ""
    assert plots.histogram("t", [0.0, 1.0], [0]) == ""
    assert plots.trade_off("t", [], str) == ""
    with pytest.raises(ValueError, match="2 edges for 2 counts"):
        plots.histogram("t", [0.0, 1.0], [1, 2])


def test_a_limit_is_a_line_of_the_curve() -> None:
    points = [plots.Point(x=1.0, y=0.1, text="a"), plots.Point(x=2.0, y=0.01, text="b <b>")]
    drawn = plots.trade_off("t", points, str, limit=0.03)
    assert drawn.count('class="limit"') == 1
    assert "b &lt;b&gt;" in drawn
