"""Sixty mixed samples, the driver killed twice on the way: the same bytes as undisturbed."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("ray", ["", "local"], ids=["processes", "ray"])
def test_a_mixture_killed_twice_ends_with_the_same_bytes(ray: str) -> None:
    if ray and importlib.util.find_spec("ray") is None:
        pytest.skip("needs Ray: pip install 'nanovl[ray]'")
    words = [sys.executable, str(ROOT / "benchmarks" / "synth_kill.py"), "--smoke"]
    done = subprocess.run(
        [*words, *(["--ray", ray] if ray else [])], capture_output=True, text=True, timeout=1100
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["different_files"] == []
    assert found["samples"] == 60
    assert len(found["killed_after_shards"]) == 2
    assert found["reused_shards"] >= 1
