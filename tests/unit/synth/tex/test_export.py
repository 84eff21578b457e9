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


def test_docling_keeps_classes_boxes_and_captions() -> None:
    page = {
        "page": 3, "width": 1000, "height": 2000, "width_pt": 500.0, "height_pt": 1000.0,
        "dpi": 144, "edges": {"caption_of": [[1, 0]]},
        "blocks": [
            {"id": 0, "class": "Table", "bbox": [100, 200, 300, 400], "text": "a\tb", "grid": {
                "rows": 1, "columns": 2, "cells": [
                    {"r": 0, "c": 0, "rowspan": 1, "colspan": 1, "header": True, "text": "a",
                     "bbox": [100, 200, 200, 400]},
                    {"r": 0, "c": 1, "rowspan": 1, "colspan": 1, "header": True, "text": "b",
                     "bbox": [200, 200, 300, 400]}]}},
            {"id": 1, "class": "Caption", "bbox": [100, 420, 300, 440], "text": "Table 1"},
            {"id": 2, "class": "Formula", "bbox": [100, 500, 300, 540], "text": "E",
             "latex": "E=mc^2"},
            {"id": 3, "class": "Page-footer", "bbox": [490, 1900, 510, 1920], "text": "3"},
        ],
    }  # fmt: skip
    made = export_page(page, "docling")
    table = made["tables"][0]
    assert table["prov"][0]["bbox"] == {
        "l": 50.0, "t": 100.0, "r": 150.0, "b": 200.0, "coord_origin": "TOPLEFT"}  # fmt: skip
    assert [c["text"] for c in table["data"]["table_cells"]] == ["a", "b"]
    assert table["captions"] == [{"$ref": "#/texts/0"}]
    assert [t["label"] for t in made["texts"]] == ["caption", "formula", "page_footer"]
    assert made["texts"][1]["text"] == "E=mc^2"
    assert [c["$ref"] for c in made["body"]["children"]] == [
        "#/tables/0", "#/texts/0", "#/texts/1", "#/texts/2"]  # fmt: skip
    assert made["texts"][2]["content_layer"] == "furniture"
