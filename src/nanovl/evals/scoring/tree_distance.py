"""Edit distance of ordered trees when adding and removing a node costs 1.

Both similarities of trees here, of tables and of documents, are this distance with different
costs of changing one node into another. It must not know what the nodes mean.

Source: evaluation specification, section 6.10 (TEDS, STEDS) and 8; the recurrence is that of Zhang
and Shasha (1989), computed a row at a time. A row is one vector operation because adding a node
always costs 1: running along a row then is a running minimum. Pairs in which one subtree is a
single node, which are most of the pairs in a table, need no recurrence: the node is changed into
the nearest node of the other tree, and all others are added.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Node", "postorder", "size", "tree_distance"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(eq=False)
class Node:
    """A node with its children in order.

    Attributes:
        label: What costs are computed from.
        children: In order.
    """

    label: Any
    children: list[Node] = field(default_factory=list)


def postorder(root: Node) -> Iterator[Node]:
    """All nodes, children before their parent, without recursion (trees may be very deep)."""
    stack: list[tuple[Node, int]] = [(root, 0)]
    while stack:
        node, position = stack.pop()
        if position < len(node.children):
            stack.append((node, position + 1))
            stack.append((node.children[position], 0))
        else:
            yield node


def size(root: Node) -> int:
    """Number of nodes."""
    return sum(1 for _ in postorder(root))


def tree_distance(a: Node, b: Node, change: Floats) -> float:
    """The least cost of turning one tree into the other.

    Args:
        a, b: Roots.
        change: Cost of turning node i of `a` into node j of `b`, both in `postorder`; from 0 to 1.
            Adding or removing a node costs 1.
    """
    first = _first_leaves(a), _first_leaves(b)
    trees = _single_nodes(change, *first)
    turned = _keyroots(first[0]), _keyroots(first[1])
    for i in turned[0]:
        if first[0][i] == i:
            continue
        for j in turned[1]:
            if first[1][j] != j:
                _forests(int(i), int(j), first, change, trees)
    return float(trees[-1, -1])


def _first_leaves(root: Node) -> Ints:
    """For each node in postorder, the position of the first leaf below it."""
    found: list[int] = []
    for node in postorder(root):
        # The last child has just been found; the first one lies before all its brothers.
        at = len(found) - 1
        for _ in node.children[1:]:
            at = found[at] - 1
        found.append(found[at] if node.children else len(found))
    return np.array(found, dtype=np.int64)


def _keyroots(first: Ints) -> Ints:
    """The last node of each chain of nodes that share their first leaf."""
    _, from_end = np.unique(first[::-1], return_index=True)
    return np.sort(len(first) - 1 - from_end)


def _subtree_minima(costs: Floats, first: Ints) -> Floats:
    """Least cost in each subtree, along the last axis."""
    least = costs.copy()
    # A node's children end where the next brother begins: walk back from its last child.
    for j in range(len(first)):
        at = j - 1
        while at >= first[j]:
            np.minimum(least[:, j], least[:, at], out=least[:, j])
            at = int(first[at]) - 1
    return least


def _single_nodes(change: Floats, a: Ints, b: Ints) -> Floats:
    """Distances of subtrees where one of them is a single node; 0 elsewhere."""
    sizes = np.arange(len(a)) - a + 1, np.arange(len(b)) - b + 1
    trees = np.zeros_like(change)
    leaves = sizes[0] == 1
    trees[leaves] = sizes[1][None, :] - 1 + _subtree_minima(change[leaves], b)
    leaves = sizes[1] == 1
    trees[:, leaves] = (sizes[0][None, :] - 1 + _subtree_minima(change[:, leaves].T, a)).T
    return trees


def _forests(i: int, j: int, first: tuple[Ints, Ints], change: Floats, trees: Floats) -> None:
    """Fill in the distances of the subtrees whose chains end in `i` and `j`."""
    low, left = int(first[0][i]), int(first[1][j])
    columns = np.arange(left, j + 1)
    steps = np.arange(j - left + 2, dtype=np.float64)
    skip = first[1][columns] - left
    chain = skip == 0
    cost = np.empty((i - low + 2, j - left + 2))
    cost[0] = steps
    for row in range(low, i + 1):
        above = cost[row - low]
        onto = cost[first[0][row] - low]
        best = onto[skip] + trees[row, left : j + 1]
        on_chain = first[0][row] == low
        if on_chain:
            changed = above[:-1] + change[row, left : j + 1]
            best = np.where(chain, changed, best)
        here = cost[row - low + 1]
        here[0] = row - low + 1
        here[1:] = np.minimum(above[1:] + 1, best)
        # Adding a node: the least of all entries to the left, plus the steps from there.
        here[:] = np.minimum.accumulate(here - steps) + steps
        if on_chain:
            trees[row, left : j + 1][chain] = here[1:][chain]
