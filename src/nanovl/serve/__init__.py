"""HTTP: an OpenAI-compatible server on the engine's front door, and the web page.

    app = create_app(nanovl.load(), ServeSettings())

Checks what strangers send before anything expensive happens, hands requests to the engine, and
writes its answers as JSON or events. Runs no model, decodes no pixels and renders no prompt.
Reading order: settings, errors, limits, schema, reasoning, sampling, content, planning, tickets,
sse, wire, chat, completions, respond, responses, forms, files, audio, tokens, anthropic, messages,
rates, metrics, service, openapi, endpoints, status, page, auth, edge, app, protocol, logs, runtime,
supervisor, replicas.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nanovl.serve.app import create_app as create_app
    from nanovl.serve.settings import ServeSettings as ServeSettings

__all__ = ["ServeSettings", "create_app"]

_HOMES = {"ServeSettings": "nanovl.serve.settings", "create_app": "nanovl.serve.app"}


def __getattr__(name: str) -> Any:
    """Import what is asked for, so that showing help loads no web framework."""
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
