"""The distance of trees: the definition on small ones, two other programs on random ones."""

from __future__ import annotations

import functools
import random
from typing import Any

import numpy as np
import pytest

from nanovl.evals.scoring.tree_distance import Node, postorder, size, tree_distance

Forest = tuple[Any, ...]
LABELS = "abcde"
COSTS = {
    (a, b): 0.0 if a == b else 0.1 + (5 * i + 3 * k) % 9 / 10
    for i, a in enumerate(LABELS)
    for k, b in enumerate(LABELS)
}


def random_tree(source: random.Random, nodes: int) -> Node:
    """Deep, wide or in between."""
    made = [Node(source.choice(LABELS))]
    for _ in range(nodes - 1):
        parent = source.choice(made[-source.choice([1, 3, 100]) :])
        parent.children.append(Node(source.choice(LABELS)))
        made.append(parent.children[-1])
    return made[0]


def change_costs(a: Node, b: Node) -> Any:
    """Costs of all pairs of nodes."""
    return np.array([[COSTS[x.label, y.label] for y in postorder(b)] for x in postorder(a)])


def frozen(node: Node) -> Forest:
    """The same tree as nested tuples."""
    return (node.label, tuple(map(frozen, node.children)))


@functools.cache
def by_definition(a: Forest, b: Forest) -> float:
    """Distance of two ordered forests: the last root is removed, added or changed."""
    if not a or not b:
        return float(sum(1 + by_definition(children, ()) for _, children in a + b))
    (x, below_x), (y, below_y) = a[-1], b[-1]
    return min(
        1 + by_definition(a[:-1] + below_x, b),
        1 + by_definition(a, b[:-1] + below_y),
        by_definition(a[:-1], b[:-1]) + by_definition(below_x, below_y) + COSTS[x, y],
    )


def test_order_of_nodes() -> None:
    tree = Node(1, [Node(2, [Node(3)]), Node(4)])
    assert [node.label for node in postorder(tree)] == [3, 2, 4, 1]
    assert size(tree) == 4


@pytest.mark.parametrize("seed", range(60))
def test_definition(seed: int) -> None:
    source = random.Random(seed)
    a, b = (random_tree(source, source.randint(1, 8)) for _ in range(2))
    assert tree_distance(a, b, change_costs(a, b)) == pytest.approx(
        by_definition((frozen(a),), (frozen(b),))
    )


def test_equal_trees_are_at_no_distance_and_order_of_arguments_is_free() -> None:
    source = random.Random(5)
    for _ in range(50):
        a, b = (random_tree(source, source.randint(1, 40)) for _ in range(2))
        assert tree_distance(a, a, change_costs(a, a)) == 0.0
        there = tree_distance(a, b, change_costs(a, b))
        assert tree_distance(b, a, change_costs(a, b).T) == pytest.approx(there)


def test_very_deep_and_very_wide() -> None:
    deep = Node("a")
    for _ in range(3000):
        deep = Node("a", [deep])
    wide = Node("a", [Node("a") for _ in range(30)])
    assert size(deep) == 3001
    assert tree_distance(deep, wide, change_costs(deep, wide)) == 2999 + 29


def test_agrees_with_zss() -> None:
    zss = pytest.importorskip("zss", reason="compares with 'zss', which is not installed")

    def twin(node: Node) -> Any:
        made = zss.Node(node.label)
        for child in node.children:
            made.addkid(twin(child))
        return made

    source = random.Random(1)
    for _ in range(200):
        a, b = (random_tree(source, source.randint(1, 25)) for _ in range(2))
        expected = zss.distance(
            twin(a), twin(b), zss.Node.get_children,
            insert_cost=lambda _: 1, remove_cost=lambda _: 1,
            update_cost=lambda x, y: COSTS[x.label, y.label],
        )  # fmt: skip
        assert tree_distance(a, b, change_costs(a, b)) == pytest.approx(expected)
