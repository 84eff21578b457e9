"""Each error row, who may call, and what every response carries."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nanovl.core.errors import CapacityError
from nanovl.serve.app import create_app
from nanovl.serve.errors import TYPES
from tests.unit.serve.conftest import Serve
from tests.unit.serve.fakes import FakeNanoVL, FakeRequest, words

MESSAGES = [{"role": "user", "content": "hi"}]
TOOL = {"type": "function", "function": {"name": "add"}}
KEYS = {"api_keys": ("secret-key", "other-key")}


def shape(answer: Any, status: int) -> dict[str, Any]:
    """The error of an answer; checks its form."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert body["error"]["type"] == TYPES[status]
    assert isinstance(body["error"]["code"], str)
    assert 0 < len(body["error"]["message"]) <= 1000
    assert answer.headers["x-request-id"]
    error: dict[str, Any] = body["error"]
    return error


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": [5]}, "messages.0"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user"}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": []}]}, "messages.0.content"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"temperature": 2.5}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"top_k": 1.5}, "top_k"),
        ({"min_p": 1}, "min_p"),
        ({"n": 0}, "n"),
        ({"n": 9}, "n"),
        ({"n": 10**30}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_completion_tokens": "many"}, "max_completion_tokens"),
        ({"stop": ["a"] * 5}, "stop"),
        ({"stop": [""]}, "stop"),
        ({"stop": "x" * 300}, "stop"),
        ({"stop": 5}, "stop"),
        ({"logit_bias": {"999999": 1}}, "logit_bias"),
        ({"logit_bias": {"x": 1}}, "logit_bias"),
        ({"logit_bias": {"1": 101}}, "logit_bias.1"),
        ({"logit_bias": {str(i): 1 for i in range(301)}}, "logit_bias"),
        ({"stop_token_ids": [999999]}, "stop_token_ids"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"prompt_logprobs": 1, "stream": True}, "prompt_logprobs"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"response_format": {"type": "yaml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"schema": {"x": "y" * 70000}},
                }
            },
            "response_format.json_schema.schema",
        ),
        ({"structured_outputs": {"json": {}, "regex": "a"}}, "structured_outputs"),
        ({"structured_outputs": {}}, "structured_outputs"),
        ({"structured_outputs": {"yaml": 1}}, "structured_outputs"),
        ({"guided_json": {}}, "guided_json"),
        ({"tools": []}, "tools"),
        ({"tools": [TOOL] * 129}, "tools"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools.0.function.name"),
        ({"tools": [{"type": "browser"}]}, "tools.0.type"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": "maybe"}, "tool_choice"),
        (
            {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "sub"}}},
            "tool_choice",
        ),
        (
            {
                "tools": [TOOL],
                "tool_choice": {"type": "function", "function": {"name": "add"}},
                "structured_outputs": {"regex": "a"},
            },
            "structured_outputs",
        ),
        ({"mm_processor_kwargs": {"max_num_tiles": 0}}, "mm_processor_kwargs.max_num_tiles"),
        ({"mm_processor_kwargs": {"use_thumbnail": 3}}, "mm_processor_kwargs.use_thumbnail"),
        (
            {"mm_processor_kwargs": {"video_pruning_rate": 1}},
            "mm_processor_kwargs.video_pruning_rate",
        ),
        ({"media_io_kwargs": {"video": {"fps": "x"}}}, "media_io_kwargs.video.fps"),
        ({"media_io_kwargs": {"video": {"num_frames": 0}}}, "media_io_kwargs.video.num_frames"),
        ({"priority": 1}, "priority"),
        ({"cache_salt": "a/b"}, "cache_salt"),
        ({"cache_salt": "x" * 200}, "cache_salt"),
        ({"audio": {"voice": "x"}}, "audio"),
        ({"modalities": ["audio"]}, "modalities"),
        ({"functions": []}, "functions"),
        ({"function_call": "auto"}, "function_call"),
        ({"prediction": {}}, "prediction"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"chat_template": "{{ 1 }}"}, "chat_template"),
        ({"add_generation_prompt": False}, "add_generation_prompt"),
        ({"continue_final_message": True}, "continue_final_message"),
        (
            {"continue_final_message": True, "add_generation_prompt": True},
            "continue_final_message",
        ),
    ],
    ids=lambda v: str(v)[:60],
)
def test_wrong_values_are_400_and_named(serve: Serve, fields: dict[str, Any], param: str) -> None:
    served = serve()
    answer = served.client.post("/v1/chat/completions", json={"messages": MESSAGES, **fields})
    error = shape(answer, 400)
    assert error["param"] is not None
    assert error["param"].startswith(param), error
    assert not served.model.engine.streams
    assert served.chat().status_code == 200


def test_what_the_engine_refuses_is_400_too(serve: Serve) -> None:
    served = serve(context_length=128)
    schema = {"type": "json_schema", "json_schema": {"schema": {"bad": 1}}}
    shape(served.chat(response_format=schema), 400)
    error = shape(served.chat("x" * 500), 400)
    assert error["code"] == "context_length_exceeded"
    assert "limit 128" in error["message"]
    error = shape(served.chat(max_tokens=10_000), 400)
    assert error["code"] == "context_length_exceeded"


def test_other_rows_of_the_table(serve: Serve) -> None:
    served = serve(**KEYS)
    client = served.client
    url = "/v1/chat/completions"
    key = {"Authorization": "Bearer secret-key"}
    answer = client.post(url, json={"messages": MESSAGES})
    assert shape(answer, 401)["code"] == "invalid_api_key"
    assert answer.headers["www-authenticate"] == "Bearer"
    answer = client.post(url, json={"messages": MESSAGES, "model": "gpt-9"}, headers=key)
    assert shape(answer, 404)["code"] == "model_not_found"
    shape(client.get("/v1/models/gpt-9", headers=key), 404)
    shape(client.get("/nowhere", headers=key), 404)
    shape(client.get(url, headers=key), 405)
    answer = client.post(url, content=b"{}", headers={**key, "Content-Type": "text/plain"})
    shape(answer, 415)
    answer = client.post(url, content=b"{", headers={**key, "Content-Type": "application/json"})
    shape(answer, 400)
    shape(client.post(url, content=b"x" * (1 << 20), headers=key), 415)


def test_bodies_that_are_too_large(serve: Serve) -> None:
    from nanovl.serve.settings import RequestLimits

    served = serve(limits=RequestLimits(max_body_bytes=1000))
    shape(served.chat("x" * 2000), 413)

    def chunks() -> Any:
        for _ in range(100):
            yield b" " * 100

    headers = {"Content-Type": "application/json"}
    answer = served.client.post("/v1/chat/completions", content=chunks(), headers=headers)
    shape(answer, 413)


def test_full_queues_are_503_with_a_time_to_wait(serve: Serve) -> None:
    served = serve()
    served.model.engine.full = True
    answer = served.chat()
    shape(answer, 503)
    assert int(answer.headers["retry-after"]) > 0
    served.model.engine.full = False
    served.model.engine.alive = False
    shape(served.chat(), 503)
    assert served.client.get("/health").status_code == 503
    served.model.engine.alive = True
    served.service.draining = True
    shape(served.chat(), 503)
    for path in ("/health", "/ready", "/v1/health"):
        assert served.client.get(path).status_code == 503
    assert "admission_rejections_total" in served.client.get("/metrics").text


def test_memory_that_ran_out_is_503(serve: Serve) -> None:
    def full(request: FakeRequest) -> list[Any]:
        del request
        return [CapacityError("no memory for 9 tokens")]

    shape(serve(full).chat(), 503)


def test_a_bug_is_a_plain_500_and_the_log_has_the_trace(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    served = serve()

    def broken(*args: Any, **options: Any) -> Any:
        raise ZeroDivisionError("secret detail in /home/me/x.py")

    served.model.plan = broken  # type: ignore[method-assign]
    answer = served.client.post(
        "/v1/chat/completions", json={"messages": MESSAGES}, headers={"X-Request-Id": "find-me"}
    )
    error = shape(answer, 500)
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    assert "find-me" in error["message"]
    failures = [r for r in caplog.records if r.name == "nanovl.serve.failures"]
    assert len(failures) == 1
    assert "find-me" in failures[0].getMessage()
    assert failures[0].exc_info


def test_rates_are_429_with_a_time_to_wait(serve: Serve) -> None:
    served = serve(requests_per_minute=2)
    assert [served.chat().status_code for _ in range(3)] == [200, 200, 429]
    answer = served.chat()
    assert shape(answer, 429)["code"] == "rate_limit_exceeded"
    assert 1 <= int(answer.headers["retry-after"]) <= 30
    tokens = serve(tokens_per_minute=60)
    assert [tokens.chat().status_code for _ in range(2)] == [200, 429]


def test_waiting_requests_are_counted(serve: Serve) -> None:
    import threading

    release = threading.Event()

    def waiting(request: FakeRequest) -> list[Any]:
        return [lambda stream: release.wait(10), *words(request, "x")]

    served = serve(waiting, max_queued_requests=1)
    results: list[int] = []
    thread = threading.Thread(target=lambda: results.append(served.chat().status_code))
    thread.start()
    from tests.unit.serve.fakes import wait_for

    assert wait_for(lambda: len(served.model.engine.streams) == 1)
    assert served.client.get("/load").json() == {"server_load": 1}
    shape(served.chat(), 503)
    release.set()
    thread.join(10)
    assert results == [200]


# --- who may call -----------------------------------------------------------------------------


def routes() -> list[tuple[str, str]]:
    """Every method and path there is."""
    app = create_app(FakeNanoVL())
    found = []
    for path, methods in app.openapi()["paths"].items():
        filled = path.replace("{", "").replace("}", "")
        found += [(method.upper(), filled) for method in methods]
    return [*found, ("GET", "/openapi.json")]


@pytest.mark.parametrize(("method", "path"), routes())
def test_every_route_needs_a_key(serve: Serve, method: str, path: str) -> None:
    served = serve(**KEYS)
    for headers in (
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer "},
        {"Authorization": "Basic secret-key"},
        {"Authorization": "secret-key"},
        {"Authorization": "Bearer secret-key2"},
        {"X-Api-Key": "wrong"},
    ):
        answer = served.client.request(method, path, headers=headers)
        shape(answer, 401)
    for headers in (
        {"Authorization": "Bearer secret-key"},
        {"Authorization": "bearer other-key"},
        {"X-Api-Key": "other-key"},
    ):
        assert served.client.request(method, path, headers=headers).status_code != 401


def test_health_needs_no_key_and_metrics_have_a_switch(serve: Serve) -> None:
    client = serve(**KEYS).client
    for path in ("/health", "/ready", "/v1/health"):
        assert client.get(path).status_code == 200
        assert client.get(path).content == b""
    assert serve(**KEYS, protect_metrics=False).client.get("/metrics").status_code == 200


def test_there_is_no_documentation_page_with_foreign_scripts(serve: Serve) -> None:
    client = serve().client
    for path in ("/docs", "/redoc"):
        assert client.get(path).status_code == 404


@pytest.mark.parametrize("host", ["evil.example.org", "127.0.0.1.evil.org", "", "[::2]:80"])
def test_foreign_host_names_are_refused_on_loopback(serve: Serve, host: str) -> None:
    client = serve().client
    shape(client.get("/v1/models", headers={"Host": host}), 403)
    for good in ("127.0.0.1", "localhost:99", "[::1]:8000", "LOCALHOST"):
        assert client.get("/v1/models", headers={"Host": good}).status_code == 200
    open_to_all = serve(allowed_hosts=("*",)).client
    assert open_to_all.get("/v1/models", headers={"Host": "x.org"}).status_code == 200
    named = serve(allowed_hosts=("gate.example.org",)).client
    assert named.get("/v1/models", headers={"Host": "gate.example.org"}).status_code == 200


def test_browsers_of_other_origins_are_kept_out(serve: Serve) -> None:
    served = serve()
    post = {"json": {"messages": MESSAGES}}
    url = "/v1/chat/completions"
    for origin in ("https://evil.org", "null", "http://127.0.0.1:9999"):
        shape(served.client.post(url, **post, headers={"Origin": origin}), 403)
        answer = served.client.get("/v1/models", headers={"Origin": origin})
        assert "access-control-allow-origin" not in answer.headers
        preflight = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        assert served.client.options(url, headers=preflight).status_code == 403
    same = {"Origin": "http://127.0.0.1:8000"}
    assert served.client.post(url, **post, headers=same).status_code == 200
    allowed = serve(allowed_origins=("https://chat.example.org",)).client
    headers = {"Origin": "https://chat.example.org"}
    answer = allowed.post(url, **post, headers=headers)
    assert answer.headers["access-control-allow-origin"] == "https://chat.example.org"
    assert "access-control-allow-credentials" not in answer.headers
    answer = allowed.options(url, headers={**headers, "Access-Control-Request-Method": "POST"})
    assert answer.status_code == 204
    assert "Authorization" in answer.headers["access-control-allow-headers"]
    anyone = serve(allowed_origins=("*",)).client.get("/v1/models", headers=headers)
    assert anyone.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in anyone.headers


def test_preflights_need_no_key(serve: Serve) -> None:
    client = serve(**KEYS, allowed_origins=("https://a.org",)).client
    headers = {"Origin": "https://a.org", "Access-Control-Request-Method": "POST"}
    assert client.options("/v1/chat/completions", headers=headers).status_code == 204


# --- every response ---------------------------------------------------------------------------


def test_request_ids_are_taken_over_when_they_are_harmless(serve: Serve) -> None:
    client = serve().client
    answer = client.get("/v1/models", headers={"X-Request-Id": "abc-1"})
    assert answer.headers["x-request-id"] == "abc-1"
    for bad in ("a b", "x" * 200, "a\tb", "<script>"):
        answer = client.get("/v1/models", headers={"X-Request-Id": bad})
        assert answer.headers["x-request-id"] != bad
    answer = client.post("/v1/chat/completions", json={"messages": MESSAGES, "request_id": "mine"})
    assert answer.json()["id"] == "chatcmpl-mine"


def test_security_headers_are_on_every_response(serve: Serve) -> None:
    client = serve(**KEYS).client
    for path in ("/health", "/v1/models", "/nowhere"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert "server" not in headers


def test_prompts_do_not_reach_the_log(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    import logging

    with caplog.at_level(logging.DEBUG, logger="nanovl"):
        serve().chat("my secret question")
        serve().chat("my secret question", temperature="secret value")
    assert caplog.records
    said = " ".join(str(vars(r)) for r in caplog.records if r.name.startswith("nanovl"))
    assert "secret" not in said
    assert "Hello world" not in said


def test_models_tell_what_clients_need(serve: Serve) -> None:
    client = serve(model_names=("mini", "alias")).client
    body = client.get("/v1/models").json()
    assert body["object"] == "list"
    assert [m["id"] for m in body["data"]] == ["mini", "alias"]
    one = body["data"][0]
    assert one["max_model_len"] == 4096
    assert one["input_modalities"] == ["text", "image", "video", "pdf"]
    assert client.get("/v1/models/alias").json()["id"] == "alias"
    assert set(client.get("/version").json()) == {"version"}


def test_the_description_names_all_bodies(serve: Serve) -> None:
    schema = serve().client.get("/openapi.json").json()
    text = json.dumps(schema)
    known = schema["components"]["schemas"]
    for reference in set(__import__("re").findall(r"#/components/schemas/(\w+)", text)):
        assert reference in known
    assert "messages" in known["ChatRequest"]["properties"]
