"""STEDS: how alike two Markdown documents are as trees of headings and lines.

What the lines say does not count, only that they say something: two pages with the same number of
lines below each heading are equal whatever their words are. That is the published metric.

Source: evaluation specification, section 6.10 (STEDS).
"""

from __future__ import annotations

import re

import numpy as np

from nanovl.evals.scoring.tree_distance import Floats, Node, postorder, tree_distance

__all__ = ["document_tree", "steds"]

_CLEANING = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"<(?:bos|eos|pad|unk)>", ""),
        (r"\s##(?=\S)", ""),  # halves of a word as word pieces
        (r"\\\s", r"\\"),
        (r"\s\*\s\*\s", "**"),
        (r"\{\s", "{"),
        (r"\s\}", "}"),
        (r"\s\}", "}"),
        (r"\\(begin|end)\s", r"\\\1"),
        (r"\\end\{table\}", r"\\end{table}   "),
    )
)


def document_tree(text: str) -> Node:
    """Tree of a Markdown text.

    The root has a child for the lines before the first heading, and one for each heading. A line
    hangs below the heading before it; if an earlier node has the same text as that heading, below
    that one instead, as in the published metric.
    """
    title = Node("TITLE")
    root = Node("ROOT", [title])
    at = title
    for line in map(_clean, text.split("\n")):
        if line.startswith("#"):
            label = line.replace("#", "")
            root.children.append(Node(label))
            at = _first(root, label) if label else title
        else:
            at.children.append(Node(line))
    return root


def steds(truth: str, prediction: str) -> float:
    """1 less the tree edit distance over the larger number of nodes.

    Changing a node costs 1 if either text is blank, even if both are, and nothing otherwise, so a
    page with blank lines is not quite equal to itself.
    """
    a, b = document_tree(prediction), document_tree(truth)
    blank = [np.array([not node.label.split() for node in postorder(tree)]) for tree in (a, b)]
    costs: Floats = (blank[0][:, None] | blank[1][None, :]).astype(np.float64)
    return 1.0 - tree_distance(a, b, costs) / max(len(blank[0]), len(blank[1]))


def _clean(line: str) -> str:
    for pattern, replacement in _CLEANING:
        line = pattern.sub(replacement, line)
    return line.replace("*", " ").replace("_", " ")


def _first(root: Node, label: str) -> Node:
    """The first node with a label, parents before children; there is one."""
    open_nodes = [root]
    while (node := open_nodes.pop()).label != label:
        open_nodes.extend(reversed(node.children))
    return node
