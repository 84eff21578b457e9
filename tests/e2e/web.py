"""The web page in a headless Chromium, before the real application and a model that plays a script.

Source: serving specification, section 14.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import nanovl.serve
from nanovl.core.events import Event
from nanovl.core.generation import Delta
from nanovl.synth.browser_process import executable
from tests.unit.serve.fakes import FakeNanoVL, FakeRequest, Script, generation, hello
from tests.unit.serve.live import live

UI = Path(nanovl.serve.__file__).parent / "ui"
ROOT = Path(__file__).parents[2]
DESKTOP = {"width": 1280, "height": 860}
PHONE = {"width": 390, "height": 800}


@dataclass
class Opened:
    """A page, what serves it, and what it said.

    Attributes:
        page: Playwright's.
        model: The model behind the server.
        url: Address of the page.
        problems: Errors of scripts, refused content, requests that left the machine.
    """

    page: Any
    model: FakeNanoVL
    url: str
    problems: list[str] = field(default_factory=list)

    def ask(self, text: str) -> None:
        """Write a question and send it."""
        self.page.get_by_role("textbox", name="Question").fill(text)
        self.page.get_by_role("button", name="Send", exact=True).click()

    def attach(self, *paths: Path) -> None:
        """Choose files."""
        before = self.page.locator(".draft-chip").count()
        self.page.locator(".composer input[type=file]").set_input_files([str(p) for p in paths])
        self.page.locator(".draft-chip").nth(before + len(paths) - 1).wait_for()

    def answered(self, count: int = 1) -> Any:
        """Wait until so many answers are complete; gives the last one."""
        done = self.page.locator(".answer[aria-busy=false]")
        done.nth(count - 1).wait_for()
        return done.last

    def until(self, script: str, seconds: float = 15.0) -> None:
        """Wait until an expression is true; the page's policy forbids to do that inside it."""
        end = time.monotonic() + seconds
        while not self.page.evaluate(script):
            assert time.monotonic() < end, f"still not: {script}"
            self.page.wait_for_timeout(30)

    def shot(self, name: str) -> None:
        """Keep a picture of the page when a folder for them is named."""
        folder = os.environ.get("WEB_SHOTS")
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=str(Path(folder) / f"{name}.png"))


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser; skips the tests where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api")
    program = executable()
    if program is None:
        pytest.skip("no Chromium on this machine")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program,
            args=[
                "--disable-gpu",
                "--use-fake-ui-for-media-stream",
                "--use-fake-device-for-media-stream",
            ],
            chromium_sandbox=os.geteuid() != 0,
        )
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(
    browser: Any,
    script: Script = hello,
    *,
    view: dict[str, int] | None = None,
    context: dict[str, Any] | None = None,
    context_length: int = 4096,
    model: Any = None,
    key: str = "",
    **settings: Any,
) -> Iterator[Opened]:
    """The page at an application; fails when the page reported a problem nobody expected."""
    model = model or FakeNanoVL(script, context_length=context_length)
    if key:
        settings["api_keys"] = (key,)
    with live(model, web_root=UI, **settings) as (port, _):
        url = f"http://127.0.0.1:{port}/"
        window = browser.new_context(
            viewport=view or DESKTOP,
            permissions=["clipboard-read", "clipboard-write", "camera"],
            **(context or {}),
        )
        try:
            page = window.new_page()
            page.set_default_timeout(15_000)
            found = Opened(page, model, url)
            _listen(found)
            page.goto(url)
            yield found
            assert not found.problems, found.problems
        finally:
            window.close()


def _listen(found: Opened) -> None:
    def on_console(message: Any) -> None:
        text = message.text
        # The browser logs every failed request; tests of errors provoke those.
        if message.type in ("error", "warning") and "Failed to load resource" not in text:
            found.problems.append(text)

    def on_request(request: Any) -> None:
        if not request.url.startswith((found.url, "data:", "blob:")):
            found.problems.append(f"request to {request.url}")

    found.page.on("console", on_console)
    found.page.on("pageerror", lambda error: found.problems.append(str(error)))
    found.page.on("request", on_request)


def pieces(request: FakeRequest, text: str, *, size: int = 12, pause_s: float = 0.0) -> list[Any]:
    """An answer in small pieces."""
    script: list[Any] = [Event(name="prompt", done=request.layout.num_tokens, unit="tokens")]
    for at in range(0, len(text), size):
        piece = text[at : at + size]
        script.append(Delta(index=0, text=piece, token_ids=tuple(piece.encode())))
        if pause_s:
            script.append(pause_s)
    done = generation(request, text=text)
    script.append(Delta(index=0, finish_reason="stop", generation=done))
    return script


def saying(text: str, **options: Any) -> Script:
    """A model that always says the same."""
    return lambda request: pieces(request, text, **options)
