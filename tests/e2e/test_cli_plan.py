"""`nanovl plan` as a person types it; once in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.typed import typed


def test_a_stage_beside_the_report() -> None:
    done = typed("plan", "stage1", "parallel.cp=4", width=120)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    rows = done.stdout
    for text in ("13.18 B", "53,644", "15,360", "2,035", "64 x 8", "17.0%", "GFLOP per token"):
        assert text in rows, text
    assert max(map(len, rows.splitlines())) <= 120


def test_warnings_go_to_standard_error() -> None:
    words = ["plan", "stage1", "--gpus", "512", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "nanovl", *words],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0
    assert "warning: batch.global 128: cannot be shared" in done.stderr
    found = json.loads(done.stdout)
    assert found["reported"]["gpu_hours"] == 15360
    assert found["gpus"] == 512
    assert found["memory"]["total"] > 0
    assert found["hours"] == pytest.approx(found["gpu_hours"] / 512)


def test_a_recipe_of_one_s_own_on_a_cpu(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "name: mine\nmodel: {preset: tiny, init: random}\nstage: {train_iters: 7}\n"
        "data: {seq_len: 512}\nbatch: {global: 4}\n",
        encoding="utf-8",
    )
    done = typed("plan", path, "--gpu", "cpu", "--peak", 1.5, "--mfu", 0.2, width=60)
    assert done.returncode == 0, done.stderr
    assert "mine" in done.stdout
    assert "1.5" in done.stdout
    assert "MFLOP per token" in done.stdout


def test_the_list_of_recipes() -> None:
    done = typed("plan")
    assert done.returncode == 0, done.stderr
    for name in ("stage0", "stage4", "qad", "mini/pre", "mini/stage4"):
        assert name in done.stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["stge1"], "did you mean 'stage1'"),
        (["stage1", "optim.lrr=3"], "unknown key 'lrr'; did you mean 'lr'"),
        (["stage1", "--gpu", "h1000"], "did you mean 'h100'"),
    ],
)
def test_mistakes_exit_with_2(words: list[str], expected: str) -> None:
    done = typed("plan", *words)
    assert done.returncode == 2
    assert done.stdout == ""
    assert expected in done.stderr
    assert len(done.stderr.splitlines()) == 1
