"""Many requests at once: who goes when, what they share, what happens when something runs out."""

import random
import threading
import time
from dataclasses import replace

import pytest
import torch

from nanovl.core.conversation import Conversation, ImagePart, MediaRef, VideoPart
from nanovl.core.errors import CapacityError, DeadlineError, InputError, NanoVLError
from nanovl.core.generation import SamplingParams
from nanovl.engine.engine import Engine
from nanovl.engine.naive import generate_naive
from nanovl.engine.prefix_cache import MIN_TOKENS, prompt_keys, prompt_marks
from nanovl.engine.scheduler import by_turn, split_prompts, victim
from nanovl.engine.sequence import EngineRequest
from nanovl.engine.task import Task
from nanovl.processing.vocab import TURN
from nanovl.testing import picture, tiny_model, tiny_processor


@pytest.fixture(scope="module")
def model():
    return tiny_model()


@pytest.fixture(scope="module")
def processor():
    return tiny_processor()


@pytest.fixture
def make_engine(model, processor):
    engines = []

    def make(**options):
        options = {"stop_ids": (), "turn_ids": (processor.tokenizer.token_id(TURN),), **options}
        engines.append(Engine(model, processor.tokenizer, **options))
        return engines[-1]

    yield make
    for engine in engines:
        engine.close()


@pytest.fixture
def request_of(model, processor):
    def make(text="Hi", media=(), *, conversation=None, **options):
        layout = processor.plan(conversation or Conversation.user(text, media), reasoning=False)
        given = {k: options.pop(k) for k in list(options) if k in vars(SamplingParams())}
        return EngineRequest(
            layout=layout,
            load=lambda: processor.load(layout, dtype=model.dtype),
            sampling=SamplingParams(**{"max_tokens": 12, **given}),
            names=processor.fingerprints(layout),
            **options,
        )

    return make


def image(seed=0, width=64, height=64):
    return ImagePart(source=MediaRef(array=picture(width, height, seed=seed)))


def video(rate, seed=0):
    frames = [picture(64, 64, seed=seed + i) for i in range(4)]
    return VideoPart(source=MediaRef(array=frames), fps=2.0, pruning_rate=rate)


def answer(engine, request):
    return next(d.generation for d in engine.submit(request) if d.generation)


def naive_ids(engine, request):
    return generate_naive(engine.model, engine.codec, request, tuple(engine.stop_ids)).token_ids


def assert_nothing_held(engine):
    """No slot, and no block but those of snapshots."""
    assert engine.used_slots == 0
    engine.forget()
    assert engine.stats().kv_usage == 0.0


LONG = "A question that is long enough to be remembered by the engine for a while."


# --- equality under load ------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"kv_tokens": 336}, {"prefill_chunk": 24, "max_slots": 3}])
def test_any_mix_equals_the_naive_loop(make_engine, request_of, options):
    engine = make_engine(**options)
    rng = random.Random(5)
    media = [(), [image(1)], [video(0.5)], [image(2, 128, 64)], [image(1), video(None)]]
    requests = [
        request_of(
            "x" * rng.randint(1, 60),
            media[i % len(media)],
            temperature=rng.choice([0.0, 1.1]),
            seed=i,
            max_tokens=rng.randint(1, 50),
        )
        for i in range(12)
    ]
    expected = [naive_ids(engine, request) for request in requests]
    for _ in range(2):  # the second time from what was kept
        done = {i: d.generation for i, d in engine.run(requests) if d.generation}
        assert [done[i].token_ids for i in range(len(requests))] == expected
    if "kv_tokens" in options:
        assert engine.stats().preemptions > 0
    assert_nothing_held(engine)


def test_arrivals_while_others_answer(make_engine, request_of):
    engine = make_engine()
    first = request_of("one", max_tokens=20)
    second = request_of("another", [image()], max_tokens=5)
    streams = [engine.submit(first)]
    pieces = iter(streams[0])
    ids = [t for _ in range(6) for t in next(pieces).token_ids]
    streams.append(engine.submit(second))
    assert [t for d in streams[1] for t in d.token_ids] == list(naive_ids(engine, second))
    ids += [t for d in pieces for t in d.token_ids]
    assert ids == list(naive_ids(engine, first))


def test_several_answers_share_the_prompt(make_engine, request_of):
    engine = make_engine()
    one = request_of(LONG, [image()], temperature=1.3, seed=7)
    three = replace(one, sampling=replace(one.sampling, n=3))
    done = {d.index: d.generation for d in engine.submit(three) if d.generation}
    assert sorted(done) == [0, 1, 2]
    for index, generation in done.items():
        alone = replace(one, sampling=replace(one.sampling, seed=7 + index))
        assert generation.token_ids == naive_ids(engine, alone)
        assert generation.index == index
    assert len({g.token_ids for g in done.values()}) == 3
    assert_nothing_held(engine)


def test_more_answers_than_slots_are_refused(make_engine, request_of):
    with pytest.raises(CapacityError, match="n 3: this model answers 2 at a time"):
        make_engine(max_slots=2).submit(request_of(n=3))


# --- what is kept -------------------------------------------------------------------------------


def turn(conversation, answer_text, question):
    from nanovl.core.conversation import Message

    messages = (
        *conversation.messages,
        Message.text("assistant", answer_text),
        Message.text("user", question),
    )
    return Conversation(messages=messages)


def test_the_second_turn_begins_where_the_first_ended(make_engine, request_of):
    engine = make_engine()
    conversation = Conversation.user(LONG, [image()])
    first = answer(engine, request_of(conversation=conversation))
    assert first.usage.cached_tokens == 0
    follow = request_of(conversation=turn(conversation, first.text, "And then?"))
    second = answer(engine, follow)
    assert second.usage.cached_tokens > follow.layout.num_tokens // 2
    assert second.token_ids == naive_ids(engine, follow)
    assert second.timings.prefill_tokens == follow.layout.num_tokens - second.usage.cached_tokens
    stats = engine.stats()
    assert stats.prefix_hits == second.usage.cached_tokens
    # The last token of an answer is never computed.
    used = [first.usage, second.usage]
    computed = sum(u.prompt_tokens - u.cached_tokens + u.completion_tokens - 1 for u in used)
    assert sum(size * times for size, times in stats.step_sizes.items()) == computed
    assert sum(stats.step_sizes.values()) == stats.steps


@pytest.mark.parametrize("rate", [None, 0.5])
def test_the_same_picture_is_encoded_once(make_engine, request_of, model, monkeypatch, rate):
    engine = make_engine()
    seen = []
    encode = model.encode_media
    monkeypatch.setattr(
        type(model), "encode_media", lambda self, pixels: (seen.append(1), encode(pixels))[1]
    )
    media = [image()] if rate is None else [video(rate)]
    questions = [request_of(q, media) for q in ("What is it?", "Where is it, though?")]
    for request in questions:
        assert answer(engine, request).token_ids == naive_ids(engine, request)
    calls = len(seen)
    assert calls == 3  # once by the engine, twice by the referee
    assert engine.stats().media_hits == 1

    def never():
        raise AssertionError("the picture was opened again")

    again = replace(questions[0], load=never)
    assert answer(engine, again).token_ids == naive_ids(engine, questions[0])


def test_another_picture_or_salt_shares_nothing(make_engine, request_of):
    engine = make_engine()
    answer(engine, request_of(LONG, [image(1)]))
    other = answer(engine, request_of(LONG, [image(2)]))
    assert other.token_ids == naive_ids(engine, request_of(LONG, [image(2)]))
    text = request_of(LONG)
    answer(engine, text)
    assert answer(engine, text).usage.cached_tokens >= MIN_TOKENS
    assert answer(engine, replace(text, cache_salt="b")).usage.cached_tokens == 0


def test_kept_memory_is_bounded(make_engine, request_of, model):
    state = model.config.lm.state_bytes()
    engine = make_engine(state_cache_gib=3.5 * state / 2**30, media_cache_gib=0)
    for i in range(6):
        answer(engine, request_of(f"{i} {LONG}"))
    assert engine.stats().snapshots == 3
    none = make_engine(state_cache_gib=0)
    answer(none, request_of(LONG))
    assert none.stats().snapshots == 0
    assert none.stats().kv_usage == 0


def test_prompts_are_numbered_by_content(processor, request_of):
    a, b, c = (request_of("x", [image(seed)]).layout for seed in (1, 1, 2))
    names = [processor.fingerprints(layout) for layout in (a, b, c)]
    assert names[0] == names[1] != names[2]
    keys = [prompt_keys(layout, n) for layout, n in zip((a, b, c), names, strict=True)]
    assert (keys[0] == keys[1]).all()
    span = a.spans[0]
    inside = slice(span.start, span.start + span.length)
    assert not (keys[0][inside] == keys[2][inside]).any()
    assert len(set(keys[0][inside].tolist())) == span.length
    assert (keys[0][: span.start] == keys[2][: span.start]).all()
    unnamed = [prompt_keys(a, [None]) for _ in range(2)]
    assert not (unnamed[0][inside] == unnamed[1][inside]).any()


def test_marks_are_where_prompts_part(processor, request_of):
    layout = request_of(LONG, [image(0, 256, 256)]).layout
    marks = prompt_marks(layout, frozenset({processor.tokenizer.token_id(TURN)}))
    span = layout.spans[0]
    assert span.start + span.length in marks
    last_turn = max(
        i for i, t in enumerate(layout.input_ids) if t == processor.tokenizer.token_id(TURN)
    )
    assert last_turn in marks
    assert marks == sorted(marks)
    assert all(MIN_TOKENS <= m < layout.num_tokens for m in marks)


# --- turns --------------------------------------------------------------------------------------


def tasks_of(request_of, *facts):
    made = []
    for tenant, priority in facts:
        request = request_of("x", tenant=tenant, priority=priority)
        made.append(Task(request, None, None))
    return made


def test_tenants_take_turns(request_of):
    tasks = tasks_of(request_of, ("a", 0), ("a", 0), ("a", 0), ("b", 0), ("c", 1), ("b", 0))
    names = [(t.request.tenant, tasks.index(t)) for t in by_turn(tasks, [])]
    assert names == [("a", 0), ("b", 3), ("a", 1), ("b", 5), ("a", 2), ("c", 4)]
    assert by_turn(tasks[1:4], tasks[:1])[0] is tasks[3]
    tasks[2].preempted = 1
    assert by_turn(tasks, [])[0] is tasks[2]
    assert victim(tasks) is tasks[4]
    assert victim([]) is None


def test_a_long_prompt_leaves_room_for_short_ones(request_of):
    tasks = [Task(request_of("x" * n), type("S", (), {"ids": []})(), None) for n in (300, 5, 90)]
    long, short, middle = tasks
    plan = dict(split_prompts(tasks, 64))
    assert plan[long] >= 32
    assert plan[short] == min(short.remaining, 32)
    assert sum(plan.values()) == 64
    assert split_prompts([long], 64) == [(long, 64)]
    assert split_prompts([], 64) == split_prompts(tasks, 0) == []
    plan = dict(split_prompts(tasks, 10_000))
    assert all(plan[t] == t.remaining for t in tasks)
    assert middle in plan


def test_the_queue_is_bounded(make_engine, request_of):
    engine = make_engine(max_queued=2)
    engine.submit(request_of())
    engine.submit(request_of())
    with pytest.raises(CapacityError, match="2 requests are waiting already"):
        engine.submit(request_of())
    tokens = request_of().layout.num_tokens
    engine = make_engine(max_queued_tokens=tokens + 1)
    engine.submit(request_of())
    with pytest.raises(CapacityError, match=f"{tokens} prompt tokens are waiting already"):
        engine.submit(request_of())


def test_what_never_fits_is_refused_at_once(make_engine, request_of):
    engine = make_engine(kv_tokens=64)
    with pytest.raises(InputError, match="leaves no room for an answer in the context of 64"):
        engine.submit(request_of("x" * 200))


def test_an_answer_ends_where_the_cache_does(make_engine, request_of):
    engine = make_engine(kv_tokens=64)
    request = request_of(max_tokens=10_000, ignore_eos=True)
    done = answer(engine, request)
    assert done.finish_reason == "length"
    assert request.layout.num_tokens + len(done.token_ids) == 65  # the last one is never fed
    assert_nothing_held(engine)


# --- ends ---------------------------------------------------------------------------------------


def test_a_deadline_ends_the_answer_where_it_is(make_engine, request_of):
    engine = make_engine()
    answer(engine, request_of())  # the first one also makes the cache
    request = request_of(max_tokens=10_000, ignore_eos=True)
    done = answer(engine, replace(request, deadline=time.perf_counter() + 0.3))
    assert (done.finish_reason, done.stop_reason) == ("length", "timeout")
    assert 0 < len(done.token_ids) < 10_000
    with pytest.raises(DeadlineError):
        answer(engine, request_of(deadline=time.perf_counter()))
    assert_nothing_held(engine)


def test_one_broken_picture_does_not_end_the_others(make_engine, request_of):
    def broken():
        raise ValueError("decoder bug")

    engine = make_engine()
    good = engine.submit(request_of("one"))
    bad = engine.submit(replace(request_of("Look.", [image()]), load=broken))
    assert sum(len(d.token_ids) for d in good) == 12
    with pytest.raises(InputError, match=r"media could not be opened \(ValueError\)"):
        list(bad)
    with pytest.raises(InputError):
        list(bad)  # asked again
    assert_nothing_held(engine)


def test_only_the_sequence_with_broken_logits_fails(make_engine, request_of, monkeypatch):
    from nanovl.engine import runner

    engine = make_engine()
    streams = [engine.submit(request_of(text)) for text in ("one", "two", "three")]
    broken = []
    process = runner.process_logits

    def spoil(logits, params, *args, **options):
        logits = logits.clone()
        for row, param in enumerate(params):
            if param.seed == 13:
                logits[row, 3] = float("nan")
                broken.append(row)
        return process(logits, params, *args, **options)

    monkeypatch.setattr(runner, "process_logits", spoil)
    streams.append(engine.submit(request_of("four", seed=13)))
    for stream in streams[:3]:
        assert sum(len(d.token_ids) for d in stream) == 12
    with pytest.raises(NanoVLError, match="NaN"):
        list(streams[3])
    assert broken
    assert_nothing_held(engine)


def test_running_out_of_memory_is_an_error_of_the_request(make_engine, request_of, monkeypatch):
    engine = make_engine()

    def forward(*args):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr("nanovl.engine.runner.Runner.forward", forward)
    with pytest.raises(CapacityError, match="not enough memory"):
        answer(engine, request_of())
    monkeypatch.undo()
    assert len(answer(engine, request_of()).token_ids) == 12
    assert_nothing_held(engine)


def test_an_interrupt_gives_everything_back(make_engine, request_of, monkeypatch):
    engine = make_engine()
    other = engine.submit(request_of())

    def forward(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("nanovl.engine.runner.Runner.forward", forward)
    with pytest.raises(KeyboardInterrupt):
        answer(engine, request_of())
    with pytest.raises(NanoVLError, match="interrupted"):
        list(other)
    monkeypatch.undo()
    assert len(answer(engine, request_of()).token_ids) == 12


# --- with a thread ------------------------------------------------------------------------------


def test_a_thousand_requests_cancelled_at_random(make_engine, request_of):
    engine = make_engine(kv_tokens=1200, max_slots=8)
    engine.start()
    rng = random.Random(3)
    kinds = [
        request_of("one", max_tokens=6),
        request_of(LONG, [image(1)], max_tokens=9),
        request_of("two", [video(0.5)], max_tokens=4, n=2),
        request_of("x" * 150, max_tokens=30),
    ]
    streams = []
    for number in range(1000):
        stream = engine.submit(replace(kinds[number % 4], tenant=str(number % 3)))
        streams.append(stream)
        if rng.random() < 0.9:
            rng.choice(streams[-20:]).cancel()
    ends = []
    for stream in streams:
        pieces = list(stream)
        assert stream.done
        ends += [d.finish_reason for d in pieces if d.generation]
    assert set(ends) == {"length", "cancelled"}
    assert len(ends) == 1250
    deadline = time.monotonic() + 10
    while engine.used_slots and time.monotonic() < deadline:
        time.sleep(0.01)
    assert_nothing_held(engine)
    assert engine.alive


def test_threads_share_a_started_engine(make_engine, request_of):
    engine = make_engine()
    engine.start()
    requests = [request_of("x" * (5 * i), [image(i)] if i % 2 else ()) for i in range(8)]
    expected = [naive_ids(engine, r) for r in requests]
    found = {}

    def ask(number):
        found[number] = answer(engine, requests[number]).token_ids

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [found[i] for i in range(8)] == expected


def test_threads_share_an_engine_without_a_thread(make_engine, request_of):
    engine = make_engine()
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(answer(engine, request_of()).token_ids))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 4
    assert len(set(found)) == 1


def test_pieces_are_pushed_to_who_listens(make_engine, request_of):
    engine = make_engine()
    engine.start()
    got, ended = [], threading.Event()

    def push(piece):
        got.append(piece)
        if piece is None:
            ended.set()

    engine.submit(request_of()).listen(push)
    assert ended.wait(30)
    assert [t for d in got[:-1] for t in d.token_ids] == list(naive_ids(engine, request_of()))


def test_closing_waits_for_answers_and_refuses_new_ones(make_engine, request_of):
    engine = make_engine()
    engine.start()
    stream = engine.submit(request_of(max_tokens=30))
    engine.close(drain_s=30)
    assert sum(len(d.token_ids) for d in stream) == 30
    with pytest.raises(CapacityError, match="shut down"):
        engine.submit(request_of())


def test_closing_at_once_fails_what_is_left(make_engine, request_of):
    engine = make_engine()
    engine.start()
    stream = engine.submit(request_of(max_tokens=200, ignore_eos=True))
    next(iter(stream))
    engine.close()
    with pytest.raises(CapacityError, match="shut down before the answer was complete"):
        list(stream)


def test_a_bug_in_the_loop_ends_waiting(make_engine, request_of, monkeypatch, caplog):
    engine = make_engine()
    monkeypatch.setattr("nanovl.engine.steps.Steps._admit", lambda self: 1 / 0)
    engine.start()
    with pytest.raises(NanoVLError, match="the engine failed"):
        answer(engine, request_of())
    assert not engine.alive
    assert "ZeroDivisionError" in caplog.text


@torch.no_grad()
def test_statistics_count(make_engine, request_of):
    engine = make_engine()
    assert engine.stats().running == 0
    requests = [request_of(LONG, [video(0.5)]), request_of("two")]
    generations = [answer(engine, r) for r in requests]
    stats = engine.stats()
    assert stats.prompt_tokens == sum(r.layout.num_tokens for r in requests)
    assert stats.generation_tokens == sum(len(g.token_ids) for g in generations)
    span = requests[0].layout.spans[0]
    dropped = span.tiles * span.tokens_per_tile - span.num_tokens
    assert stats.evs_tokens_dropped == dropped > 0
    assert stats.slots == engine.max_slots
    assert stats.steps > 0
