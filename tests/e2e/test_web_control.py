"""Thinking, stopping, asking again, history, keys and errors in the web page."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nanovl.core.errors import BackendError, CapacityError
from nanovl.core.events import Event
from nanovl.core.generation import Delta
from nanovl.testing import video
from tests.e2e.web import chromium, opened, pieces, saying
from tests.unit.serve.fakes import FakeRequest, FakeStream, generation

pytestmark = [pytest.mark.browser, pytest.mark.slow]

THOUGHT = "I look at every line and add them up. "


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One browser for all tests of this file."""
    with chromium() as found:
        yield found


def thinking(request: FakeRequest) -> Iterator[Any]:
    """Thinks until it is told to answer now."""
    hurried = threading.Event()

    def wait(stream: FakeStream) -> None:
        if stream.answer_now.wait(0.05) or stream.cancelled.is_set():
            hurried.set()

    yield Event(name="prompt", done=request.layout.num_tokens, unit="tokens")
    count = 0
    while not hurried.is_set() and count < 400:
        count += 1
        yield Delta(index=0, reasoning=THOUGHT, token_ids=tuple(range(10)))
        yield wait
    yield Delta(index=0, text="The total is 20.02.", token_ids=(1, 2, 3))
    done = generation(
        request,
        text="The total is 20.02.",
        reasoning=THOUGHT * count,
        reasoning_tokens=10 * count,
        token_ids=tuple(range(10 * count + 3)),
    )
    yield Delta(index=0, finish_reason="stop", generation=done)


def test_budget_and_answer_now(browser: Any) -> None:
    """The slider's budget goes along, its use is live, and the model can be hurried."""
    with opened(browser, thinking) as o:
        slider = o.page.get_by_role("slider", name="Thinking budget")
        assert o.page.locator(".thinking-value").inner_text() == "Off"
        slider.fill("14")
        assert slider.get_attribute("aria-valuetext") == "16,384 tokens"
        slider.fill("4")
        assert o.page.locator(".thinking-value").inner_text() == "1,024 tokens"
        o.ask("What is the total?")
        bar = o.page.get_by_role("progressbar", name="Thinking budget used")
        bar.wait_for()
        assert bar.get_attribute("aria-valuemax") == "1024"
        first = int(bar.get_attribute("aria-valuenow") or 0)
        o.until(
            "Number(document.querySelector('[aria-label=\"Thinking budget used\"]').ariaValueNow)"
            f" > {first}"
        )
        o.page.locator(".reasoning-text", has_text="add them up").wait_for()
        o.shot("thinking")
        o.page.get_by_role("button", name="Answer now").click()
        answer = o.answered()
        assert answer.locator(".markdown").inner_text() == "The total is 20.02."
        toggle = answer.locator(".reasoning-toggle")
        assert toggle.inner_text().startswith("Thought for ")
        assert toggle.get_attribute("aria-expanded") == "false"
        toggle.click()
        assert THOUGHT in answer.locator(".reasoning-text").inner_text()
        assert "Reasoning" in answer.locator(".readout").inner_text()
        reasoning = o.model.planned[-1]["reasoning"]
        assert (reasoning.mode, reasoning.budget) == ("on", 1024)
        o.page.get_by_role("button", name="Think without limit").click()
        assert o.page.locator(".thinking-value").inner_text() == "No limit"
        o.shot("thought")


def test_stop_again_and_edit(browser: Any) -> None:
    """Stopping frees the model; answers are kept beside each other; questions can be edited."""
    with opened(browser, saying("word " * 400, pause_s=0.02)) as o:
        o.ask("First?")
        o.page.locator(".markdown", has_text="word").wait_for()
        o.page.keyboard.press("Escape")
        stopped = o.answered()
        stopped.get_by_text("Stopped.").wait_for()
        assert o.model.engine.streams[-1].done.wait(5)
        o.model.script = saying("second answer")
        o.page.get_by_role("button", name="Answer again").click()
        o.page.locator(".markdown", has_text="second answer").wait_for()
        assert o.page.locator(".versions").inner_text().strip() == "2 / 2"
        o.page.get_by_role("button", name="Previous answer").click()
        assert "word word" in o.answered().locator(".markdown").inner_text()
        o.page.get_by_role("button", name="Next answer").click()
        o.ask("Next?")
        o.answered(2)
        roles = [(m.role, m.parts[0].text) for m in o.model.planned[-1]["messages"].messages]
        assert roles == [("user", "First?"), ("assistant", "second answer"), ("user", "Next?")]
        o.page.get_by_role("button", name="Edit and send again").first.click(force=True)
        o.page.get_by_role("textbox", name="Question").fill("Changed?")
        o.page.keyboard.press("Enter")
        o.page.locator(".question-text", has_text="Changed?").wait_for()
        assert o.page.locator(".turn").count() == 1
        o.answered()
        o.page.get_by_role("button", name="Undo").click()
        o.page.locator(".question-text", has_text="Next?").wait_for()


def test_history_stays_and_travels(browser: Any, demo: Path, tmp_path: Path) -> None:
    """Conversations survive a reload without their media, and go out into a file and back."""
    with opened(browser, saying("It is a receipt.")) as o:
        o.attach(demo / "receipt.png")
        o.ask("What is it?")
        o.answered()
        o.page.reload()
        o.page.get_by_role("button", name="What is it?", exact=True).click()
        assert o.page.locator(".markdown").inner_text() == "It is a receipt."
        chip = o.page.get_by_role("button", name="only its small picture is left")
        chip.wait_for()
        o.ask("And the sum?")
        o.answered(2)
        parts = o.model.planned[-1]["messages"].messages[0].parts
        assert "receipt.png is no longer here" in parts[0].text
        with o.page.expect_download() as saved:
            o.page.get_by_role("button", name="Export conversations").click()
        file = tmp_path / "out.json"
        saved.value.save_as(file)
        thumb = json.loads(file.read_text())["conversations"][0]["turns"][0]["attachments"][0][
            "thumb"
        ]
        assert thumb.startswith("data:image/jpeg;base64,")
        assert len(thumb) < 60_000
        o.page.locator(".sidebar-list li").hover()
        o.page.get_by_role("button", name="Delete What is it?").click()
        o.page.get_by_text("Conversations stay in this browser").wait_for()
        o.page.locator(".sidebar input[type=file]").set_input_files(str(file))
        o.page.get_by_role("button", name="What is it?", exact=True).click()
        assert o.page.locator(".turn").count() == 2
        (tmp_path / "bad.json").write_text('{"format": "other"}')
        o.page.locator(".sidebar input[type=file]").set_input_files(str(tmp_path / "bad.json"))
        o.page.locator(".toast", has_text="holds no exported conversations").wait_for()


def test_key(browser: Any) -> None:
    """Without the key the page says so; with it everything works, and it ends with the window."""
    with opened(browser, saying("Hello."), key="secret-key") as o:
        o.page.get_by_role("button", name="Enter the key").click()
        o.page.get_by_label("API key").fill("wrong")
        o.page.get_by_role("button", name="Done").click()
        o.page.get_by_role("button", name="API key needed").click()
        o.page.get_by_label("API key").fill("secret-key")
        o.page.get_by_role("button", name="Done").click()
        o.page.locator(".model .dot").wait_for()
        o.ask("Hi")
        assert o.answered().locator(".markdown").inner_text() == "Hello."
        assert o.page.evaluate("localStorage.getItem('nanovl.key')") is None
        assert "secret-key" not in o.page.evaluate("JSON.stringify(localStorage)")


def test_too_long_is_mended_by_a_button(browser: Any, tmp_path: Path) -> None:
    """The card of a prompt that does not fit offers settings with which it does."""
    clip = video(
        tmp_path / "clip.webm", frames=48, fps=4, width=160, height=120, codec="libvpx-vp9"
    )
    with opened(browser, saying("Fits."), context_length=700) as o:
        o.attach(clip)
        o.page.locator(".meter.over").wait_for()
        o.ask("What happens?")
        card = o.page.get_by_role("alert").filter(has_text="This does not fit into the context")
        card.wait_for()
        o.shot("error-context")
        fix = card.locator(".button.primary").first
        fix.wait_for()
        fix.click()
        o.page.locator(".markdown", has_text="Fits.").wait_for()
        part = o.model.planned[-1]["messages"].messages[-1].parts[0]
        assert part.max_frames is not None


@pytest.mark.parametrize(
    ("error", "title"),
    [
        (CapacityError("the queue is full; retry later"), "The server is busy"),
        (BackendError("this cannot be done here"), "The request was refused"),
        (RuntimeError("secret detail"), "The server failed"),
    ],
)
def test_errors_offer_a_way_out(browser: Any, error: Exception, title: str) -> None:
    """A failure is told in a card; trying again works; nothing secret is shown."""
    with opened(browser, lambda _: [error]) as o:
        o.ask("Hello?")
        card = o.page.get_by_role("alert").filter(has_text=title)
        card.wait_for()
        assert "secret detail" not in card.inner_text()
        o.model.script = saying("Now it works.")
        card.get_by_role("button", name="Try again").click()
        o.page.locator(".markdown", has_text="Now it works.").wait_for()


def test_error_in_the_middle_keeps_what_came(browser: Any) -> None:
    """Text that was streamed stays, with the error below it."""

    def script(request: FakeRequest) -> list[Any]:
        return [*pieces(request, "Half an answer")[:-1], 0.2, RuntimeError("broken")]

    with opened(browser, script) as o:
        o.ask("Hello?")
        o.page.get_by_role("alert").filter(has_text="The server failed").wait_for()
        assert o.page.locator(".markdown").inner_text() == "Half an answer"


def test_server_that_went_away(browser: Any) -> None:
    """A dead connection is told in words, and the page finds back by itself."""
    with opened(browser, saying("Back.")) as o:
        o.page.locator(".model .dot").wait_for()
        o.page.route("**/v1/chat/completions", lambda route: route.abort())
        o.ask("Hello?")
        card = o.page.get_by_role("alert").filter(has_text="The server cannot be reached")
        card.wait_for()
        o.page.unroute("**/v1/chat/completions")
        card.get_by_role("button", name="Try again").click()
        o.page.locator(".markdown", has_text="Back.").wait_for()
