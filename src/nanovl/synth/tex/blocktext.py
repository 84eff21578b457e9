"""Writes the text of blocks: plain, Markdown and LaTeX; of formulas through `formulas`.

Must not move or join blocks.

Source: data synthesis specification, sections 3.10 and 3.12.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from nanovl.synth.tex.blocks import Block
from nanovl.synth.tex.events import Row
from nanovl.synth.tex.formulas import write_formula
from nanovl.synth.tex.maths import Converter
from nanovl.synth.tex.richtext import code_lines, markdown_of, plain_of, words_of

__all__ = ["write_block"]

_BULLETS = "\u2022\u2219\u25e6\u2023\u25aa\u25cf\u25cb\u2013\u2217*\u00b7\u22c5\u2022\u25b6\u25a0-"


def write_block(block: Block, converter: Converter, rows: Mapping[int, Row] | None = None) -> None:
    """Fill in words, lines, text and markup of a block."""
    items = block.items
    block.words, block.lines = words_of(items)
    block.maths = sorted({i.state.math for i in items if i.state.math})
    if block.klass == "Formula":
        write_formula(block, converter, rows or {})
        return
    if block.klass == "Picture":
        block.text = plain_of(items)
        block.markdown = "<graphics>"
        return
    if block.klass == "Table":
        grid = block.grid
        block.text = plain_of(items)
        if grid is not None and not grid.problem:
            block.latex, block.html, block.otsl = grid.latex(), grid.html(), grid.otsl()
            block.text = grid.text()
            block.markdown = grid.markdown() or block.latex
        return
    if block.klass == "Code":
        block.text = code_lines(items)
        block.markdown = f"```\n{block.text}\n```"
        return
    block.text = plain_of(items)
    is_plain = block.klass in ("Section-header", "Title", "Page-header", "Page-footer", "TOC")
    block.markdown = markdown_of(items, converter, styled=not is_plain)
    if block.klass == "Section-header":
        block.markdown = "#" * min(max((block.level or 0) + 1, 1), 6) + " " + block.markdown
    elif block.klass == "Title":
        block.markdown = f"# {block.markdown}"
    elif block.klass == "List-item" and block.list_ is not None:
        _write_item(block)


def _write_item(block: Block) -> None:
    assert block.list_ is not None
    match = re.match(r"^(\S{1,8})\s+", block.text)
    marker = match.group(1) if match else ""
    kind = "description"
    if marker and all(c in _BULLETS for c in marker):
        kind = "unordered"
        body = re.sub(r"^\S+\s+|^\\\(.*?\\\)\s+", "", block.markdown, count=1)
        block.markdown = f"- {body}"
    elif re.fullmatch(r"[(\[]?[0-9A-Za-z]{1,4}[.)\]]{1,2}", marker):
        kind = "ordered"
    else:
        marker = ""
    block.list_ |= {"kind": kind, "marker": marker}
    indent = "  " * (block.list_["depth"] - 1)
    block.markdown = indent + block.markdown
