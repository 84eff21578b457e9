"""docs/reference/benchmarks.md is what the registry says."""

from __future__ import annotations

from nanovl.evals.mini_suite import TASKS
from nanovl.evals.registry import benchmarks, suites
from tools import benchmark_page


def test_the_page_is_fresh() -> None:
    page = benchmark_page.PAGE.read_text(encoding="utf-8")
    assert page == benchmark_page.page(), (
        "docs/reference/benchmarks.md is stale; run: python tools/benchmark_page.py"
    )


def test_everything_is_on_it() -> None:
    page = benchmark_page.page()
    for name in benchmarks():
        assert page.count(f"\n| `{name}` |") == 2, name  # facts, and files
    for name in (*suites(), *(task.id for task in TASKS)):
        assert f"\n| `{name}` |" in page
    head = benchmark_page.HEAD
    assert all(f"`{one.offline_fidelity}`" in head for one in benchmarks().values())
