"""Laying pages out: boxes, words, flags, clicks, and a browser that ends when it should."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from nanovl.core.errors import BackendError, ConfigError
from nanovl.synth import browser_process
from nanovl.synth.base import Reject
from nanovl.synth.browser import BROWSER, Browser, browser, executable
from nanovl.synth.screens.theme import installed_faces

NEEDS = pytest.mark.skipif(
    not all(r.is_there for r in BROWSER),
    reason="needs playwright (pip install 'nanovl[screens]') and chromium-headless-shell",
)
PAGE = """<!doctype html><html><head><style>
body{margin:0;font:20px "DejaVu Sans",sans-serif;background:#fff}
div,button,p{position:absolute;margin:0;padding:0;border:0}
#a{left:20px;top:10px;width:100px;height:40px;background:#f00}
#b{left:200px;top:10px;width:100px;height:40px;background:#00f}
#over{left:190px;top:0;width:90px;height:60px;background:#0f0}
#c{left:20px;top:100px;width:60px;height:20px;overflow:hidden}
#d{left:0;top:0;width:60px;height:60px;background:#ff0}
#t{left:20px;top:200px;width:120px;text-transform:uppercase}
#gone{left:0;top:0;width:9px;height:9px;visibility:hidden}
#page{left:300px;top:280px;width:10px;height:10px}
</style></head><body>
<button id="a" data-gt="a" data-role="button" data-tone="loud" aria-label="Red"></button>
<div id="b" data-gt="b"></div><div id="over" data-gt="over"></div>
<div id="c"><div id="d" data-gt="d"></div></div>
<p id="t" data-gt="t">plain <b>bold</b>er <i>leaning</i> words</p>
<div id="gone" data-gt="gone">hidden</div><div id="page"></div>
<script>document.body.innerHTML = ''</script></body></html>"""


@pytest.fixture(scope="module")
def ours():
    made = Browser()
    yield made
    made.close()


@pytest.mark.browser
@NEEDS
class TestPages:
    def test_boxes_are_where_the_style_says(self, ours):
        shot = ours.render(PAGE, width=400, height=300, scale=2.0)
        assert (shot.width, shot.height) == (800, 600)
        red = shot.element("a")
        assert red.box == (40, 20, 240, 100)
        assert (red.role, red.name, red.attributes["tone"]) == ("button", "Red", "loud")
        image = shot.picture()
        assert image.getpixel((41, 21)) == (255, 0, 0)
        assert image.getpixel((39, 19)) == (255, 255, 255)

    def test_scripts_of_a_page_do_not_run(self, ours):
        assert ours.render(PAGE, width=400, height=300).element("a").visible

    def test_covered_cut_and_hidden_elements_are_told(self, ours):
        shot = ours.render(PAGE, width=400, height=300)
        assert shot.element("b").occluded
        assert not shot.element("over").occluded
        cut = shot.element("d")
        assert cut.clipped
        assert cut.shown == (20, 100, 80, 120)
        assert not shot.element("gone").visible
        askable = {e.key for e in shot.elements if e.can_be_asked}
        assert askable == {"a", "over", "t"}

    def test_words_are_as_shown(self, ours):
        shot = ours.render(PAGE, width=400, height=300)
        assert [w.text for w in shot.words] == ["PLAIN", "BOLD", "ER", "LEANING", "WORDS"]
        assert [w.space for w in shot.words] == [True, True, False, True, True]
        assert [w.bold for w in shot.words] == [False, True, False, False, False]
        assert shot.words[3].italic
        text = shot.element("t")
        assert text.text == "PLAIN BOLDER LEANING WORDS"
        assert text.text_box is not None
        assert text.text_box[0] == 20
        assert all(w.element == "t" and w.size == 20 for w in shot.words)

    def test_ink_lies_in_the_boxes_of_words(self, ours):
        shot = ours.render(PAGE, width=400, height=300, clip="t")
        ink = np.asarray(shot.picture().convert("L")) < 128
        inside = np.zeros_like(ink)
        for word in shot.words:
            x0, y0, x1, y1 = (round(v) for v in word.box)
            inside[max(0, y0 - 1) : y1 + 1, max(0, x0 - 1) : x1 + 1] = True
        assert ink.sum() > 200
        assert not (ink & ~inside).any()

    def test_a_clip_moves_the_origin(self, ours):
        shot = ours.render(PAGE, width=400, height=300, clip="a")
        assert (shot.width, shot.height) == (100, 40)
        assert shot.element("a").box == (0, 0, 100, 40)
        assert shot.picture().getpixel((50, 20)) == (255, 0, 0)
        with pytest.raises(ConfigError, match="data-gt"):
            ours.render(PAGE, width=400, height=300, clip="nothing")

    def test_whole_pages_scrolling_and_limits(self, ours):
        page = '<!doctype html><div style="height:1500px"></div><p data-gt="end">end</p>'
        whole = ours.render(page, width=300)
        assert whole.height > 1500
        assert whole.element("end").visible
        assert ours.render(page, width=300, max_height=900).height == 900
        low = ours.render(page, width=300, height=400, scroll=1200)
        assert low.element("end").visible
        assert low.height == 400
        with pytest.raises(ConfigError, match="scale"):
            ours.render(page, width=300, scale=1.3)
        with pytest.raises(ConfigError, match="width"):
            ours.render(page, width=0)

    def test_a_click_reaches_the_uppermost_element(self, ours):
        shot = ours.render(PAGE, width=400, height=300, scale=1.5)
        assert ours.click(*shot.element("a").point) == "a"
        assert ours.click(1.5 * 250, 1.5 * 30) == "over"
        assert ours.click(1.5 * 290, 1.5 * 30) == "b"
        shot = ours.render(PAGE, width=400, height=300)
        assert ours.click(*shot.element("over").point) == "over"

    @pytest.mark.slow
    def test_the_same_page_gives_the_same_bytes(self, ours):
        """Whatever came before it: scales, scrolling and clicks leave no trace."""
        ours.close()
        first = ours.render(PAGE, width=400, height=300)
        ours.close()
        ours.render(PAGE, width=400, height=300, scale=2.0)
        ours.click(100.0, 60.0)
        ours.render(PAGE, width=300, height=100, scroll=90)
        assert ours.render(PAGE, width=400, height=300).data == first.data
        jpeg = ours.render(PAGE, width=400, height=300, image="jpg")
        assert jpeg.data[:2] == b"\xff\xd8"
        assert jpeg.png[:4] == b"\x89PNG"

    def test_nothing_is_fetched(self, ours):
        page = '<!doctype html><img src="http://127.0.0.1:9/x.png" data-gt="i" width=50 height=50>'
        assert ours.render(page, width=200, height=100).element("i").visible

    def test_a_crash_is_survived(self, ours):
        ours.render(PAGE, width=400, height=300)
        os.killpg(ours._engine._guard.pid, signal.SIGKILL)
        assert ours.render(PAGE, width=400, height=300).element("a").visible

    @pytest.mark.slow
    def test_a_slow_page_is_given_up(self):
        slow = Browser(timeout_s=0.001)
        with pytest.raises(Reject, match="browser_timeout"):
            slow.render(PAGE, width=400, height=300)
        slow.timeout_s = 30.0
        assert slow.render(PAGE, width=400, height=300).element("a").visible
        slow.close()

    def test_it_is_replaced_after_some_pages(self):
        short = Browser(max_pages=2)
        pids = []
        for _ in range(3):
            short.render(PAGE, width=400, height=300)
            pids.append(short._engine._guard.pid)
        short.close()
        assert pids[0] == pids[1] != pids[2]

    # Ray kills the children of a worker, too, but not their children.
    @pytest.mark.slow
    @pytest.mark.parametrize("first", ["", "os.kill(b._engine._guard.pid, signal.SIGKILL)\n"])
    def test_it_ends_with_its_process(self, first):
        code = (
            "import os, signal\n"
            "from nanovl.synth.browser import browser\n"
            "b = browser(); b.render('<p>x</p>', width=90, height=90)\n"
            "print(b._engine._guard.pid, b._engine._profile, flush=True)\n"
            f"{first}"
            "os.kill(os.getpid(), signal.SIGKILL)\n"
        )
        run = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=90
        )
        pid, profile = run.stdout.split()
        limit = time.monotonic() + 20
        while time.monotonic() < limit:
            try:
                os.killpg(int(pid), 0)
            except ProcessLookupError:
                break
            time.sleep(0.1)
        with pytest.raises(ProcessLookupError):
            os.killpg(int(pid), 0)
        assert not os.path.exists(profile)


def test_a_missing_program_is_named(monkeypatch):
    monkeypatch.setattr(browser_process.shutil, "which", lambda name: None)
    executable.cache_clear()
    try:
        assert not BROWSER[1].is_there
        with pytest.raises(BackendError, match="apt install chromium-headless-shell"):
            Browser().render("<p>x</p>", width=10, height=10)
    finally:
        monkeypatch.undo()
        executable.cache_clear()


def test_one_browser_a_process():
    assert browser() is browser()
    with pytest.raises(ConfigError, match="render one first"):
        Browser().click(1, 1)


@pytest.mark.slow
@pytest.mark.browser
@NEEDS
def test_a_page_is_drawn_in_the_face_it_names_whatever_was_drawn_before():
    # Type 1 files of the same family made Chromium fall back to another face, now and then.
    weights = (300, 400, 500, 600, 700, 800)

    def drawn(engine):
        found = []
        session = engine._session
        for face in installed_faces():
            for weight in weights:
                style = f"font:{weight} 16px '{face}'"
                engine._page.set_content(f'<p id=x style="{style}">Spend Number 17</p>')
                session.send("DOM.enable")
                session.send("CSS.enable")
                root = session.send("DOM.getDocument")["root"]["nodeId"]
                asked = {"nodeId": root, "selector": "#x"}
                node = session.send("DOM.querySelector", asked)["nodeId"]
                fonts = session.send("CSS.getPlatformFontsForNode", {"nodeId": node})["fonts"]
                found += [(face, weight, font["familyName"]) for font in fonts]
        return found

    engine = browser_process.Engine()
    try:
        found = engine.call(drawn, 100)
    finally:
        engine.end()
    assert len(found) >= len(weights)
    # "Lato" comes as "Lato Light" at weight 300.
    assert [entry for entry in found if not entry[2].startswith(entry[0])] == []


@pytest.mark.slow
@pytest.mark.browser
@NEEDS
@pytest.mark.skipif(
    not browser_process._can_draw_on_demand(), reason="this browser draws when it likes"
)
@pytest.mark.parametrize(
    "asked",
    [
        {"width": 400, "height": 300},
        {"width": 400, "height": 300, "scale": 2.0, "scroll": 500},
        {"width": 300, "height": 200, "scale": 1.5, "scroll": 100, "clip": "p5"},
        {"width": 300, "clip": "p7"},
        {"width": 300},
        {"width": 400, "height": 300, "image": "jpg", "quality": 80},
    ],
    ids=["window", "scrolled", "scrolled-clip", "clip", "page", "jpg"],
)
def test_frames_on_demand_show_what_any_frame_shows(asked, monkeypatch) -> None:
    lines = "".join(
        f'<p data-gt="p{k}" style="color:hsl({k * 37 % 360},80%,40%)">line {k}</p>'
        for k in range(60)
    )
    data = []
    for on_demand in (True, False):
        monkeypatch.setattr(browser_process, "_can_draw_on_demand", lambda on=on_demand: on)
        made = Browser()
        data.append(made.render(lines, **asked).data)
        made.close()
    assert data[0] == data[1]
