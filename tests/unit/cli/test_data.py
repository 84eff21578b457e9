"""Help of `nanovl data`, and tables that need no data set."""

from __future__ import annotations

import subprocess
import sys

import pytest

HELP_WITHOUT_TORCH = """
import sys
from nanovl.cli.main import run
for words in (["data", "--help"], ["data", "stats", "--help"]):
    try:
        run(words)
    except SystemExit as end:
        assert not end.code, end.code
heavy = {"torch", "numpy", "PIL", "tokenizers", "rich.table"} & set(sys.modules)
assert not heavy, f"help loads {heavy}"
"""


@pytest.mark.parametrize("verb", ["", "convert", "prepare", "inspect", "stats", "validate"])
def test_help_opens_with_a_sentence_and_two_examples(cli, verb):
    result = cli("data", *([verb] if verb else []), "--help")
    assert result.code == 0
    lines = [line.strip() for line in result.out.splitlines()]
    start = lines.index("Examples:")
    assert all(line.startswith("nanovl data") for line in lines[start + 1 : start + 3])


def test_help_needs_no_torch():
    done = subprocess.run(
        [sys.executable, "-c", HELP_WITHOUT_TORCH], capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr.decode()


def test_misspelt_group(cli):
    result = cli("dta")
    assert (result.code, result.out) == (2, "")
    assert "did you mean 'data'" in result.err


def test_formats(cli):
    result = cli("data", "convert")
    assert (result.code, result.err) == (0, "")
    assert "docvqa" in result.out
    assert "what becomes what" in result.out.splitlines()[0]
