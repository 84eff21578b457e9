"""The client: what is retried, what ends the run, what is paid for, and what is kept."""

from __future__ import annotations

import sqlite3
import threading
import time
from pathlib import Path

import pytest

from nanovl.core.errors import BackendError, ConfigError, InputError
from nanovl.synth.model import transport
from nanovl.synth.model.cache import AnswerCache, Completion, request_key
from nanovl.synth.model.client import ChatClient, Endpoint, RequestFailed, Stopped
from nanovl.synth.model.limits import Bill, Limits, RateLimiter, backoff_s, retry_after_s
from nanovl.synth.model.transport import NoReply, chat_address, post
from nanovl.synth.model.work import run_jobs
from tests.unit.synth.model.stub import Body, Say, Stub, serving

HELLO = {"messages": [{"role": "user", "content": "hello"}]}


def client(stub: Stub, cache: AnswerCache | None = None, **limits: object) -> ChatClient:
    endpoint = Endpoint(url=stub.url, model="m", key="sk-very-secret")
    return ChatClient(endpoint, Limits(**{"retries": 3, **limits}), cache)  # type: ignore[arg-type]


def say(*replies: Say):  # type: ignore[no-untyped-def]
    """Replies in order; the last one again and again."""
    return lambda body, before: replies[min(before, len(replies) - 1)]


def test_an_answer_is_read_and_kept(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path / "a.sqlite")
    with serving(say(Say("hi", reasoning="well"))) as stub:
        one = client(stub, cache)
        answer = one.ask(HELLO)
        assert (answer.text, answer.reasoning, answer.finish) == ("hi", "well", "stop")
        assert one.ask(HELLO) == answer
        assert one.ask(HELLO, sample=1) == answer  # another sample of it is another request
        cache.close()
        again = client(stub, AnswerCache(tmp_path / "a.sqlite"))
        assert again.ask(HELLO) == answer
        assert stub.count == 2
        assert again.usage().cached == 1
        assert again.usage().prompt_tokens == 200
        assert stub.keys == ["Bearer sk-very-secret"] * 2
    assert b"sk-very-secret" not in (tmp_path / "a.sqlite").read_bytes()


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (Say(status=500), "http_500"),
        (Say(status=503, headers={"Retry-After": "0"}), "http_503"),
        (Say(status=408), "http_408"),
        (Say(status=409), "http_409"),
        (Say(status=425), "http_425"),
        (Say(status=429), "http_429"),
        (Say("half", cut=40), "cut_off"),
        (Say(raw=b'{"choices": [{"mess'), "cut_off"),
    ],
)
def test_passing_trouble_is_tried_again(bad: Say, reason: str) -> None:
    with serving(say(bad, bad, Say("fine"))) as stub:
        one = client(stub)
        assert one.ask(HELLO).text == "fine"
        assert stub.count == 3
        assert one.usage().retried == 2
    with serving(say(bad)) as stub:
        one = client(stub)
        with pytest.raises(RequestFailed) as caught:
            one.ask(HELLO)
        assert caught.value.reason == reason
        assert stub.count == 4
        assert one.usage().failed == {reason: 1}


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (Say("Incorrect key sk-very-secret", status=401), "--key-env"),
        (Say(status=403), "--key-env"),
        (Say("no such model", status=404), "know the model 'm'"),
        (Say(status=402), "account is used up"),
        (Say(status=307, headers={"Location": "http://other.example/v1"}), "moved to"),
        (Say(status=429, headers={"Retry-After": "3600"}), "asks to wait 3600 s"),
        (Say(raw=b'{"error": {"message": "pay", "code": "insufficient_quota"}}', status=429),
         "account is used up"),
    ],
)  # fmt: skip
def test_what_cannot_pass_ends_the_run_and_says_what_to_do(reply: Say, says: str) -> None:
    with serving(say(reply)) as stub:
        with pytest.raises(BackendError, match=says) as caught:
            client(stub).ask(HELLO)
        assert not isinstance(caught.value, RequestFailed)
        assert "sk-very-secret" not in str(caught.value)
        assert stub.count == 1


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Say("temperature must be 1", status=400), "http_400"),
        (Say("too long", status=413), "http_413"),
        (Say(raw=b"{}"), "bad_answer"),
        (Say(raw=b'{"choices": []}'), "bad_answer"),
        (Say(raw=b'{"choices": [{"message": null}]}'), "bad_answer"),
    ],
)
def test_a_refused_request_fails_alone(reply: Say, reason: str) -> None:
    with serving(lambda body, before: reply if body.get("bad") else Say("ok")) as stub:
        one = client(stub)
        with pytest.raises(RequestFailed) as caught:
            one.ask({**HELLO, "bad": 1})
        assert caught.value.reason == reason
        assert one.ask(HELLO).text == "ok"
        assert stub.count == 2


def test_refusals_without_end_end_the_run() -> None:
    with serving(say(Say("no", status=400))) as stub:
        one = client(stub, parallel=2)
        with pytest.raises(BackendError, match="8 requests in a row got no answer"):
            run_jobs(range(50), lambda n: one.ask({**HELLO, "seed": n}), one)
        assert stub.count < 15


def test_a_server_that_is_down_is_named() -> None:
    one = ChatClient(Endpoint(url="http://127.0.0.1:9/v1", model="m"), Limits())
    with pytest.raises(BackendError, match="does not answer"):
        one.ask(HELLO)


def test_a_hanging_server_is_left_in_time() -> None:
    never = threading.Event()
    with serving(say(Say(hang=never))) as stub:
        one = client(stub, timeout_s=0.2, retries=1)
        begun = time.monotonic()
        with pytest.raises(RequestFailed) as caught:
            one.ask(HELLO)
        never.set()
        assert caught.value.reason == "timeout"
        assert time.monotonic() - begun < 5
        assert stub.count == 2


def test_a_slow_trickle_does_not_outlast_the_deadline() -> None:
    class Trickle(Say):
        def body(self) -> bytes:
            return b"{"

    with serving(say(Trickle(cut=1000))) as stub:
        with pytest.raises(NoReply) as caught:
            post(chat_address(stub.url), b"{}", {}, 5.0)
        assert caught.value.reason == "cut_off"


def test_retry_after_holds_everybody_back() -> None:
    replies = say(Say(status=429, headers={"Retry-After": "0.3"}), Say("ok"))
    with serving(lambda body, before: replies(body, before) if "slow" in body else Say("ok")) as s:
        one = client(s)
        begun = time.monotonic()
        one.ask({**HELLO, "slow": 1})
        assert 0.3 <= time.monotonic() - begun < 5


def test_replies_that_are_too_large_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "MOST_BYTES", 1000)
    with serving(say(Say("x" * 5000))) as stub:
        with pytest.raises(RequestFailed) as caught:
            client(stub).ask(HELLO)
        assert caught.value.reason == "too_large"
        assert stub.count == 1


def test_tokens_that_are_not_counted_are_estimated() -> None:
    with serving(say(Say("a" * 40, usage=None))) as stub:
        one = client(stub)
        assert one.ask(HELLO).completion_tokens == 10
        assert one.usage().estimated == 1


@pytest.mark.parametrize("limits", [{"budget_tokens": 250}, {"budget": 2.6, "price_in": 1e4}])
def test_a_budget_stops_the_run(tmp_path: Path, limits: dict[str, float]) -> None:
    with serving(say(Say("ok"))) as stub:
        cache = AnswerCache(tmp_path / "a.sqlite")
        one = client(stub, cache, parallel=1, **limits)
        done = run_jobs(range(9), lambda n: one.ask({**HELLO, "seed": n}).text, one)
        assert done.made[:3] == ["ok"] * 3
        assert done.unfinished == 6
        assert "budget" in one.why_stopped
        assert stub.count == 3
        # The next run does not start over: what was spent is spent, what was answered is there.
        cache.close()
        two = client(stub, AnswerCache(tmp_path / "a.sqlite"), parallel=1, **limits)
        assert run_jobs(range(4), lambda n: two.ask({**HELLO, "seed": n}).text, two).unfinished == 1
        assert stub.count == 3


def test_a_budget_of_nothing_reads_the_cache_alone(tmp_path: Path) -> None:
    with serving(say(Say("ok"))) as stub:
        cache = AnswerCache(tmp_path / "a.sqlite")
        client(stub, cache).ask(HELLO)
        free = client(stub, cache, budget=0.0)
        assert free.ask(HELLO).text == "ok"
        with pytest.raises(Stopped, match="budget of 0"):
            free.ask({**HELLO, "seed": 1})


def test_parallel_requests_are_bounded_and_the_same_is_asked_once() -> None:
    def slow(body: Body, before: int) -> Say:
        time.sleep(0.03)
        return Say("ok")

    with serving(slow) as stub:
        one = client(stub, parallel=3)
        run_jobs(range(12), lambda n: one.ask({**HELLO, "seed": n % 6}), one)
        assert stub.most_at_once <= 3
        assert stub.count == 6


def test_results_come_in_the_order_of_the_jobs() -> None:
    one = ChatClient(Endpoint(url="http://127.0.0.1:9/v1", model="m"), Limits(parallel=4))

    def work(n: int) -> int:
        time.sleep(0.02 if n % 2 else 0.0)
        if n == 3:
            raise RequestFailed("lost", "this one")
        return n * n

    done = run_jobs(range(8), work, one)
    assert done.made == [0, 1, 4, None, 16, 25, 36, 49]
    assert done.failures == [(3, "lost", "this one")]
    with pytest.raises(ZeroDivisionError):
        run_jobs(range(8), lambda n: 1 // (n - 2), one)


# --- pieces -------------------------------------------------------------------------------------


def test_requests_and_tokens_of_any_minute_are_bounded() -> None:
    now = [0.0]
    sent: list[tuple[float, int]] = []
    limiter = RateLimiter(5, 1000, clock=lambda: now[0])

    def wait(seconds: float) -> None:
        now[0] += seconds + 1e-6

    for _ in range(40):
        place = limiter.acquire(300, wait)
        sent.append((now[0], 150 if len(sent) % 2 else 300))
        limiter.settle(place, sent[-1][1])
        now[0] += 1.0
    for moment, _ in sent:
        window = [(t, n) for t, n in sent if moment <= t < moment + 60]
        assert len(window) <= 5
        assert sum(n for _, n in window) <= 1000
    assert len(sent) == 40
    limiter.hold(7.0)
    before = now[0]
    limiter.acquire(1, wait)
    assert now[0] - before >= 7.0


def test_a_request_over_the_bound_goes_alone() -> None:
    now = [0.0]
    limiter = RateLimiter(None, 100, clock=lambda: now[0])

    def wait(seconds: float) -> None:
        now[0] += seconds + 1e-6

    limiter.acquire(5000, wait)
    assert now[0] == 0.0
    limiter.acquire(10, wait)
    assert now[0] >= 60.0


def test_waits_double_and_spread() -> None:
    waits = [backoff_s(n, "key") for n in range(12)]
    assert waits == [backoff_s(n, "key") for n in range(12)]
    assert backoff_s(0, "key") != backoff_s(0, "other")
    assert all(0.005 * 2**n <= w <= 0.015 * 2**n for n, w in enumerate(waits[:8]))
    assert max(backoff_s(40, str(k)) for k in range(50)) <= 90


def test_retry_after_in_all_its_forms() -> None:
    assert retry_after_s({"retry-after": "2.5"}) == 2.5
    assert retry_after_s({"retry-after-ms": "250"}) == 0.25
    date = "Wed, 21 Oct 2015 07:28:00 GMT"
    assert retry_after_s({"retry-after": date}, now=lambda: 1445412470.0) == 10.0
    assert retry_after_s({"retry-after": "soon"}) is None
    assert retry_after_s({}) is None


def test_the_bill() -> None:
    bill = Bill(Limits(price_in=2.0, price_out=10.0, budget=1.0), 100_000, 50_000)
    assert bill.cost == pytest.approx(0.7)
    assert bill.reached == ""
    bill.add(0, 30_000)
    assert "budget of 1 is reached" in bill.reached


def test_the_key_of_a_request_is_all_of_it() -> None:
    base = request_key({"model": "m", "messages": [1], "seed": 1})
    assert base == request_key({"seed": 1, "messages": [1], "model": "m"})
    assert base != request_key({"model": "n", "messages": [1], "seed": 1})
    assert base != request_key({"model": "m", "messages": [2], "seed": 1})
    assert base != request_key({"model": "m", "messages": [1], "seed": 1}, 1)


def test_fields_of_the_user_are_sent_and_null_takes_one_away() -> None:
    with serving(say(Say("ok"))) as stub:
        endpoint = Endpoint(url=stub.url, model="m", extra={"top_k": 20, "seed": None})
        ChatClient(endpoint).ask({**HELLO, "seed": 3})
        assert stub.bodies[0] == {**HELLO, "model": "m", "top_k": 20}
        assert stub.keys == [None]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://h:8000/v1", "http://h:8000/v1/chat/completions"),
        ("https://h/v1/", "https://h/v1/chat/completions"),
        (
            "https://h/x/chat/completions?api-version=2",
            "https://h/x/chat/completions?api-version=2",
        ),
    ],
)
def test_addresses(url: str, expected: str) -> None:
    assert chat_address(url) == expected


@pytest.mark.parametrize("url", ["", "h:8000", "ftp://h/v1", "http://u:p@h/v1", "http://h:x/v1"])
def test_bad_addresses_are_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="endpoint"):
        chat_address(url)


@pytest.mark.parametrize(
    "limits",
    [
        {"parallel": 0},
        {"budget": 1.0},
        {"requests_per_min": 0.5},
        {"timeout_s": 0},
        {"retries": -1},
    ],
)
def test_impossible_limits_are_refused(limits: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        Limits(**limits)  # type: ignore[arg-type]


def test_bad_endpoints_are_refused() -> None:
    with pytest.raises(ConfigError, match="model"):
        Endpoint(url="http://h/v1", model=" ")
    with pytest.raises(ConfigError, match="set by nanovl"):
        Endpoint(url="http://h/v1", model="m", extra={"messages": []})
    with pytest.raises(ConfigError, match="blanks") as caught:
        Endpoint(url="http://h/v1", model="m", key="sk-1\nX: y")
    assert "sk-1" not in str(caught.value)
    assert "sk-2" not in repr(Endpoint(url="http://h/v1", model="m", key="sk-2"))


def test_other_files_are_no_cache(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("this is no database, whatever its name says. " * 50)
    with pytest.raises(InputError, match="file of answers"):
        AnswerCache(tmp_path / "text")
    other = sqlite3.connect(tmp_path / "other.sqlite")
    other.execute("CREATE TABLE answers (x)")
    other.close()
    with pytest.raises(InputError, match="file of answers"):
        AnswerCache(tmp_path / "other.sqlite")
    with AnswerCacheOf(tmp_path / "new.sqlite") as cache:
        cache.set_fact("version", "99")
    with pytest.raises(InputError, match="version 99"):
        AnswerCache(tmp_path / "new.sqlite")


class AnswerCacheOf:
    """A cache that is closed at the end of a block."""

    def __init__(self, path: Path) -> None:
        self.cache = AnswerCache(path)

    def __enter__(self) -> AnswerCache:
        return self.cache

    def __exit__(self, *exception: object) -> None:
        self.cache.close()


def test_a_closed_cache_forgets_quietly(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path / "a.sqlite")
    cache.put("k", Completion(text="a", prompt_tokens=3, completion_tokens=4))
    assert cache.tokens() == (3, 4)
    assert len(cache) == 1
    cache.close()
    cache.put("l", Completion(text="b"))
    with AnswerCacheOf(tmp_path / "a.sqlite") as again:
        assert again.get("k") == Completion(text="a", prompt_tokens=3, completion_tokens=4)
        assert again.get("l") is None
