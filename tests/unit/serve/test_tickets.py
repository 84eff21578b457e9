"""Requests between the engine's thread and the event loop."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from nanovl.core.errors import CapacityError, InputError
from nanovl.core.generation import Delta, Generation
from nanovl.serve.errors import ApiError
from nanovl.serve.tickets import Ticket
from tests.unit.serve.conftest import Serve
from tests.unit.serve.fakes import FakeRequest, wait_for, words

DONE = Delta(finish_reason="stop", generation=Generation(text="ab"))


class Recorder:
    """A stream that only remembers."""

    id = "x"

    def __init__(self) -> None:
        self.cancelled = 0

    def listen(self, push: Any) -> None:
        self.push = push

    def cancel(self) -> None:
        self.cancelled += 1

    def end_reasoning(self) -> bool:
        return True


def ticket(**options: Any) -> tuple[Ticket, Recorder]:
    made, stream = Ticket("t", **options), Recorder()
    made.attach(stream)
    return made, stream


def test_pieces_come_in_order_from_another_thread() -> None:
    async def main() -> list[Generation]:
        made, stream = ticket()

        def engine() -> None:
            for text in "abc":
                stream.push(Delta(text=text))
            stream.push(DONE)
            stream.push(None)

        thread = threading.Thread(target=engine)
        thread.start()
        texts = []
        while True:
            piece = await made.next(5)
            if piece is None:
                break
            assert isinstance(piece, Delta)
            texts.append(piece.text)
        thread.join()
        assert texts == ["a", "b", "c", ""]
        assert await made.next() is None  # whoever asks again gets the same
        assert made.is_ended
        return made.complete()

    assert asyncio.run(main())[0].text == "ab"


def test_silence_is_a_timeout_and_costs_nothing() -> None:
    async def main() -> None:
        made, stream = ticket()
        with pytest.raises(TimeoutError):
            await made.next(0.02)
        stream.push(Delta(text="a"))
        piece = await made.next(1)
        assert isinstance(piece, Delta)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("error", "status"),
    [(InputError("a.png: damaged"), 422), (CapacityError("x"), 503), (ValueError("x"), 500)],
)
def test_errors_are_raised_to_whoever_reads(error: Exception, status: int) -> None:
    async def main() -> None:
        made, stream = ticket()
        stream.push(Delta(text="a"))
        stream.push(error)
        await made.next(1)
        for _ in range(2):
            with pytest.raises(ApiError) as caught:
                await made.next(1)
            assert caught.value.status == status
        failure = made.failure()
        assert failure is not None
        assert failure.status == status

    asyncio.run(main())


def test_cancelling_tells_the_engine_once_and_wakes_the_reader() -> None:
    async def main() -> None:
        ends: list[Any] = []
        made, stream = ticket(on_end=lambda t, e: ends.append(e))
        reading = asyncio.ensure_future(made.all())
        await asyncio.sleep(0.01)
        made.cancel(ApiError(409, "stop it"))
        made.cancel()
        with pytest.raises(ApiError, match="stop it"):
            await asyncio.wait_for(reading, 1)
        assert stream.cancelled == 1
        stream.push(Delta(text="late"))
        stream.push(None)
        await asyncio.sleep(0.01)
        assert len(ends) == 1
        assert not made.end_reasoning()

    asyncio.run(main())


def test_beyond_the_bound_the_request_is_given_up() -> None:
    async def main() -> None:
        made, stream = ticket(bound=3)
        for _ in range(5):
            stream.push(Delta(text="a"))
        await asyncio.wait_for(made.overflow.wait(), 1)
        assert stream.cancelled == 1

    asyncio.run(main())


def test_answers_that_are_missing_are_an_error() -> None:
    async def main() -> None:
        made, stream = ticket(answers=2)
        stream.push(DONE)
        stream.push(None)
        with pytest.raises(ApiError) as caught:
            await made.all()
        assert caught.value.status == 503

    asyncio.run(main())


def test_a_loop_that_is_gone_does_not_disturb_the_engine() -> None:
    async def main() -> Recorder:
        return ticket()[1]

    stream = asyncio.run(main())
    stream.push(Delta(text="a"))


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_cancelled_from_elsewhere_ends_for_its_reader(serve: Serve, stream: bool) -> None:
    def forever(request: FakeRequest) -> list[Any]:
        return [*words(request, "x")[:2], 30]

    served = serve(forever)
    answers: list[Any] = []
    thread = threading.Thread(
        target=lambda: answers.append(served.chat(stream=stream, request_id="mine"))
    )
    thread.start()
    assert wait_for(lambda: "chatcmpl-mine" in served.service.running)
    body = {"id": "chatcmpl-mine", "action": "cancel"}
    done = served.client.post("/v1/chat/completions/control", json=body)
    assert done.json()["success"]
    thread.join(5)
    assert not thread.is_alive()
    assert '"code":"cancelled"' in answers[0].text
    assert answers[0].status_code == (200 if stream else 409)
    assert served.model.engine.streams[0].cancelled.is_set()
    assert not served.service.running


def test_other_keys_cannot_reach_a_running_request(serve: Serve) -> None:
    release = threading.Event()

    def waiting(request: FakeRequest) -> list[Any]:
        return [lambda stream: release.wait(10), *words(request, "x")]

    served = serve(waiting, api_keys=("a", "b"))
    answers: list[Any] = []

    def ask() -> None:
        body = {"messages": [{"role": "user", "content": "x"}], "request_id": "mine"}
        headers = {"Authorization": "Bearer a"}
        answers.append(served.client.post("/v1/chat/completions", json=body, headers=headers))

    thread = threading.Thread(target=ask)
    thread.start()
    assert wait_for(lambda: "chatcmpl-mine" in served.service.running)
    for action in ("cancel", "reasoning_end"):
        body = {"id": "chatcmpl-mine", "action": action}
        other = served.client.post(
            "/v1/chat/completions/control", json=body, headers={"Authorization": "Bearer b"}
        )
        assert other.status_code == 404
    release.set()
    thread.join(5)
    assert answers[0].status_code == 200
