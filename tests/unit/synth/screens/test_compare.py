"""Answers about screens: lists of elements by F1, HTML by how it is shown."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from nanovl.synth.base import Answer
from nanovl.synth.browser import BROWSER
from nanovl.synth.screens.compare import Block, block_score, elements_score, html_score
from nanovl.synth.verify import is_right

ENTRIES = [
    {"role": "button", "name": "Save", "box": [10, 10, 110, 60]},
    {"role": "link", "name": "Help", "box": [300, 10, 360, 40]},
    {"role": "input", "name": "Name", "box": [10, 100, 400, 140]},
]
PAGE = (
    "<h1>Orders</h1>\n<p>Two orders are open.</p>\n<table>\n<tr><th>No.</th><th>Sum</th></tr>\n"
    '<tr><td>17</td><td>40.00</td></tr>\n</table>\n<button>Pay</button>\n<input type="text">'
)


def elements(entries: list[dict[str, Any]]) -> float:
    return elements_score(Answer(type="json", value=ENTRIES), json.dumps(entries))


def test_elements_are_paired_by_role_name_and_place() -> None:
    assert elements(ENTRIES) == 1.0
    assert elements(ENTRIES[::-1]) == 1.0  # the order does not matter
    assert elements(ENTRIES[:2]) == pytest.approx(2 * 2 / 5)
    assert elements([*ENTRIES, ENTRIES[0]]) == pytest.approx(2 * 3 / 7)  # said twice
    moved = [{**ENTRIES[0], "box": [60, 10, 160, 60]}, *ENTRIES[1:]]  # a third overlaps
    assert elements(moved) == pytest.approx(2 * 2 / 6)
    renamed = [{**ENTRIES[0], "name": " SAVE"}, {**ENTRIES[1], "role": "button"}, ENTRIES[2]]
    assert elements(renamed) == pytest.approx(2 * 2 / 6)


@pytest.mark.parametrize("text", ["", "{}", "[1]", "none", '[{"box": "x"}]', '[{"role": "button"'])
def test_what_is_no_list_of_elements_scores_nothing(text: str) -> None:
    assert elements_score(Answer(type="json", value=ENTRIES), text) == 0.0


def block(text: str, x: float = 0, y: float = 0, grey: float = 0) -> Block:
    return Block(text, (x, y, x + 50, y + 20), (grey, grey, grey))


def test_blocks_count_text_place_and_colour() -> None:
    size = (200, 100)
    page = [block("Orders"), block("Two orders are open.", 0, 40)]
    assert block_score(page, page, size) == 1.0
    assert block_score(page, page[:1], size) == pytest.approx(2 / 3)
    moved = [page[0], block("Two orders are open.", 100, 40)]
    assert block_score(page, moved, size) == pytest.approx((1 + (1 + 0.5 + 1) / 3) / 2)
    white = [page[0], block("Two orders are open.", 0, 40, 255)]
    assert block_score(page, white, size) == pytest.approx((1 + 2 / 3) / 2)
    assert block_score(page, [block("zzz"), block("qqq")], size) == 0.0
    assert block_score(page, page, size, ["input a"], []) == pytest.approx(4 / 5)
    assert block_score([], [], size) == 1.0


@pytest.fixture
def page() -> Answer:
    for requirement in BROWSER:
        if not requirement.is_there:
            pytest.skip(f"{requirement.name} is missing ({requirement.package})")
    return Answer(type="markup", value=PAGE)


@pytest.mark.browser
def test_html_is_compared_as_it_is_shown(page: Answer) -> None:
    # Other markup that shows the same is right.
    same = PAGE.replace("<p>", "<div>").replace("</p>", "</div>").replace("<h1>", '<h1 id="a">')
    assert is_right("html_render", page, same)
    reworded = PAGE.replace("Two orders are open.", "Three orders are closed now.")
    missing = PAGE[: PAGE.index("<table>")]
    scores = [html_score(page, text) for text in (same, reworded, missing, "<p>Nothing</p>")]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 0.98
    assert scores[0] > scores[1] > 0.9 > scores[2] > scores[3]
    no_input = html_score(page, PAGE.replace('<input type="text">', ""))
    assert no_input < scores[0]
    red = html_score(page, PAGE.replace("<p>", '<p style="color:#f00">'))
    assert red < 1.0


@pytest.mark.browser
def test_scripts_of_answers_do_not_run(page: Answer) -> None:
    begun = time.monotonic()
    loops = PAGE + "<script>while(true){}; document.body.innerHTML = ''</script>"
    assert html_score(page, loops) > 0.9
    assert time.monotonic() - begun < 20
