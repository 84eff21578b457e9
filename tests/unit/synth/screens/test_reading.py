"""Given HTML pages as blocks: what is kept, what is left out, and where windows are cut."""

from __future__ import annotations

from pathlib import Path

import pytest

from nanovl.core.errors import InputError
from nanovl.synth.documents.blocks import TableBlock, TextBlock
from nanovl.synth.documents.stories import Drops
from nanovl.synth.screens.reading import blocks_of_html, read_html
from tests.unit.synth.documents.conftest import write_lines

PAGE = """
<div><table class="infobox"><tr><th>Side</th><td>box</td></tr></table>
<div id="toc">1 History</div>
<p>The <b>mill</b> stands by the <i>Aune</i> river.<sup class="reference">[1]</sup></p>
<h2><span class="mw-headline">History</span><span class="editsection">[edit]</span></h2>
<p>It was built in 1850<br>by three sons.</p>
<ul><li>first point<ul><li>inner point</li></ul></li><li>second point</li></ul>
<ol><li>one</li><li>two</li></ol>
<pre>if grain:
    grind()</pre>
<table class="wikitable"><caption>Sacks</caption>
<tr><th>Year</th><th>Sacks</th></tr><tr><td>1850</td><td>12</td></tr><tr><td>1851</td><td>14</td></tr>
</table>
<table><tr><th colspan="2">Both</th></tr><tr><td>a</td><td>b</td></tr><tr><td>c</td><td>d</td></tr>
</table>
<table><tr><td>no</td><td>heads</td></tr><tr><td>a</td><td>b</td></tr><tr><td>c</td><td>d</td></tr>
</table>
<p style="display: none">hidden</p>
<h2>Empty</h2>
<h2>References</h2><ol><li>A book</li></ol>
<h2>Later</h2><p>Nothing was left.</p></div>
"""


def test_blocks_are_what_readers_see() -> None:
    blocks = blocks_of_html(PAGE)
    said = [(b.kind, b.text if isinstance(b, TextBlock) else b.kind) for b in blocks]
    assert said == [
        ("text", "The mill stands by the Aune river."),
        ("section_header", "History"),
        ("text", "It was built in 1850 by three sons."),
        ("list_item", "first point"),
        ("list_item", "inner point"),
        ("list_item", "second point"),
        ("list_item", "one"),
        ("list_item", "two"),
        ("code", "if grain:\n    grind()"),
        ("table", "table"),
        ("section_header", "Later"),
        ("text", "Nothing was left."),
    ]
    first = blocks[0]
    assert isinstance(first, TextBlock)
    assert [r.text for r in first.runs if r.bold] == ["mill"]
    assert [r.text for r in first.runs if r.italic] == ["Aune"]
    items = [b for b in blocks if isinstance(b, TextBlock) and b.kind == "list_item"]
    assert [(b.marker, b.level) for b in items] == [
        ("-", 0), ("-", 1), ("-", 0), ("1.", 0), ("2.", 0),
    ]  # fmt: skip
    (table,) = [b for b in blocks if isinstance(b, TableBlock)]
    assert table.caption == "Sacks"
    assert (table.table.header, table.table.rows) == (
        ("Year", "Sacks"), (("1850", "12"), ("1851", "14")),
    )  # fmt: skip


def test_windows_hold_every_block_once_in_order(tmp_path: Path) -> None:
    html = "".join(f"<h2>Part {n}</h2><p>{'flour and grain ' * 20}{n}</p>" for n in range(12))
    path = write_lines(
        tmp_path / "pages.jsonl.gz",
        [{"id": "w1", "title": "Mills", "html": html}, {"id": "w2", "html": "<p>short</p>"},
         {"id": "w3"}],
    )  # fmt: skip
    drops = Drops()
    found = read_html([path], drops, least=300, most=1200)
    assert drops.counts == {"missing_field": 1, "nothing_to_read": 1}
    assert {w.document for w in found} == {"w1"}
    texts = [b.text for w in found for b in w.blocks if isinstance(b, TextBlock)]
    bodies = [t for t in texts if "flour" in t]
    assert [t.rsplit(" ", 1)[-1] for t in bodies] == [str(n) for n in range(12)]
    assert all(w.blocks[-1].kind == "text" for w in found)
    assert len(found) > 3


def test_files_without_pages_are_named(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "none.jsonl.gz", [{"id": "w", "html": "<p>x</p>"}])
    with pytest.raises(InputError, match=r"none\.jsonl\.gz.*nothing_to_read"):
        read_html([path], Drops())
