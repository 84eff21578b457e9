"""YouTube without YouTube: a fake of yt-dlp, in this process and as a module of the other one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from nanovl.apps import youtube, youtube_child
from nanovl.core.errors import BackendError, InputError

URL = "https://www.youtube.com/watch?v=abc"
VTT = "WEBVTT\n\n00:00.000 --> 00:02.000\n{}\n"


class FakeLibrary:
    """Behaves like yt_dlp: writes files, or fails, and keeps the options it got."""

    def __init__(self, error="", official=True, info=None, warning="", subtitles=True):
        self.error, self.official, self.warning = error, official, warning
        self.info = {"title": "A talk", "duration": 61, **(info or {})}
        self.subtitles = subtitles
        self.options = {}

    def YoutubeDL(self, options):
        self.options = options
        return self

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return False

    def extract_info(self, url, download):
        assert download
        log = self.options["logger"]
        if self.warning:
            log.warning(self.warning)
        if self.error:
            raise RuntimeError(self.error)
        refused = self.options["match_filter"](self.info, incomplete=False)
        if refused:
            log.debug(f"[download] {refused}")
            return None
        folder = Path(self.options["paths"]["home"])
        (folder / "video.mp4").write_bytes(b"video")
        for hook in self.options["progress_hooks"]:
            hook({"status": "downloading"})
        found = dict(self.info)
        if self.subtitles:
            (folder / "video.en.vtt").write_text(VTT.format("by people"))
            (folder / "video.de.vtt").write_text(VTT.format("by a machine"))
            found["requested_subtitles"] = {
                "de": {"filepath": str(folder / "video.de.vtt")},
                "en": {"filepath": str(folder / "video.en.vtt")},
            }
            found["subtitles"] = {"en": []} if self.official else {}
        return found


def asking(library):
    return lambda request, timeout_s, on_event: youtube_child.download(request, library)


def test_a_video_with_subtitles_by_people(tmp_path):
    library = FakeLibrary()
    found = youtube.fetch(URL, tmp_path, ask=asking(library))
    assert found.path == tmp_path / "video.mp4"
    assert found.title == "A talk"
    assert found.official
    assert [s.text for s in found.transcript] == ["by people"]
    automatic = youtube.fetch(URL, tmp_path, ask=asking(FakeLibrary(official=False)))
    assert not automatic.official
    assert [s.text for s in automatic.transcript] == ["by a machine"]
    silent = youtube.fetch(URL, tmp_path, ask=asking(FakeLibrary(subtitles=False)))
    assert silent.transcript == ()


def test_the_library_is_told_to_keep_to_one_small_video_of_youtube(tmp_path):
    library = FakeLibrary()
    youtube.fetch(URL, tmp_path, languages=("de", "en"), max_bytes=99, ask=asking(library))
    options = library.options
    assert options["allowed_extractors"] == ["^youtube$"]
    assert options["noplaylist"] is True
    assert options["cookiefile"] is None
    assert "cookiesfrombrowser" not in options
    assert options["max_filesize"] == 99
    assert "720" in options["format"]
    assert options["subtitleslangs"][:2] == ["de", "en"]
    assert options["retries"] == 3
    assert set(options["paths"].values()) == {str(tmp_path)}
    joined = {"can_join": True, "languages": [], "max_bytes": 1, "socket_timeout_s": 1,
              "folder": "", "runtimes": ["node"]}  # fmt: skip
    assert youtube_child.options(joined)["format"].startswith("bv*[height<=720][ext=mp4]+ba/")
    assert youtube_child.options(joined)["js_runtimes"] == {"node": {}}


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/watch?v=abc",
        "https://youtube.com.example.org/watch",
        "https://notyoutube.com/watch",
        "https://user:pw@youtube.com/watch",
        "https://youtube.com:8080/watch",
        "https://example.org#youtube.com",
        "file:///youtube.com",
        "ftp://youtube.com/x",
        "https://[::1/x",
        "talk.mp4",
    ],
)
def test_other_hosts_are_no_youtube(tmp_path, url):
    assert not youtube.is_youtube(url)
    with pytest.raises(InputError, match="not a video of YouTube"):
        youtube.fetch(url, tmp_path, ask=asking(FakeLibrary()))


def test_hosts_of_youtube():
    for url in (URL, "http://youtu.be/x", "https://m.youtube.com/x", "https://WWW.YOUTUBE.COM/x"):
        assert youtube.is_youtube(url)


@pytest.mark.parametrize(
    ("library", "kind", "hint"),
    [
        (FakeLibrary("HTTP Error 429: Too Many Requests"), BackendError, "refuses this machine"),
        (FakeLibrary("Sign in to confirm you're not a bot"), BackendError, "refuses this machine"),
        (FakeLibrary("ERROR: Private video"), InputError, "cannot be fetched (Private video)"),
        (FakeLibrary("odd"), BackendError, "pip install -U 'nanovl[youtube]'"),
        (FakeLibrary(info={"is_live": True}), InputError, "it is live or has not begun"),
        (FakeLibrary(info={"duration": 1e6}), InputError, "1000000 s long, limit 14400 s"),
    ],
)
def test_failures_say_what_to_do(tmp_path, monkeypatch, library, kind, hint):
    monkeypatch.setattr(youtube, "runtimes", lambda: ["deno"])
    with pytest.raises(kind) as caught:
        youtube.fetch(URL, tmp_path, ask=asking(library))
    assert hint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_runtime_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(youtube, "runtimes", list)
    library = FakeLibrary("Requested format is not available")
    with pytest.raises(BackendError, match=r"needs a JavaScript runtime .* install Deno 2"):
        youtube.fetch(URL, tmp_path, ask=asking(library))


def test_more_bytes_than_allowed(tmp_path):
    (tmp_path / "part").write_bytes(b"x" * 50)
    with pytest.raises(InputError, match="more than 20 bytes arrived"):
        youtube.fetch(URL, tmp_path, max_bytes=20, ask=asking(FakeLibrary()))


def test_a_file_outside_the_folder_is_not_read(tmp_path):
    answer = {"path": "/etc/passwd"}
    with pytest.raises(BackendError, match="outside its folder"):
        youtube.fetch(URL, tmp_path, ask=lambda *a: answer)
    (tmp_path / "video.mp4").write_bytes(b"x")
    answer = {"path": str(tmp_path / "video.mp4"), "subtitles": "/etc/passwd"}
    assert youtube.fetch(URL, tmp_path, ask=lambda *a: answer).transcript == ()


def test_a_missing_library_names_its_extra(tmp_path, monkeypatch):
    monkeypatch.setattr(youtube, "MODULE", "no_such_library")
    with pytest.raises(BackendError, match=r"pip install 'nanovl\[youtube\]'"):
        youtube.fetch(URL, tmp_path)


def test_the_notice_is_given_once(home):
    assert "terms of service" in youtube.notice()
    assert youtube.notice() == ""
    assert (home / "youtube-notice").exists()


@pytest.fixture
def library(tmp_path, monkeypatch):
    """Installs a yt_dlp whose `extract_info` runs the given lines."""

    def install(lines: str) -> None:
        folder = tmp_path / "site"
        folder.mkdir()
        head = (
            "import os, sys, time\n"
            "class YoutubeDL:\n"
            "    def __init__(self, options): self.options = options\n"
            "    def __enter__(self): return self\n"
            "    def __exit__(self, *error): return False\n"
            "    def extract_info(self, url, download):\n"
            "        folder = self.options['paths']['home']\n"
        )
        text = head + textwrap.indent(textwrap.dedent(lines), " " * 8)
        (folder / "yt_dlp.py").write_text(text)
        monkeypatch.syspath_prepend(str(folder))
        monkeypatch.setenv("PYTHONPATH", str(folder))

    return install


def test_the_other_process_fetches(tmp_path, library):
    library("""
        print("noise of the library"); os.write(1, b"more noise")
        open(folder + "/video.webm", "wb").write(b"v")
        open(folder + "/video.en.vtt", "w").write("WEBVTT\\n\\n00:00.000 --> 00:02.000\\nhello\\n")
        entry = {"filepath": folder + "/video.en.vtt"}
        return {"title": "T", "requested_subtitles": {"en": entry}, "subtitles": {}}
    """)
    out = tmp_path / "out"
    out.mkdir()
    found = youtube.fetch(URL, out)
    assert (found.path.name, found.title, found.official) == ("video.webm", "T", False)
    assert found.transcript[0].text == "hello"


def test_the_other_process_crashes(tmp_path, library):
    library("os.kill(os.getpid(), 9)")
    with pytest.raises(BackendError, match="its process ended with exit code -9"):
        youtube.fetch(URL, tmp_path)


def test_the_other_process_hangs(tmp_path, library):
    out = tmp_path / "out"
    out.mkdir()
    library("""
        open(folder + "/pid", "w").write(str(os.getpid()))
        time.sleep(600)
    """)
    events = []
    begun = time.monotonic()
    with pytest.raises(BackendError, match="not done within 3 s"):
        youtube.fetch(URL, out, timeout_s=3.0, on_event=events.append)
    assert time.monotonic() - begun < 30
    assert events[-1].unit == "bytes"
    with pytest.raises(ProcessLookupError):
        os.kill(int((out / "pid").read_text()), 0)


def test_the_other_process_fills_the_disk(tmp_path, library):
    out = tmp_path / "out"
    out.mkdir()
    library("""
        open(folder + "/video.part", "wb").write(b"x" * 4000)
        time.sleep(600)
    """)
    with pytest.raises(InputError, match="more than 1000 bytes arrived"):
        youtube.fetch(URL, out, max_bytes=1000)


def test_the_other_process_says_that_the_library_is_missing(tmp_path):
    code = (
        "import sys; sys.modules['yt_dlp'] = None; "
        "from nanovl.apps.youtube_child import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=b"{}", capture_output=True, timeout=60, check=True
    )
    assert "missing" in json.loads(done.stdout)
