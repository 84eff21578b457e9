"""`nanovl quantize`: what it says, and what it says about bad input."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nanovl.testing import training_set

FEW = ("--samples", 4, "--held-out", 2, "--seq-len", 256)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("set")
    return training_set(folder, samples=8, kinds=("shapes", "dialogue"), size=64)


def test_a_checkpoint_is_quantized(
    cli: Callable[..., Any], checkpoint: Path, data: Path, tmp_path: Path
) -> None:
    """Sizes, what the answers lost, and where the report is; findings go to standard error."""
    out = tmp_path / "nvfp4"
    done = cli("quantize", checkpoint, out, "--format", "nvfp4", "--calib", data, *FEW)
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert "linears in nvfp4" in lines[0]
    assert "nats per token" in lines[1]
    assert lines[2] == f"report: {out / 'report' / 'index.html'}"
    assert "samples are too few" in done.err
    shown = cli("info", out, "--json")
    assert "nvfp4" in shown.out


def test_one_json_document(cli: Callable[..., Any], checkpoint: Path, tmp_path: Path) -> None:
    """For scripts: the same figures."""
    done = cli("quantize", checkpoint, tmp_path / "out", "--format", "nvfp4-w4a16", "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["folder"] == str(tmp_path / "out")
    assert 0 < found["bytes_after"] < found["bytes_before"]
    assert found["divergence"] == {}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--format", "fp9"), "expected one of"),
        (("--format", "fp8"), "--calib"),
        (("--format", "fp8", "--calib", "nowhere.yaml"), "nowhere.yaml"),
        (("--format", "mixed:2"), "4.5 to 16"),
        (("--format", "nvfp4-w4a16", "--exclude", "*.nothing"), "matches no linear"),
        (("--format", "nvfp4-w4a16", "--algo", "best"), "expected"),
    ],
)
def test_bad_words(
    cli: Callable[..., Any], checkpoint: Path, tmp_path: Path, words: tuple[str, ...], says: str
) -> None:
    """One line, no traceback, no folder."""
    done = cli("quantize", checkpoint, tmp_path / "out", *words)
    assert done.code != 0
    assert says in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "out").exists()


def test_a_folder_in_the_way(cli: Callable[..., Any], checkpoint: Path, tmp_path: Path) -> None:
    """Nothing is replaced unless it is asked for."""
    (tmp_path / "precious.txt").write_text("kept", encoding="utf-8")
    done = cli("quantize", checkpoint, tmp_path, "--format", "nvfp4-w4a16")
    assert done.code != 0
    assert (tmp_path / "precious.txt").read_text(encoding="utf-8") == "kept"
