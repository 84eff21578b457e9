"""One font cache of the TeX engine for all end-to-end tests: filling it takes seconds."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tex_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("texcache")


@pytest.fixture
def shared_tex_cache(tex_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The TeX part keeps its fonts in the session's folder."""
    from nanovl.synth.tex import fonts, sandbox

    monkeypatch.setattr(sandbox, "font_cache", lambda: tex_cache)
    monkeypatch.setattr(fonts, "font_cache", lambda: tex_cache)
    return tex_cache
