"""A data set to ask about, and waits that take no time."""

from __future__ import annotations

from pathlib import Path

import pytest

from nanovl.synth.model import limits
from tests.unit.synth.model.notes import data_set, facts


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FIRST_WAIT_S", 0.01)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """Six documents of three facts."""
    return data_set(tmp_path / "notes", [facts(n) for n in range(6)])
