"""The browser process, and the thread that talks to it.

Starts Chromium under a guard that ends it with us, lays pages out, takes their pictures and clicks.
Must not interpret what a page shows (`browser_shot` does).

Source: data synthesis specification, sections 5 (flags), 18.4 (process groups) and 21.
"""

from __future__ import annotations

import base64
import contextlib
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from nanovl.core.errors import BackendError, missing_extra
from nanovl.core.paths import program_path
from nanovl.synth.base import Requirement
from nanovl.synth.browser_shot import Format

__all__ = ["BROWSER", "Engine", "Late", "Lost", "executable"]

T = TypeVar("T")

PROGRAMS = (
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "chrome-headless-shell",
)
_START_S = 40.0
_FRAMES = 2
_DRAW_S = 10.0
_PURPOSE = "laying out web pages"
# Quiet, without GPU and network, and with the same pixels on every machine.
_FLAGS = (
    "--remote-debugging-port=0",
    "--remote-debugging-address=127.0.0.1",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-background-timer-throttling",
    "--disable-breakpad",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    # Else a typeface keeps the positioning of the scale it was first used at, and the pixels of a
    # page depend on the pages before it.
    "--disable-font-subpixel-positioning",
    "--disable-lcd-text",
    "--disable-renderer-backgrounding",
    "--disable-skia-runtime-opts",
    "--disable-sync",
    "--font-render-hinting=none",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--lang=en-US",
    "--metrics-recording-only",
    "--mute-audio",
    "--no-pings",
    "--password-store=basic",
    "--use-mock-keychain",
)
# Frames are drawn when asked for, and then completely. Otherwise the timing decides whether a page
# is also drawn while it is being laid out, and once in some hundred pages edges of shapes that were
# drawn before come out a level or two apart.
_FRAME_FLAGS = (
    "--enable-begin-frame-control",
    "--run-all-compositor-stages-before-draw",
    "--disable-new-content-rendering-timeout",
    "--disable-checker-imaging",
)
# Chromium cannot draw Type 1 and bitmap fonts. Where a family has such files beside usable ones,
# which of them it is given depends on what it drew before, and so does what replaces them.
_FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <include ignore_missing="yes">/etc/fonts/fonts.conf</include>
  <selectfont><rejectfont>
    <pattern><patelt name="fontformat"><string>Type 1</string></patelt></pattern>
    <pattern><patelt name="scalable"><bool>false</bool></patelt></pattern>
  </rejectfont></selectfont>
</fontconfig>
"""
# The shell holds the browser in its process group. When our end of its input closes, however we
# ended, a second one ends the whole group and removes the profile: the first is our child, and who
# kills a process (Ray a worker) may kill its children with it, and them alone.
_GUARD = (
    'dir=$1; shift; exec 3<&0; (trap "" TERM; read -r line <&3; kill -TERM 0; sleep 1; '
    'rm -rf "$dir"; kill -KILL 0) >/dev/null 2>&1 & "$@" >/dev/null 2>&1 3<&- & wait'
)
_HEIGHT = "Math.ceil(document.documentElement.getBoundingClientRect().height)"
_SETTLED = (
    "Promise.all([document.fonts.ready, ...[...document.images].map(i => i.decode().catch(() => 0))"
    "]).then(() => 1)"
)
_LISTEN = """() => {
  window.__hit = null;
  const note = (e) => { const t = e.target.closest && e.target.closest('[data-gt]');
    window.__hit = t ? t.getAttribute('data-gt') : ''; e.preventDefault(); };
  const root = document.documentElement;  // a new one with every page
  if (!root.__listens) root.addEventListener('click', note, true);
  root.__listens = true;
}"""


@lru_cache(maxsize=1)
def executable() -> str | None:
    """The browser program found on PATH, None without one."""
    for name in PROGRAMS:
        found = shutil.which(name)
        if found:
            return found
    return None


def _can_draw_on_demand() -> bool:
    """Whether frames can be asked for: the headless shell can, but not on a Mac."""
    return "headless" in Path(executable() or "").name and sys.platform != "darwin"


@dataclass(frozen=True, kw_only=True)
class _AnyBrowser(Requirement):
    """One of several programs."""

    @property
    def is_there(self) -> bool:
        return executable() is not None


BROWSER: tuple[Requirement, ...] = (
    Requirement(name="playwright", kind="module", package="screens", purpose=_PURPOSE),
    _AnyBrowser(
        name=PROGRAMS[0], kind="program", package="chromium-headless-shell", purpose=_PURPOSE
    ),
)


class Lost(Exception):
    """The browser died."""


class Late(Exception):
    """The page took too long."""


class Engine:
    """One browser process, and the thread that talks to it.

    All talking happens in a thread of its own: an alarm that interrupts the caller then never
    breaks a conversation in the middle.
    """

    def __init__(self) -> None:
        self._jobs: queue.Queue[tuple[Callable[[Engine], Any], Future[Any]] | None] = queue.Queue()
        self._draws_on_demand = _can_draw_on_demand()
        self._guard, self._profile, endpoint = _start()
        self._scale = 1.0
        self._window = (0, 0)
        self._ready: Future[None] = Future()
        self._thread = threading.Thread(
            target=self._serve, args=(endpoint,), name="nanovl-browser", daemon=True
        )
        self._thread.start()
        try:
            self._ready.result(_START_S)
        except TimeoutError:
            self.end()
            raise BackendError(
                f"{executable()}: the browser started but did not answer within {_START_S:g} s"
            ) from None
        except BaseException:
            self.end()
            raise

    @property
    def is_alive(self) -> bool:
        """Whether process and thread work."""
        return self._thread.is_alive() and self._guard.poll() is None

    def call(self, work: Callable[[Engine], T], timeout_s: float) -> T:
        """Do some work in the thread and wait for it."""
        done: Future[T] = Future()
        self._jobs.put((work, done))
        limit = time.monotonic() + timeout_s
        while True:
            try:
                return done.result(timeout=min(1.0, max(0.01, limit - time.monotonic())))
            except TimeoutError:
                if done.done():
                    raise
                if not self._thread.is_alive():
                    raise Lost("the browser ended") from None
                if time.monotonic() > limit:
                    raise Late from None

    def end(self) -> None:
        """Kill the browser and wait for the thread."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._guard.pid, signal.SIGKILL)
        self._guard.wait()
        if self._guard.stdin is not None:
            with contextlib.suppress(OSError):
                self._guard.stdin.close()
        self._jobs.put(None)
        if self._thread is not threading.current_thread():
            self._thread.join(5)
        shutil.rmtree(self._profile, ignore_errors=True)

    def _serve(self, endpoint: str) -> None:
        try:
            from playwright.sync_api import Error, sync_playwright
        except ImportError:
            self._ready.set_exception(missing_extra("playwright", "screens", _PURPOSE))
            return
        try:
            with sync_playwright() as playwright:
                chromium = playwright.chromium.connect_over_cdp(endpoint)
                context = chromium.contexts[0]
                context.set_offline(True)
                context.route("**/*", lambda route: route.abort())
                browser_session = chromium.new_browser_cdp_session()
                browser_session.send("Browser.setDownloadBehavior", {"behavior": "deny"})
                with context.expect_page(timeout=1000 * _START_S) as coming:
                    window: dict[str, Any] = {"url": "about:blank"}
                    if self._draws_on_demand:
                        window["enableBeginFrameControl"] = True
                    browser_session.send("Target.createTarget", window)
                self._page = coming.value
                self._page.emulate_media(color_scheme="light", reduced_motion="reduce")
                self._session = context.new_cdp_session(self._page)
                self._ready.set_result(None)
                while (job := self._jobs.get()) is not None:
                    work, done = job
                    try:
                        done.set_result(work(self))
                    except Error as error:
                        done.set_exception(Lost(str(error).splitlines()[0]))
                    except BaseException as error:
                        done.set_exception(error)
        except Exception as error:
            if not self._ready.done():
                self._ready.set_exception(
                    BackendError(f"{executable()}: cannot be driven: {error}")
                )

    # -- in the thread ---------------------------------------------------------------------------

    def lay_out(
        self,
        html: str,
        width: int,
        height: int | None,
        scale: float,
        max_height: int,
        scroll: int,
    ) -> dict[str, Any]:
        """Show a page and read where everything is (CSS pixels)."""
        self._scale = scale
        self._size(width, height or min(800, max_height), scale)
        self._page.set_content(html, wait_until="load")
        self._page.evaluate(_SETTLED)
        if height is None:
            full = int(self._page.evaluate(_HEIGHT))
            self._size(width, max(1, min(full, max_height)), scale)
        if scroll:
            self._page.evaluate(f"window.scrollTo(0, {scroll})")
        found: dict[str, Any] = self._page.evaluate(_script())
        return found

    def _size(
        self, width: int, height: int, scale: float, seen: Mapping[str, float] | None = None
    ) -> None:
        """The window in CSS pixels, and the part of the page that frames show."""
        self._window = (width, height)
        settings: dict[str, Any] = {
            "width": width,
            "height": height,
            "deviceScaleFactor": scale,
            "mobile": False,
        }
        if self._draws_on_demand:
            seen = seen or {"x": 0, "y": 0, "width": width, "height": height}
            settings["viewport"] = {**seen, "scale": 1}
        self._session.send("Emulation.setDeviceMetricsOverride", settings)

    def picture(self, area: Sequence[float], image: Format, quality: int) -> bytes:
        """The window, or an area of it, as a file."""
        settings: dict[str, Any] = {"format": "png"}
        if image == "jpg":
            settings = {"format": "jpeg", "quality": quality}
        x0, y0, x1, y1 = area
        # The protocol wants places in the page, ours are in the window.
        left, top = self._page.evaluate("[window.scrollX, window.scrollY]")
        clip = {"x": left + x0, "y": top + y0, "width": x1 - x0, "height": y1 - y0}
        if not self._draws_on_demand:
            settings["clip"] = {**clip, "scale": 1}
            return base64.b64decode(self._session.send("Page.captureScreenshot", settings)["data"])
        is_cut = tuple(clip.values()) != (0, 0, *self._window)
        if is_cut:
            self._size(*self._window, self._scale, clip)
        for _ in range(_FRAMES):  # the first brings sizes and contents, the next one shows them
            self._session.send("HeadlessExperimental.beginFrame", {})
        limit = time.monotonic() + _DRAW_S
        # A frame of a busy browser may come without a picture; the next one has it.
        while True:
            found = self._session.send("HeadlessExperimental.beginFrame", {"screenshot": settings})
            if "screenshotData" in found:
                break
            if time.monotonic() > limit:
                raise Lost("the browser drew nothing")
            time.sleep(0.01)
            self._session.send("HeadlessExperimental.beginFrame", {})
        if is_cut:
            self._size(*self._window, self._scale)
        return base64.b64decode(found["screenshotData"])

    def click(self, x: float, y: float) -> str:
        """See `Browser.click`."""
        self._page.evaluate(_LISTEN)
        self._page.mouse.click(x / self._scale, y / self._scale)
        hit = self._page.evaluate("window.__hit")
        return "" if hit is None else str(hit)


def _start() -> tuple[subprocess.Popen[bytes], str, str]:
    """Start a browser process group; its guard, profile folder and address."""
    program = executable()
    if program is None:
        BROWSER[1].check()
        raise BackendError("no browser")
    BROWSER[0].check()
    profile = tempfile.mkdtemp(prefix="nanovl-browser-")
    fonts = Path(profile) / "fonts.conf"
    fonts.write_text(_FONTS, encoding="utf-8")
    flags = [*_FLAGS, f"--user-data-dir={profile}"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        flags.append("--no-sandbox")  # Chromium's own sandbox refuses to work for root
    if "headless" not in Path(program).name:
        flags.append("--headless=new")
    if _can_draw_on_demand():
        flags += _FRAME_FLAGS
    guard = subprocess.Popen(
        ["/bin/sh", "-c", _GUARD, "sh", profile, program, *flags, "about:blank"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={
            "PATH": program_path(),
            "HOME": profile,
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "FONTCONFIG_FILE": str(fonts),
        },
    )
    note = Path(profile) / "DevToolsActivePort"
    limit = time.monotonic() + _START_S
    try:
        while time.monotonic() < limit and guard.poll() is None:
            with contextlib.suppress(OSError):
                lines = note.read_text().split()
                if len(lines) == 2:
                    return guard, profile, f"ws://127.0.0.1:{lines[0]}{lines[1]}"
            time.sleep(0.02)
        raise BackendError(
            f"{program}: did not start within {_START_S:g} s; run it by hand with --headless "
            "--dump-dom about:blank to see what it says"
        )
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(guard.pid, signal.SIGKILL)
        guard.wait()
        if guard.stdin is not None:
            guard.stdin.close()
        shutil.rmtree(profile, ignore_errors=True)
        raise


@lru_cache(maxsize=1)
def _script() -> str:
    return Path(__file__).with_name("browser_extract.js").read_text(encoding="utf-8")
