"""Writes a page: picture, PDF of its own, and JSON of every block.

Must not judge pages (`verify` does).

Source: data synthesis specification, section 3.15.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nanovl.synth.tex.blocks import Block, Page
from nanovl.synth.tex.maths import Converter
from nanovl.synth.tex.verify import Check, PdfText

__all__ = ["page_json", "png_bytes", "write_page"]


def write_page(
    page: Page, pdf: PdfText, index: int, check: Check, converter: Converter, out: Path, name: str,
    dpi: int, image: str, keep_glyphs: bool,
) -> dict[str, str]:  # fmt: skip
    import pypdfium2

    stem = f"{name}-p{page.number:04d}"
    sheet = pdf.document[index]
    pixels = sheet.render(scale=dpi / 72, rev_byteorder=True).to_numpy()[..., :3]
    height, width = pixels.shape[:2]
    files = {"image": f"{stem}.{image}", "pdf": f"{stem}.pdf", "json": f"{stem}.json"}
    if image == "png":
        (out / files["image"]).write_bytes(png_bytes(pixels))
    else:
        Image.fromarray(pixels).save(out / files["image"], quality=90)
    single = pypdfium2.PdfDocument.new()
    single.import_pages(pdf.document, [index])
    single.save(out / files["pdf"])
    single.close()
    sheet.close()
    data = page_json(page, check, converter, dpi, (width, height), keep_glyphs=keep_glyphs)
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    (out / files["json"]).write_text(text + "\n", encoding="utf-8")
    return files


def png_bytes(pixels: NDArray[np.uint8]) -> bytes:
    """A picture as PNG; grey where no pixel has a colour, lines unfiltered.

    Pages are mostly white: unfiltered lines at the lowest level are as small as filtered ones and
    take a fifth of the time.

    Args:
        pixels: (height, width, 3), red first.
    """
    is_grey = bool((pixels[..., 0] == pixels[..., 1]).all()) and bool(
        (pixels[..., 1] == pixels[..., 2]).all()
    )
    plane = pixels[..., :1] if is_grey else pixels
    height, width, channels = plane.shape
    lines = np.zeros((height, 1 + width * channels), np.uint8)  # each begins with its filter, none
    lines[:, 1:] = plane.reshape(height, width * channels)
    header = struct.pack(">IIBBBBB", width, height, 8, 0 if is_grey else 2, 0, 0, 0)
    out = [b"\x89PNG\r\n\x1a\n"]
    for kind, data in (
        (b"IHDR", header),
        (b"IDAT", zlib.compress(lines.tobytes(), 1)),
        (b"IEND", b""),
    ):
        out += [
            struct.pack(">I", len(data)),
            kind,
            data,
            struct.pack(">I", zlib.crc32(kind + data)),
        ]
    return b"".join(out)


def page_json(
    page: Page, check: Check, converter: Converter, dpi: int, size: tuple[int, int], *,
    keep_glyphs: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """A page as plain data; boxes in pixels of the picture, unrounded."""
    scale = dpi / 72

    def px(box: Sequence[float]) -> list[float]:
        return [round(v * scale, 3) for v in box]

    data: dict[str, Any] = {
        "page": page.number, "width_pt": round(page.width, 3), "height_pt": round(page.height, 3),
        "width": size[0], "height": size[1], "dpi": dpi, "rotation": page.rotation,
        "tags": page.tags, "problems": page.problems,
        "blocks": [_block_json(b, px) for b in page.blocks],
        "edges": _edges(page.blocks),
        "verify": check.to_dict(),
    }  # fmt: skip
    if keep_glyphs:
        data["glyphs"] = [
            {"text": i.text, "bbox": px(i.box), "origin": px((i.x, i.y))}
            for i in page.raw.items
            if i.kind == "glyph"
        ]
    return data


def _block_json(block: Block, px: Any) -> dict[str, Any]:
    mark = "<tbc>"
    text = (mark if block.continues else "") + block.text + (mark if block.is_continued else "")
    down = (mark if block.continues else "") + block.markdown
    down += mark if block.is_continued else ""
    out: dict[str, Any] = {
        "id": block.order, "class": block.klass, "bbox": px(block.box), "order": block.order,
        "text": text, "markdown": down,
        "lines": [{"bbox": px(box), "text": t} for box, t in block.lines],
        "words": [{"bbox": px(box), "text": t} for box, t in block.words],
    }  # fmt: skip
    if block.chain:
        out |= {"chain": block.chain, "chain_pos": block.chain_pos}
    for key, value in (
        ("level", block.level), ("list", block.list_), ("float", block.float_ or None),
        ("latex", block.latex or None), ("html", block.html or None), ("otsl", block.otsl or None),
        ("number", block.number or None), ("tags", block.tags or None),
    ):  # fmt: skip
        if value is not None:
            out[key] = value
    if block.grid is not None:
        grid = block.grid.to_dict()
        for cell in grid["cells"]:
            cell["bbox"] = px(cell["bbox"])
            cell["bbox_text"] = px(cell["bbox_text"]) if cell["bbox_text"] else None
        out["grid"] = grid
        if block.grid.problem:
            out["problem"] = block.grid.problem
    return out


def _edges(blocks: Sequence[Block]) -> dict[str, list[list[int]]]:
    captions = []
    for block in blocks:
        if block.klass == "Caption" and block.float_:
            for other in blocks:
                if other.float_ == block.float_ and other.klass in ("Picture", "Table", "Code"):
                    captions.append([block.order, other.order])
    return {"caption_of": captions}
