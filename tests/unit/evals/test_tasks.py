"""Tasks: names for people, and metrics made with what lies beside the questions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nanovl.evals.tasks import load_tasks, metric_factory, named
from tests.unit.evals.official import OFFICIAL


@pytest.mark.parametrize("place", ["test_data.h5", "scicode/test_data.h5"])
def test_the_expected_results_of_scicode_are_found(tmp_path: Path, place: str) -> None:
    OFFICIAL["scicode"](tmp_path)
    (task,) = load_tasks(["scicode"], tmp_path)
    made: Any = metric_factory(task)("default")
    assert made.data_file is None
    (tmp_path / place).write_bytes(b"results")
    (task,) = load_tasks(["scicode"], tmp_path)
    made = metric_factory(task)("default")
    assert made.data_file == tmp_path / place


def test_other_metrics_are_made_as_they_are(tmp_path: Path) -> None:
    OFFICIAL["mmstar"](tmp_path)
    (task,) = load_tasks(["mmstar"], tmp_path)
    assert task.metric_options == {}
    assert metric_factory(task)("vk").name == "mcq_vanilla"


@pytest.mark.parametrize(
    ("task", "name"),
    [
        ("mmstar", "MMStar"),
        ("mmmb/ru", "MMMB [ru]"),
        ("mini-tools", "tool calls"),
        ("another", "another"),
    ],
)
def test_names(task: str, name: str) -> None:
    assert named(task) == name
