"""The VLMEvalKit classes: rows, system texts, what is sent, and how the kit learns of them."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import nanovl.integrations.vlmevalkit as plugin
from nanovl.core.conversation import TextPart
from nanovl.core.errors import BackendError, ConfigError, InputError
from nanovl.integrations.vlmevalkit.endpoint import endpoint_class
from nanovl.integrations.vlmevalkit.messages import of_chat, of_row
from nanovl.integrations.vlmevalkit.model import model_class
from nanovl.integrations.vlmevalkit.register import MODELS, register, run
from nanovl.testing import picture, picture_bytes, tiny_nanovl
from tests.unit.evals.stub import Body, Say, serving
from tests.unit.integrations import harnesses


def row(*items: tuple[str, str] | tuple[str, str, str]) -> list[dict[str, str]]:
    return [dict(zip(("type", "value", "role"), item, strict=False)) for item in items]


@pytest.fixture
def kit(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, ModuleType]]:
    model_class.cache_clear()
    endpoint_class.cache_clear()
    yield harnesses.install(monkeypatch)
    model_class.cache_clear()
    endpoint_class.cache_clear()


@pytest.fixture
def image(tmp_path: Path) -> str:
    path = tmp_path / "a.png"
    path.write_bytes(picture_bytes(picture(64, 64, "noise")))
    return str(path)


def loaded(model: Any) -> Any:
    model.asker._model = tiny_nanovl()
    return model


def test_rows():
    made = of_row(row(("text", "be brief", "system"), ("image", "a.png"), ("text", "what?")))
    system, user = made.messages
    assert system.parts == (TextPart(text="be brief"),)
    assert [type(p).__name__ for p in user.parts] == ["ImagePart", "TextPart"]
    between = of_row(row(("text", "a "), ("image", "a.png"), ("text", " b")))
    assert between.messages[0].parts[-1] == TextPart(text="a <image> b")
    no_type = [{"role": "system", "value": "s"}, {"type": "text", "value": "t"}]
    assert [m.role for m in of_row(no_type).messages] == ["system", "user"]


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ([], "empty"),
        ([{"type": "text"}], "no type and value"),
        (row(("text", "q"), ("text", "Best option:(", "assistant")), "begins the answer"),
        (row(("box", "b")), "kind 'box'"),
    ],
)
def test_rows_that_cannot_be_asked(message, says):
    with pytest.raises(InputError, match=says):
        of_row(message)


def test_turns():
    made = of_chat(
        [
            {"role": "user", "content": row(("text", "one"))},
            {"role": "assistant", "content": row(("text", "two"))},
            {"role": "user", "content": row(("text", "three"))},
        ]
    )
    assert [m.role for m in made.messages] == ["user", "assistant", "user"]


def test_the_model_answers_in_this_process(kit, image):
    model = loaded(model_class()(max_tokens=4))
    assert isinstance(model, harnesses.BaseModel)
    assert (model.INTERLEAVE, model.VIDEO_LLM, model.is_api) == (True, True, False)
    said = model.generate(row(("image", image), ("text", "what?")), dataset="D")
    assert said == model.asker.model.chat("what?", files=[image], max_tokens=4, seed=0).text
    turns = [{"role": "user", "content": row(("text", "hi"))}]
    assert model.chat_inner(turns) == model.asker.model.chat("hi", max_tokens=4, seed=0).text
    assert model_class()(video_llm=False).VIDEO_LLM is False


def test_options_of_the_model_are_checked_before_it_is_loaded(kit):
    with pytest.raises(ConfigError, match="one question at a time"):
        model_class()(batch_size=2)
    with pytest.raises(ConfigError, match="unknown option 'modle'"):
        model_class()(modle="mini")


def test_errors_name_the_data_set(kit):
    model = loaded(model_class()(max_tokens=2))
    with pytest.raises(InputError, match=r"^a row of D: "):
        model.generate(row(("image", "no/such.png"), ("text", "?")), dataset="D")


def ask(answer: Say, message: list[dict[str, str]], **options: Any) -> tuple[str, list[Body]]:
    with serving(lambda body, before: answer) as stub:
        model = endpoint_class()(base_url=stub.url, wait=0, retry=2, **options)
        said = model.generate(message, dataset="D")
        assert model.system_prompt is None
        return said, stub.bodies


def test_the_endpoint_is_sent_the_bytes_of_the_file(kit, image):
    message = row(("text", "act", "system"), ("image", image), ("text", "what?"))
    said, (body,) = ask(Say(text=" B "), message, model="m")
    assert said == "B"
    system, user = body["messages"]
    assert system == {"role": "system", "content": "/no_think\nact"}
    sent = user["content"][0]["image_url"]["url"]
    assert sent.startswith("data:image/png;base64,")
    assert base64.b64decode(sent.partition(",")[2]) == Path(image).read_bytes()
    assert user["content"][1] == {"type": "text", "text": "what?"}
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("m", 0.0, 1024)
    assert "seed" not in body


def test_reasoning_and_media_settings_travel(kit):
    options = {
        "reasoning": "on",
        "reasoning_budget": 512,
        "max_tiles": 6,
        "pruning_rate": 0.5,
        "fps": 1,
        "max_frames": 32,
    }
    said, (body,) = ask(Say(text="<think>hm</think>\n4"), row(("text", "2+2?")), **options)
    assert said == "4"
    assert body["messages"][0]["content"] == "/think"
    assert (body["temperature"], body["top_p"], body["max_tokens"]) == (0.6, 0.95, 16384)
    assert (body["seed"], body["thinking_token_budget"]) == (0, 512)
    assert body["mm_processor_kwargs"] == {"max_num_tiles": 6, "video_pruning_rate": 0.5}
    assert body["media_io_kwargs"] == {"video": {"fps": 1, "num_frames": 32}}


@pytest.mark.parametrize(
    ("say", "said"),
    [
        (Say(text="4", reasoning="hm"), "<think>hm</think>4"),
        (Say(text="hm</think>4"), "<think>hm</think>4"),
        (Say(text="<think>and on"), "<think><think>and on</think>"),
        (Say(text="4"), "4"),
    ],
)
def test_reasoning_is_shown_on_request(kit, say, said):
    assert ask(say, row(("text", "?")), reasoning="on", show_reasoning=True)[0] == said


def test_an_empty_answer_is_asked_once(kit):
    said, bodies = ask(Say(text="<think>never done"), row(("text", "?")), reasoning="on")
    assert (said, len(bodies)) == (" ", 1)


@pytest.mark.parametrize("say", [Say(status=500), Say(raw=b"<html>"), Say(raw=b'{"choices": []}')])
def test_failures_are_left_to_the_kit(kit, say):
    said, bodies = ask(say, row(("text", "?")))
    assert (said, len(bodies)) == ("Failed to obtain answer via API.", 2)


def test_the_key_comes_from_the_environment(kit, monkeypatch):
    monkeypatch.setenv("SOME_KEY", "abc")
    with serving(lambda body, before: Say(text="x")) as stub:
        endpoint_class()(base_url=stub.url, key_env="SOME_KEY").generate(row(("text", "?")))
        assert stub.keys == ["Bearer abc"]
    with pytest.raises(ConfigError, match="NO_SUCH_KEY is not set"):
        endpoint_class()(base_url="http://localhost:1/v1", key_env="NO_SUCH_KEY")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"base_url": "localhost:8000"}, "base_url"),
        ({"base_url": "http://localhost:1/v1", "device": "cpu"}, "device: set by the server"),
        ({"base_url": "http://localhost:1/v1", "total_tiles": 4}, "total_tiles"),
    ],
)
def test_settings_an_endpoint_does_not_have(kit, options, says):
    with pytest.raises(ConfigError, match=says):
        endpoint_class()(**options).generate_inner(row(("text", "?")))


def test_the_kit_learns_of_the_classes(kit):
    register()
    assert kit["vlmeval.vlm"].NanoVLModel is plugin.NanoVLModel
    assert kit["vlmeval.api"].NanoVLEndpoint is plugin.NanoVLEndpoint
    table = kit["vlmeval.config"].supported_VLM
    assert set(table) == set(MODELS)
    assert table["nanovl-reasoning"]().asker.ask.reasoning == "on"
    run()


def test_the_example_config_can_be_built(kit):
    path = Path(plugin.__file__).with_name("config.json")
    models = json.loads(path.read_text(encoding="utf-8"))["model"]
    for options in models.values():
        assert getattr(plugin, options.pop("class"))(**options)
    assert set(MODELS) < set(models)


def test_without_the_kit(monkeypatch):
    model_class.cache_clear()
    harnesses.hide(monkeypatch, "vlmeval")
    with pytest.raises(BackendError, match="package 'vlmeval'"):
        register()
    with pytest.raises(AttributeError, match="no attribute 'Nope'"):
        _ = plugin.Nope
