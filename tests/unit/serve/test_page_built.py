"""The committed page: built from the committed sources, small, and without ways out."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

import nanovl.serve
from nanovl.serve.page import Page

UI = Path(nanovl.serve.__file__).parent / "ui"
WEB = Path(__file__).parents[3] / "web"
# The same list as in web/scripts/stamp.mjs.
SOURCES = (
    "index.html",
    "package-lock.json",
    "package.json",
    "public",
    "scripts",
    "src",
    "tsconfig.json",
    "vite.config.ts",
)
MAX_BYTES = 640_000


def digest(path: Path) -> str:
    """Hash of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def sources_hash(root: Path) -> str:
    """What `npm run build` writes into build.json about the sources."""
    found = [root / name for name in SOURCES]
    files = [
        p for top in found for p in ([top] if top.is_file() else top.rglob("*")) if p.is_file()
    ]
    lines = sorted(f"{p.relative_to(root).as_posix()} {digest(p)}\n" for p in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def test_page_is_what_the_sources_give() -> None:
    """Whoever changes web/ builds the page again."""
    if not WEB.is_dir():
        pytest.skip("the sources of the page are not here")
    stamp = json.loads((UI / "build.json").read_text(encoding="utf-8"))
    assert stamp["sources"] == sources_hash(WEB), (
        "web/ was changed without building the page: run `npm ci && npm run build` in web/"
    )


def test_built_files_are_untouched() -> None:
    """Nobody edits the built page by hand."""
    stamp = json.loads((UI / "build.json").read_text(encoding="utf-8"))
    found = {p.relative_to(UI).as_posix(): digest(p) for p in UI.rglob("*") if p.is_file()}
    del found["build.json"]
    assert found == stamp["files"]


def test_change_of_a_source_is_noticed(tmp_path: Path) -> None:
    """One letter more, one file more or one name changed gives another hash."""
    for name in SOURCES:
        if "." in name:
            (tmp_path / name).write_text(name)
        else:
            (tmp_path / name).mkdir()
    (tmp_path / "src" / "a.ts").write_text("a")
    seen = [sources_hash(tmp_path)]
    (tmp_path / "src" / "a.ts").write_text("b")
    seen.append(sources_hash(tmp_path))
    (tmp_path / "src" / "b.ts").write_text("")
    seen.append(sources_hash(tmp_path))
    (tmp_path / "src" / "b.ts").rename(tmp_path / "src" / "c.ts")
    seen.append(sources_hash(tmp_path))
    assert len(set(seen)) == 4


def test_page_is_small_and_leads_nowhere() -> None:
    """The document loads its own files only, and has no script or style inside it."""
    assert sum(p.stat().st_size for p in UI.rglob("*") if p.is_file()) < MAX_BYTES
    html = (UI / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|style=", html)
    links = re.findall(r'(?:src|href)="([^"]+)"', html)
    assert links
    page = Page(UI)
    for link in links:
        assert link.startswith("./"), link
        assert link.removeprefix(".") in page.paths
    for style in UI.rglob("*.css"):
        assert not re.search(r"@import|url\((?![\"']?\./)", style.read_text(encoding="utf-8"))
