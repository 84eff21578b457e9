"""Requests made at random from the server's own description: never a 5xx, always a known shape."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings

from nanovl.serve.app import create_app
from nanovl.testing import tiny_nanovl
from tests.e2e.serving import Server, serving, tiny_checkpoint

GENERATING = {"/v1/chat/completions", "/v1/completions", "/v1/messages", "/v1/responses"}
LENGTHS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
EXAMPLES = 30


def operations() -> list[str]:
    """Every method and path of the description."""
    paths = create_app(tiny_nanovl()).openapi()["paths"]
    return [f"{method.upper()} {path}" for path, methods in paths.items() for method in methods]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("fuzz")
    with serving(
        tiny_checkpoint(folder / "checkpoint"),
        folder / "home",
        "--no-remote-media",
        "--max-model-len",
        "512",
        "-o",
        "default_max_tokens=2",
        "-o",
        "limits.max_n=2",
        "-o",
        "limits.max_prompts=2",
    ) as running:
        yield running


@pytest.fixture(scope="module")
def cases(server: Server) -> dict[str, Any]:
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    found = [result.ok() for result in schema.get_all_operations()]
    return {f"{o.method.upper()} {o.path}": o for o in found}


@pytest.mark.slow
@pytest.mark.parametrize("name", operations())
def test_nothing_random_breaks_the_server(cases: dict[str, Any], server: Server, name: str) -> None:
    operation = cases[name]
    seen: set[int] = set()

    @given(case=operation.as_strategy())
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    def send(case: Any) -> None:
        if isinstance(case.body, dict) and operation.path in GENERATING:
            # Long answers to random questions take time and tell nothing.
            case.body |= {n: 4 for n in LENGTHS if case.body.get(n)}
        answer = case.call(timeout=60)
        seen.add(answer.status_code)
        assert answer.status_code < 500, answer.text
        if answer.status_code >= 400:
            error = answer.json()["error"]
            assert set(error) == {"message", "type", "param", "code"}
            assert "Traceback" not in error["message"]

    send()
    assert seen
    assert server.get("/health")[0] == 200


@pytest.mark.slow
def test_the_server_is_alive_afterwards(server: Server) -> None:
    assert server.get("/health")[0] == 200
    assert server.idle()
    assert "Traceback" not in server.log.read_text()
