"""The file checks that run before a commit, on made-up files and on this repository."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import check_files

ROOT = Path(__file__).resolve().parents[2]
FLAGS = ["--end-of-file", "--merge-conflict", "--large"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"fine\n", ""),
        (b"", ""),
        (b"no end", "line break"),
        (b"two ends\n\n", "line break"),
        (b"<" * 7 + b" a\nx\n" + b"=" * 7 + b"\ny\n" + b">" * 7 + b" b\n", "merge conflict"),
        (b"=" * 7 + b"\n", ""),  # a heading underlined in a text file
        (b"x" * 500_000 + b"\n", "500001 bytes"),
    ],
)
def test_problems(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, problem: str
) -> None:
    path = tmp_path / "file.txt"
    path.write_bytes(content)
    assert check_files.main([*FLAGS, str(path)]) == (1 if problem else 0)
    out = capsys.readouterr().out
    assert (problem in out and str(path) in out) if problem else out == ""


def test_this_repository() -> None:
    folders = ("src", "tests", "tools", "docs", "examples", "benchmarks", ".ci")
    files = [
        path
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".md", ".json", ".yaml", ".toml", ".txt"}
        and "golden" not in path.parts
        and "mini" not in path.parts
    ]
    assert len(files) > 50
    assert check_files.main([*FLAGS, *map(str, files)]) == 0
