"""A headless Chromium that lays out pages of ours, and says where everything is.

One browser per process, kept between pages: `browser().render(html, ...)` gives the picture, every
element that carries `data-gt`, and every visible word. The browser reaches no network, runs no
script of a page (a content policy forbids it), draws without a graphics card, and ends with the
process that started it, however that ends. It is started again after a crash, after a page that
took too long, and after some hundred pages. Must not know what pages are about.

A page is HTML with its style inside; pictures are `data:` URLs or inline SVG. Text of form controls
(`<input value=...>`) has no words: show such text in an ordinary element.

Source: data synthesis specification, sections 5, 8, 18.4 and 21 (browser control).
"""

from __future__ import annotations

import atexit
import os
import re
from collections.abc import Callable
from typing import TypeVar

from nanovl.core.errors import BackendError, ConfigError
from nanovl.synth.base import Reject
from nanovl.synth.browser_process import BROWSER, Engine, Late, Lost, executable
from nanovl.synth.browser_shot import Element, Format, Shot, Word, clip_area, read_shot

__all__ = ["BROWSER", "Browser", "Element", "Shot", "Word", "browser", "executable"]

T = TypeVar("T")

SCALES = (1.0, 1.5, 2.0)
MAX_PAGES = 500  # of one browser process, against leaks
MAX_SIDE = 8192  # CSS pixels of a page
_POLICY = (
    '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
    "style-src 'unsafe-inline'; img-src data:; script-src 'none'\">"
)
_STILL = (
    "<style>*,*::before,*::after{animation:none!important;transition:none!important;"
    "caret-color:transparent!important;scroll-behavior:auto!important}"
    "html{scrollbar-width:none}</style>"
)
_PLACE = re.compile(r"<head\b[^>]*>", re.IGNORECASE)
_ROOT = re.compile(r"<html\b[^>]*>", re.IGNORECASE)
_DOCTYPE = re.compile(r"\s*<!doctype[^>]*>", re.IGNORECASE)


class Browser:
    """A headless Chromium, started when the first page comes.

    Args:
        timeout_s: For one page; a page that takes longer is rejected and the browser restarted.
        max_pages: After this many pages the browser is replaced by a fresh one.
    """

    def __init__(self, *, timeout_s: float = 30.0, max_pages: int = MAX_PAGES) -> None:
        self.timeout_s = timeout_s
        self.max_pages = max_pages
        self.pages = 0  # rendered by the present browser process
        self._engine: Engine | None = None
        self._owner = os.getpid()

    def render(
        self,
        html: str,
        *,
        width: int,
        height: int | None = None,
        scale: float = 1.0,
        max_height: int = MAX_SIDE,
        clip: str | None = None,
        scroll: int = 0,
        image: Format = "png",
        quality: int = 90,
    ) -> Shot:
        """Lay a page out and take its picture.

        Args:
            html: The page; its scripts do not run and nothing is fetched.
            width: Of the window, in CSS pixels.
            height: Of the window in CSS pixels; None takes the whole page up to `max_height`.
            scale: Image pixels per CSS pixel, 1, 1.5 or 2.
            max_height: Most CSS pixels of a whole page.
            clip: Key of the element (`data-gt`) the picture is cut to.
            scroll: How far the page is scrolled down, in CSS pixels.
            image: "png" or "jpg".
            quality: Of a JPEG, 1 to 100.

        Raises:
            ConfigError: A size or scale is out of range, or no element has the key of `clip`.
            BackendError: Browser or package are missing, or the browser cannot be started.
            Reject: The page took too long, or the browser died of it twice.
        """
        if scale not in SCALES:
            raise ConfigError(f"render: scale {scale}, expected one of {SCALES}")
        for name, value in (("width", width), ("height", height or 1), ("max_height", max_height)):
            if not 1 <= value <= MAX_SIDE:
                raise ConfigError(f"render: {name} {value}, expected 1 to {MAX_SIDE} CSS pixels")
        if image not in ("png", "jpg"):
            raise ConfigError(f"render: image {image!r}, expected 'png' or 'jpg'")
        page = _prepared(html)

        def work(engine: Engine) -> Shot:
            found = engine.lay_out(page, width, height, scale, max_height, scroll)
            area = clip_area(found, clip)
            data = engine.picture(area, image, quality)
            return read_shot(found, data, image, scale, area)

        if self.pages >= self.max_pages:
            self.close()
        shot = self._do(work)
        self.pages += 1
        return shot

    def click(self, x: float, y: float) -> str:
        """Click into the page rendered last, and say what the click reached.

        Args:
            x, y: In image pixels of the whole window (not of a clipped picture).

        Returns:
            Key of the innermost element with `data-gt` that received the click, "" without one.

        Raises:
            ConfigError: No page was rendered before.
        """
        if self._engine is None or not self.pages:
            raise ConfigError("click: no page is open; render one first")
        return self._do(lambda engine: engine.click(x, y), again=False)

    def close(self) -> None:
        """End the browser; the next page starts a new one."""
        if self._engine is not None and self._owner == os.getpid():  # a fork does not own it
            self._engine.end()
        self._engine = None
        self.pages = 0

    def _do(self, work: Callable[[Engine], T], *, again: bool = True) -> T:
        for attempt in (0, 1):
            if self._engine is None or not self._engine.is_alive:
                self.close()
                self._engine = Engine()
            try:
                return self._engine.call(work, self.timeout_s)
            except Lost as lost:
                self.close()
                if attempt or not again:
                    raise Reject("browser_crash", str(lost)) from None
            except Late:
                self.close()
                raise Reject(
                    "browser_timeout", f"the page took longer than {self.timeout_s:g} s"
                ) from None
            except (Reject, ConfigError, BackendError):
                raise
            except BaseException:  # a deadline or an interrupt: the page may still be at work
                self.close()
                raise
        raise AssertionError("unreachable")


def _prepared(html: str) -> str:
    """The page with our policy and stillness at the start of its head."""
    for pattern in (_PLACE, _ROOT, _DOCTYPE):
        found = pattern.search(html) if pattern is not _DOCTYPE else pattern.match(html)
        if found:
            inserted = _POLICY + _STILL
            if pattern is not _PLACE:
                inserted = f"<head>{inserted}</head>"
            return html[: found.end()] + inserted + html[found.end() :]
    return f"<!doctype html><head>{_POLICY}{_STILL}</head>{html}"


_mine: dict[int, Browser] = {}


def browser() -> Browser:
    """The browser of this process; started with its first page, ended with the process."""
    pid = os.getpid()
    if pid not in _mine:
        _mine.clear()  # after a fork: that of the parent is not ours
        _mine[pid] = made = Browser()
        atexit.register(made.close)
    return _mine[pid]
