"""What an operator decides about the server: one frozen object, checked when it is made.

Reads no file and no environment variable; the command line fills it in.

Source: serving specification, sections 1.2 and 16.2.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from nanovl.core.errors import ConfigError

__all__ = ["RequestLimits", "ServeSettings"]

MIB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class RequestLimits:
    """How large a request may be. More is refused before any work.

    Attributes:
        max_body_bytes: Bytes of a JSON body.
        max_json_depth: Nesting of objects and lists.
        max_json_values: Values of a body, so that it cannot grow when it is parsed.
        max_header_bytes, max_headers: All headers together.
        max_messages: Messages of one request.
        max_parts: Parts of one message.
        max_images, max_videos, max_audios, max_documents: Media parts of one request.
        max_n: Answers to one prompt.
        max_stops, max_stop_chars: Stop strings.
        max_logit_bias: Biased tokens.
        max_tools: Tools of one request.
        max_tool_bytes, max_schema_bytes: One tool, one schema, as JSON.
        max_prompts: Prompts of one `/v1/completions` request.
        body_s: Seconds a client has to send a body.
        media_s: Seconds for fetching and opening all media of a request.
    """

    max_body_bytes: int = 64 * MIB
    max_json_depth: int = 64
    max_json_values: int = 500_000
    max_header_bytes: int = 16 << 10
    max_headers: int = 64
    max_messages: int = 64
    max_parts: int = 64
    max_images: int = 64
    max_videos: int = 4
    max_audios: int = 4
    max_documents: int = 8
    max_n: int = 8
    max_stops: int = 4
    max_stop_chars: int = 256
    max_logit_bias: int = 300
    max_tools: int = 128
    max_tool_bytes: int = 64 << 10
    max_schema_bytes: int = 64 << 10
    max_prompts: int = 16
    body_s: float = 120.0
    media_s: float = 120.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value <= 0:
                raise ConfigError(f"server limit {name}: got {value}, expected more than 0")


@dataclass(frozen=True, kw_only=True)
class ServeSettings:
    """How the server behaves.

    Attributes:
        host, port: Where it listens.
        model_names: Names clients may ask for; the first one is reported.
        api_keys: Accepted keys; none leaves the server open.
        protect_metrics: Whether `/metrics` needs a key too.
        allowed_hosts: Names a `Host` header may carry besides loopback names; `*` is any. None
            checks on loopback addresses only.
        allowed_origins: Origins browsers may call from; none is the server's own page.
        root_path: Path prefix a proxy removes.
        web_root: Folder of the web page; None serves none.
        allow_remote_media: Whether `http(s)` media is fetched (public addresses only).
        allowed_media_domains: When given, the only hosts media is fetched from.
        media_root: Folder below which `file:` URLs may be opened; None allows none.
        reasoning: What happens when a request says nothing: "off", "on", or "auto" (`/think`).
        reasoning_budget: Budget of requests that name none; None is unlimited.
        default_max_tokens: Tokens of requests that name none; None is the rest of the context.
        reasoning_field: Which of the two fields carries reasoning, or "both".
        priorities: Whether requests may carry a priority.
        cache_per_key: Whether keys have prefix caches of their own, so that nobody can find out
            by timing what others ask.
        max_request_s: Longest time for one request, and the default deadline; None is no bound.
        sse_keep_alive_s: Seconds of silence after which a stream gets a comment line.
        sse_queue: Pieces that may wait for a slow reader before it is cut off.
        max_queued_requests, max_queued_tokens: Requests, and tokens of their prompts, that may
            wait for their first token.
        media_threads: Threads that plan prompts and open media.
        max_planning: Requests that may wait for those threads.
        max_uploads: Large bodies and files one key may send at once.
        requests_per_minute, tokens_per_minute: Bounds per key; None is no bound.
        upload_root: Folder of `/v1/files`; None switches it off.
        upload_quota_bytes, upload_max_bytes, upload_ttl_s: Bytes of all files, of one file, and
            how long a file is kept.
        stored_responses: Answers of `/v1/responses` that are remembered.
        metrics_prefix: In front of the names of metrics.
        shutdown_s: Seconds running requests get when the server is told to stop.
        drain_s: Seconds `/health` says 503 before the server stops listening.
        limits: Sizes of requests.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    model_names: tuple[str, ...] = ("nanovl",)
    api_keys: tuple[str, ...] = ()
    protect_metrics: bool = True
    allowed_hosts: tuple[str, ...] | None = None
    allowed_origins: tuple[str, ...] = ()
    root_path: str = ""
    web_root: Path | None = None
    allow_remote_media: bool = True
    allowed_media_domains: tuple[str, ...] = ()
    media_root: Path | None = None
    reasoning: Literal["off", "on", "auto"] = "auto"
    reasoning_budget: int | None = None
    default_max_tokens: int | None = None
    reasoning_field: Literal["both", "reasoning", "reasoning_content"] = "both"
    priorities: bool = False
    cache_per_key: bool = False
    max_request_s: float | None = None
    sse_keep_alive_s: float = 15.0
    sse_queue: int = 4096
    max_queued_requests: int = 256
    max_queued_tokens: int = 1_000_000
    media_threads: int = 4
    max_planning: int = 64
    max_uploads: int = 8
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    upload_root: Path | None = None
    upload_quota_bytes: int = 4096 * MIB
    upload_max_bytes: int = 256 * MIB
    upload_ttl_s: float = 24 * 3600.0
    stored_responses: int = 256
    metrics_prefix: str = "nanovl"
    shutdown_s: float = 60.0
    drain_s: float = 1.0
    limits: RequestLimits = field(default_factory=RequestLimits)

    def __post_init__(self) -> None:
        if not self.model_names or not all(self.model_names):
            raise ConfigError("served model name: expected at least one, none of them empty")
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"port {self.port}: expected 0 to 65535 (0 takes a free one)")
        if not all(self.api_keys):
            raise ConfigError("API key: one of the keys is empty; remove it or give it a value")
        if "*" in self.allowed_origins and len(self.allowed_origins) > 1:
            raise ConfigError("allowed origins: '*' beside other origins; give one or the other")
        if self.reasoning not in ("off", "on", "auto"):
            raise ConfigError(f"reasoning {self.reasoning!r}: expected off, on or auto")
        if self.reasoning_field not in ("both", "reasoning", "reasoning_content"):
            raise ConfigError(
                f"reasoning field {self.reasoning_field!r}: expected both, reasoning or "
                "reasoning_content"
            )
        positive = (
            "sse_keep_alive_s",
            "sse_queue",
            "max_queued_requests",
            "max_queued_tokens",
            "media_threads",
            "max_planning",
            "max_uploads",
            "upload_quota_bytes",
            "upload_max_bytes",
            "upload_ttl_s",
            "default_max_tokens",
            "max_request_s",
            "requests_per_minute",
            "tokens_per_minute",
        )
        for name in positive:
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ConfigError(f"{name} {value}: expected more than 0")
        for name in ("reasoning_budget", "shutdown_s", "drain_s", "stored_responses"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ConfigError(f"{name} {value}: expected at least 0")

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect."""
        return self.host in ("localhost", "::1") or self.host.startswith("127.")
