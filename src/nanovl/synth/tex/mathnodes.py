"""Shapes of nodes in maths lists: what macros leave behind, told by structure alone.

Must not know fonts or characters (`mathchars` does).

Source: data synthesis specification, section 3.10.
"""

from __future__ import annotations

from typing import Any

from nanovl.synth.tex.mathtext import plain_style

__all__ = ["colon_nodes", "is_joinrel", "is_neutral", "short_fraction"]

_ORD, _BIN, _REL, _PUNCT = 0, 4, 5, 8  # kinds of noads


def colon_nodes(nodes: list[Any], index: int) -> int:
    """Nodes of a \\colon as amsmath makes it: nothing as punctuation, spaces, an ordinary colon."""
    if nodes[index][:3] != ["n", _PUNCT, ["l", []]]:
        return 0
    end = index + 1
    while end < len(nodes) and nodes[end][0] in ("g", "k"):
        end += 1
    return end - index + 1 if end < len(nodes) and is_neutral(nodes[end]) else 0


def is_neutral(node: list[Any]) -> bool:
    """Whether a sign stands in braces, which take its spaces away: 1{,}000."""
    if node[0] != "n" or node[1] != _ORD or not node[2] or node[2][0] != "l" or node[3] or node[4]:
        return False
    inner = node[2][1]
    return (
        len(inner) == 1
        and inner[0][0] == "n"
        and _BIN <= inner[0][1] <= _PUNCT
        and bool(inner[0][2])
        and inner[0][2][0] == "c"
    )


def is_joinrel(node: list[Any]) -> bool:
    """Whether a relation only moves what follows to the left."""
    nucleus = node[2]
    return bool(
        node[1] == _REL
        and nucleus
        and nucleus[0] == "l"
        and len(nucleus[1]) == 1
        and nucleus[1][0][0] in ("g", "k")
        and nucleus[1][0][1] < 0
    )


def short_fraction(nodes: list[Any]) -> tuple[str, list[Any]] | None:
    """\\dfrac and \\tfrac: a style, then a fraction alone."""
    rest = nodes
    if len(rest) == 2 and rest[0][0] == "S":
        node = rest[1]
        while node[0] == "n" and node[2] and node[2][0] == "l" and len(node[2][1]) == 1:
            node = node[2][1][0]
        if node[0] == "f" and not node[4] and not node[5] and node[1] != 0:
            name = {"display": "\\dfrac", "text": "\\tfrac"}.get(plain_style(rest[0][1]))
            return (name, node) if name else None
    return None
