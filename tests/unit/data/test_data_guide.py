"""docs/guides/data.md names every field of a record and every reason for a drop."""

from __future__ import annotations

from pathlib import Path

from nanovl.data import records
from nanovl.data.drops import REASONS

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "data.md"


def test_every_reason_has_a_row():
    text = GUIDE.read_text(encoding="utf-8")
    for reason, meaning in REASONS.items():
        assert f"| `{reason}` | {meaning} |" in text


def test_every_field_has_a_row():
    rows = [line for line in GUIDE.read_text(encoding="utf-8").splitlines() if line[:1] == "|"]
    first_cells = " ".join(row.split("|")[1] for row in rows)
    fragments = frozenset[str]().union(*records._FRAGMENT_KEYS.values())
    for key in records._RECORD_KEYS | records._MESSAGE_KEYS | fragments:
        assert f"`{key}`" in first_cells, key
