"""Files, data URLs and the rules about what may be opened at all."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

from nanovl.core.conversation import MediaRef
from nanovl.core.errors import ConfigError, InputError
from nanovl.processing import fetch
from nanovl.processing.images import open_image
from nanovl.processing.media import KINDS, Limits, localize, open_media, read_media
from nanovl.testing import picture, picture_bytes

LIMITS = Limits()


def data_url(data: bytes, type: str = "image/png") -> str:
    return f"data:{type};base64,{base64.b64encode(data).decode()}"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "media" / "a.bin"
    path.parent.mkdir()
    path.write_bytes(b"content")
    return path


def test_defaults_are_the_specifications() -> None:
    mib = 1 << 20
    assert [LIMITS.max_bytes(k) // mib for k in KINDS] == [32, 256, 25, 64]
    assert [LIMITS.fetch_s(k) for k in KINDS] == [5, 30, 10, 30]
    assert (LIMITS.max_pixels, LIMITS.max_side, LIMITS.max_pages) == (64_000_000, 16_384, 200)
    assert not LIMITS.allow_remote
    assert not Limits.local().allow_remote


@pytest.mark.parametrize("setting", [{"max_pixels": 0}, {"max_audio_s": -1.0}, {"max_pages": 0}])
def test_limits_must_admit_something(setting: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="expected more than 0"):
        Limits(**setting)


def test_limits_stay_below_the_picture_librarys_own() -> None:
    with pytest.raises(ConfigError, match="178956970"):
        Limits(max_pixels=200_000_000)


def test_reading_a_file(file: Path) -> None:
    assert read_media(MediaRef.of(file), "image", LIMITS) == b"content"
    assert read_media(MediaRef.of(str(file)), "image", Limits.local()) == b"content"
    assert read_media(MediaRef.of(b"abc"), "audio", LIMITS) == b"abc"
    with open_media(MediaRef.of(file), "video", LIMITS) as source:
        source.seek(3)
        assert source.read() == b"tent"


@pytest.mark.parametrize("kind", KINDS)
def test_size_limits(kind: str, file: Path) -> None:
    small = Limits(**{f"max_{kind}_bytes": 6})
    for source in (MediaRef.of(file), MediaRef.of(b"content"), MediaRef.of(data_url(b"content"))):
        with pytest.raises(
            InputError, match=f"{kind} has 7 bytes, limit 6 bytes.*max_{kind}_bytes"
        ):
            read_media(source, kind, small)


def test_empty_and_missing_files(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with pytest.raises(InputError, match=r"empty: is empty \(0 bytes\)"):
        read_media(MediaRef.of(tmp_path / "empty"), "image", LIMITS)
    with pytest.raises(InputError, match="no such file"):
        read_media(MediaRef.of(tmp_path / "gone"), "image", LIMITS)
    with pytest.raises(InputError, match="not a regular file"):
        read_media(MediaRef.of(tmp_path), "image", LIMITS)
    with pytest.raises(InputError, match="cannot be opened"):
        read_media(MediaRef.of("a\0b"), "image", LIMITS)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_special_files_are_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(InputError, match="not a regular file"):
            read_media(MediaRef.of(path), "image", LIMITS)


def test_decoded_pictures_are_no_bytes() -> None:
    with pytest.raises(InputError, match="already decoded"):
        read_media(MediaRef.of(picture()), "document", LIMITS)


def test_allowed_roots(file: Path, tmp_path: Path) -> None:
    inside = Limits(allowed_roots=(file.parent,))
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    assert read_media(MediaRef.of(file), "image", inside) == b"content"
    assert read_media(MediaRef.of(f"file://{file}"), "image", inside) == b"content"
    (file.parent / "link").symlink_to(secret)
    (file.parent / "good").symlink_to(file)
    assert read_media(MediaRef.of(file.parent / "good"), "image", inside) == b"content"
    for path in (secret, file.parent / ".." / "secret", file.parent / "link", Path("/etc/passwd")):
        with pytest.raises(InputError, match="outside the allowed media folders"):
            read_media(MediaRef.of(path), "image", inside)
        with pytest.raises(InputError, match="outside the allowed media folders"):
            read_media(MediaRef.of(f"file://{path}"), "image", inside)
    with pytest.raises(InputError, match="outside"):
        read_media(MediaRef.of(file), "image", Limits(allowed_roots=()))


def test_file_urls(file: Path) -> None:
    with pytest.raises(InputError, match="file URLs are switched off"):
        read_media(MediaRef.of(f"file://{file}"), "image", LIMITS)
    spaced = file.with_name("a b.bin")
    spaced.write_bytes(b"spaced")
    url = f"file://localhost{file.parent}/a%20b.bin"
    assert read_media(MediaRef.of(url), "image", Limits.local()) == b"spaced"
    for bad in (f"file://host{file}", f"file://{file}?x", "file:"):
        with pytest.raises(InputError, match="file URL must look like"):
            read_media(MediaRef.of(bad), "image", Limits.local())


def test_data_urls() -> None:
    good = picture_bytes(picture(6, 5))
    image = open_image(MediaRef.of(data_url(good)), LIMITS)
    assert image.size == (6, 5)
    for header in ("data:;base64,", "data:image/png;charset=x;base64,", "DATA:image/png;BASE64,"):
        url = header + base64.b64encode(good).decode()
        assert read_media(MediaRef.of(url), "image", LIMITS) == good


@pytest.mark.parametrize(
    "url",
    [
        "data:image/png;base64",
        "data:image/png,abcd",
        "data:image/png;base64,ab cd",
        "data:image/png;base64,abc",
        "data:image/png;base64,ab\ncd",
        "data:image/png;base64,ab%2Bd",
        "data:image/png;base64,====",
        "data:image/png;hex,abcd",
        "data:image/png;base64;base64x,abcd",
        "data:image/png;base64,",
    ],
)
def test_data_urls_are_strict(url: str) -> None:
    with pytest.raises(InputError, match=r"^data URL: "):
        read_media(MediaRef.of(url), "image", LIMITS)


def test_jpeg_frames_in_one_data_url() -> None:
    frames = [picture_bytes(picture(8, 8, seed=i), "JPEG") for i in range(3)]
    url = "data:video/jpeg;base64," + ",".join(base64.b64encode(f).decode() for f in frames)
    ref = localize(MediaRef.of(url), "video", LIMITS)
    assert [r.data for r in ref.array] == frames
    with pytest.raises(InputError, match="more than 2 frames"):
        localize(MediaRef.of(url), "video", Limits(max_frames=2))


def test_localize_leaves_everything_else_alone(file: Path) -> None:
    for source in (file, b"abc", picture()):
        ref = MediaRef.of(source)
        assert localize(ref, "image", LIMITS) is ref


@pytest.mark.parametrize("url", ["http://example.org/a.png", "https://example.org/a.png"])
def test_network_is_off_by_default(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "fetch", lambda *_: pytest.fail("reached the network"))
    for limits in (LIMITS, Limits.local()):
        with pytest.raises(InputError, match="switched off"):
            read_media(MediaRef.of(url), "image", limits)


def test_network_goes_through_the_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def fake(url: str, policy: fetch.FetchPolicy) -> bytes:
        seen.append((url, policy))
        return b"bytes"

    monkeypatch.setattr(fetch, "fetch", fake)
    limits = Limits(allow_remote=True, allowed_hosts=("example.org",), max_video_bytes=99)
    ref = localize(MediaRef.of("https://example.org/v.mp4"), "video", limits)
    assert (ref.data, ref.url) == (b"bytes", None)
    [(url, policy)] = seen
    assert url == "https://example.org/v.mp4"
    assert policy == fetch.FetchPolicy(max_bytes=99, total_s=30, allowed_hosts=("example.org",))


@pytest.mark.parametrize("url", ["ftp://example.org/a", "gopher://x", "javascript:1", "HTTPX://a"])
def test_other_schemes(url: str) -> None:
    with pytest.raises(InputError, match=r"must be an http\(s\), data or file URL"):
        localize(MediaRef(url=url), "image", Limits(allow_remote=True))
