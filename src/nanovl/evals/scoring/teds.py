"""TEDS: how alike two HTML tables are as trees of rows and cells, with and without their text.

Nodes are the elements below `table`; only `td` carries text and spans, so that `th` is another
kind of element. Changing a cell costs the share of its text that differs, or 1 if its spans do.
Tables in other notations are turned into HTML in `charts`, not here.

Rooms beside this one measure tables too, on grids they made themselves; this one must follow the
published metric on arbitrary markup and therefore has its own tree builder.

Source: evaluation specification, section 6.10 (TEDS).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nanovl.core.errors import InputError, missing_extra
from nanovl.evals.base import Judge, Level, Response, Result, Sample, Scored, Verdict
from nanovl.evals.scoring.edits import check_profile, distances
from nanovl.evals.scoring.tally import mean_result
from nanovl.evals.scoring.tree_distance import Floats, Node, postorder, tree_distance

__all__ = [
    "TableTreeSimilarity",
    "create_teds",
    "create_teds_s",
    "html_table",
    "teds",
    "wrap_table",
]


@dataclass(frozen=True)
class _Element:
    tag: str
    spans: tuple[int, int] | None = None
    tokens: tuple[str, ...] = ()


def html_table(text: str) -> str | None:
    """The table in a reply, as a whole HTML document.

    Newlines are dropped; the table begins at the first `<body`, else at the first `<table`, and
    runs to the end of the reply.

    Returns:
        HTML, or None when there is neither.
    """
    line = text.replace("\n", "")
    for opening in ("<body", "<table"):
        if opening in line:
            return wrap_table(line[line.index(opening) :])
    return None


def wrap_table(text: str) -> str:
    """Add the `table`, `body` and `html` tags that are missing, and drop newlines."""
    line = text.replace("\n", "")
    opened, closed = "<table" in line, "</table>" in line
    if not opened:
        line = "<table>" + line
    if not closed:
        line += "</table>"
    for tag in ("body", "html"):
        if f"<{tag}>" not in line:
            line = f"<{tag}>{line}</{tag}>"
    return line


def teds(truth: str, prediction: str, *, structure_only: bool = False) -> float:
    """Similarity of two tables, each the first table directly below `body`.

    Args:
        truth, prediction: HTML documents; see `html_table` and `wrap_table`.
        structure_only: Leave the text of cells out (TEDS-S).

    Returns:
        1 less the tree edit distance over the larger number of elements below `table`. At most 1;
        below 0 when the trees have next to nothing in common. 0 when one is no table, or when
        markup cannot be read (a span that is no whole number).

    Raises:
        BackendError: The package lxml or rapidfuzz is missing.
    """
    a, b = (_first_table(text) for text in (prediction, truth))
    if a is None or b is None:
        return 0.0
    try:
        trees = _tree(a, structure_only), _tree(b, structure_only)
    except ValueError:
        return 0.0
    largest = max(len(a.xpath(".//*")), len(b.xpath(".//*")))
    if largest == 0:
        return 0.0
    nodes = [[node.label for node in postorder(tree)] for tree in trees]
    return 1.0 - tree_distance(*trees, _costs(*nodes)) / largest


@dataclass(frozen=True)
class TableTreeSimilarity:
    """TEDS as a metric: the answer is an HTML table, and so should be the reply.

    Attributes:
        name: "teds" or "teds_s".
        structure_only: Leave the text of cells out.
    """

    name: str
    structure_only: bool = False

    def score(
        self,
        sample: Sample,
        response: Response,
        *,
        level: Level = "rules",
        judge: Judge | None = None,
    ) -> Verdict:
        """Similarity of the table in the reply; 0 if there is none.

        Raises:
            InputError: The reference is no HTML table.
        """
        truth = sample.answer
        if isinstance(truth, list | tuple) and len(truth) == 1:
            truth = truth[0]
        if not isinstance(truth, str) or "<t" not in truth:
            raise InputError(
                f"sample '{sample.id}': metric '{self.name}' needs an HTML table as reference; "
                f"got {str(truth)[:60]!r}. Convert the reference to HTML"
            )
        found = html_table(response.text)
        if found is None:
            return Verdict(value=0.0, detail={"parsed": False, "reason": "no table in the reply"})
        value = teds(wrap_table(truth), found, structure_only=self.structure_only)
        return Verdict(value=value, extracted=found)

    def aggregate(self, scored: Sequence[Scored]) -> Result:
        """Mean over all samples.

        Raises:
            InputError: There are no samples.
        """
        return mean_result(scored, self.name)


def create_teds(profile: str = "default") -> TableTreeSimilarity:
    """TEDS; the same in all profiles."""
    check_profile(profile, "teds")
    return TableTreeSimilarity("teds")


def create_teds_s(profile: str = "default") -> TableTreeSimilarity:
    """TEDS of the structure alone; the same in all profiles."""
    check_profile(profile, "teds_s")
    return TableTreeSimilarity("teds_s", structure_only=True)


def _first_table(text: str) -> Any:
    """The element of the first table below `body`, or None."""
    try:
        from lxml import etree, html
    except ImportError as error:
        raise missing_extra("lxml", "evals", "reading HTML tables") from error
    if not text:
        return None
    try:
        document = html.fromstring(text, parser=html.HTMLParser(remove_comments=True))
    except (etree.LxmlError, ValueError, AssertionError):
        return None
    found = document.xpath("body/table")
    return found[0] if found else None


def _tree(table: Any, structure_only: bool) -> Node:
    """Nodes of an element and all below it; cells are leaves whatever they hold."""
    root = Node(_label(table, structure_only))
    open_nodes = [(table, root)]
    while open_nodes:
        element, node = open_nodes.pop()
        if element.tag == "td":
            continue
        for child in element:
            below = Node(_label(child, structure_only))
            node.children.append(below)
            open_nodes.append((child, below))
    return root


def _label(element: Any, structure_only: bool) -> _Element:
    if element.tag != "td":
        return _Element(str(element.tag))
    spans = int(element.get("colspan", "1")), int(element.get("rowspan", "1"))
    return _Element("td", spans, () if structure_only else tuple(_tokens(element)))


def _tokens(cell: Any) -> list[str]:
    """Characters of a cell; tags inside it count as one token each."""
    found: list[str] = list(cell.text or "")
    # Elements still to be opened, and what stands behind an element once it is closed.
    stack: list[Any] = list(reversed(cell))
    while stack:
        item = stack.pop()
        if isinstance(item, list):
            found.extend(item)
            continue
        found.append(f"<{item.tag}>")
        found.extend(item.text or "")
        behind = [f"</{item.tag}>"] if item.tag != "unk" else []
        # The text behind a cell inside a cell is not read.
        behind.extend("" if item.tag == "td" else item.tail or "")
        stack.append(behind)
        stack.extend(reversed(item))
    return found


def _costs(a: Sequence[_Element], b: Sequence[_Element]) -> Floats:
    """Cost of changing each element of one table into each of the other."""
    kinds: dict[tuple[str, tuple[int, int] | None], int] = {}
    rows, columns = (
        np.array([kinds.setdefault((item.tag, item.spans), len(kinds)) for item in items])
        for items in (a, b)
    )
    costs: Floats = (rows[:, None] != columns[None, :]).astype(np.float64)
    cells = [np.array([i for i, item in enumerate(x) if item.tag == "td"], int) for x in (a, b)]
    if not len(cells[0]) or not len(cells[1]):
        return costs
    share = _shares([a[i].tokens for i in cells[0]], [b[j].tokens for j in cells[1]])
    where = np.ix_(cells[0], cells[1])
    costs[where] = np.where(costs[where] > 0, 1.0, share)
    return costs


def _shares(a: Sequence[tuple[str, ...]], b: Sequence[tuple[str, ...]]) -> Floats:
    """Share of the tokens that differ, for every cell of one table and of the other."""
    # Every token becomes one character, so that the fast comparison of texts can be used.
    codes: dict[str, str] = {}
    texts = [
        [
            "".join(codes.setdefault(token, chr(len(codes) + 1)) for token in tokens)
            for tokens in cells
        ]
        for cells in (a, b)
    ]
    lengths = [np.array([len(text) for text in group]) for group in texts]
    longest = np.maximum(lengths[0][:, None], lengths[1][None, :])
    share: Floats = distances(texts[0], texts[1]) / np.maximum(longest, 1)
    return share
