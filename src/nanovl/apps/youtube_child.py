"""The process that talks to YouTube: reads a request, drives yt-dlp, writes what came of it.

    python -m nanovl.apps.youtube_child <request.json >answer.json

Runs apart from the program, so that a library that executes scripts of a web site can crash, hang
or fill memory without taking anything along. Gets what is allowed from the request; decides
nothing. Must not import anything but the standard library and yt-dlp.

Source: serving specification, section 12.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Any

__all__ = ["download", "main", "options"]

MODULE = "yt_dlp"
FORMATS = "bv*[height<=720][ext=mp4]+ba/b[height<=720]"
# Without FFmpeg nothing can be joined: files that hold picture and sound already.
FORMATS_WHOLE = "b[height<=720][ext=mp4]/b[height<=720]"


class QuotaError(Exception):
    """The folder holds more than allowed."""


def options(request: dict[str, Any]) -> dict[str, Any]:
    """Settings of yt-dlp: one video of YouTube, small, without cookies or configuration files."""
    languages = [str(name) for name in request["languages"]]
    return {
        "format": FORMATS if request["can_join"] else FORMATS_WHOLE,
        "merge_output_format": "mp4",
        "noplaylist": True,
        "playlist_items": "1",
        "allowed_extractors": ["^youtube$"],
        "max_filesize": request["max_bytes"],
        "socket_timeout": request["socket_timeout_s"],
        "retries": 3,
        "fragment_retries": 3,
        "paths": {"home": request["folder"], "temp": request["folder"]},
        "outtmpl": {"default": "video.%(ext)s", "subtitle": "video.%(ext)s"},
        "writesubtitles": True,
        "writeautomaticsub": True,
        "subtitleslangs": [*languages, *(f"{name}.*" for name in languages), "-live_chat"],
        "subtitlesformat": "vtt",
        "js_runtimes": {name: {} for name in request["runtimes"]},
        "cachedir": False,
        "cookiefile": None,
        "quiet": True,
        "no_warnings": False,
        "noprogress": True,
        "consoletitle": False,
        "color": "never",
    }


def download(request: dict[str, Any], library: Any) -> dict[str, Any]:
    """Fetch one video.

    Args:
        request: url, folder, max_bytes, max_seconds, socket_timeout_s, languages, can_join,
            runtimes.
        library: The module yt_dlp, or what behaves like it.

    Returns:
        What came of it: `path`, `title`, `duration_s`, `subtitles` and whether these are
        `official`; or an `error`, and with it the `warnings` of the library.
    """
    log = _Log()
    folder = Path(request["folder"])
    settings = options(request)
    settings["logger"] = log
    settings["match_filter"] = lambda info, *, incomplete=False: _refusal(info, request)
    settings["progress_hooks"] = [lambda status: _check_quota(folder, request["max_bytes"])]
    try:
        with library.YoutubeDL(settings) as session:
            info = session.extract_info(request["url"], download=True)
    except QuotaError as error:
        return {"error": str(error), "warnings": log.lines}
    except Exception as error:  # the library raises many types; the message is what matters
        return {"error": f"{error}" or type(error).__name__, "warnings": log.lines}
    if not isinstance(info, dict):
        return {"error": log.refusal or "nothing was fetched", "warnings": log.lines}
    found = [entry for entry in info.get("entries") or () if isinstance(entry, dict)]
    info = found[0] if found else info
    videos = [p for p in folder.glob("video.*") if p.suffix in (".mp4", ".mkv", ".webm", ".mov")]
    if not videos:
        return {"error": log.refusal or "nothing was fetched", "warnings": log.lines}
    subtitles, official = _subtitles(info, folder)
    return {
        "path": str(max(videos, key=lambda p: p.stat().st_size)),
        "title": str(info.get("title") or ""),
        "duration_s": info.get("duration"),
        "subtitles": subtitles,
        "official": official,
        "warnings": log.lines,
    }


def _refusal(info: dict[str, Any], request: dict[str, Any]) -> str | None:
    """Why a video is not fetched; None takes it."""
    if info.get("is_live") or info.get("live_status") in ("is_live", "is_upcoming"):
        return "refused: it is live or has not begun; wait until it is over"
    seconds = info.get("duration")
    if seconds and seconds > request["max_seconds"]:
        return f"refused: it is {seconds:.0f} s long, limit {request['max_seconds']:.0f} s"
    return None


def _check_quota(folder: Path, most: int) -> None:
    size = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            size += path.stat().st_size
    if size > 2 * most:  # picture and sound arrive apart before they are joined
        raise QuotaError(f"refused: more than {most} bytes arrived")


def _subtitles(info: dict[str, Any], folder: Path) -> tuple[str, bool]:
    """The file of the best subtitles, and whether people made them; "" without any."""
    asked = info.get("requested_subtitles") or {}
    by_people = info.get("subtitles") or {}
    for official in (True, False):
        for language, entry in asked.items():
            path = Path(str((entry or {}).get("filepath") or folder / f"video.{language}.vtt"))
            if (language in by_people) is official and path.is_file():
                return str(path), official
    return "", False


class _Log:
    """Keeps what the library says instead of printing it."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.refusal = ""

    def debug(self, text: str) -> None:
        """Progress; a refusal by the filter comes this way too."""
        if "refused:" in text:
            self.refusal = text[text.index("refused:") :]

    info = debug

    def warning(self, text: str) -> None:
        """Something that may matter."""
        self.lines = [*self.lines[-19:], text[:500]]

    error = warning


def main() -> None:
    """Answer one request, read from standard input."""
    request = json.load(sys.stdin)
    answer_to = os.dup(1)
    os.dup2(2, 1)  # whatever the library prints is no part of the answer
    try:
        library = __import__(MODULE)
    except ImportError as error:
        answer: dict[str, Any] = {"missing": str(error)}
    else:
        answer = download(request, library)
    with os.fdopen(answer_to, "w", encoding="utf-8") as out:
        json.dump(answer, out)


if __name__ == "__main__":
    main()
