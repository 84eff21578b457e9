"""`make demo` and `nanovl demo` as a person runs them: in a process of their own, offline."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NANOVL = (sys.executable, "-m", "nanovl")
MOST_S = 60.0


@pytest.mark.slow
def test_the_demo_answers_in_less_than_a_minute() -> None:
    begun = time.monotonic()
    done = subprocess.run(
        [*NANOVL, "demo"], capture_output=True, text=True, timeout=110, stdin=subprocess.DEVNULL
    )
    took = time.monotonic() - begun
    assert done.returncode == 0, done.stderr
    assert took < MOST_S
    assert done.stdout.strip()
    assert re.search(r"^input +receipt\.png: a receipt$", done.stderr, flags=re.M)
    assert re.search(r"^expected +20\.02$", done.stderr, flags=re.M)
    assert re.search(r"[\d.]+ tokens/s$", done.stderr, flags=re.M)


def test_make_runs_the_demo_and_the_small_model() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    recipes = dict(re.findall(r"^([a-z-]+):[^\n]*\n((?:\t[^\n]*\n)+)", text, flags=re.M))
    assert "/nanovl demo" in recipes["demo"]
    assert "tools.make_mini" in recipes["mini"]
    done = subprocess.run(
        ["make", "-n", "mini", "DATA=/data", "BUDGET=cpu-20min", "WORK=/runs"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    for words in ('--data "/data"', '--work "/runs"', "--budget cpu-20min", '--ship-to "/runs/'):
        assert words in done.stdout
