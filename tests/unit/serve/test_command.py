"""`nanovl serve`: flags become settings, and every setting is explained."""

from __future__ import annotations

import dataclasses
import socket
from pathlib import Path
from typing import Any

import pytest

from nanovl.cli import serve as command
from nanovl.core.errors import ConfigError
from nanovl.serve.runtime import bind, media_limits, url_of
from nanovl.serve.settings import RequestLimits, ServeSettings

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "config.md"


def settings(given: dict[str, Any] | None = None, **extra: Any) -> Any:
    return command.server_settings(
        given or {}, extra, "tiny", device="cpu", dtype="auto", quant=None, transcriber=None
    )


@pytest.mark.parametrize("kind", [ServeSettings, RequestLimits])
def test_every_setting_is_documented(kind: type) -> None:
    page = PAGE.read_text(encoding="utf-8")
    missing = [f.name for f in dataclasses.fields(kind) if f"`{f.name}`" not in page]
    assert not missing


def test_words_reach_their_objects() -> None:
    chosen, model = settings(
        {"model_names": ["a"], "engine": {"max_slots": 4}},
        sse_queue=7,
        limits={"max_n": 3},
        media={"max_pages": 5},
        engine={"kv_tokens": 4096},
        processor={"max_num_tiles": 6},
    )
    assert chosen.model_names == ("a",)
    assert chosen.sse_queue == 7
    assert chosen.limits.max_n == 3
    assert model.engine == {"max_slots": 4, "kv_tokens": 4096}
    assert model.processor == {"max_num_tiles": 6}
    assert media_limits(chosen, model.limits).max_pages == 5


@pytest.mark.parametrize(
    "wrong",
    [
        {"sse_quue": 1},
        {"limits": {"max_m": 1}},
        {"limits": 5},
        {"media": {"max_page": 1}},
        {"media": {"max_pages": "many"}},
        {"processor": {"max_num_tiles": 0}},
        {"processor": {"tiles": 1}},
        {"sse_queue": 0},
    ],
    ids=str,
)
def test_unknown_and_wrong_settings_are_errors_before_anything_is_loaded(wrong: Any) -> None:
    with pytest.raises(ConfigError):
        settings(**wrong)


def test_flags_of_other_servers() -> None:
    assert command._thinking('{"enable_thinking": true, "thinking_budget": 5}') == {
        "reasoning": "on",
        "reasoning_budget": 5,
    }
    assert command._counts('{"image": 3, "document": 1}') == {"max_images": 3, "max_documents": 1}
    assert command._processor(
        '{"video": {"num_frames": 8, "fps": 1}}', '{"max_num_tiles": 4}', 0.5
    ) == {"max_frames": 8, "video_fps": 1, "max_num_tiles": 4, "video_pruning_rate": 0.5}
    for call in (
        lambda: command._thinking("{"),
        lambda: command._thinking('{"style": 1}'),
        lambda: command._counts('{"smell": 1}'),
        lambda: command._processor('{"audio": {}}', None, None),
        lambda: command._processor('{"video": 5}', None, None),
    ):
        with pytest.raises(ConfigError):
            call()


def test_keys_come_from_flags_a_file_and_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "keys"
    file.write_text("# comment\nb\n")
    monkeypatch.setenv("NANOVL_API_KEY", "c")
    assert command._keys(["a"], file) == ["a", "b", "c"]
    file.write_text("")
    with pytest.raises(ConfigError, match="no key"):
        command._keys([], file)
    with pytest.raises(ConfigError, match="cannot be read"):
        command._keys([], tmp_path / "none")


def test_limits_of_strangers(tmp_path: Path) -> None:
    closed = media_limits(ServeSettings())
    assert closed.allowed_roots == ()
    assert closed.allow_remote
    opened = media_limits(
        ServeSettings(media_root=tmp_path, upload_root=tmp_path / "u", allow_remote_media=False)
    )
    assert opened.allowed_roots == (tmp_path, tmp_path / "u")
    assert not opened.allow_remote


def test_addresses() -> None:
    with bind("127.0.0.1", 0) as bound:
        port = bound.getsockname()[1]
        chosen = ServeSettings(root_path="/ai")
        assert url_of(chosen, bound, None) == f"http://127.0.0.1:{port}/ai"
        bound.listen()
        with pytest.raises(ConfigError, match=str(port)):
            bind("127.0.0.1", port)
    one = bind("127.0.0.1", 0, shared=True)
    with one, bind("127.0.0.1", one.getsockname()[1], shared=True) as two:
        assert two.getsockname() == one.getsockname()
    with pytest.raises(ConfigError):
        bind("no.such.host.invalid", 0)
    assert isinstance(bound, socket.socket)
