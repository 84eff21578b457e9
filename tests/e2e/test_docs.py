"""The code blocks of README and docs run, offline, in the order a reader would run them.

```bash, ```python     run; all Python blocks of a page share their variables
<!-- not run: why -->  in front of a block: shown only
<!-- output -->        in front of a ```text block: what the block before it prints, "..." stands
                       for anything (as in doctest)
<!-- from FILE -->     in front of a block: FILE of this repository holds these lines
"""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import shutil
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nanovl.testing import pdf, video

ROOT = Path(__file__).resolve().parents[2]
# Runs with the fast tests; the other pages are slow ones.
FIRST_PAGE = "README.md"
FENCE = re.compile(
    r"(?:<!-- (?P<mark>[^>]+?) -->\n)?^```(?P<language>\w+)\n(?P<code>.*?)^```$", re.M | re.S
)


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    line: int
    language: str
    code: str
    mark: str

    @property
    def runs(self) -> bool:
        """Whether the block is a program."""
        shown = self.mark.startswith(("not run:", "from "))
        return self.language in ("bash", "python") and not shown


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            line=text.count("\n", 0, match.start("code")),
            language=match["language"],
            code=match["code"],
            mark=match["mark"] or "",
        )
        for match in FENCE.finditer(text)
    ]


def pages() -> list[Any]:
    found = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
    return [
        pytest.param(
            page,
            id=page.relative_to(ROOT).as_posix(),
            marks=() if page == ROOT / FIRST_PAGE else pytest.mark.slow,
        )
        for page in found
        if any(block.runs for block in blocks(page))
    ]


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the pages talk about: the demo pictures and a few files of one's own."""
    shutil.copytree(ROOT / "src/nanovl/assets/demo", tmp_path / "src/nanovl/assets/demo")
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    pdf(tmp_path / "report.pdf", 3, "Chapter {page}")
    video(tmp_path / "clip.mp4", 48, 12.0)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path


def run_bash(code: str) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", code],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=110,
    )
    assert done.returncode == 0, f"exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def run_python(code: str, where: str, namespace: dict[str, Any]) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, where, "exec"), namespace)
    return out.getvalue()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", pages())
@pytest.mark.usefixtures("workplace")
def test_page_runs(page: Path) -> None:
    namespace: dict[str, Any] = {"__name__": "__main__"}
    printed = ""
    checker = doctest.OutputChecker()
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    for block in blocks(page):
        where = f"{page.name}:{block.line}"
        if block.runs and block.language == "bash":
            printed = run_bash(block.code)
        elif block.runs:
            printed = run_python(block.code, where, namespace)
        elif block.mark == "output":
            assert checker.check_output(block.code, printed, flags), (
                f"{where} shows\n{block.code}\nbut the block before it prints\n{printed}"
            )


@pytest.mark.parametrize(
    "page", sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]), ids=lambda p: p.name
)
def test_blocks_are_marked_honestly(page: Path) -> None:
    for block in blocks(page):
        where = f"{page.name}:{block.line}"
        assert not re.fullmatch(r"not run:\s*", block.mark), f"{where}: say why it is not run"
        if block.mark.startswith("from "):
            source = block.mark.removeprefix("from ")
            text = (ROOT / source).read_text(encoding="utf-8")
            found = block.code in text or textwrap.indent(block.code, "    ") in text
            assert found, f"{where} differs from {source}"


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.py")), ids=lambda p: p.name)
@pytest.mark.usefixtures("workplace")
def test_example_runs(path: Path) -> None:
    docstring = path.read_text(encoding="utf-8").split('"""')[1]
    command = re.search(r"^ *(python examples/.+)$", docstring, flags=re.M)
    assert command is not None, f"{path.name}: the docstring shows no command"
    assert run_bash(command.group(1)).strip(), f"{path.name} prints nothing"
