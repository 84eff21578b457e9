"""Several pictures: versions differ where they say, sequences are in order, counts add up."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nanovl.core.errors import ConfigError
from nanovl.synth.base import Sample
from nanovl.synth.multipage.albums import KINDS, MultiImageGenerator, create
from nanovl.synth.records import sample_records
from tests.unit.synth.checks import (
    check_golden,
    check_hash_seeds,
    check_others_fail,
    check_sample,
    made,
    make,
    yes_share,
)

PLAIN: dict[str, Any] = {"fonts": ["builtin"], "typefaces": ["builtin"], "image": "png"}


def only(kind: str, **settings: Any) -> MultiImageGenerator:
    return create({**PLAIN, "kinds": [kind], **settings})


def picture(sample: Sample, place: int) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(sample.media[place].data)).convert("RGB"), dtype=int)


def answers(sample: Sample, kind: str) -> list[Any]:
    return [t.answer.value for t in sample.tasks if t.task == f"album_{kind}"]


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_samples_are_sound(kind: str) -> None:
    samples = made(only(kind), 24)
    for sample in samples:
        assert len(sample.media) >= 2
        assert sample.gt["kind"] == kind
        check_sample(replace(sample, gt={}))
    if kind not in ("odd", "page-versions"):  # too few answers that must be exact
        check_others_fail(samples)


@pytest.mark.parametrize("kind", ["table-versions", "page-versions"])
def test_changes_are_what_was_edited(kind: str) -> None:
    counts = set()
    for sample in made(only(kind), 30):
        changes = sample.gt["changes"]
        counts.add(len(changes))
        assert answers(sample, "same") == [not changes]
        assert all(c["before"] != c["after"] for c in changes)
        if changes:
            assert answers(sample, "n_changes") == [len(changes)]
            text = answers(sample, "changes")[0]
            for change in changes:
                assert f"{change['before']} -> {change['after']}" in text
        height, width = picture(sample, 1).shape[:2]
        for change in changes:
            x0, y0, x1, y1 = change["bbox"]
            assert 0 <= x0 < x1 <= width
            assert 0 <= y0 < y1 <= height
    assert counts >= {0, 1, 2}


def test_pages_differ_in_the_changed_words_only() -> None:
    seen = 0
    for sample in made(only("page-versions"), 24):
        changes = sample.gt["changes"]
        one, two = picture(sample, 0), picture(sample, 1)
        if one.shape != two.shape:
            continue
        differ = np.abs(one - two).max(axis=2) > 60
        if not changes:
            assert not differ.any()
            continue
        if len(changes) != 1 or len(changes[0]["before"]) != len(changes[0]["after"]):
            continue
        x0, y0, x1, y1 = (int(v) for v in changes[0]["bbox"])
        assert differ[y0 - 2 : y1 + 3, x0 - 2 : x1 + 3].any()
        above = differ[: max(0, y0 - 3)]
        assert not above.any()
        seen += 1
    assert seen >= 3


@pytest.mark.parametrize("kind", ["chart-versions", "table-chart"])
def test_data_agree_as_often_as_not(kind: str) -> None:
    said = []
    for sample in made(only(kind), 40):
        one, two = (
            sample.gt["values"]
            if kind == "chart-versions"
            else ((sample.gt["table"], sample.gt["chart"]))
        )
        differing = [c for c, a, b in zip(sample.gt["categories"], one, two, strict=True) if a != b]
        assert differing == sample.gt["changed"]
        said += answers(sample, "same_data" if kind == "chart-versions" else "agree")
        assert said[-1] == (not differing)
        for name in answers(sample, "differs"):
            assert [name] == differing
        for which in answers(sample, "higher"):
            k = sample.gt["categories"].index(differing[0])
            if kind == "table-chart" and sample.gt["order"][0] == "chart":
                one, two = two, one
            assert which == (1 if one[k] > two[k] else 2)
    assert 0.3 < sum(said) / len(said) < 0.7


def test_scenes_are_counted_right() -> None:
    for sample in made(only("scenes"), 20):
        sizes = [len(s["objects"]) for s in sample.gt["scenes"]]
        assert answers(sample, "counts") == [list(map(str, sizes))]
        for task in sample.tasks:
            if task.task != "album_total" or task.trace is None:
                continue
            things = task.trace.split("Counting ")[1].split(":")[0].split()
            total = 0
            for scene in sample.gt["scenes"]:
                for thing in scene["objects"]:
                    words = [thing[n] for n in ("size", "fill", "color", "shape")]
                    plural = {w + "s" for w in words} | {w + "es" for w in words}
                    total += all(w in words or w in plural or w == "objects" for w in things)
            assert task.answer.value == total


def test_the_odd_picture_is_the_one_that_differs() -> None:
    for sample in made(only("odd"), 20):
        pictures = [picture(sample, k) for k in range(len(sample.media))]
        odd = sample.gt["odd"] - 1
        others = [p for k, p in enumerate(pictures) if k != odd]
        assert all((p == others[0]).all() for p in others)
        assert (pictures[odd] != others[0]).any()
        assert answers(sample, "odd") == [odd + 1]


def test_sequences_are_sorted_by_what_happens() -> None:
    kinds = set()
    for sample in made(only("order"), 40):
        scenes = [sample.gt["scenes"][k - 1] for k in sample.gt["order"]]
        process = sample.gt["process"]
        kinds.add(process)
        if process in ("added", "removed"):
            marks = [len(s["objects"]) for s in scenes]
            is_falling = process == "removed"
        elif process == "moved":
            marks = [s["objects"][-1]["center"][0] for s in scenes]
            is_falling = "right to left" in sample.gt["event"]
        else:
            marks = [s["objects"][-1]["diameter"] for s in scenes]
            is_falling = process == "shrunk"
        assert marks == sorted(marks, reverse=is_falling)
        assert len(set(marks)) == len(marks)
        assert answers(sample, "order") == [list(map(str, sample.gt["order"]))]
        assert sample.gt["order"] != sorted(sample.gt["order"])
    assert kinds == {"added", "removed", "moved", "grown", "shrunk"}


def test_stories_tell_every_step() -> None:
    for sample in made(only("story"), 20):
        scenes, events = sample.gt["scenes"], sample.gt["events"]
        assert len(scenes) == len(events) + 1 == len(sample.media)
        story = answers(sample, "story")[0].split("\n")
        assert len(story) == len(scenes)
        for line, event in zip(story[1:], events, strict=True):
            assert line.endswith(event["text"])
        for k, event in enumerate(events):
            before = {str(o["bbox"]) + o["color"] + o["shape"] for o in scenes[k]["objects"]}
            after = {str(o["bbox"]) + o["color"] + o["shape"] for o in scenes[k + 1]["objects"]}
            assert len(before - after) == 1
            assert len(after - before) == (event["kind"] != "removed")


def test_pictures_of_a_group_are_told_apart() -> None:
    for sample in made(only("mixed"), 16):
        sorts = [p["sort"] for p in sample.gt["pictures"]]
        assert answers(sample, "list_kinds") == [sorts]
        for task in sample.tasks:
            if task.task == "album_which_kind":
                assert sorts.count(sorts[task.answer.value - 1]) == 1
            if task.task == "album_which_about":
                title = sample.gt["pictures"][task.answer.value - 1]["title"]
                assert f'"{title}"' in task.question


@pytest.mark.slow
def test_yes_and_no_are_even() -> None:
    kinds = ["table-versions", "page-versions", "chart-versions", "table-chart"]
    assert 0.38 < yes_share(made(create({**PLAIN, "kinds": kinds}), 120)) < 0.62


def test_records_label_pictures() -> None:
    sample = replace(made(only("odd", labels=1.0), 1)[0], id="multi-image-train-000000000")
    for record in sample_records(sample):
        content = record.messages[0].content
        names = [f.value for f in content if f.type == "image"]
        assert names == [f"{sample.id}-{m.name}.{m.ext}" for m in sample.media]
        assert content[0].type == "text"


@pytest.mark.parametrize("kind", ["story", "table-versions"])
def test_golden_sample(kind: str, request: pytest.FixtureRequest) -> None:
    sample = make(only(kind), 4)
    assert sample is not None
    check_golden(f"multi-image-{kind}", sample, request.config.getoption("--update-golden"))


def test_hash_seeds_do_not_matter() -> None:
    settings = '{"fonts": ["builtin"], "typefaces": ["builtin"]}'
    check_hash_seeds("nanovl.synth.multipage.albums", settings, "range(10)")


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"kinds": ["film"]}, "film"),
        ({"labels": -1.0}, "labels"),
        ({"typefaces": ["papyrus"]}, "papyrus"),
        ({"typefaces": []}, "at least one"),
        ({"image": "gif"}, "gif"),
        ({"font_split": "best"}, "best"),
    ],
)
def test_bad_settings_are_named(settings: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        create(settings)
