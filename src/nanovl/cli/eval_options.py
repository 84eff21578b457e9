"""Options that several `nanovl eval` verbs share, and who answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nanovl.cli.console import Progress
from nanovl.core.config import apply_overrides
from nanovl.core.errors import ConfigError
from nanovl.core.paths import secret

if TYPE_CHECKING:
    from nanovl.evals.answerers import ModelAnswerer
    from nanovl.evals.endpoint import ChatEndpoint, EndpointAnswerer

__all__ = ["answerer", "chat_endpoint", "input_options", "numbers", "words_of"]

Words = Annotated[
    list[str],
    typer.Argument(metavar="BENCHMARK...", help='Ids and suites; "mini" is the local suite.'),
]
Data = Annotated[
    str,
    typer.Option("--data", "-d", metavar="DIR", help="Folder with the benchmarks' files."),
]
Out = Annotated[str, typer.Option("--out", metavar="RUN", help="Folder of the run.")]
Mode = Annotated[
    str,
    typer.Option(
        "--mode",
        metavar="LIST",
        help="off, on, or ids of modes such as mm_budget_4096. Left out: off; the local suite has "
        "its own.",
    ),
]
Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        metavar="MODEL",
        help='"mini", a checkpoint folder or a hub repository; with --endpoint the name it knows.',
    ),
]
Endpoint = Annotated[
    str,
    typer.Option(
        "--endpoint", metavar="URL", help="Ask this server instead: http://localhost:8000/v1."
    ),
]
KeyEnv = Annotated[
    str,
    typer.Option("--key-env", metavar="NAME", help="Environment variable with the server's key."),
]
Parallel = Annotated[
    int, typer.Option("--parallel", metavar="N", help="Requests to the server at one time.")
]
Timeout = Annotated[
    float, typer.Option("--timeout", metavar="SECONDS", help="Longest time of one request.")
]
Retries = Annotated[
    int, typer.Option("--retries", metavar="N", help="Further tries after passing trouble.")
]
Transport = Annotated[
    str,
    typer.Option(
        "--transport",
        metavar="HOW",
        help="Pictures to a server: original bytes, or vk_http, smaller JPEGs as that harness "
        "sends them.",
    ),
]
Fields = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Further field of every request to the server; null takes one away. May be repeated.",
    ),
]
Limit = Annotated[
    int | None,
    typer.Option("--limit", metavar="N", min=1, help="Questions of each benchmark at most."),
]
Runs = Annotated[
    int | None,
    typer.Option("--runs", metavar="N", min=1, help="Runs of modes that sample."),
]
Seed = Annotated[int, typer.Option("--seed", metavar="N", help="Of the first run.")]
Parts = Annotated[
    list[str] | None,
    typer.Option("--part", metavar="NAME", help="Language or platform alone. May be repeated."),
]
Prompts = Annotated[
    str, typer.Option("--prompts", metavar="SET", help="Set of prompts: default, vk.")
]
PromptFile = Annotated[
    str,
    typer.Option("--prompt-file", metavar="FILE", help="YAML with pieces of prompts replaced."),
]
Profile = Annotated[
    str,
    typer.Option(
        "--profile",
        metavar="NAME",
        help='default, or "vk" and "legacy", which read and score as those harnesses do.',
    ),
]
Level = Annotated[
    str,
    typer.Option(
        "--level", metavar="NAME", help="Whose verdicts: rules, extended (ours) or judge."
    ),
]


def words_of(text: str) -> list[str]:
    """A comma list."""
    return [word.strip() for word in text.split(",") if word.strip()]


def numbers(text: str, kind: type[int] | type[float], name: str) -> list[Any]:
    """A comma list of numbers.

    Raises:
        ConfigError: A word is none.
    """
    found = []
    for word in words_of(text):
        try:
            found.append(kind(word))
        except ValueError:
            raise ConfigError(f"--{name} {word!r}: expected a list of numbers") from None
    return found


def input_options(
    max_tiles: int | None, evs: str | None, fps: float | None, max_frames: int | None
) -> dict[str, Any]:
    """Changes to the input that were named.

    Raises:
        ConfigError: A pruning rate that is no number.
    """
    rate: float | None = None
    if evs not in (None, "auto"):
        try:
            rate = 0.0 if evs == "off" else float(str(evs))
        except ValueError:
            raise ConfigError(f"--evs {evs!r}: expected a rate in [0, 1), off, or auto") from None
    named = {"max_tiles": max_tiles, "pruning_rate": rate, "fps": fps, "max_frames": max_frames}
    return {name: value for name, value in named.items() if value is not None}


def chat_endpoint(
    url: str,
    model: str,
    *,
    key_env: str = "",
    timeout: float = 1800.0,
    retries: int = 6,
    fields: Sequence[str] | None = None,
) -> ChatEndpoint:
    """A server by its address.

    Raises:
        ConfigError: The key is not there, or a setting cannot be.
    """
    from nanovl.evals.endpoint import ChatEndpoint, Patience

    key = secret(key_env) if key_env else ""
    if key_env and not key:
        raise ConfigError(f"the environment variable {key_env} is not set; expected the key in it")
    return ChatEndpoint(
        url,
        model,
        key=key,
        extra=apply_overrides({}, fields or ()),
        patience=Patience(timeout_s=timeout, retries=retries),
    )


def answerer(
    model: str,
    *,
    endpoint: str = "",
    server: Mapping[str, Any],
    parallel: int = 8,
    transport: str = "original",
    device: str = "auto",
    dtype: str = "auto",
    quant: str | None = None,
    max_slots: int = 16,
) -> ModelAnswerer | EndpointAnswerer:
    """Who answers: a server when an address is given, else a model in this process.

    Args:
        model: Its name.
        endpoint: Address, "" for none.
        server: Settings of `chat_endpoint`.
        parallel, transport: Of requests to a server.
        device, dtype, quant, max_slots: Of a model in this process.

    Raises:
        NanoVLError: It cannot be loaded, or a setting cannot be.
    """
    if endpoint:
        from nanovl.evals.chat_body import check_transport
        from nanovl.evals.endpoint import EndpointAnswerer

        return EndpointAnswerer(
            chat_endpoint(endpoint, model, **server),
            parallel=parallel,
            transport=check_transport(transport),
        )
    from nanovl.engine.vlm import load
    from nanovl.evals.answerers import ModelAnswerer

    with Progress() as progress:
        loaded = load(model, device, dtype, quant, max_slots=max_slots, on_event=progress)
    return ModelAnswerer(loaded, precision=quant or "")
