"""One font cache of the TeX engine for all tests of this folder: filling it takes a minute."""

from __future__ import annotations

from pathlib import Path

import pytest

from nanovl.synth.tex import fonts, sandbox


@pytest.fixture(scope="session")
def tex_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("texcache")


@pytest.fixture(autouse=True)
def _shared_cache(tex_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "font_cache", lambda: tex_cache)
    monkeypatch.setattr(fonts, "font_cache", lambda: tex_cache)
