"""Videos of YouTube, fetched by yt-dlp (extra `youtube`) in a process of its own.

Hosts of YouTube only: other sites that yt-dlp knows, and its guessing at pages, would let a URL
reach anything. One video, at most 720 lines high, no cookies, into a folder with a quota that the
caller throws away. Subtitles made by people are preferred to automatic ones, and those to speech
recognition.

Source: serving specification, section 12.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from nanovl.apps.subtitles import read_subtitles
from nanovl.core import paths
from nanovl.core.conversation import TranscriptSegment
from nanovl.core.errors import BackendError, InputError, missing_extra
from nanovl.core.events import Event, OnEvent, ignore_event

__all__ = ["HOSTS", "Fetched", "fetch", "is_youtube", "notice", "runtimes"]

HOSTS = frozenset(
    {
        "youtube.com",
        "www.youtube.com",
        "m.youtube.com",
        "music.youtube.com",
        "youtu.be",
        "www.youtube-nocookie.com",
    }
)
# Name for yt-dlp: program to look for. It needs one of them to read YouTube's players.
RUNTIMES = {"deno": "deno", "node": "node", "quickjs": "qjs", "bun": "bun"}
MODULE = "yt_dlp"
NOTICE = (
    "Videos are fetched from YouTube with yt-dlp. Make sure that you may: YouTube's terms of "
    "service and the rights of the video's owner apply. (This is said once.)"
)
_TICK_S = 0.5
Ask = Callable[[dict[str, Any], float, OnEvent], dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """A video that was fetched.

    Attributes:
        path: The file.
        title: As its owner wrote it.
        transcript: What its subtitles say; empty without any.
        official: Whether people made the subtitles.
    """

    path: Path
    title: str = ""
    transcript: tuple[TranscriptSegment, ...] = ()
    official: bool = False


def is_youtube(source: str) -> bool:
    """Whether a source is a video of YouTube."""
    try:
        parts = urlsplit(source)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    plain = parts.username is None and parts.password is None and port in (None, 443, 80)
    return parts.scheme in ("http", "https") and host in HOSTS and plain


def runtimes() -> list[str]:
    """JavaScript runtimes on this machine, by the names yt-dlp has for them."""
    where = paths.program_path()
    return [name for name, program in RUNTIMES.items() if shutil.which(program, path=where)]


def notice() -> str:
    """What to tell the person at the keyboard; "" when it was told before."""
    mark = paths.home() / "youtube-notice"
    if mark.exists():
        return ""
    try:
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
    except OSError:
        return NOTICE  # told again next time
    return NOTICE


def fetch(
    url: str,
    folder: Path,
    *,
    languages: Sequence[str] = ("en",),
    max_bytes: int = 1 << 30,
    max_seconds: float = 4 * 3600.0,
    timeout_s: float = 1800.0,
    ask: Ask | None = None,
    on_event: OnEvent = ignore_event,
) -> Fetched:
    """Fetch a video.

    Args:
        url: Of a host in `HOSTS`.
        folder: Where to; empty.
        languages: Of subtitles, the best one first.
        max_bytes, max_seconds: Of the video.
        timeout_s: For everything.
        ask: What answers the request; None starts the process.
        on_event: Told how many bytes have arrived.

    Raises:
        InputError: Not a URL of YouTube, or the video is live, too long, too large, private or
            gone.
        BackendError: yt-dlp is not installed, finds no JavaScript runtime, is blocked or too slow.
    """
    if not is_youtube(url):
        raise InputError(f"{url}: not a video of YouTube; expected a host such as youtube.com")
    found = runtimes()
    request = {
        "url": url,
        "folder": str(folder),
        "languages": list(languages),
        "max_bytes": max_bytes,
        "max_seconds": max_seconds,
        "socket_timeout_s": 20,
        "can_join": shutil.which("ffmpeg", path=paths.program_path()) is not None,
        "runtimes": found,
    }
    answer = (ask or _in_process)(request, timeout_s, on_event)
    if "missing" in answer:
        raise missing_extra(MODULE, "youtube", "Fetching from YouTube")
    if "error" in answer:
        raise _failure(url, answer, bool(found))
    path = Path(str(answer["path"])).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.is_file():
        raise BackendError(f"{url}: yt-dlp named a file outside its folder; nothing is read")
    return Fetched(
        path=path,
        title=str(answer.get("title", "")),
        transcript=_transcript(answer, folder),
        official=bool(answer.get("official")),
    )


def _transcript(answer: dict[str, Any], folder: Path) -> tuple[TranscriptSegment, ...]:
    name = str(answer.get("subtitles") or "")
    path = Path(name).resolve()
    if not name or not path.is_relative_to(folder.resolve()):
        return ()
    try:
        return tuple(read_subtitles(path.read_text(encoding="utf-8", errors="replace"), path.name))
    except InputError:
        return ()  # an empty file: the video has no words


def _failure(url: str, answer: dict[str, Any], has_runtime: bool) -> BackendError | InputError:
    """The error for what yt-dlp said, with what to do about it."""
    said = " ".join(str(answer["error"]).split()).removeprefix("ERROR: ")[:300]
    heard = " ".join([said, *map(str, answer.get("warnings", ()))]).lower()
    if "refused:" in heard:
        return InputError(f"{url}: {said.partition('refused: ')[2] or said}")
    if "429" in heard or "too many requests" in heard or "not a bot" in heard:
        return BackendError(
            f"{url}: YouTube refuses this machine for now (too many requests, or it asks for a "
            "proof that a person is there); try again later, or pass a file"
        )
    words = ("private video", "unavailable", "removed", "not available", "sign in", "members-only")
    if any(word in heard for word in words) and "format" not in said.lower():
        return InputError(f"{url}: cannot be fetched ({said}); pass a file instead")
    if not has_runtime:
        return BackendError(
            f"{url}: yt-dlp failed ({said}); it needs a JavaScript runtime for YouTube and this "
            "machine has none: install Deno 2 or Node 20"
        )
    return BackendError(
        f"{url}: yt-dlp failed ({said}); update it: pip install -U 'nanovl[youtube]'"
    )


def _in_process(request: dict[str, Any], timeout_s: float, on_event: OnEvent) -> dict[str, Any]:
    """Let the other process answer, and watch what it stores."""
    if importlib.util.find_spec(MODULE) is None:
        return {"missing": MODULE}
    folder, most = Path(request["folder"]), 3 * int(request["max_bytes"])
    words = [sys.executable, "-m", "nanovl.apps.youtube_child"]
    process = subprocess.Popen(
        words,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        start_new_session=True,
    )
    text: bytes | None = json.dumps(request).encode()
    end = time.monotonic() + timeout_s
    try:
        while True:
            try:
                out, _ = process.communicate(text, timeout=_TICK_S)
                break
            except subprocess.TimeoutExpired:
                text = None
            size = sum(p.stat().st_size for p in folder.glob("*") if p.is_file())
            on_event(Event(name="fetch", done=size, unit="bytes"))
            if size > most:
                return {"error": f"refused: more than {request['max_bytes']} bytes arrived"}
            if time.monotonic() > end:
                return {"error": f"not done within {timeout_s:g} s"}
    finally:
        _stop(process)
    try:
        answer = json.loads(out)
    except ValueError:
        return {"error": f"its process ended with exit code {process.returncode}"}
    return answer if isinstance(answer, dict) else {"error": "its answer is no object"}


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End it and what it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None and not pipe.closed:
            pipe.close()
