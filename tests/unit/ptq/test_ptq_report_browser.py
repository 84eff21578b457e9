"""The page of a report in a browser: no errors, a table that sorts, values under the pointer."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nanovl.ptq.report import write_report
from nanovl.synth.browser_process import executable
from tests.unit.ptq.quant_cases import searched


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    program = executable()
    if program is None:
        pytest.skip("no Chromium on this machine")
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(
            executable_path=program,
            args=["--disable-gpu"],
            chromium_sandbox=os.geteuid() != 0,
        )
        try:
            yield found
        finally:
            found.close()


def column(page: Any, number: int) -> list[str]:
    """Texts of the visible cells of a column."""
    cells = page.locator(f"table.layers tbody tr:visible td:nth-child({number})")
    return [text.strip() for text in cells.all_inner_texts()]


@pytest.mark.browser
@pytest.mark.parametrize(
    ("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light")], ids=str
)
def test_the_page_works(browser: Any, tmp_path: Path, width: int, scheme: str) -> None:
    write_report(searched(5.4, "M-*-M-M-M-M-M-"), tmp_path)
    window = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True
    )
    page = window.new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto((tmp_path / "report" / "index.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")

    # Numbers as numbers: up, then down.
    output = 7
    before = column(page, 1)
    button = page.locator(f"table.layers th:nth-child({output}) button")
    button.click()
    errors = [float(text.split()[0]) for text in column(page, output)]
    assert errors == sorted(errors)
    button.click()
    falling = [float(text.split()[0]) for text in column(page, output)]
    assert falling == errors[::-1]
    assert page.locator("th[aria-sort=descending]").count() == 1
    # Names by their numbers, which is the order of the model.
    page.locator("table.layers th:first-child button").click()
    assert column(page, 1)[0].startswith("layers.0.")
    assert column(page, 1)[-1].startswith("layers.13.")
    assert sorted(before) == sorted(column(page, 1))

    page.get_by_role("searchbox").fill("in_proj nvfp4")
    shown = column(page, 1)
    assert 0 < len(shown) < len(before)
    assert all(name.endswith("in_proj") for name in shown)
    assert set(column(page, 2)) == {"nvfp4"}
    assert page.locator(".tools span").inner_text() == f"{len(shown)} of {len(before)} layers"

    curve = page.locator("figure.chart svg")
    curve.scroll_into_view_if_needed()
    box = curve.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.05 + 2, box["y"] + box["height"] / 2)
    tip = page.locator("figure.chart output")
    assert "block 0" in tip.inner_text()
    assert "in_proj" in tip.inner_text()
    assert "up_proj" not in tip.inner_text(), "a feed-forward layer is in another block"
    assert problems == []
    window.close()
