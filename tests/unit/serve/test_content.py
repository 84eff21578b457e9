"""Parts of messages: shapes, counts, where media may come from, and what errors say."""

from __future__ import annotations

import base64
import gc
import io
import socket
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from nanovl.core.conversation import (
    AudioPart,
    DocumentPart,
    ImagePart,
    MediaRef,
    TextPart,
    VideoPart,
)
from nanovl.processing import fetch
from nanovl.processing.media import Limits
from nanovl.serve.content import Gatherer, MediaOptions
from nanovl.serve.errors import ApiError
from nanovl.serve.settings import RequestLimits
from nanovl.testing import tiny_processor

SERVER = Limits(allow_remote=True, allowed_roots=())


def png(width: int = 8, height: int = 8) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(out, "PNG")
    return out.getvalue()


def data_url(data: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


PNG = data_url(png())


def gatherer(**changes: Any) -> Gatherer:
    given = {"limits": SERVER, "counts": RequestLimits(), "planner": tiny_processor(), **changes}
    return Gatherer(**given)


def one(part: Any, **changes: Any) -> Any:
    """The only part of a message of one part."""
    conversation = gatherer(**changes).gather([{"role": "user", "content": [part]}])
    return conversation.messages[0].parts[0]


def refused(part: Any, **changes: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        one(part, **changes)
    error: ApiError = caught.value
    assert error.param is not None
    assert error.param.startswith("messages")
    return error


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": PNG}},
        {"type": "image_url", "image_url": PNG},
        {"image_url": {"url": PNG, "detail": "high"}},
        {"type": "input_image", "image_url": PNG},
        {"type": "file", "file": {"file_data": PNG, "filename": "a.pdf"}},
        {"type": "input_file", "file_data": PNG},
    ],
    ids=str,
)
def test_all_shapes_of_a_picture(part: dict[str, Any]) -> None:
    found = one(part)
    assert isinstance(found, ImagePart)
    assert found.source.data == png()


def test_low_detail_is_one_tile() -> None:
    part = {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}}
    assert one(part).max_tiles == 1


def test_options_of_videos_and_documents_reach_the_parts() -> None:
    jpeg = io.BytesIO()
    Image.new("RGB", (8, 8)).save(jpeg, "JPEG")
    frames = "data:video/jpeg;base64," + ",".join([base64.b64encode(jpeg.getvalue()).decode()] * 3)
    video = one(
        {"type": "video_url", "video_url": {"url": frames, "fps": 1.5, "max_frames": 2}},
        options=MediaOptions(speech=False),
    )
    assert isinstance(video, VideoPart)
    assert (video.fps, video.max_frames, video.transcript) == (1.5, 2, ())


def test_text_files_become_text() -> None:
    part = {"type": "file", "file": {"file_data": data_url(b"a,b\n1,2", "text/csv")}}
    found = one(part)
    assert isinstance(found, TextPart)
    assert "1,2" in found.text


def test_earlier_reasoning_in_a_part_is_left_out() -> None:
    messages = [
        {"role": "user", "content": "q"},
        {
            "role": "assistant",
            "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "a"}],
        },
    ]
    found = gatherer().gather(messages)
    assert "".join(p.text for p in found.messages[1].parts if isinstance(p, TextPart)) == "a"


@pytest.mark.parametrize(
    ("part", "param"),
    [
        (5, "messages.0.content.0"),
        ({"type": "hologram"}, "messages.0.content.0.type"),
        ({"type": 3}, "messages.0.content.0.type"),
        ({}, "messages.0.content.0.type"),
        ({"type": "text", "text": 5}, "messages.0.content.0.text"),
        ({"type": "text"}, "messages.0.content.0.text"),
        ({"type": "image_url"}, "messages.0.content.0.image_url"),
        ({"type": "image_url", "image_url": {"url": 5}}, "messages.0.content.0.image_url.url"),
        (
            {"type": "image_url", "image_url": {"url": PNG, "detail": "super"}},
            "messages.0.content.0.image_url.detail",
        ),
        (
            {"type": "video_url", "video_url": {"url": PNG, "fps": "fast"}},
            "messages.0.content.0.video_url.fps",
        ),
        (
            {"type": "video_url", "video_url": {"url": PNG, "fps": 0}},
            "messages.0.content.0.video_url.fps",
        ),
        (
            {"type": "video_url", "video_url": {"url": PNG, "max_frames": 1.5}},
            "messages.0.content.0.video_url.max_frames",
        ),
        (
            {"type": "pdf_url", "pdf_url": {"url": PNG, "dpi": 10**9}},
            "messages.0.content.0.pdf_url.dpi",
        ),
        (
            {"type": "pdf_url", "pdf_url": {"url": PNG, "pages": 5}},
            "messages.0.content.0.pdf_url.pages",
        ),
        ({"type": "thinking", "thinking": 1}, "messages.0.content.0.thinking"),
    ],
)
def test_wrong_shapes_are_named(part: Any, param: str) -> None:
    error = refused(part)
    assert error.status == 400
    assert error.param == param


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("data:image/png;base64,####", 422),
        ("data:image/png;base64,", 422),
        ("data:image/png,hello", 422),
        ("data:;base64", 422),
        ("ftp://example.org/a.png", 422),
        ("gopher://127.0.0.1:70/_x", 422),
        ("javascript:alert(1)", 422),
        (data_url(b"not a picture"), 422),
        (data_url(png()[:40]), 422),
        ("file:///etc/passwd", 403),
        ("FILE:///etc/passwd", 403),
        ("file://localhost/etc/passwd", 403),
    ],
)
def test_unusable_urls(url: str, status: int) -> None:
    error = refused({"type": "image_url", "image_url": {"url": url}})
    assert error.status == status
    assert "Traceback" not in error.message


def test_too_many_parts_of_a_kind_are_refused_before_anything_is_opened() -> None:
    counts = RequestLimits(max_images=2, max_parts=4, max_messages=2)
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,####"}}
    for messages, word in (
        ([{"role": "user", "content": [image] * 3}], "3 image parts"),
        ([{"role": "user", "content": [{"type": "text", "text": "a"}] * 5}], "5 parts"),
        ([{"role": "user", "content": "a"}] * 3, "3 messages"),
    ):
        with pytest.raises(ApiError, match=word) as caught:
            gatherer(counts=counts).gather(messages)
        assert caught.value.status == 400


# --- files ------------------------------------------------------------------------------------


@pytest.fixture
def roots(tmp_path: Path) -> tuple[Path, Path]:
    """A folder that is allowed, and one beside it that is not."""
    allowed, secret = tmp_path / "media", tmp_path / "secret"
    allowed.mkdir()
    secret.mkdir()
    (allowed / "a.png").write_bytes(png())
    (secret / "b.png").write_bytes(png())
    (allowed / "link.png").symlink_to(secret / "b.png")
    return allowed, secret


def file_part(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def test_files_below_the_allowed_folder_are_opened(roots: tuple[Path, Path]) -> None:
    allowed, _ = roots
    limits = Limits(allowed_roots=(allowed,))
    found = one(file_part(f"file://{allowed}/a.png"), limits=limits, media_root=allowed)
    assert isinstance(found, ImagePart)


@pytest.mark.parametrize(
    "path",
    [
        "{secret}/b.png",
        "{secret}/not-there.png",
        "{allowed}/../secret/b.png",
        "{allowed}/%2e%2e/secret/b.png",
        "{allowed}/link.png",
        "{allowed}",
        "/dev/zero",
        "/proc/self/environ",
        "/etc/passwd",
    ],
)
def test_no_way_leads_out_of_the_allowed_folder(roots: tuple[Path, Path], path: str) -> None:
    allowed, secret = roots
    limits = Limits(allowed_roots=(allowed, secret))  # such as a folder of uploads
    url = "file://" + path.format(allowed=allowed, secret=secret)
    error = refused(file_part(url), limits=limits, media_root=allowed)
    assert error.status in (403, 422)
    if not path.endswith("{allowed}"):
        assert error.status == 403
        # The same words whether the file exists or not.
        assert error.message == "files outside the allowed media folder are not opened"


# --- the network ------------------------------------------------------------------------------


def resolver(*addresses: str) -> Callable[[str, int], list[str]]:
    return lambda host, port: list(addresses)


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[tuple[str, int]]]:
    """Names that resolve as told, and connections that are recorded and answered as told."""

    def install(resolve: Callable[[str, int], list[str]], *answers: bytes) -> list[tuple[str, int]]:
        connected: list[tuple[str, int]] = []
        waiting = list(answers)

        def connect(address: str, port: int, timeout_s: float) -> socket.socket:
            del timeout_s
            connected.append((address, port))
            ours, theirs = socket.socketpair()
            theirs.sendall(waiting.pop(0))
            theirs.shutdown(socket.SHUT_WR)
            kept.extend((ours, theirs))
            return ours

        kept: list[socket.socket] = []
        real = fetch.fetch
        monkeypatch.setattr(fetch, "fetch", partial(real, resolve=resolve, connect=connect))
        sockets.extend([kept])
        return connected

    sockets: list[list[socket.socket]] = []
    yield install  # type: ignore[misc]
    for group in sockets:
        for one_socket in group:
            one_socket.close()
    if not any(sockets):
        return
    # Answers that were refused hold their end until nobody refers to the error any more.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        sockets.clear()
        gc.collect()


def http(status: str, body: bytes = b"", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
    lines += [f"{k.replace('_', '-')}: {v}" for k, v in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def test_public_media_is_fetched_from_the_checked_address(network: Any) -> None:
    connected = network(resolver("93.184.216.34"), http("200 OK", png()))
    found = one(file_part("http://pictures.example.org/a.png"))
    assert found.source.data == png()
    assert connected == [("93.184.216.34", 80)]


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.1",
        "172.16.3.4",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fc00::1",
        "fd00:ec2::254",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::",
        "ff02::1",
    ],
)
def test_names_that_resolve_inside_are_not_connected_to(network: Any, address: str) -> None:
    for addresses in ([address], ["93.184.216.34", address]):
        connected = network(resolver(*addresses))
        error = refused(file_part("http://innocent.example.org/a.png"))
        assert error.status == 403
        assert address not in error.message
        assert connected == []


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0177.0.0.1/",
        "http://0x7f.0.0.1/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[fe80::1%25eth0]/",
        "http://169.254.169.254/latest/meta-data/",
        "http://localhost/",
        "http://user:pw@example.org/",
        "http://example.org\\@127.0.0.1/",
        "http://example.org:22/",
        "http://example.org:6379/",
        "http://ex\u0430mple.org/",
        "http://example.org/\nHost: x",
        "http://exa mple.org/",
        "http:///nohost",
        "http://" + "a" * 300 + ".org/",
    ],
)
def test_urls_made_to_confuse_are_refused_without_a_connection(network: Any, url: str) -> None:
    connected = network(resolver("127.0.0.1"))
    error = refused(file_part(url))
    assert error.status in (403, 422)
    assert connected == []


def test_every_redirect_is_checked(network: Any) -> None:
    def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"] if host == "inside.example.org" else ["93.184.216.34"]

    for target in (
        "http://inside.example.org/",
        "http://169.254.169.254/",
        "file:///etc/passwd",
        "http://user@example.org/",
    ):
        connected = network(resolve, http("302 Found", Location=target))
        error = refused(file_part("http://outside.example.org/"))
        assert error.status in (403, 422)
        assert len(connected) == 1
    hop = http("302 Found", Location="http://outside.example.org/again")
    connected = network(resolve, *[hop] * 9)
    assert refused(file_part("http://outside.example.org/")).status == 422
    assert len(connected) == 4


def test_a_name_that_changes_its_address_gains_nothing(network: Any) -> None:
    answers = iter([["93.184.216.34"], ["127.0.0.1"], ["127.0.0.1"]])
    connected = network(lambda host, port: next(answers), http("200 OK", png()))
    assert one(file_part("http://rebinding.example.org/")).source.data == png()
    assert connected == [("93.184.216.34", 80)]


def test_only_listed_hosts_when_there_is_a_list(network: Any) -> None:
    limits = Limits(allow_remote=True, allowed_hosts=("*.example.org",), allowed_roots=())
    network(resolver("93.184.216.34"), http("200 OK", png()))
    assert isinstance(one(file_part("http://a.example.org/"), limits=limits), ImagePart)
    for host in ("example.org", "notexample.org", "a.example.org.evil.net"):
        connected = network(resolver("93.184.216.34"))
        assert refused(file_part(f"http://{host}/"), limits=limits).status == 403
        assert connected == []


def test_remote_media_can_be_switched_off(network: Any) -> None:
    connected = network(resolver("93.184.216.34"))
    limits = Limits(allowed_roots=())
    assert refused(file_part("http://example.org/"), limits=limits).status == 403
    assert connected == []


def test_failures_that_may_heal_are_tried_again(network: Any) -> None:
    connected = network(
        resolver("93.184.216.34"), http("503 Busy"), http("429 Slow"), http("200 OK", png())
    )
    assert isinstance(one(file_part("http://example.org/a.png")), ImagePart)
    assert len(connected) == 3
    connected = network(resolver("93.184.216.34"), *[http("503 Busy")] * 5)
    assert refused(file_part("http://example.org/a.png")).status == 502
    assert len(connected) == 3
    connected = network(resolver("93.184.216.34"), http("404 Gone"))
    assert refused(file_part("http://example.org/a.png")).status == 422
    assert len(connected) == 1


def test_answers_that_are_too_large_or_compressed_are_refused(network: Any) -> None:
    limits = Limits(allow_remote=True, allowed_roots=(), max_image_bytes=100)
    lying = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 5000
    for answer in (http("200 OK", b"x" * 5000), lying):
        network(resolver("93.184.216.34"), answer)
        assert refused(file_part("http://example.org/"), limits=limits).status == 422
    network(resolver("93.184.216.34"), http("200 OK", b"x", Content_Encoding="gzip"))
    assert refused(file_part("http://example.org/")).status == 422


def test_nothing_more_is_fetched_when_the_client_left(network: Any) -> None:
    connected = network(resolver("93.184.216.34"), http("200 OK", png()))
    with pytest.raises(ApiError) as caught:
        one(file_part("http://example.org/"), cancelled=lambda: True)
    assert caught.value.status == 499
    assert connected == []


# --- stored files -----------------------------------------------------------------------------


def test_stored_files_are_looked_up_for_their_owner(tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(png())

    class Store:
        def reference(self, file_id: str, owner: str) -> MediaRef:
            if (file_id, owner) != ("file-1", "me"):
                raise ApiError(404, "no such file")
            return MediaRef(path=tmp_path / "x.bin", name="a.png")

    limits = Limits(allowed_roots=(tmp_path,))
    part = {"type": "file", "file": {"file_id": "file-1"}}
    found = one(part, limits=limits, files=Store(), owner="me")
    assert isinstance(found, ImagePart)
    assert refused(part, limits=limits, files=Store(), owner="you").status == 404
    assert refused(part, limits=limits).status == 404


def test_sound_needs_speech_recognition() -> None:
    import wave

    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(b"\0\0" * 1600)
    data = base64.b64encode(out.getvalue()).decode()
    part = {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}
    error = refused(part)
    assert (error.status, error.code) == (400, "unsupported")

    class Deaf:
        def transcribe(self, pcm: Any, language: str | None = None) -> list[Any]:
            del pcm, language
            return []

    processor = tiny_processor()
    from nanovl.processing.processor import Processor

    hearing = Processor(processor.tokenizer, processor.config, transcriber=Deaf())
    assert isinstance(one(part, planner=hearing), AudioPart)


def test_documents_are_recognised_by_their_bytes(demo: Path) -> None:
    found = sorted(demo.glob("*.pdf"))
    data = found[0].read_bytes() if found else tiny_pdf()
    for kind in ("application/pdf", "image/png"):
        part = {"type": "file", "file": {"file_data": data_url(data, kind)}}
        assert isinstance(one(part), DocumentPart)


def tiny_pdf() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (20, 20)).save(out, "PDF")
    return out.getvalue()
