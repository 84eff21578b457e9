"""Rates, the page, logs, settings, keys, wire forms."""

from __future__ import annotations

import io
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from nanovl.core.errors import ConfigError
from nanovl.serve.auth import read_keys
from nanovl.serve.errors import ApiError
from nanovl.serve.logs import LineFormatter, setup_server_logging
from nanovl.serve.page import Page
from nanovl.serve.rates import Bucket, Rates
from nanovl.serve.settings import RequestLimits, ServeSettings
from tests.unit.serve.conftest import Serve


def test_a_bucket_refills_all_the_time() -> None:
    now = [0.0]
    bucket = Bucket(60, lambda: now[0])
    bucket.take(60)
    assert bucket.wait_s(1) == pytest.approx(1)
    now[0] = 30.0
    assert bucket.wait_s(30) == 0
    assert bucket.wait_s(31) == pytest.approx(1)
    bucket.take(100)  # an answer that was longer than expected: debt
    assert bucket.wait_s(1) == pytest.approx(71)
    now[0] = 10_000.0
    assert bucket.wait_s(10**9) == 0  # more than the bucket holds needs a full one


def test_keys_have_bounds_of_their_own() -> None:
    now = [0.0]
    rates = Rates(requests_per_minute=1, tokens_per_minute=100, max_uploads=1, clock=lambda: now[0])
    rates.request("a")
    rates.request("b")
    with pytest.raises(ApiError) as caught:
        rates.request("a")
    assert caught.value.headers["Retry-After"] == "60"
    rates.tokens("a", 150, check=False)
    now[0] = 60.0
    rates.request("a")
    now[0] = 119.9
    with pytest.raises(ApiError, match="requests per minute"):
        rates.request("a")
    with rates.upload("a"):
        with pytest.raises(ApiError, match="uploads"), rates.upload("a"):
            pass
        with rates.upload("b"):
            pass
    with rates.upload("a"):
        pass


@pytest.fixture
def web(tmp_path: Path) -> Path:
    root = tmp_path / "web"
    (root / "assets").mkdir(parents=True)
    (root / "index.html").write_text("<!doctype html><title>nanovl</title>")
    (root / "assets" / "app-1.js").write_text("1")
    (tmp_path / "secret.txt").write_text("secret")
    (root / "leak.txt").symlink_to(tmp_path / "secret.txt")
    return root


def test_the_page_needs_no_key_and_has_a_strict_policy(serve: Serve, web: Path) -> None:
    client = serve(web_root=web, api_keys=("k",)).client
    page = client.get("/")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe-eval" not in policy
    assert "http:" not in policy
    script = client.get("/assets/app-1.js")
    assert "javascript" in script.headers["content-type"]
    assert "immutable" in script.headers["cache-control"]
    again = client.get("/", headers={"If-None-Match": page.headers["etag"]})
    assert again.status_code == 304
    assert client.head("/").status_code == 200
    assert client.get("/v1/models").status_code == 401


@pytest.mark.parametrize(
    "path",
    [
        "/leak.txt",
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/assets/..%2f..%2fsecret.txt",
        "/assets/",
        "/assets",
        "//etc/passwd",
        "/index.html/x",
    ],
)
def test_only_files_of_the_page_are_served(serve: Serve, web: Path, path: str) -> None:
    answer = serve(web_root=web).client.get(path)
    assert answer.status_code == 404, answer.text
    assert "secret" not in answer.text
    assert serve(web_root=web, api_keys=("k",)).client.get(path).status_code == 401


def test_a_page_that_is_not_there_is_an_error(tmp_path: Path, serve: Serve) -> None:
    with pytest.raises(ConfigError, match=r"index\.html"):
        Page(tmp_path)
    assert serve().client.get("/").status_code == 404


def log(record_extra: dict[str, Any], message: str = "done", **options: Any) -> str:
    record = logging.LogRecord("nanovl.x", logging.INFO, "f", 1, message, None, None)
    vars(record).update(record_extra)
    return LineFormatter(**options).format(record)


def test_log_lines_cannot_be_forged() -> None:
    extra = {"path": "/a\nERROR fake", "n": 5, "text": 'x" y=1'}
    line = log(extra)
    assert "\n" not in line
    assert "n=5" in line
    value = json.loads(log(extra, as_json=True))
    assert value["path"] == "/a\nERROR fake"
    assert value["level"] == "info"
    assert value["message"] == "done"


def test_logging_goes_where_it_is_told_and_traces_are_kept() -> None:
    loggers = [logging.getLogger(n) for n in ("nanovl", "uvicorn", "asyncio")]
    before = [(g, g.handlers, g.level, g.propagate) for g in loggers]
    out = io.StringIO()
    try:
        setup_server_logging("warning", as_json=True, stream=out)
        logging.getLogger("nanovl.serve.x").info("quiet")
        try:
            raise ValueError("inside")
        except ValueError:
            logging.getLogger("nanovl.serve.x").exception("failed")
        (line,) = out.getvalue().splitlines()
        assert "ValueError: inside" in json.loads(line)["trace"]
        with pytest.raises(ConfigError):
            setup_server_logging("loud")
    finally:
        for logger, handlers, level, propagate in before:
            logger.handlers, logger.propagate = handlers, propagate
            logger.setLevel(level)


@pytest.mark.parametrize(
    "wrong",
    [
        {"port": 70000},
        {"model_names": ()},
        {"model_names": ("",)},
        {"api_keys": ("",)},
        {"allowed_origins": ("*", "https://a.org")},
        {"reasoning": "maybe"},
        {"reasoning_field": "thoughts"},
        {"sse_keep_alive_s": 0},
        {"max_queued_requests": 0},
        {"reasoning_budget": -1},
        {"shutdown_s": -1},
    ],
    ids=str,
)
def test_settings_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        ServeSettings(**wrong)
    with pytest.raises(ConfigError, match="max_body_bytes"):
        RequestLimits(max_body_bytes=0)


def test_loopback_is_recognised() -> None:
    assert all(ServeSettings(host=h).is_loopback for h in ("127.0.0.1", "::1", "localhost"))
    assert not ServeSettings(host="0.0.0.0").is_loopback


def test_keys_of_a_file() -> None:
    assert read_keys(["# mine", "", " a ", "b"]) == ("a", "b")
