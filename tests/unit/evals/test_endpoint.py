"""An endpoint that is slow, busy or broken: every question ends in one answer or one reason."""

from __future__ import annotations

import base64
import io
import threading
import time
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from nanovl.core.errors import BackendError, ConfigError, InputError
from nanovl.evals.base import Medium, Sample
from nanovl.evals.chat_body import chat_body, check_transport, data_url, media_type
from nanovl.evals.endpoint import ChatEndpoint, EndpointAnswerer, Patience, RequestFailed
from nanovl.evals.modes import Setting, mode
from nanovl.evals.requests import Answered, Prompt, Request
from nanovl.testing import picture, picture_bytes
from tests.unit.evals.cases import OFF, ON, number_of, task
from tests.unit.evals.stub import Body, Say, Stub, serving, user_of

QUICK = Patience(timeout_s=5.0, retries=4, first_wait_s=0.001)
ASK = {"messages": [{"role": "user", "content": "What is 1?"}]}


def requests(count: int = 5, setting: Setting = OFF, media: bytes | None = None) -> list[Request]:
    made = task(count, media=media)
    return [Request.make(made.id, s, made.prompt(s), setting, model="m") for s in made.samples]


def answers(
    stub: Stub, asked: list[Request], *, stop: threading.Event | None = None, **more: Any
) -> list[Answered]:
    patience = more.pop("patience", QUICK)
    endpoint = ChatEndpoint(stub.url, "m", patience=patience)
    return list(EndpointAnswerer(endpoint, **more).answer(asked, stop or threading.Event()))


def echo(body: Body, before: int = 0) -> Say:
    return Say(text=user_of(body).rsplit(" ", 1)[-1].rstrip("?"))


@pytest.mark.parametrize("trouble", [408, 409, 425, 429, 500, 502, 503, 504])
def test_passing_trouble_is_tried_again(trouble: int) -> None:
    with serving(lambda b, n: Say(status=trouble) if n < 2 else echo(b)) as stub:
        found = answers(stub, requests(3))
    assert sorted(a.response.text for a in found if a.response) == ["0", "1", "2"]
    assert [a.response.meta["retries"] for a in found if a.response] == [2, 2, 2]
    assert stub.count == 9


@pytest.mark.parametrize(
    "reply",
    [
        Say(raw=b'{"choices": [{"mess'),
        Say(raw=b"\x00\xff<html>busy</html>"),
        Say(text="cut off", cut=40),
    ],
    ids=["half", "html", "cut"],
)
def test_garbage_is_tried_again(reply: Say) -> None:
    with serving(lambda b, n: reply if n < 1 else echo(b)) as stub:
        found = answers(stub, requests(2))
    assert sorted(a.response.text for a in found if a.response) == ["0", "1"]
    assert stub.count == 4


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"[]", "bad_answer"),
        (b'{"choices": []}', "bad_answer"),
        (b'{"error": {"message": "no such thing"}}', "bad_answer"),
        (b'"hello"', "bad_answer"),
        (b'{"choices": [{"message": null}]}', "bad_answer"),
    ],
)
def test_an_answer_of_another_protocol_fails_alone(body: bytes, reason: str) -> None:
    with serving(lambda b, n: Say(raw=body) if "0" in user_of(b) else echo(b)) as stub:
        found = answers(stub, requests(3))
    failed = [a.failure for a in found if a.failure]
    assert [f.kind for f in failed] == [reason]
    assert len(found) == 3
    assert stub.count == 3


def test_a_refused_question_fails_alone_and_at_once() -> None:
    with serving(
        lambda b, n: Say(status=400, text="too long") if "1" in user_of(b) else echo(b)
    ) as s:
        found = answers(s, requests(3))
    (failure,) = [a.failure for a in found if a.failure]
    assert failure.kind == "http_400"
    assert "too long" in failure.message
    assert s.count == 3


def test_what_stays_broken_is_a_failure_after_the_last_try() -> None:
    with serving(lambda b, n: Say(status=500) if "1" in user_of(b) else echo(b)) as stub:
        found = answers(stub, requests(3))
    (failed,) = [a for a in found if a.failure]
    assert failed.request.sample == "1"
    assert failed.failure is not None
    assert failed.failure.kind == "http_500"
    assert "tries: 5" in failed.failure.message
    assert stub.count == 2 + 5


def test_a_silent_endpoint_times_out_and_is_asked_again() -> None:
    over = threading.Event()
    patience = Patience(timeout_s=0.3, retries=2, first_wait_s=0.001)
    try:
        with serving(lambda b, n: Say(hang=over) if n < 1 else echo(b)) as stub:
            found = answers(stub, requests(2), patience=patience)
            over.set()
    finally:
        over.set()
    assert sorted(a.response.text for a in found if a.response) == ["0", "1"]
    assert stub.count == 4


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_obeyed_by_all(form: str) -> None:
    asked_at: list[float] = []

    def answer(body: Body, before: int) -> Say:
        asked_at.append(time.monotonic())
        if len(asked_at) > 1:
            return echo(body)
        # A date has whole seconds; two of them are at least one from now.
        wait = "0.5" if form == "seconds" else formatdate(time.time() + 2, usegmt=True)
        return Say(status=429, headers={"Retry-After": wait})

    with serving(answer) as stub:
        found = answers(stub, requests(2), parallel=1)
    assert len([a for a in found if a.response]) == 2
    assert asked_at[1] - asked_at[0] >= 0.45


def test_an_endpoint_that_asks_for_an_hour_ends_the_run() -> None:
    with (
        serving(lambda b, n: Say(status=429, headers={"Retry-After": "3600"})) as stub,
        pytest.raises(BackendError, match="asks to wait 3600 s"),
    ):
        answers(stub, requests(2))


@pytest.mark.parametrize(
    ("status", "says"), [(401, "key"), (403, "key"), (404, "ends in /v1"), (302, "ends in /v1")]
)
def test_a_wrong_key_or_address_ends_the_run(status: int, says: str) -> None:
    with serving(lambda b, n: Say(status=status)) as stub, pytest.raises(BackendError, match=says):
        answers(stub, requests(20), parallel=2)
    assert stub.count <= 4


def test_nobody_there() -> None:
    endpoint = ChatEndpoint("http://127.0.0.1:9/v1", "m", patience=QUICK)
    with pytest.raises(BackendError, match="is the server up"):
        endpoint.ask(ASK)


def test_answers_under_way_are_kept_when_the_run_ends() -> None:
    """One thread meets a fatal status while another one is being answered."""
    slow = threading.Event()

    def answer(body: Body, before: int) -> Say:
        if "0" in user_of(body):
            slow.wait(5)
            return echo(body)
        slow.set()
        return Say(status=401)

    with serving(answer) as stub:
        endpoint = ChatEndpoint(stub.url, "m", patience=QUICK)
        found: list[Answered] = []
        coming = EndpointAnswerer(endpoint, parallel=2).answer(requests(2), threading.Event())
        with pytest.raises(BackendError, match="401"):
            found.extend(coming)
    assert [a.request.sample for a in found] == ["0"]


def test_parallel_and_no_more() -> None:
    def answer(body: Body, before: int) -> Say:
        time.sleep(0.05)
        return echo(body)

    with serving(answer) as stub:
        assert len(answers(stub, requests(12), parallel=3)) == 12
    assert stub.most_at_once == 3


def test_stop_begins_nothing_new_and_keeps_what_is_under_way() -> None:
    stop = threading.Event()

    def answer(body: Body, before: int) -> Say:
        time.sleep(0.1)
        stop.set()
        return echo(body)

    with serving(answer) as stub:
        found = answers(stub, requests(50), stop=stop, parallel=2)
    assert 1 <= len(found) <= 4
    assert stub.count == len(found)


def test_stop_ends_waiting_for_another_try() -> None:
    stop = threading.Event()
    patience = Patience(timeout_s=5, retries=4, first_wait_s=60.0)

    def answer(body: Body, before: int) -> Say:
        stop.set()
        return Say(status=500)

    started = time.monotonic()
    with serving(answer) as stub:
        found = answers(stub, requests(2), stop=stop, patience=patience)
    assert found == []
    assert time.monotonic() - started < 10


def test_the_key_is_sent_and_never_shown() -> None:
    key = "sk-secret-123"
    with serving(lambda b, n: Say(status=400, text=f"bad {key}")) as stub:
        endpoint = ChatEndpoint(stub.url, "m", key=key, patience=QUICK)
        with pytest.raises(RequestFailed) as caught:
            endpoint.ask(ASK)
        assert stub.keys == [f"Bearer {key}"]
    assert key not in str(caught.value)
    assert "***" in str(caught.value)
    assert key not in str(EndpointAnswerer(endpoint).identity)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: ChatEndpoint("localhost:8000", "m"), "expected an address"),
        (lambda: ChatEndpoint("http://user:pw@host/v1", "m"), "user name or password"),
        (lambda: ChatEndpoint("http://h/v1", " "), "model"),
        (lambda: ChatEndpoint("http://h/v1", "m", key="a b"), "key"),
        (lambda: ChatEndpoint("http://h/v1", "m", extra={"stream": True}), "stream"),
        (lambda: Patience(timeout_s=0), "timeout_s"),
        (lambda: Patience(retries=-1), "retries"),
        (lambda: check_transport("vk_htpp"), "vk_http"),
    ],
)
def test_settings_that_cannot_be(made: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        made()


def test_waiting_doubles_and_spreads() -> None:
    patience = Patience(first_wait_s=1.0, most_wait_s=30.0)
    waits = [patience.wait_s(attempt, "key") for attempt in range(8)]
    for attempt, wait in enumerate(waits):
        assert 0.5 * min(30, 2**attempt) <= wait < 1.5 * min(30, 2**attempt)
    assert patience.wait_s(0, "a") != patience.wait_s(0, "b")
    assert patience.wait_s(3, "a") == patience.wait_s(3, "a")


# --- what is sent -------------------------------------------------------------------------------


def body_of(content: Any, setting: Setting = OFF, **prompt: Any) -> Body:
    sample = Sample(id="1", question="q", answer="a")
    request = Request.make("b", sample, Prompt(content=content, **prompt), setting, model="m")
    return chat_body(request, model="m")


def test_a_text_question_is_a_plain_string() -> None:
    body = body_of(("What", " now?"))
    assert body == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "/no_think"},
            {"role": "user", "content": "What now?"},
        ],
        "temperature": 0.0,
        "top_p": 1.0,
        "max_tokens": 1024,
    }


def test_reasoning_on_samples_with_a_seed() -> None:
    body = body_of(("q",), ON, system="Point at it.", max_tokens=77)
    assert body["messages"][0]["content"] == "/think\nPoint at it."
    assert (body["temperature"], body["top_p"], body["seed"]) == (0.6, 0.95, 0)
    assert body["max_tokens"] == 77


def test_budget_tiles_and_pruning_have_fields() -> None:
    setting = Setting(
        mode=mode("mm_budget_2048"),
        options={"max_tiles": 4, "pruning_rate": 0.5, "fps": 2.0, "max_frames": 128},
    )
    body = body_of(("q",), setting)
    assert body["thinking_token_budget"] == 2048
    assert body["mm_processor_kwargs"] == {"max_num_tiles": 4, "video_pruning_rate": 0.5}
    assert body["media_io_kwargs"] == {"video": {"fps": 2.0, "num_frames": 128}}


def test_a_setting_no_endpoint_has_is_an_error() -> None:
    with pytest.raises(InputError, match="image_mode"):
        body_of(("q",), Setting(mode=mode("mm_off"), options={"image_mode": "native"}))


def test_a_begun_answer() -> None:
    body = body_of(("q",), prefix="Answer:")
    assert body["messages"][-1] == {"role": "assistant", "content": "Answer:"}
    assert body["continue_final_message"] is True
    assert body["add_generation_prompt"] is False


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_pictures_travel_as_their_original_bytes(format: str) -> None:
    data = picture_bytes(picture(40, 30, "noise"), format)
    body = body_of((Medium(kind="image", data=data), "q"))
    url = body["messages"][1]["content"][0]["image_url"]["url"]
    head, _, payload = url.partition(",")
    assert head == f"data:image/{format.lower()};base64"
    assert base64.b64decode(payload) == data


def test_media_keeps_its_place(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"\x00\x00\x00\x18ftypisom")
    parts = body_of(
        (
            "first ",
            Medium(kind="video", path=str(tmp_path / "a.mp4")),
            "second",
            Medium(kind="pdf", data=b"%PDF-1.7", name="x.pdf"),
            Medium(kind="audio", data=b"RIFF\0\0\0\0WAVE"),
        )
    )["messages"][1]["content"]
    assert [p["type"] for p in parts] == ["text", "video_url", "text", "file", "input_audio"]
    assert parts[1]["video_url"]["url"].startswith("data:video/mp4;base64,")
    assert parts[3]["file"]["filename"] == "x.pdf"
    assert parts[4]["input_audio"]["format"] == "wav"


def test_vk_http_sends_jpeg_of_at_least_100_pixels() -> None:
    data = picture_bytes(picture(60, 30, "noise"))
    asked = requests(1, media=data)[0]
    url = chat_body(asked, model="m", transport="vk_http")["messages"][1]["content"][0]
    head, _, payload = url["image_url"]["url"].partition(",")
    assert head == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(payload))) as sent:
        assert sent.size == (200, 100)
        # The quantisation of quality 75: the first entry of the standard table halved.
        assert sent.quantization[0][0] == 8  # type: ignore[attr-defined]
    large = chat_body(
        requests(1, media=picture_bytes(picture(300, 200)))[0], model="m", transport="vk_http"
    )
    payload = large["messages"][1]["content"][0]["image_url"]["url"].partition(",")[2]
    with Image.open(io.BytesIO(base64.b64decode(payload))) as sent:
        assert sent.size == (300, 200)


@pytest.mark.parametrize(
    "medium", [Medium(kind="image"), Medium(kind="video", path="/no/file.mp4")]
)
def test_media_that_is_not_there(medium: Medium) -> None:
    with pytest.raises(InputError):
        body_of((medium, "q"))


def test_media_types() -> None:
    assert media_type(b"\x1a\x45\xdf\xa3....", "video") == "video/webm"
    assert media_type(b"nothing known", "image") == "image/png"
    assert data_url(b"%PDF-", "pdf") == "data:application/pdf;base64,JVBERi0="


# --- what comes back ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("say", "text", "reasoning", "unfinished"),
    [
        (Say(text="4"), "4", "", False),
        (Say(text="4", reasoning="2 and 2"), "4", "2 and 2", False),
        (Say(text="<think>2 and 2</think>4"), "4", "2 and 2", False),
        (Say(text="2 and 2</think> 4"), "4", "2 and 2", False),
        (Say(text="<think>2 and", finish="length"), "", "2 and", True),
        (Say(text="", reasoning="2 and", finish="length"), "", "2 and", True),
        (Say(text="a <think> b", reasoning="x"), "a <think> b", "x", False),
        (Say(text="a</think>b</think>c", reasoning="x"), "c", "x\na</think>b", False),
    ],
)
def test_reasoning_is_taken_off(say: Say, text: str, reasoning: str, unfinished: bool) -> None:
    with serving(lambda b, n: say) as stub:
        (found,) = answers(stub, requests(1, ON))
    assert found.response is not None
    assert found.response.text == text
    assert found.response.reasoning == reasoning
    assert found.response.unfinished is unfinished
    assert found.response.finish_reason == say.finish
    assert found.response.meta.get("no_reasoning", False) is (not reasoning)


def test_usage_and_content_in_parts() -> None:
    raw = (
        b'{"model": "x", "choices": [{"message": {"content": [{"type": "text", "text": "a"},'
        b'{"type": "text", "text": "b\\u0000\\ud800"}]}, "finish_reason": null}], "usage": '
        b'{"prompt_tokens": 5, "completion_tokens": 7, "completion_tokens_details": '
        b'{"reasoning_tokens": 3}}}'
    )
    with serving(lambda b, n: Say(raw=raw)) as stub:
        reply = ChatEndpoint(stub.url, "m", patience=QUICK).ask(ASK)
    assert reply.text == "ab?"
    assert reply.usage == {"prompt": 5, "completion": 7, "reasoning": 3}
    assert reply.finish == "stop"


def test_extra_fields_change_the_key_of_requests() -> None:
    plain = EndpointAnswerer(ChatEndpoint("http://a/v1", "m")).identity
    moved = EndpointAnswerer(ChatEndpoint("http://b/v1", "m")).identity
    other = EndpointAnswerer(ChatEndpoint("http://a/v1", "m", extra={"top_k": 5})).identity
    jpeg = EndpointAnswerer(ChatEndpoint("http://a/v1", "m"), transport="vk_http").identity
    assert plain.key == moved.key
    assert len({plain.key, other.key, jpeg.key}) == 3


def test_numbers_of_requests() -> None:
    assert [number_of(r) for r in requests(3)] == [0, 1, 2]
