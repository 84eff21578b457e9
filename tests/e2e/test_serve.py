"""The official client against a real server with random weights: every feature once."""

from __future__ import annotations

import base64
import io
import json
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import openai
import pytest
from PIL import Image
from pydantic import BaseModel

from nanovl.testing.documents import pdf_bytes
from nanovl.testing.media import picture_bytes, video
from tests.e2e.serving import Server, serving, tiny_checkpoint

KEY = "test-key"
HELLO: list[Any] = [{"role": "user", "content": "hi"}]
MORE: dict[str, Any] = {"temperature": 1.0, "seed": 7, "max_tokens": 24}
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Add two numbers.",
        "parameters": {
            "type": "object",
            "properties": {
                "a": {"type": "integer", "minimum": 0, "maximum": 99},
                "b": {"enum": [1, 2]},
            },
            "required": ["a", "b"],
            "additionalProperties": False,
        },
    },
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"color": {"enum": ["red", "blue"]}, "n": {"type": "boolean"}},
    "required": ["color", "n"],
    "additionalProperties": False,
}


class Paint(BaseModel):
    """What `SCHEMA` describes."""

    color: Literal["red", "blue"]
    n: bool


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("serve")
    talker = folder / "talker.py"
    talker.write_text(
        "import json, sys, wave\n"
        "seconds = wave.open(sys.argv[1]).getnframes() / 16000\n"
        "print(json.dumps([{'start': 0, 'end': seconds, 'text': 'Good morning.'}]))\n"
    )
    import sys

    with serving(
        tiny_checkpoint(folder / "checkpoint"),
        folder / "home",
        "--api-key",
        KEY,
        "--api-key",
        "other-key",
        "--transcriber",
        f"command:{sys.executable} {talker} {{wav}}",
        "--max-model-len",
        "16384",
        "-o",
        "protect_metrics=false",
    ) as running:
        yield running


@pytest.fixture
def client(server: Server) -> openai.OpenAI:
    return server.client(KEY)


def url_of(data: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def test_a_chat_is_repeatable_and_bounded(client: openai.OpenAI) -> None:
    one, two = (
        client.chat.completions.create(model="tiny", messages=HELLO, **MORE) for _ in range(2)
    )
    assert one.choices[0].message.content == two.choices[0].message.content
    assert one.choices[0].finish_reason in ("length", "stop")
    assert one.usage is not None
    assert one.usage.completion_tokens <= 24
    assert one.usage.total_tokens == one.usage.prompt_tokens + one.usage.completion_tokens
    assert one.id.startswith("chatcmpl-")
    assert one.model == "tiny"


def test_a_stream_is_the_answer(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model="tiny", messages=HELLO, n=2, **MORE)
    stream = client.chat.completions.create(
        model="tiny",
        messages=HELLO,
        n=2,
        stream=True,
        stream_options={"include_usage": True},
        **MORE,
    )
    texts, ends, usage = {0: "", 1: ""}, {}, None
    for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            if choice.finish_reason:
                ends[choice.index] = choice.finish_reason
    assert [texts[c.index] for c in whole.choices] == [c.message.content for c in whole.choices]
    assert [ends[c.index] for c in whole.choices] == [c.finish_reason for c in whole.choices]
    assert usage is not None
    assert whole.usage is not None
    assert usage.completion_tokens == whole.usage.completion_tokens


def test_sampling_fields(client: openai.OpenAI) -> None:
    plain = client.chat.completions.create(model="tiny", messages=HELLO, **MORE)
    text = plain.choices[0].message.content or ""
    assert len(text) > 4
    stop = text[2:4]
    cut = client.chat.completions.create(model="tiny", messages=HELLO, stop=[stop], **MORE)
    assert cut.choices[0].message.content == text[: text.index(stop)]
    assert cut.choices[0].finish_reason == "stop"
    biased = client.chat.completions.create(
        model="tiny", messages=HELLO, max_tokens=5, logit_bias={"65": 100}
    )
    assert biased.choices[0].message.content == "AAAAA"
    extras = {"top_k": 5, "min_p": 0.01, "repetition_penalty": 1.2, "min_tokens": 3}
    several = client.chat.completions.create(
        model="tiny",
        messages=HELLO,
        n=3,
        presence_penalty=0.5,
        frequency_penalty=0.5,
        top_p=0.9,
        extra_body=extras,
        **MORE,
    )
    assert [c.index for c in several.choices] == [0, 1, 2]


def test_logprobs(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="tiny", messages=HELLO, max_tokens=6, logprobs=True, top_logprobs=3
    )
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content is not None
    assert answer.usage is not None
    assert len(logprobs.content) == answer.usage.completion_tokens
    for entry in logprobs.content:
        assert entry.logprob <= 0
        assert len(entry.top_logprobs) == 3
        # Greedy: the likeliest one was taken.
        assert entry.logprob == entry.top_logprobs[0].logprob


def test_reasoning_and_its_budget(client: openai.OpenAI) -> None:
    asked = {
        "chat_template_kwargs": {"enable_thinking": True},
        "thinking_token_budget": 8,
        "nanovl_budget_mode": "hard",
    }
    answer = client.chat.completions.create(
        model="tiny", messages=HELLO, max_tokens=400, extra_body=asked, temperature=1.0, seed=3
    )
    message: Any = answer.choices[0].message
    assert message.reasoning
    assert message.reasoning == message.reasoning_content
    assert answer.usage is not None
    details = answer.usage.completion_tokens_details
    assert details is not None
    assert details.reasoning_tokens is not None
    assert 0 < details.reasoning_tokens <= 8 + 16  # budget, and the closing tag in bytes
    off = client.chat.completions.create(
        model="tiny", messages=HELLO, max_tokens=8, reasoning_effort="none"
    )
    hidden: Any = off.choices[0].message
    assert hidden.reasoning is None


def test_answer_now(server: Server, client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="tiny",
        messages=HELLO,
        max_tokens=3000,
        temperature=1.0,
        seed=1,
        stream=True,
        extra_body={
            "chat_template_kwargs": {"enable_thinking": True},
            "ignore_eos": True,
            "repetition_detection": False,
        },
    )
    thought = answered = 0
    told = False
    for chunk in stream:
        delta: Any = chunk.choices[0].delta
        thought += bool(getattr(delta, "reasoning", None))
        answered += bool(delta.content)
        if thought == 5 and not told:
            told = True
            done = client.post(
                "/chat/completions/control",
                cast_to=object,
                body={"id": chunk.id, "action": "reasoning_end"},
            )
            assert done == {"id": chunk.id, "action": "reasoning_end", "success": True}
        if answered > 5:
            break
    stream.close()
    assert told
    assert answered > 5
    assert server.idle()
    with pytest.raises(openai.NotFoundError):
        client.post(
            "/chat/completions/control",
            cast_to=object,
            body={"id": "chatcmpl-gone", "action": "reasoning_end"},
        )


def test_tools_that_are_required(client: openai.OpenAI) -> None:
    named = {"type": "function", "function": {"name": "add"}}
    for choice in ("required", named):
        asked: dict[str, Any] = {"tools": [TOOL], "tool_choice": choice, "max_tokens": 600}
        answer = client.chat.completions.create(model="tiny", messages=HELLO, **asked)
        first = answer.choices[0]
        assert first.message.tool_calls
        call = first.message.tool_calls[0]
        assert call.type == "function"
        assert call.function.name == "add"
        values = json.loads(call.function.arguments)
        assert set(values) == {"a", "b"}
        assert 0 <= values["a"] <= 99
        assert first.finish_reason == ("stop" if choice is named else "tool_calls")
        stream = client.chat.completions.create(model="tiny", messages=HELLO, stream=True, **asked)
        text = ""
        for chunk in stream:
            for piece in chunk.choices[0].delta.tool_calls or ():
                if piece.index == 0:
                    assert piece.function is not None
                    text += piece.function.arguments or ""
        assert json.loads(text) == values
    back = client.chat.completions.create(
        model="tiny",
        max_tokens=4,
        tools=[TOOL],  # type: ignore[list-item]
        messages=[
            *HELLO,
            first.message.model_dump(exclude_none=True),  # type: ignore[list-item]
            {"role": "tool", "tool_call_id": call.id, "content": "3"},
        ],
    )
    assert back.usage is not None


def test_structured_answers(client: openai.OpenAI) -> None:
    parsed = client.chat.completions.parse(
        model="tiny", messages=HELLO, response_format=Paint, max_tokens=200
    )
    paint = parsed.choices[0].message.parsed
    assert paint is not None
    assert isinstance(paint.n, bool)
    for extra, check in (
        ({"structured_outputs": {"choice": ["yes", "no"]}}, lambda t: t in ("yes", "no")),
        ({"structured_outputs": {"regex": "[ab]{3}"}}, lambda t: set(t) <= set("ab")),
        (
            {"structured_outputs": {"json": SCHEMA}},
            lambda t: set(json.loads(t)) == {"color", "n"},
        ),
    ):
        answer = client.chat.completions.create(
            model="tiny", messages=HELLO, max_tokens=100, extra_body=extra
        )
        assert check(answer.choices[0].message.content or "")
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(
            model="tiny",
            messages=HELLO,
            extra_body={"structured_outputs": {"regex": "(unclosed"}},
        )


def test_all_kinds_of_media(client: openai.OpenAI, tmp_path: Path) -> None:
    film = video(tmp_path / "film.mp4").read_bytes()
    sound = io.BytesIO()
    with wave.open(sound, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(b"\0\0" * 8000)
    frame = io.BytesIO()
    Image.new("RGB", (32, 32), "red").save(frame, "JPEG")
    jpeg = base64.b64encode(frame.getvalue()).decode()
    parts: dict[str, dict[str, Any]] = {
        "image": {"type": "image_url", "image_url": {"url": url_of(picture_bytes())}},
        "low": {
            "type": "image_url",
            "image_url": {"url": url_of(picture_bytes()), "detail": "low"},
        },
        "pdf": {
            "type": "file",
            "file": {"file_data": url_of(pdf_bytes(2), "application/pdf"), "filename": "a.pdf"},
        },
        "video": {"type": "video_url", "video_url": {"url": url_of(film, "video/mp4")}},
        "frames": {
            "type": "video_url",
            "video_url": {"url": f"data:video/jpeg;base64,{jpeg},{jpeg}"},
        },
        "audio": {
            "type": "input_audio",
            "input_audio": {"data": base64.b64encode(sound.getvalue()).decode(), "format": "wav"},
        },
    }
    counts: dict[str, int] = {}
    for name, part in parts.items():
        messages: Any = [{"role": "user", "content": [{"type": "text", "text": "what?"}, part]}]
        answer: Any = client.chat.completions.create(model="tiny", messages=messages, max_tokens=3)
        counts[name] = sum(answer.usage.prompt_tokens_details.multimodal_tokens.values())
        counted: Any = client.post("/../tokenize", cast_to=object, body={"messages": messages})
        assert counted["count"] == answer.usage.prompt_tokens
        if name != "audio":
            assert answer.nanovl_media[0]["tokens"] > 0
    assert counts["low"] < counts["image"]
    assert counts["audio"] == 0
    assert all(counts[name] for name in ("image", "pdf", "video", "frames"))
    messages = [{"role": "user", "content": [parts["video"]]}]
    fewer: Any = client.chat.completions.create(
        model="tiny",
        messages=messages,
        max_tokens=3,
        extra_body={"media_io_kwargs": {"video": {"num_frames": 2}}},
    )
    assert fewer.nanovl_media[0]["frames"] == 2


def test_raw_prompts(client: openai.OpenAI) -> None:
    prompts: list[Any] = ["once", ["a", "b"], [97, 98], [[97], [98]]]
    for prompt, count in zip(prompts, (1, 2, 1, 2), strict=True):
        answer = client.completions.create(model="tiny", prompt=prompt, max_tokens=4)
        assert len(answer.choices) == count
    echoed = client.completions.create(
        model="tiny", prompt="once", max_tokens=4, echo=True, logprobs=2
    )
    assert echoed.choices[0].text.startswith("once")
    logprobs = echoed.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.token_logprobs is not None
    assert len(logprobs.token_logprobs) == 5 + 4
    stream = client.completions.create(model="tiny", prompt="once", max_tokens=4, stream=True)
    assert "".join(c.choices[0].text for c in stream) == echoed.choices[0].text[4:]


def test_responses(client: openai.OpenAI) -> None:
    first = client.responses.create(model="tiny", input="hi", max_output_tokens=12)
    assert first.status in ("completed", "incomplete")
    assert first.output_text
    assert first.usage is not None
    assert first.usage.output_tokens <= 12
    assert client.responses.retrieve(first.id).output_text == first.output_text
    follow = client.responses.create(
        model="tiny", input="and?", previous_response_id=first.id, max_output_tokens=4
    )
    assert follow.usage is not None
    assert follow.usage.input_tokens > first.usage.input_tokens
    text = ""
    with client.responses.stream(
        model="tiny", input="hi", text_format=Paint, max_output_tokens=200
    ) as stream:
        for event in stream:
            if event.type == "response.output_text.delta":
                text += event.delta
        assert stream.get_final_response().output_text == text
    assert set(json.loads(text)) == {"color", "n"}
    structured = client.responses.parse(
        model="tiny", input="hi", text_format=Paint, max_output_tokens=200
    )
    assert isinstance(structured.output_parsed, Paint)


def test_files(server: Server, client: openai.OpenAI) -> None:
    made = client.files.create(file=("a.png", picture_bytes()), purpose="vision")
    assert made.bytes == len(picture_bytes())
    messages: Any = [{"role": "user", "content": [{"type": "file", "file": {"file_id": made.id}}]}]
    answer: Any = client.chat.completions.create(model="tiny", messages=messages, max_tokens=3)
    assert answer.usage.prompt_tokens_details.multimodal_tokens["image"] > 0
    assert made.id in [f.id for f in client.files.list()]
    assert client.files.content(made.id).read() == picture_bytes()
    with pytest.raises(openai.NotFoundError):
        server.client("other-key").files.retrieve(made.id)
    assert client.files.delete(made.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="tiny", messages=messages)


def test_speech(client: openai.OpenAI, tmp_path: Path) -> None:
    path = tmp_path / "talk.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(b"\0\0" * 8000)
    assert client.audio.transcriptions.create(model="tiny", file=path).text == "Good morning."
    srt: Any = client.audio.transcriptions.create(model="tiny", file=path, response_format="srt")
    assert "00:00:00,000 --> 00:00:01,000" in str(srt)


def test_models(client: openai.OpenAI) -> None:
    (model,) = client.models.list().data
    assert model.id == "tiny"
    assert model.model_dump()["max_model_len"] > 0
    assert "audio" in model.model_dump()["input_modalities"]
    assert client.models.retrieve("tiny").id == "tiny"


def test_errors_are_those_of_the_client(server: Server, client: openai.OpenAI) -> None:
    ask = client.chat.completions.create
    with pytest.raises(openai.AuthenticationError) as denied:
        server.client("wrong").models.list()
    assert denied.value.code == "invalid_api_key"
    with pytest.raises(openai.NotFoundError) as missing:
        ask(model="gpt-9", messages=HELLO)
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as long:
        ask(model="tiny", messages=[{"role": "user", "content": "x" * 200_000}])
    assert long.value.code == "context_length_exceeded"
    bad: Any = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]
    with pytest.raises(openai.UnprocessableEntityError) as unusable:
        ask(model="tiny", messages=[{"role": "user", "content": bad}])
    assert unusable.value.param == "messages.0.content.0"
    inside: Any = [{"type": "image_url", "image_url": {"url": "http://127.0.0.1/x.png"}}]
    with pytest.raises(openai.PermissionDeniedError):
        ask(model="tiny", messages=[{"role": "user", "content": inside}])
    assert ask(model="tiny", messages=HELLO, max_tokens=2).choices


def test_a_second_turn_begins_where_the_first_one_ended(client: openai.OpenAI) -> None:
    messages: list[Any] = [{"role": "user", "content": "tell me something " * 20}]
    first = client.chat.completions.create(model="tiny", messages=messages, max_tokens=8)
    messages += [
        {"role": "assistant", "content": first.choices[0].message.content},
        {"role": "user", "content": "and then?"},
    ]
    second = client.chat.completions.create(model="tiny", messages=messages, max_tokens=8)
    assert second.usage is not None
    assert second.usage.prompt_tokens_details is not None
    assert (second.usage.prompt_tokens_details.cached_tokens or 0) > 0


def test_leaving_frees_everything(server: Server, client: openai.OpenAI) -> None:
    for _ in range(5):
        stream = client.chat.completions.create(
            model="tiny",
            messages=HELLO,
            max_tokens=3000,
            stream=True,
            extra_body={"ignore_eos": True, "repetition_detection": False},
        )
        next(iter(stream))
        stream.close()
    assert server.idle()


def test_the_log_holds_no_prompts_and_no_errors(server: Server, client: openai.OpenAI) -> None:
    secret = "a very secret question"
    client.chat.completions.create(
        model="tiny", messages=[{"role": "user", "content": secret}], max_tokens=2
    )
    log = server.log.read_text()
    assert "status=200" in log
    assert secret not in log
    assert KEY not in log
    assert "Traceback" not in log
