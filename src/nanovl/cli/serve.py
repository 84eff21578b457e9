"""`nanovl serve`: flags to settings of the server, nothing more."""

from __future__ import annotations

import dataclasses
import json as json_
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nanovl.cli import options
from nanovl.cli.console import Progress, guarded, note
from nanovl.core import paths
from nanovl.core.cluster import LOCAL
from nanovl.core.config import from_dict, nearest
from nanovl.core.errors import ConfigError

if TYPE_CHECKING:
    from nanovl.serve.runtime import ModelOptions
    from nanovl.serve.settings import ServeSettings

__all__ = ["serve", "server_settings"]

KEY_VARIABLE = "NANOVL_API_KEY"
PAGE = "ui"
UPLOADS = "uploads"
# `-o` words by their prefix; no prefix is a setting of the server.
GROUPS = ("limits", "media", "engine", "processor")

Text = str | None
Words = list[str] | None


def _option(name: str, metavar: str, text: str, *more: str) -> Any:
    return typer.Option(name, *more, metavar=metavar, help=text)


@guarded
def serve(
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL", help='"mini", a checkpoint folder, or a hub repository.'),
    ] = "mini",
    host: Annotated[str, _option("--host", "ADDRESS", "Where to listen.")] = "127.0.0.1",
    port: Annotated[int, _option("--port", "N", "Port; 0 takes a free one.")] = 8000,
    workers: Annotated[
        int, _option("--workers", "N", "Processes, each with a model of its own.")
    ] = 1,
    replicas: Annotated[
        int | None, _option("--replicas", "N", "Replicas on Ray Serve, each with its own model.")
    ] = None,
    ray: Annotated[
        Text, _option("--ray", "ADDRESS", "Ray for replicas: local, auto or HOST:PORT.")
    ] = None,
    gpus: Annotated[float, _option("--gpus", "N", "GPUs of each replica.")] = 0.0,
    api_key: Annotated[
        Words,
        _option("--api-key", "KEY", f"Accepted key; may be repeated. Also {KEY_VARIABLE}."),
    ] = None,
    api_key_file: Annotated[
        Path | None, _option("--api-key-file", "FILE", "File with one key per line.")
    ] = None,
    served_model_name: Annotated[
        Words, _option("--served-model-name", "NAME", "Name clients ask for; may be repeated.")
    ] = None,
    max_model_len: Annotated[
        int | None, _option("--max-model-len", "N", "Longest prompt and answer together.")
    ] = None,
    max_num_seqs: Annotated[int, _option("--max-num-seqs", "N", "Sequences in work at once.")] = 16,
    max_num_batched_tokens: Annotated[
        int, _option("--max-num-batched-tokens", "N", "Tokens of one pass.")
    ] = 512,
    max_queued_requests: Annotated[
        int, _option("--max-queued-requests", "N", "Requests that may wait.")
    ] = 256,
    max_queued_tokens: Annotated[
        int, _option("--max-queued-tokens", "N", "Prompt tokens that may wait.")
    ] = 1_000_000,
    enable_prefix_caching: Annotated[
        bool,
        typer.Option(
            "--enable-prefix-caching/--no-enable-prefix-caching",
            help="Keep beginnings of prompts for later ones.",
        ),
    ] = True,
    reasoning: Annotated[
        str, _option("--reasoning", "MODE", "When a request says nothing: off, on, or auto.")
    ] = "auto",
    reasoning_budget: Annotated[
        int | None, _option("--reasoning-budget", "N", "Budget of requests that name none.")
    ] = None,
    default_chat_template_kwargs: Annotated[
        Text,
        _option(
            "--default-chat-template-kwargs",
            "JSON",
            'Defaults of requests: {"enable_thinking": true}.',
        ),
    ] = None,
    limit_mm_per_prompt: Annotated[
        Text,
        _option("--limit-mm-per-prompt", "JSON", 'Media per request: {"image": 8, "video": 1}.'),
    ] = None,
    media_io_kwargs: Annotated[
        Text,
        _option("--media-io-kwargs", "JSON", 'Sampling: {"video": {"num_frames": 64, "fps": 2}}.'),
    ] = None,
    mm_processor_kwargs: Annotated[
        Text, _option("--mm-processor-kwargs", "JSON", 'Processor: {"max_num_tiles": 6}.')
    ] = None,
    video_pruning_rate: Annotated[
        float | None, _option("--video-pruning-rate", "RATE", "Share of video tokens to drop.")
    ] = None,
    remote_media: Annotated[
        bool,
        typer.Option("--remote-media/--no-remote-media", help="Fetch http(s) media of requests."),
    ] = True,
    allowed_media_domains: Annotated[
        Words,
        _option("--allowed-media-domains", "HOST", "The only hosts media is fetched from."),
    ] = None,
    allowed_local_media_path: Annotated[
        Path | None,
        _option("--allowed-local-media-path", "DIR", "Folder below which file: URLs may point."),
    ] = None,
    allowed_origins: Annotated[
        Words, _option("--allowed-origins", "ORIGIN", "Web origin that may call; or *.")
    ] = None,
    allowed_hosts: Annotated[
        Words, _option("--allowed-hosts", "NAME", "Name in the Host header that is accepted; or *.")
    ] = None,
    web: Annotated[bool, typer.Option("--web/--no-web", help="Serve the web page at /.")] = True,
    uploads: Annotated[
        bool, typer.Option("--uploads/--no-uploads", help="Accept files at /v1/files.")
    ] = True,
    ssl_certfile: Annotated[Path | None, _option("--ssl-certfile", "FILE", "Certificate.")] = None,
    ssl_keyfile: Annotated[Path | None, _option("--ssl-keyfile", "FILE", "Its key.")] = None,
    root_path: Annotated[
        str, _option("--root-path", "PATH", "Prefix a proxy in front removes.")
    ] = "",
    sse_keep_alive_interval: Annotated[
        float, _option("--sse-keep-alive-interval", "S", "Seconds of silence before a comment.")
    ] = 15.0,
    shutdown_timeout: Annotated[
        float, _option("--shutdown-timeout", "S", "Seconds for running requests at the end.")
    ] = 60.0,
    metrics_prefix: Annotated[
        str, _option("--metrics-prefix", "NAME", "In front of names of metrics; vllm fits boards.")
    ] = "nanovl",
    log_level: Annotated[
        str, _option("--log-level", "LEVEL", "debug, info, warning or error.")
    ] = "info",
    log_json: Annotated[bool, typer.Option("--log-json", help="Log JSON lines.")] = False,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    quant: options.Quant = None,
    transcriber: options.Transcriber = None,
    settings: Annotated[
        Words,
        _option(
            "-o",
            "KEY=VALUE",
            "Another setting of the server, or limits.KEY, media.KEY, engine.KEY, processor.KEY; "
            "see the settings page. May be repeated.",
        ),
    ] = None,
) -> None:
    """Serve a model over HTTP, in the interface of OpenAI, with a web page.

    \b
    Examples:
      nanovl serve
      nanovl serve mini --port 9000 --api-key secret --reasoning on
      nanovl serve ./checkpoint --replicas 8 --ray auto --gpus 1

    Listens on this machine only unless --host says otherwise; give keys with it then.
    """
    given: dict[str, Any] = {
        "host": host,
        "port": port,
        "model_names": served_model_name or [Path(model).name or model],
        "api_keys": _keys(api_key or [], api_key_file),
        "max_queued_requests": max_queued_requests,
        "max_queued_tokens": max_queued_tokens,
        "reasoning": reasoning,
        "reasoning_budget": reasoning_budget,
        "allow_remote_media": remote_media,
        "allowed_media_domains": allowed_media_domains or [],
        "media_root": allowed_local_media_path,
        "allowed_origins": allowed_origins or [],
        "allowed_hosts": allowed_hosts,
        "web_root": _web_root() if web else None,
        "upload_root": paths.home() / UPLOADS if uploads else None,
        "root_path": root_path,
        "sse_keep_alive_s": sse_keep_alive_interval,
        "shutdown_s": shutdown_timeout,
        "metrics_prefix": metrics_prefix,
        **_thinking(default_chat_template_kwargs),
    }
    if max_model_len is not None:
        given["engine"] = {"context_length": max_model_len}
    given["engine"] = {
        **given.get("engine", {}),
        "max_slots": max_num_seqs,
        "prefill_chunk": max_num_batched_tokens,
        **({} if enable_prefix_caching else {"state_cache_gib": 0.0}),
    }
    given["limits"] = _counts(limit_mm_per_prompt)
    given["processor"] = _processor(media_io_kwargs, mm_processor_kwargs, video_pruning_rate)
    chosen, model_options = server_settings(
        given, options.read_settings(settings), model, device, dtype, quant, transcriber
    )
    _check_processes(workers, replicas, ray, gpus)
    if not chosen.is_loopback and not chosen.api_keys:
        note(f"warning: everybody who can reach {chosen.host} can use this server; give --api-key")

    from nanovl.serve.logs import setup_server_logging
    from nanovl.serve.runtime import Tls, run
    from nanovl.serve.supervisor import Logging, supervise

    if (ssl_certfile is None) != (ssl_keyfile is None):
        raise ConfigError("--ssl-certfile and --ssl-keyfile belong together; give both")
    tls = None
    if ssl_certfile is not None and ssl_keyfile is not None:
        tls = Tls(certificate=ssl_certfile, key=ssl_keyfile)
    setup_server_logging(log_level, as_json=log_json)
    logs = Logging(level=log_level, as_json=log_json)
    if replicas is not None:
        from nanovl.serve.replicas import serve_replicas

        serve_replicas(
            model_options,
            chosen,
            replicas,
            address=ray or LOCAL,
            gpus=gpus,
            logs=logs,
            tls=tls,
            on_ready=_ready,
        )
        return
    if workers > 1:
        supervise(model_options, chosen, workers, logs=logs, tls=tls, on_ready=_ready)
        return
    with Progress() as progress:
        run(model_options, chosen, tls=tls, on_event=progress, on_ready=_ready)


def _check_processes(workers: int, replicas: int | None, ray: str | None, gpus: float) -> None:
    if workers < 1:
        raise ConfigError(f"--workers {workers}: expected at least 1")
    if replicas is None:
        if ray is not None or gpus:
            raise ConfigError("--ray and --gpus belong to --replicas")
        return
    if replicas < 1:
        raise ConfigError(f"--replicas {replicas}: expected at least 1")
    if workers > 1:
        raise ConfigError("--replicas and --workers exclude each other; replicas run on Ray")


def server_settings(
    given: dict[str, Any],
    extra: dict[str, Any],
    model: str,
    device: str,
    dtype: str,
    quant: str | None,
    transcriber: str | None,
) -> tuple[ServeSettings, ModelOptions]:
    """Flags and `-o` words as checked objects.

    Raises:
        ConfigError: An unknown setting, or a value of the wrong type or range.
    """
    from nanovl.processing.config import ProcessorConfig
    from nanovl.processing.media import Limits
    from nanovl.serve.runtime import ModelOptions
    from nanovl.serve.settings import ServeSettings

    merged = {name: dict(given.pop(name, {})) for name in GROUPS}
    for name in GROUPS:
        more = extra.pop(name, {})
        if not isinstance(more, dict):
            raise ConfigError(f"-o {name}={more}: expected {name}.KEY=VALUE")
        merged[name] |= more
    chosen = from_dict(
        ServeSettings, {**given, **extra, "limits": merged["limits"]}, where="server"
    )
    known: list[tuple[str, Any]] = [("media", Limits), ("processor", ProcessorConfig)]
    for name, kind in known:
        fields = {f.name for f in dataclasses.fields(kind)}
        for key in merged[name]:
            if key not in fields:
                raise ConfigError(f"unknown setting {name}.{key}{nearest(key, fields)}")
        from_dict(kind, merged[name], where=name)  # types and ranges, before the slow part
    model_options = ModelOptions(
        name=model,
        device=device,
        dtype=dtype,
        quant=quant,
        transcriber=transcriber,
        engine=merged["engine"],
        processor=merged["processor"],
        limits=merged["media"],
    )
    return chosen, model_options


def _keys(keys: list[str], file: Path | None) -> list[str]:
    from nanovl.serve.auth import read_keys

    found = list(keys)
    if file is not None:
        try:
            found += read_keys(file.read_text(encoding="utf-8").splitlines())
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"--api-key-file {file}: cannot be read") from error
        if not found:
            raise ConfigError(f"--api-key-file {file}: holds no key")
    secret = paths.secret(KEY_VARIABLE)
    return [*found, secret] if secret else found


def _web_root() -> Path | None:
    from nanovl import serve as room

    folder = Path(next(iter(room.__path__))) / PAGE
    return folder if (folder / "index.html").is_file() else None


def _json(text: str | None, flag: str) -> dict[str, Any]:
    if text is None:
        return {}
    try:
        value = json_.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ConfigError(f"{flag} {text!r}: expected a JSON object")
    return value


def _known(given: dict[str, Any], names: tuple[str, ...], flag: str) -> dict[str, Any]:
    for name in given:
        if name not in names:
            raise ConfigError(f"{flag}: unknown name {name!r}{nearest(name, names)}")
    return given


def _thinking(text: str | None) -> dict[str, Any]:
    flag = "--default-chat-template-kwargs"
    given = _known(_json(text, flag), ("enable_thinking", "thinking_budget"), flag)
    found: dict[str, Any] = {}
    if "enable_thinking" in given:
        found["reasoning"] = "on" if given["enable_thinking"] else "off"
    if "thinking_budget" in given:
        found["reasoning_budget"] = given["thinking_budget"]
    return found


def _counts(text: str | None) -> dict[str, Any]:
    flag = "--limit-mm-per-prompt"
    names = {
        "image": "max_images",
        "video": "max_videos",
        "audio": "max_audios",
        "document": "max_documents",
    }
    return {names[k]: v for k, v in _known(_json(text, flag), tuple(names), flag).items()}


def _processor(io: str | None, processor: str | None, rate: float | None) -> dict[str, Any]:
    flag = "--mm-processor-kwargs"
    names = ("max_num_tiles", "use_thumbnail", "video_pruning_rate")
    found = dict(_known(_json(processor, flag), names, flag))
    flag = "--media-io-kwargs"
    video = _known(_json(io, flag), ("video",), flag).get("video", {})
    if not isinstance(video, dict):
        raise ConfigError(f"{flag}: video: expected an object")
    for name, field in (("num_frames", "max_frames"), ("fps", "video_fps")):
        if name in _known(video, ("num_frames", "fps"), flag):
            found[field] = video[name]
    if rate is not None:
        found["video_pruning_rate"] = rate
    return found


def _ready(url: str) -> None:
    note(f"serving at {url}")
