"""Boxes inside maths: text, rows of alignments, and what the kernel builds out of boxes.

Matrices, sized delimiters, roots with a degree, braces and dots are recognised by how LaTeX builds
them. Must not convert noads (`maths` does).

Source: data synthesis specification, section 3.10.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from nanovl.synth.tex.events import Font, Maths
from nanovl.synth.tex.glyphs import UNKNOWN
from nanovl.synth.tex.mathchars import Characters
from nanovl.synth.tex.mathnames import MathNames
from nanovl.synth.tex.mathsymbols import BIG_SIZES
from nanovl.synth.tex.mathtext import join, text_command

__all__ = ["Boxes"]

_ORD, _INNER = 0, 9  # kinds of noads
_ANY = -1
_SP = 65781.76
_MATRICES = {
    ("(", ")"): "pmatrix", ("[", "]"): "bmatrix", ("\\{", "\\}"): "Bmatrix", ("|", "|"): "vmatrix",
    ("\\|", "\\|"): "Vmatrix", ("\\{", "."): "cases",
}  # fmt: skip


_BARS = {"\u00af", "\u02c9", "\u0304", "\u0127"}
_BAR_SLOTS = (0x16, 0x09)  # of classic and of T1 text fonts
# Steps of amsmath's sizes.
_BIG_STEPS = ((1.0, "\\big"), (1.5, "\\Big"), (2.0, "\\bigg"), (2.5, "\\Bigg"))


class Boxes(Characters, ABC):
    """Boxes in the maths lists of one document.

    Args:
        fonts: Of the document.
        maths: Of the document.
        names: What the engine called its characters.
    """

    def __init__(
        self,
        fonts: Mapping[int, Font],
        maths: Mapping[int, Maths],
        names: MathNames | None = None,
    ) -> None:
        super().__init__(fonts, names)
        self.maths = maths

    @abstractmethod
    def latex(self, number: int) -> str:
        """LaTeX of a list, without delimiters."""

    def plain_text(self, number: int) -> str | None:
        """Text of a list that is no maths: a box alone, or only characters of a text font.

        Returns:
            The text; None when the list is maths.
        """
        entry = self.maths.get(number)
        if entry is None:
            return ""
        parts: list[str] = []
        chars = 0
        for node in entry.tree:
            if node[0] == "n" and node[2] is None and node[3] is None and node[1:] == [0, None]:
                continue
            if node[0] != "n" or node[2] is None:
                return None
            empty = node[2] in (["l", []], None)
            scripts = [s for s in (node[3], node[4] if len(node) > 4 else None) if s]
            if empty and len(scripts) == 1 and scripts[0][0] == "b":
                parts.append(self._box_plain(scripts[0]))
            elif not scripts and node[2][0] == "b":
                parts.append(self._box_plain(node[2]))
            elif not scripts and node[2][0] == "c":
                font = self.fonts.get(node[2][1])
                name = font.name.lower() if font else ""
                if not font or (
                    not re.match(r"(cmtt|cmr|lmtt|ectt|t1)", name) and "mono" not in name
                ):
                    return None
                parts.append(font.texts.get(node[2][2], UNKNOWN))
                chars += 1
            else:
                return None
        if any("\\" in part for part in parts):
            return None
        if chars and (chars < 4 or not any(c in "".join(parts) for c in ":/@.")):
            return None
        return "".join(parts)

    def _is_hbar(self, nodes: list[Any]) -> bool:
        """A bar drawn over an h, where the fonts have no \\hbar."""
        if len(nodes) == 2 and nodes[0][0] == "C" and nodes[1][:2] == ["n", _ORD]:
            box = nodes[0][1][0][2] if nodes[0][1] and nodes[0][1][0][0] == "n" else None
            if not box or box[0] != "b" or self._box_plain(box) not in _BARS:
                return False
            return nodes[1][2][0] == "c" and self._char(nodes[1][2], _ANY)[0] == "h"
        kinds = [n[0] for n in nodes]
        marks = [n[2] for n in nodes if n[0] == "n" and n[2] and n[2][0] == "c"]
        if kinds.count("n") != 2 or len(marks) != 2 or set(kinds) - {"n", "k", "g"}:
            return False
        if self._char(marks[1], _ANY) != ("h", ""):
            return False
        font = self.fonts.get(marks[0][1])
        text = font.texts.get(marks[0][2], "") if font else ""
        if font and font.sizes.get(marks[0][2], (1.0,))[0] == 0.0:
            return text in (*_BARS, UNKNOWN)
        gap = nodes[kinds.index("n") + 1]
        return gap[0] in ("k", "g") and gap[1] < 0 and (text in _BARS or marks[0][2] in _BAR_SLOTS)

    def _root(self, nodes: list[Any]) -> str:
        nodes = [
            n[2] if n[0] == "n" and n[2] and n[2][0] == "b" and not n[3] and not n[4] else n
            for n in nodes
        ]
        boxes = [n for n in nodes if n[0] == "b"]
        if len(boxes) != 2 or any(n[0] not in ("b", "k", "g") for n in nodes):
            return ""
        numbers = [b[2][0][1] for b in boxes if b[2] and b[2][0][0] == "m"]
        if len(numbers) != 2:
            return ""
        degree, body = (self.latex(n) for n in numbers)
        degree = re.sub(r"^\\scriptscriptstyle\s*", "", degree)
        match = re.fullmatch(r"(?:\\\w+style\s*)?\\sqrt\{(.*)\}", body, re.DOTALL)
        return f"\\sqrt[{degree}]{{{match.group(1)}}}" if match else ""

    def _dots(self, nodes: list[Any]) -> str:
        chars = [n[2] for n in nodes if n[0] == "n" and n[2] and n[2][0] == "c" and not n[3]]
        others = [n for n in nodes if n[0] in ("f", "R", "A", "F", "C")]
        if len(chars) == 3 and not others:
            texts = {self._char(c, _ANY)[0] for c in chars}
            if texts == {"."}:
                return "\\ldots"
            if texts == {"\\cdot"}:
                return "\\cdots"
        boxes = [n for n in nodes if n[0] == "b" or (n[0] == "n" and n[2] and n[2][0] == "b")]
        if len(boxes) == 3 and not chars:
            inner = [b if b[0] == "b" else b[2] for b in boxes]
            texts = {self._box_plain(b).strip() for b in inner}
            if texts == {"."}:
                return "\\ddots"
        return ""

    def _big(self, nucleus: list[Any]) -> tuple[str, str] | None:
        """Delimiter in a size of its own: a hidden list with a fence around an empty box."""
        number: int | None = None
        if nucleus[0] == "l" and len(nucleus[1]) == 1 and nucleus[1][0][0] in ("n", "b"):
            inner = nucleus[1][0]
            inner = inner[2] if inner[0] == "n" and not inner[3] and not inner[4] else inner
            return self._big(inner) if inner and inner[0] in ("b", "l") else None
        if nucleus[0] == "b" and len(nucleus[2]) == 1 and nucleus[2][0][0] == "m":
            number = nucleus[2][0][1]
        entry = self.maths.get(number) if number is not None else None
        if entry is None:
            return None
        nodes = [n for n in entry.tree if n[0] not in ("S", "g", "k")]
        if len(nodes) == 1 and nodes[0][0] == "n" and nodes[0][2] and nodes[0][2][0] == "l":
            nodes = nodes[0][2][1]
        if len(nodes) != 3 or nodes[0][0] != "F" or nodes[2] != ["F", 3, None]:
            return None
        box = nodes[1][2] if nodes[1][0] == "n" else nodes[1]
        if not box or box[0] != "b" or box[2]:
            return None
        size = box[3] / _SP
        if entry.big:
            name = min(_BIG_STEPS, key=lambda pair: abs(pair[0] * entry.big - size))[1]
        else:
            quad = entry.quad or 10.0
            name = min(BIG_SIZES, key=lambda pair: abs(pair[0] * quad - size))[1]
        return name, self._delimiter(nodes[0][2])

    def _brace(self, nucleus: list[Any]) -> str:
        """\\overbrace and \\underbrace: an alignment of the body and the pieces of the brace."""
        if nucleus[0] != "b":
            return ""
        numbers = [item[1] for item in _flat(nucleus) if len(item) == 2 and item[0] == "m"]
        bodies = [re.sub(r"^\\displaystyle\s*", "", self.latex(n)) for n in numbers]
        marks = [k for k, body in enumerate(bodies) if body and body[0] in "\u23de\u23df"]
        others = [k for k, body in enumerate(bodies) if body and k not in marks]
        if not marks or len(others) != 1:
            return ""
        command = "\\overbrace" if marks[0] < others[0] else "\\underbrace"
        return f"{command}{{{bodies[others[0]]}}}"

    def _box_plain(self, box: list[Any]) -> str:
        parts: list[str] = []
        for item in box[2]:
            if item == "_":
                parts.append(" ")
            elif isinstance(item, list) and item and isinstance(item[0], int):
                font = self.fonts.get(item[0])
                parts.append(font.texts.get(item[1], UNKNOWN) if font else UNKNOWN)
            elif isinstance(item, list) and item and item[0] == "m":
                parts.append(self.latex(item[1]))
        return "".join(parts)

    def _box(self, box: list[Any], style: str) -> list[str]:
        items = box[2]
        if any(isinstance(i, list) and i and i[0] == "r" for i in items):
            return [self._rows(items, "", style)]
        texts: list[str] = []
        out: list[str] = []

        def flush() -> None:
            if texts:
                word = "".join(texts)
                if box[1] == "v" and word.replace(" ", "") in ("...", "\u22ee"):
                    out.append("\\vdots")
                elif word.strip():
                    out.append(text_command(word))
                elif out:
                    out.append("\\ ")
                texts.clear()

        for item in items:
            if item == "_":
                texts.append(" ")
            elif isinstance(item, str):
                continue
            elif isinstance(item[0], int):
                font = self.fonts.get(item[0])
                text = font.texts.get(item[1], UNKNOWN) if font else UNKNOWN
                if text == UNKNOWN:
                    self._mark(f"box {font.name if font else '?'}:{item[1]}")
                texts.append(text)
            elif item[0] == "m":
                flush()
                inner = self.latex(item[1])
                if item[1] in self._bad:
                    self._bad.add(self._now)
                if style == "display" or style == "text":
                    inner = re.sub(rf"^\\{style}style\s*", "", inner)
                if inner:
                    out.append(inner)
        flush()
        if box[1] == "v" and join(out) in ("...", "\\ldotp\\ldotp\\ldotp"):
            return ["\\vdots"]
        return out

    def _rows(self, items: list[Any], environment: str, style: str) -> str:
        rows: list[list[str]] = []
        first_style = ""
        for item in items:
            if not (isinstance(item, list) and item and item[0] == "r"):
                continue
            cells = []
            for cell in item[1:]:
                body = join(self._box(["b", "h", [i for i in cell if i != "u"], 0], "cell"))
                match = re.match(r"^\\(display|text|script)style\s*", body)
                if match:
                    first_style = first_style or match.group(1)
                    body = body[match.end() :]
                cells.append(re.sub(r"(?:\\[ ,:;]|\\q?quad)+$", "", body).strip())
            while len(cells) > 1 and not cells[-1]:
                cells.pop()
            rows.append(cells)
        while rows and not any(rows[-1]):
            rows.pop()
        width = max((len(r) for r in rows), default=0)
        body = " \\\\ ".join(" & ".join(r) for r in rows)
        if not environment:
            if first_style == "display":
                environment = "aligned" if width > 1 else "gathered"
            elif first_style == "script" and style not in ("script", "scriptscript"):
                environment = "smallmatrix"
            elif style in ("script", "scriptscript") and width <= 1:
                return f"\\substack{{{body}}}"
            else:
                columns = "c" * max(width, 1)
                return f"\\begin{{array}}{{{columns}}} {body} \\end{{array}}"
        return f"\\begin{{{environment}}} {body} \\end{{{environment}}}"

    def _fenced_rows(self, nodes: list[Any], index: int, style: str) -> tuple[str, int]:
        """A matrix with its delimiters, from `index` on: LaTeX and the nodes used, or ("", 0)."""
        node = nodes[index]
        if node[0] != "F" and node[0] == "n" and node[1] == _INNER and node[2]:
            inner = node[2][1] if node[2][0] == "l" else []
            if inner and inner[0][0] == "F" and not node[3] and not node[4]:
                text, used = self._fenced_rows(inner, 0, style)
                return (text, 1) if used == len(inner) else ("", 0)
        if node[0] != "F" or node[1] != 1:
            return "", 0
        end = index + 1
        rows = None
        while end < len(nodes) and nodes[end][0] in ("g", "k", "n", "S"):
            if nodes[end][0] == "n":
                box = nodes[end][2]
                is_rows = (
                    box
                    and box[0] == "b"
                    and any(isinstance(i, list) and i[0] == "r" for i in box[2])
                )
                if rows is not None or not is_rows or nodes[end][3] or nodes[end][4]:
                    if box not in (None, ["l", []]):
                        return "", 0
                else:
                    rows = box
            end += 1
        if rows is None or end >= len(nodes) or nodes[end][0] != "F" or nodes[end][1] != 3:
            return "", 0
        pair = (self._delimiter(node[2]), self._delimiter(nodes[end][2]))
        environment = _MATRICES.get(pair)
        if environment is None:
            body = self._rows(rows[2], "matrix", style)
            return f"\\left{pair[0]}{body}\\right{pair[1]}", end - index + 1
        return self._rows(rows[2], environment, style), end - index + 1


def _flat(value: Any) -> list[Any]:
    found = []
    if isinstance(value, list):
        found.append(value)
        for item in value:
            found.extend(_flat(item))
    return found
