"""The generators as wholes: sound samples, answers that follow from the truth, repeatability."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from nanovl.core.errors import ConfigError
from nanovl.synth.base import Sample, Streams
from nanovl.synth.browser import BROWSER
from nanovl.synth.business.generator import BusinessGenerator, create, create_scan
from nanovl.synth.registry import create as registered
from tests.unit.synth.checks import check_hash_seeds, check_others_fail, check_sample, made

pytest.importorskip("segno", reason="needs segno: pip install 'nanovl[synth]'")
pytest.importorskip("typst", reason="needs typst: pip install 'nanovl[synth]'")

TYPST = {"renderers": ["typst"]}
FORMS = {"renderers": ["typst"], "families": ["form"], "questions": 8}


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return made(create({**TYPST, "questions": 13}), 80)


@pytest.fixture(scope="module")
def forms() -> list[Sample]:
    return made(create(FORMS), 24)


@pytest.mark.slow
def test_samples_are_sound(samples: list[Sample], forms: list[Sample]) -> None:
    for sample in (*samples, *forms):
        check_sample(sample)
    check_others_fail([*samples, *forms])
    kinds = {t.task for s in (*samples, *forms) for t in s.tasks}
    assert any(kind.startswith("table_") for kind in kinds)
    assert {
        "business_value", "business_choice", "business_normalised", "business_absent",
        "business_cell", "business_json", "business_schema", "business_rows", "business_pairs",
        "business_where", "business_link", "business_yesno", "business_compare",
        "business_checks", "business_checks_count", "business_markdown", "business_class",
        "business_sum", "business_count", "business_extreme", "business_arithmetic",
        "business_days", "business_language", "ocr_markdown",
    } <= kinds  # fmt: skip


def test_yes_and_no_are_even(samples: list[Sample], forms: list[Sample]) -> None:
    said = [t.answer.value for s in (*samples, *forms) for t in s.tasks if t.answer.type == "bool"]
    assert len(said) > 80
    assert 0.4 < sum(said) / len(said) < 0.6  # of so few; all templates: test_judge


def by_path(sample: Sample) -> dict[str, dict[str, Any]]:
    return {f["path"]: f for f in sample.gt["fields"]}


def test_json_answers_follow_from_the_truth(samples: list[Sample]) -> None:
    checked = missing = 0
    for sample in samples:
        fields = {path.replace(".", "_"): f["value"] for path, f in by_path(sample).items()}
        for task in sample.tasks:
            if task.task != "business_json":
                continue
            for key, value in json.loads(task.answer_text).items():
                assert f'"{key}"' in task.question
                if value is None:
                    assert key not in fields
                    missing += 1
                else:
                    assert fields[key] == value
                    checked += 1
    assert checked > 60
    assert missing > 5


def test_what_is_not_stated_is_not_there(samples: list[Sample]) -> None:
    said = {"not stated": 0, "stated": 0}
    for sample in samples:
        names = {f["name"] for f in sample.gt["fields"]}
        for task in sample.tasks:
            if task.task != "business_absent":
                continue
            assert "not stated" in task.question
            if task.answer_text == "not stated":
                assert not any(f" {name}" in task.question for name in names if len(name) > 5)
                said["not stated"] += 1
            else:
                assert task.answer_text in {f["text"] for f in sample.gt["fields"]}
                said["stated"] += 1
    assert min(said.values()) > 12


def test_boxes_asked_for_are_those_of_fields(samples: list[Sample]) -> None:
    checked = 0
    for sample in samples:
        known = [f["bbox"] for f in sample.gt["fields"]]
        known += [d["bbox"] for d in sample.gt["drawings"]]
        for task in sample.tasks:
            if task.task == "business_where":
                box = [round(v, 2) for v in task.answer.boxes[0]]
                assert box in known
                checked += 1
    assert checked > 20


def test_labels_link_to_values(forms: list[Sample]) -> None:
    for sample in forms:
        entities = {e["id"]: e for e in sample.gt["entities"]}
        assert len(sample.gt["links"]) >= 6
        for first, second in sample.gt["links"]:
            assert entities[first]["label"] == "question"
            assert entities[second]["label"] == "answer"
        groups = {c["group"] for c in sample.gt["checks"]}
        assert groups
        for task in sample.tasks:
            if task.task == "business_checks":
                group = next(g for g in sorted(groups) if f'"{g}"' in task.question)
                on = [
                    c["text"] for c in sample.gt["checks"] if c["group"] == group and c["checked"]
                ]
                assert task.answer.value == (on or ["none"])


def test_traces_end_in_the_answer(samples: list[Sample]) -> None:
    traced = [t for s in samples for t in s.tasks if t.trace]
    assert len(traced) > 60
    for task in traced:
        if task.verifier == "number":
            assert task.trace is not None
            assert task.trace.rstrip(".").split()[-1].rstrip(".") == task.answer_text or (
                f" {task.answer_text} day" in task.trace
            ), task


def test_the_tree_holds_every_value(samples: list[Sample]) -> None:
    for sample in samples:
        for path, field in by_path(sample).items():
            node: Any = sample.gt["kv"]
            for part in path.split("."):
                if isinstance(node, list):
                    position = sorted(
                        {
                            int(p.split(".")[1])
                            for p in by_path(sample)
                            if p.startswith(path.split(".")[0] + ".")
                        }
                    ).index(int(part))
                    node = node[position]
                else:
                    node = node[part]
            assert node == field["value"]


def test_golden_documents(golden: Callable[[str, Any], None]) -> None:
    """What documents say does not depend on fonts or renderers."""
    generator = create(TYPST)
    found = {}
    for seed in range(36):
        plan = generator.plan(Streams(seed))
        told = {p: [f.text, f.value] for p, f in sorted(plan.draft.fields.items())}
        tree = json.dumps([told, plan.flat.tree], sort_keys=True, ensure_ascii=True)
        found[str(seed)] = {
            "family": plan.family.name,
            "template": plan.template,
            "title": plan.draft.title,
            "fields": len(told),
            "digest": hashlib.sha256(tree.encode()).hexdigest()[:16],
        }
    golden("synth/business.json", found)


@pytest.mark.slow
def test_hash_seeds_do_not_matter() -> None:
    check_hash_seeds("nanovl.synth.business.generator", json.dumps(TYPST), "range(6)")


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.skipif(
    not all(r.is_there for r in BROWSER),
    reason="needs a browser: pip install 'nanovl[screens]', apt install chromium-headless-shell",
)
def test_browser_pages_are_sound_and_repeatable() -> None:
    generator = create({"renderers": ["browser"]})
    first = made(generator, 20)
    for sample in first:
        check_sample(sample)
        assert sample.gt["renderer"] == "browser"
    again = generator.generate(0, Streams(first[0].seed))
    assert again.media[0].data == first[0].media[0].data
    assert again.gt == first[0].gt


@pytest.mark.slow
def test_scans_keep_their_fields() -> None:
    generator = create_scan(TYPST)
    assert generator.name == "business-scan"
    found = made(generator, 24)
    for sample in found:
        check_sample(sample)
    profiles = {s.gt["augmentation"]["profile"] for s in found}
    assert {"scan", "camera"} <= profiles


def test_both_are_in_the_registry() -> None:
    for name in ("business", "business-scan"):
        generator = registered(name, TYPST)
        assert isinstance(generator, BusinessGenerator)
        assert generator.name == name
        assert "typst" in {r.name for r in generator.requires}


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"families": ["invoce"]}, "invoice"),
        ({"languages": ["ja"]}, "languages"),
        ({"fonts": []}, "fonts"),
        ({"renderers": ["word"]}, "renderers"),
        ({"scales": [3.0]}, "scales"),
        ({"handwriting": 2.0}, "handwriting"),
        ({"questions": 0, "transcriptions": 0, "tables": 0}, "not all 0"),
        ({"augment": "fax"}, "augment"),
    ],
)
def test_bad_settings_are_named(settings: dict[str, object], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        create(settings)
