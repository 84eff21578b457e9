"""Maths lists as LuaTeX held them, written as macro-free LaTeX.

A list is taken before it becomes boxes: macros are expanded, structure is still there. What the
kernel builds out of pieces (long arrows, sized delimiters, roots with a degree, matrices) is put
back together. Knows no positions.

Source: data synthesis specification, section 3.10.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from nanovl.synth.tex.events import Font, Maths
from nanovl.synth.tex.glyphs import UNKNOWN
from nanovl.synth.tex.mathboxes import Boxes
from nanovl.synth.tex.mathnames import MathNames
from nanovl.synth.tex.mathnodes import colon_nodes, is_joinrel, is_neutral, short_fraction
from nanovl.synth.tex.mathsymbols import OPERATORS
from nanovl.synth.tex.mathtext import (
    binomials,
    group,
    is_token,
    join,
    needs_group,
    plain_style,
    rewritten,
    sequences,
    text_command,
)

__all__ = ["Converter"]

_ORD, _OP_DISPLAY, _OP_LIMITS, _OP_NOLIMITS, _BIN, _REL = range(6)
_OPEN, _CLOSE, _PUNCT, _INNER, _UNDER, _OVER = range(6, 12)
_ANY = -1
_MU = 65536
_SP = 65781.76
_INNER_STYLE = {"display": "script", "text": "script", "script": "scriptscript"}


class Converter(Boxes):
    """Turns the maths lists of one document into LaTeX.

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
        super().__init__(fonts, maths, names)
        self._done: dict[int, str] = {}

    def latex(self, number: int) -> str:
        """LaTeX of a list, without delimiters; "" for an empty one."""
        if number not in self._done:
            self._done[number] = ""  # a list inside itself ends here
            outer, self._now = self._now, number
            entry = self.maths.get(number)
            if entry is not None:
                style = "display" if entry.is_display else "text"
                latex = join(self._list(entry.tree, style))
                self._done[number] = rewritten(latex)
            self._now = outer
        return self._done[number]

    def is_exact(self, number: int) -> bool:
        """Whether every glyph of the list has a command or character."""
        self.latex(number)
        return number not in self._bad

    # -- lists ----------------------------------------------------------------------------------

    def _list(self, nodes: list[Any], style: str) -> list[str]:
        out: list[str] = []
        roman: list[str] = []
        alphabet = ""

        def flush() -> None:
            nonlocal alphabet
            if roman:
                word = "".join(roman)
                roman.clear()
                if alphabet == "boldcal":
                    out.append(f"\\boldsymbol{{\\mathcal{{{word}}}}}")
                elif alphabet:
                    out.append(f"\\{alphabet}{{{word}}}")
            alphabet = ""

        index = 0
        while index < len(nodes):
            node = nodes[index]
            kind = node[0]
            if kind == "S":
                flush()
                if node[1] != style:
                    style = node[1]
                    out.append(f"\\{plain_style(style)}style")
                index += 1
                continue
            matrix, used = self._fenced_rows(nodes, index, style)
            if used:
                flush()
                out.append(matrix)
                index += used
                continue
            used = colon_nodes(nodes, index)
            if used and join(self._node(nodes[index + used - 1], style)) == "{:}":
                flush()
                if index and nodes[index - 1][:2] == ["g", 2 * _MU] and out[-1:] == ["\\,"]:
                    out.pop()  # a part of amsmath's \\colon where that is a thin space
                out.append("\\colon")
                index += used
                continue
            if kind == "n" and node[1] == _REL and node[2] == ["l", []] and not node[3]:
                flush()
                index += 1
                continue
            if kind == "n" and is_joinrel(node):
                flush()
                out.append("\\joinrel")
                index += 1
                continue
            if kind == "n" and node[1] in (_ORD, _PUNCT) and node[2] and node[2][0] == "c":
                text, font_style = self._char(node[2], node[1])
                is_letter = font_style not in ("", None) and text.isalnum()
                scripts = self._scripts(node, style)
                if is_letter and font_style is not None:
                    if alphabet != font_style:
                        flush()
                        alphabet = font_style
                    roman.append(text)
                    if scripts:
                        word = roman.pop()
                        before = alphabet
                        flush()
                        base = f"\\{before}{{{word}}}"
                        if before == "boldcal":
                            base = f"\\boldsymbol{{\\mathcal{{{word}}}}}"
                        out.append(base + scripts)
                else:
                    flush()
                    out.append(text + scripts)
                index += 1
                continue
            flush()
            out.extend(self._node(node, style))
            index += 1
        flush()
        return binomials(sequences(out))

    def _node(self, node: list[Any], style: str) -> list[str]:
        kind = node[0]
        if kind == "n":
            return self._noad(node, style)
        if kind == "f":
            return [self._fraction(node, style)]
        if kind == "R":
            return [self._radical(node, style)]
        if kind == "A":
            return [self._accent(node, style)]
        if kind == "F":
            name = {1: "\\left", 2: "\\middle", 3: "\\right"}.get(node[1], "\\left")
            return [name + self._delimiter(node[2])]
        if kind == "C":
            chosen = node[1] if style == "display" else node[2]
            root = self._root(chosen)
            if root:
                return [root]
            inner = self._list(chosen, style)
            return inner
        if kind == "g":
            return self._glue(node)
        if kind == "b":
            return self._box(node, style)
        if kind == "G":
            font = self.fonts.get(node[1])
            text = font.texts.get(node[2], UNKNOWN) if font else UNKNOWN
            return [text_command(text)]
        return []

    def _glue(self, node: list[Any]) -> list[str]:
        width, subtype = node[1], node[2]
        if subtype in (98, 99):
            spaces = self.names.spaces
            space = spaces.get(width) or spaces.get(round(width / _MU) * _MU)
            return [space] if space else []
        entry = self.maths.get(self._now)
        quad = (entry.quad if entry and entry.quad else 10.0) * _SP
        if width >= 1.8 * quad:
            return ["\\qquad"]
        if width >= 0.9 * quad:
            return ["\\quad"]
        return ["\\ "] if width >= 3 * 65536 else []

    # -- noads ----------------------------------------------------------------------------------

    def _noad(self, node: list[Any], style: str) -> list[str]:
        subtype, nucleus = node[1], node[2]
        scripts = self._scripts(node, style)
        if nucleus is None or nucleus == ["l", []]:
            return ["{}" + scripts] if scripts else []
        if subtype == _UNDER:
            return [f"\\underline{{{self._kernel(nucleus, style)}}}{scripts}"]
        if subtype == _OVER:
            return [f"\\overline{{{self._kernel(nucleus, style)}}}{scripts}"]
        if subtype in (_OP_DISPLAY, _OP_LIMITS, _OP_NOLIMITS):
            return [self._operator(node, style)]
        if nucleus[0] == "l" and subtype == _INNER:
            dots = self._dots(nucleus[1])
            if dots:
                return [dots + scripts]
        big = self._big(nucleus)
        if big:
            suffix = {_OPEN: "l", _CLOSE: "r", _REL: "m"}.get(subtype, "")
            name, delimiter = big
            return [f"{name}{suffix}{delimiter}{scripts}"]
        if nucleus[0] == "c":
            text, font_style = self._char(nucleus, subtype)
            if font_style == "boldcal":
                text = f"\\boldsymbol{{\\mathcal{{{text}}}}}"
            elif font_style and text.isalnum():
                text = f"\\{font_style}{{{text}}}"
            return [text + scripts]
        if nucleus[0] == "b":
            parts = self._box(nucleus, style)
            body = join(parts)
            if scripts and len(parts) > 1:
                body = f"{{{body}}}"
            return [body + scripts] if body or scripts else []
        if subtype == _ORD and self._is_hbar(nucleus[1]):
            return ["\\hbar" + scripts]
        inner = self._list(nucleus[1], style)
        stacked = self._accent_inside(nucleus[1], style)
        if stacked:
            return [stacked + scripts]
        body = join(inner)
        word = re.fullmatch(r"\\mathrm\{(\w+)\}", body)
        if subtype == _BIN and word and word.group(1) == "mod":
            return ["\\bmod"]
        if subtype in (_BIN, _REL) and len(inner) == 1 and not scripts and subtype == _REL:
            return inner
        if subtype == _BIN and not scripts:
            return [f"\\mathbin{{{body}}}"]
        if subtype == _REL:
            return [f"\\mathrel{{{body}}}{scripts}"] if len(inner) > 1 else [body + scripts]
        if scripts:
            return [(body if is_token(body) else f"{{{body}}}") + scripts]
        if any(node_[0] == "S" for node_ in nucleus[1]):
            fraction = short_fraction(nucleus[1])
            if fraction:
                name, inner_node = fraction
                return [self._fraction(inner_node, style, name)]
            return [f"{{{body}}}"]
        if is_neutral(node):
            return [f"{{{body}}}"]
        if len(inner) == 1 or subtype == _INNER:
            return inner
        return [f"{{{body}}}"] if needs_group(inner) else inner

    def _accent_inside(self, nodes: list[Any], style: str) -> str:
        return self._accent(nodes[0], style) if len(nodes) == 1 and nodes[0][0] == "A" else ""

    def _operator(self, node: list[Any], style: str) -> str:
        subtype, nucleus = node[1], node[2]
        scripts = self._scripts(node, style)
        if nucleus[0] == "c":
            text, font_style = self._char(nucleus, subtype)
            if font_style and text.isalnum():
                return f"\\operatorname{{{text}}}{scripts}"
            default = text in ("\\int", "\\oint", "\\iint", "\\iiint", "\\smallint")
            limits = "\\limits" if subtype == _OP_LIMITS else ""
            if subtype == _OP_NOLIMITS and not default:
                limits = "\\nolimits"
            return text + (limits if scripts else "") + scripts
        if nucleus[0] == "l":
            inner = [n for n in nucleus[1] if n[0] not in ("k", "g")]
            word = join(self._list(inner, style))
            match = re.fullmatch(r"\\math(?:rm|bf)\{([A-Za-z-]+)\}", word)
            if match and (word.startswith("\\mathrm") or match.group(1) in OPERATORS):
                gaps = [n for n in nucleus[1] if n[0] in ("k", "g") and n[1] > 0]
                name = match.group(1)
                if gaps and name in ("limsup", "liminf", "injlim", "projlim"):
                    return f"\\{name}{scripts}"
                if name in OPERATORS:
                    return f"\\{name}{scripts}"
                star = "*" if subtype in (_OP_LIMITS, _OP_DISPLAY) else ""
                return f"\\operatorname{star}{{{name}}}{scripts}"
            match = re.fullmatch(r"\\(limsup|liminf|injlim|projlim)", word)
            if match:
                return word + scripts
        brace = self._brace(nucleus)
        if brace:
            return brace + scripts
        body = self._kernel(nucleus, style)
        inner_style = _INNER_STYLE.get(style, "scriptscript")
        if subtype in (_OP_LIMITS, _OP_DISPLAY):
            result = body
            if node[3] and not node[4]:
                return f"\\overset{{{self._kernel(node[3], inner_style)}}}{{{result}}}"
            if node[4] and not node[3]:
                return f"\\underset{{{self._kernel(node[4], inner_style)}}}{{{result}}}"
            if scripts:
                return f"\\mathop{{{body}}}\\limits{scripts}"
        if not scripts:
            return body if is_token(body) else f"\\mathop{{{body}}}"
        return f"\\mathop{{{body}}}{scripts}"

    def _scripts(self, node: list[Any], style: str) -> str:
        if node[0] == "n":
            sup, sub = node[3], node[4]
        else:
            sup, sub = node[-2], node[-1]
        inner = _INNER_STYLE.get(style, "scriptscript")
        text = ""
        if sub:
            text += "_" + group(self._kernel(sub, inner))
        if sup:
            body = self._kernel(sup, inner)
            primes = re.match(r"^((?:\\prime\s*)+)", body)
            if primes and sup[0] in ("l", "c"):
                rest = body[primes.end() :]
                count = primes.group(1).count("\\prime")
                if not rest.startswith(("_", "^")):
                    text += "'" * count + ("^" + group(rest) if rest else "")
                    return text
            text += "^" + group(body)
        return text

    def _kernel(self, kernel: list[Any] | None, style: str) -> str:
        if kernel is None:
            return ""
        if kernel[0] == "c":
            text, font_style = self._char(kernel, _ANY)
            if font_style == "boldcal":
                return f"\\boldsymbol{{\\mathcal{{{text}}}}}"
            return f"\\{font_style}{{{text}}}" if font_style and text.isalnum() else text
        if kernel[0] == "l":
            return join(self._list(kernel[1], style))
        return join(self._box(kernel, style))

    def _fraction(self, node: list[Any], style: str, name: str = "\\frac") -> str:
        _, width, top, bottom, left, right = node
        inner = {"display": "text", "text": "script"}.get(style, "scriptscript")
        a, b = self._kernel(top, inner), self._kernel(bottom, inner)
        if left or right:
            pair = (self._delimiter(left), self._delimiter(right))
            if width == 0 and pair == ("(", ")"):
                return f"\\binom{{{a}}}{{{b}}}"
            rule = "0pt" if width == 0 else ""
            empty = ["" if side == "." else side for side in pair]
            return f"\\genfrac{{{empty[0]}}}{{{empty[1]}}}{{{rule}}}{{}}{{{a}}}{{{b}}}"
        if width == 0:
            return f"\\genfrac{{}}{{}}{{0pt}}{{}}{{{a}}}{{{b}}}"
        return f"{name}{{{a}}}{{{b}}}"

    def _radical(self, node: list[Any], style: str) -> str:
        nucleus, degree = node[2], node[3]
        scripts = self._scripts(node, style)
        root = f"[{self._kernel(degree, 'scriptscript')}]" if degree else ""
        return f"\\sqrt{root}{{{self._kernel(nucleus, style)}}}{scripts}"

    def _accent(self, node: list[Any], style: str) -> str:
        _, kind, nucleus, top, bottom = node[:5]
        scripts = self._scripts(node, style)
        body = self._kernel(nucleus, style)
        command = self._accent_command(top or bottom, kind)
        return f"{command}{{{body}}}{scripts}"
