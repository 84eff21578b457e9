"""The tool behind `make eval-smoke`, on three benchmarks, and that it sees what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from nanovl.evals.base import Sample
from nanovl.evals.registry import benchmarks
from tests.unit.evals.official import OFFICIAL
from tools import eval_smoke


def test_three_benchmarks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["mmstar", "docvqa", "ocrbench"]
    lines, wrongs = eval_smoke.run(names, tmp_path, model=False)
    assert wrongs == []
    cells = {line.split()[0]: line.split()[1:] for line in lines}
    assert cells["mmstar"][:5] == ["2", "100.0", "0.0", "0.0", "100.0"]
    assert cells["docvqa/val"][1:4] == ["100.0", "0.0", "0.0"]
    assert "docvqa/test" not in cells
    assert (tmp_path / "runs" / "tricky").exists() is False
    assert (tmp_path / "runs" / "perfect" / "report.html").is_file()


def test_what_is_wrong_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eval_smoke, "wrong", lambda sample, perfect: perfect)
    monkeypatch.setattr(eval_smoke, "EXCEPTIONS", {})
    _, wrongs = eval_smoke.run(["mmstar", "wildvision"], tmp_path, model=False)
    assert "mmstar: wrong: 100.0 at rules, at most 0.0" in wrongs
    assert any(line.startswith("wildvision: perfect: 0.0, expected 100.0") for line in wrongs)


def test_every_benchmark_has_a_tiny_set() -> None:
    assert set(OFFICIAL) == set(benchmarks())
    assert set(eval_smoke.EXCEPTIONS) < set(OFFICIAL)


@pytest.mark.parametrize(
    ("sample", "perfect", "expected"),
    [
        (Sample(id="1", question="?", answer="A", options={"A": "x", "B": "y"}), "A", "B"),
        (Sample(id="1", question="?", answer="x", options={"A": "x", "B": "y"}), "A", "B"),
        (Sample(id="1", question="?", answer="Yes"), "Yes", "No"),
        (Sample(id="1", question="?", answer="14"), "14", "987654321, qx, zz"),
        (
            Sample(id="1", question="?", answer=None),
            "```python\n1\n```",
            "```python\nprint('no')\n```",
        ),
    ],
)
def test_wrong_answers(sample: Sample, perfect: str, expected: str) -> None:
    assert eval_smoke.wrong(sample, perfect) == expected


def test_tricky_answers() -> None:
    assert eval_smoke.tricky("bold", "B") == "**B**"
    assert eval_smoke.tricky("boxed", "14").endswith("$\\boxed{14}$")
    assert eval_smoke.tricky("bold", '{"a": 1}') == '{"a": 1}'
    assert eval_smoke.tricky("thoughts", '{"a": 1}').endswith('\n\n{"a": 1}')
