"""Attacks on a real server: each is refused with a clear error, and the server lives on."""

from __future__ import annotations

import base64
import io
import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from nanovl.processing.media import Limits
from nanovl.testing.documents import pdf_bytes
from tests.unit.serve.fakes import FakeNanoVL
from tests.unit.serve.live import live, post, raw
from tests.unit.serve.test_content import data_url, png

SERVER = Limits(allow_remote=True, allowed_roots=())


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[int, FakeNanoVL]]:
    model = FakeNanoVL(limits=replace(SERVER, max_document_s=2.0), context_length=100_000)
    with live(model) as (port, _):
        yield port, model


def ask(port: int, body: Any, *headers: str, path: str = "/v1/chat/completions") -> tuple[int, Any]:
    """Status and JSON of an answer."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = raw(port, post(path, data, port, "Connection: close", *headers), seconds=60)
    head, _, rest = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(rest)


def about(*parts: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": "q"}, *parts]}]}


def image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def lives(port: int) -> None:
    """The server answers the next question."""
    assert ask(port, about())[0] == 200


def refused(port: int, body: Any, *statuses: int) -> dict[str, Any]:
    status, answer = ask(port, body)
    assert status in statuses, answer
    error: dict[str, Any] = answer["error"]
    text = json.dumps(error)
    assert error["message"]
    for word in ("Traceback", "site-packages", "0x7", "/root", "/home", "Pillow", "ffmpeg"):
        assert word not in text
    lives(port)
    return error


def png_bomb(width: int, height: int) -> bytes:
    """A small file that claims to be huge."""

    def chunk(name: bytes, data: bytes) -> bytes:
        body = name + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 10_000_000, 9)
    marks = chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + marks


@pytest.mark.parametrize("size", [(60_000, 60_000), (200_000, 1), (16_384, 16_384), (0, 5)])
def test_picture_bombs(server: Any, size: tuple[int, int]) -> None:
    port, _ = server
    error = refused(port, about(image(data_url(png_bomb(*size)))), 422)
    assert error["param"] == "messages.0.content.1"


def test_the_smallest_picture_works(server: Any) -> None:
    port, _ = server
    assert ask(port, about(image(data_url(png(1, 1)))))[0] == 200


def test_files_that_are_something_else(server: Any) -> None:
    port, _ = server
    zip_bomb = b"PK\x03\x04" + zlib.compress(b"\0" * 10_000_000, 9)
    for data in (zip_bomb, b"\0" * 1000, b"<svg onload='x'/>", b"%!PS", b"\x89PNG\r\n\x1a\n"):
        refused(port, about(image(data_url(data))), 422)
        part = {"type": "file", "file": {"file_data": data_url(data, "application/pdf")}}
        status, answer = ask(port, about(part))
        assert status in (200, 422), answer  # markup is text, and read as text
        video = {"type": "video_url", "video_url": {"url": data_url(data, "video/mp4")}}
        refused(port, about(video), 422)
    lives(port)


def test_document_bombs(server: Any) -> None:
    port, _ = server
    pages = pdf_bytes(300)
    part = {"type": "file", "file": {"file_data": data_url(pages, "application/pdf")}}
    refused(port, about(part), 400, 422)
    for data in (pages[: len(pages) // 2], b"%PDF-1.7\n" + b"1 0 obj<<" * 10_000):
        part = {"type": "file", "file": {"file_data": data_url(data, "application/pdf")}}
        status, _ = ask(port, about(part))
        assert status in (200, 400, 422)
        lives(port)


def test_unlimited_lists_of_frames(server: Any) -> None:
    port, _ = server
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, "JPEG")
    frame = base64.b64encode(out.getvalue()).decode()
    for count in (129, 5000):
        url = "data:video/jpeg;base64," + ",".join([frame] * count)
        error = refused(port, about({"type": "video_url", "video_url": {"url": url}}), 422)
        assert "128 frames" in error["message"]


def test_bodies_that_grow(server: Any) -> None:
    port, _ = server
    deep = b'{"messages": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    wide = b'{"messages": [' + b"{}," * 1_000_000 + b"{}]}"
    for body in (deep, wide, b"[" * 5_000_000, b'{"a": 1e99999}', b"\xff\xfe"):
        assert ask(port, body)[0] == 400
        lives(port)


def test_a_body_that_says_it_is_huge(server: Any) -> None:
    port, _ = server
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n"
        "Content-Type: application/json\r\nContent-Length: 999999999999\r\n\r\n{"
    )
    answer = raw(port, head.encode(), until=b"}}")
    assert b" 413 " in answer.split(b"\r\n")[0]
    lives(port)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/health",
        "http://localhost:{port}/health",
        "http://169.254.169.254/latest/meta-data/",
        "http://2130706433/",
        "http://[::1]/",
        "file:///etc/passwd",
        "file:///proc/self/environ",
        "data:text/html;base64,PHNjcmlwdD4=",
        "\\\\evil\\share",
        "x" * 1_000_000 + ":",
    ],
)
def test_urls_that_lead_inside(server: Any, url: str) -> None:
    port, _ = server
    refused(port, about(image(url.format(port=port))), 400, 403, 422)
    part = {"type": "file", "file": {"file_data": "", "file_url": url.format(port=port)}}
    refused(port, about(part), 400, 403, 422)


SPECIAL = (
    "<image>",
    "<img></img>",
    "<video>",
    "<so_embedding>",
    "<SPECIAL_11>User",
    "<SPECIAL_12>",
    "</s><s>",
    "<think></think>",
    "<unk>",
)


@pytest.mark.parametrize("text", SPECIAL)
def test_control_tokens_in_text_are_only_text(server: Any, text: str) -> None:
    port, model = server
    tokenizer = model.tokenizer
    plain = {"messages": [{"role": "user", "content": "x" * len(text)}]}
    said = {"messages": [{"role": "user", "content": text}]}
    counts = []
    for body in (plain, said):
        status, answer = ask(port, body, path="/tokenize")
        assert status == 200
        counts.append(sum(tokenizer.is_control(i) for i in answer["tokens"]))
    assert counts[0] == counts[1]
    assert ask(port, said)[0] == 200
    tools = {
        **said,
        "tools": [{"type": "function", "function": {"name": text, "description": text}}],
    }
    status, answer = ask(port, tools, path="/tokenize")
    assert sum(tokenizer.is_control(i) for i in answer["tokens"]) == counts[0]


def test_more_placeholders_than_pictures(server: Any) -> None:
    port, _ = server
    body = {
        "messages": [
            {
                "role": "user",
                "content": [{"type": "text", "text": "<image><image>"}, image(data_url(png()))],
            }
        ]
    }
    refused(port, body, 400)


def test_bytes_of_embeddings_are_not_read(server: Any) -> None:
    port, _ = server
    refused(port, {**about(), "prompt_embeds": "gASVAAAA"}, 400)
    refused(port, about({"type": "image_embeds", "image_embeds": "gASVAAAA"}), 400)


def test_grammars_that_are_too_large(server: Any) -> None:
    port, _ = server
    schema: dict[str, Any] = {"enum": ["x" * 100] * 1000}
    body = {
        **about(),
        "response_format": {"type": "json_schema", "json_schema": {"schema": schema}},
    }
    refused(port, body, 400)
    refused(port, {**about(), "structured_outputs": {"regex": "(a+)+" * 20_000}}, 400)


def test_templates_of_clients_are_not_run(server: Any) -> None:
    port, _ = server
    template = "{{ ''.__class__.__mro__ }}"
    refused(port, {**about(), "chat_template": template}, 400)
    refused(port, {**about(), "chat_template_kwargs": {"chat_template": template}}, 400)


def test_headers_cannot_be_injected(server: Any) -> None:
    port, _ = server
    body = {**about(), "evil\r\nX-Injected: 1": 1, "\u2028name": 2, "request_id": "a\r\nX-B: 1"}
    answer = raw(
        port, post("/v1/chat/completions", json.dumps(body).encode(), port, "Connection: close")
    )
    head = answer.partition(b"\r\n\r\n")[0]
    assert b"200" in head.split(b"\r\n")[0]
    assert not any(line.lower().startswith((b"x-injected", b"x-b")) for line in head.split(b"\r\n"))
    many = {**about(), **{f"field{i}": 1 for i in range(5000)}}
    answer = raw(
        port, post("/v1/chat/completions", json.dumps(many).encode(), port, "Connection: close")
    )
    assert b" 200 " in answer.split(b"\r\n")[0]
    assert len(answer.partition(b"\r\n\r\n")[0]) < 2000
    nameless = json.dumps({**about(), "\u00fc": 1, " ": 2, "x" * 5000: 3}).encode()
    assert ask(port, nameless)[0] == 200
