"""Similarity of two tables as trees: 1 less the tree edit distance over the size of the larger.

Nodes are the table, its head and body, rows and cells; changing a cell costs the share of its text
that differs, or 1 if its spans do.

Source: data synthesis specification, section 6 (TEDS); the distance is that of Zhang and Shasha
(1989).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from nanovl.core.errors import InputError
from nanovl.data.convert.grids import Grid
from nanovl.synth.tables.parse import parse

__all__ = ["similarity", "tree_similarity"]


@dataclass
class _Node:
    label: tuple[object, ...]
    text: str = ""
    children: list[_Node] = field(default_factory=list)


def similarity(expected: str, given: str, form: str, *, structure_only: bool = False) -> float:
    """TEDS of two tables of one form; 0 if the given text is no table.

    Args:
        expected, given: Tables as text.
        form: As in `parse`.
        structure_only: Leave texts out (TEDS-S).

    Raises:
        InputError: The expected text is no table.
    """
    if expected == given:
        return 1.0
    truth = parse(expected, form)
    try:
        guess = parse(given.strip(), form)
    except (InputError, ValueError):
        return 0.0
    return tree_similarity(truth, guess, structure_only=structure_only)


def tree_similarity(a: Grid, b: Grid, *, structure_only: bool = False) -> float:
    """TEDS of two tables."""
    one, two = _tree(a, structure_only), _tree(b, structure_only)
    return 1.0 - _distance(one, two) / max(_size(one), _size(two))


def _tree(grid: Grid, structure_only: bool) -> _Node:
    root = _Node(("table",))
    for name, low, high in (("thead", 0, grid.head), ("tbody", grid.head, len(grid.slots))):
        part = _Node((name,))
        for r in range(low, high):
            row = _Node(("tr",))
            for c, (cell, top, left) in enumerate(grid.slots[r]):
                if (r, c) == (top, left):
                    text = "" if structure_only else cell.text
                    row.children.append(_Node(("td", cell.rows, cell.columns), text))
            part.children.append(row)
        if part.children:
            root.children.append(part)
    return root


def _size(node: _Node) -> int:
    return 1 + sum(map(_size, node.children))


def _change(a: _Node, b: _Node) -> float:
    from nanovl.synth.verify import edit_similarity

    if a.label != b.label:
        return 1.0
    return 1.0 - edit_similarity(a.text, b.text)


def _ordered(root: _Node) -> tuple[list[_Node], list[int]]:
    """Nodes in post-order and the first leaf below each."""
    nodes: list[_Node] = []
    leaves: list[int] = []

    def visit(node: _Node) -> int:
        first = -1
        for child in node.children:
            leaf = visit(child)
            first = leaf if first < 0 else first
        nodes.append(node)
        leaves.append(len(nodes) - 1 if first < 0 else first)
        return leaves[-1]

    visit(root)
    return nodes, leaves


def _distance(a: _Node, b: _Node) -> float:
    left, left_leaf = _ordered(a)
    right, right_leaf = _ordered(b)
    roots = [
        [k for k in range(len(leaf)) if leaf[k] not in leaf[k + 1 :]]
        for leaf in (left_leaf, right_leaf)
    ]
    trees = [[0.0] * len(right) for _ in left]
    for i in roots[0]:
        for j in roots[1]:
            _forest(i, j, left, right, left_leaf, right_leaf, trees)
    return trees[-1][-1]


def _forest(
    i: int, j: int, left: list[_Node], right: list[_Node], left_leaf: list[int],
    right_leaf: list[int], trees: list[list[float]],
) -> None:  # fmt: skip
    base_i, base_j = left_leaf[i], right_leaf[j]
    high, wide = i - base_i + 2, j - base_j + 2
    cost = [[0.0] * wide for _ in range(high)]
    for x in range(1, high):
        cost[x][0] = x
    cost[0] = [float(y) for y in range(wide)]
    for x in range(1, high):
        at_x = base_i + x - 1
        for y in range(1, wide):
            at_y = base_j + y - 1
            least = min(cost[x - 1][y], cost[x][y - 1]) + 1.0
            if left_leaf[at_x] == base_i and right_leaf[at_y] == base_j:
                least = min(least, cost[x - 1][y - 1] + _change(left[at_x], right[at_y]))
                trees[at_x][at_y] = least
            else:
                skip_x, skip_y = left_leaf[at_x] - base_i, right_leaf[at_y] - base_j
                least = min(least, cost[skip_x][skip_y] + trees[at_x][at_y])
            cost[x][y] = least
