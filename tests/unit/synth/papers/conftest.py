"""The engine's font cache, filled once for all tests of papers."""

from __future__ import annotations

from pathlib import Path

import pytest

from nanovl.synth.tex import fonts, sandbox


@pytest.fixture(scope="session")
def tex_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("texcache")


@pytest.fixture
def shared_cache(tex_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "font_cache", lambda: tex_cache)
    monkeypatch.setattr(fonts, "font_cache", lambda: tex_cache)
