"""docs/reference/cli.md is what the parser says."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_the_page_is_fresh():
    spec = importlib.util.spec_from_file_location("cli_page", ROOT / "tools" / "cli_page.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page = module.PAGE.read_text(encoding="utf-8")
    assert page == module.page(), "docs/reference/cli.md is stale; run: python tools/cli_page.py"
    for verb in ("chat", "info", "convert", "doctor"):
        assert f"## nanovl {verb}" in page
