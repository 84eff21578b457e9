"""What the end-to-end tests of TeX name: the font cache every test has."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def shared_tex_cache(tex_cache: Path) -> Path:
    """Where the fonts of the TeX engine are kept; a link in every home leads there."""
    return tex_cache
