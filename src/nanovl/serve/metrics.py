"""Prometheus metrics under vLLM's names, with the prefix the operator chose.

Counts what the server sees and reads the engine's own counters when somebody asks. One registry
per application, so that two of them in a process do not mix.

Source: serving specification, section 1.1.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from nanovl.core.errors import ConfigError
from nanovl.core.generation import Delta, Generation
from nanovl.serve.errors import ApiError
from nanovl.serve.tickets import Ticket

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    20.0,
    40.0,
    80.0,
    160.0,
    640.0,
    2560.0,
)
TOKEN_SECONDS = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.075,
    0.1,
    0.15,
    0.2,
    0.3,
    0.4,
    0.5,
    0.75,
    1.0,
    2.5,
    5.0,
    10.0,
)
TOKENS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 131072)
FEW = (1, 2, 4, 8, 16)

HISTOGRAMS: dict[str, tuple[str, tuple[float, ...]]] = {
    "time_to_first_token_seconds": ("From arrival to the first token.", SECONDS),
    "inter_token_latency_seconds": ("Between pieces of an answer.", TOKEN_SECONDS),
    "request_time_per_output_token_seconds": ("Decoding time per token.", TOKEN_SECONDS),
    "e2e_request_latency_seconds": ("From arrival to the end.", SECONDS),
    "request_queue_time_seconds": ("Waiting for the engine.", SECONDS),
    "request_prefill_time_seconds": ("Language model over the prompt.", SECONDS),
    "request_decode_time_seconds": ("From the first token to the last.", SECONDS),
    "request_inference_time_seconds": ("Prefill and decoding.", SECONDS),
    "request_prompt_tokens": ("Tokens of a prompt.", TOKENS),
    "request_generation_tokens": ("Tokens of an answer.", TOKENS),
    "request_params_max_tokens": ("Longest answer asked for.", TOKENS),
    "request_params_n": ("Answers asked for.", FEW),
}
# Engine counters: name here -> name in the engine's statistics.
ENGINE_COUNTERS = {
    "prompt_tokens": "prompt_tokens",
    "prompt_tokens_cached": "cached_tokens",
    "generation_tokens": "generation_tokens",
    "num_preemptions": "preemptions",
    "prefix_cache_queries": "prefix_queries",
    "prefix_cache_hits": "prefix_hits",
    "mm_cache_queries": "media_queries",
    "mm_cache_hits": "media_hits",
    "reasoning_tokens": "reasoning_tokens",
    "reasoning_budget_forced": "budgets_forced",
    "evs_tokens_dropped": "evs_tokens_dropped",
}
ENGINE_GAUGES = {
    "num_requests_running": "running",
    "num_requests_waiting": "waiting",
    "kv_cache_usage_perc": "kv_usage",
    "mamba_state_slots_used": "running",
    "mamba_snapshots": "snapshots",
}


class Metrics:
    """Counters and histograms of one application.

    Args:
        prefix: In front of every name.
        model: Value of the label `model_name`.
        stats: The engine's statistics; called when metrics are read.
        config: Shown as `cache_config_info`.

    Raises:
        ConfigError: The prefix is no name.
    """

    def __init__(
        self,
        prefix: str,
        model: str,
        stats: Callable[[], Any],
        config: dict[str, str] | None = None,
    ) -> None:
        if not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", prefix):
            raise ConfigError(f"metrics prefix {prefix!r}: expected letters, digits and _")
        self._registry = CollectorRegistry()
        self._model = model

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(
                f"{prefix}:{name}", text, ("model_name", *labels), registry=self._registry
            )

        self._success = counter("request_success", "Answered requests.", "finished_reason")
        self._rejected = counter("admission_rejections", "Requests refused for lack of room.")
        self._http = counter("http_requests", "Responses.", "path", "status")
        self._fetch = counter("media_fetch_failures", "Media that could not be had.", "reason")
        self._rejected.labels(model)
        self._histograms = {
            name: Histogram(
                f"{prefix}:{name}",
                text,
                ("model_name",),
                registry=self._registry,
                buckets=buckets,
            ).labels(model)
            for name, (text, buckets) in HISTOGRAMS.items()
        }
        labelled = {
            "encoder_seconds": "Vision encoder.",
            "media_decode_seconds": "Decoding media.",
        }
        self._media = {
            name: Histogram(
                f"{prefix}:{name}",
                text,
                ("model_name", "modality"),
                registry=self._registry,
                buckets=SECONDS,
            )
            for name, text in labelled.items()
        }
        self._last: dict[tuple[Ticket, int], float] = {}
        self._begun: set[Ticket] = set()
        self._registry.register(_EngineCollector(prefix, model, stats, config or {}))

    def text(self) -> bytes:
        """Everything, as Prometheus reads it."""
        return generate_latest(self._registry)

    # --- told by the server ---------------------------------------------------------------------

    def response(self, path: str, status: int) -> None:
        """A response was sent."""
        self._http.labels(self._model, path, str(status)).inc()

    def refused(self) -> None:
        """A request found no room."""
        self._rejected.labels(self._model).inc()

    def media_failed(self, reason: str) -> None:
        """Media could not be fetched or used."""
        self._fetch.labels(self._model, reason).inc()

    def admitted(self, prompt_tokens: int, max_tokens: int, answers: int) -> None:
        """A request goes to the engine."""
        self._histograms["request_prompt_tokens"].observe(prompt_tokens)
        self._histograms["request_params_max_tokens"].observe(max_tokens)
        self._histograms["request_params_n"].observe(answers)

    def piece(self, ticket: Ticket, piece: Delta) -> None:
        """A piece of an answer came."""
        if not piece.token_ids and piece.generation is None:
            return
        now = time.perf_counter()
        before = self._last.get((ticket, piece.index))
        if before is not None and piece.token_ids:
            self._histograms["inter_token_latency_seconds"].observe(now - before)
        elif before is None and ticket not in self._begun:
            self._histograms["time_to_first_token_seconds"].observe(now - ticket.submitted_at)
        self._begun.add(ticket)
        self._last[ticket, piece.index] = now

    def ended(self, ticket: Ticket, error: ApiError | None) -> None:
        """A request is over."""
        self._begun.discard(ticket)
        for index in range(ticket.answers):
            self._last.pop((ticket, index), None)
        if error is not None:
            if error.status in (403, 422, 502):
                self.media_failed(error.code)
            return
        for generation in ticket.generations.values():
            self._success.labels(self._model, generation.finish_reason).inc()
            self._observe(generation)
        if ticket.generations:
            elapsed = time.perf_counter() - ticket.submitted_at
            self._histograms["e2e_request_latency_seconds"].observe(elapsed)

    def _observe(self, done: Generation) -> None:
        times, usage = done.timings, done.usage
        seen = self._histograms
        seen["request_generation_tokens"].observe(usage.completion_tokens)
        seen["request_queue_time_seconds"].observe(times.queue_s)
        seen["request_prefill_time_seconds"].observe(times.prefill_s)
        seen["request_decode_time_seconds"].observe(times.decode_s)
        seen["request_inference_time_seconds"].observe(times.prefill_s + times.decode_s)
        if usage.completion_tokens > 1:
            per_token = times.decode_s / (usage.completion_tokens - 1)
            seen["request_time_per_output_token_seconds"].observe(per_token)
        if done.index == 0:
            for modality in sorted({str(row.get("kind", "image")) for row in done.media}):
                self._media["encoder_seconds"].labels(self._model, modality).observe(times.encode_s)
                self._media["media_decode_seconds"].labels(self._model, modality).observe(
                    times.media_s
                )


class _EngineCollector(Collector):
    """The engine's statistics, read at the moment somebody asks."""

    def __init__(
        self, prefix: str, model: str, stats: Callable[[], Any], config: dict[str, str]
    ) -> None:
        self._prefix = prefix
        self._model = model
        self._stats = stats
        self._config = config

    def collect(self) -> Iterable[Metric]:
        """All families."""
        stats = self._stats()
        labels = [self._model]
        for name, source in ENGINE_GAUGES.items():
            gauge = GaugeMetricFamily(f"{self._prefix}:{name}", source, labels=["model_name"])
            gauge.add_metric(labels, float(getattr(stats, source)))
            yield gauge
        reasons = GaugeMetricFamily(
            f"{self._prefix}:num_requests_waiting_by_reason",
            "Requests that wait, by reason.",
            labels=["model_name", "reason"],
        )
        reasons.add_metric([self._model, "capacity"], float(stats.waiting))
        yield reasons
        for name, source in ENGINE_COUNTERS.items():
            counter = CounterMetricFamily(f"{self._prefix}:{name}", source, labels=["model_name"])
            counter.add_metric(labels, float(getattr(stats, source)))
            yield counter
        sizes = HistogramMetricFamily(
            f"{self._prefix}:iteration_tokens_total", "Tokens of a step.", labels=["model_name"]
        )
        known = stats.step_sizes
        buckets = [(str(float(b)), sum(n for k, n in known.items() if k <= b)) for b in TOKENS]
        buckets.append(("+Inf", sum(known.values())))
        sizes.add_metric(labels, buckets, sum(k * n for k, n in known.items()))
        yield sizes
        info = InfoMetricFamily(
            f"{self._prefix}:cache_config", "How the cache is set up.", labels=["model_name"]
        )
        info.add_metric(labels, self._config)
        yield info
