"""Exports of a page, and their coordinates."""

from __future__ import annotations

import pytest

from nanovl.core.errors import ConfigError
from nanovl.synth.tex.export import COCO_CLASSES, coco_set, export_page

PAGE = {
    "width": 1000, "height": 2000, "dpi": 144,
    "blocks": [
        {"class": "Page-header", "bbox": [0.0, 0.0, 10.0, 10.0], "markdown": "head"},
        {"class": "Text", "bbox": [100.4, 200.6, 300.2, 400.0], "markdown": "body"},
        {"class": "Code", "bbox": [100.0, 500.0, 300.0, 600.0], "markdown": "```\nx\n```"},
    ],
}  # fmt: skip


def test_markdown_leaves_headers_out() -> None:
    assert export_page(PAGE, "markdown") == "body\n\n```\nx\n```\n"


def test_flat_boxes_hold_the_exact_ones() -> None:
    assert export_page(PAGE, "flat-xyxy")["ann"][1]["bbox"] == [100, 200, 301, 400]
    assert export_page(PAGE, "flat-xywh")["ann"][1]["bbox"] == [100, 200, 201, 200]


def test_parse_string() -> None:
    text = export_page(PAGE, "parse")
    assert "<x_0.1006><y_0.1000>body<x_0.2998><y_0.2000><class_Text>" in text


def test_coco_maps_classes() -> None:
    made = coco_set([("a.png", PAGE)])
    names = [COCO_CLASSES[a["category_id"] - 1] for a in made["annotations"]]
    assert names == ["Page-header", "Text", "Text"]
    assert made["images"][0]["file_name"] == "a.png"


def test_an_unknown_form_suggests() -> None:
    with pytest.raises(ConfigError, match="did you mean 'markdown'"):
        export_page(PAGE, "markdwn")
