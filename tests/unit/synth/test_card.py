"""Cards say what is in data sets, and what is wrong with them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nanovl.core.errors import ConfigError
from nanovl.synth.card import write_card
from nanovl.synth.datasets import open_data_set, open_data_sets
from nanovl.synth.provenance import categories_of, font_licences, gaps_of, tools_of
from nanovl.synth.registry import GENERATORS
from nanovl.synth.run import Job, run
from tests.unit.synth.gallery.data_sets import HOSTILE, page_set, picture, record, write_set


def test_a_card_counts_what_is_there(tmp_path: Path) -> None:
    run(Job(generator="scenes-2d", out=tmp_path / "scenes", count=12, shard_size=5))
    source = open_data_set(tmp_path / "scenes")
    card = write_card([source], model="tiny")
    assert card.markdown == tmp_path / "scenes" / "DATASET.md"
    assert card.json == tmp_path / "scenes" / "dataset.json"
    facts = json.loads(card.json.read_text())
    (entry,) = facts["data_sets"]
    records = (tmp_path / "scenes" / "scenes.jsonl").read_text().splitlines()
    assert entry["samples"] + entry["lost"] == 12
    assert entry["records"] == len(records) == sum(entry["tasks"].values())
    assert entry["answers"] == {"checked": len(records), "wrong": 0}
    assert entry["boxes"]["found"] > 12
    assert sum(entry["languages"].values()) == entry["samples"] == sum(entry["difficulty"].values())
    assert entry["tokens"]["records"] == len(records)
    assert sum(count for *_, count in entry["tokens"]["all"]["histogram"]) == len(records)
    assert sum(count for *_, count in entry["longer_side_px"]) == entry["media"]["image"]
    assert len(entry["files"]) == 9
    assert entry["command"] == (
        "nanovl synth run scenes-2d scenes --count 12 --split train --shard-size 5"
    )
    assert card.problems == ()
    text = card.markdown.read_text()
    for words in ("## Licences", "CLEVR-like", entry["config_hash"], entry["sha256"], "pillow"):
        assert words in text


def test_the_same_data_gives_the_same_card(tmp_path: Path) -> None:
    source = open_data_set(page_set(tmp_path / "pages"))
    cards = [write_card([source], tmp_path / n, model="tiny", name="x") for n in ("a", "b")]
    assert cards[0].markdown.read_bytes() == cards[1].markdown.read_bytes()
    assert cards[0].json.read_bytes() == cards[1].json.read_bytes()


def test_problems_are_told(tmp_path: Path) -> None:
    name = "ocr-page-train-000000000"
    gt = {"blocks": [{"class": "text", "bbox": [0, 0, 900, 20]}], "fonts": ["No Such Font"]}
    media = {"image": ("image", "png", picture(), {"width": 400, "height": 260})}
    wrong = record(name, 0, "What?", "no", {"type": "text", "value": "yes"})
    write_set(tmp_path / "set", {name: {"gt": gt, "media": media, "records": [wrong]}})
    card = write_card([open_data_set(tmp_path / "set")], model="tiny")
    assert card.problems == (
        "set: 1 reference answers do not pass their own check",
        "set: 1 samples have boxes outside their picture",
        "licence unknown of the fonts No Such Font",
    )
    assert "Check before passing renderings on: No Such Font." in card.markdown.read_text()


def test_several_data_sets_need_a_folder(tmp_path: Path) -> None:
    page_set(tmp_path / "all" / "a", 2)
    page_set(tmp_path / "all" / "b", 3)
    sources = open_data_sets([tmp_path / "all"])
    with pytest.raises(ConfigError, match="--out"):
        write_card(sources, model="tiny")
    card = write_card(sources, tmp_path / "all", model="tiny")
    assert card.facts["total"] == {"samples": 5, "records": 10, "lost": 0}
    assert card.facts["name"] == "all"


def test_pages_of_synth_tex_tell_their_gates(tmp_path: Path) -> None:
    page = {"width": 400, "height": 260, "dpi": 144, "blocks": []}
    (tmp_path / "paper-p0001.json").write_text(json.dumps(page))
    (tmp_path / "paper-p0001.png").write_bytes(picture())
    totals = {"glyphs": 1000, "found": 999, "same": 998, "chars": 10, "covered": 10, "maths": 0}
    report = {"status": "ok", "pages": 2, "good_pages": 1, "rejected": {"positions": 1},
              "totals": totals}  # fmt: skip
    (tmp_path / "paper-report.json").write_text(json.dumps(report))
    (entry,) = write_card([open_data_set(tmp_path)]).facts["data_sets"]
    assert entry["verification"]["rates"]["positions"] == 0.999
    assert entry["verification"]["rates"]["maths"] is None
    assert (entry["rejects"], entry["lost"]) == ({"positions": 1}, 1)


def test_text_of_data_is_no_markup(tmp_path: Path) -> None:
    source = open_data_set(page_set(tmp_path / "pages", 1))
    text = write_card([source], model="tiny", name=f"a|b {HOSTILE}").markdown.read_text()
    assert "<script" not in text.replace("\\<script", "")
    assert "a\\|b" in text


def test_every_generator_says_what_it_replaces() -> None:
    assert [name for name in GENERATORS if not categories_of(name)] == [], (
        "add them to CATEGORIES in synth/provenance.py"
    )
    assert categories_of("text-unheard-of") == ()


def test_tools_and_gaps_belong_to_generators() -> None:
    assert "matplotlib" in [name for name, *_ in tools_of(["charts"])]
    assert "matplotlib" not in [name for name, *_ in tools_of(["charts-drawn"])]
    assert [name for name, *_ in tools_of(["text-maths"])] == ["numpy", "pillow"]
    assert any("voice" in gap for gap in gaps_of(["video-slides"]))
    assert not any("voice" in gap for gap in gaps_of(["video-shapes"]))


def test_the_bundled_font_is_free() -> None:
    (font,) = font_licences(["builtin"])
    assert (font.licence, font.is_open) == ("CC0-1.0", True)
    (unknown,) = font_licences(["No Such Font"])
    assert not unknown.is_open
