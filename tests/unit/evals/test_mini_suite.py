"""The task list of the local suite: consistent, within its time, readable from its folder."""

from __future__ import annotations

import dataclasses
import json

import pytest

from nanovl.core.errors import ConfigError, InputError
from nanovl.evals.base import Sample
from nanovl.evals.mini_suite import (
    BUDGET_S,
    GAINS,
    MANIFEST,
    SAMPLES,
    TASKS,
    asked_task,
    estimated_seconds,
    prompt_of,
    read_manifest,
    read_samples,
    setting_of,
    suite_task,
)
from nanovl.evals.readers.folder import line_of
from nanovl.evals.readers.manifest import sha256_of
from nanovl.evals.scoring.registry import metric

MUST_SHOW = {  # the table of the small model's targets
    "mini-read-lines": (0.03, 0.007),
    "mini-read-pages-clean": (0.10, 0.02),
    "mini-read-pages-degraded": (0.25, None),
    "mini-receipts": (40.0, 75.0),
    "mini-pages-stories": (0.20, 0.45),
    "mini-pages-xquad-en": (0.20, 0.45),
    "mini-tables-wtq": (0.10, 0.20),
    "mini-charts": (0.50, 0.85),
    "mini-needles": (None, 0.95),
}


def write_suite(tmp_path, task, samples, media=()):
    """A suite with one set."""
    folder = tmp_path / task.folder
    (folder / "media").mkdir(parents=True)
    for name, data in media:
        (folder / "media" / name).write_bytes(data)
    names = {"image": [f"media/{name}" for name, _ in media]} if media else {}
    lines = [line_of(sample, names) for sample in samples]
    (folder / SAMPLES).write_text("\n".join(lines) + "\n")
    digest = sha256_of(folder / SAMPLES)
    file = {"name": f"{task.folder}/{SAMPLES}", "sha256": digest, "rows": len(samples)}
    manifest = {
        "suite": "mini-suite-test",
        "sets": {task.folder: {"samples": len(samples), "files": [file]}},
        "files": {f"{task.folder}/{SAMPLES}": digest},
    }
    (tmp_path / MANIFEST).write_text(json.dumps(manifest))
    return tmp_path


def test_ids_are_unique_and_titles_too():
    assert len({t.id for t in TASKS}) == len({t.title for t in TASKS}) == len(TASKS)
    assert all(t.id.startswith("mini-") for t in TASKS)
    assert not {t.id for t in TASKS} & {g.id for g in GAINS}


def test_a_run_takes_at_most_a_quarter_of_an_hour():
    assert 0.8 * BUDGET_S < estimated_seconds() <= BUDGET_S == 900


def test_answers_have_room():
    for task in TASKS:
        assert task.answer_tokens * 1.6 <= task.max_tokens <= 512, task.id
        assert task.samples >= 8, task.id
        longest = task.prompt_tokens + task.max_tokens
        assert longest <= 19_456, f"{task.id} does not fit the longest context"


@pytest.mark.parametrize("name", sorted({t.metric for t in TASKS}))
def test_metrics_exist_under_their_names(name):
    assert metric(name).name == name


def test_all_measures_of_the_small_model_are_there_with_their_targets():
    for name, (must, aim) in MUST_SHOW.items():
        task = suite_task(name)
        assert (task.must, task.aim) == (must, aim), name
    for task in TASKS:
        low, high = task.range
        if task.must is not None and task.aim is not None:
            assert low <= min(task.must, task.aim)
            assert max(task.must, task.aim) <= high
            assert (task.aim < task.must) is task.is_error
    gain = GAINS[0]
    assert (gain.must, gain.aim) == (0.10, 0.30)
    better, worse = suite_task(gain.better), suite_task(gain.worse)
    assert (better.folder, better.metric) == (worse.folder, worse.metric)
    assert (better.mode, worse.mode) == ("on", "off")


def test_tasks_of_one_set_are_counted_alike():
    by_set = {}
    for task in TASKS:
        by_set.setdefault(task.folder, set()).add((task.samples, task.metric, str(task.options)))
    assert all(len(kinds) == 1 for kinds in by_set.values())


@pytest.mark.parametrize("task", TASKS, ids=lambda t: t.id)
def test_settings_are_ones_the_runner_knows(task):
    setting = setting_of(task)
    assert setting.mode.reasoning == task.mode
    assert setting.mode.is_greedy is (task.mode == "off")
    assert setting.options == task.options


def test_an_unknown_task_is_named():
    with pytest.raises(ConfigError, match="mini-read-lines"):
        suite_task("mini-read-line")


def test_a_set_becomes_a_task_of_the_runner(tmp_path):
    task = suite_task("mini-grounding")
    written = [
        Sample(id="g1", question="Where is the cup?", answer=[[1, 2, 3, 4]], category="box",
               meta={"kind": "boxes"}),
    ]  # fmt: skip
    suite = write_suite(tmp_path, task, written, [("0.png", _png())])
    (sample,) = read_samples(suite, task)
    assert dataclasses.replace(sample, media=()) == written[0]
    asked = asked_task(suite, task)
    assert (asked.id, asked.metric, asked.total) == ("mini-grounding", "box_iou", 1)
    assert asked.manifest["suite"] == "mini-suite-test"
    assert asked.manifest["files"][0]["rows"] == 1
    prompt = prompt_of(task)(sample)
    assert prompt.text == "<image>Where is the cup?"
    assert prompt.max_tokens == task.max_tokens
    assert [m.name for m in prompt.media] == ["media/0.png"]


def test_files_that_changed_are_found(tmp_path):
    task = suite_task("mini-maths-text")
    suite = write_suite(tmp_path, task, [Sample(id="m", question="1 + 1?", answer="2")])
    assert read_manifest(suite, verify=True)["suite"] == "mini-suite-test"
    with (suite / task.folder / SAMPLES).open("a") as file:
        file.write("\n")
    assert read_manifest(suite)["suite"] == "mini-suite-test"
    with pytest.raises(InputError, match="build the suite again"):
        read_manifest(suite, verify=True)


def test_a_suite_that_is_not_there_says_how_to_build_it(tmp_path):
    for read in (
        read_manifest,
        lambda p: read_samples(p, TASKS[0]),
        lambda p: asked_task(p, TASKS[0]),
    ):
        with pytest.raises(InputError, match=r"tools\.mini_suite"):
            read(tmp_path)
    (tmp_path / MANIFEST).write_text("[]")
    with pytest.raises(InputError, match="no manifest"):
        read_manifest(tmp_path)


def _png():
    from io import BytesIO

    from PIL import Image

    stream = BytesIO()
    Image.new("RGB", (8, 8)).save(stream, "PNG")
    return stream.getvalue()
