"""Maths lists as LuaTeX held them, written as macro-free LaTeX.

A list is taken before it becomes boxes: macros are expanded, structure is still there. What the
kernel builds out of pieces (long arrows, sized delimiters, roots with a degree, matrices) is put
back together. Knows no positions.

Source: data synthesis specification, section 3.10.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from typing import Any

from nanovl.synth.tex.events import Font, Maths
from nanovl.synth.tex.glyphs import UNKNOWN, glyph_name
from nanovl.synth.tex.mathsymbols import (
    ACCENTS,
    ALPHABETS,
    BIG_SIZES,
    COMMANDS,
    DELIMITERS,
    OPERATORS,
    SEQUENCES,
    TFM_NAMES,
)

__all__ = ["Converter"]

_ORD, _OP_DISPLAY, _OP_LIMITS, _OP_NOLIMITS, _BIN, _REL = range(6)
_OPEN, _CLOSE, _PUNCT, _INNER, _UNDER, _OVER, _VCENTER = range(6, 13)
_MU = 65536.0
_SP = 65781.76
_INNER_STYLE = {"display": "script", "text": "script", "script": "scriptscript"}
_STYLED = (
    ("DOUBLE-STRUCK ", "mathbb"), ("FRAKTUR ", "mathfrak"), ("BOLD SCRIPT ", "boldcal"),
    ("SCRIPT ", "mathcal"), ("SANS-SERIF ", "mathsf"), ("MONOSPACE ", "mathtt"),
    ("BOLD ITALIC ", "boldsymbol"), ("BOLD ", "mathbf"), ("ITALIC ", ""),
)  # fmt: skip
_MATRICES = {
    ("(", ")"): "pmatrix", ("[", "]"): "bmatrix", ("\\{", "\\}"): "Bmatrix", ("|", "|"): "vmatrix",
    ("\\|", "\\|"): "Vmatrix", ("\\{", "."): "cases",
}  # fmt: skip

_OPEN_STACK = r"\\begin\{(?:array\}\{c|gathered)\}"
_CLOSE_STACK = r"\\end\{(?:array|gathered)\}"
# Symbols the kernel stacks out of others, put back.
_REWRITES = tuple(
    (re.compile(pattern), command)
    for pattern, command in (
        (_OPEN_STACK + r" / \\\\ \\in " + _CLOSE_STACK + r"(?=[A-Za-z])", r"\\notin "),
        (_OPEN_STACK + r" / \\\\ \\in " + _CLOSE_STACK, r"\\notin"),
        (_OPEN_STACK + r" \\sim \\\\ = " + _CLOSE_STACK + r"(?=[A-Za-z])", r"\\cong "),
        (_OPEN_STACK + r" \\sim \\\\ = " + _CLOSE_STACK, r"\\cong"),
        (r"\\overset\{\\textstyle\.\}\{=\}(?=[A-Za-z])", r"\\doteq "),
        (r"\\overset\{\\textstyle\.\}\{=\}", r"\\doteq"),
        (r"\\overset\{([^{}]*)\}\{(?:\\displaystyle)?-*\\rightarrow\}", r"\\xrightarrow{\1}"),
        (r"\\overset\{([^{}]*)\}\{(?:\\displaystyle)?\\leftarrow-*\}", r"\\xleftarrow{\1}"),
        (r"\\begin\{array\}\{c\} -*\\rightarrow \\\\ ([^{}\\]*) \\end\{array\}",
         r"\\overrightarrow{\1}"),
        (r"\\begin\{array\}\{c\} \\leftarrow-* \\\\ ([^{}\\]*) \\end\{array\}",
         r"\\overleftarrow{\1}"),
    )
)  # fmt: skip


class Converter:
    """Turns the maths lists of one document into LaTeX.

    Args:
        fonts: Of the document.
        maths: Of the document.
    """

    def __init__(self, fonts: Mapping[int, Font], maths: Mapping[int, Maths]) -> None:
        self.fonts, self.maths = fonts, maths
        self.unknown: Counter[str] = Counter()
        self._done: dict[int, str] = {}
        self._bad: set[int] = set()
        self._now = 0

    def latex(self, number: int) -> str:
        """LaTeX of a list, without delimiters; "" for an empty one."""
        if number not in self._done:
            self._done[number] = ""  # a list inside itself ends here
            outer, self._now = self._now, number
            entry = self.maths.get(number)
            if entry is not None:
                style = "display" if entry.is_display else "text"
                latex = join(self._list(entry.tree, style))
                for pattern, command in _REWRITES:
                    latex = pattern.sub(command, latex)
                self._done[number] = latex
            self._now = outer
        return self._done[number]

    def is_exact(self, number: int) -> bool:
        """Whether every glyph of the list has a command or character."""
        self.latex(number)
        return number not in self._bad

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
                    out.append(f"\\{_plain_style(style)}style")
                index += 1
                continue
            matrix, used = self._fenced_rows(nodes, index, style)
            if used:
                flush()
                out.append(matrix)
                index += used
                continue
            if kind == "n" and node[1] == _REL and node[2] == ["l", []] and not node[3]:
                flush()
                index += 1
                continue
            if kind == "n" and self._is_joinrel(node):
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
        return _binomials(_sequences(out))

    def _is_joinrel(self, node: list[Any]) -> bool:
        nucleus = node[2]
        return bool(
            node[1] == _REL
            and nucleus
            and nucleus[0] == "l"
            and len(nucleus[1]) == 1
            and nucleus[1][0][0] in ("g", "k")
            and nucleus[1][0][1] < 0
        )

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
            root = self._root(chosen, style)
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
            return [_text_command(text)]
        return []

    def _glue(self, node: list[Any]) -> list[str]:
        width, subtype = node[1], node[2]
        if subtype in (98, 99):
            mu = round(width / _MU)
            return {3: ["\\,"], 4: ["\\:"], 5: ["\\;"], -3: ["\\!"], 18: ["\\quad"],
                    36: ["\\qquad"]}.get(mu, [])  # fmt: skip
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
            return [(body if _is_token(body) else f"{{{body}}}") + scripts]
        if any(node_[0] == "S" for node_ in nucleus[1]):
            fraction = _short_fraction(nucleus[1])
            if fraction:
                name, inner_node = fraction
                return [self._fraction(inner_node, style, name)]
            return [f"{{{body}}}"]
        if len(inner) == 1 or subtype == _INNER:
            return inner
        return [f"{{{body}}}"] if _needs_group(inner) else inner

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
            match = re.fullmatch(r"\\mathrm\{([A-Za-z-]+)\}", word)
            if match:
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
            return body if _is_token(body) else f"\\mathop{{{body}}}"
        return f"\\mathop{{{body}}}{scripts}"

    def _scripts(self, node: list[Any], style: str) -> str:
        if node[0] == "n":
            sup, sub = node[3], node[4]
        else:
            sup, sub = node[-2], node[-1]
        inner = _INNER_STYLE.get(style, "scriptscript")
        text = ""
        if sub:
            text += "_" + _group(self._kernel(sub, inner))
        if sup:
            body = self._kernel(sup, inner)
            primes = re.match(r"^((?:\\prime\s*)+)", body)
            if primes and sup[0] in ("l", "c"):
                rest = body[primes.end() :]
                count = primes.group(1).count("\\prime")
                if not rest.startswith(("_", "^")):
                    text += "'" * count + ("^" + _group(rest) if rest else "")
                    return text
            text += "^" + _group(body)
        return text

    def _kernel(self, kernel: list[Any] | None, style: str) -> str:
        if kernel is None:
            return ""
        if kernel[0] == "c":
            text, font_style = self._char(kernel, _ORD)
            if font_style == "boldcal":
                return f"\\boldsymbol{{\\mathcal{{{text}}}}}"
            return f"\\{font_style}{{{text}}}" if font_style and text.isalnum() else text
        if kernel[0] == "l":
            return join(self._list(kernel[1], style))
        return join(self._box(kernel, style))

    def _char(self, kernel: list[Any], subtype: int) -> tuple[str, str | None]:
        """Command or character of a maths character, and the alphabet it belongs to."""
        _, number, code = kernel
        font = self.fonts.get(number)
        if font is None:
            self._mark("?")
            return UNKNOWN, None
        text = font.texts.get(code, UNKNOWN)
        if font.is_wide:
            return self._wide_char(font, text, subtype)
        name = glyph_name(font.name, code)
        lower = font.name.lower()
        alphabet = next((style for part, style in ALPHABETS if part in lower), "mathrm")
        if len(text) == 1 and text.isascii() and text.isalpha():
            if name.startswith("dotless"):
                return TFM_NAMES[name], ""
            return text, alphabet
        if text.isdigit() and text.isascii():
            return text, "" if alphabet in ("mathrm", "", "mathcal") else alphabet
        if "cmmi" in lower and text in COMMANDS and "\u0391" <= text <= "\u03a9":
            return COMMANDS[text].replace("\\", "\\var", 1), ""
        command = TFM_NAMES.get(name) or COMMANDS.get(text)
        if text in ("\u23de", "\u23df"):
            command = text  # a piece of a brace; `_brace` puts it together
        if command is None and len(text) == 1 and text.isascii() and text != UNKNOWN:
            command = text
        if command is None:
            self._mark(f"{font.name}:{code}:{name}")
            return UNKNOWN, None
        command = _by_class(command, subtype)
        if alphabet in ("mathbf", "boldsymbol") and command.startswith("\\") and command != "\\|":
            return f"\\boldsymbol{{{command}}}", ""
        return command, ""

    def _wide_char(self, font: Font, text: str, subtype: int) -> tuple[str, str | None]:
        if len(text) == 1 and text not in COMMANDS and ord(text) > 0x2100:
            plain = unicodedata.normalize("NFKC", text)
            if len(plain) == 1 and plain != text:
                name = unicodedata.name(text, "")
                style = next((s for part, s in _STYLED if part in name), "mathrm")
                if plain.isascii() and plain.isalnum():
                    return plain, style
                command = COMMANDS.get(plain)
                if command is not None:
                    command = _by_class(command, subtype)
                    return (f"\\boldsymbol{{{command}}}" if "BOLD" in name else command), ""
        if text in COMMANDS:
            return _by_class(COMMANDS[text], subtype), ""
        if len(text) == 1 and text.isascii():
            if text.isalpha():
                return text, "mathbf" if "bold" in font.style_name else "mathrm"
            return _by_class(text, subtype), ""
        if text != UNKNOWN and text:
            return f"\\text{{{text}}}", ""
        self._mark(f"{font.name}:{text!r}")
        return UNKNOWN, None

    def _mark(self, what: str) -> None:
        self.unknown[what] += 1
        self._bad.add(self._now)

    # -- pieces ---------------------------------------------------------------------------------

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

    def _root(self, nodes: list[Any], style: str) -> str:
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

    def _accent(self, node: list[Any], style: str) -> str:
        _, _, nucleus, top, bottom = node[:5]
        scripts = self._scripts(node, style)
        body = self._kernel(nucleus, style)
        mark = top or bottom
        command = ""
        if mark and mark[0] == "c":
            font = self.fonts.get(mark[1])
            if font is not None:
                name = "" if font.is_wide else glyph_name(font.name, mark[2])
                command = ACCENTS.get(name) or ACCENTS.get(font.texts.get(mark[2], ""), "")
        if not command:
            self._mark(f"accent {mark}")
            command = "\\hat"
        return f"{command}{{{body}}}{scripts}"

    def _delimiter(self, kernel: list[Any] | None) -> str:
        if kernel is None:
            return "."
        font = self.fonts.get(kernel[1])
        text = font.texts.get(kernel[2], UNKNOWN) if font else UNKNOWN
        if font and not font.is_wide and glyph_name(font.name, kernel[2]) == "bardbl":
            return "\\|"
        if text in DELIMITERS:
            return DELIMITERS[text]
        if text in ("\ufffd", ""):
            self._mark(f"delimiter {font.name if font else '?'}:{kernel[2]}")
        return COMMANDS.get(text, ".")

    def _dots(self, nodes: list[Any]) -> str:
        chars = [n[2] for n in nodes if n[0] == "n" and n[2] and n[2][0] == "c" and not n[3]]
        others = [n for n in nodes if n[0] in ("f", "R", "A", "F", "C")]
        if len(chars) == 3 and not others:
            texts = {self._char(c, _PUNCT)[0] for c in chars}
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
        size = box[3] / _SP / (entry.quad or 10.0)
        name = min(BIG_SIZES, key=lambda pair: abs(pair[0] - size))[1]
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

    # -- boxes ----------------------------------------------------------------------------------

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
                    out.append(_text_command(word))
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


def _plain_style(style: str) -> str:
    return style.replace("cramped", "").replace("'", "")


def _short_fraction(nodes: list[Any]) -> tuple[str, list[Any]] | None:
    """\\dfrac and \\tfrac: a style, then a fraction alone."""
    rest = nodes
    if len(rest) == 2 and rest[0][0] == "S":
        node = rest[1]
        while node[0] == "n" and node[2] and node[2][0] == "l" and len(node[2][1]) == 1:
            node = node[2][1][0]
        if node[0] == "f" and not node[4] and not node[5] and node[1] != 0:
            name = {"display": "\\dfrac", "text": "\\tfrac"}.get(_plain_style(rest[0][1]))
            return (name, node) if name else None
    return None


def _by_class(command: str, subtype: int) -> str:
    if subtype == _REL and command == "|":
        return "\\mid"
    if subtype == _REL and command == "\\|":
        return "\\parallel"
    if subtype == _PUNCT and command == ":":
        return "\\colon"
    if command in ("-", "+", "*") and subtype == _ORD and command == "*":
        return "{*}"
    return command


def _text_command(text: str) -> str:
    escaped = re.sub(r"([#$%&_{}])", r"\\\1", text.replace("\\", "\\textbackslash "))
    return f"\\text{{{escaped}}}"


def _is_token(body: str) -> bool:
    return len(body) == 1 or re.fullmatch(r"\\[A-Za-z]+|\\[^A-Za-z]", body) is not None


def _group(body: str) -> str:
    return body if len(body) == 1 and body not in "'\\^_ " else f"{{{body}}}"


def _needs_group(parts: list[str]) -> bool:
    return any(re.match(r"\\(display|text|script|scriptscript)style", p) for p in parts)


def _binomials(parts: list[str]) -> list[str]:
    """amsmath under LuaTeX sets the parentheses of a binomial as fences around nothing."""
    left, right = "\\left(\\right.", "\\left)\\right."
    out: list[str] = []
    k = 0
    while k < len(parts):
        if parts[k : k + 1] == [left] and parts[k + 2 : k + 3] == [right]:
            match = re.fullmatch(r"\\genfrac\{\}\{\}\{0pt\}\{\}(.*)", parts[k + 1], re.DOTALL)
            if match:
                out.append(f"\\binom{match.group(1)}")
                k += 3
                continue
        out.append(parts[k])
        k += 1
    return out


def _sequences(parts: list[str]) -> list[str]:
    """Put commands back together that the kernel builds from pieces."""
    changed = True
    while changed and len(parts) > 1:
        changed = False
        for pattern, command in SEQUENCES:
            size = len(pattern)
            for i in range(len(parts) - size + 1):
                if tuple(parts[i : i + size]) == pattern:
                    parts = [*parts[:i], command, *parts[i + size :]]
                    changed = True
                    break
            if changed:
                break
    return [p for p in parts if p != "\\joinrel"]


def join(parts: list[str]) -> str:
    """Tokens as text, with a blank after a command where a letter follows."""
    out: list[str] = []
    for part in parts:
        if not part:
            continue
        if out and re.search(r"\\[A-Za-z]+$", out[-1]) and re.match(r"[A-Za-z]", part):
            out.append(" ")
        out.append(part)
    return "".join(out)
