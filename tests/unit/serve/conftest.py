"""An application around a fake model, and a client that talks to it in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from starlette.testclient import TestClient

from nanovl.serve.app import create_app
from nanovl.serve.service import Service
from nanovl.serve.settings import ServeSettings
from tests.unit.serve.fakes import FakeNanoVL, Script, hello

BASE = "http://127.0.0.1:8000"


@dataclass
class Served:
    """A running application.

    Attributes:
        client: Talks to it.
        model: The fake behind it.
        service: Its state.
    """

    client: TestClient
    model: FakeNanoVL
    service: Service

    def chat(self, text: Any = "hi", **fields: Any) -> Any:
        """Ask; the body may be changed by keyword."""
        body = {"messages": [{"role": "user", "content": text}], **fields}
        return self.client.post("/v1/chat/completions", json=body)


Serve = Callable[..., Served]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start an application: `serve(script, limits=..., api_keys=...)`."""
    with ExitStack() as stack:

        def start(
            script: Script = hello,
            *,
            context_length: int = 4096,
            media: Any = None,
            transcriber: Any = None,
            **settings: Any,
        ) -> Served:
            model = FakeNanoVL(
                script, context_length=context_length, limits=media, transcriber=transcriber
            )
            app = create_app(model, ServeSettings(**settings), transcriber=transcriber)
            client = TestClient(app, base_url=BASE, raise_server_exceptions=False)
            stack.enter_context(client)
            return Served(client, model, app.state.service)

        yield start
