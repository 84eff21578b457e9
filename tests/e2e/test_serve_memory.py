"""Memory stays where it is, however many requests of however many kinds come."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import openai
import psutil
import pytest

from nanovl.testing.media import picture, picture_bytes
from tests.e2e.serving import Server, serving, tiny_checkpoint

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

WARM, MORE = 150, 500
GROWTH_MIB = 40.0  # observed: 19 to 22, levelling off


def ask(server: Server, client: openai.OpenAI, number: int) -> None:
    """One of eight kinds of requests; none is asked twice."""
    kind = number % 8
    text: Any = f"Question {number}: " + "word " * (number % 40)
    body: dict[str, Any] = {"model": "tiny", "max_tokens": 6}
    if kind in (1, 2):
        data = base64.b64encode(picture_bytes(picture(64, 64, "noise", seed=number))).decode()
        url = {"url": f"data:image/png;base64,{data}"}
        text = [{"type": "image_url", "image_url": url}, {"type": "text", "text": text}]
    if kind == 3:
        body |= {"n": 2, "logprobs": True, "top_logprobs": 3}
    if kind == 4:
        schema = {"type": "object", "properties": {f"k{number}": {"type": "integer"}}}
        wanted = {"name": "x", "schema": schema}
        body |= {"response_format": {"type": "json_schema", "json_schema": wanted}}
    if kind == 5:
        body |= {"extra_body": {"thinking_token_budget": 4}, "reasoning_effort": "high"}
    body["messages"] = [{"role": "user", "content": text}]
    if kind == 6:  # left in the middle
        stream = client.chat.completions.create(stream=True, **{**body, "max_tokens": 200})
        next(iter(stream))
        stream.close()
        return
    if kind == 7:
        with pytest.raises(openai.BadRequestError):
            client.chat.completions.create(**{**body, "temperature": -number})
        return
    client.chat.completions.create(**body)


def test_five_hundred_requests_of_all_kinds(tmp_path: Path) -> None:
    checkpoint = tiny_checkpoint(tmp_path / "checkpoint")
    small = ("-o", "engine.media_cache_gib=0.001", "-o", "engine.state_cache_gib=0.002")
    with serving(checkpoint, tmp_path, *small) as server:
        client = server.client()
        process = psutil.Process(server.process.pid)
        seen = []
        for number in range(WARM + MORE):
            if number == WARM or (number - WARM) % 100 == 99:
                seen.append(process.memory_info().rss / 2**20)
            ask(server, client, number)
        assert server.idle()
        files = process.num_fds()
        assert seen[-1] - seen[0] < GROWTH_MIB, seen
        assert files < 80
        assert len(process.children(recursive=True)) == 0
