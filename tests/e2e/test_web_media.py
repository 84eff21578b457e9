"""Videos, documents, pictures and sound in the web page: price, settings, moments, pages."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nanovl.core.conversation import DocumentPart, ImagePart, VideoPart
from nanovl.processing.media import Limits
from nanovl.testing import pdf, picture, video
from tests.e2e.web import chromium, opened, saying
from tests.unit.serve.fakes import FakeNanoVL

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SUMMARY = (
    "- **00:01 - 00:03**: It appears.\n- [00:05] It moves.\n- 7.5s It stops.\n\nNothing at 25:00."
)
DROP = """async ([name, type, data]) => {
  const bytes = Uint8Array.from(atob(data), c => c.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, {type}));
  const event = KIND === 'paste'
    ? new ClipboardEvent('paste', {clipboardData: transfer, bubbles: true, cancelable: true})
    : new DragEvent(KIND, {dataTransfer: transfer, bubbles: true, cancelable: true});
  document.querySelector('main').dispatchEvent(event);
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One browser for all tests of this file."""
    with chromium() as found:
        yield found


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Twelve seconds that Chromium can play."""
    path = tmp_path / "clip.webm"
    return video(path, frames=48, fps=4, width=160, height=120, codec="libvpx-vp9")


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """Six pages."""
    return pdf(tmp_path / "report.pdf", pages=6)


def price(o: Any, name: str) -> str:
    """The line under the name of an attachment."""
    line = o.page.locator(".draft-chip", has_text=name).locator(".chip-cost")
    line.filter(has_text="tokens").wait_for()
    text: str = line.inner_text()
    return text


def test_moments_of_a_video(browser: Any, clip: Path) -> None:
    """Points in time become buttons that seek; those beyond the end do not; subtitles are saved."""
    with opened(browser, saying(SUMMARY)) as o:
        o.attach(clip)
        assert price(o, "clip.webm").startswith("24 frames, every 0.5 s")
        o.ask("Summarise it")
        answer = o.answered()
        assert answer.locator(".chip.time").all_inner_texts() == ["00:01 - 00:03", "00:05", "7.5s"]
        answer.get_by_role("button", name="7.5s").click()
        o.page.locator(".viewer video").wait_for()
        player = "document.querySelector('.viewer video')"
        o.until(f"{player}.currentTime >= 7.5 && {player}.readyState >= 2")
        assert o.page.evaluate(f"{player}.currentTime") < 10
        moments = o.page.locator(".moments button")
        assert [t.strip() for t in moments.all_inner_texts()] == ["00:01", "00:05", "00:07.5"]
        moments.first.click()
        o.until(f"{player}.currentTime < 5")
        o.shot("video-seek")
        answer.get_by_role("button", name="Copy or save as").click()
        with o.page.expect_download() as saved:
            o.page.get_by_role("menuitem", name="Save subtitles (SRT)").click()
        assert saved.value.suggested_filename == "clip.srt"
        text = Path(saved.value.path()).read_text()
        assert text.startswith("1\n00:00:01,000 --> 00:00:03,000\nIt appears.\n")


def cost(o: Any) -> int:
    """Tokens the only attachment costs, as its chip says."""
    found = re.search(r"([\d,]+) tokens", o.page.locator(".chip-cost").inner_text())
    assert found is not None
    return int(found[1].replace(",", ""))


def test_settings_of_a_video(browser: Any, clip: Path) -> None:
    """Part, frames and pruning change the price while they move, and go along with the question."""
    with opened(browser) as o:
        o.attach(clip)
        price(o, "clip.webm")
        o.page.get_by_role("button", name="Settings of clip.webm").click()
        o.page.get_by_label("Frames at most").fill("12")
        o.page.locator(".chip-cost", has_text="12 frames").wait_for()
        slider = o.page.get_by_role("slider", name="Drop similar parts of frames (EVS)")
        with o.page.expect_response("**/tokenize"):
            slider.fill("0")
        o.page.locator(".pruning-effect", has_text="0%").wait_for()
        before = o.page.locator(".pruning-effect s").inner_text()
        assert o.page.locator(".pruning-effect b").inner_text() == before == "48"
        o.page.wait_for_timeout(200)  # the answer is drawn
        full = cost(o)
        slider.fill("0.5")
        assert o.page.locator(".pruning-effect b").inner_text() == "24"  # before the server says so
        # Then the server's number: half of the pictures' tokens, and the text between frames.
        o.page.locator(".chip-cost", has_text=f"{full - 24} tokens").wait_for()
        o.page.get_by_role("slider", name="Start").fill("3")
        end = o.page.get_by_role("textbox", name="End time")
        end.fill("0:09")
        end.press("Tab")
        o.page.get_by_text("00:06.0 of 00:12.0").wait_for()
        o.shot("video-settings")
        o.ask("What happens?")
        o.answered()
        part = o.model.planned[-1]["messages"].messages[-1].parts[0]
        assert isinstance(part, VideoPart)
        assert (part.start_s, part.end_s, part.max_frames, part.pruning_rate) == (3, 9, 12, 0.5)


def test_pages_of_a_document(browser: Any, report: Path) -> None:
    """Pages and resolution are chosen, the price follows; pages in answers lead there."""
    with opened(browser, saying("The date is on page 3, the sum on page 6.")) as o:
        o.attach(report)
        assert price(o, "report.pdf").startswith("6 pages")
        o.page.get_by_role("button", name="Settings of report.pdf").click()
        o.page.get_by_label("Pages").fill("1-3,6")
        o.page.locator(".chip-cost", has_text="4 pages").wait_for()
        o.page.get_by_label("Pages").fill("x")
        o.page.get_by_text("Write pages like 1-4,7").wait_for()
        o.page.get_by_label("Pages").fill("1-3,6")
        o.page.get_by_label("Resolution (dpi)").fill("72")
        o.page.get_by_label("Detail").fill("1")
        o.page.locator(".chip-cost", has_text="4 pages").wait_for()
        o.ask("Where is the date?")
        answer = o.answered()
        part = o.model.planned[-1]["messages"].messages[-1].parts[0]
        assert isinstance(part, DocumentPart)
        assert (part.pages, part.dpi, part.max_tiles) == ("1-3,6", 72, 1)
        answer.get_by_role("button", name="page 6").click()
        pages = o.page.locator(".viewer .pages button")
        assert pages.all_inner_texts() == ["1", "2", "3", "6"]
        assert o.page.locator(".viewer [aria-current=page]").inner_text() == "6"
        link = o.page.get_by_role("link", name="Open page 6 in a new tab")
        assert (link.get_attribute("href") or "").endswith("#page=6")
        o.shot("document")


def test_two_pictures_are_compared(browser: Any, tmp_path: Path) -> None:
    """Side by side and wiped; boxes go to the picture the answer speaks of."""
    for name, seed in (("old.png", 1), ("new.png", 2)):
        picture(320, 200, "noise", seed=seed).save(tmp_path / name)
    said = (
        "Image 1: <ref>lamp</ref><box>(0,0),(500,500)</box>. "
        "Image 2: <ref>cup</ref><box>(500,500),(999,999)</box>."
    )
    with opened(browser, saying(said)) as o:
        o.attach(tmp_path / "old.png", tmp_path / "new.png")
        o.page.get_by_role("button", name="Compare", exact=True).click()
        assert o.page.locator(".side-by-side img").count() == 2
        o.page.get_by_role("button", name="Wipe").click()
        border = o.page.get_by_role("slider", name="Border between the two images")
        border.fill("20")
        clip = o.page.locator(".wipe-frame img").nth(1).evaluate("e => e.style.clipPath")
        assert clip == "inset(0px 0px 0px 20%)"
        o.page.get_by_role("button", name="Ask for the differences").click()
        o.until("document.activeElement.id === 'question'")
        o.page.keyboard.press("Enter")
        answer = o.answered()
        frames = answer.locator("figure")
        assert frames.count() == 2
        assert [f.strip() for f in frames.locator(".mark").all_inner_texts()] == ["lamp", "cup"]
        assert [f.split(" ")[0] for f in frames.locator("figcaption").all_inner_texts()] == [
            "old.png",
            "new.png",
        ]
        parts = o.model.planned[-1]["messages"].messages[-1].parts
        assert [type(p) for p in parts[:2]] == [ImagePart, ImagePart]


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_dropped_and_pasted_files(browser: Any, demo: Path, kind: str) -> None:
    """Files come in by the pointer and by the clipboard; others are named and left out."""
    data = base64.b64encode((demo / "shapes.png").read_bytes()).decode()
    with opened(browser) as o:
        script = f"const KIND = '{kind}'; return ({DROP})(given)"
        o.page.evaluate(f"given => {{ {script} }}", ["shapes.png", "image/png", data])
        o.page.locator(".draft-chip", has_text="shapes.png").wait_for()
        o.page.evaluate(f"given => {{ {script} }}", ["a.exe", "application/x-msdownload", data])
        o.page.locator(".toast", has_text="a.exe: not a picture").wait_for()
        assert o.page.locator(".draft-chip").count() == 1


def test_camera(browser: Any) -> None:
    """A photo is taken from the (pretended) camera and attached."""
    with opened(browser) as o:
        o.page.get_by_role("button", name="Use the camera").click()
        take = o.page.get_by_role("button", name="Take a photo")
        o.until("document.querySelector('.camera')?.videoWidth > 0")
        take.click()
        o.page.locator(".draft-chip", has_text="photo.jpg").wait_for()
        assert "tile" in price(o, "photo.jpg")


def test_broken_media_says_so(browser: Any, tmp_path: Path) -> None:
    """What the server cannot read is told before anything is sent, and again when it is."""
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    with opened(browser) as o:
        o.attach(tmp_path / "broken.png")
        o.page.locator(".meter-problem").wait_for()
        o.ask("What is it?")
        card = o.page.get_by_role("alert").filter(has_text="An attachment cannot be used")
        card.wait_for()
        assert "broken.png: not a readable picture" in card.inner_text()
        o.shot("error-media")
        card.get_by_role("button", name="Change the attachments").click()
        o.page.get_by_role("button", name="Remove broken.png").wait_for()


def test_uploads_are_used_once(browser: Any, demo: Path, tmp_path: Path) -> None:
    """Where the server takes uploads, larger files travel once."""
    sent: list[int] = []
    model = FakeNanoVL(limits=Limits(allowed_roots=(tmp_path / "up",)))
    with opened(browser, model=model, upload_root=tmp_path / "up") as o:
        o.page.on(
            "request",
            lambda r: sent.append(len(r.post_data_buffer or b"")) if "/v1/chat" in r.url else None,
        )
        picture(900, 700, "noise").save(tmp_path / "big.png")
        o.attach(tmp_path / "big.png")
        price(o, "big.png")
        o.ask("One?")
        o.answered()
        o.ask("Two?")
        o.answered(2)
        assert len(list((tmp_path / "up").glob("*.bin"))) == 1
        assert len(sent) == 2
        assert max(sent) < 10_000
