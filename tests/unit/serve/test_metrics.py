"""Metrics under the names dashboards expect, and only ever rising."""

from __future__ import annotations

import re

import pytest

from nanovl.core.errors import ConfigError
from nanovl.serve.metrics import ENGINE_COUNTERS, ENGINE_GAUGES, HISTOGRAMS, Metrics
from tests.unit.serve.conftest import Serve, Served

LINE = re.compile(r"^([a-zA-Z_:][\w:]*)(\{.*\})? ([-+.\deE]+|NaN)$")
COUNTERS = ("request_success", "admission_rejections", "http_requests")


def samples(served: Served) -> dict[str, float]:
    """All samples; checks every line."""
    answer = served.client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = {}
    for line in answer.text.splitlines():
        if line.startswith("#"):
            continue
        match = LINE.match(line)
        assert match, line
        found[match.group(1) + (match.group(2) or "")] = float(match.group(3))
    return found


def test_names_and_labels(serve: Serve) -> None:
    served = serve(metrics_prefix="vllm", model_names=("mini",))
    served.chat()
    names = {name.split("{")[0] for name in samples(served)}
    for gauge in ENGINE_GAUGES:
        assert f"vllm:{gauge}" in names
    for counter in (*ENGINE_COUNTERS, *COUNTERS):
        assert f"vllm:{counter}_total" in names
    for histogram in (*HISTOGRAMS, "iteration_tokens_total"):
        assert {f"vllm:{histogram}_{p}" for p in ("bucket", "sum", "count")} <= names
    assert "vllm:cache_config_info" in names
    assert all('model_name="mini"' in name for name in samples(served) if "{" in name)


def test_tokens_of_steps_are_a_histogram(serve: Serve) -> None:
    found = samples(serve(metrics_prefix="vllm", model_names=("mini",)))
    name = "vllm:iteration_tokens_total"
    assert found[f'{name}_count{{model_name="mini"}}'] == 3
    assert found[f'{name}_sum{{model_name="mini"}}'] == 42
    by_bound = {b: found[f'{name}_bucket{{le="{b}",model_name="mini"}}'] for b in (1.0, 20.0, 50.0)}
    assert by_bound == {1.0: 2, 20.0: 2, 50.0: 3}


def test_counts_rise_with_requests(serve: Serve) -> None:
    served = serve()
    served.chat()
    before = samples(served)
    served.chat(n=2, max_tokens=9)
    served.chat(stream=True)
    served.chat(temperature="x")
    after = samples(served)

    def rise(name: str) -> float:
        return sum(v for k, v in after.items() if k.startswith(name)) - sum(
            v for k, v in before.items() if k.startswith(name)
        )

    assert rise("nanovl:request_success_total") == 3
    assert rise("nanovl:time_to_first_token_seconds_count") == 2
    assert rise("nanovl:e2e_request_latency_seconds_count") == 2
    assert rise("nanovl:request_params_n_sum") == 3
    assert rise("nanovl:inter_token_latency_seconds_count") == 3
    assert (
        after[
            'nanovl:http_requests_total{model_name="nanovl",path="/v1/chat/completions",'
            'status="400"}'
        ]
        == 1
    )
    for name, value in before.items():
        if name.split("{")[0].endswith(("_total", "_count", "_bucket", "_sum")):
            assert after[name] >= value, name


def test_unknown_paths_share_one_label(serve: Serve) -> None:
    served = serve()
    for number in range(5):
        served.client.get(f"/x{number}")
    paths = {k for k in samples(served) if k.startswith("nanovl:http_requests_total")}
    assert sum("other" in p for p in paths) == 1
    assert not any("/x" in p for p in paths)


def test_nothing_is_kept_of_requests_that_ended(serve: Serve) -> None:
    served = serve()
    for _ in range(5):
        served.chat(n=3, stream=True)
    assert not served.service.metrics._last
    assert not served.service.metrics._begun
    assert not served.service.running


def test_the_prefix_must_be_a_name() -> None:
    with pytest.raises(ConfigError, match="prefix"):
        Metrics("a b", "m", lambda: None)
