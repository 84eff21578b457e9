"""The page and the official Node client before a real engine with random weights.

What is said is noise; that it streams, stops, fits and is counted is not.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import nanovl
from nanovl.checkpoint.random_weights import write_random
from tests.e2e.web import ROOT, UI, chromium, opened
from tests.unit.serve.live import live

pytestmark = [pytest.mark.browser, pytest.mark.slow]

NODE_CLIENT = """
import OpenAI from 'openai';
const client = new OpenAI({baseURL: process.argv[1], apiKey: 'none', maxRetries: 0});
const picture = process.argv[2];
const out = {models: (await client.models.list()).data.map(m => m.id)};
const ask = {
  model: out.models[0], max_tokens: 12, temperature: 0,
  messages: [{role: 'user', content: [
    {type: 'image_url', image_url: {url: picture}}, {type: 'text', text: 'What is it?'},
  ]}],
};
const whole = await client.chat.completions.create(ask);
out.whole = whole.choices[0].message.content;
out.usage = whole.usage;
out.streamed = '';
const stream = await client.chat.completions.create({
  ...ask, stream: true, stream_options: {include_usage: true},
});
for await (const chunk of stream) {
  out.streamed += chunk.choices[0]?.delta?.content ?? '';
  if (chunk.usage) out.streamedUsage = chunk.usage;
}
const schema = {
  type: 'object', properties: {kind: {enum: ['cat', 'dog']}}, required: ['kind'],
  additionalProperties: false,
};
const json = await client.chat.completions.create({
  ...ask, max_tokens: 40,
  response_format: {type: 'json_schema', json_schema: {name: 'pet', schema, strict: true}},
});
out.json = json.choices[0].message.content;
const made = await client.responses.create({
  model: out.models[0], input: 'Hello', max_output_tokens: 8,
});
out.response = made.status;
try {
  await client.chat.completions.create({...ask, model: 'other'});
} catch (error) {
  out.error = [error.constructor.name, error.status, error.code];
}
console.log(JSON.stringify(out));
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A tiny model with random weights, loaded as a person would."""
    folder = tmp_path_factory.mktemp("model") / "tiny"
    write_random("tiny", folder)
    return nanovl.load(folder)


def test_page_before_a_real_engine(model: Any, demo: Path) -> None:
    """A picture, an answer, thinking with a budget that is kept, and figures that add up."""
    with chromium() as browser, opened(browser, model=model) as o:
        o.attach(demo / "receipt.png")
        o.page.locator(".meter-text").wait_for()
        o.page.get_by_role("button", name="Settings", exact=True).click()
        o.page.get_by_label("Longest answer (tokens)").fill("400")
        o.page.get_by_role("button", name="Done").click()
        o.page.get_by_role("slider", name="Thinking budget").fill("1")
        o.ask("What is it?")
        answer = o.answered()
        assert answer.get_by_role("alert").count() == 0
        readout = answer.locator(".readout").inner_text()
        assert "First token" in readout
        assert "Speed" in readout
        o.shot("real-engine")


def test_node_client(model: Any, demo: Path) -> None:
    """Chat whole and streamed, a schema, responses and errors through the official package."""
    node = shutil.which("node")
    if node is None or not (ROOT / "web" / "node_modules" / "openai").is_dir():
        pytest.skip("needs node, and npm ci in web/")
    picture = (
        "data:image/png;base64," + base64.b64encode((demo / "shapes.png").read_bytes()).decode()
    )
    with live(model, web_root=UI) as (port, _):
        done = subprocess.run(
            [
                node,
                "--input-type=module",
                "-e",
                NODE_CLIENT,
                f"http://127.0.0.1:{port}/v1",
                picture,
            ],
            cwd=ROOT / "web",
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    out = json.loads(done.stdout)
    assert out["models"] == ["nanovl"]
    assert out["streamed"] == out["whole"]
    assert out["streamedUsage"]["completion_tokens"] == out["usage"]["completion_tokens"]
    assert json.loads(out["json"])["kind"] in ("cat", "dog")
    assert out["response"] in ("completed", "incomplete")
    assert out["error"] == ["NotFoundError", 404, "model_not_found"]
