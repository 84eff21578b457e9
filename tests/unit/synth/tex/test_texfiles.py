"""Files of the TeX installation are asked for once, as long as its file lists stay the same."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from nanovl.core.errors import BackendError
from nanovl.synth.tex import texfiles
from nanovl.synth.tex.sandbox import font_cache
from nanovl.synth.tex.texfiles import tex_files


class _Tree:
    """Stands in for kpsewhich and its tree."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.list = folder / "ls-R"
        self.list.write_text("./:\n")
        self.asked: list[list[str]] = []

    def add(self, name: str) -> Path:
        (self.folder / name).write_text("x")
        return self.folder / name

    def run(self, command: list[str], **other: Any) -> subprocess.CompletedProcess[str]:
        assert command[0] == "kpsewhich"
        if command[-1] == "ls-R":
            return subprocess.CompletedProcess(command, 0, f"{self.list}\n", "")
        self.asked.append(command[1:])
        paths = [self.folder / name for name in command[1:]]
        out = "".join(f"{path}\n" for path in paths if path.is_file())
        return subprocess.CompletedProcess(command, 0, out, "")


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _Tree:
    folder = tmp_path / "tree"
    folder.mkdir()
    made = _Tree(folder)
    monkeypatch.setenv("NANOVL_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(subprocess, "run", made.run)
    _forget()
    return made


def _forget() -> None:
    """As in another process."""
    texfiles._known.clear()
    texfiles._lists.cache_clear()


def test_one_question_for_a_kind_and_none_for_what_is_known(tree: _Tree) -> None:
    a, b = tree.add("a.pfb"), tree.add("b.pfb")
    assert tex_files("b.pfb", "none.pfb", "a.pfb", "b.pfb") == (b, None, a, b)
    assert tree.asked == [["-format=type1 fonts", "b.pfb", "none.pfb", "a.pfb"]]
    assert tex_files("a.pfb", "none.pfb") == (a, None)
    assert len(tree.asked) == 1


def test_other_processes_know_what_was_found_and_ask_for_what_was_not(tree: _Tree) -> None:
    a = tree.add("a.enc")
    tex_files("a.enc", "late.enc")
    late = tree.add("late.enc")
    _forget()
    assert tex_files("a.enc", "late.enc") == (a, late)
    assert tree.asked[1:] == [["-format=enc files", "late.enc"]]


@pytest.mark.parametrize("change", ["list", "file", "setting", "damage"])
def test_what_is_kept_ends_with_what_it_came_from(
    tree: _Tree, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    path = tree.add("a.map")
    tex_files("a.map")
    _forget()
    store = font_cache() / "tex-files.json"
    assert json.loads(store.read_text())["files"] == {"a.map": str(path)}
    if change == "list":
        os.utime(tree.list, ns=(1, 1))
    elif change == "file":
        path.unlink()
    elif change == "setting":
        monkeypatch.setenv("TEXMFHOME", "/elsewhere")
    else:
        store.write_text("[")
    assert tex_files("a.map") == (None if change == "file" else path,)
    assert len(tree.asked) == 2


def test_without_kpsewhich_the_error_names_the_package(
    tree: _Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*arguments: object, **other: object) -> None:
        raise FileNotFoundError

    assert tree
    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(BackendError, match="apt install texlive-luatex"):
        tex_files("a.enc")
