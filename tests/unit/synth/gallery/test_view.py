"""The gallery in a headless browser: boxes lie where the picture has them, keys and flags work."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nanovl.synth.browser import executable
from nanovl.synth.datasets import open_data_set
from nanovl.synth.gallery import build_site
from tests.unit.synth.gallery.data_sets import (
    BOXES,
    HOSTILE,
    blocks,
    page_set,
    picture,
    record,
    write_set,
)

playwright = pytest.importorskip(
    "playwright.sync_api", reason="needs playwright: pip install nanovl[screens]"
)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        executable() is None, reason="needs a browser: apt install chromium-headless-shell"
    ),
]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=executable(), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gallery")
    source = open_data_set(page_set(folder / "pages", 3))
    return build_site([source], folder / "site").index


@pytest.fixture(params=[(1400, 900, "light"), (390, 844, "dark")], ids=["wide-light", "phone-dark"])
def page(request: pytest.FixtureRequest, chromium: Any) -> Iterator[Any]:
    width, height, scheme = request.param
    context = chromium.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, offline=True
    )
    made = context.new_page()
    problems: list[str] = []
    made.on("pageerror", lambda error: problems.append(str(error)))
    made.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
    yield made
    context.close()
    assert problems == []


def shown(page: Any, site: Path, number: int = 0) -> None:
    page.goto(f"{site.as_uri()}#/s/s{number:06d}")
    page.wait_for_selector(".canvas img")
    page.eval_on_selector(".canvas img", "picture => picture.decode()")


def rect(page: Any, selector: str) -> tuple[float, float, float, float]:
    found = page.eval_on_selector(
        selector,
        "e => { const r = e.getBoundingClientRect(); return [r.x, r.y, r.right, r.bottom]; }",
    )
    return tuple(found)


def test_boxes_coincide_with_the_picture(page: Any, site: Path) -> None:
    shown(page, site)
    x0, y0, x1, _ = rect(page, ".canvas img")
    scale = (x1 - x0) / 400
    for name, box in zip(("title", "text"), BOXES, strict=True):
        found = rect(page, f'.place[data-class="{name}"]')
        wanted = [
            x0 + box[0] * scale,
            y0 + box[1] * scale,
            x0 + box[2] * scale,
            y0 + box[3] * scale,
        ]
        assert found == pytest.approx(wanted, abs=0.6)


def test_strokes_surround_what_is_drawn(page: Any, site: Path) -> None:
    """On the screenshot: the picture's rectangle is where the overlay's box is."""
    shown(page, site)
    x0, _, x1, _ = rect(page, ".canvas img")
    scale = (x1 - x0) / 400
    page.evaluate("document.querySelectorAll('.canvas svg, .number').forEach(n => n.remove())")
    bare = _pixels(page)
    magenta = (bare[:, :, 0] > 200) & (bare[:, :, 1] < 80) & (bare[:, :, 2] > 200)
    shown(page, site)
    page.reload()
    shown(page, site)
    for name, box in zip(("title", "text"), BOXES, strict=True):
        left, top, right, bottom = rect(page, f'.place[data-class="{name}"]')
        middle_y, middle_x = round((top + bottom) / 2), round((left + right) / 2)
        columns = np.flatnonzero(magenta[middle_y])
        rows = np.flatnonzero(magenta[: round(bottom) + 3, middle_x])
        rows = rows[rows > top - 3]
        assert columns[0] == pytest.approx(left, abs=1.5)
        assert columns[-1] + 1 == pytest.approx(right, abs=1.5)
        assert rows[0] == pytest.approx(top, abs=1.5)
        assert rows[-1] + 1 == pytest.approx(bottom, abs=1.5)
        assert right - left == pytest.approx((box[2] - box[0]) * scale, abs=1)


def _pixels(page: Any) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB"), dtype=int)


def test_nothing_is_wider_than_the_window(page: Any, site: Path) -> None:
    for address in ("#/", "#/s/s000001"):
        page.goto(f"{site.as_uri()}{address}")
        page.wait_for_selector(".card, .canvas img")
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_legend_hover_and_reading_order(page: Any, site: Path) -> None:
    shown(page, site)
    assert page.inner_text('.chip[data-class="text"]').split() == ["text", "1"]
    assert page.is_hidden('.place[data-class="answer"]')
    page.click('.chip[data-class="title"]')
    assert page.is_hidden('.place[data-class="title"]')
    page.click('.chip[data-class="title"]')
    assert [n.inner_text() for n in page.query_selector_all(".number")] == ["1", "2"]
    page.hover('.place[data-class="text"]')
    tip = page.inner_text("#tip")
    assert "Some words 0" in tip
    assert "60, 120, 300, 210" in tip
    page.hover(".talk:nth-of-type(2)")
    assert page.is_visible('.place[data-class="answer"]')


def test_keys_and_tabs(page: Any, site: Path) -> None:
    shown(page, site)
    page.keyboard.press("ArrowRight")
    page.wait_for_selector('.id[title="ocr-page-train-000000001"]')
    page.keyboard.press("ArrowLeft")
    page.wait_for_selector('.id[title="ocr-page-train-000000000"]')
    page.click("[data-tab=text]")
    assert page.inner_text(".rendered h1") == "Title 0"
    page.click("[data-tab=truth]")
    page.click(".tree details details summary")
    page.wait_for_selector(".tree .k >> text=seed")
    page.click("[data-tab=about]")
    assert "--start 0 --count 1" in page.inner_text(".command code")
    page.keyboard.press("Escape")
    page.wait_for_selector(".cards")


def test_filters(page: Any, site: Path) -> None:
    page.goto(site.as_uri())
    page.wait_for_selector(".card")
    assert len(page.query_selector_all(".card")) == 3
    page.fill("input[type=search]", "000000002")
    assert [c.inner_text().split("\n")[0] for c in page.query_selector_all(".card")] == [
        "ocr-page 2"
    ]
    page.fill("input[type=search]", "")
    page.select_option('select[aria-label="difficulty"]', "1")
    page.select_option('select[aria-label="task"]', "ocr")
    page.select_option('select[aria-label="generator"]', "ocr-page")
    page.select_option('select[aria-label="tag"]', "ocr")
    assert len(page.query_selector_all(".card")) == 3


def test_flags_are_kept_and_exported(page: Any, site: Path, tmp_path: Path) -> None:
    shown(page, site, 1)
    page.keyboard.press("f")
    page.fill(".note", "the title is cut")
    page.reload()
    page.wait_for_selector("#flag.on")
    page.click("text=Gallery")
    page.click("#only")
    assert len(page.query_selector_all(".card")) == 1
    with page.expect_download() as waiting:
        page.click("#export")
    waiting.value.save_as(tmp_path / "flags.json")
    assert json.loads((tmp_path / "flags.json").read_text()) == {
        "format": "nanovl-flags",
        "version": 1,
        "flags": [
            {"data_set": "pages", "id": "ocr-page-train-000000001", "note": "the title is cut"}
        ],
    }


def test_hostile_data_runs_nothing(page: Any, tmp_path: Path) -> None:
    name = f"x-{HOSTILE}"
    gt = {"title": HOSTILE, "blocks": blocks(HOSTILE, f"**{HOSTILE}**"), "data_table": [[HOSTILE]]}
    said = record("x", 0, HOSTILE, f"# {HOSTILE}", {"type": "text", "value": HOSTILE}, media=[])
    said["metadata"]["sample"] = name
    said["task"] = HOSTILE
    write_set(tmp_path / "set", {name: {"gt": gt, "records": [said], "tags": [HOSTILE]}})
    site = build_site([open_data_set(tmp_path / "set")], tmp_path / "site", title=HOSTILE)
    page.goto(site.index.as_uri())
    page.wait_for_selector(".card")
    page.click(".card")
    page.wait_for_selector(".talk")
    for tab in ("talk", "text", "tables", "truth", "about"):
        page.click(f"[data-tab={tab}]")
        page.wait_for_timeout(50)
        assert page.evaluate("window.owned === undefined && document.title !== 'owned'")
        assert page.evaluate("document.querySelectorAll('#app img, #app script').length") == 0
    assert "onerror" in page.inner_text("#app")


def test_pictures_at_their_actual_size(page: Any, tmp_path: Path) -> None:
    boxes = [(400.0, 300.0, 2000.0, 900.0)]
    media = {"image": ("image", "png", picture(boxes, (4000, 2600)), {"width": 4000})}
    gt = {"blocks": [{"class": "title", "bbox": list(boxes[0]), "text": "wide"}]}
    write_set(tmp_path / "set", {"wide-train-000000000": {"gt": gt, "media": media}})
    site = build_site([open_data_set(tmp_path / "set")], tmp_path / "site").index
    shown(page, site)
    x0, _, x1, _ = rect(page, ".canvas img")
    assert x1 - x0 < page.viewport_size["width"]
    page.keyboard.press("z")
    x0, _, x1, _ = rect(page, ".canvas img")
    assert x1 - x0 == pytest.approx(4000, abs=1)
    left, _, right, _ = rect(page, '.place[data-class="title"]')
    assert (left - x0, right - x0) == pytest.approx((400, 2000), abs=1)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.click("#size")
    x0, _, x1, _ = rect(page, ".canvas img")
    assert x1 - x0 < page.viewport_size["width"]


def test_many_pictures_are_shown_when_they_are_asked_for(page: Any, tmp_path: Path) -> None:
    names = [f"p{k:03d}" for k in range(20)]
    facts = {"width": 400, "height": 260}
    media = {name: ("image", "png", picture(), facts) for name in names}
    said = record("many-train-000000000", 0, "What is on page 18?", "it",
                  {"type": "text", "value": "it"}, media=[("image", "p017.png")])  # fmt: skip
    sets = {"many-train-000000000": {"gt": {}, "media": media, "records": [said]}}
    site = build_site([open_data_set(write_set(tmp_path / "set", sets))], tmp_path / "site").index
    shown(page, site)
    assert len(page.query_selector_all("figure:not(.off)")) == 12
    assert page.inner_text(".rest") == "Show all 20 pictures"
    page.click(".talk button.tag")
    assert len(page.query_selector_all("figure:not(.off)")) == 20
    assert page.get_attribute("figure.named", "data-medium") == "p017"
    _, top, _, bottom = rect(page, "figure.named")
    assert bottom > 0
    assert top < page.viewport_size["height"]


def test_writing_from_right_to_left_and_without_blanks(page: Any, tmp_path: Path) -> None:
    arabic = "\u0645\u0627 \u0647\u0648 \u0627\u0644\u0645\u0628\u0644\u063a 12.50 \u061f"
    chinese = "\u53d1\u7968\u603b\u91d1\u989d" * 60
    gt = {"blocks": blocks(arabic, chinese), "data_table": [[arabic, "x" * 900]]}
    answer = {"type": "text", "value": chinese}
    said = record("rtl-train-000000000", 0, arabic, chinese, answer)
    facts = {"width": 400, "height": 260}
    media = {"image": ("image", "png", picture(), facts)}
    sets = {"rtl-train-000000000": {"gt": gt, "media": media, "records": [said]}}
    site = build_site([open_data_set(write_set(tmp_path / "set", sets))], tmp_path / "site").index
    page.goto(site.as_uri())
    page.wait_for_selector(".card")
    direction = "e => getComputedStyle(e).direction"
    assert page.eval_on_selector(".card .asked", direction) == "rtl"
    shown(page, site)
    assert page.eval_on_selector(".turn.user .plain", direction) == "rtl"
    assert page.eval_on_selector(".turn.assistant .plain", direction) == "ltr"
    page.click("[data-tab=text]")
    assert page.eval_on_selector(".rendered h1", direction) == "rtl"
    for tab in ("talk", "text", "tables", "truth", "about"):
        page.click(f"[data-tab={tab}]")
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), tab
        panel = page.query_selector(".panel .page").bounding_box()
        assert panel["x"] + panel["width"] <= page.viewport_size["width"]


def test_nothing_is_asked_of_the_network(chromium: Any, site: Path) -> None:
    context = chromium.new_context()
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(site.as_uri())
    page.wait_for_selector(".card")
    for number in range(3):
        shown(page, site, number)
    context.close()
    assert len(asked) > 5
    assert all(url.startswith(("file:", "blob:", "data:")) for url in asked)
