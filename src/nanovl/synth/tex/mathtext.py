"""Pieces of LaTeX maths as text: joining, grouping, and commands the kernel builds out of pieces.

Works on strings alone; must not know fonts or recorded lists.

Source: data synthesis specification, section 3.10.
"""

from __future__ import annotations

import re
from functools import lru_cache

from nanovl.synth.tex.mathsymbols import SEQUENCES

__all__ = [
    "binomials",
    "group",
    "is_token",
    "join",
    "needs_group",
    "plain_style",
    "rewritten",
    "sequences",
    "text_command",
]

_OPEN_STACK = r"\\begin\{(?:array\}\{c|gathered)\}"
_CLOSE_STACK = r"\\end\{(?:array|gathered)\}"
_OVER = r"\\overset\{([^{}]*)\}\{(?:\\displaystyle)?"
# Without one of these nothing can be put together.
_LAST_PIECES = frozenset(pattern[-1] for pattern, _ in SEQUENCES)
_BAR = r"(?:-|\{-\})*"  # of an arrow as long as it must be
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
        (_OVER + _BAR + r"\\rightarrow\}", r"\\xrightarrow{\1}"),
        (_OVER + r"\\leftarrow" + _BAR + r"\}", r"\\xleftarrow{\1}"),
        # amsmath adds these spaces by itself.
        (r"(?:\\,)?(\\begin\{smallmatrix\}.*?\\end\{smallmatrix\})\\,", r"\1"),
        (r"(\\[cl]dots)\\,(?=$|[)\]]|\\(?:right|rangle|rceil|rfloor|\})|\\[Bb]igg?r)", r"\1"),
        (r"\\begin\{array\}\{c\} " + _BAR + r"\\rightarrow \\\\ ([^{}\\]*) \\end\{array\}",
         r"\\overrightarrow{\1}"),
        (r"\\begin\{array\}\{c\} \\leftarrow" + _BAR + r" \\\\ ([^{}\\]*) \\end\{array\}",
         r"\\overleftarrow{\1}"),
    )
)  # fmt: skip


def rewritten(latex: str) -> str:
    """Put symbols back that the kernel stacks out of others."""
    for pattern, command in _REWRITES:
        latex = pattern.sub(command, latex)
    return latex


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


def group(body: str) -> str:
    return body if len(body) == 1 and body not in "'\\^_ " else f"{{{body}}}"


def is_token(body: str) -> bool:
    return len(body) == 1 or re.fullmatch(r"\\[A-Za-z]+|\\[^A-Za-z]", body) is not None


def needs_group(parts: list[str]) -> bool:
    return any(re.match(r"\\(display|text|script|scriptscript)style", p) for p in parts)


def plain_style(style: str) -> str:
    return style.replace("cramped", "").replace("'", "")


def text_command(text: str) -> str:
    escaped = re.sub(r"([#$%&_{}])", r"\\\1", text.replace("\\", "\\textbackslash "))
    return f"\\text{{{escaped}}}"


def binomials(parts: list[str]) -> list[str]:
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


@lru_cache(maxsize=1 << 14)
def _unclassed(part: str) -> str:
    """A symbol without the class it was given for the place it stands in."""
    match = re.fullmatch(r"\\math(?:rel|bin|op|ord)\{(\\?[A-Za-z]+|[^A-Za-z\\])\}|\{(.)\}", part)
    return (match.group(1) or match.group(2)) if match else part


def sequences(parts: list[str]) -> list[str]:
    """Put commands back together that the kernel builds from pieces."""
    plain = [_unclassed(part) for part in parts]
    changed = not _LAST_PIECES.isdisjoint(plain)
    while changed and len(parts) > 1:
        changed = False
        for pattern, command in SEQUENCES:
            size = len(pattern)
            for i in range(len(parts) - size + 1):
                if plain[i] == pattern[0] and tuple(plain[i : i + size]) == pattern:
                    parts = [*parts[:i], command, *parts[i + size :]]
                    plain = [*plain[:i], _unclassed(command), *plain[i + size :]]
                    changed = True
                    break
            if changed:
                break
    return [p for p in parts if p != "\\joinrel"]
