"""docs/reference/converters.md is what data.convert.FORMATS says."""

from __future__ import annotations

from nanovl.data.convert import FORMATS
from tools import converter_page


def test_the_page_is_fresh():
    page = converter_page.PAGE.read_text(encoding="utf-8")
    assert page == converter_page.page(), (
        "docs/reference/converters.md is stale; run: python tools/converter_page.py"
    )
    for name in FORMATS:
        assert f"\n| `{name}` | " in page
