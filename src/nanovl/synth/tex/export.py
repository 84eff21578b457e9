"""A page's JSON in other forms: Markdown, flat layouts, the parser string, COCO, Docling.

Works on the plain data `compile` writes, so that pages can be exported long after they were made.
Must not read PDFs or pictures.

Source: data synthesis specification, sections 2.3, 3.1 and 3.15.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nanovl.core.config import nearest
from nanovl.core.errors import ConfigError

__all__ = ["COCO_CLASSES", "EXPORTS", "coco_set", "export_page"]

COCO_CLASSES = (
    "Caption", "Footnote", "Formula", "List-item", "Page-footer", "Page-header", "Picture",
    "Section-header", "Table", "Text", "Title",
)  # fmt: skip
_TO_COCO = {"Bibliography": "List-item", "TOC": "Table", "Code": "Text"}
_X_BINS, _Y_BINS = 1024, 1280  # of the parser string's coordinates


def export_page(page: Mapping[str, Any], form: str) -> Any:
    """A page in another form.

    Args:
        page: As written by `compile_document`.
        form: One of `EXPORTS`.

    Returns:
        Text for "markdown" and "parse", plain data for the others.

    Raises:
        ConfigError: Unknown form.
    """
    if form not in EXPORTS:
        raise ConfigError(
            f"export {form!r} is unknown; expected one of {', '.join(sorted(EXPORTS))}"
            f"{nearest(form, EXPORTS)}"
        )
    return EXPORTS[form](page)


def _markdown(page: Mapping[str, Any]) -> str:
    parts = [
        b["markdown"] for b in page["blocks"] if b["class"] not in ("Page-header", "Page-footer")
    ]
    return "\n\n".join(p for p in parts if p) + "\n"


def _flat(page: Mapping[str, Any], *, is_xywh: bool) -> dict[str, Any]:
    annotations = []
    for block in page["blocks"]:
        x0, y0, x1, y1 = _whole(block["bbox"], page["width"], page["height"])
        box = [x0, y0, x1 - x0, y1 - y0] if is_xywh else [x0, y0, x1, y1]
        annotations.append({"category_id": block["class"], "bbox": box, "content": _content(block)})
    return {
        "metadata": {
            "coord_scale_factor": page["dpi"] / 72 / 65781.76,
            "page_width_px": page["width"],
            "page_height_px": page["height"],
        },
        "ann": annotations,
    }


def _content(block: Mapping[str, Any]) -> str:
    if block["class"] == "Table" and block.get("latex"):
        return str(block["latex"])
    return "<graphics>" if block["class"] == "Picture" else str(block["markdown"])


def _whole(box: Sequence[float], width: int, height: int) -> tuple[int, int, int, int]:
    """A box in whole pixels that holds the exact one, cut to the picture."""
    return (
        max(0, math.floor(box[0])), max(0, math.floor(box[1])),
        min(width, math.ceil(box[2])), min(height, math.ceil(box[3])),
    )  # fmt: skip


def _parse(page: Mapping[str, Any]) -> str:
    """Parser string: corners as fractions of the page around each block's content."""
    parts = []
    for block in page["blocks"]:
        x0, y0, x1, y1 = block["bbox"]
        corners = [
            f"{min(max(round(v / size * bins), 0), bins) / bins:.4f}"
            for v, size, bins in (
                (x0, page["width"], _X_BINS), (y0, page["height"], _Y_BINS),
                (x1, page["width"], _X_BINS), (y1, page["height"], _Y_BINS),
            )
        ]  # fmt: skip
        content = "" if block["class"] == "Picture" else _content(block)
        parts.append(
            f"<x_{corners[0]}><y_{corners[1]}>{content}<x_{corners[2]}><y_{corners[3]}>"
            f"<class_{block['class']}>"
        )
    return "".join(parts)


def _coco(page: Mapping[str, Any]) -> list[dict[str, Any]]:
    out = []
    for block in page["blocks"]:
        name = _TO_COCO.get(block["class"], block["class"])
        x0, y0, x1, y1 = block["bbox"]
        out.append(
            {
                "category_id": COCO_CLASSES.index(name) + 1,
                "bbox": [x0, y0, x1 - x0, y1 - y0],
                "area": (x1 - x0) * (y1 - y0),
                "iscrowd": 0,
            }
        )
    return out


def coco_set(pages: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """A COCO data set of pages, given as (file name of the picture, page)."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, (name, page) in enumerate(pages, 1):
        images.append(
            {"id": number, "file_name": name, "width": page["width"], "height": page["height"]}
        )
        for annotation in _coco(page):
            annotations.append({"id": len(annotations) + 1, "image_id": number, **annotation})
    categories = [{"id": k + 1, "name": name} for k, name in enumerate(COCO_CLASSES)]
    return {"images": images, "annotations": annotations, "categories": categories}


_DOCLING = {
    "Text": "text", "Title": "title", "Section-header": "section_header", "List-item": "list_item",
    "Caption": "caption", "Table": "table", "Picture": "picture", "Formula": "formula",
    "Code": "code", "Footnote": "footnote", "Bibliography": "list_item", "TOC": "document_index",
    "Page-header": "page_header", "Page-footer": "page_footer",
}  # fmt: skip


def _docling(page: Mapping[str, Any]) -> dict[str, Any]:
    """A document of one page in Docling's schema; boxes in points, origin top left."""
    scale = 72 / page["dpi"]
    kinds: dict[str, list[dict[str, Any]]] = {"texts": [], "tables": [], "pictures": []}
    body: list[dict[str, str]] = []
    furniture: list[dict[str, str]] = []
    references: dict[int, str] = {}
    for block in page["blocks"]:
        label = _DOCLING[block["class"]]
        kind = {"Table": "tables", "TOC": "tables", "Picture": "pictures"}.get(
            block["class"], "texts"
        )
        is_furniture = label in ("page_header", "page_footer")
        reference = f"#/{kind}/{len(kinds[kind])}"
        references[block["id"]] = reference
        text = block.get("latex") if block["class"] == "Formula" else block["text"]
        x0, y0, x1, y1 = (round(v * scale, 3) for v in block["bbox"])
        item: dict[str, Any] = {
            "self_ref": reference,
            "parent": {"$ref": "#/body"},
            "children": [],
            "content_layer": "furniture" if is_furniture else "body",
            "label": label,
            "prov": [
                {
                    "page_no": page["page"],
                    "bbox": {"l": x0, "t": y0, "r": x1, "b": y1, "coord_origin": "TOPLEFT"},
                    "charspan": [0, len(text or "")],
                }
            ],
        }
        if kind == "texts":
            item |= {"orig": block["text"], "text": text or block["text"]}
            if label == "section_header":
                item["level"] = min(max(int(block.get("level") or 1), 1), 100)
            if label == "list_item":
                listed = block.get("list") or {}
                item |= {"enumerated": listed.get("kind") == "ordered",
                         "marker": listed.get("marker") or "-"}  # fmt: skip
            if label == "code":
                item |= {"captions": [], "references": [], "footnotes": [],
                         "code_language": "unknown"}  # fmt: skip
        else:
            item |= {"captions": [], "references": [], "footnotes": [], "annotations": []}
            if kind == "tables":
                item["data"] = _docling_table(block, scale)
        kinds[kind].append(item)
        (furniture if is_furniture else body).append({"$ref": reference})
    for caption, target in page["edges"]["caption_of"]:
        kind, _, number = references[target].removeprefix("#/").partition("/")
        owner = kinds[kind][int(number)]
        if "captions" in owner:
            owner["captions"].append({"$ref": references[caption]})
    size = {"width": page["width_pt"], "height": page["height_pt"]}
    return {
        "schema_name": "DoclingDocument", "version": "1.5.0", "name": f"page-{page['page']}",
        "furniture": {"self_ref": "#/furniture", "children": [], "content_layer": "furniture",
                      "name": "_root_", "label": "unspecified"},
        "body": {"self_ref": "#/body", "children": [*body, *furniture], "content_layer": "body",
                 "name": "_root_", "label": "unspecified"},
        "groups": [], **kinds, "key_value_items": [], "form_items": [],
        "pages": {str(page["page"]): {"size": size, "page_no": page["page"]}},
    }  # fmt: skip


def _docling_table(block: Mapping[str, Any], scale: float) -> dict[str, Any]:
    grid = block.get("grid") or {"rows": 0, "columns": 0, "cells": []}
    cells = []
    for cell in grid["cells"]:
        made: dict[str, Any] = {
            "row_span": cell["rowspan"], "col_span": cell["colspan"],
            "start_row_offset_idx": cell["r"], "end_row_offset_idx": cell["r"] + cell["rowspan"],
            "start_col_offset_idx": cell["c"], "end_col_offset_idx": cell["c"] + cell["colspan"],
            "text": cell["text"], "column_header": cell["header"], "row_header": False,
            "row_section": False,
        }  # fmt: skip
        if cell["bbox"]:
            x0, y0, x1, y1 = (round(v * scale, 3) for v in cell["bbox"])
            made["bbox"] = {"l": x0, "t": y0, "r": x1, "b": y1, "coord_origin": "TOPLEFT"}
        cells.append(made)
    return {"table_cells": cells, "num_rows": grid["rows"], "num_cols": grid["columns"]}


EXPORTS: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    "markdown": _markdown,
    "flat-xywh": lambda page: _flat(page, is_xywh=True),
    "flat-xyxy": lambda page: _flat(page, is_xywh=False),
    "parse": _parse,
    "coco": _coco,
    "docling": _docling,
}
