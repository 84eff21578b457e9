"""Screens: what is asked can be found, clicked and answered, and only one thing is meant."""

from __future__ import annotations

import io
import random
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from nanovl.core.errors import ConfigError
from nanovl.synth.base import Reject, Streams
from nanovl.synth.browser import BROWSER, Browser
from nanovl.synth.registry import create
from nanovl.synth.screens.asks import Ask, click_tasks
from nanovl.synth.screens.dom import h, short_html
from nanovl.synth.screens.refer import phrases, visible_items
from nanovl.synth.screens.screen import FAMILIES, build, draw_plan
from nanovl.synth.screens.theme import draw_theme, resolve_faces
from nanovl.synth.screens.wordings import BANK
from nanovl.synth.screens.words import LANGUAGES, Vocabulary, labels
from tests.unit.synth.checks import (
    check_golden,
    check_hash_seeds,
    check_others_fail,
    check_sample,
    made,
    yes_share,
)

NEEDS = pytest.mark.skipif(
    not all(r.is_there for r in BROWSER),
    reason="needs playwright (pip install 'nanovl[screens]') and chromium-headless-shell",
)


def plan_of(family: str, seed: int, **settings):
    return draw_plan(
        random.Random(seed),
        random.Random(seed + 1),
        random.Random(seed + 2),
        **{
            "families": [family],
            "languages": LANGUAGES,
            "faces": ("DejaVu Sans", "DejaVu Serif"),
            "overlays": 0.2,
            "max_side": 2048,
            **settings,
        },
    )


def test_at_least_fourteen_families_in_four_languages():
    assert len(FAMILIES) >= 14
    known = labels()
    assert set(known) == {"en", "de", "fr", "es"}
    assert len({frozenset(texts) for texts in known.values()}) == 1
    assert all(all(texts.values()) for texts in known.values())
    with pytest.raises(ConfigError, match="language"):
        Vocabulary(random.Random(0), "xx")


@pytest.mark.parametrize("family", FAMILIES)
def test_every_mark_is_in_the_page_and_every_fact_has_its_marks(family):
    for seed in range(6):
        built = build(plan_of(family, seed))
        keys = re.findall(r'data-gt="(\w+)"', built.html)
        assert len(keys) == len(set(keys))
        assert set(built.ui.marks) == set(keys)
        for fact in built.ui.facts:
            assert set(fact.keys) <= set(keys), fact
            assert fact.kind in ("value", "count", "which", "state")
            if fact.kind == "count":
                assert isinstance(fact.answer, int)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_plan_gives_the_same_screen_and_an_action_changes_little(family):
    plan = plan_of(family, 3)
    first = build(plan)
    assert build(plan).html == first.html
    ticks = [m for m in first.ui.marks.values() if "checked" in m.state]
    for mark in ticks[:1]:
        after = build(plan, {mark.key: not mark.state["checked"]})
        assert after.ui.marks[mark.key].state["checked"] is not mark.state["checked"]
        assert list(after.ui.marks) == list(first.ui.marks)
        differing = [k for k in after.ui.marks if after.ui.marks[k] != first.ui.marks[k]]
        assert differing == [mark.key]


def test_short_html_keeps_structure_and_texts():
    node = h(
        "main",
        h("h1", "A & B"),
        h("div", h("span", "one"), h("span", "two"), cls="row"),
        h("div", short="input", kept={"type": "checkbox", "checked": ""}),
        h("p", "text", h("b", "more", short=None)),
    )
    assert short_html(node) == (
        '<main>\n<h1>A &amp; B</h1>\none two\n<input type="checkbox" checked>\n<p>text</p>\n</main>'
    )


def test_texts_stand_out_in_every_theme():
    def light(colour: str) -> float:
        parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
        r, g, b = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    def ratio(a: str, b: str) -> float:
        low, high = sorted((light(a), light(b)))
        return (high + 0.05) / (low + 0.05)

    faces = ("DejaVu Sans",)
    for seed in range(200):
        theme = draw_theme(random.Random(seed), faces)
        for ground in (theme.page, theme.surface, theme.raised):
            assert ratio(theme.ink, ground) >= 4.5
            assert ratio(theme.muted, ground) >= 3.5
        assert ratio(theme.on_accent, theme.accent) >= 4.5
        assert ratio(theme.accent, theme.surface) >= 3.5
        assert ratio(theme.ink, theme.tint) >= 4.5


def test_wordings_have_the_same_slots():
    for kind, bank in BANK.items():
        slots = {frozenset(re.findall(r"\{(\w+)\}", text)) for text in bank}
        least = 4 if kind in ("value", "count", "which", "state") else 8
        assert len(bank) >= least, kind
        assert len(slots) == 1 or kind == "click", (kind, slots)


def test_settings_are_checked():
    with pytest.raises(ConfigError, match="mail"):
        create("screens", {"families": ["mial"]})
    with pytest.raises(ConfigError, match="languages"):
        create("screens", {"languages": ["xx"]})
    with pytest.raises(ConfigError, match="is not one of"):
        resolve_faces(("Comic Nothing",))


@pytest.fixture(scope="module")
def samples():
    return made(create("screens"), 24)


@pytest.mark.browser
@NEEDS
class TestSamples:
    @pytest.mark.slow
    def test_samples_hold_together(self, samples):
        for sample in samples:
            check_sample(sample)
        check_others_fail(samples)

    def test_answers_follow_from_the_truth(self, samples):
        """An independent path: answers are looked up in the ground truth by other means."""
        checked = 0
        for sample in samples:
            elements = {e["id"]: e for e in sample.gt["elements"]}
            facts = {(f["kind"], str(f["answer"])) for f in sample.gt["facts"]}
            width, height = sample.media[0].width, sample.media[0].height
            for task in sample.tasks:
                if task.task in ("ui_value", "ui_count", "ui_state"):
                    kinds = {k for k, a in facts if a == str(task.answer.value)}
                    assert kinds, task
                    checked += 1
                if task.task == "ui_click":
                    x, y = task.answer.value["point"]
                    x, y = x / 1000 * width, y / 1000 * height
                    hit = [
                        e
                        for e in elements.values()
                        if e["bbox"][0] <= x <= e["bbox"][2] and e["bbox"][1] <= y <= e["bbox"][3]
                    ]
                    box = task.answer.boxes[0]
                    assert any(tuple(e["bbox"]) == box and e["askable"] for e in hit)
                    checked += 1
                for box in task.answer.boxes:
                    wide, high = box[2] - box[0], box[3] - box[1]
                    assert task.task in ("ui_ocr",) or min(wide, high) >= 8, task
        assert checked > 20

    @pytest.mark.slow
    def test_every_word_stands_out_from_its_ground(self):
        """Contrast of at least 2 between the darkest and lightest tenth of every word's box."""
        generator = create("screens", {"pairs": 0.0, "overlays": 0.0, "image": "png"})
        words = 0
        for sample in made(generator, 20):
            image = np.asarray(Image.open(io.BytesIO(sample.media[0].data)).convert("RGB"))
            linear = (image / 255.0) ** 2.2
            light = linear @ np.array((0.2126, 0.7152, 0.0722))
            for word in sample.gt["words"]:
                if not any(map(str.isalnum, word["text"])):
                    continue
                x0, y0, x1, y1 = (round(v) for v in word["bbox"])
                area = light[y0:y1, x0:x1]
                low, high = np.percentile(area, (2, 98))
                assert (high + 0.05) / (low + 0.05) >= 2, (sample.tags, word)
                words += 1
        assert words > 500

    @pytest.mark.slow
    def test_yes_is_about_as_often_right_as_no(self):
        families = ["form", "login", "phone", "settings"]
        generator = create("screens", {"pairs": 0.0, "tasks": 14, "families": families})
        assert 0.3 <= yes_share(made(generator, 50)) <= 0.7

    def test_golden(self, samples, request):
        """Pixels and places depend on the browser; what is on the screen does not."""
        plan = plan_of("mail", 7, overlays=0.0, languages=["de"])
        built = build(plan)
        sample = samples[0]
        gt = {
            "html": built.short,
            "facts": [[f.kind, f.what, str(f.answer)] for f in built.ui.facts],
            "marks": [[m.key, m.role, m.name, m.order] for m in built.ui.marks.values()],
        }
        fixed = replace(sample, gt=gt, tasks=(), media=())
        update = request.config.getoption("--update-golden")
        check_golden("screens", fixed, update, with_pixels=False)


def _clicks(count: int) -> int:
    """Clicks the answers of click tasks in the live page; returns how many were right."""
    driver = Browser()
    done = right = seed = 0
    families = sorted(FAMILIES)
    try:
        while done < count:
            seed += 1
            plan = plan_of(families[seed % len(families)], 100 + seed)
            built = build(plan)
            shot = driver.render(
                built.html, width=plan.width, height=plan.height, scale=plan.scale, max_height=2400
            )
            ask = Ask(
                shot=shot, marks=built.ui.marks, facts=(), about=(), look="", html="",
                media="image", rng=random.Random(seed),
            )  # fmt: skip
            items = visible_items(built.ui.marks, shot.elements)
            for task in click_tasks(ask, 2):
                x, y = task.answer.value["point"]
                meant = [i for i in items if i.element.shown == task.answer.boxes[0]]
                hit = driver.click(x / 1000 * shot.width, y / 1000 * shot.height)
                done += 1
                right += any(i.mark.key == hit for i in meant)
                assert meant, task
    finally:
        driver.close()
    return right - done


@pytest.mark.slow
@pytest.mark.browser
@NEEDS
def test_clicking_the_answer_triggers_the_element():
    assert _clicks(20) == 0


@pytest.mark.browser
@pytest.mark.slow
@NEEDS
def test_clicking_two_hundred_answers_triggers_all_elements():
    assert _clicks(200) == 0


@pytest.mark.slow
@pytest.mark.browser
@NEEDS
def test_phrases_fit_one_element_only():
    driver = Browser()
    kinds = set()
    try:
        for seed, family in enumerate(sorted(FAMILIES)[:8]):
            plan = plan_of(family, 40 + seed)
            built = build(plan)
            shot = driver.render(built.html, width=plan.width, height=plan.height)
            items = visible_items(built.ui.marks, shot.elements)
            said: dict[str, str] = {}
            for item in items:
                for kind, text in phrases(item, items).items():
                    assert said.setdefault(text, item.mark.key) == item.mark.key, text
                    kinds.add(kind)
    finally:
        driver.close()
    assert {"text", "icon", "position", "function", "relation"} <= kinds


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize("module", ["generator", "pages"])
@NEEDS
def test_two_processes_make_the_same_bytes(module):
    check_hash_seeds(f"nanovl.synth.screens.{module}", indices="range(3)")


@pytest.mark.browser
@NEEDS
def test_the_same_index_gives_the_same_sample():
    generator = create("screens", {"families": ["phone"]})
    for index in range(4):
        try:
            first = generator.generate(index, Streams(50 + index))
        except Reject:
            continue
        again = generator.generate(index, Streams(50 + index))
        assert again == first
        return
    pytest.fail("four samples were rejected")
